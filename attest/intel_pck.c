/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endorsement of Intel's quotes: the PCK certificate with its extension, and its way over the
 * Platform or Processor CA to a pinned root key. Everything but the pins is hostile. Leaves the
 * times to the caller; may not judge the quote.
 */
#include "attest/intel_appraise.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/ec.h>
#include "core/ecdsa.h"

/* ------------------------------------------------------------- the extension */

/* The content of one DER element of this tag. */
static struct bytes der_take(struct reader *r, uint8_t tag)
{
	struct bytes rest = {r->p, r->left}, content = BYTES_NONE;
	uint8_t is = 0;

	if (r->bad || !pki_tlv(&rest, &is, &content) || is != tag) {
		r->bad = true;
		return BYTES_NONE;
	}
	r->p = rest.p;
	r->left = rest.n;
	return content;
}

static uint8_t der_next_tag(const struct reader *r)
{
	return r->left ? r->p[0] : 0;
}

static uint16_t der_u16(struct reader *r, uint8_t tag)
{
	struct bytes v = der_take(r, tag);
	bool minimal = v.n == 1 || (v.n > 1 && (v.p[0] || v.p[1] >= 0x80));
	uint32_t n = 0;

	if (r->bad || v.n > 3 || !minimal || v.p[0] >= 0x80) {
		r->bad = true;
		return 0;
	}
	for (size_t i = 0; i < v.n; i++)
		n = n << 8 | v.p[i];
	r->bad |= n > UINT16_MAX;
	return (uint16_t)n;
}

static void der_octets(struct reader *r, uint8_t *out, size_t n)
{
	struct bytes v = der_take(r, V_ASN1_OCTET_STRING);

	r->bad |= v.n != n;
	if (!r->bad)
		memcpy(out, v.p, n);
}

/* Of the arc 1.2.840.113741.1.13.1, what follows it: one number, or two below .2. */
static const uint8_t arc[] = {0x2a, 0x86, 0x48, 0x86, 0xf8, 0x4d, 0x01, 0x0d, 0x01};

enum { FIELD_PPID = 1, FIELD_TCB, FIELD_PCEID, FIELD_FMSPC, FIELD_TYPE, FIELD_INSTANCE };
enum { TCB_PCESVN = 17, TCB_CPUSVN = 18 };

#define FIELDS_NEEDED \
	(1u << FIELD_PPID | 1u << FIELD_TCB | 1u << FIELD_PCEID | 1u << FIELD_FMSPC | \
	 1u << FIELD_TYPE)
#define TCB_NEEDED ((1u << (TCB_CPUSVN + 1)) - 2)

/* The next pair of a list: the last number of its OID, and a reader of its value. 0: not known. */
static unsigned take_pair(struct reader *list, const uint8_t *below, size_t below_n,
                          struct reader *value)
{
	struct reader pair = reader_of(der_take(list, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED));
	struct bytes oid = der_take(&pair, V_ASN1_OBJECT);

	list->bad |= pair.bad;
	*value = pair;
	if (list->bad || oid.n != below_n + 1 || memcmp(oid.p, below, below_n) != 0 ||
	    oid.p[below_n] > TCB_CPUSVN)
		return 0;
	return oid.p[below_n];
}

/* Every field at most once. */
static bool first_time(unsigned *seen, unsigned field)
{
	unsigned bit = 1u << field;
	bool first = !(*seen & bit);

	*seen |= bit;
	return first;
}

static bool read_tcb(struct bytes content, struct intel_pck *out)
{
	struct reader list = reader_of(content), value;
	uint8_t below[sizeof(arc) + 1];
	unsigned seen = 0;

	memcpy(below, arc, sizeof(arc));
	below[sizeof(arc)] = FIELD_TCB;
	while (list.left && !list.bad) {
		unsigned field = take_pair(&list, below, sizeof(below), &value);

		if (!field)
			continue;
		list.bad |= !first_time(&seen, field);
		if (field == TCB_CPUSVN)
			der_octets(&value, out->cpusvn, sizeof(out->cpusvn));
		else if (field == TCB_PCESVN)
			out->pcesvn = der_u16(&value, V_ASN1_INTEGER);
		else
			out->svn[field - 1] = der_u16(&value, V_ASN1_INTEGER);
		list.bad |= !rd_done(&value);
	}
	return !list.bad && seen == TCB_NEEDED;
}

static void read_field(unsigned field, struct reader *value, struct intel_pck *out)
{
	struct bytes tcb;

	switch (field) {
	case FIELD_PPID:
		der_octets(value, out->ppid, sizeof(out->ppid));
		break;
	case FIELD_TCB:
		tcb = der_take(value, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED);
		value->bad |= !read_tcb(tcb, out);
		break;
	case FIELD_PCEID:
		der_octets(value, out->pceid, sizeof(out->pceid));
		break;
	case FIELD_FMSPC:
		der_octets(value, out->fmspc, sizeof(out->fmspc));
		break;
	case FIELD_TYPE:
		out->sgx_type = (uint8_t)der_u16(value, V_ASN1_ENUMERATED);
		break;
	case FIELD_INSTANCE:
		der_octets(value, out->instance, sizeof(out->instance));
		out->has_instance = !value->bad;
		break;
	default:
		/* The configuration, and what may come later, bear on nothing here. */
		der_take(value, der_next_tag(value));
		break;
	}
}

const char *attest_intel_pck(const X509 *cert, struct intel_pck *out)
{
	struct intel_pck pck = {0};
	struct reader r, list, value;
	unsigned seen = 0;
	struct bytes der;

	if (pki_extension(cert, INTEL_OID_SGX, &der))
		return "it has not the one extension that tells its TCB";
	r = reader_of(der);
	list = reader_of(der_take(&r, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED));
	list.bad |= !rd_done(&r);
	while (list.left && !list.bad) {
		unsigned field = take_pair(&list, arc, sizeof(arc), &value);

		if (!field)
			continue;
		list.bad |= !first_time(&seen, field);
		read_field(field, &value, &pck);
		list.bad |= !rd_done(&value);
	}
	if (list.bad || (seen & FIELDS_NEEDED) != FIELDS_NEEDED)
		return "its extension is malformed";
	*out = pck;
	return NULL;
}

/* -------------------------------------------------------------- endorsements */

static bool is_space(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == 0;
}

/* Without the white space and NULs around it. */
static struct bytes trim(struct bytes v)
{
	while (v.n && is_space(v.p[0]))
		v = (struct bytes){v.p + 1, v.n - 1};
	while (v.n && is_space(v.p[v.n - 1]))
		v.n--;
	return v;
}

int attest_intel_endorsement(struct pki_bag *bag, struct bytes data)
{
	struct bytes hex = trim(data);
	uint8_t *der;
	int rc;

	/* A caching service hands out lists as DER in hex; all DER of ours begins with 30. */
	if (hex.n < 2 || hex.n % 2 || hex.n > PKI_INPUT_MAX || memcmp(hex.p, "30", 2) != 0)
		return pki_bag_add(bag, data);
	der = malloc(hex.n / 2);
	if (!der)
		return -ENOMEM;
	rc = hex_decode(hex, der, hex.n / 2);
	if (!rc)
		rc = pki_bag_add(bag, (struct bytes){der, hex.n / 2});
	free(der);
	return rc;
}

/* Concatenated DER certificates. */
static int add_ders(struct pki_bag *bag, struct bytes data)
{
	struct reader r = reader_of(data);

	for (unsigned n = 0; r.left; n++) {
		const uint8_t *from = r.p;

		der_take(&r, V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED);
		if (r.bad || n == INTEL_CERTS_MAX ||
		    pki_bag_add(bag, (struct bytes){from, (size_t)(r.p - from)}))
			return -EINVAL;
	}
	return 0;
}

/* What the quote itself carries. */
static int add_cert_data(struct pki_bag *bag, const struct intel_quote *q)
{
	struct bytes data = trim(q->cert_data);
	uint32_t others = bag->others;
	int rc;

	if (q->cert_type != INTEL_CERT_PCK_LEAF && q->cert_type != INTEL_CERT_PCK_CHAIN)
		return 0;
	/* DER may well end in a zero byte. */
	if (q->cert_data.n && q->cert_data.p[0] == (V_ASN1_SEQUENCE | V_ASN1_CONSTRUCTED))
		return add_ders(bag, q->cert_data);
	rc = pki_bag_add(bag, data);
	return rc || bag->others != others || bag->certs > INTEL_CERTS_MAX ? -EINVAL : 0;
}

/* ------------------------------------------------------------------ the chain */

bool attest_intel_signed_well(X509 *cert)
{
	int md = 0, key = 0, bits = 0;
	uint32_t flags = 0;

	return pki_on_curve(cert, SN_X9_62_prime256v1) &&
	       X509_get_signature_info(cert, &md, &key, &bits, &flags) && md == NID_sha256 &&
	       key == EVP_PKEY_EC;
}

bool attest_intel_trusted(const struct attest_input *in, const struct pki_pins *pins,
                          const X509 *root, enum tee tee, bool *extra)
{
	const struct anchor_pin *pin;
	uint8_t hash[32];

	return !pki_spki_sha256(root, hash) && attest_trusted(in, tee, pins, hash, extra, &pin);
}

static bool is_named(const X509 *cert, const char *name)
{
	char cn[64];

	return !pki_common_name(cert, cn, sizeof(cn)) && !strcmp(cn, name);
}

static bool qe_signed_by(const struct intel_quote *q, const X509 *pck)
{
	return pki_on_curve(pck, SN_X9_62_prime256v1) &&
	       ecdsa_raw_verify(X509_get0_pubkey(pck), EVP_sha256(), q->qe_signature,
	                        q->qe_signature + INTEL_SIG_LEN / 2, INTEL_SIG_LEN / 2, false,
	                        (struct bytes){q->qe_report, INTEL_SGX_BODY_LEN});
}

/* Of several, the one whose key signed the QE's report; a single one needs no choice. */
static X509 *find_pck(const struct pki_bag *bag, const struct intel_quote *q)
{
	X509 *pck[PKI_CERTS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < bag->certs; i++)
		if (is_named(bag->cert[i], INTEL_CN_PCK))
			pck[n++] = bag->cert[i];
	for (uint32_t i = 0; n > 1 && i < n; i++)
		if (qe_signed_by(q, pck[i]))
			return pck[i];
	return n ? pck[0] : NULL;
}

static enum check_status say(char why[static CHECK_DETAIL_MAX], enum check_status status,
                             const char *a, const char *b)
{
	snprintf(why, CHECK_DETAIL_MAX, "%s%s", a, b);
	return status;
}

/* Fills pck, ca, root; tells missing from wrong. */
static enum check_status collect(const struct intel_quote *q, struct intel_chain *c,
                                 char why[static CHECK_DETAIL_MAX])
{
	bool named;

	c->pck = find_pck(&c->bag, q);
	if (!c->pck &&
	    (q->cert_type == INTEL_CERT_PPID_RSA2048 || q->cert_type == INTEL_CERT_PPID_RSA3072))
		return say(why, CHECK_FAIL, "the quote has an encrypted platform id in place of ",
		           "its certificate, which nobody else can look up");
	if (!c->pck)
		return say(why, CHECK_UNAVAILABLE, "no PCK certificate was given", "");
	c->ca = pki_issuer_of(&c->bag, c->pck, &named);
	if (!c->ca && named)
		return say(why, CHECK_FAIL, "the PCK certificate was not signed by the CA that it ",
		           "names");
	if (!c->ca)
		return say(why, CHECK_UNAVAILABLE, "no certificate of the PCK's CA was given", "");
	c->root = pki_issuer_of(&c->bag, c->ca, &named);
	if (!c->root && named)
		return say(why, CHECK_FAIL, "the PCK's CA was not signed by the root that it names",
		           "");
	if (!c->root)
		return say(why, CHECK_UNAVAILABLE, "no root certificate was given", "");
	return CHECK_PASS;
}

static enum check_status judge(const struct attest_input *in, enum tee tee, struct intel_chain *c,
                               char why[static CHECK_DETAIL_MAX])
{
	const char *wrong;
	int rc;

	c->platform_ca = is_named(c->ca, INTEL_CN_PLATFORM_CA);
	if (!c->platform_ca && !is_named(c->ca, INTEL_CN_PROCESSOR_CA))
		return say(why, CHECK_FAIL, "the PCK's issuer is neither the Platform nor the ",
		           "Processor CA");
	if (!is_named(c->root, INTEL_CN_ROOT))
		return say(why, CHECK_FAIL, "the root is not called ", INTEL_CN_ROOT);
	if (!attest_intel_trusted(in, &c->pins, c->root, tee, &c->extra_anchor))
		return say(why, CHECK_FAIL, "the chain ends at a root that is not trusted: ",
		           "another key than Intel's under its name");
	if (!attest_intel_signed_well(c->pck) || !attest_intel_signed_well(c->ca) ||
	    !attest_intel_signed_well(c->root))
		return say(why, CHECK_FAIL, "a certificate that is not ECDSA P-256 with SHA-256",
		           "");
	rc = pki_path(c->pck, c->ca, c->root);
	if (rc == X509_V_ERR_CERT_SIGNATURE_FAILURE)
		return say(why, CHECK_FAIL,
		           "a certificate was not signed by the issuer that it names", "");
	if (rc)
		return say(why, CHECK_FAIL,
		           "the path does not hold: ", X509_verify_cert_error_string(rc));
	wrong = attest_intel_pck(c->pck, &c->of);
	if (wrong)
		return say(why, CHECK_FAIL, "the PCK certificate: ", wrong);
	snprintf(why, CHECK_DETAIL_MAX, "%s, %s, %s: %s", INTEL_CN_PCK,
	         c->platform_ca ? INTEL_CN_PLATFORM_CA : INTEL_CN_PROCESSOR_CA, INTEL_CN_ROOT,
	         c->extra_anchor ? "an anchor given by the caller, not the built-in root"
	                         : "the built-in root");
	return CHECK_PASS;
}

enum check_status attest_intel_chain(const struct attest_input *in, const struct intel_quote *q,
                                     struct intel_chain *out, char why[static CHECK_DETAIL_MAX])
{
	enum tee tee = q->kind == INTEL_BODY_SGX ? TEE_SGX : TEE_TDX;
	enum check_status status;
	int rc;

	*out = (struct intel_chain){.bag = {.cache = in->cache}};
	if (add_cert_data(&out->bag, q))
		return say(why, CHECK_FAIL, "the certificates in the quote can't be read", "");
	for (uint32_t i = 0; i < in->endorsements_n; i++) {
		rc = attest_intel_endorsement(&out->bag, in->endorsements[i]);
		if (rc) {
			snprintf(why, CHECK_DETAIL_MAX, "endorsement %u can't be read: %s", i + 1,
			         strerrordesc_np(-rc));
			return CHECK_FAIL;
		}
	}
	for (uint32_t i = 0; i < in->anchors_n; i++) {
		rc = pki_pins_add(&out->pins, &out->bag, in->anchors[i]);
		if (rc) {
			snprintf(why, CHECK_DETAIL_MAX, "anchor %u can't be read: %s", i + 1,
			         strerrordesc_np(-rc));
			return CHECK_FAIL;
		}
	}
	status = collect(q, out, why);
	return status == CHECK_PASS ? judge(in, tee, out, why) : status;
}

void attest_intel_chain_free(struct intel_chain *c)
{
	pki_bag_free(&c->bag);
	*c = (struct intel_chain){0};
}
