/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Custody and release: the kernel keyring, the TLS 1.3 key schedule and kTLS. The one place where
 * a session key can reach the kernel; keyring_release takes a sealed, passed verdict and nothing
 * less. Knows nothing of policies, evidence or processes.
 *
 * Rings: "keygate" in the process keyring of the process that opened it (it ends with the
 * process: fail closed), under it one ring a destination ("keygate:NAME"), in it one user key a
 * session ("keygate:NAME:PEER:SESSION", the session in hex) and one a lease
 * ("keygate:NAME:PEER:lease:SESSION", the session that was attested): no two have the same name,
 * since add_key(2) would update the one for the other. Possessor may view, read, search, and update
 * the key of a session; the owner (root) may view and revoke; nobody else anything. A process
 * keyring belongs to the threads that share the credentials of the one that made it: open and
 * release from one thread.
 */
#ifndef KEYGATE_KEYRING_KEYRING_H
#define KEYGATE_KEYRING_KEYRING_H

#include <stdbool.h>
#include <stdint.h>
#include "core/verdict.h"

enum {
	KEYRING_SECRET_MAX = 48,
	/* "keygate:" destination (63) ":" "[address]:port" (47) ":lease:" session (16), and the
	 * NUL.
	 */
	KEYRING_DESC_MAX = 192,
	/*
	 * Records that one key may protect. RFC 8446 section 5.5 allows AES-GCM 2^24.5 full ones;
	 * neither the kernel nor OpenSSL counts.
	 */
	KEYRING_RECORDS_MAX = 1 << 24,
};

/* TLS 1.3 suites that kTLS carries. */
enum keyring_suite {
	SUITE_NONE = 0,
	SUITE_AES_128_GCM_SHA256 = 0x1301,
	SUITE_AES_256_GCM_SHA384 = 0x1302,
	SUITE_CHACHA20_POLY1305_SHA256 = 0x1303,
};

#define KEYRING_SUITES "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256"

/*
 * Application traffic secrets of one connection and how many records each direction has used.
 * Lives only in secret_alloc memory; wiped by keyring_release whatever it returns.
 */
struct keyring_secrets {
	uint16_t suite; /* enum keyring_suite */
	uint8_t len;    /* 32 or 48 */
	bool have_client, have_server;
	uint8_t client[KEYRING_SECRET_MAX]; /* CLIENT_TRAFFIC_SECRET_0 */
	uint8_t server[KEYRING_SECRET_MAX]; /* SERVER_TRAFFIC_SECRET_0 */
	uint64_t tx_records; /* records sent with the client's application key so far */
	uint64_t rx_records; /* records received under the server's */
};

/*
 * One line of OpenSSL's key log (NSS format). Takes the two application traffic secrets, ignores
 * every other line. 0, or -EINVAL for a malformed or repeated line of those two.
 */
int keyring_keylog(struct keyring_secrets *s, const char *line);

/* TCP_ULP "tls" on a connected socket, right after connect. 0 or -errno. */
int keyring_attach(int fd);

struct keyring {
	int32_t root; /* serial of "keygate" */
};

int keyring_open(struct keyring *k);

struct keyring_released {
	int32_t serial; /* the session key */
	int32_t ring;   /* the destination's ring */
	int64_t until;  /* POSIX seconds */
	uint64_t deadline_boot_ns;
};

/* Puts the deadline and the serials where the kernel gate enforces them, before any key is live. */
typedef int (*keyring_arm_fn)(void *ctx, uint64_t session, const struct keyring_released *r);

struct keyring_request {
	int fd; /* connected, ULP attached; stays the caller's */
	uint64_t session;
	const char *destination;         /* policy's name: the ring */
	const char *peer;                /* "addr:port", for the key's description */
	int64_t now;                     /* POSIX seconds */
	int64_t lease;                   /* seconds at most; the verdict's end may be earlier */
	struct keyring_secrets *secrets; /* wiped on return */
	keyring_arm_fn arm;
	void *arm_ctx;
};

/*
 * All or nothing, in this order: the verdict must be passed at now (else -EACCES); derive; add the
 * key with its timeout and permissions; arm; TLS_RX; TLS_TX; wipe. On failure the key is
 * revoked and nothing is live; the caller must close the socket. -EACCES (no verdict, one of
 * another destination, or nothing left of the lease), -EKEYREJECTED (secrets incomplete, or too
 * many records), -EDQUOT, -errno of the step that failed. *step: the id of that step in
 * core/codes.def, static: release.verdict, release.secrets, release.keyring, release.arm,
 * release.ktls.
 */
int keyring_release(struct keyring *k, const struct verdict *v, const struct keyring_request *rq,
                    struct keyring_released *out, const char **step);

enum keyring_direction { KEYRING_RX = 0, KEYRING_TX };

struct keyring_rekey {
	int fd;         /* of the session; stays the caller's */
	int32_t serial; /* its key */
	uint16_t suite;
	enum keyring_direction direction;
	uint32_t left; /* seconds until the lease ends, not 0 */
};

/*
 * The next key of one direction after a KeyUpdate (RFC 8446 section 7.2), from the secret in the
 * session's key: read back, while the key is valid; the next secret into the key; its record key
 * into the kernel's TLS, from record 0; wipe. On failure the key is revoked: the peer and the
 * kernel disagree about the record key then, and the session must end. -EKEYREVOKED, -EKEYEXPIRED,
 * -ENOKEY; -EBADMSG (what the key holds is no session's); -EBUSY (this kernel can't); -errno.
 */
int keyring_rekey(const struct keyring_rekey *rq);

/*
 * How many records each direction has used of its present key, by the kernel's own count. 0 or
 * -errno.
 */
int keyring_records(int fd, uint16_t suite, uint64_t *sent, uint64_t *received);

/* -------------------------------------------------------------------- leases */

struct keyring_lease_request {
	uint64_t session;        /* that was attested */
	const char *destination; /* policy's name: the ring */
	const char *peer;        /* "addr:port", for the key's description */
	int64_t now;             /* POSIX seconds */
	int64_t lease;           /* seconds at most; the verdict's end may be earlier */
	const uint8_t *psk;      /* the caller's locked memory, which it wipes */
	size_t psk_len;          /* 32 or 48 */
	bool by_key;             /* psk is the SHA-256 of the peer's public key, and no secret */
};

struct keyring_leased {
	int32_t serial; /* the lease key */
	int32_t ring;   /* the destination's ring */
	int64_t until;  /* POSIX seconds: when the kernel ends it */
};

/*
 * Takes the PSK of a lease into custody, with its timeout. The verdict must be passed at now, of
 * this destination, and of a connection that was attested itself (its binder is "connection"): a
 * lease never comes from a lease. One by key is no PSK: the binder is "nonce", and the key that of
 * the verdict. -EACCES (no such verdict, or nothing left of the lease),
 * -EKEYREJECTED (no PSK, or none of that length), -EDQUOT, -errno; then there is no key.
 */
int keyring_lease(struct keyring *k, const struct verdict *v,
                  const struct keyring_lease_request *rq, struct keyring_leased *out);
/*
 * Reads the PSK back into the caller's locked memory, while its key and the ring are valid. 0;
 * -EKEYREVOKED, -EKEYEXPIRED, -ENOKEY (one of the two is over or gone), -EBADMSG (the key holds
 * something else), -errno; the memory is wiped then.
 */
int keyring_lease_read(const struct keyring_leased *lease, uint8_t *psk, size_t psk_len);

/* --------------------------------------------------------------- any key's end */

enum keyring_state { KEYRING_GONE = 0, KEYRING_REVOKED, KEYRING_EXPIRED, KEYRING_VALID };
enum keyring_state keyring_state(int32_t serial);
int keyring_revoke(int32_t serial);
/* Unlinks a dead session's or lease's key from its ring. */
void keyring_forget(int32_t ring, int32_t serial);

/* What the kernel says of a socket, by the short getsockopt forms: both directions kTLS 1.3 with
 * this suite. */
bool keyring_is_ktls(int fd, uint16_t suite);

/* System calls behind a table, so that tests can see the exact bytes and inject failures. */
struct keyring_syscalls {
	int (*setsockopt)(int fd, int level, int name, const void *val, unsigned len);
	int (*getsockopt)(int fd, int level, int name, void *val, unsigned *len);
	int32_t (*add_key)(const char *type, const char *desc, const void *payload, size_t n,
	                   int32_t ring);
	long (*keyctl)(int cmd, unsigned long a, unsigned long b, unsigned long c, unsigned long d);
	int64_t (*key_left)(int32_t serial); /* as keyring_line_left */
};
/* NULL restores the real ones. For tests. */
void keyring_set_syscalls(const struct keyring_syscalls *t);

#endif
