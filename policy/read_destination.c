/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values of destination blocks: where (addresses, names, ports), what happens, and what is
 * demanded of the peer whatever its platform. Knows the block that is being read and nothing of
 * other blocks.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "policy/names.h"
#include "policy/prefix.h"
#include "policy/read.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* --------------------------------------------------------------------- where */

static bool parse_prefix(const char *text, struct policy_prefix *out)
{
	char addr[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t plen;
	bool four;

	if (n >= sizeof(addr))
		return false;
	memcpy(addr, text, n);
	addr[n] = '\0';
	*out = (struct policy_prefix){.addr = {[10] = 0xff, [11] = 0xff}};
	four = inet_pton(AF_INET, addr, out->addr + 12) == 1;
	if (!four && inet_pton(AF_INET6, addr, out->addr) != 1)
		return false;
	plen = four ? 32 : 128;
	if (slash && decimal_u64(bytes_str(slash + 1), plen, &plen))
		return false;
	out->plen = (uint8_t)(plen + (four ? 96 : 0));
	return true;
}

void read_address(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	struct policy_prefix x, masked;
	char text[80];

	if (!parse_prefix(v->text, &x)) {
		policy_unexpected(r, v,
		                  "an address or prefix, like 192.0.2.7, 10.1.0.0/16 or "
		                  "2001:db8::/32; host names go into name =");
		return;
	}
	if (strchr(v->text, ':') && prefix_is_four(&x)) {
		policy_unexpected(r, v, "written as IPv4; 192.0.2.1 matches every kind of socket");
		return;
	}
	masked = x;
	prefix_mask(&masked);
	if (memcmp(&masked, &x, sizeof(x))) {
		policy_prefix_text(&masked, text);
		policy_error(r, v->line,
		             "address: \"%.64s\" has bits set behind the prefix; write %s", v->text,
		             text);
		return;
	}
	if (d->prefixes == POLICY_ADDRS_MAX) {
		policy_error(r, v->line,
		             "address: more than %d in one destination; make a second "
		             "destination",
		             POLICY_ADDRS_MAX);
		return;
	}
	if (policy_grow(r, &d->prefix, d->prefixes, &r->prefixes_cap, sizeof(*d->prefix)))
		d->prefix[d->prefixes++] = x;
}

static const char *address_line(struct policy_reader *r, const struct policy_value *v,
                                const char *line)
{
	struct policy_destination *d = r->d;
	struct policy_prefix x, masked;

	(void)v;
	if (!parse_prefix(line, &x))
		return "is no address and no prefix";
	if (strchr(line, ':') && prefix_is_four(&x))
		return "is IPv4; write it as 192.0.2.1";
	masked = x;
	prefix_mask(&masked);
	if (memcmp(&masked, &x, sizeof(x)) != 0)
		return "has bits set behind the prefix";
	if (d->prefixes == POLICY_ADDRS_FILE_MAX)
		return "is one too many for one destination; make a second one";
	if (policy_grow(r, &d->prefix, d->prefixes, &r->prefixes_cap, sizeof(*d->prefix)))
		d->prefix[d->prefixes++] = x;
	return NULL;
}

void read_address_file(struct policy_reader *r, const struct policy_value *v)
{
	policy_load_lines(r, v, POLICY_FILE_MAX, address_line);
}

static bool label_ok(const char *p, size_t n)
{
	if (!n || n > 63 || p[0] == '-' || p[n - 1] == '-')
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && p[i] != '-' && p[i] != '_')
			return false;
	return true;
}

/* Lower case into out. An address is no name: its last label is a number. */
static bool parse_host(const char *text, char out[static 254])
{
	const char *p = text;
	size_t n = strlen(text);

	if (!n || n > 253)
		return false;
	for (;;) {
		size_t label = strcspn(p, ".");

		if (!label_ok(p, label))
			return false;
		if (!p[label])
			break;
		p += label + 1;
	}
	if (strspn(p, "0123456789") == strlen(p))
		return false;
	for (size_t i = 0; i <= n; i++)
		out[i] = (char)tolower((unsigned char)text[i]);
	return true;
}

void read_name(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;

	if (d->hosts == POLICY_NAMES_MAX)
		policy_error(r, v->line,
		             "name: more than %d in one destination; make a second "
		             "destination",
		             POLICY_NAMES_MAX);
	else if (!policy_append(r, &d->host, d->hosts, sizeof(*d->host)))
		return;
	else if (!parse_host(v->text, d->host[d->hosts]))
		policy_unexpected(r, v, "a host name; addresses go into address =");
	else
		d->hosts++;
}

static bool parse_ports(const char *text, struct policy_port *out)
{
	const char *dash = strchr(text, '-');
	size_t n = dash ? (size_t)(dash - text) : strlen(text);
	uint64_t lo, hi;

	if (decimal_u64((struct bytes){(const uint8_t *)text, n}, 65535, &lo))
		return false;
	hi = lo;
	if (dash && decimal_u64(bytes_str(dash + 1), 65535, &hi))
		return false;
	*out = (struct policy_port){(uint16_t)lo, (uint16_t)hi};
	return lo && lo <= hi;
}

void read_port(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;

	if (d->ports == POLICY_PORTS_MAX)
		policy_error(r, v->line,
		             "port: more than %d entries; write ranges, or make a second "
		             "destination",
		             POLICY_PORTS_MAX);
	else if (!parse_ports(v->text, &d->port[d->ports]))
		policy_unexpected(r, v, "a port (1 to 65535) or a range like 8000-8010");
	else
		d->ports++;
}

/* ------------------------------------------------------------------ what happens */

void read_action(struct policy_reader *r, const struct policy_value *v)
{
	static const enum policy_action actions[] = {POLICY_GATE, POLICY_MONITOR, POLICY_ALLOW,
	                                             POLICY_DENY};

	for (size_t i = 0; i < COUNT(actions); i++) {
		if (!strcmp(v->text, policy_action_name(actions[i]))) {
			r->d->action = actions[i];
			return;
		}
	}
	policy_unexpected(r, v, "gate, monitor, allow or deny");
}

void read_refuse_with(struct policy_reader *r, const struct policy_value *v)
{
	static const struct {
		const char *name;
		uint16_t err;
	} errnos[] = {{"ECONNREFUSED", ECONNREFUSED},
	              {"EACCES", EACCES},
	              {"EPERM", EPERM},
	              {"ENETUNREACH", ENETUNREACH},
	              {"EHOSTUNREACH", EHOSTUNREACH},
	              {"ETIMEDOUT", ETIMEDOUT}};

	for (size_t i = 0; i < COUNT(errnos); i++) {
		if (!strcmp(v->text, errnos[i].name)) {
			r->d->refuse_errno = errnos[i].err;
			return;
		}
	}
	policy_unexpected(r, v,
	                  "one of ECONNREFUSED, EACCES, EPERM, ENETUNREACH, EHOSTUNREACH, "
	                  "ETIMEDOUT");
}

void read_lease(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_duration(r, v, 1, 30 * (int64_t)DAY, &r->d->lease);
}

/* --------------------------------------------------------------- what is demanded */

void read_tee(struct policy_reader *r, const struct policy_value *v)
{
	enum tee t = policy_take_tee(r, v);

	if (t != TEE_NONE)
		r->d->tees |= 1u << t;
}

void read_binder(struct policy_reader *r, const struct policy_value *v)
{
	enum policy_binder b = policy_binder_from_name(v->text);

	if (b == BINDER_NONE)
		policy_unexpected(r, v, "connection, lease, nonce, lease-key or certificate");
	else
		r->d->binder = b;
}

void read_transport(struct policy_reader *r, const struct policy_value *v)
{
	enum attest_transport t = attest_transport_from_name(v->text);

	if (t == TRANSPORT_NONE)
		policy_unexpected(r, v, "keygate, flashbots, atls, ra-tls or well-known");
	else
		r->d->transport = t;
}

void read_kernel_tls(struct policy_reader *r, const struct policy_value *v)
{
	enum policy_kernel_tls k = policy_kernel_tls_from_name(v->text);

	if (k == KERNEL_TLS_NONE)
		policy_unexpected(r, v, "nfs or nvme");
	else
		r->d->kernel_tls = k;
}

static void take_ref(struct policy_reader *r, const struct policy_value *v, struct policy_ref *out)
{
	if (strlen(v->text) >= sizeof(out->name)) {
		policy_unexpected(r, v, "the name of a block");
		return;
	}
	snprintf(out->name, sizeof(out->name), "%s", v->text);
	out->line = v->line;
}

/* No error: a host that starts on the day after must not be without a policy. */
static void warn_expired(struct policy_reader *r, const struct policy_value *v, const char *path,
                         int64_t not_after)
{
	char day[32];

	if (r->now < not_after)
		return;
	policy_date_text(not_after, day);
	policy_warning(r, v->line,
	               "leaf: the statement in %.120s held until %s, what it names is refused; "
	               "put in one that holds, or remove it",
	               path, day);
}

void read_leaf(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;
	struct checks made = {0};
	struct statement s;
	uint8_t *content;
	char *path;
	size_t n;

	if (d->leaves == POLICY_LEAVES_MAX) {
		policy_error(r, v->line, "leaf: more than %d in one destination",
		             POLICY_LEAVES_MAX);
		return;
	}
	if (!policy_load(r, v, LEAF_MAX, &path, &content, &n))
		return;
	if (ledger_statement_parse((struct bytes){content, n}, r->now, &s, &made)) {
		policy_error(r, v->line, "leaf: %.160s is no statement as a ledger holds them",
		             path);
		free(content);
	} else {
		d->leaf[d->leaves++] = (struct bytes){content, n};
		warn_expired(r, v, path, s.not_after);
	}
	free(path);
}

void read_ledger(struct policy_reader *r, const struct policy_value *v)
{
	take_ref(r, v, &r->ref->ledger);
}

void read_release(struct policy_reader *r, const struct policy_value *v)
{
	take_ref(r, v, &r->ref->release);
}

void read_anchor(struct policy_reader *r, const struct policy_value *v)
{
	if (r->ref->anchors == ATTEST_ANCHORS_MAX)
		policy_error(r, v->line, "anchor: more than %d in one destination",
		             ATTEST_ANCHORS_MAX);
	else if (policy_append(r, &r->ref->anchor, r->ref->anchors, sizeof(*r->ref->anchor)))
		take_ref(r, v, &r->ref->anchor[r->ref->anchors++]);
}

void read_server_name(struct policy_reader *r, const struct policy_value *v)
{
	if (!parse_host(v->text, r->d->server_name))
		policy_unexpected(r, v, "a host name");
}

void read_server_key(struct policy_reader *r, const struct policy_value *v)
{
	struct policy_destination *d = r->d;

	if (d->server_keys == POLICY_LIST_MAX)
		policy_error(r, v->line, "server-key: more than %d in one destination",
		             POLICY_LIST_MAX);
	else if (!policy_append(r, &d->server_key, d->server_keys, sizeof(*d->server_key)))
		return;
	else if (strncmp(v->text, "sha256:", 7) ||
	         hex_decode(bytes_str(v->text + 7), d->server_key[d->server_keys], 32))
		policy_unexpected(r, v, "sha256: followed by 64 hexadecimal digits");
	else
		d->server_keys++;
}

void read_built_in_anchors(struct policy_reader *r, const struct policy_value *v)
{
	bool built_in = true;

	policy_take_bool(r, v, &built_in);
	r->d->no_built_in = !built_in;
}

void read_allow_debug(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_bool(r, v, &r->d->allow_debug);
}

void read_require_crl(struct policy_reader *r, const struct policy_value *v)
{
	policy_take_bool(r, v, &r->d->require_crl);
}
