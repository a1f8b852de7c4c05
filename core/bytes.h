/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: a view, a bounds-checked reader, and a bounded growing writer.
 *
 * Every parser of hostile input in the project reads through struct reader: it cannot read past
 * its end, and once a read failed every later read fails too, so a parser may check once at the
 * end of a fixed group of fields. Knows nothing of any format.
 */
#ifndef KEYGATE_CORE_BYTES_H
#define KEYGATE_CORE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A borrowed view. Never owns; p may be NULL only if n is 0. */
struct bytes {
	const uint8_t *p;
	size_t n;
};

#define BYTES_NONE      ((struct bytes){NULL, 0})
#define BYTES_OF(array) ((struct bytes){(const uint8_t *)(array), sizeof(array)})

struct bytes bytes_str(const char *s);
bool bytes_equal(struct bytes a, struct bytes b);
/* True if all n bytes are zero (also for n == 0). Not constant-time. */
bool bytes_all_zero(const uint8_t *p, size_t n);

/* ------------------------------------------------------------------ reader */

struct reader {
	const uint8_t *p;
	size_t left;
	bool bad; /* sticky: a read went past the end */
};

struct reader reader_of(struct bytes b);
/* Each returns 0 and sets bad when too little is left. be = big endian, le = little endian. */
uint8_t rd_u8(struct reader *r);
uint16_t rd_be16(struct reader *r);
uint32_t rd_be24(struct reader *r);
uint32_t rd_be32(struct reader *r);
uint64_t rd_be64(struct reader *r);
uint16_t rd_le16(struct reader *r);
uint32_t rd_le32(struct reader *r);
uint64_t rd_le64(struct reader *r);
/* A view of the next n bytes; BYTES_NONE and bad when fewer are left. */
struct bytes rd_take(struct reader *r, size_t n);
/* Copies n bytes to out; on failure out is zeroed and bad set. */
void rd_copy(struct reader *r, void *out, size_t n);
/* TLS-style vectors: an 8, 16 or 24 bit length, then that many bytes. */
struct bytes rd_vec8(struct reader *r);
struct bytes rd_vec16(struct reader *r);
struct bytes rd_vec24(struct reader *r);
/* True when nothing failed and nothing is left. */
bool rd_done(const struct reader *r);

/* ------------------------------------------------------------------ writer */

/*
 * Grows by realloc up to max bytes. A failed append (out of memory, over max) sets bad and
 * appends nothing; later appends do nothing. buf_free wipes what was written.
 */
struct buf {
	uint8_t *p;
	size_t n;
	size_t cap;
	size_t max;
	bool bad;
};

struct buf buf_make(size_t max);
void buf_free(struct buf *b);
void buf_reset(struct buf *b);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_bytes(struct buf *b, struct bytes v);
void buf_str(struct buf *b, const char *s);
void buf_u8(struct buf *b, uint8_t v);
void buf_be16(struct buf *b, uint16_t v);
void buf_be24(struct buf *b, uint32_t v);
void buf_be32(struct buf *b, uint32_t v);
void buf_be64(struct buf *b, uint64_t v);
void buf_le16(struct buf *b, uint16_t v);
void buf_le32(struct buf *b, uint32_t v);
void buf_le64(struct buf *b, uint64_t v);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *fmt, ...);
struct bytes buf_view(const struct buf *b);

/* ---------------------------------------------------------------- encodings */

/* Lower-case hex of v with a NUL. out must hold 2 * v.n + 1 bytes. */
void hex_encode(struct bytes v, char *out);
/*
 * Strict: exactly 2 * n hex digits (either case), nothing else. Returns 0 or -EINVAL; out is
 * written only on success.
 */
int hex_decode(struct bytes text, uint8_t *out, size_t n);
/*
 * RFC 4648 section 4 base64 with padding; canonical only (zero pad bits, no white space).
 * Decoding returns the number of bytes or -EINVAL (malformed) / -ENOSPC (over cap).
 */
size_t base64_encoded_len(size_t n);
void base64_encode(struct bytes v, char *out); /* out holds base64_encoded_len(n) + 1 */
int base64_decode(struct bytes text, uint8_t *out, size_t cap);

/* "0" or [1-9][0-9]*, no sign, no blanks, at most max. Returns 0 or -EINVAL. */
int decimal_u64(struct bytes text, uint64_t max, uint64_t *out);

#endif
