/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What answers to applications said of names: addresses that keygated did not resolve itself. Who
 * can send this host a packet may have made them up, so none of them ever opens anything (see
 * struct policy_resolved), they are bounded on their own, and each is remembered with whom it was
 * said to. Pure.
 */
#ifndef KEYGATE_DAEMON_LEARNED_H
#define KEYGATE_DAEMON_LEARNED_H

#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>
#include "bpf/gate.h"

enum {
	LEARNED_MAX = GATE_LEARNED_MAX / 2, /* beyond that old ones go */
	LEARNED_NAME_MAX = 64,              /* of one name, likewise */
	LEARNED_ROOM = 2 * GATE_LEARNED_MAX,
	LEARNED_KEEP_S = 86400,
	/* For so long it stays whatever comes: who was told is about to connect. */
	LEARNED_YOUNG_S = 600,
};

struct learned_address {
	uint8_t addr[16];
	char host[254];
	uint32_t uid; /* of who asked */
	int64_t seen; /* when an answer last said so */
};

struct learned {
	uint32_t n, room;
	struct learned_address *v; /* owned; sorted by address, then host */
};

void learned_free(struct learned *l);
/* 1: it is new; 0: known, and seen again; -ENOSPC, -ENOMEM. */
int learned_note(struct learned *l, const struct learned_address *a);
bool learned_has(const struct learned *l, const uint8_t addr[static 16], const char *host);
/* The first of an address, or the place where it would be. */
uint32_t learned_first(const struct learned *l, const uint8_t addr[static 16]);
void learned_drop(struct learned *l, uint32_t at);
/*
 * The one that is to go since there are too many, of one name or (host NULL) in all: of the user to
 * whom most were said the one that was not said for the longest time. -1: none.
 */
int64_t learned_victim(const struct learned *l, const char *host, int64_t now);

/* {host: {address: [seen, uid]}} */
json_t *learned_to_json(const struct learned *l);
/* 0, -EBADMSG, -ENOMEM; then *l is what was read so far. */
int learned_from_json(json_t *o, struct learned *l);

#endif
