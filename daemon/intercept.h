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
 * arming and the counters stay. The keyring watch (fentry) is optional: *watch tells whether it is
 * on. On failure *step is static text. Nothing already pinned is ever removed on failure.
 */
int intercept_open(struct intercept **out, bool *watch, const char **step);
/* Closes descriptors; pins stay, so the kernel goes on enforcing. */
void intercept_close(struct intercept *i);
/* Removes all pins and links: nothing is gated any more. Works without an open handle. */
int intercept_remove(void);
/*
 * The same for other pins and another cgroup 2 directory than the root: tests gate a cgroup of
 * their own, never their host. pin_dir's parent must be a bpf file system.
 */
int intercept_open_at(struct intercept **out, const char *pin_dir, const char *cgroup, bool *watch,
                      const char **step);
int intercept_remove_at(const char *pin_dir);

/*
 * Puts a whole new policy table in force by one atomic swap, with the listeners' ports. -E2BIG,
 * -errno: the old table stays.
 */
int intercept_policy(struct intercept *i, const struct policy_lpm *lpm, size_t n,
                     uint32_t generation, uint16_t port4, uint16_t port6);
/* -ENODATA when there is no policy table yet: armed without one, the kernel refuses everything. */
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

/* -ECANCELED when the session is cut already: a cut, by whoever, is final. */
int intercept_session(struct intercept *i, uint64_t session, enum gate_session_state state,
                      uint64_t deadline_boot_ns);
int intercept_session_key(struct intercept *i, uint64_t session, int32_t serial);
/* Forgets both (serial 0: no key). What the socket still sends, its FIN included, is dropped then.
 */
void intercept_session_end(struct intercept *i, uint64_t session, int32_t serial);

typedef void (*intercept_event_fn)(void *ctx, const struct gate_event *e);
/* A descriptor to poll for events, and the call that drains them and says how many. */
int intercept_event_fd(struct intercept *i);
int intercept_events(struct intercept *i, intercept_event_fn fn, void *ctx);
int intercept_stats(struct intercept *i, uint64_t out[static GATE_STAT_MAX]);

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

struct sockdiag_match {
	/* True if a socket to this destination must go; cookie and cgroup for the record. */
	bool (*fn)(void *ctx, const uint8_t dst[static 16], uint16_t port, uint64_t cookie);
	void *ctx;
};
/* Destroys all TCP sockets of this namespace that match (states but LISTEN and TIME_WAIT). Count or
 * -errno. */
int sockdiag_sweep(const struct sockdiag_match *m);

#endif
