/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sessions, as the kernel sees them. gate keeps no descriptor of a session's socket (flow.c
 * says why), so relay is asked for each one's, a few at a time; the kernel then says what protects
 * it and how many records that has carried. The answer to the verb waits for that, for a while.
 *
 * Whether a session is protected is the kernel's word alone: both directions kTLS 1.3, in software
 * or hardware, with the cipher of the release, and the session's key valid. What could not be asked
 * is not protected.
 */
#include "daemon/gate.h"

#include <linux/tls.h>
#include "daemon/intercept.h"

enum {
	AT_ONCE = 16,       /* sockets that relay is asked for at a time */
	PATIENCE_MS = 2000, /* for the next of them */
	ALL_MS = 30000,     /* for all; who asked waits for twice as long */
};

const char *view_key_state(enum keyring_state s)
{
	switch (s) {
	case KEYRING_VALID:
		return "valid";
	case KEYRING_REVOKED:
		return "revoked";
	case KEYRING_EXPIRED:
		return "expired";
	case KEYRING_GONE:
		break;
	}
	return "gone";
}

/* --------------------------------------------------------- what the kernel said */

static const char *conf_name(uint16_t conf)
{
	switch (conf) {
	case TLS_CONF_SW:
		return "software";
	case TLS_CONF_HW:
	case TLS_CONF_HW_RECORD:
		return "hardware";
	default:
		return "none";
	}
}

static const char *version_name(uint16_t version)
{
	return version == TLS_1_3_VERSION ? "1.3" : version == TLS_1_2_VERSION ? "1.2" : "none";
}

static const char *cipher_name(uint16_t cipher)
{
	switch (cipher) {
	case TLS_CIPHER_AES_GCM_128:
		return "aes-128-gcm";
	case TLS_CIPHER_AES_GCM_256:
		return "aes-256-gcm";
	case TLS_CIPHER_CHACHA20_POLY1305:
		return "chacha20-poly1305";
	default:
		return "other";
	}
}

static uint16_t cipher_of(uint16_t suite)
{
	switch ((enum keyring_suite)suite) {
	case SUITE_AES_128_GCM_SHA256:
		return TLS_CIPHER_AES_GCM_128;
	case SUITE_AES_256_GCM_SHA384:
		return TLS_CIPHER_AES_GCM_256;
	case SUITE_CHACHA20_POLY1305_SHA256:
		return TLS_CIPHER_CHACHA20_POLY1305;
	case SUITE_NONE:
		break;
	}
	return 0;
}

static bool encrypts(uint16_t conf)
{
	return conf == TLS_CONF_SW || conf == TLS_CONF_HW || conf == TLS_CONF_HW_RECORD;
}

bool view_protected(const struct session *s, enum keyring_state key)
{
	const struct sockdiag_tls *t = &s->seen.tls;

	return s->state == SESSION_LIVE && key == KEYRING_VALID && s->seen.known && t->is_tls &&
	       t->version == TLS_1_3_VERSION && t->cipher && t->cipher == cipher_of(s->suite) &&
	       encrypts(t->txconf) && encrypts(t->rxconf);
}

/* ------------------------------------------------------------------ the answer */

static json_t *kernel_tls(const struct session *s)
{
	const struct sockdiag_tls *t = &s->seen.tls;

	if (!s->seen.known)
		return json_null();
	return json_pack(
	        "{s:s, s:s, s:s, s:s}", "version", version_name(t->is_tls ? t->version : 0),
	        "cipher", t->is_tls ? cipher_name(t->cipher) : "none", "tx",
	        conf_name(t->is_tls ? t->txconf : 0), "rx", conf_name(t->is_tls ? t->rxconf : 0));
}

static json_t *carried(const struct session *s)
{
	const struct session_seen *v = &s->seen;

	if (!v->known)
		return json_pack("{s:n, s:n}", "records", "bytes");
	/* Whose bytes nobody but the kernel handles, only the kernel could count. */
	if (s->kernel)
		return json_pack("{s:{s:I, s:I}, s:n}", "records", "sent", (json_int_t)v->sent,
		                 "received", (json_int_t)v->received, "bytes");
	return json_pack("{s:{s:I, s:I}, s:{s:I, s:I}}", "records", "sent", (json_int_t)v->sent,
	                 "received", (json_int_t)v->received, "bytes", "app_to_peer",
	                 (json_int_t)v->app_to_peer, "peer_to_app", (json_int_t)v->peer_to_app);
}

static json_t *live_session(const struct session *s)
{
	const struct verdict *v = s->verdict;
	enum keyring_state key = keyring_state(s->serial);

	return json_pack(
	        "{s:o, s:o, s:o, s:o, s:o, s:s, s:I, s:I, s:s, s:I, s:I, s:b, s:o, s:{s:I, "
	        "s:I}}",
	        "attested", s->on_lease ? json_integer((json_int_t)s->attested) : json_null(),
	        "binder", audit_text(v->binder, sizeof(v->binder)), "tee",
	        audit_text(v->tee, sizeof(v->tee)), "server_key",
	        audit_text(v->server_key, sizeof(v->server_key)), "measurement",
	        measurements_to_json(&v->measurements), "cipher", flow_suite_name(s->suite), "key",
	        (json_int_t)s->serial, "ring", (json_int_t)s->ring, "key_state",
	        view_key_state(key), "released_at", (json_int_t)s->released_at, "until",
	        (json_int_t)s->until, "protected", view_protected(s, key), "kernel_tls",
	        kernel_tls(s), "rekeys", "sent", (json_int_t)s->rekeys[KEYRING_TX], "received",
	        (json_int_t)s->rekeys[KEYRING_RX]);
}

static bool merge(json_t *o, json_t *more)
{
	bool ok = more && !json_object_update_missing(o, more);

	json_decref(more);
	return ok;
}

static json_t *one_session(const struct session *s)
{
	char peer[64];
	json_t *o;

	record_peer(&s->dst, peer);
	o = json_pack("{s:I, s:s, s:s, s:o, s:s, s:o, s:I}", "id", (json_int_t)s->id, "state",
	              session_state_name(s->state), "mode", s->monitored ? "monitor" : "gate",
	              "destination", audit_text(s->name, sizeof(s->name)), "peer", peer, "app",
	              record_app(&s->app), "since", (json_int_t)s->since);
	if (!o || s->state != SESSION_LIVE)
		return o;
	if (!merge(o, live_session(s)) || !merge(o, carried(s))) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

static json_t *answer(struct gate *g)
{
	json_t *a = json_array();

	for (uint32_t i = 0; a && i < g->sessions.n; i++) {
		if (json_array_append_new(a, one_session(g->sessions.slot[i]))) {
			json_decref(a);
			a = NULL;
		}
	}
	return json_pack("{s:b, s:o}", "ok", 1, "sessions", a);
}

/* -------------------------------------------------------------------- the round */

/* A round that goes on is waited for, however many sessions there are; one that stands still is
 * not. */
static void wait_for_next(struct gate *g)
{
	uint64_t then = gate_boot_ns() + (uint64_t)PATIENCE_MS * 1000000u;

	g->view.deadline_ns = then < g->view.end_ns ? then : g->view.end_ns;
}

/* How many of this round are out, and one that was not asked for yet (NULL: none). */
static uint32_t outstanding(struct gate *g, struct session **next)
{
	uint32_t n = 0;

	*next = NULL;
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->state != SESSION_LIVE)
			continue;
		if (s->seen.looking)
			n++;
		else if (s->seen.round != g->view.round)
			*next = s;
	}
	return n;
}

/* What is said of a session is never older than the question. */
void view_ask(struct gate *g, struct session *s)
{
	s->seen = (struct session_seen){.round = g->view.round, .looking = true};
	(void)gate_send(g, ROLE_RELAY, MSG_LOOK, s->id, NULL, -1);
}

void view_tick(struct gate *g)
{
	struct session *next;
	uint32_t n;

	if (!g->view.clients)
		return;
	while ((n = outstanding(g, &next)) < AT_ONCE && next)
		view_ask(g, next);
	if ((n || next) && gate_boot_ns() < g->view.deadline_ns)
		return;
	for (uint32_t i = 0; i < g->view.clients; i++)
		control_reply(g->control, g->view.client[i], answer(g));
	g->view.clients = 0;
}

/* In the namespace of the socket: sock_diag knows no others there. */
static int kernel_says(struct gate *g, struct session *s, int fd)
{
	int ret = spaces_enter(g, s->app.netns);

	if (ret)
		return ret;
	ret = sockdiag_tls(fd, &s->seen.tls);
	spaces_leave(g);
	return ret;
}

void view_looked(struct gate *g, struct session *s, const struct msg_looked *m, int fd)
{
	struct session_seen *v = &s->seen;

	if (!v->looking || !flow_is_its_socket(g, s, fd)) {
		gate_fatal(g, "relay showed session %llu unasked", (unsigned long long)s->id);
		return;
	}
	v->looking = false;
	wait_for_next(g);
	v->app_to_peer = m->app_to_peer;
	v->peer_to_app = m->peer_to_app;
	v->known = !kernel_says(g, s, fd) && !keyring_records(fd, s->suite, &v->sent, &v->received);
	if (s->kernel)
		upcall_looked(g, s);
	view_tick(g);
}

json_t *view_sessions(struct gate *g, uint64_t client, json_t *request)
{
	struct session *next;

	(void)request;
	if (g->view.clients == VIEW_CLIENTS)
		return control_error(CONTROL_UNAVAILABLE, "too many ask for the sessions");
	if (!g->view.clients) {
		g->view.round++;
		g->view.end_ns = gate_boot_ns() + (uint64_t)ALL_MS * 1000000u;
		wait_for_next(g);
		if (!outstanding(g, &next) && !next)
			return answer(g);
	}
	g->view.client[g->view.clients++] = client;
	view_tick(g);
	return NULL;
}
