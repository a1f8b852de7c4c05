/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The application traffic secrets out of OpenSSL's key log, the only public way to them. A line is
 * "LABEL CLIENT_RANDOM SECRET", the last two in hex. Knows nothing of the connection it is from.
 */
#include <errno.h>
#include <string.h>
#include "core/bytes.h"
#include "keyring/keyring.h"

enum { CLIENT_RANDOM_LEN = 32 };

/* The next word of *rest; up to the end of the line when no blank follows. */
static struct bytes word(struct bytes *rest)
{
	const uint8_t *blank = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
	size_t n = blank ? (size_t)(blank - rest->p) : rest->n;
	struct bytes w = {rest->p, n};

	rest->p += n + (blank != NULL);
	rest->n -= n + (blank != NULL);
	return w;
}

static int take(struct keyring_secrets *s, struct bytes secret, uint8_t *out, bool *have)
{
	uint8_t len = (uint8_t)(secret.n / 2);

	if (*have || (secret.n != 64 && secret.n != 96) || (s->len && s->len != len) ||
	    hex_decode(secret, out, len))
		return -EINVAL;
	s->len = len;
	*have = true;
	return 0;
}

int keyring_keylog(struct keyring_secrets *s, const char *line)
{
	struct bytes rest = bytes_str(line);
	struct bytes label = word(&rest);
	bool client = bytes_equal(label, bytes_str("CLIENT_TRAFFIC_SECRET_0"));
	uint8_t random[CLIENT_RANDOM_LEN];

	if (!client && !bytes_equal(label, bytes_str("SERVER_TRAFFIC_SECRET_0")))
		return 0;
	if (hex_decode(word(&rest), random, sizeof(random)))
		return -EINVAL;
	return client ? take(s, rest, s->client, &s->have_client)
	              : take(s, rest, s->server, &s->have_server);
}
