/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence in the certificate of the handshake, as the collection of attest/cmw.h in the extension
 * of RFC 9999: over the TLS key (ra-tls), or over the key and the nonce that the client sent in its
 * list of protocols (atls). Made for each connection.
 */
#include <errno.h>
#include <string.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include "attest/ratls.h"
#include "attester/answer.h"

/* Evidence that is in a certificate must not outlive it by much; without, the certificate says
 * nothing. */
enum { BACKDATED_S = 300, EVIDENCE_S = 86400 };

static const long plain_s = 10L * 365 * 86400;

static bool add_extension(X509 *x, const char *oid, struct bytes content)
{
	ASN1_OBJECT *id = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *os = ASN1_OCTET_STRING_new();
	X509_EXTENSION *ext = NULL;
	bool ok;

	if (id && os && ASN1_OCTET_STRING_set(os, content.p, (int)content.n))
		ext = X509_EXTENSION_create_by_OBJ(NULL, id, 0, os);
	ok = ext && X509_add_ext(x, ext, -1);
	X509_EXTENSION_free(ext);
	ASN1_OCTET_STRING_free(os);
	ASN1_OBJECT_free(id);
	return ok;
}

X509 *answer_certificate(EVP_PKEY *key, const char *common_name, const char *oid,
                         struct bytes extension)
{
	X509 *x = X509_new();
	X509_NAME *name = x ? X509_get_subject_name(x) : NULL;

	if (name && X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
	    X509_gmtime_adj(X509_getm_notBefore(x), -BACKDATED_S) &&
	    X509_gmtime_adj(X509_getm_notAfter(x), oid ? EVIDENCE_S : plain_s) &&
	    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
	                               (const unsigned char *)common_name, -1, -1, 0) &&
	    X509_set_issuer_name(x, name) && X509_set_pubkey(x, key) &&
	    (!oid || add_extension(x, oid, extension)) && X509_sign(x, key, EVP_sha256()))
		return x;
	X509_free(x);
	return NULL;
}

/* The collection over this key and nonce, as the extension holds it. */
static int make_content(struct answering *a, struct bytes nonce, uint8_t **der, size_t *n)
{
	struct buf cmw = buf_make(AUTHENTICATOR_CMW_MAX);
	ASN1_OCTET_STRING *os = ASN1_OCTET_STRING_new();
	uint8_t report_data[64], *spki = NULL;
	size_t spki_n = 0;
	int rc = answering_key(a, &spki, &spki_n), len = 0;

	if (rc == 0)
		rc = ratls_cmw_binding((struct bytes){spki, spki_n}, nonce, report_data);
	if (rc == 0)
		rc = answer_cmw(a->config, report_data, 0, &cmw);
	if (rc == 0 && os && ASN1_OCTET_STRING_set(os, cmw.p, (int)cmw.n))
		len = i2d_ASN1_OCTET_STRING(os, der);
	*n = len > 0 ? (size_t)len : 0;
	ASN1_OCTET_STRING_free(os);
	OPENSSL_free(spki);
	buf_free(&cmw);
	return rc ? rc : len > 0 ? 0 : -ENOMEM;
}

static int certify(struct answering *a, struct bytes nonce)
{
	const char *name = a->config->names ? a->config->name[0] : "keygate-attester";
	uint8_t *der = NULL;
	size_t n = 0;
	X509 *cert = NULL;
	int rc;

	a->step = "evidence";
	rc = make_content(a, nonce, &der, &n);
	if (rc == 0) {
		cert = answer_certificate(SSL_get_privatekey(a->ssl), name, RATLS_OID_CMW,
		                          (struct bytes){der, n});
		rc = cert && SSL_use_certificate(a->ssl, cert) == 1 ? 0 : -ENOMEM;
	}
	if (rc == 0)
		a->step = "tls";
	X509_free(cert);
	OPENSSL_free(der);
	return rc;
}

/* ------------------------------------------------------------------------ atls */

static bool find_nonce(struct bytes protocols, struct bytes *protocol, uint8_t nonce[static 32])
{
	struct reader r = reader_of(protocols);

	while (r.left && !r.bad) {
		*protocol = rd_vec8(&r);
		if (!r.bad && !atls_nonce(*protocol, nonce))
			return true;
	}
	return false;
}

static bool wants_nonce(struct bytes protocols, struct bytes *selected)
{
	uint8_t nonce[AUTHENTICATOR_CONTEXT_LEN];

	return find_nonce(protocols, selected, nonce);
}

static int certify_nonce(struct answering *a)
{
	uint8_t nonce[AUTHENTICATOR_CONTEXT_LEN];
	const struct bytes protocol = {a->selected, a->selected_n};

	return atls_nonce(protocol, nonce) ? -EPROTO : certify(a, BYTES_OF(nonce));
}

/* ---------------------------------------------------------------------- ra-tls */

static int certify_key(struct answering *a)
{
	return certify(a, BYTES_NONE);
}

static int exchange_nothing(struct answering *a)
{
	(void)a;
	return 0;
}

const struct answer answer_atls = {
        .wants = wants_nonce, .certify = certify_nonce, .exchange = exchange_nothing};
const struct answer answer_ra_tls = {
        .anyone = true, .certify = certify_key, .exchange = exchange_nothing};
