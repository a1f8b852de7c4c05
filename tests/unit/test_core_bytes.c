/* SPDX-License-Identifier: Apache-2.0 */
/* Reader, writer and text encodings: the edges, and each way of being malformed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "core/bytes.h"

static const uint8_t eight[] = {0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef};

static void views(void **state)
{
	(void)state;
	assert_true(bytes_equal(bytes_str(""), BYTES_NONE));
	assert_true(bytes_equal(bytes_str(NULL), BYTES_NONE));
	assert_true(bytes_equal(bytes_str("ab"), (struct bytes){(const uint8_t *)"abc", 2}));
	assert_false(bytes_equal(bytes_str("ab"), bytes_str("abc")));
	assert_false(bytes_equal(bytes_str("ab"), bytes_str("aB")));
	assert_int_equal(BYTES_OF(eight).n, 8);
	assert_true(bytes_all_zero(NULL, 0));
	assert_true(bytes_all_zero((const uint8_t[]){0, 0, 0}, 3));
	assert_false(bytes_all_zero((const uint8_t[]){0, 0, 1}, 3));
	assert_false(bytes_all_zero((const uint8_t[]){0x80, 0, 0}, 3));
}

static void reader_orders(void **state)
{
	(void)state;
	struct reader r = reader_of(BYTES_OF(eight));

	assert_int_equal(rd_u8(&r), 0x01);
	assert_int_equal(rd_be16(&r), 0x2345);
	assert_int_equal(rd_be24(&r), 0x6789ab);
	assert_int_equal(rd_le16(&r), 0xefcd);
	assert_true(rd_done(&r));

	r = reader_of(BYTES_OF(eight));
	assert_int_equal(rd_be32(&r), 0x01234567);
	assert_int_equal(rd_le32(&r), 0xefcdab89);
	r = reader_of(BYTES_OF(eight));
	assert_true(rd_be64(&r) == 0x0123456789abcdefULL);
	r = reader_of(BYTES_OF(eight));
	assert_true(rd_le64(&r) == 0xefcdab8967452301ULL);
	assert_true(rd_done(&r));
}

/* A read of more than is left gives 0, eats nothing, and every later read fails too. */
static void reader_sticks(void **state)
{
	(void)state;
	struct reader r = reader_of((struct bytes){eight, 3});

	assert_int_equal(rd_be32(&r), 0);
	assert_true(r.bad);
	assert_int_equal(r.left, 3);
	assert_int_equal(rd_u8(&r), 0);
	assert_null(rd_take(&r, 0).p);
	assert_false(rd_done(&r));

	r = reader_of((struct bytes){eight, 7});
	assert_true(rd_le64(&r) == 0);
	assert_true(r.bad);

	r = reader_of(BYTES_OF(eight));
	assert_null(rd_take(&r, SIZE_MAX).p);
	assert_true(r.bad);
}

static void reader_empty(void **state)
{
	(void)state;
	struct reader r = reader_of(BYTES_NONE);

	assert_true(rd_done(&r));
	assert_int_equal(rd_take(&r, 0).n, 0);
	rd_copy(&r, NULL, 0);
	assert_true(rd_done(&r));
	assert_int_equal(rd_u8(&r), 0);
	assert_false(rd_done(&r));
}

static void reader_leftover_is_not_done(void **state)
{
	(void)state;
	struct reader r = reader_of(BYTES_OF(eight));

	rd_take(&r, 7);
	assert_false(rd_done(&r));
	rd_take(&r, 1);
	assert_true(rd_done(&r));
}

static void reader_copy(void **state)
{
	(void)state;
	struct reader r = reader_of(BYTES_OF(eight));
	uint8_t out[6];

	rd_copy(&r, out, 6);
	assert_memory_equal(out, eight, 6);
	rd_copy(&r, out, 6);
	assert_true(r.bad);
	assert_true(bytes_all_zero(out, 6));
	memset(out, 0xff, sizeof(out));
	rd_copy(&r, out, 1);
	assert_int_equal(out[0], 0);
	assert_int_equal(out[1], 0xff);
}

static void reader_vectors(void **state)
{
	(void)state;
	static const uint8_t in[] = {2, 'a', 'b', 0, 1, 'c', 0, 0, 1, 'd', 0};
	struct reader r = reader_of(BYTES_OF(in));

	assert_true(bytes_equal(rd_vec8(&r), bytes_str("ab")));
	assert_true(bytes_equal(rd_vec16(&r), bytes_str("c")));
	assert_true(bytes_equal(rd_vec24(&r), bytes_str("d")));
	assert_true(bytes_equal(rd_vec8(&r), BYTES_NONE));
	assert_true(rd_done(&r));
	/* One byte short in the content, then in the length itself. */
	r = reader_of((struct bytes){in, 2});
	assert_null(rd_vec8(&r).p);
	assert_true(r.bad);
	r = reader_of((struct bytes){in + 3, 2});
	assert_null(rd_vec16(&r).p);
	assert_true(r.bad);
	r = reader_of((struct bytes){in + 6, 2});
	assert_null(rd_vec24(&r).p);
	assert_true(r.bad);
	assert_int_equal(r.left, 2);
}

static void writer_orders(void **state)
{
	(void)state;
	static const uint8_t want[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1, 2, 3, 4, 5, 6,
	                               7, 8, 2, 1, 4, 3, 2, 1, 8, 7,  6, 5, 4, 3, 2, 1};
	struct buf b = buf_make(1000);

	buf_u8(&b, 1);
	buf_be16(&b, 0x0203);
	buf_be24(&b, 0x040506);
	buf_be32(&b, 0x0708090a);
	buf_be64(&b, 0x0102030405060708ULL);
	buf_le16(&b, 0x0102);
	buf_le32(&b, 0x01020304);
	buf_le64(&b, 0x0102030405060708ULL);
	assert_false(b.bad);
	assert_true(bytes_equal(buf_view(&b), BYTES_OF(want)));
	buf_free(&b);
	assert_null(b.p);
	assert_int_equal(b.max, 1000);
}

static void writer_limit(void **state)
{
	(void)state;
	struct buf b = buf_make(5);

	buf_str(&b, "abc");
	buf_bytes(&b, BYTES_NONE);
	buf_be24(&b, 1);
	assert_true(b.bad);
	assert_true(bytes_equal(buf_view(&b), bytes_str("abc")));
	buf_u8(&b, 'd'); /* would fit, but what came before is missing */
	assert_int_equal(b.n, 3);
	buf_reset(&b);
	assert_false(b.bad);
	assert_int_equal(b.n, 0);
	buf_str(&b, "abcde");
	assert_false(b.bad);
	buf_put(&b, "x", 1);
	assert_true(b.bad);
	assert_true(bytes_equal(buf_view(&b), bytes_str("abcde")));
	buf_free(&b);

	b = buf_make(0);
	buf_put(&b, NULL, 0);
	assert_false(b.bad);
	buf_u8(&b, 0);
	assert_true(b.bad);
	buf_free(&b);
	/* A length near the top must not wrap. */
	b = buf_make(SIZE_MAX);
	buf_u8(&b, 1);
	buf_put(&b, "x", SIZE_MAX);
	assert_true(b.bad);
	assert_int_equal(b.n, 1);
	buf_free(&b);
}

static void writer_24_bits(void **state)
{
	(void)state;
	struct buf b = buf_make(100);

	buf_be24(&b, 0xffffff);
	assert_false(b.bad);
	buf_be24(&b, 0x1000000);
	assert_true(b.bad);
	assert_int_equal(b.n, 3);
	buf_free(&b);
}

static void writer_grows(void **state)
{
	(void)state;
	struct buf b = buf_make(100000);

	for (uint32_t i = 0; i < 25000; i++)
		buf_be32(&b, i);
	assert_false(b.bad);
	assert_int_equal(b.n, 100000);
	assert_true(b.cap <= b.max);

	struct reader r = reader_of(buf_view(&b));

	for (uint32_t i = 0; i < 25000; i++)
		assert_int_equal(rd_be32(&r), i);
	assert_true(rd_done(&r));
	buf_u8(&b, 0);
	assert_true(b.bad);
	buf_free(&b);
}

static void writer_printf(void **state)
{
	(void)state;
	struct buf b = buf_make(8);

	buf_printf(&b, "%d-%s", 42, "ab");
	assert_true(bytes_equal(buf_view(&b), bytes_str("42-ab")));
	buf_printf(&b, "%s", "");
	assert_false(b.bad);
	buf_printf(&b, "%s", "cdef");
	assert_true(b.bad);
	assert_int_equal(b.n, 5);
	buf_printf(&b, "%s", "c");
	assert_int_equal(b.n, 5);
	buf_free(&b);
}

static void hex(void **state)
{
	(void)state;
	char text[17];
	uint8_t out[8] = {0};

	hex_encode(BYTES_OF(eight), text);
	assert_string_equal(text, "0123456789abcdef");
	hex_encode(BYTES_NONE, text);
	assert_string_equal(text, "");
	assert_int_equal(hex_decode(bytes_str("0123456789aBcDEf"), out, 8), 0);
	assert_memory_equal(out, eight, 8);
	assert_int_equal(hex_decode(BYTES_NONE, out, 0), 0);

	static const char *const bad[] = {"0",    "010", "01023", "0g", "g0", " 01", "01 ",
	                                  "0x01", "/0",  ":0",    "@0", "G0", "`0",  "0-"};

	memset(out, 0x55, sizeof(out));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(hex_decode(bytes_str(bad[i]), out, strlen(bad[i]) / 2), -EINVAL);
	assert_int_equal(hex_decode(bytes_str("0102"), out, 1), -EINVAL);
	assert_int_equal(hex_decode(bytes_str("0102"), out, 3), -EINVAL);
	assert_int_equal(hex_decode(bytes_str("01020g"), out, 3), -EINVAL);
	assert_int_equal(hex_decode(bytes_str(""), out, SIZE_MAX / 2 + 1), -EINVAL);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], 0x55);
}

/* RFC 4648 section 10. */
static void base64_rfc(void **state)
{
	(void)state;
	static const char *const pair[][2] = {
	        {"", ""},
	        {"f", "Zg=="},
	        {"fo", "Zm8="},
	        {"foo", "Zm9v"},
	        {"foob", "Zm9vYg=="},
	        {"fooba", "Zm9vYmE="},
	        {"foobar", "Zm9vYmFy"},
	};

	for (size_t i = 0; i < sizeof(pair) / sizeof(pair[0]); i++) {
		char text[16];
		uint8_t out[16];
		struct bytes plain = bytes_str(pair[i][0]);

		base64_encode(plain, text);
		assert_string_equal(text, pair[i][1]);
		assert_int_equal(base64_encoded_len(plain.n), strlen(text));
		assert_int_equal(base64_decode(bytes_str(text), out, plain.n), (int)plain.n);
		assert_memory_equal(out, plain.p, plain.n);
		if (plain.n)
			assert_int_equal(base64_decode(bytes_str(text), out, plain.n - 1), -ENOSPC);
	}
}

static void base64_all_bytes(void **state)
{
	(void)state;
	uint8_t in[256];
	uint8_t out[256];
	char text[345];

	for (size_t i = 0; i < 256; i++)
		in[i] = (uint8_t)(i * 167 + 13);
	for (size_t n = 0; n <= 256; n++) {
		base64_encode((struct bytes){in, n}, text);
		assert_int_equal(base64_decode(bytes_str(text), out, sizeof(out)), (int)n);
		assert_memory_equal(out, in, n);
	}
}

static void base64_refuses(void **state)
{
	(void)state;
	static const char *const bad[] = {
	        "Z",       "Zg",      "Zg=",  "Zh==", /* pad bits */
	        "Zm9=",    "Zm+=",    "Zv==", "Zg==\n", "\nZg==",  "Zg= =",    "Zg===",
	        "====",    "=Zg=",    "Z===", "===",    "=",       "Zg==Zg==", "Zm9v====",
	        "Zm9-",    "Zm9_",    "Zm 9", "Zm9.",   "Zm9vYg=", "Zm=v",     "Z=9v",
	        "Zm9\x7f", "Zm9\xc3", "Zm9[", "Zm9@",   "Zm9`",    "Zm9{",     "Zm9:",
	};
	uint8_t out[16];

	memset(out, 0x55, sizeof(out));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(base64_decode(bytes_str(bad[i]), out, sizeof(out)), -EINVAL);
	assert_int_equal(base64_decode((struct bytes){(const uint8_t *)"Zm\0v", 4}, out, 16),
	                 -EINVAL);
	/* Malformed outranks too long: nothing is said about what can't be read. */
	assert_int_equal(base64_decode(bytes_str("Zh=="), out, 0), -EINVAL);
	for (size_t i = 0; i < sizeof(out); i++)
		assert_int_equal(out[i], 0x55);
}

/* Each unused bit of the last digit, for both paddings: exactly one digit in 4 or 16 is allowed. */
static void base64_pad_bits(void **state)
{
	(void)state;
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "abcdefghijklmnopqrstuvwxyz0123456789+/";
	uint8_t out[2];
	int two = 0;
	int one = 0;

	for (size_t i = 0; i < 64; i++) {
		const char a[] = {'Z', digit[i], '=', '=', '\0'};
		const char b[] = {'Z', 'm', digit[i], '=', '\0'};

		two += base64_decode(bytes_str(a), out, 2) == 1;
		one += base64_decode(bytes_str(b), out, 2) == 2;
	}
	assert_int_equal(two, 4);
	assert_int_equal(one, 16);
}

static void decimal(void **state)
{
	(void)state;
	uint64_t x = 7;

	assert_int_equal(decimal_u64(bytes_str("0"), 0, &x), 0);
	assert_true(x == 0);
	assert_int_equal(decimal_u64(bytes_str("18446744073709551615"), UINT64_MAX, &x), 0);
	assert_true(x == UINT64_MAX);
	assert_int_equal(decimal_u64(bytes_str("9223372036854775807"), INT64_MAX, &x), 0);
	assert_true(x == INT64_MAX);
	assert_int_equal(decimal_u64(bytes_str("65535"), 65535, &x), 0);
	assert_true(x == 65535);

	static const char *const bad[] = {"",
	                                  "00",
	                                  "01",
	                                  "-1",
	                                  "+1",
	                                  " 1",
	                                  "1 ",
	                                  "1\n",
	                                  "0x1",
	                                  "1e3",
	                                  "1.0",
	                                  "a",
	                                  "/",
	                                  ":",
	                                  "1:",
	                                  "18446744073709551616",
	                                  "99999999999999999999",
	                                  "184467440737095516150"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(decimal_u64(bytes_str(bad[i]), UINT64_MAX, &x), -EINVAL);
	assert_int_equal(decimal_u64(bytes_str("65536"), 65535, &x), -EINVAL);
	assert_int_equal(decimal_u64(bytes_str("1"), 0, &x), -EINVAL);
	assert_int_equal(decimal_u64((struct bytes){(const uint8_t *)"1\0", 2}, 10, &x), -EINVAL);
	assert_true(x == 65535);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(views),
	        cmocka_unit_test(reader_orders),
	        cmocka_unit_test(reader_sticks),
	        cmocka_unit_test(reader_empty),
	        cmocka_unit_test(reader_leftover_is_not_done),
	        cmocka_unit_test(reader_copy),
	        cmocka_unit_test(reader_vectors),
	        cmocka_unit_test(writer_orders),
	        cmocka_unit_test(writer_limit),
	        cmocka_unit_test(writer_24_bits),
	        cmocka_unit_test(writer_grows),
	        cmocka_unit_test(writer_printf),
	        cmocka_unit_test(hex),
	        cmocka_unit_test(base64_rfc),
	        cmocka_unit_test(base64_all_bytes),
	        cmocka_unit_test(base64_refuses),
	        cmocka_unit_test(base64_pad_bits),
	        cmocka_unit_test(decimal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
