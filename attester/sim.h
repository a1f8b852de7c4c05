/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The simulated SNP platform's two halves: its certificates and keys on disk (sim_init.c), and
 * reports signed by its chip key (sim.c). Private to the attester.
 */
#ifndef KEYGATE_ATTESTER_SIM_H
#define KEYGATE_ATTESTER_SIM_H

#define SIM_FORMAT   "keygate-sim-snp/1"
#define SIM_PRODUCT  "Milan"
#define SIM_PLATFORM "platform.json"
#define SIM_CHIP_KEY "vcek.key"
#define SIM_ARK_CERT "ark.pem"   /* the anchor that a policy has to name */
#define SIM_CHAIN    "chain.pem" /* VCEK, ASK, and the ARK's CRL: the endorsements */

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

#endif
