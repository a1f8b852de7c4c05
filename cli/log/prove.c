/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What anybody may ask of a log's directory: the proof of a leaf, and whether all of it is true.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cli/log/log.h"
#include "core/file.h"

struct prove_args {
	const char *dir;
	const char *leaf;
	const char *vkey;
	uint64_t index;
	bool has_index;
};

/* -------------------------------------------------------------------- prove */

static error_t prove_option(int key, char *arg, struct argp_state *state)
{
	struct prove_args *a = state->input;

	switch (key) {
	case 'i':
		a->index = log_number(state, "index", arg, INT64_MAX);
		a->has_index = true;
		return 0;
	case 'l':
		a->leaf = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_usage(state);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || a->has_index == (a->leaf != NULL))
			argp_error(state, "a directory and one of --index and --leaf are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Looks for the leaf in the tiles of level 0: 32 bytes a leaf, one tile at a time. */
static int find_leaf(const struct log_store *s, uint64_t size, const struct hash *leaf,
                     uint64_t *out)
{
	struct hash tile[TILE_WIDTH];

	for (uint64_t n = 0; n * TILE_WIDTH < size; n++) {
		uint64_t left = size - n * TILE_WIDTH;
		unsigned width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
		int ret = log_store_tile((void *)(uintptr_t)s, 0, n, width, tile);

		if (ret)
			return ret;
		for (unsigned i = 0; i < width; i++) {
			if (memcmp(tile[i].v, leaf->v, HASH_LEN) == 0) {
				*out = n * TILE_WIDTH + i;
				return 0;
			}
		}
	}
	return -ENOENT;
}

static int index_of_file(const struct log_store *s, const char *path, uint64_t size, uint64_t *out)
{
	struct hash hash;
	uint8_t *leaf;
	size_t n;
	int ret = file_read(path, LEAF_MAX, &leaf, &n);

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", path, strerror(-ret));
	ledger_leaf_hash((struct bytes){leaf, n}, &hash);
	free(leaf);
	ret = find_leaf(s, size, &hash, out);
	if (ret == -ENOENT)
		return log_error(LOG_REFUSED, "%s is not among the %" PRIu64 " published leaves",
		                 path, size);
	if (ret)
		return log_error(LOG_ERROR, "%s: can't read the tiles: %s", s->dir, strerror(-ret));
	return LOG_OK;
}

static int print_proof(const struct log_store *s, const struct log_note *note, uint64_t index)
{
	struct ledger_tiles tiles = {log_store_tile, (void *)(uintptr_t)s, note->cp.size};
	struct tlog_proof *p = calloc(1, sizeof(*p));
	struct buf text = buf_make(TLOG_PROOF_MAX);
	struct hash leaf;
	size_t n = 0;
	int status = LOG_OK;
	int ret;

	if (!p)
		return log_error(LOG_ERROR, "out of memory");
	p->index = index;
	p->checkpoint = note->data;
	ret = ledger_tiles_node(&tiles, 0, index, &leaf);
	if (!ret)
		ret = ledger_prove_inclusion(ledger_tiles_node, &tiles, index, note->cp.size,
		                             p->path, &n);
	p->path_n = (uint32_t)n;
	if (!ret)
		ret = ledger_inclusion(index, note->cp.size, &leaf, p->path, n, &note->cp.root);
	if (!ret)
		ret = ledger_proof_format(p, &text);
	if (ret == -EBADMSG)
		status = log_error(LOG_REFUSED, "%s: the tiles are not those of the checkpoint",
		                   s->dir);
	else if (ret)
		status = log_error(LOG_ERROR, "%s: no proof: %s", s->dir, strerror(-ret));
	else
		fwrite(text.p, 1, text.n, stdout);
	buf_free(&text);
	free(p);
	return status;
}

int log_prove(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"index", 'i', "N", 0, "of the leaf with this index", 0},
	        {"leaf", 'l', "FILE", 0,
	         "of the first leaf with these bytes (looks through the "
	         "tiles of level 0)",
	         0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        prove_option,
	        "DIR",
	        "Print the tlog-proof of a leaf, with the published checkpoint as it is: have it "
	        "cosigned before.",
	        NULL,
	        NULL,
	        NULL};
	struct prove_args a = {0};
	struct log_note note;
	struct log_store s;
	int status;
	int ret;

	log_parse(&argp, argc, argv, &a);
	ret = log_store_open(a.dir, false, &s);
	if (ret)
		return log_error(LOG_ERROR, "%s: %s", a.dir, strerror(-ret));
	status = log_note_read(&s, LOG_CHECKPOINT, &note);
	if (!status && a.leaf)
		status = index_of_file(&s, a.leaf, note.cp.size, &a.index);
	if (!status && a.index >= note.cp.size)
		status = log_error(LOG_REFUSED,
		                   "there is no leaf %" PRIu64 " among the %" PRIu64 " published",
		                   a.index, note.cp.size);
	if (!status)
		status = print_proof(&s, &note, a.index);
	log_note_free(&note);
	log_store_close(&s);
	return status;
}

/* ------------------------------------------------------------------- verify */

static error_t verify_option(int key, char *arg, struct argp_state *state)
{
	struct prove_args *a = state->input;

	switch (key) {
	case 'v':
		a->vkey = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->dir)
			argp_usage(state);
		a->dir = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->dir || !a->vkey)
			argp_error(state, "a directory and --vkey are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* The leaves of a bundle, one tile's worth, hashed. */
static int hash_bundle(const struct log_store *s, uint64_t n, unsigned width,
                       struct hash out[static TILE_WIDTH])
{
	struct bytes entry[TILE_WIDTH];
	char name[TILE_PATH_MAX];
	struct bytes data;
	int ret = ledger_entries_path(n, width, name, sizeof(name));

	if (!ret)
		ret = log_store_read(s, name, ENTRIES_BYTES_MAX, &data);
	if (ret)
		return ret;
	ret = ledger_entries_parse(data, width, entry);
	for (unsigned i = 0; !ret && i < width; i++)
		ledger_leaf_hash(entry[i], &out[i]);
	log_bytes_free(data);
	return ret;
}

/* What the tile must hold, out of the level below: of entries, or of full tiles. */
static int expected_tile(const struct log_store *s, unsigned level, uint64_t n, unsigned width,
                         uint64_t size, struct hash out[static TILE_WIDTH])
{
	struct ledger_tiles below = {log_store_tile, (void *)(uintptr_t)s, size};

	if (level == 0)
		return hash_bundle(s, n, width, out);
	for (unsigned i = 0; i < width; i++) {
		uint64_t child = n * TILE_WIDTH + i;
		struct hash left;
		struct hash right;
		/* The two halves of a full tile are the highest nodes that it holds. */
		int ret = ledger_tiles_node(&below, 8 * level - 1, 2 * child, &left);

		if (!ret)
			ret = ledger_tiles_node(&below, 8 * level - 1, 2 * child + 1, &right);
		if (ret)
			return ret;
		ledger_node_hash(&left, &right, &out[i]);
	}
	return 0;
}

/* Every tile of a tree of that size; LOG_*. */
static int audit_tiles(const struct log_store *s, uint64_t size)
{
	struct hash got[TILE_WIDTH];
	struct hash want[TILE_WIDTH];
	char name[TILE_PATH_MAX];

	for (unsigned level = 0; level < 8 && size >> (8 * level); level++) {
		uint64_t have = size >> (8 * level);

		for (uint64_t n = 0; n * TILE_WIDTH < have; n++) {
			uint64_t left = have - n * TILE_WIDTH;
			unsigned width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH;
			int ret = ledger_tile_path(level, n, width, name, sizeof(name));

			if (!ret)
				ret = log_store_tile((void *)(uintptr_t)s, level, n, width, got);
			if (!ret)
				ret = expected_tile(s, level, n, width, size, want);
			if (ret)
				return log_error(ret == -EINVAL ? LOG_REFUSED : LOG_ERROR,
				                 "%s or what is below it: %s", name,
				                 strerror(-ret));
			if (memcmp(got, want, width * sizeof(got[0])) != 0)
				return log_error(LOG_REFUSED, "%s is not what is below it", name);
		}
	}
	return LOG_OK;
}

int log_verify(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"vkey", 'v', "KEY", 0, "the log's verifier key", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        verify_option,
	        "DIR",
	        "Read the whole log: the checkpoint's signature, each leaf against its hash, each "
	        "tile against the tiles below, the root against the checkpoint.",
	        NULL,
	        NULL,
	        NULL};
	struct prove_args a = {0};
	struct ledger_tiles tiles = {.fetch = log_store_tile};
	struct log_note note;
	struct log_store s;
	struct hash root;
	struct vkey k;
	int status;
	int ret;

	log_parse(&argp, argc, argv, &a);
	if (ledger_vkey_parse(bytes_str(a.vkey), &k))
		return log_error(LOG_ERROR, "\"%s\" is not a verifier key", a.vkey);
	ret = log_store_open(a.dir, false, &s);
	if (ret)
		return log_error(LOG_ERROR, "%s: %s", a.dir, strerror(-ret));
	status = log_note_verified(&s, LOG_CHECKPOINT, &k, &note);
	if (!status)
		status = audit_tiles(&s, note.cp.size);
	tiles.ctx = &s;
	tiles.size = note.cp.size;
	if (!status && ledger_root(ledger_tiles_node, &tiles, note.cp.size, &root))
		status = log_error(LOG_ERROR, "%s: can't read the tiles", a.dir);
	else if (!status && memcmp(root.v, note.cp.root.v, HASH_LEN) != 0)
		status = log_error(LOG_REFUSED, "%s: the tiles are not those of the checkpoint",
		                   a.dir);
	if (!status)
		printf("%s: %" PRIu64 " leaves, as signed\n", note.cp.origin, note.cp.size);
	log_note_free(&note);
	log_store_close(&s);
	return status;
}
