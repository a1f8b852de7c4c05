/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Verifier keys ("vkeys", C2SP signed-note) and one signature line under one key, for the five
 * algorithms of note signatures. All cryptography is OpenSSL's; what it does not look at (points
 * of low order, key encodings that are not canonical) is refused here, when a key is loaded.
 */
#include "ledger/sigstore_room.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum {
	ED25519_KEY = 32,
	ED25519_SIG = 64,
	MLDSA44_KEY = 1312,
	MLDSA44_SIG = 2420,
	TIME_LEN = 8,
	PEM_TEXT_MAX = 65536,
	DER_SEQUENCE = 0x30,
};

/* --------------------------------------------------------------------- keys */

/*
 * The y coordinates (little endian) of the eight points of low order, any sign: a key among them
 * would verify signatures that nobody made.
 */
static const uint8_t low_order_y[][ED25519_KEY] = {
        {0},
        {1},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
         0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
         0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
};

/* y is below 2^255 - 19 (RFC 8032 5.1.3) and the point is not of low order. */
static bool ed25519_key_ok(const uint8_t *key)
{
	uint8_t y[ED25519_KEY];
	bool ones = true;

	memcpy(y, key, sizeof(y));
	y[31] &= 0x7f;
	for (size_t i = 1; i < 31; i++)
		ones = ones && y[i] == 0xff;
	if (ones && y[31] == 0x7f && y[0] >= 0xed)
		return false;
	for (size_t i = 0; i < sizeof(low_order_y) / sizeof(low_order_y[0]); i++) {
		if (memcmp(y, low_order_y[i], sizeof(y)) == 0)
			return false;
	}
	return true;
}

/* The key of a SubjectPublicKeyInfo that is exactly der and an EC key on P-256, P-384 or P-521. */
static EVP_PKEY *ec_key(struct bytes der)
{
	static const char *const groups[] = {"prime256v1", "secp384r1", "secp521r1"};
	const uint8_t *p = der.p;
	uint8_t *again = NULL;
	char group[32];
	bool ok = false;
	EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)der.n);

	if (!key || !EVP_PKEY_is_a(key, "EC") ||
	    !EVP_PKEY_get_group_name(key, group, sizeof(group), NULL))
		goto out;

	int n = i2d_PUBKEY(key, &again);

	if (n < 0 || !bytes_equal(der, (struct bytes){again, (size_t)n}))
		goto out;
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		ok = ok || strcmp(group, groups[i]) == 0;
out:
	OPENSSL_free(again);
	if (!ok) {
		EVP_PKEY_free(key);
		key = NULL;
	}
	return key;
}

EVP_PKEY *ledger_public_key(struct bytes text)
{
	char *name = NULL, *header = NULL;
	uint8_t *der = NULL;
	EVP_PKEY *key = NULL;
	BIO *bio;
	long n = 0;

	if (text.n == 0 || text.n > PEM_TEXT_MAX)
		return NULL;
	if (text.p[0] == DER_SEQUENCE)
		return sigstore_public_key(text, false);
	ERR_set_mark();
	bio = BIO_new_mem_buf(text.p, (int)text.n);
	if (bio && PEM_read_bio(bio, &name, &header, &der, &n) == 1 && n > 0 &&
	    !strcmp(name, PEM_STRING_PUBLIC))
		key = sigstore_public_key((struct bytes){der, (size_t)n}, false);
	ERR_pop_to_mark();
	OPENSSL_free(name);
	OPENSSL_free(header);
	OPENSSL_free(der);
	BIO_free(bio);
	return key;
}

static bool key_ok(enum note_alg alg, struct bytes key)
{
	switch (alg) {
	case NOTE_ED25519:
	case NOTE_COSIGNATURE:
		return key.n == ED25519_KEY && ed25519_key_ok(key.p);
	case NOTE_MLDSA44:
		return key.n == MLDSA44_KEY;
	case NOTE_ECDSA:
	case NOTE_RFC6962: {
		EVP_PKEY *k = ec_key(key);

		EVP_PKEY_free(k);
		return k != NULL;
	}
	}
	return false;
}

int ledger_key_id(const char *name, enum note_alg alg, struct bytes key, uint8_t id[static 4])
{
	uint8_t text[NOTE_NAME_MAX + 2 + LEDGER_KEY_MAX];
	uint8_t digest[EVP_MAX_MD_SIZE];
	uint8_t log_id[HASH_LEN];
	size_t name_n = strlen(name);
	size_t n = 0;

	if (name_n > NOTE_NAME_MAX || key.n > LEDGER_KEY_MAX)
		return -EINVAL;
	if (alg == NOTE_RFC6962) {
		if (!EVP_Digest(key.p, key.n, log_id, NULL, EVP_sha256(), NULL))
			return -EINVAL;
		key = BYTES_OF(log_id);
	}
	if (alg != NOTE_ECDSA) {
		memcpy(text, name, name_n);
		n = name_n;
		text[n++] = '\n';
		text[n++] = (uint8_t)alg;
	}
	memcpy(text + n, key.p, key.n);
	if (!EVP_Digest(text, n + key.n, digest, NULL, EVP_sha256(), NULL))
		return -EINVAL;
	memcpy(id, digest, 4);
	return 0;
}

/* Cuts *rest at the first '+'. */
static bool up_to_plus(struct bytes *rest, struct bytes *out)
{
	const uint8_t *plus = rest->n ? memchr(rest->p, '+', rest->n) : NULL;

	if (!plus)
		return false;
	*out = (struct bytes){rest->p, (size_t)(plus - rest->p)};
	rest->n -= out->n + 1;
	rest->p = plus + 1;
	return true;
}

int ledger_vkey_parse(struct bytes text, struct vkey *out)
{
	uint8_t raw[1 + LEDGER_KEY_MAX];
	uint8_t id[4];
	char hex[9];
	struct bytes name;
	struct bytes id_text;
	struct vkey k = {0};

	/* The base64 may hold '+' itself. */
	if (text.n > VKEY_TEXT_MAX || !up_to_plus(&text, &name) || !up_to_plus(&text, &id_text) ||
	    !ledger_name_ok(name) || hex_decode(id_text, k.id, sizeof(k.id)))
		return -EINVAL;

	int n = base64_decode(text, raw, sizeof(raw));

	if (n < 2)
		return -EINVAL;
	memcpy(k.name, name.p, name.n);
	k.alg = raw[0];
	k.key_len = (uint16_t)(n - 1);
	memcpy(k.key, raw + 1, k.key_len);

	struct bytes key = {k.key, k.key_len};

	/* The id is written in lower case and is what the rest makes it. */
	hex_encode(BYTES_OF(k.id), hex);
	if (!bytes_equal(id_text, bytes_str(hex)) || !key_ok(k.alg, key) ||
	    ledger_key_id(k.name, k.alg, key, id) || memcmp(id, k.id, sizeof(id)) != 0)
		return -EINVAL;
	*out = k;
	return 0;
}

int ledger_vkey_format(const struct vkey *k, struct buf *out)
{
	uint8_t raw[1 + LEDGER_KEY_MAX];
	char text[(sizeof(raw) + 2) / 3 * 4 + 1];
	char hex[9];

	if (k->key_len > LEDGER_KEY_MAX)
		return -EINVAL;
	raw[0] = k->alg;
	memcpy(raw + 1, k->key, k->key_len);
	base64_encode((struct bytes){raw, 1u + k->key_len}, text);
	hex_encode(BYTES_OF(k->id), hex);
	buf_printf(out, "%s+%s+%s", k->name, hex, text);
	return out->bad ? -ENOMEM : 0;
}

/* --------------------------------------------------------------- signatures */

bool ledger_sig_is_of(const struct note_sig *sig, const struct vkey *key)
{
	return memcmp(sig->id, key->id, sizeof(sig->id)) == 0 &&
	       bytes_equal(sig->name, bytes_str(key->name));
}

static enum sig_state verify(EVP_PKEY *key, const EVP_MD *md, struct bytes sig,
                             struct bytes message)
{
	enum sig_state state = SIG_BAD;
	EVP_MD_CTX *ctx = key ? EVP_MD_CTX_new() : NULL;

	if (ctx && EVP_DigestVerifyInit(ctx, NULL, md, NULL, key) == 1 &&
	    EVP_DigestVerify(ctx, sig.p, sig.n, message.p, message.n) == 1)
		state = SIG_GOOD;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(key);
	return state;
}

static enum sig_state verify_ed25519(struct bytes key, struct bytes sig, struct bytes message)
{
	if (sig.n != ED25519_SIG)
		return SIG_BAD;
	return verify(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key.p, key.n), NULL, sig,
	              message);
}

static bool have_mldsa44(void)
{
	EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ML-DSA-44", NULL);

	EVP_SIGNATURE_free(s);
	return s != NULL;
}

void ledger_cosigned_text(struct bytes text, uint64_t ts, struct buf *out)
{
	buf_printf(out, "cosignature/v1\ntime %" PRIu64 "\n", ts);
	buf_bytes(out, text);
}

static enum sig_state check_cosignature(struct bytes key, struct bytes sig, struct bytes text,
                                        uint64_t ts)
{
	struct buf m = buf_make(NOTE_MAX + 64);
	enum sig_state state = SIG_BAD;

	ledger_cosigned_text(text, ts, &m);
	if (!m.bad)
		state = verify_ed25519(key, sig, buf_view(&m));
	buf_free(&m);
	return state;
}

/* tlog-cosignature's cosigned_message. Only what starts at 0 can be said to be the newest. */
static enum sig_state check_mldsa44(const struct vkey *key, struct bytes sig,
                                    const struct subtree *s, uint64_t ts)
{
	static const char label[12] = "subtree/v1\n"; /* and the NUL */
	struct buf m = buf_make(1024);
	enum sig_state state = SIG_BAD;

	if (sig.n != MLDSA44_SIG || (s->start && ts))
		return SIG_BAD;
	if (!have_mldsa44())
		return SIG_UNAVAILABLE;
	buf_put(&m, label, sizeof(label));
	buf_u8(&m, (uint8_t)strlen(key->name));
	buf_str(&m, key->name);
	buf_be64(&m, ts);
	buf_u8(&m, (uint8_t)strlen(s->origin));
	buf_str(&m, s->origin);
	buf_be64(&m, s->start);
	buf_be64(&m, s->end);
	buf_put(&m, s->root.v, HASH_LEN);
	if (!m.bad)
		state = verify(EVP_PKEY_new_raw_public_key_ex(NULL, "ML-DSA-44", NULL, key->key,
		                                              key->key_len),
		               NULL, sig, buf_view(&m));
	buf_free(&m);
	return state;
}

/*
 * RFC 6962 3.5: time in ms, then a digitally-signed struct (SHA-256, ECDSA) over version,
 * signature type, time, size and root. The origin is not signed, so the key binds the log; text
 * beyond the three lines would not be covered at all.
 */
static enum sig_state check_rfc6962(struct bytes key, struct bytes sig, struct bytes text,
                                    const struct checkpoint *cp)
{
	struct reader r = reader_of(sig);
	uint64_t ms = rd_be64(&r);
	uint8_t hash_alg = rd_u8(&r);
	uint8_t sig_alg = rd_u8(&r);
	struct bytes value = rd_vec16(&r);
	struct buf m = buf_make(64);
	enum sig_state state = SIG_BAD;
	struct bytes line;

	for (int i = 0; i < 3; i++)
		(void)ledger_line(&text, &line);
	if (!rd_done(&r) || hash_alg != 4 || sig_alg != 3 || text.n)
		return SIG_BAD;
	buf_u8(&m, 0);
	buf_u8(&m, 1);
	buf_be64(&m, ms);
	buf_be64(&m, cp->size);
	buf_put(&m, cp->root.v, HASH_LEN);
	if (!m.bad)
		state = verify(ec_key(key), EVP_sha256(), value, buf_view(&m));
	buf_free(&m);
	return state;
}

static enum sig_state check_whole_tree(const struct vkey *key, struct bytes sig,
                                       const struct checkpoint *cp, uint64_t ts)
{
	struct subtree s = {.end = cp->size, .root = cp->root};

	memcpy(s.origin, cp->origin, sizeof(s.origin));
	return check_mldsa44(key, sig, &s, ts);
}

static enum sig_state sig_check(const struct vkey *key, struct bytes sig, struct bytes text,
                                const struct checkpoint *cp, uint64_t *ts)
{
	struct bytes k = {key->key, key->key_len};
	struct reader r = reader_of(sig);

	switch ((enum note_alg)key->alg) {
	case NOTE_ED25519:
		return verify_ed25519(k, sig, text);
	case NOTE_ECDSA:
		return verify(ec_key(k), EVP_sha256(), sig, text);
	case NOTE_RFC6962:
		return cp ? check_rfc6962(k, sig, text, cp) : SIG_BAD;
	case NOTE_COSIGNATURE:
	case NOTE_MLDSA44:
		*ts = rd_be64(&r);
		if (r.bad || *ts > INT64_MAX)
			return SIG_BAD;
		if (key->alg == NOTE_COSIGNATURE)
			return check_cosignature(k, (struct bytes){r.p, r.left}, text, *ts);
		return cp ? check_whole_tree(key, (struct bytes){r.p, r.left}, cp, *ts) : SIG_BAD;
	}
	return SIG_BAD;
}

enum sig_state ledger_sig_check(const struct note_sig *sig, const struct vkey *key,
                                struct bytes text, const struct checkpoint *cp, uint64_t *ts)
{
	enum sig_state state;

	*ts = 0;
	/* What a failed verification leaves in OpenSSL's error queue is nobody's business. */
	ERR_set_mark();
	state = sig_check(key, (struct bytes){sig->sig, sig->sig_len}, text, cp, ts);
	ERR_pop_to_mark();
	return state;
}

enum sig_state ledger_subtree_sig_check(const struct note_sig *sig, const struct vkey *key,
                                        const struct subtree *s, uint64_t *ts)
{
	struct reader r = reader_of((struct bytes){sig->sig, sig->sig_len});
	enum sig_state state;

	*ts = rd_be64(&r);
	if (key->alg != NOTE_MLDSA44 || r.bad || *ts > INT64_MAX)
		return SIG_BAD;
	ERR_set_mark();
	state = check_mldsa44(key, (struct bytes){r.p, r.left}, s, *ts);
	ERR_pop_to_mark();
	return state;
}

bool ledger_ed25519_ok(const uint8_t *key)
{
	return ed25519_key_ok(key);
}

bool ledger_ed25519_verify(const uint8_t *key, const uint8_t *sig, struct bytes message)
{
	bool good;

	ERR_set_mark();
	good = verify_ed25519((struct bytes){key, ED25519_KEY}, (struct bytes){sig, ED25519_SIG},
	                      message) == SIG_GOOD;
	ERR_pop_to_mark();
	return good;
}
