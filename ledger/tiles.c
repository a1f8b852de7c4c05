/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP tlog-tiles: the names of tiles and entry bundles, any node of the tree out of tiles, and
 * whether a bundle holds what the tree was made of. Fetching is the caller's: a tile is as hostile
 * as the place it comes from, so what is computed from tiles proves nothing until it was compared
 * with a signed root.
 */
#include "ledger/ledger.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TILE_HEIGHT = 8, TILE_LEVEL_MAX = 63, INDEX_GROUPS = 7 /* of three digits: 2^64 has 20 */ };

/* "prefix/x001/x234/067" and, for a partial tile, ".p/W". */
static int path_of(const char *prefix, uint64_t n, unsigned width, char *out, size_t cap)
{
	unsigned group[INDEX_GROUPS];
	size_t groups = 0;
	char t[TILE_PATH_MAX];

	if (width < 1 || width > TILE_WIDTH)
		return -EINVAL;
	do {
		group[groups++] = (unsigned)(n % 1000);
		n /= 1000;
	} while (n);

	/* The longest: 12 + 7 * 5 + 6 bytes. */
	int len = snprintf(t, sizeof(t), "%s", prefix);

	while (groups--)
		len += snprintf(t + len, sizeof(t) - (size_t)len, "/%s%03u", groups ? "x" : "",
		                group[groups]);
	if (width < TILE_WIDTH)
		len += snprintf(t + len, sizeof(t) - (size_t)len, ".p/%u", width);
	if ((size_t)len >= cap)
		return -ENOSPC;
	memcpy(out, t, (size_t)len + 1);
	return 0;
}

int ledger_tile_path(unsigned level, uint64_t n, unsigned width, char *out, size_t cap)
{
	char prefix[16];

	if (level > TILE_LEVEL_MAX)
		return -EINVAL;
	snprintf(prefix, sizeof(prefix), "tile/%u", level);
	return path_of(prefix, n, width, out, cap);
}

int ledger_entries_path(uint64_t n, unsigned width, char *out, size_t cap)
{
	return path_of("tile/entries", n, width, out, cap);
}

int ledger_tile_parse(struct bytes data, unsigned width, struct hash tile[static TILE_WIDTH])
{
	if (width < 1 || width > TILE_WIDTH || data.n != (size_t)width * HASH_LEN)
		return -EINVAL;
	memcpy(tile, data.p, data.n);
	return 0;
}

int ledger_entries_parse(struct bytes data, unsigned width, struct bytes entry[static TILE_WIDTH])
{
	struct reader r = reader_of(data);

	if (width < 1 || width > TILE_WIDTH)
		return -EINVAL;
	for (unsigned i = 0; i < width; i++)
		entry[i] = rd_vec16(&r);
	return rd_done(&r) ? 0 : -EINVAL;
}

unsigned ledger_entries_width(uint64_t n, uint64_t size)
{
	uint64_t left;

	if (n > INT64_MAX / TILE_WIDTH || n * TILE_WIDTH >= size)
		return 0;
	left = size - n * TILE_WIDTH;
	return left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
}

int ledger_entries_cut(struct bytes full, unsigned width, struct bytes *out)
{
	struct bytes entry[TILE_WIDTH];

	if (width < 1 || width > TILE_WIDTH || ledger_entries_parse(full, TILE_WIDTH, entry))
		return -EINVAL;
	*out = (struct bytes){full.p, (size_t)(entry[width - 1].p - full.p) + entry[width - 1].n};
	return 0;
}

/* A ledger_node_fn over the hashes of one bundle's leaves, as a tree of their own. */
static int node_of_leaves(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	const struct hash *leaf = ctx;
	struct hash h[TILE_WIDTH];
	size_t n = (size_t)1 << level;

	memcpy(h, leaf + (index << level), n * sizeof(*h));
	for (; n > 1; n /= 2)
		for (size_t i = 0; i < n / 2; i++)
			ledger_node_hash(&h[2 * i], &h[2 * i + 1], &h[i]);
	*out = h[0];
	return 0;
}

int ledger_entries_verify(struct bytes data, uint64_t n, uint64_t size, const struct hash *root,
                          const struct hash *proof, size_t proof_n,
                          struct bytes entry[static TILE_WIDTH])
{
	unsigned width = ledger_entries_width(n, size);
	struct hash leaf[TILE_WIDTH];
	struct subtree s = {.start = n * TILE_WIDTH, .end = n * TILE_WIDTH + width};
	int ret = width ? ledger_entries_parse(data, width, entry) : -EINVAL;

	for (unsigned i = 0; !ret && i < width; i++)
		ledger_leaf_hash(entry[i], &leaf[i]);
	if (!ret)
		ret = ledger_root(node_of_leaves, leaf, width, &s.root);
	return ret ? ret : ledger_subtree_consistency(&s, size, root, proof, proof_n);
}

int ledger_tiles_node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	const struct ledger_tiles *tiles = ctx;
	struct hash tile[TILE_WIDTH];
	unsigned tile_level = level / TILE_HEIGHT;
	unsigned height = level % TILE_HEIGHT; /* of the node above the tile's hashes */

	/* index < size >> level: the whole subtree is there. */
	if (tiles->size > INT64_MAX || level > 62 || index >= tiles->size >> level)
		return -EINVAL;

	uint64_t first = index << height; /* of the tile level's hashes */
	uint64_t have = tiles->size >> (tile_level * TILE_HEIGHT);
	uint64_t n = first / TILE_WIDTH;
	uint64_t width = have - n * TILE_WIDTH;

	if (width > TILE_WIDTH)
		width = TILE_WIDTH;

	int ret = tiles->fetch(tiles->ctx, tile_level, n, (unsigned)width, tile);

	if (ret)
		return ret;

	struct hash *h = tile + first % TILE_WIDTH;

	for (unsigned count = 1u << height; count > 1; count /= 2) {
		for (unsigned i = 0; i < count / 2; i++)
			ledger_node_hash(&h[(size_t)2 * i], &h[(size_t)2 * i + 1], &h[i]);
	}
	*out = h[0];
	return 0;
}
