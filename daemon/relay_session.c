/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of one session in relay: how its tasks start and end, what its sockets wait for, and
 * that it ends once, with one reason. The rules of who may do what are in relay.c's essay.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "core/file.h"
#include "core/secret.h"
#include "daemon/relay.h"

enum { KEEPALIVE_IDLE = 60, KEEPALIVE_INTERVAL = 15, KEEPALIVE_COUNT = 4 };

static void set_option(int fd, int level, int name, int value)
{
	setsockopt(fd, level, name, &value, sizeof(value));
}

/* On: whatever ends the process or the session resets the connection, so that what was cut short
 * never looks like an end. Off only where both directions ended as they should. */
static void reset_on_close(int fd, bool on)
{
	struct linger l = {.l_onoff = on, .l_linger = 0};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

/* Keepalive notices an app that has closed both ways while the peer is silent. */
static void prepare(int fd)
{
	reset_on_close(fd, true);
	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_INTERVAL);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_COUNT);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

/* ------------------------------------------------------------- begin and end */

struct relay_session *relay_session_new(struct relay *r, uint64_t id, int app,
                                        const struct msg_accepted *who)
{
	struct relay_session *s = calloc(1, sizeof(*s));
	struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = relay_tag(id, true)};

	if (!s)
		return NULL;
	s->relay = r;
	s->id = id;
	s->app = app;
	s->up = -1;
	s->who = *who;
	s->app_task.arg = s->peer_task.arg = s->control_task.arg = s;
	if (app >= 0)
		prepare(app);
	/* No events asked for: only a reset is reported. */
	if (pthread_mutex_init(&s->lock, NULL) ||
	    (app >= 0 && epoll_ctl(r->epoll, EPOLL_CTL_ADD, app, &e))) {
		free(s);
		return NULL;
	}
	return s;
}

void relay_session_free(struct relay_session *s)
{
	pthread_mutex_destroy(&s->lock);
	free(s);
}

/* With the lock held. */
static void end_locked(struct relay_session *s, const struct failure *why)
{
	if (s->over)
		return;
	s->why = *why;
	atomic_store(&s->over, true);
	/* Wakes whoever waits for the peer. The app gets nothing here: a FIN would look like an
	 * end to it; it is reset when the socket is closed. */
	if (s->up >= 0)
		shutdown(s->up, SHUT_RDWR);
}

void relay_session_end(struct relay_session *s, const char *code, const char *fmt, ...)
{
	struct failure why;
	va_list ap;

	failure_set(&why, code, "%s", "");
	va_start(ap, fmt);
	vsnprintf(why.detail, sizeof(why.detail), fmt, ap);
	va_end(ap);
	pthread_mutex_lock(&s->lock);
	end_locked(s, &why);
	pthread_mutex_unlock(&s->lock);
}

static void close_socket(struct relay_session *s, int fd)
{
	if (fd < 0)
		return;
	/* By hand: gate holds a duplicate of the peer's socket, so closing ours would leave it in
	 * the epoll set. */
	epoll_ctl(s->relay->epoll, EPOLL_CTL_DEL, fd, NULL);
	if (s->clean)
		reset_on_close(fd, false);
	close(fd);
}

static void drop_target(struct relay_session *s)
{
	secret_free(s->to, sizeof(*s->to));
	s->to = NULL;
}

static void drop_secrets(struct relay_session *s)
{
	secret_free(s->release, sizeof(*s->release));
	s->release = NULL;
}

/* The last task of a session: everything goes, gate is told, the loop frees. */
static void finish(struct relay_session *s)
{
	struct relay *r = s->relay;
	struct msg_closed closed = {.app_to_peer = s->from_app.bytes,
	                            .peer_to_app = s->from_peer.bytes};

	drop_target(s);
	drop_secrets(s);
	if (s->held) {
		secret_wipe(s->held, s->held_n);
		free(s->held);
	}
	close_socket(s, s->up);
	close_socket(s, s->app);
	memcpy(closed.code, s->why.code, sizeof(closed.code));
	memcpy(closed.detail, s->why.detail, sizeof(closed.detail));
	/* If gate is gone, so is the role: the loop sees that. */
	msg_send(r->gate, MSG_CLOSED, s->id, &closed, -1);

	pthread_mutex_lock(&r->lock);
	s->queue = r->dead;
	r->dead = s;
	pthread_mutex_unlock(&r->lock);
	eventfd_write(r->wake, 1);
}

static void finish_task(void *session)
{
	finish(session);
}

/* With the lock held: true for the one caller that has to finish it. */
static bool last_locked(struct relay_session *s)
{
	if (!s->over || s->busy || s->finishing)
		return false;
	s->finishing = true;
	return true;
}

void relay_session_cut(struct relay_session *s, const char *code, const char *detail)
{
	struct failure why;
	bool last;

	failure_set(&why, code, "%s", detail);
	pthread_mutex_lock(&s->lock);
	end_locked(s, &why);
	last = last_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (last) {
		s->control_task.fn = finish_task;
		relay_pool_post(s->relay->pool, &s->control_task);
	}
}

/* ---------------------------------------------------------------- tasks, wants */

/* With the lock held: what epoll waits for on a socket follows s->wants. */
static int arm(struct relay_session *s, bool app)
{
	struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = relay_tag(s->id, app)};

	if (app)
		e.events |= (s->wants & WANT_APP_IN ? EPOLLIN : 0u) |
		            (s->wants & WANT_APP_OUT ? EPOLLOUT : 0u);
	else
		e.events |= s->wants & WANT_PEER_IN ? EPOLLIN | EPOLLRDHUP : 0u;
	return epoll_ctl(s->relay->epoll, EPOLL_CTL_MOD, app ? s->app : s->up, &e);
}

bool relay_session_start(struct relay_session *s, struct relay_task *t, void (*fn)(void *))
{
	bool go;

	pthread_mutex_lock(&s->lock);
	go = !s->over;
	s->busy += go;
	pthread_mutex_unlock(&s->lock);
	if (!go)
		return false;
	t->fn = fn;
	relay_pool_post(s->relay->pool, t);
	return true;
}

static void app_task(void *session)
{
	relay_session_done(session, relay_pump_app(session));
}

static void peer_task(void *session)
{
	relay_session_done(session, relay_pump_peer(session));
}

/* With the lock held: a KeyUpdate is due and nobody is at it. The caller posts the task. */
static bool take_update_locked(struct relay_session *s)
{
	if (s->over || !(s->wants & WANT_APP_IN) || !atomic_load(&s->update))
		return false;
	s->wants &= ~(uint32_t)WANT_APP_IN;
	s->busy++;
	s->app_task.fn = app_task;
	return true;
}

void relay_session_update(struct relay_session *s, unsigned update)
{
	bool go;

	atomic_fetch_or(&s->update, update);
	pthread_mutex_lock(&s->lock);
	go = take_update_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (go)
		relay_pool_post(s->relay->pool, &s->app_task);
}

uint32_t relay_session_rekey(struct relay_session *s, enum keyring_direction d)
{
	struct msg_rekey m = {.direction = d};
	int ret;

	/* First: the answer may be there before this task is over. */
	pthread_mutex_lock(&s->lock);
	s->wants |= d == KEYRING_TX ? WAIT_TX_KEY : WAIT_RX_KEY;
	pthread_mutex_unlock(&s->lock);
	ret = msg_send(s->relay->gate, MSG_REKEY, s->id, &m, s->up);
	if (ret)
		relay_session_end(s, "session.resources", "asking for the next key: %s",
		                  strerror(-ret));
	return 0;
}

int relay_session_rekeyed(struct relay_session *s, uint32_t direction)
{
	bool tx = direction == KEYRING_TX, fits;
	uint32_t bit = tx ? WAIT_TX_KEY : WAIT_RX_KEY;

	pthread_mutex_lock(&s->lock);
	fits = s->over || s->wants & bit;
	s->wants &= ~bit;
	pthread_mutex_unlock(&s->lock);
	if (!fits)
		return -EPROTO;
	if (tx)
		relay_session_start(s, &s->app_task, app_task);
	else
		relay_session_start(s, &s->peer_task, peer_task);
	return 0;
}

void relay_session_check(struct relay_session *s)
{
	struct pollfd p = {.fd = s->up};
	bool ended;

	/* Under the lock: who ends it closes the socket. */
	pthread_mutex_lock(&s->lock);
	ended = s->app < 0 && s->state == RELAY_LIVE && !s->over && poll(&p, 1, 0) == 1 &&
	        p.revents & (POLLHUP | POLLERR);
	pthread_mutex_unlock(&s->lock);
	if (ended)
		relay_session_cut(s, "session.end", "the kernel closed it");
}

void relay_session_look(void *session)
{
	struct relay_session *s = session;
	struct msg_looked m = {.app_to_peer = atomic_load(&s->from_app.bytes),
	                       .peer_to_app = atomic_load(&s->from_peer.bytes)};
	int ret = msg_send(s->relay->gate, MSG_LOOKED, s->id, &m, s->up);

	if (ret)
		relay_session_end(s, "session.resources", "telling gate: %s", strerror(-ret));
	relay_session_done(s, 0);
}

void relay_session_done(struct relay_session *s, uint32_t wants)
{
	static const struct failure clean_end = {"session.end", "both sides closed"};
	static const struct failure no_epoll = {"session.resources", "epoll"};
	bool last, again;

	pthread_mutex_lock(&s->lock);
	s->busy--;
	s->wants |= wants;
	if (!s->over && (s->wants & DONE_ALL) == DONE_ALL) {
		s->why = clean_end;
		s->clean = true;
		atomic_store(&s->over, true);
	}
	/* Where a direction is done, a reset is still worth knowing. */
	if (!s->over && (((wants & (WANT_APP_IN | WANT_APP_OUT | DONE_FROM_APP)) && arm(s, true)) ||
	                 ((wants & (WANT_PEER_IN | DONE_FROM_PEER)) && arm(s, false))))
		end_locked(s, &no_epoll);
	again = take_update_locked(s);
	last = last_locked(s);
	pthread_mutex_unlock(&s->lock);
	if (again)
		relay_pool_post(s->relay->pool, &s->app_task);
	if (last)
		finish(s);
}

static int socket_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) ? errno : err;
}

/* With the lock held: the wants that this event answers, which are wants no more. */
static uint32_t fired_locked(struct relay_session *s, bool app, uint32_t events)
{
	uint32_t fired = 0;

	if (app && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		fired |= WANT_APP_IN;
	if (app && events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		fired |= WANT_APP_OUT;
	if (!app)
		fired |= WANT_PEER_IN;
	fired &= s->wants;
	s->wants &= ~fired;
	return fired;
}

void relay_session_event(struct relay_session *s, bool of_app, uint32_t events)
{
	uint32_t fired = 0;
	bool over, live;
	int err = 0;

	pthread_mutex_lock(&s->lock);
	over = s->over;
	live = s->state == RELAY_LIVE;
	if (!over) {
		fired = fired_locked(s, of_app, events);
		/* Nobody waits to find out by reading or writing. The sockets are open while the
		 * session is not over and the lock is held. */
		if (!fired && events & (EPOLLERR | EPOLLHUP))
			err = socket_error(of_app ? s->app : s->up);
		/* One socket, two directions: the other one still waits. */
		if (of_app && fired && s->wants & (WANT_APP_IN | WANT_APP_OUT))
			arm(s, true);
	}
	pthread_mutex_unlock(&s->lock);
	if (over)
		return;
	if (fired & (WANT_APP_IN))
		relay_session_start(s, &s->app_task, app_task);
	if (fired & (WANT_APP_OUT | WANT_PEER_IN))
		relay_session_start(s, &s->peer_task, peer_task);
	if (fired || !(events & (EPOLLERR | EPOLLHUP)))
		return;

	/* A hang-up without an error is an end that the tasks know of. */
	if (of_app && (err || !live))
		relay_session_cut(s, "session.app-gone", err ? strerror(err) : "it hung up");
	else if (err)
		relay_session_cut(s, "relay.truncated", strerror(err));
}

/* --------------------------------------------------- connect, release and live */

static void enter(struct relay_session *s, enum relay_state state)
{
	pthread_mutex_lock(&s->lock);
	s->state = state;
	pthread_mutex_unlock(&s->lock);
}

static int appraise(struct relay_session *s, struct transport_evidence *e, struct failure *f)
{
	struct msg_appraise m = {.request_len = e->request_len,
	                         .message_len = e->message_len,
	                         .leaf_len = e->leaf_len,
	                         .keys = e->keys};
	int fd = file_memfd("keygate-evidence", buf_view(&e->bytes)), ret = fd;

	memcpy(m.exporter, e->exporter, sizeof(m.exporter));
	if (fd >= 0) {
		enter(s, RELAY_APPRAISING);
		ret = msg_send(s->relay->gate, MSG_APPRAISE, s->id, &m, fd);
		close(fd);
	}
	if (ret < 0)
		failure_set(f, "session.resources", "handing over the evidence: %s",
		            strerror(-ret));
	secret_wipe(&m, sizeof(m));
	return ret < 0 ? ret : 0;
}

static int resumed(struct relay_session *s, struct failure *f)
{
	int ret;

	enter(s, RELAY_APPRAISING);
	ret = msg_send(s->relay->gate, MSG_RESUMED, s->id, NULL, -1);
	if (ret)
		failure_set(f, "session.resources", "telling gate: %s", strerror(-ret));
	return ret;
}

/* From CONNECT to APPRAISE, or to RESUMED. */
void relay_session_connect(void *session)
{
	struct relay_session *s = session;
	struct transport_evidence e = {0};
	struct failure f = {0};
	struct relay_upstream u = {.tls = s->relay->tls,
	                           .fd = s->up,
	                           .to = s->to,
	                           .deadline_ms = s->deadline_ms,
	                           .stop = &s->over};
	int ret = -ENOMEM;

	s->release = secret_alloc(sizeof(*s->release));
	if (s->release) {
		if (s->app >= 0)
			prepare(s->up);
		ret = relay_tls_attest(&u, s->release, &e, &f);
	} else {
		failure_set(&f, "session.resources", "locked memory for the secrets: %s",
		            strerror(errno));
	}
	if (!ret) {
		s->suite = s->release->secrets.suite;
		s->from_app.records = s->release->secrets.tx_records;
		s->from_peer.records = s->release->secrets.rx_records;
		ret = e.resumed ? resumed(s, &f) : appraise(s, &e, &f);
	}
	if (ret)
		relay_session_end(s, f.code, "%s", f.detail);
	drop_target(s);
	transport_evidence_free(&e);
	relay_session_done(s, 0);
}

/* The kernel's TLS loses data on a socket that does not block. */
static int make_blocking(struct relay_session *s)
{
	struct timeval t = {.tv_sec = s->relay->stall_ms / 1000,
	                    .tv_usec = (suseconds_t)(s->relay->stall_ms % 1000) * 1000};
	unsigned user_timeout = s->relay->stall_ms;
	int flags = fcntl(s->up, F_GETFL);

	return flags < 0 || fcntl(s->up, F_SETFL, flags & ~O_NONBLOCK) ||
	                       setsockopt(s->up, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)) ||
	                       setsockopt(s->up, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout,
	                                  sizeof(user_timeout))
	               ? -errno
	               : 0;
}

/* The kernel's goes on as it came. */
static int give_back(const struct relay_session *s)
{
	return fcntl(s->up, F_SETFL, s->up_flags) ? -errno : 0;
}

/* From HANDOVER to RELEASE. */
void relay_session_release(void *session)
{
	struct relay_session *s = session;
	int ret = s->app < 0 ? give_back(s) : make_blocking(s);

	if (!ret) {
		enter(s, RELAY_RELEASING);
		ret = msg_send(s->relay->gate, MSG_RELEASE, s->id, s->release, s->up);
	}
	drop_secrets(s);
	if (ret)
		relay_session_end(s, "session.resources", "handing over the secrets: %s",
		                  strerror(-ret));
	relay_session_done(s, 0);
}

/* With the lock held. The kernel's own users see to their socket themselves. */
static bool wait_for_bytes(struct relay_session *s)
{
	struct epoll_event e = {.events = EPOLLONESHOT, .data.u64 = relay_tag(s->id, false)};

	if (s->app < 0)
		return true;
	if (epoll_ctl(s->relay->epoll, EPOLL_CTL_ADD, s->up, &e))
		return false;
	s->wants = WANT_APP_IN | WANT_PEER_IN;
	return arm(s, true) == 0 && arm(s, false) == 0;
}

bool relay_session_live(struct relay_session *s)
{
	bool live = false;

	pthread_mutex_lock(&s->lock);
	/* gate says so; the kernel must say so too before a byte of the app is written. */
	if (!s->over && keyring_is_ktls(s->up, s->suite))
		live = wait_for_bytes(s);
	if (live)
		s->state = RELAY_LIVE;
	pthread_mutex_unlock(&s->lock);
	if (!live)
		relay_session_cut(s, "release.ktls", "the kernel does not encrypt this socket");
	return live;
}
