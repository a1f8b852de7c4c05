/* SPDX-License-Identifier: Apache-2.0 */
/* tlog-proofs: framing, the verdict over whole proofs, and any bit of one changed. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

#define HEADER "c2sp.org/tlog-proof@v1\n"
#define HASH   "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"

static bool have_mldsa44(void)
{
	EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ML-DSA-44", NULL);

	EVP_SIGNATURE_free(s);
	return s != NULL;
}

/* ------------------------------------------------------------------ framing */

/* name expect hex */
static void parse_row(const struct row *r, void *ctx)
{
	size_t n = strlen(r->f[2]) / 2;
	uint8_t *raw = malloc(n);
	struct tlog_proof *p = malloc(sizeof(*p));
	struct buf b = buf_make(TLOG_PROOF_MAX);
	bool ok;

	(void)ctx;
	assert_true(raw && p);
	assert_int_equal(hex_decode(bytes_str(r->f[2]), raw, n), 0);
	ok = ledger_proof_parse((struct bytes){raw, n}, p) == 0;
	if (ok != (strcmp(r->f[1], "parse-ok") == 0))
		fail_msg("%s: %d, wanted %s", r->f[0], ok, r->f[1]);
	if (ok) {
		assert_int_equal(ledger_proof_format(p, &b), 0);
		assert_true(bytes_equal(buf_view(&b), (struct bytes){raw, n}));
	}
	buf_free(&b);
	free(p);
	free(raw);
}

static void parse_vectors(void **state)
{
	(void)state;
	need_vectors("proof/tlog/parse.tsv");
	assert_int_equal(each_row("proof/tlog/parse.tsv", parse_row, NULL), 10);
}

static void framing(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
	        {HEADER "index 0\n\nx\n", true},
	        {HEADER "index 9223372036854775807\n\nx", true},
	        {HEADER "extra YQ==\nindex 0\n\nx\n", true},
	        {HEADER "index 0\n" HASH "\nx\n", true},
	        {HEADER "index 0\n\n\n", true},
	        {HEADER "index 0\n\n", false},
	        {HEADER "index 0\n", false},
	        {HEADER "index 0\n" HASH, false},
	        {HEADER "index 0", false},
	        {HEADER, false},
	        {"", false},
	        {"c2sp.org/tlog-proof@v2\nindex 0\n\nx\n", false},
	        {"c2sp.org/tlog-proof@v1 \nindex 0\n\nx\n", false},
	        {"\n" HEADER "index 0\n\nx\n", false},
	        {"c2sp.org/tlog-proof@v1\r\nindex 0\n\nx\n", false},
	        {HEADER "index 9223372036854775808\n\nx\n", false},
	        {HEADER "index 00\n\nx\n", false},
	        {HEADER "index\n\nx\n", false},
	        {HEADER "index  0\n\nx\n", false},
	        {HEADER "Index 0\n\nx\n", false},
	        {HEADER "extra YQ\nindex 0\n\nx\n", false},
	        {HEADER "extra YR==\nindex 0\n\nx\n", false},
	        {HEADER "extra YQ==\nextra YQ==\nindex 0\n\nx\n", false},
	        {HEADER "index 0\nextra YQ==\n\nx\n", false},
	        {HEADER "index 0\nAAAA\n\nx\n", false},
	        {HEADER "index 0\n" HASH " \nx\n", false},
	        {HEADER "index 0\n \n\nx\n", false},
	};
	struct tlog_proof *p = malloc(sizeof(*p));

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if ((ledger_proof_parse(bytes_str(cases[i].text), p) == 0) != cases[i].ok)
			fail_msg("case %zu", i);
	}
	free(p);
}

static void framing_limits(void **state)
{
	struct tlog_proof *p = malloc(sizeof(*p));
	struct buf b = buf_make(2 * TLOG_PROOF_MAX);

	(void)state;
	assert_non_null(p);
	for (int n = 63; n <= 64; n++) {
		buf_reset(&b);
		buf_str(&b, HEADER "index 0\n");
		for (int i = 0; i < n; i++)
			buf_str(&b, HASH);
		buf_str(&b, "\nx\n");
		assert_int_equal(ledger_proof_parse(buf_view(&b), p), n == 63 ? 0 : -EINVAL);
	}
	for (int n = TLOG_EXTRA_MAX; n <= TLOG_EXTRA_MAX + 4; n += 4) {
		buf_reset(&b);
		buf_str(&b, HEADER "extra ");
		for (int i = 0; i < n; i++)
			buf_u8(&b, 'A');
		buf_str(&b, "\nindex 0\n\nx\n");
		assert_int_equal(ledger_proof_parse(buf_view(&b), p),
		                 n == TLOG_EXTRA_MAX ? 0 : -EINVAL);
	}
	for (int n = NOTE_MAX; n <= NOTE_MAX + 1; n++) {
		buf_reset(&b);
		buf_str(&b, HEADER "index 0\n\n");
		for (int i = 0; i < n; i++)
			buf_u8(&b, 'x');
		assert_int_equal(ledger_proof_parse(buf_view(&b), p), n == NOTE_MAX ? 0 : -EINVAL);
	}
	buf_free(&b);
	free(p);
}

/* ------------------------------------------------------------------ vectors */

static struct tlog_policy *policy_read(const char *name)
{
	struct tlog_policy *p = malloc(sizeof(*p));
	struct bytes file = vector_read(name);
	const char *why;
	uint32_t line;

	assert_non_null(p);
	if (ledger_policy_parse(file, p, &line, &why))
		fail_msg("%s:%u: %s", name, line, why);
	bytes_done(file);
	return p;
}

static void proof_row(const struct row *r, void *ctx)
{
	const char *file = r->f[0];
	int stem = (int)(strlen(file) - strlen(".tlog-proof"));
	struct ledger_time t = {field_number(r->f[4], "now=", VERDICT_FOREVER),
	                        field_number(r->f[4], "max_age=", -1)};
	enum check_status want = strcmp(r->f[3], "accept") == 0 ? CHECK_PASS : CHECK_FAIL;
	struct ledger_head head;
	struct checks c = {0};
	struct tlog_policy *p;
	struct bytes leaf;
	struct bytes proof;
	char name[256];

	if (strncmp(file, "proof/tlog/", 11) != 0 || stem <= 11 ||
	    strcmp(file + stem, ".tlog-proof") != 0)
		return;
	if (strstr(file, "mldsa") && want == CHECK_PASS && !have_mldsa44())
		want = CHECK_UNAVAILABLE;
	snprintf(name, sizeof(name), "%.*s.policy", stem, file);
	p = policy_read(name);
	snprintf(name, sizeof(name), "%.*s.entry", stem, file);
	leaf = vector_read(name);
	proof = vector_read(file);
	assert_int_equal(ledger_verify_proof(proof, leaf, p, &t, &head, &c), 0);
	assert_overall(file, &c, want);
	bytes_done(leaf);
	bytes_done(proof);
	free(p);
	((size_t *)ctx)[want]++;
}

static void proof_vectors(void **state)
{
	size_t n[CHECK_PASS + 1] = {0};

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", proof_row, n);
	print_message("proofs: %zu pass, %zu fail, %zu unavailable\n", n[CHECK_PASS], n[CHECK_FAIL],
	              n[CHECK_UNAVAILABLE]);
	assert_int_equal(n[CHECK_PASS] + n[CHECK_FAIL] + n[CHECK_UNAVAILABLE], 27);
}

/* ----------------------------------------------------- each check, alone */

static struct checks judge(const struct world *w, struct bytes proof, const char *leaf)
{
	struct ledger_time t = {TEST_TIME, 3600};
	struct ledger_head head;
	struct checks c = {0};

	assert_int_equal(ledger_verify_proof(proof, bytes_str(leaf), w->policy, &t, &head, &c), 0);
	return c;
}

static void checks_alone(void **state)
{
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	struct buf proof = world_proof(&w, buf_view(&note));

	c = judge(&w, buf_view(&proof), TEST_LEAF);
	assert_overall("good", &c, CHECK_PASS);
	assert_int_equal(c.n, 8);

	c = judge(&w, (struct bytes){proof.p + 1, proof.n - 1}, TEST_LEAF);
	assert_only(&c, "ledger.proof-format", CHECK_FAIL);
	c = judge(&w, buf_view(&proof), TEST_LEAF " ");
	assert_only(&c, "ledger.inclusion", CHECK_FAIL);
	c = judge(&w, buf_view(&proof), "");
	assert_only(&c, "ledger.inclusion", CHECK_FAIL);

	/* The checkpoint's checks are made here too; inclusion is looked at beside a quorum that
	 * is not met, but not under a log that did not sign. */
	w.policy->group[0].k = 3;
	c = judge(&w, buf_view(&proof), TEST_LEAF);
	assert_only(&c, "ledger.quorum", CHECK_FAIL);
	assert_non_null(checks_find(&c, "ledger.inclusion"));
	w.policy->group[0].k = 2;
	w.policy->logs = 0;
	c = judge(&w, buf_view(&proof), TEST_LEAF);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	assert_null(checks_find(&c, "ledger.inclusion"));
	buf_free(&proof);
	buf_free(&note);
	world_free(&w);
}

static void path_lengths(void **state)
{
	struct ledger_time t = {TEST_TIME, 3600};
	struct tlog_proof *p = malloc(sizeof(*p));
	struct ledger_head head;
	struct world w;

	(void)state;
	assert_non_null(p);
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	struct buf proof = world_proof(&w, buf_view(&note));

	for (int i = -1; i <= 1; i++) {
		struct checks c = {0};
		struct buf b = buf_make(TLOG_PROOF_MAX);

		assert_int_equal(ledger_proof_parse(buf_view(&proof), p), 0);
		p->path_n = (uint32_t)((int)p->path_n + i);
		assert_int_equal(ledger_proof_format(p, &b), 0);
		assert_int_equal(ledger_verify_proof(buf_view(&b), bytes_str(TEST_LEAF), w.policy,
		                                     &t, &head, &c),
		                 0);
		if (i)
			assert_only(&c, "ledger.inclusion", CHECK_FAIL);
		else
			assert_overall("as made", &c, CHECK_PASS);
		buf_free(&b);
	}
	buf_free(&proof);
	buf_free(&note);
	world_free(&w);
	free(p);
}

/* No single bit of a proof can be changed without its being noticed. */
static void any_bit(void **state)
{
	struct world w;
	size_t passed = 0;

	(void)state;
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	struct buf proof = world_proof(&w, buf_view(&note));

	for (size_t i = 0; i < proof.n; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			proof.p[i] ^= (uint8_t)(1u << bit);

			struct checks c = judge(&w, buf_view(&proof), TEST_LEAF);

			passed += checks_overall(&c) == CHECK_PASS;
			proof.p[i] ^= (uint8_t)(1u << bit);
		}
	}
	assert_int_equal(passed, 0);
	buf_free(&proof);
	buf_free(&note);
	world_free(&w);
}

static void too_large(void **state)
{
	struct ledger_time t = {TEST_TIME, 3600};
	uint8_t *leaf = calloc(1, LEAF_MAX + 1);
	struct ledger_head head;
	struct checks c = {0};
	struct world w;

	(void)state;
	assert_non_null(leaf);
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	struct buf proof = world_proof(&w, buf_view(&note));

	assert_int_equal(ledger_verify_proof(buf_view(&proof), (struct bytes){leaf, LEAF_MAX + 1},
	                                     w.policy, &t, &head, &c),
	                 0);
	assert_only(&c, "ledger.inclusion", CHECK_FAIL);
	assert_non_null(strstr(checks_find(&c, "ledger.inclusion")->detail, "16384"));
	buf_free(&proof);
	buf_free(&note);
	world_free(&w);
	free(leaf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(parse_vectors),  cmocka_unit_test(framing),
	        cmocka_unit_test(framing_limits), cmocka_unit_test(proof_vectors),
	        cmocka_unit_test(checks_alone),   cmocka_unit_test(path_lengths),
	        cmocka_unit_test(any_bit),        cmocka_unit_test(too_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
