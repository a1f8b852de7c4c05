/* SPDX-License-Identifier: Apache-2.0 */
/* Evidence of a fork: what two signed heads prove, and what they don't. */
#include "tests/unit/ledger_vectors.h"

static struct world w;
static struct hash
        other[4]; /* the leaves of the log's other tree: the first two are not the same */

static struct buf note_of(const struct hash *leaf, uint64_t size, EVP_PKEY *key, const char *name)
{
	struct checkpoint cp = {.size = size};
	struct buf b = buf_make(NOTE_MAX);

	snprintf(cp.origin, sizeof(cp.origin), "%s", name);
	assert_int_equal(ledger_root(four_leaves, (void *)(uintptr_t)leaf, size, &cp.root), 0);
	assert_int_equal(ledger_checkpoint_format(&cp, &b), 0);
	assert_int_equal(ledger_note_sign(&b, name, key), 0);
	return b;
}

static int setup(void **state)
{
	(void)state;
	world_make(&w);
	memcpy(other, w.leaf, sizeof(other));
	other[0].v[0] ^= 1;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_free(&w);
	return 0;
}

static void judge(const struct buf *seen, const struct buf *offered, struct ledger_fork *f,
                  struct checks *c)
{
	f->seen = buf_view(seen);
	f->offered = buf_view(offered);
	memset(c, 0, sizeof(*c));
	assert_int_equal(ledger_judge_fork(f, w.policy, c), 0);
}

static void one_size(void **state)
{
	struct buf a = note_of(w.leaf, 4, w.log, LOG_NAME), b = note_of(other, 4, w.log, LOG_NAME);
	struct ledger_fork f = {.from = 0};
	struct checks c;

	(void)state;
	judge(&a, &b, &f, &c);
	assert_overall("fork", &c, CHECK_PASS);
	assert_non_null(checks_find(&c, "ledger.evidence"));
	judge(&a, &a, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	buf_free(&a);
	buf_free(&b);
}

/* Hashes from the larger tree show with what it begins. */
static void two_sizes(void **state)
{
	struct buf a = note_of(w.leaf, 3, w.log, LOG_NAME), b = note_of(other, 4, w.log, LOG_NAME);
	struct buf honest = note_of(w.leaf, 4, w.log, LOG_NAME);
	struct ledger_fork f = {.from = 3, .to = 4};
	struct checks c;

	(void)state;
	assert_int_equal(ledger_prove_consistency(four_leaves, other, 3, 4, f.proof, &f.proof_n),
	                 0);
	assert_int_equal(ledger_root(four_leaves, other, 3, &f.from_root), 0);
	judge(&a, &b, &f, &c);
	assert_overall("fork", &c, CHECK_PASS);
	judge(&b, &a, &f, &c); /* whichever was seen first */
	assert_overall("fork", &c, CHECK_PASS);
	/* Those of another tree lead nowhere. */
	judge(&a, &honest, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	f.proof[0].v[0] ^= 1;
	judge(&a, &b, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	f.proof[0].v[0] ^= 1;
	f.from = 2;
	judge(&a, &b, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	/* An honest log's proof shows that the two belong together. */
	f.from = 3;
	assert_int_equal(ledger_prove_consistency(four_leaves, w.leaf, 3, 4, f.proof, &f.proof_n),
	                 0);
	assert_int_equal(ledger_root(four_leaves, w.leaf, 3, &f.from_root), 0);
	judge(&a, &honest, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	/* And no proof is none. */
	f = (struct ledger_fork){.from = 0};
	judge(&a, &b, &f, &c);
	assert_only(&c, "ledger.evidence", CHECK_FAIL);
	buf_free(&a);
	buf_free(&b);
	buf_free(&honest);
}

/* Only what the log itself signed counts against it. */
static void not_the_logs(void **state)
{
	struct buf a = note_of(w.leaf, 4, w.log, LOG_NAME);
	struct buf b = note_of(other, 4, w.witness[0], LOG_NAME);
	struct buf none = buf_make(16);
	struct ledger_fork f = {.from = 0};
	struct checks c;

	(void)state;
	judge(&a, &b, &f, &c);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.v[0].status, CHECK_PASS);
	assert_int_equal(c.v[1].status, CHECK_FAIL);
	assert_string_equal(c.v[1].id, "ledger.log-signature");
	assert_null(checks_find(&c, "ledger.evidence"));
	judge(&none, &a, &f, &c);
	assert_int_equal(c.v[0].status, CHECK_FAIL);
	assert_null(checks_find(&c, "ledger.evidence"));
	/* A policy without a log would take anybody's word. */
	w.policy->logs = 0;
	judge(&a, &a, &f, &c);
	assert_null(checks_find(&c, "ledger.evidence"));
	buf_free(&a);
	buf_free(&b);
	buf_free(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(one_size, setup, teardown),
	        cmocka_unit_test_setup_teardown(two_sizes, setup, teardown),
	        cmocka_unit_test_setup_teardown(not_the_logs, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
