/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy as the kernel can look it up: longest prefix first, then the first port entry that
 * matches. Since the kernel looks at one prefix only, each prefix carries what every destination
 * around it says, in the order of the files. Agrees with match.c by construction and by test.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "policy/prefix.h"

/* Prefixes that get an entry although no destination names them. */
static const struct policy_prefix every_six = {.plen = 0};
static const struct policy_prefix every_four = {.addr = {[10] = 0xff, [11] = 0xff}, .plen = 96};
static const struct policy_prefix loop_six = {.addr = {[15] = 1}, .plen = 128};
static const struct policy_prefix loop_four = {.addr = {[10] = 0xff, [11] = 0xff, [12] = 127},
                                               .plen = 104};

/*
 * True if no port of the range can get past the entries that are there already. Those that are for
 * some applications let by whom nothing is known of, even where they would hide this one.
 */
static bool shadowed(const struct policy_lpm_port *port, uint32_t ports, struct policy_port range)
{
	uint32_t at = range.lo;

	while (at <= range.hi) {
		uint32_t i = 0;

		while (i < ports && (port[i].app || at < port[i].lo || at > port[i].hi))
			i++;
		if (i == ports)
			return false;
		at = port[i].hi + 1u;
	}
	return true;
}

static int add_port(struct policy_lpm_port *port, uint32_t *ports, struct policy_lpm_port entry)
{
	if (shadowed(port, *ports, (struct policy_port){entry.lo, entry.hi}))
		return 0;
	if (*ports == POLICY_PORTS_MAX)
		return -E2BIG;
	port[(*ports)++] = entry;
	return 0;
}

/* What a destination says of its ports. 0 or -E2BIG. */
static int add_destination(struct policy_lpm_port *port, uint32_t *ports, const struct policy *p,
                           uint32_t at)
{
	const struct policy_destination *d = &p->destination[at];
	struct port_ranges ranges;
	int rc = 0;

	port_ranges_of(d, &ranges);
	for (uint32_t i = 0; i < ranges.n && !rc; i++)
		rc = add_port(port, ports,
		              (struct policy_lpm_port){ranges.v[i].lo, ranges.v[i].hi, d->action,
		                                       d->refuse_errno, at, d->kernel_tls, d->app});
	return rc;
}

static int fill(struct policy_lpm *e, const struct policy *p, struct cover *c,
                struct compile_trouble *trouble)
{
	trouble->prefix = e->prefix;
	cover_find(c, &e->prefix);
	for (uint32_t h = 0; h < c->hits; h++) {
		trouble->destination = c->hit[h];
		if (add_destination(e->port, &e->ports, p, c->hit[h]))
			return -E2BIG;
	}
	/* What no entry matches is open in the kernel: only a default of deny needs one. */
	if (policy_default(p, e->prefix.addr) == POLICY_ALLOW)
		return 0;
	return add_port(e->port, &e->ports,
	                (struct policy_lpm_port){0, UINT16_MAX, POLICY_DENY, ECONNREFUSED,
	                                         UINT32_MAX, KERNEL_TLS_NONE, 0});
}

static int by_prefix(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

enum { MORE = 4 };

/* The distinct prefixes that get an entry, in order; room for all of c and MORE. */
static size_t prefixes(const struct policy *p, const struct cover *c, struct policy_lpm *v)
{
	bool deny = p->default_action != POLICY_ALLOW, around_four = false;
	struct policy_prefix more[MORE];
	size_t n = 0, at = 0, kept = 0;

	for (size_t i = 0; i < c->n; i++) {
		struct policy_prefix four = every_four;

		/* The kernel's table would find it for IPv4 too, where it does not belong. */
		four.plen = c->v[i].x.plen < 96 ? c->v[i].x.plen : 96;
		prefix_mask(&four);
		around_four |= c->v[i].x.plen < 96 && !prefix_compare(&four, &c->v[i].x);
	}
	if (deny || around_four)
		more[n++] = every_four;
	if (deny) {
		more[n++] = every_six;
		more[n++] = loop_six;
		more[n++] = loop_four;
	}
	qsort(more, n, sizeof(*more), by_prefix);
	/* c is in order already, and large. */
	for (size_t i = 0; i < c->n || at < n;) {
		bool ours = i == c->n || (at < n && prefix_compare(&more[at], &c->v[i].x) < 0);
		const struct policy_prefix *x = ours ? &more[at++] : &c->v[i++].x;

		if (!kept || prefix_compare(&v[kept - 1].prefix, x))
			v[kept++].prefix = *x;
	}
	return kept;
}

int policy_compile_with(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                        struct policy_lpm **out, size_t *n, struct compile_trouble *trouble)
{
	struct cover own = {0}, *c = p->index && !names_n ? p->index : &own;
	struct policy_lpm *v = NULL;
	size_t count = 0;
	int rc = c == &own ? cover_init(c, p, names, names_n) : 0;

	if (!rc && !(v = calloc(c->n + MORE, sizeof(*v))))
		rc = -ENOMEM;
	if (!rc)
		count = prefixes(p, c, v);
	for (size_t i = 0; i < count && !rc; i++)
		rc = fill(&v[i], p, c, trouble);
	cover_free(&own);
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

int policy_compile_names_with(const struct policy *p, struct policy_name_rules **out, size_t *n,
                              struct compile_trouble *trouble)
{
	struct policy_name_rules *v = NULL;
	struct hosts hosts;
	size_t count = 0;
	int rc = hosts_of(p, &hosts);

	if (!rc && !(v = calloc(hosts.n + 1, sizeof(*v))))
		rc = -ENOMEM;
	for (size_t i = 0; i < hosts.n && !rc; i++) {
		trouble->destination = hosts.v[i].destination;
		trouble->host = hosts.v[i].host;
		if (!count || strcasecmp(v[count - 1].host, hosts.v[i].host))
			snprintf(v[count++].host, sizeof(v->host), "%s", hosts.v[i].host);
		rc = add_destination(v[count - 1].port, &v[count - 1].ports, p,
		                     hosts.v[i].destination);
	}
	free(hosts.v);
	if (rc) {
		free(v);
		return rc;
	}
	*out = v;
	*n = count;
	return 0;
}

/* False: there is no room for all. hidden: also what earlier ones leave nothing to. */
static bool add_all(const struct policy *p, const uint32_t *destination, size_t n, bool hidden,
                    struct policy_name_rules *out)
{
	out->ports = 0;
	for (size_t i = 0; i < n; i++) {
		const struct policy_name_rules before = *out;

		/* Each by itself hides nothing of the others. */
		if (hidden)
			out->ports = 0;
		if (add_destination(out->port, &out->ports, p, destination[i]) ||
		    (hidden && before.ports + out->ports > POLICY_PORTS_MAX))
			return false;
		if (!hidden)
			continue;
		memmove(out->port + before.ports, out->port, out->ports * sizeof(*out->port));
		memcpy(out->port, before.port, before.ports * sizeof(*out->port));
		out->ports += before.ports;
	}
	return true;
}

void policy_compile_learned(const struct policy *p, const uint32_t *destination, size_t n,
                            struct policy_name_rules *out)
{
	/* The kernel looks for each one's own, to see whether it has to learn it. */
	if (add_all(p, destination, n, true, out) || add_all(p, destination, n, false, out))
		return;
	out->ports = 1;
	out->port[0] = (struct policy_lpm_port){.hi = UINT16_MAX,
	                                        .action = POLICY_DENY,
	                                        .err = ECONNREFUSED,
	                                        .destination = destination[0]};
}

int policy_compile_names(const struct policy *p, struct policy_name_rules **out, size_t *n)
{
	struct compile_trouble trouble;

	return policy_compile_names_with(p, out, n, &trouble);
}
