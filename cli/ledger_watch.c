/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate ledger watch: the entries of watched logs that nobody expected. Those that keygated keeps
 * come first, then each as it appears; with --once the kept ones alone, and an exit status for
 * cron. With --json an object a line as in `keygate watch`, or keygated's answer (--once).
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include "cli/client.h"
#include "cli/cmd.h"
#include "core/bytes.h"

#define N JSON_INTEGER_FORMAT

struct watch {
	struct client c;
	uint64_t since; /* of --since */
	json_t *kept; /* those that keygated had kept: they are in the stream once more, perhaps */
	bool subscribed; /* the first line of the stream was seen */
};

static bool wanted(const struct watch *w, const char *origin, const json_t *alert)
{
	return (!w->c.origin || !strcmp(w->c.origin, origin)) &&
	       client_number(alert, "index") >= (json_int_t)w->since;
}

static void print_alert(const char *origin, const json_t *a)
{
	const char *subject = client_text(a, "subject");
	char at[32];

	cmd_time_text(client_number(a, "at"), at);
	printf("%s %s %" N " %s", at, origin, client_number(a, "index"), client_text(a, "code"));
	if (subject[0])
		printf(" \"%s\" %s", subject, client_text(a, "version"));
	printf(" leaf:%s %s\n", client_text(a, "leaf"), client_text(a, "detail"));
}

static void print_log(const json_t *log)
{
	if (!json_is_true(json_object_get(log, "ok")))
		printf("%s: %" N " of %" N " entries read%s%s%s%s\n", client_text(log, "origin"),
		       client_number(log, "size"), client_number(log, "head"),
		       client_text(log, "code")[0] ? ": " : "", client_text(log, "code"),
		       client_text(log, "detail")[0] ? ", " : "", client_text(log, "detail"));
	if (client_number(log, "dropped"))
		printf("%s: %" N " older alerts are in the audit record only\n",
		       client_text(log, "origin"), client_number(log, "dropped"));
}

/* -------------------------------------------------------------------- once */

/*
 * What was not asked for goes out of the answer. An alert is a no, and so are entries that are not
 * the log's; what was not read is a can't tell.
 */
static int reduce(const struct watch *w, json_t *answer)
{
	json_t *logs = json_object_get(answer, "logs"), *log, *list;
	int status = CMD_YES;
	size_t i = 0;

	while ((log = json_array_get(logs, i))) {
		const char *origin = client_text(log, "origin");

		if (w->c.origin && strcmp(w->c.origin, origin) != 0) {
			(void)json_array_remove(logs, i);
			continue;
		}
		list = json_object_get(log, "alerts");
		for (size_t k = 0; k < json_array_size(list);)
			if (wanted(w, origin, json_array_get(list, k)))
				k++;
			else
				(void)json_array_remove(list, k);
		if (json_array_size(list) || !strcmp(client_text(log, "code"), "log.wrong-entries"))
			status = CMD_NO;
		else if (status == CMD_YES && !json_is_true(json_object_get(log, "ok")))
			status = CMD_UNKNOWN;
		i++;
	}
	return status;
}

static int ask(const struct watch *w, json_t **answer)
{
	int rc = client_ask(&w->c, json_pack("{s:s}", "verb", "ledger-watch"), false, answer);
	const json_t *logs = json_object_get(*answer, "logs");

	if (rc)
		return rc;
	if (w->since && !w->c.origin && json_array_size(logs) > 1)
		rc = cmd_error(CMD_USAGE, "several logs are watched; --since needs --origin");
	return rc;
}

static int once(const struct watch *w)
{
	const json_t *log, *alert;
	json_t *answer = NULL;
	size_t i, k;
	int rc = ask(w, &answer);

	if (rc)
		goto out;
	rc = reduce(w, answer);
	if (!json_array_size(json_object_get(answer, "logs"))) {
		rc = cmd_error(CMD_USAGE, "%s is not watched", w->c.origin);
		goto out;
	}
	if (w->c.json) {
		cmd_print_json(json_incref(answer));
		goto out;
	}
	json_array_foreach(json_object_get(answer, "logs"), i, log)
	{
		print_log(log);
		json_array_foreach(json_object_get(log, "alerts"), k, alert)
		{
			print_alert(client_text(log, "origin"), alert);
		}
	}
out:
	json_decref(answer);
	return rc;
}

/* ------------------------------------------------------------------- stream */

/* Which entry of which log. */
static json_t *key_of(const json_t *alert)
{
	return json_pack("[O, O, O]", json_object_get(alert, "origin"),
	                 json_object_get(alert, "index"), json_object_get(alert, "leaf"));
}

static bool is_kept(const struct watch *w, const json_t *alert)
{
	json_t *key = key_of(alert), *other;
	bool found = false;
	size_t i;

	json_array_foreach(w->kept, i, other)
	{
		found = found || json_equal(key, other);
	}
	json_decref(key);
	return found;
}

/* As an event of the stream is. */
static void show(const struct watch *w, const char *origin, json_t *alert)
{
	if (!wanted(w, origin, alert))
		return;
	if (w->c.json)
		cmd_print_json(json_incref(alert));
	else
		print_alert(origin, alert);
}

static int show_kept(struct watch *w)
{
	json_t *answer = NULL, *log, *alert;
	size_t i, k;
	int rc = ask(w, &answer);

	json_array_foreach(rc ? NULL : json_object_get(answer, "logs"), i, log)
	{
		const char *origin = client_text(log, "origin");

		if (!w->c.json)
			print_log(log);
		json_array_foreach(json_object_get(log, "alerts"), k, alert)
		{
			(void)json_object_set_new(alert, "event", json_string("ledger-alert"));
			(void)json_object_set_new(alert, "origin", json_string(origin));
			show(w, origin, alert);
			(void)json_array_append_new(w->kept, key_of(alert));
		}
	}
	json_decref(answer);
	return rc;
}

static void show_state(const struct watch *w, json_t *event)
{
	const char *origin = client_text(event, "origin"), *code = client_text(event, "code");

	if (w->c.origin && strcmp(w->c.origin, origin) != 0)
		return;
	if (w->c.json)
		cmd_print_json(json_incref(event));
	else
		printf("%s: %" N " entries read: %s%s%s\n", origin, client_number(event, "size"),
		       code[0] ? code : "well again", code[0] ? ", " : "",
		       code[0] ? client_text(event, "detail") : "");
}

/*
 * The kept ones are asked for when the stream is there, so that none falls between the two; what
 * both have is shown once.
 */
static int show_line(void *ctx, const char *text)
{
	struct watch *w = ctx;
	json_t *event = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *name = client_text(event, "event");
	int rc = 0;

	if (json_is_false(json_object_get(event, "ok")))
		rc = cmd_error(CMD_UNKNOWN, "%s", client_text(event, "error"));
	else if (!w->subscribed)
		rc = show_kept(w);
	else if (!strcmp(name, "ledger-alert") && !is_kept(w, event))
		show(w, client_text(event, "origin"), event);
	else if (!strcmp(name, "ledger-watch"))
		show_state(w, event);
	w->subscribed = true;
	json_decref(event);
	return fflush(stdout) && !rc ? CMD_UNKNOWN : rc;
}

int cmd_ledger_watch(int argc, char **argv)
{
	static const char synopsis[] = "[--once] [--origin ORIGIN] [--since N]";
	struct watch w = {.since = 0};
	int rc = client_options(argc, argv, CLIENT_WATCH, synopsis, &w.c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], synopsis);
	if (w.c.since && decimal_u64(bytes_str(w.c.since), INT64_MAX, &w.since))
		return cmd_error(CMD_USAGE, "--since \"%s\": wanted an entry's number", w.c.since);
	if (w.c.once)
		return once(&w);
	w.kept = json_array();
	rc = client_stream(&w.c, json_pack("{s:s}", "verb", "watch"), show_line, &w);
	json_decref(w.kept);
	return rc;
}
