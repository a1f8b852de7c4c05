/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of intercept.h share: the open handle. For these alone.
 */
#ifndef KEYGATE_DAEMON_INTERCEPT_PRIV_H
#define KEYGATE_DAEMON_INTERCEPT_PRIV_H

#include <limits.h>
#include "daemon/intercept.h"

struct bpf_object;
struct gate_bpf;
struct guard_bpf;
struct watch_bpf;
struct netns_bpf;
struct tunnel_bpf;
struct ring_buffer;

/* Descriptors of the maps that user space works on; owned by the skeleton. */
struct intercept_maps {
	int config, policy, hosts, names, learned, told, tellers, apps, own, conn, sessions, keys,
	        nets, events, stats;
};

struct intercept {
	char dir[PATH_MAX]; /* of the pins */
	struct gate_bpf *gate;
	struct watch_bpf *watch;   /* NULL: no keyring watch */
	struct netns_bpf *netns;   /* NULL: no namespace watch */
	struct tunnel_bpf *tunnel; /* NULL: PPPOX sockets are everybody's */
	struct guard_bpf *guard;   /* NULL: no guard, and then ... */
	const char *guard_off;     /* ... static text that says why */
	struct intercept_maps map;
	int file_prog;    /* kg_file */
	int names;        /* the table of names before the last; -1: none */
	bool names_early; /* the last is there before its policy */
	bool reads;       /* the programs may read what they need of the kernel's structures */
	uint32_t apps;    /* for kg_config with the next policy */
	struct ring_buffer *ring;
	bool kernel_tls; /* as intercept_kernel_tls was told */
	/* Valid during intercept_events only. */
	intercept_event_fn event_fn;
	void *event_ctx;
};

/* CLOCK_BOOTTIME, in intercept.c; as is the ring's consumer. */
uint64_t intercept_boot_ns(void);
int intercept_on_event(void *ctx, void *data, size_t n);

/* Attaches and pins an object's tracing and LSM programs, in intercept_pin.c. 0 or -errno. */
int intercept_attach_traces(const struct bpf_object *obj, const char *dir);

/* intercept_guard.c: before anything of the gate is opened; and when all is, what links there are.
 */
void guard_open(struct intercept *i, const char *dir);
void guard_links(const struct intercept *i, const char *dir);
/* What is guarded from now on: the maps and programs that there are. */
void guard_renew(const struct intercept *i);
void guard_close(struct intercept *i);

/* intercept_others.c. A descriptor of a map of that name, the caller's; -ENOENT, -errno. */
int others_map(const char *dir, const char *name);
/*
 * Puts what they learned of the names in this table (struct gate_name -> struct gate_rules) into
 * kg_learned. After the table is in kg_names, so that nothing is missed in between.
 */
int others_learned(const struct intercept *i, int names);
/* Detaches and unpins all of them. */
int others_remove(const char *dir);

#endif
