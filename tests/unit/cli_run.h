/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Commands of the tool run in the test's own process, with what they print caught in files of a
 * directory that is the test's. Included by one C file of a test program.
 */
#ifndef KEYGATE_TESTS_CLI_RUN_H
#define KEYGATE_TESTS_CLI_RUN_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <getopt.h>
#include <unistd.h>
#include "cli/cmd.h"
#include "core/bytes.h"
#include "core/file.h"

#define MAYBE_UNUSED __attribute__((unused))

enum { OUTPUT_MAX = 1 << 20 };

static char dir[64];
static char sock[96]; /* where keygated would answer */
static uint8_t *out;  /* what the command printed */
static uint8_t *err;

static MAYBE_UNUSED int cli_open(void **state)
{
	(void)state;
	snprintf(dir, sizeof(dir), "/tmp/keygate-cli-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(sock, sizeof(sock), "%s/sock", dir);
	return 0;
}

/* What else is in the directory must be gone by then. */
static MAYBE_UNUSED int cli_close(void **state)
{
	static const char *const names[] = {"out", "err", "sock"};
	char path[96];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		unlink(path);
	}
	free(out);
	free(err);
	return rmdir(dir);
}

static MAYBE_UNUSED void take_output(const char *name, uint8_t **to)
{
	char path[96];
	size_t n;

	free(*to);
	*to = NULL;
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(file_read(path, OUTPUT_MAX, to, &n), 0);
}

static MAYBE_UNUSED int redirect(FILE *f, const char *name)
{
	int saved;
	char path[96];

	fflush(f);
	saved = dup(fileno(f));
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_non_null(freopen(path, "w", f));
	return saved;
}

static MAYBE_UNUSED void restore(FILE *f, int saved)
{
	fflush(f);
	dup2(saved, fileno(f));
	close(saved);
}

/* Runs a command with words, the last of them NULL; what it prints is in out and err. */
static MAYBE_UNUSED int run(int (*fn)(int, char **), const char *const *words)
{
	char *argv[24] = {strdup("keygate test")};
	int argc = 1, saved_out, saved_err, status;

	for (; words[argc - 1]; argc++)
		argv[argc] = strdup(words[argc - 1]);
	saved_out = redirect(stdout, "out");
	saved_err = redirect(stderr, "err");
	optind = 0;
	status = fn(argc, argv);
	restore(stdout, saved_out);
	restore(stderr, saved_err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	take_output("out", &out);
	take_output("err", &err);
	return status;
}

#define RUN(fn, ...) run(fn, (const char *const[]){__VA_ARGS__, NULL})

static MAYBE_UNUSED void says(const char *text)
{
	if (!strstr((char *)out, text))
		fail_msg("\"%s\" is not in:\n%s", text, (char *)out);
}

static MAYBE_UNUSED void complains(const char *text)
{
	if (!strstr((char *)err, text))
		fail_msg("\"%s\" is not in:\n%s", text, (char *)err);
}

/* Exactly one line, the answer itself. */
static MAYBE_UNUSED void is_answer(const char *answer)
{
	assert_string_equal((char *)out, answer);
}

#endif
