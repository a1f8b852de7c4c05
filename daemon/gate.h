/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate role, and what its files share. Only they include this.
 *
 *   gate.c     start, loop, stop
 *   reload.c   policies: load, put in force, names, old sockets
 *   learning.c addresses of names that applications were told
 *   flow.c     sessions: what relay and verify say, deadlines, cuts
 *   leases.c   leases: who leads, waits or offers one; their keys, and what ends them
 *   heads.c    ledger heads: save, prove, forks
 *   follow.c   what logs and witnesses serve: fetch, compare
 *   recheck.c  live sessions under newer collateral
 *   proofs.c   proofs for destinations that staple none
 *   watch.c    entries of logs: fetch, have judged, alert
 *   collateral.c   what vendors serve: fetch, keep, refresh
 *   upcall.c   the kernel's own connections, which ask for their handshake
 *   monitor.c  destinations that are monitored: connections of keygated's own, for the verdict
 *   probe.c    sockets for the administrator's probes
 *   spaces.c   network namespaces beside keygated's own
 *   view.c     the sessions, as the kernel sees them
 *   record.c   the RECORD of a session's answer
 *   verbs.c, verbs_ledger.c   what the control socket's verbs do
 *
 * Essay: one thread, one loop. Everything here runs in the one thread of the privileged process;
 * no call waits for another role: what a role has to say comes as a message, later, and what was
 * meant to happen then stands in this struct. The only waits are those for the kernel (map
 * updates, files, keyctl) and a bounded one for room in a role's socket; a role that leaves no room
 * is hung, and gate ends. Ending is always safe: the kernel half refuses.
 */
#ifndef KEYGATE_DAEMON_GATE_H
#define KEYGATE_DAEMON_GATE_H

#include <jansson.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "daemon/apps.h"
#include "daemon/audit.h"
#include "daemon/bundle.h"
#include "daemon/control.h"
#include "daemon/intercept.h"
#include "daemon/lease.h"
#include "daemon/msg.h"
#include "daemon/names.h"
#include "daemon/selftest.h"
#include "daemon/session.h"
#include "daemon/spawn.h"
#include "daemon/state.h"
#include "keyring/keyring.h"

enum {
	TICK_MS = 250, /* how often keys and deadlines are looked at */
	ROLE_WAIT_MS = 5000,
	HANDSHAKE_MS = 15000, /* from connect() to verdict, for relay */
	SLACK_MS = 5000,      /* what gate waits longer than it allows */
	VERIFY_MS = 10000,
	VERIFY_HUNG_MS = 30000, /* on one question; then verify will not answer any more */
	HANDOVER_MS = 10000,
	/* Of one that waits for another to be attested, as long as that may take; or for its turn,
	 * since somebody's turn came. */
	WAITING_MS = HANDSHAKE_MS + VERIFY_MS + HANDOVER_MS + 2 * SLACK_MS,
	LEASE_ABREAST = 64, /* sessions that connect with one lease at once */
	CLOSING_MS = 30000,
	/* Of one key; the next comes long before the limit, since the peer needs time for its own.
	 */
	REKEY_RECORDS = KEYRING_RECORDS_MAX / 2,
	LINGER_S = 120, /* a closed session's last bytes may take this long; as TCP orphans do */
	LINGER_MAX = 16384,
	PROBE_S = 30, /* for connect, handshake and evidence of a probe */
	PROBES_MAX = 16,
	VIEW_CLIENTS = 16,
	INTENT_MAX_S = 60,
	SWEEP_EVERY_MS = 10000,
	APPS_EVERY_S = 10, /* executables, beside what their directories tell */
	NAMES_WAIT_S = 10, /* for the first answers for new names, before a policy goes in force */
	HEAD_RETRY_S = 60,
	SPACES_MAX = 512, /* network namespaces that are served at a time, beside its own */
	AHEAD_MAX = 32,   /* heads that wait for a proof, with their notes */
};

enum gate_role { ROLE_RELAY = 0, ROLE_VERIFY, ROLE_FETCH, ROLES };

/*
 * Session numbers in the kernel: the epoch in the upper bits, so that none repeats over restarts,
 * relay's number, which is below GATE_PROBE_ID, or that bit and the number of a probe.
 */
enum { GATE_ID_BITS = 40 };
#define GATE_PROBE_ID (UINT64_C(1) << (GATE_ID_BITS - 1))

struct gate_options {
	struct bundle_paths paths;
	const char *state_dir;
	const char *run_dir;
	const char *user;
	uid_t uid;
	gid_t gid;
};

/* One policy with all that belongs to it. */
struct policy_set {
	struct bundle bundle;
	struct policy *policy; /* NULL: none */
	struct names names;
	struct policy_issues *issues; /* owned: warnings */
	uint8_t (*digest)[32];        /* owned: of each destination's requirement */
	uint32_t *by_name;            /* owned: the destinations, sorted by name */
	uint32_t generation;
	uint32_t prefixes;
	int names_err; /* why the kernel's table lacks what the names have; 0: it doesn't */
	int64_t loaded_at;
};

/* A policy on its way: names first, then verify, then the kernel. */
enum coming { COMING_NONE = 0, COMING_NAMES, COMING_VERIFY };

struct coming_policy {
	enum coming stage;
	struct policy_set set;
	uint64_t deadline_ns; /* of COMING_NAMES */
	uint64_t began_s;     /* since boot */
	uint64_t client;      /* of the control socket; 0: none asked */
};

enum { PEER_MAX = 512 };

/* Another head than the last one, while it is looked at or its consistency is proved. */
struct pending_head {
	bool busy;
	bool looking;     /* verify is to say what head this is */
	bool compare;     /* moves nothing: a witness's, that may lack a quorum */
	uint64_t request; /* of fetch */
	uint32_t ledger;
	uint32_t generation;
	struct checkpoint cp;
	int64_t at;
	uint64_t from, to; /* what is to be proved; to 0: nothing yet */
	uint8_t *note;     /* owned */
	size_t note_n;
	struct msg_consistent proof;
	char peer[PEER_MAX]; /* who showed it */
	uint32_t source;     /* follow.c's, counted from 1; 0: a peer showed it */
	uint64_t not_before_ns;
};

/* A head whose consistency is still to be proved. */
struct ahead_head {
	struct checkpoint cp;
	bool failed; /* no proof was to be had: only a session that brings it asks again */
	bool behind; /* smaller than the last one: refused until it is proved */
	uint32_t ledger;
	char peer[PEER_MAX];
	uint32_t note_n; /* 0: free */
	uint8_t note[NOTE_MAX];
};

/* A closed session whose last bytes are still on their way, and all that may yet stop them. */
struct lingering {
	uint64_t id; /* relay's */
	uint64_t kernel_id;
	uint64_t cookie;
	uint64_t end_ns;
	char name[POLICY_NAME_MAX]; /* of the destination */
	uint8_t digest[32];         /* of its requirement */
	uint8_t dst[16];
	uint16_t dst_port;
	bool cut;
	bool ahead; /* these two as in struct session */
	struct checkpoint head;
};

/* A socket that was given to the administrator's tool. */
struct probe {
	uint64_t kernel_id;
	uint64_t cookie;
	uint64_t end_ns;
};

struct gate_counters {
	uint64_t accepted, released, refused, closed, revoked, lease_over;
	uint64_t appraised, resumed; /* by evidence; by a lease */
	uint64_t monitored;          /* looked at for a destination that is monitored */
};

/* Who waits for the sessions' round; all get the same answer. */
struct sessions_view {
	uint64_t client[VIEW_CLIENTS];
	uint32_t clients;
	uint32_t round;
	uint64_t deadline_ns; /* of the next look, never later than end_ns */
	uint64_t end_ns;
};

struct gate {
	const struct gate_options *opt;
	struct audit *audit;
	struct control *control; /* NULL until the first policy is in force */
	char control_path[PATH_MAX];
	char names_path[PATH_MAX];
	char kept_path[PATH_MAX]; /* arm.h's */
	struct intercept *ic;
	bool watch; /* of the keyring */
	struct keyring keyring;
	struct selftest selftest[SELFTESTS];
	struct state state;
	struct role_process role[ROLES];
	uint32_t asked;    /* questions that verify did not answer yet */
	uint64_t asked_ns; /* CLOCK_BOOTTIME; since when it has the first of them before it */
	int lock;
	int signals;
	int listener[2];
	uint16_t port[2]; /* 0: that family is not there */
	int64_t started_at;
	bool stop, failed;

	struct policy_set now;
	struct coming_policy coming;
	struct learned learned;   /* of names, from answers that applications got */
	uint32_t last_generation; /* that was given to a policy, whatever became of it */
	json_t *last_error;       /* of a refused reload; NULL */

	struct session_table sessions;
	struct lease_table leases;
	bool letting_go_on;                  /* those who wait for a lease, or their turn */
	bool doomed;                         /* one of them at least is */
	uint64_t epoch;                      /* upper bits of the kernel's session ids */
	struct lingering linger[LINGER_MAX]; /* a ring, oldest first */
	uint32_t linger_at, linger_n;
	struct probe probe[PROBES_MAX]; /* oldest first */
	uint32_t probes;
	uint64_t probe_last; /* number of the last one */
	struct gate_counters count;
	struct sessions_view view;

	struct name *resolving; /* what fetch was asked for; NULL: nothing (a copy, owned) */
	uint64_t learning_next_ns;
	uint64_t resolve_request;
	uint64_t requests; /* to fetch; the last number used */
	uint64_t opened;   /* the same of OPEN to relay */
	struct pending_head head;
	struct ahead_head ahead[AHEAD_MAX];
	struct shown *rechecking;      /* held; what verify is asked about; NULL: nothing */
	struct collateral *collateral; /* owned; NULL: none is fetched */
	struct follow *follow;         /* owned; NULL: no ledger is followed */
	struct proofs *proofs;         /* owned; NULL: none is looked for */
	struct pulse *pulse;           /* owned; NULL: nobody is asked, nobody told */
	struct upcall *upcall;         /* owned; NULL: the kernel is not answered */
	struct monitor *monitor;       /* owned; NULL: nothing is monitored */
	struct watcher *watcher;       /* owned; NULL: no log's entries are read */
	struct spaces *spaces;         /* owned; NULL: only this network namespace is there */
	struct apps *apps;             /* owned */
	uint64_t apps_next_ns;

	json_t *record[CONTROL_RECORDS_MAX]; /* a ring */
	uint64_t records;
	json_t *last; /* destination -> its last RECORD */

	uint64_t tick_ns, sweep_next_ns;
	uint64_t event_second;
	uint32_t events, suppressed;

	union msg_any *in;           /* secret memory: RELEASE passes through it */
	struct msg_connect *connect; /* the same: CONNECT is made in it */
};

/* gate.c */
/* The whole life of keygated: 0 when it was told to stop, 1 otherwise. */
int gate_run(const struct gate_options *opt);
/* Parses the files and says on standard error what is wrong with them. 0 or 1. */
int gate_check(const struct bundle_paths *paths);
/* As they are printed there. */
void gate_print_issues(const struct policy_issues *issues, bool warnings);
/*
 * One keygated a run directory. -EWOULDBLOCK: another one has it; -errno. *lock is open then or
 * not, and the caller's.
 */
int gate_lock(const char *run_dir, int *lock);
/* The first policy is in force: from now on keygated answers. 0 or -errno. */
int gate_ready(struct gate *g);
uint64_t gate_boot_ns(void);
int64_t gate_now(void);
/* Ends the process as soon as the loop is reached, with a non-zero status. */
__attribute__((format(printf, 2, 3))) void gate_fatal(struct gate *g, const char *fmt, ...);
/* Fatal when the role leaves no room. The descriptor stays the caller's. */
int gate_send(struct gate *g, enum gate_role role, enum msg_type type, uint64_t session,
              const void *payload, int fd);
/* Any message of verify's. */
void gate_from_verify(struct gate *g, const struct msg_head *head, int fd);
/* Fatal when verify is at one question for longer than VERIFY_HUNG_MS. */
void gate_watch_verify(struct gate *g);

/* reload.c */
/* Loads and starts to put in force. 0, or -errno with an answer for the client in *error. */
int reload_begin(struct gate *g, uint64_t client, json_t **error);
void reload_policy_done(struct gate *g, const struct msg_policy_done *m);
void reload_resolved(struct gate *g, uint64_t request, const struct msg_resolved *m);
/* Destroys sockets from before, to what is gated or denied now. */
void reload_sweep(struct gate *g);
/* Looks whether executables that the policy names are other files now. */
void reload_apps(struct gate *g);
void reload_tick(struct gate *g);
void policy_set_free(struct policy_set *s);
/* Its digests and names, of its policy. 0 or -ENOMEM. */
int policy_set_index(struct policy_set *s);
/* change.c: SHA-256 over everything that a destination's requirement is made of. */
int policy_set_digest(const struct policy *p, uint32_t destination, uint8_t out[static 32]);
/* The destination of this name; false: there is none. */
bool policy_set_named(const struct policy_set *s, const char *name, uint32_t *at);
/*
 * What is another in the new policy, as "default", "added", "removed", "changed", "moved" and
 * "blocks" of docs/json.md. NULL: out of memory.
 */
json_t *policy_set_changes(const struct policy_set *old, const struct policy_set *now);

/* learning.c */
struct learning {
	struct intercept *ic;
	const struct names *names; /* of the policy */
	const struct learned *learned;
	const struct policy *policy;
	uint32_t generation;
};
/* Puts what is learned of one address in force, or of all. -ENOENT: nothing is; -errno. */
int learning_put(const struct learning *x, const uint8_t addr[static 16]);
int learning_put_all(const struct learning *x);
/* Takes up what the kernel learned from answers that applications got. */
void learning_take(struct gate *g);
void learning_tick(struct gate *g);
/* Another policy is in force; or the same again, after another was tried. */
void learning_policy(struct gate *g);
/* Names have other addresses in the policy table. */
void learning_resolved(struct gate *g);

/* flow.c */
void flow_from_relay(struct gate *g, const struct msg_head *head, int fd);
void flow_verdict(struct gate *g, uint64_t id, const struct msg_verdict *m, int fd);
void flow_tick(struct gate *g);
void flow_event(void *ctx, const struct gate_event *e);
/*
 * A socket to where `to` leads that is the kernel half's before it can send anything: under
 * this number of the kernel's, and until end_ns (CLOCK_BOOTTIME).
 */
int flow_socket(struct gate *g, uint64_t kernel_id, const struct gate_intent *to, uint64_t end_ns,
                uint64_t *cookie, int *out);
/*
 * What the policy in force says of it, now: the kernel's rule number may be of another table. The
 * index of a destination with this action; -1.
 */
int flow_destination(const struct gate *g, const struct gate_intent *app,
                     enum policy_action action);
/* Does the policy in force have the kernel's own connections to there ask for their handshake? */
bool flow_kernel_tls(const struct gate *g, const struct gate_intent *to);
void flow_sockaddr(const struct gate_intent *to, struct sockaddr_storage *out);
/* Sends CONNECT, with the offer that stands in g->connect. */
void flow_connect(struct gate *g, struct session *s);
/* Before it has a socket. v, or NULL: by which it is refused. */
void flow_refuse(struct gate *g, struct session *s, const char *code, const char *detail,
                 const struct verdict *v);
/* It is neither connected nor refused yet. */
void flow_wait(struct gate *g, struct session *s);
/*
 * After a policy came into force in place of old: remaps, cuts. How many that had a key were cut;
 * each is in ended as {"id", "destination", "peer", "why"}, if it is there and has room.
 */
uint32_t flow_policy_changed(struct gate *g, const struct policy_set *old, json_t *ended);
void flow_cut(struct gate *g, struct session *s, const char *code, const char *detail);
/*
 * The same for those that ended well and whose last bytes are under way: for session id, or with
 * id 0 for all to the destination of this name. How many there were.
 */
uint32_t flow_revoke_tails(struct gate *g, uint64_t id, const char *name);
/* The one at place i < g->linger_n, oldest first; and how it is cut. */
struct lingering *flow_tail(struct gate *g, uint32_t i);
void flow_cut_tail(struct gate *g, struct lingering *l, const char *code, const char *detail);
/* Destroys the upstream sockets of sessions that were cut while live; once a turn of the loop. */
void flow_destroy(struct gate *g);
/* For the sweep of old sockets: is this one of ours? */
bool flow_owns(const struct gate *g, uint64_t cookie);
/*
 * The destination that a block became in the policy in force; -1 when there is none that is alike,
 * or another comes first. who NULL: whoever it was for; then only what is for every application
 * comes first for sure. *other: -1 before; of the block of that name, or else the first, what is
 * there in its place.
 */
struct flow_block {
	const uint8_t *dst;
	uint16_t port;
	const char *name;
	const uint8_t *digest;
};
int flow_same_destination(const struct gate *g, const struct policy_resolved *names, size_t n,
                          const struct flow_block *b, const struct policy_who *who, int *other);
void flow_stop(struct gate *g);
/* False is fatal: relay handed in a socket that gate did not make for this session. */
bool flow_is_its_socket(struct gate *g, const struct session *s, int fd);
const char *flow_suite_name(uint16_t suite);
/* Counts one of audit.h's cheap events; true when this second's share is spent. */
bool flow_over_limit(struct gate *g);

/* leases.c */
/* For a session that may connect now: has it connect, with a lease or without, or wait. */
void leases_begin(struct gate *g, struct session *s);
/* The code that refuses a session which rests on a lease, or is about to; NULL. */
const char *leases_refuse(struct gate *g, const struct session *s);
/* The peer did not take up what was offered. */
void leases_unknown(struct gate *g, struct session *s);
/* The evidence that it showed is no good: what an earlier one got there does not count any more. */
void leases_refused(struct gate *g, const struct session *s);
/* It is live, and may have brought a lease: takes it over, and lets go on who waits for it. */
void leases_live(struct gate *g, struct session *s, const struct attest_lease *secret);
/*
 * It ended, or is closed, before that, by this verdict (or NULL): if it led, another does, or all
 * who wait end like it.
 */
void leases_failed(struct gate *g, const struct session *s, const char *code, const char *detail,
                   const struct verdict *v);
/* Ends one. why is a word of docs/json.md: over, revoked, ... */
void leases_end(struct gate *g, struct lease *l, const char *why);
/* What the verdicts rest on is not the newest any more. */
void leases_end_all(struct gate *g, const char *why);
/* For an administrator: that of this session, or (0) all to the destination of this name. */
uint32_t leases_revoke(struct gate *g, uint64_t session, const char *name);
/* After a policy came into force; before what else becomes of the sessions. */
void leases_policy_changed(struct gate *g, const struct policy_resolved *names, size_t n,
                           bool known);
void leases_tick(struct gate *g);
void leases_address(const struct lease *l, struct sockaddr_storage *out);
void leases_stop(struct gate *g);
/* The verb's answer. */
json_t *leases_status(struct gate *g);

/* view.c */
const char *view_key_state(enum keyring_state s);
/* The verb: the answer, or NULL when it comes later. */
json_t *view_sessions(struct gate *g, uint64_t client, json_t *request);
/* Has relay show the socket of a live session. */
void view_ask(struct gate *g, struct session *s);
void view_looked(struct gate *g, struct session *s, const struct msg_looked *m, int fd);
void view_tick(struct gate *g);
/* By what was last seen of it. */
bool view_protected(const struct session *s, enum keyring_state key);

/* heads.c */
/* For a passed verdict: state on disk agrees with it. 0, or the code that refuses it. */
const char *heads_take(struct gate *g, struct session *s, const struct msg_verdict *m, int fd);
/*
 * For a verdict that nobody waits for any more, or that is thrown away: if verify moved a head by
 * it, that is saved all the same (current: the policy it was made under is in force), or verify
 * moves it back.
 */
void heads_left(struct gate *g, const struct msg_verdict *m, bool current, int fd);
/*
 * For a failed one: keeps the evidence of a fork and cuts what was ahead in that log; has a smaller
 * head proved, so that the next connection that shows it can pass.
 */
void heads_refused(struct gate *g, const struct session *s, const struct msg_verdict *m, int fd);
/*
 * Has verify look at a note that was fetched (taken over). With compare it moves nothing, and no
 * quorum is asked for. False: something else is being done.
 */
bool heads_look(struct gate *g, uint32_t ledger, uint8_t *note, size_t n, const char *peer,
                uint32_t source, bool compare);
/* The last head of a log is to be forgotten, with its forks: what rests on it ends. 0 or -errno. */
int heads_forget(struct gate *g, const char *origin, char path[static PATH_MAX]);
/* Where the tiles of a log are; "" if nobody said. */
const char *heads_url(const struct policy_ledger *l, const char *origin);
/* What tiles failed for: err is as struct msg_consistent says. */
const char *heads_code_of(int32_t err, const char **what);
void heads_consistent(struct gate *g, uint64_t request, const struct msg_consistent *m);
void heads_advanced(struct gate *g, const struct msg_verdict *m, int fd);
int heads_tell_verify(struct gate *g);

/* follow.c */
/* 0 or -ENOMEM; before that and in tests without it, the others do nothing. */
int follow_open(struct gate *g);
void follow_close(struct gate *g);
void follow_tick(struct gate *g);
bool follow_asked(const struct gate *g, uint64_t request);
void follow_fetched(struct gate *g, const struct msg_fetched *m, int fd);
/* What became of the note of this source; code empty: it fits. */
void follow_done(struct gate *g, uint32_t source, const char *code, const char *detail);
/* Of a ledger of the policy in force: [{"origin", "witness", "url", "ok", "code", ...}] */
json_t *follow_status(const struct gate *g, uint32_t ledger);
/* What the log's own head was last: "" is well, NULL not known yet. */
const char *follow_code(const struct gate *g, const char *origin);
/* Seconds to the next attempt, after so many failures in a row. */
int64_t follow_backoff(int64_t refresh, uint32_t failures);

/* proofs.c */
/* 0 or -ENOMEM; before that and in tests without it, the others do nothing. */
int proofs_open(struct gate *g);
void proofs_close(struct gate *g);
void proofs_tick(struct gate *g);
void proofs_proved(struct gate *g, uint64_t request, const struct msg_proved *m);

/* pulse.c */
/* 0 or -ENOMEM; before that and in tests without it, the others do nothing. */
int pulse_open(struct gate *g);
void pulse_close(struct gate *g);
/* For the service manager: the policy in force is served, an attempt at another one or not. */
void pulse_ready(struct gate *g);
void pulse_reloading(struct gate *g);
void pulse_stopping(struct gate *g);
/* A role said something; pong: that it is alive, which is fatal where it was not asked. */
void pulse_heard(struct gate *g, enum gate_role role, bool pong);
/* Of CLOCK_MONOTONIC. A role that hangs is fatal. */
uint64_t pulse_now(void);
void pulse_tick(struct gate *g, uint64_t now);

/* watch.c */
/* 0 or -ENOMEM; before that and in tests without it, the others do nothing. */
int watch_open(struct gate *g);
void watch_close(struct gate *g);
void watch_tick(struct gate *g);
void watch_tailed(struct gate *g, uint64_t request, const struct msg_tailed *m, int fd);
void watch_judged(struct gate *g, uint64_t request, const struct msg_watched *m);
/* The head of this log was forgotten, with how far its entries were read. */
void watch_forget(struct gate *g, const char *origin);
/* [{"ledger", "origin", "size", "head", "ok", "code", ..., "alerts"}] of the policy in force. */
json_t *watch_status(struct gate *g);

/* upcall.c */
/* After intercept_open. 0 or -ENOMEM; before that and in tests without it, the others do nothing.
 */
int upcall_open(struct gate *g);
void upcall_close(struct gate *g);
/* Does the kernel's half of it make sense under this policy, on this kernel? */
bool upcall_wanted(const struct gate *g, const struct policy *p);
/* The policy in force is another one: whether keygated is the agent follows it. */
void upcall_policy(struct gate *g);
/* "unavailable": this kernel asks nobody; "off": the policy does not ask for it; "on". */
const char *upcall_status(const struct gate *g);
int upcall_fd(const struct gate *g); /* to poll; -1 */
void upcall_handle(struct gate *g);
void upcall_tick(struct gate *g);
/* Makes s the session of the request of this number. 0; -ENOENT: there is none (any more). */
int upcall_take(struct gate *g, struct session *s, uint64_t number);
/* Tells the kernel, if it still waits: error 0 or an errno. 0 or -errno. */
int upcall_done(struct gate *g, struct session *s, int error);
/* Of a session of the kernel's: how many records it has carried is known now. */
void upcall_looked(struct gate *g, struct session *s);

/* monitor.c */
/* 0 or -ENOMEM; before that and in tests without it, nothing is monitored. */
int monitor_open(struct gate *g);
void monitor_close(struct gate *g);
/* An application connected, unprotected. */
void monitor_event(struct gate *g, const struct gate_event *e);
void monitor_tick(struct gate *g);
/* The destination of the policy in force that monitors this; -1. */
int monitor_destination(const struct gate *g, const struct gate_intent *app);
/* Makes s the session of the request of this number. 0; -ENOENT: there is none (any more). */
int monitor_take(struct gate *g, struct session *s, uint64_t number);
/* relay is done with it. */
void monitor_closed(struct gate *g, const struct session *s);
/* {"destinations", "places", "capacity", "looking", "waiting", "every", "skipped"} */
json_t *monitor_status(const struct gate *g);

/* probe.c */
/* The answer to the verb; the socket, if any, was passed on to the client. */
json_t *probe_open(struct gate *g, uint64_t client, const uint8_t addr[static 16], uint16_t port);
void probe_tick(struct gate *g);
bool probe_owns(const struct gate *g, uint64_t cookie);
void probe_stop(struct gate *g);

/* spaces.c */
/*
 * When relay can be given listeners. 0 or -ENOMEM; before that and in tests without it there is
 * but keygated's own namespace. Where setns is refused it is the only one that is served.
 */
int spaces_open(struct gate *g);
void spaces_close(struct gate *g);
/* To poll for POLLPRI: the table of mounts has changed; and what is done then. -1: nothing. */
int spaces_fd(const struct gate *g);
void spaces_mounts(struct gate *g);
/* One event; and that all that were there are done with. */
void spaces_event(struct gate *g, const struct gate_event *e);
void spaces_events_end(struct gate *g);
void spaces_tick(struct gate *g);
/* The cookie of keygated's own; 0: it is not known. */
uint64_t spaces_home(const struct gate *g);
/*
 * Until spaces_leave, which is to come before anything else, gate is in the namespace of this
 * cookie (0: its own). -ENONET: it is not served; -errno. After an error gate is where it was.
 */
int spaces_enter(struct gate *g, uint64_t netns);
void spaces_leave(struct gate *g);
/* sockdiag_sweep there; and in all that are served, keygated's own among them. */
int spaces_sweep(struct gate *g, uint64_t netns, const struct sockdiag_match *m);
int spaces_sweep_all(struct gate *g, const struct sockdiag_match *m);
/*
 * {"served", "unserved", "capacity", "watch", "off", "known": [{"inode", "cookie", "owner",
 * "served", "reason"}]}
 */
json_t *spaces_status(const struct gate *g);

/* collateral.c */
/* 0 or -errno; before that and in tests without it, the others do nothing. */
int collateral_open(struct gate *g);
void collateral_close(struct gate *g);
/* Is there anybody to ask? */
bool collateral_has_source(const struct gate *g);
/* One of these is being fetched, or will be in this turn or the next. */
bool collateral_coming(struct gate *g, const struct policy_wants *w);
/* verify looked for these in vain. */
void collateral_wanted(struct gate *g, const struct policy_wants *w);
/* What verify says of a vendor whose service failed the last time it was asked. */
void collateral_trouble(const struct gate *g, policy_trouble out);
void collateral_fetched(struct gate *g, uint64_t request, const struct msg_fetched *m, int fd);
void collateral_checked(struct gate *g, uint64_t request, const struct msg_collateral_done *m);
void collateral_tick(struct gate *g);
/* [{"vendor", "url", "pieces", "missing", "last_error"}] */
json_t *collateral_status(const struct gate *g);

/* recheck.c */
/* Before its verdict. */
void recheck_shown(struct gate *g, uint64_t id, const struct msg_shown *m, int fd);
/* There is newer collateral of this vendor; VENDOR_NONE: of anybody. */
void recheck_news(struct gate *g, enum collateral_vendor vendor);
void recheck_done(struct gate *g, const struct msg_rechecked *m);
void recheck_tick(struct gate *g);

/* record.c */
json_t *record_app(const struct gate_intent *app);
void record_peer(const struct sockaddr_storage *a, char out[static 64]);
/* Makes, keeps, audits. v may be NULL. more (or NULL) is merged into the audit's copy. */
void record_session(struct gate *g, const struct session *s, const char *code, const char *detail,
                    const struct verdict *v, json_t *more);
json_t *record_issues(const struct policy_issues *issues, bool errors);

/* verbs_ledger.c */
json_t *verb_ledger(struct gate *g, uint64_t client, json_t *request);
json_t *verb_ledger_evidence(struct gate *g, uint64_t client, json_t *request);
json_t *verb_ledger_forget(struct gate *g, uint64_t client, json_t *request);
json_t *verb_ledger_watch(struct gate *g, uint64_t client, json_t *request);

/* verbs.c */
json_t *verbs_answer(void *ctx, uint64_t client, json_t *request);

#endif
