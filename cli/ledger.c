/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate ledger status, heads and forget: how keygated follows the logs, what it saw of them, and
 * how a head is dropped. The JSON form is keygated's answer as it is.
 */
#include <getopt.h>
#include <stdio.h>
#include "cli/client.h"
#include "cli/cmd.h"

#define N JSON_INTEGER_FORMAT

/* The answer to the verb ledger; CMD_YES, or the status to end with. */
static int ask(int argc, char **argv, struct client *c, json_t **a)
{
	int rc = client_options(argc, argv, 0, "", c);

	*a = NULL;
	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c->synopsis);
	return client_ask(c, json_pack("{s:s}", "verb", "ledger"), false, a);
}

/* A fork is a no; what can't be followed is a can't tell. */
static int status_of(const json_t *a)
{
	const json_t *ledger, *source, *head;
	int status = CMD_YES;
	size_t i, k;

	json_array_foreach(json_object_get(a, "ledgers"), i, ledger)
	{
		json_array_foreach(json_object_get(ledger, "sources"), k, source)
		{
			if (!json_is_true(json_object_get(source, "ok")))
				status = CMD_UNKNOWN;
		}
	}
	json_array_foreach(json_object_get(a, "heads"), i, head)
	{
		if (json_is_true(json_object_get(head, "forked")))
			status = CMD_NO;
	}
	return status;
}

static void add_source(struct table *t, const json_t *ledger, const json_t *s)
{
	const char *code = client_text(s, "code"), *witness = client_text(s, "witness");
	bool ok = json_is_true(json_object_get(s, "ok"));
	char at[32];

	cmd_time_text(client_number(s, "ok_at"), at);
	table_row(t, (const char *const[]){client_text(ledger, "name"), client_text(s, "origin"),
	                                   witness[0] ? witness : "the log",
	                                   ok        ? "ok"
	                                   : code[0] ? code
	                                             : "not asked yet",
	                                   at, client_text(s, "detail")});
}

static void add_head(struct table *t, const json_t *h)
{
	bool forked = json_is_true(json_object_get(h, "forked"));
	char size[32], at[32], earlier[32];

	snprintf(size, sizeof(size), "%" N, client_number(h, "size"));
	snprintf(earlier, sizeof(earlier), "%zu", json_array_size(json_object_get(h, "earlier")));
	cmd_time_text(client_number(h, "at"), at);
	table_row(t, (const char *const[]){client_text(h, "origin"), size, client_text(h, "root"),
	                                   at, earlier, forked ? "FORKED" : ""});
}

int cmd_ledger_status(int argc, char **argv)
{
	struct table t = {.columns = 6};
	const json_t *ledger, *source;
	struct client c;
	size_t i, k;
	json_t *a;
	int rc = ask(argc, argv, &c, &a);

	if (!a)
		return rc;
	rc = status_of(a);
	if (c.json) {
		cmd_print_json(a);
		return rc;
	}
	table_row(&t, (const char *const[]){"LEDGER", "LOG", "ASKED", "STATE", "LAST GOOD", ""});
	json_array_foreach(json_object_get(a, "ledgers"), i, ledger)
	{
		json_array_foreach(json_object_get(ledger, "sources"), k, source)
		{
			add_source(&t, ledger, source);
		}
	}
	table_print(&t, "");
	json_array_foreach(json_object_get(a, "heads"), i, source)
	{
		if (json_is_true(json_object_get(source, "forked")))
			printf("FORKED: %s showed this host two trees (keygate ledger evidence)\n",
			       client_text(source, "origin"));
	}
	json_decref(a);
	return rc;
}

int cmd_ledger_heads(int argc, char **argv)
{
	struct table t = {.columns = 6};
	const json_t *head;
	struct client c;
	size_t i;
	json_t *a;
	int rc = ask(argc, argv, &c, &a);

	if (!a)
		return rc;
	if (c.json) {
		(void)json_object_del(a, "ledgers");
		cmd_print_json(a);
		return CMD_YES;
	}
	table_row(&t, (const char *const[]){"LOG", "SIZE", "ROOT", "VOUCHED FOR", "EARLIER", ""});
	json_array_foreach(json_object_get(a, "heads"), i, head)
	{
		add_head(&t, head);
	}
	json_decref(a);
	table_print(&t, "");
	return CMD_YES;
}

int cmd_ledger_forget(int argc, char **argv)
{
	static const char synopsis[] = "ORIGIN";
	struct client c;
	json_t *a;
	int rc = client_options(argc, argv, 0, synopsis, &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (argc - optind != 1)
		return cmd_usage(argv[0], synopsis);
	rc = client_ask(&c,
	                json_pack("{s:s, s:s}", "verb", "ledger-forget", "origin", argv[optind]),
	                false, &a);
	if (rc)
		return rc;
	if (c.json) {
		cmd_print_json(a);
		return CMD_YES;
	}
	printf("forgotten; what was known is in %s\n", client_text(a, "moved_to"));
	json_decref(a);
	return CMD_YES;
}
