/* SPDX-License-Identifier: Apache-2.0 */
/* Last-seen heads on disk: forward only, durable, both sides of a fork kept, damage noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"
#include "daemon/state.h"

static char dir[64];
static struct state st;
static char bad[PATH_MAX];

static int rm_one(const char *path, const struct stat *sb, int type, struct FTW *f)
{
	(void)sb, (void)type, (void)f;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/keygate-state.XXXXXX");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(state_open(dir, &st, bad), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return nftw(dir, rm_one, 8, FTW_DEPTH | FTW_PHYS);
}

static struct checkpoint head(const char *origin, uint64_t size, uint8_t fill)
{
	struct checkpoint cp = {.size = size};

	snprintf(cp.origin, sizeof(cp.origin), "%s", origin);
	memset(cp.root.v, fill, sizeof(cp.root.v));
	return cp;
}

static void path_of(const char *origin, const char *file, char *out)
{
	char cmd[512];
	char hex[65] = "";
	FILE *p;

	snprintf(cmd, sizeof(cmd), "printf %%s '%s' | sha256sum | cut -c1-64", origin);
	p = popen(cmd, "r");
	assert_non_null(p);
	assert_int_equal(fread(hex, 1, 64, p), 64);
	pclose(p);
	snprintf(out, PATH_MAX, "%s/ledger/%s/%s", dir, hex, file);
}

static void expect_file(const char *path, const char *want)
{
	uint8_t *p = NULL;
	size_t n = 0;

	assert_int_equal(file_read(path, 1 << 16, &p, &n), 0);
	assert_int_equal(n, strlen(want));
	assert_memory_equal(p, want, n);
	free(p);
}

static void test_first_then_newer(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	struct ledger_last last;
	char path[PATH_MAX];
	struct stat sb;

	(void)state;
	state_last(&st, "log.example/a", &last);
	assert_false(last.known);
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 100), 0);
	assert_int_equal(state_advance(&st, &b, bytes_str("note b"), 200), 0);
	state_last(&st, "log.example/a", &last);
	assert_true(last.known);
	assert_int_equal(last.cp.size, 9);
	path_of("log.example/a", "head.note", path);
	expect_file(path, "note b");
	assert_int_equal(stat(path, &sb), 0);
	assert_int_equal(sb.st_mode & 0777, 0600);

	/* And after a restart. */
	struct state again;

	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_int_equal(again.n, 1);
	assert_memory_equal(&again.head[0].cp, &b, sizeof(b));
	assert_int_equal(again.head[0].saved_at, 200);
}

static void test_never_back(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint older = head("log.example/a", 4, 0x11);
	struct checkpoint other = head("log.example/a", 5, 0x12);
	struct ledger_last last;

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 100), 0);
	assert_int_equal(state_advance(&st, &older, bytes_str("x"), 101), -EINVAL);
	assert_int_equal(state_advance(&st, &other, bytes_str("x"), 101), -EINVAL);
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 102), 0);
	state_last(&st, "log.example/a", &last);
	assert_memory_equal(&last.cp, &a, sizeof(a));
}

static void test_origins_apart(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/b", 3, 0x22);
	struct ledger_last last;

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("a"), 1), 0);
	assert_int_equal(state_advance(&st, &b, bytes_str("b"), 1), 0);
	state_last(&st, "log.example/b", &last);
	assert_int_equal(last.cp.size, 3);
	assert_int_equal(st.n, 2);
}

static void test_bad_origin(void **state)
{
	struct checkpoint none = head("", 1, 0);
	struct checkpoint endless = head("x", 1, 0);

	(void)state;
	memset(endless.origin, 'x', sizeof(endless.origin));
	assert_int_equal(state_advance(&st, &none, BYTES_NONE, 1), -EINVAL);
	assert_int_equal(state_advance(&st, &endless, BYTES_NONE, 1), -EINVAL);
	assert_int_equal(st.n, 0);
}

static void test_failed_write_changes_nothing(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	struct ledger_last last;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("a"), 1), 0);
	/* A directory where the file should go: rename fails. */
	path_of("log.example/a", "head.json", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(state_advance(&st, &b, bytes_str("b"), 2) < 0);
	state_last(&st, "log.example/a", &last);
	assert_int_equal(last.cp.size, 5);
}

static void test_fork_keeps_both(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	char offered[PATH_MAX];
	char seen[PATH_MAX];
	struct state again;

	(void)state;
	assert_int_equal(state_fork(&st, "log.example/a", bytes_str("evil"), 7, offered), -ENOENT);
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 1), 0);
	assert_int_equal(state_fork(&st, "log.example/a", bytes_str("evil"), 7, offered), 0);
	expect_file(offered, "evil");
	path_of("log.example/a", "fork-7-seen.note", seen);
	expect_file(seen, "note a");
	path_of("log.example/a", "fork-7-offered.note", seen);
	assert_string_equal(seen, offered);
	assert_int_equal(state_fork(&st, "log.example/a", bytes_str("late"), 7, offered), -EEXIST);
	expect_file(offered, "evil");
	/* The head itself stays. */
	path_of("log.example/a", "head.note", seen);
	expect_file(seen, "note a");
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_int_equal(again.head[0].forks, 1);
}

static void test_a_fork_outlives_a_restart(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	char path[PATH_MAX];
	struct state again;

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 1), 0);
	assert_false(state_forked(&st, "log.example/a"));
	assert_int_equal(state_fork(&st, "log.example/a", bytes_str("evil"), 7, path), 0);
	assert_true(state_forked(&st, "log.example/a"));
	assert_false(state_forked(&st, "log.example/b"));
	assert_int_equal(state_advance(&st, &b, bytes_str("note b"), 8), -EINVAL);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_true(state_forked(&again, "log.example/a"));
	assert_int_equal(state_advance(&again, &b, bytes_str("note b"), 8), -EINVAL);
	/* One half of the record is enough. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_true(state_forked(&again, "log.example/a"));
	/* The administrator's way back. */
	path_of("log.example/a", "fork-7-seen.note", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_false(state_forked(&again, "log.example/a"));
	assert_int_equal(state_advance(&again, &b, bytes_str("note b"), 9), 0);
}

static void test_a_fork_that_cannot_be_written(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 1), 0);
	strcpy(st.dir, "/nowhere");
	assert_true(state_fork(&st, "log.example/a", bytes_str("evil"), 7, path) < 0);
	assert_true(state_forked(&st, "log.example/a"));
}

static void test_forks_are_bounded(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 1), 0);
	for (int i = 0; i < STATE_FORKS_MAX; i++)
		assert_int_equal(state_fork(&st, "log.example/a", bytes_str("evil"), i, path), 0);
	assert_int_equal(state_fork(&st, "log.example/a", bytes_str("evil"), 99, path), -ENOSPC);
}

static void refuses_head(const char *text)
{
	char path[PATH_MAX];
	struct state again;

	path_of("log.example/a", "head.json", path);
	assert_int_equal(file_write_atomic(path, bytes_str(text), 0600), 0);
	assert_int_equal(state_open(dir, &again, bad), -EBADMSG);
	assert_string_equal(bad, path);
}

#define ROOT "1111111111111111111111111111111111111111111111111111111111111111"

static void test_damage_is_noticed(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct state again;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, bytes_str("note a"), 1), 0);
	refuses_head("");
	refuses_head("{");
	refuses_head("{\"origin\":\"log.example/a\",\"size\":5,\"root\":\"" ROOT "\"}");
	refuses_head("{\"origin\":\"log.example/a\",\"size\":-1,\"root\":\"" ROOT
	             "\",\"saved_at\":1}");
	refuses_head("{\"origin\":\"log.example/a\",\"size\":5,\"root\":\"11\",\"saved_at\":1}");
	refuses_head("{\"origin\":\"log.example/b\",\"size\":5,\"root\":\"" ROOT
	             "\",\"saved_at\":1}");
	refuses_head("{\"origin\":\"log.example/a\",\"size\":5,\"size\":5,\"root\":\"" ROOT
	             "\",\"saved_at\":1}");
	refuses_head("{\"origin\":\"log.example/a\",\"size\":5,\"root\":\"" ROOT
	             "\",\"saved_at\":1,\"more\":1}");
	/* The same in good order is read. */
	path_of("log.example/a", "head.json", path);
	assert_int_equal(file_write_atomic(path,
	                                   bytes_str("{\"origin\":\"log.example/a\",\"size\":5,"
	                                             "\"root\":\"" ROOT "\",\"saved_at\":1}"),
	                                   0600),
	                 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_memory_equal(&again.head[0].cp, &a, sizeof(a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_first_then_newer, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_never_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_origins_apart, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_bad_origin, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_failed_write_changes_nothing, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_fork_keeps_both, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_fork_outlives_a_restart, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_fork_that_cannot_be_written, setup,
	                                        teardown),
	        cmocka_unit_test_setup_teardown(test_forks_are_bounded, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_damage_is_noticed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
