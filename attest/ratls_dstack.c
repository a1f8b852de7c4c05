/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dstack's "versioned attestation": a TDX quote, or an SNP report with what endorses it, is taken
 * out of it. The rest of it is passed over within its bounds: logs of events, which only RTMR3
 * speaks for; SNP's document of the configuration, for which HOST_DATA does; the report data once
 * more; the host's word on the machine. Knows no certificate.
 *
 * V0 is in SCALE: the octet 0, one for the mode, then without any tags
 *
 *   TDX  quote, events of { u32 register, u32 type, digest, name, payload }
 *   SNP  report, certificates, document
 *
 * and for both events of { name, payload }, 64 octets of report data, text. V1 is a map in
 * MessagePack: version (1), platform ({ kind, data }), stack (the rest of V0).
 *
 * Sources: dstack dstack-attest (attestation.rs, v1.rs), cc-eventlog; the SCALE codec's description
 * of compact integers.
 */
#include "attest/ratls_scheme.h"
#include "attest/snp.h"
#include "core/msgpack.h"

/* As V0 numbers them. */
enum mode { TDX = 0, GCP_TDX, NITRO_ENCLAVE, SNP, AWS_NITRO_TPM };

static const struct {
	const char *kind;    /* as V1 names them */
	const char *refused; /* NULL: read */
} modes[] = {
        [TDX] = {"tdx", NULL},
        [GCP_TDX] = {"gcp-tdx", "its mode is gcp-tdx: what was measured is in a TPM's quote, which "
                                "is not read"},
        [NITRO_ENCLAVE] = {"nitro-enclave", "its mode is nitro-enclave: Nitro's documents are not "
                                            "read out of certificates"},
        [SNP] = {"sev-snp", NULL},
        [AWS_NITRO_TPM] = {"aws-nitro-tpm", "its mode is aws-nitro-tpm: what was measured is in a "
                                            "TPM's document, which is not read"},
};

enum { MODES = sizeof(modes) / sizeof(modes[0]), REPORT_DATA_LEN = 64 };

static const char no_report[] = "what it holds is no SNP report";

static const char *not_read(size_t mode)
{
	return mode < MODES ? modes[mode].refused : "its mode is one that this build does not know";
}

/* --------------------------------------------------------------------------- V0 */

/* A compact integer: the two lowest bits say how many octets it has. Those of more than 30 bits
 * have another form, which no length in a certificate needs. */
static uint32_t compact(struct reader *r)
{
	static const uint32_t least[] = {0, 1U << 6, 1U << 14};
	uint32_t v = rd_u8(r);
	unsigned form = v & 3;

	if (form == 3) {
		r->bad = true;
		return 0;
	}
	for (unsigned i = 1; i < 1U << form; i++)
		v |= (uint32_t)rd_u8(r) << (8 * i);
	v >>= 2;
	r->bad |= v < least[form];
	return v;
}

static struct bytes octets(struct reader *r)
{
	return rd_take(r, compact(r));
}

/* Each of so many u32 and then so many strings of octets. */
static void pass_events(struct reader *r, size_t numbers, unsigned strings)
{
	for (uint32_t n = compact(r); n && !r->bad; n--) {
		(void)rd_take(r, 4 * numbers);
		for (unsigned i = 0; i < strings; i++)
			(void)octets(r);
	}
}

static const char *v0_chain(struct reader *r, struct ratls *out)
{
	uint32_t n = compact(r);

	if (n > CMW_ENDORSEMENTS_MAX)
		return "too many endorsements";
	for (out->endorsements_n = 0; out->endorsements_n < n; out->endorsements_n++)
		out->endorsements[out->endorsements_n] = octets(r);
	return NULL;
}

static const char *read_v0(struct reader *r, struct ratls *out)
{
	static const char malformed[] = "not the attestation of version 0 to its last octet";
	uint8_t mode = rd_u8(r);
	const char *wrong = r->bad ? malformed : not_read(mode);

	if (wrong)
		return wrong;
	out->evidence = octets(r);
	if (mode == SNP) {
		out->tee = TEE_SNP;
		wrong = out->evidence.n == SNP_REPORT_LEN ? v0_chain(r, out) : no_report;
		(void)octets(r);
	} else {
		out->tee = TEE_TDX;
		pass_events(r, 2, 3);
	}
	pass_events(r, 0, 2);
	(void)rd_take(r, REPORT_DATA_LEN);
	(void)octets(r);
	return wrong || rd_done(r) ? wrong : malformed;
}

/* --------------------------------------------------------------------------- V1 */

/* What was said in numbers, octet by octet, is put together in out->decoded. */
static const char *v1_tdx(struct bytes data, struct ratls *out)
{
	static const char *const keys[] = {"quote"};
	struct bytes quote;
	struct reader r;

	if (!pack_fields(data, keys, 1, &quote))
		return "no quote in it";
	r = reader_of(quote);
	if (!pack_octets(&r, &out->decoded))
		return "its quote is not octets, or more than 32 KiB";
	out->tee = TEE_TDX;
	out->evidence = buf_view(&out->decoded);
	return NULL;
}

static const char *v1_snp(struct bytes data, struct ratls *out)
{
	static const char *const keys[] = {"report", "cert_chain"};
	size_t end[CMW_ENDORSEMENTS_MAX] = {0}, from = SNP_REPORT_LEN;
	struct buf *b = &out->decoded;
	struct bytes value[2];
	uint64_t n;
	struct reader r;

	if (!pack_fields(data, keys, 2, value))
		return "no report or no chain in it";
	r = reader_of(value[0]);
	if (!pack_octets(&r, b) || b->n != SNP_REPORT_LEN)
		return no_report;
	r = reader_of(value[1]);
	if (!pack_array(&r, &n) || n > CMW_ENDORSEMENTS_MAX)
		return "its chain is no array, or of too many endorsements";
	for (uint64_t i = 0; i < n; i++) {
		if (!pack_octets(&r, b))
			return "its chain is not octets, or more than 32 KiB";
		end[i] = b->n;
	}
	/* Nothing moves them any more. */
	out->tee = TEE_SNP;
	out->evidence = (struct bytes){b->p, SNP_REPORT_LEN};
	for (out->endorsements_n = 0; out->endorsements_n < n; out->endorsements_n++) {
		size_t to = end[out->endorsements_n];

		out->endorsements[out->endorsements_n] = (struct bytes){b->p + from, to - from};
		from = to;
	}
	return NULL;
}

static const char *read_v1(struct bytes data, struct ratls *out)
{
	static const char *const top[] = {"version", "platform", "stack"};
	static const char *const tagged[] = {"kind", "data"};
	struct bytes v[3], platform[2], kind;
	struct reader r;
	uint64_t version;
	size_t mode = 0;
	const char *wrong;

	if (!pack_fields(data, top, 3, v))
		return "not a map of version, platform and stack";
	r = reader_of(v[0]);
	if (!pack_uint(&r, &version) || version != 1)
		return "a version that this build does not read";
	if (!pack_fields(v[1], tagged, 2, platform))
		return "its platform is not a map of kind and data";
	r = reader_of(platform[0]);
	if (!pack_text(&r, &kind))
		return "its kind of platform is no text";
	while (mode < MODES && !bytes_equal(kind, bytes_str(modes[mode].kind)))
		mode++;
	wrong = not_read(mode);
	if (wrong)
		return wrong;
	return mode == SNP ? v1_snp(platform[1], out) : v1_tdx(platform[1], out);
}

const char *ratls_dstack_attestation(struct bytes data, struct ratls *out)
{
	struct reader r = reader_of(data);

	return rd_u8(&r) == 0 ? read_v0(&r, out) : read_v1(data, out);
}
