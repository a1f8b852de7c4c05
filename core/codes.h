/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stable refusal codes: the id of every check and of every way in which a session can be
 * refused, a title, and the sentence that tells the administrator what to do.
 * The table is core/codes.def; each id has a page docs/refusals/ID.md (a test compares them).
 */
#ifndef KEYGATE_CORE_CODES_H
#define KEYGATE_CORE_CODES_H

#include <stddef.h>

struct code {
	const char *id;
	const char *title;  /* what was looked at, e.g. "report signature" */
	const char *advice; /* what to do when it refuses; one sentence */
};

extern const struct code codes[];
extern const size_t codes_count;

/* NULL when unknown. */
const struct code *code_find(const char *id);

#endif
