/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated Intel platform's certificates: root, PCK CA, the machine's PCK certificate with its
 * SGX extension, the signer of TCB info, and the two CRLs. Knows X.509 and nothing of quotes.
 */
#include "attester/sim_intel.h"

#include <errno.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include "attester/sim_pki.h"

enum {
	DER_SEQUENCE = 0x30,
	DER_OID = 6,
	DER_OCTETS = 4,
	DER_INTEGER = 2,
	DER_ENUMERATED = 10,
	DER_BOOLEAN = 1
};

/* ------------------------------------------------------------------- extension */

static void der_put(struct buf *out, uint8_t tag, struct bytes content)
{
	buf_u8(out, tag);
	if (content.n < 0x80) {
		buf_u8(out, (uint8_t)content.n);
	} else {
		buf_u8(out, 0x82);
		buf_be16(out, (uint16_t)content.n);
	}
	buf_bytes(out, content);
}

/* SEQUENCE { 1.2.840.113741.1.13.1.arc[.below], value }; arcs of 0 end the name. */
static void der_entry(struct buf *out, uint8_t arc, uint8_t below, uint8_t tag, struct bytes value)
{
	const uint8_t oid[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01, arc, below};
	struct buf inner = buf_make(4096);

	der_put(&inner, DER_OID, (struct bytes){oid, below ? sizeof(oid) : sizeof(oid) - 1});
	der_put(&inner, tag, value);
	der_put(out, DER_SEQUENCE, buf_view(&inner));
	buf_free(&inner);
}

static void der_number(struct buf *out, uint8_t arc, uint8_t below, uint16_t v)
{
	const uint8_t be[] = {0, (uint8_t)(v >> 8), (uint8_t)v};
	size_t skip = v < 0x80 ? 2 : v < 0x8000 ? 1 : 0;

	der_entry(out, arc, below, DER_INTEGER, (struct bytes){be + skip, sizeof(be) - skip});
}

void sim_intel_extension(const struct sim_intel *p, struct buf *out)
{
	const struct sim_intel_machine *m = &p->machine;
	static const uint8_t yes = 0xff, no = 0;
	struct buf all = buf_make(4096), tcb = buf_make(4096), conf = buf_make(4096);

	der_entry(&all, 1, 0, DER_OCTETS, BYTES_OF(m->ppid));
	for (size_t i = 0; i < sizeof(m->component); i++)
		der_number(&tcb, 2, (uint8_t)(i + 1), m->component[i]);
	der_number(&tcb, 2, 17, m->pcesvn);
	der_entry(&tcb, 2, 18, DER_OCTETS, BYTES_OF(m->cpusvn));
	der_entry(&all, 2, 0, DER_SEQUENCE, buf_view(&tcb));
	der_entry(&all, 3, 0, DER_OCTETS, BYTES_OF(m->pceid));
	der_entry(&all, 4, 0, DER_OCTETS, BYTES_OF(m->fmspc));
	der_entry(&all, 5, 0, DER_ENUMERATED, (struct bytes){&m->sgx_type, 1});
	if (!p->processor_ca) {
		der_entry(&all, 6, 0, DER_OCTETS, BYTES_OF(m->instance));
		for (uint8_t i = 1; i <= 3; i++)
			der_entry(&conf, 7, i, DER_BOOLEAN, (struct bytes){i == 1 ? &no : &yes, 1});
		der_entry(&all, 7, 0, DER_SEQUENCE, buf_view(&conf));
	}
	der_put(out, DER_SEQUENCE, buf_view(&all));
	buf_free(&conf);
	buf_free(&tcb);
	buf_free(&all);
}

/* ---------------------------------------------------------------- certificates */

static bool add_extension(const struct sim_intel *p, X509 *x)
{
	struct buf own = buf_make(4096);
	bool ok;

	if (p->extension.n)
		buf_bytes(&own, buf_view(&p->extension));
	else
		sim_intel_extension(p, &own);
	ok = !own.bad && sim_cert_raw(x, INTEL_OID_SGX, buf_view(&own));
	buf_free(&own);
	return ok;
}

static bool make_cert(struct sim_intel *p, enum sim_intel_who who)
{
	struct sim_intel_cert *c = &p->cert[who];
	const struct sim_intel_cert *by = &p->cert[c->issuer];
	const X509 *issuer = c->issuer == who ? NULL : by->x;

	X509_free(c->x);
	c->x = sim_cert_new(c->cn, c->serial, c->key, issuer, c->from, c->to);
	return c->x && sim_cert_ids(c->x, issuer ? issuer : c->x) &&
	       (!c->constraints || sim_cert_conf(c->x, NID_basic_constraints, c->constraints)) &&
	       (!c->usage || sim_cert_conf(c->x, NID_key_usage, c->usage)) &&
	       (who != SIM_INTEL_PCK || add_extension(p, c->x)) &&
	       sim_cert_sign(c->x, c->signer ? c->signer : by->key, EVP_sha256());
}

static bool make_crl(const struct sim_intel *p, struct sim_intel_crl *c)
{
	const struct sim_intel_cert *by = &p->cert[c->issuer];
	X509_CRL *crl = sim_crl_new(X509_get_subject_name(by->x), c->signer ? c->signer : by->key,
	                            EVP_sha256(), c->from, c->to, c->revoked, c->revoked_n);
	uint8_t *der = NULL;
	int n = crl ? i2d_X509_CRL(crl, &der) : -1;

	buf_reset(&c->der);
	if (n > 0)
		buf_put(&c->der, der, (size_t)n);
	OPENSSL_free(der);
	X509_CRL_free(crl);
	return n > 0 && !c->der.bad;
}

static bool put_pem(struct buf *out, X509 *const *cert, size_t n)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool ok = bio;
	char *text;
	long len;

	for (size_t i = 0; ok && i < n; i++)
		ok = PEM_write_bio_X509(bio, cert[i]) == 1;
	len = ok ? BIO_get_mem_data(bio, &text) : 0;
	buf_reset(out);
	if (len > 0)
		buf_put(out, text, (size_t)len);
	BIO_free(bio);
	return len > 0 && !out->bad;
}

int sim_intel_certify(struct sim_intel *p)
{
	bool ok = true;

	for (enum sim_intel_who w = SIM_INTEL_ROOT; ok && w < SIM_INTEL_CERTS; w++)
		ok = make_cert(p, w);
	ok = ok && make_crl(p, &p->root_crl) && make_crl(p, &p->pck_crl);
	if (ok) {
		X509 *root = p->cert[SIM_INTEL_ROOT].x;
		X509 *const pck[] = {p->cert[SIM_INTEL_PCK].x, p->cert[SIM_INTEL_CA].x, root};
		X509 *const tcb[] = {p->cert[SIM_INTEL_TCB].x, root};

		ok = put_pem(&p->pck_chain, pck, 3) && put_pem(&p->tcb_chain, tcb, 2) &&
		     put_pem(&p->root_pem, &root, 1);
	}
	return ok ? 0 : -EIO;
}

/* ----------------------------------------------------------------------- begin */

static int begin_certs(struct sim_intel *p, int64_t now)
{
	static const struct sim_intel_cert kind[SIM_INTEL_CERTS] = {
	        [SIM_INTEL_ROOT] = {.cn = INTEL_CN_ROOT,
	                            .serial = 0x101,
	                            .to = INT64_C(30) * 365,
	                            .constraints = "critical,CA:TRUE,pathlen:1",
	                            .usage = "critical,keyCertSign,cRLSign",
	                            .issuer = SIM_INTEL_ROOT},
	        [SIM_INTEL_CA] = {.cn = INTEL_CN_PLATFORM_CA,
	                          .serial = 0x102,
	                          .to = INT64_C(15) * 365,
	                          .constraints = "critical,CA:TRUE,pathlen:0",
	                          .usage = "critical,keyCertSign,cRLSign",
	                          .issuer = SIM_INTEL_ROOT},
	        [SIM_INTEL_PCK] = {.cn = INTEL_CN_PCK,
	                           .serial = 0x103,
	                           .to = INT64_C(7) * 365,
	                           .constraints = "critical,CA:FALSE",
	                           .usage = "critical,digitalSignature,nonRepudiation",
	                           .issuer = SIM_INTEL_CA},
	        [SIM_INTEL_TCB] = {.cn = INTEL_CN_TCB_SIGNING,
	                           .serial = 0x104,
	                           .to = INT64_C(7) * 365,
	                           .constraints = "critical,CA:FALSE",
	                           .usage = "critical,digitalSignature,nonRepudiation",
	                           .issuer = SIM_INTEL_ROOT},
	};

	for (enum sim_intel_who w = SIM_INTEL_ROOT; w < SIM_INTEL_CERTS; w++) {
		struct sim_intel_cert *c = &p->cert[w];

		*c = kind[w];
		c->from = now - SIM_DAY;
		c->to = now + kind[w].to * SIM_DAY;
		c->key = EVP_EC_gen("P-256");
		if (!c->key)
			return -ENOMEM;
	}
	p->root_crl = (struct sim_intel_crl){.issuer = SIM_INTEL_ROOT};
	p->pck_crl = (struct sim_intel_crl){.issuer = SIM_INTEL_CA};
	p->root_crl.from = p->pck_crl.from = now - SIM_DAY;
	p->root_crl.to = p->pck_crl.to = now + 30 * (int64_t)SIM_DAY;
	p->root_crl.der = buf_make(SIM_INTEL_JSON_MAX);
	p->pck_crl.der = buf_make(SIM_INTEL_JSON_MAX);
	return 0;
}

int sim_intel_begin(struct sim_intel *p, enum tee tee, uint16_t version, uint16_t body_type,
                    int64_t now)
{
	struct sim_intel_machine *m = &p->machine;
	int rc;

	/* A Sapphire Rapids machine with firmware of its day. */
	*p = (struct sim_intel){.tee = tee,
	                        .machine = {.component = {11, 11, 2, 2, 4, 1, 0, 5},
	                                    .fmspc = {0x00, 0x80, 0x6f, 0x05, 0x00, 0x00},
	                                    .pcesvn = 13,
	                                    .sgx_type = 1}};
	memcpy(m->cpusvn, m->component, sizeof(m->cpusvn));
	memset(m->ppid, 0xa1, sizeof(m->ppid));
	memset(m->instance, 0xb2, sizeof(m->instance));
	p->extension = buf_make(4096);
	p->pck_chain = buf_make(SIM_INTEL_JSON_MAX);
	p->tcb_chain = buf_make(SIM_INTEL_JSON_MAX);
	p->root_pem = buf_make(SIM_INTEL_JSON_MAX);
	p->tcb_info_text = buf_make(SIM_INTEL_JSON_MAX);
	p->qe_identity_text = buf_make(SIM_INTEL_JSON_MAX);
	p->attestation_key = EVP_EC_gen("P-256");
	rc = p->attestation_key ? begin_certs(p, now) : -ENOMEM;
	if (rc == 0)
		rc = sim_intel_layout(p, version, body_type);
	return rc ? rc : sim_intel_collateral(p, now);
}

void sim_intel_free(struct sim_intel *p)
{
	for (enum sim_intel_who w = SIM_INTEL_ROOT; w < SIM_INTEL_CERTS; w++) {
		EVP_PKEY_free(p->cert[w].key);
		X509_free(p->cert[w].x);
	}
	EVP_PKEY_free(p->attestation_key);
	json_decref(p->tcb_info);
	json_decref(p->qe_identity);
	buf_free(&p->root_crl.der);
	buf_free(&p->pck_crl.der);
	buf_free(&p->extension);
	buf_free(&p->pck_chain);
	buf_free(&p->tcb_chain);
	buf_free(&p->root_pem);
	buf_free(&p->tcb_info_text);
	buf_free(&p->qe_identity_text);
	*p = (struct sim_intel){0};
}
