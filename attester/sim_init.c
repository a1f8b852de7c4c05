/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a simulated SNP platform: an AMD-shaped chain (ARK, ASK, VCEK) with keys of its own, the
 * root's CRL and the platform's description. The bytes have the real formats; the root is nobody's.
 *
 * The RSA keys have 2048 bits where AMD's have 4096: they protect nothing, and making them is
 * most of the work.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include "attest/snp.h"
#include "attester/evidence.h"
#include "attester/sim.h"
#include "core/file.h"
#include "core/secret.h"

enum { DAY = 86400, SIM_RSA_BITS = 2048, SIM_ROOT_DAYS = 25 * 365, SIM_CRL_DAYS = 365 };

struct platform {
	EVP_PKEY *ark_key, *ask_key, *vcek_key;
	X509 *ark, *ask, *vcek;
	X509_CRL *crl;
	uint8_t chip_id[SNP_CHIP_ID_LEN];
	time_t now;
};

/* AMD signs everything with RSASSA-PSS, SHA-384, salt as long as the hash. */
static EVP_MD_CTX *pss_signer(EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pk = NULL;

	if (ctx && EVP_DigestSignInit(ctx, &pk, EVP_sha384(), NULL, key) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(pk, RSA_PKCS1_PSS_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pk, RSA_PSS_SALTLEN_DIGEST) == 1)
		return ctx;
	EVP_MD_CTX_free(ctx);
	return NULL;
}

static bool set_name(X509_NAME *n, const char *cn)
{
	static const struct {
		const char *field, *value;
	} rdn[] = {{"OU", "Engineering"}, {"C", "US"}, {"O", "keygate simulated platform"}};
	bool ok = true;

	for (size_t i = 0; i < sizeof(rdn) / sizeof(rdn[0]); i++)
		ok = ok && X509_NAME_add_entry_by_txt(n, rdn[i].field, MBSTRING_ASC,
		                                      (const unsigned char *)rdn[i].value, -1, -1,
		                                      0) == 1;
	return ok && X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC, (const unsigned char *)cn,
	                                        -1, -1, 0) == 1;
}

static bool add_conf_ext(X509 *cert, int nid, const char *value)
{
	X509V3_CTX v3;
	X509_EXTENSION *e;
	bool ok;

	X509V3_set_ctx_nodb(&v3);
	X509V3_set_ctx(&v3, cert, cert, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &v3, nid, value);
	ok = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool add_raw_ext(X509 *cert, const char *oid, const uint8_t *p, int n)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	ASN1_OCTET_STRING *os = ASN1_OCTET_STRING_new();
	X509_EXTENSION *e = NULL;
	bool ok = obj && os && ASN1_OCTET_STRING_set(os, p, n) == 1 &&
	          (e = X509_EXTENSION_create_by_OBJ(NULL, obj, 0, os)) &&
	          X509_add_ext(cert, e, -1) == 1;

	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(os);
	ASN1_OBJECT_free(obj);
	return ok;
}

static bool add_integer_ext(X509 *cert, const char *oid, long v)
{
	ASN1_INTEGER *i = ASN1_INTEGER_new();
	uint8_t *der = NULL;
	int n = i && ASN1_INTEGER_set(i, v) == 1 ? i2d_ASN1_INTEGER(i, &der) : -1;
	bool ok = n > 0 && add_raw_ext(cert, oid, der, n);

	OPENSSL_free(der);
	ASN1_INTEGER_free(i);
	return ok;
}

static bool add_product_ext(X509 *cert)
{
	static const uint8_t milan[] = {0x16, 8, 'M', 'i', 'l', 'a', 'n', '-', 'B', '0'};

	return add_raw_ext(cert, SNP_OID_PRODUCT, milan, sizeof(milan));
}

static X509 *new_cert(const struct platform *p, const char *cn, long serial, EVP_PKEY *key,
                      const X509 *issuer, int days)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) &&
	    ASN1_INTEGER_set(X509_get_serialNumber(x), serial) &&
	    set_name(X509_get_subject_name(x), cn) &&
	    X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer)
	                                   : X509_get_subject_name(x)) &&
	    ASN1_TIME_set(X509_getm_notBefore(x), p->now - DAY) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), p->now + (time_t)days * DAY) &&
	    X509_set_pubkey(x, key))
		return x;
	X509_free(x);
	return NULL;
}

static bool sign_cert(X509 *x, EVP_PKEY *key)
{
	EVP_MD_CTX *ctx = pss_signer(key);
	bool ok = x && ctx && X509_sign_ctx(x, ctx) > 0;

	EVP_MD_CTX_free(ctx);
	return ok;
}

static bool make_ca(struct platform *p)
{
	p->ark = new_cert(p, SNP_CN_ARK SIM_PRODUCT, 0x10001, p->ark_key, NULL, SIM_ROOT_DAYS);
	if (!p->ark || !add_conf_ext(p->ark, NID_basic_constraints, "critical,CA:TRUE") ||
	    !add_conf_ext(p->ark, NID_key_usage, "critical,keyCertSign,cRLSign") ||
	    !sign_cert(p->ark, p->ark_key))
		return false;
	p->ask = new_cert(p, SNP_CN_ASK SIM_PRODUCT, 0x10002, p->ask_key, p->ark, SIM_ROOT_DAYS);
	return p->ask &&
	       add_conf_ext(p->ask, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	       add_conf_ext(p->ask, NID_key_usage, "critical,keyCertSign") &&
	       sign_cert(p->ask, p->ark_key);
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
	       add_raw_ext(p->vcek, SNP_OID_HWID, p->chip_id, sizeof(p->chip_id)) &&
	       sign_cert(p->vcek, p->ask_key);
}

static bool make_crl(struct platform *p)
{
	ASN1_TIME *last = ASN1_TIME_set(NULL, p->now - DAY);
	ASN1_TIME *next = ASN1_TIME_set(NULL, p->now + (time_t)SIM_CRL_DAYS * DAY);
	EVP_MD_CTX *ctx = pss_signer(p->ark_key);
	bool ok;

	p->crl = X509_CRL_new();
	ok = last && next && ctx && p->crl && X509_CRL_set_version(p->crl, X509_CRL_VERSION_2) &&
	     X509_CRL_set_issuer_name(p->crl, X509_get_subject_name(p->ark)) &&
	     X509_CRL_set1_lastUpdate(p->crl, last) && X509_CRL_set1_nextUpdate(p->crl, next) &&
	     X509_CRL_sign_ctx(p->crl, ctx) > 0;
	ASN1_TIME_free(last);
	ASN1_TIME_free(next);
	EVP_MD_CTX_free(ctx);
	return ok;
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

static int write_bio(const char *dir, const char *name, BIO *bio, mode_t mode)
{
	char path[512], *data = NULL;
	long n = bio ? BIO_get_mem_data(bio, &data) : 0;

	if (n <= 0)
		return -ENOMEM;
	if ((size_t)snprintf(path, sizeof(path), "%s/%s", dir, name) >= sizeof(path))
		return -ENAMETOOLONG;
	return file_write_atomic(path, (struct bytes){(const uint8_t *)data, (size_t)n}, mode);
}

static int write_pem(const struct platform *p, const char *dir)
{
	BIO *chain = BIO_new(BIO_s_mem()), *ark = BIO_new(BIO_s_mem());
	BIO *key = BIO_new(BIO_s_secmem());
	int rc = -ENOMEM;

	if (chain && ark && key && PEM_write_bio_X509(chain, p->vcek) &&
	    PEM_write_bio_X509(chain, p->ask) && PEM_write_bio_X509_CRL(chain, p->crl) &&
	    PEM_write_bio_X509(ark, p->ark) &&
	    PEM_write_bio_PrivateKey(key, p->vcek_key, NULL, NULL, 0, NULL, NULL))
		rc = write_bio(dir, SIM_CHAIN, chain, 0644);
	if (rc == 0)
		rc = write_bio(dir, SIM_ARK_CERT, ark, 0644);
	if (rc == 0)
		rc = write_bio(dir, SIM_CHIP_KEY, key, 0600);
	BIO_free(chain);
	BIO_free(ark);
	BIO_free(key);
	return rc;
}

static int write_description(const struct platform *p, const char *dir)
{
	char hex[2 * SNP_CHIP_ID_LEN + 1], path[512], *text;
	json_t *j;
	int rc = -ENOMEM;

	hex_encode(BYTES_OF(p->chip_id), hex);
	j = json_pack("{s:s, s:s, s:I, s:{s:i, s:i, s:i, s:i}}", "format", SIM_FORMAT, "chip_id",
	              hex, "guest_policy", (json_int_t)SIM_GUEST_POLICY, "tcb", "bootloader",
	              SIM_SPL_BOOTLOADER, "tee", SIM_SPL_TEE, "snp", SIM_SPL_SNP, "microcode",
	              SIM_SPL_MICROCODE);
	text = j ? json_dumps(j, JSON_INDENT(2) | JSON_SORT_KEYS) : NULL;
	if (text && (size_t)snprintf(path, sizeof(path), "%s/" SIM_PLATFORM, dir) < sizeof(path))
		rc = file_write_atomic(path, bytes_str(text), 0644);
	free(text);
	json_decref(j);
	return rc;
}

int evidence_sim_init(const char *dir, int64_t now, const char **step)
{
	struct platform p = {.now = (time_t)now};
	int rc;

	*step = "directory";
	/* A new directory only: an existing platform's keys are never written over. */
	if (mkdir(dir, 0755) == -1)
		return -errno;
	rc = make_platform(&p, step) ? 0 : -ENOMEM;
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
