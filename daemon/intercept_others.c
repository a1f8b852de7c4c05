// SPDX-License-Identifier: Apache-2.0
/*
 * What is pinned of other versions than this one's, and the removal of pins. Knows nothing of other
 * versions but what bpf/gate.h promises of all.
 *
 * Essay: why an upgrade to another layout, or back, leaves no gap. Pins are told apart by the ABI
 * in their names, so two sets stand in the same directory, under the same guard. The new set is
 * made beside the old one, not armed, and lets everything pass; what the old one refuses is
 * refused. It gets its table, is armed, and only then are the links of the old one taken away, then
 * its maps. While both are armed both are asked, and what one of them refuses is refused: a connect
 * that the new one points at its listener is let pass there by the old one or refused, and
 * keygated's own connection to the destination is refused by the old one, which does not know its
 * mark. Whoever ends in the middle leaves the old set, both, or the new one. The next keygated, of
 * whatever version, does the same again with what it finds: its own set is adopted, all others are
 * in force until its own is armed.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <bpf/bpf.h>
#include "daemon/intercept_priv.h"

_Static_assert(offsetof(struct gate_learned, name) + sizeof(struct gate_name) ==
                       sizeof(struct gate_learned),
               "gate.h promises to all versions that the name comes last");

/* ------------------------------------------------------------------------ pins */

struct which {
	const char *begin, *end; /* of their names */
	bool own;                /* this version's too */
};

typedef int (*pin_fn)(void *ctx, const char *path);

static bool begins(const char *name, const char *with)
{
	return !strncmp(name, with, strlen(with));
}

static bool is_meant(const struct which *w, const char *name)
{
	size_t n = strlen(name), end = strlen(w->end);

	/* A bpffs has no other names that begin so than the two that every directory has. */
	if (name[0] == '.')
		return false;
	if (!w->own && (begins(name, GATE_PIN_MAP) || begins(name, GATE_PIN_LINK)))
		return false;
	return begins(name, w->begin) && n >= end && !strcmp(name + n - end, w->end);
}

/* All of them, also when fn fails for one; then the first error. */
static int each_pin(const char *dir, const struct which *w, pin_fn fn, void *ctx)
{
	char path[PATH_MAX];
	struct dirent *e;
	int r = 0, one, n;
	DIR *d = opendir(dir);

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (!is_meant(w, e->d_name))
			continue;
		n = snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		one = n < 0 || n >= (int)sizeof(path) ? -ENAMETOOLONG : fn(ctx, path);
		if (!r)
			r = one;
	}
	closedir(d);
	return r;
}

/* ---------------------------------------------------------------- what is kept */

static int open_first(void *ctx, const char *path)
{
	int *fd = ctx;

	if (*fd == -ENOENT)
		*fd = bpf_obj_get(path);
	return *fd < 0 ? *fd : 0;
}

int others_map(const char *dir, const char *name)
{
	char end[64];
	const struct which w = {.begin = "map", .end = end};
	int r, fd = -ENOENT;

	snprintf(end, sizeof(end), "_%s", name);
	r = each_pin(dir, &w, open_first, &fd);
	return fd == -ENOENT && r ? r : fd;
}

struct learning {
	const struct intercept *i;
	int names; /* the table in force */
};

/* Of a name that the policy does not have any more there is nothing to learn. */
static int learn(const struct learning *l, const uint8_t *addr, const uint8_t *value, uint32_t n)
{
	/* Just now, and for nobody in particular. */
	struct gate_learned learned = {.seen_ns = intercept_boot_ns()};
	int r;

	memcpy(&learned.name, value + n - sizeof(learned.name), sizeof(learned.name));
	if (bpf_map_lookup_elem(l->names, &learned.name, &learned.rules))
		return 0;
	r = bpf_map_update_elem(l->i->map.learned, addr, &learned, BPF_NOEXIST);
	return r == -EEXIST ? 0 : r;
}

static int learn_all(const struct learning *l, int theirs, const struct bpf_map_info *info)
{
	uint8_t key[16], next[16], *value = malloc(info->value_size);
	int r = value ? 0 : -ENOMEM, end = 0;

	if (!r)
		end = bpf_map_get_next_key(theirs, NULL, next);
	/* What comes while this goes on, this version's programs learn themselves. */
	for (uint64_t k = 0; !r && !end && k < 2 * (uint64_t)info->max_entries; k++) {
		memcpy(key, next, sizeof(key));
		end = bpf_map_get_next_key(theirs, key, next);
		if (!bpf_map_lookup_elem(theirs, key, value))
			r = learn(l, key, value, info->value_size);
	}
	free(value);
	return r ? r : end == 0 || end == -ENOENT ? 0 : end;
}

static int learn_from(void *ctx, const char *path)
{
	struct bpf_map_info info = {0};
	uint32_t n = sizeof(info);
	int r, fd = bpf_obj_get(path);

	if (fd < 0)
		return fd;
	r = bpf_obj_get_info_by_fd(fd, &info, &n);
	/* What can't be understood can't be kept, and without it what is gated would be open. */
	if (!r && (info.key_size != 16 || info.value_size < sizeof(struct gate_name)))
		r = -EPROTO;
	if (!r)
		r = learn_all(ctx, fd, &info);
	close(fd);
	return r;
}

int others_learned(const struct intercept *i, int names)
{
	static const struct which w = {.begin = "map", .end = "_kg_learned"};
	struct learning l = {.i = i, .names = names};

	return each_pin(i->dir, &w, learn_from, &l);
}

/* ---------------------------------------------------------------------- remove */

/* Detaching by hand makes it happen now; dropping the last pin does it some time later. */
static int remove_link(void *ctx, const char *path)
{
	int fd = bpf_obj_get(path);

	(void)ctx;
	if (fd >= 0) {
		(void)bpf_link_detach(fd); /* tracing links can't: unlinking is enough */
		close(fd);
	}
	return unlink(path) ? -errno : 0;
}

static int remove_pin(void *ctx, const char *path)
{
	(void)ctx;
	return unlink(path) ? -errno : 0;
}

/* Links first: programs without their maps' pins would still be attached. */
static int remove_pins(const char *dir, bool own)
{
	const struct which links = {.begin = "link", .end = "", .own = own};
	const struct which rest = {.begin = "", .end = "", .own = own};
	int r = each_pin(dir, &links, remove_link, NULL);

	return r ? r : each_pin(dir, &rest, remove_pin, NULL);
}

int others_remove(const char *dir)
{
	return remove_pins(dir, false);
}

int intercept_remove_at(const char *pin_dir)
{
	int r = remove_pins(pin_dir, true);

	if (!r && rmdir(pin_dir) && errno != ENOENT)
		r = -errno;
	return r;
}

int intercept_remove(void)
{
	return intercept_remove_at(GATE_PIN_DIR);
}
