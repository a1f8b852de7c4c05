/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the roles: every type there and back, and each way in which one is malformed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/msg.h"

static int pair[2];
static int sealed;
static union msg_any any;

static int setup(void **state)
{
	(void)state;
	sealed = file_memfd("sealed", bytes_str("as it was checked"));
	return sealed < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair);
}

static int teardown(void **state)
{
	(void)state;
	if (pair[0] >= 0)
		close(pair[0]);
	close(pair[1]);
	close(sealed);
	return 0;
}

static int open_fds(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* A raw packet, with n times this descriptor, past all checks of msg_send. */
static void send_raw(const void *p, size_t len, unsigned fds, int fd)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(8 * sizeof(int))];
	} control = {0};
	struct iovec iov = {(void *)(uintptr_t)p, len};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (fds) {
		m.msg_control = control.space;
		m.msg_controllen = CMSG_SPACE(fds * sizeof(int));

		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(fds * sizeof(int));
		for (unsigned i = 0; i < fds; i++)
			memcpy(CMSG_DATA(c) + i * sizeof(int), &fd, sizeof(int));
	}
	assert_int_equal(sendmsg(pair[0], &m, 0), (ssize_t)len);
}

/* The packet is refused, nothing of it stays, and no descriptor leaks. */
static void assert_refused(const void *p, size_t len, unsigned fds, int sent)
{
	struct msg_head head = {.type = 77};
	int fd = -7, before = open_fds();

	memset(&any, 0xaa, sizeof(any));
	send_raw(p, len, fds, sent);
	assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), -EPROTO);
	assert_int_equal(open_fds(), before);
	assert_int_equal(fd, -7);
	assert_int_equal(head.type, 77);
	for (size_t i = 0; i < sizeof(any); i++)
		assert_int_equal(((uint8_t *)&any)[i], 0);
}

static void assert_malformed(const void *p, size_t len, unsigned fds)
{
	assert_refused(p, len, fds, pair[0]);
}

static bool carries_socket(enum msg_type t)
{
	return t == MSG_LISTEN || t == MSG_CONNECT || t == MSG_RELEASE || t == MSG_REKEY ||
	       t == MSG_LOOKED;
}

static bool carries_bytes(enum msg_type t)
{
	return t == MSG_APPRAISE || t == MSG_POLICY || t == MSG_ADVANCE || t == MSG_COLLATERAL ||
	       t == MSG_PROOF || t == MSG_WATCH || t == MSG_SHOWN || t == MSG_RECHECK;
}

static bool may_carry_bytes(enum msg_type t)
{
	return t == MSG_VERDICT || t == MSG_FETCHED || t == MSG_TAILED;
}

/* -1: none. */
static int fd_of(enum msg_type t)
{
	if (carries_socket(t))
		return pair[0];
	return carries_bytes(t) ? sealed : -1;
}

static void every_type_there_and_back(void **state)
{
	static union msg_any out;
	(void)state;

	for (enum msg_type t = MSG_NONE + 1; t < MSG_MAX; t++) {
		struct msg_head head;
		int fd = -2, sent = fd_of(t);
		ssize_t len = msg_len(t);

		assert_true(len >= 0 && (size_t)len <= sizeof(any));
		memset(&out, (int)t, sizeof(out));
		memset(&any, 0, sizeof(any));
		assert_int_equal(msg_send(pair[0], t, 7000000000u + t, &out, sent), 0);
		assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), 0);
		assert_int_equal(head.type, t);
		assert_int_equal(head.len, len);
		assert_true(head.session == 7000000000u + t);
		assert_memory_equal(&any, &out, (size_t)len);
		if (sent >= 0) {
			struct stat a, b;

			assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
			assert_int_equal(fstat(fd, &a) | fstat(sent, &b), 0);
			assert_int_equal(a.st_ino, b.st_ino);
			close(fd);
		} else {
			assert_int_equal(fd, -1);
		}
	}
}

static void with_and_without_descriptor(void **state)
{
	static const enum msg_type types[] = {MSG_VERDICT, MSG_FETCHED, MSG_TAILED};
	static union msg_any v;
	(void)state;

	for (size_t i = 0; i < 2 * sizeof(types) / sizeof(types[0]); i++) {
		struct msg_head head;
		int fd = -2, with = i % 2;

		assert_int_equal(msg_send(pair[0], types[i / 2], 1, &v, with ? sealed : -1), 0);
		assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), 0);
		assert_int_equal(fd >= 0, with);
		if (fd >= 0)
			close(fd);
	}
}

static void unknown_types(void **state)
{
	(void)state;
	struct msg_head head = {.type = MSG_MAX};

	assert_int_equal(msg_len(MSG_NONE), -1);
	assert_int_equal(msg_len(MSG_MAX), -1);
	assert_malformed(&head, sizeof(head), 0);
	head.type = MSG_NONE;
	assert_malformed(&head, sizeof(head), 0);
	head.type = UINT32_MAX;
	assert_malformed(&head, sizeof(head), 0);
}

static void wrong_lengths(void **state)
{
	(void)state;
	static struct {
		struct msg_head head;
		struct msg_cut cut;
		char more[8];
	} p;
	const size_t whole = sizeof(p.head) + sizeof(p.cut);

	p.head = (struct msg_head){.type = MSG_CUT, .len = sizeof(p.cut)};
	assert_malformed(&p, sizeof(p.head) - 1, 0);
	assert_malformed(&p, whole - 1, 0);
	assert_malformed(&p, whole + 1, 0);
	assert_malformed(&p, sizeof(p.head), 0);
	p.head.len = sizeof(p.cut) - 1;
	assert_malformed(&p, whole - 1, 0);
	assert_malformed(&p, whole, 0);
	p.head.len = 0;
	assert_malformed(&p, sizeof(p.head), 0);
}

static void longer_than_the_room(void **state)
{
	(void)state;
	struct msg_closed closed = {0};
	struct msg_head head;
	char small[16];
	int fd;

	assert_int_equal(msg_send(pair[0], MSG_CLOSED, 1, &closed, -1), 0);
	assert_int_equal(msg_recv(pair[1], &head, small, sizeof(small), &fd), -EPROTO);
}

static void descriptors_that_do_not_belong(void **state)
{
	(void)state;
	static struct {
		struct msg_head head;
		struct msg_connect connect;
	} p;
	struct msg_head bare = {.type = MSG_HANDOVER};

	assert_malformed(&bare, sizeof(bare), 1);
	assert_malformed(&bare, sizeof(bare), 2);
	bare.type = MSG_LISTEN;
	assert_malformed(&bare, sizeof(bare), 0);
	assert_malformed(&bare, sizeof(bare), 2);
	assert_malformed(&bare, sizeof(bare), 4);
	assert_malformed(&bare, sizeof(bare), 8); /* more than there is room for */
	p.head = (struct msg_head){.type = MSG_CONNECT, .len = sizeof(p.connect)};
	assert_malformed(&p, sizeof(p), 0);
}

/* A packet of this type that is right but, perhaps, for its descriptor. */
static size_t packet_of(enum msg_type t, uint8_t *p)
{
	const struct msg_head head = {.type = t, .len = (uint32_t)msg_len(t)};

	memcpy(p, &head, sizeof(head));
	return sizeof(head) + head.len;
}

static int memfd_with(int seals)
{
	int fd = memfd_create("kept", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "bytes", 5), 5);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int regular_file(void)
{
	char path[] = "/tmp/test_daemon_msg.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(write(fd, "bytes", 5), 5);
	return fd;
}

static void assert_no_bytes(int fd)
{
	static uint8_t p[sizeof(struct msg_head) + sizeof(union msg_any)];
	static union msg_any out;

	for (enum msg_type t = MSG_NONE + 1; t < MSG_MAX; t++) {
		if (!carries_bytes(t) && !may_carry_bytes(t))
			continue;
		assert_refused(p, packet_of(t, p), 1, fd);
		assert_int_equal(msg_send(pair[0], t, 1, &out, fd), -EINVAL);
	}
	close(fd);
}

static void bytes_that_could_change(void **state)
{
	(void)state;
	assert_no_bytes(memfd_with(0));
	assert_no_bytes(memfd_with(F_SEAL_GROW | F_SEAL_SHRINK));
	assert_no_bytes(memfd_with(F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK));
	assert_no_bytes(memfd_with(F_SEAL_WRITE | F_SEAL_GROW));
	assert_no_bytes(memfd_with(F_SEAL_WRITE | F_SEAL_SHRINK));
	assert_no_bytes(regular_file());
	assert_no_bytes(dup(pair[0]));
}

/* It need not be keygate's own memfd: that more seals can be added changes no byte. */
static void bytes_that_stay(void **state)
{
	static uint8_t p[sizeof(struct msg_head) + sizeof(union msg_any)];
	int kept = memfd_with(F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK);
	(void)state;

	for (enum msg_type t = MSG_NONE + 1; t < MSG_MAX; t++) {
		struct msg_head head;
		int fd = -1;

		if (!carries_bytes(t) && !may_carry_bytes(t))
			continue;
		send_raw(p, packet_of(t, p), 1, kept);
		assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), 0);
		assert_true(fd >= 0);
		close(fd);
	}
	close(kept);
}

static void sender_refuses_what_receiver_would(void **state)
{
	(void)state;
	struct msg_cut cut = {0};

	assert_int_equal(msg_send(pair[0], MSG_NONE, 1, &cut, -1), -EINVAL);
	assert_int_equal(msg_send(pair[0], MSG_MAX, 1, &cut, -1), -EINVAL);
	assert_int_equal(msg_send(pair[0], MSG_CUT, 1, &cut, pair[0]), -EINVAL);
	assert_int_equal(msg_send(pair[0], MSG_CUT, 1, NULL, -1), -EINVAL);
	assert_int_equal(msg_send(pair[0], MSG_LISTEN, 0, NULL, -1), -EINVAL);
}

static void peer_gone_and_nothing_there(void **state)
{
	(void)state;
	struct msg_head head;
	struct msg_cut cut = {0};
	int fd;

	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), -EAGAIN);
	close(pair[0]);
	pair[0] = -1;
	assert_int_equal(msg_recv(pair[1], &head, &any, sizeof(any), &fd), -EPIPE);
	assert_int_equal(msg_send(pair[1], MSG_CUT, 1, &cut, -1), -EPIPE);
}

static void *drain(void *arg)
{
	struct msg_head head;
	int fd;

	for (unsigned i = 0; i < *(unsigned *)arg; i++)
		if (msg_recv(pair[1], &head, &any, sizeof(any), &fd) || head.session != i)
			return arg;
	return NULL;
}

/* A full non-blocking socket makes the sender wait; nothing is lost or reordered. */
static void full_socket_waits(void **state)
{
	(void)state;
	static struct msg_verdict v;
	unsigned n = 400;
	pthread_t t;
	void *failed;

	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&t, NULL, drain, &n), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(msg_send(pair[0], MSG_VERDICT, i, &v, -1), 0);
	assert_int_equal(pthread_join(t, &failed), 0);
	assert_null(failed);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(every_type_there_and_back),
	        T(with_and_without_descriptor),
	        T(unknown_types),
	        T(wrong_lengths),
	        T(longer_than_the_room),
	        T(descriptors_that_do_not_belong),
	        T(bytes_that_could_change),
	        T(bytes_that_stay),
	        T(sender_refuses_what_receiver_would),
	        T(peer_gone_and_nothing_there),
	        T(full_socket_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
