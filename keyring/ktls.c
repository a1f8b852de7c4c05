/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel's TLS record layer on a socket: attach, give it one direction's key, ask what it is.
 * Decides nothing; whether a key may go in is decided in release.c, the only caller of
 * keyring_install.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include "keyring/internal.h"

#ifndef SOL_TLS
#define SOL_TLS 282
#endif

int keyring_attach(int fd)
{
	static const char tls[] = "tls";

	return keyring_sys->setsockopt(fd, IPPROTO_TCP, TCP_ULP, tls, sizeof(tls)) ? -errno : 0;
}

int keyring_install(int fd, int direction, const struct keyring_cipher *c,
                    const union keyring_info *info)
{
	return keyring_sys->setsockopt(fd, SOL_TLS, direction, info, c->info_size) ? -errno : 0;
}

/* The short form answers with version and cipher; a longer buffer would fetch the key. */
static bool carries(int fd, int direction, uint16_t type)
{
	struct tls_crypto_info info = {0};
	unsigned len = sizeof(info);

	return keyring_sys->getsockopt(fd, SOL_TLS, direction, &info, &len) == 0 &&
	       len == sizeof(info) && info.version == TLS_1_3_VERSION && info.cipher_type == type;
}

bool keyring_is_ktls(int fd, uint16_t suite)
{
	const struct keyring_cipher *c = keyring_cipher_of(suite);

	return c && carries(fd, TLS_RX, c->type) && carries(fd, TLS_TX, c->type);
}
