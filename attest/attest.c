/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one entry to appraise evidence: finds the platform and hands over. Knows the names of the
 * platforms and nothing of what they check.
 */
#include "attest/attest.h"
#include "attest/explain.h"
#include "attest/platform.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>

static const struct attest_platform *const platforms[] = {
        &attest_platform_snp,    &attest_platform_tdx, &attest_platform_sgx,
        &attest_platform_nvidia, &attest_platform_cca, &attest_platform_nitro,
};

static const char *const names[TEE_MAX] = {
        [TEE_NONE] = "none", [TEE_SNP] = "snp",     [TEE_TDX] = "tdx",       [TEE_SGX] = "sgx",
        [TEE_CCA] = "cca",   [TEE_NITRO] = "nitro", [TEE_NVIDIA] = "nvidia",
};

const char *attest_tee_name(enum tee t)
{
	return (unsigned)t < TEE_MAX ? names[t] : names[TEE_NONE];
}

enum tee attest_tee_from_name(const char *name)
{
	for (int t = TEE_NONE + 1; t < TEE_MAX; t++)
		if (!strcmp(name, names[t]))
			return (enum tee)t;
	return TEE_NONE;
}

/* Private names until the formats have registered ones. */
static const char *const media_types[TEE_MAX] = {
        [TEE_SNP] = "application/vnd.keygate.snp-report",
        [TEE_TDX] = "application/vnd.keygate.tdx-quote",
        [TEE_SGX] = "application/vnd.keygate.sgx-quote",
        [TEE_CCA] = "application/vnd.keygate.cca-token",
        [TEE_NITRO] = "application/vnd.keygate.nitro-document",
        [TEE_NVIDIA] = "application/vnd.keygate.nvidia-spdm",
};

void attest_register(struct claims *claims, const char *name, enum register_role role,
                     struct bytes value)
{
	struct measurement *m = &claims->measurements.v[claims->measurements.n];

	if (claims->measurements.n == MEASUREMENTS_MAX || value.n > sizeof(m->value))
		return;
	*m = (struct measurement){.role = (uint8_t)role, .len = (uint8_t)value.n};
	snprintf(m->name, sizeof(m->name), "%s", name);
	memcpy(m->value, value.p, value.n);
	claims->measurements.n++;
}

bool attest_is_peer(enum tee t)
{
	return t > TEE_NONE && t < TEE_MAX && t != TEE_NVIDIA;
}

const char *attest_media_type(enum tee t)
{
	return (unsigned)t < TEE_MAX ? media_types[t] : NULL;
}

enum tee attest_tee_from_media_type(const char *type)
{
	for (int t = TEE_NONE + 1; t < TEE_MAX; t++)
		if (!strcmp(type, media_types[t]))
			return (enum tee)t;
	return TEE_NONE;
}

static const struct attest_platform *find(enum tee type, struct bytes evidence)
{
	for (size_t i = 0; i < sizeof(platforms) / sizeof(platforms[0]); i++)
		if (type == TEE_NONE ? platforms[i]->recognise(evidence)
		                     : platforms[i]->tee == type)
			return platforms[i];
	return NULL;
}

struct collateral_name attest_collateral_name(enum collateral_vendor vendor, const char *path, ...)
{
	struct collateral_name name = {.vendor = vendor};
	va_list ap;
	int len;

	va_start(ap, path);
	len = vsnprintf(name.path, sizeof(name.path), path, ap);
	va_end(ap);
	if (len < 0 || (size_t)len >= sizeof(name.path))
		name = (struct collateral_name){.vendor = VENDOR_NONE};
	return name;
}

size_t attest_collateral(const struct attest_input *in, const struct collateral_name *name,
                         struct bytes *out, size_t cap)
{
	return in->collateral && name->vendor != VENDOR_NONE
	               ? in->collateral(in->collateral_ctx, name, in->at, out, cap)
	               : 0;
}

void attest_collateral_want(struct claims *claims, const struct collateral_name *name, bool needed)
{
	uint32_t i = 0;

	while (i < claims->wants && (claims->want[i].vendor != name->vendor ||
	                             strcmp(claims->want[i].path, name->path) != 0))
		i++;
	if (name->vendor == VENDOR_NONE || i == COLLATERAL_WANTS_MAX)
		return;
	if (i == claims->wants) {
		claims->want[claims->wants++] = *name;
		claims->want_needed[i] = false;
	}
	claims->want_needed[i] |= needed;
}

void attest_date(int64_t t, char out[static 32])
{
	time_t when = (time_t)t;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm))
		snprintf(out, 32, "%lld", (long long)t);
}

bool attest_trusted(const struct attest_input *in, enum tee tee, const struct pki_pins *pins,
                    const uint8_t spki_sha256[static 32], bool *extra,
                    const struct anchor_pin **pin)
{
	bool given = pki_pins_have(pins, spki_sha256);

	*pin = NULL;
	for (size_t i = 0; i < attest_pins_count; i++)
		if (attest_pins[i].tee == tee &&
		    !memcmp(attest_pins[i].spki_sha256, spki_sha256, 32))
			*pin = &attest_pins[i];
	*extra = !*pin;
	return given || (*pin && !in->only_anchors);
}

int attest_appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	const struct attest_platform *p = find(in->type, in->evidence);

	*claims = (struct claims){.valid_until = INT64_MIN};
	if (in->evidence.n == 0 || in->evidence.n > ATTEST_EVIDENCE_MAX) {
		check_add(checks, "evidence.type", CHECK_FAIL, "evidence of %zu bytes",
		          in->evidence.n);
		return -EINVAL;
	}
	if (in->endorsements_n > ATTEST_ENDORSEMENTS_MAX || in->anchors_n > ATTEST_ANCHORS_MAX) {
		check_add(checks, "evidence.type", CHECK_FAIL, "too many endorsements or anchors");
		return -EINVAL;
	}
	if (!p && in->type == TEE_NONE) {
		check_add(checks, "evidence.type", CHECK_FAIL,
		          "%zu bytes that are no evidence this build knows", in->evidence.n);
		return -EINVAL;
	}
	if (!p) {
		check_add(checks, "evidence.type", CHECK_FAIL, "this build does not appraise %s",
		          attest_tee_name(in->type));
		return -EINVAL;
	}
	check_add(checks, "evidence.type", CHECK_PASS, "%s, %s", attest_tee_name(p->tee),
	          in->type == TEE_NONE ? "told from its content" : "as named");
	claims->tee = p->tee;
	/* OpenSSL's error queue belongs to the caller. */
	ERR_set_mark();
	p->appraise(in, claims, checks);
	ERR_pop_to_mark();
	return 0;
}

int attest_explain(enum tee type, struct bytes evidence, struct buf *out)
{
	const struct attest_platform *p = find(type, evidence);

	return p ? p->explain(evidence, out) : -EINVAL;
}

void attest_explain_endorsement(struct bytes endorsement, struct buf *out)
{
	explain_certs(out, endorsement);
}
