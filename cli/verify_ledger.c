/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate verify checkpoint | inclusion | consistency | subtree | proof: verdicts of ledger/ over
 * files. No network and no state: what was seen before is the daemon's business.
 *
 *   keygate verify checkpoint (--vkey KEY... [--witness KEY... --quorum K] | --policy FILE)
 *           [--origin TEXT] [--at UNIX] [--max-age SECONDS] [--json] FILE
 *   keygate verify checkpoint --note --vkey KEY... [--json] FILE
 *   keygate verify inclusion (--leaf-hash HEX | --leaf FILE) --index N
 *           (--size N | --start N --end N) --root HEX [--json] PROOF
 *   keygate verify consistency (--from N | --start N --end N) --from-root HEX --to N --to-root HEX
 *           [--json] PROOF
 *   keygate verify subtree --vkey KEY --origin TEXT --start N --end N --root HEX [--json] LINES
 *   keygate verify proof --policy FILE --leaf FILE [--at UNIX] [--max-age SECONDS] [--json] FILE
 *   keygate verify proof --sigsum --submit-key KEY --policy FILE (--leaf FILE | --message HEX)
 *           [--at UNIX] [--max-age SECONDS] [--json] FILE
 *
 * FILE and PROOF may be "-". PROOF is a line a hash in base64, empty for none. Without --max-age
 * no freshness is asked; without --at the time is now for --max-age, and else not judged at all.
 * What is malformed in a file, or no hash where a hash is wanted, is refused (2), not misused (1).
 *
 * JSON: {"verdict": "pass"|"fail"|"unavailable", ..., "checks": [{"id","status","detail"}]} with
 *   checkpoint   "origin" "size" "root" (base64) "witnesses" "newest" "fresh_until"
 *   --note       "text"
 *   inclusion    "index" "size" "leaf_hash" "root" (hex)
 *   consistency  "from" "from_root" "to" "to_root" (hex)
 *   subtree      "origin" "start" "end" "root" (hex) "newest"
 * and of a subtree "start" and "end" in place of "size" and "from".
 *   proof        as checkpoint, and "index" "leaf_hash" (hex); of Sigsum "message" for the latter
 * What was not verified far enough to be said is null. Without --json the same is printed as text.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cli/cmd.h"
#include "core/bytes.h"
#include "core/file.h"
#include "ledger/ledger.h"

enum { INPUT_MAX = 1 << 20, NO_OPTION = -1 };

/* What all commands here take. */
struct request {
	struct vkey vkey[TLOG_KEYS_MAX];
	uint32_t vkeys;
	struct vkey witness[TLOG_KEYS_MAX];
	uint32_t witnesses;
	uint64_t quorum;
	bool has_quorum;
	const char *policy_file;
	const char *origin;
	const char *leaf_file;
	const char *leaf_hash;
	const char *root[2]; /* --root, or --from-root and --to-root */
	uint64_t number[4];  /* --index and --size, or --from and --to; --start, --end */
	bool has_number[4];
	int64_t at;
	bool has_at;
	int64_t max_age; /* < 0: not asked */
	bool note;
	bool sigsum;
	const char *submit_key;
	const char *message;
	bool json;
	const char *file;
};

/* ------------------------------------------------------------------ options */

enum option_id {
	OPT_VKEY = 1,
	OPT_WITNESS,
	OPT_QUORUM,
	OPT_POLICY,
	OPT_ORIGIN,
	OPT_AT,
	OPT_MAX_AGE,
	OPT_NOTE,
	OPT_SIGSUM,
	OPT_SUBMIT_KEY,
	OPT_MESSAGE,
	OPT_JSON,
	OPT_LEAF,
	OPT_LEAF_HASH,
	OPT_ROOT,
	OPT_ROOT_2,
	OPT_NUMBER,
	OPT_NUMBER_2,
	OPT_START,
	OPT_END,
	OPT_HELP,
};

static int take_vkey(const char *what, const char *text, struct vkey *list, uint32_t *n)
{
	if (*n == TLOG_KEYS_MAX)
		return cmd_error(CMD_USAGE, "%s: at most %d", what, TLOG_KEYS_MAX);
	if (ledger_vkey_parse(bytes_str(text), &list[*n]))
		return cmd_error(CMD_USAGE, "%s \"%s\": wanted a verifier key NAME+HASH+BASE64",
		                 what, text);
	(*n)++;
	return 0;
}

static int take_number(const char *what, const char *text, uint64_t max, uint64_t *out)
{
	if (decimal_u64(bytes_str(text), max, out))
		return cmd_error(CMD_USAGE, "%s \"%s\": wanted a decimal number", what, text);
	return 0;
}

static int take_time(const char *what, const char *text, int64_t *out)
{
	uint64_t v;
	int ret = take_number(what, text, INT64_MAX - 1, &v);

	if (!ret)
		*out = (int64_t)v;
	return ret;
}

static int take_option(enum option_id id, const char *name, const char *arg, struct request *r)
{
	switch (id) {
	case OPT_VKEY:
		return take_vkey(name, arg, r->vkey, &r->vkeys);
	case OPT_WITNESS:
		return take_vkey(name, arg, r->witness, &r->witnesses);
	case OPT_QUORUM:
		r->has_quorum = true;
		return take_number(name, arg, TLOG_KEYS_MAX, &r->quorum);
	case OPT_POLICY:
		r->policy_file = arg;
		return 0;
	case OPT_ORIGIN:
		r->origin = arg;
		return 0;
	case OPT_AT:
		r->has_at = true;
		return take_time(name, arg, &r->at);
	case OPT_MAX_AGE:
		return take_time(name, arg, &r->max_age);
	case OPT_NOTE:
		r->note = true;
		return 0;
	case OPT_SIGSUM:
		r->sigsum = true;
		return 0;
	case OPT_SUBMIT_KEY:
		r->submit_key = arg;
		return 0;
	case OPT_MESSAGE:
		r->message = arg;
		return 0;
	case OPT_JSON:
		r->json = true;
		return 0;
	case OPT_LEAF:
		r->leaf_file = arg;
		return 0;
	case OPT_LEAF_HASH:
		r->leaf_hash = arg;
		return 0;
	case OPT_ROOT:
	case OPT_ROOT_2:
		r->root[id - OPT_ROOT] = arg;
		return 0;
	case OPT_NUMBER:
	case OPT_NUMBER_2:
	case OPT_START:
	case OPT_END:
		r->has_number[id - OPT_NUMBER] = true;
		return take_number(name, arg, UINT64_MAX, &r->number[id - OPT_NUMBER]);
	case OPT_HELP:
		break;
	}
	return CMD_USAGE;
}

/* Fills r; NO_OPTION when the command may go on, else the status to end with. */
static int take_options(int argc, char **argv, const struct option *options, const char *synopsis,
                        struct request *r)
{
	int index = 0;
	int id;

	r->max_age = -1;
	while ((id = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (id == '?')
			return cmd_usage(argv[0], synopsis);
		if (id == OPT_HELP) {
			printf("usage: %s %s\n", argv[0], synopsis);
			return CMD_YES;
		}

		int ret = take_option((enum option_id)id, options[index].name, optarg, r);

		if (ret)
			return ret;
	}
	if (argc - optind != 1)
		return cmd_usage(argv[0], synopsis);
	r->file = argv[optind];
	return NO_OPTION;
}

/* -------------------------------------------------------------------- input */

static int read_input(const char *path, struct bytes *out)
{
	uint8_t *p;
	size_t n;
	int ret = file_read(path, INPUT_MAX, &p, &n);

	if (ret == -EFBIG)
		return cmd_error(CMD_NO, "%s: larger than anything of this kind may be", path);
	if (ret)
		return cmd_error(CMD_USAGE, "%s: %s", path, strerror(-ret));
	*out = (struct bytes){p, n};
	return 0;
}

static void free_input(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

static int read_policy(const char *path, bool sigsum, struct tlog_policy *out)
{
	struct bytes text = BYTES_NONE;
	const char *why;
	uint32_t line;
	int ret = read_input(path, &text);

	if (ret)
		return ret == CMD_NO ? CMD_USAGE : ret;
	if (sigsum ? ledger_sigsum_policy_parse(text, out, &line, &why)
	           : ledger_policy_parse(text, out, &line, &why))
		ret = cmd_error(CMD_USAGE, "%s:%" PRIu32 ": %s", path, line, why);
	free_input(text);
	return ret;
}

/* The policy that the options name, or make. Owned by the caller. */
static int make_policy(const struct request *r, struct tlog_policy **out)
{
	struct tlog_policy *p = malloc(sizeof(*p));
	int ret = 0;

	if (!p)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	if (r->policy_file)
		ret = read_policy(r->policy_file, r->sigsum, p);
	else if (ledger_policy_flat(p, r->vkey, r->vkeys, r->witness, r->witnesses,
	                            (uint32_t)r->quorum))
		ret = cmd_error(CMD_USAGE,
		                "a key can't sign for what it is given for or is there twice, or "
		                "the quorum is more than the witnesses");
	if (!ret && r->origin) {
		if (strlen(r->origin) > NOTE_NAME_MAX)
			ret = cmd_error(CMD_USAGE, "--origin: at most %d bytes", NOTE_NAME_MAX);
		else
			memcpy(p->origin, r->origin, strlen(r->origin) + 1);
	}
	if (ret)
		free(p);
	else
		*out = p;
	return ret;
}

static struct ledger_time time_of(const struct request *r)
{
	struct ledger_time t = {VERDICT_FOREVER, r->max_age};

	if (r->has_at)
		t.at = r->at;
	else if (r->max_age >= 0)
		t.at = time(NULL);
	return t;
}

/* A hash on the command line is input like any other: what is none is refused. */
static bool take_hash(const char *what, const char *hex, struct hash *out, struct checks *checks)
{
	if (hex_decode(bytes_str(hex), out->v, HASH_LEN) == 0)
		return true;
	check_add(checks, "ledger.proof-format", CHECK_FAIL, "%s is not 64 hex digits", what);
	return false;
}

/* A line a hash; the newline of the last one may be missing. */
static bool take_proof(struct bytes text, struct hash path[static PATH_MAX_HASHES], size_t *n,
                       struct checks *checks)
{
	*n = 0;
	while (text.n) {
		const uint8_t *lf = memchr(text.p, '\n', text.n);
		struct bytes line = {text.p, lf ? (size_t)(lf - text.p) : text.n};
		struct hash h;

		if (*n == PATH_MAX_HASHES || base64_decode(line, h.v, HASH_LEN) != HASH_LEN) {
			check_add(checks, "ledger.proof-format", CHECK_FAIL,
			          "line %zu is not a hash in base64, or one too many", *n + 1);
			return false;
		}
		path[(*n)++] = h;
		text.p += line.n + (lf != NULL);
		text.n -= line.n + (lf != NULL);
	}
	check_add(checks, "ledger.proof-format", CHECK_PASS, "%zu hashes", *n);
	return true;
}

/* ------------------------------------------------------------------- output */

static json_t *hash_json(const struct hash *h)
{
	char hex[2 * HASH_LEN + 1];

	hex_encode(BYTES_OF(h->v), hex);
	return json_string(hex);
}

static json_t *number_json(uint64_t n)
{
	/* Beyond what a JSON integer of ours holds no tree is, so it was refused. */
	return n > INT64_MAX ? json_null() : json_integer((json_int_t)n);
}

/* Adds name: value to the object, taking value over; drops all once anything failed. */
static void put(json_t **object, const char *name, json_t *value)
{
	if (*object && json_object_set_new(*object, name, value)) {
		json_decref(*object);
		*object = NULL;
	} else if (!*object) {
		json_decref(value);
	}
}

static json_t *result_json(const struct checks *checks)
{
	json_t *j = json_object();

	put(&j, "verdict", json_string(check_status_name(checks_overall(checks))));
	return j;
}

/* Null, each of them, before a log's signature held. */
static void put_head(json_t **j, const struct ledger_head *h)
{
	bool known = h->cp.origin[0] != '\0';
	bool ends = known && h->fresh_until != VERDICT_FOREVER;
	char root[48];

	base64_encode(BYTES_OF(h->cp.root.v), root);
	put(j, "origin", known ? json_string(h->cp.origin) : json_null());
	put(j, "size", known ? number_json(h->cp.size) : json_null());
	put(j, "root", known ? json_string(root) : json_null());
	put(j, "witnesses", known ? json_integer(h->witnesses) : json_null());
	put(j, "newest", h->newest ? json_integer(h->newest) : json_null());
	put(j, "fresh_until", ends ? json_integer(h->fresh_until) : json_null());
}

/* A line a field, and then a line a check. Text of others is shown as it is only if it is plain. */
static void print_text(json_t *fields, const struct checks *checks)
{
	struct buf out = buf_make(INPUT_MAX);
	const char *name;
	json_t *value;

	json_object_foreach(fields, name, value)
	{
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
		size_t n = text ? strlen(text) : 0;
		bool plain = n > 1 && text[0] == '"' && !memchr(text, '\\', n);

		if (text && !json_is_null(value))
			buf_printf(&out, "%-12s %.*s\n", name, plain ? (int)n - 2 : (int)n,
			           text + plain);
		free(text);
	}
	checks_to_text(checks, &out);
	cmd_print_buf(&out);
}

/* Takes fields over; the status to end with. */
static int finish(const struct request *r, const struct checks *checks, json_t *fields)
{
	int status = cmd_status_of(checks_overall(checks));

	if (r->json) {
		put(&fields, "checks", checks_to_json(checks));
		return cmd_print_json(fields) ? CMD_UNKNOWN : status;
	}
	print_text(fields, checks);
	json_decref(fields);
	return status;
}

/* --------------------------------------------------------------- checkpoint */

static int judge_note(const struct request *r, const struct tlog_policy *policy, struct bytes note)
{
	struct checks checks = {0};
	struct bytes text;
	json_t *j;

	if (ledger_verify_note(note, policy, &text, &checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	j = result_json(&checks);
	put(&j, "text", text.p ? json_stringn((const char *)text.p, text.n) : json_null());
	return finish(r, &checks, j);
}

static int judge_checkpoint(const struct request *r, const struct tlog_policy *policy,
                            struct bytes note)
{
	struct ledger_time t = time_of(r);
	struct ledger_head head;
	struct checks checks = {0};
	json_t *j;

	if (ledger_verify_checkpoint(note, policy, &t, &head, &checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	j = result_json(&checks);
	put_head(&j, &head);
	return finish(r, &checks, j);
}

/* Which options go together; 0 or CMD_USAGE. */
static int checkpoint_usage(const struct request *r)
{
	bool keys = r->vkeys || r->witnesses || r->has_quorum;

	if (r->policy_file ? keys : !r->vkeys)
		return cmd_error(CMD_USAGE, "give --vkey KEY or --policy FILE, and one of them");
	if ((r->witnesses > 0) != r->has_quorum)
		return cmd_error(CMD_USAGE, "--witness and --quorum go together");
	if (r->note &&
	    (r->policy_file || r->witnesses || r->origin || r->has_at || r->max_age >= 0))
		return cmd_error(CMD_USAGE, "--note takes --vkey only");
	return 0;
}

int cmd_verify_checkpoint(int argc, char **argv)
{
	static const struct option options[] = {
	        {"vkey", required_argument, NULL, OPT_VKEY},
	        {"witness", required_argument, NULL, OPT_WITNESS},
	        {"quorum", required_argument, NULL, OPT_QUORUM},
	        {"policy", required_argument, NULL, OPT_POLICY},
	        {"origin", required_argument, NULL, OPT_ORIGIN},
	        {"at", required_argument, NULL, OPT_AT},
	        {"max-age", required_argument, NULL, OPT_MAX_AGE},
	        {"note", no_argument, NULL, OPT_NOTE},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	struct request *r = calloc(1, sizeof(*r));
	struct tlog_policy *policy = NULL;
	struct bytes note = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ret = take_options(argc, argv, options,
	                   "(--vkey KEY... [--witness KEY... --quorum K] | --policy FILE) "
	                   "[--origin TEXT] [--at UNIX] [--max-age SECONDS] [--note] [--json] FILE",
	                   r);
	if (ret != NO_OPTION)
		goto out;
	ret = checkpoint_usage(r);
	if (!ret)
		ret = make_policy(r, &policy);
	if (!ret)
		ret = read_input(r->file, &note);
	if (!ret)
		ret = r->note ? judge_note(r, policy, note) : judge_checkpoint(r, policy, note);
out:
	free_input(note);
	free(policy);
	free(r);
	return ret;
}

/* -------------------------------------------------------------------- proof */

static int judge_proof(const struct request *r, const struct tlog_policy *policy, struct bytes leaf,
                       struct bytes proof)
{
	struct ledger_time t = time_of(r);
	struct tlog_proof p;
	struct ledger_head head;
	struct checks checks = {0};
	struct hash h;
	json_t *j;

	if (ledger_verify_proof(proof, leaf, policy, &t, &head, &checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ledger_leaf_hash(leaf, &h);
	j = result_json(&checks);
	put_head(&j, &head);
	put(&j, "index", ledger_proof_parse(proof, &p) ? json_null() : number_json(p.index));
	put(&j, "leaf_hash", hash_json(&h));
	return finish(r, &checks, j);
}

static int judge_sigsum(const struct request *r, const struct tlog_policy *policy,
                        struct bytes leaf, struct bytes proof)
{
	struct ledger_time t = time_of(r);
	uint8_t key[SIGSUM_KEY];
	struct sigsum_proof p;
	struct ledger_head head;
	struct checks checks = {0};
	struct hash message;
	json_t *j;

	if (ledger_sigsum_key_parse(bytes_str(r->submit_key), key))
		return cmd_error(CMD_USAGE, "--submit-key: wanted 64 hex digits or a line of "
		                            "OpenSSH, \"ssh-ed25519 BASE64\"");
	if (r->message) {
		if (hex_decode(bytes_str(r->message), message.v, HASH_LEN))
			return cmd_error(CMD_USAGE, "--message: wanted 64 hex digits");
	} else if (!EVP_Digest(leaf.p, leaf.n, message.v, NULL, EVP_sha256(), NULL)) {
		return cmd_error(CMD_UNKNOWN, "out of memory");
	}
	if (ledger_verify_sigsum(proof, &message, key, policy, &t, &head, &checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	j = result_json(&checks);
	put_head(&j, &head);
	put(&j, "index", ledger_sigsum_parse(proof, &p) ? json_null() : number_json(p.index));
	put(&j, "message", hash_json(&message));
	return finish(r, &checks, j);
}

/* Which options go together. */
static bool proof_usage_ok(const struct request *r)
{
	if (r->sigsum)
		return r->policy_file && r->submit_key && !r->leaf_file == !!r->message;
	return r->policy_file && r->leaf_file && !r->submit_key && !r->message;
}

int cmd_verify_proof(int argc, char **argv)
{
	static const struct option options[] = {
	        {"policy", required_argument, NULL, OPT_POLICY},
	        {"leaf", required_argument, NULL, OPT_LEAF},
	        {"sigsum", no_argument, NULL, OPT_SIGSUM},
	        {"submit-key", required_argument, NULL, OPT_SUBMIT_KEY},
	        {"message", required_argument, NULL, OPT_MESSAGE},
	        {"at", required_argument, NULL, OPT_AT},
	        {"max-age", required_argument, NULL, OPT_MAX_AGE},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	static const char synopsis[] = "[--sigsum --submit-key KEY] --policy FILE "
	                               "(--leaf FILE | --message HEX) [--at UNIX] "
	                               "[--max-age SECONDS] [--json] FILE";
	struct request *r = calloc(1, sizeof(*r));
	struct tlog_policy *policy = NULL;
	struct bytes proof = BYTES_NONE;
	struct bytes leaf = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ret = take_options(argc, argv, options, synopsis, r);
	if (ret != NO_OPTION)
		goto out;
	ret = proof_usage_ok(r) ? 0 : cmd_usage(argv[0], synopsis);
	if (!ret)
		ret = make_policy(r, &policy);
	if (!ret && r->leaf_file)
		ret = read_input(r->leaf_file, &leaf);
	if (!ret)
		ret = read_input(r->file, &proof);
	if (!ret)
		ret = r->sigsum ? judge_sigsum(r, policy, leaf, proof)
		                : judge_proof(r, policy, leaf, proof);
out:
	free_input(leaf);
	free_input(proof);
	free(policy);
	free(r);
	return ret;
}

/* -------------------------------------------------- inclusion, consistency */

/* What a return of ledger_inclusion or ledger_consistency means. */
static const char *path_fault(int ret)
{
	if (ret == -EINVAL)
		return ": no path of this length is between them";
	return ret ? ": the path does not lead there" : "";
}

/* --start and --end stand for the option that names a tree from leaf 0 on. */
static bool names_subtree(const struct request *r, bool whole)
{
	return !whole && r->has_number[2] && r->has_number[3];
}

static bool names_tree(const struct request *r, bool whole)
{
	return names_subtree(r, whole) || (whole && !r->has_number[2] && !r->has_number[3]);
}

static struct subtree subtree_of(const struct request *r, const struct hash *root)
{
	return (struct subtree){.start = r->number[2], .end = r->number[3], .root = *root};
}

static void put_subtree(json_t **j, const struct request *r)
{
	put(j, "start", number_json(r->number[2]));
	put(j, "end", number_json(r->number[3]));
}

/* One of the two, by what the options name; says so. */
static void check_inclusion(const struct request *r, const struct hash *leaf,
                            const struct hash *root, const struct hash *path, size_t n,
                            struct checks *checks)
{
	struct subtree s = subtree_of(r, root);
	int ret;

	if (r->has_number[2]) {
		ret = ledger_subtree_inclusion(r->number[0], &s, leaf, path, n);
		check_add(checks, "ledger.inclusion", ret ? CHECK_FAIL : CHECK_PASS,
		          "index %" PRIu64 " in %" PRIu64 " to %" PRIu64 "%s", r->number[0],
		          s.start, s.end, path_fault(ret));
	} else {
		ret = ledger_inclusion(r->number[0], r->number[1], leaf, path, n, root);
		check_add(checks, "ledger.inclusion", ret ? CHECK_FAIL : CHECK_PASS,
		          "index %" PRIu64 " of %" PRIu64 "%s", r->number[0], r->number[1],
		          path_fault(ret));
	}
}

static void check_consistency(const struct request *r, const struct hash *from,
                              const struct hash *to, const struct hash *path, size_t n,
                              struct checks *checks)
{
	struct subtree s = subtree_of(r, from);
	int ret;

	if (r->has_number[2]) {
		ret = ledger_subtree_consistency(&s, r->number[1], to, path, n);
		check_add(checks, "ledger.consistency", ret ? CHECK_FAIL : CHECK_PASS,
		          "leaves %" PRIu64 " to %" PRIu64 " of size %" PRIu64 "%s", s.start, s.end,
		          r->number[1], path_fault(ret));
	} else {
		ret = ledger_consistency(r->number[0], from, r->number[1], to, path, n);
		check_add(checks, "ledger.consistency", ret ? CHECK_FAIL : CHECK_PASS,
		          "size %" PRIu64 " to %" PRIu64 "%s", r->number[0], r->number[1],
		          path_fault(ret));
	}
}

static int judge_inclusion(const struct request *r, struct bytes leaf, struct bytes proof)
{
	struct hash path[PATH_MAX_HASHES];
	struct checks checks = {0};
	struct hash leaf_hash = {{0}};
	struct hash root = {{0}};
	size_t n;
	json_t *j;
	bool ok = take_hash("--root", r->root[0], &root, &checks);

	if (r->leaf_file)
		ledger_leaf_hash(leaf, &leaf_hash);
	else
		ok = ok && take_hash("--leaf-hash", r->leaf_hash, &leaf_hash, &checks);
	if (ok && take_proof(proof, path, &n, &checks))
		check_inclusion(r, &leaf_hash, &root, path, n, &checks);
	j = result_json(&checks);
	put(&j, "index", number_json(r->number[0]));
	if (r->has_number[2])
		put_subtree(&j, r);
	else
		put(&j, "size", number_json(r->number[1]));
	put(&j, "leaf_hash", ok ? hash_json(&leaf_hash) : json_null());
	put(&j, "root", ok ? hash_json(&root) : json_null());
	return finish(r, &checks, j);
}

static int judge_consistency(const struct request *r, struct bytes proof)
{
	struct hash path[PATH_MAX_HASHES];
	struct checks checks = {0};
	struct hash from = {{0}};
	struct hash to = {{0}};
	size_t n;
	json_t *j;
	bool ok = take_hash("--from-root", r->root[0], &from, &checks) &&
	          take_hash("--to-root", r->root[1], &to, &checks);

	if (ok && take_proof(proof, path, &n, &checks))
		check_consistency(r, &from, &to, path, n, &checks);
	j = result_json(&checks);
	if (r->has_number[2])
		put_subtree(&j, r);
	else
		put(&j, "from", number_json(r->number[0]));
	put(&j, "from_root", ok ? hash_json(&from) : json_null());
	put(&j, "to", number_json(r->number[1]));
	put(&j, "to_root", ok ? hash_json(&to) : json_null());
	return finish(r, &checks, j);
}

int cmd_verify_inclusion(int argc, char **argv)
{
	static const struct option options[] = {
	        {"leaf", required_argument, NULL, OPT_LEAF},
	        {"leaf-hash", required_argument, NULL, OPT_LEAF_HASH},
	        {"index", required_argument, NULL, OPT_NUMBER},
	        {"size", required_argument, NULL, OPT_NUMBER_2},
	        {"start", required_argument, NULL, OPT_START},
	        {"end", required_argument, NULL, OPT_END},
	        {"root", required_argument, NULL, OPT_ROOT},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	static const char synopsis[] = "(--leaf-hash HEX | --leaf FILE) --index N "
	                               "(--size N | --start N --end N) --root HEX [--json] PROOF";
	struct request *r = calloc(1, sizeof(*r));
	struct bytes proof = BYTES_NONE;
	struct bytes leaf = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ret = take_options(argc, argv, options, synopsis, r);
	if (ret != NO_OPTION)
		goto out;
	ret = 0;
	if (!r->leaf_file == !r->leaf_hash || !r->has_number[0] || !r->root[0] ||
	    !names_tree(r, r->has_number[1]))
		ret = cmd_usage(argv[0], synopsis);
	if (!ret && r->leaf_file)
		ret = read_input(r->leaf_file, &leaf);
	if (!ret)
		ret = read_input(r->file, &proof);
	if (!ret)
		ret = judge_inclusion(r, leaf, proof);
out:
	free_input(leaf);
	free_input(proof);
	free(r);
	return ret;
}

int cmd_verify_consistency(int argc, char **argv)
{
	static const struct option options[] = {
	        {"from", required_argument, NULL, OPT_NUMBER},
	        {"start", required_argument, NULL, OPT_START},
	        {"end", required_argument, NULL, OPT_END},
	        {"from-root", required_argument, NULL, OPT_ROOT},
	        {"to", required_argument, NULL, OPT_NUMBER_2},
	        {"to-root", required_argument, NULL, OPT_ROOT_2},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	static const char synopsis[] = "(--from N | --start N --end N) --from-root HEX "
	                               "--to N --to-root HEX [--json] PROOF";
	struct request *r = calloc(1, sizeof(*r));
	struct bytes proof = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ret = take_options(argc, argv, options, synopsis, r);
	if (ret != NO_OPTION)
		goto out;
	ret = 0;
	if (!names_tree(r, r->has_number[0]) || !r->has_number[1] || !r->root[0] || !r->root[1])
		ret = cmd_usage(argv[0], synopsis);
	if (!ret)
		ret = read_input(r->file, &proof);
	if (!ret)
		ret = judge_consistency(r, proof);
out:
	free_input(proof);
	free(r);
	return ret;
}

/* ------------------------------------------------------------------ subtree */

static int judge_subtree(const struct request *r, struct bytes lines)
{
	struct checks checks = {0};
	struct hash root = {{0}};
	struct subtree s;
	uint64_t ts = 0;
	json_t *j;
	bool ok = take_hash("--root", r->root[0], &root, &checks);

	s = subtree_of(r, &root);
	memcpy(s.origin, r->origin, strlen(r->origin) + 1);
	if (ok && ledger_verify_subtree(lines, &r->vkey[0], &s, &ts, &checks))
		return cmd_error(CMD_UNKNOWN, "out of memory");
	j = result_json(&checks);
	put(&j, "origin", json_string(s.origin));
	put_subtree(&j, r);
	put(&j, "root", ok ? hash_json(&root) : json_null());
	put(&j, "newest", ts ? number_json(ts) : json_null());
	return finish(r, &checks, j);
}

int cmd_verify_subtree(int argc, char **argv)
{
	static const struct option options[] = {
	        {"vkey", required_argument, NULL, OPT_VKEY},
	        {"origin", required_argument, NULL, OPT_ORIGIN},
	        {"start", required_argument, NULL, OPT_START},
	        {"end", required_argument, NULL, OPT_END},
	        {"root", required_argument, NULL, OPT_ROOT},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	static const char synopsis[] = "--vkey KEY --origin TEXT --start N --end N --root HEX "
	                               "[--json] LINES";
	struct request *r = calloc(1, sizeof(*r));
	struct bytes lines = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	ret = take_options(argc, argv, options, synopsis, r);
	if (ret != NO_OPTION)
		goto out;
	if (r->vkeys != 1 || !r->origin || !r->root[0] || !names_subtree(r, false)) {
		ret = cmd_usage(argv[0], synopsis);
		goto out;
	}
	ret = 0;
	if (strlen(r->origin) == 0 || strlen(r->origin) > NOTE_NAME_MAX)
		ret = cmd_error(CMD_USAGE, "--origin: 1 to %d bytes", NOTE_NAME_MAX);
	else if (r->vkey[0].alg != NOTE_MLDSA44)
		ret = cmd_error(CMD_USAGE, "--vkey: only ML-DSA-44 keys (type 06) cosign subtrees");
	if (!ret)
		ret = read_input(r->file, &lines);
	if (!ret)
		ret = judge_subtree(r, lines);
out:
	free_input(lines);
	free(r);
	return ret;
}
