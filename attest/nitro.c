/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AWS Nitro Enclaves: what is demanded of every document, whoever asks for it. Which image,
 * instance or role a destination needs is policy/'s to say.
 *
 * The document brings its whole chain along and there is no revocation: a signing key lives three
 * hours, and its certificate ends what a verdict rests on. A check that depends on something that
 * did not hold is recorded as skipped.
 */
#include "attest/nitro.h"

#include <stdio.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include "attest/pki.h"
#include "attest/platform.h"

/* How far ahead of the verifier's clock the document's may be. */
enum { SKEW_S = 60 };

enum { CHAIN_MAX = NITRO_CABUNDLE_MAX + 1 };

struct appraisal {
	const struct attest_input *in;
	struct nitro_document doc;
	struct pki_bag bag;     /* owns the certificates */
	X509 *chain[CHAIN_MAX]; /* leaf first, root last */
	size_t chain_n;
	struct claims *claims;
	struct checks *checks;
};

/* What the checks after the chain are, in their order. */
static const char *const after_chain[] = {
        "nitro.cert-time", "nitro.signature", "nitro.module",
        "nitro.debug",     "nitro.time",      "nitro.report-data",
};

enum { FIRST_AFTER_SIGNATURE = 2 };

/* Skips those from a place in the list on. The last one is asked for by the caller. */
static void skip_from(const struct appraisal *a, size_t from, const char *why)
{
	size_t n = sizeof(after_chain) / sizeof(after_chain[0]) - !a->in->check_report_data;

	for (size_t i = from; i < n; i++)
		check_add(a->checks, after_chain[i], CHECK_SKIP, "%s", why);
}

/* ------------------------------------------------------------------- the chain */

/* Exactly one DER certificate with a key of the one kind that Nitro has. */
static bool add_cert(struct appraisal *a, struct bytes der)
{
	uint32_t had = a->bag.certs;
	X509 *cert;

	if (der.p[0] != (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED) || pki_bag_add(&a->bag, der) ||
	    a->bag.certs != had + 1)
		return false;
	cert = a->bag.cert[had];
	a->chain[a->chain_n++] = cert;
	return cose_key_fits(X509_get0_pubkey(cert), COSE_ES384) &&
	       X509_get_signature_nid(cert) == NID_ecdsa_with_SHA384;
}

/* NULL, or what is wrong. */
static const char *take_anchors(const struct attest_input *in, struct pki_pins *pins)
{
	for (uint32_t i = 0; i < in->anchors_n; i++)
		if (pki_pins_add(pins, NULL, in->anchors[i]))
			return "an anchor can't be read";
	return NULL;
}

static bool trusted_root(const struct attest_input *in, const struct pki_pins *pins,
                         const X509 *root, bool *extra)
{
	const struct anchor_pin *pin;
	uint8_t hash[32];

	return !pki_spki_sha256(root, hash) &&
	       attest_trusted(in, TEE_NITRO, pins, hash, extra, &pin);
}

/* A leaf may sign documents and no certificates. */
static bool is_signer(X509 *leaf)
{
	uint32_t flags = X509_get_extension_flags(leaf);

	return !(flags & EXFLAG_INVALID) && !(flags & EXFLAG_CA) && (flags & EXFLAG_KUSAGE) &&
	       (X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE);
}

static const char *judge_chain(struct appraisal *a, bool *extra)
{
	const struct nitro_document *d = &a->doc;
	struct pki_pins pins = {0};
	const char *wrong = take_anchors(a->in, &pins);
	int rc;

	if (wrong)
		return wrong;
	if (!add_cert(a, d->certificate))
		return "the signing certificate is not one of P-384 signed with ECDSA and SHA-384";
	for (uint32_t i = d->cabundle_n; i > 0; i--)
		if (!add_cert(a, d->cabundle[i - 1]))
			return "a CA certificate is not one of P-384 signed with ECDSA and SHA-384";
	if (!trusted_root(a->in, &pins, a->chain[a->chain_n - 1], extra))
		return "the chain ends at a root that is not trusted";
	if (!is_signer(a->chain[0]))
		return "the signing certificate is not for signatures";
	rc = pki_path_of(a->chain, a->chain_n);
	return rc ? X509_verify_cert_error_string(rc) : NULL;
}

static bool check_chain(struct appraisal *a)
{
	bool extra = false;
	const char *wrong = judge_chain(a, &extra);

	a->claims->extra_anchor = !wrong && extra;
	if (wrong)
		check_add(a->checks, "nitro.chain", CHECK_FAIL, "%s", wrong);
	else
		check_add(a->checks, "nitro.chain", CHECK_PASS, "%zu certificates to %s",
		          a->chain_n,
		          extra ? "an anchor given by the caller, not the built-in root"
		                : "the built-in root");
	return !wrong;
}

static void check_cert_time(struct appraisal *a)
{
	char text[32], until[32];
	int64_t end = INT64_MAX, t;

	attest_date(a->in->at, text);
	for (size_t i = 0; i < a->chain_n; i++) {
		if (!pki_valid_at(a->chain[i], a->in->at) ||
		    pki_time(X509_get0_notAfter(a->chain[i]), &t)) {
			check_add(
			        a->checks, "nitro.cert-time", CHECK_FAIL,
			        "certificate %zu, counted from the signing one, is not valid at %s",
			        i, text);
			return;
		}
		if (t < end)
			end = t;
	}
	a->claims->valid_until = end;
	attest_date(end, until);
	check_add(a->checks, "nitro.cert-time", CHECK_PASS, "all valid at %s, until %s", text,
	          until);
}

static bool check_signature(struct appraisal *a)
{
	bool ok = cose_sign1_verify(&a->doc.sign1, X509_get0_pubkey(a->chain[0]));

	check_add(a->checks, "nitro.signature", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "ES384 by the certified key"
	             : "the certified key did not sign this document");
	return ok;
}

/* ------------------------------------------------------------- what is signed */

/* PCR4 measures the name of the parent instance, which module_id says in the clear. */
static void check_module(struct appraisal *a)
{
	static const uint8_t zero[NITRO_PCR_LEN];
	const struct nitro_document *d = &a->doc;
	uint8_t hash[NITRO_PCR_LEN];
	uint8_t text[NITRO_PCR_LEN + NITRO_MODULE_ID_MAX];
	const char *wrong = NULL;

	memcpy(text, zero, sizeof(zero));
	memcpy(text + sizeof(zero), d->instance_id.p ? d->instance_id.p : zero, d->instance_id.n);
	if (!d->instance_id.n)
		wrong = "the module id is not an instance's and its enclave's";
	else if (!EVP_Digest(text, sizeof(zero) + d->instance_id.n, hash, NULL, EVP_sha384(), NULL))
		wrong = "the hash of the instance id could not be made";
	else if (memcmp(hash, d->pcr[NITRO_PCR_INSTANCE].p, sizeof(hash)) != 0)
		wrong = "PCR4 is of another instance than the module id";
	if (!wrong) {
		memcpy(a->claims->chip_id, hash, sizeof(hash));
		a->claims->chip_id_len = sizeof(hash);
	}
	check_add(a->checks, "nitro.module", wrong ? CHECK_FAIL : CHECK_PASS, "%s (%.*s)",
	          wrong ? wrong : "PCR4 is of this instance", (int)d->module_id.n,
	          (const char *)d->module_id.p);
}

static void check_debug(struct appraisal *a)
{
	if (!attest_nitro_is_debug(&a->doc))
		check_add(a->checks, "nitro.debug", CHECK_PASS, "PCR0, PCR1 and PCR2 are not zero");
	else if (a->in->allow_debug)
		check_add(a->checks, "nitro.debug", CHECK_PASS,
		          "a debug enclave, which the caller allows");
	else
		check_add(a->checks, "nitro.debug", CHECK_FAIL,
		          "a debug enclave: nothing of its code was measured");
}

/* Old documents end with their certificate; new ones don't come from the future. */
static void check_time(struct appraisal *a)
{
	int64_t t = (int64_t)(a->doc.timestamp_ms / 1000);
	char text[32];

	attest_date(t, text);
	if (a->in->at < t - SKEW_S)
		check_add(a->checks, "nitro.time", CHECK_FAIL, "made at %s, ahead of the clock",
		          text);
	else if (!pki_valid_at(a->chain[0], t))
		check_add(a->checks, "nitro.time", CHECK_FAIL,
		          "made at %s, when the signing certificate was not valid", text);
	else
		check_add(a->checks, "nitro.time", CHECK_PASS, "made at %s", text);
}

static void check_report_data(struct appraisal *a)
{
	const struct bytes *v = &a->doc.user_data;
	const char *wrong = NULL;

	if (!a->in->check_report_data)
		return;
	if (v->n != sizeof(a->in->report_data))
		wrong = "the document's user data is not 64 bytes of report data";
	else if (CRYPTO_memcmp(a->in->report_data, v->p, v->n) != 0)
		wrong = "other user data than expected: made for another purpose";
	check_add(a->checks, "nitro.report-data", wrong ? CHECK_FAIL : CHECK_PASS, "%s",
	          wrong ? wrong : "as expected");
}

/* ------------------------------------------------------------------- the whole */

static enum register_role role_of(unsigned pcr)
{
	switch (pcr) {
	case NITRO_PCR_KERNEL:
	case NITRO_PCR_APPLICATION:
		return REGISTER_COVERED; /* parts of what PCR0 measures */
	case NITRO_PCR_ROLE:
	case NITRO_PCR_INSTANCE:
	case NITRO_PCR_SIGNER:
		return REGISTER_IDENTITY;
	default:
		return REGISTER_CODE;
	}
}

static void claim_document(struct appraisal *a)
{
	const struct nitro_document *d = &a->doc;
	struct claims *c = a->claims;

	for (unsigned i = 0; i < NITRO_PCRS; i++) {
		char name[16];

		if (!d->pcr[i].n ||
		    (i > NITRO_PCR_SIGNER && bytes_all_zero(d->pcr[i].p, d->pcr[i].n)))
			continue;
		snprintf(name, sizeof(name), "pcr%u", i);
		attest_register(c, name, role_of(i), d->pcr[i]);
	}
	if (d->user_data.n == sizeof(c->report_data))
		memcpy(c->report_data, d->user_data.p, sizeof(c->report_data));
	c->debug = attest_nitro_is_debug(d);
	snprintf(c->product, sizeof(c->product), "Nitro Enclaves");
	snprintf(c->signer, sizeof(c->signer), "AWS Nitro (%.*s)", (int)d->module_id.n,
	         (const char *)d->module_id.p);
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	struct appraisal a = {
	        .in = in, .bag = {.cache = in->cache}, .claims = claims, .checks = checks};
	const char *why;

	if (attest_nitro_parse(in->evidence, &a.doc, &why)) {
		check_add(checks, "nitro.format", CHECK_FAIL, "%s (%zu bytes)", why,
		          in->evidence.n);
		why = "the document is malformed";
		check_add(checks, "nitro.chain", CHECK_SKIP, "%s", why);
		skip_from(&a, 0, why);
		return;
	}
	check_add(checks, "nitro.format", CHECK_PASS, "a COSE_Sign1 with %u CA certificates",
	          a.doc.cabundle_n);
	claim_document(&a);
	if (check_chain(&a)) {
		check_cert_time(&a);
		if (check_signature(&a)) {
			check_module(&a);
			check_debug(&a);
			check_time(&a);
			check_report_data(&a);
		} else {
			skip_from(&a, FIRST_AFTER_SIGNATURE,
			          "what the document says was not shown to be signed");
		}
	} else {
		skip_from(&a, 0, "nothing is known of the key without its chain");
	}
	pki_bag_free(&a.bag);
}

/* [<< {1: -35} >>, {}, ...], with or without the tag. */
static bool recognise(struct bytes evidence)
{
	static const uint8_t head[] = {0xd2, 0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0};

	return evidence.n >= sizeof(head) && (!memcmp(evidence.p, head, sizeof(head)) ||
	                                      !memcmp(evidence.p, head + 1, sizeof(head) - 1));
}

const struct attest_platform attest_platform_nitro = {
        .tee = TEE_NITRO,
        .recognise = recognise,
        .appraise = appraise,
        .explain = attest_nitro_explain,
};
