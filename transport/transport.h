/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of an attested TLS connection: connect, TLS 1.3 handshake, evidence by one of
 * the transports that the field uses, and a clean end of the TLS library's part. What comes back
 * is raw: nothing that a peer said is parsed here beyond what tells where it ends. Judging it is
 * attest/'s and policy/'s.
 *
 * Blocking, with one deadline for all of it; made for a worker thread. Knows nothing of sessions,
 * keyrings or the kernel's TLS: who needs more of the connection takes it through the hooks.
 */
#ifndef KEYGATE_TRANSPORT_TRANSPORT_H
#define KEYGATE_TRANSPORT_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <openssl/ssl.h>
#include "attest/lease.h"
#include "attest/transport.h"
#include "core/bytes.h"
#include "core/failure.h"

uint64_t transport_now_ms(void); /* CLOCK_MONOTONIC */

/*
 * A TLS 1.3 client as the hand-over to the kernel needs it; suites in OpenSSL's notation, NULL for
 * its default ones. May be used by many threads. NULL: the library refused.
 */
SSL_CTX *transport_tls_context(const char *suites);

/* What a caller takes part in. Each may be NULL; those that return 0 or -errno end it otherwise,
 * with *why filled. */
struct transport_hooks {
	/* Connected; nothing was sent yet. */
	int (*connected)(void *ctx, int fd, struct failure *why);
	/* A line of the key log: secrets. */
	void (*keylog)(void *ctx, const char *line);
	/* A TLS record was read or is written, of any kind. */
	void (*record)(void *ctx, bool sent);
	/* The handshake is done, with this suite (its number in TLS). */
	int (*handshaken)(void *ctx, uint16_t suite, struct failure *why);
	void *ctx;
};

struct transport_target {
	enum attest_transport transport;
	struct sockaddr_storage address;
	char server_name[AUTHENTICATOR_NAME_MAX + 1]; /* SNI, and asked for; empty: none */
	uint8_t context[AUTHENTICATOR_CONTEXT_LEN];   /* the verifier's nonce */
};

struct transport_call {
	SSL_CTX *tls;
	int fd;         /* non-blocking; stays the caller's */
	bool connected; /* it is, already */
	const struct transport_target *to;
	uint64_t deadline_ms; /* transport_now_ms */
	/* Set, and fd shut down, to end it early; may be NULL. */
	const atomic_bool *stop;
	const struct transport_hooks *hooks; /* may be NULL */
	/*
	 * Transports keygate and well-known alone; both may be NULL, both are the caller's secret
	 * memory.
	 *
	 * offer: the lease of an earlier connection to this destination and name, as a PSK with
	 * (EC)DHE. A server that does not know it makes a handshake with a certificate in the same
	 * connection, and evidence is asked for as ever.
	 * take: a lease is asked for together with the evidence, and filled with what this
	 * connection exports, granted or not. It is worth nothing before the verdict on this
	 * evidence passed and attest_open says lease_s. All zero if resumed or on failure.
	 *
	 * With well-known both are by the server's key, and of the server nothing is asked: a peer
	 * that shows another key than the offered one has to show evidence.
	 */
	const struct attest_lease *offer;
	struct attest_lease *take;
};

/* What the peer showed, for the verifier. */
struct transport_evidence {
	/* The offered lease was used: the peer holds its PSK, or its private key, there is no
	 * evidence and nothing of what follows, and the stream is the application's. Only TLS
	 * itself says so. */
	bool resumed;
	/* request || message || leaf; transport_evidence_free, whatever came of it */
	struct buf bytes;
	uint32_t request_len, message_len;
	uint32_t leaf_len; /* the certificate of the handshake, where the transport needs it */
	/* Secrets of this connection; of the transport that needs them, else zero. */
	struct authenticator_keys keys;
	uint8_t exporter[FLASHBOTS_EXPORTER_LEN];
};

/*
 * Connects, makes the handshake, asks for evidence and reads it whole, unless the offered lease
 * stands for it. On success the socket
 * stands exactly between two records and the TLS library has let go of it without a word on the
 * wire. 0, or -errno with *f filled (-ECANCELED when stopped). *e comes zeroed.
 */
int transport_attest(const struct transport_call *call, struct transport_evidence *e,
                     struct failure *f);
void transport_evidence_free(struct transport_evidence *e);

#endif
