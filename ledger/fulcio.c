/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signing certificate of a bundle (Fulcio): its chain at the times that others vouch for, its
 * entry in a certificate log (RFC 6962, embedded), and whose it is: issuer, subject alternative
 * name, repository and ref. Knows no log of artifacts.
 */
#include "ledger/sigstore_room.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/ct.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

/* Fulcio's extensions: 1.3.6.1.4.1.57264.1.N */
#define FULCIO "1.3.6.1.4.1.57264.1."

/* ------------------------------------------------------------------- chain */

static bool issued_at_all_times(const struct sigstore_job *j, const struct trusted_authority *a,
                                X509 **issuer)
{
	for (uint32_t i = 0; i < j->times; i++)
		if (!span_has(&a->span, j->time[i]) ||
		    !authority_issued(a, j->bundle->cert, j->time[i], issuer))
			return false;
	return j->times > 0 && *issuer;
}

/* For signing code and no CA; X509's rules themselves are OpenSSL's to apply. */
static bool for_code_signing(X509 *leaf)
{
	return X509_get_extended_key_usage(leaf) == XKU_CODE_SIGN &&
	       X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE && !X509_check_ca(leaf);
}

static X509 *check_chain(struct sigstore_job *j)
{
	X509 *issuer = NULL;

	for (uint32_t i = 0; i < j->root->cas && !issuer; i++)
		if (!issued_at_all_times(j, &j->root->ca[i], &issuer))
			issuer = NULL;
	if (!issuer)
		check_add(j->checks, "sigstore.certificate", CHECK_FAIL,
		          "no authority of the trusted root issued it, or not for the time of the "
		          "signature");
	else if (!for_code_signing(j->bundle->cert))
		check_add(j->checks, "sigstore.certificate", CHECK_FAIL,
		          "it is not one for signing code");
	else
		check_add(j->checks, "sigstore.certificate", CHECK_PASS,
		          "issued by an authority of the trusted root, valid at %" PRId64,
		          j->time[0]);
	return issuer && for_code_signing(j->bundle->cert) ? issuer : NULL;
}

/* --------------------------------------------------------------------- SCT */

/* The to-be-signed part without the list of time stamps: what the log saw. malloced. */
static struct bytes precert_tbs(X509 *cert)
{
	X509 *copy = X509_dup(cert);
	struct bytes out = BYTES_NONE;
	uint8_t *der = NULL;
	int at = copy ? X509_get_ext_by_NID(copy, NID_ct_precert_scts, -1) : -1;
	int n;

	if (at >= 0) {
		X509_EXTENSION_free(X509_delete_ext(copy, at));
		n = i2d_re_X509_tbs(copy, &der);
		if (n > 0)
			out = (struct bytes){der, (size_t)n};
	}
	X509_free(copy);
	return out;
}

/* RFC 6962 3.2: the struct that is signed, for a precertificate. */
static bool sct_message(const SCT *sct, X509 *issuer, struct bytes tbs, struct buf *out)
{
	uint8_t hash[HASH_LEN];
	uint8_t *spki = NULL, *extensions;
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(issuer), &spki);
	size_t extensions_n = SCT_get0_extensions(sct, &extensions);
	bool ok = n > 0 && EVP_Digest(spki, (size_t)n, hash, NULL, EVP_sha256(), NULL) &&
	          tbs.n < 1 << 24 && extensions_n <= UINT16_MAX;

	OPENSSL_free(spki);
	if (!ok)
		return false;
	buf_u8(out, 0); /* version 1 */
	buf_u8(out, 0); /* certificate_timestamp */
	buf_be64(out, SCT_get_timestamp(sct));
	buf_be16(out, 1); /* precert_entry */
	buf_put(out, hash, sizeof(hash));
	buf_be24(out, (uint32_t)tbs.n);
	buf_bytes(out, tbs);
	buf_be16(out, (uint16_t)extensions_n);
	buf_put(out, extensions, extensions_n);
	return !out->bad;
}

static enum sig_state sct_signed(const SCT *sct, const struct trusted_log *log, X509 *issuer,
                                 struct bytes tbs)
{
	struct buf m = buf_make(SIGSTORE_BUNDLE_MAX);
	enum sig_state state = SIG_BAD;
	int nid = SCT_get_signature_nid(sct);
	uint8_t *sig;
	size_t n = SCT_get0_signature(sct, &sig);

	if (!log->key)
		state = SIG_UNAVAILABLE;
	else if ((nid == NID_ecdsa_with_SHA256 || nid == NID_sha256WithRSAEncryption) &&
	         sct_message(sct, issuer, tbs, &m))
		state = sigstore_key_signed(log->key, (struct bytes){sig, n}, buf_view(&m));
	buf_free(&m);
	return state;
}

/* What the list came to. */
struct sct_tally {
	uint32_t good;
	uint32_t unavailable;
	const char *why; /* not NULL: refused */
};

static bool same_log_before(const STACK_OF(SCT) * list, int at)
{
	uint8_t *id, *other;
	size_t n = SCT_get0_log_id(sk_SCT_value(list, at), &id);

	for (int i = 0; i < at; i++)
		if (SCT_get0_log_id(sk_SCT_value(list, i), &other) == n && !memcmp(id, other, n))
			return true;
	return false;
}

static void tally_sct(const struct sigstore_job *j, const STACK_OF(SCT) * list, int at,
                      X509 *issuer, struct bytes tbs, struct sct_tally *out)
{
	const SCT *sct = sk_SCT_value(list, at);
	const struct trusted_log *log;
	uint8_t *id;
	size_t id_n = SCT_get0_log_id(sct, &id);

	if (same_log_before(list, at)) {
		out->why = "two time stamps of one certificate log";
		return;
	}
	log = trusted_log_find(j->root->ct, j->root->cts, id, id_n);
	if (!log || !span_has(&log->span, (int64_t)(SCT_get_timestamp(sct) / 1000)))
		return;
	switch (sct_signed(sct, log, issuer, tbs)) {
	case SIG_GOOD:
		out->good++;
		return;
	case SIG_UNAVAILABLE:
		out->unavailable++;
		return;
	case SIG_BAD:
		out->why = "the signature of a trusted certificate log does not hold";
		return;
	}
}

static bool check_sct(struct sigstore_job *j, X509 *issuer)
{
	enum { SCTS_MAX = 8 };
	STACK_OF(SCT) *list = X509_get_ext_d2i(j->bundle->cert, NID_ct_precert_scts, NULL, NULL);
	struct bytes tbs = precert_tbs(j->bundle->cert);
	struct sct_tally t = {0};

	if (!list || !tbs.n)
		t.why = "the certificate holds no time stamp of a certificate log";
	else if (sk_SCT_num(list) > SCTS_MAX)
		t.why = "more than 8 time stamps of certificate logs";
	for (int i = 0; !t.why && i < sk_SCT_num(list); i++)
		tally_sct(j, list, i, issuer, tbs, &t);
	if (!t.why && !t.good && !t.unavailable)
		t.why = "no certificate log of the trusted root saw it";
	OPENSSL_free((void *)(uintptr_t)tbs.p);
	SCT_LIST_free(list);
	if (!t.why && !t.good)
		check_add(j->checks, "sigstore.sct", CHECK_UNAVAILABLE,
		          "the certificate log's key is of a kind that is not supported here");
	else
		check_add(j->checks, "sigstore.sct", t.why ? CHECK_FAIL : CHECK_PASS, "%s",
		          t.why ? t.why : "a certificate log of the trusted root saw it");
	return t.good && !t.why;
}

/* ---------------------------------------------------------------- identity */

static bool take_printable(struct bytes v, char out[static SIGSTORE_TEXT_MAX])
{
	out[0] = '\0';
	if (v.n == 0 || v.n >= SIGSTORE_TEXT_MAX)
		return false;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return false;
	memcpy(out, v.p, v.n);
	out[v.n] = '\0';
	return true;
}

/*
 * The extension with this number, as text: the bytes themselves for 1 to 6, a DER UTF8String from 8
 * on. 1: taken, 0: there is none, -1: malformed or there twice.
 */
static int fulcio_text(const X509 *cert, const char *number, char out[static SIGSTORE_TEXT_MAX])
{
	ASN1_OBJECT *oid;
	const ASN1_OCTET_STRING *value;
	ASN1_UTF8STRING *text = NULL;
	struct bytes v;
	char dotted[40];
	int at, ret = -1;

	out[0] = '\0';
	snprintf(dotted, sizeof(dotted), FULCIO "%s", number);
	oid = OBJ_txt2obj(dotted, 1);
	at = oid ? X509_get_ext_by_OBJ(cert, oid, -1) : -1;
	if (oid && at >= 0 && X509_get_ext_by_OBJ(cert, oid, at) < 0) {
		value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
		v = (struct bytes){ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)};
		if (number[1] || number[0] >= '8') {
			const uint8_t *p = v.p;

			text = d2i_ASN1_UTF8STRING(NULL, &p, (long)v.n);
			if (!text || p != v.p + v.n)
				v = BYTES_NONE;
			else
				v = (struct bytes){ASN1_STRING_get0_data(text),
				                   (size_t)ASN1_STRING_length(text)};
		}
		ret = take_printable(v, out) ? 1 : -1;
	} else if (oid && at < 0) {
		ret = 0;
	}
	ASN1_UTF8STRING_free(text);
	ASN1_OBJECT_free(oid);
	return ret;
}

/* The newer extension has the word; the older one speaks where there is no newer. */
static bool check_issuer(struct sigstore_job *j)
{
	char *is = j->out->issuer;
	int have = fulcio_text(j->bundle->cert, "8", is);
	bool ok;

	if (have == 0)
		have = fulcio_text(j->bundle->cert, "1", is);
	ok = have == 1 && strcmp(is, j->identity->issuer) == 0;
	check_add(j->checks, "sigstore.issuer", ok ? CHECK_PASS : CHECK_FAIL, "%s%s",
	          have == 1 ? is : "the certificate names no issuer of the identity",
	          ok || have != 1 ? "" : " vouched for the identity");
	return ok;
}

/* The one name, a URI or an e-mail address. */
static bool take_san(const X509 *cert, char out[static SIGSTORE_TEXT_MAX])
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	const GENERAL_NAME *name =
	        sk_GENERAL_NAME_num(names) == 1 ? sk_GENERAL_NAME_value(names, 0) : NULL;
	const ASN1_IA5STRING *v = NULL;
	bool ok = false;

	out[0] = '\0';
	if (name && name->type == GEN_URI)
		v = name->d.uniformResourceIdentifier;
	else if (name && name->type == GEN_EMAIL)
		v = name->d.rfc822Name;
	if (v)
		ok = take_printable(
		        (struct bytes){ASN1_STRING_get0_data(v), (size_t)ASN1_STRING_length(v)},
		        out);
	GENERAL_NAMES_free(names);
	return ok;
}

static bool check_san(struct sigstore_job *j)
{
	char *is = j->out->san;
	bool have = take_san(j->bundle->cert, is);
	bool ok = have && sigstore_pattern_matches(j->identity->san, is);

	check_add(j->checks, "sigstore.san", ok ? CHECK_PASS : CHECK_FAIL, "%s%s",
	          have ? is : "the certificate has not exactly one URI or e-mail address",
	          ok || !have ? "" : " signed it");
	return ok;
}

/*
 * A claim that two extensions may make. Each that is there must be what is wanted, and one must be;
 * the newer one of a repository is a URI.
 */
static bool check_claim(struct sigstore_job *j, const char *id, const char *older,
                        const char *newer, bool (*is)(const char *want, const char *have),
                        const char *want, char out[static SIGSTORE_TEXT_MAX])
{
	char other[SIGSTORE_TEXT_MAX];
	int have = fulcio_text(j->bundle->cert, newer, other);
	int old = fulcio_text(j->bundle->cert, older, out);
	bool ok = have >= 0 && old >= 0 && have + old > 0 && (!have || is(want, other)) &&
	          (!old || is(want, out));

	if (!old)
		memcpy(out, other, SIGSTORE_TEXT_MAX);
	if (!want[0])
		check_add(j->checks, id, CHECK_SKIP, "not asked for");
	else
		check_add(j->checks, id, ok ? CHECK_PASS : CHECK_FAIL, "%s",
		          out[0] ? out : "the certificate does not say");
	return ok || !want[0];
}

/* What follows the host in a URI; the whole of what is none. */
static const char *path_of(const char *s)
{
	const char *scheme = strstr(s, "://");
	const char *path = scheme ? strchr(scheme + 3, '/') : NULL;

	return path ? path + 1 : s;
}

/* "owner/name" and "https://host/owner/name" are the same if one of them leaves out the host. */
static bool same_repository(const char *want, const char *have)
{
	if (strstr(want, "://") && strstr(have, "://"))
		return strcmp(want, have) == 0;
	return strcmp(path_of(want), path_of(have)) == 0;
}

bool fulcio_verify(struct sigstore_job *j)
{
	X509 *issuer;
	bool ok;

	ERR_set_mark();
	issuer = check_chain(j);
	ok = issuer && check_sct(j, issuer);
	if (ok) {
		/* All that is wrong with the identity is said at once. */
		ok = check_issuer(j);
		ok &= check_san(j);
		ok &= check_claim(j, "sigstore.repository", "5", "12", same_repository,
		                  j->identity->repository, j->out->repository);
		ok &= check_claim(j, "sigstore.ref", "6", "14", sigstore_pattern_matches,
		                  j->identity->ref, j->out->ref);
	}
	ERR_pop_to_mark();
	return ok;
}

bool sigstore_pattern_matches(const char *pattern, const char *text)
{
	const char *star = NULL, *again = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			again = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = ++again;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}
