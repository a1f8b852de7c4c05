/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies coming into force step by step, what is in force when a step fails, names that change,
 * and what the control socket's verbs answer.
 */
#include "daemon_gate.h"

#include <sys/stat.h>
#include "receipt_own.h"

static struct gate_options opt;
static char config[128], policy_dir[128];

static void put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, bytes_str(text), 0600), 0);
}

static int setup_files(void **state)
{
	struct buf text = buf_make(8192);
	int ret = setup(state);

	snprintf(config, sizeof(config), "%s/keygate.conf", dir);
	snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", dir);
	snprintf(g->names_path, sizeof(g->names_path), "%s/names.json", dir);
	assert_int_equal(mkdir(policy_dir, 0700), 0);
	opt = (struct gate_options){.paths = {.config = config, .policy_dir = policy_dir},
	                            .user = "keygate"};
	g->opt = &opt;
	put_tlog_policy(&text, "two");
	buf_u8(&text, 0);
	put("policy.d/acme.policy", (const char *)text.p);
	buf_free(&text);
	put("policy.d/a.conf", policy_text);
	return ret;
}

static json_t *begin(void)
{
	json_t *error = NULL;

	(void)reload_begin(g, 0, &error);
	return error;
}

static void done(uint32_t generation, int err)
{
	const struct msg_policy_done m = {.err = err, .generation = generation};

	reload_policy_done(g, &m);
}

/* verify gets a bundle that parses. */
static void verify_gets(uint32_t generation)
{
	const struct msg_policy *m = sent(verify, MSG_POLICY);
	struct bundle b = {0};
	uint8_t *bytes = NULL;
	size_t n = 0;

	assert_int_equal(m->generation, generation);
	assert_int_equal(file_read_fd(got_fd, BUNDLE_MAX, &bytes, &n), 0);
	assert_int_equal(bundle_read((struct bytes){bytes, n}, &b), 0);
	assert_true(b.n >= 2);
	bundle_free(&b);
	free(bytes);
}

static void expect_in_force(uint32_t generation)
{
	assert_int_equal(g->now.generation, generation);
	assert_int_equal(g->coming.stage, COMING_NONE);
	assert_false(g->failed);
}

/* -------------------------------------------------------------------------- reload */

static void test_in_force_when_all_agree(void **state)
{
	(void)state;
	put("policy.d/a.conf", GATE("lease = 9m\n"));
	assert_null(begin());
	verify_gets(2);
	/* Not before verify said so. */
	assert_int_equal(kernel.generation, 0);
	assert_int_equal(g->now.generation, 1);
	done(2, 0);
	expect_in_force(2);
	assert_int_equal(kernel.generation, 2);
	assert_true(kernel.prefixes >= 1);
	assert_int_equal(kernel.swept, 1);
	assert_int_equal(g->now.policy->destination[0].lease, 540);
}

static void test_one_at_a_time(void **state)
{
	json_t *error;

	(void)state;
	assert_null(begin());
	error = begin();
	assert_string_equal(json_string_value(json_object_get(error, "kind")), "unavailable");
	json_decref(error);
	verify_gets(2);
	done(2, 0);
	assert_null(begin());
}

static void test_wrong_files_change_nothing(void **state)
{
	json_t *error;
	json_t *issue;

	(void)state;
	/* No warning comes before it. */
	put("policy.d/a.conf", GATE("min-tcb = \"snp=1\"\n"));
	put("policy.d/b.conf", "\ndestination x {\n\taddress = 300.1.1.1\n\taction = deny\n}\n");
	error = begin();
	assert_string_equal(json_string_value(json_object_get(error, "kind")), "usage");
	issue = json_array_get(json_object_get(error, "issues"), 0);
	assert_non_null(strstr(json_string_value(json_object_get(issue, "file")), "b.conf"));
	assert_int_equal(json_integer_value(json_object_get(issue, "line")), 3);
	json_decref(error);
	expect_in_force(1);
	assert_int_equal(kernel.generation, 0);
	assert_non_null(g->last_error);
	/* And it is no longer the last word once a good one came. */
	put("policy.d/b.conf", "");
	assert_null(begin());
	verify_gets(2);
	done(2, 0);
	assert_null(g->last_error);
}

static void test_verify_refuses(void **state)
{
	(void)state;
	assert_null(begin());
	verify_gets(2);
	done(2, -EINVAL);
	expect_in_force(1);
	assert_int_equal(kernel.generation, 0);
}

static void test_the_kernel_refuses(void **state)
{
	struct policy *same = NULL;

	(void)state;
	kernel.policy = -E2BIG;
	assert_null(begin());
	verify_gets(2);
	assert_int_equal(bundle_load(&opt.paths, 1, &g->now.bundle, &same, &issues), 0);
	policy_free(same);
	done(2, 0);
	expect_in_force(1);
	/* verify judges by what is in force again. */
	verify_gets(1);
	done(1, 0);
	expect_in_force(1);
}

static void test_verify_of_another_mind(void **state)
{
	(void)state;
	assert_null(begin());
	verify_gets(2);
	done(3, 0);
	assert_true(g->failed);
	assert_int_equal(kernel.generation, 0);
}

static void test_unasked(void **state)
{
	(void)state;
	done(2, 0);
	assert_true(g->failed);
}

static void start_without_policy(void)
{
	policy_set_free(&g->now);
	snprintf(g->control_path, sizeof(g->control_path), "%s/control.sock", dir);
}

static void test_start_arms_and_answers(void **state)
{
	(void)state;
	start_without_policy();
	assert_null(begin());
	verify_gets(1);
	assert_null(g->control);
	assert_false(kernel.armed);
	done(1, 0);
	expect_in_force(1);
	assert_true(kernel.armed);
	assert_non_null(g->control);
	control_close(g->control);
	g->control = NULL;
}

static void test_start_fails_whole(void **state)
{
	(void)state;
	start_without_policy();
	kernel.policy = -EPERM;
	assert_null(begin());
	verify_gets(1);
	done(1, 0);
	assert_true(g->failed);
	assert_false(kernel.armed);
	assert_null(g->control);
}

/* --------------------------------------------------------------------------- names */

#define BY_NAME(host) \
	GATE_HEAD "destination d { name = " host " port = 443 action = gate tee = snp " \
	          "ledger = acme }\n"

static void resolved(const char *host, const char *addr, int err)
{
	const struct msg_resolve *m = sent(fetch, MSG_RESOLVE);
	struct msg_resolved r = {.err = err};

	assert_string_equal(m->host, host);
	if (addr)
		assert_true(names_address_parse(addr, r.addr[r.n++]));
	reload_resolved(g, g->resolve_request, &r);
}

static void test_names_first(void **state)
{
	(void)state;
	put("policy.d/a.conf", BY_NAME("a.example"));
	assert_null(begin());
	assert_int_equal(g->coming.stage, COMING_NAMES);
	resolved("a.example", "192.0.2.9", 0);
	verify_gets(2);
	done(2, 0);
	expect_in_force(2);
	assert_int_equal(kernel.prefixes, 1);
	assert_int_equal(g->now.names.v[0].n, 1);
	/* Known names need not be asked for again before the next policy. */
	assert_null(begin());
	verify_gets(3);
}

static void test_names_that_answer_late(void **state)
{
	struct msg_resolved r = {.n = 0};

	(void)state;
	put("policy.d/a.conf", BY_NAME("a.example"));
	assert_null(begin());
	sent(fetch, MSG_RESOLVE);
	g->coming.deadline_ns = 1;
	reload_tick(g);
	verify_gets(2);
	done(2, 0);
	expect_in_force(2);
	assert_int_equal(kernel.prefixes, 0);
	/* When the answer comes, it is gated at once. */
	kernel.swept = 0;
	assert_true(names_address_parse("192.0.2.9", r.addr[r.n++]));
	reload_resolved(g, g->resolve_request, &r);
	assert_int_equal(kernel.prefixes, 1);
	assert_int_equal(kernel.swept, 1);
}

static void all_are_due(void)
{
	for (uint32_t i = 0; i < g->now.names.n; i++)
		g->now.names.v[i].due_s = 0;
	reload_tick(g);
}

/* One that failed is due again while the next is asked for: no reason to wait for it once more. */
static void test_names_once_before_a_policy(void **state)
{
	uint64_t now_s = gate_boot_ns() / 1000000000u;

	(void)state;
	put("policy.d/a.conf",
	    GATE_HEAD "destination d { name = b.example port = 1 action = deny }\n"
	              "destination e { name = a.example action = deny }\n");
	assert_null(begin());
	resolved("a.example", NULL, -2);
	assert_true(g->coming.set.names.v[0].due_s > g->coming.began_s);
	g->coming.began_s = now_s - 9;
	g->coming.set.names.v[0].due_s = now_s - 7;
	resolved("b.example", "192.0.2.9", 0);
	verify_gets(2);
	done(2, 0);
	expect_in_force(2);
}

static void test_names_that_change(void **state)
{
	(void)state;
	test_names_first(state);
	done(3, 0);
	all_are_due();
	resolved("a.example", "192.0.2.10", 0);
	/* The old answer stays gated for a while. */
	assert_int_equal(kernel.prefixes, 2);
	assert_int_equal(kernel.generation, 3);
	all_are_due();
	resolved("a.example", NULL, -2);
	assert_int_equal(g->now.names.v[0].n, 2);
	assert_false(g->failed);
}

/* The kernel half is told that an answer said so. */
static void tell(const char *host, const char *addr, uint32_t uid)
{
	kernel.told_host = host;
	kernel.told_uid = uid;
	assert_true(names_address_parse(addr, kernel.told));
	learning_take(g);
	assert_null(kernel.told_host);
}

static void resolve_again(const char *host, const char *addr)
{
	all_are_due();
	resolved(host, addr, 0);
}

static enum policy_action action_at(const char *addr)
{
	struct policy_resolved *names = NULL;
	uint8_t a[16];
	size_t n = 0;
	int at;

	assert_true(names_address_parse(addr, a));
	assert_int_equal(names_resolved(&g->now.names, &g->learned, g->now.policy, a, &names, &n),
	                 0);
	at = policy_match(g->now.policy, names, n, a, 443, NULL);
	free(names);
	return at < 0 ? policy_default(g->now.policy, a) : g->now.policy->destination[at].action;
}

/* What an application was told: beside the table, and never as if keygated had resolved it. */
static void test_what_is_learned(void **state)
{
	test_names_first(state);
	done(3, 0);
	assert_int_equal(kernel.names, 1);
	kernel.prefixes = 0;
	kernel.swept = 0;
	tell("a.example", "192.0.2.10", 1000);
	assert_int_equal(g->now.names.v[0].n, 1);
	assert_int_equal(g->learned.n, 1);
	assert_int_equal(kernel.learned_n, 1);
	assert_int_equal(kernel.learned[0].told.uid, 1000);
	assert_int_equal(kernel.learned[0].rules.port[0].action, POLICY_GATE);
	assert_int_equal(kernel.learned[0].generation, 3);
	assert_int_equal(kernel.swept, 1);
	assert_int_equal(action_at("192.0.2.10"), POLICY_GATE);
	/* Said again: nothing new. */
	tell("a.example", "192.0.2.10", 1000);
	assert_int_equal(g->learned.n, 1);
	assert_int_equal(kernel.swept, 1);
	assert_int_equal(kernel.prefixes, 0);
	/* It is over when keygated has resolved it, and who was told may learn another. */
	resolve_again("a.example", "192.0.2.10");
	assert_int_equal(kernel.prefixes, 2);
	assert_int_equal(g->learned.n, 0);
	assert_int_equal(kernel.learned_n, 0);
	assert_int_equal(kernel.given_back, 1000);
	tell("a.example", "192.0.2.10", 7);
	assert_int_equal(g->learned.n, 0);
	assert_int_equal(kernel.given_back, 7);
	/* Of a name that the policy has no more. */
	tell("gone.example", "192.0.2.11", 0);
	assert_int_equal(g->learned.n, 0);
	assert_false(g->failed);
}

/* While the table can't be made, what is resolved is not in force by it. */
static void test_learned_while_the_table_is_behind(void **state)
{
	test_names_first(state);
	done(3, 0);
	kernel.policy = -E2BIG;
	resolve_again("a.example", "192.0.2.10");
	tell("a.example", "192.0.2.10", 0);
	assert_int_equal(kernel.learned_n, 1);
	kernel.policy = 0;
	resolve_again("a.example", "192.0.2.9");
	assert_int_equal(kernel.prefixes, 2);
	assert_int_equal(kernel.learned_n, 0);
}

/* Under a policy that denies all but a name, somebody's answer opens nothing. */
static void test_learned_opens_nothing(void **state)
{
	static const char *const open[] = {"allow", "monitor tee = snp ledger = acme"};
	char text[4096];

	(void)state;
	for (size_t k = 0; k < 2; k++) {
		snprintf(text, sizeof(text), "%s",
		         GATE_HEAD "destination d { name = a.example port = 443 action = ");
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		         "%s }\ndestination e { address = 192.0.2.0/24 action = deny }\n", open[k]);
		put("policy.d/a.conf", text);
		assert_null(begin());
		if (!k)
			resolved("a.example", "192.0.2.9", 0);
		verify_gets(g->coming.set.generation);
		done(g->coming.set.generation, 0);
		tell("a.example", "192.0.2.10", 0);
		assert_true(policy_passes(action_at("192.0.2.9")));
		assert_int_equal(action_at("192.0.2.10"), POLICY_DENY);
		assert_int_equal(kernel.prefixes, 2);
	}
}

/* Two names of one address: both are put together, in the order of the files. */
static void test_learned_of_two_names(void **state)
{
	(void)state;
	put("policy.d/a.conf",
	    GATE_HEAD "destination d { name = b.example port = 1 action = deny }\n"
	              "destination e { name = a.example action = deny }\n");
	assert_null(begin());
	resolved("a.example", NULL, -2);
	resolved("b.example", NULL, -2);
	verify_gets(2);
	done(2, 0);
	tell("a.example", "192.0.2.10", 1);
	tell("b.example", "192.0.2.10", 2);
	assert_int_equal(kernel.learned_n, 1);
	assert_int_equal(kernel.learned[0].rules.ports, 2);
	assert_int_equal(kernel.learned[0].rules.port[0].destination, 0);
	assert_int_equal(kernel.learned[0].rules.port[1].destination, 1);
	/* When one is resolved the other stays. */
	g->now.names.v[1].due_s = UINT64_MAX;
	g->now.names.v[0].due_s = 0;
	reload_tick(g);
	resolved("a.example", "192.0.2.10", 0);
	assert_int_equal(kernel.learned_n, 1);
	assert_int_equal(kernel.learned[0].rules.ports, 1);
	assert_int_equal(kernel.learned[0].rules.port[0].destination, 0);
	assert_string_equal(kernel.learned[0].told.host, "b.example");
}

/* Over a policy, a restart, and the time. */
static void test_learned_stays(void **state)
{
	test_names_first(state);
	done(3, 0);
	tell("a.example", "192.0.2.10", 1);
	assert_null(begin());
	verify_gets(4);
	done(4, 0);
	assert_int_equal(kernel.learned_n, 1);
	assert_int_equal(kernel.learned[0].generation, 4);
	/* What the kernel has learned while nobody was there. */
	learned_free(&g->learned);
	g->learning_next_ns = 1;
	learning_tick(g);
	assert_int_equal(g->learned.n, 1);
	/* Seen by the kernel since. */
	g->learned.v[0].seen = 1;
	g->learning_next_ns = 1;
	learning_tick(g);
	assert_true(g->learned.v[0].seen > 1);
	/* Not for a day: it goes. */
	g->learned.v[0].seen = 1;
	kernel.learned[0].told.seen_ns = 1;
	g->learning_next_ns = 1;
	learning_tick(g);
	assert_int_equal(g->learned.n, 0);
	assert_int_equal(kernel.learned_n, 0);
	/* And with its name. */
	tell("a.example", "192.0.2.10", 1);
	put("policy.d/a.conf", policy_text);
	assert_null(begin());
	verify_gets(5);
	done(5, 0);
	assert_int_equal(g->learned.n, 0);
	assert_int_equal(kernel.learned_n, 0);
}

/* The names of the policy in force are learned again, and by a number that no other had. */
static void test_the_kernel_refuses_and_names_stay(void **state)
{
	test_names_first(state);
	done(3, 0);
	tell("a.example", "192.0.2.10", 1);
	assert_int_equal(kernel.names_generation, 3);
	kernel.policy = -ENOMEM;
	assert_null(begin());
	verify_gets(4);
	kernel.learned[0].generation = 4;
	done(4, 0);
	verify_gets(3);
	assert_int_equal(kernel.names_generation, 3);
	assert_int_equal(kernel.learned[0].generation, 3);
	/* The slot of those in force is not the next one's. */
	kernel.policy = 0;
	assert_null(begin());
	verify_gets(6);
	done(6, 0);
	expect_in_force(6);
	assert_int_equal(kernel.learned[0].generation, 6);
}

static void test_names_unasked(void **state)
{
	const struct msg_resolved r = {.n = 0};

	(void)state;
	reload_resolved(g, 1, &r);
	assert_true(g->failed);
}

/* --------------------------------------------------------------------------- verbs */

static json_t *ask(const char *text)
{
	json_t *request = json_loads(text, 0, NULL);
	json_t *answer;

	assert_non_null(request);
	answer = verbs_answer(g, 1, request);
	json_decref(request);
	assert_non_null(answer);
	return answer;
}

static void expect_kind(const char *request, const char *kind)
{
	json_t *a = ask(request);

	assert_true(json_is_false(json_object_get(a, "ok")));
	assert_string_equal(json_string_value(json_object_get(a, "kind")), kind);
	assert_true(strlen(json_string_value(json_object_get(a, "error"))) > 8);
	json_decref(a);
}

static void expect_ok(json_t *a)
{
	if (!json_is_true(json_object_get(a, "ok")))
		fail_msg("%s", json_string_value(json_object_get(a, "error")));
}

static void test_wrong_requests(void **state)
{
	(void)state;
	expect_kind("{}", "usage");
	expect_kind("{\"verb\":1}", "usage");
	expect_kind("{\"verb\":\"dance\"}", "usage");
	expect_kind("{\"verb\":\"status\",\"more\":1}", "usage");
	expect_kind("{\"verb\":\"explain\"}", "usage");
	expect_kind("{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":0}", "usage");
	expect_kind("{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":65536}", "usage");
	expect_kind("{\"verb\":\"explain\",\"host\":\"192.0.2.1\",\"port\":\"443\"}", "usage");
	expect_kind("{\"verb\":\"explain\",\"host\":\"a\",\"port\":443,\"addresses\":[\"x\"]}",
	            "usage");
	expect_kind("{\"verb\":\"verdicts\",\"limit\":0}", "usage");
	expect_kind("{\"verb\":\"verdicts\",\"limit\":257}", "usage");
	expect_kind("{\"verb\":\"revoke\"}", "usage");
	expect_kind("{\"verb\":\"revoke\",\"session\":1,\"destination\":\"d\"}", "usage");
	expect_kind("{\"verb\":\"revoke\",\"session\":1}", "no");
	expect_kind("{\"verb\":\"revoke\",\"session\":-1}", "no");
	expect_kind("{\"verb\":\"revoke\",\"destination\":\"x\"}", "no");
}

static void test_status(void **state)
{
	json_t *a;
	json_t *counters;

	(void)state;
	g->now.issues = calloc(1, sizeof(*g->now.issues));
	for (size_t i = 0; i < SELFTESTS; i++)
		g->selftest[i] = (struct selftest){"ktls.x", true, ""};
	a = ask("{\"verb\":\"status\"}");
	expect_ok(a);
	assert_string_equal(
	        json_string_value(json_object_get(json_object_get(a, "policy"), "default")),
	        "allow");
	assert_int_equal(json_array_size(json_object_get(a, "self_test")), SELFTESTS);
	assert_int_equal(json_array_size(json_object_get(a, "roles")), ROLES + 1);
	counters = json_object_get(a, "counters");
	assert_true(json_is_integer(json_object_get(counters, "no_listener")));
	assert_true(json_is_integer(json_object_get(counters, "revoked_sessions")));
	json_decref(a);
}

static void test_explain(void **state)
{
	json_t *a = ask("{\"verb\":\"explain\",\"host\":\"192.0.2.7\",\"port\":443}");
	json_t *m;

	(void)state;
	expect_ok(a);
	m = json_array_get(json_object_get(a, "matches"), 0);
	assert_string_equal(json_string_value(json_object_get(m, "action")), "gate");
	assert_string_equal(json_string_value(json_object_get(m, "destination")), "d");
	assert_int_equal(json_integer_value(json_object_get(m, "line")), 3);
	assert_true(json_array_size(json_object_get(m, "requirement")) > 3);
	assert_true(json_is_null(json_object_get(a, "last")));
	json_decref(a);
	a = ask("{\"verb\":\"explain\",\"host\":\"b.example\",\"port\":443,"
	        "\"addresses\":[\"198.51.100.1\",\"2001:db8::1\",\"198.51.100.1\"]}");
	expect_ok(a);
	assert_int_equal(json_array_size(json_object_get(a, "matches")), 2);
	m = json_array_get(json_object_get(a, "matches"), 0);
	assert_string_equal(json_string_value(json_object_get(m, "action")), "allow");
	assert_true(json_is_null(json_object_get(m, "destination")));
	json_decref(a);
	a = ask("{\"verb\":\"explain\",\"host\":\"b.example\",\"port\":443}");
	assert_int_equal(json_array_size(json_object_get(a, "matches")), 0);
	json_decref(a);
}

static void refuse_one(uint64_t id)
{
	const struct msg_head head = {.type = MSG_ACCEPTED, .session = id};

	memset(g->in, 0, sizeof(*g->in));
	kernel.mark = -ENOMEM; /* behind the policy, before the handshake */
	flow_from_relay(g, &head, -1);
	sent(relay, MSG_REFUSE);
}

static void test_records(void **state)
{
	json_t *a;
	json_t *v;

	(void)state;
	for (uint64_t id = 1; id <= 260; id++) {
		struct session *s;

		refuse_one(id);
		s = session_find(&g->sessions, id);
		session_drop(&g->sessions, s);
		kernel.n = 0;
	}
	a = ask("{\"verb\":\"verdicts\",\"limit\":3}");
	v = json_object_get(a, "verdicts");
	assert_int_equal(json_array_size(v), 3);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(v, 0), "session")), 260);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(v, 2), "session")), 258);
	json_decref(a);
	a = ask("{\"verb\":\"verdicts\"}");
	assert_int_equal(json_array_size(json_object_get(a, "verdicts")), CONTROL_RECORDS_MAX);
	json_decref(a);
	a = ask("{\"verb\":\"explain\",\"host\":\"192.0.2.7\",\"port\":443}");
	v = json_object_get(a, "last");
	assert_int_equal(json_integer_value(json_object_get(v, "session")), 260);
	assert_string_equal(json_string_value(json_object_get(v, "code")), "gate.socket");
	assert_true(strlen(json_string_value(json_object_get(v, "advice"))) > 8);
	json_decref(a);
}

/* A session in this state, without the way there. */
static struct session *put_session(uint64_t id, enum session_state state)
{
	struct session *s = NULL;

	assert_int_equal(session_new(&g->sessions, id, &s), 0);
	session_enter(&g->sessions, s, state);
	strcpy(s->name, "d");
	s->generation = 1;
	s->serial = KEY;
	s->ring = RING;
	s->until = gate_now() + 60;
	s->verdict = calloc(1, sizeof(*s->verdict));
	verdict_init(s->verdict, "d", gate_now());
	strcpy(s->verdict->binder, "connection");
	return s;
}

/* Live ones are asked about first: test_daemon_flow.c. */
static void test_sessions(void **state)
{
	json_t *a;
	json_t *one;

	(void)state;
	put_session(2, SESSION_APPRAISING);
	a = ask("{\"verb\":\"sessions\"}");
	expect_ok(a);
	one = json_array_get(json_object_get(a, "sessions"), 0);
	assert_string_equal(json_string_value(json_object_get(one, "state")), "appraising");
	assert_null(json_object_get(one, "key"));
	json_decref(a);
}

static void test_revoke(void **state)
{
	json_t *a;

	(void)state;
	put_session(1, SESSION_LIVE);
	put_session(2, SESSION_LIVE);
	put_session(3, SESSION_LIVE);
	a = ask("{\"verb\":\"revoke\",\"session\":2}");
	expect_ok(a);
	assert_int_equal(json_integer_value(json_object_get(a, "revoked")), 1);
	json_decref(a);
	assert_string_equal(((const struct msg_cut *)sent(relay, MSG_CUT))->code,
	                    "session.revoked");
	assert_true(ring.revoked);
	expect_kind("{\"verb\":\"revoke\",\"session\":2}", "no"); /* already */
	a = ask("{\"verb\":\"revoke\",\"destination\":\"d\"}");
	assert_int_equal(json_integer_value(json_object_get(a, "revoked")), 2);
	json_decref(a);
	for (uint64_t id = 1; id <= 3; id++)
		assert_int_equal(session_find(&g->sessions, id)->state, SESSION_CLOSING);
}

static void test_arm(void **state)
{
	json_t *a = ask("{\"verb\":\"arm\"}");

	(void)state;
	assert_true(json_is_true(json_object_get(a, "armed")));
	assert_true(kernel.armed);
	/* What was connected while it was disarmed. */
	assert_int_equal(kernel.swept, 1);
	json_decref(a);
	a = ask("{\"verb\":\"disarm\"}");
	assert_true(json_is_false(json_object_get(a, "armed")));
	assert_false(kernel.armed);
	assert_int_equal(kernel.swept, 1);
	json_decref(a);
}

static bool is_swept(uint8_t proto, const char *ip, uint16_t port)
{
	kernel.other = (struct sockdiag_socket){.cookie = 1, .proto = proto, .port = port};
	kernel.other_goes = false;
	assert_true(names_address_parse(ip, kernel.other.dst));
	reload_sweep(g);
	return kernel.other_goes;
}

static void test_old_sockets(void **state)
{
	(void)state;
	assert_true(is_swept(IPPROTO_TCP, "192.0.2.7", 443));
	assert_true(is_swept(IPPROTO_UDP, "192.0.2.7", 443));
	assert_false(is_swept(IPPROTO_TCP, "192.0.2.7", 444));
	assert_false(is_swept(IPPROTO_UDP, "192.0.2.7", 444));
	assert_false(is_swept(IPPROTO_UDP, "198.51.100.8", 443));
	g->now.policy->default_action = POLICY_DENY;
	/* It may be a client of a server here; of UDP these have no exemption. */
	assert_false(is_swept(IPPROTO_TCP, "198.51.100.8", 443));
	assert_true(is_swept(IPPROTO_UDP, "198.51.100.8", 443));
	assert_false(is_swept(IPPROTO_UDP, "127.0.0.1", 443));
}

static int teardown_files(void **state)
{
	policy_set_free(&g->coming.set);
	free(g->resolving);
	json_decref(g->last_error);
	return teardown(state);
}

/* A session whose evidence was not kept shows it: it is cut when there is something to recheck. */
static void test_other_collateral_is_news(void **state)
{
	char collateral[160];
	struct session *s;

	(void)state;
	snprintf(collateral, sizeof(collateral), "%s/collateral", dir);
	assert_int_equal(mkdir(collateral, 0700), 0);
	opt.paths.collateral[0] = collateral;
	assert_null(begin());
	verify_gets(2);
	done(2, 0);
	assert_int_equal(session_new(&g->sessions, 1, &s), 0);
	session_enter(&g->sessions, s, SESSION_LIVE);
	s->app = kernel.intent;
	s->generation = 2;
	strcpy(s->name, "d");
	memcpy(s->digest, g->now.digest[0], sizeof(s->digest));
	s->verdict = calloc(1, sizeof(*s->verdict));
	assert_null(begin());
	verify_gets(3);
	done(3, 0);
	assert_int_equal(s->state, SESSION_LIVE);
	put("collateral/x.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
	assert_null(begin());
	verify_gets(4);
	done(4, 0);
	assert_int_equal(s->state, SESSION_CLOSING);
	assert_string_equal(((const struct msg_cut *)sent(relay, MSG_CUT))->code,
	                    "session.collateral");
}

/* A release whose statements a service logged. */
static void put_release(const struct own *o, const char *min_svn)
{
	struct buf text = buf_make(8192);

	buf_printf(&text,
	           "default-action = allow\n"
	           "release uvm { trust-store = store.json issuer = \"%s\" subject = x "
	           "min-svn = %s }\n"
	           "destination d { address = 192.0.2.0/24 port = 443 action = gate tee = snp "
	           "ledger = none release = uvm lease = 30d }\n",
	           o->did, min_svn);
	buf_u8(&text, 0);
	put("policy.d/a.conf", (const char *)text.p);
	buf_free(&text);
}

static void put_trust_store(const struct own *o)
{
	struct buf text = buf_make(8192);

	own_store(o, NULL, &text);
	buf_u8(&text, 0);
	put("policy.d/store.json", (const char *)text.p);
	buf_free(&text);
}

static void put_lease(const struct session *s)
{
	struct lease_held held = {.key = {KEY, RING, gate_now() + 600}, .session = s->id}, old;
	struct lease_key key = {.dst_port = s->app.dst_port};
	struct lease *l;

	snprintf(key.name, sizeof(key.name), "%s", s->name);
	memcpy(key.digest, s->digest, sizeof(key.digest));
	memcpy(key.dst, s->app.dst, sizeof(key.dst));
	l = lease_place(&g->leases, &key, gate_boot_ns());
	assert_non_null(l);
	held.verdict = calloc(1, sizeof(*held.verdict));
	verdict_init(held.verdict, "d", gate_now());
	lease_put(l, &held, gate_now(), &old);
}

static struct session *live_now(uint64_t id)
{
	struct session *s = put_session(id, SESSION_LIVE);

	s->app = kernel.intent;
	s->generation = g->now.generation;
	memcpy(s->digest, g->now.digest[s->destination], sizeof(s->digest));
	return s;
}

static void reload(void)
{
	assert_null(begin());
	verify_gets(g->now.generation + 1);
	done(g->now.generation + 1, 0);
}

static void expect_taken_back(const struct session *s)
{
	assert_int_equal(s->state, SESSION_CLOSING);
	assert_string_equal(((const struct msg_cut *)sent(relay, MSG_CUT))->code,
	                    "policy.withdrawn");
	assert_null(lease_next(&g->leases, NULL));
}

/* What is to be taken back by a higher min-svn, or by a key that counts no more, is. */
static void test_a_statement_is_taken_back(void **state)
{
	struct own own, other;
	struct session *s;

	(void)state;
	own_make(&own);
	own_make(&other);
	put_trust_store(&own);
	put_release(&own, "104");
	reload();
	s = live_now(1);
	put_lease(s);
	reload();
	assert_int_equal(s->state, SESSION_LIVE);
	assert_non_null(lease_next(&g->leases, NULL));
	put_release(&own, "105");
	reload();
	expect_taken_back(s);
	s = live_now(2);
	put_lease(s);
	put_trust_store(&other);
	reload();
	expect_taken_back(s);
	own_free(&own);
	own_free(&other);
}

#define AT(name, ports, more) \
	"destination " name " { address = 192.0.2.0/24 port = " ports \
	" action = gate tee = snp ledger = acme " more "}\n"
#define LOW   AT("d", "400-443", "")
#define HIGH  AT("e", "443-500", "vmpl = 1 ")
#define APART "destination p { address = 198.51.100.0/24 action = deny }\n"

/* The same blocks; but another is the first for it now, and demands what was not shown. */
static void test_another_order(void **state)
{
	struct session *s;

	(void)state;
	put("policy.d/a.conf", GATE_HEAD LOW APART HIGH);
	reload();
	s = live_now(1);
	put_lease(s);
	put("policy.d/a.conf", GATE_HEAD APART LOW HIGH);
	reload();
	assert_int_equal(s->state, SESSION_LIVE);
	assert_int_equal(s->destination, 1);
	assert_non_null(lease_next(&g->leases, NULL));
	put("policy.d/a.conf", GATE_HEAD HIGH APART LOW);
	reload();
	expect_taken_back(s);
}

/* No session rests on it. */
static void test_another_default(void **state)
{
	struct session *s;

	(void)state;
	reload();
	s = live_now(1);
	put("policy.d/a.conf", "default-action = deny\nledger acme { policy = acme.policy }\n"
	                       "destination d {\n" GATE_MUST "lease = 10m\n}\n");
	reload();
	assert_int_equal(s->state, SESSION_LIVE);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_files, teardown_files)
	const struct CMUnitTest tests[] = {
	        T(test_in_force_when_all_agree),
	        T(test_one_at_a_time),
	        T(test_other_collateral_is_news),
	        T(test_a_statement_is_taken_back),
	        T(test_another_order),
	        T(test_another_default),
	        T(test_wrong_files_change_nothing),
	        T(test_verify_refuses),
	        T(test_the_kernel_refuses),
	        T(test_verify_of_another_mind),
	        T(test_unasked),
	        T(test_start_arms_and_answers),
	        T(test_start_fails_whole),
	        T(test_names_first),
	        T(test_names_once_before_a_policy),
	        T(test_names_that_answer_late),
	        T(test_names_that_change),
	        T(test_what_is_learned),
	        T(test_learned_while_the_table_is_behind),
	        T(test_learned_opens_nothing),
	        T(test_learned_of_two_names),
	        T(test_learned_stays),
	        T(test_the_kernel_refuses_and_names_stay),
	        T(test_names_unasked),
	        T(test_wrong_requests),
	        T(test_status),
	        T(test_explain),
	        T(test_records),
	        T(test_sessions),
	        T(test_revoke),
	        T(test_arm),
	        T(test_old_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
