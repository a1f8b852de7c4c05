/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles: their names, and trees and proofs made out of tiles that hold hashes or lies. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

/* -------------------------------------------------------------------- paths */

static void path_row(const struct row *r, void *ctx)
{
	size_t *seen = ctx;
	char path[TILE_PATH_MAX];

	if (strcmp(r->f[0], "encode") == 0) {
		unsigned width = (unsigned)strtoul(r->f[3], NULL, 10);

		assert_int_equal(ledger_tile_path((unsigned)strtoul(r->f[1], NULL, 10),
		                                  strtoull(r->f[2], NULL, 10),
		                                  width ? width : TILE_WIDTH, path, sizeof(path)),
		                 0);
		assert_string_equal(path, r->f[4]);
		seen[0]++;
	} else if (strcmp(r->f[0], "size") == 0) {
		/* What tiles a tree of that size has at a level. */
		uint64_t have = strtoull(r->f[1], NULL, 10) >> (8 * strtoull(r->f[2], NULL, 10));

		assert_int_equal(have / TILE_WIDTH, strtoull(r->f[3], NULL, 10));
		assert_int_equal(have % TILE_WIDTH, strtoull(r->f[4], NULL, 10));
		seen[1]++;
	} else {
		assert_string_equal(r->f[0], "decode"); /* nobody here reads such paths */
		seen[2]++;
	}
}

static void path_vectors(void **state)
{
	size_t seen[3] = {0};

	(void)state;
	need_vectors("tiles/paths.tsv");
	each_row("tiles/paths.tsv", path_row, seen);
	assert_int_equal(seen[0], 9);
	assert_int_equal(seen[1], 23);
	assert_int_equal(seen[2], 14);
}

static void paths(void **state)
{
	char p[TILE_PATH_MAX];

	(void)state;
	assert_int_equal(ledger_tile_path(0, 1234067, 256, p, sizeof(p)), 0);
	assert_string_equal(p, "tile/0/x001/x234/067");
	assert_int_equal(ledger_entries_path(1000, 7, p, sizeof(p)), 0);
	assert_string_equal(p, "tile/entries/x001/000.p/7");
	assert_int_equal(ledger_tile_path(63, UINT64_MAX, 255, p, sizeof(p)), 0);
	assert_string_equal(p, "tile/63/x018/x446/x744/x073/x709/x551/615.p/255");
	assert_int_equal(ledger_tile_path(64, 0, 256, p, sizeof(p)), -EINVAL);
	assert_int_equal(ledger_tile_path(0, 0, 0, p, sizeof(p)), -EINVAL);
	assert_int_equal(ledger_tile_path(0, 0, 257, p, sizeof(p)), -EINVAL);
	assert_int_equal(ledger_tile_path(0, 0, 256, p, 10), -ENOSPC);
	assert_int_equal(ledger_tile_path(0, 0, 256, p, 11), 0);
	assert_string_equal(p, "tile/0/000");
}

/* --------------------------------------------------------------- from files */

static int fetch_file(void *ctx, unsigned level, uint64_t n, unsigned width,
                      struct hash tile[static TILE_WIDTH])
{
	char path[TILE_PATH_MAX];
	char name[256];
	struct bytes b;
	int ret = ledger_tile_path(level, n, width, path, sizeof(path));

	assert_int_equal(ret, 0);
	snprintf(name, sizeof(name), "%s/%s", (const char *)ctx, path);
	b = vector_read(name);
	ret = ledger_tile_parse(b, width, tile);
	bytes_done(b);
	return ret;
}

static void assert_root(const char *dir, uint64_t size, const char *hex)
{
	struct ledger_tiles t = {fetch_file, (void *)(uintptr_t)dir, size};
	struct hash want;
	struct hash got;

	assert_true(hash_of(hex, &want));
	assert_int_equal(ledger_root(ledger_tiles_node, &t, size, &got), 0);
	assert_memory_equal(got.v, want.v, HASH_LEN);
}

static void roots_of_files(void **state)
{
	(void)state;
	need_vectors("tiles/tessera/checkpoint.15");
	assert_root("tiles/tessera", 6,
	            "6bab16bec736784ce68fbdaf6a1ee6679770165b62bde861d9bd75ab0969e498");
	assert_root("tiles/tessera", 10,
	            "cbcfe066c642b62b6c31a9f4f6d63e93c23b429afb6397db3b6b4b8bd1909df5");
	assert_root("tiles/tessera", 15,
	            "aca6c38a90af86e5f5199ee0e4105ef2c03a05b27b8daff59e4e36eefdfcddcb");
	assert_root("tiles/sunlight-mirror", 300,
	            "830df5c90aea65909c10e3ebcd7f9ba72de727a4209e04ca9fc1b59b48badae5");
	assert_root("tiles/syn600", 300,
	            "edde16a5385eadec74784bf41a1a34eb1aa1d332a1937b1e78de5a925c770b35");
	assert_root("tiles/syn600", 600,
	            "1907c4837a483d51065fb24ba10440275812853596057181a9c48d7c475372ea");
}

static void proof_row(const struct row *r, void *ctx)
{
	uint64_t a = strtoull(r->f[1], NULL, 10);
	uint64_t size = strtoull(r->f[2], NULL, 10);
	struct ledger_tiles t = {fetch_file, (void *)(uintptr_t) "tiles/syn600", size};
	struct hash want[PATH_MAX_HASHES];
	struct hash got[PATH_MAX_HASHES];
	size_t n = 0;

	(void)ctx;
	if (strcmp(r->f[0], "inclusion") == 0)
		assert_int_equal(ledger_prove_inclusion(ledger_tiles_node, &t, a, size, got, &n),
		                 0);
	else
		assert_int_equal(ledger_prove_consistency(ledger_tiles_node, &t, a, size, got, &n),
		                 0);
	assert_int_equal(hashes_of(r->f[3], want, PATH_MAX_HASHES), n);
	assert_memory_equal(got, want, n * sizeof(got[0]));
}

static void proofs_of_files(void **state)
{
	(void)state;
	need_vectors("tiles/syn600/proofs.tsv");
	assert_int_equal(each_row("tiles/syn600/proofs.tsv", proof_row, NULL), 8);
}

/* Each entry of a bundle hashes to what the tile beside it holds. */
static void assert_bundle(const char *dir, uint64_t n, unsigned width)
{
	struct bytes entry[TILE_WIDTH];
	struct hash tile[TILE_WIDTH];
	struct hash leaf;
	char path[TILE_PATH_MAX];
	char name[256];
	struct bytes b;

	assert_int_equal(fetch_file((void *)(uintptr_t)dir, 0, n, width, tile), 0);
	assert_int_equal(ledger_entries_path(n, width, path, sizeof(path)), 0);
	snprintf(name, sizeof(name), "%s/%s", dir, path);
	b = vector_read(name);
	assert_int_equal(ledger_entries_parse(b, width, entry), 0);
	for (unsigned i = 0; i < width; i++) {
		ledger_leaf_hash(entry[i], &leaf);
		assert_memory_equal(leaf.v, tile[i].v, HASH_LEN);
	}
	if (width > 1)
		assert_int_equal(ledger_entries_parse(b, width - 1, entry), -EINVAL);
	bytes_done(b);
}

static void bundles(void **state)
{
	(void)state;
	need_vectors("tiles/syn600/tile/entries/000");
	assert_bundle("tiles/syn600", 0, TILE_WIDTH);
	assert_bundle("tiles/syn600", 1, TILE_WIDTH);
	assert_bundle("tiles/syn600", 1, 44);
	assert_bundle("tiles/syn600", 2, 88);
	assert_bundle("tiles/tessera", 0, 15);
	assert_bundle("tiles/tessera", 0, 6);
}

/* Every smaller tile that was published is the start of the larger one, and so are its entries. */
static void smaller_tiles(void **state)
{
	static const unsigned widths[] = {6, 7, 8, 9, 10, 11, 12, 14};
	void *dir = (void *)(uintptr_t) "tiles/tessera";
	struct ledger_tiles all = {fetch_file, dir, 15};
	struct hash proof[PATH_MAX_HASHES];
	struct hash from;
	struct hash to;
	size_t n;

	(void)state;
	need_vectors("tiles/tessera/checkpoint.15");
	assert_int_equal(ledger_root(ledger_tiles_node, &all, 15, &to), 0);
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		struct ledger_tiles t = {fetch_file, dir, widths[i]};

		assert_int_equal(ledger_root(ledger_tiles_node, &t, widths[i], &from), 0);
		assert_int_equal(
		        ledger_prove_consistency(ledger_tiles_node, &all, widths[i], 15, proof, &n),
		        0);
		assert_int_equal(ledger_consistency(widths[i], &from, 15, &to, proof, n), 0);
		assert_bundle("tiles/tessera", 0, widths[i]);
	}
}

/* The path of leaf 0 hashes all that a full tile has, up to the tile above it. */
static void full_tile(void **state)
{
	struct ledger_tiles t = {fetch_file, (void *)(uintptr_t) "tiles/sunlight-mirror", 300};
	struct hash path[PATH_MAX_HASHES];
	struct hash leaf;
	struct hash root;
	size_t n;

	(void)state;
	need_vectors("tiles/sunlight-mirror/tile/0/000");
	assert_int_equal(ledger_tiles_node(&t, 0, 0, &leaf), 0);
	assert_int_equal(ledger_root(ledger_tiles_node, &t, 300, &root), 0);
	assert_int_equal(ledger_prove_inclusion(ledger_tiles_node, &t, 0, 300, path, &n), 0);
	assert_int_equal(ledger_inclusion(0, 300, &leaf, path, n, &root), 0);
}

static int fetch_bent(void *ctx, unsigned level, uint64_t n, unsigned width,
                      struct hash tile[static TILE_WIDTH])
{
	struct bytes b = vector_read(ctx);
	int ret = ledger_tile_parse(b, width, tile);

	(void)level;
	(void)n;
	bytes_done(b);
	return ret;
}

static int bent_root(const char *name, struct hash *out)
{
	struct ledger_tiles t = {fetch_bent, (void *)(uintptr_t)name, 15};

	return ledger_root(ledger_tiles_node, &t, 15, out);
}

static void bent_files(void **state)
{
	static const char *const bad[] = {"tiles/neg/entries-extra-empty",
	                                  "tiles/neg/entries-overlong-len",
	                                  "tiles/neg/entries-truncated"};
	struct bytes entry[TILE_WIDTH];
	struct hash good;
	struct hash got;

	(void)state;
	need_vectors("tiles/neg/tile-bitflip-0-000.p-15");
	assert_true(
	        hash_of("aca6c38a90af86e5f5199ee0e4105ef2c03a05b27b8daff59e4e36eefdfcddcb", &good));
	assert_int_equal(bent_root("tiles/tessera/tile/0/000.p/15", &got), 0);
	assert_memory_equal(got.v, good.v, HASH_LEN);
	/* A wrong hash makes a wrong root, which is what the signed one is compared with. */
	assert_int_equal(bent_root("tiles/neg/tile-bitflip-0-000.p-15", &got), 0);
	assert_memory_not_equal(got.v, good.v, HASH_LEN);
	assert_int_equal(bent_root("tiles/neg/tile-short-0-000.p-15", &got), -EINVAL);
	assert_int_equal(bent_root("tiles/neg/tile-width14-as-15", &got), -EINVAL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct bytes b = vector_read(bad[i]);

		assert_int_equal(ledger_entries_parse(b, 15, entry), -EINVAL);
		bytes_done(b);
	}
}

/* -------------------------------------------------------------- from memory */

/* Leaves are d[i] = the four bytes of i; nodes by definition. */
static int any_node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	uint8_t d[4] = {(uint8_t)(index >> 24), (uint8_t)(index >> 16), (uint8_t)(index >> 8),
	                (uint8_t)index};
	struct hash a;
	struct hash b;

	if (level == 0) {
		ledger_leaf_hash(BYTES_OF(d), out);
		return 0;
	}
	any_node(ctx, level - 1, 2 * index, &a);
	any_node(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static int fetch_made(void *ctx, unsigned level, uint64_t n, unsigned width,
                      struct hash tile[static TILE_WIDTH])
{
	uint64_t size = *(uint64_t *)ctx;
	uint64_t have = size >> (8 * level);
	uint64_t want = have - n * TILE_WIDTH > TILE_WIDTH ? TILE_WIDTH : have - n * TILE_WIDTH;

	/* Exactly the tile as it stands for that size. */
	assert_true(n * TILE_WIDTH < have);
	assert_int_equal(width, want);
	for (unsigned i = 0; i < width; i++)
		any_node(NULL, 8 * level, n * TILE_WIDTH + i, &tile[i]);
	return 0;
}

static void same_as_the_tree(void **state)
{
	static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 600, 1024};
	struct hash a[PATH_MAX_HASHES];
	struct hash b[PATH_MAX_HASHES];
	size_t a_n;
	size_t b_n;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t size = sizes[i];
		struct ledger_tiles t = {fetch_made, &size, size};

		assert_int_equal(ledger_root(any_node, NULL, size, a), 0);
		assert_int_equal(ledger_root(ledger_tiles_node, &t, size, b), 0);
		assert_memory_equal(a, b, HASH_LEN);
		for (uint64_t k = 0; k < size; k += 1 + size / 7) {
			assert_int_equal(ledger_prove_inclusion(any_node, NULL, k, size, a, &a_n),
			                 0);
			assert_int_equal(
			        ledger_prove_inclusion(ledger_tiles_node, &t, k, size, b, &b_n), 0);
			assert_int_equal(a_n, b_n);
			assert_memory_equal(a, b, a_n * sizeof(a[0]));
		}
	}
}

static int no_tile(void *ctx, unsigned level, uint64_t n, unsigned width,
                   struct hash tile[static TILE_WIDTH])
{
	(void)ctx;
	(void)level;
	(void)n;
	(void)width;
	(void)tile;
	return -ENOENT;
}

static void bounds(void **state)
{
	struct ledger_tiles t = {no_tile, NULL, 300};
	struct hash h;

	(void)state;
	assert_int_equal(ledger_tiles_node(&t, 0, 299, &h), -ENOENT);
	assert_int_equal(ledger_tiles_node(&t, 0, 300, &h), -EINVAL);
	assert_int_equal(ledger_tiles_node(&t, 8, 1, &h), -EINVAL);
	assert_int_equal(ledger_tiles_node(&t, 9, 0, &h), -EINVAL);
	assert_int_equal(ledger_tiles_node(&t, 63, 0, &h), -EINVAL);
	assert_int_equal(ledger_tiles_node(&t, 64, 0, &h), -EINVAL);
	assert_int_equal(ledger_tiles_node(&t, 1, UINT64_MAX, &h), -EINVAL);
	t.size = UINT64_MAX;
	assert_int_equal(ledger_tiles_node(&t, 0, 0, &h), -EINVAL);
	t.size = INT64_MAX;
	assert_int_equal(ledger_tiles_node(&t, 62, 0, &h), -ENOENT);
	assert_int_equal(ledger_tiles_node(&t, 62, 1, &h), -EINVAL);
}

static void served(void **state)
{
	static const uint8_t two[] = {0, 1, 'a', 0, 0};
	uint8_t raw[3 * HASH_LEN] = {0};
	struct bytes entry[TILE_WIDTH];
	struct hash tile[TILE_WIDTH];

	(void)state;
	assert_int_equal(ledger_tile_parse(BYTES_OF(raw), 3, tile), 0);
	assert_int_equal(ledger_tile_parse(BYTES_OF(raw), 2, tile), -EINVAL);
	assert_int_equal(ledger_tile_parse(BYTES_OF(raw), 4, tile), -EINVAL);
	assert_int_equal(ledger_tile_parse(BYTES_NONE, 0, tile), -EINVAL);
	assert_int_equal(ledger_tile_parse(BYTES_OF(raw), 257, tile), -EINVAL);
	assert_int_equal(ledger_entries_parse(BYTES_OF(two), 2, entry), 0);
	assert_int_equal(entry[0].n, 1);
	assert_int_equal(entry[1].n, 0);
	assert_int_equal(ledger_entries_parse(BYTES_OF(two), 1, entry), -EINVAL);
	assert_int_equal(ledger_entries_parse(BYTES_OF(two), 3, entry), -EINVAL);
	assert_int_equal(ledger_entries_parse(BYTES_OF(two), 0, entry), -EINVAL);
	assert_int_equal(ledger_entries_parse(BYTES_OF(two), 257, entry), -EINVAL);
}

/* ------------------------------------------------- a bundle and its tree */

enum { BUNDLE = 300 * 6 };

/* The bundle as it is served, of the tree of any_node. */
static struct bytes made_bundle(uint64_t n, unsigned width, uint8_t out[static BUNDLE])
{
	struct buf b = buf_make(BUNDLE);
	struct bytes v;

	for (uint64_t i = n * TILE_WIDTH; i < n * TILE_WIDTH + width; i++) {
		buf_be16(&b, 4);
		buf_be32(&b, (uint32_t)i);
	}
	assert_false(b.bad);
	memcpy(out, b.p, b.n);
	v = (struct bytes){out, b.n};
	buf_free(&b);
	return v;
}

static void widths(void **state)
{
	(void)state;
	assert_int_equal(ledger_entries_width(0, 0), 0);
	assert_int_equal(ledger_entries_width(0, 1), 1);
	assert_int_equal(ledger_entries_width(0, 256), 256);
	assert_int_equal(ledger_entries_width(1, 256), 0);
	assert_int_equal(ledger_entries_width(1, 300), 44);
	assert_int_equal(ledger_entries_width(0, 300), 256);
	assert_int_equal(ledger_entries_width(UINT64_MAX / 256 + 1, 300), 0);
	assert_int_equal(ledger_entries_width(INT64_MAX / 256, INT64_MAX), 255);
}

static void verified_bundles(void **state)
{
	static const uint64_t sizes[] = {1, 255, 256, 257, 512, 600, 1000};
	struct hash proof[PATH_MAX_HASHES], root;
	struct bytes entry[TILE_WIDTH], b;
	uint8_t raw[BUNDLE];
	size_t p;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t size = sizes[i];

		assert_int_equal(ledger_root(any_node, NULL, size, &root), 0);
		for (uint64_t n = 0; n * TILE_WIDTH < size; n++) {
			unsigned width = ledger_entries_width(n, size);
			uint64_t end = n * TILE_WIDTH + width;

			b = made_bundle(n, width, raw);
			assert_int_equal(ledger_prove_subtree(any_node, NULL, n * TILE_WIDTH, end,
			                                      size, proof, &p),
			                 0);
			assert_int_equal(ledger_entries_verify(b, n, size, &root, proof, p, entry),
			                 0);
			assert_int_equal(entry[width - 1].n, 4);
			raw[b.n - 1] ^= 1; /* of the last entry */
			assert_int_equal(ledger_entries_verify(b, n, size, &root, proof, p, entry),
			                 -EBADMSG);
			raw[b.n - 1] ^= 1;
			root.v[0] ^= 1;
			assert_int_equal(ledger_entries_verify(b, n, size, &root, proof, p, entry),
			                 -EBADMSG);
			root.v[0] ^= 1;
			b.n--;
			assert_int_equal(ledger_entries_verify(b, n, size, &root, proof, p, entry),
			                 -EINVAL);
		}
	}
	b = made_bundle(4, 1, raw);
	assert_int_equal(ledger_entries_verify(b, 4, 1000, &root, proof, 0, entry), -EINVAL);
}

/* Where the partial bundle is gone, the full one begins with it. */
static void cut_bundles(void **state)
{
	static const uint8_t empty[2 * TILE_WIDTH];
	uint8_t raw[BUNDLE], small[BUNDLE];
	struct bytes full = made_bundle(1, TILE_WIDTH, raw), want, got;

	(void)state;
	want = made_bundle(1, 44, small);
	assert_int_equal(ledger_entries_cut(full, 44, &got), 0);
	assert_true(bytes_equal(got, want));
	assert_int_equal(ledger_entries_cut(full, TILE_WIDTH, &got), 0);
	assert_true(bytes_equal(got, full));
	assert_int_equal(ledger_entries_cut(full, 0, &got), -EINVAL);
	assert_int_equal(ledger_entries_cut(full, 257, &got), -EINVAL);
	assert_int_equal(ledger_entries_cut(want, 1, &got), -EINVAL);
	assert_int_equal(ledger_entries_cut(BYTES_OF(empty), 3, &got), 0);
	assert_int_equal(got.n, 6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(path_vectors),     cmocka_unit_test(paths),
	        cmocka_unit_test(roots_of_files),   cmocka_unit_test(proofs_of_files),
	        cmocka_unit_test(bundles),          cmocka_unit_test(smaller_tiles),
	        cmocka_unit_test(full_tile),        cmocka_unit_test(bent_files),
	        cmocka_unit_test(same_as_the_tree), cmocka_unit_test(bounds),
	        cmocka_unit_test(served),           cmocka_unit_test(widths),
	        cmocka_unit_test(verified_bundles), cmocka_unit_test(cut_bundles),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
