/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict MessagePack, for formats of which a few values are wanted and the rest is passed over.
 * Knows no format that is made of it.
 *
 * What is read: unsigned integers, text, byte strings, arrays, maps, true, false and nil, each
 * number, length and count in its shortest form. Negative numbers, floats and extensions have no
 * place in these formats and are refused. A claimed length or count costs nothing: octets must be
 * there before they are handed out, a loop over a count ends where the octets do, and what is
 * nested is counted, not descended into: no depth costs more than another.
 *
 * All functions read through a struct reader; after one has returned false the reader's place means
 * nothing and the caller gives up. Views point into what is read. Text is not checked to be UTF-8.
 */
#ifndef KEYGATE_CORE_MSGPACK_H
#define KEYGATE_CORE_MSGPACK_H

#include <stdbool.h>
#include <stdint.h>
#include "core/bytes.h"

/* Take the next item, which must be of that kind; of an array, its head. */
bool pack_uint(struct reader *r, uint64_t *n);
bool pack_text(struct reader *r, struct bytes *v);
bool pack_array(struct reader *r, uint64_t *count);
/* Takes an array of integers from 0 to 255, which is how Rust's serde writes octets; appends them.
 */
bool pack_octets(struct reader *r, struct buf *out);
/* Takes the next item with all that is in it; raw is its encoding. */
bool pack_skip(struct reader *r, struct bytes *raw);

/*
 * data is one map, its keys are text. The values of n of them, as encoded; each key must be there
 * once. Other keys are passed over with their values.
 */
bool pack_fields(struct bytes data, const char *const *keys, size_t n, struct bytes *values);

#endif
