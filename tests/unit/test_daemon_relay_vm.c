/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay role as a process of its own, on a kernel with TLS (tests/vm/run): the test plays gate,
 * releases each session's key, and is the app on one end and an OpenSSL server on the other. No
 * byte may be lost, doubled or invented, and nothing but a proper end may look like one.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <openssl/evp.h>
#include "core/codes.h"
#include "daemon/relay.h"
#include "daemon/role.h"
#include "daemon/selftest.h"
#include "keyring/keyring.h"
#include "relay_lab.h"

enum { SESSIONS = 64, PATIENCE_MS = 20000, MIB = 1 << 20, STALL_MS = 1500 };

/* The relays under test; each a child from before OpenSSL was first used. */
enum who { USUAL, IMPATIENT, VICTIM, CHILDREN };

static struct child {
	pid_t pid;
	int gate, door;
	struct sockaddr_storage at;
} child[CHILDREN];

static struct child *relay; /* the one of this test */
static struct keyring keyring;
static struct msg_head head;
static union msg_any msg;
static uint64_t rekey_records; /* what gate says at LIVE; 0 where the kernel can't */
static bool can_rekey;
static int msg_fd;

static void spawn(enum who w)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		abort();
	child[w].pid = fork();
	if (child[w].pid == 0) {
		for (int i = 0; i < (int)w; i++)
			close(child[i].gate);
		close(pair[0]);
		_exit(w == IMPATIENT ? relay_run(pair[1], SESSIONS, STALL_MS)
		                     : role_relay(pair[1], SESSIONS));
	}
	close(pair[1]);
	child[w].gate = pair[0];
}

static bool ready(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static void tell(enum msg_type type, uint64_t session, const void *payload, int fd)
{
	assert_int_equal(msg_send(relay->gate, type, session, payload, fd), 0);
}

static uint64_t expect(enum msg_type type)
{
	if (!ready(relay->gate, PATIENCE_MS))
		fail_msg("no message %d", type);
	assert_int_equal(msg_recv(relay->gate, &head, &msg, sizeof(msg), &msg_fd), 0);
	if (head.type != type)
		fail_msg("message %u (%s: %s), not %d", head.type,
		         head.type == MSG_CLOSED ? msg.closed.code : "",
		         head.type == MSG_CLOSED ? msg.closed.detail : "", type);
	return head.session;
}

static void expect_closed(uint64_t session, const char *code)
{
	assert_int_equal(expect(MSG_CLOSED), session);
	if (strcmp(msg.closed.code, code) != 0)
		fail_msg("%s (%s), not %s", msg.closed.code, msg.closed.detail, code);
	assert_non_null(code_find(code));
	assert_false(ready(relay->gate, 50));
}

static void expect_end(uint64_t session, uint64_t up, uint64_t down)
{
	expect_closed(session, "session.end");
	assert_true(msg.closed.app_to_peer == up);
	assert_true(msg.closed.peer_to_app == down);
}

/* --------------------------------------------------------------- the destination */

struct peer {
	pthread_t thread;
	int listener, fd;
	struct sockaddr_storage at;
	const char *suite;
	unsigned tickets;
	void (*serve)(struct peer *p, SSL *ssl);
	atomic_bool go; /* set by the test when serve may go on */
	uint64_t got;
	uint8_t hash[32];
	bool closed; /* saw close_notify */
};

static void *peer_main(void *arg)
{
	struct peer *p = arg;
	SSL_CTX *ctx = lab_server(p->suite, AUTHENTICATOR_ALPN, p->tickets);
	SSL *ssl = SSL_new(ctx);
	struct buf b = {0};

	p->fd = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
	SSL_set_fd(ssl, p->fd);
	if (SSL_accept(ssl) == 1 && lab_answer(ssl, &b) &&
	    SSL_write(ssl, b.p, (int)b.n) == (int)b.n)
		p->serve(p, ssl);
	buf_free(&b);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(p->fd);
	return NULL;
}

static void peer_start(struct peer *p, void (*serve)(struct peer *, SSL *))
{
	p->serve = serve;
	p->listener = lab_listen(&p->at, 4);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_main, p), 0);
}

static void peer_join(struct peer *p)
{
	pthread_join(p->thread, NULL);
	close(p->listener);
}

static void await_go(struct peer *p)
{
	while (!atomic_load(&p->go))
		lab_sleep_ms(2);
}

/* ------------------------------------------------------------------------ bytes */

/* The same bytes wherever it is asked for them. */
static void fill(uint8_t *p, size_t n, uint64_t at)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(((at + i) * 2654435761u) >> 13);
}

static void hash_of(uint64_t n, uint8_t out[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t chunk[8192];

	EVP_DigestInit(md, EVP_sha256());
	for (uint64_t at = 0; at < n; at += sizeof(chunk)) {
		size_t len = n - at < sizeof(chunk) ? n - at : sizeof(chunk);

		fill(chunk, len, at);
		EVP_DigestUpdate(md, chunk, len);
	}
	EVP_DigestFinal(md, out, NULL);
	EVP_MD_CTX_free(md);
}

static void peer_send(SSL *ssl, uint64_t n)
{
	uint8_t chunk[30000];

	for (uint64_t at = 0; at < n; at += sizeof(chunk)) {
		size_t len = n - at < sizeof(chunk) ? n - at : sizeof(chunk);

		fill(chunk, len, at);
		if (SSL_write(ssl, chunk, (int)len) <= 0)
			return;
	}
}

/* The same, and it reads what is sent meanwhile, as a peer must that is asked for a KeyUpdate. */
static void peer_send_answering(SSL *ssl, uint64_t n)
{
	uint8_t chunk[16384];

	for (uint64_t at = 0; at < n; at += sizeof(chunk)) {
		size_t len = n - at < sizeof(chunk) ? n - at : sizeof(chunk);

		fill(chunk, len, at);
		if (SSL_write(ssl, chunk, (int)len) <= 0)
			return;
		if (ready(SSL_get_fd(ssl), 0)) {
			int flags = fcntl(SSL_get_fd(ssl), F_GETFL);

			fcntl(SSL_get_fd(ssl), F_SETFL, flags | O_NONBLOCK);
			SSL_read(ssl, &(char){0}, 1);
			fcntl(SSL_get_fd(ssl), F_SETFL, flags);
		}
	}
}

/* Until close_notify, or n bytes. */
static void peer_receive(struct peer *p, SSL *ssl, uint64_t n)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t chunk[20000];

	EVP_DigestInit(md, EVP_sha256());
	while (p->got < n) {
		uint64_t left = n - p->got;
		int len =
		        SSL_read(ssl, chunk, left < sizeof(chunk) ? (int)left : (int)sizeof(chunk));

		if (len <= 0)
			break;
		EVP_DigestUpdate(md, chunk, (size_t)len);
		p->got += (uint64_t)len;
	}
	EVP_DigestFinal(md, p->hash, NULL);
	EVP_MD_CTX_free(md);
	p->closed = (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
}

static void app_send(int fd, uint64_t n, size_t each)
{
	uint8_t chunk[70000];

	for (uint64_t at = 0; at < n;) {
		size_t len = n - at < each ? n - at : each;

		fill(chunk, len, at);
		assert_int_equal(send(fd, chunk, len, MSG_NOSIGNAL), len);
		at += len;
	}
}

/* All that comes until the end; 0 for a proper one, else the errno. */
static int app_receive(int fd, uint64_t *n, uint8_t hash[32])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	uint8_t chunk[50000];
	ssize_t len = -1;

	*n = 0;
	EVP_DigestInit(md, EVP_sha256());
	while (ready(fd, PATIENCE_MS) && (len = recv(fd, chunk, sizeof(chunk), 0)) > 0) {
		EVP_DigestUpdate(md, chunk, (size_t)len);
		*n += (uint64_t)len;
	}

	int err = len < 0 ? errno : 0;

	EVP_DigestFinal(md, hash, NULL);
	EVP_MD_CTX_free(md);
	return err;
}

static void assert_app_gets(int fd, uint64_t n)
{
	uint8_t got[32], want[32];
	uint64_t len;

	assert_int_equal(app_receive(fd, &len, got), 0);
	assert_true(len == n);
	hash_of(n, want);
	assert_memory_equal(got, want, 32);
}

static void assert_app_reset(int fd)
{
	uint8_t hash[32];
	uint64_t n;

	assert_int_equal(app_receive(fd, &n, hash), ECONNRESET);
}

static void assert_peer_got(const struct peer *p, uint64_t n)
{
	uint8_t want[32];

	assert_true(p->got == n);
	assert_true(p->closed);
	hash_of(n, want);
	assert_memory_equal(p->hash, want, 32);
}

/* -------------------------------------------------------------------- a session */

struct session {
	uint64_t id;
	int app;
	uint16_t suite;
	struct keyring_released key;
};

static int arm(void *ctx, uint64_t session, const struct keyring_released *r)
{
	(void)ctx, (void)session, (void)r;
	return 0;
}

static int app_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&relay->at, sizeof(struct sockaddr_in)), 0);
	return fd;
}

static uint64_t to_handover(struct peer *p)
{
	struct msg_connect m = {.dst = p->at,
	                        .destination = "db",
	                        .handshake_ms = 15000,
	                        .transport = TRANSPORT_KEYGATE};
	uint64_t id = expect(MSG_ACCEPTED);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	tell(MSG_CONNECT, id, &m, fd);
	close(fd);
	assert_int_equal(expect(MSG_APPRAISE), id);
	close(msg_fd);
	return id;
}

static void to_live(struct session *s, struct peer *p)
{
	static struct verdict v;
	const char *step;

	s->id = to_handover(p);
	tell(MSG_HANDOVER, s->id, NULL, -1);
	assert_int_equal(expect(MSG_RELEASE), s->id);
	uint16_t suite = msg.release.secrets.suite;

	verdict_init(&v, "db", time(NULL));
	check_add(&v.checks, "auth.finished", CHECK_PASS, "for the test");
	verdict_seal(&v);

	struct keyring_request rq = {.fd = msg_fd,
	                             .session = (uint64_t)(relay - child) << 32 | s->id,
	                             .destination = "db",
	                             .peer = "127.0.0.1:443",
	                             .now = time(NULL),
	                             .lease = 600,
	                             .secrets = &msg.release.secrets,
	                             .arm = arm};

	if (keyring_release(&keyring, &v, &rq, &s->key, &step))
		fail_msg("%s", step);
	close(msg_fd);
	s->suite = suite;
	tell(MSG_LIVE, s->id,
	     &(struct msg_live){.until = s->key.until,
	                        .rekey_records = can_rekey ? rekey_records : 0},
	     -1);
}

static struct session open_session(struct peer *p, void (*serve)(struct peer *, SSL *))
{
	struct session s = {0};

	peer_start(p, serve);
	s.app = app_connect();
	to_live(&s, p);
	return s;
}

static int setup(void **state)
{
	(void)state;
	relay = &child[USUAL];
	rekey_records = KEYRING_RECORDS_MAX / 2;
	return 0;
}

/* --------------------------------------------------------------- gate, for rekeys */

/* Does what gate does until the session closes, which is left for the test to look at. */
struct rekeyer {
	pthread_t thread;
	const struct session *s;
	unsigned n[2];
	int err;
};

static void *rekeyer_main(void *arg)
{
	struct rekeyer *k = arg;

	while (ready(relay->gate, 300000)) {
		struct msg_head h;
		union msg_any m;
		int fd = -1;

		if (recv(relay->gate, &h, sizeof(h), MSG_PEEK) != sizeof(h) || h.type != MSG_REKEY)
			break;
		k->err = msg_recv(relay->gate, &h, &m, sizeof(m), &fd);
		if (k->err)
			break;

		const struct keyring_rekey rq = {.fd = fd,
		                                 .serial = k->s->key.serial,
		                                 .suite = k->s->suite,
		                                 .direction =
		                                         (enum keyring_direction)m.rekey.direction,
		                                 .left = 600};

		k->err = keyring_rekey(&rq);
		close(fd);
		if (k->err)
			break;
		k->n[rq.direction]++;
		k->err = msg_send(relay->gate, MSG_REKEYED, h.session, &m.rekey, -1);
	}
	return NULL;
}

static void rekeyer_start(struct rekeyer *k, const struct session *s)
{
	k->s = s;
	assert_int_equal(pthread_create(&k->thread, NULL, rekeyer_main, k), 0);
}

static void rekeyer_join(struct rekeyer *k)
{
	pthread_join(k->thread, NULL);
	if (k->err)
		fail_msg("rekey: %s", strerror(-k->err));
}

/* ------------------------------------------------------------------------ tests */

static void serve_both_ways(struct peer *p, SSL *ssl)
{
	peer_receive(p, ssl, 8 * MIB);
	p->closed = true; /* not asked here: the app has not ended its side */
	peer_send(ssl, 8 * MIB);
	SSL_shutdown(ssl);
	SSL_read(ssl, &(char){0}, 1);
}

static void eight_mib_each_way(void **state)
{
	(void)state;
	static const char *const suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
	                                     "TLS_CHACHA20_POLY1305_SHA256"};

	for (size_t i = 0; i < 3; i++) {
		struct peer p = {.suite = suites[i]};
		struct session s = open_session(&p, serve_both_ways);

		app_send(s.app, 8 * MIB, 65536);
		assert_app_gets(s.app, 8 * MIB);
		close(s.app);
		expect_end(s.id, 8 * MIB, 8 * MIB);
		peer_join(&p);
		assert_peer_got(&p, 8 * MIB);
	}
}

static void serve_echo(struct peer *p, SSL *ssl)
{
	static _Thread_local uint8_t chunk[20000];
	int n;

	while ((n = SSL_read(ssl, chunk, sizeof(chunk))) > 0 && SSL_write(ssl, chunk, n) == n)
		p->got += (uint64_t)n;
	p->closed = (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0;
	SSL_shutdown(ssl);
}

struct sender {
	int fd;
	uint64_t n;
	size_t each;
};

static void *send_all(void *arg)
{
	const struct sender *s = arg;
	uint8_t chunk[70000];

	for (uint64_t at = 0; at < s->n;) {
		size_t len = 1 + (at * 7919) % s->each;

		len = s->n - at < len ? s->n - at : len;
		fill(chunk, len, at);
		if (send(s->fd, chunk, len, MSG_NOSIGNAL) != (ssize_t)len)
			return arg;
		at += len;
	}
	return shutdown(s->fd, SHUT_WR) ? arg : NULL;
}

/* Both directions at once, writes of all sizes, both ends slower than the writer. */
static void echo(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_echo);
	struct sender w = {s.app, 4 * MIB, 70000};
	pthread_t t;
	void *failed;

	pthread_create(&t, NULL, send_all, &w);
	assert_app_gets(s.app, 4 * MIB);
	pthread_join(t, &failed);
	assert_null(failed);
	close(s.app);
	expect_end(s.id, 4 * MIB, 4 * MIB);
	peer_join(&p);
	assert_true(p.closed);
}

static void serve_sink(struct peer *p, SSL *ssl)
{
	peer_receive(p, ssl, UINT64_MAX);
	SSL_shutdown(ssl);
}

static void one_byte_writes(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_sink);
	int one = 1;

	setsockopt(s.app, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof(one));
	app_send(s.app, 3000, 1);
	shutdown(s.app, SHUT_WR);
	assert_app_gets(s.app, 0);
	close(s.app);
	expect_end(s.id, 3000, 0);
	peer_join(&p);
	assert_peer_got(&p, 3000);
}

static void serve_answer(struct peer *p, SSL *ssl)
{
	peer_receive(p, ssl, UINT64_MAX);
	peer_send(ssl, MIB);
	SSL_shutdown(ssl);
}

static void half_close_by_app(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_answer);

	app_send(s.app, MIB, 65536);
	shutdown(s.app, SHUT_WR);
	assert_app_gets(s.app, MIB);
	close(s.app);
	expect_end(s.id, MIB, MIB);
	peer_join(&p);
	assert_peer_got(&p, MIB);
}

static void serve_close_first(struct peer *p, SSL *ssl)
{
	peer_send(ssl, 100000);
	SSL_shutdown(ssl);
	peer_receive(p, ssl, UINT64_MAX);
}

static void half_close_by_peer(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_close_first);

	assert_app_gets(s.app, 100000); /* and the end */
	app_send(s.app, MIB, 65536);
	close(s.app);
	expect_end(s.id, MIB, 100000);
	peer_join(&p);
	assert_peer_got(&p, MIB);
}

/* Its first words lie in the socket before the key does. */
static void peer_speaks_first(void **state)
{
	(void)state;
	struct peer p = {.tickets = 2};
	struct session s = {0};

	peer_start(&p, serve_close_first);
	s.app = app_connect();
	lab_sleep_ms(200);
	to_live(&s, &p);
	assert_app_gets(s.app, 100000);
	close(s.app);
	expect_end(s.id, 0, 100000);
	peer_join(&p);
	assert_peer_got(&p, 0);
}

static void app_data_waits(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = {.app = app_connect()};

	app_send(s.app, 5000, 5000);
	peer_start(&p, serve_sink);

	uint64_t id = expect(MSG_ACCEPTED);
	struct msg_connect m = {.dst = p.at,
	                        .destination = "db",
	                        .handshake_ms = 15000,
	                        .transport = TRANSPORT_KEYGATE};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	tell(MSG_CONNECT, id, &m, fd);
	assert_int_equal(expect(MSG_APPRAISE), id);
	close(msg_fd);
	close(fd);
	/* Before the release not a byte is on the wire. */
	assert_false(ready(p.fd, 300));
	tell(MSG_CUT, id, &(struct msg_cut){.code = "verdict.expired"}, -1);
	expect_closed(id, "verdict.expired");
	assert_int_equal(msg.closed.app_to_peer, 0);
	assert_app_reset(s.app);
	close(s.app);
	peer_join(&p);
	assert_true(p.got == 0);

	/* After it they all are. */
	memset(&p, 0, sizeof(p));
	peer_start(&p, serve_sink);
	s.app = app_connect();
	app_send(s.app, 5000, 5000);
	shutdown(s.app, SHUT_WR);
	to_live(&s, &p);
	assert_app_gets(s.app, 0);
	close(s.app);
	expect_end(s.id, 5000, 0);
	peer_join(&p);
	assert_peer_got(&p, 5000);
}

static void serve_truncated(struct peer *p, SSL *ssl)
{
	peer_send(ssl, 100000);
	await_go(p);
	shutdown(p->fd, SHUT_WR);
	lab_sleep_ms(200);
}

static void fin_without_close_notify(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_truncated);

	atomic_store(&p.go, true);
	assert_app_reset(s.app);
	close(s.app);
	expect_closed(s.id, "relay.truncated");
	peer_join(&p);
}

static void serve_reset(struct peer *p, SSL *ssl)
{
	struct linger l = {.l_onoff = 1};

	peer_send(ssl, 1000);
	await_go(p);
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static void reset_by_peer(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_reset);

	atomic_store(&p.go, true);
	assert_app_reset(s.app);
	close(s.app);
	expect_closed(s.id, "relay.truncated");
	peer_join(&p);
}

static void serve_tickets(struct peer *p, SSL *ssl)
{
	uint8_t chunk[1000];

	for (int i = 0; i < 100; i++) {
		fill(chunk, sizeof(chunk), (uint64_t)i * sizeof(chunk));
		SSL_write(ssl, chunk, sizeof(chunk));
		SSL_new_session_ticket(ssl);
		SSL_do_handshake(ssl);
	}
	SSL_shutdown(ssl);
	peer_receive(p, ssl, UINT64_MAX);
}

static void tickets_between(void **state)
{
	(void)state;
	struct peer p = {.tickets = 2};
	struct session s = open_session(&p, serve_tickets);

	assert_app_gets(s.app, 100000);
	close(s.app);
	expect_end(s.id, 0, 100000);
	peer_join(&p);
}

static void serve_key_update(struct peer *p, SSL *ssl)
{
	await_go(p);
	SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED);
	SSL_do_handshake(ssl);
	SSL_write(ssl, "after", 5);
	peer_receive(p, ssl, UINT64_MAX);
}

static void key_update(void **state)
{
	(void)state;
	struct peer p = {0};
	bool can = can_rekey;

	can_rekey = false; /* as gate tells it where the kernel can't */

	struct session s = open_session(&p, serve_key_update);

	can_rekey = can;

	app_send(s.app, 100, 100);
	atomic_store(&p.go, true);
	assert_app_reset(s.app);
	close(s.app);
	expect_closed(s.id, "relay.key-update");
	assert_int_equal(msg.closed.peer_to_app, 0);
	peer_join(&p);
	assert_false(p.closed);
}

/* Each of its updates asks for one in return; what follows comes through, both ways. */
static void serve_key_updates(struct peer *p, SSL *ssl)
{
	uint8_t chunk[1000];

	for (int i = 0; i < 20; i++) {
		SSL_key_update(ssl,
		               i % 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED);
		SSL_do_handshake(ssl);
		if (i % 3 == 0) {
			SSL_new_session_ticket(ssl);
			SSL_do_handshake(ssl);
		}
		fill(chunk, sizeof(chunk), (uint64_t)i * sizeof(chunk));
		SSL_write(ssl, chunk, sizeof(chunk));
	}
	SSL_shutdown(ssl);
	peer_receive(p, ssl, UINT64_MAX);
}

static void key_updates_by_the_peer(void **state)
{
	(void)state;
	static const char *const suites[] = {"TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256",
	                                     "TLS_CHACHA20_POLY1305_SHA256"};

	if (!can_rekey)
		skip();
	for (size_t i = 0; i < 3; i++) {
		struct peer p = {.suite = suites[i]};
		struct session s = open_session(&p, serve_key_updates);
		struct rekeyer k = {0};

		rekeyer_start(&k, &s);
		app_send(s.app, 5000, 5000);
		assert_app_gets(s.app, 20000);
		lab_sleep_ms(200); /* the last one asked for comes back while nothing is sent */
		app_send(s.app, 0, 1);
		close(s.app);
		rekeyer_join(&k);
		expect_end(s.id, 5000, 20000);
		peer_join(&p);
		assert_peer_got(&p, 5000);
		assert_int_equal(k.n[KEYRING_RX], 20);
		assert_in_range(k.n[KEYRING_TX], 1,
		                10); /* several asked for may be answered by one */
	}
}

/* KEYGATE_REKEY_MIB for more than an everyday run has time for. */
static uint64_t rekey_bytes(void)
{
	const char *mib = getenv("KEYGATE_REKEY_MIB");

	return (mib ? strtoull(mib, NULL, 10) : 32) * MIB;
}

static void serve_rekeyed_upload(struct peer *p, SSL *ssl)
{
	peer_receive(p, ssl, UINT64_MAX);
	SSL_shutdown(ssl);
}

static void serve_rekeyed_download(struct peer *p, SSL *ssl)
{
	peer_send_answering(ssl, rekey_bytes());
	SSL_shutdown(ssl);
	peer_receive(p, ssl, UINT64_MAX);
}

/* By its own limit, in both directions, as KEYRING_RECORDS_MAX / 2 would have it in a long life. */
static void a_key_each_thousand_records(void **state)
{
	(void)state;
	uint64_t n = rekey_bytes(), records = n / 16384;
	struct peer p = {0};
	struct rekeyer k = {0};

	if (!can_rekey)
		skip();
	rekey_records = 1000;

	struct session s = open_session(&p, serve_rekeyed_upload);

	rekeyer_start(&k, &s);
	app_send(s.app, n, 65536);
	shutdown(s.app, SHUT_WR);
	assert_app_gets(s.app, 0);
	close(s.app);
	rekeyer_join(&k);
	expect_end(s.id, n, 0);
	peer_join(&p);
	assert_peer_got(&p, n);
	printf("up:   %llu bytes, %u keys\n", (unsigned long long)n, k.n[KEYRING_TX]);
	assert_true(k.n[KEYRING_TX] >= records / 1004 && k.n[KEYRING_RX] == 0);

	memset(&p, 0, sizeof(p));
	memset(&k, 0, sizeof(k));
	s = open_session(&p, serve_rekeyed_download);
	rekeyer_start(&k, &s);
	assert_app_gets(s.app, n);
	close(s.app);
	rekeyer_join(&k);
	expect_end(s.id, 0, n);
	peer_join(&p);
	printf("down: %llu bytes, %u keys, asked for with %u\n", (unsigned long long)n,
	       k.n[KEYRING_RX], k.n[KEYRING_TX]);
	/* The peer takes its time to answer; it is asked once a key. */
	assert_true(k.n[KEYRING_RX] >= 1 && k.n[KEYRING_RX] <= k.n[KEYRING_TX]);
}

/* A revoked key gives no next one. */
static void a_revoked_key_is_not_followed(void **state)
{
	(void)state;
	struct peer p = {0};
	int fd;

	if (!can_rekey)
		skip();

	struct session s = open_session(&p, serve_key_updates);

	assert_int_equal(expect(MSG_REKEY), s.id);
	fd = msg_fd;
	assert_int_equal(keyring_revoke(s.key.serial), 0);
	assert_int_equal(keyring_rekey(&(struct keyring_rekey){.fd = fd,
	                                                       .serial = s.key.serial,
	                                                       .suite = s.suite,
	                                                       .direction = KEYRING_RX,
	                                                       .left = 600}),
	                 -EKEYREVOKED);
	close(fd);
	tell(MSG_CUT, s.id, &(struct msg_cut){.code = "session.revoked"}, -1);
	expect_closed(s.id, "session.revoked");
	assert_app_reset(s.app);
	close(s.app);
	peer_join(&p);
}

static void serve_update_flood(struct peer *p, SSL *ssl)
{
	(void)p;
	for (int i = 0; i < 1000; i++) {
		if (!SSL_key_update(ssl, SSL_KEY_UPDATE_NOT_REQUESTED) ||
		    SSL_do_handshake(ssl) != 1)
			break;
	}
	SSL_read(ssl, &(char){0}, 1);
}

static void a_flood_of_key_updates(void **state)
{
	(void)state;
	struct peer p = {0};
	struct rekeyer k = {0};

	if (!can_rekey)
		skip();

	struct session s = open_session(&p, serve_update_flood);

	rekeyer_start(&k, &s);
	assert_app_reset(s.app);
	close(s.app);
	rekeyer_join(&k);
	expect_closed(s.id, "relay.key-update");
	assert_in_range(k.n[KEYRING_RX], RELAY_UPDATES, 2 * RELAY_UPDATES);
	peer_join(&p);
}

/* OpenSSL sends one when a record that it reads is bad. */
static void serve_alert(struct peer *p, SSL *ssl)
{
	static const uint8_t bad[] = {23, 3, 3, 0, 32, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4,
	                              5,  6, 7, 8, 9,  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2};

	await_go(p);
	SSL_set0_rbio(ssl, BIO_new_mem_buf(bad, sizeof(bad)));
	SSL_read(ssl, &(char){0}, 1);
	lab_sleep_ms(200);
}

static void fatal_alert(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_alert);

	atomic_store(&p.go, true);
	assert_app_reset(s.app);
	close(s.app);
	expect_closed(s.id, "relay.alert");
	assert_non_null(strstr(msg.closed.detail, "20"));
	peer_join(&p);
}

static void serve_bad_record(struct peer *p, SSL *ssl)
{
	static const uint8_t bad[] = {23, 3, 3, 0, 20, 1, 2, 3, 4, 5, 6, 7, 8,
	                              9,  0, 1, 2, 3,  4, 5, 6, 7, 8, 9, 0};

	peer_send(ssl, 1000);
	await_go(p);
	send(p->fd, bad, sizeof(bad), MSG_NOSIGNAL);
	lab_sleep_ms(200);
}

static void serve_plaintext(struct peer *p, SSL *ssl)
{
	(void)ssl;
	await_go(p);
	send(p->fd, "HTTP/1.1 200 OK\r\n\r\ninjected", 27, MSG_NOSIGNAL);
	lab_sleep_ms(200);
}

static void bad_records(void **state)
{
	(void)state;
	void (*const serve[])(struct peer *, SSL *) = {serve_bad_record, serve_plaintext};

	for (size_t i = 0; i < 2; i++) {
		struct peer p = {0};
		struct session s = open_session(&p, serve[i]);

		atomic_store(&p.go, true);
		assert_app_reset(s.app);
		close(s.app);
		expect_closed(s.id, "relay.record");
		assert_in_range(msg.closed.peer_to_app, 0, 1000);
		peer_join(&p);
	}
}

static void serve_endless(struct peer *p, SSL *ssl)
{
	static const uint8_t chunk[16384];

	(void)p;
	while (SSL_write(ssl, chunk, sizeof(chunk)) > 0)
		;
}

static void cut_in_a_download(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_endless);
	uint8_t chunk[16384];

	for (size_t got = 0; got < MIB;)
		got += (size_t)recv(s.app, chunk, sizeof(chunk), 0);

	uint64_t from = transport_now_ms();

	tell(MSG_CUT, s.id, &(struct msg_cut){.code = "verdict.expired"}, -1);
	assert_app_reset(s.app);
	assert_true(transport_now_ms() - from < 1000);
	close(s.app);
	expect_closed(s.id, "verdict.expired");
	peer_join(&p);
}

/* The app does not read: relay holds a chunk, and nothing waits in a thread. */
static void cut_with_a_slow_app(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_endless);

	lab_sleep_ms(700);
	tell(MSG_CUT, s.id, &(struct msg_cut){.code = "verdict.expired"}, -1);
	expect_closed(s.id, "verdict.expired");
	assert_app_reset(s.app);
	close(s.app);
	peer_join(&p);
}

static void serve_deaf(struct peer *p, SSL *ssl)
{
	(void)ssl;
	await_go(p);
}

/*
 * Fills all buffers towards a peer that does not read; how much went in. A reset that comes
 * meanwhile is left for who looks for it: send takes the socket's error, so nothing is sent where
 * there is one.
 */
static uint64_t fill_up(int app)
{
	static uint8_t chunk[65536];
	struct pollfd f = {.fd = app, .events = POLLOUT};
	uint64_t total = 0;
	ssize_t n;

	while (poll(&f, 1, 500) == 1 && !(f.revents & (POLLERR | POLLHUP)) &&
	       (n = send(app, chunk, sizeof(chunk), MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
		total += (uint64_t)n;
	return total;
}

/* A worker sits in a blocking write; it must be woken. */
static void cut_in_a_blocked_upload(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_deaf);

	assert_true(fill_up(s.app) > 65536);

	uint64_t from = transport_now_ms();

	tell(MSG_CUT, s.id, &(struct msg_cut){.code = "verdict.expired"}, -1);
	expect_closed(s.id, "verdict.expired");
	assert_true(transport_now_ms() - from < 1000);
	assert_app_reset(s.app);
	close(s.app);
	atomic_store(&p.go, true);
	peer_join(&p);
}

static void peer_stalls(void **state)
{
	(void)state;
	struct peer p = {0};

	relay = &child[IMPATIENT];

	struct session s = open_session(&p, serve_deaf);
	uint64_t from = transport_now_ms();

	fill_up(s.app);
	expect_closed(s.id, "relay.stalled");
	assert_in_range(transport_now_ms() - from, STALL_MS, 5 * STALL_MS);
	assert_app_reset(s.app);
	close(s.app);
	atomic_store(&p.go, true);
	peer_join(&p);
}

/* Waiting with nothing to send is no stall. */
static void pauses_are_no_stalls(void **state)
{
	(void)state;
	struct peer p = {0};

	relay = &child[IMPATIENT];

	struct session s = open_session(&p, serve_echo);

	for (int i = 0; i < 2; i++) {
		char c = 0;

		assert_int_equal(send(s.app, "x", 1, 0), 1);
		assert_int_equal(recv(s.app, &c, 1, 0), 1);
		assert_int_equal(c, 'x');
		lab_sleep_ms(STALL_MS + 500);
	}
	close(s.app);
	expect_end(s.id, 2, 2);
	peer_join(&p);
}

static void app_resets(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_endless);
	struct linger l = {.l_onoff = 1};
	uint8_t chunk[16384];

	for (size_t got = 0; got < MIB;)
		got += (size_t)recv(s.app, chunk, sizeof(chunk), 0);
	setsockopt(s.app, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s.app);
	expect_closed(s.id, "session.app-gone");
	peer_join(&p); /* its writes end too */
}

/* An idle session has nobody that reads or writes; the reset is seen all the same. */
static void idle_app_resets(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_sink);
	struct linger l = {.l_onoff = 1};

	lab_sleep_ms(100);
	setsockopt(s.app, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s.app);
	expect_closed(s.id, "session.app-gone");
	peer_join(&p);
	assert_false(p.closed);
}

static void serve_mute(struct peer *p, SSL *ssl)
{
	peer_receive(p, ssl, UINT64_MAX);
	await_go(p);
}

/* Its direction is over, the other one silent: the reset is still seen. */
static void half_closed_app_resets(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_mute);
	struct linger l = {.l_onoff = 1};

	app_send(s.app, 1000, 1000);
	shutdown(s.app, SHUT_WR);
	lab_sleep_ms(500);
	setsockopt(s.app, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(s.app);
	expect_closed(s.id, "session.app-gone");
	assert_true(msg.closed.app_to_peer == 1000);
	atomic_store(&p.go, true);
	peer_join(&p);
	assert_peer_got(&p, 1000);
}

static void serve_slowly(struct peer *p, SSL *ssl)
{
	peer_send(ssl, 4 * MIB);
	SSL_shutdown(ssl);
	peer_receive(p, ssl, UINT64_MAX);
}

static void slow_app_loses_nothing(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_slowly);

	lab_sleep_ms(1500);
	assert_app_gets(s.app, 4 * MIB);
	close(s.app);
	expect_end(s.id, 0, 4 * MIB);
	peer_join(&p);
	assert_true(p.closed);
}

/* user and system time of the relay, in clock ticks; threads. */
static unsigned long cpu_of(pid_t pid, unsigned long *threads)
{
	char path[64], line[1024];
	unsigned long user = 0, system = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);

	FILE *f = fopen(path, "re");

	assert_non_null(f);
	assert_non_null(fgets(line, sizeof(line), f));
	fclose(f);

	const char *p = strrchr(line, ')');

	assert_int_equal(sscanf(p,
	                        ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d "
	                        "%*d %*d %lu",
	                        &user, &system, threads),
	                 3);
	return user + system;
}

/* A record in two halves, with a pause between. */
static void serve_half_record(struct peer *p, SSL *ssl)
{
	BIO *mem = BIO_new(BIO_s_mem());
	uint8_t record[20000], plain[16000];

	await_go(p);
	SSL_set0_wbio(ssl, mem);
	fill(plain, sizeof(plain), 0);
	SSL_write(ssl, plain, sizeof(plain));

	int n = BIO_read(mem, record, sizeof(record));

	send(p->fd, record, (size_t)n / 2, MSG_NOSIGNAL);
	lab_sleep_ms(2000);
	send(p->fd, record + n / 2, (size_t)(n - n / 2), MSG_NOSIGNAL);
	SSL_shutdown(ssl);
	n = BIO_read(mem, record, sizeof(record));
	send(p->fd, record, (size_t)n, MSG_NOSIGNAL);
	peer_receive(p, ssl, UINT64_MAX);
}

/* What is half there must not make the loop spin. */
static void half_a_record(void **state)
{
	(void)state;
	struct peer p = {0};
	struct session s = open_session(&p, serve_half_record);
	unsigned long threads;

	atomic_store(&p.go, true);
	lab_sleep_ms(300);

	unsigned long before = cpu_of(relay->pid, &threads);

	lab_sleep_ms(1500);
	assert_in_range(cpu_of(relay->pid, &threads) - before, 0, 30);
	assert_app_gets(s.app, 16000);
	close(s.app);
	expect_end(s.id, 0, 16000);
	peer_join(&p);
}

enum { MANY = 40 };

/* Idle sessions cost no thread; all at once they all get through. */
static void many_sessions(void **state)
{
	(void)state;
	static struct peer p[MANY];
	static struct session s[MANY];
	static struct sender w[MANY];
	static pthread_t t[MANY];
	unsigned long threads;
	bool seen[MANY] = {0};

	for (int i = 0; i < MANY; i++)
		s[i] = open_session(&p[i], serve_echo);
	lab_sleep_ms(RELAY_IDLE_MS + 1500);
	cpu_of(relay->pid, &threads);
	assert_in_range(threads, 1, 2);

	for (int i = 0; i < MANY; i++) {
		w[i] = (struct sender){s[i].app, 128 * 1024, 9000};
		pthread_create(&t[i], NULL, send_all, &w[i]);
	}
	for (int i = 0; i < MANY; i++) {
		void *failed;

		assert_app_gets(s[i].app, 128 * 1024);
		pthread_join(t[i], &failed);
		assert_null(failed);
		close(s[i].app);
	}
	for (int i = 0; i < MANY; i++) {
		uint64_t at = expect(MSG_CLOSED) - s[0].id;

		assert_string_equal(msg.closed.code, "session.end");
		assert_in_range(at, 0, MANY - 1);
		assert_false(seen[at]);
		seen[at] = true;
	}
	for (int i = 0; i < MANY; i++)
		peer_join(&p[i]);
}

static void killed(void **state)
{
	(void)state;
	struct peer p = {0}, idle_p = {0};

	relay = &child[VICTIM];

	struct session s = open_session(&p, serve_endless);
	struct session idle = open_session(&idle_p, serve_sink);
	uint8_t chunk[16384];

	for (size_t got = 0; got < MIB;)
		got += (size_t)recv(s.app, chunk, sizeof(chunk), 0);
	assert_int_equal(kill(relay->pid, SIGKILL), 0);
	/* Not an end: a reset. */
	assert_app_reset(s.app);
	assert_app_reset(idle.app);
	close(s.app);
	close(idle.app);
	peer_join(&p);
	peer_join(&idle_p);
	assert_false(idle_p.closed);
	waitpid(relay->pid, NULL, 0);
	relay->pid = 0;
}

/* ------------------------------------------------------------------------- main */

static int group_setup(void **state)
{
	(void)state;
	lab_make_cert();
	for (int i = 0; i < CHILDREN; i++) {
		relay = &child[i];
		relay->door = lab_listen(&relay->at, 64);
		tell(MSG_LISTEN, 0, NULL, relay->door);
	}
	return keyring_open(&keyring);
}

/* All sessions are over: the relays end with gate, and quickly. */
static int group_teardown(void **state)
{
	int bad = 0;

	(void)state;
	for (int i = 0; i < CHILDREN; i++) {
		int status = 0;

		close(child[i].gate);
		close(child[i].door);
		if (!child[i].pid)
			continue;
		if (waitpid(child[i].pid, &status, 0) != child[i].pid || !WIFEXITED(status) ||
		    WEXITSTATUS(status) != 1) {
			fprintf(stderr, "relay %d: status %x\n", i, (unsigned)status);
			bad = -1;
		}
	}
	lab_drop_cert();
	return bad;
}

static bool have_ktls(void)
{
	struct sockaddr_storage at;
	int l = lab_listen(&at, 1), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool have = connect(fd, (struct sockaddr *)&at, sizeof(struct sockaddr_in)) == 0 &&
	            keyring_attach(fd) == 0;

	close(fd);
	close(l);
	return have;
}

static void no_kernel_tls(void **state)
{
	(void)state;
	puts("SKIPPED: test_daemon_relay_vm: this kernel has no TLS; use tests/vm/run");
	skip();
}

#define T(fn) cmocka_unit_test_setup(fn, setup)

int main(void)
{
	const struct CMUnitTest none[] = {cmocka_unit_test(no_kernel_tls)};
	const struct CMUnitTest tests[] = {
	        T(eight_mib_each_way),
	        T(echo),
	        T(one_byte_writes),
	        T(half_close_by_app),
	        T(half_close_by_peer),
	        T(peer_speaks_first),
	        T(app_data_waits),
	        T(fin_without_close_notify),
	        T(reset_by_peer),
	        T(tickets_between),
	        T(key_update),
	        T(key_updates_by_the_peer),
	        T(a_key_each_thousand_records),
	        T(a_revoked_key_is_not_followed),
	        T(a_flood_of_key_updates),
	        T(fatal_alert),
	        T(bad_records),
	        T(cut_in_a_download),
	        T(cut_with_a_slow_app),
	        T(cut_in_a_blocked_upload),
	        T(peer_stalls),
	        T(pauses_are_no_stalls),
	        T(app_resets),
	        T(idle_app_resets),
	        T(half_closed_app_resets),
	        T(slow_app_loses_nothing),
	        T(half_a_record),
	        T(many_sessions),
	        T(killed),
	};

	if (!have_ktls())
		return cmocka_run_group_tests(none, NULL, NULL);
	struct selftest t[SELFTESTS];

	(void)selftest_run(t);
	can_rekey = t[SELFTEST_REKEY].ok;
	printf("ktls.rekey: %s\n", t[SELFTEST_REKEY].detail);
	(void)signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < CHILDREN; i++)
		spawn((enum who)i);
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
