/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a name server's answer: the shortest time in it, if it has an address. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include "daemon/resolve.h"

enum { A = 1, CNAME = 5, TXT = 16, AAAA = 28, IN = 1, CHAOS = 3 };

/* A message of one question; records are added behind it. */
struct message {
	uint8_t p[4096];
	size_t n;
};

static const uint8_t v4[4] = {192, 0, 2, 7};
static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 7};
/* An alias for the name in the question. */
static const uint8_t alias[] = {1, 'b', 0xc0, 12};

static void put16(struct message *m, unsigned v)
{
	m->p[m->n++] = (uint8_t)(v >> 8);
	m->p[m->n++] = (uint8_t)v;
}

static struct message begin(void)
{
	static const uint8_t head[] = {0x12, 0x34, 0x81, 0x80, 0,   1,   0,   0, 0, 0, 0, 0,
	                               1,    'a',  4,    't',  'e', 's', 't', 0, 0, 1, 0, 1};
	struct message m = {.n = sizeof(head)};

	memcpy(m.p, head, sizeof(head));
	return m;
}

static void record(struct message *m, unsigned type, unsigned class, uint32_t ttl,
                   const uint8_t *data, size_t n)
{
	put16(m, 0xc00c);
	put16(m, type);
	put16(m, class);
	put16(m, ttl >> 16);
	put16(m, ttl & 0xffff);
	put16(m, (unsigned)n);
	memcpy(m->p + m->n, data, n);
	m->n += n;
	m->p[7]++;
}

/* Of memory that ends with the message. */
static int32_t take(const struct message *m, size_t n)
{
	uint8_t *p = malloc(n ? n : 1);
	int32_t ttl;

	assert_non_null(p);
	memcpy(p, m->p, n);
	ttl = resolve_ttl(p, n);
	free(p);
	return ttl;
}

static void test_the_shortest(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, A, IN, 300, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 300);
	record(&m, AAAA, IN, 400, v6, sizeof(v6));
	assert_int_equal(take(&m, m.n), 300);
	record(&m, A, IN, 20, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 20);
	record(&m, A, IN, 0, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 0);
}

static void test_an_alias_counts(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, AAAA, IN, 300, v6, sizeof(v6));
	assert_int_equal(take(&m, m.n), 7);
}

static void test_negative_is_none(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, A, IN, 0x80000000u, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 0);
}

static void test_no_address_no_time(void **state)
{
	struct message m = begin();

	(void)state;
	assert_int_equal(take(&m, m.n), -1);
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, TXT, IN, 7, v4, sizeof(v4));
	record(&m, A, CHAOS, 7, v4, sizeof(v4));
	record(&m, A, IN, 7, v4, 3);
	record(&m, AAAA, IN, 7, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), -1);
	record(&m, A, IN, 9, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 7);
}

static void test_cut_anywhere(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, A, IN, 300, v4, sizeof(v4));
	for (size_t n = 0; n < m.n; n++)
		assert_int_equal(take(&m, n), -1);
	assert_int_equal(take(&m, m.n), 7);
}

static void test_too_long(void **state)
{
	static struct message m;

	(void)state;
	m = begin();
	for (int i = 0; m.n < sizeof(m.p) - 100; i++)
		record(&m, A, IN, 100, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n), 100);
	assert_int_equal(resolve_ttl(m.p, (size_t)INT32_MAX + 1), -1);
}

static void test_as_programs_get_them(void **state)
{
	struct msg_resolved r = {.err = -2, .n = 9};

	(void)state;
	resolve_name("", &r);
	assert_int_not_equal(r.err, 0);
	assert_int_equal(r.n, 0);
	resolve_name("localhost", &r);
	assert_int_equal(r.err, 0);
	assert_true(r.n >= 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_shortest),
	        cmocka_unit_test(test_an_alias_counts),
	        cmocka_unit_test(test_negative_is_none),
	        cmocka_unit_test(test_no_address_no_time),
	        cmocka_unit_test(test_cut_anywhere),
	        cmocka_unit_test(test_too_long),
	        cmocka_unit_test(test_as_programs_get_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
