/* SPDX-License-Identifier: Apache-2.0 */
/* What a probe was asked for and what it found: for the files of `keygate probe`. Private to cli/.
 */
#ifndef KEYGATE_CLI_PROBE_H
#define KEYGATE_CLI_PROBE_H

#include <limits.h>
#include "attest/attest.h"
#include "cli/client.h"
#include "cli/target.h"
#include "ledger/ledger.h"
#include "transport/transport.h"

struct probe {
	/* Asked for. */
	struct client client; /* --json, --socket */
	bool explain;
	struct target target;
	enum attest_transport transport;
	char server_name[AUTHENTICATOR_NAME_MAX + 1]; /* empty: none */
	struct attest_input in;                       /* anchors, collateral, time */
	char anchor[ATTEST_ANCHORS_MAX][PATH_MAX];    /* absolute */
	char ledger_path[PATH_MAX];                   /* absolute; empty: none */
	struct tlog_policy *tlog;                     /* owned; NULL: none */
	int (*confine)(void);
	uint32_t timeout; /* seconds */

	/* Found. */
	char peer[TARGET_PEER_TEXT]; /* the address that was tried last */
	struct transport_evidence evidence;
	struct attest_opened shown; /* if opened */
	struct claims claims;       /* if judged */
	struct statement statement; /* if has_statement; a peer's word unless logged */
	struct checkpoint head;     /* of its proof, if has_head; as above */
	uint64_t index;
	uint16_t suite;     /* of TLS; 0: no handshake */
	bool opened;        /* evidence arrived, authentic to the connection */
	bool judged;        /* claims are those of the evidence */
	bool holds;         /* and attest/'s checks pass, the TCB's status aside */
	bool has_statement; /* parsed */
	bool has_head;      /* parsed */
	bool logged;        /* the proof holds, and the statement names these registers */
	struct checks checks;
};

/*
 * probe.c: the command; confine (may be NULL) is called once the connection stands, before anything
 * that the peer sent is read, and after all files were. 0 or -errno.
 */
int probe_main(int argc, char **argv, int (*confine)(void));
/* probe_print.c: to standard output. 0, or CMD_UNKNOWN when out of memory. */
int probe_print_text(const struct probe *p);
int probe_print_json(const struct probe *p);

#endif
