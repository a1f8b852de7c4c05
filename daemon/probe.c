/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sockets for the administrator's probes. On a gated host root's `keygate probe` can't connect to
 * a gated destination by itself: the kernel half would steer it to keygated's listener. So gate
 * makes the socket, as it does for a session: known to the kernel half under a number of its own,
 * tied to one address and port, and dead after PROBE_S. It is no session: it holds no place of one,
 * has no verdict and never gets a key.
 */
#include "daemon/gate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What the policy in force says of the address; *name is the block's, NULL for the default. */
static int action_of(const struct gate *g, const struct gate_intent *to, enum policy_action *action,
                     const char **name)
{
	const struct policy *p = g->now.policy;
	struct policy_resolved *names = NULL;
	size_t n = 0;
	int ret = names_resolved(&g->now.names, &g->learned, p, to->dst, &names, &n);
	const struct policy_who root = {.has_uid = true};
	int at = ret ? -1 : policy_match(p, names, n, to->dst, to->dst_port, &root);

	*name = at < 0 ? NULL : p->destination[at].name;
	*action = at < 0 ? policy_default(p, to->dst) : p->destination[at].action;
	free(names);
	return ret;
}

/* 0 with the socket in *out, which the kernel half lets go there and nowhere else. */
static int make(struct gate *g, const struct gate_intent *to, int *out)
{
	struct probe p = {.kernel_id = g->epoch << GATE_ID_BITS | GATE_PROBE_ID | ++g->probe_last,
	                  .end_ns = gate_boot_ns() + (uint64_t)PROBE_S * 1000000000u};
	int ret = flow_socket(g, p.kernel_id, to, p.end_ns, &p.cookie, out);

	if (ret)
		intercept_session_end(g->ic, p.kernel_id, 0);
	else
		g->probe[g->probes++] = p;
	return ret;
}

json_t *probe_open(struct gate *g, uint64_t client, const uint8_t addr[static 16], uint16_t port)
{
	struct gate_intent to = {.dst_port = port};
	struct sockaddr_storage dst;
	enum policy_action action;
	const char *name;
	char peer[64];
	int fd, ret;

	memcpy(to.dst, addr, sizeof(to.dst));
	flow_sockaddr(&to, &dst);
	record_peer(&dst, peer);
	if (action_of(g, &to, &action, &name))
		return NULL;
	if (!intercept_armed(g->ic) || policy_passes(action))
		return json_pack("{s:b, s:b, s:s?}", "ok", 1, "gated", 0, "destination", name);
	if (action == POLICY_DENY && name)
		return control_error(CONTROL_NO, "destination \"%s\" denies %s", name, peer);
	probe_tick(g);
	if (g->probes == PROBES_MAX)
		return control_error(CONTROL_UNAVAILABLE,
		                     "%d probes are under way; each ends by itself", PROBES_MAX);
	ret = make(g, &to, &fd);
	if (ret)
		return control_error(CONTROL_UNAVAILABLE, "no socket to %s can be made: %s", peer,
		                     strerror(-ret));
	audit_emit(g->audit, "probe",
	           json_pack("{s:s, s:s}", "peer", peer, "destination", name ? name : ""));
	control_pass(g->control, client, fd);
	return json_pack("{s:b, s:b, s:s?, s:i}", "ok", 1, "gated", 1, "destination", name,
	                 "seconds", PROBE_S);
}

/* They all live equally long: those that are over stand first. */
void probe_tick(struct gate *g)
{
	uint64_t now = gate_boot_ns();
	uint32_t over = 0;

	while (over < g->probes && g->probe[over].end_ns <= now)
		intercept_session_end(g->ic, g->probe[over++].kernel_id, 0);
	g->probes -= over;
	memmove(g->probe, g->probe + over, g->probes * sizeof(*g->probe));
}

bool probe_owns(const struct gate *g, uint64_t cookie)
{
	for (uint32_t i = 0; i < g->probes; i++) {
		if (g->probe[i].cookie == cookie)
			return true;
	}
	return false;
}

void probe_stop(struct gate *g)
{
	while (g->probes)
		intercept_session_end(g->ic, g->probe[--g->probes].kernel_id, 0);
}
