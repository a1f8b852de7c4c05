/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The relay's loop against a gate that the test plays, up to the hand-over: who is told what, in
 * which order, and that every session ends once, whatever ends it. The kernel's TLS is not needed:
 * attaching it is answered by the test. What follows the release is in test_daemon_relay_vm.c.
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
#include <sys/mman.h>
#include "core/codes.h"
#include "core/file.h"
#include "core/secret.h"
#include "daemon/relay.h"
#include "keyring/internal.h"
#include "relay_lab.h"

enum { SESSIONS = 8, PATIENCE_MS = 5000 };

/* ----------------------------------------------------------- relay, and its gate */

static struct keyring_syscalls calls;

static int fake_setsockopt(int s, int level, int name, const void *val, unsigned len)
{
	(void)s, (void)level, (void)name, (void)val, (void)len;
	return 0;
}

static int gate, door;
static struct sockaddr_storage door_at;
static pthread_t relay;
static bool running;
static struct msg_head head;
static union msg_any msg;
static int msg_fd;

static void *run(void *arg)
{
	return relay_run(*(int *)arg, SESSIONS, 1000) ? arg : NULL;
}

static void tell(enum msg_type type, uint64_t session, const void *payload, int fd)
{
	assert_int_equal(msg_send(gate, type, session, payload, fd), 0);
}

static int setup(void **state)
{
	static int theirs;
	int pair[2];

	(void)state;
	calls = *keyring_sys;
	calls.setsockopt = fake_setsockopt;
	keyring_set_syscalls(&calls);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return -1;
	gate = pair[0];
	theirs = pair[1];
	/* Little room towards gate, so that one that does not read can be had. */
	setsockopt(theirs, SOL_SOCKET, SO_SNDBUF, &(int){1}, sizeof(int));
	door = lab_listen(&door_at, 64);
	if (pthread_create(&relay, NULL, run, &theirs))
		return -1;
	running = true;
	tell(MSG_LISTEN, 0, NULL, door);
	return 0;
}

/* Ends the role by ending gate; it must come to an end, and say that it is not a good one. */
static void stop(void)
{
	void *failed;

	if (!running)
		return;
	if (gate >= 0)
		close(gate);
	gate = -1;
	running = false;
	assert_int_equal(pthread_join(relay, &failed), 0);
	assert_non_null(failed);
}

static int teardown(void **state)
{
	(void)state;
	stop();
	close(door);
	keyring_set_syscalls(NULL);
	return 0;
}

static bool ready(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return poll(&p, 1, ms) == 1;
}

static uint64_t expect(enum msg_type type)
{
	if (!ready(gate, PATIENCE_MS))
		fail_msg("no message %d", type);
	assert_int_equal(msg_recv(gate, &head, &msg, sizeof(msg), &msg_fd), 0);
	if (head.type != type)
		fail_msg("message %u (%s), not %d", head.type,
		         head.type == MSG_CLOSED ? msg.closed.code : "", type);
	return head.session;
}

static void drop_fd(void)
{
	assert_true(msg_fd >= 0);
	close(msg_fd);
	msg_fd = -1;
}

static void expect_nothing(void)
{
	if (!ready(gate, 150))
		return;
	assert_int_equal(msg_recv(gate, &head, &msg, sizeof(msg), &msg_fd), 0);
	fail_msg("message %u (%s) for session %llu", head.type,
	         head.type == MSG_CLOSED ? msg.closed.code : "", (unsigned long long)head.session);
}

static void expect_closed(uint64_t session, const char *code)
{
	assert_int_equal(expect(MSG_CLOSED), session);
	if (strcmp(msg.closed.code, code) != 0)
		fail_msg("%s (%s), not %s", msg.closed.code, msg.closed.detail, code);
	assert_non_null(code_find(code));
}

/* ------------------------------------------------------------------------- app */

static int app_connect(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (connect(fd, (struct sockaddr *)&door_at, sizeof(struct sockaddr_in)))
		fail_msg("the door is closed");
	return fd;
}

static void assert_app_reset(int fd)
{
	char c;

	assert_true(ready(fd, PATIENCE_MS));
	assert_int_equal(recv(fd, &c, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	close(fd);
}

static void app_reset(int fd)
{
	struct linger l = {.l_onoff = 1};

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

/* ------------------------------------------------------------------------ doors */

/* Of a namespace that is given up; of another one's nothing changes. */
static void no_more_at_that_door(void **state)
{
	struct msg_unlisten here = {0}, elsewhere;
	socklen_t n = sizeof(here.netns);
	int app;

	(void)state;
	assert_int_equal(getsockopt(door, SOL_SOCKET, SO_NETNS_COOKIE, &here.netns, &n), 0);
	elsewhere.netns = here.netns + 1;
	tell(MSG_UNLISTEN, 0, &elsewhere, -1);
	app_reset(app_connect());
	assert_int_equal(expect(MSG_ACCEPTED), 1);
	expect_closed(1, "session.app-gone");
	tell(MSG_UNLISTEN, 0, &here, -1);
	app = app_connect(); /* the test holds the listener as well */
	expect_nothing();
	tell(MSG_LISTEN, 0, NULL, door);
	assert_int_equal(expect(MSG_ACCEPTED), 2);
	app_reset(app);
	expect_closed(2, "session.app-gone");
	/* Its places are free again. */
	for (int i = 0; i < 2 * RELAY_LISTENERS_MAX; i++) {
		tell(MSG_UNLISTEN, 0, &here, -1);
		tell(MSG_LISTEN, 0, NULL, door);
	}
	app_reset(app_connect());
	assert_int_equal(expect(MSG_ACCEPTED), 3);
	expect_closed(3, "session.app-gone");
}

/* ----------------------------------------------------------------- destination */

static struct {
	pthread_t thread;
	bool started;
	int listener, fd;
	struct sockaddr_storage at;
	bool silent;
	uint32_t tail;
	const struct attest_lease *knows; /* the lease that it takes up; NULL: none */
} dest;

static int find_lease(SSL *ssl, const unsigned char *id, size_t n, SSL_SESSION **out)
{
	const struct attest_lease *l = dest.knows;

	*out = l && n == sizeof(l->identity) && !memcmp(id, l->identity, n)
	               ? attest_lease_session(ssl, l)
	               : NULL;
	return 1;
}

static void *serve(void *arg)
{
	SSL_CTX *ctx = lab_server(NULL, AUTHENTICATOR_ALPN, 2);
	SSL *ssl = SSL_new(ctx);
	struct buf b = {0};
	uint8_t raw[4096];
	ssize_t n;

	(void)arg;
	SSL_set_psk_find_session_callback(ssl, find_lease);
	dest.fd = accept4(dest.listener, NULL, NULL, SOCK_CLOEXEC);
	SSL_set_fd(ssl, dest.fd);
	if (!dest.silent && SSL_accept(ssl) == 1 && !SSL_session_reused(ssl) && lab_answer(ssl, &b))
		SSL_write(ssl, b.p, (int)b.n);
	while ((n = recv(dest.fd, raw, sizeof(raw), 0)) > 0)
		dest.tail += dest.silent ? 0 : (uint32_t)n;
	buf_free(&b);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(dest.fd);
	return NULL;
}

static void dest_start(bool silent)
{
	memset(&dest, 0, sizeof(dest));
	dest.silent = silent;
	dest.listener = lab_listen(&dest.at, 4);
	dest.started = true;
	assert_int_equal(pthread_create(&dest.thread, NULL, serve, NULL), 0);
}

/* Whatever became of the session, not a byte followed the request for evidence. */
static void dest_join(void)
{
	pthread_join(dest.thread, NULL);
	close(dest.listener);
	assert_int_equal(dest.tail, 0);
}

static void tell_connect_to(uint64_t session, const struct sockaddr_storage *at, uint32_t ms)
{
	struct msg_connect m = {.dst = *at,
	                        .destination = "db",
	                        .handshake_ms = ms,
	                        .transport = TRANSPORT_KEYGATE};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(m.context, 7, sizeof(m.context));
	tell(MSG_CONNECT, session, &m, fd);
	close(fd);
}

/* ----------------------------------------------------------------------- tests */

static void announces_in_order(void **state)
{
	(void)state;
	int app[SESSIONS];

	for (uint64_t i = 0; i < SESSIONS; i++)
		app[i] = app_connect();
	for (uint64_t i = 0; i < SESSIONS; i++) {
		struct sockaddr_storage own;
		socklen_t len = sizeof(own);
		uint64_t netns;

		assert_int_equal(expect(MSG_ACCEPTED), i + 1);
		getsockname(app[i], (struct sockaddr *)&own, &len);
		assert_memory_equal(&msg.accepted.peer, &own, len);
		len = sizeof(netns);
		getsockopt(app[i], SOL_SOCKET, SO_NETNS_COOKIE, &netns, &len);
		assert_true(msg.accepted.netns == netns);
	}
	stop();
	for (uint64_t i = 0; i < SESSIONS; i++)
		assert_app_reset(app[i]);
}

/* Each, also while there are sessions, and however fast they come. */
static void pings_are_answered(void **state)
{
	enum { PINGS = 20 };
	(void)state;
	int app = app_connect();

	expect(MSG_ACCEPTED);
	for (int i = 0; i < PINGS; i++)
		tell(MSG_PING, 0, NULL, -1);
	for (int i = 0; i < PINGS; i++)
		assert_int_equal(expect(MSG_PONG), 0);
	expect_nothing();
	close(app);
}

static void refused(void **state)
{
	(void)state;
	int app = app_connect();
	struct msg_refuse m = {.code = "verdict.empty"};

	expect(MSG_ACCEPTED);
	tell(MSG_REFUSE, 1, &m, -1);
	expect_closed(1, "verdict.empty");
	assert_int_equal(msg.closed.app_to_peer, 0);
	assert_int_equal(msg.closed.peer_to_app, 0);
	assert_app_reset(app);
	expect_nothing();
}

/* One more than there may be is reset at the door, and a place that got free is used again. */
static void bounded(void **state)
{
	(void)state;
	struct msg_refuse m = {.code = "verdict.empty"};
	int app[SESSIONS];

	for (uint64_t i = 0; i < SESSIONS; i++) {
		app[i] = app_connect();
		assert_int_equal(expect(MSG_ACCEPTED), i + 1);
	}
	assert_app_reset(app_connect());
	expect_nothing();
	tell(MSG_REFUSE, 3, &m, -1);
	expect_closed(3, "verdict.empty");
	assert_app_reset(app[2]);
	lab_sleep_ms(100);

	int again = app_connect();

	assert_int_equal(expect(MSG_ACCEPTED), SESSIONS + 1);
	close(again);
	for (uint64_t i = 0; i < SESSIONS; i++) {
		if (i != 2)
			close(app[i]);
	}
}

static void app_gone_before_connect(void **state)
{
	(void)state;
	int app = app_connect();
	int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct msg_connect m = {.handshake_ms = 1000};

	expect(MSG_ACCEPTED);
	app_reset(app);
	expect_closed(1, "session.app-gone");
	/* What crossed on the way is no error. */
	tell(MSG_CONNECT, 1, &m, late);
	tell(MSG_HANDOVER, 1, NULL, -1);
	tell(MSG_CUT, 1, &(struct msg_cut){.code = "verdict.empty"}, -1);
	expect_nothing();
	close(late);
	app = app_connect();
	assert_int_equal(expect(MSG_ACCEPTED), 2);
	close(app);
}

static void destination_refuses(void **state)
{
	(void)state;
	struct sockaddr_storage nowhere;
	int app = app_connect();

	close(lab_listen(&nowhere, 1));
	expect(MSG_ACCEPTED);
	tell_connect_to(1, &nowhere, 5000);
	expect_closed(1, "connect.refused");
	assert_app_reset(app);
}

static void app_gone_in_handshake(void **state)
{
	(void)state;
	uint64_t from = transport_now_ms();
	int app = app_connect();

	dest_start(true);
	expect(MSG_ACCEPTED);
	tell_connect_to(1, &dest.at, 20000);
	lab_sleep_ms(200);
	app_reset(app);
	expect_closed(1, "session.app-gone");
	assert_true(transport_now_ms() - from < 3000);
	dest_join();
}

static void cut_in_handshake(void **state)
{
	(void)state;
	int app = app_connect();

	dest_start(true);
	expect(MSG_ACCEPTED);
	tell_connect_to(1, &dest.at, 20000);
	lab_sleep_ms(200);
	tell(MSG_CUT, 1, &(struct msg_cut){.code = "verdict.expired"}, -1);
	expect_closed(1, "verdict.expired");
	assert_app_reset(app);
	dest_join();
}

/* --------------------------------------------------- where CONNECT's bytes end up */

enum { MARK_LEN = 32, MAPPING_MAX = 256 << 20 };

/* Held nowhere as a whole, so that what is found is what came by message. */
static uint8_t mark_at(unsigned i)
{
	return (uint8_t)(0xa5 ^ i * 37u);
}

static size_t count_marks(const uint8_t *p, size_t n)
{
	size_t found = 0;

	for (size_t at = 0; at + MARK_LEN <= n; at++) {
		unsigned i = 0;

		while (i < MARK_LEN && p[at + i] == mark_at(i))
			i++;
		found += i == MARK_LEN;
	}
	return found;
}

/* In one mapping, by way of the kernel: what can't be read that way is not there. */
static size_t marks_in(int mem, uintptr_t from, size_t n)
{
	uint8_t *copy = n <= MAPPING_MAX ? malloc(n) : NULL;
	ssize_t got = copy ? pread(mem, copy, n, (off_t)from) : 0;
	size_t found = got > 0 ? count_marks(copy, (size_t)got) : 0;

	if (copy)
		secret_wipe(copy, n);
	free(copy);
	return found;
}

/* How often it stands in this process, in memory that is locked and not dumped, and elsewhere. */
static void find_marks(size_t *locked, size_t *elsewhere)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	unsigned long from = 0, to = 0;
	size_t here = 0;
	char line[512], perm[8] = "";

	*locked = *elsewhere = 0;
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%lx-%lx %7s", &from, &to, perm) == 3)
			here = perm[0] == 'r' && perm[1] == 'w' ? marks_in(mem, from, to - from)
			                                        : 0;
		else if (!strncmp(line, "VmFlags:", 8))
			*(strstr(line, " lo") && strstr(line, " dd") ? locked : elsewhere) += here;
	}
	(void)fclose(f);
	close(mem);
}

/* CONNECT can hold a secret: relay keeps one copy, locked, for as long as the handshake takes. */
static void connect_is_kept_locked(void **state)
{
	(void)state;
	struct msg_connect *m = secret_alloc(sizeof(*m));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int app = app_connect();
	size_t locked, elsewhere;

	dest_start(true);
	expect(MSG_ACCEPTED);
	m->dst = dest.at;
	m->handshake_ms = 20000;
	m->transport = TRANSPORT_KEYGATE;
	/* A field that goes no further. */
	for (unsigned i = 0; i < MARK_LEN; i++)
		m->destination[i] = (char)mark_at(i);
	tell(MSG_CONNECT, 1, m, fd);
	close(fd);
	secret_free(m, sizeof(*m));
	lab_sleep_ms(300);
	find_marks(&locked, &elsewhere);
	assert_int_equal(locked, 1);
	assert_int_equal(elsewhere, 0);
	app_reset(app);
	expect_closed(1, "session.app-gone");
	find_marks(&locked, &elsewhere);
	assert_int_equal(locked, 0);
	assert_int_equal(elsewhere, 0);
	dest_join();
}

static void slow_destination(void **state)
{
	(void)state;
	int app = app_connect();

	dest_start(true);
	expect(MSG_ACCEPTED);
	tell_connect_to(1, &dest.at, 400);
	expect_closed(1, "auth.timeout");
	assert_app_reset(app);
	dest_join();
}

/* To the point where the evidence is gate's. */
static int to_appraise(uint32_t ms)
{
	int app = app_connect();

	dest_start(false);
	expect(MSG_ACCEPTED);
	tell_connect_to(1, &dest.at, ms);
	assert_int_equal(expect(MSG_APPRAISE), 1);
	return app;
}

static void evidence_reaches_gate(void **state)
{
	(void)state;
	int app = to_appraise(5000);
	static const uint8_t zero[32];
	struct authenticator_request request;
	struct authenticator a;
	struct checks checks = {0};
	uint8_t *all;
	size_t n;

	assert_int_equal(fcntl(msg_fd, F_GET_SEALS),
	                 F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	assert_int_equal(file_read_fd(msg_fd, 1 << 20, &all, &n), 0);
	drop_fd();
	assert_int_equal(n, msg.appraise.request_len + msg.appraise.message_len);

	struct bytes asked = {all, msg.appraise.request_len};
	struct bytes answer = {all + asked.n, msg.appraise.message_len};

	assert_int_equal(authenticator_request_parse(asked, &request), 0);
	for (int i = 0; i < 32; i++)
		assert_int_equal(request.context[i], 7);
	assert_int_equal(authenticator_verify(&msg.appraise.keys, asked, answer, &a, &checks), 0);
	assert_int_equal(checks_overall(&checks), CHECK_PASS);
	/* Those are gate's to fill. */
	assert_int_equal(msg.appraise.at, 0);
	assert_memory_equal(msg.appraise.context, zero, sizeof(zero));
	free(all);
	expect_nothing();

	tell(MSG_CUT, 1, &(struct msg_cut){.code = "auth.signature"}, -1);
	expect_closed(1, "auth.signature");
	assert_app_reset(app);
	dest_join();
}

static void verdict_comes_too_late(void **state)
{
	(void)state;
	int app = to_appraise(700);

	drop_fd();
	expect_closed(1, "auth.timeout");
	assert_app_reset(app);
	tell(MSG_HANDOVER, 1, NULL, -1);
	expect_nothing();
	dest_join();
}

static void app_gone_while_appraised(void **state)
{
	(void)state;
	int app = to_appraise(5000);

	drop_fd();
	app_reset(app);
	expect_closed(1, "session.app-gone");
	dest_join();
}

/* LIVE is gate's word; the kernel's counts, and this socket has no keys. */
static void live_without_keys(void **state)
{
	(void)state;
	int app = to_appraise(5000);

	drop_fd();
	assert_int_equal(send(app, "secret", 6, 0), 6);
	tell(MSG_HANDOVER, 1, NULL, -1);
	assert_int_equal(expect(MSG_RELEASE), 1);
	assert_true(msg.release.secrets.have_client && msg.release.secrets.have_server);
	assert_int_equal(msg.release.secrets.tx_records, 1);
	assert_int_equal(fcntl(msg_fd, F_GETFL) & O_NONBLOCK, 0);
	drop_fd();
	expect_nothing();
	tell(MSG_LIVE, 1, &(struct msg_live){0}, -1);
	expect_closed(1, "release.ktls");
	assert_int_equal(msg.closed.app_to_peer, 0);
	assert_app_reset(app);
	dest_join();
}

/* A socket that the kernel handed out, connected already; flags are to be as they came. */
static int tell_upcall(int flags)
{
	struct msg_connect m = {.dst = dest.at,
	                        .destination = "db",
	                        .handshake_ms = 5000,
	                        .transport = TRANSPORT_KEYGATE,
	                        .connected = true};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&dest.at, sizeof(struct sockaddr_in)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, flags), 0);
	tell(MSG_OPEN, 77, NULL, -1);
	assert_int_equal(expect(MSG_ACCEPTED), 1);
	assert_int_equal(msg.accepted.opened, 77);
	tell(MSG_CONNECT, 1, &m, fd);
	return fd;
}

static void to_the_release(int flags)
{
	struct linger l = {0};
	socklen_t n = sizeof(l);
	int fd, keep = 1;

	dest_start(false);
	fd = tell_upcall(flags);
	assert_int_equal(expect(MSG_APPRAISE), 1);
	drop_fd();
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	tell(MSG_HANDOVER, 1, NULL, -1);
	assert_int_equal(expect(MSG_RELEASE), 1);
	drop_fd();
	/* Its user finds it as it was. */
	assert_int_equal(fcntl(fd, F_GETFL) & O_NONBLOCK, flags);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_LINGER, &l, &n), 0);
	assert_int_equal(l.l_onoff, 0);
	n = sizeof(keep);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &keep, &n), 0);
	assert_int_equal(keep, 0);
	/* Without the kernel's encryption it is not left to anybody. */
	tell(MSG_LIVE, 1, &(struct msg_live){0}, -1);
	expect_closed(1, "release.ktls");
	close(fd);
	dest_join();
}

static void upcall_on_a_blocking_socket(void **state)
{
	(void)state;
	to_the_release(0);
}

static void upcall_on_another(void **state)
{
	(void)state;
	to_the_release(O_NONBLOCK);
}

static void upcall_refused(void **state)
{
	(void)state;
	tell(MSG_OPEN, 5, NULL, -1);
	assert_int_equal(expect(MSG_ACCEPTED), 1);
	assert_int_equal(msg.accepted.opened, 5);
	tell(MSG_REFUSE, 1, &(struct msg_refuse){.code = "gate.overload"}, -1);
	expect_closed(1, "gate.overload");
	/* No room for more than all: it is not announced. */
	for (int i = 0; i < SESSIONS; i++) {
		tell(MSG_OPEN, 6, NULL, -1);
		expect(MSG_ACCEPTED);
	}
	tell(MSG_OPEN, 7, NULL, -1);
	expect_nothing();
}

static void upcall_cut_in_handshake(void **state)
{
	int fd;

	(void)state;
	dest_start(true);
	fd = tell_upcall(0);
	usleep(100000);
	tell(MSG_CUT, 1, &(struct msg_cut){.code = "policy.changed"}, -1);
	expect_closed(1, "policy.changed");
	/* Its user learns of it. */
	assert_true(ready(fd, PATIENCE_MS));
	assert_true(recv(fd, &(char){0}, 1, MSG_DONTWAIT) <= 0);
	close(fd);
	dest_join();
}

/* Asks for a lease, and offers this one. */
static void tell_connect_with(uint64_t session, const struct attest_lease *offer)
{
	struct msg_connect *m = secret_alloc(sizeof(*m));
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	m->dst = dest.at;
	m->handshake_ms = 5000;
	m->transport = TRANSPORT_KEYGATE;
	m->lease_asked = true;
	m->offer = *offer;
	tell(MSG_CONNECT, session, m, fd);
	close(fd);
	secret_free(m, sizeof(*m));
}

static struct attest_lease *some_lease(void)
{
	struct attest_lease *l = secret_alloc(sizeof(*l));

	*l = (struct attest_lease){.suite = SUITE_AES_256_GCM_SHA384, .psk_len = 48};
	memset(l->identity, 'i', sizeof(l->identity));
	memset(l->psk, 'p', 48);
	return l;
}

static void lease_that_is_taken_up(void **state)
{
	(void)state;
	struct attest_lease *l = some_lease();
	static const struct attest_lease none;
	int app = app_connect();

	dest_start(false);
	dest.knows = l;
	expect(MSG_ACCEPTED);
	tell_connect_with(1, l);
	assert_int_equal(expect(MSG_RESUMED), 1);
	assert_int_equal(msg_fd, -1);
	tell(MSG_HANDOVER, 1, NULL, -1);
	assert_int_equal(expect(MSG_RELEASE), 1);
	assert_true(msg.release.secrets.have_client && msg.release.secrets.have_server);
	assert_int_equal(msg.release.secrets.tx_records, 0);
	assert_int_equal(msg.release.secrets.suite, l->suite);
	assert_memory_equal(&msg.release.lease, &none, sizeof(none));
	drop_fd();
	tell(MSG_CUT, 1, &(struct msg_cut){.code = "session.revoked"}, -1);
	expect_closed(1, "session.revoked");
	assert_app_reset(app);
	dest_join();
	secret_free(l, sizeof(*l));
}

/* The same connection shows evidence, and brings what the next lease is made of. */
static void lease_that_is_not_known(void **state)
{
	(void)state;
	struct attest_lease *l = some_lease();
	int app = app_connect();

	dest_start(false);
	expect(MSG_ACCEPTED);
	tell_connect_with(1, l);
	assert_int_equal(expect(MSG_APPRAISE), 1);
	drop_fd();
	tell(MSG_HANDOVER, 1, NULL, -1);
	assert_int_equal(expect(MSG_RELEASE), 1);
	assert_true(msg.release.lease.psk_len == 32 || msg.release.lease.psk_len == 48);
	assert_int_equal(msg.release.lease.suite, msg.release.secrets.suite);
	assert_false(bytes_all_zero(msg.release.lease.psk, msg.release.lease.psk_len));
	assert_memory_not_equal(msg.release.lease.psk, l->psk, 32);
	drop_fd();
	tell(MSG_CUT, 1, &(struct msg_cut){.code = "session.revoked"}, -1);
	expect_closed(1, "session.revoked");
	assert_app_reset(app);
	dest_join();
	secret_free(l, sizeof(*l));
}

/* Each of these ends the role, and with it all sessions. */
static void gate_that_is_not_gate(void **state)
{
	for (int i = 0; i < 9; i++) {
		struct msg_connect connect = {.handshake_ms = 100};
		struct msg_cut cut;
		int app = app_connect(), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int bundle = file_memfd("policy", bytes_str("policy"));

		assert_true(bundle >= 0);
		expect(MSG_ACCEPTED);
		memset(&cut, 'x', sizeof(cut));
		switch (i) {
		case 0: /* a message for another role */
			tell(MSG_POLICY, 0, &(struct msg_policy){0}, bundle);
			break;
		case 1: /* a session that never was */
			tell(MSG_CUT, 2, &(struct msg_cut){0}, -1);
			break;
		case 2:
			tell(MSG_CUT, 0, &(struct msg_cut){0}, -1);
			break;
		case 3: /* out of turn */
			tell(MSG_HANDOVER, 1, NULL, -1);
			break;
		case 4:
			tell(MSG_LIVE, 1, &(struct msg_live){0}, -1);
			break;
		case 5:
			memset(connect.server_name, 'x', sizeof(connect.server_name));
			tell(MSG_CONNECT, 1, &connect, fd);
			break;
		case 6: /* a code without an end */
			tell(MSG_CUT, 1, &cut, -1);
			break;
		case 7: /* a listener that can't be one */
			tell(MSG_LISTEN, 0, NULL, gate);
			break;
		default: /* no message */
			assert_int_equal(send(gate, "?", 1, 0), 1);
		}

		void *failed;

		assert_int_equal(pthread_join(relay, &failed), 0);
		assert_non_null(failed);
		running = false;
		close(gate);
		gate = -1;
		close(fd);
		close(bundle);
		assert_app_reset(app);
		teardown(state);
		setup(state);
	}
}

/* It takes no message any more, but its own still count: the end comes through. */
static void gate_that_does_not_read(void **state)
{
	(void)state;
	int app[SESSIONS];
	void *failed;

	for (int i = 0; i < SESSIONS; i++)
		app[i] = app_connect();
	lab_sleep_ms(200);
	assert_int_equal(send(gate, "?", 1, 0), 1);
	assert_int_equal(pthread_join(relay, &failed), 0);
	assert_non_null(failed);
	running = false;
	for (int i = 0; i < SESSIONS; i++)
		assert_app_reset(app[i]);
}

/* gate dies with sessions in every state; all apps are reset, nothing hangs. */
static void gate_dies(void **state)
{
	(void)state;
	int first = to_appraise(5000), second = app_connect(), third = app_connect();
	struct sockaddr_storage full_at;
	int full = lab_listen(&full_at, 0);

	drop_fd();
	expect(MSG_ACCEPTED);
	expect(MSG_ACCEPTED);
	tell_connect_to(2, &full_at, 20000); /* accepted by the backlog, never answered */
	lab_sleep_ms(100);
	stop();
	assert_app_reset(first);
	assert_app_reset(second);
	assert_app_reset(third);
	close(full);
	dest_join();
}

static int group_setup(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	lab_make_cert();
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	lab_drop_cert();
	return 0;
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(announces_in_order),
	        T(pings_are_answered),
	        T(no_more_at_that_door),
	        T(refused),
	        T(bounded),
	        T(app_gone_before_connect),
	        T(destination_refuses),
	        T(app_gone_in_handshake),
	        T(cut_in_handshake),
	        T(connect_is_kept_locked),
	        T(slow_destination),
	        T(evidence_reaches_gate),
	        T(verdict_comes_too_late),
	        T(app_gone_while_appraised),
	        T(live_without_keys),
	        T(upcall_on_a_blocking_socket),
	        T(upcall_on_another),
	        T(upcall_refused),
	        T(upcall_cut_in_handshake),
	        T(lease_that_is_taken_up),
	        T(lease_that_is_not_known),
	        T(gate_that_is_not_gate),
	        T(gate_that_does_not_read),
	        T(gate_dies),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
