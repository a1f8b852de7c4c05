/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces beside keygated's own: which there are, which are served, and being in one for
 * the moment that a socket takes to be made. A namespace is served when keygated listens on its
 * loopback: the kernel half then redirects to there, and everything else is as at home.
 *
 * How one is noticed, the quickest way first: the kernel half tells of a task that is in one which
 * is not known (netns.bpf.c), or of its first socket; the table of mounts changes; a look at all
 * of them every SPACES_EVERY_MS. Until it is served, gated connects in it are refused.
 *
 * A socket keeps its namespace alive. So that one which nobody uses any more can end, it is given
 * up as soon as no thread is in it and no mount that keygated sees holds it; what is left in it are
 * the sockets of sessions, until these end. Should it be used again, it is noticed again.
 *
 * gate's one thread goes there and comes back before it does anything else.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "daemon/netns.h"

enum {
	SPACES_OTHERS = SPACES_MAX / 2, /* of these, for namespaces that users but root made */
	SPACES_KNOWN = 2 * SPACES_MAX,  /* served or not */
	SPACES_KNOWN_OTHERS = SPACES_KNOWN / 2, /* of these, likewise */
	SPACES_EVERY_MS = 5000,
	SPACES_DOUBT_MS = 150, /* longer than the kernel half is silent after it told of a leave */
	SPACES_FDS = 4096,
	WHERE_MAX = 128,
};

struct space {
	struct netns ns; /* fd -1: it is not served */
	uint64_t cookie;
	uid_t owner;
	bool listening;
	bool seen;             /* in this look */
	uint32_t tried;        /* in which look */
	uint64_t unused_ns;    /* since when only sessions keep it; 0: it is used */
	char where[WHERE_MAX]; /* last seen; empty: the path was too long */
	char why[128];         /* it is not served */
};

struct spaces {
	struct netns home;
	uint64_t home_cookie;
	bool away; /* the thread is not at home */
	int mounts;
	char off[128]; /* why none is served; empty: they are */
	uint32_t look;
	uint64_t look_ns;  /* when the next is due */
	uint64_t doubt_ns; /* 0: nobody left */
	bool doubt;        /* the look is to come before its time */
	bool missed;       /* who was told of was not found any more */
	uint64_t surplus;  /* namespaces that were not even kept in mind */
	uint32_t n;
	struct space v[SPACES_KNOWN];
};

static uint64_t in_ms(uint32_t ms)
{
	return gate_boot_ns() + (uint64_t)ms * 1000000u;
}

static struct space *by_cookie(struct spaces *sp, uint64_t cookie)
{
	for (uint32_t i = 0; i < sp->n; i++) {
		if (sp->v[i].cookie == cookie)
			return &sp->v[i];
	}
	return NULL;
}

static struct space *by_inode(struct spaces *sp, dev_t dev, ino_t ino)
{
	for (uint32_t i = 0; i < sp->n; i++) {
		if (sp->v[i].ns.ino == ino && sp->v[i].ns.dev == dev)
			return &sp->v[i];
	}
	return NULL;
}

/* ------------------------------------------------------------------ what is told */

static json_t *to_json(const struct space *s)
{
	return json_pack("{s:I, s:I, s:I, s:b, s:o}", "inode", (json_int_t)s->ns.ino, "cookie",
	                 (json_int_t)s->cookie, "owner", (json_int_t)s->owner, "served",
	                 s->listening, "reason",
	                 s->listening ? json_null() : audit_text(s->why, sizeof(s->why)));
}

static void tell(struct gate *g, const char *event, const struct space *s)
{
	if (!flow_over_limit(g))
		audit_emit(g->audit, event, to_json(s));
}

json_t *spaces_status(const struct gate *g)
{
	const struct spaces *sp = g->spaces;
	json_t *a = json_array();
	json_int_t served = 0;

	if (!sp) {
		json_decref(a);
		return json_null();
	}
	for (uint32_t i = 0; a && i < sp->n; i++) {
		served += sp->v[i].listening;
		(void)json_array_append_new(a, to_json(&sp->v[i]));
	}
	return json_pack("{s:I, s:I, s:I, s:b, s:o, s:o}", "served", served, "unserved",
	                 (json_int_t)(sp->n - served) + (json_int_t)sp->surplus, "capacity",
	                 (json_int_t)SPACES_MAX, "watch", intercept_netns_watch(g->ic), "off",
	                 sp->off[0] ? json_string(sp->off) : json_null(), "known", a);
}

/* -------------------------------------------------------------------- to be there */

uint64_t spaces_home(const struct gate *g)
{
	return g->spaces ? g->spaces->home_cookie : 0;
}

int spaces_enter(struct gate *g, uint64_t netns)
{
	struct spaces *sp = g->spaces;
	struct space *s;
	int ret;

	if (!sp || !netns || netns == sp->home_cookie)
		return 0;
	s = by_cookie(sp, netns);
	if (!s || s->ns.fd < 0)
		return -ENONET;
	ret = netns_enter(&s->ns);
	sp->away = !ret;
	return ret;
}

void spaces_leave(struct gate *g)
{
	struct spaces *sp = g->spaces;

	if (!sp || !sp->away)
		return;
	netns_leave(&sp->home);
	sp->away = false;
}

int spaces_sweep(struct gate *g, uint64_t netns, const struct sockdiag_match *m)
{
	int ret = spaces_enter(g, netns);

	if (ret)
		return ret;
	ret = sockdiag_sweep(m);
	spaces_leave(g);
	return ret;
}

int spaces_sweep_all(struct gate *g, const struct sockdiag_match *m)
{
	struct spaces *sp = g->spaces;
	int total = sockdiag_sweep(m);
	int err = total < 0 ? total : 0;

	for (uint32_t i = 0; sp && i < sp->n; i++) {
		int ret = sp->v[i].ns.fd < 0 ? 0 : spaces_sweep(g, sp->v[i].cookie, m);

		if (ret < 0)
			err = ret;
		else
			total += ret;
	}
	return err ? err : total;
}

/* -------------------------------------------------------------------- to serve */

/* Like those at home: marked before it can accept; the rest is relay's. Owns fd. */
static int open_door(struct gate *g, int fd)
{
	int ret = intercept_mark(g->ic, fd, GATE_OWN_LISTENER, 0, NULL, 0);

	if (!ret && listen(fd, SOMAXCONN))
		ret = -errno;
	if (!ret)
		ret = gate_send(g, ROLE_RELAY, MSG_LISTEN, 0, NULL, fd);
	close(fd);
	return ret;
}

static void close_doors(struct gate *g, struct space *s)
{
	const struct msg_unlisten m = {.netns = s->cookie};

	s->listening = false;
	(void)gate_send(g, ROLE_RELAY, MSG_UNLISTEN, 0, &m, -1);
}

/* At the very ports that the listeners at home have: the kernel half knows one of each family. */
static int open_doors(struct gate *g, struct space *s)
{
	int fd[2] = {-1, -1};
	int ret = netns_enter(&s->ns);

	if (ret)
		return ret;
	for (int i = 0; i < 2; i++) {
		if (g->port[i])
			fd[i] = netns_bound(i ? AF_INET6 : AF_INET, g->port[i], true);
	}
	netns_leave(&g->spaces->home);
	for (int i = 0; i < 2; i++) {
		/* A kernel without IPv6 has no connections to gate there. */
		if (!g->port[i] || (i && fd[i] == -EAFNOSUPPORT))
			continue;
		if (!ret)
			ret = fd[i] < 0 ? fd[i] : open_door(g, fd[i]);
		else if (fd[i] >= 0)
			close(fd[i]);
	}
	if (ret)
		close_doors(g, s);
	return ret;
}

/* Half of the places are for those that root made: nobody can take them by making namespaces. */
static bool place_for(const struct spaces *sp, const struct space *s)
{
	uint32_t all = 0, others = 0;

	for (uint32_t i = 0; i < sp->n; i++) {
		all += sp->v[i].ns.fd >= 0;
		others += sp->v[i].ns.fd >= 0 && sp->v[i].owner != 0;
	}
	return all < SPACES_MAX && (s->owner == 0 || others < SPACES_OTHERS);
}

static void refuse(struct gate *g, struct space *s, const char *why)
{
	if (strcmp(s->why, why) != 0) {
		snprintf(s->why, sizeof(s->why), "%s", why);
		tell(g, "namespace-refused", s);
	}
}

static void could_not(struct gate *g, struct space *s, int err)
{
	char why[sizeof(s->why)];

	if (err == -EADDRINUSE)
		snprintf(why, sizeof(why), "port %u or %u of its loopback is taken", g->port[0],
		         g->port[1]);
	else
		snprintf(why, sizeof(why), "no listener can be made there: %s", strerror(-err));
	refuse(g, s, why);
}

/* Takes what n holds, if it serves it. */
static void serve(struct gate *g, struct space *s, struct netns *n)
{
	struct spaces *sp = g->spaces;
	bool fresh = s->ns.fd < 0;
	int ret;

	/* No more events of it, by the sockets that are made now to begin with. */
	(void)intercept_netns(g->ic, s->cookie, true, s->owner == 0);
	if (fresh && !place_for(sp, s)) {
		refuse(g, s, "all places are taken");
		return;
	}
	if (fresh) {
		s->ns = *n;
		n->fd = -1;
	}
	ret = open_doors(g, s);
	if (!ret) {
		s->listening = true;
		s->why[0] = '\0';
		tell(g, "namespace-served", s);
		return;
	}
	if (fresh) {
		close(s->ns.fd);
		s->ns.fd = -1;
	}
	could_not(g, s, ret);
}

/* One that is not kept in mind is not served either: so of these places, too, half are root's. */
static bool is_room_for(const struct spaces *sp, uid_t owner)
{
	uint32_t others = 0;

	for (uint32_t i = 0; i < sp->n; i++)
		others += sp->v[i].owner != 0;
	return sp->n < SPACES_KNOWN && (owner == 0 || others < SPACES_KNOWN_OTHERS);
}

static struct space *keep_in_mind(struct spaces *sp, uint64_t cookie, const struct netns *n)
{
	struct space *s = by_cookie(sp, cookie);
	uid_t owner;

	if (netns_owner(n, &owner))
		owner = (uid_t)-1;
	if (!s && !is_room_for(sp, owner)) {
		sp->surplus++;
		return NULL;
	}
	if (!s) {
		s = &sp->v[sp->n++];
		*s = (struct space){.ns = {.fd = -1}, .cookie = cookie};
	}
	s->owner = owner;
	if (s->ns.fd < 0) {
		s->ns.dev = n->dev;
		s->ns.ino = n->ino;
	}
	return s;
}

/* What stands under the path now, whatever it was when it was found. */
static void look_at(struct gate *g, const char *path)
{
	struct spaces *sp = g->spaces;
	struct space *s = NULL;
	uint64_t cookie = 0;
	struct netns found, n = {.fd = -1};

	if (netns_open(path, &found))
		return;
	/* A descriptor by way of a mount would keep that from being undone. */
	if (!netns_enter(&found)) {
		if (netns_cookie(&cookie) || netns_open(NETNS_OWN, &n))
			cookie = 0;
		netns_leave(&sp->home);
	}
	close(found.fd);
	if (cookie && cookie != sp->home_cookie)
		s = keep_in_mind(sp, cookie, &n);
	if (s) {
		s->seen = true;
		s->tried = sp->look;
		snprintf(s->where, sizeof(s->where), "%s", strlen(path) < WHERE_MAX ? path : "");
		if (!s->listening)
			serve(g, s, &n);
	}
	if (n.fd >= 0)
		close(n.fd);
}

static void on_found(void *ctx, const char *path, dev_t dev, ino_t ino)
{
	struct gate *g = ctx;
	struct spaces *sp = g->spaces;
	struct space *s;

	if (ino == sp->home.ino && dev == sp->home.dev)
		return;
	s = by_inode(sp, dev, ino);
	if (s && (s->listening || s->tried == sp->look)) {
		if (!s->seen && strlen(path) < WHERE_MAX)
			snprintf(s->where, sizeof(s->where), "%s", path);
		s->seen = true;
		return;
	}
	look_at(g, path);
}

/* ------------------------------------------------------------------ to give up */

static uint32_t sessions_in(const struct gate *g, const struct space *s)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->sessions.n; i++)
		n += g->sessions.slot[i]->app.netns == s->cookie;
	return n;
}

static bool note_held(void *ctx, const struct sockdiag_socket *sock)
{
	struct gate *g = ctx;

	for (uint32_t i = 0; i < g->sessions.n; i++) {
		if (g->sessions.slot[i]->app.cookie == sock->cookie)
			g->sessions.slot[i]->held = true;
	}
	return false;
}

/*
 * What an application wrote before it went is still delivered, for as long as TCP itself keeps such
 * a connection. Then those whose socket nobody holds are at their end, whatever the peer does.
 */
static void end_orphans(struct gate *g, const struct space *s)
{
	const struct sockdiag_match m = {.fn = note_held, .ctx = g, .held = true};

	for (uint32_t i = 0; i < g->sessions.n; i++)
		g->sessions.slot[i]->held = false;
	if (spaces_sweep(g, s->cookie, &m) < 0)
		return;
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *one = g->sessions.slot[i];

		if (one->app.netns == s->cookie && !one->held)
			flow_cut(g, one, "session.app-gone", "and all of its network namespace");
	}
}

/* True: there is nothing left of it here. */
static bool give_up(struct gate *g, struct space *s)
{
	intercept_netns_forget(g->ic, s->cookie);
	if (s->listening) {
		close_doors(g, s);
		s->unused_ns = gate_boot_ns();
		snprintf(s->why, sizeof(s->why), "nobody is in it any more");
		tell(g, "namespace-released", s);
	}
	/* What sessions hold open anyhow may be needed to end them. */
	if (s->ns.fd >= 0 && sessions_in(g, s)) {
		if (gate_boot_ns() - s->unused_ns >= (uint64_t)LINGER_S * 1000000000u)
			end_orphans(g, s);
		return false;
	}
	if (s->ns.fd >= 0)
		close(s->ns.fd);
	return true;
}

static bool all_seen(const struct spaces *sp)
{
	for (uint32_t i = 0; i < sp->n; i++) {
		if (!sp->v[i].seen)
			return false;
	}
	return true;
}

static void look_around(struct gate *g)
{
	struct spaces *sp = g->spaces;

	sp->look++;
	sp->look_ns = in_ms(SPACES_EVERY_MS);
	sp->doubt = false;
	sp->doubt_ns = 0;
	for (uint32_t i = 0; i < sp->n; i++)
		sp->v[i].seen = false;
	/* Of what could not be looked through nothing follows. */
	if (netns_each_mount(on_found, g) || netns_each_process(on_found, g))
		return;
	if (!all_seen(sp) && netns_each_thread(on_found, g))
		return;
	for (uint32_t i = sp->n; i-- > 0;) {
		if (!sp->v[i].seen && give_up(g, &sp->v[i]))
			sp->v[i] = sp->v[--sp->n];
	}
}

static bool still_there(const struct space *s)
{
	struct stat st;

	return s->where[0] && !stat(s->where, &st) && st.st_dev == s->ns.dev &&
	       st.st_ino == s->ns.ino;
}

/* Where each was last, there it may still be: that is asked first. */
static bool anybody_gone(const struct spaces *sp)
{
	for (uint32_t i = 0; i < sp->n; i++) {
		if (!still_there(&sp->v[i]))
			return true;
	}
	return false;
}

/* ------------------------------------------------------------------ what happens */

void spaces_event(struct gate *g, const struct gate_event *e)
{
	struct spaces *sp = g->spaces;
	struct space *s;
	char path[64];

	if (!sp || sp->off[0])
		return;
	s = by_cookie(sp, e->netns);
	if (e->kind == GATE_EVENT_NETNS_LEFT) {
		if (s && !sp->doubt_ns)
			sp->doubt_ns = in_ms(SPACES_DOUBT_MS);
		return;
	}
	if (e->netns == sp->home_cookie || (s && s->listening))
		return;
	snprintf(path, sizeof(path), "/proc/%u/ns/net", e->pid);
	look_at(g, path);
	sp->missed |= !by_cookie(sp, e->netns);
}

void spaces_events_end(struct gate *g)
{
	/* Threads that are gone already may have left a mount. */
	if (g->spaces && g->spaces->missed)
		(void)netns_each_mount(on_found, g);
	if (g->spaces)
		g->spaces->missed = false;
}

int spaces_fd(const struct gate *g)
{
	return g->spaces && !g->spaces->off[0] ? g->spaces->mounts : -1;
}

void spaces_mounts(struct gate *g)
{
	(void)netns_each_mount(on_found, g);
	if (!g->spaces->doubt_ns)
		g->spaces->doubt_ns = gate_boot_ns();
}

void spaces_tick(struct gate *g)
{
	struct spaces *sp = g->spaces;
	uint64_t now = gate_boot_ns();

	if (!sp || sp->off[0])
		return;
	if (sp->doubt_ns && now >= sp->doubt_ns) {
		sp->doubt_ns = 0;
		sp->doubt = anybody_gone(sp);
	}
	if (sp->doubt || now >= sp->look_ns)
		look_around(g);
}

/* ------------------------------------------------------------------- up and down */

static int open_home(struct spaces *sp)
{
	int ret = netns_open(NETNS_OWN, &sp->home);

	if (!ret)
		ret = netns_cookie(&sp->home_cookie);
	/* Better known now than in the middle. */
	if (!ret && (ret = netns_enter(&sp->home)))
		snprintf(sp->off, sizeof(sp->off), "setns: %s", strerror(-ret));
	if (!ret) {
		sp->mounts = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
		ret = sp->mounts < 0 ? -errno : 0;
	}
	return ret;
}

static void raise_limit(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur >= SPACES_FDS)
		return;
	l.rlim_cur = l.rlim_max < SPACES_FDS ? l.rlim_max : SPACES_FDS;
	(void)setrlimit(RLIMIT_NOFILE, &l);
}

int spaces_open(struct gate *g)
{
	struct spaces *sp = calloc(1, sizeof(*sp));
	int ret;

	if (!sp)
		return -ENOMEM;
	sp->home.fd = sp->mounts = -1;
	g->spaces = sp;
	raise_limit();
	ret = open_home(sp);
	if (ret && !sp->off[0])
		snprintf(sp->off, sizeof(sp->off), "%s", strerror(-ret));
	if (sp->off[0])
		audit_emit(g->audit, "namespaces-off", json_pack("{s:s}", "reason", sp->off));
	else
		look_around(g);
	return 0;
}

void spaces_close(struct gate *g)
{
	struct spaces *sp = g->spaces;

	if (!sp)
		return;
	for (uint32_t i = 0; i < sp->n; i++) {
		if (sp->v[i].ns.fd >= 0)
			close(sp->v[i].ns.fd);
	}
	if (sp->mounts >= 0)
		close(sp->mounts);
	if (sp->home.fd >= 0)
		close(sp->home.fd);
	free(sp);
	g->spaces = NULL;
}
