/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arm CCA: what is demanded of every token, whoever asks for it. Which realm, firmware or machine a
 * destination needs is policy/'s to say.
 *
 * There is no vendor's root: the platform's key is certified by nobody whom keygate knows, so the
 * caller has to name it as an anchor, and without one nothing can be decided. What the key vouches
 * for has no end of its own. A check that depends on something that did not hold is recorded as
 * skipped.
 */
#include "attest/cca.h"

#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include "attest/pki.h"
#include "attest/platform.h"

struct appraisal {
	const struct attest_input *in;
	struct cca_token token;
	struct pki_keys keys;
	struct claims *claims;
	struct checks *checks;
};

/* All checks after the form, in their order. */
static const char *const order[] = {
        "cca.platform-key", "cca.platform-signature", "cca.realm-signature", "cca.binding",
        "cca.profile",      "cca.lifecycle",          "cca.report-data",
};

enum { ORDER = sizeof(order) / sizeof(order[0]) };

/* Skips those from a place in the list on. The last one is asked for by the caller. */
static void skip_from(const struct appraisal *a, size_t from, const char *why)
{
	size_t n = ORDER - (a->in->check_report_data ? 0 : 1);

	for (size_t i = from; i < n; i++)
		check_add(a->checks, order[i], CHECK_SKIP, "%s", why);
}

/* -------------------------------------------------------------------- the keys */

/* An anchor of another platform may stand beside it: what can't be this key is passed over. */
static bool check_platform_key(struct appraisal *a)
{
	uint32_t fit = 0;

	for (uint32_t i = 0; i < a->in->anchors_n; i++) {
		if (pki_keys_add(&a->keys, a->in->anchors[i])) {
			check_add(a->checks, "cca.platform-key", CHECK_FAIL,
			          "anchor %u can't be read", i + 1);
			return false;
		}
	}
	for (uint32_t i = 0; i < a->keys.n; i++)
		fit += cose_key_fits(a->keys.v[i], a->token.platform.alg);
	if (fit)
		check_add(a->checks, "cca.platform-key", CHECK_PASS,
		          "%u of the anchors may be the platform's key", fit);
	else
		check_add(a->checks, "cca.platform-key", CHECK_UNAVAILABLE,
		          "no anchor is a key for %s: the platform's key is not known",
		          cose_alg_name(a->token.platform.alg));
	return fit;
}

static bool check_platform_signature(struct appraisal *a)
{
	bool ok = false;

	for (uint32_t i = 0; i < a->keys.n && !ok; i++)
		ok = cose_sign1_verify(&a->token.platform, a->keys.v[i]);
	check_add(a->checks, "cca.platform-signature", ok ? CHECK_PASS : CHECK_FAIL, "%s%s",
	          ok ? cose_alg_name(a->token.platform.alg) : "",
	          ok ? " by a key that the caller trusts"
	             : "none of the anchors signed the platform's token");
	return ok;
}

static bool raw_rak(const struct cca_token *t)
{
	return t->rak.n == CCA_RAW_RAK_LEN;
}

static bool check_realm_signature(struct appraisal *a)
{
	const struct cca_token *t = &a->token;
	EVP_PKEY *rak = raw_rak(t) ? cose_key_point(COSE_ES384, t->rak) : cose_key_ec2(t->rak);
	const char *wrong = NULL;

	if (!rak)
		wrong = "the realm's key can't be read";
	else if (!cose_sign1_verify(&t->realm, rak))
		wrong = "the realm's key did not sign the realm's token";
	EVP_PKEY_free(rak);
	check_add(a->checks, "cca.realm-signature", wrong ? CHECK_FAIL : CHECK_PASS, "%s%s",
	          wrong ? wrong : cose_alg_name(t->realm.alg), wrong ? "" : " by the realm's key");
	return !wrong;
}

/* ------------------------------------------------------------- what is signed */

/* The platform vouches for the realm's key by having its hash as challenge. */
static void check_binding(struct appraisal *a)
{
	const struct cca_token *t = &a->token;
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	const char *wrong = NULL;

	if (!EVP_Digest(t->rak.p, t->rak.n, hash, &n, attest_cca_hash(t->rak_hash), NULL))
		wrong = "the hash of the realm's key could not be made";
	else if (!bytes_equal((struct bytes){hash, n}, t->platform_challenge))
		wrong = "the platform vouches for another realm's key";
	check_add(a->checks, "cca.binding", wrong ? CHECK_FAIL : CHECK_PASS, "%s",
	          wrong ? wrong : "the platform's challenge is the hash of the realm's key");
}

static bool is_one_of(struct bytes v, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (bytes_equal(v, bytes_str(names[i])))
			return true;
	return false;
}

/* The profile says what the claims are: of an unknown one it is not known what they mean. */
static void check_profile(struct appraisal *a)
{
	static const char *const platform[] = {"http://arm.com/CCA-SSD/1.0.0",
	                                       "tag:arm.com,2023:cca_platform#1.0.0"};
	static const char *const realm[] = {"tag:arm.com,2023:realm#1.0.0",
	                                    "tag:arm.com,2024:realm#2.0.0"};
	const struct cca_token *t = &a->token;
	const char *wrong = NULL;

	if (!is_one_of(t->platform_profile, platform, sizeof(platform) / sizeof(platform[0])))
		wrong = "an unknown profile of the platform's token";
	else if (t->realm_profile.n &&
	         !is_one_of(t->realm_profile, realm, sizeof(realm) / sizeof(realm[0])))
		wrong = "an unknown profile of the realm's token";
	else if (raw_rak(t) != !t->realm_profile.n)
		wrong = "the realm's key is not in the form of its profile";
	if (wrong)
		check_add(a->checks, "cca.profile", CHECK_FAIL, "%s", wrong);
	else
		check_add(a->checks, "cca.profile", CHECK_PASS, "%.*s, %.*s",
		          (int)t->platform_profile.n, (const char *)t->platform_profile.p,
		          t->realm_profile.n ? (int)t->realm_profile.n : 6,
		          t->realm_profile.n ? (const char *)t->realm_profile.p : "legacy");
}

static bool is_debug(uint64_t lifecycle)
{
	return lifecycle >> 8 == CCA_LIFECYCLE_NON_CCA_DEBUG ||
	       lifecycle >> 8 == CCA_LIFECYCLE_RECOVERABLE_DEBUG;
}

static void check_lifecycle(struct appraisal *a)
{
	uint64_t is = a->token.lifecycle;
	const char *name = attest_cca_lifecycle(is);

	if (is >> 8 == CCA_LIFECYCLE_SECURED)
		check_add(a->checks, "cca.lifecycle", CHECK_PASS, "%s (0x%llx)", name,
		          (unsigned long long)is);
	else if (is_debug(is) && a->in->allow_debug)
		check_add(a->checks, "cca.lifecycle", CHECK_PASS,
		          "%s (0x%llx), which the caller allows", name, (unsigned long long)is);
	else
		check_add(a->checks, "cca.lifecycle", CHECK_FAIL,
		          "the platform is not secured: %s (0x%llx)", name, (unsigned long long)is);
}

static void check_report_data(struct appraisal *a)
{
	bool same;

	if (!a->in->check_report_data)
		return;
	same = !CRYPTO_memcmp(a->in->report_data, a->token.challenge.p, CCA_CHALLENGE_LEN);
	check_add(a->checks, "cca.report-data", same ? CHECK_PASS : CHECK_FAIL,
	          same ? "as expected"
	               : "another challenge than expected: made for another purpose");
}

/* ------------------------------------------------------------------- the whole */

/* What is no digest becomes one. */
static void claim_hash(struct claims *c, const char *name, enum register_role role, struct bytes v)
{
	uint8_t hash[32] = {0};

	if (EVP_Digest(v.p, v.n, hash, NULL, EVP_sha256(), NULL))
		attest_register(c, name, role, BYTES_OF(hash));
}

static void claim_token(struct appraisal *a)
{
	const struct cca_token *t = &a->token;
	struct claims *c = a->claims;
	char hex[17], name[16];

	attest_register(c, "rim", REGISTER_CODE, t->rim);
	for (int i = 0; i < CCA_REMS; i++) {
		snprintf(name, sizeof(name), "rem%d", i);
		attest_register(c, name, REGISTER_CODE, t->rem[i]);
	}
	attest_register(c, "rpv", REGISTER_CONFIG, t->rpv);
	claim_hash(c, "platform-sw", REGISTER_CODE, t->components);
	if (!bytes_all_zero(t->config.p, t->config.n))
		claim_hash(c, "platform-config", REGISTER_CONFIG, t->config);
	memcpy(c->report_data, t->challenge.p, CCA_CHALLENGE_LEN);
	memcpy(c->chip_id, t->instance_id.p, CCA_INSTANCE_ID_LEN);
	c->chip_id_len = CCA_INSTANCE_ID_LEN;
	c->debug = is_debug(t->lifecycle);
	hex_encode((struct bytes){t->implementation_id.p, 8}, hex);
	snprintf(c->product, sizeof(c->product), "CCA %s", hex);
	snprintf(c->signer, sizeof(c->signer), "CPAK, by an anchor");
}

static void judge(struct appraisal *a)
{
	enum { AFTER_KEY = 1, AFTER_PLATFORM, AFTER_REALM };

	if (!check_platform_key(a)) {
		skip_from(a, AFTER_KEY, "nothing is known of the platform without its key");
		return;
	}
	if (!check_platform_signature(a)) {
		skip_from(a, AFTER_PLATFORM, "the platform's token was not shown to be signed");
		return;
	}
	a->claims->extra_anchor = true;
	a->claims->valid_until = VERDICT_FOREVER;
	if (!check_realm_signature(a)) {
		skip_from(a, AFTER_REALM, "the realm's token was not shown to be signed");
		return;
	}
	check_binding(a);
	check_profile(a);
	check_lifecycle(a);
	check_report_data(a);
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	struct appraisal a = {.in = in, .claims = claims, .checks = checks};
	const char *why;

	if (attest_cca_parse(in->evidence, &a.token, &why)) {
		check_add(checks, "cca.format", CHECK_FAIL, "%s (%zu bytes)", why, in->evidence.n);
		skip_from(&a, 0, "the token is malformed");
		return;
	}
	check_add(checks, "cca.format", CHECK_PASS, "platform and realm token, %u components",
	          a.token.components_n);
	claim_token(&a);
	judge(&a);
	pki_keys_free(&a.keys);
}

/* One of the two tags in its three bytes. */
static bool recognise(struct bytes evidence)
{
	return evidence.n >= 3 && evidence.p[0] == 0xd9 &&
	       ((evidence.p[1] << 8 | evidence.p[2]) == CCA_TAG_LEGACY ||
	        (evidence.p[1] << 8 | evidence.p[2]) == CCA_TAG_CMW);
}

const struct attest_platform attest_platform_cca = {
        .tee = TEE_CCA,
        .recognise = recognise,
        .appraise = appraise,
        .explain = attest_cca_explain,
};
