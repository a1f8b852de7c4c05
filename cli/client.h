/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tool's side of keygated's control socket (the protocol is described in docs/json.md), and
 * the options that all commands which talk to it have. Private to cli/.
 */
#ifndef KEYGATE_CLI_CLIENT_H
#define KEYGATE_CLI_CLIENT_H

#include <jansson.h>
#include <stdbool.h>

#define CLIENT_SOCKET "/run/keygate/control.sock"
#define CLIENT_CONFIG "/etc/keygate"

/* Options that not every command has. */
enum client_option {
	CLIENT_POLICY = 1,
	CLIENT_DESTINATION = 2,
	CLIENT_LEASE = 4,
	CLIENT_WATCH = 8,
	CLIENT_APP = 16
};

struct client {
	const char *command; /* argv[0] */
	const char *synopsis;
	const char *socket;
	const char *policy;      /* --policy DIR */
	const char *destination; /* --destination NAME */
	const char *lease;       /* --lease SESSION */
	const char *origin;      /* CLIENT_WATCH: --origin ORIGIN, */
	const char *since;       /* --since N */
	bool once;               /* and --once */
	const char *user;        /* CLIENT_APP: --user NAME, */
	const char *unit;        /* --unit NAME, */
	const char *cgroup;      /* --cgroup PATH, */
	const char *executable;  /* and --exe PATH */
	bool json;
};

enum { CLIENT_GO_ON = -1 };
/* Fills *out; CLIENT_GO_ON with optind at the arguments, else the status to end with. */
int client_options(int argc, char **argv, unsigned also, const char *synopsis, struct client *out);

/*
 * Sends the request (takes its reference; NULL: out of memory) and waits for the answer.
 * CMD_YES with *answer (the caller's) when keygated said ok. Otherwise the status by the answer's
 * kind with what is wrong printed (in c's form); and so it is when keygated does not answer,
 * unless `quiet`, which then is CLIENT_GO_ON with nothing printed.
 */
int client_ask(const struct client *c, json_t *request, bool quiet, json_t **answer);
/*
 * The same, but quiet only where nobody listens at c's socket: then this host has no keygated that
 * is running. A descriptor that comes with an answer of ok goes to *fd (the caller's), else -1.
 */
int client_ask_socket(const struct client *c, json_t *request, json_t **answer, int *fd);
/* What keygated would have said: {"ok": false, "kind", "error"} or a line on standard error. */
int client_unreachable(const struct client *c);
/* Sends the request and gives each line that comes to fn, until it returns non-zero. */
int client_stream(const struct client *c, json_t *request, int (*fn)(void *ctx, const char *line),
                  void *ctx);

/* Members of answers: "" and 0 when they are not there or of another type. */
const char *client_text(const json_t *o, const char *name);
json_int_t client_number(const json_t *o, const char *name);
/* "FILE:LINE: error: TEXT", a line each; without LINE when the file as a whole is meant. */
void client_print_issues(const json_t *issues);

#endif
