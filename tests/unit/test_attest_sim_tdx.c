/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What TDX has of its own: the module, the attributes of a trust domain, its registers, and how the
 * statuses of platform, module and quoting enclave become one.
 */
#include "tests/unit/intel_world.h"

static const struct kind *const kinds[] = {&tdx_v4, &tdx_v5_td10, &tdx_v5};

enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };

#define BEND(name) static void name(struct world *w)

#define RUN_ALL(rows) \
	for (size_t kind_ = 0; kind_ < KINDS; kind_++) \
	RUN_ROWS(kinds[kind_], rows)

/* --------------------------------------------------------------------- claims */

static void registers_are_those_of_the_body(void **state)
{
	static const struct {
		const char *name;
		size_t at;
		enum register_role role;
	} want[] = {
	        {"mrtd", TDX_OFF_MRTD, REGISTER_CODE},
	        {"rtmr0", TDX_OFF_RTMR0, REGISTER_CODE},
	        {"rtmr1", TDX_OFF_RTMR0 + TDX_HASH_LEN, REGISTER_CODE},
	        {"rtmr2", TDX_OFF_RTMR0 + 2 * TDX_HASH_LEN, REGISTER_CODE},
	        {"rtmr3", TDX_OFF_RTMR0 + 3 * TDX_HASH_LEN, REGISTER_CODE},
	        {"mrconfigid", TDX_OFF_MRCONFIGID, REGISTER_CONFIG},
	        {"mrowner", TDX_OFF_MROWNER, REGISTER_CONFIG},
	        {"mrownerconfig", TDX_OFF_MROWNERCONFIG, REGISTER_CONFIG},
	};

	(void)state;
	for (size_t k = 0; k < KINDS; k++) {
		struct world w;

		world_start(&w, kinds[k]);
		for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
			memset(w.p.body + want[i].at, 0x40 + (int)i, TDX_HASH_LEN);
		world_finish(&w);
		world_judge(&w);
		expect_pass(&w.checks);
		assert_string_equal(w.claims.measurements.v[0].name, "mrtd");
		for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
			const struct measurement *m =
			        measurement_find(&w.claims.measurements, want[i].name);

			assert_non_null(m);
			assert_int_equal(m->len, TDX_HASH_LEN);
			assert_int_equal(m->role, want[i].role);
			assert_memory_equal(m->value, w.p.body + want[i].at, TDX_HASH_LEN);
		}
		assert_int_equal(w.claims.policy, TDX_ATTR_SEPT_VE_DISABLE);
		world_end(&w);
	}
}

/* ----------------------------------------------------------------- attributes */

static void flip_attribute(struct world *w, size_t at, unsigned bit)
{
	w->p.body[at + bit / 8] ^= (uint8_t)(1 << bit % 8);
}

static void each_attribute_of_the_td(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (unsigned bit = 0; bit < 64; bit++) {
			uint64_t flag = UINT64_C(1) << bit;
			struct world w;

			world_start(&w, kinds[k]);
			flip_attribute(&w, TDX_OFF_TDATTRIBUTES, bit);
			world_finish(&w);
			world_judge(&w);
			if (flag == TDX_ATTR_DEBUG)
				expect_only(&w.checks, "tdx.debug", CHECK_FAIL);
			else if (flag == TDX_ATTR_LASS || flag == TDX_ATTR_PKS ||
			         flag == TDX_ATTR_KL)
				expect_pass(&w.checks);
			else
				expect_only(&w.checks, "tdx.attributes", CHECK_FAIL);
			/* Debug is all that may be allowed. */
			w.in.allow_debug = true;
			world_judge(&w);
			if (flag == TDX_ATTR_DEBUG)
				expect_pass(&w.checks);
			else if (!(flag & TDX_ATTR_ACCEPTED) || flag == TDX_ATTR_SEPT_VE_DISABLE)
				expect_only(&w.checks, "tdx.attributes", CHECK_FAIL);
			world_end(&w);
		}
}

static void each_bit_of_xfam(void **state)
{
	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t flag = UINT64_C(1) << bit;
		struct world w;

		world_start(&w, &tdx_v4);
		flip_attribute(&w, TDX_OFF_XFAM, bit);
		world_finish(&w);
		world_judge(&w);
		if ((flag & TDX_XFAM_ALLOWED) && !(flag & TDX_XFAM_REQUIRED))
			expect_pass(&w.checks);
		else
			expect_only(&w.checks, "tdx.attributes", CHECK_FAIL);
		world_end(&w);
	}
}

BEND(service_td_first)
{
	w->p.body[TDX_OFF_MRSERVICETD] = 1;
}

BEND(service_td_last)
{
	w->p.body[TDX_OFF_MRSERVICETD + TDX_HASH_LEN - 1] = 1;
}

static void a_service_td_is_refused(void **state)
{
	static const struct row rows[] = {
	        {"service TD", BEFORE, service_td_first, "attributes", CHECK_FAIL},
	        {"service TD's last byte", BEFORE, service_td_last, "attributes", CHECK_FAIL},
	};

	(void)state;
	RUN_ROWS(&tdx_v5, rows);
}

/* Then it is a register like the others; what else weakens the TD is refused as ever. */
static void a_service_td_is_left_to_who_judges_registers(void **state)
{
	const struct measurement *m;
	struct world w;

	(void)state;
	world_start(&w, &tdx_v5);
	service_td_last(&w);
	world_finish(&w);
	w.in.judges_registers = true;
	world_judge(&w);
	expect_pass(&w.checks);
	m = measurement_find(&w.claims.measurements, "mrservicetd");
	assert_non_null(m);
	assert_int_equal(m->role, REGISTER_CODE);
	assert_memory_equal(m->value, w.p.body + TDX_OFF_MRSERVICETD, TDX_HASH_LEN);
	world_end(&w);
	world_start(&w, &tdx_v5);
	flip_attribute(&w, TDX_OFF_TDATTRIBUTES, 29); /* MIGRATABLE */
	world_finish(&w);
	w.in.judges_registers = true;
	world_judge(&w);
	expect_only(&w.checks, "tdx.attributes", CHECK_FAIL);
	world_end(&w);
}

/* --------------------------------------------------------------------- module */

BEND(another_signer)
{
	w->p.body[TDX_OFF_MRSIGNERSEAM + 47] = 1;
}

BEND(seam_attributes)
{
	w->p.body[TDX_OFF_SEAMATTRIBUTES + 3] = 0x10;
}

BEND(unknown_version)
{
	w->p.body[TDX_OFF_TEE_TCB_SVN + 1] = 2;
	w->p.body[TDX_OFF_TEE_TCB_SVN_2 + 1] = 2;
}

BEND(module_too_old)
{
	w->p.body[TDX_OFF_TEE_TCB_SVN] = 1;
	w->p.body[TDX_OFF_TEE_TCB_SVN_2] = 1;
}

BEND(no_modules)
{
	json_object_del(w->p.tcb_info, "tdxModuleIdentities");
}

BEND(identity_of_another_signer)
{
	set_text(tdx_module(w, 1), "mrsigner",
	         "010000000000000000000000000000000000000000000000"
	         "000000000000000000000000000000000000000000000000");
}

BEND(identity_of_other_attributes)
{
	set_text(tdx_module(w, 1), "attributes", "0000000000000001");
}

BEND(old_module_of_another_signer)
{
	w->p.body[TDX_OFF_TEE_TCB_SVN + 1] = 0;
	w->p.body[TDX_OFF_TEE_TCB_SVN_2 + 1] = 0;
	set_text(json_object_get(w->p.tcb_info, "tdxModule"), "mrsigner",
	         "010000000000000000000000000000000000000000000000"
	         "000000000000000000000000000000000000000000000000");
}

static void each_flaw_of_the_module(void **state)
{
	static const struct row rows[] = {
	        {"unknown major version", BEFORE, unknown_version, "module", CHECK_FAIL},
	        {"older than any", BEFORE, module_too_old, "module", CHECK_FAIL},
	        {"no identities", BEFORE, no_modules, "module", CHECK_FAIL},
	        {"identity's signer", BEFORE, identity_of_another_signer, "module", CHECK_FAIL},
	        {"identity's attributes", BEFORE, identity_of_other_attributes, "module",
	         CHECK_FAIL},
	        {"signer, version 0", BEFORE, old_module_of_another_signer, "module", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

/* The collateral says so, and the strict rules without it. */
static void a_module_that_is_not_intels_is_refused_twice(void **state)
{
	static const char *const both[] = {"module", "attributes", NULL};
	static void (*const bends[])(struct world * w) = {another_signer, seam_attributes};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t b = 0; b < sizeof(bends) / sizeof(bends[0]); b++) {
			struct world w;

			world_start(&w, kinds[k]);
			bends[b](&w);
			world_finish(&w);
			world_judge(&w);
			expect_these(&w, both, CHECK_FAIL);
			world_end(&w);
		}
}

BEND(module_no_levels)
{
	json_array_clear(json_object_get(tdx_module(w, 0), "tcbLevels"));
}

BEND(module_no_mrsigner)
{
	json_object_del(json_object_get(w->p.tcb_info, "tdxModule"), "mrsigner");
}

BEND(no_tdx_components)
{
	json_object_del(json_object_get(tcb_level(w, 0), "tcb"), "tdxtcbcomponents");
}

static void each_flaw_of_tdx_in_the_tcb_info(void **state)
{
	static const struct row rows[] = {
	        {"module without levels", BEFORE, module_no_levels, "tcb-info", CHECK_FAIL},
	        {"module without signer", BEFORE, module_no_mrsigner, "tcb-info", CHECK_FAIL},
	        {"level without TDX", BEFORE, no_tdx_components, "tcb-info", CHECK_FAIL},
	};

	(void)state;
	RUN_ALL(rows);
}

static void set_svn(struct world *w, size_t i, uint8_t v)
{
	w->p.body[TDX_OFF_TEE_TCB_SVN + i] = v;
	w->p.body[TDX_OFF_TEE_TCB_SVN_2 + i] = v;
}

/* With a major version the module's two are rated by its own identity, the others always here. */
static void the_first_two_svns_are_the_modules(void **state)
{
	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (unsigned version = 0; version < 2; version++)
			for (size_t i = 0; i < 16; i++) {
				struct world w;
				bool counts = version == 0 || i >= 2;

				world_start(&w, kinds[k]);
				set_svn(&w, 1, (uint8_t)version);
				set_component(tcb_level(&w, 0), "tdxtcbcomponents", i,
				              w.p.body[TDX_OFF_TEE_TCB_SVN + i] + 1);
				world_finish(&w);
				world_judge(&w);
				expect_pass(&w.checks);
				assert_string_equal(w.claims.tcb_status,
				                    counts ? "OutOfDate" : "UpToDate");
				world_end(&w);
			}
}

static void a_module_is_rated_by_its_own_version(void **state)
{
	static const struct {
		uint8_t version, svn;
		const char *want;
	} rows[] = {
	        {1, 6, "UpToDate"}, {1, 5, "UpToDate"},  {1, 4, "OutOfDate"}, {1, 2, "OutOfDate"},
	        {3, 3, "UpToDate"}, {3, 2, "OutOfDate"}, {0, 5, "UpToDate"},  {0, 4, "OutOfDate"},
	};

	(void)state;
	for (size_t k = 0; k < KINDS; k++)
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct world w;

			world_start(&w, kinds[k]);
			set_svn(&w, 0, rows[i].svn);
			set_svn(&w, 1, rows[i].version);
			world_finish(&w);
			world_judge(&w);
			expect_pass(&w.checks);
			assert_string_equal(w.claims.tcb_status, rows[i].want);
			world_end(&w);
		}
}

/* ------------------------------------------------------------------- converge */

/* In the order of severity. */
static const char *const status[] = {
        "UpToDate",
        "SWHardeningNeeded",
        "ConfigurationNeeded",
        "ConfigurationAndSWHardeningNeeded",
        "OutOfDate",
        "OutOfDateConfigurationNeeded",
        "Revoked",
};

enum { UP, SW, CFG, CFG_SW, OUT, OUT_CFG, REVOKED, STATUSES };

/* Of the whole (down) and a part of it (across). */
static const uint8_t converged[STATUSES][STATUSES] = {
        [UP] = {UP, SW, CFG, CFG_SW, OUT, OUT_CFG, REVOKED},
        [SW] = {SW, SW, CFG, CFG_SW, OUT, OUT_CFG, REVOKED},
        [CFG] = {CFG, CFG, CFG, CFG_SW, OUT_CFG, OUT_CFG, REVOKED},
        [CFG_SW] = {CFG_SW, CFG_SW, CFG_SW, CFG_SW, OUT_CFG, OUT_CFG, REVOKED},
        [OUT] = {OUT, OUT, OUT, OUT, OUT, OUT_CFG, REVOKED},
        [OUT_CFG] = {OUT_CFG, OUT_CFG, OUT_CFG, OUT_CFG, OUT_CFG, OUT_CFG, REVOKED},
        [REVOKED] = {REVOKED, REVOKED, REVOKED, REVOKED, REVOKED, REVOKED, REVOKED},
};

static void converge(struct world *w, unsigned whole, unsigned module, unsigned qe)
{
	unsigned want = converged[converged[whole][module]][qe];

	set_text(tcb_level(w, 0), "tcbStatus", status[whole]);
	set_text(module_level(w, 1, 0), "tcbStatus", status[module]);
	set_text(qe_level(w, 0), "tcbStatus", status[qe]);
	assert_int_equal(sim_intel_publish(&w->p), 0);
	w->in.endorsements[TCB_INFO] = buf_view(&w->p.tcb_info_text);
	w->in.endorsements[QE_IDENTITY] = buf_view(&w->p.qe_identity_text);
	world_judge(w);
	/* A revoked quoting enclave vouches for nothing. */
	if (qe == REVOKED) {
		expect_only(&w->checks, "tdx.qe-identity", CHECK_FAIL);
		return;
	}
	if (strcmp(w->claims.tcb_status, status[want]) != 0)
		print_message("%s, module %s, QE %s\n", status[whole], status[module], status[qe]);
	assert_string_equal(w->claims.tcb_status, status[want]);
	if (want == REVOKED)
		expect_only(&w->checks, "tdx.tcb", CHECK_FAIL);
	else
		expect_pass(&w->checks);
}

static void statuses_converge(void **state)
{
	struct world w;

	(void)state;
	world_good(&w, &tdx_v4);
	world_cached(&w);
	for (unsigned whole = 0; whole < STATUSES; whole++)
		for (unsigned module = 0; module < STATUSES; module++)
			for (unsigned qe = 0; qe < STATUSES; qe++)
				converge(&w, whole, module, qe);
	world_end(&w);
}

/* ------------------------------------------------------------------- relaunch */

/*
 * A TD that was launched under a module which is out of date, on a machine whose module has been
 * renewed since, is up to date once it is launched anew.
 */
static void an_old_launch_on_a_new_module_is_told_apart(void **state)
{
	static const struct {
		uint8_t launch[3], now[3];
		const char *platform, *want;
	} rows[] = {
	        {{5, 1, 6}, {5, 1, 6}, "UpToDate", "UpToDate"},
	        {{4, 1, 6}, {5, 1, 6}, "UpToDate", "TDRelaunchAdvised"},
	        {{5, 1, 5}, {5, 1, 6}, "UpToDate", "TDRelaunchAdvised"},
	        {{4, 1, 6}, {4, 1, 6}, "UpToDate", "OutOfDate"},
	        {{5, 1, 5}, {5, 1, 5}, "UpToDate", "OutOfDate"},
	        {{5, 1, 6}, {4, 1, 6}, "UpToDate", "OutOfDate"},
	        {{4, 1, 6},
	         {5, 1, 6},
	         "ConfigurationNeeded",
	         "TDRelaunchAdvisedConfigurationNeeded"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct world w;

		world_start(&w, &tdx_v5);
		memcpy(w.p.body + TDX_OFF_TEE_TCB_SVN, rows[i].launch, 3);
		memcpy(w.p.body + TDX_OFF_TEE_TCB_SVN_2, rows[i].now, 3);
		set_text(tcb_level(&w, 0), "tcbStatus", rows[i].platform);
		world_finish(&w);
		world_judge(&w);
		expect_pass(&w.checks);
		if (strcmp(w.claims.tcb_status, rows[i].want) != 0)
			print_message("row %zu\n", i);
		assert_string_equal(w.claims.tcb_status, rows[i].want);
		world_end(&w);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(registers_are_those_of_the_body),
	        cmocka_unit_test(each_attribute_of_the_td),
	        cmocka_unit_test(each_bit_of_xfam),
	        cmocka_unit_test(a_service_td_is_refused),
	        cmocka_unit_test(a_service_td_is_left_to_who_judges_registers),
	        cmocka_unit_test(each_flaw_of_the_module),
	        cmocka_unit_test(a_module_that_is_not_intels_is_refused_twice),
	        cmocka_unit_test(each_flaw_of_tdx_in_the_tcb_info),
	        cmocka_unit_test(the_first_two_svns_are_the_modules),
	        cmocka_unit_test(a_module_is_rated_by_its_own_version),
	        cmocka_unit_test(statuses_converge),
	        cmocka_unit_test(an_old_launch_on_a_new_module_is_told_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
