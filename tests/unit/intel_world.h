/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A simulated Intel machine, its quote and its collateral, for the tests of attest/: each test
 * bends one thing, before or after it was signed, and says which check has to see it.
 */
#ifndef KEYGATE_TESTS_INTEL_WORLD_H
#define KEYGATE_TESTS_INTEL_WORLD_H

#include "attester/sim_intel.h"
#include "attester/sim_pki.h"
#include "tests/unit/attest_build.h"

/* Every form of quote that is appraised. */
struct kind {
	const char *name;
	enum tee tee;
	uint16_t version, body_type;
};

static MAYBE_UNUSED const struct kind sgx_v3 = {"sgx v3", TEE_SGX, INTEL_V3, INTEL_BODY_SGX};
static MAYBE_UNUSED const struct kind tdx_v4 = {"tdx v4", TEE_TDX, INTEL_V4, INTEL_BODY_TD10};
static MAYBE_UNUSED const struct kind tdx_v5_td10 = {"tdx v5, TD 1.0", TEE_TDX, INTEL_V5,
                                                     INTEL_BODY_TD10};
static MAYBE_UNUSED const struct kind tdx_v5 = {"tdx v5, TD 1.5", TEE_TDX, INTEL_V5,
                                                INTEL_BODY_TD15};

/* What is sent with the quote, by its place among the endorsements. */
enum piece { TCB_INFO, QE_IDENTITY, TCB_CHAIN, PCK_CRL, ROOT_CRL, PIECES };

struct world {
	const struct kind *kind;
	struct sim_intel p;
	struct buf quote;
	struct buf more;         /* a further piece, if a test makes one */
	EVP_PKEY *other;         /* a key that nobody vouches for */
	struct pki_cache *cache; /* NULL until world_cached */
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

static MAYBE_UNUSED void world_start(struct world *w, const struct kind *k)
{
	*w = (struct world){.kind = k,
	                    .quote = buf_make(SIM_INTEL_QUOTE_MAX),
	                    .more = buf_make(SIM_INTEL_JSON_MAX),
	                    .other = EVP_EC_gen("P-256")};
	assert_non_null(w->other);
	assert_int_equal(sim_intel_begin(&w->p, k->tee, k->version, k->body_type, SIM_AT), 0);
}

/* Certificates, collateral and quote, and the input in which they all are. */
static MAYBE_UNUSED void world_finish(struct world *w)
{
	assert_int_equal(sim_intel_certify(&w->p), 0);
	assert_int_equal(sim_intel_publish(&w->p), 0);
	buf_reset(&w->quote);
	assert_int_equal(sim_intel_quote(&w->p, NULL, &w->quote), 0);
	w->in = (struct attest_input){
	        .type = w->kind->tee,
	        .evidence = buf_view(&w->quote),
	        .endorsements = {[TCB_INFO] = buf_view(&w->p.tcb_info_text),
	                         [QE_IDENTITY] = buf_view(&w->p.qe_identity_text),
	                         [TCB_CHAIN] = buf_view(&w->p.tcb_chain),
	                         [PCK_CRL] = buf_view(&w->p.pck_crl.der),
	                         [ROOT_CRL] = buf_view(&w->p.root_crl.der)},
	        .endorsements_n = PIECES,
	        .anchors = {buf_view(&w->p.root_pem)},
	        .anchors_n = 1,
	        .at = SIM_AT,
	        .require_crl = true,
	};
}

static MAYBE_UNUSED void world_judge(struct world *w)
{
	memset(&w->checks, 0, sizeof(w->checks));
	assert_int_equal(attest_appraise(&w->in, &w->claims, &w->checks), 0);
}

static MAYBE_UNUSED void world_end(struct world *w)
{
	sim_intel_free(&w->p);
	pki_cache_free(w->cache);
	buf_free(&w->quote);
	buf_free(&w->more);
	EVP_PKEY_free(w->other);
}

static MAYBE_UNUSED void world_good(struct world *w, const struct kind *k)
{
	world_start(w, k);
	world_finish(w);
}

/* For what is judged thousands of times. */
static MAYBE_UNUSED void world_cached(struct world *w)
{
	w->cache = pki_cache_new();
	assert_non_null(w->cache);
	w->in.cache = w->cache;
}

static MAYBE_UNUSED void world_drop(struct world *w, enum piece which)
{
	w->in.endorsements[which] = w->in.endorsements[--w->in.endorsements_n];
}

static MAYBE_UNUSED void world_add(struct world *w, const struct buf *piece)
{
	w->in.endorsements[w->in.endorsements_n++] = buf_view(piece);
}

/* "tdx.signature" of "signature". */
static MAYBE_UNUSED const char *check_id(const struct kind *k, const char *what)
{
	static char id[CHECK_ID_MAX];

	snprintf(id, sizeof(id), "%s.%s", attest_tee_name(k->tee), what);
	return id;
}

/* That these checks, up to a NULL, have this status, and all others pass or were skipped. */
static MAYBE_UNUSED void expect_these(const struct world *w, const char *const *what,
                                      enum check_status want)
{
	size_t seen = 0, n = 0;
	bool ok = !w->checks.overflow;

	while (what[n])
		n++;
	for (uint32_t i = 0; i < w->checks.n; i++) {
		const struct check *c = &w->checks.v[i];
		bool named = false;

		for (size_t k = 0; k < n; k++)
			named |= !strcmp(c->id, check_id(w->kind, what[k]));
		seen += named;
		ok &= named ? c->status == want
		            : c->status == CHECK_PASS || c->status == CHECK_SKIP;
	}
	if (!ok || seen != n) {
		print_message("%s: expected %s...\n", w->kind->name, what[0]);
		print_checks(&w->checks);
		fail();
	}
}

/* ------------------------------------------------------------------------ rows */

enum stage { BEFORE, AFTER }; /* certificates, collateral and quote are made */

struct row {
	const char *what;
	enum stage stage;
	void (*bend)(struct world *w);
	const char *check;
	enum check_status want;
};

static MAYBE_UNUSED void run_rows(const struct kind *k, const struct row *row, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct world w;

		world_start(&w, k);
		if (row[i].stage == BEFORE)
			row[i].bend(&w);
		world_finish(&w);
		if (row[i].stage == AFTER)
			row[i].bend(&w);
		world_judge(&w);
		if (!checks_find(&w.checks, check_id(k, row[i].check)) ||
		    checks_find(&w.checks, check_id(k, row[i].check))->status != row[i].want)
			print_message("%s: %s\n", k->name, row[i].what);
		expect_only(&w.checks, check_id(k, row[i].check), row[i].want);
		world_end(&w);
	}
}

#define RUN_ROWS(kind, rows) run_rows((kind), (rows), sizeof(rows) / sizeof((rows)[0]))

/* ----------------------------------------------------------------------- quote */

/* Where the parts of the quote begin. */
static MAYBE_UNUSED size_t at_body(const struct world *w)
{
	return INTEL_HEADER_LEN + (w->kind->version == INTEL_V5 ? INTEL_BODY_HEADER_LEN : 0);
}

static MAYBE_UNUSED size_t at_length(const struct world *w)
{
	return at_body(w) + w->p.body_n;
}

static MAYBE_UNUSED size_t at_signature(const struct world *w)
{
	return at_length(w) + 4;
}

static MAYBE_UNUSED size_t at_key(const struct world *w)
{
	return at_signature(w) + INTEL_SIG_LEN;
}

static MAYBE_UNUSED size_t at_qe_report(const struct world *w)
{
	return at_key(w) + INTEL_KEY_LEN + (w->kind->version == INTEL_V3 ? 0 : 6);
}

static MAYBE_UNUSED size_t at_qe_signature(const struct world *w)
{
	return at_qe_report(w) + INTEL_SGX_BODY_LEN;
}

static MAYBE_UNUSED size_t at_qe_auth(const struct world *w)
{
	return at_qe_signature(w) + INTEL_SIG_LEN;
}

static MAYBE_UNUSED size_t at_cert_data(const struct world *w)
{
	return at_qe_auth(w) + 2 + w->p.qe_auth_n;
}

/* ------------------------------------------------------------------ collateral */

static MAYBE_UNUSED json_t *tcb_level(struct world *w, size_t i)
{
	return json_array_get(json_object_get(w->p.tcb_info, "tcbLevels"), i);
}

static MAYBE_UNUSED json_t *qe_level(struct world *w, size_t i)
{
	return json_array_get(json_object_get(w->p.qe_identity, "tcbLevels"), i);
}

static MAYBE_UNUSED json_t *tdx_module(struct world *w, size_t i)
{
	return json_array_get(json_object_get(w->p.tcb_info, "tdxModuleIdentities"), i);
}

static MAYBE_UNUSED json_t *module_level(struct world *w, size_t module, size_t i)
{
	return json_array_get(json_object_get(tdx_module(w, module), "tcbLevels"), i);
}

static MAYBE_UNUSED void set_text(json_t *o, const char *key, const char *value)
{
	assert_int_equal(json_object_set_new(o, key, json_string(value)), 0);
}

static MAYBE_UNUSED void set_number(json_t *o, const char *key, int64_t value)
{
	assert_int_equal(json_object_set_new(o, key, json_integer(value)), 0);
}

/* SVN i of the components of a level. */
static MAYBE_UNUSED void set_component(json_t *level, const char *which, size_t i, int svn)
{
	json_t *tcb = json_object_get(level, "tcb");

	set_number(json_array_get(json_object_get(tcb, which), i), "svn", svn);
}

static MAYBE_UNUSED void set_dates(json_t *o, int64_t from, int64_t to)
{
	char text[21];

	sim_intel_date(from, text);
	set_text(o, "issueDate", text);
	sim_intel_date(to, text);
	set_text(o, "nextUpdate", text);
}

#endif
