/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destinations that are only monitored: what one connect of an application leads to, that many lead
 * to no more, and that nothing of it opens anything. The kernel half, relay and verify are played
 * here.
 */
#include "daemon_gate.h"

enum { MONITORED = 0, GATED = 1 };

static const char policy[] = GATE_HEAD "destination m {\n"
                                       "address = {\"192.0.2.0/24\", \"10.0.0.0/8\"}\n"
                                       "port = 443\naction = monitor\ntee = snp\n"
                                       "ledger = acme\n}\n"
                                       "destination d {\naddress = 198.51.100.1\nport = 443\n"
                                       "action = gate\ntee = snp\nledger = acme\n}\n";

static void put_warned(const char *text, uint32_t generation)
{
	policy_set_free(&g->now);
	memset(&g->now, 0, sizeof(g->now));
	assert_int_equal(parse_two(text, NULL, &g->now.policy, &issues), 0);
	g->now.generation = generation;
	assert_int_equal(policy_set_index(&g->now), 0);
}

static int begin(void **state)
{
	int rc = setup(state);

	put_warned(policy, 1);
	return rc ? rc : monitor_open(g);
}

static int over(void **state)
{
	flow_stop(g);
	monitor_close(g);
	return teardown(state);
}

static struct gate_event event(uint32_t address)
{
	struct gate_event e = {.kind = GATE_EVENT_MONITOR,
	                       .rule = MONITORED,
	                       .generation = 1,
	                       .dst = {[10] = 0xff, [11] = 0xff, [12] = 10},
	                       .dst_port = 443,
	                       .proto = IPPROTO_TCP,
	                       .uid = 1000,
	                       .pid = 99,
	                       .comm = "app"};

	e.dst[13] = (uint8_t)(address >> 16);
	e.dst[14] = (uint8_t)(address >> 8);
	e.dst[15] = (uint8_t)address;
	return e;
}

static void connected(uint32_t address)
{
	const struct gate_event e = event(address);

	flow_event(g, &e);
	assert_false(g->failed);
}

static void nothing_sent(int sock)
{
	char b[8];

	assert_int_equal(recv(sock, b, sizeof(b), MSG_DONTWAIT | MSG_PEEK), -1);
}

/* How many OPENs relay got, and the number of the last. */
static uint32_t opens(uint64_t *number)
{
	struct pollfd p = {.fd = relay, .events = POLLIN};
	struct msg_head head;
	union msg_any in;
	uint32_t n = 0;
	int fd;

	while (poll(&p, 1, 0) == 1) {
		assert_int_equal(msg_recv(relay, &head, &in, sizeof(in), &fd), 0);
		assert_int_equal(head.type, MSG_OPEN);
		*number = head.session;
		n++;
	}
	return n;
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static void accepted(uint64_t id, uint64_t number)
{
	memset(g->in, 0, sizeof(*g->in));
	g->in->accepted.opened = number;
	from_relay(MSG_ACCEPTED, id, -1);
}

static void closed(uint64_t id, const char *code)
{
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, code);
	from_relay(MSG_CLOSED, id, -1);
}

static uint64_t kid(uint64_t id)
{
	return (uint64_t)5 << 40 | id;
}

/* relay has the evidence of session 1, and verify the question. */
static const struct msg_appraise *appraising(void)
{
	uint64_t number = 0;
	int fd = file_memfd("x", bytes_str("x"));
	const struct msg_connect *m;

	connected(7);
	assert_int_equal(opens(&number), 1);
	accepted(1, number);
	m = sent(relay, MSG_CONNECT);
	assert_string_equal(m->destination, "m");
	assert_false(m->connected);
	assert_false(m->lease_asked);
	assert_int_equal(m->offer.psk_len, 0);
	assert_int_equal(kernel.marked_port, 443);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_HANDSHAKE);
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, 1, fd);
	close(fd);
	return sent(verify, MSG_APPRAISE);
}

static void judge(enum check_status status)
{
	struct msg_verdict m = {.head = {.step = HEAD_FIRST}};
	int fd = file_memfd("note", bytes_str("a note"));

	verdict_init(&m.verdict, "m", session_find(&g->sessions, 1)->at);
	check_add(&m.verdict.checks, "policy.measurement", status, "as told");
	verdict_limit(&m.verdict, gate_now() + 1000);
	verdict_seal(&m.verdict);
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	flow_verdict(g, 1, &m, fd);
	close(fd);
}

static const char *text(const json_t *o, const char *name)
{
	const char *t = json_string_value(json_object_get(o, name));

	return t ? t : "";
}

/* The last thing that was recorded, which is about what is monitored. */
static json_t *record(const char *code)
{
	json_t *r = g->record[(g->records - 1) % CONTROL_RECORDS_MAX];

	assert_true(g->records > 0);
	assert_string_equal(text(r, "mode"), "monitor");
	assert_true(json_is_false(json_object_get(r, "protected")));
	assert_string_equal(text(r, "outcome"), "monitored");
	assert_string_equal(text(r, "code"), code);
	return r;
}

static unsigned audited(const char *what)
{
	char path[96];
	uint8_t *content;
	unsigned n = 0;
	size_t len;

	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	assert_int_equal(file_read(path, 1 << 20, &content, &len), 0);
	for (const char *p = (char *)content; (p = strstr(p, what)); p++)
		n++;
	free(content);
	return n;
}

/* ---------------------------------------------------------------------- one look */

static void a_verdict_and_no_more(void **state)
{
	const struct msg_appraise *m = appraising();
	json_t *r;

	(void)state;
	assert_int_equal(m->destination, MONITORED);
	assert_false(m->lease_asked);
	judge(CHECK_PASS);
	/* No HANDOVER: relay is told to close it. */
	sent(relay, MSG_CUT);
	nothing_sent(relay);
	r = record("");
	assert_string_equal(text(r, "destination"), "m");
	assert_string_equal(text(json_object_get(r, "verdict"), "verdict"), "pass");
	assert_string_equal(text(json_object_get(r, "app"), "comm"), "app");
	assert_int_equal(audited("\"event\":\"session-monitored\""), 1);
	assert_int_equal(audited("\"mode\":\"monitor\""), 1);
	assert_int_equal(g->count.monitored, 1);
	assert_int_equal(g->count.released + g->count.refused + g->count.accepted, 0);
	assert_ptr_equal(json_object_get(g->last, "m"), r);
	/* The head that it brought counts as any. */
	assert_int_equal(g->state.n, 1);
	/* The peer is to see the end, and then nothing of it is left in the kernel. */
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_HANDSHAKE);
	closed(1, "session.end");
	assert_null(session_find(&g->sessions, 1));
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_HANDSHAKE);
	monitor_close(g);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_CUT);
	assert_false(g->failed);
}

/* relay can't make a session of it that has keys. */
static void keys_are_never_taken(void **state)
{
	(void)state;
	appraising();
	from_relay(MSG_RELEASE, 1, up_fd);
	assert_true(g->failed);
	assert_int_equal(kernel.keyed, 0);
}

static void nor_after_the_verdict(void **state)
{
	(void)state;
	appraising();
	judge(CHECK_PASS);
	from_relay(MSG_RELEASE, 1, up_fd);
	assert_int_equal(kernel.keyed, 0);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_HANDSHAKE);
}

static void what_fails_is_said(void **state)
{
	(void)state;
	appraising();
	judge(CHECK_FAIL);
	sent(relay, MSG_CUT);
	assert_string_equal(
	        text(json_object_get(record("policy.measurement"), "verdict"), "verdict"), "fail");
	assert_int_equal(g->count.refused, 0);
}

static void nobody_there(void **state)
{
	uint64_t number = 0;

	(void)state;
	connected(7);
	assert_int_equal(opens(&number), 1);
	accepted(1, number);
	sent(relay, MSG_CONNECT);
	closed(1, "tls.handshake");
	assert_true(json_is_null(json_object_get(record("tls.handshake"), "verdict")));
	assert_null(session_find(&g->sessions, 1));
	/* In a namespace that is not served, there is not even a socket. */
	kernel.mark = -ENOMEM;
	connected(8);
	assert_int_equal(opens(&number), 1);
	accepted(2, number);
	sent(relay, MSG_REFUSE);
	record("gate.socket");
	assert_false(g->failed);
}

/* ------------------------------------------------------------------------- many */

static void many_connects_are_one_look(void **state)
{
	uint64_t number = 0;

	(void)state;
	for (int i = 0; i < 1000; i++)
		connected(7);
	assert_int_equal(opens(&number), 1);
	accepted(1, number);
	sent(relay, MSG_CONNECT);
	connected(7);
	closed(1, "tls.handshake");
	for (int i = 0; i < 1000; i++)
		connected(7);
	monitor_tick(g);
	assert_int_equal(opens(&number), 0);
	/* Another port, address, or block is another place. */
	connected(8);
	assert_int_equal(opens(&number), 1);
}

static json_int_t status(const char *name)
{
	json_t *o = monitor_status(g);
	json_int_t n = json_integer_value(json_object_get(o, name));

	json_decref(o);
	return n;
}

static void turns_are_taken(void **state)
{
	uint64_t number = 0;
	uint32_t n;

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		connected(i);
	n = opens(&number);
	assert_in_range(n, 1, 32);
	assert_int_equal(status("looking"), n);
	assert_int_equal(status("waiting"), 100 - n);
	assert_int_equal(status("destinations"), 1);
	/* As one is done, the one that came first of the others is next. */
	accepted(1, number);
	sent(relay, MSG_CONNECT);
	closed(1, "tls.handshake");
	assert_int_equal(opens(&number), 1);
	accepted(2, number);
	assert_int_equal(session_find(&g->sessions, 2)->app.dst[15], n);
}

static void places_are_bounded(void **state)
{
	struct gate_event e;
	uint64_t number = 0;
	json_int_t capacity = status("capacity");

	(void)state;
	/* One user does not take all. */
	for (uint32_t i = 0; i < 3000; i++)
		connected(i);
	assert_int_equal(status("places"), capacity / 2);
	assert_int_equal(status("skipped"), 3000 - capacity / 2);
	for (uint32_t i = 0; i < 3000; i++) {
		e = event(1 << 16 | i);
		e.uid = 0;
		flow_event(g, &e);
	}
	assert_int_equal(status("places"), capacity);
	assert_int_equal(status("skipped"), 6000 - capacity);
	assert_in_range(opens(&number), 1, 32);
	assert_false(g->failed);
}

/* Those that relay has no room for do not keep the others from their turn. */
static void relay_says_nothing(void **state)
{
	uint64_t first = 0, number = 0;

	(void)state;
	connected(7);
	assert_int_equal(opens(&first), 1);
	poll(NULL, 0, 5100);
	monitor_tick(g);
	assert_int_equal(status("looking"), 0);
	assert_int_equal(status("skipped"), 1);
	connected(7);
	assert_int_equal(opens(&number), 0);
	/* It comes too late. */
	accepted(1, first);
	sent(relay, MSG_REFUSE);
	assert_false(g->failed);
}

/* --------------------------------------------------------------- wrong and early */

static void events_before_a_policy(void **state)
{
	struct policy_set now = g->now;

	(void)state;
	memset(&g->now, 0, sizeof(g->now));
	connected(7);
	g->now.generation = 1; /* what an earlier keygated left */
	connected(7);
	monitor_tick(g);
	g->now = now;
	assert_int_equal(status("skipped"), 2);
	assert_int_equal(status("places"), 0);
	nothing_sent(relay);
	/* Before there is a place for them, too. */
	monitor_close(g);
	connected(7);
	monitor_tick(g);
	nothing_sent(relay);
}

static void events_of_no_rule(void **state)
{
	struct gate_event e = event(7);

	(void)state;
	e.rule = GATE_RULE_DEFAULT;
	flow_event(g, &e);
	e.rule = 2;
	flow_event(g, &e);
	e.rule = GATED;
	flow_event(g, &e);
	/* Of another generation, the policy itself is asked. */
	e.rule = MONITORED;
	e.generation = 9;
	memset(e.dst, 0x20, sizeof(e.dst));
	flow_event(g, &e);
	nothing_sent(relay);
	e = event(7);
	e.generation = 9;
	e.rule = 77;
	flow_event(g, &e);
	sent(relay, MSG_OPEN);
}

static void a_number_is_good_once(void **state)
{
	uint64_t number = 0;

	(void)state;
	connected(7);
	assert_int_equal(opens(&number), 1);
	accepted(1, number);
	sent(relay, MSG_CONNECT);
	accepted(2, number);
	sent(relay, MSG_REFUSE);
	accepted(3, number + 1);
	sent(relay, MSG_REFUSE);
	assert_false(g->failed);
}

/* --------------------------------------------------------------------- reload */

#define NOW_GATED \
	GATE_HEAD "destination m {\naddress = {\"192.0.2.0/24\", \"10.0.0.0/8\"}\nport = 443\n" \
	          "action = gate\ntee = snp\nledger = acme\n}\n"

/* What was asked for while it was monitored says nothing of a gate. */
static void gated_meanwhile(void **state)
{
	struct policy_set old;
	uint64_t number = 0;

	(void)state;
	appraising();
	for (uint32_t i = 0; i < 40; i++)
		connected(100 + i);
	(void)opens(&number);
	old = g->now;
	memset(&g->now, 0, sizeof(g->now));
	put_policy(&g->now, NOW_GATED, 2);
	assert_int_equal(flow_policy_changed(g, &old, NULL), 0);
	policy_set_free(&old);
	sent(relay, MSG_CUT);
	record("policy.changed");
	/* Of those that wait none is begun; one that relay announces now is refused. */
	closed(1, "session.end");
	nothing_sent(relay);
	assert_int_equal(status("waiting"), 0);
	accepted(2, number);
	sent(relay, MSG_REFUSE);
	record("policy.changed");
	/* And a gated connection is one as ever. */
	kernel.intent.dst[12] = 10;
	accepted(3, 0);
	sent(relay, MSG_CONNECT);
	assert_false(session_find(&g->sessions, 3)->monitored);
	assert_false(g->failed);
}

/* The same block still says the same: what is under way is good. */
static void reloaded_meanwhile(void **state)
{
	struct policy_set old;
	uint64_t number = 0;

	(void)state;
	connected(7);
	assert_int_equal(opens(&number), 1);
	accepted(1, number);
	sent(relay, MSG_CONNECT);
	old = g->now;
	memset(&g->now, 0, sizeof(g->now));
	assert_int_equal(parse_two(policy, NULL, &g->now.policy, &issues), 0);
	g->now.generation = 2;
	assert_int_equal(policy_set_index(&g->now), 0);
	assert_int_equal(flow_policy_changed(g, &old, NULL), 0);
	policy_set_free(&old);
	nothing_sent(relay);
	assert_int_equal(session_find(&g->sessions, 1)->state, SESSION_CONNECTING);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(a_verdict_and_no_more),  T(keys_are_never_taken), T(nor_after_the_verdict),
	        T(what_fails_is_said),     T(nobody_there),         T(many_connects_are_one_look),
	        T(turns_are_taken),        T(places_are_bounded),   T(relay_says_nothing),
	        T(events_before_a_policy), T(events_of_no_rule),    T(a_number_is_good_once),
	        T(gated_meanwhile),        T(reloaded_meanwhile),
	};

	return cmocka_run_group_tests_name("daemon_monitor", tests, NULL, NULL);
}
