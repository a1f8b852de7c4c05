/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text encodings and the reader. What is accepted must come out again as it was: a second spelling
 * of the same bytes would let two parties see different things in one signed text.
 */
#include "tests/fuzz/fuzz.h"

#include <inttypes.h>
#include <string.h>
#include "core/bytes.h"

static void hex_both_ways(struct bytes in)
{
	size_t n = in.n / 2;
	uint8_t *out = malloc(n + 1);
	char *text = malloc(2 * n + 1);

	MUST(out && text);
	if (hex_decode(in, out, n) == 0) {
		hex_encode((struct bytes){out, n}, text);
		for (size_t i = 0; i < in.n; i++)
			MUST((in.p[i] | (in.p[i] >= 'A' ? 0x20 : 0)) == (uint8_t)text[i]);
	}
	free(out);
	free(text);
}

static void base64_both_ways(struct bytes in)
{
	size_t cap = in.n / 4 * 3;
	uint8_t *out = malloc(cap + 1);
	char *text = malloc(base64_encoded_len(cap) + 1);
	int n;

	MUST(out && text);
	n = base64_decode(in, out, cap);
	if (n >= 0) {
		MUST((size_t)n <= cap);
		base64_encode((struct bytes){out, (size_t)n}, text);
		MUST(bytes_equal(in, bytes_str(text)));
	}
	free(out);
	free(text);
}

static void decimal_both_ways(struct bytes in)
{
	uint64_t x;
	char text[32];

	if (decimal_u64(in, UINT64_MAX, &x))
		return;
	snprintf(text, sizeof(text), "%" PRIu64, x);
	MUST(bytes_equal(in, bytes_str(text)));
}

/* Reads as the input itself says; what was read is written again and must be what was there. */
static void reader_walk(struct bytes in)
{
	struct reader r = reader_of(in);
	struct buf again = buf_make(in.n);

	while (r.left && !r.bad) {
		struct reader before = r;
		uint8_t what = rd_u8(&r);
		struct bytes v = BYTES_NONE;

		buf_u8(&again, what);
		switch (what % 4) {
		case 0:
			v = rd_vec8(&r);
			if (!r.bad)
				buf_u8(&again, (uint8_t)v.n);
			break;
		case 1:
			v = rd_vec16(&r);
			if (!r.bad)
				buf_be16(&again, (uint16_t)v.n);
			break;
		case 2:
			v = rd_vec24(&r);
			if (!r.bad)
				buf_be24(&again, (uint32_t)v.n);
			break;
		case 3:
			buf_le32(&again, rd_le32(&r));
			break;
		}
		MUST(r.left < before.left);
		buf_bytes(&again, v);
	}
	MUST(r.bad || (rd_done(&r) && !again.bad && bytes_equal(buf_view(&again), in)));
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};

	hex_both_ways(in);
	base64_both_ways(in);
	decimal_both_ways(in);
	reader_walk(in);
	return 0;
}
