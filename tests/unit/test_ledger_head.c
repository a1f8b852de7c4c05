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
	        cmocka_unit_test(last_seen_vectors), cmocka_unit_test(fork_vectors),
	        cmocka_unit_test(first_use),         cmocka_unit_test(steps),
	        cmocka_unit_test(other_origin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
