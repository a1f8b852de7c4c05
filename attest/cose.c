/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE_Sign1 with ECDSA. One table ties algorithm, curve, hash and lengths to each other. Knows
 * neither whose key it is nor what was signed.
 */
#include "attest/cose.h"

#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include "attest/cbor.h"
#include "attest/pki.h"

/* RFC 9052 table 3, RFC 9053 tables 18 and 19. */
enum { HEADER_ALG = 1, HEADER_CONTENT_TYPE = 3, HEADER_KID = 4 };
enum { KEY_KTY = 1, KEY_CRV = -1, KEY_X = -2, KEY_Y = -3, KTY_EC2 = 2, KEY_MEMBERS = 4 };
enum { SIGN1_ITEMS = 4, COORDINATE_MAX = 66, POINT_UNCOMPRESSED = 4 };

static const struct algorithm {
	enum cose_alg alg;
	const char *name;
	uint64_t crv; /* RFC 9053 table 18 */
	const char *group;
	size_t coordinate; /* also of r and s */
	const EVP_MD *(*md)(void);
} algorithms[] = {
        {COSE_ES256, "ES256", 1, SN_X9_62_prime256v1, 32, EVP_sha256},
        {COSE_ES384, "ES384", 2, SN_secp384r1, 48, EVP_sha384},
        {COSE_ES512, "ES512", 3, SN_secp521r1, 66, EVP_sha512},
};

static const struct algorithm *algorithm_of(enum cose_alg alg)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (algorithms[i].alg == alg)
			return &algorithms[i];
	return NULL;
}

const char *cose_alg_name(enum cose_alg alg)
{
	const struct algorithm *a = algorithm_of(alg);

	return a ? a->name : "none";
}

/* ------------------------------------------------------------------- messages */

static enum cose_alg alg_of(const struct item *it)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (item_is_int(it, algorithms[i].alg))
			return algorithms[i].alg;
	return COSE_ALG_NONE;
}

static const char *read_protected(struct bytes header, enum cose_alg *alg)
{
	struct reader r = reader_of(header);
	struct item_map m;
	struct item it;

	*alg = COSE_ALG_NONE;
	if (!item_map(&r, &m))
		return "the protected header is no map";
	while (m.left) {
		if (!item_key(&r, &m, &it))
			return "the protected header is malformed";
		if (item_is_int(&it, HEADER_ALG)) {
			if (!item_any(&r, &it))
				return "the protected header is malformed";
			*alg = alg_of(&it);
			if (*alg == COSE_ALG_NONE)
				return "an unknown signature algorithm";
		} else if (item_is_int(&it, HEADER_CONTENT_TYPE) || item_is_int(&it, HEADER_KID)) {
			if (!item_skip(&r, NULL))
				return "the protected header is malformed";
		} else {
			return "the protected header has a parameter that is not understood";
		}
	}
	if (!rd_done(&r))
		return "the protected header is malformed";
	return *alg == COSE_ALG_NONE ? "the protected header names no algorithm" : NULL;
}

static const char *read_unprotected(struct reader *r, bool *any)
{
	struct item_map m;
	struct item it;

	if (!item_map(r, &m))
		return "the unprotected header is no map";
	*any = m.left != 0;
	while (m.left) {
		if (!item_key(r, &m, &it))
			return "the unprotected header is malformed";
		if (item_is_int(&it, HEADER_ALG))
			return "the unprotected header names an algorithm";
		if (!item_skip(r, NULL))
			return "the unprotected header is malformed";
	}
	return NULL;
}

static const char *read_sign1(struct reader *r, struct cose_sign1 *s)
{
	struct reader ahead = *r;
	struct item first;
	const char *why;
	uint64_t n;

	if (item_any(&ahead, &first) && first.kind == ITEM_TAG) {
		if (first.n != COSE_TAG_SIGN1)
			return "the tag is not that of a COSE_Sign1";
		*r = ahead;
		s->tagged = true;
	}
	if (!item_array(r, &n) || n != SIGN1_ITEMS)
		return "not a COSE_Sign1";
	if (!item_bytes(r, &s->protected_header))
		return "the protected header is no byte string";
	why = read_protected(s->protected_header, &s->alg);
	if (!why)
		why = read_unprotected(r, &s->has_unprotected);
	if (why)
		return why;
	if (!item_bytes(r, &s->payload) || !s->payload.n)
		return "no payload";
	if (!item_bytes(r, &s->signature))
		return "no signature";
	if (s->signature.n != 2 * algorithm_of(s->alg)->coordinate)
		return "the signature is not as long as its algorithm's";
	return NULL;
}

int cose_sign1_read(struct reader *r, struct cose_sign1 *out, const char **why)
{
	struct cose_sign1 s = {0};

	*why = read_sign1(r, &s);
	if (*why)
		return -EINVAL;
	*out = s;
	return 0;
}

bool cose_key_fits(const EVP_PKEY *key, enum cose_alg alg)
{
	const struct algorithm *a = algorithm_of(alg);
	char group[32] = "";

	return a && EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       !strcmp(group, a->group);
}

void cose_sig_structure(const struct cose_sign1 *s, struct buf *out)
{
	item_put_array(out, SIGN1_ITEMS);
	item_put_text(out, "Signature1");
	item_put_bytes(out, s->protected_header);
	item_put_bytes(out, BYTES_NONE);
	item_put_bytes(out, s->payload);
}

bool cose_sign1_verify(const struct cose_sign1 *s, EVP_PKEY *key)
{
	enum { HEADS = 64 };
	const struct algorithm *a = algorithm_of(s->alg);
	struct buf tbs = buf_make(s->protected_header.n + s->payload.n + HEADS);
	bool ok = false;

	if (a && cose_key_fits(key, s->alg) && s->signature.n == 2 * a->coordinate) {
		cose_sig_structure(s, &tbs);
		ok = !tbs.bad &&
		     pki_ecdsa_raw(key, a->md(), s->signature.p, s->signature.p + a->coordinate,
		                   a->coordinate, false, buf_view(&tbs));
	}
	buf_free(&tbs);
	return ok;
}

/* ----------------------------------------------------------------------- keys */

/* OpenSSL refuses a point that is not on its curve. */
static EVP_PKEY *key_of_point(const struct algorithm *a, struct bytes point)
{
	OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME,
	                                         (char *)(uintptr_t)a->group, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY,
	                                          (void *)(uintptr_t)point.p, point.n),
	        OSSL_PARAM_construct_end(),
	};
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
	EVP_PKEY *key = NULL;

	ERR_set_mark();
	if (!ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	ERR_pop_to_mark();
	EVP_PKEY_CTX_free(ctx);
	return key;
}

EVP_PKEY *cose_key_point(enum cose_alg alg, struct bytes point)
{
	const struct algorithm *a = algorithm_of(alg);

	if (!a || point.n != 1 + 2 * a->coordinate || point.p[0] != POINT_UNCOMPRESSED)
		return NULL;
	return key_of_point(a, point);
}

static const struct algorithm *algorithm_of_curve(uint64_t crv)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (algorithms[i].crv == crv)
			return &algorithms[i];
	return NULL;
}

EVP_PKEY *cose_key_ec2(struct bytes encoded)
{
	uint8_t point[1 + 2 * COORDINATE_MAX] = {POINT_UNCOMPRESSED};
	struct reader r = reader_of(encoded);
	const struct algorithm *a = NULL;
	struct bytes x = BYTES_NONE, y = BYTES_NONE;
	uint64_t kty = 0, crv = 0;
	struct item_map m;
	struct item key;

	if (!item_map(&r, &m) || m.left != KEY_MEMBERS)
		return NULL;
	while (m.left) {
		if (!item_key(&r, &m, &key))
			return NULL;
		if (!(item_is_int(&key, KEY_KTY)   ? item_uint(&r, &kty)
		      : item_is_int(&key, KEY_CRV) ? item_uint(&r, &crv)
		      : item_is_int(&key, KEY_X)   ? item_bytes(&r, &x)
		      : item_is_int(&key, KEY_Y)   ? item_bytes(&r, &y)
		                                   : false))
			return NULL;
	}
	a = algorithm_of_curve(crv);
	if (!rd_done(&r) || kty != KTY_EC2 || !a || !x.p || !y.p || x.n != a->coordinate ||
	    y.n != a->coordinate)
		return NULL;
	memcpy(point + 1, x.p, x.n);
	memcpy(point + 1 + x.n, y.p, y.n);
	return key_of_point(a, (struct bytes){point, 1 + 2 * a->coordinate});
}
