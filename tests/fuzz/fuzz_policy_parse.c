/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy files. What is parsed compiles (or has too many ports at one place), the compiled table
 * decides as the plain reading does, and can be put in words; what is refused says why, in
 * one of the files. The files that a policy refers to are cut out of the same input.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include "policy/policy.h"

struct input {
	struct bytes text;     /* the policy file, up to a first line of "---" */
	struct bytes referred; /* what any file that it names holds */
};

static int load(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	const struct input *in = ctx;

	MUST(path[0]);
	*out = malloc(in->referred.n + 1);
	if (!*out)
		return -ENOMEM;
	if (in->referred.n)
		memcpy(*out, in->referred.p, in->referred.n);
	*n = in->referred.n;
	return 0;
}

static void split(const uint8_t *data, size_t size, struct input *out)
{
	const uint8_t *cut = memmem(data, size, "\n---\n", 5);

	out->text = (struct bytes){data, cut ? (size_t)(cut - data) : size};
	if (cut)
		out->referred = (struct bytes){cut + 5, size - out->text.n - 5};
}

static bool in_prefix(const struct policy_prefix *x, const uint8_t addr[static 16])
{
	for (unsigned bit = 0; bit < x->plen; bit++)
		if ((x->addr[bit / 8] ^ addr[bit / 8]) & 0x80 >> bit % 8)
			return false;
	return true;
}

/* Of an application of which nothing is known: what allows some only is not for it. */
static bool is_for(const struct policy_lpm_port *e)
{
	return !e->app || !policy_passes(e->action);
}

static enum policy_action in_table(const struct policy_lpm *t, size_t n,
                                   const uint8_t addr[static 16], uint16_t port)
{
	const struct policy_lpm *best = NULL;

	for (size_t i = 0; i < n; i++)
		if (in_prefix(&t[i].prefix, addr) &&
		    (!best || t[i].prefix.plen > best->prefix.plen))
			best = &t[i];
	for (uint32_t i = 0; best && i < best->ports; i++)
		if (port >= best->port[i].lo && port <= best->port[i].hi && is_for(&best->port[i]))
			return best->port[i].action;
	return POLICY_ALLOW;
}

/* At the first address of each prefix, and at the ports that the policy speaks of. */
static void must_agree(const struct policy *p, const struct policy_lpm *t, size_t n)
{
	for (size_t i = 0; i < n && i < 64; i++) {
		for (uint32_t k = 0; k < t[i].ports; k++) {
			const uint8_t *addr = t[i].prefix.addr;
			uint16_t port = t[i].port[k].lo;
			int d = policy_match(p, NULL, 0, addr, port, NULL);

			MUST(in_table(t, n, addr, port) ==
			     (d < 0 ? policy_default(p, addr) : p->destination[d].action));
		}
	}
}

/* A register is one of a platform that the destination admits. */
static void must_be_register(const struct policy_destination *d, const struct policy_measurement *m)
{
	const struct measurement *v = &m->m;

	MUST(m->tee > TEE_NONE && m->tee < TEE_MAX && d->tees & 1u << m->tee);
	MUST(v->name[0] && v->len && v->len <= MEASUREMENT_MAX);
}

static void must_be_platforms(const struct policy_destination *d)
{
	for (uint32_t i = 0; i < d->measurements; i++) {
		must_be_register(d, &d->measurement[i]);
		MUST(!bytes_all_zero(d->measurement[i].m.value, d->measurement[i].m.len));
	}
	for (uint32_t i = 0; i < d->pins; i++)
		must_be_register(d, &d->pin[i]);
	for (uint32_t i = 0; i < d->unpinneds; i++)
		MUST(d->unpinned[i].name[0] && d->tees & 1u << d->unpinned[i].tee);
	for (uint32_t i = 0; i < d->tcb_floors; i++)
		MUST(d->tcb_floor[i].name[0] && d->tees & d->tcb_floor[i].tees);
	for (uint32_t i = 0; i < d->chip_ids; i++)
		MUST(!bytes_all_zero(d->chip_id[i], d->chip_id_len[i]));
	MUST(!d->accept_advisories || d->accept_tcb || d->tcb_grace);
	MUST(d->tcb_grace >= 0 && d->min_tcb_date >= 0);
}

static void look_at(const struct policy *p)
{
	struct policy_lpm *t = NULL;
	size_t n = 0;
	int rc = policy_compile(p, NULL, 0, &t, &n);

	MUST(rc == 0);
	must_agree(p, t, n);
	free(t);
	for (uint32_t i = 0; i < p->destinations; i++) {
		const struct policy_destination *d = &p->destination[i];
		struct buf words = buf_make(1 << 20);

		policy_explain(p, i, &words);
		MUST(words.n && !words.bad);
		buf_free(&words);
		if (d->action != POLICY_GATE)
			continue;
		MUST(d->tees && d->ports && d->binder != BINDER_NONE && d->lease > 0);
		MUST(d->ledger >= 0 ? (uint32_t)d->ledger < p->ledgers : d->measurements > 0);
		MUST(d->ledger < 0 ||
		     (p->ledger[d->ledger].tlog && p->ledger[d->ledger].max_age > 0));
		must_be_platforms(d);
		for (uint32_t k = 0; k < d->anchors; k++)
			MUST(d->anchor[k] < p->anchors);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct policy_issues issues;
	struct input in = {.text = BYTES_NONE};
	struct policy_file file = {.path = "/etc/keygate/policy.d/a.conf"};
	struct policy *p = NULL;
	int rc;

	split(data, size, &in);
	file.text = in.text;
	rc = policy_parse(&file, 1, load, &in, 1750000000, &p, &issues);
	if (rc) {
		MUST(rc == -EINVAL && !p && issues.errors && issues.n);
	} else {
		MUST(p && !issues.errors);
		look_at(p);
		policy_free(p);
	}
	for (uint32_t i = 0; i < issues.n; i++)
		MUST(issues.v[i].text[0] && issues.v[i].where.file[0]);
	return 0;
}
