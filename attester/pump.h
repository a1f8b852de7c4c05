/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes between a TLS connection and a plain socket, both non-blocking, until both directions
 * ended. Keeps half-close and back-pressure; a TLS stream that ends without close_notify is an
 * error, so that a truncation never looks like an end.
 */
#ifndef KEYGATE_ATTESTER_PUMP_H
#define KEYGATE_ATTESTER_PUMP_H

#include <openssl/ssl.h>
#include "core/bytes.h"

enum { PUMP_EARLY_MAX = 65536 };

/*
 * early: what came from the TLS side before, for the service; a copy is taken, at most
 * PUMP_EARLY_MAX bytes (-EMSGSIZE). 0 when both sides closed cleanly; -errno otherwise: the caller
 * resets both sides. -ETIMEDOUT when no byte moved for idle_s seconds; 0 waits for ever.
 */
int pump_run(SSL *ssl, int service, struct bytes early, unsigned idle_s);

#endif
