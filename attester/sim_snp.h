/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated SNP platform's two halves: its certificates and keys on disk (sim_snp_init.c), and
 * reports signed by its chip key (sim_snp.c). Private to the attester.
 */
#ifndef KEYGATE_ATTESTER_SIM_SNP_H
#define KEYGATE_ATTESTER_SIM_SNP_H

#include <stdint.h>

#define SIM_SNP_FORMAT "keygate-sim-snp/1"
#define SIM_PRODUCT    "Milan"
#define SIM_CHIP_KEY   "vcek.key"
#define SIM_ARK_CERT   "ark.pem"   /* the anchor that a policy has to name */
#define SIM_CHAIN      "chain.pem" /* VCEK, ASK, and the ARK's CRL: the endorsements */

/* A Milan machine with firmware of its day. */
enum {
	SIM_CPU_FAMILY = 0x19,
	SIM_CPU_MODEL = 0x01,
	SIM_CPU_STEPPING = 0x01,
	SIM_SPL_BOOTLOADER = 4,
	SIM_SPL_TEE = 0,
	SIM_SPL_SNP = 22,
	SIM_SPL_MICROCODE = 213,
};

#define SIM_GUEST_POLICY 0x30000 /* SMT allowed; no debug, no migration */

/* As init of struct sim_platform. */
int sim_snp_init(const char *dir, int64_t now, const char **step);

#endif
