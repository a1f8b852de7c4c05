/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What evidence claims, as the commands that judge evidence show it: one JSON form and one text
 * form. Private to cli/.
 */
#ifndef KEYGATE_CLI_CLAIMS_H
#define KEYGATE_CLI_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include "attest/attest.h"
#include "core/bytes.h"

/* Adds name: value to the object, taking value over; drops all (NULL) once anything failed. */
void claims_put_member(json_t **object, const char *name, json_t *value);
/* Adds "tee" and every claim as a member; but for "tee", null unless they hold. */
void claims_put(json_t **object, const struct claims *c, bool hold);
/* "code", "config", "covered" or "identity": what a register can carry. */
const char *claims_role(uint8_t role);
/* Adds "missing": what was looked for in vain, by its vendor's name; empty if the claims hold. */
void claims_put_missing(json_t **object, const struct claims *c, bool hold);
/* The same, a line a piece with its address. */
void claims_print_missing(const struct claims *c, struct buf *out);
/*
 * The evidence field by field, as far as it can be read, and the certificates that came with it.
 */
void claims_explain(enum tee tee, struct bytes evidence, const struct bytes *endorsements,
                    uint32_t n, struct buf *out);
/* A line a claim: name, value. */
void claims_print(const struct claims *c, struct buf *out);
/*
 * Some vendors rate the TCB; then it must be up to date, or of one of the statuses that are
 * accepted: appends evidence.tcb-status.
 */
void claims_check_tcb(const struct claims *c, const char *const *accepted, uint32_t n,
                      struct checks *checks);

#endif
