/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a witness answers to add-checkpoint (C2SP tlog-witness): from what it remembers and what it
 * was sent to a status, a body and what it must remember next; and what the log that asked may take
 * from the answer. Knows nothing of HTTP, of files or of the clock; the memory is the caller's, who
 * writes it before the answer leaves.
 */
#include "ledger/room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* The claims of a note. 0, -EINVAL, -ENOMEM. */
static int claims_parse(struct bytes note, struct checkpoint *out)
{
	struct note *n = malloc(sizeof(*n));
	int ret = n ? ledger_note_parse(note, n) : -ENOMEM;

	if (!ret)
		ret = ledger_checkpoint_lines(n->text, out);
	free(n);
	return ret;
}

int ledger_witness_parse(struct bytes body, struct witness_request *out)
{
	struct witness_request r = {0};
	struct bytes line;
	int ret;

	if (body.n > WITNESS_REQUEST_MAX || !ledger_line(&body, &line) ||
	    !ledger_prefix(&line, "old ") || decimal_u64(line, INT64_MAX, &r.old))
		return -EINVAL;
	for (;;) {
		/* The first blank line ends the proof; the note has one of its own. */
		if (!ledger_line(&body, &line))
			return -EINVAL;
		if (line.n == 0)
			break;
		if (r.proof_n == PATH_MAX_HASHES || ledger_hash_parse(line, &r.proof[r.proof_n]))
			return -EINVAL;
		r.proof_n++;
	}
	r.note = body;
	ret = claims_parse(r.note, &r.cp);
	if (!ret)
		*out = r;
	return ret;
}

static bool serves(const struct tlog_policy *logs, const char *origin)
{
	for (uint32_t i = 0; i < logs->logs; i++) {
		if (strcmp(logs->log[i].name, origin) == 0)
			return true;
	}
	return false;
}

static void refuse(struct witness_answer *a, unsigned status, const char *why)
{
	a->status = status;
	a->why = why;
}

/* Did a log of this origin sign it? The status says so; 0 when it did. -ENOMEM. */
static int judge_signature(const struct witness_request *r, const struct tlog_policy *logs,
                           struct witness_answer *a)
{
	static const struct ledger_time no_time = {0, -1};
	struct checks *c = calloc(1, sizeof(*c));
	const struct check *signature;
	struct ledger_head head;
	int ret = c ? ledger_verify_checkpoint(r->note, logs, &no_time, &head, c) : -ENOMEM;

	if (!ret) {
		signature = checks_find(c, "ledger.log-signature");
		if (signature && signature->status == CHECK_UNAVAILABLE)
			refuse(a, 403, "invalid signature: its algorithm is not available here");
		else if (!signature || signature->status != CHECK_PASS)
			refuse(a, 403, "invalid signature: no valid signature of a known key");
		else
			a->genuine = true;
	}
	free(c);
	return ret;
}

/* What the log signed beside what is remembered. */
static void judge_growth(const struct witness_request *r, const struct ledger_last *last,
                         struct witness_answer *a)
{
	uint64_t stored = last->known ? last->cp.size : 0;

	/* Whatever the request says is the old size: the two heads contradict each other. */
	a->fork = last->known && stored == r->cp.size &&
	          memcmp(last->cp.root.v, r->cp.root.v, HASH_LEN) != 0;
	if (r->old > r->cp.size) {
		refuse(a, 400, "the old size is larger than the checkpoint's");
	} else if (r->old != stored) {
		refuse(a, 409, "the old size is not the one that is remembered");
	} else if (stored == 0) {
		if (r->proof_n)
			refuse(a, 422, "a consistency proof from size 0 is empty");
	} else if (ledger_consistency(stored, &last->cp.root, r->cp.size, &r->cp.root, r->proof,
	                              r->proof_n)) {
		refuse(a, 422,
		       a->fork ? "another root was signed for this size"
		               : "the consistency proof does not hold");
	}
}

/* The lines that this witness adds to the note, without the note. */
static int cosign(const struct witness_request *r, const struct witness_self *self,
                  struct buf *body)
{
	/* A text alone is signed as a note is, and cut off again. */
	struct buf note = buf_make(NOTE_MAX + 1024);
	struct note *n = malloc(sizeof(*n));
	int ret = n ? ledger_note_parse(r->note, n) : -ENOMEM;

	if (!ret) {
		buf_bytes(&note, n->text);
		ret = ledger_note_cosign(&note, self->name, self->key, self->at);
	}
	if (!ret) {
		buf_put(body, note.p + n->text.n + 1, note.n - n->text.n - 1);
		ret = body->bad ? -ENOMEM : 0;
	}
	free(n);
	buf_free(&note);
	return ret;
}

int ledger_witness_step(const struct witness_request *r, const struct tlog_policy *logs,
                        const struct ledger_last *last, const struct witness_self *self,
                        struct witness_answer *out, struct buf *body)
{
	struct witness_answer a = {0};
	int ret = 0;

	memset(out, 0, sizeof(*out));
	if (last->known && strcmp(last->cp.origin, r->cp.origin) != 0)
		return -EINVAL;
	if (!serves(logs, r->cp.origin))
		refuse(&a, 404, "unknown log");
	else if (!ledger_root_fits(&r->cp))
		refuse(&a, 422, "an empty tree has another root");
	else
		ret = judge_signature(r, logs, &a);
	if (!ret && !a.status)
		judge_growth(r, last, &a);
	if (!ret && !a.status) {
		a.status = 200;
		a.why = "cosigned";
		a.next = (struct ledger_last){.known = true, .cp = r->cp};
		ret = cosign(r, self, body);
	} else if (!ret && a.status == 409) {
		buf_printf(body, "%" PRIu64 "\n", last->known ? last->cp.size : 0);
	} else if (!ret) {
		buf_printf(body, "%s\n", a.why);
	}
	if (!ret && body->bad)
		ret = -ENOMEM;
	if (!ret)
		*out = a;
	return ret;
}

/* --------------------------------------------------------------- who asked */

int ledger_witness_request(uint64_t old, const struct hash *proof, size_t proof_n,
                           struct bytes note, struct buf *out)
{
	char text[48];

	buf_printf(out, "old %" PRIu64 "\n", old);
	for (size_t i = 0; i < proof_n; i++) {
		base64_encode(BYTES_OF(proof[i].v), text);
		buf_printf(out, "%s\n", text);
	}
	buf_u8(out, '\n');
	buf_bytes(out, note);
	return out->bad ? -ENOMEM : 0;
}

int ledger_witness_size_parse(struct bytes body, uint64_t *out)
{
	struct bytes line;

	if (!ledger_line(&body, &line) || body.n)
		return -EINVAL;
	return decimal_u64(line, INT64_MAX, out);
}

/* The text and the lines of the answer that are of this key, as a note. False: there are none. */
static bool note_of_answer(struct bytes reply, const struct note *lines, struct bytes text,
                           const struct vkey *witness, struct buf *out)
{
	struct bytes line;
	uint32_t n = 0;

	buf_bytes(out, text);
	buf_u8(out, '\n');
	for (uint32_t i = 0; i < lines->sigs && ledger_line(&reply, &line); i++) {
		if (!ledger_sig_is_of(&lines->sig[i], witness))
			continue;
		buf_put(out, line.p, line.n + 1);
		n++;
	}
	return n > 0;
}

int ledger_witness_reply(struct bytes reply, struct bytes note, const struct vkey *witness,
                         const struct ledger_time *t, struct buf *lines, struct checks *checks)
{
	struct buf all = buf_make(NOTE_MAX + WITNESS_ANSWER_MAX);
	struct tlog_policy *policy = malloc(sizeof(*policy));
	struct note *n = malloc(2 * sizeof(*n));
	struct ledger_head head;
	int ret = policy && n ? 0 : -ENOMEM;

	if (ret)
		goto out;
	if (reply.n > WITNESS_ANSWER_MAX || ledger_note_parse(note, &n[0]) ||
	    ledger_sig_lines_parse(reply, &n[1]) ||
	    ledger_policy_flat(policy, NULL, 0, witness, 1, 1)) {
		check_add(checks, "ledger.format", CHECK_FAIL, "the answer is no signature lines");
		goto out;
	}
	if (!note_of_answer(reply, &n[1], n[0].text, witness, &all)) {
		check_add(checks, "ledger.witness-signature", CHECK_FAIL,
		          "no line of the answer is by %s", witness->name);
		goto out;
	}
	ret = all.bad ? -ENOMEM
	              : ledger_verify_checkpoint(buf_view(&all), policy, t, &head, checks);
	if (!ret && checks_overall(checks) == CHECK_PASS)
		buf_put(lines, all.p + n[0].text.n + 1, all.n - n[0].text.n - 1);
	if (!ret && lines->bad)
		ret = -ENOMEM;
out:
	buf_free(&all);
	free(policy);
	free(n);
	return ret;
}
