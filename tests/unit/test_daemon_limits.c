/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one user, one destination, or a verify that hangs can take from the others; and what still
 * reaches the last bytes of a session that is over. The kernel half, the roles and the keyring are
 * played here.
 */
#include "daemon_gate.h"

enum { SECOND_NS = 1000000000 };

static uint64_t last_id;

static int fresh(void **state)
{
	last_id = 0;
	return setup(state);
}

/* The played kernel half has not room for all of them. */
static int over(void **state)
{
	session_free_all(&g->sessions);
	return teardown(state);
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static uint64_t accepted(void)
{
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_ACCEPTED, ++last_id, -1);
	return last_id;
}

static void closed(uint64_t id, const char *code)
{
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, code);
	from_relay(MSG_CLOSED, id, -1);
}

static uint64_t connecting(void)
{
	uint64_t id = accepted();

	sent(relay, MSG_CONNECT);
	return id;
}

static void expect_refused(uint64_t id, enum msg_type by)
{
	_Static_assert(sizeof(struct msg_cut) == sizeof(struct msg_refuse), "both are a code");
	const struct msg_cut *m = sent(relay, by);

	assert_string_equal(m->code, "gate.overload");
	closed(id, "session.refused");
	assert_false(g->failed);
}

static uint64_t appraise(const char *name)
{
	uint64_t id = connecting();
	int fd = file_memfd("x", bytes_str("x"));

	/* As if the policy had a block of that name. */
	strcpy(session_find(&g->sessions, id)->name, name);
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, id, fd);
	close(fd);
	return id;
}

static uint64_t appraising(const char *name)
{
	uint64_t id = appraise(name);

	sent(verify, MSG_APPRAISE);
	return id;
}

static struct msg_verdict verdict_of(uint64_t id)
{
	struct msg_verdict m = {.head = {.step = g->state.n ? HEAD_SAME : HEAD_FIRST}};

	verdict_init(&m.verdict, "d", session_find(&g->sessions, id)->at);
	check_add(&m.verdict.checks, "snp.signature", CHECK_PASS, "as told");
	verdict_limit(&m.verdict, gate_now() + 1000);
	verdict_seal(&m.verdict);
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	return m;
}

static void judged(uint64_t id)
{
	const struct msg_head head = {.type = MSG_VERDICT, .session = id};
	int fd = file_memfd("note", bytes_str("a note"));

	g->in->verdict = verdict_of(id);
	gate_from_verify(g, &head, fd);
	close(fd);
}

static uint64_t live(void)
{
	uint64_t id = appraising("d");
	struct keyring_secrets *k = &g->in->release.secrets;

	judged(id);
	sent(relay, MSG_HANDOVER);
	memset(g->in, 0, sizeof(*g->in));
	k->suite = SUITE_AES_128_GCM_SHA256;
	k->len = 32;
	k->have_client = k->have_server = true;
	from_relay(MSG_RELEASE, id, up_fd);
	sent(relay, MSG_LIVE);
	return id;
}

static uint64_t kid(uint64_t id)
{
	return (uint64_t)5 << 40 | id;
}

static uint64_t lingering(void)
{
	uint64_t id = live();

	closed(id, "session.end");
	assert_null(session_find(&g->sessions, id));
	assert_int_equal(kernel_state(kid(id)), GATE_SESSION_LIVE);
	return id;
}

static unsigned audited(const char *event, const char *word)
{
	char path[128];
	char *line = NULL;
	size_t cap = 0;
	unsigned n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	f = fopen(path, "r");
	assert_non_null(f);
	while (getline(&line, &cap, f) > 0)
		n += strstr(line, event) && strstr(line, word);
	free(line);
	fclose(f);
	return n;
}

/* --------------------------------------------------------------------- verify's time */

static void test_one_destination_has_a_share_of_verify(void **state)
{
	uint64_t first = 0;

	(void)state;
	for (int i = 0; i < SESSIONS_VERIFY_ONE; i++) {
		uint64_t id = appraising("d");

		first = first ? first : id;
		closed(id, "session.app-gone"); /* relay has no more of it; verify has */
	}
	expect_refused(appraise("d"), MSG_CUT);
	closed(appraising("e"), "session.app-gone");
	judged(first);
	closed(appraising("d"), "session.app-gone");
	expect_refused(appraise("d"), MSG_CUT);
}

static void test_what_verify_has_never_fills_the_table(void **state)
{
	char name[16];

	(void)state;
	for (int i = 0; i < SESSIONS_VERIFY; i++) {
		snprintf(name, sizeof(name), "d%d", i % 32);
		closed(appraising(name), "session.app-gone");
	}
	expect_refused(appraise("another"), MSG_CUT);
	/* All that relay may hold still finds its place. */
	kernel.take = -ENOENT;
	for (int i = 0; i < SESSIONS_RELAY; i++) {
		accepted();
		sent(relay, MSG_REFUSE);
		assert_false(g->failed);
	}
	assert_int_equal(g->sessions.n, SESSIONS_SLOTS);
}

static void test_a_verify_that_hangs(void **state)
{
	(void)state;
	appraising("d");
	g->asked_ns -= UINT64_C(29) * SECOND_NS;
	flow_tick(g);
	assert_false(g->failed);
	g->asked_ns -= UINT64_C(2) * SECOND_NS;
	flow_tick(g);
	assert_true(g->failed);
}

static void test_a_policy_that_verify_hangs_on(void **state)
{
	const struct msg_policy m = {.generation = 2};
	int fd = file_memfd("policy", bytes_str("x"));

	(void)state;
	assert_int_equal(gate_send(g, ROLE_VERIFY, MSG_POLICY, 0, &m, fd), 0);
	close(fd);
	g->asked_ns -= UINT64_C(31) * SECOND_NS;
	flow_tick(g);
	assert_true(g->failed);
}

/* Many questions are no hang, as long as answers come; nor is an answer that gate has not read. */
static void test_a_verify_that_is_slow(void **state)
{
	const struct msg_policy_done done = {.generation = 1};
	uint64_t first;
	uint64_t second;

	(void)state;
	flow_tick(g);
	first = appraising("d");
	second = appraising("d");
	g->asked_ns -= UINT64_C(29) * SECOND_NS;
	judged(first);
	g->asked_ns -= UINT64_C(29) * SECOND_NS;
	flow_tick(g);
	assert_false(g->failed);
	g->asked_ns -= UINT64_C(29) * SECOND_NS;
	assert_int_equal(msg_send(verify, MSG_POLICY_DONE, 0, &done, -1), 0);
	flow_tick(g);
	assert_false(g->failed);
	judged(second);
	assert_int_equal(g->asked, 0);
	/* Nothing asked: silence is right. */
	g->asked_ns = 1;
	flow_tick(g);
	assert_false(g->failed);
}

static void test_verify_speaks_unasked(void **state)
{
	const struct msg_head head = {.type = MSG_POLICY_DONE};

	(void)state;
	memset(g->in, 0, sizeof(*g->in));
	g->in->policy_done.generation = g->now.generation;
	gate_from_verify(g, &head, -1);
	assert_true(g->failed);
}

/* --------------------------------------------------------------------------- users */

static void test_one_user_has_half(void **state)
{
	(void)state;
	kernel.intent.uid = 1000;
	for (int i = 0; i < SESSIONS_UID; i++) {
		struct session *s = NULL;

		assert_int_equal(session_new(&g->sessions, ++last_id, &s), 0);
		s->app.uid = 1000;
		session_enter(&g->sessions, s, SESSION_CONNECTING);
	}
	expect_refused(accepted(), MSG_REFUSE);
	assert_int_equal(audited("session-refused", "gate.overload"), 1);
	kernel.intent.uid = 1001;
	closed(connecting(), "session.app-gone");
	/* One that ends makes room for one. */
	kernel.intent.uid = 1000;
	session_drop(&g->sessions, g->sessions.slot[0]);
	closed(connecting(), "session.app-gone");
	/* root is not held to it. */
	for (uint32_t i = 0; i < g->sessions.n; i++)
		g->sessions.slot[i]->app.uid = 0;
	kernel.intent.uid = 0;
	connecting();
	connecting();
}

static void test_one_namespace_has_half(void **state)
{
	(void)state;
	kernel.intent.netns = 7;
	for (int i = 0; i < SESSIONS_NETNS; i++) {
		struct session *s = NULL;

		assert_int_equal(session_new(&g->sessions, ++last_id, &s), 0);
		s->app.netns = 7;
		session_enter(&g->sessions, s, SESSION_CONNECTING);
	}
	/* Its root is root here as well, and yet it is held to it. */
	expect_refused(accepted(), MSG_REFUSE);
	assert_int_equal(audited("session-refused", "gate.overload"), 1);
	kernel.intent.netns = 8;
	closed(connecting(), "session.app-gone");
	kernel.intent.netns = 7;
	session_drop(&g->sessions, g->sessions.slot[0]);
	closed(connecting(), "session.app-gone");
	/* keygated's own is not. */
	for (uint32_t i = 0; i < g->sessions.n; i++)
		g->sessions.slot[i]->app.netns = spaces_home(g);
	kernel.intent.netns = spaces_home(g);
	connecting();
	connecting();
}

static void test_refusals_do_not_flood_the_record(void **state)
{
	unsigned n;

	(void)state;
	kernel.take = -ENOENT;
	/* Of at most two seconds. */
	for (int i = 0; i < 3 * AUDIT_CHEAP_EVENTS; i++) {
		uint64_t id = accepted();

		sent(relay, MSG_REFUSE);
		closed(id, "session.refused");
	}
	n = audited("session-refused", "gate.no-intent");
	assert_in_range(n, AUDIT_CHEAP_EVENTS, 2 * AUDIT_CHEAP_EVENTS);
	assert_int_equal(g->count.refused, 3 * AUDIT_CHEAP_EVENTS);
	/* What was judged is always written. */
	kernel.take = 0;
	live();
	assert_int_equal(audited("session-released", "snp.signature"), 1);
	g->event_second = 1;
	flow_tick(g);
	assert_in_range(audited("suppressed", "count"), 1, 2);
}

/* -------------------------------------------------------------------------- tails */

static json_int_t revoked_by(json_t *request)
{
	json_t *answer = verbs_answer(g, 0, request);
	json_t *v = json_object_get(answer, "revoked");
	json_int_t n = json_is_integer(v) ? json_integer_value(v) : -1;

	json_decref(request);
	json_decref(answer);
	return n;
}

static json_int_t revoke_session(uint64_t id)
{
	return revoked_by(json_pack("{s:s, s:I}", "verb", "revoke", "session", (json_int_t)id));
}

static json_int_t revoke_destination(const char *name)
{
	return revoked_by(json_pack("{s:s, s:s}", "verb", "revoke", "destination", name));
}

static void test_revoke_reaches_the_tail_of_a_session(void **state)
{
	uint64_t other = lingering();
	uint64_t id = lingering();

	(void)state;
	assert_int_equal(revoke_session(id), 1);
	assert_int_equal(kernel_state(kid(id)), GATE_SESSION_CUT);
	assert_int_equal(kernel_state(kid(other)), GATE_SESSION_LIVE);
	assert_int_equal(g->count.revoked, 1);
	assert_int_equal(audited("session-cut", "session.revoked"), 1);
	assert_int_equal(revoke_session(id), -1); /* once */
	assert_int_equal(revoke_session(99), -1);
}

static void test_revoke_reaches_the_tails_of_a_destination(void **state)
{
	uint64_t tail = lingering();
	uint64_t now = live();

	(void)state;
	strcpy(g->linger[0].name, "e");
	assert_int_equal(revoke_destination("d"), 1);
	assert_int_equal(kernel_state(kid(tail)), GATE_SESSION_LIVE);
	assert_int_equal(kernel_state(kid(now)), GATE_SESSION_CUT);
	strcpy(g->linger[0].name, "d");
	assert_int_equal(revoke_destination("d"), 1);
	assert_int_equal(kernel_state(kid(tail)), GATE_SESSION_CUT);
	assert_int_equal(revoke_destination("d"), 0);
}

static uint32_t change_policy(const char *text)
{
	struct policy_set old = g->now;
	uint32_t cut;

	put_policy(&g->now, text, old.generation + 1);
	cut = flow_policy_changed(g, &old, NULL);
	policy_set_free(&old);
	return cut;
}

static void test_a_policy_reaches_tails(void **state)
{
	static const char *const texts[] = {
	        GATE("lease = 9m\n"),
	        GATE_HEAD "destination e {\n" GATE_MUST "lease = 10m\n}\n",
	        GATE_HEAD,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t id = lingering();

		assert_int_equal(change_policy(GATE_HEAD "destination x { address = 198.51.100.1 "
		                                         "action = deny }\n"
		                                         "destination d {\n" GATE_MUST
		                                         "lease = 10m\n}\n"),
		                 0);
		assert_int_equal(kernel_state(kid(id)), GATE_SESSION_LIVE);
		assert_int_equal(change_policy(texts[i]), 1);
		assert_int_equal(kernel_state(kid(id)), GATE_SESSION_CUT);
		assert_int_equal(change_policy(policy_text), 0);
		assert_int_equal(kernel_state(kid(id)), GATE_SESSION_CUT);
	}
	assert_int_equal(audited("session-cut", "policy.withdrawn"), 3);
}

static uint64_t lingering_on(const char *origin, uint64_t size, bool ahead)
{
	uint64_t id = live();
	struct session *s = session_find(&g->sessions, id);

	strcpy(s->head.origin, origin);
	s->head.size = size;
	s->ahead = ahead;
	closed(id, "session.end");
	return id;
}

/* Whether the head of this size is of the tree on disk, or of another. */
static void prove(uint64_t size, bool fork)
{
	struct msg_verdict m = {.head = {.step = fork ? HEAD_REFUSE : HEAD_BEHIND}};

	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = size;
	g->head = (struct pending_head){.busy = true, .cp = m.head.cp};
	verdict_init(&m.verdict, "", gate_now());
	check_add(&m.verdict.checks, "ledger.fork", fork ? CHECK_FAIL : CHECK_PASS, "as told");
	verdict_seal(&m.verdict);
	heads_advanced(g, &m, -1);
	assert_false(g->failed);
}

static void test_a_fork_reaches_tails(void **state)
{
	uint64_t settled = lingering_on(LOG_NAME, 4, true);
	uint64_t before = lingering_on(LOG_NAME, 5, false);
	uint64_t elsewhere = lingering_on("another.example/log", 9, true);
	uint64_t unproved = lingering_on(LOG_NAME, 8, true);
	uint64_t itself = lingering_on(LOG_NAME, 9, false);

	(void)state;
	prove(4, false);
	prove(9, true);
	assert_int_equal(kernel_state(kid(settled)), GATE_SESSION_LIVE);
	assert_int_equal(kernel_state(kid(before)), GATE_SESSION_LIVE);
	assert_int_equal(kernel_state(kid(elsewhere)), GATE_SESSION_LIVE);
	assert_int_equal(kernel_state(kid(unproved)), GATE_SESSION_CUT);
	assert_int_equal(kernel_state(kid(itself)), GATE_SESSION_CUT);
	assert_int_equal(audited("session-cut", "ledger.fork"), 2);
}

/* Whatever the wall clock says, the tail ends when the kernel was told that the lease does. */
static void test_a_tail_ends_with_the_armed_lease(void **state)
{
	uint64_t id = live();
	struct session *s = session_find(&g->sessions, id);
	uint64_t now = gate_boot_ns();

	(void)state;
	assert_in_range(s->lease_end_ns, now + UINT64_C(590) * SECOND_NS,
	                now + UINT64_C(601) * SECOND_NS);
	s->lease_end_ns = now + UINT64_C(7) * SECOND_NS;
	closed(id, "session.end");
	assert_int_equal(g->linger[0].end_ns, now + UINT64_C(7) * SECOND_NS);
	/* Over already: not a byte more. */
	id = live();
	session_find(&g->sessions, id)->lease_end_ns = now;
	closed(id, "session.end");
	assert_int_equal(g->linger_n, 1);
	assert_int_equal(kernel_state(kid(id)), GATE_SESSION_CUT);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, fresh, over)
	const struct CMUnitTest tests[] = {
	        T(test_one_destination_has_a_share_of_verify),
	        T(test_what_verify_has_never_fills_the_table),
	        T(test_a_verify_that_hangs),
	        T(test_a_policy_that_verify_hangs_on),
	        T(test_a_verify_that_is_slow),
	        T(test_verify_speaks_unasked),
	        T(test_one_user_has_half),
	        T(test_one_namespace_has_half),
	        T(test_refusals_do_not_flood_the_record),
	        T(test_revoke_reaches_the_tail_of_a_session),
	        T(test_revoke_reaches_the_tails_of_a_destination),
	        T(test_a_policy_reaches_tails),
	        T(test_a_fork_reaches_tails),
	        T(test_a_tail_ends_with_the_armed_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
