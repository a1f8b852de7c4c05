/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate/1: the client asks for an exported authenticator and the server answers with one, in
 * records of its own (docs/wire.md). Knows where the answer ends, not what it says.
 */
#include <errno.h>
#include "transport/internal.h"

enum { HANDSHAKE_CERTIFICATE = 11 };

static int ask(struct conversation *c)
{
	const struct transport_target *to = c->call->to;
	struct transport_evidence *e = c->e;
	int ret = authenticator_request_build(to->context, to->server_name, c->call->take != NULL,
	                                      &e->bytes);

	if (!ret)
		ret = authenticator_keys_of(c->ssl, to->context, &e->keys);
	if (ret || e->bytes.bad) {
		failure_set(c->f, "session.resources", "no request for evidence could be made");
		return ret ? ret : -ENOMEM;
	}
	e->request_len = (uint32_t)e->bytes.n;
	return conversation_send(c, buf_view(&e->bytes));
}

/* Told apart for the administrator only; both are refused. */
static int misshapen(struct bytes got, struct failure *f)
{
	struct reader r = reader_of(got);

	if (rd_u8(&r) == HANDSHAKE_CERTIFICATE && rd_be24(&r) > AUTHENTICATOR_MAX - 4)
		failure_set(f, "auth.too-large", "more than %d bytes announced", AUTHENTICATOR_MAX);
	else
		failure_set(f, "auth.format", "what came begins like no authenticator");
	return -EPROTO;
}

static int run(struct conversation *c)
{
	int ret = ask(c);

	while (!ret) {
		struct bytes got;
		int64_t whole;

		ret = conversation_read(c);
		if (ret)
			break;
		got = conversation_message(c);
		whole = got.n ? authenticator_length(got) : 0;
		if (whole < 0)
			return misshapen(got, c->f);
		if (whole > 0 && got.n >= (size_t)whole) {
			ret = conversation_end(c, (size_t)whole);
			return ret ? ret : lease_take(c);
		}
	}
	return ret;
}

static void offer(const struct transport_target *to, struct buf *alpn)
{
	(void)to;
	exchange_offer(alpn, AUTHENTICATOR_ALPN);
}

const struct exchange exchange_keygate = {.offer = offer, .must_select = true, .run = run};
