/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay role: accepts the intercepted connections, makes the ones to the destinations, and
 * carries the bytes of those that were released. It has no privileges, and what it decides opens
 * nothing: who an app is and where it may go comes from gate, that the evidence is good comes from
 * verify by way of gate, and the keys go into the kernel in gate.
 *
 * Threads. One loop and a pool of workers.
 *
 *  - The loop waits for gate, the listeners and all sessions' sockets. It never blocks: it sends
 *    nothing to gate and touches no byte of a stream. So gate can always get rid of a message,
 *    and a message from a worker to gate can't form a circle of waiting.
 *  - Workers run tasks: the handshake, the hand-over, one dispatch of one direction, the end.
 *    They may block on a socket, on gate, on the TLS library. A session that waits for something
 *    has no task, so no thread, no stack and no buffer. The pool may grow to two threads a
 *    session, since a peer that does not read holds the one that writes to it: no number of
 *    slow peers keeps another session from its turn.
 *
 * Sessions.
 *
 *  - The table, and a session's memory, belong to the loop. Workers hold a session by its count
 *    of busy tasks; the loop frees what the last task has put on the list of the dead. epoll and
 *    gate name sessions by number, which is never used twice, so nothing stale is followed.
 *  - At most one task of each kind is under way. A direction is armed in epoll (one shot) or has
 *    a task or is done: whoever fires it takes the want away under the session's lock, whoever
 *    ends the task puts it back under the same lock.
 *  - A session ends once. The first reason is kept, the peer's socket is shut down, which wakes
 *    whoever blocks on it; the last task closes both sockets, tells gate CLOSED, and nothing
 *    follows that. A task started after the end does not start.
 *  - Sockets close with a reset, from accept() on, and by whatever end: also when the process is
 *    killed. Only a session whose directions both ended in order closes them softly. So an app
 *    never takes a cut for an end.
 *
 *  - A direction that needs its next key has asked gate for it and waits like any other, but for
 *    gate's REKEYED. Until that comes, nothing is written under the old key, or read.
 *
 * Before LIVE nothing is written to the peer after the request for evidence, and nothing of the
 * app is read: its bytes wait in the socket. At LIVE the kernel is asked whether it encrypts.
 */
#include "daemon/relay.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include "core/secret.h"
#include "daemon/role.h"

enum {
	EVENTS = 64,
	ACCEPTS = 64,   /* of one listener in one turn */
	TICK_MS = 100,  /* how late a deadline may be noticed */
	BREATH_MS = 10, /* after accept() lacked something */
};

/* Tags of what is no session's; ids begin at 1, so theirs are 2 and up. */
enum { TAG_SYSTEM = 0 };

/* ------------------------------------------------------------------- the table */

static struct relay_session **slot(struct relay *r, uint64_t id)
{
	struct relay_session **p = &r->table[id % RELAY_BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

static void reap(struct relay *r)
{
	eventfd_t ignored;

	eventfd_read(r->wake, &ignored);
	pthread_mutex_lock(&r->lock);

	struct relay_session *s = r->dead;

	r->dead = NULL;
	pthread_mutex_unlock(&r->lock);
	while (s) {
		struct relay_session *after = s->queue;
		struct relay_session **p = slot(r, s->id);

		*p = s->next;
		r->n--;
		r->opening -= s->state != RELAY_LIVE;
		r->kernels -= s->app < 0;
		relay_session_free(s);
		s = after;
	}
}

/* ---------------------------------------------------------------------- accept */

/* gate wants ids in order, so one task at a time announces them, first come first. */
static void announce(void *relay)
{
	struct relay *r = relay;

	for (;;) {
		pthread_mutex_lock(&r->lock);

		struct relay_session *s = r->fresh;

		if (s) {
			r->fresh = s->queue;
			if (!r->fresh)
				r->fresh_last = &r->fresh;
		} else {
			r->announcing = false;
		}
		pthread_mutex_unlock(&r->lock);
		if (!s)
			return;

		int ret = msg_send(r->gate, MSG_ACCEPTED, s->id, &s->who, -1);

		if (ret)
			relay_session_end(s, "session.resources", "gate: %s", strerror(-ret));
		relay_session_done(s, 0);
	}
}

/* The new session is busy until it is announced: nothing of it may reach gate before. */
static void enlist(struct relay *r, struct relay_session *s)
{
	bool post;

	s->busy = 1;
	*slot(r, s->id) = s;
	r->n++;
	r->opening++;
	r->kernels += s->app < 0;
	s->queue = NULL;
	pthread_mutex_lock(&r->lock);
	*r->fresh_last = s;
	r->fresh_last = &s->queue;
	post = !r->announcing;
	r->announcing = true;
	pthread_mutex_unlock(&r->lock);
	if (post)
		relay_pool_post(r->pool, &r->announce);
}

static void refuse_at_the_door(int fd)
{
	struct linger reset = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
}

static void accept_all(struct relay *r, const struct relay_listener *l)
{
	for (int i = 0; i < ACCEPTS; i++) {
		struct msg_accepted who = {.netns = l->netns};
		socklen_t len = sizeof(who.peer);
		int fd = accept4(l->fd, (struct sockaddr *)&who.peer, &len,
		                 SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd < 0) {
			/* Out of descriptors or memory: the listener stays readable, so wait a
			 * little instead of spinning. */
			if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
			    errno == ENOMEM)
				nanosleep(&(struct timespec){.tv_nsec = BREATH_MS * 1000000L},
				          NULL);
			return;
		}

		struct relay_session *s =
		        r->n < r->max ? relay_session_new(r, r->last_id + 1, fd, &who) : NULL;

		if (!s) {
			refuse_at_the_door(fd);
			continue;
		}
		r->last_id++;
		enlist(r, s);
	}
}

/* ------------------------------------------------------------ gate's messages */

/* Whether a fixed field holds a text that ends in it. */
static bool is_text(const char *p, size_t cap)
{
	return memchr(p, '\0', cap) != NULL;
}

/* NULL: all places are taken. */
static struct relay_listener *free_place(struct relay *r)
{
	for (unsigned i = 0; i < r->listeners; i++) {
		if (r->listener[i].fd < 0)
			return &r->listener[i];
	}
	return r->listeners < RELAY_LISTENERS_MAX ? &r->listener[r->listeners++] : NULL;
}

static int on_listen(struct relay *r, int fd)
{
	struct relay_listener *l = free_place(r);
	struct epoll_event e = {.events = EPOLLIN};
	int flags = fcntl(fd, F_GETFL), listens = 0;
	socklen_t len = sizeof(listens), cookie_len = sizeof(uint64_t);

	if (l) {
		e.data.u64 = RELAY_TAG_LISTENER | (uint64_t)(l - r->listener);
		l->fd = -1;
	}
	if (!l || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) ||
	    getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &len) || !listens ||
	    getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &l->netns, &cookie_len) ||
	    epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e)) {
		close(fd);
		return -EPROTO;
	}
	l->fd = fd;
	return 0;
}

/* Whoever was not accepted yet is reset. */
static int on_unlisten(struct relay *r, uint64_t netns)
{
	for (unsigned i = 0; i < r->listeners; i++) {
		struct relay_listener *l = &r->listener[i];

		if (l->fd < 0 || l->netns != netns)
			continue;
		/* Another role's descriptor of it would keep it in the set. */
		(void)epoll_ctl(r->epoll, EPOLL_CTL_DEL, l->fd, NULL);
		close(l->fd);
		l->fd = -1;
	}
	return 0;
}

/* Takes fd whatever comes of it. */
static int on_connect(struct relay_session *s, const struct msg_connect *m, int fd)
{
	int flags = fcntl(fd, F_GETFL);
	bool fits, over;

	pthread_mutex_lock(&s->lock);
	fits = s->state == RELAY_ACCEPTED;
	over = s->over;
	if (fits && !over) {
		s->up = fd;
		s->up_flags = flags;
		s->state = RELAY_CONNECTING;
	}
	pthread_mutex_unlock(&s->lock);
	if (!fits || over) {
		close(fd);
		return fits ? 0 : -EPROTO;
	}
	if (!is_text(m->server_name, sizeof(m->server_name)))
		return -EPROTO;
	s->deadline_ms = transport_now_ms() + m->handshake_ms;
	s->to = secret_alloc(sizeof(*s->to));
	if (!s->to || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK)) {
		relay_session_cut(s, "session.resources", strerror(errno));
		return 0;
	}
	*s->to = *m;
	relay_session_start(s, &s->control_task, relay_session_connect);
	return 0;
}

static int on_end(struct relay_session *s, const char *code, size_t cap, const char *detail)
{
	if (!is_text(code, cap))
		return -EPROTO;
	relay_session_cut(s, code, detail);
	return 0;
}

/*
 * In a state where it can't come, a message is as wrong as one of an unknown type. One that is
 * over takes what was on its way and does nothing, as if it were gone already.
 */
static int in_state(struct relay_session *s, enum relay_state want)
{
	pthread_mutex_lock(&s->lock);

	bool fits = s->state == want || s->over;

	pthread_mutex_unlock(&s->lock);
	return fits ? 0 : -EPROTO;
}

/* To a session that is there, and may be over already. Owns fd. */
static int on_session(struct relay *r, struct relay_session *s, uint32_t type, int fd)
{
	int ret;

	switch (type) {
	case MSG_CONNECT:
		return on_connect(s, &r->msg->connect, fd);
	case MSG_REFUSE:
		return on_end(s, r->msg->refuse.code, sizeof(r->msg->refuse.code), "refused");
	case MSG_CUT:
		return on_end(s, r->msg->cut.code, sizeof(r->msg->cut.code), "cut");
	case MSG_HANDOVER:
		ret = in_state(s, RELAY_APPRAISING);
		if (!ret)
			relay_session_start(s, &s->control_task, relay_session_release);
		return ret;
	case MSG_LIVE:
		ret = in_state(s, RELAY_RELEASING);
		if (ret)
			return ret;
		s->rekey_records = r->msg->live.rekey_records;
		s->control.can_update = s->rekey_records != 0;
		r->opening -= relay_session_live(s);
		return 0;
	case MSG_REKEYED:
		return relay_session_rekeyed(s, r->msg->rekey.direction);
	case MSG_LOOK:
		ret = in_state(s, RELAY_LIVE);
		if (!ret)
			relay_session_start(s, &s->control_task, relay_session_look);
		return ret;
	default:
		if (fd >= 0)
			close(fd);
		return -EPROTO;
	}
}

/* By a worker: then both the loop and the pool go on. */
static void pong(void *relay)
{
	struct relay *r = relay;
	bool more;

	do {
		/* gate gone: the loop sees it too. */
		(void)msg_send(r->gate, MSG_PONG, 0, NULL, -1);
		pthread_mutex_lock(&r->lock);
		more = --r->pings != 0;
		pthread_mutex_unlock(&r->lock);
	} while (more);
}

/* A session without an application. Without room for it gate's patience ends. */
static int on_open(struct relay *r, uint64_t number)
{
	const struct msg_accepted who = {.opened = number};
	struct relay_session *s;

	if (!number)
		return -EPROTO;
	s = r->n < r->max ? relay_session_new(r, r->last_id + 1, -1, &who) : NULL;
	if (s) {
		r->last_id++;
		enlist(r, s);
	}
	return 0;
}

static int on_ping(struct relay *r)
{
	bool post;

	pthread_mutex_lock(&r->lock);
	post = r->pings++ == 0;
	pthread_mutex_unlock(&r->lock);
	if (post)
		relay_pool_post(r->pool, &r->pong);
	return 0;
}

/* Owns fd. */
static int on_message(struct relay *r, const struct msg_head *head, int fd)
{
	bool known = head->session && head->session <= r->last_id;
	struct relay_session *s = known ? *slot(r, head->session) : NULL;

	if (head->type == MSG_LISTEN)
		return on_listen(r, fd);
	if (head->type == MSG_UNLISTEN)
		return on_unlisten(r, r->msg->unlisten.netns);
	if (head->type == MSG_PING)
		return on_ping(r);
	if (head->type == MSG_OPEN)
		return on_open(r, head->session);
	if (s)
		return on_session(r, s, head->type, fd);
	/* It ended while this was on its way. */
	if (fd >= 0)
		close(fd);
	return known ? 0 : -EPROTO;
}

/* One message, if there is one. -EPIPE and -EPROTO end the role. */
static int on_gate(struct relay *r)
{
	struct msg_head head;
	int fd = -1;
	int ret = msg_recv(r->gate, &head, r->msg, sizeof(*r->msg), &fd);

	if (ret)
		return ret == -EAGAIN ? 0 : ret;
	ret = on_message(r, &head, fd);
	secret_wipe(r->msg, head.len);
	return ret;
}

/* ------------------------------------------------------------------------ loop */

/* The deadline of a handshake is watched by its task; that of the verdict only here. */
static void check_deadlines(struct relay *r)
{
	uint64_t now = transport_now_ms();

	for (unsigned i = 0; i < RELAY_BUCKETS; i++) {
		for (struct relay_session *s = r->table[i]; s; s = s->next) {
			if (s->deadline_ms && now >= s->deadline_ms &&
			    in_state(s, RELAY_APPRAISING) == 0)
				relay_session_cut(s, "auth.timeout",
				                  "no time left for the "
				                  "verdict");
			relay_session_check(s);
		}
	}
}

static int on_system(struct relay *r)
{
	reap(r);
	return on_gate(r);
}

static int turn(struct relay *r)
{
	struct epoll_event e[EVENTS];
	bool ticks = r->opening || r->kernels;
	int n = epoll_wait(r->epoll, e, EVENTS, ticks ? TICK_MS : -1), ret = 0;

	if (n < 0 && errno != EINTR)
		return -errno;
	for (int i = 0; i < n && !ret; i++) {
		uint64_t tag = e[i].data.u64;

		if (tag == TAG_SYSTEM) {
			ret = on_system(r);
			continue;
		}
		if (tag & RELAY_TAG_LISTENER) {
			accept_all(r, &r->listener[tag % RELAY_TAG_LISTENER]);
			continue;
		}

		struct relay_session *s = *slot(r, tag >> 1);

		if (s)
			relay_session_event(s, tag & 1, e[i].events);
	}
	return ret;
}

static int loop(struct relay *r)
{
	uint64_t tick = 0;
	int ret;

	do {
		ret = turn(r);
		if (!ret && transport_now_ms() - tick >= TICK_MS) {
			tick = transport_now_ms();
			check_deadlines(r);
		}
	} while (!ret);
	return ret;
}

/* -------------------------------------------------------------- start and stop */

static int watch(struct relay *r, int fd)
{
	struct epoll_event e = {.events = EPOLLIN, .data.u64 = TAG_SYSTEM};

	return epoll_ctl(r->epoll, EPOLL_CTL_ADD, fd, &e) ? -errno : 0;
}

static int open_all(struct relay *r)
{
	int flags = fcntl(r->gate, F_GETFL), ret;

	r->epoll = epoll_create1(EPOLL_CLOEXEC);
	r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r->tls = relay_tls_context();
	if (r->epoll < 0 || r->wake < 0 || !r->tls)
		return -ENOMEM;
	if (flags < 0 || fcntl(r->gate, F_SETFL, flags | O_NONBLOCK))
		return -errno;
	ret = watch(r, r->gate);
	if (!ret)
		ret = watch(r, r->wake);
	if (!ret)
		ret = relay_pool_open(2 * r->max + 2, RELAY_IDLE_MS, &r->pool);
	return ret;
}

/* Nothing goes on without gate: every session is reset, every thread joined. */
static void close_all(struct relay *r)
{
	/* Whoever waits to tell gate something waits no longer. */
	shutdown(r->gate, SHUT_RDWR);
	for (unsigned i = 0; i < RELAY_BUCKETS && r->pool; i++) {
		for (struct relay_session *s = r->table[i]; s; s = s->next)
			relay_session_cut(s, "session.resources", "relay ends");
	}
	if (r->pool)
		relay_pool_close(r->pool);
	if (r->wake >= 0)
		reap(r);
	for (unsigned i = 0; i < r->listeners; i++)
		(void)(r->listener[i].fd < 0 || close(r->listener[i].fd));
	SSL_CTX_free(r->tls);
	if (r->wake >= 0)
		close(r->wake);
	if (r->epoll >= 0)
		close(r->epoll);
}

int relay_run(int gate, uint32_t max_sessions, unsigned stall_ms)
{
	struct relay *r = calloc(1, sizeof(*r));

	if (!r)
		return 1;
	r->gate = gate;
	r->epoll = r->wake = -1;
	r->max = max_sessions;
	r->stall_ms = stall_ms;
	r->msg = secret_alloc(sizeof(*r->msg));
	r->fresh_last = &r->fresh;
	r->announce.fn = announce;
	r->announce.arg = r;
	r->pong.fn = pong;
	r->pong.arg = r;
	pthread_mutex_init(&r->lock, NULL);
	signal(SIGPIPE, SIG_IGN); /* OpenSSL writes without MSG_NOSIGNAL */

	int ret = r->msg ? open_all(r) : -ENOMEM;

	if (!ret)
		ret = loop(r);
	close_all(r);
	pthread_mutex_destroy(&r->lock);
	secret_free(r->msg, sizeof(*r->msg));
	free(r);
	return ret ? 1 : 0;
}

/* ------------------------------------------------------------------------ role */

/*
 * OpenSSL keeps traffic secrets in its connection objects and frees these without wiping them. In
 * this process whatever it frees is wiped.
 */
static void wiping_free(void *p, const char *file, int line)
{
	(void)file, (void)line;
	if (p)
		explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static void *plain_malloc(size_t n, const char *file, int line)
{
	(void)file, (void)line;
	return malloc(n);
}

static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
	void *q = n ? malloc(n) : NULL;

	if (q && p) {
		size_t had = malloc_usable_size(p);

		memcpy(q, p, had < n ? had : n);
	}
	/* On failure the old one stays, as realloc has it. */
	if (q || !n)
		wiping_free(p, file, line);
	return q;
}

int role_relay(int gate, uint32_t max_sessions)
{
	/* Refused once OpenSSL has allocated: then secrets could stay behind. */
	if (CRYPTO_set_mem_functions(plain_malloc, wiping_realloc, wiping_free) != 1)
		return 1;
	/* What a host's openssl.cnf loads is no part of what was reviewed. */
	if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return 1;
	return relay_run(gate, max_sessions, RELAY_STALL_MS);
}
