/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share and nobody outside needs: names, and the check of one
 * signature line under one key.
 */
#ifndef KEYGATE_LEDGER_ROOM_H
#define KEYGATE_LEDGER_ROOM_H

#include "ledger/ledger.h"

/* The text line that a parser accepts at most; signature lines are bounded by the note. */
enum { LEDGER_LINE_MAX = 4096 };

/*
 * The next line of *rest without its LF, which must be there; advances *rest. False when no LF is
 * left.
 */
bool ledger_line(struct bytes *rest, struct bytes *line);
/* True and advances when *v begins with the text. */
bool ledger_prefix(struct bytes *v, const char *text);
/* Whole text is UTF-8 without code points below U+0020 other than LF. */
bool ledger_note_text_ok(struct bytes v);
/* A key name: UTF-8, 1 to NOTE_NAME_MAX bytes, no Unicode space, no '+', no control. */
bool ledger_name_ok(struct bytes name);
/*
 * Canonical base64 of any length; the first `cap` bytes of the value go to out. Its length, or
 * -EINVAL.
 */
int ledger_base64_any(struct bytes text, uint8_t *out, size_t cap);
int ledger_hash_parse(struct bytes text, struct hash *out);

/* A checkpoint's lines, without asking whether an empty tree has the empty root. 0 or -EINVAL. */
int ledger_checkpoint_lines(struct bytes text, struct checkpoint *out);
bool ledger_root_fits(const struct checkpoint *cp);

/* The zero value refuses. */
enum sig_state { SIG_BAD = 0, SIG_UNAVAILABLE, SIG_GOOD };

bool ledger_sig_is_of(const struct note_sig *sig, const struct vkey *key);
/*
 * One line of a note under a key that ledger_sig_is_of. cp is the parsed text, NULL when the note
 * is no checkpoint (then types 0x05 and 0x06 are bad). *ts, for types 0x04 and 0x06, is the time
 * the signature states.
 */
enum sig_state ledger_sig_check(const struct note_sig *sig, const struct vkey *key,
                                struct bytes text, const struct checkpoint *cp, uint64_t *ts);
/* The same of a cosignature of a subtree, which only a key of type 0x06 makes. */
enum sig_state ledger_subtree_sig_check(const struct note_sig *sig, const struct vkey *key,
                                        const struct subtree *s, uint64_t *ts);
/* Lines are verified at most so often for each key. */
enum { LEDGER_LINES_PER_KEY = 4 };
/* Signature lines, at least one and at most NOTE_SIGS_MAX. 0 or -EINVAL. */
int ledger_sig_lines_parse(struct bytes lines, struct note *out);
/* The Ed25519 message of a cosignature/v1 over text at time ts. */
void ledger_cosigned_text(struct bytes text, uint64_t ts, struct buf *out);
/* An Ed25519 key of 32 bytes that is canonical and not of low order. */
bool ledger_ed25519_ok(const uint8_t *key);
bool ledger_ed25519_verify(const uint8_t *key, const uint8_t *sig, struct bytes message);
/* "sigsum.org/v1/tree/" and the hex SHA-256 of the log's key. */
enum { SIGSUM_ORIGIN = 19 + 2 * HASH_LEN + 1 };
void ledger_sigsum_origin(const uint8_t key[static SIGSUM_KEY], char out[static SIGSUM_ORIGIN]);
void ledger_sha256(struct bytes v, struct hash *out);
/* The one public key in a PEM block, or as DER, that sigstore_public_key takes; NULL. */
EVP_PKEY *ledger_public_key(struct bytes text);
/* Checkpoint and inclusion, of a proof that was parsed. 0 or -ENOMEM. */
int ledger_judge_proof(const struct tlog_proof *p, struct bytes leaf,
                       const struct tlog_policy *policy, const struct ledger_time *t,
                       struct ledger_head *out, struct checks *checks);
/* The key id of a name, an algorithm and the bytes that follow it in a vkey. 0 or -EINVAL. */
int ledger_key_id(const char *name, enum note_alg alg, struct bytes key, uint8_t id[static 4]);

#endif
