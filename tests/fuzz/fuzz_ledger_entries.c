/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry bundles: the first byte is the width (less one), the rest is what a server sent. What
 * parses is all of it, and is accepted as the tree that it makes and as no other.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

static struct bytes entry[TILE_WIDTH];

/* A ledger_node_fn over the entries. */
static int node(void *ctx, unsigned level, uint64_t index, struct hash *out)
{
	struct hash left, right;

	if (level == 0) {
		ledger_leaf_hash(entry[index], out);
		return 0;
	}
	MUST(node(ctx, level - 1, 2 * index, &left) == 0);
	MUST(node(ctx, level - 1, 2 * index + 1, &right) == 0);
	ledger_node_hash(&left, &right, out);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned width = size ? data[0] + 1u : 1;
	struct bytes all = size ? (struct bytes){data + 1, size - 1} : BYTES_NONE, cut;
	struct bytes again[TILE_WIDTH];
	struct hash root;
	size_t n = 0;

	if (ledger_entries_parse(all, width, entry))
		return 0;
	for (unsigned i = 0; i < width; i++)
		n += 2 + entry[i].n;
	MUST(n == all.n);
	MUST(ledger_root(node, NULL, width, &root) == 0);
	MUST(ledger_entries_verify(all, 0, width, &root, NULL, 0, again) == 0);
	MUST(!memcmp(again, entry, width * sizeof(*entry)));
	root.v[0] ^= 1;
	MUST(ledger_entries_verify(all, 0, width, &root, NULL, 0, again) != 0);
	if (width == TILE_WIDTH) {
		MUST(ledger_entries_cut(all, 3, &cut) == 0);
		MUST(ledger_entries_parse(cut, 3, again) == 0);
	}
	return 0;
}
