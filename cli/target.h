/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HOST:PORT as an argument, and what the host is for the programs of this machine. Addresses have
 * 16 bytes, IPv4 v4-mapped. Private to cli/.
 */
#ifndef KEYGATE_CLI_TARGET_H
#define KEYGATE_CLI_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	TARGET_HOST_MAX = 254,
	TARGET_ADDRS_MAX = 64,
	TARGET_ADDRESS_TEXT = 46,
	TARGET_PEER_TEXT = 64
};

/* What to say of a text that is none. */
#define TARGET_WRONG \
	"\"%s\" is not HOST:PORT; write api.example.com:443, 192.0.2.1:443 or [2001:db8::1]:443"

struct target {
	char host[TARGET_HOST_MAX];
	uint16_t port;
	uint8_t addr[TARGET_ADDRS_MAX][16];
	uint32_t addrs;
};

/* "host:443", "192.0.2.1:443", "[2001:db8::1]:443". */
bool target_parse(const char *text, struct target *out);
/* Fills in the addresses; a name without addresses has none. */
void target_resolve(struct target *t);
/* False when it is an address in numbers. */
bool target_is_name(const struct target *t);

void target_address_text(const uint8_t addr[static 16], char out[static TARGET_ADDRESS_TEXT]);
/* "192.0.2.1:443", "[2001:db8::1]:443" */
void target_peer_text(const uint8_t addr[static 16], uint16_t port,
                      char out[static TARGET_PEER_TEXT]);
void target_sockaddr(const uint8_t addr[static 16], uint16_t port, struct sockaddr_storage *out);

#endif
