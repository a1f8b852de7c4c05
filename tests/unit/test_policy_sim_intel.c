/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts on a simulated TD and a simulated enclave: registers against the ledger's statement and
 * the policy's pins, and Intel's rating of the machine against what the policy accepts, from the
 * quote to the verdict.
 * The claims by themselves are bent in test_policy_appraise.c.
 */
#include "attest_build.h"
#include "attester/sim_intel.h"
#include "policy_ledger.h"

#define H11 \
	"1111111111111111111111111111111111111111111111111111111111111111" \
	"11111111111111111111111111111111"
#define H20 \
	"2020202020202020202020202020202020202020202020202020202020202020" \
	"20202020202020202020202020202020"
#define H21 \
	"2121212121212121212121212121212121212121212121212121212121212121" \
	"21212121212121212121212121212121"
#define H22 \
	"2222222222222222222222222222222222222222222222222222222222222222" \
	"22222222222222222222222222222222"
#define H23 \
	"2323232323232323232323232323232323232323232323232323232323232323" \
	"23232323232323232323232323232323"
#define Z48 \
	"0000000000000000000000000000000000000000000000000000000000000000" \
	"00000000000000000000000000000000"

#define E11 "1111111111111111111111111111111111111111111111111111111111111111"
#define E22 "2222222222222222222222222222222222222222222222222222222222222222"

/* What a release names, and the rest of what the simulated TD shows. */
#define RELEASE "\"mrtd\":\"" H11 "\",\"rtmr1\":\"" H21 "\",\"rtmr2\":\"" H22 "\""
#define REST    ",\"rtmr0\":\"" H20 "\",\"rtmr3\":\"" H23 "\""

struct world {
	struct sim_intel p;
	struct buf quote;
	struct logbook log;
	struct policy_presented shown;
	struct policy *policy;
	struct verdict v;
	struct policy_head_update head;
};

static void start(struct world *w, enum tee tee, uint16_t version, uint16_t body,
                  const char *predicate)
{
	memset(w, 0, sizeof(*w));
	w->quote = buf_make(SIM_INTEL_QUOTE_MAX);
	assert_int_equal(sim_intel_begin(&w->p, tee, version, body, SIM_AT), 0);
	logbook_start(&w->log, SIM_AT);
	make_statement(&w->log, predicate);
	w->shown.binder = BINDER_CONNECTION;
	w->shown.check_report_data = true;
	memset(w->shown.report_data, 0x5a, 64);
	snprintf(w->shown.cmw.evidence_type, sizeof(w->shown.cmw.evidence_type), "%s",
	         attest_media_type(tee));
}

static void world_start(struct world *w)
{
	start(w, TEE_TDX, INTEL_V4, INTEL_BODY_TD10, "\"tdx\":{" RELEASE REST "}");
}

static void enclave_start(struct world *w)
{
	start(w, TEE_SGX, INTEL_V3, INTEL_BODY_SGX, "\"sgx\":{\"mrenclave\":\"" E11 "\"}");
}

static void world_end(struct world *w)
{
	sim_intel_free(&w->p);
	buf_free(&w->quote);
	logbook_free(&w->log);
	policy_free(w->policy);
}

static void take_policy(struct world *w, const char *more)
{
	struct buf text = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy_file in = {.path = FILE_A};
	struct files f;

	files_make(&f);
	files_add(&f, DIR "policy.d/lab.pem", buf_view(&w->p.root_pem));
	buf_printf(&text,
	           "default-action = allow\nledger acme { policy = acme.policy max-age = 1h }\n"
	           "anchor lab { tee = %s file = lab.pem }\n"
	           "destination d { address = 192.0.2.1 port = 443 action = gate tee = %s\n"
	           "anchor = lab ledger = acme %s }\n",
	           attest_tee_name(w->p.tee), attest_tee_name(w->p.tee), more);
	in.text = buf_view(&text);
	if (policy_parse(&in, 1, files_load, &f, SIM_AT, &w->policy, &issues)) {
		print_issues(&issues);
		fail();
	}
	files_free(&f);
	buf_free(&text);
}

/* Signs all, and judges under a policy with these keys. */
static void world_judge(struct world *w, const char *more)
{
	struct cmw *cmw = &w->shown.cmw;

	assert_int_equal(sim_intel_certify(&w->p), 0);
	assert_int_equal(sim_intel_publish(&w->p), 0);
	assert_int_equal(sim_intel_quote(&w->p, NULL, &w->quote), 0);
	take_policy(w, more);
	make_proof(&w->log);
	cmw->evidence = buf_view(&w->quote);
	cmw->endorsements[0] = buf_view(&w->p.tcb_info_text);
	cmw->endorsements[1] = buf_view(&w->p.qe_identity_text);
	cmw->endorsements[2] = buf_view(&w->p.tcb_chain);
	cmw->endorsements[3] = buf_view(&w->p.pck_crl.der);
	cmw->endorsements[4] = buf_view(&w->p.root_crl.der);
	cmw->endorsements_n = 5;
	cmw->leaf = buf_view(&w->log.leaf);
	cmw->proof = buf_view(&w->log.proof);
	verdict_init(&w->v, "d", SIM_AT);
	assert_int_equal(
	        policy_appraise(w->policy, 0, &w->shown, SIM_AT, NULL, NULL, &w->v, &w->head), 0);
}

/* Exactly this refusal; ends the world. */
static void refused(struct world *w, const char *more, const char *id, const char *detail)
{
	world_judge(w, more);
	expect_only(&w->v.checks, id, CHECK_FAIL);
	if (!strstr(checks_find(&w->v.checks, id)->detail, detail)) {
		print_checks(&w->v.checks);
		fail_msg("%s does not say \"%s\"", id, detail);
	}
	assert_false(verdict_passed(&w->v, SIM_AT));
	world_end(w);
}

/* Passes with this loosening beside the anchor's, or with none; ends the world. */
static void passes(struct world *w, const char *more, const char *loosening, int64_t until)
{
	bool named = !loosening;

	world_judge(w, more);
	expect_pass(&w->v.checks);
	assert_true(verdict_passed(&w->v, SIM_AT));
	assert_int_equal(w->v.loosenings, loosening ? 2 : 1);
	for (uint32_t i = 0; loosening && i < w->v.loosenings; i++)
		named |= strstr(w->v.loosening[i], loosening) != NULL;
	if (!named)
		fail_msg("no loosening says \"%s\"", loosening);
	assert_true(w->v.valid_until == until);
	world_end(w);
}

enum { BY_LEASE = SIM_AT + 3600 - 60 }; /* the cosignatures are a minute old */

static void set_register(struct world *w, size_t off, uint8_t fill)
{
	memset(w->p.body + off, fill, TDX_HASH_LEN);
}

static void registers(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	passes(&w, "", NULL, BY_LEASE);
	/* What the statement does not name is the policy's to pin. */
	world_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE "}");
	refused(&w, "", "policy.registers", "register = \"rtmr0=" H20 "\"");
	world_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE "}");
	passes(&w, "register = {\"rtmr0=" H11 "\", \"rtmr0=" H20 "\", \"tdx.rtmr3=" H23 "\"}", NULL,
	       BY_LEASE);
	world_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE "}");
	passes(&w, "register = \"tdx.rtmr3=" H23 "\" unpinned-register = rtmr0",
	       "neither pinned nor zero: rtmr0", BY_LEASE);
	/* Configuration that nobody names, and then somebody does. */
	world_start(&w);
	set_register(&w, TDX_OFF_MRCONFIGID, 0x11);
	refused(&w, "", "policy.registers", "mrconfigid=" H11);
	world_start(&w);
	set_register(&w, TDX_OFF_MROWNER, 0x11);
	refused(&w, "", "policy.registers", "mrowner=" H11);
	world_start(&w);
	set_register(&w, TDX_OFF_MRCONFIGID, 0x11);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrconfigid\":\"" H11 "\"}");
	passes(&w, "", NULL, BY_LEASE);
}

static void statement(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	set_register(&w, TDX_OFF_RTMR0 + 2 * TDX_HASH_LEN, 0x99);
	refused(&w, "", "policy.measurement", "not what the logged statement says");
	/* A register that the statement names as zero and that is not. */
	world_start(&w);
	set_register(&w, TDX_OFF_MRCONFIGID, 0x11);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrconfigid\":\"" Z48 "\"}");
	refused(&w, "", "policy.measurement", "not what the logged statement says");
	/* This quote has no MRSERVICETD: nothing is in it. */
	world_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrservicetd\":\"" Z48 "\"}");
	passes(&w, "register = \"mrservicetd=" Z48 "\"", NULL, BY_LEASE);
	world_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrservicetd\":\"" H11 "\"}");
	refused(&w, "", "policy.measurement", "not what the logged statement says");
	/* Lists and pins with the ledger: all must hold. */
	world_start(&w);
	passes(&w, "measurement = {" H22 ", \"tdx:" H11 "\"}", NULL, BY_LEASE);
	world_start(&w);
	refused(&w, "measurement = " H22, "policy.measurement", "not in the policy's list");
	world_start(&w);
	refused(&w, "register = \"rtmr1=" H22 "\"", "policy.registers",
	        "rtmr1 is not what the policy pins");
}

/* A TD 1.5 with this in each byte of MRSERVICETD. */
static void service_start(struct world *w, uint8_t fill)
{
	start(w, TEE_TDX, INTEL_V5, INTEL_BODY_TD15, "\"tdx\":{" RELEASE REST "}");
	set_register(w, TDX_OFF_MRSERVICETD, fill);
}

static void service_td(void **state)
{
	struct world w;

	(void)state;
	service_start(&w, 0);
	passes(&w, "", NULL, BY_LEASE);
	service_start(&w, 0x11);
	refused(&w, "", "policy.registers", "mrservicetd=" H11);
	service_start(&w, 0x11);
	passes(&w, "register = \"mrservicetd=" H11 "\"", NULL, BY_LEASE);
	service_start(&w, 0x11);
	refused(&w, "register = \"mrservicetd=" H22 "\"", "policy.registers",
	        "mrservicetd is not what the policy pins");
	service_start(&w, 0);
	refused(&w, "register = \"mrservicetd=" H22 "\"", "policy.registers",
	        "mrservicetd is not what the policy pins");
	service_start(&w, 0x11);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrservicetd\":\"" H11 "\"}");
	passes(&w, "", NULL, BY_LEASE);
	service_start(&w, 0x11);
	make_statement(&w.log, "\"tdx\":{" RELEASE REST ",\"mrservicetd\":\"" H22 "\"}");
	refused(&w, "", "policy.measurement", "not what the logged statement says");
}

static void attributes(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	refused(&w, "require-attribute = tdx.pks", "policy.attributes", "0x40000000 are missing");
	world_start(&w);
	refused(&w, "forbid-attribute = tdx.sept-ve-disable", "policy.attributes",
	        "0x10000000 must not be set");
	world_start(&w);
	passes(&w, "require-attribute = tdx.sept-ve-disable forbid-attribute = tdx.kl", NULL,
	       BY_LEASE);
}

/* The machine is one behind in its PCE: the older level of the collateral, 400 days old. */
static void fall_behind(struct world *w)
{
	world_start(w);
	w->p.machine.pcesvn--;
}

static void rating(void **state)
{
	struct world w;

	(void)state;
	fall_behind(&w);
	refused(&w, "", "policy.tcb-status",
	        "OutOfDate, which the policy does not accept: INTEL-SA-00960");
	fall_behind(&w);
	passes(&w, "accept-tcb = OutOfDate", "OutOfDate: INTEL-SA-00960, INTEL-SA-00982", BY_LEASE);
	fall_behind(&w);
	refused(&w, "accept-tcb = SWHardeningNeeded", "policy.tcb-status", "does not accept");
	fall_behind(&w);
	refused(&w, "accept-tcb = OutOfDate accept-advisory = INTEL-SA-00960", "policy.tcb-status",
	        "does not list INTEL-SA-00982");
	fall_behind(&w);
	refused(&w, "tcb-grace = 400d", "policy.tcb-status", "the grace ended on");
	fall_behind(&w);
	passes(&w,
	       "lease = 30d tcb-grace = 401d accept-advisory = {INTEL-SA-00960, INTEL-SA-00982}",
	       "tcb-grace", BY_LEASE);
	/* 400 days and a minute: the grace ends the verdict when it is the first to end. */
	fall_behind(&w);
	passes(&w, "tcb-grace = 576001m", "tcb-grace", SIM_AT + 60);
	world_start(&w);
	refused(&w, "min-tcb = \"pcesvn=65535\"", "policy.tcb-floor", "at least 65535");
	/* The newer level is 90 days old: of 2025-03-17. */
	world_start(&w);
	passes(&w, "min-tcb-date = 2025-03-17", NULL, BY_LEASE);
	world_start(&w);
	refused(&w, "min-tcb-date = 2025-03-18", "policy.tcb-date", "2025-03-17");
}

static void set_evaluation(json_t *document, int number)
{
	assert_int_equal(
	        json_object_set_new(document, "tcbEvaluationDataNumber", json_integer(number)), 0);
}

/* TCB info and QE identity, both of 17, each alone of another. */
static void evaluation(void **state)
{
	struct world w;

	(void)state;
	world_start(&w);
	passes(&w, "min-tcb-evaluation = 17", NULL, BY_LEASE);
	world_start(&w);
	refused(&w, "min-tcb-evaluation = 18", "policy.tcb-evaluation", "number 17, at least 18");
	world_start(&w);
	set_evaluation(w.p.tcb_info, 16);
	refused(&w, "min-tcb-evaluation = 17", "policy.tcb-evaluation", "number 16, at least 17");
	world_start(&w);
	set_evaluation(w.p.qe_identity, 16);
	refused(&w, "min-tcb-evaluation = 17", "policy.tcb-evaluation", "number 16, at least 17");
	enclave_start(&w);
	set_evaluation(w.p.qe_identity, 16);
	refused(&w, "min-tcb-evaluation = 17", "policy.tcb-evaluation", "number 16, at least 17");
	world_start(&w);
	set_evaluation(w.p.qe_identity, 18);
	set_evaluation(w.p.tcb_info, 18);
	passes(&w, "min-tcb-evaluation = 18", NULL, BY_LEASE);
}

/* The platform is of 90 days ago, the enclave that signs its quotes of 400. */
static void old_qe(struct world *w)
{
	world_start(w);
	w->p.qe_report[SGX_OFF_ISVSVN] = 2;
}

static void old_module(struct world *w)
{
	world_start(w);
	w->p.body[TDX_OFF_TEE_TCB_SVN] = 2;
}

/* Grace and floor go by what is out of date, which need not be the platform. */
static void rating_of_the_parts(void **state)
{
	static void (*const behind[])(struct world * w) = {old_qe, old_module};
	struct world w;

	(void)state;
	for (size_t i = 0; i < sizeof(behind) / sizeof(behind[0]); i++) {
		behind[i](&w);
		refused(&w, "tcb-grace = 100d", "policy.tcb-status", "the grace ended on 2024-");
		behind[i](&w);
		passes(&w, "tcb-grace = 401d", "tcb-grace", BY_LEASE);
		behind[i](&w);
		passes(&w, "tcb-grace = 576001m", "tcb-grace", SIM_AT + 60);
		behind[i](&w);
		refused(&w, "accept-tcb = OutOfDate min-tcb-date = 2025-03-17", "policy.tcb-date",
		        "2024-05-11, at least 2025-03-17");
		behind[i](&w);
		passes(&w, "accept-tcb = OutOfDate min-tcb-date = 2024-05-11", "OutOfDate",
		       BY_LEASE);
	}
}

static void machine(void **state)
{
	char hex[33], key[64];
	struct world w;

	(void)state;
	world_start(&w);
	hex_encode(BYTES_OF(w.p.machine.instance), hex);
	snprintf(key, sizeof(key), "chip-id = \"%s\"", hex);
	passes(&w, key, NULL, BY_LEASE);
	world_start(&w);
	refused(&w, "chip-id = 000102030405060708090a0b0c0d0eff", "policy.chip", hex);
}

/* The signer and the product are the policy's to pin; what the host configured must be pinned. */
static void enclave(void **state)
{
	struct world w;

	(void)state;
	enclave_start(&w);
	passes(&w, "", NULL, BY_LEASE);
	enclave_start(&w);
	memset(w.p.body + SGX_OFF_MRENCLAVE, 0x12, 32);
	refused(&w, "", "policy.measurement", "not what the logged statement says");
	enclave_start(&w);
	passes(&w, "measurement = " E11 " register = {\"mrsigner=" E22 "\", \"isvprodid=0300\"}",
	       NULL, BY_LEASE);
	enclave_start(&w);
	refused(&w, "register = \"mrsigner=" E11 "\"", "policy.registers", "mrsigner");
	enclave_start(&w);
	refused(&w, "register = \"sgx.isvprodid=0003\"", "policy.registers", "isvprodid");
	enclave_start(&w);
	passes(&w, "min-tcb = \"isvsvn=7\"", NULL, BY_LEASE);
	enclave_start(&w);
	refused(&w, "min-tcb = \"isvsvn=8\"", "policy.tcb-floor", "isvsvn is 7");
	enclave_start(&w);
	w.p.body[SGX_OFF_FLAGS] |= SGX_FLAG_KSS;
	memset(w.p.body + SGX_OFF_CONFIGID, 0x22, 64);
	refused(&w, "", "policy.registers", "configid=" E22 E22);
	enclave_start(&w);
	w.p.body[SGX_OFF_FLAGS] |= SGX_FLAG_KSS;
	memset(w.p.body + SGX_OFF_CONFIGID, 0x22, 64);
	passes(&w, "register = \"configid=" E22 E22 "\" require-attribute = sgx.kss", NULL,
	       BY_LEASE);
	enclave_start(&w);
	w.p.body[SGX_OFF_FLAGS] |= SGX_FLAG_KSS;
	refused(&w, "forbid-attribute = sgx.kss", "policy.attributes", "0x80 must not be set");
	enclave_start(&w);
	w.p.machine.pcesvn--;
	refused(&w, "accept-tcb = ConfigurationNeeded", "policy.tcb-status", "OutOfDate");
	/* A statement on another platform says nothing of this one. */
	enclave_start(&w);
	make_statement(&w.log, "\"tdx\":{" RELEASE "}");
	refused(&w, "", "policy.measurement", "not what the logged statement says");
}

/* The same MRENCLAVE, and other bytes beside it that the code can read. */
static void same_enclave(struct world *w, size_t off, size_t n)
{
	enclave_start(w);
	w->p.body[SGX_OFF_FLAGS] |= SGX_FLAG_KSS;
	memset(w->p.body + off, 0x11, n);
}

#define E11_16 "11111111111111111111111111111111"
#define SIGNED "\"sgx\":{\"mrenclave\":\"" E11 "\",\"mrsigner\":\"" E22 "\"}"

/* Who signed the enclave chose these two: whoever names the signer answers for them. */
static void enclave_signed_anew(void **state)
{
	static const struct {
		const char *name;
		size_t off;
	} ids[] = {{"isvextprodid", SGX_OFF_ISVEXTPRODID}, {"isvfamilyid", SGX_OFF_ISVFAMILYID}};

	(void)state;
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		char text[128];
		struct world w;

		snprintf(text, sizeof(text), "%s=" E11_16, ids[i].name);
		same_enclave(&w, ids[i].off, 16);
		refused(&w, "", "policy.registers", text);
		/* One byte of it is enough, wherever it is. */
		same_enclave(&w, ids[i].off + 15, 1);
		refused(&w, "", "policy.registers", "00000000000011");
		snprintf(text, sizeof(text), "register = \"%s=" E11_16 "\"", ids[i].name);
		same_enclave(&w, ids[i].off, 16);
		passes(&w, text, NULL, BY_LEASE);
		same_enclave(&w, ids[i].off, 16);
		passes(&w, "register = \"mrsigner=" E22 "\"", NULL, BY_LEASE);
		same_enclave(&w, ids[i].off, 16);
		refused(&w, "register = \"mrsigner=" E11 "\"", "policy.registers",
		        "mrsigner is not what the policy pins");
		same_enclave(&w, ids[i].off, 16);
		make_statement(&w.log, SIGNED);
		passes(&w, "", NULL, BY_LEASE);
		same_enclave(&w, ids[i].off, 16);
		memset(w.p.body + SGX_OFF_MRSIGNER, 0x33, 32);
		make_statement(&w.log, SIGNED);
		refused(&w, "", "policy.measurement", "not what the logged statement says");
	}
}

/* What the host chose at launch is nobody's word, whoever signed the enclave. */
static void enclave_configured(void **state)
{
	struct world w;

	(void)state;
	same_enclave(&w, SGX_OFF_CONFIGSVN, 2);
	refused(&w, "", "policy.registers", "configsvn=1111");
	same_enclave(&w, SGX_OFF_CONFIGSVN + 1, 1);
	refused(&w, "", "policy.registers", "configsvn=0011");
	same_enclave(&w, SGX_OFF_CONFIGSVN, 2);
	refused(&w, "register = \"mrsigner=" E22 "\"", "policy.registers", "configsvn=1111");
	same_enclave(&w, SGX_OFF_CONFIGSVN, 2);
	passes(&w, "register = \"sgx.configsvn=1111\"", NULL, BY_LEASE);
	same_enclave(&w, SGX_OFF_CONFIGSVN, 2);
	refused(&w, "register = \"configsvn=1112\"", "policy.registers",
	        "configsvn is not what the policy pins: 1111");
	same_enclave(&w, SGX_OFF_CONFIGSVN, 2);
	passes(&w, "unpinned-register = configsvn", "neither pinned nor zero: configsvn", BY_LEASE);
	/* A product number is the policy's to ask for. */
	same_enclave(&w, SGX_OFF_ISVPRODID, 2);
	passes(&w, "", NULL, BY_LEASE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(service_td),
	        cmocka_unit_test(evaluation),
	        cmocka_unit_test(registers),
	        cmocka_unit_test(statement),
	        cmocka_unit_test(attributes),
	        cmocka_unit_test(rating),
	        cmocka_unit_test(rating_of_the_parts),
	        cmocka_unit_test(machine),
	        cmocka_unit_test(enclave),
	        cmocka_unit_test(enclave_signed_anew),
	        cmocka_unit_test(enclave_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
