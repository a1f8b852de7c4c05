// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The keyring watch: when a key that stands for a session, or the ring that it is in, is revoked or
 * invalidated, the session is cut in the same call, before the revoker returns. When the key is
 * unlinked or its ring cleared, the kernel destroys it a moment later, and that cuts. A new timeout
 * of key or ring is a new end of the session, if it is sooner. Attaches to internal functions of
 * the kernel, so it is an object of its own that may fail to load, and then as a whole; keygated's
 * look at its keys is the guarantee.
 *
 * Each of these functions runs for every key of the host, so each program first looks the serial up
 * and is done with those of others. All are called in process context, none from an interrupt.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bpf/kernel.bpf.h"
#include "bpf/maps.bpf.h"

static __always_inline void cut(__u64 id, struct gate_session *s)
{
	struct gate_event *e;

	if (__sync_lock_test_and_set(&s->state, GATE_SESSION_CUT) == GATE_SESSION_CUT)
		return;
	count(GATE_STAT_REVOKED);
	e = event_reserve(GATE_EVENT_REVOKED);
	if (!e)
		return;
	e->rule = GATE_RULE_DEFAULT;
	e->session = id;
	e->uid = (__u32)bpf_get_current_uid_gid();
	e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	bpf_ringbuf_submit(e, 0);
}

/* What happened to the key or ring: it is over, or (end_ns) will be. */
struct ending {
	__s32 ring;
	__u64 end_ns; /* CLOCK_BOOTTIME; 0: now */
};

static __always_inline void end_session(__u64 id, struct gate_session *s, const struct ending *e)
{
	if (!e->end_ns)
		cut(id, s);
	else if (e->end_ns < s->deadline_ns)
		s->deadline_ns = e->end_ns;
}

/* Of all sessions. */
static long end_if_in_ring(const void *map, const __u64 *id, struct gate_session *s,
                           struct ending *e)
{
	(void)map;
	if (s->ring == e->ring)
		end_session(*id, s, e);
	return 0;
}

static __always_inline int ends(const struct key *key, __u64 end_ns)
{
	struct ending e = {.ring = key->serial, .end_ns = end_ns};
	__u64 *found = bpf_map_lookup_elem(&kg_keys, &e.ring);
	struct gate_session *s;
	__u64 id;

	if (!found)
		return 0;
	id = *found;
	if (id == GATE_KEY_RING) {
		bpf_for_each_map_elem(&kg_sessions, end_if_in_ring, &e, 0);
		return 0;
	}
	s = bpf_map_lookup_elem(&kg_sessions, &id);
	if (s)
		end_session(id, s, &e);
	return 0;
}

SEC("fentry/key_revoke")
int kg_key_revoke(__u64 *args)
{
	return ends((const struct key *)args[0], 0);
}

SEC("fentry/key_invalidate")
int kg_key_invalidate(__u64 *args)
{
	return ends((const struct key *)args[0], 0);
}

/* The last reference is gone, whatever took it away; the garbage collector is at it. */
SEC("fentry/security_key_free")
int kg_key_destroy(__u64 *args)
{
	const struct key *key = (const struct key *)args[0];
	__s32 serial = key->serial;

	(void)ends(key, 0);
	/* The number may be another key's one day. */
	bpf_map_delete_elem(&kg_keys, &serial);
	return 0;
}

/* KEYCTL_SET_TIMEOUT, before it takes effect. 0 takes a timeout away: the session keeps its end. */
SEC("fentry/key_set_timeout")
int kg_key_timeout(__u64 *args)
{
	__u64 seconds = args[1] & 0xffffffff;

	if (!seconds)
		return 0;
	return ends((const struct key *)args[0], bpf_ktime_get_boot_ns() + seconds * 1000000000ull);
}

/* Later kernels than 6.1 show their structures only to programs whose licence they call compatible.
 */
char LICENSE[] SEC("license") = "GPL";
