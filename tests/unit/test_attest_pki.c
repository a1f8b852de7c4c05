/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may enter the bag of certificates: keys that vendors use. Whoever sends certificates must
 * not choose how long looking at them takes. What was parsed before serves again, revocation lists
 * are judged by each of their rules.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "attest/pki.h"

static EVP_PKEY *rsa_with_exponent(unsigned bits)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_id(EVP_PKEY_RSA, NULL);
	EVP_PKEY *key = NULL;
	BIGNUM *e = BN_new();

	assert_true(ctx && e && BN_set_bit(e, (int)bits - 1) && BN_set_bit(e, 0));
	assert_int_equal(EVP_PKEY_keygen_init(ctx), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(ctx, 2048), 1);
	assert_int_equal(EVP_PKEY_CTX_set1_rsa_keygen_pubexp(ctx, e), 1);
	assert_int_equal(EVP_PKEY_keygen(ctx, &key), 1);
	BN_free(e);
	EVP_PKEY_CTX_free(ctx);
	return key;
}

/* How many certificates a bag holds after one with this key was added. Frees the key. */
static uint32_t kept(EVP_PKEY *key)
{
	struct pki_bag bag = {0};
	X509 *x = X509_new();
	uint8_t *der = NULL;
	uint32_t n;
	int len;

	assert_true(x && key);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_true(ASN1_TIME_set(X509_getm_notBefore(x), 0) &&
	            ASN1_TIME_set(X509_getm_notAfter(x), 1));
	assert_true(X509_sign(x, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
	len = i2d_X509(x, &der);
	assert_true(len > 0);
	assert_int_equal(pki_bag_add(&bag, (struct bytes){der, (size_t)len}), 0);
	n = bag.certs;
	pki_bag_free(&bag);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return n;
}

static void test_keys_that_vendors_use_are_kept(void **state)
{
	(void)state;
	assert_int_equal(kept(rsa_with_exponent(17)), 1);
	assert_int_equal(kept(rsa_with_exponent(32)), 1);
	assert_int_equal(kept(EVP_EC_gen("P-256")), 1);
	assert_int_equal(kept(EVP_EC_gen("P-384")), 1);
}

static void test_costly_and_odd_keys_are_not(void **state)
{
	(void)state;
	assert_int_equal(kept(rsa_with_exponent(64)), 0);
	assert_int_equal(kept(EVP_EC_gen("sect571r1")), 0);
	assert_int_equal(kept(EVP_PKEY_Q_keygen(NULL, NULL, "ED25519")), 0);
}

/* --------------------------------------------------------------------- cache */

/* A self-signed certificate that may sign lists, of this serial number. */
static X509 *issuer(EVP_PKEY *key, long serial, const char *usage)
{
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, NID_key_usage, usage);

	assert_true(X509_set_version(x, 2));
	assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"CA", -1,
	                                       -1, 0));
	assert_true(X509_set_issuer_name(x, name));
	assert_true(ASN1_INTEGER_set(X509_get_serialNumber(x), serial));
	assert_true(X509_set_pubkey(x, key) && X509_add_ext(x, ext, -1));
	assert_true(ASN1_TIME_set(X509_getm_notBefore(x), 0) &&
	            ASN1_TIME_set(X509_getm_notAfter(x), 1000));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	X509_EXTENSION_free(ext);
	return x;
}

static void add_der(struct pki_bag *bag, X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);

	assert_true(n > 0);
	assert_int_equal(pki_bag_add(bag, (struct bytes){der, (size_t)n}), 0);
	OPENSSL_free(der);
}

static void test_what_was_parsed_serves_again(void **state)
{
	struct pki_cache *cache = pki_cache_new();
	struct pki_bag first = {.cache = cache}, second = {.cache = cache}, other = {0};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = issuer(key, 1, "keyCertSign,cRLSign");

	(void)state;
	add_der(&first, x);
	add_der(&second, x);
	add_der(&other, x);
	assert_ptr_equal(first.cert[0], second.cert[0]);
	assert_ptr_not_equal(first.cert[0], other.cert[0]);
	pki_bag_free(&first);
	/* It outlives the bag, and the bag outlives the cache. */
	pki_cache_free(cache);
	assert_true(pki_issued(second.cert[0], other.cert[0]));
	pki_bag_free(&second);
	pki_bag_free(&other);
	X509_free(x);
	EVP_PKEY_free(key);
}

static void test_the_oldest_goes(void **state)
{
	struct pki_cache *cache = pki_cache_new();
	struct pki_bag held = {.cache = cache};
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *first = issuer(key, 1, "cRLSign");

	(void)state;
	add_der(&held, first);
	for (long i = 0; i < 300; i++) {
		struct pki_bag bag = {.cache = cache};
		X509 *x = issuer(key, 2 + i, "cRLSign");

		add_der(&bag, x);
		pki_bag_free(&bag);
		X509_free(x);
	}
	add_der(&held, first);
	assert_ptr_not_equal(held.cert[0], held.cert[1]);
	pki_bag_free(&held);
	pki_cache_free(cache);
	X509_free(first);
	EVP_PKEY_free(key);
}

/* ----------------------------------------------------------------- revocation */

struct list {
	int64_t from, to;
	long serial; /* 0: no entry */
	int nid;     /* an extension, or 0 ... */
	bool critical;
	uint8_t value[5]; /* ... and its DER */
	const char *cn;
};

static X509_CRL *list_of(const struct list *l, EVP_PKEY *key)
{
	X509_CRL *crl = X509_CRL_new();
	X509_NAME *name = X509_NAME_new();
	ASN1_TIME *t = ASN1_TIME_new();

	assert_true(X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)l->cn, -1,
	                                       -1, 0));
	assert_true(X509_CRL_set_version(crl, 1) && X509_CRL_set_issuer_name(crl, name));
	assert_true(ASN1_TIME_set(t, l->from) && X509_CRL_set1_lastUpdate(crl, t));
	if (l->to)
		assert_true(ASN1_TIME_set(t, l->to) && X509_CRL_set1_nextUpdate(crl, t));
	if (l->serial) {
		X509_REVOKED *entry = X509_REVOKED_new();
		ASN1_INTEGER *n = ASN1_INTEGER_new();

		assert_true(ASN1_INTEGER_set(n, l->serial) &&
		            X509_REVOKED_set_serialNumber(entry, n));
		assert_true(ASN1_TIME_set(t, l->from) && X509_REVOKED_set_revocationDate(entry, t));
		assert_true(X509_CRL_add0_revoked(crl, entry));
		ASN1_INTEGER_free(n);
	}
	if (l->nid) {
		ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
		X509_EXTENSION *ext;

		assert_true(ASN1_OCTET_STRING_set(value, l->value, l->value[1] + 2));
		ext = X509_EXTENSION_create_by_NID(NULL, l->nid, l->critical, value);
		assert_true(ext && X509_CRL_add_ext(crl, ext, -1));
		ASN1_OCTET_STRING_free(value);
		X509_EXTENSION_free(ext);
	}
	assert_true(X509_CRL_sort(crl) && X509_CRL_sign(crl, key, EVP_sha256()) > 0);
	X509_NAME_free(name);
	ASN1_TIME_free(t);
	return crl;
}

static void test_lists_are_judged(void **state)
{
	static const struct {
		struct list list;
		int64_t at;
		bool other_key;
		int want;
	} cases[] = {
	        {{100, 200, 0, 0, false, {0}, "CA"}, 100, false, X509_V_OK},
	        {{100, 200, 0, 0, false, {0}, "CA"}, 200, false, X509_V_OK},
	        {{100, 200, 8, 0, false, {0}, "CA"}, 150, false, X509_V_OK},
	        {{100, 200, 7, 0, false, {0}, "CA"}, 150, false, X509_V_ERR_CERT_REVOKED},
	        {{100, 200, 0, 0, false, {0}, "CA"}, 99, false, X509_V_ERR_CRL_NOT_YET_VALID},
	        {{100, 200, 0, 0, false, {0}, "CA"}, 201, false, X509_V_ERR_CRL_HAS_EXPIRED},
	        {{100, 0, 0, 0, false, {0}, "CA"},
	         150,
	         false,
	         X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD},
	        {{100, 200, 0, 0, false, {0}, "Other"}, 150, false, X509_V_ERR_UNABLE_TO_GET_CRL},
	        {{100, 200, 0, 0, false, {0}, "CA"}, 150, true, X509_V_ERR_CRL_SIGNATURE_FAILURE},
	        {{100,
	          200,
	          0,
	          NID_issuing_distribution_point,
	          false,
	          {0x30, 3, 0x81, 1, 0xff},
	          "CA"},
	         150,
	         false,
	         X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION},
	        {{100, 200, 0, NID_delta_crl, false, {2, 1, 1}, "CA"},
	         150,
	         false,
	         X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION},
	        {{100, 200, 0, NID_crl_number, true, {2, 1, 1}, "CA"},
	         150,
	         false,
	         X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION},
	        {{100, 200, 0, NID_crl_number, false, {2, 1, 1}, "CA"}, 150, false, X509_V_OK},
	};
	EVP_PKEY *key = EVP_EC_gen("P-256"), *other = EVP_EC_gen("P-256");
	X509 *ca = issuer(key, 7, "keyCertSign,cRLSign"), *weak = issuer(key, 7, "keyCertSign");

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		X509_CRL *crl = list_of(&cases[i].list, cases[i].other_key ? other : key);

		assert_int_equal(pki_revocation(ca, ca, crl, cases[i].at), cases[i].want);
		if (cases[i].want == X509_V_OK)
			assert_int_equal(pki_revocation(ca, weak, crl, cases[i].at),
			                 X509_V_ERR_KEYUSAGE_NO_CRL_SIGN);
		X509_CRL_free(crl);
	}
	X509_free(ca);
	X509_free(weak);
	EVP_PKEY_free(key);
	EVP_PKEY_free(other);
}

static void test_elements_have_one_form(void **state)
{
	static const struct {
		const char *der;
		size_t n, content, rest;
		bool good;
	} rows[] = {
	        {"\x04\x00", 2, 0, 0, true},
	        {"\x30\x01x\x05", 4, 1, 1, true},
	        {"", 0, 0, 0, false},
	        {"\x04", 1, 0, 0, false},
	        {"\x04\x02x", 3, 0, 0, false},
	        {"\x04\x80\0\0", 4, 0, 0, false},          /* of no stated length */
	        {"\x04\x81\x01x", 4, 0, 0, false},         /* longer than it need be */
	        {"\x04\x82\x00\x01x", 5, 0, 0, false},     /* the same */
	        {"\x04\x83\x00\x00\x01x", 6, 0, 0, false}, /* longer than any */
	        {"\x1f\x81\x01\x00", 4, 0, 0, false},      /* a tag of several octets */
	};
	uint8_t big[3 + 0x80] = {0xa6, 0x81, 0x80};
	struct bytes rest = BYTES_OF(big), content;
	uint8_t tag;
	(void)state;

	assert_true(pki_tlv(&rest, &tag, &content));
	assert_int_equal(tag, 0xa6);
	assert_int_equal(content.n, 0x80);
	assert_int_equal(rest.n, 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		rest = (struct bytes){(const uint8_t *)rows[i].der, rows[i].n};
		assert_int_equal(pki_tlv(&rest, &tag, &content), rows[i].good);
		if (rows[i].good) {
			assert_int_equal(content.n, rows[i].content);
			assert_int_equal(rest.n, rows[i].rest);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_keys_that_vendors_use_are_kept),
	        cmocka_unit_test(test_costly_and_odd_keys_are_not),
	        cmocka_unit_test(test_what_was_parsed_serves_again),
	        cmocka_unit_test(test_the_oldest_goes),
	        cmocka_unit_test(test_lists_are_judged),
	        cmocka_unit_test(test_elements_have_one_form),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
