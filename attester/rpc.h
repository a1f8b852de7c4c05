/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes before TLS on a connection of an RPC client (RFC 9289 4.1): it asks in clear whether
 * the server does TLS, by a call of a null procedure under AUTH_TLS, and is told STARTTLS.
 */
#ifndef KEYGATE_ATTESTER_RPC_H
#define KEYGATE_ATTESTER_RPC_H

#include <stdbool.h>
#include "core/bytes.h"

enum {
	RPC_QUESTION_LEN = 44, /* with its record mark (RFC 5531 11) */
	RPC_ANSWER_LEN = 36,
};

/* Whether this is the question, and then the answer to it. */
bool rpc_answer(struct bytes question, uint8_t answer[static RPC_ANSWER_LEN]);
/*
 * On a non-blocking socket, before its first byte is read: answers the question, if that is what
 * comes; what begins like TLS is left alone. Nothing that follows is read. 0; -EPROTO: it is
 * neither; -ETIMEDOUT, -EPIPE, -errno.
 */
int rpc_start_tls(int fd, int timeout_ms);

#endif
