/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What intercept.c and intercept_pin.c share: the open handle. For these two alone.
 */
#ifndef KEYGATE_DAEMON_INTERCEPT_PRIV_H
#define KEYGATE_DAEMON_INTERCEPT_PRIV_H

#include "daemon/intercept.h"

struct gate_bpf;
struct watch_bpf;
struct netns_bpf;
struct ring_buffer;

/* Descriptors of the maps that user space works on; owned by the skeleton. */
struct intercept_maps {
	int config, policy, hosts, names, learned, apps, own, conn, sessions, keys, nets, events,
	        stats;
};

struct intercept {
	struct gate_bpf *gate;
	struct watch_bpf *watch; /* NULL: no keyring watch */
	struct netns_bpf *netns; /* NULL: no namespace watch */
	struct intercept_maps map;
	int file_prog; /* kg_file */
	bool reads;    /* the programs may read what they need of the kernel's structures */
	uint32_t apps; /* for kg_config with the next policy */
	struct ring_buffer *ring;
	bool kernel_tls; /* as intercept_kernel_tls was told */
	/* Valid during intercept_events only. */
	intercept_event_fn event_fn;
	void *event_ctx;
};

/* The ring's consumer, in intercept.c. */
int intercept_on_event(void *ctx, void *data, size_t n);

#endif
