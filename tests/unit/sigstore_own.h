/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Sigstore of our own for the tests: a log with one entry, and a publisher who signs statements
 * with a key. The including file brings cmocka and MAYBE_UNUSED.
 */
#ifndef KEYGATE_TESTS_SIGSTORE_OWN_H
#define KEYGATE_TESTS_SIGSTORE_OWN_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "ledger/sigstore.h"

/* A log with one entry, and a publisher with a key. */
struct own {
	EVP_PKEY *log, *key;
	char root[1024];
	struct buf bundle;
};

static MAYBE_UNUSED char *b64(struct bytes v)
{
	char *out = malloc(base64_encoded_len(v.n) + 1);

	assert_non_null(out);
	base64_encode(v, out);
	return out;
}

static MAYBE_UNUSED struct bytes spki(EVP_PKEY *key)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	assert_true(n > 0);
	return (struct bytes){der, (size_t)n};
}

static MAYBE_UNUSED void own_root(struct own *o)
{
	struct bytes der = spki(o->log);
	char *key = b64(der);

	snprintf(
	        o->root, sizeof(o->root),
	        "{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\","
	        "\"tlogs\":[{\"baseUrl\":\"https://log.example\",\"publicKey\":{\"rawBytes\":\"%s\","
	        "\"keyDetails\":\"PKIX_ED25519\",\"validFor\":{\"start\":\"2025-01-01T00:00:00Z\"}},"
	        "\"logId\":{\"keyId\":\"AQID\"}}]}",
	        key);
	free(key);
	OPENSSL_free((void *)(uintptr_t)der.p);
}

static MAYBE_UNUSED void sign(EVP_PKEY *key, struct bytes m, uint8_t *sig, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, n, m.p, m.n), 1);
	EVP_MD_CTX_free(ctx);
}

/* What the publisher signed and what is logged are two things, so that they can differ. */
static MAYBE_UNUSED void own_bundle(struct own *o, const char *payload, const char *signed_payload)
{
	static const char type[] = "application/vnd.in-toto+json";
	struct buf pae = buf_make(65536), body = buf_make(65536), note = buf_make(65536);
	uint8_t sig[256], digest[HASH_LEN];
	size_t sig_n = sizeof(sig);
	struct bytes der = spki(o->key);
	struct checkpoint cp = {.origin = "log.example", .size = 1};
	char *b64s[6];

	buf_printf(&pae, "DSSEv1 %zu %s %zu %s", strlen(type), type, strlen(signed_payload),
	           signed_payload);
	sign(o->key, buf_view(&pae), sig, &sig_n);
	buf_reset(&pae);
	buf_printf(&pae, "DSSEv1 %zu %s %zu %s", strlen(type), type, strlen(payload), payload);
	EVP_Digest(pae.p, pae.n, digest, NULL, EVP_sha256(), NULL);
	b64s[0] = b64(BYTES_OF(digest));
	b64s[1] = b64((struct bytes){sig, sig_n});
	b64s[2] = b64(der);
	buf_printf(&body,
	           "{\"apiVersion\":\"0.0.2\",\"kind\":\"hashedrekord\",\"spec\":{"
	           "\"hashedRekordV002\":{\"data\":{\"algorithm\":\"SHA2_256\",\"digest\":\"%s\"},"
	           "\"signature\":{\"content\":\"%s\",\"verifier\":{\"publicKey\":{\"rawBytes\":"
	           "\"%s\"}}}}}}",
	           b64s[0], b64s[1], b64s[2]);
	ledger_leaf_hash(buf_view(&body), &cp.root);
	assert_int_equal(ledger_checkpoint_format(&cp, &note), 0);
	assert_int_equal(ledger_note_sign(&note, "log.example", o->log), 0);
	b64s[3] = b64(buf_view(&body));
	b64s[4] = b64(bytes_str(payload));
	buf_u8(&note, 0);
	buf_reset(&o->bundle);
	buf_printf(&o->bundle,
	           "{\"mediaType\":\"application/vnd.dev.sigstore.bundle.v0.3+json\","
	           "\"verificationMaterial\":{\"publicKey\":{\"hint\":\"\"},\"tlogEntries\":[{"
	           "\"logIndex\":\"0\",\"logId\":{\"keyId\":\"AQID\"},\"kindVersion\":{\"kind\":"
	           "\"hashedrekord\",\"version\":\"0.0.2\"},\"inclusionProof\":{\"checkpoint\":{"
	           "\"envelope\":\"");
	for (const char *p = (const char *)note.p; *p; p++)
		buf_printf(&o->bundle, *p == '\n' ? "\\n" : "%c", *p);
	buf_printf(&o->bundle,
	           "\"}},\"canonicalizedBody\":\"%s\"}]},\"dsseEnvelope\":{\"payload\":\"%s\","
	           "\"payloadType\":\"%s\",\"signatures\":[{\"sig\":\"%s\"}]}}",
	           b64s[3], b64s[4], type, b64s[1]);
	assert_false(o->bundle.bad || body.bad || note.bad);
	for (size_t i = 0; i < 5; i++)
		free(b64s[i]);
	OPENSSL_free((void *)(uintptr_t)der.p);
	buf_free(&pae);
	buf_free(&body);
	buf_free(&note);
}

#endif
