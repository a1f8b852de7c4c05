/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: the reader and the writer that every parser and formatter uses, and the strict text
 * encodings. Knows nothing of any format that is built on them.
 */
#include "core/bytes.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct bytes bytes_str(const char *s)
{
	return (struct bytes){(const uint8_t *)s, s ? strlen(s) : 0};
}

bool bytes_equal(struct bytes a, struct bytes b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool bytes_all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (p[i])
			return false;
	}
	return true;
}

/* ------------------------------------------------------------------ reader */

struct reader reader_of(struct bytes b)
{
	return (struct reader){b.p, b.n, false};
}

struct bytes rd_take(struct reader *r, size_t n)
{
	if (r->bad || n > r->left) {
		r->bad = true;
		return BYTES_NONE;
	}
	struct bytes v = {r->p, n};

	/* NULL + 0 is undefined; an empty view may have no pointer. */
	if (n) {
		r->p += n;
		r->left -= n;
	}
	return v;
}

void rd_copy(struct reader *r, void *out, size_t n)
{
	struct bytes v = rd_take(r, n);

	if (r->bad) {
		if (n)
			memset(out, 0, n);
		return;
	}
	if (n)
		memcpy(out, v.p, n);
}

static uint64_t rd_be(struct reader *r, size_t n)
{
	struct bytes v = rd_take(r, n);
	uint64_t x = 0;

	for (size_t i = 0; i < v.n; i++)
		x = x << 8 | v.p[i];
	return x;
}

static uint64_t rd_le(struct reader *r, size_t n)
{
	struct bytes v = rd_take(r, n);
	uint64_t x = 0;

	for (size_t i = v.n; i > 0; i--)
		x = x << 8 | v.p[i - 1];
	return x;
}

uint8_t rd_u8(struct reader *r)
{
	return (uint8_t)rd_be(r, 1);
}

uint16_t rd_be16(struct reader *r)
{
	return (uint16_t)rd_be(r, 2);
}

uint32_t rd_be24(struct reader *r)
{
	return (uint32_t)rd_be(r, 3);
}

uint32_t rd_be32(struct reader *r)
{
	return (uint32_t)rd_be(r, 4);
}

uint64_t rd_be64(struct reader *r)
{
	return rd_be(r, 8);
}

uint16_t rd_le16(struct reader *r)
{
	return (uint16_t)rd_le(r, 2);
}

uint32_t rd_le32(struct reader *r)
{
	return (uint32_t)rd_le(r, 4);
}

uint64_t rd_le64(struct reader *r)
{
	return rd_le(r, 8);
}

struct bytes rd_vec8(struct reader *r)
{
	size_t n = rd_u8(r);

	return rd_take(r, n);
}

struct bytes rd_vec16(struct reader *r)
{
	size_t n = rd_be16(r);

	return rd_take(r, n);
}

struct bytes rd_vec24(struct reader *r)
{
	size_t n = rd_be24(r);

	return rd_take(r, n);
}

bool rd_done(const struct reader *r)
{
	return !r->bad && r->left == 0;
}

/* ------------------------------------------------------------------ writer */

struct buf buf_make(size_t max)
{
	return (struct buf){.max = max};
}

void buf_free(struct buf *b)
{
	if (b->p) {
		explicit_bzero(b->p, b->cap);
		free(b->p);
	}
	*b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	b->n = 0;
	b->bad = false;
}

/*
 * Room for n more bytes; false and bad when there can't be. The old block is wiped before it goes
 * back to the heap: realloc would leave a copy behind that buf_free no longer reaches.
 */
static bool buf_grow(struct buf *b, size_t n)
{
	if (b->bad || n > b->max - b->n) {
		b->bad = true;
		return false;
	}
	if (b->n + n <= b->cap)
		return true;

	size_t cap = b->cap ? b->cap : 64;

	while (cap < b->n + n)
		cap = cap > b->max / 2 ? b->max : cap * 2;
	if (cap > b->max)
		cap = b->max;

	uint8_t *p = malloc(cap);

	if (!p) {
		b->bad = true;
		return false;
	}
	if (b->p) {
		memcpy(p, b->p, b->n);
		explicit_bzero(b->p, b->cap);
		free(b->p);
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
	if (!buf_grow(b, n) || n == 0)
		return;
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

void buf_bytes(struct buf *b, struct bytes v)
{
	buf_put(b, v.p, v.n);
}

void buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

static void buf_be(struct buf *b, uint64_t v, size_t n)
{
	uint8_t t[8];

	for (size_t i = 0; i < n; i++)
		t[i] = (uint8_t)(v >> (8 * (n - 1 - i)));
	buf_put(b, t, n);
	explicit_bzero(t, sizeof(t));
}

static void buf_le(struct buf *b, uint64_t v, size_t n)
{
	uint8_t t[8];

	for (size_t i = 0; i < n; i++)
		t[i] = (uint8_t)(v >> (8 * i));
	buf_put(b, t, n);
	explicit_bzero(t, sizeof(t));
}

void buf_u8(struct buf *b, uint8_t v)
{
	buf_put(b, &v, 1);
}

void buf_be16(struct buf *b, uint16_t v)
{
	buf_be(b, v, 2);
}

/* A value that does not fit into 24 bits is an error, not a truncation. */
void buf_be24(struct buf *b, uint32_t v)
{
	if (v > 0xffffff) {
		b->bad = true;
		return;
	}
	buf_be(b, v, 3);
}

void buf_be32(struct buf *b, uint32_t v)
{
	buf_be(b, v, 4);
}

void buf_be64(struct buf *b, uint64_t v)
{
	buf_be(b, v, 8);
}

void buf_le16(struct buf *b, uint16_t v)
{
	buf_le(b, v, 2);
}

void buf_le32(struct buf *b, uint32_t v)
{
	buf_le(b, v, 4);
}

void buf_le64(struct buf *b, uint64_t v)
{
	buf_le(b, v, 8);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	if (b->bad)
		return;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);

	va_end(ap);
	if (n < 0) {
		b->bad = true;
		return;
	}
	buf_put(b, text, (size_t)n);
	explicit_bzero(text, (size_t)n);
	free(text);
}

struct bytes buf_view(const struct buf *b)
{
	return (struct bytes){b->p, b->n};
}

/* ---------------------------------------------------------------- encodings */

void hex_encode(struct bytes v, char *out)
{
	static const char digit[] = "0123456789abcdef";

	for (size_t i = 0; i < v.n; i++) {
		*out++ = digit[v.p[i] >> 4];
		*out++ = digit[v.p[i] & 15];
	}
	*out = '\0';
}

enum { NO_DIGIT = 255 };

static uint8_t hex_digit(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (uint8_t)(c - 'a' + 10);
	if (c >= 'A' && c <= 'F')
		return (uint8_t)(c - 'A' + 10);
	return NO_DIGIT;
}

int hex_decode(struct bytes text, uint8_t *out, size_t n)
{
	if (text.n % 2 || text.n / 2 != n)
		return -EINVAL;
	/* All of it is looked at before any of it is written. */
	for (size_t i = 0; i < text.n; i++) {
		if (hex_digit(text.p[i]) == NO_DIGIT)
			return -EINVAL;
	}
	for (size_t i = 0; i < n; i++)
		out[i] = (uint8_t)(hex_digit(text.p[2 * i]) << 4 | hex_digit(text.p[2 * i + 1]));
	return 0;
}

size_t base64_encoded_len(size_t n)
{
	return (n / 3 + (n % 3 != 0)) * 4;
}

void base64_encode(struct bytes v, char *out)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                            "abcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t i = 0;

	for (; v.n - i >= 3; i += 3) {
		uint32_t x = (uint32_t)v.p[i] << 16 | (uint32_t)v.p[i + 1] << 8 | v.p[i + 2];

		for (int s = 18; s >= 0; s -= 6)
			*out++ = digit[x >> s & 63];
	}
	if (v.n - i == 1) {
		*out++ = digit[v.p[i] >> 2];
		*out++ = digit[(v.p[i] & 3) << 4];
		*out++ = '=';
		*out++ = '=';
	} else if (v.n - i == 2) {
		*out++ = digit[v.p[i] >> 2];
		*out++ = digit[(v.p[i] & 3) << 4 | v.p[i + 1] >> 4];
		*out++ = digit[(v.p[i + 1] & 15) << 2];
		*out++ = '=';
	}
	*out = '\0';
}

static uint8_t base64_digit(uint8_t c)
{
	if (c >= 'A' && c <= 'Z')
		return (uint8_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint8_t)(c - 'a' + 26);
	if (c >= '0' && c <= '9')
		return (uint8_t)(c - '0' + 52);
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return NO_DIGIT;
}

/*
 * Splits text into its digits and its padding, and looks at every digit and at the unused bits of
 * the last one: 2 for one pad character, 4 for two (RFC 4648 section 3.5).
 */
static int base64_digits(struct bytes text, size_t *digits)
{
	size_t n = text.n;

	if (n % 4)
		return -EINVAL;
	if (n && text.p[n - 1] == '=')
		n -= text.p[n - 2] == '=' ? 2 : 1;
	for (size_t i = 0; i < n; i++) {
		if (base64_digit(text.p[i]) == NO_DIGIT)
			return -EINVAL;
	}
	if (n % 4 && base64_digit(text.p[n - 1]) & (n % 4 == 3 ? 3 : 15))
		return -EINVAL;
	*digits = n;
	return 0;
}

int base64_decode(struct bytes text, uint8_t *out, size_t cap)
{
	size_t digits;

	if (base64_digits(text, &digits))
		return -EINVAL;

	size_t n = digits / 4 * 3 + digits % 4 * 3 / 4;

	if (n > cap || n > INT32_MAX)
		return -ENOSPC;

	uint32_t bits = 0;
	unsigned int have = 0;

	for (size_t i = 0; i < digits; i++) {
		bits = (bits << 6 | base64_digit(text.p[i])) & 0xffff;
		have += 6;
		if (have >= 8) {
			have -= 8;
			*out++ = (uint8_t)(bits >> have);
		}
	}
	return (int)n;
}

int decimal_u64(struct bytes text, uint64_t max, uint64_t *out)
{
	uint64_t x = 0;

	if (text.n == 0 || (text.n > 1 && text.p[0] == '0'))
		return -EINVAL;
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c < '0' || c > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(x, 10u, &x) ||
		    __builtin_add_overflow(x, (uint64_t)(c - '0'), &x))
			return -EINVAL;
	}
	if (x > max)
		return -EINVAL;
	*out = x;
	return 0;
}
