/* SPDX-License-Identifier: Apache-2.0 */
/*
 * MessagePack from anywhere. What is skipped lies within the input and is whole: no octet less of
 * it is an item. A value that was found in a map is an item of that map.
 */
#include "tests/fuzz/fuzz.h"

#include "core/msgpack.h"

static const char *const keys[] = {"kind", "data"};

enum { KEYS = sizeof(keys) / sizeof(keys[0]) };

static bool whole(struct bytes v)
{
	struct reader r = reader_of(v);
	struct bytes raw;

	return pack_skip(&r, &raw) && rd_done(&r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size}, raw, value[KEYS];
	struct reader r = reader_of(in);
	struct buf out = buf_make(size);

	if (pack_skip(&r, &raw)) {
		MUST(raw.p == data && raw.n && raw.n + r.left == size);
		MUST(whole(raw) && !whole((struct bytes){raw.p, raw.n - 1}));
	}
	if (pack_fields(in, keys, KEYS, value)) {
		MUST(whole(in));
		for (size_t i = 0; i < KEYS; i++)
			MUST(value[i].p > data && value[i].p + value[i].n <= data + size &&
			     whole(value[i]));
	}
	r = reader_of(in);
	if (pack_octets(&r, &out))
		MUST(out.n < size);
	buf_free(&out);
	return 0;
}
