/* SPDX-License-Identifier: Apache-2.0 */
/* Merkle trees: hashes, proofs made and verified, and every way to bend a proof. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

enum { LEAVES = 130 };

/* A store of the leaves d[i] = the byte i. */
static int byte_leaves(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	uint8_t leaf = (uint8_t)index;
	struct hash a;
	struct hash b;

	if (level == 0) {
		ledger_leaf_hash((struct bytes){&leaf, 1}, out);
		return 0;
	}
	byte_leaves(ctx, level - 1, 2 * index, &a);
	byte_leaves(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

/* ------------------------------------------------------------------ vectors */

static struct hash reference_leaf[8];

static int reference_leaves(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	struct hash a;
	struct hash b;

	if (level == 0) {
		*out = reference_leaf[index];
		return 0;
	}
	reference_leaves(ctx, level - 1, 2 * index, &a);
	reference_leaves(ctx, level - 1, 2 * index + 1, &b);
	ledger_node_hash(&a, &b, out);
	return 0;
}

static void hashes_row(const struct row *r, void *ctx)
{
	uint8_t in[64];
	struct hash want;
	struct hash got;
	struct buf node = buf_make(128);
	size_t n = strcmp(r->f[2], "-") == 0 ? 0 : strlen(r->f[2]) / 2;

	assert_true(hash_of(r->f[3], &want));
	if (strcmp(r->f[1], "leaf") == 0) {
		assert_int_equal(hex_decode((struct bytes){(uint8_t *)r->f[2], 2 * n}, in, n), 0);
		ledger_leaf_hash((struct bytes){in, n}, &got);
		if (strncmp(r->f[0], "ref_leaf_", 9) == 0)
			reference_leaf[atoi(r->f[0] + 9)] = got;
	} else if (strcmp(r->f[1], "root_of_0_leaves") == 0) {
		ledger_empty_root(&got);
	} else if (strncmp(r->f[1], "root_of_ref_leaves_0..", 22) == 0) {
		assert_int_equal(ledger_root(reference_leaves, NULL,
		                             strtoull(r->f[1] + 22, NULL, 10) + 1, &got),
		                 0);
	} else {
		/* A node over children that are no hashes: not a thing that we compute. */
		(*(size_t *)ctx)++;
		goto out;
	}
	assert_memory_equal(got.v, want.v, HASH_LEN);
out:
	buf_free(&node);
}

static void hashes(void **state)
{
	size_t left_out = 0;

	(void)state;
	need_vectors("merkle/hashes.tsv");
	assert_int_equal(each_row("merkle/hashes.tsv", hashes_row, &left_out), 20);
	assert_int_equal(left_out, 1);
}

struct counts {
	size_t accepted;
	size_t refused;
	size_t no_hash; /* refused since a root or leaf is not 32 bytes, whatever else holds */
};

static void count_row(struct counts *c, const char *id, const char *want, int ret)
{
	if ((ret == 0) != (strcmp(want, "accept") == 0))
		fail_msg("%s: %d, wanted %s", id, ret, want);
	if (ret == 0)
		c->accepted++;
	else
		c->refused++;
}

/*
 * The table writes a path of one empty hash ("garbage" beside an empty path) like an empty path,
 * so those rows look like the happy one; the id tells them apart.
 */
static int path_of_row(const char *id, const char *list, struct hash *out, size_t cap)
{
	if (strcmp(list, "-") == 0 && strstr(id, "garbage"))
		return -1;
	return hashes_of(list, out, cap);
}

/* id expect index size leaf root proof */
static void inclusion_row(const struct row *r, void *ctx)
{
	struct counts *c = ctx;
	struct hash path[80];
	struct hash leaf;
	struct hash root;
	int n = path_of_row(r->f[0], r->f[6], path, 80);

	if (!hash_of(r->f[4], &leaf) || !hash_of(r->f[5], &root)) {
		assert_string_equal(r->f[1], "reject");
		c->no_hash++;
		return;
	}
	count_row(c, r->f[0], r->f[1],
	          n < 0 ? n
	                : ledger_inclusion(strtoull(r->f[2], NULL, 10), strtoull(r->f[3], NULL, 10),
	                                   &leaf, path, (size_t)n, &root));
}

static void consistency_row(const struct row *r, void *ctx)
{
	struct counts *c = ctx;
	struct hash proof[80];
	struct hash from;
	struct hash to;
	int n = hashes_of(r->f[6], proof, 80);

	if (!hash_of(r->f[4], &from) || !hash_of(r->f[5], &to)) {
		/*
		 * One row is accepted upstream: a library that takes roots of any length finds two
		 * equal strings of 12 bytes to be equal roots. Here a root is 32 bytes; the rest of
		 * that row holds, with real roots.
		 */
		if (strcmp(r->f[1], "accept") == 0) {
			assert_non_null(strstr(r->f[0], "sizes-are-equal-one-and-proof-is-empty"));
			memset(&from, 7, sizeof(from));
			assert_int_equal(ledger_consistency(1, &from, 1, &from, NULL, 0), 0);
		}
		c->no_hash++;
		return;
	}
	count_row(c, r->f[0], r->f[1],
	          n < 0 ? n
	                : ledger_consistency(strtoull(r->f[2], NULL, 10), &from,
	                                     strtoull(r->f[3], NULL, 10), &to, proof, (size_t)n));
}

static void inclusion_vectors(void **state)
{
	struct counts c = {0};

	(void)state;
	need_vectors("merkle/inclusion.tsv");
	assert_int_equal(each_row("merkle/inclusion.tsv", inclusion_row, &c), 61);
	assert_int_equal(c.accepted, 4);
	assert_int_equal(each_row("merkle/oak_tesseroak.tsv", inclusion_row, &c), 2);
	assert_int_equal(c.accepted, 5);
}

static void consistency_vectors(void **state)
{
	struct counts c = {0};

	(void)state;
	need_vectors("merkle/consistency.tsv");
	assert_int_equal(each_row("merkle/consistency.tsv", consistency_row, &c), 67);
	assert_int_equal(c.accepted, 5);
	assert_int_equal(c.accepted + c.refused + c.no_hash, 67);
}

/* The kind comes first. */
static void large_row(const struct row *r, void *ctx)
{
	struct row rest = *r;

	memmove(rest.f, rest.f + 1, sizeof(rest.f) - sizeof(rest.f[0]));
	if (strcmp(r->f[0], "inclusion") == 0)
		inclusion_row(&rest, ctx);
	else
		consistency_row(&rest, ctx);
}

static void large_vectors(void **state)
{
	struct counts c = {0};

	(void)state;
	need_vectors("merkle/ct_argon2020_large.tsv");
	assert_int_equal(each_row("merkle/ct_argon2020_large.tsv", large_row, &c), 6);
	assert_int_equal(c.accepted, 2);
	assert_int_equal(c.refused, 4);
}

/* id expect index start end leaf root proof */
static void subtree_inclusion_row(const struct row *r, void *ctx)
{
	struct counts *c = ctx;
	struct subtree s = {.start = strtoull(r->f[3], NULL, 10),
	                    .end = strtoull(r->f[4], NULL, 10)};
	struct hash path[80];
	struct hash leaf;
	int n = path_of_row(r->f[0], r->f[7], path, 80);

	if (!hash_of(r->f[5], &leaf) || !hash_of(r->f[6], &s.root) || n < 0) {
		assert_string_equal(r->f[1], "reject");
		c->no_hash++;
		return;
	}
	count_row(
	        c, r->f[0], r->f[1],
	        ledger_subtree_inclusion(strtoull(r->f[2], NULL, 10), &s, &leaf, path, (size_t)n));
}

/* id expect start end size subtree_root root proof */
static void subtree_consistency_row(const struct row *r, void *ctx)
{
	struct counts *c = ctx;
	struct subtree s = {.start = strtoull(r->f[2], NULL, 10),
	                    .end = strtoull(r->f[3], NULL, 10)};
	struct hash proof[80];
	struct hash root;
	int n = path_of_row(r->f[0], r->f[7], proof, 80);

	if (!hash_of(r->f[5], &s.root) || !hash_of(r->f[6], &root) || n < 0) {
		/* As in consistency_row: roots that are no hashes, which equal each other. */
		if (strcmp(r->f[1], "accept") == 0)
			assert_non_null(strstr(r->f[0], "subtree-is-empty"));
		c->no_hash++;
		return;
	}
	count_row(c, r->f[0], r->f[1],
	          ledger_subtree_consistency(&s, strtoull(r->f[4], NULL, 10), &root, proof,
	                                     (size_t)n));
}

static void subtree_vectors(void **state)
{
	struct counts c = {0};

	(void)state;
	need_vectors("merkle/subtreeinclusion.tsv");
	assert_int_equal(each_row("merkle/subtreeinclusion.tsv", subtree_inclusion_row, &c), 140);
	assert_int_equal(c.accepted, 6);
	assert_int_equal(each_row("merkle/subtreeconsistency.tsv", subtree_consistency_row, &c),
	                 81);
	assert_true(c.accepted > 6);
}

/* By the definition, in 128 bits. */
static bool subtree_by_definition(uint64_t start, uint64_t end)
{
	unsigned __int128 fits = 1;

	if (start > end)
		return false;
	while (fits < end - start)
		fits <<= 1;
	return start % fits == 0;
}

static void subtree_form(void **state)
{
	static const uint64_t at[] = {0,
	                              1,
	                              2,
	                              3,
	                              7,
	                              8,
	                              UINT64_C(1) << 62,
	                              (UINT64_C(1) << 62) + 1,
	                              INT64_MAX,
	                              UINT64_C(1) << 63,
	                              (UINT64_C(1) << 63) + 1,
	                              UINT64_MAX - 1,
	                              UINT64_MAX};
	const size_t n = sizeof(at) / sizeof(at[0]);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t j = 0; j < n; j++)
			assert_int_equal(ledger_subtree_ok(at[i], at[j]),
			                 subtree_by_definition(at[i], at[j]));
	}
	for (uint64_t i = 0; i < 40; i++) {
		for (uint64_t j = 0; j < 80; j++)
			assert_int_equal(ledger_subtree_ok(i, j), subtree_by_definition(i, j));
	}
}

/* The leaves of byte_leaves from *ctx on. */
static int byte_leaves_from(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	return byte_leaves(NULL, level, index + (*(uint64_t *)ctx >> level), out);
}

/*
 * What a full subtree is proved with is the path of its node; of its own length, under its root and
 * for this subtree only.
 */
static void subtree_proofs(void **state)
{
	struct hash path[PATH_MAX_HASHES];
	struct hash root;
	size_t n;

	(void)state;
	for (uint64_t size = 1; size <= 20; size++) {
		assert_int_equal(ledger_root(byte_leaves, NULL, size, &root), 0);
		for (unsigned level = 0; UINT64_C(1) << level <= size; level++) {
			uint64_t w = UINT64_C(1) << level;

			for (uint64_t start = 0; start + w <= size; start += w) {
				struct subtree s = {.start = start, .end = start + w};

				assert_int_equal(ledger_root(byte_leaves_from, &start, w, &s.root),
				                 0);
				assert_int_equal(ledger_prove_inclusion(byte_leaves, NULL, start,
				                                        size, path, &n),
				                 0);
				/* Below the node there is a sibling a level. */
				assert_int_equal(ledger_subtree_consistency(
				                         &s, size, &root, path + level, n - level),
				                 0);
				if (n > level)
					assert_int_not_equal(ledger_subtree_consistency(
					                             &s, size, &root, path + level,
					                             n - level - 1),
					                     0);
				s.root.v[0] ^= 1;
				assert_int_not_equal(ledger_subtree_consistency(&s, size, &root,
				                                                path + level,
				                                                n - level),
				                     0);
			}
		}
	}
}

/* Whatever is a subtree of a small tree: what is made proves it, and one leaf less or more does
 * not.
 */
static void subtrees_made(void **state)
{
	struct hash proof[PATH_MAX_HASHES], root;
	size_t n = 0;

	(void)state;
	for (uint64_t size = 1; size <= 40; size++) {
		assert_int_equal(ledger_root(byte_leaves, NULL, size, &root), 0);
		for (uint64_t i = 0; i < size * size; i++) {
			uint64_t start = i / size, end = i % size + 1;
			struct subtree s = {.start = start, .end = end};
			int want = ledger_subtree_ok(start, end) ? 0 : -EINVAL;

			assert_int_equal(
			        ledger_subtree_root(byte_leaves, NULL, start, end, &s.root), want);
			assert_int_equal(ledger_prove_subtree(byte_leaves, NULL, start, end, size,
			                                      proof, &n),
			                 want);
			if (want)
				continue;
			assert_int_equal(ledger_subtree_consistency(&s, size, &root, proof, n), 0);
			s.root.v[5] ^= 1;
			if (start < end)
				assert_int_not_equal(
				        ledger_subtree_consistency(&s, size, &root, proof, n), 0);
		}
	}
	assert_int_equal(ledger_prove_subtree(byte_leaves, NULL, 0, 4, 3, proof, &n), -EINVAL);
	assert_int_equal(
	        ledger_prove_subtree(byte_leaves, NULL, 0, 1, UINT64_C(1) << 63, proof, &n),
	        -EINVAL);
	assert_int_equal(ledger_subtree_root(byte_leaves, NULL, 2, 2, &root), 0);
	ledger_empty_root(&proof[0]);
	assert_memory_equal(root.v, proof[0].v, HASH_LEN);
}

static void small_tree_row(const struct row *r, void *ctx)
{
	uint64_t a = strtoull(r->f[1], NULL, 10);
	uint64_t b = strtoull(r->f[2], NULL, 10);
	struct hash got[PATH_MAX_HASHES];
	struct hash want[PATH_MAX_HASHES];
	size_t n = 0;

	(*(size_t *)ctx)++;
	if (strcmp(r->f[0], "root") == 0) {
		assert_int_equal(ledger_root(byte_leaves, NULL, a, got), 0);
		n = 1;
		assert_int_equal(hashes_of(r->f[2], want, 63), 1);
	} else if (strcmp(r->f[0], "inclusion") == 0) {
		assert_int_equal(ledger_prove_inclusion(byte_leaves, NULL, a, b, got, &n), 0);
		assert_int_equal(hashes_of(r->f[3], want, 63), n);
	} else {
		assert_string_equal(r->f[0], "consistency");
		assert_int_equal(ledger_prove_consistency(byte_leaves, NULL, a, b, got, &n), 0);
		assert_int_equal(hashes_of(r->f[3], want, 63), n);
	}
	if (n)
		assert_memory_equal(got, want, n * sizeof(got[0]));
}

static void small_trees(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("merkle/small_trees_1_16.tsv");
	assert_int_equal(each_row("merkle/small_trees_1_16.tsv", small_tree_row, &n), 288);
	assert_int_equal(n, 288);
}

struct rolling {
	EVP_MD_CTX *md;
	char line[80];
};

static void roll(struct rolling *s, const struct hash *h, size_t n)
{
	char hex[2 * HASH_LEN + 1];

	EVP_DigestUpdate(s->md, s->line, strlen(s->line));
	for (size_t i = 0; i < n; i++) {
		hex_encode(BYTES_OF(h[i].v), hex);
		EVP_DigestUpdate(s->md, " ", 1);
		EVP_DigestUpdate(s->md, hex, 2 * HASH_LEN);
	}
	EVP_DigestUpdate(s->md, "\n", 1);
}

/* All trees up to 130 leaves and all their proofs, against one hash over all of them. */
static void accumulated_row(const struct row *r, void *ctx)
{
	struct rolling s = {.md = EVP_MD_CTX_new()};
	struct hash h[PATH_MAX_HASHES];
	struct hash got;
	struct hash want;
	size_t n;

	if (strncmp(r->f[0], "rfc6962_", 8) != 0) {
		EVP_MD_CTX_free(s.md);
		return; /* subtrees: not a thing that we compute */
	}
	(*(size_t *)ctx)++;
	EVP_DigestInit_ex(s.md, EVP_sha256(), NULL);
	for (unsigned size = 1; size <= LEAVES; size++) {
		if (strcmp(r->f[0], "rfc6962_root") == 0) {
			snprintf(s.line, sizeof(s.line), "%u", size);
			assert_int_equal(ledger_root(byte_leaves, NULL, size, h), 0);
			roll(&s, h, 1);
			continue;
		}
		for (unsigned i = 0; i < size; i++) {
			bool inc = strcmp(r->f[0], "rfc6962_inclusion") == 0;

			snprintf(s.line, sizeof(s.line), "%u %u", inc ? i : i + 1, size);
			assert_int_equal(
			        inc ? ledger_prove_inclusion(byte_leaves, NULL, i, size, h, &n)
			            : ledger_prove_consistency(byte_leaves, NULL, i + 1, size, h,
			                                       &n),
			        0);
			roll(&s, h, n);
		}
	}
	EVP_DigestFinal_ex(s.md, got.v, NULL);
	EVP_MD_CTX_free(s.md);
	assert_true(hash_of(r->f[2], &want));
	assert_memory_equal(got.v, want.v, HASH_LEN);
}

static void accumulated(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("merkle/accumulated.tsv");
	assert_int_equal(each_row("merkle/accumulated.tsv", accumulated_row, &n), 7);
	assert_int_equal(n, 3);
}

/* ---------------------------------------------------------------- properties */

/* A proof that holds must not hold once anything in it or beside it is changed. */
static void bend_inclusion(uint64_t i, uint64_t size, const struct hash *leaf, struct hash *path,
                           size_t n, const struct hash *root)
{
	struct hash other = *leaf;

	assert_int_equal(ledger_inclusion(i, size, leaf, path, n, root), 0);
	other.v[31] ^= 1;
	assert_int_equal(ledger_inclusion(i, size, &other, path, n, root), -EBADMSG);
	assert_int_equal(ledger_inclusion(i, size, leaf, path, n, &other), -EBADMSG);
	assert_int_equal(ledger_inclusion(i, size, leaf, path, n + 1, root), -EINVAL);
	if (n)
		assert_int_equal(ledger_inclusion(i, size, leaf, path, n - 1, root), -EINVAL);
	for (uint64_t k = 0; k < size; k++) {
		if (k != i)
			assert_int_not_equal(ledger_inclusion(k, size, leaf, path, n, root), 0);
	}
	for (size_t k = 0; k < n; k++) {
		path[k].v[0] ^= 0x80;
		assert_int_equal(ledger_inclusion(i, size, leaf, path, n, root), -EBADMSG);
		path[k].v[0] ^= 0x80;
	}
}

static void inclusion_bent(void **state)
{
	struct hash path[PATH_MAX_HASHES + 1] = {0};
	struct hash leaf;
	struct hash root;
	size_t n;

	(void)state;
	for (uint64_t size = 1; size <= 33; size++) {
		assert_int_equal(ledger_root(byte_leaves, NULL, size, &root), 0);
		for (uint64_t i = 0; i < size; i++) {
			byte_leaves(NULL, 0, i, &leaf);
			assert_int_equal(
			        ledger_prove_inclusion(byte_leaves, NULL, i, size, path, &n), 0);
			bend_inclusion(i, size, &leaf, path, n, &root);
		}
	}
}

static void bend_consistency(uint64_t m, const struct hash *a, uint64_t n, const struct hash *b,
                             struct hash *proof, size_t len)
{
	struct hash other = *a;

	assert_int_equal(ledger_consistency(m, a, n, b, proof, len), 0);
	other.v[5] ^= 4;
	assert_int_equal(ledger_consistency(m, &other, n, b, proof, len), -EBADMSG);
	assert_int_equal(ledger_consistency(m, a, n, &other, proof, len), -EBADMSG);
	assert_int_equal(ledger_consistency(m, a, n, b, proof, len + 1), -EINVAL);
	if (len)
		assert_int_equal(ledger_consistency(m, a, n, b, proof, len - 1), -EINVAL);
	for (size_t k = 0; k < len; k++) {
		proof[k].v[31] ^= 1;
		assert_int_equal(ledger_consistency(m, a, n, b, proof, len), -EBADMSG);
		proof[k].v[31] ^= 1;
	}
}

static void consistency_bent(void **state)
{
	struct hash proof[PATH_MAX_HASHES + 1] = {0};
	struct hash a;
	struct hash b;
	size_t len;

	(void)state;
	for (uint64_t n = 1; n <= 33; n++) {
		assert_int_equal(ledger_root(byte_leaves, NULL, n, &b), 0);
		for (uint64_t m = 1; m <= n; m++) {
			assert_int_equal(ledger_root(byte_leaves, NULL, m, &a), 0);
			assert_int_equal(
			        ledger_prove_consistency(byte_leaves, NULL, m, n, proof, &len), 0);
			bend_consistency(m, &a, n, &b, proof, len);
		}
	}
}

static void bounds(void **state)
{
	struct hash path[64] = {0};
	struct hash h = {{1}};
	struct hash root;
	size_t n;

	(void)state;
	assert_int_equal(ledger_inclusion(0, 0, &h, NULL, 0, &h), -EINVAL);
	assert_int_equal(ledger_inclusion(1, 1, &h, NULL, 0, &h), -EINVAL);
	/* Not even where a path of that length would lead to the root. */
	ledger_node_hash(&path[0], &h, &root);
	assert_int_equal(ledger_inclusion(1, 1, &h, path, 1, &root), -EINVAL);
	assert_int_equal(ledger_inclusion(UINT64_MAX, 1, &h, NULL, 0, &h), -EINVAL);
	assert_int_equal(ledger_inclusion(0, UINT64_MAX, &h, path, 64, &h), -EINVAL);
	assert_int_equal(ledger_inclusion(0, (uint64_t)INT64_MAX + 1, &h, path, 63, &h), -EINVAL);
	/* The largest tree: its paths have 63 hashes at most. */
	assert_int_equal(ledger_inclusion(0, INT64_MAX, &h, path, 63, &h), -EBADMSG);
	assert_int_equal(ledger_inclusion(INT64_MAX - 1, INT64_MAX, &h, path, 62, &h), -EBADMSG);
	assert_int_equal(ledger_inclusion(0, INT64_MAX, &h, path, 64, &h), -EINVAL);

	assert_int_equal(ledger_consistency(0, &h, 1, &h, NULL, 0), -EINVAL);
	assert_int_equal(ledger_consistency(0, &h, 0, &h, NULL, 0), -EINVAL);
	assert_int_equal(ledger_consistency(2, &h, 1, &h, NULL, 0), -EINVAL);
	assert_int_equal(ledger_consistency(1, &h, UINT64_MAX, &h, path, 64), -EINVAL);
	assert_int_equal(ledger_consistency(1, &h, INT64_MAX, &h, path, 63), -EBADMSG);
	assert_int_equal(ledger_consistency(INT64_MAX - 1, &h, INT64_MAX, &h, path, 63), -EBADMSG);

	assert_int_equal(ledger_prove_inclusion(byte_leaves, NULL, 3, 3, path, &n), -EINVAL);
	assert_int_equal(ledger_prove_consistency(byte_leaves, NULL, 0, 3, path, &n), -EINVAL);
	assert_int_equal(ledger_prove_consistency(byte_leaves, NULL, 4, 3, path, &n), -EINVAL);
	assert_int_equal(ledger_root(byte_leaves, NULL, UINT64_MAX, &h), -EINVAL);
}

/* RFC 6962 hashes of known trees, so that something stands here without any vectors. */
static void known_roots(void **state)
{
	static const struct {
		uint64_t size;
		const char *root;
	} known[] = {
	        {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	        {1, "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"},
	        {2, "a20bf9a7cc2dc8a08f5f415a71b19f6ac427bab54d24eec868b5d3103449953a"},
	        {3, "3b6cccd7e3e023ff393006f030315ee7ad9eb111b022b41fba7e5b7a3973f688"},
	        {5, "b855b42d6c30f5b087e05266783fbd6e394f7b926013ccaa67700a8b0c5a596f"},
	        {7, "3560191803028444b232018ac047fdb561c09c23a7a6876c85e08b5e4d48e9f3"},
	        {8, "ef7f49b620f6c7ea9b963a214da34b5021c6ded8ed57734380a311ab726aa907"},
	};
	struct hash got;
	struct hash want;

	(void)state;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_int_equal(ledger_root(byte_leaves, NULL, known[i].size, &got), 0);
		assert_true(hash_of(known[i].root, &want));
		assert_memory_equal(got.v, want.v, HASH_LEN);
	}
}

static int failing(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	(void)ctx;
	return level == 2 && index == 0 ? -ENOENT : byte_leaves(NULL, level, index, out);
}

static void store_errors(void **state)
{
	struct hash path[PATH_MAX_HASHES];
	struct hash root;
	size_t n = 77;

	(void)state;
	assert_int_equal(ledger_root(failing, NULL, 5, &root), -ENOENT);
	assert_int_equal(ledger_prove_inclusion(failing, NULL, 4, 5, path, &n), -ENOENT);
	assert_int_equal(ledger_prove_consistency(failing, NULL, 5, 6, path, &n), -ENOENT);
	assert_int_equal(n, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(hashes),
	        cmocka_unit_test(inclusion_vectors),
	        cmocka_unit_test(consistency_vectors),
	        cmocka_unit_test(large_vectors),
	        cmocka_unit_test(subtree_vectors),
	        cmocka_unit_test(subtree_form),
	        cmocka_unit_test(subtree_proofs),
	        cmocka_unit_test(subtrees_made),
	        cmocka_unit_test(small_trees),
	        cmocka_unit_test(accumulated),
	        cmocka_unit_test(inclusion_bent),
	        cmocka_unit_test(consistency_bent),
	        cmocka_unit_test(bounds),
	        cmocka_unit_test(known_roots),
	        cmocka_unit_test(store_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
