/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bundle's entries in transparency logs (Rekor): the promise of version 1 (SET), the checkpoint
 * and the inclusion proof of both versions. Notes, checkpoints and trees are the room's own; what
 * an entry says is rekor_body.c's.
 */
#include "ledger/sigstore_room.h"

#include <inttypes.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>

enum { LINES_PER_KEY = 4 };

enum sig_state sigstore_key_signed(EVP_PKEY *key, struct bytes signature, struct bytes message)
{
	const EVP_MD *md = EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256();
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	enum sig_state state = SIG_BAD;

	ERR_set_mark();
	if (ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, signature.p, signature.n, message.p, message.n) == 1)
		state = SIG_GOOD;
	ERR_pop_to_mark();
	EVP_MD_CTX_free(ctx);
	return state;
}

static const struct trusted_log *log_of(const struct sigstore_job *j, const struct bundle_entry *e)
{
	return trusted_log_find(j->root->log, j->root->logs, e->log_id, e->log_id_len);
}

static bool unknown_log(struct sigstore_job *j)
{
	check_add(j->checks, "sigstore.log", CHECK_FAIL,
	          "an entry is of a log that the trusted root does not name");
	return false;
}

/* ----------------------------------------------------------------- promise */

/* The canonical JSON that the log signed. */
static void promise_text(const struct bundle_entry *e, struct buf *out)
{
	char id[2 * LOG_ID_MAX + 1];

	hex_encode((struct bytes){e->log_id, e->log_id_len}, id);
	buf_str(out, "{\"body\":\"");
	buf_bytes(out, e->body_text);
	buf_printf(out,
	           "\",\"integratedTime\":%" PRIu64 ",\"logID\":\"%s\",\"logIndex\":%" PRIu64 "}",
	           e->integrated, id, e->log_index);
}

static enum sig_state judge_promise(const struct sigstore_job *j, const struct bundle_entry *e)
{
	struct buf text = buf_make(SIGSTORE_SIGNED_MAX);
	const struct trusted_log *log = log_of(j, e);
	enum sig_state state = SIG_BAD;

	promise_text(e, &text);
	if (!log->key)
		state = SIG_UNAVAILABLE;
	else if (!text.bad)
		state = sigstore_key_signed(log->key, e->promise, buf_view(&text));
	buf_free(&text);
	return state;
}

bool rekor_promises_verify(struct sigstore_job *j)
{
	enum sig_state state = SIG_GOOD;
	bool any = false;

	for (uint32_t i = 0; i < j->bundle->entries && state == SIG_GOOD; i++) {
		const struct bundle_entry *e = &j->bundle->entry[i];

		if (!log_of(j, e))
			return unknown_log(j);
		if (!e->promise.n)
			continue;
		any = true;
		state = judge_promise(j, e);
		if (state == SIG_GOOD && e->integrated)
			j->time[j->times++] = (int64_t)e->integrated;
	}
	if (state == SIG_UNAVAILABLE)
		check_add(j->checks, "sigstore.set", CHECK_UNAVAILABLE,
		          "the log's key is of a kind that is not supported here");
	else if (any)
		check_add(j->checks, "sigstore.set", state == SIG_GOOD ? CHECK_PASS : CHECK_FAIL,
		          "%s",
		          state == SIG_GOOD ? "the log signed when it took the entry in"
		                            : "the log did not sign this entry, index and time");
	return state == SIG_GOOD;
}

/* ------------------------------------------------------------- checkpoints */

/* "name" as the tile logs have it, or "name - TREE" as version 1 does. */
static bool origin_ok(const char *origin, const char *name)
{
	size_t n = strlen(name);
	uint64_t tree;

	if (strncmp(origin, name, n) != 0)
		return false;
	origin += n;
	return !*origin || (!strncmp(origin, " - ", 3) &&
	                    decimal_u64(bytes_str(origin + 3), UINT64_MAX, &tree) == 0);
}

/* NULL, or what is wrong with the signatures. */
static const char *judge_lines(const struct note *note, const struct trusted_log *log,
                               const struct checkpoint *cp)
{
	uint32_t lines = 0;

	for (uint32_t i = 0; i < note->sigs; i++) {
		uint64_t ts;

		if (!ledger_sig_is_of(&note->sig[i], &log->vkey))
			continue;
		if (++lines > LINES_PER_KEY)
			return "too many signatures of the log";
		if (ledger_sig_check(&note->sig[i], &log->vkey, note->text, cp, &ts) != SIG_GOOD)
			return "the log's signature of the checkpoint does not hold";
	}
	return lines ? NULL : "the log did not sign the checkpoint";
}

static const char *judge_checkpoint(const struct bundle_entry *e, const struct trusted_log *log,
                                    struct note *note, struct checkpoint *cp)
{
	const char *why;

	if (ledger_note_parse(e->checkpoint, note) || ledger_checkpoint_parse(note->text, cp))
		return "not a signed checkpoint";
	why = judge_lines(note, log, cp);
	if (why)
		return why;
	if (!origin_ok(cp->origin, log->vkey.name))
		return "the checkpoint is of another log";
	if (e->tree_size && e->tree_size != cp->size)
		return "treeSize is not what the checkpoint says";
	if (e->has_root && CRYPTO_memcmp(e->root.v, cp->root.v, HASH_LEN) != 0)
		return "rootHash is not what the checkpoint says";
	return NULL;
}

/* --------------------------------------------------------------- inclusion */

/* Version 1 counts over all its trees, but proves within one; version 2 has one tree. */
static bool is_tiled(const struct bundle_entry *e)
{
	return !strcmp(e->version, "0.0.2") && !strcmp(e->kind, "hashedrekord");
}

static const char *judge_inclusion(const struct bundle_entry *e, const struct checkpoint *cp)
{
	uint64_t index = is_tiled(e) ? e->log_index : e->proof_index;
	struct hash leaf;

	if (is_tiled(e) && e->has_proof_index && e->proof_index != e->log_index)
		return "two indexes of one entry";
	ledger_leaf_hash(e->body, &leaf);
	return ledger_inclusion(index, cp->size, &leaf, e->path, e->path_n, &cp->root)
	               ? "the path does not lead from the entry to the log's root"
	               : NULL;
}

/* ----------------------------------------------------------------- entries */

/* The entry's log, which is known by now, if it was in use at each time; NULL: refused. */
static const struct trusted_log *check_log(struct sigstore_job *j, const struct bundle_entry *e)
{
	const struct trusted_log *log = log_of(j, e);

	for (uint32_t i = 0; i < j->times; i++)
		if (!span_has(&log->span, j->time[i])) {
			check_add(j->checks, "sigstore.log", CHECK_FAIL,
			          "%s was not in use at the time of the signature", log->host);
			return NULL;
		}
	if (!j->times && j->at != VERDICT_FOREVER && !span_has(&log->span, j->at)) {
		check_add(j->checks, "sigstore.log", CHECK_FAIL, "%s is not in use", log->host);
		return NULL;
	}
	if (!log->vkey.alg) {
		check_add(j->checks, "sigstore.log", CHECK_UNAVAILABLE,
		          "the key of %s is of a kind that is not supported here", log->host);
		return NULL;
	}
	return log;
}

/* The first of the four that refuses ends it. */
static bool judge_entry(struct sigstore_job *j, const struct bundle_entry *e, struct note *note)
{
	const struct trusted_log *log = check_log(j, e);
	struct checkpoint cp;
	const char *why;

	if (!log)
		return false;
	why = judge_checkpoint(e, log, note, &cp);
	if (why) {
		check_add(j->checks, "sigstore.checkpoint", CHECK_FAIL, "%s", why);
		return false;
	}
	why = judge_inclusion(e, &cp);
	if (why) {
		check_add(j->checks, "sigstore.inclusion", CHECK_FAIL, "%s", why);
		return false;
	}
	why = rekor_body_differs(j, e);
	if (why) {
		check_add(j->checks, "sigstore.body", CHECK_FAIL, "%s", why);
		return false;
	}
	if (!j->out->log[0]) {
		memcpy(j->out->log, cp.origin, sizeof(j->out->log));
		j->out->log_index = e->log_index;
	}
	return true;
}

bool rekor_entries_verify(struct sigstore_job *j)
{
	struct note *note = OPENSSL_zalloc(sizeof(*note));
	bool ok = note != NULL;

	for (uint32_t i = 0; ok && i < j->bundle->entries; i++)
		ok = judge_entry(j, &j->bundle->entry[i], note);
	OPENSSL_free(note);
	if (!ok)
		return false;
	check_add(j->checks, "sigstore.log", CHECK_PASS, "%s", j->out->log);
	check_add(j->checks, "sigstore.checkpoint", CHECK_PASS, "signed by the log");
	check_add(j->checks, "sigstore.inclusion", CHECK_PASS, "index %" PRIu64, j->out->log_index);
	check_add(j->checks, "sigstore.body", CHECK_PASS,
	          "what is logged is what the bundle holds");
	return true;
}
