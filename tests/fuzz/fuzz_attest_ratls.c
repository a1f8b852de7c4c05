/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate of a hostile server. Input: a byte (0: no nonce, 1: a nonce; 2 and more: the rest
 * is not a certificate but an extension's content, which is put into one, with the OID that the
 * byte chooses), then the bytes. Whatever comes in: what is handed on has a scheme, a platform and
 * bytes, and the checks keep their order.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include "attest/ratls.h"

static const char *const oids[] = {
        RATLS_OID_DICE,          RATLS_OID_CMW,           "0.6.9.42.840.113741.1337.6",
        "1.2.840.113741.1.13.1", "1.3.6.1.4.1.311.105.1", "1.3.6.1.4.1.62397.1.1",
        "1.3.9901.2.1",          "1.3.9901.2.2",          "1.2.840.113556.10.1.1",
        "1.3.6.1.4.1.311.105.2", "1.2.840.113556.10.1.2", "1.3.6.1.4.1.62397.1.8",
};

enum { FORMS = 2, OIDS = sizeof(oids) / sizeof(oids[0]), CERT_MAX = 1 << 17 };

/* The key is made once: what it is does not matter, and the signature is not looked at. */
static size_t wrap(const char *oid, const uint8_t *p, size_t n, uint8_t *out)
{
	static EVP_PKEY *key;
	X509 *cert = X509_new();
	ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext;
	int len;

	if (!key)
		key = EVP_EC_gen(SN_X9_62_prime256v1);
	MUST(cert && id && value && key);
	MUST(ASN1_OCTET_STRING_set(value, p, (int)n));
	ext = X509_EXTENSION_create_by_OBJ(NULL, id, 0, value);
	MUST(ext && X509_set_version(cert, 2) && X509_set_pubkey(cert, key));
	MUST(ASN1_TIME_set(X509_getm_notBefore(cert), 1700000000));
	MUST(ASN1_TIME_set(X509_getm_notAfter(cert), 1900000000));
	MUST(X509_add_ext(cert, ext, -1) && X509_sign(cert, key, EVP_sha256()));
	len = i2d_X509(cert, NULL);
	MUST(len > 0);
	if (len <= CERT_MAX)
		len = i2d_X509(cert, &out);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(value);
	ASN1_OBJECT_free(id);
	X509_free(cert);
	return len <= CERT_MAX ? (size_t)len : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t made[CERT_MAX];
	struct checks checks = {0};
	struct ratls_input in = {.at = 1750000000};
	struct ratls r;

	if (!size)
		return 0;
	if (data[0] & 1)
		in.nonce = bytes_str("0123456789abcdef");
	in.cert = (struct bytes){data + 1, size - 1};
	if (data[0] >= FORMS) {
		in.cert.n =
		        wrap(oids[(size_t)(data[0] - FORMS) / 2 % OIDS], data + 1, size - 1, made);
		in.cert.p = made;
	}
	if (ratls_open(&in, &r, &checks) == 0) {
		MUST(r.scheme && r.binder && r.evidence.n && r.tee != TEE_NONE);
		MUST(r.endorsements_n <= CMW_ENDORSEMENTS_MAX);
		MUST(strcmp(r.binder, "nonce") || in.nonce.n);
		MUST(!strcmp(checks.v[3].id, "ratls.key-binding"));
	} else {
		MUST(checks_overall(&checks) == CHECK_FAIL);
	}
	MUST(checks.n >= 4 && !checks.overflow && !strcmp(checks.v[0].id, "ratls.format"));
	ratls_free(&r);
	return 0;
}
