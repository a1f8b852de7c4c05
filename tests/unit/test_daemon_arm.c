/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arming without keygated: by which policy, and what stays when it can't be done. The kernel half
 * is played.
 */
#include "daemon_gate.h"

#include <sys/file.h>
#include <sys/stat.h>
#include "daemon/arm.h"

static struct gate_options opt;
static char config[128], policy_dir[128], run_dir[128], kept[128];

static void put(const char *name, const char *text)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_write_atomic(path, bytes_str(text), 0600), 0);
}

static int setup_files(void **state)
{
	struct buf text = buf_make(8192);
	int ret = setup(state);

	snprintf(config, sizeof(config), "%s/keygate.conf", dir);
	snprintf(policy_dir, sizeof(policy_dir), "%s/policy.d", dir);
	snprintf(run_dir, sizeof(run_dir), "%s/run", dir);
	snprintf(kept, sizeof(kept), "%s/" ARM_KEPT, dir);
	assert_int_equal(mkdir(policy_dir, 0700), 0);
	opt = (struct gate_options){.paths = {.config = config, .policy_dir = policy_dir},
	                            .state_dir = dir,
	                            .run_dir = run_dir};
	put_tlog_policy(&text, "two");
	buf_u8(&text, 0);
	put("policy.d/acme.policy", (const char *)text.p);
	buf_free(&text);
	put("policy.d/a.conf", policy_text);
	return ret;
}

/* As keygated does with a policy that came into force. */
static void keep(void)
{
	struct policy_issues *is = calloc(1, sizeof(*is));
	struct policy *p = NULL;
	struct bundle b = {0};

	assert_non_null(is);
	assert_int_equal(bundle_load(&opt.paths, gate_now(), &b, &p, is), 0);
	assert_int_equal(bundle_add(&b, BUNDLE_COLLATERAL, "/x/crl", bytes_str("no collateral")),
	                 0);
	assert_int_equal(arm_keep(&b, kept), 0);
	policy_free(p);
	bundle_free(&b);
	free(is);
}

static bool in_audit(const char *word)
{
	char path[128];
	uint8_t *text = NULL;
	size_t n = 0;
	bool found;

	snprintf(path, sizeof(path), "%s/audit.jsonl", dir);
	assert_int_equal(file_read(path, 1 << 20, &text, &n), 0);
	found = strstr((const char *)text, word) != NULL;
	free(text);
	return found;
}

static void test_by_the_files(void **state)
{
	(void)state;
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_true(kernel.armed);
	assert_int_equal(kernel.prefixes, 1);
	/* Nobody serves it. */
	assert_int_equal(kernel.generation, 1);
	assert_int_equal(kernel.port4, 0);
	assert_int_equal(kernel.port6, 0);
	assert_true(in_audit("\"policy\":\"its files\""));
}

static void test_names_have_their_last_addresses(void **state)
{
	(void)state;
	put("policy.d/b.conf", "destination n {\n\tname = svc.example\n\taction = deny\n}\n");
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_int_equal(kernel.prefixes, 1);
	put("names.json", "{\"version\": 2, \"resolved\": {\"svc.example\": {\"192.0.2.77\": 1}},"
	                  "\"learned\": {\"svc.example\": {\"192.0.2.78\": [1, 9]},"
	                  "\"gone.example\": {\"192.0.2.79\": [1, 0]}}}");
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_int_equal(kernel.prefixes, 2);
	/* What applications were told stays apart. */
	assert_int_equal(kernel.learned_n, 1);
	assert_int_equal(kernel.learned[0].told.addr[15], 78);
	assert_int_equal(kernel.learned[0].told.uid, 9);
	assert_int_equal(kernel.learned[0].rules.ports, 1);
	assert_int_equal(kernel.learned[0].rules.port[0].action, POLICY_DENY);
	assert_int_equal(kernel.learned[0].generation, kernel.generation);
	put("names.json", "[");
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_int_equal(kernel.prefixes, 1);
	assert_true(in_audit("names-forgotten"));
}

static void test_wrong_files_leave_the_last_policy(void **state)
{
	(void)state;
	keep();
	put("policy.d/b.conf", "destination x {\n\taddress = 300.1.1.1\n\taction = deny\n}\n");
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_true(kernel.armed);
	assert_int_equal(kernel.prefixes, 1);
	assert_true(in_audit("policy-refused"));
	assert_true(in_audit("\"policy\":\"what was in force last\""));
}

static void test_files_are_preferred(void **state)
{
	(void)state;
	keep();
	put("policy.d/b.conf", "destination x {\n\taddress = 198.51.100.1\n\taction = deny\n}\n");
	assert_int_equal(arm_without_keygated(&opt), 0);
	assert_int_equal(kernel.prefixes, 2);
}

static void test_no_collateral_is_kept(void **state)
{
	uint8_t *text = NULL;
	size_t n = 0;

	(void)state;
	keep();
	assert_int_equal(file_read(kept, 1 << 20, &text, &n), 0);
	assert_null(memmem(text, n, "no collateral", 13));
	assert_non_null(memmem(text, n, "destination", 11));
	free(text);
}

static void refuses(void)
{
	assert_int_equal(arm_without_keygated(&opt), 1);
	assert_false(kernel.armed);
	assert_true(in_audit("can't arm"));
}

static void test_no_policy_at_all(void **state)
{
	(void)state;
	put("policy.d/a.conf", "destination");
	refuses();
	put(ARM_KEPT, "KGB1 and what is no bundle");
	refuses();
}

static void test_the_kernel_refuses(void **state)
{
	(void)state;
	kernel.open = -EPERM;
	refuses();
	kernel.open = 0;
	kernel.policy = -E2BIG;
	refuses();
}

static void test_not_while_keygated_runs(void **state)
{
	int lock = -1;

	(void)state;
	assert_int_equal(gate_lock(run_dir, &lock), 0);
	refuses();
	assert_true(in_audit("keygated runs"));
	close(lock);
	assert_int_equal(arm_without_keygated(&opt), 0);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup_files, teardown)
	const struct CMUnitTest tests[] = {
	        T(test_by_the_files),
	        T(test_names_have_their_last_addresses),
	        T(test_wrong_files_leave_the_last_policy),
	        T(test_files_are_preferred),
	        T(test_no_collateral_is_kept),
	        T(test_no_policy_at_all),
	        T(test_the_kernel_refuses),
	        T(test_not_while_keygated_runs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
