/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The CCA token's bytes: the envelope, both tokens and their claims. Judges the form and nothing
 * else: which profiles there are and whether the parts belong together is attest/cca.c's to say.
 */
#include "attest/cca.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include "core/cbor.h"
#include "attest/explain.h"
#include "attest/platform.h"

enum { TEXT_MAX = 128 };

const EVP_MD *attest_cca_hash(struct bytes name)
{
	if (bytes_equal(name, bytes_str("sha-256")))
		return EVP_sha256();
	if (bytes_equal(name, bytes_str("sha-384")))
		return EVP_sha384();
	if (bytes_equal(name, bytes_str("sha-512")))
		return EVP_sha512();
	return NULL;
}

const char *attest_cca_lifecycle(uint64_t lifecycle)
{
	switch (lifecycle >> 8) {
	case CCA_LIFECYCLE_TEST:
		return "assembly and test";
	case CCA_LIFECYCLE_PROVISIONING:
		return "provisioning";
	case CCA_LIFECYCLE_SECURED:
		return "secured";
	case CCA_LIFECYCLE_NON_CCA_DEBUG:
		return "debug of what is not CCA";
	case CCA_LIFECYCLE_RECOVERABLE_DEBUG:
		return "recoverable debug of CCA";
	case CCA_LIFECYCLE_DECOMMISSIONED:
		return "decommissioned";
	default:
		return "unknown";
	}
}

/* -------------------------------------------------------------------- values */

/* Printable ASCII, 1 to TEXT_MAX. */
static bool take_text(struct reader *r, struct bytes *out)
{
	if (!item_text(r, out) || !out->n || out->n > TEXT_MAX)
		return false;
	for (size_t i = 0; i < out->n; i++)
		if (out->p[i] < 0x20 || out->p[i] > 0x7e)
			return false;
	return true;
}

static bool take_hash(struct reader *r, struct bytes *out)
{
	return item_text(r, out) && attest_cca_hash(*out);
}

static bool take_exactly(struct reader *r, size_t n, struct bytes *out)
{
	return item_bytes(r, out) && out->n == n;
}

/* As long as a digest of one of the three hashes. */
static bool take_digest(struct reader *r, struct bytes *out)
{
	return item_bytes(r, out) && (out->n == 32 || out->n == 48 || out->n == 64);
}

static bool take_instance_id(struct reader *r, struct bytes *out)
{
	return take_exactly(r, CCA_INSTANCE_ID_LEN, out) && out->p[0] == CCA_INSTANCE_ID_RAND;
}

/* ------------------------------------------------------------ platform claims */

static bool take_component(struct reader *r, struct cca_component *c)
{
	enum { TYPE = 1, MEASUREMENT = 2, VERSION = 4, SIGNER_ID = 5, HASH = 6 };
	struct item_map m;
	struct item key;
	bool ok = item_map(r, &m);

	while (ok && m.left) {
		ok = item_key(r, &m, &key) && key.kind == ITEM_UINT;
		if (!ok)
			break;
		switch (key.n) {
		case TYPE:
			ok = take_text(r, &c->type);
			break;
		case MEASUREMENT:
			ok = take_digest(r, &c->measurement);
			break;
		case VERSION:
			ok = take_text(r, &c->version);
			break;
		case SIGNER_ID:
			ok = take_digest(r, &c->signer_id);
			break;
		case HASH:
			ok = take_text(r, &c->hash);
			break;
		default:
			ok = false;
		}
	}
	return ok && c->measurement.n && c->signer_id.n;
}

static bool take_components(struct reader *r, struct cca_token *t)
{
	const uint8_t *start = r->p;
	uint64_t n;

	if (!item_array(r, &n) || !n || n > CCA_COMPONENTS_MAX)
		return false;
	for (uint64_t i = 0; i < n; i++)
		if (!take_component(r, &t->component[i]))
			return false;
	t->components_n = (uint32_t)n;
	t->components = (struct bytes){start, (size_t)(r->p - start)};
	return true;
}

/* A claim of one of the tokens: how it is read, and whether it must be there. */
struct claim {
	enum cca_claim label;
	bool required;
	const char *wrong;
	bool (*take)(struct reader *r, struct cca_token *t);
};

#define TAKE(name, call) \
	static bool name(struct reader *r, struct cca_token *t) \
	{ \
		return call; \
	}

TAKE(take_platform_profile, take_text(r, &t->platform_profile))
TAKE(take_platform_challenge, take_digest(r, &t->platform_challenge))
TAKE(take_implementation_id, take_exactly(r, CCA_IMPLEMENTATION_ID_LEN, &t->implementation_id))
TAKE(take_platform_instance_id, take_instance_id(r, &t->instance_id))
TAKE(take_config, item_bytes(r, &t->config))
TAKE(take_lifecycle, item_uint(r, &t->lifecycle) && t->lifecycle <= UINT16_MAX)
TAKE(take_service, take_text(r, &t->service))
TAKE(take_platform_hash, take_hash(r, &t->hash))

static const struct claim platform_claims[] = {
        {CCA_PROFILE, true, "the platform's profile is no text", take_platform_profile},
        {CCA_CHALLENGE, true, "the platform's challenge is no digest", take_platform_challenge},
        {CCA_IMPLEMENTATION_ID, true, "the implementation id is not 32 bytes",
         take_implementation_id},
        {CCA_INSTANCE_ID, true, "the instance id is no random UEID", take_platform_instance_id},
        {CCA_CONFIG, true, "the platform's configuration is no bytes", take_config},
        {CCA_LIFECYCLE, true, "the lifecycle is no 16-bit number", take_lifecycle},
        {CCA_COMPONENTS, true, "the software components are malformed", take_components},
        {CCA_SERVICE, false, "the verification service is no text", take_service},
        {CCA_HASH, true, "the platform's hash is unknown", take_platform_hash},
};

/* --------------------------------------------------------------- realm claims */

static bool take_rems(struct reader *r, struct cca_token *t)
{
	uint64_t n;

	if (!item_array(r, &n) || n != CCA_REMS)
		return false;
	for (int i = 0; i < CCA_REMS; i++)
		if (!take_digest(r, &t->rem[i]))
			return false;
	return true;
}

static bool take_mec_policy(struct reader *r, struct cca_token *t)
{
	t->has_mec_policy = true;
	return item_uint(r, &t->mec_policy) && t->mec_policy <= 1;
}

TAKE(take_realm_profile, take_text(r, &t->realm_profile))
TAKE(take_challenge, take_exactly(r, CCA_CHALLENGE_LEN, &t->challenge))
TAKE(take_rpv, take_exactly(r, CCA_RPV_LEN, &t->rpv))
TAKE(take_realm_hash, take_hash(r, &t->realm_hash))
TAKE(take_rak, item_bytes(r, &t->rak) && t->rak.n)
TAKE(take_rim, take_digest(r, &t->rim))
TAKE(take_rak_hash, take_hash(r, &t->rak_hash))
TAKE(take_realm_instance_id, take_instance_id(r, &t->realm_instance_id))

static const struct claim realm_claims[] = {
        {CCA_PROFILE, false, "the realm's profile is no text", take_realm_profile},
        {CCA_CHALLENGE, true, "the realm's challenge is not 64 bytes", take_challenge},
        {CCA_RPV, true, "the personalization value is not 64 bytes", take_rpv},
        {CCA_REALM_HASH, true, "the realm's hash is unknown", take_realm_hash},
        {CCA_RAK, true, "the realm has no key", take_rak},
        {CCA_RIM, true, "the initial measurement is no digest", take_rim},
        {CCA_REM, true, "the extensible measurements are not four digests", take_rems},
        {CCA_RAK_HASH, true, "the hash of the realm's key is unknown", take_rak_hash},
        {CCA_INSTANCE_ID, false, "the realm's instance id is no random UEID",
         take_realm_instance_id},
        {CCA_MEC_POLICY, false, "the memory encryption policy is not 0 or 1", take_mec_policy},
};

/* -------------------------------------------------------------------- parsing */

static const struct claim *claim_of(const struct claim *claims, size_t n, const struct item *key)
{
	for (size_t i = 0; i < n; i++)
		if (item_is_int(key, claims[i].label))
			return &claims[i];
	return NULL;
}

static const char *take_claims(struct bytes payload, const struct claim *claims, size_t n,
                               struct cca_token *t)
{
	struct reader r = reader_of(payload);
	struct item_map m;
	struct item key;
	uint32_t have = 0;

	if (!item_map(&r, &m))
		return "a token's claims are no map";
	while (m.left) {
		const struct claim *c;

		if (!item_key(&r, &m, &key))
			return "a token has a malformed claim, or one twice";
		c = claim_of(claims, n, &key);
		if (!c)
			return "a token has a claim that its profile does not have";
		if (!c->take(&r, t))
			return c->wrong;
		have |= UINT32_C(1) << (c - claims);
	}
	if (!rd_done(&r))
		return "a token has bytes behind its claims";
	for (size_t i = 0; i < n; i++)
		if (claims[i].required && !(have & UINT32_C(1) << i))
			return "a token lacks a claim";
	return NULL;
}

/* The one value of the envelope: a byte string, or in a collection its type before it. */
static bool take_wrapped(struct reader *r, uint64_t tag, struct bytes *out)
{
	uint64_t n, type;

	if (tag == CCA_TAG_CMW &&
	    (!item_array(r, &n) || n != 2 || !item_uint(r, &type) || type != CCA_CONTENT_EAT))
		return false;
	return item_bytes(r, out) && out->n;
}

static const char *take_envelope(struct bytes evidence, uint64_t *tag, struct bytes *platform,
                                 struct bytes *realm)
{
	struct reader r = reader_of(evidence);
	struct item_map m;
	struct item key;

	if (!item_tag(&r, tag) || (*tag != CCA_TAG_LEGACY && *tag != CCA_TAG_CMW))
		return "not a CCA token";
	if (!item_map(&r, &m) || m.left != 2)
		return "the envelope does not hold two tokens";
	while (m.left) {
		if (!item_key(&r, &m, &key))
			return "the envelope is malformed";
		if (!(item_is_int(&key, CCA_TOKEN_PLATFORM) ? take_wrapped(&r, *tag, platform)
		      : item_is_int(&key, CCA_TOKEN_REALM)  ? take_wrapped(&r, *tag, realm)
		                                            : false))
			return "the envelope is malformed";
	}
	return rd_done(&r) ? NULL : "bytes behind the end";
}

static const char *take_sign1(struct bytes data, struct cose_sign1 *out)
{
	struct reader r = reader_of(data);
	const char *why;

	if (cose_sign1_read(&r, NULL, out, &why))
		return why;
	if (!rd_done(&r))
		return "bytes behind a COSE_Sign1";
	if (!out->tagged)
		return "a COSE_Sign1 without its tag";
	return out->has_unprotected ? "an unprotected header is not empty" : NULL;
}

int attest_cca_parse(struct bytes evidence, struct cca_token *out, const char **why)
{
	struct bytes platform = BYTES_NONE, realm = BYTES_NONE;

	*out = (struct cca_token){0};
	if (evidence.n > CCA_TOKEN_MAX) {
		*why = "longer than any token";
		return -EINVAL;
	}
	*why = take_envelope(evidence, &out->tag, &platform, &realm);
	if (*why)
		return -EINVAL;
	out->raw = evidence;
	*why = take_sign1(platform, &out->platform);
	if (!*why)
		*why = take_sign1(realm, &out->realm);
	if (!*why)
		*why = take_claims(out->platform.payload, platform_claims,
		                   sizeof(platform_claims) / sizeof(platform_claims[0]), out);
	if (!*why)
		*why = take_claims(out->realm.payload, realm_claims,
		                   sizeof(realm_claims) / sizeof(realm_claims[0]), out);
	return *why ? -EINVAL : 0;
}

/* ------------------------------------------------------------------ explaining */

static void line_bytes(struct buf *out, const struct cca_token *t, const char *name, struct bytes v,
                       const char *meaning)
{
	if (v.n)
		explain_hex(out, (size_t)(v.p - t->raw.p), name, v, meaning);
}

static void line_text(struct buf *out, const struct cca_token *t, const char *name, struct bytes v,
                      const char *meaning)
{
	char text[TEXT_MAX + 1];

	if (!v.n)
		return;
	snprintf(text, sizeof(text), "%.*s", (int)v.n, (const char *)v.p);
	explain_line(out, (size_t)(v.p - t->raw.p), name, text, meaning);
}

static void explain_component(struct buf *out, const struct cca_token *t,
                              const struct cca_component *c)
{
	line_text(out, t, "component", c->type, "a piece of the firmware");
	if (!c->type.n)
		explain_line(out, (size_t)(c->measurement.p - t->raw.p), "component", "unnamed",
		             "");
	line_text(out, t, "  version", c->version, "");
	line_bytes(out, t, "  measurement", c->measurement, "");
	line_bytes(out, t, "  signer id", c->signer_id, "");
}

static void explain_platform(struct buf *out, const struct cca_token *t)
{
	const size_t at = (size_t)(t->platform.payload.p - t->raw.p);

	explain_line(out, at, "PLATFORM TOKEN", cose_alg_name(t->platform.alg),
	             "signed by the platform's key, CPAK");
	line_text(out, t, "profile", t->platform_profile, "");
	line_bytes(out, t, "challenge", t->platform_challenge, "the hash of the realm's key");
	line_bytes(out, t, "implementation id", t->implementation_id, "the kind of platform");
	line_bytes(out, t, "instance id", t->instance_id, "the machine");
	line_bytes(out, t, "config", t->config, "how the platform was configured");
	explain_number(out, at, "lifecycle", t->lifecycle, attest_cca_lifecycle(t->lifecycle));
	line_text(out, t, "service", t->service, "where the platform may be verified");
	line_text(out, t, "hash", t->hash, "of the components, where they name none");
	for (uint32_t i = 0; i < t->components_n; i++)
		explain_component(out, t, &t->component[i]);
	line_bytes(out, t, "signature", t->platform.signature, "r, s");
}

static void explain_realm(struct buf *out, const struct cca_token *t)
{
	const size_t at = (size_t)(t->realm.payload.p - t->raw.p);
	char name[16];

	explain_line(out, at, "REALM TOKEN", cose_alg_name(t->realm.alg),
	             "signed by the realm's key, RAK");
	line_text(out, t, "profile", t->realm_profile, "");
	line_bytes(out, t, "challenge", t->challenge, "chosen by the realm: the report data");
	line_bytes(out, t, "RPV", t->rpv, "personalization value, chosen by who created the realm");
	line_text(out, t, "hash", t->realm_hash, "of RIM and REM");
	line_bytes(out, t, "RAK", t->rak, "the realm's key");
	line_text(out, t, "RAK hash", t->rak_hash,
	          "of the realm's key in the platform's challenge");
	line_bytes(out, t, "RIM", t->rim, "what was launched");
	for (int i = 0; i < CCA_REMS; i++) {
		snprintf(name, sizeof(name), "REM%d", i);
		line_bytes(out, t, name, t->rem[i], "extended by what runs inside");
	}
	line_bytes(out, t, "realm instance id", t->realm_instance_id, "");
	if (t->has_mec_policy)
		explain_number(out, at, "MEC policy", t->mec_policy,
		               t->mec_policy ? "memory encrypted for this realm alone"
		                             : "memory encryption shared with other realms");
	line_bytes(out, t, "signature", t->realm.signature, "r, s");
}

int attest_cca_explain(struct bytes evidence, struct buf *out)
{
	struct cca_token t;
	const char *why;
	int rc = attest_cca_parse(evidence, &t, &why);

	if (!t.raw.n) {
		buf_printf(out, "not an Arm CCA token: %s\n", why);
		return out->bad ? -ENOMEM : -EINVAL;
	}
	buf_printf(out, "Arm CCA attestation token, tag %" PRIu64 "%s%s\n", t.tag,
	           rc ? ", MALFORMED: " : "", rc ? why : "");
	if (t.platform.payload.n)
		explain_platform(out, &t);
	if (t.realm.payload.n)
		explain_realm(out, &t);
	return out->bad ? -ENOMEM : rc;
}
