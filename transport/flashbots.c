/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flashbots-ratls/1: the server sends its evidence as soon as the handshake is done, the client
 * answers that it has none, and the stream belongs to the application. The answer goes out before
 * the verdict: it says nothing, and it has to be written while the TLS library holds the keys.
 */
#include <errno.h>
#include <string.h>
#include <openssl/err.h>
#include "transport/internal.h"

static int misshapen(struct failure *f)
{
	failure_set(f, "auth.format", "what came begins like no attestation message");
	return -EPROTO;
}

static int receive(struct conversation *c)
{
	for (;;) {
		int ret = conversation_read(c);
		struct bytes got;
		int64_t whole;

		if (ret)
			return ret;
		got = conversation_message(c);
		whole = flashbots_length(got);
		if (whole < 0)
			return misshapen(c->f);
		if (whole > 0 && got.n >= (size_t)whole)
			return conversation_end(c, (size_t)whole);
	}
}

static int answer(struct conversation *c)
{
	struct buf none = buf_make(64);
	int ret = flashbots_build(FLASHBOTS_TYPE_NONE, BYTES_NONE, &none);

	if (ret)
		failure_set(c->f, "session.resources", "no answer could be made");
	else
		ret = conversation_send(c, buf_view(&none));
	buf_free(&none);
	return ret;
}

static int take_exporter(struct conversation *c)
{
	static const char label[] = FLASHBOTS_EXPORTER_LABEL;

	if (SSL_export_keying_material(c->ssl, c->e->exporter, sizeof(c->e->exporter), label,
	                               sizeof(label) - 1, NULL, 0, 0) == 1)
		return 0;
	ERR_clear_error();
	failure_set(c->f, "session.resources", "the TLS library exports no value");
	return -EIO;
}

static int run(struct conversation *c)
{
	int ret = take_exporter(c);

	if (!ret)
		ret = receive(c);
	if (!ret)
		ret = conversation_leaf(c);
	return ret ? ret : answer(c);
}

static void offer(const struct transport_target *to, struct buf *alpn)
{
	(void)to;
	exchange_offer(alpn, FLASHBOTS_ALPN);
}

const struct exchange exchange_flashbots = {.offer = offer, .must_select = true, .run = run};
