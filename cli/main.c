/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate: the dispatcher. One table names every command; a command of two words has its group
 * first. Knows no command's options.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "cli/cmd.h"
#include "core/version.h"

struct command {
	const char *group; /* NULL for a command of one word */
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *summary;
};

/* In the order in which --help shows them. */
static const struct command commands[] = {
        {"verify", "evidence", cmd_verify_evidence, "judge a TEE's evidence"},
        {"verify", "checkpoint", cmd_verify_checkpoint, "judge a log's signed checkpoint"},
        {"verify", "inclusion", cmd_verify_inclusion, "is a leaf in a tree"},
        {"verify", "consistency", cmd_verify_consistency, "is one tree a prefix of another"},
        {"verify", "subtree", cmd_verify_subtree, "did a witness cosign part of a tree"},
        {"verify", "proof", cmd_verify_proof, "judge a tlog-proof and its leaf"},
        {"verify", "bundle", cmd_verify_bundle, "judge a Sigstore bundle"},
        {"verify", "receipt", cmd_verify_receipt, "judge a COSE receipt of a transparency service"},
        {"policy", "check", cmd_policy_check, "say what is wrong with policy files"},
        {NULL, "explain", cmd_explain, "which rule decides for HOST:PORT, and what came of it"},
        {NULL, "probe", cmd_probe, "what evidence HOST:PORT shows, and a policy that admits it"},
        {NULL, "status", cmd_status, "what keygated is doing"},
        {NULL, "sessions", cmd_sessions, "the sessions that are open"},
        {NULL, "leases", cmd_leases, "the leases that spare connections their evidence"},
        {NULL, "watch", cmd_watch, "events as they happen"},
        {"ledger", "status", cmd_ledger_status, "how the logs and witnesses are followed"},
        {"ledger", "heads", cmd_ledger_heads, "the last-seen head of each log"},
        {"ledger", "evidence", cmd_ledger_evidence, "evidence of forks: list, export, verify"},
        {"ledger", "watch", cmd_ledger_watch, "entries of the logs that nobody expected"},
        {"ledger", "forget", cmd_ledger_forget, "drop the last-seen head of a log"},
        {NULL, "revoke", cmd_revoke, "end a session, a lease, or all of a destination"},
        {NULL, "reload", cmd_reload, "put changed policy files in force"},
        {NULL, "arm", cmd_arm, "gate what the policy says"},
        {NULL, "disarm", cmd_disarm, "gate nothing until armed again"},
        {NULL, "anchors", cmd_anchors, "trust anchors: built in, of a policy, of files"},
        {NULL, NULL, NULL, NULL},
};

static void print_commands(FILE *f, const char *group)
{
	for (const struct command *c = commands; c->name; c++) {
		char words[64];

		if (group && (!c->group || strcmp(group, c->group)))
			continue;
		snprintf(words, sizeof(words), "%s%s%s", c->group ? c->group : "",
		         c->group ? " " : "", c->name);
		fprintf(f, "  %-20s %s\n", words, c->summary);
	}
}

static int help(FILE *f, int status, const char *group)
{
	fprintf(f, "usage: keygate COMMAND [OPTION]... [ARGUMENT]...\n"
	           "       keygate --help | --version\n\n");
	print_commands(f, group);
	fprintf(f, "\nExit status: 0 yes, 1 usage or configuration error, 2 no, 3 can't tell.\n"
	           "keygate(8) has the options of each command.\n");
	return status;
}

static int run(const struct command *c, int argc, char **argv, int words)
{
	char name[64];

	snprintf(name, sizeof(name), "keygate %s%s%s", c->group ? c->group : "",
	         c->group ? " " : "", c->name);
	argv[words] = name;
	optind = 0; /* glibc: start afresh */
	return c->fn(argc - words, argv + words);
}

static bool is_group(const char *word)
{
	for (const struct command *c = commands; c->name; c++)
		if (c->group && !strcmp(c->group, word))
			return true;
	return false;
}

int main(int argc, char **argv)
{
	if (argc < 2)
		return help(stderr, CMD_USAGE, NULL);
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))
		return help(stdout, CMD_YES, NULL);
	if (!strcmp(argv[1], "--version")) {
		puts("keygate " KEYGATE_VERSION);
		return CMD_YES;
	}
	for (const struct command *c = commands; c->name; c++) {
		if (!c->group && !strcmp(c->name, argv[1]))
			return run(c, argc, argv, 1);
		if (c->group && argc > 2 && !strcmp(c->group, argv[1]) && !strcmp(c->name, argv[2]))
			return run(c, argc, argv, 2);
	}
	if (is_group(argv[1])) {
		if (argc > 2 && !strcmp(argv[2], "--help"))
			return help(stdout, CMD_YES, argv[1]);
		return help(stderr, CMD_USAGE, argv[1]);
	}
	return cmd_error(CMD_USAGE, "unknown command \"%s\"; keygate --help lists them", argv[1]);
}
