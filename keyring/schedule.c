/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a traffic secret to what the kernel's record layer is given. Pure: no system call. What it
 * writes is key material; its callers keep it in memory from secret_alloc and wipe it.
 */
#include <errno.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include "core/secret.h"
#include "keyring/internal.h"

enum { IV_LEN = 12, SEQ_LEN = 8 };

static const struct keyring_cipher ciphers[] = {
        {SUITE_AES_128_GCM_SHA256, TLS_CIPHER_AES_GCM_128, "SHA256", 32, 16, 4,
         sizeof(struct tls12_crypto_info_aes_gcm_128)},
        {SUITE_AES_256_GCM_SHA384, TLS_CIPHER_AES_GCM_256, "SHA384", 48, 32, 4,
         sizeof(struct tls12_crypto_info_aes_gcm_256)},
        {SUITE_CHACHA20_POLY1305_SHA256, TLS_CIPHER_CHACHA20_POLY1305, "SHA256", 32, 32, 0,
         sizeof(struct tls12_crypto_info_chacha20_poly1305)},
};

const struct keyring_cipher *keyring_cipher_of(uint16_t suite)
{
	for (size_t i = 0; i < sizeof(ciphers) / sizeof(ciphers[0]); i++) {
		if (ciphers[i].suite == suite)
			return &ciphers[i];
	}
	return NULL;
}

/* HKDF-Expand-Label(secret, label, "", n), RFC 8446 section 7.1. */
static bool expand_label(EVP_KDF_CTX *kdf, const struct keyring_cipher *c, const uint8_t *secret,
                         const char *label, uint8_t *out, size_t n)
{
	int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
	/* The parameters' types are not const, though the library only reads them. */
	const OSSL_PARAM params[] = {
	        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
	        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
	                                         (char *)(uintptr_t)c->digest, 0),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)secret,
	                                          c->secret_len),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX,
	                                          (void *)(uintptr_t) "tls13 ", 6),
	        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (void *)(uintptr_t)label,
	                                          strlen(label)),
	        OSSL_PARAM_construct_end(),
	};

	return EVP_KDF_derive(kdf, out, n, params) == 1;
}

static void put_be64(uint8_t out[static SEQ_LEN], uint64_t v)
{
	for (int i = SEQ_LEN - 1; i >= 0; i--, v >>= 8)
		out[i] = (uint8_t)v;
}

/* The per-cipher structures differ only in widths, so one walk fills all of them. */
static void lay_out(const struct keyring_cipher *c, const uint8_t *key, const uint8_t *iv,
                    uint64_t seq, union keyring_info *out)
{
	uint8_t *p = out->bytes + sizeof(out->head);

	out->head.version = TLS_1_3_VERSION;
	out->head.cipher_type = c->type;
	memcpy(p, iv + c->salt_len, IV_LEN - c->salt_len);
	p += IV_LEN - c->salt_len;
	memcpy(p, key, c->key_len);
	p += c->key_len;
	memcpy(p, iv, c->salt_len);
	p += c->salt_len;
	put_be64(p, seq);
}

/* That walk is right only while the kernel's header says so. */
#define LAID_OUT(type, key_len, salt_len) \
	_Static_assert(offsetof(struct type, key) == 4 + IV_LEN - (salt_len) && \
	                       offsetof(struct type, rec_seq) == 4 + IV_LEN + (key_len) && \
	                       sizeof(struct type) == 4 + IV_LEN + (key_len) + SEQ_LEN, \
	               #type)
LAID_OUT(tls12_crypto_info_aes_gcm_128, 16, 4);
LAID_OUT(tls12_crypto_info_aes_gcm_256, 32, 4);
LAID_OUT(tls12_crypto_info_chacha20_poly1305, 32, 0);

int keyring_derive(const struct keyring_cipher *c, const uint8_t *secret, uint64_t seq,
                   union keyring_info *out)
{
	uint8_t key[32], iv[IV_LEN];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ret = -EIO;

	memset(out, 0, sizeof(*out));
	if (ctx && expand_label(ctx, c, secret, "key", key, c->key_len) &&
	    expand_label(ctx, c, secret, "iv", iv, sizeof(iv))) {
		lay_out(c, key, iv, seq, out);
		ret = 0;
	}
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	secret_wipe(key, sizeof(key));
	secret_wipe(iv, sizeof(iv));
	return ret;
}

int keyring_next_secret(const struct keyring_cipher *c, uint8_t *secret)
{
	uint8_t next[KEYRING_SECRET_MAX];
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL);
	EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	int ret = -EIO;

	if (ctx && expand_label(ctx, c, secret, "traffic upd", next, c->secret_len)) {
		memcpy(secret, next, c->secret_len);
		ret = 0;
	} else {
		secret_wipe(secret, c->secret_len);
	}
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	secret_wipe(next, sizeof(next));
	return ret;
}
