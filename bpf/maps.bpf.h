/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The maps, and what every program does with counters and events. Both objects declare all maps
 * from here; user space makes each once and hands it to both.
 */
#ifndef KEYGATE_BPF_MAPS_BPF_H
#define KEYGATE_BPF_MAPS_BPF_H

#include "bpf/gate.h"

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
	__uint(max_entries, 1 << 20);
} kg_events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GATE_STAT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} kg_stats SEC(".maps");

static __always_inline void count(__u32 stat)
{
	__u64 *n = bpf_map_lookup_elem(&kg_stats, &stat);

	if (n)
		__sync_fetch_and_add(n, 1);
}

/* A zeroed event with its kind set, or NULL when the ring is full (counted). */
static __always_inline struct gate_event *event_reserve(enum gate_event_kind kind)
{
	struct gate_event *e = bpf_ringbuf_reserve(&kg_events, sizeof(*e), 0);

	if (!e) {
		count(GATE_STAT_EVENT_LOST);
		return NULL;
	}
	__builtin_memset(e, 0, sizeof(*e));
	e->kind = kind;
	return e;
}

#endif
