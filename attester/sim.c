/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reports of a simulated SNP platform: the bytes that its firmware would sign for a guest whose
 * launch measurement is the SHA-384 of one file. Knows the report's layout and nothing of who
 * asks for it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include "attest/cmw.h"
#include "attest/snp.h"
#include "attester/evidence.h"
#include "attester/sim.h"
#include "core/file.h"
#include "core/secret.h"

enum { SIM_FILE_MAX = 65536, SIM_MEASURED_MAX = 256 * 1024 * 1024, SIM_REPORT_VERSION = 3 };

struct sim {
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

/* R and S are little endian in fields of 72 bytes. */
static int put_signature(const struct sim *s, uint8_t report[static SNP_REPORT_LEN])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t der[160];
	const uint8_t *at = der;
	size_t n = sizeof(der);
	ECDSA_SIG *sig = NULL;
	int rc = -EIO;

	if (ctx && EVP_DigestSignInit(ctx, NULL, EVP_sha384(), NULL, s->key) == 1 &&
	    EVP_DigestSign(ctx, der, &n, report, SNP_SIGNED_LEN) == 1 &&
	    (sig = d2i_ECDSA_SIG(NULL, &at, (long)n)) &&
	    BN_bn2lebinpad(ECDSA_SIG_get0_r(sig), report + SNP_OFF_SIG_R, SNP_SIG_FIELD_LEN) > 0 &&
	    BN_bn2lebinpad(ECDSA_SIG_get0_s(sig), report + SNP_OFF_SIG_S, SNP_SIG_FIELD_LEN) > 0)
		rc = 0;
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return rc;
}

static int sim_evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	const struct sim *s = ctx;
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
	rc = put_signature(s, r);
	if (rc == 0) {
		out->tee = TEE_SNP;
		buf_put(&out->report, r, sizeof(r));
		rc = evidence_endorse(out, (struct bytes){s->chain, s->chain_n});
	}
	return rc;
}

static int in_dir(const char *dir, const char *name, uint8_t **out, size_t *n)
{
	char path[512];

	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return file_read(path, SIM_FILE_MAX, out, n);
}

static bool set_part(struct sim *s, enum snp_tcb_part part, json_int_t v)
{
	const struct snp_product *product = attest_snp_product(bytes_str(SIM_PRODUCT));

	if (!product || product->tcb_byte[part] < 0 || v < 0 || v > UINT8_MAX)
		return false;
	s->tcb[product->tcb_byte[part]] = (uint8_t)v;
	return true;
}

static int read_description(struct sim *s, const char *dir)
{
	uint8_t *text = NULL;
	size_t n = 0;
	const char *format, *chip;
	json_int_t policy, bl, tee, snp, ucode;
	json_t *j = NULL;
	int rc = in_dir(dir, SIM_PLATFORM, &text, &n);

	if (rc)
		return rc;
	j = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	if (!j ||
	    json_unpack(j, "{s:s, s:s, s:I, s:{s:I, s:I, s:I, s:I !} !}", "format", &format,
	                "chip_id", &chip, "guest_policy", &policy, "tcb", "bootloader", &bl, "tee",
	                &tee, "snp", &snp, "microcode", &ucode) ||
	    strcmp(format, SIM_FORMAT) != 0 || policy < 0 ||
	    hex_decode(bytes_str(chip), s->chip_id, sizeof(s->chip_id)) ||
	    !set_part(s, SNP_TCB_BOOTLOADER, bl) || !set_part(s, SNP_TCB_TEE, tee) ||
	    !set_part(s, SNP_TCB_SNP, snp) || !set_part(s, SNP_TCB_MICROCODE, ucode))
		rc = -EINVAL;
	s->guest_policy = rc ? 0 : (uint64_t)policy;
	json_decref(j);
	free(text);
	return rc;
}

static int read_key(struct sim *s, const char *dir)
{
	uint8_t *pem = NULL;
	size_t n = 0;
	BIO *bio;
	int rc = in_dir(dir, SIM_CHIP_KEY, &pem, &n);

	if (rc)
		return rc;
	bio = BIO_new_mem_buf(pem, (int)n);
	s->key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
	if (!s->key || !EVP_PKEY_is_a(s->key, "EC"))
		rc = -EINVAL;
	BIO_free(bio);
	secret_wipe(pem, n);
	free(pem);
	return rc;
}

int evidence_sim_measure(const char *measured, uint8_t out[static 48])
{
	uint8_t *content = NULL;
	size_t n = 0;
	int rc = file_read(measured, SIM_MEASURED_MAX, &content, &n);

	if (rc == 0 && EVP_Digest(content, n, out, NULL, EVP_sha384(), NULL) != 1)
		rc = -ENOMEM;
	free(content);
	return rc;
}

int evidence_sim_open(const char *dir, const char *measured, struct evidence_source *out,
                      const char **step)
{
	struct sim *s = calloc(1, sizeof(*s));
	struct evidence_source source = {.evidence = sim_evidence, .ctx = s};
	int rc = s ? 0 : -ENOMEM;

	*step = "memory";
	if (rc == 0) {
		*step = SIM_PLATFORM;
		rc = read_description(s, dir);
	}
	if (rc == 0) {
		*step = SIM_CHIP_KEY;
		rc = read_key(s, dir);
	}
	if (rc == 0) {
		*step = SIM_CHAIN;
		rc = in_dir(dir, SIM_CHAIN, &s->chain, &s->chain_n);
	}
	if (rc == 0) {
		*step = "measured file";
		rc = evidence_sim_measure(measured, s->measurement);
	}
	if (rc == 0 && RAND_bytes(s->report_id, sizeof(s->report_id)) != 1)
		rc = -EIO;
	if (rc == 0)
		*out = source;
	else
		evidence_sim_close(&source);
	return rc;
}

void evidence_sim_close(struct evidence_source *source)
{
	struct sim *s = source->ctx;

	if (s) {
		EVP_PKEY_free(s->key);
		free(s->chain);
		free(s);
	}
	source->ctx = NULL;
}
