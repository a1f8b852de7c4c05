/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leases on gate's side: lease.h's rules applied to sessions, and the keys of the leases.
 *
 * A lease is the right to open connections without evidence; it ends with its key, whoever ends
 * that. What was opened has keys of its own: a lease that is revoked cuts those that are being
 * opened, and no others. What it rests on (policy, ledger, the vendors' collateral) ends it by
 * itself when that changes.
 *
 * Who connects with a lease is as much work as a handshake. At most LEASE_ABREAST do so at once for
 * one destination; the others wait their turn, and no handshake runs out of time because of those
 * beside it.
 *
 * No verdict is made here and none is changed: each lease has the one that verify sealed for it.
 * The PSK is read back from the kernel into the message that offers it, and wiped behind it.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/secret.h"

static void key_of(const struct session *s, struct lease_key *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->name, s->name, strnlen(s->name, sizeof(out->name) - 1));
	memcpy(out->digest, s->digest, sizeof(out->digest));
	memcpy(out->dst, s->app.dst, sizeof(out->dst));
	out->dst_port = s->app.dst_port;
	out->netns = s->app.netns;
}

static struct lease *place_of(struct gate *g, const struct session *s)
{
	struct lease_key key;

	key_of(s, &key);
	return lease_of(&g->leases, &key);
}

void leases_address(const struct lease *l, struct sockaddr_storage *out)
{
	struct gate_intent to = {.dst_port = l->key.dst_port};

	memcpy(to.dst, l->key.dst, sizeof(to.dst));
	flow_sockaddr(&to, out);
}

static json_t *lease_to_json(const struct lease *l)
{
	struct sockaddr_storage dst;
	char peer[64];

	leases_address(l, &dst);
	record_peer(&dst, peer);
	return json_pack("{s:I, s:o, s:s, s:I, s:I, s:I, s:I}", "session",
	                 (json_int_t)l->held.session, "destination",
	                 audit_text(l->key.name, sizeof(l->key.name)), "peer", peer, "key",
	                 (json_int_t)l->held.key.serial, "ring", (json_int_t)l->held.key.ring,
	                 "until", (json_int_t)l->held.key.until, "uses", (json_int_t)l->held.uses);
}

static void tell(struct gate *g, const char *event, const struct lease *l, const char *why)
{
	json_t *o = lease_to_json(l);

	if (o && why)
		(void)json_object_set_new(o, "why", json_string(why));
	audit_emit(g->audit, event, o);
}

/* ------------------------------------------------------------------- the key's end */

/* A ring that is over has its keys for a while yet. */
static enum keyring_state state_of(const struct keyring_leased *key)
{
	enum keyring_state k = keyring_state(key->ring);

	return k == KEYRING_VALID ? keyring_state(key->serial) : k;
}

static const char *code_of(enum keyring_state k)
{
	return k == KEYRING_VALID     ? NULL
	       : k == KEYRING_EXPIRED ? "session.lease-over"
	                              : "session.revoked";
}

/* Out of the ring, so that nobody reads it any more; and revoked, should it be linked elsewhere. */
static void end_key(const struct keyring_leased *key)
{
	if (!key->serial)
		return;
	(void)keyring_revoke(key->serial);
	keyring_forget(key->ring, key->serial);
}

/* Those that are about to be opened with it. */
static void cut_opening(struct gate *g, int32_t serial)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->offer.serial == serial &&
		    (s->state == SESSION_CONNECTING || s->state == SESSION_HANDOVER))
			flow_cut(g, s, "session.revoked", "its lease was revoked");
	}
}

void leases_end(struct gate *g, struct lease *l, const char *why)
{
	struct lease_held old;

	tell(g, "lease-ended", l, why);
	lease_drop(l, &old);
	end_key(&old.key);
	if (!strcmp(why, "revoked"))
		cut_opening(g, old.key.serial);
}

void leases_end_all(struct gate *g, const char *why)
{
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));)
		leases_end(g, l, why);
}

uint32_t leases_revoke(struct gate *g, uint64_t session, const char *name)
{
	uint32_t n = 0;

	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		if (session ? l->held.session != session : strcmp(l->key.name, name) != 0)
			continue;
		leases_end(g, l, "revoked");
		n++;
	}
	return n;
}

/* True: it has ended. */
static bool end_if_over(struct gate *g, struct lease *l)
{
	enum keyring_state k = state_of(&l->held.key);

	if (k == KEYRING_REVOKED || k == KEYRING_GONE)
		leases_end(g, l, "revoked");
	else if (k != KEYRING_VALID || !lease_good(l, gate_now()))
		leases_end(g, l, "over");
	else
		return false;
	return true;
}

void leases_tick(struct gate *g)
{
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));)
		(void)end_if_over(g, l);
}

void leases_stop(struct gate *g)
{
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));)
		end_key(&l->held.key);
	lease_free_all(&g->leases);
}

/* ---------------------------------------------------------------- who goes how */

/*
 * Puts it into the CONNECT that is being made, and what rests on it into the session: what ends
 * the one from here on finds the other. False: it is of no use any more, and gone.
 */
static bool offer(struct gate *g, struct lease *l, struct session *s)
{
	const struct lease_held *held = &l->held;
	struct attest_lease *out = &g->connect->offer;

	if (end_if_over(g, l))
		return false;
	s->lease = malloc(sizeof(*s->lease));
	if (!s->lease || keyring_lease_read(&held->key, out->psk, held->psk_len)) {
		secret_wipe(out, sizeof(*out));
		leases_end(g, l, "revoked");
		free(s->lease);
		s->lease = NULL;
		return false;
	}
	out->suite = held->suite;
	out->psk_len = held->psk_len;
	memcpy(out->identity, held->identity, sizeof(out->identity));
	*s->lease = *held->verdict;
	s->shown = shown_hold(held->shown);
	s->offer = held->key;
	s->attested = held->session;
	s->ahead = held->ahead;
	s->head = held->head;
	s->ledger = held->ledger;
	return true;
}

static bool is_of(const struct session *s, const struct lease_key *key)
{
	struct lease_key own;

	key_of(s, &own);
	return lease_same(&own, key);
}

/* How many connect with a lease of that place at the moment. */
static uint32_t opening(const struct gate *g, const struct lease_key *key)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->sessions.n; i++) {
		const struct session *s = g->sessions.slot[i];

		n += (s->state == SESSION_CONNECTING || s->state == SESSION_HANDOVER) &&
		     s->offer.serial && is_of(s, key);
	}
	return n;
}

void leases_begin(struct gate *g, struct session *s)
{
	const struct policy_destination *d = &g->now.policy->destination[s->destination];
	enum lease_way way;
	struct lease_key key;
	struct lease *l;

	key_of(s, &key);
	l = policy_lease_binder(d) == BINDER_NONE ? NULL
	                                          : lease_place(&g->leases, &key, gate_boot_ns());
	do {
		way = lease_way(l, gate_now(), gate_boot_ns());
		if (way == LEASE_USE && opening(g, &key) >= LEASE_ABREAST)
			way = LEASE_WAIT;
	} while (l && way == LEASE_USE && !offer(g, l, s));
	if (way == LEASE_WAIT) {
		flow_wait(g, s);
		return;
	}
	if (way == LEASE_LEAD)
		lease_lead(l, s->id);
	s->lease_asked = way != LEASE_ALONE;
	flow_connect(g, s);
}

static bool waits_for(const struct session *s, const struct lease_key *key)
{
	return s->state == SESSION_WAITING && is_of(s, key);
}

/* Of those who wait, the one that came first. */
static struct session *first_waiting(struct gate *g, const struct lease_key *key)
{
	struct session *first = NULL;

	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (waits_for(s, key) && (!first || s->id < first->id))
			first = s;
	}
	return first;
}

static uint32_t waiting(struct gate *g, const struct lease_key *key)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < g->sessions.n; i++)
		n += waits_for(g->sessions.slot[i], key);
	return n;
}

/*
 * The next ones, as many as may connect at once: until one of them leads anew (a lease may be over
 * as soon as it is there), and until there is none left. Not from within itself: one that fails at
 * once would call it again for each that waits.
 */
static void let_go_on(struct gate *g, const struct lease_key *key)
{
	struct session *s;

	if (g->letting_go_on || !g->sessions.waiting)
		return;
	g->letting_go_on = true;
	while ((s = first_waiting(g, key))) {
		leases_begin(g, s);
		if (s->state == SESSION_WAITING)
			break;
	}
	g->letting_go_on = false;
}

/* The queue has moved: who stands in it is as good as new. */
static void keep_waiting(struct gate *g, const struct lease_key *key)
{
	for (uint32_t i = 0; g->sessions.waiting && i < g->sessions.n; i++) {
		if (waits_for(g->sessions.slot[i], key))
			flow_wait(g, g->sessions.slot[i]);
	}
}

/* ------------------------------------------------------------- what came of it */

const char *leases_refuse(struct gate *g, const struct session *s)
{
	const struct verdict *v = s->on_lease ? s->verdict : s->lease;
	const struct lease *l = place_of(g, s);

	if (!v || !verdict_passed(v, gate_now()))
		return "session.lease-over";
	/* The key of one that a newer one has replaced is gone, and was good until then. */
	if (!l || l->held.key.serial != s->offer.serial)
		return code_of(keyring_state(s->offer.ring));
	return code_of(state_of(&s->offer));
}

void leases_unknown(struct gate *g, struct session *s)
{
	struct lease *l = place_of(g, s);

	if (l && l->held.key.serial == s->offer.serial) {
		leases_end(g, l, "unknown");
		if (!l->leader)
			lease_lead(l, s->id);
	}
	free(s->lease);
	s->lease = NULL;
	shown_drop(s->shown);
	s->shown = NULL;
	s->stale = false;
	s->offer = (struct keyring_leased){.serial = 0};
	s->attested = 0;
	s->ahead = false;
	memset(&s->head, 0, sizeof(s->head));
}

void leases_refused(struct gate *g, const struct session *s)
{
	struct lease *l = place_of(g, s);

	if (l && l->held.key.serial)
		leases_end(g, l, "refused");
}

/* 0: there is a lease now. */
static int take(struct gate *g, const struct session *s, struct lease *l,
                const struct attest_lease *secret)
{
	const struct policy_destination *d = &g->now.policy->destination[s->destination];
	struct lease_held h = {.session = s->id,
	                       .suite = secret->suite,
	                       .psk_len = secret->psk_len,
	                       .ahead = s->ahead,
	                       .head = s->head,
	                       .ledger = s->ledger,
	                       .verdict = s->lease};
	struct keyring_lease_request rq = {.session = s->id,
	                                   .destination = s->name,
	                                   .now = gate_now(),
	                                   .lease = d->lease < s->lease_s ? d->lease : s->lease_s,
	                                   .psk = secret->psk,
	                                   .psk_len = secret->psk_len,
	                                   .by_key = policy_lease_binder(d) == BINDER_LEASE_KEY};
	struct lease_held old;
	char peer[64];
	int ret = secret->psk_len <= sizeof(secret->psk) ? 0 : -EKEYREJECTED;

	record_peer(&s->dst, peer);
	rq.peer = peer;
	if (!ret)
		ret = keyring_lease(&g->keyring, s->verdict, &rq, &h.key);
	if (ret)
		return ret;
	memcpy(h.identity, secret->identity, sizeof(h.identity));
	h.shown = shown_hold(s->shown);
	if (l->held.key.serial)
		tell(g, "lease-ended", l, "replaced");
	lease_put(l, &h, rq.now, &old);
	end_key(&old.key);
	tell(g, "lease-made", l, NULL);
	return 0;
}

void leases_live(struct gate *g, struct session *s, const struct attest_lease *secret)
{
	struct lease *l = s->lease_asked ? place_of(g, s) : NULL;
	bool led = l && lease_led(l, s->id);
	struct lease_key key;
	int ret = -ENOENT;

	if (s->on_lease && l && l->held.key.serial == s->offer.serial)
		l->held.uses++;
	/*
	 * One that did not lead brings a lease where there is none. One that is still to be judged
	 * again brings none: it may be gone before its turn, and the lease would stay.
	 */
	if (l && s->lease && !s->stale && (led || !l->held.key.serial)) {
		ret = take(g, s, l, secret);
		if (!ret)
			s->lease = NULL;
		else
			audit_emit(g->audit, "lease-not-kept",
			           json_pack("{s:I, s:o, s:s}", "session", (json_int_t)s->id,
			                     "destination", audit_text(s->name, sizeof(s->name)),
			                     "error", strerror(-ret)));
	}
	free(s->lease);
	s->lease = NULL;
	if (led && ret && !s->stale)
		lease_quiet(l, gate_boot_ns());
	key_of(s, &key);
	keep_waiting(g, &key);
	let_go_on(g, &key);
}

/* Ends of one session that say nothing of the destination. */
static bool is_its_own(const char *code)
{
	static const char *const own[] = {"session.app-gone", "session.revoked",
	                                  "session.resources", "policy.changed"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		if (!strcmp(code, own[i]))
			return true;
	}
	return false;
}

void leases_failed(struct gate *g, const struct session *s, const char *code, const char *detail,
                   const struct verdict *v)
{
	struct lease *l = place_of(g, s);
	char what[CHECK_DETAIL_MAX];
	struct lease_key key;
	struct session *next;
	bool within;

	key_of(s, &key);
	if (!l || !lease_led(l, s->id)) {
		let_go_on(g, &key);
		return;
	}
	/* A renewal: the others go on with the lease there is. */
	if (lease_good(l, gate_now()))
		lease_quiet(l, gate_boot_ns());
	if (is_its_own(code) || lease_good(l, gate_now())) {
		let_go_on(g, &key);
		return;
	}
	(void)snprintf(what, sizeof(what), "session %llu was attested for it: %s",
	               (unsigned long long)s->id, detail);
	within = g->letting_go_on;
	g->letting_go_on = true; /* nobody is to lead anew, and fail as this one did */
	while ((next = first_waiting(g, &key)))
		flow_refuse(g, next, code, what, v);
	g->letting_go_on = within;
}

/* -------------------------------------------------------------------- policy */

/* The destination that the lease's block became; -1: it is none, or another. */
static int still_there(const struct gate *g, const struct lease *l,
                       const struct policy_resolved *names, size_t n)
{
	const struct flow_block b = {l->key.dst, l->key.dst_port, l->key.name, l->key.digest};
	int other = -1;

	return flow_same_destination(g, names, n, &b, NULL, &other);
}

void leases_policy_changed(struct gate *g, const struct policy_resolved *names, size_t n,
                           bool known)
{
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		int at = known ? still_there(g, l, names, n) : -1;

		if (at < 0)
			leases_end(g, l, "policy");
		else
			l->held.ledger = (uint32_t)g->now.policy->destination[at].ledger;
	}
}

/* ---------------------------------------------------------------------- view */

static json_t *view_of(struct gate *g, const struct lease *l)
{
	const struct verdict *v = l->held.verdict;
	json_t *o = lease_to_json(l);
	json_t *more = json_pack(
	        "{s:o, s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:o, s:I}", "binder",
	        audit_text(v->binder, sizeof(v->binder)), "attested_at", (json_int_t)v->made_at,
	        "made_at", (json_int_t)l->held.made_at, "renew_at", (json_int_t)l->held.renew_at,
	        "cipher", flow_suite_name(l->held.suite), "key_state",
	        view_key_state(state_of(&l->held.key)), "tee", audit_text(v->tee, sizeof(v->tee)),
	        "server_key", audit_text(v->server_key, sizeof(v->server_key)), "measurement",
	        measurements_to_json(&v->measurements), "leader",
	        l->leader ? json_integer((json_int_t)l->leader) : json_null(), "waiting",
	        (json_int_t)waiting(g, &l->key));
	bool ok = o && more && !json_object_update_missing(o, more);

	json_decref(more);
	if (!ok) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

json_t *leases_status(struct gate *g)
{
	json_t *a = json_array();

	for (struct lease *l = NULL; a && (l = lease_next(&g->leases, l));) {
		if (json_array_append_new(a, view_of(g, l))) {
			json_decref(a);
			a = NULL;
		}
	}
	return json_pack("{s:b, s:I, s:o}", "ok", 1, "capacity", (json_int_t)LEASES_MAX, "leases",
	                 a);
}
