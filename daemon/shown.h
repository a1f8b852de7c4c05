/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a verdict was made of, kept to be judged again under newer collateral: by a session, and by
 * the lease that it brought and the sessions that rest on that. One copy for all of them.
 */
#ifndef KEYGATE_DAEMON_SHOWN_H
#define KEYGATE_DAEMON_SHOWN_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/msg.h"

struct shown {
	uint32_t holders;
	struct msg_shown by;
	uint8_t *cmw; /* owned */
	size_t n;
};

/* Takes over cmw, also when it returns NULL (out of memory). */
struct shown *shown_new(const struct msg_shown *by, uint8_t *cmw, size_t n);
/* One more holder; s may be NULL. */
struct shown *shown_hold(struct shown *s);
/* One less; the last one frees. */
void shown_drop(struct shown *s);

#endif
