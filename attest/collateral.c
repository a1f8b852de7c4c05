/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a piece of collateral is, and a store of pieces by the names that it answers. The pieces may
 * be hostile: they are read within bounds and never verified here.
 */
#include "attest/collateral.h"

#include <errno.h>
#include <inttypes.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>
#include "attest/intel_appraise.h"
#include "attest/pki.h"
#include "attest/snp.h"

/* ------------------------------------------------------------------ what it is */

__attribute__((format(printf, 3, 4))) static void
add_name(struct collateral_info *out, enum collateral_vendor vendor, const char *fmt, ...)
{
	struct collateral_name *name = &out->name[out->names];
	va_list ap;
	int n;

	if (out->names == COLLATERAL_NAMES_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(name->path, sizeof(name->path), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(name->path))
		return;
	name->vendor = vendor;
	out->names++;
}

int attest_snp_vcek_path(const struct snp_product *product, const uint8_t *chip_id,
                         const uint16_t tcb[static SNP_TCB_PARTS],
                         char out[static COLLATERAL_PATH_MAX])
{
	char hwid[2 * SNP_CHIP_ID_LEN + 1], fmc[32] = "";
	int n;

	hex_encode((struct bytes){chip_id, product->chip_id_len}, hwid);
	if (product->tcb_byte[SNP_TCB_FMC] >= 0)
		snprintf(fmc, sizeof(fmc), "fmcSPL=%u&", tcb[SNP_TCB_FMC]);
	n = snprintf(out, COLLATERAL_PATH_MAX,
	             "vcek/v1/%s/%s?%sblSPL=%u&teeSPL=%u&snpSPL=%u&ucodeSPL=%u", product->name,
	             hwid, fmc, tcb[SNP_TCB_BOOTLOADER], tcb[SNP_TCB_TEE], tcb[SNP_TCB_SNP],
	             tcb[SNP_TCB_MICROCODE]);
	return n > 0 && n < COLLATERAL_PATH_MAX ? 0 : -ENOSPC;
}

/* The product behind a prefix, e.g. "SEV-VLEK-" of "SEV-VLEK-Milan". */
static const struct snp_product *product_behind(const char *cn, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(cn, prefix, n) ? NULL : attest_snp_product(bytes_str(cn + n));
}

static void name_cert(const X509 *cert, struct collateral_info *out)
{
	const struct snp_product *p;
	char path[COLLATERAL_PATH_MAX], cn[64];
	struct snp_vek vek;

	if (pki_common_name(cert, cn, sizeof(cn)))
		return;
	if (!strcmp(cn, SNP_CN_VCEK)) {
		p = attest_snp_vek(cert, &vek);
		if (p && !attest_snp_vcek_path(p, vek.hwid.p, vek.tcb, path))
			add_name(out, VENDOR_AMD, "%s", path);
	} else if ((p = product_behind(cn, SNP_CN_ASVK))) {
		add_name(out, VENDOR_AMD, "vlek/v1/%s/cert_chain", p->name);
	} else if ((p = product_behind(cn, SNP_CN_ASK))) {
		add_name(out, VENDOR_AMD, "vcek/v1/%s/cert_chain", p->name);
	} else if ((p = product_behind(cn, SNP_CN_ARK))) {
		add_name(out, VENDOR_AMD, "vcek/v1/%s/cert_chain", p->name);
		add_name(out, VENDOR_AMD, "vlek/v1/%s/cert_chain", p->name);
	} else if (!strcmp(cn, INTEL_CN_TCB_SIGNING) || !strcmp(cn, INTEL_CN_ROOT)) {
		add_name(out, VENDOR_INTEL, "%s", INTEL_PATH_TCB_SIGNERS);
	}
}

static void name_crl(const char *cn, struct collateral_info *out)
{
	const struct snp_product *p = product_behind(cn, SNP_CN_ARK);

	if (p) {
		add_name(out, VENDOR_AMD, "vcek/v1/%s/crl", p->name);
		add_name(out, VENDOR_AMD, "vlek/v1/%s/crl", p->name);
	} else if (!strcmp(cn, INTEL_CN_PLATFORM_CA)) {
		add_name(out, VENDOR_INTEL, INTEL_PATH_PCK_CRL, "platform");
	} else if (!strcmp(cn, INTEL_CN_PROCESSOR_CA)) {
		add_name(out, VENDOR_INTEL, INTEL_PATH_PCK_CRL, "processor");
	} else if (!strcmp(cn, INTEL_CN_ROOT)) {
		add_name(out, VENDOR_INTEL, "%s", INTEL_PATH_ROOT_CRL);
	}
}

static void limit(struct collateral_info *out, int64_t from, int64_t until)
{
	if (from > out->from)
		out->from = from;
	if (until < out->until)
		out->until = until;
}

/* The first certificate that has a name says what the piece is; it may be used while all may. */
static void read_certs(const struct pki_bag *bag, struct collateral_info *out)
{
	int64_t from, until;

	for (uint32_t i = 0; i < bag->certs; i++) {
		if (!out->names)
			name_cert(bag->cert[i], out);
		if (!pki_time(X509_get0_notBefore(bag->cert[i]), &from) &&
		    !pki_time(X509_get0_notAfter(bag->cert[i]), &until))
			limit(out, from, until);
	}
}

static void read_crl(const X509_CRL *crl, struct collateral_info *out)
{
	int64_t from, until;
	char cn[64];

	if (pki_name_common(X509_CRL_get_issuer(crl), cn, sizeof(cn)) ||
	    pki_time(X509_CRL_get0_lastUpdate(crl), &from) ||
	    pki_time(X509_CRL_get0_nextUpdate(crl), &until))
		return;
	name_crl(cn, out);
	limit(out, from, until);
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *s = json_string_value(json_object_get(object, name));

	return s ? s : "";
}

static void name_tcb_info(const json_t *body, struct collateral_info *out)
{
	const char *tee = strcmp(text_of(body, "id"), INTEL_ID_TDX) ? "sgx" : "tdx";
	const char *id = text_of(body, "id");
	uint8_t fmspc[INTEL_FMSPC_LEN];
	char hex[2 * INTEL_FMSPC_LEN + 1];

	if ((strcmp(id, INTEL_ID_TDX) != 0 && strcmp(id, INTEL_ID_SGX) != 0) ||
	    hex_decode(bytes_str(text_of(body, "fmspc")), fmspc, sizeof(fmspc)))
		return;
	hex_encode(BYTES_OF(fmspc), hex);
	add_name(out, VENDOR_INTEL, INTEL_PATH_TCB_INFO, tee, hex);
}

static void name_identity(const json_t *body, struct collateral_info *out)
{
	const char *id = text_of(body, "id");

	if (!strcmp(id, INTEL_ID_QE))
		add_name(out, VENDOR_INTEL, INTEL_PATH_QE_IDENTITY, "sgx");
	else if (!strcmp(id, INTEL_ID_TD_QE))
		add_name(out, VENDOR_INTEL, INTEL_PATH_QE_IDENTITY, "tdx");
}

static void read_document(struct bytes data, struct collateral_info *out)
{
	struct intel_document d;

	if (!attest_intel_document(data, INTEL_JSON_TCB_INFO, &d))
		name_tcb_info(d.body, out);
	else if (!attest_intel_document(data, INTEL_JSON_IDENTITY, &d))
		name_identity(d.body, out);
	else
		return;
	limit(out, d.issued, d.ends);
	out->evaluation = d.evaluation;
	attest_intel_document_free(&d);
}

int attest_collateral_read(struct bytes piece, struct collateral_info *out)
{
	struct pki_bag bag = {0};
	int rc;

	*out = (struct collateral_info){.from = INT64_MIN, .until = INT64_MAX};
	if (!piece.n || piece.n > COLLATERAL_PIECE_MAX)
		return -EINVAL;
	rc = attest_intel_endorsement(&bag, piece);
	if (rc == -ENOMEM)
		return rc;
	if (!rc && bag.others)
		read_document(bag.other[0], out);
	else if (!rc && bag.crls == 1 && !bag.certs)
		read_crl(bag.crl[0], out);
	else if (!rc && bag.certs && !bag.crls)
		read_certs(&bag, out);
	pki_bag_free(&bag);
	return out->names ? 0 : -EINVAL;
}

/* ----------------------------------------------------------------------- store */

struct piece {
	struct bytes content; /* owned */
	int64_t from;
	uint32_t evaluation;
	unsigned refs; /* of shelves, and of whoever is adding it */
};

/* What answers one name, the newest first. */
struct shelf {
	struct collateral_name name;
	struct piece **piece; /* owned */
	uint32_t n;
};

struct collateral_store {
	void *tree; /* of struct shelf, tsearch(3) */
	size_t max, bytes, pieces;
};

static int by_name(const void *a, const void *b)
{
	const struct shelf *x = a, *y = b;

	if (x->name.vendor != y->name.vendor)
		return x->name.vendor < y->name.vendor ? -1 : 1;
	return strcmp(x->name.path, y->name.path);
}

struct collateral_store *collateral_store_new(size_t max_bytes)
{
	struct collateral_store *s = calloc(1, sizeof(*s));

	if (s)
		s->max = max_bytes;
	return s;
}

static void piece_drop(struct collateral_store *s, struct piece *p)
{
	if (--p->refs)
		return;
	s->bytes -= p->content.n;
	s->pieces--;
	free((void *)(uintptr_t)p->content.p);
	free(p);
}

void collateral_store_free(struct collateral_store *s)
{
	while (s && s->tree) {
		struct shelf *e = *(struct shelf **)s->tree;

		for (uint32_t i = 0; i < e->n; i++)
			piece_drop(s, e->piece[i]);
		tdelete(e, &s->tree, by_name);
		free(e->piece);
		free(e);
	}
	free(s);
}

static struct shelf *shelf_of(const struct collateral_store *s, const struct collateral_name *name)
{
	struct shelf key = {.name = *name};
	void *const *found = tfind(&key, &s->tree, by_name);

	return found ? *found : NULL;
}

static struct shelf *shelf_make(struct collateral_store *s, const struct collateral_name *name)
{
	struct shelf *e = shelf_of(s, name);

	if (e)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->name = *name;
	if (!tsearch(e, &s->tree, by_name)) {
		free(e);
		return NULL;
	}
	return e;
}

/*
 * Puts the piece where its age belongs; the oldest falls off. 0; -ENOSPC: it is older than all;
 * -ENOMEM.
 */
static int shelf_put(struct collateral_store *s, struct shelf *e, struct piece *p)
{
	struct piece **grown;
	uint32_t at = 0;

	while (at < e->n && e->piece[at]->from > p->from)
		at++;
	if (at == COLLATERAL_KEPT_MAX)
		return -ENOSPC;
	if (e->n == COLLATERAL_KEPT_MAX) {
		piece_drop(s, e->piece[--e->n]);
	} else {
		grown = realloc(e->piece, (e->n + 1) * sizeof(struct piece *));
		if (!grown)
			return -ENOMEM;
		e->piece = grown;
	}
	memmove(&e->piece[at + 1], &e->piece[at], (e->n - at) * sizeof(struct piece *));
	e->piece[at] = p;
	e->n++;
	p->refs++;
	return 0;
}

static bool have(const struct collateral_store *s, const struct collateral_info *info,
                 struct bytes piece)
{
	for (uint32_t i = 0; i < info->names; i++) {
		const struct shelf *e = shelf_of(s, &info->name[i]);

		for (uint32_t k = 0; e && k < e->n; k++)
			if (bytes_equal(e->piece[k]->content, piece))
				return true;
	}
	return false;
}

static struct piece *piece_make(struct collateral_store *s, struct bytes content,
                                const struct collateral_info *is)
{
	struct piece *p = calloc(1, sizeof(*p));
	uint8_t *copy = malloc(content.n);

	if (!p || !copy) {
		free(p);
		free(copy);
		return NULL;
	}
	memcpy(copy, content.p, content.n);
	*p = (struct piece){.content = {copy, content.n},
	                    .from = is->from,
	                    .evaluation = is->evaluation,
	                    .refs = 1};
	s->bytes += content.n;
	s->pieces++;
	return p;
}

int collateral_store_add(struct collateral_store *s, struct bytes piece,
                         struct collateral_info *info)
{
	struct collateral_info own, *is = info ? info : &own;
	int rc = attest_collateral_read(piece, is);
	bool kept = false;
	struct piece *p;

	if (rc)
		return rc;
	if (have(s, is, piece))
		return -EEXIST;
	if (piece.n > s->max - s->bytes)
		return -ENOSPC;
	p = piece_make(s, piece, is);
	if (!p)
		return -ENOMEM;
	for (uint32_t i = 0; i < is->names && rc != -ENOMEM; i++) {
		struct shelf *e = shelf_make(s, &is->name[i]);

		rc = e ? shelf_put(s, e, p) : -ENOMEM;
		kept |= !rc;
	}
	piece_drop(s, p);
	return rc == -ENOMEM ? rc : kept ? 0 : -ENOSPC;
}

size_t collateral_store_find(void *store, const struct collateral_name *name, int64_t at,
                             struct bytes *out, size_t cap)
{
	const struct shelf *e = shelf_of(store, name);
	uint32_t highest = 0;
	size_t n = 0;

	for (uint32_t i = 0; e && i < e->n; i++) {
		const struct piece *p = e->piece[i];

		if (p->from > at || (n == cap && (cap < 2 || p->evaluation <= highest)))
			continue;
		/* What is known of a higher number counts, although it is older than the others. */
		out[n < cap ? n++ : cap - 1] = p->content;
		highest = p->evaluation > highest ? p->evaluation : highest;
	}
	return n;
}

size_t collateral_store_pieces(const struct collateral_store *s)
{
	return s->pieces;
}

size_t collateral_store_bytes(const struct collateral_store *s)
{
	return s->bytes;
}

/* ----------------------------------------------------------------- for people */

const char *attest_vendor_name(enum collateral_vendor v)
{
	switch (v) {
	case VENDOR_AMD:
		return "amd";
	case VENDOR_INTEL:
		return "intel";
	case VENDOR_NONE:
	case VENDORS:
		break;
	}
	return "none";
}

void attest_collateral_url(const struct collateral_name *name, char out[static COLLATERAL_URL_MAX])
{
	const char *base = name->vendor == VENDOR_AMD ? "https://kdsintf.amd.com"
	                                              : "https://api.trustedservices.intel.com";

	/* The one piece that Intel serves from another address. */
	if (name->vendor == VENDOR_INTEL && !strcmp(name->path, INTEL_PATH_ROOT_CRL))
		snprintf(out, COLLATERAL_URL_MAX,
		         "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der");
	else
		snprintf(out, COLLATERAL_URL_MAX, "%s/%s", base, name->path);
}
