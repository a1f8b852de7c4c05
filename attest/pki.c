/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509 on top of OpenSSL for every platform: reading hostile certificates into a bag, and walking
 * from one of them to a pinned key. May not know which vendor it works for, what time it is, or
 * where anything came from.
 */
#include "attest/pki.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

/* --------------------------------------------------------------------- bag */

/*
 * No vendor's key is larger, and the cost of a signature check grows with the key: whoever sends
 * certificates must not choose how long we work. RSA with an exponent of at most 32 bits.
 */
static bool cheap_key(const X509 *cert)
{
	const EVP_PKEY *key = X509_get0_pubkey(cert);
	BIGNUM *e = NULL;
	bool ok = false;

	if (key && EVP_PKEY_is_a(key, "RSA"))
		ok = EVP_PKEY_get_bits(key) <= PKI_RSA_BITS_MAX &&
		     EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
		     BN_num_bits(e) <= 32;
	else if (key)
		ok = EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) <= PKI_EC_BITS_MAX;
	BN_free(e);
	return ok;
}

/* One with a key that no vendor uses is not kept, as if it had not been sent. */
static int bag_cert(struct pki_bag *bag, X509 *cert)
{
	if (!cheap_key(cert)) {
		X509_free(cert);
		return 0;
	}
	if (bag->certs == PKI_CERTS_MAX) {
		X509_free(cert);
		return -ENOSPC;
	}
	bag->cert[bag->certs++] = cert;
	return 0;
}

static int bag_crl(struct pki_bag *bag, X509_CRL *crl)
{
	if (bag->crls == PKI_CRLS_MAX) {
		X509_CRL_free(crl);
		return -ENOSPC;
	}
	bag->crl[bag->crls++] = crl;
	return 0;
}

/* ------------------------------------------------------------------- cache */

/* A fleet's certificates; larger ones than vendors make are not worth keeping. */
enum { CACHE_SLOTS = 128, CACHE_DER_MAX = 16384 };

struct pki_cache {
	uint32_t next; /* to be replaced */
	struct {
		uint8_t sha256[32];
		X509 *cert; /* one of these three, or none */
		X509_CRL *crl;
		void *other;
		void (*drop)(void *other);
	} slot[CACHE_SLOTS];
};

struct pki_cache *pki_cache_new(void)
{
	return calloc(1, sizeof(struct pki_cache));
}

static void cache_clear(struct pki_cache *c, size_t at)
{
	X509_free(c->slot[at].cert);
	X509_CRL_free(c->slot[at].crl);
	if (c->slot[at].other)
		c->slot[at].drop(c->slot[at].other);
	memset(&c->slot[at], 0, sizeof(c->slot[at]));
}

void pki_cache_free(struct pki_cache *c)
{
	for (size_t i = 0; c && i < CACHE_SLOTS; i++)
		cache_clear(c, i);
	free(c);
}

void *pki_cache_find(const struct pki_cache *c, const uint8_t sha256[static 32])
{
	for (size_t i = 0; i < CACHE_SLOTS; i++)
		if (c->slot[i].other && !memcmp(c->slot[i].sha256, sha256, 32))
			return c->slot[i].other;
	return NULL;
}

/* Where the next one goes. */
static uint32_t cache_make_room(struct pki_cache *c, const uint8_t sha256[static 32])
{
	uint32_t at = c->next;

	cache_clear(c, at);
	memcpy(c->slot[at].sha256, sha256, 32);
	c->next = (at + 1) % CACHE_SLOTS;
	return at;
}

void pki_cache_put(struct pki_cache *c, const uint8_t sha256[static 32], void *what,
                   void (*drop)(void *what))
{
	uint32_t at = cache_make_room(c, sha256);

	c->slot[at].other = what;
	c->slot[at].drop = drop;
}

/* Either references to what this DER was parsed to, or none. */
static void cache_get(const struct pki_cache *c, const uint8_t sha256[static 32], X509 **cert,
                      X509_CRL **crl)
{
	for (size_t i = 0; i < CACHE_SLOTS; i++) {
		if (memcmp(c->slot[i].sha256, sha256, 32) != 0)
			continue;
		if (c->slot[i].cert && X509_up_ref(c->slot[i].cert))
			*cert = c->slot[i].cert;
		else if (c->slot[i].crl && X509_CRL_up_ref(c->slot[i].crl))
			*crl = c->slot[i].crl;
		return;
	}
}

static void cache_put(struct pki_cache *c, const uint8_t sha256[static 32], X509 *cert,
                      X509_CRL *crl)
{
	uint32_t at;

	if ((cert && !X509_up_ref(cert)) || (crl && !X509_CRL_up_ref(crl)))
		return;
	at = cache_make_room(c, sha256);
	c->slot[at].cert = cert;
	c->slot[at].crl = crl;
}

/* One DER certificate and nothing behind it. */
static X509 *der_cert(struct bytes der)
{
	const uint8_t *p = der.p;
	X509 *cert = d2i_X509(NULL, &p, (long)der.n);

	if (cert && p != der.p + der.n) {
		X509_free(cert);
		cert = NULL;
	}
	return cert;
}

static X509_CRL *der_crl(struct bytes der)
{
	const uint8_t *p = der.p;
	X509_CRL *crl = d2i_X509_CRL(NULL, &p, (long)der.n);

	if (crl && p != der.p + der.n) {
		X509_CRL_free(crl);
		crl = NULL;
	}
	return crl;
}

static int bag_der(struct pki_bag *bag, struct bytes der)
{
	uint8_t sha256[32];
	X509_CRL *crl = NULL;
	X509 *cert = NULL;
	bool cached = bag->cache && der.n <= CACHE_DER_MAX &&
	              EVP_Digest(der.p, der.n, sha256, NULL, EVP_sha256(), NULL);

	if (cached)
		cache_get(bag->cache, sha256, &cert, &crl);
	if (cert || crl)
		cached = false; /* there already */
	else
		cert = der_cert(der);
	if (!cert && !crl)
		crl = der_crl(der);
	if (cached && (cert || crl))
		cache_put(bag->cache, sha256, cert, crl);
	if (cert)
		return bag_cert(bag, cert);
	return crl ? bag_crl(bag, crl) : -EINVAL;
}

static bool looks_pem(struct bytes data)
{
	/* JSON collateral quotes PEM inside its strings. */
	return data.n && data.p[0] != '{' && memmem(data.p, data.n, "-----BEGIN ", 11);
}

static bool looks_der(struct bytes data)
{
	return data.n && data.p[0] == 0x30;
}

/*
 * Calls use() for the content of every PEM block of a text, until one fails. -EINVAL also when
 * there was no block at all.
 */
static int each_pem(struct bytes data,
                    int (*use)(void *ctx, const char *label, struct bytes content), void *ctx)
{
	BIO *bio = BIO_new_mem_buf(data.p, (int)data.n);
	int rc = bio ? 0 : -ENOMEM;
	int found = 0;

	while (!rc) {
		char *label = NULL, *header = NULL;
		uint8_t *content = NULL;
		long n = 0;

		if (!PEM_read_bio(bio, &label, &header, &content, &n)) {
			/* The end of the text is the one error that is none. */
			unsigned long e = ERR_peek_last_error();

			if (!found || ERR_GET_REASON(e) != PEM_R_NO_START_LINE)
				rc = -EINVAL;
			break;
		}
		found++;
		rc = use(ctx, label, (struct bytes){content, (size_t)n});
		OPENSSL_free(label);
		OPENSSL_free(header);
		OPENSSL_free(content);
	}
	BIO_free(bio);
	return rc;
}

static int bag_pem_block(void *ctx, const char *label, struct bytes content)
{
	struct pki_bag *bag = ctx;

	if (!strcmp(label, PEM_STRING_X509) || !strcmp(label, PEM_STRING_X509_OLD) ||
	    !strcmp(label, PEM_STRING_X509_CRL))
		return bag_der(bag, content);
	return -EINVAL;
}

int pki_bag_add(struct pki_bag *bag, struct bytes data)
{
	int rc;

	if (!data.n)
		return -EINVAL;
	if (data.n > PKI_INPUT_MAX)
		return -ENOSPC;
	ERR_set_mark();
	if (looks_der(data)) {
		rc = bag_der(bag, data);
	} else if (looks_pem(data)) {
		rc = each_pem(data, bag_pem_block, bag);
	} else if (bag->others < PKI_OTHERS_MAX) {
		bag->other[bag->others++] = data;
		rc = 0;
	} else {
		rc = -ENOSPC;
	}
	ERR_pop_to_mark();
	return rc;
}

void pki_bag_free(struct pki_bag *bag)
{
	for (uint32_t i = 0; i < bag->certs; i++)
		X509_free(bag->cert[i]);
	for (uint32_t i = 0; i < bag->crls; i++)
		X509_CRL_free(bag->crl[i]);
	*bag = (struct pki_bag){0};
}

/* -------------------------------------------------------------------- pins */

struct pins_ctx {
	struct pki_pins *pins;
	struct pki_bag *bag;
};

static int pins_put(struct pki_pins *pins, const uint8_t spki_sha256[static 32])
{
	if (pki_pins_have(pins, spki_sha256))
		return 0;
	if (pins->n == PKI_PINS_MAX)
		return -ENOSPC;
	memcpy(pins->v[pins->n++], spki_sha256, 32);
	return 0;
}

static int spki_hash(const X509_PUBKEY *key, uint8_t out[static 32])
{
	uint8_t *der = NULL;
	int n = i2d_X509_PUBKEY(key, &der);
	int rc = -EINVAL;

	if (n > 0 && EVP_Digest(der, (size_t)n, out, NULL, EVP_sha256(), NULL))
		rc = 0;
	OPENSSL_free(der);
	return rc;
}

static int pins_key(struct pki_pins *pins, struct bytes der)
{
	const uint8_t *p = der.p;
	X509_PUBKEY *key = d2i_X509_PUBKEY(NULL, &p, (long)der.n);
	uint8_t hash[32];
	int rc = -EINVAL;

	if (key && p == der.p + der.n && X509_PUBKEY_get0(key))
		rc = spki_hash(key, hash);
	X509_PUBKEY_free(key);
	return rc ? rc : pins_put(pins, hash);
}

static int pins_der(const struct pins_ctx *c, struct bytes der)
{
	X509 *cert = der_cert(der);
	uint8_t hash[32];
	int rc;

	if (!cert)
		return pins_key(c->pins, der);
	rc = pki_spki_sha256(cert, hash);
	if (!rc)
		rc = pins_put(c->pins, hash);
	if (!rc && c->bag)
		return bag_cert(c->bag, cert);
	X509_free(cert);
	return rc;
}

static int pins_pem_block(void *ctx, const char *label, struct bytes content)
{
	if (!strcmp(label, PEM_STRING_X509) || !strcmp(label, PEM_STRING_X509_OLD) ||
	    !strcmp(label, PEM_STRING_PUBLIC))
		return pins_der(ctx, content);
	return -EINVAL;
}

int pki_pins_add(struct pki_pins *pins, struct pki_bag *bag, struct bytes data)
{
	struct pins_ctx c = {pins, bag};
	int rc = -EINVAL;

	if (data.n > PKI_INPUT_MAX)
		return -ENOSPC;
	ERR_set_mark();
	if (looks_der(data))
		rc = pins_der(&c, data);
	else if (looks_pem(data))
		rc = each_pem(data, pins_pem_block, &c);
	ERR_pop_to_mark();
	return rc;
}

bool pki_pins_have(const struct pki_pins *pins, const uint8_t spki_sha256[static 32])
{
	for (uint32_t i = 0; i < pins->n; i++)
		if (!memcmp(pins->v[i], spki_sha256, 32))
			return true;
	return false;
}

/* -------------------------------------------------------------------- keys */

static int keys_put(struct pki_keys *keys, EVP_PKEY *key)
{
	if (!key)
		return -EINVAL;
	if (!EVP_PKEY_is_a(key, "EC") || EVP_PKEY_get_bits(key) > PKI_EC_BITS_MAX)
		return 0;
	if (keys->n == PKI_KEYS_MAX || !EVP_PKEY_up_ref(key))
		return -ENOSPC;
	keys->v[keys->n++] = key;
	return 0;
}

static int keys_der(struct pki_keys *keys, struct bytes der)
{
	const uint8_t *p = der.p;
	X509 *cert = der_cert(der);
	X509_PUBKEY *spki = cert ? NULL : d2i_X509_PUBKEY(NULL, &p, (long)der.n);
	int rc = -EINVAL;

	if (cert)
		rc = keys_put(keys, X509_get0_pubkey(cert));
	else if (spki && p == der.p + der.n)
		rc = keys_put(keys, X509_PUBKEY_get0(spki));
	X509_free(cert);
	X509_PUBKEY_free(spki);
	return rc;
}

static int keys_pem_block(void *ctx, const char *label, struct bytes content)
{
	if (!strcmp(label, PEM_STRING_X509) || !strcmp(label, PEM_STRING_X509_OLD) ||
	    !strcmp(label, PEM_STRING_PUBLIC))
		return keys_der(ctx, content);
	return -EINVAL;
}

int pki_keys_add(struct pki_keys *keys, struct bytes data)
{
	int rc = -EINVAL;

	if (data.n > PKI_INPUT_MAX)
		return -ENOSPC;
	ERR_set_mark();
	if (looks_der(data))
		rc = keys_der(keys, data);
	else if (looks_pem(data))
		rc = each_pem(data, keys_pem_block, keys);
	ERR_pop_to_mark();
	return rc;
}

void pki_keys_free(struct pki_keys *keys)
{
	for (uint32_t i = 0; i < keys->n; i++)
		EVP_PKEY_free(keys->v[i]);
	*keys = (struct pki_keys){0};
}

/* ------------------------------------------------------------- certificates */

int pki_spki_sha256(const X509 *cert, uint8_t out[static 32])
{
	uint8_t hash[32];

	if (spki_hash(X509_get_X509_PUBKEY(cert), hash))
		return -EINVAL;
	memcpy(out, hash, sizeof(hash));
	return 0;
}

int pki_time(const ASN1_TIME *t, int64_t *out)
{
	struct tm tm;
	time_t when;

	/* A NULL time would mean "now" to OpenSSL. */
	if (!t || !ASN1_TIME_to_tm(t, &tm))
		return -EINVAL;
	when = timegm(&tm);
	if (when == (time_t)-1)
		return -EINVAL;
	*out = when;
	return 0;
}

bool pki_valid_at(const X509 *cert, int64_t at)
{
	int64_t from, to;

	return !pki_time(X509_get0_notBefore(cert), &from) &&
	       !pki_time(X509_get0_notAfter(cert), &to) && from <= at && at <= to;
}

bool pki_issued(X509 *cert, X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool ok;

	if (!key || X509_NAME_cmp(X509_get_issuer_name(cert), X509_get_subject_name(issuer)))
		return false;
	ERR_set_mark();
	ok = X509_verify(cert, key) == 1;
	ERR_pop_to_mark();
	return ok;
}

X509 *pki_issuer_of(const struct pki_bag *bag, X509 *cert, bool *named)
{
	const X509_NAME *issuer = X509_get_issuer_name(cert);
	X509 *found[PKI_ISSUERS_MAX];
	uint32_t n = 0;

	for (uint32_t i = 0; i < bag->certs && n < PKI_ISSUERS_MAX; i++) {
		/* The same one twice is no choice: a root comes with everything that it issued. */
		bool again = n && !X509_cmp(bag->cert[i], found[n - 1]);

		if (!again && !X509_NAME_cmp(X509_get_subject_name(bag->cert[i]), issuer))
			found[n++] = bag->cert[i];
	}
	*named = n;
	if (n == 1)
		return found[0];
	for (uint32_t i = 0; i < n; i++)
		if (pki_issued(cert, found[i]))
			return found[i];
	return NULL;
}

int pki_common_name(const X509 *cert, char *out, size_t cap)
{
	return pki_name_common(X509_get_subject_name(cert), out, cap);
}

int pki_name_common(const X509_NAME *name, char *out, size_t cap)
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const ASN1_STRING *value;
	int n;

	if (at < 0 || X509_NAME_get_index_by_NID(name, NID_commonName, at) >= 0)
		return -EINVAL;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at));
	n = ASN1_STRING_length(value);
	/* The other string types are wide; vendors use these two. */
	if (ASN1_STRING_type(value) != V_ASN1_UTF8STRING &&
	    ASN1_STRING_type(value) != V_ASN1_PRINTABLESTRING)
		return -EINVAL;
	if (n <= 0 || (size_t)n >= cap)
		return -EINVAL;
	for (int i = 0; i < n; i++)
		if (ASN1_STRING_get0_data(value)[i] < 0x20 ||
		    ASN1_STRING_get0_data(value)[i] > 0x7e)
			return -EINVAL;
	memcpy(out, ASN1_STRING_get0_data(value), (size_t)n);
	out[n] = 0;
	return 0;
}

int pki_extension(const X509 *cert, const char *oid, struct bytes *out)
{
	ASN1_OBJECT *obj = OBJ_txt2obj(oid, 1);
	const ASN1_OCTET_STRING *value;
	int at, rc = -ENOENT;

	if (!obj)
		return -ENOMEM;
	at = X509_get_ext_by_OBJ(cert, obj, -1);
	if (at >= 0) {
		rc = -EINVAL;
		if (X509_get_ext_by_OBJ(cert, obj, at) < 0) {
			value = X509_EXTENSION_get_data(X509_get_ext(cert, at));
			*out = (struct bytes){ASN1_STRING_get0_data(value),
			                      (size_t)ASN1_STRING_length(value)};
			rc = 0;
		}
	}
	ASN1_OBJECT_free(obj);
	return rc;
}

/* -------------------------------------------------------- paths, revocation */

/* OpenSSL looks for issuers itself: it must have come by the way that was named. */
static bool went_by(X509_STORE_CTX *ctx, X509 *const chain[], size_t n)
{
	const STACK_OF(X509) *way = X509_STORE_CTX_get0_chain(ctx);

	if (!way || (size_t)sk_X509_num(way) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (X509_cmp(sk_X509_value(way, (int)i), chain[i]))
			return false;
	return true;
}

int pki_path_of(X509 *const chain[], size_t n)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *untrusted = sk_X509_new_null();
	int rc = X509_V_ERR_OUT_OF_MEM;
	bool ready = store && ctx && untrusted && n > 1;

	ERR_set_mark();
	ready = ready && X509_STORE_add_cert(store, chain[n - 1]);
	for (size_t i = 1; ready && i + 1 < n; i++)
		ready = sk_X509_push(untrusted, chain[i]);
	if (ready && X509_STORE_CTX_init(ctx, store, chain[0], untrusted)) {
		X509_VERIFY_PARAM_set_flags(X509_STORE_CTX_get0_param(ctx),
		                            X509_V_FLAG_CHECK_SS_SIGNATURE |
		                                    X509_V_FLAG_NO_CHECK_TIME);
		if (X509_verify_cert(ctx) == 1) {
			rc = went_by(ctx, chain, n) ? X509_V_OK
			                            : X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
		} else {
			rc = X509_STORE_CTX_get_error(ctx);
			if (rc == X509_V_OK)
				rc = X509_V_ERR_UNSPECIFIED;
		}
	}
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	sk_X509_free(untrusted);
	ERR_pop_to_mark();
	return rc;
}

int pki_path(X509 *leaf, X509 *intermediate, X509 *root)
{
	X509 *chain[3] = {leaf, intermediate, root};

	if (!intermediate)
		chain[1] = root;
	return pki_path_of(chain, intermediate ? 3 : 2);
}

bool pki_leaf_of(X509 *leaf, X509 *issuer)
{
	return X509_check_issued(issuer, leaf) == X509_V_OK &&
	       !(X509_get_extension_flags(leaf) & (EXFLAG_INVALID | EXFLAG_CRITICAL | EXFLAG_CA)) &&
	       pki_issued(leaf, issuer);
}

static bool signed_by(X509_CRL *crl, const X509 *issuer)
{
	EVP_PKEY *key = X509_get0_pubkey(issuer);
	bool ok;

	ERR_set_mark();
	ok = key && X509_CRL_verify(crl, key) == 1;
	ERR_pop_to_mark();
	return ok;
}

/* Of the lists of the issuer's name, or of those that its key signed; *named counts the former. */
static X509_CRL *newest_list(const struct pki_bag *bag, const X509 *issuer, int64_t at,
                             bool must_be_signed, uint32_t *named)
{
	X509_CRL *best = NULL;
	int64_t best_from = INT64_MIN;

	*named = 0;
	for (uint32_t i = 0; i < bag->crls; i++) {
		X509_CRL *crl = bag->crl[i];
		int64_t from;

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)))
			continue;
		(*named)++;
		if (must_be_signed && !signed_by(crl, issuer))
			continue;
		if (pki_time(X509_CRL_get0_lastUpdate(crl), &from) || from > at)
			from = INT64_MIN;
		if (!best || from > best_from) {
			best = crl;
			best_from = from;
		}
	}
	return best;
}

X509_CRL *pki_crl_of(const struct pki_bag *bag, const X509 *issuer, int64_t at)
{
	uint32_t named;
	X509_CRL *best = newest_list(bag, issuer, at, false, &named), *own = NULL;

	/* One that somebody else signed under this name must not hide the issuer's own. */
	if (named > 1)
		own = newest_list(bag, issuer, at, true, &named);
	return own ? own : best;
}

/* A list that covers part of what its issuer issued, or that has what we don't understand. */
static bool is_complete(const X509_CRL *crl)
{
	return X509_CRL_get_ext_by_critical(crl, 1, -1) < 0 &&
	       X509_CRL_get_ext_by_NID(crl, NID_issuing_distribution_point, -1) < 0 &&
	       X509_CRL_get_ext_by_NID(crl, NID_delta_crl, -1) < 0;
}

int pki_revocation(X509 *cert, X509 *issuer, X509_CRL *crl, int64_t at)
{
	X509_REVOKED *entry;
	int64_t from, to;

	/* A list that names no end would be good for ever. */
	if (pki_time(X509_CRL_get0_nextUpdate(crl), &to))
		return X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD;
	if (pki_time(X509_CRL_get0_lastUpdate(crl), &from))
		return X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD;
	if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(issuer)))
		return X509_V_ERR_UNABLE_TO_GET_CRL;
	if (!(X509_get_key_usage(issuer) & KU_CRL_SIGN))
		return X509_V_ERR_KEYUSAGE_NO_CRL_SIGN;
	if (!signed_by(crl, issuer))
		return X509_V_ERR_CRL_SIGNATURE_FAILURE;
	if (at < from)
		return X509_V_ERR_CRL_NOT_YET_VALID;
	if (at > to)
		return X509_V_ERR_CRL_HAS_EXPIRED;
	if (!is_complete(crl))
		return X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION;
	return X509_CRL_get0_by_cert(crl, &entry, cert) ? X509_V_ERR_CERT_REVOKED : X509_V_OK;
}

bool pki_tlv(struct bytes *rest, uint8_t *tag, struct bytes *content)
{
	struct reader r = reader_of(*rest);
	size_t n;

	*tag = rd_u8(&r);
	n = rd_u8(&r);
	if (n == 0x81) {
		n = rd_u8(&r);
		r.bad |= n < 0x80;
	} else if (n == 0x82) {
		n = rd_be16(&r);
		r.bad |= n < 0x100;
	} else if (n >= 0x80) {
		r.bad = true; /* longer than any, or of no stated length */
	}
	r.bad |= (*tag & 0x1f) == 0x1f;
	*content = rd_take(&r, n);
	*rest = (struct bytes){r.p, r.left};
	return !r.bad;
}

/* --------------------------------------------------------------- signatures */

EVP_PKEY *pki_ec_key(const EVP_PKEY *like, struct bytes xy)
{
	uint8_t point[1 + 2 * ((PKI_EC_BITS_MAX + 7) / 8)] = {POINT_CONVERSION_UNCOMPRESSED};
	EVP_PKEY *key;

	if (xy.n >= sizeof(point))
		return NULL;
	memcpy(point + 1, xy.p, xy.n);
	ERR_set_mark();
	key = EVP_PKEY_new();
	/* Several times as fast as making one by the name of its curve. */
	if (key && (EVP_PKEY_copy_parameters(key, like) != 1 ||
	            EVP_PKEY_set1_encoded_public_key(key, point, 1 + xy.n) != 1)) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_pop_to_mark();
	return key;
}

bool pki_on_curve(const X509 *cert, const char *curve)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[32] = "";

	return key && EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
	       EVP_PKEY_get_group_name(key, group, sizeof(group), NULL) && !strcmp(group, curve);
}
