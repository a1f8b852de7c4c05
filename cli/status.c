/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate status, sessions and leases: what keygated says of itself and of what it carries. The
 * JSON form is keygated's answer as it is; the text form shows the same, short.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "cli/client.h"
#include "cli/cmd.h"

/* ----------------------------------------------------------------------- status */

/* A line "name   value" of the status. */
__attribute__((format(printf, 3, 4))) static void line(struct table *t, const char *name,
                                                       const char *fmt, ...)
{
	char value[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	table_row(t, (const char *const[]){name, value});
}

#define N JSON_INTEGER_FORMAT

static const char *upcall_text(const char *upcall)
{
	if (!strcmp(upcall, "on"))
		return "its handshakes are made here";
	if (!strcmp(upcall, "off"))
		return "its handshakes are not made here: no destination has kernel-tls";
	return "unavailable: this kernel asks nobody for a handshake";
}

static void add_self(struct table *t, const json_t *a)
{
	const json_t *guard = json_object_get(a, "guard");
	char since[32];

	cmd_time_text(client_number(a, "started_at"), since);
	line(t, "keygated", "%s, pid %" N ", kernel %s, since %s", client_text(a, "version"),
	     client_number(a, "pid"), client_text(a, "kernel"), since);
	line(t, "armed", "%s",
	     json_is_true(json_object_get(a, "armed")) ? "yes" : "no: NOTHING IS GATED");
	line(t, "keyring watch", "%s",
	     json_is_true(json_object_get(a, "keyring_watch"))
	             ? "in the kernel"
	             : "by polling: this kernel can't watch the keyring");
	line(t, "L2TP sockets", "%s",
	     json_is_true(json_object_get(a, "tunnels_refused"))
	             ? "refused to who has no CAP_NET_ADMIN"
	             : "OPEN to everybody, and may go around: this kernel can't be made to refuse");
	line(t, "guard", "%s%s", json_is_true(json_object_get(guard, "on")) ? "on" : "off: ",
	     json_is_true(json_object_get(guard, "on")) ? "" : client_text(guard, "off"));
	line(t, "kernel's TLS", "%s", upcall_text(client_text(a, "handshake_upcall")));
}

static void add_tests(struct table *t, const json_t *tests)
{
	const json_t *test;
	size_t i;

	json_array_foreach(tests, i, test)
	{
		if (!json_is_true(json_object_get(test, "ok")))
			line(t, "self-test", "%s: %s", client_text(test, "id"),
			     client_text(test, "detail"));
	}
}

static void add_policy(struct table *t, const json_t *p)
{
	const json_t *last = json_object_get(p, "last_error");
	char at[32];

	cmd_time_text(client_number(p, "loaded_at"), at);
	line(t, "policy",
	     "generation %" N ", %" N " destinations, %" N " prefixes, default %s, loaded %s",
	     client_number(p, "generation"), client_number(p, "destinations"),
	     client_number(p, "prefixes"), client_text(p, "default"), at);
	if (json_array_size(json_object_get(p, "warnings")))
		line(t, "", "%zu warnings (keygate policy check)",
		     json_array_size(json_object_get(p, "warnings")));
	if (json_is_object(last)) {
		cmd_time_text(client_number(last, "at"), at);
		line(t, "", "the reload of %s was REFUSED (keygate policy check)", at);
	}
}

/* Who reads no further than the policy's line must not think that it protects all it names. */
static void add_monitor(struct table *t, const json_t *a)
{
	const json_t *m = json_object_get(a, "monitor"), *c = json_object_get(a, "counters");
	json_int_t n = client_number(m, "destinations");

	if (!n)
		return;
	line(t, "ONLY MONITORED", "%" N " destination%s: NOT PROTECTED, whatever is found there", n,
	     n == 1 ? "" : "s");
	line(t, "",
	     "%" N " connections passed; looked %" N " times, %" N " connections not told of, %" N
	     " without a place",
	     client_number(c, "monitored"), client_number(c, "monitor_looks"),
	     client_number(c, "monitor_lost"), client_number(m, "skipped"));
}

static void add_names(struct table *t, const json_t *names)
{
	const json_t *name, *address;
	size_t i, k;

	json_array_foreach(names, i, name)
	{
		char list[256] = "";
		size_t n = 0;

		json_array_foreach(json_object_get(name, "addresses"), k, address)
		{
			if (n < sizeof(list))
				n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s",
				                      k ? ", " : "", json_string_value(address));
		}
		if (json_is_string(json_object_get(name, "error")))
			line(t, "name", "%s: %s%s%s", client_text(name, "host"),
			     client_text(name, "error"), *list ? "; still " : "", list);
		else
			line(t, "name", "%s: %s", client_text(name, "host"), list);
	}
}

static void add_heads(struct table *t, const json_t *a)
{
	const json_t *head;
	char at[32];
	size_t i;

	json_array_foreach(json_object_get(a, "heads"), i, head)
	{
		cmd_time_text(client_number(head, "saved_at"), at);
		line(t, "ledger", "%s: size %" N ", seen %s", client_text(head, "origin"),
		     client_number(head, "size"), at);
	}
	if (client_number(a, "forks"))
		line(t, "FORKS", "%" N " recorded: a ledger showed this host two histories",
		     client_number(a, "forks"));
}

enum { WAITING_SHOWN = 4 }; /* of each vendor; the JSON has more */

static void add_collateral(struct table *t, const json_t *vendors)
{
	const json_t *v, *w, *last;
	char at[32];
	size_t i, k;

	json_array_foreach(vendors, i, v)
	{
		if (!client_text(v, "url")[0])
			continue;
		line(t, "collateral", "%s: %" N " pieces, %" N " missing, from %s",
		     client_text(v, "vendor"), client_number(v, "pieces"),
		     client_number(v, "missing"), client_text(v, "url"));
		json_array_foreach(json_object_get(v, "waiting"), k, w) if (k < WAITING_SHOWN)
		        line(t, "", "missing: %.200s", client_text(w, "path"));
		last = json_object_get(v, "last_error");
		if (!json_is_object(last))
			continue;
		cmd_time_text(client_number(last, "at"), at);
		line(t, "", "last error, %s: %s", at, client_text(last, "error"));
	}
}

enum { UNSERVED_SHOWN = 4 }; /* the JSON has all */

static void add_namespaces(struct table *t, const json_t *n)
{
	const json_t *known = json_object_get(n, "known"), *one;
	unsigned shown = 0;
	size_t i;

	if (!json_is_object(n))
		return;
	if (json_is_string(json_object_get(n, "off"))) {
		line(t, "namespaces", "only its own is served: %s", client_text(n, "off"));
		return;
	}
	line(t, "namespaces", "%" N " served beside its own, %" N " not%s",
	     client_number(n, "served"), client_number(n, "unserved"),
	     json_is_true(json_object_get(n, "watch")) ? "" : "; noticed by their first socket");
	json_array_foreach(known, i, one)
	{
		if (!json_is_true(json_object_get(one, "served")) && shown++ < UNSERVED_SHOWN)
			line(t, "", "not served: net:[%" N "]: %s", client_number(one, "inode"),
			     client_text(one, "reason"));
	}
}

static void add_counts(struct table *t, const json_t *a)
{
	const json_t *s = json_object_get(a, "sessions"), *c = json_object_get(a, "counters");

	line(t, "sessions", "%" N " live, %" N " opening, room for %" N, client_number(s, "live"),
	     client_number(s, "opening"), client_number(s, "capacity"));
	line(t, "connections", "%" N " released, %" N " refused, %" N " denied, %" N " closed",
	     client_number(c, "released"), client_number(c, "refused"), client_number(c, "denied"),
	     client_number(c, "closed"));
	line(t, "kept in", "%" N " datagrams, %" N " packets of others, %" N " without keygated",
	     client_number(c, "datagram"), client_number(c, "backstop"),
	     client_number(c, "no_listener"));
}

int cmd_status(int argc, char **argv)
{
	struct table t = {.columns = 2};
	struct client c;
	json_t *a;
	bool armed;
	int rc = client_options(argc, argv, 0, "", &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c.synopsis);
	rc = client_ask(&c, json_pack("{s:s}", "verb", "status"), false, &a);
	if (rc)
		return rc;
	/* Whether this host is gated is what a script asks for. */
	armed = json_is_true(json_object_get(a, "armed"));
	if (c.json) {
		cmd_print_json(a);
		return armed ? CMD_YES : CMD_NO;
	}
	add_self(&t, a);
	add_tests(&t, json_object_get(a, "self_test"));
	add_policy(&t, json_object_get(a, "policy"));
	add_monitor(&t, a);
	add_names(&t, json_object_get(a, "names"));
	add_heads(&t, a);
	add_collateral(&t, json_object_get(a, "collateral"));
	add_namespaces(&t, json_object_get(a, "namespaces"));
	add_counts(&t, a);
	json_decref(a);
	table_print(&t, "");
	return armed ? CMD_YES : CMD_NO;
}

/* --------------------------------------------------------------------- sessions */

/* Only what the kernel itself reports, of both directions, is called protected. */
static const char *protection(const json_t *s)
{
	const json_t *k = json_object_get(s, "kernel_tls");

	if (json_is_true(json_object_get(s, "protected")))
		return !strcmp(client_text(k, "tx"), "hardware") ? "kTLS hardware"
		                                                 : "kTLS software";
	return json_is_object(k) ? "NOT PROTECTED" : "unknown: NOT KNOWN TO BE PROTECTED";
}

static void moved(const json_t *o, const char *out, const char *in, char *text, size_t cap)
{
	if (json_is_object(o))
		snprintf(text, cap, "%" N "/%" N, client_number(o, out), client_number(o, in));
	else
		snprintf(text, cap, "unknown");
}

static void add_session(struct table *t, const json_t *s, int64_t now)
{
	const json_t *app = json_object_get(s, "app");
	bool live = !strcmp(client_text(s, "state"), "live");
	char id[32], doing[64], who[96], key[32] = "", age[32] = "", left[32] = "",
	                                 records[64] = "", bytes[64] = "";

	snprintf(id, sizeof(id), "%" N, client_number(s, "id"));
	snprintf(doing, sizeof(doing), "%.16s", client_text(s, "state"));
	if (json_is_integer(json_object_get(s, "attested")))
		snprintf(doing, sizeof(doing), "%.16s, lease of %" N, client_text(s, "state"),
		         client_number(s, "attested"));
	snprintf(who, sizeof(who), "%.32s (pid %" N ", uid %" N ")", client_text(app, "comm"),
	         client_number(app, "pid"), client_number(app, "uid"));
	if (live) {
		int64_t until = client_number(s, "until"), since = client_number(s, "released_at");

		snprintf(key, sizeof(key), "%" N " %.12s", client_number(s, "key"),
		         client_text(s, "key_state"));
		snprintf(age, sizeof(age), "%llds", (long long)(now > since ? now - since : 0));
		moved(json_object_get(s, "records"), "sent", "received", records, sizeof(records));
		moved(json_object_get(s, "bytes"), "app_to_peer", "peer_to_app", bytes,
		      sizeof(bytes));
		snprintf(left, sizeof(left), "%llds", (long long)(until > now ? until - now : 0));
	}
	table_row(t,
	          (const char *const[]){id, doing, client_text(s, "destination"),
	                                client_text(s, "peer"), who, client_text(s, "cipher"),
	                                live ? protection(s) : "", key, age, left, records, bytes});
}

int cmd_sessions(int argc, char **argv)
{
	struct table t = {.columns = 12};
	const json_t *list, *s;
	struct client c;
	json_t *a;
	size_t i;
	int rc = client_options(argc, argv, 0, "", &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c.synopsis);
	rc = client_ask(&c, json_pack("{s:s}", "verb", "sessions"), false, &a);
	if (rc)
		return rc;
	if (c.json) {
		cmd_print_json(a);
		return CMD_YES;
	}
	list = json_object_get(a, "sessions");
	if (!json_array_size(list))
		puts("no sessions");
	else
		table_row(&t,
		          (const char *const[]){"ID", "STATE", "DESTINATION", "PEER", "APPLICATION",
		                                "CIPHER", "PROTECTION", "KEY", "AGE", "ENDS IN",
		                                "RECORDS OUT/IN", "BYTES OUT/IN"});
	json_array_foreach(list, i, s)
	{
		add_session(&t, s, time(NULL));
	}
	json_decref(a);
	table_print(&t, "");
	return CMD_YES;
}

/* ----------------------------------------------------------------------- leases */

static void add_lease(struct table *t, const json_t *l, int64_t now)
{
	int64_t until = client_number(l, "until"), renew = client_number(l, "renew_at");
	char id[32], key[48], at[32], left[32], renewed[64], uses[32];

	snprintf(id, sizeof(id), "%" N, client_number(l, "session"));
	snprintf(key, sizeof(key), "%" N " %.12s", client_number(l, "key"),
	         client_text(l, "key_state"));
	cmd_time_text(client_number(l, "attested_at"), at);
	snprintf(left, sizeof(left), "%llds", (long long)(until > now ? until - now : 0));
	snprintf(renewed, sizeof(renewed), "%llds", (long long)(renew > now ? renew - now : 0));
	if (json_is_integer(json_object_get(l, "leader")))
		snprintf(renewed, sizeof(renewed), "now, by %" N, client_number(l, "leader"));
	snprintf(uses, sizeof(uses), "%" N, client_number(l, "uses"));
	table_row(t,
	          (const char *const[]){id, client_text(l, "destination"), client_text(l, "peer"),
	                                client_text(l, "binder"), at, key, left, renewed, uses});
}

int cmd_leases(int argc, char **argv)
{
	struct table t = {.columns = 9};
	const json_t *list, *l;
	struct client c;
	json_t *a;
	size_t i;
	int rc = client_options(argc, argv, 0, "", &c);

	if (rc != CLIENT_GO_ON)
		return rc;
	if (optind != argc)
		return cmd_usage(argv[0], c.synopsis);
	rc = client_ask(&c, json_pack("{s:s}", "verb", "leases"), false, &a);
	if (rc)
		return rc;
	if (c.json) {
		cmd_print_json(a);
		return CMD_YES;
	}
	list = json_object_get(a, "leases");
	if (!json_array_size(list))
		puts("no leases");
	else
		table_row(&t, (const char *const[]){"SESSION", "DESTINATION", "PEER", "BINDER",
		                                    "ATTESTED AT", "KEY", "ENDS IN", "RENEWED IN",
		                                    "USES"});
	json_array_foreach(list, i, l)
	{
		add_lease(&t, l, time(NULL));
	}
	json_decref(a);
	table_print(&t, "");
	return CMD_YES;
}
