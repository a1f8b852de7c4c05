/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 written for tests, with every algorithm that is read, and with headers as encoded. */
#ifndef KEYGATE_TESTS_COSE_BUILD_H
#define KEYGATE_TESTS_COSE_BUILD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include "core/cbor.h"
#include "core/cose.h"

#ifndef MAYBE_UNUSED
#define MAYBE_UNUSED __attribute__((unused))
#endif

struct made_cose {
	enum cose_alg alg;
	EVP_PKEY *key;
	struct bytes protected_header; /* n == 0: {1: alg} */
	struct bytes unprotected;      /* n == 0: {} */
	struct bytes payload;
	bool detached; /* null stands in the place of the payload */
	bool untagged;
	bool pkcs1; /* RSA: PKCS #1 v1.5 in place of PSS */
	int salt;   /* RSA: its length; 0: the hash's */
};

static MAYBE_UNUSED const EVP_MD *made_hash(enum cose_alg alg)
{
	switch (alg) {
	case COSE_ES256:
	case COSE_PS256:
		return EVP_sha256();
	case COSE_ES384:
	case COSE_PS384:
		return EVP_sha384();
	case COSE_ES512:
	case COSE_PS512:
		return EVP_sha512();
	default:
		return NULL;
	}
}

/* DER to r || s of the curve's length, in place. */
static MAYBE_UNUSED size_t made_raw(const EVP_PKEY *key, uint8_t *sig, size_t n)
{
	const uint8_t *p = sig;
	ECDSA_SIG *s = d2i_ECDSA_SIG(NULL, &p, (long)n);
	int half = (EVP_PKEY_get_bits(key) + 7) / 8;

	assert_non_null(s);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(s), sig, half), half);
	assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(s), sig + half, half), half);
	ECDSA_SIG_free(s);
	return 2 * (size_t)half;
}

static MAYBE_UNUSED size_t made_signature(const struct made_cose *m, struct bytes tbs,
                                          uint8_t sig[static 1024])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *how = NULL;
	size_t n = 1024;

	assert_int_equal(EVP_DigestSignInit(ctx, &how, made_hash(m->alg), NULL, m->key), 1);
	if (EVP_PKEY_is_a(m->key, "RSA") && !m->pkcs1) {
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING), 1);
		assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(
		                         how, m->salt ? m->salt : RSA_PSS_SALTLEN_DIGEST),
		                 1);
	}
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, tbs.p, tbs.n), 1);
	EVP_MD_CTX_free(ctx);
	return EVP_PKEY_is_a(m->key, "EC") ? made_raw(m->key, sig, n) : n;
}

/* Appends the message. */
static MAYBE_UNUSED void make_cose(const struct made_cose *m, struct buf *out)
{
	struct buf header = buf_make(64), tbs = buf_make(1 << 20);
	struct cose_sign1 s = {.protected_header = m->protected_header, .payload = m->payload};
	uint8_t sig[1024];

	if (!s.protected_header.n) {
		item_put_map(&header, 1);
		item_put_int(&header, COSE_HEADER_ALG);
		item_put_int(&header, m->alg);
		s.protected_header = buf_view(&header);
	}
	cose_sig_structure(&s, &tbs);
	s.signature = (struct bytes){sig, made_signature(m, buf_view(&tbs), sig)};
	if (!m->untagged)
		item_put_tag(out, COSE_TAG_SIGN1);
	item_put_array(out, 4);
	item_put_bytes(out, s.protected_header);
	if (m->unprotected.n)
		buf_bytes(out, m->unprotected);
	else
		item_put_map(out, 0);
	if (m->detached)
		item_put_null(out);
	else
		item_put_bytes(out, m->payload);
	item_put_bytes(out, s.signature);
	assert_false(out->bad);
	buf_free(&header);
	buf_free(&tbs);
}

#endif
