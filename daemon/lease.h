/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases that gate keeps: a place for each destination (its name, what it demands, address,
 * port and network namespace), and in it a lease, a session that is at getting one, or that there
 * is none to be had. The rules of who uses, gets, or waits for one. Pure bookkeeping: no keyring,
 * no sockets, no clock.
 *
 * One session leads: it is attested and asks for a lease. Those that come meanwhile wait for what
 * it brings. In the last fifth of a lease's time one session leads again while the others go on
 * with the lease there is. A destination that grants none is asked again after a while; until then
 * everybody is attested alone.
 */
#ifndef KEYGATE_DAEMON_LEASE_H
#define KEYGATE_DAEMON_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include "attest/lease.h"
#include "core/verdict.h"
#include "daemon/shown.h"
#include "keyring/keyring.h"
#include "ledger/ledger.h"
#include "policy/policy.h"

enum {
	LEASES_MAX = 1024,
	LEASE_QUIET_MS = 60000, /* after a destination granted none, or a renewal failed */
};

struct lease_key {
	char name[POLICY_NAME_MAX]; /* of the destination; zeros behind it */
	uint8_t digest[32];         /* of its requirement */
	uint8_t dst[16];
	uint16_t dst_port;
	uint64_t netns; /* cookie: an address is another machine's in another namespace */
};

/* Where a lease is, and what a session that rests on it takes over. */
struct lease_held {
	struct keyring_leased key; /* serial 0: there is no lease */
	uint64_t session;          /* that was attested */
	uint16_t suite;
	uint8_t psk_len;
	uint8_t identity[ATTEST_LEASE_IDENTITY_LEN];
	struct verdict *verdict; /* owned; passed */
	struct shown *shown;     /* held; NULL: it can't be judged again */
	int64_t made_at, renew_at;
	uint64_t uses;
	/* As in struct session. */
	bool ahead;
	struct checkpoint head;
	uint32_t ledger;
};

struct lease {
	bool taken; /* the place */
	struct lease_key key;
	uint64_t leader;         /* session that is at getting a lease; 0: none */
	uint64_t quiet_until_ns; /* CLOCK_BOOTTIME; until then nobody tries to get one */
	struct lease_held held;
};

struct lease_table {
	struct lease place[LEASES_MAX];
};

/* Zero is the one that needs nothing of the others. */
enum lease_way {
	LEASE_ALONE = 0, /* be attested, ask for no lease */
	LEASE_LEAD,      /* be attested, and ask for one */
	LEASE_WAIT,      /* for the one who leads */
	LEASE_USE,
};

bool lease_same(const struct lease_key *a, const struct lease_key *b);
struct lease *lease_of(struct lease_table *t, const struct lease_key *key);
/*
 * The place of key, or a new one. NULL when all are taken: by leases, by sessions that lead, or by
 * those who are quiet.
 */
struct lease *lease_place(struct lease_table *t, const struct lease_key *key, uint64_t now_ns);
/* Is there a lease, good at now (POSIX seconds)? */
bool lease_good(const struct lease *l, int64_t now);
/* For one more session; l may be NULL: no place. */
enum lease_way lease_way(const struct lease *l, int64_t now, uint64_t now_ns);
void lease_lead(struct lease *l, uint64_t session);
/* The one that leads is done with it, whatever it brought; false: this session did not lead. */
bool lease_led(struct lease *l, uint64_t session);
/* Nobody tries for a while. */
void lease_quiet(struct lease *l, uint64_t now_ns);
/*
 * Puts a lease in (its verdict is the table's now) and sets when to renew it. The one before is
 * moved to *old, whose verdict is freed already: its key is the caller's to end. key.serial 0:
 * there was none.
 */
void lease_put(struct lease *l, const struct lease_held *held, int64_t now, struct lease_held *old);
/* Takes it out, likewise. */
void lease_drop(struct lease *l, struct lease_held *out);
/* The next place with a lease after this one (NULL: the first); NULL: no more. */
struct lease *lease_next(struct lease_table *t, const struct lease *after);
/* All verdicts; the keys are the caller's to end before. */
void lease_free_all(struct lease_table *t);

#endif
