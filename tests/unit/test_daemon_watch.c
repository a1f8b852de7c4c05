/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Logs whose entries are watched: what is asked for and when, what of it is shown to verify, what
 * is said and kept of its answers. The roles and the time are played here.
 */
#include "daemon_gate.h"

#include <sys/syscall.h>
#include <time.h>

#include "daemon/control.h"

#define PREFIX "https://log.example/"
#define POLICY(more) \
	"default-action = allow\n" \
	"ledger acme { policy = acme.policy\nurl = \"" PREFIX "\"\n" more "}\n" \
	"destination d {\n" GATE_MUST "}\n"

static int64_t skew;
static struct checkpoint cp;
static struct msg_watched said;

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

static void use(const char *text)
{
	uint32_t generation = g->now.generation + 1;

	policy_set_free(&g->now);
	put_policy(&g->now, text, generation);
}

static void grow(uint64_t size)
{
	cp.size = size;
	assert_int_equal(state_advance(&g->state, &cp, gate_now(), bytes_str("a note"), 1), 0);
}

static int begin(void **state)
{
	int ret = setup(state);

	cp = (struct checkpoint){.origin = LOG_NAME};
	memset(&said, 0, sizeof(said));
	use(POLICY("watch = {\"*\"}\n"));
	grow(300);
	assert_int_equal(watch_open(g), 0);
	return ret;
}

static int end(void **state)
{
	watch_close(g);
	return teardown(state);
}

static void silence(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

/* ------------------------------------------------------------- the roles' parts */

static struct msg_tail asked(void)
{
	watch_tick(g);
	return *(struct msg_tail *)sent(fetch, MSG_TAIL);
}

static struct msg_watch brought(void)
{
	struct msg_tailed m = {.proof_n = 2};
	int fd = file_memfd("entries", bytes_str("a bundle"));

	m.proof[1].v[0] = 7;
	watch_tailed(g, g->requests, &m, fd);
	close(fd);
	return *(struct msg_watch *)sent(verify, MSG_WATCH);
}

static void failed(int32_t err)
{
	struct msg_tailed m = {.err = err};

	watch_tailed(g, g->requests, &m, -1);
}

/* One more alert in verify's next answer. */
static void find(uint64_t index)
{
	struct policy_alert *a = &said.alert[said.n++];

	*a = (struct policy_alert){.index = index,
	                           .code = "ledger.unexpected",
	                           .detail = "as played",
	                           .subject = "service",
	                           .version = "1.2",
	                           .launches = 1,
	                           .launch[0] = {.tee = TEE_SNP, .alone = true, .len = 48}};
	memset(a->launch[0].value, 0x11, 48);
	a->leaf.v[0] = (uint8_t)index;
}

static void judged(uint64_t upto)
{
	said.upto = upto;
	watch_judged(g, g->requests, &said);
	memset(&said, 0, sizeof(said));
}

/* A round from `from`, without an alert, to the end of the bundle. */
static void round_from(uint64_t from)
{
	struct msg_tail t = asked();
	uint64_t upto = (from / 256 + 1) * 256;

	assert_int_equal(t.n, from / 256);
	assert_int_equal(brought().from, from);
	judged(upto < cp.size ? upto : cp.size);
}

/* ------------------------------------------------------------------ what is seen */

static json_t *log_of(const char *member)
{
	json_t *list = watch_status(g), *o = json_array_get(list, 0);
	json_t *found = json_incref(json_object_get(o, member));

	json_decref(list);
	return found;
}

static void is_number(const char *member, json_int_t want)
{
	json_t *n = log_of(member);

	assert_int_equal(json_integer_value(n), want);
	json_decref(n);
}

static void is_code(const char *want)
{
	json_t *s = log_of("code");

	assert_string_equal(json_string_value(s), want);
	json_decref(s);
}

static size_t kept(void)
{
	json_t *list = log_of("alerts");
	size_t n = json_array_size(list);

	json_decref(list);
	return n;
}

/* Lines of the audit record with this in them. */
static size_t audited(const char *what)
{
	char path[128];
	uint8_t *text = NULL;
	size_t n = 0, count = 0;

	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	assert_int_equal(file_read(path, 1 << 20, &text, &n), 0);
	for (const char *p = (char *)text; (p = strstr(p, what)); p++)
		count++;
	free(text);
	return count;
}

/* As after a restart: what is known is on disk. */
static void restart(void)
{
	watch_close(g);
	assert_int_equal(watch_open(g), 0);
}

/* ---------------------------------------------------------------------- the tests */

static void test_all_entries_are_read(void **state)
{
	struct msg_tail t = asked();
	struct msg_watch m;

	(void)state;
	assert_string_equal(t.url, PREFIX);
	assert_int_equal(t.n, 0);
	assert_int_equal(t.size, 300);
	watch_tick(g); /* one at a time */
	silence(fetch);
	m = brought();
	assert_int_equal(m.n, 0);
	assert_int_equal(m.from, 0);
	assert_int_equal(m.size, 300);
	assert_int_equal(m.proof_n, 2);
	assert_int_equal(m.proof[1].v[0], 7);
	assert_int_equal(m.generation, g->now.generation);
	assert_true(got_fd >= 0);
	judged(256);
	is_number("size", 256);
	round_from(256);
	is_number("size", 300);
	watch_tick(g);
	silence(fetch);
	/* A newer head: from where it stopped, in the middle of a bundle. */
	grow(301);
	round_from(300);
	is_number("size", 301);
	is_number("head", 301);
	is_code("");
}

static void test_alerts_are_said_and_kept(void **state)
{
	(void)state;
	asked();
	brought();
	find(3);
	find(200);
	judged(256);
	assert_int_equal(audited("\"ledger-alert\""), 2);
	assert_int_equal(audited("\"code\":\"ledger.unexpected\""), 2);
	assert_int_equal(kept(), 2);
	restart();
	assert_int_equal(kept(), 2);
	is_number("size", 256);
	round_from(256);
	assert_int_equal(audited("\"ledger-alert\""), 2);
}

/* What found no room in one answer is asked for again, of the same bundle. */
static void test_more_than_one_answer(void **state)
{
	struct msg_watch m;

	(void)state;
	asked();
	brought();
	for (uint64_t i = 0; i < WATCHED_MAX; i++)
		find(i);
	judged(WATCHED_MAX);
	silence(fetch);
	m = *(struct msg_watch *)sent(verify, MSG_WATCH);
	assert_int_equal(m.from, WATCHED_MAX);
	assert_true(got_fd >= 0);
	judged(256);
	is_number("size", 256);
	assert_int_equal(kept(), WATCHED_MAX);
}

/* A reload takes back what is expected from then on, also when it was said before a restart. */
static void test_expected_alerts_are_taken_back(void **state)
{
	(void)state;
	asked();
	brought();
	find(3);
	judged(256);
	assert_int_equal(kept(), 1);
	use(POLICY("watch = {\"*\"}\nexpected = {\"snp:22" ONES
	           "111111111111111111111111111111\"}\n"));
	assert_int_equal(kept(), 1);
	use(POLICY("watch = {\"*\"}\nexpected = {\"snp:" ONES
	           "11111111111111111111111111111111\"}\n"));
	assert_int_equal(kept(), 0);
	use(POLICY("watch = {\"*\"}\n"));
	restart();
	assert_int_equal(kept(), 0);
	is_number("size", 256);
}

static void test_each_failure_has_its_code(void **state)
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
		asked();
		failed(cases[i].err);
		is_code(cases[i].code);
		is_number("size", 0);
		skew += 2 * 3600;
	}
	asked();
	brought();
	said.err = -EBADMSG;
	judged(0);
	is_code("log.wrong-entries");
	is_number("size", 0);
	skew += 2 * 3600;
	asked();
	brought();
	said.err = -ENOMEM;
	judged(0);
	is_code("verify.internal");
	skew += 2 * 3600;
	round_from(0);
	is_code("");
	/* Each change is said once, the end of it too. */
	assert_int_equal(audited("\"ledger-watch\""), 9);
}

static void test_attempts_get_rarer(void **state)
{
	int64_t wait = 300;

	(void)state;
	for (int i = 0; i < 8; i++) {
		asked();
		failed(-EHOSTUNREACH);
		skew += wait - 2;
		watch_tick(g);
		silence(fetch);
		skew += 3;
		wait = wait < 1800 ? wait * 2 : 3600;
	}
	assert_int_equal(audited("\"ledger-watch\""), 1);
}

/* Who can append must not fill the disk. Nothing is skipped for it. */
static void test_too_many_alerts_wait(void **state)
{
	uint64_t at = 0;

	(void)state;
	grow(5000);
	while (at < 512) {
		if (at % 256 == 0) {
			asked();
			brought();
		} else {
			sent(verify, MSG_WATCH);
		}
		for (int i = 0; i < WATCHED_MAX; i++)
			find(at++);
		judged(at);
	}
	asked();
	brought();
	find(at);
	judged(at + 1);
	silence(verify);
	watch_tick(g);
	silence(fetch);
	is_number("size", (json_int_t)at + 1);
	assert_int_equal(kept(), STATE_ALERTS_MAX);
	is_number("dropped", (json_int_t)at + 1 - STATE_ALERTS_MAX);
	skew += 3601;
	round_from(at + 1);
}

/* What is asked under one policy says nothing under another. */
static void test_a_new_policy(void **state)
{
	json_t *list;

	(void)state;
	asked();
	use(POLICY("watch = {\"*\"}\n"));
	watch_tick(g);
	failed(-ENOENT);
	is_code("");
	asked();
	brought();
	use(POLICY("watch = {\"*\"}\n"));
	find(1);
	judged(256);
	is_number("size", 0);
	asked();
	brought();
	said.err = -ESTALE;
	judged(0);
	is_code("");
	asked();
	use(POLICY(""));
	failed(-ENOENT);
	watch_tick(g);
	silence(fetch);
	list = watch_status(g);
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
}

/* What was read for some names was not looked at for others; and no alert is said again for it. */
static void test_other_names(void **state)
{
	(void)state;
	use(POLICY("watch = {\"a\"}\n"));
	asked();
	brought();
	find(3);
	judged(256);
	round_from(256);
	use(POLICY("watch = {\"a\"}\n"));
	watch_tick(g);
	silence(fetch);
	use(POLICY("watch = {\"a\", \"b\"}\n"));
	asked();
	assert_int_equal(brought().from, 0);
	find(3);
	find(5);
	judged(256);
	round_from(256);
	assert_int_equal(audited("\"ledger-alert\""), 2);
	assert_int_equal(kept(), 2);
	restart();
	watch_tick(g);
	silence(fetch);
	is_number("size", 300);
	/* Changed while keygated was down. */
	use(POLICY("watch = {\"a\"}\n"));
	restart();
	asked();
	assert_int_equal(brought().from, 0);
}

static void test_a_forgotten_log(void **state)
{
	char path[PATH_MAX];

	(void)state;
	round_from(0);
	round_from(256);
	assert_int_equal(heads_forget(g, LOG_NAME, path), 0);
	sent(verify, MSG_HEAD);
	watch_tick(g);
	silence(fetch);
	grow(20);
	round_from(0);
	is_number("size", 20);
	/* In between. */
	skew++;
	grow(21);
	asked();
	assert_int_equal(heads_forget(g, LOG_NAME, path), 0);
	sent(verify, MSG_HEAD);
	failed(-ENOENT);
	is_code("");
}

/* Read anew from the first entry on, and said so. */
static void test_damage(void **state)
{
	char path[PATH_MAX];

	(void)state;
	round_from(0);
	assert_int_equal(state_file_of(&g->state, LOG_NAME, "watch.json", path), 0);
	assert_int_equal(file_write_atomic(path, bytes_str("{}"), 0600), 0);
	restart();
	round_from(0);
	assert_int_equal(audited("\"ledger-watch-forgotten\""), 1);
}

/* One log is watched once, however many blocks name it. */
static void test_two_ledgers_of_one_log(void **state)
{
	json_t *list;

	(void)state;
	use("default-action = allow\n"
	    "ledger acme { policy = acme.policy\nurl = \"" PREFIX "\"\nwatch = {\"*\"}\n}\n"
	    "ledger b { policy = acme.policy\nurl = \"" PREFIX "\"\nwatch = {\"*\"}\n}\n"
	    "destination d {\n" GATE_MUST "}\n");
	list = watch_status(g);
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
	assert_int_equal(audited("\"ledger-not-watched\""), 1);
}

/* Well only while the log's own head is. */
static void test_a_log_that_is_not_followed(void **state)
{
	json_t *ok;

	(void)state;
	round_from(0);
	round_from(256);
	ok = log_of("ok");
	assert_true(json_is_false(ok));
	json_decref(ok);
}

static void refused(void)
{
	assert_true(g->failed);
	g->failed = g->stop = false;
	memset(&said, 0, sizeof(said));
}

static void test_strange_answers(void **state)
{
	struct msg_tailed t = {.err = -ENOENT};
	int fd = file_memfd("entries", bytes_str("x"));

	(void)state;
	watch_tailed(g, g->requests, &t, -1); /* nothing was asked */
	refused();
	asked();
	watch_tailed(g, g->requests + 1, &t, -1);
	refused();
	watch_tailed(g, g->requests, &t, fd);
	refused();
	t.err = 0;
	watch_tailed(g, g->requests, &t, -1);
	refused();
	t.proof_n = PATH_MAX_HASHES + 1;
	watch_tailed(g, g->requests, &t, fd);
	refused();
	close(fd);
	judged(256);
	refused();
	brought();
	judged(0);
	refused();
	judged(257);
	refused();
	said.n = WATCHED_MAX + 1;
	judged(256);
	refused();
	said.err = 5;
	judged(256);
	refused();
	find(9);
	said.err = -EBADMSG;
	judged(256);
	refused();
	find(9);
	judged(9);
	refused();
	find(9);
	memset(said.alert[0].subject, 'x', sizeof(said.alert[0].subject));
	judged(256);
	refused();
	find(9);
	memset(said.alert[0].code, 'x', sizeof(said.alert[0].code));
	judged(256);
	refused();
	find(9);
	said.alert[0].launch[0].len = MEASUREMENT_MAX + 1;
	judged(256);
	refused();
	find(9);
	said.alert[0].launches = STATEMENT_TEES_MAX + 1;
	judged(256);
	refused();
	assert_int_equal(audited("\"ledger-alert\""), 0);
	judged(256);
	assert_false(g->failed);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {
	        T(test_all_entries_are_read),
	        T(test_alerts_are_said_and_kept),
	        T(test_more_than_one_answer),
	        T(test_expected_alerts_are_taken_back),
	        T(test_each_failure_has_its_code),
	        T(test_attempts_get_rarer),
	        T(test_too_many_alerts_wait),
	        T(test_a_new_policy),
	        T(test_other_names),
	        T(test_a_forgotten_log),
	        T(test_damage),
	        T(test_two_ledgers_of_one_log),
	        T(test_a_log_that_is_not_followed),
	        T(test_strange_answers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
