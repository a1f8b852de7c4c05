/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release on a real kernel: an OpenSSL connection that has already exchanged records, tickets
 * before, between and after them, goes on in kernel TLS without losing or repeating a byte. Needs
 * a kernel with kTLS: tests/vm/run.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <openssl/ec.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include "core/secret.h"
#include "keyring/internal.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

enum { EVIDENCE = 40000, BYTES = 200000, NOW = 1000000 };

static EVP_PKEY *key;
static X509 *cert;
static struct keyring keyring;

static const struct {
	const char *name;
	uint16_t suite;
} suites[] = {
        {"TLS_AES_128_GCM_SHA256", SUITE_AES_128_GCM_SHA256},
        {"TLS_AES_256_GCM_SHA384", SUITE_AES_256_GCM_SHA384},
        {"TLS_CHACHA20_POLY1305_SHA256", SUITE_CHACHA20_POLY1305_SHA256},
};

static void tcp_pair(int *a, int *b)
{
	struct sockaddr_in sin = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(sin);
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(l, (struct sockaddr *)&sin, len) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&sin, &len) ||
	    connect(*a, (struct sockaddr *)&sin, len))
		fail_msg("loopback: %s", strerror(errno));
	*b = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	close(l);
}

static bool have_ktls(void)
{
	int a, b;

	tcp_pair(&a, &b);

	int ret = keyring_attach(a);

	close(a);
	close(b);
	if (ret)
		puts("SKIPPED: test_keyring_vm: this kernel has no TLS; use tests/vm/run");
	return ret == 0;
}

static int setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	key = EVP_EC_gen("P-256");
	cert = X509_new();
	X509_set_version(cert, 2);
	X509_gmtime_adj(X509_getm_notBefore(cert), -60);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	return X509_sign(cert, key, EVP_sha256()) > 0 ? keyring_open(&keyring) : -1;
}

static int teardown(void **state)
{
	(void)state;
	EVP_PKEY_free(key);
	X509_free(cert);
	return 0;
}

/* ------------------------------------------------------------------ the server */

enum { TICKETS_BEFORE = 1, TICKET_BETWEEN = 2, TICKET_AFTER = 4 };

struct server {
	pthread_t thread;
	int fd, tickets;
	SSL_CTX *ctx;
	size_t echoed;
};

static void *serve(void *arg)
{
	struct server *v = arg;
	static uint8_t buf[EVIDENCE];
	SSL *ssl = SSL_new(v->ctx);
	int n;

	SSL_set_fd(ssl, v->fd);
	if (SSL_accept(ssl) != 1 || SSL_read(ssl, buf, sizeof(buf)) != 7)
		goto out;
	if (v->tickets & TICKET_BETWEEN)
		SSL_new_session_ticket(ssl);
	memset(buf, 'E', sizeof(buf));
	SSL_write(ssl, buf, EVIDENCE);
	if (v->tickets & TICKET_AFTER)
		SSL_new_session_ticket(ssl);
	while ((n = SSL_read(ssl, buf, sizeof(buf))) > 0 && SSL_write(ssl, buf, n) == n)
		v->echoed += (size_t)n;
out:
	SSL_free(ssl);
	close(v->fd);
	return NULL;
}

static void server_start(struct server *v, const char *suite)
{
	v->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_use_certificate(v->ctx, cert);
	SSL_CTX_use_PrivateKey(v->ctx, key);
	SSL_CTX_set_ciphersuites(v->ctx, suite);
	SSL_CTX_set_num_tickets(v->ctx, v->tickets & TICKETS_BEFORE ? 2 : 0);
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
}

static void server_join(struct server *v)
{
	pthread_join(v->thread, NULL);
	SSL_CTX_free(v->ctx);
}

/* ------------------------------------------------------------------ the client */

static struct keyring_secrets *secrets; /* of the connection being made */

static void keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	keyring_keylog(secrets, line);
}

static void count(int sent, int version, int type, const void *buf, size_t n, SSL *ssl, void *arg)
{
	(void)version, (void)buf, (void)n, (void)ssl, (void)arg;
	if (type == SSL3_RT_HEADER && sent)
		secrets->tx_records += secrets->have_client;
	else if (type == SSL3_RT_HEADER)
		secrets->rx_records += secrets->have_server;
}

/* Handshake, a request, the evidence; then the connection is the kernel's to take. */
static void converse(int fd, const char *suite)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	static uint8_t buf[EVIDENCE];

	secrets = secret_alloc(sizeof(*secrets));
	SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION);
	SSL_CTX_set_ciphersuites(ctx, suite);
	SSL_CTX_set_keylog_callback(ctx, keylog);

	SSL *ssl = SSL_new(ctx);

	SSL_set_fd(ssl, fd);
	SSL_set_msg_callback(ssl, count);
	assert_int_equal(SSL_connect(ssl), 1);
	assert_int_equal(SSL_write(ssl, "request", 7), 7);
	for (int got = 0, n; got < EVIDENCE; got += n) {
		n = SSL_read(ssl, buf, EVIDENCE - got);
		assert_true(n > 0);
	}
	assert_int_equal(SSL_has_pending(ssl), 0);
	secrets->suite = (uint16_t)SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(ssl));
	SSL_set_quiet_shutdown(ssl, 1);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

static int arm(void *ctx, uint64_t session, const struct keyring_released *r)
{
	(void)session;
	*(int32_t *)ctx = r->serial;
	return 0;
}

static int release(int fd, struct keyring_released *out, int32_t *armed, const char **step)
{
	static struct verdict v;
	static uint64_t session;

	session++;
	verdict_init(&v, "db", NOW);
	check_add(&v.checks, "auth.finished", CHECK_PASS, "for the test");
	verdict_seal(&v);

	struct keyring_request rq = {.fd = fd,
	                             .session = session,
	                             .destination = "db",
	                             .peer = "127.0.0.1:443",
	                             .now = NOW,
	                             .lease = 100,
	                             .secrets = secrets,
	                             .arm = arm,
	                             .arm_ctx = armed};

	return keyring_release(&keyring, &v, &rq, out, step);
}

static uint8_t receive(int fd, void *buf, size_t cap, ssize_t *n)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(1)];
	} control;
	struct iovec iov = {buf, cap};
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};

	*n = recvmsg(fd, &m, 0);
	if (*n < 0)
		fail_msg("recvmsg: %s", strerror(errno));

	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	return c ? *CMSG_DATA(c) : 0;
}

static uint8_t pattern(size_t at)
{
	return (uint8_t)(at * 2654435761u >> 13);
}

/* Through the kernel, to the OpenSSL server and back; the window keeps both from blocking. */
static unsigned echo(int fd)
{
	static uint8_t buf[70000];
	size_t sent = 0, got = 0;
	unsigned control = 0;

	while (got < BYTES) {
		if (sent < BYTES && sent - got < 40000) {
			size_t n = BYTES - sent < 9000 ? BYTES - sent : 9000;

			for (size_t i = 0; i < n; i++)
				buf[i] = pattern(sent + i);
			assert_int_equal(send(fd, buf, n, 0), n);
			sent += n;
			continue;
		}

		ssize_t n;

		if (receive(fd, buf, sizeof(buf), &n) != 23) {
			control++;
			continue;
		}
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] != pattern(got + (size_t)i))
				fail_msg("byte %zu differs", got + (size_t)i);
		}
		got += (size_t)n;
	}
	return control;
}

static uint64_t next_record(int fd, const struct keyring_cipher *c)
{
	union keyring_info info;
	socklen_t len = c->info_size;
	uint64_t seq = 0;

	assert_int_equal(getsockopt(fd, SOL_TLS, TLS_TX, &info, &len), 0);
	for (int i = 0; i < 8; i++)
		seq = seq << 8 | info.bytes[c->info_size - 8 + i];
	return seq;
}

static void goes_on(size_t suite, int tickets)
{
	struct server v = {.tickets = tickets};
	struct keyring_released r;
	int32_t armed = 0;
	const char *step;
	int fd;

	tcp_pair(&fd, &v.fd);
	assert_int_equal(keyring_attach(fd), 0);
	assert_false(keyring_is_ktls(fd, suites[suite].suite));
	server_start(&v, suites[suite].name);
	converse(fd, suites[suite].name);

	/* A ticket that follows the evidence is the kernel's to read. */
	uint64_t tx = secrets->tx_records, rx = secrets->rx_records;

	assert_int_equal(tx, 1);
	assert_int_equal(rx, 3 + (tickets & TICKETS_BEFORE ? 2 : 0) +
	                             (tickets & TICKET_BETWEEN ? 1 : 0));
	if (release(fd, &r, &armed, &step))
		fail_msg("%s tickets %d: %s", suites[suite].name, tickets, step);
	assert_int_equal(armed, r.serial);
	assert_int_equal(keyring_state(r.serial), KEYRING_VALID);
	assert_true(keyring_is_ktls(fd, suites[suite].suite));
	assert_int_equal(next_record(fd, keyring_cipher_of(suites[suite].suite)), tx);
	assert_int_equal(echo(fd), tickets & TICKET_AFTER ? 1 : 0);
	shutdown(fd, SHUT_RDWR);
	close(fd);
	server_join(&v);
	assert_int_equal(v.echoed, BYTES);
	secret_free(secrets, sizeof(*secrets));
}

static void every_suite_and_ticket(void **state)
{
	(void)state;
	if (!have_ktls())
		skip();
	for (size_t suite = 0; suite < 3; suite++) {
		for (int tickets = 0; tickets < 8; tickets++)
			goes_on(suite, tickets);
	}
}

/* What relay counts on: a copied send of n bytes takes n / 16384 records, rounded up. */
static void records_of_a_send(void **state)
{
	(void)state;
	struct server v = {0};
	struct keyring_released r;
	static uint8_t buf[65536];
	int32_t armed;
	const char *step;
	int fd;

	if (!have_ktls())
		skip();
	tcp_pair(&fd, &v.fd);
	assert_int_equal(keyring_attach(fd), 0);
	server_start(&v, suites[0].name);
	converse(fd, suites[0].name);
	assert_int_equal(release(fd, &r, &armed, &step), 0);

	static const size_t sizes[] = {1, 100, 16383, 16384, 16385, 40000, 65535, 65536};
	const struct keyring_cipher *c = keyring_cipher_of(suites[0].suite);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t before = next_record(fd, c);

		assert_int_equal(send(fd, buf, sizes[i], 0), sizes[i]);
		assert_int_equal(next_record(fd, c) - before, (sizes[i] + 16383) / 16384);
		for (size_t got = 0; got < sizes[i];) {
			ssize_t n;

			receive(fd, buf, sizeof(buf), &n);
			got += (size_t)n;
		}
	}
	shutdown(fd, SHUT_RDWR);
	close(fd);
	server_join(&v);
	secret_free(secrets, sizeof(*secrets));
}

/* A socket that never got the ULP: the kernel refuses, the key is revoked and gone. */
static void not_attached(void **state)
{
	(void)state;
	struct server v = {0};
	struct keyring_released r = {0};
	int32_t armed = 0;
	const char *step;
	int fd;

	if (!have_ktls())
		skip();
	tcp_pair(&fd, &v.fd);
	server_start(&v, suites[1].name);
	converse(fd, suites[1].name);
	assert_true(release(fd, &r, &armed, &step) < 0);
	assert_string_equal(step, "release.ktls");
	assert_int_not_equal(armed, 0);
	assert_int_not_equal(keyring_state(armed), KEYRING_VALID);
	assert_int_equal(r.serial, 0);
	assert_false(secrets->have_client || secrets->have_server);
	shutdown(fd, SHUT_RDWR);
	close(fd);
	server_join(&v);
	secret_free(secrets, sizeof(*secrets));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(every_suite_and_ticket),
	        cmocka_unit_test(records_of_a_send),
	        cmocka_unit_test(not_attached),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
