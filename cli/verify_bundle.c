/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate verify bundle: the verdict of ledger/ over a Sigstore bundle. No network: the trusted
 * root is a file, and what the bundle does not hold is not there.
 *
 *   keygate verify bundle --trusted-root FILE (--issuer URI --san PATTERN [--repository TEXT]
 *           [--ref PATTERN] | --key FILE) [--artifact FILE | --digest HEX]
 *           [--predicate-type URI] [--at UNIX] [--json] FILE
 *
 * JSON: {"verdict", "issuer", "san", "repository", "ref", "log", "log_index", "signed_at",
 * "predicate_type", "measurements", "checks"}; what the bundle does not show, or was not reached,
 * is null.
 */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cli/cmd.h"
#include "cli/input.h"
#include "core/bytes.h"
#include "ledger/sigstore.h"

static const char synopsis[] =
        "--trusted-root FILE (--issuer URI --san PATTERN [--repository TEXT] [--ref PATTERN] | "
        "--key FILE) [--artifact FILE | --digest HEX] [--predicate-type URI] [--at UNIX] [--json] "
        "FILE";

struct request {
	const char *root_file;
	const char *key_file;
	const char *artifact_file;
	const char *digest;
	struct sigstore_identity identity;
	struct sigstore_artifact artifact;
	int64_t at;
	bool json;
	const char *file;
};

enum option_id {
	OPT_ROOT = 1,
	OPT_ISSUER,
	OPT_SAN,
	OPT_REPOSITORY,
	OPT_REF,
	OPT_KEY,
	OPT_ARTIFACT,
	OPT_DIGEST,
	OPT_PREDICATE_TYPE,
	OPT_AT,
	OPT_JSON,
	OPT_HELP,
};

static int take_text(const char *what, const char *arg, char out[static SIGSTORE_TEXT_MAX])
{
	if (!arg[0] || strlen(arg) >= SIGSTORE_TEXT_MAX)
		return cmd_error(CMD_USAGE, "--%s: 1 to %d characters", what,
		                 SIGSTORE_TEXT_MAX - 1);
	memcpy(out, arg, strlen(arg) + 1);
	return 0;
}

static int take_option(enum option_id id, const char *name, const char *arg, struct request *r)
{
	struct sigstore_identity *i = &r->identity;
	uint64_t at;

	switch (id) {
	case OPT_ROOT:
		r->root_file = arg;
		return 0;
	case OPT_ISSUER:
		return take_text(name, arg, i->issuer);
	case OPT_SAN:
		return take_text(name, arg, i->san);
	case OPT_REPOSITORY:
		return take_text(name, arg, i->repository);
	case OPT_REF:
		return take_text(name, arg, i->ref);
	case OPT_PREDICATE_TYPE:
		return take_text(name, arg, i->predicate_type);
	case OPT_KEY:
		r->key_file = arg;
		return 0;
	case OPT_ARTIFACT:
		r->artifact_file = arg;
		return 0;
	case OPT_DIGEST:
		r->digest = arg;
		return 0;
	case OPT_AT:
		if (decimal_u64(bytes_str(arg), INT64_MAX - 1, &at))
			return cmd_error(CMD_USAGE, "--at \"%s\": wanted seconds since 1970", arg);
		r->at = (int64_t)at;
		return 0;
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
	const struct sigstore_identity *i = &r->identity;
	bool certificate = i->issuer[0] || i->san[0] || i->repository[0] || i->ref[0];

	if (!r->root_file)
		return cmd_usage(command, synopsis);
	if (r->key_file ? certificate : !i->issuer[0] || !i->san[0])
		return cmd_error(CMD_USAGE, "give --issuer and --san, or --key, and one of them");
	if (r->artifact_file && r->digest)
		return cmd_error(CMD_USAGE, "give --artifact or --digest");
	return 0;
}

/* 0, or the status to end with; -1 when the command may go on. */
static int take_options(int argc, char **argv, struct request *r)
{
	static const struct option options[] = {
	        {"trusted-root", required_argument, NULL, OPT_ROOT},
	        {"issuer", required_argument, NULL, OPT_ISSUER},
	        {"san", required_argument, NULL, OPT_SAN},
	        {"repository", required_argument, NULL, OPT_REPOSITORY},
	        {"ref", required_argument, NULL, OPT_REF},
	        {"key", required_argument, NULL, OPT_KEY},
	        {"artifact", required_argument, NULL, OPT_ARTIFACT},
	        {"digest", required_argument, NULL, OPT_DIGEST},
	        {"predicate-type", required_argument, NULL, OPT_PREDICATE_TYPE},
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
	if (argc - optind != 1)
		return cmd_usage(argv[0], synopsis);
	r->file = argv[optind];
	ret = check_usage(argv[0], r);
	return ret ? ret : -1;
}

/* ------------------------------------------------------------------- output */

static json_t *text_json(const char *s)
{
	return s[0] ? json_string(s) : json_null();
}

/* {"snp": {"measurement": hex}, ...} */
static json_t *statement_json(const struct statement *s)
{
	json_t *j = s->tees ? json_object() : json_null();

	for (uint32_t i = 0; i < s->tees && i < STATEMENT_TEES_MAX; i++)
		json_object_set_new(j, s->tee[i].tee, measurements_to_json(&s->tee[i].registers));
	return j;
}

/* Until the verdict is a pass nothing of it was shown to be so. */
static json_t *result_json(const struct sigstore_result *is, const struct checks *checks)
{
	static const struct sigstore_result nothing;
	enum check_status overall = checks_overall(checks);
	const struct sigstore_result *r = overall == CHECK_PASS ? is : &nothing;
	json_t *j = json_object();

	json_object_set_new(j, "verdict", json_string(check_status_name(overall)));
	json_object_set_new(j, "issuer", text_json(r->issuer));
	json_object_set_new(j, "san", text_json(r->san));
	json_object_set_new(j, "repository", text_json(r->repository));
	json_object_set_new(j, "ref", text_json(r->ref));
	json_object_set_new(j, "log", text_json(r->log));
	json_object_set_new(j, "log_index",
	                    r->log[0] ? json_integer((json_int_t)r->log_index) : json_null());
	json_object_set_new(j, "signed_at",
	                    r->signed_at ? json_integer(r->signed_at) : json_null());
	json_object_set_new(j, "predicate_type", text_json(r->predicate_type));
	json_object_set_new(j, "measurements", statement_json(&r->statement));
	json_object_set_new(j, "checks", checks_to_json(checks));
	return j;
}

static int finish(const struct request *r, const struct sigstore_result *result,
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

static int judge(struct request *r, struct bytes root_text, struct bytes bundle)
{
	struct sigstore_result *result = calloc(1, sizeof(*result));
	struct sigstore_root *root = NULL;
	struct checks checks = {0};
	int ret = result ? sigstore_root_parse(root_text, &root, &checks) : -ENOMEM;

	if (!ret)
		ret = sigstore_verify(bundle, root, &r->identity, &r->artifact, r->at, result,
		                      &checks);
	if (ret == -ENOMEM)
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	else
		ret = finish(r, result, &checks);
	sigstore_root_free(root);
	free(result);
	return ret;
}

static void free_input(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

int cmd_verify_bundle(int argc, char **argv)
{
	struct request *r = calloc(1, sizeof(*r));
	struct bytes root = BYTES_NONE, bundle = BYTES_NONE;
	int ret;

	if (!r)
		return cmd_error(CMD_UNKNOWN, "out of memory");
	r->at = time(NULL);
	ret = take_options(argc, argv, r);
	if (ret >= 0)
		goto out;
	ret = 0;
	if (r->digest) {
		r->artifact.has_sha256 = true;
		if (hex_decode(bytes_str(r->digest), r->artifact.sha256, HASH_LEN))
			ret = cmd_error(CMD_USAGE, "--digest: 64 hex digits, a SHA-256");
	}
	ret = ret ? ret : input_file(r->root_file, &root);
	if (!ret && r->key_file)
		ret = input_file(r->key_file, &r->identity.key);
	if (!ret && r->artifact_file)
		ret = input_file(r->artifact_file, &r->artifact.content);
	ret = ret ? ret : input_file(r->file, &bundle);
	if (!ret)
		ret = judge(r, root, bundle);
out:
	free_input(root);
	free_input(bundle);
	free_input(r->identity.key);
	free_input(r->artifact.content);
	free(r);
	return ret;
}
