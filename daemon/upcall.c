/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's own TLS connections: NFS with xprtsec=tls, NVMe/TCP with tls. Where a destination of
 * the policy says so (kernel-tls), the kernel half lets these connect by themselves, mute; the
 * kernel then asks for a handshake (daemon/handshake.h), and what it hands out becomes the socket
 * of a session like any other: relay is told as if an application had connected, makes the
 * handshake and gets the evidence on that very socket, verify judges, the keys go into it in gate.
 * Then the kernel is told that it is done, or EACCES.
 *
 * A request that was accepted is always answered, so that no mount waits for its own time-out. The
 * socket of one that is refused stays as mute as it came, or is its session's, which is cut.
 *
 * The kernel names no key that it wants the peer authenticated by but NVMe's: it takes one for
 * granted there, and is told that it was the one it offered. That key is not used: who the peer is
 * follows from its evidence.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "daemon/handshake.h"

enum {
	UPCALLS_MAX = 32,     /* that relay was told of and has not announced yet */
	ANNOUNCE_MS = 5000,   /* in which it has to */
	LOOK_EVERY_MS = 1000, /* at how many records each has carried */
	ACCEPTS_IN_A_ROW = 64,
};

struct waiting {
	uint64_t number; /* 0: free */
	uint64_t deadline_ns;
	struct session_upcall call;
	struct gate_intent app;
};

struct upcall {
	struct handshake *kernel; /* NULL: this kernel asks nobody */
	bool joined;
	uint64_t look_next_ns;
	struct waiting v[UPCALLS_MAX];
};

static void tell_error(struct gate *g, int err)
{
	audit_emit(g->audit, "upcall-error", json_pack("{s:s}", "error", strerror(-err)));
}

int upcall_open(struct gate *g)
{
	struct upcall *u = calloc(1, sizeof(*u));
	int ret;

	g->upcall = u;
	if (!u)
		return -ENOMEM;
	ret = handshake_open(&u->kernel);
	if (ret && ret != -ENOENT)
		tell_error(g, ret);
	return 0;
}

/* ------------------------------------------------------------------- answers */

static int answer(struct upcall *u, struct session_upcall *c, int error)
{
	int ret = handshake_done(u->kernel, c->fd, error, !error && c->psk ? &c->peer : NULL);

	close(c->fd);
	c->fd = -1;
	return ret;
}

int upcall_done(struct gate *g, struct session *s, int error)
{
	int ret;

	if (!s->upcall)
		return 0;
	ret = answer(g->upcall, s->upcall, error);
	free(s->upcall);
	s->upcall = NULL;
	return ret;
}

static void refuse(struct gate *g, struct session_upcall *c, const struct gate_intent *app,
                   const char *code, const char *detail)
{
	struct sockaddr_storage dst;
	char peer[64];

	flow_sockaddr(app, &dst);
	record_peer(&dst, peer);
	if (!flow_over_limit(g))
		audit_emit(
		        g->audit, "upcall-refused",
		        json_pack("{s:s, s:s, s:s}", "peer", peer, "code", code, "detail", detail));
	(void)answer(g->upcall, c, EACCES);
}

void upcall_close(struct gate *g)
{
	struct upcall *u = g->upcall;

	if (!u)
		return;
	for (uint32_t i = 0; i < UPCALLS_MAX; i++) {
		if (u->v[i].number)
			(void)answer(u, &u->v[i].call, EACCES);
	}
	handshake_close(u->kernel);
	free(u);
	g->upcall = NULL;
}

/* --------------------------------------------------------------------- agent */

bool upcall_wanted(const struct gate *g, const struct policy *p)
{
	for (uint32_t i = 0; g->upcall && g->upcall->kernel && i < p->destinations; i++) {
		if (p->destination[i].kernel_tls != KERNEL_TLS_NONE)
			return true;
	}
	return false;
}

/* Only where the policy asks for it: another agent of this host would get none of its own. */
void upcall_policy(struct gate *g)
{
	struct upcall *u = g->upcall;
	bool want = upcall_wanted(g, g->now.policy);
	int ret;

	if (!u || want == u->joined)
		return;
	ret = handshake_join(u->kernel, want);
	if (ret)
		tell_error(g, ret);
	else
		u->joined = want;
}

const char *upcall_status(const struct gate *g)
{
	if (!g->upcall || !g->upcall->kernel)
		return "unavailable";
	return g->upcall->joined ? "on" : "off";
}

int upcall_fd(const struct gate *g)
{
	return g->upcall && g->upcall->kernel ? handshake_fd(g->upcall->kernel) : -1;
}

/* ------------------------------------------------------------------ requests */

static int option(int fd, int name, void *out, socklen_t n)
{
	return getsockopt(fd, SOL_SOCKET, name, out, &n) ? -errno : 0;
}

/* Who it is and where it is connected to, in the words of a connect. 0 or -errno. */
static int intent_of(int fd, struct gate_intent *out)
{
	struct sockaddr_storage a = {.ss_family = AF_UNSPEC};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t n = sizeof(a);
	int protocol = 0;
	int ret = option(fd, SO_PROTOCOL, &protocol, sizeof(protocol));

	*out = (struct gate_intent){.at_ns = gate_boot_ns(), .comm = "[kernel]"};
	if (!ret)
		ret = option(fd, SO_COOKIE, &out->cookie, sizeof(out->cookie));
	if (!ret)
		ret = option(fd, SO_NETNS_COOKIE, &out->netns, sizeof(out->netns));
	if (!ret && getpeername(fd, (struct sockaddr *)&a, &n))
		ret = -errno;
	if (ret || protocol != IPPROTO_TCP)
		return ret ? ret : -EPROTOTYPE;
	memcpy(&in, &a, sizeof(in));
	memcpy(&in6, &a, sizeof(in6));
	if (a.ss_family == AF_INET) {
		out->family = 4;
		out->dst[10] = out->dst[11] = 0xff;
		memcpy(out->dst + 12, &in.sin_addr, 4);
		out->dst_port = ntohs(in.sin_port);
	} else if (a.ss_family == AF_INET6) {
		out->family = 6;
		memcpy(out->dst, &in6.sin6_addr, 16);
		out->dst_port = ntohs(in6.sin6_port);
	} else {
		return -EAFNOSUPPORT;
	}
	return 0;
}

static struct waiting *slot(struct upcall *u, uint64_t number)
{
	for (uint32_t i = 0; i < UPCALLS_MAX; i++) {
		if (u->v[i].number == number)
			return &u->v[i];
	}
	return NULL;
}

static void take(struct gate *g, const struct handshake_request *rq)
{
	struct session_upcall c = {.fd = rq->fd, .psk = rq->psk, .peer = rq->peer};
	struct waiting *w = slot(g->upcall, 0);
	struct gate_intent app;
	int ret = intent_of(rq->fd, &app);

	if (ret) {
		refuse(g, &c, &app, "upcall.request", strerror(-ret));
	} else if (!rq->client || rq->certificate) {
		refuse(g, &c, &app, "upcall.request",
		       rq->client ? "with a client certificate" : "as a server");
	} else if (!flow_kernel_tls(g, &app)) {
		refuse(g, &c, &app, "upcall.destination", "");
	} else if (!w) {
		refuse(g, &c, &app, "gate.overload", "");
	} else {
		*w = (struct waiting){.number = ++g->opened,
		                      .deadline_ns =
		                              gate_boot_ns() + ANNOUNCE_MS * UINT64_C(1000000),
		                      .call = c,
		                      .app = app};
		(void)gate_send(g, ROLE_RELAY, MSG_OPEN, w->number, NULL, -1);
	}
}

void upcall_handle(struct gate *g)
{
	struct upcall *u = g->upcall;
	struct handshake_request rq;

	handshake_heard(u->kernel);
	for (int i = 0; i < ACCEPTS_IN_A_ROW; i++) {
		int ret = handshake_accept(u->kernel, &rq);

		if (ret == -EAGAIN)
			return;
		if (!ret)
			take(g, &rq);
		else if (!flow_over_limit(g))
			tell_error(g, ret);
	}
}

int upcall_take(struct gate *g, struct session *s, uint64_t number)
{
	struct waiting *w = g->upcall && number ? slot(g->upcall, number) : NULL;

	if (!w)
		return -ENOENT;
	s->upcall = malloc(sizeof(*s->upcall));
	if (!s->upcall)
		return -ENOMEM; /* the tick answers */
	*s->upcall = w->call;
	s->app = w->app;
	s->kernel = true;
	w->number = 0;
	return 0;
}

/* ------------------------------------------------------------------------ time */

/*
 * Nobody relays these, so nobody but the kernel counts their records; and no new key can be had on
 * its users' behalf. They end in time and connect again.
 */
void upcall_looked(struct gate *g, struct session *s)
{
	const struct session_seen *v = &s->seen;

	if (!v->known)
		flow_cut(g, s, "relay.record-limit", "the kernel does not say how many it carried");
	else if (v->sent >= REKEY_RECORDS || v->received >= REKEY_RECORDS)
		flow_cut(g, s, "relay.record-limit", "");
}

void upcall_tick(struct gate *g)
{
	struct upcall *u = g->upcall;
	uint64_t now = gate_boot_ns();

	if (!u || !u->kernel)
		return;
	for (uint32_t i = 0; i < UPCALLS_MAX; i++) {
		struct waiting *w = &u->v[i];

		if (!w->number || now < w->deadline_ns)
			continue;
		refuse(g, &w->call, &w->app, "gate.timeout", "");
		w->number = 0;
	}
	if (now < u->look_next_ns)
		return;
	u->look_next_ns = now + LOOK_EVERY_MS * UINT64_C(1000000);
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->kernel && s->state == SESSION_LIVE && !s->seen.looking)
			view_ask(g, s);
	}
}
