// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
/*
 * The kernel half: steers TCP connects of gated destinations to keygated's listener, refuses what
 * can't be steered, remembers what the application asked for, and drops every packet to a gated
 * destination that is not part of a live session. Knows addresses, ports, states, and who acts; no
 * TLS, no evidence.
 *
 * Essay: why each lookup that fails refuses. No program here depends on user space being alive.
 * All that keygated decides stands in maps that are pinned with the programs, so its death freezes
 * the last decisions: destinations stay gated, no marked listener is left, connects are refused,
 * sessions run into their deadline. A missing table, socket storage that can't be made, a full map
 * or a packet that can't be parsed is treated as "gated and not ours". Events and counters inform
 * only; nothing is decided from them.
 *
 * Order of a redirected connect: connect4/6 (table, listener, kg_intent on the socket, rewrite) ->
 * sockops TCP_CONNECT_CB (local port is known now, SYN not yet sent: kg_conn) -> egress (to the
 * listener: passed) -> ingress (only to a marked socket) -> keygated's accept() takes kg_conn.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <stdbool.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "bpf/kernel.bpf.h"
#include "bpf/maps.bpf.h"

/* Not in the headers that a BPF object may include. */
#define FAMILY_INET      2
#define STREAM_SOCKETS   1
#define DATAGRAM_SOCKETS 2
#define RAW_SOCKETS      3
#define PROTO_TCP        6
#define PROTO_UDP        17
#define PROTO_DCCP       33
#define PROTO_SCTP       132
#define PROTO_MPTCP      262
#define PROTO_ICMP       1
#define PROTO_ICMPV6     58
#define ERRNO_MAX        4095
#define TCP_OFFSET_AT    12 /* in the header: data offset, then flags */
#define TCP_SYN          0x02
#define DNS_PORT         53
#define LOOPBACK_IFINDEX 1          /* of lo, in every network namespace */
#define KERNEL_THREAD    0x00200000 /* PF_KTHREAD */

#define V4_LOOPBACK 0x7f000001
#define V4_MAPPED   0x0000ffff

/*
 * What the policy says of prefixes, and of addresses, which are looked up first: nothing is longer,
 * and most rules are about one. Of each the policy before and the next have an element.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(
	        values, struct {
		        __uint(type, BPF_MAP_TYPE_LPM_TRIE);
		        __uint(map_flags, BPF_F_NO_PREALLOC);
		        __uint(max_entries, 1);
		        __uint(key_size, sizeof(struct gate_lpm_key));
		        __uint(value_size, sizeof(struct gate_rules));
	        });
} kg_policy SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(
	        values, struct {
		        __uint(type, BPF_MAP_TYPE_HASH);
		        __uint(max_entries, 1);
		        __uint(key_size, 16);
		        __uint(value_size, sizeof(struct gate_rules));
	        });
} kg_hosts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(
	        values, struct {
		        __uint(type, BPF_MAP_TYPE_HASH);
		        __uint(max_entries, 1);
		        __uint(key_size, sizeof(struct gate_name));
		        __uint(value_size, sizeof(struct gate_rules));
	        });
} kg_names SEC(".maps");

/* Not a map that makes room by forgetting: what it forgot would be open. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_LEARNED_MAX);
	__uint(key_size, 16);
	__uint(value_size, sizeof(struct gate_learned));
} kg_learned SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_QUEUE);
	__uint(max_entries, GATE_TOLD_MAX);
	__uint(value_size, sizeof(struct gate_told));
} kg_told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct gate_teller);
} kg_tellers SEC(".maps");

/* On sockets that ask name servers: where they are, and who asks. */
struct asks {
	__u64 netns; /* cookie */
	__u32 uid;
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct asks);
} kg_asks SEC(".maps");

/* Cloned into what a marked listener accepts, so that ingress knows these sockets too. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct gate_own);
} kg_own SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct gate_intent);
} kg_intent SEC(".maps");

/*
 * On sockets of programs, from their creation on; the kernel's own are made without the hook. On
 * raw ones always, on streams where rules tell the kernel's from others.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} kg_raw SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 2);
	__type(key, __u32);
	__array(
	        values, struct {
		        __uint(type, BPF_MAP_TYPE_HASH);
		        __uint(max_entries, 1);
		        __uint(key_size, sizeof(struct gate_app_key));
		        __uint(value_size, sizeof(struct gate_app));
	        });
} kg_apps SEC(".maps");

/* Cloned into what is accepted: a server's answers are its own. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct gate_actor);
} kg_actor SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_CONNS_MAX);
	__type(key, struct gate_conn_key);
	__type(value, struct gate_intent);
} kg_conn SEC(".maps");

union addr {
	__u8 b[16];
	__u32 w[4]; /* network byte order */
};

static __always_inline void addr_v4(union addr *a, __u32 v4)
{
	a->w[0] = 0;
	a->w[1] = 0;
	a->w[2] = bpf_htonl(V4_MAPPED);
	a->w[3] = v4;
}

static __always_inline bool addr_is_v4(const union addr *a)
{
	return a->w[0] == 0 && a->w[1] == 0 && a->w[2] == bpf_htonl(V4_MAPPED);
}

static __always_inline bool addr_is_loopback(const union addr *a)
{
	if (a->w[0] != 0 || a->w[1] != 0)
		return false;
	if (a->w[2] == bpf_htonl(V4_MAPPED))
		return a->w[3] == bpf_htonl(V4_LOOPBACK);
	return a->w[2] == 0 && a->w[3] == bpf_htonl(1);
}

/* Sent to "any", the kernel goes to loopback: the policy must be asked about what it will do. */
static __always_inline void addr_any_is_loopback(union addr *a)
{
	if (a->w[0] != 0 || a->w[1] != 0 || a->w[3] != 0)
		return;
	if (a->w[2] == bpf_htonl(V4_MAPPED))
		a->w[3] = bpf_htonl(V4_LOOPBACK);
	else if (a->w[2] == 0)
		a->w[3] = bpf_htonl(1);
}

static __always_inline struct gate_config *config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kg_config, &zero);
}

/* -------------------------------------------------------------- applications */

/* The kernel's structures are read by a helper, so that a wrong pointer is an error and no more. */

/*
 * Zero, and the verifier does not know it. Older ones (6.1) look at the step of a bpf_loop once,
 * with the stack as it is before the first; a branch on what is known there and only later steps
 * change is taken for dead, and removed.
 */
static __always_inline __u32 unknown_zero(void)
{
	__u32 v = bpf_get_prandom_u32();

	asm volatile("%0 ^= %0" : "+r"(v));
	return v;
}

/* Set before loading. Without, of an application nothing but its user is known. */
const volatile bool kg_reads = true;

/* A walk down the names of a cgroup's path: a step is a chunk of a name. */
struct walk {
	struct cgroup *cgroup;
	const char *name; /* of the component that is being read; NULL: it has yet to be found */
	__u64 fits_cgroup, fits_unit;
	__u64 unit_here; /* if the component is the unit */
	__u32 level, depth, off;
	__u32 generation;
	__u32 at_cgroup, at_unit; /* nodes; 0: nothing that is listed begins like this */
	__u32 unit_found;
	__u32 done;
};

enum {
	WALK_STEPS_MAX = 64,
	SLICE_LENGTH = 6, /* of ".slice" */
};

static __always_inline struct gate_app *app_find(const struct gate_app_key *key)
{
	__u32 slot = key->generation & 1;
	void *table = bpf_map_lookup_elem(&kg_apps, &slot);

	return table ? bpf_map_lookup_elem(table, key) : NULL;
}

/* The node that the chunk in key leads to, with what fits there in *fits. */
static __always_inline __u32 walk_to(struct gate_app_key *key, __u32 kind, __u32 node, __u64 *fits)
{
	struct gate_app *v;

	*fits = 0;
	if (!node)
		return 0;
	key->kind = kind;
	key->a = node;
	v = app_find(key);
	if (!v)
		return 0;
	*fits = v->fits.sure;
	return v->node;
}

/* Slices hold units and are none; a name that is nothing but ".slice" is no slice. */
static __always_inline bool is_slice(const char *name, __u32 n)
{
	char end[SLICE_LENGTH] = {};

	if (n <= sizeof(end) || bpf_probe_read_kernel(end, sizeof(end), name + n - sizeof(end)))
		return false;
	return end[0] == '.' && end[1] == 's' && end[2] == 'l' && end[3] == 'i' && end[4] == 'c' &&
	       end[5] == 'e';
}

static __always_inline bool walk_name(struct walk *w)
{
	struct cgroup *cgroup = w->cgroup;
	struct cgroup **list = __builtin_preserve_access_index(&cgroup->ancestors[0]);

	if (bpf_probe_read_kernel(&cgroup, sizeof(void *), list + w->level))
		return false;
	w->name = BPF_CORE_READ(cgroup, kn, name);
	w->off = 0;
	w->at_unit = w->unit_found ? 0 : 1;
	return w->name != NULL;
}

/* One chunk; 1 ends the walk. */
static long walk_step(__u32 i, struct walk *w)
{
	struct gate_app_key key = {.generation = w->generation};
	__u64 fits;
	long n;

	(void)i;
	if (!w->name && w->level > w->depth) {
		w->done = 1;
		return 1;
	}
	if (!w->name && !walk_name(w))
		return 1;
	n = bpf_probe_read_kernel_str(key.name, sizeof(key.name), w->name + w->off);
	if (n <= 0)
		return 1;
	w->at_cgroup = walk_to(&key, GATE_APP_CGROUP, w->at_cgroup, &fits);
	w->fits_cgroup |= fits;
	w->at_unit = walk_to(&key, GATE_APP_UNIT, w->at_unit, &w->unit_here);
	w->off += GATE_CHUNK;
	if (n == sizeof(key.name))
		return 0;
	if (!w->unit_found && !is_slice(w->name, w->off - GATE_CHUNK + (__u32)n - 1)) {
		w->unit_found = 1;
		w->fits_unit = w->unit_here;
	}
	w->level++;
	w->name = NULL;
	if (!w->unit_found || w->at_cgroup)
		return 0;
	/* Nothing below changes the answer. */
	w->done = 1;
	return 1;
}

static __always_inline struct gate_app *rest_of(__u32 generation, __u32 kind)
{
	struct gate_app_key key = {.generation = generation, .kind = GATE_APP_REST, .a = kind};

	return app_find(&key);
}

/* rest: of the kind; found: of the value, NULL when it is not listed. */
static __always_inline void and_listed(struct gate_fits *fits, const struct gate_app *rest,
                                       const struct gate_app *found)
{
	const struct gate_app *v = found ? found : rest;

	fits->sure &= v->fits.sure;
	fits->maybe &= v->fits.maybe;
}

/* The selections that ask for this kind may fit. */
static __always_inline void and_unknown(struct gate_fits *fits, const struct gate_app *rest)
{
	fits->sure &= rest->fits.sure;
}

static __always_inline bool is_asked(const struct gate_app *rest)
{
	return rest->fits.sure != ~0ull;
}

static __always_inline void fits_user(const struct gate_actor *a, __u32 generation,
                                      struct gate_fits *fits, const struct gate_app *rest)
{
	struct gate_app_key key = {.generation = generation, .kind = GATE_APP_USER, .a = a->uid};

	if (a->known & GATE_KNOWS_USER)
		and_listed(fits, rest, app_find(&key));
	else
		and_unknown(fits, rest);
}

static __always_inline void fits_file(const struct gate_actor *a, __u32 generation,
                                      struct gate_fits *fits, const struct gate_app *rest)
{
	struct gate_app_key key = {.generation = generation,
	                           .kind = GATE_APP_FILE,
	                           .a = a->device,
	                           .b = a->inode_generation,
	                           .number = a->inode};

	if (!is_asked(rest))
		return;
	if (a->known & GATE_KNOWS_FILE)
		and_listed(fits, rest, app_find(&key));
	else
		and_unknown(fits, rest);
}

/* False: the path can't be read to its end. */
static __always_inline bool walk_down(struct walk *w, __u32 generation)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct cgroup *cgroup = BPF_CORE_READ(task, cgroups, dfl_cgrp);
	__u32 zero = unknown_zero();

	w->cgroup = cgroup;
	w->name = (const char *)(__u64)zero;
	w->fits_cgroup = w->fits_unit = w->unit_here = zero;
	w->level = w->at_cgroup = 1 + zero;
	w->depth = BPF_CORE_READ(cgroup, level);
	w->off = w->at_unit = w->unit_found = w->done = zero;
	w->generation = generation;
	bpf_loop(WALK_STEPS_MAX, walk_step, w, 0);
	return w->done;
}

/* here: the application is the task that runs. Of any other only the number of its cgroup is known.
 */
static __always_inline void fits_cgroup(const struct gate_actor *a, __u32 generation, bool here,
                                        struct gate_fits *fits)
{
	struct gate_app *rest = rest_of(generation, GATE_APP_CGROUP);
	struct gate_app *units = rest_of(generation, GATE_APP_UNIT);
	struct gate_app_key key = {
	        .generation = generation, .kind = GATE_APP_ID, .number = a->cgroup};
	struct gate_app *found;
	struct walk w;

	if (!rest || !units) {
		fits->sure = 1;
		return;
	}
	if (!is_asked(rest) && !is_asked(units))
		return;
	if (here && kg_reads && a->known & GATE_KNOWS_CGROUP && walk_down(&w, generation)) {
		__u64 both = (w.fits_cgroup | rest->fits.sure) & (w.fits_unit | units->fits.sure);

		fits->sure &= both;
		fits->maybe &= both;
		return;
	}
	found = !here && a->known & GATE_KNOWS_CGROUP ? app_find(&key) : NULL;
	if (found) {
		and_listed(fits, found, found);
	} else {
		and_unknown(fits, rest);
		and_unknown(fits, units);
	}
}

static __always_inline int fits_all(struct gate_actor *a, __u32 generation, bool here)
{
	struct gate_app *users = rest_of(generation, GATE_APP_USER);
	struct gate_app *files = rest_of(generation, GATE_APP_FILE);

	if (!a)
		return 0;
	a->generation = generation;
	a->fits.sure = users && files ? ~0ull : 1;
	a->fits.maybe = ~0ull;
	if (!users || !files)
		return 0;
	fits_user(a, generation, &a->fits, users);
	fits_file(a, generation, &a->fits, files);
	fits_cgroup(a, generation, here, &a->fits);
	return 0;
}

/*
 * Functions that are not static are checked once and for themselves when a program is loaded, and
 * not in every state from which they can be called; so what loops is in such. They take whatever
 * pointer their type says, also none. For tasks and for packets apart: what is on the stack of all
 * that call each other must fit into 512 bytes, in steps of 32 on older kernels.
 */
__noinline int fits_of(struct gate_actor *a, __u32 generation)
{
	return fits_all(a, generation, false);
}

__noinline int fits_here(struct gate_actor *a, __u32 generation)
{
	return fits_all(a, generation, true);
}

static __always_inline void identify(struct file *file, __u64 *inode, __u32 *device,
                                     __u32 *inode_generation)
{
	struct inode *i = BPF_CORE_READ(file, f_inode);

	*inode = BPF_CORE_READ(i, i_ino);
	*device = BPF_CORE_READ(i, i_sb, s_dev);
	*inode_generation = BPF_CORE_READ(i, i_generation);
}

/* The kernel's own threads act for somebody, and do not say for whom. */
__noinline int actor_here(struct gate_actor *a)
{
	struct task_struct *task;
	struct file *file;

	if (!a)
		return 0;
	__builtin_memset(a, 0, sizeof(*a));
	a->uid = (__u32)bpf_get_current_uid_gid();
	a->cgroup = bpf_get_current_cgroup_id();
	if (!kg_reads) {
		a->known = GATE_KNOWS_USER;
		return 0;
	}
	task = (void *)bpf_get_current_task();
	if (BPF_CORE_READ(task, flags) & KERNEL_THREAD)
		return 0;
	a->known = GATE_KNOWS_USER | GATE_KNOWS_CGROUP | GATE_KNOWS_FILE;
	file = BPF_CORE_READ(task, mm, exe_file);
	if (file)
		identify(file, &a->inode, &a->device, &a->inode_generation);
	return 0;
}

/* A descriptor of the caller, who holds it; see struct gate_file. */
SEC("syscall")
int kg_file(struct gate_file *f)
{
	struct task_struct *task;
	struct fdtable *table;
	struct file **list, *file = NULL;

	f->known = 0;
	if (!kg_reads)
		return 0;
	task = (void *)bpf_get_current_task();
	table = BPF_CORE_READ(task, files, fdt);
	list = BPF_CORE_READ(table, fd);
	if (f->fd >= BPF_CORE_READ(table, max_fds) ||
	    bpf_probe_read_kernel(&file, sizeof(void *), list + f->fd) || !file)
		return 0;
	identify(file, &f->inode, &f->device, &f->inode_generation);
	f->known = 1;
	return 0;
}

/*
 * Whose the act is that is being judged: of the task that runs or, for packets, of the socket's
 * last known. Looked into only where a rule asks for it.
 */
struct asker {
	struct bpf_sock *sk; /* of a packet */
	struct gate_actor actor;
	bool asked;
};

/*
 * here: the task's, else a packet's. It is an argument of its own, and a constant, so that programs
 * for packets have no call in them that only tasks may make.
 */
static __always_inline void ask(struct asker *who, bool here, __u32 generation,
                                struct gate_fits *out)
{
	struct gate_actor *kept = here ? NULL : bpf_sk_storage_get(&kg_actor, who->sk, NULL, 0);
	struct gate_config *cfg = config();

	if (kept)
		who->actor = *kept;
	else if (here && !who->asked)
		actor_here(&who->actor);
	if (!cfg || who->actor.generation != generation || who->actor.apps != cfg->apps) {
		if (here)
			fits_here(&who->actor, generation);
		else
			fits_of(&who->actor, generation);
		who->actor.apps = cfg ? cfg->apps : 0;
	}
	who->asked = true;
	*out = who->actor.fits;
}

/* -------------------------------------------------------------------- policy */

struct hit {
	__u32 action; /* enum gate_action */
	__u32 rule;
	__u32 generation;
	__u32 err;
	__u32 kernel; /* enum gate_kernel */
};

/*
 * NULL with *lost unset: nothing is said of this address. Which tables are in force is read once,
 * so that both are of one policy: user space takes none away before all programs that may have read
 * it are done.
 */
static __always_inline struct gate_rules *rules_of(const union addr *dst, bool *lost)
{
	struct gate_lpm_key key = {.prefixlen = 128};
	struct gate_config *cfg = config();
	__u32 tables = cfg ? *(volatile __u32 *)&cfg->tables : 0;
	__u32 slot = tables & GATE_TABLES_SLOT;
	void *nets = bpf_map_lookup_elem(&kg_policy, &slot), *hosts;
	struct gate_rules *rules = NULL;

	*lost = true;
	if (!nets)
		return NULL;
	if (tables & GATE_TABLES_HOSTS) {
		hosts = bpf_map_lookup_elem(&kg_hosts, &slot);
		if (!hosts)
			return NULL;
		rules = bpf_map_lookup_elem(hosts, dst->b);
	}
	*lost = false;
	if (rules)
		return rules;
	__builtin_memcpy(key.addr, dst->b, sizeof(key.addr));
	return bpf_map_lookup_elem(nets, &key);
}

/* Connections and packets go where they were meant to, untouched. */
static __always_inline bool passes(__u32 action)
{
	return action == GATE_ALLOW || action == GATE_MONITOR;
}

/* Bits of the selections for which a rule is taken. */
static __always_inline __u64 fits_for(const struct gate_fits *fits, __u8 action)
{
	return passes(action) ? fits->sure : fits->maybe;
}

/* The first of the rules that matches, or -1. fits NULL: whoever asks. */
__noinline int match(struct gate_rules *rules, __u32 port, struct gate_fits *fits)
{
	if (!rules)
		return -1;
	for (__u32 i = 0; i < GATE_RULES_MAX; i++) {
		if (i >= rules->n)
			return -1;
		if (port < rules->port[i].lo || port > rules->port[i].hi)
			continue;
		if (!fits || fits_for(fits, rules->port[i].action) >> (rules->port[i].app & 63) & 1)
			return (int)i;
	}
	return -1;
}

/* The same for who asks, and *sure whether it is known to be for him. */
static __always_inline struct gate_port *match_for(struct gate_rules *rules, __u16 port,
                                                   struct asker *who, bool here, bool *sure)
{
	__u32 at = (__u32)match(rules, port, NULL);
	struct gate_fits fits;

	*sure = true;
	if (at >= GATE_RULES_MAX)
		return NULL;
	if (!rules->port[at].app)
		return &rules->port[at];
	ask(who, here, rules->generation, &fits);
	at = (__u32)match(rules, port, &fits);
	if (at >= GATE_RULES_MAX)
		return NULL;
	*sure = fits.sure >> (rules->port[at].app & 63) & 1;
	return &rules->port[at];
}

/*
 * What is demanded of one application must not be taken for what is demanded of another: where it
 * is not known which rule a connection falls under, there is none.
 */
static __always_inline void take(struct hit *hit, const struct gate_port *p, bool sure,
                                 __u32 generation)
{
	hit->action = sure || passes(p->action) ? p->action : GATE_DENY;
	hit->rule = p->rule;
	hit->err = p->err;
	hit->kernel = p->kernel;
	hit->generation = generation;
}

/* Of two rules the earlier decides. Where they are of two policies no order is known: the strict.
 */
static __always_inline bool comes_first(const struct gate_port *p, __u32 generation,
                                        const struct hit *hit)
{
	return generation != hit->generation || p->rule < hit->rule;
}

/*
 * Answers can be forged: what was learned from them closes what the table leaves open, and nothing
 * else. It opens nothing, and what the table gates stays with the rule that gates it there, unless
 * it is to be denied.
 */
static __always_inline void match_learned(const union addr *dst, __u16 port, struct asker *who,
                                          bool here, struct hit *hit)
{
	struct gate_learned *l = bpf_map_lookup_elem(&kg_learned, dst->b);
	bool sure = true;
	struct gate_port *p = l ? match_for(&l->rules, port, who, here, &sure) : NULL;

	if (!p || passes(p->action) || !comes_first(p, l->rules.generation, hit))
		return;
	if (passes(hit->action) || (hit->action == GATE_GATE && p->action == GATE_DENY))
		take(hit, p, sure, l->rules.generation);
}

static __always_inline void policy_find(const union addr *dst, __u16 port, struct asker *who,
                                        bool here, struct hit *hit)
{
	struct gate_rules *rules;
	struct gate_port *p;
	bool lost, sure;

	hit->action = GATE_DENY;
	hit->rule = GATE_RULE_DEFAULT;
	hit->generation = 0;
	hit->err = EPERM;
	hit->kernel = GATE_KERNEL_STEERED;
	rules = rules_of(dst, &lost);
	if (lost || (rules && rules->n > GATE_RULES_MAX))
		return;
	hit->action = GATE_ALLOW;
	if (rules) {
		hit->generation = rules->generation;
		p = match_for(rules, port, who, here, &sure);
		if (p)
			take(hit, p, sure, rules->generation);
	}
	match_learned(dst, port, who, here, hit);
}

/* True if a rule asks for the application. */
__noinline int asks(struct gate_rules *rules)
{
	for (__u32 i = 0; rules && i < GATE_RULES_MAX; i++) {
		if (i >= rules->n)
			return 0;
		if (rules->port[i].app)
			return 1;
	}
	return 0;
}

/* The first rule that keeps a port from being allowed, or -1. */
__noinline int match_any_port(struct gate_rules *rules, struct gate_fits *fits)
{
	if (!rules || !fits)
		return -1;
	for (__u32 i = 0; i < GATE_RULES_MAX; i++) {
		if (i >= rules->n)
			return -1;
		if (!(fits_for(fits, rules->port[i].action) >> (rules->port[i].app & 63) & 1))
			continue;
		if (!passes(rules->port[i].action))
			return (int)i;
		if (rules->port[i].lo == 0 && rules->port[i].hi == 0xffff)
			return -1;
	}
	return -1;
}

static __always_inline void any_port(struct gate_rules *rules, struct asker *who, struct hit *hit)
{
	struct gate_fits fits = {.sure = 1, .maybe = 1};
	__u32 at;

	if (asks(rules))
		ask(who, false, rules->generation, &fits);
	at = (__u32)match_any_port(rules, &fits);
	if (at >= GATE_RULES_MAX)
		return;
	hit->action = rules->port[at].action;
	hit->rule = rules->port[at].rule;
}

/* For a packet whose port can't be told: allowed only where no port of the address is restricted.
 */
static __always_inline void policy_find_any_port(const union addr *dst, struct asker *who,
                                                 struct hit *hit)
{
	struct gate_learned *learned;
	struct gate_rules *rules;
	bool lost;

	hit->action = GATE_DENY;
	hit->rule = GATE_RULE_DEFAULT;
	rules = rules_of(dst, &lost);
	if (lost)
		return;
	hit->action = GATE_ALLOW;
	if (rules)
		any_port(rules, who, hit);
	learned = bpf_map_lookup_elem(&kg_learned, dst->b);
	if (learned && passes(hit->action))
		any_port(&learned->rules, who, hit);
}

/* ------------------------------------------------------------------- connect */

enum steer { STEER_REFUSE = 0, STEER_PASS, STEER_LISTENER };

struct target {
	union addr dst;
	__u16 port;
	__u8 mapped;
	bool v4; /* of the connection that results */
};

static __always_inline void fill_of_task(struct gate_event *e, __u8 proto, const struct target *t,
                                         const struct hit *hit)
{
	e->rule = hit->rule;
	e->generation = hit->generation;
	e->cgroup = bpf_get_current_cgroup_id();
	__builtin_memcpy(e->dst, t->dst.b, sizeof(e->dst));
	e->dst_port = t->port;
	e->proto = proto;
	e->uid = (__u32)bpf_get_current_uid_gid();
	e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
}

static __always_inline void event_of_task(enum gate_event_kind kind, __u8 proto,
                                          const struct target *t, const struct hit *hit)
{
	struct gate_event *e = event_begin(kind);

	if (!e)
		return;
	fill_of_task(e, proto, t, hit);
	bpf_ringbuf_submit(e, 0);
}

/* The connect passes whether keygated hears of it or not. */
static __always_inline void tell_monitored(struct bpf_sock_addr *ctx, const struct target *t,
                                           const struct hit *hit)
{
	struct gate_event *e;

	count(GATE_STAT_MONITORED);
	if (!ring_has_room()) {
		event_lost(GATE_EVENT_MONITOR);
		return;
	}
	e = event_begin(GATE_EVENT_MONITOR);
	if (!e)
		return;
	fill_of_task(e, PROTO_TCP, t, hit);
	e->netns = bpf_get_netns_cookie(ctx);
	bpf_ringbuf_submit(e, 0);
}

/* As libbpf's bpf_set_retval, but 64 bits wide: newer verifiers want to see a sign-extended -errno.
 */
static long (*set_retval)(long retval) = (void *)BPF_FUNC_set_retval;

static __always_inline enum steer refuse(enum gate_stat stat, __u64 err)
{
	count(stat);
	if (err == 0 || err > ERRNO_MAX)
		err = EPERM;
	set_retval(0 - (long)err);
	return STEER_REFUSE;
}

/*
 * Only a socket that holds keygated's mark counts as its listener: whoever binds the port after
 * keygated died, and a namespace that keygated does not serve, are refused alike.
 */
static __always_inline bool listener_here(struct bpf_sock_addr *ctx, const struct target *t,
                                          const struct gate_config *cfg)
{
	struct bpf_sock_tuple tuple = {};
	struct gate_own *own;
	struct bpf_sock *sk;
	bool ours = false;

	if (t->v4) {
		tuple.ipv4.daddr = bpf_htonl(V4_LOOPBACK);
		tuple.ipv4.dport = bpf_htons(cfg->port4);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		tuple.ipv6.daddr[3] = bpf_htonl(1);
		tuple.ipv6.dport = bpf_htons(cfg->port6);
		sk = bpf_sk_lookup_tcp(ctx, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	own = bpf_sk_storage_get(&kg_own, sk, NULL, 0);
	ours = own && own->kind == GATE_OWN_LISTENER;
	bpf_sk_release(sk);
	return ours;
}

static __always_inline bool remember(struct bpf_sock_addr *ctx, const struct target *t,
                                     const struct hit *hit, const struct gate_actor *actor)
{
	struct gate_intent *in;

	in = bpf_sk_storage_get(&kg_intent, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!in)
		return false;
	__builtin_memcpy(in->dst, t->dst.b, sizeof(in->dst));
	in->dst_port = t->port;
	in->mapped = t->mapped;
	in->family = t->v4 ? 4 : 6;
	in->rule = hit->rule;
	in->generation = hit->generation;
	in->uid = (__u32)bpf_get_current_uid_gid();
	in->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	in->cgroup = bpf_get_current_cgroup_id();
	in->known = actor->known;
	in->inode = actor->inode;
	in->device = actor->device;
	in->inode_generation = actor->inode_generation;
	in->netns = bpf_get_netns_cookie(ctx);
	in->cookie = bpf_get_socket_cookie(ctx);
	in->at_ns = bpf_ktime_get_boot_ns();
	bpf_get_current_comm(in->comm, sizeof(in->comm));
	return true;
}

static __always_inline struct gate_own *own_upstream(struct bpf_sock *sk)
{
	struct gate_own *own = bpf_sk_storage_get(&kg_own, sk, NULL, 0);

	return own && own->kind == GATE_OWN_UPSTREAM ? own : NULL;
}

static __always_inline struct gate_own *own_kernel(struct bpf_sock *sk)
{
	struct gate_own *own = bpf_sk_storage_get(&kg_own, sk, NULL, 0);

	return own && own->kind == GATE_OWN_KERNEL ? own : NULL;
}

/* It connects again: what the policy of an earlier time let it do is over. */
static __always_inline void forget_kernels(struct bpf_sock *sk)
{
	if (own_kernel(sk))
		bpf_sk_storage_delete(&kg_own, sk);
}

static __always_inline bool goes_to(const struct gate_own *own, const union addr *dst, __u16 port)
{
	union addr want;

	__builtin_memcpy(want.b, own->dst, sizeof(want.b));
	return own->dst_port == port && want.w[0] == dst->w[0] && want.w[1] == dst->w[1] &&
	       want.w[2] == dst->w[2] && want.w[3] == dst->w[3];
}

/* Who holds an own socket may open it to the destination that it was made for, and no other. */
static __always_inline enum steer steer_own(const struct gate_own *own, const struct target *t)
{
	struct hit hit = {.rule = GATE_RULE_DEFAULT};

	if (goes_to(own, &t->dst, t->port))
		return STEER_PASS;
	event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, &hit);
	return refuse(GATE_STAT_DENIED, EPERM);
}

/*
 * No program made it. One that was made before the policy had a rule for the kernel's sockets
 * counts as the kernel's too, as does what MPTCP and SMC make below a program's socket: it stays
 * mute, since no handshake is ever asked for it.
 */
static __always_inline bool is_kernels(struct bpf_sock *sk)
{
	return !bpf_sk_storage_get(&kg_raw, sk, NULL, 0);
}

/* It goes out by itself, mute until gate has made it a session's. */
static __always_inline enum steer gate_kernel(struct bpf_sock_addr *ctx, const struct target *t,
                                              const struct hit *hit)
{
	struct gate_own *own;

	own = bpf_sk_storage_get(&kg_own, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!own) {
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, hit);
		return refuse(GATE_STAT_MAP_FULL, ECONNREFUSED);
	}
	own->kind = GATE_OWN_KERNEL;
	own->dst_port = t->port;
	own->kernel = hit->kernel;
	own->session = 0;
	__builtin_memcpy(own->dst, t->dst.b, sizeof(own->dst));
	count(GATE_STAT_GATED);
	return STEER_PASS;
}

static __always_inline enum steer gate_stream(struct bpf_sock_addr *ctx, const struct target *t,
                                              const struct hit *hit, const struct gate_config *cfg,
                                              const struct gate_actor *actor)
{
	if (!listener_here(ctx, t, cfg)) {
		tell_of_netns(GATE_EVENT_NETNS_USED, bpf_get_netns_cookie(ctx),
		              (__u32)bpf_get_current_pid_tgid());
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, hit);
		return refuse(GATE_STAT_NO_LISTENER, ECONNREFUSED);
	}
	if (!remember(ctx, t, hit, actor)) {
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, hit);
		return refuse(GATE_STAT_MAP_FULL, ECONNREFUSED);
	}
	count(GATE_STAT_GATED);
	return STEER_LISTENER;
}

/* Where no rule asked for the application, the next policy's may. */
static __always_inline void know(struct asker *who)
{
	if (who->asked)
		return;
	actor_here(&who->actor);
	who->actor.apps = 0; /* of no table: so these do not count */
	who->actor.fits.sure = 1;
	who->actor.fits.maybe = ~0ull;
	who->asked = true;
}

/*
 * Who connects or sends answers for what the socket sends from then on, whoever made it: he could
 * have made one of his own. It is the more lasting answer, too: programs that give up being root
 * keep their sockets. Where it can't be kept, nothing is known.
 */
static __always_inline void note(struct bpf_sock *sk, struct asker *who)
{
	struct gate_actor *kept;

	know(who);
	kept = bpf_sk_storage_get(&kg_actor, sk, &who->actor, BPF_SK_STORAGE_GET_F_CREATE);
	if (kept)
		*kept = who->actor;
}

/* For the answer. Where it can't be kept, the answer counts as nobody's. */
static __always_inline void note_question(struct bpf_sock_addr *ctx, const struct target *t)
{
	struct asks *asks;

	if (ctx->protocol != PROTO_UDP || t->port != DNS_PORT)
		return;
	asks = bpf_sk_storage_get(&kg_asks, ctx->sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!asks)
		return;
	asks->netns = bpf_get_netns_cookie(ctx);
	asks->uid = (__u32)bpf_get_current_uid_gid();
}

static __always_inline enum steer steer(struct bpf_sock_addr *ctx, struct target *t,
                                        const struct gate_config *cfg)
{
	bool stream = ctx->type == STREAM_SOCKETS &&
	              (ctx->protocol == PROTO_TCP || ctx->protocol == PROTO_MPTCP);
	struct asker who = {.sk = NULL};
	struct gate_own *own;
	struct hit hit;

	/* What an earlier connect of this socket left must not name its next peer. */
	bpf_sk_storage_delete(&kg_intent, ctx->sk);
	own = own_upstream(ctx->sk);
	if (own)
		return steer_own(own, t);
	forget_kernels(ctx->sk);
	note_question(ctx, t);
	if (!cfg->armed)
		return STEER_PASS;
	addr_any_is_loopback(&t->dst);
	policy_find(&t->dst, t->port, &who, true, &hit);
	if (cfg->apps && passes(hit.action))
		note(ctx->sk, &who);
	if (hit.action == GATE_MONITOR && stream)
		tell_monitored(ctx, t, &hit);
	if (passes(hit.action))
		return STEER_PASS;
	if (hit.action == GATE_GATE && stream && hit.kernel && is_kernels(ctx->sk))
		return gate_kernel(ctx, t, &hit);
	if (cfg->apps)
		know(&who);
	if (hit.action == GATE_GATE && stream)
		return gate_stream(ctx, t, &hit, cfg, &who.actor);
	if (hit.action == GATE_GATE)
		hit.err = EPERM;
	if (stream) {
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, &hit);
		return refuse(GATE_STAT_DENIED, hit.err);
	}
	event_of_task(GATE_EVENT_DATAGRAM, (__u8)ctx->protocol, t, &hit);
	return refuse(GATE_STAT_DATAGRAM, hit.err);
}

SEC("cgroup/connect4")
int kg_connect4(struct bpf_sock_addr *ctx)
{
	struct gate_config *cfg = config();
	struct target t = {.v4 = true};
	enum steer how;

	if (!cfg)
		return 0;
	addr_v4(&t.dst, ctx->user_ip4);
	t.port = bpf_ntohs(ctx->user_port);
	how = steer(ctx, &t, cfg);
	if (how == STEER_LISTENER) {
		ctx->user_ip4 = bpf_htonl(V4_LOOPBACK);
		ctx->user_port = bpf_htons(cfg->port4);
	}
	return how != STEER_REFUSE;
}

static __always_inline void target6(struct bpf_sock_addr *ctx, struct target *t)
{
	t->dst.w[0] = ctx->user_ip6[0];
	t->dst.w[1] = ctx->user_ip6[1];
	t->dst.w[2] = ctx->user_ip6[2];
	t->dst.w[3] = ctx->user_ip6[3];
	t->mapped = addr_is_v4(&t->dst);
	t->v4 = t->mapped;
	t->port = bpf_ntohs(ctx->user_port);
}

SEC("cgroup/connect6")
int kg_connect6(struct bpf_sock_addr *ctx)
{
	struct gate_config *cfg = config();
	struct target t = {};
	enum steer how;

	if (!cfg)
		return 0;
	target6(ctx, &t);
	how = steer(ctx, &t, cfg);
	if (how == STEER_LISTENER) {
		ctx->user_ip6[0] = 0;
		ctx->user_ip6[1] = 0;
		ctx->user_ip6[2] = t.v4 ? bpf_htonl(V4_MAPPED) : 0;
		ctx->user_ip6[3] = t.v4 ? bpf_htonl(V4_LOOPBACK) : bpf_htonl(1);
		ctx->user_port = t.v4 ? bpf_htons(cfg->port4) : bpf_htons(cfg->port6);
	}
	return how != STEER_REFUSE;
}

/* ----------------------------------------------------------------- datagrams */

static __always_inline int datagram(struct bpf_sock_addr *ctx, struct target *t)
{
	struct gate_config *cfg = config();
	struct asker who = {.sk = NULL};
	struct hit hit;

	if (!cfg)
		return 0;
	note_question(ctx, t);
	if (!cfg->armed)
		return 1;
	addr_any_is_loopback(&t->dst);
	policy_find(&t->dst, t->port, &who, true, &hit);
	/* Where no rule asked, none asks about its packets. */
	if (who.asked && passes(hit.action))
		note(ctx->sk, &who);
	if (passes(hit.action))
		return 1;
	if (hit.action == GATE_GATE)
		hit.err = EPERM;
	event_of_task(GATE_EVENT_DATAGRAM, (__u8)ctx->protocol, t, &hit);
	refuse(GATE_STAT_DATAGRAM, hit.err);
	return 0;
}

SEC("cgroup/sendmsg4")
int kg_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct target t = {.v4 = true};

	addr_v4(&t.dst, ctx->user_ip4);
	t.port = bpf_ntohs(ctx->user_port);
	return datagram(ctx, &t);
}

SEC("cgroup/sendmsg6")
int kg_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct target t = {};

	target6(ctx, &t);
	return datagram(ctx, &t);
}

/* --------------------------------------------------------- the peer's address */

SEC("cgroup/getpeername4")
int kg_getpeername4(struct bpf_sock_addr *ctx)
{
	struct gate_intent *in = bpf_sk_storage_get(&kg_intent, ctx->sk, NULL, 0);
	union addr dst;

	if (in) {
		__builtin_memcpy(dst.b, in->dst, sizeof(dst.b));
		ctx->user_ip4 = dst.w[3];
		ctx->user_port = bpf_htons(in->dst_port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int kg_getpeername6(struct bpf_sock_addr *ctx)
{
	struct gate_intent *in = bpf_sk_storage_get(&kg_intent, ctx->sk, NULL, 0);
	union addr dst;

	if (in) {
		__builtin_memcpy(dst.b, in->dst, sizeof(dst.b));
		ctx->user_ip6[0] = dst.w[0];
		ctx->user_ip6[1] = dst.w[1];
		ctx->user_ip6[2] = dst.w[2];
		ctx->user_ip6[3] = dst.w[3];
		ctx->user_port = bpf_htons(in->dst_port);
	}
	return 1;
}

/* ------------------------------------------------------- intent to connection */

/* volatile keeps the reads apart: the verifier wants each at a constant offset of the context. */
static __always_inline void local_addr(const volatile struct bpf_sock_ops *ctx, __u32 *v4,
                                       union addr *v6)
{
	*v4 = ctx->local_ip4;
	v6->w[0] = ctx->local_ip6[0];
	v6->w[1] = ctx->local_ip6[1];
	v6->w[2] = ctx->local_ip6[2];
	v6->w[3] = ctx->local_ip6[3];
}

/* Straight to keygated's port, without an intent of its own. */
static __always_inline bool is_visit(const struct bpf_sock_ops *ctx)
{
	struct gate_config *cfg = config();
	__u32 port = bpf_ntohl(ctx->remote_port);

	return cfg && (port == cfg->port4 || port == cfg->port6);
}

SEC("sockops")
int kg_sockops(struct bpf_sock_ops *ctx)
{
	struct gate_conn_key key = {};
	struct gate_intent *in;
	struct bpf_sock *sk;
	union addr src;
	__u32 v4;

	if (ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	in = bpf_sk_storage_get(&kg_intent, sk, NULL, 0);
	if (!in && !is_visit(ctx))
		return 1;
	local_addr(ctx, &v4, &src);
	if (in ? in->family == 4 : ctx->family == FAMILY_INET)
		addr_v4(&src, v4);
	__builtin_memcpy(key.src, src.b, sizeof(key.src));
	key.netns = bpf_get_netns_cookie(ctx);
	key.src_port = (__u16)ctx->local_port;
	/*
	 * A visitor must not find what an earlier owner of its port left. No room for an intent:
	 * keygated finds none for the connection and resets it.
	 */
	if (!in)
		bpf_map_delete_elem(&kg_conn, &key);
	else if (bpf_map_update_elem(&kg_conn, &key, in, BPF_ANY))
		count(GATE_STAT_MAP_FULL);
	return 1;
}

/* ------------------------------------------------------------------- packets */

/*
 * Whether a program made this socket, and it is raw. What the kernel must be able to send by itself
 * would carry a program's data as well: it is let pass from the kernel's sockets alone.
 */
static __always_inline bool is_users_raw(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&kg_raw, sk, NULL, 0) != NULL;
}

/* Armed or not: arming later must find them marked. */
SEC("cgroup/sock_create")
int kg_sock_create(struct bpf_sock *ctx)
{
	struct gate_config *cfg = config();
	bool raw = ctx->type == RAW_SOCKETS;
	struct asker who = {.sk = NULL};
	__u32 *mark;

	tell_of_netns(GATE_EVENT_NETNS_USED, bpf_get_netns_cookie(ctx),
	              (__u32)bpf_get_current_pid_tgid());
	if (!cfg || cfg->apps)
		note(ctx, &who);
	if (!raw && (ctx->type != STREAM_SOCKETS || !cfg || !cfg->kernel_tls))
		return 1;
	mark = bpf_sk_storage_get(&kg_raw, ctx, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	return !raw || mark != NULL;
}

/* How much of a packet's meaning is known; what is not known is matched by address alone. */
enum grasp { GRASP_ADDRESS = 0, GRASP_PORTS, GRASP_KERNEL_ICMP, GRASP_NEIGHBOURS };

struct packet {
	union addr src, dst;
	__u16 sport, dport;
	__u8 proto;
	bool routed; /* by its sender: dst may be a stop on the way, and more is not known */
	enum grasp grasp;
	__u32 transport; /* offset of its header; set where grasp is GRASP_PORTS */
};

static __always_inline bool has_ports(__u8 proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP ||
	       proto == PROTO_DCCP;
}

/* Errors and echo replies: what the kernel answers by itself. */
static __always_inline bool kernel_icmp4(__u8 type)
{
	return type == 0 || type == 3 || type == 5 || type == 11 || type == 12;
}

static __always_inline bool kernel_icmp6(__u8 type)
{
	return (type >= 1 && type <= 4) || type == 129;
}

/* What IPv6 can't work without: neighbour discovery and multicast listeners. */
static __always_inline bool neighbours(__u8 type)
{
	return type == 131 || type == 132 || (type >= 133 && type <= 137) || type == 143;
}

static __always_inline void parse_transport(struct __sk_buff *skb, __u32 off, bool v4,
                                            struct packet *p)
{
	__u16 port[2];
	__u8 type;

	if (has_ports(p->proto)) {
		if (bpf_skb_load_bytes(skb, off, port, sizeof(port)))
			return;
		p->sport = bpf_ntohs(port[0]);
		p->dport = bpf_ntohs(port[1]);
		p->transport = off;
		p->grasp = GRASP_PORTS;
	} else if (p->proto == (v4 ? PROTO_ICMP : PROTO_ICMPV6)) {
		if (bpf_skb_load_bytes(skb, off, &type, sizeof(type)))
			return;
		if (v4 ? kernel_icmp4(type) : kernel_icmp6(type))
			p->grasp = GRASP_KERNEL_ICMP;
		else if (!v4 && neighbours(type))
			p->grasp = GRASP_NEIGHBOURS;
	}
}

struct ip4_head {
	__u8 ver_ihl, tos;
	__u16 len, id, frag;
	__u8 ttl, proto;
	__u16 sum;
	__u32 src, dst;
};

/* The one IP option without which protocols of the net itself would fail: router alert. */
static __always_inline bool only_alerts(struct __sk_buff *skb, __u32 ihl)
{
	__u8 kind = 0;

	if (ihl != sizeof(struct ip4_head) + 4)
		return false;
	return !bpf_skb_load_bytes(skb, sizeof(struct ip4_head), &kind, 1) && kind == 148;
}

static __always_inline bool parse4(struct __sk_buff *skb, struct packet *p)
{
	struct ip4_head h;
	__u32 ihl;

	if (bpf_skb_load_bytes(skb, 0, &h, sizeof(h)))
		return false;
	addr_v4(&p->src, h.src);
	addr_v4(&p->dst, h.dst);
	p->proto = h.proto;
	ihl = (h.ver_ihl & 0x0f) * 4u;
	p->routed = ihl > sizeof(h) && !only_alerts(skb, ihl);
	if (ihl < sizeof(h) || (h.frag & bpf_htons(0x1fff)))
		return true;
	parse_transport(skb, ihl, true, p);
	return true;
}

struct ip6_head {
	__u32 flow;
	__u16 len;
	__u8 next, hops;
	union addr src, dst;
};

enum { EXT_HOPS = 0, EXT_ROUTING = 43, EXT_FRAGMENT = 44, EXT_DSTOPTS = 60, EXT_MAX = 6 };

static __always_inline bool parse6(struct __sk_buff *skb, struct packet *p)
{
	struct {
		__u8 next, len;
		__u16 frag;
	} ext;
	__u32 off = sizeof(struct ip6_head);
	struct ip6_head h;

	if (bpf_skb_load_bytes(skb, 0, &h, sizeof(h)))
		return false;
	p->src = h.src;
	p->dst = h.dst;
	p->proto = h.next;
	for (int i = 0; i <= EXT_MAX; i++) {
		if (p->proto != EXT_HOPS && p->proto != EXT_DSTOPTS && p->proto != EXT_FRAGMENT) {
			p->routed = p->proto == EXT_ROUTING;
			parse_transport(skb, off, false, p);
			return true;
		}
		if (bpf_skb_load_bytes(skb, off, &ext, sizeof(ext))) {
			p->routed = true;
			return true;
		}
		if (p->proto == EXT_FRAGMENT) {
			if (ext.frag & bpf_htons(0xfff8))
				return true;
			off += 8;
		} else {
			off += (ext.len + 1u) * 8u;
		}
		p->proto = ext.next;
	}
	p->routed = true; /* for all that is known */
	return true;
}

/* False: not even an address could be read. */
static __always_inline bool parse(struct __sk_buff *skb, struct packet *p)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		return parse4(skb, p);
	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return parse6(skb, p);
	return false;
}

static __always_inline void event_of_packet(enum gate_event_kind kind, struct __sk_buff *skb,
                                            const struct packet *p, __u32 rule, __u64 session)
{
	struct gate_event *e = event_begin(kind);

	if (!e)
		return;
	e->rule = rule;
	e->session = session;
	e->cgroup = bpf_skb_cgroup_id(skb);
	__builtin_memcpy(e->dst, p->dst.b, sizeof(e->dst));
	e->dst_port = p->dport;
	e->proto = p->proto;
	e->uid = bpf_get_socket_uid(skb);
	bpf_ringbuf_submit(e, 0);
}

/* The session of an own upstream socket; 0 for every other socket (sessions are never 0). */
static __always_inline __u64 session_of(struct bpf_sock *sk)
{
	struct gate_own *own = own_upstream(sk);

	return own ? own->session : 0;
}

/* The first packet past the deadline cuts the session, so there is one event and no way back. */
static __always_inline bool session_flows(struct __sk_buff *skb, __u64 id)
{
	struct gate_session *s = bpf_map_lookup_elem(&kg_sessions, &id);
	struct packet none = {};
	__u32 state;

	if (!s)
		return false;
	state = *(volatile __u32 *)&s->state;
	if (state != GATE_SESSION_HANDSHAKE && state != GATE_SESSION_LIVE)
		return false;
	if (bpf_ktime_get_boot_ns() < s->deadline_ns)
		return true;
	if (__sync_val_compare_and_swap(&s->state, state, GATE_SESSION_CUT) == state)
		event_of_packet(GATE_EVENT_DEADLINE, skb, &none, GATE_RULE_DEFAULT, id);
	return false;
}

/* Between an application and keygated's listener, one way or the other. */
static __always_inline bool is_steered(const struct packet *p, const struct gate_config *cfg)
{
	__u16 dst_port = addr_is_v4(&p->dst) ? cfg->port4 : cfg->port6;
	__u16 src_port = addr_is_v4(&p->src) ? cfg->port4 : cfg->port6;

	if (p->proto != PROTO_TCP || p->grasp != GRASP_PORTS)
		return false;
	if (addr_is_loopback(&p->dst) && dst_port && p->dport == dst_port)
		return true;
	return addr_is_loopback(&p->src) && src_port && p->sport == src_port;
}

/*
 * Under a policy whose default is not "allow", answers of local TCP servers have the client's
 * address as destination. They are not outbound connections: where only the default speaks of the
 * client, a segment from a port on which this host listens passes. Explicit rules are stronger.
 */
static __always_inline bool answers_client(struct __sk_buff *skb, struct bpf_sock *from,
                                           const struct packet *p)
{
	struct bpf_sock_tuple tuple = {};
	struct bpf_sock *sk;

	if (p->proto != PROTO_TCP || p->grasp != GRASP_PORTS || from->protocol != PROTO_TCP ||
	    from->type != STREAM_SOCKETS)
		return false;
	if (addr_is_v4(&p->src)) {
		tuple.ipv4.daddr = p->src.w[3];
		tuple.ipv4.dport = bpf_htons(p->sport);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
	} else {
		__builtin_memcpy(tuple.ipv6.daddr, p->src.b, sizeof(tuple.ipv6.daddr));
		tuple.ipv6.dport = bpf_htons(p->sport);
		sk = bpf_sk_lookup_tcp(skb, &tuple, sizeof(tuple.ipv6), BPF_F_CURRENT_NETNS, 0);
	}
	if (!sk)
		return false;
	bpf_sk_release(sk);
	return true;
}

/*
 * Resets for connections that are no more, and the last acknowledgements of ended ones, leave by a
 * raw socket of the kernel's own, which bears no mark. Without them the peer of a session that
 * ended would wait for its own time-outs. They hold no payload, and open nothing.
 */
static __always_inline bool kernel_tcp(struct __sk_buff *skb, struct bpf_sock *from,
                                       const struct packet *p)
{
	struct {
		__u8 offset, flags;
	} h;

	if (p->proto != PROTO_TCP || p->grasp != GRASP_PORTS || from->type != RAW_SOCKETS ||
	    from->protocol != PROTO_TCP || is_users_raw(from))
		return false;
	if (bpf_skb_load_bytes(skb, p->transport + TCP_OFFSET_AT, &h, sizeof(h)))
		return false;
	return !(h.flags & TCP_SYN) && skb->len == p->transport + (h.offset >> 4) * 4u;
}

/*
 * Of an own upstream socket. The packet itself is asked: a source route, or a listener that was
 * made of the socket and whose connections inherit its mark, would take packets elsewhere.
 */
static __always_inline int egress_own(struct __sk_buff *skb, const struct gate_own *own)
{
	__u64 session = own->session;
	struct packet p = {};

	if (!session_flows(skb, session)) {
		count(GATE_STAT_CUT);
		return 0;
	}
	if (parse(skb, &p) && p.grasp == GRASP_PORTS && p.proto == PROTO_TCP &&
	    goes_to(own, &p.dst, p.dport))
		return 1;
	count(GATE_STAT_BACKSTOP);
	event_of_packet(GATE_EVENT_BACKSTOP, skb, &p, GATE_RULE_DEFAULT, session);
	return 0;
}

/*
 * The question of an RPC client whether the server does TLS (RFC 9289 4.1): a call of the null
 * procedure of the NFS program under AUTH_TLS, in one record. All of it is given but the number of
 * the call and the version of the protocol.
 */
static __always_inline bool is_rpc_question(struct __sk_buff *skb, __u32 off)
{
	struct {
		__u32 record, xid, call, rpc, program, version, procedure, flavor, n, verifier, m;
	} q;

	if (skb->len != off + sizeof(q) || bpf_skb_load_bytes(skb, off, &q, sizeof(q)))
		return false;
	return q.record == bpf_htonl(0x80000000 | (sizeof(q) - 4)) && q.call == 0 &&
	       q.rpc == bpf_htonl(2) && q.program == bpf_htonl(100003) &&
	       bpf_ntohl(q.version) <= 4 && q.procedure == 0 && q.flavor == bpf_htonl(7) &&
	       q.n == 0 && q.verifier == 0 && q.m == 0;
}

/* Of a socket of the kernel's that has no session: it is mute, but for that question. */
static __always_inline bool egress_kernel(struct __sk_buff *skb, const struct gate_own *own,
                                          const struct packet *p)
{
	__u32 off;
	__u8 offset;

	if (p->grasp != GRASP_PORTS || p->proto != PROTO_TCP || !goes_to(own, &p->dst, p->dport) ||
	    bpf_skb_load_bytes(skb, p->transport + TCP_OFFSET_AT, &offset, sizeof(offset)))
		return false;
	off = p->transport + (offset >> 4) * 4u;
	return skb->len == off || (own->kernel == GATE_KERNEL_RPC && is_rpc_question(skb, off));
}

/*
 * Of these sockets the last address was asked for at connect or at sendmsg, whatever stops their
 * packets make.
 */
static __always_inline bool was_asked(const struct bpf_sock *sk)
{
	return (sk->type == STREAM_SOCKETS &&
	        (sk->protocol == PROTO_TCP || sk->protocol == PROTO_MPTCP)) ||
	       (sk->type == DATAGRAM_SOCKETS && sk->protocol == PROTO_UDP);
}

/* By the policy alone: nothing here is ours. */
static __always_inline bool may_leave(struct __sk_buff *skb, struct bpf_sock *sk,
                                      const struct packet *p, const struct gate_config *cfg,
                                      struct hit *hit)
{
	bool icmp = p->grasp == GRASP_KERNEL_ICMP || p->grasp == GRASP_NEIGHBOURS;
	struct asker who = {.sk = sk};

	if (p->routed && !was_asked(sk))
		return false;
	/*
	 * In plain text, and on the loopback device only, whatever the policy says of loopback:
	 * while that is down, and for a socket bound to another device, the address is like any
	 * other to the kernel, and a first packet may have data.
	 */
	if (is_steered(p, cfg))
		return skb->ifindex == LOOPBACK_IFINDEX;
	if (icmp && !is_users_raw(sk))
		return true;
	if (p->grasp == GRASP_PORTS)
		policy_find(&p->dst, p->dport, &who, false, hit);
	else
		policy_find_any_port(&p->dst, &who, hit);
	if (passes(hit->action) || kernel_tcp(skb, sk, p))
		return true;
	if (hit->rule != GATE_RULE_DEFAULT)
		return false;
	/* Explicit rules are stronger than what a host needs to be reached and configured. */
	return p->grasp == GRASP_NEIGHBOURS || answers_client(skb, sk, p);
}

SEC("cgroup_skb/egress")
int kg_egress(struct __sk_buff *skb)
{
	struct gate_config *cfg = config();
	struct bpf_sock *sk = skb->sk;
	struct gate_own *own;
	struct packet p = {};
	struct hit hit = {.rule = GATE_RULE_DEFAULT};

	if (!cfg || !sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	own = own_upstream(sk);
	if (own && own->session)
		return egress_own(skb, own);
	if (!cfg->armed)
		return 1;
	if (!parse(skb, &p))
		return 0;
	own = own_kernel(sk);
	if (own ? egress_kernel(skb, own, &p) : may_leave(skb, sk, &p, cfg, &hit))
		return 1;
	count(GATE_STAT_BACKSTOP);
	event_of_packet(GATE_EVENT_BACKSTOP, skb, &p, hit.rule, 0);
	return 0;
}

/* True when a packet sent to the listener's address may reach this socket: it must bear the mark.
 */
static __always_inline bool may_receive(struct __sk_buff *skb, struct bpf_sock *sk,
                                        const struct gate_config *cfg)
{
	struct packet p = {};
	struct gate_own *own;

	if (sk->src_port != cfg->port4 && sk->src_port != cfg->port6)
		return true;
	if (!parse(skb, &p))
		return false;
	if (p.proto != PROTO_TCP || !addr_is_loopback(&p.dst))
		return true;
	if (sk->src_port != (addr_is_v4(&p.dst) ? cfg->port4 : cfg->port6))
		return true;
	own = bpf_sk_storage_get(&kg_own, sk, NULL, 0);
	return own && own->kind == GATE_OWN_LISTENER;
}

/* ------------------------------------------------------------------- answers */

/*
 * What a name server says of a name that the policy gates or denies is learned before the
 * application reads it, so that no connect can be faster. An answer that can't be learned from is
 * dropped, unless all that it says is in force already. Only plain DNS over UDP is seen:
 * docs/policy.md says what that leaves open.
 */
enum {
	DNS_HEADER = 12,
	DNS_RECORD = 10, /* of a record behind its name: type, class, time to live, length */
	DNS_LABEL_MAX = 63,
	DNS_POINTER = 0xc0,
	DNS_A = 1,
	DNS_AAAA = 28,
	DNS_STEPS_MAX = 4096, /* labels and records in one answer */
	UDP_HEADER = 8,
};

/* One a CPU; busy tells of a kernel whose soft interrupts can be preempted. */
struct scratch {
	__u32 busy;
	__u32 pad;
	struct gate_name name;
	struct gate_learned learned;
	struct gate_told told;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct scratch);
} kg_scratch SEC(".maps");

struct answer {
	struct __sk_buff *skb;
	struct scratch *s;
	__u32 off;   /* of what is read next */
	__u32 left;  /* of the label; of the records */
	__u32 n;     /* bytes of the name */
	bool whole;  /* the name has ended */
	bool inside; /* of a record's name */
	bool failed;
	bool believed;
};

/* Both steps return constants: the verifier does not believe that a stored bool is 0 or 1. */
static long question_step(__u32 i, struct answer *a)
{
	bool ends = false;
	__u8 c;

	if (bpf_skb_load_bytes(a->skb, a->off + i, &c, 1))
		return 1;
	if (a->left) {
		a->left--;
		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
	} else if (c > DNS_LABEL_MAX) {
		return 1;
	} else {
		a->left = c;
		ends = c == 0;
	}
	a->s->name.wire[i & 0xff] = c;
	a->n = i + 1;
	if (!ends)
		return 0;
	a->whole = true;
	return 1;
}

/* True if nothing is left to this rule: it is there, or an earlier one takes all that it would. */
static __always_inline bool covers(const struct gate_port *have, const struct gate_port *want)
{
	if (have->rule == want->rule && have->lo == want->lo && have->hi == want->hi)
		return true;
	return have->rule <= want->rule && !have->app && have->lo <= want->lo &&
	       have->hi >= want->hi;
}

/* True if these rules say already what a name's would close. */
__noinline int holds(struct gate_rules *have, struct gate_rules *want)
{
	if (!have || !want || have->generation != want->generation)
		return 0;
	for (__u32 i = 0; i < GATE_RULES_MAX; i++) {
		__u32 k = 0;

		if (i >= want->n)
			return 1;
		if (passes(want->port[i].action))
			continue;
		while (k < GATE_RULES_MAX && k < have->n && !covers(&have->port[k], &want->port[i]))
			k++;
		if (k >= GATE_RULES_MAX || k >= have->n)
			return 0;
	}
	return 1;
}

/* So that nobody takes all the room. Which of two at a time counts does not matter. */
static __always_inline bool may_tell(__u32 uid, __u64 now)
{
	struct gate_teller *t = bpf_map_lookup_elem(&kg_tellers, &uid);
	struct gate_teller fresh = {.since_ns = now, .n = 1};

	if (!t || now - t->since_ns >= GATE_LEARNED_USER_NS)
		return !bpf_map_update_elem(&kg_tellers, &uid, &fresh, BPF_ANY);
	if (t->n >= GATE_LEARNED_USER_MAX)
		return false;
	__sync_fetch_and_add(&t->n, 1);
	return true;
}

/*
 * False: the application must not hear of it. What another name has too is put together by user
 * space, before the question is asked again.
 */
static __always_inline bool learn(struct answer *a, const union addr *addr)
{
	struct scratch *s = a->s;
	struct gate_learned *known;
	struct gate_event *e;
	__u64 now;
	bool lost;

	if (holds(rules_of(addr, &lost), &s->learned.rules))
		return true;
	now = bpf_ktime_get_boot_ns();
	known = bpf_map_lookup_elem(&kg_learned, addr->b);
	if (known && holds(&known->rules, &s->learned.rules)) {
		if (a->believed)
			known->seen_ns = now;
		return true;
	}
	if (!a->believed || !may_tell(s->learned.uid, now))
		return false;
	s->learned.seen_ns = now;
	if (!known && bpf_map_update_elem(&kg_learned, addr->b, &s->learned, BPF_NOEXIST)) {
		count(GATE_STAT_MAP_FULL);
		return false;
	}
	__builtin_memcpy(s->told.addr, addr->b, sizeof(s->told.addr));
	/* What there is no room for, user space finds in kg_learned a while later. */
	(void)bpf_map_push_elem(&kg_told, &s->told, 0);
	e = event_begin(GATE_EVENT_LEARNED);
	if (e) {
		__builtin_memcpy(e->dst, addr->b, sizeof(e->dst));
		bpf_ringbuf_submit(e, 0);
	}
	return !known;
}

/* One label or pointer of a record's name. */
static __always_inline bool name_of_record(struct answer *a)
{
	__u8 c;

	if (bpf_skb_load_bytes(a->skb, a->off, &c, 1))
		return false;
	if (c == 0 || (c & DNS_POINTER) == DNS_POINTER) {
		a->off += c ? 2 : 1;
		a->inside = false;
	} else {
		a->off += 1u + c;
	}
	return c <= DNS_LABEL_MAX || !a->inside;
}

static __always_inline bool record(struct answer *a)
{
	struct {
		__u16 type, class, ttl[2], len;
	} r;
	union addr addr = {};
	__u32 v4, at = a->off + DNS_RECORD;

	if (bpf_skb_load_bytes(a->skb, a->off, &r, sizeof(r)))
		return false;
	a->off = at + bpf_ntohs(r.len);
	a->left--;
	a->inside = true;
	if (r.class != bpf_htons(1))
		return true;
	if (r.type == bpf_htons(DNS_A) && r.len == bpf_htons(4)) {
		if (bpf_skb_load_bytes(a->skb, at, &v4, sizeof(v4)))
			return false;
		addr_v4(&addr, v4);
		return learn(a, &addr);
	}
	if (r.type == bpf_htons(DNS_AAAA) && r.len == bpf_htons(16))
		return !bpf_skb_load_bytes(a->skb, at, &addr, sizeof(addr)) && learn(a, &addr);
	return true;
}

static long answer_step(__u32 i, struct answer *a)
{
	(void)i;
	if (!a->left)
		return 1;
	if (a->inside ? name_of_record(a) : record(a))
		return 0;
	a->failed = true;
	return 1;
}

/* The rules of the name that is asked for, which ends up in the scratch; NULL: not one of ours. */
static __always_inline struct gate_rules *rules_of_question(struct answer *a)
{
	void *table;
	__u32 zero = 0;

	table = bpf_map_lookup_elem(&kg_names, &zero);
	if (!table)
		return NULL;
	__builtin_memset(&a->s->name, 0, sizeof(a->s->name));
	bpf_loop(sizeof(a->s->name.wire) - 1, question_step, a, 0);
	return a->whole ? bpf_map_lookup_elem(table, &a->s->name) : NULL;
}

/* Of who asked, where root made the namespace; else by nobody. */
static __always_inline void judge_by(struct answer *a, const struct asks *asks)
{
	struct gate_net *net = NULL;

	if (asks)
		net = bpf_map_lookup_elem(&kg_nets, &asks->netns);
	a->believed = net && net->believed;
	a->s->learned.uid = asks ? asks->uid : 0;
	a->s->told.uid = a->s->learned.uid;
}

static __always_inline bool learn_all(struct answer *a, __u32 records, const struct asks *asks)
{
	struct gate_rules *rules = rules_of_question(a);

	if (!rules)
		return true;
	judge_by(a, asks);
	a->s->learned.rules = *rules;
	a->s->learned.name = a->s->name;
	a->s->told.name = a->s->name;
	a->off += a->n + 4; /* type and class of the question */
	a->left = records;
	a->inside = true;
	bpf_loop(DNS_STEPS_MAX, answer_step, a, 0);
	return !a->failed && !a->left;
}

/* False: an answer about a name of ours that can't be learned from. */
static __always_inline bool learn_from(struct __sk_buff *skb, const struct packet *p,
                                       const struct asks *asks)
{
	struct {
		__u16 id;
		__u8 flags, code;
		__u16 questions, answers;
	} h;
	struct answer a = {
	        .skb = skb, .off = p->transport + UDP_HEADER + DNS_HEADER, .left = unknown_zero()};
	__u32 zero = 0;
	bool done;

	if (bpf_skb_load_bytes(skb, p->transport + UDP_HEADER, &h, sizeof(h)))
		return true;
	if (!(h.flags & 0x80) || h.questions != bpf_htons(1) || !h.answers)
		return true;
	a.s = bpf_map_lookup_elem(&kg_scratch, &zero);
	if (!a.s || __sync_lock_test_and_set(&a.s->busy, 1))
		return false;
	done = learn_all(&a, bpf_ntohs(h.answers), asks);
	a.s->busy = 0;
	return done;
}

static __always_inline bool is_answer(struct __sk_buff *skb, const struct bpf_sock *sk,
                                      struct packet *p)
{
	return sk->protocol == PROTO_UDP && parse(skb, p) && p->proto == PROTO_UDP &&
	       p->grasp == GRASP_PORTS && p->sport == DNS_PORT;
}

/* False: it is kept from the application. What keygated resolves itself goes into the table. */
static __always_inline bool answer_passes(struct __sk_buff *skb, struct bpf_sock *sk,
                                          const struct packet *p, const struct gate_config *cfg)
{
	struct asks *asks = bpf_sk_storage_get(&kg_asks, sk, NULL, 0);

	if (asks && cfg->resolver && asks->uid == cfg->resolver - 1)
		return true;
	/* Disarmed, what is missed is missed. */
	return learn_from(skb, p, asks) || !cfg->armed;
}

SEC("cgroup_skb/ingress")
int kg_ingress(struct __sk_buff *skb)
{
	struct gate_config *cfg = config();
	struct bpf_sock *sk = skb->sk;
	struct packet p = {};
	__u64 session;

	if (!cfg || !sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	session = session_of(sk);
	if (session) {
		if (session_flows(skb, session))
			return 1;
		count(GATE_STAT_CUT);
		return 0;
	}
	if (is_answer(skb, sk, &p) && !answer_passes(skb, sk, &p, cfg)) {
		count(GATE_STAT_ANSWER);
		/* Who answered says more than which socket of ours it was for. */
		p.dst = p.src;
		p.dport = p.sport;
		event_of_packet(GATE_EVENT_ANSWER, skb, &p, GATE_RULE_DEFAULT, 0);
		return 0;
	}
	if (!cfg->armed || may_receive(skb, sk, cfg))
		return 1;
	count(GATE_STAT_NO_LISTENER);
	return 0;
}

/* The helpers that read kernel memory want a licence that the kernel takes for GPL. */
char LICENSE[] SEC("license") = "GPL";
