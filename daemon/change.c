/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a destination's requirement is made of, as one digest: two policies agree on a destination
 * exactly if their digests do. Where a block stands in its file is no part of it; what it refers to
 * is. Collateral and endorsements are left out on purpose: a fresher CRL ends nothing by being
 * there; live sessions are judged under it again (recheck.c). Of each key of a policy the test
 * (test_daemon_change.c) has a case here, or the reason why it is none.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

/* Every field with its length, so that no two lists read alike. */
struct sum {
	EVP_MD_CTX *ctx;
	bool bad;
};

static void add(struct sum *s, const void *p, size_t n)
{
	uint64_t len = n;

	if (!EVP_DigestUpdate(s->ctx, &len, sizeof(len)) || (n && !EVP_DigestUpdate(s->ctx, p, n)))
		s->bad = true;
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

static void add_anchors(struct sum *s, const struct policy *p, const struct policy_destination *d)
{
	ADD(s, d->anchors);
	for (uint32_t i = 0; i < d->anchors && d->anchor[i] < p->anchors; i++) {
		const struct policy_anchor *a = &p->anchor[d->anchor[i]];

		ADD(s, a->tee);
		add(s, a->content.p, a->content.n);
	}
}

int policy_set_digest(const struct policy *p, uint32_t destination, uint8_t out[static 32])
{
	const struct policy_destination *d = &p->destination[destination];
	struct sum s = {.ctx = EVP_MD_CTX_new()};
	int ret = -ENOMEM;

	if (!s.ctx || !EVP_DigestInit_ex(s.ctx, EVP_sha256(), NULL))
		goto out;
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
	if (!s.bad && EVP_DigestFinal_ex(s.ctx, out, NULL))
		ret = 0;
out:
	EVP_MD_CTX_free(s.ctx);
	return ret;
}
