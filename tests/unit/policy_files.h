/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of policy/ share: files that policies refer to, held in memory, and parsing of a
 * text as one file among them.
 */
#ifndef KEYGATE_TESTS_POLICY_FILES_H
#define KEYGATE_TESTS_POLICY_FILES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/x509.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include "policy/policy.h"

#define MAYBE_UNUSED __attribute__((unused))

#define DIR      "/etc/keygate/"
#define FILE_A   DIR "policy.d/a.conf"
#define FILE_B   DIR "policy.d/b.conf"
#define LOG_NAME "log.example/tests"

/* TEST_TIME: a day on which all certificates of attest_build.h are valid. */
enum { FILES_MAX = 24, TEST_NOW = 1750000000, WITNESSES = 3 };

struct files {
	size_t n;
	struct {
		char path[128];
		struct buf content;
	} v[FILES_MAX];
};

static MAYBE_UNUSED void files_add(struct files *f, const char *path, struct bytes content)
{
	assert_true(f->n < FILES_MAX);
	snprintf(f->v[f->n].path, sizeof(f->v[0].path), "%s", path);
	f->v[f->n].content = buf_make(1 << 20);
	buf_bytes(&f->v[f->n++].content, content);
}

static MAYBE_UNUSED int files_load(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	const struct files *f = ctx;

	for (size_t i = 0; i < f->n; i++) {
		const struct buf *b = &f->v[i].content;

		if (strcmp(f->v[i].path, path))
			continue;
		*out = malloc(b->n + 1);
		if (!*out)
			return -ENOMEM;
		memcpy(*out, b->p ? b->p : (const uint8_t *)"", b->n);
		*n = b->n;
		return 0;
	}
	return -ENOENT;
}

/* A key that is the same in every run. */
static MAYBE_UNUSED EVP_PKEY *key_of(uint8_t seed)
{
	uint8_t raw[32];

	memset(raw, seed, sizeof(raw));
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, raw, sizeof(raw));
}

static MAYBE_UNUSED void put_vkey(struct buf *out, uint8_t seed, const char *name,
                                  enum note_alg alg)
{
	EVP_PKEY *key = key_of(seed);
	struct vkey v;

	assert_int_equal(ledger_vkey_of(key, name, alg, &v), 0);
	assert_int_equal(ledger_vkey_format(&v, out), 0);
	EVP_PKEY_free(key);
}

/* One log (key 1), three witnesses (keys 10, 11, 12), and this quorum line. */
static MAYBE_UNUSED void put_tlog_policy(struct buf *out, const char *quorum)
{
	buf_str(out, "log ");
	put_vkey(out, 1, LOG_NAME, NOTE_ED25519);
	for (uint8_t i = 0; i < WITNESSES; i++) {
		char name[32];

		snprintf(name, sizeof(name), "w%u.example", i);
		buf_printf(out, "\nwitness w%u ", i);
		put_vkey(out, (uint8_t)(10 + i), name, NOTE_COSIGNATURE);
	}
	buf_printf(out, "\ngroup two 2 w0 w1 w2\nquorum %s\n", quorum);
}

#define ONES "1111111111111111111111111111111111111111111111111111111111111111"

/* What most policies of the tests refer to. */
static MAYBE_UNUSED void files_make(struct files *f)
{
	struct buf text = buf_make(8192);

	memset(f, 0, sizeof(*f));
	put_tlog_policy(&text, "two");
	files_add(f, DIR "policy.d/acme.policy", buf_view(&text));
	files_add(f, DIR "policy.d/../elsewhere.policy", buf_view(&text));
	buf_reset(&text);
	put_tlog_policy(&text, "w0");
	files_add(f, DIR "policy.d/single.policy", buf_view(&text));
	buf_reset(&text);
	put_tlog_policy(&text, "none");
	files_add(f, DIR "policy.d/none.policy", buf_view(&text));
	files_add(f, DIR "policy.d/withdrawn.list",
	          bytes_str("# of the spring\n\n subject:" ONES " # this one\r\nleaf:" ONES "\n"
	                    "snp:" ONES "11111111111111111111111111111111"));
	files_add(f, DIR "policy.d/releases.list",
	          bytes_str("leaf:" ONES " # a release\nsnp:" ONES
	                    "11111111111111111111111111111111\n"));
	/* Held until the second before TEST_NOW. */
	files_add(f, DIR "policy.d/ended.json",
	          bytes_str("{\"_type\":\"https://in-toto.io/Statement/v1\",\"subject\":[{\"name\":"
	                    "\"s\",\"digest\":{\"sha256\":\"" ONES "\"}}],\"predicateType\":"
	                    "\"" STATEMENT_PREDICATE "\",\"predicate\":{\"version\":\"1\","
	                    "\"not_after\":1750000000,\"snp_measurement\":\"" ONES
	                    "11111111111111111111111111111111\"}}"));
	files_add(
	        f, DIR "policy.d/partners.list",
	        bytes_str("# of the spring\n192.0.2.0/28 # one\n\n2001:db8::/32\n198.51.100.7\n"));
	files_add(f, DIR "policy.d/odd.list",
	          bytes_str("10.0.0.1/8\n\nh.example\n::ffff:10.0.0.1\n10.0.0.2\n"));
	files_add(f, DIR "policy.d/empty.list", bytes_str("# nobody\n"));
	files_add(f, DIR "policy.d/bad.list", bytes_str("leaf:" ONES "\nleaf:1\n"));
	files_add(f, DIR "policy.d/binary.list", (struct bytes){(const uint8_t *)"#\0", 2});
	files_add(f, DIR "policy.d/nolog.policy", bytes_str("quorum none\n"));
	files_add(f, DIR "policy.d/bad.policy",
	          bytes_str("# a log would come here\nquorum maybe\n"));
	buf_free(&text);
}

static MAYBE_UNUSED void files_free(struct files *f)
{
	for (size_t i = 0; i < f->n; i++)
		buf_free(&f->v[i].content);
	f->n = 0;
}

static MAYBE_UNUSED int parse_two(const char *a, const char *b, struct policy **out,
                                  struct policy_issues *issues)
{
	struct policy_file in[2] = {{FILE_A, bytes_str(a)}, {FILE_B, bytes_str(b ? b : "")}};
	struct files f;
	int rc;

	files_make(&f);
	rc = policy_parse(in, b ? 2 : 1, files_load, &f, TEST_NOW, out, issues);
	files_free(&f);
	return rc;
}

static MAYBE_UNUSED void print_issues(const struct policy_issues *issues)
{
	for (uint32_t i = 0; i < issues->n; i++)
		print_message("%s:%u: %s: %s\n", issues->v[i].where.file, issues->v[i].where.line,
		              issues->v[i].error ? "error" : "warning", issues->v[i].text);
}

#define GATE_HEAD \
	"default-action = allow\n" \
	"ledger acme { policy = acme.policy }\n"
#define GATE_MUST \
	"address = \"192.0.2.0/24\"\nport = 443\naction = gate\ntee = snp\nledger = acme\n"
/* Four lines before the first of more, which is on line 9. */
#define GATE(more) GATE_HEAD "destination d {\n" GATE_MUST more "}\n"

/* The warning that a block for snp without min-tcb gets: most tests are of other things. */
static MAYBE_UNUSED bool is_no_floor(const struct policy_issue *is)
{
	return !is->error && strstr(is->text, "takes snp firmware of any age");
}

/* Parses what has to be right, without another warning. */
static MAYBE_UNUSED struct policy *parse_good(const char *text)
{
	struct policy_issues issues;
	struct policy *p = NULL;
	int rc = parse_two(text, NULL, &p, &issues);
	uint32_t beside = 0;

	for (uint32_t i = 0; i < issues.n; i++)
		beside += !is_no_floor(&issues.v[i]);
	if (rc || beside) {
		print_issues(&issues);
		print_message("in:\n%s\n", text);
		fail();
	}
	return p;
}

/* A certificate that no vendor serves under a name. Freed by the caller. */
static MAYBE_UNUSED uint8_t *some_cert(long serial, size_t *n)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = X509_new();
	uint8_t *der = NULL, *out;
	int len;

	assert_true(key && x && ASN1_INTEGER_set(X509_get_serialNumber(x), serial) &&
	            X509_set_pubkey(x, key));
	assert_true(X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
	                                       (const uint8_t *)"lab", -1, -1, 0));
	assert_true(ASN1_TIME_set(X509_getm_notBefore(x), 0) &&
	            ASN1_TIME_set(X509_getm_notAfter(x), 1000));
	assert_true(X509_sign(x, key, EVP_sha256()) > 0);
	len = i2d_X509(x, &der);
	assert_true(len > 0);
	*n = (size_t)len;
	out = malloc(*n);
	memcpy(out, der, *n);
	OPENSSL_free(der);
	X509_free(x);
	EVP_PKEY_free(key);
	return out;
}

/* What Intel's service answers for a platform, unsigned. */
#define SOME_TCB_INFO \
	"{\"tcbInfo\":{\"id\":\"TDX\",\"version\":3,\"issueDate\":\"2025-01-01T00:00:00Z\"," \
	"\"nextUpdate\":\"2025-03-01T00:00:00Z\",\"fmspc\":\"00806F050000\",\"pceId\":\"0000\"," \
	"\"tcbType\":0,\"tcbEvaluationDataNumber\":17,\"tcbLevels\":[]},\"signature\":" \
	"\"00000000000000000000000000000000000000000000000000000000000000000000000000000000" \
	"000000000000000000000000000000000000000000000000\"}"

#endif
