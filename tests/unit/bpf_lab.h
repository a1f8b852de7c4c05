/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A place where the gate can be closed without closing the host's: a cgroup, a network namespace
 * and a bpf file system of the test's own. The test runs in a child that lives inside all three;
 * its parent removes the cgroup when the child is gone, in whatever way it went.
 */
#ifndef KEYGATE_TESTS_BPF_LAB_H
#define KEYGATE_TESTS_BPF_LAB_H

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ipv6.h>
#include <libmnl/libmnl.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <mntent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include <cmocka.h>
#include "daemon/intercept.h"

#define LAB_PINS       "/sys/fs/bpf/keygate-test"
#define LAB_MAP(name)  LAB_PINS "/" GATE_PIN_MAP name
#define LAB_LINK(name) LAB_PINS "/" GATE_PIN_LINK name
/* On the test's loopback device, so that servers can stand there. */
#define GATED4  "203.0.113.7"
#define MAPPED4 "::ffff:203.0.113.7"
#define OPEN4   "198.51.100.9"
#define GATED6  "2001:db8::7"
#define OPEN6   "2001:db8::9"

static char lab_cgroup[512], lab_cgroup_outside[256];
static uint64_t lab_netns;

static inline uint64_t now_boot(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ------------------------------------------------------------------- sockets */

static inline struct sockaddr_storage at(const char *ip, uint16_t port)
{
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_storage s = {0};

	if (inet_pton(AF_INET, ip, &v4.sin_addr) == 1) {
		memcpy(&s, &v4, sizeof(v4));
	} else {
		assert_int_equal(inet_pton(AF_INET6, ip, &v6.sin6_addr), 1);
		memcpy(&s, &v6, sizeof(v6));
	}
	return s;
}

static inline socklen_t at_len(const struct sockaddr_storage *s)
{
	return s->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static inline void at_text(const struct sockaddr_storage *s, char out[static 64])
{
	char ip[INET6_ADDRSTRLEN] = "?";
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (s->ss_family == AF_INET) {
		memcpy(&v4, s, sizeof(v4));
		inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
		snprintf(out, 64, "%s %u", ip, ntohs(v4.sin_port));
	} else {
		memcpy(&v6, s, sizeof(v6));
		inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
		snprintf(out, 64, "%s %u", ip, ntohs(v6.sin6_port));
	}
}

static inline int new_socket(const char *ip, int type, int proto)
{
	int fd = socket(strchr(ip, ':') ? AF_INET6 : AF_INET, type | SOCK_CLOEXEC, proto);

	assert_true(fd >= 0);
	return fd;
}

static inline int bound(const char *ip, uint16_t port, int type)
{
	struct sockaddr_storage s = at(ip, port);
	int one = 1, fd = new_socket(ip, type | SOCK_NONBLOCK, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(fd, (struct sockaddr *)&s, at_len(&s)), 0);
	return fd;
}

static inline int server(const char *ip, uint16_t port)
{
	int fd = bound(ip, port, SOCK_STREAM);

	assert_int_equal(listen(fd, 16), 0);
	return fd;
}

static inline uint16_t port_of(int fd)
{
	struct sockaddr_storage s;
	struct sockaddr_in v4;
	socklen_t n = sizeof(s);

	assert_int_equal(getsockname(fd, (struct sockaddr *)&s, &n), 0);
	memcpy(&v4, &s, sizeof(v4)); /* the port is at the same place in both families */
	return ntohs(v4.sin_port);
}

static inline bool ready(int fd, short what, int ms)
{
	struct pollfd p = {.fd = fd, .events = what};

	return poll(&p, 1, ms) == 1;
}

/* 0, or the errno with which the connect ended; ETIMEDOUT after ms. */
static inline int try_connect(int fd, const char *ip, uint16_t port, int ms)
{
	struct sockaddr_storage s = at(ip, port);
	socklen_t n = sizeof(int);
	int err = 0;

	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	if (!connect(fd, (struct sockaddr *)&s, at_len(&s)))
		return 0;
	if (errno != EINPROGRESS)
		return errno;
	if (!ready(fd, POLLOUT, ms))
		return ETIMEDOUT;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n);
	return err;
}

static inline int connected(const char *ip, uint16_t port)
{
	int fd = new_socket(ip, SOCK_STREAM, 0);

	assert_int_equal(try_connect(fd, ip, port, 2000), 0);
	return fd;
}

/* The errno of a connect by a fresh socket; 0 if it went through. */
static inline int connect_errno(const char *ip, uint16_t port)
{
	int fd = new_socket(ip, SOCK_STREAM, 0), err = try_connect(fd, ip, port, 2000);

	close(fd);
	return err;
}

static inline int accepted(int listener, struct sockaddr_storage *peer, int ms)
{
	socklen_t n = sizeof(*peer);

	if (!ready(listener, POLLIN, ms))
		return -1;
	return accept4(listener, (struct sockaddr *)peer, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

/* True if one byte sent on one end comes out at the other within ms. */
static inline bool byte_passes(int from, int to, int ms)
{
	char c = 'x', d = 0;

	if (send(from, &c, 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
		return false;
	return ready(to, POLLIN, ms) && recv(to, &d, 1, MSG_DONTWAIT) == 1 && d == c;
}

static inline void assert_peer(int fd, const char *text)
{
	struct sockaddr_storage s;
	socklen_t n = sizeof(s);
	char got[64];

	assert_int_equal(getpeername(fd, (struct sockaddr *)&s, &n), 0);
	at_text(&s, got);
	assert_string_equal(got, text);
}

/* ----------------------------------------------------------------- the place */

static inline int write_text(const char *path, const char *text)
{
	int r = 0, fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		r = -errno;
	close(fd);
	return r;
}

/* Sockets belong to the cgroup in which they are made. */
static inline void lab_live_in(const char *cgroup)
{
	char path[680];

	snprintf(path, sizeof(path), "%s/cgroup.procs", cgroup);
	assert_int_equal(write_text(path, "0"), 0);
}

/* A connection from a socket that the gate does not see, as from another host. */
static inline int socket_outside(const char *ip)
{
	int fd;

	lab_live_in(lab_cgroup_outside);
	fd = new_socket(ip, SOCK_STREAM, 0);
	lab_live_in(lab_cgroup);
	return fd;
}

static inline void add_address(const char *ip)
{
	static int alias;
	int fd = new_socket(ip, SOCK_DGRAM, 0);

	if (strchr(ip, ':')) {
		struct in6_ifreq v6 = {.ifr6_prefixlen = 128, .ifr6_ifindex = 1};

		inet_pton(AF_INET6, ip, &v6.ifr6_addr);
		assert_int_equal(ioctl(fd, SIOCSIFADDR, &v6), 0);
	} else {
		struct sockaddr_storage s = at(ip, 0);
		struct ifreq v4 = {0};

		snprintf(v4.ifr_name, sizeof(v4.ifr_name), "lo:%d", ++alias);
		memcpy(&v4.ifr_addr, &s, sizeof(v4.ifr_addr));
		assert_int_equal(ioctl(fd, SIOCSIFADDR, &v4), 0);
	}
	close(fd);
}

/* The kernel takes a moment before an IPv6 address may be used. */
static inline void await_address(const char *ip)
{
	struct sockaddr_storage s = at(ip, 0);
	int fd = new_socket(ip, SOCK_DGRAM, 0), r = -1;

	for (int k = 0; r && k < 200; k++) {
		r = bind(fd, (struct sockaddr *)&s, at_len(&s));
		if (r)
			poll(NULL, 0, 10);
	}
	assert_int_equal(r, 0);
	close(fd);
}

/* A fresh network namespace with the addresses of the lab. */
static inline void lab_network(void)
{
	struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	socklen_t n = sizeof(lab_netns);
	int fd;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &up), 0);
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &lab_netns, &n), 0);
	close(fd);
	add_address(GATED4);
	add_address(OPEN4);
	add_address(GATED6);
	add_address(OPEN6);
	await_address(GATED6);
	await_address(OPEN6);
	await_address("::1");
}

/* A device that is not loopback, with 192.0.2.2/24 on it; false where there can be none. */
static inline bool add_device(void)
{
	struct ifreq v4 = {.ifr_name = "kg0"}, up = {.ifr_name = "kg0", .ifr_flags = IFF_UP};
	struct sockaddr_storage s = at("192.0.2.2", 0), mask = at("255.255.255.0", 0);
	struct mnl_socket *nl = mnl_socket_open(NETLINK_ROUTE);
	struct ifinfomsg peer = {.ifi_family = AF_UNSPEC};
	struct nlattr *info, *data, *other;
	char buf[4096];
	struct nlmsghdr *h = mnl_nlmsg_put_header(buf);
	int fd = new_socket("192.0.2.2", SOCK_DGRAM, 0);
	bool made;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK;
	*(struct ifinfomsg *)mnl_nlmsg_put_extra_header(h, sizeof(peer)) = peer;
	mnl_attr_put_strz(h, IFLA_IFNAME, "kg0");
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(h, 1 /* VETH_INFO_PEER */);
	memcpy(mnl_nlmsg_get_payload_tail(h), &peer, sizeof(peer));
	h->nlmsg_len += sizeof(peer);
	mnl_attr_put_strz(h, IFLA_IFNAME, "kg1");
	mnl_attr_nest_end(h, other);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	assert_non_null(nl);
	assert_int_equal(mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID), 0);
	assert_true(mnl_socket_sendto(nl, h, h->nlmsg_len) > 0);
	made = mnl_cb_run(buf, (size_t)mnl_socket_recvfrom(nl, buf, sizeof(buf)), 0, 0, NULL,
	                  NULL) >= 0;
	mnl_socket_close(nl);
	memcpy(&v4.ifr_addr, &s, sizeof(v4.ifr_addr));
	made = made && !ioctl(fd, SIOCSIFADDR, &v4);
	memcpy(&v4.ifr_netmask, &mask, sizeof(v4.ifr_netmask));
	made = made && !ioctl(fd, SIOCSIFNETMASK, &v4) && !ioctl(fd, SIOCSIFFLAGS, &up);
	snprintf(up.ifr_name, sizeof(up.ifr_name), "kg1");
	made = made && !ioctl(fd, SIOCSIFFLAGS, &up);
	close(fd);
	return made;
}

static inline bool find_cgroup2(char *out, size_t cap)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *e;
	bool found = false;

	while (f && !found && (e = getmntent(f))) {
		found = !strcmp(e->mnt_type, "cgroup2");
		if (found)
			snprintf(out, cap, "%s", e->mnt_dir);
	}
	if (f)
		endmntent(f);
	return found;
}

/* NULL, or why there can be no lab here. */
static inline const char *lab_enter(void)
{
	int map;

	if (unshare(CLONE_NEWNS) || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return "no mount namespaces";
	if (mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"))
		return "no bpf file system";
	map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "probe", 4, 4, 1, NULL);
	if (map < 0)
		return "bpf() is refused";
	close(map);
	lab_live_in(lab_cgroup);
	lab_network();
	return NULL;
}

static void lab_skip(void **state)
{
	(void)state;
	skip();
}

enum { LAB_TESTS_MAX = 64 };

/* All tests, or each as skipped after a loud line that says why. */
static inline int lab_tests(const struct CMUnitTest *tests, size_t n, const char *name,
                            const char *why)
{
	struct CMUnitTest all[LAB_TESTS_MAX];

	if (n > LAB_TESTS_MAX)
		return 1;
	for (size_t k = 0; k < n; k++)
		all[k] = why ? (struct CMUnitTest){.name = tests[k].name, .test_func = lab_skip}
		             : tests[k];
	if (why)
		printf("SKIPPED: %s: %s\n", name, why);
	fflush(stdout);
	return _cmocka_run_group_tests(name, all, n, NULL, NULL);
}

/*
 * Runs the tests in a lab. usable, if given, says from inside it why they can't run after all, or
 * NULL.
 */
static inline int lab_run(const struct CMUnitTest *tests, size_t n, const char *name,
                          const char *(*usable)(void))
{
	const char *why;
	int status = 1;
	pid_t child;

	if (geteuid() != 0 || !find_cgroup2(lab_cgroup_outside, sizeof(lab_cgroup_outside)))
		return lab_tests(tests, n, name, "needs root and cgroup 2");
	snprintf(lab_cgroup, sizeof(lab_cgroup), "%s/keygate-test-%d", lab_cgroup_outside,
	         (int)getpid());
	if (mkdir(lab_cgroup, 0755) && errno != EEXIST)
		return lab_tests(tests, n, name, "can't make a cgroup");
	fflush(stdout);
	child = fork();
	if (child == 0) {
		why = lab_enter();
		if (!why && usable)
			why = usable();
		exit(lab_tests(tests, n, name, why));
	}
	if (child > 0)
		waitpid(child, &status, 0);
	rmdir(lab_cgroup);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ----------------------------------------------------------------------- pins */

/* Pins that begin so begin like that: another version's become this one's, or the other way round.
 */
static inline void lab_rename_pins(const char *from, const char *to)
{
	char old[PATH_MAX], fresh[PATH_MAX];
	DIR *d = opendir(LAB_PINS);
	struct dirent *e;

	assert_non_null(d);
	while ((e = readdir(d))) {
		if (strncmp(e->d_name, from, strlen(from)))
			continue;
		snprintf(old, sizeof(old), LAB_PINS "/%s", e->d_name);
		snprintf(fresh, sizeof(fresh), LAB_PINS "/%s%s", to, e->d_name + strlen(from));
		assert_int_equal(rename(old, fresh), 0);
	}
	closedir(d);
}

/* ------------------------------------------------------------------- policies */

static inline struct policy_prefix prefix(const char *ip, uint8_t plen)
{
	struct sockaddr_storage s = at(ip, 0);
	struct policy_prefix p = {.plen = plen};
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (s.ss_family == AF_INET) {
		memcpy(&v4, &s, sizeof(v4));
		p.addr[10] = p.addr[11] = 0xff;
		memcpy(p.addr + 12, &v4.sin_addr, 4);
		p.plen = (uint8_t)(plen + 96);
	} else {
		memcpy(&v6, &s, sizeof(v6));
		memcpy(p.addr, &v6.sin6_addr, 16);
	}
	return p;
}

#endif
