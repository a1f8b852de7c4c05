/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a page that shows evidence. Knows no format. */
#include "attest/explain.h"

#include <stdio.h>

enum { HEX_MAX = 72 };

void explain_line(struct buf *out, size_t off, const char *name, const char *value,
                  const char *meaning)
{
	buf_printf(out, "0x%03zx  %-18s %s", off, name, value);
	if (*meaning)
		buf_printf(out, "  (%s)", meaning);
	buf_u8(out, '\n');
}

void explain_hex(struct buf *out, size_t off, const char *name, struct bytes value,
                 const char *meaning)
{
	char hex[2 * HEX_MAX + 1];

	hex_encode((struct bytes){value.p, value.n < HEX_MAX ? value.n : HEX_MAX}, hex);
	explain_line(out, off, name, hex, bytes_all_zero(value.p, value.n) ? "zero" : meaning);
}

void explain_number(struct buf *out, size_t off, const char *name, uint64_t value,
                    const char *meaning)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	explain_line(out, off, name, text, meaning);
}

void explain_bits(struct buf *out, size_t off, const char *name, uint64_t value, const char *first,
                  const struct explain_bit *bits, size_t n)
{
	char text[400];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", first);

	for (size_t i = 0; i < n; i++) {
		const char *word = value & bits[i].mask ? bits[i].set : bits[i].clear;

		if (word && at < sizeof(text))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? ", " : "",
			                       word);
	}
	explain_number(out, off, name, value, text);
}
