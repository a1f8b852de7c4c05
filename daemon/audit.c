/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what keygated did. Knows how events are written, not what they mean.
 */
#include "daemon/audit.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "core/bytes.h"
#include "daemon/log.h"

struct audit {
	char path[PATH_MAX];
	int fd;
	audit_watch_fn watch;
	void *watch_ctx;
};

static int open_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

	return fd < 0 ? -errno : fd;
}

int audit_open(const char *path, struct audit **out)
{
	struct audit *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	if (snprintf(a->path, sizeof(a->path), "%s", path) >= (int)sizeof(a->path)) {
		free(a);
		return -ENAMETOOLONG;
	}
	a->fd = open_file(path);
	if (a->fd < 0) {
		int err = a->fd;

		free(a);
		return err;
	}
	*out = a;
	return 0;
}

void audit_close(struct audit *a)
{
	if (!a)
		return;
	close(a->fd);
	free(a);
}

int audit_reopen(struct audit *a)
{
	int fd = open_file(a->path);

	if (fd < 0)
		return fd;
	close(a->fd);
	a->fd = fd;
	return 0;
}

void audit_watch(struct audit *a, audit_watch_fn fn, void *ctx)
{
	a->watch = fn;
	a->watch_ctx = ctx;
}

json_t *audit_text(const char *s, size_t cap)
{
	char t[LOG_LINE_MAX];
	size_t n = strnlen(s, cap < sizeof(t) - 1 ? cap : sizeof(t) - 1);

	for (size_t i = 0; i < n; i++)
		t[i] = (char)(s[i] < 0x20 || s[i] > 0x7e ? '?' : s[i]);
	return json_stringn(t, n);
}

/* The scalar members as "key: value, ..."; what is nested is in the JSON line only. */
static void print_scalars(const char *event, json_t *o)
{
	struct buf b = buf_make(LOG_LINE_MAX);
	const char *key;
	json_t *v;

	json_object_foreach(o, key, v)
	{
		const char *sep = b.n ? ", " : "";

		if (!strcmp(key, "event") || !strcmp(key, "at"))
			continue;
		if (json_is_string(v) && json_string_length(v))
			buf_printf(&b, "%s%s: %s", sep, key, json_string_value(v));
		else if (json_is_integer(v))
			buf_printf(&b, "%s%s: %" JSON_INTEGER_FORMAT, sep, key,
			           json_integer_value(v));
		else if (json_is_boolean(v))
			buf_printf(&b, "%s%s: %s", sep, key, json_is_true(v) ? "yes" : "no");
	}
	log_event(event, "%.*s", (int)b.n, b.p ? (const char *)b.p : "");
	buf_free(&b);
}

static void rotate(struct audit *a)
{
	struct stat st;
	char old[PATH_MAX + 2];

	if (fstat(a->fd, &st) || st.st_size < AUDIT_FILE_MAX)
		return;
	snprintf(old, sizeof(old), "%s.1", a->path);
	if (rename(a->path, old) || audit_reopen(a))
		log_event("audit-error", "reason: rotation failed, error: %s", strerror(errno));
}

static void write_line(struct audit *a, const char *line, size_t n)
{
	rotate(a);
	while (n) {
		ssize_t put = write(a->fd, line, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0) {
			log_event("audit-error", "reason: not written, error: %s", strerror(errno));
			return;
		}
		line += put;
		n -= (size_t)put;
	}
}

void audit_emit(struct audit *a, const char *event, json_t *members)
{
	json_t *o = json_pack("{s:s, s:I}", "event", event, "at", (json_int_t)time(NULL));
	char *text = NULL;

	if (!o || (members && json_object_update_missing(o, members))) {
		log_event(event, "error: out of memory");
		goto out;
	}
	print_scalars(event, o);
	text = json_dumps(o, JSON_COMPACT | JSON_ENSURE_ASCII);
	if (!text || !a)
		goto out;

	/* The LF takes the place of the NUL: one write, one line. */
	size_t n = strlen(text);

	text[n] = '\n';
	write_line(a, text, n + 1);
	if (a->watch)
		a->watch(a->watch_ctx, text, n + 1);
out:
	free(text);
	json_decref(o);
	json_decref(members);
}
