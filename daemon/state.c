/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The last-seen heads on disk. The note is written before head.json, so that a crash in between
 * leaves the old head with a newer note beside it, never a head without its note.
 */
#include "daemon/state.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "core/file.h"

enum { HEAD_FILE_MAX = 32768, EVIDENCE_MAX = 512 << 10, DIR_NAME_LEN = 64, VERSION = 2 };

static int dir_name(const char *origin, char out[static DIR_NAME_LEN + 1])
{
	uint8_t digest[32];
	unsigned len = 0;

	if (!EVP_Digest(origin, strlen(origin), digest, &len, EVP_sha256(), NULL) ||
	    len != sizeof(digest))
		return -ENOMEM;
	hex_encode(BYTES_OF(digest), out);
	return 0;
}

__attribute__((format(printf, 4, 5))) static int
path_in(const struct state *s, const char *origin, char out[static PATH_MAX], const char *fmt, ...)
{
	char name[DIR_NAME_LEN + 1];
	char file[64];
	va_list ap;
	int ret = dir_name(origin, name);

	if (ret)
		return ret;
	va_start(ap, fmt);
	(void)vsnprintf(file, sizeof(file), fmt, ap);
	va_end(ap);
	return snprintf(out, PATH_MAX, "%s/%s/%s", s->dir, name, file) < PATH_MAX ? 0
	                                                                          : -ENAMETOOLONG;
}

int state_file_of(const struct state *s, const char *origin, const char *file,
                  char out[static PATH_MAX])
{
	return path_in(s, origin, out, "%s", file);
}

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* --------------------------------------------------------------------- read */

/* The earlier trees: sorted, each smaller than the last one. */
static int earlier_parse(json_t *list, struct ledger_last *out)
{
	json_t *o;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > LEDGER_EARLIER_MAX)
		return -EBADMSG;
	json_array_foreach(list, i, o)
	{
		struct ledger_earlier *e = &out->earlier[i];
		const char *root = NULL;
		json_int_t size = -1, at = -1;

		if (json_unpack(o, "{s:I, s:s, s:I !}", "size", &size, "root", &root, "at", &at) ||
		    size <= 0 || at < 0 || (uint64_t)size >= out->cp.size ||
		    (i && (uint64_t)size <= out->earlier[i - 1].size) ||
		    hex_decode(bytes_str(root), e->root.v, HASH_LEN))
			return -EBADMSG;
		e->size = (uint64_t)size;
		e->at = at;
		out->earlier_n = (uint32_t)i + 1;
	}
	return 0;
}

static int unpack_head(json_t *o, const char **origin, json_int_t *size, const char **root,
                       json_int_t *saved_at, json_int_t *at, json_t **earlier)
{
	json_int_t version = 0;

	if (!json_object_get(o, "version"))
		return json_unpack(o, "{s:s, s:I, s:s, s:I !}", "origin", origin, "size", size,
		                   "root", root, "saved_at", saved_at)
		               ? -EBADMSG
		               : 0;
	if (json_unpack(o, "{s:I, s:s, s:I, s:s, s:I, s:I, s:o !}", "version", &version, "origin",
	                origin, "size", size, "root", root, "saved_at", saved_at, "at", at,
	                "earlier", earlier))
		return -EBADMSG;
	return version == VERSION ? 0 : -EBADMSG;
}

static int head_parse(struct bytes text, const char *name, struct state_head *out)
{
	json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	const char *origin = NULL;
	const char *root = NULL;
	json_t *earlier = NULL;
	json_int_t size = -1, saved_at = -1, at = 0;
	struct state_head h = {.forks = 0};
	char dir[DIR_NAME_LEN + 1];
	int ret = unpack_head(o, &origin, &size, &root, &saved_at, &at, &earlier);

	if (ret)
		goto out;
	ret = -EBADMSG;
	if (strlen(origin) > NOTE_NAME_MAX || !*origin || size < 0 || saved_at < 0 || at < 0 ||
	    hex_decode(bytes_str(root), h.last.cp.root.v, HASH_LEN))
		goto out;
	if (dir_name(origin, dir) || strcmp(dir, name))
		goto out;
	memcpy(h.last.cp.origin, origin, strlen(origin) + 1);
	h.last.cp.size = (uint64_t)size;
	h.last.known = true;
	h.last.at = at;
	h.saved_at = saved_at;
	ret = earlier ? earlier_parse(earlier, &h.last) : 0;
	if (!ret)
		*out = h;
out:
	json_decref(o);
	return ret;
}

/* Half a record, of a crash or of a full disk, is no less a fork than a whole one. */
static int read_forks(const char *path, struct state_head *out)
{
	DIR *d = opendir(path);

	if (!d)
		return -errno;
	for (struct dirent *e; (e = readdir(d));) {
		if (strncmp(e->d_name, "fork-", 5) != 0)
			continue;
		out->forked = true;
		out->forks++;
	}
	closedir(d);
	return 0;
}

/* 1 when there is no head in it (a crash before the first one was complete). */
static int head_read(const struct state *s, const char *name, struct state_head *out,
                     char bad[static PATH_MAX])
{
	uint8_t *text = NULL;
	size_t n = 0;
	int ret;

	int at = snprintf(bad, PATH_MAX, "%s/%s/head.json", s->dir, name);

	if (at < 0 || at >= PATH_MAX)
		return -ENAMETOOLONG;
	ret = file_read(bad, HEAD_FILE_MAX, &text, &n);
	if (ret == -ENOENT)
		return 1;
	if (!ret)
		ret = head_parse((struct bytes){text, n}, name, out);
	free(text);
	if (ret)
		return ret;
	bad[(size_t)at - sizeof("head.json")] = '\0'; /* its directory */
	return read_forks(bad, out);
}

static int read_all(struct state *s, char bad[static PATH_MAX])
{
	DIR *d = opendir(s->dir);
	int ret = d ? 0 : -errno;

	for (struct dirent *e; d && !ret && (e = readdir(d));) {
		struct state_head h;

		if (strlen(e->d_name) != DIR_NAME_LEN)
			continue;
		ret = head_read(s, e->d_name, &h, bad);
		if (!ret && s->n == STATE_HEADS_MAX)
			ret = -ENOSPC;
		if (!ret)
			s->head[s->n++] = h;
		if (ret == 1)
			ret = 0;
	}
	if (d)
		closedir(d);
	return ret;
}

int state_open(const char *dir, struct state *s, char bad[static PATH_MAX])
{
	int ret = make_dir(dir);

	memset(s, 0, sizeof(*s));
	snprintf(bad, PATH_MAX, "%s", dir);
	if (ret)
		return ret;
	if (snprintf(s->dir, sizeof(s->dir), "%s/ledger", dir) >= (int)sizeof(s->dir))
		return -ENAMETOOLONG;
	ret = make_dir(s->dir);
	return ret ? ret : read_all(s, bad);
}

/* -------------------------------------------------------------------- heads */

const struct state_head *state_find(const struct state *s, const char *origin)
{
	for (uint32_t i = 0; i < s->n; i++) {
		if (!strcmp(s->head[i].last.cp.origin, origin))
			return &s->head[i];
	}
	return NULL;
}

bool state_forked(const struct state *s, const char *origin)
{
	const struct state_head *h = state_find(s, origin);

	return h && h->forked;
}

void state_last(const struct state *s, const char *origin, struct ledger_last *out)
{
	const struct state_head *h = state_find(s, origin);

	if (h)
		*out = h->last;
	else
		memset(out, 0, sizeof(*out));
}

static bool origin_ok(const struct checkpoint *cp)
{
	size_t n = strnlen(cp->origin, sizeof(cp->origin));

	return n > 0 && n < sizeof(cp->origin);
}

static json_t *earlier_to_json(const struct ledger_last *l)
{
	json_t *list = json_array();

	for (uint32_t i = 0; i < l->earlier_n; i++) {
		char root[2 * HASH_LEN + 1];

		hex_encode(BYTES_OF(l->earlier[i].root.v), root);
		if (json_array_append_new(list,
		                          json_pack("{s:I, s:s, s:I}", "size",
		                                    (json_int_t)l->earlier[i].size, "root", root,
		                                    "at", (json_int_t)l->earlier[i].at))) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int state_write_json(const char *path, json_t *o)
{
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;
	int ret = text ? file_write_atomic(path, bytes_str(text), 0600) : -EINVAL;

	free(text);
	return ret;
}

static int write_head(const struct state *s, const struct ledger_last *l, int64_t now)
{
	char path[PATH_MAX];
	char root[2 * HASH_LEN + 1];
	int ret = path_in(s, l->cp.origin, path, "head.json");
	json_t *o;

	if (ret)
		return ret;
	hex_encode(BYTES_OF(l->cp.root.v), root);
	o = json_pack("{s:i, s:s, s:I, s:s, s:I, s:I, s:o}", "version", VERSION, "origin",
	              l->cp.origin, "size", (json_int_t)l->cp.size, "root", root, "saved_at",
	              (json_int_t)now, "at", (json_int_t)l->at, "earlier", earlier_to_json(l));
	ret = state_write_json(path, o);
	json_decref(o);
	return ret;
}

static int write_note(const struct state *s, const char *origin, struct bytes note)
{
	char path[PATH_MAX];
	int ret = path_in(s, origin, path, "head.note");

	if (ret)
		return ret;
	*strrchr(path, '/') = '\0';
	ret = make_dir(path);
	if (!ret)
		ret = path_in(s, origin, path, "head.note");
	return ret ? ret : file_write_atomic(path, note, 0600);
}

static struct state_head *find_or_room(struct state *s, const char *origin)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (!strcmp(s->head[i].last.cp.origin, origin))
			return &s->head[i];
	return s->n < STATE_HEADS_MAX ? &s->head[s->n] : NULL;
}

int state_advance(struct state *s, const struct checkpoint *cp, int64_t at, struct bytes note,
                  int64_t now)
{
	struct state_head *h;
	struct ledger_last next = {.known = false};
	bool first;
	int ret;

	if (!origin_ok(cp) || cp->size > INT64_MAX || note.n > NOTE_MAX || at < 0)
		return -EINVAL;
	h = find_or_room(s, cp->origin);
	if (!h)
		return -ENOSPC;
	first = h == &s->head[s->n];
	if (!first)
		next = h->last;
	if ((!first && h->forked && cp->size != next.cp.size) || !ledger_last_move(&next, cp, at))
		return -EINVAL;
	ret = write_note(s, cp->origin, note);
	if (!ret)
		ret = write_head(s, &next, now);
	if (ret)
		return ret;
	if (first) {
		memset(h, 0, sizeof(*h));
		s->n++;
	}
	h->last = next;
	h->saved_at = now;
	return 0;
}

int state_earlier(struct state *s, const struct checkpoint *cp, int64_t at, int64_t now)
{
	struct state_head *h = find_or_room(s, cp->origin);
	struct ledger_last next;
	int ret;

	if (!h || h == &s->head[s->n])
		return -ENOENT;
	if (cp->size >= h->last.cp.size)
		return -EINVAL;
	next = h->last;
	ledger_last_add(&next, cp, at);
	ret = write_head(s, &next, now);
	if (!ret) {
		h->last = next;
		h->saved_at = now;
	}
	return ret;
}

int state_note(const struct state *s, const char *origin, uint8_t **note, size_t *n)
{
	char path[PATH_MAX];
	int ret = state_find(s, origin) ? path_in(s, origin, path, "head.note") : -ENOENT;

	return ret ? ret : file_read(path, NOTE_MAX, note, n);
}

/* -------------------------------------------------------------------- forks */

/* A note is UTF-8, or it was never verified. */
static json_t *note_json(struct bytes note)
{
	json_t *text = note.n ? json_stringn((const char *)note.p, note.n) : NULL;

	return text ? text : json_null();
}

static json_t *proof_json(const struct state_evidence *e)
{
	char root[2 * HASH_LEN + 1];
	json_t *list;

	if (!e->to)
		return json_null();
	list = json_array();
	for (size_t i = 0; i < e->proof_n; i++) {
		char text[48];

		base64_encode(BYTES_OF(e->proof[i].v), text);
		(void)json_array_append_new(list, json_string(text));
	}
	hex_encode(BYTES_OF(e->from_root->v), root);
	return json_pack("{s:I, s:I, s:s, s:o}", "from", (json_int_t)e->from, "to",
	                 (json_int_t)e->to, "from_root", root, "proof", list);
}

int state_fork(struct state *s, const struct state_evidence *e, int64_t now,
               char path[static PATH_MAX])
{
	struct state_head *h = find_or_room(s, e->origin);
	uint8_t *seen = NULL;
	json_t *o = NULL;
	size_t n = 0;
	int ret;

	if (!h || h == &s->head[s->n])
		return -ENOENT;
	h->forked = true;
	if (h->forks >= STATE_FORKS_MAX)
		return -ENOSPC;
	ret = path_in(s, e->origin, path, "fork-%lld.json", (long long)now);
	if (!ret && !access(path, F_OK))
		ret = -EEXIST;
	if (!ret)
		ret = state_note(s, e->origin, &seen, &n);
	if (!ret) {
		o = json_pack("{s:i, s:s, s:I, s:s, s:o, s:o, s:o}", "version", 1, "origin",
		              e->origin, "at", (json_int_t)now, "peer", e->peer, "seen",
		              note_json((struct bytes){seen, n}), "offered", note_json(e->offered),
		              "consistency", proof_json(e));
		ret = state_write_json(path, o);
	}
	if (!ret)
		h->forks++;
	json_decref(o);
	free(seen);
	return ret;
}

static void add_evidence(json_t *list, const char *path)
{
	uint8_t *text = NULL;
	size_t n = 0;
	json_t *o = NULL;

	if (!file_read(path, EVIDENCE_MAX, &text, &n))
		o = json_loadb((const char *)text, n, JSON_REJECT_DUPLICATES, NULL);
	if (o)
		(void)json_array_append_new(list, o);
	free(text);
}

json_t *state_evidence_list(const struct state *s, const char *origin)
{
	char path[PATH_MAX], file[PATH_MAX + 256];
	json_t *list = json_array();
	DIR *d = NULL;

	if (list && !path_in(s, origin, path, "%s", "")) {
		d = opendir(path);
		for (struct dirent *e; d && (e = readdir(d));) {
			if (strncmp(e->d_name, "fork-", 5) != 0)
				continue;
			snprintf(file, sizeof(file), "%s%s", path, e->d_name);
			add_evidence(list, file);
		}
	}
	if (d)
		closedir(d);
	return list;
}

int state_forget(struct state *s, const char *origin, int64_t now, char path[static PATH_MAX])
{
	struct state_head *h = find_or_room(s, origin);
	char from[PATH_MAX], name[DIR_NAME_LEN + 1];
	int ret;

	if (!h || h == &s->head[s->n])
		return -ENOENT;
	ret = dir_name(origin, name);
	if (!ret)
		ret = path_in(s, origin, from, "%s", "");
	if (ret)
		return ret;
	if (snprintf(path, PATH_MAX, "%s/forgotten-%lld-%s", s->dir, (long long)now, name) >=
	    PATH_MAX)
		return -ENAMETOOLONG;
	ret = rename(from, path) ? -errno : 0;
	if (!ret)
		ret = file_sync_directory_of(path);
	if (!ret)
		*h = s->head[--s->n];
	return ret;
}
