/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a log: files in and out of it, and how many leaves its tiles hold. Knows
 * nothing of how leaves become tiles.
 *
 * What the log holds is what level 1 names: each of its hashes is a full tile of level 0 with its
 * bundle. To that comes the widest partial tile of level 0 behind them. Files beyond that were
 * left by an append that was interrupted; they were never published and are written over.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/log/log.h"
#include "core/file.h"

/* ----------------------------------------------------------------- directory */

int log_store_open(const char *dir, bool write, struct log_store *out)
{
	size_t n = strlen(dir);

	if (n == 0 || n >= sizeof(out->dir))
		return -ENAMETOOLONG;
	memcpy(out->dir, dir, n + 1);
	out->fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (out->fd < 0)
		return -errno;
	while (flock(out->fd, write ? LOCK_EX : LOCK_SH)) {
		int err = errno;

		if (err == EINTR)
			continue;
		close(out->fd);
		return -err;
	}
	return 0;
}

void log_store_close(struct log_store *s)
{
	close(s->fd);
	s->fd = -1;
}

void log_bytes_free(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static int path_in(const struct log_store *s, const char *name, char path[static PATH_MAX])
{
	int n = snprintf(path, PATH_MAX, "%s/%s", s->dir, name);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int log_store_read(const struct log_store *s, const char *name, size_t max, struct bytes *out)
{
	char path[PATH_MAX];
	uint8_t *p;
	size_t n;
	int ret = path_in(s, name, path);

	if (!ret)
		ret = file_read(path, max, &p, &n);
	if (!ret)
		*out = (struct bytes){p, n};
	return ret;
}

/* Makes the folders of name, and makes each durable in the one above. */
static int make_folders(const struct log_store *s, const char *name)
{
	char path[TILE_PATH_MAX];
	size_t n = strlen(name);
	int above = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
	int ret = 0;

	if (above < 0)
		return -errno;
	if (n >= sizeof(path))
		ret = -ENAMETOOLONG;
	for (size_t at = 0; !ret && at < n; at++) {
		if (name[at] != '/')
			continue;
		memcpy(path, name, at);
		path[at] = '\0';
		if (mkdirat(s->fd, path, 0755) == 0) {
			if (fsync(above))
				ret = -errno;
		} else if (errno != EEXIST) {
			ret = -errno;
		}
		close(above);
		above = openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (above < 0)
			return ret ? ret : -errno;
	}
	close(above);
	return ret;
}

int log_store_write(const struct log_store *s, const char *name, struct bytes content)
{
	char path[PATH_MAX];
	int ret = path_in(s, name, path);

	if (!ret)
		ret = make_folders(s, name);
	return ret ? ret : file_write_atomic(path, content, 0644);
}

int log_store_put(const struct log_store *s, const char *name, struct bytes content)
{
	int ret = file_put_at(s->fd, name, content, 0644);

	if (ret != -ENOENT)
		return ret;
	ret = make_folders(s, name);
	return ret ? ret : file_put_at(s->fd, name, content, 0644);
}

int log_store_sync(const struct log_store *s)
{
	return syncfs(s->fd) ? -errno : 0;
}

/* ---------------------------------------------------------------------- size */

/* Anything but "it is there" and "it is not" is an error: a log must not look shorter than it is.
 */
static int have_full_tile(const struct log_store *s, unsigned level, uint64_t n, bool *out)
{
	char name[TILE_PATH_MAX];
	int ret = ledger_tile_path(level, n, TILE_WIDTH, name, sizeof(name));

	if (ret)
		return ret;
	*out = faccessat(s->fd, name, F_OK, 0) == 0;
	return *out || errno == ENOENT ? 0 : -errno;
}

/* So many full tiles of a level are there; each is written after the one before it. */
static int full_tiles(const struct log_store *s, unsigned level, uint64_t *out)
{
	uint64_t low = 0; /* so many are there */
	uint64_t high = 1;
	bool doubling = true;

	while (doubling || high - low > 1) {
		uint64_t mid = doubling ? high : low + (high - low) / 2;
		bool there;
		int ret = mid < INT64_MAX / TILE_BYTES ? have_full_tile(s, level, mid - 1, &there)
		                                       : -EOVERFLOW;

		if (ret)
			return ret;
		if (there)
			low = mid;
		else
			high = mid;
		doubling = doubling && there;
		if (doubling)
			high *= 2;
	}
	*out = low;
	return 0;
}

/* The folder of the partial tiles in a place, NULL in *out where there is none. */
static int open_partials(const struct log_store *s, unsigned level, uint64_t n, DIR **out)
{
	char name[TILE_PATH_MAX];
	int ret = ledger_tile_path(level, n, 1, name, sizeof(name));

	*out = NULL;
	if (ret)
		return ret;
	*strrchr(name, '/') = '\0';

	int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	*out = fdopendir(fd);
	if (!*out) {
		ret = -errno;
		close(fd);
	}
	return ret;
}

/* The widest partial tile in a place; 0 if there is none. */
static int widest_partial(const struct log_store *s, unsigned level, uint64_t n, uint64_t *out)
{
	DIR *d;
	int ret = open_partials(s, level, n, &d);

	*out = 0;
	if (ret || !d)
		return ret;
	errno = 0;
	for (const struct dirent *e = readdir(d); e; errno = 0, e = readdir(d)) {
		uint64_t width;

		/* Anything else is what an interrupted write left behind. */
		if (decimal_u64(bytes_str(e->d_name), TILE_WIDTH - 1, &width) == 0 && width > *out)
			*out = width;
	}
	ret = -errno;
	closedir(d);
	return ret;
}

int log_store_no_partials(const struct log_store *s, uint64_t n)
{
	DIR *d;
	int ret = open_partials(s, 0, n, &d);

	if (ret || !d)
		return ret;
	for (const struct dirent *e = readdir(d); !ret && e; e = readdir(d)) {
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0))
			ret = -errno;
	}
	closedir(d);
	return ret;
}

int log_store_size(const struct log_store *s, uint64_t *out)
{
	uint64_t full;
	uint64_t named = 0;
	uint64_t partial = 0;
	int ret = full_tiles(s, 1, &full);

	if (!ret)
		ret = widest_partial(s, 1, full, &named);
	if (ret)
		return ret;
	named += full * TILE_WIDTH;
	ret = widest_partial(s, 0, named, &partial);
	if (!ret)
		*out = named * TILE_WIDTH + partial;
	return ret;
}

/* --------------------------------------------------------------------- tiles */

/* The file as it was served for this width, or the full one that took its place, cut. */
static int read_either(const struct log_store *s, const char *partial, const char *full, size_t max,
                       struct bytes *out)
{
	int ret = log_store_read(s, partial, max, out);

	return ret == -ENOENT ? log_store_read(s, full, max, out) : ret;
}

int log_store_tile(void *ctx, unsigned level, uint64_t n, unsigned width,
                   struct hash tile[static TILE_WIDTH])
{
	const struct log_store *s = ctx;
	char partial[TILE_PATH_MAX];
	char full[TILE_PATH_MAX];
	struct bytes data;
	int ret = ledger_tile_path(level, n, width, partial, sizeof(partial));

	if (!ret)
		ret = ledger_tile_path(level, n, TILE_WIDTH, full, sizeof(full));
	if (!ret)
		ret = read_either(s, partial, full, TILE_BYTES, &data);
	if (ret)
		return ret;
	if (data.n == TILE_BYTES)
		data.n = (size_t)width * HASH_LEN;
	ret = ledger_tile_parse(data, width, tile);
	log_bytes_free(data);
	return ret;
}
