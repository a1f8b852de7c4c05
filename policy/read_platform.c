/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of destination blocks that speak of a platform: its machine, its TCB, its modes. Each
 * says which platforms it is for; that the block admits one of them is seen when it closes.
 */
#include <stdio.h>
#include <string.h>
#include "attest/snp.h"
#include "policy/names.h"
#include "policy/read.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* Platforms whose vendor rates their TCB. */
#define RATED (TEE_BIT(TEE_TDX) | TEE_BIT(TEE_SGX))

enum { GRACE_DAYS_MAX = 1095 };

/* The platforms that name a machine by so many bytes. */
static uint32_t tees_of_chip(size_t len)
{
	switch (len) {
	case 8: /* Turin */
	case 64:
		return TEE_BIT(TEE_SNP);
	case 16: /* PPID or platform instance */
		return TEE_BIT(TEE_TDX) | TEE_BIT(TEE_SGX);
	case 33: /* instance id */
		return TEE_BIT(TEE_CCA);
	case 48: /* PCR4 */
		return TEE_BIT(TEE_NITRO);
	default:
		return 0;
	}
}

void read_chip_id(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	size_t len = strlen(v->text) / 2;
	uint32_t tees = tees_of_chip(len);

	if (d->chip_ids == POLICY_LIST_MAX) {
		policy_error(r, v->line, "chip-id: more than %d in one destination",
		             POLICY_LIST_MAX);
		return;
	}
	if (!policy_append(r, &d->chip_id, d->chip_ids, sizeof(*d->chip_id)) ||
	    !policy_append(r, &d->chip_id_len, d->chip_ids, sizeof(*d->chip_id_len)))
		return;
	if (!tees || hex_decode(bytes_str(v->text), d->chip_id[d->chip_ids], len)) {
		policy_unexpected(r, v,
		                  "a machine's id in hexadecimal digits: 128 or 16 (snp), 32 (tdx, "
		                  "sgx), 66 (cca), 96 (nitro)");
		return;
	}
	if (bytes_all_zero(d->chip_id[d->chip_ids], len)) {
		policy_unexpected(r, v, "a machine's id: zero is what a masked one looks like");
		return;
	}
	d->chip_id_len[d->chip_ids++] = (uint8_t)len;
	policy_of_tees(r, v, tees);
}

void read_vlek(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	enum policy_vlek is = !strcmp(v->text, "any")    ? VLEK_ANY
	                      : !strcmp(v->text, "deny") ? VLEK_DENY
	                                                 : VLEK_LISTED;

	policy_of_tees(r, v, TEE_BIT(TEE_SNP));
	if (is == VLEK_LISTED &&
	    (!strpbrk(v->text, "=.") || strlen(v->text) >= sizeof(*d->vlek_csp))) {
		policy_unexpected(r, v,
		                  "any, deny, or a provider as its certificate has it, like "
		                  "\"CN=cc-us-east-2.amazonaws.com\"");
		return;
	}
	if (d->vlek != VLEK_UNSAID && (d->vlek != VLEK_LISTED || is != VLEK_LISTED)) {
		policy_error(r, v->line,
		             "vlek: any and deny stand alone; remove them, or what is beside");
		return;
	}
	d->vlek = is;
	if (is != VLEK_LISTED)
		return;
	if (d->vlek_csps == POLICY_LIST_MAX)
		policy_error(r, v->line, "vlek: more than %d in one destination", POLICY_LIST_MAX);
	else if (policy_append(r, &d->vlek_csp, d->vlek_csps, sizeof(*d->vlek_csp)))
		snprintf(d->vlek_csp[d->vlek_csps++], sizeof(*d->vlek_csp), "%s", v->text);
}

void read_host_data(struct policy_reader *r, const struct policy_value *v)
{
	if (hex_decode(bytes_str(v->text), r->d->host_data, sizeof(r->d->host_data)))
		policy_unexpected(r, v, "64 hexadecimal digits");
	else
		r->d->has_host_data = true;
	policy_of_tees(r, v, TEE_BIT(TEE_SNP));
}

void read_min_tcb(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	size_t n = strcspn(v->text, "=");
	struct policy_tcb_floor *f;
	uint64_t svn, most;

	if (d->tcb_floors == POLICY_FLOORS_MAX) {
		policy_error(r, v->line, "min-tcb: more than %d in one destination",
		             POLICY_FLOORS_MAX);
		return;
	}
	if (!policy_append(r, &d->tcb_floor, d->tcb_floors, sizeof(*d->tcb_floor)))
		return;
	f = &d->tcb_floor[d->tcb_floors];
	f->tees = policy_tcb_component(v->text, n, f->name);
	/* Of SNP's guest it has four bytes. */
	most = f->tees && !strcmp(f->name, "guest-svn") ? UINT32_MAX : UINT16_MAX;
	if (!f->tees || !v->text[n] || decimal_u64(bytes_str(v->text + n + 1), most, &svn)) {
		policy_unexpected(r, v,
		                  "component=version: bootloader, tee, snp, microcode, fmc, "
		                  "guest-svn; pcesvn, sgx01 to sgx16, tdx00 to tdx15, isvsvn");
		return;
	}
	for (uint32_t i = 0; i < d->tcb_floors; i++) {
		if (!strcmp(d->tcb_floor[i].name, f->name) && d->tcb_floor[i].tees & f->tees) {
			policy_error(r, v->line, "min-tcb: \"%s\" is given twice", f->name);
			return;
		}
	}
	f->svn = (uint32_t)svn;
	d->tcb_floors++;
	policy_of_tees(r, v, f->tees);
}

void read_accept_tcb(struct policy_reader *r, const struct policy_value *v)
{
	enum policy_tcb_status s = policy_tcb_status(v->text);
	const char *near = policy_tcb_status_nearest(v->text);

	if (s == TCB_REVOKED)
		policy_error(r, v->line,
		             "accept-tcb: a revoked platform can't be accepted; remove Revoked");
	else if (s == TCB_UP_TO_DATE)
		policy_error(r, v->line,
		             "accept-tcb: UpToDate is always accepted; remove it, and name what "
		             "else is");
	else if (s == TCB_UNKNOWN && near)
		policy_error(r, v->line,
		             "accept-tcb: \"%.64s\" is not a TCB status; did you mean \"%s\"?",
		             v->text, near);
	else if (s == TCB_UNKNOWN)
		policy_unexpected(r, v, "a TCB status, like SWHardeningNeeded or OutOfDate");
	else
		r->d->accept_tcb |= 1u << s;
	if (s != TCB_UNKNOWN)
		policy_of_tees(r, v, RATED);
}

/* "INTEL-SA-00615": what stands in a list has to be what a vendor could write. */
static bool is_advisory(const char *text)
{
	size_t n = strlen(text);

	return n && n < ADVISORY_MAX &&
	       strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") ==
	               n;
}

void read_accept_advisory(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;

	if (d->accept_advisories == POLICY_LIST_MAX) {
		policy_error(r, v->line, "accept-advisory: more than %d in one destination",
		             POLICY_LIST_MAX);
		return;
	}
	if (!is_advisory(v->text)) {
		policy_unexpected(r, v, "the id of an advisory, like INTEL-SA-00615");
		return;
	}
	if (!policy_append(r, &d->accept_advisory, d->accept_advisories,
	                   sizeof(*d->accept_advisory)))
		return;
	snprintf(d->accept_advisory[d->accept_advisories], ADVISORY_MAX, "%s", v->text);
	d->accept_advisories++;
	policy_of_tees(r, v, RATED);
}

void read_tcb_grace(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, HOUR, GRACE_DAYS_MAX * (int64_t)DAY, &r->d->tcb_grace);
	policy_of_tees(r, v, RATED);
}

void read_min_tcb_date(struct policy_reader *r, const struct policy_value *v)
{
	if (!policy_date(v->text, &r->d->min_tcb_date) || !r->d->min_tcb_date)
		policy_unexpected(r, v, "a day; write it like 2025-05-01");
	else if (r->d->min_tcb_date > r->now)
		policy_error(r, v->line,
		             "min-tcb-date: %s is not yet; no platform can have a TCB of that day",
		             v->text);
	policy_of_tees(r, v, RATED);
}

void read_min_tcb_evaluation(struct policy_reader *r, const struct policy_value *v)
{
	uint64_t number;

	if (decimal_u64(bytes_str(v->text), 65535, &number) || !number)
		policy_unexpected(r, v, "an evaluation number, 1 to 65535");
	else
		r->d->min_tcb_evaluation = (uint32_t)number;
	policy_of_tees(r, v, RATED);
}

void read_vmpl(struct policy_reader *r, const struct policy_value *v)
{
	uint64_t level;

	if (decimal_u64(bytes_str(v->text), 3, &level))
		policy_unexpected(r, v, "a privilege level, 0 to 3");
	else
		r->d->vmpl = (uint32_t)level;
	policy_of_tees(r, v, TEE_BIT(TEE_SNP));
}

struct property {
	const char *name;
	uint64_t set;   /* the bit that must be set, or 0 ... */
	uint64_t clear; /* ... and the one that must be clear */
};

static bool take_property(const struct property *all, size_t n, const char *text, uint64_t *set,
                          uint64_t *clear)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(all[i].name, text)) {
			*set |= all[i].set;
			*clear |= all[i].clear;
			return true;
		}
	}
	return false;
}

void read_require_platform(struct policy_reader *r, const struct policy_value *v)
{
	static const struct property all[] = {
	        {"smt-disabled", 0, SNP_PLATFORM_SMT_EN},
	        {"tsme", SNP_PLATFORM_TSME_EN, 0},
	        {"ecc", SNP_PLATFORM_ECC_EN, 0},
	        {"rapl-disabled", SNP_PLATFORM_RAPL_DIS, 0},
	        {"ciphertext-hiding", SNP_PLATFORM_CIPHERTEXT_HIDING, 0},
	        {"alias-check", SNP_PLATFORM_ALIAS_CHECK_COMPLETE, 0},
	        {"tio", SNP_PLATFORM_TIO_EN, 0},
	};

	if (!take_property(all, COUNT(all), v->text, &r->d->platform_required,
	                   &r->d->platform_forbidden))
		policy_unexpected(r, v,
		                  "one of smt-disabled, tsme, ecc, rapl-disabled, "
		                  "ciphertext-hiding, alias-check, tio");
	policy_of_tees(r, v, TEE_BIT(TEE_SNP));
}

void read_require_guest_policy(struct policy_reader *r, const struct policy_value *v)
{
	static const struct property all[] = {
	        {"no-smt", 0, SNP_POLICY_SMT},
	        {"single-socket", SNP_POLICY_SINGLE_SOCKET, 0},
	        {"no-cxl", 0, SNP_POLICY_CXL_ALLOW},
	        {"aes-256-xts", SNP_POLICY_MEM_AES_256_XTS, 0},
	        {"rapl-disabled", SNP_POLICY_RAPL_DIS, 0},
	        {"ciphertext-hiding", SNP_POLICY_CIPHERTEXT_HIDING, 0},
	        {"page-swap-disabled", SNP_POLICY_PAGE_SWAP_DISABLE, 0},
	};

	if (!take_property(all, COUNT(all), v->text, &r->d->guest_policy_required,
	                   &r->d->guest_policy_forbid))
		policy_unexpected(r, v,
		                  "one of no-smt, single-socket, no-cxl, aes-256-xts, "
		                  "rapl-disabled, ciphertext-hiding, page-swap-disabled");
	policy_of_tees(r, v, TEE_BIT(TEE_SNP));
}

static void take_attribute(struct policy_reader *r, const struct policy_value *v,
                           uint64_t bits[static TEE_MAX])
{
	for (size_t i = 0; i < policy_attributes_n; i++) {
		const struct attribute_name *a = &policy_attributes[i];

		if (strcmp(a->name, v->text))
			continue;
		bits[a->tee] |= a->bit;
		policy_of_tees(r, v, TEE_BIT(a->tee));
		return;
	}
	policy_unexpected(r, v,
	                  "one of tdx.lass, tdx.sept-ve-disable, tdx.pks, tdx.kl, sgx.mode64, "
	                  "sgx.cet, sgx.kss, sgx.aex-notify");
}

void read_require_attribute(struct policy_reader *r, const struct policy_value *v)
{
	take_attribute(r, v, r->d->attributes_required);
}

void read_forbid_attribute(struct policy_reader *r, const struct policy_value *v)
{
	take_attribute(r, v, r->d->attributes_forbidden);
}
