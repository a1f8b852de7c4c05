/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that secrets cross. Each allocation has pages of its own, so that the flags of one never
 * depend on what lies beside it. Knows nothing of what the secrets are for.
 */
#include "core/secret.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* n in whole pages; 0 when n is 0 or too large. */
static size_t pages(size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	if (n > SIZE_MAX - page)
		return 0;
	return (n + page - 1) / page * page;
}

void *secret_alloc(size_t n)
{
	size_t len = pages(n);

	if (!len) {
		errno = EINVAL;
		return NULL;
	}

	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* mlock2 rather than mlock: the sanitizers turn the latter into nothing. */
	if (mlock2(p, len, 0) || madvise(p, len, MADV_DONTDUMP) ||
	    madvise(p, len, MADV_WIPEONFORK)) {
		int err = errno;

		munmap(p, len);
		errno = err;
		return NULL;
	}
	return p;
}

void secret_free(void *p, size_t n)
{
	if (!p)
		return;
	secret_wipe(p, n);
	munmap(p, pages(n)); /* ends the lock too */
}

void secret_wipe(void *p, size_t n)
{
	if (n)
		explicit_bzero(p, n);
}

int secret_harden_process(void)
{
	const struct rlimit none = {0, 0};

	if (setrlimit(RLIMIT_CORE, &none) || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return -errno;
	return 0;
}
