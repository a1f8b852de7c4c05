/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm CCA: every check tripped alone, on tokens of a platform made here, and the tokens of the
 * vector set. The latter are skipped, loudly, where the set is not there.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "core/cbor.h"
#include "attest/cca.h"
#include "attester/sim_cca.h"
#include "core/file.h"

struct world {
	struct sim_cca p;
	struct buf cpak, token;
	struct attest_input in;
	struct claims claims;
	struct checks checks;
};

/* Keys are made once: each test starts from a copy of the same platform. */
static struct sim_cca platform;
static EVP_PKEY *p256, *p521;

static int set_up(void **state)
{
	(void)state;
	p256 = EVP_EC_gen("P-256");
	p521 = EVP_EC_gen("P-521");
	return sim_cca_begin(&platform) || !p256 || !p521;
}

static int tear_down(void **state)
{
	(void)state;
	sim_cca_free(&platform);
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p521);
	return 0;
}

static void begin(struct world *w)
{
	*w = (struct world){
	        .p = platform, .cpak = buf_make(4096), .token = buf_make(CCA_TOKEN_MAX + 4096)};
}

static void end(struct world *w)
{
	buf_free(&w->cpak);
	buf_free(&w->token);
}

static void put_spki(struct buf *out, EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	assert_true(n > 0);
	buf_reset(out);
	buf_put(out, der, (size_t)n);
	OPENSSL_free(der);
}

static void finish(struct world *w)
{
	put_spki(&w->cpak, w->p.cpak);
	assert_int_equal(sim_cca_token(&w->p, NULL, &w->token), 0);
	w->in = (struct attest_input){.type = TEE_CCA,
	                              .evidence = buf_view(&w->token),
	                              .at = 1750000000,
	                              .anchors = {buf_view(&w->cpak)},
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
	static const char *const order[] = {
	        "evidence.type",       "cca.format",  "cca.platform-key", "cca.platform-signature",
	        "cca.realm-signature", "cca.binding", "cca.profile",      "cca.lifecycle"};
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
	assert_int_equal(w.claims.tee, TEE_CCA);
	end(&w);
}

static void forms_that_pass(void **state)
{
	static const uint8_t more[] = {0x19, 0x01, 0x00, 0x58, 0x21, 0x01};
	struct world w;
	(void)state;

	for (int form = 0; form < 7; form++) {
		struct buf extra = buf_make(64);

		begin(&w);
		if (form & 1)
			w.p.tag = CCA_TAG_LEGACY;
		if (form >= 2)
			w.p.platform_profile = "http://arm.com/CCA-SSD/1.0.0";
		if (form == 2)
			w.p.realm_profile = "tag:arm.com,2023:realm#1.0.0";
		if (form >= 3)
			w.p.realm_profile = NULL;
		if (form == 4) {
			w.p.rak_hash = "sha-512";
			w.p.realm_hash = "sha-512";
			w.p.digest_n = 64;
		}
		if (form == 5)
			w.p.rak_hash = "sha-384";
		if (form == 6) {
			/* A realm's own instance id and memory encryption policy. */
			buf_put(&extra, more, sizeof(more));
			for (int i = 0; i < 32; i++)
				buf_u8(&extra, 7);
			w.p.realm_extra = buf_view(&extra);
		}
		w.p.lifecycle = 0x30ff;
		finish(&w);
		w.in.type = TEE_NONE;
		judge(&w);
		expect_pass(&w.checks);
		end(&w);
		buf_free(&extra);
	}
}

static void every_algorithm(void **state)
{
	static const enum cose_alg algs[] = {COSE_ES256, COSE_ES384, COSE_ES512};
	struct world w;
	(void)state;

	for (int i = 0; i < 3; i++) {
		EVP_PKEY *key = i == 0 ? p256 : i == 1 ? platform.cpak : p521;

		begin(&w);
		w.p.cpak = w.p.rak = key;
		w.p.platform_cose.alg = w.p.realm_cose.alg = algs[i];
		finish(&w);
		judge(&w);
		expect_pass(&w.checks);
		end(&w);
	}
}

static void claims_are_what_the_token_says(void **state)
{
	static const struct {
		const char *name;
		enum register_role role;
		size_t n;
	} registers[] = {
	        {"rim", REGISTER_CODE, 64},         {"rem0", REGISTER_CODE, 64},
	        {"rem1", REGISTER_CODE, 64},        {"rem2", REGISTER_CODE, 64},
	        {"rem3", REGISTER_CODE, 64},        {"rpv", REGISTER_CONFIG, 64},
	        {"platform-sw", REGISTER_CODE, 32}, {"platform-config", REGISTER_CONFIG, 32}};
	struct buf components = buf_make(4096);
	uint8_t hash[32];
	struct world w;
	(void)state;

	begin(&w);
	w.p.digest_n = 64;
	w.p.config = bytes_str("configuration");
	memset(w.p.challenge, 0x5a, sizeof(w.p.challenge));
	memset(w.p.rem[2], 2, sizeof(w.p.rem[2]));
	finish(&w);
	w.in.check_report_data = true;
	memset(w.in.report_data, 0x5a, sizeof(w.in.report_data));
	judge(&w);
	expect_pass(&w.checks);
	assert_memory_equal(w.claims.report_data, w.p.challenge, 64);
	assert_int_equal(w.claims.valid_until, VERDICT_FOREVER);
	assert_true(w.claims.extra_anchor);
	assert_false(w.claims.debug);
	assert_int_equal(w.claims.tcb_n, 0);
	assert_int_equal(w.claims.chip_id_len, CCA_INSTANCE_ID_LEN);
	assert_memory_equal(w.claims.chip_id, w.p.instance_id, CCA_INSTANCE_ID_LEN);
	assert_int_equal(w.claims.measurements.n, sizeof(registers) / sizeof(registers[0]));
	for (uint32_t i = 0; i < w.claims.measurements.n; i++) {
		assert_string_equal(w.claims.measurements.v[i].name, registers[i].name);
		assert_int_equal(w.claims.measurements.v[i].role, registers[i].role);
		assert_int_equal(w.claims.measurements.v[i].len, registers[i].n);
	}
	assert_memory_equal(w.claims.measurements.v[0].value, w.p.rim, 64);
	assert_memory_equal(w.claims.measurements.v[3].value, w.p.rem[2], 64);
	sim_cca_components(&w.p, &components);
	EVP_Digest(components.p, components.n, hash, NULL, EVP_sha256(), NULL);
	assert_memory_equal(w.claims.measurements.v[6].value, hash, 32);
	EVP_Digest("configuration", 13, hash, NULL, EVP_sha256(), NULL);
	assert_memory_equal(w.claims.measurements.v[7].value, hash, 32);
	buf_free(&components);
	end(&w);
}

static void no_configuration_is_no_register(void **state)
{
	static const uint8_t zero[4];
	struct world w;
	(void)state;

	for (int i = 0; i < 2; i++) {
		begin(&w);
		w.p.config = i ? BYTES_OF(zero) : BYTES_NONE;
		finish(&w);
		judge(&w);
		expect_pass(&w.checks);
		assert_null(measurement_find(&w.claims.measurements, "platform-config"));
		end(&w);
	}
}

/* ------------------------------------------------------------ each check, alone */

static void another_tag(struct world *w)
{
	w->p.tag = 400;
}

static void another_format(struct world *w)
{
	w->p.content_format = 61;
}

static void untagged_platform(struct world *w)
{
	w->p.platform_cose.tagged = false;
}

static void untagged_realm(struct world *w)
{
	w->p.realm_cose.tagged = false;
}

static void unprotected(struct world *w)
{
	static const uint8_t kid[] = {0xa1, 0x04, 0x41, 'k'};

	w->p.realm_cose.unprotected = BYTES_OF(kid);
}

static void alg_not_signed(struct world *w)
{
	static const uint8_t alg[] = {0xa1, 0x01, 0x38, 0x22}, empty[] = {0xa0};

	w->p.platform_cose.protected_header = BYTES_OF(empty);
	w->p.platform_cose.unprotected = BYTES_OF(alg);
}

static void unknown_platform_claim(struct world *w)
{
	static const uint8_t pair[] = {0x19, 0x09, 0x99, 0xf5};

	w->p.platform_extra = BYTES_OF(pair);
}

static void unknown_realm_claim(struct world *w)
{
	static const uint8_t pair[] = {0x61, 'x', 0x01};

	w->p.realm_extra = BYTES_OF(pair);
}

static void a_claim_twice(struct world *w)
{
	static const uint8_t pair[] = {0x19, 0x09, 0x5b, 0x19, 0x30, 0x00};

	w->p.platform_extra = BYTES_OF(pair);
}

static void bad_mec_policy(struct world *w)
{
	static const uint8_t pair[] = {0x19, 0xac, 0xd3, 0x02};

	w->p.realm_extra = BYTES_OF(pair);
}

static void lifecycle_of_17_bits(struct world *w)
{
	w->p.lifecycle = 0x10000 | 0x3000;
}

static void odd_digest(struct world *w)
{
	w->p.digest_n = 33;
}

static void no_components(struct world *w)
{
	w->p.components = 0;
}

static void many_components(struct world *w)
{
	w->p.components = CCA_COMPONENTS_MAX + 1;
}

static void another_ueid(struct world *w)
{
	w->p.instance_id[0] = 2;
}

static void unknown_hash(struct world *w)
{
	w->p.hash = "sha-1";
}

static void unknown_realm_hash(struct world *w)
{
	w->p.realm_hash = "SHA-256";
}

static void short_challenge(struct world *w)
{
	w->p.platform_challenge = bytes_str("short");
}

static void forged_platform(struct world *w)
{
	w->p.platform_signer = w->p.rak;
}

static void forged_realm(struct world *w)
{
	w->p.realm_signer = w->p.cpak;
}

/* ES256 with the 64 bytes of a P-384 key's half can't be: the key decides nothing. */
static void realm_alg_of_another_curve(struct world *w)
{
	w->p.realm_cose.alg = COSE_ES256;
	w->p.realm_signer = p256;
}

static void spliced(struct world *w)
{
	static const uint8_t hash[32] = {1};

	w->p.platform_challenge = BYTES_OF(hash);
}

static void binding_of_another_length(struct world *w)
{
	static const uint8_t hash[64] = {1};

	w->p.platform_challenge = BYTES_OF(hash);
}

static void platform_profile(struct world *w)
{
	w->p.platform_profile = "tag:arm.com,2023:cca_platform#2.0.0";
}

static void realm_profile(struct world *w)
{
	w->p.realm_profile = "tag:arm.com,2026:realm#3.0.0";
}

static void bare_key_with_a_profile(struct world *w)
{
	w->p.raw_rak = true;
}

static void lifecycle_unknown(struct world *w)
{
	w->p.lifecycle = 0;
}

static void lifecycle_test(struct world *w)
{
	w->p.lifecycle = 0x1000;
}

static void lifecycle_provisioning(struct world *w)
{
	w->p.lifecycle = 0x2fff;
}

static void lifecycle_debug(struct world *w)
{
	w->p.lifecycle = 0x4000;
}

static void lifecycle_recoverable(struct world *w)
{
	w->p.lifecycle = 0x50ff;
}

static void lifecycle_decommissioned(struct world *w)
{
	w->p.lifecycle = 0x6000;
}

static void lifecycle_beyond(struct world *w)
{
	w->p.lifecycle = 0xffff;
}

static void each_check_alone(void **state)
{
	static const struct {
		const char *what;
		void (*bend)(struct world *w);
		const char *id;
	} bends[] = {
	        {"another tag", another_tag, "cca.format"},
	        {"another content format", another_format, "cca.format"},
	        {"a platform token without its tag", untagged_platform, "cca.format"},
	        {"a realm token without its tag", untagged_realm, "cca.format"},
	        {"a header that is not signed", unprotected, "cca.format"},
	        {"an algorithm that is not signed", alg_not_signed, "cca.format"},
	        {"an unknown claim of the platform", unknown_platform_claim, "cca.format"},
	        {"an unknown claim of the realm", unknown_realm_claim, "cca.format"},
	        {"a claim twice", a_claim_twice, "cca.format"},
	        {"an unknown memory encryption policy", bad_mec_policy, "cca.format"},
	        {"a lifecycle of 17 bits", lifecycle_of_17_bits, "cca.format"},
	        {"a digest of no hash", odd_digest, "cca.format"},
	        {"no components", no_components, "cca.format"},
	        {"too many components", many_components, "cca.format"},
	        {"an instance id of another kind", another_ueid, "cca.format"},
	        {"an unknown hash", unknown_hash, "cca.format"},
	        {"an unknown hash of the realm", unknown_realm_hash, "cca.format"},
	        {"a short challenge", short_challenge, "cca.format"},
	        {"a forged platform token", forged_platform, "cca.platform-signature"},
	        {"a forged realm token", forged_realm, "cca.realm-signature"},
	        {"an algorithm of another curve", realm_alg_of_another_curve,
	         "cca.realm-signature"},
	        {"a realm of another platform", spliced, "cca.binding"},
	        {"a challenge of another length", binding_of_another_length, "cca.binding"},
	        {"another profile", platform_profile, "cca.profile"},
	        {"another profile of the realm", realm_profile, "cca.profile"},
	        {"a bare key with a profile", bare_key_with_a_profile, "cca.profile"},
	        {"unknown", lifecycle_unknown, "cca.lifecycle"},
	        {"test", lifecycle_test, "cca.lifecycle"},
	        {"provisioning", lifecycle_provisioning, "cca.lifecycle"},
	        {"debug", lifecycle_debug, "cca.lifecycle"},
	        {"recoverable debug", lifecycle_recoverable, "cca.lifecycle"},
	        {"decommissioned", lifecycle_decommissioned, "cca.lifecycle"},
	        {"no such lifecycle", lifecycle_beyond, "cca.lifecycle"},
	};
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

static void each_claim_is_needed(void **state)
{
	static const enum cca_claim of_platform[] = {
	        CCA_PROFILE,    CCA_CHALLENGE, CCA_INSTANCE_ID, CCA_LIFECYCLE,
	        CCA_COMPONENTS, CCA_CONFIG,    CCA_HASH,        CCA_IMPLEMENTATION_ID};
	static const enum cca_claim of_realm[] = {CCA_CHALLENGE, CCA_RPV, CCA_REALM_HASH, CCA_RAK,
	                                          CCA_RIM,       CCA_REM, CCA_RAK_HASH};
	struct world w;
	(void)state;

	for (size_t i = 0; i < sizeof(of_platform) / sizeof(of_platform[0]); i++) {
		begin(&w);
		w.p.platform_without = of_platform[i];
		finish(&w);
		judge(&w);
		expect_only(&w.checks, "cca.format", CHECK_FAIL);
		end(&w);
	}
	for (size_t i = 0; i < sizeof(of_realm) / sizeof(of_realm[0]); i++) {
		begin(&w);
		w.p.realm_without = of_realm[i];
		finish(&w);
		judge(&w);
		expect_only(&w.checks, "cca.format", CHECK_FAIL);
		end(&w);
	}
	begin(&w);
	w.p.platform_without = CCA_SERVICE;
	finish(&w);
	judge(&w);
	expect_pass(&w.checks);
	end(&w);
	/* Without a profile it is a legacy realm, whose key has another form. */
	begin(&w);
	w.p.realm_without = CCA_PROFILE;
	finish(&w);
	judge(&w);
	expect_only(&w.checks, "cca.profile", CHECK_FAIL);
	end(&w);
}

static void debug_can_be_allowed(void **state)
{
	static const uint64_t lifecycles[] = {0x4000, 0x40ff, 0x5000, 0x50ff,
	                                      0x0000, 0x1000, 0x6000};
	struct world w;
	(void)state;

	for (size_t i = 0; i < sizeof(lifecycles) / sizeof(lifecycles[0]); i++) {
		begin(&w);
		w.p.lifecycle = lifecycles[i];
		finish(&w);
		w.in.allow_debug = true;
		judge(&w);
		if (i < 4)
			expect_pass(&w.checks);
		else
			expect_only(&w.checks, "cca.lifecycle", CHECK_FAIL);
		assert_int_equal(w.claims.debug, i < 4);
		end(&w);
	}
}

static void report_data_is_the_challenge(void **state)
{
	struct world w;
	(void)state;

	good(&w);
	w.in.check_report_data = true;
	judge(&w);
	expect_pass(&w.checks);
	w.in.report_data[63] = 1;
	judge(&w);
	expect_only(&w.checks, "cca.report-data", CHECK_FAIL);
	end(&w);
}

static void certificate_of(EVP_PKEY *key, struct buf *out)
{
	const struct cert_spec spec = {.cn = "CPAK",
	                               .issuer = "nobody",
	                               .key = key,
	                               .signer = p256,
	                               .begin = SIM_BEGIN,
	                               .end = SIM_BEGIN + 1};
	X509 *cert = cert_begin(&spec);
	struct der der;

	cert_finish(cert, &spec);
	cert_der(cert, &der);
	X509_free(cert);
	buf_reset(out);
	buf_bytes(out, der_view(&der));
}

static void anchors_are_told_apart(void **state)
{
	struct buf other = buf_make(4096), rsa = buf_make(4096), small = buf_make(4096);
	EVP_PKEY *rsa_key = EVP_RSA_gen(2048);
	char pem[1024];
	size_t n;
	struct world w;
	(void)state;

	good(&w);
	put_spki(&other, w.p.rak);
	put_spki(&rsa, rsa_key);
	put_spki(&small, p256);

	w.in.anchors_n = 0; /* nobody said whose it is */
	judge(&w);
	expect_only(&w.checks, "cca.platform-key", CHECK_UNAVAILABLE);
	assert_false(w.claims.extra_anchor);

	w.in.anchors[0] = buf_view(&rsa); /* of other platforms only */
	w.in.anchors[1] = buf_view(&small);
	w.in.anchors_n = 2;
	judge(&w);
	expect_only(&w.checks, "cca.platform-key", CHECK_UNAVAILABLE);

	w.in.anchors[2] = buf_view(&other); /* one that might be, and is not */
	w.in.anchors_n = 3;
	judge(&w);
	expect_only(&w.checks, "cca.platform-signature", CHECK_FAIL);
	assert_false(w.claims.extra_anchor);

	n = pem_of("PUBLIC KEY", buf_view(&w.cpak), pem, sizeof(pem));
	w.in.anchors[3] = (struct bytes){(uint8_t *)pem, n}; /* and the one */
	w.in.anchors_n = 4;
	judge(&w);
	expect_pass(&w.checks);

	w.in.anchors[1] = bytes_str("junk");
	judge(&w);
	expect_only(&w.checks, "cca.platform-key", CHECK_FAIL);

	/* A certificate stands for its key, whoever signed it and when. */
	certificate_of(w.p.cpak, &other);
	w.in.anchors[0] = buf_view(&other);
	w.in.anchors_n = 1;
	judge(&w);
	expect_pass(&w.checks);
	EVP_PKEY_free(rsa_key);
	buf_free(&other);
	buf_free(&rsa);
	buf_free(&small);
	end(&w);
}

/* ---------------------------------------------------------- nothing can be altered */

/* True if these are still two tokens, and that in which this byte is, by the key that signed it. */
static bool still_signed(const struct world *w, size_t byte)
{
	struct cca_token t;
	const char *why;

	if (attest_cca_parse(buf_view(&w->token), &t, &why) != 0)
		return false;
	/* The realm's is behind the platform's. */
	return w->token.p + byte < t.realm.protected_header.p
	               ? cose_sign1_verify(&t.platform, w->p.cpak)
	               : cose_sign1_verify(&t.realm, w->p.rak);
}

static void no_bit_can_be_flipped(void **state)
{
	struct world w;
	(void)state;

	good(&w);
	expect_pass(&w.checks);
	assert_true(still_signed(&w, 0) && still_signed(&w, w.token.n - 1));
	/* The whole appraisal, which takes longer, with one of every byte. */
	for (size_t i = 0; i < 8 * w.token.n; i++) {
		w.token.p[i / 8] ^= (uint8_t)(1u << i % 8);
		if (still_signed(&w, i / 8))
			fail_msg("bit %zu", i);
		if (i % 8 == i / 8 % 8) {
			judge(&w);
			assert_int_not_equal(checks_overall(&w.checks), CHECK_PASS);
		}
		w.token.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	end(&w);
}

static void no_part_can_be_missing(void **state)
{
	struct world w;
	(void)state;

	for (int form = 0; form < 2; form++) {
		begin(&w);
		w.p.tag = form ? CCA_TAG_LEGACY : CCA_TAG_CMW;
		finish(&w);
		for (size_t n = 1; n < w.token.n; n++) {
			/* On the heap at its exact size, so that a read behind the end is seen. */
			uint8_t *exact = malloc(n);

			memcpy(exact, w.token.p, n);
			w.in.evidence = (struct bytes){exact, n};
			judge(&w);
			expect_only(&w.checks, "cca.format", CHECK_FAIL);
			free(exact);
		}
		buf_u8(&w.token, 0);
		w.in.evidence = buf_view(&w.token);
		judge(&w);
		expect_only(&w.checks, "cca.format", CHECK_FAIL);
		end(&w);
	}
}

static void keys_are_points_of_their_curve(void **state)
{
	struct buf key = buf_make(256), point = buf_make(256);
	EVP_PKEY *got;
	(void)state;

	for (int i = 0; i < 3; i++) {
		EVP_PKEY *is = i == 0 ? p256 : i == 1 ? platform.rak : p521;
		const enum cose_alg alg = i == 0 ? COSE_ES256 : i == 1 ? COSE_ES384 : COSE_ES512;

		buf_reset(&key);
		buf_reset(&point);
		assert_int_equal(sim_cose_key(is, &key), 0);
		assert_int_equal(sim_cose_point(is, &point), 0);
		got = cose_key_ec2(buf_view(&key));
		assert_int_equal(EVP_PKEY_eq(got, is), 1);
		assert_true(cose_key_fits(got, alg));
		EVP_PKEY_free(got);
		got = cose_key_point(alg, buf_view(&point));
		assert_int_equal(EVP_PKEY_eq(got, is), 1);
		EVP_PKEY_free(got);
		/* Off the curve, of another curve, cut. */
		assert_null(cose_key_point(i == 0 ? COSE_ES384 : COSE_ES256, buf_view(&point)));
		point.p[point.n - 1] ^= 1;
		assert_null(cose_key_point(alg, buf_view(&point)));
		for (size_t n = 0; n < key.n; n++)
			assert_null(cose_key_ec2((struct bytes){key.p, n}));
		for (size_t b = 0; b < key.n * 8; b++) {
			key.p[b / 8] ^= (uint8_t)(1u << b % 8);
			assert_null(cose_key_ec2(buf_view(&key)));
			key.p[b / 8] ^= (uint8_t)(1u << b % 8);
		}
		buf_u8(&key, 0);
		assert_null(cose_key_ec2(buf_view(&key)));
	}
	assert_null(cose_key_point(COSE_ALG_NONE, buf_view(&point)));
	buf_free(&key);
	buf_free(&point);
}

static void a_person_can_read_a_token(void **state)
{
	struct buf page = buf_make(1 << 16);
	struct world w;
	(void)state;

	good(&w);
	assert_int_equal(attest_explain(TEE_NONE, w.in.evidence, &page), 0);
	buf_u8(&page, 0);
	assert_non_null(strstr((char *)page.p, "RMM"));
	assert_non_null(strstr((char *)page.p, "secured"));
	assert_non_null(strstr((char *)page.p, "tag:arm.com,2024:realm#2.0.0"));
	assert_non_null(strstr((char *)page.p, "REM3"));
	for (size_t n = 0; n < w.token.n; n++) {
		buf_reset(&page);
		assert_int_equal(attest_explain(TEE_CCA, (struct bytes){w.token.p, n}, &page),
		                 -EINVAL);
	}
	buf_free(&page);
	end(&w);
}

/* --------------------------------------------------------------- tokens of others */

static bool load(const char *name, uint8_t **p, size_t *n)
{
	const char *root = getenv("KEYGATE_VECTORS");
	char path[600];

	snprintf(path, sizeof(path), "%s/attestation/cca/%s", root ? root : "../shared/vectors",
	         name);
	if (file_read(path, 1 << 20, p, n) == 0)
		return true;
	printf("SKIPPED: no %s\n", path);
	return false;
}

static void tokens_of_others(void **state)
{
	static const struct {
		const char *token, *key, *refused; /* by which check; NULL: it passes */
	} rows[] = {
	        {"tfm-907-legacyprofile.token.cbor", "tfm-907-legacyprofile.cpak.spki.der", NULL},
	        {"tfm-907-realm2.token.cbor", "tfm-907-realm2.cpak.spki.der", NULL},
	        {"tfrmm-399-legacy.token.cbor", "tfrmm-399-legacy.cpak.spki.der", NULL},
	        {"trustee-399-sha512.token.cbor", "trustee-399-sha512.cpak.spki.der", NULL},
	        {"tfm-907-realm2.token.cbor", "neg-wrong.cpak.spki.der", "cca.platform-signature"},
	        {"neg-rimflip.token.cbor", "tfm-907-realm2.cpak.spki.der", "cca.realm-signature"},
	        {"neg-spliced-realm.token.cbor", "trustee-399-sha512.cpak.spki.der", "cca.binding"},
	};
	struct world w = {0};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t *token = NULL, *key = NULL;
		size_t token_n = 0, key_n = 0;

		if (!load(rows[i].token, &token, &token_n) || !load(rows[i].key, &key, &key_n)) {
			free(token);
			skip();
		}
		w.in = (struct attest_input){.evidence = {token, token_n},
		                             .at = 1750000000,
		                             .anchors = {{key, key_n}},
		                             .anchors_n = 1};
		judge(&w);
		print_message("%s\n", rows[i].token);
		if (rows[i].refused)
			expect_only(&w.checks, rows[i].refused, CHECK_FAIL);
		else
			expect_pass(&w.checks);
		free(token);
		free(key);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes),
	        cmocka_unit_test(forms_that_pass),
	        cmocka_unit_test(every_algorithm),
	        cmocka_unit_test(claims_are_what_the_token_says),
	        cmocka_unit_test(no_configuration_is_no_register),
	        cmocka_unit_test(each_check_alone),
	        cmocka_unit_test(each_claim_is_needed),
	        cmocka_unit_test(debug_can_be_allowed),
	        cmocka_unit_test(report_data_is_the_challenge),
	        cmocka_unit_test(anchors_are_told_apart),
	        cmocka_unit_test(no_bit_can_be_flipped),
	        cmocka_unit_test(no_part_can_be_missing),
	        cmocka_unit_test(keys_are_points_of_their_curve),
	        cmocka_unit_test(a_person_can_read_a_token),
	        cmocka_unit_test(tokens_of_others),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
