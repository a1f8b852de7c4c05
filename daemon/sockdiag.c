// SPDX-License-Identifier: Apache-2.0
/*
 * sock_diag: what the kernel says of a TCP socket's TLS, and the end of sockets by force. The one
 * file that speaks NETLINK_SOCK_DIAG. Knows tuples and cookies; no sessions.
 *
 * Requests name a socket by tuple and cookie together: a tuple alone may by now belong to another.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include "daemon/intercept.h"

enum {
	DUMP_TRIES = 16,  /* restarts of a dump that was interrupted */
	SWEEP_PASSES = 8, /* sockets that appear while older ones are destroyed */
	SWEEP_ROUNDS = 16,
	SWEEP_MAX = 1 << 20,
	TLS_INFO_LAST = TLS_INFO_RXCONF,
};

/* Kernel states, beyond what netinet/tcp.h names. */
#define STATE_NEW_SYN_RECV 12
#define STATES_SWEPT \
	((1u << TCP_ESTABLISHED) | (1u << TCP_SYN_SENT) | (1u << TCP_SYN_RECV) | \
	 (1u << TCP_FIN_WAIT1) | (1u << TCP_FIN_WAIT2) | (1u << TCP_CLOSE) | \
	 (1u << TCP_CLOSE_WAIT) | (1u << TCP_LAST_ACK) | (1u << TCP_CLOSING) | \
	 (1u << STATE_NEW_SYN_RECV))
/* A UDP socket that is connected has the state of a connection. */
#define STATES_SWEPT_UDP (1u << TCP_ESTABLISHED)

struct diag {
	struct mnl_socket *sock;
	uint32_t seq;
	char buf[32768]; /* MNL_SOCKET_BUFFER_SIZE is at most 8 KiB; dumps come in up to 32 */
};

static int diag_open(struct diag *d)
{
	struct timeval limit = {.tv_sec = 5};

	d->seq = 0;
	d->sock = mnl_socket_open2(NETLINK_SOCK_DIAG, SOCK_CLOEXEC);
	if (!d->sock)
		return -errno;
	if (mnl_socket_bind(d->sock, 0, MNL_SOCKET_AUTOPID) ||
	    setsockopt(mnl_socket_get_fd(d->sock), SOL_SOCKET, SO_RCVTIMEO, &limit,
	               sizeof(limit))) {
		int r = -errno;

		mnl_socket_close(d->sock);
		return r;
	}
	return 0;
}

static struct inet_diag_req_v2 *diag_request(struct diag *d, uint16_t type, uint16_t flags)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(d->buf);

	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	h->nlmsg_seq = ++d->seq;
	return mnl_nlmsg_put_extra_header(h, sizeof(struct inet_diag_req_v2));
}

/* Both NLMSG_ERROR, 0 for an acknowledgement, and NLMSG_DONE, where a dump that failed in the
 * middle says so, begin with an error number. */
static int on_end(const struct nlmsghdr *h, void *ctx)
{
	int err;

	(void)ctx;
	if (mnl_nlmsg_get_payload_len(h) < sizeof(err)) {
		errno = EPROTO;
		return MNL_CB_ERROR;
	}
	memcpy(&err, mnl_nlmsg_get_payload(h), sizeof(err));
	if (err >= 0)
		return MNL_CB_STOP;
	errno = -err;
	return MNL_CB_ERROR;
}

/* Sends what diag_request built and gives every answer to fn. */
static int diag_talk(struct diag *d, bool many, mnl_cb_t fn, void *ctx)
{
	mnl_cb_t ctl[NLMSG_DONE + 1] = {[NLMSG_ERROR] = on_end, [NLMSG_DONE] = on_end};
	unsigned int port = mnl_socket_get_portid(d->sock);
	ssize_t n;
	int r;

	if (mnl_socket_sendto(d->sock, d->buf, mnl_nlmsg_size(sizeof(struct inet_diag_req_v2))) < 0)
		return -errno;
	do {
		n = mnl_socket_recvfrom(d->sock, d->buf, sizeof(d->buf));
		if (n < 0)
			return -errno;
		r = mnl_cb_run2(d->buf, (size_t)n, d->seq, port, fn, ctx, ctl, NLMSG_DONE + 1);
		if (r < 0)
			return -errno;
	} while (many && r > MNL_CB_STOP);
	return 0;
}

/* ------------------------------------------------------------------ one socket */

static void put_addr(const struct sockaddr_storage *a, __be32 out[static 4], __be16 *port)
{
	struct sockaddr_in6 v6;
	struct sockaddr_in v4;

	if (a->ss_family == AF_INET) {
		memcpy(&v4, a, sizeof(v4));
		memcpy(out, &v4.sin_addr, sizeof(v4.sin_addr));
		*port = v4.sin_port;
	} else {
		memcpy(&v6, a, sizeof(v6));
		memcpy(out, &v6.sin6_addr, sizeof(v6.sin6_addr));
		*port = v6.sin6_port;
	}
}

static void put_cookie(uint64_t cookie, struct inet_diag_sockid *id)
{
	id->idiag_cookie[0] = (uint32_t)cookie;
	id->idiag_cookie[1] = (uint32_t)(cookie >> 32);
}

static int name_socket(int fd, struct inet_diag_req_v2 *req)
{
	struct sockaddr_storage src = {0}, dst = {0};
	socklen_t sn = sizeof(src), dn = sizeof(dst), cn = sizeof(uint64_t), in = sizeof(int);
	uint64_t cookie;
	int dev = 0;

	if (getsockname(fd, (struct sockaddr *)&src, &sn) ||
	    getpeername(fd, (struct sockaddr *)&dst, &dn) ||
	    getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &cn) ||
	    getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &dev, &in))
		return -errno;
	if (src.ss_family != AF_INET && src.ss_family != AF_INET6)
		return -EAFNOSUPPORT;
	*req = (struct inet_diag_req_v2){
	        .sdiag_family = (uint8_t)src.ss_family,
	        .sdiag_protocol = IPPROTO_TCP,
	        .idiag_states = UINT32_MAX,
	        /* Without it, kernels before 7 leave the ULP out. */
	        .idiag_ext = 1u << (INET_DIAG_INFO - 1),
	        .id.idiag_if = (uint32_t)dev,
	};
	put_addr(&src, req->id.idiag_src, &req->id.idiag_sport);
	put_addr(&dst, req->id.idiag_dst, &req->id.idiag_dport);
	put_cookie(cookie, &req->id);
	return 0;
}

static int on_tls_attr(const struct nlattr *a, void *ctx)
{
	struct sockdiag_tls *t = ctx;
	uint16_t *into;

	switch (mnl_attr_get_type(a)) {
	case TLS_INFO_VERSION:
		into = &t->version;
		break;
	case TLS_INFO_CIPHER:
		into = &t->cipher;
		break;
	case TLS_INFO_TXCONF:
		into = &t->txconf;
		break;
	case TLS_INFO_RXCONF:
		into = &t->rxconf;
		break;
	default:
		return MNL_CB_OK;
	}
	if (mnl_attr_validate(a, MNL_TYPE_U16))
		return MNL_CB_ERROR;
	*into = mnl_attr_get_u16(a);
	return MNL_CB_OK;
}

static int on_ulp_attr(const struct nlattr *a, void *ctx)
{
	struct sockdiag_tls *t = ctx;

	if (mnl_attr_get_type(a) != INET_ULP_INFO_TLS)
		return MNL_CB_OK;
	t->is_tls = true;
	return mnl_attr_parse_nested(a, on_tls_attr, t);
}

static int on_diag_attr(const struct nlattr *a, void *ctx)
{
	if (mnl_attr_get_type(a) != INET_DIAG_ULP_INFO)
		return MNL_CB_OK;
	return mnl_attr_parse_nested(a, on_ulp_attr, ctx);
}

static int on_tls_answer(const struct nlmsghdr *h, void *ctx)
{
	if (mnl_nlmsg_get_payload_len(h) < sizeof(struct inet_diag_msg)) {
		errno = EPROTO;
		return MNL_CB_ERROR;
	}
	return mnl_attr_parse(h, sizeof(struct inet_diag_msg), on_diag_attr, ctx);
}

int sockdiag_tls(int fd, struct sockdiag_tls *out)
{
	struct sockdiag_tls found = {0};
	struct diag d;
	int r = diag_open(&d);

	if (r)
		return r;
	r = name_socket(fd, diag_request(&d, SOCK_DIAG_BY_FAMILY, 0));
	if (!r)
		r = diag_talk(&d, false, on_tls_answer, &found);
	mnl_socket_close(d.sock);
	if (!r)
		*out = found;
	return r;
}

static int destroy(struct diag *d, const struct inet_diag_req_v2 *which)
{
	*diag_request(d, SOCK_DESTROY, NLM_F_ACK) = *which;
	return diag_talk(d, false, NULL, NULL);
}

int sockdiag_destroy(int fd)
{
	struct inet_diag_req_v2 req;
	struct diag d;
	int r = name_socket(fd, &req);

	if (!r)
		r = diag_open(&d);
	if (r)
		return r;
	r = destroy(&d, &req);
	mnl_socket_close(d.sock);
	return r;
}

/* ----------------------------------------------------------------- all sockets */

/* Destroying while a dump is under way would make it skip sockets, so it is done afterwards. */
struct found {
	const struct sockdiag_match *match;
	uint8_t proto; /* of those that are being asked about */
	struct inet_diag_req_v2 *v;
	size_t n, cap;
};

static void mapped_dst(const struct inet_diag_msg *m, uint8_t out[static 16])
{
	if (m->idiag_family == AF_INET) {
		memset(out, 0, 10);
		memset(out + 10, 0xff, 2);
		memcpy(out + 12, m->id.idiag_dst, 4);
	} else {
		memcpy(out, m->id.idiag_dst, 16);
	}
}

static int keep(struct found *f, const struct inet_diag_msg *m)
{
	size_t cap = f->cap ? 2 * f->cap : 64;

	if (f->n == f->cap) {
		void *v = cap <= SWEEP_MAX ? realloc(f->v, cap * sizeof(*f->v)) : NULL;

		if (!v) {
			errno = ENOMEM;
			return MNL_CB_ERROR;
		}
		f->v = v;
		f->cap = cap;
	}
	f->v[f->n++] = (struct inet_diag_req_v2){
	        .sdiag_family = m->idiag_family,
	        .sdiag_protocol = f->proto,
	        .idiag_states = UINT32_MAX,
	        .id = m->id,
	};
	return MNL_CB_OK;
}

static int on_cgroup_attr(const struct nlattr *a, void *ctx)
{
	struct sockdiag_socket *s = ctx;

	if (mnl_attr_get_type(a) != INET_DIAG_CGROUP_ID)
		return MNL_CB_OK;
	if (mnl_attr_validate(a, MNL_TYPE_U64))
		return MNL_CB_ERROR;
	s->cgroup = mnl_attr_get_u64(a);
	return MNL_CB_OK;
}

static int on_socket(const struct nlmsghdr *h, void *ctx)
{
	struct sockdiag_socket s = {.cgroup = 0};
	struct found *f = ctx;
	struct inet_diag_msg m;

	if (mnl_nlmsg_get_payload_len(h) < sizeof(m)) {
		errno = EPROTO;
		return MNL_CB_ERROR;
	}
	memcpy(&m, mnl_nlmsg_get_payload(h), sizeof(m));
	if (f->match->held && !m.idiag_inode)
		return MNL_CB_OK;
	s.cookie = m.id.idiag_cookie[0] | (uint64_t)m.id.idiag_cookie[1] << 32;
	s.port = ntohs(m.id.idiag_dport);
	s.uid = m.idiag_uid;
	s.proto = f->proto;
	mapped_dst(&m, s.dst);
	if (mnl_attr_parse(h, sizeof(m), on_cgroup_attr, &s) < 0)
		return MNL_CB_ERROR;
	if (!f->match->fn(f->match->ctx, &s))
		return MNL_CB_OK;
	return keep(f, &m);
}

static int dump_family(uint8_t family, struct found *f)
{
	size_t before = f->n;
	struct diag d;
	int r = -EINTR;

	for (int tries = 0; r == -EINTR && tries < DUMP_TRIES; tries++) {
		f->n = before;
		r = diag_open(&d);
		if (r)
			return r;
		*diag_request(&d, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP) = (struct inet_diag_req_v2){
		        .sdiag_family = family,
		        .sdiag_protocol = f->proto,
		        .idiag_states = f->proto == IPPROTO_UDP ? STATES_SWEPT_UDP : STATES_SWEPT,
		};
		r = diag_talk(&d, true, on_socket, f);
		/* What an interrupted dump still sends goes with its socket. */
		mnl_socket_close(d.sock);
	}
	return r;
}

/* How many; those are taken off the list. */
static int destroy_round(struct diag *d, struct found *f, bool backwards, int *err)
{
	int gone = 0, r;

	for (size_t k = 0; k < f->n; k++) {
		struct inet_diag_req_v2 *which = &f->v[backwards ? f->n - 1 - k : k];

		if (which->sdiag_family == AF_UNSPEC)
			continue;
		r = destroy(d, which);
		if (!r) {
			which->sdiag_family = AF_UNSPEC;
			gone++;
		} else if (r != -ENOENT && !*err) {
			*err = r;
		}
	}
	return gone;
}

/*
 * How many were destroyed; what is gone already does not count, and is no error. UDP sockets may
 * have all addresses and ports in common. The kernel looks for one of these, and only then at the
 * cookie: which one depends on an order of its own, so the list is gone through from both ends, as
 * long as that helps.
 */
static int destroy_all(struct found *f)
{
	int gone = 0, err = 0, r, round = 0;
	struct diag d;

	r = diag_open(&d);
	if (r)
		return r;
	do {
		r = destroy_round(&d, f, round & 1, &err);
		gone += r;
	} while (r > 0 && ++round < SWEEP_ROUNDS);
	mnl_socket_close(d.sock);
	return err ? err : gone;
}

static int sweep_once(const struct sockdiag_match *m, uint8_t proto)
{
	struct found f = {.match = m, .proto = proto};
	int r = dump_family(AF_INET, &f);

	if (!r)
		r = dump_family(AF_INET6, &f);
	if (!r && f.n)
		r = destroy_all(&f);
	free(f.v);
	return r;
}

static int sweep_proto(const struct sockdiag_match *m, uint8_t proto)
{
	int total = 0, r = 1;

	for (int pass = 0; r > 0 && pass < SWEEP_PASSES; pass++) {
		r = sweep_once(m, proto);
		if (r > 0)
			total += r;
	}
	return r < 0 ? r : total;
}

int sockdiag_sweep(const struct sockdiag_match *m)
{
	int tcp = sweep_proto(m, IPPROTO_TCP);
	int udp = m->udp ? sweep_proto(m, IPPROTO_UDP) : 0;

	if (tcp < 0)
		return tcp;
	return udp < 0 ? udp : tcp + udp;
}
