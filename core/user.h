/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The host's user data base: names to numbers. Reads files and asks services, as the host's name
 * service switch says.
 */
#ifndef KEYGATE_CORE_USER_H
#define KEYGATE_CORE_USER_H

#include <stdint.h>

/*
 * As policy_user_fn wants it; ctx is not used. 0 with *uid; -ENOENT when there is no such user;
 * another -errno when a service that may know him does not answer.
 */
int user_lookup(void *ctx, const char *name, uint32_t *uid);

#endif
