/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NVIDIA GPUs and switches: SPDM 1.1 measurements, signed by a key that the device's firmware
 * holds, certified up to NVIDIA's device identity CA. What is demanded of every device; which
 * measurements are right is not known here (NVIDIA publishes them as signed XML by driver and VBIOS
 * version).
 *
 * Such evidence is tied to no key and no connection: the device sits behind a CPU, whose own
 * evidence has to name it, for example by the same nonce. So it is judged from files only, and
 * never lets a connection through.
 *
 * request, 37 bytes:  0x11 0xE0 p1 p2 | nonce[32] | slot
 * response:           0x11 0x60 p1 p2 | u8 blocks | u24 record length | blocks |
 *                     nonce[32] | u16 length | opaque data | signature[96]
 * block:              u8 index | u8 spec | u16 size | u8 type | u16 length | value
 * opaque data:        {u16 type | u16 length | value}
 * Integers are little endian; the signature is raw r || s, big endian, ECDSA P-384 with SHA-384
 * over all that stands before it, the request included.
 *
 * Sources: DMTF DSP0274 1.1 sections 10.11, NVIDIA attestation SDK; TCG DICE Attestation
 * Architecture 1.1 (FWID).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/x509v3.h>
#include "attest/pki.h"
#include "attest/platform.h"
#include "core/ecdsa.h"

enum {
	REQUEST_LEN = 37,
	NONCE_AT = 4,
	NONCE_LEN = 32,
	BLOCKS_MAX = 64,
	VALUE_LEN = 48,
	SIG_LEN = 96,
	CHAIN_MAX = 6,
};

enum { SPDM_1_1 = 0x11, GET_MEASUREMENTS = 0xe0, MEASUREMENTS = 0x60 };
enum { WITH_SIGNATURE = 1, ALL_MEASUREMENTS = 0xff, SPEC_DMTF = 1 };
enum { OPAQUE_DRIVER = 3, OPAQUE_VBIOS = 6, OPAQUE_FWID = 20, OPAQUE_TYPES = 64 };

struct spdm {
	struct bytes nonce; /* of the request */
	uint8_t blocks;
	struct bytes block[BLOCKS_MAX];
	struct bytes opaque[OPAQUE_TYPES]; /* by type */
	struct bytes signature;
	struct bytes covered; /* by the signature */
};

struct appraisal {
	const struct attest_input *in;
	struct claims *claims;
	struct checks *checks;
	struct spdm spdm;
	struct pki_bag bag;
	X509 *chain[CHAIN_MAX]; /* leaf first; views into the bag */
	size_t chain_n;
};

/* -------------------------------------------------------------------- structure */

static const char *parse_blocks(struct reader *r, struct spdm *s)
{
	uint8_t count = rd_u8(r);
	uint32_t low = rd_le16(r), length = low | (uint32_t)rd_u8(r) << 16;
	struct bytes record = rd_take(r, length);
	struct reader b = reader_of(record);

	if (r->bad || !count || count > BLOCKS_MAX)
		return "no record of 1 to 64 measurements";
	for (s->blocks = 0; s->blocks < count; s->blocks++) {
		uint8_t index = rd_u8(&b), spec = rd_u8(&b);
		uint16_t size = rd_le16(&b), n;

		(void)rd_u8(&b); /* what is measured: covered by the hash of all by its place */
		n = rd_le16(&b);
		s->block[s->blocks] = rd_take(&b, n);
		if (b.bad || spec != SPEC_DMTF || n != VALUE_LEN || size != n + 3 ||
		    index != s->blocks + 1)
			return "a measurement that is out of order or not a SHA-384 value";
	}
	return rd_done(&b) ? NULL : "something behind the last measurement";
}

static const char *parse_opaque(struct reader *r, struct spdm *s)
{
	struct bytes data = rd_take(r, rd_le16(r));
	struct reader o = reader_of(data);

	while (o.left) {
		uint16_t type = rd_le16(&o);
		struct bytes v = rd_take(&o, rd_le16(&o));

		if (o.bad)
			break;
		if (type >= OPAQUE_TYPES)
			continue;
		if (s->opaque[type].p)
			return "the same opaque field twice";
		s->opaque[type] = v;
	}
	return o.bad || r->bad ? "opaque fields that end early" : NULL;
}

/* NULL, or what is malformed; s holds what could be read. */
static const char *parse(struct bytes evidence, struct spdm *s)
{
	struct reader r = reader_of(evidence);
	uint8_t version = rd_u8(&r), code = rd_u8(&r), p1 = rd_u8(&r), p2 = rd_u8(&r);
	const char *wrong;

	*s = (struct spdm){.blocks = 0};
	s->nonce = rd_take(&r, NONCE_LEN);
	(void)rd_u8(&r); /* slot */
	if (r.bad || version != SPDM_1_1 || code != GET_MEASUREMENTS || p1 != WITH_SIGNATURE ||
	    p2 != ALL_MEASUREMENTS)
		return "not a request of SPDM 1.1 for all measurements, signed";
	version = rd_u8(&r);
	code = rd_u8(&r);
	(void)rd_le16(&r); /* what else may be asked for, and the slot */
	if (r.bad || version != SPDM_1_1 || code != MEASUREMENTS)
		return "no answer to the request";
	wrong = parse_blocks(&r, s);
	if (wrong)
		return wrong;
	(void)rd_take(&r, NONCE_LEN); /* the device's */
	wrong = parse_opaque(&r, s);
	if (wrong)
		return wrong;
	s->signature = rd_take(&r, SIG_LEN);
	if (!rd_done(&r))
		return "no signature at its end, or something behind it";
	s->covered = (struct bytes){evidence.p, evidence.n - SIG_LEN};
	return NULL;
}

/* -------------------------------------------------------------------- the chain */

static bool signed_by(const struct spdm *s, const X509 *leaf)
{
	return pki_on_curve(leaf, SN_secp384r1) &&
	       ecdsa_raw_verify(X509_get0_pubkey(leaf), EVP_sha384(), s->signature.p,
	                        s->signature.p + SIG_LEN / 2, SIG_LEN / 2, false, s->covered);
}

/* The device's certificate: the one that is no CA; of several, the one that signed. */
static X509 *find_leaf(const struct appraisal *a)
{
	X509 *first = NULL;
	bool several = false;

	for (uint32_t i = 0; i < a->bag.certs; i++) {
		if (X509_get_extension_flags(a->bag.cert[i]) & EXFLAG_CA)
			continue;
		several = first != NULL;
		if (several)
			break;
		first = a->bag.cert[i];
	}
	for (uint32_t i = 0; several && i < a->bag.certs; i++)
		if (!(X509_get_extension_flags(a->bag.cert[i]) & EXFLAG_CA) &&
		    signed_by(&a->spdm, a->bag.cert[i]))
			return a->bag.cert[i];
	return first;
}

static bool self_issued(const X509 *cert)
{
	return !X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert));
}

/* From the leaf to a certificate that issued itself. NULL, or what is missing or wrong. */
static const char *walk(struct appraisal *a, enum check_status *status)
{
	X509 *cert = find_leaf(a);
	bool named = false;

	*status = CHECK_UNAVAILABLE;
	if (!cert)
		return "no certificate of the device was given";
	a->chain[a->chain_n++] = cert;
	while (!self_issued(cert)) {
		cert = pki_issuer_of(&a->bag, cert, &named);
		if (!cert && !named)
			return "the chain does not reach NVIDIA's root";
		*status = CHECK_FAIL;
		if (!cert)
			return "a certificate was not signed by the issuer that it names";
		if (a->chain_n == CHAIN_MAX)
			return "the chain is longer than NVIDIA's";
		a->chain[a->chain_n++] = cert;
		*status = CHECK_UNAVAILABLE;
	}
	*status = CHECK_FAIL;
	return a->chain_n > 1 ? NULL : "the device's certificate issued itself";
}

static bool trusted(const struct attest_input *in, const struct pki_pins *pins, X509 *root,
                    bool *extra)
{
	const struct anchor_pin *pin;
	uint8_t hash[32];

	return !pki_spki_sha256(root, hash) &&
	       attest_trusted(in, TEE_NVIDIA, pins, hash, extra, &pin);
}

static const char *judge_chain(struct appraisal *a, const struct pki_pins *pins)
{
	int rc;

	for (size_t i = 0; i < a->chain_n; i++)
		if (!pki_on_curve(a->chain[i], SN_secp384r1) ||
		    X509_get_signature_nid(a->chain[i]) != NID_ecdsa_with_SHA384)
			return "a certificate that is not ECDSA on P-384 with SHA-384";
	if (!trusted(a->in, pins, a->chain[a->chain_n - 1], &a->claims->extra_anchor))
		return "the chain ends at a root that is not trusted";
	rc = pki_path_of(a->chain, a->chain_n);
	if (rc)
		return X509_verify_cert_error_string(rc);
	if (!(X509_get_key_usage(a->chain[0]) & KU_DIGITAL_SIGNATURE))
		return "the device's key is not one to sign with";
	return NULL;
}

/* The product is the first word of the device's name. */
static void claim_chain(struct appraisal *a)
{
	struct claims *c = a->claims;
	char name[sizeof(c->signer)];

	if (pki_common_name(a->chain[0], name, sizeof(name)))
		return;
	snprintf(c->signer, sizeof(c->signer), "%s", name);
	name[strcspn(name, " ")] = 0;
	snprintf(c->product, sizeof(c->product), "%.*s", (int)sizeof(c->product) - 1, name);
}

static bool check_chain(struct appraisal *a)
{
	struct pki_pins pins = {0};
	enum check_status status = CHECK_FAIL;
	const char *wrong = NULL;

	for (uint32_t i = 0; !wrong && i < a->in->anchors_n; i++)
		if (pki_pins_add(&pins, &a->bag, a->in->anchors[i]))
			wrong = "an anchor can't be read";
	for (uint32_t i = 0; !wrong && i < a->in->endorsements_n; i++)
		if (pki_bag_add(&a->bag, a->in->endorsements[i]))
			wrong = "an endorsement can't be read";
	if (!wrong)
		wrong = walk(a, &status);
	if (!wrong)
		wrong = judge_chain(a, &pins);
	if (wrong)
		a->claims->extra_anchor = false;
	else
		claim_chain(a);
	check_add(a->checks, "nvidia.chain", wrong ? status : CHECK_PASS, "%s%s",
	          wrong                     ? wrong
	          : a->claims->extra_anchor ? "to an anchor given by the caller: "
	                                    : "to NVIDIA's built-in root: ",
	          wrong ? "" : a->claims->signer);
	return !wrong;
}

static void check_time(struct appraisal *a)
{
	int64_t end = INT64_MAX, t;

	for (size_t i = 0; i < a->chain_n; i++) {
		if (!pki_valid_at(a->chain[i], a->in->at) ||
		    pki_time(X509_get0_notAfter(a->chain[i]), &t)) {
			check_add(a->checks, "nvidia.cert-time", CHECK_FAIL,
			          "certificate %zu from the device's on is not valid at the time "
			          "asked for",
			          i + 1);
			return;
		}
		if (t < end)
			end = t;
	}
	a->claims->valid_until = end;
	check_add(a->checks, "nvidia.cert-time", CHECK_PASS, "all %zu certificates are valid",
	          a->chain_n);
}

/* ------------------------------------------------------------ the device's word */

/* The firmware's hash as a SEQUENCE of its algorithm, SHA-384, and the hash. */
static bool is_fwid(uint8_t tag, struct bytes v, struct bytes *fwid)
{
	static const uint8_t head[] = {0x06, 0x09, 0x60, 0x86, 0x48, 0x01,     0x65,
	                               0x03, 0x04, 0x02, 0x02, 0x04, VALUE_LEN};

	if (tag != 0x30 || v.n != sizeof(head) + VALUE_LEN || memcmp(v.p, head, sizeof(head)))
		return false;
	*fwid = (struct bytes){v.p + sizeof(head), VALUE_LEN};
	return true;
}

/*
 * The first firmware hash that the certificate names: Hopper has it as a member of 2.23.133.5.4.1,
 * Blackwell first in the list [6] of a DICE TcbInfo, which it calls 2.23.133.5.4.1.1.
 */
static bool certified_fwid(const X509 *leaf, struct bytes *fwid)
{
	struct bytes ext, all, v, inner;
	uint8_t tag;

	if (pki_extension(leaf, "2.23.133.5.4.1", &ext) &&
	    pki_extension(leaf, "2.23.133.5.4.1.1", &ext))
		return false;
	if (!pki_tlv(&ext, &tag, &all) || tag != 0x30 || ext.n)
		return false;
	while (all.n) {
		if (!pki_tlv(&all, &tag, &v))
			return false;
		if (is_fwid(tag, v, fwid))
			return true;
		if (tag == 0xa6)
			return pki_tlv(&v, &tag, &inner) && is_fwid(tag, inner, fwid);
	}
	return false;
}

static void check_fwid(struct appraisal *a)
{
	struct bytes said = a->spdm.opaque[OPAQUE_FWID], fwid;
	const char *wrong = NULL;

	/* Switches do not repeat it in their answer. */
	if (!said.p && !strcmp(a->claims->product, "LS_10")) {
		check_add(a->checks, "nvidia.fwid", CHECK_SKIP,
		          "a switch does not say which firmware it runs");
		return;
	}
	if (!certified_fwid(a->chain[0], &fwid))
		wrong = "the certificate names no firmware";
	else if (!bytes_equal(said, fwid))
		wrong = "the device runs other firmware than the one its key is certified for";
	check_add(a->checks, "nvidia.fwid", wrong ? CHECK_FAIL : CHECK_PASS, "%s",
	          wrong ? wrong : "the firmware that the key is certified for");
}

static void check_report_data(struct appraisal *a)
{
	bool same;

	if (!a->in->check_report_data)
		return;
	same = !CRYPTO_memcmp(a->in->report_data, a->spdm.nonce.p, NONCE_LEN);
	check_add(a->checks, "nvidia.report-data", same ? CHECK_PASS : CHECK_FAIL, "%s",
	          same ? "asked for with this nonce"
	               : "asked for with another nonce: old, or "
	                 "another's");
}

/* --------------------------------------------------------------------- the whole */

/* All values in one: SHA-384 over them in their order. */
static bool claim(struct appraisal *a)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const struct spdm *s = &a->spdm;
	uint8_t hash[EVP_MAX_MD_SIZE];
	bool ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha384(), NULL) == 1;

	for (uint8_t i = 0; ok && i < s->blocks; i++)
		ok = EVP_DigestUpdate(ctx, s->block[i].p, s->block[i].n) == 1;
	ok = ok && EVP_DigestFinal_ex(ctx, hash, NULL) == 1;
	EVP_MD_CTX_free(ctx);
	if (!ok)
		return false;
	attest_register(a->claims, "measurements", REGISTER_CODE, BYTES_OF(hash));
	if (s->opaque[OPAQUE_FWID].n == VALUE_LEN)
		attest_register(a->claims, "fwid", REGISTER_COVERED, s->opaque[OPAQUE_FWID]);
	memcpy(a->claims->report_data, s->nonce.p, NONCE_LEN);
	return true;
}

static void skip(const struct appraisal *a, const char *id, const char *why)
{
	if (strcmp(id, "nvidia.report-data") || a->in->check_report_data)
		check_add(a->checks, id, CHECK_SKIP, "%s", why);
}

static void judge(struct appraisal *a)
{
	static const char *const after_chain[] = {"nvidia.cert-time", "nvidia.revocation",
	                                          "nvidia.signature", "nvidia.fwid",
	                                          "nvidia.report-data"};
	bool ok;

	if (!check_chain(a)) {
		for (size_t i = 0; i < sizeof(after_chain) / sizeof(after_chain[0]); i++)
			skip(a, after_chain[i], "nothing is known of the key without its chain");
		return;
	}
	check_time(a);
	check_add(a->checks, "nvidia.revocation",
	          a->in->require_crl ? CHECK_UNAVAILABLE : CHECK_SKIP,
	          "NVIDIA answers by OCSP only, which is not asked");
	ok = signed_by(&a->spdm, a->chain[0]);
	check_add(a->checks, "nvidia.signature", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "ECDSA P-384 with SHA-384 by the device, over question and answer"
	             : "the certified key did not sign this");
	if (ok) {
		check_fwid(a);
		check_report_data(a);
		return;
	}
	skip(a, "nvidia.fwid", "what the device says was not shown to be signed");
	skip(a, "nvidia.report-data", "what the device says was not shown to be signed");
}

static void appraise(const struct attest_input *in, struct claims *claims, struct checks *checks)
{
	static const char *const after_format[] = {"nvidia.chain",      "nvidia.cert-time",
	                                           "nvidia.revocation", "nvidia.signature",
	                                           "nvidia.fwid",       "nvidia.report-data"};
	struct appraisal a = {
	        .in = in, .bag = {.cache = in->cache}, .claims = claims, .checks = checks};
	const char *wrong = parse(in->evidence, &a.spdm);

	if (!wrong && !claim(&a))
		wrong = "out of memory";
	check_add(checks, "nvidia.format", wrong ? CHECK_FAIL : CHECK_PASS, "%s (%u measurements)",
	          wrong ? wrong : "SPDM 1.1", a.spdm.blocks);
	if (!wrong)
		judge(&a);
	for (size_t i = 0; wrong && i < sizeof(after_format) / sizeof(after_format[0]); i++)
		skip(&a, after_format[i], "the evidence is malformed");
	pki_bag_free(&a.bag);
}

static bool recognise(struct bytes evidence)
{
	return evidence.n > REQUEST_LEN + 1 && evidence.p[0] == SPDM_1_1 &&
	       evidence.p[1] == GET_MEASUREMENTS && evidence.p[REQUEST_LEN] == SPDM_1_1 &&
	       evidence.p[REQUEST_LEN + 1] == MEASUREMENTS;
}

/* ----------------------------------------------------------------------- explain */

static void line(struct buf *out, struct bytes evidence, const char *name, struct bytes v,
                 const char *meaning)
{
	char hex[2 * VALUE_LEN + 1];

	if (!v.p)
		return;
	hex_encode((struct bytes){v.p, v.n < VALUE_LEN ? v.n : VALUE_LEN}, hex);
	buf_printf(out, "0x%03zx  %-14s %s%s  (%s)\n", (size_t)(v.p - evidence.p), name, hex,
	           v.n > VALUE_LEN ? "..." : "", meaning);
}

/* Text up to its NUL, printable characters only. */
static void text_line(struct buf *out, struct bytes evidence, const char *name, struct bytes v)
{
	if (!v.p)
		return;
	buf_printf(out, "0x%03zx  %-14s ", (size_t)(v.p - evidence.p), name);
	for (size_t i = 0; i < v.n && v.p[i]; i++)
		buf_u8(out, v.p[i] > 0x20 && v.p[i] < 0x7f ? v.p[i] : '?');
	buf_str(out, "\n");
}

static int explain(struct bytes evidence, struct buf *out)
{
	struct spdm s;
	const char *wrong = parse(evidence, &s);
	char name[16];

	buf_printf(out, "NVIDIA device, SPDM 1.1 measurements%s%s\n", wrong ? ", MALFORMED: " : "",
	           wrong ? wrong : "");
	line(out, evidence, "NONCE", s.nonce, "of who asked");
	for (uint8_t i = 0; i < s.blocks; i++) {
		snprintf(name, sizeof(name), "MEASUREMENT %u", i + 1u);
		line(out, evidence, name, s.block[i],
		     bytes_all_zero(s.block[i].p, s.block[i].n) ? "zero" : "SHA-384");
	}
	text_line(out, evidence, "DRIVER", s.opaque[OPAQUE_DRIVER]);
	line(out, evidence, "VBIOS", s.opaque[OPAQUE_VBIOS], "version, as the device packs it");
	line(out, evidence, "FWID", s.opaque[OPAQUE_FWID], "firmware that holds the signing key");
	line(out, evidence, "SIGNATURE", s.signature, "r, then s; big endian");
	return out->bad ? -ENOMEM : wrong ? -EINVAL : 0;
}

const struct attest_platform attest_platform_nvidia = {
        .tee = TEE_NVIDIA,
        .recognise = recognise,
        .appraise = appraise,
        .explain = explain,
};
