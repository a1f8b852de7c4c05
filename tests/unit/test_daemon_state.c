/* SPDX-License-Identifier: Apache-2.0 */
/* Last-seen heads on disk: forward only, durable, both sides of a fork kept, damage noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <jansson.h>
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
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 100), 0);
	assert_int_equal(state_advance(&st, &b, 50, bytes_str("note b"), 200), 0);
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
	assert_memory_equal(&again.head[0].last.cp, &b, sizeof(b));
	assert_int_equal(again.head[0].saved_at, 200);
}

static void test_never_back(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint older = head("log.example/a", 4, 0x11);
	struct checkpoint other = head("log.example/a", 5, 0x12);
	struct ledger_last last;

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 100), 0);
	assert_int_equal(state_advance(&st, &older, 50, bytes_str("x"), 101), -EINVAL);
	assert_int_equal(state_advance(&st, &other, 50, bytes_str("x"), 101), -EINVAL);
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 102), 0);
	state_last(&st, "log.example/a", &last);
	assert_memory_equal(&last.cp, &a, sizeof(a));
}

static void test_origins_apart(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/b", 3, 0x22);
	struct ledger_last last;

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("a"), 1), 0);
	assert_int_equal(state_advance(&st, &b, 50, bytes_str("b"), 1), 0);
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
	assert_int_equal(state_advance(&st, &none, 50, BYTES_NONE, 1), -EINVAL);
	assert_int_equal(state_advance(&st, &endless, 50, BYTES_NONE, 1), -EINVAL);
	assert_int_equal(st.n, 0);
}

static void test_failed_write_changes_nothing(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	struct ledger_last last;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("a"), 1), 0);
	/* A directory where the file should go: rename fails. */
	path_of("log.example/a", "head.json", path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_true(state_advance(&st, &b, 50, bytes_str("b"), 2) < 0);
	state_last(&st, "log.example/a", &last);
	assert_int_equal(last.cp.size, 5);
}

static int fork_of(struct state *s, const char *offered, int64_t at, char path[static PATH_MAX])
{
	const struct state_evidence e = {
	        .origin = "log.example/a", .peer = "192.0.2.7:443", .offered = bytes_str(offered)};

	return state_fork(s, &e, at, path);
}

static void test_fork_keeps_both(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	const struct hash root = {{0x22}}, proof[2] = {{{0x33}}, {{0x44}}};
	struct state_evidence e = {.origin = "log.example/a",
	                           .peer = "https://log.example/checkpoint",
	                           .offered = bytes_str("other"),
	                           .from = 5,
	                           .to = 9,
	                           .from_root = &root,
	                           .proof = proof,
	                           .proof_n = 2};
	char path[PATH_MAX], want[PATH_MAX];
	struct state again;
	json_t *list, *o;

	(void)state;
	assert_int_equal(fork_of(&st, "evil", 7, path), -ENOENT);
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
	assert_int_equal(fork_of(&st, "evil", 7, path), 0);
	path_of("log.example/a", "fork-7.json", want);
	assert_string_equal(path, want);
	assert_int_equal(fork_of(&st, "late", 7, path), -EEXIST);
	assert_int_equal(state_fork(&st, &e, 8, path), 0);
	/* The head itself stays. */
	path_of("log.example/a", "head.note", want);
	expect_file(want, "note a");
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_int_equal(again.head[0].forks, 2);
	list = state_evidence_list(&again, "log.example/a");
	assert_int_equal(json_array_size(list), 2);
	for (size_t i = 0; i < 2; i++) {
		o = json_array_get(list, i);
		assert_string_equal(json_string_value(json_object_get(o, "seen")), "note a");
		if (json_integer_value(json_object_get(o, "at")) == 7) {
			assert_string_equal(json_string_value(json_object_get(o, "offered")),
			                    "evil");
			assert_true(json_is_null(json_object_get(o, "consistency")));
			continue;
		}
		assert_string_equal(json_string_value(json_object_get(o, "peer")), e.peer);
		o = json_object_get(o, "consistency");
		assert_int_equal(json_integer_value(json_object_get(o, "to")), 9);
		assert_int_equal(json_array_size(json_object_get(o, "proof")), 2);
	}
	json_decref(list);
}

static void test_a_fork_outlives_a_restart(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	char path[PATH_MAX];
	struct state again;

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
	assert_false(state_forked(&st, "log.example/a"));
	assert_int_equal(fork_of(&st, "evil", 7, path), 0);
	assert_true(state_forked(&st, "log.example/a"));
	assert_false(state_forked(&st, "log.example/b"));
	assert_int_equal(state_advance(&st, &b, 50, bytes_str("note b"), 8), -EINVAL);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_true(state_forked(&again, "log.example/a"));
	assert_int_equal(state_advance(&again, &b, 50, bytes_str("note b"), 8), -EINVAL);
	/* Whatever is left of the record is enough. */
	assert_int_equal(file_write_atomic(path, bytes_str("{"), 0600), 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_true(state_forked(&again, "log.example/a"));
	/* The administrator's way back. */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_false(state_forked(&again, "log.example/a"));
	assert_int_equal(state_advance(&again, &b, 50, bytes_str("note b"), 9), 0);
}

static void test_a_fork_that_cannot_be_written(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
	strcpy(st.dir, "/nowhere");
	assert_true(fork_of(&st, "evil", 7, path) < 0);
	assert_true(state_forked(&st, "log.example/a"));
}

static void test_forks_are_bounded(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
	for (int i = 0; i < STATE_FORKS_MAX; i++)
		assert_int_equal(fork_of(&st, "evil", i, path), 0);
	assert_int_equal(fork_of(&st, "evil", 99, path), -ENOSPC);
}

/* What a head was, and what was proved to be part of it, is known after a restart. */
static void test_earlier_heads_are_kept(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/a", 9, 0x22);
	struct checkpoint c = head("log.example/a", 7, 0x33);
	struct ledger_last last;
	struct state again;

	(void)state;
	assert_int_equal(state_earlier(&st, &c, 60, 1), -ENOENT);
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("a"), 1), 0);
	assert_int_equal(state_advance(&st, &b, 70, bytes_str("b"), 2), 0);
	assert_int_equal(state_earlier(&st, &b, 60, 3), -EINVAL);
	assert_int_equal(state_earlier(&st, &c, 60, 3), 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	state_last(&again, "log.example/a", &last);
	assert_int_equal(last.at, 70);
	assert_int_equal(last.earlier_n, 2);
	assert_int_equal(last.earlier[0].size, 5);
	assert_int_equal(last.earlier[0].at, 50);
	assert_int_equal(last.earlier[1].size, 7);
	assert_memory_equal(&last.earlier[1].root, &c.root, sizeof(c.root));
	/* The same head with newer cosignatures. */
	assert_int_equal(state_advance(&again, &b, 90, bytes_str("b again"), 4), 0);
	state_last(&again, "log.example/a", &last);
	assert_int_equal(last.at, 90);
	assert_int_equal(last.earlier_n, 2);
}

/* Nothing is lost by it: the directory is still there, under another name. */
static void test_forget(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct checkpoint b = head("log.example/b", 6, 0x11);
	char path[PATH_MAX], note[PATH_MAX + 16];
	struct state again;

	(void)state;
	assert_int_equal(state_forget(&st, "log.example/a", 9, path), -ENOENT);
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
	assert_int_equal(state_advance(&st, &b, 50, bytes_str("note b"), 1), 0);
	assert_int_equal(fork_of(&st, "evil", 7, path), 0);
	assert_int_equal(state_forget(&st, "log.example/a", 9, path), 0);
	assert_null(state_find(&st, "log.example/a"));
	assert_non_null(state_find(&st, "log.example/b"));
	snprintf(note, sizeof(note), "%s/head.note", path);
	expect_file(note, "note a");
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_int_equal(again.n, 1);
	assert_false(state_forked(&again, "log.example/a"));
	assert_int_equal(state_advance(&again, &a, 50, bytes_str("note a"), 10), 0);
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
#define REST \
	"\"origin\":\"log.example/a\",\"size\":5,\"root\":\"" ROOT \
	"\",\"saved_at\":1,\"at\":1,\"earlier\":"

static void test_damage_is_noticed(void **state)
{
	struct checkpoint a = head("log.example/a", 5, 0x11);
	struct state again;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &a, 50, bytes_str("note a"), 1), 0);
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
	/* The same in good order is read, also as keygate wrote it before there was a version. */
	path_of("log.example/a", "head.json", path);
	assert_int_equal(file_write_atomic(path,
	                                   bytes_str("{\"origin\":\"log.example/a\",\"size\":5,"
	                                             "\"root\":\"" ROOT "\",\"saved_at\":1}"),
	                                   0600),
	                 0);
	assert_int_equal(state_open(dir, &again, bad), 0);
	assert_memory_equal(&again.head[0].last.cp, &a, sizeof(a));
}

static struct policy_alert alert_at(uint64_t index)
{
	struct policy_alert a = {.index = index,
	                         .code = "ledger.unexpected",
	                         .detail = "snp:11",
	                         .subject = "service",
	                         .version = "1.2",
	                         .launches = 2,
	                         .launch = {{.tee = TEE_SNP, .alone = true, .len = 48},
	                                    {.tee = TEE_SGX, .len = 32}}};

	memset(a.leaf.v, 0x5a, sizeof(a.leaf.v));
	memset(a.launch[0].value, 0x11, 48);
	memset(a.launch[1].value, 0x22, 32);
	return a;
}

/* How far entries were read and what was alerted comes back as it was. */
static void test_watch_there_and_back(void **state)
{
	struct checkpoint cp = head("log.example/a", 500, 0x11);
	static struct state_watch w, back;
	struct policy_alert a = alert_at(7), b = {.index = 9, .code = "ledger.unreadable"};

	(void)state;
	assert_int_equal(state_advance(&st, &cp, 50, bytes_str("note"), 1), 0);
	assert_int_equal(state_watch_read(&st, "log.example/a", &back), -ENOENT);
	memset(&w, 0, sizeof(w));
	w.size = 300;
	memset(w.names, 0x33, sizeof(w.names));
	state_watch_add(&w, &a, 1000);
	state_watch_add(&w, &b, 1001);
	assert_int_equal(state_watch_write(&st, "log.example/a", &w), 0);
	assert_int_equal(state_watch_read(&st, "log.example/a", &back), 0);
	assert_int_equal(back.size, 300);
	assert_memory_equal(back.names, w.names, sizeof(w.names));
	assert_int_equal(back.n, 2);
	assert_int_equal(back.v[0].at, 1000);
	assert_memory_equal(&back.v[0].alert, &a, sizeof(a));
	assert_memory_equal(&back.v[1].alert, &b, sizeof(b));
	state_watch_remove(&back, 0);
	assert_int_equal(back.n, 1);
	assert_int_equal(back.v[0].alert.index, 9);
	assert_int_equal(state_watch_read(&st, "log.example/b", &back), -ENOENT);
	assert_int_equal(back.size, 0);
}

static void test_watch_keeps_the_newest(void **state)
{
	static struct state_watch w;

	(void)state;
	memset(&w, 0, sizeof(w));
	for (uint64_t i = 0; i < STATE_ALERTS_MAX + 3; i++) {
		struct policy_alert a = alert_at(i);

		state_watch_add(&w, &a, 1);
	}
	assert_int_equal(w.n, STATE_ALERTS_MAX);
	assert_int_equal(w.dropped, 3);
	assert_int_equal(w.v[0].alert.index, 3);
	assert_int_equal(w.v[w.n - 1].alert.index, STATE_ALERTS_MAX + 2);
}

static void test_watch_damage_is_noticed(void **state)
{
#define ALERT(launch) \
	"{\"index\":1,\"at\":1,\"leaf\":\"" \
	"1111111111111111111111111111111111111111111111111111111111111111\",\"code\":\"c\"," \
	"\"subject\":\"\",\"version\":\"\",\"detail\":\"\",\"launch\":[" launch "]}"
#define WATCH(version, origin, rest) \
	"{\"version\":" version ",\"origin\":\"" origin "\",\"names\":\"" NAMES "\"," rest "}"
#define A     "log.example/a"
#define NAMES "2222222222222222222222222222222222222222222222222222222222222222"
	static const char *const bad_files[] = {
	        "",
	        "{}",
	        "{\"version\":1,\"origin\":\"log.example/a\",\"names\":\"22\",\"size\":1,"
	        "\"dropped\":0,\"alerts\":[]}",
	        WATCH("2", A, "\"size\":1,\"dropped\":0,\"alerts\":[]"),
	        WATCH("1", "log.example/b", "\"size\":1,\"dropped\":0,\"alerts\":[]"),
	        WATCH("1", A, "\"size\":-1,\"dropped\":0,\"alerts\":[]"),
	        WATCH("1", A, "\"size\":1,\"dropped\":-1,\"alerts\":[]"),
	        WATCH("1", A, "\"size\":1,\"dropped\":0,\"alerts\":{}"),
	        WATCH("1", A, "\"size\":1,\"dropped\":0,\"alerts\":[],\"more\":1"),
	        WATCH("1", A, "\"size\":1,\"size\":1,\"dropped\":0,\"alerts\":[]"),
	        WATCH("1", A, "\"size\":1,\"dropped\":0,\"alerts\":[{}]"),
	        WATCH("1", A, "\"size\":1,\"dropped\":0,\"alerts\":[" ALERT("{}") "]"),
	        WATCH("1", A,
	              "\"size\":1,\"dropped\":0,\"alerts\":[" ALERT(
	                      "{\"tee\":\"xyz\",\"value\":\"11\",\"alone\":true}") "]"),
	        WATCH("1", A,
	              "\"size\":1,\"dropped\":0,\"alerts\":[" ALERT(
	                      "{\"tee\":\"snp\",\"value\":\"1x\",\"alone\":true}") "]"),
	};
	static const char good[] =
	        WATCH("1", A,
	              "\"size\":1,\"dropped\":0,\"alerts\":[" ALERT(
	                      "{\"tee\":\"snp\",\"value\":\"11\",\"alone\":true}") "]");
	struct checkpoint cp = head(A, 500, 0x11);
	static struct state_watch w;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(state_advance(&st, &cp, 50, bytes_str("note"), 1), 0);
	assert_int_equal(state_file_of(&st, A, "watch.json", path), 0);
	assert_int_equal(file_write_atomic(path, bytes_str(good), 0600), 0);
	assert_int_equal(state_watch_read(&st, A, &w), 0);
	assert_int_equal(w.n, 1);
	for (size_t i = 0; i < sizeof(bad_files) / sizeof(bad_files[0]); i++) {
		assert_int_equal(file_write_atomic(path, bytes_str(bad_files[i]), 0600), 0);
		assert_int_equal(state_watch_read(&st, A, &w), -EBADMSG);
		assert_int_equal(w.size | w.n, 0);
	}
	/* It stops nobody: only a head must not be lost. */
	assert_int_equal(state_open(dir, &st, bad), 0);
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
	        cmocka_unit_test_setup_teardown(test_earlier_heads_are_kept, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_forget, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch_there_and_back, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch_keeps_the_newest, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_watch_damage_is_noticed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
