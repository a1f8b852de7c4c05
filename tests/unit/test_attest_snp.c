/* SPDX-License-Identifier: Apache-2.0 */
/* SEV-SNP: every check tripped alone, on reports of a platform made here. */
#include "tests/unit/attest_build.h"

#include <errno.h>

struct world {
	struct sim sim;
	uint8_t report[SNP_REPORT_LEN];
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

static void world_start(struct world *w, const char *product, bool vlek, uint32_t version)
{
	memset(w, 0, sizeof(*w));
	sim_start(&w->sim, product);
	w->sim.vlek = vlek;
	sim_certs(&w->sim);
	sim_report(&w->sim, version, w->report);
}

/* Signs what the test has made of the report. */
static void world_sign(struct world *w)
{
	sim_sign(w->report, sim_keys()->vek);
	w->in = sim_input(&w->sim, w->report);
}

static void world_judge(struct world *w)
{
	memset(&w->checks, 0, sizeof(w->checks));
	assert_int_equal(attest_appraise(&w->in, &w->claims, &w->checks), 0);
}

static void world_good(struct world *w)
{
	world_start(w, "Milan", false, 3);
	world_sign(w);
}

/* ------------------------------------------------------------------ what passes */

static void passes_every_version_and_product(void **state)
{
	static const struct {
		const char *product;
		bool vlek;
		uint32_t version;
	} rows[] = {
	        {"Milan", false, 2}, {"Milan", false, 3}, {"Milan", false, 4}, {"Genoa", false, 5},
	        {"Genoa", true, 3},  {"Turin", false, 5}, {"Turin", true, 3},  {"Milan", true, 2},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		world_start(&w, rows[i].product, rows[i].vlek, rows[i].version);
		world_sign(&w);
		w.in.type = TEE_NONE;
		world_judge(&w);
		expect_pass(&w.checks);
		assert_string_equal(w.claims.product, rows[i].product);
		assert_int_equal(w.claims.tee, TEE_SNP);
	}
}

static void claims_are_what_the_report_says(void **state)
{
	struct world w;
	const struct measurement *m;
	(void)state;

	world_start(&w, "Milan", false, 3);
	put32(w.report + SNP_OFF_VMPL, 2);
	world_sign(&w);
	w.in.check_report_data = true;
	memset(w.in.report_data, 0x5a, 64);
	world_judge(&w);
	expect_pass(&w.checks);
	m = measurement_find(&w.claims.measurements, "measurement");
	assert_non_null(m);
	assert_int_equal(m->len, 48);
	assert_memory_equal(m->value, w.report + SNP_OFF_MEASUREMENT, 48);
	assert_memory_equal(w.claims.report_data, w.in.report_data, 64);
	assert_memory_equal(w.claims.host_data, w.report + SNP_OFF_HOST_DATA, 32);
	assert_int_equal(w.claims.chip_id_len, 64);
	assert_memory_equal(w.claims.chip_id, w.sim.chip_id, 64);
	assert_int_equal(w.claims.vmpl, 2);
	assert_int_equal(w.claims.guest_svn, 7);
	assert_int_equal(w.claims.policy, 0x30000);
	assert_int_equal(w.claims.platform_info, 0x25);
	assert_false(w.claims.debug);
	assert_int_equal(w.claims.valid_until, SIM_END);
	assert_int_equal(w.claims.tcb_n, 4);
	assert_string_equal(w.claims.tcb[0].name, "bootloader");
	assert_int_equal(w.claims.tcb[0].svn, 4);
	assert_string_equal(w.claims.tcb[3].name, "microcode");
	assert_int_equal(w.claims.tcb[3].svn, 219);
	assert_string_equal(w.claims.signer, "VCEK");
	assert_true(w.claims.extra_anchor);
	assert_non_null(strstr(checks_find(&w.checks, "snp.chain")->detail, "given by the caller"));
}

static void an_id_block_is_in_registers(void **state)
{
	const struct measurements *all;
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 3);
	for (size_t i = 0; i < ID_BLOCK_FIELDS; i++)
		memset(w.report + id_block_field[i].off, (int)(0x80 + i), id_block_field[i].len);
	world_sign(&w);
	world_judge(&w);
	expect_pass(&w.checks);
	all = &w.claims.measurements;
	assert_int_equal(all->n, 5);
	assert_string_equal(all->v[0].name, "measurement");
	assert_int_equal(all->v[0].role, REGISTER_CODE);
	for (size_t i = 0; i < ID_BLOCK_FIELDS; i++) {
		assert_string_equal(all->v[i + 1].name, id_block_field[i].name);
		assert_int_equal(all->v[i + 1].role, REGISTER_CONFIG);
		assert_int_equal(all->v[i + 1].len, id_block_field[i].len);
		assert_memory_equal(all->v[i + 1].value, w.report + id_block_field[i].off,
		                    id_block_field[i].len);
	}
}

static void vlek_names_a_provider_and_no_chip(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Genoa", true, 3);
	world_sign(&w);
	world_judge(&w);
	expect_pass(&w.checks);
	assert_string_equal(w.claims.csp, "CN=cc-test.example.com");
	assert_string_equal(w.claims.signer, "VLEK");
	assert_int_equal(w.claims.chip_id_len, 0);
}

static void turin_tcb_has_five_parts(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Turin", false, 5);
	world_sign(&w);
	world_judge(&w);
	expect_pass(&w.checks);
	assert_int_equal(w.claims.tcb_n, 5);
	assert_string_equal(w.claims.tcb[0].name, "fmc");
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(w.claims.tcb[i].svn, i + 1);
	assert_int_equal(w.claims.tcb[4].svn, 71);
	assert_int_equal(w.claims.chip_id_len, 8);
}

static void the_checks_always_come_in_one_order(void **state)
{
	static const char *const order[] = {
	        "evidence.type",  "snp.format",      "snp.chain",    "snp.cert-time",
	        "snp.revocation", "snp.signature",   "snp.key-info", "snp.chip",
	        "snp.debug",      "snp.policy",      "snp.vmpl",     "snp.tcb-cert",
	        "snp.tcb-order",  "snp.report-data",
	};
	struct world w;
	(void)state;

	/* Passed, without a chain, with a wrong signature, malformed. */
	for (int round = 0; round < 4; round++) {
		world_good(&w);
		w.in.check_report_data = true;
		memset(w.in.report_data, 0x5a, 64);
		if (round == 1)
			w.in.endorsements_n = 0;
		if (round == 2)
			w.report[SNP_OFF_MEASUREMENT] ^= 1;
		if (round == 3)
			w.in.evidence.n--;
		world_judge(&w);
		assert_int_equal(w.checks.n, sizeof(order) / sizeof(order[0]));
		for (size_t i = 0; i < w.checks.n; i++)
			assert_string_equal(w.checks.v[i].id, order[i]);
		assert_int_equal(checks_overall(&w.checks), round == 0   ? CHECK_PASS
		                                            : round == 1 ? CHECK_UNAVAILABLE
		                                                         : CHECK_FAIL);
	}
}

/* ------------------------------------------------------- fields under a signature */

/* Signed changes of a good Milan report, and the one check that each must trip. */
static const struct {
	const char *id;
	uint16_t off;
	uint8_t n;
	uint8_t v[8];
} signed_changes[] = {
        {"snp.format", SNP_OFF_VERSION, 1, {1}},
        {"snp.format", SNP_OFF_VERSION, 1, {6}},
        {"snp.format", SNP_OFF_VERSION, 4, {3, 0, 0, 1}},
        {"snp.format", SNP_OFF_MBZ_04C, 1, {1}},
        {"snp.format", SNP_OFF_MBZ_04C + 3, 1, {1}},
        {"snp.format", SNP_OFF_MBZ_18B, 1, {1}},
        {"snp.format", SNP_OFF_CHIP_ID - 1, 1, {1}},
        {"snp.format", SNP_OFF_CURRENT_VERSION + 3, 1, {1}},
        {"snp.format", SNP_OFF_COMMITTED_VERSION + 3, 1, {1}},
        {"snp.format", SNP_OFF_LAUNCH_MIT, 1, {1}},
        {"snp.format", SNP_OFF_CURRENT_MIT + 7, 1, {1}},
        {"snp.format", SNP_OFF_MBZ_208, 1, {1}},
        {"snp.format", SNP_OFF_SIG_R - 1, 1, {1}},
        {"snp.signature", SNP_OFF_SIGNATURE_ALGO, 1, {2}},
        {"snp.signature", SNP_OFF_SIGNATURE_ALGO, 1, {0}},
        {"snp.key-info", SNP_OFF_KEY_INFO, 1, {SNP_UNSIGNED << 2}},
        {"snp.key-info", SNP_OFF_KEY_INFO, 1, {SNP_VLEK << 2}},
        {"snp.key-info", SNP_OFF_KEY_INFO, 1, {3 << 2}},
        {"snp.key-info", SNP_OFF_KEY_INFO, 1, {0x20}},
        {"snp.key-info", SNP_OFF_KEY_INFO + 3, 1, {0x80}},
        {"snp.chip", SNP_OFF_KEY_INFO, 1, {SNP_KEY_MASK_CHIP_KEY}},
        {"snp.chip", SNP_OFF_CHIP_ID, 1, {0xa1}},
        {"snp.chip", SNP_OFF_CHIP_ID + 63, 1, {0}},
        {"snp.chip", SNP_OFF_CPUID + 1, 1, {0x11}}, /* Genoa's */
        {"snp.chip", SNP_OFF_CPUID, 1, {0x17}},     /* nobody's */
        {"snp.debug", SNP_OFF_POLICY + 2, 1, {0x0b}},
        {"snp.policy", SNP_OFF_POLICY + 2, 1, {0x01}},
        {"snp.policy", SNP_OFF_POLICY + 2, 1, {0x07}},
        {"snp.policy", SNP_OFF_POLICY + 3, 1, {0x04}},
        {"snp.policy", SNP_OFF_POLICY + 7, 1, {0x80}},
        {"snp.vmpl", SNP_OFF_VMPL, 1, {4}},
        {"snp.vmpl", SNP_OFF_VMPL, 4, {0xff, 0xff, 0xff, 0xff}},
        {"snp.tcb-cert", SNP_OFF_REPORTED_TCB, 1, {3}},
        {"snp.tcb-cert", SNP_OFF_REPORTED_TCB + 6, 1, {23}},
        {"snp.tcb-cert", SNP_OFF_REPORTED_TCB + 7, 1, {218}},
        {"snp.tcb-order", SNP_OFF_CURRENT_TCB + 7, 1, {218}},
        {"snp.tcb-order", SNP_OFF_CURRENT_TCB, 1, {3}},
        {"snp.tcb-order", SNP_OFF_COMMITTED_TCB + 6, 1, {25}},
        {"snp.tcb-order", SNP_OFF_COMMITTED_TCB + 1, 1, {1}},
        {"snp.tcb-order", SNP_OFF_COMMITTED_TCB + 2, 1, {1}},
        {"snp.tcb-order", SNP_OFF_REPORTED_TCB + 3, 1, {1}},
        {"snp.tcb-order", SNP_OFF_CURRENT_TCB + 2, 1, {1}},
        {"snp.tcb-order", SNP_OFF_LAUNCH_TCB + 5, 1, {1}},
};

static void each_signed_field_trips_its_check(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 3);
	for (size_t i = 0; i < sizeof(signed_changes) / sizeof(signed_changes[0]); i++) {
		sim_report(&w.sim, 3, w.report);
		memcpy(w.report + signed_changes[i].off, signed_changes[i].v, signed_changes[i].n);
		world_sign(&w);
		world_judge(&w);
		expect_only(&w.checks, signed_changes[i].id, CHECK_FAIL);
	}
}

static void fields_that_may_vary_pass(void **state)
{
	static const struct {
		uint16_t off;
		uint8_t v;
	} rows[] = {
	        {SNP_OFF_CURRENT_TCB + 7, 220}, {SNP_OFF_COMMITTED_TCB + 7, 217},
	        {SNP_OFF_LAUNCH_TCB + 7, 1},    {SNP_OFF_POLICY, 0x1f},
	        {SNP_OFF_POLICY + 3, 3},        {SNP_OFF_VMPL, 3},
	        {SNP_OFF_PLATFORM_INFO, 0x67},  {SNP_OFF_KEY_INFO, SNP_KEY_AUTHOR_KEY_EN},
	        {SNP_OFF_CPUID + 2, 7},
	};
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 3);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sim_report(&w.sim, 3, w.report);
		w.report[rows[i].off] = rows[i].v;
		world_sign(&w);
		world_judge(&w);
		expect_pass(&w.checks);
	}
}

static void reported_is_compared_by_itself(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 3);
	w.report[SNP_OFF_CURRENT_TCB + 7] = 218;
	w.report[SNP_OFF_COMMITTED_TCB + 7] = 218;
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.tcb-order", CHECK_FAIL);
}

static void masked_chip_is_refused(void **state)
{
	struct world w;
	(void)state;

	/* Even if the certificate were for the chip "zero". */
	memset(&w, 0, sizeof(w));
	sim_start(&w.sim, "Milan");
	memset(w.sim.chip_id, 0, sizeof(w.sim.chip_id));
	sim_certs(&w.sim);
	sim_report(&w.sim, 3, w.report);
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.chip", CHECK_FAIL);

	world_start(&w, "Milan", false, 3);
	memset(w.report + SNP_OFF_CHIP_ID, 0, 64);
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.chip", CHECK_FAIL);
	assert_int_equal(w.claims.chip_id_len, 0);
}

static void turin_has_its_own_rules(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Turin", false, 2);
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.chip", CHECK_FAIL);

	world_start(&w, "Turin", false, 5);
	w.report[SNP_OFF_CHIP_ID + 8] = 1;
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.chip", CHECK_FAIL);

	world_start(&w, "Turin", false, 5);
	w.report[SNP_OFF_REPORTED_TCB] = 0; /* fmc */
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.tcb-cert", CHECK_FAIL);

	world_start(&w, "Turin", false, 5);
	w.report[SNP_OFF_CURRENT_TCB + 6] = 1; /* reserved here, SNP elsewhere */
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.tcb-order", CHECK_FAIL);
}

static void versions_differ_in_what_is_reserved(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 2);
	w.report[SNP_OFF_CPUID] = 0x19;
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.format", CHECK_FAIL);

	world_start(&w, "Milan", false, 5);
	w.report[SNP_OFF_LAUNCH_MIT] = 1;
	w.report[SNP_OFF_CURRENT_MIT] = 3;
	world_sign(&w);
	world_judge(&w);
	expect_pass(&w.checks);
}

static void debug_guest_only_by_permission(void **state)
{
	struct world w;
	(void)state;

	world_start(&w, "Milan", false, 3);
	put64(w.report + SNP_OFF_POLICY, 0x30000 | SNP_POLICY_DEBUG);
	world_sign(&w);
	world_judge(&w);
	expect_only(&w.checks, "snp.debug", CHECK_FAIL);
	w.in.allow_debug = true;
	world_judge(&w);
	expect_pass(&w.checks);
	assert_true(w.claims.debug);
}

static void report_data_must_match(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	w.in.check_report_data = true;
	memset(w.in.report_data, 0x5a, 64);
	for (int i = 0; i < 64; i += 21) {
		w.in.report_data[i] ^= 1;
		world_judge(&w);
		expect_only(&w.checks, "snp.report-data", CHECK_FAIL);
		w.in.report_data[i] ^= 1;
	}
	world_judge(&w);
	expect_pass(&w.checks);
	w.in.check_report_data = false;
	world_judge(&w);
	assert_null(checks_find(&w.checks, "snp.report-data"));
}

/* -------------------------------------------------------------------- signature */

static void signature_field_has_one_form(void **state)
{
	static const uint16_t pads[] = {SNP_OFF_SIG_R + 48, SNP_OFF_SIG_R + 71, SNP_OFF_SIG_S + 48,
	                                SNP_OFF_SIG_S + 71};
	struct world w;
	(void)state;

	world_good(&w);
	for (size_t i = 0; i < sizeof(pads) / sizeof(pads[0]); i++) {
		w.report[pads[i]] = 1;
		world_judge(&w);
		expect_only(&w.checks, "snp.signature", CHECK_FAIL);
		w.report[pads[i]] = 0;
	}
	w.report[SNP_OFF_SIG_TAIL] = 1;
	world_judge(&w);
	expect_only(&w.checks, "snp.format", CHECK_FAIL);
	w.report[SNP_OFF_SIG_TAIL] = 0;
	world_judge(&w);
	expect_pass(&w.checks);
	memset(w.report + SNP_OFF_SIG_R, 0, 48);
	world_judge(&w);
	expect_only(&w.checks, "snp.signature", CHECK_FAIL);
	memset(w.report + SNP_OFF_SIG_R, 0xff, 48);
	world_judge(&w);
	expect_only(&w.checks, "snp.signature", CHECK_FAIL);
}

static void another_key_does_not_pass(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	sim_sign(w.report, sim_keys()->other);
	world_judge(&w);
	expect_only(&w.checks, "snp.signature", CHECK_FAIL);
	assert_int_equal(checks_find(&w.checks, "snp.debug")->status, CHECK_SKIP);
}

static void a_flip_of_any_signed_bit_is_refused(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	for (size_t bit = 0; bit < 8 * (size_t)SNP_SIGNED_LEN; bit++) {
		w.report[bit / 8] ^= (uint8_t)(1u << (bit % 8));
		world_judge(&w);
		if (checks_overall(&w.checks) != CHECK_FAIL)
			fail_msg("a flip of bit %zu passed", bit);
		w.report[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	}
	world_judge(&w);
	expect_pass(&w.checks);
}

static void a_flip_in_any_byte_of_the_signature_is_refused(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	for (size_t at = SNP_OFF_SIG_R; at < SNP_REPORT_LEN; at++) {
		w.report[at] ^= (uint8_t)(1u << (at % 8));
		world_judge(&w);
		expect_only(&w.checks, at < SNP_OFF_SIG_TAIL ? "snp.signature" : "snp.format",
		            CHECK_FAIL);
		w.report[at] ^= (uint8_t)(1u << (at % 8));
	}
}

/* ------------------------------------------------------------------------ chain */

static void a_missing_certificate_is_unavailable(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	w.in.endorsements_n = 0;
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_UNAVAILABLE);

	w.in.endorsements_n = 1; /* the VCEK alone */
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_UNAVAILABLE);

	w.in.endorsements[0] = der_view(&w.sim.ask);
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_UNAVAILABLE);

	world_good(&w);
	w.in.anchors_n = 0; /* and with it the ARK */
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_UNAVAILABLE);
}

static void an_anchor_may_be_a_key(void **state)
{
	struct world w;
	uint8_t *der = NULL;
	char pem[2048];
	int n = i2d_PUBKEY(sim_keys()->ark, &der);
	size_t pem_n;
	(void)state;

	assert_true(n > 0);
	pem_n = pem_of("PUBLIC KEY", (struct bytes){der, (size_t)n}, pem, sizeof(pem));
	world_good(&w);
	w.in.anchors[0] = (struct bytes){der, (size_t)n};
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_UNAVAILABLE); /* no ARK certificate */
	w.in.endorsements[w.in.endorsements_n++] = der_view(&w.sim.ark);
	world_judge(&w);
	expect_pass(&w.checks);
	assert_true(w.claims.extra_anchor);
	w.in.anchors[0] = (struct bytes){(const uint8_t *)pem, pem_n};
	world_judge(&w);
	expect_pass(&w.checks);
	w.in.anchors_n = 0;
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL); /* a root that nobody trusts */
	OPENSSL_free(der);
}

static void twice(X509 *vek)
{
	add_ext_int(vek, SNP_OID_SPL_TEE, 0);
}

static void with_csp(X509 *vek)
{
	add_ext_text(vek, SNP_OID_CSP, "CN=x");
}

static void with_hwid(X509 *vek)
{
	uint8_t id[64] = {1};

	add_ext(vek, SNP_OID_HWID, id, sizeof(id));
}

static void with_critical(X509 *vek)
{
	add_ext(vek, "1.3.6.1.4.1.3704.99", "\x05\x00", 2);
	X509_EXTENSION_set_critical(X509_get_ext(vek, X509_get_ext_count(vek) - 1), 1);
}

static void with_fmc(X509 *vek)
{
	add_ext_int(vek, SNP_OID_SPL_FMC, 1);
}

static void chain_fails(struct sim *s, const char *what)
{
	struct world w;

	memset(&w, 0, sizeof(w));
	w.sim = *s;
	sim_certs(&w.sim);
	sim_report(&w.sim, 3, w.report);
	world_sign(&w);
	world_judge(&w);
	if (!checks_find(&w.checks, "snp.chain") ||
	    checks_find(&w.checks, "snp.chain")->status != CHECK_FAIL)
		print_message("%s\n", what);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL);
}

#define CHAIN_FAILS(product_, vlek_, ...) \
	do { \
		struct sim s; \
		sim_start(&s, product_); \
		s.vlek = vlek_; \
		__VA_ARGS__; \
		chain_fails(&s, #__VA_ARGS__); \
	} while (0)

static void a_wrong_chain_fails(void **state)
{
	const struct sim_keys *k = sim_keys();
	(void)state;

	CHAIN_FAILS("Milan", false, s.vek_signer = k->asvk);
	CHAIN_FAILS("Milan", false, s.ask_signer = k->asvk);
	CHAIN_FAILS("Milan", false, s.vek_signer = k->other); /* ECDSA by a stranger */
	CHAIN_FAILS("Milan", false, s.ext_product = "Genoa");
	CHAIN_FAILS("Milan", false, s.ext_product = "Mila");
	CHAIN_FAILS("Milan", false, s.ext_product = "Milano-B0");
	CHAIN_FAILS("Milan", false, s.ext_product = NULL);
	CHAIN_FAILS("Milan", false, s.ark_cn = "ARK-Nowhere");
	CHAIN_FAILS("Milan", false, s.ark_cn = "ARK-Genoa");
	CHAIN_FAILS("Milan", false, s.ark_cn = "Milan");
	CHAIN_FAILS("Milan", false, s.ask_cn = "SEV-Genoa");
	CHAIN_FAILS("Milan", false, s.ask_cn = "SEV-VLEK-Milan");
	CHAIN_FAILS("Milan", true, s.ask_cn = "SEV-Milan");
	CHAIN_FAILS("Milan", false, s.pkcs1 = true);
	CHAIN_FAILS("Milan", false, s.md = EVP_sha256());
	CHAIN_FAILS("Milan", false, s.not_ca = true);
	CHAIN_FAILS("Milan", false, s.extra = twice);
	CHAIN_FAILS("Milan", false, s.extra = with_csp);
	CHAIN_FAILS("Milan", true, s.extra = with_hwid);
	CHAIN_FAILS("Milan", false, s.extra = with_critical);
	CHAIN_FAILS("Milan", false, s.extra = with_fmc);
	CHAIN_FAILS("Milan", false, s.reserved_spl = 1);
	CHAIN_FAILS("Milan", false, s.skip_ext = SNP_OID_SPL_BOOTLOADER);
	CHAIN_FAILS("Milan", false, s.skip_ext = SNP_OID_SPL_TEE);
	CHAIN_FAILS("Milan", false, s.skip_ext = SNP_OID_SPL_SNP);
	CHAIN_FAILS("Milan", false, s.skip_ext = SNP_OID_SPL_MICROCODE);
	CHAIN_FAILS("Milan", false, s.skip_ext = SNP_OID_HWID);
	CHAIN_FAILS("Turin", false, s.skip_ext = SNP_OID_SPL_FMC);
}

static void product_stepping_and_wrapped_hwid_pass(void **state)
{
	struct world w;
	(void)state;

	memset(&w, 0, sizeof(w));
	sim_start(&w.sim, "Milan");
	w.sim.ext_product = "Milan-B0";
	w.sim.hwid_wrapped = true;
	sim_certs(&w.sim);
	sim_report(&w.sim, 3, w.report);
	world_sign(&w);
	world_judge(&w);
	expect_pass(&w.checks);
}

static void a_key_of_another_kind_can_not_sign(void **state)
{
	EVP_PKEY *keys[] = {EVP_EC_gen(SN_X9_62_prime256v1), EVP_RSA_gen(2048)};
	(void)state;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		struct world w;

		memset(&w, 0, sizeof(w));
		sim_start(&w.sim, "Milan");
		w.sim.vek_key = keys[i];
		sim_certs(&w.sim);
		sim_report(&w.sim, 3, w.report);
		world_sign(&w);
		world_judge(&w);
		expect_only(&w.checks, "snp.chain", CHECK_FAIL);
		EVP_PKEY_free(keys[i]);
	}
}

static void a_self_made_root_with_the_pinned_key_needs_its_signature(void **state)
{
	const struct sim_keys *k = sim_keys();
	struct cert_spec spec = {.cn = "ARK-Milan",
	                         .issuer = "ARK-Milan",
	                         .key = k->ark,
	                         .signer = k->ask, /* not the root's key */
	                         .begin = SIM_BEGIN,
	                         .end = SIM_END + 5000,
	                         .ca = true,
	                         .serial = 1};
	struct world w;
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(k->ark, &der);
	X509 *cert;
	(void)state;

	world_good(&w);
	cert = cert_begin(&spec);
	cert_finish(cert, &spec);
	cert_der(cert, &w.sim.ark);
	X509_free(cert);
	w.in = sim_input(&w.sim, w.report);
	w.in.anchors[0] = (struct bytes){der, (size_t)n};
	w.in.endorsements[w.in.endorsements_n++] = der_view(&w.sim.ark);
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL);
	OPENSSL_free(der);
}

static void unreadable_endorsements_and_anchors_fail(void **state)
{
	static const uint8_t junk[] = {0x30, 0x03, 0x02, 0x01, 0x05};
	static const char pem[] = "-----BEGIN CERTIFICATE-----\nMAMCAQU=\n-----END "
	                          "CERTIFICATE-----\n";
	static const char json[] = "{\"tcbInfo\":{}}";
	struct world w;
	(void)state;

	world_good(&w);
	w.in.endorsements[2] = BYTES_OF(junk);
	w.in.endorsements_n = 3;
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL);
	w.in.endorsements[2] = bytes_str(pem);
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL);
	/* Another platform's collateral is none of our business. */
	w.in.endorsements[2] = bytes_str(json);
	world_judge(&w);
	expect_pass(&w.checks);
	w.in.anchors[1] = bytes_str(json);
	w.in.anchors_n = 2;
	world_judge(&w);
	expect_only(&w.checks, "snp.chain", CHECK_FAIL);
}

static void the_vek_that_signed_is_found_among_many(void **state)
{
	struct world w, other;
	(void)state;

	/* A certificate of another TCB of the chip, hence of another key, stands first. */
	world_good(&w);
	memset(&other, 0, sizeof(other));
	sim_start(&other.sim, "Milan");
	other.sim.tcb[7] = 100;
	other.sim.vek_key = sim_keys()->other;
	sim_certs(&other.sim);
	w.in.endorsements[2] = w.in.endorsements[0];
	w.in.endorsements[0] = der_view(&other.sim.vek);
	w.in.endorsements_n = 3;
	world_judge(&w);
	expect_pass(&w.checks);
	/* Alone it is the one that is judged, and its key did not sign. */
	w.in.endorsements_n = 2;
	world_judge(&w);
	expect_only(&w.checks, "snp.signature", CHECK_FAIL);
}

/* ------------------------------------------------------------ times, revocation */

static void every_certificate_must_be_valid(void **state)
{
	(void)state;

	for (int which = 0; which < 4; which++) {
		struct world w;

		memset(&w, 0, sizeof(w));
		sim_start(&w.sim, "Milan");
		if (which == 0)
			w.sim.vek_end = SIM_AT - 1;
		if (which == 1)
			w.sim.ask_end = SIM_AT - 1;
		if (which == 2)
			w.sim.ark_end = SIM_AT - 1;
		sim_certs(&w.sim);
		sim_report(&w.sim, 3, w.report);
		world_sign(&w);
		if (which == 3)
			w.in.at = SIM_BEGIN - 1;
		world_judge(&w);
		expect_only(&w.checks, "snp.cert-time", CHECK_FAIL);
	}
}

static void valid_until_is_the_earliest_end(void **state)
{
	struct world w;
	(void)state;

	memset(&w, 0, sizeof(w));
	sim_start(&w.sim, "Milan");
	w.sim.ask_end = SIM_END - 77;
	sim_certs(&w.sim);
	sim_report(&w.sim, 3, w.report);
	world_sign(&w);
	w.in.at = SIM_END - 77; /* the last second */
	world_judge(&w);
	expect_pass(&w.checks);
	assert_int_equal(w.claims.valid_until, SIM_END - 77);
	w.in.at++;
	world_judge(&w);
	expect_only(&w.checks, "snp.cert-time", CHECK_FAIL);
}

static void crl_judge(struct world *w, const struct der *crl, enum check_status want)
{
	w->in.endorsements[2] = der_view(crl);
	w->in.endorsements_n = 3;
	world_judge(w);
	if (want == CHECK_PASS || want == CHECK_SKIP) {
		expect_pass(&w->checks);
		assert_int_equal(checks_find(&w->checks, "snp.revocation")->status, want);
	} else {
		expect_only(&w->checks, "snp.revocation", want);
	}
}

static void revocation(void **state)
{
	const struct sim_keys *k = sim_keys();
	const int64_t begin = SIM_AT - 10, end = SIM_AT + 10;
	struct world w;
	struct der crl;
	(void)state;

	world_good(&w);
	world_judge(&w);
	assert_int_equal(checks_find(&w.checks, "snp.revocation")->status, CHECK_SKIP);
	w.in.require_crl = true;
	world_judge(&w);
	expect_only(&w.checks, "snp.revocation", CHECK_UNAVAILABLE);

	sim_crl("ARK-Milan", k->ark, begin, end, 0, &crl);
	crl_judge(&w, &crl, CHECK_PASS);
	assert_int_equal(w.claims.valid_until, end);
	sim_crl("ARK-Milan", k->ark, begin, end, 99, &crl);
	crl_judge(&w, &crl, CHECK_PASS);
	sim_crl("ARK-Milan", k->ark, begin, end, 2, &crl); /* the ASK's serial */
	crl_judge(&w, &crl, CHECK_FAIL);
	/* Of another time: it says nothing about now. */
	sim_crl("ARK-Milan", k->ark, begin, SIM_AT - 1, 0, &crl);
	crl_judge(&w, &crl, CHECK_UNAVAILABLE);
	sim_crl("ARK-Milan", k->ark, SIM_AT + 1, end, 0, &crl);
	crl_judge(&w, &crl, CHECK_UNAVAILABLE);
	sim_crl("ARK-Milan", k->ark, begin, 0, 0, &crl); /* no nextUpdate */
	crl_judge(&w, &crl, CHECK_FAIL);
	assert_non_null(strstr(checks_find(&w.checks, "snp.revocation")->detail, "nextUpdate"));
	sim_crl("ARK-Milan", k->ask, begin, end, 0, &crl);
	crl_judge(&w, &crl, CHECK_FAIL);
	sim_crl("ARK-Genoa", k->ark, begin, end, 0, &crl); /* another root's: none */
	crl_judge(&w, &crl, CHECK_UNAVAILABLE);
	w.in.require_crl = false;
	crl_judge(&w, &crl, CHECK_SKIP);
}

static void the_newest_crl_counts(void **state)
{
	const struct sim_keys *k = sim_keys();
	struct world w;
	struct der old, new;
	(void)state;

	world_good(&w);
	sim_crl("ARK-Milan", k->ark, SIM_AT - 100, SIM_AT + 100, 0, &old);
	sim_crl("ARK-Milan", k->ark, SIM_AT - 10, SIM_AT + 10, 2, &new);
	for (int i = 0; i < 2; i++) {
		w.in.endorsements[2] = der_view(i ? &old : &new);
		w.in.endorsements[3] = der_view(i ? &new : &old);
		w.in.endorsements_n = 4;
		world_judge(&w);
		expect_only(&w.checks, "snp.revocation", CHECK_FAIL);
	}
}

static void a_crl_of_the_future_does_not_count(void **state)
{
	const struct sim_keys *k = sim_keys();
	struct world w;
	struct der now, later;
	(void)state;

	world_good(&w);
	sim_crl("ARK-Milan", k->ark, SIM_AT - 100, SIM_AT + 100, 0, &now);
	sim_crl("ARK-Milan", k->ark, SIM_AT + 10, SIM_AT + 200, 0, &later);
	for (int i = 0; i < 2; i++) {
		w.in.endorsements[2] = der_view(i ? &now : &later);
		w.in.endorsements[3] = der_view(i ? &later : &now);
		w.in.endorsements_n = 4;
		world_judge(&w);
		expect_pass(&w.checks);
		assert_int_equal(w.claims.valid_until, SIM_AT + 100);
	}
}

/* ----------------------------------------------------------------- other wrappings */

static void endorsements_come_in_any_wrapping(void **state)
{
	static const char *const names[] = {"ARK", "ASK", "VCEK"};
	struct world w;
	struct bytes parts[3];
	char pem[3][4096];
	uint8_t table[16384];
	char all[12288];
	size_t n, at = 0;
	(void)state;

	world_good(&w);
	parts[0] = der_view(&w.sim.ark);
	parts[1] = der_view(&w.sim.ask);
	parts[2] = der_view(&w.sim.vek);
	n = sim_table(names, parts, 3, table, sizeof(table));
	w.in.endorsements[0] = (struct bytes){table, n};
	w.in.endorsements_n = 1;
	world_judge(&w);
	expect_pass(&w.checks);
	for (int i = 0; i < 3; i++) {
		size_t len = pem_of("CERTIFICATE", parts[i], pem[i], sizeof(pem[i]));

		memcpy(all + at, pem[i], len);
		at += len;
		parts[i] = (struct bytes){(const uint8_t *)pem[i], len};
	}
	n = sim_table(names, parts, 3, table, sizeof(table));
	w.in.endorsements[0] = (struct bytes){table, n};
	world_judge(&w);
	expect_pass(&w.checks);
	w.in.endorsements[0] = (struct bytes){(const uint8_t *)all, at};
	world_judge(&w);
	expect_pass(&w.checks);
}

static void tables_keep_their_bounds(void **state)
{
	static const char *const names[] = {"VCEK", "ASK"};
	struct world w;
	struct bytes parts[2];
	struct snp_table t;
	uint8_t good[8192], bad[8192];
	size_t n;
	static const struct {
		uint8_t at; /* offset of a u32 in the first or second entry */
		uint32_t v;
	} rows[] = {
	        {16, 0xffffffff}, {20, 0xfffff000}, {20, 0},          {16, 0},
	        {16, 71},         {40, 0x7fffffff}, {44, 0xffffffff}, {44, 1u << 20},
	};
	(void)state;

	world_good(&w);
	parts[0] = der_view(&w.sim.vek);
	parts[1] = der_view(&w.sim.ask);
	n = sim_table(names, parts, 2, good, sizeof(good));
	assert_int_equal(attest_snp_table((struct bytes){good, n}, &t), 0);
	assert_int_equal(t.n, 2);
	assert_string_equal(t.v[0].guid->name, "VCEK");
	assert_true(bytes_equal(t.v[1].content, parts[1]));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memcpy(bad, good, n);
		put32(bad + rows[i].at, rows[i].v);
		assert_int_equal(attest_snp_table((struct bytes){bad, n}, &t), -EINVAL);
		w.in.endorsements[0] = (struct bytes){bad, n};
		w.in.endorsements_n = 1;
		world_judge(&w);
		expect_only(&w.checks, "snp.chain", CHECK_FAIL);
	}
	for (size_t cut = 0; cut < n; cut++) {
		uint8_t *exact = malloc(cut ? cut : 1);

		memcpy(exact, good, cut);
		assert_int_equal(attest_snp_table((struct bytes){exact, cut}, &t), -EINVAL);
		free(exact);
	}
	/* A list without an end, and one that is only an end. */
	for (size_t i = 0; i + SNP_TABLE_ENTRY_LEN <= sizeof(bad); i += SNP_TABLE_ENTRY_LEN)
		memcpy(bad + i, good, SNP_TABLE_ENTRY_LEN);
	assert_int_equal(attest_snp_table((struct bytes){bad, sizeof(bad)}, &t), -EINVAL);
	memset(bad, 0, sizeof(bad));
	assert_int_equal(attest_snp_table((struct bytes){bad, sizeof(bad)}, &t), -EINVAL);
}

/* An HCL report around the world's report; the report data become the hash of the runtime data. */
static size_t hcl_wrap(struct world *w, const char *runtime, uint8_t out[static 4096])
{
	size_t n = strlen(runtime);

	memset(out, 0, 4096);
	memset(w->report + SNP_OFF_REPORT_DATA, 0, 64);
	EVP_Digest(runtime, n, w->report + SNP_OFF_REPORT_DATA, NULL, EVP_sha256(), NULL);
	world_sign(w);
	memcpy(out, "HCLA", 4);
	put32(out + 4, 1);
	put32(out + 8, (uint32_t)(32 + SNP_REPORT_LEN + 20 + n));
	put32(out + 12, 2);
	memcpy(out + 32, w->report, SNP_REPORT_LEN);
	put32(out + 0x4c0, (uint32_t)(20 + n));
	put32(out + 0x4c4, 1);
	put32(out + 0x4c8, 2);
	put32(out + 0x4cc, 1);
	put32(out + 0x4d0, (uint32_t)n);
	memcpy(out + 0x4d4, runtime, n);
	return 0x4d4 + n;
}

static void paravisor_data_are_bound_by_their_hash(void **state)
{
	static const uint16_t headers[] = {4, 8, 12, 0x4c0, 0x4c4, 0x4c8, 0x4cc, 0x4d0};
	struct world w;
	uint8_t hcl[4096];
	size_t n;
	(void)state;

	world_start(&w, "Milan", false, 2);
	n = hcl_wrap(&w, "{\"keys\":[]}", hcl);
	w.in.evidence = (struct bytes){hcl, n + 100}; /* an NV index is longer than its content */
	w.in.type = TEE_NONE;
	world_judge(&w);
	expect_pass(&w.checks);
	assert_non_null(checks_find(&w.checks, "snp.paravisor"));
	hcl[0x4d4 + 2] ^= 1;
	world_judge(&w);
	expect_only(&w.checks, "snp.paravisor", CHECK_FAIL);
	hcl[0x4d4 + 2] ^= 1;
	hcl[n + 50] = 1;
	world_judge(&w);
	expect_only(&w.checks, "snp.format", CHECK_FAIL);
	hcl[n + 50] = 0;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		hcl[headers[i]] ^= 0x40;
		world_judge(&w);
		expect_only(&w.checks, "snp.format", CHECK_FAIL);
		hcl[headers[i]] ^= 0x40;
	}
	for (size_t cut = 4; cut < n; cut++) {
		uint8_t *exact = malloc(cut);

		memcpy(exact, hcl, cut);
		w.in.evidence = (struct bytes){exact, cut};
		world_judge(&w);
		expect_only(&w.checks, "snp.format", CHECK_FAIL);
		free(exact);
	}
	/* The upper half of the report data must be empty. */
	world_start(&w, "Milan", false, 2);
	n = hcl_wrap(&w, "{}", hcl);
	hcl[32 + SNP_OFF_REPORT_DATA + 63] = 1;
	sim_sign(hcl + 32, sim_keys()->vek);
	w.in.evidence = (struct bytes){hcl, n};
	world_judge(&w);
	expect_only(&w.checks, "snp.paravisor", CHECK_FAIL);
}

/* ------------------------------------------------------------- hostile and foreign */

static void truncation_is_refused_everywhere(void **state)
{
	uint8_t longer[SNP_REPORT_LEN + 1] = {0};
	struct world w;
	struct buf page;
	(void)state;

	world_good(&w);
	for (size_t cut = 1; cut < SNP_REPORT_LEN; cut++) {
		uint8_t *exact = malloc(cut);

		memcpy(exact, w.report, cut);
		w.in.evidence = (struct bytes){exact, cut};
		world_judge(&w);
		expect_only(&w.checks, "snp.format", CHECK_FAIL);
		page = buf_make(1 << 16);
		assert_int_equal(attest_explain(TEE_SNP, w.in.evidence, &page), -EINVAL);
		buf_free(&page);
		free(exact);
	}
	memcpy(longer, w.report, SNP_REPORT_LEN);
	w.in.evidence = BYTES_OF(longer);
	world_judge(&w);
	expect_only(&w.checks, "snp.format", CHECK_FAIL);
	w.in.evidence = (struct bytes){w.report, SNP_REPORT_LEN};
	for (size_t i = 0; i < 2; i++) {
		struct bytes whole = w.in.endorsements[i];

		for (size_t cut = 0; cut < whole.n; cut++) {
			uint8_t *exact = malloc(cut ? cut : 1);

			memcpy(exact, whole.p, cut);
			w.in.endorsements[i] = (struct bytes){exact, cut};
			world_judge(&w);
			assert_int_not_equal(checks_overall(&w.checks), CHECK_PASS);
			free(exact);
		}
		w.in.endorsements[i] = whole;
	}
	world_judge(&w);
	expect_pass(&w.checks);
}

static void foreign_evidence_is_refused_by_type(void **state)
{
	static const uint8_t quote[SNP_REPORT_LEN] = {4, 0, 2, 0, 0x81};
	struct world w;
	(void)state;

	world_good(&w);
	w.in.type = TEE_MAX;
	assert_int_equal(attest_appraise(&w.in, &w.claims, &w.checks), -EINVAL);
	expect_only(&w.checks, "evidence.type", CHECK_FAIL);
	assert_int_equal(w.checks.n, 1);

	memset(&w.checks, 0, sizeof(w.checks));
	w.in.type = TEE_TDX;
	assert_int_equal(attest_appraise(&w.in, &w.claims, &w.checks), 0);
	expect_only(&w.checks, "tdx.format", CHECK_FAIL);

	memset(&w.checks, 0, sizeof(w.checks));
	w.in.type = TEE_NONE;
	w.in.evidence = BYTES_OF(quote);
	assert_int_equal(attest_appraise(&w.in, &w.claims, &w.checks), -EINVAL);
	expect_only(&w.checks, "evidence.type", CHECK_FAIL);

	memset(&w.checks, 0, sizeof(w.checks));
	w.in.type = TEE_SNP;
	w.in.evidence = BYTES_NONE;
	assert_int_equal(attest_appraise(&w.in, &w.claims, &w.checks), -EINVAL);
	expect_only(&w.checks, "evidence.type", CHECK_FAIL);

	memset(&w.checks, 0, sizeof(w.checks));
	world_good(&w);
	w.in.endorsements_n = ATTEST_ENDORSEMENTS_MAX + 1;
	assert_int_equal(attest_appraise(&w.in, &w.claims, &w.checks), -EINVAL);
	expect_only(&w.checks, "evidence.type", CHECK_FAIL);
}

static void names_of_platforms(void **state)
{
	(void)state;

	for (int t = TEE_NONE + 1; t < TEE_MAX; t++)
		assert_int_equal(attest_tee_from_name(attest_tee_name((enum tee)t)), t);
	assert_int_equal(attest_tee_from_name("none"), TEE_NONE);
	assert_int_equal(attest_tee_from_name("auto"), TEE_NONE);
	assert_string_equal(attest_tee_name(TEE_MAX), "none");
}

static void a_person_can_read_a_report(void **state)
{
	struct world w;
	struct buf page = buf_make(1 << 16);
	char *text;
	(void)state;

	world_start(&w, "Milan", false, 5);
	put64(w.report + SNP_OFF_POLICY, 0x30000 | SNP_POLICY_DEBUG);
	world_sign(&w);
	assert_int_equal(attest_explain(TEE_NONE, w.in.evidence, &page), 0);
	buf_u8(&page, 0);
	text = (char *)page.p;
	assert_non_null(strstr(text, "0x090  MEASUREMENT"));
	assert_non_null(strstr(text, "DEBUGGING ALLOWED"));
	assert_non_null(strstr(text, "bootloader 4, tee 0, snp 24, microcode 219"));
	assert_non_null(strstr(text, "1.55 build 29"));
	assert_non_null(strstr(text, "Milan"));
	buf_free(&page);
	page = buf_make(64); /* too small is an error, not an overflow */
	assert_int_equal(attest_explain(TEE_SNP, w.in.evidence, &page), -ENOMEM);
	buf_free(&page);
}

static void lines_have_an_end(void **state)
{
	struct world w;
	struct buf page = buf_make(1 << 16);
	char *text, *line;
	(void)state;

	world_start(&w, "Milan", false, 5);
	put64(w.report + SNP_OFF_POLICY, UINT64_MAX); /* many words */
	memset(w.report + SNP_OFF_HOST_DATA, 0, 32);
	world_sign(&w);
	assert_int_equal(attest_explain(TEE_SNP, w.in.evidence, &page), 0);
	for (uint32_t i = 0; i < w.in.endorsements_n; i++)
		attest_explain_endorsement(w.in.endorsements[i], &page);
	buf_u8(&page, 0);
	text = (char *)page.p;
	assert_non_null(strstr(text, "0x0c0  HOST_DATA          00..00 (zero, 32 bytes)\n"));
	assert_non_null(strstr(text, "MIGRATION AGENT ALLOWED"));
	assert_non_null(strstr(text, ", by "));
	while ((line = strsep(&text, "\n")))
		assert_true(strlen(line) <= 100);
	buf_free(&page);
}

static void hostile_certificates_can_be_listed(void **state)
{
	struct world w;
	(void)state;

	world_good(&w);
	for (uint32_t i = 0; i < w.in.endorsements_n; i++) {
		struct bytes whole = w.in.endorsements[i];

		for (size_t cut = 0; cut < whole.n; cut += 7) {
			uint8_t *exact = malloc(cut ? cut : 1);
			struct buf page = buf_make(1 << 16);

			memcpy(exact, whole.p, cut);
			attest_explain_endorsement((struct bytes){exact, cut}, &page);
			for (size_t k = 0; k < page.n; k++)
				assert_true(page.p[k] == '\n' ||
				            (page.p[k] >= 0x20 && page.p[k] < 0x7f));
			buf_free(&page);
			free(exact);
		}
	}
}

static int tear_down(void **state)
{
	(void)state;
	sim_keys_free();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes_every_version_and_product),
	        cmocka_unit_test(claims_are_what_the_report_says),
	        cmocka_unit_test(an_id_block_is_in_registers),
	        cmocka_unit_test(vlek_names_a_provider_and_no_chip),
	        cmocka_unit_test(turin_tcb_has_five_parts),
	        cmocka_unit_test(the_checks_always_come_in_one_order),
	        cmocka_unit_test(each_signed_field_trips_its_check),
	        cmocka_unit_test(fields_that_may_vary_pass),
	        cmocka_unit_test(reported_is_compared_by_itself),
	        cmocka_unit_test(masked_chip_is_refused),
	        cmocka_unit_test(turin_has_its_own_rules),
	        cmocka_unit_test(versions_differ_in_what_is_reserved),
	        cmocka_unit_test(debug_guest_only_by_permission),
	        cmocka_unit_test(report_data_must_match),
	        cmocka_unit_test(signature_field_has_one_form),
	        cmocka_unit_test(another_key_does_not_pass),
	        cmocka_unit_test(a_flip_of_any_signed_bit_is_refused),
	        cmocka_unit_test(a_flip_in_any_byte_of_the_signature_is_refused),
	        cmocka_unit_test(a_missing_certificate_is_unavailable),
	        cmocka_unit_test(an_anchor_may_be_a_key),
	        cmocka_unit_test(a_wrong_chain_fails),
	        cmocka_unit_test(product_stepping_and_wrapped_hwid_pass),
	        cmocka_unit_test(a_key_of_another_kind_can_not_sign),
	        cmocka_unit_test(a_self_made_root_with_the_pinned_key_needs_its_signature),
	        cmocka_unit_test(unreadable_endorsements_and_anchors_fail),
	        cmocka_unit_test(the_vek_that_signed_is_found_among_many),
	        cmocka_unit_test(every_certificate_must_be_valid),
	        cmocka_unit_test(valid_until_is_the_earliest_end),
	        cmocka_unit_test(revocation),
	        cmocka_unit_test(the_newest_crl_counts),
	        cmocka_unit_test(a_crl_of_the_future_does_not_count),
	        cmocka_unit_test(endorsements_come_in_any_wrapping),
	        cmocka_unit_test(tables_keep_their_bounds),
	        cmocka_unit_test(paravisor_data_are_bound_by_their_hash),
	        cmocka_unit_test(truncation_is_refused_everywhere),
	        cmocka_unit_test(foreign_evidence_is_refused_by_type),
	        cmocka_unit_test(names_of_platforms),
	        cmocka_unit_test(a_person_can_read_a_report),
	        cmocka_unit_test(lines_have_an_end),
	        cmocka_unit_test(hostile_certificates_can_be_listed),
	};

	return cmocka_run_group_tests(tests, NULL, tear_down);
}
