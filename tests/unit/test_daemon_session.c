/* SPDX-License-Identifier: Apache-2.0 */
/* The table of sessions: ids, room, and which message may come in which state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include "daemon/session.h"

static struct session_table t;

static int teardown(void **state)
{
	(void)state;
	session_free_all(&t);
	t = (struct session_table){0};
	return 0;
}

static void test_ids_are_used_once(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_new(&t, 0, &s), -EPROTO);
	assert_int_equal(session_new(&t, 7, &s), 0);
	assert_ptr_equal(session_find(&t, 7), s);
	assert_int_equal(session_new(&t, 7, &s), -EPROTO);
	assert_int_equal(session_new(&t, 6, &s), -EPROTO);
	session_drop(&t, session_find(&t, 7));
	assert_null(session_find(&t, 7));
	assert_int_equal(session_new(&t, 7, &s), -EPROTO);
	assert_int_equal(session_new(&t, 8, &s), 0);
}

static void test_a_new_one_is_refused_by_default(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_new(&t, 1, &s), 0);
	assert_int_equal(s->state, SESSION_CLOSING);
	assert_int_equal(t.open, 0);
}

static void test_room(void **state)
{
	struct session *s = NULL;
	uint64_t id = 0;

	(void)state;
	for (int i = 0; i < SESSIONS_MAX; i++) {
		assert_true(session_room(&t));
		assert_int_equal(session_new(&t, ++id, &s), 0);
		session_enter(&t, s, SESSION_CONNECTING);
	}
	assert_false(session_room(&t));
	for (int i = SESSIONS_MAX; i < SESSIONS_SLOTS; i++)
		assert_int_equal(session_new(&t, ++id, &s), 0);
	assert_int_equal(session_new(&t, ++id, &s), -EUSERS);
	session_drop(&t, session_find(&t, 1));
	assert_true(session_room(&t));
	assert_int_equal(t.open, SESSIONS_MAX - 1);
}

static void test_open_is_counted(void **state)
{
	struct session *s = NULL;

	(void)state;
	assert_int_equal(session_new(&t, 1, &s), 0);
	session_enter(&t, s, SESSION_CONNECTING);
	session_enter(&t, s, SESSION_APPRAISING);
	assert_int_equal(t.open, 1);
	session_enter(&t, s, SESSION_CLOSING);
	assert_int_equal(t.open, 0);
	session_drop(&t, s);
	assert_int_equal(t.open, 0);
}

/* Rows: state; what APPRAISE, RELEASE, REKEY and LOOKED, CLOSED do. Everything else is fatal
 * anywhere. */
static void test_what_relay_may_say(void **state)
{
	static const struct {
		enum session_state in;
		enum session_move appraise, release, rekey, closed;
	} rows[] = {
	        {SESSION_CONNECTING, MOVE_DO, MOVE_FATAL, MOVE_FATAL, MOVE_DO},
	        {SESSION_APPRAISING, MOVE_FATAL, MOVE_FATAL, MOVE_FATAL, MOVE_DO},
	        {SESSION_HANDOVER, MOVE_FATAL, MOVE_DO, MOVE_FATAL, MOVE_DO},
	        {SESSION_LIVE, MOVE_FATAL, MOVE_FATAL, MOVE_DO, MOVE_DO},
	        {SESSION_CLOSING, MOVE_IGNORE, MOVE_IGNORE, MOVE_IGNORE, MOVE_DO},
	};
	struct session s = {.id = 1};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s.state = rows[i].in;
		assert_int_equal(session_from_relay(&s, MSG_APPRAISE), rows[i].appraise);
		assert_int_equal(session_from_relay(&s, MSG_RELEASE), rows[i].release);
		assert_int_equal(session_from_relay(&s, MSG_REKEY), rows[i].rekey);
		assert_int_equal(session_from_relay(&s, MSG_LOOKED), rows[i].rekey);
		assert_int_equal(session_from_relay(&s, MSG_CLOSED), rows[i].closed);
		for (int type = MSG_NONE; type < MSG_MAX; type++) {
			if (type != MSG_APPRAISE && type != MSG_RELEASE && type != MSG_CLOSED &&
			    type != MSG_REKEY && type != MSG_LOOKED)
				assert_int_equal(session_from_relay(&s, (enum msg_type)type),
				                 MOVE_FATAL);
		}
	}
	assert_int_equal(session_from_relay(NULL, MSG_CLOSED), MOVE_FATAL);
	s.closed = true;
	assert_int_equal(session_from_relay(&s, MSG_CLOSED), MOVE_FATAL);
	assert_int_equal(session_from_relay(&s, MSG_APPRAISE), MOVE_FATAL);
}

static void test_what_verify_may_say(void **state)
{
	struct session s = {.id = 1, .state = SESSION_APPRAISING};

	(void)state;
	assert_int_equal(session_from_verify(NULL), MOVE_FATAL);
	assert_int_equal(session_from_verify(&s), MOVE_FATAL); /* not asked */
	s.with_verify = true;
	assert_int_equal(session_from_verify(&s), MOVE_DO);
	s.state = SESSION_CLOSING;
	assert_int_equal(session_from_verify(&s), MOVE_IGNORE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_teardown(test_ids_are_used_once, teardown),
	        cmocka_unit_test_teardown(test_a_new_one_is_refused_by_default, teardown),
	        cmocka_unit_test_teardown(test_room, teardown),
	        cmocka_unit_test_teardown(test_open_is_counted, teardown),
	        cmocka_unit_test(test_what_relay_may_say),
	        cmocka_unit_test(test_what_verify_may_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
