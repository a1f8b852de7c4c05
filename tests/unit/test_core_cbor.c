/* SPDX-License-Identifier: Apache-2.0 */
/* Strict CBOR: each item has one encoding, a map each key once, and nothing nests without end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "core/cbor.h"
#include "tests/unit/exact.h"

/* Read in full: one item, nothing behind it. */
static bool one_item(const char *hex)
{
	struct bytes v = exact(hex), raw = BYTES_NONE;
	struct reader r = reader_of(v);
	bool ok = item_skip(&r, &raw) && rd_done(&r);

	if (ok)
		assert_true(bytes_equal(raw, v));
	drop(v);
	return ok;
}

/* From RFC 8949 appendix A, and the edges of each length. */
static void heads(void **state)
{
	static const struct {
		const char *hex;
		enum item_kind kind;
		uint64_t n;
	} good[] = {
	        {"00", ITEM_UINT, 0},
	        {"17", ITEM_UINT, 23},
	        {"1818", ITEM_UINT, 24},
	        {"18ff", ITEM_UINT, 255},
	        {"190100", ITEM_UINT, 256},
	        {"19ffff", ITEM_UINT, 65535},
	        {"1a00010000", ITEM_UINT, 65536},
	        {"1affffffff", ITEM_UINT, UINT32_MAX},
	        {"1b0000000100000000", ITEM_UINT, UINT64_C(1) << 32},
	        {"1bffffffffffffffff", ITEM_UINT, UINT64_MAX},
	        {"20", ITEM_NEGINT, 0},
	        {"37", ITEM_NEGINT, 23},
	        {"3818", ITEM_NEGINT, 24},
	        {"3822", ITEM_NEGINT, 34},
	        {"390100", ITEM_NEGINT, 256},
	        {"3a00010000", ITEM_NEGINT, 65536},
	        {"3b0000000100000000", ITEM_NEGINT, UINT64_C(1) << 32},
	        {"3bffffffffffffffff", ITEM_NEGINT, UINT64_MAX},
	        {"40", ITEM_BYTES, 0},
	        {"4401020304", ITEM_BYTES, 4},
	        {"60", ITEM_TEXT, 0},
	        {"6161", ITEM_TEXT, 1},
	        {"80", ITEM_ARRAY, 0},
	        {"9818", ITEM_ARRAY, 24},
	        {"9bffffffffffffffff", ITEM_ARRAY, UINT64_MAX},
	        {"a0", ITEM_MAP, 0},
	        {"b818", ITEM_MAP, 24},
	        {"d2", ITEM_TAG, 18},
	        {"d9018f", ITEM_TAG, 399},
	        {"d9ea60", ITEM_TAG, 60000},
	        {"f4", ITEM_BOOL, 0},
	        {"f5", ITEM_BOOL, 1},
	        {"f6", ITEM_NULL, 0},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct bytes v = exact(good[i].hex);
		struct reader r = reader_of(v);
		struct item it;

		assert_true(item_any(&r, &it));
		assert_true(rd_done(&r));
		assert_int_equal(it.kind, good[i].kind);
		assert_true(it.n == good[i].n);
		/* And cut anywhere. */
		for (size_t n = 0; n < v.n; n++) {
			r = reader_of((struct bytes){v.p, n});
			assert_false(item_any(&r, &it));
		}
		drop(v);
	}
}

static void what_is_no_item(void **state)
{
	static const char *const bad[] = {
	        "",
	        "1800",
	        "1817",
	        "190000",
	        "1900ff",
	        "1a0000ffff",
	        "1b00000000ffffffff", /* long */
	        "3800",
	        "3817",
	        "3900ff",
	        "3a0000ffff",
	        "3b00000000ffffffff",
	        "580101",
	        "590001ff",
	        "5a0000000101",
	        "5b000000000000000101",
	        "780161",
	        "79000161",
	        "7b000000000000000161",
	        "980100",
	        "99000100",
	        "9b000000000000000100",
	        "b8010000",
	        "b900010000",
	        "bb00000000000000010000",
	        "d81700",
	        "d9000000",
	        "da0000ffff00",
	        "db00000000ffffffff00",
	        "5f4101ff",
	        "7f6161ff",
	        "9f00ff",
	        "bf0000ff",
	        "ff", /* indefinite */
	        "1c",
	        "1d",
	        "1e",
	        "1f",
	        "3c",
	        "5c",
	        "7d",
	        "9e",
	        "bc",
	        "dc",
	        "fc",
	        "fd",
	        "fe",
	        "e0",
	        "f3",
	        "f7",
	        "f820",
	        "f8ff",
	        "f814",
	        "f93c00",
	        "fa3f800000",
	        "fb3ff0000000000000", /* simple values, floats */
	        "5b7fffffffffffffff",
	        "5bffffffffffffffff",
	        "7bffffffffffffffff", /* all there is */
	};
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bytes v = exact(bad[i]);
		struct reader r = reader_of(v);
		struct item it;

		if (item_any(&r, &it))
			fail_msg("%s was read", bad[i]);
		assert_false(one_item(bad[i]));
		drop(v);
	}
}

static void kinds_are_asked_for(void **state)
{
	static const char *const each[] = {"01", "20", "4101", "6161", "80",
	                                   "a0", "d2", "f5",   "f6"};
	(void)state;

	for (size_t i = 0; i < sizeof(each) / sizeof(each[0]); i++) {
		struct bytes v = exact(each[i]), got;
		struct item_map m;
		struct reader r;
		uint64_t n;

		r = reader_of(v);
		assert_int_equal(item_uint(&r, &n), i == 0);
		r = reader_of(v);
		assert_int_equal(item_bytes(&r, &got), i == 2);
		r = reader_of(v);
		assert_int_equal(item_text(&r, &got), i == 3);
		r = reader_of(v);
		assert_int_equal(item_array(&r, &n), i == 4);
		r = reader_of(v);
		assert_int_equal(item_map(&r, &m), i == 5);
		r = reader_of(v);
		assert_int_equal(item_tag(&r, &n), i == 6);
		r = reader_of(v);
		assert_int_equal(item_bytes_or_null(&r, &got), i == 2 || i == 8);
		drop(v);
	}
}

static void values(void **state)
{
	static const struct item one = {.kind = ITEM_UINT, .n = 1}, m35 = {ITEM_NEGINT, 34, {0}},
	                         big = {.kind = ITEM_UINT, .n = UINT64_MAX},
	                         low = {.kind = ITEM_NEGINT, .n = UINT64_MAX};
	struct item text = {ITEM_TEXT, 3, bytes_str("abc")};
	(void)state;

	assert_true(item_is_int(&one, 1));
	assert_false(item_is_int(&one, -2));
	assert_true(item_is_int(&m35, -35));
	assert_false(item_is_int(&m35, 34));
	assert_false(item_is_int(&big, -1));
	assert_false(item_is_int(&low, -1));
	assert_false(item_is_int(&low, INT64_MIN));
	assert_true(item_is_text(&text, "abc"));
	assert_false(item_is_text(&text, "ab"));
	assert_false(item_is_text(&text, "abcd"));
	text.kind = ITEM_BYTES;
	assert_false(item_is_text(&text, "abc"));
}

static void keys_come_once(void **state)
{
	static const struct {
		const char *hex;
		bool ok;
	} maps[] = {
	        {"a0", true},
	        {"a201000200", true},
	        {"a220000000", true},      /* in no order; 0 and -1 */
	        {"a24100006100f6", true},  /* the byte and the text */
	        {"a201000100", false},     /* twice */
	        {"a320000000200a", false}, /* twice, not side by side */
	        {"a2616100616101", false}, /* text */
	        {"a2414100414101", false}, /* bytes */
	        {"a10100"
	         "00",
	         false},             /* more behind it */
	        {"a18000", false},   /* an array */
	        {"a1a000", false},   /* a map */
	        {"a1f600", false},   /* null */
	        {"a1f500", false},   /* a bool */
	        {"a1d20000", false}, /* a tag */
	        {"a101", false},     /* no value */
	        {"a1", false},
	        {"81a201000100", false}, /* one level down */
	        {"a101a201000100", false},
	        {"d2a201000100", false},
	        {"82a10100a10100", true}, /* the same key of two maps */
	        {"a101a10101", true},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		if (one_item(maps[i].hex) != maps[i].ok)
			fail_msg("%s", maps[i].hex);
}

static void keys_are_bounded(void **state)
{
	(void)state;

	for (unsigned n = ITEM_KEYS_MAX - 1; n <= ITEM_KEYS_MAX + 1; n++) {
		struct buf b = buf_make(1 << 12);
		struct reader r;
		struct item_map m;
		struct item key;
		unsigned taken = 0;

		item_put_map(&b, n);
		for (unsigned i = 0; i < n; i++) {
			item_put_int(&b, (int64_t)i - 5);
			item_put_null(&b);
		}
		r = reader_of(buf_view(&b));
		assert_int_equal(item_skip(&r, NULL), n <= ITEM_KEYS_MAX);
		r = reader_of(buf_view(&b));
		assert_int_equal(item_map(&r, &m), n <= ITEM_KEYS_MAX);
		while (n <= ITEM_KEYS_MAX && m.left) {
			assert_true(item_key(&r, &m, &key));
			assert_true(item_is_int(&key, (int64_t)taken - 5));
			assert_true(item_skip(&r, NULL));
			taken++;
		}
		if (n <= ITEM_KEYS_MAX) {
			assert_int_equal(taken, n);
			assert_true(rd_done(&r));
			assert_false(item_key(&r, &m, &key));
		}
		buf_free(&b);
	}
}

/* Pairs of int and int, walked as an open map. How many, or -1. */
static int walk_open(const char *hex)
{
	struct bytes v = exact(hex);
	struct reader r = reader_of(v);
	struct item_map m;
	struct item key;
	uint64_t n;
	int pairs = 0;
	bool ok = item_map_open(&r, &m);

	while (ok && item_more(&r, &m)) {
		ok = item_key(&r, &m, &key) && item_uint(&r, &n);
		pairs++;
	}
	ok = ok && rd_done(&r);
	drop(v);
	return ok ? pairs : -1;
}

static void a_map_may_be_open(void **state)
{
	(void)state;

	assert_int_equal(walk_open("a0"), 0);
	assert_int_equal(walk_open("a101"
	                           "02"),
	                 1);
	assert_int_equal(walk_open("bfff"), 0);
	assert_int_equal(walk_open("bf0102ff"), 1);
	assert_int_equal(walk_open("bf01020304ff"), 2);
	assert_int_equal(walk_open("bf01020104ff"), -1); /* twice */
	assert_int_equal(walk_open("bf0102"), -1);       /* no break */
	assert_int_equal(walk_open("bf"), -1);
	assert_int_equal(walk_open("bf01ff"), -1); /* no value */
	assert_int_equal(walk_open("bfffff"), -1); /* more behind it */
	assert_int_equal(walk_open("bfff00"), -1);
	assert_int_equal(walk_open("a10102ff"), -1); /* a break that ends nothing */
	assert_int_equal(walk_open("9fff"), -1);
	assert_int_equal(walk_open(""), -1);
	/* As many keys as there may be, and one more. */
	for (unsigned keys = ITEM_KEYS_MAX; keys <= ITEM_KEYS_MAX + 1; keys++) {
		struct buf b = buf_make(1 << 10);

		buf_str(&b, "bf");
		for (unsigned i = 0; i < keys; i++)
			buf_printf(&b, "19%04x00", i + 256);
		buf_put(&b, "ff", 3);
		assert_int_equal(walk_open((const char *)b.p),
		                 keys <= ITEM_KEYS_MAX ? (int)keys : -1);
		buf_free(&b);
	}
	/* Nowhere else: not in what is skipped, not for item_map. */
	assert_false(one_item("bfff"));
	assert_false(one_item("a101bfff"));
}

static void depth_is_bounded(void **state)
{
	static const char *const open[] = {"81", "a101", "d2"};
	(void)state;

	for (unsigned kind = 0; kind < 3; kind++)
		for (unsigned depth = 1; depth <= 3000; depth = depth == 10 ? 3000 : depth + 1) {
			char *hex = calloc(1, (size_t)depth * 4 + 3);

			for (unsigned i = 0; i < depth; i++)
				strcat(hex, open[kind]);
			strcat(hex, "00");
			assert_int_equal(one_item(hex), depth <= ITEM_DEPTH_MAX);
			free(hex);
			if (depth == 3000)
				break;
		}
	/* As deep again beside it: what was closed does not count. */
	assert_true(one_item("828181818181818100"
	                     "81818181818181f6"));
	assert_true(one_item("8281a0a10280"));
	assert_false(one_item("9bffffffffffffffff"));
	assert_false(one_item("9a0fffffff00"));
}

static void written_is_read(void **state)
{
	static const int64_t n[] = {0,         23, 24,  255, 256,  65535, 65536,
	                            INT64_MAX, -1, -24, -25, -256, -257,  INT64_MIN};
	struct buf b = buf_make(1 << 12);
	struct reader r;
	struct item it;
	struct bytes v;
	uint64_t u;
	(void)state;

	item_put_tag(&b, 60000);
	item_put_array(&b, sizeof(n) / sizeof(n[0]) + 5);
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		item_put_int(&b, n[i]);
	item_put_uint(&b, UINT64_MAX);
	item_put_bytes(&b, bytes_str("bytes"));
	item_put_text(&b, "text");
	item_put_null(&b);
	item_put_map(&b, 0);
	assert_false(b.bad);

	r = reader_of(buf_view(&b));
	assert_true(item_skip(&r, NULL) && rd_done(&r));
	r = reader_of(buf_view(&b));
	assert_true(item_tag(&r, &u) && u == 60000);
	assert_true(item_array(&r, &u) && u == sizeof(n) / sizeof(n[0]) + 5);
	for (size_t i = 0; i < sizeof(n) / sizeof(n[0]); i++)
		assert_true(item_any(&r, &it) && item_is_int(&it, n[i]));
	assert_true(item_uint(&r, &u) && u == UINT64_MAX);
	assert_true(item_bytes(&r, &v) && bytes_equal(v, bytes_str("bytes")));
	assert_true(item_text(&r, &v) && bytes_equal(v, bytes_str("text")));
	assert_true(item_bytes_or_null(&r, &v) && v.n == 0);
	assert_true(item_skip(&r, NULL) && rd_done(&r));

	for (size_t cut = 0; cut < b.n; cut++) {
		uint8_t *p = malloc(cut ? cut : 1);

		memcpy(p, b.p, cut);
		r = reader_of((struct bytes){p, cut});
		assert_false(item_skip(&r, NULL));
		free(p);
	}
	buf_free(&b);
	b = buf_make(4);
	item_put_bytes(&b, bytes_str("bytes"));
	assert_true(b.bad);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(heads),
	        cmocka_unit_test(what_is_no_item),
	        cmocka_unit_test(kinds_are_asked_for),
	        cmocka_unit_test(values),
	        cmocka_unit_test(keys_come_once),
	        cmocka_unit_test(keys_are_bounded),
	        cmocka_unit_test(a_map_may_be_open),
	        cmocka_unit_test(depth_is_bounded),
	        cmocka_unit_test(written_is_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
