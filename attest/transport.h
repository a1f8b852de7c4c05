/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transports by which a destination shows its evidence on a TLS connection, what each of them
 * binds it to, and the opening of what came: from bytes on the wire to evidence and to the report
 * data that it must bear. Pure; the client's side of the connection itself is the room transport/.
 *
 *   keygate     keygate/1: exported authenticator after the handshake (docs/wire.md)   connection
 *   flashbots   flashbots-ratls/1: message after the handshake, bound by the exporter  connection
 *   atls        nonce in ALPN, evidence in a certificate made for the connection       nonce
 *   ra-tls      evidence in the certificate                                            certificate
 *   well-known  document asked for by HTTP after the handshake, over the TLS key       certificate,
 *               or over the key and the nonce, by the document's form                  or nonce
 *
 * docs/binders.md says what each does not prove.
 */
#ifndef KEYGATE_ATTEST_TRANSPORT_H
#define KEYGATE_ATTEST_TRANSPORT_H

#include <stdbool.h>
#include "attest/attest.h"
#include "attest/authenticator.h"
#include "attest/cmw.h"
#include "attest/flashbots.h"
#include "attest/ratls.h"
#include "attest/wellknown.h"
#include "core/bytes.h"
#include "core/verdict.h"

enum attest_transport {
	TRANSPORT_NONE = 0,
	TRANSPORT_KEYGATE,
	TRANSPORT_FLASHBOTS,
	TRANSPORT_ATLS,
	TRANSPORT_RA_TLS,
	TRANSPORT_WELL_KNOWN,
	TRANSPORT_MAX,
};

const char *attest_transport_name(enum attest_transport t); /* "keygate" ...; "none" */
/* TRANSPORT_NONE when unknown. */
enum attest_transport attest_transport_from_name(const char *name);
/* What all evidence by it is at least bound by: "connection", "nonce" or "certificate"; "none" for
 * no transport. */
const char *attest_transport_binder(enum attest_transport t);
/* The strongest that some of it can have. */
const char *attest_transport_binder_most(enum attest_transport t);

/* Bytes; of any transport. */
enum { TRANSPORT_MESSAGE_MAX = WELLKNOWN_REPLY_MAX, TRANSPORT_LEAF_MAX = 65536 };

_Static_assert((int)TRANSPORT_MESSAGE_MAX >= (int)AUTHENTICATOR_MAX, "room for each message");

/* What went over the wire, and what the client's TLS knows of the connection. */
struct attest_wire {
	enum attest_transport transport;
	struct bytes request; /* as sent; empty where the transport has none */
	struct bytes message; /* as it came; of atls and ra-tls: the certificate of the handshake;
	                         of well-known: the whole HTTP answer */
	struct bytes leaf;    /* DER of the certificate whose key the peer showed to hold */
	const struct authenticator_keys *keys;    /* keygate */
	uint8_t exporter[FLASHBOTS_EXPORTER_LEN]; /* flashbots */
	uint8_t context[AUTHENTICATOR_CONTEXT_LEN];
	const char *server_name; /* empty: none */
	bool lease_asked;        /* of keygate: the request asked for a lease */
	int64_t at;
};

struct attest_opened {
	const char
	        *binder; /* what ties this very evidence; as attest_transport_binder or stronger */
	struct cmw cmw;  /* good until attest_opened_free, for as long as the message */
	uint8_t spki_sha256[32];
	uint8_t report_data[64];
	int64_t valid_until;       /* of the carrier; INT64_MAX where it has no end of its own */
	struct ratls ratls;        /* what the views of a certificate point into */
	struct wellknown document; /* and those of a document */
};

/*
 * Appends the transport's checks. *out is meaningful if checks_overall() is PASS afterwards. 0, or
 * -ENOMEM. attest_opened_free in any case.
 */
int attest_open(const struct attest_wire *wire, struct attest_opened *out, struct checks *checks);
void attest_opened_free(struct attest_opened *o);

/*
 * aTLS: the protocol name by which a client hands its nonce to the server, as edgelesssys/contrast
 * writes it: ATLS_ALPN_PREFIX and the nonce in lower-case hex.
 */
#define ATLS_ALPN_PREFIX "atls:v1:nonce:"

enum { ATLS_ALPN_LEN = sizeof(ATLS_ALPN_PREFIX) - 1 + 2UL * AUTHENTICATOR_CONTEXT_LEN };

/* out holds ATLS_ALPN_LEN + 1 characters. */
void atls_protocol(const uint8_t nonce[static AUTHENTICATOR_CONTEXT_LEN], char *out);
/* A nonce of 32 bytes out of a protocol name. 0 or -EINVAL. */
int atls_nonce(struct bytes protocol, uint8_t out[static AUTHENTICATOR_CONTEXT_LEN]);

#endif
