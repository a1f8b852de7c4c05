/* SPDX-License-Identifier: Apache-2.0 */
/* tlog-policies: what the format allows, what it refuses and in which line, and the quorum. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>

static struct tlog_policy *policy_new(void)
{
	struct tlog_policy *p = malloc(sizeof(*p));

	assert_non_null(p);
	return p;
}

/* A vkey of its own for each name. */
static void vkey_text(const char *name, enum note_alg alg, uint8_t seed, char out[static 512])
{
	EVP_PKEY *key = test_key(seed);
	struct buf b = buf_make(512);
	struct vkey k;

	assert_int_equal(ledger_vkey_of(key, name, alg, &k), 0);
	assert_int_equal(ledger_vkey_format(&k, &b), 0);
	snprintf(out, 512, "%.*s", (int)b.n, (const char *)b.p);
	buf_free(&b);
	EVP_PKEY_free(key);
}

/* ------------------------------------------------------------------ vectors */

static void c2sp_row(const struct row *r, void *ctx)
{
	struct tlog_policy *p;
	struct bytes file;
	const char *why = NULL;
	uint32_t line = 0;
	int ret;

	if (strncmp(r->f[0], "cosignature/policy/", 19) != 0 || strncmp(r->f[2], "C2SP", 4) != 0)
		return;
	p = policy_new();
	file = vector_read(r->f[0]);
	ret = ledger_policy_parse(file, p, &line, &why);
	if ((ret == 0) != (strcmp(r->f[3], "parse-ok") == 0))
		fail_msg("%s: line %u: %s", r->f[0], line, why ? why : "accepted");
	assert_int_equal(ret != 0, why != NULL);
	bytes_done(file);
	free(p);
	(*(size_t *)ctx)++;
}

static void c2sp_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", c2sp_row, &n);
	assert_int_equal(n, 18);
}

/*
 * Policies in the older form have bare keys where ours have verifier keys; the grammar around them
 * is the same. Each bare key becomes a verifier key of its own (bare ones are refused as they are).
 */
static struct buf with_vkeys(const char *text)
{
	struct buf out = buf_make(TLOG_POLICY_MAX);
	char *copy = strdup(text);
	char *line_save = NULL;

	assert_non_null(copy);
	for (char *line = strtok_r(copy, "\n", &line_save); line;
	     line = strtok_r(NULL, "\n", &line_save)) {
		bool comment = line[strspn(line, " \t")] == '#';
		bool log = strncmp(line + strspn(line, " \t"), "log", 3) == 0;
		char *save = NULL;

		for (char *w = strtok_r(line, " \t", &save); w && !comment;
		     w = strtok_r(NULL, " \t", &save)) {
			uint8_t raw[32];
			char vkey[512];
			char name[80];

			if (hex_decode(bytes_str(w), raw, sizeof(raw))) {
				buf_printf(&out, "%s ", w);
				continue;
			}
			snprintf(name, sizeof(name), "key.example/%s", w);
			vkey_text(name, log ? NOTE_ED25519 : NOTE_COSIGNATURE, raw[0], vkey);
			buf_printf(&out, "%s ", vkey);
		}
		buf_u8(&out, '\n');
	}
	free(copy);
	return out;
}

static void bare_key_row(const struct row *r, void *ctx)
{
	struct tlog_policy *p;
	struct bytes file;
	struct buf b;
	const char *why;
	uint32_t line;

	if (strncmp(r->f[0], "cosignature/policy/", 19) != 0 ||
	    strncmp(r->f[2], "sigsum policy", 13) != 0)
		return;
	p = policy_new();
	file = vector_read(r->f[0]);
	/* As it stands it is no C2SP policy. */
	assert_int_equal(ledger_policy_parse(file, p, &line, &why), -EINVAL);
	if (!strstr(r->f[0], "neg-del")) {
		b = with_vkeys((const char *)file.p);
		if ((ledger_policy_parse(buf_view(&b), p, &line, &why) == 0) !=
		    (strcmp(r->f[3], "parse-ok") == 0))
			fail_msg("%s: line %u: %s", r->f[0], line, why ? why : "accepted");
		buf_free(&b);
	}
	bytes_done(file);
	free(p);
	(*(size_t *)ctx)++;
}

static void bare_key_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", bare_key_row, &n);
	assert_int_equal(n, 13);
}

/* witnesses expect */
static void quorum_row(const struct row *r, void *ctx)
{
	const struct tlog_policy *p = ctx;
	bool seen[TLOG_KEYS_MAX] = {false};
	char *save = NULL;

	for (char *w = strtok_r(r->f[0], ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		bool found = strcmp(w, "-") == 0;

		for (uint32_t i = 0; i < p->witnesses; i++) {
			if (strcmp(p->witness_name[i], w) == 0)
				seen[i] = found = true;
		}
		assert_true(found);
	}
	assert_int_equal(ledger_quorum(p, seen), strcmp(r->f[1], "quorum") == 0);
}

static void quorum_vectors(void **state)
{
	static const struct {
		const char *name;
		size_t rows;
	} tables[] = {
	        {"c2sp-mldsa-witness", 2},
	        {"c2sp-quorum-none", 1},
	        {"nested-2ofn-exhaustive", 64},
	        {"sigsum-valid", 9},
	};

	(void)state;
	need_vectors("cosignature/policy/sigsum-valid.policy");
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		struct tlog_policy *p = policy_new();
		char name[128];
		struct bytes file;
		struct buf b;
		const char *why = NULL;
		uint32_t line;

		snprintf(name, sizeof(name), "cosignature/policy/%s.policy", tables[i].name);
		file = vector_read(name);
		b = with_vkeys((const char *)file.p);
		if (ledger_policy_parse(buf_view(&b), p, &line, &why))
			fail_msg("%s:%u: %s", name, line, why);
		snprintf(name, sizeof(name), "cosignature/policy/%s.quorum.tsv", tables[i].name);
		assert_int_equal(each_row(name, quorum_row, p), tables[i].rows);
		buf_free(&b);
		bytes_done(file);
		free(p);
	}
}

/* ------------------------------------------------------------------ grammar */

/* Parses text in which %A %B %C are three witness keys and %L a log's. */
static int parse(const char *text, struct tlog_policy *p, uint32_t *line, const char **why)
{
	struct buf b = buf_make(2 * TLOG_POLICY_MAX);
	char key[512];
	char name[32];
	int ret;

	for (const char *t = text; *t; t++) {
		if (*t != '%') {
			buf_u8(&b, (uint8_t)*t);
			continue;
		}
		t++;
		snprintf(name, sizeof(name), "%c.example", *t);
		vkey_text(name, *t >= 'L' ? NOTE_ED25519 : NOTE_COSIGNATURE, (uint8_t)*t, key);
		buf_str(&b, key);
	}
	ret = ledger_policy_parse(buf_view(&b), p, line, why);
	buf_free(&b);
	return ret;
}

static void grammar(void **state)
{
	/* line 0: it parses */
	static const struct {
		const char *text;
		uint32_t line;
		const char *why;
	} cases[] = {
	        {"quorum none\n", 0, NULL},
	        {"\n \t\n# a comment\n \t# another\n\tquorum \t none \t\n", 0, NULL},
	        {"log %L\nwitness a %A\nquorum a\n", 0, NULL},
	        {"log %L https://log.example/ \nwitness a %A https://a.example/\nquorum a\n", 0,
	         NULL},
	        {"quorum none\nlog %L\nwitness a %A\n", 0, NULL},
	        {"witness \xff\xfe %A\nquorum \xff\xfe\n", 0, NULL},
	        {"witness a %A\nwitness b %B\ngroup g any a b\nquorum g\n", 0, NULL},
	        {"witness a %A\nwitness b %B\ngroup g 2 a b\ngroup h all g\nquorum h\n", 0, NULL},
	        {"witness any %A\ngroup all any any\nquorum all\n", 0, NULL},
	        {"", 0, "quorum"},
	        {"# only this\n", 1, "quorum"},
	        {"quorum none", 1, "newline"},
	        {"quorum none\n#", 2, "newline"},
	        {"quorum none\r\n", 1, "octets"},
	        {"# \x7f\nquorum none\n", 1, "octets"},
	        {"quorum none\nquorum none\n", 2, "one quorum line"},
	        {"quorum\n", 1, "one name"},
	        {"quorum a b\n", 1, "one name"},
	        {"quorum a\nwitness a %A\n", 1, "earlier line"},
	        {"Quorum none\n", 1, "begins with"},
	        {"include other\n", 1, "begins with"},
	        {"log\n", 1, "verifier key"},
	        {"log %L https://log.example/ #c\nquorum none\n", 1, "at most a URL"},
	        {"log nonsense\n", 1, "verifier key is wanted"},
	        {"log %A\n", 1, "witness's key"},
	        {"log %L\nlog %L\n", 2, "same public key"},
	        {"witness a\n", 1, "followed by"},
	        {"witness a %L\n", 1, "type 4 or 6"},
	        {"witness a %A u v\n", 1, "followed by"},
	        {"witness none %A\n", 1, "reserved"},
	        {"witness a %A\nwitness a %B\n", 2, "taken"},
	        {"witness a %A\nwitness b %A\n", 2, "same public key"},
	        {"witness a %A\ngroup a any a\n", 2, "taken"},
	        {"group none any a\n", 1, "reserved"},
	        {"group g any\n", 1, "its members"},
	        {"group g any a\n", 1, "earlier line"},
	        {"group g any g\n", 1, "earlier line"},
	        {"witness a %A\ngroup g any none\n", 2, "earlier line"},
	        {"witness a %A\ngroup g 0 a\n", 2, "threshold"},
	        {"witness a %A\ngroup g 2 a\n", 2, "threshold"},
	        {"witness a %A\ngroup g 01 a\n", 2, "threshold"},
	        {"witness a %A\ngroup g +1 a\n", 2, "threshold"},
	        {"witness a %A\ngroup g Any a\n", 2, "threshold"},
	        {"witness a %A\ngroup g any a a\n", 2, "only once"},
	        {"witness a %A\ngroup g any a\ngroup h any a\n", 3, "only once"},
	};
	struct tlog_policy *p = policy_new();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *why = "unset";
		uint32_t line = 99;
		int ret = parse(cases[i].text, p, &line, &why);

		if ((ret == 0) != (cases[i].why == NULL) ||
		    (ret && (line != cases[i].line || !strstr(why, cases[i].why))))
			fail_msg("case %zu, line %u: %s", i, line, why ? why : "accepted");
	}
	free(p);
}

static void limits(void **state)
{
	struct tlog_policy *p = policy_new();
	struct buf b = buf_make(4 * TLOG_POLICY_MAX);
	const char *why;
	uint32_t line;
	char key[512];
	char name[64];

	(void)state;
	for (int i = 0; i < TLOG_KEYS_MAX; i++) {
		snprintf(name, sizeof(name), "w%d.example", i);
		vkey_text(name, NOTE_COSIGNATURE, (uint8_t)(i + 1), key);
		buf_printf(&b, "witness w%d %s\n", i, key);
		snprintf(name, sizeof(name), "l%d.example", i);
		vkey_text(name, NOTE_ED25519, (uint8_t)(i + 1), key);
		buf_printf(&b, "log %s\n", key);
	}
	buf_str(&b, "group g 64");
	for (int i = 0; i < TLOG_KEYS_MAX; i++)
		buf_printf(&b, " w%d", i);
	buf_str(&b, "\nquorum g\n");
	if (ledger_policy_parse(buf_view(&b), p, &line, &why))
		fail_msg("line %u: %s", line, why);
	assert_int_equal(p->logs, TLOG_KEYS_MAX);
	assert_int_equal(p->witnesses, TLOG_KEYS_MAX);
	assert_int_equal(p->group[0].members, TLOG_KEYS_MAX);

	size_t whole = b.n;

	vkey_text("more.example", NOTE_COSIGNATURE, 200, key);
	buf_printf(&b, "witness more %s\n", key);
	assert_int_equal(ledger_policy_parse(buf_view(&b), p, &line, &why), -EINVAL);
	assert_non_null(strstr(why, "64 witnesses"));
	b.n = whole;
	vkey_text("more.example", NOTE_ED25519, 200, key);
	buf_printf(&b, "log %s\n", key);
	assert_int_equal(ledger_policy_parse(buf_view(&b), p, &line, &why), -EINVAL);
	assert_non_null(strstr(why, "64 logs"));

	b.n = whole;
	buf_u8(&b, '#');
	for (int i = 0; i < 4096; i++)
		buf_u8(&b, 'x');
	buf_u8(&b, '\n');
	assert_int_equal(ledger_policy_parse(buf_view(&b), p, &line, &why), -EINVAL);
	assert_non_null(strstr(why, "4096"));
	b.n = whole;
	while (b.n <= TLOG_POLICY_MAX)
		buf_str(&b, "# fill\n");
	assert_int_equal(ledger_policy_parse(buf_view(&b), p, &line, &why), -EINVAL);
	assert_non_null(strstr(why, "65536"));
	/* What was refused holds nothing, and nothing meets its quorum. */
	bool all[TLOG_KEYS_MAX];

	memset(all, true, sizeof(all));
	assert_int_equal(p->logs + p->witnesses, 0);
	assert_false(ledger_quorum(p, all));
	buf_free(&b);
	free(p);
}

static void flat(void **state)
{
	struct tlog_policy *p = policy_new();
	bool seen[TLOG_KEYS_MAX] = {false};
	struct vkey log;
	struct vkey w[3];
	char text[512];

	(void)state;
	vkey_text("l.example", NOTE_ED25519, 1, text);
	assert_int_equal(ledger_vkey_parse(bytes_str(text), &log), 0);
	for (uint8_t i = 0; i < 3; i++) {
		vkey_text("w.example", NOTE_COSIGNATURE, (uint8_t)(10 + i), text);
		assert_int_equal(ledger_vkey_parse(bytes_str(text), &w[i]), 0);
	}
	assert_int_equal(ledger_policy_flat(p, &log, 1, w, 3, 2), 0);
	assert_false(ledger_quorum(p, seen));
	seen[2] = true;
	assert_false(ledger_quorum(p, seen));
	seen[3] = true; /* nobody */
	assert_false(ledger_quorum(p, seen));
	seen[0] = true;
	assert_true(ledger_quorum(p, seen));
	assert_int_equal(ledger_policy_flat(p, &log, 1, w, 3, 4), -EINVAL);
	assert_int_equal(ledger_policy_flat(p, &log, 1, w, 3, 0), -EINVAL);
	assert_int_equal(ledger_policy_flat(p, w, 1, NULL, 0, 0), -EINVAL);
	assert_int_equal(ledger_policy_flat(p, &log, 1, &log, 1, 1), -EINVAL);
	w[1] = w[0];
	assert_int_equal(ledger_policy_flat(p, &log, 1, w, 2, 1), -EINVAL);
	assert_int_equal(ledger_policy_flat(p, &log, 1, NULL, 0, 0), 0);
	assert_int_equal(p->quorum, -1);
	free(p);
}

/* A policy made of nothing, or bent in memory, has no quorum. */
static void quorum_defaults(void **state)
{
	struct tlog_policy *p = calloc(1, sizeof(*p));
	bool all[TLOG_KEYS_MAX];

	(void)state;
	assert_non_null(p);
	memset(all, true, sizeof(all));
	assert_false(ledger_quorum(p, all));
	p->quorum = TLOG_KEYS_MAX; /* a group that is not there */
	assert_false(ledger_quorum(p, all));
	p->groups = 1; /* with no members and no threshold */
	assert_false(ledger_quorum(p, all));
	p->quorum = TLOG_KEYS_MAX + TLOG_GROUPS_MAX;
	assert_false(ledger_quorum(p, all));
	p->quorum = -2;
	assert_false(ledger_quorum(p, all));
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(c2sp_vectors),    cmocka_unit_test(bare_key_vectors),
	        cmocka_unit_test(quorum_vectors),  cmocka_unit_test(grammar),
	        cmocka_unit_test(limits),          cmocka_unit_test(flat),
	        cmocka_unit_test(quorum_defaults),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
