/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a witness remembers, and the one way in which it comes to a cosignature: remember first,
 * answer then. Its memory is a small file, for each origin the log's key, size and root; beside it
 * lie the notes that it cosigned, which show a fork to others. It is written before the answer is
 * known to anybody, so a crash can't make the witness forget.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "cli/log/log.h"
#include "core/file.h"

enum { STATE_MAX = 1 << 20, EVIDENCE_MAX = 8 * NOTE_MAX };

/* ------------------------------------------------------------------ witness */

int log_witness_open(const char *key_file, const char *name, const char *state,
                     struct log_witness *out)
{
	int status;
	int n;

	*out = (struct log_witness){.name = name, .lock = -1};
	n = snprintf(out->state, sizeof(out->state), "%s%s", state ? state : key_file,
	             state ? "" : ".state");
	if (n < 0 || n >= (int)sizeof(out->state))
		return log_error(LOG_ERROR, "%s: %s", key_file, strerror(ENAMETOOLONG));
	status = log_key_read(key_file, &out->key);
	if (status)
		return status;
	out->lock = open(key_file, O_RDONLY | O_CLOEXEC);
	if (out->lock < 0)
		status = log_error(LOG_ERROR, "%s: %s", key_file, strerror(errno));
	else if (ledger_vkey_of(out->key, name, NOTE_COSIGNATURE, &out->own))
		status = log_error(LOG_ERROR, "\"%s\" can't name a key", name);
	if (status)
		log_witness_close(out);
	return status;
}

void log_witness_close(struct log_witness *w)
{
	if (w->lock >= 0)
		close(w->lock);
	w->lock = -1;
	EVP_PKEY_free(w->key);
	w->key = NULL;
}

int log_witness_lock(const struct log_witness *w)
{
	while (flock(w->lock, LOCK_EX)) {
		if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void log_witness_unlock(const struct log_witness *w)
{
	(void)flock(w->lock, LOCK_UN);
}

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

static int recall(const json_t *state, const char *origin, struct log_memory *out)
{
	const json_t *m = json_object_get(state, origin);
	const char *log = json_string_value(json_object_get(m, "log"));
	const char *root = json_string_value(json_object_get(m, "root"));
	const json_t *size = json_object_get(m, "size");

	*out = (struct log_memory){0};
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

int log_witness_recall(const struct log_witness *w, const char *origin, struct log_memory *out)
{
	json_t *state = NULL;
	int ret = state_read(w->state, &state);

	if (!ret)
		ret = recall(state, origin, out);
	json_decref(state);
	return ret;
}

/* -------------------------------------------------------------------- notes */

void log_origin_hex(const char *origin, char out[static LOG_ORIGIN_HEX])
{
	uint8_t hash[EVP_MAX_MD_SIZE];

	EVP_Digest(origin, strlen(origin), hash, NULL, EVP_sha256(), NULL);
	hex_encode((struct bytes){hash, HASH_LEN}, out);
}

/* STATE.notes/HEX/NAME; without a name the folder. 0 or -errno. */
static int path_in(const struct log_witness *w, const char *origin, const char *name,
                   char path[static PATH_MAX])
{
	char hex[LOG_ORIGIN_HEX];
	int n;

	log_origin_hex(origin, hex);
	n = snprintf(path, PATH_MAX, "%s.notes/%s/%s", w->state, hex, name);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int path_of_size(const struct log_witness *w, const char *origin, uint64_t size,
                        char path[static PATH_MAX])
{
	char name[24];

	snprintf(name, sizeof(name), "%" PRIu64, size);
	return path_in(w, origin, name, path);
}

/* The folders above a path of path_in. 0 or -errno. */
static int make_folders(const char *path)
{
	char folder[PATH_MAX];
	const char *last = strrchr(path, '/');
	const char *one = memrchr(path, '/', (size_t)(last - path));
	const char *const ends[] = {one, last};

	for (size_t i = 0; i < 2; i++) {
		snprintf(folder, sizeof(folder), "%.*s", (int)(ends[i] - path), path);
		if (mkdir(folder, 0755) == 0) {
			int ret = file_sync_directory_of(folder);

			if (ret)
				return ret;
		} else if (errno != EEXIST) {
			return -errno;
		}
	}
	return 0;
}

static int write_in(const char *path, const struct buf *content)
{
	int ret = content->bad ? -EFBIG : make_folders(path);

	return ret ? ret : file_write_atomic(path, buf_view(content), 0644);
}

int log_witness_note(const struct log_witness *w, const char *origin, uint64_t size,
                     struct bytes *out)
{
	char path[PATH_MAX];
	uint8_t *p = NULL;
	size_t n = 0;
	int ret = path_of_size(w, origin, size, path);

	if (!ret)
		ret = file_read(path, NOTE_MAX, &p, &n);
	if (!ret)
		*out = (struct bytes){p, n};
	return ret;
}

/* What was cosigned, as the log signed it and with our lines: nobody else's may fill the disk. */
static int keep_note(const struct log_witness *w, const struct witness_request *r,
                     const struct vkey *log, struct bytes lines)
{
	struct buf note = buf_make(NOTE_MAX);
	char path[PATH_MAX];
	int ret = log_note_filter(r->note, log, true, &note);

	buf_bytes(&note, lines);
	if (!ret)
		ret = path_of_size(w, log->name, r->cp.size, path);
	if (!ret)
		ret = write_in(path, &note);
	buf_free(&note);
	return ret;
}

/* ----------------------------------------------------------------- evidence */

/* As keygated keeps it (docs/json.md, EVIDENCE), for `keygate ledger evidence verify`. */
static int evidence_write(const char *path, const struct witness_request *r, struct bytes seen,
                          struct bytes offered, const char *peer, int64_t at)
{
	json_t *o = json_pack("{s:i, s:s, s:I, s:s, s:s%, s:s%, s:n}", "version", 1, "origin",
	                      r->cp.origin, "at", (json_int_t)at, "peer", peer, "seen",
	                      (const char *)seen.p, seen.n, "offered", (const char *)offered.p,
	                      offered.n, "consistency");
	char *text = o ? json_dumps(o, JSON_INDENT(2)) : NULL;
	struct buf line = buf_make(EVIDENCE_MAX);
	int ret = -ENOMEM;

	if (text) {
		buf_str(&line, text);
		buf_u8(&line, '\n');
		ret = write_in(path, &line);
	}
	free(text);
	json_decref(o);
	buf_free(&line);
	return ret;
}

static int root_of(struct bytes data, struct hash *out)
{
	struct note *n = malloc(sizeof(*n));
	struct checkpoint cp;
	int ret = n ? ledger_note_parse(data, n) : -ENOMEM;

	if (!ret)
		ret = ledger_checkpoint_parse(n->text, &cp);
	if (!ret)
		*out = cp.root;
	free(n);
	return ret;
}

/*
 * The log signed r. When another root for this size was cosigned here, however long ago, the two
 * notes are kept together; once for each size is enough.
 */
static void keep_fork(const struct log_witness *w, const struct witness_request *r,
                      const struct vkey *log, const char *peer, int64_t at, bool fork)
{
	struct buf offered = buf_make(NOTE_MAX);
	struct bytes seen = BYTES_NONE;
	char name[48];
	char path[PATH_MAX];
	struct hash root;
	int ret = log_witness_note(w, log->name, r->cp.size, &seen);

	if (!ret)
		ret = root_of(seen, &root);
	if (!ret && memcmp(&root, &r->cp.root, sizeof(root)) == 0)
		goto out;
	if (ret == -ENOENT && !fork)
		goto out;
	snprintf(name, sizeof(name), "fork-%" PRIu64 ".json", r->cp.size);
	if (!ret)
		ret = path_in(w, log->name, name, path);
	if (!ret && access(path, F_OK) == 0)
		goto out;
	if (!ret)
		ret = log_note_filter(r->note, log, true, &offered);
	if (!ret)
		ret = evidence_write(path, r, seen, buf_view(&offered), peer, at);
	if (ret)
		log_error(0,
		          "FORK: %s signed two roots for size %" PRIu64 "; no evidence is kept: %s",
		          log->name, r->cp.size, strerror(-ret));
	else
		log_error(0, "FORK: %s signed two roots for size %" PRIu64 "; evidence is in %s",
		          log->name, r->cp.size, path);
out:
	log_bytes_free(seen);
	buf_free(&offered);
}

/* ------------------------------------------------------------------- answer */

/* Judges, and remembers what the answer says. 0 or -errno. */
static int step(const struct log_witness *w, const struct witness_request *r,
                const struct vkey *log, const struct log_memory *m, json_t *state, const char *peer,
                int64_t at, struct witness_answer *out, struct buf *body)
{
	struct witness_self self = {w->name, w->key, at};
	struct tlog_policy *logs = malloc(sizeof(*logs));
	int ret = logs ? ledger_policy_flat(logs, log, log ? 1 : 0, NULL, 0, 0) : -ENOMEM;

	if (!ret)
		ret = ledger_witness_step(r, logs, &m->last, &self, out, body);
	/* A note may be here that was never answered, for a crash; it must not be written over. */
	if (!ret && log && out->genuine)
		keep_fork(w, r, log, peer, at, out->fork);
	if (!ret && log && out->status == 200) {
		ret = keep_note(w, r, log, buf_view(body));
		if (!ret)
			ret = remember(state, log, &out->next.cp);
		if (!ret)
			ret = state_write(w->state, state);
	}
	free(logs);
	return ret;
}

int log_witness_add(const struct log_witness *w, const struct witness_request *r,
                    const struct vkey *log, const char *peer, int64_t at,
                    struct witness_answer *out, struct buf *body)
{
	json_t *state = NULL;
	struct log_memory m;
	int ret = state_read(w->state, &state);

	*out = (struct witness_answer){0};
	if (!ret)
		ret = recall(state, r->cp.origin, &m);
	if (!ret && log && m.has_log && !log_same_key(log, &m.log)) {
		out->status = 403;
		out->why = "another key is remembered for this log";
		buf_printf(body, "%s\n", out->why);
	} else if (!ret) {
		ret = step(w, r, log, &m, state, peer, at, out, body);
	}
	if (!ret && body->bad)
		ret = -ENOMEM;
	json_decref(state);
	return ret;
}
