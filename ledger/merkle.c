/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Merkle trees over SHA-256 (RFC 6962 2.1, RFC 9162 2.1): hashes, verification of inclusion and
 * consistency, and the making of both from any store of perfect subtrees. Knows nothing of
 * notes, of tiles or of what a leaf means.
 *
 * Every path has two parts: below the level where the way to the leaf and the way to the last
 * leaf part ("inner") there is a sibling a level; above it ("border") only where the leaf's side
 * is the right one. That makes the length of a path a function of index and size, so it is
 * compared before anything is hashed.
 */
#include "ledger/room.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>

/*
 * A SHA-256 that can't be computed (no memory, no provider) can't be reported from here, and a
 * wrong hash must not be: the process ends, which closes.
 */
static void sha256(uint8_t prefix, const void *a, size_t a_n, const void *b, size_t b_n,
                   struct hash *out)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) ||
	    !EVP_DigestUpdate(ctx, &prefix, 1) || (a_n && !EVP_DigestUpdate(ctx, a, a_n)) ||
	    (b_n && !EVP_DigestUpdate(ctx, b, b_n)) || !EVP_DigestFinal_ex(ctx, out->v, NULL))
		__builtin_trap();
	EVP_MD_CTX_free(ctx);
}

void ledger_leaf_hash(struct bytes leaf, struct hash *out)
{
	sha256(0x00, leaf.p, leaf.n, NULL, 0, out);
}

void ledger_node_hash(const struct hash *left, const struct hash *right, struct hash *out)
{
	sha256(0x01, left->v, HASH_LEN, right->v, HASH_LEN, out);
}

void ledger_sha256(struct bytes v, struct hash *out)
{
	if (!EVP_Digest(v.n ? v.p : (const uint8_t *)"", v.n, out->v, NULL, EVP_sha256(), NULL))
		__builtin_trap();
}

void ledger_empty_root(struct hash *out)
{
	ledger_sha256(BYTES_NONE, out);
}

static bool same_hash(const struct hash *a, const struct hash *b)
{
	return CRYPTO_memcmp(a->v, b->v, HASH_LEN) == 0;
}

static unsigned bit_length(uint64_t x)
{
	return x ? 64 - (unsigned)__builtin_clzll(x) : 0;
}

/* x >> n for n up to 64. */
static uint64_t shift_down(uint64_t x, unsigned n)
{
	return n < 64 ? x >> n : 0;
}

/* -------------------------------------------------------------------- verify */

int ledger_inclusion_root(uint64_t index, uint64_t size, const struct hash *leaf,
                          const struct hash *path, size_t path_n, struct hash *root)
{
	if (size > INT64_MAX || index >= size)
		return -EINVAL;

	unsigned inner = bit_length(index ^ (size - 1));
	unsigned border = (unsigned)__builtin_popcountll(shift_down(index, inner));

	if (path_n != inner + border)
		return -EINVAL;

	struct hash r = *leaf;

	for (unsigned i = 0; i < inner; i++) {
		if (index >> i & 1)
			ledger_node_hash(&path[i], &r, &r);
		else
			ledger_node_hash(&r, &path[i], &r);
	}
	for (size_t i = inner; i < path_n; i++)
		ledger_node_hash(&path[i], &r, &r);
	*root = r;
	return 0;
}

int ledger_inclusion(uint64_t index, uint64_t size, const struct hash *leaf,
                     const struct hash *path, size_t path_n, const struct hash *root)
{
	struct hash is;
	int ret = ledger_inclusion_root(index, size, leaf, path, path_n, &is);

	if (ret)
		return ret;
	return same_hash(&is, root) ? 0 : -EBADMSG;
}

int ledger_consistency_root(uint64_t from, const struct hash *from_root, uint64_t to,
                            const struct hash *proof, size_t proof_n, struct hash *to_root)
{
	if (from == 0 || to > INT64_MAX || from > to)
		return -EINVAL;
	if (from == to) {
		*to_root = *from_root;
		return proof_n ? -EINVAL : 0;
	}

	/* The largest perfect subtree that ends the old tree is the start; it is in the proof
	 * unless it is the whole old tree. */
	unsigned shift = (unsigned)__builtin_ctzll(from);
	unsigned inner = bit_length((from - 1) ^ (to - 1));
	unsigned border = (unsigned)__builtin_popcountll(shift_down(from - 1, inner));
	size_t start = from == UINT64_C(1) << shift ? 0 : 1;

	inner -= shift;
	if (proof_n != start + inner + border)
		return -EINVAL;

	struct hash old = start ? proof[0] : *from_root;
	struct hash new = old;
	uint64_t mask = (from - 1) >> shift;

	for (size_t i = 0; i < inner + border; i++) {
		const struct hash *p = &proof[start + i];

		if (i >= inner || mask >> i & 1) {
			ledger_node_hash(p, &old, &old);
			ledger_node_hash(p, &new, &new);
		} else {
			ledger_node_hash(&new, p, &new);
		}
	}
	*to_root = new;
	return same_hash(&old, from_root) ? 0 : -EBADMSG;
}

int ledger_consistency(uint64_t from, const struct hash *from_root, uint64_t to,
                       const struct hash *to_root, const struct hash *proof, size_t proof_n)
{
	struct hash is;
	int ret = ledger_consistency_root(from, from_root, to, proof, proof_n, &is);

	if (ret)
		return ret;
	return same_hash(&is, to_root) ? 0 : -EBADMSG;
}

/* ------------------------------------------------------------------ subtrees */

bool ledger_subtree_ok(uint64_t start, uint64_t end)
{
	unsigned fits;

	if (start > end)
		return false;
	/* The exponent of the smallest power of two that is not below end - start. */
	fits = end - start > 1 ? bit_length(end - start - 1) : 0;
	return shift_down(start, fits) << (fits % 64) == start && (fits < 64 || start == 0);
}

int ledger_subtree_inclusion(uint64_t index, const struct subtree *s, const struct hash *leaf,
                             const struct hash *path, size_t path_n)
{
	if (!ledger_subtree_ok(s->start, s->end) || s->end > INT64_MAX || index < s->start)
		return -EINVAL;
	return ledger_inclusion(index - s->start, s->end - s->start, leaf, path, path_n, &s->root);
}

/* The places of the first and the last leaf of a subtree and of the last of the tree, at a level.
 */
struct walk {
	uint64_t first;
	uint64_t last;
	uint64_t end;
};

static void up(struct walk *w)
{
	w->first >>= 1;
	w->last >>= 1;
	w->end >>= 1;
}

/* From the leaves to the node of the subtree that the proof starts at; its level. */
static unsigned up_to_start(struct walk *w)
{
	bool at_end = w->last == w->end;
	unsigned level = 0;

	for (; w->first != w->last && (at_end || w->last & 1); level++)
		up(w);
	return level;
}

int ledger_subtree_consistency(const struct subtree *s, uint64_t size, const struct hash *root,
                               const struct hash *proof, size_t proof_n)
{
	struct walk w = {s->start, s->end - 1, size - 1};
	struct hash sub = s->root;
	struct hash whole;

	if (!ledger_subtree_ok(s->start, s->end) || s->end > size || size > INT64_MAX)
		return -EINVAL;
	if (s->start == s->end) {
		/* The empty tree is part of every tree. */
		ledger_empty_root(&whole);
		if (proof_n)
			return -EINVAL;
		return same_hash(&whole, &s->root) ? 0 : -EBADMSG;
	}
	(void)up_to_start(&w);
	if (w.first != w.last) {
		if (proof_n == 0)
			return -EINVAL;
		sub = *proof++;
		proof_n--;
	}
	whole = sub;
	for (size_t i = 0; i < proof_n; i++, up(&w)) {
		if (w.end == 0)
			return -EINVAL;
		if (w.last & 1 || w.last == w.end) {
			if (w.first < w.last)
				ledger_node_hash(&proof[i], &sub, &sub);
			ledger_node_hash(&proof[i], &whole, &whole);
			/* Not zero: it is odd, or the end, which is not. */
			while (!(w.last & 1))
				up(&w);
		} else {
			ledger_node_hash(&whole, &proof[i], &whole);
		}
	}
	if (w.end)
		return -EINVAL;
	return same_hash(&sub, &s->root) && same_hash(&whole, root) ? 0 : -EBADMSG;
}

/* ---------------------------------------------------------------------- make */

/* Root of leaves [begin, end), where begin is a multiple of the next power of two >= end - begin.
 */
static int range_root(ledger_node_fn get, void *ctx, uint64_t begin, uint64_t end, struct hash *out)
{
	uint64_t n = end - begin;
	bool some = false;
	struct hash acc;

	/* From the right: the smallest perfect subtree is the last. */
	for (unsigned level = 0; n >> level; level++) {
		struct hash h;

		if (!(n >> level & 1))
			continue;

		int ret = get(ctx, level, (begin >> level) + (n >> level) - 1, &h);

		if (ret)
			return ret;
		if (some)
			ledger_node_hash(&h, &acc, &acc);
		else
			acc = h;
		some = true;
	}
	*out = acc;
	return 0;
}

int ledger_root(ledger_node_fn get, void *ctx, uint64_t size, struct hash *out)
{
	if (size > INT64_MAX)
		return -EINVAL;
	if (size == 0) {
		ledger_empty_root(out);
		return 0;
	}
	return range_root(get, ctx, 0, size, out);
}

/*
 * The siblings on the way from the node over leaf `index` at `level` up to the root, lowest first.
 * Only the one at the level where the ways part can be an unfinished subtree.
 */
static int path_from(ledger_node_fn get, void *ctx, uint64_t index, uint64_t size, unsigned level,
                     struct hash *path, size_t *n)
{
	unsigned inner = bit_length(index ^ (size - 1));

	for (; level < inner || shift_down(index, level); level++) {
		uint64_t node = index >> level;
		int ret = 0;

		if (node & 1) {
			ret = get(ctx, level, node - 1, &path[*n]);
		} else if (level < inner) {
			uint64_t begin = (node + 1) << level;
			uint64_t end = size - begin > UINT64_C(1) << level
			                       ? begin + (UINT64_C(1) << level)
			                       : size;

			ret = range_root(get, ctx, begin, end, &path[*n]);
		} else {
			continue;
		}
		if (ret)
			return ret;
		(*n)++;
	}
	return 0;
}

int ledger_prove_inclusion(ledger_node_fn get, void *ctx, uint64_t index, uint64_t size,
                           struct hash path[static PATH_MAX_HASHES], size_t *path_n)
{
	size_t n = 0;

	if (size > INT64_MAX || index >= size)
		return -EINVAL;

	int ret = path_from(get, ctx, index, size, 0, path, &n);

	if (!ret)
		*path_n = n;
	return ret;
}

int ledger_prove_consistency(ledger_node_fn get, void *ctx, uint64_t from, uint64_t to,
                             struct hash proof[static PATH_MAX_HASHES], size_t *proof_n)
{
	size_t n = 0;
	int ret = 0;

	if (from == 0 || to > INT64_MAX || from > to)
		return -EINVAL;
	if (from < to) {
		unsigned shift = (unsigned)__builtin_ctzll(from);

		if (from != UINT64_C(1) << shift)
			ret = get(ctx, shift, (from >> shift) - 1, &proof[n++]);
		if (!ret)
			ret = path_from(get, ctx, from - 1, to, shift, proof, &n);
	}
	if (!ret)
		*proof_n = n;
	return ret;
}

int ledger_subtree_root(ledger_node_fn get, void *ctx, uint64_t start, uint64_t end,
                        struct hash *out)
{
	if (!ledger_subtree_ok(start, end) || end > INT64_MAX)
		return -EINVAL;
	if (start == end) {
		ledger_empty_root(out);
		return 0;
	}
	return range_root(get, ctx, start, end, out);
}

int ledger_prove_subtree(ledger_node_fn get, void *ctx, uint64_t start, uint64_t end, uint64_t size,
                         struct hash proof[static PATH_MAX_HASHES], size_t *proof_n)
{
	struct walk w = {start, end - 1, size - 1};
	unsigned level;
	size_t n = 0;
	int ret = 0;

	if (!ledger_subtree_ok(start, end) || end > size || size > INT64_MAX)
		return -EINVAL;
	if (start < end) {
		level = up_to_start(&w);
		if (w.first != w.last)
			ret = get(ctx, level, w.last, &proof[n++]);
		if (!ret)
			ret = path_from(get, ctx, end - 1, size, level, proof, &n);
	}
	if (!ret)
		*proof_n = n;
	return ret;
}
