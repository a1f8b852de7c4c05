/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A release that a transparency service logged, in a policy: what the block must say, and the
 * verdict over evidence of a simulated SNP platform whose launch measurement an issuer of our own
 * signed for.
 */
#include "attest_build.h"
#include "policy_files.h"
#include "receipt_own.h"
#include "policy/appraise.h"

struct world {
	struct sim sim;
	struct der crl;
	uint8_t report[SNP_REPORT_LEN];
	struct own own;
	struct buf store, statement;
	struct policy_presented shown;
	struct policy *p;
	struct verdict v;
};

/* The statement, which is about what the report says unless it is bent, with its receipt. */
static void make_statement(struct world *w, struct own_statement s, struct own_receipt r)
{
	const struct own_receipt *one[] = {&r};

	if (!s.payload.n)
		s.payload = (struct bytes){w->report + SNP_OFF_MEASUREMENT, 48};
	buf_reset(&w->statement);
	own_transparent(&w->own, &s, one, 1, &w->statement);
}

static void world_start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	sim_start(&w->sim, "Milan");
	sim_certs(&w->sim);
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN, SIM_END, 0, &w->crl);
	sim_report(&w->sim, 3, w->report);
	memset(w->report + SNP_OFF_HOST_DATA, 0, 32);
	own_make(&w->own);
	w->store = buf_make(65536);
	w->statement = buf_make(65536);
	own_store(&w->own, NULL, &w->store);
	w->shown.binder = BINDER_CONNECTION;
	w->shown.check_report_data = true;
	memset(w->shown.report_data, 0x5a, 64);
	snprintf(w->shown.cmw.evidence_type, sizeof(w->shown.cmw.evidence_type), "%s",
	         attest_media_type(TEE_SNP));
	make_statement(w, (struct own_statement){0}, (struct own_receipt){0});
}

static void world_free(struct world *w)
{
	policy_free(w->p);
	buf_free(&w->store);
	buf_free(&w->statement);
	own_free(&w->own);
}

/* The policy's release block with these keys ("%s" is the issuer), and more of the destination. */
static int parse(struct world *w, const char *release, const char *more,
                 struct policy_issues *issues)
{
	struct buf text = buf_make(1 << 16);
	struct policy_file in = {.path = FILE_A};
	const char *mark = strstr(release, "%s");
	char pem[8192];
	struct files f;
	int rc;

	files_make(&f);
	files_add(&f, DIR "policy.d/lab.pem",
	          (struct bytes){(const uint8_t *)pem,
	                         pem_of("CERTIFICATE", der_view(&w->sim.ark), pem, sizeof(pem))});
	files_add(&f, DIR "policy.d/store.json", buf_view(&w->store));
	files_add(&f, DIR "policy.d/uvm.cose", buf_view(&w->statement));
	buf_str(&text, "default-action = allow\nanchor lab { tee = snp file = lab.pem }\n"
	               "release uvm {");
	if (mark) {
		buf_put(&text, release, (size_t)(mark - release));
		buf_str(&text, w->own.did);
		buf_str(&text, mark + 2);
	} else {
		buf_str(&text, release);
	}
	buf_printf(&text,
	           " }\ndestination d { address = 192.0.2.1 port = 443 action = gate tee = snp "
	           "anchor = lab ledger = none %s }\n",
	           more);
	in.text = buf_view(&text);
	policy_free(w->p);
	w->p = NULL;
	rc = policy_parse(&in, 1, files_load, &f, SIM_AT, &w->p, issues);
	files_free(&f);
	buf_free(&text);
	return rc;
}

#define NO_FILE "trust-store = store.json issuer = \"%s\" subject = \"" OWN_SUBJECT "\" "
#define BY_DID \
	"trust-store = store.json issuer = \"%s\" subject = \"" OWN_SUBJECT \
	"\" statement = uvm.cose "

static void judge(struct world *w, const char *release, const char *more)
{
	struct cmw *cmw = &w->shown.cmw;
	struct policy_head_update head;
	struct policy_issues issues;

	if (parse(w, release, more, &issues)) {
		print_issues(&issues);
		fail();
	}
	sim_sign(w->report, sim_keys()->vek);
	cmw->evidence = (struct bytes){w->report, sizeof(w->report)};
	cmw->endorsements[0] = der_view(&w->sim.vek);
	cmw->endorsements[1] = der_view(&w->sim.ask);
	cmw->endorsements[2] = der_view(&w->crl);
	cmw->endorsements_n = 3;
	verdict_init(&w->v, "d", SIM_AT);
	assert_int_equal(policy_appraise(w->p, 0, &w->shown, SIM_AT, NULL, NULL, &w->v, &head), 0);
}

/* The check has this status, and nothing passes unless it does. */
static void expect(struct world *w, const char *id, enum check_status status)
{
	const struct check *c = checks_find(&w->v.checks, id);

	if (!c || c->status != status) {
		for (uint32_t i = 0; i < w->v.checks.n; i++)
			print_message("%s %s: %s\n",
			              check_status_name((enum check_status)w->v.checks.v[i].status),
			              w->v.checks.v[i].id, w->v.checks.v[i].detail);
		fail_msg("%s is not %s", id, check_status_name(status));
	}
	assert_int_equal(verdict_passed(&w->v, SIM_AT), status == CHECK_PASS);
}

static void holds(void **state)
{
	struct world w;
	struct hash entry;
	char deny[160], hex[65];

	(void)state;
	world_start(&w);
	judge(&w, BY_DID, "release = uvm");
	expect(&w, "policy.release", CHECK_PASS);
	expect(&w, "policy.measurement", CHECK_PASS);
	assert_non_null(strstr(checks_find(&w.v.checks, "policy.release")->detail, w.own.did));
	judge(&w, BY_DID "min-svn = 7", "release = uvm");
	expect(&w, "policy.release", CHECK_PASS);
	judge(&w, BY_DID, "release = uvm min-version = \"7\"");
	expect(&w, "policy.version", CHECK_PASS);
	judge(&w, BY_DID, "release = uvm min-version = \"8\"");
	expect(&w, "policy.version", CHECK_FAIL);
	own_entry(buf_view(&w.statement), &entry);
	hex_encode(BYTES_OF(entry.v), hex);
	snprintf(deny, sizeof(deny), "release = uvm deny = \"subject:%s\"", hex);
	judge(&w, BY_DID, deny);
	expect(&w, "policy.denied", CHECK_FAIL);
	world_free(&w);
}

static void refused(void **state)
{
	static const struct hash other = {{1}};
	static const uint8_t zero[48], sha256[32] = {1};
	struct world w;
	const struct {
		const char *what;
		struct own_statement s;
		struct own_receipt r;
		const char *release, *id;
	} rows[] = {
	        {"nobody's receipt", {0}, {0}, BY_DID, "receipt.signature"},
	        {"of another entry", {0}, {.data = &other}, BY_DID, "receipt.entry"},
	        {"another issuer", {.issuer = "did:x509:0:x"}, {0}, BY_DID, "statement.issuer"},
	        {"another feed", {.subject = "Other-UVM"}, {0}, BY_DID, "statement.subject"},
	        {"too old", {.svn = 6}, {0}, BY_DID "min-svn = 7", "statement.svn"},
	        {"no svn", {.no_svn = true}, {0}, BY_DID "min-svn = 0", "statement.svn"},
	        {"no hash", {.hash_alg = 1}, {0}, BY_DID, "policy.release"},
	        {"a shorter hash",
	         {.hash_alg = -16, .payload = BYTES_OF(sha256)},
	         {0},
	         BY_DID,
	         "policy.release"},
	        {"a hash of another length", {.hash_alg = -16}, {0}, BY_DID, "statement.format"},
	        {"zero", {.payload = BYTES_OF(zero)}, {0}, BY_DID, "policy.release"},
	        {"from the future",
	         {0},
	         {.issued_at = SIM_AT + LEDGER_SKEW + 1},
	         BY_DID,
	         "receipt.time"},
	};

	(void)state;
	world_start(&w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct own_receipt r = rows[i].r;

		print_message("%s\n", rows[i].what);
		if (i == 0)
			r.key = w.own.other;
		make_statement(&w, rows[i].s, r);
		judge(&w, rows[i].release, "release = uvm");
		expect(&w, rows[i].id, CHECK_FAIL);
		expect(&w, "policy.release", CHECK_FAIL);
		assert_int_equal(checks_find(&w.v.checks, "policy.measurement")->status,
		                 CHECK_SKIP);
	}
	/* What the peer sends is not passed over for what the policy has, and is enough without. */
	w.shown.cmw.statement = bytes_str("x");
	judge(&w, BY_DID, "release = uvm");
	expect(&w, "statement.format", CHECK_FAIL);
	make_statement(&w, (struct own_statement){0}, (struct own_receipt){0});
	w.shown.cmw.statement = buf_view(&w.statement);
	judge(&w, NO_FILE, "release = uvm");
	expect(&w, "policy.release", CHECK_PASS);
	w.shown.cmw.statement = BYTES_NONE;
	judge(&w, NO_FILE, "release = uvm");
	expect(&w, "policy.release", CHECK_UNAVAILABLE);
	/* A bundle is no statement. */
	w.shown.cmw.bundle = buf_view(&w.statement);
	judge(&w, NO_FILE, "release = uvm");
	expect(&w, "policy.release", CHECK_UNAVAILABLE);
	/* Another program runs. */
	make_statement(&w, (struct own_statement){0}, (struct own_receipt){0});
	w.report[SNP_OFF_MEASUREMENT] ^= 1;
	judge(&w, BY_DID, "release = uvm");
	expect(&w, "policy.measurement", CHECK_FAIL);
	assert_int_equal(checks_find(&w.v.checks, "policy.release")->status, CHECK_PASS);
	/* The right one, with what the host handed to it. */
	w.report[SNP_OFF_MEASUREMENT] ^= 1;
	w.report[SNP_OFF_HOST_DATA] = 1;
	judge(&w, BY_DID, "release = uvm");
	expect(&w, "policy.host-data", CHECK_FAIL);
	world_free(&w);
}

static void issues(void **state)
{
#define DID_KEY   "issuer = \"%s\" "
#define STORE_KEY "trust-store = store.json "
#define REST_KEYS "subject = \"a\" statement = uvm.cose "
	static const struct {
		const char *release, *text;
	} rows[] = {
	        {STORE_KEY REST_KEYS, "does not say who must have signed; add issuer"},
	        {STORE_KEY REST_KEYS "issuer = \"https://i\"", "issuer: neither a key"},
	        {STORE_KEY REST_KEYS "issuer = \"did:x509:0:sha256:AA::eku:1.2\"",
	         "issuer: the did:x509 has no fingerprint"},
	        {STORE_KEY DID_KEY "statement = uvm.cose", "has no subject"},
	        {STORE_KEY DID_KEY REST_KEYS "min-svn = x", "min-svn: \"x\" is not a number"},
	        {STORE_KEY DID_KEY REST_KEYS "san = x", "\"san\" means nothing in release"},
	        {STORE_KEY DID_KEY REST_KEYS "key = lab.pem", "\"key\" means nothing in release"},
	        {STORE_KEY DID_KEY REST_KEYS "trusted-root = store.json",
	         "\"trusted-root\" means nothing in release"},
	        {DID_KEY REST_KEYS, "\"subject\" means nothing in release"},
	        {"trust-store = uvm.cose " DID_KEY REST_KEYS, "trust-store: uvm.cose is none"},
	        {STORE_KEY DID_KEY "subject = a statement = none.cose", "none.cose"},
	};
	struct world w;

	(void)state;
	world_start(&w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_issues found;
		bool said = false;

		assert_int_equal(parse(&w, rows[i].release, "release = uvm", &found), -EINVAL);
		for (uint32_t k = 0; k < found.n; k++)
			said |= found.v[k].error && strstr(found.v[k].text, rows[i].text);
		if (!said) {
			print_issues(&found);
			fail_msg("no issue says: %s", rows[i].text);
		}
	}
	world_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(holds),
	        cmocka_unit_test(refused),
	        cmocka_unit_test(issues),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
