/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence in the certificate of the handshake: ra-tls takes it as it is, atls hands the server a
 * nonce in the ClientHello's list of protocols first. Nothing is said after the handshake: the
 * stream is the application's from its first byte.
 */
#include "transport/internal.h"

static int run(struct conversation *c)
{
	int ret = conversation_leaf(c);

	c->e->message_len = c->e->leaf_len;
	c->e->leaf_len = 0;
	return ret;
}

/* Servers of the origin of this protocol select h2 and want it offered. */
static void offer_nonce(const struct transport_target *to, struct buf *alpn)
{
	char protocol[ATLS_ALPN_LEN + 1];

	atls_protocol(to->context, protocol);
	exchange_offer(alpn, protocol);
	exchange_offer(alpn, "h2");
}

static void offer_nothing(const struct transport_target *to, struct buf *alpn)
{
	(void)to, (void)alpn;
}

const struct exchange exchange_atls = {.offer = offer_nonce, .run = run};
const struct exchange exchange_ra_tls = {.offer = offer_nothing, .run = run};
