/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reload takes for a change of what a destination demands, and what it says: of every key of
 * the table (policy/keys.c), and of every file that one names, there is a case here. A new key
 * fails the test until it has one. Those that change nothing that is demanded say why.
 */
#include "policy_files.h"
#include <openssl/pem.h>
#include "daemon/gate.h"
#include "policy/keys.h"
#include "receipt_own.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HEX16    "000102030405060708090a0b0c0d0e0f"
#define HEX32    HEX16 HEX16
#define HEX48    HEX32 HEX16
#define HEX64    HEX32 HEX32
#define LEAF_OF(version) \
	"{\"_type\":\"" STATEMENT_TYPE "\",\"subject\":[{\"name\":\"s\",\"digest\":{\"sha256\":" \
	"\"" ONES "\"}}],\"predicateType\":\"" STATEMENT_PREDICATE "\",\"predicate\":{" \
	"\"version\":\"" version "\",\"snp_measurement\":\"" HEX48 "\"}}"
#define ROOT_OF(more) \
	"{\"mediaType\":\"application/vnd.dev.sigstore.trustedroot+json;version=0.1\"" more "}"

/* ------------------------------------------------------------------------- files */

/* What the policy refers to; which of them a case makes another. */
enum which {
	NO_FILE = 0,
	LEDGER_QUORUM,
	LEDGER_LOG,
	LEDGER_WITNESS,
	LEDGER_URLS,
	ADDRESSES,
	DENIED,
	EXPECTED,
	LEAF,
	LAB,
	ROOT,
	KEY_FILE,
	BUNDLE,
	STORE,
	STATEMENT,
	WHICH_MAX
};

static struct {
	const char *path;
	struct buf is, other;
} file[WHICH_MAX] = {
        [LEDGER_QUORUM] = {.path = "acme.policy"},
        [LEDGER_LOG] = {.path = "acme.policy"},
        [LEDGER_WITNESS] = {.path = "acme.policy"},
        [LEDGER_URLS] = {.path = "acme.policy"},
        [ADDRESSES] = {.path = "partners.list"},
        [DENIED] = {.path = "withdrawn.list"},
        [EXPECTED] = {.path = "releases.list"},
        [LEAF] = {.path = "service.leaf"},
        [LAB] = {.path = "lab.pem"},
        [ROOT] = {.path = "root.json"},
        [KEY_FILE] = {.path = "release.pem"},
        [BUNDLE] = {.path = "bundle.json"},
        [STORE] = {.path = "store.json"},
        [STATEMENT] = {.path = "uvm.cose"},
};

static char did[RECEIPT_TEXT_MAX];

static void put_ledger(struct buf *out, uint8_t log, uint8_t witness, const char *quorum,
                       const char *url)
{
	buf_str(out, "log ");
	put_vkey(out, log, LOG_NAME, NOTE_ED25519);
	buf_printf(out, "%s\nwitness w ", url);
	put_vkey(out, witness, "w.example", NOTE_COSIGNATURE);
	buf_printf(out, "%s\nwitness v ", url);
	put_vkey(out, 20, "v.example", NOTE_COSIGNATURE);
	buf_printf(out, "\nquorum %s\n", quorum);
}

static void put_pem(struct buf *out, uint8_t seed)
{
	BIO *bio = BIO_new(BIO_s_mem());
	EVP_PKEY *key = key_of(seed);
	char *pem;
	long len;

	assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
	len = BIO_get_mem_data(bio, &pem);
	buf_put(out, pem, (size_t)len);
	EVP_PKEY_free(key);
	BIO_free(bio);
}

static void put_store(struct buf *out)
{
	struct own o;

	own_make(&o);
	own_store(&o, NULL, out);
	snprintf(did, sizeof(did), "%s", o.did);
	own_free(&o);
}

static void put_text(enum which w, const char *is, const char *other)
{
	buf_str(&file[w].is, is);
	buf_str(&file[w].other, other);
}

static int make_files(void **state)
{
	(void)state;
	for (enum which w = NO_FILE + 1; w < WHICH_MAX; w++) {
		file[w].is = buf_make(1 << 16);
		file[w].other = buf_make(1 << 16);
		if (w <= LEDGER_URLS)
			put_ledger(&file[w].is, 1, 10, "w", "");
	}
	put_ledger(&file[LEDGER_QUORUM].other, 1, 10, "v", "");
	put_ledger(&file[LEDGER_LOG].other, 2, 10, "w", "");
	put_ledger(&file[LEDGER_WITNESS].other, 1, 11, "w", "");
	put_ledger(&file[LEDGER_URLS].other, 1, 10, "w", " https://mirror.example/");
	put_text(ADDRESSES, "198.51.100.1\n", "198.51.100.2\n");
	put_text(DENIED, "subject:" ONES "\n", "leaf:" ONES "\n");
	put_text(EXPECTED, "leaf:" ONES "\n", "leaf:" HEX32 "\n");
	put_text(LEAF, LEAF_OF("1"), LEAF_OF("2"));
	put_text(ROOT, ROOT_OF(""), ROOT_OF(",\"tlogs\":[]"));
	put_text(BUNDLE, "{}", "{\"a\":1}");
	put_text(STATEMENT, "a", "b");
	put_pem(&file[LAB].is, 1);
	put_pem(&file[LAB].other, 2);
	put_pem(&file[KEY_FILE].is, 1);
	put_pem(&file[KEY_FILE].other, 2);
	put_store(&file[STORE].is);
	put_store(&file[STORE].other);
	return 0;
}

static int free_files(void **state)
{
	(void)state;
	for (enum which w = NO_FILE + 1; w < WHICH_MAX; w++) {
		buf_free(&file[w].is);
		buf_free(&file[w].other);
	}
	return 0;
}

/* ctx: which of them is another one. */
static int load(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	enum which other = *(const enum which *)ctx;
	const struct buf *b = other ? &file[other].other : NULL;

	if (!b || strcmp(strrchr(path, '/') + 1, file[other].path)) {
		b = NULL;
		for (enum which w = NO_FILE + 1; w < WHICH_MAX && !b; w++)
			if (!strcmp(strrchr(path, '/') + 1, file[w].path))
				b = &file[w].is;
	}
	if (!b)
		return -ENOENT;
	assert_false(b->bad);
	*out = malloc(b->n);
	assert_non_null(*out);
	memcpy(*out, b->p, b->n);
	*n = b->n;
	return 0;
}

/* ------------------------------------------------------------------------- cases */

/* The policy that each case changes in one place, "key = value" a line. */
#define BLOCK_MAX 8
static const struct {
	enum policy_section_id section;
	const char *title;
	const char *line[BLOCK_MAX];
} base[] = {
        {SECTION_TOP, NULL, {"default-action = allow"}},
        {SECTION_COLLATERAL, "amd", {"url = \"https://a.example/\""}},
        {SECTION_LEDGER, "acme", {"policy = acme.policy", "url = \"https://log.example/\""}},
        {SECTION_ANCHOR, "lab", {"tee = snp", "file = lab.pem"}},
        {SECTION_RELEASE,
         "app",
         {"trusted-root = root.json", "issuer = \"https://i.example\"", "san = \"a@b.example\"",
          "predicate-type = \"" STATEMENT_PREDICATE "\""}},
        {SECTION_RELEASE,
         "uvm",
         {"trust-store = store.json", "issuer = DID", "subject = \"" OWN_SUBJECT "\""}},
        {SECTION_DESTINATION,
         "d",
         {"address = 192.0.2.0/24", "port = 443", "action = gate", "tee = {snp, tdx, sgx}",
          "ledger = acme", "measurement = \"snp:" HEX48 "\"", "anchor = lab"}},
};

struct case_of {
	enum policy_section_id section;
	const char *key;
	/* Lines in place of the base's of these keys ("key =" without a value: none), before and
	 * after. */
	const char *before, *after;
	const char *release; /* the one that the destination has; NULL: none */
	enum which other;    /* and this file is another one after */
	const char *why_not; /* it changes nothing that is demanded; NULL: it does */
};

#define CASE(sec, k, b, a, ...) \
	{ \
		.section = (sec), .key = (k), .before = (b), .after = (a), __VA_ARGS__ \
	}
#define TOP(...)      CASE(SECTION_TOP, __VA_ARGS__, )
#define LOG(...)      CASE(SECTION_LEDGER, __VA_ARGS__, )
#define REL(rel, ...) CASE(SECTION_RELEASE, __VA_ARGS__, .release = (rel))
#define ANC(...)      CASE(SECTION_ANCHOR, __VA_ARGS__, )
#define COL(...)      CASE(SECTION_COLLATERAL, __VA_ARGS__, )
#define DEST(...)     CASE(SECTION_DESTINATION, __VA_ARGS__, )

#define WHERE_ONLY  "says where from; what comes is judged by the tlog-policy"
#define ALERTS_ONLY "alerts, and refuses nothing"
#define FETCH_ONLY  "says where from and when; newer collateral is judged by recheck.c"
#define BY_KEY      "issuer =\nsan =\nkey = release.pem"

static const struct case_of cases[] = {
        TOP("default-action", "", "default-action = deny",
            .why_not = "it is for what no destination matches"),

        LOG("policy", "", "", .other = LEDGER_QUORUM),
        LOG("policy", "", "", .other = LEDGER_LOG),
        LOG("policy", "", "", .other = LEDGER_WITNESS),
        LOG("policy", "", "", .other = LEDGER_URLS, .why_not = WHERE_ONLY),
        LOG("max-age", "", "max-age = 1h"),
        LOG("url", "", "url = \"https://mirror.example/\"", .why_not = WHERE_ONLY),
        LOG("refresh", "", "refresh = 1h", .why_not = WHERE_ONLY),
        LOG("ca", "", "ca = \"/etc/ca.pem\"", .why_not = WHERE_ONLY),
        LOG("first-use", "", "first-use = refuse"),
        LOG("allow-no-quorum", "", "allow-no-quorum = true"),
        LOG("watch", "", "watch = {\"*\"}", .why_not = ALERTS_ONLY),
        LOG("expected", "watch = {\"*\"}", "watch = {\"*\"}\nexpected = \"leaf:" ONES "\"",
            .why_not = ALERTS_ONLY),
        LOG("expected-file", "watch = {\"*\"}\nexpected-file = releases.list",
            "watch = {\"*\"}\nexpected-file = releases.list", .other = EXPECTED,
            .why_not = ALERTS_ONLY),

        REL("app", "trusted-root", "", "", .other = ROOT),
        REL("app", "predicate-type", "",
            "predicate-type = \"https://x.example/tee-measurement/v1\""),
        REL("app", "issuer", "", "issuer = \"https://j.example\""),
        REL("uvm", "issuer", "", "issuer = OTHER"),
        REL("app", "san", "", "san = \"c@b.example\""),
        REL("app", "repository", "", "repository = \"acme/service\""),
        REL("app", "ref", "", "ref = \"refs/tags/v*\""),
        REL("app", "key", "", BY_KEY),
        REL("app", "key", BY_KEY, BY_KEY, .other = KEY_FILE),
        REL("app", "bundle", "", "bundle = bundle.json"),
        REL("app", "bundle", "bundle = bundle.json", "bundle = bundle.json", .other = BUNDLE),
        REL("uvm", "trust-store", "", "", .other = STORE),
        REL("uvm", "subject", "", "subject = \"another\""),
        REL("uvm", "min-svn", "", "min-svn = 0"),
        REL("uvm", "min-svn", "min-svn = 104", "min-svn = 105"),
        REL("uvm", "statement", "", "statement = uvm.cose"),
        REL("uvm", "statement", "statement = uvm.cose", "statement = uvm.cose", .other = STATEMENT),

        ANC("tee", "", "tee = tdx"),
        ANC("file", "", "", .other = LAB),

        COL("url", "", "url = \"https://mirror.example/\"", .why_not = FETCH_ONLY),
        COL("refresh", "", "refresh = 2h", .why_not = FETCH_ONLY),
        COL("ca", "", "ca = \"/etc/ca.pem\"", .why_not = FETCH_ONLY),

        DEST("address", "", "address = 192.0.2.0/25"),
        DEST("address-file", "", "address-file = partners.list"),
        DEST("address-file", "address-file = partners.list", "address-file = partners.list",
             .other = ADDRESSES),
        DEST("name", "server-name = a.example", "server-name = a.example\nname = b.example"),
        DEST("port", "", "port = 444"),
        DEST("unit", "", "unit = a.service"),
        DEST("cgroup", "", "cgroup = \"/a\""),
        DEST("user", "", "user = 1000"),
        DEST("executable", "", "executable = \"/bin/a\""),
        DEST("action", "", "action = monitor"),
        DEST("refuse-with", "", "refuse-with = EACCES"),
        DEST("tee", "", "tee = {snp, tdx}"),
        DEST("binder", "", "binder = nonce"),
        DEST("transport", "", "transport = flashbots"),
        DEST("ledger", "", "ledger = none"),
        DEST("release", "", "release = app"),
        DEST("measurement", "", "measurement = \"tdx:" HEX48 "\""),
        DEST("leaf", "", "leaf = service.leaf"),
        DEST("leaf", "leaf = service.leaf", "leaf = service.leaf", .other = LEAF),
        DEST("deny", "", "deny = \"subject:" ONES "\""),
        DEST("deny-file", "", "deny-file = withdrawn.list"),
        DEST("deny-file", "deny-file = withdrawn.list", "deny-file = withdrawn.list",
             .other = DENIED),
        DEST("min-version", "", "min-version = \"1.4.0\""),
        DEST("renewed-within", "", "renewed-within = 7d"),
        DEST("register", "", "register = \"tdx.rtmr0=" HEX48 "\""),
        DEST("unpinned-register", "", "unpinned-register = tdx.rtmr0"),
        DEST("server-name", "", "server-name = a.example"),
        DEST("server-key", "", "server-key = \"sha256:" ONES "\""),
        DEST("chip-id", "", "chip-id = \"" HEX64 "\""),
        DEST("vlek", "", "vlek = deny"),
        DEST("vlek", "", "vlek = \"CN=a.example\""),
        DEST("vlek", "vlek = \"CN=a.example\"", "vlek = \"CN=b.example\""),
        DEST("host-data", "", "host-data = \"" HEX32 "\""),
        DEST("min-tcb", "", "min-tcb = \"snp=20\""),
        DEST("accept-tcb", "", "accept-tcb = SWHardeningNeeded"),
        DEST("accept-advisory", "tcb-grace = 30d",
             "tcb-grace = 30d\naccept-advisory = \"INTEL-SA-00615\""),
        DEST("tcb-grace", "", "tcb-grace = 30d"),
        DEST("min-tcb-date", "", "min-tcb-date = \"2025-05-01\""),
        DEST("min-tcb-evaluation", "", "min-tcb-evaluation = 17"),
        DEST("vmpl", "", "vmpl = 1"),
        DEST("require-platform", "", "require-platform = ecc"),
        DEST("require-platform", "", "require-platform = rapl-disabled"),
        DEST("require-guest-policy", "", "require-guest-policy = no-smt"),
        DEST("require-guest-policy", "", "require-guest-policy = ciphertext-hiding"),
        DEST("require-attribute", "", "require-attribute = tdx.pks"),
        DEST("forbid-attribute", "", "forbid-attribute = tdx.kl"),
        DEST("anchor", "", "anchor ="),
        DEST("built-in-anchors", "", "built-in-anchors = false"),
        DEST("allow-debug", "", "allow-debug = true"),
        DEST("require-crl", "", "require-crl = false"),
        DEST("lease", "", "lease = 30m"),
        DEST("kernel-tls", "", "kernel-tls = nfs"),
};

/* ------------------------------------------------------------------------ policy */

/* Is one of these lines of the same key as that one? */
static bool replaced(const char *lines, const char *line)
{
	size_t n = strcspn(line, " ");

	for (const char *at = lines; *at; at += strcspn(at, "\n"), at += *at == '\n')
		if (!strncmp(at, line, n) && at[n] == ' ')
			return true;
	return false;
}

/* "issuer = DID" is of the store's own issuer, "= OTHER" of another. */
static void put_line(struct buf *out, const char *line, size_t n)
{
	if (line[n - 1] == '=')
		return;
	if (n > 3 && !strncmp(line + n - 3, "DID", 3))
		buf_printf(out, "%.*s\"%s\"\n", (int)(n - 3), line, did);
	else if (n > 5 && !strncmp(line + n - 5, "OTHER", 5))
		buf_printf(out, "%.*s\"%s.1\"\n", (int)(n - 5), line, did);
	else
		buf_printf(out, "%.*s\n", (int)n, line);
}

static void put_block(struct buf *out, size_t b, const char *lines)
{
	if (base[b].title)
		buf_printf(out, "%s %s {\n", policy_sections[base[b].section].name, base[b].title);
	for (size_t i = 0; i < BLOCK_MAX && base[b].line[i]; i++)
		if (!replaced(lines, base[b].line[i]))
			put_line(out, base[b].line[i], strlen(base[b].line[i]));
	for (const char *at = lines; *at; at += strcspn(at, "\n"), at += *at == '\n')
		put_line(out, at, strcspn(at, "\n"));
	if (base[b].title)
		buf_str(out, "}\n");
}

static void put_policy(struct buf *out, const struct case_of *c, const char *lines)
{
	for (size_t b = 0; b < COUNT(base); b++) {
		bool ours = base[b].section == c->section &&
		            (c->section != SECTION_RELEASE || !strcmp(base[b].title, c->release));
		char release[32] = "";

		if (base[b].section == SECTION_DESTINATION && c->release)
			snprintf(release, sizeof(release), "release = %s", c->release);
		put_block(out, b, ours ? lines : release);
	}
	buf_u8(out, 0);
	assert_false(out->bad);
}

static void set_of(const char *text, enum which other, struct policy_set *out)
{
	struct policy_file in = {FILE_A, bytes_str(text)};
	struct policy_issues issues;

	memset(out, 0, sizeof(*out));
	if (policy_parse(&in, 1, load, &other, TEST_NOW, &out->policy, &issues)) {
		print_issues(&issues);
		fail_msg("in:\n%s", text);
	}
	assert_int_equal(policy_set_index(out), 0);
}

static void set_of_case(const struct case_of *c, bool after, struct policy_set *out)
{
	struct buf text = buf_make(1 << 16);

	put_policy(&text, c, after ? c->after : c->before);
	set_of((const char *)text.p, after ? c->other : NO_FILE, out);
	buf_free(&text);
}

/* ------------------------------------------------------------------------- tests */

/* What is demanded, or another thing; and either is said. */
static void each_case(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(cases); i++) {
		const struct case_of *c = &cases[i];
		struct policy_set before, after;
		json_t *said;
		bool same;

		set_of_case(c, false, &before);
		set_of_case(c, true, &after);
		same = !memcmp(before.digest[0], after.digest[0], sizeof(before.digest[0]));
		if (same != (c->why_not != NULL))
			fail_msg("%s %s: \"%s\" to \"%s\"%s%s is %s",
			         policy_sections[c->section].name, c->key, c->before, c->after,
			         c->other ? ", with another " : "",
			         c->other ? file[c->other].path : "",
			         same ? "no change" : "a change");
		said = policy_set_changes(&before, &after);
		assert_non_null(said);
		assert_int_equal(json_array_size(json_object_get(said, "changed")), !same);
		if (same && json_is_null(json_object_get(said, "default")) &&
		    json_array_size(json_object_get(said, "blocks")) != 1)
			fail_msg("%s %s: \"%s\" to \"%s\" is not said",
			         policy_sections[c->section].name, c->key, c->before, c->after);
		json_decref(said);
		policy_set_free(&before);
		policy_set_free(&after);
	}
}

/* Does the value name a file that is read with the policy? */
static bool is_read(const struct policy_key *k)
{
	return !strcmp(k->type, "file") || !strcmp(k->type, "list of files");
}

static void each_key_has_a_case(void **state)
{
	(void)state;
	for (int s = 0; s < SECTION_MAX; s++)
		for (uint32_t k = 0; k < policy_sections[s].n; k++) {
			const struct policy_key *key = &policy_sections[s].keys[k];
			bool found = false, read = !is_read(key);

			for (size_t i = 0; i < COUNT(cases); i++) {
				if ((int)cases[i].section != s || strcmp(cases[i].key, key->name))
					continue;
				found = true;
				read |= cases[i].other != NO_FILE;
			}
			if (!found || !read)
				fail_msg("%s %s has no case here%s: does a reload that changes it "
				         "end what rests on it?",
				         policy_sections[s].name, key->name,
				         found ? " of another content of the file" : "");
		}
}

/* Another file, other lines, another order of blocks and keys, defaults that are written out. */
static void same_demands(void **state)
{
	static const char one[] = "default-action = allow\n"
	                          "ledger acme { policy = acme.policy }\n"
	                          "destination d { address = 192.0.2.0/24 port = 443 action = gate "
	                          "tee = snp ledger = acme }\n";
	static const char two[] =
	        "# of the spring\ndefault-action = allow\n\n"
	        "destination c { address = 192.0.3.0/24 action = deny }\n"
	        "destination d {\n\tlease = 60m\n\tledger = acme\n\ttee = snp\n\taction = gate\n"
	        "\tport = 443\n\taddress = 192.0.2.0/24\n\tbinder = connection\n}\n"
	        "ledger other { policy = acme.policy }\n"
	        "ledger acme { max-age = 24h policy = acme.policy }\n";
	struct policy_set a, b;

	(void)state;
	set_of(one, NO_FILE, &a);
	set_of(two, NO_FILE, &b);
	assert_memory_equal(a.digest[0], b.digest[1], sizeof(a.digest[0]));
	policy_set_free(&a);
	policy_set_free(&b);
}

#define DENY(name) \
	"destination " name " { address = 192.0.2.1 action = deny port = 1 user = {" name "} }\n"
#define LEDGER(name) "ledger " name " { policy = acme.policy }\n"

/* As JSON, sorted, without what is empty. */
static void says(const char *was, const char *is, const char *want)
{
	struct policy_set old, now;
	json_t *said, *value;
	const char *name;
	void *next;
	char *text;

	set_of(was, NO_FILE, &old);
	set_of(is, NO_FILE, &now);
	said = policy_set_changes(&old, &now);
	assert_int_equal(json_object_size(said), 6);
	json_object_foreach_safe(said, next, name, value)
	{
		if (json_is_null(value) || (json_is_array(value) && !json_array_size(value)))
			(void)json_object_del(said, name);
	}
	text = json_dumps(said, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, want);
	free(text);
	json_decref(said);
	policy_set_free(&old);
	policy_set_free(&now);
}

static void what_is_said(void **state)
{
	static const char allow[] = "default-action = allow\n", deny[] = "default-action = deny\n";
	static const char *const rows[][3] = {
	        {DENY("a") DENY("b") LEDGER("l"), DENY("a") DENY("b") LEDGER("l"), "{}"},
	        {DENY("a"), DENY("a") DENY("b"), "{\"added\":[\"b\"]}"},
	        {DENY("a") DENY("b"), DENY("b"), "{\"removed\":[\"a\"]}"},
	        {DENY("a"), "destination a { address = 192.0.2.2 action = deny }",
	         "{\"changed\":[\"a\"]}"},
	        /* Which of two came later than the other can be told both ways; one is said. */
	        {DENY("a") DENY("b"), DENY("b") DENY("a"), "{\"moved\":[\"b\"]}"},
	        {DENY("a") DENY("b") DENY("c") DENY("d"), DENY("b") DENY("c") DENY("d") DENY("a"),
	         "{\"moved\":[\"a\"]}"},
	        {DENY("a") DENY("b") DENY("c") DENY("d"), DENY("d") DENY("x") DENY("a") DENY("b"),
	         "{\"added\":[\"x\"],\"moved\":[\"d\"],\"removed\":[\"c\"]}"},
	        {DENY("a") DENY("b") DENY("c") DENY("d") DENY("e"),
	         DENY("d") DENY("a") DENY("e") DENY("c") DENY("b"),
	         "{\"moved\":[\"d\",\"e\",\"c\"]}"},
	        {LEDGER("l") LEDGER("m"),
	         LEDGER("m") LEDGER("n") "ledger o { policy = acme.policy url "
	                                 "= \"https://o.example/\" }\n",
	         "{\"blocks\":[{\"change\":\"removed\",\"kind\":\"ledger\",\"name\":\"l\"},{"
	         "\"change\":\"added\",\"kind\":\"ledger\",\"name\":\"n\"},{\"change\":\"added\","
	         "\"kind\":\"ledger\",\"name\":\"o\"}]}"},
	        {"collateral amd { url = \"https://a.example/\" }\n",
	         "anchor amd { tee = snp file = lab.pem }\n",
	         "{\"blocks\":[{\"change\":\"added\",\"kind\":\"anchor\",\"name\":\"amd\"},{"
	         "\"change\":\"removed\",\"kind\":\"collateral\",\"name\":\"amd\"}]}"},
	};
	char was[2048], is[2048];

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		snprintf(was, sizeof(was), "%s%s", allow, rows[i][0]);
		snprintf(is, sizeof(is), "%s%s", allow, rows[i][1]);
		says(was, is, rows[i][2]);
	}
	says(deny, allow, "{\"default\":{\"after\":\"allow\",\"before\":\"deny\"}}");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(each_case),
	        cmocka_unit_test(each_key_has_a_case),
	        cmocka_unit_test(same_demands),
	        cmocka_unit_test(what_is_said),
	};

	return cmocka_run_group_tests(tests, make_files, free_files);
}
