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
 * For how many seconds the addresses in a name server's answer are good (RFC 1035, section 4): the
 * least time to live of them and of the aliases on the way (CNAME). -1: it is no answer to its end,
 * or has no address.
 */
int32_t resolve_ttl(const uint8_t *answer, size_t n);

#endif
