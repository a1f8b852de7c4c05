/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of the Nitro security module, apart from its device. Private to the attester. */
#ifndef KEYGATE_ATTESTER_NSM_H
#define KEYGATE_ATTESTER_NSM_H

#include <stdint.h>
#include "core/bytes.h"

/* linux/nsm.h: what the device takes and gives at most. */
enum { NSM_REQUEST_MAX = 0x1000, NSM_RESPONSE_MAX = 0x3000 };

/* Appends the request for a document with this user data, no nonce and no public key. */
void nsm_put_request(struct buf *out, const uint8_t user_data[static 64]);
/*
 * The document of a response. 0, -EIO when the module says that it could not make one, or -EPROTO
 * for what is neither.
 */
int nsm_take_response(struct bytes response, struct bytes *document);

#endif
