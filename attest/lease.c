/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporters of a lease, and what it becomes for the TLS library. One place for both ends: they
 * must derive alike.
 */
#include "attest/lease.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include "attest/pki.h"
#include "core/secret.h"

static bool export(SSL *ssl, const char *label, const uint8_t *context, uint8_t *out, size_t n)
{
	return SSL_export_keying_material(ssl, out, n, label, strlen(label), context, 32, 1) == 1;
}

int attest_lease_export(SSL *ssl, const uint8_t context[static 32], struct attest_lease *out)
{
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
	int n = md ? EVP_MD_get_size(md) : 0;

	secret_wipe(out, sizeof(*out));
	if (SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_init_finished(ssl) || n <= 0 ||
	    n > ATTEST_LEASE_PSK_MAX)
		return -EPROTO;
	if (!export(ssl, ATTEST_LEASE_LABEL_IDENTITY, context, out->identity,
	            sizeof(out->identity)) ||
	    !export(ssl, ATTEST_LEASE_LABEL_PSK, context, out->psk, (size_t)n)) {
		ERR_clear_error();
		secret_wipe(out, sizeof(*out));
		return -EPROTO;
	}
	out->suite = SSL_CIPHER_get_protocol_id(cipher);
	out->psk_len = (uint8_t)n;
	return 0;
}

SSL_SESSION *attest_lease_session(SSL *ssl, const struct attest_lease *lease)
{
	const uint8_t suite[2] = {(uint8_t)(lease->suite >> 8), (uint8_t)lease->suite};
	const SSL_CIPHER *cipher = SSL_CIPHER_find(ssl, suite);
	const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
	SSL_SESSION *s;

	/* A length that is not the hash's would be no error for OpenSSL. */
	if (!md || EVP_MD_get_size(md) != lease->psk_len)
		return NULL;
	s = SSL_SESSION_new();
	if (s && SSL_SESSION_set1_master_key(s, lease->psk, lease->psk_len) == 1 &&
	    SSL_SESSION_set_cipher(s, cipher) == 1 &&
	    SSL_SESSION_set_protocol_version(s, TLS1_3_VERSION) == 1)
		return s;
	SSL_SESSION_free(s);
	return NULL;
}

int attest_lease_by_key(const X509 *peer, struct attest_lease *out)
{
	secret_wipe(out, sizeof(*out));
	if (!peer || pki_spki_sha256(peer, out->psk)) {
		secret_wipe(out, sizeof(*out));
		return -EINVAL;
	}
	_Static_assert(sizeof(out->identity) == 32, "a SHA-256");
	memcpy(out->identity, out->psk, sizeof(out->identity));
	out->psk_len = sizeof(out->identity);
	return 0;
}

bool attest_lease_is_of(const struct attest_lease *lease, const X509 *peer)
{
	uint8_t hash[32];

	return lease->suite == 0 && lease->psk_len == sizeof(hash) && peer &&
	       !pki_spki_sha256(peer, hash) && !CRYPTO_memcmp(lease->psk, hash, sizeof(hash));
}
