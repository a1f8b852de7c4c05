/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a role: this very binary again, with one end of a socketpair as descriptor 3 and nothing
 * else of ours: no environment, no other descriptor but standard error, no controlling terminal.
 */
#ifndef KEYGATE_DAEMON_SPAWN_H
#define KEYGATE_DAEMON_SPAWN_H

#include <sys/types.h>

struct role_process {
	const char *name;
	pid_t pid;
	int sock; /* our end */
};

/* How much may be on its way in one direction; a role that reads so little is hung. */
enum { SPAWN_SOCKET_BYTES = 16 << 20 };

/* 0 with *out filled (name is kept, not copied), or -errno. */
int spawn_role(const char *name, uid_t uid, gid_t gid, struct role_process *out);

#endif
