/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's TLS handshake upcall: generic netlink family "handshake", version 1
 * (Documentation/netlink/specs/handshake.yaml, Linux 6.5 and later). The kernel tells the group
 * "tlshd" that a connection of its own waits; who accepts gets that connection's socket, makes the
 * handshake, gives the socket its keys, and says that it is done. Only gate calls it: both commands
 * take CAP_NET_ADMIN. Knows the kernel's words, nothing of policies or sessions.
 */
#ifndef KEYGATE_DAEMON_HANDSHAKE_H
#define KEYGATE_DAEMON_HANDSHAKE_H

#include <stdbool.h>
#include <stdint.h>

struct handshake;

struct handshake_request {
	int fd;           /* the kernel's connection; the caller's from here on */
	bool client;      /* a ClientHello is asked for, else a ServerHello */
	bool certificate; /* and the kernel's side authenticated by a certificate */
	bool psk;         /* and both by one of some keys, of which this is one */
	uint32_t peer;    /* its serial */
};

/* For this network namespace. -ENOENT: this kernel has no such family; -errno. */
int handshake_open(struct handshake **out);
void handshake_close(struct handshake *h);
/* Begins or ends to be told, which makes the caller the agent that the kernel waits for. 0, -errno.
 */
int handshake_join(struct handshake *h, bool on);
/* To poll for. */
int handshake_fd(const struct handshake *h);
/* Reads what the kernel told, which says no more than that it may be worth to accept. */
void handshake_heard(struct handshake *h);
/* The next that waits. -EAGAIN: none does. Any other -errno: one was there and is lost. */
int handshake_accept(struct handshake *h, struct handshake_request *out);
/*
 * Done: error 0, with the keys on the socket, or an errno (positive). peer: the key that
 * authenticated the peer, as the kernel wants to know; NULL: none. -EBUSY: nobody waits for it any
 * more.
 */
int handshake_done(struct handshake *h, int fd, int error, const uint32_t *peer);

#endif
