/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of the tool: the one place where its commands print errors, JSON and buffers. Knows
 * nothing of what is printed.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include "cli/cmd.h"
#include "core/bytes.h"

int cmd_error(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("keygate: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int cmd_usage(const char *command, const char *synopsis)
{
	fprintf(stderr, "usage: %s%s%s\n", command, synopsis[0] ? " " : "", synopsis);
	return CMD_USAGE;
}

int cmd_print_json(struct json_t *j)
{
	int rc;

	if (!j)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	rc = json_dumpf(j, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
	json_decref(j);
	putchar('\n');
	return rc ? cmd_error(CMD_UNKNOWN, "can't write JSON") : 0;
}

void cmd_print_buf(struct buf *b)
{
	fwrite(b->p, 1, b->n, stdout);
	buf_free(b);
}

int cmd_status_of(enum check_status overall)
{
	switch (overall) {
	case CHECK_PASS:
		return CMD_YES;
	case CHECK_UNAVAILABLE:
		return CMD_UNKNOWN;
	case CHECK_FAIL:
	case CHECK_SKIP:
		return CMD_NO;
	}
	return CMD_NO;
}
