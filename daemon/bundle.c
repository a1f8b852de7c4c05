/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy bundles: the container, and the one way in which both gate and verify parse what is in it.
 */
#include "daemon/bundle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t magic[4] = {'K', 'G', 'B', '1'};

enum { HEADER_SIZE = 8, ENTRY_SIZE = 1 + 2 + 4 };

static void entry_free(struct bundle_entry *e)
{
	free(e->path);
	free((void *)(uintptr_t)e->content.p); /* ours; the view is const for readers */
	memset(e, 0, sizeof(*e));
}

void bundle_free(struct bundle *b)
{
	for (uint32_t i = 0; i < b->n; i++)
		entry_free(&b->v[i]);
	free(b->v);
	memset(b, 0, sizeof(*b));
}

int bundle_add(struct bundle *b, enum bundle_kind kind, const char *path, struct bytes content)
{
	size_t len = strlen(path) + 1;
	size_t size = (b->n ? b->size : HEADER_SIZE) + ENTRY_SIZE + len;

	if (kind == BUNDLE_NONE || kind > BUNDLE_COLLATERAL || len < 2)
		return -EINVAL;
	if (b->n == BUNDLE_ENTRIES_MAX || len > BUNDLE_PATH_MAX || content.n > BUNDLE_FILE_MAX ||
	    size + content.n > BUNDLE_MAX)
		return -E2BIG;

	struct bundle_entry *v = realloc(b->v, (b->n + 1) * sizeof(*v));
	char *name = strdup(path);
	uint8_t *copy = malloc(content.n + 1);

	if (v)
		b->v = v;
	if (!v || !name || !copy) {
		free(name);
		free(copy);
		return -ENOMEM;
	}
	if (content.n)
		memcpy(copy, content.p, content.n);
	copy[content.n] = 0; /* not counted: for text parsers */
	b->v[b->n++] = (struct bundle_entry){kind, name, {copy, content.n}};
	b->size = size + content.n;
	return 0;
}

const struct bundle_entry *bundle_find(const struct bundle *b, enum bundle_kind kind,
                                       const char *path)
{
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->v[i].kind == kind && !strcmp(b->v[i].path, path))
			return &b->v[i];
	}
	return NULL;
}

/* -------------------------------------------------------------------- bytes */

int bundle_write(const struct bundle *b, struct buf *out)
{
	buf_bytes(out, BYTES_OF(magic));
	buf_be32(out, b->n);
	for (uint32_t i = 0; i < b->n; i++) {
		const struct bundle_entry *e = &b->v[i];
		size_t len = strlen(e->path) + 1;

		buf_u8(out, (uint8_t)e->kind);
		buf_be16(out, (uint16_t)len);
		buf_put(out, e->path, len);
		buf_be32(out, (uint32_t)e->content.n);
		buf_bytes(out, e->content);
	}
	return out->bad ? -ENOMEM : 0;
}

static int entry_read(struct reader *r, struct bundle *out)
{
	uint8_t kind = rd_u8(r);
	struct bytes path = rd_vec16(r);
	struct bytes content = rd_take(r, rd_be32(r));

	if (r->bad || kind == BUNDLE_NONE || kind > BUNDLE_COLLATERAL || path.n < 2 ||
	    memchr(path.p, 0, path.n) != path.p + path.n - 1)
		return -EINVAL;
	return bundle_add(out, (enum bundle_kind)kind, (const char *)path.p, content);
}

int bundle_read(struct bytes data, struct bundle *out)
{
	struct reader r = reader_of(data);
	struct bundle b = {0};
	struct bytes head = rd_take(&r, sizeof(magic));
	uint32_t n = rd_be32(&r);
	int ret = 0;

	if (r.bad || !bytes_equal(head, BYTES_OF(magic)) || n > BUNDLE_ENTRIES_MAX)
		return -EINVAL;
	for (uint32_t i = 0; !ret && i < n; i++)
		ret = entry_read(&r, &b);
	if (!ret && !rd_done(&r))
		ret = -EINVAL;
	if (ret) {
		bundle_free(&b);
		return ret == -ENOMEM ? ret : -EINVAL;
	}
	*out = b;
	return 0;
}

/* -------------------------------------------------------------------- parse */

static int load_from_bundle(void *ctx, const char *path, uint8_t **out, size_t *n)
{
	const struct bundle_entry *e = bundle_find(ctx, BUNDLE_REF, path);

	if (!e)
		return -ENOENT;

	uint8_t *copy = malloc(e->content.n + 1);

	if (!copy)
		return -ENOMEM;
	memcpy(copy, e->content.p, e->content.n + 1);
	*out = copy;
	*n = e->content.n;
	return 0;
}

static void warn_unread(struct policy_issues *issues, const char *path)
{
	struct policy_issue *is = &issues->v[issues->n];

	if (issues->n == POLICY_ISSUES_MAX)
		return;
	*is = (struct policy_issue){.error = false};
	snprintf(is->where.file, sizeof(is->where.file), "%s", path);
	snprintf(is->text, sizeof(is->text),
	         "is no certificate, no revocation list and no signed document of a vendor; "
	         "left out");
	issues->n++;
}

int bundle_collateral(const struct bundle *b, struct policy *p, struct policy_issues *issues)
{
	for (uint32_t i = 0; i < b->n; i++) {
		const struct bundle_entry *e = &b->v[i];

		if (e->kind != BUNDLE_COLLATERAL)
			continue;

		uint8_t *copy = malloc(e->content.n + 1);

		if (!copy)
			return -ENOMEM;
		memcpy(copy, e->content.p, e->content.n + 1);

		int ret = policy_add_collateral(p, copy, e->content.n);

		if (ret)
			free(copy);
		/* One file too many in the directory must not take the policy down. */
		if (ret == -EINVAL)
			warn_unread(issues, e->path);
		else if (ret)
			return ret;
	}
	return 0;
}

int bundle_parse(const struct bundle *b, int64_t now, struct policy **out,
                 struct policy_issues *issues)
{
	struct policy_file *files = calloc(b->n + 1, sizeof(*files));
	struct policy *p = NULL;
	struct bundle lookup = *b;
	size_t n = 0;

	if (!files)
		return -ENOMEM;
	for (uint32_t i = 0; i < b->n; i++) {
		if (b->v[i].kind == BUNDLE_CONF)
			files[n++] = (struct policy_file){b->v[i].path, b->v[i].content};
	}

	int ret = policy_parse(files, n, load_from_bundle, &lookup, now, &p, issues);

	free(files);
	if (!ret)
		ret = bundle_collateral(b, p, issues);
	if (ret) {
		policy_free(p);
		return ret;
	}
	*out = p;
	return 0;
}
