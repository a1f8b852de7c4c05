/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate ledger evidence: what keygated kept of logs that forked, as files that anybody can judge
 * who has the log's key: no keygated, no network and no trust in whoever made the file.
 *
 *   keygate ledger evidence                           list, of the running keygated
 *   keygate ledger evidence export [ORIGIN AT]        one of them to standard output
 *   keygate ledger evidence verify FILE --policy TLOG-POLICY
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/evidence.h"
#include "core/bytes.h"
#include "core/file.h"

#define N JSON_INTEGER_FORMAT

static const char synopsis[] = "[export [ORIGIN AT] | verify FILE --policy TLOG-POLICY]";

/* ------------------------------------------------------------------------- file */

static bool proof_parse(json_t *o, struct ledger_fork *out)
{
	const char *root = NULL;
	json_int_t from = 0, to = 0;
	json_t *hashes = NULL, *hash;
	size_t i;

	if (json_unpack(o, "{s:I, s:I, s:s, s:o !}", "from", &from, "to", &to, "from_root", &root,
	                "proof", &hashes) ||
	    from <= 0 || to <= from || hex_decode(bytes_str(root), out->from_root.v, HASH_LEN) ||
	    !json_is_array(hashes) || json_array_size(hashes) > PATH_MAX_HASHES)
		return false;
	json_array_foreach(hashes, i, hash)
	{
		if (!json_is_string(hash) || base64_decode(bytes_str(json_string_value(hash)),
		                                           out->proof[i].v, HASH_LEN) != HASH_LEN)
			return false;
	}
	out->from = (uint64_t)from;
	out->to = (uint64_t)to;
	out->proof_n = i;
	return true;
}

json_t *evidence_parse(struct bytes text, struct ledger_fork *out)
{
	json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	const char *origin = NULL, *peer = NULL, *seen = NULL, *offered = NULL;
	size_t seen_n = 0, offered_n = 0;
	json_t *proof = NULL;
	json_int_t version = 0, at = 0;

	memset(out, 0, sizeof(*out));
	if (json_unpack(o, "{s:I, s:s, s:I, s:s, s:s%, s:s%, s:o !}", "version", &version, "origin",
	                &origin, "at", &at, "peer", &peer, "seen", &seen, &seen_n, "offered",
	                &offered, &offered_n, "consistency", &proof) ||
	    version != 1 || seen_n > NOTE_MAX || offered_n > NOTE_MAX ||
	    (!json_is_null(proof) && !proof_parse(proof, out))) {
		json_decref(o);
		return NULL;
	}
	out->seen = (struct bytes){(const uint8_t *)seen, seen_n};
	out->offered = (struct bytes){(const uint8_t *)offered, offered_n};
	return o;
}

/* ----------------------------------------------------------------------- verify */

static int read_policy(const char *path, struct tlog_policy *out)
{
	const char *why = "";
	uint8_t *text = NULL;
	uint32_t line = 0;
	size_t n = 0;
	int ret = file_read(path, TLOG_POLICY_MAX, &text, &n);

	if (ret)
		ret = cmd_error(CMD_USAGE, "%s: %s", path, strerror(-ret));
	else if (ledger_policy_parse((struct bytes){text, n}, out, &line, &why))
		ret = cmd_error(CMD_USAGE, "%s:%" PRIu32 ": %s", path, line, why);
	free(text);
	return ret;
}

static int print_verdict(const struct client *c, const struct checks *checks, const json_t *o)
{
	int status = cmd_status_of(checks_overall(checks));
	struct buf out = buf_make(1 << 16);

	if (c->json)
		return cmd_print_json(json_pack("{s:s, s:O?, s:O?, s:o}", "verdict",
		                                check_status_name(checks_overall(checks)), "origin",
		                                json_object_get(o, "origin"), "at",
		                                json_object_get(o, "at"), "checks",
		                                checks_to_json(checks)))
		               ? CMD_UNKNOWN
		               : status;
	checks_to_text(checks, &out);
	buf_str(&out, status == CMD_YES ? "the log forked\n" : "this proves no fork\n");
	cmd_print_buf(&out);
	return status;
}

static int verify(const struct client *c, const char *path)
{
	struct tlog_policy *policy = malloc(sizeof(*policy));
	struct ledger_fork *fork = malloc(sizeof(*fork));
	struct checks checks = {0};
	uint8_t *text = NULL;
	json_t *o = NULL;
	size_t n = 0;
	int ret;

	if (!policy || !fork) {
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
		goto out;
	}
	ret = read_policy(c->policy, policy);
	if (ret)
		goto out;
	ret = file_read(path, EVIDENCE_FILE_MAX, &text, &n);
	if (ret) {
		ret = cmd_error(CMD_USAGE, "%s: %s", path, strerror(-ret));
		goto out;
	}
	o = evidence_parse((struct bytes){text, n}, fork);
	if (!o)
		check_add(&checks, "ledger.evidence", CHECK_FAIL, "not a file of evidence");
	else if (ledger_judge_fork(fork, policy, &checks))
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	if (!ret)
		ret = print_verdict(c, &checks, o);
out:
	json_decref(o);
	free(text);
	free(fork);
	free(policy);
	return ret;
}

/* --------------------------------------------------------------- list and export */

static int list(const struct client *c, json_t *a)
{
	struct table t = {.columns = 5};
	const json_t *all = json_object_get(a, "evidence"), *e;
	size_t i;

	if (c->json) {
		cmd_print_json(a);
		return CMD_YES;
	}
	if (!json_array_size(all))
		puts("no log forked");
	else
		table_row(&t, (const char *const[]){"LOG", "AT", "NOTICED", "SIZES", "SHOWN BY"});
	json_array_foreach(all, i, e)
	{
		char at[32], when[32], sizes[64] = "one";

		snprintf(at, sizeof(at), "%" N, client_number(e, "at"));
		cmd_time_text(client_number(e, "at"), when);
		if (client_number(e, "to"))
			snprintf(sizes, sizeof(sizes), "%" N " and %" N, client_number(e, "from"),
			         client_number(e, "to"));
		table_row(&t, (const char *const[]){client_text(e, "origin"), at, when, sizes,
		                                    client_text(e, "peer")});
	}
	json_decref(a);
	table_print(&t, "");
	return CMD_YES;
}

/* The file's own bytes are JSON, whichever form the answer has. */
static int export_one(const struct client *c, const char *origin, json_int_t at)
{
	json_t *a, *e;
	int rc = client_ask(
	        c,
	        json_pack("{s:s, s:s, s:I}", "verb", "ledger-evidence", "origin", origin, "at", at),
	        false, &a);

	if (rc)
		return rc;
	e = json_incref(json_object_get(a, "evidence"));
	json_decref(a);
	return cmd_print_json(e) ? CMD_UNKNOWN : CMD_YES;
}

static int export_only(const struct client *c, json_t *a)
{
	const json_t *all = json_object_get(a, "evidence"), *e = json_array_get(all, 0);
	size_t n = json_array_size(all);
	int rc;

	if (n == 1)
		rc = export_one(c, client_text(e, "origin"), client_number(e, "at"));
	else
		rc = cmd_error(n ? CMD_USAGE : CMD_NO, "%s",
		               n ? "say which one: ORIGIN AT, as keygate ledger evidence lists them"
		                 : "no log forked");
	json_decref(a);
	return rc;
}

int cmd_ledger_evidence(int argc, char **argv)
{
	const char *word;
	struct client c;
	uint64_t at;
	json_t *a;
	int rc = client_options(argc, argv, CLIENT_POLICY, synopsis, &c);
	int n = argc - optind;

	if (rc != CLIENT_GO_ON)
		return rc;
	word = n ? argv[optind] : "";
	if (n == 2 && !strcmp(word, "verify") && c.policy)
		return verify(&c, argv[optind + 1]);
	if (c.policy || (n && strcmp(word, "export") != 0) || (n != 0 && n != 1 && n != 3))
		return cmd_usage(argv[0], synopsis);
	if (n == 3) {
		if (decimal_u64(bytes_str(argv[optind + 2]), INT64_MAX, &at))
			return cmd_usage(argv[0], synopsis);
		return export_one(&c, argv[optind + 1], (json_int_t)at);
	}
	rc = client_ask(&c, json_pack("{s:s}", "verb", "ledger-evidence"), false, &a);
	if (rc)
		return rc;
	return n ? export_only(&c, a) : list(&c, a);
}
