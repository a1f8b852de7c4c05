/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a log: tiles and bundles in and out of files, and the adding of leaves.
 *
 * The tile of level 0 is written last, so what it holds is what the log holds: whatever a crash
 * leaves behind beyond it was never published and is written over. Partial tiles of sizes that
 * were published stay (C2SP tlog-tiles); those of sizes in between go.
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

enum { LEVEL_BITS = 8, LEVELS = 8, BUNDLE_MAX = TILE_WIDTH * (2 + LEAF_MAX) };

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

/* ---------------------------------------------------------------------- size */

static bool have_full_tile(const struct log_store *s, uint64_t n)
{
	char name[TILE_PATH_MAX];

	return ledger_tile_path(0, n, TILE_WIDTH, name, sizeof(name)) == 0 &&
	       faccessat(s->fd, name, F_OK, 0) == 0;
}

/* The widest partial tile of level 0 after n full ones; 0 if there is none. */
static int widest_partial(const struct log_store *s, uint64_t n, uint64_t *out)
{
	char name[TILE_PATH_MAX];
	int ret = ledger_tile_path(0, n, 1, name, sizeof(name));

	if (ret)
		return ret;
	*strrchr(name, '/') = '\0';
	*out = 0;

	int fd = openat(s->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;

	DIR *d = fdopendir(fd);

	if (!d) {
		ret = -errno;
		close(fd);
		return ret;
	}
	for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
		uint64_t width;

		/* Anything else is what an interrupted write left behind. */
		if (decimal_u64(bytes_str(e->d_name), TILE_WIDTH - 1, &width) == 0 && width > *out)
			*out = width;
	}
	closedir(d);
	return 0;
}

int log_store_size(const struct log_store *s, uint64_t *out)
{
	uint64_t low = 0; /* so many full tiles are there */
	uint64_t high = 1;
	uint64_t partial;

	while (high < INT64_MAX / TILE_WIDTH / 2 && have_full_tile(s, high - 1)) {
		low = high;
		high *= 2;
	}
	while (high - low > 1) {
		uint64_t mid = low + (high - low) / 2;

		if (have_full_tile(s, mid - 1))
			low = mid;
		else
			high = mid;
	}

	int ret = widest_partial(s, low, &partial);

	if (!ret)
		*out = low * TILE_WIDTH + partial;
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

static int write_tile(const struct log_store *s, unsigned level, uint64_t n, unsigned width,
                      const struct hash *tile)
{
	char name[TILE_PATH_MAX];
	int ret = ledger_tile_path(level, n, width, name, sizeof(name));

	if (ret)
		return ret;
	return log_store_write(
	        s, name, (struct bytes){(const uint8_t *)tile, (size_t)width * sizeof(tile[0])});
}

static int write_bundle(const struct log_store *s, uint64_t n, unsigned width,
                        const struct buf *bundle)
{
	char name[TILE_PATH_MAX];
	int ret = ledger_entries_path(n, width, name, sizeof(name));

	return ret ? ret : log_store_write(s, name, buf_view(bundle));
}

static void tile_root(const struct hash tile[static TILE_WIDTH], struct hash *out)
{
	struct hash h[TILE_WIDTH];

	memcpy(h, tile, sizeof(h));
	for (size_t count = TILE_WIDTH; count > 1; count /= 2) {
		for (size_t i = 0; i < count / 2; i++)
			ledger_node_hash(&h[2 * i], &h[2 * i + 1], &h[i]);
	}
	*out = h[0];
}

/* -------------------------------------------------------------------- append */

int log_append_begin(const struct log_store *s, uint64_t published, struct log_appender *out)
{
	char name[TILE_PATH_MAX];
	struct bytes entry[TILE_WIDTH];
	struct bytes old;
	int ret;

	*out = (struct log_appender){.store = s, .published = published};
	out->bundle = buf_make(BUNDLE_MAX);
	ret = log_store_size(s, &out->size);
	if (ret)
		return ret;
	out->committed = out->size;

	unsigned width = (unsigned)(out->size % TILE_WIDTH);
	uint64_t n = out->size / TILE_WIDTH;

	if (width == 0)
		return 0;
	ret = log_store_tile((void *)(uintptr_t)s, 0, n, width, out->tile);
	if (!ret)
		ret = ledger_entries_path(n, width, name, sizeof(name));
	if (!ret)
		ret = log_store_read(s, name, BUNDLE_MAX, &old);
	if (ret)
		return ret;
	ret = ledger_entries_parse(old, width, entry);
	buf_bytes(&out->bundle, old);
	log_bytes_free(old);
	return ret ? ret : out->bundle.bad ? -ENOMEM : 0;
}

void log_append_free(struct log_appender *a)
{
	buf_free(&a->bundle);
}

/* Takes a full tile of a level up into the levels above it. */
static int carry(const struct log_store *s, uint64_t n, const struct hash full[static TILE_WIDTH])
{
	struct hash tile[TILE_WIDTH];
	struct hash root;

	tile_root(full, &root);
	for (unsigned level = 1;; level++) {
		unsigned width = (unsigned)(n % TILE_WIDTH);
		int ret = 0;

		n /= TILE_WIDTH;
		if (width)
			ret = log_store_tile((void *)(uintptr_t)s, level, n, width, tile);
		if (ret)
			return ret;
		tile[width] = root;
		ret = write_tile(s, level, n, width + 1, tile);
		if (ret || width + 1 < TILE_WIDTH)
			return ret;
		tile_root(tile, &root);
	}
}

static void drop(const struct log_store *s, const char *name)
{
	char folder[TILE_PATH_MAX];

	unlinkat(s->fd, name, 0);
	snprintf(folder, sizeof(folder), "%s", name);
	*strrchr(folder, '/') = '\0';
	unlinkat(s->fd, folder, AT_REMOVEDIR); /* stays unless it is empty */
}

/*
 * Removes the partial tiles of a size that was never published, except those that the new size or
 * the published one has too.
 */
static void drop_partials(const struct log_appender *a, uint64_t old)
{
	char name[TILE_PATH_MAX];

	if (old <= a->published)
		return;
	for (unsigned level = 0; level < LEVELS && old >> (LEVEL_BITS * level); level++) {
		uint64_t have = old >> (LEVEL_BITS * level);
		unsigned width = (unsigned)(have % TILE_WIDTH);

		if (width == 0 || have == a->size >> (LEVEL_BITS * level) ||
		    have == a->published >> (LEVEL_BITS * level))
			continue;
		if (ledger_tile_path(level, have / TILE_WIDTH, width, name, sizeof(name)) == 0)
			drop(a->store, name);
		if (level == 0 &&
		    ledger_entries_path(have / TILE_WIDTH, width, name, sizeof(name)) == 0)
			drop(a->store, name);
	}
}

/* Writes the open tile; width may be that of a full one. */
static int commit(struct log_appender *a, uint64_t n, unsigned width)
{
	uint64_t old = a->committed;
	int ret = write_bundle(a->store, n, width, &a->bundle);

	if (!ret && width == TILE_WIDTH)
		ret = carry(a->store, n, a->tile);
	if (!ret)
		ret = write_tile(a->store, 0, n, width, a->tile);
	if (ret)
		return ret;
	a->committed = a->size;
	drop_partials(a, old);
	return 0;
}

int log_append_leaf(struct log_appender *a, struct bytes leaf)
{
	if (leaf.n > LEAF_MAX)
		return -EFBIG;
	ledger_leaf_hash(leaf, &a->tile[a->size % TILE_WIDTH]);
	buf_be16(&a->bundle, (uint16_t)leaf.n);
	buf_bytes(&a->bundle, leaf);
	if (a->bundle.bad)
		return -ENOMEM;
	a->size++;
	if (a->size % TILE_WIDTH)
		return 0;

	int ret = commit(a, a->size / TILE_WIDTH - 1, TILE_WIDTH);

	buf_reset(&a->bundle);
	return ret;
}

int log_append_end(struct log_appender *a)
{
	if (a->size == a->committed)
		return 0;
	return commit(a, a->size / TILE_WIDTH, (unsigned)(a->size % TILE_WIDTH));
}
