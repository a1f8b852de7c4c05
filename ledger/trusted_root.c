/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A Sigstore trusted root (trusted_root.json): which logs and authorities are trusted, and when.
 * The administrator's file, yet read like a stranger's. Members that are not known are passed over:
 * the format grows, and what is not read is not trusted.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include "ledger/json.h"

#define ROOT_TYPE     "application/vnd.dev.sigstore.trustedroot+json;version=0.1"
#define ROOT_TYPE_NEW "application/vnd.dev.sigstore.trustedroot.v0.2+json"

bool span_has(const struct span *s, int64_t t)
{
	return s->start <= t && t <= s->end;
}

/* ------------------------------------------------------------------ fields */

/* n decimal digits. */
static bool digits(const char **s, unsigned n, int *out)
{
	int v = 0;

	for (unsigned i = 0; i < n; i++, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (**s - '0');
	}
	*out = v;
	return true;
}

/* RFC 3339 in UTC: "2021-01-12T11:53:27Z", with a fraction at will, which is cut. */
static bool take_time(const char *s, int64_t *out)
{
	struct tm tm = {0}, again;
	time_t t;

	if (!digits(&s, 4, &tm.tm_year) || *s++ != '-' || !digits(&s, 2, &tm.tm_mon) ||
	    *s++ != '-' || !digits(&s, 2, &tm.tm_mday) || *s++ != 'T' ||
	    !digits(&s, 2, &tm.tm_hour) || *s++ != ':' || !digits(&s, 2, &tm.tm_min) ||
	    *s++ != ':' || !digits(&s, 2, &tm.tm_sec))
		return false;
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9';)
			s++;
	if (strcmp(s, "Z") != 0)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon -= 1;
	again = tm;
	t = timegm(&again);
	/* What is no day of the calendar would have been turned into another one. */
	if (again.tm_mon != tm.tm_mon || again.tm_mday != tm.tm_mday ||
	    again.tm_hour != tm.tm_hour || again.tm_min != tm.tm_min || again.tm_sec != tm.tm_sec)
		return false;
	*out = t;
	return true;
}

/* validFor: the start must be there, an end may be. */
static bool take_span(const json_t *object, struct span *out)
{
	const json_t *v = json_member(object, "validFor");
	char text[40];

	if (!json_text(v, "start", text, sizeof(text)) || !take_time(text, &out->start))
		return false;
	out->end = VERDICT_FOREVER;
	if (!json_member(v, "end"))
		return true;
	return json_text(v, "end", text, sizeof(text)) && take_time(text, &out->end);
}

/* On a NIST curve or Ed25519, where a point of low order would verify what nobody signed. */
static bool curve_key_ok(const EVP_PKEY *key)
{
	uint8_t raw[HASH_LEN];
	size_t n = sizeof(raw);

	if (EVP_PKEY_is_a(key, "ED25519"))
		return EVP_PKEY_get_raw_public_key(key, raw, &n) == 1 && ledger_ed25519_ok(raw);
	return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) >= 253 &&
	       EVP_PKEY_get_bits(key) <= 521;
}

EVP_PKEY *sigstore_public_key(struct bytes der, bool pkcs1)
{
	const uint8_t *p = der.p;
	BIGNUM *e = NULL;
	EVP_PKEY *key;
	bool ok;

	if (der.n > LEDGER_KEY_MAX)
		return NULL;
	ERR_set_mark();
	key = pkcs1 ? d2i_PublicKey(EVP_PKEY_RSA, NULL, &p, (long)der.n)
	            : d2i_PUBKEY(NULL, &p, (long)der.n);
	ok = key && p == der.p + der.n;
	if (ok && EVP_PKEY_is_a(key, "RSA"))
		ok = EVP_PKEY_get_bits(key) >= 2048 && EVP_PKEY_get_bits(key) <= 4096 &&
		     EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 &&
		     BN_num_bits(e) <= 32;
	else
		ok = ok && curve_key_ok(key);
	BN_free(e);
	if (!ok) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	ERR_pop_to_mark();
	return key;
}

X509 *sigstore_certificate(struct bytes der)
{
	const uint8_t *p = der.p;
	X509 *cert;

	ERR_set_mark();
	cert = d2i_X509(NULL, &p, (long)der.n);
	if (cert && p != der.p + der.n) {
		X509_free(cert);
		cert = NULL;
	}
	ERR_pop_to_mark();
	return cert;
}

/* -------------------------------------------------------------------- logs */

/* The key of the log's checkpoints: named by its URL without the scheme, or by its host alone. */
static void note_key(struct trusted_log *log, struct bytes spki, const char *name)
{
	size_t n = sizeof(log->vkey.key);
	struct bytes key = spki;

	log->vkey.alg = NOTE_ECDSA;
	if (EVP_PKEY_is_a(log->key, "ED25519")) {
		if (EVP_PKEY_get_raw_public_key(log->key, log->vkey.key, &n) != 1)
			n = 0;
		key = (struct bytes){log->vkey.key, n};
		log->vkey.alg = NOTE_ED25519;
	} else if (EVP_PKEY_is_a(log->key, "EC") && spki.n <= n) {
		memcpy(log->vkey.key, spki.p, spki.n);
	} else {
		key.n = 0;
	}
	log->vkey.key_len = (uint16_t)key.n;
	memcpy(log->vkey.name, name, strlen(name) + 1);
	if (key.n == 0 || !ledger_name_ok(bytes_str(name)) ||
	    ledger_key_id(name, log->vkey.alg, key, log->vkey.id))
		log->vkey.alg = 0;
}

/* "https://host/path" -> "host" for ECDSA (Rekor v1), "host/path" for Ed25519 (tiles). */
static bool take_host(const json_t *object, const EVP_PKEY *key, char out[static NOTE_NAME_MAX + 1])
{
	char url[NOTE_NAME_MAX + 1];
	const char *name;
	size_t n;

	if (!json_text(object, "baseUrl", url, sizeof(url)))
		return false;
	name = strstr(url, "://");
	if (!name)
		return false;
	name += 3;
	n = key && EVP_PKEY_is_a(key, "ED25519") ? strlen(name) : strcspn(name, "/");
	while (n && name[n - 1] == '/')
		n--;
	memcpy(out, name, n);
	out[n] = '\0';
	return n > 0;
}

static const char *take_log(const json_t *object, struct trusted_log *out)
{
	const json_t *key = json_member(object, "publicKey");
	struct bytes der = BYTES_NONE, id = BYTES_NONE;
	const char *why = NULL;
	char details[64];

	(void)json_text(key, "keyDetails", details, sizeof(details));
	if (json_base64(json_member(key, "rawBytes"), &der)) {
		why = "a log has no publicKey.rawBytes";
		goto out;
	}
	if (json_base64(json_member(json_member(object, "logId"), "keyId"), &id) ||
	    id.n > sizeof(out->id)) {
		why = "a log has no logId.keyId of at most 32 bytes";
		goto out;
	}
	memcpy(out->id, id.p, id.n);
	out->id_len = (uint8_t)id.n;
	out->key = sigstore_public_key(der, strncmp(details, "PKCS1_", 6) == 0);
	if (!take_span(key, &out->span))
		why = "a log's validFor has no start, or one that is no time";
	else if (!take_host(object, out->key, out->host))
		why = "a log's baseUrl is no URL";
	else if (out->key)
		note_key(out, der, out->host);
out:
	free((void *)(uintptr_t)der.p);
	free((void *)(uintptr_t)id.p);
	return why;
}

static const char *take_logs(const json_t *root, const char *name, struct trusted_log *out,
                             uint32_t *n)
{
	const json_t *list = json_member(root, name);
	const char *why = NULL;

	if (list && !json_is_array(list))
		return "tlogs and ctlogs are lists";
	if (json_array_size(list) > ROOT_LOGS_MAX)
		return "at most 16 logs of a kind";
	for (size_t i = 0; i < json_array_size(list) && !why; i++)
		why = take_log(json_array_get(list, i), &out[(*n)++]);
	return why;
}

const struct trusted_log *trusted_log_find(const struct trusted_log *logs, uint32_t n,
                                           const uint8_t *id, size_t id_len)
{
	for (uint32_t i = 0; i < n; i++)
		if (logs[i].id_len == id_len && memcmp(logs[i].id, id, id_len) == 0)
			return &logs[i];
	return NULL;
}

/* ------------------------------------------------------------- authorities */

static const char *take_authority(const json_t *object, struct trusted_authority *out)
{
	const json_t *list = json_member(json_member(object, "certChain"), "certificates");
	struct bytes der;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > ROOT_CHAIN_MAX)
		return "an authority has 1 to 4 certificates";
	for (size_t i = 0; i < json_array_size(list); i++) {
		X509 *cert = NULL;

		if (!json_base64(json_member(json_array_get(list, i), "rawBytes"), &der))
			cert = sigstore_certificate(der);
		free((void *)(uintptr_t)der.p);
		if (!cert)
			return "what should be an authority's certificate is none";
		out->chain[out->n++] = cert;
	}
	return take_span(object, &out->span)
	               ? NULL
	               : "an authority's validFor has no start, or one that is no time";
}

static const char *take_authorities(const json_t *root, const char *name,
                                    struct trusted_authority *out, uint32_t *n)
{
	const json_t *list = json_member(root, name);
	const char *why = NULL;

	if (list && !json_is_array(list))
		return "certificateAuthorities and timestampAuthorities are lists";
	if (json_array_size(list) > ROOT_AUTHORITIES_MAX)
		return "at most 16 authorities of a kind";
	for (size_t i = 0; i < json_array_size(list) && !why; i++)
		why = take_authority(json_array_get(list, i), &out[(*n)++]);
	return why;
}

bool authority_issued(const struct trusted_authority *a, X509 *leaf, int64_t t, X509 **issuer)
{
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	STACK_OF(X509) *between = sk_X509_new_null();
	bool ok = false;

	ERR_set_mark();
	if (!store || !ctx || !between || X509_STORE_add_cert(store, a->chain[a->n - 1]) != 1)
		goto out;
	for (uint32_t i = 0; i + 1 < a->n; i++)
		if (!sk_X509_push(between, a->chain[i]))
			goto out;
	if (X509_STORE_CTX_init(ctx, store, leaf, between) != 1)
		goto out;
	X509_STORE_CTX_set_time(ctx, 0, (time_t)t);
	X509_STORE_CTX_set_depth(ctx, ROOT_CHAIN_MAX);
	/* Unasked it takes anything: the level that TLS has is not for others. */
	X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(ctx), ROOT_CHAIN_LEVEL);
	/* CAs that no CA issued, as private roots go, are not wanted: the anchor signs itself. */
	ok = X509_verify_cert(ctx) == 1;
	for (uint32_t i = 0; ok && issuer && i < a->n; i++)
		if (X509_cmp(sk_X509_value(X509_STORE_CTX_get0_chain(ctx), 1), a->chain[i]) == 0)
			*issuer = a->chain[i];
out:
	sk_X509_free(between);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	ERR_pop_to_mark();
	return ok;
}

/* -------------------------------------------------------------------- root */

static const char *take_root(const json_t *j, struct sigstore_root *out)
{
	char type[SIGSTORE_TEXT_MAX];
	const char *why;

	if (!json_text(j, "mediaType", type, sizeof(type)) ||
	    (strcmp(type, ROOT_TYPE) != 0 && strcmp(type, ROOT_TYPE_NEW) != 0))
		return "mediaType is not that of a trusted root v0.1 or v0.2";
	why = take_logs(j, "tlogs", out->log, &out->logs);
	why = why ? why : take_logs(j, "ctlogs", out->ct, &out->cts);
	why = why ? why : take_authorities(j, "certificateAuthorities", out->ca, &out->cas);
	return why ? why : take_authorities(j, "timestampAuthorities", out->tsa, &out->tsas);
}

int sigstore_root_parse(struct bytes json, struct sigstore_root **out, struct checks *checks)
{
	struct sigstore_root *root = calloc(1, sizeof(*root));
	const char *why = "not JSON, a name is there twice, or over 1 MiB";
	json_t *j = NULL;
	int ret = root ? json_read(json, SIGSTORE_ROOT_MAX, SIGSTORE_DEPTH_MAX, &j) : -ENOMEM;

	*out = NULL;
	if (!ret)
		why = take_root(j, root);
	json_decref(j);
	if (ret == -ENOMEM || why) {
		sigstore_root_free(root);
		if (ret == -ENOMEM)
			return ret;
		check_add(checks, "sigstore.trusted-root", CHECK_FAIL, "%s", why);
		return -EINVAL;
	}
	check_add(checks, "sigstore.trusted-root", CHECK_PASS,
	          "%u logs, %u authorities, %u certificate logs, %u time stamp authorities",
	          root->logs, root->cas, root->cts, root->tsas);
	*out = root;
	return 0;
}

void sigstore_root_free(struct sigstore_root *root)
{
	if (!root)
		return;
	for (uint32_t i = 0; i < root->logs; i++)
		EVP_PKEY_free(root->log[i].key);
	for (uint32_t i = 0; i < root->cts; i++)
		EVP_PKEY_free(root->ct[i].key);
	for (uint32_t i = 0; i < root->cas; i++)
		for (uint32_t k = 0; k < root->ca[i].n; k++)
			X509_free(root->ca[i].chain[k]);
	for (uint32_t i = 0; i < root->tsas; i++)
		for (uint32_t k = 0; k < root->tsa[i].n; k++)
			X509_free(root->tsa[i].chain[k]);
	free(root);
}
