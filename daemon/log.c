/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines to standard error. One write a line, so that the lines of several roles don't mix.
 */
#include "daemon/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

void log_event(const char *event, const char *fmt, ...)
{
	char line[LOG_LINE_MAX];
	va_list ap;
	int n = snprintf(line, sizeof(line) - 1, "event: %s, ", event);

	if (n < 0 || (size_t)n >= sizeof(line) - 1)
		return;
	va_start(ap, fmt);
	(void)vsnprintf(line + n, sizeof(line) - 1 - (size_t)n, fmt, ap);
	va_end(ap);

	size_t len = strlen(line);

	if (len == (size_t)n)
		len -= 2; /* nothing behind the comma */
	for (size_t i = 0; i < len; i++) {
		if (line[i] < 0x20 || line[i] > 0x7e)
			line[i] = '?';
	}
	line[len++] = '\n';
	/* Nobody to tell when standard error is gone. */
	(void)!write(STDERR_FILENO, line, len);
}
