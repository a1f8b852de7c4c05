/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: what parses names a measurement, and says itself whether it has ended. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

static void registers(const struct measurements *m, struct bytes in)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	for (uint32_t i = 0; i < m->n; i++) {
		MUST(m->v[i].len == 48 && m->v[i].name[0]);
		hex_encode((struct bytes){m->v[i].value, m->v[i].len}, hex);
		/* Spelled out in the leaf, unless an escape stands for a digit. */
		if (!memchr(in.p, '\\', in.n))
			MUST(memmem(in.p, in.n, hex, strlen(hex)));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int64_t times[] = {0, 1800000000, INT64_MAX - 1};
	struct bytes in = {data, size};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		struct checks checks = {0};
		struct statement s;
		int ret = ledger_statement_parse(in, times[i], &s, &checks);

		MUST(checks.n > 0 && !checks.overflow);
		if (ret) {
			MUST(checks_overall(&checks) == CHECK_FAIL);
			continue;
		}
		MUST(s.snp.n <= 1 && s.tdx.n <= 5 && s.snp.n + s.tdx.n > 0);
		MUST(s.subject[0] && s.version[0] && s.predicate_type[0]);
		MUST((checks_overall(&checks) == CHECK_PASS) ==
		     (s.not_after == VERDICT_FOREVER || times[i] < s.not_after));
		registers(&s.snp, in);
		registers(&s.tdx, in);
	}
	return 0;
}
