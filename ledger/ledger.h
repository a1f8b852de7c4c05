/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proof in, inclusion verdict out: Merkle trees, signed notes, checkpoints, cosignatures, tlog
 * policies, tlog-proofs and the last-seen rule. Pure: no I/O, no clock, no globals. Knows
 * nothing of evidence, of connections or of the administrator's policy.
 *
 * Sources: RFC 6962 2.1, RFC 9162 2.1, C2SP signed-note, tlog-checkpoint, tlog-cosignature,
 * tlog-tiles, tlog-policy, tlog-proof.
 */
#ifndef KEYGATE_LEDGER_LEDGER_H
#define KEYGATE_LEDGER_LEDGER_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/bytes.h"
#include "core/verdict.h"

enum { HASH_LEN = 32, PATH_MAX_HASHES = 63, NOTE_NAME_MAX = 255 };

struct hash {
	uint8_t v[HASH_LEN];
};

/* ------------------------------------------------------------------ merkle.c */

void ledger_leaf_hash(struct bytes leaf, struct hash *out);
void ledger_node_hash(const struct hash *left, const struct hash *right, struct hash *out);
void ledger_empty_root(struct hash *out);

/* 0 if the path proves it; -EINVAL (malformed: sizes, lengths), -EBADMSG (roots differ). */
int ledger_inclusion(uint64_t index, uint64_t size, const struct hash *leaf,
                     const struct hash *path, size_t path_n, const struct hash *root);
/* The root that the path leads to, for who learns it no other way. 0 or -EINVAL. */
int ledger_inclusion_root(uint64_t index, uint64_t size, const struct hash *leaf,
                          const struct hash *path, size_t path_n, struct hash *root);
/* 0 < from <= to. Same returns. */
int ledger_consistency(uint64_t from, const struct hash *from_root, uint64_t to,
                       const struct hash *to_root, const struct hash *proof, size_t proof_n);
/* The root that the proof leads to; -EBADMSG when it does not start at from_root. */
int ledger_consistency_root(uint64_t from, const struct hash *from_root, uint64_t to,
                            const struct hash *proof, size_t proof_n, struct hash *to_root);

/*
 * A subtree [start, end) of a tree (draft-ietf-plants-merkle-tree-certs): start is a multiple of
 * the power of two that end - start fits in. It has a root as a tree of end - start leaves has.
 */
struct subtree {
	char origin[NOTE_NAME_MAX + 1]; /* of the log whose tree it is part of */
	uint64_t start;
	uint64_t end;
	struct hash root;
};

bool ledger_subtree_ok(uint64_t start, uint64_t end);
/* Is the leaf `index` of the whole tree in the subtree? Returns as ledger_inclusion. */
int ledger_subtree_inclusion(uint64_t index, const struct subtree *s, const struct hash *leaf,
                             const struct hash *path, size_t path_n);
/* Is the subtree one of the tree of `size` leaves? Returns as ledger_consistency. */
int ledger_subtree_consistency(const struct subtree *s, uint64_t size, const struct hash *root,
                               const struct hash *proof, size_t proof_n);

/*
 * Proof generation over any store: get() yields the root of the perfect subtree of 2^level leaves
 * that starts at leaf index << level. It returns 0 or -errno, which is passed on.
 */
typedef int (*ledger_node_fn)(void *ctx, unsigned level, uint64_t index, struct hash *out);
int ledger_root(ledger_node_fn get, void *ctx, uint64_t size, struct hash *out);
int ledger_prove_inclusion(ledger_node_fn get, void *ctx, uint64_t index, uint64_t size,
                           struct hash path[static PATH_MAX_HASHES], size_t *path_n);
int ledger_prove_consistency(ledger_node_fn get, void *ctx, uint64_t from, uint64_t to,
                             struct hash proof[static PATH_MAX_HASHES], size_t *proof_n);
/* Of a subtree: its root, and what ledger_subtree_consistency takes. */
int ledger_subtree_root(ledger_node_fn get, void *ctx, uint64_t start, uint64_t end,
                        struct hash *out);
int ledger_prove_subtree(ledger_node_fn get, void *ctx, uint64_t start, uint64_t end, uint64_t size,
                         struct hash proof[static PATH_MAX_HASHES], size_t *proof_n);

/* ------------------------------------------------------------------- tiles.c */

/*
 * C2SP tlog-tiles paths, relative to the log's prefix: "tile/L/N[.p/W]", "tile/entries/N[.p/W]".
 * width 256 is a full tile. 0 or -EINVAL / -ENOSPC.
 */
enum { TILE_WIDTH = 256, TILE_BYTES = TILE_WIDTH * HASH_LEN, TILE_PATH_MAX = 128 };
int ledger_tile_path(unsigned level, uint64_t n, unsigned width, char *out, size_t cap);
int ledger_entries_path(uint64_t n, unsigned width, char *out, size_t cap);
/*
 * A node source over tiles: fetch() loads the tile (level, n) as it stands for a tree of `size`
 * leaves into tile (width hashes) and returns 0 or -errno.
 */
typedef int (*ledger_tile_fn)(void *ctx, unsigned level, uint64_t n, unsigned width,
                              struct hash tile[static TILE_WIDTH]);
struct ledger_tiles {
	ledger_tile_fn fetch;
	void *ctx;
	uint64_t size;
};
/* A tile as it is served: exactly width hashes. 0 or -EINVAL. */
int ledger_tile_parse(struct bytes data, unsigned width, struct hash tile[static TILE_WIDTH]);
/*
 * An entry bundle as it is served: exactly width times a 16-bit length and that many bytes. The
 * entries are views. 0 or -EINVAL.
 */
enum { ENTRY_MAX = 65535, ENTRIES_BYTES_MAX = TILE_WIDTH * (2 + ENTRY_MAX) };
int ledger_entries_parse(struct bytes data, unsigned width, struct bytes entry[static TILE_WIDTH]);
/* How many entries bundle n has in a tree of this size; 0: there is no such bundle. */
unsigned ledger_entries_width(uint64_t n, uint64_t size);
/* A full bundle, of which a smaller tree has the first `width` entries: as a view. 0 or -EINVAL. */
int ledger_entries_cut(struct bytes full, unsigned width, struct bytes *out);
/*
 * Bundle n holds what the tree of this size and root was made of; its width is as above, the proof
 * is that its leaves are a subtree (ledger_prove_subtree). 0; -EINVAL (no such bundle, malformed);
 * -EBADMSG (other entries, or another tree).
 */
int ledger_entries_verify(struct bytes data, uint64_t n, uint64_t size, const struct hash *root,
                          const struct hash *proof, size_t proof_n,
                          struct bytes entry[static TILE_WIDTH]);
/* A ledger_node_fn; ctx is a struct ledger_tiles. */
int ledger_tiles_node(void *ctx, unsigned level, uint64_t index, struct hash *out);

/* -------------------------------------------------------------------- note.c */

enum {
	NOTE_MAX = 65536,
	NOTE_SIGS_MAX = 32,
	VKEY_TEXT_MAX = 4096,
	LEDGER_KEY_MAX = 2048,
};

enum note_alg {
	NOTE_ED25519 = 0x01,
	NOTE_ECDSA = 0x02,
	NOTE_COSIGNATURE = 0x04, /* Ed25519 cosignature/v1 */
	NOTE_RFC6962 = 0x05,
	NOTE_MLDSA44 = 0x06, /* OpenSSL >= 3.5; else verification is unavailable */
};

/* A verifier key, parsed and checked from its vkey text "name+hash+base64". */
struct vkey {
	char name[NOTE_NAME_MAX + 1];
	uint8_t id[4];
	uint8_t alg; /* enum note_alg */
	uint16_t key_len;
	uint8_t key[LEDGER_KEY_MAX];
};

/*
 * 0 or -EINVAL (syntax, key id, algorithm, low-order or non-canonical key). key holds what follows
 * the algorithm byte: 32 bytes (0x01, 0x04), a SubjectPublicKeyInfo on a NIST curve (0x02, 0x05),
 * 1312 bytes (0x06).
 */
int ledger_vkey_parse(struct bytes text, struct vkey *out);
int ledger_vkey_format(const struct vkey *k, struct buf *out);

struct note_sig {
	struct bytes name; /* view */
	uint8_t id[4];
	uint8_t sig[2560];
	uint16_t sig_len; /* 0: longer than any algorithm of ours makes; never verifies */
};

struct note {
	struct bytes text; /* signed text with its final LF; a view */
	uint32_t sigs;
	struct note_sig sig[NOTE_SIGS_MAX];
};

/* Syntax only; nothing of it may be used before a signature verified. 0 or -EINVAL. */
int ledger_note_parse(struct bytes data, struct note *out);

/* ------------------------------------------------------------- checkpoint.c */

struct checkpoint {
	char origin[NOTE_NAME_MAX + 1];
	uint64_t size;
	struct hash root;
};

int ledger_checkpoint_parse(struct bytes text, struct checkpoint *out);

/* ----------------------------------------------------------------- policy.c */

enum { TLOG_POLICY_MAX = 65536, TLOG_KEYS_MAX = 64, TLOG_GROUPS_MAX = 64 };

/*
 * A C2SP tlog-policy. Members are numbered: witnesses first, then groups. A parse error carries
 * the line and what was expected.
 */
struct tlog_group {
	char name[NOTE_NAME_MAX + 1];
	uint32_t k;
	uint32_t members;
	uint16_t member[TLOG_KEYS_MAX]; /* < TLOG_KEYS_MAX: witness; else group + TLOG_KEYS_MAX */
};

struct tlog_policy {
	uint32_t logs;
	struct vkey log[TLOG_KEYS_MAX];
	char log_url[TLOG_KEYS_MAX][256]; /* empty if none */
	uint32_t witnesses;
	struct vkey witness[TLOG_KEYS_MAX];
	char witness_name[TLOG_KEYS_MAX][NOTE_NAME_MAX + 1];
	char witness_url[TLOG_KEYS_MAX][256]; /* prefix of tlog-witness; empty if none */
	uint32_t groups;
	struct tlog_group group[TLOG_GROUPS_MAX];
	/* -1: none; else a member number. "none" and an empty set of logs are what C2SP allows a
	 * file to say; whether they are acceptable is for the caller (policy/) to decide. */
	int32_t quorum;
	/* When not empty, the origin that a checkpoint must name where it differs from the log
	 * key's name; set by callers (--origin), never by the file. */
	char origin[NOTE_NAME_MAX + 1];
};

/* On -EINVAL, *line and why (static text) say where and what. The struct is large: allocate it. */
int ledger_policy_parse(struct bytes text, struct tlog_policy *out, uint32_t *line,
                        const char **why);
/* k-of-n over plain witnesses, as the command line gives them. */
int ledger_policy_flat(struct tlog_policy *out, const struct vkey *log, uint32_t logs,
                       const struct vkey *witness, uint32_t witnesses, uint32_t k);
/*
 * A policy of Sigsum: the same lines, but keys are 64 hex digits of Ed25519. A log's origin is made
 * of its key; a witness's lines go by the hash of its key. Returns as ledger_policy_parse.
 */
int ledger_sigsum_policy_parse(struct bytes text, struct tlog_policy *out, uint32_t *line,
                               const char **why);
bool ledger_quorum(const struct tlog_policy *p, const bool seen[static TLOG_KEYS_MAX]);

/* ------------------------------------------------------------------ proof.c */

/*
 * A cosignature counts if at - max_age <= its time <= at + LEDGER_SKEW; the quorum is evaluated
 * over those that count. With at == VERDICT_FOREVER the time is not known and none is too new.
 */
enum { LEDGER_SKEW = 300 };

struct ledger_time {
	int64_t at;
	int64_t max_age; /* seconds; < 0: freshness is not asked for */
};

/* What a verified checkpoint proved. */
struct ledger_head {
	struct checkpoint cp;
	int64_t fresh_until; /* VERDICT_FOREVER when no freshness was asked */
	int64_t newest;      /* newest counted cosignature time; 0 if none */
	int64_t quorum_at;   /* the newest time at which a quorum vouched for it; 0: nobody did */
	uint32_t witnesses;  /* how many counted; how many are valid, if no quorum is */
};

/*
 * Note, log signature, cosignatures, fresh quorum. Appends, in this order and up to the first that
 * makes the rest meaningless: ledger.format, ledger.log-key (no configured log signed it, or not
 * for this origin), ledger.log-signature, ledger.witness-signature, ledger.quorum (too few valid
 * cosignatures), ledger.fresh (enough, but too old or from the future). A signature that the
 * linked OpenSSL can't verify counts for nothing; what needs it is UNAVAILABLE.
 * A policy without logs (its quorum vouches for whatever origin the checkpoint names) skips the two
 * log checks. *out is zero until a log's signature verified. 0 or -ENOMEM; the checks are the
 * verdict.
 */
int ledger_verify_checkpoint(struct bytes note, const struct tlog_policy *policy,
                             const struct ledger_time *t, struct ledger_head *out,
                             struct checks *checks);

/*
 * A signed note that need not be a checkpoint: ledger.format, ledger.log-key, ledger.log-signature
 * under the policy's logs, whose names it need not mention. 0 or -ENOMEM. *text is a view into
 * data, set only when the checks passed.
 */
int ledger_verify_note(struct bytes data, const struct tlog_policy *policy, struct bytes *text,
                       struct checks *checks);

/*
 * The cosignatures of a subtree (C2SP tlog-cosignature, type 0x06), as a witness answers to
 * sign-subtree: signature lines and nothing else. Appends ledger.format and
 * ledger.witness-signature: each line of `key` must hold, and there must be one. A cosignature of a
 * subtree that does not start at 0 states no time; *ts is the newest that was stated, 0 for none.
 * UNAVAILABLE where OpenSSL has no ML-DSA-44. 0 or -ENOMEM.
 */
int ledger_verify_subtree(struct bytes lines, const struct vkey *key, const struct subtree *s,
                          uint64_t *ts, struct checks *checks);

enum { TLOG_PROOF_MAX = 131072, TLOG_EXTRA_MAX = 65536, LEAF_MAX = 16384 };

struct tlog_proof {
	struct bytes extra; /* base64 text, unauthenticated */
	uint64_t index;
	struct hash path[PATH_MAX_HASHES];
	uint32_t path_n;
	struct bytes checkpoint; /* view */
};

int ledger_proof_parse(struct bytes text, struct tlog_proof *out);
int ledger_proof_format(const struct tlog_proof *p, struct buf *out);
/*
 * The whole tlog-proof: parse (ledger.proof-format), checkpoint checks as above, then
 * ledger.inclusion of the leaf. A policy without logs fails ledger.log-key here: a proof needs a
 * log that was named. 0 or -ENOMEM.
 */
int ledger_verify_proof(struct bytes text, struct bytes leaf, const struct tlog_policy *policy,
                        const struct ledger_time *t, struct ledger_head *out,
                        struct checks *checks);

/* ----------------------------------------------------------------- sigsum.c */

enum { SIGSUM_KEY = 32, SIGSUM_SIG = 64, SIGSUM_COSIGNATURES_MAX = NOTE_SIGS_MAX - 1 };

struct sigsum_cosignature {
	struct hash key_hash;
	uint64_t time;
	uint8_t sig[SIGSUM_SIG];
};

/* A Sigsum proof, version 2 (sigsum.org, log.md and sigsum-proof.md). */
struct sigsum_proof {
	struct hash log_hash;    /* SHA-256 of the log's key */
	struct hash submit_hash; /* of the submitter's */
	uint8_t leaf_sig[SIGSUM_SIG];
	uint64_t size; /* > 0 */
	struct hash root;
	uint8_t head_sig[SIGSUM_SIG];
	uint32_t cosignatures;
	struct sigsum_cosignature cosignature[SIGSUM_COSIGNATURES_MAX];
	uint64_t index;
	struct hash path[PATH_MAX_HASHES];
	uint32_t path_n;
};

/* 0 or -EINVAL. */
int ledger_sigsum_parse(struct bytes text, struct sigsum_proof *out);
/*
 * A submitter's key: 64 hex digits or a line of OpenSSH ("ssh-ed25519 BASE64 [comment]"). 0 or
 * -EINVAL, also for a key of low order or one that is not canonical.
 */
int ledger_sigsum_key_parse(struct bytes text, uint8_t key[static SIGSUM_KEY]);
/*
 * The whole proof that the owner of submit_key logged `message` (by custom the SHA-256 of a file):
 * ledger.proof-format, ledger.submit-key, ledger.leaf-signature, and then as ledger_verify_proof;
 * a bad cosignature of a witness of the policy refuses here too. 0 or -ENOMEM.
 */
int ledger_verify_sigsum(struct bytes text, const struct hash *message,
                         const uint8_t submit_key[static SIGSUM_KEY],
                         const struct tlog_policy *policy, const struct ledger_time *t,
                         struct ledger_head *out, struct checks *checks);

/* ------------------------------------------------------------------- head.c */

/* An earlier tree of a log that was proved to be part of the last-seen one. */
struct ledger_earlier {
	uint64_t size;
	struct hash root;
	int64_t at; /* ledger_head's quorum_at */
};

enum { LEDGER_EARLIER_MAX = 64 };

/* The last head that was accepted for an origin; size 0 with known == false before the first. */
struct ledger_last {
	bool known;
	struct checkpoint cp;
	int64_t at;         /* quorum_at of the newest note of cp that was accepted */
	uint32_t earlier_n; /* sorted by size, all smaller than cp's */
	struct ledger_earlier earlier[LEDGER_EARLIER_MAX];
};

/*
 * cp becomes the last one, and what was the last is an earlier one from now on; with the same
 * size, only a newer time counts. Never moves back: false, and nothing changed, for a smaller tree
 * or another root.
 */
bool ledger_last_move(struct ledger_last *last, const struct checkpoint *cp, int64_t at);
/*
 * cp was proved to be part of the last one. Without room, the one goes whose neighbours are
 * closest to each other in time: what stays still reaches back far, and is dense where it is new.
 */
void ledger_last_add(struct ledger_last *last, const struct checkpoint *cp, int64_t at);
/* The newest time at which a quorum vouched for any of them; 0: none did. */
int64_t ledger_last_time(const struct ledger_last *last);

enum head_step {
	HEAD_REFUSE = 0,
	HEAD_SAME,    /* equal to what was seen */
	HEAD_FIRST,   /* nothing was known */
	HEAD_ADVANCE, /* newer, and consistency was proved */
	HEAD_AHEAD,   /* newer, no consistency proof at hand: usable now, state stays */
	HEAD_BEHIND, /* older, and proved, now or before, to be part of what was seen: usable now */
};

/*
 * When the leaf of this index was published, as far as the known heads tell: *after is the newest
 * time at which a quorum vouched for a head that does not hold it yet, *before the oldest of one
 * that does; 0: no such head is known. Witnesses vouch for the largest tree that they were shown,
 * and nobody's own word about a time is taken.
 */
void ledger_published_between(const struct ledger_last *last, uint64_t index, int64_t *after,
                              int64_t *before);
/*
 * Appends ledger.clock, as UNAVAILABLE, when `at` is before the time at which a quorum vouched for
 * what was accepted: then the clock was set back, and what is old would look fresh.
 */
void ledger_check_clock(const struct ledger_last *last, int64_t at, struct checks *checks);
/*
 * The last-seen rule. Appends ledger.fork and ledger.rollback, or ledger.first-use when nothing is
 * known: refused if require_known, else accepted. consistency proves the smaller of the two trees
 * to be a prefix of the larger; NULL: none at hand.
 */
enum head_step ledger_head_step(const struct ledger_last *last, const struct checkpoint *cp,
                                const struct hash *consistency, size_t consistency_n,
                                bool require_known, struct checks *checks);

/* -------------------------------------------------------------- evidence.c */

/* What shows that a log has two trees. Nobody has to be believed for it but the log's own key. */
struct ledger_fork {
	struct bytes seen, offered; /* two notes */
	uint64_t from, to;          /* of their sizes, where they differ; else 0 */
	struct hash from_root;      /* what the larger tree has as its first `from` leaves */
	struct hash proof[PATH_MAX_HASHES];
	size_t proof_n;
};

/*
 * Appends ledger.log-signature for each note (or what keeps it from being one of the policy's
 * logs) and ledger.evidence: PASS if they can't both be of one tree. Neither a quorum nor freshness
 * is asked for. 0 or -ENOMEM.
 */
int ledger_judge_fork(const struct ledger_fork *f, const struct tlog_policy *policy,
                      struct checks *checks);

/* -------------------------------------------------------------- statement.c */

/*
 * The leaf: a strict in-toto Statement v1 whose predicate names TEE measurements
 * (docs/ledger.md has the schema).
 */
#define STATEMENT_PREDICATE_MAX 256

/*
 * A register that a statement can name. ledger/ knows no evidence: these are plain names and
 * lengths. The registers of a platform stand together, its launch measurement first: that one is
 * never zero in a statement.
 */
struct statement_register {
	const char *tee;  /* "tdx" */
	const char *name; /* "mrtd" */
	uint8_t len;      /* bytes; 0: of a digest, 32, 48 or 64 */
	bool required;    /* a statement on this platform names it */
};

extern const struct statement_register statement_register[];
extern const size_t statement_registers;
/* Whether a value of n bytes has the length of a register. */
bool statement_register_takes(uint8_t len, size_t n);
/* NULL when no statement can name it. */
const struct statement_register *statement_register_find(const char *tee, const char *name);

enum { STATEMENT_TEES_MAX = 5 };

struct statement_tee {
	char tee[8];
	struct measurements registers;
};

struct statement {
	char subject[256];
	uint8_t subject_sha256[32];
	char predicate_type[STATEMENT_PREDICATE_MAX];
	char version[64];
	struct statement_tee tee[STATEMENT_TEES_MAX]; /* at least one, each platform once */
	uint32_t tees;
	int64_t not_after; /* from this second on it no longer holds; VERDICT_FOREVER: no end */
};

/* The registers that it names of a platform ("snp", "tdx" ...); NULL when it names none. */
const struct measurements *statement_find(const struct statement *s, const char *tee);

/* The predicate type that keygate-log writes; any https URI with this last part is read. */
#define STATEMENT_TYPE        "https://in-toto.io/Statement/v1"
#define STATEMENT_PREDICATE   "https://ledger.example/predicate/tee-measurement/v1"
#define STATEMENT_PREDICATE_V "/tee-measurement/v1"

/*
 * Appends ledger.statement (format) and ledger.expired. 0 when it parsed, expired or not (the
 * checks say which); -EINVAL, -ENOMEM.
 */
int ledger_statement_parse(struct bytes leaf, int64_t at, struct statement *out,
                           struct checks *checks);

/* ------------------------------------------------------------------- sign.c */

/* For those who run a log or a witness. Signing keys are Ed25519 EVP_PKEYs held by the caller. */
int ledger_vkey_of(EVP_PKEY *key, const char *name, enum note_alg alg, struct vkey *out);
int ledger_checkpoint_format(const struct checkpoint *cp, struct buf *out);
/* Appends the signature line (and the blank line first, if text is not a note yet). */
int ledger_note_sign(struct buf *note, const char *name, EVP_PKEY *key);
/* Adds a cosignature/v1 line at time ts to a note. */
int ledger_note_cosign(struct buf *note, const char *name, EVP_PKEY *key, int64_t ts);

/* ---------------------------------------------------------------- witness.c */

/*
 * A witness's add-checkpoint (C2SP tlog-witness). Who serves it over HTTP reads the body, parses
 * it, finds what it remembers of the origin, steps, and only then, with `next` durably written,
 * sends the answer.
 */
enum { WITNESS_REQUEST_MAX = NOTE_MAX + 64 + PATH_MAX_HASHES * 48, WITNESS_REPLY_MAX = 4096 };

#define WITNESS_SIZE_TYPE "text/x.tlog.size" /* the content type of a 409 */

struct witness_request {
	uint64_t old;
	struct hash proof[PATH_MAX_HASHES];
	uint32_t proof_n;
	struct bytes note;    /* view into the body */
	struct checkpoint cp; /* as it claims: nobody's signature was looked at */
};

/* 0, or -EINVAL, which is answered with 400; -ENOMEM. */
int ledger_witness_parse(struct bytes body, struct witness_request *out);

struct witness_self {
	const char *name;
	EVP_PKEY *key; /* Ed25519 */
	int64_t at;    /* the time that the cosignature states, > 0 */
};

struct witness_answer {
	unsigned status; /* 200 400 403 404 409 422 */
	const char *why; /* static text; of a refusal it is the body, save for 409 */
	bool genuine;    /* the log signed r->note, whatever the status */
	bool fork;       /* and another root for the size that is remembered: keep r->note */
	struct ledger_last next; /* 200: what must be remembered before the answer leaves */
};

/*
 * logs: whose checkpoints this witness cosigns; a log's key name is its origin. last: what it
 * remembers of r->cp.origin; not known: nothing. *body gets what is sent: cosignature lines of
 * 200, the size of 409, a line of text else. 0; -ENOMEM or -EINVAL (self can't sign): then there
 * is no answer.
 */
int ledger_witness_step(const struct witness_request *r, const struct tlog_policy *logs,
                        const struct ledger_last *last, const struct witness_self *self,
                        struct witness_answer *out, struct buf *body);

/* The log's side. What a witness may answer at most: a few lines, each at most 3.3 KB. */
enum { WITNESS_ANSWER_MAX = 16384 };

/* The body of an add-checkpoint. 0 or -ENOMEM. */
int ledger_witness_request(uint64_t old, const struct hash *proof, size_t proof_n,
                           struct bytes note, struct buf *out);
/* The body of a 409: a size and a line feed. 0 or -EINVAL. */
int ledger_witness_size_parse(struct bytes body, uint64_t *out);
/*
 * The body of a 200 to the add-checkpoint of `note`: appends to *lines those of this witness, when
 * all of them verify and one counts at t; lines of other keys are left out. Appends
 * ledger.format, ledger.witness-signature, ledger.quorum and ledger.fresh, as far as it comes. 0 or
 * -ENOMEM; the checks are the verdict.
 */
int ledger_witness_reply(struct bytes reply, struct bytes note, const struct vkey *witness,
                         const struct ledger_time *t, struct buf *lines, struct checks *checks);

#endif
