/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the appraisal of evidence takes, beside the bare signature checks that it can't do
 * without: the same signatures, under keys and certificates that were parsed before, by OpenSSL
 * alone. Both are timed in turn in one run; what counts is the ratio.
 *
 * Takes the folder of the attestation vectors. A platform whose vectors are not there is named and
 * left out.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include "attest/attest.h"
#include "attest/pki.h"
#include "core/file.h"
#include "tests/bench/clock.h"
#include "tests/bench/floor.h"

enum { ROUNDS = 15, FILE_MAX = 1 << 20, FILES_MAX = 8 };

/* One genuine piece of evidence, with what endorses it, at a date at which it holds. */
struct subject {
	const char *tee;
	int64_t at;
	bool allow_debug;
	const char *evidence;
	const char *anchor;                 /* NULL: the vendor's root */
	const char *endorsement[FILES_MAX]; /* ends with NULL */
};

static const struct subject subjects[] = {
        {"snp",
         1747765896,
         false,
         "snp/genoa-v3-tsm.report.bin",
         NULL,
         {"snp/genoa-v3-tsm.vcek.der", "snp/ask-genoa.der", "snp/ark-genoa.der",
          "snp/crl-genoa.der"}},
        {"tdx",
         1751600000,
         false,
         "tdx/v4-b0c0-uptodate.quote.bin",
         NULL,
         {"tdx/collateral/tcb-signing-chain.pem",
          "tdx/collateral/tcbinfo-tdx-b0c06f000000-20250619-e17.json",
          "tdx/collateral/qeid-td_qe-20250619-e17.json",
          "tdx/collateral/pckcrl-platform-20250619.der", "tdx/collateral/rootcrl-20250320.der"}},
        {"sgx",
         1756125000,
         false,
         "sgx/v3-platform-spr.quote.bin",
         NULL,
         {"sgx/collateral/tcb-signing-chain.pem",
          "sgx/collateral/tcbinfo-sgx-90806f000000-20250808-e19.json",
          "sgx/collateral/qeid-qe-20250815-e17.json", "sgx/collateral/pckcrl-platform-20250815.der",
          "sgx/collateral/rootcrl-20250320.der"}},
        {"cca",
         1750000000,
         false,
         "cca/tfm-907-realm2.token.cbor",
         "cca/tfm-907-realm2.cpak.spki.der",
         {NULL}},
        {"nitro", 1766668537, false, "nitro/prod-2025.cose.bin", NULL, {NULL}},
};

struct loaded {
	struct attest_input in;
	uint8_t *p[FILES_MAX + 2];
	size_t n;
};

static int load_one(struct loaded *l, const char *dir, const char *name, struct bytes *out)
{
	char path[4096];
	size_t n = 0;
	int ret;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	ret = file_read(path, FILE_MAX, &l->p[l->n], &n);
	if (!ret)
		*out = (struct bytes){l->p[l->n++], n};
	return ret;
}

static int load(const struct subject *s, const char *dir, struct loaded *l)
{
	int ret = load_one(l, dir, s->evidence, &l->in.evidence);

	l->in.type = attest_tee_from_name(s->tee);
	l->in.at = s->at;
	l->in.allow_debug = s->allow_debug;
	for (int i = 0; !ret && i < FILES_MAX && s->endorsement[i]; i++)
		ret = load_one(l, dir, s->endorsement[i],
		               &l->in.endorsements[l->in.endorsements_n++]);
	if (!ret && s->anchor)
		ret = load_one(l, dir, s->anchor, &l->in.anchors[l->in.anchors_n++]);
	return ret;
}

static void unload(struct loaded *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->p[i]);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_size);
	return v[n / 2];
}

static bool appraise(const struct attest_input *in)
{
	static struct claims claims;
	static struct checks checks;

	memset(&checks, 0, sizeof(checks));
	return !attest_appraise(in, &claims, &checks) && checks_overall(&checks) == CHECK_PASS;
}

static int measure(const struct subject *s, struct loaded *l)
{
	double whole[ROUNDS], bare[ROUNDS], ratio[ROUNDS];
	struct floor f = {0};
	int ret = floor_of(&l->in, &f) ? 0 : -EINVAL;

	/* As in the verify role: what was parsed for one connection serves the next. */
	l->in.cache = pki_cache_new();

	for (int i = -1; !ret && i < ROUNDS; i++) {
		double t0 = now_us(), t1, t2;
		bool ok = appraise(&l->in);

		t1 = now_us();
		ok = floor_verify(&f) && ok;
		t2 = now_us();
		if (!ok)
			ret = -EBADMSG;
		if (i < 0)
			continue; /* to warm up */
		whole[i] = t1 - t0;
		bare[i] = t2 - t1;
		ratio[i] = whole[i] / bare[i];
	}
	if (!ret)
		printf("%-6s appraisal %7.0f us   bare signatures (%u) %7.0f us   ratio %.2f\n",
		       s->tee, median(whole, ROUNDS), f.n, median(bare, ROUNDS),
		       median(ratio, ROUNDS));
	else
		fprintf(stderr, "%s: %s does not hold: %s\n", s->tee, s->evidence, strerror(-ret));
	floor_free(&f);
	pki_cache_free(l->in.cache);
	return ret;
}

int main(int argc, char **argv)
{
	int bad = argc != 2, skipped = 0;

	if (bad)
		fprintf(stderr, "usage: %s VECTORS\n", argv[0]);
	for (size_t i = 0; !bad && i < sizeof(subjects) / sizeof(subjects[0]); i++) {
		struct loaded l = {0};

		if (load(&subjects[i], argv[1], &l)) {
			printf("%-6s SKIPPED: no vectors\n", subjects[i].tee);
			skipped++;
		} else if (measure(&subjects[i], &l)) {
			bad++;
		}
		unload(&l);
	}
	return bad ? 1 : 0;
}
