/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier keys: one spelling for each; what parses comes out again as it was. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};
	struct buf out = buf_make(VKEY_TEXT_MAX);
	struct vkey k;

	if (ledger_vkey_parse(in, &k) == 0) {
		MUST(k.name[0] && strlen(k.name) <= NOTE_NAME_MAX);
		MUST(k.key_len >= 32 && k.key_len <= LEDGER_KEY_MAX);
		MUST(ledger_vkey_format(&k, &out) == 0);
		MUST(bytes_equal(buf_view(&out), in));
	}
	buf_free(&out);
	return 0;
}
