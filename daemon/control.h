/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: RUN/control.sock, SOCK_STREAM, mode 0600, peers of uid 0 only (SO_PEERCRED).
 * This comment is the protocol; clients are written from it, not from this header's C.
 *
 * A client sends one JSON object on one line (at most CONTROL_REQUEST_MAX bytes with the LF) and
 * gets one JSON object on one line (at most CONTROL_RESPONSE_MAX); it may then send the next.
 * Unknown verbs, unknown or missing members, duplicate members and oversized lines are answered by
 * an error; an oversized line also ends the connection. Field names are stable; members may be
 * added. Times are POSIX seconds, addresses text ("192.0.2.1", "2001:db8::1"; never v4-mapped),
 * a "peer" is "192.0.2.1:443" or "[2001:db8::1]:443", digests lower-case hex.
 *
 * Every answer has "ok": true, or "ok": false with
 *   "kind":  "usage" (the request or a configuration file is wrong: exit 1), "no" (asked for
 *            something that is refused or not there: exit 2), "unavailable" (can't tell or can't do
 *            it now: exit 3)
 *   "error": one sentence for the administrator
 *   "issues": only when policy files are wrong: [ISSUE]
 *
 * ISSUE   {"error": bool (else a warning), "file", "line", "text"}
 * APP     {"pid", "uid", "comm", "cgroup" (id, integer)}
 * VERDICT as core/verdict's verdict_to_json
 * RECORD  what became of one session that got as far as an answer:
 *         {"at", "session", "destination", "peer", "app": APP, "mode": "gate"|"monitor",
 *          "outcome": "released"|"refused"|"monitored", "code": id in core/codes.def, or "" when
 *          released or, monitored, it passed, "title", "advice" (of the code), "detail",
 *          "verdict": VERDICT|null (null: it ended before there was evidence)}, and when monitored
 *          "protected": false
 *
 * {"verb":"status"}
 *   "version", "kernel" (release), "pid", "started_at", "armed": bool, "keyring_watch": bool,
 *   "tunnels_refused": bool, "self_test": [{"id", "ok": bool, "detail"}],
 *   "guard": {"on": bool, "off": null|text (why)},
 *   "policy": {"generation", "loaded_at", "files", "destinations", "ledgers", "prefixes"
 * (compiled), "default": "deny"|"gate"|"allow", "warnings": [ISSUE], "last_error": null | {"at",
 * "issues": [ISSUE]} (of a reload that was refused)}, "names": [{"destination", "host",
 * "addresses": [text], "resolved_at", "error": null|text}], "ledgers": [{"name", "url"}], "heads":
 * [{"origin", "size", "root", "saved_at"}], "forks": how many fork records the state directory
 * holds, "roles": [{"name", "pid"}], "sessions": {"capacity", "opening" (before release), "live"},
 *   "counters": {name: integer}: the kernel's "gated" "denied" "no_listener" "datagram" "backstop"
 *               "cut" "revoked" "map_full" "event_lost", keygated's "accepted" "released" "refused"
 *               "closed" "revoked_sessions" "lease_over"; of what is monitored the kernel's
 *               "monitored" "monitor_lost", keygated's "monitor_looks"
 *   "monitor": {"destinations" (blocks that only monitor), "places", "capacity", "looking",
 *     "waiting", "every" (seconds), "skipped"}
 *
 * {"verb":"sessions"}
 *   "sessions": [{"id", "state": "connecting"|"appraising"|"handover"|"live"|"closing",
 *     "destination", "peer", "app": APP, "since" (accept), "mode": "gate"|"monitor", and when live:
 *     "binder", "tee", "server_key", "measurement": as in VERDICT, "cipher" (TLS name),
 *     "key": serial, "ring": serial, "key_state": "valid"|"revoked"|"expired"|"gone",
 *     "released_at", "until", "protected": bool, "kernel_tls": null|{"version", "cipher", "tx",
 *     "rx"}, "rekeys": {"sent", "received"}, "records": null|{"sent", "received"}, "bytes":
 *     null|{"app_to_peer", "peer_to_app"}}]. null: it could not be found out in time.
 *
 * {"verb":"explain","host":H,"port":P} and optionally "addresses":[text]: what H resolves to for
 *   the client. H is an address or a name. keygated adds the addresses by which it knows the name.
 *   "host", "port", "armed", "matches": [{"address", "action": "deny"|"gate"|"allow",
 *     "destination": name | null (the default), "file", "line" (of the destination block),
 *     "requirement": [text] (in words)}],
 *   "last": RECORD|null, the last one for the first matched destination.
 *   "matches" is empty when the name has no known address; the client says so.
 *
 * {"verb":"probe","address":A,"port":P}
 *   "gated": bool, "destination": name | null (the default). When gated, a TCP socket comes with
 * the first byte of the answer (SCM_RIGHTS), not connected, that the kernel half lets connect and
 * send to A and P and nowhere else, for "seconds" from now. It is no session: no evidence was
 * judged, and none of an application's bytes may go through it. When not gated, or disarmed, the
 * client makes a socket of its own. A destination block that denies: kind "no". Too many at a time:
 *   "unavailable".
 *
 * {"verb":"verdicts"} and optionally "limit": N (1..CONTROL_RECORDS_MAX)
 *   "verdicts": [RECORD], newest first.
 *
 * {"verb":"ledger"}
 *   "ledgers": [{"name", "max_age", "sources": [{"origin", "witness": name|null (the log itself),
 *     "url", "ok": bool, "code" (id in core/codes.def, or ""), "detail", "tried_at", "ok_at",
 *     "next_try"}]}],
 *   "heads": [{"origin", "size", "root", "at" (vouched for), "saved_at", "forked": bool, "forks",
 *     "earlier": [{"size", "root", "at"}]}]
 *
 * {"verb":"ledger-evidence"}
 *   "evidence": [{"origin", "at", "peer", "from", "to"}] of all forks on record.
 * {"verb":"ledger-evidence","origin":O,"at":T}
 *   "evidence": EVIDENCE, as docs/json.md has it. Not there: kind "no".
 *
 * {"verb":"ledger-watch"}
 *   "logs": [{"ledger", "origin", "size" (entries read), "head" (entries of the last-seen head),
 *     "ok": bool (all of a head that is well were read), "code" (id in core/codes.def, or ""),
 *     "detail", "tried_at", "ok_at", "dropped" (alerts that there was no room to keep),
 *     "alerts": [ALERT]}], oldest first. No ledger has a watch: kind "usage".
 *   ALERT {"index", "at", "leaf", "code", "subject", "version", "detail", "launch": [{"tee",
 * "value", "alone": bool (it names no other register of that platform)}]}
 *
 * {"verb":"ledger-forget","origin":O}
 *   "moved_to": where its head and evidence went. No such origin: kind "no".
 *
 * {"verb":"revoke","session":ID} or {"verb":"revoke","destination":NAME}
 *   "revoked": count. No such session or destination: kind "no". A destination without a live
 *   session: ok, 0.
 *
 * {"verb":"reload"}
 *   "generation", "added": [name], "removed": [name], "changed": [name] (destinations),
 *   "sessions_cut", "sessions": [{"id", "destination", "peer", "why"}] (those that were cut;
 *   of very many the first 1000), "warnings": [ISSUE]. Wrong files: kind "usage" with "issues"; the
 * policy in force stays. A reload already running: kind "unavailable".
 *
 * {"verb":"arm"} / {"verb":"disarm"}
 *   "armed": bool. Disarm leaves programs and maps in place but gates nothing; live sessions stay
 *   sessions. Start-up always arms.
 *
 * {"verb":"watch"}
 *   {"ok":true,"watching":true}, then one line an event until the client closes:
 *   {"event": name, "at": time, ...} with the members that daemon/audit.h lists. The client sends
 *   nothing more. A client that does not keep up is disconnected.
 */
#ifndef KEYGATE_DAEMON_CONTROL_H
#define KEYGATE_DAEMON_CONTROL_H

#include <jansson.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	CONTROL_REQUEST_MAX = 16384,
	CONTROL_RESPONSE_MAX = 16 << 20,
	CONTROL_CLIENTS_MAX = 16,
	CONTROL_RECORDS_MAX = 256,
	CONTROL_WATCH_BACKLOG = 1 << 20, /* bytes that a watch client may be behind */
	CONTROL_POLL_MAX = CONTROL_CLIENTS_MAX + 1,
};

struct control;

/*
 * Answers one request object (borrowed) of a client: an object, which control takes, or NULL when
 * the answer comes later by control_reply. Client numbers are never reused.
 */
typedef json_t *(*control_answer_fn)(void *ctx, uint64_t client, json_t *request);

/* Replaces a stale socket at path. 0 or -errno. */
int control_open(const char *path, control_answer_fn fn, void *ctx, struct control **out);
void control_close(struct control *c);
/* Fills at most CONTROL_POLL_MAX entries, says how many; then their results. Never blocks. */
size_t control_poll(struct control *c, struct pollfd p[static CONTROL_POLL_MAX]);
void control_handle(struct control *c, const struct pollfd *p, size_t n);
/* The late answer. Takes the object; a client that is gone is fine. */
void control_reply(struct control *c, uint64_t client, json_t *answer);
/* The descriptor goes to the client with the answer that is made next. Takes it. */
void control_pass(struct control *c, uint64_t client, int fd);
/* From now on the client gets what control_broadcast is given. */
void control_watch(struct control *c, uint64_t client);
void control_broadcast(struct control *c, const char *line, size_t n);

enum control_kind { CONTROL_USAGE = 0, CONTROL_NO, CONTROL_UNAVAILABLE };
/* {"ok": false, "kind", "error"}; NULL when out of memory. */
__attribute__((format(printf, 2, 3))) json_t *control_error(enum control_kind kind, const char *fmt,
                                                            ...);

#endif
