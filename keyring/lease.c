/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custody of a lease: the PSK that an attested connection left, so that later ones need no
 * evidence. The kernel ends it by itself; what it holds is read back for one handshake at a time,
 * and only while the kernel still calls key and ring valid. Knows nothing of handshakes.
 */
#include <errno.h>
#include <keyutils.h>
#include <stdio.h>
#include <string.h>
#include "core/secret.h"
#include "keyring/internal.h"
#include "keyring/ring.h"

/*
 * Opened by evidence of this destination: on the very connection that the PSK is from, or for the
 * nonce of one and over the very key.
 */
static bool opens(const struct verdict *v, const struct keyring_lease_request *rq)
{
	const char *attested = rq->by_key ? "nonce" : "connection";
	char key[sizeof(v->server_key)] = "";

	if (rq->by_key && rq->psk_len == (sizeof(key) - 1) / 2)
		hex_encode((struct bytes){rq->psk, rq->psk_len}, key);
	return !strncmp(v->requirement, rq->destination, sizeof(v->requirement)) &&
	       !strncmp(v->binder, attested, sizeof(v->binder)) &&
	       (!rq->by_key || (key[0] && !strncmp(v->server_key, key, sizeof(key))));
}

int keyring_lease(struct keyring *k, const struct verdict *v,
                  const struct keyring_lease_request *rq, struct keyring_leased *out)
{
	const struct bytes psk = {rq->psk, rq->psk_len};
	struct keyring_leased l = {.until = 0};
	char desc[KEYRING_DESC_MAX];
	int64_t left = keyring_lasts(v, rq->now, rq->lease);
	int n, ret;

	if (left <= 0 || !opens(v, rq))
		return -EACCES;
	if ((psk.n != 32 && psk.n != 48) || bytes_all_zero(psk.p, psk.n))
		return -EKEYREJECTED;
	n = snprintf(desc, sizeof(desc), "keygate:%s:%s:lease:%llx", rq->destination, rq->peer,
	             (unsigned long long)rq->session);
	if (n < 0 || (size_t)n >= sizeof(desc))
		return -ENAMETOOLONG;
	ret = keyring_ring(k, rq->destination, &l.ring);
	if (!ret)
		ret = keyring_add(l.ring, desc, &psk, (uint32_t)left, KEYRING_KEEP, &l.serial);
	l.until = rq->now + left;
	if (!ret)
		*out = l;
	return ret;
}

static int valid(int32_t serial)
{
	switch (keyring_state(serial)) {
	case KEYRING_VALID:
		return 0;
	case KEYRING_REVOKED:
		return -EKEYREVOKED;
	case KEYRING_EXPIRED:
		return -EKEYEXPIRED;
	case KEYRING_GONE:
		break;
	}
	return -ENOKEY;
}

int keyring_lease_read(const struct keyring_leased *lease, uint8_t *psk, size_t psk_len)
{
	/* A ring that is over has its keys for a while yet. */
	int ret = valid(lease->ring);
	long n = -1;

	if (!ret)
		ret = valid(lease->serial);
	if (!ret) {
		n = keyring_sys->keyctl(KEYCTL_READ, (unsigned long)lease->serial,
		                        (unsigned long)psk, psk_len, 0);
		/* Taken out of its ring, it is nobody's to read. */
		ret = n >= 0 ? 0 : errno == EACCES ? -ENOKEY : -errno;
	}
	if (!ret && (size_t)n != psk_len)
		ret = -EBADMSG;
	if (ret)
		secret_wipe(psk, psk_len);
	return ret;
}
