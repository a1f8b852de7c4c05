/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes on the heap at their exact size, so that a read behind the end is seen. */
#ifndef KEYGATE_TESTS_EXACT_H
#define KEYGATE_TESTS_EXACT_H

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "core/bytes.h"

/* Of a hex text; end with drop. Include cmocka.h first. */
static inline struct bytes exact(const char *hex)
{
	size_t n = strlen(hex) / 2;
	uint8_t *p = malloc(n ? n : 1);

	assert_int_equal(hex_decode(bytes_str(hex), p, n), 0);
	return (struct bytes){p, n};
}

static inline void drop(struct bytes v)
{
	free((void *)(uintptr_t)v.p);
}

#endif
