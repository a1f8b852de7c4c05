/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keygated must not forget: the last accepted head of every log, in DIR/ledger/X/ where X is
 * the hex SHA-256 of the origin:
 *
 *   head.json   {"version": 2, "origin", "size", "root" (hex), "saved_at", "at", "earlier"}; at is
 *               when a quorum of witnesses vouched for the head; earlier are the trees that were
 *               proved to be part of it: [{"size", "root", "at"}]. Without a version it is an
 *               older keygated's and has the first members only.
 *   head.note   the signed note it came from
 *   fork-T.json the evidence of a fork noticed at unix time T (docs/json.md)
 *   watch.json  {"version": 1, "origin", "size", "names", "dropped", "alerts"}: how many of the
 * log's entries were read, and what was alerted of them (docs/json.md); unlike a head it may be
 * lost: then they are read again
 *
 * An origin with a file fork-* stays forked until it is forgotten, or until somebody takes those
 * files away while keygated is down. What is forgotten is moved to DIR/ledger/forgotten-T-X. A head
 * only moves forward. A file that can't be read back exactly stops
 * keygated at start: a forgotten head would be a rollback. Knows files, not signatures: what it is
 * given was verified.
 */
#ifndef KEYGATE_DAEMON_STATE_H
#define KEYGATE_DAEMON_STATE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include "core/bytes.h"
#include "ledger/ledger.h"
#include "policy/policy.h"

enum { STATE_HEADS_MAX = 256, STATE_FORKS_MAX = 32 };

struct state_head {
	struct ledger_last last;
	int64_t saved_at;
	uint32_t forks; /* fork records on disk */
	bool forked;    /* two trees were seen, whether or not that could be written */
};

struct state {
	char dir[PATH_MAX]; /* DIR/ledger */
	uint32_t n;
	struct state_head head[STATE_HEADS_MAX];
};

/*
 * Makes DIR and DIR/ledger (0700) where missing and reads all heads. -EBADMSG for a head that
 * doesn't parse, with its path in bad; -ENOSPC for too many; -errno.
 */
int state_open(const char *dir, struct state *s, char bad[static PATH_MAX]);
/* known == false when there is none. */
void state_last(const struct state *s, const char *origin, struct ledger_last *out);
const struct state_head *state_find(const struct state *s, const char *origin);
bool state_forked(const struct state *s, const char *origin);
/*
 * Makes cp the last head, vouched for at `at`, on disk before it returns; or renews the note of the
 * same head. -EINVAL for a move back, for another root at the same size, for any move of a forked
 * origin, and for a bad origin; -ENOSPC; -errno. Nothing changed on failure, but a newer head.note
 * may be there: head.json decides.
 */
int state_advance(struct state *s, const struct checkpoint *cp, int64_t at, struct bytes note,
                  int64_t now);
/* cp was proved to be part of the last head. -EINVAL for one that is not smaller; -ENOENT; -errno.
 */
int state_earlier(struct state *s, const struct checkpoint *cp, int64_t at, int64_t now);
/* The note of the last head; malloced. -ENOENT, -errno. */
int state_note(const struct state *s, const char *origin, uint8_t **note, size_t *n);

/* What shows a fork beside the note of the last head. */
struct state_evidence {
	const char *origin;
	const char *peer;             /* who showed it */
	struct bytes offered;         /* the other note; empty: it was lost */
	uint64_t from, to;            /* to 0: no proof was tried, the sizes are the same */
	const struct hash *from_root; /* what the larger tree has as its first `from` leaves */
	const struct hash *proof;     /* that it does */
	size_t proof_n;
};

/*
 * Keeps the evidence of a fork; the origin is forked from now on even where that fails. path gets
 * the file's. -EEXIST when this second has one already, -ENOSPC beyond STATE_FORKS_MAX for one
 * origin, -ENOENT for an origin never seen.
 */
int state_fork(struct state *s, const struct state_evidence *e, int64_t now,
               char path[static PATH_MAX]);
/* The origin's evidence, a JSON object each, in an array; NULL: out of memory. */
struct json_t *state_evidence_list(const struct state *s, const char *origin);
/* Its directory is moved away, head and evidence. -ENOENT for an origin never seen; -errno. */
int state_forget(struct state *s, const char *origin, int64_t now, char path[static PATH_MAX]);

/* A file of this origin, which has a head. 0 or -errno; state_write_json takes no reference. */
int state_file_of(const struct state *s, const char *origin, const char *file,
                  char out[static PATH_MAX]);
int state_write_json(const char *path, struct json_t *o);

/* ---------------------------------------------------------- state_watch.c */

enum { STATE_ALERTS_MAX = 128 };

struct state_alert {
	int64_t at;
	struct policy_alert alert;
};

struct state_watch {
	uint64_t size;     /* entries below it were read ... */
	uint8_t names[32]; /* ... for these names: a digest of the policy's patterns */
	uint64_t dropped;  /* older alerts that there was no room for */
	uint32_t n;
	struct state_alert v[STATE_ALERTS_MAX]; /* oldest first */
};

/* 0; -ENOENT when nothing was read yet; -EBADMSG for what is damaged, -errno: *out is empty then.
 */
int state_watch_read(const struct state *s, const char *origin, struct state_watch *out);
/* On disk before it returns. 0 or -errno. */
int state_watch_write(const struct state *s, const char *origin, const struct state_watch *w);
/* Without room the oldest one goes. */
void state_watch_add(struct state_watch *w, const struct policy_alert *a, int64_t at);
void state_watch_remove(struct state_watch *w, uint32_t i);
/* {"index", "at", "leaf", "code", "subject", "version", "detail", "launch": [...]}; NULL: no memory
 */
struct json_t *state_alert_json(const struct state_alert *x);

#endif
