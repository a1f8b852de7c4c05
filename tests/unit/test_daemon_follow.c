/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs and witnesses followed in the background: what is asked for and when, what is shown to
 * verify, what becomes of it. The roles and the time are played here.
 */
#include "daemon_gate.h"

#include <sys/syscall.h>
#include <time.h>

#include "daemon/control.h"

#define PREFIX "https://log.example/"

static int64_t skew;
static struct checkpoint cp;

/* In place of the library's. NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
int clock_gettime(clockid_t id, struct timespec *t)
{
	int ret = (int)syscall(SYS_clock_gettime, id, t);

	t->tv_sec += skew;
	return ret;
}

/* NOLINTNEXTLINE(readability-inconsistent-declaration-parameter-name) */
time_t time(time_t *out)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_REALTIME, &t);
	if (out)
		*out = t.tv_sec;
	return t.tv_sec;
}

static int begin(void **state)
{
	int ret = setup(state);

	strcpy(g->now.policy->ledger[0].url, PREFIX);
	cp = (struct checkpoint){.origin = LOG_NAME, .size = 5};
	assert_int_equal(state_advance(&g->state, &cp, gate_now(), bytes_str("a note"), 1), 0);
	assert_int_equal(follow_open(g), 0);
	return ret;
}

static int end(void **state)
{
	follow_close(g);
	return teardown(state);
}

static void silence(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

static struct msg_fetch asked(void)
{
	struct msg_fetch m;

	follow_tick(g);
	m = *(struct msg_fetch *)sent(fetch, MSG_FETCH);
	assert_true(follow_asked(g, g->requests));
	return m;
}

static void answer(enum fetch_result result, const char *note, uint32_t wait)
{
	struct msg_fetched m = {.result = result,
	                        .piece_n = (uint32_t)strlen(note),
	                        .retry_after = wait,
	                        .tag = "\"v1\"",
	                        .error = "as played"};
	int fd = result == FETCH_OK ? file_memfd("note", bytes_str(note)) : -1;

	follow_fetched(g, &m, fd);
	if (fd >= 0)
		close(fd);
}

/* What verify says of what it was shown; id and status of the check that decides. */
static void judged(enum head_step step, const char *id, enum check_status status)
{
	struct msg_verdict m = {.head = {.step = step, .cp = cp, .at = gate_now()}};
	int fd = file_memfd("note", bytes_str("a newer note"));

	verdict_init(&m.verdict, "", gate_now());
	check_add(&m.verdict.checks, "ledger.format", CHECK_PASS, "x");
	check_add(&m.verdict.checks, id, status, "x");
	verdict_seal(&m.verdict);
	heads_advanced(g, &m, fd);
	close(fd);
}

/* Of a source of the first ledger: its logs, each with its witnesses behind it. */
static const char *code_of(size_t source)
{
	static char text[CHECK_ID_MAX];
	json_t *list = follow_status(g, 0);

	snprintf(text, sizeof(text), "%s",
	         json_string_value(json_object_get(json_array_get(list, source), "code")));
	json_decref(list);
	return text;
}

static const char *code(void)
{
	return code_of(0);
}

static void looked(const char *note)
{
	const struct msg_advance *a;

	(void)asked();
	answer(FETCH_OK, note, 0);
	a = sent(verify, MSG_ADVANCE);
	assert_true(a->look);
}

static void test_a_newer_head_moves_the_last_one(void **state)
{
	struct msg_consistent proof = {.n = 1};
	const struct msg_consistency *ask;
	struct msg_fetch m = asked();

	(void)state;
	assert_string_equal(m.url, PREFIX "checkpoint");
	assert_int_equal(m.max, NOTE_MAX);
	assert_string_equal(m.tag, "");
	answer(FETCH_OK, "a note", 0);
	assert_true(((struct msg_advance *)sent(verify, MSG_ADVANCE))->look);
	cp.size = 9;
	judged(HEAD_AHEAD, "ledger.fork", CHECK_SKIP);
	ask = sent(fetch, MSG_CONSISTENCY);
	assert_string_equal(ask->url, PREFIX);
	assert_int_equal(ask->from, 5);
	assert_int_equal(ask->to, 9);
	heads_consistent(g, g->head.request, &proof);
	assert_false(((struct msg_advance *)sent(verify, MSG_ADVANCE))->look);
	judged(HEAD_ADVANCE, "ledger.fork", CHECK_PASS);
	assert_int_equal(g->state.head[0].last.cp.size, 9);
	assert_int_equal(g->state.head[0].last.earlier[0].size, 5);
	assert_string_equal(code(), "");
	/* Not again before its time, and then only if it changed. */
	follow_tick(g);
	silence(fetch);
	skew += 301;
	assert_string_equal(asked().tag, "\"v1\"");
	answer(FETCH_SAME, "", 0);
	assert_string_equal(code(), "");
	silence(verify);
}

static void test_the_first_head(void **state)
{
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(heads_forget(g, LOG_NAME, path), 0);
	assert_false(((struct msg_head_known *)sent(verify, MSG_HEAD))->last.known);
	looked("a note");
	judged(HEAD_FIRST, "ledger.first-use", CHECK_PASS);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	assert_string_equal(code(), "");
}

static void test_each_failure_has_its_code(void **state)
{
	static const struct {
		enum fetch_result result;
		const char *code;
	} cases[] = {
	        {FETCH_AWAY, "log.unreachable"}, {FETCH_NONE, "log.unreachable"},
	        {FETCH_BUSY, "log.unreachable"}, {FETCH_SLOW, "log.slow"},
	        {FETCH_LARGE, "log.too-large"},  {FETCH_SHORT, "log.truncated"},
	        {FETCH_GONE, "log.missing"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		(void)asked();
		answer(cases[i].result, "", 0);
		assert_string_equal(code(), cases[i].code);
		skew += 2 * 3600;
	}
	looked("a note");
	judged(HEAD_SAME, "ledger.fork", CHECK_PASS);
	assert_string_equal(code(), "");
}

static void test_tiles_that_fail(void **state)
{
	static const struct {
		int32_t err;
		const char *code;
	} cases[] = {
	        {-ENOENT, "log.missing"},     {-ETIMEDOUT, "log.slow"},
	        {-EFBIG, "log.too-large"},    {-ENODATA, "log.truncated"},
	        {-EBADMSG, "log.wrong-tile"}, {-EHOSTUNREACH, "log.unreachable"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct msg_consistent none = {.err = cases[i].err};

		cp.size = 9;
		looked("a note");
		judged(HEAD_AHEAD, "ledger.fork", CHECK_SKIP);
		sent(fetch, MSG_CONSISTENCY);
		heads_consistent(g, g->head.request, &none);
		assert_string_equal(code(), cases[i].code);
		assert_int_equal(g->state.head[0].last.cp.size, 5);
		skew += 2 * 3600;
	}
}

static void test_attempts_get_rarer(void **state)
{
	int64_t wait = 300;

	(void)state;
	for (int i = 0; i < 8; i++) {
		(void)asked();
		answer(FETCH_AWAY, "", 0);
		skew += wait - 2;
		follow_tick(g);
		silence(fetch);
		skew += 3;
		wait = wait < 1800 ? wait * 2 : 3600;
	}
	/* Who says how long is left alone that long, within bounds. */
	(void)asked();
	answer(FETCH_BUSY, "", 9000);
	skew += 8990;
	follow_tick(g);
	silence(fetch);
	skew += 20;
	(void)asked();
	answer(FETCH_BUSY, "", UINT32_MAX);
	skew += 6 * 3600 + 1;
	(void)asked();
}

/* A log that stands still and is no longer cosigned is told from one that is. */
static void test_a_stale_head(void **state)
{
	(void)state;
	looked("a note");
	judged(HEAD_REFUSE, "ledger.fresh", CHECK_FAIL);
	assert_string_equal(code(), "ledger.fresh");
	skew += 600;
	looked("a note");
	judged(HEAD_SAME, "ledger.fork", CHECK_PASS);
	assert_string_equal(code(), "");
	skew += 301;
	(void)asked();
	answer(FETCH_SAME, "", 0);
	assert_string_equal(code(), "");
	skew += g->now.policy->ledger[0].max_age;
	(void)asked();
	answer(FETCH_SAME, "", 0);
	assert_string_equal(code(), "ledger.fresh");
}

static void test_an_older_head(void **state)
{
	struct msg_consistent proof = {.n = 1};

	(void)state;
	looked("a note");
	cp.size = 3;
	judged(HEAD_REFUSE, "ledger.rollback", CHECK_FAIL);
	assert_int_equal(((struct msg_consistency *)sent(fetch, MSG_CONSISTENCY))->from, 3);
	heads_consistent(g, g->head.request, &proof);
	sent(verify, MSG_ADVANCE);
	judged(HEAD_BEHIND, "ledger.fork", CHECK_PASS);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	assert_int_equal(g->state.head[0].last.earlier[0].size, 3);
	assert_string_equal(code(), "ledger.rollback");
}

static void test_a_fork(void **state)
{
	json_t *list;

	(void)state;
	looked("the other note");
	cp.root.v[0] = 1;
	judged(HEAD_REFUSE, "ledger.fork", CHECK_FAIL);
	assert_string_equal(code(), "ledger.fork");
	assert_true(state_forked(&g->state, LOG_NAME));
	list = state_evidence_list(&g->state, LOG_NAME);
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "peer")),
	                    PREFIX "checkpoint");
	assert_string_equal(json_string_value(json_object_get(json_array_get(list, 0), "offered")),
	                    "the other note");
	json_decref(list);
}

/* What a witness says is compared and moves nothing; behind it may be. */
static void test_a_witness(void **state)
{
	struct msg_consistent proof = {.n = 1};
	const struct msg_advance *a;
	char hex[65], url[256];
	uint8_t digest[32];

	(void)state;
	g->now.policy->ledger[0].url[0] = '\0';
	strcpy(g->now.policy->ledger[0].tlog->witness_url[1], "https://witness.example/mon");
	strcpy(g->now.policy->ledger[0].tlog->log_url[0], "https://log.example/of-the-policy");
	assert_true(EVP_Digest(LOG_NAME, strlen(LOG_NAME), digest, NULL, EVP_sha256(), NULL));
	hex_encode(BYTES_OF(digest), hex);
	snprintf(url, sizeof(url), "https://witness.example/mon/%s/checkpoint", hex);
	assert_string_equal(asked().url, url);
	answer(FETCH_OK, "cosigned", 0);
	a = sent(verify, MSG_ADVANCE);
	assert_true(a->look && a->compare);
	cp.size = 3;
	judged(HEAD_REFUSE, "ledger.rollback", CHECK_FAIL);
	assert_string_equal(((struct msg_consistency *)sent(fetch, MSG_CONSISTENCY))->url,
	                    "https://log.example/of-the-policy");
	heads_consistent(g, g->head.request, &proof);
	assert_true(((struct msg_advance *)sent(verify, MSG_ADVANCE))->compare);
	judged(HEAD_BEHIND, "ledger.fork", CHECK_PASS);
	assert_int_equal(g->state.head[0].last.earlier_n, 0);
	assert_string_equal(code_of(1), "");
	assert_string_equal(asked().url, "https://log.example/of-the-policy/checkpoint");
	answer(FETCH_AWAY, "", 0);
	skew += 301;
	(void)asked();
	answer(FETCH_OK, "cosigned", 0);
	sent(verify, MSG_ADVANCE);
	cp.size = 9;
	judged(HEAD_AHEAD, "ledger.fork", CHECK_SKIP);
	sent(fetch, MSG_CONSISTENCY);
	heads_consistent(g, g->head.request, &proof);
	sent(verify, MSG_ADVANCE);
	judged(HEAD_ADVANCE, "ledger.fork", CHECK_PASS);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
}

/* What can't be compared is not called well. */
static void test_a_witness_without_tiles(void **state)
{
	(void)state;
	g->now.policy->ledger[0].url[0] = '\0';
	strcpy(g->now.policy->ledger[0].tlog->witness_url[1], "https://witness.example/mon");
	(void)asked();
	answer(FETCH_OK, "cosigned", 0);
	sent(verify, MSG_ADVANCE);
	cp.size = 3;
	judged(HEAD_REFUSE, "ledger.rollback", CHECK_FAIL);
	assert_string_equal(code(), "log.missing");
}

static void test_strange_answers(void **state)
{
	struct msg_fetched m = {.result = FETCH_SHORT + 1};

	(void)state;
	(void)asked();
	follow_fetched(g, &m, -1);
	assert_true(g->failed);
	g->failed = g->stop = false;
	m.result = FETCH_OK; /* and no note */
	follow_fetched(g, &m, -1);
	assert_true(g->failed);
	g->failed = g->stop = false;
	memset(m.tag, 'x', sizeof(m.tag));
	m.result = FETCH_AWAY;
	follow_fetched(g, &m, -1);
	assert_true(g->failed);
}

/* A policy that changed in between: what was asked under the old one says nothing. */
static void test_a_new_policy(void **state)
{
	(void)state;
	(void)asked();
	g->now.generation++;
	answer(FETCH_OK, "a note", 0);
	silence(verify);
	(void)asked();
}

/* A leaf of the policy is looked for under each head, and verify has its proof with each note. */
static void test_proofs_for_who_staples_none(void **state)
{
	struct policy_destination *d = &g->now.policy->destination[0];
	struct msg_proved none = {.err = -ESRCH}, found = {.index = 3, .n = 1};
	struct msg_prove ask;

	(void)state;
	assert_int_equal(proofs_open(g), 0);
	proofs_tick(g);
	silence(fetch);
	d->leaf[0] = (struct bytes){(uint8_t *)strdup("leaf"), 4};
	d->leaves = 1;
	g->now.generation++;
	proofs_tick(g);
	ask = *(struct msg_prove *)sent(fetch, MSG_PROVE);
	assert_string_equal(ask.url, PREFIX);
	assert_int_equal(ask.size, 5);
	assert_false(ask.have);
	proofs_tick(g); /* one at a time */
	silence(fetch);
	proofs_proved(g, g->requests, &none);
	proofs_tick(g);
	silence(fetch);
	skew += 31;
	proofs_tick(g);
	sent(fetch, MSG_PROVE);
	proofs_proved(g, g->requests, &found);
	assert_string_equal(((struct msg_proof *)sent(verify, MSG_PROOF))->origin, LOG_NAME);
	proofs_tick(g);
	silence(verify);
	/* A newer note of the same head, then a newer head. */
	assert_int_equal(state_advance(&g->state, &cp, gate_now(), bytes_str("newer"), 2), 0);
	proofs_tick(g);
	sent(verify, MSG_PROOF);
	silence(fetch);
	cp.size = 9;
	assert_int_equal(state_advance(&g->state, &cp, gate_now(), bytes_str("grown"), 2), 0);
	proofs_tick(g);
	ask = *(struct msg_prove *)sent(fetch, MSG_PROVE);
	assert_true(ask.have && ask.index == 3 && ask.size == 9);
	/* What is asked before a reload is not taken after it. */
	g->now.generation++;
	proofs_proved(g, g->requests, &found);
	silence(verify);
	proofs_tick(g);
	sent(fetch, MSG_PROVE);
	found.n = PATH_MAX_HASHES + 1;
	proofs_proved(g, g->requests, &found);
	assert_true(g->failed);
	proofs_close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_a_newer_head_moves_the_last_one, begin, end),
	        cmocka_unit_test_setup_teardown(test_the_first_head, begin, end),
	        cmocka_unit_test_setup_teardown(test_each_failure_has_its_code, begin, end),
	        cmocka_unit_test_setup_teardown(test_tiles_that_fail, begin, end),
	        cmocka_unit_test_setup_teardown(test_attempts_get_rarer, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_stale_head, begin, end),
	        cmocka_unit_test_setup_teardown(test_an_older_head, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_fork, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_witness, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_witness_without_tiles, begin, end),
	        cmocka_unit_test_setup_teardown(test_strange_answers, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_new_policy, begin, end),
	        cmocka_unit_test_setup_teardown(test_proofs_for_who_staples_none, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
