/* SPDX-License-Identifier: Apache-2.0 */
/* The witness: every answer of add-checkpoint, and the sequence that others replay. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

#define WITNESS "example.com/witness"

/* A witness of the world's log, and what it remembers. */
struct watch {
	struct world w;
	struct witness_self self;
	struct ledger_last last;
	struct witness_answer answer;
	struct buf body;
};

static void watch_make(struct watch *t)
{
	memset(t, 0, sizeof(*t));
	world_make(&t->w);
	t->w.policy->quorum = -1;
	t->w.policy->witnesses = 0;
	t->self = (struct witness_self){WITNESS, test_key(77), TEST_TIME};
	t->body = buf_make(WITNESS_REPLY_MAX);
}

static void watch_free(struct watch *t)
{
	EVP_PKEY_free(t->self.key);
	buf_free(&t->body);
	world_free(&t->w);
}

/* Sends; remembers what a 200 says. The status. */
static unsigned send(struct watch *t, struct bytes body)
{
	static const struct ledger_last nothing;
	struct witness_request r;
	const struct ledger_last *last = &t->last;
	int ret = ledger_witness_parse(body, &r);

	buf_reset(&t->body);
	if (ret == -EINVAL)
		return 400;
	assert_int_equal(ret, 0);
	if (t->last.known && strcmp(t->last.cp.origin, r.cp.origin) != 0)
		last = &nothing;
	assert_int_equal(ledger_witness_step(&r, t->w.policy, last, &t->self, &t->answer, &t->body),
	                 0);
	if (t->answer.status == 200)
		t->last = t->answer.next;
	return t->answer.status;
}

/* A request for the first `size` leaves, signed by the log; the proof starts at `from`. */
static struct buf request(struct watch *t, uint64_t old, uint64_t from, uint64_t size)
{
	struct buf b = buf_make(WITNESS_REQUEST_MAX);
	struct hash proof[PATH_MAX_HASHES];
	char text[48];
	size_t n = 0;

	t->w.cp.size = size;
	assert_int_equal(ledger_root(four_leaves, t->w.leaf, size, &t->w.cp.root), 0);

	struct buf note = world_note(&t->w, LOG_NAME, 0, TEST_TIME);

	if (from)
		assert_int_equal(
		        ledger_prove_consistency(four_leaves, t->w.leaf, from, size, proof, &n), 0);
	buf_printf(&b, "old %" PRIu64 "\n", old);
	for (size_t i = 0; i < n; i++) {
		base64_encode(BYTES_OF(proof[i].v), text);
		buf_printf(&b, "%s\n", text);
	}
	buf_u8(&b, '\n');
	buf_bytes(&b, buf_view(&note));
	buf_free(&note);
	return b;
}

static unsigned ask(struct watch *t, uint64_t old, uint64_t from, uint64_t size)
{
	struct buf b = request(t, old, from, size);
	unsigned status = send(t, buf_view(&b));

	buf_free(&b);
	return status;
}

/* What a 200 says is a cosignature of this witness over what was sent, and nothing else. */
static void assert_cosigned(struct watch *t)
{
	struct ledger_time now = {TEST_TIME, 60};
	struct tlog_policy *p = malloc(sizeof(*p));
	struct buf note = world_note(&t->w, LOG_NAME, 0, TEST_TIME);
	struct ledger_head head;
	struct checks c = {0};
	struct vkey k;

	assert_non_null(p);
	assert_int_equal(ledger_vkey_of(t->self.key, WITNESS, NOTE_COSIGNATURE, &k), 0);
	assert_int_equal(ledger_policy_flat(p, t->w.policy->log, 1, &k, 1, 1), 0);
	buf_bytes(&note, buf_view(&t->body));
	assert_int_equal(ledger_verify_checkpoint(buf_view(&note), p, &now, &head, &c), 0);
	assert_overall("cosigned", &c, CHECK_PASS);
	assert_memory_equal(&head.cp, &t->last.cp, sizeof(head.cp));
	buf_free(&note);
	free(p);
}

static void grows(void **state)
{
	struct watch t;

	(void)state;
	watch_make(&t);
	assert_int_equal(ask(&t, 0, 0, 0), 200);
	assert_int_equal(ask(&t, 0, 0, 1), 200);
	assert_cosigned(&t);
	assert_int_equal(ask(&t, 1, 1, 3), 200);
	assert_cosigned(&t);
	assert_int_equal(ask(&t, 3, 3, 3), 200);
	assert_int_equal(ask(&t, 3, 3, 4), 200);
	assert_cosigned(&t);
	assert_int_equal(t.last.cp.size, 4);
	watch_free(&t);
}

static void refused(void **state)
{
	struct watch t;

	(void)state;
	watch_make(&t);
	assert_int_equal(ask(&t, 1, 0, 4), 409);
	assert_true(t.answer.genuine);
	assert_true(bytes_equal(buf_view(&t.body), bytes_str("0\n")));
	assert_int_equal(ask(&t, 0, 3, 4), 422);
	assert_int_equal(ask(&t, 0, 0, 3), 200);
	assert_int_equal(ask(&t, 4, 0, 3), 400);
	assert_int_equal(ask(&t, 0, 0, 3), 409);
	assert_true(bytes_equal(buf_view(&t.body), bytes_str("3\n")));
	assert_int_equal(ask(&t, 3, 0, 4), 422);
	assert_int_equal(ask(&t, 3, 2, 4), 422);
	assert_false(t.answer.fork);
	t.w.leaf[0].v[0] ^= 1;
	assert_int_equal(ask(&t, 3, 3, 3), 422);
	assert_true(t.answer.genuine);
	assert_true(t.answer.fork);
	assert_int_equal(ask(&t, 3, 3, 4), 422);
	assert_true(t.answer.genuine);
	assert_false(t.answer.fork);
	/* Asking with a size that is not remembered hides nothing. */
	assert_int_equal(ask(&t, 0, 0, 3), 409);
	assert_true(t.answer.fork);
	assert_int_equal(t.last.cp.size, 3);
	watch_free(&t);
}

/* ------------------------------------------------------------- the log's side */

/* What becomes of an answer: its lines, or the id of what refuses it. */
static const char *take(struct watch *t, struct bytes reply, int64_t at, struct buf *lines)
{
	static char id[CHECK_ID_MAX];
	struct ledger_time time = {at, 3600};
	struct buf note = world_note(&t->w, LOG_NAME, 0, TEST_TIME);
	struct checks c = {0};
	struct vkey k;

	buf_reset(lines);
	assert_int_equal(ledger_vkey_of(t->self.key, WITNESS, NOTE_COSIGNATURE, &k), 0);
	assert_int_equal(ledger_witness_reply(reply, buf_view(&note), &k, &time, lines, &c), 0);
	buf_free(&note);
	if (checks_overall(&c) == CHECK_PASS)
		return "";
	assert_int_equal(lines->n, 0);
	assert_non_null(checks_first(&c, CHECK_FAIL));
	snprintf(id, sizeof(id), "%s", checks_first(&c, CHECK_FAIL)->id);
	return id;
}

static void answered(void **state)
{
	struct buf lines = buf_make(WITNESS_ANSWER_MAX);
	struct buf reply = buf_make(WITNESS_ANSWER_MAX + 1);
	struct buf stranger;
	const uint8_t *at;
	struct watch t;

	(void)state;
	watch_make(&t);
	assert_int_equal(ask(&t, 0, 0, 3), 200);
	buf_bytes(&reply, buf_view(&t.body));
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME, &lines), "");
	assert_true(bytes_equal(buf_view(&lines), buf_view(&reply)));
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME + 3601, &lines), "ledger.fresh");
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME - 301, &lines), "ledger.fresh");
	assert_string_equal(take(&t, BYTES_NONE, TEST_TIME, &lines), "ledger.format");
	assert_string_equal(take(&t, bytes_str("thanks\n"), TEST_TIME, &lines), "ledger.format");
	assert_string_equal(take(&t, (struct bytes){reply.p, reply.n - 1}, TEST_TIME, &lines),
	                    "ledger.format");
	/* Lines of others are not looked at, and not taken. */
	stranger = world_note(&t.w, LOG_NAME, 0, TEST_TIME);
	buf_reset(&reply);
	at = (const uint8_t *)memmem(stranger.p, stranger.n, "\n\n", 2) + 2;
	buf_put(&reply, at, stranger.n - (size_t)(at - stranger.p));
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME, &lines),
	                    "ledger.witness-signature");
	buf_bytes(&reply, buf_view(&t.body));
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME, &lines), "");
	assert_true(bytes_equal(buf_view(&lines), buf_view(&t.body)));
	/* Of another head. */
	t.w.cp.size = 4;
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME, &lines),
	                    "ledger.witness-signature");
	t.w.cp.size = 3;
	while (reply.n <= WITNESS_ANSWER_MAX && !reply.bad)
		buf_bytes(&reply, buf_view(&t.body));
	assert_string_equal(take(&t, buf_view(&reply), TEST_TIME, &lines), "ledger.format");
	buf_free(&stranger);
	buf_free(&reply);
	buf_free(&lines);
	watch_free(&t);
}

/* What is asked is what a witness reads. */
static void asked(void **state)
{
	struct buf b = buf_make(WITNESS_REQUEST_MAX);
	struct hash proof[PATH_MAX_HASHES];
	struct witness_request r;
	struct watch t;

	(void)state;
	watch_make(&t);
	t.w.cp.size = 4;
	assert_int_equal(ledger_root(four_leaves, t.w.leaf, 4, &t.w.cp.root), 0);
	memset(proof, 7, sizeof(proof));

	struct buf note = world_note(&t.w, LOG_NAME, 0, TEST_TIME);

	for (uint32_t n = 0; n <= PATH_MAX_HASHES; n++) {
		buf_reset(&b);
		assert_int_equal(ledger_witness_request(n, proof, n, buf_view(&note), &b), 0);
		assert_int_equal(ledger_witness_parse(buf_view(&b), &r), 0);
		assert_int_equal(r.old, n);
		assert_int_equal(r.proof_n, n);
		assert_memory_equal(r.proof, proof, n * sizeof(*proof));
		assert_true(bytes_equal(r.note, buf_view(&note)));
	}
	buf_free(&note);
	buf_free(&b);
	watch_free(&t);
}

static void sizes(void **state)
{
	static const char *const bad[] = {
	        "", "\n", "5", "05\n", "5\n\n", "5\n6\n", " 5\n", "-1\n", "9223372036854775808\n"};
	uint64_t n = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(ledger_witness_size_parse(bytes_str(bad[i]), &n), -EINVAL);
	assert_int_equal(n, 7);
	assert_int_equal(ledger_witness_size_parse(bytes_str("0\n"), &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(ledger_witness_size_parse(bytes_str("9223372036854775807\n"), &n), 0);
	assert_int_equal(n, INT64_MAX);
}

static void not_the_logs(void **state)
{
	struct watch t;
	struct witness_request r;

	(void)state;
	watch_make(&t);

	struct buf b = request(&t, 0, 0, 4);
	EVP_PKEY *log = t.w.log;

	t.w.log = test_key(99);

	struct buf other = request(&t, 0, 0, 4);

	assert_int_equal(send(&t, buf_view(&other)), 403);
	assert_false(t.answer.genuine);
	buf_free(&other);
	EVP_PKEY_free(t.w.log);
	t.w.log = log;
	/* The same key id over another text. */
	((char *)memmem(b.p, b.n, "\n4\n", 3))[1] = '5';
	assert_int_equal(send(&t, buf_view(&b)), 403);
	buf_free(&b);
	strcpy(t.w.cp.origin, "log.example/other");
	assert_int_equal(ask(&t, 0, 0, 4), 404);
	strcpy(t.w.cp.origin, LOG_NAME);
	/* What is remembered is of another origin: the caller's mistake, never an answer. */
	b = request(&t, 0, 0, 4);
	assert_int_equal(ledger_witness_parse(buf_view(&b), &r), 0);
	t.last.known = true;
	strcpy(t.last.cp.origin, "log.example/other");
	assert_int_equal(ledger_witness_step(&r, t.w.policy, &t.last, &t.self, &t.answer, &t.body),
	                 -EINVAL);
	assert_int_equal(t.answer.status, 0);
	buf_free(&b);
	watch_free(&t);
}

static void empty_tree(void **state)
{
	struct buf b = buf_make(WITNESS_REQUEST_MAX);
	struct watch t;

	(void)state;
	watch_make(&t);
	t.w.cp.size = 0;

	struct buf note = world_note(&t.w, LOG_NAME, 0, TEST_TIME);

	buf_str(&b, "old 0\n\n");
	buf_bytes(&b, buf_view(&note));
	assert_int_equal(send(&t, buf_view(&b)), 422);
	assert_false(t.last.known);
	buf_free(&note);
	buf_free(&b);
	watch_free(&t);
}

/* Every cut and every flipped bit of a good request is refused, and is remembered by nobody. */
static void bent(void **state)
{
	struct watch t;

	(void)state;
	watch_make(&t);
	assert_int_equal(ask(&t, 0, 0, 3), 200);

	struct buf b = request(&t, 3, 3, 4);

	for (size_t n = 0; n < b.n; n++)
		assert_int_not_equal(send(&t, (struct bytes){b.p, n}), 200);
	for (size_t i = 0; i < 8 * b.n; i++) {
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
		assert_int_not_equal(send(&t, buf_view(&b)), 200);
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(t.last.cp.size, 3);
	assert_int_equal(send(&t, buf_view(&b)), 200);
	buf_free(&b);
	watch_free(&t);
}

static void malformed(void **state)
{
	static const char *const bad[] = {
	        "",
	        "old",
	        "old 0",
	        "old 0\n",
	        "old 0\n\n",
	        "old -1\n\n",
	        "old 00\n\n",
	        "new 0\n\n",
	        "old 0\nAA==\n\n",
	        "old 9223372036854775808\n\n",
	};
	struct buf b = buf_make(WITNESS_REQUEST_MAX);
	struct witness_request r;
	struct watch t;
	char hash[48];

	(void)state;
	watch_make(&t);

	struct buf note = world_note(&t.w, LOG_NAME, 0, TEST_TIME);

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_reset(&b);
		buf_str(&b, bad[i]);
		assert_int_equal(ledger_witness_parse(buf_view(&b), &r), -EINVAL);
		/* With a note behind it only what had no end is still wrong. */
		buf_bytes(&b, buf_view(&note));
		if (strcmp(bad[i], "old 0\n\n") != 0)
			assert_int_equal(ledger_witness_parse(buf_view(&b), &r), -EINVAL);
	}
	base64_encode(BYTES_OF(t.w.cp.root.v), hash);
	for (int n = 63; n <= 64; n++) {
		buf_reset(&b);
		buf_str(&b, "old 1\n");
		for (int i = 0; i < n; i++)
			buf_printf(&b, "%s\n", hash);
		buf_u8(&b, '\n');
		buf_bytes(&b, buf_view(&note));
		assert_int_equal(ledger_witness_parse(buf_view(&b), &r), n == 63 ? 0 : -EINVAL);
	}
	buf_free(&note);
	buf_free(&b);
	watch_free(&t);
}

/* order name statuses body */
static void replay_row(const struct row *r, void *ctx)
{
	struct watch *t = ctx;
	char name[200];
	char status[8];
	size_t n;

	n = (size_t)snprintf(name, sizeof(name), "cosignature/witness/%s-", r->f[0]);
	for (const char *s = r->f[1]; *s && n < sizeof(name) - 1; s++)
		name[n++] = *s == ' ' || *s == '\'' ? '-' : *s;
	snprintf(name + n, sizeof(name) - n, ".request");

	struct bytes body = vector_read(name);

	snprintf(status, sizeof(status), "%u", send(t, body));
	if (!strstr(r->f[2], status))
		fail_msg("%s: %s, wanted %s", name, status, r->f[2]);
	if (strcmp(status, "200") == 0)
		assert_non_null(memmem(t->body.p, t->body.n, "\xe2\x80\x94 " WITNESS " ", 24));
	if (strcmp(status, "409") == 0)
		assert_memory_equal(t->body.p, r->f[3] + 1, 1);
	bytes_done(body);
}

static void vectors(void **state)
{
	static const char log[] = "sigsum.org/v1/tree/"
	                          "4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"
	                          "+5202289b+Af/cLU2Y5BJNP+r3iMDC+av9eWCD0fBJVDfzAux5zxAP";
	struct watch t;

	(void)state;
	need_vectors("cosignature/witness/expected.tsv");
	watch_make(&t);
	assert_int_equal(ledger_vkey_parse(bytes_str(log), &t.w.policy->log[0]), 0);
	assert_int_equal(each_row("cosignature/witness/expected.tsv", replay_row, &t), 11);
	assert_int_equal(t.last.cp.size, 5);
	watch_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(grows),        cmocka_unit_test(refused),
	        cmocka_unit_test(not_the_logs), cmocka_unit_test(empty_tree),
	        cmocka_unit_test(bent),         cmocka_unit_test(malformed),
	        cmocka_unit_test(vectors),      cmocka_unit_test(answered),
	        cmocka_unit_test(asked),        cmocka_unit_test(sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
