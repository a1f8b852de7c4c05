/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate policy check [--json] [FILE|DIR]: what is wrong with policy files, before they are put in
 * force. Talks to nobody.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/load.h"

static json_t *summary_json(const struct policy *p, const struct policy_issues *issues,
                            size_t files)
{
	return json_pack("{s:b, s:i, s:i, s:i, s:i, s:o, s:o}", "ok", p != NULL, "files",
	                 (int)files, "destinations", p ? (int)p->destinations : 0, "ledgers",
	                 p ? (int)p->ledgers : 0, "anchors", p ? (int)p->anchors : 0, "default",
	                 p ? json_string(policy_action_name(p->default_action)) : json_null(),
	                 "issues", load_issues_json(issues));
}

static void print_count(const char *before, uint32_t n, const char *word)
{
	printf("%s%u %s%s", before, n, word, n == 1 ? "" : "s");
}

static void print_summary(const struct policy *p, const struct policy_issues *issues, size_t files)
{
	uint32_t warnings = 0;

	for (uint32_t i = 0; i < issues->n; i++)
		warnings += !issues->v[i].error;
	if (p) {
		print_count("", (uint32_t)files, "file");
		print_count(", ", p->destinations, "destination");
		print_count(", ", p->ledgers, "ledger");
		print_count(", ", p->anchors, "anchor");
		printf(", default %s: ok", policy_action_name(p->default_action));
	} else {
		print_count("", issues->errors, "error");
	}
	if (warnings)
		print_count(", ", warnings, "warning");
	putchar('\n');
}

int cmd_policy_check(int argc, char **argv)
{
	static const char synopsis[] = "[--json] [FILE|DIR]";
	static const struct option options[] = {
	        {"help", no_argument, NULL, 'h'},
	        {"json", no_argument, NULL, 'j'},
	        {NULL, 0, NULL, 0},
	};
	struct policy_issues issues;
	struct policy *p = NULL;
	bool json = false;
	size_t files = 0;
	int opt, rc;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: %s %s\n", argv[0], synopsis);
			return CMD_YES;
		}
		if (opt != 'j')
			return cmd_usage(argv[0], synopsis);
		json = true;
	}
	if (argc - optind > 1)
		return cmd_usage(argv[0], synopsis);
	rc = load_policy(optind < argc ? argv[optind] : CLIENT_CONFIG, &p, &issues, &files);
	if (rc && rc != -EINVAL)
		return cmd_error(CMD_UNKNOWN, "the policy files can't be judged: %s",
		                 strerror(-rc));
	if (json) {
		cmd_print_json(summary_json(p, &issues, files));
	} else {
		json_t *list = load_issues_json(&issues);

		client_print_issues(list);
		json_decref(list);
		print_summary(p, &issues, files);
	}
	policy_free(p);
	return rc ? CMD_USAGE : CMD_YES;
}
