/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a session on gate's side. relay's word is taken for what it saw on the wire, never
 * for what was asked for: where to, under which policy, with which nonce and name, through which
 * socket stands in gate's own record.
 */
#include "daemon/gate.h"

#include <errno.h>
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

static void refuse(struct gate *g, struct session *s, const char *code, const char *detail)
{
	struct msg_refuse m = {.code = ""};

	copy_text(m.code, sizeof(m.code), code);
	copy_text(s->code, sizeof(s->code), code);
	enter(g, s, SESSION_CLOSING, CLOSING_MS);
	record_session(g, s, code, detail, NULL, NULL);
	(void)gate_send(g, ROLE_RELAY, MSG_REFUSE, s->id, &m, -1);
}

static void tell_cut(struct gate *g, uint64_t id, const char name[static POLICY_NAME_MAX],
                     const char *code, const char *detail)
{
	audit_emit(g->audit, "session-cut",
	           json_pack("{s:I, s:o, s:s, s:o}", "session", (json_int_t)id, "destination",
	                     audit_text(name, POLICY_NAME_MAX), "code", code, "detail",
	                     audit_text(detail, CHECK_DETAIL_MAX)));
}

static void end(struct gate *g, struct session *s, const char *code, const char *detail,
                const struct verdict *v)
{
	bool live = s->state == SESSION_LIVE;
	struct msg_cut m = {.code = ""};

	if (s->state == SESSION_CLOSING)
		return;
	kernel_cut(g, s);
	copy_text(m.code, sizeof(m.code), code);
	copy_text(s->code, sizeof(s->code), code);
	enter(g, s, SESSION_CLOSING, CLOSING_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_CUT, s->id, &m, -1);
	if (!live) {
		record_session(g, s, code, detail, v, NULL);
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
 * What the policy in force says of it, now: the kernel's rule number may be of another table.
 * -1: nothing that gates.
 */
static int destination_of(const struct gate *g, const struct gate_intent *app)
{
	const struct policy *p = g->now.policy;
	struct policy_resolved *names = NULL;
	size_t n = 0;
	int at = -1;

	if (!names_resolved(&g->now.names, p, &names, &n))
		at = policy_match(p, names, n, app->dst, app->dst_port);
	free(names);
	return at >= 0 && p->destination[at].action == POLICY_GATE ? at : -1;
}

static void take_destination(struct gate *g, struct session *s, uint32_t at)
{
	const struct policy_destination *d = &g->now.policy->destination[at];

	s->destination = at;
	s->generation = g->now.generation;
	copy_text(s->name, sizeof(s->name), d->name);
	copy_text(s->server_name, sizeof(s->server_name), d->server_name);
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
	fd = socket(dst.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ret = fd < 0 ? -errno : cookie_of(fd, cookie);
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

static void connect_it(struct gate *g, struct session *s)
{
	struct msg_connect m = {
	        .dst = s->dst, .handshake_ms = HANDSHAKE_MS, .transport = (uint32_t)s->transport};
	int fd = -1;
	int ret = RAND_bytes(s->context, sizeof(s->context)) == 1 ? 0 : -EIO;

	if (!ret)
		ret = flow_socket(g, kernel_id(g, s), &s->app, in_ms(HANDSHAKE_MS + SLACK_MS),
		                  &s->cookie, &fd);
	if (ret) {
		kernel_cut(g, s);
		refuse(g, s, "gate.socket", strerror(-ret));
		return;
	}
	copy_text(m.destination, sizeof(m.destination), s->name);
	copy_text(m.server_name, sizeof(m.server_name), s->server_name);
	memcpy(m.context, s->context, sizeof(m.context));
	enter(g, s, SESSION_CONNECTING, HANDSHAKE_MS + SLACK_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_CONNECT, s->id, &m, fd);
	close(fd);
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
	g->count.accepted++;
	s->since = gate_now();
	ret = intercept_take(g->ic, m->netns, &m->peer, &s->app);
	if (ret) {
		refuse(g, s, "gate.no-intent", strerror(-ret));
		return;
	}
	flow_sockaddr(&s->app, &s->dst);
	at = destination_of(g, &s->app);
	if (at < 0) {
		refuse(g, s, "policy.changed", "no destination block gates it any more");
		return;
	}
	take_destination(g, s, (uint32_t)at);
	if (!session_room(&g->sessions)) {
		refuse(g, s, "gate.overload", "");
		return;
	}
	if (!session_room_for(&g->sessions, s->app.uid)) {
		refuse(g, s, "gate.overload", "this user's places are taken");
		return;
	}
	connect_it(g, s);
}

/* ----------------------------------------------------------------- appraise */

static void on_appraise(struct gate *g, struct session *s, struct msg_appraise *m, int fd)
{
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
	enter(g, s, SESSION_APPRAISING, VERIFY_MS);
	s->with_verify = true;
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

/* A verdict that passes must be the one that was asked for. */
static bool is_of(const struct session *s, const struct verdict *v)
{
	return v->made_at == s->at && !strncmp(v->requirement, s->name, sizeof(v->requirement));
}

static void passed(struct gate *g, struct session *s, const struct msg_verdict *m, int fd)
{
	const char *code = heads_take(g, s, m, fd);

	if (code) {
		end(g, s, code, "", &m->verdict);
		return;
	}
	s->verdict = malloc(sizeof(*s->verdict));
	if (!s->verdict) {
		end(g, s, "verify.internal", "out of memory", NULL);
		return;
	}
	*s->verdict = m->verdict;
	enter(g, s, SESSION_HANDOVER, HANDOVER_MS);
	(void)gate_send(g, ROLE_RELAY, MSG_HANDOVER, s->id, NULL, -1);
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
	if (!verdict_passed(&m->verdict, gate_now())) {
		heads_left(g, m, true, fd);
		heads_refused(g, s, m, fd);
		refuse_by(g, s, &m->verdict);
	} else if (!is_of(s, &m->verdict)) {
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
 * A keyring_arm_fn: before any key is live, the kernel knows which key it hangs on and until when.
 * The watch cuts what it finds live, from the moment it knows the key: so the state comes first,
 * and a revocation that came before the watch knew is seen by asking the key itself, last.
 */
static int arm(void *ctx, uint64_t session, int32_t serial, uint64_t deadline_ns)
{
	struct gate *g = ctx;
	uint64_t id = g->epoch << GATE_ID_BITS | session;
	int ret = intercept_session(g->ic, id, GATE_SESSION_LIVE, deadline_ns);

	if (!ret)
		ret = intercept_session_key(g->ic, id, serial);
	if (ret)
		return ret;
	if (keyring_state(serial) == KEYRING_VALID)
		return 0;
	intercept_session_end(g->ic, 0, serial); /* of the two, the key only */
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
	if (ret)
		end(g, s, step, strerror(-ret), s->verdict);
	else
		went_live(g, s, &r);
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
	char detail[CHECK_DETAIL_MAX];

	g->count.closed++;
	copy_text(detail, sizeof(detail), m->detail);
	if (s->state == SESSION_LIVE && !strcmp(code_of(m->code), "session.end")) {
		let_linger(g, s);
	} else {
		kernel_cut(g, s);
		intercept_session_end(g->ic, kernel_id(g, s), s->serial);
		key_end(s);
	}
	/* It never got far enough for a verdict, or went away while it was being made. */
	if (s->state != SESSION_LIVE && s->state != SESSION_CLOSING)
		record_session(g, s, code_of(m->code), detail, s->verdict, NULL);
	if (was_live)
		tell_closed(g, s, m);
	session_enter(&g->sessions, s, SESSION_CLOSING);
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
	if (gate_boot_ns() < s->deadline_ns)
		return;
	switch (s->state) {
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
	probe_tick(g);
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
	case GATE_EVENT_NONE:
		break;
	}
}

/* ------------------------------------------------------------------- policy */

/* The destination that this session's block became in the policy in force; -1: it must end. */
static int still_admitted(const struct gate *g, const struct policy_set *old,
                          const struct session *s, const struct policy_resolved *names, size_t n)
{
	const struct policy *p = g->now.policy;
	int at = policy_match(p, names, n, s->app.dst, s->app.dst_port);

	if (at < 0 || strcmp(p->destination[at].name, s->name) ||
	    s->destination >= old->policy->destinations ||
	    memcmp(g->now.digest[at], old->digest[s->destination], sizeof(g->now.digest[at])))
		return -1;
	return at;
}

/* The same for those whose last bytes are under way. */
static uint32_t tails_policy_changed(struct gate *g, const struct policy_resolved *names, size_t n,
                                     bool known)
{
	const struct policy *p = g->now.policy;
	uint32_t cut = 0;

	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);
		int at = known ? policy_match(p, names, n, l->dst, l->dst_port) : -1;

		if (l->cut)
			continue;
		if (at >= 0 && !strcmp(p->destination[at].name, l->name) &&
		    !memcmp(g->now.digest[at], l->digest, sizeof(l->digest)))
			continue;
		flow_cut_tail(g, l, "policy.withdrawn", "after its end");
		cut++;
	}
	return cut;
}

uint32_t flow_policy_changed(struct gate *g, const struct policy_set *old)
{
	struct policy_resolved *names = NULL;
	size_t n = 0;
	uint32_t cut = 0;
	bool known = !names_resolved(&g->now.names, g->now.policy, &names, &n);

	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];
		int at = known ? still_admitted(g, old, s, names, n) : -1;

		switch (s->state) {
		case SESSION_CONNECTING:
			if (at < 0)
				end(g, s, "policy.changed", "", NULL);
			break;
		case SESSION_APPRAISING:
		case SESSION_HANDOVER:
			end(g, s, "policy.changed", "", NULL);
			break;
		case SESSION_LIVE:
			if (at < 0) {
				end(g, s, "policy.withdrawn", "", s->verdict);
				cut++;
			}
			break;
		case SESSION_CLOSING:
		case SESSION_FREE:
			break;
		}
		if (at >= 0 && s->state != SESSION_CLOSING) {
			s->destination = (uint32_t)at;
			s->generation = g->now.generation;
			s->ledger = (uint32_t)g->now.policy->destination[at].ledger;
		}
	}
	cut += tails_policy_changed(g, names, n, known);
	free(names);
	return cut;
}

static bool is_doomed(void *ctx, const uint8_t dst[static 16], uint16_t port, uint64_t cookie)
{
	const struct gate *g = ctx;

	(void)dst, (void)port;
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		if (g->sessions.slot[i]->doomed && g->sessions.slot[i]->cookie == cookie)
			return true;
	}
	return false;
}

/*
 * gate keeps no descriptor of an upstream socket: whoever holds one can ask the kernel for the
 * session's keys, and the keys live until the last one is closed. So they are found by cookie, all
 * that were cut in one turn of the loop by one walk over the kernel's sockets.
 */
void flow_destroy(struct gate *g)
{
	const struct sockdiag_match m = {is_doomed, g};

	if (!g->doomed)
		return;
	(void)sockdiag_sweep(&m);
	g->doomed = false;
	for (uint32_t i = 0; i < g->sessions.n; i++)
		g->sessions.slot[i]->doomed = false;
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
	for (uint32_t i = 0; i < g->sessions.n; i++)
		kernel_cut(g, g->sessions.slot[i]);
	session_free_all(&g->sessions);
	probe_stop(g);
}
