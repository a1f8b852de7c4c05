/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the targets of evidence share: the form of their input, and what holds of any platform.
 * Input: a byte of options, then parts of {kind, 16-bit length, content}. Each target says what its
 * own platform's checks must show.
 */
#ifndef KEYGATE_TESTS_FUZZ_EVIDENCE_H
#define KEYGATE_TESTS_FUZZ_EVIDENCE_H

#include <string.h>
#include "attest/attest.h"
#include "tests/fuzz/fuzz.h"

enum {
	OPT_REPORT_DATA = 1,
	OPT_DEBUG = 2,
	OPT_CRL = 4,
	OPT_AUTO = 8, /* told by its content: then it may be of any platform */
	OPT_OTHER = 16,
};
enum { PART_EVIDENCE = 0, PART_ENDORSEMENT = 1, PART_ANCHOR = 2 };

struct appraised {
	uint8_t options;
	struct attest_input in;
	struct checks checks;
	struct claims claims;
	bool of; /* the checks of claims.tee were made */
};

static inline void take_parts(struct reader *r, struct attest_input *in)
{
	while (r->left && !r->bad) {
		uint8_t kind = rd_u8(r);
		struct bytes part = rd_vec16(r);

		if (r->bad)
			break;
		if (kind == PART_EVIDENCE)
			in->evidence = part;
		else if (kind == PART_ENDORSEMENT && in->endorsements_n < ATTEST_ENDORSEMENTS_MAX)
			in->endorsements[in->endorsements_n++] = part;
		else if (kind == PART_ANCHOR && in->anchors_n < ATTEST_ANCHORS_MAX)
			in->anchors[in->anchors_n++] = part;
	}
}

/*
 * Appraises as one platform, as the other one or by the content, and explains. Nothing passes
 * without an anchor of the caller, since nobody here has a vendor's key: but real evidence that is
 * of none of the target's own platforms may.
 */
static inline void appraise(struct bytes data, enum tee one, enum tee other, int64_t at,
                            struct appraised *out)
{
	struct reader r = reader_of(data);
	struct buf page = buf_make(1 << 16);
	struct attest_input *in = &out->in;

	*out = (struct appraised){.options = rd_u8(&r)};
	in->type = out->options & OPT_AUTO ? TEE_NONE : out->options & OPT_OTHER ? other : one;
	in->at = at;
	in->check_report_data = out->options & OPT_REPORT_DATA;
	in->allow_debug = out->options & OPT_DEBUG;
	in->require_crl = out->options & OPT_CRL;
	memset(in->report_data, 0x5a, sizeof(in->report_data));
	take_parts(&r, in);

	out->of = attest_appraise(in, &out->claims, &out->checks) == 0;
	MUST(out->checks.n > 0 && !out->checks.overflow);
	if (checks_overall(&out->checks) == CHECK_PASS &&
	    (out->claims.tee == one || out->claims.tee == other)) {
		MUST(out->of);
		MUST(in->anchors_n && out->claims.extra_anchor);
		MUST(out->claims.valid_until >= at);
		MUST(!out->claims.debug || in->allow_debug);
	}
	(void)attest_explain(in->type, in->evidence, &page);
	buf_free(&page);
}

#endif
