/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rings, and the state of a key in them. Knows serials and permissions, no secrets.
 *
 * Why these permissions. A process keyring is possessed by its process alone, so "possessor" means
 * the one process that holds custody. Root elsewhere is the owner and may look at rings and keys
 * and end each of them: revoke and timeout (SETATTR), invalidate (SEARCH). It may neither read nor
 * update nor link a key, nor put one in. SETATTR also lets root change permissions first, on
 * purpose and by hand, which is how a ring is cleared or a key unlinked; root can do worse to a
 * process by ptrace. What is kept from root is doing so unawares: printing a ring, or a backup of
 * what is readable, shows no secret.
 */
#include <errno.h>
#include <keyutils.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "keyring/internal.h"
#include "keyring/ring.h"

enum {
	/* keyctl(1) shows a ring only to whom it may search; what it then finds guards itself. */
	RING_PERM = KEY_POS_VIEW | KEY_POS_READ | KEY_POS_WRITE | KEY_POS_SEARCH | KEY_USR_VIEW |
	            KEY_USR_READ | KEY_USR_SEARCH | KEY_USR_SETATTR,
	/* READ for possessors is implied by SEARCH; named all the same. */
	KEY_PERM = KEY_POS_VIEW | KEY_POS_READ | KEY_POS_SEARCH | KEY_POS_SETATTR | KEY_USR_VIEW |
	           KEY_USR_SEARCH | KEY_USR_SETATTR,
};

static long ctl(int cmd, int32_t a, unsigned long b, unsigned long c, unsigned long d)
{
	return keyring_sys->keyctl(cmd, (unsigned long)a, b, c, d);
}

static int set_perm(int32_t serial, uint32_t perm)
{
	return ctl(KEYCTL_SETPERM, serial, perm, 0, 0) < 0 ? -errno : 0;
}

static int make_ring(const char *desc, int32_t parent, int32_t *out)
{
	int32_t serial = keyring_sys->add_key("keyring", desc, NULL, 0, parent);

	if (serial < 0)
		return -errno;

	int ret = set_perm(serial, RING_PERM);

	if (ret)
		ctl(KEYCTL_UNLINK, serial, (unsigned long)parent, 0, 0);
	else
		*out = serial;
	return ret;
}

int keyring_open(struct keyring *k)
{
	return make_ring("keygate", KEY_SPEC_PROCESS_KEYRING, &k->root);
}

int keyring_ring(const struct keyring *k, const char *destination, int32_t *out)
{
	char desc[KEYRING_DESC_MAX];
	int n = snprintf(desc, sizeof(desc), "keygate:%s", destination);

	if (n < 0 || (size_t)n >= sizeof(desc))
		return -ENAMETOOLONG;

	long found = ctl(KEYCTL_SEARCH, k->root, (unsigned long)"keyring", (unsigned long)desc, 0);

	if (found >= 0) {
		*out = (int32_t)found;
		return 0;
	}
	/* One that was ended took its sessions along; the next one begins anew. */
	return errno == ENOKEY || errno == EKEYREVOKED || errno == EKEYEXPIRED
	               ? make_ring(desc, k->root, out)
	               : -errno;
}

int keyring_add(int32_t ring, const char *desc, const struct bytes *payload, uint32_t timeout,
                enum keyring_use use, int32_t *out)
{
	uint32_t perm = KEY_PERM | (use == KEYRING_RENEW ? KEY_POS_WRITE : 0u);
	int32_t serial = keyring_sys->add_key("user", desc, payload->p, payload->n, ring);

	if (serial < 0)
		return -errno;
	/* The timeout first: the other order would leave a key that nothing ends if the second
	 * fails and the revocation too. */
	if (ctl(KEYCTL_SET_TIMEOUT, serial, timeout, 0, 0) < 0 || set_perm(serial, perm)) {
		int ret = -errno;

		keyring_revoke(serial);
		keyring_forget(ring, serial);
		return ret;
	}
	*out = serial;
	return 0;
}

/*
 * The fields of /proc/keys (keyrings(7)): serial in hex, flags, usage, timeout. The timeout is
 * rounded down to its unit.
 */
int64_t keyring_line_left(const char *line, int32_t serial)
{
	static const struct {
		char unit;
		uint32_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 604800}};
	char text[16], *rest;
	unsigned long found = strtoul(line, &rest, 16), amount;

	if (rest == line || found != (uint32_t)serial || sscanf(rest, " %*8s %*s %15s", text) != 1)
		return -1;
	if (!strcmp(text, "perm"))
		return UINT32_MAX;
	if (!strcmp(text, "expd"))
		return 0;
	amount = strtoul(text, &rest, 10);
	if (rest == text || !rest[0] || rest[1] || amount > UINT32_MAX)
		return -1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (rest[0] == units[i].unit)
			return ((int64_t)amount + 1) * units[i].seconds - 1;
	}
	return -1;
}

/* The kernel takes the timeout off a key that it updates. */
int keyring_update(int32_t serial, const void *payload, size_t n, uint32_t timeout)
{
	int64_t left = keyring_sys->key_left(serial);
	int ret = 0;

	if (left <= 0)
		return left ? -ENOKEY : -EKEYEXPIRED;
	if (ctl(KEYCTL_UPDATE, serial, (unsigned long)payload, n, 0) < 0)
		return -errno;
	if (ctl(KEYCTL_SET_TIMEOUT, serial, left < timeout ? (unsigned long)left : timeout, 0, 0) <
	    0) {
		ret = -errno;
		keyring_revoke(serial);
	}
	return ret;
}

enum keyring_state keyring_state(int32_t serial)
{
	if (ctl(KEYCTL_DESCRIBE, serial, 0, 0, 0) >= 0)
		return KEYRING_VALID;
	return errno == EKEYREVOKED   ? KEYRING_REVOKED
	       : errno == EKEYEXPIRED ? KEYRING_EXPIRED
	                              : KEYRING_GONE;
}

int keyring_revoke(int32_t serial)
{
	return ctl(KEYCTL_REVOKE, serial, 0, 0, 0) < 0 ? -errno : 0;
}

void keyring_forget(int32_t ring, int32_t serial)
{
	ctl(KEYCTL_UNLINK, serial, (unsigned long)ring, 0, 0);
}
