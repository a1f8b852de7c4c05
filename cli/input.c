/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files and options that make up what attest/ is to judge. Knows nothing of what comes of it.
 */
#include "cli/input.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "attest/collateral.h"
#include "attest/pki.h"
#include "cli/cmd.h"
#include "core/bytes.h"
#include "core/file.h"

enum { COLLATERAL_BYTES = 256 << 20 };

int input_file(const char *path, struct bytes *out)
{
	uint8_t *p;
	size_t n;
	int ret = file_read(path, PKI_INPUT_MAX, &p, &n);

	if (ret == -EFBIG)
		return cmd_error(CMD_NO, "%s: larger than anything of this kind may be", path);
	if (ret)
		return cmd_error(CMD_USAGE, "%s: %s", path, strerror(-ret));
	*out = (struct bytes){p, n};
	return 0;
}

static void free_input(struct bytes b)
{
	free((void *)(uintptr_t)b.p);
}

void input_free(struct attest_input *in)
{
	free_input(in->evidence);
	for (uint32_t i = 0; i < in->endorsements_n; i++)
		free_input(in->endorsements[i]);
	for (uint32_t i = 0; i < in->anchors_n; i++)
		free_input(in->anchors[i]);
	collateral_store_free(in->collateral_ctx);
}

int input_endorsement(struct attest_input *in, const char *path)
{
	int ret;

	if (in->endorsements_n == ATTEST_ENDORSEMENTS_MAX)
		return cmd_error(CMD_USAGE, "%s: at most %d endorsements", path,
		                 ATTEST_ENDORSEMENTS_MAX);
	ret = input_file(path, &in->endorsements[in->endorsements_n]);
	if (!ret)
		in->endorsements_n++;
	return ret;
}

/* Whether it is a certificate or a list, though none that a vendor serves under a name. */
static bool is_endorsement(struct bytes piece)
{
	struct pki_bag bag = {0};
	bool is = !pki_bag_add(&bag, piece) && !bag.others;

	pki_bag_free(&bag);
	return is;
}

static int take_collateral(struct attest_input *in, const char *path)
{
	struct bytes piece = BYTES_NONE;
	int ret = input_file(path, &piece);

	if (ret)
		return ret;
	switch (collateral_store_add(in->collateral_ctx, piece, NULL)) {
	case 0:
	case -EEXIST:
	case -ENOSPC: /* older than what is there of the same name */
		break;
	case -ENOMEM:
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
		break;
	default:
		if (is_endorsement(piece))
			ret = input_endorsement(in, path);
		else
			fprintf(stderr,
			        "keygate: %s: no collateral that a vendor serves; left out\n",
			        path);
	}
	free_input(piece);
	return ret;
}

/* In the order of their names, so that a directory always reads the same. */
int input_collateral(struct attest_input *in, const char *dir)
{
	struct dirent **entry;
	int n = scandir(dir, &entry, NULL, alphasort), ret = 0;

	if (!in->collateral_ctx) {
		in->collateral_ctx = collateral_store_new(COLLATERAL_BYTES);
		in->collateral = collateral_store_find;
	}
	if (!in->collateral_ctx)
		ret = cmd_error(CMD_UNKNOWN, "out of memory");
	if (n < 0)
		return cmd_error(CMD_USAGE, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		char *path = NULL;
		struct stat st;

		if (!ret && asprintf(&path, "%s/%s", dir, entry[i]->d_name) < 0)
			ret = cmd_error(CMD_UNKNOWN, "out of memory");
		else if (!ret && !stat(path, &st) && S_ISREG(st.st_mode))
			ret = take_collateral(in, path);
		free(path);
		free(entry[i]);
	}
	free(entry);
	return ret;
}

/* An anchor is configuration: one that is none is the caller's mistake. */
int input_anchor(struct attest_input *in, const char *path)
{
	struct pki_pins pins = {0};
	int ret;

	if (in->anchors_n == ATTEST_ANCHORS_MAX)
		return cmd_error(CMD_USAGE, "%s: at most %d anchors", path, ATTEST_ANCHORS_MAX);
	ret = input_file(path, &in->anchors[in->anchors_n]);
	if (ret)
		return CMD_USAGE;
	in->anchors_n++;
	if (pki_pins_add(&pins, NULL, in->anchors[in->anchors_n - 1]))
		return cmd_error(CMD_USAGE, "%s: neither a certificate nor a public key", path);
	return 0;
}

int input_time(struct attest_input *in, const char *text)
{
	uint64_t at;

	if (decimal_u64(bytes_str(text), INT64_MAX - 1, &at))
		return cmd_error(CMD_USAGE, "at \"%s\": wanted seconds since 1970", text);
	in->at = (int64_t)at;
	return 0;
}
