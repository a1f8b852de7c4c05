/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files, whole. Reads are bounded before they happen; writes are either there in full, after a
 * power cut too, or not at all. For the programs only. Knows nothing of what the files hold.
 */
#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* at < 0: from wherever the descriptor stands (a pipe has no offsets). */
static ssize_t read_some(int fd, uint8_t *p, size_t n, off_t at)
{
	ssize_t got;

	do
		got = at < 0 ? read(fd, p, n) : pread(fd, p, n, at);
	while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int slurp(int fd, bool seekable, size_t max, uint8_t **out, size_t *n)
{
	uint8_t chunk[16384];
	struct buf b;
	int ret = 0;

	if (max >= SSIZE_MAX)
		return -EINVAL;
	b = buf_make(max + 1); /* the NUL */
	for (;;) {
		ssize_t got = read_some(fd, chunk, sizeof(chunk), seekable ? (off_t)b.n : -1);

		if (got < 0) {
			ret = (int)got;
			break;
		}
		if ((size_t)got > max - b.n) {
			ret = -EFBIG;
			break;
		}
		buf_put(&b, chunk, (size_t)got);
		if (got == 0) {
			buf_u8(&b, 0);
			break;
		}
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (!ret && b.bad)
		ret = -ENOMEM;
	if (ret) {
		buf_free(&b);
		return ret;
	}
	*out = b.p;
	*n = b.n - 1;
	return 0;
}

static int must_be_regular(int fd)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return S_ISREG(st.st_mode) ? 0 : -EINVAL;
}

int file_read(const char *path, size_t max, uint8_t **out, size_t *n)
{
	if (strcmp(path, "-") == 0)
		return slurp(STDIN_FILENO, false, max, out, n);

	/* O_NONBLOCK: a fifo in place of the file must not hang us before we see what it is. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;

	int ret = file_read_fd(fd, max, out, n);

	close(fd);
	return ret;
}

int file_read_fd(int fd, size_t max, uint8_t **out, size_t *n)
{
	int ret = must_be_regular(fd);

	return ret ? ret : slurp(fd, true, max, out, n);
}

static int write_all(int fd, struct bytes v)
{
	while (v.n) {
		ssize_t put = write(fd, v.p, v.n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return -errno;
		v.p += put;
		v.n -= (size_t)put;
	}
	return 0;
}

/* The new name is durable only once its directory is. */
int file_sync_directory_of(const char *path)
{
	char dir[PATH_MAX];
	const char *slash = strrchr(path, '/');
	size_t n = slash ? (size_t)(slash - path) : 0;

	if (!slash)
		snprintf(dir, sizeof(dir), ".");
	else
		snprintf(dir, sizeof(dir), "%.*s/", (int)n, path);

	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;

	int ret = fsync(fd) ? -errno : 0;

	close(fd);
	return ret;
}

int file_write_atomic(const char *path, struct bytes content, mode_t mode)
{
	char temp[PATH_MAX];
	int len = snprintf(temp, sizeof(temp), "%s.XXXXXX", path);

	if (len < 0 || (size_t)len >= sizeof(temp))
		return -ENAMETOOLONG;

	int fd = mkostemp(temp, O_CLOEXEC);

	if (fd < 0)
		return -errno;

	int ret = write_all(fd, content);

	if (!ret && (fchmod(fd, mode) || fsync(fd)))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	if (!ret && rename(temp, path))
		ret = -errno;
	if (ret) {
		unlink(temp);
		return ret;
	}
	return file_sync_directory_of(path);
}

int file_put_at(int dir, const char *name, struct bytes content, mode_t mode)
{
	/* A new file, so that a hard link to an old one goes on having the old content. */
	if (unlinkat(dir, name, 0) && errno != ENOENT)
		return -errno;

	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);

	if (fd < 0)
		return -errno;

	int ret = write_all(fd, content);

	if (!ret && fchmod(fd, mode))
		ret = -errno;
	if (close(fd) && !ret)
		ret = -errno;
	return ret;
}

int file_memfd(const char *name, struct bytes content)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;
	int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;

	int ret = write_all(fd, content);

	if (!ret && (fcntl(fd, F_ADD_SEALS, seals) || lseek(fd, 0, SEEK_SET) < 0))
		ret = -errno;
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}
