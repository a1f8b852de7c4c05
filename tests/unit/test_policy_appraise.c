/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict: one world in which everything holds, and for each check one change that trips
 * exactly that check. Evidence is of a simulated SNP platform whose root the policy names as an
 * anchor; the ledger is a small tree with three witnesses.
 */
#include "attest_build.h"
#include "policy_ledger.h"
#include "policy/appraise.h"

static const char destination_head[] =
        "default-action = allow\n"
        "ledger acme { policy = acme.policy max-age = 1h }\n"
        "ledger lax { policy = none.policy allow-no-quorum = true }\n"
        "ledger single { policy = single.policy }\n"
        "ledger known { policy = acme.policy first-use = refuse }\n"
        "anchor lab { tee = snp file = lab.pem }\n"
        "anchor other { tee = snp file = other.pem }\n"
        "destination d { address = 192.0.2.1 port = 443 action = gate tee = snp anchor = lab\n";

struct world {
	struct sim sim;
	struct der crl;
	uint8_t report[SNP_REPORT_LEN];
	EVP_PKEY *report_key; /* NULL: the chip's */
	struct logbook log;
	struct ledger_last last;
	struct policy_presented shown;
	bool bare;     /* the peer staples nothing */
	bool no_floor; /* the policy says nothing of the firmware */
	/* What came of it. */
	struct policy *p;
	struct verdict v;
	struct policy_head_update head;
};

/* --------------------------------------------------------------------- the ledger */

/* A statement on this SNP measurement (NULL: one on TDX alone). */
static void make_leaf(struct world *w, const uint8_t *snp, const char *more)
{
	char hex[97] = "", predicate[512];

	if (snp) {
		hex_encode((struct bytes){snp, 48}, hex);
		snprintf(predicate, sizeof(predicate), "\"snp_measurement\":\"%s\"%s", hex, more);
	} else {
		snprintf(predicate, sizeof(predicate),
		         "\"tdx\":{\"mrtd\":\"%096d\",\"rtmr1\":\"%096d\",\"rtmr2\":\"%096d\"}%s",
		         1, 2, 3, more);
	}
	make_statement(&w->log, predicate);
}

/* ----------------------------------------------------------------------- the world */

static void world_start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	sim_start(&w->sim, "Milan");
	sim_certs(&w->sim);
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN, SIM_END, 0, &w->crl);
	sim_report(&w->sim, 3, w->report);
	memset(w->report + SNP_OFF_HOST_DATA, 0, 32);
	logbook_start(&w->log, SIM_AT);
	make_leaf(w, w->report + SNP_OFF_MEASUREMENT, "");
	w->shown.binder = BINDER_CONNECTION;
	w->shown.check_report_data = true;
	memset(w->shown.spki_sha256, 0x77, 32);
	memset(w->shown.report_data, 0x5a, 64);
	snprintf(w->shown.cmw.evidence_type, sizeof(w->shown.cmw.evidence_type), "%s",
	         attest_media_type(TEE_SNP));
}

static void world_free(struct world *w)
{
	logbook_free(&w->log);
	policy_free(w->p);
	w->p = NULL;
}

static void look_up_last(void *ctx, const char *origin, struct ledger_last *out)
{
	const struct world *w = ctx;

	assert_string_equal(origin, LOG_NAME);
	*out = w->last;
}

static void add_pem(struct files *f, const char *name, const struct der *d)
{
	char pem[8192];
	size_t n = pem_of("CERTIFICATE", der_view(d), pem, sizeof(pem));

	files_add(f, name, (struct bytes){(const uint8_t *)pem, n});
}

static const char other_leaf[] =
        "{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[{\"name\":\"other\",\"digest\":{\"sha256\":"
        "\"" ONES "\"}}],\"predicateType\":\"" STATEMENT_PREDICATE
        "\",\"predicate\":{\"snp_measurement\":\"" ONES
        "22222222222222222222222222222222\",\"version\":\"1\"}}";

/* A policy_proof_fn: of whatever leaf, the proof is the one of the log's. */
static struct bytes own_proof(void *ctx, const struct tlog_policy *logs, const struct hash *leaf)
{
	const struct world *w = ctx;

	(void)leaf;
	assert_string_equal(logs->log[0].name, LOG_NAME);
	return buf_view(&w->log.proof);
}

/* Parses the policy: the head above, and more keys of the destination (or ledger = acme). */
static void world_policy(struct world *w, const char *more)
{
	struct buf text = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy_file in = {.path = FILE_A};
	struct sim other;
	struct files f;

	files_make(&f);
	add_pem(&f, DIR "policy.d/lab.pem", &w->sim.ark);
	files_add(&f, DIR "policy.d/own.leaf", buf_view(&w->log.leaf));
	files_add(&f, DIR "policy.d/other.leaf", bytes_str(other_leaf));
	sim_start(&other, "Genoa");
	sim_certs(&other);
	add_pem(&f, DIR "policy.d/other.pem", &other.ark);
	buf_printf(&text, "%s %s %s }\n", destination_head, *more ? more : "ledger = acme",
	           w->no_floor || strstr(more, "min-tcb") ? "" : "min-tcb = \"snp=1\"");
	in.text = buf_view(&text);
	policy_free(w->p);
	w->p = NULL;
	if (policy_parse(&in, 1, files_load, &f, SIM_AT, &w->p, &issues)) {
		print_issues(&issues);
		fail();
	}
	files_free(&f);
	buf_free(&text);
}

/* Signs what is not signed yet, and judges. */
static void world_judge(struct world *w)
{
	struct cmw *cmw = &w->shown.cmw;

	sim_sign(w->report, w->report_key ? w->report_key : sim_keys()->vek);
	if (!cmw->proof.n && w->log.proof.max)
		make_proof(&w->log);
	cmw->evidence = (struct bytes){w->report, sizeof(w->report)};
	cmw->endorsements[0] = der_view(&w->sim.vek);
	cmw->endorsements[1] = der_view(&w->sim.ask);
	cmw->endorsements[2] = der_view(&w->crl);
	cmw->endorsements_n = w->crl.n ? 3 : 2;
	cmw->leaf = w->bare ? BYTES_NONE : buf_view(&w->log.leaf);
	cmw->proof = w->bare ? BYTES_NONE : buf_view(&w->log.proof);
	verdict_init(&w->v, "d", SIM_AT);
	assert_int_equal(
	        policy_appraise(w->p, 0, &w->shown, SIM_AT, look_up_last, w, &w->v, &w->head), 0);
	assert_int_equal(w->v.sealed, VERDICT_SEALED);
}

/* Judges under a policy with these keys, expects exactly this refusal, and ends the world. */
static void refused(struct world *w, const char *more, const char *id, enum check_status status,
                    const char *detail)
{
	world_policy(w, more);
	world_judge(w);
	expect_only(&w->v.checks, id, status);
	if (!strstr(checks_find(&w->v.checks, id)->detail, detail)) {
		print_checks(&w->v.checks);
		fail_msg("%s does not say \"%s\"", id, detail);
	}
	assert_false(verdict_passed(&w->v, SIM_AT));
	world_free(w);
}

static void passes(struct world *w, const char *more)
{
	world_policy(w, more);
	world_judge(w);
	expect_pass(&w->v.checks);
	assert_true(verdict_passed(&w->v, SIM_AT));
}

/* ------------------------------------------------------------------------- it holds */

static void all_holds(void **state)
{
	/* In this order, each of them once; the platform's and the ledger's own come between. */
	static const char *const order[] = {
	        "policy.binder",     "snp.format",          "policy.server-key",
	        "policy.tee",        "policy.chip",         "policy.tcb-floor",
	        "policy.tcb-status", "policy.tcb-date",     "policy.tcb-evaluation",
	        "policy.vlek",       "policy.host-data",    "policy.vmpl",
	        "policy.platform",   "policy.guest-policy", "policy.attributes",
	        "policy.ledger",     "ledger.quorum",       "ledger.first-use",
	        "ledger.statement",  "policy.measurement",  "policy.registers"};
	const struct check *before = NULL;
	char hex[65];
	struct world w;

	(void)state;
	world_start(&w);
	passes(&w, "");
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		const struct check *c = checks_find(&w.v.checks, order[i]);

		if (!c || (before && c <= before))
			fail_msg("%s is missing or out of order", order[i]);
		before = c;
	}
	assert_string_equal(w.v.tee, "snp");
	assert_string_equal(w.v.binder, "connection");
	memset(hex, '7', 64);
	hex[64] = '\0';
	assert_string_equal(w.v.server_key, hex);
	assert_int_equal(w.v.measurements.n, 5);
	assert_memory_equal(w.v.measurements.v[0].value, w.report + SNP_OFF_MEASUREMENT, 48);
	/* The anchor is the one loosening of this world. */
	assert_int_equal(w.v.loosenings, 1);
	assert_non_null(strstr(w.v.loosening[0], "anchor"));
	assert_int_equal(w.head.step, HEAD_FIRST);
	assert_int_equal(w.head.ledger, 0);
	assert_int_equal(w.head.cp.size, TREE);
	assert_string_equal(w.head.cp.origin, LOG_NAME);
	world_free(&w);
}

/* The verdict ends with the first thing that it rests on. */
static void valid_until(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	passes(&w, "ledger = acme lease = 10s");
	assert_int_equal(w.v.valid_until, SIM_AT + 10);
	world_free(&w);
	/* Cosigned a minute ago, good for an hour. */
	world_start(&w);
	passes(&w, "ledger = acme lease = 2h");
	assert_int_equal(w.v.valid_until, SIM_AT - 60 + 3600);
	world_free(&w);
	world_start(&w);
	make_leaf(&w, w.report + SNP_OFF_MEASUREMENT, ",\"not_after\":1750000007");
	passes(&w, "ledger = acme lease = 2h");
	assert_int_equal(w.v.valid_until, SIM_AT + 7);
	world_free(&w);
	world_start(&w);
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN, SIM_AT + 5, 0, &w.crl);
	passes(&w, "ledger = acme lease = 2h");
	assert_int_equal(w.v.valid_until, SIM_AT + 5);
	world_free(&w);
	/* A lease over the end of time is no lease that ends at once. */
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].lease = INT64_MAX;
	world_judge(&w);
	assert_true(verdict_passed(&w.v, SIM_AT));
	world_free(&w);
}

/* --------------------------------------------------------------- the evidence's checks */

static void binder(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.shown.binder = BINDER_LEASE;
	refused(&w, "", "policy.binder", CHECK_FAIL, "lease, but connection");
	world_start(&w);
	w.shown.binder = BINDER_NONE;
	refused(&w, "ledger = acme binder = certificate", "policy.binder", CHECK_FAIL, "none");
	world_start(&w);
	w.shown.binder = BINDER_CERTIFICATE;
	refused(&w, "ledger = acme binder = nonce", "policy.binder", CHECK_FAIL, "certificate");
	/* Without a connection nothing can pass, whatever the caller says of the binder. */
	world_start(&w);
	w.shown.check_report_data = false;
	refused(&w, "", "policy.binder", CHECK_UNAVAILABLE, "without a connection");

	world_start(&w);
	w.shown.binder = BINDER_NONCE;
	passes(&w, "ledger = acme binder = certificate");
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[0], "binder = certificate"));
	assert_string_equal(w.v.binder, "nonce");
	world_free(&w);
	world_start(&w);
	passes(&w, "ledger = acme binder = certificate");
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
}

#define KEY77 "sha256:7777777777777777777777777777777777777777777777777777777777777777"
#define KEY78 "sha256:7777777777777777777777777777777777777777777777777777777777777778"

/* What each binder leaves open stands in every verdict; a pinned key says which machine it is. */
static void binder_words(void **state)
{
	static const struct {
		enum policy_binder binder;
		const char *more, *says;
	} rows[] = {
	        {BINDER_CONNECTION, "ledger = acme", "connection: which of the machines"},
	        {BINDER_CONNECTION, "ledger = acme server-key = \"" KEY77 "\"", "connection"},
	        {BINDER_NONCE, "ledger = acme binder = nonce", "may relay the evidence"},
	        {BINDER_CERTIFICATE, "ledger = acme binder = certificate", "may be old"},
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *detail;

		world_start(&w);
		w.shown.binder = rows[i].binder;
		memset(w.shown.spki_sha256, 0x77, 32);
		passes(&w, rows[i].more);
		detail = checks_find(&w.v.checks, "policy.binder")->detail;
		if (i == 1)
			assert_string_equal(detail, rows[i].says);
		else
			assert_non_null(strstr(detail, rows[i].says));
		world_free(&w);
	}
}

static void what_is_missing(struct world *w, const char *says)
{
	world_judge(w);
	expect_only(&w->v.checks, "snp.revocation", CHECK_UNAVAILABLE);
	if (!strstr(checks_find(&w->v.checks, "snp.revocation")->detail, says)) {
		print_checks(&w->v.checks);
		fail_msg("it does not say \"%s\"", says);
	}
}

/* What is missing is unavailable, and it is said who should have it, and that he does not give it.
 */
static void missing_collateral(void **state)
{
	static policy_trouble trouble;
	struct policy_wants wants;
	struct world w;

	(void)state;
	memset(trouble, 0, sizeof(trouble));
	world_start(&w);
	w.crl.n = 0;
	w.shown.wants = &wants;
	world_policy(&w, "");
	what_is_missing(&w, "; nothing is fetched: the policy has no collateral \"amd\" block");
	snprintf(w.p->source[VENDOR_AMD].url, sizeof(w.p->source[VENDOR_AMD].url), "https://x/");
	what_is_missing(&w, "; keygated fetches what is missing");
	w.shown.trouble = &trouble;
	snprintf(trouble[VENDOR_INTEL], POLICY_TROUBLE_MAX, "another one");
	what_is_missing(&w, "; keygated fetches what is missing");
	assert_null(strstr(checks_find(&w.v.checks, "snp.revocation")->detail, "another"));
	snprintf(trouble[VENDOR_AMD], POLICY_TROUBLE_MAX, "the service answered 429");
	what_is_missing(&w, "; keygated fetches what is missing, but the service answered 429");
	world_free(&w);
}

static void evidence(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.report_key = sim_keys()->other;
	world_policy(&w, "");
	world_judge(&w);
	assert_int_equal(checks_first(&w.v.checks, CHECK_FAIL) -
	                         checks_find(&w.v.checks, "snp.signature"),
	                 0);
	/* The ledger is still looked at, but nothing of what the report says. */
	assert_int_equal(checks_find(&w.v.checks, "ledger.quorum")->status, CHECK_PASS);
	assert_int_equal(checks_find(&w.v.checks, "ledger.statement")->status, CHECK_PASS);
	assert_int_equal(checks_find(&w.v.checks, "policy.measurement")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&w.v.checks, "policy.tee")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&w.v.checks, "policy.host-data")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&w.v.checks, "policy.tcb-status")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&w.v.checks, "policy.registers")->status, CHECK_SKIP);
	assert_int_equal(w.head.step, HEAD_FIRST);
	assert_false(verdict_passed(&w.v, SIM_AT));
	world_free(&w);

	world_start(&w);
	w.shown.report_data[63] ^= 1;
	refused(&w, "", "snp.report-data", CHECK_FAIL, "");
	world_start(&w);
	w.crl.n = 0;
	refused(&w, "", "snp.revocation", CHECK_UNAVAILABLE, "");
	world_start(&w);
	put64(w.report + SNP_OFF_POLICY, 0x30000 | SNP_POLICY_DEBUG);
	refused(&w, "", "snp.debug", CHECK_FAIL, "");
	/* Nothing that can be told: no evidence at all. */
	world_start(&w);
	strcpy(w.shown.cmw.evidence_type, "text/plain");
	memset(w.report, 0xee, sizeof(w.report));
	world_policy(&w, "");
	world_judge(&w);
	assert_int_equal(checks_find(&w.v.checks, "evidence.type")->status, CHECK_FAIL);
	world_free(&w);
}

/* A loosening lets through what it names, and says so each time; else it says nothing. */
static void evidence_loosened(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.crl.n = 0;
	passes(&w, "ledger = acme require-crl = false");
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[0], "require-crl = false"));
	world_free(&w);
	world_start(&w);
	passes(&w, "ledger = acme require-crl = false");
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
	world_start(&w);
	put64(w.report + SNP_OFF_POLICY, 0x30000 | SNP_POLICY_DEBUG);
	passes(&w, "ledger = acme allow-debug = true");
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[0], "allow-debug = true"));
	world_free(&w);
	world_start(&w);
	passes(&w, "ledger = acme allow-debug = true");
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
}

/* The collateral directory's CRL serves where the peer sends none. */
static void collateral(void **state)
{
	struct world w;
	uint8_t *crl;

	(void)state;
	world_start(&w);
	world_policy(&w, "");
	crl = malloc(w.crl.n);
	memcpy(crl, w.crl.p, w.crl.n);
	assert_int_equal(policy_add_collateral(w.p, crl, w.crl.n), 0);
	w.crl.n = 0;
	world_judge(&w);
	expect_pass(&w.v.checks);
	world_free(&w);
}

/* An anchor counts for the destinations that name it, and for its own platform. */
static void anchors(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].anchors = 0;
	world_judge(&w);
	assert_int_equal(checks_find(&w.v.checks, "snp.chain")->status, CHECK_UNAVAILABLE);
	assert_false(verdict_passed(&w.v, SIM_AT));
	world_free(&w);
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].anchor[0] = 1;
	world_judge(&w);
	assert_int_not_equal(checks_find(&w.v.checks, "snp.chain")->status, CHECK_PASS);
	world_free(&w);
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].anchor[0] = 1;
	w.p->destination[0].anchor[1] = 0;
	w.p->destination[0].anchors = 2;
	world_judge(&w);
	expect_pass(&w.v.checks);
	w.p->anchor[0].tee = TEE_TDX;
	world_judge(&w);
	assert_int_not_equal(checks_find(&w.v.checks, "snp.chain")->status, CHECK_PASS);
	world_free(&w);
}

/* What is wrong with an anchor is said before a peer trips over it. */
static void anchor_issues(void **state)
{
	static const struct {
		const char *text;
		const char *issue;
		bool error;
	} cases[] = {
	        {"anchor lab { tee = snp file = lab.pem }",
	         "no destination names anchor \"lab\", so nobody trusts it; remove it, or write anchor "
	         "= {\"lab\"} where it is meant",
	         false},
	        {"destination d { address = 192.0.2.1 port = 443 action = gate tee = tdx ledger = acme\n"
	         "anchor = lab }\n"
	         "anchor lab { tee = snp file = lab.pem } ledger acme { policy = acme.policy }",
	         "anchor \"lab\" is for snp, which the tee of destination \"d\" does not name; add it "
	         "there or remove the anchor here",
	         true},
	        {"destination d { address = 192.0.2.1 port = 443 action = gate tee = snp ledger = acme min-tcb = \"snp=1\"\n"
	         "anchor = lap }\n"
	         "anchor lab { tee = snp file = lab.pem } ledger acme { policy = acme.policy }",
	         "there is no anchor \"lap\"; did you mean \"lab\"?", true},
	        {"destination d { address = 192.0.2.1 port = 443 action = gate tee = snp ledger = acme min-tcb = \"snp=1\"\n"
	         "anchor = lab }\n"
	         "anchor lab { tee = snp file = old.pem } ledger acme { policy = acme.policy }",
	         "file: a certificate in " DIR
	         "policy.d/old.pem is not valid today; evidence that ends "
	         "there is refused",
	         false},
	};
	struct sim sim;
	struct files f;

	(void)state;
	files_make(&f);
	sim_start(&sim, "Milan");
	sim_certs(&sim);
	add_pem(&f, DIR "policy.d/lab.pem", &sim.ark);
	sim.ark_end = SIM_AT - 1;
	sim_certs(&sim);
	add_pem(&f, DIR "policy.d/old.pem", &sim.ark);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf text = buf_make(4096);
		struct policy_issues issues;
		struct policy_file in = {.path = FILE_A};
		struct policy *p = NULL;

		buf_printf(&text, "default-action = allow\n%s\n", cases[i].text);
		in.text = buf_view(&text);
		assert_int_equal(policy_parse(&in, 1, files_load, &f, SIM_AT, &p, &issues),
		                 cases[i].error ? -EINVAL : 0);
		assert_true(issues.n > 0);
		assert_string_equal(issues.v[0].text, cases[i].issue);
		assert_int_equal(issues.v[0].error, cases[i].error);
		policy_free(p);
		buf_free(&text);
	}
	files_free(&f);
}

/* ------------------------------------------------------------------------ whose it is */

#define ZERO31 "0000000000000000000000000000000000000000000000000000000000000001"
#define ZERO32 "0000000000000000000000000000000000000000000000000000000000000000"
#define CHIP_A "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7b8b9babbbcbdbebf"
#define CHIP_B "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"

static void identity(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].tees = 1u << TEE_TDX;
	world_judge(&w);
	expect_only(&w.v.checks, "policy.tee", CHECK_FAIL);
	world_free(&w);

	world_start(&w);
	refused(&w, "ledger = acme server-key = \"" KEY78 "\"", "policy.server-key", CHECK_FAIL,
	        "7777777777");
	world_start(&w);
	passes(&w, "ledger = acme server-key = {\"" KEY78 "\", \"" KEY77 "\"}");
	assert_int_equal(checks_find(&w.v.checks, "policy.server-key")->status, CHECK_PASS);
	world_free(&w);

	world_start(&w);
	refused(&w, "ledger = acme chip-id = \"" CHIP_A CHIP_A "\"", "policy.chip", CHECK_FAIL,
	        "is not in the policy's list");
	world_start(&w);
	refused(&w, "ledger = acme chip-id = \"a0a1a2a3a4a5a6a7\"", "policy.chip", CHECK_FAIL, "");
	world_start(&w);
	passes(&w, "ledger = acme chip-id = {\"" CHIP_A CHIP_A "\", \"" CHIP_A CHIP_B "\"}");
	assert_int_equal(checks_find(&w.v.checks, "policy.chip")->status, CHECK_PASS);
	world_free(&w);
	world_start(&w);
	w.sim.vlek = true;
	sim_certs(&w.sim);
	put32(w.report + SNP_OFF_KEY_INFO, SNP_VLEK << 2);
	memset(w.report + SNP_OFF_CHIP_ID, 0, 64);
	refused(&w, "ledger = acme chip-id = \"" CHIP_A CHIP_B "\"", "policy.chip", CHECK_FAIL,
	        "names no machine, only its provider CN=cc-test");
}

static void vlek_start(struct world *w)
{
	world_start(w);
	w->sim.vlek = true;
	sim_certs(&w->sim);
	put32(w->report + SNP_OFF_KEY_INFO, SNP_VLEK << 2);
	memset(w->report + SNP_OFF_CHIP_ID, 0, 64);
}

#define SIM_CSP "CN=cc-test.example.com"

static void vlek(void **state)
{
	static const char *const refusals[] = {
	        "ledger = acme vlek = \"CN=cc-other.example.com\"",
	        "ledger = acme vlek = \"CN=cc-test.example.co\"",
	        "ledger = acme vlek = \"CN=cc-test.example.com.\"",
	};
	static const char *const any[] = {"ledger = acme", "ledger = acme vlek = any"};
	struct world w;

	(void)state;
	vlek_start(&w);
	refused(&w, "ledger = acme vlek = deny", "policy.vlek", CHECK_FAIL,
	        "provider " SIM_CSP ", but the policy takes none");
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		vlek_start(&w);
		refused(&w, refusals[i], "policy.vlek", CHECK_FAIL,
		        "provider " SIM_CSP ", which is not in the policy's list");
	}
	/* Named, it is as wanted; else it passes, and is said. */
	vlek_start(&w);
	passes(&w, "ledger = acme vlek = {\"CN=other.example.com\", \"" SIM_CSP "\"}");
	assert_string_equal(checks_find(&w.v.checks, "policy.vlek")->detail,
	                    "signed by a key of the provider " SIM_CSP);
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
	for (size_t i = 0; i < sizeof(any) / sizeof(any[0]); i++) {
		vlek_start(&w);
		passes(&w, any[i]);
		assert_int_equal(w.v.loosenings, 2);
		assert_string_equal(w.v.loosening[1],
		                    "vlek = any: " SIM_CSP
		                    " has the key that signed, and any machine may be behind it");
		world_free(&w);
	}
	/* A chip's own key is none of a provider's. */
	world_start(&w);
	passes(&w, "ledger = acme vlek = deny");
	assert_string_equal(checks_find(&w.v.checks, "policy.vlek")->detail,
	                    "signed by the chip's own key");
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
	world_start(&w);
	passes(&w, "ledger = acme vlek = \"" SIM_CSP "\"");
	world_free(&w);
}

/* The host chooses it: each of its registers is zero, pinned or logged. */
static void id_block(void **state)
{
	char hex[97], other[97], text[256];
	struct world w;

	(void)state;
	for (size_t i = 0; i < ID_BLOCK_FIELDS; i++) {
		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		hex_encode((struct bytes){w.report + id_block_field[i].off, id_block_field[i].len},
		           hex);
		snprintf(other, sizeof(other), "%0*d", 2 * id_block_field[i].len, 81);
		/* Nobody answers for it: the refusal says what would. */
		snprintf(text, sizeof(text), "register = \"%s=%s\"", id_block_field[i].name, hex);
		refused(&w, "", "policy.registers", CHECK_FAIL, text);

		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		snprintf(text, sizeof(text), "ledger = acme register = \"snp.%s=%s\"",
		         id_block_field[i].name, hex);
		passes(&w, text);
		world_free(&w);
		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		snprintf(text, sizeof(text), "ledger = acme register = \"%s=%s\"",
		         id_block_field[i].name, other);
		refused(&w, text, "policy.registers", CHECK_FAIL, "is not what the policy pins");

		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		snprintf(text, sizeof(text), ",\"snp\":{\"%s\":\"%s\"}", id_block_field[i].name,
		         hex);
		make_leaf(&w, w.report + SNP_OFF_MEASUREMENT, text);
		passes(&w, "");
		world_free(&w);
		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		snprintf(text, sizeof(text), ",\"snp\":{\"%s\":\"%s\"}", id_block_field[i].name,
		         other);
		make_leaf(&w, w.report + SNP_OFF_MEASUREMENT, text);
		world_policy(&w, "");
		world_judge(&w);
		assert_int_equal(checks_find(&w.v.checks, "policy.measurement")->status,
		                 CHECK_FAIL);
		world_free(&w);

		world_start(&w);
		w.report[id_block_field[i].off + id_block_field[i].len - 1] = 0x80;
		snprintf(text, sizeof(text), "ledger = acme unpinned-register = %s",
		         id_block_field[i].name);
		passes(&w, text);
		assert_non_null(strstr(w.v.loosening[w.v.loosenings - 1], id_block_field[i].name));
		world_free(&w);
	}
}

static void turin_chip(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	sim_start(&w.sim, "Turin");
	sim_certs(&w.sim);
	sim_crl("ARK-Turin", sim_keys()->ark, SIM_BEGIN, SIM_END, 0, &w.crl);
	sim_report(&w.sim, 5, w.report);
	memset(w.report + SNP_OFF_HOST_DATA, 0, 32);
	passes(&w, "ledger = acme chip-id = \"a0a1a2a3a4a5a6a7\" min-tcb = \"fmc=1\"");
	assert_int_equal(checks_find(&w.v.checks, "policy.chip")->status, CHECK_PASS);
	world_free(&w);
}

static void host_data(void **state)
{
	struct world w;

	(void)state;
	/* Not pinned: it must be zero. */
	world_start(&w);
	w.report[SNP_OFF_HOST_DATA + 31] = 1;
	refused(&w, "", "policy.host-data", CHECK_FAIL, "does not pin it");
	world_start(&w);
	w.report[SNP_OFF_HOST_DATA] = 1;
	refused(&w, "ledger = acme host-data = " ZERO32, "policy.host-data", CHECK_FAIL,
	        "pins another");
	world_start(&w);
	memset(w.report + SNP_OFF_HOST_DATA, 0x77, 32);
	passes(&w,
	       "ledger = acme host-data = \"7777777777777777777777777777777777777777777777777777777777777777\"");
	world_free(&w);
}

/* Nobody but the policy keeps old firmware out. */
static void no_floor(void **state)
{
	static const char no_word[] =
	        "no min-tcb: the firmware may be of any age, and AMD does not rate it";
	static const struct {
		const char *more;
		bool loose;
	} rows[] = {
	        {"ledger = acme", true},
	        /* What the guest is, and what is no demand, are no floor of the firmware. */
	        {"ledger = acme min-tcb = \"guest-svn=7\"", true},
	        {"ledger = acme min-tcb = {\"snp=0\", \"microcode=0\"}", true},
	        {"ledger = acme min-tcb = \"microcode=1\"", false},
	};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		world_start(&w);
		w.no_floor = true;
		/* Certified as such: a genuine chip, with firmware of the first day. */
		if (rows[i].loose) {
			memset(w.sim.tcb, 0, sizeof(w.sim.tcb));
			sim_certs(&w.sim);
			sim_report(&w.sim, 3, w.report);
			memset(w.report + SNP_OFF_HOST_DATA, 0, 32);
		}
		passes(&w, rows[i].more);
		assert_int_equal(w.v.loosenings, rows[i].loose ? 2 : 1);
		if (rows[i].loose)
			assert_string_equal(w.v.loosening[1], no_word);
		world_free(&w);
	}
}

static void platform(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	refused(&w, "ledger = acme min-tcb = {\"snp=24\", \"microcode=220\"}", "policy.tcb-floor",
	        CHECK_FAIL, "microcode is 219, at least 220");
	world_start(&w);
	refused(&w, "ledger = acme min-tcb = \"fmc=0\"", "policy.tcb-floor", CHECK_FAIL,
	        "has no fmc");
	world_start(&w);
	put32(w.report + SNP_OFF_GUEST_SVN, 6);
	refused(&w, "ledger = acme min-tcb = \"guest-svn=7\"", "policy.tcb-floor", CHECK_FAIL,
	        "guest-svn is 6, at least 7");
	world_start(&w);
	put32(w.report + SNP_OFF_GUEST_SVN, 7);
	passes(&w, "ledger = acme min-tcb = \"guest-svn=7\"");
	world_free(&w);
	/* All 32 bits of it. */
	world_start(&w);
	put32(w.report + SNP_OFF_GUEST_SVN, 0xfffffffe);
	refused(&w, "ledger = acme min-tcb = \"guest-svn=4294967295\"", "policy.tcb-floor",
	        CHECK_FAIL, "guest-svn is 4294967294, at least 4294967295");
	world_start(&w);
	put32(w.report + SNP_OFF_GUEST_SVN, 0xffffffff);
	passes(&w, "ledger = acme min-tcb = \"guest-svn=4294967295\"");
	world_free(&w);
	world_start(&w);
	passes(&w, "ledger = acme min-tcb = {\"snp=24\", \"microcode=219\", \"bootloader=4\"}");
	assert_int_equal(checks_find(&w.v.checks, "policy.tcb-floor")->status, CHECK_PASS);
	world_free(&w);

	world_start(&w);
	put32(w.report + SNP_OFF_VMPL, 1);
	refused(&w, "", "policy.vmpl", CHECK_FAIL, "1, but 0");
	world_start(&w);
	refused(&w, "ledger = acme vmpl = 1", "policy.vmpl", CHECK_FAIL, "0, but 1");
	world_start(&w);
	put32(w.report + SNP_OFF_VMPL, 1);
	passes(&w, "ledger = acme vmpl = 1");
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[1], "vmpl = 1"));
	world_free(&w);

	/* The platform says 0x25: SMT, ECC, alias check. */
	world_start(&w);
	refused(&w, "ledger = acme require-platform = {ecc, tsme}", "policy.platform", CHECK_FAIL,
	        "0x2 are missing");
	world_start(&w);
	refused(&w, "ledger = acme require-platform = {ecc, smt-disabled}", "policy.platform",
	        CHECK_FAIL, "0x1 must not");
	world_start(&w);
	passes(&w, "ledger = acme require-platform = {ecc, alias-check}");
	assert_int_equal(checks_find(&w.v.checks, "policy.platform")->status, CHECK_PASS);
	world_free(&w);

	/* The guest policy says SMT is allowed. */
	world_start(&w);
	refused(&w, "ledger = acme require-guest-policy = no-smt", "policy.guest-policy",
	        CHECK_FAIL, "0x10000 must not");
	world_start(&w);
	refused(&w, "ledger = acme require-guest-policy = single-socket", "policy.guest-policy",
	        CHECK_FAIL, "0x100000 are missing");
	world_start(&w);
	put64(w.report + SNP_OFF_POLICY, 0x20000 | SNP_POLICY_SINGLE_SOCKET);
	passes(&w, "ledger = acme require-guest-policy = {no-smt, no-cxl, single-socket}");
	assert_int_equal(checks_find(&w.v.checks, "policy.guest-policy")->status, CHECK_PASS);
	world_free(&w);
}

/* ------------------------------------------------------------------------- the ledger */

static void ledger_absent(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	buf_free(&w.log.proof);
	w.log.proof = buf_make(0);
	refused(&w, "", "policy.ledger", CHECK_UNAVAILABLE, "no proof");
	world_start(&w);
	make_proof(&w.log);
	w.shown.cmw.proof = buf_view(&w.log.proof);
	buf_reset(&w.log.leaf);
	refused(&w, "", "policy.ledger", CHECK_UNAVAILABLE, "no statement for");
	world_start(&w);
	buf_free(&w.log.proof);
	w.log.proof = buf_make(0);
	buf_reset(&w.log.leaf);
	refused(&w, "", "policy.ledger", CHECK_UNAVAILABLE, "no statement and no proof");
}

static void ledger_refuses(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.log.cosigners = 1;
	refused(&w, "", "ledger.quorum", CHECK_FAIL, "");
	world_start(&w);
	w.log.cosigned_at = SIM_AT - 3601;
	refused(&w, "", "ledger.fresh", CHECK_FAIL, "");
	/* A valid proof, of another leaf. */
	world_start(&w);
	make_proof(&w.log);
	w.shown.cmw.proof = buf_view(&w.log.proof);
	make_leaf(&w, w.report + SNP_OFF_MEASUREMENT, ",\"not_after\":1850000000");
	refused(&w, "", "ledger.inclusion", CHECK_FAIL, "");
	/* Logged, but not a statement. */
	world_start(&w);
	buf_reset(&w.log.leaf);
	buf_str(&w.log.leaf, "{}");
	refused(&w, "", "ledger.statement", CHECK_FAIL, "");
	world_start(&w);
	make_leaf(&w, w.report + SNP_OFF_MEASUREMENT, ",\"not_after\":1750000000");
	refused(&w, "", "ledger.expired", CHECK_FAIL, "");
	world_start(&w);
	refused(&w, "ledger = known", "ledger.first-use", CHECK_FAIL, "");
}

static void ledger_head(void **state)
{
	struct checkpoint first;
	struct world w;

	(void)state;
	/* The same head again. */
	world_start(&w);
	passes(&w, "");
	first = w.head.cp;
	w.last = (struct ledger_last){.known = true, .cp = first};
	world_judge(&w);
	expect_pass(&w.v.checks);
	assert_int_equal(w.head.step, HEAD_SAME);
	/* Another tree of that size. */
	w.last.cp.root.v[0] ^= 1;
	world_judge(&w);
	expect_only(&w.v.checks, "ledger.fork", CHECK_FAIL);
	assert_int_equal(w.head.step, HEAD_REFUSE);
	assert_string_equal(w.head.cp.origin, LOG_NAME);
	assert_int_equal(w.head.cp.size, TREE);
	/* A smaller one than was seen. */
	w.last = (struct ledger_last){.known = true, .cp = first};
	w.last.cp.size = TREE + 1;
	world_judge(&w);
	expect_only(&w.v.checks, "ledger.rollback", CHECK_FAIL);
	/* The same one, once it was proved to be an earlier state of it. */
	ledger_last_add(&w.last, &first, 0);
	world_judge(&w);
	expect_pass(&w.v.checks);
	assert_int_equal(w.head.step, HEAD_BEHIND);
	/* Witnesses vouched for a head at a time that is still to come. */
	w.last = (struct ledger_last){.known = true, .cp = first, .at = SIM_AT + LEDGER_SKEW + 1};
	world_judge(&w);
	expect_only(&w.v.checks, "ledger.clock", CHECK_UNAVAILABLE);
	w.last.at--;
	world_judge(&w);
	expect_pass(&w.v.checks);
	/* A larger one: usable, but the state stays until it is proved. */
	w.last.cp.size = TREE - 1;
	world_judge(&w);
	expect_pass(&w.v.checks);
	assert_int_equal(w.head.step, HEAD_AHEAD);
	world_free(&w);
	/* A head that did not verify updates nothing. */
	world_start(&w);
	w.log.cosigners = 0;
	world_policy(&w, "");
	world_judge(&w);
	assert_int_equal(w.head.step, HEAD_REFUSE);
	assert_int_equal(w.head.cp.size, 0);
	world_free(&w);
}

static void ledger_loosened(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.log.cosigners = 0;
	passes(&w, "ledger = lax");
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[1], "allow-no-quorum = true"));
	assert_int_equal(w.head.ledger, 1);
	world_free(&w);
	/* One witness alone is a quorum too, and freshness is asked of it. */
	world_start(&w);
	w.log.cosigners = 1;
	passes(&w, "ledger = single");
	assert_int_equal(w.v.loosenings, 1);
	world_free(&w);
	world_start(&w);
	w.log.cosigners = 1;
	w.log.cosigned_at = SIM_AT - 86401;
	refused(&w, "ledger = single", "ledger.fresh", CHECK_FAIL, "");
}

/* --------------------------------------------------------------------- the measurement */

#define M11 \
	"111111111111111111111111111111111111111111111111" \
	"111111111111111111111111111111111111111111111111"
#define M12 \
	"111111111111111111111111111111111111111111111111" \
	"111111111111111111111111111111111111111111111112"

static void versions(void **state)
{
	static const struct {
		const char *a, *b;
		int cmp;
	} good[] = {{"1", "1", 0},
	            {"1.4", "1.4.0", 0},
	            {"1.4.0", "1.10.0", -1},
	            {"2", "1.99", 1},
	            {"1.4.0-rc1", "1.4.0", -1},
	            {"1.4.0-rc1", "1.3.9", 1},
	            {"1.4.0+abc", "1.4", 0},
	            {"18446744073709551615", "1", 1},
	            {"1", "1.0.1", -1}};
	static const char *const bad[] = {"v1", "one", "1..2", "1.",
	                                  ".1", "1 2", "1.2x", "18446744073709551616"};
	int cmp;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(policy_version_compare(good[i].a, good[i].b, &cmp));
		assert_int_equal(cmp, good[i].cmp);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(policy_version_compare(bad[i], "1.0.0.0.0", &cmp));
}

/* What the policy has itself, for a peer that staples nothing. */
static void unstapled(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	w.bare = true;
	refused(&w, "ledger = acme leaf = own.leaf", "policy.ledger", CHECK_UNAVAILABLE, "no");
	world_start(&w);
	make_proof(&w.log);
	w.shown.cmw.proof = buf_view(&w.log.proof); /* made already */
	w.bare = true;
	w.shown.proof_of = own_proof;
	w.shown.proof_ctx = &w;
	passes(&w, "ledger = acme leaf = {own.leaf}");
	/* Of several the one that speaks of this peer. */
	w.shown.cmw.proof = buf_view(&w.log.proof);
	passes(&w, "ledger = acme leaf = {other.leaf, own.leaf}");
	/* Judged like a stapled one. */
	w.shown.cmw.proof = buf_view(&w.log.proof);
	refused(&w, "ledger = acme leaf = {other.leaf}", "ledger.inclusion", CHECK_FAIL, "");
}

/* What is logged and listed, and denied all the same. */
static void denied(void **state)
{
	char hex[97], more[512];
	struct hash leaf;
	struct world w;

	(void)state;
	world_start(&w);
	hex_encode((struct bytes){w.report + SNP_OFF_MEASUREMENT, 48}, hex);
	snprintf(more, sizeof(more), "ledger = acme deny = {\"snp:%s\"}", hex);
	refused(&w, more, "policy.denied", CHECK_FAIL, "the measurement");
	world_start(&w);
	ledger_leaf_hash(buf_view(&w.log.leaf), &leaf);
	hex_encode(BYTES_OF(leaf.v), hex);
	snprintf(more, sizeof(more), "ledger = acme deny = {\"leaf:%s\"}", hex);
	refused(&w, more, "policy.denied", CHECK_FAIL, "the logged statement");
	world_start(&w);
	snprintf(more, sizeof(more), "ledger = acme deny = {\"subject:%064d\"}", 1);
	refused(&w, more, "policy.denied", CHECK_FAIL, "subject");
	/* Others. */
	world_start(&w);
	hex[0] = hex[0] == 'f' ? 'e' : 'f';
	snprintf(more, sizeof(more),
	         "ledger = acme deny = {\"leaf:%s\", \"subject:%064d\", \"snp:%096d\"}", hex, 2, 3);
	passes(&w, more);
	world_free(&w);
}

static void version_floor(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	refused(&w, "ledger = acme min-version = 1.0.1", "policy.version", CHECK_FAIL, "1");
	world_start(&w);
	passes(&w, "ledger = acme min-version = 1.0");
	world_free(&w);
}

/* Heads that were seen say when a leaf was published. */
static void renewed(void **state)
{
	static const char more[] = "ledger = acme renewed-within = 7d";
	const int64_t day = 86400;
	struct world w;

	(void)state;
	/* Nothing is known of the log. */
	world_start(&w);
	refused(&w, more, "policy.renewed", CHECK_UNAVAILABLE, "");
	/* A head of three days ago does not hold it yet: the verdict ends when that is too old. */
	world_start(&w);
	w.last = (struct ledger_last){.known = true, .cp = {.origin = LOG_NAME, .size = INDEX}};
	w.last.at = SIM_AT - 7 * day + 60;
	passes(&w, more);
	assert_int_equal(w.v.valid_until, SIM_AT + 60);
	/* One of eight days ago: it can be older than seven, or not. */
	w.last.at = SIM_AT - 8 * day;
	world_judge(&w);
	expect_only(&w.v.checks, "policy.renewed", CHECK_UNAVAILABLE);
	world_free(&w);
	/* One of eight days ago that holds it. */
	world_start(&w);
	w.last = (struct ledger_last){.known = true, .cp = {.origin = LOG_NAME, .size = INDEX + 1}};
	w.last.at = SIM_AT - 8 * day;
	refused(&w, more, "policy.renewed", CHECK_FAIL, "not renewed");
}

static void measurement(void **state)
{
	struct world w;
	uint8_t other[48] = {1};

	(void)state;
	world_start(&w);
	make_leaf(&w, other, "");
	refused(&w, "", "policy.measurement", CHECK_FAIL, "not what the logged statement says");
	world_start(&w);
	make_leaf(&w, NULL, "");
	refused(&w, "", "policy.measurement", CHECK_FAIL, "not what the logged statement says");
	/* Both are asked: both must hold. */
	world_start(&w);
	refused(&w, "ledger = acme measurement = " M12, "policy.measurement", CHECK_FAIL,
	        "not in the policy's list");
	world_start(&w);
	make_leaf(&w, other, "");
	refused(&w, "ledger = acme measurement = " M11, "policy.measurement", CHECK_FAIL,
	        "not what the logged statement says");
	world_start(&w);
	passes(&w, "ledger = acme measurement = {" M12 ", " M11 "}");
	world_free(&w);
	/* Without a ledger the list alone, and the verdict says so. */
	world_start(&w);
	buf_reset(&w.log.leaf);
	passes(&w, "ledger = none measurement = " M11);
	assert_int_equal(checks_find(&w.v.checks, "policy.ledger")->status, CHECK_SKIP);
	assert_int_equal(w.v.loosenings, 2);
	assert_non_null(strstr(w.v.loosening[1], "ledger = none"));
	assert_int_equal(w.head.step, HEAD_REFUSE);
	world_free(&w);
	world_start(&w);
	refused(&w, "ledger = none measurement = " M12, "policy.measurement", CHECK_FAIL,
	        "not in the policy's list");
	/* A model that asks for nothing (no file can say so) gets nothing. */
	world_start(&w);
	world_policy(&w, "ledger = none measurement = " M11);
	w.p->destination[0].measurements = 0;
	world_judge(&w);
	expect_only(&w.v.checks, "policy.measurement", CHECK_FAIL);
	world_free(&w);
}

/* ---------------------------------------------------------- claims of any platform */

/* A destination with these keys, claims of a TD, and a verdict for one check. */
struct scene {
	struct policy *p;
	struct policy_destination *d;
	struct claims claims;
	struct verdict v;
};

enum { TCB_DAY = 1700000000 };

static void scene_start(struct scene *s, const char *more)
{
	struct buf text = buf_make(1 << 16);

	memset(s, 0, sizeof(*s));
	buf_printf(&text,
	           GATE_HEAD "destination d { address = 192.0.2.1 port = 443 action = gate "
	                     "tee = {tdx, sgx} ledger = acme %s }\n",
	           more);
	buf_u8(&text, 0);
	s->p = parse_good((char *)text.p);
	s->d = &s->p->destination[0];
	buf_free(&text);
	s->claims.tee = TEE_TDX;
	strcpy(s->claims.tcb_status, "UpToDate");
	s->claims.tcb_date = TCB_DAY;
	verdict_init(&s->v, "d", SIM_AT);
}

static void scene_free(struct scene *s)
{
	policy_free(s->p);
}

static void add_advisory(struct scene *s, const char *id)
{
	strcpy(s->claims.advisory[s->claims.advisories++], id);
}

static void add_register(struct scene *s, const char *name, enum register_role role, uint8_t fill)
{
	struct measurement *m = &s->claims.measurements.v[s->claims.measurements.n++];

	strcpy(m->name, name);
	m->role = role;
	m->len = 48;
	memset(m->value, fill, m->len);
}

/* The one check, with this outcome and these words in its detail; frees the scene. */
static void expect(struct scene *s, const char *id, enum check_status status, const char *detail,
                   const char *loosening)
{
	const struct check *c = &s->v.checks.v[0];

	if (s->v.checks.n != 1 || strcmp(c->id, id) || c->status != status ||
	    !strstr(c->detail, detail)) {
		print_checks(&s->v.checks);
		fail_msg("not %s %s \"%s\"", check_status_name(status), id, detail);
	}
	assert_int_equal(s->v.loosenings, loosening ? 1 : 0);
	if (loosening && !strstr(s->v.loosening[0], loosening))
		fail_msg("%s does not say \"%s\"", s->v.loosening[0], loosening);
	scene_free(s);
}

static void judge_status(const char *more, const char *status, enum check_status want,
                         const char *detail, const char *loosening)
{
	struct scene s;

	scene_start(&s, more);
	strcpy(s.claims.tcb_status, status);
	add_advisory(&s, "INTEL-SA-00615");
	add_advisory(&s, "INTEL-SA-00657");
	policy_check_tcb_status(s.d, &s.claims, SIM_AT, &s.v);
	assert_true(s.v.valid_until == VERDICT_FOREVER);
	expect(&s, "policy.tcb-status", want, detail, loosening);
}

static void tcb_status(void **state)
{
	static const char *const all[] = {"SWHardeningNeeded",
	                                  "ConfigurationNeeded",
	                                  "ConfigurationAndSWHardeningNeeded",
	                                  "OutOfDate",
	                                  "TDRelaunchAdvised",
	                                  "OutOfDateConfigurationNeeded",
	                                  "TDRelaunchAdvisedConfigurationNeeded"};
	char key[64];

	(void)state;
	judge_status("", "", CHECK_SKIP, "rates no TCB", NULL);
	/* Advisories beside UpToDate are not looked at. */
	judge_status("", "UpToDate", CHECK_PASS, "UpToDate", NULL);
	judge_status("accept-tcb = OutOfDate accept-advisory = INTEL-SA-1", "UpToDate", CHECK_PASS,
	             "UpToDate", NULL);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		judge_status("", all[i], CHECK_FAIL,
		             "which the policy does not accept: INTEL-SA-00615, INTEL-SA-00657",
		             NULL);
		snprintf(key, sizeof(key), "accept-tcb = %s", all[i]);
		judge_status(key, all[i], CHECK_PASS, "which is accepted", all[i]);
		/* One status is not another. */
		judge_status(i ? "accept-tcb = SWHardeningNeeded" : "accept-tcb = OutOfDate",
		             all[i], CHECK_FAIL, "does not accept", NULL);
	}
	judge_status("accept-tcb = OutOfDate", "Revoked", CHECK_FAIL, "nothing makes acceptable",
	             NULL);
	judge_status("accept-tcb = OutOfDate", "outofdate", CHECK_FAIL, "does not know", NULL);
	judge_status("accept-tcb = OutOfDate", "Splendid", CHECK_FAIL, "does not know", NULL);
	judge_status("accept-tcb = OutOfDate", "OutOfDate", CHECK_PASS, "",
	             "accept-tcb: the vendor rates the platform OutOfDate: INTEL-SA-00615, "
	             "INTEL-SA-00657");
	/* No model makes a revoked platform acceptable. */
	{
		struct scene s;

		scene_start(&s, "tcb-grace = 1095d");
		s.d->accept_tcb = UINT32_MAX;
		strcpy(s.claims.tcb_status, "Revoked");
		s.claims.tcb_date = SIM_AT;
		policy_check_tcb_status(s.d, &s.claims, SIM_AT, &s.v);
		expect(&s, "policy.tcb-status", CHECK_FAIL, "Revoked", NULL);
	}
}

static void tcb_advisories(void **state)
{
	struct scene s;

	(void)state;
	judge_status("accept-tcb = OutOfDate accept-advisory = {INTEL-SA-00657, INTEL-SA-00615}",
	             "OutOfDate", CHECK_PASS, "accepted", "INTEL-SA-00657");
	judge_status("accept-tcb = OutOfDate accept-advisory = INTEL-SA-00615", "OutOfDate",
	             CHECK_FAIL, "does not list INTEL-SA-00657", NULL);
	judge_status("accept-tcb = OutOfDate accept-advisory = {INTEL-SA-0061, INTEL-SA-00657}",
	             "OutOfDate", CHECK_FAIL, "does not list INTEL-SA-00615", NULL);
	/* A status without an advisory needs none. */
	scene_start(&s, "accept-tcb = ConfigurationNeeded accept-advisory = INTEL-SA-00615");
	strcpy(s.claims.tcb_status, "ConfigurationNeeded");
	policy_check_tcb_status(s.d, &s.claims, SIM_AT, &s.v);
	expect(&s, "policy.tcb-status", CHECK_PASS, "accepted", "ConfigurationNeeded");
	/* The list holds in the grace too. */
	scene_start(&s, "tcb-grace = 1095d accept-advisory = INTEL-SA-00615");
	strcpy(s.claims.tcb_status, "OutOfDate");
	add_advisory(&s, "INTEL-SA-00999");
	policy_check_tcb_status(s.d, &s.claims, SIM_AT, &s.v);
	expect(&s, "policy.tcb-status", CHECK_FAIL, "does not list INTEL-SA-00999", NULL);
	/* More than a line holds are counted. */
	scene_start(&s, "accept-tcb = ConfigurationAndSWHardeningNeeded");
	strcpy(s.claims.tcb_status, "ConfigurationAndSWHardeningNeeded");
	for (int i = 0; i < ADVISORIES_MAX; i++)
		add_advisory(&s, "INTEL-SA-0061X-LONG-ID");
	policy_check_tcb_status(s.d, &s.claims, SIM_AT, &s.v);
	expect(&s, "policy.tcb-status", CHECK_PASS, " and 46 more", " and 46 more");
}

/* Both edges: the last second of the grace, and the first after it. */
static void tcb_grace(void **state)
{
	static const char *const others[] = {"SWHardeningNeeded", "TDRelaunchAdvised", "Revoked"};
	const int64_t end = TCB_DAY + 30 * 86400;
	struct scene s;

	(void)state;
	for (int config = 0; config <= 1; config++) {
		const char *status = config ? "OutOfDateConfigurationNeeded" : "OutOfDate";

		scene_start(&s, "tcb-grace = 30d");
		strcpy(s.claims.tcb_status, status);
		policy_check_tcb_status(s.d, &s.claims, end - 1, &s.v);
		assert_true(s.v.valid_until == end);
		expect(&s, "policy.tcb-status", CHECK_PASS, "in grace until 2023-12-14",
		       "tcb-grace: ");
		scene_start(&s, "tcb-grace = 30d");
		strcpy(s.claims.tcb_status, status);
		policy_check_tcb_status(s.d, &s.claims, end, &s.v);
		expect(&s, "policy.tcb-status", CHECK_FAIL, "the grace ended on 2023-12-14", NULL);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		scene_start(&s, "tcb-grace = 30d");
		strcpy(s.claims.tcb_status, others[i]);
		policy_check_tcb_status(s.d, &s.claims, TCB_DAY, &s.v);
		expect(&s, "policy.tcb-status", CHECK_FAIL, others[i], NULL);
	}
	/* Without a date there is nothing to count from. */
	for (int i = 0; i < 2; i++) {
		scene_start(&s, "tcb-grace = 30d");
		strcpy(s.claims.tcb_status, "OutOfDate");
		s.claims.tcb_date = i ? INT64_MAX - 5 : 0;
		policy_check_tcb_status(s.d, &s.claims, 100, &s.v);
		expect(&s, "policy.tcb-status", CHECK_FAIL, "does not accept", NULL);
	}
	/* Accepted for good is not limited by the grace. */
	scene_start(&s, "tcb-grace = 30d accept-tcb = OutOfDate");
	strcpy(s.claims.tcb_status, "OutOfDate");
	policy_check_tcb_status(s.d, &s.claims, TCB_DAY, &s.v);
	assert_true(s.v.valid_until == VERDICT_FOREVER);
	expect(&s, "policy.tcb-status", CHECK_PASS, "accepted", "accept-tcb: ");
}

static void tcb_date(void **state)
{
	static const struct {
		const char *more, *status;
		int64_t date;
		enum check_status want;
		const char *detail;
	} t[] = {
	        {"", "UpToDate", TCB_DAY, CHECK_SKIP, "demands no date"},
	        /* 2023-11-14 begins at 1699920000. */
	        {"min-tcb-date = 2023-11-14", "UpToDate", 1699920000, CHECK_PASS, "2023-11-14"},
	        {"min-tcb-date = 2023-11-14", "UpToDate", 1699919999, CHECK_FAIL,
	         "2023-11-13, at least 2023-11-14 is demanded"},
	        {"min-tcb-date = 2023-11-14", "UpToDate", 0, CHECK_FAIL, "has no date"},
	        {"min-tcb-date = 2023-11-14", "", 0, CHECK_SKIP, "dates no TCB"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct scene s;

		scene_start(&s, t[i].more);
		snprintf(s.claims.tcb_status, sizeof(s.claims.tcb_status), "%s", t[i].status);
		s.claims.tcb_date = t[i].date;
		policy_check_tcb_date(s.d, &s.claims, &s.v);
		expect(&s, "policy.tcb-date", t[i].want, t[i].detail, NULL);
	}
}

static void tcb_evaluation(void **state)
{
	static const struct {
		const char *more, *status;
		uint32_t number;
		enum check_status want;
		const char *detail;
	} t[] = {
	        {"", "UpToDate", 1, CHECK_SKIP, "demands no evaluation number"},
	        {"min-tcb-evaluation = 17", "UpToDate", 17, CHECK_PASS, "17"},
	        {"min-tcb-evaluation = 17", "UpToDate", 18, CHECK_PASS, "18"},
	        {"min-tcb-evaluation = 17", "UpToDate", 16, CHECK_FAIL,
	         "number 16, at least 17 is demanded"},
	        {"min-tcb-evaluation = 17", "OutOfDate", 0, CHECK_FAIL, "number 0, at least 17"},
	        {"min-tcb-evaluation = 17", "", 0, CHECK_SKIP, "rates no TCB"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct scene s;

		scene_start(&s, t[i].more);
		snprintf(s.claims.tcb_status, sizeof(s.claims.tcb_status), "%s", t[i].status);
		s.claims.tcb_evaluation = t[i].number;
		policy_check_tcb_evaluation(s.d, &s.claims, &s.v);
		expect(&s, "policy.tcb-evaluation", t[i].want, t[i].detail, NULL);
	}
}

/* A component counts for the platforms that have it. */
static void tcb_floor(void **state)
{
	static const struct {
		const char *more;
		enum tee tee;
		enum check_status want;
		const char *detail;
	} t[] = {
	        {"min-tcb = \"pcesvn=13\"", TEE_TDX, CHECK_PASS, ""},
	        {"min-tcb = \"pcesvn=13\"", TEE_SGX, CHECK_PASS, ""},
	        {"min-tcb = \"pcesvn=14\"", TEE_SGX, CHECK_FAIL, "pcesvn is 13, at least 14"},
	        {"min-tcb = \"tdx.pcesvn=14\"", TEE_TDX, CHECK_FAIL, "pcesvn is 13"},
	        {"min-tcb = \"tdx.pcesvn=14\"", TEE_SGX, CHECK_SKIP, "sets no floor"},
	        {"min-tcb = \"tdx00=1\"", TEE_TDX, CHECK_FAIL, "has no tdx00"},
	        {"min-tcb = \"tdx00=1\"", TEE_SGX, CHECK_SKIP, ""},
	        {"min-tcb = \"isvsvn=5\"", TEE_SGX, CHECK_PASS, ""},
	        {"min-tcb = \"isvsvn=6\"", TEE_SGX, CHECK_FAIL, "isvsvn is 5, at least 6"},
	        {"min-tcb = \"isvsvn=6\"", TEE_TDX, CHECK_SKIP, ""},
	        {"min-tcb = {\"sgx.pcesvn=9\", \"sgx16=0\"}", TEE_SGX, CHECK_FAIL, "has no sgx16"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct scene s;

		scene_start(&s, t[i].more);
		s.claims.tee = t[i].tee;
		s.claims.guest_svn = 5;
		strcpy(s.claims.tcb[0].name, "sgx01");
		strcpy(s.claims.tcb[1].name, "pcesvn");
		s.claims.tcb[1].svn = 13;
		s.claims.tcb_n = 2;
		policy_check_tcb_floor(s.d, &s.claims, &s.v);
		expect(&s, "policy.tcb-floor", t[i].want, t[i].detail, NULL);
	}
}

#define H48_33 \
	"333333333333333333333333333333333333333333333333" \
	"333333333333333333333333333333333333333333333333"
#define H48_44 \
	"444444444444444444444444444444444444444444444444" \
	"444444444444444444444444444444444444444444444444"
#define H48_00 \
	"000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000"

/* A TD with its launch measurement, one register of each role, and one that is zero. */
static void registers_start(struct scene *s, const char *more)
{
	scene_start(s, more);
	add_register(s, "mrtd", REGISTER_CODE, 0x11);
	add_register(s, "rtmr1", REGISTER_CODE, 0);
	add_register(s, "mrconfigid", REGISTER_CONFIG, 0);
	add_register(s, "mrseam", REGISTER_COVERED, 0x77);
	add_register(s, "mrowner", REGISTER_IDENTITY, 0x78);
}

static void set_register(struct scene *s, uint32_t i, uint8_t fill)
{
	memset(s->claims.measurements.v[i].value, fill, 48);
}

static void registers(void **state)
{
	struct measurements logged = {.n = 2};
	struct scene s;

	(void)state;
	strcpy(logged.v[0].name, "mrtd");
	strcpy(logged.v[1].name, "rtmr1");
	registers_start(&s, "");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "zero or pinned", NULL);
	/* Code or configuration of which nobody speaks. */
	for (uint32_t i = 1; i <= 2; i++) {
		registers_start(&s, "");
		set_register(&s, i, 0x33);
		policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
		expect(&s, "policy.registers", CHECK_FAIL,
		       i == 1 ? "register = \"rtmr1=" H48_33 "\""
		              : "register = \"mrconfigid=" H48_33 "\"",
		       NULL);
	}
	/* One bit is enough. */
	registers_start(&s, "");
	s.claims.measurements.v[2].value[47] = 1;
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrconfigid", NULL);
	/* A role that this version does not know is not excused. */
	registers_start(&s, "");
	s.claims.measurements.v[3].role = 200;
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrseam", NULL);
	/* What the statement names is compared by policy.measurement. */
	registers_start(&s, "");
	set_register(&s, 1, 0x33);
	policy_check_registers(s.d, &s.claims, &logged, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "", NULL);
	registers_start(&s, "");
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, &logged, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrconfigid", NULL);
	/* No statement that holds: nobody can say; but what is pinned is looked at. */
	registers_start(&s, "");
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, true, &s.v);
	expect(&s, "policy.registers", CHECK_SKIP, "no statement", NULL);
	registers_start(&s, "register = \"mrconfigid=" H48_44 "\"");
	policy_check_registers(s.d, &s.claims, NULL, true, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrconfigid", NULL);
}

static void registers_pinned(void **state)
{
	struct scene s;

	(void)state;
	registers_start(&s,
	                "register = {\"mrconfigid=" H48_44 "\", \"tdx.mrconfigid=" H48_33 "\"}");
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "", NULL);
	registers_start(&s, "register = \"mrconfigid=" H48_44 "\"");
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL,
	       "mrconfigid is not what the policy pins: " H48_33, NULL);
	/* The pin holds for zero as well, either way. */
	registers_start(&s, "register = \"mrconfigid=" H48_44 "\"");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL,
	       "mrconfigid is not what the policy pins: " H48_00, NULL);
	registers_start(&s, "register = \"mrconfigid=" H48_00 "\"");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "", NULL);
	/* Registers that carry neither code nor configuration count once they are named. */
	registers_start(&s, "register = {\"mrseam=" H48_33 "\"}");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrseam", NULL);
	registers_start(&s, "register = {\"mrowner=" H48_33 "\"}");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrowner", NULL);
	/* A register that the evidence lacks; and one of another platform. */
	registers_start(&s, "register = {\"mrservicetd=" H48_33 "\"}");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL,
	       "mrservicetd is not what the policy pins: zero, or not there", NULL);
	registers_start(&s, "register = {\"mrservicetd=" H48_00 "\"}");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "", NULL);
	registers_start(&s, "register = {\"sgx.isvprodid=0001\"}");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "", NULL);
	/* The same bytes in another length are another value. */
	registers_start(&s, "register = \"mrconfigid=" H48_33 "\"");
	set_register(&s, 2, 0x33);
	s.claims.measurements.v[2].len = 32;
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrconfigid", NULL);
}

static void registers_waived(void **state)
{
	struct scene s;

	(void)state;
	registers_start(&s, "unpinned-register = {rtmr1, tdx.mrconfigid}");
	set_register(&s, 1, 0x33);
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "waived: rtmr1, mrconfigid",
	       "unpinned-register: neither pinned nor zero: rtmr1, mrconfigid");
	/* Not used, not named. */
	registers_start(&s, "unpinned-register = rtmr1");
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_PASS, "zero or pinned", NULL);
	/* One register is not another. */
	registers_start(&s, "unpinned-register = rtmr1");
	set_register(&s, 2, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "mrconfigid", NULL);
	/* A pin is stronger than the waiver. */
	registers_start(&s, "unpinned-register = rtmr1 register = \"rtmr1=" H48_44 "\"");
	set_register(&s, 1, 0x33);
	policy_check_registers(s.d, &s.claims, NULL, false, &s.v);
	expect(&s, "policy.registers", CHECK_FAIL, "rtmr1", NULL);
}

/* Of an SNP guest, in whole: its one register is the measurement's to settle, or pinned too. */
static void snp_registers(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	passes(&w, "ledger = acme register = \"measurement=" M11 "\"");
	world_free(&w);
	world_start(&w);
	refused(&w, "ledger = acme register = \"snp.measurement=" M12 "\"", "policy.registers",
	        CHECK_FAIL, "measurement is not what the policy pins");
	world_start(&w);
	passes(&w, "ledger = acme measurement = \"snp:" M11 "\"");
	world_free(&w);
	/* No attribute of another platform is asked of it. */
	world_start(&w);
	world_policy(&w, "");
	w.p->destination[0].attributes_required[TEE_TDX] = 1;
	world_judge(&w);
	expect_pass(&w.v.checks);
	w.p->destination[0].attributes_forbidden[TEE_SNP] = SNP_POLICY_SMT;
	world_judge(&w);
	expect_only(&w.v.checks, "policy.attributes", CHECK_FAIL);
	world_free(&w);
}

/* Callers' mistakes never seal a verdict. */
static void not_gated(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	world_policy(&w, "");
	verdict_init(&w.v, "d", SIM_AT);
	assert_int_equal(policy_appraise(w.p, 1, &w.shown, SIM_AT, NULL, NULL, &w.v, &w.head),
	                 -EINVAL);
	w.p->destination[0].action = POLICY_ALLOW;
	assert_int_equal(policy_appraise(w.p, 0, &w.shown, SIM_AT, NULL, NULL, &w.v, &w.head),
	                 -EINVAL);
	w.p->destination[0].action = POLICY_DENY;
	assert_int_equal(policy_appraise(w.p, 0, &w.shown, SIM_AT, NULL, NULL, &w.v, &w.head),
	                 -EINVAL);
	/* What is only monitored is judged. */
	w.p->destination[0].action = POLICY_MONITOR;
	world_judge(&w);
	assert_int_equal(w.v.overall, CHECK_PASS);
	verdict_init(&w.v, "d", SIM_AT);
	w.p->destination[0].action = POLICY_GATE;
	w.shown.cmw.endorsements_n = CMW_ENDORSEMENTS_MAX + 1;
	assert_int_equal(policy_appraise(w.p, 0, &w.shown, SIM_AT, NULL, NULL, &w.v, &w.head),
	                 -EINVAL);
	assert_int_not_equal(w.v.sealed, VERDICT_SEALED);
	assert_false(verdict_passed(&w.v, SIM_AT));
	world_free(&w);
}

static void words(void **state)
{
	struct buf out = buf_make(1 << 16);
	struct world w;

	(void)state;
	world_start(&w);
	world_policy(&w, "ledger = acme min-tcb = {\"snp=24\", \"microcode=219\"} vmpl = 1 "
	                 "measurement = " M11
	                 " require-crl = false lease = 90m server-name = x.example");
	policy_explain(w.p, 0, &out);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.p,
	                    "platform: snp\n"
	                    "evidence bound to: connection\n"
	                    "transport: keygate\n"
	                    "server name: x.example\n"
	                    "ledger: the measurement is in a statement logged in \"acme\", under a "
	                    "quorum of its 3 witnesses, seen within 1 hour\n"
	                    "measurement: snp:" M11 "\n"
	                    "other registers of code and configuration: zero, or what the "
	                    "statement says\n"
	                    "host data: zero\n"
	                    "firmware: snp at least 24, microcode at least 219\n"
	                    "report signed by: the chip's own key, or any provider's (loosening)\n"
	                    "privilege level: 1 (loosening)\n"
	                    "debug guests: refused\n"
	                    "revocation list: used when at hand (loosening)\n"
	                    "trusts anchor \"lab\" beside the vendor's roots (loosening)\n"
	                    "session: at most 90 minutes\n");
	w.p->destination[0].action = POLICY_MONITOR;
	out.n = 0;
	policy_explain(w.p, 0, &out);
	buf_u8(&out, 0);
	assert_ptr_equal(strstr((char *)out.p, "NOT PROTECTED: connections pass untouched"), out.p);
	assert_non_null(strstr((char *)out.p, "platform: snp\n"));
	assert_null(strstr((char *)out.p, "session:"));
	buf_free(&out);
	world_free(&w);
}

/* What is demanded of the platforms that have ratings, registers and attributes. */
static void words_of_ratings(void **state)
{
	struct buf out = buf_make(1 << 16);
	struct scene s;

	(void)state;
	scene_start(&s, "measurement = {\"tdx:" M11 "\", \"sgx:" ZERO31 "\"}"
	                " register = \"rtmr3=" H48_33 "\" unpinned-register = rtmr0"
	                " accept-tcb = {OutOfDate, SWHardeningNeeded} tcb-grace = 30d"
	                " accept-advisory = {INTEL-SA-00615, INTEL-SA-00657}"
	                " min-tcb-date = 2024-03-13 min-tcb-evaluation = 17 min-tcb = \"pcesvn=13\""
	                " chip-id = 000102030405060708090a0b0c0d0e0f"
	                " require-attribute = tdx.pks forbid-attribute = sgx.kss kernel-tls = nfs");
	policy_explain(s.p, 0, &out);
	buf_u8(&out, 0);
	assert_string_equal(
	        (char *)out.p,
	        "platform: tdx or sgx\n"
	        "evidence bound to: connection\n"
	        "transport: keygate\n"
	        "the kernel's own connections ask for their handshake: nfs\n"
	        "ledger: the measurement is in a statement logged in \"acme\", under a "
	        "quorum of its 3 witnesses, seen within 1 day\n"
	        "measurement: tdx:" M11 "\n"
	        "  or sgx:" ZERO31 "\n"
	        "register: tdx.rtmr3 = " H48_33 "\n"
	        "register: tdx.rtmr0 may have any value (loosening)\n"
	        "other registers of code and configuration: zero, or what the statement says\n"
	        "chip: 000102030405060708090a0b0c0d0e0f\n"
	        "firmware: pcesvn at least 13\n"
	        "rating by the platform's vendor: UpToDate or SWHardeningNeeded (loosening) or "
	        "OutOfDate (loosening) or out of date for at most 30 days (loosening), if open to no "
	        "more than INTEL-SA-00615, INTEL-SA-00657\n"
	        "date of that rating's level: 2024-03-13 or later\n"
	        "evaluation number of that rating: 17 or higher\n"
	        "attribute: tdx.pks set\n"
	        "attribute: sgx.kss clear\n"
	        "debug guests: refused\n"
	        "revocation list: must be at hand\n"
	        "session: at most 1 hour\n");
	buf_free(&out);
	scene_free(&s);
}

static int keys_free(void **state)
{
	(void)state;
	sim_keys_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(all_holds),
	        cmocka_unit_test(valid_until),
	        cmocka_unit_test(binder),
	        cmocka_unit_test(binder_words),
	        cmocka_unit_test(missing_collateral),
	        cmocka_unit_test(evidence),
	        cmocka_unit_test(evidence_loosened),
	        cmocka_unit_test(collateral),
	        cmocka_unit_test(anchors),
	        cmocka_unit_test(anchor_issues),
	        cmocka_unit_test(identity),
	        cmocka_unit_test(turin_chip),
	        cmocka_unit_test(host_data),
	        cmocka_unit_test(no_floor),
	        cmocka_unit_test(id_block),
	        cmocka_unit_test(vlek),
	        cmocka_unit_test(platform),
	        cmocka_unit_test(ledger_absent),
	        cmocka_unit_test(ledger_refuses),
	        cmocka_unit_test(ledger_head),
	        cmocka_unit_test(ledger_loosened),
	        cmocka_unit_test(unstapled),
	        cmocka_unit_test(versions),
	        cmocka_unit_test(denied),
	        cmocka_unit_test(version_floor),
	        cmocka_unit_test(renewed),
	        cmocka_unit_test(measurement),
	        cmocka_unit_test(tcb_status),
	        cmocka_unit_test(tcb_advisories),
	        cmocka_unit_test(tcb_grace),
	        cmocka_unit_test(tcb_date),
	        cmocka_unit_test(tcb_evaluation),
	        cmocka_unit_test(tcb_floor),
	        cmocka_unit_test(registers),
	        cmocka_unit_test(registers_pinned),
	        cmocka_unit_test(registers_waived),
	        cmocka_unit_test(snp_registers),
	        cmocka_unit_test(not_gated),
	        cmocka_unit_test(words),
	        cmocka_unit_test(words_of_ratings),
	};

	return cmocka_run_group_tests(tests, NULL, keys_free);
}
