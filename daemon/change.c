/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload changed. What a destination's requirement is made of, as one digest: two policies
 * agree on a destination exactly if their digests do. Where a block stands in its file is no part
 * of it; what it refers to is. Collateral and endorsements are left out on purpose: a fresher CRL
 * ends nothing by being there; live sessions are judged under it again (recheck.c). Of each key of
 * a policy the test (test_daemon_change.c) has a case here, or the reason why it is none.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

/* Every field with its length, so that no two lists read alike. */
struct sum {
	EVP_MD_CTX *ctx;
	bool bad;
};

static void sum_begin(struct sum *s)
{
	s->ctx = EVP_MD_CTX_new();
	s->bad = !s->ctx || !EVP_DigestInit_ex(s->ctx, EVP_sha256(), NULL);
}

/* 0 or -ENOMEM. */
static int sum_end(struct sum *s, uint8_t out[static 32])
{
	bool ok = !s->bad && EVP_DigestFinal_ex(s->ctx, out, NULL);

	EVP_MD_CTX_free(s->ctx);
	return ok ? 0 : -ENOMEM;
}

static void add(struct sum *s, const void *p, size_t n)
{
	uint64_t len = n;

	if (s->bad)
		return;
	s->bad = !EVP_DigestUpdate(s->ctx, &len, sizeof(len)) ||
	         (n && !EVP_DigestUpdate(s->ctx, p, n));
}

static void add_text(struct sum *s, const char *text, size_t cap)
{
	add(s, text, strnlen(text, cap));
}

#define ADD(s, field) add(s, &(field), sizeof(field))

static void add_key(struct sum *s, const struct vkey *k)
{
	add_text(s, k->name, sizeof(k->name));
	add(s, k->id, sizeof(k->id));
	ADD(s, k->alg);
	add(s, k->key, k->key_len);
}

static void add_tlog(struct sum *s, const struct tlog_policy *t)
{
	ADD(s, t->logs);
	for (uint32_t i = 0; i < t->logs; i++)
		add_key(s, &t->log[i]);
	ADD(s, t->witnesses);
	for (uint32_t i = 0; i < t->witnesses; i++)
		add_key(s, &t->witness[i]);
	ADD(s, t->groups);
	for (uint32_t i = 0; i < t->groups; i++) {
		const struct tlog_group *g = &t->group[i];

		ADD(s, g->k);
		add(s, g->member, g->members * sizeof(g->member[0]));
	}
	ADD(s, t->quorum);
	add_text(s, t->origin, sizeof(t->origin));
}

static void add_ledger(struct sum *s, const struct policy *p, int32_t at)
{
	const struct policy_ledger *l;

	if (at < 0 || (uint32_t)at >= p->ledgers) {
		add_text(s, "none", 4);
		return;
	}
	l = &p->ledger[at];
	add_text(s, l->name, sizeof(l->name));
	ADD(s, l->max_age);
	ADD(s, l->require_known);
	ADD(s, l->allow_no_quorum);
	add_tlog(s, l->tlog);
}

/* Of a bundle. */
static void add_identity_of(struct sum *s, const struct sigstore_identity *id)
{
	add(s, id->key.p, id->key.n);
	add_text(s, id->issuer, sizeof(id->issuer));
	add_text(s, id->san, sizeof(id->san));
	add_text(s, id->repository, sizeof(id->repository));
	add_text(s, id->ref, sizeof(id->ref));
	add_text(s, id->predicate_type, sizeof(id->predicate_type));
}

/* Of a statement with receipts. */
static void add_signer(struct sum *s, const struct receipt_signer *g)
{
	add(s, g->key.p, g->key.n);
	add_text(s, g->issuer, sizeof(g->issuer));
	add_text(s, g->subject, sizeof(g->subject));
	ADD(s, g->has_min_svn);
	ADD(s, g->min_svn);
}

static void add_release(struct sum *s, const struct policy *p, int32_t at)
{
	const struct policy_release *r;

	if (at < 0 || (uint32_t)at >= p->releases) {
		add_text(s, "none", 4);
		return;
	}
	r = &p->release[at];
	add_text(s, r->name, sizeof(r->name));
	ADD(s, r->trusted);
	add_identity_of(s, &r->identity);
	add(s, r->bundle.p, r->bundle.n);
	add_signer(s, &r->signer);
	add(s, r->statement.p, r->statement.n);
}

static void add_where_to(struct sum *s, const struct policy_destination *d)
{
	ADD(s, d->prefixes);
	for (uint32_t i = 0; i < d->prefixes; i++) {
		add(s, d->prefix[i].addr, sizeof(d->prefix[i].addr));
		ADD(s, d->prefix[i].plen);
	}
	ADD(s, d->hosts);
	for (uint32_t i = 0; i < d->hosts; i++)
		add_text(s, d->host[i], sizeof(d->host[i]));
	ADD(s, d->ports);
	for (uint32_t i = 0; i < d->ports; i++) {
		ADD(s, d->port[i].lo);
		ADD(s, d->port[i].hi);
	}
}

static void add_registers(struct sum *s, const struct policy_measurement *list, uint32_t n)
{
	ADD(s, n);
	for (uint32_t i = 0; i < n; i++) {
		ADD(s, list[i].tee);
		add_text(s, list[i].m.name, sizeof(list[i].m.name));
		add(s, list[i].m.value, list[i].m.len);
	}
}

static void add_identity(struct sum *s, const struct policy_destination *d)
{
	add_text(s, d->server_name, sizeof(d->server_name));
	add(s, d->server_key, d->server_keys * sizeof(d->server_key[0]));
	add(s, d->chip_id, d->chip_ids * sizeof(d->chip_id[0]));
	add(s, d->chip_id_len, d->chip_ids * sizeof(d->chip_id_len[0]));
	add(s, d->host_data, sizeof(d->host_data));
	ADD(s, d->has_host_data);
	ADD(s, d->vlek);
	ADD(s, d->vlek_csps);
	for (uint32_t i = 0; i < d->vlek_csps; i++)
		add_text(s, d->vlek_csp[i], sizeof(d->vlek_csp[i]));
	add_registers(s, d->measurement, d->measurements);
	add_registers(s, d->pin, d->pins);
	ADD(s, d->unpinneds);
	for (uint32_t i = 0; i < d->unpinneds; i++) {
		ADD(s, d->unpinned[i].tee);
		add_text(s, d->unpinned[i].name, sizeof(d->unpinned[i].name));
	}
}

static void add_withdrawn(struct sum *s, const struct policy_destination *d)
{
	ADD(s, d->leaves);
	for (uint32_t i = 0; i < d->leaves; i++)
		add(s, d->leaf[i].p, d->leaf[i].n);
	ADD(s, d->denieds);
	for (uint32_t i = 0; i < d->denieds; i++) {
		const struct policy_denied *x = &d->denied[i];

		ADD(s, x->kind);
		add_registers(s, &x->measurement, 1);
		add(s, x->hash, sizeof(x->hash));
	}
	add_text(s, d->min_version, sizeof(d->min_version));
	ADD(s, d->renewed_within);
}

static void add_tcb(struct sum *s, const struct policy_destination *d)
{
	ADD(s, d->tcb_floors);
	for (uint32_t i = 0; i < d->tcb_floors; i++) {
		ADD(s, d->tcb_floor[i].tees);
		add_text(s, d->tcb_floor[i].name, sizeof(d->tcb_floor[i].name));
		ADD(s, d->tcb_floor[i].svn);
	}
	ADD(s, d->accept_tcb);
	ADD(s, d->accept_advisories);
	for (uint32_t i = 0; i < d->accept_advisories; i++)
		add_text(s, d->accept_advisory[i], sizeof(d->accept_advisory[i]));
	ADD(s, d->tcb_grace);
	ADD(s, d->min_tcb_date);
	ADD(s, d->min_tcb_evaluation);
}

static void add_rules(struct sum *s, const struct policy_destination *d)
{
	ADD(s, d->action);
	ADD(s, d->refuse_errno);
	ADD(s, d->tees);
	ADD(s, d->binder);
	ADD(s, d->transport);
	ADD(s, d->kernel_tls);
	ADD(s, d->vmpl);
	ADD(s, d->platform_required);
	ADD(s, d->platform_forbidden);
	ADD(s, d->guest_policy_forbid);
	ADD(s, d->guest_policy_required);
	ADD(s, d->attributes_required);
	ADD(s, d->attributes_forbidden);
	ADD(s, d->no_built_in);
	ADD(s, d->allow_debug);
	ADD(s, d->require_crl);
	ADD(s, d->lease);
}

static void add_texts(struct sum *s, char *const *v, uint32_t n)
{
	ADD(s, n);
	for (uint32_t i = 0; i < n; i++)
		add(s, v[i], strlen(v[i]));
}

static void add_app(struct sum *s, const struct policy *p, const struct policy_destination *d)
{
	const struct policy_app *a = d->app ? &p->app[d->app - 1] : NULL;

	add(s, a ? "1" : "0", 1);
	if (!a)
		return;
	ADD(s, a->users);
	for (uint32_t i = 0; i < a->users; i++) {
		add_text(s, a->user[i].name, sizeof(a->user[i].name));
		ADD(s, a->user[i].known);
		ADD(s, a->user[i].uid);
	}
	add_texts(s, a->unit, a->units);
	add_texts(s, a->cgroup, a->cgroups);
	add_texts(s, a->executable, a->executables);
}

static void add_anchor(struct sum *s, const struct policy_anchor *a)
{
	ADD(s, a->tee);
	add(s, a->content.p, a->content.n);
}

static void add_anchors(struct sum *s, const struct policy *p, const struct policy_destination *d)
{
	ADD(s, d->anchors);
	for (uint32_t i = 0; i < d->anchors && d->anchor[i] < p->anchors; i++)
		add_anchor(s, &p->anchor[d->anchor[i]]);
}

int policy_set_digest(const struct policy *p, uint32_t destination, uint8_t out[static 32])
{
	const struct policy_destination *d = &p->destination[destination];
	struct sum s;

	sum_begin(&s);
	add_text(&s, d->name, sizeof(d->name));
	add_where_to(&s, d);
	add_app(&s, p, d);
	add_rules(&s, d);
	add_identity(&s, d);
	add_withdrawn(&s, d);
	add_tcb(&s, d);
	add_ledger(&s, p, d->ledger);
	add_release(&s, p, d->release);
	add_anchors(&s, p, d);
	return sum_end(&s, out);
}

/* ------------------------------------------------------------ what changed */

bool policy_set_named(const struct policy_set *s, const char *name, uint32_t *at)
{
	uint32_t lo = 0, hi = s->policy ? s->policy->destinations : 0;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		int c = strcmp(s->policy->destination[s->by_name[mid]].name, name);

		if (!c) {
			*at = s->by_name[mid];
			return true;
		}
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

/* Names of destinations in a that are not in b; or, with changed, in both but not alike. */
static json_t *difference(const struct policy_set *a, const struct policy_set *b, bool changed)
{
	json_t *out = json_array();

	for (uint32_t i = 0; out && i < a->policy->destinations; i++) {
		const char *name = a->policy->destination[i].name;
		uint32_t k = 0;
		bool both = policy_set_named(b, name, &k);

		if (changed ? !both || !memcmp(a->digest[i], b->digest[k], sizeof(a->digest[i]))
		            : both)
			continue;
		(void)json_array_append_new(out, json_string(name));
	}
	return out;
}

/* A destination of the new policy that the old one has too, in a run of such that kept its order.
 */
struct in_run {
	uint32_t was;    /* its place in the old one; NONE: it has none */
	uint32_t before; /* of the run; NONE: it is the first */
	uint32_t last;   /* by length of the run: the one that ends it, of those with least `was` */
	bool stays;
};

#define NONE UINT32_MAX

/* Where i ends the longest run that it can. */
static void join_run(struct in_run *v, uint32_t i, uint32_t *longest)
{
	uint32_t lo = 0, hi = *longest;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (v[v[mid].last].was < v[i].was)
			lo = mid + 1;
		else
			hi = mid;
	}
	v[i].before = lo ? v[lo - 1].last : NONE;
	v[lo].last = i;
	if (lo == *longest)
		(*longest)++;
}

/*
 * Names of the destinations that come earlier or later than they did: the fewest that have to be
 * moved to make the new order of the old. The first that matches decides, so each may count.
 */
static json_t *moved(const struct policy_set *old, const struct policy_set *now)
{
	uint32_t n = now->policy->destinations, longest = 0;
	struct in_run *v = calloc(n + 1u, sizeof(*v));
	json_t *out = v ? json_array() : NULL;

	for (uint32_t i = 0; out && i < n; i++) {
		if (!policy_set_named(old, now->policy->destination[i].name, &v[i].was))
			v[i].was = NONE;
		else
			join_run(v, i, &longest);
	}
	for (uint32_t i = out && longest ? v[longest - 1].last : NONE; i != NONE; i = v[i].before)
		v[i].stays = true;
	for (uint32_t i = 0; out && i < n; i++)
		if (v[i].was != NONE && !v[i].stays)
			(void)json_array_append_new(out,
			                            json_string(now->policy->destination[i].name));
	free(v);
	return out;
}

/* A block that is no destination, with a digest of all that it says. */
struct block {
	const char *kind, *name;
	uint8_t digest[32];
};

static void add_whole_ledger(struct sum *s, const struct policy *p, uint32_t at)
{
	const struct policy_ledger *l = &p->ledger[at];
	const struct tlog_policy *t = l->tlog;

	add_ledger(s, p, (int32_t)at);
	add_text(s, l->url, sizeof(l->url));
	add_text(s, l->ca, sizeof(l->ca));
	ADD(s, l->refresh);
	for (uint32_t i = 0; i < t->logs; i++)
		add_text(s, t->log_url[i], sizeof(t->log_url[i]));
	for (uint32_t i = 0; i < t->witnesses; i++)
		add_text(s, t->witness_url[i], sizeof(t->witness_url[i]));
	ADD(s, l->watches);
	for (uint32_t i = 0; i < l->watches; i++)
		add_text(s, l->watch[i], sizeof(l->watch[i]));
	ADD(s, l->expecteds);
	for (uint32_t i = 0; i < l->expecteds; i++) {
		ADD(s, l->expected[i].tee);
		add(s, l->expected[i].value, l->expected[i].len);
	}
}

static void add_source(struct sum *s, const struct policy_source *x)
{
	add_text(s, x->url, sizeof(x->url));
	ADD(s, x->refresh);
	add_text(s, x->ca, sizeof(x->ca));
}

static int by_kind_and_name(const void *a, const void *b)
{
	const struct block *x = a, *y = b;
	int c = strcmp(x->kind, y->kind);

	return c ? c : strcmp(x->name, y->name);
}

enum kind { LEDGER = 0, RELEASE, ANCHOR, SOURCE, KINDS };

/* Its name. */
static const char *add_block(struct sum *s, const struct policy *p, enum kind kind, uint32_t i)
{
	switch (kind) {
	case LEDGER:
		add_whole_ledger(s, p, i);
		return p->ledger[i].name;
	case RELEASE:
		add_release(s, p, (int32_t)i);
		return p->release[i].name;
	case ANCHOR:
		add_anchor(s, &p->anchor[i]);
		return p->anchor[i].name;
	case SOURCE:
	case KINDS:
		break;
	}
	add_source(s, &p->source[i]);
	return attest_vendor_name((enum collateral_vendor)i);
}

/* All of a policy, sorted; NULL: out of memory. */
static struct block *blocks_of(const struct policy *p, size_t *n)
{
	static const char *const kinds[KINDS] = {"ledger", "release", "anchor", "collateral"};
	const uint32_t count[KINDS] = {p->ledgers, p->releases, p->anchors, VENDORS};
	struct block *v =
	        calloc((size_t)p->ledgers + p->releases + p->anchors + VENDORS, sizeof(*v));

	*n = 0;
	for (enum kind k = LEDGER; v && k < KINDS; k++) {
		for (uint32_t i = 0; v && i < count[k]; i++) {
			struct block *b = &v[*n];
			struct sum s;

			if (k == SOURCE && !p->source[i].where.line)
				continue;
			sum_begin(&s);
			b->kind = kinds[k];
			b->name = add_block(&s, p, k, i);
			(*n)++;
			if (sum_end(&s, b->digest)) {
				free(v);
				v = NULL;
			}
		}
	}
	if (v)
		qsort(v, *n, sizeof(*v), by_kind_and_name);
	return v;
}

static void note_block(json_t *out, const struct block *b, const char *change)
{
	(void)json_array_append_new(out, json_pack("{s:s, s:s, s:s}", "kind", b->kind, "name",
	                                           b->name, "change", change));
}

static json_t *blocks_changed(const struct policy *old, const struct policy *now)
{
	size_t was_n = 0, is_n = 0, w = 0, i = 0;
	struct block *was = blocks_of(old, &was_n), *is = blocks_of(now, &is_n);
	json_t *out = was && is ? json_array() : NULL;

	while (out && (w < was_n || i < is_n)) {
		int c = w == was_n ? 1 : i == is_n ? -1 : by_kind_and_name(&was[w], &is[i]);

		if (c < 0)
			note_block(out, &was[w++], "removed");
		else if (c > 0)
			note_block(out, &is[i++], "added");
		else if (memcmp(was[w++].digest, is[i++].digest, sizeof(was->digest)) != 0)
			note_block(out, &is[i - 1], "changed");
	}
	free(was);
	free(is);
	return out;
}

static json_t *default_changed(const struct policy *old, const struct policy *now)
{
	if (old->default_action == now->default_action)
		return json_null();
	return json_pack("{s:s, s:s}", "before", policy_action_name(old->default_action), "after",
	                 policy_action_name(now->default_action));
}

json_t *policy_set_changes(const struct policy_set *old, const struct policy_set *now)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "default",
	                 default_changed(old->policy, now->policy), "added",
	                 difference(now, old, false), "removed", difference(old, now, false),
	                 "changed", difference(now, old, true), "moved", moved(old, now), "blocks",
	                 blocks_changed(old->policy, now->policy));
}
