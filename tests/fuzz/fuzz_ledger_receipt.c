/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Receipts, statements with receipts inside, and trust stores. With the key and the issuer of the
 * seeds only what they signed passes, and what is cut or has a byte behind it is never the same.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>
#include "ledger/receipt.h"

#define KEY \
	"3059301306072a8648ce3d020106082a8648ce3d030107034200047866b8c990ee92c2f30035322a677a3262" \
	"23ea774f41c7bd5b2c90e588a7730bc79105e48e072736a080a14db003d11139abc2b45637830acd138a63e1" \
	"09b8c0"
#define DID "did:x509:0:sha256:hiF4BblKLhmiJH9e5TBD16hnydA2yzjHxk-DF34tkXA::eku:1.3.6.1.4.1.55555.1"
/* Of the one statement that they signed. */
#define ENTRY "605b74e77f96f2da7a480ffd7e014895185cc67993380699094e15d373399444"

enum { KEY_LEN = 91, AT = 1790000000 };

static struct receipt_keys *known;
static struct hash entry;

static void prepare(void)
{
	struct checks checks = {0};
	uint8_t der[KEY_LEN];

	if (known)
		return;
	MUST(hex_decode(bytes_str(KEY), der, KEY_LEN) == 0);
	MUST(hex_decode(bytes_str(ENTRY), entry.v, HASH_LEN) == 0);
	MUST(receipt_key_parse((struct bytes){der, KEY_LEN}, &known, &checks) == 0);
}

static enum check_status verify(const struct receipt_ask *a, const struct receipt_keys *keys,
                                struct receipt_result *out)
{
	struct checks checks = {0};

	MUST(receipt_verify(a, keys, AT, out, &checks) == 0);
	MUST(checks.n && !checks.overflow);
	if (checks_overall(&checks) != CHECK_PASS)
		MUST(!out->issuer[0] && !out->payload.n);
	return checks_overall(&checks);
}

static void statements(struct bytes in)
{
	struct receipt_ask a = {.of = RECEIPT_OF_STATEMENT, .content = in};
	struct receipt_result result;

	memcpy(a.signer.issuer, DID, sizeof(DID));
	if (verify(&a, known, &result) == CHECK_PASS)
		MUST(result.receipts && !memcmp(result.entry.v, entry.v, HASH_LEN) &&
		     !strcmp(result.issuer, DID));
	MUST(verify(&a, NULL, &result) != CHECK_PASS);
}

/* A receipt is of one entry, one leaf or one tree: never of two of them. */
static void receipts(struct bytes in)
{
	static const uint8_t seven[HASH_LEN] = {7}, eight[HASH_LEN] = {8};
	struct receipt_ask a = {.of = RECEIPT_OF_ENTRY, .content = BYTES_OF(seven), .receipt = in},
	                   b = {.of = RECEIPT_OF_TREE, .hash.v = {7}, .receipt = in},
	                   c = {.of = RECEIPT_OF_LEAF, .receipt = in};
	struct receipt_result result;
	unsigned passed = 0;

	if (!in.n)
		return;
	passed += verify(&a, known, &result) == CHECK_PASS;
	passed += verify(&b, known, &result) == CHECK_PASS;
	passed += verify(&c, known, &result) == CHECK_PASS;
	MUST(passed <= 1);
	a.content = BYTES_OF(eight);
	b.hash.v[0] = 8;
	MUST(verify(&a, known, &result) == CHECK_FAIL && verify(&b, known, &result) == CHECK_FAIL);
}

static void stores(struct bytes in)
{
	struct receipt_keys *keys = NULL;
	struct checks checks = {0};

	MUST((receipt_store_parse(in, &keys, &checks) == 0) == (keys != NULL));
	MUST(checks.n == 1 && checks.v[0].status == (keys ? CHECK_PASS : CHECK_FAIL));
	receipt_keys_free(keys);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = {data, size};

	prepare();
	statements(in);
	receipts(in);
	stores(in);
	return 0;
}
