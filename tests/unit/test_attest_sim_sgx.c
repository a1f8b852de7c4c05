/* SPDX-License-Identifier: Apache-2.0 */
/* What SGX has of its own: an enclave's attributes and registers. */
#include "tests/unit/intel_world.h"

static void registers_are_those_of_the_body(void **state)
{
	static const struct {
		const char *name;
		size_t at, n;
		enum register_role role;
	} want[] = {
	        {"mrenclave", SGX_OFF_MRENCLAVE, 32, REGISTER_CODE},
	        {"mrsigner", SGX_OFF_MRSIGNER, 32, REGISTER_IDENTITY},
	        {"configid", SGX_OFF_CONFIGID, 64, REGISTER_CONFIG},
	        {"configsvn", SGX_OFF_CONFIGSVN, 2, REGISTER_CONFIG},
	        {"isvprodid", SGX_OFF_ISVPRODID, 2, REGISTER_IDENTITY},
	        {"isvextprodid", SGX_OFF_ISVEXTPRODID, 16, REGISTER_CONFIG},
	        {"isvfamilyid", SGX_OFF_ISVFAMILYID, 16, REGISTER_CONFIG},
	};
	struct world w;

	(void)state;
	world_start(&w, &sgx_v3);
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		memset(w.p.body + want[i].at, 0x40 + (int)i, want[i].n);
	world_finish(&w);
	world_judge(&w);
	expect_pass(&w.checks);
	assert_string_equal(w.claims.measurements.v[0].name, "mrenclave");
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		const struct measurement *m =
		        measurement_find(&w.claims.measurements, want[i].name);

		assert_non_null(m);
		assert_int_equal(m->len, want[i].n);
		assert_int_equal(m->role, want[i].role);
		assert_memory_equal(m->value, w.p.body + want[i].at, want[i].n);
	}
	assert_int_equal(w.claims.guest_svn, 7);
	assert_int_equal(w.claims.policy, SGX_FLAG_INIT | SGX_FLAG_MODE64);
	world_end(&w);
}

static void each_attribute_of_the_enclave(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flag = UINT64_C(1) << bit;
		struct world w;

		world_start(&w, &sgx_v3);
		w.p.body[SGX_OFF_FLAGS + bit / 8] ^= (uint8_t)(1 << bit % 8);
		world_finish(&w);
		world_judge(&w);
		if (flag == SGX_FLAG_DEBUG)
			expect_only(&w.checks, "sgx.debug", CHECK_FAIL);
		else if (flag & (SGX_FLAG_INIT | SGX_FLAG_MODE64 | SGX_FLAG_CET | SGX_FLAG_KSS |
		                 SGX_FLAG_AEX_NOTIFY))
			expect_pass(&w.checks);
		else
			expect_only(&w.checks, "sgx.attributes", CHECK_FAIL);
		w.in.allow_debug = true;
		world_judge(&w);
		if (flag == SGX_FLAG_DEBUG)
			expect_pass(&w.checks);
		world_end(&w);
	}
}

/* Each gap of the report, and each gap of the quoting enclave's. */
static void reserved_bytes_are_zero(void **state)
{
	static const size_t at[] = {SGX_OFF_MBZ_20,  SGX_OFF_ISVEXTPRODID - 1,
	                            SGX_OFF_MBZ_96,  SGX_OFF_MRSIGNER - 1,
	                            SGX_OFF_MBZ_160, SGX_OFF_CONFIGID - 1,
	                            SGX_OFF_MBZ_262, SGX_OFF_ISVFAMILYID - 1};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof(at) / sizeof(at[0]); i++) {
		struct world w;

		world_start(&w, &sgx_v3);
		(i % 2 ? w.p.body : w.p.qe_report)[at[i / 2]] = 1;
		world_finish(&w);
		world_judge(&w);
		expect_only(&w.checks, "sgx.format", CHECK_FAIL);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(registers_are_those_of_the_body),
	        cmocka_unit_test(each_attribute_of_the_enclave),
	        cmocka_unit_test(reserved_bytes_are_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
