/* SPDX-License-Identifier: Apache-2.0 */
/* X.509 and raw signatures on top of OpenSSL, for platforms that are simulated. Knows no vendor. */
#include "attester/sim_pki.h"

#include <errno.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

static EVP_MD_CTX *signer(EVP_PKEY *key, const EVP_MD *md)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pk = NULL;

	if (ctx && EVP_DigestSignInit(ctx, &pk, md, NULL, key) == 1 &&
	    (!EVP_PKEY_is_a(key, "RSA") ||
	     (EVP_PKEY_CTX_set_rsa_padding(pk, RSA_PKCS1_PSS_PADDING) == 1 &&
	      EVP_PKEY_CTX_set_rsa_pss_saltlen(pk, RSA_PSS_SALTLEN_DIGEST) == 1)))
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

static bool set_name(X509_NAME *n, const char *cn)
{
	static const struct {
		const char *field, *value;
	} rdn[] = {{"OU", "Engineering"}, {"C", "US"}, {"O", "keygate simulated platform"}};
	bool ok = true;

	for (size_t i = 0; i < sizeof(rdn) / sizeof(rdn[0]); i++)
		ok = ok && X509_NAME_add_entry_by_txt(n, rdn[i].field, MBSTRING_ASC,
		                                      (const unsigned char *)rdn[i].value, -1, -1,
		                                      0) == 1;
	return ok && X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)cn,
	                                        -1, -1, 0) == 1;
}

X509 *sim_cert_new(const char *cn, long serial, EVP_PKEY *key, const X509 *issuer, int64_t from,
                   int64_t to)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), serial) &&
	    set_name(X509_get_subject_name(x), cn) &&
	    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer)
	                                   : X509_get_subject_name(x)) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to) && X509_set_pubkey(x, key))
		return x;
	X509_free(x);
	return NULL;
}

static bool add_conf(X509 *cert, const X509 *issuer, int nid, const char *value)
{
	X509V3_CTX v3;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx_nodb(&v3);
	X509V3_set_ctx(&v3, (X509 *)(uintptr_t)issuer, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
	ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

bool sim_cert_conf(X509 *cert, int nid, const char *value)
{
	return add_conf(cert, cert, nid, value);
}

bool sim_cert_ids(X509 *cert, const X509 *issuer)
{
	return add_conf(cert, issuer, NID_subject_key_identifier, "hash") &&
	       add_conf(cert, issuer, NID_authority_key_identifier, "keyid:always");
}

bool sim_cert_raw(X509 *cert, const char *oid, struct bytes value)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *os = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e = NULL;
	bool ok = obj && os && ASN1_OCTET_STRING_set(os, value.p, (int)value.n) == 1 &&
	          (e = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, os)) &&
	          X509_add_ext(cert, e, -1) == 1;

	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(os);
	ASN1_OBJECT_free(obj);
	return ok;
}

bool sim_cert_sign(X509 *cert, EVP_PKEY *key, const EVP_MD *md)
{
	EVP_MD_CTX *ctx = signer(key, md);
	bool ok = cert && ctx && X509_sign_ctx(cert, ctx) > 0;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool revoke(X509_CRL *crl, long serial, const ASN1_TIME *when)
{
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_INTEGER *i = ASN1_INTEGER_new();
	bool ok = r && i && ASN1_INTEGER_set(i, serial) == 1 &&
	          X509_REVOKED_set_serialNumber(r, i) == 1 &&
	          X509_REVOKED_set_revocationDate(r, (ASN1_TIME *)(uintptr_t)when) == 1 &&
	          X509_CRL_add0_revoked(crl, r) == 1;

	ASN1_INTEGER_free(i);
	if (!ok)
		X509_REVOKED_free(r);
	return ok;
}

X509_CRL *sim_crl_new(const X509_NAME *issuer, EVP_PKEY *key, const EVP_MD *md, int64_t from,
                      int64_t to, const long *revoked, size_t n)
{
	ASN1_TIME *last = ASN1_TIME_set(NULL, (time_t)from);
	ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)to);
	EVP_MD_CTX *ctx = signer(key, md);
	X509_CRL *crl = X509_CRL_new();
	bool ok = last && next && ctx && crl && X509_CRL_set_version(crl, X509_CRL_VERSION_2) &&
	          X509_CRL_set_issuer_name(crl, issuer) && X509_CRL_set1_lastUpdate(crl, last) &&
	          X509_CRL_set1_nextUpdate(crl, next);

	for (size_t i = 0; ok && i < n; i++)
		ok = revoke(crl, revoked[i], last);
	if (!ok || X509_CRL_sign_ctx(crl, ctx) <= 0) {
		X509_CRL_free(crl);
		crl = NULL;
	}
	ASN1_TIME_free(last);
	ASN1_TIME_free(next);
	EVP_MD_CTX_free(ctx);
	return crl;
}

int sim_sign_raw(EVP_PKEY *key, const EVP_MD *md, struct bytes msg, bool little_endian, size_t half,
                 uint8_t *out)
{
	int (*put)(const BIGNUM *, unsigned char *, int) =
	        little_endian ? BN_bn2lebinpad : BN_bn2binpad;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[160];
	const uint8_t *at = der;
	size_t n = sizeof(der);
	ECDSA_SIG *sig = NULL;
	int rc = -EIO;

	if (ctx && EVP_DigestSignInit(ctx, NULL, md, NULL, key) == 1 &&
	    EVP_DigestSign(ctx, der, &n, msg.p, msg.n) == 1 &&
	    (sig = d2i_ECDSA_SIG(NULL, &at, (long)n)) &&
	    put(ECDSA_SIG_get0_r(sig), out, (int)half) > 0 &&
	    put(ECDSA_SIG_get0_s(sig), out + half, (int)half) > 0)
		rc = 0;
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return rc;
}
