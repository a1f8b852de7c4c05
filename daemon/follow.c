/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledgers followed in the background: the checkpoint of each log that the policy names, and what
 * each witness with a monitoring URL says of that log, are fetched now and then and shown to
 * verify. A log's newer head moves the last-seen one; a witness's never does, it is only compared:
 * two heads that don't belong to one tree are a fork, whoever showed them. No connection waits for
 * any of it, and no note is parsed here.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/file.h"

enum {
	SOURCES_MAX = 256,
	BACKOFF_MAX_S = 3600,
	BUSY_MAX_S = 6 * 3600,
};

#define SECOND_NS UINT64_C(1000000000)

struct source {
	uint32_t ledger;
	char origin[NOTE_NAME_MAX + 1];
	char witness[NOTE_NAME_MAX + 1]; /* empty: the log itself */
	char url[FETCH_URL_MAX];         /* of the checkpoint */
	char tag[FETCH_TAG_MAX];         /* of the one that was taken */
	char code[CHECK_ID_MAX];         /* what is wrong; empty: nothing */
	char detail[CHECK_DETAIL_MAX];
	int64_t tried_at, ok_at;
	uint64_t next_ns;  /* CLOCK_BOOTTIME */
	uint32_t failures; /* in a row */
};

struct follow {
	uint32_t generation; /* of the policy that the sources are of */
	uint32_t n, at;
	bool fetching;
	uint64_t request;
	uint8_t *note; /* owned; fetched, and verify is still at another one */
	size_t note_n;
	char tag[FETCH_TAG_MAX];
	struct source v[SOURCES_MAX];
};

int follow_open(struct gate *g)
{
	g->follow = calloc(1, sizeof(*g->follow));
	return g->follow ? 0 : -ENOMEM;
}

void follow_close(struct gate *g)
{
	if (g->follow)
		free(g->follow->note);
	free(g->follow);
	g->follow = NULL;
}

/* ----------------------------------------------------------------------- sources */

static bool put_url(char out[static FETCH_URL_MAX], const char *prefix, const char *hex)
{
	size_t len = strlen(prefix);
	int n = snprintf(out, FETCH_URL_MAX, "%s%s%s%scheckpoint", prefix,
	                 len && prefix[len - 1] == '/' ? "" : "/", hex, hex[0] ? "/" : "");

	return len && n > 0 && n < FETCH_URL_MAX;
}

/* False when there is no room for it. */
static bool add_source(struct follow *f, uint32_t ledger, const char *origin, const char *witness,
                       const char *prefix)
{
	struct source *s = &f->v[f->n];
	uint8_t digest[32] = {0};
	char hex[65] = "";

	if (f->n == SOURCES_MAX)
		return false;
	memset(s, 0, sizeof(*s));
	/* C2SP tlog-witness: the monitoring URL of a log. */
	if (witness[0] && !EVP_Digest(origin, strlen(origin), digest, NULL, EVP_sha256(), NULL))
		return false;
	if (witness[0])
		hex_encode(BYTES_OF(digest), hex);
	if (!put_url(s->url, prefix, hex))
		return false;
	s->ledger = ledger;
	memcpy(s->origin, origin, strlen(origin) + 1);
	memcpy(s->witness, witness, strlen(witness) + 1);
	f->n++;
	return true;
}

/* One that has a URL and can't be followed is said so: nobody should count on it. */
static void follow_one(struct gate *g, uint32_t ledger, const char *origin, const char *witness,
                       const char *prefix)
{
	if (prefix[0] && !add_source(g->follow, ledger, origin, witness, prefix))
		audit_emit(g->audit, "ledger-not-followed",
		           json_pack("{s:o, s:o, s:s}", "origin",
		                     audit_text(origin, NOTE_NAME_MAX + 1), "witness",
		                     audit_text(witness, NOTE_NAME_MAX + 1), "detail",
		                     "more than 256 would be followed"));
}

static void sources_of_policy(struct gate *g)
{
	const struct policy *p = g->now.policy;
	struct follow *f = g->follow;

	f->n = 0;
	f->generation = g->now.generation;
	for (uint32_t i = 0; i < p->ledgers; i++) {
		const struct tlog_policy *t = p->ledger[i].tlog;

		for (uint32_t k = 0; k < t->logs; k++) {
			const char *origin = t->log[k].name;

			follow_one(g, i, origin, "", heads_url(&p->ledger[i], origin));
			for (uint32_t w = 0; w < t->witnesses; w++)
				follow_one(g, i, origin, t->witness_name[w], t->witness_url[w]);
		}
	}
}

/* ------------------------------------------------------------------------ outcome */

int64_t follow_backoff(int64_t refresh, uint32_t failures)
{
	int64_t wait = refresh;

	for (uint32_t i = 1; i < failures && wait < BACKOFF_MAX_S; i++)
		wait *= 2;
	return failures > 1 && wait > BACKOFF_MAX_S ? BACKOFF_MAX_S : wait;
}

static void plan(struct gate *g, struct source *s, int64_t at_least)
{
	int64_t wait = follow_backoff(g->now.policy->ledger[s->ledger].refresh, s->failures);

	if (wait < at_least)
		wait = at_least;
	s->next_ns = gate_boot_ns() + (uint64_t)wait * SECOND_NS;
}

static void ended(struct gate *g, struct source *s, const char *code, const char *detail,
                  int64_t wait)
{
	bool changed = strcmp(s->code, code) != 0;

	snprintf(s->code, sizeof(s->code), "%s", code);
	snprintf(s->detail, sizeof(s->detail), "%s", detail);
	s->failures = code[0] ? s->failures + 1 : 0;
	if (code[0])
		s->tag[0] = '\0';
	else
		s->ok_at = gate_now();
	plan(g, s, wait);
	/* Said once, not every time. */
	if (changed)
		audit_emit(g->audit, "ledger-followed",
		           json_pack("{s:o, s:o, s:o, s:s, s:o}", "origin",
		                     audit_text(s->origin, sizeof(s->origin)), "witness",
		                     audit_text(s->witness, sizeof(s->witness)), "url",
		                     audit_text(s->url, sizeof(s->url)), "code", s->code, "detail",
		                     audit_text(s->detail, sizeof(s->detail))));
}

/* An honest log that grows no more is cosigned all the same: what is too old is held back. */
static bool is_stale(const struct gate *g, const struct source *s)
{
	const struct policy_ledger *l = &g->now.policy->ledger[s->ledger];
	struct ledger_last last;

	state_last(&g->state, s->origin, &last);
	return !s->witness[0] && l->tlog->quorum >= 0 && last.known &&
	       gate_now() - l->max_age > last.at;
}

static void unchanged(struct gate *g, struct source *s)
{
	if (is_stale(g, s))
		ended(g, s, "ledger.fresh", "the same checkpoint as ever", 0);
	else
		ended(g, s, "", "", 0);
}

void follow_done(struct gate *g, uint32_t source, const char *code, const char *detail)
{
	struct follow *f = g->follow;
	struct source *s = &f->v[source - 1];

	/* The policy changed in between: it is asked again. */
	if (source > f->n || f->generation != g->now.generation)
		return;
	if (!code[0])
		memcpy(s->tag, f->tag, sizeof(s->tag));
	ended(g, s, code, detail, 0);
}

/* ------------------------------------------------------------------------- asking */

static void ask(struct gate *g, uint32_t at)
{
	struct follow *f = g->follow;
	struct source *s = &f->v[at];
	struct msg_fetch m = {.url = "", .max = NOTE_MAX};

	memcpy(m.url, s->url, sizeof(m.url));
	memcpy(m.tag, s->tag, sizeof(m.tag));
	memcpy(m.ca, g->now.policy->ledger[s->ledger].ca, sizeof(m.ca));
	s->tried_at = gate_now();
	f->at = at;
	f->fetching = true;
	f->request = ++g->requests;
	(void)gate_send(g, ROLE_FETCH, MSG_FETCH, f->request, &m, -1);
}

static void show(struct gate *g)
{
	struct follow *f = g->follow;
	const struct source *s = &f->v[f->at];
	uint8_t *note = f->note;
	char peer[PEER_MAX];

	snprintf(peer, sizeof(peer), "%s", s->url);
	if (heads_look(g, s->ledger, note, f->note_n, peer, f->at + 1, s->witness[0]))
		f->note = NULL;
}

static void drop(struct follow *f)
{
	free(f->note);
	f->note = NULL;
}

void follow_tick(struct gate *g)
{
	struct follow *f = g->follow;
	uint64_t now = gate_boot_ns();

	if (!f || f->fetching || !g->now.policy)
		return;
	if (f->generation != g->now.generation) {
		drop(f);
		sources_of_policy(g);
	}
	if (f->note) {
		show(g);
		return;
	}
	if (g->head.busy)
		return;
	for (uint32_t i = 0; i < f->n; i++) {
		uint32_t at = (f->at + 1 + i) % f->n;

		if (f->v[at].next_ns <= now) {
			ask(g, at);
			return;
		}
	}
}

static void failed(struct gate *g, struct source *s, const struct msg_fetched *m)
{
	static const char *const codes[] = {
	        [FETCH_NONE] = "log.unreachable", [FETCH_GONE] = "log.missing",
	        [FETCH_BUSY] = "log.unreachable", [FETCH_AWAY] = "log.unreachable",
	        [FETCH_SLOW] = "log.slow",        [FETCH_LARGE] = "log.too-large",
	        [FETCH_SHORT] = "log.truncated",
	};
	int64_t wait = m->retry_after < BUSY_MAX_S ? m->retry_after : BUSY_MAX_S;

	ended(g, s, codes[m->result], m->error, wait);
}

void follow_fetched(struct gate *g, const struct msg_fetched *m, int fd)
{
	struct follow *f = g->follow;
	struct source *s = &f->v[f->at];

	if (!memchr(m->tag, 0, sizeof(m->tag)) || !memchr(m->error, 0, sizeof(m->error)) ||
	    m->result > FETCH_SHORT || (fd >= 0) != (m->result == FETCH_OK)) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	f->fetching = false;
	if (f->generation != g->now.generation || f->at >= f->n)
		return;
	if (m->result == FETCH_SAME) {
		unchanged(g, s);
	} else if (m->result != FETCH_OK) {
		failed(g, s, m);
	} else if (file_read_fd(fd, NOTE_MAX + 65536, &f->note, &f->note_n) ||
	           m->piece_n > f->note_n || m->piece_n > NOTE_MAX) {
		drop(f);
		ended(g, s, "log.too-large", "", 0);
	} else {
		f->note_n = m->piece_n;
		memcpy(f->tag, m->tag, sizeof(f->tag));
		show(g);
	}
}

bool follow_asked(const struct gate *g, uint64_t request)
{
	return g->follow && g->follow->fetching && request == g->follow->request;
}

/* ------------------------------------------------------------------------- status */

static json_t *source_status(const struct source *s)
{
	uint64_t now = gate_boot_ns();
	int64_t wait = s->next_ns > now ? (int64_t)((s->next_ns - now) / SECOND_NS) : 0;
	json_int_t next = gate_now() + wait;

	return json_pack("{s:o, s:o, s:o, s:o, s:s, s:o, s:I, s:I, s:I}", "origin",
	                 audit_text(s->origin, sizeof(s->origin)), "witness",
	                 s->witness[0] ? audit_text(s->witness, sizeof(s->witness)) : json_null(),
	                 "url", audit_text(s->url, sizeof(s->url)), "ok",
	                 json_boolean(!s->code[0] && s->ok_at), "code", s->code, "detail",
	                 audit_text(s->detail, sizeof(s->detail)), "tried_at",
	                 (json_int_t)s->tried_at, "ok_at", (json_int_t)s->ok_at, "next_try", next);
}

const char *follow_code(const struct gate *g, const char *origin)
{
	const struct follow *f = g->follow;

	for (uint32_t i = 0; f && f->generation == g->now.generation && i < f->n; i++) {
		const struct source *s = &f->v[i];

		if (!s->witness[0] && !strcmp(s->origin, origin))
			return s->code[0] || s->ok_at ? s->code : NULL;
	}
	return NULL;
}

json_t *follow_status(const struct gate *g, uint32_t ledger)
{
	json_t *list = json_array();

	for (uint32_t i = 0; g->follow && i < g->follow->n; i++)
		if (g->follow->v[i].ledger == ledger && g->follow->generation == g->now.generation)
			(void)json_array_append_new(list, source_status(&g->follow->v[i]));
	return list;
}
