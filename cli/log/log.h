/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log: what its commands share. A log is a directory in C2SP tlog-tiles layout that any
 * static web server can serve:
 *
 *   checkpoint        the signed head; the only file that ever changes
 *   vkey              the log's verifier key, a line, for people and for a witness's first use
 *   tile/L/N[.p/W]    hashes; tile/entries/N[.p/W]: the leaves
 *
 * The tiles are the whole state: the size is what the tiles of level 0 hold, the head that binds
 * the operator is the published checkpoint. Private keys never lie in the directory.
 */
#ifndef KEYGATE_CLI_LOG_LOG_H
#define KEYGATE_CLI_LOG_LOG_H

#include <argp.h>
#include <limits.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/bytes.h"
#include "ledger/ledger.h"

/* Exit status, as keygate's: 2 is a refusal (a fork, a leaf that is not there, a bad log). */
enum { LOG_OK = 0, LOG_ERROR = 1, LOG_REFUSED = 2 };

#define LOG_CHECKPOINT "checkpoint"
#define LOG_VKEY       "vkey"

int log_create(int argc, char **argv);
int log_append(int argc, char **argv);
int log_checkpoint(int argc, char **argv);
int log_prove(int argc, char **argv);
int log_verify(int argc, char **argv);
int log_statement(int argc, char **argv);
int log_vkey(int argc, char **argv);
int log_witness_key(int argc, char **argv);
int log_cosign(int argc, char **argv);
int log_witness_serve(int argc, char **argv);
int log_submit(int argc, char **argv);

/* ------------------------------------------------------------------- main.c */

/* "keygate-log: message" on standard error; returns status. */
__attribute__((format(printf, 2, 3))) int log_error(int status, const char *fmt, ...);
/* The checks of a refusal on standard error; returns LOG_REFUSED. */
int log_refuse(const char *what, const struct checks *checks);
/* Parses with argp; the program ends here on a usage error (1) or after --help (0). */
void log_parse(const struct argp *argp, int argc, char **argv, void *input);
/* A decimal number for an option; ends the program with a usage error. */
uint64_t log_number(const struct argp_state *state, const char *name, const char *text,
                    uint64_t max);

/* ------------------------------------------------------------------- keys.c */

/* An Ed25519 key, new. NULL when it can't be made. */
EVP_PKEY *log_key_new(void);
/* Keys lie in PKCS #8 PEM files of mode 0600; none is ever written over: -EEXIST. 0 or -errno. */
int log_key_save(const char *path, EVP_PKEY *key);
/* LOG_*; says what is wrong. */
int log_key_read(const char *path, EVP_PKEY **out);
/* The vkey of a key under a name, as a line on standard output. LOG_*. */
int log_vkey_print(EVP_PKEY *key, const char *name, enum note_alg alg);
bool log_same_key(const struct vkey *a, const struct vkey *b);

/* ------------------------------------------------------------------ store.c */

struct log_store {
	char dir[PATH_MAX];
	int fd; /* of the directory; holds its lock */
};

/*
 * Opens and locks the directory, alone (write) or with other readers. 0 or -errno; whoever opened
 * it closes it.
 */
int log_store_open(const char *dir, bool write, struct log_store *out);
void log_store_close(struct log_store *s);
/* A file of the directory, whole; *out is freed by log_bytes_free. 0 or -errno. */
int log_store_read(const struct log_store *s, const char *name, size_t max, struct bytes *out);
/* Durable and atomic; makes the folders on the way. */
int log_store_write(const struct log_store *s, const char *name, struct bytes content);
/*
 * Neither: for what nothing refers to yet. log_store_sync makes all of it durable, in one go for
 * the whole file system.
 */
int log_store_put(const struct log_store *s, const char *name, struct bytes content);
int log_store_sync(const struct log_store *s);
void log_bytes_free(struct bytes b);
/* How many leaves the tiles hold. Logarithmic in it. */
int log_store_size(const struct log_store *s, uint64_t *out);
/* A ledger_tile_fn; ctx is a struct log_store. */
int log_store_tile(void *ctx, unsigned level, uint64_t n, unsigned width,
                   struct hash tile[static TILE_WIDTH]);
/* Removes the partial tiles of level 0 in a place. 0 or -errno. */
int log_store_no_partials(const struct log_store *s, uint64_t n);

/* --------------------------------------------------------------- appender.c */

enum { LOG_LEVELS = 8 }; /* 256^8 is more than 2^63 */

/*
 * Leaves on their way into the tiles: the open tile of each level and the bundle of that of level
 * 0; nothing else is in memory, however many leaves there are. They go in by groups: all of a
 * group or, whatever happens, none of it.
 */
struct log_appender {
	const struct log_store *store;
	uint64_t published; /* size of the published head */
	uint64_t committed; /* what the tiles hold, also after a power cut */
	uint64_t size;      /* with the leaves of the open group */
	struct hash tile[LOG_LEVELS][TILE_WIDTH];
	struct buf bundle;
};

/* 0 or -errno, as all of these; freed by log_append_free whatever came of it. */
int log_append_begin(const struct log_store *s, uint64_t published, struct log_appender *out);
/* Commits whenever a tile of level 1 is full: `committed` has moved. */
int log_append_leaf(struct log_appender *a, struct bytes leaf);
/* Commits the open group. */
int log_append_end(struct log_appender *a);
void log_append_free(struct log_appender *a);

/* ------------------------------------------------------------------- note.c */

/* A signed note of a log in the store, by name. */
struct log_note {
	struct bytes data; /* owned */
	struct checkpoint cp;
};

void log_note_free(struct log_note *n);
/* Reads a checkpoint without asking who signed it. LOG_*; says what is wrong. */
int log_note_read(const struct log_store *s, const char *name, struct log_note *out);
/* The same, and refuses when `log` did not sign it for its own name. */
int log_note_verified(const struct log_store *s, const char *name, const struct vkey *log,
                      struct log_note *out);
/* The published checkpoint, and refuses when it is not of this private key. */
int log_note_own(const struct log_store *s, EVP_PKEY *key, struct log_note *out);
/*
 * Appends a note without the signature lines of a key, or (only) with no others. 0, -EINVAL when
 * it is no note, -ENOMEM.
 */
int log_note_filter(struct bytes note, const struct vkey *key, bool only, struct buf *out);

/* A tlog-policy, whole. LOG_*; says what is wrong, and where. */
int log_policy_read(const char *path, struct tlog_policy *out);

/* ----------------------------------------------------------------- memory.c */

/* A witness: its key, and where it remembers. */
struct log_witness {
	const char *name;
	char state[PATH_MAX]; /* the file; notes and evidence are in STATE.notes */
	EVP_PKEY *key;
	struct vkey own;
	int lock; /* the key's file: two that use one memory take turns */
};

/* What it remembers of one origin. */
struct log_memory {
	struct ledger_last last;
	struct vkey log;
	bool has_log;
};

/* state NULL: the key's file with ".state" behind. name stays the caller's. LOG_*. */
int log_witness_open(const char *key_file, const char *name, const char *state,
                     struct log_witness *out);
void log_witness_close(struct log_witness *w);
/* Waits until it is alone with the memory. 0 or -errno. */
int log_witness_lock(const struct log_witness *w);
void log_witness_unlock(const struct log_witness *w);
/* 0; -EBADMSG when the file is not a witness's state; -errno. */
int log_witness_recall(const struct log_witness *w, const char *origin, struct log_memory *out);
/*
 * Answers add-checkpoint, with the witness locked: what is to be remembered is on the disk when
 * this returns. log is the key of r->cp.origin; NULL: no such log is served. peer: who sent it, for
 * the evidence of a fork. body gets what ledger_witness_step says. 0; -errno: there is no answer.
 */
int log_witness_add(const struct log_witness *w, const struct witness_request *r,
                    const struct vkey *log, const char *peer, int64_t at,
                    struct witness_answer *out, struct buf *body);
/* The note of this size as it was cosigned; *out is freed by log_bytes_free. 0 or -errno. */
int log_witness_note(const struct log_witness *w, const char *origin, uint64_t size,
                     struct bytes *out);
/* The hexadecimal SHA-256 of an origin, by which witnesses name logs. */
enum { LOG_ORIGIN_HEX = 2 * HASH_LEN + 1 };
void log_origin_hex(const char *origin, char out[static LOG_ORIGIN_HEX]);

/* ------------------------------------------------------------------- http.c */

struct log_http_request {
	const char *method;
	const char *path; /* as it came, without the query */
	const char *peer; /* the address that sent it */
	struct bytes body;
};

struct log_http_reply {
	unsigned status;
	const char *type;  /* static text */
	const char *allow; /* 405: which methods; static text */
	struct buf body;
};

/* One request at a time, so answering needs no lock within the process. */
typedef void (*log_http_fn)(void *ctx, const struct log_http_request *q,
                            struct log_http_reply *out);

/* A listening socket on "192.0.2.1:80" or "[2001:db8::1]:80"; -EINVAL for another form, -errno. */
int log_http_listen(const char *address);
/*
 * Serves until SIGTERM or SIGINT, and then what was begun. A request has at most body_max bytes.
 * The socket is closed in any case. 0 or -errno.
 */
int log_http_serve(int listener, size_t body_max, log_http_fn answer, void *ctx);

#endif
