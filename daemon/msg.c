/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The wire between the roles: one packet a message. Checks the shape of a message (type, length,
 * descriptor) and nothing of its meaning. A message that is not exactly what its type says is an
 * error of the other role, and the receiver is told so; what it brought along is closed and wiped.
 */
#include "daemon/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include "core/secret.h"

/* What descriptor a type travels with: a socket, or bytes to read. Zero is the strict one: none. */
enum carries { CARRIES_NONE = 0, CARRIES_SOCKET, CARRIES_BYTES, CARRIES_BYTES_MAYBE };

struct shape {
	bool known;
	enum carries fd;
	uint32_t len;
};

static const struct shape shapes[MSG_MAX] = {
        [MSG_LISTEN] = {true, CARRIES_SOCKET, 0},
        [MSG_ACCEPTED] = {true, CARRIES_NONE, sizeof(struct msg_accepted)},
        [MSG_CONNECT] = {true, CARRIES_SOCKET, sizeof(struct msg_connect)},
        [MSG_REFUSE] = {true, CARRIES_NONE, sizeof(struct msg_refuse)},
        [MSG_APPRAISE] = {true, CARRIES_BYTES, sizeof(struct msg_appraise)},
        [MSG_VERDICT] = {true, CARRIES_BYTES_MAYBE, sizeof(struct msg_verdict)},
        [MSG_HANDOVER] = {true, CARRIES_NONE, 0},
        [MSG_RELEASE] = {true, CARRIES_SOCKET, sizeof(struct msg_release)},
        [MSG_LIVE] = {true, CARRIES_NONE, sizeof(struct msg_live)},
        [MSG_REKEY] = {true, CARRIES_SOCKET, sizeof(struct msg_rekey)},
        [MSG_REKEYED] = {true, CARRIES_NONE, sizeof(struct msg_rekey)},
        [MSG_LOOK] = {true, CARRIES_NONE, 0},
        [MSG_LOOKED] = {true, CARRIES_SOCKET, sizeof(struct msg_looked)},
        [MSG_CUT] = {true, CARRIES_NONE, sizeof(struct msg_cut)},
        [MSG_CLOSED] = {true, CARRIES_NONE, sizeof(struct msg_closed)},
        [MSG_POLICY] = {true, CARRIES_BYTES, sizeof(struct msg_policy)},
        [MSG_POLICY_DONE] = {true, CARRIES_NONE, sizeof(struct msg_policy_done)},
        [MSG_HEAD] = {true, CARRIES_NONE, sizeof(struct msg_head_known)},
        [MSG_ADVANCE] = {true, CARRIES_BYTES, sizeof(struct msg_advance)},
        [MSG_RESOLVE] = {true, CARRIES_NONE, sizeof(struct msg_resolve)},
        [MSG_RESOLVED] = {true, CARRIES_NONE, sizeof(struct msg_resolved)},
        [MSG_CONSISTENCY] = {true, CARRIES_NONE, sizeof(struct msg_consistency)},
        [MSG_CONSISTENT] = {true, CARRIES_NONE, sizeof(struct msg_consistent)},
        [MSG_COLLATERAL] = {true, CARRIES_BYTES, sizeof(struct msg_collateral)},
        [MSG_COLLATERAL_DONE] = {true, CARRIES_NONE, sizeof(struct msg_collateral_done)},
        [MSG_FETCH] = {true, CARRIES_NONE, sizeof(struct msg_fetch)},
        [MSG_FETCHED] = {true, CARRIES_BYTES_MAYBE, sizeof(struct msg_fetched)},
        [MSG_PROVE] = {true, CARRIES_NONE, sizeof(struct msg_prove)},
        [MSG_PROVED] = {true, CARRIES_NONE, sizeof(struct msg_proved)},
        [MSG_PROOF] = {true, CARRIES_BYTES, sizeof(struct msg_proof)},
        [MSG_RESUMED] = {true, CARRIES_NONE, 0},
        [MSG_PING] = {true, CARRIES_NONE, 0},
        [MSG_PONG] = {true, CARRIES_NONE, 0},
        [MSG_TAIL] = {true, CARRIES_NONE, sizeof(struct msg_tail)},
        [MSG_TAILED] = {true, CARRIES_BYTES_MAYBE, sizeof(struct msg_tailed)},
        [MSG_WATCH] = {true, CARRIES_BYTES, sizeof(struct msg_watch)},
        [MSG_WATCHED] = {true, CARRIES_NONE, sizeof(struct msg_watched)},
        [MSG_SHOWN] = {true, CARRIES_BYTES, sizeof(struct msg_shown)},
        [MSG_RECHECK] = {true, CARRIES_BYTES, sizeof(struct msg_recheck)},
        [MSG_OPEN] = {true, CARRIES_NONE, 0},
        [MSG_RECHECKED] = {true, CARRIES_NONE, sizeof(struct msg_rechecked)},
        [MSG_UNLISTEN] = {true, CARRIES_NONE, sizeof(struct msg_unlisten)},
};

static const struct shape *shape_of(uint32_t type)
{
	return type < MSG_MAX && shapes[type].known ? &shapes[type] : NULL;
}

/*
 * Bytes that nobody can change or cut short any more, whoever still holds them: what was checked is
 * what is used. A file of a file system, where reading may take as long as it likes, is none.
 */
static bool is_sealed(int fd)
{
	const int seals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;
	int have = fcntl(fd, F_GET_SEALS);

	return have >= 0 && (have & seals) == seals;
}

static bool fd_fits(const struct shape *s, int fd)
{
	if (fd < 0)
		return s->fd == CARRIES_NONE || s->fd == CARRIES_BYTES_MAYBE;
	return s->fd == CARRIES_SOCKET || (s->fd != CARRIES_NONE && is_sealed(fd));
}

ssize_t msg_len(enum msg_type type)
{
	const struct shape *s = shape_of(type);

	return s ? (ssize_t)s->len : -1;
}

/* A packet goes whole or not at all; a non-blocking socket is waited for. */
static int send_whole(int sock, const struct msghdr *m, size_t n)
{
	for (;;) {
		ssize_t put = sendmsg(sock, m, MSG_NOSIGNAL);

		if (put == (ssize_t)n)
			return 0;
		if (put >= 0)
			return -EIO;
		if (errno == EAGAIN) {
			struct pollfd p = {.fd = sock, .events = POLLOUT};

			if (poll(&p, 1, -1) < 0 && errno != EINTR)
				return -errno;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
}

int msg_send(int sock, enum msg_type type, uint64_t session, const void *payload, int fd)
{
	const struct shape *s = shape_of(type);
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int))];
	} control = {0};

	if (!s || !fd_fits(s, fd) || (s->len && !payload))
		return -EINVAL;

	struct msg_head head = {.type = type, .len = s->len, .session = session};
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)(uintptr_t)payload, s->len}};
	struct msghdr m = {.msg_iov = iov, .msg_iovlen = s->len ? 2 : 1};

	if (fd >= 0) {
		m.msg_control = control.space;
		m.msg_controllen = sizeof(control.space);

		struct cmsghdr *c = CMSG_FIRSTHDR(&m);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	return send_whole(sock, &m, sizeof(head) + s->len);
}

/*
 * Takes the descriptors out of a received message: the last one goes to *fd, all others are
 * closed. How many there were; a stranger's control message counts as too many.
 */
static unsigned take_fds(struct msghdr *m, int *fd)
{
	unsigned n = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) {
			n += 2;
			continue;
		}
		for (size_t at = 0; at + sizeof(int) <= c->cmsg_len - CMSG_LEN(0);
		     at += sizeof(int)) {
			if (*fd >= 0)
				close(*fd);
			memcpy(fd, CMSG_DATA(c) + at, sizeof(int));
			n++;
		}
	}
	return n;
}

/* fd is the only one if fds is 1, and -1 if it is 0. */
static bool well_formed(const struct msg_head *head, const struct msghdr *m, size_t n, unsigned fds,
                        int fd)
{
	if (n < sizeof(*head) || (m->msg_flags & (MSG_TRUNC | MSG_CTRUNC)) || fds > 1)
		return false;

	const struct shape *s = shape_of(head->type);

	return s && head->len == s->len && n == sizeof(*head) + s->len && fd_fits(s, fd);
}

int msg_recv(int sock, struct msg_head *head, void *payload, size_t cap, int *fd)
{
	/* Room for more than one descriptor, so that a surplus is seen and closed. */
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(4 * sizeof(int))];
	} control;
	struct msg_head h = {0};
	struct iovec iov[2] = {{&h, sizeof(h)}, {payload, cap}};
	struct msghdr m = {.msg_iov = iov,
	                   .msg_iovlen = cap ? 2 : 1,
	                   .msg_control = control.space,
	                   .msg_controllen = sizeof(control.space)};
	int got_fd = -1;
	ssize_t n;

	do
		n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;

	unsigned fds = take_fds(&m, &got_fd);

	if (!well_formed(&h, &m, (size_t)n, fds, got_fd)) {
		if (got_fd >= 0)
			close(got_fd);
		secret_wipe(payload, cap);
		return -EPROTO;
	}
	*head = h;
	*fd = got_fd;
	return 0;
}
