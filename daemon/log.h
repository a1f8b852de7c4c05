/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines to standard error, one a call: "event: NAME, key: value, ...". What gate has to say about
 * sessions goes through audit.h, which prints through this; roles use it for what stops them.
 * Never a secret.
 */
#ifndef KEYGATE_DAEMON_LOG_H
#define KEYGATE_DAEMON_LOG_H

enum { LOG_LINE_MAX = 1024 };

/* fmt gives the "key: value, ..." part. Bytes that are not printable ASCII become '?'. */
__attribute__((format(printf, 2, 3))) void log_event(const char *event, const char *fmt, ...);

#endif
