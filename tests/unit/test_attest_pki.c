/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may enter the bag of certificates: keys that vendors use. Whoever sends certificates must
 * not choose how long looking at them takes.
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

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_keys_that_vendors_use_are_kept),
	        cmocka_unit_test(test_costly_and_odd_keys_are_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
