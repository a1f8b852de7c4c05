/* SPDX-License-Identifier: Apache-2.0 */
/* Leases: who uses one, who gets one, who waits, and which place is whose. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "daemon/lease.h"

enum { NOW = 1000000, LASTS = 500 };

/* CLOCK_BOOTTIME is another clock. */
#define NS UINT64_C(77000000000)

static struct lease_table *t;
static struct lease_held old;

static int setup(void **state)
{
	(void)state;
	t = calloc(1, sizeof(*t));
	memset(&old, 0, sizeof(old));
	return t ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	lease_free_all(t);
	free(t);
	return 0;
}

static struct lease_key key_of(unsigned n)
{
	struct lease_key k = {.name = "db", .dst_port = 443};

	memcpy(k.dst, &n, sizeof(n));
	return k;
}

static struct lease *place_of(unsigned n)
{
	const struct lease_key k = key_of(n);

	return lease_place(t, &k, NS);
}

static struct lease_held held_of(uint64_t session)
{
	struct lease_held h = {.key = {.serial = (int32_t)session, .until = NOW + LASTS},
	                       .session = session,
	                       .verdict = malloc(sizeof(*h.verdict))};

	assert_non_null(h.verdict);
	verdict_init(h.verdict, "db", NOW);
	check_add(&h.verdict->checks, "lease.attested", CHECK_PASS, "for the test");
	verdict_limit(h.verdict, NOW + LASTS);
	verdict_seal(h.verdict);
	return h;
}

static struct lease *with_lease(unsigned n)
{
	struct lease *l = place_of(n);
	const struct lease_held h = held_of(n + 1);

	assert_non_null(l);
	lease_put(l, &h, NOW, &old);
	assert_int_equal(old.key.serial, 0);
	return l;
}

/* One is attested, the others wait, and then all use what it brought. */
static void one_leads(void **state)
{
	(void)state;
	struct lease *l = place_of(1);
	struct lease_held h = held_of(7);

	assert_int_equal(lease_way(l, NOW, NS), LEASE_LEAD);
	lease_lead(l, 7);
	assert_int_equal(lease_way(l, NOW, NS), LEASE_WAIT);
	assert_false(lease_led(l, 8));
	assert_false(lease_led(l, 0));
	assert_int_equal(lease_way(l, NOW, NS), LEASE_WAIT);
	lease_put(l, &h, NOW, &old);
	assert_true(lease_led(l, 7));
	assert_false(lease_led(l, 7));
	assert_int_equal(lease_way(l, NOW, NS), LEASE_USE);
	assert_int_equal(l->held.made_at, NOW);
	/* Another destination has nothing of it. */
	assert_int_equal(lease_way(place_of(2), NOW, NS), LEASE_LEAD);
}

static void none_granted(void **state)
{
	(void)state;
	struct lease *l = place_of(1);
	uint64_t quiet = (uint64_t)LEASE_QUIET_MS * 1000000u;

	lease_lead(l, 7);
	assert_true(lease_led(l, 7));
	lease_quiet(l, NS);
	assert_int_equal(lease_way(l, NOW, NS), LEASE_ALONE);
	assert_int_equal(lease_way(l, NOW, NS + quiet - 1), LEASE_ALONE);
	assert_int_equal(lease_way(l, NOW, NS + quiet), LEASE_LEAD);
	assert_int_equal(lease_way(NULL, NOW, NS), LEASE_ALONE);
}

static void renewed_in_the_last_fifth(void **state)
{
	(void)state;
	struct lease *l = with_lease(1);
	struct lease_held h = held_of(9);

	assert_int_equal(l->held.renew_at, NOW + 400);
	assert_int_equal(lease_way(l, NOW + 399, NS), LEASE_USE);
	assert_int_equal(lease_way(l, NOW + 400, NS), LEASE_LEAD);
	lease_lead(l, 9);
	/* The others go on meanwhile. */
	assert_int_equal(lease_way(l, NOW + 400, NS), LEASE_USE);
	assert_int_equal(lease_way(l, NOW + 499, NS), LEASE_USE);
	assert_int_equal(lease_way(l, NOW + 500, NS), LEASE_WAIT);
	h.key.until = NOW + 900;
	h.verdict->valid_until = NOW + 900;
	lease_put(l, &h, NOW + 450, &old);
	assert_int_equal(old.key.serial, 2);
	assert_null(old.verdict);
	assert_true(lease_led(l, 9));
	assert_int_equal(l->held.renew_at, NOW + 810);
	assert_int_equal(lease_way(l, NOW + 600, NS), LEASE_USE);
}

/* While a renewal that failed is not tried again, what is left of the lease is used. */
static void a_renewal_fails(void **state)
{
	(void)state;
	struct lease *l = with_lease(1);
	uint64_t later = NS + (uint64_t)LEASE_QUIET_MS * 1000000u;

	lease_lead(l, 9);
	assert_true(lease_led(l, 9));
	lease_quiet(l, NS);
	assert_int_equal(lease_way(l, NOW + 450, NS), LEASE_USE);
	assert_int_equal(lease_way(l, NOW + 450, later), LEASE_LEAD);
	assert_int_equal(lease_way(l, NOW + 500, NS), LEASE_ALONE);
	assert_int_equal(lease_way(l, NOW + 500, later), LEASE_LEAD);
}

/* It ends with its key, or with its verdict, whichever is first; and not before it was made. */
static void ends(void **state)
{
	(void)state;
	struct lease *l = with_lease(1);

	assert_true(lease_good(l, NOW));
	assert_true(lease_good(l, NOW + LASTS - 1));
	assert_false(lease_good(l, NOW + LASTS));
	assert_int_equal(lease_way(l, NOW + LASTS, NS), LEASE_LEAD);
	assert_false(lease_good(l, NOW - 1));
	l->held.key.until = NOW + 100;
	assert_false(lease_good(l, NOW + 100));
	l->held.key.until = NOW + 900;
	assert_false(lease_good(l, NOW + LASTS));
	check_add(&l->held.verdict->checks, "lease.attested", CHECK_FAIL, "late");
	assert_false(lease_good(l, NOW));
}

static void dropped(void **state)
{
	(void)state;
	struct lease *l = with_lease(1);

	lease_drop(l, &old);
	assert_int_equal(old.key.serial, 2);
	assert_null(old.verdict);
	assert_int_equal(l->held.key.serial, 0);
	assert_int_equal(lease_way(l, NOW, NS), LEASE_LEAD);
	lease_drop(l, &old);
	assert_int_equal(old.key.serial, 0);
}

/* Each part of the key makes it another place. */
static void keys(void **state)
{
	const struct lease_key k = key_of(1);
	struct lease_key other;
	struct lease *l = place_of(1);

	(void)state;
	lease_lead(l, 7);
	assert_ptr_equal(lease_of(t, &k), l);
	assert_ptr_equal(place_of(1), l);
	for (int i = 0; i < 5; i++) {
		other = k;
		if (i == 0)
			other.name[0] ^= 1;
		else if (i == 1)
			other.digest[31] ^= 1;
		else if (i == 2)
			other.dst[15] ^= 1;
		else if (i == 3)
			other.dst_port ^= 1;
		else
			other.netns ^= 1;
		assert_null(lease_of(t, &other));
		assert_ptr_not_equal(lease_place(t, &other, NS), l);
	}
}

/* A place with a lease, with one who leads, or that is quiet is nobody else's. */
static void full(void **state)
{
	(void)state;
	unsigned last = LEASES_MAX - 1;

	for (unsigned i = 0; i <= last; i++)
		with_lease(i);
	assert_null(place_of(LEASES_MAX));
	assert_non_null(place_of(5));
	lease_drop(place_of(last), &old);
	lease_lead(place_of(last), 3);
	assert_null(place_of(LEASES_MAX));
	assert_true(lease_led(place_of(last), 3));
	lease_quiet(place_of(last), NS);
	assert_null(place_of(LEASES_MAX));
	t->place[last].quiet_until_ns = NS;
	assert_ptr_equal(place_of(LEASES_MAX), &t->place[last]);
	assert_int_equal(lease_way(place_of(LEASES_MAX), NOW, NS), LEASE_LEAD);
}

static void walk(void **state)
{
	(void)state;
	struct lease *first = with_lease(1), *second, *third;

	second = place_of(2);
	lease_lead(second, 7);
	third = with_lease(3);
	assert_ptr_equal(lease_next(t, NULL), first);
	assert_ptr_equal(lease_next(t, first), third);
	assert_null(lease_next(t, third));
	lease_drop(first, &old);
	assert_ptr_equal(lease_next(t, NULL), third);
	assert_ptr_not_equal(second, third);
	for (unsigned i = 4; i < LEASES_MAX + 2; i++)
		with_lease(i);
	assert_null(lease_next(t, &t->place[LEASES_MAX - 1]));
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        T(one_leads),
	        T(none_granted),
	        T(renewed_in_the_last_fifth),
	        T(a_renewal_fails),
	        T(ends),
	        T(dropped),
	        T(keys),
	        T(full),
	        T(walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
