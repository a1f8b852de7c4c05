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
void log_bytes_free(struct bytes b);
/* How many leaves the tiles hold. Logarithmic in it. */
int log_store_size(const struct log_store *s, uint64_t *out);
/* A ledger_tile_fn; ctx is a struct log_store. */
int log_store_tile(void *ctx, unsigned level, uint64_t n, unsigned width,
                   struct hash tile[static TILE_WIDTH]);

/* Leaves on their way into the tiles: the open tile of level 0, and nothing else in memory. */
struct log_appender {
	const struct log_store *store;
	uint64_t published; /* size of the published head */
	uint64_t committed; /* what the tiles hold */
	uint64_t size;
	struct hash tile[TILE_WIDTH];
	struct buf bundle;
};

int log_append_begin(const struct log_store *s, uint64_t published, struct log_appender *out);
int log_append_leaf(struct log_appender *a, struct bytes leaf);
/* Commits what log_append_leaf took. */
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

#endif
