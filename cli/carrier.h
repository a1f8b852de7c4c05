/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files that are no evidence but carry it: a server's certificate, an attestation document of
 * /.well-known/. For the commands that judge evidence from files. Private to cli/.
 */
#ifndef KEYGATE_CLI_CARRIER_H
#define KEYGATE_CLI_CARRIER_H

#include <jansson.h>
#include <stdbool.h>
#include "attest/attest.h"
#include "attest/ratls.h"
#include "attest/wellknown.h"

/* What the caller knows of the connection that the file came from. */
struct carrier_asked {
	uint8_t nonce[RATLS_NONCE_MAX];
	size_t nonce_n;         /* 0: none */
	uint8_t server_key[32]; /* SHA-256 of the SubjectPublicKeyInfo */
	bool has_server_key;
};

struct carrier {
	const char *scheme; /* NULL: the file is no carrier, or holds no evidence */
	const char *binder;
	char server_key[65]; /* hex; empty if not known */
	int64_t valid_until;
	struct ratls ratls;
	struct wellknown wellknown;
};

/* By its first octets: DER or PEM of a certificate, a JSON object. */
bool carrier_is(struct bytes file);
/*
 * Opens a carrier and makes `in` judge what it holds: evidence, endorsements beside those that are
 * there, report data; the type if none is named. What `in` holds then is good until carrier_free.
 * False, with a failed check, when there is nothing to judge. carrier_free in any case.
 */
bool carrier_open(struct bytes file, const struct carrier_asked *asked, struct attest_input *in,
                  struct carrier *out, struct checks *checks);
void carrier_free(struct carrier *c);

/* {"scheme", "binder", "server_key"}, or null. */
json_t *carrier_json(const struct carrier *c);
void carrier_print(const struct carrier *c, struct buf *out);

#endif
