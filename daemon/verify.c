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

enum { FETCHED_BYTES_MAX = 64 << 20 };

struct verify {
	int gate;
	struct collateral_store *fetched; /* what gate's role fetch brought, looked at here */
	struct pki_cache *cache;
	struct policy *policy;
	uint32_t generation;
	uint32_t heads;
	struct checkpoint head[STATE_HEADS_MAX];
	union msg_any in;
	struct msg_verdict out;
};

/* -------------------------------------------------------------------- heads */

static struct checkpoint *head_find(struct verify *v, const char *origin)
{
	for (uint32_t i = 0; i < v->heads; i++) {
		if (!strcmp(v->head[i].origin, origin))
			return &v->head[i];
	}
	return NULL;
}

/* A policy_last_fn. */
static void head_last(void *ctx, const char *origin, struct ledger_last *out)
{
	const struct checkpoint *cp = head_find(ctx, origin);

	memset(out, 0, sizeof(*out));
	if (cp) {
		out->known = true;
		out->cp = *cp;
	}
}

/* False when there is no room: then the head can't be used either. */
static bool head_set(struct verify *v, const struct checkpoint *cp)
{
	struct checkpoint *at = head_find(v, cp->origin);

	if (!at && v->heads == STATE_HEADS_MAX)
		return false;
	if (!at)
		at = &v->head[v->heads++];
	*at = *cp;
	return true;
}

static void head_forget(struct verify *v, const char *origin)
{
	struct checkpoint *at = head_find(v, origin);

	if (at)
		*at = v->head[--v->heads];
}

static int on_head(struct verify *v, const struct msg_head_known *m)
{
	if (!memchr(m->origin, 0, sizeof(m->origin)))
		return -EPROTO;
	if (!m->last.known) {
		head_forget(v, m->origin);
		return 0;
	}
	if (strcmp(m->origin, m->last.cp.origin))
		return -EPROTO;
	return head_set(v, &m->last.cp) ? 0 : -ENOSPC;
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
	               p->destination[a->m->destination].action == POLICY_GATE;
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

/* Should gate keep the note? On every move of the head and on a fork. */
static bool note_wanted(const struct msg_verdict *out)
{
	const struct check *fork = checks_find(&out->verdict.checks, "ledger.fork");

	if (fork && fork->status == CHECK_FAIL)
		return true;
	switch (out->head.step) {
	case HEAD_FIRST:
	case HEAD_ADVANCE:
	case HEAD_AHEAD:
		return true;
	case HEAD_REFUSE:
	case HEAD_SAME:
	case HEAD_BEHIND:
		break;
	}
	return false;
}

/* Moves the head in memory as gate will on disk; a head that finds no room refuses the session. */
static void move_head(struct verify *v, struct msg_verdict *out)
{
	struct verdict *verdict = &out->verdict;

	if (verdict->overall != CHECK_PASS ||
	    (out->head.step != HEAD_FIRST && out->head.step != HEAD_ADVANCE))
		return;
	if (!head_set(v, &out->head.cp)) {
		check_add(&verdict->checks, "state.head", CHECK_UNAVAILABLE,
		          "heads of more than %d logs", STATE_HEADS_MAX);
		verdict_seal(verdict);
	}
}

static int answer(struct verify *v, uint64_t session, struct bytes note)
{
	int fd = -1;
	int ret;

	if (note_wanted(&v->out) && note.n && note.n <= NOTE_MAX) {
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
	struct appraisal a = {
	        .v = v,
	        .m = m,
	        .verdict = &v->out.verdict,
	        .head = &v->out.head,
	        .shown = {.fetched = v->fetched, .cache = v->cache, .wants = &v->out.wants}};
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
	}
	if (a.shown.cmw.proof.n && !ledger_proof_parse(a.shown.cmw.proof, proof))
		note = proof->checkpoint;
	move_head(v, &v->out);
	ret = answer(v, session, note);
out:
	attest_opened_free(&a.opened);
	free(data);
	free(proof);
	return ret;
}

/* ------------------------------------------------------------------ advance */

/* The checkpoint again, then the last-seen rule with the proof at hand. */
static void step_head(struct verify *v, const struct msg_advance *m, struct bytes note)
{
	const struct policy_ledger *l = &v->policy->ledger[m->ledger];
	/* As at the appraisal: without witnesses nobody says how old a head is. */
	const struct ledger_time t = {.at = m->at,
	                              .max_age = l->tlog->quorum >= 0 ? l->max_age : -1};
	struct checks *c = &v->out.verdict.checks;
	struct ledger_head head;
	struct ledger_last last;

	if (ledger_verify_checkpoint(note, l->tlog, &t, &head, c)) {
		check_add(c, "verify.internal", CHECK_UNAVAILABLE, "out of memory");
		return;
	}
	if (checks_overall(c) != CHECK_PASS)
		return;
	head_last(v, head.cp.origin, &last);
	v->out.head.cp = head.cp;
	v->out.head.step = ledger_head_step(&last, &head.cp, m->proof, m->proof_n, true, c);
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
	move_head(v, &v->out);
	ret = answer(v, 0, (struct bytes){note, n});
	free(note);
	return ret;
}

/* --------------------------------------------------------------- collateral */

/* A piece is kept only if it is what it was fetched as. */
static int keep_piece(struct verify *v, const struct collateral_name *name, struct bytes piece,
                      struct collateral_info *is)
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
	return ret == -EEXIST ? 0 : ret;
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
		done.err = keep_piece(v, &m->name, (struct bytes){piece, n}, &is);
	done.from = is.from;
	done.until = is.until;
	free(piece);
	return msg_send(v->gate, MSG_COLLATERAL_DONE, request, &done, -1);
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
	case MSG_COLLATERAL:
		return on_collateral(v, head->session, &v->in.collateral, fd);
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
	}
	free(v);
	return ret == -EPIPE ? 0 : 1;
}
