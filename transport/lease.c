/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease in the handshake: offered as an external PSK, and looked at once it was taken. There is
 * no certificate then, so what the handshake must have been is checked here: the suite of the lease
 * and not just its hash, and an ephemeral key exchange, without which whoever learns the PSK later
 * could read what was recorded. That the peer holds the PSK the TLS library has seen by then.
 *
 * A lease by key is no part of the handshake: it is looked at when the library has seen that the
 * peer holds the key of its certificate.
 */
#include <errno.h>
#include <openssl/err.h>
#include "transport/internal.h"

/* Also called for a second ClientHello, then with the hash of the suite that the server chose. */
static int on_offer(SSL *ssl, const EVP_MD *md, const unsigned char **id, size_t *id_n,
                    SSL_SESSION **out)
{
	const struct conversation *c = SSL_get_app_data(ssl);
	const struct attest_lease *lease = c->call->offer;
	bool other = md && EVP_MD_get_size(md) != lease->psk_len;

	*id = lease->identity;
	*id_n = sizeof(lease->identity);
	*out = other ? NULL : attest_lease_session(ssl, lease);
	return other || *out;
}

int lease_offer(struct conversation *c)
{
	const struct transport_call *call = c->call;

	if (!call->offer && !call->take)
		return 0;
	if (call->to->transport == TRANSPORT_WELL_KNOWN)
		return 0;
	if (call->to->transport != TRANSPORT_KEYGATE) {
		failure_set(c->f, "session.resources", "transport %s knows no leases",
		            attest_transport_name(call->to->transport));
		return -EINVAL;
	}
	if (call->offer)
		SSL_set_psk_use_session_callback(c->ssl, on_offer);
	return 0;
}

/* One of those that transport_tls_context offers. */
static bool ephemeral(SSL *ssl)
{
	int group = (int)SSL_get_negotiated_group(ssl);

	return group == NID_X25519 || group == NID_X9_62_prime256v1;
}

static bool by_key(const struct conversation *c)
{
	return c->call->to->transport == TRANSPORT_WELL_KNOWN;
}

int lease_taken(struct conversation *c)
{
	const SSL_CIPHER *suite = SSL_get_current_cipher(c->ssl);

	if (!SSL_session_reused(c->ssl)) {
		c->e->resumed =
		        c->call->offer && by_key(c) &&
		        attest_lease_is_of(c->call->offer, SSL_get0_peer_certificate(c->ssl));
		return 0;
	}
	if (c->call->offer && SSL_CIPHER_get_protocol_id(suite) == c->call->offer->suite &&
	    ephemeral(c->ssl)) {
		c->e->resumed = true;
		return 0;
	}
	failure_set(c->f, "tls.lease", "the lease was taken with %s and group %ld",
	            SSL_CIPHER_get_name(suite), (long)SSL_get_negotiated_group(c->ssl));
	return -EPROTO;
}

int lease_take(struct conversation *c)
{
	struct attest_lease *take = c->call->take;
	int ret = 0;

	if (take && by_key(c))
		ret = attest_lease_by_key(SSL_get0_peer_certificate(c->ssl), take);
	else if (take)
		ret = attest_lease_export(c->ssl, c->call->to->context, take);
	if (ret)
		failure_set(c->f, "session.resources", "the TLS library gives no lease");
	return ret;
}
