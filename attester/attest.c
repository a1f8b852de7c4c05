/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The first half of every connection: the ClientHello says which transport it is for, the handshake
 * follows, then that transport's exchange. All under one deadline. docs/wire.md has the bytes.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include "attester/answer.h"
#include "core/file.h"

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

int answering_write(struct answering *a, struct bytes v)
{
	while (v.n) {
		size_t n;
		int rc = SSL_write_ex(a->ssl, v.p, v.n, &n);

		if (rc == 1) {
			v.p += n;
			v.n -= n;
		} else {
			rc = tls_wait(a->ssl, rc, a->deadline);
			if (rc)
				return rc;
		}
	}
	return 0;
}

int answering_read(struct answering *a, size_t n, struct buf *out)
{
	uint8_t chunk[4096];
	size_t got;
	int rc = SSL_read_ex(a->ssl, chunk, n < sizeof(chunk) ? n : sizeof(chunk), &got);

	if (rc != 1)
		return tls_wait(a->ssl, rc, a->deadline);
	buf_put(out, chunk, got);
	return out->bad ? -ENOMEM : 0;
}

int answering_key(const struct answering *a, uint8_t **spki, size_t *n)
{
	int len = i2d_PUBKEY(SSL_get_privatekey(a->ssl), spki);

	*n = len > 0 ? (size_t)len : 0;
	return len > 0 ? 0 : -ENOMEM;
}

/* -------------------------------------------------------------------- evidence */

/* What is sent beside the evidence, file by file. */
struct staple {
	const char *path; /* NULL: none */
	size_t max;
	struct bytes *to; /* owned until staples_free */
};

static int staples_read(const struct staple *s, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && !rc; i++) {
		uint8_t *p = NULL;
		size_t len = 0;

		if (!s[i].path)
			continue;
		rc = file_read(s[i].path, s[i].max, &p, &len);
		if (!rc)
			*s[i].to = (struct bytes){p, len};
	}
	return rc;
}

static void staples_free(const struct staple *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free((void *)(uintptr_t)s[i].to->p);
}

/* Evidence, certificates, leaf, proof, bundle and statement as one collection. */
int answer_cmw(const struct serve_config *c, const uint8_t report_data[static 64], uint32_t lease_s,
               struct buf *out)
{
	struct cmw cmw = {.lease_s = lease_s};
	struct bytes extra = BYTES_NONE;
	const struct staple staples[] = {
	        {c->leaf, SERVE_LEAF_MAX, &cmw.leaf},
	        {c->proof, SERVE_PROOF_MAX, &cmw.proof},
	        {c->bundle, SERVE_BUNDLE_MAX, &cmw.bundle},
	        {c->statement, SERVE_STATEMENT_MAX, &cmw.statement},
	        {c->endorsement, EVIDENCE_ENDORSEMENTS_MAX, &extra},
	};
	const size_t n = sizeof(staples) / sizeof(staples[0]);
	struct evidence e;
	int rc;

	evidence_init(&e);
	rc = c->source->evidence(c->source->ctx, report_data, &e);
	if (rc == 0 && e.report.bad)
		rc = -ENOMEM;
	if (rc == 0)
		rc = staples_read(staples, n);
	if (rc)
		goto out;
	strncpy(cmw.evidence_type, attest_media_type(e.tee), sizeof(cmw.evidence_type) - 1);
	cmw.evidence = buf_view(&e.report);
	for (uint32_t i = 0; i < e.endorsements; i++)
		cmw.endorsements[cmw.endorsements_n++] = buf_view(&e.endorsement[i]);
	if (extra.n)
		cmw.endorsements[cmw.endorsements_n++] = extra;
	rc = cmw_build(&cmw, out);
out:
	staples_free(staples, n);
	evidence_free(&e);
	return rc;
}

/* ------------------------------------------------------------------ ClientHello */

bool protocol_offered(struct bytes protocols, const char *name, struct bytes *out)
{
	struct reader r = reader_of(protocols);

	while (r.left && !r.bad) {
		struct bytes p = rd_vec8(&r);

		if (!r.bad && bytes_equal(p, bytes_str(name))) {
			*out = p;
			return true;
		}
	}
	return false;
}

static const struct answer *const answers[TRANSPORT_MAX] = {
        [TRANSPORT_KEYGATE] = &answer_keygate,
        [TRANSPORT_FLASHBOTS] = &answer_flashbots,
        [TRANSPORT_ATLS] = &answer_atls,
        [TRANSPORT_RA_TLS] = &answer_ra_tls,
        [TRANSPORT_WELL_KNOWN] = &answer_well_known,
};

static struct bytes protocols_of(SSL *ssl)
{
	struct reader r = {0};
	const unsigned char *p;
	size_t n;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &p,
	                              &n))
		r = reader_of((struct bytes){p, n});
	return rd_vec16(&r);
}

/* RFC 6066 section 3; what is not of its form was left out, and the handshake fails of it. */
static void take_name(struct answering *a)
{
	struct reader r = {0}, list;
	struct bytes name;
	const unsigned char *p;
	size_t n;

	if (SSL_client_hello_get0_ext(a->ssl, TLSEXT_TYPE_server_name, &p, &n))
		r = reader_of((struct bytes){p, n});
	list = reader_of(rd_vec16(&r));
	a->name_n = 0;
	if (rd_u8(&list) != TLSEXT_NAMETYPE_host_name)
		return;
	name = rd_vec16(&list);
	if (!rd_done(&list) || !rd_done(&r) || name.n > sizeof(a->name))
		return;
	memcpy(a->name, name.p, name.n);
	a->name_n = name.n;
}

/* The first that is answered here and that the client's protocols are of; else the first that takes
 * anyone. */
static const struct answer *choose(struct answering *a, struct bytes protocols)
{
	struct bytes selected = BYTES_NONE;

	a->transport = TRANSPORT_NONE;
	for (int t = TRANSPORT_NONE + 1; t < TRANSPORT_MAX; t++) {
		if (!(a->config->transports & 1u << t))
			continue;
		if (a->transport == TRANSPORT_NONE && answers[t]->anyone)
			a->transport = (enum attest_transport)t;
		if (answers[t]->wants && answers[t]->wants(protocols, &selected)) {
			a->transport = (enum attest_transport)t;
			break;
		}
	}
	a->selected_n = selected.n;
	if (selected.n)
		memcpy(a->selected, selected.p, selected.n);
	return answers[a->transport];
}

static int on_client_hello(SSL *ssl, int *alert, void *arg)
{
	struct answering *a = SSL_get_app_data(ssl);
	const struct answer *answer = choose(a, protocols_of(ssl));

	(void)arg;
	take_name(a);
	*alert = SSL_AD_NO_APPLICATION_PROTOCOL;
	if (!answer)
		return SSL_CLIENT_HELLO_ERROR;
	*alert = SSL_AD_INTERNAL_ERROR;
	if (answer->certify && answer->certify(a))
		return SSL_CLIENT_HELLO_ERROR;
	return SSL_CLIENT_HELLO_SUCCESS;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                   const unsigned char *in, unsigned in_n, void *arg)
{
	const struct answering *a = SSL_get_app_data(ssl);

	(void)in, (void)in_n, (void)arg;
	*out = a->selected;
	*out_n = (unsigned char)a->selected_n;
	return a->selected_n ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_NOACK;
}

/*
 * In a handshake with (EC)DHE only: without SSL_OP_ALLOW_NO_DHE_KEX the TLS library asks for none
 * in another. An identity that is not known is answered with the certificate; one that is known has
 * to come with its PSK, or the handshake fails.
 */
static int on_psk(SSL *ssl, const unsigned char *identity, size_t n, SSL_SESSION **out)
{
	const struct answering *a = SSL_get_app_data(ssl);

	*out = NULL;
	if (a->transport == TRANSPORT_KEYGATE && a->config->leases)
		*out = lease_find(a->config->leases, ssl, (struct bytes){identity, n},
		                  (struct bytes){a->name, a->name_n}, lease_now());
	return 1;
}

void serve_answers(SSL_CTX *ctx)
{
	SSL_CTX_set_psk_find_session_callback(ctx, on_psk);
	SSL_CTX_set_client_hello_cb(ctx, on_client_hello, NULL);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
}

int serve_attest(const struct serve_config *c, SSL *ssl, struct buf *early, const char **step)
{
	struct answering a = {.config = c,
	                      .ssl = ssl,
	                      .deadline = now_ms() + SERVE_HANDSHAKE_MS,
	                      .step = "tls",
	                      .early = early};
	int rc;

	ERR_clear_error();
	rc = SSL_set_app_data(ssl, &a) == 1 ? tls_accept(ssl, a.deadline) : -ENOMEM;
	/* Leases are all that can be taken up again: there are no tickets and no cache. */
	if (rc == 0 && !SSL_session_reused(ssl)) {
		rc = answers[a.transport]->exchange(&a);
		if (rc)
			SSL_shutdown(ssl);
	}
	SSL_set_app_data(ssl, NULL);
	*step = a.step;
	return rc;
}
