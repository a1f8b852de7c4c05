/* SPDX-License-Identifier: Apache-2.0 */
/* The one judgement that the commands make of claims themselves: how the vendor rates the TCB. */
#include "tests/unit/attest_build.h"

#include "cli/claims.h"

static void the_tcb_is_up_to_date_or_accepted(void **state)
{
	static const char *const two[] = {"OutOfDate", "SWHardeningNeeded"};
	static const struct {
		const char *status;
		uint32_t accepted; /* of the two */
		enum check_status want;
	} rows[] = {
	        {"UpToDate", 0, CHECK_PASS},
	        {"UpToDate", 2, CHECK_PASS},
	        {"OutOfDate", 0, CHECK_FAIL},
	        {"OutOfDate", 1, CHECK_PASS},
	        {"SWHardeningNeeded", 1, CHECK_FAIL},
	        {"SWHardeningNeeded", 2, CHECK_PASS},
	        {"OutOfDateConfigurationNeeded", 2, CHECK_FAIL},
	        {"UpToDateNot", 2, CHECK_FAIL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct checks checks = {.n = 0};
		struct claims c = {.tee = TEE_TDX};

		snprintf(c.tcb_status, sizeof(c.tcb_status), "%s", rows[i].status);
		claims_check_tcb(&c, two, rows[i].accepted, &checks);
		assert_int_equal(checks.n, 1);
		assert_string_equal(checks.v[0].id, "evidence.tcb-status");
		assert_int_equal(checks.v[0].status, rows[i].want);
		assert_string_equal(checks.v[0].detail, rows[i].status);
	}
}

/* Whose vendor rates nothing has no such check. */
static void without_a_rating_nothing_is_said(void **state)
{
	struct checks checks = {.n = 0};
	struct claims c = {.tee = TEE_SNP};

	(void)state;
	claims_check_tcb(&c, NULL, 0, &checks);
	assert_int_equal(checks.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_tcb_is_up_to_date_or_accepted),
	        cmocka_unit_test(without_a_rating_nothing_is_said),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
