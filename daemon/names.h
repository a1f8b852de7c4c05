/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host names that destinations are given by, and the addresses that these names have by
 * keygated's own resolver; what others said of them is learned.h's. An address stays in force for
 * NAMES_KEEP_S after the name last had it, so that an application that holds on to an old answer is
 * still gated; while a name can't be resolved, what is known stays. STATE/names.json carries it
 * over a restart. Pure but for that file.
 */
#ifndef KEYGATE_DAEMON_NAMES_H
#define KEYGATE_DAEMON_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "daemon/learned.h"
#include "daemon/msg.h"
#include "policy/policy.h"

enum {
	NAMES_ADDRS_MAX = 64, /* what comes beyond is not taken: none in force makes room for it */
	NAMES_KEEP_S = LEARNED_KEEP_S,
	/* When a name is asked for again: at the end of its time to live, within these bounds. */
	NAMES_TTL_MIN_S = 5,
	NAMES_TTL_MAX_S = 300,
	NAMES_TTL_UNKNOWN_S = 60,
	NAMES_RETRY_S = 2,          /* without an answer: at boot, the network comes late */
	NAMES_FILE_MAX = 256 << 20, /* 64 addresses of 100 000 names */
};

struct name {
	char host[254];
	uint32_t n;
	uint8_t addr[NAMES_ADDRS_MAX][16];
	int64_t seen[NAMES_ADDRS_MAX];
	int64_t resolved_at; /* 0: never */
	int32_t err;         /* of the last attempt: 0 or EAI_* */
	uint64_t due_s;      /* on the caller's clock that never goes back; 0: never asked for */
	uint32_t surplus;    /* addresses of the last answer that there was no room for */
	uint32_t use, uses;  /* which of names.use are of it */
};

/* Which name has an address. */
struct name_at {
	uint8_t addr[16];
	uint32_t name;
};

struct names {
	uint32_t n;
	uint32_t turn;  /* where the search for one that is due begins */
	struct name *v; /* owned */
	uint32_t *use;  /* owned: the destinations of each name, ascending */
	/* Owned: sorted by address, then name. NULL: there was no memory for it, each is looked at.
	 */
	struct name_at *at;
	size_t at_n;
};

void names_free(struct names *t);
struct name *names_find(const struct names *t, const char *host);
bool names_has(const struct name *name, const uint8_t addr[static 16]);
/* The names of p, each once, with what old knows of them. 0 or -ENOMEM. */
int names_of_policy(const struct policy *p, const struct names *old, struct names *out);
/*
 * Takes an answer about a name of t; true when the addresses in force changed. A forged answer, or
 * a large one, pushes none of them out: once the table is full of them, what is new is counted in
 * surplus and left out. now is the time of day, up_s the clock of name->due_s.
 */
bool names_learn(struct names *t, struct name *name, const struct msg_resolved *answer, int64_t now,
                 uint64_t up_s);
/* The first that is due, from t->turn on; NULL. */
const struct name *names_next(const struct names *t, uint64_t up_s);
/*
 * Pairs of destination and address for policy_match and policy_compile: of one address, or all
 * (NULL). p is the policy that t is of. *out is malloced. 0 or -ENOMEM.
 */
int names_resolved(const struct names *t, const struct learned *l, const struct policy *p,
                   const uint8_t *addr, struct policy_resolved **out, size_t *n);

int names_save(const struct names *t, const struct learned *l, const char *path);
/*
 * -ENOENT, -EBADMSG (then start with none: they are learnt again), -ENOMEM. In files without a
 * version nothing tells which address was resolved: all count as learned.
 */
int names_load(const char *path, struct names *out, struct learned *learned);

/* "192.0.2.1" or "2001:db8::1", and back (v4-mapped inside). out holds 46 bytes. */
void names_address_text(const uint8_t addr[static 16], char *out);
bool names_address_parse(const char *text, uint8_t out[static 16]);

#endif
