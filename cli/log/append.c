/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command append: leaves out of files, or many of them out of one stream. Knows nothing of
 * tiles.
 *
 * A batch is what an entry bundle is (C2SP tlog-tiles): a 16-bit length, big endian, and that many
 * bytes, any number of times. So a leaf may hold any bytes and has one reading, nothing is parsed
 * or held in memory but the leaf at hand, and the bundles of another log can be piped in as they
 * are.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/log/log.h"
#include "core/file.h"

struct append_args {
	const char *dir;
	const char *key;
	const char *batch;
	char **files;
	int files_n;
};

static error_t append_option(int key, char *arg, struct argp_state *state)
{
	struct append_args *a = state->input;

	switch (key) {
	case 'k':
		a->key = arg;
		return 0;
	case 'b':
		a->batch = arg;
		return 0;
	case ARGP_KEY_ARGS:
		a->dir = state->argv[state->next];
		a->files = state->argv + state->next + 1;
		a->files_n = state->argc - state->next - 1;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || !a->key || (a->files_n > 0) == (a->batch != NULL))
			argp_error(state,
			           "a directory, --key and either leaves or --batch are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* --------------------------------------------------------------------- files */

static int append_file(struct log_appender *a, const char *path)
{
	uint8_t *leaf;
	size_t n;
	int ret = file_read(path, LEAF_MAX, &leaf, &n);

	if (ret)
		return ret;
	ret = log_append_leaf(a, (struct bytes){leaf, n});
	free(leaf);
	return ret;
}

static int append_files(const struct append_args *args, struct log_appender *a)
{
	const char *at = args->dir;
	uint64_t first = a->size;
	int ret = 0;

	for (int i = 0; !ret && i < args->files_n; i++) {
		at = args->files[i];
		ret = append_file(a, at);
	}
	if (!ret) {
		at = args->dir;
		ret = log_append_end(a);
	}
	/* What is said to be in the log is in the log, also when a later leaf could not be read. */
	for (int i = 0; i < args->files_n && first + (uint64_t)i < a->committed; i++)
		printf("%" PRIu64 " %s\n", first + (uint64_t)i, args->files[i]);
	return ret ? log_error(LOG_ERROR, "%s: %s", at, strerror(-ret)) : LOG_OK;
}

/* --------------------------------------------------------------------- batch */

/* *more is false at the end. -EBADMSG: it ends within a leaf. */
static int next_leaf(FILE *f, uint8_t leaf[static LEAF_MAX], size_t *n, bool *more)
{
	uint8_t length[2];
	size_t got = fread(length, 1, sizeof(length), f);

	*more = got > 0;
	if (ferror(f))
		return -EIO;
	if (got == 0)
		return 0;
	if (got < sizeof(length))
		return -EBADMSG;
	*n = (size_t)length[0] << 8 | length[1];
	if (*n > LEAF_MAX)
		return -EFBIG;
	got = fread(leaf, 1, *n, f);
	if (ferror(f))
		return -EIO;
	return got == *n ? 0 : -EBADMSG;
}

/* Says once which leaves are in the log since the last time. */
static void say_committed(const struct log_appender *a, uint64_t *said)
{
	if (a->committed == *said)
		return;
	printf("%" PRIu64 " %" PRIu64 "\n", *said, a->committed - 1);
	fflush(stdout);
	*said = a->committed;
}

static int append_stream(FILE *f, const char *name, struct log_appender *a)
{
	uint8_t leaf[LEAF_MAX];
	uint64_t first = a->size;
	uint64_t said = first;
	bool more = true;
	size_t n = 0;
	int ret = 0;

	while (!ret && more) {
		ret = next_leaf(f, leaf, &n, &more);
		if (!ret && more)
			ret = log_append_leaf(a, (struct bytes){leaf, n});
		say_committed(a, &said);
	}
	if (!ret)
		ret = log_append_end(a);
	say_committed(a, &said);
	if (ret == -EBADMSG)
		return log_error(LOG_ERROR, "%s ends within its leaf %" PRIu64, name,
		                 a->size - first);
	if (ret)
		return log_error(LOG_ERROR, "%s: after %" PRIu64 " leaves: %s", name,
		                 a->size - first, strerror(-ret));
	return LOG_OK;
}

static int append_batch(const char *name, struct log_appender *a)
{
	bool is_stdin = strcmp(name, "-") == 0;
	FILE *f = is_stdin ? stdin : fopen(name, "re");
	int status;

	if (!f)
		return log_error(LOG_ERROR, "%s: %s", name, strerror(errno));
	status = append_stream(f, name, a);
	if (!is_stdin)
		fclose(f);
	return status;
}

/* ------------------------------------------------------------------- command */

static int append(const struct append_args *args, const struct log_store *s, uint64_t published)
{
	struct log_appender *a = malloc(sizeof(*a));
	int status;
	int ret;

	if (!a)
		return log_error(LOG_ERROR, "out of memory");
	ret = log_append_begin(s, published, a);
	if (ret)
		status = log_error(LOG_ERROR, "%s: %s", args->dir, strerror(-ret));
	else if (a->size < published)
		status = log_error(LOG_REFUSED, "%s holds less than what is published", args->dir);
	else
		status = args->batch ? append_batch(args->batch, a) : append_files(args, a);
	log_append_free(a);
	free(a);
	return status;
}

int log_append(int argc, char **argv)
{
	const struct argp_option options[] = {
	        {"key", 'k', "FILE", 0, "the log's private key", 0},
	        {"batch", 'b', "FILE", 0,
	         "many leaves, from FILE or, for \"-\", standard input: a 16-bit length, big "
	         "endian, and that many bytes, each",
	         0},
	        {0},
	};
	const struct argp argp = {
	        options,
	        append_option,
	        "DIR LEAF...\nDIR --batch=FILE",
	        "Add the bytes of each LEAF to the log, at most 16384 of them, and print its "
	        "index; of a batch, the first and the last index of each part that is in. They "
	        "are in the log's proofs once `keygate-log checkpoint` published them.",
	        NULL,
	        NULL,
	        NULL};
	struct append_args a = {0};
	struct log_note note = {0};
	struct log_store s;
	EVP_PKEY *key = NULL;
	int status;
	int ret;

	log_parse(&argp, argc, argv, &a);
	status = log_key_read(a.key, &key);
	if (status)
		return status;
	ret = log_store_open(a.dir, true, &s);
	if (ret) {
		EVP_PKEY_free(key);
		return log_error(LOG_ERROR, "%s: %s", a.dir, strerror(-ret));
	}
	status = log_note_own(&s, key, &note);
	if (!status)
		status = append(&a, &s, note.cp.size);
	log_note_free(&note);
	log_store_close(&s);
	EVP_PKEY_free(key);
	return status;
}
