/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last-seen rule: a head that was accepted once is never forgotten for a smaller one, and a
 * second tree beside it is a fork. The state is the caller's to keep.
 */
#include "ledger/ledger.h"

#include <inttypes.h>
#include <string.h>
#include <openssl/crypto.h>

static enum head_step same_size(const struct checkpoint *last, const struct checkpoint *cp,
                                struct checks *checks)
{
	if (CRYPTO_memcmp(last->root.v, cp->root.v, HASH_LEN) != 0) {
		check_add(checks, "ledger.fork", CHECK_FAIL,
		          "two roots for size %" PRIu64 " of \"%s\"", cp->size, cp->origin);
		return HEAD_REFUSE;
	}
	check_add(checks, "ledger.fork", CHECK_PASS, "the head that was last seen");
	check_add(checks, "ledger.rollback", CHECK_PASS, "size %" PRIu64, cp->size);
	return HEAD_SAME;
}

/* ------------------------------------------------------------------ memory */

static const struct ledger_earlier *find_earlier(const struct ledger_last *last,
                                                 const struct checkpoint *cp)
{
	for (uint32_t i = 0; i < last->earlier_n; i++)
		if (last->earlier[i].size == cp->size &&
		    !CRYPTO_memcmp(last->earlier[i].root.v, cp->root.v, HASH_LEN))
			return &last->earlier[i];
	return NULL;
}

/* The first and the last always stay. */
static void make_room(struct ledger_last *last)
{
	uint32_t drop = 1;

	for (uint32_t i = 1; i + 1 < last->earlier_n; i++)
		if (last->earlier[i + 1].at - last->earlier[i - 1].at <
		    last->earlier[drop + 1].at - last->earlier[drop - 1].at)
			drop = i;
	last->earlier_n--;
	memmove(&last->earlier[drop], &last->earlier[drop + 1],
	        (last->earlier_n - drop) * sizeof(last->earlier[0]));
}

void ledger_last_add(struct ledger_last *last, const struct checkpoint *cp, int64_t at)
{
	const struct ledger_earlier e = {cp->size, cp->root, at};
	uint32_t i = 0;

	if (!last->known || !cp->size || cp->size >= last->cp.size)
		return;
	while (i < last->earlier_n && last->earlier[i].size < cp->size)
		i++;
	if (i < last->earlier_n && last->earlier[i].size == cp->size) {
		if (at > last->earlier[i].at)
			last->earlier[i].at = at;
		return;
	}
	if (last->earlier_n == LEDGER_EARLIER_MAX) {
		make_room(last);
		for (i = 0; i < last->earlier_n && last->earlier[i].size < cp->size;)
			i++;
	}
	memmove(&last->earlier[i + 1], &last->earlier[i],
	        (last->earlier_n - i) * sizeof(last->earlier[0]));
	last->earlier[i] = e;
	last->earlier_n++;
}

bool ledger_last_move(struct ledger_last *last, const struct checkpoint *cp, int64_t at)
{
	const struct checkpoint was = last->cp;
	const int64_t was_at = last->at;
	const bool first = !last->known;

	if (!first && (cp->size < was.size ||
	               (cp->size == was.size && memcmp(&cp->root, &was.root, sizeof(was.root)))))
		return false;
	if (!first && cp->size == was.size) {
		if (at > last->at)
			last->at = at;
		return true;
	}
	last->known = true;
	last->cp = *cp;
	last->at = at;
	if (!first)
		ledger_last_add(last, &was, was_at);
	return true;
}

int64_t ledger_last_time(const struct ledger_last *last)
{
	int64_t t = last->at;

	for (uint32_t i = 0; i < last->earlier_n; i++)
		if (last->earlier[i].at > t)
			t = last->earlier[i].at;
	return t;
}

static void bound(uint64_t size, int64_t at, uint64_t index, int64_t *after, int64_t *before)
{
	if (!at)
		return;
	if (size <= index && at > *after)
		*after = at;
	if (size > index && (!*before || at < *before))
		*before = at;
}

void ledger_published_between(const struct ledger_last *last, uint64_t index, int64_t *after,
                              int64_t *before)
{
	*after = *before = 0;
	for (uint32_t i = 0; i < last->earlier_n; i++)
		bound(last->earlier[i].size, last->earlier[i].at, index, after, before);
	if (last->known)
		bound(last->cp.size, last->at, index, after, before);
}

/* -------------------------------------------------------------------- rule */

void ledger_check_clock(const struct ledger_last *last, int64_t at, struct checks *checks)
{
	int64_t seen = ledger_last_time(last);

	if (at < seen - LEDGER_SKEW)
		check_add(checks, "ledger.clock", CHECK_UNAVAILABLE,
		          "it is %" PRId64
		          " by this host's clock, but witnesses vouched for a head "
		          "at %" PRId64,
		          at, seen);
}

/* The smaller tree is a prefix of the larger; nothing has to be proved of the empty one. */
static bool is_prefix(const struct checkpoint *small, const struct checkpoint *large,
                      const struct hash *proof, size_t proof_n)
{
	if (small->size == 0)
		return proof_n == 0;
	return ledger_consistency(small->size, &small->root, large->size, &large->root, proof,
	                          proof_n) == 0;
}

static enum head_step larger(const struct checkpoint *last, const struct checkpoint *cp,
                             const struct hash *proof, size_t proof_n, struct checks *checks)
{
	bool at_hand = proof || last->size == 0;

	if (at_hand && !is_prefix(last, cp, proof, proof_n)) {
		check_add(checks, "ledger.fork", CHECK_FAIL,
		          "size %" PRIu64 " of \"%s\" is not proved to extend size %" PRIu64,
		          cp->size, cp->origin, last->size);
		return HEAD_REFUSE;
	}
	if (at_hand)
		check_add(checks, "ledger.fork", CHECK_PASS, "extends size %" PRIu64, last->size);
	else
		check_add(checks, "ledger.fork", CHECK_SKIP,
		          "no consistency proof from size %" PRIu64 " at hand", last->size);
	check_add(checks, "ledger.rollback", CHECK_PASS, "size %" PRIu64 ", last seen %" PRIu64,
	          cp->size, last->size);
	return at_hand ? HEAD_ADVANCE : HEAD_AHEAD;
}

static enum head_step smaller(const struct ledger_last *seen, const struct checkpoint *cp,
                              const struct hash *proof, size_t proof_n, struct checks *checks)
{
	const struct checkpoint *last = &seen->cp;

	if (!proof && find_earlier(seen, cp)) {
		check_add(checks, "ledger.fork", CHECK_PASS, "proved before to be part of it");
		check_add(checks, "ledger.rollback", CHECK_PASS,
		          "size %" PRIu64 " is an earlier state of size %" PRIu64, cp->size,
		          last->size);
		return HEAD_BEHIND;
	}
	if (!proof) {
		check_add(checks, "ledger.rollback", CHECK_FAIL,
		          "size %" PRIu64 ", but size %" PRIu64 " of \"%s\" was seen", cp->size,
		          last->size, cp->origin);
		return HEAD_REFUSE;
	}
	if (!is_prefix(cp, last, proof, proof_n)) {
		check_add(checks, "ledger.fork", CHECK_FAIL,
		          "size %" PRIu64 " of \"%s\" is not proved to be part of size %" PRIu64,
		          cp->size, cp->origin, last->size);
		return HEAD_REFUSE;
	}
	check_add(checks, "ledger.fork", CHECK_PASS, "part of size %" PRIu64, last->size);
	check_add(checks, "ledger.rollback", CHECK_PASS,
	          "size %" PRIu64 " is an earlier state of size %" PRIu64, cp->size, last->size);
	return HEAD_BEHIND;
}

enum head_step ledger_head_step(const struct ledger_last *last, const struct checkpoint *cp,
                                const struct hash *consistency, size_t consistency_n,
                                bool require_known, struct checks *checks)
{
	if (!last->known) {
		check_add(checks, "ledger.first-use", require_known ? CHECK_FAIL : CHECK_PASS,
		          "no head of \"%s\" was seen before", cp->origin);
		return require_known ? HEAD_REFUSE : HEAD_FIRST;
	}
	if (strcmp(last->cp.origin, cp->origin) != 0) {
		check_add(checks, "ledger.fork", CHECK_FAIL,
		          "the head that was last seen is of \"%s\"", last->cp.origin);
		return HEAD_REFUSE;
	}
	if (cp->size == last->cp.size)
		return same_size(&last->cp, cp, checks);
	if (cp->size > last->cp.size)
		return larger(&last->cp, cp, consistency, consistency_n, checks);
	return smaller(last, cp, consistency, consistency_n, checks);
}
