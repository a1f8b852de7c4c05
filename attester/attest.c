/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The destination's side of the connection binder: TLS handshake, authenticator request, evidence
 * over this very connection, authenticator. All under one deadline. docs/wire.md has the bytes.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "attest/authenticator.h"
#include "attest/binding.h"
#include "attest/cmw.h"
#include "attest/pki.h"
#include "attester/serve.h"
#include "core/file.h"
#include "core/secret.h"

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* After an SSL call returned rc <= 0: waits for what it wants. 0 to call again. */
static int tls_wait(SSL *ssl, int rc, int64_t deadline)
{
	struct pollfd p = {.fd = SSL_get_fd(ssl)};
	int64_t left = deadline - now_ms();

	switch (SSL_get_error(ssl, rc)) {
	case SSL_ERROR_WANT_READ:
		p.events = POLLIN;
		break;
	case SSL_ERROR_WANT_WRITE:
		p.events = POLLOUT;
		break;
	case SSL_ERROR_ZERO_RETURN:
		return -EPIPE;
	default:
		return -EPROTO;
	}
	if (left <= 0 || poll(&p, 1, (int)left) == 0)
		return -ETIMEDOUT;
	return 0;
}

static int tls_accept(SSL *ssl, int64_t deadline)
{
	int rc;

	while ((rc = SSL_accept(ssl)) != 1) {
		int err = tls_wait(ssl, rc, deadline);

		if (err)
			return err;
	}
	return 0;
}

/* Reads byte by byte what the message's own length asks for: what follows it is the app's. */
static int read_request(SSL *ssl, int64_t deadline, struct buf *out)
{
	uint8_t chunk[AUTHENTICATOR_REQUEST_MAX];

	for (;;) {
		int64_t need = authenticator_request_length(buf_view(out));
		size_t want, n;
		int rc;

		if (need < 0)
			return (int)need;
		if (need && (size_t)need == out->n)
			return out->bad ? -ENOMEM : 0;
		want = need ? (size_t)need - out->n : 1;
		rc = SSL_read_ex(ssl, chunk, want < sizeof(chunk) ? want : sizeof(chunk), &n);
		if (rc == 1)
			buf_put(out, chunk, n);
		else
			rc = tls_wait(ssl, rc, deadline);
		if (rc < 0 || out->bad)
			return rc < 0 ? rc : -ENOMEM;
	}
}

static int write_all(SSL *ssl, int64_t deadline, struct bytes v)
{
	while (v.n) {
		size_t n;
		int rc = SSL_write_ex(ssl, v.p, v.n, &n);

		if (rc == 1) {
			v.p += n;
			v.n -= n;
		} else {
			rc = tls_wait(ssl, rc, deadline);
			if (rc)
				return rc;
		}
	}
	return 0;
}

static bool name_is_ours(const struct serve_config *c, const char *name)
{
	for (size_t i = 0; i < c->names; i++)
		if (strcmp(c->name[i], name) == 0)
			return true;
	return c->names == 0;
}

static int read_optional(const char *path, size_t max, uint8_t **out, size_t *n)
{
	return path ? file_read(path, max, out, n) : 0;
}

/* Evidence, certificates, leaf and proof as one collection. */
static int make_cmw(const struct serve_config *c, const uint8_t report_data[static 64],
                    struct buf *out)
{
	struct evidence e;
	uint8_t *leaf = NULL, *proof = NULL, *extra = NULL;
	size_t leaf_n = 0, proof_n = 0, extra_n = 0;
	struct cmw cmw = {0};
	int rc;

	evidence_init(&e);
	rc = c->source->evidence(c->source->ctx, report_data, &e);
	if (rc == 0 && e.report.bad)
		rc = -ENOMEM;
	if (rc == 0)
		rc = read_optional(c->leaf, SERVE_LEAF_MAX, &leaf, &leaf_n);
	if (rc == 0)
		rc = read_optional(c->proof, SERVE_PROOF_MAX, &proof, &proof_n);
	if (rc == 0)
		rc = read_optional(c->endorsement, EVIDENCE_ENDORSEMENTS_MAX, &extra, &extra_n);
	if (rc)
		goto out;
	strncpy(cmw.evidence_type, attest_media_type(e.tee), sizeof(cmw.evidence_type) - 1);
	cmw.evidence = buf_view(&e.report);
	for (uint32_t i = 0; i < e.endorsements; i++)
		cmw.endorsements[cmw.endorsements_n++] = buf_view(&e.endorsement[i]);
	if (extra_n)
		cmw.endorsements[cmw.endorsements_n++] = (struct bytes){extra, extra_n};
	cmw.leaf = (struct bytes){leaf, leaf_n};
	cmw.proof = (struct bytes){proof, proof_n};
	rc = cmw_build(&cmw, out);
out:
	free(leaf);
	free(proof);
	free(extra);
	evidence_free(&e);
	return rc;
}

/* Report data of this connection, the evidence over it, and the authenticator that carries it. */
static int make_authenticator(const struct serve_config *c, SSL *ssl, struct bytes request,
                              struct buf *out, const char **step)
{
	struct authenticator_keys keys;
	struct authenticator_request rq;
	struct buf cmw = buf_make(AUTHENTICATOR_MAX);
	uint8_t *der = NULL, *spki = NULL, report_data[64];
	X509 *leaf = SSL_get_certificate(ssl);
	int der_n = i2d_X509(leaf, &der), spki_n = i2d_PUBKEY(SSL_get_privatekey(ssl), &spki), rc;
	struct bytes chain = {der, der_n > 0 ? (size_t)der_n : 0};

	*step = "request";
	rc = der_n > 0 && spki_n > 0 ? authenticator_request_parse(request, &rq) : -ENOMEM;
	if (rc == 0)
		rc = authenticator_keys_of(ssl, rq.context, &keys);
	if (rc)
		goto out;
	*step = "evidence";
	if (!rq.wants_evidence || !name_is_ours(c, rq.name))
		rc = -EACCES;
	if (rc == 0)
		rc = attest_binding(BINDING_SERVER, (struct bytes){spki, (size_t)spki_n},
		                    keys.attestation, rq.context, bytes_str(rq.name), report_data);
	if (rc == 0)
		rc = make_cmw(c, report_data, &cmw);
	if (rc == 0)
		rc = authenticator_build(&keys, request, &chain, 1, SSL_get_privatekey(ssl),
		                         buf_view(&cmw), out);
	/* RFC 9261 section 6.1: an endpoint that can't or won't answer sends an empty one. */
	if (rc)
		(void)authenticator_decline(&keys, request, out);
out:
	secret_wipe(&keys, sizeof(keys));
	buf_free(&cmw);
	OPENSSL_free(der);
	OPENSSL_free(spki);
	return rc;
}

int serve_attest(const struct serve_config *c, SSL *ssl, const char **step)
{
	int64_t deadline = now_ms() + SERVE_HANDSHAKE_MS;
	struct buf request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	struct buf answer = buf_make(AUTHENTICATOR_MAX);
	int rc, sent;

	ERR_clear_error();
	*step = "tls";
	rc = tls_accept(ssl, deadline);
	if (rc)
		goto out;
	*step = "request";
	rc = read_request(ssl, deadline, &request);
	if (rc)
		goto out;
	rc = make_authenticator(c, ssl, buf_view(&request), &answer, step);
	/* A decline is sent too, and then the connection ends. */
	sent = answer.n && !answer.bad ? write_all(ssl, deadline, buf_view(&answer)) : -EPROTO;
	if (rc == 0 && sent) {
		*step = "answer";
		rc = sent;
	}
	if (rc)
		SSL_shutdown(ssl);
out:
	buf_free(&request);
	buf_free(&answer);
	return rc;
}
