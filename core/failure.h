/* SPDX-License-Identifier: Apache-2.0 */
/* Why something did not work, in the words of the refusal codes. */
#ifndef KEYGATE_CORE_FAILURE_H
#define KEYGATE_CORE_FAILURE_H

#include "core/verdict.h"

/* An id of core/codes.def and what was seen. */
struct failure {
	char code[CHECK_ID_MAX];
	char detail[CHECK_DETAIL_MAX];
};

__attribute__((format(printf, 3, 4))) void failure_set(struct failure *f, const char *code,
                                                       const char *fmt, ...);

#endif
