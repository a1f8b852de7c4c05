/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Sigstore bundle, syntax only. Strict: a member that is not known is refused, so that nobody
 * reads in a bundle what another one does not. Nothing that comes out of here is true yet.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/x509v3.h>
#include "ledger/json.h"

enum { CHAIN_MAX = 4 };

/* What a step of the parser says: NULL goes on, else why not. */
static const char out_of_memory[] = "out of memory";

static void free_bytes(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

/* Base64 into owned bytes. */
static const char *take_base64(const json_t *v, struct bytes *out, const char *why)
{
	int ret = json_base64(v, out);

	return ret == -ENOMEM ? out_of_memory : ret ? why : NULL;
}

/* Base64 of exactly or at most cap bytes. */
static const char *take_fixed(const json_t *v, uint8_t *out, size_t cap, uint8_t *len,
                              const char *why)
{
	struct bytes b = BYTES_NONE;
	const char *bad = take_base64(v, &b, why);

	if (!bad && (b.n > cap || (!len && b.n != cap)))
		bad = why;
	if (!bad)
		memcpy(out, b.p, b.n);
	if (!bad && len)
		*len = (uint8_t)b.n;
	free_bytes(b);
	return bad;
}

/* ----------------------------------------------------------------- entries */

static const char *take_proof(const json_t *proof, struct bundle_entry *e)
{
	static const char *const known[] = {"logIndex", "rootHash",   "treeSize",
	                                    "hashes",   "checkpoint", NULL};
	static const char *const in_checkpoint[] = {"envelope", NULL};
	const json_t *hashes = json_member(proof, "hashes");
	const json_t *checkpoint = json_member(proof, "checkpoint");
	const char *why = NULL;

	if (!proof)
		return "an entry has no inclusionProof";
	if (!json_only(proof, known) || !json_only(checkpoint, in_checkpoint))
		return "an inclusionProof has no checkpoint, or members that are not known";
	e->has_proof_index = json_member(proof, "logIndex") != NULL;
	if (!json_number(proof, "logIndex", &e->proof_index) ||
	    !json_number(proof, "treeSize", &e->tree_size))
		return "an inclusionProof's logIndex or treeSize is no number in a string";
	e->has_root = json_member(proof, "rootHash") != NULL;
	if (e->has_root)
		why = take_fixed(json_member(proof, "rootHash"), e->root.v, HASH_LEN, NULL,
		                 "rootHash is not 32 bytes");
	if ((hashes && !json_is_array(hashes)) || json_array_size(hashes) > PATH_MAX_HASHES)
		return "hashes is a list of at most 63";
	for (size_t i = 0; i < json_array_size(hashes) && !why; i++)
		why = take_fixed(json_array_get(hashes, i), e->path[e->path_n++].v, HASH_LEN, NULL,
		                 "one of the hashes is not 32 bytes");
	e->checkpoint = json_view(json_member(checkpoint, "envelope"));
	if (!why && !e->checkpoint.n)
		why = "a checkpoint has no envelope";
	return why;
}

static const char *take_entry(const json_t *v, struct bundle_entry *e)
{
	static const char *const known[] = {
	        "logIndex",         "logId",          "kindVersion",       "integratedTime",
	        "inclusionPromise", "inclusionProof", "canonicalizedBody", NULL};
	static const char *const in_id[] = {"keyId", NULL};
	static const char *const in_kind[] = {"kind", "version", NULL};
	static const char *const in_promise[] = {"signedEntryTimestamp", NULL};
	const json_t *kind = json_member(v, "kindVersion");
	const json_t *promise = json_member(v, "inclusionPromise");
	const json_t *id = json_member(v, "logId");
	const char *why;

	if (!json_only(v, known) || !json_only(id, in_id) || !json_only(kind, in_kind))
		return "an entry has no logId or kindVersion, or members that are not known";
	if (!json_number(v, "logIndex", &e->log_index) ||
	    !json_number(v, "integratedTime", &e->integrated))
		return "logIndex or integratedTime is no number in a string";
	if (!json_text(kind, "kind", e->kind, sizeof(e->kind)) ||
	    !json_text(kind, "version", e->version, sizeof(e->version)))
		return "kindVersion has no kind and version";
	why = take_fixed(json_member(id, "keyId"), e->log_id, sizeof(e->log_id), &e->log_id_len,
	                 "logId.keyId is not 1 to 32 bytes in base64");
	if (!why && promise && !json_only(promise, in_promise))
		why = "an inclusionPromise has members that are not known";
	if (!why && promise)
		why = take_base64(json_member(promise, "signedEntryTimestamp"), &e->promise,
		                  "signedEntryTimestamp is no base64");
	e->body_text = json_view(json_member(v, "canonicalizedBody"));
	if (!why)
		why = take_base64(json_member(v, "canonicalizedBody"), &e->body,
		                  "canonicalizedBody is no base64");
	return why ? why : take_proof(json_member(v, "inclusionProof"), e);
}

static const char *take_entries(const json_t *list, struct bundle *b)
{
	const char *why = NULL;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return "it has no entry of a transparency log";
	if (json_array_size(list) > SIGSTORE_ENTRIES_MAX)
		return "more than 4 tlogEntries";
	for (size_t i = 0; i < json_array_size(list) && !why; i++)
		why = take_entry(json_array_get(list, i), &b->entry[b->entries++]);
	return why;
}

static const char *take_stamps(const json_t *data, struct bundle *b)
{
	static const char *const known[] = {"rfc3161Timestamps", NULL};
	static const char *const in_stamp[] = {"signedTimestamp", NULL};
	const json_t *list = json_member(data, "rfc3161Timestamps");
	const char *why = NULL;

	if (!data)
		return NULL;
	if (!json_only(data, known) || (list && !json_is_array(list)))
		return "timestampVerificationData has members that are not known";
	if (json_array_size(list) > SIGSTORE_STAMPS_MAX)
		return "more than 4 rfc3161Timestamps";
	for (size_t i = 0; i < json_array_size(list) && !why; i++) {
		const json_t *v = json_array_get(list, i);

		if (!json_only(v, in_stamp))
			return "an RFC 3161 time stamp has members that are not known";
		why = take_base64(json_member(v, "signedTimestamp"), &b->stamp[b->stamps],
		                  "signedTimestamp is no base64");
		b->stamps += !why;
	}
	return why;
}

/* ---------------------------------------------------------------- material */

static const char *take_certificate(const json_t *v, struct bundle *b)
{
	static const char *const known[] = {"rawBytes", NULL};
	const char *why;

	if (!json_only(v, known))
		return "a certificate has members that are not known";
	why = take_base64(json_member(v, "rawBytes"), &b->cert_der, "rawBytes is no base64");
	if (!why)
		b->cert = sigstore_certificate(b->cert_der);
	return !why && !b->cert ? "what should be a certificate is none" : why;
}

/*
 * The chain of versions before 0.3. Only the leaf is used: who issued it stands in the trusted
 * root. A root in it is a sign that somebody wants to be believed for what they brought along.
 */
static const char *take_chain(const json_t *v, struct bundle *b)
{
	static const char *const known[] = {"certificates", NULL};
	const json_t *list = json_member(v, "certificates");
	const char *why = NULL;

	if (!json_only(v, known) || !json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > CHAIN_MAX)
		return "x509CertificateChain has not 1 to 4 certificates";
	for (size_t i = json_array_size(list); i-- > 0 && !why;) {
		X509_free(b->cert);
		free_bytes(b->cert_der);
		b->cert = NULL;
		b->cert_der = BYTES_NONE;
		why = take_certificate(json_array_get(list, i), b);
		if (!why && X509_get_extension_flags(b->cert) & EXFLAG_SS)
			why = "x509CertificateChain holds a self-signed certificate";
	}
	return why;
}

static const char *take_material(const json_t *v, bool legacy, struct bundle *b)
{
	static const char *const known[] = {"certificate", "x509CertificateChain",      "publicKey",
	                                    "tlogEntries", "timestampVerificationData", NULL};
	static const char *const in_key[] = {"hint", NULL};
	const json_t *cert = json_member(v, "certificate");
	const json_t *chain = json_member(v, "x509CertificateChain");
	const json_t *key = json_member(v, "publicKey");
	const char *why = NULL;

	if (!json_only(v, known))
		return "verificationMaterial is missing or has members that are not known";
	if ((cert != NULL) + (chain != NULL) + (key != NULL) != 1)
		return "verificationMaterial has not one certificate, chain or publicKey";
	if (chain && !legacy)
		return "x509CertificateChain in a bundle of version 0.3";
	if (key && !json_only(key, in_key))
		return "publicKey has members that are not known";
	if (cert || chain)
		why = cert ? take_certificate(cert, b) : take_chain(chain, b);
	why = why ? why : take_entries(json_member(v, "tlogEntries"), b);
	return why ? why : take_stamps(json_member(v, "timestampVerificationData"), b);
}

/* ----------------------------------------------------------------- content */

static const char *take_envelope(const json_t *v, struct bundle *b)
{
	static const char *const known[] = {"payload", "payloadType", "signatures", NULL};
	static const char *const in_signature[] = {"sig", "keyid", NULL};
	const json_t *list = json_member(v, "signatures");
	const json_t *sig = json_array_get(list, 0);
	const char *why;

	if (!json_only(v, known) || !json_is_array(list) || json_array_size(list) != 1 ||
	    !json_only(sig, in_signature))
		return "a dsseEnvelope holds payload, payloadType and exactly one signature";
	if (!json_text(v, "payloadType", b->payload_type, sizeof(b->payload_type)))
		return "payloadType is 1 to 127 printable characters";
	b->dsse = true;
	why = take_base64(json_member(v, "payload"), &b->payload, "payload is no base64");
	return why ? why : take_base64(json_member(sig, "sig"), &b->signature, "sig is no base64");
}

static const char *take_message(const json_t *v, struct bundle *b)
{
	static const char *const known[] = {"messageDigest", "signature", NULL};
	static const char *const in_digest[] = {"algorithm", "digest", NULL};
	const json_t *digest = json_member(v, "messageDigest");
	const char *why = NULL;

	if (!json_only(v, known) || (digest && !json_only(digest, in_digest)))
		return "a messageSignature has members that are not known";
	if (digest) {
		if (!json_text(digest, "algorithm", b->digest_algorithm,
		               sizeof(b->digest_algorithm)))
			return "messageDigest has no algorithm";
		why = take_base64(json_member(digest, "digest"), &b->digest,
		                  "messageDigest.digest is no base64");
	}
	return why ? why
	           : take_base64(json_member(v, "signature"), &b->signature,
	                         "signature is no base64");
}

/* 0: not one of ours; 1: before 0.3; 2: 0.3. */
static int version_of(const char *type)
{
	static const char *const old[] = {"application/vnd.dev.sigstore.bundle+json;version=0.1",
	                                  "application/vnd.dev.sigstore.bundle+json;version=0.2"};

	for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
		if (!strcmp(type, old[i]))
			return 1;
	return !strcmp(type, "application/vnd.dev.sigstore.bundle+json;version=0.3") ||
	                       !strcmp(type, "application/vnd.dev.sigstore.bundle.v0.3+json")
	               ? 2
	               : 0;
}

static const char *take_bundle(const json_t *j, struct bundle *b)
{
	static const char *const known[] = {"mediaType", "verificationMaterial", "messageSignature",
	                                    "dsseEnvelope", NULL};
	const json_t *message = json_member(j, "messageSignature");
	const json_t *envelope = json_member(j, "dsseEnvelope");
	char type[SIGSTORE_TEXT_MAX];
	const char *why;
	int version = json_text(j, "mediaType", type, sizeof(type)) ? version_of(type) : 0;

	if (!version)
		return "mediaType is not that of a bundle of version 0.1, 0.2 or 0.3";
	if (!json_only(j, known) || !message == !envelope)
		return "it holds not one messageSignature or dsseEnvelope, or members that are not "
		       "known";
	b->legacy = version == 1;
	why = take_material(json_member(j, "verificationMaterial"), b->legacy, b);
	if (why)
		return why;
	return envelope ? take_envelope(envelope, b) : take_message(message, b);
}

int sigstore_bundle_parse(struct bytes json, struct bundle *out, const char **why)
{
	int ret;

	memset(out, 0, sizeof(*out));
	*why = "not JSON within 1 MiB and 32 levels, or a name is there twice";
	ret = json_read(json, SIGSTORE_BUNDLE_MAX, SIGSTORE_DEPTH_MAX, &out->json);
	if (ret)
		return ret;
	*why = take_bundle(out->json, out);
	if (*why == out_of_memory)
		return -ENOMEM;
	return *why ? -EINVAL : 0;
}

void sigstore_bundle_free(struct bundle *b)
{
	X509_free(b->cert);
	free_bytes(b->cert_der);
	for (uint32_t i = 0; i < b->entries; i++) {
		free_bytes(b->entry[i].promise);
		free_bytes(b->entry[i].body);
	}
	for (uint32_t i = 0; i < b->stamps; i++)
		free_bytes(b->stamp[i]);
	free_bytes(b->signature);
	free_bytes(b->payload);
	free_bytes(b->digest);
	json_decref(b->json);
}
