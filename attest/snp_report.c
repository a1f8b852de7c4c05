/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The SEV-SNP report as bytes: products and where their TCB parts lie, the parser, and the page
 * that shows a report to a person. Decides only what is well-formed; may not know of certificates
 * or of what is acceptable.
 */
#include "attest/snp.h"
#include "attest/explain.h"
#include "attest/platform.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ------------------------------------------------------------------ products */

/* Order of parts: fmc, bootloader, tee, snp, microcode. */
static const struct snp_product products[] = {
        {"Milan", 64, {-1, 0, 1, 6, 7}, 2},
        {"Genoa", 64, {-1, 0, 1, 6, 7}, 2},
        /* Version 2 has neither the CPUID nor a way to tell Turin's other TCB layout. */
        {"Turin", 8, {0, 1, 2, 3, 7}, 3},
};

static const struct {
	uint8_t family, from, to;
	const char *product;
} cpuids[] = {
        {0x19, 0x00, 0x0f, "Milan"},
        {0x19, 0x10, 0x1f, "Genoa"},
        {0x19, 0xa0, 0xaf, "Genoa"}, /* Bergamo, Siena */
        {0x1a, 0x00, 0x11, "Turin"},
};

const struct snp_product *attest_snp_product(struct bytes name)
{
	for (size_t i = 0; i < sizeof(products) / sizeof(products[0]); i++)
		if (bytes_equal(name, bytes_str(products[i].name)))
			return &products[i];
	return NULL;
}

const struct snp_product *attest_snp_product_of_cpuid(uint8_t family, uint8_t model)
{
	for (size_t i = 0; i < sizeof(cpuids) / sizeof(cpuids[0]); i++)
		if (family == cpuids[i].family && model >= cpuids[i].from && model <= cpuids[i].to)
			return attest_snp_product(bytes_str(cpuids[i].product));
	return NULL;
}

const char *attest_snp_tcb_name(enum snp_tcb_part part)
{
	static const char *const names[SNP_TCB_PARTS] = {
	        [SNP_TCB_FMC] = "fmc", [SNP_TCB_BOOTLOADER] = "bootloader", [SNP_TCB_TEE] = "tee",
	        [SNP_TCB_SNP] = "snp", [SNP_TCB_MICROCODE] = "microcode",
	};

	return names[part];
}

/* ------------------------------------------------------------------- parsing */

static uint32_t at32(const uint8_t *report, size_t off)
{
	struct reader r = reader_of((struct bytes){report + off, 4});

	return rd_le32(&r);
}

static uint64_t at64(const uint8_t *report, size_t off)
{
	struct reader r = reader_of((struct bytes){report + off, 8});

	return rd_le64(&r);
}

/* Must-be-zero ranges, and the versions in which they must. */
static const struct {
	uint16_t off, len;
	uint8_t from_version, to_version;
	const char *why;
} must_be_zero[] = {
        {SNP_OFF_MBZ_04C, 4, 2, 5, "reserved bytes at 0x04c are not zero"},
        {SNP_OFF_CPUID, 24, 2, 2, "reserved bytes at 0x188 are not zero"},
        {SNP_OFF_MBZ_18B, 21, 3, 5, "reserved bytes at 0x18b are not zero"},
        {SNP_OFF_CURRENT_VERSION + 3, 1, 2, 5, "reserved byte at 0x1eb is not zero"},
        {SNP_OFF_COMMITTED_VERSION + 3, 1, 2, 5, "reserved byte at 0x1ef is not zero"},
        {SNP_OFF_LAUNCH_MIT, 16, 2, 4, "reserved bytes at 0x1f8 are not zero"},
        {SNP_OFF_MBZ_208, SNP_OFF_SIG_R - SNP_OFF_MBZ_208, 2, 5,
         "reserved bytes at 0x208 are not zero"},
        {SNP_OFF_SIG_TAIL, SNP_REPORT_LEN - SNP_OFF_SIG_TAIL, 2, 5,
         "bytes behind the signature are not zero"},
};

static int parse_bare(struct bytes raw, struct snp_report *out, const char **why)
{
	const uint8_t *p = raw.p;

	if (raw.n != SNP_REPORT_LEN) {
		*why = "a report has 1184 bytes, this has another length";
		return -EINVAL;
	}
	out->raw = raw;
	out->version = at32(p, SNP_OFF_VERSION);
	out->guest_svn = at32(p, SNP_OFF_GUEST_SVN);
	out->policy = at64(p, SNP_OFF_POLICY);
	out->vmpl = at32(p, SNP_OFF_VMPL);
	out->signature_algo = at32(p, SNP_OFF_SIGNATURE_ALGO);
	out->platform_info = at64(p, SNP_OFF_PLATFORM_INFO);
	out->key_info = at32(p, SNP_OFF_KEY_INFO);
	memcpy(out->current_tcb, p + SNP_OFF_CURRENT_TCB, SNP_TCB_LEN);
	memcpy(out->reported_tcb, p + SNP_OFF_REPORTED_TCB, SNP_TCB_LEN);
	memcpy(out->committed_tcb, p + SNP_OFF_COMMITTED_TCB, SNP_TCB_LEN);
	memcpy(out->launch_tcb, p + SNP_OFF_LAUNCH_TCB, SNP_TCB_LEN);
	out->report_data = p + SNP_OFF_REPORT_DATA;
	out->measurement = p + SNP_OFF_MEASUREMENT;
	out->host_data = p + SNP_OFF_HOST_DATA;
	out->chip_id = p + SNP_OFF_CHIP_ID;
	out->sig_r = p + SNP_OFF_SIG_R;
	out->sig_s = p + SNP_OFF_SIG_S;
	if (out->version < 2 || out->version > 5) {
		*why = "unknown report version";
		return -EINVAL;
	}
	if (out->version >= 3) {
		out->family = p[SNP_OFF_CPUID];
		out->model = p[SNP_OFF_CPUID + 1];
		out->stepping = p[SNP_OFF_CPUID + 2];
	}
	for (size_t i = 0; i < sizeof(must_be_zero) / sizeof(must_be_zero[0]); i++) {
		if (out->version < must_be_zero[i].from_version ||
		    out->version > must_be_zero[i].to_version)
			continue;
		if (!bytes_all_zero(p + must_be_zero[i].off, must_be_zero[i].len)) {
			*why = must_be_zero[i].why;
			return -EINVAL;
		}
	}
	return 0;
}

/*
 * Azure's paravisor keeps the report that it fetched at VMPL 0 in a vTPM NV index, with the runtime
 * data whose hash it put into the report data: a 32-byte header, the report, a header of 20 bytes
 * that starts with the length of itself and the data, the data; then zeros up to the NV size.
 */
enum { HCL_HEADER_LEN = 32, HCL_RUNTIME_HEADER_LEN = 20 };
enum { HCL_REQUEST_REPORT = 2, HCL_REPORT_SNP = 2, HCL_HASH_SHA256 = 1 };

static bool is_hcl(struct bytes evidence)
{
	return evidence.n >= 4 && !memcmp(evidence.p, "HCLA", 4);
}

static int parse_hcl(struct bytes evidence, struct snp_report *out, const char **why)
{
	struct reader r = reader_of(evidence);
	struct bytes raw, runtime;
	uint32_t size, request, area, version, type, hash, n;

	rd_take(&r, 4);
	version = rd_le32(&r);
	size = rd_le32(&r);
	request = rd_le32(&r);
	rd_take(&r, 16);
	raw = rd_take(&r, SNP_REPORT_LEN);
	area = rd_le32(&r);
	*why = "the paravisor's wrapper is cut short or of an unknown kind";
	if (r.bad || version < 1 || version > 2 || request != HCL_REQUEST_REPORT ||
	    area < HCL_RUNTIME_HEADER_LEN ||
	    size != HCL_HEADER_LEN + SNP_REPORT_LEN + (uint64_t)area)
		return -EINVAL;
	version = rd_le32(&r);
	type = rd_le32(&r);
	hash = rd_le32(&r);
	n = rd_le32(&r);
	if (version != 1 || type != HCL_REPORT_SNP || hash != HCL_HASH_SHA256 ||
	    n != area - HCL_RUNTIME_HEADER_LEN)
		return -EINVAL;
	runtime = rd_take(&r, n);
	if (r.bad || !n || !bytes_all_zero(r.p, r.left))
		return -EINVAL;
	out->hcl_runtime = runtime;
	return parse_bare(raw, out, why);
}

int attest_snp_parse(struct bytes evidence, struct snp_report *out, const char **why)
{
	*out = (struct snp_report){0};
	*why = "";
	return is_hcl(evidence) ? parse_hcl(evidence, out, why) : parse_bare(evidence, out, why);
}

/* ---------------------------------------------------------------- explanation */

static void line_hex(struct buf *out, const struct snp_report *r, unsigned off, size_t n,
                     const char *name, const char *meaning)
{
	explain_hex(out, off, name, (struct bytes){r->raw.p + off, n}, meaning);
}

static void explain_policy(struct buf *out, const struct snp_report *r)
{
	static const struct explain_bit bits[] = {
	        {SNP_POLICY_SMT, "SMT allowed", "SMT not allowed"},
	        {SNP_POLICY_ALWAYS_ONE, NULL, "bit 17 is not set: invalid"},
	        {SNP_POLICY_MIGRATE_MA, "MIGRATION AGENT ALLOWED", "no migration agent"},
	        {SNP_POLICY_DEBUG, "DEBUGGING ALLOWED: the host can read the guest",
	         "no debugging"},
	        {SNP_POLICY_SINGLE_SOCKET, "one socket only", NULL},
	        {SNP_POLICY_CXL_ALLOW, "CXL allowed", NULL},
	        {SNP_POLICY_MEM_AES_256_XTS, "AES-256-XTS required", NULL},
	        {SNP_POLICY_RAPL_DIS, "RAPL must be off", NULL},
	        {SNP_POLICY_CIPHERTEXT_HIDING, "ciphertext hiding required", NULL},
	        {SNP_POLICY_PAGE_SWAP_DISABLE, "page swap off", NULL},
	        {SNP_POLICY_RESERVED, "RESERVED BITS SET", NULL},
	};
	char abi[32];

	snprintf(abi, sizeof(abi), "ABI at least %u.%u", SNP_POLICY_ABI_MAJOR(r->policy),
	         SNP_POLICY_ABI_MINOR(r->policy));
	explain_bits(out, SNP_OFF_POLICY, "POLICY", r->policy, abi, bits,
	             sizeof(bits) / sizeof(bits[0]));
}

static void explain_platform(struct buf *out, const struct snp_report *r)
{
	static const struct explain_bit bits[] = {
	        {SNP_PLATFORM_SMT_EN, "SMT on", "SMT off"},
	        {SNP_PLATFORM_TSME_EN, "TSME on", NULL},
	        {SNP_PLATFORM_ECC_EN, "ECC memory", "no ECC"},
	        {SNP_PLATFORM_RAPL_DIS, "RAPL off", NULL},
	        {SNP_PLATFORM_CIPHERTEXT_HIDING, "ciphertext hiding", NULL},
	        {SNP_PLATFORM_ALIAS_CHECK_COMPLETE, "memory aliases checked",
	         "memory aliases not checked"},
	        {SNP_PLATFORM_TIO_EN, "trusted I/O", NULL},
	};

	explain_bits(out, SNP_OFF_PLATFORM_INFO, "PLATFORM_INFO", r->platform_info, "", bits,
	             sizeof(bits) / sizeof(bits[0]));
}

static void explain_key_info(struct buf *out, const struct snp_report *r)
{
	static const struct explain_bit bits[] = {
	        {SNP_KEY_AUTHOR_KEY_EN, "author key present", NULL},
	        {SNP_KEY_MASK_CHIP_KEY, "chip key masked", NULL},
	        {SNP_KEY_RESERVED, "RESERVED BITS SET", NULL},
	};
	const char *signer = "signed by an unknown key";

	switch (SNP_KEY_SIGNING_KEY(r->key_info)) {
	case SNP_VCEK:
		signer = "signed by the chip's key, VCEK";
		break;
	case SNP_VLEK:
		signer = "signed by the provider's key, VLEK";
		break;
	case SNP_UNSIGNED:
		signer = "NOT SIGNED";
		break;
	}
	explain_bits(out, SNP_OFF_KEY_INFO, "KEY_INFO", r->key_info, signer, bits,
	             sizeof(bits) / sizeof(bits[0]));
}

static void explain_tcb(struct buf *out, const struct snp_report *r, unsigned off, const char *name,
                        const uint8_t tcb[static SNP_TCB_LEN])
{
	const struct snp_product *product = attest_snp_product_of_cpuid(r->family, r->model);
	char hex[2 * SNP_TCB_LEN + 1], text[120] = "parts depend on the product";
	size_t at = 0;

	/* Version 2 does not name its product; all that made it share one layout. */
	if (r->version == 2)
		product = &products[0];
	for (int i = 0; product && i < SNP_TCB_PARTS; i++)
		if (product->tcb_byte[i] >= 0)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s %u",
			                       at ? ", " : "", attest_snp_tcb_name(i),
			                       tcb[product->tcb_byte[i]]);
	hex_encode((struct bytes){tcb, SNP_TCB_LEN}, hex);
	explain_line(out, off, name, hex, text);
}

static void explain_version(struct buf *out, const struct snp_report *r, unsigned off,
                            const char *name)
{
	const uint8_t *p = r->raw.p + off;
	char text[24];

	snprintf(text, sizeof(text), "%u.%u build %u", p[2], p[1], p[0]);
	explain_line(out, off, name, text, "");
}

static void explain_machine(struct buf *out, const struct snp_report *r)
{
	const struct snp_product *product = attest_snp_product_of_cpuid(r->family, r->model);
	char text[64];

	explain_tcb(out, r, SNP_OFF_REPORTED_TCB, "REPORTED_TCB", r->reported_tcb);
	if (r->version >= 3) {
		snprintf(text, sizeof(text), "family 0x%02x model 0x%02x stepping %u", r->family,
		         r->model, r->stepping);
		explain_line(out, SNP_OFF_CPUID, "CPUID", text,
		             product ? product->name : "unknown product");
	}
	line_hex(out, r, SNP_OFF_CHIP_ID, SNP_CHIP_ID_LEN, "CHIP_ID", "the machine");
	explain_tcb(out, r, SNP_OFF_COMMITTED_TCB, "COMMITTED_TCB", r->committed_tcb);
	explain_version(out, r, SNP_OFF_CURRENT_VERSION, "CURRENT_VERSION");
	explain_version(out, r, SNP_OFF_COMMITTED_VERSION, "COMMITTED_VERSION");
	explain_tcb(out, r, SNP_OFF_LAUNCH_TCB, "LAUNCH_TCB", r->launch_tcb);
	if (r->version >= 5) {
		explain_number(out, SNP_OFF_LAUNCH_MIT, "LAUNCH_MIT",
		               at64(r->raw.p, SNP_OFF_LAUNCH_MIT), "mitigations at launch");
		explain_number(out, SNP_OFF_CURRENT_MIT, "CURRENT_MIT",
		               at64(r->raw.p, SNP_OFF_CURRENT_MIT), "mitigations now");
	}
	line_hex(out, r, SNP_OFF_SIG_R, SNP_SIG_FIELD_LEN, "SIGNATURE R", "little endian");
	line_hex(out, r, SNP_OFF_SIG_S, SNP_SIG_FIELD_LEN, "SIGNATURE S", "little endian");
}

int attest_snp_explain(struct bytes evidence, struct buf *out)
{
	struct snp_report r;
	const char *why;
	int rc = attest_snp_parse(evidence, &r, &why);

	if (!r.raw.n) {
		buf_printf(out, "not an SEV-SNP report: %s\n", why);
		return out->bad ? -ENOMEM : -EINVAL;
	}
	buf_printf(out, "AMD SEV-SNP attestation report%s%s%s\n",
	           r.hcl_runtime.p ? " in an Azure paravisor's wrapper" : "",
	           rc ? ", MALFORMED: " : "", rc ? why : "");
	explain_number(out, SNP_OFF_VERSION, "VERSION", r.version, "");
	explain_number(out, SNP_OFF_GUEST_SVN, "GUEST_SVN", r.guest_svn,
	               "the guest owner's number");
	explain_policy(out, &r);
	line_hex(out, &r, SNP_OFF_FAMILY_ID, 16, "FAMILY_ID", "set by the guest owner");
	line_hex(out, &r, SNP_OFF_IMAGE_ID, 16, "IMAGE_ID", "set by the guest owner");
	explain_number(out, SNP_OFF_VMPL, "VMPL", r.vmpl,
	               r.vmpl == SNP_VMPL_HOST ? "ASKED FOR BY THE HOST"
	                                       : "0 is the most privileged");
	explain_number(out, SNP_OFF_SIGNATURE_ALGO, "SIGNATURE_ALGO", r.signature_algo,
	               r.signature_algo == SNP_SIG_ECDSA_P384_SHA384 ? "ECDSA P-384 with SHA-384"
	                                                             : "unknown");
	explain_tcb(out, &r, SNP_OFF_CURRENT_TCB, "CURRENT_TCB", r.current_tcb);
	explain_platform(out, &r);
	explain_key_info(out, &r);
	line_hex(out, &r, SNP_OFF_REPORT_DATA, 64, "REPORT_DATA", "chosen by the guest");
	line_hex(out, &r, SNP_OFF_MEASUREMENT, 48, "MEASUREMENT", "what was launched");
	line_hex(out, &r, SNP_OFF_HOST_DATA, 32, "HOST_DATA", "chosen by the host at launch");
	line_hex(out, &r, SNP_OFF_ID_KEY_DIGEST, 48, "ID_KEY_DIGEST", "who signed the identity");
	line_hex(out, &r, SNP_OFF_AUTHOR_KEY_DIGEST, 48, "AUTHOR_KEY_DIGEST",
	         "who signed the identity key");
	line_hex(out, &r, SNP_OFF_REPORT_ID, 32, "REPORT_ID", "this guest, for its life");
	line_hex(out, &r, SNP_OFF_REPORT_ID_MA, 32, "REPORT_ID_MA",
	         "migration agent; ff..ff: none");
	explain_machine(out, &r);
	return out->bad ? -ENOMEM : rc;
}
