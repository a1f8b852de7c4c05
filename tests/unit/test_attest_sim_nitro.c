/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nitro Enclaves: every check tripped alone, on documents of an enclave made here, and the real
 * documents of the vector set, each at its own date. The latter are skipped, loudly, where the set
 * is not there.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "core/cbor.h"
#include "attest/nitro.h"
#include "attester/sim_nitro.h"
#include "core/file.h"

enum { DAY = 86400, NOW = 1750000000 };

struct world {
	struct sim_nitro p;
	struct buf root, doc;
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

/* Keys are made once: each test starts from a copy of the same enclave. */
static struct sim_nitro enclave;

static int set_up(void **state)
{
	(void)state;
	return sim_nitro_begin(&enclave, NOW, DAY);
}

static int tear_down(void **state)
{
	(void)state;
	sim_nitro_free(&enclave);
	return 0;
}

static void begin(struct world *w)
{
	*w = (struct world){
	        .p = enclave, .root = buf_make(4096), .doc = buf_make(NITRO_DOCUMENT_MAX)};
	w->p.timestamp_ms = (uint64_t)NOW * 1000;
}

static void end(struct world *w)
{
	for (int i = 0; i < SIM_NITRO_CERTS; i++)
		X509_free(w->p.cert[i].x);
	buf_free(&w->root);
	buf_free(&w->doc);
}

/* Makes certificates and document of what the test has bent, and the input that asks for them. */
static void finish(struct world *w)
{
	uint8_t *der = NULL;
	int n;

	assert_int_equal(sim_nitro_certify(&w->p), 0);
	n = i2d_X509(w->p.cert[SIM_NITRO_ROOT].x, &der);
	assert_true(n > 0);
	buf_put(&w->root, der, (size_t)n);
	OPENSSL_free(der);
	assert_int_equal(sim_nitro_document(&w->p, NULL, 0, &w->doc), 0);
	w->in = (struct attest_input){.type = TEE_NITRO,
	                              .evidence = buf_view(&w->doc),
	                              .at = NOW,
	                              .anchors = {buf_view(&w->root)},
	                              .anchors_n = 1};
}

static void judge(struct world *w)
{
	w->checks = (struct checks){0};
	assert_int_equal(attest_appraise(&w->in, &w->claims, &w->checks), 0);
}

static void good(struct world *w)
{
	begin(w);
	finish(w);
	judge(w);
}

/* ------------------------------------------------------------------ what passes */

static void passes(void **state)
{
	static const char *const order[] = {"evidence.type",   "nitro.format",    "nitro.chain",
	                                    "nitro.cert-time", "nitro.signature", "nitro.module",
	                                    "nitro.debug",     "nitro.time"};
	struct world w;
	(void)state;

	good(&w);
	expect_pass(&w.checks);
	assert_int_equal(w.checks.n, sizeof(order) / sizeof(order[0]));
	for (uint32_t i = 0; i < w.checks.n; i++)
		assert_string_equal(w.checks.v[i].id, order[i]);
	w.in.type = TEE_NONE; /* told from its content */
	judge(&w);
	expect_pass(&w.checks);
	assert_int_equal(w.claims.tee, TEE_NITRO);
	end(&w);
}

static void forms_that_pass(void **state)
{
	struct world w;
	(void)state;

	for (int form = 0; form < 3; form++) {
		begin(&w);
		w.p.cose.tagged = form != 0;
		w.p.open_map = form == 2;
		w.p.nonce = bytes_str("nonce");
		w.p.public_key = bytes_str("key");
		finish(&w);
		w.in.type = TEE_NONE;
		judge(&w);
		expect_pass(&w.checks);
		end(&w);
	}
}

static void claims_are_what_the_document_says(void **state)
{
	uint8_t data[64];
	const struct measurement *m;
	struct world w;
	(void)state;

	memset(data, 0x5a, sizeof(data));
	begin(&w);
	w.p.user_data = BYTES_OF(data);
	memset(w.p.pcr[5], 5, NITRO_PCR_LEN);
	memset(w.p.pcr[15], 15, NITRO_PCR_LEN);
	finish(&w);
	w.in.check_report_data = true;
	memcpy(w.in.report_data, data, sizeof(data));
	judge(&w);
	expect_pass(&w.checks);
	assert_memory_equal(w.claims.report_data, data, 64);
	assert_int_equal(w.claims.valid_until, NOW + DAY);
	assert_true(w.claims.extra_anchor);
	assert_false(w.claims.debug);
	assert_int_equal(w.claims.chip_id_len, NITRO_PCR_LEN);
	assert_memory_equal(w.claims.chip_id, w.p.pcr[NITRO_PCR_INSTANCE], NITRO_PCR_LEN);
	assert_non_null(strstr(w.claims.signer, w.p.module_id));
	assert_string_equal(w.claims.measurements.v[0].name, "pcr0");
	/* 0 to 8, and 15; the zero ones from 9 on are left out. */
	assert_int_equal(w.claims.measurements.n, 10);
	for (uint32_t i = 0; i < w.claims.measurements.n; i++) {
		static const enum register_role roles[] = {
		        REGISTER_CODE,     REGISTER_COVERED, REGISTER_COVERED, REGISTER_IDENTITY,
		        REGISTER_IDENTITY, REGISTER_CODE,    REGISTER_CODE,    REGISTER_CODE,
		        REGISTER_IDENTITY, REGISTER_CODE};

		m = &w.claims.measurements.v[i];
		assert_int_equal(m->role, roles[i]);
		assert_int_equal(m->len, NITRO_PCR_LEN);
		assert_memory_equal(m->value, w.p.pcr[i == 9 ? 15 : i], NITRO_PCR_LEN);
	}
	m = measurement_find(&w.claims.measurements, "pcr15");
	assert_non_null(m);
	end(&w);
}

/* ------------------------------------------------------------ each check, alone */

struct bend {
	const char *what;
	void (*bend)(struct world *w);
	const char *id;
};

static void reserve_alg(struct world *w)
{
	static const uint8_t es256[] = {0xa1, 0x01, 0x26};

	w->p.cose.protected_header = BYTES_OF(es256);
}

static void no_alg(struct world *w)
{
	static const uint8_t empty[] = {0xa0};

	w->p.cose.protected_header = BYTES_OF(empty);
}

static void unknown_header(struct world *w)
{
	static const uint8_t crit[] = {0xa2, 0x01, 0x38, 0x22, 0x02, 0x80};

	w->p.cose.protected_header = BYTES_OF(crit);
}

static void alg_not_signed(struct world *w)
{
	static const uint8_t alg[] = {0xa1, 0x01, 0x38, 0x22};

	w->p.cose.unprotected = BYTES_OF(alg);
}

static void unprotected(struct world *w)
{
	static const uint8_t kid[] = {0xa1, 0x04, 0x41, 'k'};

	w->p.cose.unprotected = BYTES_OF(kid);
}

static void no_module_id(struct world *w)
{
	w->p.without = "module_id";
}

static void no_digest(struct world *w)
{
	w->p.without = "digest";
}

static void no_timestamp(struct world *w)
{
	w->p.without = "timestamp";
}

static void no_pcrs(struct world *w)
{
	w->p.without = "pcrs";
}

static void no_certificate(struct world *w)
{
	w->p.without = "certificate";
}

static void no_cabundle(struct world *w)
{
	w->p.without = "cabundle";
}

static void other_digest(struct world *w)
{
	w->p.digest = "SHA512";
}

static void more_fields(struct world *w)
{
	static const uint8_t pair[] = {0x61, 'x', 0xf6};

	w->p.extra = BYTES_OF(pair);
}

static void a_field_twice(struct world *w)
{
	static const uint8_t pair[] = {0x65, 'n', 'o', 'n', 'c', 'e', 0xf6};

	w->p.extra = BYTES_OF(pair);
}

static void tpm_pcrs(struct world *w)
{
	static const uint8_t pair[] = {0x6d, 'n', 'i', 't', 'r', 'o', 't', 'p',
	                               'm',  '_', 'p', 'c', 'r', 's', 0xa0};

	w->p.extra = BYTES_OF(pair);
}

static void no_pcr(struct world *w)
{
	w->p.pcrs &= ~(UINT32_C(1) << NITRO_PCR_INSTANCE);
}

static void long_user_data(struct world *w)
{
	static const uint8_t data[NITRO_USER_DATA_MAX + 1];

	w->p.user_data = BYTES_OF(data);
}

static void long_nonce(struct world *w)
{
	static const uint8_t data[NITRO_NONCE_MAX + 1];

	w->p.nonce = BYTES_OF(data);
}

static void long_key(struct world *w)
{
	static const uint8_t data[NITRO_PUBLIC_KEY_MAX + 1];

	w->p.public_key = BYTES_OF(data);
}

static void blank_in_module_id(struct world *w)
{
	w->p.module_id[3] = ' ';
}

static void empty_module_id(struct world *w)
{
	w->p.module_id[0] = 0;
}

static void other_hash(struct world *w)
{
	w->p.cert[SIM_NITRO_ZONE].md = EVP_sha256();
}

static void leaf_hash(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].md = EVP_sha256();
}

static void forged_zone(struct world *w)
{
	w->p.cert[SIM_NITRO_ZONE].signer = w->p.cert[SIM_NITRO_ENCLAVE].key;
}

static void forged_leaf(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].signer = w->p.cert[SIM_NITRO_ENCLAVE].key;
}

static void forged_root(struct world *w)
{
	w->p.cert[SIM_NITRO_ROOT].signer = w->p.cert[SIM_NITRO_ENCLAVE].key;
}

static void swapped(struct world *w)
{
	w->p.swapped = true;
}

static void short_path(struct world *w)
{
	w->p.cert[SIM_NITRO_REGION].constraints = "critical,CA:TRUE,pathlen:1";
}

static void zone_is_no_ca(struct world *w)
{
	w->p.cert[SIM_NITRO_ZONE].constraints = "critical,CA:FALSE";
}

static void instance_may_not_sign(struct world *w)
{
	w->p.cert[SIM_NITRO_INSTANCE].usage = "critical,digitalSignature";
}

static void leaf_is_ca(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].constraints = "critical,CA:TRUE";
}

static void leaf_signs_certificates(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].usage = "keyCertSign";
}

static void leaf_for_anything(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].usage = NULL;
}

static void leaf_over(struct world *w)
{
	w->p.cert[SIM_NITRO_ENCLAVE].to = NOW - 1;
	w->p.timestamp_ms = (uint64_t)(NOW - 2) * 1000;
}

static void zone_over(struct world *w)
{
	w->p.cert[SIM_NITRO_ZONE].to = NOW - 1;
}

static void instance_not_yet(struct world *w)
{
	w->p.cert[SIM_NITRO_INSTANCE].from = NOW + 1;
}

static void another_signer(struct world *w)
{
	w->p.signer = w->p.cert[SIM_NITRO_ZONE].key;
}

static void another_instance(struct world *w)
{
	w->p.module_id[5] = w->p.module_id[5] == '0' ? '1' : '0';
}

static void no_instance(struct world *w)
{
	memcpy(w->p.module_id, "i-0123456789abcdef0", sizeof("i-0123456789abcdef0"));
}

static void only_an_enclave(struct world *w)
{
	memmove(w->p.module_id, strstr(w->p.module_id, "-enc"), 21);
}

static void pcr4_zero(struct world *w)
{
	memset(w->p.pcr[NITRO_PCR_INSTANCE], 0, NITRO_PCR_LEN);
}

static void debug(struct world *w)
{
	memset(w->p.pcr, 0, (size_t)3 * NITRO_PCR_LEN);
}

static void partly_debug(struct world *w)
{
	memset(w->p.pcr[NITRO_PCR_APPLICATION], 0, NITRO_PCR_LEN);
}

static void ahead(struct world *w)
{
	w->p.timestamp_ms = (uint64_t)(NOW + 61) * 1000;
}

static void for_ever_ahead(struct world *w)
{
	w->p.timestamp_ms = UINT64_MAX;
}

static void before_its_certificate(struct world *w)
{
	w->p.timestamp_ms = (uint64_t)(NOW - 2 * DAY) * 1000;
}

static const struct bend bends[] = {
        {"another algorithm", reserve_alg, "nitro.format"},
        {"no algorithm", no_alg, "nitro.format"},
        {"a critical header", unknown_header, "nitro.format"},
        {"an algorithm that is not signed", alg_not_signed, "nitro.format"},
        {"a header that is not signed", unprotected, "nitro.format"},
        {"no module_id", no_module_id, "nitro.format"},
        {"no digest", no_digest, "nitro.format"},
        {"no timestamp", no_timestamp, "nitro.format"},
        {"no pcrs", no_pcrs, "nitro.format"},
        {"no certificate", no_certificate, "nitro.format"},
        {"no cabundle", no_cabundle, "nitro.format"},
        {"another digest", other_digest, "nitro.format"},
        {"an unknown field", more_fields, "nitro.format"},
        {"a field twice", a_field_twice, "nitro.format"},
        {"a NitroTPM's field", tpm_pcrs, "nitro.format"},
        {"no PCR4", no_pcr, "nitro.format"},
        {"long user_data", long_user_data, "nitro.format"},
        {"long nonce", long_nonce, "nitro.format"},
        {"long public_key", long_key, "nitro.format"},
        {"a blank in module_id", blank_in_module_id, "nitro.format"},
        {"an empty module_id", empty_module_id, "nitro.format"},
        {"SHA-256 in the chain", other_hash, "nitro.chain"},
        {"SHA-256 on the leaf", leaf_hash, "nitro.chain"},
        {"a forged intermediate", forged_zone, "nitro.chain"},
        {"a forged leaf", forged_leaf, "nitro.chain"},
        {"a root that did not sign itself", forged_root, "nitro.chain"},
        {"two intermediates that changed places", swapped, "nitro.chain"},
        {"a path that is too long", short_path, "nitro.chain"},
        {"an intermediate that is no CA", zone_is_no_ca, "nitro.chain"},
        {"an intermediate that may not sign", instance_may_not_sign, "nitro.chain"},
        {"a leaf that is a CA", leaf_is_ca, "nitro.chain"},
        {"a leaf for certificates", leaf_signs_certificates, "nitro.chain"},
        {"a leaf for anything", leaf_for_anything, "nitro.chain"},
        {"a leaf that is over", leaf_over, "nitro.cert-time"},
        {"an intermediate that is over", zone_over, "nitro.cert-time"},
        {"an intermediate of tomorrow", instance_not_yet, "nitro.cert-time"},
        {"another key", another_signer, "nitro.signature"},
        {"another instance", another_instance, "nitro.module"},
        {"no enclave", no_instance, "nitro.module"},
        {"no instance", only_an_enclave, "nitro.module"},
        {"PCR4 zero", pcr4_zero, "nitro.module"},
        {"debug", debug, "nitro.debug"},
        {"one of the three zero", partly_debug, "nitro.debug"},
        {"ahead of the clock", ahead, "nitro.time"},
        {"for ever ahead of the clock", for_ever_ahead, "nitro.time"},
        {"before its certificate", before_its_certificate, "nitro.time"},
};

static void each_check_alone(void **state)
{
	(void)state;

	for (size_t i = 0; i < sizeof(bends) / sizeof(bends[0]); i++) {
		struct world w;

		print_message("%s\n", bends[i].what);
		begin(&w);
		bends[i].bend(&w);
		finish(&w);
		judge(&w);
		expect_only(&w.checks, bends[i].id, CHECK_FAIL);
		assert_int_equal(w.checks.n, 8);
		end(&w);
	}
}

/* At the edges of what passes. */
static void edges(void **state)
{
	static const uint8_t full[NITRO_PUBLIC_KEY_MAX];
	struct world w;
	(void)state;

	begin(&w);
	w.p.timestamp_ms = (uint64_t)(NOW + 60) * 1000 + 999;
	w.p.cert[SIM_NITRO_ENCLAVE].to = NOW + 60;
	w.p.user_data = (struct bytes){full, NITRO_USER_DATA_MAX};
	w.p.nonce = (struct bytes){full, NITRO_NONCE_MAX};
	w.p.public_key = BYTES_OF(full);
	finish(&w);
	judge(&w);
	expect_pass(&w.checks);
	assert_int_equal(w.claims.valid_until, NOW + 60);
	w.in.at = NOW + 61;
	judge(&w);
	expect_only(&w.checks, "nitro.cert-time", CHECK_FAIL);
	end(&w);
}

static void times_can_not_wrap(void **state)
{
	static const int64_t at[] = {INT64_MIN, INT64_MIN + 59, -1, 0, INT64_MAX - 59, INT64_MAX};
	struct world w;
	(void)state;

	good(&w);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		w.in.at = at[i];
		judge(&w);
		assert_int_equal(checks_overall(&w.checks), CHECK_FAIL);
	}
	end(&w);
}

static void debug_can_be_allowed(void **state)
{
	struct world w;
	(void)state;

	begin(&w);
	debug(&w);
	finish(&w);
	w.in.allow_debug = true;
	judge(&w);
	expect_pass(&w.checks);
	assert_true(w.claims.debug);
	end(&w);
}

static void report_data_is_64_bytes(void **state)
{
	uint8_t data[65] = {1, 2, 3};
	static const size_t lengths[] = {0, 1, 63, 64, 65};
	struct world w;
	(void)state;

	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		begin(&w);
		w.p.user_data = (struct bytes){data, lengths[i]};
		finish(&w);
		w.in.check_report_data = true;
		memcpy(w.in.report_data, data, 64);
		judge(&w);
		if (lengths[i] == 64) {
			expect_pass(&w.checks);
			w.in.report_data[63] ^= 1;
			judge(&w);
		} else {
			assert_true(bytes_all_zero(w.claims.report_data, 64));
		}
		expect_only(&w.checks, "nitro.report-data", CHECK_FAIL);
		end(&w);
	}
}

static void only_a_trusted_root(void **state)
{
	static const char junk[] = "no anchor";
	struct world w;
	(void)state;

	good(&w);
	w.in.anchors_n = 0;
	judge(&w);
	expect_only(&w.checks, "nitro.chain", CHECK_FAIL);
	/* The same names and another key. */
	w.in.anchors[0] = buf_view(&w.root);
	w.in.anchors_n = 1;
	judge(&w);
	expect_pass(&w.checks);
	w.in.anchors[1] = bytes_str(junk);
	w.in.anchors_n = 2;
	judge(&w);
	expect_only(&w.checks, "nitro.chain", CHECK_FAIL);
	/* A certificate of the chain that is no root is no way around it. */
	buf_reset(&w.root);
	{
		uint8_t *der = NULL;
		int n = i2d_X509(w.p.cert[SIM_NITRO_REGION].x, &der);

		buf_put(&w.root, der, (size_t)n);
		OPENSSL_free(der);
	}
	w.in.anchors[0] = buf_view(&w.root);
	w.in.anchors_n = 1;
	judge(&w);
	expect_only(&w.checks, "nitro.chain", CHECK_FAIL);
	end(&w);
}

/* ---------------------------------------------------------- nothing can be altered */

/* True if this is still a document that the enclave's key signed. */
static bool still_signed(const struct world *w)
{
	struct nitro_document d;
	const char *why;

	return attest_nitro_parse(buf_view(&w->doc), &d, &why) == 0 &&
	       cose_sign1_verify(&d.sign1, w->p.cert[SIM_NITRO_ENCLAVE].key);
}

static void no_bit_can_be_flipped(void **state)
{
	enum { WHOLE = 37 };
	struct world w;
	(void)state;

	begin(&w);
	w.p.open_map = true;
	finish(&w);
	judge(&w);
	expect_pass(&w.checks);
	assert_true(still_signed(&w));
	/* The whole appraisal, which takes longer, now and then. */
	for (size_t i = 0; i < 8 * w.doc.n; i++) {
		w.doc.p[i / 8] ^= (uint8_t)(1u << i % 8);
		if (still_signed(&w))
			fail_msg("bit %zu", i);
		if (i % (8 * WHOLE + 1) == 0) {
			judge(&w);
			assert_int_equal(checks_overall(&w.checks), CHECK_FAIL);
		}
		w.doc.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	end(&w);
}

static void no_part_can_be_missing(void **state)
{
	struct world w;
	(void)state;

	good(&w);
	for (size_t n = 1; n < w.doc.n; n++) {
		/* On the heap at its exact size, so that a read behind the end is seen. */
		uint8_t *exact = malloc(n);

		memcpy(exact, w.doc.p, n);
		w.in.evidence = (struct bytes){exact, n};
		judge(&w);
		expect_only(&w.checks, "nitro.format", CHECK_FAIL);
		free(exact);
	}
	buf_u8(&w.doc, 0);
	w.in.evidence = buf_view(&w.doc);
	judge(&w);
	expect_only(&w.checks, "nitro.format", CHECK_FAIL);
	end(&w);
}

static void too_long(void **state)
{
	static uint8_t long_one[NITRO_DOCUMENT_MAX + 1] = {0x84, 0x44, 0xa1, 0x01,
	                                                   0x38, 0x22, 0xa0};
	struct world w;
	(void)state;

	good(&w);
	w.in.evidence = BYTES_OF(long_one);
	judge(&w);
	expect_only(&w.checks, "nitro.format", CHECK_FAIL);
	end(&w);
}

static void a_person_can_read_a_document(void **state)
{
	struct buf page = buf_make(1 << 16);
	struct world w;
	(void)state;

	begin(&w);
	w.p.user_data = bytes_str("hello");
	debug(&w);
	finish(&w);
	assert_int_equal(attest_explain(TEE_NONE, w.in.evidence, &page), 0);
	buf_u8(&page, 0);
	assert_non_null(strstr((char *)page.p, w.p.module_id));
	assert_non_null(strstr((char *)page.p, "2025-06-15T15:06:40Z"));
	assert_non_null(strstr((char *)page.p, "cabundle[3]"));
	assert_non_null(strstr((char *)page.p, "68656c6c6f"));
	assert_non_null(strstr((char *)page.p, "A DEBUG ENCLAVE"));
	/* Whatever is cut off: a page or an error, no more. */
	for (size_t n = 0; n < w.doc.n; n++) {
		buf_reset(&page);
		assert_int_equal(attest_explain(TEE_NITRO, (struct bytes){w.doc.p, n}, &page),
		                 -EINVAL);
	}
	buf_free(&page);
	end(&w);
}

/* ----------------------------------------------------------------- real documents */

static void real_documents(void **state)
{
	static const struct {
		const char *file;
		int64_t at;
		const char *refused; /* by which check; NULL: it passes */
	} rows[] = {
	        {"prod-2021", 1616018516, NULL},
	        {"prod-2022-nonce256", 1665651482, NULL},
	        {"prod-2023-userdata", 1695337797, NULL},
	        {"prod-2025", 1766668537, NULL},
	        {"prod-2025", 1766668537 + 3 * 3600 + 1, "nitro.cert-time"},
	        {"debug-2023-spki-binding", 1695049410, "nitro.debug"},
	        {"debug-2024-allfields", 1706120065, "nitro.debug"},
	        {"neg-pcr0flip", 1695337800, "nitro.signature"},
	        {"neg-rootswap", 1695337800, "nitro.chain"},
	};
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600];
	struct world w = {0};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *p = NULL;
		size_t n = 0;

		snprintf(path, sizeof(path), "%s/attestation/nitro/%s.cose.bin",
		         root ? root : "../shared/vectors", rows[i].file);
		if (file_read(path, 1 << 20, &p, &n)) {
			printf("SKIPPED: no %s\n", path);
			skip();
		}
		w.in = (struct attest_input){.evidence = {p, n}, .at = rows[i].at};
		judge(&w);
		print_message("%s\n", rows[i].file);
		if (rows[i].refused)
			expect_only(&w.checks, rows[i].refused, CHECK_FAIL);
		else
			expect_pass(&w.checks);
		assert_false(w.claims.extra_anchor);
		free(p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes),
	        cmocka_unit_test(forms_that_pass),
	        cmocka_unit_test(claims_are_what_the_document_says),
	        cmocka_unit_test(each_check_alone),
	        cmocka_unit_test(edges),
	        cmocka_unit_test(times_can_not_wrap),
	        cmocka_unit_test(debug_can_be_allowed),
	        cmocka_unit_test(report_data_is_64_bytes),
	        cmocka_unit_test(only_a_trusted_root),
	        cmocka_unit_test(no_bit_can_be_flipped),
	        cmocka_unit_test(no_part_can_be_missing),
	        cmocka_unit_test(too_long),
	        cmocka_unit_test(a_person_can_read_a_document),
	        cmocka_unit_test(real_documents),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
