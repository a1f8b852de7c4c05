/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated Nitro enclave in memory: its certificates and its documents. Touches no file. */
#include "attester/sim_nitro.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include "core/cbor.h"
#include "attester/sim_pki.h"

enum { HOUR = 3600, ROOT_DAYS = 10950, PAYLOAD_MAX = NITRO_DOCUMENT_MAX };

/* What AWS's certificates say of themselves. */
static const struct {
	const char *cn, *constraints, *usage;
} roles[SIM_NITRO_CERTS] = {
        [SIM_NITRO_ROOT] = {"aws.nitro-enclaves", "critical,CA:TRUE",
                            "critical,digitalSignature,keyCertSign,cRLSign"},
        [SIM_NITRO_REGION] = {"region.aws.nitro-enclaves", "critical,CA:TRUE,pathlen:2",
                              "critical,digitalSignature,keyCertSign,cRLSign"},
        [SIM_NITRO_ZONE] = {"zonal.region.aws.nitro-enclaves", "critical,CA:TRUE,pathlen:1",
                            "critical,digitalSignature,keyCertSign,cRLSign"},
        [SIM_NITRO_INSTANCE] = {"instance.region.aws.nitro-enclaves", "critical,CA:TRUE,pathlen:0",
                                "critical,keyCertSign"},
        [SIM_NITRO_ENCLAVE] = {"enclave.region.aws", "critical,CA:FALSE",
                               "digitalSignature,nonRepudiation"},
};

int sim_nitro_name_pcr(struct sim_nitro *p, enum nitro_pcr pcr, struct bytes name)
{
	static const uint8_t zero[NITRO_PCR_LEN];
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool ok = ctx && EVP_DigestInit(ctx, EVP_sha384()) == 1 &&
	          EVP_DigestUpdate(ctx, zero, sizeof(zero)) == 1 &&
	          EVP_DigestUpdate(ctx, name.p, name.n) == 1 &&
	          EVP_DigestFinal_ex(ctx, p->pcr[pcr], NULL) == 1;

	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -EIO;
}

static int name_instance(struct sim_nitro *p)
{
	static const char role[] = "arn:aws:iam::000000000000:role/keygate-sim";
	uint8_t id[9], enclave[8];
	char hex[2 * sizeof(id) + 1], enclave_hex[2 * sizeof(enclave) + 1];
	int rc;

	if (RAND_bytes(id, sizeof(id)) != 1 || RAND_bytes(enclave, sizeof(enclave)) != 1)
		return -EIO;
	hex_encode(BYTES_OF(id), hex);
	hex_encode(BYTES_OF(enclave), enclave_hex);
	/* An instance's id is 17 digits. */
	snprintf(p->module_id, sizeof(p->module_id), "i-%.17s" NITRO_ENCLAVE_MARK "%s", hex,
	         enclave_hex);
	rc = sim_nitro_name_pcr(p, NITRO_PCR_INSTANCE,
	                        (struct bytes){(const uint8_t *)p->module_id, 19});
	return rc ? rc : sim_nitro_name_pcr(p, NITRO_PCR_ROLE, bytes_str(role));
}

int sim_nitro_begin(struct sim_nitro *p, int64_t now, int64_t life)
{
	*p = (struct sim_nitro){.digest = "SHA384", .pcrs = 0xffff, .cose = {.alg = COSE_ES384}};
	for (int i = 0; i < SIM_NITRO_CERTS; i++) {
		struct sim_nitro_cert *c = &p->cert[i];

		*c = (struct sim_nitro_cert){.cn = roles[i].cn,
		                             .constraints = roles[i].constraints,
		                             .usage = roles[i].usage,
		                             .md = EVP_sha384(),
		                             .from = now - HOUR,
		                             .to = now + life,
		                             .key = EVP_EC_gen("P-384")};
		if (!c->key)
			return -ENOMEM;
	}
	p->cert[SIM_NITRO_ROOT].to = now + (int64_t)ROOT_DAYS * SIM_DAY;
	for (int i = NITRO_PCR_IMAGE; i <= NITRO_PCR_APPLICATION; i++)
		memset(p->pcr[i], 0x10 + i, NITRO_PCR_LEN);
	return name_instance(p) ? -ENOMEM : 0;
}

void sim_nitro_free(struct sim_nitro *p)
{
	for (int i = 0; i < SIM_NITRO_CERTS; i++) {
		EVP_PKEY_free(p->cert[i].key);
		X509_free(p->cert[i].x);
	}
	*p = (struct sim_nitro){0};
}

/* ---------------------------------------------------------------- certificates */

static X509 *make_cert(const struct sim_nitro_cert *c, const struct sim_nitro_cert *issuer,
                       long serial)
{
	X509 *x =
	        sim_cert_new(c->cn, serial, c->key, issuer == c ? NULL : issuer->x, c->from, c->to);

	if (x && (!c->constraints || sim_cert_conf(x, NID_basic_constraints, c->constraints)) &&
	    (!c->usage || sim_cert_conf(x, NID_key_usage, c->usage)) &&
	    sim_cert_sign(x, c->signer ? c->signer : issuer->key, c->md))
		return x;
	X509_free(x);
	return NULL;
}

int sim_nitro_certify(struct sim_nitro *p)
{
	for (int i = 0; i < SIM_NITRO_CERTS; i++) {
		struct sim_nitro_cert *c = &p->cert[i];

		X509_free(c->x);
		c->x = make_cert(c, i ? c - 1 : c, i + 1);
		if (!c->x)
			return -EIO;
	}
	return 0;
}

/* -------------------------------------------------------------------- documents */

static void put_cert(struct buf *out, X509 *x)
{
	uint8_t *der = NULL;
	int n = i2d_X509(x, &der);

	item_put_bytes(out, (struct bytes){der, n > 0 ? (size_t)n : 0});
	OPENSSL_free(der);
}

static void put_free(struct buf *out, struct bytes v)
{
	if (v.p)
		item_put_bytes(out, v);
	else
		item_put_null(out);
}

static void put_pcrs(struct buf *out, const struct sim_nitro *p)
{
	item_put_map(out, (uint64_t)__builtin_popcount(p->pcrs));
	for (unsigned i = 0; i < NITRO_PCRS; i++) {
		if (!(p->pcrs & UINT32_C(1) << i))
			continue;
		item_put_uint(out, i);
		item_put_bytes(out, BYTES_OF(p->pcr[i]));
	}
}

enum field {
	MODULE_ID,
	DIGEST,
	TIMESTAMP,
	PCRS,
	CERTIFICATE,
	CABUNDLE,
	PUBLIC_KEY,
	USER_DATA,
	NONCE,
	FIELDS
};

static const char *const names[FIELDS] = {"module_id",  "digest",      "timestamp",
                                          "pcrs",       "certificate", "cabundle",
                                          "public_key", "user_data",   "nonce"};

static void put_field(struct buf *out, const struct sim_nitro *p, enum field f,
                      struct bytes user_data, uint64_t ms)
{
	item_put_text(out, names[f]);
	switch (f) {
	case MODULE_ID:
		item_put_text(out, p->module_id);
		break;
	case DIGEST:
		item_put_text(out, p->digest);
		break;
	case TIMESTAMP:
		item_put_uint(out, ms);
		break;
	case PCRS:
		put_pcrs(out, p);
		break;
	case CERTIFICATE:
		put_cert(out, p->cert[SIM_NITRO_ENCLAVE].x);
		break;
	case CABUNDLE:
		item_put_array(out, SIM_NITRO_ENCLAVE);
		put_cert(out, p->cert[SIM_NITRO_ROOT].x);
		put_cert(out, p->cert[p->swapped ? SIM_NITRO_ZONE : SIM_NITRO_REGION].x);
		put_cert(out, p->cert[p->swapped ? SIM_NITRO_REGION : SIM_NITRO_ZONE].x);
		put_cert(out, p->cert[SIM_NITRO_INSTANCE].x);
		break;
	case PUBLIC_KEY:
		put_free(out, p->public_key);
		break;
	case USER_DATA:
		put_free(out, user_data);
		break;
	case NONCE:
		put_free(out, p->nonce);
		break;
	case FIELDS:
		break;
	}
}

int sim_nitro_document(const struct sim_nitro *p, const uint8_t *user_data, uint64_t now_ms,
                       struct buf *out)
{
	enum { MAP_OPEN = 0xbf, BREAK = 0xff };
	struct bytes data = user_data ? (struct bytes){user_data, 64} : p->user_data;
	struct buf payload = buf_make(PAYLOAD_MAX);
	int rc = -EIO;

	if (p->open_map)
		buf_u8(&payload, MAP_OPEN);
	else
		item_put_map(&payload, (uint64_t)FIELDS - !!p->without + !!p->extra.n);
	for (int f = 0; f < FIELDS; f++)
		if (!p->without || strcmp(p->without, names[f]) != 0)
			put_field(&payload, p, (enum field)f, data,
			          p->timestamp_ms ? p->timestamp_ms : now_ms);
	buf_bytes(&payload, p->extra);
	if (p->open_map)
		buf_u8(&payload, BREAK);
	if (!payload.bad)
		rc = sim_cose_sign1(&p->cose,
		                    p->signer ? p->signer : p->cert[SIM_NITRO_ENCLAVE].key,
		                    buf_view(&payload), out);
	buf_free(&payload);
	return rc;
}
