/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions on gate's side, with the kernel half, the keyring, relay and verify played here: what
 * each message leads to, and that nothing but the one right order of events ends in a live key.
 */
#include "daemon_gate.h"

#include <sys/un.h>

static void expect_silence(int sock)
{
	char b[64];

	assert_int_equal(recv(sock, b, sizeof(b), MSG_DONTWAIT | MSG_PEEK), -1);
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static void accepted(uint64_t id)
{
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_ACCEPTED, id, -1);
}

static const struct msg_connect *connecting(uint64_t id)
{
	accepted(id);
	return sent(relay, MSG_CONNECT);
}

/* APPRAISE, in which relay fills what is gate's to fill. */
static const struct msg_appraise *appraising(uint64_t id)
{
	struct msg_appraise *m = &g->in->appraise;
	int fd = file_memfd("x", bytes_str("x"));

	connecting(id);
	memset(m, 0, sizeof(*m));
	m->destination = 77;
	m->generation = 77;
	m->at = 77;
	m->transport = TRANSPORT_RA_TLS;
	memset(m->context, 0x77, sizeof(m->context));
	strcpy(m->server_name, "elsewhere.example");
	from_relay(MSG_APPRAISE, id, fd);
	close(fd);
	return sent(verify, MSG_APPRAISE);
}

static struct msg_verdict verdict_of(uint64_t id, bool pass)
{
	struct msg_verdict m = {.head = {.step = HEAD_FIRST}};
	const struct session *s = session_find(&g->sessions, id);

	verdict_init(&m.verdict, "d", s ? s->at : gate_now());
	check_add(&m.verdict.checks, "snp.signature", pass ? CHECK_PASS : CHECK_FAIL, "as told");
	verdict_limit(&m.verdict, gate_now() + 1000);
	verdict_seal(&m.verdict);
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	return m;
}

static void judge(uint64_t id, const struct msg_verdict *m, const char *note)
{
	int fd = note ? file_memfd("note", bytes_str(note)) : -1;

	flow_verdict(g, id, m, fd);
	if (fd >= 0)
		close(fd);
}

static void handing_over(uint64_t id)
{
	struct msg_verdict m;

	appraising(id);
	m = verdict_of(id, true);
	if (g->state.n)
		m.head.step = HEAD_SAME;
	judge(id, &m, "a note");
	sent(relay, MSG_HANDOVER);
}

static void fill_secrets(struct keyring_secrets *k)
{
	memset(k, 0, sizeof(*k));
	k->suite = SUITE_AES_128_GCM_SHA256;
	k->len = 32;
	k->have_client = k->have_server = true;
	memset(k->client, 0xc1, 32);
	memset(k->server, 0x5e, 32);
}

static void live(uint64_t id)
{
	handing_over(id);
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, id, up_fd);
	sent(relay, MSG_LIVE);
	assert_int_equal(session_find(&g->sessions, id)->state, SESSION_LIVE);
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

static json_t *last_record(void)
{
	assert_true(g->records > 0);
	return g->record[(g->records - 1) % CONTROL_RECORDS_MAX];
}

static void expect_record(const char *outcome, const char *code)
{
	json_t *r = last_record();

	assert_string_equal(json_string_value(json_object_get(r, "outcome")), outcome);
	assert_string_equal(json_string_value(json_object_get(r, "code")), code);
}

static void expect_refuse(const char *code)
{
	const struct msg_refuse *m = sent(relay, MSG_REFUSE);

	assert_string_equal(m->code, code);
	expect_record("refused", code);
}

static void expect_cut(uint64_t id, const char *code)
{
	const struct msg_cut *m = sent(relay, MSG_CUT);
	const struct session *s = session_find(&g->sessions, id);

	assert_string_equal(m->code, code);
	assert_int_equal(kernel_state(kid(id)), GATE_SESSION_CUT);
	assert_int_equal(s->state, SESSION_CLOSING);
}

/* What the last change of the policy ended. */
static json_t *ended;

static uint32_t change_policy(const char *text)
{
	struct policy_set old = g->now;
	uint32_t cut;

	put_policy(&g->now, text, old.generation + 1);
	json_decref(ended);
	ended = json_array();
	cut = flow_policy_changed(g, &old, ended);
	assert_int_equal(json_array_size(ended), cut);
	policy_set_free(&old);
	return cut;
}

static void expect_fatal(void)
{
	assert_true(g->failed);
	assert_true(g->stop);
}

/* ---------------------------------------------------------------------- it works */

static void test_the_whole_way(void **state)
{
	const struct msg_live *m;
	const struct session *s;

	(void)state;
	handing_over(1);
	s = session_find(&g->sessions, 1);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_HANDSHAKE);
	assert_int_equal(g->state.n, 1); /* the head, before anything is released */
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	m = sent(relay, MSG_LIVE);
	assert_int_equal(m->until, s->until);
	assert_true(s->until <= gate_now() + 600);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_LIVE);
	assert_int_equal(kernel.keyed, kid(1));
	/* The kernel knew the deadline before it had a key. */
	assert_int_equal(ring.armed, GATE_SESSION_LIVE);
	expect_record("released", "");
	/* The secrets went nowhere else. */
	assert_true(bytes_all_zero(g->in->release.secrets.client, 48));
	assert_true(bytes_all_zero(g->in->release.secrets.server, 48));
	assert_false(g->failed);
}

static void rekey(uint64_t id, uint32_t direction)
{
	memset(g->in, 0, sizeof(*g->in));
	g->in->rekey.direction = direction;
	from_relay(MSG_REKEY, id, up_fd);
}

static void test_rekeys_each_direction(void **state)
{
	const struct session *s;

	(void)state;
	g->selftest[SELFTEST_REKEY].ok = true;
	handing_over(1);
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	assert_int_equal(((const struct msg_live *)sent(relay, MSG_LIVE))->rekey_records,
	                 KEYRING_RECORDS_MAX / 2);
	rekey(1, KEYRING_RX);
	assert_int_equal(((const struct msg_rekey *)sent(relay, MSG_REKEYED))->direction,
	                 KEYRING_RX);
	rekey(1, KEYRING_TX);
	assert_int_equal(((const struct msg_rekey *)sent(relay, MSG_REKEYED))->direction,
	                 KEYRING_TX);
	s = session_find(&g->sessions, 1);
	assert_int_equal(s->state, SESSION_LIVE);
	assert_int_equal(s->rekeys[KEYRING_RX], 1);
	assert_int_equal(s->rekeys[KEYRING_TX], 1);
	assert_false(g->failed);
}

static void test_no_rekey_where_the_kernel_cant(void **state)
{
	(void)state;
	handing_over(1);
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	assert_int_equal(((const struct msg_live *)sent(relay, MSG_LIVE))->rekey_records, 0);
	rekey(1, KEYRING_RX);
	expect_fatal();
}

static void test_a_rekey_that_fails_ends_it(void **state)
{
	static const struct {
		int key, ktls;
		const char *code;
	} all[] = {{EKEYREVOKED, 0, "session.revoked"},
	           {ENOKEY, 0, "session.revoked"},
	           {EKEYEXPIRED, 0, "session.lease-over"},
	           {0, EBUSY, "session.rekey"}};

	(void)state;
	g->selftest[SELFTEST_REKEY].ok = true;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		live(i + 1);
		ring.revoked = false;
		ring.error = all[i].key;
		ring.ktls = all[i].ktls;
		rekey(i + 1, KEYRING_TX);
		expect_cut(i + 1, all[i].code);
		assert_true(ring.revoked);
		ring.error = ring.ktls = 0;
	}
	assert_false(g->failed);
}

static void test_a_rekey_of_another_socket_is_fatal(void **state)
{
	int other = socket(AF_INET, SOCK_STREAM, 0);

	(void)state;
	g->selftest[SELFTEST_REKEY].ok = true;
	live(1);
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_REKEY, 1, other);
	close(other);
	expect_fatal();
}

static void test_a_rekey_of_no_direction_is_fatal(void **state)
{
	(void)state;
	g->selftest[SELFTEST_REKEY].ok = true;
	live(1);
	rekey(1, KEYRING_TX + 1);
	expect_fatal();
}

/* ------------------------------------------------------------------ the sessions */

static const struct sockdiag_tls both = {.is_tls = true,
                                         .version = 0x0304,
                                         .cipher = 51, /* AES-128-GCM */
                                         .txconf = 2,
                                         .rxconf = 2};

static char control_path[96];

static int with_control(void **state)
{
	int ret = setup(state);

	snprintf(control_path, sizeof(control_path), "%s/control.sock", dir);
	assert_int_equal(control_open(control_path, verbs_answer, g, &g->control), 0);
	return ret;
}

static int without_control(void **state)
{
	control_close(g->control);
	return teardown(state);
}

static void looked(uint64_t id)
{
	memset(g->in, 0, sizeof(*g->in));
	g->in->looked = (struct msg_looked){.app_to_peer = 7, .peer_to_app = 9};
	from_relay(MSG_LOOKED, id, up_fd);
}

/* Protected is what the kernel calls so, both ways, with the cipher of the release. */
static void test_protected_is_the_kernels_word(void **state)
{
	const struct session *s;
	struct sockdiag_tls bad;

	(void)state;
	live(1);
	s = session_find(&g->sessions, 1);
	assert_null(view_sessions(g, 1, NULL));
	sent(relay, MSG_LOOK);
	assert_false(view_protected(s, KEYRING_VALID)); /* nobody has looked yet */
	diag_tls = both;
	looked(1);
	assert_int_equal(s->seen.app_to_peer, 7);
	assert_int_equal(s->seen.peer_to_app, 9);
	assert_true(view_protected(s, KEYRING_VALID));
	assert_false(view_protected(s, KEYRING_REVOKED));
	assert_false(view_protected(s, KEYRING_EXPIRED));
	assert_false(view_protected(s, KEYRING_GONE));
	for (int i = 0; i < 7; i++) {
		bad = both;
		switch (i) {
		case 0:
			bad.is_tls = false;
			break;
		case 1:
			bad.version = 0x0303;
			break;
		case 2:
			bad.cipher = 52;
			break;
		case 3:
			bad.txconf = 1;
			break;
		case 4:
			bad.rxconf = 1;
			break;
		case 5:
			bad.txconf = 0;
			break;
		default:
			bad.rxconf = 5;
		}
		assert_null(view_sessions(g, 1, NULL));
		sent(relay, MSG_LOOK);
		diag_tls = bad;
		looked(1);
		assert_true(s->seen.known);
		assert_false(view_protected(s, KEYRING_VALID));
	}
	/* In hardware it is as good; not known is not. */
	assert_null(view_sessions(g, 1, NULL));
	sent(relay, MSG_LOOK);
	diag_tls = both;
	diag_tls.txconf = diag_tls.rxconf = 3;
	looked(1);
	assert_true(view_protected(s, KEYRING_VALID));
	assert_null(view_sessions(g, 1, NULL));
	sent(relay, MSG_LOOK);
	diag_error = -ENOENT;
	looked(1);
	diag_error = 0;
	assert_false(view_protected(s, KEYRING_VALID));
	assert_false(g->failed);
}

static void turn(void)
{
	struct pollfd p[CONTROL_POLL_MAX];
	size_t n = control_poll(g->control, p);

	assert_true(poll(p, n, 0) >= 0);
	control_handle(g->control, p, n);
}

/* The answer waits for relay's, and then has what the kernel says. */
static void test_the_verb_waits_for_the_kernel(void **state)
{
	static const char request[] = "{\"verb\":\"sessions\"}\n";
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char got[4096] = "";

	(void)state;
	live(1);
	strcpy(a.sun_path, control_path);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	turn();
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	turn();
	turn();
	assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), -1);
	sent(relay, MSG_LOOK);
	diag_tls = both;
	looked(1);
	turn();
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "\"state\":\"live\""));
	assert_non_null(strstr(got, "\"key_state\":\"valid\""));
	assert_non_null(strstr(got, "\"key\":33,"));
	assert_non_null(strstr(got, "\"protected\":true"));
	assert_non_null(strstr(got,
	                       "\"kernel_tls\":{\"version\":\"1.3\",\"cipher\":\"aes-128-gcm\","
	                       "\"tx\":\"software\",\"rx\":\"software\"}"));
	assert_non_null(strstr(got, "\"bytes\":{\"app_to_peer\":7,\"peer_to_app\":9}"));
	/* A relay that says nothing in time. */
	assert_int_equal(send(fd, request, strlen(request), 0), strlen(request));
	turn();
	turn();
	sent(relay, MSG_LOOK);
	g->view.deadline_ns = 1;
	flow_tick(g);
	turn();
	memset(got, 0, sizeof(got));
	assert_true(recv(fd, got, sizeof(got) - 1, 0) > 0);
	assert_non_null(strstr(got, "\"protected\":false"));
	assert_non_null(strstr(got, "\"kernel_tls\":null"));
	assert_non_null(strstr(got, "\"records\":null"));
	close(fd);
	turn();
	assert_false(g->failed);
}

static void test_an_unasked_look_is_fatal(void **state)
{
	(void)state;
	live(1);
	looked(1);
	expect_fatal();
}

/* Sixteen at a time; one that ends meanwhile is not waited for, nor one that says nothing. */
static void test_looks_are_few_at_a_time(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 18; id++)
		live(id);
	assert_null(view_sessions(g, 1, NULL));
	for (int i = 0; i < 16; i++)
		sent(relay, MSG_LOOK);
	expect_silence(relay);
	diag_tls = both;
	looked(18);
	sent(relay, MSG_LOOK);
	expect_silence(relay);
	closed(17, "session.app-gone");
	flow_tick(g);
	sent(relay, MSG_LOOK);
	assert_int_equal(g->view.clients, 1);
	g->view.deadline_ns = 1;
	flow_tick(g);
	assert_int_equal(g->view.clients, 0);
	assert_false(g->failed);
}

/* Many sessions take longer than one may; all of them together have an end too. */
static void test_looks_that_go_on_are_waited_for(void **state)
{
	(void)state;
	for (uint64_t id = 1; id <= 3; id++)
		live(id);
	diag_tls = both;
	assert_null(view_sessions(g, 1, NULL));
	g->view.deadline_ns = 1;
	looked(3);
	flow_tick(g);
	assert_int_equal(g->view.clients, 1);
	g->view.deadline_ns = 1;
	flow_tick(g);
	assert_int_equal(g->view.clients, 0);
	assert_null(view_sessions(g, 1, NULL));
	g->view.end_ns = 1;
	looked(3);
	assert_int_equal(g->view.clients, 0);
	assert_false(g->failed);
}

static void test_gate_fills_its_own_record(void **state)
{
	const struct msg_appraise *m = appraising(1);
	const struct session *s = session_find(&g->sessions, 1);

	(void)state;
	assert_int_equal(m->destination, 0);
	assert_int_equal(m->generation, 1);
	assert_int_equal(m->at, s->at);
	assert_memory_equal(m->context, s->context, 32);
	assert_false(bytes_all_zero(m->context, 32));
	assert_string_equal(m->server_name, "");
	assert_int_equal(m->transport, TRANSPORT_KEYGATE);
}

static void test_nonces_differ(void **state)
{
	uint8_t first[32];

	(void)state;
	memcpy(first, connecting(1)->context, 32);
	assert_memory_not_equal(first, connecting(2)->context, 32);
}

static void test_a_clean_end_lets_the_tail_out(void **state)
{
	(void)state;
	live(1);
	closed(1, "session.end");
	assert_null(session_find(&g->sessions, 1));
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_LIVE);
	assert_int_equal(g->linger_n, 1);
	assert_true(flow_owns(g, g->linger[0].cookie));
	assert_true(ring.unlinked);
	assert_false(ring.revoked); /* a revoked key cuts */
	assert_int_equal(kernel.key, 0);
	/* And then it is over. */
	g->linger[0].end_ns = 1;
	flow_tick(g);
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_CUT);
	assert_int_equal(g->linger_n, 0);
}

static void test_an_unclean_end_lets_nothing_out(void **state)
{
	(void)state;
	live(1);
	closed(1, "relay.truncated");
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_CUT);
	assert_int_equal(g->linger_n, 0);
	assert_true(ring.revoked);
}

/* ----------------------------------------------------------------------- refusals */

static void test_no_intent(void **state)
{
	(void)state;
	kernel.take = -ENOENT;
	accepted(1);
	expect_refuse("gate.no-intent");
	closed(1, "session.end");
	assert_null(session_find(&g->sessions, 1));
	assert_false(g->failed);
}

static void test_upcall_of_nobody(void **state)
{
	(void)state;
	memset(g->in, 0, sizeof(*g->in));
	g->in->accepted.opened = 9;
	from_relay(MSG_ACCEPTED, 1, -1);
	expect_refuse("upcall.gone");
	closed(1, "session.end");
	assert_false(g->failed);
}

static void test_not_gated_any_more(void **state)
{
	(void)state;
	kernel.intent.dst_port = 444;
	accepted(1);
	expect_refuse("policy.changed");
	kernel.intent.dst_port = 443;
	change_policy(GATE_HEAD "destination x { address = 192.0.2.7 action = allow }\n");
	accepted(2);
	expect_refuse("policy.changed");
	change_policy(GATE_HEAD "destination x { address = 192.0.2.7 action = deny }\n");
	accepted(3);
	expect_refuse("policy.changed");
}

/* ------------------------------------------------------------------ applications */

#define FOR_SOME \
	GATE_HEAD "destination a {\n" GATE_MUST "user = 1000\n}\n" \
	          "destination d {\n" GATE_MUST "}\n"

static void goes_to(uint64_t id, const char *destination)
{
	connecting(id);
	assert_string_equal(session_find(&g->sessions, id)->name, destination);
}

/* What is demanded of one user's connections is not what is demanded of another's. */
static void test_by_the_application(void **state)
{
	(void)state;
	change_policy(FOR_SOME);
	kernel.intent.known = GATE_KNOWS_USER;
	kernel.intent.uid = 1000;
	goes_to(1, "a");
	kernel.intent.uid = 1001;
	goes_to(2, "d");
	/* What is not known here the kernel knew, if it looked at this policy. */
	kernel.intent.known = 0;
	kernel.intent.generation = g->now.generation;
	kernel.intent.rule = 0;
	goes_to(3, "a");
	kernel.intent.rule = 1;
	goes_to(4, "d");
	kernel.intent.generation--;
	accepted(5);
	expect_refuse("policy.changed");
	assert_false(g->failed);
}

/* A reload leaves those whose block is as it was, and is still the one that is for them. */
static void test_applications_over_a_reload(void **state)
{
	static const char before[] = GATE_HEAD "destination a {\n" GATE_MUST "user = 1\n}\n"
	                                       "destination d {\n" GATE_MUST "user = 1000\n}\n";
	static const char more[] = GATE_HEAD "destination a {\n" GATE_MUST "user = {1, 2}\n}\n"
	                                     "destination d {\n" GATE_MUST "user = 1000\n}\n";
	static const char taken[] = GATE_HEAD "destination a {\n" GATE_MUST "user = {1, 1000}\n}\n"
	                                      "destination d {\n" GATE_MUST "user = {1000, 3}\n}\n";

	(void)state;
	change_policy(before);
	kernel.intent.known = GATE_KNOWS_USER;
	kernel.intent.uid = 1000;
	live(1);
	assert_int_equal(change_policy(more), 0);
	assert_int_equal(session_find(&g->sessions, 1)->state, SESSION_LIVE);
	assert_int_equal(change_policy(taken), 1);
	assert_int_equal(session_find(&g->sessions, 1)->state, SESSION_CLOSING);
}

static void test_no_socket(void **state)
{
	(void)state;
	kernel.mark = -ENOMEM;
	accepted(1);
	expect_refuse("gate.socket");
	assert_int_equal(kernel_state(kid(1)), GATE_SESSION_CUT);
	kernel.mark = 0;
	kernel.session = -E2BIG;
	accepted(2);
	expect_refuse("gate.socket");
}

static void test_overload(void **state)
{
	(void)state;
	g->sessions.open = SESSIONS_MAX;
	accepted(1);
	expect_refuse("gate.overload");
	g->sessions.open = 0;
}

static void test_a_failed_verdict(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, false);
	judge(1, &m, NULL);
	expect_cut(1, "snp.signature");
	expect_record("refused", "snp.signature");
	assert_true(json_is_object(json_object_get(last_record(), "verdict")));
	assert_int_equal(g->state.n, 0);
	assert_ptr_equal(json_object_get(g->last, "d"), last_record());
	/* What crossed the CUT is dropped, and so is what it would have released. */
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_silence(relay);
	assert_int_equal(kernel.key, 0);
	closed(1, "session.revoked");
	assert_false(g->failed);
	assert_int_equal(g->count.refused, 1);
}

static void test_an_unsealed_or_spent_verdict(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	m.verdict.sealed = 0;
	judge(1, &m, "a note");
	expect_cut(1, "verdict.expired");
	appraising(2);
	m = verdict_of(2, true);
	m.verdict.valid_until = gate_now();
	judge(2, &m, "a note");
	expect_cut(2, "verdict.expired");
}

static void test_no_key_when_the_kernel_refuses(void **state)
{
	(void)state;
	handing_over(1);
	ring.ktls = ENOENT;
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_cut(1, "release.ktls");
	assert_true(ring.revoked);
	assert_true(bytes_all_zero(g->in->release.secrets.client, 48));
	expect_record("refused", "release.ktls");
	handing_over(2);
	memset(&g->in->release, 0, sizeof(g->in->release));
	from_relay(MSG_RELEASE, 2, up_fd);
	expect_cut(2, "release.secrets");
}

/* Revoked after it was made and before the watch knew of it: no key goes into the socket. */
static void test_a_key_that_is_revoked_at_birth(void **state)
{
	(void)state;
	handing_over(1);
	ring.error = EKEYREVOKED;
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_cut(1, "release.arm");
	assert_int_equal(ring.armed, 0); /* no TLS key was set */
	assert_int_equal(kernel.key, 0);
	expect_record("refused", "release.arm");
}

static void test_the_socket_goes_where_it_was_meant_to(void **state)
{
	(void)state;
	connecting(1);
	assert_memory_equal(kernel.marked, kernel.intent.dst, sizeof(kernel.marked));
	assert_int_equal(kernel.marked_port, kernel.intent.dst_port);
}

static void test_relay_connected_elsewhere(void **state)
{
	(void)state;
	handing_over(1);
	kernel.astray = true;
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_fatal();
	assert_int_equal(kernel.key, 0);
	expect_silence(relay);
}

/* The peer hung up in the meantime: nobody's fault, and no key. */
static void test_not_connected_any_more(void **state)
{
	(void)state;
	handing_over(1);
	kernel.peer = ENOTCONN;
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_cut(1, "gate.socket");
	assert_int_equal(kernel.key, 0);
	assert_false(g->failed);
}

/* -------------------------------------------------------------------------- heads */

static void test_a_head_that_cannot_be_saved(void **state)
{
	struct msg_verdict m;
	const struct msg_head_known *back;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	judge(1, &m, NULL); /* no note */
	expect_cut(1, "state.head");
	back = sent(verify, MSG_HEAD);
	assert_string_equal(back->origin, LOG_NAME);
	assert_false(back->last.known);
	appraising(2);
	strcpy(g->state.dir, "/nowhere");
	m = verdict_of(2, true);
	judge(2, &m, "a note");
	expect_cut(2, "state.head");
}

static void test_verify_and_disk_disagree(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	m.head.step = HEAD_SAME; /* nothing is known here */
	judge(1, &m, NULL);
	expect_cut(1, "state.head");
	sent(verify, MSG_HEAD); /* it is told what is on disk */
	appraising(2);
	m = verdict_of(2, true);
	m.head.step = HEAD_AHEAD;
	judge(2, &m, "a note");
	expect_cut(2, "state.head");
	sent(verify, MSG_HEAD);
	appraising(3);
	m = verdict_of(3, true);
	m.head.step = HEAD_REFUSE;
	judge(3, &m, NULL);
	expect_cut(3, "state.head");
	sent(verify, MSG_HEAD);
	appraising(4);
	m = verdict_of(4, true);
	m.head.ledger = 9;
	judge(4, &m, "a note");
	expect_cut(4, "state.head");
	handing_over(1000);
	appraising(1001);
	m = verdict_of(1001, true);
	m.head.step = HEAD_FIRST; /* one is known here */
	m.head.cp.size = 6;
	judge(1001, &m, "a note");
	expect_cut(1001, "state.head");
	assert_int_equal(g->state.head[0].last.cp.size, 5);
}

static void seed_head(void)
{
	struct checkpoint cp = {.origin = LOG_NAME, .size = 5};

	assert_int_equal(state_advance(&g->state, &cp, 1, bytes_str("a note"), 1), 0);
}

static void test_ahead_is_proved_later(void **state)
{
	struct msg_consistent proof = {.n = 1};
	const struct msg_consistency *ask;
	const struct msg_advance *adv;
	struct msg_verdict m;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	appraising(1);
	m = verdict_of(1, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = 9;
	m.head.cp.root.v[0] = 9;
	judge(1, &m, "newer");
	sent(relay, MSG_HANDOVER);
	assert_int_equal(g->state.head[0].last.cp.size, 5); /* state stays */
	ask = sent(fetch, MSG_CONSISTENCY);
	assert_string_equal(ask->url, "https://log.example/");
	assert_int_equal(ask->from, 5);
	assert_int_equal(ask->to, 9);
	assert_int_equal(ask->to_root.v[0], 9);
	heads_consistent(g, g->head.request, &proof);
	adv = sent(verify, MSG_ADVANCE);
	assert_int_equal(adv->proof_n, 1);
	m.head.step = HEAD_ADVANCE;
	verdict_init(&m.verdict, "", gate_now());
	check_add(&m.verdict.checks, "ledger.fork", CHECK_PASS, "x");
	verdict_seal(&m.verdict);
	heads_advanced(g, &m, got_fd);
	assert_int_equal(g->state.head[0].last.cp.size, 9);
	assert_false(session_find(&g->sessions, 1)->ahead);
	assert_false(g->head.busy);
	assert_false(g->failed);
}

/* verify proved another head than the one that was asked about. */
static void test_another_head_is_proved(void **state)
{
	struct msg_consistent proof = {.n = 1};
	struct msg_verdict m;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	appraising(1);
	m = verdict_of(1, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = 9;
	judge(1, &m, "newer");
	sent(fetch, MSG_CONSISTENCY);
	heads_consistent(g, g->head.request, &proof);
	sent(verify, MSG_ADVANCE);
	m.head.step = HEAD_ADVANCE;
	m.head.cp.size = 8;
	heads_advanced(g, &m, got_fd);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	assert_true(session_find(&g->sessions, 1)->ahead);
}

static void test_unasked_answers_about_heads(void **state)
{
	struct msg_consistent proof = {.n = 1};
	struct msg_verdict m = {.head = {.step = HEAD_ADVANCE}};

	(void)state;
	heads_consistent(g, 1, &proof);
	expect_fatal();
	g->failed = g->stop = false;
	g->head.busy = true;
	g->head.request = 7;
	heads_consistent(g, 8, &proof);
	expect_fatal();
	g->failed = g->stop = false;
	proof.n = PATH_MAX_HASHES + 1;
	heads_consistent(g, 7, &proof);
	expect_fatal();
	expect_silence(verify);
	g->failed = g->stop = g->head.busy = false;
	heads_advanced(g, &m, -1);
	expect_fatal();
}

static void test_ahead_turns_out_a_fork(void **state)
{
	struct msg_consistent proof = {.n = 1};
	struct msg_verdict m;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	appraising(1);
	m = verdict_of(1, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = 9;
	judge(1, &m, "newer");
	sent(relay, MSG_HANDOVER);
	sent(fetch, MSG_CONSISTENCY);
	heads_consistent(g, g->head.request, &proof);
	sent(verify, MSG_ADVANCE);
	m.head.step = HEAD_REFUSE;
	verdict_init(&m.verdict, "", gate_now());
	check_add(&m.verdict.checks, "ledger.fork", CHECK_FAIL, "two trees");
	verdict_seal(&m.verdict);
	heads_advanced(g, &m, got_fd);
	expect_cut(1, "ledger.fork");
	assert_int_equal(g->state.head[0].forks, 1);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	/* And from now on nothing that is only ahead is taken. */
	appraising(2);
	m = verdict_of(2, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = 10;
	judge(2, &m, "newer");
	expect_cut(2, "ledger.fork");
}

static void test_no_proof_to_be_had(void **state)
{
	struct msg_consistent proof = {.err = -ETIMEDOUT};
	struct msg_verdict m;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	for (uint64_t id = 1; id < 3; id++) {
		appraising(id);
		m = verdict_of(id, true);
		m.head.step = HEAD_AHEAD;
		m.head.cp.size = 9;
		judge(id, &m, "newer");
		sent(relay, MSG_HANDOVER);
		if (id == 1) {
			sent(fetch, MSG_CONSISTENCY);
			heads_consistent(g, g->head.request, &proof);
		}
	}
	expect_silence(fetch); /* not again at once */
	assert_int_equal(g->state.head[0].forks, 0);
	assert_false(g->failed);
}

static void test_a_fork_is_kept(void **state)
{
	struct msg_verdict m;

	(void)state;
	seed_head();
	appraising(1);
	m = verdict_of(1, false);
	check_add(&m.verdict.checks, "ledger.fork", CHECK_FAIL, "two roots");
	verdict_seal(&m.verdict);
	m.head.step = HEAD_REFUSE;
	judge(1, &m, "the other");
	assert_int_equal(g->state.head[0].forks, 1);
	expect_cut(1, "snp.signature");
}

/* A session that rests on a head that is only ahead. The root of a head is filled with one byte. */
static void going_ahead(uint64_t id, uint64_t size, uint8_t fill)
{
	struct msg_verdict m;

	appraising(id);
	m = verdict_of(id, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = size;
	memset(m.head.cp.root.v, fill, HASH_LEN);
	judge(id, &m, "newer");
	sent(relay, MSG_HANDOVER);
}

/* fetch has a proof for the pending head, and verify says this about it. */
static void pending_judged(enum head_step step)
{
	struct msg_consistent proof = {.n = 1};
	struct msg_verdict m = {.head = {.step = step, .cp = g->head.cp}};

	heads_consistent(g, g->head.request, &proof);
	sent(verify, MSG_ADVANCE);
	verdict_init(&m.verdict, "", gate_now());
	check_add(&m.verdict.checks, "ledger.fork", step == HEAD_REFUSE ? CHECK_FAIL : CHECK_PASS,
	          "as told");
	verdict_seal(&m.verdict);
	heads_advanced(g, &m, got_fd);
	assert_false(g->failed);
}

static bool ahead(uint64_t id)
{
	return session_find(&g->sessions, id)->ahead;
}

static void expect_open(uint64_t id)
{
	assert_int_not_equal(session_find(&g->sessions, id)->state, SESSION_CLOSING);
}

/* A proof settles the sessions of the head that it proves, and the others get their own. */
static void test_each_head_has_its_own_proof(void **state)
{
	const struct msg_consistency *ask;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	going_ahead(1, 9, 9);
	sent(fetch, MSG_CONSISTENCY);
	going_ahead(2, 7, 7);
	going_ahead(3, 12, 12);
	going_ahead(4, 9, 9);
	expect_silence(fetch);
	pending_judged(HEAD_ADVANCE);
	assert_int_equal(g->state.head[0].last.cp.size, 9);
	assert_false(ahead(1));
	assert_false(ahead(4));
	assert_true(ahead(2));
	assert_true(ahead(3));
	ask = sent(fetch, MSG_CONSISTENCY); /* the smaller one is part of what is on disk? */
	assert_int_equal(ask->from, 7);
	assert_int_equal(ask->to, 9);
	assert_int_equal(ask->to_root.v[0], 9);
	pending_judged(HEAD_BEHIND);
	assert_int_equal(g->state.head[0].last.cp.size, 9);
	assert_false(ahead(2));
	assert_true(ahead(3));
	ask = sent(fetch, MSG_CONSISTENCY);
	assert_int_equal(ask->from, 9);
	assert_int_equal(ask->to, 12);
	pending_judged(HEAD_ADVANCE);
	assert_false(ahead(3));
	assert_int_equal(g->state.head[0].last.cp.size, 12);
	expect_silence(fetch);
	expect_silence(relay);
}

/* Two heads of one size, of which one is proved: the other is a fork, and needs no proof. */
static void test_the_other_root_of_a_proved_size(void **state)
{
	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	going_ahead(1, 9, 9);
	sent(fetch, MSG_CONSISTENCY);
	going_ahead(2, 9, 0xee);
	going_ahead(3, 12, 12);
	pending_judged(HEAD_ADVANCE);
	expect_open(1);
	expect_cut(2, "ledger.fork");
	expect_cut(3, "ledger.fork"); /* never proved, of a log that forked */
	assert_true(state_forked(&g->state, LOG_NAME));
	assert_int_equal(g->state.head[0].forks, 1);
	expect_silence(fetch);
}

static void test_a_proved_fork_cuts_all_that_is_ahead(void **state)
{
	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	handing_over(1); /* on the head on disk */
	going_ahead(2, 9, 9);
	sent(fetch, MSG_CONSISTENCY);
	going_ahead(3, 12, 12);
	going_ahead(4, 9, 9);
	/* Of another log. */
	strcpy(session_find(&g->sessions, 4)->head.origin, "another.example");
	pending_judged(HEAD_REFUSE);
	expect_cut(2, "ledger.fork");
	expect_cut(3, "ledger.fork");
	expect_silence(relay);
	expect_open(1);
	expect_open(4);
	assert_true(ahead(4));
	expect_silence(fetch);
}

/* Another root for the size on disk is a fork for all that is only ahead, too. */
static void test_two_roots_of_one_size(void **state)
{
	struct msg_verdict m;
	const struct msg_head_known *back;

	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	going_ahead(1, 9, 9);
	sent(fetch, MSG_CONSISTENCY);
	appraising(2);
	m = verdict_of(2, false);
	check_add(&m.verdict.checks, "ledger.fork", CHECK_FAIL, "two roots");
	verdict_seal(&m.verdict);
	m.head.step = HEAD_REFUSE;
	m.head.cp.root.v[0] = 0xee;
	judge(2, &m, "the other");
	expect_cut(1, "ledger.fork");
	expect_cut(2, "snp.signature");
	/* The proof that was on its way moves nothing any more. */
	pending_judged(HEAD_ADVANCE);
	back = sent(verify, MSG_HEAD);
	assert_int_equal(back->last.cp.size, 5);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	/* The head on disk passes, what is ahead of it does not. */
	handing_over(3);
	appraising(4);
	m = verdict_of(4, true);
	m.head.step = HEAD_AHEAD;
	m.head.cp.size = 10;
	judge(4, &m, "newer");
	expect_cut(4, "ledger.fork");
}

static void test_a_fork_outlives_a_restart(void **state)
{
	static const enum head_step step[] = {HEAD_AHEAD, HEAD_ADVANCE, HEAD_BEHIND};
	const struct state_evidence e = {
	        .origin = LOG_NAME, .peer = "somebody", .offered = bytes_str("other")};
	char path[PATH_MAX];
	struct msg_verdict m;

	(void)state;
	seed_head();
	assert_int_equal(state_fork(&g->state, &e, 7, path), 0);
	assert_int_equal(state_open(dir, &g->state, path), 0);
	handing_over(1); /* the very head on disk */
	for (size_t i = 0; i < 3; i++) {
		appraising(2 + i);
		m = verdict_of(2 + i, true);
		m.head.step = step[i];
		m.head.cp.size = step[i] == HEAD_BEHIND ? 4 : 9;
		judge(2 + i, &m, "newer");
		expect_cut(2 + i, "ledger.fork");
		sent(verify, MSG_HEAD);
	}
	assert_int_equal(g->state.head[0].last.cp.size, 5);
	/* Nor does one that nobody waits for. */
	m.head.step = HEAD_ADVANCE;
	m.head.cp.size = 9;
	heads_left(g, &m, true, -1);
	assert_int_equal(g->state.head[0].last.cp.size, 5);
}

/* A head that can't be saved is not asked about again and again. */
static void test_a_proved_head_that_cannot_be_saved(void **state)
{
	(void)state;
	seed_head();
	strcpy(g->now.policy->ledger[0].url, "https://log.example/");
	going_ahead(1, 9, 9);
	sent(fetch, MSG_CONSISTENCY);
	strcpy(g->state.dir, "/nowhere");
	pending_judged(HEAD_ADVANCE);
	sent(verify, MSG_HEAD);
	expect_silence(fetch);
	assert_true(ahead(1));
	assert_false(g->head.busy);
}

/* ----------------------------------------------------------------------- protocol */

static void test_relay_out_of_order(void **state)
{
	(void)state;
	connecting(1);
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, up_fd);
	expect_fatal();
	assert_int_equal(kernel.key, 0);
}

static void test_relay_unknown_session(void **state)
{
	(void)state;
	closed(7, "session.end");
	expect_fatal();
}

static void test_relay_reuses_a_number(void **state)
{
	(void)state;
	connecting(1);
	closed(1, "session.end");
	accepted(1);
	expect_fatal();
}

static void test_relay_number_too_large(void **state)
{
	(void)state;
	accepted(UINT64_C(1) << 40);
	expect_fatal();
}

static void test_relay_appraises_twice(void **state)
{
	(void)state;
	appraising(1);
	from_relay(MSG_APPRAISE, 1, got_fd);
	expect_fatal();
}

static void test_relay_brings_another_socket(void **state)
{
	int other = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	handing_over(1);
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 1, other);
	close(other);
	expect_fatal();
	assert_int_equal(kernel.key, 0);
	expect_silence(relay);
}

static void test_verify_out_of_order(void **state)
{
	struct msg_verdict m;

	(void)state;
	connecting(1);
	m = verdict_of(1, true);
	judge(1, &m, "a note");
	expect_fatal();
	expect_silence(relay);
}

static void test_verify_judges_twice(void **state)
{
	struct msg_verdict m;

	(void)state;
	handing_over(1);
	m = verdict_of(1, true);
	judge(1, &m, "a note");
	expect_fatal();
}

/* A verdict for another destination, or of another time, opens nothing. */
static void test_verify_answers_another_question(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	strcpy(m.verdict.requirement, "e");
	judge(1, &m, "a note");
	expect_fatal();
	expect_silence(relay);
	g->failed = g->stop = false;
	appraising(2);
	m = verdict_of(2, true);
	m.verdict.made_at--;
	judge(2, &m, "a note");
	expect_fatal();
	expect_silence(relay);
}

static void test_the_app_leaves_during_appraisal(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	closed(1, "session.app-gone");
	expect_record("refused", "session.app-gone");
	assert_non_null(session_find(&g->sessions, 1)); /* verify still has it */
	judge(1, &m, "a note");
	assert_null(session_find(&g->sessions, 1));
	/* verify moved its head by it: so does the disk. */
	assert_int_equal(g->state.n, 1);
	expect_silence(verify);
	assert_false(g->failed);
}

/* Or verify is told to move it back. */
static void test_a_head_that_nobody_takes(void **state)
{
	const struct msg_head_known *back;
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	change_policy(policy_text);
	expect_cut(1, "policy.changed");
	judge(1, &m, "a note");
	back = sent(verify, MSG_HEAD);
	assert_string_equal(back->origin, LOG_NAME);
	assert_false(back->last.known);
	assert_int_equal(g->state.n, 0);
	/* A clock that went back makes a verdict void, not a head. */
	appraising(2);
	session_find(&g->sessions, 2)->at += 5;
	m = verdict_of(2, true);
	judge(2, &m, "a note");
	expect_cut(2, "verdict.expired");
	assert_int_equal(g->state.n, 1);
	assert_false(g->failed);
}

static void test_relays_words(void **state)
{
	(void)state;
	connecting(1);
	memset(g->in, 0, sizeof(*g->in));
	memset(g->in->closed.code, 'x', sizeof(g->in->closed.code));
	memset(g->in->closed.detail, '\n', sizeof(g->in->closed.detail));
	from_relay(MSG_CLOSED, 1, -1);
	expect_record("refused", "gate.relay");
	assert_null(strchr(json_string_value(json_object_get(last_record(), "detail")), '\n'));
}

/* ------------------------------------------------------------------ time and keys */

static void test_deadlines(void **state)
{
	(void)state;
	connecting(1);
	session_find(&g->sessions, 1)->deadline_ns = 1;
	flow_tick(g);
	expect_cut(1, "gate.timeout");
	appraising(2);
	session_find(&g->sessions, 2)->deadline_ns = 1;
	flow_tick(g);
	expect_cut(2, "verify.timeout");
	handing_over(3);
}

static void test_handover_deadline(void **state)
{
	(void)state;
	handing_over(1);
	session_find(&g->sessions, 1)->deadline_ns = 1;
	flow_tick(g);
	expect_cut(1, "gate.timeout");
	expect_record("refused", "gate.timeout");
	assert_false(g->failed);
	/* relay does not obey. */
	session_find(&g->sessions, 1)->deadline_ns = 1;
	flow_tick(g);
	expect_fatal();
}

static void test_revoked(void **state)
{
	(void)state;
	live(1);
	flow_tick(g);
	assert_int_equal(session_find(&g->sessions, 1)->state, SESSION_LIVE);
	ring.error = EKEYREVOKED;
	flow_tick(g);
	expect_cut(1, "session.revoked");
	ring.error = 0;
	live(2);
	assert_int_equal(kernel.swept, 0);
	flow_destroy(g);
	assert_int_equal(kernel.destroyed, 1); /* that one, not the other */
	flow_destroy(g);
	assert_int_equal(kernel.swept, 1);
	assert_int_equal(g->count.revoked, 1);
}

static void test_key_is_gone(void **state)
{
	(void)state;
	live(1);
	ring.error = ENOKEY;
	flow_tick(g);
	expect_cut(1, "session.revoked");
}

static void test_lease_is_over(void **state)
{
	(void)state;
	live(1);
	ring.error = EKEYEXPIRED;
	flow_tick(g);
	expect_cut(1, "session.lease-over");
}

static void test_lease_is_over_by_the_clock(void **state)
{
	(void)state;
	live(1);
	session_find(&g->sessions, 1)->until = gate_now();
	flow_tick(g);
	expect_cut(1, "session.lease-over");
}

static void test_kernel_events(void **state)
{
	struct gate_event e = {.kind = GATE_EVENT_REVOKED, .session = kid(1)};

	(void)state;
	live(1);
	e.session = (uint64_t)4 << 40 | 1; /* of an earlier keygated */
	flow_event(g, &e);
	assert_int_equal(session_find(&g->sessions, 1)->state, SESSION_LIVE);
	e.session = kid(1);
	flow_event(g, &e);
	expect_cut(1, "session.revoked");
	flow_event(g, &e); /* its echo */
	expect_silence(relay);
	live(2);
	e = (struct gate_event){.kind = GATE_EVENT_DEADLINE, .session = kid(2)};
	flow_event(g, &e);
	expect_cut(2, "session.lease-over");
}

/* -------------------------------------------------------------------------- policy */

static void test_policy_stays(void **state)
{
	(void)state;
	live(1);
	connecting(2);
	/* Another block before it, and another line: the same requirement. */
	assert_int_equal(change_policy(GATE_HEAD "destination x { address = 198.51.100.1 "
	                                         "action = deny }\n"
	                                         "destination d {\n" GATE_MUST "lease = 10m\n}\n"),
	                 0);
	expect_silence(relay);
	assert_int_equal(session_find(&g->sessions, 1)->destination, 1);
	assert_int_equal(session_find(&g->sessions, 2)->generation, 2);
}

static void test_policy_withdrawn(void **state)
{
	static const char changed[] = "what the destination block demands has changed";
	static const struct {
		const char *text, *why;
	} to[] = {
	        {GATE("lease = 9m\n"), changed},
	        {GATE("lease = 10m\ndeny = {\"leaf:" ONES "\"}\n"), changed},
	        {GATE("lease = 10m\nmin-version = 2\n"), changed},
	        {GATE("lease = 10m\nrenewed-within = 1d\n"), changed},
	        {GATE_HEAD "destination e {\n" GATE_MUST "lease = 10m\n}\n",
	         "destination \"e\" decides now"},
	        {GATE_HEAD, "no destination block matches its address any more"},
	        {GATE_HEAD "destination x { address = 192.0.2.7 action = allow }\n"
	                   "destination d {\n" GATE_MUST "lease = 10m\n}\n",
	         "destination \"x\" decides now"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(to) / sizeof(to[0]); i++) {
		uint64_t id = i + 1;

		live(id);
		assert_int_equal(change_policy(to[i].text), 1);
		expect_cut(id, "policy.withdrawn");
		assert_string_equal(
		        json_string_value(json_object_get(json_array_get(ended, 0), "why")),
		        to[i].why);
		closed(id, "policy.withdrawn");
		change_policy(policy_text);
	}
}

/* Whatever was judged under the policy before is thrown away. */
static void test_verdicts_of_an_old_policy(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	change_policy(policy_text);
	expect_cut(1, "policy.changed");
	judge(1, &m, "a note");
	expect_silence(relay);
	sent(verify, MSG_HEAD);
	handing_over(2);
	change_policy(policy_text);
	expect_cut(2, "policy.changed");
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 2, up_fd);
	expect_silence(relay);
	assert_int_equal(kernel.key, 0);
	assert_false(g->failed);
}

/* The same, should a session ever be overlooked at a reload. */
static void test_generations_are_compared(void **state)
{
	struct msg_verdict m;

	(void)state;
	appraising(1);
	m = verdict_of(1, true);
	g->now.generation++;
	judge(1, &m, "a note");
	expect_cut(1, "policy.changed");
	sent(verify, MSG_HEAD);
	handing_over(2);
	g->now.generation++;
	fill_secrets(&g->in->release.secrets);
	from_relay(MSG_RELEASE, 2, up_fd);
	expect_cut(2, "policy.changed");
	assert_int_equal(kernel.key, 0);
}

/* The last bytes may not outlive the lease. */
static void test_the_tail_ends_with_the_lease(void **state)
{
	(void)state;
	live(1);
	session_find(&g->sessions, 1)->until = gate_now() + 10;
	closed(1, "session.end");
	assert_true(g->linger[0].end_ns <= gate_boot_ns() + 11 * UINT64_C(1000000000));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_the_whole_way),
	        T(test_rekeys_each_direction),
	        cmocka_unit_test_setup_teardown(test_protected_is_the_kernels_word, with_control,
	                                        without_control),
	        cmocka_unit_test_setup_teardown(test_the_verb_waits_for_the_kernel, with_control,
	                                        without_control),
	        cmocka_unit_test_setup_teardown(test_an_unasked_look_is_fatal, with_control,
	                                        without_control),
	        cmocka_unit_test_setup_teardown(test_looks_that_go_on_are_waited_for, with_control,
	                                        without_control),
	        cmocka_unit_test_setup_teardown(test_looks_are_few_at_a_time, with_control,
	                                        without_control),
	        T(test_no_rekey_where_the_kernel_cant),
	        T(test_a_rekey_that_fails_ends_it),
	        T(test_a_rekey_of_another_socket_is_fatal),
	        T(test_a_rekey_of_no_direction_is_fatal),
	        T(test_gate_fills_its_own_record),
	        T(test_nonces_differ),
	        T(test_a_clean_end_lets_the_tail_out),
	        T(test_an_unclean_end_lets_nothing_out),
	        T(test_no_intent),
	        T(test_upcall_of_nobody),
	        T(test_not_gated_any_more),
	        T(test_no_socket),
	        T(test_by_the_application),
	        T(test_applications_over_a_reload),
	        T(test_overload),
	        T(test_a_failed_verdict),
	        T(test_an_unsealed_or_spent_verdict),
	        T(test_no_key_when_the_kernel_refuses),
	        T(test_a_key_that_is_revoked_at_birth),
	        T(test_the_socket_goes_where_it_was_meant_to),
	        T(test_relay_connected_elsewhere),
	        T(test_not_connected_any_more),
	        T(test_a_head_that_cannot_be_saved),
	        T(test_verify_and_disk_disagree),
	        T(test_ahead_is_proved_later),
	        T(test_another_head_is_proved),
	        T(test_unasked_answers_about_heads),
	        T(test_ahead_turns_out_a_fork),
	        T(test_each_head_has_its_own_proof),
	        T(test_the_other_root_of_a_proved_size),
	        T(test_a_proved_fork_cuts_all_that_is_ahead),
	        T(test_two_roots_of_one_size),
	        T(test_a_fork_outlives_a_restart),
	        T(test_a_proved_head_that_cannot_be_saved),
	        T(test_no_proof_to_be_had),
	        T(test_a_fork_is_kept),
	        T(test_relay_out_of_order),
	        T(test_relay_unknown_session),
	        T(test_relay_reuses_a_number),
	        T(test_relay_number_too_large),
	        T(test_relay_appraises_twice),
	        T(test_relay_brings_another_socket),
	        T(test_verify_out_of_order),
	        T(test_verify_judges_twice),
	        T(test_verify_answers_another_question),
	        T(test_the_app_leaves_during_appraisal),
	        T(test_a_head_that_nobody_takes),
	        T(test_relays_words),
	        T(test_deadlines),
	        T(test_handover_deadline),
	        T(test_revoked),
	        T(test_key_is_gone),
	        T(test_lease_is_over),
	        T(test_lease_is_over_by_the_clock),
	        T(test_kernel_events),
	        T(test_policy_stays),
	        T(test_policy_withdrawn),
	        T(test_verdicts_of_an_old_policy),
	        T(test_generations_are_compared),
	        T(test_the_tail_ends_with_the_lease),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
