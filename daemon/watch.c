/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entries of logs that the policy watches: what lies between the last one that was read and
 * the last-seen head is fetched a bundle at a time, shown to verify, which holds it against the
 * head's root and says what nobody expected, and alerted. How far that went is on disk: an alert is
 * said before it is written down as said, so that a crash repeats one and loses none. No connection
 * waits for any of it, and no entry is parsed here.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	LOGS_MAX = 64,
	/* Of one log: who can append to it must not fill the disk. The rest is read later. */
	ALERTS_MAX = 512,
	ALERTS_PERIOD_S = 3600,
};

#define SECOND_NS UINT64_C(1000000000)

struct watched {
	uint32_t ledger;
	char origin[NOTE_NAME_MAX + 1];
	struct state_watch *state; /* owned; NULL: not read yet */
	char code[CHECK_ID_MAX];   /* what is wrong; empty: nothing */
	char detail[CHECK_DETAIL_MAX];
	int64_t tried_at, ok_at;
	uint64_t next_ns;   /* CLOCK_BOOTTIME */
	uint32_t failures;  /* in a row */
	uint32_t said;      /* alerts since ... */
	uint64_t period_ns; /* ... then */
};

enum stage { STAGE_IDLE = 0, STAGE_FETCH, STAGE_JUDGE };

struct watcher {
	uint32_t generation; /* of the policy that the logs are of */
	uint32_t n, at;
	enum stage stage;
	uint64_t request;
	struct msg_watch ask; /* what verify is asked about v[at] */
	int fd;               /* of the bundle; -1: none */
	struct watched v[LOGS_MAX];
};

int watch_open(struct gate *g)
{
	g->watcher = calloc(1, sizeof(*g->watcher));
	if (!g->watcher)
		return -ENOMEM;
	g->watcher->fd = -1;
	return 0;
}

static void idle(struct watcher *w)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	w->stage = STAGE_IDLE;
}

void watch_close(struct gate *g)
{
	struct watcher *w = g->watcher;

	if (!w)
		return;
	idle(w);
	for (uint32_t i = 0; i < w->n; i++)
		free(w->v[i].state);
	free(w);
	g->watcher = NULL;
}

/* --------------------------------------------------------------------- state */

static void save(struct gate *g, const struct watched *x)
{
	int ret = state_watch_write(&g->state, x->origin, x->state);

	/* It goes on: what is not written down is only said again after a restart. */
	if (ret)
		audit_emit(g->audit, "ledger-watch-not-saved",
		           json_pack("{s:o, s:s}", "origin",
		                     audit_text(x->origin, sizeof(x->origin)), "error",
		                     strerror(-ret)));
}

/* Entries that were read for other names were not looked at for these: they are read again. */
static bool is_renamed(struct gate *g, struct watched *x)
{
	const struct policy_ledger *l = &g->now.policy->ledger[x->ledger];
	uint8_t names[sizeof(x->state->names)];

	/* The patterns are padded with zeros. A digest that can't be made is that of no names. */
	if (!EVP_Digest(l->watch, l->watches * sizeof(*l->watch), names, NULL, EVP_sha256(), NULL))
		memset(names, 0, sizeof(names));
	if (!memcmp(names, x->state->names, sizeof(names)))
		return false;
	memcpy(x->state->names, names, sizeof(names));
	x->state->size = 0;
	return true;
}

/* Alerts that the policy expects by now are taken back. */
static void settle(struct gate *g, struct watched *x)
{
	uint32_t was = x->state->n;
	bool changed = is_renamed(g, x);

	for (uint32_t i = 0; i < x->state->n;) {
		if (policy_alert_expected(g->now.policy, x->ledger, &x->state->v[i].alert))
			state_watch_remove(x->state, i);
		else
			i++;
	}
	if (changed || x->state->n != was)
		save(g, x);
}

/* What can't be read back is read anew from the first entry on: said again, not lost. */
static bool recall(struct gate *g, struct watched *x)
{
	int ret;

	if (x->state)
		return true;
	x->state = calloc(1, sizeof(*x->state));
	if (!x->state)
		return false;
	ret = state_watch_read(&g->state, x->origin, x->state);
	if (ret && ret != -ENOENT)
		audit_emit(g->audit, "ledger-watch-forgotten",
		           json_pack("{s:o, s:s}", "origin",
		                     audit_text(x->origin, sizeof(x->origin)), "error",
		                     strerror(-ret)));
	settle(g, x);
	return true;
}

void watch_forget(struct gate *g, const char *origin)
{
	struct watcher *w = g->watcher;

	for (uint32_t i = 0; w && i < w->n; i++) {
		if (strcmp(w->v[i].origin, origin) != 0)
			continue;
		free(w->v[i].state);
		w->v[i].state = NULL;
	}
}

/* ---------------------------------------------------------------------- logs */

static struct watched *find(struct watched *v, uint32_t n, const char *origin)
{
	for (uint32_t i = 0; i < n; i++)
		if (!strcmp(v[i].origin, origin))
			return &v[i];
	return NULL;
}

static void add(struct gate *g, struct watcher *old, uint32_t ledger, const char *origin)
{
	struct watcher *w = g->watcher;
	struct watched *was = find(old->v, old->n, origin), *x = &w->v[w->n];

	if (w->n == LOGS_MAX || find(w->v, w->n, origin)) {
		/* Nobody should count on it. */
		audit_emit(g->audit, "ledger-not-watched",
		           json_pack("{s:s, s:o, s:s}", "ledger",
		                     g->now.policy->ledger[ledger].name, "origin",
		                     audit_text(origin, NOTE_NAME_MAX + 1), "detail",
		                     w->n == LOGS_MAX ? "more than 64 would be watched"
		                                      : "another ledger watches this log"));
		return;
	}
	memset(x, 0, sizeof(*x));
	memcpy(x->origin, origin, strlen(origin) + 1);
	if (was) {
		*x = *was;
		was->state = NULL;
		x->next_ns = 0;
		x->failures = 0;
	}
	x->ledger = ledger;
	w->n++;
	if (x->state)
		settle(g, x);
}

static void logs_of_policy(struct gate *g)
{
	const struct policy *p = g->now.policy;
	struct watcher *w = g->watcher, *old = malloc(sizeof(*old));

	if (!old)
		return;
	*old = *w;
	w->n = 0;
	w->generation = g->now.generation;
	for (uint32_t i = 0; i < p->ledgers; i++)
		for (uint32_t k = 0; p->ledger[i].watches && k < p->ledger[i].tlog->logs; k++)
			add(g, old, i, p->ledger[i].tlog->log[k].name);
	for (uint32_t i = 0; i < old->n; i++)
		free(old->v[i].state);
	free(old);
}

/* ------------------------------------------------------------------- outcome */

static void ended(struct gate *g, struct watched *x, const char *code, const char *detail)
{
	bool changed = strcmp(x->code, code) != 0;

	idle(g->watcher);
	snprintf(x->code, sizeof(x->code), "%s", code);
	snprintf(x->detail, sizeof(x->detail), "%s", detail);
	x->failures = code[0] ? x->failures + 1 : 0;
	if (code[0])
		x->next_ns = gate_boot_ns() +
		             (uint64_t)follow_backoff(g->now.policy->ledger[x->ledger].refresh,
		                                      x->failures) *
		                     SECOND_NS;
	else
		x->ok_at = gate_now();
	/* Said once, not every time. */
	if (changed)
		audit_emit(g->audit, "ledger-watch",
		           json_pack("{s:o, s:I, s:s, s:o}", "origin",
		                     audit_text(x->origin, sizeof(x->origin)), "size",
		                     (json_int_t)x->state->size, "code", x->code, "detail",
		                     audit_text(x->detail, sizeof(x->detail))));
}

/* When entries are read again. */
static bool was_said(const struct state_watch *w, const struct policy_alert *a)
{
	for (uint32_t i = 0; i < w->n; i++)
		if (w->v[i].alert.index == a->index &&
		    !memcmp(&w->v[i].alert.leaf, &a->leaf, sizeof(a->leaf)))
			return true;
	return false;
}

static void alert(struct gate *g, struct watched *x, const struct policy_alert *a)
{
	struct state_alert s = {.at = gate_now(), .alert = *a};
	json_t *o = state_alert_json(&s);

	if (o)
		(void)json_object_set_new(o, "origin", audit_text(x->origin, sizeof(x->origin)));
	audit_emit(g->audit, "ledger-alert", o);
	state_watch_add(x->state, a, s.at);
	x->said++;
}

/* ------------------------------------------------------------------- asking */

static void judge(struct gate *g)
{
	struct watcher *w = g->watcher;

	w->stage = STAGE_JUDGE;
	w->request = ++g->requests;
	(void)gate_send(g, ROLE_VERIFY, MSG_WATCH, w->request, &w->ask, w->fd);
}

static void ask(struct gate *g, uint32_t at, const struct checkpoint *head)
{
	struct watcher *w = g->watcher;
	struct watched *x = &w->v[at];
	const struct policy_ledger *l = &g->now.policy->ledger[x->ledger];
	const char *url = heads_url(l, x->origin);
	struct msg_tail m = {
	        .n = x->state->size / TILE_WIDTH, .size = head->size, .root = head->root};

	memcpy(m.url, url, strnlen(url, sizeof(m.url) - 1));
	memcpy(m.ca, l->ca, sizeof(m.ca));
	w->ask = (struct msg_watch){.ledger = x->ledger,
	                            .generation = w->generation,
	                            .n = m.n,
	                            .size = m.size,
	                            .from = x->state->size,
	                            .root = m.root};
	x->tried_at = gate_now();
	w->at = at;
	w->stage = STAGE_FETCH;
	w->request = ++g->requests;
	(void)gate_send(g, ROLE_FETCH, MSG_TAIL, w->request, &m, -1);
}

void watch_tick(struct gate *g)
{
	struct watcher *w = g->watcher;
	uint64_t now = gate_boot_ns();

	if (!w || !g->now.policy)
		return;
	if (w->generation != g->now.generation)
		logs_of_policy(g);
	for (uint32_t i = 0; w->stage == STAGE_IDLE && i < w->n; i++) {
		uint32_t at = (w->at + 1 + i) % w->n;
		struct watched *x = &w->v[at];
		struct ledger_last last;

		state_last(&g->state, x->origin, &last);
		if (!last.known || x->next_ns > now || !recall(g, x) ||
		    x->state->size >= last.cp.size)
			continue;
		ask(g, at, &last.cp);
	}
}

/* NULL when the policy changed in between, or the log was forgotten: then it is asked again. */
static struct watched *asked(struct gate *g)
{
	struct watcher *w = g->watcher;
	struct watched *x = w->at < w->n ? &w->v[w->at] : NULL;

	return x && w->ask.generation == g->now.generation && w->generation == w->ask.generation &&
	                       x->state && x->state->size == w->ask.from
	               ? x
	               : NULL;
}

void watch_tailed(struct gate *g, uint64_t request, const struct msg_tailed *m, int fd)
{
	struct watcher *w = g->watcher;
	const char *code, *what;
	struct watched *x;

	if (!w || w->stage != STAGE_FETCH || request != w->request ||
	    m->proof_n > PATH_MAX_HASHES || (fd >= 0) != !m->err) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	x = asked(g);
	if (!x) {
		idle(w);
	} else if (m->err) {
		code = heads_code_of(m->err, &what);
		ended(g, x, code, what);
	} else {
		w->ask.proof_n = m->proof_n;
		memcpy(w->ask.proof, m->proof, sizeof(w->ask.proof));
		w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (w->fd < 0)
			ended(g, x, "verify.internal", strerror(errno));
		else
			judge(g);
	}
}

static bool is_well_formed(const struct msg_watch *ask, const struct msg_watched *m)
{
	uint64_t end = ask->n * TILE_WIDTH + ledger_entries_width(ask->n, ask->size);

	if (m->err)
		return m->err < 0 && !m->n;
	if (m->n > WATCHED_MAX || m->upto <= ask->from || m->upto > end)
		return false;
	for (uint32_t i = 0; i < m->n; i++) {
		const struct policy_alert *a = &m->alert[i];

		if (a->index < ask->from || a->index >= m->upto ||
		    a->launches > STATEMENT_TEES_MAX || !memchr(a->code, 0, sizeof(a->code)) ||
		    !memchr(a->detail, 0, sizeof(a->detail)) ||
		    !memchr(a->subject, 0, sizeof(a->subject)) ||
		    !memchr(a->version, 0, sizeof(a->version)))
			return false;
		for (uint32_t k = 0; k < a->launches; k++)
			if (a->launch[k].len > MEASUREMENT_MAX || a->launch[k].tee >= TEE_MAX)
				return false;
	}
	return true;
}

/* So many alerts that the rest of the log has to wait. */
static bool has_to_wait(struct watched *x)
{
	uint64_t now = gate_boot_ns(), end = x->period_ns + ALERTS_PERIOD_S * SECOND_NS;

	if (!x->period_ns || now >= end) {
		x->period_ns = now;
		x->said = 0;
	} else if (x->said >= ALERTS_MAX) {
		x->next_ns = end;
		return true;
	}
	return false;
}

static void judged(struct gate *g, struct watched *x, const struct msg_watched *m)
{
	struct watcher *w = g->watcher;
	bool wait = has_to_wait(x);

	for (uint32_t i = 0; i < m->n; i++)
		if (!was_said(x->state, &m->alert[i]))
			alert(g, x, &m->alert[i]);
	x->state->size = m->upto;
	save(g, x);
	if (wait) {
		ended(g, x, "", "more than 512 alerts within an hour; the rest is read later");
	} else if (m->upto < w->ask.size && m->upto % TILE_WIDTH) {
		w->ask.from = m->upto;
		judge(g);
	} else {
		ended(g, x, "", "");
	}
}

void watch_judged(struct gate *g, uint64_t request, const struct msg_watched *m)
{
	struct watcher *w = g->watcher;
	struct watched *x;

	if (!w || w->stage != STAGE_JUDGE || request != w->request || !is_well_formed(&w->ask, m)) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	x = asked(g);
	if (!x || m->err == -ESTALE)
		idle(w);
	else if (m->err == -EBADMSG)
		ended(g, x, "log.wrong-entries", "the entries are not those of the signed tree");
	else if (m->err)
		ended(g, x, "verify.internal", strerror(-m->err));
	else
		judged(g, x, m);
}

/* -------------------------------------------------------------------- status */

static json_t *alerts_of(const struct watched *x)
{
	json_t *list = json_array();

	for (uint32_t i = 0; x->state && i < x->state->n; i++)
		(void)json_array_append_new(list, state_alert_json(&x->state->v[i]));
	return list;
}

/* A log whose newest head nobody knows is not watched, however far its entries were read. */
static json_t *log_status(const struct gate *g, const struct watched *x)
{
	const char *code = x->code[0] ? x->code : follow_code(g, x->origin);
	uint64_t size = x->state ? x->state->size : 0;
	struct ledger_last last;
	bool ok;

	state_last(&g->state, x->origin, &last);
	ok = code && !code[0] && last.known && size == last.cp.size;
	return json_pack("{s:s, s:o, s:I, s:I, s:b, s:s, s:o, s:I, s:I, s:I, s:o}", "ledger",
	                 g->now.policy->ledger[x->ledger].name, "origin",
	                 audit_text(x->origin, sizeof(x->origin)), "size", (json_int_t)size, "head",
	                 (json_int_t)last.cp.size, "ok", ok, "code", code ? code : "", "detail",
	                 audit_text(x->detail, sizeof(x->detail)), "tried_at",
	                 (json_int_t)x->tried_at, "ok_at", (json_int_t)x->ok_at, "dropped",
	                 (json_int_t)(x->state ? x->state->dropped : 0), "alerts", alerts_of(x));
}

json_t *watch_status(struct gate *g)
{
	struct watcher *w = g->watcher;
	json_t *list = json_array();

	if (w && w->generation != g->now.generation)
		logs_of_policy(g);
	for (uint32_t i = 0; w && i < w->n; i++) {
		if (state_find(&g->state, w->v[i].origin))
			(void)recall(g, &w->v[i]);
		(void)json_array_append_new(list, log_status(g, &w->v[i]));
	}
	return list;
}
