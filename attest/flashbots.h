/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of flashbots' attested TLS (protocol flashbots-ratls/1 of flashbots/attested-tls):
 * right after the TLS 1.3 handshake the server sends one message, then the client does. A message
 * is a 32-bit big-endian length and that many bytes of SCALE: a string, the attestation's type,
 * and a byte vector, the evidence. Pure.
 *
 * Report data: SHA-256(DER SubjectPublicKeyInfo of the sender's TLS leaf) || TLS exporter value, 32
 * bytes, label FLASHBOTS_EXPORTER_LABEL, no context.
 */
#ifndef KEYGATE_ATTEST_FLASHBOTS_H
#define KEYGATE_ATTEST_FLASHBOTS_H

#include "attest/attest.h"
#include "core/bytes.h"

#define FLASHBOTS_ALPN           "flashbots-ratls/1"
#define FLASHBOTS_EXPORTER_LABEL "EXPORTER-Channel-Binding"
#define FLASHBOTS_TYPE_NONE      "none"

enum { FLASHBOTS_MAX = 65536, FLASHBOTS_TYPE_MAX = 32, FLASHBOTS_EXPORTER_LEN = 32 };

/*
 * How many bytes the message that starts at msg takes, its length included; 0 when more are needed
 * to tell; -EINVAL when it would be empty or over FLASHBOTS_MAX.
 */
int64_t flashbots_length(struct bytes msg);

struct flashbots_message {
	char type[FLASHBOTS_TYPE_MAX + 1];
	struct bytes evidence; /* view */
};

/* Strict: a whole message, lengths in SCALE's shortest form, a type of printable ASCII, nothing
 * behind. 0 or -EINVAL. */
int flashbots_parse(struct bytes msg, struct flashbots_message *out);
/* Appends one. 0, -EINVAL (a type or evidence too long) or -ENOMEM. */
int flashbots_build(const char *type, struct bytes evidence, struct buf *out);

/*
 * The platform that a type names: dcap-tdx, gcp-tdx and qemu-tdx are all TDX quotes. The protocol
 * has no names for SNP, SGX and CCA: between keygate's own two ends they go by attest_tee_name.
 * TEE_NONE for every other, azure-tdx (a vTPM's quote around the report) among them.
 */
enum tee flashbots_tee(const char *type);
const char *flashbots_type(enum tee t);

/* 0, or -ENOMEM when OpenSSL fails. */
int flashbots_binding(struct bytes spki, const uint8_t exporter[static FLASHBOTS_EXPORTER_LEN],
                      uint8_t out[static 64]);

#endif
