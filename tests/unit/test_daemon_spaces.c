/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces on gate's side, with real ones: found, served, given up. The test sees only
 * its own processes and mounts; the kernel half is played here.
 */
#include "daemon_gate.h"

#include <cap-ng.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include "daemon/netns.h"

enum { PORT = 40123 };

static struct netns home;
static uint64_t home_cookie;
static char held[64]; /* a file to mount on */

static uint64_t cookie_of_socket(int fd)
{
	uint64_t c = 0;
	socklen_t n = sizeof(c);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &c, &n), 0);
	return c;
}

static void assert_home(void)
{
	uint64_t c;

	assert_int_equal(netns_cookie(&c), 0);
	assert_int_equal(c, home_cookie);
}

/* Sleeps in a namespace of its own; squat: with keygated's port. */
static pid_t sleeper(bool squat, struct netns *ns, uint64_t *cookie)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT)};
	char path[64], c;
	int p[2];
	pid_t pid;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		int fd;

		if (unshare(CLONE_NEWNET))
			_exit(1);
		fd = socket(AF_INET, SOCK_STREAM, 0);
		if (squat && (ioctl(fd, SIOCSIFFLAGS, &up) ||
		              bind(fd, (struct sockaddr *)&any, sizeof(any)) || listen(fd, 1)))
			_exit(1);
		(void)!write(p[1], "x", 1);
		pause();
		_exit(0);
	}
	close(p[1]);
	assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	assert_int_equal(netns_open(path, ns), 0);
	assert_int_equal(netns_enter(ns), 0);
	assert_int_equal(netns_cookie(cookie), 0);
	netns_leave(&home);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void tell(enum gate_event_kind kind, uint64_t cookie, pid_t pid)
{
	const struct gate_event e = {.kind = kind, .netns = cookie, .pid = (uint32_t)pid};

	flow_event(g, &e);
	spaces_events_end(g);
	assert_home();
}

static void silence(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

/* What relay gets: a listener for each family, in that namespace and at keygated's port. */
static void assert_served(uint64_t cookie)
{
	for (int i = 0; i < 2; i++) {
		int listens = 0;
		struct sockaddr_in6 a = {0};
		socklen_t n = sizeof(listens), an = sizeof(a);

		sent(relay, MSG_LISTEN);
		assert_int_equal(cookie_of_socket(got_fd), cookie);
		getsockopt(got_fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n);
		assert_true(listens);
		assert_int_equal(getsockname(got_fd, (struct sockaddr *)&a, &an), 0);
		assert_int_equal(a.sin6_family, i ? AF_INET6 : AF_INET);
		assert_int_equal(ntohs(a.sin6_port), PORT);
	}
	silence(relay);
}

static void assert_given_up(uint64_t cookie)
{
	const struct msg_unlisten *m = sent(relay, MSG_UNLISTEN);

	assert_int_equal(m->netns, cookie);
	assert_int_equal(kernel.forgotten, cookie);
	silence(relay);
}

/* "served" or "unserved"; and the reason of the one that is known. */
static json_int_t status(const char *what, char reason[static 128])
{
	json_t *o = spaces_status(g);
	const char *why = json_string_value(
	        json_object_get(json_array_get(json_object_get(o, "known"), 0), "reason"));
	json_int_t n = json_integer_value(json_object_get(o, what));

	snprintf(reason, 128, "%s", why ? why : "");
	json_decref(o);
	return n;
}

static void after_a_leave(uint64_t cookie)
{
	tell(GATE_EVENT_NETNS_LEFT, cookie, 0);
	spaces_tick(g); /* too early */
	silence(relay);
	poll(NULL, 0, 300);
	spaces_tick(g);
	assert_home();
}

static int setup_spaces(void **state)
{
	setup(state);
	g->port[0] = g->port[1] = PORT;
	return 0;
}

static int teardown_spaces(void **state)
{
	spaces_close(g);
	return teardown(state);
}

/* ----------------------------------------------------------------------- tests */

static void what_is_there_at_start(void **state)
{
	struct netns a, b;
	uint64_t ca, cb;
	pid_t pa = sleeper(false, &a, &ca), pb;
	char why[128], path[64];

	(void)state;
	pb = sleeper(false, &b, &cb);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pb);
	assert_int_equal(mount(path, held, "none", MS_BIND, NULL), 0);
	end(pb);
	close(a.fd);
	close(b.fd);
	assert_int_equal(spaces_open(g), 0);
	assert_home();
	/* The mounts come first. */
	for (int i = 0; i < 2; i++) {
		sent(relay, MSG_LISTEN);
		assert_int_equal(cookie_of_socket(got_fd), cb);
	}
	assert_served(ca);
	assert_int_equal(kernel.listeners, 4);
	assert_int_equal(status("served", why), 2);
	assert_int_equal(spaces_home(g), home_cookie);
	/* A mount is enough; without it nothing is. */
	after_a_leave(cb);
	silence(relay);
	assert_int_equal(umount2(held, 0), 0);
	spaces_mounts(g);
	spaces_tick(g);
	assert_given_up(cb);
	assert_int_equal(status("served", why), 1);
	end(pa);
	after_a_leave(ca);
	assert_given_up(ca);
	assert_int_equal(status("served", why), 0);
	assert_int_equal(status("unserved", why), 0);
}

static void what_comes_later(void **state)
{
	static const enum gate_event_kind kinds[] = {GATE_EVENT_NETNS_MADE, GATE_EVENT_NETNS_USED};

	(void)state;
	assert_int_equal(spaces_open(g), 0);
	silence(relay);
	for (int i = 0; i < 2; i++) {
		struct netns n;
		uint64_t cookie;
		pid_t pid = sleeper(false, &n, &cookie);

		close(n.fd);
		tell(kinds[i], cookie, pid);
		assert_served(cookie);
		assert_int_equal(kernel.known, cookie);
		tell(kinds[i], cookie, pid);
		silence(relay);
		/* In use, it stays. */
		after_a_leave(cookie);
		silence(relay);
		end(pid);
		after_a_leave(cookie);
		assert_given_up(cookie);
	}
	/* Of home; by somebody who is gone and left nothing, or whose number another has by now. */
	tell(GATE_EVENT_NETNS_USED, home_cookie, getpid());
	tell(GATE_EVENT_NETNS_USED, 77, 1 << 30);
	tell(GATE_EVENT_NETNS_USED, 77, getpid());
	silence(relay);
}

/* The one who is told of is gone; what it mounted is there. */
static void a_mount_that_was_left(void **state)
{
	struct netns n;
	uint64_t cookie;
	pid_t pid;
	char path[64];

	(void)state;
	assert_int_equal(spaces_open(g), 0);
	pid = sleeper(false, &n, &cookie);
	close(n.fd);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	assert_int_equal(mount(path, held, "none", MS_BIND, NULL), 0);
	end(pid);
	tell(GATE_EVENT_NETNS_MADE, cookie, pid);
	assert_served(cookie);
	assert_int_equal(umount2(held, 0), 0);
	spaces_mounts(g);
	spaces_tick(g);
	assert_given_up(cookie);
}

static void a_port_that_is_taken(void **state)
{
	struct netns n;
	uint64_t cookie;
	pid_t pid = sleeper(true, &n, &cookie);
	const struct gate_intent to = {.dst = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2},
	                               .netns = cookie};
	uint64_t sock;
	char why[128];
	int fd = -1;

	(void)state;
	close(n.fd);
	assert_int_equal(spaces_open(g), 0);
	/* Should one of them have been there already. */
	sent(relay, MSG_UNLISTEN);
	silence(relay);
	assert_int_equal(status("served", why), 0);
	assert_int_equal(status("unserved", why), 1);
	assert_non_null(strstr(why, "40123"));
	assert_int_equal(flow_socket(g, (uint64_t)5 << 40 | 1, &to, gate_boot_ns() + 1000000000u,
	                             &sock, &fd),
	                 -ENONET);
	assert_int_equal(fd, -1);
	end(pid);
}

static void sockets_are_made_there(void **state)
{
	struct netns n;
	uint64_t cookie, sock;
	pid_t pid = sleeper(false, &n, &cookie);
	struct gate_intent to = {.dst = {[10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2},
	                         .netns = cookie};
	const struct sockdiag_match none = {0};
	int fd = -1;

	(void)state, (void)none;
	close(n.fd);
	assert_int_equal(spaces_open(g), 0);
	assert_served(cookie);
	assert_int_equal(flow_socket(g, (uint64_t)5 << 40 | 1, &to, gate_boot_ns() + 1000000000u,
	                             &sock, &fd),
	                 0);
	assert_int_equal(cookie_of_socket(fd), cookie);
	assert_home();
	close(fd);
	to.netns = home_cookie;
	assert_int_equal(flow_socket(g, (uint64_t)5 << 40 | 2, &to, gate_boot_ns() + 1000000000u,
	                             &sock, &fd),
	                 0);
	assert_int_equal(cookie_of_socket(fd), home_cookie);
	close(fd);
	end(pid);
}

/* As long as a session of it lasts its handle is kept, the listeners are not. */
static void a_session_outlives_the_listeners(void **state)
{
	struct netns n;
	uint64_t cookie;
	pid_t pid = sleeper(false, &n, &cookie);
	struct session *s = NULL;
	char why[128];

	(void)state;
	close(n.fd);
	assert_int_equal(spaces_open(g), 0);
	assert_served(cookie);
	assert_int_equal(session_new(&g->sessions, 1, &s), 0);
	s->app.netns = cookie;
	end(pid);
	after_a_leave(cookie);
	assert_given_up(cookie);
	assert_int_equal(status("unserved", why), 1);
	assert_int_equal(spaces_enter(g, cookie), 0);
	spaces_leave(g);
	assert_home();
	session_drop(&g->sessions, s);
	after_a_leave(cookie);
	silence(relay);
	assert_int_equal(status("unserved", why), 0);
	assert_int_equal(spaces_enter(g, cookie), -ENONET);
}

/* One user, who has made himself root of a user namespace, makes one after another. */
static pid_t crowd(int n)
{
	int p[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		setpgid(0, 0);
		if (setresuid(1000, 1000, 1000) || unshare(CLONE_NEWUSER))
			_exit(1);
		while (n-- > 0) {
			if (fork() == 0) {
				(void)!(unshare(CLONE_NEWNET) || write(p[1], "x", 1) != 1);
				pause();
			}
		}
		pause();
	}
	close(p[1]);
	while (n-- > 0)
		assert_int_equal(read(p[0], &c, 1), 1);
	close(p[0]);
	return pid;
}

static void nobody_takes_every_place(void **state)
{
	const int half = SPACES_MAX / 2, room = 16 << 20;
	pid_t users = crowd(2 * half + 1), roots;
	struct msg_head head;
	struct netns n;
	uint64_t cookie;
	json_t *o, *one;
	json_int_t refused = 0;
	size_t i;

	(void)state;
	/* relay is not there to read. */
	assert_int_equal(setsockopt(g->role[ROLE_RELAY].sock, SOL_SOCKET, SO_SNDBUFFORCE, &room,
	                            sizeof(room)),
	                 0);
	assert_int_equal(spaces_open(g), 0);
	assert_false(g->failed);
	for (i = 0; i < 2 * (size_t)half; i++) {
		int fd = -1;

		assert_int_equal(msg_recv(relay, &head, g->in, sizeof(*g->in), &fd), 0);
		assert_int_equal(head.type, MSG_LISTEN);
		close(fd);
	}
	silence(relay);
	o = spaces_status(g);
	assert_int_equal(json_integer_value(json_object_get(o, "served")), half);
	json_array_foreach(json_object_get(o, "known"), i, one)
	{
		assert_int_equal(json_integer_value(json_object_get(one, "owner")), 1000);
		refused += json_is_false(json_object_get(one, "served")) &&
		           strstr(json_string_value(json_object_get(one, "reason")), "taken");
	}
	/* Nor every place among those that are not served: one of them is not even known. */
	assert_int_equal(refused, half);
	assert_int_equal(json_integer_value(json_object_get(o, "unserved")), half + 1);
	json_decref(o);
	roots = sleeper(false, &n, &cookie);
	close(n.fd);
	tell(GATE_EVENT_NETNS_MADE, cookie, roots);
	assert_served(cookie);
	end(roots);
	kill(-users, SIGKILL);
	waitpid(users, NULL, 0);
}

static void effective(bool on)
{
	capng_get_caps_process();
	capng_update(on ? CAPNG_ADD : CAPNG_DROP, CAPNG_EFFECTIVE, CAP_SYS_ADMIN);
	assert_int_equal(capng_apply(CAPNG_SELECT_CAPS), 0);
}

static void without_the_right_none_is_served(void **state)
{
	struct netns n;
	uint64_t cookie;
	pid_t pid = sleeper(false, &n, &cookie);
	json_t *o;

	(void)state;
	close(n.fd);
	effective(false);
	assert_int_equal(spaces_open(g), 0);
	assert_int_equal(spaces_fd(g), -1);
	tell(GATE_EVENT_NETNS_USED, cookie, pid);
	spaces_tick(g);
	silence(relay);
	o = spaces_status(g);
	assert_non_null(strstr(json_string_value(json_object_get(o, "off")), "setns"));
	assert_int_equal(json_integer_value(json_object_get(o, "served")), 0);
	json_decref(o);
	assert_int_equal(spaces_enter(g, cookie), -ENONET);
	effective(true);
	end(pid);
}

/* --------------------------------------------------------------------- the place */

static int all(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup_spaces, teardown_spaces)
	const struct CMUnitTest tests[] = {
	        T(what_is_there_at_start),   T(what_comes_later),
	        T(a_mount_that_was_left),    T(a_port_that_is_taken),
	        T(sockets_are_made_there),   T(a_session_outlives_the_listeners),
	        T(nobody_takes_every_place), T(without_the_right_none_is_served),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

static void detach(void *ctx, const char *path, dev_t dev, ino_t ino)
{
	(void)ctx, (void)dev, (void)ino;
	(void)umount2(path, MNT_DETACH);
}

static int status_of(pid_t pid)
{
	int status = 1;

	(void)waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void test(void)
{
	int status;

	/* The namespaces of others, that this one's mounts are copies of. */
	if (netns_each_mount(detach, NULL) || mount("proc", "/proc", "proc", 0, NULL) ||
	    netns_open(NETNS_OWN, &home) || netns_cookie(&home_cookie))
		_exit(1);
	strcpy(held, "/tmp/keygate-held.XXXXXX");
	close(mkstemp(held));
	status = all();
	unlink(held);
	exit(status);
}

/* Processes, mounts and a network of its own: nobody else's namespace is touched. */
static int inside(void)
{
	pid_t pid;

	if (unshare(CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		printf("SKIPPED: test_daemon_spaces: needs root and namespaces\n");
		fflush(stdout);
		return 0;
	}
	pid = fork();
	if (pid)
		return status_of(pid);
	/* Process 1 only waits: it is not like others. */
	pid = fork();
	if (pid)
		_exit(status_of(pid));
	test();
	return 1;
}

int main(void)
{
	pid_t pid = fork();

	/* It can have no children any more, which the leak checker would need. */
	if (!pid)
		_exit(inside());
	return status_of(pid);
}
