/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only */
/*
 * The only types shared between the kernel half and user space: map names, keys and values.
 * Fixed layout, no padding, no pointers. Includes nothing of the project.
 *
 * Addresses are always 16 bytes; IPv4 is written v4-mapped (::ffff:a.b.c.d), so one table and
 * one code path serve IPv4, IPv6 and v4-mapped sockets alike. Ports are host byte order.
 */
#ifndef KEYGATE_BPF_GATE_H
#define KEYGATE_BPF_GATE_H

#include <linux/types.h>

/* Bumped when a map's layout changes; an upgrade refuses to adopt pins of another version. */
#define GATE_ABI 2

#define GATE_PIN_DIR "/sys/fs/bpf/keygate"

#define GATE_CONNS_MAX    65536
#define GATE_SESSIONS_MAX 65536

/* Zero denies. */
enum gate_action {
	GATE_DENY = 0,
	GATE_GATE,
	GATE_ALLOW,
};

#define GATE_RULES_MAX 16

struct gate_port {
	__u16 lo, hi; /* inclusive */
	__u8 action;  /* enum gate_action */
	__u8 pad;
	__u16 err;  /* positive errno for a denied connect */
	__u32 rule; /* index of the destination block in the policy */
};

/*
 * First match wins. What no entry matches is GATE_ALLOW (the policy's default is an entry). The
 * generation travels with the rules, so that an intent never pairs a rule's index with the
 * generation of another table.
 */
struct gate_rules {
	__u32 n;
	__u32 generation;
	struct gate_port port[GATE_RULES_MAX];
};

/* gate_port.rule, gate_intent.rule and gate_event.rule of the policy's default action, and of what
 * no rule decided. */
#define GATE_RULE_DEFAULT 0xffffffffu

struct gate_lpm_key {
	__u32 prefixlen; /* 0..128 over addr */
	__u8 addr[16];
};

/* Element 0 of the array map "kg_config". */
struct gate_config {
	__u32 abi;
	__u32 armed;      /* 0: nothing is gated (keygate disarm); pins stay */
	__u32 generation; /* of the policy in force */
	__u16 port4;      /* keygated's listener on 127.0.0.1 */
	__u16 port6;      /* keygated's listener on ::1 */
};

/* What marks a socket as keygated's own, in socket-local storage "kg_own": only a holder of the map
 * can set it. Connections accepted from a marked listener inherit its mark. */
enum gate_own_kind {
	GATE_OWN_NONE = 0,
	GATE_OWN_LISTENER,
	GATE_OWN_UPSTREAM, /* to a gated destination, on behalf of a session */
};

/* The destination is an upstream socket's: it connects and sends there and nowhere else. */
struct gate_own {
	__u32 kind;
	__u16 dst_port;
	__u16 pad;
	__u64 session;
	__u8 dst[16];
};

/* An intercepted connect, kept on the app's socket ("kg_intent") and, until keygated accepts, by
 * tuple ("kg_conn"). */
struct gate_intent {
	__u8 dst[16];
	__u16 dst_port;
	__u8 mapped; /* the app used a v4-mapped IPv6 socket */
	__u8 family; /* 4 or 6: of the redirected connection */
	__u32 rule;
	__u32 generation;
	__u32 uid;
	__u32 pid; /* tgid */
	__u32 pad;
	__u64 cgroup;
	__u64 netns;  /* cookie */
	__u64 cookie; /* socket cookie */
	__u64 at_ns;  /* CLOCK_BOOTTIME */
	char comm[16];
};

/* What the listener sees of the app: its source address and port in that namespace. */
struct gate_conn_key {
	__u64 netns;
	__u8 src[16];
	__u16 src_port;
	__u16 pad[3];
};

enum gate_session_state {
	GATE_SESSION_CUT = 0, /* every packet is dropped, both ways */
	GATE_SESSION_HANDSHAKE,
	GATE_SESSION_LIVE,
};

/* "kg_sessions": session id -> state. No entry is GATE_SESSION_CUT. */
struct gate_session {
	__u32 state;
	__u32 pad;
	__u64 deadline_ns; /* CLOCK_BOOTTIME; packets are dropped from then on */
};

/* "kg_keys": __s32 key serial -> __u64 session id, for the keyring watch. */

enum gate_event_kind {
	GATE_EVENT_NONE = 0,
	GATE_EVENT_DENY,     /* connect refused by policy, or no listener */
	GATE_EVENT_DATAGRAM, /* datagram to a gated destination refused */
	GATE_EVENT_BACKSTOP, /* packet that was not ours dropped */
	GATE_EVENT_REVOKED,  /* key revoked or invalidated; the session is cut already */
	GATE_EVENT_DEADLINE, /* a session's packet came past its deadline */
};

struct gate_event {
	__u32 kind;
	__u32 rule;
	__u64 session;
	__u64 cgroup;
	__u8 dst[16];
	__u16 dst_port;
	__u8 proto;
	__u8 pad;
	__u32 uid;
	__u32 pid;
	char comm[16];
	__u32 pad2;
};

/* Indexes of the per-CPU counters "kg_stats" (__u64). */
enum gate_stat {
	GATE_STAT_GATED = 0,
	GATE_STAT_DENIED,
	GATE_STAT_NO_LISTENER,
	GATE_STAT_DATAGRAM,
	GATE_STAT_BACKSTOP,
	GATE_STAT_CUT,
	GATE_STAT_REVOKED,
	GATE_STAT_MAP_FULL,
	GATE_STAT_EVENT_LOST,
	GATE_STAT_MAX,
};

#endif
