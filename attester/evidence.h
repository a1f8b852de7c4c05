/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the destination's half gets its evidence from: the kernel's configfs-tsm or /dev/nsm on a
 * real TEE, or a simulated platform that nobody trusts by default. Knows nothing of TLS or of
 * sockets.
 */
#ifndef KEYGATE_ATTESTER_EVIDENCE_H
#define KEYGATE_ATTESTER_EVIDENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "attest/attest.h"
#include "attest/cmw.h"
#include "core/bytes.h"

enum {
	EVIDENCE_REPORT_MAX = 16384,
	EVIDENCE_ENDORSEMENTS_MAX = 65536, /* each of them */
	EVIDENCE_PIECES_MAX = CMW_ENDORSEMENTS_MAX - 1,
};

/* What a platform gave: the evidence as it makes it, and the pieces that endorse its key
 * (certificates, vendor tables, CRLs, collateral), each as the vendor ships it. */
struct evidence {
	enum tee tee;
	struct buf report;
	struct buf endorsement[EVIDENCE_PIECES_MAX];
	uint32_t endorsements;
};

void evidence_init(struct evidence *e);
void evidence_free(struct evidence *e);
/* Appends a copy of a piece; an empty one is left out. 0, -ENOSPC or -ENOMEM. */
int evidence_endorse(struct evidence *e, struct bytes piece);

/*
 * A source of evidence over 64 bytes of report data. evidence() fills *out, which the caller
 * initialised and frees. Called from several threads. 0 or -errno: without evidence the attester
 * declines, it never answers with less.
 */
struct evidence_source {
	int (*evidence)(void *ctx, const uint8_t report_data[static 64], struct evidence *out);
	void *ctx;
};

#define EVIDENCE_TSM_DIR "/sys/kernel/config/tsm/report"

/*
 * configfs-tsm (Linux Documentation/ABI/testing/configfs-tsm): dir is EVIDENCE_TSM_DIR. Makes an
 * entry of its own for each report and removes it. The provider says which TEE it is: sev_guest,
 * tdx_guest or arm_cca_guest. -ENODEV when the kernel offers none.
 */
int evidence_tsm_open(const char *dir, struct evidence_source *out);
void evidence_tsm_close(struct evidence_source *s);

#define EVIDENCE_NSM_DEVICE "/dev/nsm"

/*
 * The Nitro security module, as a device inside an enclave (Linux 6.8, or AWS's own driver): device
 * is EVIDENCE_NSM_DEVICE. -ENODEV when it is not there, or another -errno.
 */
int evidence_nsm_open(const char *device, struct evidence_source *out);
void evidence_nsm_close(struct evidence_source *s);

/* ------------------------------------------------------------ simulated platform */

/*
 * Makes a simulated platform of this kind in a new directory: its keys, its certificates and
 * collateral, and platform.json, which says what it is. now: POSIX seconds. -EINVAL for a kind that
 * is not simulated, -EEXIST when the directory is there, or another -errno; *step is static text on
 * failure.
 */
int evidence_sim_init(const char *dir, enum tee tee, int64_t now, const char **step);
/* Which kind of platform the directory holds. 0 or -errno. */
int evidence_sim_tee(const char *dir, enum tee *out);

/*
 * Opens one. measured is the file whose hash stands for the code that was measured at launch; it is
 * read once, here: what runs is what was measured, whatever becomes of the file.
 */
int evidence_sim_open(const char *dir, const char *measured, struct evidence_source *out,
                      const char **step);
void evidence_sim_close(struct evidence_source *s);
/* The registers that evidence_sim_open would give this file on a platform of this kind. */
int evidence_sim_measure(enum tee tee, const char *measured, struct measurements *out);

#endif
