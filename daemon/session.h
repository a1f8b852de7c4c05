/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sessions that gate knows: one slot each, a state, and which message may come in which state.
 * Pure bookkeeping: no sockets, no kernel, no clock.
 *
 *   ACCEPTED -> [WAITING ->] CONNECTING -> [APPRAISING ->] HANDOVER -> LIVE -> (CLOSED: the slot
 *                   \____________\_______________\___________\__________\       is free)
 *                                                                        \--> CLOSING -> CLOSED
 *
 * ACCEPTED is over before the next message is read: gate answers it with CONNECT, with REFUSE and
 * CLOSING, or not yet: a session in WAITING has no socket and nothing in the kernel, until the one
 * that is attested for all of its destination is live, or failed. One that rests on a lease skips
 * APPRAISING. CLOSING waits for relay's CLOSED; the kernel drops the session's packets already.
 */
#ifndef KEYGATE_DAEMON_SESSION_H
#define KEYGATE_DAEMON_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include "bpf/gate.h"
#include "core/verdict.h"
#include "daemon/intercept.h"
#include "daemon/msg.h"
#include "daemon/shown.h"
#include "keyring/keyring.h"
#include "policy/policy.h"

enum {
	SESSIONS_MAX = 2048,  /* that may be open at a time */
	SESSIONS_SPARE = 256, /* that relay may hold beyond: those that are only being refused */
	SESSIONS_RELAY = SESSIONS_MAX + SESSIONS_SPARE, /* that relay may hold in all */
	SESSIONS_VERIFY = 1024, /* before verify at a time; relay may have closed them all */
	SESSIONS_VERIFY_ONE = SESSIONS_VERIFY / 4, /* for one destination */
	SESSIONS_HELD = 64,              /* for collateral, at a time; others are refused at once */
	SESSIONS_UID = SESSIONS_MAX / 2, /* open ones of one user who is not root */
	SESSIONS_NETNS = SESSIONS_MAX / 2, /* of one network namespace, whosever they are */
	SESSIONS_SLOTS = SESSIONS_RELAY + SESSIONS_VERIFY,
};

enum session_state {
	SESSION_FREE = 0,
	SESSION_WAITING,
	SESSION_CONNECTING,
	SESSION_APPRAISING,
	SESSION_HANDOVER,
	SESSION_LIVE,
	SESSION_CLOSING,
};

/* What the kernel and relay said of a live session when they were last asked. */
struct session_seen {
	uint32_t round; /* in which it was asked about */
	bool looking;   /* relay was asked and did not answer yet */
	bool known;     /* what follows */
	struct sockdiag_tls tls;
	uint64_t sent, received; /* records under the present keys, by the kernel's count */
	uint64_t app_to_peer, peer_to_app; /* bytes, by relay's */
};

/*
 * What verify was asked, to be asked again when collateral has come that it lacked. In memory from
 * secret_alloc, as it holds keys of the connection.
 */
struct session_question {
	struct msg_appraise m;
	int fd;                  /* owned; what it speaks of */
	bool held;               /* else it is with verify */
	struct msg_verdict last; /* if held: what refuses it when nothing comes */
};

/* The kernel's handshake request that a session is for, until it is answered. */
struct session_upcall {
	int fd;        /* owned: the kernel's connection */
	bool psk;      /* the kernel wants to hear which key authenticated the peer: */
	uint32_t peer; /* this one */
};

struct session {
	uint64_t id; /* relay's */
	enum session_state state;
	bool with_verify; /* an APPRAISE of it was not answered yet */
	bool closed;      /* relay is done with it; the slot waits for verify only */
	bool kernel;    /* its upstream socket is the kernel's own, and there is no application's */
	bool monitored; /* it ends with its verdict: the application's connection is another */
	uint64_t deadline_ns; /* CLOCK_BOOTTIME; of this state, for gate's own patience */
	int64_t since;
	struct gate_intent app;
	struct session_upcall *upcall; /* owned; NULL: none, or answered */
	uint32_t destination;          /* index in the policy in force */
	char name[POLICY_NAME_MAX];
	uint8_t digest[32];  /* of what it demands */
	uint32_t generation; /* under which it was asked for or last confirmed */
	char server_name[254];
	enum attest_transport transport;
	struct sockaddr_storage dst;
	uint64_t cookie; /* of the upstream socket */
	bool doomed;     /* which is to be destroyed */
	bool held;       /* the application's socket has an owner; when that was asked */
	uint8_t context[32];
	int64_t at;                        /* at which it is being appraised */
	struct session_question *question; /* owned; NULL: it can't be asked again */
	struct verdict *verdict;           /* owned; passed */
	struct shown *shown;               /* held; NULL: it can't be judged again */
	bool stale;                        /* there is newer collateral than the verdict knows */
	/* Leases: whether CONNECT had it ask for one; what CONNECT had it offer (serial 0: none);
	 * the session whose attestation that is of, and whether this one rests on it. */
	bool lease_asked, on_lease;
	struct keyring_leased offer;
	uint64_t attested;
	/* Of the connections on the lease that it offers, until it is taken up; or that it brings,
	 * until it is live, with how long the peer grants it. Owned. */
	struct verdict *lease;
	uint32_t lease_s;
	bool ahead;             /* the consistency of the head it rests on was not proved yet */
	struct checkpoint head; /* on which the verdict rests; size and root of none: zero */
	uint32_t ledger;
	/* When live. */
	uint16_t suite;
	int32_t serial, ring;
	int64_t released_at, until;
	uint64_t lease_end_ns; /* CLOCK_BOOTTIME; the kernel's end of the lease */
	struct session_seen seen;
	uint32_t rekeys[2]; /* by enum keyring_direction */
	/* Why it ends; empty until then. */
	char code[CHECK_ID_MAX];
};

struct session_table {
	uint64_t last;                        /* highest id so far */
	uint32_t n;                           /* slots in use */
	uint32_t open;                        /* of these, not CLOSING */
	uint32_t waiting;                     /* of these, WAITING */
	struct session *slot[SESSIONS_SLOTS]; /* the first n; owned */
};

const char *session_state_name(enum session_state s);

/*
 * A slot for a new id, in state CLOSING until the caller says otherwise by session_enter. -EPROTO
 * for id 0 or one that is not above all before (reused); -EUSERS when all slots are taken, which
 * takes a relay that holds more than SESSIONS_RELAY. -ENOMEM.
 */
int session_new(struct session_table *t, uint64_t id, struct session **out);
struct session *session_find(struct session_table *t, uint64_t id);
bool session_room(const struct session_table *t); /* for one more that is not only refused */
/*
 * May this user, and this network namespace, open one more? Neither one user nor one namespace but
 * keygated's own (home) can take every place.
 */
bool session_room_for(const struct session_table *t, const struct gate_intent *app, uint64_t home);
/*
 * May one more for the destination of this name go before verify? One destination can't take all
 * of verify's time, and what verify still has, closed or not, always fits into the table.
 */
bool session_verify_room(const struct session_table *t, const char *name);
/* Keeps the counts of open and waiting ones. */
void session_enter(struct session_table *t, struct session *s, enum session_state state);
/* Wipes and frees, if there is one. */
void session_question_end(struct session *s);
/* Wipes and frees; s is gone. */
void session_drop(struct session_table *t, struct session *s);
void session_free_all(struct session_table *t);

/* Zero is fatal: the sender is not what it should be. */
enum session_move {
	MOVE_FATAL = 0,
	MOVE_IGNORE, /* crossed a CUT on its way */
	MOVE_DO,
};

/* May this message of relay's come in this state? s NULL: an unknown id. */
enum session_move session_from_relay(const struct session *s, enum msg_type type);
/* May a VERDICT come? */
enum session_move session_from_verify(const struct session *s);

#endif
