/* SPDX-License-Identifier: Apache-2.0 */
/* Strict MessagePack: each item has one encoding, and what is claimed must be there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/msgpack.h"
#include "tests/unit/exact.h"

/* Read in full: one item, nothing behind it. */
static bool one_item(struct bytes v)
{
	struct bytes raw = BYTES_NONE;
	struct reader r = reader_of(v);
	bool skipped = pack_skip(&r, &raw), ok = skipped && rd_done(&r);

	/* What failed is not handed out. */
	assert_false(skipped && r.bad);
	if (ok)
		assert_true(bytes_equal(raw, v));
	return ok;
}

static void numbers(void **state)
{
	static const struct {
		const char *hex;
		uint64_t n;
	} good[] = {
	        {"00", 0},
	        {"7f", 127},
	        {"cc80", 128},
	        {"ccff", 255},
	        {"cd0100", 256},
	        {"cdffff", 65535},
	        {"ce00010000", 65536},
	        {"ceffffffff", UINT32_MAX},
	        {"cf0000000100000000", UINT64_C(1) << 32},
	        {"cfffffffffffffffff", UINT64_MAX},
	};
	static const char *const wide[] = {"cc7f", "cd00ff", "ce0000ffff", "cf00000000ffffffff"};
	struct bytes v;
	struct reader r;
	uint64_t n;
	(void)state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		v = exact(good[i].hex);
		r = reader_of(v);
		assert_true(pack_uint(&r, &n) && rd_done(&r));
		assert_int_equal(n, good[i].n);
		assert_true(one_item(v));
		drop(v);
	}
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		v = exact(wide[i]);
		assert_false(one_item(v));
		drop(v);
	}
}

/* `head`, then n octets. */
static bool with_tail(const char *head, size_t n)
{
	size_t at = strlen(head) / 2;
	uint8_t *p = calloc(1, at + n);
	bool ok;

	assert_int_equal(hex_decode(bytes_str(head), p, at), 0);
	ok = one_item((struct bytes){p, at + n});
	free(p);
	return ok;
}

/* Every octet that an item may begin with, the edges of what it may say, one less and one more. */
static void heads(void **state)
{
	static const struct {
		const char *head;
		size_t n; /* octets that follow; of zeros, which are items of one octet each */
	} good[] = {
	        {"c0", 0},
	        {"c2", 0},
	        {"c3", 0},
	        {"c400", 0},
	        {"c4ff", 255},
	        {"c50100", 256},
	        {"c5ffff", 65535},
	        {"c600010000", 65536},
	        {"a0", 0},
	        {"bf", 31},
	        {"d920", 32},
	        {"d9ff", 255},
	        {"da0100", 256},
	        {"daffff", 65535},
	        {"db00010000", 65536},
	        {"90", 0},
	        {"9f", 15},
	        {"dc0010", 16},
	        {"dcffff", 65535},
	        {"dd00010000", 65536},
	        {"80", 0},
	        {"8f", 30},
	        {"de0010", 32},
	        {"deffff", 131070},
	        {"df00010000", 131072},
	};
	static const struct {
		const char *head;
		size_t n;
	} longer[] = {
	        {"c500ff", 255},       {"c60000ffff", 65535}, {"d91f", 31},
	        {"da00ff", 255},       {"db0000ffff", 65535}, {"dc000f", 15},
	        {"dd0000ffff", 65535}, {"de000f", 30},        {"df0000ffff", 131070},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(with_tail(good[i].head, good[i].n));
		assert_false(with_tail(good[i].head, good[i].n + 1));
		if (good[i].n)
			assert_false(with_tail(good[i].head, good[i].n - 1));
	}
	for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
		assert_false(with_tail(longer[i].head, longer[i].n));
}

/* Unused, extensions, floats and negative numbers, with whatever might follow them. */
static void what_has_no_place(void **state)
{
	static const uint8_t first[] = {0xc1, 0xc7, 0xc8, 0xc9, 0xca, 0xcb, 0xd0, 0xd1, 0xd2,
	                                0xd3, 0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xe0, 0xff};
	uint8_t v[24] = {0};
	(void)state;

	for (size_t i = 0; i < sizeof(first); i++)
		for (size_t n = 1; n <= sizeof(v); n++) {
			v[0] = first[i];
			assert_false(one_item((struct bytes){v, n}));
		}
}

/* What is claimed and not there costs nothing, and depth is not a matter. */
static void claims_and_depth(void **state)
{
	static const char *const more[] = {
	        "",           "91",         "9101a2", "81a161", "ddffffffff01", "dfffffffff01",
	        "dbffffffff", "c6ffffffff", "d9",     "dc00",   "cd01",         "ce01",
	};
	static uint8_t deep[4000];
	(void)state;

	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		struct bytes v = exact(more[i]);

		assert_false(one_item(v));
		drop(v);
	}
	memset(deep, 0x91, sizeof(deep));
	assert_false(one_item(BYTES_OF(deep)));
	deep[sizeof(deep) - 1] = 0x90;
	assert_true(one_item(BYTES_OF(deep)));
}

/* Each call takes its own kind only. */
static void kinds(void **state)
{
	static const char *const one[] = {"01", "a161", "9101", "8101c0", "c401ff", "c0"};
	(void)state;

	for (size_t i = 0; i < sizeof(one) / sizeof(one[0]); i++) {
		struct buf b = buf_make(16);
		struct bytes v = exact(one[i]), t, values[1];
		struct reader r[4] = {reader_of(v), reader_of(v), reader_of(v), reader_of(v)};
		uint64_t n;

		assert_int_equal(pack_uint(&r[0], &n), i == 0);
		assert_int_equal(pack_text(&r[1], &t), i == 1);
		assert_int_equal(pack_array(&r[2], &n), i == 2);
		assert_int_equal(pack_octets(&r[3], &b), i == 2);
		assert_false(i != 3 && pack_fields(v, (const char *const[]){"a"}, 0, values));
		buf_free(&b);
		drop(v);
	}
}

static bool octets_of(const char *hex, size_t max, const char *want)
{
	struct buf b = buf_make(max);
	struct bytes v = exact(hex), w = exact(want);
	struct reader r = reader_of(v);
	bool ok = pack_octets(&r, &b) && rd_done(&r);

	if (ok)
		assert_true(bytes_equal(buf_view(&b), w));
	buf_free(&b);
	drop(v);
	drop(w);
	return ok;
}

static void octets(void **state)
{
	(void)state;
	assert_true(octets_of("90", 4, ""));
	assert_true(octets_of("94007fcc80ccff", 4, "007f80ff"));
	assert_false(octets_of("94007fcc80ccff", 3, "")); /* no room */
	assert_false(octets_of("91cd0100", 4, ""));       /* 256 */
	assert_false(octets_of("91a100", 4, ""));
	assert_false(octets_of("9200", 4, ""));
	assert_false(octets_of("ddffffffff00", 4, ""));
}

static void fields(void **state)
{
	static const char *const keys[] = {"a", "bc"};
	static const struct {
		const char *hex;
		bool good;
	} maps[] = {
	        {"82a16101a2626391c0", true},
	        {"82a2626391c0a16101", true},               /* in any order */
	        {"84a17a8101c0a16101a0c2a2626391c0", true}, /* others between them */
	        {"83a17a00a17a00a16101", false},            /* one is missing */
	        {"83a16101a16101a2626391c0", false},        /* one twice */
	        {"830100a16101a2626391c0", false},          /* a key that is no text */
	        {"82a16101a2626391c000", false},            /* something behind it */
	        {"82a16101a2626391", false},                /* a value that is not whole */
	        {"82a2626391c0a161cc01", false},            /* one in a longer form */
	        {"94a16101a2626391c0", false},              /* no map */
	};
	struct bytes v, value[2];
	(void)state;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		v = exact(maps[i].hex);
		assert_int_equal(pack_fields(v, keys, 2, value), maps[i].good);
		if (maps[i].good) {
			assert_true(bytes_equal(value[0], bytes_str("\x01")));
			assert_true(bytes_equal(value[1], bytes_str("\x91\xc0")));
		}
		drop(v);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(numbers),
	        cmocka_unit_test(heads),
	        cmocka_unit_test(what_has_no_place),
	        cmocka_unit_test(claims_and_depth),
	        cmocka_unit_test(kinds),
	        cmocka_unit_test(octets),
	        cmocka_unit_test(fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
