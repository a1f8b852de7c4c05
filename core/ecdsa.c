/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA signatures that travel as two numbers of one length. Knows neither whose key it is nor what
 * was signed.
 */
#include "core/ecdsa.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>

static BIGNUM *number(const uint8_t *p, size_t n, bool little_endian)
{
	return little_endian ? BN_lebin2bn(p, (int)n, NULL) : BN_bin2bn(p, (int)n, NULL);
}

bool ecdsa_raw_verify(EVP_PKEY *key, const EVP_MD *md, const uint8_t *r, const uint8_t *s,
                      size_t half, bool little_endian, struct bytes msg)
{
	ECDSA_SIG *sig = ECDSA_SIG_new();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	BIGNUM *bn_r = number(r, half, little_endian);
	BIGNUM *bn_s = number(s, half, little_endian);
	uint8_t *der = NULL;
	bool ok = false;
	int n;

	ERR_set_mark();
	if (!sig || !ctx || !bn_r || !bn_s || EVP_PKEY_get_base_id(key) != EVP_PKEY_EC)
		goto out;
	ECDSA_SIG_set0(sig, bn_r, bn_s);
	bn_r = bn_s = NULL;
	n = i2d_ECDSA_SIG(sig, &der);
	ok = n > 0 && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	     EVP_DigestVerify(ctx, der, (size_t)n, msg.p, msg.n) == 1;
out:
	BN_free(bn_r);
	BN_free(bn_s);
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	ERR_pop_to_mark();
	return ok;
}
