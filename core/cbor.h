/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict CBOR (RFC 8949), one item at a time, for the formats in which evidence travels. The bytes
 * are decoded by libcbor's stream decoder, which allocates nothing. Knows no format that is made
 * of CBOR.
 *
 * What is read is the deterministic encoding but for the order of a map's keys: definite lengths
 * (item_map_open is the one exception), each head in its shortest form, no key twice. Floats,
 * `undefined` and the other simple values have no place in these formats and are refused. A claimed
 * length or count costs nothing: a string must be there before it is handed out, and a loop over a
 * count ends where the bytes do.
 *
 * All functions read through a struct reader; after one has returned false the reader's place means
 * nothing and the caller gives up. The end is the caller's to look at (rd_done). Views point into
 * what is read. Text is not checked to be UTF-8: it is compared, or checked by who shows it.
 */
#ifndef KEYGATE_CORE_CBOR_H
#define KEYGATE_CORE_CBOR_H

#include <stdbool.h>
#include <stdint.h>
#include "core/bytes.h"

enum item_kind {
	ITEM_NONE = 0, /* nothing that is read here */
	ITEM_UINT,
	ITEM_NEGINT, /* the integer -1 - n */
	ITEM_BYTES,
	ITEM_TEXT,
	ITEM_ARRAY, /* n items follow */
	ITEM_MAP,   /* n pairs of items follow */
	ITEM_TAG,   /* number n; the tagged item follows */
	ITEM_BOOL,  /* n is 0 or 1 */
	ITEM_NULL,
};

struct item {
	enum item_kind kind;
	uint64_t n; /* value, length, count or number */
	struct bytes content;
};

/* How deep arrays, maps and tags may lie in each other, and how many keys a map may have. */
enum { ITEM_DEPTH_MAX = 8, ITEM_KEYS_MAX = 64 };

/* Takes the next item: a whole one, or the head of an array, a map or a tag. */
bool item_any(struct reader *r, struct item *it);

/* Take the next item, which must be of that kind. */
bool item_uint(struct reader *r, uint64_t *n);
bool item_bytes(struct reader *r, struct bytes *v);
bool item_text(struct reader *r, struct bytes *v);
bool item_array(struct reader *r, uint64_t *count);
bool item_tag(struct reader *r, uint64_t *number);
/* A byte string, or null: then v is empty. */
bool item_bytes_or_null(struct reader *r, struct bytes *v);

/* True for an integer with this value. */
bool item_is_int(const struct item *it, int64_t value);
/* True for this text. */
bool item_is_text(const struct item *it, const char *text);

/*
 * The pairs of a map:
 *
 *	if (!item_map(r, &m)) refuse;
 *	while (m.left) {
 *		if (!item_key(r, &m, &key)) refuse;
 *		... take the value ...
 *	}
 */
struct item_map {
	uint64_t left; /* pairs whose key has not been taken; of an open map, that may come */
	bool open;
	uint32_t seen;
	struct bytes key[ITEM_KEYS_MAX]; /* as encoded */
};

/* Takes the head of a map of at most ITEM_KEYS_MAX pairs. */
bool item_map(struct reader *r, struct item_map *m);
/*
 * The same, or a map of indefinite length, which a format that is written so by its vendor needs.
 * Its pairs are walked with item_more in place of m.left: whether another one comes; the break
 * behind the last one is taken.
 */
bool item_map_open(struct reader *r, struct item_map *m);
bool item_more(struct reader *r, struct item_map *m);
/* Takes the next key: an integer, a text or a byte string that this map has not had yet. */
bool item_key(struct reader *r, struct item_map *m, struct item *key);

/*
 * Takes the next item with all that is in it, by the same rules, whatever it is; raw (may be NULL)
 * is its encoding. The item itself is at depth 1.
 */
bool item_skip(struct reader *r, struct bytes *raw);

/* Append an item in its shortest form. What does not fit sets out->bad, as every write to a buf. */
void item_put_uint(struct buf *out, uint64_t n);
void item_put_int(struct buf *out, int64_t value);
void item_put_bytes(struct buf *out, struct bytes v);
void item_put_text(struct buf *out, const char *text);
void item_put_array(struct buf *out, uint64_t count);
void item_put_map(struct buf *out, uint64_t pairs);
void item_put_tag(struct buf *out, uint64_t number);
void item_put_null(struct buf *out);

#endif
