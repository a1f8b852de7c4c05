/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The user half of bpf/: load, pin, adopt, update; policy tables; sessions and keys that the kernel
 * enforces; intents; marking sockets as ours; the event stream. Only gate calls it. Knows kernel
 * maps, no sessions' meaning.
 */
#ifndef KEYGATE_DAEMON_INTERCEPT_H
#define KEYGATE_DAEMON_INTERCEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "bpf/gate.h"
#include "policy/policy.h"

struct intercept;

/*
 * Loads the programs and attaches them at the root of cgroup 2 (found by file system type, not by
 * path); links and maps are pinned under GATE_PIN_DIR, or adopted from there (programs are replaced
 * atomically through the pinned links; maps of the same ABI are kept). Sessions, keys and intents
 * that a predecessor left are forgotten, which cuts what is still open of them; the policy, the
 * arming and the counters stay. What a predecessor of another ABI left stays in force beside this
 * one, which is not armed then, until intercept_arm. The keyring watch (fentry) is optional: *watch
 * tells whether it is on; so are the namespace watch and the guard. On failure *step is static
 * text. Nothing already pinned is ever removed on failure.
 */
int intercept_open(struct intercept **out, bool *watch, const char **step);
/* NULL: the guard is on (bpf/guard.bpf.c). Else static text that says why it is off. */
const char *intercept_guard_off(const struct intercept *i);
/* Closes descriptors; pins stay, so the kernel goes on enforcing. */
void intercept_close(struct intercept *i);
/* Removes all pins and links, of whatever ABI: nothing is gated any more. Works without an open
 * handle. */
int intercept_remove(void);
/*
 * The same for other pins and another cgroup 2 directory than the root: tests gate a cgroup of
 * their own, never their host. pin_dir's parent must be a bpf file system.
 */
int intercept_open_at(struct intercept **out, const char *pin_dir, const char *cgroup, bool *watch,
                      const char **step);
int intercept_remove_at(const char *pin_dir);

/*
 * Whether the rules of tables from here on may let the kernel's own sockets go out by themselves
 * (policy_kernel_tls). Not so at first: then these are steered like everybody's. Programs' sockets
 * are marked then, to be told from them; it costs each a little memory.
 */
void intercept_kernel_tls(struct intercept *i, bool on);
/*
 * Puts a whole new policy table in force by one atomic swap, with the listeners' ports. -E2BIG,
 * -errno: the old table stays.
 */
int intercept_policy(struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t generation, uint16_t port4, uint16_t port6);
/*
 * Puts the names in force whose addresses the kernel learns from answers that applications get,
 * likewise by one swap. Call it before intercept_policy of the same generation: what is learned
 * in between is matched by the stricter of both tables. A host that is no DNS name is left out, and
 * one of which nothing is gated or denied.
 */
int intercept_names(struct intercept *i, const struct policy_name_rules *v, size_t n,
                    uint32_t generation);
/*
 * After what came before intercept_policy of a policy that does not come into force: names are as
 * they were before it, and applications are told as the one in force wants it.
 */
void intercept_undo(struct intercept *i);

/* An address that an application was told for a host. */
struct intercept_told {
	char host[256];
	uint8_t addr[16];
	uint32_t uid;     /* who asked */
	uint64_t seen_ns; /* CLOCK_BOOTTIME; 0: just now */
};
typedef void (*intercept_told_fn)(void *ctx, const struct intercept_told *told);
/* Gives fn what is new since, GATE_TOLD_MAX at most. How much there was, or -errno. */
int intercept_told(struct intercept *i, intercept_told_fn fn, void *ctx);
/* Gives fn all that the kernel has learned, under one of its hosts; fn may take it out. The same.
 */
int intercept_learned(struct intercept *i, intercept_told_fn fn, void *ctx);
/* What is in force of an address beside the policy table, of that generation (rules->host unused).
 */
int intercept_learn(struct intercept *i, const struct intercept_told *told,
                    const struct policy_name_rules *rules, uint32_t generation);
/* Not any more. given_back: to whom it was told may learn another for it (else UINT32_MAX). */
void intercept_unlearn(struct intercept *i, const uint8_t addr[static 16], uint32_t given_back);
/* The user as whom keygated itself resolves names: what he is told is not learned. */
int intercept_resolver(struct intercept *i, uint32_t uid);

struct gate_app_entry {
	struct gate_app_key key;
	struct gate_app value;
};
/*
 * Puts the table of applications of this generation in place, by one swap; none: no rule asks. Call
 * it before intercept_policy of the same generation, whose rules name its bits; until then the
 * table of the generation before stays beside it. -EOPNOTSUPP when this kernel does not let
 * programs tell more than the user, and an entry asks for more.
 */
int intercept_apps(struct intercept *i, const struct gate_app_entry *v, size_t n,
                   uint32_t generation);
/* What file an own descriptor is of, as the kernel half sees it. -EOPNOTSUPP as above. */
int intercept_file(struct intercept *i, int fd, struct gate_file *out);
/* The generation that was in force last, whoever put it; 0: none. */
uint32_t intercept_generation(struct intercept *i);
/* A descriptor of the root of cgroup 2, the caller's; -errno. */
int intercept_cgroups(void);

/*
 * Either way it is from then on the only one: what is pinned of another ABI is removed. -ENODATA
 * when there is no policy table yet: armed without one, the kernel refuses everything. On another
 * -errno something of the others may still be in force, and a further call goes on.
 */
int intercept_arm(struct intercept *i, bool armed);
bool intercept_armed(struct intercept *i);

/*
 * Marks an own socket in socket-local storage; GATE_OWN_NONE takes the mark away. A listener is
 * marked before it accepts, an upstream socket before it connects and after its session exists.
 * dst (v4-mapped form) and port are the only ones an upstream socket may connect and send to;
 * NULL, 0 for the other kinds. -EINVAL without.
 */
int intercept_mark(struct intercept *i, int fd, enum gate_own_kind kind, uint64_t session,
                   const uint8_t *dst, uint16_t port);

/* Takes (finds and deletes) the intent of a connection accepted from this peer. -ENOENT. */
int intercept_take(struct intercept *i, uint64_t netns, const struct sockaddr_storage *peer,
                   struct gate_intent *out);
/* Deletes intents older than max_age_ns. Returns how many. */
int intercept_sweep(struct intercept *i, uint64_t max_age_ns);

/*
 * -ECANCELED when the session is cut already: a cut, by whoever, is final. The deadline of a live
 * one only ever gets sooner.
 */
int intercept_session(struct intercept *i, uint64_t session, enum gate_session_state state,
                      uint64_t deadline_boot_ns);
/* Live, for as long as this key and this ring are; the watch sees what happens to them from now on.
 */
int intercept_session_live(struct intercept *i, uint64_t session, int32_t serial, int32_t ring,
                           uint64_t deadline_boot_ns);
/* Forgets both (serial 0: no key). What the socket still sends, its FIN included, is dropped then.
 */
void intercept_session_end(struct intercept *i, uint64_t session, int32_t serial);

typedef void (*intercept_event_fn)(void *ctx, const struct gate_event *e);
/* A descriptor to poll for events, and the call that drains them and says how many. */
int intercept_event_fd(struct intercept *i);
int intercept_events(struct intercept *i, intercept_event_fn fn, void *ctx);
int intercept_stats(struct intercept *i, uint64_t out[static GATE_STAT_MAX]);

/*
 * A network namespace, by its cookie, that user space knows: no events come any more of tasks and
 * sockets in it. watched: but of tasks that leave it. believed: what answers say there is learned.
 * Its own is known and believed from the start. -E2BIG: no room.
 */
int intercept_netns(struct intercept *i, uint64_t cookie, bool watched, bool believed);
/* Not any more. */
void intercept_netns_forget(struct intercept *i, uint64_t cookie);
/* Does this kernel tell of tasks that enter and leave namespaces? */
bool intercept_netns_watch(const struct intercept *i);
/* Does this kernel let PPPOX sockets, and with them PPP over L2TP, be refused to who has no
 * CAP_NET_ADMIN? */
bool intercept_tunnels_refused(const struct intercept *i);

/* ---------------------------------------------------------------- sockdiag.c */

/* What the kernel reports of one TCP socket (INET_DIAG_ULP_INFO). */
struct sockdiag_tls {
	bool is_tls;
	uint16_t version, cipher, txconf, rxconf;
};

/* By the socket's own addresses and cookie, in this network namespace. -ENOENT, -errno. */
int sockdiag_tls(int fd, struct sockdiag_tls *out);
/* SOCK_DESTROY of that very socket (tuple and cookie). */
int sockdiag_destroy(int fd);

struct sockdiag_socket {
	uint8_t dst[16];
	uint16_t port;
	uint8_t proto; /* IPPROTO_TCP, IPPROTO_UDP */
	uint64_t cookie;
	uint32_t uid;    /* of who made it, as is the next */
	uint64_t cgroup; /* id; 0: not known */
};

struct sockdiag_match {
	/* True if this socket must go. */
	bool (*fn)(void *ctx, const struct sockdiag_socket *s);
	void *ctx;
	bool held; /* ask only about those that a process holds */
	bool udp;  /* ask about connected UDP sockets as well */
};
/* Destroys all TCP sockets of this namespace that match (states but LISTEN and TIME_WAIT), and UDP
 * ones that do. Count or -errno. */
int sockdiag_sweep(const struct sockdiag_match *m);

#endif
