/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both ends of attested connections, over loopback: keygate-attester's half on simulated platforms,
 * transport/'s half as keygated and keygate use it, and the appraisal of what came.
 */
#ifndef KEYGATE_TESTS_ENDS_LAB_H
#define KEYGATE_TESTS_ENDS_LAB_H

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <cmocka.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include "attest/attest.h"
#include "attest/pki.h"
#include "attest/transport.h"
#include "attester/serve.h"
#include "attester/sim_snp.h"
#include "core/file.h"
#include "transport/transport.h"

/* A simulated machine. All of a lab are of one vendor: they share a root. */
struct machine {
	char dir[128];
	struct evidence_source source;
};

static struct {
	char base[64];
	uint8_t *anchor, *chain;
	size_t anchor_n, chain_n;
	struct machine first;
} lab;

static inline const char *lab_path(const char *name)
{
	static char path[4][256];
	static unsigned turn;
	char *p = path[turn++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", lab.base, name);
	return p;
}

static inline int lab_start(void **state)
{
	const char *step;

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	strcpy(lab.base, "/tmp/keygate-test.XXXXXX");
	assert_non_null(mkdtemp(lab.base));
	assert_int_equal(evidence_sim_init(lab_path("tee"), TEE_SNP, time(NULL), &step), 0);
	assert_int_equal(file_write_atomic(lab_path("code"), bytes_str("the code"), 0600), 0);
	assert_int_equal(
	        evidence_sim_open(lab_path("tee"), lab_path("code"), &lab.first.source, &step), 0);
	assert_int_equal(file_read(lab_path("tee/chain.pem"), 65536, &lab.chain, &lab.chain_n), 0);
	return file_read(lab_path("tee/" SIM_ARK_CERT), 65536, &lab.anchor, &lab.anchor_n);
}

static inline int lab_stop(void **state)
{
	char cmd[128];

	(void)state;
	evidence_sim_close(&lab.first.source);
	free(lab.anchor);
	free(lab.chain);
	snprintf(cmd, sizeof(cmd), "rm -r %s", lab.base);
	return system(cmd);
}

static inline int lab_listen(struct sockaddr_storage *at)
{
	struct sockaddr_in *sin = (struct sockaddr_in *)at;
	socklen_t len = sizeof(*sin);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(at, 0, sizeof(*at));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)at, len), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)at, &len), 0);
	return fd;
}

/* -------------------------------------------------------------------- a server */

struct server {
	SSL_CTX *tls;
	/* Of well-known: knows the second version of the document alone, as older servers do. */
	bool old_document;
	/* What it does instead of what it should, from the handshake on. 0 or -errno. */
	int (*hostile)(struct server *s, SSL *ssl);
	struct serve_config config;
	struct sockaddr_storage at;
	int listener;
	pthread_t thread;
	/* Of its one connection. */
	int rc;
	const char *step;
	const char *greeting; /* what the service says first */
	char heard[64];       /* and what it hears, until the client has ended */
};

/* A server's handshake that leaves ALPN alone, with the key of this context. */
static inline SSL *lab_plain_tls(SSL_CTX *of, int fd)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	SSL *ssl;

	SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
	SSL_CTX_set_num_tickets(tls, 0);
	assert_int_equal(SSL_CTX_use_certificate(tls, SSL_CTX_get0_certificate(of)), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, SSL_CTX_get0_privatekey(of)), 1);
	ssl = SSL_new(tls);
	SSL_set_fd(ssl, fd);
	SSL_CTX_free(tls);
	return ssl;
}

/* Until the end of its head. */
static inline int lab_read_request(SSL *ssl, char *out, size_t cap)
{
	size_t at = 0;

	do {
		int n = SSL_read(ssl, out + at, (int)(cap - 1 - at));

		if (n <= 0)
			return -EPIPE;
		at += (size_t)n;
		out[at] = '\0';
	} while (!strstr(out, "\r\n\r\n"));
	return 0;
}

/* A document with evidence over this key and nonce; none: the second version. */
static inline void lab_document(const struct evidence_source *source, const uint8_t key[static 32],
                                struct bytes nonce, struct buf *out)
{
	struct evidence e;
	struct bytes chain;
	uint8_t data[64];

	evidence_init(&e);
	assert_int_equal(wellknown_binding(key, nonce, data), 0);
	assert_int_equal(source->evidence(source->ctx, data, &e), 0);
	chain = buf_view(&e.endorsement[0]);
	assert_int_equal(wellknown_build(key, nonce, e.tee, buf_view(&e.report), &chain,
	                                 e.endorsements, out),
	                 0);
	evidence_free(&e);
}

static inline int lab_serve_old(struct server *s, SSL *ssl)
{
	struct buf document = buf_make(1 << 18), answer = buf_make(1 << 18);
	char request[2048];
	uint8_t key[32];
	int rc = SSL_accept(ssl) == 1 ? lab_read_request(ssl, request, sizeof(request)) : -EPROTO;

	assert_int_equal(pki_spki_sha256(SSL_get_certificate(ssl), key), 0);
	lab_document(s->config.source, key, BYTES_NONE, &document);
	buf_printf(&answer,
	           "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
	           "\r\n",
	           document.n);
	buf_bytes(&answer, buf_view(&document));
	if (rc == 0 && SSL_write(ssl, answer.p, (int)answer.n) != (int)answer.n)
		rc = -EPIPE;
	buf_free(&document);
	buf_free(&answer);
	return rc;
}

static inline void *lab_serve(void *arg)
{
	struct server *s = arg;
	int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC), n = 0;
	struct buf early = buf_make(SERVE_EARLY_MAX);
	SSL *ssl;

	if (s->old_document) {
		ssl = lab_plain_tls(s->tls, fd);
		s->rc = lab_serve_old(s, ssl);
	} else {
		ssl = SSL_new(s->tls);
		SSL_set_fd(ssl, fd);
		s->rc = s->hostile ? s->hostile(s, ssl)
		                   : serve_attest(&s->config, ssl, &early, &s->step);
	}
	assert_int_equal(early.n, 0);
	buf_free(&early);
	if (s->rc == 0 && s->greeting)
		SSL_write(ssl, s->greeting, (int)strlen(s->greeting));
	if (s->rc == 0)
		n = SSL_read(ssl, s->heard, sizeof(s->heard) - 1);
	s->heard[n > 0 ? n : 0] = '\0';
	SSL_free(ssl);
	close(fd);
	return NULL;
}

static inline void server_start(struct server *s, unsigned transports)
{
	s->config.transports = transports;
	if (!s->config.source)
		s->config.source = &lab.first.source;
	if (!s->tls)
		s->tls = serve_tls_context("service.test");
	assert_non_null(s->tls);
	s->listener = lab_listen(&s->at);
	assert_int_equal(pthread_create(&s->thread, NULL, lab_serve, s), 0);
}

static inline void server_join(struct server *s)
{
	if (s->thread)
		pthread_join(s->thread, NULL);
	s->thread = 0;
}

static inline void server_end(struct server *s)
{
	server_join(s);
	close(s->listener);
	SSL_CTX_free(s->tls);
}

/* -------------------------------------------------------------------- a client */

struct client {
	SSL_CTX *tls;
	int fd, rc;
	struct transport_target to;
	const struct attest_lease *offer; /* NULL: none */
	struct attest_lease *take;        /* NULL: not asked for */
	struct transport_evidence e;
	struct failure why;
};

static inline void client_start(struct client *c, enum attest_transport t,
                                const struct sockaddr_storage *at)
{
	memset(c, 0, sizeof(*c));
	c->tls = transport_tls_context(NULL);
	assert_non_null(c->tls);
	c->to.transport = t;
	c->to.address = *at;
	strcpy(c->to.server_name, "service.test");
	RAND_bytes(c->to.context, sizeof(c->to.context));
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static inline int client_connect(struct client *c, const struct transport_hooks *hooks)
{
	struct transport_call call = {.tls = c->tls,
	                              .fd = c->fd,
	                              .to = &c->to,
	                              .deadline_ms = transport_now_ms() + 8000,
	                              .hooks = hooks,
	                              .offer = c->offer,
	                              .take = c->take};

	c->rc = transport_attest(&call, &c->e, &c->why);
	return c->rc;
}

static inline void client_end(struct client *c)
{
	transport_evidence_free(&c->e);
	close(c->fd);
	SSL_CTX_free(c->tls);
}

/* ----------------------------------------------------------------- a judgement */

struct judged {
	struct checks checks;
	struct claims claims;
	char binder[16];
	uint8_t spki_sha256[32];
	uint32_t lease_s;
};

/* What came, with the nonce and the name of the client's own record. */
static inline void wire_of(const struct client *c, struct attest_wire *out)
{
	const uint8_t *p = c->e.bytes.p;

	*out = (struct attest_wire){
	        .transport = c->to.transport,
	        .request = {p, c->e.request_len},
	        .message = {p + c->e.request_len, c->e.message_len},
	        .leaf = {p + c->e.request_len + c->e.message_len, c->e.leaf_len},
	        .keys = &c->e.keys,
	        .server_name = c->to.server_name,
	        .lease_asked = c->take != NULL,
	        .at = time(NULL)};
	memcpy(out->exporter, c->e.exporter, sizeof(out->exporter));
	memcpy(out->context, c->to.context, sizeof(out->context));
}

/* What verify does up to the policy's own rules: opens it, and appraises the evidence against the
 * report data of this connection. */
static inline enum check_status judge(const struct client *c, struct judged *j)
{
	struct attest_wire wire;
	struct attest_input in = {.at = time(NULL),
	                          .check_report_data = true,
	                          .endorsements = {{lab.chain, lab.chain_n}},
	                          .endorsements_n = 1,
	                          .anchors = {{lab.anchor, lab.anchor_n}},
	                          .anchors_n = 1};
	struct attest_opened o;

	memset(j, 0, sizeof(*j));
	wire_of(c, &wire);
	assert_int_equal(attest_open(&wire, &o, &j->checks), 0);
	snprintf(j->binder, sizeof(j->binder), "%s", o.binder);
	memcpy(j->spki_sha256, o.spki_sha256, sizeof(j->spki_sha256));
	j->lease_s = o.cmw.lease_s;
	if (checks_overall(&j->checks) == CHECK_PASS) {
		in.type = attest_tee_from_media_type(o.cmw.evidence_type);
		in.evidence = o.cmw.evidence;
		memcpy(in.report_data, o.report_data, sizeof(in.report_data));
		attest_appraise(&in, &j->claims, &j->checks);
	}
	attest_opened_free(&o);
	return checks_overall(&j->checks);
}

static inline void expect_judged(const struct client *c, const char *refusing)
{
	struct judged j;
	const struct check *bad;

	if (c->rc)
		fail_msg("%s: %s", c->why.code, c->why.detail);
	judge(c, &j);
	assert_false(j.checks.overflow);
	bad = checks_first(&j.checks, CHECK_FAIL);
	if (!bad)
		bad = checks_first(&j.checks, CHECK_UNAVAILABLE);
	if (!bad != !refusing || (bad && strcmp(bad->id, refusing)))
		fail_msg("%s: %s, not %s", bad ? bad->id : "pass", bad ? bad->detail : "",
		         refusing ? refusing : "pass");
}

#endif
