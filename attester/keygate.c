/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate/1: authenticator request, evidence over this very connection, authenticator.
 */
#include <errno.h>
#include <string.h>
#include "attest/authenticator.h"
#include "attest/binding.h"
#include "attester/answer.h"
#include "core/secret.h"

/* Reads byte by byte what the message's own length asks for: what follows it is the app's. */
static int read_request(struct answering *a, struct buf *out)
{
	for (;;) {
		int64_t need = authenticator_request_length(buf_view(out));
		int rc;

		if (need < 0)
			return (int)need;
		if (need && (size_t)need == out->n)
			return 0;
		rc = answering_read(a, need ? (size_t)need - out->n : 1, out);
		if (rc)
			return rc;
	}
}

static bool name_is_ours(const struct serve_config *c, const char *name)
{
	for (size_t i = 0; i < c->names; i++)
		if (strcmp(c->name[i], name) == 0)
			return true;
	return c->names == 0;
}

/* Nothing of it is used before the client has read that it was granted. */
static int grant(struct answering *a, const struct authenticator_request *rq, uint32_t lease_s)
{
	int64_t now = lease_now();

	return lease_s ? lease_grant(a->config->leases, a->ssl, rq->context, bytes_str(rq->name),
	                             now + lease_s, now)
	               : 0;
}

/* Report data of this connection, the evidence over it, and the authenticator that carries it. */
static int make_authenticator(struct answering *a, struct bytes request, struct buf *out)
{
	SSL *ssl = a->ssl;
	struct authenticator_keys keys;
	struct authenticator_request rq;
	struct buf cmw = buf_make(AUTHENTICATOR_MAX);
	uint8_t *der = NULL, *spki = NULL, report_data[64];
	X509 *leaf = SSL_get_certificate(ssl);
	int der_n = i2d_X509(leaf, &der), spki_n = i2d_PUBKEY(SSL_get_privatekey(ssl), &spki), rc;
	uint32_t lease_s = 0;
	struct bytes chain = {der, der_n > 0 ? (size_t)der_n : 0};

	a->step = "request";
	rc = der_n > 0 && spki_n > 0 ? authenticator_request_parse(request, &rq) : -ENOMEM;
	if (rc == 0)
		rc = authenticator_keys_of(ssl, rq.context, &keys);
	if (rc)
		goto out;
	a->step = "evidence";
	if (!rq.wants_evidence || !name_is_ours(a->config, rq.name))
		rc = -EACCES;
	if (rc == 0)
		rc = attest_binding(BINDING_SERVER, (struct bytes){spki, (size_t)spki_n},
		                    keys.attestation, rq.context, bytes_str(rq.name), report_data);
	if (rc == 0 && rq.wants_lease && a->config->leases)
		lease_s = a->config->lease_s;
	if (rc == 0)
		rc = answer_cmw(a->config, report_data, lease_s, &cmw);
	if (rc == 0)
		rc = authenticator_build(&keys, request, &chain, 1, SSL_get_privatekey(ssl),
		                         buf_view(&cmw), out);
	if (rc == 0)
		rc = grant(a, &rq, lease_s);
	/* RFC 9261 section 6.1: an endpoint that can't or won't answer sends an empty one. */
	if (rc) {
		buf_reset(out);
		(void)authenticator_decline(&keys, request, out);
	}
out:
	secret_wipe(&keys, sizeof(keys));
	buf_free(&cmw);
	OPENSSL_free(der);
	OPENSSL_free(spki);
	return rc;
}

static int exchange(struct answering *a)
{
	struct buf request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	struct buf answer = buf_make(AUTHENTICATOR_MAX);
	int rc, sent;

	a->step = "request";
	rc = read_request(a, &request);
	if (rc)
		goto out;
	rc = make_authenticator(a, buf_view(&request), &answer);
	/* A decline is sent too, and then the connection ends. */
	sent = answer.n && !answer.bad ? answering_write(a, buf_view(&answer)) : -EPROTO;
	if (rc == 0 && sent) {
		a->step = "answer";
		rc = sent;
	}
out:
	buf_free(&request);
	buf_free(&answer);
	return rc;
}

static bool wants(struct bytes protocols, struct bytes *selected)
{
	return protocol_offered(protocols, AUTHENTICATOR_ALPN, selected);
}

const struct answer answer_keygate = {.wants = wants, .exchange = exchange};
