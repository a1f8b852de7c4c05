/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose the connections are that are open: so many at once, and the last of them not for a client
 * that has half already, so that none shuts out the others by connecting. A client is an IPv4
 * address, or the first half of an IPv6 address, of which one host has as many as it likes.
 */
#ifndef KEYGATE_ATTESTER_PLACES_H
#define KEYGATE_ATTESTER_PLACES_H

#include <pthread.h>
#include <stdint.h>
#include <sys/socket.h>

/* A connection's; the caller's memory, from take to leave. */
struct place {
	uint8_t client[16];
	struct place *next, **at;
};

struct places {
	pthread_mutex_t lock; /* PTHREAD_MUTEX_INITIALIZER, and zero behind it */
	struct place *first;
	unsigned n;
};

enum places_answer { PLACES_FULL = 0, PLACES_HALF_TAKEN, PLACES_TAKEN };

/* PLACES_HALF_TAKEN: this client has half of max, and no more than an eighth of max is left. */
enum places_answer places_take(struct places *p, unsigned max, const struct sockaddr_storage *from,
                               struct place *out);
void places_leave(struct places *p, struct place *place);

#endif
