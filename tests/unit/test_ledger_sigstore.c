/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigstore bundles: real ones and what becomes of them when one thing is wrong, and those of a log
 * and a publisher of our own for what no real one shows.
 */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>
#include <openssl/ts.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include "ledger/sigstore.h"
#include "ledger/sigstore_room.h"
#include "tests/unit/sigstore_own.h"

#define CONFORMANCE "sigstore/conformance/"
#define TINFOIL     "sigstore/tinfoil/"
#define GOOD_ROOT   "sigstore/trust/6494e21ea73f.trusted_root.json"
#define GITHUB      "https://token.actions.githubusercontent.com"
#define BEACON \
	"https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/" \
	"workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
#define DIGEST "5ed9d5c942528ec2eeb759919827f1bc2183c6810f80225a52147dd4020c12a0"

/* Exactly this check refuses; NULL: none does. */
static void expect(const struct checks *c, const char *id)
{
	char full[CHECK_ID_MAX];

	snprintf(full, sizeof(full), "%s", id ? id : "");
	assert_false(c->overflow);
	for (uint32_t i = 0; i < c->n; i++)
		if (c->v[i].status == CHECK_FAIL && strcmp(c->v[i].id, full) != 0)
			fail_msg("refused by %s (%s), wanted %s", c->v[i].id, c->v[i].detail, full);
	if (id)
		assert_true(checks_find(c, id) && checks_find(c, id)->status == CHECK_FAIL);
	else
		assert_int_equal(checks_overall(c), CHECK_PASS);
}

static void identity_of(struct sigstore_identity *i, const char *issuer, const char *san,
                        const char *predicate)
{
	memset(i, 0, sizeof(*i));
	snprintf(i->issuer, sizeof(i->issuer), "%s", issuer);
	snprintf(i->san, sizeof(i->san), "%s", san);
	snprintf(i->predicate_type, sizeof(i->predicate_type), "%s", predicate);
}

static void judge(struct bytes bundle, const char *root_name, const struct sigstore_identity *id,
                  const struct sigstore_artifact *artifact, int64_t at, struct checks *checks)
{
	struct bytes text = vector_read(root_name);
	struct sigstore_root *root = NULL;
	struct sigstore_result result;

	memset(checks, 0, sizeof(*checks));
	if (!sigstore_root_parse(text, &root, checks))
		assert_int_equal(sigstore_verify(bundle, root, id, artifact, at, &result, checks),
		                 0);
	sigstore_root_free(root);
	bytes_done(text);
}

/* -------------------------------------------------------------------- real */

struct real {
	const char *bundle, *root;
	const char *issuer, *san, *repository, *ref, *predicate;
	int64_t at;
	const char *id; /* that refuses; NULL: none */
};

static const struct real artifacts[] = {
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER, NULL},
        {"happy-path-v0.3", NULL, GITHUB, "https://github.com/sigstore-conformance/*",
         "sigstore-conformance/extremely-dangerous-public-oidc-beacon", "refs/heads/*", "",
         VERDICT_FOREVER, NULL},
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "", "", "", 1710869186 - 301, "sigstore.time"},
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "", "", "", 1710869186 - 300, NULL},
        {"happy-path-v0.3", NULL, GITHUB "/", BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.issuer"},
        {"happy-path-v0.3", NULL, "", BEACON, "", "", "", VERDICT_FOREVER, "sigstore.issuer"},
        {"happy-path-v0.3", NULL, GITHUB, "https://github.com/someone/*", "", "", "",
         VERDICT_FOREVER, "sigstore.san"},
        {"happy-path-v0.3", NULL, GITHUB, "", "", "", "", VERDICT_FOREVER, "sigstore.san"},
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "sigstore-conformance/another", "", "",
         VERDICT_FOREVER, "sigstore.repository"},
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "", "refs/tags/*", "", VERDICT_FOREVER,
         "sigstore.ref"},
        {"happy-path-v0.3", NULL, GITHUB, BEACON, "", "", "https://slsa.dev/provenance/v1",
         VERDICT_FOREVER, "sigstore.predicate-type"},
        {"happy-path-v0.2", NULL, GITHUB, BEACON, "", "", "https://slsa.dev/provenance/v1",
         VERDICT_FOREVER, "sigstore.format"},
        {"bundle-negative-log-index_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.format"},
        {"bundle-from-wrong-instance_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.log"},
        {"set-invalid-signature_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.set"},
        {"invalid-checkpoint-signature_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.checkpoint"},
        {"inclusion-proof-corrupted-hash_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.inclusion"},
        {"dsse-mismatch-envelope_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.body"},
        {"managed-key-no-key_fail", NULL, GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.key"},
        {"invalid-ct-key_fail", "f779f7740f78", GITHUB, BEACON, "", "", "", VERDICT_FOREVER,
         "sigstore.sct"},
        {"trust-root-tlog-missing-validity-start_fail", "49b2f22851c4", GITHUB, BEACON, "", "", "",
         VERDICT_FOREVER, "sigstore.trusted-root"},
        {"rekor2-timestamp-with-embedded-cert", "ed6a9cf4e7c2", GITHUB, BEACON, "", "", "",
         VERDICT_FOREVER, NULL},
        {"rekor2-timestamp-outside-trust-root-tsa-validity_fail", "3ab725db23d6", GITHUB, BEACON,
         "", "", "", VERDICT_FOREVER, "sigstore.timestamp"},
};

static void run_real(const struct real *r, const char *bundle, const char *root,
                     const struct sigstore_artifact *artifact)
{
	struct sigstore_identity id;
	struct checks checks;
	struct bytes b = vector_read(bundle);

	identity_of(&id, r->issuer, r->san, r->predicate);
	snprintf(id.repository, sizeof(id.repository), "%s", r->repository);
	snprintf(id.ref, sizeof(id.ref), "%s", r->ref);
	judge(b, root, &id, artifact, r->at, &checks);
	bytes_done(b);
	printf("%s: %s\n", r->bundle, r->id ? r->id : "pass");
	expect(&checks, r->id);
}

static void test_one_thing_wrong(void **state)
{
	struct sigstore_artifact artifact = {0};
	char bundle[256], root[256];

	(void)state;
	need_vectors(GOOD_ROOT);
	artifact.content = vector_read(CONFORMANCE "a.txt");
	for (size_t i = 0; i < sizeof(artifacts) / sizeof(artifacts[0]); i++) {
		const struct real *r = &artifacts[i];

		snprintf(bundle, sizeof(bundle), CONFORMANCE "%s.sigstore.json", r->bundle);
		snprintf(root, sizeof(root), "sigstore/trust/%s.trusted_root.json",
		         r->root ? r->root : "6494e21ea73f");
		run_real(r, bundle, root, &artifact);
	}
	bytes_done(artifact.content);
}

static const struct real statements[] = {
        {"379429eb41a4", "5ed8bb572733", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, NULL},
        {"92ba59cce59e", "5ed8bb572733", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.time"},
        {"eb54169f70b7", "d197ca65d176", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.certificate"},
        {"a90e8f3056d6", "7c1639c4917b", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.sct"},
        {"56ec9ea080a1", "4a1f9c191593", GITHUB, "*", "", "refs/*", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.ref"},
        {"981af55cd4d2", "da10ccad1fd4", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.statement"},
        {"de074942a372", "99056d13c989", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.predicate-type"},
        {"53d907496c9e", "f3700e95dc72", GITHUB, "*", "", "", RELEASE_TINFOIL_MULTI,
         VERDICT_FOREVER, "sigstore.predicate"},
};

static void test_statements(void **state)
{
	struct sigstore_artifact artifact = {.has_sha256 = true};
	char bundle[256], root[256];

	(void)state;
	need_vectors(GOOD_ROOT);
	assert_int_equal(hex_decode(bytes_str(DIGEST), artifact.sha256, HASH_LEN), 0);
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++) {
		const struct real *r = &statements[i];

		snprintf(bundle, sizeof(bundle), TINFOIL "bundle-%s.json", r->bundle);
		snprintf(root, sizeof(root), TINFOIL "trust-%s.json", r->root);
		run_real(r, bundle, root, &artifact);
	}
	artifact.sha256[0] ^= 1;
	struct real other = statements[0];

	other.id = "sigstore.artifact";
	run_real(&other, TINFOIL "bundle-379429eb41a4.json", TINFOIL "trust-5ed8bb572733.json",
	         &artifact);
}

/* Nothing of a real bundle can be cut off or changed without being refused. */
static void test_cut_and_flipped(void **state)
{
	enum { STEP = 31 };
	struct sigstore_artifact artifact = {0};
	struct sigstore_identity id;
	struct sigstore_result result;
	struct sigstore_root *root;
	struct checks checks = {0};
	struct bytes text, b;
	uint8_t *p;

	(void)state;
	need_vectors(GOOD_ROOT);
	identity_of(&id, GITHUB, BEACON, "");
	artifact.content = vector_read(CONFORMANCE "a.txt");
	text = vector_read(GOOD_ROOT);
	assert_int_equal(sigstore_root_parse(text, &root, &checks), 0);
	b = vector_read(CONFORMANCE "happy-path-v0.3.sigstore.json");
	p = malloc(b.n);
	assert_non_null(p);
	for (size_t i = 0; i < b.n; i += STEP) {
		memset(&checks, 0, sizeof(checks));
		assert_int_equal(sigstore_verify((struct bytes){b.p, i}, root, &id, &artifact,
		                                 VERDICT_FOREVER, &result, &checks),
		                 0);
		assert_int_equal(checks_overall(&checks), CHECK_FAIL);
		memcpy(p, b.p, b.n);
		p[i] ^= 1;
		memset(&checks, 0, sizeof(checks));
		assert_int_equal(sigstore_verify((struct bytes){p, b.n}, root, &id, &artifact,
		                                 VERDICT_FOREVER, &result, &checks),
		                 0);
		if (checks_overall(&checks) == CHECK_PASS)
			fail_msg("byte %zu changed, and it passes", i);
	}
	for (size_t i = 0; i < text.n; i += STEP) {
		struct sigstore_root *cut = NULL;

		memset(&checks, 0, sizeof(checks));
		assert_int_equal(sigstore_root_parse((struct bytes){text.p, i}, &cut, &checks),
		                 -EINVAL);
	}
	free(p);
	bytes_done(b);
	bytes_done(text);
	bytes_done(artifact.content);
	sigstore_root_free(root);
}

/* --------------------------------------------------------------------- own */

#define OWN_STATEMENT \
	"{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[{\"name\":\"x\",\"digest\":{\"sha256\":" \
	"\"" DIGEST "\"}}],\"predicateType\":\"" STATEMENT_PREDICATE "\",\"predicate\":{" \
	"\"version\":\"1\",\"not_after\":1800000000,\"snp_measurement\":\"" \
	"11111111111111111111111111111111111111111111111111111111111111111111111111111111" \
	"1111111111111111\"}}"

static void own_judge(struct own *o, int64_t at, const char *id, struct sigstore_result *result)
{
	struct sigstore_identity who = {0};
	struct sigstore_artifact any = {0};
	struct sigstore_root *root = NULL;
	struct checks checks = {0};
	struct bytes der = spki(o->key);

	who.key = der;
	assert_int_equal(sigstore_root_parse(bytes_str(o->root), &root, &checks), 0);
	assert_int_equal(
	        sigstore_verify(buf_view(&o->bundle), root, &who, &any, at, result, &checks), 0);
	sigstore_root_free(root);
	OPENSSL_free((void *)(uintptr_t)der.p);
	expect(&checks, id);
}

static void test_own(void **state)
{
	struct own o = {.bundle = buf_make(SIGSTORE_BUNDLE_MAX)};
	struct sigstore_result result;

	(void)state;
	o.log = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	o.key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	own_root(&o);
	own_bundle(&o, OWN_STATEMENT, OWN_STATEMENT);
	own_judge(&o, 1799999999, NULL, &result);
	assert_int_equal(result.statement.tees, 1);
	assert_string_equal(result.statement.tee[0].tee, "snp");
	own_judge(&o, 1800000000, "ledger.expired", &result);
	/* Before the log is trusted. */
	own_judge(&o, 1, "sigstore.log", &result);
	/* Logged as it is, but something else was signed. */
	own_bundle(&o, OWN_STATEMENT, "{}");
	own_judge(&o, 1799999999, "sigstore.signature", &result);
	own_bundle(&o, "{}", "{}");
	own_judge(&o, 1799999999, "sigstore.statement", &result);
	EVP_PKEY_free(o.log);
	EVP_PKEY_free(o.key);
	buf_free(&o.bundle);
}

static void test_patterns(void **state)
{
	static const struct {
		const char *pattern, *text;
		bool is;
	} rows[] = {
	        {"", "", true},
	        {"", "a", false},
	        {"a", "", false},
	        {"*", "", true},
	        {"*", "abc", true},
	        {"a*c", "abbc", true},
	        {"a*c", "abbd", false},
	        {"*b*", "abc", true},
	        {"refs/tags/*", "refs/tags/", true},
	        {"a", "ab", false},
	        {"ab", "a", false},
	        {"*.x", "a.x.y", false},
	        {"a?c", "abc", false},
	        {"*aab", "aaaab", true},
	        {"A", "a", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(sigstore_pattern_matches(rows[i].pattern, rows[i].text),
		                 rows[i].is);
}

/* A certificate for key, signed by an authority with this digest; uses are those of the key, or
 * NULL. */
static X509 *own_certificate(EVP_PKEY *key, const char *name, const char *uses, EVP_PKEY *by,
                             const char *by_name, const EVP_MD *md)
{
	const unsigned char *cn = (const unsigned char *)name, *by_cn = (const void *)by_name;
	X509 *x = X509_new();

	assert_non_null(x);
	assert_int_equal(ASN1_INTEGER_set(X509_get_serialNumber(x), 1), 1);
	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), 1));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), 1000));
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	                                            cn, -1, -1, 0),
	                 1);
	assert_int_equal(X509_NAME_add_entry_by_txt(X509_get_issuer_name(x), "CN", MBSTRING_ASC,
	                                            by_cn, -1, -1, 0),
	                 1);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	if (uses) {
		X509_EXTENSION *use = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, uses);

		assert_int_equal(X509_set_version(x, X509_VERSION_3), 1);
		assert_int_equal(X509_add_ext(x, use, -1), 1);
		X509_EXTENSION_free(use);
	}
	assert_true(X509_sign(x, by, md) > 0);
	return x;
}

static bool own_issued(EVP_PKEY *authority, EVP_PKEY *key, const EVP_MD *md)
{
	struct trusted_authority a = {.n = 1};
	X509 *leaf = own_certificate(key, "leaf", NULL, authority, "root", md);
	bool ok;

	a.chain[0] = own_certificate(authority, "root", NULL, authority, "root", EVP_sha256());
	ok = authority_issued(&a, leaf, 500, NULL);
	/* It is not for something else that it is refused. */
	assert_int_equal(X509_verify(leaf, authority), 1);
	X509_free(a.chain[0]);
	X509_free(leaf);
	return ok;
}

static void test_weak_algorithms(void **state)
{
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
	         *rsa = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048),
	         *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);

	(void)state;
	assert_true(own_issued(ec, ec, EVP_sha256()));
	assert_true(own_issued(rsa, ec, EVP_sha256()));
	assert_false(own_issued(ec, ec, EVP_sha1()));
	assert_false(own_issued(small, ec, EVP_sha256()));
	assert_false(own_issued(ec, small, EVP_sha256()));
	EVP_PKEY_free(ec);
	EVP_PKEY_free(rsa);
	EVP_PKEY_free(small);
}

static ASN1_INTEGER *stamp_serial(TS_RESP_CTX *ctx, void *arg)
{
	ASN1_INTEGER *n = ASN1_INTEGER_new();

	(void)ctx;
	(void)arg;
	assert_int_equal(ASN1_INTEGER_set(n, 1), 1);
	return n;
}

static int stamp_time(TS_RESP_CTX *ctx, void *arg, long *s, long *us)
{
	(void)ctx;
	(void)arg;
	*s = 500;
	*us = 0;
	return 1;
}

/* What is asked of an authority: a stamp for this. */
static BIO *stamp_request(struct bytes signature)
{
	TS_REQ *req = TS_REQ_new();
	TS_MSG_IMPRINT *imprint = TS_MSG_IMPRINT_new();
	X509_ALGOR *alg = X509_ALGOR_new();
	BIO *out = BIO_new(BIO_s_mem());
	uint8_t digest[32];

	assert_int_equal(EVP_Q_digest(NULL, "SHA256", NULL, signature.p, signature.n, digest, NULL),
	                 1);
	X509_ALGOR_set_md(alg, EVP_sha256());
	assert_int_equal(TS_MSG_IMPRINT_set_algo(imprint, alg), 1);
	assert_int_equal(TS_MSG_IMPRINT_set_msg(imprint, digest, sizeof(digest)), 1);
	assert_int_equal(TS_REQ_set_version(req, 1), 1);
	assert_int_equal(TS_REQ_set_msg_imprint(req, imprint), 1);
	assert_int_equal(TS_REQ_set_cert_req(req, 1), 1);
	assert_int_equal(i2d_TS_REQ_bio(out, req), 1);
	X509_ALGOR_free(alg);
	TS_MSG_IMPRINT_free(imprint);
	TS_REQ_free(req);
	return out;
}

static struct bytes own_stamp(X509 *cert, EVP_PKEY *key, struct bytes signature)
{
	TS_RESP_CTX *ctx = TS_RESP_CTX_new();
	ASN1_OBJECT *rules = OBJ_txt2obj("1.2.3.4", 1);
	BIO *request = stamp_request(signature);
	TS_RESP *response;
	uint8_t *der = NULL;
	int n;

	assert_int_equal(TS_RESP_CTX_set_signer_cert(ctx, cert), 1);
	assert_int_equal(TS_RESP_CTX_set_signer_key(ctx, key), 1);
	assert_int_equal(TS_RESP_CTX_set_signer_digest(ctx, EVP_sha256()), 1);
	assert_int_equal(TS_RESP_CTX_set_def_policy(ctx, rules), 1);
	assert_int_equal(TS_RESP_CTX_add_md(ctx, EVP_sha256()), 1);
	TS_RESP_CTX_set_serial_cb(ctx, stamp_serial, NULL);
	TS_RESP_CTX_set_time_cb(ctx, stamp_time, NULL);
	response = TS_RESP_create_response(ctx, request);
	assert_non_null(response);
	n = i2d_TS_RESP(response, &der);
	assert_true(n > 0);
	TS_RESP_free(response);
	BIO_free(request);
	ASN1_OBJECT_free(rules);
	TS_RESP_CTX_free(ctx);
	return (struct bytes){der, (size_t)n};
}

/* Whether a stamp counts whose signer has a certificate by this authority, made with this digest.
 */
static bool own_stamped(EVP_PKEY *authority, EVP_PKEY *key, const EVP_MD *md)
{
	static const uint8_t signature[] = "a signature";
	static const char uses[] = "critical,timeStamping";
	struct bundle bundle = {.stamps = 1, .signature = {signature, sizeof(signature)}};
	struct sigstore_root root = {.tsas = 1};
	struct checks checks = {0};
	struct sigstore_job job = {.bundle = &bundle, .root = &root, .checks = &checks};
	X509 *cert = own_certificate(key, "stamps", uses, authority, "root", md);
	bool ok;

	root.tsa[0].n = 1;
	root.tsa[0].span.end = VERDICT_FOREVER;
	root.tsa[0].chain[0] =
	        own_certificate(authority, "root", NULL, authority, "root", EVP_sha256());
	bundle.stamp[0] = own_stamp(cert, key, bundle.signature);
	ok = timestamps_verify(&job);
	assert_int_equal(job.times, ok ? 1 : 0);
	expect(&checks, ok ? NULL : "sigstore.timestamp");
	assert_int_equal(X509_verify(cert, authority), 1);
	OPENSSL_free((void *)(uintptr_t)bundle.stamp[0].p);
	X509_free(root.tsa[0].chain[0]);
	X509_free(cert);
	return ok;
}

static void test_weak_stamps(void **state)
{
	EVP_PKEY *ec = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256"),
	         *small = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);

	(void)state;
	assert_true(own_stamped(ec, ec, EVP_sha256()));
	assert_false(own_stamped(ec, ec, EVP_sha1()));
	assert_false(own_stamped(small, ec, EVP_sha256()));
	assert_false(own_stamped(ec, small, EVP_sha256()));
	EVP_PKEY_free(ec);
	EVP_PKEY_free(small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_one_thing_wrong), cmocka_unit_test(test_statements),
	        cmocka_unit_test(test_cut_and_flipped), cmocka_unit_test(test_own),
	        cmocka_unit_test(test_patterns),        cmocka_unit_test(test_weak_algorithms),
	        cmocka_unit_test(test_weak_stamps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
