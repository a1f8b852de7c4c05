/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence from a real TEE through the kernel's configfs-tsm. Knows the directory's files and
 * nothing of what a report means.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "attest/cmw.h"
#include "attester/tsm.h"

struct tsm {
	char dir[256];
	atomic_uint next;
};

/* Attributes of configfs are read in one go from the start; they hold at most a page or a blob. */
static int tsm_read(int dir, const char *name, struct buf *out)
{
	uint8_t chunk[4096];
	ssize_t n;
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		return -errno;
	while ((n = read(fd, chunk, sizeof(chunk))) > 0)
		buf_put(out, chunk, (size_t)n);
	n = n == -1 ? -errno : 0;
	close(fd);
	if (n == 0 && out->bad)
		n = -EFBIG;
	return (int)n;
}

static int tsm_write(int dir, const char *name, const void *p, size_t len)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return -errno;
	n = write(fd, p, len);
	n = n == -1 ? -errno : n == (ssize_t)len ? 0 : -EIO;
	close(fd);
	return (int)n;
}

static bool tsm_is(const struct buf *b, const char *word)
{
	size_t n = strlen(word);

	return b->n >= n && memcmp(b->p, word, n) == 0 && (b->n == n || b->p[n] == '\n');
}

/* The kernel's drivers, by the names that they give themselves. */
static const struct provider {
	const char *name;
	enum tee tee;
	bool has_aux; /* the host's certificate table */
} providers[] = {
        {"sev_guest", TEE_SNP, true},
        {"tdx_guest", TEE_TDX, false},
        {"arm_cca_guest", TEE_CCA, false},
};

static int tsm_provider(int dir, const struct provider **out)
{
	struct buf name = buf_make(64);
	int rc = tsm_read(dir, "provider", &name);

	*out = NULL;
	for (size_t i = 0; rc == 0 && i < sizeof(providers) / sizeof(providers[0]); i++)
		if (tsm_is(&name, providers[i].name))
			*out = &providers[i];
	buf_free(&name);
	return rc == 0 && !*out ? -ENODEV : rc;
}

/* The generation must read 1: exactly our one write came before what was read. */
int tsm_report(int dir, const uint8_t report_data[static 64], struct evidence *out)
{
	struct buf generation = buf_make(64), table = buf_make(EVIDENCE_ENDORSEMENTS_MAX);
	const struct provider *p = NULL;
	int rc = tsm_write(dir, "inblob", report_data, 64);

	if (rc == 0)
		rc = tsm_provider(dir, &p);
	if (rc == 0)
		rc = tsm_read(dir, "outblob", &out->report);
	if (rc == 0 && p->has_aux)
		rc = tsm_read(dir, "auxblob", &table);
	if (rc == 0)
		rc = tsm_read(dir, "generation", &generation);
	if (rc == 0 && !tsm_is(&generation, "1"))
		rc = -EBUSY;
	if (rc == 0 && !out->report.n)
		rc = -EIO;
	if (rc == 0)
		rc = evidence_endorse(out, buf_view(&table));
	if (rc == 0)
		out->tee = p->tee;
	buf_free(&table);
	buf_free(&generation);
	return rc;
}

static int tsm_evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	struct tsm *t = ctx;
	char path[320];
	int dir, rc;

	snprintf(path, sizeof(path), "%s/keygate-%d-%u", t->dir, (int)getpid(),
	         atomic_fetch_add(&t->next, 1));
	if (mkdir(path, 0700) == -1)
		return -errno;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = dir == -1 ? -errno : tsm_report(dir, report_data, out);
	if (dir != -1)
		close(dir);
	rmdir(path);
	return rc;
}

int evidence_tsm_open(const char *dir, struct evidence_source *out)
{
	struct stat st;
	struct tsm *t;

	if (strlen(dir) >= sizeof(t->dir))
		return -ENAMETOOLONG;
	if (stat(dir, &st) == -1 || !S_ISDIR(st.st_mode))
		return -ENODEV;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memcpy(t->dir, dir, strlen(dir));
	*out = (struct evidence_source){.evidence = tsm_evidence, .ctx = t};
	return 0;
}

void evidence_tsm_close(struct evidence_source *s)
{
	free(s->ctx);
	s->ctx = NULL;
}
