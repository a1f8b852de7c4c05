/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loaded into a real program of the end-to-end tests (LD_PRELOAD), to see or do what it has no
 * option for, and must have none:
 *
 *   MEDDLE_KEYLOG=FILE     a TLS library's secrets, in the NSS key log's format
 *   MEDDLE_UPDATE=N        a KeyUpdate that asks for one in return, after every N full records
 *   MEDDLE_NO_WIPE=1       explicit_bzero() does nothing
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <openssl/ssl.h>

/* What _FORTIFY_SOURCE makes of it. NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl*) */
void __explicit_bzero_chk(void *s, size_t n, size_t room);

static void keylog(const SSL *ssl, const char *line)
{
	int fd = open(getenv("MEDDLE_KEYLOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	(void)ssl;
	if (fd < 0)
		return;
	if (write(fd, line, strlen(line)) < 0 || write(fd, "\n", 1) < 0)
		abort();
	close(fd);
}

SSL *SSL_new(SSL_CTX *ctx)
{
	SSL *(*real)(SSL_CTX *) = NULL;

	*(void **)&real = dlsym(RTLD_NEXT, "SSL_new");
	if (getenv("MEDDLE_KEYLOG"))
		SSL_CTX_set_keylog_callback(ctx, keylog);
	return real(ctx);
}

int SSL_write_ex(SSL *ssl, const void *buf, size_t n, size_t *written)
{
	static _Thread_local unsigned long records;
	unsigned long before = records;
	int (*real)(SSL *, const void *, size_t, size_t *) = NULL;
	const char *every = getenv("MEDDLE_UPDATE");
	int ret;

	*(void **)&real = dlsym(RTLD_NEXT, "SSL_write_ex");
	ret = real(ssl, buf, n, written);
	if (!every || ret != 1)
		return ret;
	/* What is written at once may fill several. */
	records += (*written + SSL3_RT_MAX_PLAIN_LENGTH - 1) / SSL3_RT_MAX_PLAIN_LENGTH;
	if (records / strtoul(every, NULL, 10) != before / strtoul(every, NULL, 10) &&
	    SSL_key_update(ssl, SSL_KEY_UPDATE_REQUESTED) != 1)
		abort();
	return ret;
}

void explicit_bzero(void *s, size_t n)
{
	if (getenv("MEDDLE_NO_WIPE"))
		return;
	memset(s, 0, n);
	__asm__ volatile("" ::"r"(s) : "memory");
}

/* NOLINTNEXTLINE(bugprone-reserved-identifier,cert-dcl*) */
void __explicit_bzero_chk(void *s, size_t n, size_t room)
{
	if (n > room)
		abort();
	explicit_bzero(s, n);
}
