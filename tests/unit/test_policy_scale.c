/* SPDX-License-Identifier: Apache-2.0 */
/*
 * That work grows with the number of blocks, and not with its square: four times as many may take
 * not much more than four times as long. Times on one machine in one run are compared, each the
 * shortest of a few.
 */
#include <arpa/inet.h>
#include <time.h>
#include "policy_files.h"

enum { FEW = 5000, MANY = 4 * FEW, FEW_LEAVES = 2048, ATTEMPTS = 3 };

/* Between 4, with some logarithm, and 16. */
#define RATIO_MAX 8.0

static double cpu(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Blocks by address and by name; each name stands in two of them. */
static char *text_of(uint32_t n)
{
	struct buf b = buf_make(4 << 20);

	buf_str(&b, "default-action = allow\n");
	for (uint32_t i = 0; i < n; i++) {
		buf_printf(&b, "destination d%u { action = deny port = %u\n", i, 1 + i % 60000);
		if (i % 2)
			buf_printf(&b, "address = {10.%u.%u.0/24, 10.%u.%u.7} }\n", i >> 8, i & 255,
			           i >> 8, i & 255);
		else
			buf_printf(&b, "name = h%u.example }\n", i / 4);
	}
	buf_u8(&b, 0);
	assert_false(b.bad);
	return (char *)b.p;
}

/*
 * Prefixes within prefixes down to single addresses, the narrow ones first, each split whole among
 * those in it, and each hidden on one of its two ports.
 */
static char *nested_text(uint32_t leaves)
{
	struct buf b = buf_make(4 << 20);

	buf_str(&b, "default-action = allow\n");
	for (uint32_t level = 0; leaves >> level; level++)
		for (uint32_t i = 0; i < leaves >> level; i++)
			buf_printf(&b,
			           "destination d%u-%u { action = deny port = {%u, 99} "
			           "address = 10.0.%u.%u/%u }\n",
			           level, i, 1 + level, i << level >> 8, i << level & 255,
			           32 - level);
	buf_u8(&b, 0);
	assert_false(b.bad);
	return (char *)b.p;
}

struct times {
	double parse, compile, names, match;
};

static void shorter(double *best, double *since)
{
	double now = cpu();

	if (*best == 0 || now - *since < *best)
		*best = now - *since;
	*since = cpu();
}

static void once(const char *text, uint32_t n, struct times *best)
{
	struct policy_file file = {"/etc/keygate/policy.d/a.conf", bytes_str(text)};
	struct policy_name_rules *names;
	struct policy_issues issues;
	struct policy_lpm *lpm;
	struct policy *p = NULL;
	size_t entries;
	double t = cpu();

	assert_int_equal(policy_parse(&file, 1, NULL, NULL, 0, &p, &issues), 0);
	shorter(&best->parse, &t);
	assert_int_equal(p->destinations, n);
	assert_int_equal(policy_compile(p, NULL, 0, &lpm, &entries), 0);
	shorter(&best->compile, &t);
	assert_int_equal(entries, n);
	assert_int_equal(policy_compile_names(p, &names, &entries), 0);
	shorter(&best->names, &t);
	assert_int_equal(entries, (n + 3) / 4);
	for (uint32_t i = 1; i < n; i += 2) {
		uint8_t addr[16] = {[10] = 0xff, 0xff, 10, (uint8_t)(i >> 8), (uint8_t)i, 7};

		assert_int_equal(policy_match(p, NULL, 0, addr, (uint16_t)(1 + i % 60000), NULL),
		                 i);
	}
	shorter(&best->match, &t);
	free(names);
	free(lpm);
	policy_free(p);
}

static void grows(const char *what, double few, double many)
{
	if (many > RATIO_MAX * few)
		fail_msg("%s: %.1f ms, and %.1f ms of four times as many", what, few * 1e3,
		         many * 1e3);
}

static void with_the_number_of_blocks(void **state)
{
	char *few = text_of(FEW), *many = text_of(MANY);
	struct times a = {0}, b = {0};

	(void)state;
	for (int i = 0; i < ATTEMPTS; i++) {
		once(few, FEW, &a);
		once(many, MANY, &b);
	}
	grows("parse", a.parse, b.parse);
	grows("compile", a.compile, b.compile);
	grows("names", a.names, b.names);
	grows("match", a.match, b.match);
	free(few);
	free(many);
}

static void parse_again(const char *text, double *best)
{
	struct policy_file file = {"/etc/keygate/policy.d/a.conf", bytes_str(text)};
	static struct policy_issues issues;
	struct policy *p = NULL;
	double t = cpu();

	assert_int_equal(policy_parse(&file, 1, NULL, NULL, 0, &p, &issues), 0);
	shorter(best, &t);
	policy_free(p);
}

static void with_the_number_of_nested_prefixes(void **state)
{
	char *few = nested_text(FEW_LEAVES), *many = nested_text(4 * FEW_LEAVES);
	double a = 0, b = 0;

	(void)state;
	for (int i = 0; i < ATTEMPTS; i++) {
		parse_again(few, &a);
		parse_again(many, &b);
	}
	grows("parse of nested prefixes", a, b);
	free(few);
	free(many);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(with_the_number_of_blocks),
	        cmocka_unit_test(with_the_number_of_nested_prefixes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
