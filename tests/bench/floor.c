/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes evidence apart as far as its signatures go. Believes it: this is a yardstick, no verifier.
 */
#include "tests/bench/floor.h"

#include <string.h>
#include <openssl/ec.h>
#include "attest/cca.h"
#include "core/cose.h"
#include "attest/intel_appraise.h"
#include "attest/nitro.h"
#include "attest/snp.h"

static bool add_cert(struct floor *f, X509 *cert, X509 *issuer)
{
	if (!cert || !issuer || f->n == FLOOR_MAX)
		return false;
	f->v[f->n++] = (struct floor_item){.cert = cert, .key = X509_get0_pubkey(issuer)};
	return true;
}

static bool add_crl(struct floor *f, X509_CRL *crl, X509 *issuer)
{
	if (!crl || !issuer || f->n == FLOOR_MAX)
		return false;
	f->v[f->n++] = (struct floor_item){.crl = crl, .key = X509_get0_pubkey(issuer)};
	return true;
}

/* r and s as numbers of `half` bytes. */
static bool add_raw(struct floor *f, EVP_PKEY *key, const EVP_MD *md, const uint8_t *r,
                    const uint8_t *s, int half, bool little_endian, struct bytes message)
{
	struct floor_item *it = &f->v[f->n];
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t *p = it->sig;
	bool ok =
	        sig && key && f->n < FLOOR_MAX &&
	        ECDSA_SIG_set0(
	                sig, little_endian ? BN_lebin2bn(r, half, NULL) : BN_bin2bn(r, half, NULL),
	                little_endian ? BN_lebin2bn(s, half, NULL) : BN_bin2bn(s, half, NULL));

	if (ok && i2d_ECDSA_SIG(sig, NULL) <= (int)sizeof(it->sig)) {
		it->sig_n = (size_t)i2d_ECDSA_SIG(sig, &p);
		it->key = key;
		it->md = md;
		it->message = message;
		f->n++;
	} else {
		ok = false;
	}
	ECDSA_SIG_free(sig);
	return ok;
}

/* The certificate in the bag whose subject is this name. */
static X509 *named(const struct pki_bag *bag, const X509_NAME *name)
{
	for (uint32_t i = 0; i < bag->certs; i++)
		if (!X509_NAME_cmp(X509_get_subject_name(bag->cert[i]), name))
			return bag->cert[i];
	return NULL;
}

/* From a certificate to its root, each by its issuer. */
static bool add_chain(struct floor *f, X509 *cert)
{
	for (int i = 0; cert && i < 6; i++) {
		X509 *issuer = named(&f->bag, X509_get_issuer_name(cert));

		if (!add_cert(f, cert, issuer))
			return false;
		if (issuer == cert)
			return true;
		cert = issuer;
	}
	return false;
}

static bool add_crls(struct floor *f)
{
	for (uint32_t i = 0; i < f->bag.crls; i++)
		if (!add_crl(f, f->bag.crl[i], named(&f->bag, X509_CRL_get_issuer(f->bag.crl[i]))))
			return false;
	return true;
}

static bool of_snp(const struct attest_input *in, struct floor *f)
{
	struct snp_report r;
	const char *why;

	return !attest_snp_parse(in->evidence, &r, &why) && add_chain(f, f->bag.cert[0]) &&
	       add_crls(f) &&
	       add_raw(f, X509_get0_pubkey(f->bag.cert[0]), EVP_sha384(), r.sig_r, r.sig_s,
	               SNP_SIG_VALUE_LEN, true, (struct bytes){r.raw.p, SNP_SIGNED_LEN});
}

static bool add_p256(struct floor *f, EVP_PKEY *key, const uint8_t *sig, struct bytes message)
{
	const int half = INTEL_SIG_LEN / 2;

	return add_raw(f, key, EVP_sha256(), sig, sig + half, half, false, message);
}

/* The signed part of what the service answered, by the signer's certificate. */
static bool add_document(struct floor *f, struct bytes data, EVP_PKEY *signer)
{
	const char *prefix = memcmp(data.p, INTEL_JSON_IDENTITY, strlen(INTEL_JSON_IDENTITY)) != 0
	                             ? INTEL_JSON_TCB_INFO
	                             : INTEL_JSON_IDENTITY;
	struct intel_document d;
	bool ok = !attest_intel_document(data, prefix, &d) &&
	          add_p256(f, signer, d.signature, d.text);

	attest_intel_document_free(&d);
	return ok;
}

/* The endorsements begin with the chain of the one that signs collateral. */
static bool of_intel(const struct attest_input *in, struct floor *f)
{
	struct intel_quote q;
	const char *why;
	X509 *signer = f->bag.cert[0], *pck;
	uint32_t at = f->bag.certs;
	EVP_PKEY *key;

	if (attest_intel_parse(in->evidence, in->type, &q, &why) ||
	    pki_bag_add(&f->bag, (struct bytes){q.cert_data.p, q.cert_data.n}))
		return false;
	pck = f->bag.cert[at];
	key = f->own[f->owned++] =
	        pki_ec_key(X509_get0_pubkey(pck), (struct bytes){q.attest_key, INTEL_KEY_LEN});
	for (uint32_t i = 0; i < f->bag.others; i++)
		if (!add_document(f, f->bag.other[i], X509_get0_pubkey(signer)))
			return false;
	return add_cert(f, signer, named(&f->bag, X509_get_issuer_name(signer))) &&
	       add_chain(f, pck) && add_crls(f) &&
	       add_p256(f, X509_get0_pubkey(pck), q.qe_signature,
	                (struct bytes){q.qe_report, INTEL_SGX_BODY_LEN}) &&
	       add_p256(f, key, q.signature, q.signed_part);
}

/* One signature of a COSE_Sign1, over what it says is signed. The buffer is the floor's. */
static bool add_sign1(struct floor *f, const struct cose_sign1 *s, EVP_PKEY *key)
{
	struct buf *b = &f->text[f->texts++];
	int half = (int)(s->signature.n / 2);

	*b = buf_make(1 << 16);
	cose_sig_structure(s, b);
	return !b->bad && add_raw(f, key, s->alg == COSE_ES256 ? EVP_sha256() : EVP_sha384(),
	                          s->signature.p, s->signature.p + half, half, false, buf_view(b));
}

static bool of_nitro(const struct attest_input *in, struct floor *f)
{
	struct nitro_document d;
	const char *why;

	if (attest_nitro_parse(in->evidence, &d, &why) || pki_bag_add(&f->bag, d.certificate))
		return false;
	for (uint32_t i = 0; i < d.cabundle_n; i++)
		if (pki_bag_add(&f->bag, d.cabundle[i]))
			return false;
	return add_chain(f, f->bag.cert[0]) &&
	       add_sign1(f, &d.sign1, X509_get0_pubkey(f->bag.cert[0]));
}

/* The platform's key is the anchor, the realm's is in the token. */
static bool of_cca(const struct attest_input *in, struct floor *f)
{
	const uint8_t *p = in->anchors[0].p;
	struct cca_token t;
	const char *why;
	EVP_PKEY *cpak, *rak;

	if (attest_cca_parse(in->evidence, &t, &why))
		return false;
	cpak = f->own[f->owned++] = d2i_PUBKEY(NULL, &p, (long)in->anchors[0].n);
	rak = f->own[f->owned++] =
	        t.realm_profile.n ? cose_key_ec2(t.rak) : cose_key_point(COSE_ES384, t.rak);
	return add_sign1(f, &t.platform, cpak) && add_sign1(f, &t.realm, rak);
}

bool floor_of(const struct attest_input *in, struct floor *out)
{
	for (uint32_t i = 0; i < in->endorsements_n; i++)
		if (pki_bag_add(&out->bag, in->endorsements[i]))
			return false;
	switch (in->type) {
	case TEE_SNP:
		return of_snp(in, out);
	case TEE_TDX:
	case TEE_SGX:
		return of_intel(in, out);
	case TEE_NITRO:
		return of_nitro(in, out);
	case TEE_CCA:
		return of_cca(in, out);
	default:
		return false;
	}
}

static bool verify_one(const struct floor_item *it)
{
	EVP_MD_CTX *ctx;
	bool ok;

	if (it->cert)
		return X509_verify(it->cert, it->key) == 1;
	if (it->crl)
		return X509_CRL_verify(it->crl, it->key) == 1;
	ctx = EVP_MD_CTX_new();
	ok = ctx && EVP_DigestVerifyInit(ctx, NULL, it->md, NULL, it->key) == 1 &&
	     EVP_DigestVerify(ctx, it->sig, it->sig_n, it->message.p, it->message.n) == 1;
	EVP_MD_CTX_free(ctx);
	return ok;
}

bool floor_verify(const struct floor *f)
{
	bool ok = f->n;

	for (uint32_t i = 0; i < f->n; i++)
		ok &= verify_one(&f->v[i]);
	return ok;
}

void floor_free(struct floor *f)
{
	pki_bag_free(&f->bag);
	for (uint32_t i = 0; i < f->texts; i++)
		buf_free(&f->text[i]);
	for (uint32_t i = 0; i < f->owned; i++)
		EVP_PKEY_free(f->own[i]);
	*f = (struct floor){0};
}
