/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Giving up privileges. Every step is checked, and what was given up is asked for again at the
 * end: a role that still has something does not run. Knows no role's work, only what each may keep.
 */
#include "daemon/role.h"

#include <cap-ng.h>
#include <errno.h>
#include <grp.h>
#include <seccomp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>
#include "core/secret.h"

/* What a role keeps. Only verify parses without need of the outside: it gets the list of what it
 * may. */
struct keeps {
	const char *role;
	rlim_t nofile;
	rlim_t memlock;
	rlim_t memory; /* address space; RLIM_INFINITY for those with many threads */
	bool pure;
};

static const struct keeps keeps[] = {
        {"relay", 65536, 256 << 20, RLIM_INFINITY, false},
        {"verify", 16, 1 << 20, (rlim_t)2 << 30, true},
        {"fetch", 64, 1 << 20, RLIM_INFINITY, false},
};

static const struct keeps *keeps_of(const char *role)
{
	for (size_t i = 0; i < sizeof(keeps) / sizeof(keeps[0]); i++) {
		if (!strcmp(keeps[i].role, role))
			return &keeps[i];
	}
	return NULL;
}

/* Without CAP_SYS_RESOURCE (a container) a limit can't be raised: then it stays as it is. */
static int limit(int what, rlim_t n)
{
	struct rlimit l;

	if (getrlimit(what, &l))
		return -errno;
	if (l.rlim_max > n || (l.rlim_max < n && prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE) == 1))
		l.rlim_max = n;
	l.rlim_cur = l.rlim_max;
	return setrlimit(what, &l) ? -errno : 0;
}

static int set_limits(const struct keeps *k)
{
	int ret = limit(RLIMIT_NOFILE, k->nofile);

	if (!ret)
		ret = limit(RLIMIT_MEMLOCK, k->memlock);
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes */
	if (!ret)
		ret = limit(RLIMIT_AS, k->memory);
#endif
	return ret;
}

static int drop_ids(uid_t uid, gid_t gid)
{
	/* The bounding set goes while we may still change it. */
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_BOUNDS))
		return -EPERM;
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return -errno;
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_apply(CAPNG_SELECT_CAPS))
		return -EPERM;
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ? -errno : 0;
}

static int check_dropped(uid_t uid, gid_t gid)
{
	uid_t u[3];
	gid_t g[3];

	if (getresuid(&u[0], &u[1], &u[2]) || getresgid(&g[0], &g[1], &g[2]))
		return -errno;
	for (int i = 0; i < 3; i++) {
		if (u[i] != uid || g[i] != gid)
			return -EPERM;
	}
	if (getgroups(0, NULL) != 0 || setresuid(0, 0, 0) != -1)
		return -EPERM;
	if (capng_get_caps_process() || capng_have_capabilities(CAPNG_SELECT_BOTH) != CAPNG_NONE ||
	    prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return -EPERM;
	return 0;
}

/* ------------------------------------------------------------------ seccomp */

/* What verify needs to receive, parse, compute and answer. */
static const int allowed[] = {
        SCMP_SYS(read),
        SCMP_SYS(write),
        SCMP_SYS(pread64),
        SCMP_SYS(recvmsg),
        SCMP_SYS(sendmsg),
        SCMP_SYS(poll),
        SCMP_SYS(ppoll),
        SCMP_SYS(close),
        SCMP_SYS(fstat),
        SCMP_SYS(lseek),
        SCMP_SYS(memfd_create),
        SCMP_SYS(ftruncate),
        SCMP_SYS(fcntl),
        SCMP_SYS(mmap),
        SCMP_SYS(munmap),
        SCMP_SYS(mremap),
        SCMP_SYS(mprotect),
        SCMP_SYS(madvise),
        SCMP_SYS(mlock),
        SCMP_SYS(munlock),
        SCMP_SYS(brk),
        SCMP_SYS(futex),
        SCMP_SYS(getrandom),
        SCMP_SYS(clock_gettime),
        SCMP_SYS(gettimeofday),
        SCMP_SYS(time),
        SCMP_SYS(rt_sigaction),
        SCMP_SYS(rt_sigprocmask),
        SCMP_SYS(rt_sigreturn),
        SCMP_SYS(restart_syscall),
        SCMP_SYS(getpid),
        SCMP_SYS(gettid),
        SCMP_SYS(tgkill),
        SCMP_SYS(sysinfo),
        SCMP_SYS(sched_getaffinity),
        SCMP_SYS(sched_yield),
        SCMP_SYS(exit),
        SCMP_SYS(exit_group),
};

/* What libraries try on their own and can do without: time zone, locale, CPU count. */
static const int denied[] = {
        SCMP_SYS(openat), SCMP_SYS(open),       SCMP_SYS(access), SCMP_SYS(faccessat),
        SCMP_SYS(stat),   SCMP_SYS(readlink),   SCMP_SYS(ioctl),  SCMP_SYS(prlimit64),
        SCMP_SYS(statx),  SCMP_SYS(readlinkat), SCMP_SYS(uname),
};

/*
 * What relay and fetch have no use for, and who has taken one of them over would: to become another
 * program, to look into other processes, and parts of the kernel that are large or often wrong.
 */
static const int refused[] = {
        SCMP_SYS(execve),
        SCMP_SYS(execveat),
        SCMP_SYS(ptrace),
        SCMP_SYS(process_vm_readv),
        SCMP_SYS(process_vm_writev),
        SCMP_SYS(pidfd_getfd),
        SCMP_SYS(kcmp),
        SCMP_SYS(bpf),
        SCMP_SYS(perf_event_open),
        SCMP_SYS(userfaultfd),
        SCMP_SYS(io_uring_setup),
        SCMP_SYS(io_uring_register),
        SCMP_SYS(io_uring_enter),
        SCMP_SYS(add_key),
        SCMP_SYS(request_key),
        SCMP_SYS(keyctl),
        SCMP_SYS(unshare),
        SCMP_SYS(setns),
        SCMP_SYS(mount),
        SCMP_SYS(open_by_handle_at),
        SCMP_SYS(name_to_handle_at),
        SCMP_SYS(personality),
        SCMP_SYS(modify_ldt),
        SCMP_SYS(vmsplice),
};

/*
 * Standard error may be a terminal. To take it for the controlling one (a role leads its session)
 * and to type into it would be to type as whoever reads there, root.
 */
static const unsigned terminal[] = {TIOCSCTTY, TIOCSTI, TIOCLINUX};

static int add_allowed(scmp_filter_ctx f)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(allowed) / sizeof(allowed[0]); i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, allowed[i], 0);
	for (size_t i = 0; !ret && i < sizeof(denied) / sizeof(denied[0]); i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), denied[i], 0);
	/* glibc's fstat is newfstatat of the descriptor with AT_EMPTY_PATH. */
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
		                       SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0x1000));
	if (!ret)
		ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(newfstatat), 1,
		                       SCMP_A3(SCMP_CMP_MASKED_EQ, 0x1000, 0));
	return ret;
}

static int add_refused(scmp_filter_ctx f)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(refused) / sizeof(refused[0]); i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), refused[i], 0);
	/* The kernel looks at 32 bits of the request. */
	for (size_t i = 0; !ret && i < sizeof(terminal) / sizeof(terminal[0]); i++)
		ret = seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
		                       SCMP_A1(SCMP_CMP_MASKED_EQ, 0xffffffff, terminal[i]));
	return ret;
}

static int set_filter(bool pure)
{
	scmp_filter_ctx f = seccomp_init(pure ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_ALLOW);
	int ret = !f ? -ENOMEM : pure ? add_allowed(f) : add_refused(f);

	if (!ret)
		ret = seccomp_load(f);
	if (f)
		seccomp_release(f);
	return ret;
}

int role_confine(const char *role, uid_t uid, gid_t gid)
{
	const struct keeps *k = keeps_of(role);
	int ret = secret_harden_process();

	if (!k || uid == 0 || gid == 0)
		return -EINVAL;
	if (!ret && close_range(ROLE_FD + 1, ~0U, 0))
		ret = -errno;
	if (!ret)
		ret = set_limits(k);
	if (!ret)
		ret = drop_ids(uid, gid);
	if (!ret)
		ret = check_dropped(uid, gid);
	/* A change of user resets both. */
	if (!ret)
		ret = secret_harden_process();
	if (!ret && prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0))
		ret = -errno;
	if (!ret)
		ret = set_filter(k->pure);
	return ret;
}
