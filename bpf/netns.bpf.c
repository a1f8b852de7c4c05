// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The namespace watch: tells user space of a network namespace as soon as a task is in it, long
 * before that connects anywhere, and when one leaves it. It informs only; an object of its own,
 * since it attaches to internal functions of the kernel, each of which may be missing. Without it
 * namespaces are noticed by their first socket, and by the mounts that hold them.
 *
 * A task is born in its namespace, goes into it by unshare or setns, and leaves it by these or by
 * its end. Nothing of this is on the way of a packet or a connection.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include "bpf/kernel.bpf.h"
#include "bpf/maps.bpf.h"

#define CLONES_NET    0x40000000 /* CLONE_NEWNET */
#define LEAVE_EACH_NS 100000000ull

static __always_inline struct net *net_of(const struct nsproxy *p)
{
	return p ? p->net_ns : NULL;
}

static __always_inline int entered(const struct task_struct *task)
{
	struct net *net = net_of(task->nsproxy);

	if (net)
		tell_of_netns(GATE_EVENT_NETNS_MADE, net->net_cookie, (__u32)task->pid);
	return 0;
}

/* Of many that leave at a time one is told; user space looks a while later. */
static __always_inline int leaves(const struct task_struct *task, const struct nsproxy *next)
{
	struct net *net = net_of(task->nsproxy);
	__u64 now = bpf_ktime_get_boot_ns(), cookie;
	struct gate_event *e;
	struct gate_net *n;

	if (!net || net == net_of(next))
		return 0;
	cookie = net->net_cookie;
	n = bpf_map_lookup_elem(&kg_nets, &cookie);
	if (!n || !n->watched || now - n->told_ns < LEAVE_EACH_NS)
		return 0;
	n->told_ns = now;
	e = event_begin(GATE_EVENT_NETNS_LEFT);
	if (!e)
		return 0;
	e->netns = cookie;
	e->pid = (__u32)task->pid;
	bpf_ringbuf_submit(e, 0);
	return 0;
}

SEC("tp_btf/task_newtask")
int kg_netns_born(__u64 *args)
{
	return args[1] & CLONES_NET ? entered((const struct task_struct *)args[0]) : 0;
}

SEC("fexit/switch_task_namespaces")
int kg_netns_entered(__u64 *args)
{
	return entered((const struct task_struct *)args[0]);
}

SEC("fentry/switch_task_namespaces")
int kg_netns_left(__u64 *args)
{
	return leaves((const struct task_struct *)args[0], (const struct nsproxy *)args[1]);
}

/* It calls the function above, but a compiler may have merged the two. */
SEC("fentry/exit_task_namespaces")
int kg_netns_ended(__u64 *args)
{
	return leaves((const struct task_struct *)args[0], NULL);
}

/* Later kernels than 6.1 show their structures only to programs whose licence they call compatible.
 */
char LICENSE[] SEC("license") = "GPL";
