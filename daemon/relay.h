/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the relay role share. relay.c is the loop and relay_session.c the life of one
 * session; relay_tls.c, relay_pump.c, relay_record.c and relay_pool.c each do one thing and know
 * nothing of the loop. The essay on threads opens relay.c.
 */
#ifndef KEYGATE_DAEMON_RELAY_H
#define KEYGATE_DAEMON_RELAY_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <openssl/ssl.h>
#include "attest/authenticator.h"
#include "core/bytes.h"
#include "core/failure.h"
#include "daemon/msg.h"
#include "transport/transport.h"

/* ------------------------------------------------------------- relay_pool.c */

/* Embedded in what it works on; its owner's again as soon as fn runs. */
struct relay_task {
	struct relay_task *next;
	void (*fn)(void *arg);
	void *arg;
};

struct relay_pool;

/* At most max threads; one that had nothing to do for idle_ms ends, but for the last. 0 or -errno.
 */
int relay_pool_open(unsigned max, unsigned idle_ms, struct relay_pool **out);
/* Never blocks, never fails: without a free thread the task waits its turn. */
void relay_pool_post(struct relay_pool *p, struct relay_task *t);
unsigned relay_pool_threads(struct relay_pool *p);
/* Runs what is queued, joins all threads. Nobody may post any more. */
void relay_pool_close(struct relay_pool *p);

/* -------------------------------------------------------------- relay_tls.c */

/* A client for the suites that the kernel carries. NULL: the library refused. */
SSL_CTX *relay_tls_context(void);

struct relay_upstream {
	SSL_CTX *tls;
	int fd; /* not connected, non-blocking; stays the caller's */
	const struct msg_connect *to;
	uint64_t deadline_ms;
	const atomic_bool *stop; /* set, and fd shut down, to end it early */
};

/*
 * transport_attest with the kernel's TLS attached before the handshake. On success *r (the caller's
 * locked memory) holds both keys, how many records each has used, and the lease that was asked for.
 */
int relay_tls_attest(const struct relay_upstream *u, struct msg_release *r,
                     struct transport_evidence *e, struct failure *f);

/* ----------------------------------------------------------- relay_record.c */

/* Zero ends the session. */
enum relay_take {
	TAKE_BAD = 0,
	TAKE_DATA,        /* deliver it */
	TAKE_NOTHING,     /* nothing to deliver, go on */
	TAKE_CLOSED,      /* close_notify */
	TAKE_UPDATE,      /* KeyUpdate: nothing more can be read under this key */
	TAKE_UPDATE_BOTH, /* the same, and the peer asks for one in return */
};

enum {
	RELAY_UPDATES = 32,        /* KeyUpdates that may come in a row */
	RELAY_UPDATE_RECORDS = 64, /* that earn one more, */
	RELAY_UPDATE_MS = 1000,    /* or so long a time */
};

/* A handshake message that may reach over several records; and how many KeyUpdates came. */
struct relay_control {
	uint8_t head[4];
	uint8_t head_n;
	uint32_t skip;
	bool can_update; /* the kernel replaces keys */
	uint8_t updates; /* of RELAY_UPDATES, not earned back */
	uint64_t earned_ms;
};

/* What to do about one record of this type from the peer. *f is filled for TAKE_BAD. */
enum relay_take relay_record_take(struct relay_control *c, uint8_t type, struct bytes record,
                                  struct failure *f);
/*
 * Does one more KeyUpdate fit, when so many records came under the key that it ends? Each makes
 * work for gate, which has other sessions.
 */
bool relay_update_admit(struct relay_control *c, uint64_t records, uint64_t now_ms);
/* Counts a copied transfer of n bytes; false when the key may protect no more. */
bool relay_record_count(uint64_t *records, size_t n);

/* ---------------------------------------------------------- relay_session.c */

enum relay_state {
	RELAY_ACCEPTED = 0, /* gate is asked who it is */
	RELAY_CONNECTING,   /* a worker makes the handshake */
	RELAY_APPRAISING,   /* gate has the evidence, or knows that there is none */
	RELAY_RELEASING,    /* gate has the secrets */
	RELAY_LIVE,
};

/* What a session waits for, and what its directions have come to. */
enum {
	WANT_APP_IN = 1,
	WANT_APP_OUT = 2,
	WANT_PEER_IN = 4,
	WANT_ALL = WANT_APP_IN | WANT_APP_OUT | WANT_PEER_IN,
	DONE_FROM_APP = 8,
	DONE_FROM_PEER = 16,
	DONE_ALL = DONE_FROM_APP | DONE_FROM_PEER,
	WAIT_TX_KEY = 32, /* gate was asked for the next key of that direction */
	WAIT_RX_KEY = 64,
};

/* A KeyUpdate that is to be sent before any more data. */
enum {
	UPDATE_SEND = 1,
	UPDATE_ASK = 2, /* and the peer is asked for its own */
};

/* One direction; touched by its own task only. */
struct relay_flow {
	_Atomic uint64_t bytes; /* read by anyone */
	uint64_t records;       /* of the key of this direction */
};

struct relay_session {
	/* The loop's. */
	struct relay_session *next; /* in its bucket */
	uint64_t deadline_ms;

	/* Set once. */
	struct relay *relay;
	uint64_t id;
	int app, up;  /* app: -1 where up is the kernel's own; up: -1 until CONNECT */
	int up_flags; /* as it came */
	struct msg_accepted who;

	/* Under lock. */
	pthread_mutex_t lock;
	enum relay_state state;
	unsigned busy;    /* tasks queued or running */
	uint32_t wants;   /* WANT_* armed, DONE_* reached */
	bool finishing;   /* the last task has been chosen */
	bool clean;       /* ended on both sides as it should */
	atomic_bool over; /* written under lock, read anywhere */
	struct failure why;

	/* Of the task that is running. */
	struct msg_connect *to;      /* both secret memory: until the handshake is over, */
	struct msg_release *release; /* and until handed over */
	uint16_t suite;
	struct relay_flow from_app, from_peer;
	struct relay_control control;
	uint64_t rekey_records; /* of one key, after which the next is due; 0: there is none */
	atomic_uint update;     /* UPDATE_*; of the task that sends */
	bool asked;             /* of the task that receives: for the peer's next key */
	uint8_t *held;          /* bytes that the app did not take yet */
	size_t held_at, held_n;

	struct relay_task control_task, app_task, peer_task;
	struct relay_session *queue; /* next among those to announce or to reap */
};

struct relay_session *relay_session_new(struct relay *r, uint64_t id, int app,
                                        const struct msg_accepted *who);
/* Posts a task that ends in relay_session_done. False when the session is over. */
bool relay_session_start(struct relay_session *s, struct relay_task *t, void (*fn)(void *));
/* The end of a task: what is wanted now. Never touches s afterwards. */
void relay_session_done(struct relay_session *s, uint32_t wants);
/* Ends it; the first reason stays. Any thread that may use s. */
__attribute__((format(printf, 3, 4))) void
relay_session_end(struct relay_session *s, const char *code, const char *fmt, ...);
/* Ends it from the loop, also when no task runs. */
void relay_session_cut(struct relay_session *s, const char *code, const char *detail);
/* What epoll said of one of its sockets. */
void relay_session_event(struct relay_session *s, bool of_app, uint32_t events);
/* The tasks that gate's messages start. */
void relay_session_connect(void *session);
void relay_session_release(void *session);
/* After LIVE, in the loop. False when it is over instead. */
bool relay_session_live(struct relay_session *s);
void relay_session_free(struct relay_session *s);
/* UPDATE_*: from the direction that receives, for the one that sends, which need not be at work. */
void relay_session_update(struct relay_session *s, unsigned update);
/*
 * The end of a task that needs its direction's next key: what it wants. When gate has installed it,
 * a new task goes on; the caller touches nothing of s any more but to end its own.
 */
uint32_t relay_session_rekey(struct relay_session *s, enum keyring_direction d);
/* From gate: go on. -EPROTO when that direction did not ask. */
int relay_session_rekeyed(struct relay_session *s, uint32_t direction);
/* In the loop, now and then: one of the kernel's own tells nobody that it ended. */
void relay_session_check(struct relay_session *s);
/* Tells gate what it has carried. */
void relay_session_look(void *session);

/* ------------------------------------------------------------- relay_pump.c */

/* Moves what is there, at most a dispatch's share; what is wanted next. */
uint32_t relay_pump_app(struct relay_session *s);
uint32_t relay_pump_peer(struct relay_session *s);

/* ------------------------------------------------------------------ relay.c */

enum {
	RELAY_BUCKETS = 1024,
	/* gate serves no more namespaces than places for two each, its own among them. */
	RELAY_LISTENERS_MAX = 1040,
	RELAY_STALL_MS = 120000,
	RELAY_IDLE_MS = 5000,
};

struct relay_listener {
	int fd; /* -1: the place is free */
	uint64_t netns;
};

struct relay {
	/* Set once. */
	int gate, epoll, wake;
	uint32_t max;
	unsigned stall_ms; /* a peer that takes nothing for so long is given up */
	SSL_CTX *tls;
	struct relay_pool *pool;

	/* The loop's. */
	struct relay_session *table[RELAY_BUCKETS];
	uint32_t n;
	uint32_t opening; /* of these, not live: they have deadlines */
	uint32_t kernels; /* of these, with a socket of the kernel's own */
	uint64_t last_id;
	struct relay_listener listener[RELAY_LISTENERS_MAX];
	unsigned listeners; /* places that were ever taken */
	union msg_any *msg; /* secret memory: CONNECT passes through it */

	/* Under lock. */
	pthread_mutex_t lock;
	struct relay_session *fresh, **fresh_last; /* to be announced, in order of id */
	bool announcing;
	struct relay_session *dead; /* to be reaped */
	unsigned pings;             /* of gate's, to be answered */

	struct relay_task announce, pong;
};

/* epoll_data of a session's socket. */
static inline uint64_t relay_tag(uint64_t id, bool app)
{
	return id << 1 | app;
}

/* epoll_data of a listener; sessions' numbers stay far below. */
#define RELAY_TAG_LISTENER (UINT64_C(1) << 63)

/* The loop with what tests choose; role_relay is this with the values above. Exit status. */
int relay_run(int gate, uint32_t max_sessions, unsigned stall_ms);

#endif
