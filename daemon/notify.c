/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire of sd_notify(3). Why it is not the library's: docs/dependencies.md.
 */
#include "daemon/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "core/bytes.h"

enum { LINES_MAX = 1024 };

int notify_open(void)
{
	const struct timeval second = {.tv_sec = 1};
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	const char *name = getenv("NOTIFY_SOCKET");
	size_t n = name ? strlen(name) : 0;
	int fd, ret = 0;

	if (!n)
		return -ENODATA;
	if (n < 2 || (name[0] != '/' && name[0] != '@'))
		return -EINVAL;
	if (n >= sizeof(to.sun_path))
		return -ENAMETOOLONG;
	memcpy(to.sun_path, name, n);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* An abstract name is as long as it is given; a path's NUL does no harm there. */
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second)) ||
	    connect(fd, (struct sockaddr *)&to,
	            (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)))
		ret = -errno;
	if (ret)
		close(fd);
	return ret ? ret : fd;
}

void notify_send(int fd, const char *fmt, ...)
{
	char lines[LINES_MAX];
	va_list ap;
	int n;

	if (fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(lines, sizeof(lines), fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(lines))
		(void)!send(fd, lines, (size_t)n, MSG_NOSIGNAL);
}

static uint64_t number(const char *name)
{
	const char *text = getenv(name);
	uint64_t n = 0;

	return text && !decimal_u64(bytes_str(text), INT64_MAX, &n) ? n : 0;
}

uint64_t notify_watchdog_us(void)
{
	/* Of another process, if the manager named one. */
	if (getenv("WATCHDOG_PID") && number("WATCHDOG_PID") != (uint64_t)getpid())
		return 0;
	return number("WATCHDOG_USEC");
}
