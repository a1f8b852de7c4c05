/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts on a simulated Nitro enclave and on a simulated CCA realm: their registers against the
 * ledger's statement and the policy's pins, from the evidence to the verdict.
 */
#include "attest_build.h"
#include "attester/sim_cca.h"
#include "attester/sim_nitro.h"
#include "policy_ledger.h"

enum { LIFE = 7200, LEASE = 3600 };

struct world {
	enum tee tee;
	struct sim_nitro nitro;
	struct sim_cca cca;
	struct buf evidence, anchor;
	struct logbook log;
	struct policy_presented shown;
	struct policy *policy;
	struct verdict v;
	struct policy_head_update head;
};

static void world_start(struct world *w, enum tee tee)
{
	memset(w, 0, sizeof(*w));
	w->tee = tee;
	w->evidence = buf_make(1 << 16);
	w->anchor = buf_make(4096);
	assert_int_equal(sim_nitro_begin(&w->nitro, SIM_AT, LIFE), 0);
	assert_int_equal(sim_cca_begin(&w->cca), 0);
	logbook_start(&w->log, SIM_AT);
	w->shown.binder = BINDER_CONNECTION;
	w->shown.check_report_data = true;
	memset(w->shown.report_data, 0x5a, 64);
	snprintf(w->shown.cmw.evidence_type, sizeof(w->shown.cmw.evidence_type), "%s",
	         attest_media_type(tee));
}

static void world_end(struct world *w)
{
	sim_nitro_free(&w->nitro);
	sim_cca_free(&w->cca);
	buf_free(&w->evidence);
	buf_free(&w->anchor);
	logbook_free(&w->log);
	policy_free(w->policy);
}

static void put_hex(char *out, const uint8_t *p, size_t n)
{
	hex_encode((struct bytes){p, n}, out);
}

/* The statement names the launch measurement. */
static void release(struct world *w)
{
	char hex[129], text[512];
	bool nitro = w->tee == TEE_NITRO;

	put_hex(hex, nitro ? w->nitro.pcr[0] : w->cca.rim, nitro ? NITRO_PCR_LEN : w->cca.digest_n);
	snprintf(text, sizeof(text), "\"%s\":{\"%s\":\"%s\"}", attest_tee_name(w->tee),
	         nitro ? "pcr0" : "rim", hex);
	make_statement(&w->log, text);
}

static void make_evidence(struct world *w)
{
	uint8_t *der = NULL;
	int n;

	if (w->tee == TEE_NITRO) {
		assert_int_equal(sim_nitro_certify(&w->nitro), 0);
		assert_int_equal(sim_nitro_document(&w->nitro, w->shown.report_data,
		                                    (uint64_t)SIM_AT * 1000, &w->evidence),
		                 0);
		n = i2d_X509(w->nitro.cert[SIM_NITRO_ROOT].x, &der);
	} else {
		assert_int_equal(sim_cca_token(&w->cca, w->shown.report_data, &w->evidence), 0);
		n = i2d_PUBKEY(w->cca.cpak, &der);
	}
	assert_true(n > 0);
	buf_put(&w->anchor, der, (size_t)n);
	OPENSSL_free(der);
}

static void take_policy(struct world *w, const char *more)
{
	const char *tee = attest_tee_name(w->tee);
	struct buf text = buf_make(1 << 16);
	struct policy_issues issues;
	struct policy_file in = {.path = FILE_A};
	struct files f;

	files_make(&f);
	files_add(&f, DIR "policy.d/lab.der", buf_view(&w->anchor));
	buf_printf(&text,
	           "default-action = allow\nledger acme { policy = acme.policy max-age = 1h }\n"
	           "anchor lab { tee = %s file = lab.der }\n"
	           "destination d { address = 192.0.2.1 port = 443 action = gate tee = %s\n"
	           "anchor = lab ledger = acme %s }\n",
	           tee, tee, more);
	in.text = buf_view(&text);
	if (policy_parse(&in, 1, files_load, &f, SIM_AT, &w->policy, &issues)) {
		print_issues(&issues);
		fail();
	}
	files_free(&f);
	buf_free(&text);
}

static void world_judge(struct world *w, const char *more)
{
	struct cmw *cmw = &w->shown.cmw;

	make_evidence(w);
	take_policy(w, more);
	make_proof(&w->log);
	cmw->evidence = buf_view(&w->evidence);
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

/* Passes with so many loosenings, the anchor's among them; ends the world. */
static void passes(struct world *w, const char *more, uint32_t loosenings)
{
	world_judge(w, more);
	expect_pass(&w->v.checks);
	assert_true(verdict_passed(&w->v, SIM_AT));
	assert_int_equal(w->v.loosenings, loosenings);
	assert_string_equal(w->v.tee, attest_tee_name(w->tee));
	assert_true(w->v.valid_until > SIM_AT && w->v.valid_until <= SIM_AT + LEASE);
	world_end(w);
}

/* ------------------------------------------------------------------------ Nitro */

static void an_enclave(void **state)
{
	char pin[160] = "register = \"pcr8=", hex[2 * NITRO_PCR_LEN + 1], id[160];
	struct world w;
	(void)state;

	world_start(&w, TEE_NITRO);
	release(&w);
	passes(&w, "", 1);

	/* Another image. */
	world_start(&w, TEE_NITRO);
	release(&w);
	w.nitro.pcr[0][5] ^= 1;
	refused(&w, "", "policy.measurement", "not what the logged statement says");

	/* The parts of the image are covered by the whole. */
	world_start(&w, TEE_NITRO);
	release(&w);
	w.nitro.pcr[2][5] ^= 1;
	passes(&w, "", 1);

	/* What the enclave extends itself is zero, or pinned. */
	for (unsigned i = 5; i < NITRO_PCRS; i += i == 7 ? 2 : 1) {
		char name[32];

		world_start(&w, TEE_NITRO);
		release(&w);
		w.nitro.pcrs |= UINT32_C(1) << i;
		w.nitro.pcr[i][0] = 1;
		snprintf(name, sizeof(name), "pcr%u", i);
		refused(&w, "", "policy.registers", name);
	}
	world_start(&w, TEE_NITRO);
	release(&w);
	w.nitro.pcr[16][0] = 1;
	w.nitro.pcrs |= UINT32_C(1) << 16;
	passes(&w, "unpinned-register = pcr16", 2);

	/* Whose image, which machine: where the policy asks for it. */
	world_start(&w, TEE_NITRO);
	release(&w);
	memset(w.nitro.pcr[8], 0x88, NITRO_PCR_LEN);
	put_hex(hex, w.nitro.pcr[8], NITRO_PCR_LEN);
	strcat(strcat(pin, hex), "\"");
	passes(&w, pin, 1);
	world_start(&w, TEE_NITRO);
	release(&w);
	refused(&w, pin, "policy.registers", "pcr8 is not what the policy pins");
	world_start(&w, TEE_NITRO);
	release(&w);
	put_hex(hex, w.nitro.pcr[NITRO_PCR_INSTANCE], NITRO_PCR_LEN);
	snprintf(id, sizeof(id), "chip-id = \"%s\"", hex);
	passes(&w, id, 1);
	world_start(&w, TEE_NITRO);
	release(&w);
	refused(&w, id, "policy.chip", "not in the policy's list");
}

static void an_enclave_in_debug_mode(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, TEE_NITRO);
	release(&w);
	memset(w.nitro.pcr, 0, (size_t)3 * NITRO_PCR_LEN);
	world_judge(&w, "");
	assert_int_equal(checks_find(&w.v.checks, "nitro.debug")->status, CHECK_FAIL);
	assert_false(verdict_passed(&w.v, SIM_AT));
	world_end(&w);
}

/* -------------------------------------------------------------------------- CCA */

/* The pin of the simulated firmware. */
static void firmware_pin(const struct world *w, char out[static 128])
{
	struct buf components = buf_make(4096);
	uint8_t hash[32];
	char hex[65];

	sim_cca_components(&w->cca, &components);
	assert_int_equal(EVP_Digest(components.p, components.n, hash, NULL, EVP_sha256(), NULL), 1);
	hex_encode(BYTES_OF(hash), hex);
	snprintf(out, 128, "register = \"cca.platform-sw=%s\"", hex);
	buf_free(&components);
}

static void a_realm(void **state)
{
	char pin[128], more[256], hex[2 * CCA_INSTANCE_ID_LEN + 1];
	struct world w;
	(void)state;

	world_start(&w, TEE_CCA);
	firmware_pin(&w, pin);
	release(&w);
	passes(&w, pin, 1);
	world_start(&w, TEE_CCA);
	w.cca.digest_n = 64;
	release(&w);
	passes(&w, pin, 1);

	/* Nobody rates the firmware: it is pinned, or left open by name. */
	world_start(&w, TEE_CCA);
	release(&w);
	refused(&w, "", "policy.registers", "platform-sw");
	world_start(&w, TEE_CCA);
	release(&w);
	passes(&w, "unpinned-register = cca.platform-sw", 2);
	world_start(&w, TEE_CCA);
	release(&w);
	w.cca.components--;
	refused(&w, pin, "policy.registers", "platform-sw is not what the policy pins");
	world_start(&w, TEE_CCA);
	release(&w);
	w.cca.config = bytes_str("configuration");
	refused(&w, pin, "policy.registers", "platform-config");

	/* Another realm; one that was personalised or extended. */
	world_start(&w, TEE_CCA);
	release(&w);
	w.cca.rim[31] ^= 1;
	refused(&w, pin, "policy.measurement", "not what the logged statement says");
	world_start(&w, TEE_CCA);
	release(&w);
	w.cca.rpv[63] = 1;
	refused(&w, pin, "policy.registers", "rpv");
	for (int i = 0; i < CCA_REMS; i++) {
		char name[16];

		world_start(&w, TEE_CCA);
		release(&w);
		w.cca.rem[i][0] = 1;
		snprintf(name, sizeof(name), "rem%d", i);
		refused(&w, pin, "policy.registers", name);
	}

	/* Which machine. */
	world_start(&w, TEE_CCA);
	release(&w);
	hex_encode(BYTES_OF(w.cca.instance_id), hex);
	snprintf(more, sizeof(more), "%s chip-id = \"%s\"", pin, hex);
	passes(&w, more, 1);
	world_start(&w, TEE_CCA);
	release(&w);
	refused(&w, more, "policy.chip", "not in the policy's list");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(an_enclave),
	        cmocka_unit_test(an_enclave_in_debug_mode),
	        cmocka_unit_test(a_realm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
