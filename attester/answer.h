/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the transports of attest/transport.h are answered: which connections each is for, what it
 * shows in the handshake, and what it says after it. Private to attester/.
 */
#ifndef KEYGATE_ATTESTER_ANSWER_H
#define KEYGATE_ATTESTER_ANSWER_H

#include "attest/transport.h"
#include "attester/serve.h"

/* One connection while it is being attested. */
struct answering {
	const struct serve_config *config;
	SSL *ssl;
	int64_t deadline; /* milliseconds, CLOCK_MONOTONIC */
	const char *step;
	enum attest_transport transport;
	uint8_t selected[256]; /* the protocol to be selected by ALPN ... */
	size_t selected_n;     /* ... or 0: none */
	uint8_t name[256];     /* asked for by SNI ... */
	size_t name_n;         /* ... or 0: none */
	struct buf *early;     /* for what the client sends that is the application's */
};

struct answer {
	/* Is a client that offers these protocols (TLS's list, maybe empty) for this transport?
	 * *selected becomes a view of the one to select. NULL: not for what it offers. */
	bool (*wants)(struct bytes protocols, struct bytes *selected);
	bool anyone; /* who offers nothing that another transport wants is for this one */
	/* In the handshake: gives the connection a certificate of its own. 0 or -errno; NULL: the
	 * process's will do. */
	int (*certify)(struct answering *a);
	/* After the handshake: 0 when the stream belongs to the application, or -errno. */
	int (*exchange)(struct answering *a);
};

extern const struct answer answer_keygate, answer_flashbots, answer_atls, answer_ra_tls,
        answer_well_known;

/* True if the list holds this protocol; *out becomes a view of it. */
bool protocol_offered(struct bytes protocols, const char *name, struct bytes *out);

/* Whole, under the deadline. 0 or -errno. */
int answering_write(struct answering *a, struct bytes v);
/* One read of at most n bytes, appended: never more than what belongs to the transport. */
int answering_read(struct answering *a, size_t n, struct buf *out);
/* The DER SubjectPublicKeyInfo of this connection's certificate; OPENSSL_free. */
int answering_key(const struct answering *a, uint8_t **spki, size_t *n);

/* A self-signed certificate of key; with this extension, unless oid is NULL. NULL: out of memory.
 */
X509 *answer_certificate(EVP_PKEY *key, const char *common_name, const char *oid,
                         struct bytes extension);

/* Evidence over these report data, its endorsements, leaf and proof, and for how long a lease is
 * granted (0: none) as one collection. */
int answer_cmw(const struct serve_config *c, const uint8_t report_data[static 64], uint32_t lease_s,
               struct buf *out);

#endif
