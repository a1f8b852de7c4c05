/* SPDX-License-Identifier: Apache-2.0 */
/* Shows an SGX or TDX quote field by field. Judges nothing: signatures are not looked at. */
#include "attest/explain.h"
#include "attest/intel_appraise.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct page {
	struct buf *out;
	const struct intel_quote *q;
	size_t body; /* its offset in the quote */
};

static void body_hex(const struct page *p, size_t off, size_t n, const char *name,
                     const char *meaning)
{
	explain_hex(p->out, p->body + off, name, (struct bytes){p->q->body.p + off, n}, meaning);
}

static void explain_header(const struct page *p)
{
	const uint8_t *raw = p->q->raw.p;
	const char *tee = p->q->version == INTEL_V3         ? "SGX: reserved in this version"
	                  : p->q->tee_type == INTEL_TEE_SGX ? "SGX"
	                  : p->q->tee_type == INTEL_TEE_TDX ? "TDX"
	                                                    : "unknown";
	bool intel =
	        !memcmp(raw + INTEL_OFF_QE_VENDOR, attest_intel_qe_vendor, INTEL_QE_VENDOR_LEN);

	explain_number(p->out, INTEL_OFF_VERSION, "VERSION", p->q->version, "");
	explain_number(p->out, INTEL_OFF_KEY_TYPE, "ATT_KEY_TYPE", p->q->key_type,
	               p->q->key_type == INTEL_KEY_ECDSA_P256 ? "ECDSA P-256" : "unknown");
	explain_number(p->out, INTEL_OFF_TEE_TYPE, "TEE_TYPE", p->q->tee_type, tee);
	if (p->q->version == INTEL_V3) {
		explain_number(p->out, INTEL_OFF_QE_SVN, "QE_SVN",
		               attest_intel_u16(raw, INTEL_OFF_QE_SVN), "quoting enclave");
		explain_number(p->out, INTEL_OFF_PCE_SVN, "PCE_SVN",
		               attest_intel_u16(raw, INTEL_OFF_PCE_SVN),
		               "provisioning certification enclave");
	}
	explain_hex(p->out, INTEL_OFF_QE_VENDOR, "QE_VENDOR",
	            (struct bytes){raw + INTEL_OFF_QE_VENDOR, INTEL_QE_VENDOR_LEN},
	            intel ? "Intel" : "NOT INTEL");
	explain_hex(
	        p->out, INTEL_OFF_USER_DATA, "USER_DATA",
	        (struct bytes){raw + INTEL_OFF_USER_DATA, INTEL_HEADER_LEN - INTEL_OFF_USER_DATA},
	        "the quoting enclave's id of the platform");
}

static void explain_td_attributes(const struct page *p)
{
	static const struct explain_bit bits[] = {
	        {TDX_ATTR_DEBUG, "DEBUGGING ALLOWED: the host can read the TD", "no debugging"},
	        {TDX_ATTR_TUD & ~TDX_ATTR_DEBUG, "ANOTHER UNTRUSTED ATTRIBUTE", NULL},
	        {TDX_ATTR_ICSSD, "ICSSD", NULL},
	        {TDX_ATTR_LASS, "LASS", NULL},
	        {TDX_ATTR_SEPT_VE_DISABLE, "no #VE by the host", "THE HOST CAN INJECT #VE"},
	        {TDX_ATTR_MIGRATABLE, "MIGRATABLE", "not migratable"},
	        {TDX_ATTR_PKS, "PKS", NULL},
	        {TDX_ATTR_KL, "key locker", NULL},
	        {TDX_ATTR_TPA, "TPA", NULL},
	        {TDX_ATTR_PERFMON, "PERFORMANCE MONITORING", NULL},
	        {~(TDX_ATTR_TUD | TDX_ATTR_ACCEPTED | TDX_ATTR_ICSSD | TDX_ATTR_MIGRATABLE |
	           TDX_ATTR_TPA | TDX_ATTR_PERFMON),
	         "UNKNOWN BITS SET", NULL},
	};

	explain_bits(p->out, p->body + TDX_OFF_TDATTRIBUTES, "TDATTRIBUTES",
	             attest_intel_u64(p->q->body.p, TDX_OFF_TDATTRIBUTES), "", bits,
	             sizeof(bits) / sizeof(bits[0]));
}

static void explain_tcb_svn(const struct page *p, size_t off, const char *name, const char *which)
{
	const uint8_t *svn = p->q->body.p + off;
	char text[80];

	snprintf(text, sizeof(text), "%s: module %u.%u, late microcode %u", which, svn[1], svn[0],
	         svn[2]);
	body_hex(p, off, INTEL_SVNS, name, text);
}

static void explain_td(const struct page *p)
{
	static const char *const rtmrs[TDX_RTMRS][2] = {
	        {"RTMR0", "the firmware's configuration"},
	        {"RTMR1", "boot loader and kernel"},
	        {"RTMR2", "initrd, command line, system"},
	        {"RTMR3", "extended by the application"},
	};
	static const struct explain_bit xfam[] = {
	        {~TDX_XFAM_ALLOWED, "UNKNOWN FEATURES", NULL},
	};

	explain_tcb_svn(p, TDX_OFF_TEE_TCB_SVN, "TEE_TCB_SVN", "at launch");
	body_hex(p, TDX_OFF_MRSEAM, TDX_HASH_LEN, "MRSEAM", "the TDX module");
	body_hex(p, TDX_OFF_MRSIGNERSEAM, TDX_HASH_LEN, "MRSIGNERSEAM", "NOT INTEL'S MODULE");
	body_hex(p, TDX_OFF_SEAMATTRIBUTES, 8, "SEAMATTRIBUTES", "NOT A PRODUCTION MODULE");
	explain_td_attributes(p);
	explain_bits(p->out, p->body + TDX_OFF_XFAM, "XFAM",
	             attest_intel_u64(p->q->body.p, TDX_OFF_XFAM), "CPU features in use", xfam, 1);
	body_hex(p, TDX_OFF_MRTD, TDX_HASH_LEN, "MRTD", "the initial image: the firmware");
	body_hex(p, TDX_OFF_MRCONFIGID, TDX_HASH_LEN, "MRCONFIGID", "chosen by the host at launch");
	body_hex(p, TDX_OFF_MROWNER, TDX_HASH_LEN, "MROWNER", "chosen by the host at launch");
	body_hex(p, TDX_OFF_MROWNERCONFIG, TDX_HASH_LEN, "MROWNERCONFIG",
	         "chosen by the host at launch");
	for (size_t i = 0; i < TDX_RTMRS; i++)
		body_hex(p, TDX_OFF_RTMR0 + i * TDX_HASH_LEN, TDX_HASH_LEN, rtmrs[i][0],
		         rtmrs[i][1]);
	body_hex(p, TDX_OFF_REPORT_DATA, 64, "REPORTDATA", "chosen by the guest");
	if (p->q->kind != INTEL_BODY_TD15)
		return;
	explain_tcb_svn(p, TDX_OFF_TEE_TCB_SVN_2, "TEE_TCB_SVN_2", "now");
	body_hex(p, TDX_OFF_MRSERVICETD, TDX_HASH_LEN, "MRSERVICETD", "A SERVICE TD IS BOUND");
}

/* base is the offset of the report in the quote. */
static void explain_enclave(struct buf *out, size_t base, const uint8_t *report)
{
	static const struct explain_bit flags[] = {
	        {SGX_FLAG_INIT, NULL, "not initialised"},
	        {SGX_FLAG_DEBUG, "DEBUGGING ALLOWED: the host can read the enclave",
	         "no debugging"},
	        {SGX_FLAG_MODE64, "64 bit", "32 bit"},
	        {SGX_FLAG_PROVISION_KEY, "PROVISIONING KEY", NULL},
	        {SGX_FLAG_EINITTOKEN, "LAUNCH KEY", NULL},
	        {SGX_FLAG_CET, "CET", NULL},
	        {SGX_FLAG_KSS, "key separation", NULL},
	        {SGX_FLAG_AEX_NOTIFY, "AEX-Notify", NULL},
	        {~SGX_FLAGS_KNOWN, "UNKNOWN BITS SET", NULL},
	};
	static const struct {
		uint16_t off, len;
		const char *name, *meaning;
	} fields[] = {
	        {SGX_OFF_MRENCLAVE, 32, "MRENCLAVE", "the program"},
	        {SGX_OFF_MRSIGNER, 32, "MRSIGNER", "who signed it"},
	        {SGX_OFF_CONFIGID, 64, "CONFIGID", "chosen by the host at launch"},
	};

	explain_hex(out, base + SGX_OFF_CPUSVN, "CPUSVN",
	            (struct bytes){report + SGX_OFF_CPUSVN, INTEL_SVNS},
	            "the certificate's counts, not this one");
	explain_number(out, base + SGX_OFF_MISCSELECT, "MISCSELECT",
	               attest_intel_u32(report, SGX_OFF_MISCSELECT), "");
	explain_hex(out, base + SGX_OFF_ISVEXTPRODID, "ISVEXTPRODID",
	            (struct bytes){report + SGX_OFF_ISVEXTPRODID, 16}, "set by the signer");
	explain_bits(out, base + SGX_OFF_FLAGS, "ATTRIBUTES",
	             attest_intel_u64(report, SGX_OFF_FLAGS), "", flags,
	             sizeof(flags) / sizeof(flags[0]));
	explain_number(out, base + SGX_OFF_XFRM, "XFRM", attest_intel_u64(report, SGX_OFF_XFRM),
	               "CPU features in use");
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		explain_hex(out, base + fields[i].off, fields[i].name,
		            (struct bytes){report + fields[i].off, fields[i].len},
		            fields[i].meaning);
	explain_number(out, base + SGX_OFF_ISVPRODID, "ISVPRODID",
	               attest_intel_u16(report, SGX_OFF_ISVPRODID), "which product of the signer");
	explain_number(out, base + SGX_OFF_ISVSVN, "ISVSVN",
	               attest_intel_u16(report, SGX_OFF_ISVSVN), "its security version");
	explain_number(out, base + SGX_OFF_CONFIGSVN, "CONFIGSVN",
	               attest_intel_u16(report, SGX_OFF_CONFIGSVN), "");
	explain_hex(out, base + SGX_OFF_ISVFAMILYID, "ISVFAMILYID",
	            (struct bytes){report + SGX_OFF_ISVFAMILYID, 16}, "set by the signer");
	explain_hex(out, base + SGX_OFF_REPORT_DATA, "REPORTDATA",
	            (struct bytes){report + SGX_OFF_REPORT_DATA, 64}, "chosen by the enclave");
}

static const char *cert_type(uint16_t type)
{
	switch (type) {
	case INTEL_CERT_PPID_CLEAR:
		return "platform id: the PCK certificate must come from elsewhere";
	case INTEL_CERT_PPID_RSA2048:
	case INTEL_CERT_PPID_RSA3072:
		return "ENCRYPTED PLATFORM ID: nobody else can look it up";
	case INTEL_CERT_PCK_LEAF:
		return "PCK certificate alone";
	case INTEL_CERT_PCK_CHAIN:
		return "PCK certificate chain";
	default:
		return "unknown";
	}
}

static void explain_auth(const struct page *p)
{
	const struct intel_quote *q = p->q;
	const uint8_t *raw = q->raw.p;
	char text[32];

	explain_hex(p->out, (size_t)(q->signature - raw), "SIGNATURE",
	            (struct bytes){q->signature, INTEL_SIG_LEN}, "r, s; over all up to here");
	explain_hex(p->out, (size_t)(q->attest_key - raw), "ATTESTATION KEY",
	            (struct bytes){q->attest_key, INTEL_KEY_LEN}, "x, y");
	buf_str(p->out, "the quoting enclave's report:\n");
	explain_enclave(p->out, (size_t)(q->qe_report - raw), q->qe_report);
	explain_hex(p->out, (size_t)(q->qe_signature - raw), "QE SIGNATURE",
	            (struct bytes){q->qe_signature, INTEL_SIG_LEN}, "r, s; by the PCK's key");
	if (q->qe_auth.n)
		explain_hex(p->out, (size_t)(q->qe_auth.p - raw), "QE AUTH DATA", q->qe_auth,
		            "hashed with the attestation key");
	snprintf(text, sizeof(text), "type %u, %zu bytes", q->cert_type, q->cert_data.n);
	explain_line(p->out, q->raw.n - q->cert_data.n, "CERTIFICATION DATA", text,
	             cert_type(q->cert_type));
	if (q->cert_type == INTEL_CERT_PCK_CHAIN)
		explain_certs(p->out, q->cert_data);
	snprintf(text, sizeof(text), "%zu bytes", q->padding);
	if (q->padding)
		explain_line(p->out, q->raw.n, "PADDING", text, "signed by nobody, not looked at");
}

int attest_intel_explain(enum tee tee, struct bytes evidence, struct buf *out)
{
	const char *name = tee == TEE_SGX ? "SGX" : "TDX";
	struct intel_quote q;
	const char *why;
	int rc = attest_intel_parse(evidence, tee, &q, &why);
	struct page page = {.out = out, .q = &q};

	if (!q.raw.n) {
		buf_printf(out, "not an Intel quote: %s\n", why);
		return out->bad ? -ENOMEM : -EINVAL;
	}
	buf_printf(out, "Intel %s quote%s%s\n", name, rc ? ", MALFORMED: " : "", rc ? why : "");
	explain_header(&page);
	if (q.body.n) {
		page.body = (size_t)(q.body.p - q.raw.p);
		if (q.kind == INTEL_BODY_SGX)
			explain_enclave(out, page.body, q.body.p);
		else
			explain_td(&page);
	}
	if (!rc)
		explain_auth(&page);
	return out->bad ? -ENOMEM : rc;
}
