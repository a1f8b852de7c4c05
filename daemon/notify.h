/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the service manager how keygated does: sd_notify(3)'s protocol, text in one datagram to
 * the socket that $NOTIFY_SOCKET names. Knows no gate. Without a manager that asked for it, all of
 * this does nothing.
 */
#ifndef KEYGATE_DAEMON_NOTIFY_H
#define KEYGATE_DAEMON_NOTIFY_H

#include <stdint.h>

/*
 * A socket connected to the manager's, which is the caller's to close. -ENODATA: nobody asked for
 * it; -EINVAL for a name that is neither a path nor abstract; -ENAMETOOLONG, -errno.
 */
int notify_open(void);
/*
 * Lines "NAME=value" with a LF between. fd -1: nothing is sent. A manager that does not take it
 * within a second goes without: it is never waited for longer.
 */
__attribute__((format(printf, 2, 3))) void notify_send(int fd, const char *fmt, ...);
/* How often the manager wants WATCHDOG=1 of this process, in microseconds; 0: it does not. */
uint64_t notify_watchdog_us(void);

#endif
