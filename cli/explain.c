/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate explain [--user U] [--unit U] [--cgroup PATH] [--exe PATH] HOST:PORT: which destination
 * block decides for that application, what it demands, and what became of the last connection
 * there; where what is not said of the application decides, which blocks ask for it. keygated is
 * asked; when it does not answer, the policy files alone are read, which is said, and which never
 * is a yes.
 */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "cli/client.h"
#include "cli/cmd.h"
#include "cli/load.h"
#include "cli/target.h"
#include "core/user.h"

/* ------------------------------------------------------------------------- print */

static void print_match(const json_t *m)
{
	const char *destination = client_text(m, "destination");
	const json_t *depends = json_object_get(m, "depends"), *d;
	const json_t *words;
	size_t i;

	json_array_foreach(depends, i, d)
	{
		printf("%s: %s, destination \"%s\" (%s:%" JSON_INTEGER_FORMAT "), if it is %s\n",
		       client_text(m, "address"), client_text(d, "action"),
		       client_text(d, "destination"), client_text(d, "file"),
		       client_number(d, "line"), client_text(d, "application"));
	}
	if (json_array_size(depends))
		printf("else ");
	printf("%s: %s", client_text(m, "address"), client_text(m, "action"));
	if (*destination)
		printf(", destination \"%s\" (%s:%" JSON_INTEGER_FORMAT ")\n", destination,
		       client_text(m, "file"), client_number(m, "line"));
	else
		puts(", no destination matches: the default");
	json_array_foreach(json_object_get(m, "requirement"), i, words)
	{
		printf("    %s\n", json_string_value(words));
	}
}

static bool refuses(const json_t *check)
{
	const char *status = client_text(check, "status");

	return !strcmp(status, "fail") || !strcmp(status, "unavailable");
}

static void print_checks(const json_t *verdict)
{
	struct table t = {.columns = 3};
	const json_t *c;
	size_t i;

	json_array_foreach(json_object_get(verdict, "checks"), i, c)
	{
		table_row(&t, (const char *const[]){client_text(c, "status"), client_text(c, "id"),
		                                    client_text(c, "detail")});
		if (refuses(c))
			table_row(&t, (const char *const[]){"", "", client_text(c, "advice")});
	}
	table_print(&t, "    ");
	json_array_foreach(json_object_get(verdict, "loosened"), i, c)
	{
		printf("    loosened: %s\n", json_string_value(c));
	}
}

/* Of what is only monitored. */
static const char *found(const json_t *last)
{
	const json_t *verdict = json_object_get(last, "verdict");

	return json_is_object(verdict) ? client_text(verdict, "verdict") : "no verdict";
}

static void print_last(const json_t *last)
{
	const json_t *app = json_object_get(last, "app");
	const char *code = client_text(last, "code");
	char at[32];

	if (!json_is_object(last)) {
		puts("no connection there since keygated was started");
		return;
	}
	cmd_time_text(client_number(last, "at"), at);
	if (!strcmp(client_text(last, "mode"), "monitor"))
		printf("last look: %s at %s, at %s, for %s (pid %" JSON_INTEGER_FORMAT
		       "), whose connection is NOT PROTECTED\n",
		       found(last), at, client_text(last, "peer"), client_text(app, "comm"),
		       client_number(app, "pid"));
	else
		printf("last connection: %s at %s, to %s, by %s (pid %" JSON_INTEGER_FORMAT ")\n",
		       client_text(last, "outcome"), at, client_text(last, "peer"),
		       client_text(app, "comm"), client_number(app, "pid"));
	if (*code)
		printf("  %s: %s (%s)\n  %s\n", code, client_text(last, "title"),
		       client_text(last, "detail"), client_text(last, "advice"));
	print_checks(json_object_get(last, "verdict"));
}

static void print_answer(const struct target *t, const json_t *a)
{
	const json_t *matches = json_object_get(a, "matches"), *m;
	size_t i;

	if (json_is_false(json_object_get(a, "armed")))
		puts("disarmed: nothing is gated, whatever stands below");
	if (!json_array_size(matches))
		printf("%s has no known address\n", t->host);
	json_array_foreach(matches, i, m)
	{
		print_match(m);
	}
	if (json_object_get(a, "last"))
		print_last(json_object_get(a, "last"));
}

/* --------------------------------------------------------------- by keygated */

/* Whether it is denied to some and not to others. */
static bool hangs_on_application(const json_t *m)
{
	bool denied = !strcmp(client_text(m, "action"), "deny"), hangs = false;
	const json_t *d;
	size_t i;

	json_array_foreach(json_object_get(m, "depends"), i, d)
	{
		hangs |= denied != !strcmp(client_text(d, "action"), "deny");
	}
	return hangs;
}

static int status_of_answer(const json_t *a)
{
	const json_t *last = json_object_get(a, "last"), *m;
	size_t i;

	/* It was refused, or would be if it were gated. Without a verdict, or with an unavailable
	 * one, nothing was found wrong: it could not be told. */
	if (*client_text(last, "code"))
		return !strcmp(client_text(json_object_get(last, "verdict"), "verdict"), "fail")
		               ? CMD_NO
		               : CMD_UNKNOWN;
	json_array_foreach(json_object_get(a, "matches"), i, m)
	{
		if (hangs_on_application(m))
			return CMD_UNKNOWN;
		if (!strcmp(client_text(m, "action"), "deny"))
			return CMD_NO;
	}
	return json_array_size(json_object_get(a, "matches")) ? CMD_YES : CMD_UNKNOWN;
}

static json_t *request_of(const struct target *t, const struct policy_who *who)
{
	json_t *addresses = json_array();

	for (uint32_t i = 0; i < t->addrs; i++) {
		char text[TARGET_ADDRESS_TEXT];

		target_address_text(t->addr[i], text);
		json_array_append_new(addresses, json_string(text));
	}
	return json_pack("{s:s, s:s, s:i, s:o, s:o*, s:s*, s:s*, s:s*}", "verb", "explain", "host",
	                 t->host, "port", (int)t->port, "addresses", addresses, "user",
	                 who->has_uid ? json_integer(who->uid) : NULL, "unit", who->unit, "cgroup",
	                 who->cgroup, "executable", who->executable);
}

/* ------------------------------------------------------------ by the files alone */

/* The destinations that hold the host by name, at the addresses that it has here. */
static size_t resolved_of(const struct policy *p, const struct target *t,
                          struct policy_resolved **out)
{
	struct policy_resolved *v = calloc((size_t)p->destinations * t->addrs + 1, sizeof(*v));
	size_t n = 0;

	for (uint32_t d = 0; v && d < p->destinations; d++) {
		bool named = false;

		for (uint32_t h = 0; h < p->destination[d].hosts; h++)
			named |= !strcasecmp(p->destination[d].host[h], t->host);
		for (uint32_t i = 0; named && i < t->addrs; i++) {
			v[n].destination = d;
			memcpy(v[n++].addr, t->addr[i], 16);
		}
	}
	*out = v;
	return n;
}

/* The same members as keygated's answer, but nothing that only it knows. */
static json_t *answer_of_files(const struct policy *p, const struct target *t,
                               const struct policy_who *who)
{
	struct policy_resolved *names;
	size_t n = resolved_of(p, t, &names);
	json_t *matches = json_array();

	for (uint32_t i = 0; i < t->addrs; i++)
		json_array_append_new(matches,
		                      policy_match_json(p, names, n, t->addr[i], t->port, who));
	free(names);
	return json_pack("{s:b, s:s, s:s, s:s, s:i, s:o}", "ok", 0, "kind", "unavailable", "host",
	                 t->host, "error", "keygated does not answer; these are the policy files",
	                 "port", (int)t->port, "matches", matches);
}

static int by_files(const struct client *c, const struct target *t, const struct policy_who *who)
{
	const char *dir = c->policy ? c->policy : CLIENT_CONFIG;
	struct policy_issues issues;
	struct policy *p = NULL;
	size_t files;
	json_t *a;

	if (!c->json)
		client_unreachable(c);
	if (load_policy(dir, &p, &issues, &files)) {
		a = load_issues_json(&issues);
		if (!c->json)
			client_print_issues(a);
		else
			cmd_print_json(json_pack(
			        "{s:b, s:s, s:s, s:O}", "ok", 0, "kind", "unavailable", "error",
			        "keygated does not answer, and the policy files are "
			        "wrong",
			        "issues", a));
		json_decref(a);
		return CMD_UNKNOWN;
	}
	a = answer_of_files(p, t, who);
	policy_free(p);
	if (c->json) {
		cmd_print_json(a);
		return CMD_UNKNOWN;
	}
	printf("what the policy files in %s say, whether they are in force or not:\n", dir);
	print_answer(t, a);
	json_decref(a);
	return CMD_UNKNOWN;
}

/* What the options say of the application. CLIENT_GO_ON, or the status to end with. */
static int who_of(const struct client *c, struct policy_who *out)
{
	uint64_t number;
	int rc = 0;

	*out = (struct policy_who){
	        .unit = c->unit, .cgroup = c->cgroup, .executable = c->executable};
	if (c->cgroup && strcmp(c->cgroup, "/") && policy_path_fault(c->cgroup))
		return cmd_error(CMD_USAGE, "--cgroup: must be %s", policy_path_fault(c->cgroup));
	if (c->executable && policy_path_fault(c->executable))
		return cmd_error(CMD_USAGE, "--exe: must be %s", policy_path_fault(c->executable));
	if (!c->user)
		return CLIENT_GO_ON;
	out->has_uid = true;
	if (!decimal_u64(bytes_str(c->user), UINT32_MAX - 1, &number))
		out->uid = (uint32_t)number;
	else
		rc = user_lookup(NULL, c->user, &out->uid);
	if (rc == -ENOENT)
		return cmd_error(CMD_USAGE, "--user: there is no user \"%s\"", c->user);
	return rc ? cmd_error(CMD_UNKNOWN, "--user: %s", strerror(-rc)) : CLIENT_GO_ON;
}

int cmd_explain(int argc, char **argv)
{
	static const char synopsis[] = "[--policy DIR] [--user USER] [--unit UNIT] "
	                               "[--cgroup PATH] [--exe PATH] HOST:PORT";
	struct target t = {.port = 0};
	struct policy_who who;
	struct client c;
	json_t *a;
	int rc = client_options(argc, argv, CLIENT_POLICY | CLIENT_APP, synopsis, &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (argc - optind != 1)
		return cmd_usage(argv[0], synopsis);
	if (!target_parse(argv[optind], &t))
		return cmd_error(CMD_USAGE, TARGET_WRONG, argv[optind]);
	rc = who_of(&c, &who);
	if (rc != CLIENT_GO_ON)
		return rc;
	target_resolve(&t);
	rc = client_ask(&c, request_of(&t, &who), true, &a);
	if (!a)
		return rc == CLIENT_GO_ON ? by_files(&c, &t, &who) : rc;
	rc = status_of_answer(a);
	if (c.json) {
		cmd_print_json(a);
		return rc;
	}
	print_answer(&t, a);
	json_decref(a);
	return rc;
}
