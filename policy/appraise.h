/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checks over claims alone, whatever platform made them. Each appends one check to the verdict, and
 * the loosening if it used one. Private to policy/ and its tests.
 */
#ifndef KEYGATE_POLICY_APPRAISE_H
#define KEYGATE_POLICY_APPRAISE_H

#include <stdbool.h>
#include <stdint.h>
#include "policy/policy.h"

/* Whether min-tcb names any of the firmware of this platform, beside what is the guest's own. */
bool policy_floors_firmware(const struct policy_destination *d, enum tee tee);
/*
 * policy.tcb-floor: each component at least what min-tcb says. A loosening where there is no floor
 * for the firmware of a platform that nobody else rates.
 */
void policy_check_tcb_floor(const struct policy_destination *d, const struct claims *c,
                            struct verdict *v);
/*
 * policy.tcb-status: how the platform's vendor rates its TCB at the time `at`. A grace period also
 * limits the verdict.
 */
void policy_check_tcb_status(const struct policy_destination *d, const struct claims *c, int64_t at,
                             struct verdict *v);
/* policy.tcb-date: the date of the TCB that was matched. */
void policy_check_tcb_date(const struct policy_destination *d, const struct claims *c,
                           struct verdict *v);

/* policy.tcb-evaluation: the vendor's number of the evaluation by which it was rated. */
void policy_check_tcb_evaluation(const struct policy_destination *d, const struct claims *c,
                                 struct verdict *v);

/*
 * policy.registers: what the policy pins has that value; what can carry code or configuration is
 * zero, pinned, or named by the ledger's statement, whose values policy.measurement compares.
 * logged is NULL when the statement says nothing of this platform; without_ledger: there should be
 * a statement, but none that holds.
 */
void policy_check_registers(const struct policy_destination *d, const struct claims *c,
                            const struct measurements *logged, bool without_ledger,
                            struct verdict *v);
/* Every register that the statement names of this platform has that value, and it names some. */
bool policy_statement_is(const struct statement *s, const struct claims *c);
/* A register of the evidence has this value. One that the evidence leaves out holds nothing: zero.
 */
bool policy_register_is(const struct claims *c, const struct measurement *want);
/* The register has one of the values that a list names for it. */
bool policy_register_listed(const struct policy_measurement *list, uint32_t n,
                            const struct claims *c, const char *name);

/*
 * The next three append nothing where the policy demands nothing of it. policy.denied: c and s are
 * NULL unless the evidence and the statement hold; leaf is the statement's.
 */
void policy_check_denied(const struct policy_destination *d, const struct claims *c,
                         const struct statement *s, const struct hash *leaf, struct verdict *v);
/* policy.version: s NULL when there is no statement that holds. */
void policy_check_version(const struct policy_destination *d, const struct statement *s,
                          struct verdict *v);
/*
 * policy.renewed: whether the leaf of this index was published lately, by the heads that are known
 * of its log. Limits the verdict.
 */
void policy_check_renewed(const struct policy_destination *d, const struct ledger_last *last,
                          uint64_t index, int64_t at, struct verdict *v);
/*
 * Versions are numbers with dots between them, compared one by one; what is missing is 0, "-" and
 * what follows comes before the same without, "+" and what follows means nothing. False when one of
 * the two is none. *out: < 0, 0, > 0.
 */
bool policy_version_compare(const char *a, const char *b, int *out);

#endif
