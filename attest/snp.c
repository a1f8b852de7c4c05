/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD SEV-SNP: what is demanded of every report, whoever asks for it. Which measurement, machine,
 * privilege level or TCB floor a destination needs is policy/'s to say.
 *
 * The checks come in one order. One that depends on something that did not hold is recorded as
 * skipped, since what a report says counts only once its signature does.
 */
#include "attest/snp.h"
#include "attest/platform.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "core/ecdsa.h"

struct appraisal {
	const struct attest_input *in;
	struct snp_report report;
	struct snp_chain chain;
	struct claims *claims;
	struct checks *checks;
};

/* What the checks after the signature are, in their order. */
static const char *const after_signature[] = {
        "snp.key-info", "snp.chip",     "snp.paravisor", "snp.debug",       "snp.policy",
        "snp.vmpl",     "snp.tcb-cert", "snp.tcb-order", "snp.report-data",
};

static void skip(struct checks *checks, const char *id, const char *why)
{
	check_add(checks, id, CHECK_SKIP, "%s", why);
}

static void skip_after_signature(const struct appraisal *a, const char *why)
{
	for (size_t i = 0; i < sizeof(after_signature) / sizeof(after_signature[0]); i++) {
		/* These two are asked for by the evidence and by the caller. */
		if (!strcmp(after_signature[i], "snp.paravisor") && !a->report.hcl_runtime.p)
			continue;
		if (!strcmp(after_signature[i], "snp.report-data") && !a->in->check_report_data)
			continue;
		skip(a->checks, after_signature[i], why);
	}
}

/* ------------------------------------------------------- the endorsing chain */

static bool check_chain(struct appraisal *a)
{
	char why[CHECK_DETAIL_MAX] = "";
	enum check_status status = attest_snp_chain(a->in, &a->report, a->claims, &a->chain, why);

	check_add(a->checks, "snp.chain", status, "%s", why);
	a->claims->extra_anchor = status == CHECK_PASS && a->chain.extra_anchor;
	return status == CHECK_PASS;
}

static bool check_cert_time(struct appraisal *a)
{
	const struct {
		const char *name;
		const X509 *cert;
	} certs[] = {
	        {a->chain.of.kind == SNP_VLEK ? "VLEK" : "VCEK", a->chain.vek},
	        {a->chain.of.kind == SNP_VLEK ? "ASVK" : "ASK", a->chain.ask},
	        {"ARK", a->chain.ark},
	};
	char text[32], until[32];
	int64_t end = INT64_MAX, t;

	attest_date(a->in->at, text);
	for (size_t i = 0; i < sizeof(certs) / sizeof(certs[0]); i++) {
		if (!pki_valid_at(certs[i].cert, a->in->at) ||
		    pki_time(X509_get0_notAfter(certs[i].cert), &t)) {
			check_add(a->checks, "snp.cert-time", CHECK_FAIL,
			          "the %s certificate is not valid at %s", certs[i].name, text);
			return false;
		}
		if (t < end)
			end = t;
	}
	a->claims->valid_until = end;
	attest_date(end, until);
	check_add(a->checks, "snp.cert-time", CHECK_PASS, "all three valid at %s, until %s", text,
	          until);
	return true;
}

static void check_revocation(struct appraisal *a)
{
	X509_CRL *crl;
	int64_t next;
	int rc;

	if (attest_snp_crl(a->in, a->claims, &a->chain, &crl)) {
		check_add(a->checks, "snp.revocation", CHECK_FAIL,
		          "too many revocation lists were given");
		return;
	}
	if (!crl) {
		if (a->in->require_crl)
			check_add(a->checks, "snp.revocation", CHECK_UNAVAILABLE,
			          "no revocation list of this root was given");
		else
			skip(a->checks, "snp.revocation",
			     "no revocation list was given, and none was demanded");
		return;
	}
	rc = pki_revocation(a->chain.ask, a->chain.ark, crl, a->in->at);
	if (rc || pki_time(X509_CRL_get0_nextUpdate(crl), &next)) {
		/* A genuine list of another time says nothing about now. */
		check_add(a->checks, "snp.revocation",
		          rc == X509_V_ERR_CRL_HAS_EXPIRED || rc == X509_V_ERR_CRL_NOT_YET_VALID
		                  ? CHECK_UNAVAILABLE
		                  : CHECK_FAIL,
		          "%s", X509_verify_cert_error_string(rc));
		return;
	}
	if (next < a->claims->valid_until)
		a->claims->valid_until = next;
	check_add(a->checks, "snp.revocation", CHECK_PASS,
	          "the intermediate is not on the root's revocation list");
}

static bool check_signature(struct appraisal *a)
{
	const struct snp_report *r = &a->report;
	const size_t pad = SNP_SIG_FIELD_LEN - SNP_SIG_VALUE_LEN;
	const char *wrong = NULL;

	if (r->signature_algo != SNP_SIG_ECDSA_P384_SHA384)
		wrong = "the report names another algorithm than ECDSA P-384 with SHA-384";
	else if (!bytes_all_zero(r->sig_r + SNP_SIG_VALUE_LEN, pad) ||
	         !bytes_all_zero(r->sig_s + SNP_SIG_VALUE_LEN, pad))
		wrong = "R or S is longer than 48 bytes";
	else if (!ecdsa_raw_verify(X509_get0_pubkey(a->chain.vek), EVP_sha384(), r->sig_r, r->sig_s,
	                           SNP_SIG_VALUE_LEN, true,
	                           (struct bytes){r->raw.p, SNP_SIGNED_LEN}))
		wrong = "the certified key did not sign this report";
	check_add(a->checks, "snp.signature", wrong ? CHECK_FAIL : CHECK_PASS, "%s",
	          wrong ? wrong : "ECDSA P-384 with SHA-384 by the certified key");
	return !wrong;
}

/* ------------------------------------------------------------ inner bindings */

static void check_key_info(struct appraisal *a)
{
	uint32_t info = a->report.key_info;
	unsigned signer = SNP_KEY_SIGNING_KEY(info);
	const char *wrong = NULL;

	if (info & SNP_KEY_RESERVED)
		wrong = "reserved bits are set";
	else if (signer == SNP_UNSIGNED)
		wrong = "the report says that it is not signed";
	else if (signer != SNP_VCEK && signer != SNP_VLEK)
		wrong = "an unknown signing key";
	else if (signer != (unsigned)a->chain.of.kind)
		wrong = "the report names another kind of key than the certificate";
	check_add(a->checks, "snp.key-info", wrong ? CHECK_FAIL : CHECK_PASS, "%s (0x%x)",
	          wrong                ? wrong
	          : signer == SNP_VLEK ? "signed by the provider's key (VLEK)"
	                               : "signed by the chip's key (VCEK)",
	          info);
}

/* A VCEK names its chip, and the report must name the same. */
static const char *chip_agrees(const struct appraisal *a)
{
	const uint8_t *id = a->report.chip_id;
	size_t n = a->chain.product->chip_id_len;

	if (a->report.key_info & SNP_KEY_MASK_CHIP_KEY)
		return "the chip key is masked: nothing ties the report to a machine";
	if (bytes_all_zero(id, SNP_CHIP_ID_LEN))
		return "the chip id is masked: nothing ties the report to a machine";
	if (!bytes_equal((struct bytes){id, n}, a->chain.of.hwid) ||
	    !bytes_all_zero(id + n, SNP_CHIP_ID_LEN - n))
		return "the report is of another chip than the certificate";
	return NULL;
}

static void check_chip(struct appraisal *a)
{
	const struct snp_report *r = &a->report;
	const struct snp_product *product = a->chain.product;
	const char *wrong = NULL;

	if (r->version < product->min_version)
		wrong = "this product's firmware makes no report of this version";
	else if (r->version >= 3 && attest_snp_product_of_cpuid(r->family, r->model) != product)
		wrong = "the report's CPU is of another product than the certificate";
	else if (a->chain.of.kind == SNP_VCEK)
		wrong = chip_agrees(a);
	if (!wrong && a->chain.of.kind == SNP_VCEK) {
		memcpy(a->claims->chip_id, r->chip_id, product->chip_id_len);
		a->claims->chip_id_len = product->chip_id_len;
	}
	if (wrong)
		check_add(a->checks, "snp.chip", CHECK_FAIL, "%s", wrong);
	else if (a->chain.of.kind == SNP_VLEK)
		check_add(a->checks, "snp.chip", CHECK_PASS, "%s, some machine of %s",
		          product->name, a->chain.of.csp);
	else
		check_add(a->checks, "snp.chip", CHECK_PASS, "%s, the chip of the certificate",
		          product->name);
}

/* What the paravisor says beside the report counts only through the report data. */
static void check_paravisor(struct appraisal *a)
{
	uint8_t hash[32];
	const char *wrong = NULL;

	if (!a->report.hcl_runtime.p)
		return;
	if (!EVP_Digest(a->report.hcl_runtime.p, a->report.hcl_runtime.n, hash, NULL, EVP_sha256(),
	                NULL))
		wrong = "the hash of the runtime data could not be made";
	else if (memcmp(hash, a->report.report_data, sizeof(hash)) ||
	         !bytes_all_zero(a->report.report_data + 32, 32))
		wrong = "the report data is not the hash of the runtime data";
	check_add(a->checks, "snp.paravisor", wrong ? CHECK_FAIL : CHECK_PASS, "%s",
	          wrong ? wrong : "the report data is the hash of the runtime data");
}

/* ------------------------------------------------------------ modes and policy */

static void check_modes(struct appraisal *a)
{
	uint64_t policy = a->report.policy;
	uint32_t vmpl = a->report.vmpl;
	const char *wrong = NULL;

	if (!(policy & SNP_POLICY_DEBUG))
		check_add(a->checks, "snp.debug", CHECK_PASS, "the host may not debug the guest");
	else if (a->in->allow_debug)
		check_add(a->checks, "snp.debug", CHECK_PASS,
		          "a debug guest, which the caller allows");
	else
		check_add(a->checks, "snp.debug", CHECK_FAIL,
		          "the guest's policy lets the host debug it");

	if (!(policy & SNP_POLICY_ALWAYS_ONE))
		wrong = "bit 17 is not set";
	else if (policy & SNP_POLICY_RESERVED)
		wrong = "reserved bits are set";
	else if (policy & SNP_POLICY_MIGRATE_MA)
		wrong = "a migration agent may move the guest";
	check_add(a->checks, "snp.policy", wrong ? CHECK_FAIL : CHECK_PASS, "%s (0x%llx)",
	          wrong ? wrong : "no migration agent, no unknown bit", (unsigned long long)policy);

	wrong = vmpl == SNP_VMPL_HOST ? "the host asked for this report, not the guest"
	        : vmpl > 3            ? "no such privilege level"
	                              : NULL;
	check_add(a->checks, "snp.vmpl", wrong ? CHECK_FAIL : CHECK_PASS, "%s (%u)",
	          wrong ? wrong : "asked for by the guest at its level", vmpl);
}

/* ------------------------------------------------------------------------ TCB */

static void check_tcb_cert(struct appraisal *a)
{
	const struct snp_product *product = a->chain.product;

	for (int i = 0; i < SNP_TCB_PARTS; i++) {
		int at = product->tcb_byte[i];

		if (at >= 0 && a->report.reported_tcb[at] != a->chain.of.tcb[i]) {
			check_add(a->checks, "snp.tcb-cert", CHECK_FAIL,
			          "%s: the report says %u, the certificate %u",
			          attest_snp_tcb_name(i), a->report.reported_tcb[at],
			          a->chain.of.tcb[i]);
			return;
		}
	}
	check_add(a->checks, "snp.tcb-cert", CHECK_PASS,
	          "the reported TCB is the one that the certificate is for");
}

/* True if every part of a is at most that of b; else *part names the first that is not. */
static bool tcb_at_most(const struct snp_product *product, const uint8_t a[static SNP_TCB_LEN],
                        const uint8_t b[static SNP_TCB_LEN], const char **part)
{
	for (int i = 0; i < SNP_TCB_PARTS; i++) {
		int at = product->tcb_byte[i];

		*part = attest_snp_tcb_name(i);
		if (at >= 0 && a[at] > b[at])
			return false;
	}
	return true;
}

static bool tcb_reserved_zero(const struct snp_product *product,
                              const uint8_t tcb[static SNP_TCB_LEN])
{
	for (int at = 0; at < SNP_TCB_LEN; at++) {
		bool known = false;

		for (int i = 0; i < SNP_TCB_PARTS; i++)
			known |= product->tcb_byte[i] == at;
		if (!known && tcb[at])
			return false;
	}
	return true;
}

static void check_tcb_order(struct appraisal *a)
{
	const struct snp_report *r = &a->report;
	const struct snp_product *product = a->chain.product;
	const char *part = "", *wrong = NULL;

	if (!tcb_reserved_zero(product, r->reported_tcb) ||
	    !tcb_reserved_zero(product, r->current_tcb) ||
	    !tcb_reserved_zero(product, r->committed_tcb) ||
	    !tcb_reserved_zero(product, r->launch_tcb))
		wrong = "a reserved byte of a TCB version is not zero";
	else if (!tcb_at_most(product, r->reported_tcb, r->current_tcb, &part))
		wrong = "reported is above current";
	else if (!tcb_at_most(product, r->committed_tcb, r->current_tcb, &part))
		wrong = "committed is above current";
	if (wrong)
		check_add(a->checks, "snp.tcb-order", CHECK_FAIL, "%s%s%s", wrong,
		          *part ? ": " : "", part);
	else
		check_add(a->checks, "snp.tcb-order", CHECK_PASS,
		          "reported and committed are at most current");
}

static void check_report_data(struct appraisal *a)
{
	bool same;

	if (!a->in->check_report_data)
		return;
	same = !CRYPTO_memcmp(a->in->report_data, a->report.report_data, 64);
	check_add(a->checks, "snp.report-data", same ? CHECK_PASS : CHECK_FAIL,
	          same ? "as expected"
	               : "other report data than expected: made for another purpose");
}

/* ------------------------------------------------------------------- the whole */

/*
 * The launch measurement, and what an ID block brings beside it: the host may launch any guest with
 * one of its own, and the guest can read it. The block's guest SVN is signed by the ID key.
 */
static const struct {
	const char *name;
	enum register_role role;
	uint16_t off;
	uint8_t len;
} registers[] = {
        {"measurement", REGISTER_CODE, SNP_OFF_MEASUREMENT, 48},
        {"family-id", REGISTER_CONFIG, SNP_OFF_FAMILY_ID, 16},
        {"image-id", REGISTER_CONFIG, SNP_OFF_IMAGE_ID, 16},
        {"id-key-digest", REGISTER_CONFIG, SNP_OFF_ID_KEY_DIGEST, 48},
        {"author-key-digest", REGISTER_CONFIG, SNP_OFF_AUTHOR_KEY_DIGEST, 48},
};

static void claim_report(struct appraisal *a)
{
	const struct snp_report *r = &a->report;
	struct claims *c = a->claims;

	for (size_t i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		attest_register(c, registers[i].name, registers[i].role,
		                (struct bytes){r->raw.p + registers[i].off, registers[i].len});
	memcpy(c->report_data, r->report_data, sizeof(c->report_data));
	memcpy(c->host_data, r->host_data, sizeof(c->host_data));
	c->debug = r->policy & SNP_POLICY_DEBUG;
	c->policy = r->policy;
	c->platform_info = r->platform_info;
	c->vmpl = r->vmpl;
	c->guest_svn = r->guest_svn;
}

static void claim_chain(struct appraisal *a)
{
	struct claims *c = a->claims;

	snprintf(c->product, sizeof(c->product), "%s", a->chain.product->name);
	snprintf(c->csp, sizeof(c->csp), "%s", a->chain.of.csp);
	snprintf(c->signer, sizeof(c->signer), "%s",
	         a->chain.of.kind == SNP_VLEK ? "VLEK" : "VCEK");
	for (int i = 0; i < SNP_TCB_PARTS; i++) {
		struct tcb_component *t = &c->tcb[c->tcb_n];

		if (!a->chain.of.has_tcb[i])
			continue;
		snprintf(t->name, sizeof(t->name), "%s", attest_snp_tcb_name(i));
		t->svn = a->chain.of.tcb[i];
		c->tcb_n++;
	}
}

static bool check_endorsements(struct appraisal *a)
{
	static const char why[] = "nothing is known of the key without its chain";

	if (!check_chain(a)) {
		skip(a->checks, "snp.cert-time", why);
		skip(a->checks, "snp.revocation", why);
		skip(a->checks, "snp.signature", why);
		return false;
	}
	claim_chain(a);
	if (check_cert_time(a))
		check_revocation(a);
	else
		skip(a->checks, "snp.revocation", "the certificates are not valid at this time");
	return check_signature(a);
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	struct appraisal a = {.in = in, .claims = claims, .checks = checks};
	const char *why;
	int rc = attest_snp_parse(in->evidence, &a.report, &why);

	if (a.report.raw.n)
		claim_report(&a);
	if (rc) {
		check_add(checks, "snp.format", CHECK_FAIL, "%s (%zu bytes, version %u)", why,
		          in->evidence.n, a.report.version);
		why = "the report is malformed";
		skip(checks, "snp.chain", why);
		skip(checks, "snp.cert-time", why);
		skip(checks, "snp.revocation", why);
		skip(checks, "snp.signature", why);
		skip_after_signature(&a, why);
		return;
	}
	check_add(checks, "snp.format", CHECK_PASS, "version %u%s", a.report.version,
	          a.report.hcl_runtime.p ? ", in a paravisor's wrapper" : "");
	if (check_endorsements(&a)) {
		check_key_info(&a);
		check_chip(&a);
		check_paravisor(&a);
		check_modes(&a);
		check_tcb_cert(&a);
		check_tcb_order(&a);
		check_report_data(&a);
	} else {
		skip_after_signature(&a, "what the report says was not shown to be signed");
	}
	attest_snp_chain_free(&a.chain);
}

static bool recognise(struct bytes evidence)
{
	/* The version is a small number; TDX and SGX quotes of this length have more in it. */
	if (evidence.n >= 4 && !memcmp(evidence.p, "HCLA", 4))
		return true;
	return evidence.n == SNP_REPORT_LEN && !evidence.p[1] && !evidence.p[2] && !evidence.p[3];
}

const struct attest_platform attest_platform_snp = {
        .tee = TEE_SNP,
        .recognise = recognise,
        .appraise = appraise,
        .explain = attest_snp_explain,
};
