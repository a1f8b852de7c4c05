/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contrast's certificates: a report or a quote that was taken apart into a protobuf message. It is
 * put together again byte by byte, since those bytes are what was signed: whatever a message says
 * that does not come out as the signed bytes is found by the signature. Knows no certificate.
 *
 * A message is read by a table of its fields, each with its place in the image; nesting is as deep
 * as the tables are. What a table does not list is skipped, as protobuf wants it; no field that is
 * listed may come twice.
 *
 * Sources: protobuf wire format; go-sev-guest proto/sevsnp.proto, go-tdx-guest proto/tdx.proto;
 * Contrast internal/attestation.
 */
#include <string.h>
#include "attest/ratls_scheme.h"
#include "attest/snp.h"

enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

/* What can't have a fixed place. */
enum view {
	VIEW_AUTH = 0, /* TDX: the QE's authentication data */
	VIEW_PCK,      /* the PCK chain */
	VIEW_VEK,      /* SNP: certificates as DER */
	VIEW_VLEK,
	VIEW_ASK,
	VIEW_ARK,
	VIEW_EXTRA, /* a value that the host put beside, e.g. a CRL */
	VIEWS
};

enum field_kind {
	FIELD_INT = 1, /* n octets, little endian, at `at` */
	FIELD_OCTETS,  /* exactly n octets at `at` */
	FIELD_RTMR,    /* up to four times 48 octets from `at` on */
	FIELD_FMS,     /* CPUID(1).EAX: family, model, stepping, an octet each, at `at` */
	FIELD_VIEW,    /* at: enum view */
	FIELD_SUB,
	FIELD_EXTRA, /* as FIELD_SUB, but it may come again: the last one counts */
};

struct message;

struct field {
	uint8_t number;
	uint8_t kind; /* enum field_kind */
	uint16_t at;
	uint16_t n;
	const struct message *sub;
};

struct message {
	const struct field *v;
	uint8_t n;
};

enum { IMAGE_MAX = 1280, RTMRS = 4, RTMR_LEN = 48 };

struct image {
	uint8_t p[IMAGE_MAX];
	uint32_t rtmrs;
	struct bytes view[VIEWS];
};

#define INT(number, at, n) \
	{ \
		(number), FIELD_INT, (at), (n), NULL \
	}
#define OCTETS(number, at, n) \
	{ \
		(number), FIELD_OCTETS, (at), (n), NULL \
	}
#define VIEW(number, which) \
	{ \
		(number), FIELD_VIEW, (which), 0, NULL \
	}
#define SUB(number, message) \
	{ \
		(number), FIELD_SUB, 0, 0, &(message) \
	}
#define MESSAGE(name) \
	static const struct message name = {name##_fields, \
	                                    sizeof(name##_fields) / sizeof(name##_fields[0])}

/* ------------------------------------------------------------------- the reader */

/* At most ten octets; what does not fit in 64 bits is refused. */
static uint64_t varint(struct reader *r)
{
	uint64_t v = 0;

	for (unsigned shift = 0; shift < 64; shift += 7) {
		uint8_t b = rd_u8(r);

		if (shift == 63 && b > 1)
			break;
		v |= (uint64_t)(b & 0x7f) << shift;
		if (!(b & 0x80))
			return v;
	}
	r->bad = true;
	return 0;
}

/* The value of a field: a number, or octets. */
static bool value(struct reader *r, unsigned wire, uint64_t *number, struct bytes *octets)
{
	uint64_t n;

	*number = 0;
	*octets = BYTES_NONE;
	switch (wire) {
	case WIRE_VARINT:
		*number = varint(r);
		break;
	case WIRE_64:
		(void)rd_le64(r);
		break;
	case WIRE_BYTES:
		n = varint(r);
		if (r->bad || n > r->left)
			return false;
		*octets = rd_take(r, (size_t)n);
		break;
	case WIRE_32:
		(void)rd_le32(r);
		break;
	default: /* groups, and what was never assigned */
		return false;
	}
	return !r->bad;
}

static bool put_int(uint8_t *p, size_t n, uint64_t v)
{
	if (n < 8 && v >> (8 * n))
		return false;
	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	return true;
}

static bool put_fms(uint8_t *p, uint64_t eax)
{
	p[0] = (uint8_t)(((eax >> 8) & 0xf) + ((eax >> 20) & 0xff));
	p[1] = (uint8_t)(((eax >> 4) & 0xf) | ((eax >> 12) & 0xf0));
	p[2] = (uint8_t)(eax & 0xf);
	return !(eax >> 32);
}

static bool message(const struct message *m, struct bytes data, struct image *out);

/* As deep as the tables are nested. NOLINTNEXTLINE(misc-no-recursion) */
static bool put(const struct field *f, uint64_t number, struct bytes v, struct image *out)
{
	switch ((enum field_kind)f->kind) {
	case FIELD_INT:
		return put_int(out->p + f->at, f->n, number);
	case FIELD_FMS:
		return put_fms(out->p + f->at, number);
	case FIELD_OCTETS:
		/* proto3 leaves empty ones out, or writes them empty. */
		if (v.n && v.n != f->n)
			return false;
		if (v.n)
			memcpy(out->p + f->at, v.p, v.n);
		return true;
	case FIELD_RTMR:
		if (out->rtmrs == RTMRS || v.n != RTMR_LEN)
			return false;
		memcpy(out->p + f->at + (size_t)RTMR_LEN * out->rtmrs++, v.p, RTMR_LEN);
		return true;
	case FIELD_VIEW:
		out->view[f->at] = v;
		return true;
	case FIELD_SUB:
	case FIELD_EXTRA:
		return message(f->sub, v, out);
	}
	return false;
}

static const struct field *find(const struct message *m, uint64_t number)
{
	for (uint8_t i = 0; i < m->n; i++)
		if (m->v[i].number == number)
			return &m->v[i];
	return NULL;
}

/* As deep as the tables are nested. NOLINTNEXTLINE(misc-no-recursion) */
static bool message(const struct message *m, struct bytes data, struct image *out)
{
	struct reader r = reader_of(data);
	uint32_t seen = 0;

	while (r.left) {
		uint64_t key = varint(&r), number;
		unsigned wire = key & 7;
		const struct field *f = find(m, key >> 3);
		struct bytes v;

		if (!value(&r, wire, &number, &v) || !(key >> 3))
			return false;
		if (!f)
			continue;
		if (wire !=
		    (f->kind == FIELD_INT || f->kind == FIELD_FMS ? WIRE_VARINT : WIRE_BYTES))
			return false;
		if (f->kind != FIELD_RTMR && f->kind != FIELD_EXTRA &&
		    seen & UINT32_C(1) << f->number)
			return false;
		seen |= UINT32_C(1) << f->number;
		if (!put(f, number, v, out))
			return false;
	}
	return !r.bad;
}

static bool endorse(struct ratls *out, struct bytes v)
{
	if (!v.n)
		return true;
	if (out->endorsements_n == CMW_ENDORSEMENTS_MAX)
		return false;
	out->endorsements[out->endorsements_n++] = v;
	return true;
}

static const char *finish(struct ratls_work *w, enum tee tee)
{
	struct ratls *out = w->out;

	if (out->decoded.bad)
		return "out of memory, or more than 32 KiB";
	out->tee = tee;
	out->evidence = buf_view(&out->decoded);
	w->needs_nonce = true;
	w->covers_nonce = w->in->nonce.n > 0;
	return ratls_sha512(w, w->spki, w->in->nonce) ? NULL : "out of memory";
}

/* -------------------------------------------------------------------------- SNP */

static const struct field report_fields[] = {
        INT(1, SNP_OFF_VERSION, 4),
        INT(2, SNP_OFF_GUEST_SVN, 4),
        INT(3, SNP_OFF_POLICY, 8),
        OCTETS(4, SNP_OFF_FAMILY_ID, 16),
        OCTETS(5, SNP_OFF_IMAGE_ID, 16),
        INT(6, SNP_OFF_VMPL, 4),
        INT(7, SNP_OFF_SIGNATURE_ALGO, 4),
        INT(8, SNP_OFF_CURRENT_TCB, 8),
        INT(9, SNP_OFF_PLATFORM_INFO, 8),
        INT(10, SNP_OFF_KEY_INFO, 4),
        OCTETS(11, SNP_OFF_REPORT_DATA, 64),
        OCTETS(12, SNP_OFF_MEASUREMENT, 48),
        OCTETS(13, SNP_OFF_HOST_DATA, 32),
        OCTETS(14, SNP_OFF_ID_KEY_DIGEST, 48),
        OCTETS(15, SNP_OFF_AUTHOR_KEY_DIGEST, 48),
        OCTETS(16, SNP_OFF_REPORT_ID, 32),
        OCTETS(17, SNP_OFF_REPORT_ID_MA, 32),
        INT(18, SNP_OFF_REPORTED_TCB, 8),
        OCTETS(19, SNP_OFF_CHIP_ID, 64),
        INT(20, SNP_OFF_COMMITTED_TCB, 8),
        INT(21, SNP_OFF_CURRENT_VERSION, 1),
        INT(22, SNP_OFF_CURRENT_VERSION + 1, 1),
        INT(23, SNP_OFF_CURRENT_VERSION + 2, 1),
        INT(24, SNP_OFF_COMMITTED_VERSION, 1),
        INT(25, SNP_OFF_COMMITTED_VERSION + 1, 1),
        INT(26, SNP_OFF_COMMITTED_VERSION + 2, 1),
        INT(27, SNP_OFF_LAUNCH_TCB, 8),
        OCTETS(28, SNP_OFF_SIG_R, SNP_REPORT_LEN - SNP_OFF_SIG_R),
        {29, FIELD_FMS, SNP_OFF_CPUID, 3, NULL},
        INT(30, SNP_OFF_LAUNCH_MIT, 8),
        INT(31, SNP_OFF_CURRENT_MIT, 8),
};
MESSAGE(report);
static const struct field extra_fields[] = {VIEW(2, VIEW_EXTRA)};
MESSAGE(extra);
static const struct field chain_fields[] = {VIEW(1, VIEW_VEK),
                                            VIEW(2, VIEW_ASK),
                                            VIEW(3, VIEW_ARK),
                                            VIEW(6, VIEW_VLEK),
                                            {7, FIELD_EXTRA, 0, 0, &extra}};
MESSAGE(chain);
static const struct field snp_fields[] = {SUB(1, report), SUB(2, chain)};
MESSAGE(snp);

const char *ratls_contrast_snp(struct ratls_work *w)
{
	static const uint8_t certs[] = {VIEW_VEK, VIEW_VLEK, VIEW_ASK, VIEW_ARK, VIEW_EXTRA};
	struct image im = {.rtmrs = 0};

	if (!message(&snp, w->content, &im))
		return "not the message of an attestation report";
	for (size_t i = 0; i < sizeof(certs); i++)
		if (!endorse(w->out, im.view[certs[i]]))
			return "too many endorsements";
	buf_put(&w->out->decoded, im.p, SNP_REPORT_LEN);
	return finish(w, TEE_SNP);
}

/* -------------------------------------------------------------------------- TDX */

/*
 * A quote of version 4 up to the length of the QE's authentication data; behind that, as a scratch
 * place, type and length of the PCK chain, which stand behind those data.
 */
enum quote_place {
	AT_BODY = 48,
	AT_RTMR = AT_BODY + 328,
	AT_SIGNED_LEN = 632,
	AT_SIGNATURE = 636,
	AT_KEY = AT_SIGNATURE + 64,
	AT_CERT_TYPE = AT_KEY + 64,
	AT_QE_REPORT = AT_CERT_TYPE + 6,
	AT_QE_SIGNATURE = AT_QE_REPORT + 384,
	AT_AUTH_LEN = AT_QE_SIGNATURE + 64,
	AT_CHAIN = AT_AUTH_LEN + 2,
	AT_END = AT_CHAIN + 6,
};

_Static_assert((int)AT_END <= (int)IMAGE_MAX && (int)SNP_REPORT_LEN <= (int)IMAGE_MAX,
               "both images fit");

static const struct field header_fields[] = {
        INT(1, 0, 2),     INT(2, 2, 2),      INT(3, 4, 4),      OCTETS(4, 8, 2),
        OCTETS(5, 10, 2), OCTETS(6, 12, 16), OCTETS(7, 28, 20),
};
MESSAGE(header);
static const struct field body_fields[] = {
        OCTETS(1, AT_BODY, 16),
        OCTETS(2, AT_BODY + 16, 48),
        OCTETS(3, AT_BODY + 64, 48),
        OCTETS(4, AT_BODY + 112, 8),
        OCTETS(5, AT_BODY + 120, 8),
        OCTETS(6, AT_BODY + 128, 8),
        OCTETS(7, AT_BODY + 136, 48),
        OCTETS(8, AT_BODY + 184, 48),
        OCTETS(9, AT_BODY + 232, 48),
        OCTETS(10, AT_BODY + 280, 48),
        {11, FIELD_RTMR, AT_RTMR, RTMR_LEN, NULL},
        OCTETS(12, AT_BODY + 520, 64),
};
MESSAGE(body);
static const struct field qe_report_fields[] = {
        OCTETS(1, AT_QE_REPORT, 16),        INT(2, AT_QE_REPORT + 16, 4),
        OCTETS(3, AT_QE_REPORT + 20, 28),   OCTETS(4, AT_QE_REPORT + 48, 16),
        OCTETS(5, AT_QE_REPORT + 64, 32),   OCTETS(6, AT_QE_REPORT + 96, 32),
        OCTETS(7, AT_QE_REPORT + 128, 32),  OCTETS(8, AT_QE_REPORT + 160, 96),
        INT(9, AT_QE_REPORT + 256, 2),      INT(10, AT_QE_REPORT + 258, 2),
        OCTETS(11, AT_QE_REPORT + 260, 60), OCTETS(12, AT_QE_REPORT + 320, 64),
};
MESSAGE(qe_report);
static const struct field auth_fields[] = {INT(1, AT_AUTH_LEN, 2), VIEW(2, VIEW_AUTH)};
MESSAGE(auth);
static const struct field pck_fields[] = {INT(1, AT_CHAIN, 2), INT(2, AT_CHAIN + 2, 4),
                                          VIEW(3, VIEW_PCK)};
MESSAGE(pck);
static const struct field qe_fields[] = {SUB(1, qe_report), OCTETS(2, AT_QE_SIGNATURE, 64),
                                         SUB(3, auth), SUB(4, pck)};
MESSAGE(qe);
static const struct field cert_data_fields[] = {INT(1, AT_CERT_TYPE, 2),
                                                INT(2, AT_CERT_TYPE + 2, 4), SUB(3, qe)};
MESSAGE(cert_data);
static const struct field signed_data_fields[] = {OCTETS(1, AT_SIGNATURE, 64),
                                                  OCTETS(2, AT_KEY, 64), SUB(3, cert_data)};
MESSAGE(signed_data);
static const struct field quote_fields[] = {SUB(1, header), SUB(2, body), INT(3, AT_SIGNED_LEN, 4),
                                            SUB(4, signed_data)};
MESSAGE(quote);

const char *ratls_contrast_tdx(struct ratls_work *w)
{
	struct buf *out = &w->out->decoded;
	struct image im = {.rtmrs = 0};

	if (!message(&quote, w->content, &im))
		return "not the message of a quote of version 4";
	buf_put(out, im.p, AT_CHAIN);
	buf_bytes(out, im.view[VIEW_AUTH]);
	buf_put(out, im.p + AT_CHAIN, AT_END - AT_CHAIN);
	buf_bytes(out, im.view[VIEW_PCK]);
	return finish(w, TEE_TDX);
}
