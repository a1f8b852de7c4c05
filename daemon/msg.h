/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the roles of keygated, over SOCK_SEQPACKET socketpairs: one packet a message,
 * a header, a payload whose length is fixed by the type, at most one descriptor. What is large
 * (evidence, a policy bundle, a note) travels as a sealed memfd. An unknown type, a wrong length or
 * bytes that could still change are fatal to the receiver: the peer role is then not what it
 * should be.
 *
 *   relay  -> gate    ACCEPTED  an app connected to the listener; who is it?
 *   gate   -> relay   CONNECT   intent found: go there, on this socket (marked as ours)
 *                     REFUSE    no: reset the app
 *   relay  -> gate    APPRAISE  the evidence of this connection (memfd)
 *                     RESUMED   none: the peer took up the lease that CONNECT had it offer
 *   gate   -> verify  APPRAISE  the same
 *   verify -> gate    SHOWN     what a verdict that follows and passes was made of (memfd)
 *   verify -> gate    VERDICT   sealed verdict, head update, note (memfd)
 *   gate   -> relay   HANDOVER  verdict passed and state is on disk, or the lease's verdict holds:
 *                               give the secrets
 *   relay  -> gate    RELEASE   secrets, record counts, the socket
 *   gate   -> relay   LIVE      keys are in the kernel: relay
 *   relay  -> gate    REKEY     a KeyUpdate went out or came in: the next key of that direction
 *   gate   -> relay   REKEYED   it is in the kernel: go on in that direction
 *   gate   -> relay   LOOK      what has a live session carried?
 *   relay  -> gate    LOOKED    payload bytes, and the socket to ask the kernel about
 *   gate   -> relay   CUT       end this session now: reset both sides
 *   relay  -> gate    CLOSED    the session is over; counts and why
 *   gate   -> relay   LISTEN    a listener to accept on (marked as ours)
 *                     UNLISTEN  no more on those in this network namespace: close them
 *   gate   -> relay   OPEN      a connection is wanted that is no app's: as if one had connected,
 *                               ACCEPTED
 *   gate   -> verify  POLICY    bundle (memfd); verify -> gate: POLICY_DONE
 *   gate   -> verify  HEAD      a last-seen head (at start; and when one could not be saved)
 *   gate   -> verify  ADVANCE   another head (note memfd) and a consistency proof; session 0
 *   verify -> gate    VERDICT   of an ADVANCE: session 0
 *   gate   -> verify  RECHECK   what a live session had SHOWN (memfd), under newer collateral;
 *                               verify -> gate: RECHECKED
 *   gate   -> fetch   RESOLVE   a host name; fetch -> gate: RESOLVED
 *   gate   -> fetch   PROVE     a leaf; fetch -> gate: PROVED with its place and path
 *   gate   -> verify  PROOF     made of that
 *   gate   -> fetch   TAIL      which entries of a log; fetch -> gate: TAILED with them, proved
 *   gate   -> verify  WATCH     these; verify -> gate: WATCHED, which of them are to be alerted
 *   gate   -> fetch   CONSISTENCY  from, to, prefix; fetch -> gate: CONSISTENT with the proof
 *   gate   -> each    PING      are you alive? each -> gate: PONG, once all before it is done
 *
 * A session starts with ACCEPTED and ends with exactly one CLOSED, after REFUSE and after CUT too:
 * until then its id is gate's. Messages that cross a CUT on the way are dropped by gate; what else
 * does not fit a session's state is fatal to relay.
 *
 * Essay: roles and trust. gate (root) owns BPF, policy, custody, state and the control socket; it
 * parses nothing that came from the network. relay and verify and fetch run as an unprivileged
 * user. relay sees hostile TLS; verify sees hostile evidence and proofs; a verdict comes only from
 * verify, over verify's own socket, so a compromised relay can't talk itself into a release.
 * Secrets cross once, in RELEASE, both ends wipe; for a rekey relay hands in the socket and gate
 * does the rest, so no secret crosses at all. A lease's secret crosses back, in the CONNECT of each
 * session that is to offer it. relay can claim RESUMED while its lease lasts; but it can attest
 * truly and hand in secrets of its own choice, so that gains it time, not reach: the socket and
 * where it leads are gate's. Any role's death ends keygated: the kernel half then refuses.
 */
#ifndef KEYGATE_DAEMON_MSG_H
#define KEYGATE_DAEMON_MSG_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>
#include "attest/lease.h"
#include "attest/transport.h"
#include "core/verdict.h"
#include "keyring/keyring.h"
#include "policy/policy.h"

enum msg_type {
	MSG_NONE = 0,
	MSG_LISTEN,
	MSG_ACCEPTED,
	MSG_CONNECT,
	MSG_REFUSE,
	MSG_APPRAISE,
	MSG_VERDICT,
	MSG_HANDOVER,
	MSG_RELEASE,
	MSG_LIVE,
	MSG_CUT,
	MSG_CLOSED,
	MSG_POLICY,
	MSG_POLICY_DONE,
	MSG_HEAD,
	MSG_ADVANCE,
	MSG_RESOLVE,
	MSG_RESOLVED,
	MSG_CONSISTENCY,
	MSG_CONSISTENT,
	MSG_COLLATERAL,
	MSG_COLLATERAL_DONE,
	MSG_FETCH,
	MSG_FETCHED,
	MSG_REKEY,
	MSG_REKEYED,
	MSG_LOOK,
	MSG_LOOKED,
	MSG_PROVE,
	MSG_PROVED,
	MSG_PROOF,
	MSG_RESUMED,
	MSG_PING,
	MSG_PONG,
	MSG_TAIL,
	MSG_TAILED,
	MSG_WATCH,
	MSG_WATCHED,
	MSG_SHOWN,
	MSG_RECHECK,
	MSG_RECHECKED,
	MSG_UNLISTEN,
	MSG_OPEN,
	MSG_MAX,
};

struct msg_head {
	uint32_t type;
	uint32_t len; /* of the payload */
	/* Session id: chosen by relay in ACCEPTED (its own counter, never 0, never reused), kept by
	 * all. 0 where the message belongs to no session; request number for fetch and OPEN. */
	uint64_t session;
};

struct msg_accepted {
	struct sockaddr_storage peer; /* of the accepted connection: the app's side */
	uint64_t netns;               /* cookie of the listener's namespace */
	uint64_t opened;              /* the number of the OPEN that this answers; 0: an app's */
};

struct msg_unlisten {
	uint64_t netns; /* cookie */
};

struct msg_connect { /* + descriptor: the socket to connect, marked as ours */
	struct sockaddr_storage dst;
	char destination[POLICY_NAME_MAX];
	char server_name[254];
	uint32_t handshake_ms; /* from connect() to verdict, all together */
	uint32_t transport;    /* enum attest_transport */
	uint8_t context[32];   /* fresh certificate_request_context, from gate: the verifier's nonce
	                        */
	bool lease_asked;      /* ask for a lease, should the peer be attested */
	bool connected;        /* the kernel's: it is connected, and stays as it is found */
	struct attest_lease offer; /* secret; psk_len 0: none */
};

struct msg_refuse {
	char code[CHECK_ID_MAX];
};

struct msg_appraise {         /* + memfd: request || message || leaf */
	uint32_t destination; /* index in the policy of `generation`; relay leaves both 0 */
	uint32_t generation;
	int64_t at; /* gate fills it */
	/* What the memfd holds, as struct transport_evidence says. */
	uint32_t request_len, message_len, leaf_len;
	uint32_t transport;    /* gate fills it, from its own record, */
	char server_name[254]; /* and this, */
	uint8_t context[32];   /* and this, */
	bool lease_asked;      /* and this */
	struct authenticator_keys keys;
	uint8_t exporter[FLASHBOTS_EXPORTER_LEN];
	policy_trouble trouble; /* gate fills it */
};

/*
 * + memfd: the checkpoint note when head.step is FIRST, ADVANCE or AHEAD, or SAME with a newer
 * time; on a fork and on a rollback
 */
struct msg_verdict {
	struct verdict verdict;
	struct policy_head_update head;
	struct policy_wants wants;
	/* Of a passed one that is of a session and came with a lease: how long the peer grants it,
	 * and the verdict of the connections that will rest on it. 0: none. */
	uint32_t lease_s;
	struct verdict lease;
};

/*
 * + memfd: the evidence and its endorsements in a wrapper (attest/cmw.h). No secret: what ties it
 * to the connection is in it as a hash.
 */
struct msg_shown {
	uint32_t binder; /* enum policy_binder */
	uint8_t spki_sha256[32];
	uint8_t report_data[64];
};

enum { SHOWN_MAX = 65536 }; /* of the wrapper; what is larger can't be judged again */

struct msg_recheck { /* + memfd: as it came in SHOWN */
	uint32_t destination;
	uint32_t generation;
	int64_t at;
	struct msg_shown shown;
};

struct msg_rechecked {
	uint32_t result; /* enum check_status */
	/* What refuses; empty when it is CHECK_PASS. */
	char code[CHECK_ID_MAX];
	char detail[CHECK_DETAIL_MAX];
};

struct msg_release { /* + descriptor: the connected socket, a duplicate */
	struct keyring_secrets secrets;
	struct attest_lease lease; /* what CONNECT asked for; psk_len 0: none */
};

struct msg_live {
	int64_t until;
	/* Of one key, after which the next is due. 0: this kernel replaces no keys. */
	uint64_t rekey_records;
};

struct msg_rekey {          /* REKEY: + descriptor: the connected socket, a duplicate */
	uint32_t direction; /* enum keyring_direction */
};

struct msg_looked { /* + descriptor: the same */
	uint64_t app_to_peer;
	uint64_t peer_to_app;
};

struct msg_cut {
	char code[CHECK_ID_MAX];
};

struct msg_closed {
	char code[CHECK_ID_MAX]; /* core/codes.def; "session.end" for a clean end */
	char detail[CHECK_DETAIL_MAX];
	uint64_t app_to_peer; /* payload bytes */
	uint64_t peer_to_app;
};

struct msg_policy_done {
	int32_t err; /* 0 or -errno */
	uint32_t generation;
};

struct msg_policy { /* + memfd: bundle */
	uint32_t generation;
	int64_t now;
};

struct msg_head_known {
	char origin[NOTE_NAME_MAX + 1];
	struct ledger_last last;
};

struct msg_advance { /* + memfd: the checkpoint note */
	uint32_t ledger;
	uint32_t generation;
	int64_t at;
	uint32_t look;    /* only what kind of step it would be: no proof is at hand yet */
	uint32_t compare; /* moves nothing, and the log's signature is enough */
	uint32_t proof_n;
	struct hash from_root; /* as in struct msg_consistent */
	struct hash proof[PATH_MAX_HASHES];
};

struct msg_resolve {
	char host[254];
};

struct msg_resolved {
	int32_t err; /* 0 or a negative EAI_* */
	uint32_t n;
	uint32_t more; /* addresses that there was no room for */
	int32_t ttl;   /* seconds that the answer is good for; -1: nobody said */
	uint8_t addr[64][16];
};

struct msg_consistency {
	char url[512];
	char ca[256]; /* as in struct policy_source */
	uint64_t from, to;
	struct hash to_root; /* signed; tiles that don't add up to it are no proof of anything */
};

struct msg_consistent {
	/*
	 * 0 or -errno: -ENOENT (a tile is not there), -EHOSTUNREACH (nobody there), -ETIMEDOUT (too
	 * slow), -EFBIG (more than a tile holds), -ENODATA (less), -EBADMSG (the tiles don't add up
	 * to the root), -EIO.
	 */
	int32_t err;
	uint32_t n;
	struct hash from_root;              /* of the first `from` leaves of the tree of `to` */
	struct hash proof[PATH_MAX_HASHES]; /* that it is */
};

struct msg_prove { /* where in the tree is this leaf, the newest of several, and what proves it? */
	char url[512];
	char ca[256]; /* as in struct policy_source */
	uint64_t size;
	struct hash root;
	struct hash leaf;
	uint32_t have;
	uint64_t index; /* if have: it is there, or behind it */
};

struct msg_proved {
	int32_t err; /* as in struct msg_consistent; and -ESRCH: it is not there, as far as was
	                looked */
	uint32_t n;
	uint64_t index;
	struct hash path[PATH_MAX_HASHES];
};

struct msg_proof { /* + memfd: a tlog-proof; for peers that staple none */
	char origin[NOTE_NAME_MAX + 1];
	struct hash leaf;
};

struct msg_tail { /* an entry bundle of a log, and that it is part of the tree */
	char url[512];
	char ca[256]; /* as in struct policy_source */
	uint64_t n;   /* which bundle: entries 256 * n and so on */
	uint64_t size;
	struct hash root;
};

struct msg_tailed {  /* + memfd if err is 0: the bundle, as wide as the tree has it */
	int32_t err; /* as in struct msg_consistent */
	uint32_t proof_n;
	struct hash proof[PATH_MAX_HASHES]; /* as ledger_entries_verify takes it */
};

struct msg_watch { /* + memfd: the bundle */
	uint32_t ledger, generation;
	uint64_t n, size;
	uint64_t from; /* the first entry that is to be judged */
	struct hash root;
	uint32_t proof_n;
	struct hash proof[PATH_MAX_HASHES];
};

enum { WATCHED_MAX = 8 };

struct msg_watched {
	/* 0; -EBADMSG: the bundle is not the tree's; -ESTALE: another policy is in force; -errno.
	 */
	int32_t err;
	uint32_t n;
	uint64_t upto; /* entries below it were judged; the rest has to be asked for again */
	struct policy_alert alert[WATCHED_MAX];
};

struct msg_collateral {              /* + memfd: the piece */
	struct collateral_name name; /* what it has to be, or it is not kept */
};

struct msg_collateral_done {
	int32_t err;         /* 0 or -errno */
	int64_t from, until; /* when it may be used, by its own word */
	uint32_t known;      /* the very piece was there already */
};

enum { FETCH_URL_MAX = 1024, FETCH_TAG_MAX = 128 };

struct msg_fetch {
	char url[FETCH_URL_MAX];
	char ca[256];            /* as in struct policy_source */
	char tag[FETCH_TAG_MAX]; /* of what is there: its ETag, else the date of its last change */
	uint32_t max;            /* bytes, below COLLATERAL_PIECE_MAX; 0: that */
};

/* Zero: there was no answer that says anything. */
enum fetch_result {
	FETCH_NONE = 0,
	FETCH_OK,
	FETCH_SAME, /* what is there is still good */
	FETCH_GONE, /* there is no such thing */
	FETCH_BUSY, /* asked too often, or out of order for a while */
	FETCH_AWAY, /* nobody there: no name, no connection, no TLS */
	FETCH_SLOW,
	FETCH_LARGE, /* more than what is asked for can be */
	FETCH_SHORT, /* empty, or it broke off */
};

struct msg_fetched { /* + memfd when OK: the piece, then its signers' chain (PEM) */
	uint32_t result;
	uint32_t piece_n, chain_n;
	uint32_t retry_after; /* seconds; 0: the server said nothing */
	char tag[FETCH_TAG_MAX];
	char error[CHECK_DETAIL_MAX]; /* what the service did, e.g. "answered 404" */
};

/* Payload length of a type; -1 for an unknown one. */
ssize_t msg_len(enum msg_type type);
/*
 * Sends one message; fd -1 for none (the descriptor stays the caller's). Blocks at most until the
 * peer reads; never splits. 0 or -errno.
 */
int msg_send(int sock, enum msg_type type, uint64_t session, const void *payload, int fd);
/*
 * Receives one message into payload (of cap bytes). *fd is -1 or a CLOEXEC descriptor that the
 * caller owns. 0; -EAGAIN; -EPIPE when the peer is gone; -EPROTO for anything malformed.
 */
int msg_recv(int sock, struct msg_head *head, void *payload, size_t cap, int *fd);

union msg_any {
	struct msg_accepted accepted;
	struct msg_connect connect;
	struct msg_refuse refuse;
	struct msg_appraise appraise;
	struct msg_verdict verdict;
	struct msg_release release;
	struct msg_live live;
	struct msg_rekey rekey;
	struct msg_looked looked;
	struct msg_cut cut;
	struct msg_closed closed;
	struct msg_policy_done policy_done;
	struct msg_policy policy;
	struct msg_head_known head_known;
	struct msg_advance advance;
	struct msg_resolve resolve;
	struct msg_resolved resolved;
	struct msg_consistency consistency;
	struct msg_consistent consistent;
	struct msg_collateral collateral;
	struct msg_collateral_done collateral_done;
	struct msg_fetch fetch;
	struct msg_fetched fetched;
	struct msg_prove prove;
	struct msg_proved proved;
	struct msg_proof proof;
	struct msg_tail tail;
	struct msg_tailed tailed;
	struct msg_watch watch;
	struct msg_watched watched;
	struct msg_shown shown;
	struct msg_recheck recheck;
	struct msg_rechecked rechecked;
	struct msg_unlisten unlisten;
};

#endif
