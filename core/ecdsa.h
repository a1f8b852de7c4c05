/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ECDSA as hardware and COSE write it: r and s as plain numbers in place of DER. Knows neither
 * whose key it is nor what was signed.
 */
#ifndef KEYGATE_CORE_ECDSA_H
#define KEYGATE_CORE_ECDSA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <openssl/evp.h>
#include "core/bytes.h"

/* r and s, each `half` bytes, little or big endian, over msg. True if it verifies. */
bool ecdsa_raw_verify(EVP_PKEY *key, const EVP_MD *md, const uint8_t *r, const uint8_t *s,
                      size_t half, bool little_endian, struct bytes msg);

#endif
