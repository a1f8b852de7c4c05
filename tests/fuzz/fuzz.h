/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every fuzz target shares: libFuzzer's entry, and a property that ends the run when it does
 * not hold (assert would vanish under NDEBUG).
 */
#ifndef KEYGATE_TESTS_FUZZ_FUZZ_H
#define KEYGATE_TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition) \
	do { \
		if (!(condition)) { \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

#endif
