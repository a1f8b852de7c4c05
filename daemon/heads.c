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
		ret = tell_verify(g, g->state.head[i].last.cp.origin);
	return ret;
}

/* --------------------------------------------------------------------- save */

/* verify already counts on this head: if it can't be saved, the caller tells it to go back. */
static int save(struct gate *g, const struct checkpoint *cp, int64_t at, struct bytes note)
{
	struct ledger_last was;
	int ret;

	state_last(&g->state, cp->origin, &was);
	ret = note.n ? state_advance(&g->state, cp, at, note, gate_now()) : -EPROTO;
	if (!ret) {
		if (!was.known || !same_head(&was.cp, cp))
			audit_emit(g->audit, "head-saved", head_to_json(cp));
		return 0;
	}

	json_t *o = head_to_json(cp);

	if (o)
		(void)json_object_set_new(o, "error", json_string(strerror(-ret)));
	audit_emit(g->audit, "head-not-saved", o);
	return ret;
}

static int save_from(struct gate *g, const struct policy_head_update *head, int fd)
{
	uint8_t *note = NULL;
	size_t n = 0;
	int ret;

	/* Without its note a head is not saved. */
	if (fd >= 0 && file_read_fd(fd, NOTE_MAX, &note, &n))
		n = 0;
	ret = save(g, &head->cp, head->at, (struct bytes){note, n});
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
static void fork_seen(struct gate *g, const struct checkpoint *cp, const struct state_evidence *e)
{
	static const char two_trees[] =
	        "the log has two trees, and this head is not the one on disk";
	char path[PATH_MAX] = "";
	int ret = state_fork(&g->state, e, gate_now(), path);
	json_t *o = head_to_json(cp);

	if (o) {
		(void)json_object_set_new(o, "peer", audit_text(e->peer, strlen(e->peer)));
		(void)json_object_set_new(o, "file", json_string(ret ? strerror(-ret) : path));
	}
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
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		if (falls_with(&l->held.head, l->held.ahead, cp))
			leases_end(g, l, "fork");
	}
}

/* -------------------------------------------------------------- consistency */

static void begin_next(struct gate *g);

static struct ahead_head *ahead_find(struct gate *g, const struct checkpoint *cp)
{
	for (size_t i = 0; i < AHEAD_MAX; i++) {
		if (g->ahead[i].note_n && same_head(&g->ahead[i].cp, cp))
			return &g->ahead[i];
	}
	return NULL;
}

static bool is_needed(struct gate *g, const struct ahead_head *h)
{
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		const struct session *s = g->sessions.slot[i];

		if (is_ahead(s) && same_head(&s->head, &h->cp))
			return true;
	}
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		if (l->held.ahead && same_head(&l->held.head, &h->cp))
			return true;
	}
	return false;
}

/* Without room the head stays unproved until another session brings it. */
static struct ahead_head *ahead_keep(struct gate *g, const struct session *s,
                                     const struct msg_verdict *m, int fd)
{
	const struct checkpoint *cp = &m->head.cp;
	struct ahead_head *h = ahead_find(g, cp);
	uint8_t *note = NULL;
	size_t n = 0;

	for (size_t i = 0; !h && i < AHEAD_MAX; i++) {
		if (!g->ahead[i].note_n || !is_needed(g, &g->ahead[i]))
			h = &g->ahead[i];
	}
	/* A newer note of the same head has newer cosignatures. */
	if (!h || fd < 0 || file_read_fd(fd, NOTE_MAX, &note, &n) || !n || n > sizeof(h->note)) {
		free(note);
		return NULL;
	}
	h->cp = *cp;
	h->failed = false;
	h->behind = m->head.step != HEAD_AHEAD;
	h->ledger = m->head.ledger;
	record_peer(&s->dst, h->peer);
	h->note_n = (uint32_t)n;
	memcpy(h->note, note, n);
	free(note);
	return h;
}

static void pending_end(struct gate *g, const char *code, const char *detail)
{
	uint32_t source = g->head.source;

	free(g->head.note);
	g->head = (struct pending_head){.not_before_ns = g->head.not_before_ns};
	if (source)
		follow_done(g, source, code, detail);
}

static void pending_failed(struct gate *g, const char *code, const char *error)
{
	struct ahead_head *h = ahead_find(g, &g->head.cp);
	struct ledger_last last;
	json_t *o;

	if (h)
		h->failed = true;
	state_last(&g->state, g->head.cp.origin, &last);
	o = json_pack("{s:o, s:I, s:I, s:s, s:o}", "origin",
	              audit_text(g->head.cp.origin, sizeof(g->head.cp.origin)), "from",
	              (json_int_t)last.cp.size, "to", (json_int_t)g->head.cp.size, "code", code,
	              "error", audit_text(error, CHECK_DETAIL_MAX));
	audit_emit(g->audit, "ledger-pending", o);
	if (g->head.to)
		g->head.not_before_ns = gate_boot_ns() + (uint64_t)HEAD_RETRY_S * 1000000000u;
	pending_end(g, code, error);
}

static struct state_evidence evidence_of(const struct pending_head *p)
{
	return (struct state_evidence){.origin = p->cp.origin,
	                               .peer = p->peer,
	                               .offered = {p->note, p->note_n},
	                               .from = p->from,
	                               .to = p->to,
	                               .from_root = &p->proof.from_root,
	                               .proof = p->proof.proof,
	                               .proof_n = p->proof.n};
}

static void pending_forked(struct gate *g)
{
	const struct state_evidence e = evidence_of(&g->head);

	fork_seen(g, &g->head.cp, &e);
	pending_end(g, "ledger.fork", "the log has two trees");
	begin_next(g);
}

const char *heads_url(const struct policy_ledger *l, const char *origin)
{
	const struct tlog_policy *t = l->tlog;

	for (uint32_t i = 0; i < t->logs; i++)
		if (!strcmp(t->log[i].name, origin) && t->log_url[i][0] &&
		    (t->logs > 1 || !l->url[0]))
			return t->log_url[i];
	return l->url;
}

/* The larger of the two heads is the one whose tiles prove it. False when nobody has tiles. */
static bool ask_proof(struct gate *g)
{
	struct pending_head *p = &g->head;
	const struct policy_ledger *l = &g->now.policy->ledger[p->ledger];
	const char *url = heads_url(l, p->cp.origin);
	struct msg_consistency m = {.from = p->cp.size};
	struct ledger_last last;
	const struct checkpoint *to;

	state_last(&g->state, p->cp.origin, &last);
	if (!url[0] || !last.known)
		return false;
	to = p->cp.size > last.cp.size ? &p->cp : &last.cp;
	if (to == &p->cp)
		m.from = last.cp.size;
	m.to = to->size;
	m.to_root = to->root;
	memcpy(m.ca, l->ca, sizeof(m.ca));
	memcpy(m.url, url, strnlen(url, sizeof(m.url) - 1));
	p->from = m.from;
	p->to = m.to;
	p->request = ++g->requests;
	(void)gate_send(g, ROLE_FETCH, MSG_CONSISTENCY, p->request, &m, -1);
	return true;
}

/* One at a time. */
static void pending_begin(struct gate *g, uint32_t ledger, const struct ahead_head *h)
{
	uint8_t *note;

	if (g->head.busy || ledger >= g->now.policy->ledgers ||
	    gate_boot_ns() < g->head.not_before_ns)
		return;
	note = malloc(h->note_n);
	if (!note)
		return;
	memcpy(note, h->note, h->note_n);
	g->head = (struct pending_head){.busy = true,
	                                .ledger = ledger,
	                                .generation = g->now.generation,
	                                .cp = h->cp,
	                                .note = note,
	                                .note_n = h->note_n,
	                                .not_before_ns = g->head.not_before_ns};
	memcpy(g->head.peer, h->peer, sizeof(h->peer));
	if (!ask_proof(g))
		pending_end(g, "", "");
}

void heads_refused(struct gate *g, const struct session *s, const struct msg_verdict *m, int fd)
{
	const struct check *fork = checks_find(&m->verdict.checks, "ledger.fork");
	const struct check *back = checks_find(&m->verdict.checks, "ledger.rollback");
	struct state_evidence e = {.origin = m->head.cp.origin};
	struct ahead_head *h;
	char peer[64];
	uint8_t *note = NULL;
	size_t n = 0;

	if (!origin_ok(&m->head.cp))
		return;
	if (back && back->status == CHECK_FAIL) {
		h = ahead_keep(g, s, m, fd);
		if (h)
			pending_begin(g, h->ledger, h);
	}
	if (!fork || fork->status != CHECK_FAIL)
		return;
	/* A fork whose note is missing is a fork. */
	if (fd < 0 || file_read_fd(fd, NOTE_MAX, &note, &n))
		n = 0;
	record_peer(&s->dst, peer);
	e.peer = peer;
	e.offered = (struct bytes){note, n};
	fork_seen(g, &m->head.cp, &e);
	free(note);
}

/* A head that has the size of the one on disk, and another root. */
static void ahead_forked(struct gate *g, const struct checkpoint *head,
                         const struct sockaddr_storage *dst, const struct ahead_head *h)
{
	const struct checkpoint cp = *head;
	char peer[64];
	struct state_evidence e = {.origin = cp.origin, .peer = peer};

	record_peer(dst, peer);
	if (h)
		e.offered = (struct bytes){h->note, h->note_n};
	fork_seen(g, &cp, &e);
}

/* One that a session or a lease rests on and that is still to be proved. */
static void begin_ahead(struct gate *g, const struct checkpoint *head, uint32_t ledger,
                        const struct sockaddr_storage *dst, bool *ahead)
{
	const struct ahead_head *h = ahead_find(g, head);
	struct ledger_last last;

	state_last(&g->state, head->origin, &last);
	if (agrees(&last, head))
		*ahead = false;
	else if (last.known && last.cp.size == head->size)
		ahead_forked(g, head, dst, h);
	else if (h && !h->failed)
		pending_begin(g, ledger, h);
}

/* After the head on disk moved: what else is to be proved is held against it. */
static void begin_next(struct gate *g)
{
	for (uint32_t i = 0; i < g->sessions.n && !g->head.busy; i++) {
		struct session *s = g->sessions.slot[i];

		if (is_ahead(s))
			begin_ahead(g, &s->head, s->ledger, &s->dst, &s->ahead);
	}
	for (struct lease *l = NULL; !g->head.busy && (l = lease_next(&g->leases, l));) {
		struct sockaddr_storage dst;

		if (!l->held.ahead)
			continue;
		leases_address(l, &dst);
		begin_ahead(g, &l->held.head, l->held.ledger, &dst, &l->held.ahead);
	}
	for (size_t i = 0; i < AHEAD_MAX && !g->head.busy; i++) {
		struct ahead_head *h = &g->ahead[i];

		if (!h->note_n || !h->behind || h->failed)
			continue;
		pending_begin(g, h->ledger, h);
	}
}

const char *heads_code_of(int32_t err, const char **what)
{
	static const struct {
		int32_t err;
		const char *code, *what;
	} known[] = {
	        {-ENOENT, "log.missing", "a tile is not there"},
	        {-ETIMEDOUT, "log.slow", "its tiles come too slowly"},
	        {-EFBIG, "log.too-large", "a tile is larger than tiles are"},
	        {-ENODATA, "log.truncated", "a tile lacks hashes that its tree needs"},
	        {-EBADMSG, "log.wrong-tile", "the tiles don't add up to the signed root"},
	        {-EHOSTUNREACH, "log.unreachable", "nobody there to ask for tiles"},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		*what = known[i].what;
		if (known[i].err == err)
			return known[i].code;
	}
	*what = strerror(err < 0 ? -err : err);
	return "log.unreachable";
}

static void ask_verify(struct gate *g, bool look)
{
	struct pending_head *p = &g->head;
	struct msg_advance a = {.ledger = p->ledger,
	                        .generation = p->generation,
	                        .at = gate_now(),
	                        .look = look,
	                        .compare = p->compare,
	                        .proof_n = p->proof.n,
	                        .from_root = p->proof.from_root};
	int fd = file_memfd("note", (struct bytes){p->note, p->note_n});

	if (fd < 0) {
		pending_failed(g, "verify.internal", strerror(-fd));
		return;
	}
	memcpy(a.proof, p->proof.proof, sizeof(a.proof));
	(void)gate_send(g, ROLE_VERIFY, MSG_ADVANCE, 0, &a, fd);
	close(fd);
}

void heads_consistent(struct gate *g, uint64_t request, const struct msg_consistent *m)
{
	const char *code, *what;

	if (!g->head.busy || g->head.looking || request != g->head.request ||
	    m->n > PATH_MAX_HASHES) {
		gate_fatal(g, "fetch answered what it was not asked");
		return;
	}
	if (m->err) {
		code = heads_code_of(m->err, &what);
		pending_failed(g, code, what);
		return;
	}
	g->head.proof = *m;
	ask_verify(g, false);
}

bool heads_look(struct gate *g, uint32_t ledger, uint8_t *note, size_t n, const char *peer,
                uint32_t source, bool compare)
{
	if (g->head.busy)
		return false;
	g->head = (struct pending_head){.busy = true,
	                                .looking = true,
	                                .ledger = ledger,
	                                .generation = g->now.generation,
	                                .note = note,
	                                .note_n = n,
	                                .source = source,
	                                .compare = compare,
	                                .not_before_ns = g->head.not_before_ns};
	memcpy(g->head.peer, peer, strnlen(peer, sizeof(g->head.peer) - 1));
	ask_verify(g, true);
	return true;
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
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		if (l->held.ahead && same_head(&l->held.head, cp))
			l->held.ahead = false;
	}
}

/* verify found the pending head to be of the tree it knows; is that the one on disk? */
static bool proved(struct gate *g, const struct policy_head_update *head, int fd)
{
	const struct checkpoint *cp = &head->cp;
	struct ledger_last last;

	state_last(&g->state, cp->origin, &last);
	switch (head->step) {
	case HEAD_ADVANCE:
		return !save_from(g, head, fd);
	case HEAD_SAME:
		if (agrees(&last, cp) && fd >= 0)
			(void)save_from(g, head, fd);
		return agrees(&last, cp);
	case HEAD_BEHIND:
		return !state_earlier(&g->state, cp, head->at, gate_now());
	case HEAD_FIRST:
	case HEAD_AHEAD:
	case HEAD_REFUSE:
		break;
	}
	return false;
}

static bool is_failed(const struct checks *c, const char *id)
{
	const struct check *found = checks_find(c, id);

	return found && found->status == CHECK_FAIL;
}

/* The first check that refuses, failed or not to be made. */
static const struct check *refused_by(const struct verdict *v)
{
	const struct check *c = checks_first(&v->checks, CHECK_FAIL);

	return c ? c : checks_first(&v->checks, CHECK_UNAVAILABLE);
}

/* A head that was fetched and whose step needs no proof. */
static void looked_at(struct gate *g, const struct policy_head_update *head, int fd)
{
	struct ledger_last last;
	bool ok = true;

	state_last(&g->state, head->cp.origin, &last);
	if (head->step == HEAD_FIRST)
		ok = !last.known && !save_from(g, head, fd);
	else if (head->step == HEAD_BEHIND)
		ok = last.known && head->cp.size < last.cp.size;
	else
		ok = proved(g, head, fd);
	if (!ok) {
		(void)tell_verify(g, head->cp.origin);
		pending_failed(g, "state.head", "the head on disk does not move to it");
		return;
	}
	if (head->step != HEAD_BEHIND)
		settle(g, &head->cp);
	pending_end(g, head->step == HEAD_BEHIND ? "ledger.rollback" : "", "");
	begin_next(g);
}

/* verify says what head it is that was fetched. */
static void looked(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *c = refused_by(&m->verdict);
	bool back = is_failed(&m->verdict.checks, "ledger.rollback");

	g->head.looking = false;
	g->head.cp = m->head.cp;
	g->head.at = m->head.at;
	if (is_failed(&m->verdict.checks, "ledger.fork"))
		pending_forked(g);
	else if (back || (!c && m->head.step == HEAD_AHEAD)) {
		if (!m->head.cp.size || !ask_proof(g))
			pending_failed(g,
			               back && !g->head.compare ? "ledger.rollback" : "log.missing",
			               "nobody said where its tiles are");
	} else if (c)
		pending_failed(g, c->id, c->detail);
	else if (g->head.compare)
		pending_end(g, "", "");
	else
		looked_at(g, &m->head, fd);
}

void heads_advanced(struct gate *g, const struct msg_verdict *m, int fd)
{
	const struct check *c = refused_by(&m->verdict);

	if (!g->head.busy || m->head.ledger != g->head.ledger ||
	    (g->head.looking && m->verdict.overall == CHECK_PASS && !origin_ok(&m->head.cp))) {
		gate_fatal(g, "verify answered what it was not asked");
		return;
	}
	if (g->head.looking) {
		looked(g, m, fd);
	} else if (g->head.compare && m->verdict.overall == CHECK_PASS) {
		pending_end(g, "", "");
		begin_next(g);
	} else if (verdict_passed(&m->verdict, m->verdict.made_at) &&
	           same_head(&g->head.cp, &m->head.cp) &&
	           (m->head.step == HEAD_ADVANCE || m->head.step == HEAD_SAME ||
	            m->head.step == HEAD_BEHIND)) {
		struct ahead_head *h = ahead_find(g, &g->head.cp);

		if (!proved(g, &m->head, fd)) {
			(void)tell_verify(g, g->head.cp.origin);
			pending_failed(g, "state.head", "the head on disk does not move to it");
			return;
		}
		if (h)
			h->behind = false; /* the next connection passes */
		settle(g, &g->head.cp);
		pending_end(g, m->head.step == HEAD_BEHIND ? "ledger.rollback" : "", "");
		begin_next(g);
	} else if (c && !strcmp(c->id, "ledger.fork")) {
		pending_forked(g);
	} else {
		pending_failed(g, c ? c->id : "state.head",
		               c ? c->detail : "the checkpoint is no longer acceptable");
	}
}

int heads_forget(struct gate *g, const char *origin, char path[static PATH_MAX])
{
	static const char why[] = "the head that it rests on was forgotten";
	int ret = state_forget(&g->state, origin, gate_now(), path);

	if (ret)
		return ret;
	audit_emit(g->audit, "head-forgotten",
	           json_pack("{s:s, s:s}", "origin", origin, "moved_to", path));
	for (uint32_t i = 0; i < g->sessions.n; i++) {
		struct session *s = g->sessions.slot[i];

		if (s->state != SESSION_CLOSING && !strcmp(s->head.origin, origin))
			flow_cut(g, s, "session.revoked", why);
	}
	for (uint32_t i = 0; i < g->linger_n; i++) {
		struct lingering *l = flow_tail(g, i);

		if (!l->cut && !strcmp(l->head.origin, origin))
			flow_cut_tail(g, l, "session.revoked", why);
	}
	for (struct lease *l = NULL; (l = lease_next(&g->leases, l));) {
		if (!strcmp(l->held.head.origin, origin))
			leases_end(g, l, "head-forgotten");
	}
	(void)tell_verify(g, origin);
	watch_forget(g, origin);
	return 0;
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
		return save_from(g, &m->head, fd) ? "state.head" : NULL;
	case HEAD_SAME:
		if (!agrees(&last, cp))
			return "state.head";
		/* Its newer time; to be had again from the next one, should it be lost. */
		if (fd >= 0)
			(void)save_from(g, &m->head, fd);
		return NULL;
	case HEAD_AHEAD:
		if (!last.known || cp->size <= last.cp.size)
			return agrees(&last, cp) ? NULL : "state.head";
		s->ahead = true;
		h = ahead_keep(g, s, m, fd);
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
	if (!current || (last.known && m->head.step == HEAD_FIRST) || save_from(g, &m->head, fd))
		(void)tell_verify(g, m->head.cp.origin);
}
