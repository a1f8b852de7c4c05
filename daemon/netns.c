/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces: setns there and back, and the places in /proc that name them.
 */
#include "daemon/netns.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <mntent.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { PATH_ROOM = 64 }; /* of /proc/PID/task/TID/ns/net */

int netns_open(const char *path, struct netns *out)
{
	struct statfs fs;
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (fstatfs(fd, &fs) || fstat(fd, &st))
		ret = -errno;
	/* On other file systems the ioctl may mean anything. */
	else if (fs.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		ret = -EINVAL;
	if (ret) {
		close(fd);
		return ret;
	}
	*out = (struct netns){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

int netns_enter(const struct netns *n)
{
	return setns(n->fd, CLONE_NEWNET) ? -errno : 0;
}

void netns_leave(const struct netns *home)
{
	if (setns(home->fd, CLONE_NEWNET))
		abort();
}

int netns_cookie(uint64_t *out)
{
	socklen_t n = sizeof(*out);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, out, &n))
		ret = -errno;
	close(fd);
	return ret;
}

int netns_owner(const struct netns *n, uid_t *out)
{
	int user = ioctl(n->fd, NS_GET_USERNS);
	int ret = 0;

	if (user < 0)
		return -errno;
	if (ioctl(user, NS_GET_OWNER_UID, out))
		ret = -errno;
	close(user);
	return ret;
}

static int bind_to(int fd, int family, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET,
	                         .sin_port = htons(port),
	                         .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
	                           .sin6_port = htons(port),
	                           .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	const int on = 1;

	if (family == AF_INET)
		return bind(fd, (struct sockaddr *)&in, sizeof(in)) ? -errno : 0;
	if (setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) ||
	    bind(fd, (struct sockaddr *)&in6, sizeof(in6)))
		return -errno;
	return 0;
}

int netns_bound(int family, uint16_t port, bool early)
{
	const int on = early;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int ret = fd < 0 ? -errno : 0;

	if (!ret &&
	    (family == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof(on))
	                       : setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof(on))))
		ret = -errno;
	if (!ret)
		ret = bind_to(fd, family, port);
	if (ret && fd >= 0)
		close(fd);
	return ret ? ret : fd;
}

/* ------------------------------------------------------------------ where they are */

/* Of a process that is gone, and of a kernel thread, there is none to be told. */
static void tell(const char *path, netns_found_fn fn, void *ctx)
{
	struct stat st;

	if (!stat(path, &st))
		fn(ctx, path, st.st_dev, st.st_ino);
}

/* Nothing is opened: whoever undoes a mount must not find it busy. */
int netns_each_mount(netns_found_fn fn, void *ctx)
{
	struct mntent e;
	char buf[8192];
	FILE *f = setmntent("/proc/self/mounts", "re");

	if (!f)
		return -errno;
	while (getmntent_r(f, &e, buf, sizeof(buf))) {
		if (!strcmp(e.mnt_type, "nsfs"))
			tell(e.mnt_dir, fn, ctx);
	}
	endmntent(f);
	return 0;
}

static void each_of(const char *dir, netns_found_fn fn, void *ctx)
{
	char path[PATH_ROOM];
	struct dirent *e;
	DIR *d = opendir(dir);

	while (d && (e = readdir(d))) {
		if (isdigit((unsigned char)e->d_name[0]) &&
		    snprintf(path, sizeof(path), "%s/%.10s/ns/net", dir, e->d_name) > 0)
			tell(path, fn, ctx);
	}
	if (d)
		closedir(d);
}

int netns_each_process(netns_found_fn fn, void *ctx)
{
	each_of("/proc", fn, ctx);
	return 0;
}

int netns_each_thread(netns_found_fn fn, void *ctx)
{
	char path[PATH_ROOM];
	struct dirent *e;
	DIR *d = opendir("/proc");

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (!isdigit((unsigned char)e->d_name[0]))
			continue;
		snprintf(path, sizeof(path), "/proc/%.10s/task", e->d_name);
		each_of(path, fn, ctx);
	}
	closedir(d);
	return 0;
}
