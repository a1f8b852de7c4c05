/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table of sets. No secret leaves it but into the TLS library's own session, and none comes in
 * but from its exporter: it has no copy on a stack or a heap.
 */
#include "attester/lease.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include "core/secret.h"

struct place {
	struct attest_lease lease;
	uint8_t name[32]; /* SHA-256 */
	int64_t end;      /* 0: free */
};

struct lease_table {
	pthread_mutex_t lock;
	struct place *place;  /* LEASE_PLACES of them, in secret memory */
	struct place *coming; /* one more: what is exported before its set is known */
};

static const size_t secret_size = (LEASE_PLACES + 1) * sizeof(struct place);

int64_t lease_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

struct lease_table *lease_table_new(void)
{
	struct lease_table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return NULL;
	t->place = secret_alloc(secret_size);
	if (!t->place) {
		err = errno;
		free(t);
		errno = err;
		return NULL;
	}
	t->coming = t->place + LEASE_PLACES;
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

void lease_table_free(struct lease_table *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	secret_free(t->place, secret_size);
	free(t);
}

void lease_table_wipe(struct lease_table *t)
{
	pthread_mutex_lock(&t->lock);
	secret_wipe(t->place, secret_size);
	pthread_mutex_unlock(&t->lock);
}

static bool live(const struct place *p, int64_t now)
{
	return p->end > now;
}

/* What has ended is wiped by whoever comes by. */
static void end_due(struct place *set, int64_t now)
{
	for (size_t i = 0; i < LEASE_WAYS; i++)
		if (set[i].end && !live(&set[i], now))
			secret_wipe(&set[i], sizeof(set[i]));
}

static struct place *set_of(struct lease_table *t, const uint8_t identity[static 1])
{
	_Static_assert(LEASE_SETS == 256, "one octet names the set");
	return t->place + (size_t)identity[0] * LEASE_WAYS;
}

size_t lease_table_count(struct lease_table *t, int64_t now)
{
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < LEASE_PLACES; i++)
		n += live(&t->place[i], now);
	pthread_mutex_unlock(&t->lock);
	return n;
}

static bool hash_name(struct bytes name, uint8_t out[static 32])
{
	return EVP_Digest(name.p ? name.p : (const uint8_t *)"", name.n, out, NULL, EVP_sha256(),
	                  NULL) == 1;
}

/* The end of a free one is 0, before every other. */
static struct place *first_to_end(struct place *set)
{
	struct place *first = set;

	for (size_t i = 1; i < LEASE_WAYS; i++)
		if (set[i].end < first->end)
			first = &set[i];
	return first;
}

int lease_grant(struct lease_table *t, SSL *ssl, const uint8_t context[static 32],
                struct bytes name, int64_t end, int64_t now)
{
	struct place *p = t->coming, *set;
	int rc = -EINVAL;

	if (end <= now)
		return rc;
	pthread_mutex_lock(&t->lock);
	rc = hash_name(name, p->name) ? attest_lease_export(ssl, context, &p->lease) : -ENOMEM;
	if (rc == 0) {
		p->end = end;
		set = set_of(t, p->lease.identity);
		end_due(set, now);
		*first_to_end(set) = *p;
	}
	secret_wipe(p, sizeof(*p));
	pthread_mutex_unlock(&t->lock);
	return rc;
}

SSL_SESSION *lease_find(struct lease_table *t, SSL *ssl, struct bytes identity, struct bytes name,
                        int64_t now)
{
	const SSL_CIPHER *chosen = SSL_get_pending_cipher(ssl);
	SSL_SESSION *found = NULL;
	struct place *set;
	uint8_t hash[32];

	if (identity.n != ATTEST_LEASE_IDENTITY_LEN || !chosen || !hash_name(name, hash))
		return NULL;
	pthread_mutex_lock(&t->lock);
	set = set_of(t, identity.p);
	end_due(set, now);
	for (size_t i = 0; i < LEASE_WAYS; i++) {
		const struct place *p = &set[i];
		/* Each of the set is compared whole, whatever is found. */
		int other = CRYPTO_memcmp(p->lease.identity, identity.p, identity.n) |
		            CRYPTO_memcmp(p->name, hash, sizeof(hash));

		if (!other && live(p, now) &&
		    p->lease.suite == SSL_CIPHER_get_protocol_id(chosen) && !found)
			found = attest_lease_session(ssl, &p->lease);
	}
	pthread_mutex_unlock(&t->lock);
	return found;
}
