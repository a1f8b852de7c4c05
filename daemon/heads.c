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

static bool *forked_of(struct gate *g, const char *origin)
{
	const struct state_head *h = state_find(&g->state, origin);

	return h ? &g->forked[h - g->state.head] : NULL;
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

static void fork_seen(struct gate *g, const struct checkpoint *cp, struct bytes offered)
{
	char path[PATH_MAX] = "";
	int ret = state_fork(&g->state, cp->origin, offered, gate_now(), path);
	json_t *o = head_to_json(cp);

	if (o)
		(void)json_object_set_new(o, "file", json_string(ret ? strerror(-ret) : path));
	audit_emit(g->audit, "ledger-fork", o);
}

void heads_refused(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *fork = checks_find(&m->verdict.checks, "ledger.fork");
	uint8_t *note = NULL;
	size_t n = 0;

	if (!fork || fork->status != CHECK_FAIL || fd < 0 || !m->head.cp.origin[0] ||
	    !memchr(m->head.cp.origin, 0, sizeof(m->head.cp.origin)))
		return;
	if (!file_read_fd(fd, NOTE_MAX, &note, &n))
		fork_seen(g, &m->head.cp, (struct bytes){note, n});
	free(note);
}

/* -------------------------------------------------------------- consistency */

static void pending_end(struct gate *g)
{
	free(g->head.note);
	g->head = (struct pending_head){.not_before_ns = g->head.not_before_ns};
}

static void pending_failed(struct gate *g, const char *error)
{
	struct ledger_last last;
	json_t *o;

	state_last(&g->state, g->head.cp.origin, &last);
	o = json_pack("{s:o, s:I, s:I, s:o}", "origin",
	              audit_text(g->head.cp.origin, sizeof(g->head.cp.origin)), "from",
	              (json_int_t)last.cp.size, "to", (json_int_t)g->head.cp.size, "error",
	              audit_text(error, CHECK_DETAIL_MAX));
	audit_emit(g->audit, "ledger-pending", o);
	g->head.not_before_ns = gate_boot_ns() + (uint64_t)HEAD_RETRY_S * 1000000000u;
	pending_end(g);
}

/* One at a time; the next session with a newer head asks again. */
static void pending_begin(struct gate *g, uint32_t ledger, const struct checkpoint *cp, int fd)
{
	const struct policy_ledger *l = &g->now.policy->ledger[ledger];
	struct msg_consistency m = {.to = cp->size, .to_root = cp->root};
	struct ledger_last last;
	uint8_t *note = NULL;
	size_t n = 0;

	state_last(&g->state, cp->origin, &last);
	if (g->head.busy || !l->url[0] || !last.known || fd < 0 ||
	    gate_boot_ns() < g->head.not_before_ns || file_read_fd(fd, NOTE_MAX, &note, &n))
		return;
	m.from = last.cp.size;
	memcpy(m.url, l->url, strnlen(l->url, sizeof(m.url) - 1));
	g->head = (struct pending_head){.busy = true,
	                                .request = ++g->requests,
	                                .ledger = ledger,
	                                .generation = g->now.generation,
	                                .cp = *cp,
	                                .note = note,
	                                .note_n = n};
	(void)gate_send(g, ROLE_FETCH, MSG_CONSISTENCY, g->head.request, &m, -1);
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

/* Sessions that rest on a head of this ledger that was only ahead. */
static void settle(struct gate *g, uint32_t ledger, bool fork)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (!s->ahead || s->ledger != ledger || s->state == SESSION_CLOSING)
			continue;
		if (fork)
			flow_cut(g, s, "ledger.fork", "the head it rests on is of another tree");
		else
			s->ahead = false;
	}
}

void heads_advanced(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *first = checks_first(&m->verdict.checks, CHECK_FAIL);
	bool *forked;

	if (!g->head.busy || m->head.ledger != g->head.ledger) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	if (verdict_passed(&m->verdict, m->verdict.made_at) &&
	    agrees(&(struct ledger_last){true, g->head.cp}, &m->head.cp) &&
	    (m->head.step == HEAD_ADVANCE || m->head.step == HEAD_SAME)) {
		if (m->head.step == HEAD_SAME || !save_from(g, &g->head.cp, fd))
			settle(g, g->head.ledger, false);
		else
			(void)tell_verify(g, g->head.cp.origin);
		pending_end(g);
		return;
	}
	if (first && !strcmp(first->id, "ledger.fork")) {
		fork_seen(g, &g->head.cp, (struct bytes){g->head.note, g->head.note_n});
		forked = forked_of(g, g->head.cp.origin);
		if (forked)
			*forked = true;
		settle(g, g->head.ledger, true);
		pending_end(g);
		return;
	}
	pending_failed(g, first ? first->detail : "the checkpoint is no longer acceptable");
}

/* ------------------------------------------------------------------ verdict */

static const char *take(struct gate *g, struct session *s, const struct msg_verdict *m, int fd)
{
	const struct checkpoint *cp = &m->head.cp;
	const bool *forked;
	struct ledger_last last;

	state_last(&g->state, cp->origin, &last);
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
		forked = forked_of(g, cp->origin);
		if (forked && *forked)
			return "ledger.fork";
		s->ahead = true;
		pending_begin(g, s->ledger, cp, fd);
		return NULL;
	case HEAD_BEHIND:
		return last.known && cp->size < last.cp.size ? NULL : "state.head";
	case HEAD_REFUSE:
		break;
	}
	return "state.head";
}

static bool origin_ok(const struct checkpoint *cp)
{
	return cp->origin[0] && memchr(cp->origin, 0, sizeof(cp->origin));
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
	code = take(g, s, m, fd);
	/* What verify believes is made what is on disk. */
	if (code && !strcmp(code, "state.head"))
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
