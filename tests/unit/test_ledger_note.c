/* SPDX-License-Identifier: Apache-2.0 */
/* Signed notes and verifier keys: their syntax, and signatures of all kinds over real notes. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>
#include "ledger/room.h"

#define FOO_VKEY "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

static int parse_vkey(const char *text, struct vkey *out)
{
	return ledger_vkey_parse(bytes_str(text), out);
}

/* -------------------------------------------------------------------- vkeys */

static void vkey_row(const struct row *r, void *ctx)
{
	struct buf b = buf_make(VKEY_TEXT_MAX);
	struct vkey k;
	bool ok = parse_vkey(r->f[0], &k) == 0;

	if (ok != (strcmp(r->f[1], "accept") == 0))
		fail_msg("%s: %d, wanted %s", r->f[2], ok, r->f[1]);
	if (ok) {
		assert_int_equal(ledger_vkey_format(&k, &b), 0);
		assert_true(bytes_equal(buf_view(&b), bytes_str(r->f[0])));
	}
	buf_free(&b);
	(*(size_t *)ctx) += ok;
}

static void vkey_vectors(void **state)
{
	size_t ok = 0;

	(void)state;
	need_vectors("checkpoint/vkeys.tsv");
	assert_int_equal(each_row("checkpoint/vkeys.tsv", vkey_row, &ok), 32);
	assert_int_equal(ok, 16);
}

static void witness_row(const struct row *r, void *ctx)
{
	struct vkey k;

	(void)ctx;
	assert_int_equal(parse_vkey(r->f[1], &k), 0);
}

static void witness_vkeys(void **state)
{
	(void)state;
	need_vectors("cosignature/witness-vkeys.tsv");
	assert_int_equal(each_row("cosignature/witness-vkeys.tsv", witness_row, NULL), 8);
}

/* A vkey for any 32 bytes, with the right hash. */
static void vkey_for(const uint8_t key[static 32], char out[static 256])
{
	static const char name[] = "k.example\n\x01";
	uint8_t raw[33] = {1};
	uint8_t text[sizeof(name) - 1 + 32];
	uint8_t digest[32];
	char b64[64];

	memcpy(text, name, sizeof(name) - 1);
	memcpy(text + sizeof(name) - 1, key, 32);
	memcpy(raw + 1, key, 32);
	EVP_Digest(text, sizeof(text), digest, NULL, EVP_sha256(), NULL);
	base64_encode(BYTES_OF(raw), b64);
	snprintf(out, 256, "k.example+%02x%02x%02x%02x+%s", digest[0], digest[1], digest[2],
	         digest[3], b64);
}

/* number key signature msg flags openssl */
static void edge_row(const struct row *r, void *ctx)
{
	size_t *seen = ctx;
	uint8_t key[32];
	char text[256];
	struct vkey k;
	/* Flags are for the point; "low_order_component_A" is another thing. */
	char flags[256];
	bool bad;

	snprintf(flags, sizeof(flags), ",%s,", r->f[4]);
	bad = strstr(flags, ",low_order_A,") || strstr(flags, ",non_canonical_A,");
	assert_int_equal(hex_decode(bytes_str(r->f[1]), key, 32), 0);
	vkey_for(key, text);
	if ((parse_vkey(text, &k) == 0) == bad)
		fail_msg("row %s: key %s, flags %s", r->f[0], r->f[1], r->f[4]);
	seen[bad]++;
}

static void edge_keys(void **state)
{
	size_t seen[2] = {0};

	(void)state;
	need_vectors("checkpoint/ed25519-edge.tsv");
	each_row("checkpoint/ed25519-edge.tsv", edge_row, seen);
	print_message("edge keys: %zu loaded, %zu refused\n", seen[0], seen[1]);
	assert_true(seen[0] > 0 && seen[1] > 0);
}

static void refused_keys(void **state)
{
	static const char *const y[] = {
	        "0000000000000000000000000000000000000000000000000000000000000000",
	        "0000000000000000000000000000000000000000000000000000000000000080",
	        "0100000000000000000000000000000000000000000000000000000000000000",
	        "0100000000000000000000000000000000000000000000000000000000000080",
	        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	};
	uint8_t key[32];
	char text[256];
	struct vkey k;

	(void)state;
	for (size_t i = 0; i < sizeof(y) / sizeof(y[0]); i++) {
		assert_int_equal(hex_decode(bytes_str(y[i]), key, 32), 0);
		vkey_for(key, text);
		assert_int_equal(parse_vkey(text, &k), -EINVAL);
	}
	/* The neighbour of the largest canonical y loads: the rule is exact. */
	memset(key, 0xff, sizeof(key));
	key[0] = 0xeb;
	key[31] = 0x7f;
	vkey_for(key, text);
	assert_int_equal(parse_vkey(text, &k), 0);
	assert_int_equal(parse_vkey(FOO_VKEY, &k), 0);
	assert_int_equal(parse_vkey(FOO_VKEY "\n", &k), -EINVAL);
	assert_int_equal(parse_vkey("", &k), -EINVAL);
	assert_int_equal(parse_vkey("+", &k), -EINVAL);
	assert_int_equal(parse_vkey("a+00000000+", &k), -EINVAL);
}

/* ------------------------------------------------------------------- syntax */

#define TEXT "log\n4\n\n"
#define LINE "\xe2\x80\x94 k AAAAAAE=\n"

static void syntax(void **state)
{
	static const struct {
		const char *what;
		const char *note;
		bool ok;
	} cases[] = {
	        {"plain", "text\n\n" LINE, true},
	        {"blank lines in the text", "a\n\n\nb\n\n" LINE, true},
	        {"text is one blank line", "\n\n" LINE, true},
	        {"two signatures", "text\n\n" LINE LINE, true},
	        {"DEL is no control below space", "te\x7fxt\n\n" LINE, true},
	        {"no blank line", "text\n" LINE, false},
	        {"no signature", "text\n\n", false},
	        {"blank line after", "text\n\n" LINE "\n", false},
	        {"no last newline", "text\n\n\xe2\x80\x94 k AAAAAAE=", false},
	        {"something after", "text\n\n" LINE "x\n", false},
	        {"hyphen", "text\n\n- k AAAAAAE=\n", false},
	        {"em dash alone", "text\n\n\xe2\x80\x94\n", false},
	        {"no name", "text\n\n\xe2\x80\x94  AAAAAAE=\n", false},
	        {"plus in name", "text\n\n\xe2\x80\x94 k+ AAAAAAE=\n", false},
	        {"U+00A0 in name", "text\n\n\xe2\x80\x94 k\xc2\xa0 AAAAAAE=\n", false},
	        {"U+2003 in name", "text\n\n\xe2\x80\x94 k\xe2\x80\x83 AAAAAAE=\n", false},
	        {"U+3000 in name", "text\n\n\xe2\x80\x94 k\xe3\x80\x80 AAAAAAE=\n", false},
	        {"other UTF-8 in name", "text\n\n\xe2\x80\x94 \xc3\xa9t\xc3\xa9 AAAAAAE=\n", true},
	        {"four bytes", "text\n\n\xe2\x80\x94 k AAAAAA==\n", false},
	        {"pad bits", "text\n\n\xe2\x80\x94 k AAAAAAF=\n", false},
	        {"no padding", "text\n\n\xe2\x80\x94 k AAAAAAE\n", false},
	        {"two spaces", "text\n\n\xe2\x80\x94 k  AAAAAAE=\n", false},
	        {"tab", "te\txt\n\n" LINE, false},
	        {"carriage return", "text\r\n\n" LINE, false},
	        {"overlong UTF-8", "te\xc0\xaft\n\n" LINE, false},
	        {"surrogate", "te\xed\xa0\x80t\n\n" LINE, false},
	        {"beyond U+10FFFF", "te\xf4\x90\x80\x80t\n\n" LINE, false},
	        {"cut UTF-8", "te\xe2\x80\n\n" LINE, false},
	        {"lone continuation", "te\x80t\n\n" LINE, false},
	        {"empty", "", false},
	        {"newline", "\n", false},
	        {"newlines", "\n\n", false},
	};
	struct note *n = malloc(sizeof(*n));

	(void)state;
	assert_non_null(n);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int ret = ledger_note_parse(bytes_str(cases[i].note), n);

		if ((ret == 0) != cases[i].ok)
			fail_msg("%s: %d", cases[i].what, ret);
	}
	free(n);
}

static void limits(void **state)
{
	struct note *n = malloc(sizeof(*n));
	struct buf b = buf_make(2 * NOTE_MAX);
	uint8_t nul[] = "te\0xt\n\n" LINE;

	(void)state;
	assert_non_null(n);
	assert_int_equal(ledger_note_parse((struct bytes){nul, sizeof(nul) - 1}, n), -EINVAL);
	buf_str(&b, "text\n\n");
	for (int i = 0; i < NOTE_SIGS_MAX; i++)
		buf_str(&b, LINE);
	assert_int_equal(ledger_note_parse(buf_view(&b), n), 0);
	assert_int_equal(n->sigs, NOTE_SIGS_MAX);
	buf_str(&b, LINE);
	assert_int_equal(ledger_note_parse(buf_view(&b), n), -EINVAL);

	/* The largest note, and one byte more. */
	for (size_t n_max = NOTE_MAX; n_max <= NOTE_MAX + 1; n_max++) {
		buf_reset(&b);
		while (b.n < n_max - strlen("\n\n" LINE))
			buf_u8(&b, 'a');
		buf_str(&b, "\n\n" LINE);
		assert_int_equal(b.n, n_max);
		assert_int_equal(ledger_note_parse(buf_view(&b), n),
		                 n_max == NOTE_MAX ? 0 : -EINVAL);
	}
	buf_free(&b);
	free(n);
}

/* A signature longer than any of ours is parsed, and is nobody's. */
static void long_signature(void **state)
{
	struct note *n = malloc(sizeof(*n));
	struct buf b = buf_make(NOTE_MAX);

	(void)state;
	assert_non_null(n);
	buf_str(&b, "text\n\n\xe2\x80\x94 k ");
	for (int i = 0; i < 6000; i++)
		buf_u8(&b, 'A');
	buf_str(&b, "\n" LINE);
	assert_int_equal(ledger_note_parse(buf_view(&b), n), 0);
	assert_int_equal(n->sigs, 2);
	assert_int_equal(n->sig[0].sig_len, 0);
	assert_int_equal(n->sig[1].sig_len, 1);
	/* Padding in the middle of a long one is still found. */
	b.p[12 + 4095] = '=';
	assert_int_equal(ledger_note_parse(buf_view(&b), n), -EINVAL);
	buf_free(&b);
	free(n);
}

/* --------------------------------------------------------------- signatures */

/* The keys of "X.vkeys", a line each. */
static void policy_of_vkeys(const char *name, struct tlog_policy *out)
{
	struct bytes file = vector_read(name);
	char *text = (char *)(uintptr_t)file.p;
	struct vkey k[8];
	uint32_t n = 0;
	char *save = NULL;

	for (char *t = strtok_r(text, "\n", &save); t; t = strtok_r(NULL, "\n", &save)) {
		assert_true(n < 8);
		assert_int_equal(parse_vkey(t, &k[n]), 0);
		n++;
	}
	assert_int_equal(ledger_policy_flat(out, k, n, NULL, 0, 0), 0);
	bytes_done(file);
}

static void note_row(const struct row *r, void *ctx)
{
	const char *file = r->f[0];
	size_t len = strlen(file);
	char keys[256];
	struct tlog_policy *p;
	struct checks c = {0};
	struct bytes note;
	struct bytes text;

	if (strncmp(file, "checkpoint/", 11) != 0 || len < 5 ||
	    strcmp(file + len - 5, ".note") != 0 || strstr(file, "sumdb-fork"))
		return;
	snprintf(keys, sizeof(keys), "%.*s.vkeys", (int)len - 5, file);
	p = malloc(sizeof(*p));
	assert_non_null(p);
	policy_of_vkeys(keys, p);
	note = vector_read(file);
	assert_int_equal(ledger_verify_note(note, p, &text, &c), 0);
	assert_overall(file, &c, strcmp(r->f[3], "accept") == 0 ? CHECK_PASS : CHECK_FAIL);
	assert_int_equal(text.p != NULL, checks_overall(&c) == CHECK_PASS);
	bytes_done(note);
	free(p);
	(*(size_t *)ctx)++;
}

static void note_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", note_row, &n);
	assert_int_equal(n, 10);
}

/* Several keys, each way in which a note can be refused, one at a time. */
static void note_checks(void **state)
{
	EVP_PKEY *key = test_key(3);
	struct tlog_policy *p = malloc(sizeof(*p));
	struct buf b = buf_make(NOTE_MAX);
	struct checks c = {0};
	struct bytes text;
	struct vkey k;

	(void)state;
	assert_non_null(p);
	assert_int_equal(ledger_vkey_of(key, "k.example", NOTE_ED25519, &k), 0);
	assert_int_equal(ledger_policy_flat(p, &k, 1, NULL, 0, 0), 0);
	buf_str(&b, "hello\n");
	assert_int_equal(ledger_note_sign(&b, "k.example", key), 0);
	assert_int_equal(ledger_verify_note(buf_view(&b), p, &text, &c), 0);
	assert_overall("signed", &c, CHECK_PASS);
	assert_true(bytes_equal(text, bytes_str("hello\n")));

	c = (struct checks){0};
	b.p[0] = 'H';
	assert_int_equal(ledger_verify_note(buf_view(&b), p, &text, &c), 0);
	assert_only(&c, "ledger.log-signature", CHECK_FAIL);
	assert_null(text.p);

	c = (struct checks){0};
	assert_int_equal(ledger_verify_note(bytes_str("hello\n\n" LINE), p, &text, &c), 0);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);

	c = (struct checks){0};
	assert_int_equal(ledger_verify_note(bytes_str("hello\n"), p, &text, &c), 0);
	assert_only(&c, "ledger.format", CHECK_FAIL);
	buf_free(&b);
	EVP_PKEY_free(key);
	free(p);
}

/* ------------------------------------------------------- a head that is no note */

static void put_varint(struct buf *out, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		buf_u8(out, (uint8_t)v | 0x80);
	buf_u8(out, (uint8_t)v);
}

/* What a third party signs of each epoch of a map of keys (Cloudflare's plexi, both suites). */
static void put_epoch(struct buf *out, const struct row *r)
{
	uint64_t ts = strtoull(r->f[5], NULL, 10), epoch = strtoull(r->f[6], NULL, 10);
	struct buf inner = buf_make(16);
	struct hash digest;

	assert_true(hash_of(r->f[7], &digest));
	if (!strcmp(r->f[3], "1")) {
		buf_put(out, "\x08\x01\x12", 3);
		put_varint(out, strlen(r->f[4]));
		buf_str(out, r->f[4]);
		buf_u8(out, 0x18);
		put_varint(out, ts);
		buf_u8(&inner, 0x08);
		put_varint(&inner, epoch);
		buf_u8(out, 0x22);
		put_varint(out, inner.n);
		buf_bytes(out, buf_view(&inner));
		buf_put(out, "\x2a\x20", 2);
	} else {
		buf_le32(out, 2);
		buf_le64(out, strlen(r->f[4]));
		buf_str(out, r->f[4]);
		buf_le64(out, ts);
		buf_le64(out, epoch);
		buf_le64(out, HASH_LEN);
	}
	buf_bytes(out, BYTES_OF(digest.v));
	buf_free(&inner);
}

static void epoch_row(const struct row *r, void *ctx)
{
	struct buf m = buf_make(4096);
	struct hash key;
	uint8_t sig[64];
	bool ok;

	assert_true(hash_of(r->f[2], &key));
	assert_int_equal(hex_decode(bytes_str(r->f[8]), sig, sizeof(sig)), 0);
	put_epoch(&m, r);
	ok = ledger_ed25519_ok(key.v) && ledger_ed25519_verify(key.v, sig, buf_view(&m));
	if (ok != !strcmp(r->f[1], "accept"))
		fail_msg("%s: %d, wanted %s", r->f[0], ok, r->f[1]);
	(*(size_t *)ctx) += ok;
	buf_free(&m);
}

/* keygate follows no such map; the vectors are real signatures of a real auditor's key. */
static void epochs_of_a_map(void **state)
{
	size_t ok = 0;

	(void)state;
	need_vectors("cosignature/plexi/plexi.tsv");
	assert_int_equal(each_row("cosignature/plexi/plexi.tsv", epoch_row, &ok), 8);
	assert_int_equal(ok, 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(vkey_vectors),   cmocka_unit_test(witness_vkeys),
	        cmocka_unit_test(edge_keys),      cmocka_unit_test(refused_keys),
	        cmocka_unit_test(syntax),         cmocka_unit_test(limits),
	        cmocka_unit_test(long_signature), cmocka_unit_test(note_vectors),
	        cmocka_unit_test(note_checks),    cmocka_unit_test(epochs_of_a_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
