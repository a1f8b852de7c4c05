/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tables of the words that mean something to a platform. What ledger/ can name in a statement
 * comes from its table; the rest is what a policy may pin beyond that.
 */
#include "policy/names.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "attest/snp.h"
#include "policy/keys.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ------------------------------------------------------------------- registers */

/* What is below the guest, and whose the enclave is: no statement speaks of them. */
static const struct register_name more_registers[] = {
        {"mrseam", TEE_TDX, 48},          {"isvprodid", TEE_SGX, 2},
        {"configsvn", TEE_SGX, 2},        {"isvextprodid", TEE_SGX, 16},
        {"isvfamilyid", TEE_SGX, 16},     {"platform-sw", TEE_CCA, 32},
        {"platform-config", TEE_CCA, 32},
};

enum { ALL_REGISTERS_MAX = 64 };

static struct register_name of_statement(const struct statement_register *r)
{
	return (struct register_name){r->name, attest_tee_from_name(r->tee), r->len};
}

static bool is_named(const struct register_name *r, const char *text, size_t n)
{
	const char *tee = attest_tee_name(r->tee);
	size_t prefix = strlen(tee);

	if (n > prefix && !strncmp(text, tee, prefix) && text[prefix] == '.') {
		text += prefix + 1;
		n -= prefix + 1;
	}
	return strlen(r->name) == n && !strncmp(r->name, text, n);
}

bool policy_register(const char *text, size_t n, struct register_name *out)
{
	for (size_t i = 0; i < statement_registers; i++) {
		*out = of_statement(&statement_register[i]);
		if (is_named(out, text, n))
			return true;
	}
	for (size_t i = 0; i < COUNT(more_registers); i++) {
		*out = more_registers[i];
		if (is_named(out, text, n))
			return true;
	}
	return false;
}

bool policy_launch_register(enum tee t, struct register_name *out)
{
	const char *tee = attest_tee_name(t);

	for (size_t i = 0; t != TEE_NONE && i < statement_registers; i++) {
		if (strcmp(statement_register[i].tee, tee))
			continue;
		*out = of_statement(&statement_register[i]);
		return true;
	}
	return false;
}

const char *policy_register_signer(enum tee t, const char *name)
{
	if (t == TEE_SGX && (!strcmp(name, "isvextprodid") || !strcmp(name, "isvfamilyid")))
		return "mrsigner";
	return NULL;
}

void policy_register_digits(const struct register_name *r, char out[static 16])
{
	if (r->len)
		snprintf(out, 16, "%d", 2 * r->len);
	else
		snprintf(out, 16, "64, 96 or 128");
}

const char *policy_register_nearest(const char *typed)
{
	const char *names[ALL_REGISTERS_MAX];
	const char *dot = strchr(typed, '.');
	size_t n = 0;

	for (size_t i = 0; i < statement_registers && n < COUNT(names); i++)
		names[n++] = statement_register[i].name;
	for (size_t i = 0; i < COUNT(more_registers) && n < COUNT(names); i++)
		names[n++] = more_registers[i].name;
	return policy_nearest(dot ? dot + 1 : typed, names, n);
}

/* ------------------------------------------------------------------------- TCB */

/* n digits, leading zeros too. -1 when it is anything else. */
static int digits(const char *text, size_t n)
{
	int x = 0;

	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		x = x * 10 + (text[i] - '0');
	}
	return x;
}

/* As Intel numbers what a TCB is made of: the certificate's "sgx01" to "sgx16", the quote's "tdx00"
 * to "tdx15". */
static bool is_numbered(const char *text, size_t n, const char *prefix, int first)
{
	int at;

	if (n != 5 || strncmp(text, prefix, 3))
		return false;
	at = digits(text + 3, 2);
	return at >= first && at < first + 16;
}

static bool is_word(const char *text, size_t n, const char *word)
{
	return strlen(word) == n && !strncmp(text, word, n);
}

static uint32_t component(const char *text, size_t n)
{
	for (int i = 0; i < SNP_TCB_PARTS; i++)
		if (is_word(text, n, attest_snp_tcb_name((enum snp_tcb_part)i)))
			return TEE_BIT(TEE_SNP);
	if (is_word(text, n, "guest-svn"))
		return TEE_BIT(TEE_SNP);
	if (is_word(text, n, "isvsvn"))
		return TEE_BIT(TEE_SGX);
	if (is_word(text, n, "pcesvn") || is_numbered(text, n, "sgx", 1))
		return TEE_BIT(TEE_SGX) | TEE_BIT(TEE_TDX);
	return is_numbered(text, n, "tdx", 0) ? TEE_BIT(TEE_TDX) : 0;
}

uint32_t policy_tcb_component(const char *text, size_t n, char name[static 16])
{
	const char *dot = memchr(text, '.', n);
	uint32_t tees = UINT32_MAX;

	if (dot) {
		char tee[8] = "";

		if ((size_t)(dot - text) >= sizeof(tee))
			return 0;
		memcpy(tee, text, (size_t)(dot - text));
		tees = TEE_BIT(attest_tee_from_name(tee));
		n -= (size_t)(dot + 1 - text);
		text = dot + 1;
	}
	tees &= component(text, n);
	/* The longest of them is "bootloader". */
	if (tees)
		snprintf(name, 16, "%.*s", (int)n, text);
	return tees;
}

static const char *const statuses[TCB_STATUS_MAX] = {
        [TCB_UNKNOWN] = "",
        [TCB_UP_TO_DATE] = "UpToDate",
        [TCB_SW_HARDENING] = "SWHardeningNeeded",
        [TCB_CONFIGURATION] = "ConfigurationNeeded",
        [TCB_CONFIGURATION_AND_SW_HARDENING] = "ConfigurationAndSWHardeningNeeded",
        [TCB_RELAUNCH] = "TDRelaunchAdvised",
        [TCB_RELAUNCH_CONFIGURATION] = "TDRelaunchAdvisedConfigurationNeeded",
        [TCB_OUT_OF_DATE] = "OutOfDate",
        [TCB_OUT_OF_DATE_CONFIGURATION] = "OutOfDateConfigurationNeeded",
        [TCB_REVOKED] = "Revoked",
};

const char *policy_tcb_status_name(enum policy_tcb_status s)
{
	return s > TCB_UNKNOWN && s < TCB_STATUS_MAX ? statuses[s] : "";
}

enum policy_tcb_status policy_tcb_status(const char *name)
{
	for (enum policy_tcb_status s = TCB_UP_TO_DATE; s < TCB_STATUS_MAX; s++)
		if (!strcmp(statuses[s], name))
			return s;
	return TCB_UNKNOWN;
}

const char *policy_tcb_status_nearest(const char *typed)
{
	return policy_nearest(typed, statuses + TCB_UP_TO_DATE, TCB_REVOKED - TCB_UP_TO_DATE);
}

/* ------------------------------------------------------------------ attributes */

/* Bits of the TD attributes and of SGX's attribute flags that attest/ leaves open. */
const struct attribute_name policy_attributes[] = {
        {TEE_TDX, "tdx.lass", UINT64_C(1) << 27},
        {TEE_TDX, "tdx.sept-ve-disable", UINT64_C(1) << 28},
        {TEE_TDX, "tdx.pks", UINT64_C(1) << 30},
        {TEE_TDX, "tdx.kl", UINT64_C(1) << 31},
        {TEE_SGX, "sgx.mode64", UINT64_C(1) << 2},
        {TEE_SGX, "sgx.cet", UINT64_C(1) << 6},
        {TEE_SGX, "sgx.kss", UINT64_C(1) << 7},
        {TEE_SGX, "sgx.aex-notify", UINT64_C(1) << 10},
};

const size_t policy_attributes_n = COUNT(policy_attributes);

/* ----------------------------------------------------------------------- dates */

bool policy_date(const char *text, int64_t *out)
{
	struct tm tm = {0};
	char back[32];
	int year, month, day;

	if (strlen(text) != 10 || text[4] != '-' || text[7] != '-')
		return false;
	year = digits(text, 4);
	month = digits(text + 5, 2);
	day = digits(text + 8, 2);
	if (year < 1970 || month < 1 || day < 1)
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	tm.tm_mday = day;
	*out = timegm(&tm);
	/* A day that there is not became another one. */
	policy_date_text(*out, back);
	return !strcmp(back, text);
}

void policy_date_text(int64_t t, char out[static 32])
{
	time_t when = t;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%d", &tm))
		snprintf(out, 32, "a day beyond all calendars");
}
