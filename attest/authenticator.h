/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS exported authenticators (RFC 9261) that carry evidence (draft-fossati-seat-expat): building
 * and parsing the request and the authenticator, over exporter values that the caller took from
 * its TLS library. Pure: knows no sockets and no TLS library state.
 *
 * The messages travel as the first application data of a connection whose ALPN is
 * AUTHENTICATOR_ALPN: the client sends the request, the server answers with the authenticator in
 * TLS records that hold nothing else, then the stream belongs to the application.
 */
#ifndef KEYGATE_ATTEST_AUTHENTICATOR_H
#define KEYGATE_ATTEST_AUTHENTICATOR_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "core/bytes.h"
#include "core/verdict.h"

#define AUTHENTICATOR_ALPN "keygate/1"

enum {
	AUTHENTICATOR_REQUEST_MAX = 1024,
	AUTHENTICATOR_MAX = 256 * 1024,
	AUTHENTICATOR_CONTEXT_LEN = 32,
	/* Private use until the draft's code point is assigned. */
	AUTHENTICATOR_EXT_CMW = 0xff57,
	AUTHENTICATOR_EXT_LEASE = 0xff58, /* likewise */
	AUTHENTICATOR_NAME_MAX = 253,
	AUTHENTICATOR_CHAIN_MAX = 8,
	/* A CertificateEntry's extensions have 16 bits of length; two headers come off. */
	AUTHENTICATOR_CMW_MAX = 65535 - 6,
};

/* RFC 9261 section 4: exporter labels; the values are as long as the suite's hash. */
#define AUTHENTICATOR_LABEL_SERVER_CONTEXT "EXPORTER-server authenticator handshake context"
#define AUTHENTICATOR_LABEL_SERVER_KEY     "EXPORTER-server authenticator finished key"

/* Everything that ties an authenticator to one TLS connection. */
struct authenticator_keys {
	char digest[16];  /* "SHA256" or "SHA384": the suite's hash */
	uint8_t hash_len; /* 32 or 48 */
	uint8_t handshake_context[48];
	uint8_t finished_key[48];
	uint8_t attestation[32]; /* TLS-Exporter("Attestation", context, 32) */
};

/*
 * The values of an established TLS 1.3 connection for this context, by its exporter. 0, or
 * -EPROTO when the connection is not TLS 1.3 with an exporter. The one place that touches a TLS
 * library's object: both ends of a connection must derive alike.
 */
int authenticator_keys_of(SSL *ssl, const uint8_t context[static 32],
                          struct authenticator_keys *out);

/*
 * ClientCertificateRequest (handshake type 17): context, signature_algorithms, server_name (if
 * name is not empty), an empty cmw_attestation extension and, for one who asks for a lease, an
 * empty lease extension (docs/leases.md). -EINVAL for a bad name, -ENOMEM.
 */
int authenticator_request_build(const uint8_t context[static 32], const char *name, bool lease,
                                struct buf *out);

struct authenticator_request {
	uint8_t context[32];
	char name[AUTHENTICATOR_NAME_MAX + 1]; /* empty when there was none */
	bool wants_evidence, wants_lease;
	bool p256, p384, ed25519; /* signature schemes offered */
};

/* Strict parse of a whole request message. 0 or -EINVAL. */
int authenticator_request_parse(struct bytes msg, struct authenticator_request *out);

/*
 * The server's half: Certificate (with cmw in the first entry) || CertificateVerify || Finished.
 * chain: DER certificates, leaf first; key: the leaf's private key (P-256, P-384 or Ed25519).
 */
int authenticator_build(const struct authenticator_keys *keys, struct bytes request,
                        const struct bytes *chain, size_t chain_n, EVP_PKEY *key, struct bytes cmw,
                        struct buf *out);

/*
 * The server's refusal (RFC 9261 section 5.2.3, empty authenticator): a Finished alone.
 */
int authenticator_decline(const struct authenticator_keys *keys, struct bytes request,
                          struct buf *out);

/*
 * How many bytes the authenticator that starts at msg takes, from its message headers alone: the
 * length through the Finished; 0 when more bytes are needed to tell; -EINVAL when this can't
 * become one (wrong type or order, over AUTHENTICATOR_MAX).
 */
int64_t authenticator_length(struct bytes msg);
/* The same for a request, on the server's side. */
int64_t authenticator_request_length(struct bytes msg);

struct authenticator {
	struct bytes cmw;  /* view into msg */
	struct bytes leaf; /* DER certificate, view into msg */
	struct bytes spki; /* DER SubjectPublicKeyInfo of the leaf, view into msg */
	uint8_t spki_sha256[32];
};

/*
 * Verifies one whole authenticator against the request that was sent. Appends the checks
 * auth.format, auth.declined (an empty authenticator), auth.context, auth.signature,
 * auth.finished, auth.evidence-present. *out is meaningful only if all passed. 0, or -ENOMEM.
 */
int authenticator_verify(const struct authenticator_keys *keys, struct bytes request,
                         struct bytes msg, struct authenticator *out, struct checks *checks);

#endif
