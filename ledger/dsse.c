/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a bundle's signature is over: an artifact, or the statement in an envelope (DSSE, in-toto),
 * and what that says. Knows no log and no certificate.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <openssl/err.h>
#include "ledger/json.h"

#define IN_TOTO_PAYLOAD    "application/vnd.in-toto+json"
#define STATEMENT_TYPE_OLD "https://in-toto.io/Statement/v0.1"

void dsse_pae(const char *type, struct bytes payload, struct buf *out)
{
	buf_printf(out, "DSSEv1 %zu %s %zu ", strlen(type), type, payload.n);
	buf_bytes(out, payload);
}

/* ---------------------------------------------------------------- signature */

/* What was signed, if it is at hand. */
static struct bytes message_of(const struct sigstore_job *j)
{
	return j->bundle->dsse ? j->pae : j->artifact->content;
}

bool sigstore_signed_digest(const struct sigstore_job *j, const EVP_MD *md,
                            uint8_t out[static EVP_MAX_MD_SIZE])
{
	struct bytes m = message_of(j);

	if (m.p)
		return EVP_Digest(m.p, m.n, out, NULL, md, NULL) == 1;
	if (j->bundle->dsse || !j->artifact->has_sha256 || !EVP_MD_is_a(md, "SHA256"))
		return false;
	memcpy(out, j->artifact->sha256, HASH_LEN);
	return true;
}

/* The hash that goes with a key in Sigstore's list of algorithms. */
static const EVP_MD *hash_of(const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	if (!EVP_PKEY_is_a(key, "EC") || bits <= 256)
		return EVP_sha256();
	return bits <= 384 ? EVP_sha384() : EVP_sha512();
}

static enum sig_state verify_digest(EVP_PKEY *key, const EVP_MD *md, struct bytes sig,
                                    const uint8_t *digest)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
	enum sig_state state = SIG_BAD;

	if (ctx && EVP_PKEY_verify_init(ctx) == 1 && EVP_PKEY_CTX_set_signature_md(ctx, md) == 1 &&
	    EVP_PKEY_verify(ctx, sig.p, sig.n, digest, (size_t)EVP_MD_get_size(md)) == 1)
		state = SIG_GOOD;
	EVP_PKEY_CTX_free(ctx);
	return state;
}

static enum sig_state verify(const struct sigstore_job *j)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	const EVP_MD *md = hash_of(j->key);

	if (EVP_PKEY_is_a(j->key, "ED25519")) {
		if (message_of(j).p &&
		    sigstore_key_signed(j->key, j->bundle->signature, message_of(j)) == SIG_GOOD)
			return SIG_GOOD;
		/* An artifact's digest is signed with Ed25519ph, which OpenSSL has since 3.2. */
		return j->bundle->dsse ? SIG_BAD : SIG_UNAVAILABLE;
	}
	if (!sigstore_signed_digest(j, md, digest))
		return SIG_UNAVAILABLE;
	return verify_digest(j->key, md, j->bundle->signature, digest);
}

bool signature_verify(struct sigstore_job *j)
{
	enum sig_state state;

	ERR_set_mark();
	state = verify(j);
	ERR_pop_to_mark();
	if (state == SIG_UNAVAILABLE)
		check_add(
		        j->checks, "sigstore.signature", CHECK_UNAVAILABLE,
		        "it needs the artifact itself, or Ed25519ph, which is not supported here");
	else
		check_add(j->checks, "sigstore.signature",
		          state == SIG_GOOD ? CHECK_PASS : CHECK_FAIL, "%s",
		          state == SIG_GOOD ? "the key signed it" : "the key did not sign this");
	return state == SIG_GOOD;
}

/* ---------------------------------------------------------------- artifact */

/* The digest that is asked for. False when nothing is. */
static bool wanted(const struct sigstore_job *j, uint8_t out[static HASH_LEN])
{
	if (j->artifact->content.p)
		return EVP_Digest(j->artifact->content.p, j->artifact->content.n, out, NULL,
		                  EVP_sha256(), NULL) == 1;
	if (j->artifact->has_sha256)
		memcpy(out, j->artifact->sha256, HASH_LEN);
	return j->artifact->has_sha256;
}

/* The signature held, so this is about the bundle's own copy of the digest. */
static void check_message(struct sigstore_job *j)
{
	const struct bundle *b = j->bundle;
	uint8_t want[HASH_LEN];
	bool ok = wanted(j, want) && (strcmp(b->digest_algorithm, "SHA2_256") != 0 ||
	                              bytes_equal(b->digest, BYTES_OF(want)));

	check_add(j->checks, "sigstore.artifact", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "it is what was signed" : "the bundle's messageDigest is of another one");
}

/* --------------------------------------------------------------- statement */

static bool subject_is(const json_t *subjects, const uint8_t want[static HASH_LEN])
{
	uint8_t is[HASH_LEN];

	for (size_t i = 0; i < json_array_size(subjects); i++) {
		const json_t *digest = json_member(json_array_get(subjects, i), "digest");

		if (!hex_decode(json_view(json_member(digest, "sha256")), is, HASH_LEN) &&
		    memcmp(is, want, HASH_LEN) == 0)
			return true;
	}
	return false;
}

static void check_subject(struct sigstore_job *j, const json_t *subjects)
{
	uint8_t want[HASH_LEN];

	if (!wanted(j, want))
		check_add(j->checks, "sigstore.artifact", CHECK_SKIP, "no artifact was asked for");
	else if (subject_is(subjects, want))
		check_add(j->checks, "sigstore.artifact", CHECK_PASS, "a subject of the statement");
	else
		check_add(j->checks, "sigstore.artifact", CHECK_FAIL,
		          "no subject of the statement has its digest");
}

/* NULL, or what is wrong; the members as in-toto has them and no other. */
static const char *read_statement(const struct bundle *b, const json_t *s,
                                  char type[static SIGSTORE_TEXT_MAX])
{
	static const char *const known[] = {"_type", "subject", "predicateType", "predicate", NULL};
	char is[64];
	size_t n = json_array_size(json_member(s, "subject"));

	if (strcmp(b->payload_type, IN_TOTO_PAYLOAD) != 0)
		return "payloadType is not " IN_TOTO_PAYLOAD;
	if (!json_only(s, known))
		return "a statement holds _type, subject, predicateType and predicate, no other";
	if (!json_text(s, "_type", is, sizeof(is)) ||
	    (strcmp(is, STATEMENT_TYPE) != 0 && strcmp(is, STATEMENT_TYPE_OLD) != 0))
		return "_type is not in-toto's Statement v1 or v0.1";
	if (n == 0 || n > SIGSTORE_SUBJECTS_MAX)
		return "a statement has 1 to 64 subjects";
	if (!json_text(s, "predicateType", type, SIGSTORE_TEXT_MAX))
		return "predicateType is 1 to 511 printable characters";
	return NULL;
}

static bool check_predicate_type(struct sigstore_job *j)
{
	const char *want = j->identity->predicate_type, *is = j->out->predicate_type;
	bool ok = !want[0] || strcmp(want, is) == 0;

	if (!want[0])
		check_add(j->checks, "sigstore.predicate-type", CHECK_SKIP, "not asked for; %s",
		          is);
	else
		check_add(j->checks, "sigstore.predicate-type", ok ? CHECK_PASS : CHECK_FAIL, "%s",
		          is);
	return ok;
}

static int check_envelope(struct sigstore_job *j)
{
	const char *why = "the payload is no JSON";
	json_t *s = NULL;
	int ret = json_read(j->bundle->payload, SIGSTORE_BUNDLE_MAX, SIGSTORE_DEPTH_MAX, &s);

	if (ret == -ENOMEM)
		return ret;
	if (!ret)
		why = read_statement(j->bundle, s, j->out->predicate_type);
	check_add(j->checks, "sigstore.statement", why ? CHECK_FAIL : CHECK_PASS, "%s",
	          why ? why : j->out->predicate_type);
	ret = 0;
	if (!why) {
		check_subject(j, json_member(s, "subject"));
		if (check_predicate_type(j) && release_predicate_known(j->out->predicate_type))
			ret = release_predicate_parse(j->out->predicate_type, j->bundle->payload, s,
			                              j->at, &j->out->statement, j->checks);
	}
	json_decref(s);
	return ret;
}

int statement_verify(struct sigstore_job *j)
{
	if (j->bundle->dsse)
		return check_envelope(j);
	check_message(j);
	if (j->identity->predicate_type[0])
		check_add(j->checks, "sigstore.predicate-type", CHECK_FAIL,
		          "the bundle holds the signature of an artifact, no statement");
	return 0;
}
