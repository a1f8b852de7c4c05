/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What gate does about collateral that verify looked for in vain: asks, has it checked, keeps it,
 * backs off, asks anew. The roles, the kernel half and the time between two attempts are played
 * here.
 */
#include <dirent.h> /* the next one has a name of its */
#include "daemon_gate.h"

#include <sys/syscall.h>
#include <time.h>

#include "attest/intel.h"

#define TCB_PATH "tdx/certification/v4/tcb?fmspc=00806f050000"
#define SOURCES  "collateral intel { url = \"https://pccs.example/\" ca = \"/etc/ca.pem\" }\n"

/* -------------------------------------------------------------------- the clock */

static int64_t skew;

static void later(int64_t seconds)
{
	skew += seconds;
}

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

/* ---------------------------------------------------------------------- the ends */

static void use_policy(const char *text)
{
	policy_set_free(&g->now);
	put_policy(&g->now, text, 1);
}

static void open_store(void)
{
	static struct gate_options opt;

	opt.state_dir = dir;
	g->opt = &opt;
	assert_int_equal(collateral_open(g), 0);
}

static int begin(void **state)
{
	int ret = setup(state);

	use_policy(GATE("") SOURCES);
	open_store();
	return ret;
}

static int end(void **state)
{
	collateral_close(g);
	return teardown(state);
}

static void want(enum collateral_vendor vendor, const char *path)
{
	struct policy_wants w = {.n = 1, .v = {{.vendor = vendor}}};

	snprintf(w.v[0].path, sizeof(w.v[0].path), "%s", path);
	collateral_wanted(g, &w);
}

static void nothing_sent(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	assert_int_equal(poll(&p, 1, 0), 0);
}

static struct msg_fetch asked(void)
{
	collateral_tick(g);
	return *(struct msg_fetch *)sent(fetch, MSG_FETCH);
}

static void answer(enum fetch_result result, const char *piece, const char *chain, uint32_t wait)
{
	struct msg_fetched m = {.result = result,
	                        .piece_n = (uint32_t)strlen(piece),
	                        .chain_n = (uint32_t)strlen(chain),
	                        .retry_after = wait,
	                        .tag = "\"v1\"",
	                        .error = "as played"};
	struct buf b = buf_make(1 << 16);
	int fd = -1;

	buf_str(&b, piece);
	buf_str(&b, chain);
	if (result == FETCH_OK)
		fd = file_memfd("t", buf_view(&b));
	collateral_fetched(g, g->requests, &m, fd);
	if (fd >= 0)
		close(fd);
	buf_free(&b);
}

static void checked(int err)
{
	const struct msg_collateral_done m = {
	        .err = err, .from = 1, .until = gate_now() + 30 * 86400};
	const struct msg_collateral *c = sent(verify, MSG_COLLATERAL);

	(void)c;
	collateral_checked(g, g->requests, &m);
}

static json_int_t of_intel(const char *key)
{
	json_t *list = collateral_status(g);
	json_int_t n = json_integer_value(json_object_get(json_array_get(list, 1), key));

	json_decref(list);
	return n;
}

/* Fetched, looked at by verify, on disk; and after a restart verify is shown it again. */
static void what_is_missing_is_fetched_and_kept(void **state)
{
	struct msg_fetch m;

	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	m = asked();
	assert_string_equal(m.url, "https://pccs.example/" TCB_PATH);
	assert_string_equal(m.ca, "/etc/ca.pem");
	assert_string_equal(m.tag, "");
	answer(FETCH_OK, "the piece", "", 0);
	assert_int_equal(of_intel("pieces"), 0); /* not before verify saw it */
	checked(0);
	assert_int_equal(of_intel("pieces"), 1);
	collateral_tick(g);
	nothing_sent(fetch);

	collateral_close(g);
	open_store();
	collateral_tick(g);
	checked(0);
	assert_int_equal(of_intel("pieces"), 1);
	/* Not good enough any more: asked for again, with the tag of what is there. */
	later(700);
	want(VENDOR_INTEL, TCB_PATH);
	m = asked();
	assert_string_equal(m.tag, "\"v1\"");
	answer(FETCH_SAME, "", "", 0);
	assert_int_equal(of_intel("pieces"), 1);
}

static void a_signers_chain_is_a_piece_of_its_own(void **state)
{
	const struct msg_collateral *c;

	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_OK, "the piece", "the chain", 0);
	checked(0);
	c = sent(verify, MSG_COLLATERAL);
	assert_string_equal(c->name.path, INTEL_PATH_TCB_SIGNERS);
	collateral_checked(g, g->requests, &(struct msg_collateral_done){.until = INT64_MAX});
	assert_int_equal(of_intel("pieces"), 2);
}

static void what_is_not_what_was_asked_for_is_not_kept(void **state)
{
	struct dirent **list;
	char path[256];
	int n;

	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_OK, "something else", "", 0);
	checked(-EINVAL);
	assert_int_equal(of_intel("pieces"), 0);
	assert_int_equal(of_intel("missing"), 1);
	snprintf(path, sizeof(path), "%s/collateral-cache", dir);
	n = scandir(path, &list, NULL, NULL);
	assert_int_equal(n, 2); /* "." and ".." */
	for (int i = 0; i < n; i++)
		free(list[i]);
	free(list);
	/* And it is not asked for again at once. */
	want(VENDOR_INTEL, TCB_PATH);
	collateral_tick(g);
	nothing_sent(fetch);
}

/* A vendor that says "too often" is left alone, whatever else is missing. */
static void who_is_turned_away_rests(void **state)
{
	policy_trouble trouble;

	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	collateral_trouble(g, trouble);
	assert_string_equal(trouble[VENDOR_INTEL], "");
	answer(FETCH_BUSY, "", "", 1000);
	want(VENDOR_INTEL, "tdx/certification/v4/qe/identity");
	collateral_tick(g);
	nothing_sent(fetch);
	/* Whoever is refused for it is told. */
	collateral_trouble(g, trouble);
	assert_string_equal(trouble[VENDOR_INTEL], "https://pccs.example/ as played");
	assert_string_equal(trouble[VENDOR_AMD], "");
	later(1001);
	(void)asked();
	answer(FETCH_OK, "the piece", "", 0);
	collateral_trouble(g, trouble);
	assert_string_not_equal(trouble[VENDOR_INTEL], "");
	checked(0);
	collateral_trouble(g, trouble);
	assert_string_equal(trouble[VENDOR_INTEL], "");
}

static void one_failure_does_not_hold_up_the_others(void **state)
{
	static const enum fetch_result results[] = {FETCH_NONE, FETCH_GONE};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		char path[80];

		snprintf(path, sizeof(path), "tdx/certification/v4/tcb?fmspc=%012zu", i);
		want(VENDOR_INTEL, path);
		(void)asked();
		answer(results[i], "", "", 0);
		want(VENDOR_INTEL, path);
		collateral_tick(g);
		nothing_sent(fetch);
	}
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
}

/* Hostile evidence names chips at will; the vendor must not be made to pay for it. */
static void no_more_than_so_many_an_hour(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		static unsigned fmspc;
		char path[80];
		struct pollfd p = {.fd = fetch, .events = POLLIN};

		snprintf(path, sizeof(path), "tdx/certification/v4/tcb?fmspc=%012x", fmspc++);
		want(VENDOR_INTEL, path);
		collateral_tick(g);
		if (poll(&p, 1, 0) != 1)
			continue;
		(void)sent(fetch, MSG_FETCH);
		answer(FETCH_GONE, "", "", 0);
		n++;
	}
	assert_int_equal(n, 45);
}

static void without_a_source_nothing_is_asked(void **state)
{
	(void)state;
	want(VENDOR_AMD, "vcek/v1/Milan/crl");
	collateral_tick(g);
	nothing_sent(fetch);
	use_policy(GATE("") "collateral amd { url = \"https://kds.example\" }\n");
	want(VENDOR_AMD, "vcek/v1/Milan/crl");
	assert_string_equal(asked().url, "https://kds.example/vcek/v1/Milan/crl");
}

static void names_that_lead_elsewhere_are_ignored(void **state)
{
	static const char *const bad[] = {"/x", "a/../b", "a b", "a#b", "", "a%2e"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		want(VENDOR_INTEL, bad[i]);
	want(VENDOR_NONE, "x");
	want((enum collateral_vendor)77, "x");
	collateral_tick(g);
	nothing_sent(fetch);
	assert_int_equal(of_intel("missing"), 0);
}

static void intels_own_service_has_two_addresses(void **state)
{
	(void)state;
	use_policy(
	        GATE("") "collateral intel { url = \"https://api.trustedservices.intel.com/\" }\n");
	want(VENDOR_INTEL, INTEL_PATH_ROOT_CRL);
	assert_string_equal(asked().url,
	                    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
	answer(FETCH_GONE, "", "", 0);
}

/* It comes along with what it signed; by itself it is asked for by a document that is there. */
static void the_signers_chain_alone_comes_with_another_piece(void **state)
{
	const struct msg_collateral *c;

	(void)state;
	use_policy(
	        GATE("") "collateral intel { url = \"https://api.trustedservices.intel.com/\" }\n");
	want(VENDOR_INTEL, INTEL_PATH_TCB_SIGNERS);
	want(VENDOR_INTEL, TCB_PATH);
	/* What may bring it along is first. */
	assert_string_equal(asked().url, "https://api.trustedservices.intel.com/" TCB_PATH);
	answer(FETCH_GONE, "", "", 0);
	assert_string_equal(
	        asked().url,
	        "https://api.trustedservices.intel.com/sgx/certification/v4/qe/identity");
	answer(FETCH_OK, "a document", "the chain", 0);
	c = sent(verify, MSG_COLLATERAL);
	assert_string_equal(c->name.path, INTEL_PATH_TCB_SIGNERS);
	collateral_checked(g, g->requests, &(struct msg_collateral_done){.until = INT64_MAX});
	assert_int_equal(of_intel("pieces"), 1);
	/* And is not asked for again. */
	collateral_tick(g);
	nothing_sent(fetch);
}

/* A mirror may have the chain as a file, a caching service sends it along. */
static void anothers_service_is_asked_for_it_both_ways(void **state)
{
	(void)state;
	want(VENDOR_INTEL, INTEL_PATH_TCB_SIGNERS);
	assert_string_equal(asked().url, "https://pccs.example/" INTEL_PATH_TCB_SIGNERS);
	answer(FETCH_GONE, "", "", 0);
	later(60);
	assert_string_equal(asked().url, "https://pccs.example/sgx/certification/v4/qe/identity");
	answer(FETCH_OK, "a document", "", 0);
	assert_int_equal(of_intel("pieces"), 0);
	assert_int_equal(of_intel("missing"), 1);
}

/* Each try holds up others, so that a service that can't be reached rests as a whole. */
static void who_cant_be_reached_rests(void **state)
{
	json_t *list;
	const json_t *intel, *waiting;
	const char *text;

	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_AWAY, "", "", 0);
	want(VENDOR_INTEL, "tdx/certification/v4/qe/identity");
	collateral_tick(g);
	nothing_sent(fetch);
	list = collateral_status(g);
	intel = json_array_get(list, 1);
	waiting = json_object_get(intel, "waiting");
	assert_int_equal(json_array_size(waiting), 2);
	assert_true(json_integer_value(json_object_get(json_array_get(waiting, 1), "next_try")) >
	            gate_now());
	text = json_string_value(json_object_get(json_object_get(intel, "last_error"), "error"));
	assert_int_equal(strncmp(text, "https://pccs.example/ as played; next try in ", 45), 0);
	json_decref(list);
	later(60);
	(void)asked();
	answer(FETCH_GONE, "", "", 0); /* it is back */
	(void)asked();
}

static void a_reload_tries_anew(void **state)
{
	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_GONE, "", "", 0);
	collateral_tick(g);
	nothing_sent(fetch);
	g->now.generation++;
	(void)asked();
	answer(FETCH_AWAY, "", "", 0);
	g->now.generation++;
	(void)asked();
	/* Who asked to be left alone still is. */
	answer(FETCH_BUSY, "", "", 1000);
	g->now.generation++;
	collateral_tick(g);
	nothing_sent(fetch);
	later(1000);
	(void)asked();
}

/* A mirror that goes on serving what has ended is not asked by every connection. */
static void what_ended_is_not_asked_for_all_the_time(void **state)
{
	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_OK, "the piece", "", 0);
	(void)sent(verify, MSG_COLLATERAL);
	collateral_checked(g, g->requests,
	                   &(struct msg_collateral_done){.from = 1, .until = gate_now() - 5});
	for (int i = 0; i < 3; i++) {
		want(VENDOR_INTEL, TCB_PATH);
		collateral_tick(g);
		nothing_sent(fetch);
	}
}

/* Those that name chips at will leave something of the hour for what is in use. */
static void a_part_of_the_hour_is_for_what_is_in_use(void **state)
{
	(void)state;
	want(VENDOR_INTEL, TCB_PATH);
	(void)asked();
	answer(FETCH_OK, "the piece", "", 0);
	checked(0);
	later(40 * 3600); /* more than a day and a quarter: it is due */
	for (unsigned i = 0; i < 45; i++) {
		char path[80];

		snprintf(path, sizeof(path), "sgx/certification/v4/tcb?fmspc=%012x", i);
		want(VENDOR_INTEL, path);
		assert_non_null(strstr(asked().url, "/sgx/"));
		answer(FETCH_GONE, "", "", 0);
	}
	want(VENDOR_INTEL, "sgx/certification/v4/tcb?fmspc=ffffffffffff");
	assert_non_null(strstr(asked().url, TCB_PATH));
	answer(FETCH_SAME, "", "", 0);
	collateral_tick(g);
	nothing_sent(fetch);
}

static void a_directory_has_commas(void **state)
{
	(void)state;
	use_policy(GATE("") "collateral intel { url = \"file:///srv/pcs/\" }\n");
	want(VENDOR_INTEL, "sgx/certification/v4/pckcrl?ca=platform&encoding=der");
	assert_string_equal(asked().url,
	                    "file:///srv/pcs/sgx/certification/v4/pckcrl,ca=platform,encoding=der");
}

static void answers_that_nobody_asked_for_end_it(void **state)
{
	const struct msg_fetched m = {.result = FETCH_GONE};

	(void)state;
	collateral_fetched(g, 1, &m, -1);
	assert_true(g->failed);
	g->failed = g->stop = false;
	collateral_checked(g, 1, &(struct msg_collateral_done){.err = 0});
	assert_true(g->failed);
}

/* Damaged, or of a later version: it is only a cache. */
static void a_bad_index_is_forgotten(void **state)
{
	char path[256];

	(void)state;
	collateral_close(g);
	snprintf(path, sizeof(path), "%s/collateral-cache/index.json", dir);
	assert_int_equal(file_write_atomic(path, bytes_str("[{\"vendor\":\"amd\"},7,{}]"), 0600),
	                 0);
	open_store();
	collateral_tick(g);
	nothing_sent(verify);
	assert_int_equal(of_intel("pieces"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_is_missing_is_fetched_and_kept),
	        TEST(a_signers_chain_is_a_piece_of_its_own),
	        TEST(what_is_not_what_was_asked_for_is_not_kept),
	        TEST(who_is_turned_away_rests),
	        TEST(one_failure_does_not_hold_up_the_others),
	        TEST(no_more_than_so_many_an_hour),
	        TEST(without_a_source_nothing_is_asked),
	        TEST(names_that_lead_elsewhere_are_ignored),
	        TEST(intels_own_service_has_two_addresses),
	        TEST(the_signers_chain_alone_comes_with_another_piece),
	        TEST(anothers_service_is_asked_for_it_both_ways),
	        TEST(who_cant_be_reached_rests),
	        TEST(a_reload_tries_anew),
	        TEST(what_ended_is_not_asked_for_all_the_time),
	        TEST(a_part_of_the_hour_is_for_what_is_in_use),
	        TEST(a_directory_has_commas),
	        TEST(answers_that_nobody_asked_for_end_it),
	        TEST(a_bad_index_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
