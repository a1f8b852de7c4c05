/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases that this process has granted: the secret of each, the name that it is for, and its
 * end. They live in locked memory of this process and nowhere else, so that a lease is never older
 * than the process that was attested. Used from many threads. Knows no sockets.
 */
#ifndef KEYGATE_ATTESTER_LEASE_H
#define KEYGATE_ATTESTER_LEASE_H

#include <stdint.h>
#include <openssl/ssl.h>
#include "attest/lease.h"
#include "core/bytes.h"

enum {
	/* A lease has one set where it can be, by its identity, which nobody chooses. */
	LEASE_SETS = 256,
	LEASE_WAYS = 16,
	LEASE_PLACES = LEASE_SETS * LEASE_WAYS,
	LEASE_SECONDS = 3600,      /* granted where nothing else is said */
	LEASE_SECONDS_MAX = 86400, /* that may be said */
};

struct lease_table;

int64_t lease_now(void); /* seconds, CLOCK_BOOTTIME: it goes on while the machine sleeps */

/* NULL with errno set: it takes half a megabyte of locked memory (RLIMIT_MEMLOCK). */
struct lease_table *lease_table_new(void);
void lease_table_free(struct lease_table *t);
/* All leases end; the table stays, for who may still use it. */
void lease_table_wipe(struct lease_table *t);
/* How many have not ended. */
size_t lease_table_count(struct lease_table *t, int64_t now);

/*
 * Grants the lease that this connection exports for the context of its request, to clients that ask
 * for this name (empty: for none) by SNI. In a full set the one that ends first makes place. 0 or
 * -errno.
 */
int lease_grant(struct lease_table *t, SSL *ssl, const uint8_t context[static 32],
                struct bytes name, int64_t end, int64_t now);

/*
 * The PSK of the lease with this identity, for the handshake of ssl, if it is for this name and for
 * the suite that was chosen for this handshake, and has not ended. NULL: none, or no memory.
 */
SSL_SESSION *lease_find(struct lease_table *t, SSL *ssl, struct bytes identity, struct bytes name,
                        int64_t now);

#endif
