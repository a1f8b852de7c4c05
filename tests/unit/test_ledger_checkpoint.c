/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoints: their text, and the verdict over real and made ones, each check alone. */
#include "tests/unit/ledger_vectors.h"

#include <errno.h>
#include <openssl/x509.h>

/* A log's name and origin may differ; the index says where. */
static void origin_of(const char *fields, char out[static NOTE_NAME_MAX + 1])
{
	const char *at = strstr(fields, "origin=");
	const char *end = at ? strchr(at, ';') : NULL;

	out[0] = '\0';
	if (at)
		snprintf(out, NOTE_NAME_MAX + 1, "%.*s", end ? (int)(end - at) - 7 : 255, at + 7);
}

static bool have_mldsa44(void)
{
	EVP_SIGNATURE *s = EVP_SIGNATURE_fetch(NULL, "ML-DSA-44", NULL);

	EVP_SIGNATURE_free(s);
	return s != NULL;
}

/* --------------------------------------------------------------------- text */

/* desc upstream strict reason hex; the roots there are not 32 bytes long */
static void body_row(const struct row *r, void *ctx)
{
	static const char root[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n";
	size_t n = strlen(r->f[4]) / 2;
	uint8_t *body = malloc(n + 1);
	struct buf b = buf_make(4096);
	struct checkpoint cp;
	char *lines[3] = {0};

	assert_non_null(body);
	assert_int_equal(hex_decode(bytes_str(r->f[4]), body, n), 0);
	body[n] = '\0';
	/* As it is, it never parses: a root is a SHA-256. */
	assert_int_equal(ledger_checkpoint_parse((struct bytes){body, n}, &cp), -EINVAL);
	/* With a root of the right length it is what the table says, unless the root is the fault.
	 */
	lines[0] = (char *)body;
	lines[1] = strchr(lines[0], '\n');
	lines[2] = lines[1] ? strchr(lines[1] + 1, '\n') : NULL;
	if (lines[2] && lines[2][1] && strstr(lines[2] + 1, "\n") &&
	    strcmp(r->f[3], "base64") != 0) {
		buf_put(&b, body, (size_t)(lines[2] + 1 - lines[0]));
		buf_str(&b, root);
		buf_str(&b, strchr(lines[2] + 1, '\n') + 1);
		if ((ledger_checkpoint_parse(buf_view(&b), &cp) == 0) !=
		    (strcmp(r->f[2], "accept") == 0))
			fail_msg("%s, wanted %s", r->f[0], r->f[2]);
		(*(size_t *)ctx)++;
	}
	buf_free(&b);
	free(body);
}

static void body_vectors(void **state)
{
	size_t with_root = 0;

	(void)state;
	need_vectors("checkpoint/parse_body.tsv");
	assert_int_equal(each_row("checkpoint/parse_body.tsv", body_row, &with_root), 12);
	assert_int_equal(with_root, 9);
}

#define ROOT  "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
#define EMPTY "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="

static void texts(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
	        {"o\n1\n" ROOT "\n", true},
	        {"o p\n1\n" ROOT "\n", true},
	        {"o\n9223372036854775807\n" ROOT "\n", true},
	        {"o\n0\n" EMPTY "\n", true},
	        {"o\n1\n" ROOT "\next\next2\n", true},
	        {"o\n0\n" ROOT "\n", false},
	        {"o\n9223372036854775808\n" ROOT "\n", false},
	        {"o\n18446744073709551617\n" ROOT "\n", false},
	        {"o\n01\n" ROOT "\n", false},
	        {"o\n-1\n" ROOT "\n", false},
	        {"o\n 1\n" ROOT "\n", false},
	        {"o\n\n" ROOT "\n", false},
	        {"\n1\n" ROOT "\n", false},
	        {"o\n1\n" ROOT, false},
	        {"o\n1\n", false},
	        {"o\n1\n" ROOT "\n\n", false},
	        {"o\n1\n" ROOT "\next\n\n", false},
	        {"o\n1\n" ROOT "\next", false},
	        {"o\n1\n" ROOT "A\n", false},
	        {"o\n1\nAAAA\n", false},
	        {"o\n1\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB=\n", false},
	        {"o\x01\n1\n" ROOT "\n", false},
	        {"\xff\n1\n" ROOT "\n", false},
	        {"", false},
	};
	struct checkpoint cp;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if ((ledger_checkpoint_parse(bytes_str(cases[i].text), &cp) == 0) != cases[i].ok)
			fail_msg("case %zu", i);
	}
	assert_int_equal(ledger_checkpoint_parse(bytes_str("log\n7\n" ROOT "\n"), &cp), 0);
	assert_string_equal(cp.origin, "log");
	assert_int_equal(cp.size, 7);
	assert_true(bytes_all_zero(cp.root.v, HASH_LEN));
}

static void text_limits(void **state)
{
	struct buf b = buf_make(NOTE_MAX);
	struct checkpoint cp;

	(void)state;
	for (int n = 255; n <= 256; n++) {
		buf_reset(&b);
		for (int i = 0; i < n; i++)
			buf_u8(&b, 'o');
		buf_str(&b, "\n1\n" ROOT "\n");
		assert_int_equal(ledger_checkpoint_parse(buf_view(&b), &cp),
		                 n == 255 ? 0 : -EINVAL);
	}
	for (int n = 4096; n <= 4097; n++) {
		buf_reset(&b);
		buf_str(&b, "o\n1\n" ROOT "\n");
		for (int i = 0; i < n; i++)
			buf_u8(&b, 'x');
		buf_u8(&b, '\n');
		assert_int_equal(ledger_checkpoint_parse(buf_view(&b), &cp),
		                 n == 4096 ? 0 : -EINVAL);
	}
	buf_free(&b);
}

/* ------------------------------------------------------------ real ones */

static void vkeys_row(const struct row *r, void *ctx)
{
	const char *file = r->f[0];
	size_t len = strlen(file);
	struct tlog_policy *p;
	struct ledger_time t = {VERDICT_FOREVER, -1};
	struct ledger_head head;
	struct checks c = {0};
	struct vkey k[8];
	struct bytes note;
	char name[256];
	uint32_t n = 0;

	if (strncmp(file, "checkpoint/", 11) != 0 || strcmp(r->f[2], "C2SP tlog-checkpoint") != 0)
		return;
	snprintf(name, sizeof(name), "%.*s.vkeys", (int)(len - strlen(".checkpoint")), file);

	struct bytes keys = vector_read(name);
	char *save = NULL;

	for (char *l = strtok_r((char *)(uintptr_t)keys.p, "\n", &save); l;
	     l = strtok_r(NULL, "\n", &save)) {
		assert_true(n < 8);
		assert_int_equal(ledger_vkey_parse(bytes_str(l), &k[n]), 0);
		n++;
	}
	p = malloc(sizeof(*p));
	assert_non_null(p);
	assert_int_equal(ledger_policy_flat(p, k, n, NULL, 0, 0), 0);
	origin_of(r->f[4], p->origin);
	note = vector_read(file);
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_overall(file, &c, strcmp(r->f[3], "accept") == 0 ? CHECK_PASS : CHECK_FAIL);
	bytes_done(keys);
	bytes_done(note);
	free(p);
	(*(size_t *)ctx)++;
}

static void vkeys_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	each_row("INDEX.tsv", vkeys_row, &n);
	print_message("checkpoints with vkeys: %zu\n", n);
	assert_true(n >= 30);
}

static struct tlog_policy *policy_read(const char *name)
{
	struct tlog_policy *p = malloc(sizeof(*p));
	struct bytes file = vector_read(name);
	const char *why;
	uint32_t line;

	assert_non_null(p);
	if (ledger_policy_parse(file, p, &line, &why))
		fail_msg("%s:%u: %s", name, line, why);
	bytes_done(file);
	return p;
}

/* Cases that need ML-DSA-44 are unavailable where OpenSSL has none. */
static enum check_status wanted(const char *file, const char *expect)
{
	if (strstr(file, "real-coach") && !strstr(file, "ed-ext-line") && !have_mldsa44())
		return CHECK_UNAVAILABLE;
	return strcmp(expect, "accept") == 0 ? CHECK_PASS : CHECK_FAIL;
}

static void cosigned_row(const struct row *r, void *ctx)
{
	const char *file = r->f[0];
	struct ledger_time t = {field_number(r->f[4], "now=", VERDICT_FOREVER),
	                        field_number(r->f[4], "max_age=", -1)};
	struct ledger_head head;
	struct checks c = {0};
	struct tlog_policy *p;
	struct bytes note;
	char name[256];

	if (strncmp(file, "cosignature/", 12) != 0 || strcmp(r->f[1], "cosigned checkpoint") != 0)
		return;
	snprintf(name, sizeof(name), "%.*s.policy", (int)(strlen(file) - strlen(".checkpoint")),
	         file);
	p = policy_read(name);
	note = vector_read(file);
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_overall(file, &c, wanted(file, r->f[3]));
	bytes_done(note);
	free(p);
	(*(size_t *)ctx)++;
}

static void cosigned_vectors(void **state)
{
	size_t n = 0;

	(void)state;
	need_vectors("INDEX.tsv");
	if (!have_mldsa44())
		print_message("ML-DSA-44: not in this OpenSSL, so those must be unavailable\n");
	each_row("INDEX.tsv", cosigned_row, &n);
	print_message("cosigned checkpoints: %zu\n", n);
	assert_true(n >= 19);
}

/* The reasons, for the cases in which several are easily taken for one another. */
static void reasons(void **state)
{
	static const struct {
		const char *name;
		const char *id;
		int64_t at;
		int64_t max_age;
	} cases[] = {
	        {"real-arche-5of5-missing", "ledger.quorum", VERDICT_FOREVER, -1},
	        {"real-arche-cosig-renamed", "ledger.quorum", VERDICT_FOREVER, -1},
	        {"real-arche-cosig-ts-altered", "ledger.witness-signature", VERDICT_FOREVER, -1},
	        {"real-arche-size-tampered", "ledger.log-signature", VERDICT_FOREVER, -1},
	        {"real-arche-future", "ledger.fresh", 1779486624, -1},
	        {"real-arche-fresh", "ledger.fresh", 1779576624 + 86400 * 3, 86400},
	        {"real-coach-ed-ext-line-added", "ledger.witness-signature", VERDICT_FOREVER, -1},
	};

	(void)state;
	need_vectors("cosignature/real-arche-3of4.policy");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct ledger_time t = {cases[i].at, cases[i].max_age};
		struct ledger_head head;
		struct checks c = {0};
		struct tlog_policy *p;
		struct bytes note;
		char name[256];

		snprintf(name, sizeof(name), "cosignature/%s.policy", cases[i].name);
		p = policy_read(name);
		snprintf(name, sizeof(name), "cosignature/%s.checkpoint", cases[i].name);
		note = vector_read(name);
		assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
		assert_only(&c, cases[i].id, CHECK_FAIL);
		bytes_done(note);
		free(p);
	}
}

/* A real witness over a log that the policy does not name: only with a quorum, only for a
 * checkpoint, and for the origin that the caller wants. */
static void without_log(void **state)
{
	struct ledger_time t = {VERDICT_FOREVER, -1};
	struct ledger_head head;
	struct tlog_policy *p;
	struct bytes note;
	struct checks c = {0};

	(void)state;
	need_vectors("cosignature/sunlight-witness2-milan.policy");
	p = policy_read("cosignature/sunlight-witness2-milan.policy");
	note = vector_read("cosignature/sunlight-witness2-milan.checkpoint");
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_overall("no log", &c, CHECK_PASS);
	assert_int_equal(checks_find(&c, "ledger.log-key")->status, CHECK_SKIP);
	assert_int_equal(checks_find(&c, "ledger.log-signature")->status, CHECK_SKIP);

	c = (struct checks){0};
	strcpy(p->origin, "venice2026h1.example.org");
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);

	c = (struct checks){0};
	p->origin[0] = '\0';
	p->quorum = -1;
	assert_int_equal(ledger_verify_checkpoint(note, p, &t, &head, &c), 0);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	bytes_done(note);
	free(p);
}

/* ----------------------------------------------------- each check, alone */

static struct checks judge(const struct world *w, const struct buf *note, int64_t at,
                           int64_t max_age, struct ledger_head *head)
{
	struct ledger_time t = {at, max_age};
	struct checks c = {0};

	assert_int_equal(ledger_verify_checkpoint(buf_view(note), w->policy, &t, head, &c), 0);
	return c;
}

static void good(void **state)
{
	struct world w;
	struct ledger_head head;
	struct checks c;

	(void)state;
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);

	c = judge(&w, &note, TEST_TIME + 10, 3600, &head);
	assert_overall("good", &c, CHECK_PASS);
	assert_int_equal(c.n, 6);
	assert_string_equal(head.cp.origin, LOG_NAME);
	assert_int_equal(head.cp.size, 4);
	assert_memory_equal(head.cp.root.v, w.cp.root.v, HASH_LEN);
	assert_int_equal(head.witnesses, 2);
	assert_int_equal(head.newest, TEST_TIME);
	assert_int_equal(head.fresh_until, TEST_TIME + 3600);

	c = judge(&w, &note, TEST_TIME + 10, -1, &head);
	assert_overall("no freshness", &c, CHECK_PASS);
	assert_int_equal(checks_find(&c, "ledger.fresh")->status, CHECK_SKIP);
	assert_true(head.fresh_until == VERDICT_FOREVER);
	buf_free(&note);
	world_free(&w);
}

static void assert_refused_head(const struct ledger_head *h, bool log_signed)
{
	assert_int_equal(h->cp.size, log_signed ? 4 : 0);
	assert_int_equal(h->cp.origin[0] != '\0', log_signed);
}

static void format_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	/* A note, signed, but no checkpoint. */
	struct buf note = buf_make(NOTE_MAX);

	buf_str(&note, LOG_NAME "\n4\nno root\n");
	assert_int_equal(ledger_note_sign(&note, LOG_NAME, w.log), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.format", CHECK_FAIL);
	assert_refused_head(&head, false);
	buf_free(&note);

	/* The same good line five times. */
	note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	for (int i = 0; i < 4; i++)
		assert_int_equal(
		        ledger_note_cosign(&note, witness_name(0), w.witness[0], TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.format", CHECK_FAIL);
	buf_free(&note);

	note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	for (int i = 0; i < 4; i++)
		assert_int_equal(ledger_note_sign(&note, LOG_NAME, w.log), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.format", CHECK_FAIL);
	buf_free(&note);
	world_free(&w);
}

static void log_key_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	/* No log signature; one under another name; the right key for another origin. */
	struct buf note = world_note(&w, NULL, 3, TEST_TIME);

	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	assert_refused_head(&head, false);
	buf_free(&note);
	note = world_note(&w, "other.example", 3, TEST_TIME);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	buf_free(&note);
	strcpy(w.cp.origin, "log.example/other");
	note = world_note(&w, LOG_NAME, 3, TEST_TIME);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	assert_refused_head(&head, false);
	/* Unless the caller says that this key speaks for that origin, and then for it alone. */
	strcpy(w.policy->origin, "log.example/other");
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_overall("--origin", &c, CHECK_PASS);
	buf_free(&note);
	strcpy(w.cp.origin, LOG_NAME);
	note = world_note(&w, LOG_NAME, 3, TEST_TIME);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	buf_free(&note);
	/* A cosignature by the log's key is not the log's signature. */
	w.policy->origin[0] = '\0';
	note = world_note(&w, NULL, 3, TEST_TIME);
	assert_int_equal(ledger_note_cosign(&note, LOG_NAME, w.log, TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-key", CHECK_FAIL);
	buf_free(&note);
	world_free(&w);
}

static void log_signature_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	/* The root altered after signing; no witness, whose lines would be bad too. */
	struct buf note = world_note(&w, LOG_NAME, 0, TEST_TIME);

	note.p[strlen(LOG_NAME) + 3] ^= 1;
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-signature", CHECK_FAIL);
	assert_refused_head(&head, false);
	buf_free(&note);

	/* A good line and a bad one of the same key: refused as a whole. */
	note = world_note(&w, LOG_NAME, 3, TEST_TIME);

	struct buf other = buf_make(NOTE_MAX);
	const char *at;

	w.cp.size = 5;
	assert_int_equal(ledger_checkpoint_format(&w.cp, &other), 0);
	assert_int_equal(ledger_note_sign(&other, LOG_NAME, w.log), 0);
	at = memmem(other.p, other.n, "\xe2\x80\x94", 3);
	buf_put(&note, at, other.n - (size_t)(at - (const char *)other.p));
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.log-signature", CHECK_FAIL);
	buf_free(&other);
	buf_free(&note);
	world_free(&w);
}

static void witness_signature_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	/* Enough good ones, and one whose last byte was altered. */
	struct buf note = world_note(&w, LOG_NAME, 3, TEST_TIME);

	note.p[note.n - 6] = note.p[note.n - 6] == 'A' ? 'B' : 'A';
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.witness-signature", CHECK_FAIL);
	assert_refused_head(&head, true);
	buf_free(&note);
	world_free(&w);
}

static void quorum_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 1, TEST_TIME);

	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.quorum", CHECK_FAIL);
	assert_null(checks_find(&c, "ledger.fresh"));
	/* The same witness twice, and a stranger, count for nothing more. */
	assert_int_equal(ledger_note_cosign(&note, witness_name(0), w.witness[0], TEST_TIME + 1),
	                 0);
	assert_int_equal(ledger_note_cosign(&note, "stranger.example", w.log, TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.quorum", CHECK_FAIL);
	/* So does a witness's own name with another key. */
	assert_int_equal(ledger_note_cosign(&note, witness_name(1), w.witness[2], TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.quorum", CHECK_FAIL);
	assert_int_equal(ledger_note_cosign(&note, witness_name(1), w.witness[1], TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_overall("two", &c, CHECK_PASS);
	buf_free(&note);
	world_free(&w);
}

static void fresh_alone(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	struct buf note = world_note(&w, LOG_NAME, 2, TEST_TIME);

	/* Just fresh, one second too old; just not from the future, and from it. */
	c = judge(&w, &note, TEST_TIME + 3600, 3600, &head);
	assert_overall("as old as may be", &c, CHECK_PASS);
	c = judge(&w, &note, TEST_TIME + 3601, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	assert_refused_head(&head, true);
	assert_int_equal(head.witnesses, 0);
	c = judge(&w, &note, TEST_TIME - LEDGER_SKEW, 3600, &head);
	assert_overall("as early as may be", &c, CHECK_PASS);
	c = judge(&w, &note, TEST_TIME - LEDGER_SKEW - 1, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	c = judge(&w, &note, TEST_TIME - LEDGER_SKEW - 1, -1, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	/* Clocks at the ends of time. */
	c = judge(&w, &note, INT64_MIN, INT64_MAX, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	c = judge(&w, &note, INT64_MAX, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	c = judge(&w, &note, INT64_MAX, INT64_MAX, &head);
	assert_overall("no bound at all", &c, CHECK_PASS);
	buf_free(&note);

	/* One fresh, one stale: the newest alone does not make a quorum. */
	note = world_note(&w, LOG_NAME, 1, TEST_TIME);
	assert_int_equal(ledger_note_cosign(&note, witness_name(1), w.witness[1], TEST_TIME - 7200),
	                 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	/* A third of middle age: until when the quorum holds is its, not the oldest's. */
	assert_int_equal(ledger_note_cosign(&note, witness_name(2), w.witness[2], TEST_TIME - 600),
	                 0);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_overall("two fresh", &c, CHECK_PASS);
	assert_int_equal(head.fresh_until, TEST_TIME + 3000);
	c = judge(&w, &note, TEST_TIME, 10000, &head);
	assert_overall("three fresh", &c, CHECK_PASS);
	assert_int_equal(head.fresh_until, TEST_TIME - 600 + 10000);
	/* A witness counts with the newest of its lines that is not from the future. */
	assert_int_equal(ledger_note_cosign(&note, witness_name(1), w.witness[1], TEST_TIME + 999),
	                 0);
	assert_int_equal(ledger_note_cosign(&note, witness_name(1), w.witness[1], TEST_TIME), 0);
	c = judge(&w, &note, TEST_TIME, 60, &head);
	assert_overall("renewed", &c, CHECK_PASS);
	assert_int_equal(head.newest, TEST_TIME);
	buf_free(&note);
	world_free(&w);
}

/* A cosignature by hand, at any time: our own signing refuses what means nothing. */
static void cosign_at(struct buf *note, const struct world *w, int i, uint64_t ts)
{
	uint8_t payload[4 + 8 + 64];
	struct buf m = buf_make(NOTE_MAX);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char *end = memmem(note->p, note->n, "\n\n", 2);
	size_t n = 64;
	char text[128];
	struct vkey k;

	assert_int_equal(ledger_vkey_of(w->witness[i], witness_name(i), NOTE_COSIGNATURE, &k), 0);
	memcpy(payload, k.id, 4);
	for (int b = 0; b < 8; b++)
		payload[4 + b] = (uint8_t)(ts >> (56 - 8 * b));
	buf_printf(&m, "cosignature/v1\ntime %" PRIu64 "\n", ts);
	buf_put(&m, note->p, (size_t)(end - (const char *)note->p) + 1);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, NULL, NULL, w->witness[i]), 1);
	assert_int_equal(EVP_DigestSign(ctx, payload + 12, &n, m.p, m.n), 1);
	base64_encode(BYTES_OF(payload), text);
	buf_printf(note, "\xe2\x80\x94 %s %s\n", k.name, text);
	EVP_MD_CTX_free(ctx);
	buf_free(&m);
}

static void odd_times(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);

	/* The helper makes what ledger_note_cosign makes. */
	struct buf note = world_note(&w, LOG_NAME, 1, TEST_TIME);

	cosign_at(&note, &w, 1, TEST_TIME);
	c = judge(&w, &note, TEST_TIME, 60, &head);
	assert_overall("by hand", &c, CHECK_PASS);
	buf_free(&note);

	/* Time zero says nothing of time: counted without freshness, never fresh. */
	note = world_note(&w, LOG_NAME, 1, 50);
	cosign_at(&note, &w, 1, 0);
	c = judge(&w, &note, 100, -1, &head);
	assert_overall("time zero", &c, CHECK_PASS);
	c = judge(&w, &note, 100, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	buf_free(&note);

	/* Beyond 2^63 - 1 there is no time. */
	note = world_note(&w, LOG_NAME, 2, TEST_TIME);
	cosign_at(&note, &w, 2, (uint64_t)INT64_MAX + 1);
	c = judge(&w, &note, VERDICT_FOREVER, -1, &head);
	assert_only(&c, "ledger.witness-signature", CHECK_FAIL);
	buf_free(&note);

	/* The newest line counts, in whatever order; the quorum ends with the second newest. */
	note = world_note(&w, LOG_NAME, 1, TEST_TIME);
	cosign_at(&note, &w, 1, TEST_TIME - 100);
	cosign_at(&note, &w, 1, TEST_TIME - 5000);
	cosign_at(&note, &w, 2, TEST_TIME - 1000);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_overall("orders", &c, CHECK_PASS);
	assert_int_equal(head.fresh_until, TEST_TIME - 100 + 3600);
	buf_free(&note);
	world_free(&w);
}

/* An RFC 6962 tree head by an EC key of our own; bend says which byte of the struct to bend. */
static struct buf rfc6962_note(EVP_PKEY *key, const struct vkey *k, const struct checkpoint *cp,
                               const char *extension, size_t bend)
{
	struct buf m = buf_make(128);
	struct buf note = buf_make(NOTE_MAX);
	struct buf payload = buf_make(256);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8_t sig[128];
	char text[512];
	size_t n = sizeof(sig);

	buf_be16(&m, 0x0001); /* v1, tree_hash */
	buf_be64(&m, 1234);
	buf_be64(&m, cp->size);
	buf_put(&m, cp->root.v, HASH_LEN);
	assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, key), 1);
	assert_int_equal(EVP_DigestSign(ctx, sig, &n, m.p, m.n), 1);
	buf_put(&payload, k->id, 4);
	buf_be64(&payload, 1234);
	buf_be16(&payload, 0x0403); /* SHA-256, ECDSA */
	buf_be16(&payload, (uint16_t)n);
	buf_put(&payload, sig, n);
	payload.p[bend] ^= bend ? 1 : 0;
	assert_int_equal(ledger_checkpoint_format(cp, &note), 0);
	buf_str(&note, extension);
	base64_encode(buf_view(&payload), text);
	buf_printf(&note, "\n\xe2\x80\x94 %s %s\n", k->name, text);
	EVP_MD_CTX_free(ctx);
	buf_free(&m);
	buf_free(&payload);
	return note;
}

/* The vkey of an EC key for a type: 2 (the hash of the key alone) or 5 (over the log id). */
static struct vkey ec_vkey(EVP_PKEY *key, const char *name, uint8_t alg)
{
	uint8_t *der = NULL;
	int n = i2d_PUBKEY(key, &der);
	struct buf raw = buf_make(512);
	struct buf id = buf_make(512);
	uint8_t digest[32];
	char b64[512];
	char text[1024];
	struct vkey k;

	assert_true(n > 0);
	EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL);
	if (alg == NOTE_RFC6962) {
		buf_printf(&id, "%s\n%c", name, alg);
		buf_put(&id, digest, sizeof(digest));
		EVP_Digest(id.p, id.n, digest, NULL, EVP_sha256(), NULL);
	}
	buf_u8(&raw, alg);
	buf_put(&raw, der, (size_t)n);
	base64_encode(buf_view(&raw), b64);
	snprintf(text, sizeof(text), "%s+%02x%02x%02x%02x+%s", name, digest[0], digest[1],
	         digest[2], digest[3], b64);
	assert_int_equal(ledger_vkey_parse(bytes_str(text), &k), 0);
	OPENSSL_free(der);
	buf_free(&raw);
	buf_free(&id);
	return k;
}

static void rfc6962_head(void **state)
{
	static const struct {
		const char *extension;
		size_t bend;
		bool ok;
	} cases[] = {
	        {"", 0, true},   {"extension\n", 0, false}, /* not covered, so not accepted */
	        {"", 11, false},                            /* time */
	        {"", 12, false},                            /* hash algorithm */
	        {"", 13, false},                            /* signature algorithm */
	        {"", 15, false},                            /* length */
	        {"", 40, false},                            /* signature */
	};
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
	struct ledger_head head;
	struct world w;

	(void)state;
	world_make(&w);

	struct vkey k = ec_vkey(key, LOG_NAME, NOTE_RFC6962);

	assert_int_equal(ledger_policy_flat(w.policy, &k, 1, NULL, 0, 0), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf note = rfc6962_note(key, &k, &w.cp, cases[i].extension, cases[i].bend);
		struct checks c = judge(&w, &note, VERDICT_FOREVER, -1, &head);

		if (cases[i].ok)
			assert_overall("tree head", &c, CHECK_PASS);
		else
			assert_only(&c, "ledger.log-signature", CHECK_FAIL);
		buf_free(&note);
	}
	EVP_PKEY_free(key);
	world_free(&w);
}

/* Curves: P-256 loads, one that no log may use does not. */
static void other_curves(void **state)
{
	EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "secp256k1");
	EVP_PKEY *p384 = EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
	struct buf raw = buf_make(512);
	uint8_t *der = NULL;
	uint8_t digest[32];
	char b64[512];
	char text[1024];
	struct vkey k = ec_vkey(p384, "k.example", NOTE_ECDSA);
	int n = i2d_PUBKEY(key, &der);

	(void)state;
	assert_int_equal(k.alg, NOTE_ECDSA);
	assert_true(n > 0);
	EVP_Digest(der, (size_t)n, digest, NULL, EVP_sha256(), NULL);
	buf_u8(&raw, NOTE_ECDSA);
	buf_put(&raw, der, (size_t)n);
	base64_encode(buf_view(&raw), b64);
	snprintf(text, sizeof(text), "k.example+%02x%02x%02x%02x+%s", digest[0], digest[1],
	         digest[2], digest[3], b64);
	assert_int_equal(ledger_vkey_parse(bytes_str(text), &k), -EINVAL);
	OPENSSL_free(der);
	buf_free(&raw);
	EVP_PKEY_free(key);
	EVP_PKEY_free(p384);
}

/* Without a quorum nobody states a time, so freshness can't be had; else it is only skipped. */
static void no_quorum(void **state)
{
	struct ledger_head head;
	struct world w;
	struct checks c;

	(void)state;
	world_make(&w);
	w.policy->quorum = -1;

	struct buf note = world_note(&w, LOG_NAME, 0, TEST_TIME);

	c = judge(&w, &note, TEST_TIME, -1, &head);
	assert_overall("none", &c, CHECK_PASS);
	assert_int_equal(checks_find(&c, "ledger.quorum")->status, CHECK_SKIP);
	c = judge(&w, &note, TEST_TIME, 3600, &head);
	assert_only(&c, "ledger.fresh", CHECK_FAIL);
	buf_free(&note);
	world_free(&w);
}

/* An ML-DSA-44 witness: counted where OpenSSL can, else what needs it is unavailable. */
static void mldsa_witness(void **state)
{
	struct ledger_time t = {1795392600, 86400};
	struct ledger_head head;
	struct tlog_policy *p;
	struct tlog_proof *proof;
	struct checks c = {0};
	struct bytes text;

	(void)state;
	need_vectors("proof/tlog/syn-mldsa-witness.policy");
	proof = malloc(sizeof(*proof));
	assert_non_null(proof);
	p = policy_read("proof/tlog/syn-mldsa-witness.policy");
	text = vector_read("proof/tlog/syn-mldsa-witness.tlog-proof");
	assert_int_equal(ledger_proof_parse(text, proof), 0);
	assert_int_equal(ledger_verify_checkpoint(proof->checkpoint, p, &t, &head, &c), 0);
	if (have_mldsa44())
		assert_overall("both", &c, CHECK_PASS);
	else
		assert_only(&c, "ledger.quorum", CHECK_UNAVAILABLE);
	/* One of the two is enough: the other one is neither needed nor in the way. */
	p->group[0].k = 1;
	c = (struct checks){0};
	assert_int_equal(ledger_verify_checkpoint(proof->checkpoint, p, &t, &head, &c), 0);
	assert_overall("one", &c, CHECK_PASS);
	assert_int_equal(head.witnesses, have_mldsa44() ? 2 : 1);
	/* Valid in time by one only: again it is the other that can't be known. */
	p->group[0].k = 2;
	t.at += 86400 * 2;
	c = (struct checks){0};
	assert_int_equal(ledger_verify_checkpoint(proof->checkpoint, p, &t, &head, &c), 0);
	assert_only(&c, have_mldsa44() ? "ledger.fresh" : "ledger.quorum",
	            have_mldsa44() ? CHECK_FAIL : CHECK_UNAVAILABLE);
	bytes_done(text);
	free(proof);
	free(p);
}

/* name expect cosigner origin start end hash ts sig: those over whole trees, as notes. */
static void mldsa_row(const struct row *r, void *ctx)
{
	const char *vkey = ctx;
	uint8_t raw[4 + 8 + 2420] = {0};
	char line[4096];
	struct buf b = buf_make(NOTE_MAX);
	struct checkpoint cp = {0};
	struct ledger_time t = {VERDICT_FOREVER, -1};
	struct ledger_head head;
	struct checks c = {0};
	struct tlog_policy *p = malloc(sizeof(*p));
	struct vkey k;
	uint64_t ts = strtoull(r->f[7], NULL, 10);

	assert_non_null(p);
	assert_int_equal(ledger_vkey_parse(bytes_str(vkey), &k), 0);
	if (strcmp(r->f[4], "0") != 0 || strcmp(r->f[2], k.name) != 0)
		goto out;
	snprintf(cp.origin, sizeof(cp.origin), "%s", r->f[3]);
	cp.size = strtoull(r->f[5], NULL, 10);
	assert_true(hash_of(r->f[6], &cp.root));
	assert_int_equal(ledger_checkpoint_format(&cp, &b), 0);
	memcpy(raw, k.id, 4);
	for (int i = 0; i < 8; i++)
		raw[4 + i] = (uint8_t)(ts >> (56 - 8 * i));
	assert_int_equal(hex_decode(bytes_str(r->f[8]), raw + 12, 2420), 0);
	base64_encode(BYTES_OF(raw), line);
	buf_printf(&b, "\n\xe2\x80\x94 %s %s\n", k.name, line);
	assert_int_equal(ledger_policy_flat(p, NULL, 0, &k, 1, 1), 0);
	assert_int_equal(ledger_verify_checkpoint(buf_view(&b), p, &t, &head, &c), 0);
	assert_overall(r->f[0], &c,
	               !have_mldsa44()                  ? CHECK_UNAVAILABLE
	               : strcmp(r->f[1], "accept") == 0 ? CHECK_PASS
	                                                : CHECK_FAIL);
out:
	buf_free(&b);
	free(p);
}

static void mldsa_vectors(void **state)
{
	struct bytes file;
	char *vkey;

	(void)state;
	need_vectors("cosignature/subtree-mldsa44.tsv");
	file = vector_read("cosignature/subtree-mldsa44.tsv");
	vkey = strstr((char *)(uintptr_t)file.p, "# vkey\t") + 7;
	vkey[strcspn(vkey, "\t\n")] = '\0';
	assert_int_equal(each_row("cosignature/subtree-mldsa44.tsv", mldsa_row, vkey), 8);
	bytes_done(file);
}

/* A line of this key, whose signature is nothing: base64 of id || ts || 2420 bytes. */
static void subtree_line(const struct vkey *k, uint64_t ts, size_t sig, struct buf *out)
{
	struct buf raw = buf_make(4096);
	char *text;

	buf_put(&raw, k->id, sizeof(k->id));
	buf_be64(&raw, ts);
	for (size_t i = 0; i < sig; i++)
		buf_u8(&raw, 0x5a);
	text = malloc(base64_encoded_len(raw.n) + 1);
	assert_non_null(text);
	base64_encode(buf_view(&raw), text);
	buf_printf(out, "\xe2\x80\x94 %s %s\n", k->name, text);
	free(text);
	buf_free(&raw);
}

static void assert_subtree(struct bytes lines, const struct vkey *k, const struct subtree *s,
                           const char *id, enum check_status want)
{
	struct checks c = {0};
	uint64_t ts = 1;

	assert_int_equal(ledger_verify_subtree(lines, k, s, &ts, &c), 0);
	assert_only(&c, id, want);
	assert_int_equal(ts, 0);
}

/* What no signature is needed for; tests/vectors/ledger has those that hold. */
static void subtree_lines(void **state)
{
	/* Any 1312 bytes are a key as far as anybody can see without ML-DSA. */
	enum check_status nothing = have_mldsa44() ? CHECK_FAIL : CHECK_UNAVAILABLE;
	static const char signature[] = "ledger.witness-signature";
	struct subtree s = {.origin = LOG_NAME, .start = 64, .end = 68};
	struct buf b = buf_make(NOTE_MAX);
	struct vkey k = {.name = "mirror.example", .alg = NOTE_MLDSA44, .key_len = 1312};
	struct vkey other = k;

	(void)state;
	k.id[0] = 1;
	assert_subtree(BYTES_NONE, &k, &s, "ledger.format", CHECK_FAIL);
	subtree_line(&k, 0, 2420, &b);
	assert_subtree((struct bytes){b.p, b.n - 1}, &k, &s, "ledger.format", CHECK_FAIL);
	assert_subtree(buf_view(&b), &k, &s, signature, nothing);
	assert_subtree(buf_view(&b), &other, &s, signature, CHECK_FAIL);
	s.end = 130;
	assert_subtree(buf_view(&b), &k, &s, "ledger.format", CHECK_FAIL);
	s.end = 63;
	assert_subtree(buf_view(&b), &k, &s, "ledger.format", CHECK_FAIL);
	s.end = 68;
	for (int i = 1; i < 4; i++)
		subtree_line(&k, 0, 2420, &b);
	assert_subtree(buf_view(&b), &k, &s, signature, nothing);
	subtree_line(&k, 0, 2420, &b);
	assert_subtree(buf_view(&b), &k, &s, "ledger.format", CHECK_FAIL);
	/* A time is stated only by what starts at 0. */
	buf_reset(&b);
	subtree_line(&k, 5, 2420, &b);
	assert_subtree(buf_view(&b), &k, &s, signature, CHECK_FAIL);
	s.start = 0;
	assert_subtree(buf_view(&b), &k, &s, signature, nothing);
	buf_reset(&b);
	subtree_line(&k, 0, 2419, &b);
	assert_subtree(buf_view(&b), &k, &s, signature, CHECK_FAIL);
	/* No other kind of key cosigns a subtree. */
	buf_reset(&b);
	subtree_line(&k, 0, 64, &b);
	k.alg = NOTE_COSIGNATURE;
	assert_subtree(buf_view(&b), &k, &s, signature, CHECK_FAIL);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(body_vectors),        cmocka_unit_test(texts),
	        cmocka_unit_test(text_limits),         cmocka_unit_test(vkeys_vectors),
	        cmocka_unit_test(cosigned_vectors),    cmocka_unit_test(reasons),
	        cmocka_unit_test(without_log),         cmocka_unit_test(good),
	        cmocka_unit_test(format_alone),        cmocka_unit_test(log_key_alone),
	        cmocka_unit_test(log_signature_alone), cmocka_unit_test(witness_signature_alone),
	        cmocka_unit_test(quorum_alone),        cmocka_unit_test(fresh_alone),
	        cmocka_unit_test(odd_times),           cmocka_unit_test(rfc6962_head),
	        cmocka_unit_test(other_curves),        cmocka_unit_test(no_quorum),
	        cmocka_unit_test(mldsa_witness),       cmocka_unit_test(mldsa_vectors),
	        cmocka_unit_test(subtree_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
