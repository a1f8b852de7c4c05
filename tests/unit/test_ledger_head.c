/* SPDX-License-Identifier: Apache-2.0 */
/* The last-seen rule: every pair of heads, with and without a proof between them. */
#include "tests/unit/ledger_vectors.h"

static struct ledger_last seen(const char *origin, uint64_t size, const struct hash *root)
{
	struct ledger_last last = {.known = true, .cp = {.size = size, .root = *root}};

	snprintf(last.cp.origin, sizeof(last.cp.origin), "%s", origin);
	return last;
}

/* name expect last_size last_root new_size new_root proof */
static void last_seen_row(const struct row *r, void *ctx)
{
	struct hash proof[PATH_MAX_HASHES];
	struct hash last_root;
	struct hash root;
	struct checks c = {0};
	enum head_step step;
	int n = hashes_of(r->f[6], proof, PATH_MAX_HASHES);

	(void)ctx;
	assert_true(hash_of(r->f[3], &last_root) && hash_of(r->f[5], &root) && n >= 0);

	struct ledger_last last = seen("o", strtoull(r->f[2], NULL, 10), &last_root);
	struct ledger_last now = seen("o", strtoull(r->f[4], NULL, 10), &root);

	step = ledger_head_step(&last, &now.cp, n ? proof : NULL, (size_t)n, false, &c);
	if (strcmp(r->f[1], "accept") == 0) {
		assert_overall(r->f[0], &c, CHECK_PASS);
		assert_int_equal(step, now.cp.size == last.cp.size ? HEAD_SAME : HEAD_ADVANCE);
	} else {
		assert_only(&c, strcmp(r->f[1], "stale") == 0 ? "ledger.rollback" : "ledger.fork",
		            CHECK_FAIL);
		assert_int_equal(step, HEAD_REFUSE);
	}
}

static void last_seen_vectors(void **state)
{
	(void)state;
	need_vectors("checkpoint/last_seen.tsv");
	assert_int_equal(each_row("checkpoint/last_seen.tsv", last_seen_row, NULL), 9);
}

/* Two notes of one log that can't both be true, as its own signatures show. */
static struct checkpoint signed_head(const char *file, const char *vkey, const char *origin)
{
	struct tlog_policy *p = malloc(sizeof(*p));
	struct ledger_time t = {VERDICT_FOREVER, -1};
	struct bytes note = vector_read(file);
	struct ledger_head head;
	struct checks c = {0};
	struct vkey k;

	assert_non_null(p);
	assert_int_equal(ledger_vkey_parse(bytes_str(vkey), &k), 0);
	assert_int_equal(ledger_policy_flat(p, &k, 1, NULL, 0, 0), 0);
	snprintf(p->origin, sizeof(p->origin), "%s", origin);
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_overall(file, &c, CHECK_PASS);
	bytes_done(note);
	free(p);
	return head.cp;
}

static void fork_vectors(void **state)
{
	static const char sumdb[] =
	        "localhost.localdev/sumdb+00000c67+AcTrnkbUA+TU4heY3hkjiSES/DSQniBqIeQ/YppAUtK6";
	static const char syn[] = "ledger.example/measurements+74cbfb31+"
	                          "AZUtfvz8aYdDIkeyeDBxdjJvkOTHELuNYZPRyz0p5/gx";
	struct ledger_last last = {.known = true};
	struct checkpoint cp;
	struct checks c = {0};
	struct hash line[8];
	size_t n = 0;

	(void)state;
	need_vectors("checkpoint/sumdb-fork-old.note");
	last.cp = signed_head("checkpoint/syn-fork-a-size11.checkpoint", syn, "");
	cp = signed_head("checkpoint/syn-fork-b-size11.checkpoint", syn, "");
	assert_int_equal(ledger_head_step(&last, &cp, NULL, 0, false, &c), HEAD_REFUSE);
	assert_only(&c, "ledger.fork", CHECK_FAIL);

	struct bytes text = vector_read("checkpoint/sumdb-fork-proof.txt");
	char *save = NULL;

	for (char *l = strtok_r((char *)(uintptr_t)text.p, "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save)) {
		assert_true(n < 8);
		assert_int_equal(base64_decode(bytes_str(l), line[n].v, HASH_LEN), HASH_LEN);
		n++;
	}
	bytes_done(text);
	last.cp = signed_head("checkpoint/sumdb-fork-old.note", sumdb, "go.sum database tree");
	cp = signed_head("checkpoint/sumdb-fork-new.note", sumdb, "go.sum database tree");
	/* The proof leads from another root of that size to the new one. */
	assert_int_equal(
	        ledger_consistency(last.cp.size, &line[0], cp.size, &cp.root, line + 1, n - 1), 0);
	c = (struct checks){0};
	assert_int_equal(ledger_head_step(&last, &cp, line + 1, n - 1, false, &c), HEAD_REFUSE);
	assert_only(&c, "ledger.fork", CHECK_FAIL);
}

/* ------------------------------------------------------------------- our own */

struct heads {
	struct hash leaf[4];
	struct hash root[5];
};

static void heads_make(struct heads *h)
{
	for (uint8_t i = 0; i < 4; i++)
		ledger_leaf_hash((struct bytes){&i, 1}, &h->leaf[i]);
	for (uint64_t n = 0; n <= 4; n++)
		assert_int_equal(ledger_root(four_leaves, h->leaf, n, &h->root[n]), 0);
}

static void first_use(void **state)
{
	struct ledger_last none = {0};
	struct heads h;
	struct checks c = {0};

	(void)state;
	heads_make(&h);

	struct ledger_last now = seen("o", 4, &h.root[4]);

	assert_int_equal(ledger_head_step(&none, &now.cp, NULL, 0, false, &c), HEAD_FIRST);
	assert_overall("first", &c, CHECK_PASS);
	c = (struct checks){0};
	assert_int_equal(ledger_head_step(&none, &now.cp, NULL, 0, true, &c), HEAD_REFUSE);
	assert_only(&c, "ledger.first-use", CHECK_FAIL);
	/* What is known is known, required or not. */
	c = (struct checks){0};
	assert_int_equal(ledger_head_step(&now, &now.cp, NULL, 0, true, &c), HEAD_SAME);
	assert_overall("same", &c, CHECK_PASS);
}

static void steps(void **state)
{
	struct hash proof[PATH_MAX_HASHES];
	struct heads h;
	size_t n;

	(void)state;
	heads_make(&h);
	for (uint64_t a = 1; a <= 4; a++) {
		for (uint64_t b = 1; b <= 4; b++) {
			struct ledger_last last = seen("o", a, &h.root[a]);
			struct ledger_last now = seen("o", b, &h.root[b]);
			uint64_t small = a < b ? a : b;
			uint64_t large = a < b ? b : a;
			struct checks c = {0};

			assert_int_equal(ledger_prove_consistency(four_leaves, h.leaf, small, large,
			                                          proof, &n),
			                 0);
			assert_int_equal(ledger_head_step(&last, &now.cp, proof, n, false, &c),
			                 a < b    ? HEAD_ADVANCE
			                 : a == b ? HEAD_SAME
			                          : HEAD_BEHIND);
			assert_overall("proved", &c, CHECK_PASS);

			/* Without a proof: usable ahead, refused behind. */
			c = (struct checks){0};
			assert_int_equal(ledger_head_step(&last, &now.cp, NULL, 0, false, &c),
			                 a < b    ? HEAD_AHEAD
			                 : a == b ? HEAD_SAME
			                          : HEAD_REFUSE);
			if (a > b)
				assert_only(&c, "ledger.rollback", CHECK_FAIL);
			else
				assert_overall("unproved", &c, CHECK_PASS);
			if (a == b)
				continue;

			/* With a proof that does not hold. */
			now.cp.root.v[0] ^= 1;
			c = (struct checks){0};
			assert_int_equal(ledger_head_step(&last, &now.cp, proof, n, false, &c),
			                 HEAD_REFUSE);
			assert_only(&c, "ledger.fork", CHECK_FAIL);
		}
	}
}

/* What is remembered of earlier trees: in order, once each, and thinned where it is dense. */
static void earlier(void **state)
{
	struct checkpoint cp = {.origin = "o"};
	struct ledger_last last = {.known = false};
	struct checks c = {0};

	(void)state;
	cp.size = 10;
	ledger_last_add(&last, &cp, 1);
	assert_int_equal(last.earlier_n, 0); /* of nothing nothing is a part */
	assert_true(ledger_last_move(&last, &cp, 100));
	assert_int_equal(last.earlier_n, 0);
	cp.size = 20;
	cp.root.v[0] = 2;
	assert_true(ledger_last_move(&last, &cp, 200));
	assert_int_equal(last.earlier_n, 1);
	assert_int_equal(last.earlier[0].size, 10);
	assert_int_equal(last.earlier[0].at, 100);
	/* Never back, and one time for one tree: the newest. */
	cp.size = 19;
	assert_false(ledger_last_move(&last, &cp, 300));
	cp.size = 20;
	cp.root.v[0] = 3;
	assert_false(ledger_last_move(&last, &cp, 300));
	cp.root.v[0] = 2;
	assert_true(ledger_last_move(&last, &cp, 150));
	assert_int_equal(last.at, 200);
	cp.size = 15;
	ledger_last_add(&last, &cp, 120);
	ledger_last_add(&last, &cp, 900);
	ledger_last_add(&last, &cp, 130);
	assert_int_equal(last.earlier_n, 2);
	assert_int_equal(last.earlier[1].at, 900);
	assert_int_equal(ledger_last_time(&last), 900);
	/* The same size is not the same tree. */
	assert_int_equal(ledger_head_step(&last, &cp, NULL, 0, false, &c), HEAD_BEHIND);
	assert_overall("earlier", &c, CHECK_PASS);
	cp.root.v[0] = 9;
	c = (struct checks){0};
	assert_int_equal(ledger_head_step(&last, &cp, NULL, 0, false, &c), HEAD_REFUSE);
	assert_only(&c, "ledger.rollback", CHECK_FAIL);
}

static void earlier_is_thinned(void **state)
{
	struct ledger_last last = {.known = false};
	struct checkpoint cp = {.origin = "o"};

	(void)state;
	/* A day apart, then a minute apart. */
	for (uint64_t i = 1; i <= 200; i++) {
		cp.size = i;
		assert_true(ledger_last_move(&last, &cp,
		                             (int64_t)(i <= 30 ? i * 86400 : 30 * 86400 + i * 60)));
	}
	assert_int_equal(last.earlier_n, LEDGER_EARLIER_MAX);
	for (uint32_t i = 0; i < 30; i++)
		assert_int_equal(last.earlier[i].size, i + 1);
	for (uint32_t i = 1; i < last.earlier_n; i++)
		assert_true(last.earlier[i - 1].size < last.earlier[i].size);
	assert_int_equal(last.earlier[last.earlier_n - 1].size, 199);
}

/* A leaf is from between a head that does not hold it and one that does. */
static void published(void **state)
{
	struct ledger_last last = {.known = true,
	                           .cp = {.size = 30},
	                           .at = 300,
	                           .earlier_n = 3,
	                           .earlier = {{.size = 10, .at = 100},
	                                       {.size = 15, .at = 0},
	                                       {.size = 20, .at = 200}}};
	static const struct {
		uint64_t index;
		int64_t after, before;
	} cases[] = {{9, 0, 100},    {10, 100, 200}, {14, 100, 200}, {19, 100, 200},
	             {20, 200, 300}, {29, 200, 300}, {30, 300, 0}};
	int64_t after, before;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		ledger_published_between(&last, cases[i].index, &after, &before);
		assert_int_equal(after, cases[i].after);
		assert_int_equal(before, cases[i].before);
	}
	last.known = false;
	last.earlier_n = 0;
	ledger_published_between(&last, 5, &after, &before);
	assert_int_equal(after, 0);
	assert_int_equal(before, 0);
}

static void clock_set_back(void **state)
{
	struct ledger_last last = {.known = true, .at = 5000};
	struct checks c = {0};

	(void)state;
	ledger_check_clock(&last, 5000 - LEDGER_SKEW, &c);
	assert_int_equal(c.n, 0);
	ledger_check_clock(&last, 5000 - LEDGER_SKEW - 1, &c);
	assert_only(&c, "ledger.clock", CHECK_UNAVAILABLE);
}

static void other_origin(void **state)
{
	struct heads h;
	struct checks c = {0};

	(void)state;
	heads_make(&h);

	struct ledger_last last = seen("o", 4, &h.root[4]);
	struct ledger_last now = seen("p", 4, &h.root[4]);

	assert_int_equal(ledger_head_step(&last, &now.cp, NULL, 0, false, &c), HEAD_REFUSE);
	assert_only(&c, "ledger.fork", CHECK_FAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(last_seen_vectors),  cmocka_unit_test(fork_vectors),
	        cmocka_unit_test(first_use),          cmocka_unit_test(steps),
	        cmocka_unit_test(other_origin),       cmocka_unit_test(earlier),
	        cmocka_unit_test(earlier_is_thinned), cmocka_unit_test(clock_set_back),
	        cmocka_unit_test(published),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
