/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signing, for those who run a log or a witness: note signatures (0x01) and cosignature/v1 (0x04)
 * by Ed25519 keys. Where the keys are kept, and whether to sign, is the caller's business: a log
 * must not sign what does not extend what it signed before, nor a witness cosign it.
 */
#include "ledger/room.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/err.h>

enum { ED25519_KEY = 32, ED25519_SIG = 64 };

int ledger_vkey_of(EVP_PKEY *key, const char *name, enum note_alg alg, struct vkey *out)
{
	struct vkey k = {.alg = (uint8_t)alg, .key_len = ED25519_KEY};
	size_t n = sizeof(k.key);

	if ((alg != NOTE_ED25519 && alg != NOTE_COSIGNATURE) || !ledger_name_ok(bytes_str(name)) ||
	    !EVP_PKEY_is_a(key, "ED25519") || !EVP_PKEY_get_raw_public_key(key, k.key, &n))
		return -EINVAL;
	memcpy(k.name, name, strlen(name));
	if (ledger_key_id(name, alg, (struct bytes){k.key, k.key_len}, k.id))
		return -EINVAL;
	*out = k;
	return 0;
}

int ledger_checkpoint_format(const struct checkpoint *cp, struct buf *out)
{
	char root[48];

	base64_encode(BYTES_OF(cp->root.v), root);
	buf_printf(out, "%s\n%" PRIu64 "\n%s\n", cp->origin, cp->size, root);
	return out->bad ? -ENOMEM : 0;
}

static int sign_ed25519(EVP_PKEY *key, struct bytes message, uint8_t sig[static ED25519_SIG])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = ED25519_SIG;
	int ret = -EINVAL;

	ERR_set_mark();
	if (ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key) == 1 &&
	    EVP_DigestSign(ctx, sig, &n, message.p, message.n) == 1 && n == ED25519_SIG)
		ret = 0;
	ERR_pop_to_mark();
	EVP_MD_CTX_free(ctx);
	return ret;
}

/* The text that the lines of a note sign; all of buf when it is a text only. */
static int signed_text(const struct buf *note, struct bytes *text, bool *is_note)
{
	struct note *n = malloc(sizeof(*n));
	struct bytes all = buf_view(note);

	if (!n)
		return -ENOMEM;
	*is_note = ledger_note_parse(all, n) == 0;
	*text = *is_note ? n->text : all;
	free(n);
	if (all.n == 0 || all.p[all.n - 1] != '\n' || !ledger_note_text_ok(all))
		return -EINVAL;
	return 0;
}

static int add_line(struct buf *note, bool is_note, const struct vkey *key, struct bytes payload)
{
	uint8_t raw[sizeof(key->id) + 8 + ED25519_SIG];
	char text[128];

	memcpy(raw, key->id, sizeof(key->id));
	memcpy(raw + sizeof(key->id), payload.p, payload.n);
	base64_encode((struct bytes){raw, sizeof(key->id) + payload.n}, text);
	buf_printf(note, "%s\xe2\x80\x94 %s %s\n", is_note ? "" : "\n", key->name, text);
	return note->bad ? -ENOMEM : 0;
}

int ledger_note_sign(struct buf *note, const char *name, EVP_PKEY *key)
{
	uint8_t sig[ED25519_SIG];
	struct bytes text = BYTES_NONE;
	struct vkey k;
	bool is_note;
	int ret = ledger_vkey_of(key, name, NOTE_ED25519, &k);

	if (!ret)
		ret = signed_text(note, &text, &is_note);
	if (!ret)
		ret = sign_ed25519(key, text, sig);
	return ret ? ret : add_line(note, is_note, &k, BYTES_OF(sig));
}

int ledger_note_cosign(struct buf *note, const char *name, EVP_PKEY *key, int64_t ts)
{
	uint8_t payload[8 + ED25519_SIG];
	struct buf message = buf_make(NOTE_MAX + 64);
	struct bytes text = BYTES_NONE;
	struct vkey k;
	bool is_note;
	int ret = ts > 0 ? ledger_vkey_of(key, name, NOTE_COSIGNATURE, &k) : -EINVAL;

	if (!ret)
		ret = signed_text(note, &text, &is_note);
	if (!ret) {
		ledger_cosigned_text(text, (uint64_t)ts, &message);
		ret = message.bad ? -ENOMEM : sign_ed25519(key, buf_view(&message), payload + 8);
	}
	buf_free(&message);
	if (ret)
		return ret;
	for (int i = 0; i < 8; i++)
		payload[i] = (uint8_t)((uint64_t)ts >> (56 - 8 * i));
	return add_line(note, is_note, &k, BYTES_OF(payload));
}
