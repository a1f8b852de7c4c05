/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated CCA platform in memory: its tokens. Touches no file. */
#include "attester/sim_cca.h"

#include <errno.h>
#include <string.h>
#include <openssl/ec.h>
#include <openssl/rand.h>
#include "core/cbor.h"

enum { SECURED = CCA_LIFECYCLE_SECURED << 8 };

static const char *const firmware[] = {"RSE_BL1_2", "RSE_BL2", "RSE_S", "AP_BL1",
                                       "AP_BL2",    "AP_BL31", "RMM"};

int sim_cca_begin(struct sim_cca *p)
{
	*p = (struct sim_cca){
	        .cpak = EVP_EC_gen("P-384"),
	        .rak = EVP_EC_gen("P-384"),
	        .tag = CCA_TAG_CMW,
	        .content_format = CCA_CONTENT_EAT,
	        .platform_cose = {.alg = COSE_ES384, .tagged = true},
	        .realm_cose = {.alg = COSE_ES384, .tagged = true},
	        .platform_profile = "tag:arm.com,2023:cca_platform#1.0.0",
	        .lifecycle = SECURED,
	        .components = sizeof(firmware) / sizeof(firmware[0]),
	        .hash = "sha-256",
	        .realm_profile = "tag:arm.com,2024:realm#2.0.0",
	        .realm_hash = "sha-256",
	        .rak_hash = "sha-256",
	        .digest_n = 32,
	};
	memset(p->rim, 0xc0, sizeof(p->rim));
	p->instance_id[0] = CCA_INSTANCE_ID_RAND;
	if (!p->cpak || !p->rak ||
	    RAND_bytes(p->implementation_id, sizeof(p->implementation_id)) != 1 ||
	    RAND_bytes(p->instance_id + 1, sizeof(p->instance_id) - 1) != 1)
		return -ENOMEM;
	return 0;
}

void sim_cca_free(struct sim_cca *p)
{
	EVP_PKEY_free(p->cpak);
	EVP_PKEY_free(p->rak);
	*p = (struct sim_cca){0};
}

/* ---------------------------------------------------------------------- claims */

/* A map whose number of pairs is known once they are written. */
struct claims_writer {
	struct buf pairs;
	uint64_t n, without;
};

/* True if the claim is to be written: then its value has to follow. */
static bool claim(struct claims_writer *w, uint64_t label)
{
	if (label == w->without)
		return false;
	item_put_uint(&w->pairs, label);
	w->n++;
	return true;
}

static void claim_bytes(struct claims_writer *w, uint64_t label, struct bytes v)
{
	if (claim(w, label))
		item_put_bytes(&w->pairs, v);
}

static void claim_text(struct claims_writer *w, uint64_t label, const char *text)
{
	if (claim(w, label))
		item_put_text(&w->pairs, text);
}

static void claims_end(struct claims_writer *w, struct bytes extra, struct buf *out)
{
	item_put_map(out, w->n + !!extra.n);
	buf_bytes(out, buf_view(&w->pairs));
	buf_bytes(out, extra);
	out->bad = out->bad || w->pairs.bad;
	buf_free(&w->pairs);
}

void sim_cca_components(const struct sim_cca *p, struct buf *out)
{
	enum { TYPE = 1, MEASUREMENT = 2, SIGNER_ID = 5, HASH = 6, MEMBERS = 4 };
	uint8_t signer[32], digest[32];

	memset(signer, 0x5e, sizeof(signer));
	item_put_array(out, p->components);
	for (uint32_t i = 0; i < p->components; i++) {
		memset(digest, (int)i + 1, sizeof(digest));
		item_put_map(out, MEMBERS);
		item_put_uint(out, TYPE);
		item_put_text(out, firmware[i % (sizeof(firmware) / sizeof(firmware[0]))]);
		item_put_uint(out, MEASUREMENT);
		item_put_bytes(out, BYTES_OF(digest));
		item_put_uint(out, SIGNER_ID);
		item_put_bytes(out, BYTES_OF(signer));
		item_put_uint(out, HASH);
		item_put_text(out, "sha-256");
	}
}

/* The content of claim 44237, and its hash as the platform signs it. */
static int rak_of(const struct sim_cca *p, struct buf *rak, uint8_t hash[static EVP_MAX_MD_SIZE],
                  unsigned *n)
{
	int rc = p->raw_rak || !p->realm_profile ? sim_cose_point(p->rak, rak)
	                                         : sim_cose_key(p->rak, rak);
	const EVP_MD *md = attest_cca_hash(bytes_str(p->rak_hash));

	if (rc || !md || !EVP_Digest(rak->p, rak->n, hash, n, md, NULL))
		return -EIO;
	return 0;
}

static void put_platform(const struct sim_cca *p, struct bytes challenge, struct buf *out)
{
	struct claims_writer w = {.pairs = buf_make(CCA_TOKEN_MAX), .without = p->platform_without};

	claim_text(&w, CCA_PROFILE, p->platform_profile);
	claim_bytes(&w, CCA_CHALLENGE, p->platform_challenge.n ? p->platform_challenge : challenge);
	claim_bytes(&w, CCA_IMPLEMENTATION_ID, BYTES_OF(p->implementation_id));
	claim_bytes(&w, CCA_INSTANCE_ID, BYTES_OF(p->instance_id));
	claim_bytes(&w, CCA_CONFIG, p->config);
	if (claim(&w, CCA_LIFECYCLE))
		item_put_uint(&w.pairs, p->lifecycle);
	claim_text(&w, CCA_HASH, p->hash);
	claim_text(&w, CCA_SERVICE, "https://cca.example/verification");
	if (claim(&w, CCA_COMPONENTS))
		sim_cca_components(p, &w.pairs);
	claims_end(&w, p->platform_extra, out);
}

static void put_realm(const struct sim_cca *p, struct bytes rak, struct bytes challenge,
                      struct buf *out)
{
	struct claims_writer w = {.pairs = buf_make(CCA_TOKEN_MAX), .without = p->realm_without};

	if (p->realm_profile)
		claim_text(&w, CCA_PROFILE, p->realm_profile);
	claim_bytes(&w, CCA_CHALLENGE, challenge);
	claim_text(&w, CCA_REALM_HASH, p->realm_hash);
	claim_text(&w, CCA_RAK_HASH, p->rak_hash);
	claim_bytes(&w, CCA_RPV, BYTES_OF(p->rpv));
	claim_bytes(&w, CCA_RAK, rak);
	claim_bytes(&w, CCA_RIM, (struct bytes){p->rim, p->digest_n});
	if (claim(&w, CCA_REM)) {
		item_put_array(&w.pairs, CCA_REMS);
		for (int i = 0; i < CCA_REMS; i++)
			item_put_bytes(&w.pairs, (struct bytes){p->rem[i], p->digest_n});
	}
	claims_end(&w, p->realm_extra, out);
}

/* ---------------------------------------------------------------------- tokens */

static void put_wrapped(const struct sim_cca *p, uint64_t label, struct bytes token,
                        struct buf *out)
{
	item_put_uint(out, label);
	if (p->tag == CCA_TAG_CMW) {
		item_put_array(out, 2);
		item_put_uint(out, p->content_format);
	}
	item_put_bytes(out, token);
}

int sim_cca_token(const struct sim_cca *p, const uint8_t *challenge, struct buf *out)
{
	struct buf rak = buf_make(SIM_CCA_KEY_MAX), payload = buf_make(CCA_TOKEN_MAX);
	struct buf platform = buf_make(CCA_TOKEN_MAX), realm = buf_make(CCA_TOKEN_MAX);
	struct bytes nonce = {challenge ? challenge : p->challenge, CCA_CHALLENGE_LEN};
	uint8_t hash[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	int rc = rak_of(p, &rak, hash, &n);

	if (rc == 0) {
		put_platform(p, (struct bytes){hash, n}, &payload);
		rc = payload.bad ? -EIO
		                 : sim_cose_sign1(&p->platform_cose,
		                                  p->platform_signer ? p->platform_signer : p->cpak,
		                                  buf_view(&payload), &platform);
	}
	if (rc == 0) {
		buf_reset(&payload);
		put_realm(p, buf_view(&rak), nonce, &payload);
		rc = payload.bad ? -EIO
		                 : sim_cose_sign1(&p->realm_cose,
		                                  p->realm_signer ? p->realm_signer : p->rak,
		                                  buf_view(&payload), &realm);
	}
	if (rc == 0) {
		item_put_tag(out, p->tag);
		item_put_map(out, 2);
		put_wrapped(p, CCA_TOKEN_PLATFORM, buf_view(&platform), out);
		put_wrapped(p, CCA_TOKEN_REALM, buf_view(&realm), out);
		rc = out->bad ? -EIO : 0;
	}
	buf_free(&rak);
	buf_free(&payload);
	buf_free(&platform);
	buf_free(&realm);
	return rc;
}
