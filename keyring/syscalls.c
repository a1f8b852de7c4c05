/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only way from this room into the kernel. Knows nothing of what is asked through it.
 */
#include <keyutils.h>
#include <stdio.h>
#include <sys/socket.h>
#include "keyring/internal.h"
#include "keyring/ring.h"

static int sys_setsockopt(int fd, int level, int name, const void *val, unsigned len)
{
	return setsockopt(fd, level, name, val, len);
}

static int sys_getsockopt(int fd, int level, int name, void *val, unsigned *len)
{
	return getsockopt(fd, level, name, val, len);
}

static int32_t sys_add_key(const char *type, const char *desc, const void *payload, size_t n,
                           int32_t ring)
{
	return add_key(type, desc, payload, n, ring);
}

static long sys_keyctl(int cmd, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return keyctl(cmd, a, b, c, d);
}

/* There is no call that tells; the table of keys does. */
static int64_t sys_key_left(int32_t serial)
{
	char line[512];
	int64_t left = -1;
	FILE *f = fopen("/proc/keys", "re");

	while (f && left < 0 && fgets(line, sizeof(line), f))
		left = keyring_line_left(line, serial);
	if (f)
		(void)fclose(f);
	return left;
}

static const struct keyring_syscalls kernel = {
        .setsockopt = sys_setsockopt,
        .getsockopt = sys_getsockopt,
        .add_key = sys_add_key,
        .keyctl = sys_keyctl,
        .key_left = sys_key_left,
};

const struct keyring_syscalls *keyring_sys = &kernel;

void keyring_set_syscalls(const struct keyring_syscalls *t)
{
	keyring_sys = t ? t : &kernel;
}
