/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses of a host name, as this host's programs get them, and for how long they are good.
 * Waits for name servers. Knows nothing of policies.
 */
#ifndef KEYGATE_DAEMON_RESOLVE_H
#define KEYGATE_DAEMON_RESOLVE_H

#include <stddef.h>
#include <stdint.h>
#include "daemon/msg.h"

void resolve_name(const char *host, struct msg_resolved *out);

/*
 * Takes the addresses of an answer of a name server (RFC 1035, section 4) and the least time to
 * live in it, that of an alias on the way (CNAME) too. Anything else than an answer to its end
 * leaves *out as it is.
 */
void resolve_take(const uint8_t *answer, size_t n, struct msg_resolved *out);

#endif
