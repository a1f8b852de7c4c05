/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The maps, and what every program does with counters and events. All objects declare all maps
 * from here; user space makes each once and hands it to all.
 */
#ifndef KEYGATE_BPF_MAPS_BPF_H
#define KEYGATE_BPF_MAPS_BPF_H

#include <stdbool.h>
#include "bpf/gate.h"

/* Events of one kind that a CPU reports in a second; the rest are only counted. */
#define EVENTS_A_SECOND 256
#define SECOND_NS       1000000000ull
#define EVENTS_ROOM     (1 << 20) /* bytes */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gate_config);
} kg_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_SESSIONS_MAX);
	__type(key, __u64);
	__type(value, struct gate_session);
} kg_sessions SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_SESSIONS_MAX);
	__type(key, __s32);
	__type(value, __u64);
} kg_keys SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EVENTS_ROOM);
} kg_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GATE_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} kg_stats SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_NETS_MAX);
	__type(key, __u64);
	__type(value, struct gate_net);
} kg_nets SEC(".maps");

struct limit {
	__u64 since;
	__u64 n;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GATE_EVENT_KINDS);
	__type(key, __u32);
	__type(value, struct limit);
} kg_limit SEC(".maps");

static __always_inline void count(__u32 stat)
{
	__u64 *n = bpf_map_lookup_elem(&kg_stats, &stat);

	if (n)
		__sync_fetch_and_add(n, 1);
}

static __always_inline void event_lost(enum gate_event_kind kind)
{
	count(kind == GATE_EVENT_MONITOR ? GATE_STAT_MONITOR_LOST : GATE_STAT_EVENT_LOST);
}

/* A zeroed event with its kind set, or NULL when the ring is full (counted). */
static __always_inline struct gate_event *event_reserve(enum gate_event_kind kind)
{
	struct gate_event *e = bpf_ringbuf_reserve(&kg_events, sizeof(*e), 0);

	if (!e) {
		event_lost(kind);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	return e;
}

/* What any program may cause by repetition must not crowd out the ring. */
static __always_inline struct gate_event *event_begin(enum gate_event_kind kind)
{
	__u64 now = bpf_ktime_get_boot_ns();
	__u32 key = kind;
	struct limit *l = bpf_map_lookup_elem(&kg_limit, &key);

	if (!l)
		return NULL;
	if (now - l->since >= SECOND_NS) {
		l->since = now;
		l->n = 0;
	}
	if (kind != GATE_EVENT_DEADLINE && l->n >= EVENTS_A_SECOND) {
		event_lost(kind);
		return NULL;
	}
	l->n++;
	return event_reserve(kind);
}

/* While nobody reads, half of the ring stays for events that tell of refusals. */
static __always_inline bool ring_has_room(void)
{
	return bpf_ringbuf_query(&kg_events, BPF_RB_AVAIL_DATA) < EVENTS_ROOM / 2;
}

/* Of a network namespace that user space does not know; tid is a thread that is in it. */
static __always_inline void tell_of_netns(enum gate_event_kind kind, __u64 netns, __u32 tid)
{
	struct gate_event *e;

	if (bpf_map_lookup_elem(&kg_nets, &netns))
		return;
	if (!ring_has_room()) {
		event_lost(kind);
		return;
	}
	e = event_begin(kind);
	if (!e)
		return;
	e->netns = netns;
	e->pid = tid;
	bpf_ringbuf_submit(e, 0);
}

#endif
