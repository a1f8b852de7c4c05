/* SPDX-License-Identifier: Apache-2.0 */
/*
 * AMD SEV-SNP: the layout of an attestation report, of the certificates that endorse its key and
 * of the certificate table that a host hands to a guest. Shared by the appraisal in attest/ and by
 * whoever builds reports (the simulated platform). Facts only: what is acceptable is attest/snp.c's
 * to say, and who is trusted the caller's.
 *
 * Sources: SEV-SNP Firmware ABI Specification (56860) table ATTESTATION_REPORT and TCB_VERSION;
 * VCEK/VLEK certificate and KDS interface specification (57230); GHCB specification (56421),
 * extended guest request.
 */
#ifndef KEYGATE_ATTEST_SNP_H
#define KEYGATE_ATTEST_SNP_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>
#include "core/bytes.h"
#include "core/verdict.h"
#include "attest/attest.h"
#include "attest/pki.h"

/* ---------------------------------------------------------------- the report */

/* All integers are little endian; R and S too, 48 bytes of value in fields of 72. */
enum {
	SNP_REPORT_LEN = 1184,
	SNP_SIGNED_LEN = 0x2A0, /* what the signature covers: from the start up to R */
	SNP_SIG_FIELD_LEN = 72,
	SNP_SIG_VALUE_LEN = 48,
	SNP_TCB_LEN = 8,
	SNP_CHIP_ID_LEN = 64,
};

enum snp_offset {
	SNP_OFF_VERSION = 0x000,
	SNP_OFF_GUEST_SVN = 0x004,
	SNP_OFF_POLICY = 0x008,
	SNP_OFF_FAMILY_ID = 0x010,
	SNP_OFF_IMAGE_ID = 0x020,
	SNP_OFF_VMPL = 0x030,
	SNP_OFF_SIGNATURE_ALGO = 0x034,
	SNP_OFF_CURRENT_TCB = 0x038,
	SNP_OFF_PLATFORM_INFO = 0x040,
	SNP_OFF_KEY_INFO = 0x048,
	SNP_OFF_MBZ_04C = 0x04C,
	SNP_OFF_REPORT_DATA = 0x050,
	SNP_OFF_MEASUREMENT = 0x090,
	SNP_OFF_HOST_DATA = 0x0C0,
	SNP_OFF_ID_KEY_DIGEST = 0x0E0,
	SNP_OFF_AUTHOR_KEY_DIGEST = 0x110,
	SNP_OFF_REPORT_ID = 0x140,
	SNP_OFF_REPORT_ID_MA = 0x160,
	SNP_OFF_REPORTED_TCB = 0x180,
	SNP_OFF_CPUID = 0x188, /* family, model, stepping: version 3 and later */
	SNP_OFF_MBZ_18B = 0x18B,
	SNP_OFF_CHIP_ID = 0x1A0,
	SNP_OFF_COMMITTED_TCB = 0x1E0,
	SNP_OFF_CURRENT_VERSION = 0x1E8, /* build, minor, major, one zero byte */
	SNP_OFF_COMMITTED_VERSION = 0x1EC,
	SNP_OFF_LAUNCH_TCB = 0x1F0,
	SNP_OFF_LAUNCH_MIT = 0x1F8, /* version 5 and later */
	SNP_OFF_CURRENT_MIT = 0x200,
	SNP_OFF_MBZ_208 = 0x208,
	SNP_OFF_SIG_R = 0x2A0,
	SNP_OFF_SIG_S = 0x2E8,
	SNP_OFF_SIG_TAIL = 0x330, /* zero up to the end */
};

enum { SNP_SIG_ECDSA_P384_SHA384 = 1 };

#define SNP_VMPL_HOST 0xFFFFFFFFu /* asked for by the host, not by a guest */

#define SNP_POLICY_ABI_MINOR(p)      ((unsigned)((p)&0xFF))
#define SNP_POLICY_ABI_MAJOR(p)      ((unsigned)(((p) >> 8) & 0xFF))
#define SNP_POLICY_SMT               (UINT64_C(1) << 16)
#define SNP_POLICY_ALWAYS_ONE        (UINT64_C(1) << 17)
#define SNP_POLICY_MIGRATE_MA        (UINT64_C(1) << 18)
#define SNP_POLICY_DEBUG             (UINT64_C(1) << 19)
#define SNP_POLICY_SINGLE_SOCKET     (UINT64_C(1) << 20)
#define SNP_POLICY_CXL_ALLOW         (UINT64_C(1) << 21)
#define SNP_POLICY_MEM_AES_256_XTS   (UINT64_C(1) << 22)
#define SNP_POLICY_RAPL_DIS          (UINT64_C(1) << 23)
#define SNP_POLICY_CIPHERTEXT_HIDING (UINT64_C(1) << 24)
#define SNP_POLICY_PAGE_SWAP_DISABLE (UINT64_C(1) << 25)
#define SNP_POLICY_RESERVED          (~UINT64_C(0) << 26)

#define SNP_PLATFORM_SMT_EN               (UINT64_C(1) << 0)
#define SNP_PLATFORM_TSME_EN              (UINT64_C(1) << 1)
#define SNP_PLATFORM_ECC_EN               (UINT64_C(1) << 2)
#define SNP_PLATFORM_RAPL_DIS             (UINT64_C(1) << 3)
#define SNP_PLATFORM_CIPHERTEXT_HIDING    (UINT64_C(1) << 4)
#define SNP_PLATFORM_ALIAS_CHECK_COMPLETE (UINT64_C(1) << 5)
#define SNP_PLATFORM_TIO_EN               (UINT64_C(1) << 7)

#define SNP_KEY_AUTHOR_KEY_EN  0x1u
#define SNP_KEY_MASK_CHIP_KEY  0x2u
#define SNP_KEY_SIGNING_KEY(k) (((k) >> 2) & 0x7u)
#define SNP_KEY_RESERVED       0xFFFFFFE0u

enum snp_signer { SNP_VCEK = 0, SNP_VLEK = 1, SNP_UNSIGNED = 7 };

/* The parts of a TCB version; every part is compared by itself, never the 64-bit number. */
enum snp_tcb_part {
	SNP_TCB_FMC,
	SNP_TCB_BOOTLOADER,
	SNP_TCB_TEE,
	SNP_TCB_SNP,
	SNP_TCB_MICROCODE,
	SNP_TCB_PARTS,
};

struct snp_product {
	const char *name; /* "Milan": as in ARK-Milan, SEV-Milan, SEV-VLEK-Milan */
	uint8_t chip_id_len;
	int8_t tcb_byte[SNP_TCB_PARTS]; /* where each part lies in a TCB version; -1: it has none */
	uint32_t min_version;           /* of the report */
};

/* NULL for a name or a CPUID that this build does not know. */
const struct snp_product *attest_snp_product(struct bytes name);
const struct snp_product *attest_snp_product_of_cpuid(uint8_t family, uint8_t model);
/* "fmc", "bootloader", "tee", "snp", "microcode": also the names in struct claims. */
const char *attest_snp_tcb_name(enum snp_tcb_part part);

struct snp_report {
	uint32_t version;
	uint32_t guest_svn;
	uint64_t policy;
	uint32_t vmpl;
	uint32_t signature_algo;
	uint8_t current_tcb[SNP_TCB_LEN];
	uint64_t platform_info;
	uint32_t key_info;
	const uint8_t *report_data; /* views into the evidence */
	const uint8_t *measurement;
	const uint8_t *host_data;
	const uint8_t *chip_id;
	const uint8_t *sig_r;
	const uint8_t *sig_s;
	uint8_t reported_tcb[SNP_TCB_LEN];
	uint8_t family, model, stepping; /* zero in version 2 */
	uint8_t committed_tcb[SNP_TCB_LEN];
	uint8_t launch_tcb[SNP_TCB_LEN];
	struct bytes raw;         /* the report itself, SNP_REPORT_LEN bytes */
	struct bytes hcl_runtime; /* what a paravisor put beside it; p is NULL for a bare report */
};

/*
 * Reads a bare report, or one in an Azure HCL wrapper. Checks lengths, the version and every field
 * that must be zero; judges nothing else. *why says what is wrong, in words. -EINVAL; *out holds
 * what could be read if out->raw.n is not 0.
 */
int attest_snp_parse(struct bytes evidence, struct snp_report *out, const char **why);

/* ---------------------------------------------------- certificates, their table */

#define SNP_OID_PRODUCT        "1.3.6.1.4.1.3704.1.2"
#define SNP_OID_SPL            "1.3.6.1.4.1.3704.1.3"
#define SNP_OID_SPL_BOOTLOADER SNP_OID_SPL ".1"
#define SNP_OID_SPL_TEE        SNP_OID_SPL ".2"
#define SNP_OID_SPL_SNP        SNP_OID_SPL ".3"
#define SNP_OID_SPL_MICROCODE  SNP_OID_SPL ".8"
#define SNP_OID_SPL_FMC        SNP_OID_SPL ".9"
#define SNP_OID_HWID           "1.3.6.1.4.1.3704.1.4"
#define SNP_OID_CSP            "1.3.6.1.4.1.3704.1.5"

#define SNP_CN_VCEK "SEV-VCEK"
#define SNP_CN_VLEK "SEV-VLEK"
#define SNP_CN_ARK  "ARK-"
#define SNP_CN_ASK  "SEV-"
#define SNP_CN_ASVK "SEV-VLEK-"

/* An entry of the table: GUID in textual byte order, then u32 offset from the table's start and
 * u32 length, little endian; an entry with a zero GUID ends the list. */
enum { SNP_GUID_LEN = 16, SNP_TABLE_ENTRY_LEN = 24, SNP_TABLE_ENTRIES_MAX = 16 };

struct snp_guid {
	uint8_t v[SNP_GUID_LEN];
	const char *name; /* "ARK", "ASK", "VCEK", "VLEK" */
};

extern const struct snp_guid attest_snp_guids[];
extern const size_t attest_snp_guids_count;

struct snp_table {
	uint32_t n;
	struct {
		const struct snp_guid *guid; /* NULL: one that is not a certificate */
		struct bytes content;
	} v[SNP_TABLE_ENTRIES_MAX];
};

/* True when data starts like a certificate table (and is then meant to be one). */
bool attest_snp_is_table(struct bytes data);
/* 0 or -EINVAL: an entry outside the table, over the header, empty, or no end of the list. */
int attest_snp_table(struct bytes data, struct snp_table *out);

/* What a VCEK or VLEK certificate says of the machine. */
struct snp_vek {
	enum snp_signer kind;
	uint16_t tcb[SNP_TCB_PARTS];
	bool has_tcb[SNP_TCB_PARTS];
	struct bytes hwid; /* view into the certificate; VCEK only */
	char csp[64];      /* VLEK only */
};

/*
 * Reads a VCEK or VLEK by itself, without its issuer: which product and what it says of the
 * machine. NULL when it is none. *out views into the certificate.
 */
const struct snp_product *attest_snp_vek(const X509 *cert, struct snp_vek *out);
/* The name of a VCEK at AMD's key distribution service (57230, chapter 4). 0 or -ENOSPC. */
int attest_snp_vcek_path(const struct snp_product *product, const uint8_t *chip_id,
                         const uint16_t tcb[static SNP_TCB_PARTS],
                         char out[static COLLATERAL_PATH_MAX]);

struct snp_chain {
	struct pki_bag bag; /* owns the certificates */
	X509 *vek, *ask, *ark;
	const struct snp_product *product;
	struct snp_vek of;
	bool extra_anchor;
};

/*
 * Finds the VEK, its intermediate and its root among the input's endorsements and anchors, then in
 * the caller's store of collateral, and verifies all that does not depend on the time. report, if
 * given, helps to pick among several VEKs: the one whose key signed it, else the first of the kind
 * that it names; without it no VEK is asked for. What was not found is noted in claims. Returns the
 * status of the check, with the words for it in why. The caller frees with attest_snp_chain_free in
 * any case.
 */
enum check_status attest_snp_chain(const struct attest_input *in, const struct snp_report *report,
                                   struct claims *claims, struct snp_chain *out,
                                   char why[static CHECK_DETAIL_MAX]);
/*
 * The root's newest revocation list for in->at, of the chain's bag and the caller's store. It may
 * still be one that does not hold; NULL when there is none. 0, or -ENOSPC: more lists than anybody
 * needs came with the evidence.
 */
int attest_snp_crl(const struct attest_input *in, struct claims *claims, struct snp_chain *c,
                   X509_CRL **out);
void attest_snp_chain_free(struct snp_chain *c);

#endif
