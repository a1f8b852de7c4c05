/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What keygated must not forget: the last accepted head of every log, in DIR/ledger/X/ where X is
 * the hex SHA-256 of the origin:
 *
 *   head.json   {"origin", "size", "root" (hex), "saved_at"}
 *   head.note   the signed note it came from
 *   fork-T-seen.note, fork-T-offered.note   both sides of a fork noticed at unix time T
 *
 * An origin with a fork record stays forked until somebody takes its fork-* files away while
 * keygated is down. A head only moves forward. A file that can't be read back exactly stops
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

enum { STATE_HEADS_MAX = 256, STATE_FORKS_MAX = 32 };

struct state_head {
	struct checkpoint cp;
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
 * Makes cp the last head, on disk before it returns. -EINVAL for a move back, for another root at
 * the same size, for any move of a forked origin, and for a bad origin; -ENOSPC; -errno. Nothing
 * changed on failure, but a newer head.note may be there: head.json decides.
 */
int state_advance(struct state *s, const struct checkpoint *cp, struct bytes note, int64_t now);
/*
 * Keeps both sides of a fork; the origin is forked from now on even where that fails. path gets
 * that of the offered side. -EEXIST when this second has one already, -ENOSPC beyond
 * STATE_FORKS_MAX for one origin, -ENOENT for an origin never seen.
 */
int state_fork(struct state *s, const char *origin, struct bytes offered, int64_t now,
               char path[static PATH_MAX]);

#endif
