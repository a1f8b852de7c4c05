/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE_Sign1. One table ties algorithm, kind of key, curve, hash and lengths to each other. Knows
 * neither whose key it is nor what was signed.
 */
#include "core/cose.h"

#include <errno.h>
#include <string.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>
#include "core/ecdsa.h"

/* RFC 9053 tables 18 and 19. */
enum { KEY_KTY = 1, KEY_CRV = -1, KEY_X = -2, KEY_Y = -3, KTY_EC2 = 2, KEY_MEMBERS = 4 };
enum { SIGN1_ITEMS = 4, COORDINATE_MAX = 66, POINT_UNCOMPRESSED = 4 };
enum { RSA_BITS_MIN = 2048, RSA_BITS_MAX = 4096, RSA_EXPONENT_BITS = 32, ED25519_SIG = 64 };

enum kind { KIND_EC = 1, KIND_ED25519, KIND_RSA };

static const struct algorithm {
	const char *name;
	enum cose_alg alg;
	enum kind kind;
	const EVP_MD *(*md)(void);
	uint64_t crv; /* of an EC key: RFC 9053 table 18 */
	const char *group;
	size_t coordinate; /* also of r and s */
} algorithms[] = {
        {"ES256", COSE_ES256, KIND_EC, EVP_sha256, 1, SN_X9_62_prime256v1, 32},
        {"ES384", COSE_ES384, KIND_EC, EVP_sha384, 2, SN_secp384r1, 48},
        {"ES512", COSE_ES512, KIND_EC, EVP_sha512, 3, SN_secp521r1, 66},
        {"EdDSA", COSE_EDDSA, KIND_ED25519, NULL, 0, NULL, 0},
        {"PS256", COSE_PS256, KIND_RSA, EVP_sha256, 0, NULL, 0},
        {"PS384", COSE_PS384, KIND_RSA, EVP_sha384, 0, NULL, 0},
        {"PS512", COSE_PS512, KIND_RSA, EVP_sha512, 0, NULL, 0},
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

static const struct algorithm *alg_of(const struct item *it, const struct cose_form *form)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (item_is_int(it, algorithms[i].alg) && (form || algorithms[i].kind == KIND_EC))
			return &algorithms[i];
	return NULL;
}

static bool take_content_type(struct reader *r)
{
	struct item it;

	return item_any(r, &it) && (it.kind == ITEM_UINT || it.kind == ITEM_TEXT);
}

static const char *take_alg(struct reader *r, const struct cose_form *form, enum cose_alg *alg)
{
	const struct algorithm *a;
	struct item it;

	if (!item_any(r, &it))
		return "the protected header is malformed";
	a = alg_of(&it, form);
	if (!a)
		return "an unknown signature algorithm";
	*alg = a->alg;
	return NULL;
}

static const char *take_protected(struct reader *r, const struct cose_form *form,
                                  const struct item *label, struct cose_sign1 *s)
{
	if (item_is_int(label, COSE_HEADER_ALG))
		return take_alg(r, form, &s->alg);
	s->has_content_type |= item_is_int(label, COSE_HEADER_CONTENT_TYPE);
	if (item_is_int(label, COSE_HEADER_CONTENT_TYPE))
		return take_content_type(r) ? NULL : "the content type is neither number nor text";
	if (item_is_int(label, COSE_HEADER_KID))
		return item_bytes(r, &s->kid) ? NULL : "the key id is no byte string";
	if (form && form->protected_param)
		return form->protected_param(form->ctx, label, r);
	return "the protected header has a parameter that is not understood";
}

/* *m is what it held, by label. */
static const char *read_protected(const struct cose_form *form, struct cose_sign1 *s,
                                  struct item_map *m)
{
	struct reader r = reader_of(s->protected_header);
	const char *why;
	struct item it;

	if (!item_map(&r, m))
		return "the protected header is no map";
	while (m->left) {
		if (!item_key(&r, m, &it))
			return "the protected header is malformed";
		why = take_protected(&r, form, &it, s);
		if (why)
			return why;
	}
	if (!rd_done(&r))
		return "the protected header is malformed";
	return s->alg == COSE_ALG_NONE ? "the protected header names no algorithm" : NULL;
}

/* The labels of the signed map go on in this one: none may stand in both. */
static const char *read_unprotected(struct reader *r, const struct cose_form *form,
                                    struct item_map *m, bool *any)
{
	const char *why = NULL;
	struct item_map own;
	struct item it;

	if (!item_map(r, &own))
		return "the unprotected header is no map";
	m->left = own.left;
	*any = m->left != 0;
	while (m->left && !why) {
		if (!item_key(r, m, &it))
			return "the unprotected header is malformed, or has a label of the other "
			       "one";
		/* Which algorithm it is may be said where it is signed only. */
		if (item_is_int(&it, COSE_HEADER_ALG))
			return "the unprotected header names an algorithm";
		if (form && form->unprotected_param)
			why = form->unprotected_param(form->ctx, &it, r);
		else if (!item_skip(r, NULL))
			why = "the unprotected header is malformed";
	}
	return why;
}

static bool signature_fits(const struct cose_sign1 *s)
{
	const struct algorithm *a = algorithm_of(s->alg);

	switch (a->kind) {
	case KIND_EC:
		return s->signature.n == 2 * a->coordinate;
	case KIND_ED25519:
		return s->signature.n == ED25519_SIG;
	case KIND_RSA:
		return s->signature.n >= RSA_BITS_MIN / 8 && s->signature.n <= RSA_BITS_MAX / 8;
	}
	return false;
}

static const char *read_payload(struct reader *r, const struct cose_form *form,
                                struct cose_sign1 *s)
{
	struct item it;

	if (!item_any(r, &it))
		return "no payload";
	if (form && form->detached)
		return it.kind == ITEM_NULL ? NULL : "the payload is inside, not detached";
	s->payload = it.content;
	return it.kind == ITEM_BYTES && it.content.n ? NULL : "no payload";
}

static const char *read_sign1(struct reader *r, const struct cose_form *form, struct cose_sign1 *s)
{
	struct reader ahead = *r;
	struct item_map labels;
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
	why = read_protected(form, s, &labels);
	if (!why)
		why = read_unprotected(r, form, &labels, &s->has_unprotected);
	if (!why)
		why = read_payload(r, form, s);
	if (why)
		return why;
	if (!item_bytes(r, &s->signature))
		return "no signature";
	return signature_fits(s) ? NULL : "the signature is not as long as its algorithm's";
}

int cose_sign1_read(struct reader *r, const struct cose_form *form, struct cose_sign1 *out,
                    const char **why)
{
	struct cose_sign1 s = {0};

	*why = read_sign1(r, form, &s);
	if (*why)
		return -EINVAL;
	*out = s;
	return 0;
}

/* ----------------------------------------------------------------- signatures */

static bool on_curve(const EVP_PKEY *key, const char *wanted)
{
	char group[32] = "";

	return EVP_PKEY_is_a(key, "EC") &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) == 1 &&
	       !strcmp(group, wanted);
}

/* A modulus or an exponent that is too long costs the verifier, not the signer. */
static bool rsa_fits(const EVP_PKEY *key)
{
	BIGNUM *e = NULL;
	bool ok = EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) >= RSA_BITS_MIN &&
	          EVP_PKEY_get_bits(key) <= RSA_BITS_MAX &&
	          EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
	          BN_num_bits(e) <= RSA_EXPONENT_BITS;

	BN_free(e);
	return ok;
}

bool cose_key_fits(const EVP_PKEY *key, enum cose_alg alg)
{
	const struct algorithm *a = algorithm_of(alg);

	if (!a || !key)
		return false;
	switch (a->kind) {
	case KIND_EC:
		return on_curve(key, a->group);
	case KIND_ED25519:
		return EVP_PKEY_is_a(key, "ED25519");
	case KIND_RSA:
		return rsa_fits(key);
	}
	return false;
}

void cose_sig_structure(const struct cose_sign1 *s, struct buf *out)
{
	item_put_array(out, SIGN1_ITEMS);
	item_put_text(out, "Signature1");
	item_put_bytes(out, s->protected_header);
	item_put_bytes(out, BYTES_NONE);
	item_put_bytes(out, s->payload);
}

/* EdDSA, or RSASSA-PSS with the hash also in MGF1 and as long as the salt. */
static bool evp_verify(const struct algorithm *a, EVP_PKEY *key, struct bytes signature,
                       struct bytes tbs)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const EVP_MD *md = a->md ? a->md() : NULL;
	EVP_PKEY_CTX *how = NULL;
	bool ok;

	ERR_set_mark();
	ok = ctx && EVP_DigestVerifyInit(ctx, &how, md, NULL, key) == 1;
	if (ok && a->kind == KIND_RSA)
		ok = EVP_PKEY_CTX_set_rsa_padding(how, RSA_PKCS1_PSS_PADDING) == 1 &&
		     EVP_PKEY_CTX_set_rsa_mgf1_md(how, md) == 1 &&
		     EVP_PKEY_CTX_set_rsa_pss_saltlen(how, RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestVerify(ctx, signature.p, signature.n, tbs.p, tbs.n) == 1;
	ERR_pop_to_mark();
	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool ecdsa_verify(const struct algorithm *a, EVP_PKEY *key, struct bytes signature,
                         struct bytes tbs)
{
	return ecdsa_raw_verify(key, a->md(), signature.p, signature.p + a->coordinate,
	                        a->coordinate, false, tbs);
}

bool cose_sign1_verify(const struct cose_sign1 *s, EVP_PKEY *key)
{
	enum { HEADS = 64 };
	const struct algorithm *a = algorithm_of(s->alg);
	struct buf tbs = buf_make(s->protected_header.n + s->payload.n + HEADS);
	bool ok = false;

	if (a && cose_key_fits(key, s->alg) && signature_fits(s)) {
		cose_sig_structure(s, &tbs);
		ok = !tbs.bad && (a->kind == KIND_EC ? ecdsa_verify : evp_verify)(
		                         a, key, s->signature, buf_view(&tbs));
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

	if (!a || a->kind != KIND_EC || point.n != 1 + 2 * a->coordinate ||
	    point.p[0] != POINT_UNCOMPRESSED)
		return NULL;
	return key_of_point(a, point);
}

static const struct algorithm *algorithm_of_curve(uint64_t crv)
{
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (algorithms[i].kind == KIND_EC && algorithms[i].crv == crv)
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
