/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of a live session mean, and how many a key may protect. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/codes.h"
#include "daemon/relay.h"

static struct relay_control control;
static struct failure why;

static int setup(void **state)
{
	(void)state;
	memset(&control, 0, sizeof(control));
	memset(&why, 0, sizeof(why));
	return 0;
}

static enum relay_take take(uint8_t type, const void *p, size_t n)
{
	return relay_record_take(&control, type, (struct bytes){p, n}, &why);
}

static void assert_bad(enum relay_take t, const char *code)
{
	assert_int_equal(t, TAKE_BAD);
	assert_string_equal(why.code, code);
	assert_non_null(code_find(code));
	assert_true(why.detail[0] != '\0');
}

static void data(void **state)
{
	(void)state;
	assert_int_equal(take(23, "x", 1), TAKE_DATA);
	assert_int_equal(take(23, "", 0), TAKE_NOTHING);
}

static void alerts(void **state)
{
	(void)state;
	assert_int_equal(take(21, "\1\0", 2), TAKE_CLOSED);
	assert_int_equal(take(21, "\2\0", 2), TAKE_CLOSED);
	assert_bad(take(21, "\2\x28", 2), "relay.alert");
	assert_non_null(strstr(why.detail, "40"));
	assert_bad(take(21, "\1\x5a", 2), "relay.alert"); /* user_canceled */
	assert_bad(take(21, "\1", 1), "relay.record");
	assert_bad(take(21, "\1\0\1", 3), "relay.record");
	assert_bad(take(21, "", 0), "relay.record");
}

static void other_types(void **state)
{
	(void)state;
	for (unsigned t = 0; t < 256; t++) {
		if (t < 21 || t > 23)
			assert_bad(take((uint8_t)t, "\1\0", 2), "relay.record");
	}
}

static void tickets(void **state)
{
	(void)state;
	assert_int_equal(take(22, "\4\0\0\3abc", 7), TAKE_NOTHING);
	assert_int_equal(take(22, "\4\0\0\0", 4), TAKE_NOTHING);
	assert_int_equal(take(22, "\4\0\0\1x\4\0\0\2yz", 11), TAKE_NOTHING);
	assert_int_equal(take(23, "x", 1), TAKE_DATA);
	assert_int_equal(take(21, "\1\0", 2), TAKE_CLOSED);
}

/* One message over many records, cut at every place. */
static void fragments(void **state)
{
	static const uint8_t msg[] = {4, 0, 0, 5, 'a', 'b', 'c', 'd', 'e', 4, 0, 0, 1, 'f'};

	for (size_t cut = 1; cut < sizeof(msg); cut++) {
		setup(state);
		assert_int_equal(take(22, msg, cut), TAKE_NOTHING);
		if (cut != 9)
			assert_bad(take(23, "x", 1), "relay.record");
		assert_int_equal(take(22, msg + cut, sizeof(msg) - cut), TAKE_NOTHING);
		assert_int_equal(take(23, "x", 1), TAKE_DATA);
	}
}

static void interrupted(void **state)
{
	(void)state;
	assert_int_equal(take(22, "\4\0\0\5a", 5), TAKE_NOTHING);
	assert_bad(take(21, "\1\0", 2), "relay.record");
	setup(state);
	assert_int_equal(take(22, "\4", 1), TAKE_NOTHING);
	assert_bad(take(21, "\1\0", 2), "relay.record");
}

static void key_updates(void **state)
{
	static const uint8_t behind[] = {4, 0, 0, 1, 'x', 24, 0, 0, 1, 0};

	(void)state;
	assert_bad(take(22, "\x18\0\0\1\1", 5), "relay.key-update");
	setup(state);
	/* Behind a ticket in one record, and with its header in two. */
	assert_bad(take(22, behind, sizeof(behind)), "relay.key-update");
	setup(state);
	assert_int_equal(take(22, behind, 7), TAKE_NOTHING);
	assert_bad(take(22, behind + 7, 3), "relay.key-update");
}

/* On a kernel that can: by itself, whole, with one of the two values, and nothing in between. */
static void key_updates_followed(void **state)
{
	static const char *const bad[] = {"\x18\0\0\1\2", "\x18\0\0\2\0", "\x18\0\1\1\0",
	                                  "\x18\1\0\1\0"};

	(void)state;
	control.can_update = true;
	assert_int_equal(take(22, "\x18\0\0\1\0", 5), TAKE_UPDATE);
	assert_int_equal(take(22, "\x18\0\0\1\1", 5), TAKE_UPDATE_BOTH);
	assert_int_equal(take(23, "x", 1), TAKE_DATA);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_bad(take(22, bad[i], 5), "relay.record");
	assert_bad(take(22, "\x18\0\0\1", 4), "relay.record");
	assert_bad(take(22, "\x18", 1), "relay.record");
	assert_bad(take(22, "\x18\0\0\1\0\4", 6), "relay.record");
	assert_bad(take(22, "\4\0\0\1x\x18\0\0\1\0", 10), "relay.record");
	setup(state);
	control.can_update = true;
	/* Not one inside a ticket. */
	assert_int_equal(take(22, "\4\0\0\6", 4), TAKE_NOTHING);
	assert_int_equal(take(22, "\x18\0\0\1\0", 5), TAKE_NOTHING);
}

static void updates_are_bounded(void **state)
{
	(void)state;
	for (unsigned i = 0; i < RELAY_UPDATES; i++)
		assert_true(relay_update_admit(&control, 0, 5000));
	assert_false(relay_update_admit(&control, 0, 5000));
	assert_false(relay_update_admit(&control, RELAY_UPDATE_RECORDS - 1, 5000));
	assert_true(relay_update_admit(&control, RELAY_UPDATE_RECORDS, 5000));
	assert_false(relay_update_admit(&control, 0, 5000 + RELAY_UPDATE_MS - 1));
	assert_true(relay_update_admit(&control, 0, 5000 + RELAY_UPDATE_MS));
	assert_false(relay_update_admit(&control, 0, 5000 + RELAY_UPDATE_MS));
	/* What is earned is not hoarded beyond the start. */
	for (unsigned i = 0; i < RELAY_UPDATES; i++)
		assert_true(relay_update_admit(&control, i ? 0 : UINT64_MAX, 10000));
	assert_false(relay_update_admit(&control, 0, 10000));
	/* As many as one likes, with records between. */
	for (unsigned i = 0; i < 1000; i++)
		assert_true(relay_update_admit(&control, 1000, 10000));
}

static void other_messages(void **state)
{
	(void)state;
	assert_bad(take(22, "", 0), "relay.record");
	assert_bad(take(22, "\xd\0\0\0", 4), "relay.record"); /* CertificateRequest */
	setup(state);
	assert_bad(take(22, "\4\2\2\0", 4), "relay.record"); /* no ticket is so long */
	setup(state);
	assert_int_equal(take(22, "\4\2\1\x09", 4), TAKE_NOTHING); /* the longest */
	setup(state);
	assert_bad(take(22, "\4\2\1\x0a", 4), "relay.record");
}

static void counts(void **state)
{
	(void)state;
	static const struct {
		size_t n;
		uint64_t records;
	} all[] = {{0, 1},     {1, 1},     {16383, 1}, {16384, 1},
	           {16385, 2}, {32768, 2}, {65536, 4}, {65537, 5}};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		uint64_t r = 7;

		assert_true(relay_record_count(&r, all[i].n));
		assert_int_equal(r, 7 + all[i].records);
	}
}

/* One stays free for the close_notify. */
static void limit(void **state)
{
	(void)state;
	uint64_t r = KEYRING_RECORDS_MAX - 3;

	assert_false(relay_record_count(&r, 3 * 16384));
	assert_int_equal(r, KEYRING_RECORDS_MAX - 3);
	assert_true(relay_record_count(&r, 2 * 16384));
	assert_int_equal(r, KEYRING_RECORDS_MAX - 1);
	assert_false(relay_record_count(&r, 1));
	assert_false(relay_record_count(&r, 0));
	assert_int_equal(r, KEYRING_RECORDS_MAX - 1);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(data),      T(alerts),      T(other_types),          T(tickets),
	        T(fragments), T(interrupted), T(key_updates),          T(other_messages),
	        T(counts),    T(limit),       T(key_updates_followed), T(updates_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
