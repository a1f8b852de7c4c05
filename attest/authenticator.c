/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exported authenticators: the messages of RFC 9261 as bytes, made by the server and verified by
 * the client. What both must compute alike stands here once. Knows neither sockets nor what the
 * evidence says; the exporter values come from the caller (attest/authenticator_tls.c).
 */
#include "attest/authenticator.h"

#include <errno.h>
#include <string.h>
#include <openssl/asn1.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include "attest/pki.h"

/* RFC 8446 section 4, RFC 9261 section 4: handshake types. */
enum {
	MSG_CERTIFICATE = 11,
	MSG_CERTIFICATE_VERIFY = 15,
	MSG_CLIENT_CERTIFICATE_REQUEST = 17,
	MSG_FINISHED = 20,
	MSG_HEADER_LEN = 4,
};

/* RFC 8446 section 4.2; RFC 6066 section 3. */
enum { EXT_SERVER_NAME = 0, EXT_SIGNATURE_ALGORITHMS = 13, NAME_TYPE_HOST = 0 };

/* RFC 8446 section 4.2.3. A scheme fixes the curve and the hash; there is no other pairing. */
static const struct scheme {
	uint16_t code;
	int key_type;
	const char *group; /* NULL: the key type says it all */
	const char *digest;
} schemes[] = {
        {0x0403, EVP_PKEY_EC, SN_X9_62_prime256v1, "SHA256"},
        {0x0503, EVP_PKEY_EC, SN_secp384r1, "SHA384"},
        {0x0807, EVP_PKEY_ED25519, NULL, NULL},
};

enum { SCHEMES = sizeof(schemes) / sizeof(schemes[0]) };

/* ------------------------------------------------------------ shared by both */

static bool scheme_fits(const struct scheme *s, const EVP_PKEY *key)
{
	char group[32] = "";

	if (EVP_PKEY_get_base_id(key) != s->key_type)
		return false;
	return !s->group || (EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) &&
	                     !strcmp(group, s->group));
}

static bool offered(const struct authenticator_request *req, const struct scheme *s)
{
	switch (s - schemes) {
	case 0:
		return req->p256;
	case 1:
		return req->p384;
	case 2:
		return req->ed25519;
	}
	return false;
}

/* Hash(Handshake Context || part || part ...), by the suite's hash. */
static int transcript(const struct authenticator_keys *keys, const struct bytes *part, size_t n,
                      uint8_t out[static EVP_MAX_MD_SIZE])
{
	EVP_MD *md = EVP_MD_fetch(NULL, keys->digest, NULL);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int rc = -ENOMEM;

	if (!md || !ctx || (size_t)EVP_MD_get_size(md) != keys->hash_len ||
	    keys->hash_len > sizeof(keys->handshake_context) || !EVP_DigestInit_ex(ctx, md, NULL) ||
	    !EVP_DigestUpdate(ctx, keys->handshake_context, keys->hash_len))
		goto out;
	for (size_t i = 0; i < n; i++)
		if (!EVP_DigestUpdate(ctx, part[i].p, part[i].n))
			goto out;
	if (EVP_DigestFinal_ex(ctx, out, NULL))
		rc = 0;
out:
	EVP_MD_CTX_free(ctx);
	EVP_MD_free(md);
	return rc;
}

/* RFC 8446 section 4.4.3 with RFC 9261's context string. */
static const char signed_label[] = "Exported Authenticator"; /* its NUL is the separator */
enum { SIGNED_PAD = 64, SIGNED_MAX = SIGNED_PAD + sizeof(signed_label) + EVP_MAX_MD_SIZE };

static int signed_content(const struct authenticator_keys *keys, struct bytes request,
                          struct bytes certificate, uint8_t out[static SIGNED_MAX], size_t *n)
{
	const struct bytes parts[] = {request, certificate};
	uint8_t hash[EVP_MAX_MD_SIZE];
	int rc = transcript(keys, parts, 2, hash);

	if (rc)
		return rc;
	memset(out, 0x20, SIGNED_PAD);
	memcpy(out + SIGNED_PAD, signed_label, sizeof(signed_label));
	memcpy(out + SIGNED_PAD + sizeof(signed_label), hash, keys->hash_len);
	*n = SIGNED_PAD + sizeof(signed_label) + keys->hash_len;
	return 0;
}

static int finished_mac(const struct authenticator_keys *keys, const struct bytes *part, size_t n,
                        uint8_t out[static EVP_MAX_MD_SIZE])
{
	uint8_t hash[EVP_MAX_MD_SIZE];
	size_t len = 0;
	int rc = transcript(keys, part, n, hash);

	if (rc)
		return rc;
	if (!EVP_Q_mac(NULL, "HMAC", NULL, keys->digest, NULL, keys->finished_key, keys->hash_len,
	               hash, keys->hash_len, out, EVP_MAX_MD_SIZE, &len) ||
	    len != keys->hash_len)
		return -ENOMEM;
	return 0;
}

/* ------------------------------------------------------------------- request */

/* A DNS name as server_name carries it: labels of letters, digits, '-' and '_', no final dot. */
static bool host_name(struct bytes name)
{
	size_t label = 0;

	if (!name.n || name.n > AUTHENTICATOR_NAME_MAX)
		return false;
	for (size_t i = 0; i < name.n; i++) {
		uint8_t c = name.p[i];

		if (c == '.') {
			if (!label)
				return false;
			label = 0;
			continue;
		}
		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != '_')
			return false;
		if (++label > 63)
			return false;
	}
	return label != 0;
}

int authenticator_request_build(const uint8_t context[static 32], const char *name, bool lease,
                                struct buf *out)
{
	struct buf b = buf_make(AUTHENTICATOR_REQUEST_MAX);
	struct bytes host = bytes_str(name);
	size_t extensions = 4 + 2 + 2 * (size_t)SCHEMES + (host.n ? 4 + 2 + 3 + host.n : 0) + 4 +
	                    (lease ? 4 : 0);

	if (host.n && !host_name(host))
		return -EINVAL;
	buf_u8(&b, MSG_CLIENT_CERTIFICATE_REQUEST);
	buf_be24(&b, (uint32_t)(1 + AUTHENTICATOR_CONTEXT_LEN + 2 + extensions));
	buf_u8(&b, AUTHENTICATOR_CONTEXT_LEN);
	buf_put(&b, context, AUTHENTICATOR_CONTEXT_LEN);
	buf_be16(&b, (uint16_t)extensions);
	buf_be16(&b, EXT_SIGNATURE_ALGORITHMS);
	buf_be16(&b, 2 + 2 * SCHEMES);
	buf_be16(&b, 2 * SCHEMES);
	for (size_t i = 0; i < SCHEMES; i++)
		buf_be16(&b, schemes[i].code);
	if (host.n) {
		buf_be16(&b, EXT_SERVER_NAME);
		buf_be16(&b, (uint16_t)(2 + 3 + host.n));
		buf_be16(&b, (uint16_t)(3 + host.n));
		buf_u8(&b, NAME_TYPE_HOST);
		buf_be16(&b, (uint16_t)host.n);
		buf_bytes(&b, host);
	}
	buf_be16(&b, AUTHENTICATOR_EXT_CMW);
	buf_be16(&b, 0);
	if (lease) {
		buf_be16(&b, AUTHENTICATOR_EXT_LEASE);
		buf_be16(&b, 0);
	}
	if (!b.bad)
		buf_bytes(out, buf_view(&b));
	else
		out->bad = true;
	buf_free(&b);
	return out->bad ? -ENOMEM : 0;
}

static bool parse_schemes(struct bytes content, struct authenticator_request *out)
{
	struct reader r = reader_of(content);
	struct reader list = reader_of(rd_vec16(&r));
	bool any = list.left > 0;

	while (list.left && !list.bad) {
		uint16_t code = rd_be16(&list);

		/* Others may be offered too; they are only never used. */
		out->p256 |= code == schemes[0].code;
		out->p384 |= code == schemes[1].code;
		out->ed25519 |= code == schemes[2].code;
	}
	return any && rd_done(&list) && rd_done(&r);
}

static bool parse_name(struct bytes content, struct authenticator_request *out)
{
	struct reader r = reader_of(content);
	struct reader list = reader_of(rd_vec16(&r));
	uint8_t type = rd_u8(&list);
	struct bytes name = rd_vec16(&list);

	if (!rd_done(&list) || !rd_done(&r) || type != NAME_TYPE_HOST || !host_name(name))
		return false;
	memcpy(out->name, name.p, name.n);
	out->name[name.n] = 0;
	return true;
}

static bool parse_request_extensions(struct bytes all, struct authenticator_request *out)
{
	struct reader r = reader_of(all);
	bool have_schemes = false;

	while (r.left) {
		uint16_t type = rd_be16(&r);
		struct bytes content = rd_vec16(&r);

		if (r.bad)
			return false;
		switch (type) {
		case EXT_SIGNATURE_ALGORITHMS:
			if (have_schemes || !parse_schemes(content, out))
				return false;
			have_schemes = true;
			break;
		case EXT_SERVER_NAME:
			if (out->name[0] || !parse_name(content, out))
				return false;
			break;
		case AUTHENTICATOR_EXT_CMW:
			if (out->wants_evidence || content.n)
				return false;
			out->wants_evidence = true;
			break;
		case AUTHENTICATOR_EXT_LEASE:
			if (out->wants_lease || content.n)
				return false;
			out->wants_lease = true;
			break;
		default:
			return false;
		}
	}
	return have_schemes;
}

int authenticator_request_parse(struct bytes msg, struct authenticator_request *out)
{
	struct authenticator_request req = {0};
	struct reader r = reader_of(msg);
	uint8_t type = rd_u8(&r);
	struct reader body = reader_of(rd_vec24(&r));
	struct bytes context = rd_vec8(&body);
	struct bytes extensions = rd_vec16(&body);

	if (msg.n > AUTHENTICATOR_REQUEST_MAX || type != MSG_CLIENT_CERTIFICATE_REQUEST ||
	    !rd_done(&r) || !rd_done(&body) || context.n != AUTHENTICATOR_CONTEXT_LEN ||
	    !parse_request_extensions(extensions, &req))
		return -EINVAL;
	memcpy(req.context, context.p, sizeof(req.context));
	*out = req;
	return 0;
}

/* -------------------------------------------------------------------- lengths */

int64_t authenticator_request_length(struct bytes msg)
{
	struct reader r = reader_of(msg);
	uint32_t n;

	if (r.left && rd_u8(&r) != MSG_CLIENT_CERTIFICATE_REQUEST)
		return -EINVAL;
	n = rd_be24(&r);
	if (r.bad)
		return 0;
	if (n > AUTHENTICATOR_REQUEST_MAX - MSG_HEADER_LEN)
		return -EINVAL;
	return MSG_HEADER_LEN + (int64_t)n;
}

int64_t authenticator_length(struct bytes msg)
{
	static const uint8_t order[] = {MSG_CERTIFICATE, MSG_CERTIFICATE_VERIFY, MSG_FINISHED};
	struct reader r = reader_of(msg);
	size_t total = 0;
	/* A Finished alone is the empty authenticator. */
	size_t at = msg.n && msg.p[0] == MSG_FINISHED ? 2 : 0;

	for (;; at++) {
		uint32_t n;

		/* The type may be there before the length is. */
		if (r.left && rd_u8(&r) != order[at])
			return -EINVAL;
		n = rd_be24(&r);
		if (r.bad)
			return 0;
		total += MSG_HEADER_LEN + (size_t)n;
		if (total > AUTHENTICATOR_MAX)
			return -EINVAL;
		if (order[at] == MSG_FINISHED)
			return n <= EVP_MAX_MD_SIZE ? (int64_t)total : -EINVAL;
		rd_take(&r, n);
		if (r.bad)
			return 0;
	}
}

/* --------------------------------------------------------------- server's half */

static int put_certificate(const struct authenticator_request *req, const struct bytes *chain,
                           size_t chain_n, struct bytes cmw, struct buf *out)
{
	size_t extensions = cmw.n ? 4 + 2 + cmw.n : 0;
	size_t list = extensions;

	if (!chain_n || chain_n > AUTHENTICATOR_CHAIN_MAX || cmw.n > AUTHENTICATOR_CMW_MAX ||
	    (cmw.n && !req->wants_evidence))
		return -EINVAL;
	for (size_t i = 0; i < chain_n; i++) {
		if (!chain[i].n || chain[i].n > AUTHENTICATOR_MAX)
			return -EINVAL;
		list += 3 + chain[i].n + 2;
	}
	if (list > AUTHENTICATOR_MAX)
		return -EINVAL;
	buf_u8(out, MSG_CERTIFICATE);
	buf_be24(out, (uint32_t)(1 + AUTHENTICATOR_CONTEXT_LEN + 3 + list));
	buf_u8(out, AUTHENTICATOR_CONTEXT_LEN);
	buf_put(out, req->context, AUTHENTICATOR_CONTEXT_LEN);
	buf_be24(out, (uint32_t)list);
	for (size_t i = 0; i < chain_n; i++) {
		buf_be24(out, (uint32_t)chain[i].n);
		buf_bytes(out, chain[i]);
		buf_be16(out, (uint16_t)(i ? 0 : extensions));
		if (i || !cmw.n)
			continue;
		buf_be16(out, AUTHENTICATOR_EXT_CMW);
		buf_be16(out, (uint16_t)(2 + cmw.n));
		buf_be16(out, (uint16_t)cmw.n);
		buf_bytes(out, cmw);
	}
	return out->bad ? -ENOMEM : 0;
}

static int put_certificate_verify(const struct authenticator_keys *keys,
                                  const struct authenticator_request *req, struct bytes request,
                                  struct bytes certificate, EVP_PKEY *key, struct buf *out)
{
	const struct scheme *s = NULL;
	uint8_t content[SIGNED_MAX], sig[256];
	size_t n, sig_n = sizeof(sig);
	EVP_MD_CTX *ctx;
	int rc;

	for (size_t i = 0; i < SCHEMES; i++)
		if (scheme_fits(&schemes[i], key) && offered(req, &schemes[i]))
			s = &schemes[i];
	if (!s)
		return -EINVAL;
	rc = signed_content(keys, request, certificate, content, &n);
	if (rc)
		return rc;
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestSignInit_ex(ctx, NULL, s->digest, NULL, NULL, key, NULL) != 1 ||
	    EVP_DigestSign(ctx, sig, &sig_n, content, n) != 1) {
		rc = -ENOMEM;
	} else {
		buf_u8(out, MSG_CERTIFICATE_VERIFY);
		buf_be24(out, (uint32_t)(2 + 2 + sig_n));
		buf_be16(out, s->code);
		buf_be16(out, (uint16_t)sig_n);
		buf_put(out, sig, sig_n);
	}
	EVP_MD_CTX_free(ctx);
	return rc;
}

static int put_finished(const struct authenticator_keys *keys, const struct bytes *part, size_t n,
                        struct buf *out)
{
	uint8_t mac[EVP_MAX_MD_SIZE];
	int rc = finished_mac(keys, part, n, mac);

	if (rc)
		return rc;
	buf_u8(out, MSG_FINISHED);
	buf_be24(out, keys->hash_len);
	buf_put(out, mac, keys->hash_len);
	return 0;
}

int authenticator_build(const struct authenticator_keys *keys, struct bytes request,
                        const struct bytes *chain, size_t chain_n, EVP_PKEY *key, struct bytes cmw,
                        struct buf *out)
{
	struct authenticator_request req;
	struct buf cert = buf_make(AUTHENTICATOR_MAX);
	struct buf rest = buf_make(AUTHENTICATOR_MAX);
	int rc = authenticator_request_parse(request, &req);

	ERR_set_mark();
	if (!rc)
		rc = put_certificate(&req, chain, chain_n, cmw, &cert);
	if (!rc)
		rc = put_certificate_verify(keys, &req, request, buf_view(&cert), key, &rest);
	if (!rc) {
		/* The Finished covers the CertificateVerify, which stands in rest alone so far. */
		const struct bytes parts[] = {request, buf_view(&cert), buf_view(&rest)};

		rc = put_finished(keys, parts, 3, &rest);
	}
	if (!rc && (cert.bad || rest.bad || cert.n + rest.n > AUTHENTICATOR_MAX))
		rc = -EINVAL;
	if (!rc) {
		buf_bytes(out, buf_view(&cert));
		buf_bytes(out, buf_view(&rest));
		rc = out->bad ? -ENOMEM : 0;
	}
	ERR_pop_to_mark();
	buf_free(&cert);
	buf_free(&rest);
	return rc;
}

int authenticator_decline(const struct authenticator_keys *keys, struct bytes request,
                          struct buf *out)
{
	int rc = put_finished(keys, &request, 1, out);

	return rc ? rc : out->bad ? -ENOMEM : 0;
}

/* --------------------------------------------------------------- client's half */

struct parsed {
	struct bytes certificate; /* whole messages, with their headers */
	struct bytes certificate_verify;
	struct bytes context;
	struct bytes leaf;
	struct bytes cmw;
	uint16_t scheme;
	struct bytes signature;
	struct bytes mac;
};

/* The next message, which must be of this type: its body, and all of it in *whole. */
static struct bytes take_message(struct reader *r, uint8_t type, struct bytes *whole)
{
	const uint8_t *start = r->p;
	uint8_t got = rd_u8(r);
	struct bytes body = rd_vec24(r);

	if (r->bad || got != type) {
		r->bad = true;
		return BYTES_NONE;
	}
	*whole = (struct bytes){start, MSG_HEADER_LEN + body.n};
	return body;
}

/* NULL, or what is wrong. Only the first entry may have an extension, and only the one asked for.
 */
static const char *parse_entry(struct reader *list, bool first, bool wants, struct parsed *out)
{
	struct bytes cert = rd_vec24(list);
	struct reader ext = reader_of(rd_vec16(list));
	struct reader content;
	uint16_t type;

	if (list->bad || !cert.n)
		return "a certificate entry is cut short";
	if (first)
		out->leaf = cert;
	if (!ext.left)
		return NULL;
	type = rd_be16(&ext);
	content = reader_of(rd_vec16(&ext));
	if (!first || !wants || type != AUTHENTICATOR_EXT_CMW)
		return "an extension that was not asked for, or not in its place";
	out->cmw = rd_vec16(&content);
	if (!rd_done(&ext) || !rd_done(&content) || !out->cmw.n)
		return "the evidence extension is malformed";
	return NULL;
}

static const char *parse_certificate(struct bytes body, bool wants, struct parsed *out)
{
	struct reader r = reader_of(body);
	struct reader list;
	const char *wrong = NULL;
	size_t n = 0;

	out->context = rd_vec8(&r);
	list = reader_of(rd_vec24(&r));
	if (!rd_done(&r))
		return "the Certificate message is malformed";
	while (list.left && !wrong) {
		wrong = n < AUTHENTICATOR_CHAIN_MAX ? parse_entry(&list, n == 0, wants, out)
		                                    : "too many certificates";
		n++;
	}
	return wrong ? wrong : n ? NULL : "no certificate in the Certificate message";
}

static const char *parse_authenticator(struct bytes msg, bool wants, size_t hash_len,
                                       struct parsed *out)
{
	struct reader r = reader_of(msg);
	struct bytes whole, cert, verify;
	const char *wrong;

	if (msg.n > AUTHENTICATOR_MAX)
		return "longer than an authenticator may be";
	if (msg.n && msg.p[0] == MSG_FINISHED) {
		out->mac = take_message(&r, MSG_FINISHED, &whole);
	} else {
		struct reader v;

		cert = take_message(&r, MSG_CERTIFICATE, &out->certificate);
		verify = take_message(&r, MSG_CERTIFICATE_VERIFY, &out->certificate_verify);
		out->mac = take_message(&r, MSG_FINISHED, &whole);
		if (r.bad)
			return "not a Certificate, a CertificateVerify and a Finished";
		wrong = parse_certificate(cert, wants, out);
		if (wrong)
			return wrong;
		v = reader_of(verify);
		out->scheme = rd_be16(&v);
		out->signature = rd_vec16(&v);
		if (!rd_done(&v))
			return "the CertificateVerify message is malformed";
	}
	if (r.bad || out->mac.n != hash_len)
		return "the Finished message is malformed";
	return r.left ? "bytes behind the Finished message" : NULL;
}

/*
 * The SubjectPublicKeyInfo of a certificate that OpenSSL has accepted, as a view: the sixth field
 * of the TBSCertificate, or the seventh behind a version.
 */
static bool find_spki(struct bytes cert, struct bytes *out)
{
	const uint8_t *p = cert.p, *end = cert.p + cert.n, *start;
	int left = 6, tag, class;
	long n;

	/* Into Certificate, into TBSCertificate. */
	for (int depth = 0; depth < 2; depth++)
		if (ASN1_get_object(&p, &n, &tag, &class, end - p) != V_ASN1_CONSTRUCTED)
			return false;
	end = p + n;
	for (;;) {
		start = p;
		if (p >= end || (ASN1_get_object(&p, &n, &tag, &class, end - p) & 0x81))
			return false;
		p += n;
		if (class == V_ASN1_CONTEXT_SPECIFIC && tag == 0)
			continue; /* the version */
		if (--left == 0)
			break;
	}
	*out = (struct bytes){start, (size_t)(p - start)};
	return true;
}

/* The leaf, parsed by OpenSSL, and the hash of its key, which the view must agree with. */
static X509 *open_leaf(struct bytes der, struct authenticator *out)
{
	const uint8_t *p = der.p;
	X509 *leaf = d2i_X509(NULL, &p, (long)der.n);
	uint8_t hash[32];

	if (leaf && p == der.p + der.n && X509_get0_pubkey(leaf) && find_spki(der, &out->spki) &&
	    !pki_spki_sha256(leaf, out->spki_sha256) &&
	    EVP_Digest(out->spki.p, out->spki.n, hash, NULL, EVP_sha256(), NULL) &&
	    !memcmp(hash, out->spki_sha256, sizeof(hash)))
		return leaf;
	X509_free(leaf);
	return NULL;
}

/* NULL, or what is wrong. */
static const char *verify_signature(const struct authenticator_keys *keys,
                                    const struct authenticator_request *req, struct bytes request,
                                    const struct parsed *p, EVP_PKEY *key)
{
	const struct scheme *s = NULL;
	uint8_t content[SIGNED_MAX];
	const char *wrong = NULL;
	EVP_MD_CTX *ctx;
	size_t n;

	for (size_t i = 0; i < SCHEMES; i++)
		if (schemes[i].code == p->scheme && offered(req, &schemes[i]))
			s = &schemes[i];
	if (!s)
		return "signed by a scheme that was not asked for";
	if (!scheme_fits(s, key))
		return "the scheme does not fit the certificate's key";
	if (signed_content(keys, request, p->certificate, content, &n))
		return "the signed content could not be computed";
	ctx = EVP_MD_CTX_new();
	if (!ctx || EVP_DigestVerifyInit_ex(ctx, NULL, s->digest, NULL, NULL, key, NULL) != 1 ||
	    EVP_DigestVerify(ctx, p->signature.p, p->signature.n, content, n) != 1)
		wrong = "the certificate's key did not sign this exchange";
	EVP_MD_CTX_free(ctx);
	return wrong;
}

static bool verify_finished(const struct authenticator_keys *keys, const struct bytes *part,
                            size_t n, struct bytes mac)
{
	uint8_t want[EVP_MAX_MD_SIZE];

	return !finished_mac(keys, part, n, want) && mac.n == keys->hash_len &&
	       !CRYPTO_memcmp(want, mac.p, mac.n);
}

static void check_finished(const struct authenticator_keys *keys, const struct bytes *part,
                           size_t n, struct bytes mac, struct checks *checks)
{
	bool ok = verify_finished(keys, part, n, mac);

	check_add(checks, "auth.finished", ok ? CHECK_PASS : CHECK_FAIL, "%s",
	          ok ? "the MAC of this connection"
	             : "the MAC is not the one of this connection and exchange");
}

static const char *const check_ids[] = {
        "auth.format",    "auth.declined", "auth.context",
        "auth.signature", "auth.finished", "auth.evidence-present",
};

static void skip_from(struct checks *checks, const char *first, const char *why)
{
	bool on = false;

	for (size_t i = 0; i < sizeof(check_ids) / sizeof(check_ids[0]); i++) {
		on |= !strcmp(check_ids[i], first);
		if (on)
			check_add(checks, check_ids[i], CHECK_SKIP, "%s", why);
	}
}

static void verify_declined(const struct authenticator_keys *keys, struct bytes request,
                            const struct parsed *p, struct checks *checks)
{
	static const char why[] = "the server declined";

	check_add(checks, "auth.declined", CHECK_FAIL,
	          "an empty authenticator: the server will not authenticate");
	check_add(checks, "auth.context", CHECK_SKIP, "%s", why);
	check_add(checks, "auth.signature", CHECK_SKIP, "%s", why);
	check_finished(keys, &request, 1, p->mac, checks);
	check_add(checks, "auth.evidence-present", CHECK_SKIP, "%s", why);
}

static void verify_parsed(const struct authenticator_keys *keys,
                          const struct authenticator_request *req, struct bytes request,
                          const struct parsed *p, EVP_PKEY *key, struct checks *checks)
{
	const struct bytes parts[] = {request, p->certificate, p->certificate_verify};
	const char *wrong;

	check_add(checks, "auth.declined", CHECK_PASS, "the server authenticates");
	if (!bytes_equal(p->context, BYTES_OF(req->context))) {
		check_add(checks, "auth.context", CHECK_FAIL,
		          "the answer is to another request than the one sent");
		skip_from(checks, "auth.signature", "the answer is to another request");
		return;
	}
	check_add(checks, "auth.context", CHECK_PASS, "the context of the request");
	wrong = verify_signature(keys, req, request, p, key);
	if (wrong) {
		check_add(checks, "auth.signature", CHECK_FAIL, "%s", wrong);
		skip_from(checks, "auth.finished", "the signature does not hold");
		return;
	}
	check_add(checks, "auth.signature", CHECK_PASS, "by the certificate's key, scheme 0x%04x",
	          p->scheme);
	check_finished(keys, parts, 3, p->mac, checks);
	check_add(checks, "auth.evidence-present", p->cmw.n ? CHECK_PASS : CHECK_FAIL,
	          "%zu bytes of evidence and endorsements", p->cmw.n);
}

int authenticator_verify(const struct authenticator_keys *keys, struct bytes request,
                         struct bytes msg, struct authenticator *out, struct checks *checks)
{
	struct authenticator_request req;
	struct authenticator a = {0};
	struct parsed p = {0};
	const char *wrong = NULL;
	X509 *leaf = NULL;

	*out = a;
	ERR_set_mark();
	if (authenticator_request_parse(request, &req))
		wrong = "the request that was sent is malformed";
	else
		wrong = parse_authenticator(msg, req.wants_evidence, keys->hash_len, &p);
	if (!wrong && p.certificate.n) {
		leaf = open_leaf(p.leaf, &a);
		if (!leaf)
			wrong = "the leaf certificate is malformed";
	}
	if (wrong) {
		check_add(checks, "auth.format", CHECK_FAIL, "%s (%zu bytes)", wrong, msg.n);
		skip_from(checks, "auth.declined", "the authenticator is malformed");
		goto out;
	}
	check_add(checks, "auth.format", CHECK_PASS, "%zu bytes", msg.n);
	if (!leaf) {
		verify_declined(keys, request, &p, checks);
		goto out;
	}
	a.cmw = p.cmw;
	a.leaf = p.leaf;
	verify_parsed(keys, &req, request, &p, X509_get0_pubkey(leaf), checks);
	*out = a;
out:
	X509_free(leaf);
	ERR_pop_to_mark();
	return 0;
}
