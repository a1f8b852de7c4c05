/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces of the kernel: to find them, to be in one for a moment, to listen there. Knows
 * nothing of who is served.
 */
#ifndef KEYGATE_DAEMON_NETNS_H
#define KEYGATE_DAEMON_NETNS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A network namespace, by a descriptor that keeps it alive; dev and ino name it while it lives. */
struct netns {
	int fd;
	dev_t dev;
	ino_t ino;
};

/* That of the calling thread. */
#define NETNS_OWN "/proc/thread-self/ns/net"

/* -EINVAL: something else is there; -errno. */
int netns_open(const char *path, struct netns *out);
/*
 * The calling thread is in it, until netns_leave with the one that it came from. A process that
 * could not come back would do everything in a strange network: it is aborted.
 */
int netns_enter(const struct netns *n);
void netns_leave(const struct netns *home);
/* SO_NETNS_COOKIE, of the one that the thread is in. */
int netns_cookie(uint64_t *out);
/* The user who made the user namespace that it belongs to; 0 for the host's own. */
int netns_owner(const struct netns *n, uid_t *out);
/*
 * A TCP socket bound to loopback in the namespace that the thread is in, which does not listen yet.
 * Port 0: any. early: also while the loopback device is down. -errno.
 */
int netns_bound(int family, uint16_t port, bool early);

/*
 * Calls fn with each path under which a namespace is to be found, and with what it is: mounts that
 * this process sees (of namespaces of any kind), processes, or all their threads. More than one
 * path may lead to the same. 0 or -errno.
 */
typedef void (*netns_found_fn)(void *ctx, const char *path, dev_t dev, ino_t ino);
int netns_each_mount(netns_found_fn fn, void *ctx);
int netns_each_process(netns_found_fn fn, void *ctx);
int netns_each_thread(netns_found_fn fn, void *ctx);

#endif
