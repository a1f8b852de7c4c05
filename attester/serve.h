/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination's listener: terminates TLS 1.3, shows evidence by the transport that the client
 * asks for, then forwards plain bytes to the service behind it. One thread a connection, bounded.
 * Knows nothing of where evidence comes from.
 */
#ifndef KEYGATE_ATTESTER_SERVE_H
#define KEYGATE_ATTESTER_SERVE_H

#include <netdb.h>
#include <stdint.h>
#include <openssl/ssl.h>
#include "attest/transport.h"
#include "attester/evidence.h"
#include "attester/lease.h"

/* The suites that kernel TLS carries. */
#define SERVE_SUITES "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"

enum {
	SERVE_NAMES_MAX = 16,
	SERVE_HANDSHAKE_MS = 20000,
	SERVE_LEAF_MAX = 16384,
	SERVE_PROOF_MAX = 131072,
	SERVE_BUNDLE_MAX = 65536, /* a message has no room for more */
	SERVE_STATEMENT_MAX = 65536,
};

struct serve_config {
	struct sockaddr_storage listen, forward;
	socklen_t listen_len, forward_len;
	const char *name[SERVE_NAMES_MAX]; /* service names answered for; none: any */
	size_t names;
	const char *leaf; /* path of the ledger leaf to staple, or NULL */
	const char *
	        proof; /* path of its tlog-proof, or NULL; both are read anew for each connection */
	const char *bundle;      /* path of a Sigstore bundle to staple, or NULL; read anew too */
	const char *statement;   /* path of a transparent statement, or NULL; the same */
	const char *endorsement; /* extra endorsements file, or NULL */
	struct lease_table *leases; /* NULL: none are granted */
	uint32_t lease_s;           /* for how long each is granted */
	unsigned transports;        /* bits 1 << enum attest_transport that are answered */
	unsigned max_connections;
	bool rpc_tls;    /* RPC clients ask in clear first (rpc.h) */
	unsigned idle_s; /* a connection on which nothing moves for so long is reset; 0: never */
	const struct evidence_source *source;
};

/*
 * An SSL_CTX as this half needs it (TLS 1.3, the suites kTLS carries, no tickets, no
 * resumption but by a lease and with (EC)DHE, no early data) with a fresh P-256 key and a
 * self-signed certificate that live only in this process. NULL on failure.
 */
SSL_CTX *serve_tls_context(const char *common_name);

/* Lets connections of this context choose their transport, and use leases. */
void serve_answers(SSL_CTX *ctx);

/* Binds and listens. Descriptor or -errno. */
int serve_listen(const struct serve_config *c);

/* Accepts until *stop is non-zero (checked once a second). 0 or -errno. */
int serve_run(const struct serve_config *c, SSL_CTX *tls, int listener, const volatile int *stop);

enum { SERVE_EARLY_MAX = HTTP_HEAD_MAX };

/*
 * One connection's first half: TLS handshake and evidence, or a lease in its place. The connection
 * is ready to carry the application's bytes when it returns 0; those that came already are in
 * early, which has room for SERVE_EARLY_MAX. Public for the tests.
 */
int serve_attest(const struct serve_config *c, SSL *ssl, struct buf *early, const char **step);

#endif
