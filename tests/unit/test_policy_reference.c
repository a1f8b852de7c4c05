/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The book against the table that the parser runs on: the reference in docs/policy.md is what the
 * table prints, each example there parses without an issue, and so does the example of each key.
 * With --print it prints the reference.
 */
#include "policy_files.h"
#include <openssl/pem.h>
#include "core/file.h"
#include "policy/keys.h"
#include "receipt_own.h"

static const char begin[] = "<!-- reference: begin ";
static const char end[] = "<!-- reference: end -->";

static char *book(void)
{
	uint8_t *text;
	size_t n;

	assert_int_equal(file_read("docs/policy.md", 1 << 20, &text, &n), 0);
	assert_int_equal(strlen((char *)text), n);
	return (char *)text;
}

static void reference_is_the_table(void **state)
{
	struct buf is = buf_make(1 << 20);
	char *text = book(), *from, *to;

	(void)state;
	policy_reference(&is);
	buf_u8(&is, 0);
	from = strstr(text, begin);
	assert_non_null(from);
	from = strchr(from, '\n') + 1;
	to = strstr(from, end);
	assert_non_null(to);
	*to = '\0';
	if (strcmp(from, (char *)is.p))
		fail_msg(
		        "docs/policy.md is not what policy/keys.c says; put what \"--print\" prints "
		        "between the marks");
	free(text);
	buf_free(&is);
}

/* ---------------------------------------------------------------------- examples */

/*
 * A tlog-policy, a list, a leaf, a trust store, a trusted root for what is named so, a public key
 * for the rest.
 */
static int load_any(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	struct buf text = buf_make(1 << 16);

	(void)ctx;
	if (strstr(path, ".list")) {
		buf_str(&text, "# nothing yet\n");
	} else if (strstr(path, "esrp")) {
		struct own o;

		own_make(&o);
		own_store(&o, NULL, &text);
		own_free(&o);
	} else if (strstr(path, ".json")) {
		buf_str(&text, "{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;"
		               "version=0.1\"}");
	} else if (strstr(path, ".leaf")) {
		buf_str(&text, "{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[{\"name\":\"s\","
		               "\"digest\":{\"sha256\":\"" ONES
		               "\"}}],\"predicateType\":\"" STATEMENT_PREDICATE
		               "\",\"predicate\":{\"version\":\"1\","
		               "\"sgx\":{\"mrenclave\":\"" ONES "\"}}}");
	} else if (strstr(path, ".policy")) {
		put_tlog_policy(&text, "two");
	} else {
		BIO *bio = BIO_new(BIO_s_mem());
		EVP_PKEY *key = key_of(1);
		char *pem;
		long len;

		assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
		len = BIO_get_mem_data(bio, &pem);
		buf_put(&text, pem, (size_t)len);
		EVP_PKEY_free(key);
		BIO_free(bio);
	}
	*out = text.p;
	*n = text.n;
	return 0;
}

/* Of nothing but that a block is only monitored a warning may come, and then has to. */
static void must_parse(const char *text)
{
	bool warned = strstr(text, "= monitor") != NULL;
	struct policy_file in = {FILE_A, bytes_str(text)};
	struct policy_issues issues;
	struct policy *p = NULL;

	if (policy_parse(&in, 1, load_any, NULL, TEST_NOW, &p, &issues) || issues.n != warned) {
		print_issues(&issues);
		fail_msg("in:\n%s", text);
	}
	policy_free(p);
}

static void examples_parse(void **state)
{
	static const char fence[] = "```conf\n";
	char *text = book(), *at = text;
	int n = 0;

	(void)state;
	while ((at = strstr(at, fence))) {
		char *stop;

		at += strlen(fence);
		stop = strstr(at, "```");
		assert_non_null(stop);
		*stop = '\0';
		must_parse(at);
		at = stop + 1;
		n++;
	}
	assert_true(n >= 4);
	free(text);
}

/* "<96 hexadecimal digits>" in an example becomes that many. */
static void put_example(struct buf *out, const struct policy_key *k)
{
	const char *at = k->example;

	buf_printf(out, "%s = ", k->name);
	for (; *at; at++) {
		if (*at == '<') {
			for (long n = strtol(at + 1, NULL, 10); n > 0; n--)
				buf_str(out, "1");
			at = strchr(at, '>');
		} else {
			buf_u8(out, (uint8_t)*at);
		}
	}
	buf_str(out, "\n");
}

/* The example of each key, in a block that has what such a block must have. */
static void key_examples_parse(void **state)
{
	const struct policy_section *sec = &policy_sections[SECTION_DESTINATION];

	(void)state;
	for (uint32_t i = 0; i < sec->n; i++) {
		struct buf text = buf_make(1 << 16);
		/* All that a key can be for; a list of measurements has one of each. */
		const char *tees =
		        strcmp(sec->keys[i].name, "measurement") ? "{snp, tdx, sgx}" : "{snp}";

		buf_str(&text,
		        "default-action = allow\nledger acme { policy = a.policy }\n"
		        "destination other { address = 198.51.100.1 port = 1 action = gate tee "
		        "= snp min-tcb = \"snp=1\" ledger = acme\n");
		buf_str(&text, strcmp(sec->keys[i].name, "anchor") ? "}\n" : "anchor = lab }\n");
		if (!strcmp(sec->keys[i].name, "anchor"))
			buf_str(&text, "anchor lab { tee = snp file = lab.pem }\n");
		if (!strcmp(sec->keys[i].name, "release"))
			buf_str(&text,
			        "release acme-release { trusted-root = root.json key = key.pem "
			        "predicate-type = \"" STATEMENT_PREDICATE "\" }\n");
		buf_str(&text, "destination d {\n");
		for (uint32_t k = 0; k < sec->n; k++) {
			if (!strcmp(sec->keys[k].name, "tee"))
				buf_printf(&text, "tee = %s\n", tees);
			else if (k == i || sec->keys[k].flags & (KEY_MUST | KEY_MUST_JUDGE) ||
			         !strcmp(sec->keys[k].name, "address") ||
			         !strcmp(sec->keys[k].name, "min-tcb"))
				put_example(&text, &sec->keys[k]);
		}
		if (!strcmp(sec->keys[i].name, "accept-advisory"))
			buf_str(&text, "tcb-grace = 30d\n");
		buf_str(&text, "}\n");
		buf_u8(&text, 0);
		must_parse((char *)text.p);
		buf_free(&text);
	}
}

/* keygate-policy(5) has each key of each section, and no other; a section begins with ".Ss". */
static void man_page_has_each_key(void **state)
{
	uint8_t *page;
	size_t n, items = 0, keys = 0;
	char *at;

	(void)state;
	assert_int_equal(file_read("docs/man/keygate-policy.5", 1 << 20, &page, &n), 0);
	for (enum policy_section_id s = SECTION_TOP; s < SECTION_MAX; s++) {
		const struct policy_section *sec = &policy_sections[s];
		char head[64];

		snprintf(head, sizeof(head), "\n.Ss %s\n",
		         s == SECTION_TOP ? "Outside of any block" : sec->name);
		head[strlen(head) - 1] = '\0';
		at = strstr((char *)page, head);
		if (!at)
			fail_msg("no section%s in keygate-policy(5)", head);
		for (uint32_t k = 0; k < sec->n; k++) {
			char item[80];
			char *next = strstr(at + 1, "\n.Ss "), *found;

			snprintf(item, sizeof(item), "\n.It Cm %s\n", sec->keys[k].name);
			found = strstr(at, item);
			if (!found || (next && found > next))
				fail_msg("keygate-policy(5) does not have %s of %s",
				         sec->keys[k].name, head);
			keys++;
		}
	}
	for (at = (char *)page; (at = strstr(at, "\n.It Cm ")); at++)
		items++;
	assert_int_equal(items, keys);
	free(page);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(reference_is_the_table),
	        cmocka_unit_test(examples_parse),
	        cmocka_unit_test(key_examples_parse),
	        cmocka_unit_test(man_page_has_each_key),
	};

	if (argc > 1 && !strcmp(argv[1], "--print")) {
		struct buf out = buf_make(1 << 20);

		policy_reference(&out);
		fwrite(out.p, 1, out.n, stdout);
		buf_free(&out);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
