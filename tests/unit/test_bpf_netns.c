/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate in network namespaces beside its own, on the running kernel: what is told of them, what
 * is refused in them, and that a listener made there by netns.c serves them. Where the kernel lets
 * the namespace watch in, also what that tells.
 */
#include "tests/unit/bpf_lab.h"

#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include "daemon/netns.h"

enum { GENERATION = 3 };

static struct intercept *ic;
static struct netns home;
static int listener[2];
static uint16_t port[2];

static struct gate_event seen[512];
static size_t seen_n;

static void on_event(void *ctx, const struct gate_event *e)
{
	(void)ctx;
	if (seen_n < sizeof(seen) / sizeof(seen[0]))
		seen[seen_n++] = *e;
}

/* Of this kind and namespace, since the last call. */
static size_t told(enum gate_event_kind kind, uint64_t netns, struct gate_event *last)
{
	size_t n = 0;

	seen_n = 0;
	assert_true(intercept_events(ic, on_event, NULL) >= 0);
	for (size_t i = 0; i < seen_n; i++) {
		if (seen[i].kind != kind || seen[i].netns != netns)
			continue;
		n++;
		if (last)
			*last = seen[i];
	}
	return n;
}

static int setup(void **state)
{
	struct policy_lpm p[2] = {
	        {.prefix = prefix(GATED4, 32),
	         .ports = 1,
	         .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE}}},
	        {.prefix = prefix(GATED6, 128),
	         .ports = 1,
	         .port = {{.lo = 443, .hi = 443, .action = POLICY_GATE}}},
	};
	const char *step = "";
	bool watch;

	(void)state;
	assert_int_equal(netns_open("/proc/thread-self/ns/net", &home), 0);
	assert_int_equal(intercept_open_at(&ic, LAB_PINS, lab_cgroup, &watch, &step), 0);
	for (int i = 0; i < 2; i++) {
		listener[i] = netns_bound(i ? AF_INET6 : AF_INET, 0, false);
		assert_true(listener[i] >= 0);
		port[i] = port_of(listener[i]);
		assert_int_equal(intercept_mark(ic, listener[i], GATE_OWN_LISTENER, 0, NULL, 0), 0);
		assert_int_equal(listen(listener[i], 8), 0);
	}
	assert_int_equal(intercept_policy(ic, p, 2, GENERATION, port[0], port[1]), 0);
	assert_int_equal(intercept_arm(ic, true), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(listener[0]);
	close(listener[1]);
	close(home.fd);
	intercept_close(ic);
	return intercept_remove_at(LAB_PINS);
}

/* ------------------------------------------------------------------- namespaces */

struct place {
	struct netns ns;
	uint64_t cookie;
};

static void there(const struct place *p)
{
	assert_int_equal(netns_enter(&p->ns), 0);
}

static void back(void)
{
	netns_leave(&home);
}

static void lo_up(const struct place *p)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd;

	there(p);
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	close(fd);
	await_address("::1");
	back();
}

static struct place new_place(void)
{
	struct place p;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(netns_open("/proc/thread-self/ns/net", &p.ns), 0);
	assert_int_equal(netns_cookie(&p.cookie), 0);
	back();
	assert_true(p.cookie != lab_netns);
	return p;
}

static int socket_in(const struct place *p, const char *ip, int type)
{
	int fd;

	there(p);
	fd = new_socket(ip, type, 0);
	back();
	return fd;
}

static int bound_in(const struct place *p, int i)
{
	int fd;

	there(p);
	fd = netns_bound(i ? AF_INET6 : AF_INET, port[i], true);
	back();
	return fd;
}

/* As keygated does it. */
static void serve(const struct place *p, int door[2])
{
	for (int i = 0; i < 2; i++) {
		door[i] = bound_in(p, i);
		assert_true(door[i] >= 0);
		assert_int_equal(intercept_mark(ic, door[i], GATE_OWN_LISTENER, 0, NULL, 0), 0);
		assert_int_equal(listen(door[i], 8), 0);
	}
}

static uint64_t stat_of(enum gate_stat k)
{
	uint64_t v[GATE_STAT_MAX];

	assert_int_equal(intercept_stats(ic, v), 0);
	return v[k];
}

/* ------------------------------------------------------------------------ told */

static void a_socket_tells_of_its_namespace(void **state)
{
	struct place p = new_place();
	struct gate_event e = {0};

	(void)state;
	(void)told(GATE_EVENT_NETNS_USED, p.cookie, NULL);
	close(socket_in(&p, GATED4, SOCK_STREAM));
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, &e), 1);
	assert_int_equal(e.pid, gettid());
	close(socket_in(&p, GATED6, SOCK_DGRAM));
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, NULL), 1);
	/* At home, and in one that is known, nothing is told. */
	close(new_socket(GATED4, SOCK_STREAM, 0));
	assert_int_equal(told(GATE_EVENT_NETNS_USED, lab_netns, NULL), 0);
	assert_int_equal(intercept_netns(ic, p.cookie, true, true), 0);
	close(socket_in(&p, GATED4, SOCK_STREAM));
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, NULL), 0);
	intercept_netns_forget(ic, p.cookie);
	close(socket_in(&p, GATED4, SOCK_STREAM));
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, NULL), 1);
	close(p.ns.fd);
}

static void a_refused_connect_tells_of_its_namespace(void **state)
{
	struct place p = new_place();
	int app = socket_in(&p, GATED4, SOCK_STREAM);
	struct gate_event e = {0};

	(void)state;
	(void)told(GATE_EVENT_NETNS_USED, p.cookie, NULL);
	assert_int_equal(try_connect(app, GATED4, 443, 500), ECONNREFUSED);
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, &e), 1);
	assert_int_equal(e.pid, gettid());
	/* One that is not gated is not its affair. */
	assert_int_not_equal(try_connect(app, OPEN4, 443, 500), 0);
	assert_int_equal(told(GATE_EVENT_NETNS_USED, p.cookie, NULL), 0);
	close(app);
	close(p.ns.fd);
}

/* Sleeps in a namespace of its own until it is killed; made in one go or in two. */
static pid_t sleeper(bool at_birth)
{
	int ready_at[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(ready_at, O_CLOEXEC), 0);
	if (at_birth) {
		pid = (pid_t)syscall(SYS_clone, CLONE_NEWNET | SIGCHLD, NULL, NULL, NULL, 0);
	} else {
		pid = fork();
		if (pid == 0 && unshare(CLONE_NEWNET))
			_exit(1);
	}
	if (pid == 0) {
		(void)!write(ready_at[1], "x", 1);
		pause();
		_exit(0);
	}
	close(ready_at[1]);
	assert_int_equal(read(ready_at[0], &c, 1), 1);
	close(ready_at[0]);
	return pid;
}

static uint64_t cookie_of(pid_t pid)
{
	struct place p;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	assert_int_equal(netns_open(path, &p.ns), 0);
	there(&p);
	assert_int_equal(netns_cookie(&p.cookie), 0);
	back();
	close(p.ns.fd);
	return p.cookie;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* Before it has a socket; and when it goes. */
static void the_watch_tells(void **state)
{
	(void)state;
	if (!intercept_netns_watch(ic)) {
		print_message("SKIPPED: this kernel has no namespace watch\n");
		skip();
	}
	for (int at_birth = 0; at_birth < 2; at_birth++) {
		pid_t pid = sleeper(at_birth);
		uint64_t cookie = cookie_of(pid);
		struct gate_event e = {0};

		assert_true(told(GATE_EVENT_NETNS_MADE, cookie, NULL) >= 1);
		assert_true(seen_n >= 1);
		for (size_t i = 0; i < seen_n; i++) {
			if (seen[i].kind == GATE_EVENT_NETNS_MADE && seen[i].pid == (uint32_t)pid)
				e = seen[i];
		}
		assert_int_equal(e.netns, cookie);
		assert_int_equal(told(GATE_EVENT_NETNS_LEFT, cookie, NULL), 0);
		assert_int_equal(intercept_netns(ic, cookie, true, true), 0);
		end(pid);
		assert_int_equal(told(GATE_EVENT_NETNS_LEFT, cookie, NULL), 1);
		/* Nobody asked to be told of home. */
		end(fork() ?: (_exit(0), 0));
		assert_int_equal(told(GATE_EVENT_NETNS_LEFT, lab_netns, NULL), 0);
		intercept_netns_forget(ic, cookie);
	}
}

/* ---------------------------------------------------------------------- served */

static void served(struct place *p, int door[2], const char *ip)
{
	int i = strcmp(ip, GATED6) == 0, conn;
	struct sockaddr_storage peer;
	struct gate_intent in;
	int app = socket_in(p, ip, SOCK_STREAM);

	assert_int_equal(try_connect(app, ip, 443, 2000), 0);
	conn = accepted(door[i], &peer, 2000);
	assert_true(conn >= 0);
	/* Not the one of somebody at home with the same address and port. */
	assert_int_equal(intercept_take(ic, lab_netns, &peer, &in), -ENOENT);
	assert_int_equal(intercept_take(ic, p->cookie, &peer, &in), 0);
	assert_int_equal(in.netns, p->cookie);
	assert_true(byte_passes(app, conn, 1000));
	assert_true(byte_passes(conn, app, 1000));
	assert_int_equal(accepted(listener[i], &peer, 0), -1);
	close(conn);
	close(app);
}

static void a_listener_there_serves(void **state)
{
	struct place p = new_place();
	int door[2];

	(void)state;
	/* Its loopback device is down still: the listeners are early. */
	serve(&p, door);
	lo_up(&p);
	served(&p, door, GATED4);
	served(&p, door, GATED6);
	served(&p, door, MAPPED4);
	close(door[0]);
	close(door[1]);
	assert_int_equal(try_connect(socket_in(&p, GATED4, SOCK_STREAM), GATED4, 443, 500),
	                 ECONNREFUSED);
	close(p.ns.fd);
}

/* Whose process holds it makes no difference: where it was made does. */
static void the_sockets_namespace_counts(void **state)
{
	struct place a = new_place(), b = new_place();
	int door[2], app, conn;
	struct sockaddr_storage peer;
	struct gate_intent in;

	(void)state;
	serve(&a, door);
	lo_up(&a);
	lo_up(&b);
	app = socket_in(&a, GATED4, SOCK_STREAM);
	there(&b);
	assert_int_equal(try_connect(app, GATED4, 443, 2000), 0);
	back();
	conn = accepted(door[0], &peer, 2000);
	assert_int_equal(intercept_take(ic, a.cookie, &peer, &in), 0);
	close(conn);
	close(app);
	app = socket_in(&b, GATED4, SOCK_STREAM);
	there(&a);
	assert_int_equal(try_connect(app, GATED4, 443, 500), ECONNREFUSED);
	back();
	assert_int_equal(try_connect(app, GATED4, 443, 500), ECONNREFUSED);
	close(app);
	close(door[0]);
	close(door[1]);
	close(a.ns.fd);
	close(b.ns.fd);
}

/* A socket of somebody there, at keygated's port and on this address. */
static int squatter(const struct place *p, const char *ip, bool shared)
{
	struct sockaddr_storage s = at(ip, port[0]);
	int one = 1, fd = socket_in(p, ip, SOCK_STREAM);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (shared)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (!bind(fd, (struct sockaddr *)&s, at_len(&s)) && !listen(fd, 8))
		return fd;
	close(fd);
	return -errno;
}

/* Whoever has the port first, however he shares it: keygated does not, and nothing goes there. */
static void a_port_that_is_taken(void **state)
{
	static const char *const where[] = {"127.0.0.1", "0.0.0.0"};

	(void)state;
	for (int k = 0; k < 4; k++) {
		struct place p = new_place();
		struct sockaddr_storage peer;
		int fd, app;

		lo_up(&p);
		fd = squatter(&p, where[k % 2], k / 2);
		assert_true(fd >= 0);
		assert_int_equal(bound_in(&p, 0), -EADDRINUSE);
		app = socket_in(&p, GATED4, SOCK_STREAM);
		assert_int_equal(try_connect(app, GATED4, 443, 500), ECONNREFUSED);
		assert_int_equal(accepted(fd, &peer, 0), -1);
		close(app);
		close(fd);
		close(p.ns.fd);
	}
}

/* And whoever comes later does not get it. */
static void a_port_that_is_ours(void **state)
{
	static const char *const where[] = {"127.0.0.1", "0.0.0.0", "::"};
	struct place p = new_place();
	int door[2];

	(void)state;
	serve(&p, door);
	lo_up(&p);
	for (int k = 0; k < 6; k++)
		assert_true(squatter(&p, where[k % 3], k / 3) < 0 || k % 3 == 2);
	served(&p, door, GATED4);
	close(door[0]);
	close(door[1]);
	close(p.ns.fd);
}

/* A packet that comes to the listener's address there reaches a marked socket only. */
static void a_port_after_ours(void **state)
{
	struct place p = new_place();
	struct sockaddr_storage peer;
	int door[2], fd, app;
	uint64_t refused;

	(void)state;
	serve(&p, door);
	lo_up(&p);
	close(door[0]);
	close(door[1]);
	fd = squatter(&p, "127.0.0.1", false);
	assert_true(fd >= 0);
	refused = stat_of(GATE_STAT_NO_LISTENER);
	app = socket_in(&p, "127.0.0.1", SOCK_STREAM);
	assert_int_equal(try_connect(app, "127.0.0.1", port[0], 500), ETIMEDOUT);
	assert_int_equal(accepted(fd, &peer, 0), -1);
	assert_true(stat_of(GATE_STAT_NO_LISTENER) > refused);
	close(app);
	close(fd);
	close(p.ns.fd);
}

/* While the loopback device is down, its address is out there to the kernel. */
static void what_is_redirected_stays_inside(void **state)
{
	struct place p = new_place();
	struct sockaddr_storage dst = at(GATED4, 443);
	const int on = 1;
	uint64_t dropped;
	int door[2], app;

	(void)state;
	serve(&p, door);
	there(&p);
	if (!add_device()) {
		back();
		skip();
	}
	back();
	for (int fast = 0; fast < 2; fast++) {
		app = socket_in(&p, GATED4, SOCK_STREAM);
		assert_int_equal(setsockopt(app, SOL_SOCKET, SO_BINDTODEVICE, "kg0", 4), 0);
		fcntl(app, F_SETFL, fcntl(app, F_GETFL) | O_NONBLOCK);
		dropped = stat_of(GATE_STAT_BACKSTOP);
		if (fast) {
			setsockopt(app, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, &on, sizeof(on));
			(void)sendto(app, "x", 1, MSG_FASTOPEN, (struct sockaddr *)&dst,
			             at_len(&dst));
		} else {
			assert_int_equal(try_connect(app, GATED4, 443, 300), ETIMEDOUT);
		}
		assert_true(stat_of(GATE_STAT_BACKSTOP) > dropped);
		close(app);
	}
	/* Disarmed, it is not looked at; and to the gate an open destination is none of this. */
	assert_int_equal(intercept_arm(ic, false), 0);
	app = socket_in(&p, "127.0.0.1", SOCK_STREAM);
	assert_int_equal(setsockopt(app, SOL_SOCKET, SO_BINDTODEVICE, "kg0", 4), 0);
	dropped = stat_of(GATE_STAT_BACKSTOP);
	assert_int_not_equal(try_connect(app, "127.0.0.1", port[0], 300), 0);
	assert_int_equal(stat_of(GATE_STAT_BACKSTOP), dropped);
	close(app);
	close(door[0]);
	close(door[1]);
	close(p.ns.fd);
}

/* ----------------------------------------------------------------------- found */

struct hunt {
	const struct netns *want;
	char path[256];
	unsigned n;
};

static void on_found(void *ctx, const char *path, dev_t dev, ino_t ino)
{
	struct hunt *h = ctx;

	if (dev != h->want->dev || ino != h->want->ino)
		return;
	snprintf(h->path, sizeof(h->path), "%s", path);
	h->n++;
}

static void *stays(void *arg)
{
	int *pipes = arg;
	char c;

	pipes[3] = gettid();
	if (unshare(CLONE_NEWNET) || write(pipes[1], "x", 1) != 1)
		return NULL;
	(void)!read(pipes[2], &c, 1);
	return NULL;
}

static void namespaces_are_found(void **state)
{
	char path[64], dir[] = "/tmp/keygate-netns.XXXXXX";
	struct netns n;
	struct hunt h = {&n, "", 0};
	pid_t pid = sleeper(false);

	(void)state;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	assert_int_equal(netns_open(path, &n), 0);
	assert_int_equal(netns_each_process(on_found, &h), 0);
	assert_int_equal(h.n, 1);
	assert_string_equal(h.path, path);
	/* By its mount, also without the process; a blank in the path is no end of it. */
	assert_non_null(mkdtemp(dir));
	snprintf(h.path, sizeof(h.path), "%s/a b", dir);
	close(open(h.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(mount(path, h.path, "none", MS_BIND, NULL), 0);
	end(pid);
	h = (struct hunt){&n, "", 0};
	assert_int_equal(netns_each_process(on_found, &h), 0);
	assert_int_equal(h.n, 0);
	assert_int_equal(netns_each_mount(on_found, &h), 0);
	assert_int_equal(h.n, 1);
	assert_int_equal(umount(h.path), 0);
	assert_int_equal(unlink(h.path), 0);
	assert_int_equal(rmdir(dir), 0);
	h = (struct hunt){&n, "", 0};
	assert_int_equal(netns_each_mount(on_found, &h), 0);
	assert_int_equal(h.n, 0);
	close(n.fd);
}

static void a_thread_alone_is_found(void **state)
{
	int a[2], b[2], both[4];
	struct netns n;
	struct hunt h = {&n, "", 0};
	char path[64], c;
	pthread_t t;

	(void)state;
	assert_int_equal(pipe2(a, O_CLOEXEC) | pipe2(b, O_CLOEXEC), 0);
	both[1] = a[1];
	both[2] = b[0];
	assert_int_equal(pthread_create(&t, NULL, stays, both), 0);
	assert_int_equal(read(a[0], &c, 1), 1);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)both[3]);
	assert_int_equal(netns_open(path, &n), 0);
	assert_true(n.ino != home.ino);
	h = (struct hunt){&n, "", 0};
	assert_int_equal(netns_each_process(on_found, &h), 0);
	assert_int_equal(h.n, 0);
	assert_int_equal(netns_each_thread(on_found, &h), 0);
	assert_int_equal(h.n, 1);
	close(n.fd);
	close(b[1]);
	pthread_join(t, NULL);
	close(a[0]);
	close(a[1]);
	close(b[0]);
}

static void what_is_no_namespace(void **state)
{
	struct netns n = {.fd = -7};
	uid_t owner = 77;

	(void)state;
	assert_int_equal(netns_open("/proc/self/ns/mnt", &n), -EINVAL);
	assert_int_equal(netns_open("/dev/null", &n), -EINVAL);
	assert_int_equal(netns_open("/proc/self/ns/none", &n), -ENOENT);
	assert_int_equal(n.fd, -7);
	assert_int_equal(netns_owner(&home, &owner), 0);
	assert_int_equal(owner, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest all[] = {
	        T(a_socket_tells_of_its_namespace),
	        T(a_refused_connect_tells_of_its_namespace),
	        T(the_watch_tells),
	        T(a_listener_there_serves),
	        T(the_sockets_namespace_counts),
	        T(a_port_that_is_taken),
	        T(a_port_that_is_ours),
	        T(a_port_after_ours),
	        T(what_is_redirected_stays_inside),
	        T(namespaces_are_found),
	        T(a_thread_alone_is_found),
	        T(what_is_no_namespace),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_netns", NULL);
}
