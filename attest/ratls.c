/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The certificate around the evidence: one certificate, one evidence extension in it, its own
 * signature, its dates, and whether the evidence speaks of its key. How evidence lies in an
 * extension is attest/ratls_scheme.c's to know; what the evidence is worth, its platform's.
 */
#include "attest/ratls.h"

#include <errno.h>
#include <string.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include "attest/pki.h"
#include "attest/ratls_scheme.h"

/* More than any certificate with evidence in it has. */
enum { EXTENSIONS_MAX = 64 };

static const char *const after_format[] = {"ratls.signature", "ratls.cert-time",
                                           "ratls.key-binding"};

/* ------------------------------------------------------------- the certificate */

/*
 * The bytes that were signed are those that DER has for what was read from them: nothing in them
 * that two readers could take for different things.
 */
static bool is_der(X509 *cert)
{
	uint8_t *as_read = NULL, *again = NULL;
	int n = i2d_X509(cert, &as_read), m, head, tag, xclass;
	long len = 0;
	const uint8_t *p = as_read;
	bool ok = false;

	if (n > 0 && !(ASN1_get_object(&p, &len, &tag, &xclass, n) & 0x80)) {
		head = (int)(p - as_read);
		m = i2d_re_X509_tbs(cert, &again);
		ok = m > 0 && m <= n - head && !memcmp(as_read + head, again, (size_t)m);
	}
	OPENSSL_free(as_read);
	OPENSSL_free(again);
	return ok;
}

/* The first certificate of what was given. NULL, or what is wrong. */
static const char *take_cert(struct bytes data, struct ratls *out)
{
	struct pki_bag bag = {0};
	const char *wrong = NULL;

	if (!data.n || data.n > RATLS_CERT_MAX)
		return "no certificate, or one of more than 64 KiB";
	if (pki_bag_add(&bag, data) || bag.crls || bag.others)
		wrong = "not an X.509 certificate";
	else if (!bag.certs)
		wrong = "a certificate whose key is neither RSA nor on an elliptic curve";
	else if (!is_der(bag.cert[0]))
		wrong = "a certificate that is not in DER";
	else if (X509_up_ref(bag.cert[0]))
		out->cert = bag.cert[0];
	pki_bag_free(&bag);
	return wrong || out->cert ? wrong : "out of memory";
}

/* ------------------------------------------------------------- the extension */

static struct bytes octets(const ASN1_STRING *s)
{
	return (struct bytes){ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s)};
}

/* The one extension that holds evidence. NULL, or what is wrong. */
static const char *find(const X509 *cert, const struct ratls_scheme **scheme, struct bytes *content)
{
	int n = X509_get_ext_count(cert);

	*scheme = NULL;
	if (n > EXTENSIONS_MAX)
		return "a certificate with too many extensions";
	for (int i = 0; i < n; i++) {
		X509_EXTENSION *ext = X509_get_ext(cert, i);
		const ASN1_OBJECT *id = X509_EXTENSION_get_object(ext);
		struct bytes value = octets(X509_EXTENSION_get_data(ext));
		const struct ratls_scheme *s =
		        ratls_scheme_of((struct bytes){OBJ_get0_data(id), OBJ_length(id)}, value);

		if (!s || (*scheme && s->legacy && !(*scheme)->legacy))
			continue;
		if (*scheme && !((*scheme)->legacy && !s->legacy))
			return "more than one extension with evidence";
		*scheme = s;
		*content = value;
	}
	return *scheme ? NULL : "no extension with evidence of a scheme that this build reads";
}

static const char *read_evidence(struct ratls_work *w, const struct ratls_scheme **scheme)
{
	const char *wrong = find(w->out->cert, scheme, &w->content);

	if (!wrong)
		wrong = (*scheme)->read(w);
	if (!wrong && !w->out->evidence.n)
		wrong = "empty evidence";
	if (!wrong && w->out->evidence.n > RATLS_EVIDENCE_MAX)
		wrong = "evidence of more than 32 KiB";
	return wrong;
}

/* ------------------------------------------------------------------ the checks */

/* Who signed it adds no trust; but one that claims to have signed itself must have. */
static void check_signature(X509 *cert, struct checks *checks)
{
	bool ok;

	if (X509_NAME_cmp(X509_get_subject_name(cert), X509_get_issuer_name(cert))) {
		check_add(checks, "ratls.signature", CHECK_SKIP,
		          "issued by another, whose word is not asked for");
		return;
	}
	ok = pki_issued(cert, cert);
	check_add(checks, "ratls.signature", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "self-signed: whole, and no trust by itself"
	             : "it bears its own name as issuer and its key did not sign it");
}

static void check_time(const struct ratls_input *in, struct ratls *out, struct checks *checks)
{
	bool ok = pki_valid_at(out->cert, in->at) &&
	          !pki_time(X509_get0_notAfter(out->cert), &out->valid_until);

	check_add(checks, "ratls.cert-time", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "the certificate is valid at the time asked for"
	             : "the certificate is not valid at the time asked for");
}

static void check_binding(const struct ratls_work *w, struct checks *checks)
{
	bool blind = w->needs_nonce && !w->in->nonce.n;

	if (w->not_this_key)
		check_add(checks, "ratls.key-binding", CHECK_FAIL, "%s", w->not_this_key);
	else if (blind)
		check_add(checks, "ratls.key-binding", CHECK_UNAVAILABLE,
		          "this scheme hashes the key with the verifier's nonce, which was not "
		          "given");
	else
		check_add(checks, "ratls.key-binding", CHECK_PASS,
		          "the report data that this key demands were worked out (%s)",
		          w->out->scheme);
	if (!w->in->nonce.n)
		return;
	check_add(checks, "ratls.nonce", w->covers_nonce ? CHECK_PASS : CHECK_FAIL, "%s",
	          w->covers_nonce ? "the evidence was asked for with this nonce"
	                          : "nothing in the certificate covers the nonce: it may be old");
}

static int open_with(struct ratls_work *w, uint8_t **spki, struct checks *checks)
{
	const struct ratls_scheme *scheme = NULL;
	struct ratls *out = w->out;
	const char *wrong = NULL;
	int n;

	if (w->in->nonce.n > RATLS_NONCE_MAX)
		wrong = "a nonce of more than 64 bytes";
	if (!wrong)
		wrong = take_cert(w->in->cert, out);
	if (!wrong) {
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(out->cert), spki);
		w->spki = (struct bytes){*spki, n > 0 ? (size_t)n : 0};
		if (n <= 0 || pki_spki_sha256(out->cert, out->spki_sha256))
			wrong = "a certificate whose key can't be read";
	}
	if (!wrong)
		wrong = read_evidence(w, &scheme);
	if (wrong) {
		check_add(checks, "ratls.format", CHECK_FAIL, "%s%s%s", scheme ? scheme->name : "",
		          scheme ? ": " : "", wrong);
		for (size_t i = 0; i < sizeof(after_format) / sizeof(after_format[0]); i++)
			check_add(checks, after_format[i], CHECK_SKIP,
			          "there is no evidence in a certificate");
		return -EINVAL;
	}
	out->scheme = scheme->name;
	out->binder = w->covers_nonce ? "nonce" : "certificate";
	check_add(checks, "ratls.format", CHECK_PASS, "%s, %zu bytes for %s", scheme->name,
	          out->evidence.n, attest_tee_name(out->tee));
	check_signature(out->cert, checks);
	check_time(w->in, out, checks);
	check_binding(w, checks);
	return 0;
}

int ratls_open(const struct ratls_input *in, struct ratls *out, struct checks *checks)
{
	struct ratls_work w = {.in = in, .out = out};
	uint8_t *spki = NULL;
	int rc;

	*out = (struct ratls){.valid_until = INT64_MIN, .decoded = buf_make(RATLS_EVIDENCE_MAX)};
	ERR_set_mark();
	rc = open_with(&w, &spki, checks);
	ERR_pop_to_mark();
	OPENSSL_free(spki);
	return rc;
}

void ratls_free(struct ratls *r)
{
	X509_free(r->cert);
	buf_free(&r->decoded);
	*r = (struct ratls){0};
}
