/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RFC 9289's question and answer. Nothing else of RPC is spoken or let through here: a client that
 * does not ask first gets no connection in clear.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include "attester/rpc.h"

/* RFC 5531 9, RFC 9289 4.1. */
enum {
	LAST_FRAGMENT = 0x80000000u,
	CALL = 0,
	REPLY = 1,
	RPC_VERSION = 2,
	AUTH_NONE = 0,
	AUTH_TLS = 7
};
enum { TLS_HANDSHAKE = 22 };

static const char starttls[8] = "STARTTLS";

static void put32(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
}

bool rpc_answer(struct bytes question, uint8_t answer[static RPC_ANSWER_LEN])
{
	struct reader r = reader_of(question);
	uint32_t mark = rd_be32(&r), xid = rd_be32(&r), type = rd_be32(&r), version = rd_be32(&r);

	rd_be32(&r); /* program ... */
	rd_be32(&r); /* ... and its version: whatever is behind this attester */

	uint32_t procedure = rd_be32(&r), flavor = rd_be32(&r), body = rd_be32(&r);
	uint32_t verifier = rd_be32(&r), verifier_body = rd_be32(&r);

	if (r.bad || r.left || mark != (LAST_FRAGMENT | (RPC_QUESTION_LEN - 4)) || type != CALL ||
	    version != RPC_VERSION || procedure != 0 || flavor != AUTH_TLS || body != 0 ||
	    verifier != AUTH_NONE || verifier_body != 0)
		return false;
	memset(answer, 0, RPC_ANSWER_LEN);
	put32(answer, LAST_FRAGMENT | (RPC_ANSWER_LEN - 4));
	put32(answer + 4, xid);
	put32(answer + 8, REPLY);
	/* Accepted (0), by no authentication (0), with this in place of a verifier; success (0). */
	put32(answer + 20, sizeof(starttls));
	memcpy(answer + 24, starttls, sizeof(starttls));
	return true;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* The first byte stays; or n bytes are taken. 0 or -errno. */
static int receive(int fd, uint8_t *p, size_t n, int flags, int64_t deadline)
{
	size_t at = 0;

	while (at < n) {
		struct pollfd w = {.fd = fd, .events = POLLIN};
		int64_t left = deadline - now_ms();
		ssize_t got = recv(fd, p + at, n - at, flags);

		if (got == 0)
			return -EPIPE;
		if (got > 0)
			at += (size_t)got;
		else if (errno != EAGAIN && errno != EINTR)
			return -errno;
		else if (left <= 0 || poll(&w, 1, (int)left) == 0)
			return -ETIMEDOUT;
	}
	return 0;
}

int rpc_start_tls(int fd, int timeout_ms)
{
	uint8_t question[RPC_QUESTION_LEN], answer[RPC_ANSWER_LEN];
	int64_t deadline = now_ms() + timeout_ms;
	int rc = receive(fd, question, 1, MSG_PEEK, deadline);

	if (rc || question[0] == TLS_HANDSHAKE)
		return rc;
	rc = receive(fd, question, sizeof(question), 0, deadline);
	if (rc)
		return rc;
	if (!rpc_answer(BYTES_OF(question), answer))
		return -EPROTO;
	/* The first bytes on this connection: there is room for them. */
	return send(fd, answer, sizeof(answer), MSG_NOSIGNAL) == sizeof(answer) ? 0 : -EPIPE;
}
