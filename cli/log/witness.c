/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-log cosign: a witness that has the log's directory before it, or a copy. Asks itself what
 * others ask a witness by HTTP, and puts the answer into the checkpoint.
 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include "cli/log/log.h"

struct cosign_args {
	const char *path; /* a log's directory, or its checkpoint beside its tiles */
	const char *key;
	const char *name;
	const char *state;
	const char *log;
	uint64_t at;
};

/* What cosigning asks of a witness's add-checkpoint: the tiles prove growth. LOG_*. */
static int make_request(const struct log_store *s, const struct ledger_last *last,
                        const struct log_note *note, struct witness_request *out)
{
	struct ledger_tiles tiles = {log_store_tile, (void *)(uintptr_t)s, note->cp.size};
	size_t n = 0;
	int ret = 0;

	*out = (struct witness_request){
	        .old = last->known ? last->cp.size : 0, .note = note->data, .cp = note->cp};
	if (out->old && out->old < note->cp.size)
		ret = ledger_prove_consistency(ledger_tiles_node, &tiles, out->old, note->cp.size,
		                               out->proof, &n);
	out->proof_n = (uint32_t)n;
	if (ret)
		return log_error(LOG_REFUSED,
		                 "no proof that size %" PRIu64 " extends %" PRIu64 ": %s",
		                 note->cp.size, out->old, strerror(-ret));
	return LOG_OK;
}

/* Why an answer is none, in the words that keygate has for it. LOG_REFUSED. */
static int explain(const struct ledger_last *last, const struct witness_request *r,
                   const struct witness_answer *answer)
{
	const bool grown = last->known && last->cp.size < r->cp.size;
	struct checks checks = {0};

	if (ledger_head_step(last, &r->cp, grown ? r->proof : NULL, r->proof_n, false, &checks) ==
	    HEAD_REFUSE)
		return log_refuse("cosigning", &checks);
	return log_error(LOG_REFUSED, "cosigning is refused: %s", answer->why);
}

/*
 * The key that the log must have signed with: as told, else as remembered, else (the first time)
 * as the directory says of itself. Once remembered it never changes.
 */
static int log_key_of(const struct cosign_args *a, const struct log_store *s,
                      const struct log_memory *m, struct vkey *out)
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
	else if (m->has_log && !log_same_key(out, &m->log))
		status = log_error(LOG_REFUSED, "--log is not the key that is remembered for %s",
		                   out->name);
	else if (!a->log)
		log_error(0, "first use: taking the key of %s from %s/%s", out->name, s->dir,
		          LOG_VKEY);
	log_bytes_free(file);
	return status;
}

/* The note, with these lines in place of what this witness said before. 0 or -errno. */
static int publish(const struct log_store *s, const char *name, const struct log_note *note,
                   const struct vkey *own, struct bytes lines)
{
	struct buf cosigned = buf_make(NOTE_MAX);
	int ret = log_note_filter(note->data, own, false, &cosigned);

	buf_bytes(&cosigned, lines);
	if (!ret)
		ret = cosigned.bad ? -EFBIG : log_store_write(s, name, buf_view(&cosigned));
	buf_free(&cosigned);
	return ret;
}

/* With the witness locked and the log open. LOG_*. */
static int cosign(const struct cosign_args *a, const struct log_witness *w,
                  const struct log_store *s, const char *name)
{
	struct buf lines = buf_make(WITNESS_REPLY_MAX);
	struct log_note note = {0};
	struct witness_request r;
	struct witness_answer answer = {0};
	struct log_memory m;
	struct vkey log;
	int ret = 0;
	int status = log_note_read(s, name, &note);

	if (!status)
		ret = log_witness_recall(w, note.cp.origin, &m);
	if (ret)
		status = log_error(LOG_ERROR, "%s: %s", w->state,
		                   ret == -EBADMSG ? "not a witness's state" : strerror(-ret));
	if (!status)
		status = log_key_of(a, s, &m, &log);
	log_note_free(&note);
	if (!status)
		status = log_note_verified(s, name, &log, &note);
	if (!status)
		status = make_request(s, &m.last, &note, &r);
	if (status)
		goto out;
	ret = log_witness_add(w, &r, &log, a->path, (int64_t)a->at, &answer, &lines);
	if (!ret && answer.status != 200) {
		status = explain(&m.last, &r, &answer);
		goto out;
	}
	if (!ret)
		ret = publish(s, name, &note, &w->own, buf_view(&lines));
	if (ret)
		status = log_error(LOG_ERROR, "%s: %s", a->path, strerror(-ret));
	else
		fwrite(lines.p, 1, lines.n, stdout);
out:
	log_note_free(&note);
	buf_free(&lines);
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

static int run(const struct cosign_args *a)
{
	char name[NAME_MAX + 1] = "";
	struct log_witness w;
	struct log_store s;
	int status = log_witness_open(a->key, a->name, a->state, &w);
	int ret;

	if (status)
		return status;
	ret = log_witness_lock(&w);
	if (!ret)
		ret = open_store(a->path, &s, name);
	if (ret) {
		status = log_error(LOG_ERROR, "%s: %s", a->path, strerror(-ret));
	} else {
		status = cosign(a, &w, &s, name);
		log_store_close(&s);
	}
	log_witness_close(&w);
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
	struct cosign_args a = {0};

	log_parse(&argp, argc, argv, &a);
	if (a.at == 0)
		a.at = (uint64_t)time(NULL);
	return run(&a);
}
