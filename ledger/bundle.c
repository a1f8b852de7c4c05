/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verdict over a Sigstore bundle: which question is asked after which. First what others vouch
 * for (times), then who the signer is at those times, then that the log holds just this, and last
 * what was signed.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>

/* -------------------------------------------------------------------- time */

/*
 * A certificate of ten minutes says nothing without a time that somebody else vouches for. Only a
 * key that the verifier knows needs none.
 */
static bool check_times(struct sigstore_job *j)
{
	int64_t latest =
	        j->at > VERDICT_FOREVER - LEDGER_SKEW ? VERDICT_FOREVER : j->at + LEDGER_SKEW;

	for (uint32_t i = 0; i < j->times; i++) {
		if (j->time[i] > latest) {
			check_add(j->checks, "sigstore.time", CHECK_FAIL,
			          "signed at %" PRId64 ", which is yet to come", j->time[i]);
			return false;
		}
		if (i == 0 || j->time[i] < j->out->signed_at)
			j->out->signed_at = j->time[i];
	}
	if (!j->times && !j->identity->key.n) {
		check_add(j->checks, "sigstore.time", CHECK_FAIL,
		          "neither a log nor an authority says when it was signed");
		return false;
	}
	check_add(j->checks, "sigstore.time", j->times ? CHECK_PASS : CHECK_SKIP,
	          j->times ? "signed at %" PRId64 : "the key is known, whenever it signed",
	          j->out->signed_at);
	return true;
}

/* --------------------------------------------------------------------- key */

bool sigstore_key_ok(struct bytes key)
{
	EVP_PKEY *k = ledger_public_key(key);

	EVP_PKEY_free(k);
	return k != NULL;
}

/* The one that is asked for: a certificate for a key, or the other way round, is refused. */
static bool check_kind(struct sigstore_job *j)
{
	bool by_key = j->identity->key.n > 0;

	if (by_key == !j->bundle->cert)
		return true;
	check_add(j->checks, "sigstore.key", CHECK_FAIL, "%s",
	          by_key ? "the bundle is signed with a certificate, not with the key"
	                 : "the bundle is signed with a key, and none is given");
	return false;
}

static bool check_signer(struct sigstore_job *j)
{
	if (j->bundle->cert)
		return fulcio_verify(j);
	j->key = ledger_public_key(j->identity->key);
	check_add(j->checks, "sigstore.key", j->key ? CHECK_PASS : CHECK_FAIL, "%s",
	          j->key ? "a key that is known"
	                 : "what is given is no public key of a known kind");
	return j->key != NULL;
}

/* The key that must have signed, and how a log writes it. */
static bool take_key(struct sigstore_job *j)
{
	uint8_t *der = NULL;
	int n;

	if (j->bundle->cert) {
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(j->bundle->cert), &der);
		if (n > 0)
			j->key = sigstore_public_key((struct bytes){der, (size_t)n}, false);
	} else {
		n = i2d_PUBKEY(j->key, &der);
	}
	if (n > 0)
		j->key_der = (struct bytes){der, (size_t)n};
	if (j->key && n > 0)
		return true;
	check_add(j->checks, "sigstore.signature", CHECK_UNAVAILABLE,
	          "the certificate's key is of a kind that is not supported here");
	return false;
}

/* -------------------------------------------------------------------- whole */

/* 0 or -ENOMEM. */
static int judge(struct sigstore_job *j)
{
	struct buf pae = buf_make(SIGSTORE_SIGNED_MAX);
	int ret = 0;

	if (j->bundle->dsse) {
		dsse_pae(j->bundle->payload_type, j->bundle->payload, &pae);
		if (pae.bad) {
			ret = -ENOMEM;
			goto out;
		}
		j->pae = buf_view(&pae);
	} else if (!j->artifact->content.p && !j->artifact->has_sha256) {
		check_add(j->checks, "sigstore.artifact", CHECK_FAIL,
		          "it is the signature of an artifact, and none is given");
		goto out;
	}
	if (check_kind(j) && timestamps_verify(j) && rekor_promises_verify(j) && check_times(j) &&
	    check_signer(j) && take_key(j) && rekor_entries_verify(j) && signature_verify(j))
		ret = statement_verify(j);
out:
	buf_free(&pae);
	return ret;
}

int sigstore_verify(struct bytes bundle, const struct sigstore_root *root,
                    const struct sigstore_identity *identity,
                    const struct sigstore_artifact *artifact, int64_t at,
                    struct sigstore_result *out, struct checks *checks)
{
	struct bundle *b = calloc(1, sizeof(*b));
	struct sigstore_job j = {.bundle = b,
	                         .root = root,
	                         .identity = identity,
	                         .artifact = artifact,
	                         .at = at,
	                         .out = out,
	                         .checks = checks};
	const char *why;
	int ret;

	memset(out, 0, sizeof(*out));
	if (!b)
		return -ENOMEM;
	ret = sigstore_bundle_parse(bundle, b, &why);
	/* Older forms hold signatures of artifacts; what a release is judged by has the newest one.
	 */
	if (!ret && b->legacy && identity->predicate_type[0]) {
		ret = -EINVAL;
		why = "a statement of a certain type is wanted in a bundle of version 0.3";
	}
	if (!ret) {
		check_add(checks, "sigstore.format", CHECK_PASS,
		          "a bundle with %" PRIu32 " entries", b->entries);
		ret = judge(&j);
	} else if (ret == -EINVAL) {
		check_add(checks, "sigstore.format", CHECK_FAIL, "%s", why);
		ret = 0;
	}
	EVP_PKEY_free(j.key);
	OPENSSL_free((void *)(uintptr_t)j.key_der.p);
	sigstore_bundle_free(b);
	free(b);
	return ret;
}
