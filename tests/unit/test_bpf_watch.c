// SPDX-License-Identifier: Apache-2.0
/*
 * The keyring watch on the running kernel. Skipped, with a line that says so, where the kernel
 * refuses fentry programs; without the watch keygated's own look at its keys remains.
 */
#include "tests/unit/bpf_lab.h"
#include <keyutils.h>

enum { SESSION = 5, OTHER = 6, FAR = 60 };

static struct intercept *gate;
static key_serial_t ring; /* that keys are put into */
static uint64_t far;

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

static key_serial_t ring_named(const char *name)
{
	key_serial_t k = add_key("keyring", name, NULL, 0, KEY_SPEC_PROCESS_KEYRING);

	assert_true(k > 0);
	return k;
}

static int setup(void **state)
{
	uint64_t until = now_boot() + FAR * 1000000000ull;

	(void)state;
	open_watched();
	far = until;
	ring = ring_named("keygate-test:ring");
	assert_int_equal(intercept_session(gate, SESSION, GATE_SESSION_HANDSHAKE, until), 0);
	assert_int_equal(intercept_session(gate, OTHER, GATE_SESSION_HANDSHAKE, until), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	intercept_close(gate);
	return intercept_remove_at(LAB_PINS);
}

static struct gate_session entry_of(uint64_t session)
{
	int fd = bpf_obj_get(LAB_MAP("kg_sessions"));
	struct gate_session s = {0};

	assert_true(fd >= 0);
	assert_int_equal(bpf_map_lookup_elem(fd, &session, &s), 0);
	close(fd);
	return s;
}

static uint32_t state_of(uint64_t session)
{
	return entry_of(session).state;
}

static uint64_t deadline_of(uint64_t session)
{
	return entry_of(session).deadline_ns;
}

static key_serial_t key_for(uint64_t session)
{
	static int n;
	char name[32];
	key_serial_t k;

	snprintf(name, sizeof(name), "keygate-test:%d", n++);
	k = add_key("user", name, "x", 1, ring);
	assert_true(k > 0);
	if (session)
		assert_int_equal(intercept_session_live(gate, session, k, ring, far), 0);
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

static bool known(key_serial_t k)
{
	int fd = bpf_obj_get(LAB_MAP("kg_keys"));
	uint64_t session;
	bool found;

	assert_true(fd >= 0);
	found = !bpf_map_lookup_elem(fd, &k, &session);
	close(fd);
	return found;
}

static void wait_for_cut(uint64_t session)
{
	for (int i = 0; i < 200 && state_of(session) != GATE_SESSION_CUT; i++)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	assert_int_equal(state_of(session), GATE_SESSION_CUT);
	nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL); /* the program's last step */
}

/* Nothing refers to the key any more: the kernel destroys it, and that cuts. */
static void test_unlink(void **state)
{
	key_serial_t key = key_for(SESSION), other = key_for(OTHER);

	(void)state;
	assert_int_equal(keyctl_unlink(key, ring), 0);
	wait_for_cut(SESSION);
	assert_int_equal(state_of(OTHER), GATE_SESSION_LIVE);
	assert_int_equal(revocations(), 1);
	assert_int_equal(last_event.session, SESSION);
	/* A serial that is no key's any more is nobody's. */
	assert_false(known(key));
	assert_true(known(other));
}

static void test_clear(void **state)
{
	key_serial_t key = key_for(SESSION), other = key_for(OTHER);

	(void)state;
	assert_int_equal(keyctl_clear(ring), 0);
	wait_for_cut(SESSION);
	wait_for_cut(OTHER);
	assert_int_equal(revocations(), 2);
	assert_false(known(key));
	assert_false(known(other));
	assert_true(known(ring));
}

/* All that is in the ring and nothing of another one, at once. */
static void ring_cut_by(long (*end)(key_serial_t))
{
	key_serial_t first = ring;

	(void)key_for(SESSION);
	ring = ring_named("keygate-test:other-ring");
	(void)key_for(OTHER);
	assert_int_equal(end(first), 0);
	assert_int_equal(state_of(SESSION), GATE_SESSION_CUT);
	assert_int_equal(state_of(OTHER), GATE_SESSION_LIVE);
	assert_int_equal(revocations(), 1);
	assert_int_equal(last_event.session, SESSION);
	assert_int_equal(end(ring), 0);
	assert_int_equal(state_of(OTHER), GATE_SESSION_CUT);
}

static void test_ring_revoke(void **state)
{
	(void)state;
	ring_cut_by(keyctl_revoke);
}

static void test_ring_invalidate(void **state)
{
	(void)state;
	ring_cut_by(keyctl_invalidate);
}

static void test_ring_timeout(void **state)
{
	key_serial_t first = ring;
	uint64_t now = now_boot();

	(void)state;
	(void)key_for(SESSION);
	ring = ring_named("keygate-test:other-ring");
	(void)key_for(OTHER);
	assert_int_equal(keyctl_set_timeout(first, 5), 0);
	assert_in_range(deadline_of(SESSION), now + 5000000000ull, now_boot() + 5000000000ull);
	assert_true(deadline_of(OTHER) == far);
	assert_int_equal(state_of(SESSION), GATE_SESSION_LIVE);
}

/* A timeout moves the session's end, never further away. */
static void test_timeout(void **state)
{
	key_serial_t key = key_for(SESSION);
	uint64_t before = deadline_of(SESSION), now;

	(void)state;
	(void)key_for(OTHER);
	assert_int_equal(keyctl_set_timeout(key, 10 * FAR), 0);
	assert_true(deadline_of(SESSION) == before);
	assert_int_equal(keyctl_set_timeout(key, 0), 0);
	assert_true(deadline_of(SESSION) == before);
	now = now_boot();
	assert_int_equal(keyctl_set_timeout(key, 5), 0);
	assert_in_range(deadline_of(SESSION), now + 5000000000ull, now_boot() + 5000000000ull);
	assert_true(deadline_of(OTHER) == far);
	assert_int_equal(state_of(SESSION), GATE_SESSION_LIVE);
	/* Nor does keygated move it away again. */
	assert_int_equal(intercept_session(gate, SESSION, GATE_SESSION_LIVE, far), 0);
	assert_true(deadline_of(SESSION) < far);
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
	assert_int_equal(intercept_session_live(gate, OTHER, other, ring, UINT64_MAX), 0);
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
	        cmocka_unit_test_setup_teardown(test_unlink, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_clear, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ring_revoke, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ring_invalidate, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ring_timeout, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_timeout, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_without_keygated, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_ended_session, setup, teardown),
	};

	return lab_run(all, sizeof(all) / sizeof(all[0]), "test_bpf_watch", no_watch);
}
