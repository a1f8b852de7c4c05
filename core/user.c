/* SPDX-License-Identifier: Apache-2.0 */
/* The host's user data base. Knows no policy. */
#include "core/user.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>

enum { ENTRY_FIRST = 4096, ENTRY_MAX = 1 << 20 };

/* What getpwnam_r says when nobody of that name is there: POSIX lets it choose (getpwnam(3)). */
static bool is_nobody(int err)
{
	return err == 0 || err == ENOENT || err == ESRCH || err == EBADF || err == EPERM;
}

int user_lookup(void *ctx, const char *name, uint32_t *uid)
{
	struct passwd entry, *found = NULL;
	char *buf = NULL, *bigger;
	int err = ERANGE;

	(void)ctx;
	for (size_t n = ENTRY_FIRST; err == ERANGE && n <= ENTRY_MAX; n *= 2) {
		bigger = realloc(buf, n);
		if (!bigger) {
			err = ENOMEM;
			break;
		}
		buf = bigger;
		err = getpwnam_r(name, &entry, buf, n, &found);
	}
	if (!err && found)
		*uid = entry.pw_uid;
	free(buf);
	if (found && !err)
		return 0;
	return is_nobody(err) ? -ENOENT : -err;
}
