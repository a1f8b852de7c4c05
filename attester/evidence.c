/* SPDX-License-Identifier: Apache-2.0 */
/* A platform's evidence while it is collected. Knows no platform. */
#include "attester/evidence.h"

#include <errno.h>

void evidence_init(struct evidence *e)
{
	*e = (struct evidence){.report = buf_make(EVIDENCE_REPORT_MAX)};
}

void evidence_free(struct evidence *e)
{
	buf_free(&e->report);
	for (uint32_t i = 0; i < e->endorsements; i++)
		buf_free(&e->endorsement[i]);
	e->endorsements = 0;
}

int evidence_endorse(struct evidence *e, struct bytes piece)
{
	struct buf *b = &e->endorsement[e->endorsements];

	if (!piece.n)
		return 0;
	if (e->endorsements == EVIDENCE_PIECES_MAX || piece.n > EVIDENCE_ENDORSEMENTS_MAX)
		return -ENOSPC;
	*b = buf_make(EVIDENCE_ENDORSEMENTS_MAX);
	e->endorsements++;
	buf_bytes(b, piece);
	return b->bad ? -ENOMEM : 0;
}
