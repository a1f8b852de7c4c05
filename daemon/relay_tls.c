/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the hand-over to the kernel needs of a connection while transport/ makes it: the kernel's
 * TLS attached, the traffic secrets, and how many records each of them has protected. Knows
 * nothing of sessions, gate or the application.
 *
 *  - The kernel's TLS is attached right after connect(): later it fails once the peer has sent its
 *    FIN. Without keys it passes everything through, so nothing may be written to the socket
 *    between transport's end and the release.
 *  - The record counts begin where the application keys begin, which is when the key log names
 *    them, and count one per record header, tickets included.
 */
#include <errno.h>
#include <string.h>
#include "daemon/relay.h"

struct custody {
	struct keyring_secrets *secrets;
	bool bad_keylog;
};

static int attach(void *ctx, int fd, struct failure *why)
{
	int ret = keyring_attach(fd);

	(void)ctx;
	if (ret)
		failure_set(why, "release.ktls", "attaching TLS to the socket: %s", strerror(-ret));
	return ret;
}

static void take_secrets(void *ctx, const char *line)
{
	struct custody *c = ctx;

	if (keyring_keylog(c->secrets, line))
		c->bad_keylog = true;
}

static void count(void *ctx, bool sent)
{
	struct keyring_secrets *s = ((struct custody *)ctx)->secrets;

	if (sent)
		s->tx_records += s->have_client;
	else
		s->rx_records += s->have_server;
}

static int complete(void *ctx, uint16_t suite, struct failure *why)
{
	struct custody *c = ctx;

	c->secrets->suite = suite;
	if (!c->bad_keylog && c->secrets->have_client && c->secrets->have_server)
		return 0;
	failure_set(why, "release.secrets", "the handshake left no traffic secrets");
	return -EPROTO;
}

SSL_CTX *relay_tls_context(void)
{
	return transport_tls_context(KEYRING_SUITES);
}

static void copy_target(const struct msg_connect *from, struct transport_target *to)
{
	to->transport = (enum attest_transport)from->transport;
	to->address = from->dst;
	memcpy(to->server_name, from->server_name, sizeof(to->server_name));
	memcpy(to->context, from->context, sizeof(to->context));
}

int relay_tls_attest(const struct relay_upstream *u, struct msg_release *r,
                     struct transport_evidence *e, struct failure *f)
{
	struct custody c = {.secrets = &r->secrets};
	const struct transport_hooks hooks = {.connected = attach,
	                                      .keylog = take_secrets,
	                                      .record = count,
	                                      .handshaken = complete,
	                                      .ctx = &c};
	struct transport_target to;
	const struct transport_call call = {.tls = u->tls,
	                                    .fd = u->fd,
	                                    .connected = u->to->connected,
	                                    .to = &to,
	                                    .deadline_ms = u->deadline_ms,
	                                    .stop = u->stop,
	                                    .hooks = &hooks,
	                                    .offer = u->to->offer.psk_len ? &u->to->offer : NULL,
	                                    .take = u->to->lease_asked ? &r->lease : NULL};

	_Static_assert(sizeof(to.server_name) == sizeof(u->to->server_name), "the same names");
	copy_target(u->to, &to);
	return transport_attest(&call, e, f);
}
