/* SPDX-License-Identifier: Apache-2.0 */
/* Statements: what parses names a measurement, and says itself whether it has ended. */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* Each a register of its platform, of a length that it may have. */
static void registers(const struct statement_tee *t, struct bytes in)
{
	const struct measurements *m = &t->registers;
	char hex[2 * MEASUREMENT_MAX + 1];

	MUST(m->n > 0 && m->n <= MEASUREMENTS_MAX);
	MUST(!bytes_all_zero(m->v[0].value, m->v[0].len));
	for (uint32_t i = 0; i < m->n; i++) {
		const struct statement_register *is = statement_register_find(t->tee, m->v[i].name);

		MUST(is && statement_register_takes(is->len, m->v[i].len));
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
		MUST(s.tees > 0 && s.tees <= STATEMENT_TEES_MAX);
		MUST(s.subject[0] && s.version[0] && s.predicate_type[0]);
		MUST((checks_overall(&checks) == CHECK_PASS) ==
		     (s.not_after == VERDICT_FOREVER || times[i] < s.not_after));
		for (uint32_t t = 0; t < s.tees; t++) {
			MUST(statement_find(&s, s.tee[t].tee) == &s.tee[t].registers);
			registers(&s.tee[t], in);
		}
	}
	return 0;
}
