/* SPDX-License-Identifier: Apache-2.0 */
/* Sigsum: proofs and policies, each check by itself, and every way to bend a proof. */
#include "tests/unit/ledger_vectors.h"

#include <ctype.h>
#include <errno.h>

enum { WITNESS_KEYS = 2 };

/* A log of four leaves of which `index` is ours, and a policy that wants two witnesses. */
struct sigsum {
	EVP_PKEY *log;
	EVP_PKEY *submitter;
	EVP_PKEY *witness[WITNESS_KEYS];
	uint8_t submit_key[SIGSUM_KEY];
	struct hash message;
	struct tlog_policy *policy;
	struct hash leaf[4];
	uint64_t size;
	uint64_t time; /* of the cosignatures */
};

static void raw_key(EVP_PKEY *key, uint8_t raw[static SIGSUM_KEY])
{
	size_t n = SIGSUM_KEY;

	assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
}

static void put_hex(struct buf *out, struct bytes v)
{
	char hex[2 * SIGSUM_SIG + 1];

	hex_encode(v, hex);
	buf_str(out, hex);
}

static void sha256(struct bytes v, struct hash *out)
{
	assert_int_equal(EVP_Digest(v.p, v.n, out->v, NULL, EVP_sha256(), NULL), 1);
}

static void put_key_hash(struct buf *out, EVP_PKEY *key)
{
	uint8_t raw[SIGSUM_KEY];
	struct hash h;

	raw_key(key, raw);
	sha256(BYTES_OF(raw), &h);
	put_hex(out, BYTES_OF(h.v));
}

static void sign(EVP_PKEY *key, struct bytes message, uint8_t sig[static SIGSUM_SIG])
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t n = SIGSUM_SIG;

	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, message.p, message.n), 1);
	EVP_MD_CTX_free(ctx);
}

static void leaf_signature(const struct sigsum *s, uint8_t sig[static SIGSUM_SIG])
{
	static const char label[] = "sigsum.org/v1/tree-leaf";
	uint8_t m[sizeof(label) + HASH_LEN];
	struct hash checksum;

	sha256(BYTES_OF(s->message.v), &checksum);
	memcpy(m, label, sizeof(label));
	memcpy(m + sizeof(label), checksum.v, HASH_LEN);
	sign(s->submitter, BYTES_OF(m), sig);
}

static void make(struct sigsum *s)
{
	uint8_t leaf[HASH_LEN + SIGSUM_SIG + HASH_LEN];
	struct buf policy = buf_make(TLOG_POLICY_MAX);
	uint8_t raw[SIGSUM_KEY];
	struct hash h;
	const char *why;
	uint32_t line;

	memset(s, 0, sizeof(*s));
	s->log = test_key(1);
	s->submitter = test_key(2);
	raw_key(s->submitter, s->submit_key);
	s->size = 4;
	s->time = TEST_TIME;
	memset(s->message.v, 0x4d, HASH_LEN);
	buf_str(&policy, "log ");
	raw_key(s->log, raw);
	put_hex(&policy, BYTES_OF(raw));
	for (int i = 0; i < WITNESS_KEYS; i++) {
		s->witness[i] = test_key((uint8_t)(10 + i));
		raw_key(s->witness[i], raw);
		buf_printf(&policy, "\nwitness w+%d ", i);
		put_hex(&policy, BYTES_OF(raw));
	}
	buf_str(&policy, "\ngroup both all w+0 w+1\nquorum both\n");
	s->policy = malloc(sizeof(*s->policy));
	assert_non_null(s->policy);
	assert_int_equal(ledger_sigsum_policy_parse(buf_view(&policy), s->policy, &line, &why), 0);
	buf_free(&policy);

	sha256(BYTES_OF(s->message.v), &h);
	memcpy(leaf, h.v, HASH_LEN);
	leaf_signature(s, leaf + HASH_LEN);
	sha256(BYTES_OF(s->submit_key), &h);
	memcpy(leaf + HASH_LEN + SIGSUM_SIG, h.v, HASH_LEN);
	for (int i = 0; i < 4; i++)
		memset(s->leaf[i].v, i, HASH_LEN);
	ledger_leaf_hash(BYTES_OF(leaf), &s->leaf[1]);
}

static void unmake(struct sigsum *s)
{
	for (int i = 0; i < WITNESS_KEYS; i++)
		EVP_PKEY_free(s->witness[i]);
	EVP_PKEY_free(s->log);
	EVP_PKEY_free(s->submitter);
	free(s->policy);
}

/* As a log and its witnesses would sign it; the leaf at index 1. */
static struct buf proof_of(const struct sigsum *s)
{
	struct checkpoint cp = {.size = s->size};
	struct buf out = buf_make(TLOG_PROOF_MAX);
	struct buf text = buf_make(NOTE_MAX);
	struct buf cosigned = buf_make(NOTE_MAX);
	struct hash path[PATH_MAX_HASHES];
	uint8_t sig[SIGSUM_SIG];
	size_t n = 0;

	memcpy(cp.origin, s->policy->log[0].name, sizeof(cp.origin));
	assert_int_equal(ledger_root(four_leaves, (void *)(uintptr_t)s->leaf, s->size, &cp.root),
	                 0);
	assert_int_equal(ledger_checkpoint_format(&cp, &text), 0);
	buf_str(&out, "version=2\nlog=");
	put_key_hash(&out, s->log);
	buf_str(&out, "\nleaf=");
	put_key_hash(&out, s->submitter);
	leaf_signature(s, sig);
	buf_u8(&out, ' ');
	put_hex(&out, BYTES_OF(sig));
	buf_printf(&out, "\n\nsize=%" PRIu64 "\nroot_hash=", s->size);
	put_hex(&out, BYTES_OF(cp.root.v));
	sign(s->log, buf_view(&text), sig);
	buf_str(&out, "\nsignature=");
	put_hex(&out, BYTES_OF(sig));
	for (int i = 0; i < WITNESS_KEYS; i++) {
		buf_reset(&cosigned);
		buf_printf(&cosigned, "cosignature/v1\ntime %" PRIu64 "\n", s->time);
		buf_bytes(&cosigned, buf_view(&text));
		sign(s->witness[i], buf_view(&cosigned), sig);
		buf_str(&out, "\ncosignature=");
		put_key_hash(&out, s->witness[i]);
		buf_printf(&out, " %" PRIu64 " ", s->time);
		put_hex(&out, BYTES_OF(sig));
	}
	assert_int_equal(ledger_prove_inclusion(four_leaves, (void *)(uintptr_t)s->leaf, 1, s->size,
	                                        path, &n),
	                 0);
	buf_str(&out, "\n\nleaf_index=1\n");
	for (size_t i = 0; i < n; i++) {
		buf_str(&out, "node_hash=");
		put_hex(&out, BYTES_OF(path[i].v));
		buf_u8(&out, '\n');
	}
	buf_free(&text);
	buf_free(&cosigned);
	return out;
}

static void judge(const struct sigsum *s, struct bytes proof, struct checks *c)
{
	struct ledger_time t = {TEST_TIME, 60};
	struct ledger_head head;

	memset(c, 0, sizeof(*c));
	assert_int_equal(
	        ledger_verify_sigsum(proof, &s->message, s->submit_key, s->policy, &t, &head, c),
	        0);
	if (checks_overall(c) == CHECK_PASS)
		assert_int_equal(head.cp.size, s->size);
}

static void assert_refused(const struct sigsum *s, struct bytes proof, const char *id)
{
	struct checks c;

	judge(s, proof, &c);
	assert_only(&c, id, CHECK_FAIL);
}

/* Each line changed by one hex digit is refused by the check whose line it is. */
static void each_check(void **state)
{
	static const struct {
		const char *line;
		size_t at; /* of the digit behind it */
		const char *id;
	} cases[] = {
	        {"version=", 0, "ledger.proof-format"},
	        {"log=", 5, "ledger.log-key"},
	        {"leaf=", 5, "ledger.submit-key"},
	        {"leaf=", 70, "ledger.leaf-signature"},
	        {"size=", 0, "ledger.log-signature"},
	        {"root_hash=", 9, "ledger.log-signature"},
	        {"signature=", 9, "ledger.log-signature"},
	        {"cosignature=", 9, "ledger.quorum"},
	        {"cosignature=", 65, "ledger.witness-signature"},
	        {"cosignature=", 90, "ledger.witness-signature"},
	        {"leaf_index=", 0, "ledger.inclusion"},
	        {"node_hash=", 3, "ledger.inclusion"},
	};
	struct sigsum s;
	struct checks c;

	(void)state;
	make(&s);

	struct buf b = proof_of(&s);

	judge(&s, buf_view(&b), &c);
	assert_overall("as it is", &c, CHECK_PASS);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[32];
		uint8_t *p;
		uint8_t was;

		snprintf(line, sizeof(line), "\n%s", cases[i].line);
		p = i == 0 ? b.p + 8 : memmem(b.p, b.n, line, strlen(line));
		assert_non_null(p);
		p += i == 0 ? 0 : strlen(line) + cases[i].at;
		was = *p;
		*p = was == '3' ? '2' : '3';
		assert_refused(&s, buf_view(&b), cases[i].id);
		*p = was;
	}
	s.message.v[0] ^= 1;
	assert_refused(&s, buf_view(&b), "ledger.leaf-signature");
	s.message.v[0] ^= 1;
	s.policy->logs = 0;
	assert_refused(&s, buf_view(&b), "ledger.log-key");
	s.policy->logs = 1;
	buf_free(&b);
	s.time = TEST_TIME - 61;
	b = proof_of(&s);
	assert_refused(&s, buf_view(&b), "ledger.fresh");
	buf_free(&b);
	unmake(&s);
}

static void bent(void **state)
{
	struct sigsum s;
	struct checks c;

	(void)state;
	make(&s);

	struct buf b = proof_of(&s);

	for (size_t n = 0; n < b.n; n++) {
		judge(&s, (struct bytes){b.p, n}, &c);
		assert_int_equal(checks_overall(&c), CHECK_FAIL);
	}
	for (size_t i = 0; i < 8 * b.n; i++) {
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
		judge(&s, buf_view(&b), &c);
		/* Hex in capitals says the same. */
		if (i % 8 != 5 || !isxdigit(b.p[i / 8]))
			assert_int_equal(checks_overall(&c), CHECK_FAIL);
		b.p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	buf_u8(&b, '\n');
	assert_refused(&s, buf_view(&b), "ledger.proof-format");
	buf_free(&b);
	unmake(&s);
}

static void keys(void **state)
{
	static const char line[] =
	        "ssh-ed25519 "
	        "AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3"
	        "B1Ea";
	static const char hex[] =
	        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
	uint8_t a[SIGSUM_KEY];
	uint8_t b[SIGSUM_KEY];
	char text[256];

	(void)state;
	assert_int_equal(ledger_sigsum_key_parse(bytes_str(hex), a), 0);
	assert_int_equal(ledger_sigsum_key_parse(bytes_str(line), b), 0);
	assert_memory_equal(a, b, sizeof(a));
	snprintf(text, sizeof(text), "%s me@host and more\n", line);
	assert_int_equal(ledger_sigsum_key_parse(bytes_str(text), b), 0);
	assert_int_equal(ledger_sigsum_key_parse(BYTES_NONE, a), -EINVAL);
	assert_int_equal(ledger_sigsum_key_parse((struct bytes){(const uint8_t *)hex, 62}, a),
	                 -EINVAL);
	assert_int_equal(
	        ledger_sigsum_key_parse((struct bytes){(const uint8_t *)line, sizeof(line) - 5}, a),
	        -EINVAL);
	memset(text, '0', 64);
	text[64] = '\0';
	assert_int_equal(ledger_sigsum_key_parse(bytes_str(text), a), -EINVAL);
	memset(text, 'f', 64);
	assert_int_equal(ledger_sigsum_key_parse(bytes_str(text), a), -EINVAL);
}

/* ------------------------------------------------------------------ vectors */

static void policy_row(const struct row *r, void *ctx)
{
	struct tlog_policy *p;
	struct bytes file;
	const char *why;
	uint32_t line;
	int want = strcmp(r->f[3], "parse-ok") == 0 ? 0 : -EINVAL;

	if (strncmp(r->f[2], "sigsum policy", 13) != 0)
		return;
	p = malloc(sizeof(*p));
	assert_non_null(p);
	file = vector_read(r->f[0]);
	/* Its fifth witness has a key that is not canonical, which nobody can have made. */
	if (strstr(r->f[0], "sigsum-valid") || strstr(r->f[0], "exhaustive"))
		want = 1;
	if (want == 1 && ledger_sigsum_policy_parse(file, p, &line, &why))
		assert_non_null(strstr(why, "canonical"));
	else if (want != 1)
		assert_int_equal(ledger_sigsum_policy_parse(file, p, &line, &why), want);
	bytes_done(file);
	free(p);
	(*(size_t *)ctx)++;
}

static void parse_row(const struct row *r, void *ctx)
{
	struct sigsum_proof p;
	struct bytes file;

	if (strncmp(r->f[0], "proof/sigsum/", 13) != 0)
		return;
	file = vector_read(r->f[0]);
	assert_int_equal(ledger_sigsum_parse(file, &p), 0);
	bytes_done(file);
	(*(size_t *)ctx)++;
}

static void vectors(void **state)
{
	size_t policies = 0;
	size_t proofs = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", policy_row, &policies);
	each_row("INDEX.tsv", parse_row, &proofs);
	assert_int_equal(policies, 13);
	assert_int_equal(proofs, 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_check),
	        cmocka_unit_test(bent),
	        cmocka_unit_test(keys),
	        cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
