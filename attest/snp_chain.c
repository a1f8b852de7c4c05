/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The endorsements of an SEV-SNP report: the certificate table of the host, the certificate of the
 * key that signed (VCEK or VLEK), and its way over ASK or ASVK to a pinned ARK. Everything but the
 * pins is hostile. Leaves the times to the caller; may not judge the report.
 */
#include "attest/platform.h"
#include "attest/snp.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/ec.h>
#include "core/ecdsa.h"

/* --------------------------------------------------------- certificate table */

const struct snp_guid attest_snp_guids[] = {
        {{0xc0, 0xb4, 0x06, 0xa4, 0xa8, 0x03, 0x49, 0x52, 0x97, 0x43, 0x3f, 0xb6, 0x01, 0x4c, 0xd0,
          0xae},
         "ARK"},
        /* The ASVK has no GUID of its own: it comes as ASK. */
        {{0x4a, 0xb7, 0xb3, 0x79, 0xbb, 0xac, 0x4f, 0xe4, 0xa0, 0x2f, 0x05, 0xae, 0xf3, 0x27, 0xc7,
          0x82},
         "ASK"},
        {{0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac,
          0xcd},
         "VCEK"},
        {{0xa8, 0x07, 0x4b, 0xc2, 0xa2, 0x5a, 0x48, 0x3e, 0xaa, 0xe6, 0x39, 0xc0, 0x45, 0xa0, 0xb8,
          0xa1},
         "VLEK"},
};

const size_t attest_snp_guids_count = sizeof(attest_snp_guids) / sizeof(attest_snp_guids[0]);

static const struct snp_guid *guid_find(struct bytes guid)
{
	for (size_t i = 0; i < attest_snp_guids_count; i++)
		if (bytes_equal(guid, BYTES_OF(attest_snp_guids[i].v)))
			return &attest_snp_guids[i];
	return NULL;
}

bool attest_snp_is_table(struct bytes data)
{
	return data.n >= SNP_GUID_LEN && guid_find((struct bytes){data.p, SNP_GUID_LEN});
}

/* Entries must lie behind the list that names them. */
static bool entries_fit(const struct snp_table *t, struct bytes data, size_t list_len)
{
	for (uint32_t i = 0; i < t->n; i++)
		if ((size_t)(t->v[i].content.p - data.p) < list_len)
			return false;
	return true;
}

int attest_snp_table(struct bytes data, struct snp_table *out)
{
	struct reader r = reader_of(data);
	struct snp_table t = {0};

	for (;;) {
		struct bytes guid = rd_take(&r, SNP_GUID_LEN);
		uint32_t off = rd_le32(&r);
		uint32_t len = rd_le32(&r);

		if (r.bad)
			return -EINVAL;
		if (bytes_all_zero(guid.p, guid.n))
			break;
		/* Neither sum nor difference can wrap in this form. */
		if (t.n == SNP_TABLE_ENTRIES_MAX || len == 0 || off > data.n || len > data.n - off)
			return -EINVAL;
		t.v[t.n].guid = guid_find(guid);
		t.v[t.n].content = (struct bytes){data.p + off, len};
		t.n++;
	}
	if (!t.n || !entries_fit(&t, data, data.n - r.left))
		return -EINVAL;
	*out = t;
	return 0;
}

static int add_endorsement(struct pki_bag *bag, struct bytes data)
{
	struct snp_table t;
	int rc = 0;

	if (!attest_snp_is_table(data))
		return pki_bag_add(bag, data);
	if (attest_snp_table(data, &t))
		return -EINVAL;
	for (uint32_t i = 0; i < t.n && !rc; i++)
		if (t.v[i].guid)
			rc = pki_bag_add(bag, t.v[i].content);
	return rc;
}

/* ------------------------------------------- what the VEK says of the machine */

static int ext_small_integer(const X509 *cert, const char *oid, uint16_t *out)
{
	struct bytes der;
	const uint8_t *p;
	ASN1_INTEGER *n;
	uint64_t v;
	int rc = pki_extension(cert, oid, &der);

	if (rc)
		return rc;
	p = der.p;
	n = d2i_ASN1_INTEGER(NULL, &p, (long)der.n);
	rc = -EINVAL;
	if (n && p == der.p + der.n && ASN1_INTEGER_get_uint64(&v, n) && v <= UINT8_MAX) {
		*out = (uint16_t)v;
		rc = 0;
	}
	ASN1_INTEGER_free(n);
	return rc;
}

static int ext_text(const X509 *cert, const char *oid, char *out, size_t cap)
{
	struct bytes der;
	const uint8_t *p;
	ASN1_IA5STRING *s;
	int rc = pki_extension(cert, oid, &der);

	if (rc)
		return rc;
	p = der.p;
	s = d2i_ASN1_IA5STRING(NULL, &p, (long)der.n);
	rc = -EINVAL;
	if (s && p == der.p + der.n && ASN1_STRING_length(s) > 0 &&
	    (size_t)ASN1_STRING_length(s) < cap &&
	    !memchr(ASN1_STRING_get0_data(s), 0, (size_t)ASN1_STRING_length(s))) {
		memcpy(out, ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
		out[ASN1_STRING_length(s)] = 0;
		rc = 0;
	}
	ASN1_IA5STRING_free(s);
	return rc;
}

/* AMD ships the chip's id either bare or as an OCTET STRING; the lengths tell them apart. */
static int ext_hwid(const X509 *cert, size_t len, struct bytes *out)
{
	struct bytes v;
	int rc = pki_extension(cert, SNP_OID_HWID, &v);

	if (rc)
		return rc;
	if (v.n == len + 2 && v.p[0] == V_ASN1_OCTET_STRING && v.p[1] == len)
		v = (struct bytes){v.p + 2, len};
	if (v.n != len)
		return -EINVAL;
	*out = v;
	return 0;
}

/* The parts that the product has must be there, and the reserved ones absent or zero. */
static bool read_tcb(const struct snp_product *product, const X509 *cert, struct snp_vek *of)
{
	static const char *const oids[SNP_TCB_PARTS] = {
	        [SNP_TCB_FMC] = SNP_OID_SPL_FMC,
	        [SNP_TCB_BOOTLOADER] = SNP_OID_SPL_BOOTLOADER,
	        [SNP_TCB_TEE] = SNP_OID_SPL_TEE,
	        [SNP_TCB_SNP] = SNP_OID_SPL_SNP,
	        [SNP_TCB_MICROCODE] = SNP_OID_SPL_MICROCODE,
	};
	static const char *const reserved[] = {
	        SNP_OID_SPL ".4",
	        SNP_OID_SPL ".5",
	        SNP_OID_SPL ".6",
	        SNP_OID_SPL ".7",
	};

	for (int i = 0; i < SNP_TCB_PARTS; i++) {
		int rc = ext_small_integer(cert, oids[i], &of->tcb[i]);

		of->has_tcb[i] = product->tcb_byte[i] >= 0;
		if (rc != (of->has_tcb[i] ? 0 : -ENOENT))
			return false;
	}
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		uint16_t v = 0;
		int rc = ext_small_integer(cert, reserved[i], &v);

		if ((rc && rc != -ENOENT) || v)
			return false;
	}
	return true;
}

static bool is_p384(const X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32] = "";

	return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
	       !strcmp(group, SN_secp384r1);
}

/* "Milan-B0": the stepping is no part of the product. */
static const struct snp_product *product_named(const char *name)
{
	size_t n = strcspn(name, "-");

	return attest_snp_product((struct bytes){(const uint8_t *)name, n});
}

/* NULL, or what is wrong. */
static const char *read_vek(const struct snp_product *product, const X509 *cert, struct snp_vek *of)
{
	char name[32];
	struct bytes other;
	bool vlek = of->kind == SNP_VLEK;

	if (!is_p384(cert))
		return "its key is not P-384";
	if (ext_text(cert, SNP_OID_PRODUCT, name, sizeof(name)))
		return "it names no product";
	if (product_named(name) != product)
		return "it is for another product than its issuer";
	if (!read_tcb(product, cert, of))
		return "its TCB extensions are missing, malformed or not this product's";
	if (vlek ? ext_text(cert, SNP_OID_CSP, of->csp, sizeof(of->csp))
	         : ext_hwid(cert, product->chip_id_len, &of->hwid))
		return vlek ? "it names no cloud provider" : "it names no chip";
	if (pki_extension(cert, vlek ? SNP_OID_HWID : SNP_OID_CSP, &other) != -ENOENT)
		return vlek ? "a VLEK that names a chip" : "a VCEK that names a cloud provider";
	return NULL;
}

/* ------------------------------------------------------------------ the chain */

static bool vek_kind(const X509 *cert, enum snp_signer *kind)
{
	char cn[32];

	if (pki_common_name(cert, cn, sizeof(cn)))
		return false;
	*kind = !strcmp(cn, SNP_CN_VLEK) ? SNP_VLEK : SNP_VCEK;
	return !strcmp(cn, SNP_CN_VLEK) || !strcmp(cn, SNP_CN_VCEK);
}

const struct snp_product *attest_snp_vek(const X509 *cert, struct snp_vek *out)
{
	const struct snp_product *product;
	char name[32];

	*out = (struct snp_vek){0};
	if (!vek_kind(cert, &out->kind) || ext_text(cert, SNP_OID_PRODUCT, name, sizeof(name)))
		return NULL;
	product = product_named(name);
	return product && !read_vek(product, cert, out) ? product : NULL;
}

/* Does this VEK's key verify the report? What a certificate is for is judged later. */
static bool signed_by(const struct snp_report *report, const X509 *vek)
{
	return is_p384(vek) && ecdsa_raw_verify(X509_get0_pubkey(vek), EVP_sha384(), report->sig_r,
	                                        report->sig_s, SNP_SIG_VALUE_LEN, true,
	                                        (struct bytes){report->raw.p, SNP_SIGNED_LEN});
}

/*
 * The VEK whose key signed the report; else the first of the kind that the report names; else any.
 * A single one needs no choice, so that its signature is checked once, where it counts.
 */
static X509 *find_vek(const struct pki_bag *bag, const struct snp_report *report)
{
	X509 *vek[PKI_CERTS_MAX], *of_kind = NULL;
	enum snp_signer kind;
	uint32_t n = 0;

	for (uint32_t i = 0; i < bag->certs; i++)
		if (vek_kind(bag->cert[i], &kind))
			vek[n++] = bag->cert[i];
	if (n <= 1 || !report)
		return n ? vek[0] : NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (signed_by(report, vek[i]))
			return vek[i];
		(void)vek_kind(vek[i], &kind);
		if (!of_kind && SNP_KEY_SIGNING_KEY(report->key_info) == (unsigned)kind)
			of_kind = vek[i];
	}
	return of_kind ? of_kind : vek[0];
}

/*
 * All that AMD signs, it signs by RSASSA-PSS with SHA-384 twice and a salt as long as the hash
 * (which is what the flag stands for).
 */
static bool amd_signature(X509 *cert)
{
	int md = 0, key = 0, bits = 0;
	uint32_t flags = 0;

	return X509_get_signature_info(cert, &md, &key, &bits, &flags) && md == NID_sha384 &&
	       key == EVP_PKEY_RSA_PSS && (flags & X509_SIG_INFO_TLS);
}

/* Built-in pins go by name too, so that no product's root can vouch for another product. */
static bool trusted_root(const struct attest_input *in, const struct pki_pins *pins, X509 *ark,
                         const char *cn, bool *extra)
{
	const struct anchor_pin *pin;
	uint8_t hash[32];

	return !pki_spki_sha256(ark, hash) &&
	       attest_trusted(in, TEE_SNP, pins, hash, extra, &pin) &&
	       (!pin || !strcmp(pin->name, cn));
}

/* Product and roles by the names of root and intermediate. NULL, or what is wrong. */
static const char *names_agree(struct snp_chain *c, const char *ark, const char *ask)
{
	const char *prefix = c->of.kind == SNP_VLEK ? SNP_CN_ASVK : SNP_CN_ASK;
	size_t n = strlen(prefix);

	if (strncmp(ark, SNP_CN_ARK, strlen(SNP_CN_ARK)))
		return "the root is not called ARK-PRODUCT";
	c->product = attest_snp_product(bytes_str(ark + strlen(SNP_CN_ARK)));
	if (!c->product)
		return "the root is of a product that this build does not know";
	if (strncmp(ask, prefix, n) || strcmp(ask + n, c->product->name))
		return c->of.kind == SNP_VLEK ? "the VLEK's issuer is not this product's ASVK"
		                              : "the VCEK's issuer is not this product's ASK";
	return NULL;
}

static enum check_status say(char why[static CHECK_DETAIL_MAX], enum check_status status,
                             const char *a, const char *b)
{
	snprintf(why, CHECK_DETAIL_MAX, "%s%s", a, b);
	return status;
}

/* ------------------------------------------------------ the caller's collateral */

struct asking {
	const struct attest_input *in;
	struct claims *claims;
	struct pki_bag *bag;
};

/* What can't be read there is as good as absent: the store is a help, not evidence. How many. */
static size_t take(const struct asking *a, const struct collateral_name *name)
{
	struct bytes found[COLLATERAL_SAME_MAX];
	size_t n = attest_collateral(a->in, name, found, COLLATERAL_SAME_MAX);

	for (size_t i = 0; i < n; i++)
		(void)add_endorsement(a->bag, found[i]);
	return n;
}

static bool has_root(const struct pki_bag *bag, const struct snp_product *product)
{
	char cn[32], ark[32];

	snprintf(ark, sizeof(ark), SNP_CN_ARK "%s", product->name);
	for (uint32_t i = 0; i < bag->certs; i++)
		if (!pki_common_name(bag->cert[i], cn, sizeof(cn)) && !strcmp(cn, ark))
			return true;
	return false;
}

/* What would be asked for once the rest is there, so that all of it can be fetched at once. */
static void want_ahead(const struct asking *a, const struct snp_product *product,
                       enum snp_signer kind)
{
	const char *way = kind == SNP_VLEK ? "vlek" : "vcek";
	const struct collateral_name chain = attest_collateral_name(
	                                     VENDOR_AMD, "%s/v1/%s/cert_chain", way, product->name),
	                             crl = attest_collateral_name(VENDOR_AMD, "%s/v1/%s/crl", way,
	                                                          product->name);
	struct bytes found[1];

	if (!has_root(a->bag, product) && !attest_collateral(a->in, &chain, found, 1))
		attest_collateral_want(a->claims, &chain, true);
	if (!attest_collateral(a->in, &crl, found, 1))
		attest_collateral_want(a->claims, &crl, a->in->require_crl && !a->bag->crls);
}

static struct collateral_name vcek_name(const struct snp_report *report,
                                        const struct snp_product *product)
{
	uint16_t tcb[SNP_TCB_PARTS] = {0};
	char path[COLLATERAL_PATH_MAX];

	for (int i = 0; i < SNP_TCB_PARTS; i++)
		if (product->tcb_byte[i] >= 0)
			tcb[i] = report->reported_tcb[product->tcb_byte[i]];
	if (attest_snp_vcek_path(product, report->chip_id, tcb, path))
		return (struct collateral_name){.vendor = VENDOR_NONE};
	return attest_collateral_name(VENDOR_AMD, "%s", path);
}

/*
 * The VCEK of the report's chip. Version 2 names no CPU: then it is asked for as of each product
 * that makes such reports, and the chip's id finds one at most. A VLEK is not AMD's to hand out.
 */
static void ask_vcek(const struct asking *a, const struct snp_report *report)
{
	static const char *const without_cpuid[] = {"Milan", "Genoa"};
	const struct snp_product *product =
	        attest_snp_product_of_cpuid(report->family, report->model);
	struct collateral_name name[2];
	size_t names = 0, found = 0;

	if (SNP_KEY_SIGNING_KEY(report->key_info) != SNP_VCEK ||
	    bytes_all_zero(report->chip_id, SNP_CHIP_ID_LEN))
		return;
	if (report->version >= 3 && product)
		name[names++] = vcek_name(report, product);
	for (; report->version < 3 && names < 2; names++)
		name[names] =
		        vcek_name(report, attest_snp_product(bytes_str(without_cpuid[names])));
	for (size_t i = 0; i < names; i++)
		found += take(a, &name[i]);
	for (size_t i = 0; i < names && !found; i++)
		attest_collateral_want(a->claims, &name[i], true);
	if (report->version >= 3 && product && !found)
		want_ahead(a, product, SNP_VCEK);
}

/*
 * Others may lie in the bag: of another machine, a provider's, or this chip's with the firmware of
 * yesterday, which hosts go on handing out after an update.
 */
static bool has_vcek_of(const struct pki_bag *bag, const struct snp_report *report)
{
	for (uint32_t i = 0; i < bag->certs; i++) {
		const struct snp_product *product;
		struct snp_vek vek;
		bool same;

		product = attest_snp_vek(bag->cert[i], &vek);
		same = product && vek.kind == SNP_VCEK &&
		       !memcmp(vek.hwid.p, report->chip_id, vek.hwid.n);
		for (int k = 0; same && k < SNP_TCB_PARTS; k++)
			same = product->tcb_byte[k] < 0 ||
			       vek.tcb[k] == report->reported_tcb[product->tcb_byte[k]];
		if (same)
			return true;
	}
	return false;
}

/* True if the bag lacks an issuer on the way from the VEK to a root. */
static bool chain_lacks(const struct pki_bag *bag, X509 *vek)
{
	bool named;
	X509 *ask = pki_issuer_of(bag, vek, &named);

	if (!ask)
		return !named;
	return !pki_issuer_of(bag, ask, &named) && !named;
}

static void ask_chain(const struct asking *a, X509 *vek)
{
	struct collateral_name name;
	const struct snp_product *product;
	enum snp_signer kind;
	char text[32];

	if (!vek_kind(vek, &kind) || ext_text(vek, SNP_OID_PRODUCT, text, sizeof(text)))
		return;
	product = product_named(text);
	if (!product)
		return;
	name = attest_collateral_name(VENDOR_AMD, "%s/v1/%s/cert_chain",
	                              kind == SNP_VLEK ? "vlek" : "vcek", product->name);
	(void)take(a, &name);
	if (!chain_lacks(a->bag, vek))
		return;
	attest_collateral_want(a->claims, &name, true);
	want_ahead(a, product, kind);
}

/*
 * What the caller keeps is looked at even if there is a list in the evidence: that one may be old
 * and still in time. -ENOSPC when there is no room for it, so that nobody can crowd it out.
 */
int attest_snp_crl(const struct attest_input *in, struct claims *claims, struct snp_chain *c,
                   X509_CRL **out)
{
	struct collateral_name name =
	        attest_collateral_name(VENDOR_AMD, "%s/v1/%s/crl",
	                               c->of.kind == SNP_VLEK ? "vlek" : "vcek", c->product->name);
	struct bytes found[COLLATERAL_SAME_MAX];
	size_t n = attest_collateral(in, &name, found, COLLATERAL_SAME_MAX);
	int64_t from, until;

	if (!n)
		attest_collateral_want(claims, &name, false);
	*out = NULL;
	for (size_t i = 0; i < n; i++)
		if (add_endorsement(&c->bag, found[i]) == -ENOSPC)
			return -ENOSPC;
	*out = pki_crl_of(&c->bag, c->ark, in->at);
	if (!*out || pki_time(X509_CRL_get0_lastUpdate(*out), &from) ||
	    pki_time(X509_CRL_get0_nextUpdate(*out), &until) || in->at < from || in->at > until)
		attest_collateral_want(claims, &name, true);
	return 0;
}

/* ------------------------------------------------------------------- the whole */

/* Fills vek, ask, ark; tells missing from wrong. */
static enum check_status collect(const struct asking *a, const struct snp_report *report,
                                 struct snp_chain *c, char why[static CHECK_DETAIL_MAX])
{
	bool named;

	c->vek = find_vek(&c->bag, report);
	if (report && !has_vcek_of(&c->bag, report)) {
		ask_vcek(a, report);
		c->vek = find_vek(&c->bag, report);
	}
	if (c->vek && chain_lacks(&c->bag, c->vek))
		ask_chain(a, c->vek);
	if (!c->vek)
		return say(why, CHECK_UNAVAILABLE, "no VCEK or VLEK certificate was given", "");
	(void)vek_kind(c->vek, &c->of.kind);
	c->ask = pki_issuer_of(&c->bag, c->vek, &named);
	if (!c->ask && named)
		return say(why, CHECK_FAIL, "the certificate of the signing key was not signed by ",
		           "the issuer that it names");
	if (!c->ask)
		return say(why, CHECK_UNAVAILABLE, "no ASK or ASVK certificate was given", "");
	c->ark = pki_issuer_of(&c->bag, c->ask, &named);
	if (!c->ark && named)
		return say(why, CHECK_FAIL, "the ASK or ASVK was not signed by the root that it ",
		           "names");
	if (!c->ark)
		return say(why, CHECK_UNAVAILABLE, "no ARK certificate was given", "");
	return CHECK_PASS;
}

static enum check_status judge(const struct attest_input *in, const struct pki_pins *pins,
                               struct snp_chain *c, char why[static CHECK_DETAIL_MAX])
{
	char ark[32], ask[32];
	const char *wrong;
	int rc;

	if (pki_common_name(c->ark, ark, sizeof(ark)) || pki_common_name(c->ask, ask, sizeof(ask)))
		return say(why, CHECK_FAIL, "root or intermediate without a usable common name",
		           "");
	if (!trusted_root(in, pins, c->ark, ark, &c->extra_anchor))
		return say(why, CHECK_FAIL, "the chain ends at a root that is not trusted: ", ark);
	wrong = names_agree(c, ark, ask);
	if (wrong)
		return say(why, CHECK_FAIL, wrong, "");
	if (!amd_signature(c->vek) || !amd_signature(c->ask) || !amd_signature(c->ark))
		return say(why, CHECK_FAIL, "a signature that is not RSASSA-PSS with SHA-384", "");
	rc = pki_path(c->vek, c->ask, c->ark);
	if (rc == X509_V_ERR_CERT_SIGNATURE_FAILURE)
		return say(why, CHECK_FAIL,
		           "a certificate was not signed by the issuer that it names", "");
	if (rc)
		return say(why, CHECK_FAIL,
		           "the path does not hold: ", X509_verify_cert_error_string(rc));
	wrong = read_vek(c->product, c->vek, &c->of);
	if (wrong)
		return say(why, CHECK_FAIL, "the certificate of the signing key: ", wrong);
	snprintf(why, CHECK_DETAIL_MAX, "%s, %s, %s: %s",
	         c->of.kind == SNP_VLEK ? SNP_CN_VLEK : SNP_CN_VCEK, ask, ark,
	         c->extra_anchor ? "an anchor given by the caller, not a built-in root"
	                         : "a built-in root");
	return CHECK_PASS;
}

enum check_status attest_snp_chain(const struct attest_input *in, const struct snp_report *report,
                                   struct claims *claims, struct snp_chain *out,
                                   char why[static CHECK_DETAIL_MAX])
{
	const struct asking asking = {in, claims, &out->bag};
	struct pki_pins pins = {0};
	enum check_status status;
	int rc;

	*out = (struct snp_chain){.bag = {.cache = in->cache}};
	for (uint32_t i = 0; i < in->anchors_n; i++) {
		rc = pki_pins_add(&pins, &out->bag, in->anchors[i]);
		if (rc) {
			snprintf(why, CHECK_DETAIL_MAX, "anchor %u can't be read: %s", i + 1,
			         strerrordesc_np(-rc));
			return CHECK_FAIL;
		}
	}
	for (uint32_t i = 0; i < in->endorsements_n; i++) {
		rc = add_endorsement(&out->bag, in->endorsements[i]);
		if (rc) {
			snprintf(why, CHECK_DETAIL_MAX, "endorsement %u can't be read: %s", i + 1,
			         strerrordesc_np(-rc));
			return CHECK_FAIL;
		}
	}
	status = collect(&asking, report, out, why);
	return status == CHECK_PASS ? judge(in, &pins, out, why) : status;
}

void attest_snp_chain_free(struct snp_chain *c)
{
	pki_bag_free(&c->bag);
	*c = (struct snp_chain){0};
}
