/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attester's relay: one thread, two sockets, two buffers. It knows TLS only as SSL_read and
 * SSL_write.
 */
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <openssl/err.h>
#include "attester/pump.h"

enum { PUMP_CHUNK = PUMP_EARLY_MAX };

/* One direction: what was read and not yet written. */
struct half {
	uint8_t data[PUMP_CHUNK];
	size_t off, len;
	bool eof;  /* the source ended */
	bool shut; /* the sink was told */
	bool lost; /* the sink takes no more: what still comes is dropped */
};

struct pump {
	SSL *ssl;
	int tls, service;
	struct half up;               /* TLS to service */
	struct half down;             /* service to TLS */
	short tls_wait, service_wait; /* what poll must wait for; 0 for nothing */
	bool moved;
};

static int ssl_result(struct pump *p, int n)
{
	switch (SSL_get_error(p->ssl, n)) {
	case SSL_ERROR_WANT_READ:
		p->tls_wait |= POLLIN;
		return 0;
	case SSL_ERROR_WANT_WRITE:
		p->tls_wait |= POLLOUT;
		return 0;
	default:
		/* Includes the end of the TCP stream without close_notify. */
		return -EPROTO;
	}
}

static int up_read(struct pump *p)
{
	size_t n;
	int rc;

	if (p->up.eof || p->up.len)
		return 0;
	ERR_clear_error();
	rc = SSL_read_ex(p->ssl, p->up.data, sizeof(p->up.data), &n);
	if (rc == 1) {
		p->up.off = 0;
		p->up.len = n;
		p->moved = true;
		return 0;
	}
	if (SSL_get_error(p->ssl, rc) == SSL_ERROR_ZERO_RETURN) {
		p->up.eof = p->moved = true;
		return 0;
	}
	return ssl_result(p, rc);
}

/*
 * A service may answer and close while the client still sends (an early HTTP error). Its answer
 * must not be lost to a reset, so the rest of the client's bytes are read and dropped until the
 * client has seen the end.
 */
static int up_lost(struct pump *p)
{
	if (!p->down.eof || (errno != EPIPE && errno != ECONNRESET))
		return -errno;
	p->up.lost = p->moved = true;
	p->up.len = 0;
	return 0;
}

static int up_write(struct pump *p)
{
	struct half *h = &p->up;

	if (h->lost)
		h->len = 0;
	if (h->len) {
		ssize_t n = send(p->service, h->data + h->off, h->len, MSG_NOSIGNAL);

		if (n == -1 && errno != EAGAIN)
			return up_lost(p);
		if (n == -1) {
			p->service_wait |= POLLOUT;
			return 0;
		}
		h->off += (size_t)n;
		h->len -= (size_t)n;
		p->moved = true;
	}
	if (h->eof && !h->len && !h->shut) {
		if (!h->lost && shutdown(p->service, SHUT_WR) == -1 && errno != ENOTCONN)
			return -errno;
		h->shut = p->moved = true;
	}
	return 0;
}

static int down_read(struct pump *p)
{
	ssize_t n;

	if (p->down.eof || p->down.len)
		return 0;
	n = recv(p->service, p->down.data, sizeof(p->down.data), 0);
	if (n == -1 && errno == EAGAIN) {
		p->service_wait |= POLLIN;
		return 0;
	}
	if (n == -1)
		return -errno;
	p->down.off = 0;
	p->down.len = (size_t)n;
	p->down.eof = n == 0;
	p->moved = true;
	return 0;
}

static int down_write(struct pump *p)
{
	struct half *h = &p->down;
	size_t n;
	int rc;

	if (h->len) {
		ERR_clear_error();
		rc = SSL_write_ex(p->ssl, h->data + h->off, h->len, &n);
		if (rc != 1)
			return ssl_result(p, rc);
		h->off += n;
		h->len -= n;
		p->moved = true;
	}
	if (h->eof && !h->len && !h->shut) {
		ERR_clear_error();
		rc = SSL_shutdown(p->ssl);
		if (rc < 0)
			return ssl_result(p, rc);
		h->shut = p->moved = true;
	}
	return 0;
}

static int pump_step(struct pump *p)
{
	int rc = up_read(p);

	if (rc == 0)
		rc = up_write(p);
	if (rc == 0)
		rc = down_read(p);
	if (rc == 0)
		rc = down_write(p);
	return rc;
}

int pump_run(SSL *ssl, int service, struct bytes early, unsigned idle_s)
{
	struct pump *p = calloc(1, sizeof(*p));
	int rc = p ? 0 : -ENOMEM;

	if (p && early.n <= sizeof(p->up.data)) {
		if (early.n)
			memcpy(p->up.data, early.p, early.n);
		p->up.len = early.n;
	} else if (p) {
		rc = -EMSGSIZE;
	}
	if (p) {
		p->ssl = ssl;
		p->tls = SSL_get_fd(ssl);
		p->service = service;
	}
	while (rc == 0 && !(p->up.shut && p->down.shut)) {
		p->tls_wait = p->service_wait = 0;
		p->moved = false;
		rc = pump_step(p);
		if (rc == 0 && !p->moved) {
			struct pollfd fds[2] = {
			        {.fd = p->tls_wait ? p->tls : -1, .events = p->tls_wait},
			        {.fd = p->service_wait ? service : -1, .events = p->service_wait}};

			int n = poll(fds, 2, idle_s ? (int)idle_s * 1000 : -1);

			if (n == 0)
				rc = -ETIMEDOUT;
			else if (n == -1 && errno != EINTR)
				rc = -errno;
		}
	}
	free(p);
	return rc;
}
