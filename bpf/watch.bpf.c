// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The keyring watch: when a key that stands for a session is revoked or invalidated, the session is
 * cut in the same call, before the revoker returns. Attaches to internal functions of the kernel,
 * so it is an object of its own that may fail to load; keygated's look at its keys is the
 * guarantee.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bpf/maps.bpf.h"

/* The one field that is read; its offset comes from the running kernel's types. */
struct key {
	__s32 serial;
} __attribute__((preserve_access_index));

static __always_inline int cut(struct key *key)
{
	__s32 serial = key->serial;
	__u64 *session = bpf_map_lookup_elem(&kg_keys, &serial);
	struct gate_session *s;
	struct gate_event *e;
	__u64 id;

	if (!session)
		return 0;
	id = *session;
	s = bpf_map_lookup_elem(&kg_sessions, &id);
	if (!s || __sync_lock_test_and_set(&s->state, GATE_SESSION_CUT) == GATE_SESSION_CUT)
		return 0;
	count(GATE_STAT_REVOKED);
	e = event_reserve(GATE_EVENT_REVOKED);
	if (!e)
		return 0;
	e->rule = GATE_RULE_DEFAULT;
	e->session = id;
	e->uid = (__u32)bpf_get_current_uid_gid();
	e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("fentry/key_revoke")
int kg_key_revoke(__u64 *args)
{
	return cut((struct key *)args[0]);
}

SEC("fentry/key_invalidate")
int kg_key_invalidate(__u64 *args)
{
	return cut((struct key *)args[0]);
}

/* Later kernels than 6.1 show their structures only to programs whose licence they call compatible.
 */
char LICENSE[] SEC("license") = "GPL";
