// SPDX-License-Identifier: Apache-2.0
/*
 * The keyring watch on the running kernel. Skipped, with a line that says so, where the kernel
 * refuses fentry programs; without the watch keygated's own look at its keys remains.
 */
#include "tests/unit/bpf_lab.h"
#include <keyutils.h>

enum { SESSION = 5, OTHER = 6, FAR = 60 };

static struct intercept *gate;

static void open_watched(void)
{
	const char *step = "";
	bool watch = false;
	int r = intercept_open_at(&gate, LAB_PINS, lab_cgroup, &watch, &step);

	if (r)
		print_error("intercept_open_at: %s: %s\n", step, strerror(-r));
	assert_int_equal(r, 0);
	assert_true(watch);
}

static int setup(void **state)
{
	uint64_t until = now_boot() + FAR * 1000000000ull;

	(void)state;
	open_watched();
	assert_int_equal(intercept_session(gate, SESSION, GATE_SESSION_LIVE, until), 0);
	assert_int_equal(intercept_session(gate, OTHER, GATE_SESSION_LIVE, until), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	intercept_close(gate);
	return intercept_remove_at(LAB_PINS);
}

static uint32_t state_of(uint64_t session)
{
	int fd = bpf_obj_get(LAB_PINS "/map_kg_sessions");
	struct gate_session s = {0};

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &session, &s), 0);
	close(fd);
	return s.state;
}

static key_serial_t key_for(uint64_t session)
{
	static int n;
	char name[32];
	key_serial_t k;

	snprintf(name, sizeof(name), "keygate-test:%d", n++);
	k = add_key("user", name, "x", 1, KEY_SPEC_PROCESS_KEYRING);
	assert_true(k > 0);
	if (session)
		assert_int_equal(intercept_session_key(gate, session, k), 0);
	return k;
}

static struct gate_event last_event;

static void on_event(void *ctx, const struct gate_event *e)
{
	int *n = ctx;

	if (e->kind != GATE_EVENT_REVOKED)
		return;
	last_event = *e;
	*n += 1;
}

static int revocations(void)
{
	int n = 0;

	assert_true(intercept_events(gate, on_event, &n) >= 0);
	return n;
}

static void cut_by(long (*end)(key_serial_t))
{
	key_serial_t key = key_for(SESSION), other = key_for(OTHER), none = key_for(0);

	assert_int_equal(end(none), 0);
	assert_int_equal(revocations(), 0);
	assert_int_equal(state_of(SESSION), GATE_SESSION_LIVE);
	assert_int_equal(end(key), 0);
	assert_int_equal(state_of(SESSION), GATE_SESSION_CUT);
	assert_int_equal(state_of(OTHER), GATE_SESSION_LIVE);
	assert_int_equal(revocations(), 1);
	assert_int_equal(last_event.session, SESSION);
	assert_int_equal(last_event.pid, getpid());
	assert_int_equal(intercept_session(gate, SESSION, GATE_SESSION_LIVE, UINT64_MAX),
	                 -ECANCELED);
	assert_int_equal(keyctl_revoke(other), 0);
	assert_int_equal(state_of(OTHER), GATE_SESSION_CUT);
}

static void test_revoke(void **state)
{
	(void)state;
	cut_by(keyctl_revoke);
}

static void test_invalidate(void **state)
{
	(void)state;
	cut_by(keyctl_invalidate);
}

/* The watch outlives keygated, and is one watch after an upgrade. */
static void test_without_keygated(void **state)
{
	key_serial_t key = key_for(SESSION), other = key_for(OTHER);

	(void)state;
	intercept_close(gate);
	gate = NULL;
	assert_int_equal(keyctl_revoke(key), 0);
	assert_int_equal(state_of(SESSION), GATE_SESSION_CUT);
	open_watched();
	assert_int_equal(revocations(), 1);
	assert_int_equal(intercept_session(gate, OTHER, GATE_SESSION_LIVE, UINT64_MAX), 0);
	assert_int_equal(intercept_session_key(gate, OTHER, other), 0);
	assert_int_equal(keyctl_revoke(other), 0);
	assert_int_equal(revocations(), 1);
}

static void test_ended_session(void **state)
{
	key_serial_t key = key_for(SESSION);

	(void)state;
	intercept_session_end(gate, SESSION, key);
	assert_int_equal(keyctl_revoke(key), 0);
	assert_int_equal(revocations(), 0);
}

static const char *no_watch(void)
{
	const char *step = NULL;
	bool watch = false;
	int r = intercept_open_at(&gate, LAB_PINS, lab_cgroup, &watch, &step);

	intercept_close(gate);
	intercept_remove_at(LAB_PINS);
	return !r && !watch ? "this kernel takes no fentry programs" : NULL;
}

int main(void)
{
	const struct CMUnitTest all[] = {
	        cmocka_unit_test_setup_teardown(test_revoke, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_invalidate, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_without_keygated, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ended_session, setup, teardown),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_watch", no_watch);
}
