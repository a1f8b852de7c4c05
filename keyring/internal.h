/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this room share: the system calls in force, and the key material of one
 * direction in the form in which the kernel takes it. Nobody outside keyring/ and its tests
 * includes this.
 */
#ifndef KEYGATE_KEYRING_INTERNAL_H
#define KEYGATE_KEYRING_INTERNAL_H

#include <stdint.h>
#include <linux/tls.h>
#include "keyring/keyring.h"

/* RFC 8446 section B.4 meets linux/tls.h. */
struct keyring_cipher {
	uint16_t suite;
	uint16_t type;      /* TLS_CIPHER_* */
	const char *digest; /* of the key schedule */
	uint8_t secret_len; /* of that digest */
	uint8_t key_len;
	uint8_t salt_len;  /* leading bytes of the 12-byte IV that go into the salt */
	uint8_t info_size; /* sizeof the structure; the kernel wants it exactly */
};

/* NULL for a suite that kTLS does not carry. */
const struct keyring_cipher *keyring_cipher_of(uint16_t suite);

/* All of them begin with the same header; iv, key, salt and rec_seq follow in this order. */
union keyring_info {
	struct tls_crypto_info head;
	struct tls12_crypto_info_aes_gcm_128 aes128;
	struct tls12_crypto_info_aes_gcm_256 aes256;
	struct tls12_crypto_info_chacha20_poly1305 chacha20;
	uint8_t bytes[56];
};

/*
 * Key and IV of one direction from its traffic secret (RFC 8446 section 7.3), laid out for the
 * kernel with seq as the next record's number. 0 or -EIO (the library refused); out is wiped then.
 */
int keyring_derive(const struct keyring_cipher *c, const uint8_t *secret, uint64_t seq,
                   union keyring_info *out);

/* The secret that follows (RFC 8446 section 7.2), in its place. 0, or -EIO with it wiped. */
int keyring_next_secret(const struct keyring_cipher *c, uint8_t *secret);

/* direction: TLS_RX or TLS_TX. 0 or -errno. */
int keyring_install(int fd, int direction, const struct keyring_cipher *c,
                    const union keyring_info *info);

/*
 * For how many seconds from now the verdict and the lease both hold, in the kernel's 32 bits; 0 if
 * not at all.
 */
int64_t keyring_lasts(const struct verdict *v, int64_t now, int64_t lease);

/* Never NULL. */
extern const struct keyring_syscalls *keyring_sys;

#endif
