/* SPDX-License-Identifier: Apache-2.0 */
/* Exported authenticators: both halves against each other, and every tampering by its own check. */
#include "tests/unit/attest_build.h"

#include <errno.h>
#include "attest/authenticator.h"

#define NAME "service.example.com"

struct party {
	EVP_PKEY *key;
	struct der leaf;
};

static struct {
	struct party p256, p384, ed25519, rsa;
} party;

struct exchange {
	struct authenticator_keys keys;
	struct buf request, msg;
	struct authenticator out;
	struct checks checks;
};

static void make_party(struct party *p, EVP_PKEY *key)
{
	struct cert_spec spec = {.cn = NAME,
	                         .issuer = NAME,
	                         .key = key,
	                         .signer = key,
	                         .begin = SIM_BEGIN,
	                         .end = SIM_END,
	                         .serial = 5};
	X509 *cert = cert_begin(&spec);

	assert_non_null(key);
	p->key = key;
	assert_true(X509_sign(cert, key,
	                      EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519 ? NULL : EVP_sha256()));
	cert_der(cert, &p->leaf);
	X509_free(cert);
}

static int set_up(void **state)
{
	(void)state;
	make_party(&party.p256, EVP_EC_gen(SN_X9_62_prime256v1));
	make_party(&party.p384, EVP_EC_gen(SN_secp384r1));
	make_party(&party.ed25519, EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"));
	make_party(&party.rsa, EVP_RSA_gen(2048));
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	EVP_PKEY_free(party.p256.key);
	EVP_PKEY_free(party.p384.key);
	EVP_PKEY_free(party.ed25519.key);
	EVP_PKEY_free(party.rsa.key);
	return 0;
}

static void keys_fill(struct authenticator_keys *k, const char *digest, uint8_t hash_len)
{
	memset(k, 0, sizeof(*k));
	snprintf(k->digest, sizeof(k->digest), "%s", digest);
	k->hash_len = hash_len;
	memset(k->handshake_context, 0x71, sizeof(k->handshake_context));
	memset(k->finished_key, 0x72, sizeof(k->finished_key));
	memset(k->attestation, 0x73, sizeof(k->attestation));
}

/* A good exchange by this party. */
static void start(struct exchange *x, const struct party *p, const char *digest, uint8_t hash_len)
{
	uint8_t context[32];
	struct bytes chain[2] = {der_view(&p->leaf), der_view(&party.rsa.leaf)};

	memset(x, 0, sizeof(*x));
	memset(context, 0xc0, sizeof(context));
	keys_fill(&x->keys, digest, hash_len);
	x->request = buf_make(AUTHENTICATOR_REQUEST_MAX);
	x->msg = buf_make(AUTHENTICATOR_MAX);
	assert_int_equal(authenticator_request_build(context, NAME, false, &x->request), 0);
	assert_int_equal(authenticator_build(&x->keys, buf_view(&x->request), chain, 2, p->key,
	                                     bytes_str("the evidence"), &x->msg),
	                 0);
}

static void finish(struct exchange *x)
{
	buf_free(&x->request);
	buf_free(&x->msg);
}

/* The message on the heap at its exact size. */
static void judge_bytes(struct exchange *x, struct bytes msg)
{
	uint8_t *exact = malloc(msg.n ? msg.n : 1);

	if (msg.n)
		memcpy(exact, msg.p, msg.n);
	memset(&x->checks, 0, sizeof(x->checks));
	assert_int_equal(authenticator_verify(&x->keys, buf_view(&x->request),
	                                      (struct bytes){exact, msg.n}, &x->out, &x->checks),
	                 0);
	free(exact);
}

static void judge(struct exchange *x)
{
	judge_bytes(x, buf_view(&x->msg));
}

static void both_halves_agree(void **state)
{
	const struct party *parties[] = {&party.p256, &party.p384, &party.ed25519};
	(void)state;

	for (size_t i = 0; i < 6; i++) {
		const struct party *p = parties[i / 2];
		struct exchange x;
		uint8_t hash[32], *spki = NULL;
		X509 *cert;
		const uint8_t *der = p->leaf.p;
		int n;

		start(&x, p, i % 2 ? "SHA384" : "SHA256", i % 2 ? 48 : 32);
		assert_int_equal(authenticator_verify(&x.keys, buf_view(&x.request),
		                                      buf_view(&x.msg), &x.out, &x.checks),
		                 0);
		expect_pass(&x.checks);
		assert_int_equal(x.checks.n, 6);
		assert_true(bytes_equal(x.out.cmw, bytes_str("the evidence")));
		assert_true(bytes_equal(x.out.leaf, der_view(&p->leaf)));
		cert = d2i_X509(NULL, &der, (long)p->leaf.n);
		n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &spki);
		assert_true(n > 0);
		assert_true(bytes_equal(x.out.spki, (struct bytes){spki, (size_t)n}));
		EVP_Digest(spki, (size_t)n, hash, NULL, EVP_sha256(), NULL);
		assert_memory_equal(hash, x.out.spki_sha256, 32);
		OPENSSL_free(spki);
		X509_free(cert);
		finish(&x);
	}
}

/* Where the parts of a good message lie. */
static size_t message_at(const struct buf *b, unsigned type)
{
	size_t at = 0;

	while (b->p[at] != type)
		at += 4 + ((size_t)b->p[at + 1] << 16 | (size_t)b->p[at + 2] << 8 | b->p[at + 3]);
	return at;
}

static void each_tampering_has_its_check(void **state)
{
	struct exchange x;
	size_t verify, finished;
	(void)state;

	start(&x, &party.p256, "SHA256", 32);
	verify = message_at(&x.msg, 15);
	finished = message_at(&x.msg, 20);

	x.msg.p[5] ^= 1;
	judge(&x);
	expect_only(&x.checks, "auth.context", CHECK_FAIL);
	x.msg.p[5] ^= 1;

	x.msg.p[finished - 1] ^= 1; /* the end of the signature */
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	x.msg.p[finished - 1] ^= 1;

	x.msg.p[verify + 4] = 5; /* ecdsa_secp384r1_sha384, which a P-256 key can't make */
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	assert_non_null(strstr(checks_find(&x.checks, "auth.signature")->detail, "does not fit"));
	x.msg.p[verify + 4] = 8; /* 0x0803: nobody's scheme */
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	x.msg.p[verify + 4] = 4;

	x.msg.p[x.msg.n - 1] ^= 1;
	judge(&x);
	expect_only(&x.checks, "auth.finished", CHECK_FAIL);
	x.msg.p[x.msg.n - 1] ^= 1;

	buf_u8(&x.msg, 0);
	judge(&x);
	expect_only(&x.checks, "auth.format", CHECK_FAIL);
	x.msg.n--;

	judge(&x);
	expect_pass(&x.checks);
	finish(&x);
}

static void every_flip_is_refused(void **state)
{
	struct exchange x;
	(void)state;

	start(&x, &party.ed25519, "SHA256", 32);
	for (size_t i = 0; i < x.msg.n; i++) {
		x.msg.p[i] ^= (uint8_t)(1u << (i % 8));
		judge(&x);
		if (checks_overall(&x.checks) != CHECK_FAIL)
			fail_msg("a flip at %zu passed", i);
		x.msg.p[i] ^= (uint8_t)(1u << (i % 8));
	}
	finish(&x);
}

static void cut_anywhere(void **state)
{
	struct exchange x;
	(void)state;

	start(&x, &party.p384, "SHA384", 48);
	for (size_t n = 0; n < x.msg.n; n++) {
		judge_bytes(&x, (struct bytes){x.msg.p, n});
		expect_only(&x.checks, "auth.format", CHECK_FAIL);
	}
	finish(&x);
}

static void another_connection_or_role_does_not_pass(void **state)
{
	struct exchange x;
	uint8_t context[32] = {1};
	(void)state;

	/* The client's labels give both values another content; so does another connection. */
	start(&x, &party.p256, "SHA256", 32);
	x.keys.handshake_context[0] ^= 1;
	x.keys.finished_key[0] ^= 1;
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	x.keys.handshake_context[0] ^= 1;
	judge(&x);
	expect_only(&x.checks, "auth.finished", CHECK_FAIL);
	x.keys.finished_key[0] ^= 1;
	judge(&x);
	expect_pass(&x.checks);

	/* The answer to another request of this connection. */
	buf_reset(&x.request);
	assert_int_equal(authenticator_request_build(context, NAME, false, &x.request), 0);
	judge(&x);
	expect_only(&x.checks, "auth.context", CHECK_FAIL);
	/* The same context under another name. */
	memset(context, 0xc0, sizeof(context));
	buf_reset(&x.request);
	assert_int_equal(
	        authenticator_request_build(context, "other.example.com", false, &x.request), 0);
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	finish(&x);

	/* Another hash than the suite's. */
	start(&x, &party.p256, "SHA256", 32);
	keys_fill(&x.keys, "SHA384", 48);
	judge(&x);
	expect_only(&x.checks, "auth.format", CHECK_FAIL);
	keys_fill(&x.keys, "MD5", 32);
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	finish(&x);
}

static void declining_is_a_refusal(void **state)
{
	struct exchange x;
	(void)state;

	start(&x, &party.p256, "SHA256", 32);
	buf_reset(&x.msg);
	assert_int_equal(authenticator_decline(&x.keys, buf_view(&x.request), &x.msg), 0);
	assert_int_equal(authenticator_length(buf_view(&x.msg)), (int64_t)x.msg.n);
	judge(&x);
	expect_only(&x.checks, "auth.declined", CHECK_FAIL);
	assert_int_equal(checks_find(&x.checks, "auth.finished")->status, CHECK_PASS);
	x.msg.p[4] ^= 1;
	judge(&x);
	assert_int_equal(checks_overall(&x.checks), CHECK_FAIL);
	assert_int_equal(checks_find(&x.checks, "auth.finished")->status, CHECK_FAIL);
	finish(&x);
}

static void no_evidence_is_a_refusal(void **state)
{
	struct exchange x;
	struct bytes chain = der_view(&party.p256.leaf);
	(void)state;

	start(&x, &party.p256, "SHA256", 32);
	buf_reset(&x.msg);
	assert_int_equal(authenticator_build(&x.keys, buf_view(&x.request), &chain, 1,
	                                     party.p256.key, BYTES_NONE, &x.msg),
	                 0);
	judge(&x);
	expect_only(&x.checks, "auth.evidence-present", CHECK_FAIL);
	finish(&x);
}

/* -------------------------------------------------------- Certificate messages by hand */

struct ext {
	uint16_t type;
	struct bytes content;
};

struct entry {
	struct bytes cert;
	struct ext ext[2];
	size_t exts;
};

static void by_hand(struct buf *out, uint8_t context_n, const struct entry *e, size_t n)
{
	struct buf list = buf_make(AUTHENTICATOR_MAX);
	static const uint8_t mac[32];

	for (size_t i = 0; i < n; i++) {
		size_t exts = 0;

		for (size_t k = 0; k < e[i].exts; k++)
			exts += 4 + e[i].ext[k].content.n;
		buf_be24(&list, (uint32_t)e[i].cert.n);
		buf_bytes(&list, e[i].cert);
		buf_be16(&list, (uint16_t)exts);
		for (size_t k = 0; k < e[i].exts; k++) {
			buf_be16(&list, e[i].ext[k].type);
			buf_be16(&list, (uint16_t)e[i].ext[k].content.n);
			buf_bytes(&list, e[i].ext[k].content);
		}
	}
	buf_u8(out, 11);
	buf_be24(out, (uint32_t)(1 + context_n + 3 + list.n));
	buf_u8(out, context_n);
	for (unsigned i = 0; i < context_n; i++)
		buf_u8(out, 0xc0);
	buf_be24(out, (uint32_t)list.n);
	buf_bytes(out, buf_view(&list));
	buf_u8(out, 15);
	buf_be24(out, 2 + 2 + 8);
	buf_be16(out, 0x0403);
	buf_be16(out, 8);
	buf_put(out, mac, 8);
	buf_u8(out, 20);
	buf_be24(out, 32);
	buf_put(out, mac, 32);
	buf_free(&list);
}

static void certificate_message_is_strict(void **state)
{
	static const uint8_t cmw[] = {0, 2, 'e', 'v'}, empty[] = {0, 0}, tail[] = {0, 1, 'e', 'v'};
	const struct bytes leaf = der_view(&party.p256.leaf);
	struct entry good = {leaf, {{AUTHENTICATOR_EXT_CMW, BYTES_OF(cmw)}}, 1};
	struct entry plain = {leaf, {{0}}, 0};
	struct entry e[AUTHENTICATOR_CHAIN_MAX + 1];
	struct exchange x;
	(void)state;

	start(&x, &party.p256, "SHA256", 32);
#define JUDGE(id, context_n, n) \
	do { \
		buf_reset(&x.msg); \
		by_hand(&x.msg, context_n, e, n); \
		judge(&x); \
		expect_only(&x.checks, id, CHECK_FAIL); \
	} while (0)
	for (size_t i = 0; i < sizeof(e) / sizeof(e[0]); i++)
		e[i] = i ? plain : good;
	JUDGE("auth.signature", 32, 1); /* the form is right, the signature of course not */
	JUDGE("auth.signature", 32, AUTHENTICATOR_CHAIN_MAX);
	JUDGE("auth.format", 32, AUTHENTICATOR_CHAIN_MAX + 1);
	JUDGE("auth.format", 32, 0);
	JUDGE("auth.context", 31, 1);
	JUDGE("auth.context", 0, 1);
	e[1] = good; /* evidence belongs to the first entry */
	JUDGE("auth.format", 32, 2);
	e[1] = plain;
	e[0].ext[0].type = 5; /* status_request, which was not asked for */
	JUDGE("auth.format", 32, 1);
	e[0].ext[0].type = 0; /* server_name, which has no place here */
	JUDGE("auth.format", 32, 1);
	e[0] = good;
	e[0].ext[1] = e[0].ext[0];
	e[0].exts = 2;
	JUDGE("auth.format", 32, 1);
	e[0] = good;
	e[0].ext[0].content = BYTES_OF(empty);
	JUDGE("auth.format", 32, 1);
	e[0].ext[0].content = BYTES_OF(tail);
	JUDGE("auth.format", 32, 1);
	e[0] = good;
	e[0].cert = bytes_str("no certificate");
	JUDGE("auth.format", 32, 1);
	e[0].cert.n = 0;
	JUDGE("auth.format", 32, 1);
#undef JUDGE
	finish(&x);
}

static void evidence_must_have_been_asked_for(void **state)
{
	struct exchange x;
	struct bytes chain = der_view(&party.p256.leaf);
	size_t n;
	(void)state;

	/* The request without its last extension. */
	start(&x, &party.p256, "SHA256", 32);
	n = x.request.n;
	x.request.n -= 4;
	x.request.p[3] = (uint8_t)(x.request.p[3] - 4);
	x.request.p[38] = (uint8_t)(x.request.p[38] - 4);
	judge(&x);
	expect_only(&x.checks, "auth.format", CHECK_FAIL);
	assert_int_equal(authenticator_build(&x.keys, buf_view(&x.request), &chain, 1,
	                                     party.p256.key, bytes_str("e"), &x.msg),
	                 -EINVAL);
	x.request.n = n;
	finish(&x);
}

static void schemes_are_bound_to_keys(void **state)
{
	struct exchange x;
	struct bytes chain = der_view(&party.rsa.leaf);
	(void)state;

	start(&x, &party.p384, "SHA256", 32);
	assert_int_equal(authenticator_build(&x.keys, buf_view(&x.request), &chain, 1,
	                                     party.rsa.key, bytes_str("e"), &x.msg),
	                 -EINVAL);
	/* A request that does not offer the scheme that the answer uses. */
	assert_int_equal(x.request.p[47], 0x05);
	x.request.p[47] = 0x06;
	judge(&x);
	expect_only(&x.checks, "auth.signature", CHECK_FAIL);
	assert_non_null(strstr(checks_find(&x.checks, "auth.signature")->detail, "not asked for"));
	chain = der_view(&party.p384.leaf);
	assert_int_equal(authenticator_build(&x.keys, buf_view(&x.request), &chain, 1,
	                                     party.p384.key, bytes_str("e"), &x.msg),
	                 -EINVAL);
	finish(&x);
}

static void what_can_not_be_built(void **state)
{
	static uint8_t large[AUTHENTICATOR_CMW_MAX + 1];
	struct exchange x;
	struct bytes chain[AUTHENTICATOR_CHAIN_MAX + 1];
	struct bytes cmw = {large, sizeof(large)};
	struct buf small;
	(void)state;

	for (size_t i = 0; i < sizeof(chain) / sizeof(chain[0]); i++)
		chain[i] = der_view(&party.p256.leaf);
	start(&x, &party.p256, "SHA256", 32);
	buf_reset(&x.msg);
#define BUILD(chain_n, cmw_) \
	authenticator_build(&x.keys, buf_view(&x.request), chain, chain_n, party.p256.key, cmw_, \
	                    &x.msg)
	assert_int_equal(BUILD(0, bytes_str("e")), -EINVAL);
	assert_int_equal(BUILD(AUTHENTICATOR_CHAIN_MAX + 1, bytes_str("e")), -EINVAL);
	assert_int_equal(BUILD(1, cmw), -EINVAL);
	assert_int_equal(x.msg.n, 0);
	cmw.n--;
	assert_int_equal(BUILD(1, cmw), 0); /* the largest there can be */
	judge(&x);
	expect_pass(&x.checks);
	small = buf_make(100);
	assert_int_equal(authenticator_build(&x.keys, buf_view(&x.request), chain, 1,
	                                     party.p256.key, bytes_str("e"), &small),
	                 -ENOMEM);
	buf_free(&small);
#undef BUILD
	finish(&x);
}

/* --------------------------------------------------------------------- lengths */

static void lengths_are_told_from_headers(void **state)
{
	struct exchange x;
	(void)state;

	start(&x, &party.p256, "SHA256", 32);
	for (size_t n = 0; n <= x.msg.n; n++) {
		size_t need = message_at(&x.msg, 20) + 4;

		assert_int_equal(authenticator_length((struct bytes){x.msg.p, n}),
		                 n < need ? 0 : (int64_t)x.msg.n);
	}
	buf_put(&x.msg, "x", 1);
	assert_int_equal(authenticator_length(buf_view(&x.msg)), (int64_t)x.msg.n - 1);
	for (size_t n = 0; n <= x.request.n; n++)
		assert_int_equal(authenticator_request_length((struct bytes){x.request.p, n}),
		                 n < 4 ? 0 : (int64_t)x.request.n);
	finish(&x);
}

static void lengths_that_can_not_be(void **state)
{
	static const uint8_t type[] = {1}, type2[] = {15, 0, 0, 0};
	static const uint8_t large[] = {11, 4, 0, 0}, largest[] = {11, 255, 255, 255};
	static const uint8_t order[] = {11, 0, 0, 0, 20}, mac[] = {20, 0, 0, 65};
	static const uint8_t sum[] = {11, 0, 0, 0, 15, 4, 0, 0};
	static const uint8_t request[] = {17, 0, 3, 253}, request_max[] = {17, 0, 3, 252};
	static const uint8_t tls[] = {22, 3, 1};
	(void)state;

	assert_int_equal(authenticator_length(BYTES_NONE), 0);
	assert_int_equal(authenticator_length(BYTES_OF(type)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(type2)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(large)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(largest)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(order)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(mac)), -EINVAL);
	assert_int_equal(authenticator_length(BYTES_OF(sum)), -EINVAL);
	assert_int_equal(authenticator_request_length(BYTES_NONE), 0);
	assert_int_equal(authenticator_request_length(BYTES_OF(tls)), -EINVAL);
	assert_int_equal(authenticator_request_length(BYTES_OF(request)), -EINVAL);
	assert_int_equal(authenticator_request_length(BYTES_OF(request_max)), 1024);
}

/* -------------------------------------------------------------------- requests */

static void requests_round_trip(void **state)
{
	static const char *const names[] = {"", "a", NAME, "A-b_9.x"};
	uint8_t context[32];
	(void)state;

	for (size_t i = 0; i < sizeof(context); i++)
		context[i] = (uint8_t)i;
	for (size_t i = 0; i < 2 * sizeof(names) / sizeof(names[0]); i++) {
		struct buf b = buf_make(AUTHENTICATOR_REQUEST_MAX);
		struct authenticator_request r;

		assert_int_equal(authenticator_request_build(context, names[i / 2], i & 1, &b), 0);
		assert_int_equal(authenticator_request_parse(buf_view(&b), &r), 0);
		assert_string_equal(r.name, names[i / 2]);
		assert_int_equal(r.wants_lease, i & 1);
		assert_memory_equal(r.context, context, 32);
		assert_true(r.wants_evidence && r.p256 && r.p384 && r.ed25519);
		for (size_t n = 0; n < b.n; n++) {
			uint8_t *exact = malloc(n ? n : 1);

			memcpy(exact, b.p, n);
			assert_int_equal(authenticator_request_parse((struct bytes){exact, n}, &r),
			                 -EINVAL);
			free(exact);
		}
		buf_u8(&b, 0);
		assert_int_equal(authenticator_request_parse(buf_view(&b), &r), -EINVAL);
		buf_free(&b);
	}
}

static void names_are_dns_names(void **state)
{
	static const char *const bad[] = {".",   "a.",  ".a",       "a..b", "a b",
	                                  "a/b", "a:1", "\xc3\xa4", "a\nb", "[::1]"};
	uint8_t context[32] = {0};
	char name[AUTHENTICATOR_NAME_MAX + 2];
	struct buf b = buf_make(AUTHENTICATOR_REQUEST_MAX);
	(void)state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(authenticator_request_build(context, bad[i], false, &b), -EINVAL);
	memset(name, 'a', sizeof(name));
	name[64] = 0;
	assert_int_equal(authenticator_request_build(context, name, false, &b), -EINVAL);
	name[63] = 0;
	assert_int_equal(authenticator_request_build(context, name, false, &b), 0);
	for (size_t i = 0; i < sizeof(name); i++)
		name[i] = i % 2 ? '.' : 'a';
	name[253] = 0;
	assert_int_equal(authenticator_request_build(context, name, false, &b), 0);
	name[253] = '.';
	name[254] = 0;
	assert_int_equal(authenticator_request_build(context, name, false, &b), -EINVAL);
	buf_free(&b);
}

/* A request of these extensions. */
static void expect_request(const char *what, struct bytes extensions, size_t context_n, int want)
{
	struct buf b = buf_make(AUTHENTICATOR_REQUEST_MAX);
	struct authenticator_request r;

	buf_u8(&b, 17);
	buf_be24(&b, (uint32_t)(1 + context_n + 2 + extensions.n));
	buf_u8(&b, (uint8_t)context_n);
	for (size_t i = 0; i < context_n; i++)
		buf_u8(&b, 1);
	buf_be16(&b, (uint16_t)extensions.n);
	buf_bytes(&b, extensions);
	if (authenticator_request_parse(buf_view(&b), &r) != want)
		fail_msg("%s", what);
	buf_free(&b);
}

#define ALGS 0, 13, 0, 4, 0, 2, 4, 3

static void requests_are_strict(void **state)
{
	static const struct {
		const char *what;
		uint8_t n, v[32];
		int want;
	} rows[] = {
	        {"algorithms alone", 8, {ALGS}, 0},
	        {"unknown algorithm", 8, {0, 13, 0, 4, 0, 2, 8, 4}, 0},
	        {"with evidence", 12, {ALGS, 0xff, 0x57, 0, 0}, 0},
	        {"no algorithms", 4, {0xff, 0x57, 0, 0}, -EINVAL},
	        {"algorithms twice", 16, {ALGS, ALGS}, -EINVAL},
	        {"no algorithm in them", 6, {0, 13, 0, 2, 0, 0}, -EINVAL},
	        {"half an algorithm", 7, {0, 13, 0, 3, 0, 1, 4}, -EINVAL},
	        {"a tail behind them", 9, {0, 13, 0, 5, 0, 2, 4, 3, 0}, -EINVAL},
	        {"evidence twice", 16, {ALGS, 0xff, 0x57, 0, 0, 0xff, 0x57, 0, 0}, -EINVAL},
	        {"evidence with content", 13, {ALGS, 0xff, 0x57, 0, 1, 0}, -EINVAL},
	        {"a lease", 12, {ALGS, 0xff, 0x58, 0, 0}, 0},
	        {"a lease twice", 16, {ALGS, 0xff, 0x58, 0, 0, 0xff, 0x58, 0, 0}, -EINVAL},
	        {"a lease with content", 13, {ALGS, 0xff, 0x58, 0, 1, 0}, -EINVAL},
	        {"unknown extension", 12, {ALGS, 0, 43, 0, 0}, -EINVAL},
	        {"cut extension", 11, {ALGS, 0xff, 0x57, 0}, -EINVAL},
	        {"a name", 18, {ALGS, 0, 0, 0, 6, 0, 4, 0, 0, 1, 'a'}, 0},
	        {"a name of another type", 18, {ALGS, 0, 0, 0, 6, 0, 4, 1, 0, 1, 'a'}, -EINVAL},
	        {"an empty name", 17, {ALGS, 0, 0, 0, 5, 0, 3, 0, 0, 0}, -EINVAL},
	        {"a NUL in it", 19, {ALGS, 0, 0, 0, 7, 0, 5, 0, 0, 2, 'a', 0}, -EINVAL},
	        {"two names", 22, {ALGS, 0, 0, 0, 10, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'}, -EINVAL},
	};
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		expect_request(rows[i].what, (struct bytes){rows[i].v, rows[i].n}, 32,
		               rows[i].want);
	expect_request("short context", (struct bytes){rows[0].v, 8}, 31, -EINVAL);
	expect_request("long context", (struct bytes){rows[0].v, 8}, 33, -EINVAL);
	expect_request("no context", (struct bytes){rows[0].v, 8}, 0, -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(both_halves_agree),
	        cmocka_unit_test(each_tampering_has_its_check),
	        cmocka_unit_test(every_flip_is_refused),
	        cmocka_unit_test(cut_anywhere),
	        cmocka_unit_test(another_connection_or_role_does_not_pass),
	        cmocka_unit_test(declining_is_a_refusal),
	        cmocka_unit_test(no_evidence_is_a_refusal),
	        cmocka_unit_test(certificate_message_is_strict),
	        cmocka_unit_test(evidence_must_have_been_asked_for),
	        cmocka_unit_test(schemes_are_bound_to_keys),
	        cmocka_unit_test(what_can_not_be_built),
	        cmocka_unit_test(lengths_are_told_from_headers),
	        cmocka_unit_test(lengths_that_can_not_be),
	        cmocka_unit_test(requests_round_trip),
	        cmocka_unit_test(names_are_dns_names),
	        cmocka_unit_test(requests_are_strict),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
