/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshake and authenticator against destinations that do right, and against each way of doing
 * wrong. The kernel's TLS is not needed here: attaching it is answered by the test.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include "core/secret.h"
#include "daemon/relay.h"
#include "keyring/internal.h"
#include "relay_lab.h"

/* ------------------------------------------------------------- the destination */

enum behaviour {
	GOOD = 0,
	TICKETS,   /* before and between */
	IN_CRUMBS, /* a byte a record */
	THEN_DATA, /* in records of its own */
	RESIDUE,   /* in the authenticator's record */
	DECLINES,  /* a Finished alone */
	TOO_LARGE, /* announced */
	GARBAGE,
	CLOSES, /* cleanly, after the request */
	RESETS,
	ALERTS, /* after the request */
	UPDATES_KEYS,
	TICKET_FLOOD,
	DRIPS,  /* one byte a while */
	SILENT, /* accepts TCP, says nothing */
	SILENT_AFTER_TLS,
	PLAIN_HTTP,
};

static struct destination {
	pthread_t thread;
	int listener, fd;
	enum behaviour how;
	SSL_CTX *tls;
	const char *server_name; /* as the client sent it */
	char name[64];
	struct keyring_secrets secrets; /* as the server knows them */
	uint32_t tail;                  /* raw bytes that came after all */
	bool reset;
	atomic_bool enough;
} dest;

static void server_keylog(const SSL *ssl, const char *line)
{
	(void)ssl;
	keyring_keylog(&dest.secrets, line);
}

static void crumbs(SSL *ssl, struct bytes v, size_t each, long pause_ms)
{
	for (size_t at = 0; at < v.n; at += each) {
		size_t n = v.n - at < each ? v.n - at : each;

		if (SSL_write(ssl, v.p + at, (int)n) <= 0)
			return;
		if (pause_ms)
			lab_sleep_ms(pause_ms);
	}
}

static void send_alert(SSL *ssl)
{
	/* The only alert that OpenSSL's callers can choose: what a bad record of theirs brings. */
	static const uint8_t bad[] = {23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4,
	                              5,  6, 7, 8, 9,  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2};
	uint8_t buf[16];
	BIO *mem = BIO_new_mem_buf(bad, sizeof(bad));

	SSL_set0_rbio(ssl, mem);
	SSL_read(ssl, buf, sizeof(buf));
}

static void misbehave(SSL *ssl, struct buf *b)
{
	static const uint8_t huge[] = {11, 4, 0, 0, 32};

	switch (dest.how) {
	case TOO_LARGE:
		SSL_write(ssl, huge, sizeof(huge));
		break;
	case GARBAGE:
		SSL_write(ssl, "HTTP/1.1 400 Bad Request\r\n", 26);
		break;
	case CLOSES:
		SSL_shutdown(ssl);
		break;
	case ALERTS:
		send_alert(ssl);
		break;
	case UPDATES_KEYS:
		SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_write(ssl, b->p, (int)b->n);
		break;
	case TICKET_FLOOD:
		/* OpenSSL takes it for no error when nobody is left to send tickets to. */
		while (!atomic_load(&dest.enough) && SSL_new_session_ticket(ssl) == 1 &&
		       SSL_do_handshake(ssl) == 1)
			;
		break;
	case RESETS:
		dest.reset = true;
		break;
	default: /* silent */
		break;
	}
}

static void converse(SSL *ssl)
{
	struct buf b;

	if (!lab_answer(ssl, &b))
		goto out;
	switch (dest.how) {
	case TICKETS:
		crumbs(ssl, (struct bytes){b.p, 100}, 100, 0);
		SSL_new_session_ticket(ssl);
		crumbs(ssl, (struct bytes){b.p + 100, b.n - 100}, b.n, 0);
		break;
	case IN_CRUMBS:
		crumbs(ssl, buf_view(&b), 1, 0);
		break;
	case DRIPS:
		crumbs(ssl, buf_view(&b), 1, 20);
		break;
	case RESIDUE:
		buf_u8(&b, 'x');
		SSL_write(ssl, b.p, (int)b.n);
		break;
	case DECLINES: /* the last message of the real one */
		SSL_write(ssl, b.p + b.n - 52, 52);
		break;
	case GOOD:
	case THEN_DATA:
		SSL_write(ssl, b.p, (int)b.n);
		if (dest.how == THEN_DATA)
			SSL_write(ssl, "220 ready\r\n", 11);
		break;
	default:
		misbehave(ssl, &b);
	}
out:
	buf_free(&b);
}

/* Until the client is gone: what comes over the wire after its request. */
static uint32_t drain(int fd)
{
	uint8_t buf[4096];
	uint32_t total = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
		total += (uint32_t)n;
	return total;
}

static void *serve(void *arg)
{
	(void)arg;
	dest.fd = accept4(dest.listener, NULL, NULL, SOCK_CLOEXEC);

	SSL *ssl = dest.tls ? SSL_new(dest.tls) : NULL;

	if (dest.how == PLAIN_HTTP)
		send(dest.fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, MSG_NOSIGNAL);
	if (ssl && dest.how != SILENT && dest.how != PLAIN_HTTP) {
		SSL_set_fd(ssl, dest.fd);
		if (SSL_accept(ssl) == 1) {
			const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

			snprintf(dest.name, sizeof(dest.name), "%s", name ? name : "");
			if (dest.how != SILENT_AFTER_TLS)
				converse(ssl);
		}
	}
	if (dest.reset) {
		struct linger l = {.l_onoff = 1};

		setsockopt(dest.fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	} else {
		if (dest.how != SILENT && dest.how != SILENT_AFTER_TLS)
			shutdown(dest.fd, SHUT_WR);
		dest.tail = drain(dest.fd);
	}
	SSL_free(ssl);
	close(dest.fd);
	return NULL;
}

/* -------------------------------------------------------------------- one call */

static SSL_CTX *client;
static struct msg_connect to;
static struct failure why;
static struct transport_evidence evidence;
static struct msg_release *release;
static struct keyring_secrets *secrets; /* in it */
static atomic_bool stop;
static int fd, attached, attach_errno;
static unsigned deadline_ms;

static int fake_setsockopt(int s, int level, int name, const void *val, unsigned len)
{
	assert_int_equal(level, IPPROTO_TCP);
	assert_int_equal(name, TCP_ULP);
	assert_int_equal(s, fd);
	(void)val, (void)len;
	attached++;
	errno = attach_errno;
	return attach_errno ? -1 : 0;
}

static const struct keyring_syscalls fake = {.setsockopt = fake_setsockopt};

static int setup(void **state)
{
	(void)state;
	memset(&dest, 0, sizeof(dest));
	memset(&to, 0, sizeof(to));
	memset(&why, 0, sizeof(why));
	memset(&evidence, 0, sizeof(evidence));
	memset(to.context, 0x5a, sizeof(to.context));
	strcpy(to.server_name, "db.example");
	to.transport = TRANSPORT_KEYGATE;
	atomic_store(&stop, false);
	attached = attach_errno = 0;
	deadline_ms = 5000;
	dest.listener = lab_listen(&to.dst, 8);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	release = secret_alloc(sizeof(*release));
	secrets = &release->secrets;
	keyring_set_syscalls(&fake);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (fd >= 0)
		close(fd);
	atomic_store(&dest.enough, true);
	if (dest.thread)
		pthread_join(dest.thread, NULL);
	close(dest.listener);
	SSL_CTX_free(dest.tls);
	transport_evidence_free(&evidence);
	secret_free(release, sizeof(*release));
	keyring_set_syscalls(NULL);
	return 0;
}

static void start(enum behaviour how, const char *suite)
{
	dest.how = how;
	if (!dest.tls)
		dest.tls = lab_server(suite, AUTHENTICATOR_ALPN, how == TICKETS ? 2 : 0);
	SSL_CTX_set_keylog_callback(dest.tls, server_keylog);
	assert_int_equal(pthread_create(&dest.thread, NULL, serve, NULL), 0);
}

static int attest(void)
{
	struct relay_upstream u = {.tls = client,
	                           .fd = fd,
	                           .to = &to,
	                           .deadline_ms = transport_now_ms() + deadline_ms,
	                           .stop = &stop};

	return relay_tls_attest(&u, release, &evidence, &why);
}

static void assert_why(int ret, const char *code)
{
	assert_true(ret < 0);
	if (strcmp(why.code, code) != 0)
		fail_msg("%s (%s), not %s", why.code, why.detail, code);
	assert_true(why.detail[0] != '\0');
}

static void refuses(enum behaviour how, const char *code)
{
	start(how, NULL);
	assert_why(attest(), code);
}

/* What came is an authenticator of this very connection. */
static void assert_verifies(void)
{
	struct bytes all = buf_view(&evidence.bytes);
	struct bytes request = {all.p, evidence.request_len};
	struct bytes answer = {all.p + request.n, all.n - request.n};
	struct authenticator_request parsed;
	struct authenticator a;
	struct checks checks = {0};

	assert_int_equal(authenticator_request_parse(request, &parsed), 0);
	assert_string_equal(parsed.name, to.server_name);
	assert_memory_equal(parsed.context, to.context, 32);
	assert_int_equal(authenticator_verify(&evidence.keys, request, answer, &a, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	assert_true(bytes_equal(a.cmw, bytes_str("evidence")));
}

static void assert_handed_over(uint16_t suite, uint64_t rx)
{
	struct keyring_secrets *s = secrets;

	assert_int_equal(attached, 1);
	assert_int_equal(s->suite, suite);
	assert_true(s->have_client && s->have_server);
	assert_int_equal(s->tx_records, 1);
	assert_int_equal(s->rx_records, rx);
	assert_memory_equal(s->client, dest.secrets.client, sizeof(s->client));
	assert_memory_equal(s->server, dest.secrets.server, sizeof(s->server));
}

/* Nothing follows the request on the wire: no alert, no close_notify. */
static void assert_silent_end(void)
{
	shutdown(fd, SHUT_WR);
	pthread_join(dest.thread, NULL);
	dest.thread = 0;
	assert_int_equal(dest.tail, 0);
}

/* ----------------------------------------------------------------------- tests */

static void good(void **state)
{
	static const struct {
		const char *name;
		uint16_t suite;
	} suites[] = {
	        {"TLS_AES_128_GCM_SHA256", SUITE_AES_128_GCM_SHA256},
	        {"TLS_AES_256_GCM_SHA384", SUITE_AES_256_GCM_SHA384},
	        {"TLS_CHACHA20_POLY1305_SHA256", SUITE_CHACHA20_POLY1305_SHA256},
	};

	for (size_t i = 0; i < 3; i++) {
		start(GOOD, suites[i].name);
		assert_int_equal(attest(), 0);
		assert_verifies();
		assert_handed_over(suites[i].suite, 1);
		assert_silent_end();
		assert_string_equal(dest.name, "db.example");
		teardown(state);
		setup(state);
	}
}

static void without_a_name(void **state)
{
	(void)state;
	to.server_name[0] = '\0';
	start(GOOD, NULL);
	assert_int_equal(attest(), 0);
	assert_verifies();
	assert_silent_end();
	assert_string_equal(dest.name, "");
}

static void counts_tickets(void **state)
{
	(void)state;
	start(TICKETS, "TLS_AES_128_GCM_SHA256");
	assert_int_equal(attest(), 0);
	assert_verifies();
	assert_handed_over(SUITE_AES_128_GCM_SHA256, 2 + 1 + 1 + 1);
}

static void counts_crumbs(void **state)
{
	(void)state;
	start(IN_CRUMBS, "TLS_AES_128_GCM_SHA256");
	assert_int_equal(attest(), 0);
	assert_verifies();
	assert_handed_over(SUITE_AES_128_GCM_SHA256, evidence.bytes.n - evidence.request_len);
}

/* The service's own first words stay where the kernel will find them. */
static void leaves_data_alone(void **state)
{
	(void)state;
	struct pollfd p = {.fd = -1, .events = POLLIN};
	int waiting = 0;

	start(THEN_DATA, "TLS_AES_128_GCM_SHA256");
	assert_int_equal(attest(), 0);
	assert_handed_over(SUITE_AES_128_GCM_SHA256, 1);
	p.fd = fd;
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(ioctl(fd, FIONREAD, &waiting), 0);
	assert_int_equal(waiting, 5 + 11 + 1 + 16);
}

/* For verify to refuse by name; here it is an authenticator like any other. */
static void declined(void **state)
{
	(void)state;
	start(DECLINES, "TLS_AES_256_GCM_SHA384");
	assert_int_equal(attest(), 0);
	assert_int_equal(evidence.bytes.n - evidence.request_len, 52);
}

static void residue(void **state)
{
	(void)state;
	refuses(RESIDUE, "handover.residue");
}

static void too_large(void **state)
{
	(void)state;
	refuses(TOO_LARGE, "auth.too-large");
}

static void garbage(void **state)
{
	(void)state;
	refuses(GARBAGE, "auth.format");
}

static void closed(void **state)
{
	(void)state;
	refuses(CLOSES, "auth.closed");
}

static void reset(void **state)
{
	(void)state;
	refuses(RESETS, "auth.closed");
}

static void alert(void **state)
{
	(void)state;
	refuses(ALERTS, "tls.alert");
	assert_non_null(strstr(why.detail, "bad record mac"));
}

static void key_update(void **state)
{
	(void)state;
	refuses(UPDATES_KEYS, "relay.key-update");
}

/* However busy the peer keeps us, the deadline holds. */
static void within_the_deadline(void **state)
{
	static const enum behaviour slow[] = {TICKET_FLOOD, DRIPS, SILENT, SILENT_AFTER_TLS};

	for (size_t i = 0; i < sizeof(slow) / sizeof(slow[0]); i++) {
		uint64_t from = transport_now_ms();

		deadline_ms = 600;
		refuses(slow[i], "auth.timeout");
		assert_in_range(transport_now_ms() - from, 600, 1500);
		teardown(state);
		setup(state);
	}
}

static void stopped(void **state)
{
	(void)state;
	struct relay_upstream u = {.tls = client, .fd = fd, .to = &to, .stop = &stop};

	start(SILENT, NULL);
	u.deadline_ms = transport_now_ms() + 10000;
	atomic_store(&stop, true);
	assert_int_equal(relay_tls_attest(&u, release, &evidence, &why), -ECANCELED);
	assert_true(transport_now_ms() + 8000 < u.deadline_ms);
}

static void *stop_soon(void *arg)
{
	(void)arg;
	lab_sleep_ms(300);
	atomic_store(&stop, true);
	shutdown(fd, SHUT_RDWR);
	return NULL;
}

static void stopped_while_waiting(void **state)
{
	(void)state;
	uint64_t from = transport_now_ms();
	pthread_t t;

	start(SILENT_AFTER_TLS, NULL);
	deadline_ms = 10000;
	assert_int_equal(pthread_create(&t, NULL, stop_soon, NULL), 0);
	assert_int_equal(attest(), -ECANCELED);
	assert_true(transport_now_ms() - from < 5000);
	pthread_join(t, NULL);
}

/* What no peer can show from outside, or only by being fast. */
static void context(void **state)
{
	(void)state;
	assert_int_equal(SSL_CTX_get_mode(client) & SSL_MODE_AUTO_RETRY, 0);
	assert_int_equal(SSL_CTX_get_read_ahead(client), 0);
	assert_int_equal(SSL_CTX_get_session_cache_mode(client), SSL_SESS_CACHE_OFF);
	assert_int_equal(SSL_CTX_get_max_early_data(client), 0);
	assert_int_equal(SSL_CTX_get_min_proto_version(client), TLS1_3_VERSION);
	assert_int_equal(SSL_CTX_get_max_proto_version(client), TLS1_3_VERSION);
}

static void no_alpn(void **state)
{
	(void)state;
	dest.tls = lab_server(NULL, NULL, 0);
	refuses(GOOD, "tls.alpn");
}

static void other_alpn(void **state)
{
	(void)state;
	dest.tls = lab_server(NULL, "h2", 0);
	refuses(GOOD, "tls.alpn");
}

static void old_tls(void **state)
{
	(void)state;
	dest.tls = lab_server(NULL, AUTHENTICATOR_ALPN, 0);
	SSL_CTX_set_max_proto_version(dest.tls, TLS1_2_VERSION);
	refuses(GOOD, "tls.alert");
}

static void other_suites(void **state)
{
	(void)state;
	dest.tls = lab_server("TLS_AES_128_CCM_SHA256", AUTHENTICATOR_ALPN, 0);
	refuses(GOOD, "tls.alert");
}

static void no_tls(void **state)
{
	(void)state;
	refuses(PLAIN_HTTP, "tls.handshake");
}

static void nobody_listens(void **state)
{
	(void)state;
	close(dest.listener);
	dest.listener = -1;
	assert_why(attest(), "connect.refused");
	assert_int_equal(attached, 0);
}

static void no_route(void **state)
{
	(void)state;
	struct sockaddr_in *sin = (struct sockaddr_in *)&to.dst;

	sin->sin_addr.s_addr = htonl(INADDR_BROADCAST);
	assert_why(attest(), "connect.unreachable");
	to.dst.ss_family = AF_UNIX;
	assert_why(attest(), "connect.unreachable");
	assert_int_equal(attached, 0);
}

/* A backlog that is full: nobody answers the SYN. A stop that came first counts even so. */
static void no_answer(void **state)
{
	(void)state;
	struct sockaddr_storage at;
	int full = lab_listen(&at, 0), filler[4];

	for (int i = 0; i < 4; i++) {
		filler[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		(void)!connect(filler[i], (struct sockaddr *)&at, sizeof(struct sockaddr_in));
	}
	lab_sleep_ms(50);
	to.dst = at;
	deadline_ms = 500;

	uint64_t from = transport_now_ms();

	atomic_store(&stop, true);
	assert_int_equal(attest(), -ECANCELED);
	assert_true(transport_now_ms() - from < 400);
	atomic_store(&stop, false);
	close(fd);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	from = transport_now_ms();
	assert_why(attest(), "connect.timeout");
	assert_in_range(transport_now_ms() - from, 500, 1500);
	for (int i = 0; i < 4; i++)
		close(filler[i]);
	close(full);
}

static void kernel_without_tls(void **state)
{
	(void)state;
	attach_errno = ENOENT;
	refuses(GOOD, "release.ktls");
	/* And not a byte was written. */
	assert_silent_end();
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	lab_make_cert();
	client = relay_tls_context();
	return client ? 0 : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	SSL_CTX_free(client);
	lab_drop_cert();
	return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(context),
	        T(good),
	        T(without_a_name),
	        T(counts_tickets),
	        T(counts_crumbs),
	        T(leaves_data_alone),
	        T(declined),
	        T(residue),
	        T(too_large),
	        T(garbage),
	        T(closed),
	        T(reset),
	        T(alert),
	        T(key_update),
	        T(within_the_deadline),
	        T(stopped),
	        T(stopped_while_waiting),
	        T(no_alpn),
	        T(other_alpn),
	        T(old_tls),
	        T(other_suites),
	        T(no_tls),
	        T(nobody_listens),
	        T(no_route),
	        T(no_answer),
	        T(kernel_without_tls),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
