/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What SGX and TDX have in common: every check tripped alone, on quotes and collateral of a
 * machine made here, for each form of quote.
 */
#include "tests/unit/intel_world.h"

static const struct kind *const kinds[] = {&sgx_v3, &tdx_v4, &tdx_v5_td10, &tdx_v5};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

#define BEND(name) static void name(struct world *w)

#define RUN_ALL(rows) \
	for (size_t kind_ = 0; kind_ < KINDS; kind_++) \
	RUN_ROWS(kinds[kind_], rows)

/* ------------------------------------------------------------------ what passes */

static void every_form_of_quote_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct world w;

		world_good(&w, kinds[i]);
		w.in.type = TEE_NONE;
		w.in.check_report_data = true;
		memset(w.in.report_data, 0x5a, 64);
		world_judge(&w);
		expect_pass(&w.checks);
		for (uint32_t c = 0; c < w.checks.n; c++)
			assert_int_equal(w.checks.v[c].status, CHECK_PASS);
		assert_int_equal(w.claims.tee, kinds[i]->tee);
		assert_string_equal(w.claims.tcb_status, "UpToDate");
		assert_string_equal(w.claims.product, "00806f050000");
		assert_memory_equal(w.claims.report_data, w.in.report_data, 64);
		assert_true(w.claims.extra_anchor);
		assert_false(w.claims.debug);
		assert_int_equal(w.claims.tcb_date, SIM_AT - 90 * SIM_DAY);
		assert_int_equal(w.claims.tcb_evaluation, 17);
		assert_int_equal(w.claims.chip_id_len, 16);
		assert_memory_equal(w.claims.chip_id, w.p.machine.instance, 16);
		assert_int_equal(w.claims.valid_until, SIM_AT + 29 * (int64_t)SIM_DAY);
		world_end(&w);
	}
}

static void a_processor_ca_passes_without_an_instance(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct world w;

		world_start(&w, kinds[i]);
		w.p.processor_ca = true;
		w.p.cert[SIM_INTEL_CA].cn = INTEL_CN_PROCESSOR_CA;
		world_finish(&w);
		world_judge(&w);
		expect_pass(&w.checks);
		assert_memory_equal(w.claims.chip_id, w.p.machine.ppid, 16);
		world_end(&w);
	}
}

static void crls_are_skipped_only_when_not_demanded(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct world w;

		world_good(&w, kinds[i]);
		w.in.endorsements_n = PCK_CRL;
		world_judge(&w);
		expect_only(&w.checks, check_id(kinds[i], "revocation"), CHECK_UNAVAILABLE);
		w.in.require_crl = false;
		world_judge(&w);
		expect_pass(&w.checks);
		assert_int_equal(checks_find(&w.checks, check_id(kinds[i], "revocation"))->status,
		                 CHECK_SKIP);
		world_end(&w);
	}
}

/* ---------------------------------------------------------------------- format */

BEND(version_2)
{
	w->quote.p[INTEL_OFF_VERSION] = 2;
}

BEND(version_6)
{
	w->quote.p[INTEL_OFF_VERSION] = 6;
}

BEND(version_high_byte)
{
	w->quote.p[INTEL_OFF_VERSION + 1] = 1;
}

BEND(key_type_p384)
{
	w->p.header[INTEL_OFF_KEY_TYPE] = 3;
}

BEND(tee_type_unknown)
{
	w->p.header[INTEL_OFF_TEE_TYPE] = 0x82;
}

BEND(tee_type_of_the_other)
{
	w->p.header[INTEL_OFF_TEE_TYPE] ^= INTEL_TEE_TDX;
}

BEND(qe_vendor)
{
	w->p.header[INTEL_OFF_QE_VENDOR + 15] ^= 1;
}

static void set_length(struct world *w, uint32_t v)
{
	put32(w->quote.p + at_length(w), v);
}

BEND(length_beyond_the_end)
{
	set_length(w, (uint32_t)(w->quote.n - at_signature(w)) + 1);
}

BEND(length_huge)
{
	set_length(w, UINT32_MAX);
}

BEND(length_too_short)
{
	set_length(w, (uint32_t)(w->quote.n - at_signature(w)) - 1);
}

BEND(length_zero)
{
	set_length(w, 0);
}

BEND(qe_auth_too_long)
{
	w->quote.p[at_qe_auth(w) + 1] = 0xff;
}

BEND(cert_data_too_long)
{
	put32(w->quote.p + at_cert_data(w) + 2, (uint32_t)w->p.pck_chain.n + 1);
}

BEND(cert_data_huge)
{
	put32(w->quote.p + at_cert_data(w) + 2, UINT32_MAX);
}

BEND(cert_data_too_short)
{
	put32(w->quote.p + at_cert_data(w) + 2, (uint32_t)w->p.pck_chain.n - 1);
}

BEND(cert_type_unknown)
{
	w->p.cert_type = 8;
}

static void each_flaw_of_the_format(void **state)
{
	static const struct row rows[] = {
	        {"version 2", AFTER, version_2, "format", CHECK_FAIL},
	        {"version 6", AFTER, version_6, "format", CHECK_FAIL},
	        {"version's high byte", AFTER, version_high_byte, "format", CHECK_FAIL},
	        {"P-384 key", BEFORE, key_type_p384, "format", CHECK_FAIL},
	        {"unknown TEE", BEFORE, tee_type_unknown, "format", CHECK_FAIL},
	        {"the other TEE", BEFORE, tee_type_of_the_other, "format", CHECK_FAIL},
	        {"QE vendor", BEFORE, qe_vendor, "format", CHECK_FAIL},
	        {"length beyond the end", AFTER, length_beyond_the_end, "format", CHECK_FAIL},
	        {"length huge", AFTER, length_huge, "format", CHECK_FAIL},
	        {"length too short", AFTER, length_too_short, "format", CHECK_FAIL},
	        {"length zero", AFTER, length_zero, "format", CHECK_FAIL},
	        {"QE auth data too long", AFTER, qe_auth_too_long, "format", CHECK_FAIL},
	        {"certificates too long", AFTER, cert_data_too_long, "format", CHECK_FAIL},
	        {"certificates huge", AFTER, cert_data_huge, "format", CHECK_FAIL},
	        {"certificates too short", AFTER, cert_data_too_short, "format", CHECK_FAIL},
	        {"certification type", BEFORE, cert_type_unknown, "format", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

BEND(outer_type)
{
	w->quote.p[at_key(w) + INTEL_KEY_LEN] = INTEL_CERT_PCK_CHAIN;
}

BEND(outer_too_long)
{
	w->quote.p[at_key(w) + INTEL_KEY_LEN + 2] ^= 1;
}

BEND(body_type_unknown)
{
	w->p.body_type = 4;
}

BEND(body_type_none)
{
	w->p.body_type = 0;
}

BEND(body_type_of_another)
{
	w->p.body_type = INTEL_BODY_SGX;
}

BEND(body_length_wrong)
{
	w->quote.p[INTEL_HEADER_LEN + 2] ^= 1;
}

BEND(body_length_huge)
{
	put32(w->quote.p + INTEL_HEADER_LEN + 2, UINT32_MAX);
}

static void each_flaw_of_the_newer_formats(void **state)
{
	static const struct row nested[] = {
	        {"outer type", AFTER, outer_type, "format", CHECK_FAIL},
	        {"outer length", AFTER, outer_too_long, "format", CHECK_FAIL},
	};
	static const struct row typed[] = {
	        {"unknown body", BEFORE, body_type_unknown, "format", CHECK_FAIL},
	        {"no body", BEFORE, body_type_none, "format", CHECK_FAIL},
	        {"another body", BEFORE, body_type_of_another, "format", CHECK_FAIL},
	        {"body length", AFTER, body_length_wrong, "format", CHECK_FAIL},
	        {"body length huge", AFTER, body_length_huge, "format", CHECK_FAIL},
	};

	(void)state;
	for (size_t i = 0; i < KINDS; i++)
		if (kinds[i]->version != INTEL_V3)
			RUN_ROWS(kinds[i], nested);
	RUN_ROWS(&tdx_v5, typed);
	RUN_ROWS(&tdx_v5_td10, typed);
}

/* ------------------------------------------------------------------- pck-chain */

BEND(no_anchor)
{
	w->in.anchors_n = 0;
}

/* The same names under another root. */
BEND(another_root)
{
	EVP_PKEY_free(w->p.cert[SIM_INTEL_ROOT].key);
	w->p.cert[SIM_INTEL_ROOT].key = EVP_EC_gen("P-256");
	buf_bytes(&w->more, buf_view(&w->p.root_pem));
	assert_int_equal(sim_intel_certify(&w->p), 0);
	buf_reset(&w->quote);
	assert_int_equal(sim_intel_quote(&w->p, NULL, &w->quote), 0);
	w->in.evidence = buf_view(&w->quote);
	w->in.anchors[0] = buf_view(&w->more);
}

BEND(root_name)
{
	w->p.cert[SIM_INTEL_ROOT].cn = "Intel SGX Root CB";
}

BEND(ca_name)
{
	w->p.cert[SIM_INTEL_CA].cn = "Intel SGX PCK Another CA";
}

BEND(pck_name)
{
	w->p.cert[SIM_INTEL_PCK].cn = "Intel SGX TCB Signing";
}

BEND(ca_is_none)
{
	w->p.cert[SIM_INTEL_CA].constraints = "critical,CA:FALSE";
}

BEND(ca_may_not_sign)
{
	w->p.cert[SIM_INTEL_CA].usage = "critical,digitalSignature";
}

BEND(ca_signed_by_another)
{
	w->p.cert[SIM_INTEL_CA].signer = w->other;
}

BEND(pck_signed_by_another)
{
	w->p.cert[SIM_INTEL_PCK].signer = w->other;
}

BEND(pck_signed_by_the_root)
{
	w->p.cert[SIM_INTEL_PCK].issuer = SIM_INTEL_ROOT;
}

BEND(pck_key_p384)
{
	EVP_PKEY_free(w->p.cert[SIM_INTEL_PCK].key);
	w->p.cert[SIM_INTEL_PCK].key = EVP_EC_gen("P-384");
	w->p.qe_signer = w->other;
}

static void bend_extension(struct world *w, size_t at, uint8_t v)
{
	sim_intel_extension(&w->p, &w->p.extension);
	w->p.extension.p[at] ^= v;
}

BEND(extension_no_sequence)
{
	bend_extension(w, 0, 1);
}

BEND(extension_oid)
{
	bend_extension(w, 4 + 2 + 2 + 8, 1);
}

BEND(extension_ppid_type)
{
	bend_extension(w, 4 + 2 + 2 + 10, 1);
}

BEND(extension_ppid_length)
{
	bend_extension(w, 4 + 2 + 2 + 10 + 1, 1);
}

BEND(extension_trailing_byte)
{
	sim_intel_extension(&w->p, &w->p.extension);
	buf_u8(&w->p.extension, 0);
}

BEND(extension_cut)
{
	sim_intel_extension(&w->p, &w->p.extension);
	w->p.extension.n--;
}

BEND(extension_empty)
{
	buf_put(&w->p.extension, "\x30\x00", 2);
}

static void each_flaw_of_the_chain(void **state)
{
	static const struct row rows[] = {
	        {"no anchor", AFTER, no_anchor, "pck-chain", CHECK_FAIL},
	        {"another root of that name", AFTER, another_root, "pck-chain", CHECK_FAIL},
	        {"root's name", BEFORE, root_name, "pck-chain", CHECK_FAIL},
	        {"CA's name", BEFORE, ca_name, "pck-chain", CHECK_FAIL},
	        {"PCK's name", BEFORE, pck_name, "pck-chain", CHECK_UNAVAILABLE},
	        {"CA that is none", BEFORE, ca_is_none, "pck-chain", CHECK_FAIL},
	        {"CA that may not sign", BEFORE, ca_may_not_sign, "pck-chain", CHECK_FAIL},
	        {"CA signed by another", BEFORE, ca_signed_by_another, "pck-chain", CHECK_FAIL},
	        {"PCK signed by another", BEFORE, pck_signed_by_another, "pck-chain", CHECK_FAIL},
	        {"PCK of the root", BEFORE, pck_signed_by_the_root, "pck-chain", CHECK_FAIL},
	        {"PCK key on P-384", BEFORE, pck_key_p384, "pck-chain", CHECK_FAIL},
	        {"extension no sequence", BEFORE, extension_no_sequence, "pck-chain", CHECK_FAIL},
	        {"extension without PPID", BEFORE, extension_oid, "pck-chain", CHECK_FAIL},
	        {"PPID's type", BEFORE, extension_ppid_type, "pck-chain", CHECK_FAIL},
	        {"PPID's length", BEFORE, extension_ppid_length, "pck-chain", CHECK_FAIL},
	        {"extension and a byte", BEFORE, extension_trailing_byte, "pck-chain", CHECK_FAIL},
	        {"extension cut", BEFORE, extension_cut, "pck-chain", CHECK_FAIL},
	        {"extension empty", BEFORE, extension_empty, "pck-chain", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

/* Without the certificate in the quote it can't be looked at. */
BEND(no_certificate)
{
	static const uint8_t ids[16 + 16 + 2 + 2];

	w->p.cert_type = INTEL_CERT_PPID_CLEAR;
	buf_reset(&w->p.pck_chain);
	buf_put(&w->p.pck_chain, ids, sizeof(ids));
	buf_reset(&w->quote);
	assert_int_equal(sim_intel_quote(&w->p, NULL, &w->quote), 0);
	w->in.evidence = buf_view(&w->quote);
}

static void a_quote_without_certificate_is_unavailable(void **state)
{
	static const struct row rows[] = {
	        {"PPID only", AFTER, no_certificate, "pck-chain", CHECK_UNAVAILABLE},
	};

	(void)state;
	RUN_ALL(rows);
}

/* The PCK chain may come beside the quote, and in any order. */
static void the_chain_may_come_in_any_order(void **state)
{
	static const enum sim_intel_who order[][3] = {
	        {SIM_INTEL_ROOT, SIM_INTEL_CA, SIM_INTEL_PCK},
	        {SIM_INTEL_CA, SIM_INTEL_PCK, SIM_INTEL_ROOT},
	        {SIM_INTEL_PCK, SIM_INTEL_ROOT, SIM_INTEL_CA},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
		for (int form = 0; form < 2; form++) {
			struct world w;

			world_start(&w, &tdx_v4);
			world_finish(&w);
			buf_reset(&w.p.pck_chain);
			for (size_t c = 0; c < 3; c++) {
				struct der d;
				char pem[4096];

				cert_der(w.p.cert[order[i][c]].x, &d);
				if (form)
					buf_bytes(&w.p.pck_chain, der_view(&d));
				else
					buf_put(&w.p.pck_chain, pem,
					        pem_of("CERTIFICATE", der_view(&d), pem,
					               sizeof(pem)));
			}
			buf_reset(&w.quote);
			assert_int_equal(sim_intel_quote(&w.p, NULL, &w.quote), 0);
			w.in.evidence = buf_view(&w.quote);
			world_judge(&w);
			expect_pass(&w.checks);
			world_end(&w);
		}
}

/* ------------------------------------------------------- cert-time, revocation */

BEND(pck_expired)
{
	w->p.cert[SIM_INTEL_PCK].to = SIM_AT - 1;
}

BEND(pck_early)
{
	w->p.cert[SIM_INTEL_PCK].from = SIM_AT + 1;
}

BEND(ca_expired)
{
	w->p.cert[SIM_INTEL_CA].to = SIM_AT - 1;
}

BEND(ca_early)
{
	w->p.cert[SIM_INTEL_CA].from = SIM_AT + 1;
}

BEND(root_expired)
{
	w->p.cert[SIM_INTEL_ROOT].to = SIM_AT - 1;
}

BEND(root_early)
{
	w->p.cert[SIM_INTEL_ROOT].from = SIM_AT + 1;
}

BEND(pck_revoked)
{
	w->p.pck_crl.revoked[0] = 7;
	w->p.pck_crl.revoked[1] = w->p.cert[SIM_INTEL_PCK].serial;
	w->p.pck_crl.revoked_n = 2;
}

BEND(ca_revoked)
{
	w->p.root_crl.revoked[0] = w->p.cert[SIM_INTEL_CA].serial;
	w->p.root_crl.revoked_n = 1;
}

BEND(ca_revoked_beside_an_old_list)
{
	w->p.pck_crl.to = SIM_AT - 1;
	w->p.root_crl.revoked[0] = w->p.cert[SIM_INTEL_CA].serial;
	w->p.root_crl.revoked_n = 1;
}

BEND(pck_crl_old)
{
	w->p.pck_crl.to = SIM_AT - 1;
}

BEND(pck_crl_early)
{
	w->p.pck_crl.from = SIM_AT + 1;
}

BEND(root_crl_old)
{
	w->p.root_crl.to = SIM_AT - 1;
}

BEND(root_crl_early)
{
	w->p.root_crl.from = SIM_AT + 1;
}

BEND(pck_crl_signed_by_another)
{
	w->p.pck_crl.signer = w->other;
}

BEND(root_crl_signed_by_another)
{
	w->p.root_crl.signer = w->other;
}

BEND(pck_crl_of_another)
{
	w->p.pck_crl.issuer = SIM_INTEL_TCB;
}

BEND(no_pck_crl)
{
	world_drop(w, PCK_CRL);
}

BEND(no_root_crl)
{
	world_drop(w, ROOT_CRL);
}

static void each_flaw_of_time_and_revocation(void **state)
{
	static const struct row rows[] = {
	        {"PCK expired", BEFORE, pck_expired, "cert-time", CHECK_FAIL},
	        {"PCK early", BEFORE, pck_early, "cert-time", CHECK_FAIL},
	        {"CA expired", BEFORE, ca_expired, "cert-time", CHECK_FAIL},
	        {"CA early", BEFORE, ca_early, "cert-time", CHECK_FAIL},
	        {"root expired", BEFORE, root_expired, "cert-time", CHECK_FAIL},
	        {"root early", BEFORE, root_early, "cert-time", CHECK_FAIL},
	        {"PCK revoked", BEFORE, pck_revoked, "revocation", CHECK_FAIL},
	        {"CA revoked", BEFORE, ca_revoked, "revocation", CHECK_FAIL},
	        {"CA revoked beside an old list", BEFORE, ca_revoked_beside_an_old_list,
	         "revocation", CHECK_FAIL},
	        {"PCK CRL old", BEFORE, pck_crl_old, "revocation", CHECK_UNAVAILABLE},
	        {"PCK CRL early", BEFORE, pck_crl_early, "revocation", CHECK_UNAVAILABLE},
	        {"root CRL old", BEFORE, root_crl_old, "revocation", CHECK_UNAVAILABLE},
	        {"root CRL early", BEFORE, root_crl_early, "revocation", CHECK_UNAVAILABLE},
	        {"PCK CRL by another", BEFORE, pck_crl_signed_by_another, "revocation", CHECK_FAIL},
	        {"root CRL by another", BEFORE, root_crl_signed_by_another, "revocation",
	         CHECK_FAIL},
	        {"CRL of another", BEFORE, pck_crl_of_another, "revocation", CHECK_UNAVAILABLE},
	        {"no PCK CRL", AFTER, no_pck_crl, "revocation", CHECK_UNAVAILABLE},
	        {"no root CRL", AFTER, no_root_crl, "revocation", CHECK_UNAVAILABLE},
	};

	(void)state;
	RUN_ALL(rows);
}

/* ------------------------------------------------------------------ signatures */

BEND(qe_signed_by_another)
{
	w->p.qe_signer = w->other;
}

BEND(qe_signature_zero)
{
	memset(w->quote.p + at_qe_signature(w), 0, INTEL_SIG_LEN);
}

BEND(qe_names_another_key)
{
	w->p.qe_report_data_kept = true;
	memset(w->p.qe_report + SGX_OFF_REPORT_DATA, 0xab, 32);
}

/* A genuine QE report and chain round a key of the attacker's: its quote signature verifies. */
BEND(key_of_the_attacker)
{
	EVP_PKEY *key = w->p.attestation_key;
	uint8_t genuine[INTEL_SGX_BODY_LEN + INTEL_SIG_LEN];

	memcpy(genuine, w->quote.p + at_qe_report(w), sizeof(genuine));
	w->p.attestation_key = w->other;
	buf_reset(&w->quote);
	assert_int_equal(sim_intel_quote(&w->p, NULL, &w->quote), 0);
	memcpy(w->quote.p + at_qe_report(w), genuine, sizeof(genuine));
	w->p.attestation_key = key;
	w->in.evidence = buf_view(&w->quote);
}

BEND(qe_auth_changed)
{
	w->quote.p[at_qe_auth(w) + 2] ^= 1;
}

BEND(quote_signed_by_another)
{
	w->p.quote_signer = w->other;
}

BEND(quote_signature_zero)
{
	memset(w->quote.p + at_signature(w), 0, INTEL_SIG_LEN);
}

BEND(report_data_changed)
{
	w->quote.p[at_body(w) + w->p.report_data_at] ^= 1;
}

static void each_flaw_of_the_signatures(void **state)
{
	static const struct row rows[] = {
	        {"QE report signed by another", BEFORE, qe_signed_by_another, "qe-signature",
	         CHECK_FAIL},
	        {"QE signature zero", AFTER, qe_signature_zero, "qe-signature", CHECK_FAIL},
	        {"QE names another key", BEFORE, qe_names_another_key, "qe-binding", CHECK_FAIL},
	        {"the attacker's key", AFTER, key_of_the_attacker, "qe-binding", CHECK_FAIL},
	        {"QE auth data changed", AFTER, qe_auth_changed, "qe-binding", CHECK_FAIL},
	        {"quote signed by another", BEFORE, quote_signed_by_another, "signature",
	         CHECK_FAIL},
	        {"quote signature zero", AFTER, quote_signature_zero, "signature", CHECK_FAIL},
	        {"report data changed", AFTER, report_data_changed, "signature", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

/* The hash fits, but what follows it must be zero. */
static void the_rest_of_the_qe_report_data_is_zero(void **state)
{
	(void)state;
	for (size_t i = 0; i < KINDS; i++) {
		struct world w;

		world_good(&w, kinds[i]);
		memcpy(w.p.qe_report, w.quote.p + at_qe_report(&w), INTEL_SGX_BODY_LEN);
		w.p.qe_report[SGX_OFF_REPORT_DATA + 63] = 1;
		w.p.qe_report_data_kept = true;
		world_finish(&w);
		world_judge(&w);
		expect_only(&w.checks, check_id(kinds[i], "qe-binding"), CHECK_FAIL);
		world_end(&w);
	}
}

/* ----------------------------------------------------------------- qe-identity */

BEND(no_identity)
{
	world_drop(w, QE_IDENTITY);
}

BEND(identity_expired)
{
	set_dates(w->p.qe_identity, SIM_AT - 100, SIM_AT - 1);
}

BEND(identity_early)
{
	set_dates(w->p.qe_identity, SIM_AT + 1, SIM_AT + 100);
}

BEND(identity_edited)
{
	uint8_t *at = memmem(w->p.qe_identity_text.p, w->p.qe_identity_text.n, "OutOfDate", 9);

	assert_non_null(at);
	memcpy(at, "UpToDate ", 9);
}

BEND(identity_signature)
{
	w->p.qe_identity_text.p[w->p.qe_identity_text.n - 3] ^= 1;
}

BEND(identity_of_another_signer)
{
	assert_int_equal(sim_intel_sign_json("enclaveIdentity", w->p.qe_identity, w->other,
	                                     &w->p.qe_identity_text),
	                 0);
	w->in.endorsements[QE_IDENTITY] = buf_view(&w->p.qe_identity_text);
}

BEND(identity_of_the_other_qe)
{
	set_text(w->p.qe_identity, "id", w->kind->tee == TEE_TDX ? "QE" : "TD_QE");
}

BEND(identity_version)
{
	set_number(w->p.qe_identity, "version", 3);
}

BEND(identity_mrsigner)
{
	w->p.qe_report[SGX_OFF_MRSIGNER] ^= 1;
}

BEND(identity_product)
{
	w->p.qe_report[SGX_OFF_ISVPRODID] ^= 4;
}

BEND(identity_product_high)
{
	w->p.qe_report[SGX_OFF_ISVPRODID + 1] ^= 1;
}

BEND(identity_miscselect)
{
	w->p.qe_report[SGX_OFF_MISCSELECT + 3] = 1;
}

BEND(identity_flags)
{
	w->p.qe_report[SGX_OFF_FLAGS + 7] = 1;
}

/* An enclave that a debugger may read can't keep the attestation key. */
BEND(identity_debug)
{
	w->p.qe_report[SGX_OFF_FLAGS] |= SGX_FLAG_DEBUG;
}

BEND(identity_svn)
{
	w->p.qe_report[SGX_OFF_ISVSVN] = 1;
}

BEND(identity_no_levels)
{
	json_array_clear(json_object_get(w->p.qe_identity, "tcbLevels"));
}

BEND(identity_revoked)
{
	set_text(qe_level(w, 0), "tcbStatus", "Revoked");
}

static void each_flaw_of_the_qe(void **state)
{
	static const struct row rows[] = {
	        {"MRSIGNER", BEFORE, identity_mrsigner, "qe-identity", CHECK_FAIL},
	        {"product", BEFORE, identity_product, "qe-identity", CHECK_FAIL},
	        {"product's high byte", BEFORE, identity_product_high, "qe-identity", CHECK_FAIL},
	        {"MISCSELECT", BEFORE, identity_miscselect, "qe-identity", CHECK_FAIL},
	        {"attributes", BEFORE, identity_flags, "qe-identity", CHECK_FAIL},
	        {"debug", BEFORE, identity_debug, "qe-identity", CHECK_FAIL},
	        {"SVN below every level", BEFORE, identity_svn, "qe-identity", CHECK_FAIL},
	        {"edited", AFTER, identity_edited, "qe-identity", CHECK_FAIL},
	        {"signature", AFTER, identity_signature, "qe-identity", CHECK_FAIL},
	        {"another signer", AFTER, identity_of_another_signer, "qe-identity", CHECK_FAIL},
	        {"version", BEFORE, identity_version, "qe-identity", CHECK_FAIL},
	        {"no levels", BEFORE, identity_no_levels, "qe-identity", CHECK_FAIL},
	        {"revoked", BEFORE, identity_revoked, "qe-identity", CHECK_FAIL},
	        {"none", AFTER, no_identity, "qe-identity", CHECK_UNAVAILABLE},
	        {"expired", BEFORE, identity_expired, "qe-identity", CHECK_UNAVAILABLE},
	        {"early", BEFORE, identity_early, "qe-identity", CHECK_UNAVAILABLE},
	        {"the other QE's", BEFORE, identity_of_the_other_qe, "qe-identity",
	         CHECK_UNAVAILABLE},
	};

	(void)state;
	RUN_ALL(rows);
}

/* -------------------------------------------------------------------- tcb-info */

BEND(no_tcb_info)
{
	world_drop(w, TCB_INFO);
}

BEND(tcb_info_expired)
{
	set_dates(w->p.tcb_info, SIM_AT - 100, SIM_AT - 1);
}

BEND(tcb_info_early)
{
	set_dates(w->p.tcb_info, SIM_AT + 1, SIM_AT + 100);
}

BEND(tcb_info_backwards)
{
	set_dates(w->p.tcb_info, SIM_AT + 100, SIM_AT - 100);
}

BEND(tcb_info_no_date)
{
	json_object_del(w->p.tcb_info, "nextUpdate");
}

BEND(tcb_info_odd_date)
{
	set_text(w->p.tcb_info, "nextUpdate", "2099-02-30T00:00:00Z");
}

BEND(tcb_info_of_another_fmspc)
{
	set_text(w->p.tcb_info, "fmspc", "00906ED50000");
}

BEND(tcb_info_of_another_pceid)
{
	set_text(w->p.tcb_info, "pceId", "0001");
}

BEND(tcb_info_of_the_other_tee)
{
	set_text(w->p.tcb_info, "id", w->kind->tee == TEE_TDX ? "SGX" : "TDX");
}

BEND(tcb_info_version)
{
	set_number(w->p.tcb_info, "version", 4);
}

BEND(tcb_info_type)
{
	set_number(w->p.tcb_info, "tcbType", 1);
}

BEND(tcb_info_edited)
{
	uint8_t *at = memmem(w->p.tcb_info_text.p, w->p.tcb_info_text.n, "OutOfDate", 9);

	assert_non_null(at);
	memcpy(at, "UpToDate ", 9);
}

BEND(tcb_info_signature)
{
	w->p.tcb_info_text.p[w->p.tcb_info_text.n - 3] ^= 1;
}

BEND(tcb_info_of_another_signer)
{
	assert_int_equal(
	        sim_intel_sign_json("tcbInfo", w->p.tcb_info, w->other, &w->p.tcb_info_text), 0);
	w->in.endorsements[TCB_INFO] = buf_view(&w->p.tcb_info_text);
}

/* The PCK's key is endorsed by the same root, and may still not sign collateral. */
BEND(tcb_info_signed_by_the_machine)
{
	assert_int_equal(sim_intel_sign_json("tcbInfo", w->p.tcb_info, w->p.cert[SIM_INTEL_PCK].key,
	                                     &w->p.tcb_info_text),
	                 0);
	w->in.endorsements[TCB_INFO] = buf_view(&w->p.tcb_info_text);
}

BEND(tcb_info_no_levels)
{
	json_array_clear(json_object_get(w->p.tcb_info, "tcbLevels"));
}

BEND(tcb_info_unknown_status)
{
	set_text(tcb_level(w, 1), "tcbStatus", "Fine");
}

BEND(tcb_info_fifteen_components)
{
	json_array_remove(
	        json_object_get(json_object_get(tcb_level(w, 1), "tcb"), "sgxtcbcomponents"), 0);
}

BEND(tcb_info_negative_svn)
{
	set_component(tcb_level(w, 0), "sgxtcbcomponents", 0, -1);
}

BEND(tcb_info_huge_svn)
{
	set_component(tcb_level(w, 0), "sgxtcbcomponents", 0, 65536);
}

BEND(tcb_info_cut)
{
	w->in.endorsements[TCB_INFO].n--;
}

BEND(tcb_info_and_more)
{
	buf_str(&w->p.tcb_info_text, "x");
	w->in.endorsements[TCB_INFO] = buf_view(&w->p.tcb_info_text);
}

static void each_flaw_of_the_tcb_info(void **state)
{
	static const struct row rows[] = {
	        {"edited", AFTER, tcb_info_edited, "tcb-info", CHECK_FAIL},
	        {"signature", AFTER, tcb_info_signature, "tcb-info", CHECK_FAIL},
	        {"another signer", AFTER, tcb_info_of_another_signer, "tcb-info", CHECK_FAIL},
	        {"signed by the PCK", AFTER, tcb_info_signed_by_the_machine, "tcb-info",
	         CHECK_FAIL},
	        {"version", BEFORE, tcb_info_version, "tcb-info", CHECK_FAIL},
	        {"type", BEFORE, tcb_info_type, "tcb-info", CHECK_FAIL},
	        {"backwards", BEFORE, tcb_info_backwards, "tcb-info", CHECK_FAIL},
	        {"no date", BEFORE, tcb_info_no_date, "tcb-info", CHECK_FAIL},
	        {"odd date", BEFORE, tcb_info_odd_date, "tcb-info", CHECK_FAIL},
	        {"no levels", BEFORE, tcb_info_no_levels, "tcb-info", CHECK_FAIL},
	        {"unknown status", BEFORE, tcb_info_unknown_status, "tcb-info", CHECK_FAIL},
	        {"15 components", BEFORE, tcb_info_fifteen_components, "tcb-info", CHECK_FAIL},
	        {"negative SVN", BEFORE, tcb_info_negative_svn, "tcb-info", CHECK_FAIL},
	        {"huge SVN", BEFORE, tcb_info_huge_svn, "tcb-info", CHECK_FAIL},
	        {"cut", AFTER, tcb_info_cut, "tcb-info", CHECK_FAIL},
	        {"something behind it", AFTER, tcb_info_and_more, "tcb-info", CHECK_FAIL},
	        {"none", AFTER, no_tcb_info, "tcb-info", CHECK_UNAVAILABLE},
	        {"expired", BEFORE, tcb_info_expired, "tcb-info", CHECK_UNAVAILABLE},
	        {"early", BEFORE, tcb_info_early, "tcb-info", CHECK_UNAVAILABLE},
	        {"another FMSPC", BEFORE, tcb_info_of_another_fmspc, "tcb-info", CHECK_UNAVAILABLE},
	        {"another PCEID", BEFORE, tcb_info_of_another_pceid, "tcb-info", CHECK_UNAVAILABLE},
	        {"the other TEE's", BEFORE, tcb_info_of_the_other_tee, "tcb-info",
	         CHECK_UNAVAILABLE},
	};

	(void)state;
	RUN_ALL(rows);
}

/* ------------------------------------------------------------- who signs them */

BEND(no_signer)
{
	world_drop(w, TCB_CHAIN);
}

BEND(signer_expired)
{
	w->p.cert[SIM_INTEL_TCB].to = SIM_AT - 1;
}

BEND(signer_early)
{
	w->p.cert[SIM_INTEL_TCB].from = SIM_AT + 1;
}

BEND(signer_revoked)
{
	w->p.root_crl.revoked[0] = w->p.cert[SIM_INTEL_TCB].serial;
	w->p.root_crl.revoked_n = 1;
}

BEND(signer_of_the_ca)
{
	w->p.cert[SIM_INTEL_TCB].issuer = SIM_INTEL_CA;
}

BEND(signer_of_another)
{
	w->p.cert[SIM_INTEL_TCB].signer = w->other;
}

BEND(signer_on_p384)
{
	EVP_PKEY_free(w->p.cert[SIM_INTEL_TCB].key);
	w->p.cert[SIM_INTEL_TCB].key = EVP_EC_gen("P-384");
	w->p.json_signer = w->other;
}

static void each_flaw_of_the_signer(void **state)
{
	static const char *const both[] = {"qe-identity", "tcb-info", NULL};
	static const struct {
		enum stage stage;
		void (*bend)(struct world *w);
		enum check_status want;
	} rows[] = {
	        {AFTER, no_signer, CHECK_UNAVAILABLE},
	        {BEFORE, signer_expired, CHECK_UNAVAILABLE},
	        {BEFORE, signer_early, CHECK_UNAVAILABLE},
	        {BEFORE, signer_revoked, CHECK_FAIL},
	        {BEFORE, signer_of_the_ca, CHECK_FAIL},
	        {BEFORE, signer_of_another, CHECK_FAIL},
	        {BEFORE, signer_on_p384, CHECK_FAIL},
	};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct world w;

			world_start(&w, kinds[k]);
			if (rows[i].stage == BEFORE)
				rows[i].bend(&w);
			world_finish(&w);
			if (rows[i].stage == AFTER)
				rows[i].bend(&w);
			world_judge(&w);
			expect_these(&w, both, rows[i].want);
			world_end(&w);
		}
}

/* A certificate for the same key that has run out beside its successor does no harm. */
static void a_renewed_signer_is_found(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		struct world w;

		world_start(&w, &tdx_v4);
		w.p.cert[SIM_INTEL_TCB].to = SIM_AT - 1;
		world_finish(&w);
		buf_bytes(&w.more, buf_view(&w.p.tcb_chain));
		w.p.cert[SIM_INTEL_TCB].to = SIM_AT + 1000;
		world_finish(&w);
		world_add(&w, &w.more);
		if (round) {
			struct bytes t = w.in.endorsements[TCB_CHAIN];

			w.in.endorsements[TCB_CHAIN] = buf_view(&w.more);
			w.in.endorsements[w.in.endorsements_n - 1] = t;
		}
		world_judge(&w);
		expect_pass(&w.checks);
		assert_int_equal(w.claims.valid_until, SIM_AT + 1000);
		world_end(&w);
	}
}

/* ------------------------------------------------------------- which one counts */

/* A second TCB info, as said, is put before or behind the first. */
static void put_second(struct world *w, json_t *second, EVP_PKEY *key, bool before)
{
	assert_int_equal(sim_intel_sign_json("tcbInfo", second, key, &w->more), 0);
	world_add(w, &w->more);
	if (before) {
		w->in.endorsements[w->in.endorsements_n - 1] = w->in.endorsements[TCB_INFO];
		w->in.endorsements[TCB_INFO] = buf_view(&w->more);
	}
	json_decref(second);
}

static void put_second_of(struct world *w, const char *member, json_t *second, bool before)
{
	enum piece which = strcmp(member, "tcbInfo") ? QE_IDENTITY : TCB_INFO;

	assert_int_equal(
	        sim_intel_sign_json(member, second, w->p.cert[SIM_INTEL_TCB].key, &w->more), 0);
	world_add(w, &w->more);
	if (before) {
		w->in.endorsements[w->in.endorsements_n - 1] = w->in.endorsements[which];
		w->in.endorsements[which] = buf_view(&w->more);
	}
	json_decref(second);
}

/* By a copy that says something else, which of the two was taken. */
static json_t *second_tcb_info(struct world *w, int evaluation, int64_t from, int64_t to)
{
	json_t *j = json_deep_copy(w->p.tcb_info);

	set_text(json_array_get(json_object_get(j, "tcbLevels"), 0), "tcbStatus",
	         "SWHardeningNeeded");
	set_number(j, "tcbEvaluationDataNumber", evaluation);
	set_dates(j, from, to);
	return j;
}

static void the_newest_valid_one_counts(void **state)
{
	static const struct {
		int evaluation;
		int64_t from, to;
		bool forged;
		const char *want;
	} rows[] = {
	        {18, SIM_AT - 100, SIM_AT + 100, false, "SWHardeningNeeded"},
	        {17, SIM_AT - 100, SIM_AT + 100, false, "SWHardeningNeeded"},
	        {18, SIM_AT - 9 * SIM_DAY, SIM_AT + 100, false, "SWHardeningNeeded"},
	        {16, SIM_AT - 100, SIM_AT + 100, false, "UpToDate"},
	        {17, SIM_AT - 9 * SIM_DAY, SIM_AT + 100, false, "UpToDate"},
	        {17, SIM_AT - 100, SIM_AT - 1, false, "UpToDate"},
	        {16, SIM_AT - 100, SIM_AT - 1, false, "UpToDate"},
	        {18, SIM_AT + 1, SIM_AT + 100, false, "UpToDate"},
	        {18, SIM_AT - 100, SIM_AT + 100, true, "UpToDate"},
	        {18, SIM_AT - 100, SIM_AT - 1, true, "UpToDate"},
	};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
			struct world w;

			world_good(&w, kinds[k]);
			put_second(&w,
			           second_tcb_info(&w, rows[i / 2].evaluation, rows[i / 2].from,
			                           rows[i / 2].to),
			           rows[i / 2].forged ? w.other : w.p.cert[SIM_INTEL_TCB].key,
			           i % 2);
			world_judge(&w);
			expect_pass(&w.checks);
			assert_string_equal(w.claims.tcb_status, rows[i / 2].want);
			world_end(&w);
		}
}

/* Once a higher number was seen, genuine, a lower one is not used: in any order, of either. */
static void a_higher_number_that_ended_is_not_forgotten(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (int i = 0; i < 4; i++) {
			const char *check = check_id(kinds[k], i & 2 ? "qe-identity" : "tcb-info");
			const char *member = i & 2 ? "enclaveIdentity" : "tcbInfo";
			const struct check *found;
			struct world w;
			json_t *second;

			world_good(&w, kinds[k]);
			second = json_deep_copy(i & 2 ? w.p.qe_identity : w.p.tcb_info);
			set_number(second, "tcbEvaluationDataNumber", 18);
			set_dates(second, SIM_AT - 9 * (int64_t)SIM_DAY, SIM_AT - 1);
			put_second_of(&w, member, second, i & 1);
			world_judge(&w);
			expect_only(&w.checks, check, CHECK_UNAVAILABLE);
			found = checks_find(&w.checks, check);
			assert_non_null(strstr(found->detail, "number 17 is behind: one of 18"));
			/* It, and nothing else, has to be looked for. */
			for (uint32_t n = 0; n < w.claims.wants; n++)
				assert_int_equal(w.claims.want_needed[n],
				                 strstr(w.claims.want[n].path,
				                        i & 2 ? "/qe/identity" : "/tcb?") != NULL);
			world_end(&w);
		}
}

/* What the caller keeps. */
struct store {
	struct world *w;
	const char *seen[16];
	char path[16][COLLATERAL_PATH_MAX];
	size_t n;
	bool empty;
};

static size_t look_up(void *ctx, const struct collateral_name *name, int64_t at, struct bytes *out,
                      size_t cap)
{
	struct store *s = ctx;
	const struct {
		const char *part;
		const struct buf *piece;
	} have[] = {
	        {"/qe/identity", &s->w->p.qe_identity_text},
	        {"/tcb?fmspc=00806f050000", &s->w->p.tcb_info_text},
	        {"/pckcrl?ca=platform&encoding=der", &s->w->p.pck_crl.der},
	        {"/rootcacrl", &s->w->p.root_crl.der},
	        {"/tcb-signing-chain", &s->w->p.tcb_chain},
	};

	(void)at;
	assert_int_equal(name->vendor, VENDOR_INTEL);
	assert_true(cap > 0 && s->n < 16);
	memcpy(s->path[s->n++], name->path, COLLATERAL_PATH_MAX);
	for (size_t i = 0; !s->empty && i < sizeof(have) / sizeof(have[0]); i++)
		if (strstr(name->path, have[i].part)) {
			*out = buf_view(have[i].piece);
			return 1;
		}
	return 0;
}

static void what_was_not_sent_is_looked_up(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;
		struct store s = {.w = &w};

		world_good(&w, kinds[k]);
		w.in.endorsements_n = 0;
		w.in.collateral = look_up;
		w.in.collateral_ctx = &s;
		world_judge(&w);
		expect_pass(&w.checks);
		assert_int_equal(w.claims.wants, 0);
		assert_int_equal(s.n, 5);
		s.n = 0;
		s.empty = true;
		world_judge(&w);
		assert_int_equal(checks_overall(&w.checks), CHECK_UNAVAILABLE);
		assert_null(checks_first(&w.checks, CHECK_FAIL));
		assert_int_equal(w.claims.wants, 5);
		for (uint32_t i = 0; i < w.claims.wants; i++)
			assert_string_equal(w.claims.want[i].path, s.path[i]);
		world_end(&w);
	}
}

/* Each piece that is missing, and each set of them: never passed, never called wrong. */
static void missing_pieces_are_unavailable(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (unsigned set = 0; set < (1u << PIECES) - 1; set++) {
			struct world w;
			struct bytes all[PIECES];

			world_good(&w, kinds[k]);
			memcpy(all, w.in.endorsements, sizeof(all));
			w.in.endorsements_n = 0;
			for (unsigned i = 0; i < PIECES; i++)
				if (set & 1u << i)
					w.in.endorsements[w.in.endorsements_n++] = all[i];
			world_judge(&w);
			if (checks_overall(&w.checks) != CHECK_UNAVAILABLE)
				print_checks(&w.checks);
			assert_int_equal(checks_overall(&w.checks), CHECK_UNAVAILABLE);
			assert_null(checks_first(&w.checks, CHECK_FAIL));
			world_end(&w);
		}
}

/* ------------------------------------------------------------------------- tcb */

BEND(level_component)
{
	for (size_t i = 0; i < 2; i++)
		set_component(tcb_level(w, i), "sgxtcbcomponents", 15, 1);
}

BEND(level_pcesvn)
{
	for (size_t i = 0; i < 2; i++)
		set_number(json_object_get(tcb_level(w, i), "tcb"), "pcesvn", 14);
}

BEND(level_revoked)
{
	set_text(tcb_level(w, 0), "tcbStatus", "Revoked");
}

static void each_flaw_of_the_tcb(void **state)
{
	static const struct row rows[] = {
	        {"a component too low", BEFORE, level_component, "tcb", CHECK_FAIL},
	        {"PCESVN too low", BEFORE, level_pcesvn, "tcb", CHECK_FAIL},
	        {"revoked", BEFORE, level_revoked, "tcb", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

/* Any one of the sixteen decides, and so does the PCESVN. */
static void each_component_takes_it_to_the_next_level(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i <= 16; i++) {
			struct world w;

			world_start(&w, kinds[k]);
			if (i < 16)
				set_component(tcb_level(&w, 0), "sgxtcbcomponents", i,
				              w.p.machine.component[i] + 1);
			else
				set_number(json_object_get(tcb_level(&w, 0), "tcb"), "pcesvn",
				           w.p.machine.pcesvn + 1);
			world_finish(&w);
			world_judge(&w);
			expect_pass(&w.checks);
			assert_string_equal(w.claims.tcb_status, "OutOfDate");
			assert_int_equal(w.claims.tcb_date, SIM_AT - 400 * SIM_DAY);
			assert_int_equal(w.claims.advisories, 2);
			assert_string_equal(w.claims.advisory[0], "INTEL-SA-00960");
			assert_string_equal(w.claims.advisory[1], "INTEL-SA-00982");
			world_end(&w);
		}
}

static void qe_dated(struct world *w, const char *date)
{
	set_text(qe_level(w, 0), "tcbDate", date);
}

static void platform_dated(struct world *w, const char *date)
{
	set_text(tcb_level(w, 0), "tcbDate", date);
}

static void module_dated(struct world *w, const char *date)
{
	if (w->kind->tee == TEE_TDX)
		set_text(module_level(w, 1, 0), "tcbDate", date);
}

/* Whichever part it is, up to date or not: platform, quoting enclave, TDX module. */
static void the_oldest_part_dates_the_tcb(void **state)
{
	static void (*const dated[])(struct world * w, const char *date) = {platform_dated,
	                                                                    qe_dated, module_dated};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof(dated) / sizeof(dated[0]); i++)
			for (int older = 0; older < 2; older++) {
				bool counts = older && (dated[i] != module_dated ||
				                        kinds[k]->tee == TEE_TDX);
				int64_t day = counts ? SIM_AT - 777 * (int64_t)SIM_DAY
				                     : SIM_AT - 90 * (int64_t)SIM_DAY;
				char text[21];
				struct world w;

				world_start(&w, kinds[k]);
				sim_intel_date(older ? SIM_AT - 777 * (int64_t)SIM_DAY : SIM_AT,
				               text);
				dated[i](&w, text);
				world_finish(&w);
				world_judge(&w);
				expect_pass(&w.checks);
				assert_int_equal(w.claims.tcb_date, day);
				sim_intel_date(day, text);
				text[10] = '\0';
				assert_non_null(strstr(
				        checks_find(&w.checks, check_id(kinds[k], "tcb"))->detail,
				        text));
				world_end(&w);
			}
}

/* The certificate's word counts, not the report's. */
static void the_reports_own_cpusvn_does_not_count(void **state)
{
	(void)state;
	struct world w;

	world_start(&w, &sgx_v3);
	memset(w.p.body + SGX_OFF_CPUSVN, 0, 16);
	memset(w.p.qe_report + SGX_OFF_CPUSVN, 0, 16);
	world_finish(&w);
	world_judge(&w);
	expect_pass(&w.checks);
	assert_string_equal(w.claims.tcb_status, "UpToDate");
	world_end(&w);
	world_start(&w, &sgx_v3);
	memset(w.p.machine.component, 0, 16);
	world_finish(&w);
	world_judge(&w);
	expect_only(&w.checks, "sgx.tcb", CHECK_FAIL);
	world_end(&w);
}

/* The vendor's order is not trusted: the highest level that is reached counts. */
static void levels_may_come_in_any_order(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;
		json_t *levels, *first;

		world_start(&w, kinds[k]);
		levels = json_object_get(w.p.tcb_info, "tcbLevels");
		first = json_incref(json_array_get(levels, 0));
		json_array_remove(levels, 0);
		json_array_append_new(levels, first);
		world_finish(&w);
		world_judge(&w);
		expect_pass(&w.checks);
		assert_string_equal(w.claims.tcb_status, "UpToDate");
		world_end(&w);
	}
}

/* --------------------------------------------------------- debug, report data */

static void debug_is_refused_unless_allowed(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;

		world_start(&w, kinds[k]);
		if (kinds[k]->tee == TEE_SGX)
			w.p.body[SGX_OFF_FLAGS] |= SGX_FLAG_DEBUG;
		else
			w.p.body[TDX_OFF_TDATTRIBUTES] |= TDX_ATTR_DEBUG;
		world_finish(&w);
		world_judge(&w);
		expect_only(&w.checks, check_id(kinds[k], "debug"), CHECK_FAIL);
		w.in.allow_debug = true;
		world_judge(&w);
		expect_pass(&w.checks);
		assert_true(w.claims.debug);
		world_end(&w);
	}
}

static void report_data_must_be_the_callers(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < 64; i += 7) {
			struct world w;

			world_good(&w, kinds[k]);
			w.in.check_report_data = true;
			memset(w.in.report_data, 0x5a, 64);
			w.in.report_data[i] ^= 1;
			world_judge(&w);
			expect_only(&w.checks, check_id(kinds[k], "report-data"), CHECK_FAIL);
			world_end(&w);
		}
}

/* ------------------------------------------------------------- order of checks */

static void the_checks_always_come_in_one_order(void **state)
{
	static const char *const order[] = {
	        "format",     "pck-chain", "cert-time",   "revocation", "qe-signature",
	        "qe-binding", "signature", "qe-identity", "tcb-info",   "module",
	        "tcb",        "debug",     "attributes",  "report-data"};
	static void (*const bends[])(struct world * w) = {no_tcb_info, version_6, another_root,
	                                                  no_certificate, quote_signature_zero};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t b = 0; b < sizeof(bends) / sizeof(bends[0]); b++) {
			struct world w;
			uint32_t at = 1;

			world_good(&w, kinds[k]);
			w.in.check_report_data = true;
			bends[b](&w);
			world_judge(&w);
			assert_string_equal(w.checks.v[0].id, "evidence.type");
			for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
				if (kinds[k]->tee == TEE_TDX || strcmp(order[i], "module") != 0)
					assert_string_equal(w.checks.v[at++].id,
					                    check_id(kinds[k], order[i]));
			assert_int_equal(w.checks.n, at);
			world_end(&w);
		}
}

/* --------------------------------------------------------- flips and truncation */

static void expect_refused(struct world *w, const char *what, size_t at)
{
	enum check_status overall;

	world_judge(w);
	overall = checks_overall(&w->checks);
	if (overall == CHECK_PASS || (!w->in.endorsements_n && overall != CHECK_FAIL)) {
		print_message("%s: passes with byte %zu of its %s changed\n", w->kind->name, at,
		              what);
		fail();
	}
}

static void flip_each(struct world *w, const char *what, uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t bit = (uint8_t)(1 << (i % 8));

		p[i] ^= bit;
		expect_refused(w, what, i);
		p[i] ^= bit;
	}
}

/* Without collateral, since each of these is seen before any is needed. */
static void no_flipped_bit_of_the_quote_passes(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;

		if (kinds[k] == &tdx_v5_td10)
			continue;
		world_good(&w, kinds[k]);
		world_cached(&w);
		w.in.endorsements_n = 0;
		flip_each(&w, "signed part", w.quote.p, at_length(&w));
		flip_each(&w, "length", w.quote.p + at_length(&w), 4);
		flip_each(&w, "signature and key", w.quote.p + at_signature(&w),
		          INTEL_SIG_LEN + INTEL_KEY_LEN);
		flip_each(&w, "QE report and signature", w.quote.p + at_qe_report(&w),
		          INTEL_SGX_BODY_LEN + INTEL_SIG_LEN);
		flip_each(&w, "QE auth data", w.quote.p + at_qe_auth(&w), 2 + w.p.qe_auth_n);
		w.in.endorsements_n = PIECES;
		world_judge(&w);
		expect_pass(&w.checks);
		world_end(&w);
	}
}

/* The certificates as DER, so that every bit of them counts. */
static void no_flipped_bit_of_a_certificate_passes(void **state)
{
	struct world w;
	size_t at[3] = {0};

	(void)state;
	world_good(&w, &tdx_v4);
	world_cached(&w);
	buf_reset(&w.p.pck_chain);
	for (int i = 0; i < 3; i++) {
		static const enum sim_intel_who order[] = {SIM_INTEL_PCK, SIM_INTEL_CA,
		                                           SIM_INTEL_ROOT};
		struct der d;

		cert_der(w.p.cert[order[i]].x, &d);
		at[i] = w.p.pck_chain.n;
		buf_bytes(&w.p.pck_chain, der_view(&d));
	}
	buf_reset(&w.quote);
	assert_int_equal(sim_intel_quote(&w.p, NULL, &w.quote), 0);
	w.in.evidence = buf_view(&w.quote);
	world_judge(&w);
	expect_pass(&w.checks);
	flip_each(&w, "PCK and CA", w.quote.p + at_cert_data(&w) + 6 + at[0], at[2]);
	world_end(&w);
}

static void no_flipped_bit_of_the_collateral_passes(void **state)
{
	struct world w;

	(void)state;
	world_good(&w, &tdx_v5);
	world_cached(&w);
	w.in.endorsements_n = PCK_CRL;
	w.in.require_crl = false;
	flip_each(&w, "TCB info", w.p.tcb_info_text.p + strlen(INTEL_JSON_TCB_INFO),
	          w.p.tcb_info_text.n - strlen(INTEL_JSON_TCB_INFO) - 145);
	flip_each(&w, "QE identity", w.p.qe_identity_text.p + strlen(INTEL_JSON_IDENTITY),
	          w.p.qe_identity_text.n - strlen(INTEL_JSON_IDENTITY) - 145);
	w.in.endorsements_n = PIECES;
	w.in.require_crl = true;
	flip_each(&w, "PCK CRL", w.p.pck_crl.der.p, w.p.pck_crl.der.n);
	flip_each(&w, "root CRL", w.p.root_crl.der.p, w.p.root_crl.der.n);
	world_end(&w);
}

/* In memory of just that size, so that a read past the end is seen. */
static void expect_cut_refused(struct world *w, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	memcpy(copy, w->quote.p, n);
	w->in.evidence = (struct bytes){copy, n};
	memset(&w->checks, 0, sizeof(w->checks));
	(void)attest_appraise(&w->in, &w->claims, &w->checks);
	assert_int_not_equal(checks_overall(&w->checks), CHECK_PASS);
	free(copy);
}

static void no_truncated_quote_passes(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;

		world_good(&w, kinds[k]);
		for (size_t n = 0; n < w.quote.n; n++)
			expect_cut_refused(&w, n);
		world_end(&w);
	}
}

static void no_truncated_collateral_passes(void **state)
{
	struct world w;

	(void)state;
	world_good(&w, &tdx_v4);
	world_cached(&w);
	for (enum piece i = TCB_INFO; i < PIECES; i++) {
		struct bytes whole = w.in.endorsements[i];
		const uint8_t *end = memmem(whole.p, whole.n, "-----END", 8);
		size_t first = end ? (size_t)(end - whole.p) : whole.n;

		w.in.require_crl = i >= PCK_CRL;
		w.in.endorsements_n = w.in.require_crl ? PIECES : PCK_CRL;
		for (size_t n = 0; n < whole.n; n += i == TCB_CHAIN ? 7 : i == TCB_INFO ? 3 : 1) {
			uint8_t *copy = malloc(n ? n : 1);

			memcpy(copy, whole.p, n);
			w.in.endorsements[i] = (struct bytes){copy, n};
			/* Without its last certificate, the root, the signers' chain is whole. */
			if (i != TCB_CHAIN || n < first)
				expect_refused(&w, "truncated collateral", n);
			else
				world_judge(&w);
			free(copy);
		}
		w.in.endorsements[i] = whole;
	}
	world_end(&w);
}

/* Nobody signed what follows, so nothing of it may matter. */
static void padding_behind_the_quote_is_not_looked_at(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;

		world_good(&w, kinds[k]);
		for (int i = 0; i < 70; i++)
			buf_u8(&w.quote, (uint8_t)(i * 7));
		w.in.evidence = buf_view(&w.quote);
		world_judge(&w);
		expect_pass(&w.checks);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_form_of_quote_passes),
	        cmocka_unit_test(a_processor_ca_passes_without_an_instance),
	        cmocka_unit_test(crls_are_skipped_only_when_not_demanded),
	        cmocka_unit_test(each_flaw_of_the_format),
	        cmocka_unit_test(each_flaw_of_the_newer_formats),
	        cmocka_unit_test(each_flaw_of_the_chain),
	        cmocka_unit_test(a_quote_without_certificate_is_unavailable),
	        cmocka_unit_test(the_chain_may_come_in_any_order),
	        cmocka_unit_test(each_flaw_of_time_and_revocation),
	        cmocka_unit_test(each_flaw_of_the_signatures),
	        cmocka_unit_test(the_rest_of_the_qe_report_data_is_zero),
	        cmocka_unit_test(each_flaw_of_the_qe),
	        cmocka_unit_test(each_flaw_of_the_tcb_info),
	        cmocka_unit_test(each_flaw_of_the_signer),
	        cmocka_unit_test(a_renewed_signer_is_found),
	        cmocka_unit_test(the_newest_valid_one_counts),
	        cmocka_unit_test(a_higher_number_that_ended_is_not_forgotten),
	        cmocka_unit_test(what_was_not_sent_is_looked_up),
	        cmocka_unit_test(missing_pieces_are_unavailable),
	        cmocka_unit_test(each_flaw_of_the_tcb),
	        cmocka_unit_test(each_component_takes_it_to_the_next_level),
	        cmocka_unit_test(the_oldest_part_dates_the_tcb),
	        cmocka_unit_test(the_reports_own_cpusvn_does_not_count),
	        cmocka_unit_test(levels_may_come_in_any_order),
	        cmocka_unit_test(debug_is_refused_unless_allowed),
	        cmocka_unit_test(report_data_must_be_the_callers),
	        cmocka_unit_test(the_checks_always_come_in_one_order),
	        cmocka_unit_test(no_flipped_bit_of_the_quote_passes),
	        cmocka_unit_test(no_flipped_bit_of_a_certificate_passes),
	        cmocka_unit_test(no_flipped_bit_of_the_collateral_passes),
	        cmocka_unit_test(no_truncated_quote_passes),
	        cmocka_unit_test(no_truncated_collateral_passes),
	        cmocka_unit_test(padding_behind_the_quote_is_not_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
