/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reference of all sections and keys, as Markdown, printed from the table that the parser
 * runs on. Knows nothing but the table.
 */
#include "policy/keys.h"

static void put_key(const struct policy_key *k, struct buf *out)
{
	const char *with = k->flags & KEY_SIGSTORE  ? " with a Sigstore bundle"
	                   : k->flags & KEY_RECEIPT ? " with `trust-store`"
	                                            : "";

	buf_printf(out, "#### `%s`\n\n", k->name);
	buf_printf(out, "- Value: %s\n", k->type);
	if (k->flags & KEY_MUST)
		buf_printf(out, "- Must be given%s.\n", with);
	else if (k->flags & KEY_MUST_JUDGE)
		buf_str(out, "- Must be given with `action = gate` and `monitor`.\n");
	if (k->def)
		buf_printf(out, "- Default: %s\n", k->def);
	if (k->flags & KEY_JUDGE)
		buf_str(out, "- Only with `action = gate` or `monitor`.\n");
	if (k->flags & KEY_GATE)
		buf_str(out, "- Only with `action = gate`.\n");
	if (with[0] && !(k->flags & KEY_MUST))
		buf_printf(out, "- Only%s.\n", with);
	buf_printf(out, "- Example: `%s = %s`\n\n%s\n\n", k->name, k->example, k->help);
}

void policy_reference(struct buf *out)
{
	for (enum policy_section_id s = SECTION_TOP; s < SECTION_MAX; s++) {
		const struct policy_section *sec = &policy_sections[s];

		if (sec->name[0])
			buf_printf(out, "### `%s \"NAME\" { ... }`\n\n", sec->name);
		else
			buf_str(out, "### At the top\n\n");
		buf_printf(out, "%s\n\n", sec->help);
		for (uint32_t i = 0; i < sec->n; i++)
			put_key(&sec->keys[i], out);
	}
}
