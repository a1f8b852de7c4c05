// SPDX-License-Identifier: Apache-2.0
/*
 * The kernel half: steers TCP connects of gated destinations to keygated's listener, refuses what
 * can't be steered, remembers what the application asked for, and drops every packet to a gated
 * destination that is not part of a live session. Knows addresses, ports and states; no names, no
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
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include "bpf/maps.bpf.h"

/* Not in the headers that a BPF object may include. */
#define FAMILY_INET      2
#define STREAM_SOCKETS   1
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
#define LOOPBACK_IFINDEX 1 /* of lo, in every network namespace */

#define V4_LOOPBACK 0x7f000001
#define V4_MAPPED   0x0000ffff

/* Events of one kind that a CPU reports in a second; the rest are only counted. */
#define EVENTS_A_SECOND 256
#define SECOND_NS       1000000000ull

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct gate_config);
} kg_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
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

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, GATE_CONNS_MAX);
	__type(key, struct gate_conn_key);
	__type(value, struct gate_intent);
} kg_conn SEC(".maps");

struct limit {
	__u64 since;
	__u64 n;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, GATE_EVENT_DEADLINE + 1);
	__type(key, __u32);
	__type(value, struct limit);
} kg_limit SEC(".maps");

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
		count(GATE_STAT_EVENT_LOST);
		return NULL;
	}
	l->n++;
	return event_reserve(kind);
}

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

/* -------------------------------------------------------------------- policy */

struct hit {
	__u32 action; /* enum gate_action */
	__u32 rule;
	__u32 generation;
	__u32 err;
};

/* NULL with *lost unset: nothing is said of this address. */
static __always_inline struct gate_rules *rules_of(const union addr *dst, bool *lost)
{
	struct gate_lpm_key key = {.prefixlen = 128};
	__u32 zero = 0;
	void *table = bpf_map_lookup_elem(&kg_policy, &zero);

	*lost = !table;
	if (!table)
		return NULL;
	__builtin_memcpy(key.addr, dst->b, sizeof(key.addr));
	return bpf_map_lookup_elem(table, &key);
}

static __always_inline void policy_find(const union addr *dst, __u16 port, struct hit *hit)
{
	struct gate_rules *rules;
	bool lost;

	hit->action = GATE_DENY;
	hit->rule = GATE_RULE_DEFAULT;
	hit->generation = 0;
	hit->err = EPERM;
	rules = rules_of(dst, &lost);
	if (lost)
		return;
	hit->action = GATE_ALLOW;
	if (!rules)
		return;
	hit->generation = rules->generation;
	if (rules->n > GATE_RULES_MAX) {
		hit->action = GATE_DENY;
		return;
	}
	for (__u32 i = 0; i < GATE_RULES_MAX; i++) {
		if (i >= rules->n)
			return;
		if (port < rules->port[i].lo || port > rules->port[i].hi)
			continue;
		hit->action = rules->port[i].action;
		hit->rule = rules->port[i].rule;
		hit->err = rules->port[i].err;
		return;
	}
}

/* For a packet whose port can't be told: allowed only where no port of the address is restricted.
 */
static __always_inline void policy_find_any_port(const union addr *dst, struct hit *hit)
{
	struct gate_rules *rules;
	bool lost;

	hit->action = GATE_DENY;
	hit->rule = GATE_RULE_DEFAULT;
	rules = rules_of(dst, &lost);
	if (lost)
		return;
	hit->action = GATE_ALLOW;
	if (!rules)
		return;
	for (__u32 i = 0; i < GATE_RULES_MAX; i++) {
		if (i >= rules->n)
			return;
		if (rules->port[i].action != GATE_ALLOW) {
			hit->action = rules->port[i].action;
			hit->rule = rules->port[i].rule;
			return;
		}
		if (rules->port[i].lo == 0 && rules->port[i].hi == 0xffff)
			return;
	}
}

static __always_inline struct gate_config *config(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&kg_config, &zero);
}

/* ------------------------------------------------------------------- connect */

enum steer { STEER_REFUSE = 0, STEER_PASS, STEER_LISTENER };

struct target {
	union addr dst;
	__u16 port;
	__u8 mapped;
	bool v4; /* of the connection that results */
};

static __always_inline void event_of_task(enum gate_event_kind kind, __u8 proto,
                                          const struct target *t, const struct hit *hit)
{
	struct gate_event *e = event_begin(kind);

	if (!e)
		return;
	e->rule = hit->rule;
	e->cgroup = bpf_get_current_cgroup_id();
	__builtin_memcpy(e->dst, t->dst.b, sizeof(e->dst));
	e->dst_port = t->port;
	e->proto = proto;
	e->uid = (__u32)bpf_get_current_uid_gid();
	e->pid = (__u32)(bpf_get_current_pid_tgid() >> 32);
	bpf_get_current_comm(e->comm, sizeof(e->comm));
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
                                     const struct hit *hit)
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

static __always_inline enum steer gate_stream(struct bpf_sock_addr *ctx, const struct target *t,
                                              const struct hit *hit, const struct gate_config *cfg)
{
	if (!listener_here(ctx, t, cfg)) {
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, hit);
		return refuse(GATE_STAT_NO_LISTENER, ECONNREFUSED);
	}
	if (!remember(ctx, t, hit)) {
		event_of_task(GATE_EVENT_DENY, PROTO_TCP, t, hit);
		return refuse(GATE_STAT_MAP_FULL, ECONNREFUSED);
	}
	count(GATE_STAT_GATED);
	return STEER_LISTENER;
}

static __always_inline enum steer steer(struct bpf_sock_addr *ctx, struct target *t,
                                        const struct gate_config *cfg)
{
	bool stream = ctx->type == STREAM_SOCKETS &&
	              (ctx->protocol == PROTO_TCP || ctx->protocol == PROTO_MPTCP);
	struct gate_own *own;
	struct hit hit;

	/* What an earlier connect of this socket left must not name its next peer. */
	bpf_sk_storage_delete(&kg_intent, ctx->sk);
	own = own_upstream(ctx->sk);
	if (own)
		return steer_own(own, t);
	if (!cfg->armed)
		return STEER_PASS;
	addr_any_is_loopback(&t->dst);
	policy_find(&t->dst, t->port, &hit);
	if (hit.action == GATE_ALLOW)
		return STEER_PASS;
	if (hit.action == GATE_GATE && stream)
		return gate_stream(ctx, t, &hit, cfg);
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
	struct hit hit;

	if (!cfg)
		return 0;
	if (!cfg->armed)
		return 1;
	addr_any_is_loopback(&t->dst);
	policy_find(&t->dst, t->port, &hit);
	if (hit.action == GATE_ALLOW)
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

/* How much of a packet's meaning is known; what is not known is matched by address alone. */
enum grasp { GRASP_ADDRESS = 0, GRASP_PORTS, GRASP_KERNEL_ICMP };

struct packet {
	union addr src, dst;
	__u16 sport, dport;
	__u8 proto;
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

/* The same, and what IPv6 can't work without: neighbour discovery and multicast listeners. */
static __always_inline bool kernel_icmp6(__u8 type)
{
	return (type >= 1 && type <= 4) || type == 129 || type == 131 || type == 132 ||
	       (type >= 133 && type <= 137) || type == 143;
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
	}
}

struct ip4_head {
	__u8 ver_ihl, tos;
	__u16 len, id, frag;
	__u8 ttl, proto;
	__u16 sum;
	__u32 src, dst;
};

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

/* A routing header hides the last address: it is not understood, on purpose. */
enum { EXT_HOPS = 0, EXT_FRAGMENT = 44, EXT_DSTOPTS = 60, EXT_MAX = 6 };

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
			parse_transport(skb, off, false, p);
			return true;
		}
		if (bpf_skb_load_bytes(skb, off, &ext, sizeof(ext)))
			return true;
		if (p->proto == EXT_FRAGMENT) {
			if (ext.frag & bpf_htons(0xfff8))
				return true;
			off += 8;
		} else {
			off += (ext.len + 1u) * 8u;
		}
		p->proto = ext.next;
	}
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

/*
 * Between the application and keygated's listener, whatever the policy says of loopback. Neither
 * direction can leave the host: it is bound to the loopback device.
 */
static __always_inline bool is_steered(struct __sk_buff *skb, const struct packet *p,
                                       const struct gate_config *cfg)
{
	__u16 dst_port = addr_is_v4(&p->dst) ? cfg->port4 : cfg->port6;
	__u16 src_port = addr_is_v4(&p->src) ? cfg->port4 : cfg->port6;

	if (skb->ifindex != LOOPBACK_IFINDEX || p->proto != PROTO_TCP || p->grasp != GRASP_PORTS)
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
	    from->protocol != PROTO_TCP)
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

SEC("cgroup_skb/egress")
int kg_egress(struct __sk_buff *skb)
{
	struct gate_config *cfg = config();
	struct bpf_sock *sk = skb->sk;
	struct gate_own *own;
	struct packet p = {};
	struct hit hit = {};

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
	if (p.grasp == GRASP_KERNEL_ICMP)
		return 1;
	if (p.grasp == GRASP_PORTS)
		policy_find(&p.dst, p.dport, &hit);
	else
		policy_find_any_port(&p.dst, &hit);
	if (hit.action == GATE_ALLOW || is_steered(skb, &p, cfg))
		return 1;
	if (kernel_tcp(skb, sk, &p))
		return 1;
	if (hit.rule == GATE_RULE_DEFAULT && answers_client(skb, sk, &p))
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

SEC("cgroup_skb/ingress")
int kg_ingress(struct __sk_buff *skb)
{
	struct gate_config *cfg = config();
	struct bpf_sock *sk = skb->sk;
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
	if (!cfg->armed || may_receive(skb, sk, cfg))
		return 1;
	count(GATE_STAT_NO_LISTENER);
	return 0;
}

char LICENSE[] SEC("license") = "Apache-2.0";
