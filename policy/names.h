/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of policy files that mean something to a platform: its registers, the components and
 * statuses of its TCB, its attributes. Tables alone; each word belongs to one platform or says so.
 * Private to policy/.
 */
#ifndef KEYGATE_POLICY_NAMES_H
#define KEYGATE_POLICY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "policy/policy.h"

#define TEE_BIT(t) (1u << (t))

/* A register by its name, which no other platform uses. */
struct register_name {
	const char *name;
	enum tee tee;
	uint8_t len; /* as in ledger/'s table: bytes; 0: of a digest, 32, 48 or 64 */
};

/* "rtmr0" or "tdx.rtmr0", n characters of text. False when there is no such register. */
bool policy_register(const char *text, size_t n, struct register_name *out);
/* The register that holds the launch measurement. False for TEE_NONE. */
bool policy_launch_register(enum tee t, struct register_name *out);
/*
 * The register that says who chose this one's value, by signing the guest; NULL: no signer did. Who
 * answers for the signer answers for the value.
 */
const char *policy_register_signer(enum tee t, const char *name);
/* How many hexadecimal digits a value of it has: "96", "64, 96 or 128". */
void policy_register_digits(const struct register_name *r, char out[static 16]);
/* The name that is nearest to what was typed (without a platform), or NULL. */
const char *policy_register_nearest(const char *typed);

/* "pcesvn" or "tdx.pcesvn": the platforms that have this component (bits), its name in *name. */
uint32_t policy_tcb_component(const char *text, size_t n, char name[static 16]);

/* What Intel calls a TCB; in the order of severity, the last one beyond repair. */
enum policy_tcb_status {
	TCB_UNKNOWN = 0,
	TCB_UP_TO_DATE,
	TCB_SW_HARDENING,
	TCB_CONFIGURATION,
	TCB_CONFIGURATION_AND_SW_HARDENING,
	TCB_RELAUNCH,
	TCB_RELAUNCH_CONFIGURATION,
	TCB_OUT_OF_DATE,
	TCB_OUT_OF_DATE_CONFIGURATION,
	TCB_REVOKED,
	TCB_STATUS_MAX,
};

const char *policy_tcb_status_name(enum policy_tcb_status s);
enum policy_tcb_status policy_tcb_status(const char *name);
const char *policy_tcb_status_nearest(const char *typed);

/* A bit of the attributes that a guest was built with. */
struct attribute_name {
	enum tee tee;
	const char *name; /* "tdx.pks" */
	uint64_t bit;
};

extern const struct attribute_name policy_attributes[];
extern const size_t policy_attributes_n;

/* "YYYY-MM-DD", midnight UTC. False when there is no such day. */
bool policy_date(const char *text, int64_t *out);
void policy_date_text(int64_t t, char out[static 32]);

#endif
