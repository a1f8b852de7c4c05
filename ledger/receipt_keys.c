/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose receipts count: a trust store of a ledger's service certificates, or one public key. The
 * administrator's files, yet read like a stranger's. Members that are not known are passed over:
 * the format grows, and what is not read is not trusted. What the store says of a key (its id, its
 * signature algorithm) is not taken: the id is the key's own hash, and the algorithm must fit the
 * key.
 */
#include "ledger/receipt_room.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include "ledger/json.h"
#include "ledger/sigstore_room.h"

enum { STORE_ENTRIES_MAX = 64, STORE_DEPTH_MAX = 8, KID_HEX = 2 * HASH_LEN };

struct receipt_key {
	EVP_PKEY *key;
	char kid[KID_HEX + 1]; /* lower-case hex SHA-256 of the SubjectPublicKeyInfo */
};

struct receipt_keys {
	bool store; /* of CCF ledgers, whose receipts name their key; else one key for all */
	uint32_t n;
	struct receipt_key key[STORE_ENTRIES_MAX];
};

void receipt_keys_free(struct receipt_keys *keys)
{
	for (uint32_t i = 0; keys && i < keys->n; i++)
		EVP_PKEY_free(keys->key[i].key);
	free(keys);
}

/* Takes the key over. A key that is there already is none more. */
static void add_key(struct receipt_keys *keys, EVP_PKEY *key, struct bytes spki)
{
	struct receipt_key *k = &keys->key[keys->n];
	struct hash id;

	ledger_sha256(spki, &id);
	hex_encode(BYTES_OF(id.v), k->kid);
	for (uint32_t i = 0; i < keys->n; i++)
		if (!strcmp(keys->key[i].kid, k->kid)) {
			EVP_PKEY_free(key);
			return;
		}
	k->key = key;
	keys->n++;
}

static int add_certificate(struct receipt_keys *keys, struct bytes der)
{
	X509 *cert = sigstore_certificate(der);
	uint8_t *spki = NULL;
	EVP_PKEY *key = NULL;
	int n = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki) : 0;

	if (n > 0)
		key = sigstore_public_key((struct bytes){spki, (size_t)n}, false);
	if (key)
		add_key(keys, key, (struct bytes){spki, (size_t)n});
	OPENSSL_free(spki);
	X509_free(cert);
	return key ? 0 : -EINVAL;
}

static const char *take_entry(struct receipt_keys *keys, const json_t *entry, int *ret)
{
	struct bytes der = BYTES_NONE;
	char tree[16];

	if (!json_text(entry, "treeAlgorithm", tree, sizeof(tree)) || strcmp(tree, "CCF") != 0)
		return "an entry's treeAlgorithm is not CCF";
	*ret = json_base64(json_member(entry, "serviceCertificate"), &der);
	if (!*ret)
		*ret = add_certificate(keys, der);
	free((void *)(uintptr_t)der.p);
	return *ret ? "an entry's serviceCertificate is not a certificate in base64 with a key of "
	              "a kind that is supported"
	            : NULL;
}

static const char *take_entries(struct receipt_keys *keys, const json_t *list, int *ret)
{
	const char *why = NULL;

	if (json_array_size(list) == 0 || json_array_size(list) > STORE_ENTRIES_MAX)
		return "no list of 1 to 64 parameters";
	for (size_t i = 0; i < json_array_size(list) && !why; i++)
		why = take_entry(keys, json_array_get(list, i), ret);
	return why;
}

/* What a store or a key came to. */
static int finish(struct receipt_keys *keys, const char *why, int ret, struct receipt_keys **out,
                  struct checks *checks)
{
	if (why && ret != -ENOMEM)
		ret = -EINVAL;
	if (!ret) {
		*out = keys;
		return 0;
	}
	if (ret == -EINVAL)
		check_add(checks, "receipt.trust-store", CHECK_FAIL, "%s", why);
	receipt_keys_free(keys);
	return ret;
}

int receipt_store_parse(struct bytes json, struct receipt_keys **out, struct checks *checks)
{
	struct receipt_keys *keys = calloc(1, sizeof(*keys));
	const char *why = NULL;
	json_t *store = NULL;
	int ret;

	*out = NULL;
	if (!keys)
		return -ENOMEM;
	keys->store = true;
	ret = json_read(json, RECEIPT_STORE_MAX, STORE_DEPTH_MAX, &store);
	if (ret)
		why = "not a JSON object";
	else
		why = take_entries(keys, json_member(store, "parameters"), &ret);
	json_decref(store);
	ret = finish(keys, why, ret, out, checks);
	if (!ret)
		check_add(checks, "receipt.trust-store", CHECK_PASS, "%u keys", keys->n);
	return ret;
}

int receipt_key_parse(struct bytes text, struct receipt_keys **out, struct checks *checks)
{
	struct receipt_keys *keys = calloc(1, sizeof(*keys));
	EVP_PKEY *key = ledger_public_key(text);
	uint8_t *spki = NULL;
	int n = key ? i2d_PUBKEY(key, &spki) : 0;
	int ret;

	*out = NULL;
	if (keys && n > 0)
		add_key(keys, key, (struct bytes){spki, (size_t)n});
	else
		EVP_PKEY_free(key);
	OPENSSL_free(spki);
	if (!keys)
		return -ENOMEM;
	ret = finish(keys,
	             keys->n ? NULL : "not a public key of a known kind (RSA, ECDSA, Ed25519)", 0,
	             out, checks);
	if (!ret)
		check_add(checks, "receipt.trust-store", CHECK_PASS, "one key");
	return ret;
}

static const struct receipt_key *find(const struct receipt_keys *keys, struct bytes kid)
{
	for (uint32_t i = 0; i < keys->n; i++)
		if (bytes_equal(kid, bytes_str(keys->key[i].kid)))
			return &keys->key[i];
	return NULL;
}

/*
 * CCF names a key by its hash, in words; other services name theirs as they like, which says
 * nothing of a key that was given for them.
 */
EVP_PKEY *receipt_key_of(const struct receipt_keys *keys, const struct cose_receipt *r, bool *other,
                         const char **why)
{
	const struct receipt_key *k = &keys->key[0];

	*other = false;
	*why = NULL;
	if (keys->store && r->vds != VDS_CCF) {
		*other = true;
		*why = "not of a CCF ledger, whose keys are all that the trust store has";
		return NULL;
	}
	if (r->vds == VDS_CCF)
		k = find(keys, r->sign1.kid);
	if (!k) {
		*other = true;
		*why = "signed with a key that is not known";
		return NULL;
	}
	if (!cose_key_fits(k->key, r->sign1.alg)) {
		*why = "the algorithm does not fit the key";
		return NULL;
	}
	return k->key;
}
