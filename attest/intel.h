/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intel SGX and TDX: the layout of a DCAP quote, of the certificate that endorses its key and of
 * the signed collateral that rates its TCB. Shared by the appraisal in attest/ and by whoever
 * builds quotes (the simulated platform). Facts only: what is acceptable is
 * attest/intel_appraise.c's, attest/tdx.c's and attest/sgx.c's to say, and who is trusted the
 * caller's.
 *
 * The checks of both, in this order, each with the prefix "tdx." or "sgx.":
 *
 *   format        structure and lengths, version, key type, QE vendor, reserved fields zero
 *   pck-chain     PCK certificate <- Platform or Processor CA <- Intel SGX Root CA, and the PCK's
 *                 extension; names, P-256, a pinned key or anchor at its end
 *   cert-time     these three are valid at the time
 *   revocation    PCK CRL of the CA, and the root's CRL; skipped without, unless demanded
 *   qe-signature  the PCK's key signed the report of the quoting enclave
 *   qe-binding    the QE report names the attestation key: SHA-256(key || auth data), then zeros
 *   signature     the attestation key signed header and body
 *   qe-identity   the QE is Intel's, by signed collateral
 *   tcb-info      the TCB info of this platform: signed, in time, of this FMSPC and PCEID
 *   module        (tdx only) the TDX module is one that the TCB info knows
 *   tcb           a level of the TCB info matches, and is not revoked
 *   debug         the debug bit is clear
 *   attributes    no attribute that weakens the TEE or is unknown
 *   report-data   only if the caller asked for it
 *
 * Sources: Intel SGX ECDSA Quote Library Reference (v3), Intel TDX DCAP Quoting Library API (v4,
 * v5), Intel TDX Module ABI; Intel SGX PCK Certificate and CRL Profile; Intel SGX and Intel TDX
 * Provisioning Certification Service API v4.
 */
#ifndef KEYGATE_ATTEST_INTEL_H
#define KEYGATE_ATTEST_INTEL_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>
#include "attest/attest.h"
#include "attest/pki.h"
#include "core/bytes.h"
#include "core/verdict.h"

/* ----------------------------------------------------------------- the quote */

/*
 * All integers are little endian, but the halves of keys and signatures: raw x || y and r || s,
 * 32 bytes each, big endian, on P-256 with SHA-256.
 *
 * header | (v5: u16 body type, u32 body length) | body | u32 length | that much authentication
 * data | whatever follows is padding that nobody signed.
 */
enum {
	INTEL_HEADER_LEN = 48,
	INTEL_BODY_HEADER_LEN = 6, /* version 5 */
	INTEL_SGX_BODY_LEN = 384,
	INTEL_TD10_BODY_LEN = 584,
	INTEL_TD15_BODY_LEN = 648,
	INTEL_SIG_LEN = 64,
	INTEL_KEY_LEN = 64,
	INTEL_QUOTE_MAX = 32768,
	INTEL_CERT_DATA_MAX = 16384,
	INTEL_CERTS_MAX = 8, /* in the certification data */
};

enum { INTEL_V3 = 3, INTEL_V4 = 4, INTEL_V5 = 5 };

enum { INTEL_KEY_ECDSA_P256 = 2 };
enum { INTEL_TEE_SGX = 0x00, INTEL_TEE_TDX = 0x81 };

enum intel_header_offset {
	INTEL_OFF_VERSION = 0,
	INTEL_OFF_KEY_TYPE = 2,
	INTEL_OFF_TEE_TYPE = 4, /* version 3: reserved, zero */
	INTEL_OFF_QE_SVN = 8,   /* version 3; reserved later */
	INTEL_OFF_PCE_SVN = 10,
	INTEL_OFF_QE_VENDOR = 12,
	INTEL_OFF_USER_DATA = 28, /* 20 bytes */
};

enum { INTEL_QE_VENDOR_LEN = 16 };
extern const uint8_t attest_intel_qe_vendor[INTEL_QE_VENDOR_LEN];

/* Version 5 writes these numbers; in the others the TEE type says it. */
enum intel_body { INTEL_BODY_NONE = 0, INTEL_BODY_SGX, INTEL_BODY_TD10, INTEL_BODY_TD15 };

/* An SGX report body: also what the quoting enclave's own report is. The gaps are zero. */
enum sgx_offset {
	SGX_OFF_CPUSVN = 0,
	SGX_OFF_MISCSELECT = 16,
	SGX_OFF_MBZ_20 = 20,
	SGX_OFF_ISVEXTPRODID = 32,
	SGX_OFF_FLAGS = 48,
	SGX_OFF_XFRM = 56,
	SGX_OFF_MRENCLAVE = 64,
	SGX_OFF_MBZ_96 = 96,
	SGX_OFF_MRSIGNER = 128,
	SGX_OFF_MBZ_160 = 160,
	SGX_OFF_CONFIGID = 192,
	SGX_OFF_ISVPRODID = 256,
	SGX_OFF_ISVSVN = 258,
	SGX_OFF_CONFIGSVN = 260,
	SGX_OFF_MBZ_262 = 262,
	SGX_OFF_ISVFAMILYID = 304,
	SGX_OFF_REPORT_DATA = 320,
};

#define SGX_FLAG_INIT          (UINT64_C(1) << 0)
#define SGX_FLAG_DEBUG         (UINT64_C(1) << 1)
#define SGX_FLAG_MODE64        (UINT64_C(1) << 2)
#define SGX_FLAG_PROVISION_KEY (UINT64_C(1) << 4)
#define SGX_FLAG_EINITTOKEN    (UINT64_C(1) << 5)
#define SGX_FLAG_CET           (UINT64_C(1) << 6)
#define SGX_FLAG_KSS           (UINT64_C(1) << 7)
#define SGX_FLAG_AEX_NOTIFY    (UINT64_C(1) << 10)
#define SGX_FLAGS_KNOWN \
	(SGX_FLAG_INIT | SGX_FLAG_DEBUG | SGX_FLAG_MODE64 | SGX_FLAG_PROVISION_KEY | \
	 SGX_FLAG_EINITTOKEN | SGX_FLAG_CET | SGX_FLAG_KSS | SGX_FLAG_AEX_NOTIFY)

enum tdx_offset {
	TDX_OFF_TEE_TCB_SVN = 0, /* [0] module SVN, [1] module major version, ... */
	TDX_OFF_MRSEAM = 16,
	TDX_OFF_MRSIGNERSEAM = 64, /* zero: Intel's module */
	TDX_OFF_SEAMATTRIBUTES = 112,
	TDX_OFF_TDATTRIBUTES = 120,
	TDX_OFF_XFAM = 128,
	TDX_OFF_MRTD = 136,
	TDX_OFF_MRCONFIGID = 184,
	TDX_OFF_MROWNER = 232,
	TDX_OFF_MROWNERCONFIG = 280,
	TDX_OFF_RTMR0 = 328, /* four of them, one after the other */
	TDX_OFF_REPORT_DATA = 520,
	TDX_OFF_TEE_TCB_SVN_2 = 584, /* TD 1.5: of the module that runs now */
	TDX_OFF_MRSERVICETD = 600,   /* TD 1.5 */
};

enum { TDX_HASH_LEN = 48, TDX_RTMRS = 4, INTEL_SVNS = 16 };

#define TDX_ATTR_DEBUG           (UINT64_C(1) << 0)
#define TDX_ATTR_TUD             UINT64_C(0xFF) /* all that makes a TD untrusted; DEBUG is one */
#define TDX_ATTR_ICSSD           (UINT64_C(1) << 16)
#define TDX_ATTR_LASS            (UINT64_C(1) << 27)
#define TDX_ATTR_SEPT_VE_DISABLE (UINT64_C(1) << 28)
#define TDX_ATTR_MIGRATABLE      (UINT64_C(1) << 29)
#define TDX_ATTR_PKS             (UINT64_C(1) << 30)
#define TDX_ATTR_KL              (UINT64_C(1) << 31)
#define TDX_ATTR_TPA             (UINT64_C(1) << 62)
#define TDX_ATTR_PERFMON         (UINT64_C(1) << 63)
/* Of the others nothing is known, so nothing is accepted. */
#define TDX_ATTR_ACCEPTED (TDX_ATTR_LASS | TDX_ATTR_SEPT_VE_DISABLE | TDX_ATTR_PKS | TDX_ATTR_KL)

#define TDX_XFAM_REQUIRED UINT64_C(0x3) /* x87 and SSE are always on */
#define TDX_XFAM_ALLOWED  UINT64_C(0x0006DBE7)

/*
 * Authentication data of version 3:
 *   signature | attestation key | QE report | QE report's signature | u16 n, n bytes of QE auth
 *   data | u16 certification type, u32 n, n bytes of certification data
 * of versions 4 and 5: signature | attestation key | u16 INTEL_CERT_QE_REPORT, u32 n, n bytes which
 * are what version 3 has from the QE report on.
 */
enum intel_cert_type {
	INTEL_CERT_PPID_CLEAR = 1,
	INTEL_CERT_PPID_RSA2048 = 2,
	INTEL_CERT_PPID_RSA3072 = 3,
	INTEL_CERT_PCK_LEAF = 4,
	INTEL_CERT_PCK_CHAIN = 5, /* PEM, leaf to root, often with a NUL behind; or DER */
	INTEL_CERT_QE_REPORT = 6,
};

struct intel_quote {
	uint16_t version;
	uint16_t key_type;
	uint32_t tee_type;
	enum intel_body kind;
	struct bytes raw;         /* the evidence up to the end of the authentication data */
	struct bytes signed_part; /* header and body */
	struct bytes body;
	const uint8_t *signature, *attest_key; /* views of 64 bytes */
	const uint8_t *qe_report, *qe_signature;
	struct bytes qe_auth;
	uint16_t cert_type;
	struct bytes cert_data;
	size_t padding; /* bytes behind the quote */
};

/*
 * Reads a quote of this TEE. Checks lengths, versions and every field that must be zero; judges
 * nothing else. *why says what is wrong, in words. -EINVAL; *out holds what could be read: the
 * header if raw.n is not 0, the body if body.n is not 0.
 */
int attest_intel_parse(struct bytes evidence, enum tee tee, struct intel_quote *out,
                       const char **why);
/* TEE_SGX, TEE_TDX, or TEE_NONE for what does not look like an Intel quote. */
enum tee attest_intel_recognise(struct bytes evidence);
/* Little endian numbers of a body that was parsed. */
uint16_t attest_intel_u16(const uint8_t *body, size_t off);
uint32_t attest_intel_u32(const uint8_t *body, size_t off);
uint64_t attest_intel_u64(const uint8_t *body, size_t off);

/* ----------------------------------------------------------- PCK certificate */

#define INTEL_CN_ROOT         "Intel SGX Root CA"
#define INTEL_CN_PLATFORM_CA  "Intel SGX PCK Platform CA"
#define INTEL_CN_PROCESSOR_CA "Intel SGX PCK Processor CA"
#define INTEL_CN_PCK          "Intel SGX PCK Certificate"
#define INTEL_CN_TCB_SIGNING  "Intel SGX TCB Signing"

/*
 * The extension of a PCK certificate: SEQUENCE OF SEQUENCE { OID, value } in any order. The TCB is
 * such a list again, and so is the configuration.
 */
#define INTEL_OID_SGX               "1.2.840.113741.1.13.1"
#define INTEL_OID_PPID              INTEL_OID_SGX ".1"  /* OCTET STRING, 16 */
#define INTEL_OID_TCB               INTEL_OID_SGX ".2"  /* .1 to .16 INTEGER, component SVNs */
#define INTEL_OID_TCB_PCESVN        INTEL_OID_TCB ".17" /* INTEGER */
#define INTEL_OID_TCB_CPUSVN        INTEL_OID_TCB ".18" /* OCTET STRING, 16 */
#define INTEL_OID_PCEID             INTEL_OID_SGX ".3"  /* OCTET STRING, 2 */
#define INTEL_OID_FMSPC             INTEL_OID_SGX ".4"  /* OCTET STRING, 6 */
#define INTEL_OID_SGX_TYPE          INTEL_OID_SGX ".5"  /* ENUMERATED */
#define INTEL_OID_PLATFORM_INSTANCE INTEL_OID_SGX ".6"  /* OCTET STRING, 16; Platform CA only */
#define INTEL_OID_CONFIGURATION     INTEL_OID_SGX ".7"  /* .1 to .3 BOOLEAN; Platform CA only */

enum { INTEL_PPID_LEN = 16, INTEL_FMSPC_LEN = 6, INTEL_PCEID_LEN = 2, INTEL_INSTANCE_LEN = 16 };

struct intel_pck {
	uint8_t ppid[INTEL_PPID_LEN];
	uint16_t svn[INTEL_SVNS];
	uint16_t pcesvn;
	uint8_t cpusvn[INTEL_SVNS];
	uint8_t pceid[INTEL_PCEID_LEN];
	uint8_t fmspc[INTEL_FMSPC_LEN];
	uint8_t sgx_type; /* 0 standard, 1 scalable, 2 scalable with integrity */
	bool has_instance;
	uint8_t instance[INTEL_INSTANCE_LEN];
};

/* Reads the extension. NULL, or what is wrong. */
const char *attest_intel_pck(const X509 *cert, struct intel_pck *out);

/* ---------------------------------------------------------------- collateral */

/*
 * {"tcbInfo":{...},"signature":"128 hex digits"} or {"enclaveIdentity":{...},"signature":"..."},
 * with no white space before the object: the signature is over the object's bytes as they are.
 */
#define INTEL_JSON_TCB_INFO "{\"tcbInfo\":"
#define INTEL_JSON_IDENTITY "{\"enclaveIdentity\":"

#define INTEL_ID_SGX   "SGX"
#define INTEL_ID_TDX   "TDX"
#define INTEL_ID_QE    "QE"
#define INTEL_ID_TD_QE "TD_QE"

/* By the names that collateral is asked for with VENDOR_INTEL; %s is "sgx" or "tdx". */
#define INTEL_PATH_PCK_CRL     "sgx/certification/v4/pckcrl?ca=%s&encoding=der"
#define INTEL_PATH_ROOT_CRL    "sgx/certification/v4/rootcacrl"
#define INTEL_PATH_TCB_INFO    "%s/certification/v4/tcb?fmspc=%s"
#define INTEL_PATH_QE_IDENTITY "%s/certification/v4/qe/identity"
/* A name of ours: the vendor ships the signer's chain beside what it signed. PEM. */
#define INTEL_PATH_TCB_SIGNERS "sgx/certification/v4/tcb-signing-chain"

#endif
