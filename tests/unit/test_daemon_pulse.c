/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager hears, on a socket that is the test's; and how long a role may be
 * silent. The kernel half and the roles are played, and the time is told.
 */
#include "daemon_gate.h"

#include <stdarg.h>
#include <sys/un.h>
#include "daemon/notify.h"

#define SECOND UINT64_C(1000000000)

static int manager = -1;
static uint64_t now;

static void listen_as_manager(const char *name)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	size_t n = strlen(name);

	memcpy(at.sun_path, name, n);
	if (name[0] == '@')
		at.sun_path[0] = '\0';
	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(manager, (struct sockaddr *)&at,
	                      (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)),
	                 0);
	assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
}

static const char *heard(void)
{
	static char text[2048];
	ssize_t n = recv(manager, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static int begin(void **state)
{
	char name[108];

	assert_int_equal(setup(state), 0);
	snprintf(name, sizeof(name), "%s/notify", dir);
	listen_as_manager(name);
	assert_int_equal(setenv("WATCHDOG_USEC", "8000000", 1), 0);
	assert_int_equal(unsetenv("WATCHDOG_PID"), 0);
	kernel.armed = true;
	assert_int_equal(pulse_open(g), 0);
	now = pulse_now();
	return 0;
}

static int end(void **state)
{
	pulse_close(g);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	close(manager);
	manager = -1;
	return teardown(state);
}

static void answer(enum gate_role which)
{
	pulse_heard(g, which, true);
}

static void round_of_answers(void)
{
	sent(relay, MSG_PING);
	sent(verify, MSG_PING);
	sent(fetch, MSG_PING);
	for (int i = 0; i < ROLES; i++)
		answer((enum gate_role)i);
}

static void test_ready_and_what_follows(void **state)
{
	(void)state;
	pulse_ready(g);
	assert_string_equal(heard(),
	                    "READY=1\nSTATUS=Armed; policy 1, 1 destination gated; 0 sessions");
	pulse_tick(g, now);
	assert_string_equal(heard(), "WATCHDOG=1");
	/* The same status is not told again. */
	assert_string_equal(heard(), "");
	round_of_answers();
	kernel.armed = false;
	pulse_tick(g, now + 2 * SECOND);
	assert_string_equal(heard(), "WATCHDOG=1");
	assert_string_equal(
	        heard(),
	        "STATUS=DISARMED, nothing is gated; policy 1, 1 destination gated; 0 sessions");
	pulse_stopping(g);
	assert_memory_equal(heard(), "STOPPING=1\n", 11);
}

static void test_beats_come_four_times_a_period(void **state)
{
	(void)state;
	pulse_tick(g, now);
	assert_string_equal(heard(), "WATCHDOG=1");
	heard();
	round_of_answers();
	pulse_tick(g, now + 2 * SECOND - 1);
	assert_string_equal(heard(), "");
	pulse_tick(g, now + 2 * SECOND);
	assert_string_equal(heard(), "WATCHDOG=1");
}

/* Nothing else than role i is silent; it had its question at `now`. */
static void silent(enum gate_role which, uint64_t limit_s, const char *name)
{
	const int sock[ROLES] = {relay, verify, fetch};
	uint64_t last = now + limit_s * SECOND;

	pulse_tick(g, now);
	for (int i = 0; i < ROLES; i++)
		sent(sock[i], MSG_PING);
	for (int i = 0; i < ROLES; i++) {
		if (i != (int)which)
			answer((enum gate_role)i);
	}
	pulse_tick(g, last - 3 * SECOND);
	assert_false(g->failed);
	for (int i = 0; i < ROLES; i++) {
		if (i == (int)which)
			continue;
		sent(sock[i], MSG_PING);
		answer((enum gate_role)i);
	}
	while (heard()[0])
		;
	pulse_tick(g, last);
	if (!g->failed)
		fail_msg("%s may be silent for ever", name);
	/* It is not asked twice, and the manager hears of no beat any more. */
	assert_string_equal(heard(), "");
}

static void test_relay_is_silent(void **state)
{
	(void)state;
	silent(ROLE_RELAY, 30, "relay");
}

static void test_verify_is_silent(void **state)
{
	(void)state;
	silent(ROLE_VERIFY, 30, "verify");
}

static void test_fetch_is_silent(void **state)
{
	(void)state;
	silent(ROLE_FETCH, 300, "fetch");
}

static void test_any_word_counts(void **state)
{
	(void)state;
	pulse_tick(g, now);
	answer(ROLE_RELAY);
	answer(ROLE_FETCH);
	/* verify has other questions before this one, and answers them. Its time begins anew now.
	 */
	pulse_heard(g, ROLE_VERIFY, false);
	pulse_tick(g, now + 29 * SECOND);
	assert_false(g->failed);
	pulse_tick(g, pulse_now() + 31 * SECOND);
	assert_true(g->failed);
}

static void test_a_word_not_yet_read_counts(void **state)
{
	(void)state;
	pulse_tick(g, now);
	answer(ROLE_VERIFY);
	answer(ROLE_FETCH);
	assert_int_equal(msg_send(relay, MSG_PONG, 0, NULL, -1), 0);
	pulse_tick(g, now + 100 * SECOND);
	assert_false(g->failed);
}

static void test_an_answer_to_nothing(void **state)
{
	(void)state;
	pulse_tick(g, now);
	answer(ROLE_RELAY);
	assert_false(g->failed);
	answer(ROLE_RELAY);
	assert_true(g->failed);
}

static void test_reload(void **state)
{
	struct bundle_paths paths = {.config = "/nonexistent", .policy_dir = dir};
	const struct gate_options opt = {.paths = paths};
	json_t *error = NULL;
	const char *text;

	(void)state;
	g->opt = &opt;
	assert_int_equal(reload_begin(g, 0, &error), -EINVAL);
	json_decref(error);
	text = heard();
	assert_memory_equal(text, "RELOADING=1\nMONOTONIC_USEC=", 27);
	assert_true(strtoull(text + 27, NULL, 10) * 1000 <= pulse_now());
	assert_true(strtoull(text + 27, NULL, 10) * 1000 >= pulse_now() - 60 * SECOND);
	assert_string_equal(heard(),
	                    "READY=1\nSTATUS=Armed; policy 1, 1 destination gated; 0 sessions; "
	                    "the last reload was refused");
	json_decref(g->last_error);
}

/* --------------------------------------------------------------------- notify */

static void test_watchdog_of_whom(void **state)
{
	char pid[32];

	(void)state;
	assert_int_equal(notify_watchdog_us(), 8000000);
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	setenv("WATCHDOG_PID", pid, 1);
	assert_int_equal(notify_watchdog_us(), 8000000);
	setenv("WATCHDOG_PID", "1", 1);
	assert_int_equal(notify_watchdog_us(), 0);
	unsetenv("WATCHDOG_PID");
	setenv("WATCHDOG_USEC", "soon", 1);
	assert_int_equal(notify_watchdog_us(), 0);
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(notify_watchdog_us(), 0);
}

static void test_names_of_sockets(void **state)
{
	char name[200];
	int fd;

	(void)state;
	close(manager);
	snprintf(name, sizeof(name), "@keygate-test-%ld", (long)getpid());
	listen_as_manager(name);
	fd = notify_open();
	assert_true(fd >= 0);
	notify_send(fd, "A=%d", 1);
	assert_string_equal(heard(), "A=1");
	close(fd);
	unsetenv("NOTIFY_SOCKET");
	assert_int_equal(notify_open(), -ENODATA);
	setenv("NOTIFY_SOCKET", "relative", 1);
	assert_int_equal(notify_open(), -EINVAL);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_open(), -EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	name[0] = '/';
	name[108] = '\0';
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(), -ENAMETOOLONG);
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	assert_int_equal(notify_open(), -ENOENT);
	/* Nobody there is no harm. */
	notify_send(-1, "A=1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_ready_and_what_follows, begin, end),
	        cmocka_unit_test_setup_teardown(test_beats_come_four_times_a_period, begin, end),
	        cmocka_unit_test_setup_teardown(test_relay_is_silent, begin, end),
	        cmocka_unit_test_setup_teardown(test_verify_is_silent, begin, end),
	        cmocka_unit_test_setup_teardown(test_fetch_is_silent, begin, end),
	        cmocka_unit_test_setup_teardown(test_any_word_counts, begin, end),
	        cmocka_unit_test_setup_teardown(test_a_word_not_yet_read_counts, begin, end),
	        cmocka_unit_test_setup_teardown(test_an_answer_to_nothing, begin, end),
	        cmocka_unit_test_setup_teardown(test_reload, begin, end),
	        cmocka_unit_test_setup_teardown(test_watchdog_of_whom, begin, end),
	        cmocka_unit_test_setup_teardown(test_names_of_sockets, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
