/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a hostile host hands over as certificates: the table, then whatever its entries hold as
 * certificates, CRLs and anchors. Entries lie within the table and behind its list.
 */
#include "tests/fuzz/fuzz.h"

#include "attest/snp.h"

static void use_certificate(struct bytes data)
{
	struct pki_bag bag = {0};
	struct pki_pins pins = {0};

	(void)pki_bag_add(&bag, data);
	(void)pki_pins_add(&pins, &bag, data);
	MUST(bag.certs <= PKI_CERTS_MAX && bag.crls <= PKI_CRLS_MAX && pins.n <= PKI_PINS_MAX);
	for (uint32_t i = 0; i < bag.certs; i++) {
		struct bytes ext;
		uint8_t hash[32];
		char cn[64];

		(void)pki_valid_at(bag.cert[i], 1750000000);
		(void)pki_common_name(bag.cert[i], cn, sizeof(cn));
		(void)pki_extension(bag.cert[i], SNP_OID_HWID, &ext);
		(void)pki_spki_sha256(bag.cert[i], hash);
		(void)pki_issued(bag.cert[i], bag.cert[0]);
		(void)pki_path(bag.cert[i], NULL, bag.cert[0]);
		(void)pki_crl_of(&bag, bag.cert[i], 1750000000);
	}
	pki_bag_free(&bag);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};
	struct snp_table t;

	if (attest_snp_table(in, &t)) {
		use_certificate(in);
		return 0;
	}
	MUST(t.n > 0 && t.n <= SNP_TABLE_ENTRIES_MAX);
	for (uint32_t i = 0; i < t.n; i++) {
		struct bytes v = t.v[i].content;

		MUST(v.n && v.p >= data + (t.n + 1) * SNP_TABLE_ENTRY_LEN);
		MUST((size_t)(v.p - data) <= size - v.n);
		use_certificate(v);
	}
	return 0;
}
