/* SPDX-License-Identifier: Apache-2.0 */
/* Parsing, resolving and writing of HOST:PORT. Knows no command. */
#include "cli/target.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include "core/bytes.h"

static const uint8_t four[12] = {[10] = 0xff, [11] = 0xff};

bool target_parse(const char *text, struct target *out)
{
	const char *colon = strrchr(text, ':');
	const char *host = text;
	size_t n = colon ? (size_t)(colon - text) : 0;
	uint64_t port;

	if (!colon || decimal_u64(bytes_str(colon + 1), UINT16_MAX, &port) || !port)
		return false;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		host++;
		n -= 2;
	} else if (memchr(text, ':', n)) {
		return false;
	}
	if (!n || n >= sizeof(out->host))
		return false;
	memcpy(out->host, host, n);
	out->host[n] = '\0';
	out->port = (uint16_t)port;
	return true;
}

static void add_address(struct target *t, const struct addrinfo *a)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;
	uint8_t *out;

	if (t->addrs == TARGET_ADDRS_MAX)
		return;
	out = t->addr[t->addrs];
	if (a->ai_family == AF_INET) {
		memcpy(&in, a->ai_addr, sizeof(in));
		memcpy(out, four, sizeof(four));
		memcpy(out + sizeof(four), &in.sin_addr, 4);
	} else if (a->ai_family == AF_INET6) {
		memcpy(&in6, a->ai_addr, sizeof(in6));
		memcpy(out, &in6.sin6_addr, 16);
	} else {
		return;
	}
	t->addrs++;
}

void target_resolve(struct target *t)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;

	if (getaddrinfo(t->host, NULL, &hints, &all))
		return;
	for (const struct addrinfo *a = all; a; a = a->ai_next)
		add_address(t, a);
	freeaddrinfo(all);
}

bool target_is_name(const struct target *t)
{
	uint8_t addr[16];

	return inet_pton(AF_INET, t->host, addr) != 1 && inet_pton(AF_INET6, t->host, addr) != 1;
}

void target_address_text(const uint8_t addr[static 16], char out[static TARGET_ADDRESS_TEXT])
{
	if (memcmp(addr, four, sizeof(four)))
		inet_ntop(AF_INET6, addr, out, TARGET_ADDRESS_TEXT);
	else
		inet_ntop(AF_INET, addr + 12, out, TARGET_ADDRESS_TEXT);
}

void target_peer_text(const uint8_t addr[static 16], uint16_t port,
                      char out[static TARGET_PEER_TEXT])
{
	bool six = memcmp(addr, four, sizeof(four)) != 0;
	char text[TARGET_ADDRESS_TEXT];

	target_address_text(addr, text);
	snprintf(out, TARGET_PEER_TEXT, "%s%s%s:%u", six ? "[" : "", text, six ? "]" : "", port);
}

void target_sockaddr(const uint8_t addr[static 16], uint16_t port, struct sockaddr_storage *out)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	memset(out, 0, sizeof(*out));
	if (memcmp(addr, four, sizeof(four))) {
		memcpy(&in6.sin6_addr, addr, 16);
		memcpy(out, &in6, sizeof(in6));
	} else {
		memcpy(&in.sin_addr, addr + 12, 4);
		memcpy(out, &in, sizeof(in));
	}
}
