/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of a page that shows evidence. Knows no format. */
#include "attest/explain.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <openssl/err.h>
#include "attest/pki.h"

/* Columns, and hexadecimal digits in one line. */
enum { PAGE_WIDTH = 100, VALUE_AT = 26, CHUNK = 64 };
enum { HEX_MAX = 72, MEANING_MAX = 512, NAME_TEXT = 80, DAY_TEXT = 16 };

/* Texts of the evidence are shown on terminals: '?' for what is not printable ASCII. */
static void put_clean(struct buf *out, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		buf_u8(out, s[i] < 0x20 || s[i] > 0x7e ? '?' : (uint8_t)s[i]);
}

/* Goes on at column `at`, or on a line of their own. The width is a wish: no word is cut for it. */
static void put_words(struct buf *out, size_t at, const char *words)
{
	if (at + 1 + strlen(words) > PAGE_WIDTH) {
		buf_printf(out, "\n%*s", VALUE_AT, "");
		at = VALUE_AT;
	}
	while (*words) {
		size_t n = strcspn(words, " ");

		if (at + 1 + n > PAGE_WIDTH && at > VALUE_AT) {
			buf_printf(out, "\n%*s", VALUE_AT, "");
			at = VALUE_AT;
		} else if (at > VALUE_AT) {
			buf_u8(out, ' ');
			at++;
		}
		put_clean(out, words, n);
		at += n;
		words += n + strspn(words + n, " ");
	}
}

void explain_line(struct buf *out, size_t off, const char *name, const char *value,
                  const char *meaning)
{
	char offset[24], words[MEANING_MAX];
	size_t n = strlen(value), at = VALUE_AT;

	snprintf(offset, sizeof(offset), "0x%03zx", off);
	buf_printf(out, "%-6s %-18s ", offset, name);
	for (; n > CHUNK; n -= CHUNK, value += CHUNK) {
		put_clean(out, value, CHUNK);
		buf_printf(out, "\n%*s", VALUE_AT, "");
	}
	put_clean(out, value, n);
	at += n;
	if (*meaning) {
		snprintf(words, sizeof(words), "(%s)", meaning);
		put_words(out, at, words);
	}
	buf_u8(out, '\n');
}

void explain_hex(struct buf *out, size_t off, const char *name, struct bytes value,
                 const char *meaning)
{
	char hex[2 * HEX_MAX + 1];

	if (bytes_all_zero(value.p, value.n)) {
		snprintf(hex, sizeof(hex), "zero, %zu bytes", value.n);
		explain_line(out, off, name, "00..00", hex);
		return;
	}
	hex_encode((struct bytes){value.p, value.n < HEX_MAX ? value.n : HEX_MAX}, hex);
	explain_line(out, off, name, hex, meaning);
}

void explain_number(struct buf *out, size_t off, const char *name, uint64_t value,
                    const char *meaning)
{
	char text[24];

	snprintf(text, sizeof(text), "0x%llx", (unsigned long long)value);
	explain_line(out, off, name, text, meaning);
}

void explain_bits(struct buf *out, size_t off, const char *name, uint64_t value, const char *first,
                  const struct explain_bit *bits, size_t n)
{
	char text[400];
	size_t at = (size_t)snprintf(text, sizeof(text), "%s", first);

	for (size_t i = 0; i < n; i++) {
		const char *word = value & bits[i].mask ? bits[i].set : bits[i].clear;

		if (word && at < sizeof(text))
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s%s", at ? ", " : "",
			                       word);
	}
	explain_number(out, off, name, value, text);
}

/* ---------------------------------------------------------------- certificates */

/* The common name, or else the first part of the name; with '?' for what is not printable ASCII. */
static void name_text(const X509_NAME *name, char out[static NAME_TEXT])
{
	int at = X509_NAME_get_index_by_NID(name, NID_commonName, -1);
	const X509_NAME_ENTRY *e = X509_NAME_get_entry(name, at < 0 ? 0 : at);
	const ASN1_STRING *s = e ? X509_NAME_ENTRY_get_data(e) : NULL;
	const uint8_t *p = s ? ASN1_STRING_get0_data(s) : NULL;
	int len = s ? ASN1_STRING_length(s) : 0;
	size_t n = 0;

	for (; p && len > 0 && n < (size_t)len && n < NAME_TEXT - 1; n++)
		out[n] = p[n] < 0x20 || p[n] > 0x7e ? '?' : (char)p[n];
	out[n] = '\0';
	if (!n)
		snprintf(out, NAME_TEXT, "no name");
}

static void day_text(const ASN1_TIME *t, char out[static DAY_TEXT])
{
	struct tm tm;

	if (t && ASN1_TIME_to_tm(t, &tm) == 1)
		snprintf(out, DAY_TEXT, "%04u-%02u-%02u", (unsigned)(tm.tm_year + 1900) % 10000,
		         (unsigned)(tm.tm_mon + 1) % 100, (unsigned)tm.tm_mday % 100);
	else
		snprintf(out, DAY_TEXT, "no time");
}

static void put_cert(struct buf *out, const X509 *cert)
{
	char subject[NAME_TEXT], issuer[NAME_TEXT], from[DAY_TEXT], to[DAY_TEXT];

	name_text(X509_get_subject_name(cert), subject);
	name_text(X509_get_issuer_name(cert), issuer);
	day_text(X509_get0_notBefore(cert), from);
	day_text(X509_get0_notAfter(cert), to);
	buf_printf(out, "  %s, by %s, %s to %s\n", subject, issuer, from, to);
}

static void put_crl(struct buf *out, const X509_CRL *crl)
{
	char issuer[NAME_TEXT], from[DAY_TEXT], to[DAY_TEXT];

	name_text(X509_CRL_get_issuer(crl), issuer);
	day_text(X509_CRL_get0_lastUpdate(crl), from);
	day_text(X509_CRL_get0_nextUpdate(crl), to);
	buf_printf(out, "  revocation list of %s, %s to %s\n", issuer, from, to);
}

void explain_certs(struct buf *out, struct bytes data)
{
	struct pki_bag bag = {0};
	int rc;

	ERR_set_mark();
	rc = pki_bag_add(&bag, data);
	for (uint32_t i = 0; i < bag.certs; i++)
		put_cert(out, bag.cert[i]);
	for (uint32_t i = 0; i < bag.crls; i++)
		put_crl(out, bag.crl[i]);
	for (uint32_t i = 0; i < bag.others; i++)
		buf_printf(out, "  %s, %zu bytes\n",
		           bag.other[i].n && bag.other[i].p[0] == '{' ? "signed JSON"
		                                                      : "something else",
		           bag.other[i].n);
	if (rc)
		buf_str(out, "  and something that can't be read\n");
	pki_bag_free(&bag);
	ERR_pop_to_mark();
}
