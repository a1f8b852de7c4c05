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

/*
 * Bumped when a map's layout changes. A keygated adopts the pins that bear its own number; beside
 * any others it makes its own, and takes these away when its policy is in force. Of them it uses
 * what has the same meaning in all versions: that a socket has an element in "kg_raw", and the keys
 * of "kg_learned" with what ends its values, a struct gate_name.
 */
#ifndef GATE_ABI
#define GATE_ABI 9
#endif

#define GATE_TEXT_OF(x) #x
#define GATE_TEXT(x)    GATE_TEXT_OF(x)

#define GATE_PIN_DIR  "/sys/fs/bpf/keygate"
#define GATE_PIN_MAP  "map" GATE_TEXT(GATE_ABI) "_"
#define GATE_PIN_LINK "link" GATE_TEXT(GATE_ABI) "_"

#define GATE_CONNS_MAX    65536
#define GATE_SESSIONS_MAX 65536

/* Zero denies. */
enum gate_action {
	GATE_DENY = 0,
	GATE_GATE,
	GATE_ALLOW,
	GATE_MONITOR, /* as GATE_ALLOW, and keygated is told of connects */
};

/* What the kernel's own sockets may do under a rule that gates, before they have a session. */
enum gate_kernel {
	GATE_KERNEL_STEERED = 0, /* as everybody's, they are pointed at the listener */
	GATE_KERNEL_TLS,         /* connect, and send nothing */
	GATE_KERNEL_RPC,         /* connect, and ask whether the server does TLS (RFC 9289) */
};

#define GATE_RULES_MAX 16

struct gate_port {
	__u16 lo, hi; /* inclusive */
	__u8 action;  /* enum gate_action */
	__u8 kernel;  /* enum gate_kernel */
	__u8 err;     /* positive errno for a denied connect; 0: EPERM */
	__u8 app;   /* 0: of every application; else the bit of struct gate_fits that must be set */
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

/*
 * Selections of applications, a bit each (1 to 63; bit 0 is always set): those that an application
 * fits for sure, and those that it may fit as far as it is known. A rule that allows wants the
 * first, every other is content with the second.
 */
struct gate_fits {
	__u64 sure, maybe;
};

#define GATE_APPS_MAX 63

/* Bytes of a name that are looked up at once, without the zero behind them. */
#define GATE_CHUNK 31

/* What a gate_app_key is of, and what its other fields are then; the rest is zero. */
enum gate_app_kind {
	GATE_APP_USER = 1, /* a: the user id */
	GATE_APP_FILE,     /* a: device, b: generation, number: inode */
	/*
	 * A step into a name. a: the node to start from (1 at the beginning), name: the next
	 * GATE_CHUNK bytes of a component of the cgroup's path, or fewer (also none), which ends
	 * the component. For CGROUP the next component goes on from there, for UNIT there is one.
	 */
	GATE_APP_CGROUP,
	GATE_APP_UNIT,
	GATE_APP_ID,   /* number: of a cgroup that was there when the table was made */
	GATE_APP_REST, /* a: USER, FILE, CGROUP or UNIT; what holds of all that is not listed */
	GATE_APP_KINDS,
};

/*
 * "kg_apps": two tables, of the generations whose lowest bit is 0 and 1. A kind's bits are those of
 * the selections that this value fits, and of all that say nothing of the kind; what fits all kinds
 * fits the selection.
 */
struct gate_app_key {
	__u32 generation;
	__u32 kind;
	__u32 a, b;
	__u64 number;
	char name[GATE_CHUNK + 1];
};

struct gate_app {
	struct gate_fits fits;
	__u32 node; /* of a step: where it leads */
	__u32 pad;
};

enum gate_actor_known {
	GATE_KNOWS_USER = 1,
	GATE_KNOWS_FILE = 2, /* inode 0: it runs none */
	GATE_KNOWS_CGROUP = 4,
};

/* Who made a socket or, later, last connected or sent by it: "kg_actor", on the socket. */
struct gate_actor {
	__u64 cgroup; /* id */
	__u64 inode;  /* of the executable, as are the next two */
	__u32 device; /* as the kernel has it: not always what stat says */
	__u32 inode_generation;
	__u32 uid;
	__u32 known;      /* enum gate_actor_known */
	__u32 generation; /* of the policy that these fits are of ... */
	__u32 apps;       /* ... and of kg_config then */
	struct gate_fits fits;
};

/* Handed to the program "kg_file", which fills in the rest: a descriptor of its caller. */
struct gate_file {
	__u32 fd;
	__u32 device;
	__u64 inode;
	__u32 inode_generation;
	__u32 known; /* 0: it can't be told */
};

/* A DNS name as it stands in a question (RFC 1035 4.1.2), in lower case; zero behind its end. */
struct gate_name {
	__u8 wire[256];
};

#define GATE_LEARNED_MAX 4096
#define GATE_TOLD_MAX    1024

/* What one user's sockets may have learned anew in a while. */
#define GATE_LEARNED_USER_MAX 512
#define GATE_LEARNED_USER_NS  (600 * 1000000000ull)

/*
 * "kg_names", element 0: struct gate_name -> struct gate_rules, what the policy says of the
 * addresses of that name. "kg_learned": address -> what answers said of it. Whoever can send a
 * packet here may have said so: these rules only ever close what the policy table leaves open. The
 * kernel half adds entries; user space puts all names of an address into one, and takes them out.
 */
struct gate_learned {
	struct gate_rules rules;
	__u64 seen_ns; /* CLOCK_BOOTTIME; when an answer last said so */
	__u32 uid;     /* of who asked */
	__u32 pad;
	struct gate_name name; /* the first that it was learned of */
};

/* "kg_told", a queue: what is new in kg_learned, and what else was said of an address there. */
struct gate_told {
	__u8 addr[16];
	struct gate_name name;
	__u32 uid;
	__u32 pad;
};

/* "kg_tellers": user id -> how much was learned from answers to that user, since when. */
struct gate_teller {
	__u64 since_ns; /* CLOCK_BOOTTIME */
	__u64 n;
};

struct gate_lpm_key {
	__u32 prefixlen; /* 0..128 over addr */
	__u8 addr[16];
};

/*
 * gate_config.tables: which of the two elements of "kg_policy" and "kg_hosts" is in force, and
 * whether the policy names whole addresses. One store changes all of it.
 */
enum gate_tables {
	GATE_TABLES_SLOT = 1,
	GATE_TABLES_HOSTS = 2,
};

/* Element 0 of the array map "kg_config". */
struct gate_config {
	__u16 armed;      /* 0: nothing is gated (keygate disarm); pins stay */
	__u16 kernel_tls; /* there are rules by enum gate_kernel */
	__u32 generation; /* of the policy in force; with one of applications never 0 */
	__u16 port4;      /* keygated's listener on 127.0.0.1 */
	__u16 port6;      /* keygated's listener on ::1 */
	/* 0: no rule asks for the application, so nobody notes it; else another one with each table
	 * that kg_apps gets. */
	__u32 apps;
	__u32 tables;   /* enum gate_tables */
	__u32 resolver; /* user id of keygated's own resolver and one; 0: there is none */
};

/* What marks a socket as keygated's own, in socket-local storage "kg_own": only a holder of the map
 * can set it. Connections accepted from a marked listener inherit its mark. */
enum gate_own_kind {
	GATE_OWN_NONE = 0,
	GATE_OWN_LISTENER,
	GATE_OWN_UPSTREAM, /* to a gated destination, on behalf of a session */
	GATE_OWN_KERNEL,   /* the kernel's own, to a gated destination; it has no session yet */
};

/* The destination is an upstream socket's, or the kernel's: it connects and sends there and nowhere
 * else. */
struct gate_own {
	__u32 kind;
	__u16 dst_port;
	__u16 kernel; /* enum gate_kernel, of GATE_OWN_KERNEL */
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
	__u32 pid;   /* tgid */
	__u32 known; /* enum gate_actor_known */
	__u64 cgroup;
	__u64 inode; /* these three as in struct gate_actor */
	__u32 device;
	__u32 inode_generation;
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
	__s32 ring;        /* serial of the ring that its key is in; 0: none any more */
	__u64 deadline_ns; /* CLOCK_BOOTTIME; packets are dropped from then on */
};

/*
 * "kg_keys", for the keyring watch: __s32 serial -> __u64 session id, of a session's key; or
 * GATE_KEY_RING, of a ring.
 */
#define GATE_KEY_RING 0

/*
 * "kg_nets": netns cookie -> struct gate_net, the network namespaces that user space has made up
 * its mind about, its own among them. Of others there are events. Whether a namespace is served is
 * not decided from it, but seen by the marked listener in it.
 */
#define GATE_NETS_MAX 4096

struct gate_net {
	__u32 watched;  /* tell when a task leaves it */
	__u32 believed; /* root made it: answers that arrive there are learned from */
	__u64 told_ns;  /* CLOCK_BOOTTIME; when that was told last */
};

enum gate_event_kind {
	GATE_EVENT_NONE = 0,
	GATE_EVENT_DENY,       /* connect refused by policy, or no listener */
	GATE_EVENT_DATAGRAM,   /* datagram to a gated destination refused */
	GATE_EVENT_BACKSTOP,   /* packet that was not ours dropped */
	GATE_EVENT_REVOKED,    /* its key or ring was ended; the session is cut already */
	GATE_EVENT_DEADLINE,   /* a session's packet came past its deadline */
	GATE_EVENT_LEARNED,    /* an address of a name; it is in kg_told */
	GATE_EVENT_ANSWER,     /* an answer about a name, dropped: it can't be learned from */
	GATE_EVENT_NETNS_MADE, /* these three: in netns, pid is a thread's id. A task entered it */
	GATE_EVENT_NETNS_USED, /* a socket was made in it, or a gated connect refused */
	GATE_EVENT_NETNS_LEFT, /* a task left it */
	GATE_EVENT_MONITOR,    /* a connect passed that a rule monitors */
	GATE_EVENT_KINDS,
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
	__u32 generation; /* of the rule; 0 where it isn't said */
	__u64 netns;      /* cookie; 0 where it isn't said */
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
	GATE_STAT_ANSWER,
	GATE_STAT_MONITORED,    /* connects that passed unprotected */
	GATE_STAT_MONITOR_LOST, /* of these, that keygated was not told of */
	GATE_STAT_MAX,
};

/*
 * The guard (guard.bpf.c) knows keygated's file by its place: the device, and the names up to the
 * root of its file system, the last first. Of paths that are longer there is none.
 */
#define GATE_PLACE_DEPTH 16
#define GATE_PLACE_NAME  32 /* with the zero behind it, and zeroes up to here */

struct gate_place {
	__u32 device;
	__u32 known; /* 0: it has none */
	char name[GATE_PLACE_DEPTH][GATE_PLACE_NAME];
};

/* The directory of the pins. No two inodes of a bpffs have the same number. */
struct gate_inode {
	__u64 number;
	__u32 device;
	__u32 pad;
};

enum gate_guarded {
	GATE_GUARDED_MAP = 1,
	GATE_GUARDED_PROG,
	GATE_GUARDED_LINK,
};

/* "kg_guard_ids": what only keygate may open. */
struct gate_guarded_key {
	__u32 kind; /* enum gate_guarded */
	__u32 id;
};

#define GATE_GUARDED_MAX 4096

/* Handed to "kg_guard_look", which looks at two descriptors of its caller and keeps what it saw. */
struct gate_look {
	__u32 exe;   /* keygated's file */
	__u32 pins;  /* their directory */
	__u32 known; /* 0: it can't be told */
};

#endif
