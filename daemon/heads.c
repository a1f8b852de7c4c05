/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ledger heads on gate's side. verify says what a verified proof does to the last-seen head; here
 * it is held against what is on disk, saved before anything is released, proved consistent in the
 * background, and kept twice when it is a fork. No signature and no note is parsed here.
 */
#include "daemon/gate.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "core/file.h"

static bool origin_ok(const struct checkpoint *cp)
{
	return cp->origin[0] && memchr(cp->origin, 0, sizeof(cp->origin));
}

static bool same_head(const struct checkpoint *a, const struct checkpoint *b)
{
	return a->size == b->size && !memcmp(&a->root, &b->root, sizeof(a->root)) &&
	       !strncmp(a->origin, b->origin, sizeof(a->origin));
}

static json_t *head_to_json(const struct checkpoint *cp)
{
	char root[2 * HASH_LEN + 1];

	hex_encode(BYTES_OF(cp->root.v), root);
	return json_pack("{s:o, s:I, s:s}", "origin", audit_text(cp->origin, sizeof(cp->origin)),
	                 "size", (json_int_t)cp->size, "root", root);
}

static int tell_verify(struct gate *g, const char *origin)
{
	struct msg_head_known m = {.origin = ""};

	memcpy(m.origin, origin, strnlen(origin, sizeof(m.origin) - 1));
	state_last(&g->state, origin, &m.last);
	return gate_send(g, ROLE_VERIFY, MSG_HEAD, 0, &m, -1);
}

int heads_tell_verify(struct gate *g)
{
	int ret = 0;

	for (uint32_t i = 0; !ret && i < g->state.n; i++)
		ret = tell_verify(g, g->state.head[i].cp.origin);
	return ret;
}

/* --------------------------------------------------------------------- save */

/* verify already counts on this head: if it can't be saved, the caller tells it to go back. */
static int save(struct gate *g, const struct checkpoint *cp, struct bytes note)
{
	int ret = note.n ? state_advance(&g->state, cp, note, gate_now()) : -EPROTO;

	if (!ret) {
		audit_emit(g->audit, "head-saved", head_to_json(cp));
		return 0;
	}

	json_t *o = head_to_json(cp);

	if (o)
		(void)json_object_set_new(o, "error", json_string(strerror(-ret)));
	audit_emit(g->audit, "head-not-saved", o);
	return ret;
}

static int save_from(struct gate *g, const struct checkpoint *cp, int fd)
{
	uint8_t *note = NULL;
	size_t n = 0;
	int ret;

	/* Without its note a head is not saved. */
	if (fd >= 0 && file_read_fd(fd, NOTE_MAX, &note, &n))
		n = 0;
	ret = save(g, cp, (struct bytes){note, n});
	free(note);
	return ret;
}

static bool agrees(const struct ledger_last *last, const struct checkpoint *cp)
{
	return last->known && last->cp.size == cp->size &&
	       !memcmp(&last->cp.root, &cp->root, sizeof(cp->root));
}

/* Has what rests on this head to end when cp is of another tree than what is on disk? */
static bool falls_with(const struct checkpoint *head, bool ahead, const struct checkpoint *cp)
{
	return same_head(head, cp) || (ahead && !strcmp(head->origin, cp->origin));
}

static bool is_ahead(const struct session *s)
{
	return s->ahead && s->state != SESSION_CLOSING;
}

/*
 * cp is of another tree than what is on disk: from now on nothing but the head on disk is taken,
 * and what rests on cp ends, with all else of this origin that was never proved.
 */
static void fork_seen(struct gate *g, const struct checkpoint *cp, struct bytes offered)
{
	static const char two_trees[] =
	        "the log has two trees, and this head is not the one on disk";
	char path[PATH_MAX] = "";
	int ret = state_fork(&g->state, cp->origin, offered, gate_now(), path);
	json_t *o = head_to_json(cp);

	if (o)
		(void)json_object_set_new(o, "file", json_string(ret ? strerror(-ret) : path));
	audit_emit(g->audit, "ledger-fork", o);
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->state != SESSION_CLOSING && falls_with(&s->head, s->ahead, cp))
			flow_cut(g, s, "ledger.fork", two_trees);
	}
	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);

		if (!l->cut && falls_with(&l->head, l->ahead, cp))
			flow_cut_tail(g, l, "ledger.fork", two_trees);
	}
}

void heads_refused(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *fork = checks_find(&m->verdict.checks, "ledger.fork");
	uint8_t *note = NULL;
	size_t n = 0;

	if (!fork || fork->status != CHECK_FAIL || !origin_ok(&m->head.cp))
		return;
	/* A fork whose note is missing is a fork. */
	if (fd < 0 || file_read_fd(fd, NOTE_MAX, &note, &n))
		n = 0;
	fork_seen(g, &m->head.cp, (struct bytes){note, n});
	free(note);
}

/* -------------------------------------------------------------- consistency */

static struct ahead_head *ahead_find(struct gate *g, const struct checkpoint *cp)
{
	for (size_t i = 0; i < AHEAD_MAX; i++) {
		if (g->ahead[i].note_n && same_head(&g->ahead[i].cp, cp))
			return &g->ahead[i];
	}
	return NULL;
}

static bool is_needed(const struct gate *g, const struct ahead_head *h)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		const struct session *s = g->sessions.slot[i];

		if (is_ahead(s) && same_head(&s->head, &h->cp))
			return true;
	}
	return false;
}

/* Without room the head stays unproved until another session brings it. */
static struct ahead_head *ahead_keep(struct gate *g, const struct checkpoint *cp, int fd)
{
	struct ahead_head *h = ahead_find(g, cp);
	uint8_t *note = NULL;
	size_t n = 0;

	for (size_t i = 0; !h && i < AHEAD_MAX; i++) {
		if (!g->ahead[i].note_n || !is_needed(g, &g->ahead[i]))
			h = &g->ahead[i];
	}
	if (!h || fd < 0 || file_read_fd(fd, NOTE_MAX, &note, &n) || !n || n > sizeof(h->note)) {
		free(note);
		return NULL;
	}
	/* A newer note of the same head has newer cosignatures. */
	h->cp = *cp;
	h->failed = false;
	h->note_n = (uint32_t)n;
	memcpy(h->note, note, n);
	free(note);
	return h;
}

static void pending_end(struct gate *g)
{
	free(g->head.note);
	g->head = (struct pending_head){.not_before_ns = g->head.not_before_ns};
}

static void pending_failed(struct gate *g, const char *error)
{
	struct ahead_head *h = ahead_find(g, &g->head.cp);
	struct ledger_last last;
	json_t *o;

	if (h)
		h->failed = true;
	state_last(&g->state, g->head.cp.origin, &last);
	o = json_pack("{s:o, s:I, s:I, s:o}", "origin",
	              audit_text(g->head.cp.origin, sizeof(g->head.cp.origin)), "from",
	              (json_int_t)last.cp.size, "to", (json_int_t)g->head.cp.size, "error",
	              audit_text(error, CHECK_DETAIL_MAX));
	audit_emit(g->audit, "ledger-pending", o);
	g->head.not_before_ns = gate_boot_ns() + (uint64_t)HEAD_RETRY_S * 1000000000u;
	pending_end(g);
}

/* One at a time. The larger of the two heads is the one whose tiles prove it. */
static void pending_begin(struct gate *g, uint32_t ledger, const struct ahead_head *h)
{
	const struct policy_ledger *l;
	struct msg_consistency m = {.from = h->cp.size};
	struct ledger_last last;
	const struct checkpoint *to;
	uint8_t *note;

	state_last(&g->state, h->cp.origin, &last);
	if (g->head.busy || ledger >= g->now.policy->ledgers || !last.known ||
	    gate_boot_ns() < g->head.not_before_ns)
		return;
	l = &g->now.policy->ledger[ledger];
	note = l->url[0] ? malloc(h->note_n) : NULL;
	if (!note)
		return;
	memcpy(note, h->note, h->note_n);
	to = h->cp.size > last.cp.size ? &h->cp : &last.cp;
	if (to == &h->cp)
		m.from = last.cp.size;
	m.to = to->size;
	m.to_root = to->root;
	memcpy(m.url, l->url, strnlen(l->url, sizeof(m.url) - 1));
	g->head = (struct pending_head){.busy = true,
	                                .request = ++g->requests,
	                                .ledger = ledger,
	                                .generation = g->now.generation,
	                                .cp = h->cp,
	                                .note = note,
	                                .note_n = h->note_n};
	(void)gate_send(g, ROLE_FETCH, MSG_CONSISTENCY, g->head.request, &m, -1);
}

/* After the head on disk moved: what else is ahead is held against it. */
static void begin_next(struct gate *g)
{
	for (uint32_t i = 0; i < g->sessions.n && !g->head.busy; i++) {
		struct session *s = g->sessions.slot[i];
		const struct checkpoint cp = s->head;
		const struct ahead_head *h;
		struct ledger_last last;

		if (!is_ahead(s))
			continue;
		h = ahead_find(g, &cp);
		state_last(&g->state, cp.origin, &last);
		if (agrees(&last, &cp))
			s->ahead = false;
		else if (last.known && last.cp.size == cp.size)
			fork_seen(g, &cp, h ? (struct bytes){h->note, h->note_n} : BYTES_NONE);
		else if (h && !h->failed)
			pending_begin(g, s->ledger, h);
	}
}

void heads_consistent(struct gate *g, uint64_t request, const struct msg_consistent *m)
{
	struct msg_advance a = {.ledger = g->head.ledger,
	                        .generation = g->head.generation,
	                        .at = gate_now(),
	                        .proof_n = m->n};
	int fd;

	if (!g->head.busy || request != g->head.request || m->n > PATH_MAX_HASHES) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	if (m->err) {
		pending_failed(g, strerror(m->err < 0 ? -m->err : m->err));
		return;
	}
	memcpy(a.proof, m->proof, sizeof(a.proof));
	fd = file_memfd("note", (struct bytes){g->head.note, g->head.note_n});
	if (fd < 0) {
		pending_failed(g, strerror(-fd));
		return;
	}
	(void)gate_send(g, ROLE_VERIFY, MSG_ADVANCE, 0, &a, fd);
	close(fd);
}

/* cp is of the tree on disk: sessions that rest on this very head, and no others, are settled. */
static void settle(struct gate *g, const struct checkpoint *cp)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->ahead && same_head(&s->head, cp))
			s->ahead = false;
	}
	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);

		if (l->ahead && same_head(&l->head, cp))
			l->ahead = false;
	}
}

/* verify found the pending head to be of the tree it knows; is that the one on disk? */
static bool proved(struct gate *g, enum head_step step, int fd)
{
	const struct checkpoint *cp = &g->head.cp;
	struct ledger_last last;

	state_last(&g->state, cp->origin, &last);
	switch (step) {
	case HEAD_ADVANCE:
		return !save_from(g, cp, fd);
	case HEAD_SAME:
		return agrees(&last, cp);
	case HEAD_BEHIND:
		return last.known && cp->size < last.cp.size;
	case HEAD_FIRST:
	case HEAD_AHEAD:
	case HEAD_REFUSE:
		break;
	}
	return false;
}

void heads_advanced(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *first = checks_first(&m->verdict.checks, CHECK_FAIL);

	if (!g->head.busy || m->head.ledger != g->head.ledger) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	if (verdict_passed(&m->verdict, m->verdict.made_at) &&
	    same_head(&g->head.cp, &m->head.cp) &&
	    (m->head.step == HEAD_ADVANCE || m->head.step == HEAD_SAME ||
	     m->head.step == HEAD_BEHIND)) {
		if (!proved(g, m->head.step, fd)) {
			(void)tell_verify(g, g->head.cp.origin);
			pending_failed(g, "the head on disk does not move to it");
			return;
		}
		settle(g, &g->head.cp);
		pending_end(g);
		begin_next(g);
		return;
	}
	if (first && !strcmp(first->id, "ledger.fork")) {
		fork_seen(g, &g->head.cp, (struct bytes){g->head.note, g->head.note_n});
		pending_end(g);
		begin_next(g);
		return;
	}
	pending_failed(g, first ? first->detail : "the checkpoint is no longer acceptable");
}

/* ------------------------------------------------------------------ verdict */

static const char *take(struct gate *g, struct session *s, const struct msg_verdict *m, int fd)
{
	const struct checkpoint *cp = &m->head.cp;
	const struct ahead_head *h;
	struct ledger_last last;

	state_last(&g->state, cp->origin, &last);
	if (state_forked(&g->state, cp->origin) && !agrees(&last, cp))
		return "ledger.fork";
	switch (m->head.step) {
	case HEAD_FIRST:
	case HEAD_ADVANCE:
		/* Two sessions may have brought the same head at once. */
		if (agrees(&last, cp))
			return NULL;
		if (last.known && m->head.step == HEAD_FIRST)
			return "state.head";
		return save_from(g, cp, fd) ? "state.head" : NULL;
	case HEAD_SAME:
		return agrees(&last, cp) ? NULL : "state.head";
	case HEAD_AHEAD:
		if (!last.known || cp->size <= last.cp.size)
			return agrees(&last, cp) ? NULL : "state.head";
		s->ahead = true;
		h = ahead_keep(g, cp, fd);
		if (h)
			pending_begin(g, s->ledger, h);
		return NULL;
	case HEAD_BEHIND:
		return last.known && cp->size < last.cp.size ? NULL : "state.head";
	case HEAD_REFUSE:
		break;
	}
	return "state.head";
}

const char *heads_take(struct gate *g, struct session *s, const struct msg_verdict *m, int fd)
{
	int32_t ledger = g->now.policy->destination[s->destination].ledger;
	const char *code;

	if (ledger < 0)
		return NULL;
	if (m->head.ledger != (uint32_t)ledger || !origin_ok(&m->head.cp))
		return "state.head";
	s->ledger = m->head.ledger;
	s->head = m->head.cp;
	code = take(g, s, m, fd);
	/* What verify believes is made what is on disk. */
	if (code)
		(void)tell_verify(g, m->head.cp.origin);
	return code;
}

void heads_left(struct gate *g, const struct msg_verdict *m, bool current, int fd)
{
	bool moved = m->head.step == HEAD_FIRST || m->head.step == HEAD_ADVANCE;
	struct ledger_last last;

	if (!moved || m->verdict.overall != CHECK_PASS || !origin_ok(&m->head.cp))
		return;
	state_last(&g->state, m->head.cp.origin, &last);
	if (!current || (last.known && m->head.step == HEAD_FIRST) || save_from(g, &m->head.cp, fd))
		(void)tell_verify(g, m->head.cp.origin);
}
