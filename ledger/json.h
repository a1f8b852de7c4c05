/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON from strangers, for the formats of this room that are JSON: bounded before it is parsed, and
 * read by type. Private to ledger/.
 */
#ifndef KEYGATE_LEDGER_JSON_H
#define KEYGATE_LEDGER_JSON_H

#include <jansson.h>
#include "core/bytes.h"

/*
 * At most max bytes, at most depth levels, no name twice, nothing behind it, an object on top.
 * 0 with a new reference; -EINVAL, -ENOMEM.
 */
int json_read(struct bytes text, size_t max, unsigned depth, json_t **out);
/* The object has no members but these (NULL ends the list). False also for what is no object. */
bool json_only(const json_t *object, const char *const *names);
/* A member; NULL for one that is absent or null, as the JSON of protocol buffers writes absence. */
json_t *json_member(const json_t *object, const char *name);
/* Text of printable ASCII, 1 to cap - 1 bytes. False, and out is empty. */
bool json_text(const json_t *object, const char *name, char *out, size_t cap);
/* A number in a string, as protocol buffers write 64 bits; absent: 0. False when malformed. */
bool json_number(const json_t *object, const char *name, uint64_t *out);
/* The text of a string, a view that lives as the object does; BYTES_NONE when there is none. */
struct bytes json_view(const json_t *value);
/* Canonical base64 in a string: malloced, the caller's. 0, -EINVAL (also empty), -ENOMEM. */
int json_base64(const json_t *value, struct bytes *out);

#endif
