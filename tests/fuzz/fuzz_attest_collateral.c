/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a piece of collateral is, and the store: whatever was read answers at least one name, and
 * what was added is found under each of its names.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include "attest/collateral.h"

static bool found(struct collateral_store *s, const struct collateral_name *name,
                  struct bytes piece)
{
	struct bytes out[COLLATERAL_SAME_MAX];
	size_t n = collateral_store_find(s, name, INT64_MAX, out, COLLATERAL_SAME_MAX);

	for (size_t i = 0; i < n; i++)
		if (bytes_equal(out[i], piece))
			return true;
	return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct collateral_store *s = collateral_store_new(1 << 20);
	const struct bytes piece = {data, size};
	struct collateral_info is;

	MUST(s);
	if (!collateral_store_add(s, piece, &is)) {
		MUST(is.names >= 1 && is.names <= COLLATERAL_NAMES_MAX);
		for (uint32_t i = 0; i < is.names; i++) {
			MUST(is.name[i].vendor != VENDOR_NONE && is.name[i].path[0]);
			MUST(found(s, &is.name[i], piece));
		}
		MUST(collateral_store_add(s, piece, NULL) == -EEXIST);
		MUST(collateral_store_pieces(s) == 1 && collateral_store_bytes(s) == size);
	}
	collateral_store_free(s);
	return 0;
}
