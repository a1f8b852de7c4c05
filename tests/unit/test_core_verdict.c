/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict: sealing, each way of not passing, bounds of what came from elsewhere, both forms. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include "core/bytes.h"
#include "core/codes.h"
#include "core/verdict.h"

/* Any known id serves: what a check looks at is not this file's matter. */
#define SOME  "verdict.expired"
#define OTHER "verdict.empty"

static const int64_t now = 1700000000;

static struct verdict sealed_pass(void)
{
	struct verdict v;

	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_PASS, "fine");
	verdict_limit(&v, now + 60);
	verdict_seal(&v);
	return v;
}

static void passes(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	assert_int_equal(v.overall, CHECK_PASS);
	assert_int_equal(v.checks.n, 1);
	assert_true(verdict_passed(&v, now));
	assert_true(verdict_passed(&v, now + 59));
	assert_string_equal(v.requirement, "db");
}

/* From here on, one thing is wrong with an otherwise passing verdict. */

static void not_sealed(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	v.sealed = 0;
	assert_false(verdict_passed(&v, now));
	v.sealed = VERDICT_SEALED ^ 1;
	assert_false(verdict_passed(&v, now));
	memset(&v, 0, sizeof(v));
	assert_false(verdict_passed(&v, 0));
}

static void outside_its_time(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	assert_false(verdict_passed(&v, now - 1));
	assert_false(verdict_passed(&v, now + 60));
	assert_false(verdict_passed(&v, INT64_MAX));
	assert_false(verdict_passed(&v, INT64_MIN));
}

static void overall_says_no(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	for (int s = 0; s < 256; s++) {
		v.overall = (uint8_t)s;
		assert_int_equal(verdict_passed(&v, now), s == CHECK_PASS);
	}
}

static void a_check_failed(void **state)
{
	(void)state;
	static const uint8_t bad[] = {CHECK_FAIL, CHECK_UNAVAILABLE, CHECK_PASS + 1, 0xff};

	for (size_t i = 0; i < sizeof(bad); i++) {
		struct verdict v;

		verdict_init(&v, "db", now);
		check_add(&v.checks, SOME, CHECK_PASS, "fine");
		check_add(&v.checks, OTHER, (enum check_status)bad[i], "not fine");
		check_add(&v.checks, SOME, CHECK_PASS, "fine again");
		verdict_seal(&v);
		assert_int_equal(v.overall,
		                 bad[i] == CHECK_UNAVAILABLE ? CHECK_UNAVAILABLE : CHECK_FAIL);
		assert_false(verdict_passed(&v, now));
	}
}

static void appended_after_the_seal(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	check_add(&v.checks, OTHER, CHECK_FAIL, "late");
	assert_false(verdict_passed(&v, now));

	v = sealed_pass();
	v.checks.overflow = true;
	assert_false(verdict_passed(&v, now));

	v = sealed_pass();
	v.loosenings = LOOSENINGS_MAX + 1;
	assert_false(verdict_passed(&v, now));
}

static void nothing_was_checked(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	verdict_seal(&v);
	assert_int_equal(v.overall, CHECK_FAIL);
	assert_non_null(checks_find(&v.checks, "verdict.empty"));
	assert_false(verdict_passed(&v, now));

	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_SKIP, "not asked for");
	verdict_seal(&v);
	assert_int_equal(v.overall, CHECK_FAIL);
	assert_non_null(checks_find(&v.checks, "verdict.empty"));
	assert_false(verdict_passed(&v, now));

	/* A refusal that is named already needs no second line. */
	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_UNAVAILABLE, "no log");
	verdict_seal(&v);
	assert_int_equal(v.overall, CHECK_UNAVAILABLE);
	assert_int_equal(v.checks.n, 1);
}

static void a_skip_beside_a_pass(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_SKIP, "not asked for");
	check_add(&v.checks, OTHER, CHECK_PASS, "fine");
	verdict_seal(&v);
	assert_true(verdict_passed(&v, now));
}

static void expired_when_made(void **state)
{
	(void)state;
	for (int64_t end = now - 1; end <= now + 1; end++) {
		struct verdict v;

		verdict_init(&v, "db", now);
		check_add(&v.checks, OTHER, CHECK_PASS, "fine");
		verdict_limit(&v, end);
		verdict_seal(&v);
		assert_int_equal(v.overall, end > now ? CHECK_PASS : CHECK_FAIL);
		assert_int_equal(verdict_passed(&v, now), end > now);
		if (end > now)
			assert_null(checks_find(&v.checks, "verdict.expired"));
		else
			assert_int_equal(checks_find(&v.checks, "verdict.expired")->status,
			                 CHECK_FAIL);
	}
}

static void limits(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	assert_true(v.valid_until == VERDICT_FOREVER);
	verdict_limit(&v, VERDICT_FOREVER);
	verdict_limit(&v, now + 10);
	verdict_limit(&v, now + 20);
	assert_true(v.valid_until == now + 10);
	verdict_limit(&v, now + 5);
	assert_true(v.valid_until == now + 5);
}

/* ----------------------------------------------------------------- overflow */

static void unknown_code(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_PASS, "fine");
	check_add(&v.checks, "no.such-code", CHECK_PASS, "fine");
	assert_true(v.checks.overflow);
	assert_int_equal(v.checks.n, 1);
	verdict_seal(&v);
	assert_int_equal(v.overall, CHECK_FAIL);
	assert_false(verdict_passed(&v, now));
	assert_int_equal(checks_first(&v.checks, CHECK_FAIL) == NULL, 0);
	assert_string_equal(checks_first(&v.checks, CHECK_FAIL)->id, "verdict.overflow");
}

static void too_many_checks(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	for (int i = 0; i < CHECKS_MAX; i++)
		check_add(&v.checks, SOME, CHECK_PASS, "%d", i);
	assert_false(v.checks.overflow);
	assert_int_equal(checks_overall(&v.checks), CHECK_PASS);
	check_add(&v.checks, SOME, CHECK_PASS, "one more");
	assert_true(v.checks.overflow);
	assert_int_equal(checks_overall(&v.checks), CHECK_FAIL);
	verdict_seal(&v);
	assert_int_equal(v.checks.n, CHECKS_MAX);
	assert_string_equal(v.checks.v[CHECKS_MAX - 1].id, "verdict.overflow");
	assert_false(verdict_passed(&v, now));
}

/* A count that no check_add could have made: what lies beyond the array was never looked at. */
static void count_beyond_the_array(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();

	for (int i = 1; i < CHECKS_MAX; i++)
		check_add(&v.checks, SOME, CHECK_PASS, "%d", i);
	assert_true(verdict_passed(&v, now));
	v.checks.n = CHECKS_MAX + 1;
	assert_false(verdict_passed(&v, now));
}

static void too_many_loosenings(void **state)
{
	(void)state;
	struct verdict v;

	verdict_init(&v, "db", now);
	check_add(&v.checks, SOME, CHECK_PASS, "fine");
	for (int i = 0; i < LOOSENINGS_MAX; i++)
		verdict_loosened(&v, "key-%d", i);
	assert_false(v.checks.overflow);
	assert_string_equal(v.loosening[LOOSENINGS_MAX - 1], "key-11");
	verdict_loosened(&v, "one more");
	assert_int_equal(v.loosenings, LOOSENINGS_MAX);
	verdict_seal(&v);
	assert_false(verdict_passed(&v, now));
}

/* ------------------------------------------------------------------- checks */

static void hostile_detail(void **state)
{
	(void)state;
	struct checks c = {0};
	char longest[1000];

	check_add(&c, SOME, CHECK_FAIL, "a%sb", "\x1b[31m\n\t\x7f\x80\xff\r");
	assert_string_equal(c.v[0].detail, "a?[31m??????b");
	check_add(&c, SOME, CHECK_FAIL, "%s", " ~!@#$%^&*()");
	assert_string_equal(c.v[1].detail, " ~!@#$%^&*()");
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	check_add(&c, SOME, CHECK_FAIL, "%s", longest);
	assert_int_equal(strlen(c.v[2].detail), CHECK_DETAIL_MAX - 1);

	struct verdict v;

	verdict_init(&v, longest, now);
	assert_int_equal(strlen(v.requirement), sizeof(v.requirement) - 1);
	verdict_loosened(&v, "%s", "a\nb");
	assert_string_equal(v.loosening[0], "a?b");
}

static void overall_and_lookup(void **state)
{
	(void)state;
	struct checks c = {0};

	assert_int_equal(checks_overall(&c), CHECK_FAIL);
	assert_null(checks_first(&c, CHECK_FAIL));
	check_add(&c, SOME, CHECK_SKIP, "nothing passed");
	assert_int_equal(checks_overall(&c), CHECK_FAIL);
	c.n = 0;
	check_add(&c, SOME, CHECK_PASS, "1");
	assert_int_equal(checks_overall(&c), CHECK_PASS);
	check_add(&c, OTHER, CHECK_UNAVAILABLE, "2");
	assert_int_equal(checks_overall(&c), CHECK_UNAVAILABLE);
	check_add(&c, SOME, CHECK_FAIL, "3");
	check_add(&c, OTHER, CHECK_FAIL, "4");
	assert_int_equal(checks_overall(&c), CHECK_FAIL);
	assert_string_equal(checks_first(&c, CHECK_FAIL)->detail, "3");
	assert_string_equal(checks_first(&c, CHECK_UNAVAILABLE)->detail, "2");
	assert_null(checks_first(&c, CHECK_SKIP));
	assert_string_equal(checks_find(&c, OTHER)->detail, "2");
	assert_null(checks_find(&c, "verdict.overflow"));
	assert_null(checks_find(&c, "verdict"));
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(check_status_name(CHECK_FAIL), "fail");
	assert_string_equal(check_status_name(CHECK_UNAVAILABLE), "unavailable");
	assert_string_equal(check_status_name(CHECK_SKIP), "skip");
	assert_string_equal(check_status_name(CHECK_PASS), "pass");
	assert_string_equal(check_status_name((enum check_status)77), "fail");
}

static void measurement_lookup(void **state)
{
	(void)state;
	struct measurements m = {.n = 2};

	strcpy(m.v[0].name, "mrtd");
	strcpy(m.v[1].name, "rtmr0");
	assert_ptr_equal(measurement_find(&m, "rtmr0"), &m.v[1]);
	assert_null(measurement_find(&m, "rtmr"));
	assert_null(measurement_find(&m, ""));
	m.n = UINT32_MAX;
	assert_null(measurement_find(&m, "rtmr9"));
}

/*
 * A verdict arrives from another process as bytes: whatever is in them, both forms stay inside
 * it (the sanitizers watch) and it does not pass.
 */
static void arbitrary_bytes(void **state)
{
	(void)state;
	struct verdict *v = malloc(sizeof(*v));
	struct buf b = buf_make(1 << 20);

	assert_non_null(v);
	memset(v, 0xff, sizeof(*v));
	v->sealed = VERDICT_SEALED;
	v->overall = CHECK_PASS;
	v->checks.overflow = false;
	v->made_at = 0;
	v->valid_until = INT64_MAX - 1;
	assert_false(verdict_passed(v, now));
	assert_int_equal(checks_overall(&v->checks), CHECK_FAIL);
	verdict_to_text(v, &b);
	assert_false(b.bad);

	json_t *o = verdict_to_json(v);

	assert_non_null(o);
	assert_string_equal(json_string_value(json_object_get(o, "verdict")), "fail");
	assert_int_equal(json_array_size(json_object_get(o, "checks")), CHECKS_MAX);
	json_decref(o);
	buf_free(&b);
	free(v);
}

/* -------------------------------------------------------------------- forms */

static struct verdict example(void)
{
	struct verdict v;

	verdict_init(&v, "db", now);
	strcpy(v.tee, "snp");
	strcpy(v.binder, "connection");
	memset(v.server_key, 'a', 64);
	v.measurements.n = 1;
	v.measurements.v[0] = (struct measurement){"measurement", 0, 2, {0xab, 0x01}};
	verdict_loosened(&v, "require-crl = false");
	check_add(&v.checks, OTHER, CHECK_PASS, "fine");
	check_add(&v.checks, SOME, CHECK_UNAVAILABLE, "not here");
	return v;
}

static void json_form(void **state)
{
	(void)state;
	struct verdict v = example();

	verdict_seal(&v);

	json_t *got = verdict_to_json(&v);
	json_t *want = json_pack(
	        "{s:s s:s s:s s:s s:s s:{s:s} s:I s:n s:[s] s:[{s:s s:s s:s} {s:s s:s s:s s:s}]}",
	        "verdict", "unavailable", "requirement", "db", "tee", "snp", "binder", "connection",
	        "server_key", v.server_key, "measurement", "measurement", "ab01", "made_at",
	        (json_int_t)now, "valid_until", "loosened", "require-crl = false", "checks", "id",
	        OTHER, "status", "pass", "detail", "fine", "id", SOME, "status", "unavailable",
	        "detail", "not here", "advice", code_find(SOME)->advice);

	assert_non_null(got);
	assert_non_null(want);
	assert_true(json_equal(got, want));
	json_decref(got);
	json_decref(want);
}

static void json_end_and_seal(void **state)
{
	(void)state;
	struct verdict v = sealed_pass();
	json_t *o = verdict_to_json(&v);

	assert_string_equal(json_string_value(json_object_get(o, "verdict")), "pass");
	assert_int_equal(json_integer_value(json_object_get(o, "valid_until")), now + 60);
	json_decref(o);
	v.sealed = 0;
	o = verdict_to_json(&v);
	assert_string_equal(json_string_value(json_object_get(o, "verdict")), "fail");
	json_decref(o);
}

static void text_form(void **state)
{
	(void)state;
	struct verdict v = example();
	struct buf b = buf_make(65536);
	char want[2048];

	v.server_key[4] = '\0';
	verdict_limit(&v, now + 3600);
	verdict_seal(&v);
	verdict_to_text(&v, &b);
	snprintf(want, sizeof(want),
	         "verdict       unavailable\n"
	         "requirement   db\n"
	         "tee           snp\n"
	         "binder        connection\n"
	         "server key    aaaa\n"
	         "measurement   ab01\n"
	         "made at       2023-11-14T22:13:20Z\n"
	         "valid until   2023-11-14T23:13:20Z\n"
	         "loosened      require-crl = false\n"
	         "\n"
	         "pass         verdict.empty    fine\n"
	         "unavailable  verdict.expired  not here\n"
	         "               %s\n",
	         code_find(SOME)->advice);
	buf_u8(&b, 0);
	assert_string_equal((const char *)b.p, want);
	buf_free(&b);
}

static void text_without_detail(void **state)
{
	(void)state;
	struct checks c = {0};
	struct buf b = buf_make(4096);

	check_add(&c, OTHER, CHECK_PASS, "%s", "");
	check_add(&c, SOME, CHECK_SKIP, "by the caller");
	checks_to_text(&c, &b);
	assert_true(bytes_equal(buf_view(&b), bytes_str("pass  verdict.empty\n"
	                                                "skip  verdict.expired  by the caller\n")));
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passes),
	        cmocka_unit_test(not_sealed),
	        cmocka_unit_test(outside_its_time),
	        cmocka_unit_test(overall_says_no),
	        cmocka_unit_test(a_check_failed),
	        cmocka_unit_test(appended_after_the_seal),
	        cmocka_unit_test(nothing_was_checked),
	        cmocka_unit_test(a_skip_beside_a_pass),
	        cmocka_unit_test(expired_when_made),
	        cmocka_unit_test(limits),
	        cmocka_unit_test(unknown_code),
	        cmocka_unit_test(too_many_checks),
	        cmocka_unit_test(too_many_loosenings),
	        cmocka_unit_test(count_beyond_the_array),
	        cmocka_unit_test(hostile_detail),
	        cmocka_unit_test(overall_and_lookup),
	        cmocka_unit_test(names),
	        cmocka_unit_test(measurement_lookup),
	        cmocka_unit_test(arbitrary_bytes),
	        cmocka_unit_test(json_form),
	        cmocka_unit_test(json_end_and_seal),
	        cmocka_unit_test(text_form),
	        cmocka_unit_test(text_without_detail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
