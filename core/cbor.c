/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict CBOR. Every head that libcbor's stream decoder has read is written again in its shortest
 * form, and must be as long as what was read: so there is one rule of what a head may look like and
 * it is the library's. Knows no format that is made of CBOR.
 */
#include "core/cbor.h"

#include <string.h>
#include <cbor.h>

enum { HEAD_MAX = 9 };

/* The first byte of a tag whose number, below 24, is in that byte. */
enum { TAG_FIRST = 0xc0, TAG_LAST = TAG_FIRST + 23 };
/* A map of indefinite length, and what ends it. */
enum { MAP_OPEN = 0xbf, BREAK = 0xff };

/* ------------------------------------------------------------- what was read */

static void on_uint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_uint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_UINT, .n = v};
}

static void on_negint8(void *ctx, uint8_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_NEGINT, .n = v};
}

static void on_negint16(void *ctx, uint16_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_NEGINT, .n = v};
}

static void on_negint32(void *ctx, uint32_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_NEGINT, .n = v};
}

static void on_negint64(void *ctx, uint64_t v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_NEGINT, .n = v};
}

static void on_bytes(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_BYTES, .n = n, .content = {p, n}};
}

static void on_text(void *ctx, cbor_data p, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_TEXT, .n = n, .content = {p, n}};
}

static void on_array(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_ARRAY, .n = n};
}

static void on_map(void *ctx, size_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_MAP, .n = n};
}

static void on_tag(void *ctx, uint64_t n)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_TAG, .n = n};
}

static void on_bool(void *ctx, bool v)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_BOOL, .n = v};
}

static void on_null(void *ctx)
{
	*(struct item *)ctx = (struct item){.kind = ITEM_NULL};
}

static struct cbor_callbacks callbacks(void)
{
	struct cbor_callbacks on = cbor_empty_callbacks;

	on.uint8 = on_uint8;
	on.uint16 = on_uint16;
	on.uint32 = on_uint32;
	on.uint64 = on_uint64;
	on.negint8 = on_negint8;
	on.negint16 = on_negint16;
	on.negint32 = on_negint32;
	on.negint64 = on_negint64;
	on.byte_string = on_bytes;
	on.string = on_text;
	on.array_start = on_array;
	on.map_start = on_map;
	on.tag = on_tag;
	on.boolean = on_bool;
	on.null = on_null;
	return on;
}

/* The shortest head for an item; 0 for one that has no place here. */
static size_t head(enum item_kind kind, uint64_t n, uint8_t out[static HEAD_MAX])
{
	switch (kind) {
	case ITEM_UINT:
		return cbor_encode_uint(n, out, HEAD_MAX);
	case ITEM_NEGINT:
		return cbor_encode_negint(n, out, HEAD_MAX);
	case ITEM_BYTES:
		return cbor_encode_bytestring_start(n, out, HEAD_MAX);
	case ITEM_TEXT:
		return cbor_encode_string_start(n, out, HEAD_MAX);
	case ITEM_ARRAY:
		return cbor_encode_array_start(n, out, HEAD_MAX);
	case ITEM_MAP:
		return cbor_encode_map_start(n, out, HEAD_MAX);
	case ITEM_TAG:
		return cbor_encode_tag(n, out, HEAD_MAX);
	case ITEM_BOOL:
		return cbor_encode_bool(n != 0, out, HEAD_MAX);
	case ITEM_NULL:
		return cbor_encode_null(out, HEAD_MAX);
	case ITEM_NONE:
		break;
	}
	return 0;
}

/* ------------------------------------------------------------------- reading */

bool item_any(struct reader *r, struct item *it)
{
	const struct cbor_callbacks on = callbacks();
	struct cbor_decoder_result got;
	uint8_t shortest[HEAD_MAX];

	*it = (struct item){0};
	if (r->bad || !r->left)
		return false;
	/* libcbor 0.8 refuses the numbers 6 to 20, COSE's 18 among them, as unassigned. */
	if (*r->p >= TAG_FIRST && *r->p <= TAG_LAST) {
		*it = (struct item){.kind = ITEM_TAG, .n = *r->p - TAG_FIRST};
		return rd_take(r, 1).p != NULL;
	}
	got = cbor_stream_decode(r->p, r->left, &on, it);
	if (got.status != CBOR_DECODER_FINISHED || it->kind == ITEM_NONE)
		return false;
	/* A head says the same in each of its lengths: the shortest is the only one. */
	if (head(it->kind, it->n, shortest) + it->content.n != got.read)
		return false;
	return rd_take(r, got.read).p != NULL;
}

static bool next(struct reader *r, enum item_kind kind, struct item *it)
{
	return item_any(r, it) && it->kind == kind;
}

static bool number_of(struct reader *r, enum item_kind kind, uint64_t *n)
{
	struct item it;

	if (!next(r, kind, &it))
		return false;
	*n = it.n;
	return true;
}

static bool content_of(struct reader *r, enum item_kind kind, struct bytes *v)
{
	struct item it;

	if (!next(r, kind, &it))
		return false;
	*v = it.content;
	return true;
}

bool item_uint(struct reader *r, uint64_t *n)
{
	return number_of(r, ITEM_UINT, n);
}

bool item_bytes(struct reader *r, struct bytes *v)
{
	return content_of(r, ITEM_BYTES, v);
}

bool item_text(struct reader *r, struct bytes *v)
{
	return content_of(r, ITEM_TEXT, v);
}

bool item_array(struct reader *r, uint64_t *count)
{
	return number_of(r, ITEM_ARRAY, count);
}

bool item_tag(struct reader *r, uint64_t *number)
{
	return number_of(r, ITEM_TAG, number);
}

bool item_bytes_or_null(struct reader *r, struct bytes *v)
{
	struct item it;

	if (!item_any(r, &it) || (it.kind != ITEM_BYTES && it.kind != ITEM_NULL))
		return false;
	*v = it.content;
	return true;
}

bool item_is_int(const struct item *it, int64_t value)
{
	return value < 0 ? it->kind == ITEM_NEGINT && it->n == (uint64_t)(-1 - value)
	                 : it->kind == ITEM_UINT && it->n == (uint64_t)value;
}

bool item_is_text(const struct item *it, const char *text)
{
	return it->kind == ITEM_TEXT && bytes_equal(it->content, bytes_str(text));
}

bool item_map(struct reader *r, struct item_map *m)
{
	*m = (struct item_map){0};
	return number_of(r, ITEM_MAP, &m->left) && m->left <= ITEM_KEYS_MAX;
}

bool item_map_open(struct reader *r, struct item_map *m)
{
	if (r->bad || !r->left || *r->p != MAP_OPEN)
		return item_map(r, m);
	*m = (struct item_map){.left = ITEM_KEYS_MAX, .open = true};
	return rd_take(r, 1).p != NULL;
}

bool item_more(struct reader *r, struct item_map *m)
{
	if (m->open && !r->bad && r->left && *r->p == BREAK) {
		(void)rd_take(r, 1);
		m->left = 0;
		m->open = false;
	}
	/* An open map that is full without its break has one more, which item_key refuses. */
	return m->open || m->left;
}

bool item_key(struct reader *r, struct item_map *m, struct item *key)
{
	const uint8_t *start = r->p;
	struct bytes raw;

	if (!m->left || m->seen >= ITEM_KEYS_MAX || !item_any(r, key))
		return false;
	if (key->kind != ITEM_UINT && key->kind != ITEM_NEGINT && key->kind != ITEM_TEXT &&
	    key->kind != ITEM_BYTES)
		return false;
	/* There is one encoding of a key: the same bytes are the same key. */
	raw = (struct bytes){start, (size_t)(r->p - start)};
	for (uint32_t i = 0; i < m->seen; i++)
		if (bytes_equal(m->key[i], raw))
			return false;
	m->key[m->seen++] = raw;
	m->left--;
	return true;
}

/* What is still to come at one depth. */
struct level {
	bool is_map, at_value;
	uint64_t left; /* items; of a map, values */
	struct item_map map;
};

/* Opens the level of an item that has others in it; false when that is one too deep. */
static bool open_level(struct level *level, uint32_t *depth, const struct item *it)
{
	struct level *l;

	if (*depth == ITEM_DEPTH_MAX)
		return false;
	l = &level[(*depth)++];
	*l = (struct level){.is_map = it->kind == ITEM_MAP,
	                    .left = it->kind == ITEM_TAG ? 1 : it->n};
	l->map.left = l->left;
	return !l->is_map || it->n <= ITEM_KEYS_MAX;
}

bool item_skip(struct reader *r, struct bytes *raw)
{
	struct level level[ITEM_DEPTH_MAX];
	const uint8_t *start = r->p;
	uint32_t depth = 0;
	struct item it;

	do {
		struct level *top = depth ? &level[depth - 1] : NULL;

		if (top && top->is_map && !top->at_value) {
			if (!item_key(r, &top->map, &it))
				return false;
			top->at_value = true;
			continue;
		}
		if (!item_any(r, &it))
			return false;
		if (top) {
			top->left--;
			top->at_value = false;
		}
		if ((it.kind == ITEM_ARRAY || it.kind == ITEM_MAP || it.kind == ITEM_TAG) &&
		    !open_level(level, &depth, &it))
			return false;
		while (depth && !level[depth - 1].left)
			depth--;
	} while (depth);
	if (raw)
		*raw = (struct bytes){start, (size_t)(r->p - start)};
	return true;
}

/* ------------------------------------------------------------------- writing */

static void put(struct buf *out, enum item_kind kind, uint64_t n)
{
	uint8_t b[HEAD_MAX];

	buf_put(out, b, head(kind, n, b));
}

void item_put_uint(struct buf *out, uint64_t n)
{
	put(out, ITEM_UINT, n);
}

void item_put_int(struct buf *out, int64_t value)
{
	if (value < 0)
		put(out, ITEM_NEGINT, (uint64_t)(-1 - value));
	else
		put(out, ITEM_UINT, (uint64_t)value);
}

void item_put_bytes(struct buf *out, struct bytes v)
{
	put(out, ITEM_BYTES, v.n);
	buf_bytes(out, v);
}

void item_put_text(struct buf *out, const char *text)
{
	put(out, ITEM_TEXT, strlen(text));
	buf_str(out, text);
}

void item_put_array(struct buf *out, uint64_t count)
{
	put(out, ITEM_ARRAY, count);
}

void item_put_map(struct buf *out, uint64_t pairs)
{
	put(out, ITEM_MAP, pairs);
}

void item_put_tag(struct buf *out, uint64_t number)
{
	put(out, ITEM_TAG, number);
}

void item_put_null(struct buf *out)
{
	put(out, ITEM_NULL, 0);
}
