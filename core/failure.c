/* SPDX-License-Identifier: Apache-2.0 */
/* Why something did not work. Knows nothing of what was tried. */
#include "core/failure.h"

#include <stdarg.h>
#include <stdio.h>

void failure_set(struct failure *f, const char *code, const char *fmt, ...)
{
	va_list ap;

	snprintf(f->code, sizeof(f->code), "%s", code);
	va_start(ap, fmt);
	vsnprintf(f->detail, sizeof(f->detail), fmt, ap);
	va_end(ap);
}
