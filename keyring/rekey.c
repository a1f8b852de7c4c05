/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A live session's next key (RFC 8446 section 7.2). The secret it comes from is nowhere but in the
 * session's key; a key that was revoked or is over gives none, so a session never outlives its key
 * by a rekey. Knows nothing of the KeyUpdate messages: who calls it has sent or received one.
 */
#include <errno.h>
#include <keyutils.h>
#include <string.h>
#include "core/secret.h"
#include "keyring/internal.h"
#include "keyring/ring.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

/* Everything secret that a rekey makes; lives in locked memory. */
struct material {
	uint8_t payload[2 * KEYRING_SECRET_MAX]; /* client's secret, then the server's */
	union keyring_info info;
};

static int read_back(int32_t serial, const struct keyring_cipher *c, struct material *m)
{
	long n = keyring_sys->keyctl(KEYCTL_READ, (unsigned long)serial, (unsigned long)m->payload,
	                             sizeof(m->payload), 0);

	if (n < 0)
		return -errno;
	return n == 2L * c->secret_len ? 0 : -EBADMSG;
}

/* Installing comes last: it is what can't be taken back. */
static int rekey(const struct keyring_rekey *rq, const struct keyring_cipher *c, struct material *m)
{
	bool tx = rq->direction == KEYRING_TX;
	uint8_t *secret = m->payload + (tx ? 0 : c->secret_len);
	int ret = read_back(rq->serial, c, m);

	if (!ret)
		ret = keyring_next_secret(c, secret);
	if (!ret)
		ret = keyring_derive(c, secret, 0, &m->info);
	if (!ret)
		ret = keyring_update(rq->serial, m->payload, (size_t)2 * c->secret_len, rq->left);
	if (!ret)
		ret = keyring_install(rq->fd, tx ? TLS_TX : TLS_RX, c, &m->info);
	return ret;
}

int keyring_rekey(const struct keyring_rekey *rq)
{
	const struct keyring_cipher *c = keyring_cipher_of(rq->suite);
	struct material *m = c && rq->left ? secret_alloc(sizeof(*m)) : NULL;
	int ret = -EINVAL;

	if (m)
		ret = rekey(rq, c, m);
	else if (c && rq->left)
		ret = -errno;
	secret_free(m, sizeof(*m));
	if (ret)
		keyring_revoke(rq->serial);
	return ret;
}

static uint64_t number_of(const union keyring_info *info, const struct keyring_cipher *c)
{
	uint64_t seq = 0;

	for (unsigned i = c->info_size - 8u; i < c->info_size; i++)
		seq = seq << 8 | info->bytes[i];
	return seq;
}

/* The kernel gives the number of the next record together with the key, or not at all. */
int keyring_records(int fd, uint16_t suite, uint64_t *sent, uint64_t *received)
{
	const struct keyring_cipher *c = keyring_cipher_of(suite);
	union keyring_info *info = c ? secret_alloc(sizeof(*info)) : NULL;
	unsigned len = c ? c->info_size : 0;
	int ret = 0;

	if (!info)
		return c ? -errno : -EINVAL;
	if (keyring_sys->getsockopt(fd, SOL_TLS, TLS_TX, info, &len) || len != c->info_size)
		ret = -EIO;
	else
		*sent = number_of(info, c);
	if (!ret &&
	    (keyring_sys->getsockopt(fd, SOL_TLS, TLS_RX, info, &len) || len != c->info_size))
		ret = -EIO;
	else if (!ret)
		*received = number_of(info, c);
	secret_free(info, sizeof(*info));
	return ret;
}
