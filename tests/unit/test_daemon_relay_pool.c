/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: all tasks run once, threads come with the work, stay under the bound and leave. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "daemon/relay.h"

static void sleep_ms(long ms)
{
	nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static atomic_uint ran, inside, most;
static atomic_bool gate;

static void count(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ran, 1);
}

/* Stays until the gate opens. */
static void hold(void *arg)
{
	unsigned now = atomic_fetch_add(&inside, 1) + 1, seen = atomic_load(&most);

	(void)arg;
	while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
		;
	while (!atomic_load(&gate))
		sleep_ms(1);
	atomic_fetch_sub(&inside, 1);
	atomic_fetch_add(&ran, 1);
}

static void wait_for(atomic_uint *v, unsigned want)
{
	for (int i = 0; i < 5000 && atomic_load(v) != want; i++)
		sleep_ms(1);
	assert_int_equal(atomic_load(v), want);
}

static int setup(void **state)
{
	(void)state;
	atomic_store(&ran, 0);
	atomic_store(&inside, 0);
	atomic_store(&most, 0);
	atomic_store(&gate, false);
	return 0;
}

static void runs_all_once(void **state)
{
	(void)state;
	static struct relay_task tasks[5000];
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(8, 1000, &p), 0);
	for (size_t i = 0; i < 5000; i++) {
		tasks[i].fn = count;
		relay_pool_post(p, &tasks[i]);
	}
	relay_pool_close(p);
	assert_int_equal(atomic_load(&ran), 5000);
}

/* Every blocked task has a thread of its own, so none waits behind another. */
static void grows_with_the_blocked(void **state)
{
	(void)state;
	struct relay_task tasks[20], last = {.fn = count};
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(64, 200, &p), 0);
	assert_int_equal(relay_pool_threads(p), 1);
	for (size_t i = 0; i < 20; i++) {
		tasks[i].fn = hold;
		relay_pool_post(p, &tasks[i]);
	}
	wait_for(&inside, 20);
	relay_pool_post(p, &last);
	wait_for(&ran, 1);
	assert_in_range(relay_pool_threads(p), 21, 64);
	atomic_store(&gate, true);
	wait_for(&ran, 21);
	/* And they leave, but for one. */
	for (int i = 0; i < 3000 && relay_pool_threads(p) > 1; i++)
		sleep_ms(1);
	assert_int_equal(relay_pool_threads(p), 1);
	relay_pool_close(p);
}

static void stays_under_the_bound(void **state)
{
	(void)state;
	struct relay_task tasks[20];
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(3, 1000, &p), 0);
	for (size_t i = 0; i < 20; i++) {
		tasks[i].fn = hold;
		relay_pool_post(p, &tasks[i]);
	}
	wait_for(&inside, 3);
	sleep_ms(50);
	assert_int_equal(atomic_load(&inside), 3);
	assert_int_equal(relay_pool_threads(p), 3);
	atomic_store(&gate, true);
	relay_pool_close(p); /* with what is still queued */
	assert_int_equal(atomic_load(&ran), 20);
	assert_int_equal(atomic_load(&most), 3);
}

static void reuses_idle_threads(void **state)
{
	(void)state;
	struct relay_task t = {.fn = count};
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(64, 5000, &p), 0);
	for (unsigned i = 0; i < 100; i++) {
		relay_pool_post(p, &t);
		wait_for(&ran, i + 1);
	}
	/* One more may have come before the first was back. */
	assert_in_range(relay_pool_threads(p), 1, 3);
	relay_pool_close(p);
}

static struct relay_pool *shared;

/* A task is its owner's again as soon as it runs. */
static void again(void *arg)
{
	struct relay_task *t = arg;

	if (atomic_fetch_add(&ran, 1) < 999)
		relay_pool_post(shared, t);
}

static void task_posts_itself(void **state)
{
	(void)state;
	struct relay_task t = {.fn = again, .arg = &t};

	assert_int_equal(relay_pool_open(4, 1000, &shared), 0);
	relay_pool_post(shared, &t);
	wait_for(&ran, 1000);
	relay_pool_close(shared);
}

static void see_mask(void *arg)
{
	pthread_sigmask(SIG_BLOCK, NULL, arg);
	atomic_fetch_add(&ran, 1);
}

static void signals_are_blocked(void **state)
{
	(void)state;
	sigset_t mask;
	struct relay_task t = {.fn = see_mask, .arg = &mask};
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(1, 1000, &p), 0);
	relay_pool_post(p, &t);
	wait_for(&ran, 1);
	assert_int_equal(sigismember(&mask, SIGTERM), 1);
	assert_int_equal(sigismember(&mask, SIGUSR1), 1);
	relay_pool_close(p);
}

static void closes_empty(void **state)
{
	(void)state;
	struct relay_pool *p;

	assert_int_equal(relay_pool_open(4, 1000, &p), 0);
	relay_pool_close(p);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(runs_all_once),       T(grows_with_the_blocked), T(stays_under_the_bound),
	        T(reuses_idle_threads), T(task_posts_itself),      T(signals_are_blocked),
	        T(closes_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
