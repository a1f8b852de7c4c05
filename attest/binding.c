/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formula that ties evidence to one connection. Every field has a fixed width, so no two
 * inputs share an encoding.
 */
#include "attest/binding.h"

#include <errno.h>
#include <string.h>
#include <openssl/evp.h>

enum { TAG_LEN = 32, HASH256_LEN = 32 };

static const char tag[TAG_LEN] = "keygate connection binding v1";

static int sha256(struct bytes v, uint8_t out[static HASH256_LEN])
{
	return EVP_Digest(v.p ? v.p : (const uint8_t *)"", v.n, out, NULL, EVP_sha256(), NULL)
	               ? 0
	               : -ENOMEM;
}

int attest_binding(enum binding_role role, struct bytes spki, const uint8_t exporter[static 32],
                   const uint8_t context[static 32], struct bytes service_name,
                   uint8_t out[static 64])
{
	struct {
		uint8_t tag[TAG_LEN];
		uint8_t role;
		uint8_t spki[HASH256_LEN];
		uint8_t exporter[BINDING_EXPORTER_LEN];
		uint8_t context[BINDING_CONTEXT_LEN];
		uint8_t name[HASH256_LEN];
	} in = {.role = (uint8_t)role};

	_Static_assert(sizeof(in) == 161, "bytes only: no padding may be hashed");
	memcpy(in.tag, tag, sizeof(in.tag));
	memcpy(in.exporter, exporter, sizeof(in.exporter));
	memcpy(in.context, context, sizeof(in.context));
	if (sha256(spki, in.spki) || sha256(service_name, in.name) ||
	    !EVP_Digest(&in, sizeof(in), out, NULL, EVP_sha512(), NULL))
		return -ENOMEM;
	return 0;
}
