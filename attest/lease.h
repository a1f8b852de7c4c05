/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease's secret: what both ends of an attested keygate/1 connection export from it, so that
 * later ones need no evidence (docs/leases.md). Each later connection is a TLS 1.3 handshake with
 * this as an external PSK and (EC)DHE. Changes nothing of the connection; knows no sockets, clock
 * or table.
 *
 *   identity = TLS-Exporter("EXPORTER-keygate lease identity", context, 32)
 *   psk      = TLS-Exporter("EXPORTER-keygate lease psk", context, Hash.length)
 *
 * context is that of the request, which asked for a lease; Hash is the suite's. Whether the server
 * granted it, and for how long, stands in its collection (lease_s of attest/cmw.h).
 *
 * Where the server knows nothing of leases there is a weaker kind, by its key: the SHA-256 of the
 * SubjectPublicKeyInfo that it showed in the attested handshake, and has to show in each later one.
 * Nothing of it is secret; it is of this form so that it goes the same way.
 */
#ifndef KEYGATE_ATTEST_LEASE_H
#define KEYGATE_ATTEST_LEASE_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/ssl.h>

#define ATTEST_LEASE_LABEL_IDENTITY "EXPORTER-keygate lease identity"
#define ATTEST_LEASE_LABEL_PSK      "EXPORTER-keygate lease psk"

enum { ATTEST_LEASE_IDENTITY_LEN = 32, ATTEST_LEASE_PSK_MAX = 48 };

/* Of secret memory alone (core/secret.h), never of a stack or a heap. All zero: none. */
struct attest_lease {
	uint16_t suite; /* TLS's number of the suite; the only one that it is good for. 0: by key */
	uint8_t psk_len; /* 32 or 48: the length of the suite's hash */
	uint8_t identity[ATTEST_LEASE_IDENTITY_LEN];
	uint8_t psk[ATTEST_LEASE_PSK_MAX]; /* zero behind psk_len */
	/* By key: identity and psk are both the hash, and psk_len is 32. */
};

/*
 * What this established connection exports for the context of its request. 0, or -EPROTO when it
 * is no TLS 1.3 connection with an exporter; *out is wiped then. Both ends derive alike.
 */
int attest_lease_export(SSL *ssl, const uint8_t context[static 32], struct attest_lease *out);

/*
 * It as a PSK for OpenSSL's callbacks, for the handshake of ssl: TLS 1.3 only, this suite's hash
 * only, no early data. OpenSSL keeps a copy in memory of its own, which it wipes with the session.
 * NULL: out of memory, or no lease. The caller's to free, or OpenSSL's once a callback returned it.
 */
SSL_SESSION *attest_lease_session(SSL *ssl, const struct attest_lease *lease);

/* By the key of this certificate. 0, or -EINVAL when it has none that can be read; *out is wiped
 * then. */
int attest_lease_by_key(const X509 *peer, struct attest_lease *out);
/* Is it by this certificate's key? That the peer holds the key is for the handshake to show. */
bool attest_lease_is_of(const struct attest_lease *lease, const X509 *peer);

#endif
