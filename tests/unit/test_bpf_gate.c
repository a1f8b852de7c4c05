// SPDX-License-Identifier: Apache-2.0
/*
 * The gate on the running kernel, with real sockets. Every refusal is paired with the same act
 * under a disarmed gate, or by an exempt socket, that must succeed: a test of a drop that could not
 * tell a broken network from a closed gate would prove nothing.
 */
#include "tests/unit/bpf_lab.h"
#include <linux/io_uring.h>
#include <linux/sockios.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/utsname.h>
#include <sys/syscall.h>

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

enum { RULE_GATE = 0, RULE_DENY = 1, RULE_MONITOR = 2, GENERATION = 7, QUIET_MS = 250 };

struct events {
	struct gate_event v[512];
	size_t n;
};

struct lab {
	struct intercept *i;
	int listener4, listener6;
	uint16_t port4, port6;
	struct events events;
};

/* 443 is gated, 444 denied, on both lab addresses and on loopback 8443; everything else is open. */
static size_t lab_policy(struct policy_lpm out[static 4])
{
	static const char *const ip[4] = {GATED4, GATED6, "127.0.0.1", "::1"};

	for (size_t k = 0; k < 4; k++) {
		out[k] = (struct policy_lpm){
		        .prefix = prefix(ip[k], k % 2 ? 128 : 32),
		        .ports = k < 2 ? 2 : 1,
		        .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE},
		                 {.lo = 444,
		                  .hi = 444,
		                  .action = POLICY_DENY,
		                  .err = EHOSTUNREACH,
		                  .destination = RULE_DENY}},
		};
		if (k >= 2)
			out[k].port[0].lo = out[k].port[0].hi = 8443;
	}
	return 4;
}

static void put_policy(struct lab *l, const struct policy_lpm *p, size_t n, uint32_t generation)
{
	assert_int_equal(intercept_policy(l->i, p, n, generation, l->port4, l->port6), 0);
}

static void open_gate(struct lab *l)
{
	const char *step = "";
	bool watch;
	int r = intercept_open_at(&l->i, LAB_PINS, lab_cgroup, &watch, &step);

	if (r)
		print_error("intercept_open_at: %s: %s\n", step, strerror(-r));
	assert_int_equal(r, 0);
}

static void listen_for_apps(struct lab *l)
{
	l->listener4 = server("127.0.0.1", l->port4);
	l->listener6 = server("::1", l->port6);
	l->port4 = port_of(l->listener4);
	l->port6 = port_of(l->listener6);
	assert_int_equal(intercept_mark(l->i, l->listener4, GATE_OWN_LISTENER, 0, NULL, 0), 0);
	assert_int_equal(intercept_mark(l->i, l->listener6, GATE_OWN_LISTENER, 0, NULL, 0), 0);
}

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	struct policy_lpm p[4];

	assert_non_null(l);
	open_gate(l);
	listen_for_apps(l);
	put_policy(l, p, lab_policy(p), GENERATION);
	assert_int_equal(intercept_arm(l->i, true), 0);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	intercept_close(l->i);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	if (l->listener4 >= 0)
		close(l->listener4);
	if (l->listener6 >= 0)
		close(l->listener6);
	free(l);
	return 0;
}

static uint64_t stat_of(struct lab *l, enum gate_stat k)
{
	uint64_t v[GATE_STAT_MAX];

	assert_int_equal(intercept_stats(l->i, v), 0);
	return v[k];
}

static void on_event(void *ctx, const struct gate_event *e)
{
	struct events *ev = ctx;

	if (ev->n < sizeof(ev->v) / sizeof(ev->v[0]))
		ev->v[ev->n++] = *e;
}

/* How many events of the kind came since the last call; the last one is copied out. */
static size_t events_of(struct lab *l, enum gate_event_kind kind, struct gate_event *last)
{
	size_t n = 0;

	l->events.n = 0;
	assert_true(intercept_events(l->i, on_event, &l->events) >= 0);
	for (size_t k = 0; k < l->events.n; k++) {
		if (l->events.v[k].kind != kind)
			continue;
		n++;
		if (last)
			*last = l->events.v[k];
	}
	return n;
}

static void assert_dst(const uint8_t dst[static 16], const char *ip)
{
	struct policy_prefix p = prefix(ip, 0);

	assert_memory_equal(dst, p.addr, 16);
}

static void wait_ms(int ms)
{
	poll(NULL, 0, ms);
}

/* ------------------------------------------------------------------- redirect */

/* Connects to ip:443, which must end at the listener with this intent. Returns the app's socket. */
static int redirected(struct lab *l, int app, const char *ip, int *conn, struct gate_intent *in)
{
	int listener = strchr(ip, ':') && strncmp(ip, "::ffff:", 7) ? l->listener6 : l->listener4;
	struct sockaddr_storage peer;

	assert_int_equal(try_connect(app, ip, 443, 2000), 0);
	*conn = accepted(listener, &peer, 2000);
	assert_true(*conn >= 0);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, in), 0);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, in), -ENOENT);
	return app;
}

static void check_intent(const struct gate_intent *in, int app, const char *ip, uint8_t family)
{
	socklen_t n = sizeof(uint64_t);
	char comm[16] = {0};
	uint64_t cookie;
	struct stat st;

	assert_int_equal(getsockopt(app, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	assert_int_equal(prctl(PR_GET_NAME, comm), 0);
	assert_int_equal(stat(lab_cgroup, &st), 0);
	assert_dst(in->dst, ip);
	assert_int_equal(in->dst_port, 443);
	assert_int_equal(in->mapped, !strncmp(ip, "::ffff:", 7));
	assert_int_equal(in->family, family);
	assert_int_equal(in->rule, RULE_GATE);
	assert_int_equal(in->generation, GENERATION);
	assert_int_equal(in->uid, geteuid());
	assert_int_equal(in->pid, getpid());
	assert_int_equal(in->cgroup, st.st_ino);
	assert_int_equal(in->netns, lab_netns);
	assert_int_equal(in->cookie, cookie);
	assert_memory_equal(in->comm, comm, sizeof(comm));
	assert_true(now_boot() - in->at_ns < 5000000000u);
}

static void redirects(struct lab *l, const char *ip, uint8_t family)
{
	uint64_t gated = stat_of(l, GATE_STAT_GATED);
	int app = new_socket(ip, SOCK_STREAM, 0), srv, conn;
	struct sockaddr_storage peer;
	struct gate_intent in;
	char want[64];

	srv = server(strncmp(ip, "::ffff:", 7) ? ip : GATED4, 443);
	redirected(l, app, ip, &conn, &in);
	check_intent(&in, app, ip, family);
	snprintf(want, sizeof(want), "%s 443", ip);
	assert_peer(app, want);
	assert_true(byte_passes(app, conn, 1000));
	assert_true(byte_passes(conn, app, 1000));
	assert_int_equal(accepted(srv, &peer, 0), -1);
	assert_int_equal(stat_of(l, GATE_STAT_GATED), gated + 1);
	close(conn);
	close(app);
	/* The canary: disarmed, the server there is reached, under the same name. */
	assert_int_equal(intercept_arm(l->i, false), 0);
	app = connected(ip, 443);
	conn = accepted(srv, &peer, 2000);
	assert_true(conn >= 0);
	assert_peer(app, want);
	assert_int_equal(stat_of(l, GATE_STAT_GATED), gated + 1);
	close(conn);
	close(app);
	close(srv);
}

static void test_tcp4(void **state)
{
	redirects(*state, GATED4, 4);
}

static void test_tcp6(void **state)
{
	redirects(*state, GATED6, 6);
}

static void test_tcp_mapped(void **state)
{
	redirects(*state, MAPPED4, 4);
}

static void test_open_destinations_pass(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage peer;
	int srv = server(OPEN4, 443), other = server(GATED4, 8080), app, conn;

	app = connected(OPEN4, 443);
	assert_peer(app, OPEN4 " 443");
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(app, conn, 1000));
	close(conn);
	close(app);
	/* Another port of the gated address. */
	app = connected(GATED4, 8080);
	assert_peer(app, GATED4 " 8080");
	conn = accepted(other, &peer, 2000);
	assert_true(byte_passes(conn, app, 1000));
	close(conn);
	close(app);
	close(srv);
	close(other);
	assert_int_equal(stat_of(l, GATE_STAT_BACKSTOP), 0);
	assert_int_equal(stat_of(l, GATE_STAT_GATED), 0);
}

/* A socket that was redirected once and is used again must not carry the old name along. */
static void test_socket_used_again(void **state)
{
	struct lab *l = *state;
	struct sockaddr nowhere = {.sa_family = AF_UNSPEC};
	struct sockaddr_storage peer;
	int srv = server(OPEN4, 443), app = new_socket(OPEN4, SOCK_STREAM, 0), conn;
	struct gate_intent in;

	redirected(l, app, GATED4, &conn, &in);
	close(conn);
	assert_int_equal(connect(app, &nowhere, sizeof(nowhere)), 0);
	assert_int_equal(try_connect(app, OPEN4, 443, 2000), 0);
	assert_peer(app, OPEN4 " 443");
	conn = accepted(srv, &peer, 2000);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), -ENOENT);
	close(conn);
	assert_int_equal(connect(app, &nowhere, sizeof(nowhere)), 0);
	redirected(l, app, GATED4, &conn, &in);
	close(conn);
	close(app);
	close(srv);
}

/* "Any" is loopback to the kernel, so it is loopback to the policy. */
static void test_any_is_loopback(void **state)
{
	static const struct {
		const char *ip, *dst;
	} way[] = {{"0.0.0.0", "127.0.0.1"},
	           {"127.0.0.1", "127.0.0.1"},
	           {"::", "::1"},
	           {"::1", "::1"},
	           {"::ffff:0.0.0.0", "127.0.0.1"},
	           {"::ffff:127.0.0.1", "127.0.0.1"}};
	struct lab *l = *state;

	for (size_t k = 0; k < sizeof(way) / sizeof(way[0]); k++) {
		bool six = !strcmp(way[k].dst, "::1");
		struct sockaddr_storage peer;
		struct gate_intent in;
		int app = connected(way[k].ip, 8443), conn;

		conn = accepted(six ? l->listener6 : l->listener4, &peer, 2000);
		assert_true(conn >= 0);
		assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
		assert_dst(in.dst, way[k].dst);
		assert_int_equal(in.dst_port, 8443);
		assert_true(byte_passes(app, conn, 1000));
		assert_true(byte_passes(conn, app, 1000));
		close(conn);
		close(app);
	}
}

/* Whoever connects to keygated's port by himself, from a port whose last owner's intent was never
 * taken, is nobody. */
static void test_visitor_finds_no_intent(void **state)
{
	struct lab *l = *state;
	struct linger at_once = {.l_onoff = 1};
	int one = 1, app = new_socket(GATED4, SOCK_STREAM, 0), conn;
	struct sockaddr_storage peer, own;
	struct gate_intent in;

	assert_int_equal(try_connect(app, GATED4, 443, 2000), 0);
	own = at("127.0.0.1", port_of(app));
	setsockopt(app, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
	close(app);
	close(accepted(l->listener4, &peer, 2000));
	app = new_socket("127.0.0.1", SOCK_STREAM, 0);
	setsockopt(app, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(app, (struct sockaddr *)&own, at_len(&own)), 0);
	assert_int_equal(try_connect(app, "127.0.0.1", l->port4, 2000), 0);
	conn = accepted(l->listener4, &peer, 2000);
	assert_int_equal(port_of(app), ntohs(((struct sockaddr_in *)&peer)->sin_port));
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), -ENOENT);
	close(conn);
	close(app);
}

static void test_mptcp(void **state)
{
	struct lab *l = *state;
	struct gate_intent in;
	int conn, app = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (app < 0)
		skip();
	redirected(l, app, GATED4, &conn, &in);
	assert_dst(in.dst, GATED4);
	assert_true(byte_passes(app, conn, 1000));
	close(conn);
	close(app);
}

static void test_fast_open(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage dst = at(GATED4, 443), peer;
	struct gate_intent in;
	int conn, app = new_socket(GATED4, SOCK_STREAM, 0);
	char c = 0;

	assert_int_equal(sendto(app, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&dst, at_len(&dst)),
	                 1);
	conn = accepted(l->listener4, &peer, 2000);
	assert_true(conn >= 0);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
	assert_dst(in.dst, GATED4);
	assert_true(ready(conn, POLLIN, 1000));
	assert_int_equal(recv(conn, &c, 1, 0), 1);
	assert_int_equal(c, 'x');
	close(conn);
	close(app);
}

/* The result of IORING_OP_CONNECT, or -ENOSYS where io_uring is not to be had. */
static int uring_connect(int fd, const struct sockaddr_storage *dst)
{
	struct io_uring_params p = {0};
	size_t sq_n, cq_n, sqe_n;
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;
	uint8_t *sq, *cq;
	int ring = (int)syscall(SYS_io_uring_setup, 4, &p), res;

	if (ring < 0)
		return -ENOSYS;
	sq_n = p.sq_off.array + p.sq_entries * sizeof(uint32_t);
	cq_n = p.cq_off.cqes + p.cq_entries * sizeof(*cqe);
	sqe_n = p.sq_entries * sizeof(*sqe);
	sq = mmap(NULL, sq_n, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, cq_n, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	sqe = mmap(NULL, sqe_n, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	assert_true(sq != MAP_FAILED && cq != MAP_FAILED && sqe != MAP_FAILED);
	sqe->opcode = IORING_OP_CONNECT;
	sqe->fd = fd;
	sqe->addr = (uintptr_t)dst;
	sqe->off = at_len(dst);
	*(volatile uint32_t *)(void *)(sq + p.sq_off.tail) += 1;
	assert_int_equal(syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0),
	                 1);
	cqe = (void *)(cq + p.cq_off.cqes);
	res = cqe->res;
	munmap(sq, sq_n);
	munmap(cq, cq_n);
	munmap(sqe, sqe_n);
	close(ring);
	return res;
}

static void test_io_uring(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage dst = at(GATED4, 443), peer;
	int conn, r, app = new_socket(GATED4, SOCK_STREAM, 0);
	struct gate_intent in;

	r = uring_connect(app, &dst);
	if (r == -ENOSYS) {
		close(app);
		skip();
	}
	assert_int_equal(r, 0);
	conn = accepted(l->listener4, &peer, 2000);
	assert_true(conn >= 0);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
	assert_dst(in.dst, GATED4);
	close(conn);
	close(app);
}

/* -------------------------------------------------------------------- refusals */

/* The errno of a datagram to ip:port, unconnected or connected. */
static int datagram_errno(const char *ip, uint16_t port, bool with_connect)
{
	int fd = new_socket(ip, SOCK_DGRAM, 0), r = 0;
	struct sockaddr_storage dst = at(ip, port);

	if (with_connect) {
		r = connect(fd, (struct sockaddr *)&dst, at_len(&dst));
		if (!r && send(fd, "x", 1, 0) != 1)
			r = -1;
	} else if (sendto(fd, "x", 1, 0, (struct sockaddr *)&dst, at_len(&dst)) != 1) {
		r = -1;
	}
	r = r ? errno : 0;
	close(fd);
	return r;
}

static void test_deny_with_errno(void **state)
{
	struct lab *l = *state;
	int srv4 = server(GATED4, 444), srv6 = server(GATED6, 444);
	struct gate_event e = {0};

	assert_int_equal(connect_errno(GATED4, 444), EHOSTUNREACH);
	assert_int_equal(connect_errno(GATED6, 444), EHOSTUNREACH);
	assert_int_equal(connect_errno(MAPPED4, 444), EHOSTUNREACH);
	assert_int_equal(stat_of(l, GATE_STAT_DENIED), 3);
	assert_int_equal(events_of(l, GATE_EVENT_DENY, &e), 3);
	assert_int_equal(e.rule, RULE_DENY);
	assert_int_equal(e.dst_port, 444);
	assert_int_equal(e.proto, IPPROTO_TCP);
	assert_int_equal(e.pid, getpid());
	assert_dst(e.dst, GATED4);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(connect_errno(GATED4, 444), 0);
	assert_int_equal(connect_errno(GATED6, 444), 0);
	close(srv4);
	close(srv6);
}

/* A number that is no errno must not turn a refusal into something else. */
static void test_deny_with_odd_errno(void **state)
{
	static const struct {
		uint16_t err;
		int want;
	} way[] = {{0, EPERM}, {255, 255}, {256, EPERM}, {0xffff, EPERM}};
	struct lab *l = *state;
	struct policy_lpm p[4];
	int srv = server(GATED4, 444), usrv = bound(GATED4, 444, SOCK_DGRAM);

	for (size_t k = 0; k < sizeof(way) / sizeof(way[0]); k++) {
		lab_policy(p);
		p[0].port[1].err = way[k].err;
		put_policy(l, p, 1, GENERATION);
		assert_int_equal(connect_errno(GATED4, 444), way[k].want);
		assert_int_equal(datagram_errno(GATED4, 444, false), way[k].want);
	}
	assert_false(ready(srv, POLLIN, 0));
	assert_false(ready(usrv, POLLIN, 0));
	close(srv);
	close(usrv);
}

static void test_no_listener(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443);

	close(l->listener4);
	l->listener4 = -1;
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	assert_int_equal(connect_errno(MAPPED4, 443), ECONNREFUSED);
	assert_int_equal(stat_of(l, GATE_STAT_NO_LISTENER), 2);
	assert_int_equal(events_of(l, GATE_EVENT_DENY, NULL), 2);
	/* The other family's listener is still there. */
	assert_int_equal(connect_errno(GATED6, 443), 0);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(connect_errno(GATED4, 443), 0);
	close(srv);
}

/* Somebody else on keygated's port: refused at connect, and deaf to what comes anyway. */
static void test_impostor(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage peer;
	int impostor, visitor;

	close(l->listener4);
	impostor = l->listener4 = server("127.0.0.1", l->port4);
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	visitor = socket_outside("127.0.0.1");
	assert_int_equal(try_connect(visitor, "127.0.0.1", l->port4, QUIET_MS), ETIMEDOUT);
	close(visitor);
	assert_int_equal(accepted(impostor, &peer, 0), -1);
	/* With the mark, both ways are open. */
	assert_int_equal(intercept_mark(l->i, impostor, GATE_OWN_LISTENER, 0, NULL, 0), 0);
	assert_int_equal(connect_errno(GATED4, 443), 0);
	visitor = socket_outside("127.0.0.1");
	assert_int_equal(try_connect(visitor, "127.0.0.1", l->port4, 2000), 0);
	close(visitor);
	assert_int_equal(intercept_mark(l->i, impostor, GATE_OWN_NONE, 0, NULL, 0), 0);
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
}

/* The port belongs to keygated on the loopback address only. */
static void test_port_elsewhere(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage peer;
	int srv = server(OPEN4, l->port4), app = connected(OPEN4, l->port4), conn;

	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(app, conn, 1000));
	close(conn);
	close(app);
	close(srv);
}

/* The exit status of a child in a network namespace of its own: the errno of its connect. */
static int errno_in_other_namespace(bool listener_too, uint16_t port4)
{
	int status = -1, srv, err;
	pid_t child = fork();

	if (child == 0) {
		lab_network();
		srv = server(GATED4, 443);
		if (listener_too)
			(void)server("127.0.0.1", port4);
		err = connect_errno(GATED4, 443);
		close(srv);
		_exit(err);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void test_unserved_namespace(void **state)
{
	struct lab *l = *state;

	assert_int_equal(errno_in_other_namespace(false, l->port4), ECONNREFUSED);
	assert_int_equal(errno_in_other_namespace(true, l->port4), ECONNREFUSED);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(errno_in_other_namespace(false, l->port4), 0);
}

/* ------------------------------------------------------------------- datagrams */

static void test_datagrams(void **state)
{
	static const char *const ip[] = {GATED4, GATED6, MAPPED4};
	struct lab *l = *state;
	struct gate_event e = {0};
	int srv[3];

	srv[0] = bound(GATED4, 443, SOCK_DGRAM);
	srv[1] = bound(GATED6, 443, SOCK_DGRAM);
	srv[2] = bound(OPEN4, 443, SOCK_DGRAM);
	for (int c = 0; c < 2; c++) {
		for (size_t k = 0; k < 3; k++) {
			assert_int_equal(datagram_errno(ip[k], 443, c), EPERM);
			assert_int_equal(datagram_errno(ip[k], 444, c), EHOSTUNREACH);
		}
		assert_int_equal(datagram_errno(OPEN4, 443, c), 0);
		assert_int_equal(datagram_errno(GATED4, 5353, c), 0);
	}
	assert_int_equal(stat_of(l, GATE_STAT_DATAGRAM), 12);
	assert_int_equal(events_of(l, GATE_EVENT_DATAGRAM, &e), 12);
	assert_int_equal(e.proto, IPPROTO_UDP);
	assert_false(ready(srv[0], POLLIN, 0));
	assert_false(ready(srv[1], POLLIN, 0));
	assert_true(ready(srv[2], POLLIN, 1000));
	assert_int_equal(intercept_arm(l->i, false), 0);
	for (int c = 0; c < 2; c++)
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(datagram_errno(ip[k], 443, c), 0);
	assert_true(ready(srv[0], POLLIN, 1000));
	assert_true(ready(srv[1], POLLIN, 1000));
	for (size_t k = 0; k < 3; k++)
		close(srv[k]);
}

static void test_datagram_to_any(void **state)
{
	struct lab *l = *state;
	int srv = bound("127.0.0.1", 8443, SOCK_DGRAM);

	assert_int_equal(datagram_errno("0.0.0.0", 8443, false), EPERM);
	assert_int_equal(datagram_errno("0.0.0.0", 8443, true), EPERM);
	assert_int_equal(datagram_errno("::", 8443, false), EPERM);
	/* By the hook that can say so to the caller, not by the last resort. */
	assert_int_equal(stat_of(l, GATE_STAT_DATAGRAM), 3);
	assert_int_equal(stat_of(l, GATE_STAT_BACKSTOP), 0);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(datagram_errno("0.0.0.0", 8443, false), 0);
	close(srv);
}

/* -------------------------------------------------------------------- backstop */

/* A socket that is older than the policy, TCP and UDP. */
static void test_older_than_the_policy(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), usrv = bound(GATED4, 443, SOCK_DGRAM), app, udp, conn;
	struct sockaddr_storage peer, dst = at(GATED4, 443);
	struct gate_event e = {0};

	assert_int_equal(intercept_arm(l->i, false), 0);
	app = connected(GATED4, 443);
	conn = accepted(srv, &peer, 2000);
	udp = new_socket(GATED4, SOCK_DGRAM, 0);
	assert_int_equal(connect(udp, (struct sockaddr *)&dst, at_len(&dst)), 0);
	assert_true(byte_passes(app, conn, 1000));
	assert_int_equal(intercept_arm(l->i, true), 0);
	assert_false(byte_passes(app, conn, QUIET_MS));
	assert_int_equal(send(udp, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
	assert_false(ready(usrv, POLLIN, 0));
	assert_true(stat_of(l, GATE_STAT_BACKSTOP) >= 2);
	assert_true(events_of(l, GATE_EVENT_BACKSTOP, &e) >= 2);
	assert_int_equal(e.dst_port, 443);
	assert_int_equal(e.rule, RULE_GATE);
	assert_dst(e.dst, GATED4);
	/* The canary: disarmed, TCP sends it again by itself. */
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_true(ready(conn, POLLIN, 5000));
	assert_int_equal(send(udp, "x", 1, 0), 1);
	assert_true(ready(usrv, POLLIN, 1000));
	close(app);
	close(conn);
	close(srv);
	close(udp);
	close(usrv);
}

/* Stands for a port in raw6_to: the packet is then this ICMPv6 message. */
#define ROUTER_SOLICITATION 1

/* An IPv4 packet of our own making. Returns the errno of sending it. */
static int raw4(uint8_t proto, uint16_t frag, const void *body, size_t n)
{
	struct sockaddr_storage dst = at(GATED4, 0), src = at(OPEN4, 0);
	int fd = new_socket(GATED4, SOCK_RAW, IPPROTO_RAW), r;
	uint8_t packet[256] = {0};
	struct sockaddr_in a;
	struct iphdr h = {.version = 4, .ihl = 5, .ttl = 64, .protocol = proto};

	h.frag_off = htons(frag);
	h.tot_len = htons((uint16_t)(sizeof(h) + n));
	memcpy(&a, &dst, sizeof(a));
	h.daddr = a.sin_addr.s_addr;
	memcpy(&a, &src, sizeof(a));
	h.saddr = a.sin_addr.s_addr;
	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), body, n);
	r = sendto(fd, packet, sizeof(h) + n, 0, (struct sockaddr *)&dst, at_len(&dst)) < 0 ? errno
	                                                                                    : 0;
	close(fd);
	return r;
}

static int raw4_ports(uint8_t proto, uint16_t port)
{
	uint16_t body[10] = {htons(4000), htons(port), htons(20)};

	return raw4(proto, 0, body, sizeof(body));
}

static int raw4_icmp(uint8_t type)
{
	uint8_t body[16] = {type};

	return raw4(IPPROTO_ICMP, 0, body, sizeof(body));
}

/* A packet to an open address with one IP option, which names a gated one. */
static int raw4_option(uint8_t kind)
{
	struct sockaddr_storage dst = at(OPEN4, 0);
	int fd = new_socket(OPEN4, SOCK_RAW, IPPROTO_RAW), r;
	struct {
		struct iphdr h;
		uint8_t option[8], body[8];
	} p = {.h = {.version = 4, .ihl = 7, .ttl = 64, .protocol = IPPROTO_GRE},
	       .option = {kind, 7, 4, 203, 0, 113, 7, 1}};
	struct sockaddr_in a;

	if (kind == 148) { /* router alert */
		p.h.ihl = 6;
		memcpy(p.option, (uint8_t[4]){kind, 4, 0, 0}, 4);
	}
	p.h.tot_len = htons(sizeof(p));
	memcpy(&a, &dst, sizeof(a));
	p.h.daddr = p.h.saddr = a.sin_addr.s_addr;
	r = sendto(fd, &p, sizeof(p), 0, (struct sockaddr *)&dst, at_len(&dst)) < 0 ? errno : 0;
	close(fd);
	return r;
}

static void test_raw4(void **state)
{
	static const uint8_t ported[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_DCCP};
	struct lab *l = *state;
	uint8_t body[64] = {0};
	int usrv = bound(GATED4, 443, SOCK_DGRAM);

	for (size_t k = 0; k < sizeof(ported); k++) {
		assert_int_equal(raw4_ports(ported[k], 443), EPERM);
		assert_int_equal(raw4_ports(ported[k], 8080), 0);
	}
	/* Without a port in sight, the address decides. */
	assert_int_equal(raw4(IPPROTO_UDP, 1, body, sizeof(body)), EPERM);
	assert_int_equal(raw4(IPPROTO_UDP, 0, body, 2), EPERM);
	assert_int_equal(raw4(IPPROTO_GRE, 0, body, sizeof(body)), EPERM);
	assert_int_equal(raw4(IPPROTO_ICMPV6, 0, (uint8_t[8]){ICMP_ECHOREPLY}, 8), EPERM);
	/* The kernel may send the last two, a program may not. */
	assert_int_equal(raw4_icmp(ICMP_ECHO), EPERM);
	assert_int_equal(raw4_icmp(ICMP_ECHOREPLY), EPERM);
	assert_int_equal(raw4_icmp(ICMP_DEST_UNREACH), EPERM);
	assert_true(stat_of(l, GATE_STAT_BACKSTOP) >= 11);
	assert_false(ready(usrv, POLLIN, 0));
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(raw4(IPPROTO_UDP, 1, body, sizeof(body)), 0);
	assert_int_equal(raw4(IPPROTO_GRE, 0, body, sizeof(body)), 0);
	assert_int_equal(raw4_icmp(ICMP_ECHO), 0);
	assert_int_equal(raw4_ports(IPPROTO_UDP, 443), 0);
	assert_true(ready(usrv, POLLIN, 1000));
	close(usrv);
}

/* ------------------------------------------------------------------- monitored */

/* What lab_policy gates on the lab's addresses is only monitored. */
static void monitor_instead(struct lab *l)
{
	struct policy_lpm p[4];
	size_t n = lab_policy(p);

	for (size_t k = 0; k < 2; k++) {
		p[k].port[0].action = POLICY_MONITOR;
		p[k].port[0].destination = RULE_MONITOR;
	}
	put_policy(l, p, n, GENERATION + 1);
}

static void check_told(const struct gate_event *e, const char *ip)
{
	char comm[16] = {0};
	struct stat st;

	assert_int_equal(prctl(PR_GET_NAME, comm), 0);
	assert_int_equal(stat(lab_cgroup, &st), 0);
	assert_dst(e->dst, ip);
	assert_int_equal(e->dst_port, 443);
	assert_int_equal(e->rule, RULE_MONITOR);
	assert_int_equal(e->generation, GENERATION + 1);
	assert_int_equal(e->proto, IPPROTO_TCP);
	assert_int_equal(e->uid, geteuid());
	assert_int_equal(e->pid, getpid());
	assert_int_equal(e->cgroup, st.st_ino);
	assert_int_equal(e->netns, lab_netns);
	assert_memory_equal(e->comm, comm, sizeof(comm));
}

/* As under a rule that allows, whether keygated is there or not; and it is told. */
static void test_monitored(void **state)
{
	static const char *const ip[] = {GATED4, GATED6, MAPPED4};
	struct lab *l = *state;
	uint16_t port4 = l->port4;

	for (unsigned served = 0; served < 2; served++) {
		l->port4 = served ? port4 : 0;
		monitor_instead(l);
		for (size_t k = 0; k < 3; k++) {
			struct sockaddr_storage peer;
			struct gate_event e = {0};
			int srv = server(k == 2 ? GATED4 : ip[k], 443), app, conn;

			app = connected(ip[k], 443);
			conn = accepted(srv, &peer, 2000);
			assert_true(conn >= 0);
			assert_true(byte_passes(app, conn, 1000));
			assert_true(byte_passes(conn, app, 1000));
			assert_int_equal(events_of(l, GATE_EVENT_MONITOR, &e), 1);
			check_told(&e, ip[k]);
			close(app);
			close(conn);
			close(srv);
		}
	}
	assert_int_equal(stat_of(l, GATE_STAT_MONITORED), 6);
	assert_int_equal(stat_of(l, GATE_STAT_MONITOR_LOST), 0);
	assert_int_equal(stat_of(l, GATE_STAT_GATED), 0);
	assert_int_equal(stat_of(l, GATE_STAT_BACKSTOP), 0);
	/* Its neighbour is denied as ever; and disarmed, nobody is told. */
	assert_int_equal(connect_errno(GATED4, 444), EHOSTUNREACH);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	assert_int_equal(stat_of(l, GATE_STAT_MONITORED), 6);
}

/* What is no stream passes too, and nobody is told: there is nothing that could be judged. */
static void test_monitored_datagrams(void **state)
{
	static const char *const ip[] = {GATED4, GATED6, MAPPED4};
	struct policy_lpm p = {
	        .prefix = prefix(GATED4, 32),
	        .ports = 1,
	        .port = {{.lo = 0, .hi = 0xffff, .action = POLICY_MONITOR}},
	};
	struct lab *l = *state;

	monitor_instead(l);
	for (int c = 0; c < 2; c++)
		for (size_t k = 0; k < 3; k++)
			assert_int_equal(datagram_errno(ip[k], 443, c), 0);
	assert_int_equal(raw4_ports(IPPROTO_TCP, 443), 0);
	/* A port of the address is denied. */
	assert_int_equal(raw4(IPPROTO_GRE, 0, "12345678", 8), EPERM);
	put_policy(l, &p, 1, GENERATION);
	assert_int_equal(raw4(IPPROTO_GRE, 0, "12345678", 8), 0);
	assert_int_equal(raw4_icmp(ICMP_ECHO), 0);
	assert_int_equal(events_of(l, GATE_EVENT_MONITOR, NULL), 0);
	assert_int_equal(stat_of(l, GATE_STAT_MONITORED), 0);
}

/* What was let through while it was only looked at ends with that. */
static void test_monitored_then_gated(void **state)
{
	int srv = server(GATED4, 443), app, conn, again;
	struct sockaddr_storage peer;
	struct lab *l = *state;
	struct policy_lpm p[4];
	struct gate_intent in;

	monitor_instead(l);
	app = connected(GATED4, 443);
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(app, conn, 1000));
	put_policy(l, p, lab_policy(p), GENERATION);
	assert_false(byte_passes(app, conn, QUIET_MS));
	assert_true(stat_of(l, GATE_STAT_BACKSTOP) > 0);
	close(conn);
	redirected(l, new_socket(GATED4, SOCK_STREAM, 0), GATED4, &again, &in);
	assert_int_equal(in.rule, RULE_GATE);
	/* And the other way about. */
	close(app);
	close(again);
	monitor_instead(l);
	app = connected(GATED4, 443);
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(app, conn, 1000));
	close(app);
	close(conn);
	close(srv);
}

/* Nobody is there, so that each connect comes back at once: none of them waits for keygated. */
static void test_monitored_is_never_held_up(void **state)
{
	enum { CONNECTS = 1500 };
	struct lab *l = *state;
	uint64_t lost;

	monitor_instead(l);
	for (int k = 0; k < CONNECTS; k++)
		assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	lost = stat_of(l, GATE_STAT_MONITOR_LOST);
	assert_true(lost > 0);
	assert_int_equal(stat_of(l, GATE_STAT_MONITORED), CONNECTS);
	assert_int_equal(stat_of(l, GATE_STAT_NO_LISTENER), 0);
	/* Of refusals none was lost for them. */
	assert_int_equal(stat_of(l, GATE_STAT_EVENT_LOST), 0);
	assert_int_equal(connect_errno(GATED4, 444), EHOSTUNREACH);
	l->events.n = 0;
	assert_int_equal(intercept_events(l->i, on_event, &l->events), CONNECTS - (int)lost + 1);
}

/* Without a port in sight a packet passes only where an address is open from end to end. */
static void test_no_port_in_sight(void **state)
{
	struct lab *l = *state;
	struct policy_lpm p = {.prefix = prefix(GATED4, 32),
	                       .ports = 2,
	                       .port = {{.lo = 0, .hi = 0xffff, .action = POLICY_ALLOW},
	                                {.lo = 0, .hi = 0xffff, .action = POLICY_DENY}}};

	put_policy(l, &p, 1, GENERATION);
	assert_int_equal(raw4(IPPROTO_GRE, 0, "12345678", 8), 0);
	p.port[0].lo = 1;
	put_policy(l, &p, 1, GENERATION);
	assert_int_equal(raw4(IPPROTO_GRE, 0, "12345678", 8), EPERM);
}

/* An IPv6 packet: extension headers as named, then a UDP header. */
static int raw6_to(const char *to, const uint8_t *ext, size_t exts, uint8_t last, uint16_t port,
                   uint16_t frag)
{
	struct sockaddr_storage dst = at(to, 0), src = at(OPEN6, 0);
	int fd = new_socket(GATED6, SOCK_RAW, IPPROTO_RAW), r;
	uint8_t packet[256] = {0};
	struct sockaddr_in6 d, s;
	struct ip6_hdr h = {0};
	size_t off = sizeof(h);

	memcpy(&d, &dst, sizeof(d));
	memcpy(&s, &src, sizeof(s));
	for (size_t k = 0; k < exts; k++, off += 8) {
		packet[off] = k + 1 < exts ? ext[k + 1] : last;
		if (ext[k] == IPPROTO_FRAGMENT)
			memcpy(packet + off + 2, &(uint16_t){htons(frag)}, 2);
		else
			packet[off + 2] = 1, packet[off + 3] = 4; /* PadN over the rest */
	}
	/* The first byte is also the type of an ICMPv6 message: echo reply, router solicitation. */
	memcpy(packet + off,
	       (uint16_t[4]){htons(port == ROUTER_SOLICITATION ? 0x8500 : 0x8101), htons(port),
	                     htons(12)},
	       8);
	off += 12;
	h.ip6_vfc = 6 << 4;
	h.ip6_nxt = exts ? ext[0] : last;
	h.ip6_hlim = 64;
	h.ip6_plen = htons((uint16_t)(off - sizeof(h)));
	h.ip6_dst = d.sin6_addr;
	h.ip6_src = s.sin6_addr;
	memcpy(packet, &h, sizeof(h));
	r = sendto(fd, packet, off, 0, (struct sockaddr *)&dst, sizeof(d)) < 0 ? errno : 0;
	close(fd);
	return r;
}

static int raw6(const uint8_t *ext, size_t exts, uint8_t last, uint16_t port, uint16_t frag)
{
	return raw6_to(GATED6, ext, exts, last, port, frag);
}

static void test_raw6(void **state)
{
	static const uint8_t opts[] = {60, 60, 60, 60, 60, 60, 60}, hop[] = {0, 60},
	                     frag[] = {IPPROTO_FRAGMENT}, route[] = {IPPROTO_ROUTING};
	struct lab *l = *state;

	assert_int_equal(raw6(NULL, 0, IPPROTO_UDP, 443, 0), EPERM);
	assert_int_equal(raw6(NULL, 0, IPPROTO_UDP, 8080, 0), 0);
	assert_int_equal(raw6(hop, 2, IPPROTO_UDP, 443, 0), EPERM);
	assert_int_equal(raw6(hop, 2, IPPROTO_UDP, 8080, 0), 0);
	assert_int_equal(raw6(opts, 6, IPPROTO_UDP, 443, 0), EPERM);
	assert_int_equal(raw6(opts, 6, IPPROTO_UDP, 8080, 0), 0);
	/* More headers than are followed, a later fragment, a routing header, an unknown one. */
	assert_int_equal(raw6(opts, 7, IPPROTO_UDP, 8080, 0), EPERM);
	assert_int_equal(raw6(frag, 1, IPPROTO_UDP, 8080, 8), EPERM);
	assert_int_equal(raw6(frag, 1, IPPROTO_UDP, 8080, 1), 0);
	assert_int_equal(raw6(frag, 1, IPPROTO_UDP, 443, 1), EPERM);
	assert_int_equal(raw6(route, 1, IPPROTO_UDP, 8080, 0), EPERM);
	assert_int_equal(raw6(NULL, 0, IPPROTO_ESP, 8080, 0), EPERM);
	assert_int_equal(raw6(NULL, 0, IPPROTO_ICMP, 8080, 0), EPERM);
	assert_int_equal(raw6(NULL, 0, IPPROTO_ICMPV6, 8080, 0), EPERM);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(raw6(NULL, 0, IPPROTO_UDP, 443, 0), 0);
	assert_int_equal(raw6(opts, 7, IPPROTO_UDP, 8080, 0), 0);
	assert_int_equal(raw6(frag, 1, IPPROTO_UDP, 8080, 8), 0);
	assert_int_equal(raw6(route, 1, IPPROTO_UDP, 8080, 0), 0);
	assert_int_equal(raw6(NULL, 0, IPPROTO_ESP, 8080, 0), 0);
	assert_int_equal(raw6(NULL, 0, IPPROTO_ICMP, 8080, 0), 0);
}

/* The stop is open, what comes after it can't be seen. */
static void test_source_routes(void **state)
{
	static const uint8_t opts[] = {60, 60, 60, 60, 60, 60, 60}, route[] = {IPPROTO_ROUTING};
	struct lab *l = *state;

	assert_int_equal(raw6_to(OPEN6, opts, 6, IPPROTO_UDP, 443, 0), 0);
	assert_int_equal(raw6_to(OPEN6, opts, 7, IPPROTO_UDP, 443, 0), EPERM);
	assert_int_equal(raw6_to(OPEN6, route, 1, IPPROTO_UDP, 443, 0), EPERM);
	assert_int_equal(raw4_option(131), EPERM);
	assert_int_equal(raw4_option(137), EPERM);
	assert_int_equal(raw4_option(148), 0);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(raw6_to(OPEN6, route, 1, IPPROTO_UDP, 443, 0), 0);
	assert_int_equal(raw4_option(131), 0);
}

/* What configures a host passes where only the default speaks of it; data in ICMP does not. */
static void test_neighbours(void **state)
{
	struct policy_lpm p[2] = {{.prefix = prefix("::", 0), .ports = 1},
	                          {.prefix = prefix(GATED6, 128), .ports = 1}};

	p[0].port[0] = (struct policy_lpm_port){
	        .hi = 0xffff, .action = POLICY_DENY, .destination = UINT32_MAX};
	p[1].port[0] = (struct policy_lpm_port){
	        .hi = 0xffff, .action = POLICY_DENY, .destination = RULE_DENY};
	put_policy(*state, p, 2, GENERATION);
	assert_int_equal(raw6_to(OPEN6, NULL, 0, IPPROTO_ICMPV6, ROUTER_SOLICITATION, 0), 0);
	assert_int_equal(raw6_to(OPEN6, NULL, 0, IPPROTO_ICMPV6, 8080, 0), EPERM);
	assert_int_equal(raw6_to(GATED6, NULL, 0, IPPROTO_ICMPV6, ROUTER_SOLICITATION, 0), EPERM);
}

/* Takes the mark from a program's raw socket: what is left is like one of the kernel's own. */
static void as_the_kernels(int fd)
{
	int map = bpf_obj_get(LAB_MAP("kg_raw"));

	assert_true(map >= 0);
	assert_int_equal(bpf_map_delete_elem(map, &fd), 0);
	close(map);
}

/* A TCP segment by a raw socket. Returns the errno of sending it. */
static int raw_segment(bool kernels, uint8_t flags, size_t payload)
{
	struct sockaddr_storage dst = at(GATED4, 0);
	struct tcphdr h = {.source = htons(4000), .dest = htons(443), .doff = 5};
	int fd = new_socket(GATED4, SOCK_RAW, IPPROTO_TCP), r;
	uint8_t segment[64] = {0};

	if (kernels)
		as_the_kernels(fd);
	h.th_flags = flags;
	memcpy(segment, &h, sizeof(h));
	r = sendto(fd, segment, sizeof(h) + payload, 0, (struct sockaddr *)&dst, at_len(&dst)) < 0
	            ? errno
	            : 0;
	close(fd);
	return r;
}

/* Resets and last acknowledgements of the kernel pass; a segment that opens or carries does not,
 * and none of a program. */
static void test_kernel_tcp(void **state)
{
	struct sockaddr_storage from = at(GATED6, 443);
	int one = 1, visitor = socket_outside(GATED6);

	(void)state;
	setsockopt(visitor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(visitor, (struct sockaddr *)&from, at_len(&from)), 0);
	assert_int_equal(try_connect(visitor, OPEN6, 4000, 2000), ECONNREFUSED);
	close(visitor);
	assert_int_equal(raw_segment(true, TH_RST, 0), 0);
	assert_int_equal(raw_segment(true, TH_ACK, 0), 0);
	assert_int_equal(raw_segment(true, TH_ACK, 1), EPERM);
	assert_int_equal(raw_segment(true, TH_SYN, 0), EPERM);
	assert_int_equal(raw_segment(true, TH_SYN | TH_ACK, 0), EPERM);
	assert_int_equal(raw_segment(false, TH_RST, 0), EPERM);
	assert_int_equal(raw_segment(false, TH_ACK, 0), EPERM);
}

/* A policy that denies by default still lets keygated serve and local servers answer. */
static void test_default_deny(void **state)
{
	struct lab *l = *state;
	struct policy_lpm p[6];
	struct sockaddr_storage peer;
	int srv = server(OPEN4, 4000), app, conn, visitor;
	struct gate_intent in;

	lab_policy(p);
	for (size_t k = 0; k < 6; k++) {
		if (k >= 4)
			p[k] = (struct policy_lpm){.prefix = prefix(k == 4 ? "0.0.0.0" : "::", 0)};
		p[k].port[p[k].ports++] = (struct policy_lpm_port){.hi = 0xffff,
		                                                   .action = POLICY_DENY,
		                                                   .err = EACCES,
		                                                   .destination = UINT32_MAX};
	}
	put_policy(l, p, 6, GENERATION);
	assert_int_equal(connect_errno(OPEN4, 4000), EACCES);
	app = new_socket(GATED4, SOCK_STREAM, 0);
	redirected(l, app, GATED4, &conn, &in);
	assert_true(byte_passes(app, conn, 1000));
	assert_true(byte_passes(conn, app, 1000));
	close(conn);
	close(app);
	visitor = socket_outside(OPEN4);
	assert_int_equal(try_connect(visitor, OPEN4, 4000, 2000), 0);
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(conn, visitor, 1000));
	close(conn);
	close(visitor);
	/* Not by a raw socket that borrows the server's port. */
	assert_int_equal(raw4_ports(IPPROTO_TCP, 9999), EPERM);
	/* Where a rule names the visitor, the server's answer is dropped like all else. */
	p[4].port[0].destination = RULE_DENY;
	put_policy(l, p, 6, GENERATION);
	visitor = socket_outside(OPEN4);
	assert_int_equal(try_connect(visitor, OPEN4, 4000, QUIET_MS), ETIMEDOUT);
	close(visitor);
	close(srv);
}

/* An IPv4/UDP or TCP packet that claims to come from keygated's listener, to the far end. */
static int raw_as_listener(uint16_t port4)
{
	struct sockaddr_storage dst = at("192.0.2.1", 0);
	struct iphdr h = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	uint16_t tcp[10] = {htons(port4), htons(443)};
	int fd = new_socket("192.0.2.1", SOCK_RAW, IPPROTO_RAW), r;
	uint8_t packet[sizeof(h) + sizeof(tcp)];

	h.tot_len = htons(sizeof(packet));
	h.saddr = htonl(INADDR_LOOPBACK);
	h.daddr = inet_addr("192.0.2.1");
	memcpy(packet, &h, sizeof(h));
	memcpy(packet + sizeof(h), tcp, sizeof(tcp));
	r = sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&dst, at_len(&dst)) < 0;
	r = r ? errno : 0;
	close(fd);
	return r;
}

/* What is exempt for the sake of the listener is so on the loopback device only. */
static void test_other_device(void **state)
{
	struct lab *l = *state;
	struct policy_lpm p = {.prefix = prefix("192.0.2.1", 32),
	                       .ports = 1,
	                       .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE}}};
	struct sockaddr_storage peer;
	int app = new_socket("192.0.2.1", SOCK_STREAM, 0), conn;

	if (!add_device())
		skip();
	put_policy(l, &p, 1, GENERATION);
	assert_int_equal(raw_as_listener(l->port4), EPERM);
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_int_equal(raw_as_listener(l->port4), 0);
	assert_int_equal(intercept_arm(l->i, true), 0);
	/* Bound to the device, an app can't be brought to the listener: that ends in nothing. */
	assert_int_equal(setsockopt(app, SOL_SOCKET, SO_BINDTODEVICE, "kg0", 4), 0);
	assert_int_not_equal(try_connect(app, "192.0.2.1", 443, QUIET_MS), 0);
	close(app);
	app = connected("192.0.2.1", 443);
	conn = accepted(l->listener4, &peer, 2000);
	assert_true(conn >= 0);
	close(conn);
	close(app);
}

/* -------------------------------------------------------------------- sessions */

static void mark_upstream(struct lab *l, int fd, uint64_t session, const char *ip, uint16_t port)
{
	struct policy_prefix p = prefix(ip, 128);

	assert_int_equal(intercept_mark(l->i, fd, GATE_OWN_UPSTREAM, session, p.addr, port), 0);
}

static int own_socket(struct lab *l, uint64_t session)
{
	int fd = new_socket(GATED4, SOCK_STREAM, 0);

	mark_upstream(l, fd, session, GATED4, 443);
	return fd;
}

static void test_own_sockets(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), up = own_socket(l, 5), conn;
	struct sockaddr_storage peer;

	/* No session yet: nothing leaves. */
	assert_int_equal(try_connect(up, GATED4, 443, QUIET_MS), ETIMEDOUT);
	close(up);
	assert_true(stat_of(l, GATE_STAT_CUT) > 0);
	assert_int_equal(accepted(srv, &peer, 0), -1);
	up = own_socket(l, 5);
	assert_int_equal(
	        intercept_session(l->i, 5, GATE_SESSION_HANDSHAKE, now_boot() + 10000000000u), 0);
	assert_int_equal(try_connect(up, GATED4, 443, 2000), 0);
	assert_peer(up, GATED4 " 443");
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(up, conn, 1000));
	assert_true(byte_passes(conn, up, 1000));
	/* A listener's mark, or a session's without a number, opens nothing. */
	close(up);
	up = new_socket(GATED4, SOCK_STREAM, 0);
	mark_upstream(l, up, 0, GATED4, 443);
	assert_int_equal(try_connect(up, GATED4, 443, QUIET_MS), ETIMEDOUT);
	close(up);
	up = new_socket(GATED4, SOCK_STREAM, 0);
	assert_int_equal(intercept_mark(l->i, up, GATE_OWN_LISTENER, 0, NULL, 0), 0);
	assert_int_equal(try_connect(up, GATED4, 443, 2000), 0);
	assert_int_equal(accepted(srv, &peer, QUIET_MS), -1);
	close(up);
	close(conn);
	close(srv);
}

/* In a process of its own, as root's probe is: 0 when only the socket that it was given leads out.
 */
static int probes(int up)
{
	struct sockaddr_storage from = {0};
	socklen_t n = sizeof(from);
	int own = new_socket(GATED4, SOCK_STREAM, 0);
	char text[64];

	if (try_connect(up, GATED4, 443, 2000))
		return 1;
	if (try_connect(own, GATED4, 443, 2000) || getsockname(own, (struct sockaddr *)&from, &n))
		return 2;
	at_text(&from, text);
	return strncmp(text, "127.0.0.1 ", 10) ? 3 : 0; /* that one was steered */
}

static void test_an_own_socket_is_good_in_another_process(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), up = own_socket(l, 5), conn, status;
	struct sockaddr_storage peer;
	pid_t child;

	assert_int_equal(
	        intercept_session(l->i, 5, GATE_SESSION_HANDSHAKE, now_boot() + 10000000000u), 0);
	child = fork();
	if (!child)
		_exit(probes(up));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(up, conn, 1000));
	assert_int_equal(accepted(srv, &peer, 0), -1);
	/* Its time is over. */
	intercept_session_end(l->i, 5, 0);
	assert_false(byte_passes(up, conn, QUIET_MS));
	/* Else it would try to send that byte through the gate of a later test, without a mark. */
	setsockopt(up, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1},
	           sizeof(struct linger));
	close(up);
	close(conn);
	close(srv);
}

/* An own socket of session 5, made for ip:443, is refused this connect. */
static void goes_nowhere(struct lab *l, const char *ip, const char *to, uint16_t port)
{
	uint64_t denied = stat_of(l, GATE_STAT_DENIED);
	int up = new_socket(to, SOCK_STREAM, 0);
	struct gate_event e = {0};

	mark_upstream(l, up, 5, ip, 443);
	events_of(l, GATE_EVENT_DENY, NULL);
	assert_int_equal(try_connect(up, to, port, 2000), EPERM);
	assert_int_equal(stat_of(l, GATE_STAT_DENIED), denied + 1);
	assert_int_equal(events_of(l, GATE_EVENT_DENY, &e), 1);
	assert_dst(e.dst, to);
	assert_int_equal(e.dst_port, port);
	close(up);
}

static void test_own_socket_has_one_destination(void **state)
{
	struct lab *l = *state;
	int open4 = server(OPEN4, 443), other = server(GATED4, 444), open6 = server(OPEN6, 443);
	int srv6 = server(GATED6, 443), up;
	struct sockaddr_storage peer;

	assert_int_equal(intercept_mark(l->i, open4, GATE_OWN_UPSTREAM, 5, NULL, 443), -EINVAL);
	assert_int_equal(
	        intercept_session(l->i, 5, GATE_SESSION_HANDSHAKE, now_boot() + 60000000000u), 0);
	for (int armed = 1; armed >= 0; armed--) {
		assert_int_equal(intercept_arm(l->i, armed), 0);
		goes_nowhere(l, GATED4, OPEN4, 443);
		goes_nowhere(l, GATED4, GATED4, 444);
		goes_nowhere(l, GATED4, "127.0.0.1", l->port4);
		goes_nowhere(l, GATED4, OPEN6, 443);
		goes_nowhere(l, GATED6, OPEN6, 443);
		goes_nowhere(l, GATED6, MAPPED4, 443);
		goes_nowhere(l, GATED6, GATED6, 444);
	}
	assert_int_equal(accepted(open4, &peer, 0), -1);
	assert_int_equal(accepted(other, &peer, 0), -1);
	assert_int_equal(accepted(open6, &peer, 0), -1);
	/* The canary, over IPv6. */
	assert_int_equal(intercept_arm(l->i, true), 0);
	up = new_socket(GATED6, SOCK_STREAM, 0);
	mark_upstream(l, up, 5, GATED6, 443);
	assert_int_equal(try_connect(up, GATED6, 443, 2000), 0);
	close(up);
	close(open4);
	close(other);
	close(open6);
	close(srv6);
}

/* Packets are asked as well as connects. */
static void stays_here(struct lab *l, int up, const char *ip, uint16_t port, int conn)
{
	uint64_t stopped = stat_of(l, GATE_STAT_BACKSTOP);
	struct gate_event e = {0};

	mark_upstream(l, up, 5, ip, port);
	events_of(l, GATE_EVENT_BACKSTOP, NULL);
	assert_false(byte_passes(up, conn, QUIET_MS));
	assert_true(stat_of(l, GATE_STAT_BACKSTOP) > stopped);
	assert_true(events_of(l, GATE_EVENT_BACKSTOP, &e) >= 1);
	assert_int_equal(e.session, 5);
	mark_upstream(l, up, 5, GATED4, 443);
	assert_true(ready(conn, POLLIN, 5000)); /* sent again, since it is allowed to */
	assert_int_equal(recv(conn, &e, 1, 0), 1);
}

static void test_own_packets_have_one_destination(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), up = own_socket(l, 5), conn, visitor;
	struct sockaddr_storage peer;

	assert_int_equal(
	        intercept_session(l->i, 5, GATE_SESSION_HANDSHAKE, now_boot() + 60000000000u), 0);
	assert_int_equal(try_connect(up, GATED4, 443, 2000), 0);
	conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(up, conn, 1000));
	stays_here(l, up, OPEN4, 443, conn);
	stays_here(l, up, GATED4, 444, conn);
	stays_here(l, up, GATED6, 443, conn);
	assert_true(byte_passes(up, conn, 1000));
	close(up);
	close(conn);
	close(srv);
	/* A listener made of an own socket answers nobody. */
	up = bound(OPEN4, 4000, SOCK_STREAM);
	mark_upstream(l, up, 5, GATED4, 443);
	assert_int_equal(listen(up, 1), 0);
	visitor = socket_outside(OPEN4);
	assert_int_equal(try_connect(visitor, OPEN4, 4000, QUIET_MS), ETIMEDOUT);
	close(visitor);
	close(up);
}

/* An own connection in session s; the server's end comes out too. */
static int in_session(struct lab *l, uint64_t s, uint64_t deadline, int srv, int *conn)
{
	int up = own_socket(l, s);
	struct sockaddr_storage peer;

	assert_int_equal(intercept_session(l->i, s, GATE_SESSION_LIVE, deadline), 0);
	assert_int_equal(try_connect(up, GATED4, 443, 2000), 0);
	*conn = accepted(srv, &peer, 2000);
	assert_true(byte_passes(up, *conn, 1000));
	assert_true(byte_passes(*conn, up, 1000));
	return up;
}

static void test_deadline(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), conn, other_conn, up, other;
	struct gate_event e = {0};

	other = in_session(l, 8, now_boot() + 60000000000u, srv, &other_conn);
	up = in_session(l, 9, now_boot() + 400000000u, srv, &conn);
	wait_ms(450);
	assert_false(byte_passes(up, conn, QUIET_MS));
	assert_false(byte_passes(conn, up, QUIET_MS));
	assert_true(stat_of(l, GATE_STAT_CUT) >= 2);
	assert_int_equal(events_of(l, GATE_EVENT_DEADLINE, &e), 1);
	assert_int_equal(e.session, 9);
	/* What was cut stays cut; the neighbour never noticed. */
	assert_int_equal(intercept_session(l->i, 9, GATE_SESSION_LIVE, UINT64_MAX), -ECANCELED);
	assert_true(byte_passes(other, other_conn, 1000));
	assert_true(byte_passes(other_conn, other, 1000));
	close(up);
	close(conn);
	close(other);
	close(other_conn);
	close(srv);
}

static void test_cut(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), conn, up;

	up = in_session(l, 9, now_boot() + 60000000000u, srv, &conn);
	assert_int_equal(intercept_session(l->i, 9, GATE_SESSION_CUT, 0), 0);
	assert_false(byte_passes(up, conn, QUIET_MS));
	assert_false(byte_passes(conn, up, QUIET_MS));
	/* Also while nothing else is gated. */
	assert_int_equal(intercept_arm(l->i, false), 0);
	assert_false(ready(conn, POLLIN, QUIET_MS));
	assert_false(ready(up, POLLIN, 0));
	close(up);
	close(conn);
	up = in_session(l, 10, now_boot() + 60000000000u, srv, &conn);
	intercept_session_end(l->i, 10, 0);
	assert_false(byte_passes(up, conn, QUIET_MS));
	close(up);
	close(conn);
	close(srv);
}

/* ------------------------------------------------------- the kernel's own connections */

/* As connect leaves it on a socket of the kernel's. */
static void mark_kernels(int fd, enum gate_kernel kernel, const char *ip)
{
	struct policy_prefix p = prefix(ip, 128);
	struct gate_own own = {.kind = GATE_OWN_KERNEL, .dst_port = 443, .kernel = (__u16)kernel};
	int map = bpf_obj_get(LAB_MAP("kg_own"));

	memcpy(own.dst, p.addr, sizeof(own.dst));
	assert_true(map >= 0);
	assert_int_equal(bpf_map_update_elem(map, &fd, &own, BPF_ANY), 0);
	close(map);
}

/* Whether this arrives on a connection that is marked so; ip is what the mark says. */
static bool kernels_sends(struct lab *l, enum gate_kernel kernel, const char *ip, const void *p,
                          size_t n)
{
	int srv = server(GATED4, 443), app, conn, empty = 0;
	struct sockaddr_storage peer;
	uint8_t got[64];
	bool arrives;

	assert_int_equal(intercept_arm(l->i, false), 0);
	app = connected(GATED4, 443);
	conn = accepted(srv, &peer, 2000);
	mark_kernels(app, kernel, ip);
	assert_int_equal(intercept_arm(l->i, true), 0);
	assert_int_equal(send(app, p, n, 0), n);
	arrives = ready(conn, POLLIN, QUIET_MS);
	if (arrives)
		assert_int_equal(recv(conn, got, sizeof(got), 0), n);
	/* Acknowledgements are empty: what comes gets there, and is not sent again and again. */
	assert_int_equal(send(conn, "x", 1, 0), 1);
	assert_true(ready(app, POLLIN, 2000));
	for (int i = 0; i < 50 && arrives; i++) {
		assert_int_equal(ioctl(conn, SIOCOUTQ, &empty), 0);
		if (!empty)
			break;
		wait_ms(20);
	}
	if (arrives)
		assert_int_equal(empty, 0);
	assert_int_equal(intercept_arm(l->i, false), 0);
	close(app);
	close(conn);
	close(srv);
	return arrives;
}

static void test_kernels_are_mute(void **state)
{
	static const uint8_t question[44] = {0x80, 0, 0, 40, 1,    2,    3, 4, 0, 0, 0, 0, 0, 0,
	                                     0,    2, 0, 1,  0x86, 0xa3, 0, 0, 0, 4, 0, 0, 0, 0,
	                                     0,    0, 0, 7,  0,    0,    0, 0, 0, 0, 0, 0};
	struct lab *l = *state;
	uint8_t other[45];

	assert_true(kernels_sends(l, GATE_KERNEL_RPC, GATED4, question, sizeof(question)));
	assert_false(kernels_sends(l, GATE_KERNEL_TLS, GATED4, question, sizeof(question)));
	/* It goes where it was to go, or not at all. */
	assert_false(kernels_sends(l, GATE_KERNEL_RPC, OPEN4, question, sizeof(question)));
	assert_false(kernels_sends(l, GATE_KERNEL_RPC, GATED4, "x", 1));
	assert_false(kernels_sends(l, GATE_KERNEL_RPC, GATED4, question, sizeof(question) - 1));
	memcpy(other, question, sizeof(question));
	other[44] = 0;
	assert_false(kernels_sends(l, GATE_KERNEL_RPC, GATED4, other, sizeof(other)));
	/* All but the call's number and the version is given. */
	for (size_t at = 0; at < sizeof(question); at += 4) {
		bool free_choice = at == 4;

		memcpy(other, question, sizeof(question));
		other[at + 3] ^= 0x40;
		assert_int_equal(kernels_sends(l, GATE_KERNEL_RPC, GATED4, other, sizeof(question)),
		                 free_choice);
	}
}

/* A rule for them changes nothing for programs; and a mark does not outlive the next connect. */
static void test_kernels_rule_is_not_programs(void **state)
{
	struct lab *l = *state;
	struct policy_lpm p[4];
	struct gate_intent in;
	int app, conn;

	lab_policy(p);
	for (size_t i = 0; i < 2; i++)
		p[i].port[0].kernel_tls = KERNEL_TLS_NFS;
	intercept_kernel_tls(l->i, true);
	put_policy(l, p, 4, GENERATION);
	app = new_socket(GATED4, SOCK_STREAM, 0);
	mark_kernels(app, GATE_KERNEL_RPC, GATED4);
	assert_int_equal(redirected(l, app, GATED4, &conn, &in), app);
	assert_true(byte_passes(app, conn, 1000));
	close(app);
	close(conn);
}

/* -------------------------------------------------- reload, upgrade, death, removal */

/* Connects as fast as it can until killed; exits 1 if one connect ended in any way but ours. */
static void connect_for_ever(void)
{
	for (;;) {
		int err = connect_errno(GATED4, 443);

		if (err && err != ECONNREFUSED && err != EADDRNOTAVAIL && err != ETIMEDOUT)
			_exit(1);
	}
}

static void drain(int listener)
{
	struct sockaddr_storage peer;
	int fd;

	while ((fd = accepted(listener, &peer, 0)) >= 0)
		close(fd);
}

static void test_reload_has_no_gap(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), status;
	struct sockaddr_storage peer;
	struct policy_lpm p[4];
	size_t n = lab_policy(p);
	pid_t child = fork();

	if (child == 0)
		connect_for_ever();
	/* As often as it takes, where the child waits long for a processor. */
	for (uint32_t k = 0; k < 300 || (k < 100000 && stat_of(l, GATE_STAT_GATED) <= 50); k++) {
		/* Now an address, now a prefix, which are in two tables: they change together. */
		p[0].prefix = prefix(GATED4, k % 3 ? 32 : 24);
		put_policy(l, p, n - k % 2, GENERATION + k);
		drain(l->listener4);
	}
	assert_true(stat_of(l, GATE_STAT_GATED) > 50);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(accepted(srv, &peer, 0), -1);
	/* The canary: a reload that forgets the destination lets it through. */
	put_policy(l, p + 1, 1, GENERATION);
	assert_int_equal(connect_errno(GATED4, 443), 0);
	assert_true(ready(srv, POLLIN, 1000));
	close(srv);
}

/* The same while a table of very many is made, and all of them are in it. */
/* Emulated, a hundred thousand take minutes. */
static uint32_t very_many(void)
{
	struct utsname u;

	assert_int_equal(uname(&u), 0);
	return strcmp(u.nodename, "keygate-vm") ? 100000 : 5000;
}

static const char *nth(char text[static 16], uint32_t k)
{
	(void)snprintf(text, 16, "10.%u.%u.%u", k >> 16, k >> 8 & 0xff, k & 0xff);
	return text;
}

static void test_large_reload_has_no_gap(void **state)
{
	const uint32_t many = very_many();
	struct policy_lpm *p = calloc(many + 4, sizeof(*p));
	struct lab *l = *state;
	int srv = server(GATED4, 443), status;
	struct sockaddr_storage peer;
	size_t n = lab_policy(p);
	char text[16];
	pid_t child;

	assert_non_null(p);
	for (uint32_t k = 0; k < many; k++) {
		p[n + k] = p[0];
		p[n + k].prefix = prefix("10.0.0.0", 32);
		p[n + k].prefix.addr[13] = (uint8_t)(k >> 16);
		p[n + k].prefix.addr[14] = (uint8_t)(k >> 8);
		p[n + k].prefix.addr[15] = (uint8_t)k;
	}
	child = fork();
	if (child == 0)
		connect_for_ever();
	for (uint32_t k = 0; k < 4; k++) {
		put_policy(l, p, n + many - k % 2, GENERATION + k);
		drain(l->listener4);
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(accepted(srv, &peer, 0), -1);
	/* The last but one is there; the last one was left out. */
	assert_int_equal(connect_errno(nth(text, many - 2), 444), EHOSTUNREACH);
	assert_int_not_equal(connect_errno(nth(text, many - 1), 444), EHOSTUNREACH);
	close(srv);
	free(p);
}

static void test_policy_is_all_or_nothing(void **state)
{
	struct lab *l = *state;
	struct policy_lpm bad = {.prefix = prefix(OPEN4, 32), .ports = GATE_RULES_MAX + 1};
	struct gate_intent in;
	int app = new_socket(GATED4, SOCK_STREAM, 0), conn;

	assert_int_equal(intercept_policy(l->i, &bad, 1, 8, l->port4, l->port6), -E2BIG);
	bad.ports = 1;
	bad.port[0] = (struct policy_lpm_port){.lo = 2, .hi = 1};
	assert_int_equal(intercept_policy(l->i, &bad, 1, 8, l->port4, l->port6), -EINVAL);
	bad.port[0] = (struct policy_lpm_port){.lo = 1, .hi = 2};
	bad.prefix.plen = 129;
	assert_int_equal(intercept_policy(l->i, &bad, 1, 8, l->port4, l->port6), -EINVAL);
	redirected(l, app, GATED4, &conn, &in);
	assert_int_equal(in.generation, GENERATION);
	close(conn);
	close(app);
}

static uint32_t program_of(const char *link)
{
	struct bpf_link_info info = {0};
	uint32_t n = sizeof(info);
	int fd = bpf_obj_get(link);

	assert_true(fd >= 0);
	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &n), 0);
	close(fd);
	return info.prog_id;
}

static bool is_empty(const char *map)
{
	char key[sizeof(struct gate_conn_key)];
	int fd = bpf_obj_get(map), r;

	assert_true(fd >= 0);
	r = bpf_map_get_next_key(fd, NULL, key);
	close(fd);
	return r == -ENOENT;
}

/* As if there were a watch, which this kernel may not take. */
static void put_key(uint64_t session, int32_t serial)
{
	int fd = bpf_obj_get(LAB_MAP("kg_keys"));

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &serial, &session, BPF_ANY), 0);
	close(fd);
}

static void test_keygated_gone_and_back(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443), app = new_socket(GATED4, SOCK_STREAM, 0), conn;
	uint32_t before = program_of(LAB_LINK("kg_connect4"));
	int up, up_conn, late = connected(GATED4, 443);
	struct sockaddr_storage peer;
	struct gate_intent in;

	up = in_session(l, 9, UINT64_MAX, srv, &up_conn);
	put_key(9, 12345);
	conn = accepted(l->listener4, &peer, 2000);
	close(conn);
	assert_false(is_empty(LAB_MAP("kg_keys")));
	assert_false(is_empty(LAB_MAP("kg_sessions")));

	intercept_close(l->i);
	l->i = NULL;
	close(l->listener4);
	close(l->listener6);
	l->listener4 = l->listener6 = -1;
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	assert_int_equal(connect_errno(GATED6, 443), ECONNREFUSED);
	assert_int_equal(datagram_errno(GATED4, 443, false), EPERM);
	/* The next keygated brings its own programs, finds the gate closed, the table in force. */
	open_gate(l);
	assert_int_not_equal(program_of(LAB_LINK("kg_connect4")), before);
	/* Of what was under way nothing goes on. */
	assert_true(is_empty(LAB_MAP("kg_keys")));
	assert_true(is_empty(LAB_MAP("kg_sessions")));
	assert_false(byte_passes(up, up_conn, QUIET_MS));
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), -ENOENT);
	assert_int_equal(intercept_session(l->i, 9, GATE_SESSION_LIVE, 1), 0);
	close(late);
	close(up);
	close(up_conn);
	assert_true(intercept_armed(l->i));
	assert_true(stat_of(l, GATE_STAT_NO_LISTENER) >= 2);
	assert_int_equal(connect_errno(GATED4, 443), ECONNREFUSED);
	listen_for_apps(l);
	redirected(l, app, GATED4, &conn, &in);
	assert_int_equal(in.generation, GENERATION);
	close(conn);
	close(app);
	close(srv);
}

/* The pinned kg_config, written behind the daemon's back. */
static void write_config(const struct gate_config *cfg)
{
	int fd = bpf_obj_get(LAB_MAP("kg_config"));
	uint32_t zero = 0;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_update_elem(fd, &zero, cfg, BPF_ANY), 0);
	close(fd);
}

static struct gate_config read_config(void)
{
	int fd = bpf_obj_get(LAB_MAP("kg_config"));
	struct gate_config cfg;
	uint32_t zero = 0;

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &zero, &cfg), 0);
	close(fd);
	return cfg;
}

static void test_refuses_foreign_places(void **state)
{
	struct lab *l = *state;
	struct intercept *second = NULL;
	const char *step = NULL;
	bool watch;

	assert_int_equal(intercept_open_at(&second, "/tmp/keygate-test", lab_cgroup, &watch, &step),
	                 -ENOENT);
	assert_string_equal(step, "mount bpffs at /sys/fs/bpf");
	assert_int_equal(intercept_open_at(&second, LAB_PINS "-2", "/tmp", &watch, &step), -ENOENT);
	assert_int_equal(rmdir(LAB_PINS "-2"), 0);
	assert_int_equal(mkdir(LAB_PINS "-2", 0777), 0);
	assert_int_equal(chmod(LAB_PINS "-2", 0777), 0);
	assert_int_equal(intercept_open_at(&second, LAB_PINS "-2", lab_cgroup, &watch, &step),
	                 -EPERM);
	assert_int_equal(rmdir(LAB_PINS "-2"), 0);
	/* A cgroup other than the pinned links'. */
	assert_int_equal(intercept_open_at(&second, LAB_PINS, lab_cgroup_outside, &watch, &step),
	                 -EPROTO);
	assert_true(intercept_armed(l->i));
}

static void test_arm_needs_a_table(void **state)
{
	struct lab *l = *state;
	struct gate_config cfg = {.armed = 1};
	int srv = server(OPEN4, 443);

	intercept_close(l->i);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	open_gate(l);
	assert_int_equal(intercept_arm(l->i, true), -ENODATA);
	assert_false(intercept_armed(l->i));
	assert_int_equal(connect_errno(OPEN4, 443), 0);
	/* Armed by other means, there is no telling what is allowed. */
	write_config(&cfg);
	assert_int_equal(connect_errno(OPEN4, 443), EPERM);
	assert_int_equal(datagram_errno(OPEN4, 443, false), EPERM);
	close(srv);
}

/* Where a table is missing that the policy has, there is no telling either. */
static void test_lost_hosts(void **state)
{
	struct gate_config cfg = read_config();
	uint32_t slot = cfg.tables & GATE_TABLES_SLOT;
	int fd = bpf_obj_get(LAB_MAP("kg_hosts"));

	(void)state;
	assert_true(fd >= 0);
	assert_true(cfg.tables & GATE_TABLES_HOSTS);
	assert_int_equal(datagram_errno(OPEN4, 443, false), 0);
	assert_int_equal(bpf_map_delete_elem(fd, &slot), 0);
	assert_int_equal(datagram_errno(OPEN4, 443, false), EPERM);
	assert_int_equal(connect_errno(OPEN4, 443), EPERM);
	close(fd);
}

/* Of the policy before nothing is kept. */
static void test_old_tables_go(void **state)
{
	int nets = bpf_obj_get(LAB_MAP("kg_policy")), hosts;
	uint32_t slot, id, old;
	struct lab *l = *state;
	struct policy_lpm p[4];
	size_t n = lab_policy(p);

	hosts = bpf_obj_get(LAB_MAP("kg_hosts"));
	for (uint32_t k = 0; k < 3; k++) {
		old = read_config().tables & GATE_TABLES_SLOT;
		put_policy(l, p, n, GENERATION + k);
		slot = read_config().tables & GATE_TABLES_SLOT;
		assert_int_not_equal(old, slot);
		assert_int_equal(bpf_map_lookup_elem(nets, &old, &id), -ENOENT);
		assert_int_equal(bpf_map_lookup_elem(hosts, &old, &id), -ENOENT);
		assert_int_equal(bpf_map_lookup_elem(hosts, &slot, &id), 0);
	}
	close(nets);
	close(hosts);
}

static void test_remove(void **state)
{
	struct lab *l = *state;
	int srv = server(GATED4, 443);
	struct stat st;

	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	assert_int_equal(connect_errno(GATED4, 443), 0);
	assert_true(ready(srv, POLLIN, 1000));
	assert_int_equal(stat(LAB_PINS, &st), -1);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	assert_true(intercept_armed(l->i));
	close(srv);
}

/* ---------------------------------------------------------------------- limits */

static void test_intents_full_and_swept(void **state)
{
	struct lab *l = *state;
	struct gate_conn_key key = {.netns = 1};
	struct gate_intent in = {.at_ns = 1};
	struct sockaddr_storage peer;
	int fd = bpf_obj_get(LAB_MAP("kg_conn")), conn, app;

	assert_true(fd >= 0);
	for (uint32_t k = 0; k < GATE_CONNS_MAX; k++) {
		memcpy(key.src, &k, sizeof(k));
		assert_int_equal(bpf_map_update_elem(fd, &key, &in, BPF_ANY), 0);
	}
	app = connected(GATED4, 443);
	conn = accepted(l->listener4, &peer, 2000);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), -ENOENT);
	assert_int_equal(stat_of(l, GATE_STAT_MAP_FULL), 1);
	close(conn);
	close(app);
	assert_int_equal(intercept_sweep(l->i, UINT64_MAX), 0);
	assert_int_equal(intercept_sweep(l->i, 1000000000u), GATE_CONNS_MAX);
	app = connected(GATED4, 443);
	conn = accepted(l->listener4, &peer, 2000);
	assert_int_equal(intercept_sweep(l->i, 60000000000u), 0);
	assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
	close(conn);
	close(app);
	close(fd);
}

static void test_events_are_limited(void **state)
{
	struct lab *l = *state;
	uint64_t lost;
	size_t seen;

	assert_true(intercept_event_fd(l->i) >= 0);
	for (int k = 0; k < 2000; k++)
		assert_int_equal(datagram_errno(GATED4, 443, false), EPERM);
	lost = stat_of(l, GATE_STAT_EVENT_LOST);
	seen = events_of(l, GATE_EVENT_DATAGRAM, NULL);
	assert_int_equal(stat_of(l, GATE_STAT_DATAGRAM), 2000);
	assert_true(lost > 0 && seen > 0);
}

int main(void)
{
	const struct CMUnitTest all[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	        T(test_tcp4),
	        T(test_tcp6),
	        T(test_tcp_mapped),
	        T(test_open_destinations_pass),
	        T(test_socket_used_again),
	        T(test_any_is_loopback),
	        T(test_visitor_finds_no_intent),
	        T(test_mptcp),
	        T(test_fast_open),
	        T(test_io_uring),
	        T(test_deny_with_errno),
	        T(test_deny_with_odd_errno),
	        T(test_no_listener),
	        T(test_impostor),
	        T(test_port_elsewhere),
	        T(test_unserved_namespace),
	        T(test_datagrams),
	        T(test_datagram_to_any),
	        T(test_older_than_the_policy),
	        T(test_raw4),
	        T(test_monitored),
	        T(test_monitored_datagrams),
	        T(test_monitored_then_gated),
	        T(test_monitored_is_never_held_up),
	        T(test_no_port_in_sight),
	        T(test_raw6),
	        T(test_source_routes),
	        T(test_neighbours),
	        T(test_kernel_tcp),
	        T(test_default_deny),
	        T(test_other_device),
	        T(test_own_sockets),
	        T(test_an_own_socket_is_good_in_another_process),
	        T(test_own_socket_has_one_destination),
	        T(test_own_packets_have_one_destination),
	        T(test_deadline),
	        T(test_cut),
	        T(test_kernels_are_mute),
	        T(test_kernels_rule_is_not_programs),
	        T(test_reload_has_no_gap),
	        T(test_large_reload_has_no_gap),
	        T(test_policy_is_all_or_nothing),
	        T(test_keygated_gone_and_back),
	        T(test_refuses_foreign_places),
	        T(test_arm_needs_a_table),
	        T(test_lost_hosts),
	        T(test_old_tables_go),
	        T(test_remove),
	        T(test_intents_full_and_swept),
	        T(test_events_are_limited),
#undef T
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_gate", NULL);
}
