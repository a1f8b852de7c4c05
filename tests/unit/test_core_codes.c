/* SPDX-License-Identifier: Apache-2.0 */
/* The table of refusal codes: sorted, unique, and each entry fit to be printed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include "core/codes.h"
#include "core/verdict.h"

static void table(void **state)
{
	(void)state;
	assert_true(codes_count > 0);
	for (size_t i = 0; i < codes_count; i++) {
		const struct code *c = &codes[i];

		if (i && strcmp(codes[i - 1].id, c->id) >= 0)
			fail_msg("%s must stand before %s", c->id, codes[i - 1].id);
		if (strlen(c->id) >= CHECK_ID_MAX)
			fail_msg("%s is too long", c->id);
		if (strspn(c->id, "abcdefghijklmnopqrstuvwxyz0123456789.-") != strlen(c->id) ||
		    !strchr(c->id, '.'))
			fail_msg("%s is not room.word", c->id);
		if (!c->title[0] || strchr(c->title, '\n'))
			fail_msg("%s has no title of one line", c->id);

		size_t n = strlen(c->advice);

		if (n == 0 || c->advice[n - 1] != '.' || strchr(c->advice, '\n'))
			fail_msg("%s has no advice of one sentence", c->id);
	}
}

static void find(void **state)
{
	(void)state;
	for (size_t i = 0; i < codes_count; i++)
		assert_ptr_equal(code_find(codes[i].id), &codes[i]);
	assert_null(code_find(""));
	assert_null(code_find("verdict"));
	assert_null(code_find("verdict.expired "));
	assert_null(code_find("Verdict.expired"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(table),
	        cmocka_unit_test(find),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
