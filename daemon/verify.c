/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verify role: parses everything that comes from a peer and makes verdicts. One thread, one
 * message at a time, no descriptors but the socket to gate and the memfds that arrive on it. What
 * it keeps between messages: the policy and the last-seen heads, both given by gate.
 *
 * What gate knows about a session (destination, time, nonce, name) comes in the message's fields;
 * what relay and the peer say comes in the memfd and is believed only after it was checked
 * against the former.
 */
#include "daemon/role.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>
#include "attest/pki.h"
#include "attest/transport.h"
#include "core/file.h"
#include "core/secret.h"
#include "daemon/bundle.h"
#include "daemon/log.h"
#include "daemon/msg.h"
#include "daemon/state.h"

enum { FETCHED_BYTES_MAX = 64 << 20, NOTE_RENEW_S = 600, PROOFS_KEPT = 64 };

/* For peers that staple none. */
struct kept_proof {
	char origin[NOTE_NAME_MAX + 1];
	struct hash leaf;
	uint8_t *text; /* owned; NULL: free */
	size_t n;
};

struct verify {
	int gate;
	struct kept_proof kept[PROOFS_KEPT];
	uint32_t kept_next;               /* to be replaced */
	struct collateral_store *fetched; /* what gate's role fetch brought, looked at here */
	struct pki_cache *cache;
	struct policy *policy;
	uint32_t generation;
	uint32_t heads;
	struct ledger_last head[STATE_HEADS_MAX];
	union msg_any in;
	struct msg_verdict out;
};

/* -------------------------------------------------------------------- heads */

static struct ledger_last *head_find(struct verify *v, const char *origin)
{
	for (uint32_t i = 0; i < v->heads; i++) {
		if (!strcmp(v->head[i].cp.origin, origin))
			return &v->head[i];
	}
	return NULL;
}

/* A policy_last_fn. */
static void head_last(void *ctx, const char *origin, struct ledger_last *out)
{
	const struct ledger_last *last = head_find(ctx, origin);

	if (last)
		*out = *last;
	else
		memset(out, 0, sizeof(*out));
}

/* Its own, or a place for it; NULL when there is no room: then the head can't be used either. */
static struct ledger_last *head_place(struct verify *v, const char *origin)
{
	struct ledger_last *at = head_find(v, origin);

	if (at || v->heads == STATE_HEADS_MAX)
		return at;
	at = &v->head[v->heads++];
	memset(at, 0, sizeof(*at));
	return at;
}

static void head_forget(struct verify *v, const char *origin)
{
	struct ledger_last *at = head_find(v, origin);

	if (at)
		*at = v->head[--v->heads];
}

static int on_head(struct verify *v, const struct msg_head_known *m)
{
	struct ledger_last *at;

	if (!memchr(m->origin, 0, sizeof(m->origin)))
		return -EPROTO;
	if (!m->last.known) {
		head_forget(v, m->origin);
		return 0;
	}
	if (strcmp(m->origin, m->last.cp.origin) || m->last.earlier_n > LEDGER_EARLIER_MAX)
		return -EPROTO;
	at = head_place(v, m->origin);
	if (!at)
		return -ENOSPC;
	*at = m->last;
	return 0;
}

/* ------------------------------------------------------------------- proofs */

/* A policy_proof_fn. */
static struct bytes proof_of(void *ctx, const struct tlog_policy *t, const struct hash *leaf)
{
	const struct verify *v = ctx;

	for (uint32_t i = 0; i < PROOFS_KEPT; i++) {
		const struct kept_proof *k = &v->kept[i];

		if (!k->text || memcmp(&k->leaf, leaf, sizeof(*leaf)) != 0)
			continue;
		for (uint32_t l = 0; l < t->logs; l++)
			if (!strcmp(k->origin, t->log[l].name))
				return (struct bytes){k->text, k->n};
	}
	return BYTES_NONE;
}

static int on_proof(struct verify *v, const struct msg_proof *m, int fd)
{
	struct kept_proof *at = NULL;
	uint8_t *text = NULL;
	size_t n = 0;

	if (!memchr(m->origin, 0, sizeof(m->origin)))
		return -EPROTO;
	if (file_read_fd(fd, TLOG_PROOF_MAX, &text, &n))
		return 0; /* what was there is as good as it was */
	for (uint32_t i = 0; !at && i < PROOFS_KEPT; i++)
		if (v->kept[i].text && !memcmp(&v->kept[i].leaf, &m->leaf, sizeof(m->leaf)) &&
		    !strcmp(v->kept[i].origin, m->origin))
			at = &v->kept[i];
	if (!at)
		at = &v->kept[v->kept_next++ % PROOFS_KEPT];
	free(at->text);
	*at = (struct kept_proof){.leaf = m->leaf, .text = text, .n = n};
	memcpy(at->origin, m->origin, sizeof(at->origin));
	return 0;
}

/* ------------------------------------------------------------------- policy */

static int policy_of(int fd, int64_t now, struct policy **out)
{
	struct policy_issues *issues = calloc(1, sizeof(*issues));
	struct bundle b = {0};
	uint8_t *data = NULL;
	size_t n = 0;
	int ret = issues ? file_read_fd(fd, BUNDLE_MAX, &data, &n) : -ENOMEM;

	if (!ret)
		ret = bundle_read((struct bytes){data, n}, &b);
	if (!ret)
		ret = bundle_parse(&b, now, out, issues);
	bundle_free(&b);
	free(data);
	free(issues);
	return ret;
}

static int on_policy(struct verify *v, const struct msg_policy *m, int fd)
{
	struct policy *p = NULL;
	struct msg_policy_done done = {.generation = m->generation};

	done.err = policy_of(fd, m->now, &p);
	if (!done.err) {
		policy_free(v->policy);
		v->policy = p;
		v->generation = m->generation;
	}
	return msg_send(v->gate, MSG_POLICY_DONE, 0, &done, -1);
}

/* ----------------------------------------------------------------- appraise */

struct appraisal {
	struct verify *v;
	const struct msg_appraise *m;
	struct bytes request, message, leaf;
	struct verdict *verdict;
	struct policy_head_update *head;
	struct attest_opened opened;
	struct policy_presented shown;
};

static bool keys_ok(const struct authenticator_keys *k)
{
	return (k->hash_len == 32 || k->hash_len == 48) && memchr(k->digest, 0, sizeof(k->digest));
}

/* The fields that relay filled, and what it put into the memfd. */
static bool relay_part_ok(const struct msg_appraise *m, struct bytes all)
{
	bool lengths = m->request_len <= AUTHENTICATOR_REQUEST_MAX && m->message_len > 0 &&
	               m->message_len <= TRANSPORT_MESSAGE_MAX &&
	               m->leaf_len <= TRANSPORT_LEAF_MAX &&
	               all.n == (size_t)m->request_len + m->message_len + m->leaf_len;

	return lengths && (m->transport != TRANSPORT_KEYGATE || keys_ok(&m->keys));
}

/* The transport's half: 0 when the peer's message is authentic and its wrapper is open. */
static int open_message(struct appraisal *a)
{
	struct checks *c = &a->verdict->checks;
	struct attest_wire wire = {.transport = (enum attest_transport)a->m->transport,
	                           .request = a->request,
	                           .message = a->message,
	                           .leaf = a->leaf,
	                           .keys = &a->m->keys,
	                           .server_name = a->m->server_name,
	                           .lease_asked = a->m->lease_asked,
	                           .at = a->m->at};
	struct attest_opened *o = &a->opened;
	int ret;

	memcpy(wire.exporter, a->m->exporter, sizeof(wire.exporter));
	memcpy(wire.context, a->m->context, sizeof(wire.context));
	ret = attest_open(&wire, o, c);
	secret_wipe(wire.exporter, sizeof(wire.exporter));
	if (!bytes_all_zero(o->spki_sha256, sizeof(o->spki_sha256)))
		hex_encode(BYTES_OF(o->spki_sha256), a->verdict->server_key);
	if (ret || checks_overall(c) != CHECK_PASS)
		return ret;
	a->shown.binder = policy_binder_from_name(o->binder);
	a->shown.cmw = o->cmw;
	a->shown.check_report_data = true;
	memcpy(a->shown.spki_sha256, o->spki_sha256, sizeof(o->spki_sha256));
	memcpy(a->shown.report_data, o->report_data, sizeof(o->report_data));
	verdict_limit(a->verdict, o->valid_until);
	return 0;
}

/* Fills the verdict and seals it, whatever happens. */
static void appraise(struct appraisal *a)
{
	const struct policy *p = a->v->policy;
	struct verdict *v = a->verdict;
	bool current = p && a->m->generation == a->v->generation &&
	               a->m->destination < p->destinations &&
	               policy_judges(p->destination[a->m->destination].action);
	int ret = 0;

	verdict_init(v, current ? p->destination[a->m->destination].name : "", a->m->at);
	if (!current)
		check_add(&v->checks, "policy.changed", CHECK_FAIL, "generation %u is not in force",
		          a->m->generation);
	else
		ret = open_message(a);
	if (!ret && checks_overall(&v->checks) == CHECK_PASS)
		ret = policy_appraise(p, a->m->destination, &a->shown, a->m->at, head_last, a->v, v,
		                      a->head);
	if (ret)
		check_add(&v->checks, "verify.internal", CHECK_UNAVAILABLE, "%s", strerror(-ret));
	if (ret || v->sealed != VERDICT_SEALED)
		verdict_seal(v);
}

/* For how long; 0: not at all. By its key the peer is not asked: as long as the policy says. */
static uint32_t lease_granted(const struct appraisal *a)
{
	const struct policy_destination *d = &a->v->policy->destination[a->m->destination];

	return a->m->lease_asked && policy_lease_binder(d) == BINDER_LEASE_KEY
	               ? (uint32_t)d->lease
	               : a->opened.cmw.lease_s;
}

/*
 * The verdict of the connections that will rest on this one, where the peer grants a lease and the
 * destination takes them.
 */
static void judge_lease(struct appraisal *a, uint64_t session)
{
	struct msg_verdict *out = &a->v->out;
	/* A verdict that passed is of a destination that there is. */
	uint32_t granted = verdict_passed(&out->verdict, a->m->at) ? lease_granted(a) : 0;

	if (granted && !policy_lease_verdict(a->v->policy, a->m->destination, &out->verdict,
	                                     session, &out->lease))
		out->lease_s = granted;
	else
		memset(&out->lease, 0, sizeof(out->lease));
}

static bool failed(const struct msg_verdict *out, const char *id)
{
	const struct check *c = checks_find(&out->verdict.checks, id);

	return c && c->status == CHECK_FAIL;
}

/*
 * Should gate keep the note? On every move of the head, on a fork, and of a smaller head, so that
 * it can be proved; and now and then of the same head, for its newer time.
 */
static bool note_wanted(struct verify *v)
{
	const struct msg_verdict *out = &v->out;
	struct ledger_last last;

	if (failed(out, "ledger.fork") || failed(out, "ledger.rollback"))
		return true;
	switch (out->head.step) {
	case HEAD_FIRST:
	case HEAD_ADVANCE:
	case HEAD_AHEAD:
		return true;
	case HEAD_SAME:
		head_last(v, out->head.cp.origin, &last);
		return out->head.at >= last.at + NOTE_RENEW_S;
	case HEAD_REFUSE:
	case HEAD_BEHIND:
		break;
	}
	return false;
}

/* Moves the head in memory as gate will on disk; a head that finds no room refuses the session. */
static void move_head(struct verify *v, bool renew)
{
	struct policy_head_update *head = &v->out.head;
	struct verdict *verdict = &v->out.verdict;
	struct ledger_last *last;

	if (verdict->overall != CHECK_PASS || head->step == HEAD_REFUSE ||
	    head->step == HEAD_AHEAD || (head->step == HEAD_SAME && !renew))
		return;
	last = head_place(v, head->cp.origin);
	if (!last) {
		check_add(&verdict->checks, "state.head", CHECK_UNAVAILABLE,
		          "heads of more than %d logs", STATE_HEADS_MAX);
		verdict_seal(verdict);
		v->out.lease_s = 0;
	} else if (head->step == HEAD_BEHIND) {
		ledger_last_add(last, &head->cp, head->at);
	} else {
		(void)ledger_last_move(last, &head->cp, head->at);
	}
}

/*
 * What a verdict that passes was made of goes ahead of it; of evidence too large for that, nothing
 * does.
 */
static int answer_shown(struct verify *v, uint64_t session, const struct policy_presented *shown)
{
	struct msg_shown m = {.binder = shown->binder};
	struct cmw cmw = shown->cmw;
	struct buf wrapper = buf_make(SHOWN_MAX);
	int fd = -1, ret = 0;

	if (v->out.verdict.overall != CHECK_PASS)
		return 0;
	memcpy(m.spki_sha256, shown->spki_sha256, sizeof(m.spki_sha256));
	memcpy(m.report_data, shown->report_data, sizeof(m.report_data));
	cmw.leaf = cmw.proof = cmw.bundle = BYTES_NONE;
	cmw.lease_s = 0;
	if (!cmw_build(&cmw, &wrapper))
		fd = file_memfd("shown", buf_view(&wrapper));
	buf_free(&wrapper);
	if (fd < 0)
		return 0;
	ret = msg_send(v->gate, MSG_SHOWN, session, &m, fd);
	close(fd);
	return ret;
}

/* The verdict, once the head is where it takes it; with compare it stays where it is. */
static int answer(struct verify *v, uint64_t session, struct bytes note, bool compare)
{
	bool wanted = note_wanted(v);
	int fd = -1;
	int ret;

	if (!compare)
		move_head(v, wanted);
	if (wanted && note.n && note.n <= NOTE_MAX) {
		fd = file_memfd("note", note);
		if (fd < 0)
			return fd;
	}
	ret = msg_send(v->gate, MSG_VERDICT, session, &v->out, fd);
	if (fd >= 0)
		close(fd);
	return ret;
}

static int on_appraise(struct verify *v, uint64_t session, const struct msg_appraise *m, int fd)
{
	uint8_t *data = NULL;
	size_t n = 0;
	struct tlog_proof *proof = calloc(1, sizeof(*proof));
	struct bytes note = BYTES_NONE;
	struct appraisal a = {.v = v,
	                      .m = m,
	                      .verdict = &v->out.verdict,
	                      .head = &v->out.head,
	                      .shown = {.fetched = v->fetched,
	                                .cache = v->cache,
	                                .wants = &v->out.wants,
	                                .trouble = &m->trouble,
	                                .proof_of = proof_of,
	                                .proof_ctx = v}};
	int ret = proof ? 0 : -ENOMEM;

	memset(&v->out, 0, sizeof(v->out));
	if (!memchr(m->server_name, 0, sizeof(m->server_name)))
		ret = -EPROTO;
	if (ret)
		goto out;
	if (file_read_fd(fd, AUTHENTICATOR_REQUEST_MAX + TRANSPORT_MESSAGE_MAX + TRANSPORT_LEAF_MAX,
	                 &data, &n) ||
	    !relay_part_ok(m, (struct bytes){data, n})) {
		verdict_init(a.verdict, "", m->at);
		check_add(&a.verdict->checks, "verify.request", CHECK_FAIL,
		          "relay handed in something that is no evidence of this transport");
		verdict_seal(a.verdict);
	} else {
		a.request = (struct bytes){data, m->request_len};
		a.message = (struct bytes){data + m->request_len, m->message_len};
		a.leaf = (struct bytes){data + m->request_len + m->message_len, m->leaf_len};
		appraise(&a);
		judge_lease(&a, session);
	}
	if (a.shown.cmw.proof.n && !ledger_proof_parse(a.shown.cmw.proof, proof))
		note = proof->checkpoint;
	ret = answer_shown(v, session, &a.shown);
	if (!ret)
		ret = answer(v, session, note, false);
out:
	attest_opened_free(&a.opened);
	free(data);
	free(proof);
	return ret;
}

/* ------------------------------------------------------------------ advance */

/*
 * A proof that does not lead to the larger root proves nothing, and be it because a mirror has a
 * bad disk; one that does, from another root than the one that the log signed for the smaller
 * size, proves a fork.
 */
static enum head_step proved_step(const struct ledger_last *last, const struct checkpoint *cp,
                                  const struct msg_advance *m, struct checks *c)
{
	const struct checkpoint *small = cp->size < last->cp.size ? cp : &last->cp;
	const struct checkpoint *large = small == cp ? &last->cp : cp;

	if (last->known && small->size && small->size < large->size &&
	    ledger_consistency(small->size, &m->from_root, large->size, &large->root, m->proof,
	                       m->proof_n)) {
		check_add(c, "ledger.consistency", CHECK_UNAVAILABLE,
		          "what was fetched does not lead to the signed root");
		return HEAD_REFUSE;
	}
	return ledger_head_step(last, cp, m->proof, m->proof_n, true, c);
}

/* The checkpoint again, then the last-seen rule with the proof at hand. */
static void step_head(struct verify *v, const struct msg_advance *m, struct bytes note)
{
	const struct policy_ledger *l = &v->policy->ledger[m->ledger];
	/* As at the appraisal: without witnesses nobody says how old a head is. */
	const struct ledger_time t = {.at = m->at,
	                              .max_age = l->tlog->quorum >= 0 ? l->max_age : -1};
	struct checks *c = &v->out.verdict.checks;
	struct checks made = {0};
	struct ledger_head head;
	struct ledger_last last;

	if (ledger_verify_checkpoint(note, l->tlog, &t, &head, &made)) {
		check_add(c, "verify.internal", CHECK_UNAVAILABLE, "out of memory");
		return;
	}
	if (!m->compare || !head.cp.origin[0])
		*c = made;
	if (checks_overall(&made) != CHECK_PASS && (!m->compare || !head.cp.origin[0]))
		return;
	head_last(v, head.cp.origin, &last);
	v->out.head.cp = head.cp;
	v->out.head.at = head.quorum_at;
	ledger_check_clock(&last, m->at, c);
	if (m->look)
		v->out.head.step = ledger_head_step(&last, &head.cp, NULL, 0,
		                                    l->require_known && !m->compare, c);
	else
		v->out.head.step = proved_step(&last, &head.cp, m, c);
	verdict_limit(&v->out.verdict, head.fresh_until);
}

static int on_advance(struct verify *v, const struct msg_advance *m, int fd)
{
	struct checks *c = &v->out.verdict.checks;
	uint8_t *note = NULL;
	size_t n = 0;
	int ret;

	if (m->proof_n > PATH_MAX_HASHES)
		return -EPROTO;
	memset(&v->out, 0, sizeof(v->out));
	v->out.head.ledger = m->ledger;
	verdict_init(&v->out.verdict, "", m->at);
	if (!v->policy || m->generation != v->generation || m->ledger >= v->policy->ledgers)
		check_add(c, "policy.changed", CHECK_FAIL, "generation %u is not in force",
		          m->generation);
	else if (file_read_fd(fd, NOTE_MAX, &note, &n))
		check_add(c, "ledger.format", CHECK_FAIL, "the note can't be read");
	else
		step_head(v, m, (struct bytes){note, n});
	verdict_seal(&v->out.verdict);
	ret = answer(v, 0, (struct bytes){note, n}, m->compare);
	free(note);
	return ret;
}

/* -------------------------------------------------------------------- watch */

/* Up to the first entry that finds no room in the answer. */
static int watch(const struct policy *p, const struct msg_watch *m, struct bytes bundle,
                 struct msg_watched *out)
{
	struct bytes entry[TILE_WIDTH];
	unsigned width = ledger_entries_width(m->n, m->size);
	uint64_t first = m->n * TILE_WIDTH;

	if (ledger_entries_verify(bundle, m->n, m->size, &m->root, m->proof, m->proof_n, entry))
		return -EBADMSG;
	for (uint64_t i = m->from; i < first + width && out->n < WATCHED_MAX; i++) {
		int ret = policy_watch(p, m->ledger, i, entry[i - first], &out->alert[out->n]);

		if (ret < 0)
			return ret;
		out->n += (uint32_t)ret;
		out->upto = i + 1;
	}
	return 0;
}

static int on_watch(struct verify *v, uint64_t request, const struct msg_watch *m, int fd)
{
	struct msg_watched *out = calloc(1, sizeof(*out));
	uint8_t *data = NULL;
	size_t n = 0;
	int ret = out ? 0 : -ENOMEM;

	if (m->proof_n > PATH_MAX_HASHES || m->n > m->size / TILE_WIDTH ||
	    m->from < m->n * TILE_WIDTH || m->from >= m->size)
		ret = -EPROTO;
	if (ret)
		goto out;
	out->upto = m->from;
	if (!v->policy || m->generation != v->generation || m->ledger >= v->policy->ledgers)
		out->err = -ESTALE;
	else
		out->err = file_read_fd(fd, ENTRIES_BYTES_MAX, &data, &n);
	if (!out->err)
		out->err = watch(v->policy, m, (struct bytes){data, n}, out);
	ret = msg_send(v->gate, MSG_WATCHED, request, out, -1);
out:
	free(data);
	free(out);
	return ret;
}

/* --------------------------------------------------------------- collateral */

/* A piece is kept only if it is what it was fetched as. */
static int keep_piece(struct verify *v, const struct collateral_name *name, struct bytes piece,
                      struct collateral_info *is, uint32_t *known)
{
	bool named = false;
	int ret = attest_collateral_read(piece, is);

	for (uint32_t i = 0; !ret && i < is->names; i++)
		named |=
		        is->name[i].vendor == name->vendor && !strcmp(is->name[i].path, name->path);
	if (!ret && !named)
		ret = -EINVAL;
	if (!ret)
		ret = collateral_store_add(v->fetched, piece, is);
	*known = ret == -EEXIST;
	return *known ? 0 : ret;
}

static int on_collateral(struct verify *v, uint64_t request, const struct msg_collateral *m, int fd)
{
	struct collateral_info is = {.names = 0};
	struct msg_collateral_done done = {.err = 0};
	uint8_t *piece = NULL;
	size_t n = 0;

	if (!memchr(m->name.path, 0, sizeof(m->name.path)))
		return -EPROTO;
	done.err = file_read_fd(fd, COLLATERAL_PIECE_MAX, &piece, &n);
	if (!done.err)
		done.err = keep_piece(v, &m->name, (struct bytes){piece, n}, &is, &done.known);
	done.from = is.from;
	done.until = is.until;
	free(piece);
	return msg_send(v->gate, MSG_COLLATERAL_DONE, request, &done, -1);
}

/* ------------------------------------------------------------------ recheck */

static int judge_again(struct verify *v, const struct msg_recheck *m, struct bytes wrapper,
                       struct checks *c)
{
	struct policy_presented shown = {.binder = (enum policy_binder)m->shown.binder,
	                                 .check_report_data = true,
	                                 .fetched = v->fetched,
	                                 .cache = v->cache};

	if (!v->policy || m->generation != v->generation)
		return -EAGAIN;
	if (cmw_parse(wrapper, false, &shown.cmw))
		return -EBADMSG;
	memcpy(shown.spki_sha256, m->shown.spki_sha256, sizeof(shown.spki_sha256));
	memcpy(shown.report_data, m->shown.report_data, sizeof(shown.report_data));
	return policy_recheck(v->policy, m->destination, &shown, m->at, c);
}

/* Not judged is not refused: the verdict of then has an end of its own. */
static int on_recheck(struct verify *v, uint64_t session, const struct msg_recheck *m, int fd)
{
	struct msg_rechecked done = {.result = CHECK_UNAVAILABLE};
	const struct check *by = NULL;
	struct checks c = {0};
	uint8_t *wrapper = NULL;
	size_t n = 0;
	int ret = file_read_fd(fd, SHOWN_MAX, &wrapper, &n);

	if (!ret)
		ret = judge_again(v, m, (struct bytes){wrapper, n}, &c);
	free(wrapper);
	if (ret) {
		snprintf(done.code, sizeof(done.code), "verify.internal");
		snprintf(done.detail, sizeof(done.detail), "%s", strerror(-ret));
	} else {
		done.result = checks_overall(&c);
		by = checks_first(&c, (enum check_status)done.result);
	}
	if (by && done.result != CHECK_PASS) {
		memcpy(done.code, by->id, sizeof(done.code));
		memcpy(done.detail, by->detail, sizeof(done.detail));
	}
	return msg_send(v->gate, MSG_RECHECKED, session, &done, -1);
}

/* --------------------------------------------------------------------- loop */

static int dispatch(struct verify *v, const struct msg_head *head, int fd)
{
	switch ((enum msg_type)head->type) {
	case MSG_POLICY:
		return on_policy(v, &v->in.policy, fd);
	case MSG_HEAD:
		return on_head(v, &v->in.head_known);
	case MSG_APPRAISE:
		return on_appraise(v, head->session, &v->in.appraise, fd);
	case MSG_ADVANCE:
		return on_advance(v, &v->in.advance, fd);
	case MSG_WATCH:
		return on_watch(v, head->session, &v->in.watch, fd);
	case MSG_PROOF:
		return on_proof(v, &v->in.proof, fd);
	case MSG_COLLATERAL:
		return on_collateral(v, head->session, &v->in.collateral, fd);
	case MSG_PING:
		return msg_send(v->gate, MSG_PONG, 0, NULL, -1);
	case MSG_RECHECK:
		return on_recheck(v, head->session, &v->in.recheck, fd);
	default:
		return -EPROTO;
	}
}

int role_verify(int gate)
{
	/* The keys of an appraisal are secrets of a connection. */
	struct verify *v = calloc(1, sizeof(*v));
	int ret = v ? 0 : -ENOMEM;

	if (v) {
		v->gate = gate;
		v->fetched = collateral_store_new(FETCHED_BYTES_MAX);
		v->cache = pki_cache_new();
		ret = v->fetched && v->cache ? 0 : -ENOMEM;
	}
	while (!ret) {
		struct msg_head head;
		int fd = -1;

		ret = msg_recv(gate, &head, &v->in, sizeof(v->in), &fd);
		if (!ret)
			ret = dispatch(v, &head, fd);
		if (fd >= 0)
			close(fd);
		if (v)
			secret_wipe(&v->in, sizeof(v->in));
	}
	if (ret != -EPIPE)
		log_event("role-failed", "role: verify, error: %s", strerror(-ret));
	if (v) {
		policy_free(v->policy);
		collateral_store_free(v->fetched);
		pki_cache_free(v->cache);
		for (uint32_t i = 0; i < PROOFS_KEPT; i++)
			free(v->kept[i].text);
	}
	free(v);
	return ret == -EPIPE ? 0 : 1;
}
