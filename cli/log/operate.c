/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log operator's commands: create and checkpoint. A log never signs what does not extend
 * what it published.
 */
#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/log/log.h"

struct operate_args {
	const char *dir;
	const char *key;
	const char *origin;
};

static const struct argp_option key_option = {"key", 'k', "FILE", 0, "the log's private key", 0};

/*
 * Signs cp and puts it in place of what is published. An append that was killed between renaming
 * and syncing left tiles that can be read and that a power cut would take back: so first those.
 */
static int publish(const struct log_store *s, const struct checkpoint *cp, EVP_PKEY *key,
                   struct buf *note)
{
	int ret = ledger_checkpoint_format(cp, note);

	if (!ret)
		ret = ledger_note_sign(note, cp->origin, key);
	if (!ret)
		ret = log_store_sync(s);
	return ret ? ret : log_store_write(s, LOG_CHECKPOINT, buf_view(note));
}

/* ------------------------------------------------------------------- create */

static error_t create_option(int key, char *arg, struct argp_state *state)
{
	struct operate_args *a = state->input;

	switch (key) {
	case 'k':
		a->key = arg;
		return 0;
	case 'o':
		a->origin = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_usage(state);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || !a->key || !a->origin)
			argp_error(state, "a directory, --origin and --key are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Is the file (which need not be there yet) in the directory or below it? */
static int lies_within(const char *file, const char *dir, bool *out)
{
	char real_dir[PATH_MAX];
	char real_folder[PATH_MAX];
	char *copy = strdup(file);
	int ret = 0;

	if (!copy)
		return -ENOMEM;
	if (!realpath(dir, real_dir) || !realpath(dirname(copy), real_folder)) {
		ret = -errno;
	} else {
		size_t n = strlen(real_dir);

		*out = strncmp(real_dir, real_folder, n) == 0 &&
		       (real_folder[n] == '/' || real_folder[n] == '\0' || n == 1);
	}
	free(copy);
	return ret;
}

/* The key that is there, or a new one that start_log saves. */
static int key_for_log(const struct operate_args *a, EVP_PKEY **out, bool *is_new)
{
	bool within = true;
	int ret = lies_within(a->key, a->dir, &within);

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", a->key, strerror(-ret));
	if (within)
		return log_error(LOG_ERROR, "%s lies in %s, which is to be served to everybody",
		                 a->key, a->dir);
	*is_new = access(a->key, F_OK) != 0;
	if (!*is_new)
		return log_key_read(a->key, out);
	*out = log_key_new();
	return *out ? LOG_OK : log_error(LOG_ERROR, "can't make a key");
}

/* The verifier key and the checkpoint of the empty log. 0 or -errno. */
static int write_start(const struct log_store *s, const struct vkey *k, EVP_PKEY *key)
{
	struct buf note = buf_make(NOTE_MAX);
	struct buf vkey = buf_make(VKEY_TEXT_MAX);
	struct checkpoint cp = {0};
	int ret = ledger_vkey_format(k, &vkey);

	memcpy(cp.origin, k->name, sizeof(cp.origin));
	ledger_empty_root(&cp.root);
	buf_u8(&vkey, '\n');
	if (!ret)
		ret = log_store_write(s, LOG_VKEY, buf_view(&vkey));
	if (!ret)
		ret = publish(s, &cp, key, &note);
	buf_free(&vkey);
	buf_free(&note);
	return ret;
}

static int start_log(const struct operate_args *a, const struct log_store *s)
{
	EVP_PKEY *key = NULL;
	struct vkey k;
	bool is_new = false;
	int status = key_for_log(a, &key, &is_new);
	int ret = 0;

	if (status)
		return status;
	if (ledger_vkey_of(key, a->origin, NOTE_ED25519, &k)) {
		status = log_error(LOG_ERROR, "\"%s\" can't be an origin", a->origin);
		goto out;
	}
	if (is_new)
		ret = log_key_save(a->key, key);
	if (!ret)
		ret = write_start(s, &k, key);
	status = ret ? log_error(LOG_ERROR, "%s: %s", a->dir, strerror(-ret))
	             : log_vkey_print(key, a->origin, NOTE_ED25519);
out:
	EVP_PKEY_free(key);
	return status;
}

int log_create(int argc, char **argv)
{
	const struct argp_option options[] = {
	        key_option,
	        {"origin", 'o', "NAME", 0,
	         "the log's name for ever, by custom the URL of the directory without scheme", 0},
	        {0},
	};
	const struct argp argp = {
	        options,
	        create_option,
	        "DIR",
	        "Make a log in the new or empty directory DIR and print its verifier "
	        "key. The private key is made if its file is not there; it must not "
	        "lie in DIR.",
	        NULL,
	        NULL,
	        NULL};
	struct operate_args a = {0};
	struct log_store s;
	int status;
	int ret;

	log_parse(&argp, argc, argv, &a);
	if (mkdir(a.dir, 0755) && errno != EEXIST)
		return log_error(LOG_ERROR, "%s: %s", a.dir, strerror(errno));
	ret = log_store_open(a.dir, true, &s);
	if (ret)
		return log_error(LOG_ERROR, "%s: %s", a.dir, strerror(-ret));
	if (faccessat(s.fd, LOG_CHECKPOINT, F_OK, 0) == 0 || faccessat(s.fd, "tile", F_OK, 0) == 0)
		status = log_error(LOG_ERROR, "%s is a log already", a.dir);
	else
		status = start_log(&a, &s);
	log_store_close(&s);
	return status;
}

/* --------------------------------------------------------------- checkpoint */

static error_t checkpoint_option(int key, char *arg, struct argp_state *state)
{
	struct operate_args *a = state->input;

	switch (key) {
	case 'k':
		a->key = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_usage(state);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || !a->key)
			argp_error(state, "a directory and --key are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* What the tiles hold now, and whether it extends what was published. LOG_*. */
static int next_head(const struct log_store *s, const struct checkpoint *published,
                     struct checkpoint *out)
{
	struct ledger_last last = {.known = true, .cp = *published};
	struct ledger_tiles tiles = {log_store_tile, (void *)(uintptr_t)s, 0};
	struct hash proof[PATH_MAX_HASHES];
	struct checks checks = {0};
	size_t n = 0;
	int ret;

	*out = *published;
	ret = log_store_size(s, &out->size);
	tiles.size = out->size;
	if (!ret)
		ret = ledger_root(ledger_tiles_node, &tiles, out->size, &out->root);
	if (!ret && published->size && published->size < out->size)
		ret = ledger_prove_consistency(ledger_tiles_node, &tiles, published->size,
		                               out->size, proof, &n);
	if (ret)
		return log_error(LOG_ERROR, "%s: can't read the tiles: %s", s->dir, strerror(-ret));
	if (out->size < published->size)
		return log_error(LOG_REFUSED, "%s holds less than what is published", s->dir);
	if (ledger_head_step(&last, out, proof, n, true, &checks) == HEAD_REFUSE)
		return log_refuse("signing what does not extend the published head", &checks);
	return LOG_OK;
}

int log_checkpoint(int argc, char **argv)
{
	const struct argp_option options[] = {key_option, {0}};
	const struct argp argp = {
	        options,
	        checkpoint_option,
	        "DIR",
	        "Sign the present size and root, publish them as DIR/checkpoint and "
	        "print them. When nothing was added, what is published stays as it "
	        "is, with its cosignatures.",
	        NULL,
	        NULL,
	        NULL};
	struct buf note = buf_make(NOTE_MAX);
	struct operate_args a = {0};
	struct log_note old = {0};
	struct checkpoint cp;
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
	status = log_note_own(&s, key, &old);
	if (!status)
		status = next_head(&s, &old.cp, &cp);
	if (!status && cp.size == old.cp.size) {
		fwrite(old.data.p, 1, old.data.n, stdout);
	} else if (!status) {
		ret = publish(&s, &cp, key, &note);
		if (ret)
			status = log_error(LOG_ERROR, "%s: %s", a.dir, strerror(-ret));
		else
			fwrite(note.p, 1, note.n, stdout);
	}
	buf_free(&note);
	log_note_free(&old);
	log_store_close(&s);
	EVP_PKEY_free(key);
	return status;
}
