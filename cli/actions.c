/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate revoke, reload, arm, disarm: the commands that change something; and watch, which shows
 * what changes. The JSON form is keygated's answer as it is.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "cli/client.h"
#include "cli/cmd.h"
#include "core/bytes.h"

/* Options, no arguments, one request; CMD_YES with the answer in *a, or the status to end with. */
static int simple(int argc, char **argv, const char *verb, struct client *c, json_t **a)
{
	int rc = client_options(argc, argv, 0, "", c);

	*a = NULL;
	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c->synopsis);
	rc = client_ask(c, json_pack("{s:s}", "verb", verb), false, a);
	if (rc || !c->json)
		return rc;
	cmd_print_json(*a);
	*a = NULL;
	return CMD_YES;
}

/* ----------------------------------------------------------------------- revoke */

int cmd_revoke(int argc, char **argv)
{
	static const char synopsis[] = "SESSION | --destination NAME | --lease SESSION";
	struct client c;
	const char *number;
	json_t *request, *a;
	uint64_t id;
	int rc = client_options(argc, argv, CLIENT_DESTINATION | CLIENT_LEASE, synopsis, &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if ((c.destination && c.lease) || argc - optind != !(c.destination || c.lease))
		return cmd_usage(argv[0], synopsis);
	number = c.lease ? c.lease : argv[optind];
	if (!c.destination && decimal_u64(bytes_str(number), INT64_MAX, &id))
		return cmd_error(CMD_USAGE,
		                 "\"%s\" is not a session's number; keygate %s shows them", number,
		                 c.lease ? "leases" : "sessions");
	request = c.destination
	                  ? json_pack("{s:s, s:s}", "verb", "revoke", "destination", c.destination)
	                  : json_pack("{s:s, s:I}", "verb", "revoke", c.lease ? "lease" : "session",
	                              (json_int_t)id);
	rc = client_ask(&c, request, false, &a);
	if (rc)
		return rc;
	if (c.json) {
		cmd_print_json(a);
		return CMD_YES;
	}
	if (!c.lease)
		printf("%" JSON_INTEGER_FORMAT " ended\n", client_number(a, "revoked"));
	if (client_number(a, "leases"))
		printf("%" JSON_INTEGER_FORMAT " leases ended\n", client_number(a, "leases"));
	json_decref(a);
	return CMD_YES;
}

/* ----------------------------------------------------------------------- reload */

static void print_names(const char *word, const json_t *names)
{
	const json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
	{
		printf("%-8s %s\n", word, json_string_value(name));
	}
}

static void print_blocks(const json_t *blocks)
{
	const json_t *b;
	size_t i;

	json_array_foreach(blocks, i, b)
	{
		printf("%-8s %s %s\n", client_text(b, "change"), client_text(b, "kind"),
		       client_text(b, "name"));
	}
}

static void print_default(const json_t *change)
{
	if (json_is_object(change))
		printf("default  %s (before: %s)\n", client_text(change, "after"),
		       client_text(change, "before"));
}

static void print_ended(const json_t *sessions)
{
	const json_t *s;
	size_t i;

	json_array_foreach(sessions, i, s)
	{
		printf("ended    session %" JSON_INTEGER_FORMAT " to %s (%s): %s\n",
		       client_number(s, "id"), client_text(s, "destination"),
		       client_text(s, "peer"), client_text(s, "why"));
	}
}

int cmd_reload(int argc, char **argv)
{
	struct client c;
	json_t *a;
	int rc = simple(argc, argv, "reload", &c, &a);

	if (!a)
		return rc;
	client_print_issues(json_object_get(a, "warnings"));
	print_default(json_object_get(a, "default"));
	print_blocks(json_object_get(a, "blocks"));
	print_names("added", json_object_get(a, "added"));
	print_names("changed", json_object_get(a, "changed"));
	print_names("removed", json_object_get(a, "removed"));
	print_names("moved", json_object_get(a, "moved"));
	print_ended(json_object_get(a, "sessions"));
	printf("generation %" JSON_INTEGER_FORMAT " is in force, %" JSON_INTEGER_FORMAT
	       " sessions ended\n",
	       client_number(a, "generation"), client_number(a, "sessions_cut"));
	json_decref(a);
	return CMD_YES;
}

/* ------------------------------------------------------------------ arm, disarm */

int cmd_arm(int argc, char **argv)
{
	struct client c;
	json_t *a;
	int rc = simple(argc, argv, "arm", &c, &a);

	if (!a)
		return rc;
	puts("armed");
	json_decref(a);
	return CMD_YES;
}

int cmd_disarm(int argc, char **argv)
{
	struct client c;
	json_t *a;
	int rc = simple(argc, argv, "disarm", &c, &a);

	if (!a)
		return rc;
	puts("disarmed: nothing is gated until \"keygate arm\" or the next start of keygated");
	json_decref(a);
	return CMD_YES;
}

/* ------------------------------------------------------------------------ watch */

/* "TIME EVENT member=value ...": what is no object or list. */
static void print_event(const json_t *event)
{
	const char *name;
	json_t *value;
	char at[32];

	cmd_time_text(client_number(event, "at"), at);
	printf("%s %s", at, client_text(event, "event"));
	json_object_foreach((json_t *)(uintptr_t)event, name, value)
	{
		if (!strcmp(name, "at") || !strcmp(name, "event"))
			continue;
		if (json_is_string(value) && json_string_length(value))
			printf(" %s=\"%s\"", name, json_string_value(value));
		else if (json_is_integer(value))
			printf(" %s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
		else if (json_is_boolean(value))
			printf(" %s=%s", name, json_is_true(value) ? "true" : "false");
	}
	putchar('\n');
}

static int show_event(void *ctx, const char *text)
{
	const struct client *c = ctx;
	json_t *event = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	/* The first line says that events follow, or why not. */
	if (json_is_false(json_object_get(event, "ok"))) {
		cmd_error(CMD_UNKNOWN, "%s", client_text(event, "error"));
		json_decref(event);
		return CMD_UNKNOWN;
	}
	if (*client_text(event, "event")) {
		if (c->json)
			puts(text);
		else
			print_event(event);
	}
	json_decref(event);
	return fflush(stdout) ? CMD_UNKNOWN : 0;
}

int cmd_watch(int argc, char **argv)
{
	struct client c;
	int rc = client_options(argc, argv, 0, "", &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c.synopsis);
	return client_stream(&c, json_pack("{s:s}", "verb", "watch"), show_event, &c);
}
