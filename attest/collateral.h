/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Collateral by what it is: from the bytes of a certificate, a list or a signed document to the
 * names that its vendor serves it under, and a store that is looked up by such a name. A file's
 * own name means nothing. Pure: who fills the store, and from where, is the caller's business.
 *
 * Nothing is verified here, and nothing is believed for being in the store: the appraisal checks
 * each piece that it uses, at its own time.
 */
#ifndef KEYGATE_ATTEST_COLLATERAL_H
#define KEYGATE_ATTEST_COLLATERAL_H

#include <stddef.h>
#include <stdint.h>
#include "attest/attest.h"
#include "core/bytes.h"

enum { COLLATERAL_NAMES_MAX = 4, COLLATERAL_PIECE_MAX = 1 << 20 };

/* Names are by AMD's key distribution service (57230) and Intel's provisioning certification
 * service, version 4. */
struct collateral_info {
	struct collateral_name name[COLLATERAL_NAMES_MAX];
	uint32_t names;
	/* From when to when it may be used, by its own word; INT64_MAX: it names no end. */
	int64_t from, until;
	uint32_t evaluation; /* tcbEvaluationDataNumber; 0: it has none */
};

/*
 * Reads a piece: certificates and lists in DER or PEM (lists also in hexadecimal, as some caches
 * serve them), Intel's signed JSON. One piece is one thing; a PEM file may hold a whole chain.
 * -EINVAL: nothing that a vendor serves under a name. -ENOMEM.
 */
int attest_collateral_read(struct bytes piece, struct collateral_info *out);

struct collateral_store;

/* max_bytes bounds the content of all pieces. NULL: out of memory. */
struct collateral_store *collateral_store_new(size_t max_bytes);
void collateral_store_free(struct collateral_store *s);
/* Of one name: what an appraisal looks at, and what is kept for appraisals as of former times. */
enum { COLLATERAL_KEPT_MAX = 64 };

/*
 * Adds a copy. Of one name the COLLATERAL_KEPT_MAX newest are kept. *info (if not NULL) is what the
 * piece is. 0; -EEXIST: the same bytes are there; -EINVAL as above; -ENOSPC: the store is full, or
 * the piece is older than all that is kept of its names; -ENOMEM.
 */
int collateral_store_add(struct collateral_store *s, struct bytes piece,
                         struct collateral_info *info);
/*
 * An attest_collateral_fn; ctx is the store. The last of several is the one of the highest
 * evaluation number, where none of the newest has it. Views stay good until the next change.
 */
size_t collateral_store_find(void *store, const struct collateral_name *name, int64_t at,
                             struct bytes *out, size_t cap);
size_t collateral_store_pieces(const struct collateral_store *s);
size_t collateral_store_bytes(const struct collateral_store *s);

/*
 * The address of a piece below its vendor's own service, e.g. for people. out holds
 * COLLATERAL_URL_MAX bytes.
 */
enum { COLLATERAL_URL_MAX = COLLATERAL_PATH_MAX + 64 };
void attest_collateral_url(const struct collateral_name *name, char out[static COLLATERAL_URL_MAX]);
const char *attest_vendor_name(enum collateral_vendor v); /* "amd", "intel"; "none" */

#endif
