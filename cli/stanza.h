/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A piece of policy that would admit exactly the peer that a probe met: text for the
 * administrator to read, change and keep. Private to cli/.
 */
#ifndef KEYGATE_CLI_STANZA_H
#define KEYGATE_CLI_STANZA_H

#include "attest/attest.h"
#include "core/bytes.h"

struct stanza {
	const char *host; /* as it was asked for */
	bool is_name;
	uint16_t port;
	const char *server_name; /* asked for in the handshake; empty: none */
	const char *transport;
	const char *binder;
	const uint8_t *spki_sha256;  /* 32 bytes */
	const struct claims *claims; /* of evidence that holds, whatever its TCB status */
	/* Files of anchors, absolute; only where the evidence ends at one of them. */
	const char *anchor[ATTEST_ANCHORS_MAX];
	uint32_t anchors;
	const char *ledger; /* the tlog-policy under which its proof holds, absolute; NULL: none */
	bool no_quorum;     /* which demands no witnesses */
	bool has_proof;     /* it sent a proof, whatever that is worth */
};

/*
 * Appends the blocks. All values that a peer chose are written as hexadecimal, numbers, or words
 * out of a narrow alphabet. A file whose name can't stand in a policy is named in a comment.
 */
void stanza_print(const struct stanza *s, struct buf *out);

#endif
