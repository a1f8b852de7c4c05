/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CBOR from anywhere. What is skipped lies within the input, and written again item by item it is
 * the same bytes: there is one encoding of everything that is read.
 */
#include "tests/fuzz/fuzz.h"

#include "core/cbor.h"

enum { MAJOR_SIMPLE = 7, SIMPLE_FALSE = 20, SIMPLE_NULL = 22 };

static void head(struct buf *out, unsigned major, uint64_t n)
{
	unsigned wide = n < 24            ? 0
	                : n <= UINT8_MAX  ? 1
	                : n <= UINT16_MAX ? 2
	                : n <= UINT32_MAX ? 4
	                                  : 8;

	buf_u8(out, (uint8_t)(major << 5 | (wide == 0   ? n
	                                    : wide == 1 ? 24U
	                                    : wide == 2 ? 25U
	                                    : wide == 4 ? 26U
	                                                : 27U)));
	for (unsigned i = wide; i > 0; i--)
		buf_u8(out, (uint8_t)(n >> (8 * (i - 1))));
}

static void write_again(struct buf *out, const struct item *it)
{
	static const uint8_t major[] = {
	        [ITEM_UINT] = 0,  [ITEM_NEGINT] = 1, [ITEM_BYTES] = 2, [ITEM_TEXT] = 3,
	        [ITEM_ARRAY] = 4, [ITEM_MAP] = 5,    [ITEM_TAG] = 6,
	};

	MUST(it->kind != ITEM_NONE);
	if (it->kind == ITEM_BOOL)
		head(out, MAJOR_SIMPLE, SIMPLE_FALSE + it->n);
	else if (it->kind == ITEM_NULL)
		head(out, MAJOR_SIMPLE, SIMPLE_NULL);
	else
		head(out, major[it->kind], it->n);
	buf_bytes(out, it->content);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct reader r = reader_of((struct bytes){data, size}), again;
	struct buf out = buf_make(size + 16);
	struct bytes raw;
	struct item it;

	if (item_skip(&r, &raw)) {
		MUST(raw.p == data && raw.n && raw.n + r.left == size);
		again = reader_of(raw);
		while (again.left) {
			MUST(item_any(&again, &it));
			write_again(&out, &it);
		}
		MUST(!out.bad && bytes_equal(buf_view(&out), raw));
	}
	buf_free(&out);
	return 0;
}
