/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate verify receipt: the verdict of ledger/ over COSE receipts and the statement that they are
 * of. No network: keys are files, and what a receipt does not hold is not there.
 *
 *   keygate verify receipt [--trust-store FILE | --key FILE] --statement FILE
 *           (--issuer DID | --issuer-key FILE [--issuer TEXT]) [--subject TEXT] [--min-svn N]
 *           [--payload FILE] [--at UNIX] [--json] [RECEIPT]
 *   keygate verify receipt [--trust-store FILE | --key FILE]
 *           (--entry FILE | --leaf-hash HEX | --from-root HEX) [--at UNIX] [--json] RECEIPT
 *
 * Without RECEIPT the ones inside the statement count. Without a key nothing can be told, but the
 * receipt is read, and what root it would be of is said.
 *
 * JSON: {"verdict", "receipts", "ledger", "txid", "registered_at", "root", "issuer", "subject",
 * "svn", "payload_hash", "payload", "checks"}; what the messages do not say, or was not reached, is
 * null.
 */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cli/cmd.h"
#include "cli/input.h"
#include "core/bytes.h"
#include "ledger/receipt.h"

static const char synopsis[] =
        "[--trust-store FILE | --key FILE] (--statement FILE (--issuer DID | --issuer-key FILE "
        "[--issuer TEXT]) [--subject TEXT] [--min-svn N] [--payload FILE] | --entry FILE | "
        "--leaf-hash HEX | --from-root HEX) [--at UNIX] [--json] [RECEIPT]";

struct request {
	struct receipt_ask ask;
	const char *store_file;
	const char *key_file;
	const char *content_file;
	const char *issuer_key_file;
	const char *payload_file;
	const char *hash;
	unsigned asks; /* how many of the four */
	int64_t at;
	bool json;
	const char *file; /* NULL: what the statement carries */
};

/* ------------------------------------------------------------------ options */

enum option_id {
	OPT_STORE = 1,
	OPT_KEY,
	OPT_STATEMENT,
	OPT_ENTRY,
	OPT_LEAF_HASH,
	OPT_FROM_ROOT,
	OPT_ISSUER,
	OPT_ISSUER_KEY,
	OPT_SUBJECT,
	OPT_MIN_SVN,
	OPT_PAYLOAD,
	OPT_AT,
	OPT_JSON,
	OPT_HELP,
};

static int take_text(const char *what, const char *arg, char out[static RECEIPT_TEXT_MAX])
{
	if (!arg[0] || strlen(arg) >= RECEIPT_TEXT_MAX)
		return cmd_error(CMD_USAGE, "--%s: 1 to %d characters", what, RECEIPT_TEXT_MAX - 1);
	memcpy(out, arg, strlen(arg) + 1);
	return 0;
}

static int take_number(const char *what, const char *arg, uint64_t *out)
{
	if (decimal_u64(bytes_str(arg), INT64_MAX - 1, out))
		return cmd_error(CMD_USAGE, "--%s \"%s\": wanted a decimal number", what, arg);
	return 0;
}

static int take_asked(struct request *r, enum receipt_of of, const char **to, const char *arg)
{
	r->ask.of = of;
	r->asks++;
	*to = arg;
	return 0;
}

static int take_option(enum option_id id, const char *name, const char *arg, struct request *r)
{
	struct receipt_signer *s = &r->ask.signer;
	uint64_t at = 0;
	int ret;

	switch (id) {
	case OPT_STORE:
		r->store_file = arg;
		return 0;
	case OPT_KEY:
		r->key_file = arg;
		return 0;
	case OPT_STATEMENT:
		return take_asked(r, RECEIPT_OF_STATEMENT, &r->content_file, arg);
	case OPT_ENTRY:
		return take_asked(r, RECEIPT_OF_ENTRY, &r->content_file, arg);
	case OPT_LEAF_HASH:
		return take_asked(r, RECEIPT_OF_LEAF, &r->hash, arg);
	case OPT_FROM_ROOT:
		return take_asked(r, RECEIPT_OF_TREE, &r->hash, arg);
	case OPT_ISSUER:
		return take_text(name, arg, s->issuer);
	case OPT_ISSUER_KEY:
		r->issuer_key_file = arg;
		return 0;
	case OPT_SUBJECT:
		return take_text(name, arg, s->subject);
	case OPT_MIN_SVN:
		s->has_min_svn = true;
		return take_number(name, arg, &s->min_svn);
	case OPT_PAYLOAD:
		r->payload_file = arg;
		return 0;
	case OPT_AT:
		ret = take_number(name, arg, &at);
		r->at = (int64_t)at;
		return ret;
	case OPT_JSON:
		r->json = true;
		return 0;
	case OPT_HELP:
		break;
	}
	return CMD_USAGE;
}

/* Which options go together; 0 or CMD_USAGE. */
static int check_usage(const char *command, const struct request *r)
{
	const struct receipt_signer *s = &r->ask.signer;
	bool signer = s->issuer[0] || s->subject[0] || s->has_min_svn || r->issuer_key_file ||
	              r->payload_file;
	const char *why;

	if (r->asks != 1 || (r->ask.of != RECEIPT_OF_STATEMENT && !r->file))
		return cmd_usage(command, synopsis);
	if (r->store_file && r->key_file)
		return cmd_error(CMD_USAGE, "give --trust-store or --key");
	if (r->ask.of != RECEIPT_OF_STATEMENT)
		return signer ? cmd_error(CMD_USAGE, "--issuer, --issuer-key, --subject, --min-svn "
		                                     "and --payload are of a --statement")
		              : 0;
	if (r->issuer_key_file)
		return 0;
	why = receipt_issuer_fault(s->issuer);
	return why ? cmd_error(CMD_USAGE, "--issuer: %s", why) : 0;
}

/* 0, or the status to end with; -1 when the command may go on. */
static int take_options(int argc, char **argv, struct request *r)
{
	static const struct option options[] = {
	        {"trust-store", required_argument, NULL, OPT_STORE},
	        {"key", required_argument, NULL, OPT_KEY},
	        {"statement", required_argument, NULL, OPT_STATEMENT},
	        {"entry", required_argument, NULL, OPT_ENTRY},
	        {"leaf-hash", required_argument, NULL, OPT_LEAF_HASH},
	        {"from-root", required_argument, NULL, OPT_FROM_ROOT},
	        {"issuer", required_argument, NULL, OPT_ISSUER},
	        {"issuer-key", required_argument, NULL, OPT_ISSUER_KEY},
	        {"subject", required_argument, NULL, OPT_SUBJECT},
	        {"min-svn", required_argument, NULL, OPT_MIN_SVN},
	        {"payload", required_argument, NULL, OPT_PAYLOAD},
	        {"at", required_argument, NULL, OPT_AT},
	        {"json", no_argument, NULL, OPT_JSON},
	        {"help", no_argument, NULL, OPT_HELP},
	        {NULL, 0, NULL, 0},
	};
	int index = 0, id, ret;

	while ((id = getopt_long(argc, argv, "", options, &index)) != -1) {
		if (id == '?')
			return cmd_usage(argv[0], synopsis);
		if (id == OPT_HELP) {
			printf("usage: %s %s\n", argv[0], synopsis);
			return CMD_YES;
		}
		ret = take_option((enum option_id)id, options[index].name, optarg, r);
		if (ret)
			return ret;
	}
	if (argc - optind > 1)
		return cmd_usage(argv[0], synopsis);
	if (optind < argc)
		r->file = argv[optind];
	ret = check_usage(argv[0], r);
	return ret ? ret : -1;
}

/* ------------------------------------------------------------------- output */

static json_t *text_json(const char *s)
{
	return s && s[0] ? json_string(s) : json_null();
}

static json_t *number_json(bool known, int64_t n)
{
	return known ? json_integer(n) : json_null();
}

static json_t *hex_json(struct bytes v)
{
	char *hex = v.n ? malloc(2 * v.n + 1) : NULL;
	json_t *j;

	if (!hex)
		return json_null();
	hex_encode(v, hex);
	j = json_string(hex);
	free(hex);
	return j;
}

/* Until the verdict is a pass nothing of it was shown to be so. */
static json_t *result_json(const struct receipt_result *is, const struct checks *checks)
{
	static const struct receipt_result nothing;
	enum check_status overall = checks_overall(checks);
	bool pass = overall == CHECK_PASS;
	const struct receipt_result *r = pass ? is : &nothing;
	json_t *j = json_object();

	json_object_set_new(j, "verdict", json_string(check_status_name(overall)));
	json_object_set_new(j, "receipts", number_json(pass, r->receipts));
	json_object_set_new(j, "ledger", text_json(r->ledger));
	json_object_set_new(j, "txid", text_json(r->txid));
	json_object_set_new(j, "registered_at", number_json(r->registered_at, r->registered_at));
	json_object_set_new(j, "root", pass ? hex_json(BYTES_OF(r->root.v)) : json_null());
	json_object_set_new(j, "issuer", text_json(r->issuer));
	json_object_set_new(j, "subject", text_json(r->subject));
	json_object_set_new(j, "svn", number_json(r->has_svn, (int64_t)r->svn));
	json_object_set_new(j, "payload_hash", text_json(r->payload_hash));
	json_object_set_new(j, "payload", r->payload_hash ? hex_json(r->payload) : json_null());
	json_object_set_new(j, "checks", checks_to_json(checks));
	return j;
}

static int finish(const struct request *r, const struct receipt_result *result,
                  const struct checks *checks)
{
	int status = cmd_status_of(checks_overall(checks));
	struct buf out = buf_make(1 << 20);

	if (r->json)
		return cmd_print_json(result_json(result, checks)) ? CMD_UNKNOWN : status;
	buf_printf(&out, "%-12s %s\n", "verdict", check_status_name(checks_overall(checks)));
	checks_to_text(checks, &out);
	cmd_print_buf(&out);
	return status;
}

/* ------------------------------------------------------------------- verdict */

static int judge(const struct request *r, struct bytes key_text)
{
	struct receipt_result *result = calloc(1, sizeof(*result));
	struct receipt_keys *keys = NULL;
	struct checks checks = {0};
	int ret = result ? 0 : -ENOMEM;

	if (!ret && r->store_file)
		ret = receipt_store_parse(key_text, &keys, &checks);
	else if (!ret && r->key_file)
		ret = receipt_key_parse(key_text, &keys, &checks);
	if (!ret)
		ret = receipt_verify(&r->ask, keys, r->at, result, &checks);
	if (ret == -ENOMEM)
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	else
		ret = finish(r, result, &checks);
	receipt_keys_free(keys);
	free(result);
	return ret;
}

static void free_input(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

/* What the options name; a file that is empty is none of any kind. */
static int read_inputs(struct request *r, struct bytes *key_text)
{
	const struct {
		const char *file;
		struct bytes *to;
	} inputs[] = {
	        {r->store_file ? r->store_file : r->key_file, key_text},
	        {r->content_file, &r->ask.content},
	        {r->issuer_key_file, &r->ask.signer.key},
	        {r->payload_file, &r->ask.payload},
	        {r->file, &r->ask.receipt},
	};
	int ret = 0;

	if (r->hash && hex_decode(bytes_str(r->hash), r->ask.hash.v, HASH_LEN))
		return cmd_error(CMD_USAGE, "--leaf-hash, --from-root: 64 hex digits, a SHA-256");
	for (size_t i = 0; i < sizeof(inputs) / sizeof(inputs[0]) && !ret; i++) {
		if (!inputs[i].file)
			continue;
		ret = input_file(inputs[i].file, inputs[i].to);
		if (!ret && !inputs[i].to->n)
			ret = cmd_error(CMD_NO, "%s: empty", inputs[i].file);
	}
	return ret;
}

int cmd_verify_receipt(int argc, char **argv)
{
	struct request *r = calloc(1, sizeof(*r));
	struct bytes key_text = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	r->at = time(NULL);
	ret = take_options(argc, argv, r);
	if (ret == -1)
		ret = read_inputs(r, &key_text);
	else
		goto out;
	if (!ret)
		ret = judge(r, key_text);
out:
	free_input(key_text);
	free_input(r->ask.content);
	free_input(r->ask.signer.key);
	free_input(r->ask.payload);
	free_input(r->ask.receipt);
	free(r);
	return ret;
}
