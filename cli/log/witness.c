/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The witness: cosigns a checkpoint that its log signed and that extends what this witness
 * cosigned before, and nothing else. Its memory is a small file: for each origin the log's key,
 * size and root. It is written before the cosignature, so a crash can't make it forget.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "cli/log/log.h"
#include "core/file.h"

enum { STATE_MAX = 1 << 20 };

struct cosign_args {
	const char *path; /* a log's directory, or its checkpoint beside its tiles */
	const char *key;
	const char *name;
	const char *state;
	const char *log;
	uint64_t at;
};

/* What this witness knows of one origin. */
struct memory {
	struct ledger_last last;
	struct vkey log;
	bool has_log;
};

/* -------------------------------------------------------------------- state */

/*
 * {"ORIGIN": {"log": VKEY, "size": N, "root": BASE64}}. A file that is there and can't be read is
 * an error, never an empty memory.
 */
static int state_read(const char *path, json_t **out)
{
	uint8_t *text;
	size_t n;
	json_t *state;
	int ret = file_read(path, STATE_MAX, &text, &n);

	if (ret == -ENOENT) {
		state = json_object();
	} else if (ret) {
		return ret;
	} else {
		state = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
		free(text);
	}
	if (!json_is_object(state)) {
		json_decref(state);
		return -EBADMSG;
	}
	*out = state;
	return 0;
}

static int state_write(const char *path, const json_t *state)
{
	char *text = json_dumps(state, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_ENSURE_ASCII);
	int ret;

	struct buf line = buf_make(STATE_MAX);

	if (!text)
		return -ENOMEM;
	buf_str(&line, text);
	buf_u8(&line, '\n');
	free(text);
	/* What would be too large to be read again must not be written. */
	ret = line.bad ? -EFBIG : file_write_atomic(path, buf_view(&line), 0600);
	buf_free(&line);
	return ret;
}

static int recall(const json_t *state, const char *origin, struct memory *out)
{
	const json_t *m = json_object_get(state, origin);
	const char *log = json_string_value(json_object_get(m, "log"));
	const char *root = json_string_value(json_object_get(m, "root"));
	const json_t *size = json_object_get(m, "size");

	*out = (struct memory){0};
	if (!m)
		return 0;
	if (!log || !root || !json_is_integer(size) || json_integer_value(size) < 0 ||
	    base64_decode(bytes_str(root), out->last.cp.root.v, HASH_LEN) != HASH_LEN ||
	    ledger_vkey_parse(bytes_str(log), &out->log))
		return -EBADMSG;
	snprintf(out->last.cp.origin, sizeof(out->last.cp.origin), "%s", origin);
	out->last.cp.size = (uint64_t)json_integer_value(size);
	out->last.known = true;
	out->has_log = true;
	return 0;
}

static int remember(json_t *state, const struct vkey *log, const struct checkpoint *cp)
{
	struct buf vkey = buf_make(VKEY_TEXT_MAX);
	char root[48];
	int ret = ledger_vkey_format(log, &vkey);
	json_t *m = NULL;

	base64_encode(BYTES_OF(cp->root.v), root);
	if (!ret)
		m = json_pack("{s:s%, s:I, s:s}", "log", (const char *)vkey.p, vkey.n, "size",
		              (json_int_t)cp->size, "root", root);
	if (!m || json_object_set_new(state, cp->origin, m))
		ret = -ENOMEM;
	buf_free(&vkey);
	return ret;
}

/* ----------------------------------------------------------------- the note */

/* The note without this witness's own lines: a new time replaces the old one. */
static int without_own(const struct log_note *note, const struct vkey *own, struct buf *out)
{
	struct note *n = malloc(sizeof(*n));
	const char *line;

	if (!n)
		return -ENOMEM;
	if (ledger_note_parse(note->data, n)) {
		free(n);
		return -EINVAL;
	}
	buf_bytes(out, n->text);
	buf_u8(out, '\n');
	line = (const char *)n->text.p + n->text.n + 1;
	for (uint32_t i = 0; i < n->sigs; i++) {
		const struct note_sig *sig = &n->sig[i];
		const char *next = strchr(line, '\n') + 1;

		if (memcmp(sig->id, own->id, sizeof(sig->id)) != 0 ||
		    !bytes_equal(sig->name, bytes_str(own->name)))
			buf_put(out, line, (size_t)(next - line));
		line = next;
	}
	free(n);
	return out->bad ? -ENOMEM : 0;
}

/* May this head be cosigned, given what was? */
static int judge_head(const struct log_store *s, const struct ledger_last *last,
                      const struct checkpoint *cp)
{
	struct ledger_tiles tiles = {log_store_tile, (void *)(uintptr_t)s, cp->size};
	struct hash proof[PATH_MAX_HASHES];
	struct checks checks = {0};
	size_t n = 0;
	bool grown = last->known && last->cp.size < cp->size;
	int ret = 0;

	if (grown && last->cp.size)
		ret = ledger_prove_consistency(ledger_tiles_node, &tiles, last->cp.size, cp->size,
		                               proof, &n);
	if (ret)
		return log_error(LOG_REFUSED,
		                 "no proof that size %" PRIu64 " extends %" PRIu64 ": %s", cp->size,
		                 last->cp.size, strerror(-ret));
	if (ledger_head_step(last, cp, grown ? proof : NULL, n, false, &checks) == HEAD_REFUSE)
		return log_refuse("cosigning", &checks);
	return LOG_OK;
}

static bool same_key(const struct vkey *a, const struct vkey *b)
{
	return strcmp(a->name, b->name) == 0 && a->alg == b->alg && a->key_len == b->key_len &&
	       memcmp(a->key, b->key, a->key_len) == 0;
}

/*
 * The key that the log must have signed with: as told, else as remembered, else (the first time)
 * as the directory says of itself. Once remembered it never changes.
 */
static int log_key_of(const struct cosign_args *a, const struct log_store *s,
                      const struct memory *m, struct vkey *out)
{
	struct bytes file = BYTES_NONE;
	struct bytes text = BYTES_NONE;
	int status = LOG_OK;

	if (a->log) {
		text = bytes_str(a->log);
	} else if (m->has_log) {
		*out = m->log;
		return LOG_OK;
	} else if (log_store_read(s, LOG_VKEY, VKEY_TEXT_MAX, &file) == 0) {
		text = file;
		if (text.n && text.p[text.n - 1] == '\n')
			text.n--;
	}
	if (ledger_vkey_parse(text, out))
		status = log_error(LOG_ERROR, "no verifier key of the log; give --log");
	else if (m->has_log && !same_key(out, &m->log))
		status = log_error(LOG_REFUSED, "--log is not the key that is remembered for %s",
		                   out->name);
	else if (!a->log)
		log_error(0, "first use: taking the key of %s from %s/%s", out->name, s->dir,
		          LOG_VKEY);
	log_bytes_free(file);
	return status;
}

/* Everything between the open store and the written cosignature. LOG_*. */
static int cosign(const struct cosign_args *a, EVP_PKEY *key, const struct log_store *s,
                  const char *name, json_t *state)
{
	struct buf cosigned = buf_make(NOTE_MAX);
	struct log_note note = {0};
	struct memory m;
	struct vkey own;
	struct vkey log;
	size_t before = 0;
	int status;
	int ret;

	if (ledger_vkey_of(key, a->name, NOTE_COSIGNATURE, &own))
		return log_error(LOG_ERROR, "\"%s\" can't name a key", a->name);
	status = log_note_read(s, name, &note);
	if (!status && recall(state, note.cp.origin, &m))
		status = log_error(LOG_ERROR, "%s: not a witness's state", a->state);
	if (!status)
		status = log_key_of(a, s, &m, &log);
	log_note_free(&note);
	if (!status)
		status = log_note_verified(s, name, &log, &note);
	if (!status)
		status = judge_head(s, &m.last, &note.cp);
	if (status)
		goto out;

	ret = remember(state, &log, &note.cp);
	if (!ret)
		ret = state_write(a->state, state);
	if (!ret)
		ret = without_own(&note, &own, &cosigned);
	before = cosigned.n;
	if (!ret)
		ret = ledger_note_cosign(&cosigned, a->name, key, (int64_t)a->at);
	if (!ret)
		ret = log_store_write(s, name, buf_view(&cosigned));
	if (ret)
		status = log_error(LOG_ERROR, "%s: %s", a->path, strerror(-ret));
	else
		fwrite(cosigned.p + before, 1, cosigned.n - before, stdout);
out:
	log_note_free(&note);
	buf_free(&cosigned);
	return status;
}

/* ------------------------------------------------------------------ command */

static error_t cosign_option(int key, char *arg, struct argp_state *state)
{
	struct cosign_args *a = state->input;

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
		a->log = arg;
		return 0;
	case 'a':
		a->at = log_number(state, "at", arg, INT64_MAX);
		return 0;
	case ARGP_KEY_ARG:
		if (a->path)
			argp_usage(state);
		a->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->path || !a->key || !a->name)
			argp_error(state, "a log, --key and --name are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Two runs of one witness must not both build on the same memory; its key file is the lock. */
static int lock_witness(const char *key_file)
{
	int fd = open(key_file, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX)) {
		int err = errno;

		if (err == EINTR)
			continue;
		close(fd);
		return -err;
	}
	return fd;
}

/* DIR stands for DIR/checkpoint; a file is named within its own directory. */
static int open_store(const char *path, struct log_store *s, char name[static NAME_MAX + 1])
{
	struct stat st;
	char *copy;
	int ret;

	if (stat(path, &st))
		return -errno;
	snprintf(name, NAME_MAX + 1, "%s", LOG_CHECKPOINT);
	if (S_ISDIR(st.st_mode))
		return log_store_open(path, true, s);
	copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	snprintf(name, NAME_MAX + 1, "%s", basename(copy));
	memcpy(copy, path, strlen(path) + 1);
	ret = log_store_open(dirname(copy), true, s);
	free(copy);
	return ret;
}

/* With the witness locked and the log open. LOG_*. */
static int with_memory(const struct cosign_args *a, EVP_PKEY *key, const struct log_store *s,
                       const char *name)
{
	json_t *state = NULL;
	int status;
	int ret = state_read(a->state, &state);

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", a->state,
		                 ret == -EBADMSG ? "not a witness's state" : strerror(-ret));
	status = cosign(a, key, s, name, state);
	json_decref(state);
	return status;
}

static int run(const struct cosign_args *a)
{
	char name[NAME_MAX + 1] = "";
	struct log_store s;
	EVP_PKEY *key = NULL;
	int status;
	int lock;
	int ret;

	status = log_key_read(a->key, &key);
	if (status)
		return status;
	lock = lock_witness(a->key);
	ret = lock < 0 ? lock : open_store(a->path, &s, name);
	if (ret) {
		status = log_error(LOG_ERROR, "%s: %s", a->path, strerror(-ret));
	} else {
		status = with_memory(a, key, &s, name);
		log_store_close(&s);
	}
	if (lock >= 0)
		close(lock);
	EVP_PKEY_free(key);
	return status;
}

int log_cosign(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"key", 'k', "FILE", 0, "the witness's private key", 0},
	        {"name", 'n', "NAME", 0, "the witness's name", 0},
	        {"state", 's', "FILE", 0, "the witness's memory (the key's file with .state)", 0},
	        {"log", 'l', "VKEY", 0,
	         "the log's verifier key (remembered; without it the first time: DIR/vkey)", 0},
	        {"at", 'a', "UNIX", 0, "the time that the cosignature states (now)", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        cosign_option,
	        "DIR|FILE",
	        "Cosign a log's checkpoint in place: DIR/checkpoint, or FILE beside its tiles. "
	        "Refuses what the log did not sign and what does not extend what this witness "
	        "cosigned before.",
	        NULL,
	        NULL,
	        NULL};
	char state[PATH_MAX];
	struct cosign_args a = {0};
	int n;

	log_parse(&argp, argc, argv, &a);
	n = snprintf(state, sizeof(state), "%s.state", a.key);
	if (n < 0 || n >= (int)sizeof(state))
		return log_error(LOG_ERROR, "%s: %s", a.key, strerror(ENAMETOOLONG));
	if (!a.state)
		a.state = state;
	if (a.at == 0)
		a.at = (uint64_t)time(NULL);
	return run(&a);
}
