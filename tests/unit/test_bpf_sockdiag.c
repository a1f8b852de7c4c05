// SPDX-License-Identifier: Apache-2.0
/*
 * sock_diag on the running kernel, in a network namespace of the test's own: sweeping there can't
 * touch a socket of the host.
 */
#include "tests/unit/bpf_lab.h"
#include <linux/tls.h>

#ifndef TCP_ULP
#define TCP_ULP 31
#endif

struct pair {
	int srv, app, conn;
};

static struct pair pair_at(const char *ip, uint16_t port)
{
	struct pair p = {.srv = server(strncmp(ip, "::ffff:", 7) ? ip : ip + 7, port)};
	struct sockaddr_storage peer;

	p.app = connected(ip, port);
	p.conn = accepted(p.srv, &peer, 2000);
	assert_true(byte_passes(p.app, p.conn, 1000));
	return p;
}

static void close_pair(struct pair *p)
{
	close(p->srv);
	close(p->app);
	close(p->conn);
}

static int error_of(int fd)
{
	char c;

	if (!ready(fd, POLLIN, 1000))
		return 0;
	return recv(fd, &c, 1, MSG_DONTWAIT) < 0 ? errno : 0;
}

static void test_no_tls(void **state)
{
	struct pair p = pair_at(GATED4, 443), q = pair_at(GATED6, 443);
	struct sockdiag_tls t = {.is_tls = true};
	int udp = new_socket(GATED4, SOCK_DGRAM, 0);

	(void)state;
	assert_int_equal(sockdiag_tls(p.app, &t), 0);
	assert_false(t.is_tls);
	t.is_tls = true;
	assert_int_equal(sockdiag_tls(q.conn, &t), 0);
	assert_false(t.is_tls);
	t.cipher = 99;
	assert_int_equal(sockdiag_tls(udp, &t), -ENOTCONN);
	assert_int_equal(t.cipher, 99);
	close(udp);
	close_pair(&p);
	close_pair(&q);
}

static void test_tls(void **state)
{
	struct tls12_crypto_info_aes_gcm_256 key = {
	        .info = {.version = TLS_1_3_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_256}};
	struct pair p = pair_at(GATED4, 443);
	struct sockdiag_tls t = {0};

	(void)state;
	if (setsockopt(p.app, IPPROTO_TCP, TCP_ULP, "tls", 3)) {
		close_pair(&p);
		skip();
	}
	assert_int_equal(setsockopt(p.app, SOL_TLS, TLS_RX, &key, sizeof(key)), 0);
	assert_int_equal(setsockopt(p.app, SOL_TLS, TLS_TX, &key, sizeof(key)), 0);
	assert_int_equal(sockdiag_tls(p.app, &t), 0);
	assert_true(t.is_tls);
	assert_int_equal(t.version, TLS_1_3_VERSION);
	assert_int_equal(t.cipher, TLS_CIPHER_AES_GCM_256);
	assert_int_equal(t.txconf, TLS_CONF_SW);
	assert_int_equal(t.rxconf, TLS_CONF_SW);
	assert_int_equal(sockdiag_destroy(p.app), 0);
	assert_int_equal(error_of(p.app), ECONNABORTED);
	close_pair(&p);
}

static void test_destroy(void **state)
{
	static const char *const ip[] = {GATED4, GATED6, MAPPED4};
	struct pair near = pair_at(OPEN4, 443);

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct pair p = pair_at(ip[k], 443);

		assert_int_equal(sockdiag_destroy(p.app), 0);
		assert_int_equal(error_of(p.app), ECONNABORTED);
		assert_int_equal(error_of(p.conn), ECONNRESET);
		assert_int_equal(sockdiag_destroy(p.app), -ENOTCONN);
		close_pair(&p);
	}
	assert_true(byte_passes(near.app, near.conn, 1000));
	close_pair(&near);
}

static uint64_t cgroup_id(void)
{
	struct stat st;

	assert_int_equal(stat(lab_cgroup, &st), 0);
	return st.st_ino;
}

struct sweep {
	uint64_t spare; /* cookie */
	uint64_t cgroup;
	int calls;
};

/* Everything to GATED4 or GATED6 port 443, in either family's form, but one. */
static bool to_gated(void *ctx, const struct sockdiag_socket *sock)
{
	struct policy_prefix v4 = prefix(GATED4, 32), v6 = prefix(GATED6, 128);
	struct sweep *s = ctx;

	s->calls++;
	if (sock->port != 443 || sock->cookie == s->spare)
		return false;
	/* All sockets of this test are root's, and of the lab's cgroup. */
	assert_int_equal(sock->uid, 0);
	assert_int_equal(sock->cgroup, s->cgroup);
	return !memcmp(sock->dst, v4.addr, 16) || !memcmp(sock->dst, v6.addr, 16);
}

static void test_sweep(void **state)
{
	struct pair v4 = pair_at(GATED4, 443), v6 = pair_at(GATED6, 443),
	            open = pair_at(OPEN4, 443), mapped, spared, port = pair_at(GATED4, 8080);
	struct sweep s = {.cgroup = cgroup_id()};
	struct sockdiag_match m = {.fn = to_gated, .ctx = &s};
	socklen_t n = sizeof(s.spare);

	(void)state;
	close(v4.srv);
	mapped = pair_at(MAPPED4, 443);
	close(mapped.srv);
	spared = pair_at(GATED4, 443);
	assert_int_equal(getsockopt(spared.app, SOL_SOCKET, SO_COOKIE, &s.spare, &n), 0);
	assert_int_equal(sockdiag_sweep(&m), 3);
	assert_true(s.calls >= 12);
	assert_int_equal(error_of(v4.app), ECONNABORTED);
	assert_int_equal(error_of(v6.app), ECONNABORTED);
	assert_int_equal(error_of(mapped.app), ECONNABORTED);
	assert_true(byte_passes(spared.app, spared.conn, 1000));
	assert_true(byte_passes(open.app, open.conn, 1000));
	assert_true(byte_passes(port.app, port.conn, 1000));
	/* There is nothing left to sweep, and the servers still listen. */
	assert_int_equal(sockdiag_sweep(&m), 0);
	assert_int_equal(connect_errno(GATED6, 443), 0);
	close(v4.app), close(v4.conn), close(mapped.app), close(mapped.conn);
	close_pair(&v6);
	close_pair(&open);
	close_pair(&spared);
	close_pair(&port);
}

/* A dump of several messages, and more than one growth of the list. */
static void test_sweep_many(void **state)
{
	enum { MANY = 700 };
	struct sweep s = {.cgroup = cgroup_id()};
	struct sockdiag_match m = {.fn = to_gated, .ctx = &s};
	int srv = server(GATED4, 443), app[MANY], conn[MANY];
	struct sockaddr_storage peer;

	(void)state;
	for (int k = 0; k < MANY; k++) {
		app[k] = connected(GATED4, 443);
		conn[k] = accepted(srv, &peer, 2000);
	}
	assert_int_equal(sockdiag_sweep(&m), MANY);
	for (int k = 0; k < MANY; k++) {
		assert_int_equal(error_of(app[k]), ECONNABORTED);
		close(app[k]);
		close(conn[k]);
	}
	close(srv);
}

/* Connected from this port, or from any (0), which others may have as well. */
static int udp_to(const char *ip, uint16_t from)
{
	struct sockaddr_storage to = at(ip, 443),
	                        any = at(strchr(ip, ':') ? "::" : "0.0.0.0", from);
	int one = 1, fd = new_socket(ip, SOCK_DGRAM, 0);

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&any, at_len(&any)), 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, at_len(&to)), 0);
	return fd;
}

static int send_errno(int fd)
{
	return send(fd, "x", 1, MSG_NOSIGNAL) == 1 ? 0 : errno;
}

static void test_sweep_udp(void **state)
{
	static const char *const ip[] = {GATED4, GATED6, MAPPED4};
	struct sweep s = {.cgroup = cgroup_id()};
	struct sockdiag_match m = {.fn = to_gated, .ctx = &s};
	int srv[2] = {bound(GATED4, 443, SOCK_DGRAM), bound(GATED6, 443, SOCK_DGRAM)},
	    open = udp_to(OPEN4, 0), nowhere = bound("0.0.0.0", 4000, SOCK_DGRAM), gone[3];

	(void)state;
	for (size_t k = 0; k < 3; k++)
		gone[k] = udp_to(ip[k], 0);
	assert_int_equal(sockdiag_sweep(&m), 0);
	assert_int_equal(send_errno(gone[0]), 0);
	m.udp = true;
	assert_int_equal(sockdiag_sweep(&m), 3);
	for (size_t k = 0; k < 3; k++) {
		assert_int_equal(send_errno(gone[k]), EDESTADDRREQ);
		assert_int_equal(error_of(gone[k]), ECONNABORTED);
		close(gone[k]);
	}
	assert_int_equal(send_errno(open), 0);
	assert_int_equal(sockdiag_sweep(&m), 0);
	close(open), close(nowhere), close(srv[0]), close(srv[1]);
}

/* Of sockets with the same addresses and ports the kernel finds one at a time. */
static void test_sweep_udp_alike(void **state)
{
	enum { ALIKE = 100 };
	struct sweep s = {.cgroup = cgroup_id()};
	struct sockdiag_match m = {.fn = to_gated, .ctx = &s, .udp = true};
	int srv[2] = {bound(GATED4, 443, SOCK_DGRAM), bound(GATED6, 443, SOCK_DGRAM)}, v4[ALIKE],
	    v6[ALIKE];

	(void)state;
	for (int k = 0; k < ALIKE; k++) {
		v4[k] = udp_to(GATED4, 5000);
		v6[k] = udp_to(GATED6, 5000);
	}
	assert_int_equal(sockdiag_sweep(&m), 2 * ALIKE);
	for (int k = 0; k < ALIKE; k++) {
		assert_int_equal(send_errno(v4[k]), EDESTADDRREQ);
		assert_int_equal(send_errno(v6[k]), EDESTADDRREQ);
		close(v4[k]);
		close(v6[k]);
	}
	close(srv[0]), close(srv[1]);
}

int main(void)
{
	const struct CMUnitTest all[] = {
	        cmocka_unit_test(test_no_tls),          cmocka_unit_test(test_tls),
	        cmocka_unit_test(test_destroy),         cmocka_unit_test(test_sweep),
	        cmocka_unit_test(test_sweep_many),      cmocka_unit_test(test_sweep_udp),
	        cmocka_unit_test(test_sweep_udp_alike),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_sockdiag", NULL);
}
