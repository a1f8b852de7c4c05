/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports of a simulated SNP platform: the bytes that its firmware would sign for a guest whose
 * launch measurement is the SHA-384 of one file. Knows the report's layout and nothing of who
 * asks for it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include "attest/snp.h"
#include "attester/sim.h"
#include "attester/sim_pki.h"
#include "attester/sim_snp.h"

enum { SIM_REPORT_VERSION = 3 };

struct snp {
	EVP_PKEY *key; /* shared by threads, never changed */
	uint8_t *chain;
	size_t chain_n;
	uint8_t chip_id[SNP_CHIP_ID_LEN];
	uint8_t measurement[48];
	uint8_t report_id[32];
	uint8_t tcb[SNP_TCB_LEN];
	uint64_t guest_policy;
};

static void put_le(uint8_t *p, uint64_t v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
}

static int snp_evidence(void *state, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct snp *s = state;
	uint8_t r[SNP_REPORT_LEN] = {0};
	static const enum snp_offset tcbs[] = {SNP_OFF_CURRENT_TCB, SNP_OFF_REPORTED_TCB,
	                                       SNP_OFF_COMMITTED_TCB, SNP_OFF_LAUNCH_TCB};
	static const uint8_t firmware[] = {4, 55, 1};
	int rc;

	put_le(r + SNP_OFF_VERSION, SIM_REPORT_VERSION, 4);
	put_le(r + SNP_OFF_POLICY, s->guest_policy, 8);
	put_le(r + SNP_OFF_SIGNATURE_ALGO, SNP_SIG_ECDSA_P384_SHA384, 4);
	put_le(r + SNP_OFF_PLATFORM_INFO, SNP_PLATFORM_SMT_EN | SNP_PLATFORM_ALIAS_CHECK_COMPLETE,
	       8);
	for (size_t i = 0; i < sizeof(tcbs) / sizeof(tcbs[0]); i++)
		memcpy(r + tcbs[i], s->tcb, sizeof(s->tcb));
	memcpy(r + SNP_OFF_REPORT_DATA, report_data, 64);
	memcpy(r + SNP_OFF_MEASUREMENT, s->measurement, sizeof(s->measurement));
	memcpy(r + SNP_OFF_REPORT_ID, s->report_id, sizeof(s->report_id));
	memset(r + SNP_OFF_REPORT_ID_MA, 0xFF, 32);
	r[SNP_OFF_CPUID] = SIM_CPU_FAMILY;
	r[SNP_OFF_CPUID + 1] = SIM_CPU_MODEL;
	r[SNP_OFF_CPUID + 2] = SIM_CPU_STEPPING;
	memcpy(r + SNP_OFF_CHIP_ID, s->chip_id, sizeof(s->chip_id));
	memcpy(r + SNP_OFF_CURRENT_VERSION, firmware, sizeof(firmware));
	memcpy(r + SNP_OFF_COMMITTED_VERSION, firmware, sizeof(firmware));
	/* R and S are little endian in fields of 72 bytes. */
	rc = sim_sign_raw(s->key, EVP_sha384(), (struct bytes){r, SNP_SIGNED_LEN}, true,
	                  SNP_SIG_FIELD_LEN, r + SNP_OFF_SIG_R);
	if (rc == 0) {
		buf_put(&out->report, r, sizeof(r));
		rc = evidence_endorse(out, (struct bytes){s->chain, s->chain_n});
	}
	return rc;
}

static bool set_part(struct snp *s, enum snp_tcb_part part, json_int_t v)
{
	const struct snp_product *product = attest_snp_product(bytes_str(SIM_PRODUCT));

	if (!product || product->tcb_byte[part] < 0 || v < 0 || v > UINT8_MAX)
		return false;
	s->tcb[product->tcb_byte[part]] = (uint8_t)v;
	return true;
}

static int read_description(struct snp *s, json_t *j)
{
	const char *format, *chip;
	json_int_t policy, bl, tee, snp, ucode;

	if (json_unpack(j, "{s:s, s:s, s:I, s:{s:I, s:I, s:I, s:I !} !}", "format", &format,
	                "chip_id", &chip, "guest_policy", &policy, "tcb", "bootloader", &bl, "tee",
	                &tee, "snp", &snp, "microcode", &ucode) ||
	    policy < 0 || hex_decode(bytes_str(chip), s->chip_id, sizeof(s->chip_id)) ||
	    !set_part(s, SNP_TCB_BOOTLOADER, bl) || !set_part(s, SNP_TCB_TEE, tee) ||
	    !set_part(s, SNP_TCB_SNP, snp) || !set_part(s, SNP_TCB_MICROCODE, ucode))
		return -EINVAL;
	s->guest_policy = (uint64_t)policy;
	return 0;
}

static int snp_measure(struct bytes measured, struct measurements *out)
{
	uint8_t digest[48];

	if (EVP_Digest(measured.p, measured.n, digest, NULL, EVP_sha384(), NULL) != 1)
		return -ENOMEM;
	sim_register(out, "measurement", REGISTER_CODE, BYTES_OF(digest));
	return 0;
}

static void snp_close(void *state)
{
	struct snp *s = state;

	EVP_PKEY_free(s->key);
	free(s->chain);
	free(s);
}

static int snp_open(const char *dir, json_t *description, const struct measurements *m,
                    void **state, const char **step)
{
	struct snp *s = calloc(1, sizeof(*s));
	int rc;

	if (!s)
		return -ENOMEM;
	*step = SIM_PLATFORM;
	rc = read_description(s, description);
	if (rc == 0) {
		*step = SIM_CHIP_KEY;
		rc = sim_read_key(dir, SIM_CHIP_KEY, &s->key);
	}
	if (rc == 0) {
		*step = SIM_CHAIN;
		rc = sim_read(dir, SIM_CHAIN, &s->chain, &s->chain_n);
	}
	if (rc == 0 && RAND_bytes(s->report_id, sizeof(s->report_id)) != 1)
		rc = -EIO;
	memcpy(s->measurement, m->v[0].value, sizeof(s->measurement));
	if (rc)
		snp_close(s);
	else
		*state = s;
	return rc;
}

const struct sim_platform sim_platform_snp = {
        .tee = TEE_SNP,
        .format = SIM_SNP_FORMAT,
        .init = sim_snp_init,
        .measure = snp_measure,
        .open = snp_open,
        .evidence = snp_evidence,
        .close = snp_close,
};
