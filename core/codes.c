/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of refusal codes. Its content is core/codes.def; nothing else may be looked up here.
 */
#include "core/codes.h"

#include <string.h>

const struct code codes[] = {
#define CODE(id, title, advice) {id, title, advice},
#include "core/codes.def"
#undef CODE
};

const size_t codes_count = sizeof(codes) / sizeof(codes[0]);

const struct code *code_find(const char *id)
{
	for (size_t i = 0; i < codes_count; i++) {
		if (strcmp(codes[i].id, id) == 0)
			return &codes[i];
	}
	return NULL;
}
