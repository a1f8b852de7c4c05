/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a live session, one direction at a time. Lossless before fast.
 *
 * To the peer, every write blocks. With MSG_DONTWAIT the kernel's TLS accepts data, parks what it
 * could not send, and drops that silently when the socket is shut down or closed. So the stream
 * ends with a blocking close_notify, and a write that took as long as the time limit counts as
 * stalled whatever it returned: when the limit ends inside the kernel's push, the call succeeds
 * with the record parked.
 *
 * From the peer, every read has room for the record's type: it alone tells data from an alert,
 * from the end. A FIN without close_notify is a truncation.
 *
 * To the app nothing blocks: what it does not take is held, and the peer is not read until it is
 * taken. A session holds memory for at most one chunk, and only while its app is slow.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include "core/secret.h"
#include "daemon/relay.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
enum {
	TLS_SET_TYPE = 1, /* linux/tls.h names them, and clashes with OpenSSL's names */
	TLS_GET_TYPE = 2,
	ALERT = 21,
	HANDSHAKE = 22,
	KEY_UPDATE = 24,
	CHUNK = 65536,
	SHARE = 256 * 1024, /* of one dispatch */
};

static bool over(const struct relay_session *s)
{
	return atomic_load(&s->over);
}

/* --------------------------------------------------------------- app to peer */

static void peer_failed(struct relay_session *s, int err)
{
	if (err == EAGAIN || err == ETIMEDOUT)
		relay_session_end(s, "relay.stalled", "the peer took nothing for %u s",
		                  s->relay->stall_ms / 1000);
	else
		relay_session_end(s, "relay.truncated", "sending to the peer: %s", strerror(err));
}

/* One blocking call under the time limit. Bytes taken; 0 when the session has ended by it. */
static size_t send_limited(struct relay_session *s, const struct msghdr *m)
{
	uint64_t from = transport_now_ms();
	ssize_t n = sendmsg(s->up, m, MSG_NOSIGNAL);
	int err = n < 0 ? errno : 0;

	if (transport_now_ms() - from >= s->relay->stall_ms)
		err = EAGAIN;
	if (!err)
		return (size_t)n;
	peer_failed(s, err);
	return 0;
}

static bool send_data(struct relay_session *s, struct iovec left)
{
	while (left.iov_len) {
		struct msghdr m = {.msg_iov = &left, .msg_iovlen = 1};
		size_t n = send_limited(s, &m);

		if (!n)
			return false;
		left.iov_base = (uint8_t *)left.iov_base + n;
		left.iov_len -= n;
	}
	return true;
}

/* A record that is not data. False when the session has ended by it. */
static bool send_control(struct relay_session *s, uint8_t type, struct iovec record)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(1)];
	} control = {0};
	struct msghdr m = {.msg_iov = &record,
	                   .msg_iovlen = 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_TLS;
	c->cmsg_type = TLS_SET_TYPE;
	c->cmsg_len = CMSG_LEN(1);
	*CMSG_DATA(c) = type;
	return send_limited(s, &m) != 0;
}

static uint32_t close_towards_peer(struct relay_session *s)
{
	uint8_t close_notify[2] = {1, 0};

	if (!send_control(s, ALERT, (struct iovec){close_notify, sizeof(close_notify)}))
		return 0;
	if (shutdown(s->up, SHUT_WR)) {
		peer_failed(s, errno);
		return 0;
	}
	return DONE_FROM_APP;
}

/* Is a KeyUpdate due before any more data? UPDATE_*. */
static unsigned update_due(struct relay_session *s)
{
	unsigned update = atomic_exchange(&s->update, 0);

	if (s->rekey_records && s->from_app.records >= s->rekey_records)
		update |= UPDATE_SEND;
	return update;
}

/* RFC 8446 section 4.6.3: after this record the old key is never used again. */
static uint32_t update_key(struct relay_session *s, unsigned update)
{
	uint8_t m[5] = {KEY_UPDATE, 0, 0, 1, update & UPDATE_ASK ? 1 : 0};

	if (!send_control(s, HANDSHAKE, (struct iovec){m, sizeof(m)}))
		return 0;
	s->from_app.records = 0;
	return relay_session_rekey(s, KEYRING_TX);
}

static uint32_t from_app(struct relay_session *s, uint8_t chunk[static CHUNK])
{
	for (size_t moved = 0; moved < SHARE;) {
		unsigned update = update_due(s);

		if (update)
			return update_key(s, update);

		ssize_t n = recv(s->app, chunk, CHUNK, MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			relay_session_end(s, "session.app-gone", "reading from the app: %s",
			                  strerror(errno));
			return 0;
		}
		if (n == 0)
			return close_towards_peer(s);
		if (!relay_record_count(&s->from_app.records, (size_t)n)) {
			relay_session_end(s, "relay.record-limit", "%llu records sent",
			                  (unsigned long long)s->from_app.records);
			return 0;
		}
		if (!send_data(s, (struct iovec){chunk, (size_t)n}))
			return 0;
		s->from_app.bytes += (size_t)n;
		moved += (size_t)n;
	}
	return WANT_APP_IN;
}

uint32_t relay_pump_app(struct relay_session *s)
{
	uint8_t chunk[CHUNK];
	uint32_t wants = over(s) ? 0 : from_app(s, chunk);

	/* The thread lives on with this stack. */
	secret_wipe(chunk, sizeof(chunk));
	return wants;
}

/* --------------------------------------------------------------- peer to app */

static void drop_held(struct relay_session *s)
{
	if (!s->held)
		return;
	secret_wipe(s->held, s->held_n);
	free(s->held);
	s->held = NULL;
	s->held_n = s->held_at = 0;
}

/* How much the app took; -1 when the session has ended by it. */
static ssize_t offer(struct relay_session *s, const uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t put = send(s->app, p + done, n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (put < 0 && errno == EAGAIN)
			break;
		if (put < 0) {
			relay_session_end(s, "session.app-gone", "writing to the app: %s",
			                  strerror(errno));
			return -1;
		}
		done += (size_t)put;
	}
	s->from_peer.bytes += done;
	return (ssize_t)done;
}

/* What is wanted next, WANT_PEER_IN if all went through; 0 when the session has ended by it. */
static uint32_t deliver(struct relay_session *s, const uint8_t *p, size_t n)
{
	ssize_t done = offer(s, p, n);

	if (done < 0)
		return 0;
	if ((size_t)done == n)
		return WANT_PEER_IN;
	s->held_n = n - (size_t)done;
	s->held_at = 0;
	s->held = malloc(s->held_n);
	if (!s->held) {
		relay_session_end(s, "session.resources", "no memory");
		return 0;
	}
	memcpy(s->held, p + done, s->held_n);
	return WANT_APP_OUT;
}

static uint32_t deliver_held(struct relay_session *s)
{
	ssize_t done = offer(s, s->held + s->held_at, s->held_n - s->held_at);

	if (done < 0)
		return 0;
	s->held_at += (size_t)done;
	if (s->held_at < s->held_n)
		return WANT_APP_OUT;
	drop_held(s);
	return WANT_PEER_IN;
}

static void read_failed(struct relay_session *s, int err)
{
	const char *code = err == ETIMEDOUT ? "relay.stalled"
	                   : err == ECONNRESET || err == EPIPE || err == ECONNABORTED
	                           ? "relay.truncated"
	                           : "relay.record";

	relay_session_end(s, code, "reading from the peer: %s", strerror(err));
}

/* One record's bytes. 1: got it; 0: nothing there now; -1: the session has ended by it. */
static int receive(struct relay_session *s, uint8_t chunk[static CHUNK], size_t *n, uint8_t *type)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(1)];
	} control = {0};
	struct iovec iov = {chunk, CHUNK};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};
	ssize_t got = recvmsg(s->up, &m, MSG_DONTWAIT);
	struct cmsghdr *c = got < 0 ? NULL : CMSG_FIRSTHDR(&m);

	if (got < 0 && errno == EAGAIN)
		return 0;
	if (got < 0)
		read_failed(s, errno);
	else if (c && c->cmsg_level == SOL_TLS && c->cmsg_type == TLS_GET_TYPE &&
	         !(m.msg_flags & MSG_CTRUNC)) {
		*n = (size_t)got;
		*type = *CMSG_DATA(c);
		return 1;
	} else if (got == 0 && !c)
		relay_session_end(s, "relay.truncated",
		                  "the connection ended without close_notify");
	else
		relay_session_end(s, "relay.record", "a record without its type");
	return -1;
}

static uint32_t close_towards_app(struct relay_session *s)
{
	/* ENOTCONN: it has reset meanwhile, and no byte was left for it. */
	if (shutdown(s->app, SHUT_WR) && errno != ENOTCONN) {
		relay_session_end(s, "session.app-gone", "closing towards the app: %s",
		                  strerror(errno));
		return 0;
	}
	return DONE_FROM_PEER;
}

/* The peer's old key has ended; nothing can be read until the next is in place. */
static uint32_t peer_updated(struct relay_session *s, bool both)
{
	if (!relay_update_admit(&s->control, s->from_peer.records, transport_now_ms())) {
		relay_session_end(s, "relay.key-update",
		                  "%u KeyUpdates with next to nothing between",
		                  (unsigned)RELAY_UPDATES);
		return 0;
	}
	s->from_peer.records = 0;
	s->asked = false;
	if (both)
		relay_session_update(s, UPDATE_SEND);
	return relay_session_rekey(s, KEYRING_RX);
}

/* In time before the limit the peer is asked to update; it does with its next data. */
static void ask_in_time(struct relay_session *s)
{
	if (!s->rekey_records || s->asked || s->from_peer.records < s->rekey_records)
		return;
	s->asked = true;
	relay_session_update(s, UPDATE_SEND | UPDATE_ASK);
}

static uint32_t take(struct relay_session *s, uint8_t type, const uint8_t *p, size_t n)
{
	struct failure why;

	if (!relay_record_count(&s->from_peer.records, n)) {
		relay_session_end(s, "relay.record-limit", "%llu records received",
		                  (unsigned long long)s->from_peer.records);
		return 0;
	}
	ask_in_time(s);
	switch (relay_record_take(&s->control, type, (struct bytes){p, n}, &why)) {
	case TAKE_BAD:
		break;
	case TAKE_DATA:
		return deliver(s, p, n);
	case TAKE_NOTHING:
		return WANT_PEER_IN;
	case TAKE_CLOSED:
		return close_towards_app(s);
	case TAKE_UPDATE:
		return peer_updated(s, false);
	case TAKE_UPDATE_BOTH:
		return peer_updated(s, true);
	}
	relay_session_end(s, why.code, "%s", why.detail);
	return 0;
}

static uint32_t from_peer(struct relay_session *s, uint8_t chunk[static CHUNK])
{
	uint32_t wants = s->held ? deliver_held(s) : WANT_PEER_IN;

	/* Empty records count too, so that a flood of them ends the dispatch. */
	for (size_t moved = 0; moved < SHARE && wants == WANT_PEER_IN && !over(s);) {
		uint8_t type = 0;
		size_t n = 0;
		int got = receive(s, chunk, &n, &type);

		if (got <= 0)
			return got ? 0 : WANT_PEER_IN;
		wants = take(s, type, chunk, n);
		moved += n + 64;
	}
	return wants;
}

uint32_t relay_pump_peer(struct relay_session *s)
{
	uint8_t chunk[CHUNK];
	uint32_t wants = over(s) ? 0 : from_peer(s, chunk);

	secret_wipe(chunk, sizeof(chunk));
	return wants;
}
