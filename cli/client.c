/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking keygated: one JSON object on a line there, one on a line back. Knows no verb.
 */
#include "cli/client.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>
#include "cli/cmd.h"

/* A reload may take a while; a keygated that hangs must not hang the tool. */
enum { ANSWER_MAX = 16 << 20, TIMEOUT_SECONDS = 60 };

int client_options(int argc, char **argv, unsigned also, const char *synopsis, struct client *out)
{
	static const struct option all[] = {
	        {"help", no_argument, NULL, 'h'},
	        {"json", no_argument, NULL, 'j'},
	        {"socket", required_argument, NULL, 's'},
	        {"policy", required_argument, NULL, 'p'},
	        {"destination", required_argument, NULL, 'd'},
	        {"lease", required_argument, NULL, 'l'},
	        {"origin", required_argument, NULL, 'o'},
	        {"since", required_argument, NULL, 'n'},
	        {"once", no_argument, NULL, '1'},
	        {"user", required_argument, NULL, 'u'},
	        {"unit", required_argument, NULL, 'U'},
	        {"cgroup", required_argument, NULL, 'c'},
	        {"exe", required_argument, NULL, 'e'},
	        {NULL, 0, NULL, 0},
	};
	int opt;

	*out = (struct client){.command = argv[0], .synopsis = synopsis, .socket = CLIENT_SOCKET};
	while ((opt = getopt_long(argc, argv, "", all, NULL)) != -1) {
		if (opt == 'h') {
			printf("usage: %s [--json] [--socket PATH]%s%s\n", argv[0],
			       synopsis[0] ? " " : "", synopsis);
			return CMD_YES;
		}
		if (opt == 'j')
			out->json = true;
		else if (opt == 's')
			out->socket = optarg;
		else if (opt == 'p' && also & CLIENT_POLICY)
			out->policy = optarg;
		else if (opt == 'd' && also & CLIENT_DESTINATION)
			out->destination = optarg;
		else if (opt == 'l' && also & CLIENT_LEASE)
			out->lease = optarg;
		else if (opt == 'o' && also & CLIENT_WATCH)
			out->origin = optarg;
		else if (opt == 'n' && also & CLIENT_WATCH)
			out->since = optarg;
		else if (opt == '1' && also & CLIENT_WATCH)
			out->once = true;
		else if (opt == 'u' && also & CLIENT_APP)
			out->user = optarg;
		else if (opt == 'U' && also & CLIENT_APP)
			out->unit = optarg;
		else if (opt == 'c' && also & CLIENT_APP)
			out->cgroup = optarg;
		else if (opt == 'e' && also & CLIENT_APP)
			out->executable = optarg;
		else
			return cmd_usage(argv[0], synopsis);
	}
	return CLIENT_GO_ON;
}

/* --------------------------------------------------------------------- the wire */

static int connect_to(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = TIMEOUT_SECONDS};
	int fd;

	if (strlen(path) >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	memcpy(a.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&a, sizeof(a)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) ||
	    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit))) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	return fd;
}

static int send_line(int fd, const json_t *request)
{
	char *text = json_dumps(request, JSON_COMPACT);
	size_t n = text ? strlen(text) : 0, done = 0;

	if (!text)
		return -ENOMEM;
	text[n++] = '\n'; /* in place of the NUL */
	while (done < n) {
		ssize_t k = send(fd, text + done, n - done, MSG_NOSIGNAL);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		done += (size_t)k;
	}
	free(text);
	return done == n ? 0 : -EPIPE;
}

/* Connects and sends; the stream to read answers from, or -errno. Takes the request. */
static int begin(const struct client *c, json_t *request, FILE **out)
{
	int fd = request ? connect_to(c->socket) : -ENOMEM;
	int rc = fd < 0 ? fd : send_line(fd, request);

	json_decref(request);
	if (!rc) {
		*out = fdopen(fd, "r");
		rc = *out ? 0 : -errno;
	}
	if (rc && fd >= 0)
		close(fd);
	return rc;
}

/* One line without its LF, owned by the caller; NULL at the end or when it is too long. */
static char *read_line(FILE *f)
{
	size_t cap = 4096, n = 0;
	char *line = malloc(cap);
	int ch;

	while (line && (ch = getc(f)) != EOF) {
		if (ch == '\n') {
			line[n] = '\0';
			return line;
		}
		line[n++] = (char)ch;
		if (n == cap) {
			char *bigger = cap < ANSWER_MAX ? realloc(line, cap * 2) : NULL;

			if (!bigger)
				break;
			line = bigger;
			cap *= 2;
		}
	}
	free(line);
	return NULL;
}

/* ----------------------------------------------------------------------- answers */

const char *client_text(const json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s ? s : "";
}

json_int_t client_number(const json_t *o, const char *name)
{
	return json_integer_value(json_object_get(o, name));
}

void client_print_issues(const json_t *issues)
{
	const json_t *is;
	size_t i;

	json_array_foreach(issues, i, is)
	{
		const char *word = json_is_true(json_object_get(is, "error")) ? "error" : "warning";

		fputs(client_text(is, "file"), stdout);
		if (client_number(is, "line"))
			printf(":%" JSON_INTEGER_FORMAT, client_number(is, "line"));
		printf(": %s: %s\n", word, client_text(is, "text"));
	}
}

static int status_of_kind(const char *kind)
{
	if (!strcmp(kind, "usage"))
		return CMD_USAGE;
	return strcmp(kind, "no") ? CMD_UNKNOWN : CMD_NO;
}

int client_unreachable(const struct client *c)
{
	static const char words[] = "keygated does not answer at";

	if (!c->json)
		return cmd_error(CMD_UNKNOWN, "%s %s (%s)", words, c->socket,
		                 geteuid() ? "it answers only root" : "systemctl status keygated");
	cmd_print_json(json_pack("{s:b, s:s, s:s++}", "ok", 0, "kind", "unavailable", "error",
	                         words, " ", c->socket));
	return CMD_UNKNOWN;
}

/* Takes the answer unless it is ok. */
static int judge(const struct client *c, json_t *answer)
{
	int status = status_of_kind(client_text(answer, "kind"));

	if (json_is_true(json_object_get(answer, "ok")))
		return CMD_YES;
	if (c->json) {
		cmd_print_json(answer);
		return status;
	}
	client_print_issues(json_object_get(answer, "issues"));
	cmd_error(status, "%s", client_text(answer, "error"));
	json_decref(answer);
	return status;
}

int client_ask(const struct client *c, json_t *request, bool quiet, json_t **answer)
{
	char *line = NULL;
	json_t *got = NULL;
	FILE *f = NULL;
	int status;

	*answer = NULL;
	if (!begin(c, request, &f)) {
		line = read_line(f);
		fclose(f);
	}
	if (line)
		got = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	free(line);
	if (!json_is_object(got)) {
		json_decref(got);
		return quiet ? CLIENT_GO_ON : client_unreachable(c);
	}
	status = judge(c, got);
	if (status == CMD_YES)
		*answer = got;
	return status;
}

/* Reads the first byte of an answer, with the descriptor that came with it or -1, and puts it back.
 */
static int take_descriptor(FILE *f, int *fd)
{
	char first;
	struct iovec iov = {&first, 1};
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} ctl;
	struct msghdr m = {.msg_iov = &iov,
	                   .msg_iovlen = 1,
	                   .msg_control = &ctl,
	                   .msg_controllen = sizeof(ctl)};
	const struct cmsghdr *h;
	ssize_t n;

	do
		n = recvmsg(fileno(f), &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	h = n == 1 ? CMSG_FIRSTHDR(&m) : NULL;
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS &&
	    h->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(fd, CMSG_DATA(h), sizeof(*fd));
	return n == 1 && ungetc((unsigned char)first, f) != EOF ? 0 : -EPIPE;
}

int client_ask_socket(const struct client *c, json_t *request, json_t **answer, int *fd)
{
	FILE *f = NULL;
	char *line = NULL;
	json_t *got = NULL;
	int status, rc = begin(c, request, &f);

	*answer = NULL;
	*fd = -1;
	if (rc == -ENOENT || rc == -ECONNREFUSED)
		return CLIENT_GO_ON;
	if (!rc) {
		line = take_descriptor(f, fd) ? NULL : read_line(f);
		fclose(f);
	}
	if (line)
		got = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	free(line);
	if (json_is_object(got)) {
		status = judge(c, got);
	} else {
		json_decref(got);
		status = client_unreachable(c);
	}
	if (status == CMD_YES) {
		*answer = got;
	} else if (*fd >= 0) {
		close(*fd);
		*fd = -1;
	}
	return status;
}

int client_stream(const struct client *c, json_t *request, int (*fn)(void *ctx, const char *line),
                  void *ctx)
{
	FILE *f = NULL;
	char *line;

	if (begin(c, request, &f))
		return client_unreachable(c);
	/* An event may come at any time: wait without a limit from here on. */
	if (setsockopt(fileno(f), SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){0},
	               sizeof(struct timeval)))
		return client_unreachable(c);
	while ((line = read_line(f))) {
		int rc = fn(ctx, line);

		free(line);
		if (rc) {
			fclose(f);
			return rc;
		}
	}
	fclose(f);
	return client_unreachable(c);
}
