/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1: one form, the algorithm from the protected header only, the curve by the algorithm.
 */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "core/cbor.h"
#include "core/cose.h"
#include "attester/sim_cose.h"

static EVP_PKEY *p256, *p384, *p521;

static int set_up(void **state)
{
	(void)state;
	p256 = EVP_EC_gen("P-256");
	p384 = EVP_EC_gen("P-384");
	p521 = EVP_EC_gen("P-521");
	return !p256 || !p384 || !p521;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(p256);
	EVP_PKEY_free(p384);
	EVP_PKEY_free(p521);
	return 0;
}

static void each_algorithm_and_its_curve(void **state)
{
	static const enum cose_alg algs[] = {COSE_ES256, COSE_ES384, COSE_ES512};
	static const char *const names[] = {"ES256", "ES384", "ES512"};
	EVP_PKEY *const keys[] = {p256, p384, p521};
	EVP_PKEY *rsa = EVP_RSA_gen(2048);
	(void)state;

	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++) {
			const struct sim_cose c = {.alg = algs[i], .tagged = k == i};
			struct buf b = buf_make(1024);
			struct cose_sign1 s;
			struct reader r;
			const char *why = NULL;

			/* Signed with the key, whose curve fits or does not. */
			if (sim_cose_sign1(&c, keys[k], bytes_str("payload"), &b)) {
				buf_free(&b); /* its r and s do not fit */
				continue;
			}
			r = reader_of(buf_view(&b));
			assert_int_equal(cose_sign1_read(&r, NULL, &s, &why), 0);
			assert_null(why);
			assert_true(rd_done(&r));
			assert_int_equal(s.alg, algs[i]);
			assert_string_equal(cose_alg_name(s.alg), names[i]);
			assert_int_equal(s.tagged, k == i);
			assert_false(s.has_unprotected);
			assert_true(bytes_equal(s.payload, bytes_str("payload")));
			for (int v = 0; v < 3; v++)
				assert_int_equal(cose_sign1_verify(&s, keys[v]), v == k && k == i);
			assert_false(cose_sign1_verify(&s, rsa));
			buf_free(&b);
		}
	assert_string_equal(cose_alg_name(COSE_ALG_NONE), "none");
	assert_string_equal(cose_alg_name((enum cose_alg)1), "none");
	EVP_PKEY_free(rsa);
}

/* With headers of their own, as encoded. The signature is right in every case. */
static void headers(void **state)
{
	static const struct {
		const char *what, *protected_header, *unprotected;
		bool ok;
	} rows[] = {
	        {"the algorithm", "a1013822", NULL, true},
	        {"a content type", "a201382203190107", NULL, true},
	        {"a content type in words", "a203626372013822", NULL, true},
	        {"a key id", "a201382204426b31", NULL, true},
	        {"an unprotected key id", "a1013822", "a104426b31", true},
	        {"whatever is not protected", "a1013822", "a163666f6f8101", true},
	        {"no algorithm", "a0", NULL, false},
	        {"no map", "80", NULL, false},
	        {"a key id alone", "a104426b31", NULL, false},
	        {"a critical header", "a201382202810a", NULL, false},
	        {"an unknown header", "a2013822182000", NULL, false},
	        {"a header in words", "a2013822617800", NULL, false},
	        {"an unknown algorithm", "a10118ff", NULL, false},
	        {"EdDSA", "a10127", NULL, false},
	        {"RSA", "a1013824", NULL, false},
	        {"an algorithm in words", "a101654553333834", NULL, false},
	        {"an algorithm twice", "a2013822013822", NULL, false},
	        {"a long head", "a101390022", NULL, false},
	        {"an open map", "bf013822ff", NULL, false},
	        {"more behind it", "a101382200", NULL, false},
	        {"cut", "a10138", NULL, false},
	        {"an algorithm that is not protected", "a1013822", "a1013822", false},
	        {"an unprotected array", "a1013822", "80", false},
	        {"an open unprotected map", "a1013822", "bfff", false},
	        {"an unprotected key twice", "a1013822", "a2044161044162", false},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim_cose c = {.alg = COSE_ES384};
		uint8_t header[2][32];
		const char *hex[2] = {rows[i].protected_header, rows[i].unprotected};
		struct buf b = buf_make(1024);
		struct cose_sign1 s;
		struct reader r;
		const char *why = NULL;

		for (int h = 0; h < 2 && hex[h]; h++) {
			size_t n = strlen(hex[h]) / 2;

			assert_int_equal(hex_decode(bytes_str(hex[h]), header[h], n), 0);
			*(h ? &c.unprotected : &c.protected_header) = (struct bytes){header[h], n};
		}
		assert_int_equal(sim_cose_sign1(&c, p384, bytes_str("payload"), &b), 0);
		r = reader_of(buf_view(&b));
		print_message("%s\n", rows[i].what);
		assert_int_equal(cose_sign1_read(&r, NULL, &s, &why), rows[i].ok ? 0 : -EINVAL);
		assert_int_equal(why == NULL, rows[i].ok);
		if (rows[i].ok) {
			assert_int_equal(s.has_unprotected, rows[i].unprotected != NULL);
			assert_true(cose_sign1_verify(&s, p384));
		}
		buf_free(&b);
	}
}

static void messages(void **state)
{
	static const struct {
		const char *what;
		uint8_t head[8];
		size_t n;
		bool payload, signature, more;
	} rows[] = {
	        {"passes", {0x84}, 1, true, true, false},
	        {"the tag", {0xd2, 0x84}, 2, true, true, false},
	        {"another tag", {0xd1, 0x84}, 2, true, true, false},
	        {"the tag twice", {0xd2, 0xd2, 0x84}, 3, true, true, false},
	        {"a long tag", {0xd8, 0x12, 0x84}, 3, true, true, false},
	        {"three items", {0x83}, 1, true, false, false},
	        {"five items", {0x85}, 1, true, true, true},
	        {"a long array", {0x98, 0x04}, 2, true, true, false},
	        {"an open array", {0x9f}, 1, true, true, false},
	        {"a map", {0xa2}, 1, true, true, false},
	        {"no payload", {0x84}, 1, false, true, false},
	};
	static const uint8_t protected_header[] = {0xa1, 0x01, 0x38, 0x22};
	uint8_t sig[96] = {0};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = buf_make(1024);
		struct cose_sign1 s;
		struct reader r;
		const char *why = NULL;

		buf_put(&b, rows[i].head, rows[i].n);
		item_put_bytes(&b, BYTES_OF(protected_header));
		item_put_map(&b, 0);
		if (rows[i].payload)
			item_put_bytes(&b, bytes_str("payload"));
		else
			item_put_null(&b);
		if (rows[i].signature)
			item_put_bytes(&b, BYTES_OF(sig));
		if (rows[i].more)
			item_put_null(&b);
		r = reader_of(buf_view(&b));
		print_message("%s\n", rows[i].what);
		assert_int_equal(cose_sign1_read(&r, NULL, &s, &why), i < 2 ? 0 : -EINVAL);
		/* Zero is no signature. */
		if (i < 2)
			assert_false(cose_sign1_verify(&s, p384));
		buf_free(&b);
	}
	/* Signatures of every other length. */
	for (size_t n = 0; n < 140; n++) {
		static const uint8_t zero[140];
		struct buf b = buf_make(1024);
		struct cose_sign1 s;
		struct reader r;
		const char *why = NULL;

		item_put_array(&b, 4);
		item_put_bytes(&b, BYTES_OF(protected_header));
		item_put_map(&b, 0);
		item_put_bytes(&b, bytes_str("payload"));
		item_put_bytes(&b, (struct bytes){zero, n});
		r = reader_of(buf_view(&b));
		assert_int_equal(cose_sign1_read(&r, NULL, &s, &why), n == 96 ? 0 : -EINVAL);
		buf_free(&b);
	}
}

/* An empty payload is none: nobody signs nothing. */
static void an_empty_payload(void **state)
{
	const struct sim_cose c = {.alg = COSE_ES256};
	struct buf b = buf_make(256);
	struct cose_sign1 s;
	struct reader r;
	const char *why = NULL;
	(void)state;

	assert_int_equal(sim_cose_sign1(&c, p256, BYTES_NONE, &b), 0);
	r = reader_of(buf_view(&b));
	assert_int_equal(cose_sign1_read(&r, NULL, &s, &why), -EINVAL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_algorithm_and_its_curve),
	        cmocka_unit_test(headers),
	        cmocka_unit_test(messages),
	        cmocka_unit_test(an_empty_payload),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
