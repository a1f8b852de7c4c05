/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output of the tool: the one place where its commands print errors, JSON and buffers. Knows
 * nothing of what is printed.
 */
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cli/cmd.h"
#include "core/bytes.h"

int cmd_error(int status, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
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

void cmd_time_text(int64_t t, char out[static 32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (!t)
		snprintf(out, 32, "never");
	else if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%d %H:%M:%SZ", &tm))
		snprintf(out, 32, "%lld", (long long)t);
}

/* ------------------------------------------------------------------- tables */

void table_row(struct table *t, const char *const *cell)
{
	size_t at = t->rows * t->columns;
	char **bigger = reallocarray(t->cell, at + t->columns, sizeof(*bigger));

	if (!bigger) {
		t->bad = true;
		return;
	}
	t->cell = bigger;
	for (size_t i = 0; i < t->columns; i++) {
		t->cell[at + i] = strdup(cell[i] ? cell[i] : "");
		t->bad |= !t->cell[at + i];
	}
	t->rows++;
}

void table_print(struct table *t, const char *indent)
{
	size_t width[TABLE_COLUMNS] = {0};
	size_t cells = t->rows * t->columns;

	for (size_t i = 0; i < cells && !t->bad; i++) {
		size_t n = strlen(t->cell[i]);

		if (n > width[i % t->columns])
			width[i % t->columns] = n;
	}
	for (size_t i = 0; i < cells && !t->bad; i++) {
		bool last = (i + 1) % t->columns == 0;

		if (i % t->columns == 0)
			fputs(indent, stdout);
		/* Nothing is padded at the end of a line. */
		printf("%-*s%s", last ? 0 : (int)width[i % t->columns], t->cell[i],
		       last ? "\n" : "  ");
	}
	for (size_t i = 0; i < cells; i++)
		free(t->cell[i]);
	free(t->cell);
	memset(t, 0, sizeof(*t));
}
