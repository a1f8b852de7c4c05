/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a simulated SNP platform: an AMD-shaped chain (ARK, ASK, VCEK) with keys of its own, the
 * root's CRL and the platform's description. The bytes have the real formats; the root is nobody's.
 *
 * The RSA keys have 2048 bits where AMD's have 4096: they protect nothing, and making them is
 * most of the work.
 */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include "attest/snp.h"
#include "attester/sim.h"
#include "attester/sim_pki.h"
#include "attester/sim_snp.h"

enum { SIM_RSA_BITS = 2048, SIM_ROOT_DAYS = 25 * 365, SIM_CRL_DAYS = 365 };

struct platform {
	EVP_PKEY *ark_key, *ask_key, *vcek_key;
	X509 *ark, *ask, *vcek;
	X509_CRL *crl;
	uint8_t chip_id[SNP_CHIP_ID_LEN];
	int64_t now;
};

/* AMD signs everything with RSASSA-PSS, SHA-384, salt as long as the hash. */
static bool amd_sign(X509 *x, EVP_PKEY *key)
{
	return sim_cert_sign(x, key, EVP_sha384());
}

static bool add_integer_ext(X509 *cert, const char *oid, long v)
{
	ASN1_INTEGER *i = ASN1_INTEGER_new();
	uint8_t *der = NULL;
	int n = i && ASN1_INTEGER_set(i, v) == 1 ? i2d_ASN1_INTEGER(i, &der) : -1;
	bool ok = n > 0 && sim_cert_raw(cert, oid, (struct bytes){der, (size_t)n});

	OPENSSL_free(der);
	ASN1_INTEGER_free(i);
	return ok;
}

static bool add_product_ext(X509 *cert)
{
	static const uint8_t milan[] = {0x16, 8, 'M', 'i', 'l', 'a', 'n', '-', 'B', '0'};

	return sim_cert_raw(cert, SNP_OID_PRODUCT, BYTES_OF(milan));
}

static X509 *new_cert(const struct platform *p, const char *cn, long serial, EVP_PKEY *key,
                      const X509 *issuer, int days)
{
	return sim_cert_new(cn, serial, key, issuer, p->now - SIM_DAY,
	                    p->now + (int64_t)days * SIM_DAY);
}

static bool make_ca(struct platform *p)
{
	p->ark = new_cert(p, SNP_CN_ARK SIM_PRODUCT, 0x10001, p->ark_key, NULL, SIM_ROOT_DAYS);
	if (!p->ark || !sim_cert_conf(p->ark, NID_basic_constraints, "critical,CA:TRUE") ||
	    !sim_cert_conf(p->ark, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !amd_sign(p->ark, p->ark_key))
		return false;
	p->ask = new_cert(p, SNP_CN_ASK SIM_PRODUCT, 0x10002, p->ask_key, p->ark, SIM_ROOT_DAYS);
	return p->ask &&
	       sim_cert_conf(p->ask, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       sim_cert_conf(p->ask, NID_key_usage, "critical,keyCertSign") &&
	       amd_sign(p->ask, p->ark_key);
}

static bool make_vcek(struct platform *p)
{
	p->vcek = new_cert(p, SNP_CN_VCEK, 0, p->vcek_key, p->ask, 7 * 365);
	return p->vcek && add_integer_ext(p->vcek, "1.3.6.1.4.1.3704.1.1", 0) &&
	       add_product_ext(p->vcek) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL_BOOTLOADER, SIM_SPL_BOOTLOADER) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL_TEE, SIM_SPL_TEE) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL_SNP, SIM_SPL_SNP) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL ".4", 0) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL ".5", 0) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL ".6", 0) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL ".7", 0) &&
	       add_integer_ext(p->vcek, SNP_OID_SPL_MICROCODE, SIM_SPL_MICROCODE) &&
	       sim_cert_raw(p->vcek, SNP_OID_HWID, BYTES_OF(p->chip_id)) &&
	       amd_sign(p->vcek, p->ask_key);
}

static bool make_crl(struct platform *p)
{
	p->crl = sim_crl_new(X509_get_subject_name(p->ark), p->ark_key, EVP_sha384(),
	                     p->now - SIM_DAY, p->now + (int64_t)SIM_CRL_DAYS * SIM_DAY, NULL, 0);
	return p->crl;
}

static bool make_platform(struct platform *p, const char **step)
{
	*step = "keys";
	p->ark_key = EVP_RSA_gen(SIM_RSA_BITS);
	p->ask_key = EVP_RSA_gen(SIM_RSA_BITS);
	p->vcek_key = EVP_EC_gen("P-384");
	if (!p->ark_key || !p->ask_key || !p->vcek_key ||
	    RAND_bytes(p->chip_id, sizeof(p->chip_id)) != 1)
		return false;
	*step = "certificates";
	return make_ca(p) && make_vcek(p) && make_crl(p);
}

static int write_pem(const struct platform *p, const char *dir)
{
	BIO *chain = BIO_new(BIO_s_mem()), *ark = BIO_new(BIO_s_mem());
	int rc = -ENOMEM;

	if (chain && ark && PEM_write_bio_X509(chain, p->vcek) &&
	    PEM_write_bio_X509(chain, p->ask) && PEM_write_bio_X509_CRL(chain, p->crl) &&
	    PEM_write_bio_X509(ark, p->ark))
		rc = 0;
	if (rc) {
		BIO_free(chain);
		BIO_free(ark);
		return rc;
	}
	rc = sim_write_bio(dir, SIM_CHAIN, chain);
	if (rc)
		BIO_free(ark);
	else
		rc = sim_write_bio(dir, SIM_ARK_CERT, ark);
	return rc ? rc : sim_write_key(dir, SIM_CHIP_KEY, p->vcek_key);
}

static int write_description(const struct platform *p, const char *dir)
{
	char hex[2 * SNP_CHIP_ID_LEN + 1];
	json_t *j;
	int rc;

	hex_encode(BYTES_OF(p->chip_id), hex);
	j = json_pack("{s:s, s:s, s:I, s:{s:i, s:i, s:i, s:i}}", "format", SIM_SNP_FORMAT,
	              "chip_id", hex, "guest_policy", (json_int_t)SIM_GUEST_POLICY, "tcb",
	              "bootloader", SIM_SPL_BOOTLOADER, "tee", SIM_SPL_TEE, "snp", SIM_SPL_SNP,
	              "microcode", SIM_SPL_MICROCODE);
	rc = sim_write_json(dir, SIM_PLATFORM, j);
	json_decref(j);
	return rc;
}

int sim_snp_init(const char *dir, int64_t now, const char **step)
{
	struct platform p = {.now = now};
	int rc = make_platform(&p, step) ? 0 : -ENOMEM;

	if (rc == 0) {
		*step = "files";
		rc = write_pem(&p, dir);
	}
	if (rc == 0)
		rc = write_description(&p, dir);
	EVP_PKEY_free(p.ark_key);
	EVP_PKEY_free(p.ask_key);
	EVP_PKEY_free(p.vcek_key);
	X509_free(p.ark);
	X509_free(p.ask);
	X509_free(p.vcek);
	X509_CRL_free(p.crl);
	return rc;
}
