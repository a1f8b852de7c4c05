/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The form of a page that shows evidence field by field: its offset, name, value and meaning, in
 * about 100 columns. For attest/ alone.
 */
#ifndef KEYGATE_ATTEST_EXPLAIN_H
#define KEYGATE_ATTEST_EXPLAIN_H

#include "core/bytes.h"

/* An empty meaning is left out. What is not printable in value or meaning becomes '?'. */
void explain_line(struct buf *out, size_t off, const char *name, const char *value,
                  const char *meaning);
/* The first 72 bytes at most. Where all is zero, it says so in place of value and meaning. */
void explain_hex(struct buf *out, size_t off, const char *name, struct bytes value,
                 const char *meaning);
void explain_number(struct buf *out, size_t off, const char *name, uint64_t value,
                    const char *meaning);

struct explain_bit {
	uint64_t mask;
	const char *set, *clear; /* NULL: not worth a word */
};

/* first, then a word for each of the n bits. */
void explain_bits(struct buf *out, size_t off, const char *name, uint64_t value, const char *first,
                  const struct explain_bit *bits, size_t n);
/* A line for each certificate and revocation list, and for what is neither: whose, by whom, when.
 */
void explain_certs(struct buf *out, struct bytes data);

#endif
