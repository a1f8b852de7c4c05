/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sigsum proofs and policies: what parses is within its limits; with the keys of the seeds a proof
 * passes only for the head that their log signed, and for no other message.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/ledger.h"

/* The keys of the seeds are 32 times the byte 1 (log), 2 (submitter), 10 and 11 (witnesses). */
#define POLICY \
	"log 8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c\n" \
	"witness a 43a72e714401762df66b68c26dfbdf2682aaec9f2474eca4613e424a0fbafd3c\n" \
	"witness b 66be7e332c7a453332bd9d0a7f7db055f5c5ef1a06ada66d98b39fb6810c473a\n" \
	"group both all a b\n" \
	"quorum both\n"
#define SUBMITTER "8139770ea87d175f56a35466c34c7ecccb8d8a91b4ee37a25df60f5b8fc9b394"

static void policies(struct bytes in)
{
	static struct tlog_policy p;
	const char *why;
	uint32_t line;

	if (ledger_sigsum_policy_parse(in, &p, &line, &why))
		MUST(why);
	MUST(p.logs <= TLOG_KEYS_MAX && p.witnesses <= TLOG_KEYS_MAX &&
	     p.groups <= TLOG_GROUPS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlog_policy policy;
	static uint8_t key[SIGSUM_KEY];
	struct ledger_time t = {1800000000, 60};
	struct bytes in = {data, size};
	struct sigsum_proof p;
	struct checks checks = {0};
	struct ledger_head head;
	struct hash message;
	const char *why;
	uint32_t line;
	bool parsed;

	if (!policy.logs) {
		MUST(ledger_sigsum_policy_parse(bytes_str(POLICY), &policy, &line, &why) == 0);
		MUST(ledger_sigsum_key_parse(bytes_str(SUBMITTER), key) == 0);
	}
	policies(in);
	parsed = ledger_sigsum_parse(in, &p) == 0;
	if (parsed)
		MUST(p.size && p.path_n <= PATH_MAX_HASHES &&
		     p.cosignatures <= SIGSUM_COSIGNATURES_MAX);
	memset(message.v, 0x4d, HASH_LEN);
	MUST(ledger_verify_sigsum(in, &message, key, &policy, &t, &head, &checks) == 0);
	if (checks_overall(&checks) == CHECK_PASS)
		MUST(parsed && head.cp.size == 4 && p.root.v[0] == 0x84);
	message.v[0] ^= 1;
	checks = (struct checks){0};
	MUST(ledger_verify_sigsum(in, &message, key, &policy, &t, &head, &checks) == 0);
	MUST(checks_overall(&checks) == CHECK_FAIL);
	return 0;
}
