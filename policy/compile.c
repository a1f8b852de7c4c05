/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy as the kernel can look it up: longest prefix first, then the first port entry that
 * matches. Since the kernel looks at one prefix only, each prefix carries what every destination
 * around it says, in the order of the files. Agrees with match.c by construction and by test.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "policy/prefix.h"

/* Prefixes that get an entry although no destination names them. */
static const struct policy_prefix every_six = {.plen = 0};
static const struct policy_prefix every_four = {.addr = {[10] = 0xff, [11] = 0xff}, .plen = 96};
static const struct policy_prefix loop_six = {.addr = {[15] = 1}, .plen = 128};
static const struct policy_prefix loop_four = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 127},
                                               .plen = 104};

/* True if no port of the range can get past the entries that are there already. */
static bool shadowed(const struct policy_lpm *e, struct policy_port range)
{
	uint32_t at = range.lo;

	while (at <= range.hi) {
		uint32_t i = 0;

		while (i < e->ports && (at < e->port[i].lo || at > e->port[i].hi))
			i++;
		if (i == e->ports)
			return false;
		at = e->port[i].hi + 1u;
	}
	return true;
}

static int add_port(struct policy_lpm *e, struct policy_port range, enum policy_action action,
                    uint16_t err, uint32_t destination)
{
	if (shadowed(e, range))
		return 0;
	if (e->ports == POLICY_PORTS_MAX)
		return -E2BIG;
	e->port[e->ports++] =
	        (struct policy_lpm_port){range.lo, range.hi, action, err, destination};
	return 0;
}

static int fill(struct policy_lpm *e, const struct policy *p, struct cover *c,
                struct compile_trouble *trouble)
{
	trouble->prefix = e->prefix;
	cover_find(c, &e->prefix);
	for (uint32_t h = 0; h < c->hits; h++) {
		const struct policy_destination *d = &p->destination[c->hit[h]];
		struct port_ranges ranges;

		trouble->destination = c->hit[h];
		port_ranges_of(d, &ranges);
		for (uint32_t i = 0; i < ranges.n; i++)
			if (add_port(e, ranges.v[i], d->action, d->refuse_errno, c->hit[h]))
				return -E2BIG;
	}
	/* What no entry matches is open in the kernel: only a default of deny needs one. */
	if (policy_default(p, e->prefix.addr) == POLICY_ALLOW)
		return 0;
	return add_port(e, (struct policy_port){0, UINT16_MAX}, POLICY_DENY, ECONNREFUSED,
	                UINT32_MAX);
}

static int by_prefix(const void *a, const void *b)
{
	const struct policy_lpm *x = a, *y = b;

	return prefix_compare(&x->prefix, &y->prefix);
}

/* The distinct prefixes that get an entry; room for all of c and four more. */
static size_t prefixes(const struct policy *p, const struct cover *c, struct policy_lpm *v)
{
	bool deny = p->default_action != POLICY_ALLOW, around_four = false;
	size_t n = 0, kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct policy_prefix four = every_four;

		v[n++].prefix = c->v[i].x;
		/* The kernel's table would find it for IPv4 too, where it does not belong. */
		four.plen = c->v[i].x.plen < 96 ? c->v[i].x.plen : 96;
		prefix_mask(&four);
		around_four |= c->v[i].x.plen < 96 && !prefix_compare(&four, &c->v[i].x);
	}
	if (deny || around_four)
		v[n++].prefix = every_four;
	if (deny) {
		v[n++].prefix = every_six;
		v[n++].prefix = loop_six;
		v[n++].prefix = loop_four;
	}
	qsort(v, n, sizeof(*v), by_prefix);
	for (size_t i = 0; i < n; i++)
		if (!kept || prefix_compare(&v[kept - 1].prefix, &v[i].prefix))
			v[kept++].prefix = v[i].prefix;
	return kept;
}

int policy_compile_with(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                        struct policy_lpm **out, size_t *n, struct compile_trouble *trouble)
{
	struct cover c;
	struct policy_lpm *v;
	size_t count = 0;
	int rc = cover_init(&c, p, names, names_n);

	if (rc)
		return rc;
	v = calloc(c.n + 4, sizeof(*v));
	if (!v) {
		rc = -ENOMEM;
	} else {
		count = prefixes(p, &c, v);
		for (size_t i = 0; i < count && !rc; i++)
			rc = fill(&v[i], p, &c, trouble);
	}
	cover_free(&c);
	if (rc) {
		free(v);
		return rc;
	}
	*out = v;
	*n = count;
	return 0;
}

int policy_compile(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                   struct policy_lpm **out, size_t *n)
{
	struct compile_trouble trouble;

	return policy_compile_with(p, names, names_n, out, n, &trouble);
}
