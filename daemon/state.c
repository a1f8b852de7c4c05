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

enum { HEAD_FILE_MAX = 2048, DIR_NAME_LEN = 64 };

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

static int make_dir(const char *path)
{
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

/* --------------------------------------------------------------------- read */

static int head_parse(struct bytes text, const char *name, struct state_head *out)
{
	json_t *o = json_loadb((const char *)text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
	const char *origin = NULL;
	const char *root = NULL;
	json_int_t size = -1;
	json_int_t at = -1;
	struct state_head h = {.forks = 0};
	char dir[DIR_NAME_LEN + 1];
	int ret = -EBADMSG;

	if (json_unpack(o, "{s:s, s:I, s:s, s:I !}", "origin", &origin, "size", &size, "root",
	                &root, "saved_at", &at))
		goto out;
	if (strlen(origin) > NOTE_NAME_MAX || !*origin || size < 0 || at < 0 ||
	    hex_decode(bytes_str(root), h.cp.root.v, HASH_LEN))
		goto out;
	if (dir_name(origin, dir) || strcmp(dir, name))
		goto out;
	memcpy(h.cp.origin, origin, strlen(origin) + 1);
	h.cp.size = (uint64_t)size;
	h.saved_at = at;
	*out = h;
	ret = 0;
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
		size_t len = strlen(e->d_name);

		if (strncmp(e->d_name, "fork-", 5) != 0)
			continue;
		out->forked = true;
		if (len > 13 && !strcmp(e->d_name + len - 13, "-offered.note"))
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
		if (!strcmp(s->head[i].cp.origin, origin))
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

	memset(out, 0, sizeof(*out));
	if (h) {
		out->known = true;
		out->cp = h->cp;
	}
}

static bool origin_ok(const struct checkpoint *cp)
{
	size_t n = strnlen(cp->origin, sizeof(cp->origin));

	return n > 0 && n < sizeof(cp->origin);
}

static bool moves_back(const struct checkpoint *last, const struct checkpoint *cp)
{
	return cp->size < last->size ||
	       (cp->size == last->size && memcmp(&cp->root, &last->root, sizeof(cp->root)));
}

static int write_head(const struct state *s, const struct checkpoint *cp, struct bytes note,
                      int64_t now)
{
	char path[PATH_MAX];
	char root[2 * HASH_LEN + 1];
	int ret = path_in(s, cp->origin, path, "head.note");

	if (ret)
		return ret;
	*strrchr(path, '/') = '\0';
	ret = make_dir(path);
	if (ret)
		return ret;
	ret = path_in(s, cp->origin, path, "head.note");
	if (!ret)
		ret = file_write_atomic(path, note, 0600);
	if (ret)
		return ret;

	hex_encode(BYTES_OF(cp->root.v), root);

	json_t *o = json_pack("{s:s, s:I, s:s, s:I}", "origin", cp->origin, "size",
	                      (json_int_t)cp->size, "root", root, "saved_at", (json_int_t)now);
	char *text = o ? json_dumps(o, JSON_COMPACT) : NULL;

	ret = text ? path_in(s, cp->origin, path, "head.json") : -EINVAL;
	if (!ret)
		ret = file_write_atomic(path, bytes_str(text), 0600);
	free(text);
	json_decref(o);
	return ret;
}

int state_advance(struct state *s, const struct checkpoint *cp, struct bytes note, int64_t now)
{
	if (!origin_ok(cp) || cp->size > INT64_MAX || note.n > NOTE_MAX)
		return -EINVAL;

	uint32_t at = 0;

	while (at < s->n && strcmp(s->head[at].cp.origin, cp->origin))
		at++;
	if (at == STATE_HEADS_MAX)
		return -ENOSPC;
	if (at < s->n && (moves_back(&s->head[at].cp, cp) ||
	                  (s->head[at].forked && cp->size != s->head[at].cp.size)))
		return -EINVAL;

	int ret = write_head(s, cp, note, now);

	if (ret)
		return ret;
	if (at == s->n) {
		memset(&s->head[at], 0, sizeof(s->head[at]));
		s->n++;
	}
	s->head[at].cp = *cp;
	s->head[at].saved_at = now;
	return 0;
}

/* -------------------------------------------------------------------- forks */

int state_fork(struct state *s, const char *origin, struct bytes offered, int64_t now,
               char path[static PATH_MAX])
{
	uint32_t at = 0;
	uint8_t *seen = NULL;
	size_t n = 0;
	char file[PATH_MAX];

	while (at < s->n && strcmp(s->head[at].cp.origin, origin))
		at++;
	if (at == s->n)
		return -ENOENT;
	s->head[at].forked = true;
	if (s->head[at].forks >= STATE_FORKS_MAX)
		return -ENOSPC;

	int ret = path_in(s, origin, path, "fork-%lld-offered.note", (long long)now);

	if (ret)
		return ret;
	if (!access(path, F_OK))
		return -EEXIST;
	ret = path_in(s, origin, file, "head.note");
	if (!ret)
		ret = file_read(file, NOTE_MAX, &seen, &n);
	if (!ret)
		ret = path_in(s, origin, file, "fork-%lld-seen.note", (long long)now);
	if (!ret)
		ret = file_write_atomic(file, (struct bytes){seen, n}, 0600);
	if (!ret)
		ret = file_write_atomic(path, offered, 0600);
	if (!ret)
		s->head[at].forks++;
	free(seen);
	return ret;
}
