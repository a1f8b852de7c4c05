/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection to a destination, from connect() to the last byte of its authenticator. Blocking,
 * with one deadline for all of it. Knows nothing of sessions, gate or the application.
 *
 * What must hold when this returns, for the kernel to go on from here:
 *
 *  - The kernel's TLS was attached right after connect(): later it fails once the peer has sent
 *    its FIN. Without keys it passes everything through, so nothing may be written to the socket
 *    between here and the release.
 *  - OpenSSL has read whole records and not a byte more: no read-ahead, a socket BIO, and no call
 *    to SSL_read once the authenticator is complete.
 *  - The record counts are exact. They begin where the application keys begin, which is when the
 *    key log names them, and count one per record header, tickets included.
 *  - The keys are those of the key log: a KeyUpdate would have replaced them, so it is refused.
 *
 * The peer's X.509 chain is not looked at (SSL_VERIFY_NONE): who the peer is follows from its
 * evidence, which is bound to this connection's exporter and to the leaf's key. OpenSSL still
 * checks that the peer holds that key (CertificateVerify) and the Finished.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <openssl/err.h>
#include "core/secret.h"
#include "daemon/relay.h"

enum { READ_CHUNK = 16384, ALERT_MAX = 255, HANDSHAKE_CERTIFICATE = 11, HANDSHAKE_KEY_UPDATE = 24 };

/* One connection's state, reached from OpenSSL's callbacks by SSL_get_app_data. */
struct conversation {
	const struct relay_upstream *u;
	struct keyring_secrets *secrets;
	struct relay_failure *f;
	SSL *ssl;
	bool bad_keylog, key_update;
};

/* ------------------------------------------------------------------- callbacks */

static void on_keylog(const SSL *ssl, const char *line)
{
	struct conversation *c = SSL_get_app_data(ssl);

	if (keyring_keylog(c->secrets, line))
		c->bad_keylog = true;
}

static void on_message(int sent, int version, int type, const void *buf, size_t n, SSL *ssl,
                       void *arg)
{
	struct conversation *c = arg;
	struct keyring_secrets *s = c->secrets;

	(void)version, (void)ssl;
	if (type == SSL3_RT_HEADER && sent)
		s->tx_records += s->have_client;
	else if (type == SSL3_RT_HEADER)
		s->rx_records += s->have_server;
	else if (type == SSL3_RT_HANDSHAKE && n && *(const uint8_t *)buf == HANDSHAKE_KEY_UPDATE)
		c->key_update = true;
}

SSL_CTX *relay_tls_context(void)
{
	static const uint8_t alpn[] = "\x09" AUTHENTICATOR_ALPN;
	char groups[] = "X25519:P-256"; /* the macros below cast const away */
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

	_Static_assert(sizeof(AUTHENTICATOR_ALPN) - 1 == 9, "the length before the name");
	if (!ctx)
		return NULL;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
	SSL_CTX_set_read_ahead(ctx, 0);
	/* Else a peer that sends ticket after ticket keeps SSL_read from returning. */
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_keylog_callback(ctx, on_keylog);
	/* The last of these answers 0 for success, unlike the others. */
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, KEYRING_SUITES) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, groups) != 1 ||
	    SSL_CTX_set_alpn_protos(ctx, alpn, sizeof(alpn) - 1) != 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	return ctx;
}

/* ------------------------------------------------------------------------ time */

/* 0, -ETIMEDOUT or -ECANCELED. What is wrong with the socket shows at its next use. */
static int wait_for(const struct relay_upstream *u, short events)
{
	for (;;) {
		uint64_t now = relay_now_ms();
		struct pollfd p = {.fd = u->fd, .events = events};

		if (atomic_load(u->stop))
			return -ECANCELED;
		if (now >= u->deadline_ms)
			return -ETIMEDOUT;

		uint64_t left = u->deadline_ms - now;
		int rc = poll(&p, 1, left < INT32_MAX ? (int)left : INT32_MAX);

		if (rc > 0)
			return atomic_load(u->stop) ? -ECANCELED : 0;
		if (rc < 0 && errno != EINTR)
			return -errno;
	}
}

/* --------------------------------------------------------------------- connect */

static int connect_failed(int err, struct relay_failure *f)
{
	const char *code = err == ECONNREFUSED || err == ECONNRESET ? "connect.refused"
	                   : err == ETIMEDOUT                       ? "connect.timeout"
	                                                            : "connect.unreachable";

	relay_fail(f, code, "%s", strerror(err));
	return -err;
}

static socklen_t address_len(const struct sockaddr_storage *a)
{
	return a->ss_family == AF_INET    ? sizeof(struct sockaddr_in)
	       : a->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
	                                  : 0;
}

/* A signal can't interrupt it: they are blocked in workers. */
static int dial(const struct relay_upstream *u, struct relay_failure *f)
{
	const struct sockaddr_storage *to = &u->to->dst;
	socklen_t len = address_len(to), err_len = sizeof(int);
	int err = 0, ret;

	if (!len)
		return connect_failed(EAFNOSUPPORT, f);
	if (connect(u->fd, (const struct sockaddr *)to, len)) {
		if (errno != EINPROGRESS)
			return connect_failed(errno, f);
		ret = wait_for(u, POLLOUT);
		if (ret)
			return connect_failed(-ret, f);
		if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &err, &err_len) || err)
			return connect_failed(err ? err : errno, f);
	}
	ret = keyring_attach(u->fd);
	if (ret)
		relay_fail(f, "release.ktls", "attaching TLS to the socket: %s", strerror(-ret));
	return ret;
}

/* ------------------------------------------------------------------- handshake */

static int timed_out(struct relay_failure *f, const char *during, int ret)
{
	if (ret == -ETIMEDOUT)
		relay_fail(f, "auth.timeout", "no time left %s", during);
	else
		relay_fail(f, "session.resources", "waiting %s: %s", during, strerror(-ret));
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
		relay_fail(c->f, closed_code, "the peer ended the connection");
	else if (reason == SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL)
		relay_fail(c->f, "tls.alpn", "%s", text ? text : "");
	else
		relay_fail(c->f, alert ? "tls.alert" : "tls.handshake", "%s",
		           text ? text : "unknown reason");
	return -EPROTO;
}

/* After a call to OpenSSL that did not do all: 0 to call again. */
static int again(const struct conversation *c, int rc, const char *during, const char *closed_code)
{
	int why = SSL_get_error(c->ssl, rc), ret;

	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		return tls_failed(c, closed_code);
	ret = wait_for(c->u, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT);
	return ret ? timed_out(c->f, during, ret) : 0;
}

static int start(struct conversation *c)
{
	char name[sizeof(c->u->to->server_name)];

	memcpy(name, c->u->to->server_name, sizeof(name));
	c->ssl = SSL_new(c->u->tls);
	if (!c->ssl || SSL_set_app_data(c->ssl, c) != 1 || SSL_set_fd(c->ssl, c->u->fd) != 1 ||
	    (name[0] && SSL_set_tlsext_host_name(c->ssl, name) != 1)) {
		ERR_clear_error();
		relay_fail(c->f, "session.resources", "the TLS library has no memory");
		return -ENOMEM;
	}
	SSL_set_msg_callback(c->ssl, on_message);
	SSL_set_msg_callback_arg(c->ssl, c);
	return 0;
}

static int handshake(struct conversation *c)
{
	const unsigned char *alpn;
	unsigned alpn_n;
	int rc, ret;

	while ((rc = SSL_connect(c->ssl)) != 1) {
		ret = again(c, rc, "in the TLS handshake", "tls.handshake");
		if (ret)
			return ret;
	}
	SSL_get0_alpn_selected(c->ssl, &alpn, &alpn_n);
	if (!bytes_equal((struct bytes){alpn, alpn_n}, bytes_str(AUTHENTICATOR_ALPN))) {
		relay_fail(c->f, "tls.alpn", "the peer did not select " AUTHENTICATOR_ALPN);
		return -EPROTO;
	}
	c->secrets->suite = SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(c->ssl));
	if (c->bad_keylog || !c->secrets->have_client || !c->secrets->have_server) {
		relay_fail(c->f, "release.secrets", "the handshake left no traffic secrets");
		return -EPROTO;
	}
	return 0;
}

/* --------------------------------------------------------------- authenticator */

static int ask(struct conversation *c, struct relay_evidence *e)
{
	int rc, ret = authenticator_request_build(c->u->to->context, c->u->to->server_name,
	                                          &e->bytes);

	if (!ret)
		ret = authenticator_keys_of(c->ssl, c->u->to->context, &e->keys);
	if (ret || e->bytes.bad) {
		relay_fail(c->f, "session.resources", "no request for evidence could be made");
		return ret ? ret : -ENOMEM;
	}
	e->request_len = (uint32_t)e->bytes.n;
	while ((rc = SSL_write(c->ssl, e->bytes.p, (int)e->request_len)) <= 0) {
		ret = again(c, rc, "sending the request for evidence", "auth.closed");
		if (ret)
			return ret;
	}
	return 0;
}

static struct bytes answer(const struct relay_evidence *e)
{
	return (struct bytes){e->bytes.p + e->request_len, e->bytes.n - e->request_len};
}

/* Told apart for the administrator only; both are refused. */
static int misshapen(struct bytes got, struct relay_failure *f)
{
	struct reader r = reader_of(got);

	if (rd_u8(&r) == HANDSHAKE_CERTIFICATE && rd_be24(&r) > AUTHENTICATOR_MAX - 4)
		relay_fail(f, "auth.too-large", "more than %d bytes announced", AUTHENTICATOR_MAX);
	else
		relay_fail(f, "auth.format", "what came begins like no authenticator");
	return -EPROTO;
}

/* One SSL_read, at most one record. */
static int read_some(struct conversation *c, struct relay_evidence *e)
{
	uint8_t chunk[READ_CHUNK];
	int n = SSL_read(c->ssl, chunk, sizeof(chunk));

	if (c->key_update) {
		relay_fail(c->f, "relay.key-update",
		           "the peer sent a KeyUpdate before the end "
		           "of its authenticator");
		return -EPROTO;
	}
	if (n <= 0)
		return again(c, n, "waiting for the authenticator", "auth.closed");
	buf_put(&e->bytes, chunk, (size_t)n);
	if (!e->bytes.bad)
		return 0;
	relay_fail(c->f, "session.resources", "no memory for the authenticator");
	return -ENOMEM;
}

/* OpenSSL holds nothing of a next record: neither bytes of it nor its header. */
static bool at_record_boundary(SSL *ssl)
{
	return SSL_pending(ssl) == 0 && SSL_has_pending(ssl) == 0 &&
	       strcmp(SSL_rstate_string(ssl), "RH") == 0;
}

static int receive(struct conversation *c, struct relay_evidence *e)
{
	for (;;) {
		int ret = read_some(c, e);

		if (ret)
			return ret;

		struct bytes got = answer(e);
		int64_t whole = got.n ? authenticator_length(got) : 0;

		if (whole < 0)
			return misshapen(got, c->f);
		if (whole == 0 || got.n < (size_t)whole)
			continue;
		if (got.n > (size_t)whole || !at_record_boundary(c->ssl)) {
			relay_fail(c->f, "handover.residue",
			           "%zu bytes after the authenticator's end",
			           got.n - (size_t)whole);
			return -EPROTO;
		}
		return 0;
	}
}

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

int relay_tls_attest(const struct relay_upstream *u, struct relay_evidence *e,
                     struct relay_failure *f)
{
	struct conversation c = {.u = u, .secrets = e->secrets, .f = f};
	int ret;

	/* A record that reaches past the largest authenticator must fit, to be told apart. */
	e->bytes = buf_make(AUTHENTICATOR_REQUEST_MAX + AUTHENTICATOR_MAX + READ_CHUNK);
	ERR_clear_error();
	ret = dial(u, f);
	if (!ret)
		ret = start(&c);
	if (!ret)
		ret = handshake(&c);
	if (!ret)
		ret = ask(&c, e);
	if (!ret)
		ret = receive(&c, e);
	let_go(c.ssl);
	return ret;
}
