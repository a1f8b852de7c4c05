/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile server's first message. What is read lies within the input and is written the same. */
#include "tests/fuzz/fuzz.h"

#include "attest/flashbots.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};
	struct buf again = buf_make(FLASHBOTS_MAX);
	struct flashbots_message m;

	MUST(flashbots_length(in) <= FLASHBOTS_MAX);
	if (flashbots_parse(in, &m) == 0) {
		MUST(flashbots_length(in) == (int64_t)size);
		MUST(flashbots_build(m.type, m.evidence, &again) == 0);
		MUST(bytes_equal(buf_view(&again), in));
		(void)flashbots_tee(m.type);
	}
	buf_free(&again);
	return 0;
}
