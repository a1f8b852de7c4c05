// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * Refuses PPPOX sockets to who may not administer the network. Of one for L2TP the kernel sends
 * what it is given from a UDP socket that was handed to it, and asks no cgroup hook about these
 * packets: they are one socket's and sent by another. That UDP socket may be connected to an
 * address that is open, and be given a source route whose first stop is gated; so it needs no
 * capability to send there in clear. PPPoE sends frames like a packet socket, and needs none
 * either.
 *
 * An object of its own, since a kernel may not let it in. It goes before the function that asks the
 * security modules, so it needs no place among them, and comes before the kernel looks for the
 * protocol: nothing is loaded for who is refused.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <bpf/bpf_helpers.h>
#include "bpf/kernel.bpf.h"
#include "bpf/maps.bpf.h"

/* Not in the headers that a BPF object may include. */
#define FAMILY_PPPOX 24
#define NET_ADMIN    12 /* CAP_NET_ADMIN */

/*
 * In the host's own user namespace: in another one, everybody has every capability. The set is two
 * words or one long one, by the kernel's version; this is in the lower half of both.
 */
static __always_inline bool administers(void)
{
	const struct task_struct *task = bpf_get_current_task_btf();
	const struct cred *cred = task->cred;

	if (cred->user_ns->level != 0)
		return false;
	return *(const __u32 *)&cred->cap_effective >> NET_ADMIN & 1;
}

/* Arguments: family, type, protocol, whether it is for the kernel. */
SEC("fmod_ret/security_socket_create")
int kg_tunnel_socket(__u64 *args)
{
	struct gate_config *cfg;
	__u32 zero = 0;

	if ((__u32)args[0] != FAMILY_PPPOX || (__u32)args[3])
		return 0;
	cfg = bpf_map_lookup_elem(&kg_config, &zero);
	return (cfg && !cfg->armed) || administers() ? 0 : -EPERM;
}

/* Later kernels than 6.1 show their structures only to programs whose licence they call compatible.
 */
char LICENSE[] SEC("license") = "GPL";
