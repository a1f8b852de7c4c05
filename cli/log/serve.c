/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log witness serve: C2SP tlog-witness for the logs that it is told of. What may be
 * cosigned is decided elsewhere; this file knows paths, status lines and the command's options.
 */
#include <errno.h>
#include <inttypes.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "cli/log/log.h"

#define LISTEN_DEFAULT "127.0.0.1:8460"
#define TEXT           "text/plain; charset=utf-8"

enum { ADDRESS_TEXT = NI_MAXHOST + 16 };

struct serve_args {
	const char *key;
	const char *name;
	const char *state;
	const char *listen;
	const char *policy;
	const char *log[TLOG_KEYS_MAX];
	uint32_t logs;
};

struct served {
	struct log_witness witness;
	struct tlog_policy logs;
	char hex[TLOG_KEYS_MAX][LOG_ORIGIN_HEX]; /* how they are named in paths */
};

/* ----------------------------------------------------------------- requests */

static void say(struct log_http_reply *out, unsigned status, const char *text)
{
	out->status = status;
	out->type = TEXT;
	buf_printf(&out->body, "%s\n", text);
}

static const struct vkey *find_log(const struct served *s, const char *origin)
{
	for (uint32_t i = 0; i < s->logs.logs; i++) {
		if (strcmp(s->logs.log[i].name, origin) == 0)
			return &s->logs.log[i];
	}
	return NULL;
}

/* With a request that can be read. 0 or -errno. */
static int judge(const struct served *s, const struct witness_request *r,
                 const struct log_http_request *q, struct log_http_reply *out)
{
	const struct log_witness *w = &s->witness;
	struct witness_answer answer;
	int ret = log_witness_lock(w);

	if (ret)
		return ret;
	ret = log_witness_add(w, r, find_log(s, r->cp.origin), q->peer, time(NULL), &answer,
	                      &out->body);
	log_witness_unlock(w);
	if (ret)
		return ret;
	out->status = answer.status;
	out->type = answer.status == 409 ? WITNESS_SIZE_TYPE : TEXT;
	return 0;
}

static void add_checkpoint(const struct served *s, const struct log_http_request *q,
                           struct log_http_reply *out)
{
	struct witness_request r;
	int ret = ledger_witness_parse(q->body, &r);

	if (ret == -EINVAL) {
		say(out, 400, "malformed request");
		return;
	}
	if (!ret)
		ret = judge(s, &r, q, out);
	if (ret) {
		log_error(0, "%s: %s; nothing was cosigned", s->witness.state, strerror(-ret));
		buf_reset(&out->body);
		say(out, 500, "the witness can't remember");
	}
}

/* The newest note that was cosigned of a log, by the hash of its origin. */
static void monitor(const struct served *s, const char *origin, struct log_http_reply *out)
{
	struct bytes note = BYTES_NONE;
	struct log_memory m;
	int ret = log_witness_recall(&s->witness, origin, &m);

	if (!ret && m.last.known)
		ret = log_witness_note(&s->witness, origin, m.last.cp.size, &note);
	if (ret && ret != -ENOENT) {
		log_error(0, "%s: %s", s->witness.state, strerror(-ret));
		say(out, 500, "the witness can't remember");
	} else if (!note.n) {
		say(out, 404, "nothing was cosigned of this log");
	} else {
		out->status = 200;
		out->type = TEXT;
		buf_bytes(&out->body, note);
	}
	log_bytes_free(note);
}

static const char *monitored(const struct served *s, const char *path)
{
	char want[LOG_ORIGIN_HEX + sizeof("//checkpoint")];

	for (uint32_t i = 0; i < s->logs.logs; i++) {
		snprintf(want, sizeof(want), "/%s/checkpoint", s->hex[i]);
		if (strcmp(path, want) == 0)
			return s->logs.log[i].name;
	}
	return NULL;
}

static void on_request(void *ctx, const struct log_http_request *q, struct log_http_reply *out)
{
	const struct served *s = ctx;
	const char *origin = monitored(s, q->path);
	const bool add = strcmp(q->path, "/add-checkpoint") == 0;
	const bool post = strcmp(q->method, "POST") == 0;
	const bool get = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;

	if (add && post) {
		add_checkpoint(s, q, out);
	} else if (origin && get) {
		monitor(s, origin, out);
	} else if (add || origin) {
		say(out, 405, "another method is wanted");
		out->allow = add ? "POST" : "GET, HEAD";
	} else {
		say(out, 404, "there is nothing");
	}
}

/* -------------------------------------------------------------------- start */

/* The keys of --log and of the logs of --policy; two of one origin are an error. LOG_*. */
static int gather(const struct serve_args *a, struct tlog_policy *file, struct vkey *all,
                  uint32_t *n)
{
	if (a->policy && log_policy_read(a->policy, file))
		return LOG_ERROR;
	for (uint32_t i = 0; i < a->logs; i++) {
		if (ledger_vkey_parse(bytes_str(a->log[i]), &all[(*n)++]))
			return log_error(LOG_ERROR, "--log \"%s\" is no verifier key", a->log[i]);
	}
	for (uint32_t i = 0; i < file->logs; i++)
		all[(*n)++] = file->log[i];
	for (uint32_t i = 0; i < *n; i++) {
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(all[i].name, all[k].name) == 0)
				return log_error(LOG_ERROR, "%s is named twice", all[i].name);
		}
	}
	return *n ? LOG_OK : log_error(LOG_ERROR, "%s names no log", a->policy);
}

static int logs_of(const struct serve_args *a, struct tlog_policy *out)
{
	struct tlog_policy *file = calloc(1, sizeof(*file));
	struct vkey *all = calloc(2 * (size_t)TLOG_KEYS_MAX, sizeof(*all));
	uint32_t n = 0;
	int status;

	if (!file || !all)
		status = log_error(LOG_ERROR, "out of memory");
	else
		status = gather(a, file, all, &n);
	if (!status && ledger_policy_flat(out, all, n, NULL, 0, 0))
		status = log_error(LOG_ERROR, "the keys are not those of 1 to %d different logs",
		                   TLOG_KEYS_MAX);
	free(file);
	free(all);
	return status;
}

/* The memory can be read, and agrees with the keys. LOG_*. */
static int check_memory(struct served *s)
{
	struct log_memory m;
	int ret;

	for (uint32_t i = 0; i < s->logs.logs; i++) {
		const struct vkey *log = &s->logs.log[i];

		log_origin_hex(log->name, s->hex[i]);
		ret = log_witness_recall(&s->witness, log->name, &m);
		if (ret)
			return log_error(LOG_ERROR, "%s: %s", s->witness.state,
			                 ret == -EBADMSG ? "not a witness's state"
			                                 : strerror(-ret));
		if (m.has_log && !log_same_key(log, &m.log))
			return log_error(LOG_REFUSED, "another key is remembered for %s",
			                 log->name);
	}
	return LOG_OK;
}

/* "192.0.2.1:80", "[2001:db8::1]:80": the port may have been left to the kernel. */
static void address_text(int fd, char out[static ADDRESS_TEXT])
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	char host[NI_MAXHOST] = "?";
	char port[8] = "?";

	if (!getsockname(fd, (struct sockaddr *)&a, &n))
		(void)getnameinfo((struct sockaddr *)&a, n, host, sizeof(host), port, sizeof(port),
		                  NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(out, ADDRESS_TEXT, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
}

static int run(const struct serve_args *a, struct served *s)
{
	char address[ADDRESS_TEXT];
	int status = logs_of(a, &s->logs);
	int fd;
	int ret;

	if (!status)
		status = log_witness_open(a->key, a->name, a->state, &s->witness);
	if (status)
		return status;
	status = check_memory(s);
	if (status)
		goto out;
	fd = log_http_listen(a->listen);
	if (fd < 0) {
		status = log_error(LOG_ERROR, "--listen \"%s\": %s", a->listen,
		                   fd == -EINVAL ? "wanted as 127.0.0.1:8460 or [::1]:8460"
		                                 : strerror(-fd));
		goto out;
	}
	address_text(fd, address);
	log_error(0, "%s listens on %s for %" PRIu32 " %s", a->name, address, s->logs.logs,
	          s->logs.logs == 1 ? "log" : "logs");
	ret = log_http_serve(fd, WITNESS_REQUEST_MAX, on_request, s);
	status = ret ? log_error(LOG_ERROR, "can't serve: %s", strerror(-ret)) : LOG_OK;
out:
	log_witness_close(&s->witness);
	return status;
}

/* ------------------------------------------------------------------ command */

static error_t serve_option(int key, char *arg, struct argp_state *state)
{
	struct serve_args *a = state->input;

	switch (key) {
	case 'k':
		a->key = arg;
		return 0;
	case 'n':
		a->name = arg;
		return 0;
	case 's':
		a->state = arg;
		return 0;
	case 'l':
		if (a->logs == TLOG_KEYS_MAX)
			argp_error(state, "at most %d logs", TLOG_KEYS_MAX);
		a->log[a->logs++] = arg;
		return 0;
	case 'p':
		a->policy = arg;
		return 0;
	case 'L':
		a->listen = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->key || !a->name || (!a->logs && !a->policy))
			argp_error(state, "--key, --name and --log or --policy are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int log_witness_serve(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"key", 'k', "FILE", 0, "the witness's private key", 0},
	        {"name", 'n', "NAME", 0, "the witness's name", 0},
	        {"state", 's', "FILE", 0, "the witness's memory (the key's file with .state)", 0},
	        {"log", 'l', "VKEY", 0, "a log's verifier key; may be repeated", 0},
	        {"policy", 'p', "TLOG-POLICY", 0, "the logs of this file, too", 0},
	        {"listen", 'L', "ADDRESS:PORT", 0, "where (" LISTEN_DEFAULT "); port 0: any", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        serve_option,
	        NULL,
	        "Cosign by HTTP (C2SP tlog-witness): POST /add-checkpoint, and "
	        "GET /SHA-256-OF-ORIGIN/checkpoint. Only for the logs that are named. In clear text: "
	        "a reverse proxy adds TLS.",
	        NULL,
	        NULL,
	        NULL};
	struct serve_args a = {.listen = LISTEN_DEFAULT};
	struct served *s;
	int status;

	log_parse(&argp, argc, argv, &a);
	s = calloc(1, sizeof(*s));
	status = s ? run(&a, s) : log_error(LOG_ERROR, "out of memory");
	free(s);
	return status;
}
