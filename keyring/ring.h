/* SPDX-License-Identifier: Apache-2.0 */
/* Rings and keys, for release.c and lease.c. Nobody outside keyring/ includes this. */
#ifndef KEYGATE_KEYRING_RING_H
#define KEYGATE_KEYRING_RING_H

#include <stddef.h>
#include <stdint.h>
#include "core/bytes.h"
#include "keyring/keyring.h"

/* The destination's ring, made when it is not there. 0 or -errno. */
int keyring_ring(const struct keyring *k, const char *destination, int32_t *out);

/* What the possessor may do with a key. */
enum keyring_use {
	KEYRING_KEEP = 0, /* read it */
	KEYRING_RENEW,    /* and update it, for a rekey */
};

/*
 * A user key that ends after timeout seconds, with its permissions set. On failure none is left.
 * 0 or -errno.
 */
int keyring_add(int32_t ring, const char *desc, const struct bytes *payload, uint32_t timeout,
                enum keyring_use use, int32_t *out);

/*
 * Replaces a valid key's payload; it ends after timeout seconds then, or when it would have ended
 * anyway if that is sooner, as exactly as /proc/keys tells (the watch in the kernel keeps it
 * exactly). 0 or -errno; a key whose timeout can't be set again is revoked.
 */
int keyring_update(int32_t serial, const void *payload, size_t n, uint32_t timeout);

/*
 * Seconds at most until a key ends, from a line of /proc/keys; UINT32_MAX for never, 0 when it is
 * over, -1 when the line is of another key or no such line.
 */
int64_t keyring_line_left(const char *line, int32_t serial);

#endif
