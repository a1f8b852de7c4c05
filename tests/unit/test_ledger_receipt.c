/* SPDX-License-Identifier: Apache-2.0 */
/*
 * COSE receipts and transparent statements: real ones, and those of services and an issuer of our
 * own, of which each is right but for one thing.
 */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>
#include <openssl/pem.h>
#include "tests/unit/receipt_own.h"

#define UVM_DID \
	"did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.3.6.1.4.1.311.76." \
	"59.1.2"

static struct own us;
static struct receipt_keys *store;

static int set_up(void **state)
{
	struct checks checks = {0};
	struct buf json = buf_make(65536);
	int ret;

	(void)state;
	own_make(&us);
	own_store(&us, NULL, &json);
	ret = receipt_store_parse(buf_view(&json), &store, &checks);
	buf_free(&json);
	return ret;
}

static int tear_down(void **state)
{
	(void)state;
	receipt_keys_free(store);
	own_free(&us);
	return 0;
}

/* The verdict is this one by exactly this check, and all that can be shown before it was. */
static void expect(const struct checks *c, enum check_status status, const char *id)
{
	assert_false(c->overflow);
	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i].status == CHECK_FAIL && (!id || strcmp(c->v[i].id, id) != 0))
			fail_msg("refused by %s (%s), wanted %s", c->v[i].id, c->v[i].detail,
			         id ? id : "none");
	if (id && status == CHECK_FAIL) {
		if (!checks_first(c, CHECK_FAIL))
			fail_msg("not refused, wanted %s", id);
		assert_string_equal(c->v[c->n - 1].id, id);
	}
	assert_int_equal(checks_overall(c), status);
}

static struct receipt_ask ask_for(struct bytes statement)
{
	struct receipt_ask a = {.of = RECEIPT_OF_STATEMENT, .content = statement};

	snprintf(a.signer.issuer, sizeof(a.signer.issuer), "%s", us.did);
	return a;
}

static void judge(const struct receipt_ask *a, const struct receipt_keys *keys,
                  struct receipt_result *out, struct checks *checks)
{
	memset(checks, 0, sizeof(*checks));
	assert_int_equal(receipt_verify(a, keys, OWN_NOW, out, checks), 0);
}

static void expect_of(const struct receipt_ask *a, const struct receipt_keys *keys, const char *id)
{
	struct receipt_result result;
	struct checks checks;

	judge(a, keys, &result, &checks);
	expect(&checks, id ? CHECK_FAIL : CHECK_PASS, id);
}

static struct receipt_keys *key_alone(EVP_PKEY *key)
{
	struct checks checks = {0};
	struct receipt_keys *keys = NULL;
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);

	assert_int_equal(receipt_key_parse((struct bytes){der, (size_t)n}, &keys, &checks), 0);
	OPENSSL_free(der);
	return keys;
}

/* ------------------------------------------------------------------------ good */

static void a_statement_with_its_receipt(void **state)
{
	const struct own_statement s = {0};
	const struct own_receipt r = {0}, *one[] = {&r};
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	struct receipt_result result;
	struct checks checks;
	struct hash entry;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	own_entry(buf_view(&b), &entry);
	a = ask_for(buf_view(&b));
	snprintf(a.signer.subject, sizeof(a.signer.subject), "%s", OWN_SUBJECT);
	a.signer.has_min_svn = true;
	a.signer.min_svn = OWN_SVN;
	judge(&a, store, &result, &checks);
	expect(&checks, CHECK_PASS, NULL);
	assert_int_equal(result.receipts, 1);
	assert_int_equal(result.vds, VDS_CCF);
	assert_string_equal(result.ledger, "ledger.example");
	assert_string_equal(result.txid, "2.19");
	assert_int_equal(result.registered_at, OWN_AT);
	assert_string_equal(result.issuer, us.did);
	assert_string_equal(result.subject, OWN_SUBJECT);
	assert_true(result.has_svn && result.svn == OWN_SVN);
	assert_memory_equal(result.entry.v, entry.v, HASH_LEN);
	assert_true(bytes_equal(result.payload, BYTES_OF(own_payload)));
	assert_string_equal(result.payload_hash, "SHA-384");
	buf_free(&b);
}

/* Each step is in its place, and no other one is. */
static void the_order_of_checks(void **state)
{
	static const char *const ids[] = {
	        "statement.format",  "receipt.present",     "receipt.format",
	        "receipt.key",       "receipt.entry",       "receipt.inclusion",
	        "receipt.signature", "receipt.time",        "statement.certificate",
	        "statement.issuer",  "statement.signature", "statement.subject",
	        "statement.payload",
	};
	const struct own_statement s = {0};
	const struct own_receipt r = {0}, *one[] = {&r};
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	struct receipt_result result;
	struct checks checks;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	judge(&a, store, &result, &checks);
	assert_int_equal(checks.n, sizeof(ids) / sizeof(ids[0]));
	for (uint32_t i = 0; i < checks.n; i++)
		assert_string_equal(checks.v[i].id, ids[i]);
	assert_int_equal(checks_find(&checks, "statement.subject")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&checks, "statement.payload")->status, CHECK_SKIP);
	buf_free(&b);
}

/* ----------------------------------------------------------------- the statement */

struct statement_row {
	const char *what;
	struct own_statement s;
	const char *id;
};

static void judge_statements(const struct statement_row *rows, size_t n)
{
	const struct own_receipt r = {0}, *one[] = {&r};

	for (size_t i = 0; i < n; i++) {
		struct buf b = buf_make(65536);
		struct receipt_ask a;

		print_message("%s\n", rows[i].what);
		own_transparent(&us, &rows[i].s, one, 1, &b);
		a = ask_for(buf_view(&b));
		expect_of(&a, store, rows[i].id);
		buf_free(&b);
	}
}

static void forms_of_statements(void **state)
{
	static const uint8_t short_payload[47] = {1}, long_payload[49] = {1}, sha256[32] = {1},
	                     sha512[64] = {1};
	const struct own_cert *five[] = {&us.leaf, &us.mid, &us.root, &us.root, &us.root};
	const struct statement_row rows[] = {
	        {"as it is", {0}, NULL},
	        {"without a tag", {.untagged = true}, "statement.format"},
	        {"critical parameters", {.more = "0281190188", .more_n = 1}, "statement.format"},
	        {"a parameter nobody knows", {.more = "19022b00", .more_n = 1}, "statement.format"},
	        {"a parameter in words", {.more = "646665656400", .more_n = 1}, "statement.format"},
	        {"a hash of SHA-256", {.hash_alg = -16, .payload = BYTES_OF(sha256)}, NULL},
	        {"a hash of SHA-512", {.hash_alg = -44, .payload = BYTES_OF(sha512)}, NULL},
	        {"SHA-384's length, said to be SHA-256", {.hash_alg = -16}, "statement.format"},
	        {"SHA-256's length, said to be SHA-384",
	         {.payload = BYTES_OF(sha256)},
	         "statement.format"},
	        {"a byte too few", {.payload = BYTES_OF(short_payload)}, "statement.format"},
	        {"a byte too many", {.payload = BYTES_OF(long_payload)}, "statement.format"},
	        {"SHA-1", {.hash_alg = -14}, "statement.format"},
	        {"a hash algorithm twice", {.more = "19010238ff", .more_n = 1}, "statement.format"},
	        {"no hash envelope", {.hash_alg = 1}, NULL},
	        {"what was hashed", {.more = "1901036474657874", .more_n = 1}, NULL},
	        {"where it is", {.more = "1901046474657874", .more_n = 1}, NULL},
	        {"what was hashed, and no hash",
	         {.hash_alg = 1, .more = "1901036474657874", .more_n = 1},
	         "statement.format"},
	        {"where it is, and no hash",
	         {.hash_alg = 1, .more = "1901046474657874", .more_n = 1},
	         "statement.format"},
	        {"a content type", {.hash_alg = 1, .more = "036474657874", .more_n = 1}, NULL},
	        {"a hash of some type", {.more = "036474657874", .more_n = 1}, "statement.format"},
	        {"the same, not signed", {.open = "036474657874", .open_n = 1}, "statement.format"},
	        {"a hash algorithm not signed",
	         {.hash_alg = 1, .open = "190102382a", .open_n = 1},
	         "statement.format"},
	        {"what was hashed, not signed",
	         {.open = "1901036474657874", .open_n = 1},
	         "statement.format"},
	        {"where it is, not signed",
	         {.open = "1901046474657874", .open_n = 1},
	         "statement.format"},
	        {"whatever is not signed", {.open = "1864f6", .open_n = 1}, NULL},
	        {"an algorithm that is not signed",
	         {.open = "0126", .open_n = 1},
	         "statement.format"},
	        {"a label in both headers", {.open = "182180", .open_n = 1}, "statement.format"},
	        {"a claim in words", {.claim = "6161f6"}, NULL},
	        {"an end", {.claim = "041a7fffffff"}, "statement.format"},
	        {"a claim twice", {.claim = "016161"}, "statement.format"},
	        {"an issuer that is a number",
	         {.no_issuer = true, .claim = "0101"},
	         "statement.format"},
	        {"an empty issuer", {.no_issuer = true, .claim = "0160"}, "statement.format"},
	        {"an issuer with a newline",
	         {.no_issuer = true, .claim = "01610a"},
	         "statement.format"},
	        {"an svn below zero", {.no_svn = true, .claim = "6373766e20"}, "statement.format"},
	        {"an svn beyond all numbers",
	         {.no_svn = true, .claim = "6373766e1bffffffffffffffff"},
	         "statement.format"},
	        {"an svn in words", {.no_svn = true, .claim = "6373766e6137"}, "statement.format"},
	        {"five certificates",
	         {.chain = {five[0], five[1], five[2], five[3], five[4]}, .chain_n = 5},
	         "statement.format"},
	        {"one certificate in a list",
	         {.chain = {&us.leaf}, .chain_n = 1},
	         "statement.format"},
	        {"claims that are none",
	         {.no_chain = true, .more = "18210f", .more_n = 1},
	         "statement.format"},
	};
	(void)state;

	judge_statements(rows, sizeof(rows) / sizeof(rows[0]));
}

/* Who is no authority of the issuer's can't speak for him, whatever he sends along. */
static void certificates(void **state)
{
	struct own_cert forged = {.key = us.other}, ca = {.key = us.other}, old = {.key = us.other},
	                own_ca = {.key = us.other}, wrong_use = {.key = us.other},
	                late = {.key = us.other}, ended = {.key = us.other},
	                under = {.key = us.other}, sha1 = {.key = us.other},
	                short_ca = {.key = EVP_RSA_gen(1024)}, by_short = {.key = us.other};
	const struct statement_row rows[] = {
	        {"an authority between", {0}, NULL},
	        {"the authority itself",
	         {.chain = {&us.leaf, &us.root}, .chain_n = 2},
	         "statement.certificate"},
	        {"none", {.no_chain = true}, "statement.certificate"},
	        {"one alone",
	         {.no_chain = true, .more = "18214101", .more_n = 1},
	         "statement.certificate"},
	        {"garbage",
	         {.no_chain = true, .more = "18218241014102", .more_n = 1},
	         "statement.certificate"},
	        {"without the authority",
	         {.chain = {&us.leaf, &us.mid}, .chain_n = 2},
	         "statement.certificate"},
	        {"the authority as the signer",
	         {.chain = {&us.root, &us.mid}, .chain_n = 2, .key = us.root.key},
	         "statement.certificate"},
	        {"another's leaf before the true ones",
	         {.chain = {&forged, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"another's authority, and the true one behind it",
	         {.chain = {&under, &own_ca, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"a signer that is an authority",
	         {.chain = {&ca, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"issued by what is no authority",
	         {.chain = {&old, &us.leaf, &us.mid, &us.root}, .chain_n = 4, .key = us.other},
	         "statement.certificate"},
	        {"for another use",
	         {.chain = {&wrong_use, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"not yet valid",
	         {.chain = {&late, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"valid no more",
	         {.chain = {&ended, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"signed over a hash that collides",
	         {.chain = {&sha1, &us.mid, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"by an authority whose key can be factored",
	         {.chain = {&by_short, &short_ca, &us.root}, .chain_n = 3, .key = us.other},
	         "statement.certificate"},
	        {"the hash of another one", {.thumbprint_of = &us.mid}, "statement.certificate"},
	        {"another's between the true ones",
	         {.chain = {&us.leaf, &own_ca, &us.mid, &us.root}, .chain_n = 4},
	         "statement.certificate"},
	        {"a certificate behind the authority",
	         {.chain = {&us.leaf, &us.mid, &us.root, &us.leaf}, .chain_n = 4},
	         NULL},
	};
	struct own_cert *const made[] = {&forged, &ca,    &old,   &own_ca, &wrong_use,
	                                 &late,   &ended, &under, &sha1,   &by_short};
	(void)state;

	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		EVP_PKEY_up_ref(us.other);
	own_certify(&own_ca, &(struct own_how){"mid", true, NULL, 0, 0, NULL}, NULL);
	own_certify(&forged, &(struct own_how){"leaf", false, OWN_EKU, 0, 0, NULL}, &own_ca);
	own_certify(&under, &(struct own_how){"leaf", false, OWN_EKU, 0, 0, NULL}, &own_ca);
	own_certify(&ca, &(struct own_how){"leaf", true, OWN_EKU, 0, 0, NULL}, &us.mid);
	own_certify(&old, &(struct own_how){"leaf 2", false, OWN_EKU, 0, 0, NULL}, &us.leaf);
	own_certify(&wrong_use, &(struct own_how){"leaf", false, OWN_EKU "1", 0, 0, NULL}, &us.mid);
	own_certify(&late, &(struct own_how){"leaf", false, OWN_EKU, OWN_AT + 1, 0, NULL}, &us.mid);
	own_certify(&ended, &(struct own_how){"leaf", false, OWN_EKU, 0, OWN_AT - 1, NULL},
	            &us.mid);
	own_certify(&sha1, &(struct own_how){"leaf", false, OWN_EKU, 0, 0, EVP_sha1()}, &us.mid);
	own_certify(&short_ca, &(struct own_how){"short", true, NULL, 0, 0, NULL}, &us.root);
	own_certify(&by_short, &(struct own_how){"leaf", false, OWN_EKU, 0, 0, NULL}, &short_ca);
	judge_statements(rows, sizeof(rows) / sizeof(rows[0]));
	own_uncertify(&short_ca);
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++)
		own_uncertify(made[i]);
}

/* A signer is not its own authority, also where the identifier says so. */
static void the_signer_as_authority(void **state)
{
	const struct own_receipt r = {0}, *one[] = {&r};
	char did[RECEIPT_TEXT_MAX];
	const struct own_statement s = {.issuer = did};
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	(void)state;

	own_did(&us.leaf, OWN_EKU, did);
	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	memcpy(a.signer.issuer, did, sizeof(did));
	expect_of(&a, store, "statement.certificate");
	/* An authority that is no root can be named. */
	own_did(&us.mid, OWN_EKU, did);
	buf_reset(&b);
	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	memcpy(a.signer.issuer, did, sizeof(did));
	expect_of(&a, store, NULL);
	buf_free(&b);
}

/* Without a service's time the certificates must be valid now. */
static void certificates_without_a_time(void **state)
{
	const struct own_statement s = {0};
	const struct own_receipt r = {.issued_at = 1}, *one[] = {&r};
	static const struct {
		int64_t at;
		const char *id;
	} rows[] = {
	        {OWN_AT, NULL},
	        {OWN_NOW, "statement.certificate"},
	        {OWN_BEGIN - 1, "statement.certificate"},
	        {VERDICT_FOREVER, "statement.certificate"},
	};
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct receipt_result result;
		struct checks checks = {0};

		assert_int_equal(receipt_verify(&a, store, rows[i].at, &result, &checks), 0);
		expect(&checks, rows[i].id ? CHECK_FAIL : CHECK_PASS, rows[i].id);
		assert_int_equal(checks_find(&checks, "receipt.time")->status, CHECK_SKIP);
	}
	buf_free(&b);
}

static void what_statements_say(void **state)
{
	static const uint8_t content[] = "what it is about";
	const struct own_receipt r = {0}, *one[] = {&r};
	uint8_t sha384[48];
	struct own_statement about = {.payload = BYTES_OF(sha384)},
	                     plain = {.hash_alg = 1, .payload = BYTES_OF(content)};
	const struct own_statement none = {0}, no_svn = {.no_svn = true},
	                           other = {.issuer = "did:x509:0:sha256:other"},
	                           nobody = {.no_issuer = true}, subject = {.subject = "Own-UVm"},
	                           stolen = {.key = us.other};
	const struct {
		const char *what;
		const struct own_statement *s;
		struct bytes payload;
		const char *subject;
		bool has_svn;
		uint64_t svn;
		const char *id;
	} rows[] = {
	        {"the issuer", &none, BYTES_NONE, "", false, 0, NULL},
	        {"another issuer", &other, BYTES_NONE, "", false, 0, "statement.issuer"},
	        {"no issuer", &nobody, BYTES_NONE, "", false, 0, "statement.issuer"},
	        {"signed by another", &stolen, BYTES_NONE, "", false, 0, "statement.signature"},
	        {"the subject", &none, BYTES_NONE, OWN_SUBJECT, false, 0, NULL},
	        {"another subject", &subject, BYTES_NONE, OWN_SUBJECT, false, 0,
	         "statement.subject"},
	        {"svn zero", &none, BYTES_NONE, "", true, 0, NULL},
	        {"the svn", &none, BYTES_NONE, "", true, OWN_SVN, NULL},
	        {"a lower svn", &none, BYTES_NONE, "", true, OWN_SVN + 1, "statement.svn"},
	        {"no svn", &no_svn, BYTES_NONE, "", true, 0, "statement.svn"},
	        {"no svn, not asked for", &no_svn, BYTES_NONE, "", false, 0, NULL},
	        {"the hash of the content", &about, BYTES_OF(content), "", false, 0, NULL},
	        {"the hash in place of it", &about, BYTES_OF(sha384), "", false, 0,
	         "statement.payload"},
	        {"another content", &none, BYTES_OF(content), "", false, 0, "statement.payload"},
	        {"the content itself", &plain, BYTES_OF(content), "", false, 0, NULL},
	        {"empty content", &plain, {content, 0}, "", false, 0, "statement.payload"},
	};
	(void)state;

	EVP_Digest(content, sizeof(content), sha384, NULL, EVP_sha384(), NULL);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = buf_make(65536);
		struct receipt_ask a;

		print_message("%s\n", rows[i].what);
		own_transparent(&us, rows[i].s, one, 1, &b);
		a = ask_for(buf_view(&b));
		a.payload = rows[i].payload;
		snprintf(a.signer.subject, sizeof(a.signer.subject), "%s", rows[i].subject);
		a.signer.has_min_svn = rows[i].has_svn;
		a.signer.min_svn = rows[i].svn;
		expect_of(&a, store, rows[i].id);
		buf_free(&b);
	}
}

static void a_key_in_place_of_certificates(void **state)
{
	const struct own_receipt r = {0}, *one[] = {&r};
	const struct own_statement s = {0}, bare = {.no_chain = true, .no_issuer = true};
	EVP_PKEY *p384 = EVP_EC_gen("P-384"), *rsa = EVP_RSA_gen(1024);
	EVP_PKEY *const keys[] = {us.leaf.key, us.other, p384, rsa};
	static const char *const ids[] = {NULL, "statement.signature", "statement.key",
	                                  "statement.key"};
	struct buf b = buf_make(65536), c = buf_make(65536);
	struct receipt_ask a;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	own_transparent(&us, &bare, one, 1, &c);
	a = ask_for(buf_view(&b));
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		uint8_t *der = NULL;
		int n = i2d_PUBKEY(keys[i], &der);

		a.signer.key = (struct bytes){der, (size_t)n};
		expect_of(&a, store, ids[i]);
		if (i == 0) {
			/* The key does not stand for the name, and is enough without one. */
			a.content = buf_view(&c);
			expect_of(&a, store, "statement.issuer");
			a.signer.issuer[0] = '\0';
			expect_of(&a, store, NULL);
			a = ask_for(buf_view(&b));
		}
		OPENSSL_free(der);
	}
	a.signer.key = bytes_str("no key");
	expect_of(&a, store, "statement.key");
	EVP_PKEY_free(p384);
	EVP_PKEY_free(rsa);
	buf_free(&b);
	buf_free(&c);
}

static void identifiers(void **state)
{
#define FP "I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s"
	static const char *const good[] = {
	        UVM_DID,
	        "did:x509:0:sha256:" FP "::eku:1.2.3::eku:1.2.4",
	};
	static const char *const bad[] = {
	        "",
	        "did:web:example.com",
	        "did:x509:1:sha256:" FP "::eku:1.2.3",
	        "did:x509:0:sha1:" FP "::eku:1.2.3",
	        "did:x509:0:sha384:" FP "::eku:1.2.3",
	        "did:x509:0:sha256:" FP,
	        "did:x509:0:sha256:" FP "::",
	        "did:x509:0:sha256:" FP "::eku:",
	        "did:x509:0:sha256:" FP "::eku:1.2.x",
	        "did:x509:0:sha256:" FP "::eku:1.2.3::",
	        "did:x509:0:sha256:" FP "::eku:1.2.3::subject:CN:x",
	        "did:x509:0:sha256:" FP "::subject:CN:x::eku:1.2.3",
	        "did:x509:0:sha256:" FP "=::eku:1.2.3",
	        "did:x509:0:sha256:I/_iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9s::eku:1.2.3",
	        "did:x509:0:sha256:I__iuL25oXEVFdTP_aBLx_eT1RPHbCQ_ECBQfYZpt9t::eku:1.2.3",
	        "did:x509:0:sha256:::eku:1.2.3",
	        "did:x509:0:sha256:" FP "::eku:1.1::eku:1.2::eku:1.3::eku:1.4::eku:1.5",
	};
#undef FP
	(void)state;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_null(receipt_issuer_fault(good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_non_null(receipt_issuer_fault(bad[i]));
}

/* --------------------------------------------------------------------- receipts */

struct receipt_row {
	const char *what;
	struct own_receipt r;
	const char *id;
};

static void judge_receipts(const struct receipt_row *rows, size_t n,
                           const struct receipt_keys *keys)
{
	const struct own_statement s = {0};

	for (size_t i = 0; i < n; i++) {
		const struct own_receipt *one[] = {&rows[i].r};
		struct buf b = buf_make(65536);
		struct receipt_ask a;

		print_message("%s\n", rows[i].what);
		own_transparent(&us, &s, one, 1, &b);
		a = ask_for(buf_view(&b));
		expect_of(&a, keys, rows[i].id);
		buf_free(&b);
	}
}

static void receipts_of_ccf(void **state)
{
	static const struct hash other = {{5}};
	const struct receipt_row rows[] = {
	        {"as it is", {0}, NULL},
	        {"a payload inside", {.attached = true}, "receipt.format"},
	        {"for another purpose", {.subject = "ccf.signature.v1"}, "receipt.format"},
	        {"a critical parameter", {.more = "028119018b", .more_n = 1}, "receipt.format"},
	        {"an unknown parameter", {.more = "19022b00", .more_n = 1}, "receipt.format"},
	        {"a tree of the third kind", {.vds = 3}, "receipt.format"},
	        {"more that is not signed", {.open = "1864f6", .open_n = 1}, "receipt.format"},
	        {"certificates that are not signed",
	         {.open = "18214101", .open_n = 1},
	         "receipt.format"},
	        {"no proof", {.vdp = "a0"}, "receipt.format"},
	        {"an empty list of proofs", {.vdp = "a12080"}, "receipt.format"},
	        {"two proofs", {.vdp = "a1208241a041a0"}, "receipt.format"},
	        {"two kinds of proof",
	         {.vdp = "a22081"
	                 "41a0"
	                 "2181"
	                 "41a0"},
	         "receipt.format"},
	        {"a proof of an unknown kind", {.vdp = "a1228141a0"}, "receipt.format"},
	        {"an empty proof", {.vdp = "a1208140"}, "receipt.format"},
	        {"a proof that is none", {.vdp = "a1208141a0"}, "receipt.format"},
	        {"a proof of RFC 9162",
	         {.vdp = "a12081448301"
	                 "0080"},
	         "receipt.format"},
	        {"consistency", {.consistency = true}, "receipt.format"},
	        {"a path without end", {.steps = 61}, "receipt.format"},
	        {"a long path", {.steps = 60}, "receipt.signature"},
	        {"a key that is not known", {.key = us.other, .kid = us.other}, "receipt.key"},
	        {"another's entry", {.data = &other}, "receipt.entry"},
	        {"another's signature under a known name", {.key = us.other}, "receipt.signature"},
	        {"a step too many", {.steps = 1}, "receipt.signature"},
	        {"now", {.issued_at = OWN_NOW}, "statement.certificate"},
	        {"five minutes from now",
	         {.issued_at = OWN_NOW + LEDGER_SKEW},
	         "statement.certificate"},
	        {"later", {.issued_at = OWN_NOW + LEDGER_SKEW + 1}, "receipt.time"},
	};
	(void)state;

	judge_receipts(rows, sizeof(rows) / sizeof(rows[0]), store);
}

static void receipts_of_rfc9162(void **state)
{
	const struct receipt_row rows[] = {
	        {"as it is", {.vds = 1, .issued_at = OWN_AT}, NULL},
	        {"another index", {.vds = 1, .index = 4}, "receipt.signature"},
	        {"the last index", {.vds = 1, .index = 7}, "receipt.signature"},
	        {"an index behind the end", {.vds = 1, .index = 8}, "receipt.inclusion"},
	        {"a tree too small", {.vds = 1, .size = 4}, "receipt.inclusion"},
	        {"a tree too large", {.vds = 1, .size = 9}, "receipt.inclusion"},
	        {"a step too many", {.vds = 1, .steps = 1}, "receipt.inclusion"},
	        {"a path without end", {.vds = 1, .steps = 61}, "receipt.format"},
	        {"a size beyond all",
	         {.vds = 1, .size = UINT64_MAX, .index = 5},
	         "receipt.inclusion"},
	        {"another's key", {.vds = 1, .key = us.other}, "receipt.signature"},
	        {"consistency", {.vds = 1, .consistency = true}, "receipt.entry"},
	        {"a payload inside", {.vds = 1, .attached = true}, "receipt.format"},
	};
	const struct receipt_row ccf = {"of a store of CCF", {.vds = 1}, "receipt.key"};
	struct receipt_keys *keys = key_alone(us.service);
	(void)state;

	judge_receipts(rows, sizeof(rows) / sizeof(rows[0]), keys);
	judge_receipts(&ccf, 1, store);
	receipt_keys_free(keys);
}

/* A key is of one algorithm, and CCF's names are of the key itself, also where it is alone. */
static void keys_and_algorithms(void **state)
{
	EVP_PKEY *p384 = EVP_EC_gen("P-384");
	struct receipt_keys *mine = key_alone(us.service), *strong = key_alone(p384);
	const struct receipt_row named = {"its name", {0}, NULL},
	                         unnamed = {"another name", {.kid = us.other}, "receipt.key"},
	                         weak = {"a weaker algorithm", {.kid = p384}, "receipt.key"},
	                         fit = {"ES384",
	                                {.kid = p384, .key = p384, .alg = COSE_ES384},
	                                NULL};
	(void)state;

	judge_receipts(&named, 1, mine);
	judge_receipts(&unnamed, 1, mine);
	judge_receipts(&weak, 1, strong);
	judge_receipts(&fit, 1, strong);
	receipt_keys_free(mine);
	receipt_keys_free(strong);
	EVP_PKEY_free(p384);
}

/* Other services' receipts do no harm, and a known one's that is wrong is not made good. */
static void several_receipts(void **state)
{
	const struct own_receipt good = {.issued_at = OWN_AT + 5}, early = {0},
	                         others = {.key = us.other, .kid = us.other}, bad = {.steps = 1};
	const struct {
		const struct own_receipt *r[RECEIPTS_MAX];
		uint32_t n, hold;
		const char *id;
	} rows[] = {
	        {{NULL}, 0, 0, "receipt.present"},
	        {{&good}, 1, 1, NULL},
	        {{&others}, 1, 0, "receipt.key"},
	        {{&others, &good, &others}, 3, 1, NULL},
	        {{&good, &early}, 2, 2, NULL},
	        {{&good, &bad}, 2, 0, "receipt.signature"},
	        {{&bad, &good}, 2, 0, "receipt.signature"},
	        {{&others, &others, &others, &others, &others, &others, &others, &good},
	         8,
	         1,
	         NULL},
	};
	const struct own_statement s = {0};
	const struct own_receipt *nine[9];
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	(void)state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct receipt_result result;
		struct checks checks;

		buf_reset(&b);
		own_transparent(&us, &s, rows[i].r, rows[i].n, &b);
		a = ask_for(buf_view(&b));
		judge(&a, store, &result, &checks);
		expect(&checks, rows[i].id ? CHECK_FAIL : CHECK_PASS, rows[i].id);
		if (!rows[i].id) {
			assert_int_equal(result.receipts, rows[i].hold);
			assert_int_equal(result.registered_at,
			                 rows[i].hold == 2 ? OWN_AT : OWN_AT + 5);
		}
	}
	for (size_t i = 0; i < 9; i++)
		nine[i] = &good;
	buf_reset(&b);
	own_transparent(&us, &s, nine, 9, &b);
	a = ask_for(buf_view(&b));
	expect_of(&a, store, "statement.format");
	buf_free(&b);
}

/* One that is given counts in place of those inside, and must itself hold. */
static void a_receipt_apart(void **state)
{
	const struct own_statement s = {0};
	const struct own_receipt r = {0}, others = {.key = us.other, .kid = us.other},
	                         *one[] = {&others};
	struct buf b = buf_make(65536), c = buf_make(65536), other = buf_make(65536),
	           unknown = buf_make(65536);
	struct hash entry;
	struct receipt_ask a;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	own_entry(buf_view(&b), &entry);
	own_receipt(&us, &r, &entry, &c);
	own_receipt(&us, &others, &entry, &unknown);
	entry.v[0] ^= 1;
	own_receipt(&us, &r, &entry, &other);
	a = ask_for(buf_view(&b));
	expect_of(&a, store, "receipt.key");
	a.receipt = buf_view(&c);
	expect_of(&a, store, NULL);
	a.receipt = buf_view(&other);
	expect_of(&a, store, "receipt.entry");
	a.receipt = buf_view(&unknown);
	expect_of(&a, store, "receipt.key");
	buf_u8(&c, 0);
	a.receipt = buf_view(&c);
	expect_of(&a, store, "receipt.format");
	buf_free(&b);
	buf_free(&c);
	buf_free(&other);
	buf_free(&unknown);
}

static void entries_leaves_and_trees(void **state)
{
	static const struct hash entry = {{7}};
	const struct own_receipt ccf = {0}, rfc = {.vds = 1},
	                         tree = {.vds = 1, .consistency = true},
	                         long_tree = {.vds = 1, .consistency = true, .steps = 1};
	struct receipt_keys *keys = key_alone(us.service);
	struct hash digest, leaf = {{0}}, bad = {{8}};
	const struct {
		const char *what;
		const struct own_receipt *r;
		const struct hash *of; /* what the receipt is made of */
		struct receipt_ask a;
		const char *id;
	} rows[] = {
	        {"an entry",
	         &rfc,
	         &entry,
	         {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	         NULL},
	        {"an entry of CCF",
	         &ccf,
	         &digest,
	         {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	         NULL},
	        {"another entry",
	         &rfc,
	         &bad,
	         {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	         "receipt.signature"},
	        {"another entry of CCF",
	         &ccf,
	         &entry,
	         {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	         "receipt.entry"},
	        {"a leaf", &rfc, &entry, {.of = RECEIPT_OF_LEAF, .hash = leaf}, NULL},
	        {"a leaf of CCF",
	         &ccf,
	         &entry,
	         {.of = RECEIPT_OF_LEAF, .hash = leaf},
	         "receipt.entry"},
	        {"a tree", &tree, &entry, {.of = RECEIPT_OF_TREE, .hash = entry}, NULL},
	        {"another tree",
	         &tree,
	         &entry,
	         {.of = RECEIPT_OF_TREE, .hash = bad},
	         "receipt.signature"},
	        {"a long way",
	         &long_tree,
	         &entry,
	         {.of = RECEIPT_OF_TREE, .hash = entry},
	         "receipt.consistency"},
	        {"a tree, of inclusion",
	         &rfc,
	         &entry,
	         {.of = RECEIPT_OF_TREE, .hash = entry},
	         "receipt.entry"},
	        {"an entry, of consistency",
	         &tree,
	         &entry,
	         {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	         "receipt.entry"},
	};
	(void)state;

	own_sha256(BYTES_OF(entry.v), &digest);
	ledger_leaf_hash(BYTES_OF(entry.v), &leaf);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = buf_make(65536);
		struct receipt_ask a = rows[i].a;

		print_message("%s\n", rows[i].what);
		own_receipt(&us, rows[i].r, rows[i].of, &b);
		if (a.of == RECEIPT_OF_LEAF)
			a.hash = leaf;
		a.receipt = buf_view(&b);
		expect_of(&a, keys, rows[i].id);
		/* Without a receipt there is nothing that could carry one. */
		a.receipt = BYTES_NONE;
		expect_of(&a, keys, "receipt.present");
		buf_free(&b);
	}
	receipt_keys_free(keys);
}

/* Nobody's signature can be checked without a key, and that is no refusal. */
static void without_keys(void **state)
{
	const struct own_statement s = {0};
	const struct own_receipt r = {0}, *one[] = {&r};
	struct buf b = buf_make(65536);
	struct receipt_result result;
	struct receipt_ask a;
	struct checks checks;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	judge(&a, NULL, &result, &checks);
	expect(&checks, CHECK_UNAVAILABLE, NULL);
	assert_int_equal(checks_find(&checks, "receipt.key")->status, CHECK_UNAVAILABLE);
	assert_int_equal(checks_find(&checks, "receipt.signature")->status, CHECK_UNAVAILABLE);
	assert_null(checks_find(&checks, "statement.signature"));
	assert_int_equal(result.receipts, 0);
	buf_free(&b);
}

/* -------------------------------------------------------------------- every bit */

/* Refused, by whatever sees it first. */
static void refused(const struct receipt_ask *a, const struct receipt_keys *keys, const char *what,
                    size_t at)
{
	struct receipt_result result;
	struct checks checks;

	judge(a, keys, &result, &checks);
	if (checks_overall(&checks) != CHECK_FAIL)
		fail_msg("%s %zu is not seen", what, at);
}

static void bend(struct receipt_ask *a, struct bytes *part, const struct receipt_keys *keys)
{
	struct bytes whole = *part;
	uint8_t *copy = malloc(whole.n);

	expect_of(a, keys, NULL);
	for (size_t n = 1; n < whole.n; n++) {
		uint8_t *cut = malloc(n);

		memcpy(cut, whole.p, n);
		*part = (struct bytes){cut, n};
		refused(a, keys, "a cut at", n);
		free(cut);
	}
	memcpy(copy, whole.p, whole.n);
	*part = (struct bytes){copy, whole.n};
	for (size_t i = 0; i < 8 * whole.n; i++) {
		copy[i / 8] ^= (uint8_t)(1U << i % 8);
		refused(a, keys, "bit", i);
		copy[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	free(copy);
	*part = whole;
}

static void every_bit_of_a_transparent_statement(void **state)
{
	const struct own_statement s = {0};
	const struct own_receipt r = {0}, *one[] = {&r};
	struct buf b = buf_make(65536);
	struct receipt_ask a;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	bend(&a, &a.content, store);
	buf_free(&b);
}

/*
 * Of RFC 9162 the size is not signed: it is no more than what the length of the path makes of it.
 * For this one, whose size is 8, every bit tells.
 */
static void every_bit_of_receipts_of_rfc9162(void **state)
{
	static const struct hash entry = {{7}};
	const struct own_receipt in = {.vds = 1}, tree = {.vds = 1, .consistency = true};
	struct receipt_keys *keys = key_alone(us.service);
	struct receipt_ask a = {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(entry.v)},
	                   t = {.of = RECEIPT_OF_TREE, .hash = entry};
	struct buf b = buf_make(65536);
	(void)state;

	own_receipt(&us, &in, &entry, &b);
	a.receipt = buf_view(&b);
	bend(&a, &a.receipt, keys);
	bend(&a, &a.content, keys);
	buf_reset(&b);
	own_receipt(&us, &tree, &entry, &b);
	t.receipt = buf_view(&b);
	expect_of(&t, keys, NULL);
	for (size_t i = 0; i < 8 * HASH_LEN; i++) {
		t.hash.v[i / 8] ^= (uint8_t)(1U << i % 8);
		expect_of(&t, keys, "receipt.signature");
		t.hash.v[i / 8] ^= (uint8_t)(1U << i % 8);
	}
	buf_free(&b);
	receipt_keys_free(keys);
}

/* -------------------------------------------------------------------- trust stores */

static void stores(void **state)
{
	static const struct {
		const char *what, *json;
	} bad[] = {
	        {"nothing", ""},
	        {"a list", "[]"},
	        {"no list", "{}"},
	        {"an empty list", "{\"parameters\":[]}"},
	        {"no certificate", "{\"parameters\":[{\"treeAlgorithm\":\"CCF\"}]}"},
	        {"no certificate's bytes",
	         "{\"parameters\":[{\"treeAlgorithm\":\"CCF\",\"serviceCertificate\":\"AQID\"}]}"},
	        {"no base64",
	         "{\"parameters\":[{\"treeAlgorithm\":\"CCF\",\"serviceCertificate\":\"*\"}]}"},
	        {"twice", "{\"parameters\":[],\"parameters\":[]}"},
	};
	/* What a store says of a key beside its certificate is not believed. */
	static const struct {
		const char *extra;
		bool ok;
	} extras[] = {
	        {"\"treeAlgorithm\":\"CCF\",\"serviceId\":\"00\",\"signatureAlgorithm\":\"ES512\"",
	         true},
	        {"\"treeAlgorithm\":\"RFC9162\"", false},
	        {"\"x\":1", false},
	};
	const struct own_receipt r = {0}, *one[] = {&r};
	const struct own_statement s = {0};
	struct buf b = buf_make(65536), json = buf_make(65536);
	struct receipt_keys *keys;
	struct receipt_ask a;
	(void)state;

	own_transparent(&us, &s, one, 1, &b);
	a = ask_for(buf_view(&b));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct checks checks = {0};

		print_message("%s\n", bad[i].what);
		assert_int_equal(receipt_store_parse(bytes_str(bad[i].json), &keys, &checks),
		                 -EINVAL);
		assert_null(keys);
		expect(&checks, CHECK_FAIL, "receipt.trust-store");
	}
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		struct checks checks = {0};

		buf_reset(&json);
		own_store(&us, extras[i].extra, &json);
		assert_int_equal(receipt_store_parse(buf_view(&json), &keys, &checks),
		                 extras[i].ok ? 0 : -EINVAL);
		if (extras[i].ok)
			expect_of(&a, keys, NULL);
		receipt_keys_free(keys);
	}
	buf_free(&b);
	buf_free(&json);
}

/* The same key twice is one, and a point of low order is none. */
static void keys_of_stores(void **state)
{
	static const uint8_t low[] = {
	        0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00, 0x01, 0, 0,
	        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0, 0,
	        0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
	struct own_cert again = {.key = us.service}, small = {.key = EVP_RSA_gen(1024)};
	struct own_cert *const certs[] = {&us.service_cert, &again};
	struct buf json = buf_make(1 << 20);
	struct receipt_keys *keys;
	struct checks checks = {0};
	char b64[4096];
	(void)state;

	EVP_PKEY_up_ref(us.service);
	own_certify(&again, &(struct own_how){"service 2", false, NULL, 0, 0, NULL}, &us.mid);
	own_certify(&small, &(struct own_how){"small", false, NULL, 0, 0, NULL}, &us.mid);
	buf_str(&json, "{\"parameters\":[");
	for (size_t i = 0; i < 64; i++) {
		base64_encode(own_der(certs[i % 2]), b64);
		buf_printf(&json, "%s{\"treeAlgorithm\":\"CCF\",\"serviceCertificate\":\"%s\"}",
		           i ? "," : "", b64);
	}
	buf_str(&json, "]}");
	assert_int_equal(receipt_store_parse(buf_view(&json), &keys, &checks), 0);
	assert_string_equal(checks.v[0].detail, "1 keys");
	receipt_keys_free(keys);
	json.n -= 2;
	buf_printf(&json, ",{\"treeAlgorithm\":\"CCF\",\"serviceCertificate\":\"%s\"}]}", b64);
	assert_int_equal(receipt_store_parse(buf_view(&json), &keys, &checks), -EINVAL);
	buf_reset(&json);
	base64_encode(own_der(&small), b64);
	buf_printf(&json,
	           "{\"parameters\":[{\"treeAlgorithm\":\"CCF\",\"serviceCertificate\":\"%s\"}]}",
	           b64);
	assert_int_equal(receipt_store_parse(buf_view(&json), &keys, &checks), -EINVAL);
	assert_int_equal(receipt_key_parse(BYTES_OF(low), &keys, &checks), -EINVAL);
	assert_int_equal(receipt_key_parse(BYTES_NONE, &keys, &checks), -EINVAL);
	buf_free(&json);
	own_uncertify(&again);
	own_uncertify(&small);
}

/* ------------------------------------------------------------------------- real */

static void real_uvm(void **state)
{
	static const struct {
		const char *file, *id;
	} rows[] = {
	        {"uvm_0.2.10", NULL},
	        {"neg-datahash", "receipt.entry"},
	        {"neg-path-bitflip", "receipt.signature"},
	        {"neg-path-direction", "receipt.signature"},
	        {"neg-payload", "receipt.entry"},
	        {"neg-receipt-sig", "receipt.signature"},
	        {"neg-statement-sig", "receipt.entry"},
	};
	struct receipt_keys *keys = NULL;
	struct checks made = {0};
	struct bytes json;
	(void)state;

	need_vectors("scitt/uvm/uvm_0.2.10.cose");
	json = vector_read("scitt/uvm/esrp-cts-db.json");
	assert_int_equal(receipt_store_parse(json, &keys, &made), 0);
	assert_string_equal(made.v[0].detail, "2 keys");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct receipt_result result;
		struct receipt_ask a = {.of = RECEIPT_OF_STATEMENT};
		struct checks checks;
		char name[128];

		snprintf(name, sizeof(name), "scitt/uvm/%s.cose", rows[i].file);
		a.content = vector_read(name);
		snprintf(a.signer.issuer, sizeof(a.signer.issuer), "%s", UVM_DID);
		snprintf(a.signer.subject, sizeof(a.signer.subject), "ContainerPlat-AMD-UVM");
		a.signer.has_min_svn = true;
		a.signer.min_svn = 104;
		judge(&a, keys, &result, &checks);
		expect(&checks, rows[i].id ? CHECK_FAIL : CHECK_PASS, rows[i].id);
		if (!rows[i].id) {
			assert_int_equal(result.svn, 104);
			assert_string_equal(result.txid, "458.12441");
			assert_int_equal(result.registered_at, 1766437888);
			assert_int_equal(result.payload.n, 48);
			a.signer.min_svn = 105;
			expect_of(&a, keys, "statement.svn");
		}
		bytes_done(a.content);
	}
	receipt_keys_free(keys);
	bytes_done(json);
}

/* No key is published of these: what can be shown is that both are of one tree. */
static void real_drafts(void **state)
{
	static const char root[] =
	        "root 895731b5a570ea1967dd7804b5f43146175f9ac87d1565985de3ecf09c9858"
	        "9c";
	struct receipt_ask in = {.of = RECEIPT_OF_LEAF}, tree = {.of = RECEIPT_OF_TREE};
	struct hash left, right;
	struct receipt_result result;
	struct checks checks;
	(void)state;

	need_vectors("scitt/draft-examples/inclusion-receipt.cbor");
	in.receipt = vector_read("scitt/draft-examples/inclusion-receipt.cbor");
	tree.receipt = vector_read("scitt/draft-examples/consistency-receipt.cbor");
	assert_int_equal(
	        hex_decode(bytes_str("987ba8093cabe31046a77bbe9aa4b5f62675d943386c7fbbe249c"
	                             "baca5da242d"),
	                   in.hash.v, HASH_LEN),
	        0);
	/* The tree of 3: its first two leaves and its third. */
	assert_int_equal(
	        hex_decode(bytes_str("33a5211719e06238a191c7244a7633187da2c9aaa5bc6dec54e2c"
	                             "bb498255434"),
	                   left.v, HASH_LEN),
	        0);
	assert_int_equal(
	        hex_decode(bytes_str("3d06455dd33da4e9bbd8090677a2d0955e6dffe4b92069605a468"
	                             "920d1198095"),
	                   right.v, HASH_LEN),
	        0);
	ledger_node_hash(&left, &right, &tree.hash);
	judge(&in, NULL, &result, &checks);
	expect(&checks, CHECK_UNAVAILABLE, NULL);
	assert_non_null(strstr(checks_find(&checks, "receipt.inclusion")->detail, root));
	judge(&tree, NULL, &result, &checks);
	expect(&checks, CHECK_UNAVAILABLE, NULL);
	assert_non_null(strstr(checks_find(&checks, "receipt.consistency")->detail, root));
	tree.hash.v[0] ^= 1;
	judge(&tree, NULL, &result, &checks);
	expect(&checks, CHECK_FAIL, "receipt.consistency");
	bytes_done(in.receipt);
	bytes_done(tree.receipt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_statement_with_its_receipt),
	        cmocka_unit_test(the_order_of_checks),
	        cmocka_unit_test(forms_of_statements),
	        cmocka_unit_test(certificates),
	        cmocka_unit_test(the_signer_as_authority),
	        cmocka_unit_test(certificates_without_a_time),
	        cmocka_unit_test(what_statements_say),
	        cmocka_unit_test(a_key_in_place_of_certificates),
	        cmocka_unit_test(identifiers),
	        cmocka_unit_test(receipts_of_ccf),
	        cmocka_unit_test(receipts_of_rfc9162),
	        cmocka_unit_test(keys_and_algorithms),
	        cmocka_unit_test(several_receipts),
	        cmocka_unit_test(a_receipt_apart),
	        cmocka_unit_test(entries_leaves_and_trees),
	        cmocka_unit_test(without_keys),
	        cmocka_unit_test(every_bit_of_a_transparent_statement),
	        cmocka_unit_test(every_bit_of_receipts_of_rfc9162),
	        cmocka_unit_test(stores),
	        cmocka_unit_test(keys_of_stores),
	        cmocka_unit_test(real_uvm),
	        cmocka_unit_test(real_drafts),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
