/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's handshake requests on gate's side, with the kernel, relay and verify played here: a
 * request is answered exactly once, with 0 only after its session was released, and its socket is
 * the session's.
 */
#include "daemon_gate.h"

#include "daemon/handshake.h"

/* ------------------------------------------------------------ the kernel that asks */

struct handshake {
	int unused;
};

static struct handshake one;

static struct {
	int open; /* what handshake_open returns */
	bool joined;
	struct handshake_request rq[3]; /* that wait */
	size_t n, at;
	int lost; /* what accepting the next returns; 0: it */
	unsigned done;
	int error;       /* of the last answer, */
	uint64_t cookie; /* its socket's, */
	bool named;      /* and whether a key was named: */
	uint32_t peer;
	int gone; /* what answering returns */
} asks;

int handshake_open(struct handshake **out)
{
	if (!asks.open)
		*out = &one;
	return asks.open;
}

void handshake_close(struct handshake *h)
{
	(void)h;
}

int handshake_join(struct handshake *h, bool on)
{
	(void)h;
	asks.joined = on;
	return 0;
}

int handshake_fd(const struct handshake *h)
{
	(void)h;
	return 0;
}

void handshake_heard(struct handshake *h)
{
	(void)h;
}

int handshake_accept(struct handshake *h, struct handshake_request *out)
{
	int ret = asks.lost;

	(void)h;
	asks.lost = 0;
	if (ret)
		return ret;
	if (asks.at == asks.n)
		return -EAGAIN;
	*out = asks.rq[asks.at++];
	return 0;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t n = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &n), 0);
	return cookie;
}

int handshake_done(struct handshake *h, int fd, int error, const uint32_t *peer)
{
	(void)h;
	asks.done++;
	asks.error = error;
	asks.cookie = cookie_of(fd);
	asks.named = peer != NULL;
	asks.peer = peer ? *peer : 0;
	return asks.gone;
}

/* ----------------------------------------------------------------------- the roles */

static const char kernel_policy[] = GATE("lease = 10m\nkernel-tls = nfs\n");

static int begin(void **state)
{
	int rc = setup(state);

	memset(&asks, 0, sizeof(asks));
	policy_set_free(&g->now);
	put_policy(&g->now, kernel_policy, 1);
	if (!rc)
		rc = upcall_open(g);
	upcall_policy(g);
	return rc;
}

static int end(void **state)
{
	flow_stop(g);
	upcall_close(g);
	return teardown(state);
}

/* A request on a socket of its own; its cookie. */
static uint64_t ask(struct handshake_request rq)
{
	rq.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(rq.fd >= 0);
	asks.rq[asks.n++] = rq;
	return cookie_of(rq.fd);
}

static void hear(void)
{
	upcall_handle(g);
	assert_false(g->failed);
}

static void from_relay(enum msg_type type, uint64_t id, int fd)
{
	const struct msg_head head = {.type = type, .session = id};

	flow_from_relay(g, &head, fd);
}

static void nothing_sent(void)
{
	char b[8];

	assert_int_equal(recv(relay, b, sizeof(b), MSG_DONTWAIT | MSG_PEEK), -1);
}

static void accepted(uint64_t id, uint64_t number)
{
	memset(g->in, 0, sizeof(*g->in));
	g->in->accepted.opened = number;
	from_relay(MSG_ACCEPTED, id, -1);
}

/* Until relay has its socket. */
static uint64_t connecting(struct handshake_request rq)
{
	uint64_t cookie = ask(rq);
	const struct msg_connect *m;

	hear();
	sent(relay, MSG_OPEN);
	accepted(1, 1);
	m = sent(relay, MSG_CONNECT);
	assert_true(m->connected);
	assert_true(cookie_of(up_fd) == cookie);
	assert_int_equal(kernel.marked_port, 443);
	assert_memory_equal(kernel.marked, kernel.intent.dst, 16);
	assert_int_equal(kernel_state((uint64_t)5 << 40 | 1), GATE_SESSION_HANDSHAKE);
	assert_int_equal(asks.done, 0);
	return cookie;
}

static void handing_over(void)
{
	struct msg_verdict m = {.head = {.step = HEAD_FIRST}};
	int fd = file_memfd("x", bytes_str("x"));

	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, 1, fd);
	close(fd);
	sent(verify, MSG_APPRAISE);
	verdict_init(&m.verdict, "d", session_find(&g->sessions, 1)->at);
	check_add(&m.verdict.checks, "snp.signature", CHECK_PASS, "as told");
	verdict_limit(&m.verdict, gate_now() + 1000);
	verdict_seal(&m.verdict);
	strcpy(m.head.cp.origin, LOG_NAME);
	m.head.cp.size = 5;
	fd = file_memfd("note", bytes_str("a note"));
	flow_verdict(g, 1, &m, fd);
	close(fd);
	sent(relay, MSG_HANDOVER);
	assert_int_equal(asks.done, 0);
}

static void release(void)
{
	struct keyring_secrets *k = &g->in->release.secrets;

	memset(g->in, 0, sizeof(*g->in));
	k->suite = SUITE_AES_128_GCM_SHA256;
	k->len = 32;
	k->have_client = k->have_server = true;
	from_relay(MSG_RELEASE, 1, up_fd);
}

static void answered(int error, uint64_t cookie)
{
	assert_int_equal(asks.done, 1);
	assert_int_equal(asks.error, error);
	assert_true(asks.cookie == cookie);
}

static const struct handshake_request plain = {.client = true};

/* --------------------------------------------------------------------------- tests */

static void the_whole_way(void **state)
{
	uint64_t cookie = connecting(plain);

	(void)state;
	handing_over();
	release();
	sent(relay, MSG_LIVE);
	answered(0, cookie);
	assert_false(asks.named);
	assert_true(g->sessions.slot[0]->kernel);
	assert_string_equal(g->sessions.slot[0]->app.comm, "[kernel]");
	/* The keys were in before the kernel was told. */
	assert_int_equal(ring.armed, GATE_SESSION_LIVE);
	/* And what comes of it later is not told again. */
	flow_cut(g, g->sessions.slot[0], "session.revoked", "");
	assert_int_equal(asks.done, 1);
	assert_true(g->sessions.slot[0]->doomed);
}

static void nvme_hears_its_key(void **state)
{
	(void)state;
	connecting((struct handshake_request){.client = true, .psk = true, .peer = 4711});
	handing_over();
	release();
	assert_true(asks.named);
	assert_int_equal(asks.peer, 4711);
}

static void a_failure_names_none(void **state)
{
	uint64_t cookie =
	        connecting((struct handshake_request){.client = true, .psk = true, .peer = 4711});

	(void)state;
	flow_cut(g, g->sessions.slot[0], "policy.changed", "");
	answered(EACCES, cookie);
	assert_false(asks.named);
}

static void refused_by_the_verdict(void **state)
{
	uint64_t cookie = connecting(plain);
	struct msg_verdict m = {0};
	int fd = file_memfd("x", bytes_str("x"));

	(void)state;
	memset(g->in, 0, sizeof(*g->in));
	from_relay(MSG_APPRAISE, 1, fd);
	close(fd);
	sent(verify, MSG_APPRAISE);
	verdict_init(&m.verdict, "d", session_find(&g->sessions, 1)->at);
	check_add(&m.verdict.checks, "snp.signature", CHECK_FAIL, "as told");
	verdict_seal(&m.verdict);
	flow_verdict(g, 1, &m, -1);
	sent(relay, MSG_CUT);
	answered(EACCES, cookie);
	assert_int_equal(kernel_state((uint64_t)5 << 40 | 1), GATE_SESSION_CUT);
}

static void relay_ends_it(void **state)
{
	uint64_t cookie = connecting(plain);

	(void)state;
	memset(g->in, 0, sizeof(*g->in));
	strcpy(g->in->closed.code, "tls.handshake");
	from_relay(MSG_CLOSED, 1, -1);
	answered(EACCES, cookie);
	assert_int_equal(g->sessions.n, 0);
}

static void no_key_no_word(void **state)
{
	uint64_t cookie = connecting(plain);

	(void)state;
	handing_over();
	ring.ktls = ENOENT;
	release();
	answered(EACCES, cookie);
}

/* Nobody would end a session that nobody uses. */
static void the_kernel_waits_no_more(void **state)
{
	const struct msg_cut *m;

	(void)state;
	connecting(plain);
	handing_over();
	asks.gone = -EBUSY;
	release();
	sent(relay, MSG_LIVE);
	m = sent(relay, MSG_CUT);
	assert_string_equal(m->code, "upcall.gone");
	assert_int_equal(kernel_state((uint64_t)5 << 40 | 1), GATE_SESSION_CUT);
}

static void not_what_we_do(void **state)
{
	static const struct handshake_request bad[] = {{.client = false},
	                                               {.client = true, .certificate = true}};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		uint64_t cookie = ask(bad[i]);

		hear();
		answered(EACCES, cookie);
		asks.done = 0;
		nothing_sent();
	}
	/* No TCP. */
	asks.n = asks.at = 0;
	asks.rq[asks.n++] =
	        (struct handshake_request){.fd = socket(AF_INET, SOCK_DGRAM, 0), .client = true};
	hear();
	assert_int_equal(asks.done, 1);
	assert_int_equal(asks.error, EACCES);
	nothing_sent();
}

static void not_where_we_do(void **state)
{
	uint64_t cookie;

	(void)state;
	kernel.intent.dst_port = 444;
	cookie = ask(plain);
	hear();
	answered(EACCES, cookie);
	nothing_sent();
	/* Gated, but relayed. */
	asks.done = 0;
	kernel.intent.dst_port = 443;
	policy_set_free(&g->now);
	put_policy(&g->now, policy_text, 2);
	cookie = ask(plain);
	hear();
	answered(EACCES, cookie);
	nothing_sent();
}

static void one_that_is_lost_hides_no_other(void **state)
{
	(void)state;
	asks.lost = -EIO;
	ask(plain);
	hear();
	sent(relay, MSG_OPEN);
}

/* As under a policy that changed while relay was told. */
static void policy_says_no_meanwhile(void **state)
{
	uint64_t cookie = ask(plain);
	const struct msg_refuse *m;

	(void)state;
	hear();
	sent(relay, MSG_OPEN);
	policy_set_free(&g->now);
	put_policy(&g->now, policy_text, 2);
	accepted(1, 1);
	m = sent(relay, MSG_REFUSE);
	assert_string_equal(m->code, "policy.changed");
	answered(EACCES, cookie);
}

/* A live one goes with the rule that let it out. */
static void the_rule_is_withdrawn(void **state)
{
	struct policy_set old;
	const struct msg_cut *m;
	json_t *ended = json_array();

	(void)state;
	connecting(plain);
	handing_over();
	release();
	sent(relay, MSG_LIVE);
	old = g->now;
	put_policy(&g->now, policy_text, 2);
	assert_int_equal(flow_policy_changed(g, &old, ended), 1);
	m = sent(relay, MSG_CUT);
	assert_string_equal(m->code, "policy.withdrawn");
	policy_set_free(&old);
	json_decref(ended);
}

static void a_number_counts_once(void **state)
{
	const struct msg_refuse *m;

	(void)state;
	connecting(plain);
	accepted(2, 1);
	m = sent(relay, MSG_REFUSE);
	assert_string_equal(m->code, "upcall.gone");
	accepted(3, 77);
	sent(relay, MSG_REFUSE);
	assert_int_equal(asks.done, 0);
}

static void agent_only_where_asked_for(void **state)
{
	(void)state;
	assert_true(asks.joined && upcall_wanted(g, g->now.policy));
	assert_string_equal(upcall_status(g), "on");
	policy_set_free(&g->now);
	put_policy(&g->now, policy_text, 2);
	upcall_policy(g);
	assert_false(asks.joined || upcall_wanted(g, g->now.policy));
	assert_string_equal(upcall_status(g), "off");
}

static void a_kernel_that_asks_nobody(void **state)
{
	(void)state;
	upcall_close(g);
	asks.open = -ENOENT;
	asks.joined = false;
	assert_int_equal(upcall_open(g), 0);
	upcall_policy(g);
	assert_false(asks.joined || upcall_wanted(g, g->now.policy));
	assert_string_equal(upcall_status(g), "unavailable");
	assert_int_equal(upcall_fd(g), -1);
}

/* keygated ends: nobody is left waiting. */
static void all_are_answered(void **state)
{
	(void)state;
	connecting(plain);
	ask(plain);
	hear();
	sent(relay, MSG_OPEN);
	flow_stop(g);
	assert_int_equal(asks.done, 1);
	upcall_close(g);
	assert_int_equal(asks.done, 2);
	assert_int_equal(asks.error, EACCES);
}

static void records_are_counted(void **state)
{
	struct session *s;
	const struct msg_cut *m;

	(void)state;
	connecting(plain);
	handing_over();
	release();
	sent(relay, MSG_LIVE);
	upcall_tick(g);
	sent(relay, MSG_LOOK);
	upcall_tick(g); /* not before it has answered, nor before its time */
	nothing_sent();
	s = g->sessions.slot[0];
	s->seen.known = true;
	s->seen.sent = s->seen.received = REKEY_RECORDS - 1;
	upcall_looked(g, s);
	nothing_sent();
	s->seen.received++;
	upcall_looked(g, s);
	m = sent(relay, MSG_CUT);
	assert_string_equal(m->code, "relay.record-limit");
}

static void uncounted_is_not_guessed(void **state)
{
	const struct msg_cut *m;

	(void)state;
	connecting(plain);
	handing_over();
	release();
	sent(relay, MSG_LIVE);
	upcall_looked(g, g->sessions.slot[0]);
	m = sent(relay, MSG_CUT);
	assert_string_equal(m->code, "relay.record-limit");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
	        T(the_whole_way),
	        T(nvme_hears_its_key),
	        T(a_failure_names_none),
	        T(refused_by_the_verdict),
	        T(relay_ends_it),
	        T(no_key_no_word),
	        T(the_kernel_waits_no_more),
	        T(not_what_we_do),
	        T(not_where_we_do),
	        T(one_that_is_lost_hides_no_other),
	        T(policy_says_no_meanwhile),
	        T(the_rule_is_withdrawn),
	        T(a_number_counts_once),
	        T(agent_only_where_asked_for),
	        T(a_kernel_that_asks_nobody),
	        T(all_are_answered),
	        T(records_are_counted),
	        T(uncounted_is_not_guessed),
	};

	return cmocka_run_group_tests_name("daemon_upcall", tests, NULL, NULL);
}
