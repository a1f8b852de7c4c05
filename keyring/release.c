/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The release: where a passed verdict turns into a live key. Nothing else in the project calls
 * keyring_install.
 *
 * The order is the safety argument. Everything that can fail comes before the first key: derive,
 * take custody, arm. Then RX before TX, so that the one failure left (the kernel refusing TX)
 * leaves a socket that can't send. After TX nothing fallible follows. A failure at any step
 * revokes the key, and what the kernel gate enforces by that key or the missing session entry ends
 * with it; the caller closes the socket. Secrets are wiped on every path, refusals included:
 * having been asked once is enough.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "core/secret.h"
#include "keyring/internal.h"
#include "keyring/ring.h"

/* Everything secret that a release makes; lives in locked memory. */
struct material {
	union keyring_info rx, tx;
	uint8_t payload[2 * KEYRING_SECRET_MAX]; /* client's secret, then the server's */
};

int64_t keyring_lasts(const struct verdict *v, int64_t now, int64_t lease)
{
	if (lease <= 0 || now < 0 || !verdict_passed(v, now))
		return 0;

	int64_t left = v->valid_until - now;

	left = lease < left ? lease : left;
	/* The kernel's timeout is 32 bits wide, and 0 there means for ever. */
	return left < UINT32_MAX ? left : UINT32_MAX;
}

static const struct keyring_cipher *complete(const struct keyring_secrets *s)
{
	const struct keyring_cipher *c = keyring_cipher_of(s->suite);

	return c && s->len == c->secret_len && s->have_client && s->have_server &&
	                       s->tx_records < KEYRING_RECORDS_MAX &&
	                       s->rx_records < KEYRING_RECORDS_MAX
	               ? c
	               : NULL;
}

static int derive(const struct keyring_cipher *c, const struct keyring_secrets *s,
                  struct material *m)
{
	memcpy(m->payload, s->client, s->len);
	memcpy(m->payload + s->len, s->server, s->len);

	int ret = keyring_derive(c, s->server, s->rx_records, &m->rx);

	return ret ? ret : keyring_derive(c, s->client, s->tx_records, &m->tx);
}

static int take_custody(struct keyring *k, const struct keyring_request *rq,
                        const struct material *m, int64_t left, struct keyring_released *r)
{
	char desc[KEYRING_DESC_MAX];
	int n = snprintf(desc, sizeof(desc), "keygate:%s:%s:%llx", rq->destination, rq->peer,
	                 (unsigned long long)rq->session);

	if (n < 0 || (size_t)n >= sizeof(desc))
		return -ENAMETOOLONG;

	const struct bytes payload = {m->payload, (size_t)2 * rq->secrets->len};
	int ret = keyring_ring(k, rq->destination, &r->ring);

	return ret ? ret
	           : keyring_add(r->ring, desc, &payload, (uint32_t)left, KEYRING_RENEW,
	                         &r->serial);
}

static int arm(const struct keyring_request *rq, int64_t left, struct keyring_released *r)
{
	struct timespec t;

	if (!rq->arm)
		return -EINVAL;
	if (clock_gettime(CLOCK_BOOTTIME, &t))
		return -errno;
	r->until = rq->now + left;
	r->deadline_boot_ns =
	        ((uint64_t)t.tv_sec + (uint64_t)left) * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
	return rq->arm(rq->arm_ctx, rq->session, r);
}

/* The steps after the verdict; *step is the one that is being taken. */
static int release(struct keyring *k, const struct keyring_request *rq, int64_t left,
                   struct material *m, struct keyring_released *r, const char **step)
{
	const struct keyring_cipher *c = complete(rq->secrets);
	int ret;

	*step = "release.secrets";
	if (!c)
		return -EKEYREJECTED;
	ret = derive(c, rq->secrets, m);
	if (ret)
		return ret;

	*step = "release.keyring";
	ret = take_custody(k, rq, m, left, r);
	if (ret)
		return ret;

	*step = "release.arm";
	ret = arm(rq, left, r);
	if (!ret) {
		*step = "release.ktls";
		ret = keyring_install(rq->fd, TLS_RX, c, &m->rx);
	}
	if (!ret)
		ret = keyring_install(rq->fd, TLS_TX, c, &m->tx);
	if (ret) {
		keyring_revoke(r->serial);
		keyring_forget(r->ring, r->serial);
	}
	return ret;
}

int keyring_release(struct keyring *k, const struct verdict *v, const struct keyring_request *rq,
                    struct keyring_released *out, const char **step)
{
	struct keyring_released r = {0};
	struct material *m = NULL;
	int64_t left = keyring_lasts(v, rq->now, rq->lease);
	int ret = -EACCES;

	*step = "release.verdict";
	/* A verdict opens the destination that it was made for and no other. */
	if (left > 0 && strncmp(v->requirement, rq->destination, sizeof(v->requirement)) == 0) {
		*step = "release.secrets";
		m = secret_alloc(sizeof(*m));
		ret = m ? release(k, rq, left, m, &r, step) : -errno;
	}
	secret_free(m, sizeof(*m));
	secret_wipe(rq->secrets, sizeof(*rq->secrets));
	if (!ret)
		*out = r;
	return ret;
}
