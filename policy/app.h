/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selections of applications as values: what they are made of, and how two compare. Private to
 * policy/.
 */
#ifndef KEYGATE_POLICY_APP_H
#define KEYGATE_POLICY_APP_H

#include "policy/policy.h"

/* What it holds, not itself. NULL is nothing. */
void app_free(struct policy_app *a);
/* Sorts the lists; what is in one twice is freed. */
void app_settle(struct policy_app *a);
/* Of two that are settled. */
bool app_equal(const struct policy_app *a, const struct policy_app *b);
/* True if every application that inner selects is one that outer selects. */
bool app_covers(const struct policy_app *outer, const struct policy_app *inner);

#endif
