/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of transport/ share: one connection's state, and how a transport takes part. */
#ifndef KEYGATE_TRANSPORT_INTERNAL_H
#define KEYGATE_TRANSPORT_INTERNAL_H

#include "transport/transport.h"

enum { TRANSPORT_CHUNK = 16384, TRANSPORT_ALPN_MAX = 512 };

struct exchange;

/* One connection's state, reached from OpenSSL's callbacks by SSL_get_app_data. */
struct conversation {
	const struct transport_call *call;
	struct transport_evidence *e;
	struct failure *f;
	const struct exchange *exchange;
	struct buf alpn; /* as offered */
	SSL *ssl;
	bool key_update; /* the peer sent one */
};

/* Sends all of it. 0 or -errno with the failure set. */
int conversation_send(struct conversation *c, struct bytes v);
/* One SSL_read, at most one record, appended to the evidence. 0 (maybe with nothing) or -errno. */
int conversation_read(struct conversation *c);
/* What was read so far behind the request. */
struct bytes conversation_message(const struct conversation *c);
/* The message is whole and ends here: no byte of the stream may be behind it. 0 or -EPROTO. */
int conversation_end(struct conversation *c, size_t whole);
/* The certificate of the handshake behind the message. 0 or -errno. */
int conversation_leaf(struct conversation *c);

/*
 * One transport: what it offers by ALPN (in TLS's form, appended), whether the peer has to select
 * one of them, and what is said after the handshake. run leaves request, message and leaf in the
 * evidence and the connection between two records.
 */
struct exchange {
	void (*offer)(const struct transport_target *to, struct buf *alpn);
	bool must_select;
	int (*run)(struct conversation *c);
};

extern const struct exchange exchange_keygate, exchange_flashbots, exchange_atls, exchange_ra_tls,
        exchange_well_known;

/* Before the handshake: prepares the offer of a lease. After it: sets e->resumed if the peer took
 * it. Behind the evidence: exports the next one. Each without effect if it was not asked for, and 0
 * or -errno with the failure set. */
int lease_offer(struct conversation *c);
int lease_taken(struct conversation *c);
int lease_take(struct conversation *c);

void exchange_offer(struct buf *alpn, const char *name);

#endif
