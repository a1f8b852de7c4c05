/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verdicts over signed notes, checkpoints and tlog-proofs (C2SP tlog-proof): whose signatures
 * hold, whether they make a fresh quorum, whether the leaf is in the tree. Knows nothing of what a
 * leaf says, nor of what was seen before.
 *
 * Only lines whose name and key id are configured are verified, at most LEDGER_LINES_PER_KEY for
 * each key; so nobody can make us do more public-key operations than the policy has keys for.
 */
#include "ledger/room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROOF_HEADER "c2sp.org/tlog-proof@v1"

/* What the lines of one key came to. */
struct tally {
	uint32_t lines;
	uint32_t bad;
	uint32_t unavailable;
	uint32_t good;
	bool timed;  /* a good line that is not from the future */
	uint64_t ts; /* the newest of those */
};

/* A note under judgement. cp is NULL for a note that is no checkpoint. */
struct judgement {
	const struct tlog_policy *policy;
	const struct ledger_time *time;
	struct checks *checks;
	struct note *note;
	const struct checkpoint *cp;
	uint32_t unverified; /* lines that this OpenSSL can't verify */
};

/* a + b, b >= 0, without wrapping. */
static int64_t time_add(int64_t a, int64_t b)
{
	return a > INT64_MAX - b ? INT64_MAX : a + b;
}

static struct tally tally_key(const struct judgement *j, const struct vkey *key)
{
	struct tally t = {0};
	int64_t latest = j->time ? time_add(j->time->at, LEDGER_SKEW) : INT64_MAX;

	for (uint32_t i = 0; i < j->note->sigs; i++)
		t.lines += ledger_sig_is_of(&j->note->sig[i], key);
	for (uint32_t i = 0; i < j->note->sigs && t.lines <= LEDGER_LINES_PER_KEY; i++) {
		const struct note_sig *sig = &j->note->sig[i];
		uint64_t ts;

		if (!ledger_sig_is_of(sig, key))
			continue;
		switch (ledger_sig_check(sig, key, j->note->text, j->cp, &ts)) {
		case SIG_BAD:
			t.bad++;
			break;
		case SIG_UNAVAILABLE:
			t.unavailable++;
			break;
		case SIG_GOOD:
			t.good++;
			if ((int64_t)ts <= latest) {
				t.ts = t.timed && t.ts > ts ? t.ts : ts;
				t.timed = true;
			}
			break;
		}
	}
	return t;
}

static bool too_many_lines(const struct judgement *j, const struct tally *t, const char *name)
{
	if (t->lines <= LEDGER_LINES_PER_KEY)
		return false;
	check_add(j->checks, "ledger.format", CHECK_FAIL,
	          "%" PRIu32 " signatures of %s, at most %d", t->lines, name, LEDGER_LINES_PER_KEY);
	return true;
}

/* --------------------------------------------------------------------- logs */

/* Does a checkpoint that this key signed speak for the origin that was asked for? */
static bool origin_ok(const struct judgement *j, const struct vkey *key)
{
	if (!j->cp)
		return true;
	if (j->policy->origin[0])
		return strcmp(j->cp->origin, j->policy->origin) == 0;
	return strcmp(j->cp->origin, key->name) == 0;
}

/* What all log keys together came to. */
struct log_tally {
	const struct vkey *good;  /* signed, and for this origin */
	const struct vkey *other; /* signed, but for another origin */
	const struct vkey *bad;
	const struct vkey *unavailable;
};

/* -EINVAL: refused for its form, and said so. */
static int tally_logs(struct judgement *j, struct log_tally *out)
{
	for (uint32_t i = 0; i < j->policy->logs; i++) {
		const struct vkey *key = &j->policy->log[i];
		struct tally t = tally_key(j, key);

		if (too_many_lines(j, &t, key->name))
			return -EINVAL;
		j->unverified += t.unavailable;
		if (t.bad)
			out->bad = key;
		else if (t.good && origin_ok(j, key))
			out->good = key;
		else if (t.good)
			out->other = key;
		else if (t.unavailable)
			out->unavailable = key;
	}
	return 0;
}

/*
 * The two checks on who signed, given what the logs' keys came to. Returns true when what the
 * note says may be looked at.
 */
static bool judge_log(const struct judgement *j, const struct log_tally *l)
{
	struct checks *c = j->checks;
	const char *origin = j->cp ? j->cp->origin : "";
	const struct vkey *signer = l->bad ? l->bad : l->good ? l->good : l->unavailable;

	if (!signer && l->other) {
		check_add(c, "ledger.log-key", CHECK_FAIL,
		          "%s signed it, but it names the origin \"%s\"", l->other->name, origin);
		return false;
	}
	if (!signer) {
		check_add(c, "ledger.log-key", CHECK_FAIL, "no signature of a configured key%s%s%s",
		          j->cp ? "; it names the origin \"" : "", origin, j->cp ? "\"" : "");
		return false;
	}
	check_add(c, "ledger.log-key", CHECK_PASS, "%s", signer->name);
	if (l->bad) {
		check_add(c, "ledger.log-signature", CHECK_FAIL, "the signature of %s is not valid",
		          signer->name);
		return false;
	}
	if (!l->good) {
		check_add(c, "ledger.log-signature", CHECK_UNAVAILABLE,
		          "signature type 0x%02x of %s needs OpenSSL 3.5 or newer", signer->alg,
		          signer->name);
		return false;
	}
	check_add(c, "ledger.log-signature", CHECK_PASS, "%s", signer->name);
	return true;
}

/*
 * A policy that names no log leaves the origin to its witnesses, who do not cosign what the log
 * did not sign. Without a quorum there would be nothing at all.
 */
static bool judge_no_log(const struct judgement *j)
{
	const char *wanted = j->policy->origin;

	if (j->policy->quorum == -1) {
		check_add(j->checks, "ledger.log-key", CHECK_FAIL,
		          "the policy names neither a log nor a quorum");
		return false;
	}
	if (wanted[0] && strcmp(wanted, j->cp->origin) != 0) {
		check_add(j->checks, "ledger.log-key", CHECK_FAIL, "it names the origin \"%s\"",
		          j->cp->origin);
		return false;
	}
	check_add(j->checks, "ledger.log-key", CHECK_SKIP,
	          "the policy names no log; its witnesses vouch for \"%s\"", j->cp->origin);
	check_add(j->checks, "ledger.log-signature", CHECK_SKIP, "the policy names no log");
	return true;
}

/* ---------------------------------------------------------------- witnesses */

struct witness_tally {
	uint32_t known; /* witnesses with a line */
	uint32_t bad;
	const char *bad_name;
	bool valid[TLOG_KEYS_MAX]; /* verified, whatever its time */
	bool timed[TLOG_KEYS_MAX]; /* verified, and not from the future */
	bool unverified[TLOG_KEYS_MAX];
	uint64_t ts[TLOG_KEYS_MAX];
};

static int tally_witnesses(struct judgement *j, struct witness_tally *out)
{
	for (uint32_t i = 0; i < j->policy->witnesses; i++) {
		struct tally t = tally_key(j, &j->policy->witness[i]);

		if (too_many_lines(j, &t, j->policy->witness_name[i]))
			return -EINVAL;
		j->unverified += t.unavailable;
		out->known += t.lines > 0;
		if (t.bad) {
			out->bad++;
			out->bad_name = j->policy->witness_name[i];
		}
		out->valid[i] = t.good > 0;
		out->timed[i] = t.timed;
		out->unverified[i] = t.unavailable > 0;
		out->ts[i] = t.ts;
	}
	return 0;
}

static const char *quorum_name(const struct tlog_policy *p)
{
	if (p->quorum < 0)
		return "none";
	return p->quorum < TLOG_KEYS_MAX ? p->witness_name[p->quorum]
	                                 : p->group[p->quorum - TLOG_KEYS_MAX].name;
}

static uint32_t count(const bool v[static TLOG_KEYS_MAX])
{
	uint32_t n = 0;

	for (size_t i = 0; i < TLOG_KEYS_MAX; i++)
		n += v[i];
	return n;
}

static void join(const bool a[static TLOG_KEYS_MAX], const bool b[static TLOG_KEYS_MAX],
                 bool out[static TLOG_KEYS_MAX])
{
	for (size_t i = 0; i < TLOG_KEYS_MAX; i++)
		out[i] = a[i] || b[i];
}

static bool judge_cosignatures(const struct judgement *j, const struct witness_tally *w)
{
	if (w->bad) {
		check_add(j->checks, "ledger.witness-signature", CHECK_FAIL,
		          "the cosignature of %s is not valid", w->bad_name);
		return false;
	}
	if (j->policy->witnesses == 0)
		check_add(j->checks, "ledger.witness-signature", CHECK_SKIP,
		          "the policy names no witness");
	else if (count(w->unverified))
		check_add(j->checks, "ledger.witness-signature", CHECK_PASS,
		          "%" PRIu32 " valid; %" PRIu32 " of type 0x06 not counted, which OpenSSL "
		          "before 3.5 can't verify",
		          count(w->valid), count(w->unverified));
	else
		check_add(j->checks, "ledger.witness-signature", CHECK_PASS, "%" PRIu32 " valid",
		          count(w->valid));
	return true;
}

static bool judge_quorum(const struct judgement *j, const struct witness_tally *w)
{
	const struct tlog_policy *p = j->policy;
	bool maybe[TLOG_KEYS_MAX];
	bool met = ledger_quorum(p, w->valid);

	join(w->valid, w->unverified, maybe);
	if (p->quorum == -1)
		check_add(j->checks, "ledger.quorum", CHECK_SKIP, "no quorum is asked for");
	else
		check_add(j->checks, "ledger.quorum",
		          met                       ? CHECK_PASS
		          : ledger_quorum(p, maybe) ? CHECK_UNAVAILABLE
		                                    : CHECK_FAIL,
		          "%" PRIu32 " of %" PRIu32 " witnesses cosigned%s; quorum \"%s\" is %s",
		          count(w->valid), p->witnesses,
		          met || !count(w->unverified) ? "" : " verifiably", quorum_name(p),
		          met ? "met" : "not met");
	return met;
}

static bool recent(const struct ledger_time *t, uint64_t ts)
{
	int64_t oldest;

	if (t->max_age < 0)
		return true;
	/* Zero says nothing about time (tlog-cosignature), so it is never recent. */
	oldest = __builtin_sub_overflow(t->at, t->max_age, &oldest) ? INT64_MIN : oldest;
	return ts != 0 && (int64_t)ts >= oldest;
}

/* The newest time that is not after those of a quorum: of the oldest cosignature that it needs. */
static int64_t quorum_at(const struct judgement *j, const struct witness_tally *w,
                         const bool counted[static TLOG_KEYS_MAX])
{
	int64_t best = 0;

	for (size_t i = 0; i < TLOG_KEYS_MAX; i++) {
		bool newer[TLOG_KEYS_MAX] = {false};

		if (!counted[i])
			continue;
		for (size_t k = 0; k < TLOG_KEYS_MAX; k++)
			newer[k] = counted[k] && w->ts[k] >= w->ts[i];
		if ((int64_t)w->ts[i] > best && ledger_quorum(j->policy, newer))
			best = (int64_t)w->ts[i];
	}
	return best;
}

static void judge_fresh(const struct judgement *j, const struct witness_tally *w,
                        struct ledger_head *head)
{
	const struct ledger_time *t = j->time;
	bool counted[TLOG_KEYS_MAX] = {false};
	bool maybe[TLOG_KEYS_MAX];

	for (size_t i = 0; i < TLOG_KEYS_MAX; i++) {
		counted[i] = w->timed[i] && recent(t, w->ts[i]);
		if (counted[i] && (int64_t)w->ts[i] > head->newest)
			head->newest = (int64_t)w->ts[i];
	}
	head->witnesses = count(counted);
	join(counted, w->unverified, maybe);
	if (j->policy->quorum == -1 && t->max_age >= 0) {
		check_add(j->checks, "ledger.fresh", CHECK_FAIL,
		          "the policy asks for no quorum, so nobody states a time");
	} else if (!ledger_quorum(j->policy, counted)) {
		check_add(j->checks, "ledger.fresh",
		          ledger_quorum(j->policy, maybe) ? CHECK_UNAVAILABLE : CHECK_FAIL,
		          "%" PRIu32 " of %" PRIu32 " cosignatures are recent; quorum \"%s\" needs "
		          "more at %" PRId64,
		          head->witnesses, count(w->valid), quorum_name(j->policy), t->at);
	} else if (t->max_age < 0) {
		check_add(j->checks, "ledger.fresh", CHECK_SKIP, "freshness is not asked for");
	} else {
		head->quorum_at = quorum_at(j, w, counted);
		head->fresh_until = time_add(head->quorum_at, t->max_age);
		check_add(j->checks, "ledger.fresh", CHECK_PASS,
		          "%" PRIu32 " recent cosignatures, a quorum until %" PRId64,
		          head->witnesses, head->fresh_until);
	}
}

/* --------------------------------------------------------------- checkpoint */

/*
 * All checks of a checkpoint. Returns 1 when a configured log (or, without one, the witnesses'
 * quorum) stands behind its root, whatever the other checks say; 0 when not; -ENOMEM.
 */
static int judge_checkpoint(struct bytes data, const struct tlog_policy *policy,
                            const struct ledger_time *t, struct ledger_head *out,
                            struct checks *checks)
{
	struct ledger_head head = {.fresh_until = VERDICT_FOREVER};
	struct judgement j = {.policy = policy, .time = t, .checks = checks, .cp = &head.cp};
	struct witness_tally w = {0};
	struct log_tally l = {0};
	int signed_by_log = 0;

	memset(out, 0, sizeof(*out));
	j.note = malloc(sizeof(*j.note));
	if (!j.note)
		return -ENOMEM;
	if (ledger_note_parse(data, j.note) || ledger_checkpoint_parse(j.note->text, &head.cp)) {
		check_add(checks, "ledger.format", CHECK_FAIL, "not a signed checkpoint");
		goto out;
	}
	if (tally_logs(&j, &l) || tally_witnesses(&j, &w))
		goto out;
	check_add(checks, "ledger.format", CHECK_PASS, "%" PRIu32 " signatures", j.note->sigs);
	if (!(policy->logs ? judge_log(&j, &l) : judge_no_log(&j)))
		goto out;
	signed_by_log = 1;
	head.witnesses = count(w.valid);
	if (judge_cosignatures(&j, &w) && judge_quorum(&j, &w))
		judge_fresh(&j, &w, &head);
	*out = head;
out:
	free(j.note);
	return signed_by_log;
}

int ledger_verify_checkpoint(struct bytes note, const struct tlog_policy *policy,
                             const struct ledger_time *t, struct ledger_head *out,
                             struct checks *checks)
{
	int ret = judge_checkpoint(note, policy, t, out, checks);

	return ret < 0 ? ret : 0;
}

int ledger_verify_note(struct bytes data, const struct tlog_policy *policy, struct bytes *text,
                       struct checks *checks)
{
	struct judgement j = {.policy = policy, .checks = checks};
	struct log_tally l = {0};
	int ret = 0;

	*text = BYTES_NONE;
	j.note = malloc(sizeof(*j.note));
	if (!j.note)
		return -ENOMEM;
	if (ledger_note_parse(data, j.note)) {
		check_add(checks, "ledger.format", CHECK_FAIL, "not a signed note");
	} else if (!tally_logs(&j, &l)) {
		check_add(checks, "ledger.format", CHECK_PASS, "%" PRIu32 " signatures",
		          j.note->sigs);
		if (judge_log(&j, &l))
			*text = j.note->text;
	}
	free(j.note);
	return ret;
}

/* ------------------------------------------------------------------ subtree */

static void judge_subtree_lines(const struct note *n, const struct vkey *key,
                                const struct subtree *s, uint64_t *ts, struct checks *checks)
{
	uint32_t tally[SIG_GOOD + 1] = {0};
	uint32_t lines = 0;
	uint64_t t;

	for (uint32_t i = 0; i < n->sigs; i++)
		lines += ledger_sig_is_of(&n->sig[i], key);
	if (lines > LEDGER_LINES_PER_KEY) {
		check_add(checks, "ledger.format", CHECK_FAIL,
		          "%" PRIu32 " signatures of %s, at most %d", lines, key->name,
		          LEDGER_LINES_PER_KEY);
		return;
	}
	check_add(checks, "ledger.format", CHECK_PASS, "%" PRIu32 " signatures", n->sigs);
	for (uint32_t i = 0; i < n->sigs; i++) {
		enum sig_state state;

		if (!ledger_sig_is_of(&n->sig[i], key))
			continue;
		state = ledger_subtree_sig_check(&n->sig[i], key, s, &t);
		tally[state]++;
		if (state == SIG_GOOD && t > *ts)
			*ts = t;
	}
	if (lines == 0 || tally[SIG_BAD])
		check_add(checks, "ledger.witness-signature", CHECK_FAIL,
		          lines ? "the cosignature of %s is not valid"
		                : "no cosignature of %s is there",
		          key->name);
	else if (tally[SIG_UNAVAILABLE])
		check_add(checks, "ledger.witness-signature", CHECK_UNAVAILABLE,
		          "signature type 0x%02x of %s needs OpenSSL 3.5 or newer", key->alg,
		          key->name);
	else
		check_add(checks, "ledger.witness-signature", CHECK_PASS, "%s", key->name);
}

int ledger_verify_subtree(struct bytes lines, const struct vkey *key, const struct subtree *s,
                          uint64_t *ts, struct checks *checks)
{
	struct note *n = malloc(sizeof(*n));

	*ts = 0;
	if (!n)
		return -ENOMEM;
	if (ledger_sig_lines_parse(lines, n))
		check_add(checks, "ledger.format", CHECK_FAIL, "not signature lines");
	else if (!ledger_subtree_ok(s->start, s->end))
		check_add(checks, "ledger.format", CHECK_FAIL,
		          "%" PRIu64 " to %" PRIu64 " is no subtree", s->start, s->end);
	else
		judge_subtree_lines(n, key, s, ts, checks);
	free(n);
	return 0;
}

/* -------------------------------------------------------------------- proof */

/* "extra <base64>", if there. */
static int extra_parse(struct bytes *text, struct bytes *out)
{
	struct bytes line;
	struct bytes rest = *text;

	*out = BYTES_NONE;
	if (!ledger_prefix(&rest, "extra "))
		return 0;
	if (!ledger_line(&rest, &line) || line.n > TLOG_EXTRA_MAX ||
	    ledger_base64_any(line, NULL, 0) < 0)
		return -EINVAL;
	*out = line;
	*text = rest;
	return 0;
}

int ledger_proof_parse(struct bytes text, struct tlog_proof *out)
{
	struct tlog_proof p = {0};
	struct bytes line;

	if (text.n > TLOG_PROOF_MAX || !ledger_line(&text, &line) ||
	    !bytes_equal(line, bytes_str(PROOF_HEADER)) || extra_parse(&text, &p.extra) ||
	    !ledger_line(&text, &line) || !ledger_prefix(&line, "index ") ||
	    decimal_u64(line, INT64_MAX, &p.index))
		return -EINVAL;
	for (;;) {
		/* The first blank line ends the path; the checkpoint has one of its own. */
		if (!ledger_line(&text, &line))
			return -EINVAL;
		if (line.n == 0)
			break;
		if (p.path_n == PATH_MAX_HASHES || ledger_hash_parse(line, &p.path[p.path_n]))
			return -EINVAL;
		p.path_n++;
	}
	if (text.n == 0 || text.n > NOTE_MAX)
		return -EINVAL;
	p.checkpoint = text;
	*out = p;
	return 0;
}

int ledger_proof_format(const struct tlog_proof *p, struct buf *out)
{
	char hash[48];

	if (p->path_n > PATH_MAX_HASHES)
		return -EINVAL;
	buf_str(out, PROOF_HEADER "\n");
	if (p->extra.n) {
		buf_str(out, "extra ");
		buf_bytes(out, p->extra);
		buf_u8(out, '\n');
	}
	buf_printf(out, "index %" PRIu64 "\n", p->index);
	for (uint32_t i = 0; i < p->path_n; i++) {
		base64_encode(BYTES_OF(p->path[i].v), hash);
		buf_printf(out, "%s\n", hash);
	}
	buf_u8(out, '\n');
	buf_bytes(out, p->checkpoint);
	return out->bad ? -ENOMEM : 0;
}

static void judge_inclusion(const struct tlog_proof *p, struct bytes leaf,
                            const struct checkpoint *cp, struct checks *checks)
{
	struct hash h;
	int ret;

	if (leaf.n > LEAF_MAX) {
		check_add(checks, "ledger.inclusion", CHECK_FAIL, "a leaf has at most %d bytes",
		          LEAF_MAX);
		return;
	}
	ledger_leaf_hash(leaf, &h);
	ret = ledger_inclusion(p->index, cp->size, &h, p->path, p->path_n, &cp->root);
	check_add(checks, "ledger.inclusion", ret ? CHECK_FAIL : CHECK_PASS,
	          "index %" PRIu64 " of %" PRIu64 "%s", p->index, cp->size,
	          ret == -EINVAL ? ": the path does not have that length"
	          : ret          ? ": the path does not lead to the root"
	                         : "");
}

int ledger_judge_proof(const struct tlog_proof *p, struct bytes leaf,
                       const struct tlog_policy *policy, const struct ledger_time *t,
                       struct ledger_head *out, struct checks *checks)
{
	int ret;

	if (policy->logs == 0) {
		check_add(checks, "ledger.log-key", CHECK_FAIL, "the policy names no log");
		return 0;
	}
	ret = judge_checkpoint(p->checkpoint, policy, t, out, checks);
	if (ret == 1)
		judge_inclusion(p, leaf, &out->cp, checks);
	return ret < 0 ? ret : 0;
}

int ledger_verify_proof(struct bytes text, struct bytes leaf, const struct tlog_policy *policy,
                        const struct ledger_time *t, struct ledger_head *out, struct checks *checks)
{
	struct tlog_proof p;

	memset(out, 0, sizeof(*out));
	if (ledger_proof_parse(text, &p)) {
		check_add(checks, "ledger.proof-format", CHECK_FAIL, "not a tlog-proof@v1");
		return 0;
	}
	check_add(checks, "ledger.proof-format", CHECK_PASS, "index %" PRIu64, p.index);
	return ledger_judge_proof(&p, leaf, policy, t, out, checks);
}
