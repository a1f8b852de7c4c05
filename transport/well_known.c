/* SPDX-License-Identifier: Apache-2.0 */
/*
 * well-known: the client asks for the attestation document by HTTP, over the connection whose key
 * it is to vouch for, and the stream behind the answer belongs to the application. So the server
 * has to keep the connection, and the answer has to say where it ends. Knows that, not what the
 * answer holds.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include "attest/http.h"
#include "transport/internal.h"

/* A name, or an address in brackets, with a port. */
enum { HOST_MAX = AUTHENTICATOR_NAME_MAX + 16, HTTPS_PORT = 443, OK = 200 };

#define HTTP_1_1 "http/1.1"

/* The name that was asked for, else the address; with the port, unless it goes without saying. */
static void host_of(const struct transport_target *to, char out[static HOST_MAX + 1])
{
	char address[INET6_ADDRSTRLEN] = "";
	bool bracketed = false;
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	uint16_t port;
	int n;

	if (to->address.ss_family == AF_INET6) {
		memcpy(&in6, &to->address, sizeof(in6));
		inet_ntop(AF_INET6, &in6.sin6_addr, address, sizeof(address));
		port = ntohs(in6.sin6_port);
		bracketed = true;
	} else {
		memcpy(&in, &to->address, sizeof(in));
		inet_ntop(AF_INET, &in.sin_addr, address, sizeof(address));
		port = ntohs(in.sin_port);
	}
	if (to->server_name[0])
		n = snprintf(out, HOST_MAX + 1, "%s", to->server_name);
	else
		n = snprintf(out, HOST_MAX + 1, "%s%s%s", bracketed ? "[" : "", address,
		             bracketed ? "]" : "");
	if (port != HTTPS_PORT && n > 0 && n <= HOST_MAX)
		snprintf(out + n, HOST_MAX + 1 - (size_t)n, ":%u", port);
}

static int ask(struct conversation *c)
{
	struct buf request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	char host[HOST_MAX + 1];
	int ret;

	host_of(c->call->to, host);
	ret = wellknown_request(host, c->call->to->context, &request);
	if (ret)
		failure_set(c->f, "session.resources", "no request for a document could be made");
	else
		ret = conversation_send(c, buf_view(&request));
	buf_free(&request);
	return ret;
}

static int refused(struct conversation *c, const struct http_message *h)
{
	bool closes = h->head_done && !h->stays;
	const char *code = h->too_long ? "auth.too-large" : "auth.format";

	if (closes)
		code = h->status == OK ? "handover.close" : "wellknown.status";
	if (h->head_done)
		failure_set(c->f, code, "the answer, %u: %s", h->status, h->wrong);
	else
		failure_set(c->f, code, "the answer: %s", h->wrong);
	return -EPROTO;
}

static int receive(struct conversation *c)
{
	struct http_message h;
	int ret = 0;

	http_begin(&h, HTTP_RESPONSE, WELLKNOWN_REPLY_MAX, NULL);
	while (!ret && !h.done) {
		struct bytes got;

		ret = conversation_read(c);
		if (ret)
			break;
		got = conversation_message(c);
		ret = http_take(&h, (struct bytes){got.p + h.taken, got.n - h.taken});
		if (ret)
			ret = refused(c, &h);
	}
	return ret ? ret : conversation_end(c, h.taken);
}

static int run(struct conversation *c)
{
	int ret = ask(c);

	if (!ret)
		ret = receive(c);
	if (!ret)
		ret = conversation_leaf(c);
	return ret ? ret : lease_take(c);
}

static void offer(const struct transport_target *to, struct buf *alpn)
{
	(void)to;
	exchange_offer(alpn, HTTP_1_1);
}

const struct exchange exchange_well_known = {.offer = offer, .run = run};
