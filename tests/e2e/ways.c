// SPDX-License-Identifier: Apache-2.0
/*
 * Every way that a program has to send bytes to an address, one function each: what the bypass
 * suite tries against a gated destination. Each tries hard to get its word out in clear and says
 * only what the kernel answered; whether the word was on the wire is the capture's to tell.
 * Knows nothing of keygate.
 *
 *   ways list                             names the ways
 *   ways ADDRESS PORT WORD [WAY...]       tries these, or all; sends "WORD-WAY-."
 *   ways old ADDRESS PORT WORD            connects, says "ready", and sends when a line comes
 *
 * A line a way: its name, then "sent", "refused ERRNO-NAME" or "lacking ERRNO-NAME" (this kernel or
 * this address family has no such thing). Exit status 0 unless it was called wrongly.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
/* After net/if.h, whose structures it would define as well. */
#include <linux/if_pppox.h>

#define WAIT_MS 1500
#ifndef IPPROTO_DCCP
#define IPPROTO_DCCP 33
#endif
#define DCCP_SERVICE         2 /* SOL_DCCP option: clients must name a service */
#define SOL_DCCP             269
#define SOCK_DCCP_TYPE       6
#define SCTP_OPTION_CONNECTX 110 /* linux/sctp.h: SCTP_SOCKOPT_CONNECTX */
#define PROTO_UNASSIGNED     253 /* RFC 3692: for experiments */

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* Where to, and what. */
struct
try {
	union address to;
	socklen_t len;
	int family;
	char word[200];
	size_t n;
};

/* ------------------------------------------------------------------ helpers */

/* Waits for a connect in progress; 0 or the errno that it ended with. */
static int settled(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t n = sizeof(int);
	int err = 0;

	if (poll(&p, 1, WAIT_MS) <= 0)
		return ETIMEDOUT;
	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &n) ? errno : err;
}

static int send_all(int fd, const struct try *t)
{
	ssize_t n = send(fd, t->word, t->n, MSG_NOSIGNAL);

	if (n < 0)
		return errno;
	/* What a close would throw away is to leave first. */
	shutdown(fd, SHUT_WR);
	usleep(50000);
	return 0;
}

static int connect_to(int fd, const union address *to, socklen_t len)
{
	if (!connect(fd, &to->any, len))
		return 0;
	return errno == EINPROGRESS ? settled(fd) : errno;
}

/* Connects without waiting for ever, then sends. Owns fd. */
static int connect_and_send(int fd, const struct try *t)
{
	int err;

	if (fd < 0)
		return errno;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	err = connect_to(fd, &t->to, t->len);
	if (!err)
		err = send_all(fd, t);
	close(fd);
	return err;
}

/* Owns fd. */
static int send_to(int fd, const struct try *t, const union address *to, socklen_t len)
{
	int err = 0;

	if (fd < 0)
		return errno;
	if (sendto(fd, t->word, t->n, MSG_NOSIGNAL | MSG_DONTWAIT, &to->any, len) < 0)
		err = errno;
	close(fd);
	return err;
}

static bool is_v4(const struct try *t)
{
	return t->family == AF_INET;
}

/* The address that the kernel would send from. */
static int source_of(const struct try *t, union address *src)
{
	int err = 0, fd = socket(t->family, SOCK_DGRAM, 0);
	union address to = t->to;
	socklen_t n = sizeof(*src);

	/* No hook is asked about port 9 of a gated address that gates other ports; any answer will
	 * do. */
	if (is_v4(t))
		to.v4.sin_port = htons(9);
	else
		to.v6.sin6_port = htons(9);
	if (fd < 0 || connect(fd, &to.any, t->len) || getsockname(fd, &src->any, &n))
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static uint16_t port_of(const struct try *t)
{
	return is_v4(t) ? t->to.v4.sin_port : t->to.v6.sin6_port;
}

/* ----------------------------------------------------------------------- TCP */

static int tcp(const struct try *t)
{
	int fd = socket(t->family, SOCK_STREAM, 0), err = 0;
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, &t->to.any, t->len))
		err = errno;
	else
		err = send_all(fd, t);
	close(fd);
	return err;
}

static int tcp_nonblocking(const struct try *t)
{
	return connect_and_send(socket(t->family, SOCK_STREAM, 0), t);
}

static int tcp_bound_first(const struct try *t)
{
	union address any = {.any.sa_family = (sa_family_t)t->family};
	int fd = socket(t->family, SOCK_STREAM, 0);

	if (fd >= 0 && bind(fd, &any.any, t->len))
		return errno;
	return connect_and_send(fd, t);
}

static int tcp_bound_to_device(const struct try *t)
{
	static const char dev[] = "kg0";
	int fd = socket(t->family, SOCK_STREAM, 0);

	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, dev, sizeof(dev));
	return connect_and_send(fd, t);
}

static int tcp_mapped(const struct try *t)
{
	struct try m = *t;

	if (!is_v4(t))
		return EAFNOSUPPORT;
	m.family = AF_INET6;
	m.len = sizeof(m.to.v6);
	memset(&m.to, 0, sizeof(m.to));
	m.to.v6.sin6_family = AF_INET6;
	m.to.v6.sin6_port = t->to.v4.sin_port;
	m.to.v6.sin6_addr.s6_addr[10] = m.to.v6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&m.to.v6.sin6_addr.s6_addr[12], &t->to.v4.sin_addr, 4);
	return tcp_nonblocking(&m);
}

static int tcp_fast_open(const struct try *t)
{
	int err, fd = socket(t->family, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return errno;
	if (sendto(fd, t->word, t->n, MSG_FASTOPEN | MSG_NOSIGNAL, &t->to.any, t->len) >= 0)
		err = 0;
	else
		err = errno == EINPROGRESS ? settled(fd) : errno;
	if (!err)
		err = send_all(fd, t);
	close(fd);
	return err;
}

static int tcp_fast_open_connect(const struct try *t)
{
	int one = 1, fd = socket(t->family, SOCK_STREAM, 0);

	if (fd >= 0 && setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one))) {
		close(fd);
		return EPROTONOSUPPORT;
	}
	return connect_and_send(fd, t);
}

/* A socket that has been somewhere else before, and was let go. */
static int tcp_again(const struct try *t)
{
	union address nowhere = {.any.sa_family = AF_UNSPEC}, local = t->to;
	int fd = socket(t->family, SOCK_STREAM, 0), there = socket(t->family, SOCK_STREAM, 0);
	socklen_t n = t->len;
	int err = 0;

	if (is_v4(t)) {
		local.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		local.v4.sin_port = 0;
	} else {
		local.v6.sin6_addr = in6addr_loopback;
		local.v6.sin6_port = 0;
	}
	if (fd < 0 || there < 0 || bind(there, &local.any, n) || listen(there, 1) ||
	    getsockname(there, &local.any, &n) || connect(fd, &local.any, n) ||
	    connect(fd, &nowhere.any, sizeof(nowhere.any)))
		err = errno;
	close(there);
	if (!err)
		return connect_and_send(fd, t);
	close(fd);
	return err;
}

/* As a checkpoint tool restores a connection: established without a packet. */
static int tcp_repair(const struct try *t)
{
	struct tcp_repair_window window = {.snd_wnd = 65535, .max_window = 65535, .rcv_wnd = 65535};
	int on = TCP_REPAIR_ON, off = TCP_REPAIR_OFF_NO_WP, err = 0;
	int fd = socket(t->family, SOCK_STREAM, 0);
	union address src;

	if (fd < 0)
		return errno;
	if (source_of(t, &src) || setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on)) ||
	    bind(fd, &src.any, t->len) || connect(fd, &t->to.any, t->len) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_WINDOW, &window, sizeof(window)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off)))
		err = errno;
	if (!err && send(fd, t->word, t->n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		err = errno;
	usleep(50000);
	close(fd);
	return err;
}

static int mptcp(const struct try *t)
{
	return connect_and_send(socket(t->family, SOCK_STREAM, IPPROTO_MPTCP), t);
}

/* ------------------------------------------------------ sockets that change hands */

static int in_child(const struct try *t, int fd)
{
	int status;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0)
		_exit(connect_and_send(fd, t));
	close(fd);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static int tcp_inherited(const struct try *t)
{
	int fd = socket(t->family, SOCK_STREAM, 0);

	return fd < 0 ? errno : in_child(t, fd);
}

union one_fd {
	struct cmsghdr head;
	char room[CMSG_SPACE(sizeof(int))];
};

static int hand_over(int by, int fd)
{
	union one_fd c = {.head = {.cmsg_len = CMSG_LEN(sizeof(int)),
	                           .cmsg_level = SOL_SOCKET,
	                           .cmsg_type = SCM_RIGHTS}};
	struct iovec v = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr m = {
	        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};

	memcpy(CMSG_DATA(&c.head), &fd, sizeof(fd));
	return sendmsg(by, &m, 0) == 1 ? 0 : errno;
}

static int take_over(int by)
{
	union one_fd c = {0};
	struct iovec v = {.iov_base = &(char){0}, .iov_len = 1};
	struct msghdr m = {
	        .msg_iov = &v, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof(c)};
	int fd = -1;

	if (recvmsg(by, &m, 0) == 1 && m.msg_controllen >= CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(&c.head), sizeof(fd));
	return fd;
}

/* Made by one process, used by another that never called socket(). */
static int tcp_passed(const struct try *t)
{
	int pair[2], status, fd;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return errno;
	pid = fork();
	if (pid == 0) {
		fd = socket(t->family, SOCK_STREAM, 0);
		_exit(fd < 0 ? errno : hand_over(pair[1], fd));
	}
	close(pair[1]);
	fd = take_over(pair[0]);
	close(pair[0]);
	waitpid(pid, &status, 0);
	errno = ECHILD;
	return connect_and_send(fd, t);
}

/* ------------------------------------------------------------------ io_uring */

struct ring {
	int fd;
	struct io_uring_params p;
	char *sq, *cq;
	size_t sq_len, cq_len;
	struct io_uring_sqe *sqe;
};

static int ring_open(struct ring *r)
{
	memset(r, 0, sizeof(*r));
	r->fd = (int)syscall(SYS_io_uring_setup, 4, &r->p);
	if (r->fd < 0)
		return errno;
	r->sq_len = r->p.sq_off.array + r->p.sq_entries * sizeof(unsigned);
	r->cq_len = r->p.cq_off.cqes + r->p.cq_entries * sizeof(struct io_uring_cqe);
	r->sq = mmap(NULL, r->sq_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
	             IORING_OFF_SQ_RING);
	r->cq = mmap(NULL, r->cq_len, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd,
	             IORING_OFF_CQ_RING);
	r->sqe = mmap(NULL, r->p.sq_entries * sizeof(*r->sqe), PROT_READ | PROT_WRITE, MAP_SHARED,
	              r->fd, IORING_OFF_SQES);
	return r->sq == MAP_FAILED || r->cq == MAP_FAILED || r->sqe == MAP_FAILED ? ENOMEM : 0;
}

static void ring_close(struct ring *r)
{
	if (r->sq && r->sq != MAP_FAILED)
		munmap(r->sq, r->sq_len);
	if (r->cq && r->cq != MAP_FAILED)
		munmap(r->cq, r->cq_len);
	if (r->sqe && r->sqe != MAP_FAILED)
		munmap(r->sqe, r->p.sq_entries * sizeof(*r->sqe));
	if (r->fd >= 0)
		close(r->fd);
}

/* One operation, waited for: what it returned, or -errno. */
static int ring_do(struct ring *r, const struct io_uring_sqe *sqe)
{
	unsigned *tail = (unsigned *)(void *)(r->sq + r->p.sq_off.tail);
	unsigned *mask = (unsigned *)(void *)(r->sq + r->p.sq_off.ring_mask);
	unsigned *array = (unsigned *)(void *)(r->sq + r->p.sq_off.array);
	unsigned *head = (unsigned *)(void *)(r->cq + r->p.cq_off.head);
	unsigned *cq_mask = (unsigned *)(void *)(r->cq + r->p.cq_off.ring_mask);
	struct io_uring_cqe *cqe = (void *)(r->cq + r->p.cq_off.cqes);
	unsigned at = *tail & *mask;
	int res;

	r->sqe[at] = *sqe;
	array[at] = at;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(SYS_io_uring_enter, r->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	res = cqe[*head & *cq_mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return res;
}

static int io_uring_tcp(const struct try *t)
{
	int fd = socket(t->family, SOCK_STREAM, 0);
	struct io_uring_sqe c = {
	        .opcode = IORING_OP_CONNECT, .fd = fd, .addr = (uintptr_t)&t->to, .off = t->len};
	struct io_uring_sqe s = {.opcode = IORING_OP_SEND,
	                         .fd = fd,
	                         .addr = (uintptr_t)t->word,
	                         .len = (unsigned)t->n,
	                         .msg_flags = MSG_NOSIGNAL};
	struct ring r;
	int err = ring_open(&r), res;

	if (!err) {
		res = ring_do(&r, &c);
		if (res >= 0)
			res = ring_do(&r, &s);
		err = res < 0 ? -res : 0;
	}
	usleep(50000);
	ring_close(&r);
	close(fd);
	return err;
}

static int io_uring_udp(const struct try *t)
{
	int fd = socket(t->family, SOCK_DGRAM, 0);
	union address to = t->to;
	struct iovec v = {.iov_base = (void *)(uintptr_t)t->word, .iov_len = t->n};
	struct msghdr m = {.msg_name = &to, .msg_namelen = t->len, .msg_iov = &v, .msg_iovlen = 1};
	struct io_uring_sqe s = {
	        .opcode = IORING_OP_SENDMSG, .fd = fd, .addr = (uintptr_t)&m, .len = 1};
	struct ring r;
	int err = ring_open(&r), res;

	if (!err) {
		res = ring_do(&r, &s);
		err = res < 0 ? -res : 0;
	}
	ring_close(&r);
	close(fd);
	return err;
}

/* ----------------------------------------------------------------- datagrams */

static int udp(const struct try *t)
{
	return send_to(socket(t->family, SOCK_DGRAM, 0), t, &t->to, t->len);
}

static int udp_connected(const struct try *t)
{
	return connect_and_send(socket(t->family, SOCK_DGRAM, 0), t);
}

static int udp_many(const struct try *t)
{
	int err = 0, fd = socket(t->family, SOCK_DGRAM, 0);
	struct iovec v = {.iov_base = (void *)(uintptr_t)t->word, .iov_len = t->n};
	union address to = t->to;
	struct mmsghdr m[2] = {0};

	for (int i = 0; i < 2; i++)
		m[i].msg_hdr = (struct msghdr){
		        .msg_name = &to, .msg_namelen = t->len, .msg_iov = &v, .msg_iovlen = 1};
	if (fd < 0 || sendmmsg(fd, m, 2, 0) < 0)
		err = errno;
	if (fd >= 0)
		close(fd);
	return err;
}

static int udp_lite(const struct try *t)
{
	return send_to(socket(t->family, SOCK_DGRAM, IPPROTO_UDPLITE), t, &t->to, t->len);
}

/* What QUIC's first packet looks like: a long header of version 1, and a crypto frame's room. */
static int quic(const struct try *t)
{
	static const unsigned char head[] = {0xc3, 0, 0, 0, 1, 8, 1, 2,    3,
	                                     4,    5, 6, 7, 8, 0, 0, 0x44, 0x9e};
	struct try q = *t;

	memcpy(q.word, head, sizeof(head));
	memcpy(q.word + sizeof(head), t->word, t->n);
	q.n = t->n + sizeof(head);
	return udp(&q);
}

/* ------------------------------------------------------------ SCTP and DCCP */

static int sctp_stream(const struct try *t)
{
	return connect_and_send(socket(t->family, SOCK_STREAM, IPPROTO_SCTP), t);
}

static int sctp_message(const struct try *t)
{
	int fd = socket(t->family, SOCK_SEQPACKET, IPPROTO_SCTP), err = 0;
	struct timeval limit = {.tv_sec = WAIT_MS / 1000};

	if (fd < 0)
		return errno;
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (sendto(fd, t->word, t->n, MSG_NOSIGNAL, &t->to.any, t->len) < 0)
		err = errno;
	usleep(200000);
	close(fd);
	return err;
}

/* Connects by an option: no connect() is called. */
static int sctp_connectx(const struct try *t)
{
	int fd = socket(t->family, SOCK_STREAM, IPPROTO_SCTP), err;

	if (fd < 0)
		return errno;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	err = setsockopt(fd, IPPROTO_SCTP, SCTP_OPTION_CONNECTX, &t->to, t->len) < 0 ? errno : 0;
	if (err == EINPROGRESS || !err)
		err = settled(fd);
	if (!err)
		err = send_all(fd, t);
	close(fd);
	return err;
}

static int dccp(const struct try *t)
{
	int fd = socket(t->family, SOCK_DCCP_TYPE, IPPROTO_DCCP);
	uint32_t service = htonl(42);

	if (fd >= 0)
		setsockopt(fd, SOL_DCCP, DCCP_SERVICE, &service, sizeof(service));
	return connect_and_send(fd, t);
}

/* ------------------------------------------------------------------ raw sockets */

static int raw_unassigned(const struct try *t)
{
	union address to = t->to;

	to.v6.sin6_port = 0; /* the same place in both: a raw socket has no port */
	return send_to(socket(t->family, SOCK_RAW, PROTO_UNASSIGNED), t, &to, t->len);
}

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static uint32_t add_up(const void *data, size_t n, uint32_t sum)
{
	const unsigned char *b = data;

	for (size_t i = 0; i + 1 < n; i += 2)
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	if (n & 1)
		sum += (uint32_t)b[n - 1] << 8;
	return sum;
}

/* An ICMP message of this type with the word in it, by a socket of the given kind. */
static int icmp_of(const struct try *t, int kind, uint8_t type4, uint8_t type6)
{
	union {
		struct icmphdr v4;
		struct icmp6_hdr v6;
		unsigned char b[sizeof(struct icmphdr)];
	} h = {0};
	struct try m = *t;
	union address to = t->to;

	to.v6.sin6_port = 0;
	if (is_v4(t))
		h.v4.type = type4;
	else
		h.v6.icmp6_type = type6;
	memcpy(m.word, h.b, sizeof(h));
	memcpy(m.word + sizeof(h), t->word, t->n);
	m.n = t->n + sizeof(h);
	if (is_v4(t)) {
		h.v4.checksum = htons(fold(add_up(m.word, m.n, 0)));
		memcpy(m.word, h.b, sizeof(h));
	}
	return send_to(socket(t->family, kind, is_v4(t) ? IPPROTO_ICMP : IPPROTO_ICMPV6), &m, &to,
	               t->len);
}

static int ping(const struct try *t)
{
	return icmp_of(t, SOCK_DGRAM, ICMP_ECHO, ICMP6_ECHO_REQUEST);
}

static int raw_icmp_echo(const struct try *t)
{
	return icmp_of(t, SOCK_RAW, ICMP_ECHO, ICMP6_ECHO_REQUEST);
}

/* What the kernel itself sends, and must go on to send. */
static int raw_icmp_reply(const struct try *t)
{
	return icmp_of(t, SOCK_RAW, ICMP_ECHOREPLY, ICMP6_ECHO_REPLY);
}

static int raw_icmp_unreachable(const struct try *t)
{
	return icmp_of(t, SOCK_RAW, ICMP_DEST_UNREACH, ICMP6_DST_UNREACH);
}

/* A packet that is all the caller's: header, protocol and payload. */
struct packet {
	unsigned char b[512];
	size_t n;
	const union address *to; /* where the kernel is told to send it */
};

static int put_packet(const struct try *t, const struct packet *p)
{
	int on = 1, err = 0, fd = socket(t->family, SOCK_RAW, IPPROTO_RAW);
	union address to = *p->to;

	to.v6.sin6_port = 0;
	if (fd < 0)
		return errno;
	if (!is_v4(t) && setsockopt(fd, IPPROTO_IPV6, IPV6_HDRINCL, &on, sizeof(on)))
		err = EPROTONOSUPPORT;
	if (!err && sendto(fd, p->b, p->n, MSG_DONTWAIT, &to.any, t->len) < 0)
		err = errno;
	close(fd);
	return err;
}

static int head(const struct try *t, struct packet *p, uint8_t proto, size_t payload)
{
	union address src;
	int err = source_of(t, &src);

	if (err)
		return err;
	p->to = &t->to;
	if (is_v4(t)) {
		struct iphdr h = {.version = 4,
		                  .ihl = 5,
		                  .ttl = 64,
		                  .protocol = proto,
		                  .saddr = src.v4.sin_addr.s_addr,
		                  .daddr = t->to.v4.sin_addr.s_addr};

		memcpy(p->b, &h, sizeof(h));
		p->n = sizeof(h);
	} else {
		struct ip6_hdr h = {.ip6_src = src.v6.sin6_addr, .ip6_dst = t->to.v6.sin6_addr};

		h.ip6_flow = htonl(6u << 28);
		h.ip6_plen = htons((uint16_t)payload);
		h.ip6_nxt = proto;
		h.ip6_hlim = 64;
		memcpy(p->b, &h, sizeof(h));
		p->n = sizeof(h);
	}
	return 0;
}

static void put(struct packet *p, const void *data, size_t n)
{
	memcpy(p->b + p->n, data, n);
	p->n += n;
}

static int raw_udp(const struct try *t)
{
	struct udphdr u = {.source = htons(4000),
	                   .dest = port_of(t),
	                   .len = htons((uint16_t)(sizeof(u) + t->n))};
	struct packet p = {0};
	int err = head(t, &p, IPPROTO_UDP, sizeof(u) + t->n);

	if (err)
		return err;
	put(&p, &u, sizeof(u));
	put(&p, t->word, t->n);
	return put_packet(t, &p);
}

/* A segment that belongs to no connection, with a payload. */
static int raw_tcp(const struct try *t)
{
	struct tcphdr h = {
	        .source = htons(4000), .dest = port_of(t), .doff = 5, .ack = 1, .psh = 1};
	struct packet p = {0};
	int err = head(t, &p, IPPROTO_TCP, sizeof(h) + t->n);

	if (err)
		return err;
	put(&p, &h, sizeof(h));
	put(&p, t->word, t->n);
	return put_packet(t, &p);
}

/* No payload, but forty bytes of options: the word, cut to fit. */
static int raw_tcp_options(const struct try *t)
{
	struct tcphdr h = {.source = htons(4000), .dest = port_of(t), .doff = 15, .ack = 1};
	struct packet p = {0};
	unsigned char room[40] = {0};
	int err, fd = socket(t->family, SOCK_RAW, IPPROTO_TCP);
	union address to = t->to;

	to.v6.sin6_port = 0;
	memcpy(room, t->word + (t->n > sizeof(room) ? t->n - sizeof(room) : 0),
	       t->n > sizeof(room) ? sizeof(room) : t->n);
	put(&p, &h, sizeof(h));
	put(&p, room, sizeof(room));
	if (fd < 0)
		return errno;
	err = sendto(fd, p.b, p.n, MSG_DONTWAIT, &to.any, t->len) < 0 ? errno : 0;
	close(fd);
	return err;
}

/* The later part of a datagram: no port is in it. */
static int raw_fragment(const struct try *t)
{
	struct packet p = {0};
	struct ip6_frag f = {.ip6f_nxt = IPPROTO_UDP, .ip6f_offlg = htons(64), .ip6f_ident = 7};
	size_t extra = is_v4(t) ? 0 : sizeof(f);
	int err = head(t, &p, is_v4(t) ? IPPROTO_UDP : IPPROTO_FRAGMENT, extra + t->n);

	if (err)
		return err;
	if (is_v4(t)) {
		p.b[6] = 0;
		p.b[7] = 8;
	} else {
		put(&p, &f, sizeof(f));
	}
	put(&p, t->word, t->n);
	return put_packet(t, &p);
}

/* The header's destination is a stop on the way; the gated address comes after it. */
static int raw_source_routed(const struct try *t)
{
	struct packet p = {0};
	union address stop = t->to;
	struct {
		struct ip6_rthdr h;
		uint32_t reserved;
		struct in6_addr last;
	} route = {.h = {.ip6r_nxt = PROTO_UNASSIGNED, .ip6r_len = 2, .ip6r_segleft = 1},
	           .last = t->to.v6.sin6_addr};
	/* Loose source route: type, length, pointer, one address; then "no operation" to fill up.
	 */
	unsigned char option[8] = {131, 7, 4};
	int err = head(t, &p, is_v4(t) ? PROTO_UNASSIGNED : IPPROTO_ROUTING,
	               (is_v4(t) ? sizeof(option) : sizeof(route)) + t->n);

	if (err)
		return err;
	if (is_v4(t)) {
		/* Some other host of the destination's network: the wire is what counts. */
		stop.v4.sin_addr.s_addr ^= htonl(8);
		p.b[0] = 0x47;
		memcpy(p.b + 16, &stop.v4.sin_addr, 4);
		memcpy(option + 3, &t->to.v4.sin_addr, 4);
		option[7] = 1;
		put(&p, option, sizeof(option));
	} else {
		stop.v6.sin6_addr.s6_addr[15] ^= 8;
		memcpy(p.b + 24, &stop.v6.sin6_addr, 16);
		put(&p, &route, sizeof(route));
	}
	put(&p, t->word, t->n);
	p.to = &stop;
	return put_packet(t, &p);
}

/* ------------------------------------------------- one socket's, sent by another */

/* What root of a container has at most, in many: enough for raw sockets, too little for tunnels. */
static int give_up_capabilities(void)
{
	struct __user_cap_header_struct h = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct d[2] = {
	        {.effective = 1u << CAP_NET_RAW, .permitted = 1u << CAP_NET_RAW}};

	return syscall(SYS_capset, &h, d) ? errno : 0;
}

/* By a child without capabilities. Owns udp. */
static int powerless(const struct try *t, int udp, int (*go)(const struct try *t, int udp))
{
	int status, err;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		err = give_up_capabilities();
		_exit(err ? err : go(t, udp));
	}
	close(udp);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : ECHILD;
}

static int l2tp_socket(int udp, uint16_t session)
{
	uint16_t id = (uint16_t)(getpid() | 1);
	struct sockaddr_pppol2tp a = {.sa_family = AF_PPPOX,
	                              .sa_protocol = PX_PROTO_OL2TP,
	                              .pppol2tp = {.fd = udp,
	                                           .s_tunnel = id,
	                                           .s_session = session,
	                                           .d_tunnel = id,
	                                           .d_session = session}};
	struct sockaddr_storage room = {0};
	int err, fd = socket(AF_PPPOX, SOCK_DGRAM, PX_PROTO_OL2TP);

	memcpy(&room, &a, sizeof(a));
	if (fd < 0 || !connect(fd, (struct sockaddr *)&room, sizeof(a)))
		return fd < 0 ? -errno : fd;
	err = -errno;
	close(fd);
	return err;
}

/* PPP over L2TP: a socket for the tunnel, which udp becomes, and one for a session in it. */
static int l2tp_over(int udp)
{
	int tunnel = l2tp_socket(udp, 0);

	return tunnel < 0 ? tunnel : l2tp_socket(udp, 1);
}

static int l2tp_send(const struct try *t, int udp)
{
	int fd = l2tp_over(udp);

	return fd < 0 ? -fd : send_all(fd, t);
}

static int l2tp_ppp(const struct try *t)
{
	int err, udp = socket(t->family, SOCK_DGRAM, 0);

	if (udp < 0)
		return errno;
	if (!connect(udp, &t->to.any, t->len))
		return powerless(t, udp, l2tp_send);
	err = errno;
	close(udp);
	return err;
}

/*
 * Connected elsewhere, by a route whose first stop is the gated address. For IPv6 this takes no
 * capability.
 */
static int l2tp_source_routed(const struct try *t, int udp)
{
	struct {
		struct ip6_rthdr h;
		uint32_t reserved;
		struct in6_addr stop;
	} route = {.h = {.ip6r_len = 2, .ip6r_type = 2, .ip6r_segleft = 1},
	           .stop = t->to.v6.sin6_addr};
	unsigned char option[8] = {131, 7, 4}; /* loose source route, one stop */
	int tos = IPTOS_LOWDELAY;

	memcpy(option + 3, &t->to.v4.sin_addr, 4);
	option[7] = 1;
	if (is_v4(t) ? setsockopt(udp, IPPROTO_IP, IP_OPTIONS, option, sizeof(option))
	             : setsockopt(udp, IPPROTO_IPV6, IPV6_RTHDR, &route, sizeof(route)))
		return errno;
	/* Makes the socket look for its route again. */
	if (is_v4(t) && setsockopt(udp, IPPROTO_IP, IP_TOS, &tos, sizeof(tos)))
		return errno;
	return l2tp_send(t, udp);
}

static int l2tp_source_route(const struct try *t)
{
	int err, udp = socket(t->family, SOCK_DGRAM, 0);
	union address stop = t->to;

	if (udp < 0)
		return errno;
	if (is_v4(t))
		stop.v4.sin_addr.s_addr ^= htonl(8);
	else
		stop.v6.sin6_addr.s6_addr[15] ^= 8;
	if (!connect(udp, &stop.any, t->len))
		return powerless(t, udp, l2tp_source_routed);
	err = errno;
	close(udp);
	return err;
}

/* ------------------------------------------------------------- packet sockets */

/* Below all hooks on sockets: a link-layer frame. */
static int packet_socket(const struct try *t)
{
	uint16_t kind = htons(is_v4(t) ? ETH_P_IP : ETH_P_IPV6);
	struct sockaddr_ll ll = {
	        .sll_family = AF_PACKET, .sll_protocol = kind, .sll_halen = ETH_ALEN};
	int err, fd = socket(AF_PACKET, SOCK_DGRAM, kind);
	struct packet p = {0};

	if (fd < 0)
		return errno;
	ll.sll_ifindex = (int)if_nametoindex("kg0");
	memset(ll.sll_addr, 0xff, ETH_ALEN);
	err = ll.sll_ifindex ? head(t, &p, PROTO_UNASSIGNED, t->n) : ENODEV;
	if (!err) {
		put(&p, t->word, t->n);
		if (is_v4(t))
			p.b[3] = (unsigned char)p.n;
		err = sendto(fd, p.b, p.n, 0, (struct sockaddr *)&ll, sizeof(ll)) < 0 ? errno : 0;
	}
	close(fd);
	return err;
}

/* ------------------------------------------------------------------------ main */

static const struct {
	const char *name;
	int (*go)(const struct try *t);
} ways[] = {
        {"tcp", tcp},
        {"tcp-nonblocking", tcp_nonblocking},
        {"tcp-bound-first", tcp_bound_first},
        {"tcp-bound-to-device", tcp_bound_to_device},
        {"tcp-mapped", tcp_mapped},
        {"tcp-fast-open", tcp_fast_open},
        {"tcp-fast-open-connect", tcp_fast_open_connect},
        {"tcp-again", tcp_again},
        {"tcp-repair", tcp_repair},
        {"mptcp", mptcp},
        {"tcp-inherited", tcp_inherited},
        {"tcp-passed", tcp_passed},
        {"io-uring-tcp", io_uring_tcp},
        {"io-uring-udp", io_uring_udp},
        {"udp", udp},
        {"udp-connected", udp_connected},
        {"udp-many", udp_many},
        {"udp-lite", udp_lite},
        {"quic", quic},
        {"sctp-stream", sctp_stream},
        {"sctp-message", sctp_message},
        {"sctp-connectx", sctp_connectx},
        {"dccp", dccp},
        {"ping", ping},
        {"raw-unassigned", raw_unassigned},
        {"raw-icmp-echo", raw_icmp_echo},
        {"raw-icmp-reply", raw_icmp_reply},
        {"raw-icmp-unreachable", raw_icmp_unreachable},
        {"raw-udp", raw_udp},
        {"raw-tcp", raw_tcp},
        {"raw-tcp-options", raw_tcp_options},
        {"raw-fragment", raw_fragment},
        {"raw-source-routed", raw_source_routed},
        {"l2tp-ppp", l2tp_ppp},
        {"l2tp-source-route", l2tp_source_route},
        {"packet-socket", packet_socket},
};
#define N_WAYS (sizeof(ways) / sizeof(ways[0]))

static bool lacking(int err)
{
	return err == EAFNOSUPPORT || err == EPROTONOSUPPORT || err == ESOCKTNOSUPPORT ||
	       err == ENOPROTOOPT || err == ENOSYS;
}

static bool parse(struct try *t, const char *address, const char *port)
{
	char *end;
	unsigned long n = strtoul(port, &end, 10);

	memset(t, 0, sizeof(*t));
	if (*end || n == 0 || n > 65535)
		return false;
	if (inet_pton(AF_INET, address, &t->to.v4.sin_addr) == 1) {
		t->family = AF_INET;
		t->to.v4.sin_family = AF_INET;
		t->to.v4.sin_port = htons((uint16_t)n);
		t->len = sizeof(t->to.v4);
	} else if (inet_pton(AF_INET6, address, &t->to.v6.sin6_addr) == 1) {
		t->family = AF_INET6;
		t->to.v6.sin6_family = AF_INET6;
		t->to.v6.sin6_port = htons((uint16_t)n);
		t->len = sizeof(t->to.v6);
	}
	return t->len != 0;
}

static bool set_word(struct try *t, const char *word, const char *way)
{
	int n = snprintf(t->word, sizeof(t->word), "%s-%s-.", word, way);

	if (n < 0 || (size_t)n > sizeof(t->word) - 64)
		return false;
	t->n = (size_t)n;
	return true;
}

static void report(const char *way, int err)
{
	if (!err)
		printf("%s sent\n", way);
	else
		printf("%s %s %s\n", way, lacking(err) ? "lacking" : "refused",
		       strerrorname_np(err));
	fflush(stdout);
}

/* ----------------------------------------------------------------- old sockets */

static int old_of(const struct try *t, int kind, int proto)
{
	int err, fd = socket(t->family, kind, proto);

	if (fd < 0 || !connect(fd, &t->to.any, t->len))
		return fd < 0 ? -errno : fd;
	err = -errno;
	close(fd);
	return err;
}

static int old_tcp(const struct try *t)
{
	return old_of(t, SOCK_STREAM, 0);
}

static int old_udp(const struct try *t)
{
	return old_of(t, SOCK_DGRAM, 0);
}

static int old_sctp(const struct try *t)
{
	return old_of(t, SOCK_STREAM, IPPROTO_SCTP);
}

static int old_raw(const struct try *t)
{
	struct try m = *t;

	m.to.v6.sin6_port = 0; /* the same place in both: a raw socket has no port */
	return old_of(&m, SOCK_RAW, PROTO_UNASSIGNED);
}

/* The tunnel's own sockets stay open in this process. */
static int old_l2tp(const struct try *t)
{
	int udp = old_of(t, SOCK_DGRAM, 0);

	return udp < 0 ? udp : l2tp_over(udp);
}

static const struct {
	const char *name;
	int (*open)(const struct try *t);
} old_ways[] = {
        {"old-tcp", old_tcp}, {"old-udp", old_udp},   {"old-sctp", old_sctp},
        {"old-raw", old_raw}, {"old-l2tp", old_l2tp},
};
#define N_OLD (sizeof(old_ways) / sizeof(old_ways[0]))

static int use_old(struct try *t, const char *word)
{
	int fd[N_OLD], err = give_up_capabilities();
	char line[8];

	for (size_t i = 0; i < N_OLD; i++)
		fd[i] = err ? -err : old_ways[i].open(t);
	puts("ready");
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return 1;
	for (size_t i = 0; i < N_OLD; i++) {
		if (set_word(t, word, old_ways[i].name))
			report(old_ways[i].name, fd[i] < 0 ? -fd[i] : send_all(fd[i], t));
	}
	return 0;
}

int main(int argc, char **argv)
{
	bool old = argc == 5 && !strcmp(argv[1], "old");
	struct try t;

	signal(SIGPIPE, SIG_IGN);
	if (argc == 2 && !strcmp(argv[1], "list")) {
		for (size_t i = 0; i < N_WAYS; i++)
			puts(ways[i].name);
		return 0;
	}
	argv += old;
	argc -= old;
	if (argc < 4 || strlen(argv[3]) > 80 || !parse(&t, argv[1], argv[2])) {
		fputs("usage: ways list | ways [old] ADDRESS PORT WORD [WAY...]\n", stderr);
		return 1;
	}
	if (old)
		return use_old(&t, argv[3]);
	for (size_t i = 0; i < N_WAYS; i++) {
		bool wanted = argc == 4;

		for (int k = 4; k < argc; k++)
			wanted = wanted || !strcmp(argv[k], ways[i].name);
		if (wanted && set_word(&t, argv[3], ways[i].name))
			report(ways[i].name, ways[i].go(&t));
	}
	return 0;
}
