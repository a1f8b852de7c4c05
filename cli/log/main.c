/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log: the dispatcher, and how its commands talk to people. Knows no command's options.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/log/log.h"
#include "core/secret.h"

#define LOG_VERSION "keygate-log 0.1.0"

struct command {
	const char *name; /* one word or two */
	int (*fn)(int argc, char **argv);
	const char *summary;
};

/* In the order in which --help shows them. */
static const struct command commands[] = {
        {"create", log_create, "make a log: its directory, and its key if there is none"},
        {"statement", log_statement, "print a leaf that names a measurement"},
        {"append", log_append, "add leaves"},
        {"checkpoint", log_checkpoint, "sign and publish the present size"},
        {"submit", log_submit, "have the published checkpoint cosigned by witnesses"},
        {"prove", log_prove, "print the tlog-proof of a leaf under the published checkpoint"},
        {"verify", log_verify, "compare all tiles, all leaves and the checkpoint"},
        {"witness-key", log_witness_key, "make a witness's key"},
        {"cosign", log_cosign, "cosign a checkpoint, as a witness"},
        {"witness serve", log_witness_serve, "cosign for logs that ask by HTTP"},
        {"vkey", log_vkey, "print a verifier key"},
};

int log_error(int status, const char *fmt, ...)
{
	va_list ap;

	fputs("keygate-log: ", stderr);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return status;
}

int log_refuse(const char *what, const struct checks *checks)
{
	struct buf text = buf_make(1 << 16);

	checks_to_text(checks, &text);
	log_error(LOG_REFUSED, "%s is refused:", what);
	fwrite(text.p, 1, text.n, stderr);
	buf_free(&text);
	return LOG_REFUSED;
}

void log_parse(const struct argp *argp, int argc, char **argv, void *input)
{
	argp_err_exit_status = LOG_ERROR;

	error_t err = argp_parse(argp, argc, argv, 0, NULL, input);

	if (err)
		exit(log_error(LOG_ERROR, "%s", strerror(err)));
}

uint64_t log_number(const struct argp_state *state, const char *name, const char *text,
                    uint64_t max)
{
	uint64_t n = 0;

	if (decimal_u64(bytes_str(text), max, &n))
		argp_error(state, "--%s \"%s\": wanted a decimal number up to %" PRIu64, name, text,
		           max);
	return n;
}

static int help(FILE *f, int status)
{
	fputs("Usage: keygate-log COMMAND [OPTION]... [ARGUMENT]...\n"
	      "Run a transparency log of measurements as a directory for a static web server.\n\n",
	      f);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(f, "  %-14s %s\n", commands[i].name, commands[i].summary);
	fputs("\nkeygate-log COMMAND --help says more. Exit status: 0 done, 1 usage or system error, "
	      "2 refused.\n",
	      f);
	return status;
}

/* How many arguments the name of a command takes; 0: they name another one. */
static int words(const struct command *c, int argc, char **argv)
{
	const char *second = strchr(c->name, ' ');
	size_t n = second ? (size_t)(second - c->name) : strlen(c->name);

	if (strlen(argv[1]) != n || strncmp(argv[1], c->name, n) != 0)
		return 0;
	if (!second)
		return 1;
	return argc > 2 && strcmp(argv[2], second + 1) == 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
	char name[64];
	int status = 0;

	if (argc < 2)
		return help(stderr, LOG_ERROR);
	if (strcmp(argv[1], "--help") == 0)
		return help(stdout, LOG_OK);
	if (strcmp(argv[1], "--version") == 0) {
		puts(LOG_VERSION);
		return LOG_OK;
	}
	/* Signing keys pass through this process. */
	status = secret_harden_process();
	if (status)
		return log_error(LOG_ERROR, "can't protect the process: %s", strerror(-status));
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		int n = words(&commands[i], argc, argv);

		if (!n)
			continue;
		snprintf(name, sizeof(name), "keygate-log %s", commands[i].name);
		argv[n] = name;
		status = commands[i].fn(argc - n, argv + n);
		if (fflush(stdout) || ferror(stdout))
			return log_error(LOG_ERROR, "can't write to standard output");
		return status;
	}
	return log_error(LOG_ERROR, "unknown command \"%s\"; keygate-log --help lists them",
	                 argv[1]);
}
