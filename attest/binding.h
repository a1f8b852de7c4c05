/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evidence is bound to: the formula that turns a connection into the 64 bytes of report data.
 *
 *   report_data = SHA-512( tag[32] || role[1] || SHA-256(SPKI)[32] || exporter[32] ||
 *                          context[32] || SHA-256(service name)[32] )
 *
 * tag is the ASCII text "keygate connection binding v1" padded with zeros to 32 bytes; role is 0x01
 * for a server's evidence and 0x02 for a client's (the TLS exporter is symmetric: this and the key
 * are what stops reflection); SPKI is the DER SubjectPublicKeyInfo of the authenticator's leaf
 * certificate; exporter is TLS-Exporter("Attestation", context, 32) (draft-fossati-seat-expat);
 * context is the 32-byte certificate_request_context; the service name is the UTF-8 name that the
 * client asked for (server_name of the request), empty if none.
 * docs/wire.md holds worked values. Pure.
 */
#ifndef KEYGATE_ATTEST_BINDING_H
#define KEYGATE_ATTEST_BINDING_H

#include <stdint.h>
#include "core/bytes.h"

enum binding_role { BINDING_SERVER = 1, BINDING_CLIENT = 2 };

enum { BINDING_CONTEXT_LEN = 32, BINDING_EXPORTER_LEN = 32, BINDING_LEN = 64 };

#define BINDING_EXPORTER_LABEL "Attestation"

/* 0, or -ENOMEM when OpenSSL fails. */
int attest_binding(enum binding_role role, struct bytes spki, const uint8_t exporter[static 32],
                   const uint8_t context[static 32], struct bytes service_name,
                   uint8_t out[static 64]);

#endif
