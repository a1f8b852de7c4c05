/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE_Sign1 as receipts use it: each algorithm with its kind of key and no other, payloads that
 * travel elsewhere, and parameters that only the format knows. What evidence uses is in
 * test_attest_sim_cose.
 */
#include "tests/unit/cose_build.h"

#include <errno.h>

enum { P256, P384, P521, ED25519, RSA2048, RSA3072, RSA1024, RSA_PSS, ED448, KEYS };

static EVP_PKEY *key[KEYS];

static int set_up(void **state)
{
	(void)state;
	key[P256] = EVP_EC_gen("P-256");
	key[P384] = EVP_EC_gen("P-384");
	key[P521] = EVP_EC_gen("P-521");
	key[ED25519] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	key[RSA2048] = EVP_RSA_gen(2048);
	key[RSA3072] = EVP_RSA_gen(3072);
	key[RSA1024] = EVP_RSA_gen(1024);
	key[RSA_PSS] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA-PSS", (size_t)2048);
	key[ED448] = EVP_PKEY_Q_keygen(NULL, NULL, "ED448");
	for (int i = 0; i < KEYS; i++)
		if (!key[i] && i != RSA_PSS)
			return 1;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (int i = 0; i < KEYS; i++)
		EVP_PKEY_free(key[i]);
	return 0;
}

static const struct cose_form plain;

static int read_one(struct bytes message, const struct cose_form *form, struct cose_sign1 *s)
{
	struct reader r = reader_of(message);
	const char *why = NULL;
	int ret = cose_sign1_read(&r, form, s, &why);

	assert_int_equal(why == NULL, ret == 0);
	if (!ret)
		assert_true(rd_done(&r));
	return ret;
}

static bool fits(enum cose_alg alg, int k)
{
	switch (alg) {
	case COSE_ES256:
		return k == P256;
	case COSE_ES384:
		return k == P384;
	case COSE_ES512:
		return k == P521;
	case COSE_EDDSA:
		return k == ED25519;
	default:
		return k == RSA2048 || k == RSA3072;
	}
}

static void each_algorithm_and_its_keys(void **state)
{
	static const struct {
		enum cose_alg alg;
		const char *name;
		int by;
	} rows[] = {
	        {COSE_ES256, "ES256", P256},    {COSE_ES384, "ES384", P384},
	        {COSE_ES512, "ES512", P521},    {COSE_EDDSA, "EdDSA", ED25519},
	        {COSE_PS256, "PS256", RSA2048}, {COSE_PS384, "PS384", RSA3072},
	        {COSE_PS512, "PS512", RSA2048},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct made_cose m = {rows[i].alg, key[rows[i].by],
		                            .payload = bytes_str("payload")};
		struct buf b = buf_make(4096);
		struct cose_sign1 s;

		make_cose(&m, &b);
		assert_int_equal(read_one(buf_view(&b), &plain, &s), 0);
		assert_int_equal(s.alg, rows[i].alg);
		assert_string_equal(cose_alg_name(s.alg), rows[i].name);
		for (int k = 0; k < KEYS; k++) {
			assert_int_equal(key[k] && cose_key_fits(key[k], s.alg), fits(s.alg, k));
			if (key[k])
				assert_int_equal(cose_sign1_verify(&s, key[k]), k == rows[i].by);
		}
		assert_false(cose_key_fits(NULL, s.alg));
		/* Evidence knows ECDSA and nothing else. */
		assert_int_equal(read_one(buf_view(&b), NULL, &s),
		                 rows[i].by <= P521 ? 0 : -EINVAL);
		for (size_t bit = 0; bit < 8 * s.signature.n; bit += 7) {
			struct cose_sign1 bent = s;
			uint8_t sig[512];

			memcpy(sig, s.signature.p, s.signature.n);
			sig[bit / 8] ^= (uint8_t)(1U << bit % 8);
			bent.signature.p = sig;
			assert_false(cose_sign1_verify(&bent, key[rows[i].by]));
		}
		buf_free(&b);
	}
}

/* The key may sign so, and the message does not say so. */
static void other_ways_of_rsa(void **state)
{
	const struct made_cose rows[] = {
	        {COSE_PS256, key[RSA2048], .payload = bytes_str("x")},
	        {COSE_PS256, key[RSA2048], .payload = bytes_str("x"), .pkcs1 = true},
	        {COSE_PS256, key[RSA2048], .payload = bytes_str("x"), .salt = 20},
	        {COSE_PS256, key[RSA2048], .payload = bytes_str("x"), .salt = 48},
	        {COSE_PS384, key[RSA2048], .payload = bytes_str("x"),
	         .protected_header = {(const uint8_t *)"\xa1\x01\x38\x24", 4}},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = buf_make(4096);
		struct cose_sign1 s;

		make_cose(&rows[i], &b);
		assert_int_equal(read_one(buf_view(&b), &plain, &s), 0);
		assert_int_equal(s.alg, COSE_PS256);
		assert_int_equal(cose_sign1_verify(&s, key[RSA2048]), i == 0);
		buf_free(&b);
	}
}

/* No key is made of what is no curve's. */
static void keys_of_no_curve(void **state)
{
	static const uint8_t zero[1] = {4};
	static const uint8_t crv_0[] = {0xa4, 0x01, 0x02, 0x20, 0x00, 0x21, 0x40, 0x22, 0x40};
	(void)state;

	assert_null(cose_key_point(COSE_PS256, BYTES_OF(zero)));
	assert_null(cose_key_point(COSE_EDDSA, BYTES_OF(zero)));
	assert_null(cose_key_ec2(BYTES_OF(crv_0)));
}

static void detached(void **state)
{
	static const struct cose_form away = {.detached = true};
	struct made_cose m = {COSE_ES256, key[P256], .payload = bytes_str("elsewhere"),
	                      .detached = true};
	struct buf b = buf_make(4096);
	struct cose_sign1 s;
	(void)state;

	make_cose(&m, &b);
	assert_int_equal(read_one(buf_view(&b), &plain, &s), -EINVAL);
	assert_int_equal(read_one(buf_view(&b), NULL, &s), -EINVAL);
	assert_int_equal(read_one(buf_view(&b), &away, &s), 0);
	assert_int_equal(s.payload.n, 0);
	assert_false(cose_sign1_verify(&s, key[P256]));
	s.payload = bytes_str("elsewherE");
	assert_false(cose_sign1_verify(&s, key[P256]));
	s.payload = m.payload;
	assert_true(cose_sign1_verify(&s, key[P256]));
	buf_reset(&b);
	m.detached = false;
	make_cose(&m, &b);
	assert_int_equal(read_one(buf_view(&b), &away, &s), -EINVAL);
	buf_free(&b);
}

struct sevens {
	uint64_t in, out;
};

static const char *seven(uint64_t *to, const struct item *label, struct reader *r)
{
	if (!item_is_int(label, 7))
		return "unknown";
	return item_uint(r, to) ? NULL : "not a number";
}

static const char *take_in(void *ctx, const struct item *label, struct reader *r)
{
	return seven(&((struct sevens *)ctx)->in, label, r);
}

static const char *take_out(void *ctx, const struct item *label, struct reader *r)
{
	return seven(&((struct sevens *)ctx)->out, label, r);
}

static void parameters(void **state)
{
	static const struct {
		const char *what, *protected_header, *unprotected;
		bool ok;
		uint64_t in, out;
	} rows[] = {
	        {"none", "a10126", "a0", true, 0, 0},
	        {"one that is signed", "a201260705", "a0", true, 5, 0},
	        {"one that is not", "a10126", "a10706", true, 0, 6},
	        {"in both", "a201260705", "a10706", false, 0, 0},
	        {"key id in both", "a201260441aa", "a10441aa", false, 0, 0},
	        {"twice", "a3012607050705", "a0", false, 0, 0},
	        {"of the wrong kind", "a20126076161", "a0", false, 0, 0},
	        {"another one", "a201260805", "a0", false, 0, 0},
	        {"another one, not signed", "a10126", "a10805", false, 0, 0},
	        {"critical",
	         "a30126028107"
	         "0705",
	         "a0", false, 0, 0},
	        {"a content type that is none", "a2012603f5", "a0", false, 0, 0},
	        {"a key id that is none", "a201260401", "a0", false, 0, 0},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sevens got = {0};
		const struct cose_form form = {false, take_in, take_out, &got};
		const char *const hex[2] = {rows[i].protected_header, rows[i].unprotected};
		uint8_t header[2][32];
		struct made_cose m = {COSE_ES256, key[P256], .payload = bytes_str("x")};
		struct buf b = buf_make(4096);
		struct cose_sign1 s;

		for (int h = 0; h < 2; h++)
			assert_int_equal(
			        hex_decode(bytes_str(hex[h]), header[h], strlen(hex[h]) / 2), 0);
		m.protected_header = (struct bytes){header[0], strlen(hex[0]) / 2};
		m.unprotected = (struct bytes){header[1], strlen(hex[1]) / 2};
		make_cose(&m, &b);
		print_message("%s\n", rows[i].what);
		assert_int_equal(read_one(buf_view(&b), &form, &s), rows[i].ok ? 0 : -EINVAL);
		if (rows[i].ok) {
			assert_int_equal(got.in, rows[i].in);
			assert_int_equal(got.out, rows[i].out);
		}
		buf_free(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_algorithm_and_its_keys),
	        cmocka_unit_test(other_ways_of_rsa),
	        cmocka_unit_test(keys_of_no_curve),
	        cmocka_unit_test(detached),
	        cmocka_unit_test(parameters),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
