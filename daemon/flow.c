/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a session on gate's side. relay's word is taken for what it saw on the wire, never
 * for what was asked for: where to, under which policy, with which nonce and name, through which
 * socket stands in gate's own record.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "core/codes.h"
#include "core/secret.h"

static uint64_t kernel_id(const struct gate *g, const struct session *s)
{
	return g->epoch << GATE_ID_BITS | s->id;
}

static struct session *by_kernel_id(struct gate *g, uint64_t id)
{
	if (id >> GATE_ID_BITS != g->epoch)
		return NULL;
	return session_find(&g->sessions, id & ((UINT64_C(1) << GATE_ID_BITS) - 1));
}

static uint64_t in_ms(uint32_t ms)
{
	return gate_boot_ns() + (uint64_t)ms * 1000000u;
}

static void enter(struct gate *g, struct session *s, enum session_state state, uint32_t ms)
{
	session_enter(&g->sessions, s, state);
	s->deadline_ns = in_ms(ms);
}

static void copy_text(char *out, size_t cap, const char *text)
{
	size_t n = strnlen(text, cap - 1);

	memcpy(out, text, n);
	memset(out + n, 0, cap - n);
}

/* --------------------------------------------------------------------- ends */

/* In the kernel first: from here on no packet passes, whatever relay does. */
static void kernel_cut_id(struct gate *g, uint64_t id, int32_t serial)
{
	int ret = intercept_session(g->ic, id, GATE_SESSION_CUT, 0);

	if (ret && ret != -ECANCELED)
		intercept_session_end(g->ic, id, serial);
}

static void kernel_cut(struct gate *g, const struct session *s)
{
	kernel_cut_id(g, kernel_id(g, s), s->serial);
}

static void key_end(struct session *s)
{
	if (!s->serial)
		return;
	(void)keyring_revoke(s->serial);
	keyring_forget(s->ring, s->serial);
	s->serial = 0;
}

void flow_refuse(struct gate *g, struct session *s, const char *code, const char *detail,
                 const struct verdict *v)
{
	struct msg_refuse m = {.code = ""};

	copy_text(m.code, sizeof(m.code), code);
	copy_text(s->code, sizeof(s->code), code);
	enter(g, s, SESSION_CLOSING, CLOSING_MS);
	record_session(g, s, code, detail, v, NULL);
	(void)gate_send(g, ROLE_RELAY, MSG_REFUSE, s->id, &m, -1);
	(void)upcall_done(g, s, EACCES);
	leases_failed(g, s, code, detail, v);
}

static void refuse(struct gate *g, struct session *s, const char *code, const char *detail)
{
	flow_refuse(g, s, code, detail, NULL);
}

static void tell_cut(struct gate *g, uint64_t id, const char name[static POLICY_NAME_MAX],
                     const char *code, const char *detail)
{
	audit_emit(g->audit, "session-cut",
	           json_pack("{s:I, s:o, s:s, s:o}", "session", (json_int_t)id, "destination",
	                     audit_text(name, POLICY_NAME_MAX), "code", code, "detail",
	                     audit_text(detail, CHECK_DETAIL_MAX)));
}

/*
 * What a monitored destination's session was for. Not cut in the kernel: the peer is to see that it
 * is over. What is left of it passes until its handshake would have had to be done.
 */
static void looked_at(struct gate *g, struct session *s, const char *code, const char *detail,
                      const struct verdict *v)
{
	const struct msg_cut m = {.code = "session.end"};

	copy_text(s->code, sizeof(s->code), code);
	enter(g, s, SESSION_CLOSING, CLOSING_MS);
	record_session(g, s, code, detail, v, NULL);
	(void)gate_send(g, ROLE_RELAY, MSG_CUT, s->id, &m, -1);
}

static void end(struct gate *g, struct session *s, const char *code, const char *detail,
                const struct verdict *v)
{
	bool live = s->state == SESSION_LIVE;
	struct msg_cut m = {.code = ""};

	if (s->state == SESSION_CLOSING)
		return;
	if (s->state == SESSION_WAITING) {
		refuse(g, s, code, detail);
		return;
	}
	if (s->monitored) {
		looked_at(g, s, code, detail, v);
		return;
	}
	kernel_cut(g, s);
	copy_text(m.code, sizeof(m.code), code);
	copy_text(s->code, sizeof(s->code), code);
	enter(g, s, SESSION_CLOSING, CLOSING_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_CUT, s->id, &m, -1);
	(void)upcall_done(g, s, EACCES);
	if (!live) {
		record_session(g, s, code, detail, v, NULL);
		leases_failed(g, s, code, detail, v);
		return;
	}
	s->doomed = g->doomed = true;
	key_end(s);
	tell_cut(g, s->id, s->name, code, detail);
}

void flow_cut(struct gate *g, struct session *s, const char *code, const char *detail)
{
	end(g, s, code, detail, s->verdict);
}

/* ----------------------------------------------------------------- accepted */

void flow_sockaddr(const struct gate_intent *to, struct sockaddr_storage *out)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(to->dst_port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(to->dst_port)};

	memset(out, 0, sizeof(*out));
	if (!memcmp(to->dst, mapped, sizeof(mapped))) {
		memcpy(&in.sin_addr, to->dst + sizeof(mapped), 4);
		memcpy(out, &in, sizeof(in));
	} else {
		memcpy(&in6.sin6_addr, to->dst, 16);
		memcpy(out, &in6, sizeof(in6));
	}
}

/*
 * Where it is not known whether a block is for the application, the kernel's word counts if it is
 * of this policy; of another it says nothing, and the application may try again.
 */
static int match_app(const struct gate *g, const struct policy_resolved *names, size_t n,
                     const struct gate_intent *app)
{
	const struct policy *p = g->now.policy;
	bool current = app->generation == g->now.generation;
	enum policy_fit fit = FIT_NO;
	struct policy_who who;
	int at = -1;

	apps_who(g->apps, app, &who);
	for (;;) {
		at = policy_next(p, names, n, app->dst, app->dst_port, &who, at, &fit);
		if (at < 0 || fit == FIT_YES || (current && (uint32_t)at == app->rule))
			return at;
		if (!current)
			return -1;
	}
}

int flow_destination(const struct gate *g, const struct gate_intent *app, enum policy_action action)
{
	const struct policy *p = g->now.policy;
	struct policy_resolved *names = NULL;
	size_t n = 0;
	int at = -1;

	if (!names_resolved(&g->now.names, &g->learned, p, app->dst, &names, &n))
		at = match_app(g, names, n, app);
	free(names);
	return at >= 0 && p->destination[at].action == action ? at : -1;
}

bool flow_kernel_tls(const struct gate *g, const struct gate_intent *to)
{
	int at = flow_destination(g, to, POLICY_GATE);

	return at >= 0 && g->now.policy->destination[at].kernel_tls != KERNEL_TLS_NONE;
}

static void take_destination(struct gate *g, struct session *s, uint32_t at)
{
	const struct policy_destination *d = &g->now.policy->destination[at];

	s->destination = at;
	s->generation = g->now.generation;
	copy_text(s->name, sizeof(s->name), d->name);
	copy_text(s->server_name, sizeof(s->server_name), d->server_name);
	memcpy(s->digest, g->now.digest[at], sizeof(s->digest));
	s->transport = d->transport;
}

static int cookie_of(int fd, uint64_t *out)
{
	socklen_t n = sizeof(*out);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, out, &n) ? -errno : 0;
}

int flow_socket(struct gate *g, uint64_t id, const struct gate_intent *to, uint64_t end_ns,
                uint64_t *cookie, int *out)
{
	struct sockaddr_storage dst;
	int fd, ret;

	flow_sockaddr(to, &dst);
	/* Where the application is: its addresses and routes are that namespace's. */
	ret = spaces_enter(g, to->netns);
	if (ret)
		return ret;
	fd = socket(dst.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = fd < 0 ? -errno : 0;
	spaces_leave(g);
	if (!ret)
		ret = cookie_of(fd, cookie);
	if (!ret)
		ret = intercept_session(g->ic, id, GATE_SESSION_HANDSHAKE, end_ns);
	if (!ret)
		ret = intercept_mark(g->ic, fd, GATE_OWN_UPSTREAM, id, to->dst, to->dst_port);
	if (ret) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	*out = fd;
	return 0;
}

/* The one that the kernel handed out becomes the session's. The descriptor is a duplicate. */
static int kernels_socket(struct gate *g, struct session *s, uint64_t end_ns, int *out)
{
	int fd = s->upcall ? fcntl(s->upcall->fd, F_DUPFD_CLOEXEC, 0) : -1;
	int ret = s->upcall ? 0 : -ENOTCONN;

	if (!ret && fd < 0)
		ret = -errno;
	if (!ret)
		ret = intercept_session(g->ic, kernel_id(g, s), GATE_SESSION_HANDSHAKE, end_ns);
	if (!ret)
		ret = intercept_mark(g->ic, fd, GATE_OWN_UPSTREAM, kernel_id(g, s), s->app.dst,
		                     s->app.dst_port);
	if (ret && fd >= 0)
		close(fd);
	if (ret)
		return ret;
	s->cookie = s->app.cookie;
	*out = fd;
	return 0;
}

void flow_connect(struct gate *g, struct session *s)
{
	const uint64_t end_ns = in_ms(HANDSHAKE_MS + SLACK_MS);
	struct msg_connect *m = g->connect;
	int fd = -1;
	int ret = RAND_bytes(s->context, sizeof(s->context)) == 1 ? 0 : -EIO;

	if (!ret)
		ret = s->kernel ? kernels_socket(g, s, end_ns, &fd)
		                : flow_socket(g, kernel_id(g, s), &s->app, end_ns, &s->cookie, &fd);
	if (ret) {
		secret_wipe(m, sizeof(*m));
		kernel_cut(g, s);
		refuse(g, s, "gate.socket", strerror(-ret));
		return;
	}
	m->dst = s->dst;
	m->handshake_ms = HANDSHAKE_MS;
	m->transport = (uint32_t)s->transport;
	m->lease_asked = s->lease_asked;
	m->connected = s->kernel;
	copy_text(m->destination, sizeof(m->destination), s->name);
	copy_text(m->server_name, sizeof(m->server_name), s->server_name);
	memcpy(m->context, s->context, sizeof(m->context));
	enter(g, s, SESSION_CONNECTING, HANDSHAKE_MS + SLACK_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_CONNECT, s->id, m, fd);
	secret_wipe(m, sizeof(*m));
	close(fd);
}

void flow_wait(struct gate *g, struct session *s)
{
	enter(g, s, SESSION_WAITING, WAITING_MS);
}

/* Who connected, and where to. */
static int take_intent(struct gate *g, struct session *s, const struct msg_accepted *m)
{
	int ret;

	if (!m->opened)
		return intercept_take(g->ic, m->netns, &m->peer, &s->app);
	ret = upcall_take(g, s, m->opened);
	return ret == -ENOENT ? monitor_take(g, s, m->opened) : ret;
}

static void on_accepted(struct gate *g, uint64_t id, const struct msg_accepted *m)
{
	struct session *s = NULL;
	int ret = id >= GATE_PROBE_ID ? -EPROTO : session_new(&g->sessions, id, &s);
	int at;

	if (ret) {
		gate_fatal(g, "relay opened session %llu: %s", (unsigned long long)id,
		           strerror(-ret));
		return;
	}
	s->since = gate_now();
	ret = take_intent(g, s, m);
	g->count.accepted += !s->monitored;
	if (ret) {
		refuse(g, s, m->opened ? "upcall.gone" : "gate.no-intent", strerror(-ret));
		return;
	}
	flow_sockaddr(&s->app, &s->dst);
	/* The kernel may have steered it by an answer that is a moment old. */
	learning_take(g);
	at = s->monitored ? monitor_destination(g, &s->app)
	                  : flow_destination(g, &s->app, POLICY_GATE);
	if (at < 0 || (s->kernel && !flow_kernel_tls(g, &s->app))) {
		refuse(g, s, "policy.changed",
		       s->monitored ? "no destination block monitors it any more"
		                    : "no destination block gates it any more");
		return;
	}
	take_destination(g, s, (uint32_t)at);
	if (!session_room(&g->sessions)) {
		refuse(g, s, "gate.overload", "");
		return;
	}
	if (!session_room_for(&g->sessions, &s->app, spaces_home(g))) {
		refuse(g, s, "gate.overload", "the places of this user or namespace are taken");
		return;
	}
	leases_begin(g, s);
}

/* ----------------------------------------------------------------- appraise */

/* Should it have to be asked again. Without room for that the connection is refused at once. */
static void keep_question(struct gate *g, struct session *s, const struct msg_appraise *m, int fd)
{
	uint32_t kept = 0;
	int own;

	for (uint32_t i = 0; i < g->sessions.n; i++)
		kept += g->sessions.slot[i]->question != NULL;
	own = collateral_has_source(g) && kept < SESSIONS_HELD ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	s->question = own < 0 ? NULL : secret_alloc(sizeof(*s->question));
	if (s->question) {
		s->question->m = *m;
		s->question->fd = own;
	} else if (own >= 0) {
		close(own);
	}
}

static void on_appraise(struct gate *g, struct session *s, struct msg_appraise *m, int fd)
{
	if (s->offer.serial)
		leases_unknown(g, s);
	if (!session_verify_room(&g->sessions, s->name)) {
		end(g, s, "gate.overload", "too much waits for verify", NULL);
		return;
	}
	s->at = gate_now();
	m->destination = s->destination;
	m->generation = s->generation;
	m->at = s->at;
	m->transport = (uint32_t)s->transport;
	copy_text(m->server_name, sizeof(m->server_name), s->server_name);
	memcpy(m->context, s->context, sizeof(m->context));
	m->lease_asked = s->lease_asked;
	collateral_trouble(g, m->trouble);
	enter(g, s, SESSION_APPRAISING, VERIFY_MS);
	s->with_verify = true;
	g->count.appraised++;
	keep_question(g, s, m, fd);
	(void)gate_send(g, ROLE_VERIFY, MSG_APPRAISE, s->id, m, fd);
}

/* The check that refuses: a failed one before one that could not be made. */
static const struct check *refusing(const struct verdict *v)
{
	const struct check *c = checks_first(&v->checks, CHECK_FAIL);

	return c ? c : checks_first(&v->checks, CHECK_UNAVAILABLE);
}

static void refuse_by(struct gate *g, struct session *s, const struct verdict *v)
{
	const struct check *c = refusing(v);
	char code[CHECK_ID_MAX] = "verdict.expired";
	char detail[CHECK_DETAIL_MAX] = "";

	if (c) {
		copy_text(code, sizeof(code), c->id);
		copy_text(detail, sizeof(detail), c->detail);
	}
	end(g, s, code, detail, v);
}

/* All that is missing may be there in a moment: then it is asked again, in the same time. */
static bool hold(struct gate *g, struct session *s, const struct msg_verdict *m)
{
	if (!s->question)
		return false;
	s->question->held = m->verdict.overall == CHECK_UNAVAILABLE &&
	                    s->generation == g->now.generation && collateral_coming(g, &m->wants);
	if (s->question->held)
		s->question->last = *m;
	else
		session_question_end(s);
	return s->question != NULL;
}

static void ask_again(struct gate *g, struct session *s)
{
	struct session_question *q = s->question;
	bool over = gate_boot_ns() >= s->deadline_ns;

	if (!over && collateral_coming(g, &q->last.wants))
		return;
	q->held = false;
	if (over) {
		refuse_by(g, s, &q->last.verdict);
		session_question_end(s);
		return;
	}
	s->at = q->m.at = gate_now();
	collateral_trouble(g, q->m.trouble);
	s->with_verify = true;
	(void)gate_send(g, ROLE_VERIFY, MSG_APPRAISE, s->id, &q->m, q->fd);
}

/* A verdict that passes must be the one that was asked for. */
static bool is_of(const struct session *s, const struct verdict *v)
{
	return v->made_at == s->at && !strncmp(v->requirement, s->name, sizeof(v->requirement));
}

static bool lease_is_of(const struct session *s, const struct msg_verdict *m)
{
	return !m->lease_s ||
	       (s->lease_asked && is_of(s, &m->lease) && verdict_passed(&m->lease, s->at));
}

static void hand_over(struct gate *g, struct session *s)
{
	enter(g, s, SESSION_HANDOVER, HANDOVER_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_HANDOVER, s->id, NULL, -1);
}

static void passed(struct gate *g, struct session *s, const struct msg_verdict *m, int fd)
{
	const char *code = heads_take(g, s, m, fd);

	if (code || s->monitored) {
		end(g, s, code ? code : "", "", &m->verdict);
		return;
	}
	s->verdict = malloc(sizeof(*s->verdict));
	if (!s->verdict) {
		end(g, s, "verify.internal", "out of memory", NULL);
		return;
	}
	*s->verdict = m->verdict;
	/* Without memory for it there is no lease, but there is a session. */
	s->lease = m->lease_s ? malloc(sizeof(*s->lease)) : NULL;
	if (s->lease) {
		*s->lease = m->lease;
		s->lease_s = m->lease_s;
	}
	hand_over(g, s);
}

/*
 * The peer holds the key of the lease that it was offered, says relay. What then opens the
 * connection is the verdict that verify made for it when the lease was granted.
 */
static void on_resumed(struct gate *g, struct session *s)
{
	const char *code = leases_refuse(g, s);

	if (code) {
		end(g, s, code, "while it was taken up", NULL);
		return;
	}
	s->on_lease = true;
	s->verdict = s->lease;
	s->lease = NULL;
	g->count.resumed++;
	hand_over(g, s);
}

void flow_verdict(struct gate *g, uint64_t id, const struct msg_verdict *m, int fd)
{
	struct session *s = session_find(&g->sessions, id);
	enum session_move move = session_from_verify(s);

	if (move == MOVE_FATAL || !s) {
		gate_fatal(g, "verify judged session %llu, which was not before it",
		           (unsigned long long)id);
		return;
	}
	s->with_verify = false;
	if (move == MOVE_IGNORE) {
		heads_left(g, m, s->generation == g->now.generation, fd);
		if (s->closed)
			session_drop(&g->sessions, s);
		return;
	}
	collateral_wanted(g, &m->wants);
	if (hold(g, s, m))
		return;
	if (!verdict_passed(&m->verdict, gate_now())) {
		heads_left(g, m, true, fd);
		heads_refused(g, s, m, fd);
		if (m->verdict.overall == CHECK_FAIL && s->generation == g->now.generation)
			leases_refused(g, s);
		refuse_by(g, s, &m->verdict);
	} else if (!is_of(s, &m->verdict) || !lease_is_of(s, m)) {
		gate_fatal(g, "verify made a verdict that was not asked for");
	} else if (s->generation != g->now.generation) {
		heads_left(g, m, false, fd);
		end(g, s, "policy.changed", "", &m->verdict);
	} else {
		passed(g, s, m, fd);
	}
}

/* ------------------------------------------------------------------ release */

/*
 * A keyring_arm_fn: before any key is live, the kernel knows what it hangs on and until when. What
 * was ended before the watch knew it is seen by asking key and ring themselves, last.
 */
static int arm(void *ctx, uint64_t session, const struct keyring_released *r)
{
	struct gate *g = ctx;
	int ret = intercept_session_live(g->ic, g->epoch << GATE_ID_BITS | session, r->serial,
	                                 r->ring, r->deadline_boot_ns);

	if (ret)
		return ret;
	if (keyring_state(r->serial) == KEYRING_VALID && keyring_state(r->ring) == KEYRING_VALID)
		return 0;
	intercept_session_end(g->ic, 0, r->serial); /* of the two, the key only */
	return -EKEYREVOKED;
}

const char *flow_suite_name(uint16_t suite)
{
	switch ((enum keyring_suite)suite) {
	case SUITE_AES_128_GCM_SHA256:
		return "TLS_AES_128_GCM_SHA256";
	case SUITE_AES_256_GCM_SHA384:
		return "TLS_AES_256_GCM_SHA384";
	case SUITE_CHACHA20_POLY1305_SHA256:
		return "TLS_CHACHA20_POLY1305_SHA256";
	case SUITE_NONE:
		break;
	}
	return "none";
}

static void went_live(struct gate *g, struct session *s, const struct keyring_released *r)
{
	const struct msg_live m = {.until = r->until,
	                           .rekey_records =
	                                   g->selftest[SELFTEST_REKEY].ok ? REKEY_RECORDS : 0};

	s->serial = r->serial;
	s->ring = r->ring;
	s->until = r->until;
	s->lease_end_ns = r->deadline_boot_ns;
	s->released_at = gate_now();
	session_enter(&g->sessions, s, SESSION_LIVE);
	(void)gate_send(g, ROLE_RELAY, MSG_LIVE, s->id, &m, -1);
	record_session(g, s, "", "", s->verdict,
	               json_pack("{s:I, s:I, s:I, s:s}", "key", (json_int_t)r->serial, "ring",
	                         (json_int_t)r->ring, "until", (json_int_t)r->until, "cipher",
	                         flow_suite_name(s->suite)));
}

/* relay made the connection; where to is not its choice. -EXDEV: it leads elsewhere. */
static int leads_to(int fd, const char *peer)
{
	struct sockaddr_storage a = {0};
	socklen_t n = sizeof(a);
	char text[64];

	if (getpeername(fd, (struct sockaddr *)&a, &n))
		return -errno;
	record_peer(&a, text);
	return strcmp(text, peer) ? -EXDEV : 0;
}

bool flow_is_its_socket(struct gate *g, const struct session *s, int fd)
{
	uint64_t cookie = 0;

	if (!cookie_of(fd, &cookie) && cookie == s->cookie)
		return true;
	gate_fatal(g, "relay handed in another socket than the one of session %llu",
	           (unsigned long long)s->id);
	return false;
}

static void on_release(struct gate *g, struct session *s, struct msg_release *m, int fd)
{
	struct keyring_released r;
	const char *step = "release.secrets";
	const char *code;
	char peer[64];
	int ret;

	if (!flow_is_its_socket(g, s, fd))
		return;
	record_peer(&s->dst, peer);
	ret = leads_to(fd, peer);
	if (ret == -EXDEV) {
		gate_fatal(g, "relay connected session %llu elsewhere than to %s",
		           (unsigned long long)s->id, peer);
		return;
	}
	if (ret) {
		end(g, s, "gate.socket", strerror(-ret), s->verdict);
		return;
	}
	if (s->generation != g->now.generation) {
		end(g, s, "policy.changed", "", s->verdict);
		return;
	}
	code = s->on_lease ? leases_refuse(g, s) : NULL;
	if (code) {
		end(g, s, code, "before it was released", s->verdict);
		return;
	}
	s->suite = m->secrets.suite;

	const struct keyring_request rq = {
	        .fd = fd,
	        .session = s->id,
	        .destination = s->name,
	        .peer = peer,
	        .now = gate_now(),
	        .lease = g->now.policy->destination[s->destination].lease,
	        .secrets = &m->secrets,
	        .arm = arm,
	        .arm_ctx = g,
	};

	ret = keyring_release(&g->keyring, s->verdict, &rq, &r, &step);
	if (ret) {
		end(g, s, step, strerror(-ret), s->verdict);
		return;
	}
	went_live(g, s, &r);
	leases_live(g, s, &m->lease);
	/* Last: from here on the kernel uses it. */
	ret = upcall_done(g, s, 0);
	if (ret)
		end(g, s, "upcall.gone", strerror(-ret), s->verdict);
}

/* -------------------------------------------------------------------- rekey */

static void rekey_failed(struct gate *g, struct session *s, int err)
{
	if (err == -EKEYEXPIRED) {
		g->count.lease_over++;
		end(g, s, "session.lease-over", "", s->verdict);
	} else if (err == -EKEYREVOKED || err == -ENOKEY) {
		g->count.revoked++;
		end(g, s, "session.revoked", err == -ENOKEY ? "the key is gone" : "", s->verdict);
	} else {
		end(g, s, "session.rekey", strerror(-err), s->verdict);
	}
}

/* relay has sent a KeyUpdate, or received one: what follows is under the next key. */
static void on_rekey(struct gate *g, struct session *s, const struct msg_rekey *m, int fd)
{
	struct keyring_rekey rq = {.fd = fd,
	                           .serial = s->serial,
	                           .suite = s->suite,
	                           .direction = (enum keyring_direction)m->direction};
	int64_t left = s->until - gate_now();
	int ret = -EKEYEXPIRED;

	if (!flow_is_its_socket(g, s, fd))
		return;
	if (m->direction > KEYRING_TX || !g->selftest[SELFTEST_REKEY].ok) {
		gate_fatal(g, "relay asked for a key that session %llu can't have",
		           (unsigned long long)s->id);
		return;
	}
	if (left > 0) {
		rq.left = left < UINT32_MAX ? (uint32_t)left : UINT32_MAX;
		ret = keyring_rekey(&rq);
	}
	if (ret) {
		rekey_failed(g, s, ret);
		return;
	}
	s->rekeys[rq.direction]++;
	(void)gate_send(g, ROLE_RELAY, MSG_REKEYED, s->id, m, -1);
}

/* ------------------------------------------------------------------- closed */

struct lingering *flow_tail(struct gate *g, uint32_t i)
{
	return &g->linger[(g->linger_at + i) % LINGER_MAX];
}

static void linger_end(struct gate *g)
{
	intercept_session_end(g->ic, flow_tail(g, 0)->kernel_id, 0);
	g->linger_at = (g->linger_at + 1) % LINGER_MAX;
	g->linger_n--;
}

/*
 * A session that ended well may still have bytes in the kernel's send queue, and they are the
 * application's: the kernel lets them pass for as long as TCP keeps an orphan, never beyond the
 * lease by either clock. The key itself goes now; unlinked, not revoked, since a revoked key cuts.
 */
static void let_linger(struct gate *g, struct session *s)
{
	uint64_t end_ns = in_ms(LINGER_S * 1000);
	int64_t left = s->until - gate_now();
	struct lingering *l;

	if (left < LINGER_S)
		end_ns = in_ms(left > 0 ? (uint32_t)left * 1000 : 0);
	if (end_ns > s->lease_end_ns)
		end_ns = s->lease_end_ns;
	if (g->linger_n == LINGER_MAX)
		linger_end(g);
	intercept_session_end(g->ic, 0, s->serial); /* of the two, the key only */
	keyring_forget(s->ring, s->serial);
	if (end_ns <= gate_boot_ns() ||
	    intercept_session(g->ic, kernel_id(g, s), GATE_SESSION_LIVE, end_ns)) {
		intercept_session_end(g->ic, kernel_id(g, s), 0);
		return;
	}
	l = flow_tail(g, g->linger_n++);
	*l = (struct lingering){.id = s->id,
	                        .kernel_id = kernel_id(g, s),
	                        .cookie = s->cookie,
	                        .end_ns = end_ns,
	                        .dst_port = s->app.dst_port,
	                        .ahead = s->ahead,
	                        .head = s->head};
	copy_text(l->name, sizeof(l->name), s->name);
	memcpy(l->dst, s->app.dst, sizeof(l->dst));
	memcpy(l->digest, g->now.digest[s->destination], sizeof(l->digest));
}

void flow_cut_tail(struct gate *g, struct lingering *l, const char *code, const char *detail)
{
	kernel_cut_id(g, l->kernel_id, 0);
	l->cut = true;
	tell_cut(g, l->id, l->name, code, detail);
}

uint32_t flow_revoke_tails(struct gate *g, uint64_t id, const char *name)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);

		if (l->cut || (id ? l->id != id : strcmp(l->name, name) != 0))
			continue;
		g->count.revoked++;
		flow_cut_tail(g, l, "session.revoked", "by keygate revoke, after its end");
		n++;
	}
	return n;
}

/* What relay says is a word of the table or it is not repeated. */
static const char *code_of(const char code[static CHECK_ID_MAX])
{
	const struct code *c = memchr(code, 0, CHECK_ID_MAX) ? code_find(code) : NULL;

	return c ? c->id : "gate.relay";
}

static void tell_closed(struct gate *g, const struct session *s, const struct msg_closed *m)
{
	audit_emit(g->audit, "session-closed",
	           json_pack("{s:I, s:o, s:s, s:o, s:I, s:I}", "session", (json_int_t)s->id,
	                     "destination", audit_text(s->name, sizeof(s->name)), "code",
	                     s->code[0] ? s->code : code_of(m->code), "detail",
	                     audit_text(m->detail, sizeof(m->detail)), "app_to_peer",
	                     (json_int_t)m->app_to_peer, "peer_to_app",
	                     (json_int_t)m->peer_to_app));
}

static void on_closed(struct gate *g, struct session *s, const struct msg_closed *m)
{
	bool was_live = s->released_at != 0;
	bool opening;
	char detail[CHECK_DETAIL_MAX];

	g->count.closed += !s->monitored;
	copy_text(detail, sizeof(detail), m->detail);
	if (s->monitored) {
		monitor_closed(g, s);
	} else if (s->state == SESSION_LIVE && !strcmp(code_of(m->code), "session.end")) {
		let_linger(g, s);
	} else {
		kernel_cut(g, s);
		intercept_session_end(g->ic, kernel_id(g, s), s->serial);
		key_end(s);
	}
	/* It never got far enough for a verdict, or went away while it was being made. */
	opening = s->state != SESSION_LIVE && s->state != SESSION_CLOSING;
	if (opening)
		record_session(g, s, code_of(m->code), detail, s->verdict, NULL);
	if (was_live)
		tell_closed(g, s, m);
	session_enter(&g->sessions, s, SESSION_CLOSING);
	(void)upcall_done(g, s, EACCES);
	if (opening)
		leases_failed(g, s, code_of(m->code), detail, s->verdict);
	s->closed = true;
	if (!s->with_verify)
		session_drop(&g->sessions, s);
}

/* ---------------------------------------------------------------- the relay */

void flow_from_relay(struct gate *g, const struct msg_head *head, int fd)
{
	struct session *s = session_find(&g->sessions, head->session);
	enum msg_type type = (enum msg_type)head->type;

	if (type == MSG_ACCEPTED) {
		on_accepted(g, head->session, &g->in->accepted);
		return;
	}
	switch (session_from_relay(s, type)) {
	case MOVE_FATAL:
		gate_fatal(g, "relay sent message %u for session %llu in state %s", head->type,
		           (unsigned long long)head->session,
		           s ? session_state_name(s->state) : "unknown");
		return;
	case MOVE_IGNORE:
		return;
	case MOVE_DO:
		break;
	}
	if (type == MSG_APPRAISE)
		on_appraise(g, s, &g->in->appraise, fd);
	else if (type == MSG_RESUMED)
		on_resumed(g, s);
	else if (type == MSG_RELEASE)
		on_release(g, s, &g->in->release, fd);
	else if (type == MSG_REKEY)
		on_rekey(g, s, &g->in->rekey, fd);
	else if (type == MSG_LOOKED)
		view_looked(g, s, &g->in->looked, fd);
	else
		on_closed(g, s, &g->in->closed);
}

/* --------------------------------------------------------------------- time */

static void new_second(struct gate *g)
{
	uint64_t second = gate_boot_ns() / 1000000000u;

	if (second == g->event_second)
		return;
	if (g->suppressed)
		audit_emit(g->audit, "suppressed",
		           json_pack("{s:I}", "count", (json_int_t)g->suppressed));
	g->event_second = second;
	g->events = 0;
	g->suppressed = 0;
}

static void check_live(struct gate *g, struct session *s)
{
	enum keyring_state k = keyring_state(s->serial);

	/* A ring that is over has its keys for a while yet. */
	if (k == KEYRING_VALID)
		k = keyring_state(s->ring);
	if (k == KEYRING_EXPIRED || gate_now() >= s->until) {
		g->count.lease_over++;
		end(g, s, "session.lease-over", "", s->verdict);
	} else if (k != KEYRING_VALID) {
		g->count.revoked++;
		end(g, s, "session.revoked", k == KEYRING_GONE ? "the key is gone" : "",
		    s->verdict);
	}
}

static void check_deadline(struct gate *g, struct session *s)
{
	if (s->state == SESSION_LIVE) {
		check_live(g, s);
		return;
	}
	if (s->state == SESSION_APPRAISING && s->question && s->question->held) {
		ask_again(g, s);
		return;
	}
	if (gate_boot_ns() < s->deadline_ns)
		return;
	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_CONNECTING:
	case SESSION_HANDOVER:
		end(g, s, "gate.timeout", session_state_name(s->state), s->verdict);
		break;
	case SESSION_APPRAISING:
		end(g, s, "verify.timeout", "", NULL);
		break;
	case SESSION_CLOSING:
		if (!s->closed)
			gate_fatal(g, "relay did not end session %llu", (unsigned long long)s->id);
		break;
	case SESSION_LIVE:
	case SESSION_FREE:
		break;
	}
}

void flow_tick(struct gate *g)
{
	uint64_t now = gate_boot_ns();

	/* end() frees no slot, so the table stands still. */
	for (uint32_t i = 0; i < g->sessions.n; i++)
		check_deadline(g, g->sessions.slot[i]);
	while (g->linger_n && g->linger[g->linger_at].end_ns <= now)
		linger_end(g);
	leases_tick(g);
	probe_tick(g);
	upcall_tick(g);
	monitor_tick(g);
	view_tick(g);
	gate_watch_verify(g);
	new_second(g);
	if (now >= g->sweep_next_ns) {
		(void)intercept_sweep(g->ic, (uint64_t)INTENT_MAX_S * 1000000000u);
		g->sweep_next_ns = in_ms(SWEEP_EVERY_MS);
	}
}

/* ------------------------------------------------------------ kernel events */

bool flow_over_limit(struct gate *g)
{
	new_second(g);
	if (g->events++ < AUDIT_CHEAP_EVENTS)
		return false;
	g->suppressed++;
	return true;
}

static void tell_refused(struct gate *g, const char *kind, const struct gate_event *e)
{
	const struct policy *p = g->now.policy;
	struct gate_intent app = {
	        .dst_port = e->dst_port, .uid = e->uid, .pid = e->pid, .cgroup = e->cgroup};
	struct sockaddr_storage dst;
	char peer[64];

	if (flow_over_limit(g))
		return;
	memcpy(app.dst, e->dst, sizeof(app.dst));
	memcpy(app.comm, e->comm, sizeof(app.comm));
	flow_sockaddr(&app, &dst);
	record_peer(&dst, peer);
	audit_emit(g->audit, "kernel-refused",
	           json_pack("{s:s, s:s, s:s, s:I, s:o}", "kind", kind, "destination",
	                     p && e->rule < p->destinations ? p->destination[e->rule].name : "",
	                     "peer", peer, "protocol", (json_int_t)e->proto, "app",
	                     record_app(&app)));
}

void flow_event(void *ctx, const struct gate_event *e)
{
	struct gate *g = ctx;
	struct session *s = by_kernel_id(g, e->session);

	switch ((enum gate_event_kind)e->kind) {
	case GATE_EVENT_DENY:
		tell_refused(g, "connect", e);
		break;
	case GATE_EVENT_DATAGRAM:
		tell_refused(g, "datagram", e);
		break;
	case GATE_EVENT_BACKSTOP:
		tell_refused(g, "packet", e);
		break;
	case GATE_EVENT_REVOKED:
		if (!s || s->state != SESSION_LIVE)
			break;
		g->count.revoked++;
		end(g, s, "session.revoked", "", s->verdict);
		break;
	case GATE_EVENT_DEADLINE:
		if (!s || s->state != SESSION_LIVE)
			break;
		g->count.lease_over++;
		end(g, s, "session.lease-over", "", s->verdict);
		break;
	case GATE_EVENT_LEARNED:
		learning_take(g);
		break;
	case GATE_EVENT_ANSWER:
		tell_refused(g, "answer", e);
		break;
	case GATE_EVENT_MONITOR:
		monitor_event(g, e);
		break;
	case GATE_EVENT_NETNS_MADE:
	case GATE_EVENT_NETNS_USED:
	case GATE_EVENT_NETNS_LEFT:
		spaces_event(g, e);
		break;
	case GATE_EVENT_NONE:
	case GATE_EVENT_KINDS:
		break;
	}
}

/* ------------------------------------------------------------------- policy */

/* The answer to a reload has room for so many sessions. */
enum { WHY_MAX = 128, ENDED_MAX = 1000 };

#define NAMES_LOST "out of memory for the addresses of names"

int flow_same_destination(const struct gate *g, const struct policy_resolved *names, size_t n,
                          const struct flow_block *b, const struct policy_who *who, int *other)
{
	const struct policy *p = g->now.policy;
	enum policy_fit fit = FIT_NO;
	int at = -1;

	while ((at = policy_next(p, names, n, b->dst, b->port, who, at, &fit)) >= 0) {
		/* It was for this application, and is for the same ones. */
		if (b->digest && !strcmp(p->destination[at].name, b->name) &&
		    !memcmp(g->now.digest[at], b->digest, sizeof(g->now.digest[at])))
			return at;
		if (*other < 0 || !strcmp(p->destination[at].name, b->name))
			*other = at;
		if (fit == FIT_YES || who)
			return -1;
	}
	return -1;
}

/*
 * The destination that the block of this name and digest became for an address in the policy in
 * force; -1: what rests on it must end, and why.
 */
static int still_admitted(const struct gate *g, const struct flow_block *b,
                          const struct policy_resolved *names, size_t n,
                          const struct policy_who *who, char why[static WHY_MAX])
{
	const struct policy *p = g->now.policy;
	int other = -1;
	int at = flow_same_destination(g, names, n, b, who, &other);

	if (at >= 0)
		return at;
	if (other < 0)
		snprintf(why, WHY_MAX, "no destination block matches its address any more");
	else if (strcmp(p->destination[other].name, b->name))
		snprintf(why, WHY_MAX, "destination \"%s\" decides now",
		         p->destination[other].name);
	else
		snprintf(why, WHY_MAX, "what the destination block demands has changed");
	return -1;
}

static void note_ended(json_t *ended, uint64_t id, const char *name,
                       const struct sockaddr_storage *dst, const char *why)
{
	char peer[64];

	if (!ended || json_array_size(ended) >= ENDED_MAX)
		return;
	record_peer(dst, peer);
	(void)json_array_append_new(ended,
	                            json_pack("{s:I, s:s, s:s, s:s}", "id", (json_int_t)id,
	                                      "destination", name, "peer", peer, "why", why));
}

/* The same for those whose last bytes are under way. */
static uint32_t tails_policy_changed(struct gate *g, const struct policy_resolved *names, size_t n,
                                     bool known, json_t *ended)
{
	uint32_t cut = 0;

	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);
		const struct flow_block b = {l->dst, l->dst_port, l->name, l->digest};
		struct gate_intent to = {.dst_port = l->dst_port};
		struct sockaddr_storage dst;
		char why[WHY_MAX] = NAMES_LOST;

		if (l->cut || (known && still_admitted(g, &b, names, n, NULL, why) >= 0))
			continue;
		memcpy(to.dst, l->dst, sizeof(to.dst));
		flow_sockaddr(&to, &dst);
		note_ended(ended, l->id, l->name, &dst, why);
		flow_cut_tail(g, l, "policy.withdrawn", "after its end");
		cut++;
	}
	return cut;
}

static void moved_on(const struct gate *g, struct session *s, uint32_t at)
{
	s->destination = at;
	s->generation = g->now.generation;
	s->ledger = (uint32_t)g->now.policy->destination[at].ledger;
}

/* True: one that had a key was cut. */
static bool policy_changed_for(struct gate *g, struct session *s, int at, const char *why)
{
	bool cut = false;

	switch (s->state) {
	case SESSION_WAITING:
	case SESSION_CONNECTING:
		if (at < 0)
			end(g, s, "policy.changed", why, NULL);
		break;
	case SESSION_APPRAISING:
	case SESSION_HANDOVER:
		end(g, s, "policy.changed", "", NULL);
		break;
	case SESSION_LIVE:
		cut = at < 0;
		if (cut)
			end(g, s, "policy.withdrawn", why, s->verdict);
		break;
	case SESSION_CLOSING:
	case SESSION_FREE:
		break;
	}
	if (at >= 0 && s->state != SESSION_CLOSING)
		moved_on(g, s, (uint32_t)at);
	return cut;
}

static bool look_again(struct gate *g, const struct policy_set *old, struct session *s,
                       const struct policy_resolved *names, size_t n, bool known, json_t *ended)
{
	const struct flow_block b = {
	        s->app.dst, s->app.dst_port, s->name,
	        s->destination < old->policy->destinations ? old->digest[s->destination] : NULL};
	char why[WHY_MAX] = NAMES_LOST;
	struct policy_who who;
	bool cut;
	int at;

	apps_who(g->apps, &s->app, &who);
	at = known ? still_admitted(g, &b, names, n, &who, why) : -1;
	cut = policy_changed_for(g, s, at, at < 0 ? why : "");

	if (cut)
		note_ended(ended, s->id, s->name, &s->dst, why);
	return cut;
}

/* First those who wait: the end of another may let one of them go on, by the new policy then. */
uint32_t flow_policy_changed(struct gate *g, const struct policy_set *old, json_t *ended)
{
	struct policy_resolved *names = NULL;
	size_t n = 0;
	uint32_t cut = 0;
	bool known = !names_resolved(&g->now.names, &g->learned, g->now.policy, NULL, &names, &n);

	for (int waiting = 1; waiting >= 0; waiting--) {
		for (uint32_t i = 0; i < g->sessions.n; i++) {
			struct session *s = g->sessions.slot[i];

			if (s->generation != g->now.generation &&
			    (!waiting || s->state == SESSION_WAITING))
				cut += look_again(g, old, s, names, n, known, ended);
		}
		if (waiting)
			leases_policy_changed(g, names, n, known);
	}
	cut += tails_policy_changed(g, names, n, known, ended);
	free(names);
	return cut;
}

static bool is_doomed(void *ctx, const struct sockdiag_socket *sock)
{
	const struct gate *g = ctx;

	for (uint32_t i = 0; i < g->sessions.n; i++) {
		if (g->sessions.slot[i]->doomed && g->sessions.slot[i]->cookie == sock->cookie)
			return true;
	}
	return false;
}

static void spare_those_in(struct gate *g, uint64_t netns)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		if (g->sessions.slot[i]->app.netns == netns)
			g->sessions.slot[i]->doomed = false;
	}
}

/*
 * gate keeps no descriptor of an upstream socket: whoever holds one can ask the kernel for the
 * session's keys, and the keys live until the last one is closed. So they are found by cookie, all
 * that were cut in one turn of the loop by one walk over the sockets of their namespace.
 */
void flow_destroy(struct gate *g)
{
	const struct sockdiag_match m = {.fn = is_doomed, .ctx = g};

	if (!g->doomed)
		return;
	g->doomed = false;
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		const struct session *s = g->sessions.slot[i];

		if (!s->doomed)
			continue;
		(void)spaces_sweep(g, s->app.netns, &m);
		spare_those_in(g, s->app.netns);
	}
}

bool flow_owns(const struct gate *g, uint64_t cookie)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		if (g->sessions.slot[i]->cookie == cookie)
			return true;
	}
	for (uint32_t i = 0; i < g->linger_n; i++) {
		if (g->linger[(g->linger_at + i) % LINGER_MAX].cookie == cookie)
			return true;
	}
	return probe_owns(g, cookie);
}

void flow_stop(struct gate *g)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		kernel_cut(g, g->sessions.slot[i]);
		(void)upcall_done(g, g->sessions.slot[i], EACCES);
	}
	session_free_all(&g->sessions);
	leases_stop(g);
	probe_stop(g);
}
