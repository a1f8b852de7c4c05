/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations that are only monitored. Their connections pass, unprotected, and the kernel half
 * says that there was one. So that there is a verdict all the same, keygated connects there itself:
 * relay is told as if an application had connected, makes the handshake and gets the evidence,
 * verify judges, and with that it is over: no byte of an application goes there, no key goes into
 * the kernel, no lease is asked for.
 *
 * A place is an address and port of a destination block in a network namespace. It is looked at
 * once in EVERY_S, however many connect; ABREAST at a time, the others wait their turn. What there
 * is no place for is counted and not looked at. Nothing here holds up a connect, and nothing that
 * fails here refuses one.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
	PLACES = 1024,
	PLACES_USER = PLACES / 2, /* of one user who is not root */
	ABREAST = 16,             /* sessions at a time */
	EVERY_S = 60,             /* from the end of one look at a place to the next */
	ANNOUNCE_MS = 5000,       /* in which relay has to */
	FAREWELL_MS = 5000,       /* for the end of a connection to reach the peer */
};

enum doing { RESTS = 0, WAITS, TOLD, LOOKS, DOINGS };

struct place {
	struct lease_key key;
	enum doing doing;
	struct gate_intent app; /* who connected last, when it began to wait */
	uint64_t turn;          /* of those that wait, the lowest is the next */
	uint64_t number;        /* of TOLD: of the request */
	uint64_t session;       /* of LOOKS */
	uint64_t until_ns;      /* CLOCK_BOOTTIME; of TOLD and RESTS */
	uint64_t leaving;       /* kernel's number of a session that is over; 0: none */
	uint64_t left_ns;       /* when that is forgotten */
};

struct monitor {
	struct place v[PLACES];
	uint32_t n;
	uint32_t count[DOINGS];
	uint64_t turn;
	uint64_t skipped;
};

int monitor_open(struct gate *g)
{
	g->monitor = calloc(1, sizeof(*g->monitor));
	return g->monitor ? 0 : -ENOMEM;
}

static uint64_t in_ms(uint32_t ms)
{
	return gate_boot_ns() + (uint64_t)ms * 1000000u;
}

/* --------------------------------------------------------------------- places */

static void forget_session(struct gate *g, struct place *p)
{
	if (p->leaving)
		intercept_session_end(g->ic, p->leaving, 0);
	p->leaving = 0;
}

static void enter(struct monitor *m, struct place *p, enum doing doing)
{
	m->count[p->doing]--;
	m->count[doing]++;
	p->doing = doing;
}

static void rest(struct monitor *m, struct place *p)
{
	enter(m, p, RESTS);
	p->until_ns = in_ms(EVERY_S * 1000);
}

static bool rested(const struct place *p, uint64_t now)
{
	return p->doing == RESTS && p->until_ns <= now;
}

/*
 * The place of key, else one that is free, else the one that has rested longest; NULL: all are
 * taken, or all that this user may take.
 */
static struct place *place_of(struct gate *g, const struct lease_key *key, uint32_t uid,
                              uint64_t now)
{
	struct monitor *m = g->monitor;
	struct place *oldest = NULL;
	uint32_t users = 0;

	for (uint32_t i = 0; i < m->n; i++) {
		struct place *p = &m->v[i];

		if (lease_same(&p->key, key))
			return p;
		if (!rested(p, now))
			users += p->app.uid == uid;
		else if (!oldest || p->until_ns < oldest->until_ns)
			oldest = p;
	}
	if (uid && users >= PLACES_USER)
		return NULL;
	if (m->n < PLACES) {
		oldest = &m->v[m->n++];
		*oldest = (struct place){.doing = RESTS};
		m->count[RESTS]++;
	} else if (!oldest) {
		return NULL;
	}
	forget_session(g, oldest);
	oldest->key = *key;
	oldest->until_ns = 0;
	return oldest;
}

static void key_of(const struct gate *g, const struct gate_intent *app, uint32_t at,
                   struct lease_key *out)
{
	const char *name = g->now.policy->destination[at].name;

	memset(out, 0, sizeof(*out));
	memcpy(out->name, name, strnlen(name, sizeof(out->name) - 1));
	memcpy(out->digest, g->now.digest[at], sizeof(out->digest));
	memcpy(out->dst, app->dst, sizeof(out->dst));
	out->dst_port = app->dst_port;
	out->netns = app->netns;
}

/* --------------------------------------------------------------------- connects */

/* The kernel's word counts if it is of this policy. */
int monitor_destination(const struct gate *g, const struct gate_intent *app)
{
	const struct policy *p = g->now.policy;

	if (!p)
		return -1;
	if (app->generation != g->now.generation)
		return flow_destination(g, app, POLICY_MONITOR);
	return app->rule < p->destinations && p->destination[app->rule].action == POLICY_MONITOR
	               ? (int)app->rule
	               : -1;
}

static void intent_of(const struct gate_event *e, struct gate_intent *out)
{
	*out = (struct gate_intent){.dst_port = e->dst_port,
	                            .rule = e->rule,
	                            .generation = e->generation,
	                            .uid = e->uid,
	                            .pid = e->pid,
	                            .known = GATE_KNOWS_USER | GATE_KNOWS_CGROUP,
	                            .cgroup = e->cgroup,
	                            .netns = e->netns,
	                            .at_ns = gate_boot_ns()};
	memcpy(out->dst, e->dst, sizeof(out->dst));
	memcpy(out->comm, e->comm, sizeof(out->comm));
}

/* The policy may be another one since it began to wait. */
static void begin(struct gate *g, struct place *p)
{
	struct monitor *m = g->monitor;

	if (monitor_destination(g, &p->app) < 0) {
		rest(m, p);
		p->until_ns = 0;
		return;
	}
	p->number = ++g->opened;
	p->until_ns = in_ms(ANNOUNCE_MS);
	enter(m, p, TOLD);
	(void)gate_send(g, ROLE_RELAY, MSG_OPEN, p->number, NULL, -1);
}

static struct place *next_waiting(struct monitor *m)
{
	struct place *next = NULL;

	for (uint32_t i = 0; m->count[WAITS] && i < m->n; i++) {
		struct place *p = &m->v[i];

		if (p->doing == WAITS && (!next || p->turn < next->turn))
			next = p;
	}
	return next;
}

static void begin_next(struct gate *g)
{
	struct monitor *m = g->monitor;
	struct place *p;

	while (m->count[TOLD] + m->count[LOOKS] < ABREAST && (p = next_waiting(m)))
		begin(g, p);
}

void monitor_event(struct gate *g, const struct gate_event *e)
{
	struct monitor *m = g->monitor;
	uint64_t now = gate_boot_ns();
	struct gate_intent app;
	struct lease_key key;
	struct place *p;
	int at;

	if (!m)
		return;
	intent_of(e, &app);
	/* Of a policy that an earlier keygated left, maybe: nothing to judge by is there yet. */
	at = monitor_destination(g, &app);
	if (at < 0) {
		m->skipped++;
		return;
	}
	key_of(g, &app, (uint32_t)at, &key);
	p = place_of(g, &key, app.uid, now);
	if (!p) {
		m->skipped++;
		return;
	}
	if (!rested(p, now))
		return;
	p->app = app;
	p->turn = ++m->turn;
	enter(m, p, WAITS);
	begin_next(g);
}

/* --------------------------------------------------------------------- sessions */

int monitor_take(struct gate *g, struct session *s, uint64_t number)
{
	struct monitor *m = g->monitor;

	for (uint32_t i = 0; m && i < m->n; i++) {
		struct place *p = &m->v[i];

		if (p->doing != TOLD || p->number != number)
			continue;
		forget_session(g, p);
		s->app = p->app;
		s->monitored = true;
		p->session = s->id;
		enter(m, p, LOOKS);
		return 0;
	}
	return -ENOENT;
}

void monitor_closed(struct gate *g, const struct session *s)
{
	struct monitor *m = g->monitor;

	for (uint32_t i = 0; m && i < m->n; i++) {
		struct place *p = &m->v[i];

		if (p->doing != LOOKS || p->session != s->id)
			continue;
		p->leaving = g->epoch << GATE_ID_BITS | s->id;
		p->left_ns = in_ms(FAREWELL_MS);
		rest(m, p);
		begin_next(g);
		return;
	}
}

void monitor_tick(struct gate *g)
{
	struct monitor *m = g->monitor;
	uint64_t now = gate_boot_ns();

	for (uint32_t i = 0; m && i < m->n; i++) {
		struct place *p = &m->v[i];

		if (p->leaving && p->left_ns <= now)
			forget_session(g, p);
		/* relay has no room for it. */
		if (p->doing == TOLD && p->until_ns <= now) {
			m->skipped++;
			rest(m, p);
		}
	}
	if (m)
		begin_next(g);
}

void monitor_close(struct gate *g)
{
	struct monitor *m = g->monitor;

	for (uint32_t i = 0; m && i < m->n; i++)
		forget_session(g, &m->v[i]);
	free(m);
	g->monitor = NULL;
}

json_t *monitor_status(const struct gate *g)
{
	static const struct monitor none;
	const struct monitor *m = g->monitor ? g->monitor : &none;
	const struct policy *p = g->now.policy;
	json_int_t destinations = 0;

	for (uint32_t i = 0; i < p->destinations; i++)
		destinations += p->destination[i].action == POLICY_MONITOR;
	return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "destinations", destinations,
	                 "places", (json_int_t)m->n, "capacity", (json_int_t)PLACES, "looking",
	                 (json_int_t)m->count[TOLD] + m->count[LOOKS], "waiting",
	                 (json_int_t)m->count[WAITS], "every", (json_int_t)EVERY_S, "skipped",
	                 (json_int_t)m->skipped);
}
