/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken from a name server's answer: the addresses, and the shortest time among them. */
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
static struct msg_resolved take(const struct message *m, size_t n)
{
	struct msg_resolved r = {.ttl = -1};
	uint8_t *p = malloc(n + 1);

	assert_non_null(p);
	memcpy(p, m->p, n);
	p = realloc(p, n ? n : 1);
	assert_non_null(p);
	resolve_take(p, n, &r);
	free(p);
	return r;
}

static void nothing(const struct msg_resolved *r)
{
	assert_int_equal(r->n, 0);
	assert_int_equal(r->ttl, -1);
	assert_int_equal(r->err, 0);
}

static void test_addresses_and_time(void **state)
{
	static const uint8_t mapped[16] = {
	        [10] = 0xff, [11] = 0xff, [12] = 192, [14] = 2, [15] = 7};
	struct message m = begin();
	struct msg_resolved r;

	(void)state;
	record(&m, A, IN, 300, v4, sizeof(v4));
	record(&m, AAAA, IN, 400, v6, sizeof(v6));
	r = take(&m, m.n);
	assert_int_equal(r.n, 2);
	assert_memory_equal(r.addr[0], mapped, 16);
	assert_memory_equal(r.addr[1], v6, 16);
	assert_int_equal(r.ttl, 300);
}

static void test_an_alias_counts(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, A, IN, 300, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n).ttl, 7);
}

static void test_of_two_answers_the_shorter(void **state)
{
	struct message m = begin();
	struct msg_resolved r = {.ttl = 20};

	(void)state;
	record(&m, A, IN, 30, v4, sizeof(v4));
	resolve_take(m.p, m.n, &r);
	assert_int_equal(r.ttl, 20);
	r.ttl = 40;
	resolve_take(m.p, m.n, &r);
	assert_int_equal(r.ttl, 30);
	/* Each address once. */
	assert_int_equal(r.n, 1);
	assert_int_equal(r.more, 0);
}

static void test_negative_is_none(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, A, IN, 0x80000000u, v4, sizeof(v4));
	assert_int_equal(take(&m, m.n).ttl, 0);
}

static void test_no_address_no_time(void **state)
{
	struct message m = begin();
	struct msg_resolved r = take(&m, m.n);

	(void)state;
	nothing(&r);
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, TXT, IN, 7, v4, sizeof(v4));
	record(&m, A, CHAOS, 7, v4, sizeof(v4));
	record(&m, A, IN, 7, v4, 3);
	record(&m, AAAA, IN, 7, v4, sizeof(v4));
	r = take(&m, m.n);
	nothing(&r);
}

static void test_cut_anywhere(void **state)
{
	struct message m = begin();

	(void)state;
	record(&m, CNAME, IN, 7, alias, sizeof(alias));
	record(&m, A, IN, 300, v4, sizeof(v4));
	for (size_t n = 0; n < m.n; n++) {
		struct msg_resolved r = take(&m, n);

		nothing(&r);
	}
	assert_int_equal(take(&m, m.n).n, 1);
}

static void test_bounded(void **state)
{
	struct message m = begin();
	struct msg_resolved r = {.ttl = -1};

	(void)state;
	for (uint8_t i = 0; i < 100; i++) {
		const uint8_t addr[4] = {192, 0, 2, i};

		record(&m, A, IN, 100u - i, addr, sizeof(addr));
	}
	r = take(&m, m.n);
	assert_int_equal(r.n, 64);
	assert_int_equal(r.ttl, 1);
	/* There is no room beside others. */
	r = (struct msg_resolved){.ttl = -1, .n = 60};
	for (uint32_t i = 0; i < r.n; i++)
		r.addr[i][0] = (uint8_t)(i + 1);
	resolve_take(m.p, m.n, &r);
	assert_int_equal(r.n, 64);
	assert_int_equal(r.more, 60);
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
	        cmocka_unit_test(test_addresses_and_time),
	        cmocka_unit_test(test_an_alias_counts),
	        cmocka_unit_test(test_of_two_answers_the_shorter),
	        cmocka_unit_test(test_negative_is_none),
	        cmocka_unit_test(test_no_address_no_time),
	        cmocka_unit_test(test_cut_anywhere),
	        cmocka_unit_test(test_bounded),
	        cmocka_unit_test(test_as_programs_get_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
