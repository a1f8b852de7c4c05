/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Starting a role. The child does nothing but to arrange descriptors and signals and to execute;
 * it gives up its privileges after that, in an address space of its own.
 */
#include "daemon/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "daemon/role.h"

static int become(const char *name, uid_t uid, gid_t gid, int sock)
{
	char role[32];
	char ids[64];
	char self[] = "keygated";
	char *argv[] = {self, role, ids, NULL};
	char path[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *envp[] = {path, NULL};
	sigset_t none;
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	snprintf(role, sizeof(role), "--role=%s", name);
	snprintf(ids, sizeof(ids), "--ids=%u:%u", (unsigned)uid, (unsigned)gid);
	sigemptyset(&none);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
	    sigprocmask(SIG_SETMASK, &none, NULL) || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		return -1;
	/*
	 * Standard error may be the terminal that gate was started on. A role that has it for its
	 * controlling terminal could type into it, as root's own hands (TIOCSTI before Linux 6.2).
	 */
	if (setsid() < 0)
		return -1;
	/* dup2 onto itself would keep the close-on-exec flag. */
	if (sock == ROLE_FD ? fcntl(sock, F_SETFD, 0) : dup2(sock, ROLE_FD) < 0)
		return -1;
	return execve("/proc/self/exe", argv, envp);
}

int spawn_role(const char *name, uid_t uid, gid_t gid, struct role_process *out)
{
	const int size = SPAWN_SOCKET_BYTES;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv))
		return -errno;
	for (int i = 0; i < 2; i++) {
		if (setsockopt(sv[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size))) {
			int err = errno;

			close(sv[0]);
			close(sv[1]);
			return -err;
		}
	}

	pid_t pid = fork();

	if (pid == 0) {
		become(name, uid, gid, sv[1]);
		_exit(127);
	}

	int err = errno;

	close(sv[1]);
	if (pid < 0) {
		close(sv[0]);
		return -err;
	}
	*out = (struct role_process){name, pid, sv[0]};
	return 0;
}
