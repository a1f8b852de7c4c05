/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The roles of keygated. Each is the same binary executed again with --role; descriptor 3 is its
 * socketpair to gate. A role function returns the process's exit status.
 */
#ifndef KEYGATE_DAEMON_ROLE_H
#define KEYGATE_DAEMON_ROLE_H

#include <stdint.h>
#include <sys/types.h>

enum { ROLE_FD = 3 };

int role_relay(int gate, uint32_t max_sessions);
int role_verify(int gate);
int role_fetch(int gate);

/*
 * Gives up every privilege: user and groups, all capabilities, bounding set, no_new_privs, not
 * dumpable, core limit 0; descriptors other than 0-3 closed. For verify also: an empty private root
 * is not needed but no new descriptors can be made (RLIMIT_NOFILE is kept at what receiving memfds
 * needs) and a seccomp allow-list without socket, open, connect, exec. 0 or -errno; a role that
 * can't be confined does not run.
 */
int role_confine(const char *role, uid_t uid, gid_t gid);

#endif
