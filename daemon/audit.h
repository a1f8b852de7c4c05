/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The record of what keygated did: each event is one JSON line in STATE/audit.jsonl (mode 0600),
 * one "event:" line on standard error (its scalar members), and one line to every `watch` client.
 * Never a secret: keys are named by serial, evidence by digests.
 *
 * Events and their members, beside "event" and "at":
 *   started          version, kernel, policy (generation), user
 *   stopping         reason
 *   self-test        id, ok, detail
 *   fatal            reason
 *   role-started     role, pid
 *   policy-loaded    generation, destinations, prefixes
 *   policy-refused   errors, issues
 *   policy-not-kept  error (STATE/policy.last can't be written: at a boot, the one before counts)
 *   names-changed    host, addresses, error (empty, or why the old table stays: what is new in
 *                    addresses is then not in it); no host: what applications were told could not
 *                    be put under the rules of a new policy
 *   names-surplus    host, count, addresses (what there was no room for, so it is not gated; count
 *                    is higher than there are addresses where one answer had too many)
 *   executables-changed   error (empty, or why the files that are new at paths of the policy's
 *                    executables do not count)
 *   names-forgotten  error (STATE/names.json can't be read; names are learnt anew)
 *   name-unresolved  host, error
 *   name-learned     host, address, user (who was told)
 *   armed / disarmed
 *   armed            by, policy (where it is from), destinations, prefixes: without keygated
 *   swept            sockets, or error
 *   session-refused  the RECORD of control.h
 *   session-released the RECORD of control.h, key, ring, until, cipher
 *   session-monitored   the RECORD of control.h: the application's connection is NOT protected
 *   session-cut      session, destination, code, detail
 *   session-closed   session, destination, code, detail, app_to_peer, peer_to_app
 *   head-saved       origin, size, root
 *   head-not-saved   origin, size, root, error
 *   ledger-fork      origin, size, root, file (or why there is none)
 *   ledger-pending   origin, from, to, error (a consistency proof that could not be had)
 *   ledger-alert     origin, and the ALERT of control.h: an entry that nobody expected
 *   ledger-watch     origin, size, code, detail: whether a log's entries can be read
 *   ledger-watch-forgotten / ledger-watch-not-saved   origin, error
 *   ledger-not-watched   ledger, origin, detail
 *   probe            peer, destination (empty: the default): root's tool was given a socket to a
 *                    gated destination
 *   kernel-refused   kind ("connect", "datagram", "packet"), destination, peer, protocol, app
 *   suppressed       count (beyond AUDIT_CHEAP_EVENTS a second of what any user can cause at no
 *                    cost: kernel-refused, and session-refused and session-monitored
 *                    without a verdict)
 */
#ifndef KEYGATE_DAEMON_AUDIT_H
#define KEYGATE_DAEMON_AUDIT_H

#include <jansson.h>
#include <stdbool.h>

enum { AUDIT_FILE_MAX = 64 << 20, AUDIT_CHEAP_EVENTS = 50 };

struct audit;
typedef void (*audit_watch_fn)(void *ctx, const char *line, size_t n);

/* 0 or -errno. The file is appended to; past AUDIT_FILE_MAX it is renamed to PATH.1. */
int audit_open(const char *path, struct audit **out);
void audit_close(struct audit *a);
/* After the file was moved away (logrotate, SIGHUP). On failure the old one stays in use. */
int audit_reopen(struct audit *a);
void audit_watch(struct audit *a, audit_watch_fn fn, void *ctx);
/*
 * Takes the reference of members (an object, or NULL for none); adds "event" and "at". a may be
 * NULL: then only standard error gets it. A record that can't be written is said so on standard
 * error; it never stops a refusal.
 */
void audit_emit(struct audit *a, const char *event, json_t *members);

/* A JSON string of hostile or fixed-array text: cut at cap, '?' for what is not printable ASCII. */
json_t *audit_text(const char *s, size_t cap);

#endif
