/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigsum proofs, version 2: that the owner of a key signed a message and a Sigsum log has it. The
 * tree head and its cosignatures are those of a checkpoint in another dress, so they are put into
 * one and judged as such. Knows nothing of what a message stands for.
 */
#include "ledger/room.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <openssl/crypto.h>

#define ORIGIN_START "sigsum.org/v1/tree/"

/* What a leaf's signature is over: this with its NUL, and the hash of the message. */
static const char leaf_label[] = "sigsum.org/v1/tree-leaf";

/* checksum || signature || hash of the submitter's key */
enum { LEAF_LEN = HASH_LEN + SIGSUM_SIG + HASH_LEN };

void ledger_sigsum_origin(const uint8_t key[static SIGSUM_KEY], char out[static SIGSUM_ORIGIN])
{
	struct hash h;

	ledger_sha256((struct bytes){key, SIGSUM_KEY}, &h);
	memcpy(out, ORIGIN_START, sizeof(ORIGIN_START) - 1);
	hex_encode(BYTES_OF(h.v), out + sizeof(ORIGIN_START) - 1);
}

/* -------------------------------------------------------------------- parse */

/* Takes the next line, which must be "name=", and is left behind it in *value. */
static bool named(struct bytes *text, const char *name, struct bytes *value)
{
	return ledger_line(text, value) && ledger_prefix(value, name) && ledger_prefix(value, "=");
}

static bool hex_hash(struct bytes text, struct hash *out)
{
	return hex_decode(text, out->v, HASH_LEN) == 0;
}

static bool hex_sig(struct bytes text, uint8_t sig[static SIGSUM_SIG])
{
	return hex_decode(text, sig, SIGSUM_SIG) == 0;
}

/* Takes the field before the next space, which must be there. */
static bool field(struct bytes *v, struct bytes *out)
{
	const uint8_t *space = v->n ? memchr(v->p, ' ', v->n) : NULL;

	if (!space)
		return false;
	*out = (struct bytes){v->p, (size_t)(space - v->p)};
	v->p = space + 1;
	v->n -= out->n + 1;
	return true;
}

static bool blank(struct bytes *text)
{
	struct bytes line;

	return ledger_line(text, &line) && line.n == 0;
}

static bool parse_leaf(struct bytes *text, struct sigsum_proof *p)
{
	struct bytes v;
	struct bytes f;

	return named(text, "version", &v) && bytes_equal(v, bytes_str("2")) &&
	       named(text, "log", &v) && hex_hash(v, &p->log_hash) && named(text, "leaf", &v) &&
	       field(&v, &f) && hex_hash(f, &p->submit_hash) && hex_sig(v, p->leaf_sig);
}

static bool parse_cosignature(struct bytes v, struct sigsum_proof *p)
{
	struct sigsum_cosignature *c = &p->cosignature[p->cosignatures];
	struct bytes key;
	struct bytes time;

	if (p->cosignatures == SIGSUM_COSIGNATURES_MAX || !field(&v, &key) || !field(&v, &time) ||
	    !hex_hash(key, &c->key_hash) || decimal_u64(time, INT64_MAX, &c->time) ||
	    !hex_sig(v, c->sig))
		return false;
	p->cosignatures++;
	return true;
}

/* The head, and the blank line behind it if one is there. */
static bool parse_head(struct bytes *text, struct sigsum_proof *p, bool *more)
{
	struct bytes v;

	*more = false;
	if (!named(text, "size", &v) || decimal_u64(v, INT64_MAX, &p->size) || p->size == 0 ||
	    !named(text, "root_hash", &v) || !hex_hash(v, &p->root) ||
	    !named(text, "signature", &v) || !hex_sig(v, p->head_sig))
		return false;
	while (text->n && !*more) {
		if (!ledger_line(text, &v))
			return false;
		if (v.n == 0)
			*more = true;
		else if (!ledger_prefix(&v, "cosignature=") || !parse_cosignature(v, p))
			return false;
	}
	return true;
}

static bool parse_path(struct bytes *text, struct sigsum_proof *p)
{
	struct bytes v;

	if (!named(text, "leaf_index", &v) || decimal_u64(v, INT64_MAX, &p->index))
		return false;
	while (text->n) {
		if (p->path_n == PATH_MAX_HASHES || !named(text, "node_hash", &v) ||
		    !hex_hash(v, &p->path[p->path_n]))
			return false;
		p->path_n++;
	}
	return true;
}

int ledger_sigsum_parse(struct bytes text, struct sigsum_proof *out)
{
	struct sigsum_proof p = {0};
	bool more;

	if (text.n > TLOG_PROOF_MAX || !parse_leaf(&text, &p) || !blank(&text) ||
	    !parse_head(&text, &p, &more))
		return -EINVAL;
	/* A tree of one leaf has no path to speak of, any other has one. */
	if (more != (p.size > 1) || (more && !parse_path(&text, &p)))
		return -EINVAL;
	*out = p;
	return 0;
}

int ledger_sigsum_key_parse(struct bytes text, uint8_t key[static SIGSUM_KEY])
{
	static const char kind[] = "ssh-ed25519";
	uint8_t raw[4 + sizeof(kind) - 1 + 4 + SIGSUM_KEY];
	uint8_t k[SIGSUM_KEY];
	const uint8_t *space;
	struct reader r;

	if (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	if (ledger_prefix(&text, kind)) {
		if (!ledger_prefix(&text, " "))
			return -EINVAL;
		space = text.n ? memchr(text.p, ' ', text.n) : NULL;
		if (space)
			text.n = (size_t)(space - text.p);
		if (base64_decode(text, raw, sizeof(raw)) != sizeof(raw))
			return -EINVAL;
		r = reader_of(BYTES_OF(raw));
		if (!bytes_equal(rd_take(&r, rd_be32(&r)), bytes_str(kind)) ||
		    rd_be32(&r) != SIGSUM_KEY)
			return -EINVAL;
		rd_copy(&r, k, SIGSUM_KEY);
		if (!rd_done(&r))
			return -EINVAL;
	} else if (hex_decode(text, k, SIGSUM_KEY)) {
		return -EINVAL;
	}
	if (!ledger_ed25519_ok(k))
		return -EINVAL;
	memcpy(key, k, SIGSUM_KEY);
	return 0;
}

/* ------------------------------------------------------------------- verify */

static bool is_hash_of(const struct hash *h, const uint8_t *key)
{
	struct hash of;

	ledger_sha256((struct bytes){key, SIGSUM_KEY}, &of);
	return CRYPTO_memcmp(of.v, h->v, HASH_LEN) == 0;
}

/* Did the submitter sign the message? Then leaf is what the log has. */
static bool judge_leaf(const struct sigsum_proof *p, const struct hash *message, const uint8_t *key,
                       uint8_t leaf[static LEAF_LEN], struct checks *checks)
{
	struct buf m = buf_make(sizeof(leaf_label) + HASH_LEN);
	struct hash checksum;
	bool good;

	if (!is_hash_of(&p->submit_hash, key)) {
		check_add(checks, "ledger.submit-key", CHECK_FAIL, "the leaf is of another key");
		return false;
	}
	check_add(checks, "ledger.submit-key", CHECK_PASS, "the leaf is of this key");
	ledger_sha256(BYTES_OF(message->v), &checksum);
	buf_put(&m, leaf_label, sizeof(leaf_label));
	buf_put(&m, checksum.v, HASH_LEN);
	good = !m.bad && ledger_ed25519_verify(key, p->leaf_sig, buf_view(&m));
	buf_free(&m);
	check_add(checks, "ledger.leaf-signature", good ? CHECK_PASS : CHECK_FAIL,
	          good ? "the key signed the message" : "not a signature of the message");
	memcpy(leaf, checksum.v, HASH_LEN);
	memcpy(leaf + HASH_LEN, p->leaf_sig, SIGSUM_SIG);
	memcpy(leaf + HASH_LEN + SIGSUM_SIG, p->submit_hash.v, HASH_LEN);
	return good;
}

/* A signature line of a key of the policy; stamp: a cosignature, which has its time before it. */
static void put_line(struct buf *note, const struct vkey *k, const uint64_t *stamp,
                     const uint8_t *sig)
{
	uint8_t raw[4 + 8 + SIGSUM_SIG];
	char text[(sizeof(raw) + 2) / 3 * 4 + 1];
	size_t n = sizeof(k->id);

	memcpy(raw, k->id, n);
	for (int i = 56; stamp && i >= 0; i -= 8)
		raw[n++] = (uint8_t)(*stamp >> i);
	memcpy(raw + n, sig, SIGSUM_SIG);
	base64_encode((struct bytes){raw, n + SIGSUM_SIG}, text);
	buf_printf(note, "\xe2\x80\x94 %s %s\n", k->name, text);
}

/* The head as a signed checkpoint. Lines of keys that the policy does not have are left out. */
static void put_checkpoint(const struct sigsum_proof *p, const struct vkey *log,
                           const struct tlog_policy *policy, struct buf *note)
{
	char root[48];

	base64_encode(BYTES_OF(p->root.v), root);
	buf_printf(note, "%s\n%" PRIu64 "\n%s\n\n", log->name, p->size, root);
	put_line(note, log, NULL, p->head_sig);
	for (uint32_t i = 0; i < p->cosignatures; i++) {
		const struct sigsum_cosignature *c = &p->cosignature[i];

		for (uint32_t k = 0; k < policy->witnesses; k++) {
			if (policy->witness[k].alg == NOTE_COSIGNATURE &&
			    is_hash_of(&c->key_hash, policy->witness[k].key))
				put_line(note, &policy->witness[k], &c->time, c->sig);
		}
	}
}

static const struct vkey *find_log(const struct sigsum_proof *p, const struct tlog_policy *policy)
{
	for (uint32_t i = 0; i < policy->logs; i++) {
		if (policy->log[i].alg == NOTE_ED25519 &&
		    is_hash_of(&p->log_hash, policy->log[i].key))
			return &policy->log[i];
	}
	return NULL;
}

int ledger_verify_sigsum(struct bytes text, const struct hash *message,
                         const uint8_t submit_key[static SIGSUM_KEY],
                         const struct tlog_policy *policy, const struct ledger_time *t,
                         struct ledger_head *out, struct checks *checks)
{
	struct buf note = buf_make(NOTE_MAX);
	struct tlog_proof proof = {0};
	struct sigsum_proof p;
	uint8_t leaf[LEAF_LEN];
	const struct vkey *log;
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (ledger_sigsum_parse(text, &p)) {
		check_add(checks, "ledger.proof-format", CHECK_FAIL,
		          "not a Sigsum proof, version 2");
		goto out;
	}
	check_add(checks, "ledger.proof-format", CHECK_PASS, "index %" PRIu64, p.index);
	if (!judge_leaf(&p, message, submit_key, leaf, checks))
		goto out;
	log = find_log(&p, policy);
	if (!log) {
		check_add(checks, "ledger.log-key", CHECK_FAIL, "no configured log has this key");
		goto out;
	}
	put_checkpoint(&p, log, policy, &note);
	ret = note.bad ? -ENOMEM : 0;
	proof.index = p.index;
	proof.path_n = p.path_n;
	memcpy(proof.path, p.path, sizeof(proof.path));
	proof.checkpoint = buf_view(&note);
	if (!ret)
		ret = ledger_judge_proof(&proof, BYTES_OF(leaf), policy, t, out, checks);
out:
	buf_free(&note);
	return ret;
}
