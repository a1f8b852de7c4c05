/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exporter values that tie an authenticator to one TLS connection (RFC 9261 section 5.1,
 * RFC 8446 section 7.5). Reads an established SSL object and changes nothing of it.
 */
#include <errno.h>
#include <string.h>
#include "attest/authenticator.h"
#include "attest/binding.h"
#include "core/secret.h"

/* In TLS 1.3 an absent context and an empty one export the same. */
static bool export(SSL *ssl, const char *label, const uint8_t *context, size_t context_n,
                   uint8_t *out, size_t n)
{
	return SSL_export_keying_material(ssl, out, n, label, strlen(label), context, context_n,
	                                  1) == 1;
}

int authenticator_keys_of(SSL *ssl, const uint8_t context[static 32],
                          struct authenticator_keys *out)
{
	struct authenticator_keys k = {0};
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	const EVP_MD *md = cipher ? SSL_CIPHER_get_handshake_digest(cipher) : NULL;
	const char *name = md ? EVP_MD_get_type(md) == NID_sha384      ? "SHA384"
	                           : EVP_MD_get_type(md) == NID_sha256 ? "SHA256"
	                                                               : NULL
	                      : NULL;

	if (!name || SSL_version(ssl) != TLS1_3_VERSION || !SSL_is_init_finished(ssl))
		return -EPROTO;
	memcpy(k.digest, name, strlen(name));
	k.hash_len = (uint8_t)EVP_MD_get_size(md);
	if (!export(ssl, AUTHENTICATOR_LABEL_SERVER_CONTEXT, NULL, 0, k.handshake_context,
	            k.hash_len) ||
	    !export(ssl, AUTHENTICATOR_LABEL_SERVER_KEY, NULL, 0, k.finished_key, k.hash_len) ||
	    !export(ssl, BINDING_EXPORTER_LABEL, context, 32, k.attestation,
	            sizeof(k.attestation))) {
		secret_wipe(&k, sizeof(k));
		return -EPROTO;
	}
	*out = k;
	secret_wipe(&k, sizeof(k));
	return 0;
}
