/* SPDX-License-Identifier: Apache-2.0 */
/* COSE_Sign1 and COSE_Key, written. Knows no platform. */
#include "attester/sim_cose.h"

#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include "core/cbor.h"
#include "attester/sim_pki.h"

enum { COORDINATE_MAX = 66, POINT_MAX = 1 + 2 * COORDINATE_MAX, HEADER_MAX = 16 };

static const struct alg {
	enum cose_alg alg;
	int crv;
	size_t half;
	const EVP_MD *(*md)(void);
} algs[] = {
        {COSE_ES256, 1, 32, EVP_sha256},
        {COSE_ES384, 2, 48, EVP_sha384},
        {COSE_ES512, 3, 66, EVP_sha512},
};

static const struct alg *alg_of(enum cose_alg alg)
{
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (algs[i].alg == alg)
			return &algs[i];
	return NULL;
}

int sim_cose_sign1(const struct sim_cose *c, EVP_PKEY *key, struct bytes payload, struct buf *out)
{
	struct cose_sign1 s = {.protected_header = c->protected_header, .payload = payload};
	struct buf header = buf_make(HEADER_MAX), tbs = buf_make(payload.n + 256);
	const struct alg *a = alg_of(c->alg);
	uint8_t sig[2 * COORDINATE_MAX];
	int rc = -EIO;

	if (!s.protected_header.n) {
		item_put_map(&header, 1);
		item_put_int(&header, 1);
		item_put_int(&header, c->alg);
		s.protected_header = buf_view(&header);
	}
	cose_sig_structure(&s, &tbs);
	if (a && !tbs.bad)
		rc = sim_sign_raw(key, a->md(), buf_view(&tbs), false, a->half, sig);
	if (rc == 0) {
		if (c->tagged)
			item_put_tag(out, COSE_TAG_SIGN1);
		item_put_array(out, 4);
		item_put_bytes(out, s.protected_header);
		if (c->unprotected.n)
			buf_bytes(out, c->unprotected);
		else
			item_put_map(out, 0);
		item_put_bytes(out, payload);
		item_put_bytes(out, (struct bytes){sig, 2 * a->half});
		rc = out->bad ? -EIO : 0;
	}
	buf_free(&header);
	buf_free(&tbs);
	return rc;
}

static int point_of(const EVP_PKEY *key, uint8_t point[static POINT_MAX], size_t *n)
{
	return EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_MAX, n) ==
	                               1 &&
	                       *n % 2
	               ? 0
	               : -EIO;
}

int sim_cose_point(const EVP_PKEY *key, struct buf *out)
{
	uint8_t point[POINT_MAX];
	size_t n;
	int rc = point_of(key, point, &n);

	if (rc == 0)
		buf_put(out, point, n);
	return out->bad ? -EIO : rc;
}

int sim_cose_key(const EVP_PKEY *key, struct buf *out)
{
	enum { KTY = 1, CRV = -1, X = -2, Y = -3, EC2 = 2, MEMBERS = 4 };
	uint8_t point[POINT_MAX];
	const struct alg *a = NULL;
	size_t n, half;
	int rc = point_of(key, point, &n);

	if (rc)
		return rc;
	half = n / 2;
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
		if (algs[i].half == half)
			a = &algs[i];
	if (!a)
		return -EIO;
	item_put_map(out, MEMBERS);
	item_put_int(out, KTY);
	item_put_int(out, EC2);
	item_put_int(out, CRV);
	item_put_int(out, a->crv);
	item_put_int(out, X);
	item_put_bytes(out, (struct bytes){point + 1, half});
	item_put_int(out, Y);
	item_put_bytes(out, (struct bytes){point + 1 + half, half});
	return out->bad ? -EIO : 0;
}
