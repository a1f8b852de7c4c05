/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a log's entry says, against what the bundle holds. Without it any entry of the log would do.
 * The entry's bytes are in the log as they are, so members that are not known are passed over:
 * each of those that bind must be there and be right.
 */
#include "ledger/sigstore_room.h"

#include <stdlib.h>
#include <string.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include "ledger/json.h"

static void free_bytes(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

/* The value is base64 of exactly these bytes. */
static bool is_base64_of(const json_t *v, struct bytes want)
{
	struct bytes b = BYTES_NONE;
	bool same = !json_base64(v, &b) && bytes_equal(b, want);

	free_bytes(b);
	return same;
}

/* Base64 of the base64 of these bytes. */
static bool is_base64_twice_of(const json_t *v, struct bytes want)
{
	struct bytes text = BYTES_NONE;
	uint8_t *value = malloc(want.n + 4);
	bool same = false;

	if (value && !json_base64(v, &text)) {
		int n = base64_decode(text, value, want.n + 4);

		same = n >= 0 && bytes_equal((struct bytes){value, (size_t)n}, want);
	}
	free(value);
	free_bytes(text);
	return same;
}

/* What must have been logged as who signed: the certificate, or the key that it was signed with. */
static struct bytes verifier_of(const struct sigstore_job *j)
{
	return j->bundle->cert ? j->bundle->cert_der : j->key_der;
}

/* Base64 of one PEM block with the certificate or the key. */
static bool is_pem_of_verifier(const struct sigstore_job *j, const json_t *v)
{
	const char *label = j->bundle->cert ? PEM_STRING_X509 : PEM_STRING_PUBLIC;
	struct bytes text = BYTES_NONE;
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	BIO *bio = NULL;
	bool same = false;
	long n = 0;

	ERR_set_mark();
	if (!json_base64(v, &text))
		bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (bio && PEM_read_bio(bio, &name, &header, &der, &n) == 1 && n > 0)
		same = strcmp(name, label) == 0 &&
		       bytes_equal((struct bytes){der, (size_t)n}, verifier_of(j));
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	free_bytes(text);
	ERR_pop_to_mark();
	return same;
}

/* {"algorithm": "sha256", "value": hex} is the digest of what was signed, or of the payload. */
static bool is_digest(const struct sigstore_job *j, const json_t *hash, bool of_payload)
{
	struct bytes value = json_view(json_member(hash, "value"));
	uint8_t is[EVP_MAX_MD_SIZE], logged[EVP_MAX_MD_SIZE];
	const EVP_MD *md = NULL;
	char name[16];
	size_t n;

	if (json_text(hash, "algorithm", name, sizeof(name)))
		md = !strcmp(name, "sha256")   ? EVP_sha256()
		     : !strcmp(name, "sha384") ? EVP_sha384()
		     : !strcmp(name, "sha512") ? EVP_sha512()
		                               : NULL;
	if (!md)
		return false;
	n = (size_t)EVP_MD_get_size(md);
	if (hex_decode(value, logged, n))
		return false;
	if (of_payload) {
		if (!EVP_Digest(j->bundle->payload.p, j->bundle->payload.n, is, NULL, md, NULL))
			return false;
	} else if (!sigstore_signed_digest(j, md, is)) {
		return false;
	}
	return memcmp(is, logged, n) == 0;
}

/* ------------------------------------------------------------------- kinds */

static const char *rekord(const struct sigstore_job *j, const json_t *spec)
{
	const json_t *sig = json_member(spec, "signature");

	if (!is_digest(j, json_member(json_member(spec, "data"), "hash"), false))
		return "another digest is logged";
	if (!is_base64_of(json_member(sig, "content"), j->bundle->signature))
		return "another signature is logged";
	if (!is_pem_of_verifier(j, json_member(json_member(sig, "publicKey"), "content")))
		return "another certificate or key is logged";
	return NULL;
}

static const char *hashedrekord_2(const struct sigstore_job *j, const json_t *spec)
{
	static const struct {
		const char *name;
		const EVP_MD *(*md)(void);
	} algorithm[] = {
	        {"SHA2_256", EVP_sha256}, {"SHA2_384", EVP_sha384}, {"SHA2_512", EVP_sha512}};
	const json_t *v = json_member(spec, "hashedRekordV002");
	const json_t *data = json_member(v, "data"), *sig = json_member(v, "signature");
	const json_t *verifier = json_member(sig, "verifier");
	const json_t *who =
	        json_member(verifier, j->bundle->cert ? "x509Certificate" : "publicKey");
	uint8_t is[EVP_MAX_MD_SIZE];
	bool same = false;
	char name[16];

	(void)json_text(data, "algorithm", name, sizeof(name));
	for (size_t i = 0; i < sizeof(algorithm) / sizeof(algorithm[0]); i++)
		if (!strcmp(algorithm[i].name, name))
			same = sigstore_signed_digest(j, algorithm[i].md(), is) &&
			       is_base64_of(json_member(data, "digest"),
			                    (struct bytes){is, (size_t)EVP_MD_get_size(
			                                               algorithm[i].md())});
	if (!same)
		return "another digest is logged";
	if (!is_base64_of(json_member(sig, "content"), j->bundle->signature))
		return "another signature is logged";
	if (!is_base64_of(json_member(who, "rawBytes"), verifier_of(j)))
		return "another certificate or key is logged";
	return NULL;
}

static const char *dsse(const struct sigstore_job *j, const json_t *spec)
{
	const json_t *list = json_member(spec, "signatures");
	const json_t *sig = json_array_get(list, 0);

	if (!j->bundle->dsse)
		return "an envelope is logged, the bundle holds none";
	if (!is_digest(j, json_member(spec, "payloadHash"), true))
		return "another payload is logged";
	if (json_array_size(list) != 1 ||
	    !is_base64_of(json_member(sig, "signature"), j->bundle->signature))
		return "another signature is logged";
	if (!is_pem_of_verifier(j, json_member(sig, "verifier")))
		return "another certificate or key is logged";
	return NULL;
}

static const char *intoto_2(const struct sigstore_job *j, const json_t *spec)
{
	const json_t *content = json_member(spec, "content");
	const json_t *envelope = json_member(content, "envelope");
	const json_t *list = json_member(envelope, "signatures");
	const json_t *sig = json_array_get(list, 0);

	if (!j->bundle->dsse)
		return "an envelope is logged, the bundle holds none";
	if (!is_digest(j, json_member(content, "payloadHash"), true) ||
	    !bytes_equal(json_view(json_member(envelope, "payloadType")),
	                 bytes_str(j->bundle->payload_type)))
		return "another payload is logged";
	if (json_array_size(list) != 1 ||
	    !is_base64_twice_of(json_member(sig, "sig"), j->bundle->signature))
		return "another signature is logged";
	if (!is_pem_of_verifier(j, json_member(sig, "publicKey")))
		return "another certificate or key is logged";
	return NULL;
}

/* in-toto 0.0.1 is not among them: it does not log the signature. */
static const struct {
	const char *kind, *version;
	const char *(*differs)(const struct sigstore_job *j, const json_t *spec);
} kinds[] = {
        {"hashedrekord", "0.0.1", rekord}, {"hashedrekord", "0.0.2", hashedrekord_2},
        {"rekord", "0.0.1", rekord},       {"dsse", "0.0.1", dsse},
        {"intoto", "0.0.2", intoto_2},
};

const char *rekor_body_differs(const struct sigstore_job *j, const struct bundle_entry *e)
{
	const char *why = "an entry of a kind and version that does not bind what was signed";
	json_t *body = NULL;

	if (json_read(e->body, SIGSTORE_BUNDLE_MAX, SIGSTORE_DEPTH_MAX, &body))
		return "the entry is no JSON";
	if (!bytes_equal(json_view(json_member(body, "kind")), bytes_str(e->kind)) ||
	    !bytes_equal(json_view(json_member(body, "apiVersion")), bytes_str(e->version)))
		why = "kindVersion is not what is logged";
	else
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			if (!strcmp(kinds[i].kind, e->kind) &&
			    !strcmp(kinds[i].version, e->version))
				why = kinds[i].differs(j, json_member(body, "spec"));
	json_decref(body);
	return why;
}
