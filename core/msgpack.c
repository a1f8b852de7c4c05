/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict MessagePack, an item at a time, without memory of its own. Knows no format that is made of
 * it.
 *
 * Source: the MessagePack specification (msgpack/msgpack, spec.md).
 */
#include "core/msgpack.h"

enum kind { NONE = 0, UINT, TEXT, ARRAY, MAP, OTHER };

struct item {
	enum kind kind;
	uint64_t n; /* value, length or count */
	struct bytes content;
};

enum { FIXMAP = 0x80, FIXARRAY = 0x90, FIXSTR = 0xa0, WIDE = 0xc0 };

/* What begins with an octet from WIDE on; what is not listed is not read. */
static const struct form {
	enum kind kind;
	uint8_t width;  /* octets of the number that follows */
	bool counted;   /* as many octets follow that */
	uint64_t least; /* a smaller number has a shorter form */
} wide[0x100 - WIDE] = {
        [0xc0 - WIDE] = {.kind = OTHER}, /* nil */
        [0xc2 - WIDE] = {.kind = OTHER}, /* false */
        [0xc3 - WIDE] = {.kind = OTHER}, /* true */
        [0xc4 - WIDE] = {OTHER, 1, true, 0},
        [0xc5 - WIDE] = {OTHER, 2, true, 0x100},
        [0xc6 - WIDE] = {OTHER, 4, true, 0x10000},
        [0xcc - WIDE] = {UINT, 1, false, 0x80},
        [0xcd - WIDE] = {UINT, 2, false, 0x100},
        [0xce - WIDE] = {UINT, 4, false, 0x10000},
        [0xcf - WIDE] = {UINT, 8, false, UINT64_C(1) << 32},
        [0xd9 - WIDE] = {TEXT, 1, true, 0x20},
        [0xda - WIDE] = {TEXT, 2, true, 0x100},
        [0xdb - WIDE] = {TEXT, 4, true, 0x10000},
        [0xdc - WIDE] = {ARRAY, 2, false, 0x10},
        [0xdd - WIDE] = {ARRAY, 4, false, 0x10000},
        [0xde - WIDE] = {MAP, 2, false, 0x10},
        [0xdf - WIDE] = {MAP, 4, false, 0x10000},
};

static bool wide_item(struct reader *r, const struct form *f, struct item *it)
{
	for (unsigned i = 0; i < f->width; i++)
		it->n = it->n << 8 | rd_u8(r);
	it->kind = f->kind;
	if (f->counted)
		it->content = rd_take(r, (size_t)it->n);
	return !r->bad && it->kind != NONE && it->n >= f->least;
}

/* A whole item, or the head of an array or a map. */
static bool next(struct reader *r, struct item *it)
{
	uint8_t first = rd_u8(r);

	*it = (struct item){0};
	if (first >= WIDE)
		return wide_item(r, &wide[first - WIDE], it);
	if (first >= FIXSTR) {
		it->kind = TEXT;
		it->content = rd_take(r, first - FIXSTR);
	} else if (first >= FIXARRAY) {
		*it = (struct item){.kind = ARRAY, .n = first - FIXARRAY};
	} else if (first >= FIXMAP) {
		*it = (struct item){.kind = MAP, .n = first - FIXMAP};
	} else {
		*it = (struct item){.kind = UINT, .n = first};
	}
	return !r->bad;
}

static bool next_is(struct reader *r, enum kind kind, struct item *it)
{
	return next(r, it) && it->kind == kind;
}

bool pack_uint(struct reader *r, uint64_t *n)
{
	struct item it;
	bool ok = next_is(r, UINT, &it);

	if (ok)
		*n = it.n;
	return ok;
}

bool pack_text(struct reader *r, struct bytes *v)
{
	struct item it;
	bool ok = next_is(r, TEXT, &it);

	if (ok)
		*v = it.content;
	return ok;
}

bool pack_array(struct reader *r, uint64_t *count)
{
	struct item it;
	bool ok = next_is(r, ARRAY, &it);

	if (ok)
		*count = it.n;
	return ok;
}

bool pack_octets(struct reader *r, struct buf *out)
{
	uint64_t count, v;

	if (!pack_array(r, &count))
		return false;
	for (; count; count--) {
		if (!pack_uint(r, &v) || v > UINT8_MAX)
			return false;
		buf_u8(out, (uint8_t)v);
	}
	return !out->bad;
}

bool pack_skip(struct reader *r, struct bytes *raw)
{
	const uint8_t *start = r->p;
	/* Items to come, at whatever depth. A head takes an octet and adds less than 2^33: no input
	 * that fits into memory makes it wrap. */
	uint64_t left = 1;
	struct item it;

	for (; left; left--) {
		if (!next(r, &it))
			return false;
		if (it.kind == ARRAY)
			left += it.n;
		else if (it.kind == MAP)
			left += 2 * it.n;
	}
	*raw = (struct bytes){start, (size_t)(r->p - start)};
	return true;
}

bool pack_fields(struct bytes data, const char *const *keys, size_t n, struct bytes *values)
{
	struct reader r = reader_of(data);
	struct bytes key, value;
	struct item map;

	if (!next_is(&r, MAP, &map))
		return false;
	for (size_t i = 0; i < n; i++)
		values[i] = BYTES_NONE;
	for (; map.n; map.n--) {
		if (!pack_text(&r, &key) || !pack_skip(&r, &value))
			return false;
		for (size_t i = 0; i < n; i++) {
			if (!bytes_equal(key, bytes_str(keys[i])))
				continue;
			if (values[i].n)
				return false;
			values[i] = value;
		}
	}
	for (size_t i = 0; i < n; i++)
		if (!values[i].n)
			return false;
	return rd_done(&r);
}
