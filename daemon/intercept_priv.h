/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What intercept.c and intercept_pin.c share: the open handle. For these two alone.
 */
#ifndef KEYGATE_DAEMON_INTERCEPT_PRIV_H
#define KEYGATE_DAEMON_INTERCEPT_PRIV_H

#include "daemon/intercept.h"

struct gate_bpf;
struct watch_bpf;
struct ring_buffer;

/* Descriptors of the maps that user space works on; owned by the skeleton. */
struct intercept_maps {
	int config, policy, own, conn, sessions, keys, events, stats;
};

struct intercept {
	struct gate_bpf *gate;
	struct watch_bpf *watch; /* NULL: no keyring watch */
	struct intercept_maps map;
	struct ring_buffer *ring;
	/* Valid during intercept_events only. */
	intercept_event_fn event_fn;
	void *event_ctx;
};

/* The ring's consumer, in intercept.c. */
int intercept_on_event(void *ctx, void *data, size_t n);

#endif
