/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a checkpoint (C2SP tlog-checkpoint): origin, size, root, extension lines. Knows
 * nothing of signatures. Extension lines are looked at for their form and never used: two of the
 * signature algorithms do not cover them.
 */
#include "ledger/room.h"

#include <errno.h>
#include <string.h>
#include <openssl/crypto.h>

bool ledger_root_fits(const struct checkpoint *cp)
{
	struct hash empty;

	if (cp->size)
		return true;
	ledger_empty_root(&empty);
	return CRYPTO_memcmp(empty.v, cp->root.v, HASH_LEN) == 0;
}

int ledger_checkpoint_lines(struct bytes text, struct checkpoint *out)
{
	struct bytes origin;
	struct bytes size;
	struct bytes root;
	struct bytes line;
	struct checkpoint cp = {0};

	if (text.n > NOTE_MAX || !ledger_note_text_ok(text) || !ledger_line(&text, &origin) ||
	    !ledger_line(&text, &size) || !ledger_line(&text, &root))
		return -EINVAL;
	if (origin.n == 0 || origin.n > NOTE_NAME_MAX || decimal_u64(size, INT64_MAX, &cp.size) ||
	    ledger_hash_parse(root, &cp.root))
		return -EINVAL;
	while (text.n) {
		if (!ledger_line(&text, &line) || line.n == 0 || line.n > LEDGER_LINE_MAX)
			return -EINVAL;
	}
	memcpy(cp.origin, origin.p, origin.n);
	*out = cp;
	return 0;
}

int ledger_checkpoint_parse(struct bytes text, struct checkpoint *out)
{
	struct checkpoint cp;

	if (ledger_checkpoint_lines(text, &cp) || !ledger_root_fits(&cp))
		return -EINVAL;
	*out = cp;
	return 0;
}
