// SPDX-License-Identifier: Apache-2.0
/*
 * Rules for some applications, on the running kernel: real processes of two users, in cgroups and
 * from executables made for the test. Each that is refused has one beside it that differs in the
 * one thing that counts, and gets through.
 */
#include "tests/unit/bpf_lab.h"
#include <arpa/inet.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include "daemon/apps.h"

enum { ALICE = 12001, BOB = 12002, PORT = 443, QUIET_MS = 250, FIRST_GENERATION = 5 };

struct lab {
	struct intercept *i;
	struct apps *apps;
	uint32_t generation;
	int server, listener;
	uint16_t port4;
};

/* ----------------------------------------------------------------------- lab */

__attribute__((format(printf, 2, 3))) static void put(struct lab *l, const char *fmt, ...)
{
	struct policy_issues *issues = calloc(1, sizeof(*issues));
	struct policy_lpm *lpm = NULL;
	struct policy_file f = {.path = "t"};
	struct policy *p = NULL;
	char text[8192];
	va_list ap;
	size_t n = 0;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f.text = bytes_str(text);
	assert_non_null(issues);
	if (policy_parse(&f, 1, NULL, NULL, 0, &p, issues))
		fail_msg("%s: %s", issues->v[0].text, text);
	l->generation++;
	assert_true(apps_look(l->apps, l->i, p, NULL) >= 0);
	assert_int_equal(apps_install(l->apps, l->i, p, l->generation), 0);
	assert_int_equal(policy_compile(p, NULL, 0, &lpm, &n), 0);
	assert_int_equal(intercept_policy(l->i, lpm, n, l->generation, l->port4, 0), 0);
	free(lpm);
	policy_free(p);
	free(issues);
}

#define OPEN "default-action = allow\n"
#define SHUT "default-action = deny\n"
#define HERE " { address = " GATED4 " port = 443 refuse-with = EACCES action = "
#define PASS " { address = " GATED4 " port = 443 action = allow "

static int setup(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));
	const char *step = "";
	bool watch;
	int r;

	assert_non_null(l);
	l->generation = FIRST_GENERATION;
	r = intercept_open_at(&l->i, LAB_PINS, lab_cgroup, &watch, &step);
	if (r)
		print_error("intercept_open_at: %s: %s\n", step, strerror(-r));
	assert_int_equal(r, 0);
	assert_int_equal(apps_open(&l->apps), 0);
	l->listener = server("127.0.0.1", 0);
	l->port4 = port_of(l->listener);
	assert_int_equal(intercept_mark(l->i, l->listener, GATE_OWN_LISTENER, 0, NULL, 0), 0);
	put(l, OPEN);
	assert_int_equal(intercept_arm(l->i, true), 0);
	l->server = server(GATED4, PORT);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	struct lab *l = *state;

	apps_close(l->apps);
	intercept_close(l->i);
	assert_int_equal(intercept_remove_at(LAB_PINS), 0);
	close(l->server);
	close(l->listener);
	free(l);
	return 0;
}

/*
 * A name directly below the root, where systemd has its slices: of this run alone, as a run that
 * was killed leaves its cgroups behind.
 */
static void top_cgroup(char out[static 600], const char *rest)
{
	snprintf(out, 600, "/kgt%d%s", (int)getpid(), rest);
}

/* The path of a cgroup that may be outside of the gate's, as processes may be. */
static void cgroup_path(const char *below_root, char out[static 640])
{
	snprintf(out, 640, "%s%s", lab_cgroup_outside, below_root);
}

static void make_cgroup(const char *below_root)
{
	char path[640];

	cgroup_path(below_root, path);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void remove_cgroup(const char *below_root)
{
	char path[640];
	int r = -1;

	/* Until the last process in it is gone for good. */
	cgroup_path(below_root, path);
	for (int k = 0; r && k < 100; k++) {
		r = rmdir(path);
		if (r)
			poll(NULL, 0, 10);
	}
	assert_int_equal(r, 0);
}

/* In a child: joins the cgroup (NULL: stays) and becomes the user. */
static void become(uint32_t uid, const char *cgroup)
{
	char path[640];

	if (cgroup) {
		cgroup_path(cgroup, path);
		lab_live_in(path);
	}
	if (uid && (setgid(uid) || setuid(uid)))
		_exit(99);
}

static int status_of(pid_t pid)
{
	int status = 0;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The errno of a connect by a process of that kind; its socket was made by the test itself. */
static int connect_as(struct lab *l, uint32_t uid, const char *cgroup)
{
	int fd = new_socket(GATED4, SOCK_STREAM, 0);
	struct sockaddr_storage peer;
	pid_t pid = fork();
	int err;

	assert_true(pid >= 0);
	if (!pid) {
		become(uid, cgroup);
		_exit(try_connect(fd, GATED4, PORT, 2000));
	}
	err = status_of(pid);
	close(fd);
	if (!err)
		close(accepted(l->server, &peer, 2000));
	return err;
}

/* --------------------------------------------------------------------- users */

static void test_users(void **state)
{
	struct lab *l = *state;

	assert_int_equal(connect_as(l, ALICE, NULL), 0);
	put(l, OPEN "destination a" HERE "deny user = %d }", ALICE);
	assert_int_equal(connect_as(l, ALICE, NULL), EACCES);
	assert_int_equal(connect_as(l, BOB, NULL), 0);
	assert_int_equal(connect_as(l, 0, NULL), 0);
	put(l, SHUT "destination a" PASS "user = {%d, 77} }", BOB);
	assert_int_equal(connect_as(l, BOB, NULL), 0);
	assert_int_equal(connect_as(l, ALICE, NULL), ECONNREFUSED);
	put(l, OPEN);
	assert_int_equal(connect_as(l, ALICE, NULL), 0);
}

/* The first rule that is for the application, whatever others say. */
static void test_order(void **state)
{
	struct lab *l = *state;

	put(l,
	    OPEN "destination a" PASS "user = %d }\ndestination b" HERE "deny user = {%d, %d} }\n",
	    ALICE, ALICE, BOB);
	assert_int_equal(connect_as(l, ALICE, NULL), 0);
	assert_int_equal(connect_as(l, BOB, NULL), EACCES);
	assert_int_equal(connect_as(l, 0, NULL), 0);
}

static int send_as(uint32_t uid)
{
	struct sockaddr_storage s = at(GATED4, PORT);
	int fd = new_socket(GATED4, SOCK_DGRAM, 0);
	pid_t pid = fork();
	int err;

	if (!pid) {
		become(uid, NULL);
		_exit(sendto(fd, "x", 1, 0, (struct sockaddr *)&s, at_len(&s)) == 1 ? 0 : errno);
	}
	err = status_of(pid);
	close(fd);
	return err;
}

static void test_datagrams(void **state)
{
	struct lab *l = *state;
	int srv = bound(GATED4, PORT, SOCK_DGRAM);
	char c;

	put(l, OPEN "destination a" HERE "deny user = %d }", ALICE);
	assert_int_equal(send_as(ALICE), EACCES);
	assert_false(ready(srv, POLLIN, QUIET_MS));
	assert_int_equal(send_as(BOB), 0);
	assert_true(ready(srv, POLLIN, 1000));
	assert_int_equal(recv(srv, &c, 1, 0), 1);
	/* Allowed to him who sends, though root made the socket. */
	put(l, SHUT "destination a" PASS "user = %d }", ALICE);
	assert_int_equal(send_as(ALICE), 0);
	assert_true(ready(srv, POLLIN, 1000));
	assert_int_equal(recv(srv, &c, 1, 0), 1);
	assert_int_equal(send_as(BOB), ECONNREFUSED);
	close(srv);
}

/* ------------------------------------------------------------------- cgroups */

static void test_cgroups(void **state)
{
	struct lab *l = *state;
	const char *lab = lab_cgroup + strlen(lab_cgroup_outside);
	char web[600], sub[700], near[700];

	snprintf(web, sizeof(web), "%s/web", lab);
	snprintf(sub, sizeof(sub), "%s/sub", web);
	snprintf(near, sizeof(near), "%sb", web);
	/* Before there is any such cgroup. */
	put(l, OPEN "destination a" HERE "deny cgroup = \"%s\" }", web);
	make_cgroup(web);
	make_cgroup(sub);
	make_cgroup(near);
	assert_int_equal(connect_as(l, 0, web), EACCES);
	assert_int_equal(connect_as(l, ALICE, sub), EACCES);
	assert_int_equal(connect_as(l, 0, near), 0);
	assert_int_equal(connect_as(l, 0, lab), 0);
	/* Another of the same name, as when a unit is started again. */
	remove_cgroup(sub);
	remove_cgroup(web);
	make_cgroup(web);
	assert_int_equal(connect_as(l, 0, web), EACCES);
	put(l, OPEN "destination a" HERE "deny cgroup = \"%s\" user = %d }", web, ALICE);
	assert_int_equal(connect_as(l, 0, web), 0);
	assert_int_equal(connect_as(l, ALICE, lab), 0);
	assert_int_equal(connect_as(l, ALICE, web), EACCES);
	remove_cgroup(web);
	remove_cgroup(near);
}

/* Names of one step less, exactly, and more, which begin alike. */
static void test_long_names(void **state)
{
	static const int lengths[] = {30, 31, 32, 61, 62, 63, 93, 250};
	enum { N = sizeof(lengths) / sizeof(lengths[0]) };
	const char *lab = lab_cgroup + strlen(lab_cgroup_outside);
	struct lab *l = *state;
	char name[N][600];

	for (int k = 0; k < N; k++) {
		size_t n = (size_t)snprintf(name[k], sizeof(name[k]), "%s/", lab);

		memset(name[k] + n, 'x', (size_t)lengths[k]);
		name[k][n + (size_t)lengths[k]] = '\0';
		make_cgroup(name[k]);
	}
	for (int k = 0; k < N; k++) {
		put(l, OPEN "destination a" HERE "deny cgroup = \"%s\" }", name[k]);
		for (int i = 0; i < N; i++)
			assert_int_equal(connect_as(l, 0, name[i]), i == k ? EACCES : 0);
	}
	for (int k = 0; k < N; k++)
		remove_cgroup(name[k]);
}

/* As systemd has it: whoever may make cgroups below his own unit can't make a unit of them. */
static void test_units(void **state)
{
	static const struct {
		const char *rest;
		bool is;
	} t[] = {
	        {".slice", false},
	        {".slice/kgt-a.slice", false},
	        {".slice/kgt-a.slice/kgt-web.service", true},
	        {".slice/kgt-a.slice/kgt-web.service/payload", true},
	        {".slice/kgt-web.service", true},
	        {".slice/_kgt-web.service", true},
	        {".slice/kgt-web.service2", false},
	        {"-user@1.service", false},
	        {"-user@1.service/kgt-web.service", false},
	        {"-user@1.service/kgt.slice", false},
	        {"-user@1.service/kgt.slice/kgt-web.service", false},
	        {".slice/kgt-x.scope", false},
	        {".slice/kgt-x.scope/kgt-web.service", false},
	};
	enum { N = sizeof(t) / sizeof(t[0]) };
	struct lab *l = *state;
	char path[N][600];

	for (int k = 0; k < N; k++) {
		top_cgroup(path[k], t[k].rest);
		make_cgroup(path[k]);
	}
	put(l, OPEN "destination a" HERE "deny unit = kgt-web.service }");
	for (int k = 0; k < N; k++)
		if (connect_as(l, 0, path[k]) != (t[k].is ? EACCES : 0))
			fail_msg("%s", path[k]);
	put(l, SHUT "destination a" PASS "unit = {kgt-other.service, kgt-web.service} }");
	for (int k = 0; k < N; k++)
		if (connect_as(l, 0, path[k]) != (t[k].is ? 0 : ECONNREFUSED))
			fail_msg("%s", path[k]);
	for (int k = N - 1; k >= 0; k--)
		remove_cgroup(path[k]);
}

/* A path that is not read to its end: what allows is not for it, and all else is. */
static void test_too_deep(void **state)
{
	enum { DEEP = 70 };
	struct lab *l = *state;
	char path[600], second[600];
	size_t n;

	top_cgroup(second, ".slice/x.slice");
	top_cgroup(path, ".slice");
	make_cgroup(path);
	n = strlen(path);
	for (int k = 1; k < DEEP; k++) {
		n += (size_t)snprintf(path + n, sizeof(path) - n, "/x.slice");
		assert_true(n < sizeof(path));
		make_cgroup(path);
	}
	put(l, OPEN "destination a" HERE "deny unit = kgt-web.service }");
	assert_int_equal(connect_as(l, 0, path), EACCES);
	assert_int_equal(connect_as(l, 0, second), 0);
	put(l, SHUT "destination a" PASS "unit = kgt-web.service }");
	assert_int_equal(connect_as(l, 0, path), ECONNREFUSED);
	for (int k = 0; k < DEEP; k++) {
		remove_cgroup(path);
		*strrchr(path, '/') = '\0';
	}
}

/* --------------------------------------------------------------- executables */

static void copy_file(const char *from, const char *to)
{
	char cmd[2 * PATH_MAX + 16];

	snprintf(cmd, sizeof(cmd), "cp %s %s", from, to);
	assert_int_equal(system(cmd), 0);
}

/* 0 when that shell can connect. It waits for a byte on fd first, if fd is one. */
static pid_t start_shell(const char *path, int fd)
{
	pid_t pid = fork();

	if (!pid) {
		if (fd >= 0)
			dup2(fd, 0);
		execl(path, path, "-c",
		      fd >= 0 ? "read -r x; exec 2>/dev/null 3<>/dev/tcp/" GATED4 "/443"
		              : "exec 2>/dev/null 3<>/dev/tcp/" GATED4 "/443",
		      (char *)NULL);
		_exit(99);
	}
	return pid;
}

static bool shell_connects(struct lab *l, const char *path)
{
	struct sockaddr_storage peer;
	int status = status_of(start_shell(path, -1));

	assert_true(status == 0 || status == 1);
	if (!status)
		close(accepted(l->server, &peer, 2000));
	return status == 0;
}

static void test_executables(void **state)
{
	static const char rule[] = OPEN "destination a" HERE "deny executable = \"%s\" }";
	char dir[] = "/tmp/keygate-app.XXXXXX", a[PATH_MAX], b[PATH_MAX], link[PATH_MAX];
	struct lab *l = *state;
	int old[2];
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	snprintf(link, sizeof(link), "%s/link", dir);
	copy_file("/bin/bash", a);
	copy_file("/bin/bash", b);
	assert_int_equal(symlink(a, link), 0);
	put(l, rule, a);
	assert_false(shell_connects(l, a));
	assert_false(shell_connects(l, link));
	assert_true(shell_connects(l, b));
	put(l, SHUT "destination a" PASS "executable = \"%s\" }", link);
	assert_true(shell_connects(l, a));
	assert_false(shell_connects(l, b));
	/* Another file in its place, while a process runs what was there. */
	put(l, rule, a);
	assert_int_equal(pipe(old), 0);
	pid = start_shell(a, old[0]);
	poll(NULL, 0, 500);
	assert_int_equal(rename(b, a), 0);
	assert_true(ready(apps_fd(l->apps), POLLIN, 1000));
	put(l, rule, a);
	assert_false(shell_connects(l, a));
	assert_int_equal(write(old[1], "\n", 1), 1);
	assert_int_equal(status_of(pid), 1);
	/* Not there is for nobody. */
	assert_int_equal(unlink(a), 0);
	put(l, SHUT "destination a" PASS "executable = \"%s/none\" }", dir);
	assert_false(shell_connects(l, "/bin/bash"));
	close(old[0]), close(old[1]);
	unlink(link);
	rmdir(dir);
}

/* ----------------------------------------------------------- handed-over sockets */

static void send_fd(int via, int fd)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u = {.buf = {0}};
	struct iovec io = {.iov_base = (char[]){"x"}, .iov_len = 1};
	struct msghdr m = {
	        .msg_iov = &io, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	assert_int_equal(sendmsg(via, &m, 0), 1);
}

static int receive_fd(int via)
{
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
	char c;
	struct iovec io = {.iov_base = &c, .iov_len = 1};
	struct msghdr m = {
	        .msg_iov = &io, .msg_iovlen = 1, .msg_control = u.buf, .msg_controllen = sizeof(u)};
	int fd = -1;

	if (recvmsg(via, &m, 0) == 1 && CMSG_FIRSTHDR(&m))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	return fd;
}

/* A socket that a process of uid makes and hands over. */
static int socket_of(uint32_t uid)
{
	int sv[2], fd;
	pid_t pid;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sv), 0);
	pid = fork();
	if (!pid) {
		become(uid, NULL);
		send_fd(sv[1], new_socket(GATED4, SOCK_STREAM, 0));
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
	fd = receive_fd(sv[0]);
	assert_true(fd >= 0);
	close(sv[0]), close(sv[1]);
	return fd;
}

static int connect_by(uint32_t uid, int fd)
{
	pid_t pid = fork();

	if (!pid) {
		become(uid, NULL);
		_exit(try_connect(fd, GATED4, PORT, 1000));
	}
	return status_of(pid);
}

/* Who connects decides, of the connect and of the packets: whoever made the socket. */
static void test_hand_over(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage peer;
	int fd, conn;

	put(l, SHUT "destination a" PASS "user = %d }", ALICE);
	fd = socket_of(BOB);
	assert_int_equal(connect_by(ALICE, fd), 0);
	conn = accepted(l->server, &peer, 2000);
	assert_true(conn >= 0 && byte_passes(fd, conn, 1000));
	close(fd), close(conn);
	fd = socket_of(ALICE);
	assert_int_equal(connect_by(BOB, fd), ECONNREFUSED);
	assert_int_equal(connect_by(ALICE, fd), 0);
	conn = accepted(l->server, &peer, 2000);
	assert_true(conn >= 0 && byte_passes(fd, conn, 1000));
	close(fd), close(conn);
}

/* --------------------------------------------------------------------- packets */

static int connected_by(struct lab *l, uint32_t uid, const char *cgroup, int *conn)
{
	int fd = new_socket(GATED4, SOCK_STREAM, 0);
	struct sockaddr_storage peer;
	pid_t pid = fork();

	if (!pid) {
		become(uid, cgroup);
		_exit(try_connect(fd, GATED4, PORT, 1000));
	}
	assert_int_equal(status_of(pid), 0);
	*conn = accepted(l->server, &peer, 2000);
	assert_true(*conn >= 0 && byte_passes(fd, *conn, 1000));
	return fd;
}

/* A new policy holds for connections of before, each by who made it. */
static void test_reload(void **state)
{
	const char *lab = lab_cgroup + strlen(lab_cgroup_outside);
	int alice, bob, web, a, b, w;
	struct lab *l = *state;
	char path[600];

	snprintf(path, sizeof(path), "%s/web", lab);
	make_cgroup(path);
	put(l, OPEN "destination a" HERE "deny user = 1 }");
	alice = connected_by(l, ALICE, NULL, &a);
	bob = connected_by(l, BOB, NULL, &b);
	web = connected_by(l, BOB, path, &w);
	put(l, OPEN "destination a" HERE "deny user = {2, %d} }", ALICE);
	assert_false(byte_passes(alice, a, QUIET_MS));
	assert_true(byte_passes(bob, b, 1000));
	assert_true(byte_passes(web, w, 1000));
	put(l, OPEN "destination a" HERE "deny cgroup = \"%s\" }", path);
	assert_true(byte_passes(bob, b, 1000));
	assert_false(byte_passes(web, w, QUIET_MS));
	put(l, SHUT "destination a" PASS "cgroup = \"%s\" }", path);
	assert_false(byte_passes(bob, b, QUIET_MS));
	put(l, OPEN);
	assert_true(byte_passes(alice, a, 5000));
	close(alice), close(bob), close(web), close(a), close(b), close(w);
	remove_cgroup(path);
}

/* From before anybody asked: what is denied to somebody may be denied to this one. */
static void test_old_sockets(void **state)
{
	struct lab *l = *state;
	int conn, fd = connected_by(l, BOB, NULL, &conn);

	put(l, OPEN "destination a" HERE "deny user = %d }", ALICE);
	assert_false(byte_passes(fd, conn, QUIET_MS));
	put(l, SHUT "destination a" PASS "user = %d }", BOB);
	assert_false(byte_passes(fd, conn, QUIET_MS));
	close(fd), close(conn);
	fd = connected_by(l, BOB, NULL, &conn);
	close(fd), close(conn);
}

/* ----------------------------------------------------------------------- intents */

static void test_intent(void **state)
{
	struct lab *l = *state;
	struct sockaddr_storage peer;
	struct gate_intent in;
	struct policy_who who;
	int fd = new_socket(GATED4, SOCK_STREAM, 0), conn;
	struct policy_lpm p = {
	        .prefix = prefix(GATED4, 32),
	        .ports = 2,
	        .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE, .destination = 3, .app = 1},
	                 {.lo = 443, .hi = 443, .action = POLICY_GATE, .destination = 4}},
	};

	put(l, OPEN "destination a" HERE "deny user = %d }", ALICE);
	assert_int_equal(intercept_policy(l->i, &p, 1, l->generation, l->port4, 0), 0);
	for (int k = 0; k < 2; k++) {
		assert_int_equal(connect_by(k ? BOB : ALICE, fd), 0);
		conn = accepted(l->listener, &peer, 2000);
		assert_true(conn >= 0);
		assert_int_equal(intercept_take(l->i, lab_netns, &peer, &in), 0);
		assert_int_equal(in.rule, k ? 4 : 3);
		apps_who(l->apps, &in, &who);
		assert_true(who.has_uid);
		assert_int_equal(who.uid, k ? BOB : ALICE);
		assert_string_equal(who.executable, "");
		close(conn);
		close(fd);
		fd = new_socket(GATED4, SOCK_STREAM, 0);
	}
	close(fd);
}

/* ------------------------------------------------------------------ any mix of rules */

enum {
	MIX_DESTINATIONS = 12,
	MIX_PREFIXES = 4,
	MIX_PROBES = 80,
	MIX_ROUNDS = 60,
	MIX_ERRNO = 150, /* of the first destination; none that a connect could have otherwise */
	MIX_OPEN = 0,
};

struct mix {
	struct policy p;
	struct policy_destination d[MIX_DESTINATIONS];
	struct policy_prefix prefix[MIX_DESTINATIONS][MIX_PREFIXES];
	struct policy_app app[2];
};

struct probe {
	uint8_t addr[16];
	uint16_t port;
	bool mapped; /* IPv4 by a socket of IPv6 */
	int want, got;
};

static uint64_t mix_seed = 1;

static uint32_t chance(uint32_t n)
{
	/* Any generator does; the same in every run. */
	mix_seed = mix_seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(mix_seed >> 33) % n;
}

/* Few enough for rules to meet. */
static void some_address(uint8_t out[static 16])
{
	static const char *const base[] = {"10.0.0.4", "10.0.1.4", "127.0.0.4", "2001:db8::4",
	                                   "2001:db8:1::4"};
	const struct policy_prefix x = prefix(base[chance(5)], 0);

	memcpy(out, x.addr, 16);
	out[15] ^= (uint8_t)chance(8);
}

static void some_prefix(struct policy_prefix *x)
{
	some_address(x->addr);
	x->plen = 128;
	if (chance(2))
		return;
	x->plen = (uint8_t)(x->addr[0] ? chance(129) : 96 + chance(33));
	for (unsigned bit = x->plen; bit < 128; bit++)
		x->addr[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static void some_mix(struct mix *m)
{
	memset(m, 0, sizeof(*m));
	m->p = (struct policy){.default_action = chance(2) ? POLICY_DENY : POLICY_ALLOW,
	                       .destination = m->d,
	                       .destinations = chance(MIX_DESTINATIONS + 1),
	                       .app = m->app,
	                       .apps = 2};
	for (uint32_t i = 0; i < 2; i++) {
		m->app[i].users = 1;
		m->app[i].user[0] = (struct policy_user){.uid = i ? ALICE : BOB, .known = true};
	}
	for (uint32_t k = 0; k < m->p.destinations; k++) {
		struct policy_destination *d = &m->d[k];

		d->action = (enum policy_action)chance(POLICY_MONITOR + 1);
		d->refuse_errno = (uint16_t)(MIX_ERRNO + k);
		d->app = chance(2) ? 0 : chance(3);
		d->prefix = m->prefix[k];
		d->prefixes = 1 + chance(MIX_PREFIXES);
		for (uint32_t i = 0; i < d->prefixes; i++)
			some_prefix(&d->prefix[i]);
		if (chance(3))
			d->port[d->ports++] = (struct policy_port){(uint16_t)(1 + chance(3)),
			                                           (uint16_t)(3 + chance(3))};
	}
}

/* What a connect of UDP ends in, by the plain reading of the policy. */
static int plain_answer(const struct policy *p, const struct probe *x, uint32_t uid)
{
	const struct policy_who who = {.has_uid = true, .uid = uid};
	int d = policy_match(p, NULL, 0, x->addr, x->port, &who);

	if (d < 0)
		return policy_default(p, x->addr) == POLICY_ALLOW ? MIX_OPEN : ECONNREFUSED;
	switch (p->destination[d].action) {
	case POLICY_ALLOW:
	case POLICY_MONITOR:
		return MIX_OPEN;
	case POLICY_DENY:
		return p->destination[d].refuse_errno;
	case POLICY_GATE:
		return EPERM;
	}
	return -1;
}

/* And by the kernel; what the network itself has to say of the address comes after it. */
static int kernels_answer(const struct probe *x)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(x->port)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(x->port)};
	bool v4 = !x->addr[0] && !x->mapped;
	int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), err;

	memcpy(&six.sin6_addr, x->addr, 16);
	memcpy(&four.sin_addr, x->addr + 12, 4);
	err = fd < 0 || !connect(fd, v4 ? (struct sockaddr *)&four : (struct sockaddr *)&six,
	                         v4 ? sizeof(four) : sizeof(six))
	              ? 0
	              : errno;
	close(fd);
	return err == EPERM || err == ECONNREFUSED || err >= MIX_ERRNO ? err : MIX_OPEN;
}

static void probe_as(const struct mix *m, struct probe *v, uint32_t uid)
{
	pid_t pid;

	for (int k = 0; k < MIX_PROBES; k++) {
		some_address(v[k].addr);
		v[k].port = (uint16_t)(1 + chance(6));
		v[k].mapped = chance(2);
		v[k].want = plain_answer(&m->p, &v[k], uid);
	}
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		become(uid, NULL);
		for (int k = 0; k < MIX_PROBES; k++)
			v[k].got = kernels_answer(&v[k]);
		_exit(0);
	}
	assert_int_equal(status_of(pid), 0);
	for (int k = 0; k < MIX_PROBES; k++)
		if (v[k].got != v[k].want) {
			char text[INET6_ADDRSTRLEN];

			inet_ntop(AF_INET6, v[k].addr, text, sizeof(text));
			fail_msg("%s port %u of user %u: %d, not %d", text, v[k].port, uid,
			         v[k].got, v[k].want);
		}
}

/* The kernel's answers are policy_match's, over addresses, prefixes, ports and users in any order.
 */
static void test_any_mix(void **state)
{
	struct probe *v = mmap(NULL, MIX_PROBES * sizeof(*v), PROT_READ | PROT_WRITE,
	                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct lab *l = *state;
	struct policy_lpm *lpm;
	struct mix m;
	size_t n;

	assert_ptr_not_equal(v, MAP_FAILED);
	for (int round = 0; round < MIX_ROUNDS; round++) {
		some_mix(&m);
		l->generation++;
		assert_true(apps_look(l->apps, l->i, &m.p, NULL) >= 0);
		assert_int_equal(apps_install(l->apps, l->i, &m.p, l->generation), 0);
		assert_int_equal(policy_compile(&m.p, NULL, 0, &lpm, &n), 0);
		assert_int_equal(intercept_policy(l->i, lpm, n, l->generation, l->port4, 0), 0);
		free(lpm);
		probe_as(&m, v, ALICE);
		probe_as(&m, v, BOB);
	}
	munmap(v, MIX_PROBES * sizeof(*v));
}

int main(void)
{
#define LAB(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	        LAB(test_users),    LAB(test_order),       LAB(test_datagrams),
	        LAB(test_cgroups),  LAB(test_long_names),  LAB(test_units),
	        LAB(test_too_deep), LAB(test_executables), LAB(test_hand_over),
	        LAB(test_reload),   LAB(test_old_sockets), LAB(test_intent),
	        LAB(test_any_mix),
	};

	return lab_run(tests, sizeof(tests) / sizeof(tests[0]), "test_bpf_app", NULL);
}
