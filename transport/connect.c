/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a destination, from connect() to the last byte of its evidence.
 *
 * What must hold when this returns, for another TLS implementation (the kernel's) to go on from
 * here:
 *
 *  - OpenSSL has read whole records and not a byte more: no read-ahead, a socket BIO, and no call
 *    to SSL_read once the evidence is complete.
 *  - Every record was shown to the caller, tickets included, so that its counts are exact.
 *  - The keys are those of the key log: a KeyUpdate would have replaced them, so it is refused.
 *
 * The peer's X.509 chain is not looked at (SSL_VERIFY_NONE): who the peer is follows from its
 * evidence and what that is bound to. OpenSSL still checks that the peer holds the leaf's key
 * (CertificateVerify) and the Finished.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include "core/secret.h"
#include "transport/internal.h"

enum { ALERT_MAX = 255, HANDSHAKE_KEY_UPDATE = 24 };

static const struct transport_hooks no_hooks;

uint64_t transport_now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static const struct transport_hooks *hooks_of(const struct conversation *c)
{
	return c->call->hooks ? c->call->hooks : &no_hooks;
}

/* ------------------------------------------------------------------- callbacks */

static void on_keylog(const SSL *ssl, const char *line)
{
	const struct conversation *c = SSL_get_app_data(ssl);
	const struct transport_hooks *h = hooks_of(c);

	if (h->keylog)
		h->keylog(h->ctx, line);
}

static void on_message(int sent, int version, int type, const void *buf, size_t n, SSL *ssl,
                       void *arg)
{
	struct conversation *c = arg;
	const struct transport_hooks *h = hooks_of(c);

	(void)version, (void)ssl;
	if (type == SSL3_RT_HEADER && h->record)
		h->record(h->ctx, sent);
	else if (type == SSL3_RT_HANDSHAKE && n && *(const uint8_t *)buf == HANDSHAKE_KEY_UPDATE)
		c->key_update = true;
}

SSL_CTX *transport_tls_context(const char *suites)
{
	char groups[] = "X25519:P-256"; /* the macro below casts const away */
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_read_ahead(ctx, 0);
	/* Else a peer that sends ticket after ticket keeps SSL_read from returning. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    (suites && SSL_CTX_set_ciphersuites(ctx, suites) != 1) ||
	    SSL_CTX_set1_groups_list(ctx, groups) != 1) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ------------------------------------------------------------------------ time */

static bool stopped(const struct transport_call *call)
{
	return call->stop && atomic_load(call->stop);
}

/* 0, -ETIMEDOUT or -ECANCELED. What is wrong with the socket shows at its next use. */
static int wait_for(const struct transport_call *call, short events)
{
	for (;;) {
		uint64_t now = transport_now_ms();
		struct pollfd p = {.fd = call->fd, .events = events};

		if (stopped(call))
			return -ECANCELED;
		if (now >= call->deadline_ms)
			return -ETIMEDOUT;

		uint64_t left = call->deadline_ms - now;
		int rc = poll(&p, 1, left < INT32_MAX ? (int)left : INT32_MAX);

		if (rc > 0)
			return stopped(call) ? -ECANCELED : 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
	}
}

/* --------------------------------------------------------------------- connect */

static int connect_failed(int err, struct failure *f)
{
	const char *code = err == ECONNREFUSED || err == ECONNRESET ? "connect.refused"
	                   : err == ETIMEDOUT                       ? "connect.timeout"
	                                                            : "connect.unreachable";

	failure_set(f, code, "%s", strerror(err));
	return -err;
}

static socklen_t address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET    ? sizeof(struct sockaddr_in)
	       : a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                  : 0;
}

/* A signal can't interrupt it: they are blocked in workers. */
static int dial(const struct conversation *c)
{
	const struct transport_call *call = c->call;
	const struct transport_hooks *h = hooks_of(c);
	const struct sockaddr_storage *to = &call->to->address;
	socklen_t len = address_len(to), err_len = sizeof(int);
	int err = 0, ret;

	if (!len)
		return connect_failed(EAFNOSUPPORT, c->f);
	if (!call->connected && connect(call->fd, (const struct sockaddr *)to, len)) {
		if (errno != EINPROGRESS)
			return connect_failed(errno, c->f);
		ret = wait_for(call, POLLOUT);
		if (ret)
			return connect_failed(-ret, c->f);
		if (getsockopt(call->fd, SOL_SOCKET, SO_ERROR, &err, &err_len) || err)
			return connect_failed(err ? err : errno, c->f);
	}
	return h->connected ? h->connected(h->ctx, call->fd, c->f) : 0;
}

/* ------------------------------------------------------------------- handshake */

static int timed_out(struct failure *f, const char *during, int ret)
{
	if (ret == -ETIMEDOUT)
		failure_set(f, "auth.timeout", "no time left %s", during);
	else
		failure_set(f, "session.resources", "waiting %s: %s", during, strerror(-ret));
	return ret;
}

/* The reason of the oldest error in OpenSSL's queue, or what the peer did without one. */
static int tls_failed(const struct conversation *c, const char *closed_code)
{
	unsigned long e = ERR_get_error();
	int reason = ERR_GET_REASON(e);
	const char *text = e ? ERR_reason_error_string(e) : NULL;
	bool alert = ERR_GET_LIB(e) == ERR_LIB_SSL && reason >= SSL_AD_REASON_OFFSET &&
	             reason <= SSL_AD_REASON_OFFSET + ALERT_MAX;

	ERR_clear_error();
	if (!e || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		failure_set(c->f, closed_code, "the peer ended the connection");
	else if (reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
		failure_set(c->f, "tls.alpn", "%s", text ? text : "");
	else
		failure_set(c->f, alert ? "tls.alert" : "tls.handshake", "%s",
		            text ? text : "unknown reason");
	return -EPROTO;
}

/* After a call to OpenSSL that did not do all: 0 to call again. */
static int again(const struct conversation *c, int rc, const char *during, const char *closed_code)
{
	int why = SSL_get_error(c->ssl, rc), ret;

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return tls_failed(c, closed_code);
	ret = wait_for(c->call, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
	return ret ? timed_out(c->f, during, ret) : 0;
}

static int start(struct conversation *c)
{
	char name[sizeof(c->call->to->server_name)];

	memcpy(name, c->call->to->server_name, sizeof(name));
	c->exchange->offer(c->call->to, &c->alpn);
	c->ssl = SSL_new(c->call->tls);
	/* That of ALPN answers 0 for success, unlike the others. */
	if (!c->ssl || SSL_set_app_data(c->ssl, c) != 1 || SSL_set_fd(c->ssl, c->call->fd) != 1 ||
	    c->alpn.bad ||
	    (c->alpn.n && SSL_set_alpn_protos(c->ssl, c->alpn.p, (unsigned)c->alpn.n) != 0) ||
	    (name[0] && SSL_set_tlsext_host_name(c->ssl, name) != 1)) {
		ERR_clear_error();
		failure_set(c->f, "session.resources", "the TLS library has no memory");
		return -ENOMEM;
	}
	SSL_set_msg_callback(c->ssl, on_message);
	SSL_set_msg_callback_arg(c->ssl, c);
	return lease_offer(c);
}

void exchange_offer(struct buf *alpn, const char *name)
{
	buf_u8(alpn, (uint8_t)strlen(name));
	buf_str(alpn, name);
}

/* One of those that were offered, or none where that will do. */
static bool selected_ok(const struct conversation *c)
{
	struct reader r = reader_of(buf_view(&c->alpn));
	const unsigned char *p;
	unsigned n;

	SSL_get0_alpn_selected(c->ssl, &p, &n);
	while (n && r.left)
		if (bytes_equal(rd_vec8(&r), (struct bytes){p, n}))
			return true;
	return !n && !c->exchange->must_select;
}

static int handshake(struct conversation *c)
{
	const struct transport_hooks *h = hooks_of(c);
	int rc, ret;

	while ((rc = SSL_connect(c->ssl)) != 1) {
		ret = again(c, rc, "in the TLS handshake", "tls.handshake");
		if (ret)
			return ret;
	}
	if (!selected_ok(c)) {
		failure_set(c->f, "tls.alpn",
		            "the peer did not select the protocol of transport %s",
		            attest_transport_name(c->call->to->transport));
		return -EPROTO;
	}
	ret = lease_taken(c);
	if (ret || !h->handshaken)
		return ret;
	return h->handshaken(h->ctx, SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->ssl)),
	                     c->f);
}

/* -------------------------------------------------------------- for transports */

int conversation_send(struct conversation *c, struct bytes v)
{
	int rc, ret;

	while ((rc = SSL_write(c->ssl, v.p, (int)v.n)) <= 0) {
		ret = again(c, rc, "sending the request for evidence", "auth.closed");
		if (ret)
			return ret;
	}
	return 0;
}

struct bytes conversation_message(const struct conversation *c)
{
	return (struct bytes){c->e->bytes.p + c->e->request_len, c->e->bytes.n - c->e->request_len};
}

int conversation_read(struct conversation *c)
{
	uint8_t chunk[TRANSPORT_CHUNK];
	int n = SSL_read(c->ssl, chunk, sizeof(chunk));

	if (c->key_update) {
		failure_set(c->f, "relay.key-update",
		            "the peer sent a KeyUpdate before the end of its evidence");
		return -EPROTO;
	}
	if (n <= 0)
		return again(c, n, "waiting for the evidence", "auth.closed");
	buf_put(&c->e->bytes, chunk, (size_t)n);
	if (!c->e->bytes.bad)
		return 0;
	failure_set(c->f, "session.resources", "no memory for the evidence");
	return -ENOMEM;
}

/* OpenSSL holds nothing of a next record: neither bytes of it nor its header. */
static bool at_record_boundary(SSL *ssl)
{
	return SSL_pending(ssl) == 0 && SSL_has_pending(ssl) == 0 &&
	       strcmp(SSL_rstate_string(ssl), "RH") == 0;
}

int conversation_end(struct conversation *c, size_t whole)
{
	size_t got = conversation_message(c).n;

	c->e->message_len = (uint32_t)whole;
	if (got == whole && at_record_boundary(c->ssl))
		return 0;
	failure_set(c->f, "handover.residue", "%zu bytes after the end of the evidence",
	            got - whole);
	return -EPROTO;
}

int conversation_leaf(struct conversation *c)
{
	X509 *leaf = SSL_get0_peer_certificate(c->ssl);
	uint8_t *der = NULL;
	int n = leaf ? i2d_X509(leaf, &der) : -1;
	bool ok = n > 0 && n <= TRANSPORT_LEAF_MAX;

	if (ok) {
		buf_put(&c->e->bytes, der, (size_t)n);
		c->e->leaf_len = (uint32_t)n;
	} else {
		failure_set(c->f, "auth.too-large", "a certificate of %d bytes", n);
	}
	OPENSSL_free(der);
	ERR_clear_error();
	if (ok && c->e->bytes.bad)
		failure_set(c->f, "session.resources", "no memory for the certificate");
	return !ok ? -EPROTO : c->e->bytes.bad ? -ENOMEM : 0;
}

/* ----------------------------------------------------------------------- whole */

static const struct exchange *const exchanges[TRANSPORT_MAX] = {
        [TRANSPORT_KEYGATE] = &exchange_keygate,
        [TRANSPORT_FLASHBOTS] = &exchange_flashbots,
        [TRANSPORT_ATLS] = &exchange_atls,
        [TRANSPORT_RA_TLS] = &exchange_ra_tls,
        [TRANSPORT_WELL_KNOWN] = &exchange_well_known,
};

/* Not a byte goes out, no close_notify, and the socket stays open: SSL_set_fd does not own it. */
static void let_go(SSL *ssl)
{
	if (!ssl)
		return;
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
	ERR_clear_error();
}

int transport_attest(const struct transport_call *call, struct transport_evidence *e,
                     struct failure *f)
{
	enum attest_transport t = call->to->transport;
	struct conversation c = {
	        .call = call, .e = e, .f = f, .alpn = buf_make(TRANSPORT_ALPN_MAX)};
	int ret;

	if ((unsigned)t >= TRANSPORT_MAX || !exchanges[t]) {
		failure_set(f, "session.resources", "no transport was asked for");
		return -EINVAL;
	}
	c.exchange = exchanges[t];
	if (call->take)
		secret_wipe(call->take, sizeof(*call->take));
	/* A record that reaches past the largest message must fit, to be told apart. */
	e->bytes = buf_make(AUTHENTICATOR_REQUEST_MAX + TRANSPORT_MESSAGE_MAX + TRANSPORT_CHUNK +
	                    TRANSPORT_LEAF_MAX);
	ERR_clear_error();
	ret = dial(&c);
	if (!ret)
		ret = start(&c);
	if (!ret)
		ret = handshake(&c);
	if (!ret && !e->resumed)
		ret = c.exchange->run(&c);
	let_go(c.ssl);
	buf_free(&c.alpn);
	return ret;
}

void transport_evidence_free(struct transport_evidence *e)
{
	buf_free(&e->bytes);
	secret_wipe(&e->keys, sizeof(e->keys));
	secret_wipe(e->exporter, sizeof(e->exporter));
}
