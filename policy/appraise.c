/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one place where a verdict is made: what a peer showed, against what a destination demands.
 *
 * The order: how the evidence is bound, the evidence itself, whose it is, the ledger, and last the
 * measurement, where evidence and ledger meet. A refusal does not end the work: what can still be
 * judged is judged, so that the administrator sees everything that is wrong at once; but nothing
 * that depends on something refused is ever looked at, it is skipped. Nothing here can make a
 * verdict pass that an earlier check refused.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include "policy/appraise.h"
#include "policy/names.h"

struct appraisal {
	const struct policy *p;
	const struct policy_destination *d;
	const struct policy_presented *shown;
	int64_t at;
	struct verdict *v;
	struct checks *checks; /* of v */
	struct claims claims;
	bool evidence_holds;
	struct statement statement;
	struct bytes leaf, proof; /* the peer's, or ours for a peer that sent neither */
	struct ledger_last last;  /* of the log that the proof is of */
	bool statement_holds;
	struct statement released; /* what the publisher's signed statement says */
	bool released_holds;
};

static void skip(struct appraisal *a, const char *id, const char *why)
{
	check_add(a->checks, id, CHECK_SKIP, "%s", why);
}

/* Appends what a room found and says what came of it. */
static enum check_status take_checks(struct appraisal *a, const struct checks *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		check_add(a->checks, c->v[i].id, (enum check_status)c->v[i].status, "%s",
		          c->v[i].detail);
	a->checks->overflow |= c->overflow;
	return checks_overall(c);
}

/* A text of n bytes in hex; what is longer than the checks' details is cut. */
static void hex_of(const uint8_t *p, size_t n, char out[static 2 * MEASUREMENT_MAX + 1])
{
	hex_encode((struct bytes){p, n < MEASUREMENT_MAX ? n : MEASUREMENT_MAX}, out);
}

/* ------------------------------------------------------------------- the binder */

static void check_binder(struct appraisal *a)
{
	enum policy_binder is = a->shown->binder, must = a->d->binder;

	snprintf(a->v->binder, sizeof(a->v->binder), "%s", policy_binder_name(is));
	/* A file can't be bound to a connection, and so can't open one. */
	if (!a->shown->check_report_data) {
		check_add(a->checks, "policy.binder", CHECK_UNAVAILABLE,
		          "judged without a connection");
		return;
	}
	if (is == BINDER_NONE || is < must) {
		check_add(a->checks, "policy.binder", CHECK_FAIL, "%s, but %s is demanded",
		          policy_binder_name(is), policy_binder_name(must));
		return;
	}
	check_add(a->checks, "policy.binder", CHECK_PASS, "%s",
	          policy_binder_words(is, policy_names_machine(a->d)));
	if (is < BINDER_CONNECTION)
		verdict_loosened(a->v,
		                 "binder = %s: the evidence is not bound to this connection, but "
		                 "by %s",
		                 policy_binder_name(must), policy_binder_name(is));
}

/* ----------------------------------------------------------------- the evidence */

/* An attest_collateral_fn: half of what fits from the administrator's directory, then the fetched.
 */
static size_t find_collateral(void *ctx, const struct collateral_name *name, int64_t at,
                              struct bytes *out, size_t cap)
{
	const struct appraisal *a = ctx;
	size_t n = 0;

	if (a->p->collateral)
		n = collateral_store_find(a->p->collateral, name, at, out,
		                          a->shown->fetched ? (cap + 1) / 2 : cap);
	if (a->shown->fetched)
		n += collateral_store_find(a->shown->fetched, name, at, out + n, cap - n);
	return n;
}

static void fill_input(struct appraisal *a, struct attest_input *in)
{
	const struct policy *p = a->p;
	const struct cmw *cmw = &a->shown->cmw;

	in->type = attest_tee_from_media_type(cmw->evidence_type);
	in->evidence = cmw->evidence;
	in->at = a->at;
	in->check_report_data = a->shown->check_report_data;
	memcpy(in->report_data, a->shown->report_data, sizeof(in->report_data));
	in->allow_debug = a->d->allow_debug;
	in->require_crl = a->d->require_crl;
	in->judges_registers = true; /* policy.registers */
	in->only_anchors = a->d->no_built_in;
	in->collateral = find_collateral;
	in->collateral_ctx = a;
	in->cache = a->shown->cache;
	/* Our own first: a peer that sends much can't crowd them out. */
	for (uint32_t i = 0; i < p->endorsements; i++)
		in->endorsements[in->endorsements_n++] = p->endorsement[i];
	for (uint32_t i = 0; i < cmw->endorsements_n; i++)
		in->endorsements[in->endorsements_n++] = cmw->endorsements[i];
	/* An anchor counts for its own platform; evidence of an unnamed kind gets none. */
	for (uint32_t i = 0; i < a->d->anchors; i++) {
		const struct policy_anchor *anchor = &p->anchor[a->d->anchor[i]];

		if (anchor->tee == in->type)
			in->anchors[in->anchors_n++] = anchor->content;
	}
}

/* Some vendors revoke nothing: their platforms have no such check, and nobody is to be blamed. */
static bool unlooked_revocation(const struct appraisal *a, const struct checks *made)
{
	const struct check *crl;
	char id[CHECK_ID_MAX];

	snprintf(id, sizeof(id), "%s.revocation", attest_tee_name(a->claims.tee));
	crl = checks_find(made, id);
	return crl && crl->status != CHECK_PASS;
}

static void loosenings_of_evidence(struct appraisal *a, const struct checks *made)
{
	if (a->claims.debug)
		verdict_loosened(a->v,
		                 "allow-debug = true: the host can read and change the guest");
	if (!a->d->require_crl && unlooked_revocation(a, made))
		verdict_loosened(a->v,
		                 "require-crl = false: nobody looked whether a key is revoked");
	if (a->claims.extra_anchor)
		verdict_loosened(a->v,
		                 "anchor: the evidence ends at an anchor of this policy, not at "
		                 "the vendor's root");
	if (a->claims.vmpl)
		verdict_loosened(a->v,
		                 "vmpl = %" PRIu32 ": higher privileged software in the guest "
		                 "can change what was attested",
		                 a->claims.vmpl);
}

/* The vendor of what a pass would need; VENDOR_NONE: nothing that could be fetched. */
static enum collateral_vendor lacking(const struct claims *c)
{
	for (uint32_t i = 0; i < c->wants; i++)
		if (c->want_needed[i])
			return c->want[i].vendor;
	return VENDOR_NONE;
}

/* Who can fetch is told what to fetch, and whoever reads the verdict whether it is fetched. */
static void pass_on_wants(struct appraisal *a, struct checks *made)
{
	enum collateral_vendor vendor = lacking(&a->claims);
	bool fetched = a->p->source[vendor].url[0];
	const char *trouble = a->shown->trouble ? (*a->shown->trouble)[vendor] : "";

	a->shown->wants->n = a->claims.wants;
	memcpy(a->shown->wants->v, a->claims.want, sizeof(a->claims.want));
	for (uint32_t i = 0; vendor != VENDOR_NONE && i < made->n; i++) {
		struct check *check = &made->v[i];
		size_t n = strlen(check->detail);

		if (check->status != CHECK_UNAVAILABLE)
			continue;
		if (fetched)
			snprintf(check->detail + n, sizeof(check->detail) - n,
			         "; keygated fetches what is missing%s%s",
			         trouble[0] ? ", but " : "", trouble);
		else
			snprintf(check->detail + n, sizeof(check->detail) - n,
			         "; nothing is fetched: the policy has no collateral \"%s\" block",
			         attest_vendor_name(vendor));
	}
}

static int check_evidence(struct appraisal *a)
{
	struct attest_input *in = calloc(1, sizeof(*in));
	struct checks made = {0};

	if (!in)
		return -ENOMEM;
	fill_input(a, in);
	attest_appraise(in, &a->claims, &made);
	free(in);
	if (a->shown->wants)
		pass_on_wants(a, &made);
	a->evidence_holds = take_checks(a, &made) == CHECK_PASS;
	snprintf(a->v->tee, sizeof(a->v->tee), "%s", attest_tee_name(a->claims.tee));
	a->v->measurements = a->claims.measurements;
	if (a->evidence_holds) {
		verdict_limit(a->v, a->claims.valid_until);
		loosenings_of_evidence(a, &made);
	}
	return 0;
}

/* ------------------------------------------------------------------- whose it is */

static void check_tee(struct appraisal *a)
{
	bool named = a->claims.tee != TEE_NONE && a->d->tees & 1u << a->claims.tee;

	check_add(a->checks, "policy.tee", named ? CHECK_PASS : CHECK_FAIL, "%s%s",
	          attest_tee_name(a->claims.tee), named ? "" : ", which the policy does not name");
}

static void check_server_key(struct appraisal *a)
{
	const struct policy_destination *d = a->d;

	if (!d->server_keys) {
		skip(a, "policy.server-key", "the policy pins no server key");
		return;
	}
	for (uint32_t i = 0; i < d->server_keys; i++) {
		if (!CRYPTO_memcmp(d->server_key[i], a->shown->spki_sha256, 32)) {
			check_add(a->checks, "policy.server-key", CHECK_PASS, "sha256:%s",
			          a->v->server_key);
			return;
		}
	}
	check_add(a->checks, "policy.server-key", CHECK_FAIL,
	          "sha256:%s is none of the %" PRIu32 " pinned keys", a->v->server_key,
	          d->server_keys);
}

static void check_chip(struct appraisal *a)
{
	const struct policy_destination *d = a->d;
	const struct claims *c = &a->claims;
	char id[2 * MEASUREMENT_MAX + 1];

	if (!d->chip_ids) {
		skip(a, "policy.chip", "the policy names no machine");
		return;
	}
	if (!c->chip_id_len) {
		check_add(a->checks, "policy.chip", CHECK_FAIL, "the evidence names no machine%s%s",
		          c->csp[0] ? ", only its provider " : "", c->csp);
		return;
	}
	hex_of(c->chip_id, c->chip_id_len, id);
	for (uint32_t i = 0; i < d->chip_ids; i++) {
		if (d->chip_id_len[i] == c->chip_id_len &&
		    !memcmp(d->chip_id[i], c->chip_id, c->chip_id_len)) {
			check_add(a->checks, "policy.chip", CHECK_PASS, "%s", id);
			return;
		}
	}
	check_add(a->checks, "policy.chip", CHECK_FAIL, "%s is not in the policy's list", id);
}

/* A provider's key signs for whatever machine of its, and AMD gave it away. */
static void check_vlek(struct appraisal *a)
{
	const struct policy_destination *d = a->d;
	const char *csp = a->claims.csp;
	bool listed = false;

	if (strcmp(a->claims.signer, "VLEK") != 0) {
		check_add(a->checks, "policy.vlek", CHECK_PASS, "signed by the chip's own key");
		return;
	}
	for (uint32_t i = 0; i < d->vlek_csps; i++)
		listed |= !strcmp(d->vlek_csp[i], csp);
	if (d->vlek == VLEK_DENY || (d->vlek == VLEK_LISTED && !listed)) {
		check_add(a->checks, "policy.vlek", CHECK_FAIL,
		          "signed by a key of the provider %s, %s", csp,
		          d->vlek == VLEK_DENY ? "but the policy takes none of a provider's"
		                               : "which is not in the policy's list");
		return;
	}
	check_add(a->checks, "policy.vlek", CHECK_PASS, "signed by a key of the provider %s%s", csp,
	          listed ? "" : ", as any may");
	if (!listed)
		verdict_loosened(a->v,
		                 "vlek = any: %s has the key that signed, and any machine may be "
		                 "behind it",
		                 csp);
}

static void check_bits(struct appraisal *a, const char *id, uint64_t is, uint64_t required,
                       uint64_t forbidden)
{
	uint64_t missing = required & ~is, unwanted = forbidden & is;

	if (!required && !forbidden)
		skip(a, id, "the policy demands nothing of it");
	else if (missing || unwanted)
		check_add(a->checks, id, CHECK_FAIL,
		          "0x%" PRIx64 ": bits 0x%" PRIx64 " are missing, 0x%" PRIx64
		          " must not be set",
		          is, missing, unwanted);
	else
		check_add(a->checks, id, CHECK_PASS, "0x%" PRIx64, is);
}

static void check_host_data(struct appraisal *a)
{
	const struct policy_destination *d = a->d;
	char is[2 * MEASUREMENT_MAX + 1];

	hex_of(a->claims.host_data, sizeof(a->claims.host_data), is);
	/* What is not pinned is zero in the model, and has to be zero in the evidence. */
	if (!memcmp(d->host_data, a->claims.host_data, sizeof(d->host_data)))
		check_add(a->checks, "policy.host-data", CHECK_PASS, "%s",
		          d->has_host_data ? is : "zero");
	else
		check_add(a->checks, "policy.host-data", CHECK_FAIL, "%s, but the policy %s", is,
		          d->has_host_data ? "pins another" : "does not pin it");
}

static void check_vmpl(struct appraisal *a)
{
	uint32_t is = a->claims.vmpl, must = a->d->vmpl;

	if (is == must)
		check_add(a->checks, "policy.vmpl", CHECK_PASS, "%" PRIu32, is);
	else
		check_add(a->checks, "policy.vmpl", CHECK_FAIL,
		          "%" PRIu32 ", but %" PRIu32 " is demanded", is, must);
}

static void check_snp(struct appraisal *a)
{
	static const char *const ids[] = {"policy.vlek", "policy.host-data", "policy.vmpl",
	                                  "policy.platform", "policy.guest-policy"};
	const struct policy_destination *d = a->d;
	const struct claims *c = &a->claims;

	if (c->tee != TEE_SNP) {
		for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
			skip(a, ids[i], "not an SNP platform");
		return;
	}
	check_vlek(a);
	check_host_data(a);
	check_vmpl(a);
	check_bits(a, "policy.platform", c->platform_info, d->platform_required,
	           d->platform_forbidden);
	check_bits(a, "policy.guest-policy", c->policy, d->guest_policy_required,
	           d->guest_policy_forbid);
}

static void skip_identity(struct appraisal *a, const char *why)
{
	static const char *const ids[] = {
	        "policy.tee",        "policy.chip",         "policy.tcb-floor",
	        "policy.tcb-status", "policy.tcb-date",     "policy.tcb-evaluation",
	        "policy.vlek",       "policy.host-data",    "policy.vmpl",
	        "policy.platform",   "policy.guest-policy", "policy.attributes"};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		skip(a, ids[i], why);
}

static void check_identity(struct appraisal *a)
{
	const struct policy_destination *d = a->d;
	const struct claims *c = &a->claims;

	check_server_key(a);
	if (!a->evidence_holds) {
		skip_identity(a, "the evidence does not hold");
		return;
	}
	check_tee(a);
	check_chip(a);
	policy_check_tcb_floor(d, c, a->v);
	policy_check_tcb_status(d, c, a->at, a->v);
	policy_check_tcb_date(d, c, a->v);
	policy_check_tcb_evaluation(d, c, a->v);
	check_snp(a);
	check_bits(a, "policy.attributes", c->policy, d->attributes_required[c->tee],
	           d->attributes_forbidden[c->tee]);
}

/* -------------------------------------------------------------------- the ledger */

static int check_head(struct appraisal *a, const struct policy_ledger *l,
                      const struct ledger_head *head, policy_last_fn last, void *ctx,
                      struct policy_head_update *out)
{
	struct ledger_last seen = {0};
	struct checks made = {0};

	if (last)
		last(ctx, head->cp.origin, &seen);
	a->last = seen;
	out->cp = head->cp;
	out->at = head->quorum_at;
	ledger_check_clock(&seen, a->at, &made);
	out->step = ledger_head_step(&seen, &head->cp, NULL, 0, l->require_known, &made);
	return take_checks(a, &made) == CHECK_PASS ? 0 : -EINVAL;
}

/* The proof, the head, then what the leaf says: it is read only once it is known to be logged. */
static int check_proof(struct appraisal *a, const struct policy_ledger *l, policy_last_fn last,
                       void *ctx, struct policy_head_update *out)
{
	bool witnessed = l->tlog->quorum >= 0;
	/* Without witnesses nobody says how old a head is. */
	struct ledger_time time = {.at = a->at, .max_age = witnessed ? l->max_age : -1};
	struct ledger_head head = {0};
	struct tlog_proof proof;
	struct checks made = {0};
	int rc = ledger_verify_proof(a->proof, a->leaf, l->tlog, &time, &head, &made);

	if (rc)
		return rc;
	if (take_checks(a, &made) != CHECK_PASS)
		return 0;
	if (!witnessed)
		verdict_loosened(a->v, "allow-no-quorum = true: no witness vouches for the ledger");
	verdict_limit(a->v, head.fresh_until);
	if (check_head(a, l, &head, last, ctx, out))
		return 0;
	if (!ledger_proof_parse(a->proof, &proof))
		policy_check_renewed(a->d, &a->last, proof.index, a->at, a->v);
	memset(&made, 0, sizeof(made));
	rc = ledger_statement_parse(a->leaf, a->at, &a->statement, &made);
	if (rc == -ENOMEM)
		return rc;
	a->statement_holds = take_checks(a, &made) == CHECK_PASS;
	if (a->statement_holds)
		verdict_limit(a->v, a->statement.not_after);
	return 0;
}

/* Does the statement name what the evidence shows? It is judged once its proof held. */
static bool speaks_of(struct appraisal *a, struct bytes leaf)
{
	struct checks unused = {0};
	bool is = !ledger_statement_parse(leaf, a->at, &a->statement, &unused) &&
	          policy_statement_is(&a->statement, &a->claims);

	memset(&a->statement, 0, sizeof(a->statement));
	return is;
}

/* Of the policy's statements that are proved the one that speaks of this peer, else the first. */
static void take_own(struct appraisal *a, const struct policy_ledger *l)
{
	for (uint32_t i = 0; a->shown->proof_of && i < a->d->leaves; i++) {
		struct bytes leaf = a->d->leaf[i], proof;
		struct hash h;
		bool is;

		ledger_leaf_hash(leaf, &h);
		proof = a->shown->proof_of(a->shown->proof_ctx, l->tlog, &h);
		if (!proof.n)
			continue;
		is = speaks_of(a, leaf);
		if (is || !a->proof.n) {
			a->proof = proof;
			a->leaf = leaf;
		}
		if (is)
			return;
	}
}

static int check_ledger(struct appraisal *a, policy_last_fn last, void *ctx,
                        struct policy_head_update *out)
{
	const struct policy_ledger *l;

	if (a->d->ledger < 0) {
		skip(a, "policy.ledger", "ledger = none");
		verdict_loosened(a->v, "ledger = none: %s",
		                 a->d->release < 0
		                         ? "no public ledger was asked"
		                         : "no witness vouches for the log of the release");
		return 0;
	}
	l = &a->p->ledger[a->d->ledger];
	out->ledger = (uint32_t)a->d->ledger;
	a->proof = a->shown->cmw.proof;
	a->leaf = a->shown->cmw.leaf;
	if (!a->proof.n && !a->leaf.n)
		take_own(a, l);
	if (!a->proof.n || !a->leaf.n) {
		check_add(a->checks, "policy.ledger", CHECK_UNAVAILABLE,
		          "the peer sent no %s for ledger %s",
		          a->leaf.n    ? "proof"
		          : a->proof.n ? "statement"
		                       : "statement and no proof",
		          l->name);
		return 0;
	}
	check_add(a->checks, "policy.ledger", CHECK_PASS, "%s for ledger %s",
	          a->shown->cmw.leaf.n ? "a statement and a proof"
	                               : "the policy's statement and a proof that was fetched",
	          l->name);
	return check_proof(a, l, last, ctx, out);
}

/* ------------------------------------------------------------------- the release */

/* What of a release was looked at. */
struct release_found {
	struct checks checks;
	struct statement statement; /* tees == 0: it names no measurements */
	char who[SIGSTORE_TEXT_MAX];
};

/* A verdict has room for what was refused and for who signed, not for each step of a pass. */
static void take_release(struct appraisal *a, const struct policy_release *rel,
                         const struct release_found *is)
{
	const struct checks *made = &is->checks;

	a->released_holds = checks_overall(made) == CHECK_PASS && is->statement.tees;
	for (uint32_t i = 0; !a->released_holds && i < made->n; i++)
		if (made->v[i].status == CHECK_FAIL || made->v[i].status == CHECK_UNAVAILABLE)
			check_add(a->checks, made->v[i].id, (enum check_status)made->v[i].status,
			          "%s", made->v[i].detail);
	if (!a->released_holds) {
		check_add(a->checks, "policy.release", CHECK_FAIL,
		          "the %s for release %s does not hold, or names no measurement",
		          rel->keys ? "statement" : "bundle", rel->name);
		return;
	}
	a->released = is->statement;
	verdict_limit(a->v, a->released.not_after);
	check_add(a->checks, "policy.release", CHECK_PASS, "%s, signed by %s", rel->name, is->who);
}

static int verify_bundle(const struct appraisal *a, const struct policy_release *rel,
                         struct bytes bundle, struct release_found *out)
{
	const struct sigstore_artifact any = {0};
	struct sigstore_result *is = calloc(1, sizeof(*is));
	int rc;

	if (!is)
		return -ENOMEM;
	rc = sigstore_verify(bundle, rel->root, &rel->identity, &any, a->at, is, &out->checks);
	out->statement = is->statement;
	snprintf(out->who, sizeof(out->who), "%s",
	         rel->identity.key.n ? "the policy's key" : is->san);
	free(is);
	return rc;
}

static int verify_statement(const struct appraisal *a, const struct policy_release *rel,
                            struct bytes statement, struct release_found *out)
{
	const struct receipt_ask ask = {
	        .of = RECEIPT_OF_STATEMENT, .content = statement, .signer = rel->signer};
	struct receipt_result *is = calloc(1, sizeof(*is));
	int rc;

	if (!is)
		return -ENOMEM;
	rc = receipt_verify(&ask, rel->keys, a->at, is, &out->checks);
	if (!rc && checks_overall(&out->checks) == CHECK_PASS)
		(void)release_measurement(is, &out->statement);
	snprintf(out->who, sizeof(out->who), "%s", is->issuer);
	free(is);
	return rc;
}

/* What the peer sent counts; the policy's own file is for those that send nothing. */
static struct bytes find_release(const struct appraisal *a, const struct policy_release *rel)
{
	struct bytes sent = rel->keys ? a->shown->cmw.statement : a->shown->cmw.bundle;

	return sent.n ? sent : rel->keys ? rel->statement : rel->bundle;
}

static int check_release(struct appraisal *a)
{
	const struct policy_release *rel;
	struct release_found *found;
	struct bytes data;
	int rc;

	if (a->d->release < 0)
		return 0;
	rel = &a->p->release[a->d->release];
	data = find_release(a, rel);
	if (!data.n) {
		check_add(a->checks, "policy.release", CHECK_UNAVAILABLE,
		          "the peer sent no %s for release %s, and the policy has none",
		          rel->keys ? "statement" : "bundle", rel->name);
		return 0;
	}
	found = calloc(1, sizeof(*found));
	if (!found)
		return -ENOMEM;
	rc = (rel->keys ? verify_statement : verify_bundle)(a, rel, data, found);
	if (!rc)
		take_release(a, rel, found);
	free(found);
	return rc;
}

/* --------------------------------------------------------------- the measurement */

/* The registers that the ledger's statement or the release's names; policy.measurement has compared
 * them with both. */
static void add_named(const struct appraisal *a, const struct statement *s,
                      struct measurements *out)
{
	const struct measurements *m = statement_find(s, attest_tee_name(a->claims.tee));

	for (uint32_t i = 0; m && i < m->n && i < MEASUREMENTS_MAX; i++)
		if (out->n < MEASUREMENTS_MAX && !measurement_find(out, m->v[i].name))
			out->v[out->n++] = m->v[i];
}

static bool in_list(const struct appraisal *a)
{
	struct register_name launch;

	return policy_launch_register(a->claims.tee, &launch) &&
	       policy_register_listed(a->d->measurement, a->d->measurements, &a->claims,
	                              launch.name);
}

bool policy_statement_is(const struct statement *s, const struct claims *c)
{
	const struct measurements *must = statement_find(s, attest_tee_name(c->tee));

	if (!must || !must->n || must->n > MEASUREMENTS_MAX)
		return false;
	for (uint32_t i = 0; i < must->n; i++)
		if (!policy_register_is(c, &must->v[i]))
			return false;
	return true;
}

static void check_measurement(struct appraisal *a)
{
	const struct measurement *first = &a->claims.measurements.v[0];
	bool ask_ledger = a->d->ledger >= 0, ask_list = a->d->measurements;
	bool ask_release = a->d->release >= 0;
	char is[2 * MEASUREMENT_MAX + 1] = "none";

	if (!a->evidence_holds) {
		skip(a, "policy.measurement", "the evidence does not hold");
		return;
	}
	if (a->claims.measurements.n)
		hex_of(first->value, first->len, is);
	if (ask_list && !in_list(a))
		check_add(a->checks, "policy.measurement", CHECK_FAIL,
		          "%s is not in the policy's list", is);
	else if (ask_ledger && !a->statement_holds)
		skip(a, "policy.measurement", "there is no statement of the ledger that holds");
	else if (ask_release && !a->released_holds)
		skip(a, "policy.measurement", "there is no signed release that holds");
	else if (ask_release && !policy_statement_is(&a->released, &a->claims))
		check_add(a->checks, "policy.measurement", CHECK_FAIL,
		          "%s is not what the signed release says", is);
	else if (ask_ledger && !policy_statement_is(&a->statement, &a->claims))
		check_add(a->checks, "policy.measurement", CHECK_FAIL,
		          "%s is not what the logged statement says", is);
	else if (!ask_list && !ask_ledger && !ask_release)
		check_add(a->checks, "policy.measurement", CHECK_FAIL,
		          "neither a list nor a ledger nor a release says what %s is", is);
	else
		check_add(a->checks, "policy.measurement", CHECK_PASS, "%s", is);
}

static void check_registers(struct appraisal *a)
{
	struct measurements named = {0};
	bool lacks = (a->d->ledger >= 0 && !a->statement_holds) ||
	             (a->d->release >= 0 && !a->released_holds);

	if (!a->evidence_holds) {
		skip(a, "policy.registers", "the evidence does not hold");
		return;
	}
	if (a->statement_holds)
		add_named(a, &a->statement, &named);
	if (a->released_holds)
		add_named(a, &a->released, &named);
	policy_check_registers(a->d, &a->claims, named.n ? &named : NULL, lacks, a->v);
}

/* What the policy takes back of what is logged or listed. */
static void check_withdrawn(struct appraisal *a)
{
	const struct statement *s = a->statement_holds ? &a->statement : NULL;
	struct hash leaf = {{0}};

	if (s)
		ledger_leaf_hash(a->leaf, &leaf);
	else if (a->released_holds)
		s = &a->released;
	policy_check_denied(a->d, a->evidence_holds ? &a->claims : NULL, s, &leaf, a->v);
	policy_check_version(a->d, s, a->v);
	/* Of two statements neither may be denied or too old. */
	if (a->statement_holds && a->released_holds) {
		memset(&leaf, 0, sizeof(leaf));
		policy_check_denied(a->d, NULL, &a->released, &leaf, a->v);
		policy_check_version(a->d, &a->released, a->v);
	}
}

/* ------------------------------------------------------------------------- whole */

static bool is_judged(const struct policy *p, uint32_t destination,
                      const struct policy_presented *shown)
{
	return destination < p->destinations && policy_judges(p->destination[destination].action) &&
	       shown->cmw.endorsements_n <= CMW_ENDORSEMENTS_MAX;
}

int policy_recheck(const struct policy *p, uint32_t destination,
                   const struct policy_presented *shown, int64_t at, struct checks *out)
{
	struct verdict *v = is_judged(p, destination, shown) ? calloc(1, sizeof(*v)) : NULL;
	struct appraisal a = {.p = p, .shown = shown, .at = at, .v = v};
	int rc;

	if (!v)
		return is_judged(p, destination, shown) ? -ENOMEM : -EINVAL;
	a.d = &p->destination[destination];
	a.checks = &v->checks;
	verdict_init(v, a.d->name, at);
	hex_encode(BYTES_OF(shown->spki_sha256), v->server_key);
	rc = check_evidence(&a);
	if (!rc) {
		check_identity(&a);
		*out = v->checks;
	}
	free(v);
	return rc;
}

int policy_appraise(const struct policy *p, uint32_t destination,
                    const struct policy_presented *shown, int64_t at, policy_last_fn last,
                    void *ctx, struct verdict *v, struct policy_head_update *head)
{
	struct appraisal a = {.p = p, .shown = shown, .at = at, .v = v, .checks = &v->checks};
	int rc;

	memset(head, 0, sizeof(*head));
	if (!is_judged(p, destination, shown))
		return -EINVAL;
	a.d = &p->destination[destination];
	hex_encode(BYTES_OF(shown->spki_sha256), v->server_key);
	check_binder(&a);
	rc = check_evidence(&a);
	if (rc)
		return rc;
	check_identity(&a);
	rc = check_ledger(&a, last, ctx, head);
	if (rc)
		return rc;
	rc = check_release(&a);
	if (rc)
		return rc;
	check_withdrawn(&a);
	check_measurement(&a);
	check_registers(&a);
	verdict_limit(v, at > INT64_MAX - a.d->lease ? INT64_MAX : at + a.d->lease);
	verdict_seal(v);
	return 0;
}
