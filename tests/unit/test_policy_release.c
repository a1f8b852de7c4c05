/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A signed release in a policy: what the block must say, and the verdict over evidence of a
 * simulated SNP platform whose measurement a publisher of our own signed for.
 */
#include "attest_build.h"
#include "policy_files.h"
#include "sigstore_own.h"
#include <jansson.h>
#include "core/file.h"
#include "policy/appraise.h"

#define ENDS 1750001000

struct world {
	struct sim sim;
	struct der crl;
	uint8_t report[SNP_REPORT_LEN];
	struct own own;
	struct policy_presented shown;
	struct policy *p;
	struct verdict v;
};

static void make_bundle(struct world *w, int64_t not_after, bool forged)
{
	char statement[1024], hex[97];

	hex_encode((struct bytes){w->report + SNP_OFF_MEASUREMENT, 48}, hex);
	snprintf(statement, sizeof(statement),
	         "{\"_type\":\"%s\",\"subject\":[{\"name\":\"service\",\"digest\":{\"sha256\":"
	         "\"%064d\"}}],\"predicateType\":\"%s\",\"predicate\":{\"version\":\"1.2\","
	         "\"not_after\":%lld,\"snp_measurement\":\"%s\"}}",
	         STATEMENT_TYPE, 1, STATEMENT_PREDICATE, (long long)not_after, hex);
	own_bundle(&w->own, statement, forged ? "{}" : statement);
	w->shown.cmw.bundle = buf_view(&w->own.bundle);
}

static void world_start(struct world *w)
{
	memset(w, 0, sizeof(*w));
	sim_start(&w->sim, "Milan");
	sim_certs(&w->sim);
	sim_crl("ARK-Milan", sim_keys()->ark, SIM_BEGIN, SIM_END, 0, &w->crl);
	sim_report(&w->sim, 3, w->report);
	memset(w->report + SNP_OFF_HOST_DATA, 0, 32);
	w->own.bundle = buf_make(SIGSTORE_BUNDLE_MAX);
	w->own.log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	w->own.key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	own_root(&w->own);
	w->shown.binder = BINDER_CONNECTION;
	w->shown.check_report_data = true;
	memset(w->shown.report_data, 0x5a, 64);
	snprintf(w->shown.cmw.evidence_type, sizeof(w->shown.cmw.evidence_type), "%s",
	         attest_media_type(TEE_SNP));
	make_bundle(w, ENDS, false);
}

static void world_free(struct world *w)
{
	policy_free(w->p);
	buf_free(&w->own.bundle);
	EVP_PKEY_free(w->own.log);
	EVP_PKEY_free(w->own.key);
}

/* The policy's release block with these keys, and more of the destination. */
static int parse(struct world *w, const char *release, const char *more,
                 struct policy_issues *issues)
{
	struct buf text = buf_make(1 << 16);
	struct policy_file in = {.path = FILE_A};
	struct bytes key = spki(w->own.key);
	char pem[8192];
	struct files f;
	int rc;

	files_make(&f);
	files_add(&f, DIR "policy.d/lab.pem",
	          (struct bytes){(const uint8_t *)pem,
	                         pem_of("CERTIFICATE", der_view(&w->sim.ark), pem, sizeof(pem))});
	files_add(&f, DIR "policy.d/root.json", bytes_str(w->own.root));
	files_add(&f, DIR "policy.d/key.der", key);
	files_add(&f, DIR "policy.d/bundle.json", buf_view(&w->own.bundle));
	buf_printf(&text,
	           "default-action = allow\nanchor lab { tee = snp file = lab.pem }\n"
	           "release app { %s }\ndestination d { address = 192.0.2.1 port = 443 "
	           "action = gate tee = snp anchor = lab ledger = none %s }\n",
	           release, more);
	in.text = buf_view(&text);
	policy_free(w->p);
	w->p = NULL;
	rc = policy_parse(&in, 1, files_load, &f, SIM_AT, &w->p, issues);
	files_free(&f);
	buf_free(&text);
	OPENSSL_free((void *)(uintptr_t)key.p);
	return rc;
}

#define BY_KEY \
	"trusted-root = root.json key = key.der predicate-type = \"" STATEMENT_PREDICATE "\" "

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

static void test_holds(void **state)
{
	struct world w;
	bool named = false;

	(void)state;
	world_start(&w);
	judge(&w, BY_KEY, "release = app");
	expect(&w, "policy.release", CHECK_PASS);
	expect(&w, "policy.measurement", CHECK_PASS);
	assert_int_equal(w.v.valid_until, ENDS);
	for (uint32_t i = 0; i < w.v.loosenings; i++)
		named |= strstr(w.v.loosening[i],
		                "no witness vouches for the log of the release") != NULL;
	assert_true(named);
	/* A pin beside it, and a floor for the version that the statement says. */
	judge(&w, BY_KEY, "release = app min-version = \"1.2\"");
	expect(&w, "policy.version", CHECK_PASS);
	judge(&w, BY_KEY, "release = app min-version = \"1.3\"");
	expect(&w, "policy.version", CHECK_FAIL);
	judge(&w, BY_KEY,
	      "release = app deny = \"subject:"
	      "0000000000000000000000000000000000000000000000000000000000000001\"");
	expect(&w, "policy.denied", CHECK_FAIL);
	world_free(&w);
}

static void test_refused(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	/* None from the peer; then the policy's own. */
	w.shown.cmw.bundle = BYTES_NONE;
	judge(&w, BY_KEY, "release = app");
	expect(&w, "policy.release", CHECK_UNAVAILABLE);
	judge(&w, BY_KEY "bundle = bundle.json", "release = app");
	expect(&w, "policy.release", CHECK_PASS);
	/* What the peer sends is not passed over for what the policy has. */
	w.shown.cmw.bundle = bytes_str("{}");
	judge(&w, BY_KEY "bundle = bundle.json", "release = app");
	expect(&w, "sigstore.format", CHECK_FAIL);
	expect(&w, "policy.release", CHECK_FAIL);
	assert_int_equal(checks_find(&w.v.checks, "policy.measurement")->status, CHECK_SKIP);
	make_bundle(&w, ENDS, true);
	judge(&w, BY_KEY, "release = app");
	expect(&w, "sigstore.signature", CHECK_FAIL);
	make_bundle(&w, SIM_AT, false);
	judge(&w, BY_KEY, "release = app");
	expect(&w, "ledger.expired", CHECK_FAIL);
	/* A certificate is demanded, a key signed. */
	make_bundle(&w, ENDS, false);
	judge(&w,
	      "trusted-root = root.json issuer = \"https://i\" san = \"a@b\" predicate-type = "
	      "\"" STATEMENT_PREDICATE "\"",
	      "release = app");
	expect(&w, "sigstore.key", CHECK_FAIL);
	/* Another program runs. */
	make_bundle(&w, ENDS, false);
	w.report[SNP_OFF_MEASUREMENT] ^= 1;
	judge(&w, BY_KEY, "release = app");
	expect(&w, "policy.measurement", CHECK_FAIL);
	assert_int_equal(checks_find(&w.v.checks, "policy.release")->status, CHECK_PASS);
	world_free(&w);
}

static void test_issues(void **state)
{
	static const struct {
		const char *release, *more, *text;
	} rows[] = {
	        {"trusted-root = root.json predicate-type = \"" STATEMENT_PREDICATE "\"",
	         "release = app", "does not say who must have signed"},
	        {"trusted-root = root.json issuer = \"https://i\" predicate-type = \"" STATEMENT_PREDICATE
	         "\"",
	         "release = app", "does not say who must have signed"},
	        {"trusted-root = root.json issuer = \"https://i\" san = \"**\" predicate-type = \"" STATEMENT_PREDICATE
	         "\"",
	         "release = app", "admits anybody"},
	        {BY_KEY "san = \"a\"", "release = app", "names a key, and what only a certificate"},
	        {"key = key.der predicate-type = \"" STATEMENT_PREDICATE "\"", "release = app",
	         "has no trusted-root"},
	        {"trusted-root = root.json key = key.der", "release = app",
	         "has no predicate-type"},
	        {"trusted-root = root.json key = key.der predicate-type = \"https://x/y\"",
	         "release = app", "a type whose measurements are read"},
	        {"trusted-root = key.der key = key.der predicate-type = \"" STATEMENT_PREDICATE
	         "\"",
	         "release = app", "trusted-root: key.der is none"},
	        {"trusted-root = root.json key = root.json predicate-type = \"" STATEMENT_PREDICATE
	         "\"",
	         "release = app", "a public key"},
	        {BY_KEY, "release = ap", "did you mean \"app\"?"},
	        {BY_KEY, "", "asks no ledger and lists no measurement"},
	};
	struct world w;

	(void)state;
	world_start(&w);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_issues issues;
		bool found = false;

		assert_int_equal(parse(&w, rows[i].release, rows[i].more, &issues), -EINVAL);
		for (uint32_t k = 0; k < issues.n; k++)
			found |= issues.v[k].error && strstr(issues.v[k].text, rows[i].text);
		if (!found) {
			print_issues(&issues);
			fail_msg("no issue says: %s", rows[i].text);
		}
	}
	world_free(&w);
}

/* A release that names only some of a platform's registers leaves the others to be pinned. */
static void test_unnamed_launch(void **state)
{
	struct measurements named = {.n = 1};
	struct policy_measurement pin = {.tee = TEE_TDX};
	struct policy_destination d = {.tees = 1u << TEE_TDX, .release = 0, .ledger = -1};
	struct claims c = {.tee = TEE_TDX};
	struct verdict v;

	(void)state;
	snprintf(named.v[0].name, sizeof(named.v[0].name), "rtmr1");
	named.v[0].len = 48;
	memset(named.v[0].value, 1, 48);
	c.measurements.n = 2;
	c.measurements.v[0] = named.v[0];
	snprintf(c.measurements.v[0].name, sizeof(c.measurements.v[0].name), "mrtd");
	c.measurements.v[1] = named.v[0];
	verdict_init(&v, "d", SIM_AT);
	policy_check_registers(&d, &c, &named, false, &v);
	assert_int_equal(checks_overall(&v.checks), CHECK_FAIL);
	pin.m = c.measurements.v[0];
	d.pin = &pin;
	d.pins = 1;
	verdict_init(&v, "d", SIM_AT);
	policy_check_registers(&d, &c, &named, false, &v);
	assert_int_equal(checks_overall(&v.checks), CHECK_PASS);
}

/* ------------------------------------------------------------- real comparisons */

#define MULTI "/snp-tdx-multiplatform/v1"

static const char *type_of(const json_t *side)
{
	const char *type = json_string_value(json_object_get(side, "type"));

	return type ? type : "";
}

/* A statement as Tinfoil makes it, of the row's registers, signed and verified. */
static void statement_of(struct world *w, const json_t *side, struct statement *out)
{
	const json_t *r = json_object_get(side, "registers");
	struct sigstore_result *is = calloc(1, sizeof(*is));
	struct sigstore_identity who = {.predicate_type = RELEASE_TINFOIL_MULTI};
	struct sigstore_artifact any = {0};
	struct sigstore_root *root = NULL;
	struct checks checks = {0};
	char text[1024];

	snprintf(
	        text, sizeof(text),
	        "{\"_type\":\"%s\",\"subject\":[{\"name\":\"x\",\"digest\":{\"sha256\":\"%064d\"}}],"
	        "\"predicateType\":\"%s\",\"predicate\":{\"snp_measurement\":\"%s\","
	        "\"tdx_measurement\":{\"rtmr1\":\"%s\",\"rtmr2\":\"%s\"}}}",
	        STATEMENT_TYPE, 1, RELEASE_TINFOIL_MULTI, json_string_value(json_array_get(r, 0)),
	        json_string_value(json_array_get(r, 1)), json_string_value(json_array_get(r, 2)));
	own_bundle(&w->own, text, text);
	who.key = spki(w->own.key);
	assert_non_null(is);
	assert_int_equal(sigstore_root_parse(bytes_str(w->own.root), &root, &checks), 0);
	assert_int_equal(
	        sigstore_verify(buf_view(&w->own.bundle), root, &who, &any, SIM_AT, is, &checks),
	        0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	*out = is->statement;
	sigstore_root_free(root);
	OPENSSL_free((void *)(uintptr_t)who.key.p);
	free(is);
}

/* False when the row has another number of registers than evidence has. */
static bool claims_of(const json_t *side, struct claims *out)
{
	static const char *const names[] = {"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3"};
	const json_t *r = json_object_get(side, "registers");
	bool tdx = strstr(type_of(side), "/tdx-guest/v2") != NULL;

	memset(out, 0, sizeof(*out));
	out->tee = tdx ? TEE_TDX : TEE_SNP;
	if (json_array_size(r) != (tdx ? 5 : 1))
		return false;
	for (size_t i = 0; i < json_array_size(r); i++) {
		struct measurement *m = &out->measurements.v[out->measurements.n++];

		snprintf(m->name, sizeof(m->name), "%s", tdx ? names[i] : "measurement");
		m->len = 48;
		assert_int_equal(hex_decode(bytes_str(json_string_value(json_array_get(r, i))),
		                            m->value, 48),
		                 0);
	}
	return true;
}

static void compare(struct world *w, const json_t *row, const json_t *named, const json_t *is)
{
	bool want = json_is_true(json_object_get(json_object_get(row, "expected"), "accepted"));
	const char *id = json_string_value(json_object_get(row, "id"));
	struct statement s;
	struct claims c;

	if (!claims_of(is, &c)) {
		print_message("%s: no evidence has so many registers\n", id);
		return;
	}
	statement_of(w, named, &s);
	print_message("%s: %s\n", id, want ? "accepted" : "refused");
	assert_int_equal(policy_statement_is(&s, &c), want);
}

static void test_real_comparisons(void **state)
{
	const char *dir = getenv("KEYGATE_VECTORS");
	struct world w;
	char path[512], line[16384];
	uint32_t n = 0;
	FILE *f;

	(void)state;
	snprintf(path, sizeof(path), "%s/ledger/sigstore/tinfoil/measurement-match.jsonl",
	         dir ? dir : "../shared/vectors");
	f = fopen(path, "r");
	if (!f) {
		printf("SKIPPED: no vectors at %s (KEYGATE_VECTORS)\n", path);
		skip();
	}
	world_start(&w);
	while (fgets(line, sizeof(line), f)) {
		json_t *row = json_loads(line, 0, NULL);
		const json_t *in = json_object_get(row, "input");
		const json_t *a = json_object_get(in, "source"), *b = json_object_get(in, "target");

		assert_non_null(row);
		if (strstr(type_of(a), MULTI) && json_is_object(b)) {
			compare(&w, row, a, b);
			n++;
		} else if (strstr(type_of(b), MULTI)) {
			compare(&w, row, b, a);
			n++;
		}
		json_decref(row);
	}
	fclose(f);
	assert_true(n >= 7);
	world_free(&w);
}

static struct bytes read_real(const char *name)
{
	const char *dir = getenv("KEYGATE_VECTORS");
	uint8_t *p = NULL;
	char path[512];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/ledger/sigstore/%s", dir ? dir : "../shared/vectors",
	         name);
	if (file_read(path, 1 << 20, &p, &n)) {
		printf("SKIPPED: no vectors at %s (KEYGATE_VECTORS)\n", path);
		skip();
	}
	return (struct bytes){p, n};
}

/* A service's report, and the bundle of the release that it runs. */
static void test_real_report(void **state)
{
	struct bytes root_text = read_real("trust/6494e21ea73f.trusted_root.json");
	struct bytes bundle = read_real("e2e-tinfoil/sigstore-bundle.json");
	struct bytes report[2] = {read_real("e2e-tinfoil/report.bin"),
	                          read_real("e2e-tinfoil/neg-report-other-measurement.bin")};
	struct sigstore_result *is = calloc(1, sizeof(*is));
	struct sigstore_identity who = {.issuer = "https://token.actions.githubusercontent.com",
	                                .san = "https://github.com/tinfoilsh/*",
	                                .predicate_type = RELEASE_TINFOIL_MULTI};
	struct sigstore_artifact any = {0};
	struct sigstore_root *root = NULL;
	struct checks checks = {0};

	(void)state;
	assert_non_null(is);
	assert_int_equal(sigstore_root_parse(root_text, &root, &checks), 0);
	assert_int_equal(sigstore_verify(bundle, root, &who, &any, 1769121752, is, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	for (size_t i = 0; i < 2; i++) {
		struct claims c = {.tee = TEE_SNP, .measurements.n = 1};
		struct measurement *m = &c.measurements.v[0];

		assert_int_equal(report[i].n, SNP_REPORT_LEN);
		snprintf(m->name, sizeof(m->name), "measurement");
		m->len = 48;
		memcpy(m->value, report[i].p + SNP_OFF_MEASUREMENT, 48);
		assert_int_equal(policy_statement_is(&is->statement, &c), i == 0);
		free((void *)(uintptr_t)report[i].p);
	}
	sigstore_root_free(root);
	free(is);
	free((void *)(uintptr_t)bundle.p);
	free((void *)(uintptr_t)root_text.p);
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
	        cmocka_unit_test(test_holds),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_issues),
	        cmocka_unit_test(test_unnamed_launch),
	        cmocka_unit_test(test_real_comparisons),
	        cmocka_unit_test(test_real_report),
	};

	return cmocka_run_group_tests(tests, NULL, keys_free);
}
