/* SPDX-License-Identifier: Apache-2.0 */
/*
 * did:x509 (version 0): an issuer that is a certificate authority, by the hash of its certificate,
 * and rules for what it issued. The identifier is the verifier's; the chain is the signer's, who
 * sends all of it but can't choose where it ends. Knows no receipts.
 */
#include "ledger/receipt_room.h"

#include <string.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include "ledger/sigstore_room.h"

#define DID    "did:x509:0:"
#define NO_KEY "neither a key is given nor an issuer that is a did:x509"

enum { RULES_MAX = 4, OID_MAX = 80, CERT_BITS_MAX = 4096 };
/* OpenSSL's level of 112 bits: nothing signed over SHA-1 or with RSA below 2048 bits. */
enum { CHAIN_LEVEL = 2 };

struct did {
	int64_t hash_alg;
	uint8_t fingerprint[EVP_MAX_MD_SIZE];
	size_t fingerprint_n;
	char eku[RULES_MAX][OID_MAX]; /* of the leaf; each of them */
	uint32_t ekus;
};

/* ------------------------------------------------------------------ identifier */

/* base64url without padding, to what base64_decode takes. */
static bool take_fingerprint(struct bytes text, struct did *d)
{
	char b64[96];
	size_t n = 0;
	int got;

	if (text.n > sizeof(b64) - 4)
		return false;
	for (; n < text.n; n++) {
		char c = (char)text.p[n];

		if (c == '+' || c == '/' || c == '=')
			return false;
		b64[n] = c == '-' ? '+' : c == '_' ? '/' : c;
	}
	while (n % 4)
		b64[n++] = '=';
	got = base64_decode((struct bytes){(const uint8_t *)b64, n}, d->fingerprint,
	                    sizeof(d->fingerprint));
	d->fingerprint_n = got > 0 ? (size_t)got : 0;
	return got == EVP_MD_get_size(cose_hash(d->hash_alg));
}

/* What is before the next separator, which is then passed; false when none is left. */
static bool part(struct bytes *rest, const char *separator, struct bytes *out)
{
	size_t n = strlen(separator);

	for (size_t i = 0; i + n <= rest->n; i++) {
		if (memcmp(rest->p + i, separator, n) != 0)
			continue;
		*out = (struct bytes){rest->p, i};
		*rest = (struct bytes){rest->p + i + n, rest->n - i - n};
		return true;
	}
	return false;
}

/* "eku:1.3.6.1.4.1.311.76.59.1.2" */
static const char *take_rule(struct bytes rule, struct did *d)
{
	if (!ledger_prefix(&rule, "eku:"))
		return "a rule of the did:x509 other than eku, which is not supported";
	if (d->ekus == RULES_MAX || rule.n == 0 || rule.n >= OID_MAX)
		return "a rule of the did:x509 is malformed";
	for (size_t i = 0; i < rule.n; i++)
		if (rule.p[i] != '.' && (rule.p[i] < '0' || rule.p[i] > '9'))
			return "a rule of the did:x509 is malformed";
	memcpy(d->eku[d->ekus], rule.p, rule.n);
	d->eku[d->ekus++][rule.n] = '\0';
	return NULL;
}

static const char *take_did(const char *text, struct did *d)
{
	static const struct {
		const char *name;
		int64_t alg;
	} hash[] = {{"sha256:", -16}, {"sha384:", -43}, {"sha512:", -44}};
	struct bytes rest = bytes_str(text), piece;
	const char *why = NULL;

	memset(d, 0, sizeof(*d));
	if (!ledger_prefix(&rest, DID))
		return NO_KEY;
	for (size_t i = 0; i < sizeof(hash) / sizeof(hash[0]) && !d->hash_alg; i++)
		if (ledger_prefix(&rest, hash[i].name))
			d->hash_alg = hash[i].alg;
	if (!d->hash_alg)
		return "the did:x509 has a hash that is not supported";
	if (!part(&rest, "::", &piece) || !take_fingerprint(piece, d))
		return "the did:x509 has no fingerprint of its hash's length, or no rule";
	while (!why && part(&rest, "::", &piece))
		why = take_rule(piece, d);
	return why ? why : take_rule(rest, d);
}

const char *receipt_issuer_fault(const char *issuer)
{
	struct did d;

	return take_did(issuer, &d);
}

/* ----------------------------------------------------------------------- chain */

struct chain {
	X509 *cert[X5CHAIN_MAX];
	uint32_t n;
};

static void free_chain(struct chain *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		X509_free(c->cert[i]);
}

static const char *take_chain(const struct cose_statement *s, struct chain *c)
{
	for (; c->n < s->certs; c->n++) {
		EVP_PKEY *key;

		c->cert[c->n] = sigstore_certificate(s->cert[c->n]);
		if (!c->cert[c->n])
			return "a certificate is malformed";
		key = X509_get0_pubkey(c->cert[c->n]);
		if (!key || EVP_PKEY_get_bits(key) > CERT_BITS_MAX) {
			c->n++;
			return "a certificate's key is of an unknown kind or too long";
		}
	}
	return c->n ? NULL : "no certificates are signed with the statement";
}

static bool hash_is(struct bytes der, int64_t alg, struct bytes wanted)
{
	uint8_t is[EVP_MAX_MD_SIZE];
	unsigned n;

	return EVP_Digest(der.p, der.n, is, &n, cose_hash(alg), NULL) == 1 &&
	       bytes_equal((struct bytes){is, n}, wanted);
}

/* The place of the authority in the chain, which is never that of the leaf; 0: it is not there. */
static uint32_t authority_at(const struct did *d, const struct cose_statement *s)
{
	for (uint32_t i = 1; i < s->certs; i++)
		if (hash_is(s->cert[i], d->hash_alg,
		            (struct bytes){d->fingerprint, d->fingerprint_n}))
			return i;
	return 0;
}

/* Each of cert[0] to cert[last - 1] by the next one, all valid at time t, by X.509's rules. */
static bool issued(const struct chain *c, uint32_t last, int64_t t)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	bool ok = false;

	ERR_set_mark();
	if (!store || !ctx || !between || X509_STORE_add_cert(store, c->cert[last]) != 1)
		goto out;
	for (uint32_t i = 1; i < last; i++)
		if (!sk_X509_push(between, c->cert[i]))
			goto out;
	if (X509_STORE_CTX_init(ctx, store, c->cert[0], between) != 1)
		goto out;
	X509_STORE_CTX_set_time(ctx, 0, (time_t)t);
	X509_STORE_CTX_set_depth(ctx, X5CHAIN_MAX);
	/* Unasked it takes anything: the level that TLS has is not for others. */
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), CHAIN_LEVEL);
	/* The authority is named by its hash; whether it signed itself says nothing. */
	X509_STORE_CTX_set_flags(ctx, X509_V_FLAG_PARTIAL_CHAIN);
	ok = X509_verify_cert(ctx) == 1 &&
	     sk_X509_num(X509_STORE_CTX_get0_chain(ctx)) == (int)last + 1;
out:
	sk_X509_free(between);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_pop_to_mark();
	return ok;
}

static bool has_eku(X509 *leaf, const char *oid)
{
	EXTENDED_KEY_USAGE *list = X509_get_ext_d2i(leaf, NID_ext_key_usage, NULL, NULL);
	bool found = false;
	char is[OID_MAX];

	for (int i = 0; i < sk_ASN1_OBJECT_num(list) && !found; i++)
		found = OBJ_obj2txt(is, sizeof(is), sk_ASN1_OBJECT_value(list, i), 1) > 0 &&
		        !strcmp(is, oid);
	EXTENDED_KEY_USAGE_free(list);
	return found;
}

static const char *leaf_fault(const struct did *d, const struct cose_statement *s, X509 *leaf)
{
	if (X509_check_ca(leaf) || !(X509_get_key_usage(leaf) & KU_DIGITAL_SIGNATURE))
		return "the first certificate is not one for signing";
	for (uint32_t i = 0; i < d->ekus; i++)
		if (!has_eku(leaf, d->eku[i]))
			return "the certificate lacks an extended key usage that the did:x509 asks "
			       "for";
	if (s->thumbprint_alg && !hash_is(s->cert[0], s->thumbprint_alg, s->thumbprint))
		return "the signed hash (x5t) is of another certificate";
	return NULL;
}

static const char *chain_fault(const struct did *d, const struct cose_statement *s,
                               const struct chain *c, int64_t t)
{
	uint32_t at = authority_at(d, s);

	if (!at)
		return "the authority that the did:x509 names is not among the certificates";
	if (t == VERDICT_FOREVER)
		return "no time is known at which the certificates must have been valid";
	if (!issued(c, at, t))
		return "the certificates do not lead to the authority, or were not valid then";
	return leaf_fault(d, s, c->cert[0]);
}

EVP_PKEY *did_x509_key(const char *issuer, const struct cose_statement *s, int64_t t,
                       const char **why)
{
	struct chain c = {0};
	EVP_PKEY *key = NULL;
	struct did d;

	*why = take_did(issuer, &d);
	if (!*why)
		*why = take_chain(s, &c);
	if (!*why)
		*why = chain_fault(&d, s, &c, t);
	if (!*why) {
		key = X509_get0_pubkey(c.cert[0]);
		EVP_PKEY_up_ref(key);
	}
	free_chain(&c);
	return key;
}
