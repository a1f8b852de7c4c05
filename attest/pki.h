/* SPDX-License-Identifier: Apache-2.0 */
/*
 * X.509 as vendors use it, on top of OpenSSL: a bag of untrusted certificates and CRLs told apart
 * by content, and the helpers every platform needs to walk a chain to a pinned key at a given
 * time. No system store, no clock, no I/O.
 */
#ifndef KEYGATE_ATTEST_PKI_H
#define KEYGATE_ATTEST_PKI_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>
#include "core/bytes.h"

enum { PKI_CERTS_MAX = 32, PKI_CRLS_MAX = 32, PKI_OTHERS_MAX = 32, PKI_INPUT_MAX = 1 << 20 };

/* What a certificate's key may be to be looked at; and how many certificates of one issuer's name
 * are tried. */
enum { PKI_RSA_BITS_MAX = 4096, PKI_EC_BITS_MAX = 521, PKI_ISSUERS_MAX = 4 };

/*
 * Certificates and lists that were parsed before, by the SHA-256 of their DER. A vendor's are the
 * same in every appraisal, and parsing one costs more than checking its signature. Nothing is
 * believed for being in here. For one thread; the oldest goes when it is full.
 */
struct pki_cache;
struct pki_cache *pki_cache_new(void); /* NULL: out of memory */
void pki_cache_free(struct pki_cache *c);
/*
 * The same for what else is costly to parse, e.g. JSON: finding lends what was put under this hash
 * (NULL: nothing), good until the next put. Put takes it over, and drops it when its time has come.
 */
void *pki_cache_find(const struct pki_cache *c, const uint8_t sha256[static 32]);
void pki_cache_put(struct pki_cache *c, const uint8_t sha256[static 32], void *what,
                   void (*drop)(void *what));

struct pki_bag {
	struct pki_cache *cache; /* the caller's, or NULL; set before anything is added */
	X509 *cert[PKI_CERTS_MAX];
	uint32_t certs;
	X509_CRL *crl[PKI_CRLS_MAX];
	uint32_t crls;
	struct bytes other[PKI_OTHERS_MAX]; /* neither certificate nor CRL, e.g. JSON collateral */
	uint32_t others;
};

/*
 * Adds what is in data: one DER object, or any number of PEM blocks. Something that is neither is
 * kept as a view in `other`. -EINVAL (DER or PEM that is no certificate and no CRL), -ENOSPC,
 * -ENOMEM; what was added before an error stays in the bag.
 */
int pki_bag_add(struct pki_bag *bag, struct bytes data);
void pki_bag_free(struct pki_bag *bag);

enum { PKI_PINS_MAX = 32 };

/* Public keys trusted by the caller: SHA-256 of each SubjectPublicKeyInfo. */
struct pki_pins {
	uint32_t n;
	uint8_t v[PKI_PINS_MAX][32];
};

/*
 * Reads an anchor: certificates or public keys, DER or PEM. Its keys become pins; its certificates
 * are also put into bag (if not NULL), where a chain may find them. -EINVAL, -ENOSPC, -ENOMEM.
 */
int pki_pins_add(struct pki_pins *pins, struct pki_bag *bag, struct bytes data);
bool pki_pins_have(const struct pki_pins *pins, const uint8_t spki_sha256[static 32]);

enum { PKI_KEYS_MAX = 32 };

/* Public keys themselves, for platforms whose keys no certificate vouches for. */
struct pki_keys {
	uint32_t n;
	EVP_PKEY *v[PKI_KEYS_MAX];
};

/*
 * Reads an anchor: the EC keys of certificates or public keys, DER or PEM. One of another kind is
 * left out: it is an anchor of some other platform. -EINVAL, -ENOSPC; what was added before an
 * error stays.
 */
int pki_keys_add(struct pki_keys *keys, struct bytes data);
void pki_keys_free(struct pki_keys *keys);

/* SHA-256 of the DER SubjectPublicKeyInfo. 0 or -EINVAL. */
int pki_spki_sha256(const X509 *cert, uint8_t out[static 32]);
/* POSIX seconds; -EINVAL when it does not fit. */
int pki_time(const ASN1_TIME *t, int64_t *out);
/* True if at lies within the certificate's validity. */
bool pki_valid_at(const X509 *cert, int64_t at);
/* issuer's key verifies cert's signature and the names match. */
bool pki_issued(X509 *cert, X509 *issuer);
/*
 * Who issued cert, among those in the bag that bear the name. A single one is taken by its name:
 * pki_path says whether the signature holds, and no signature is checked twice. Of several (at most
 * PKI_ISSUERS_MAX are looked at) it is the one that signed. NULL with *named set: none of them did.
 */
X509 *pki_issuer_of(const struct pki_bag *bag, X509 *cert, bool *named);
/*
 * leaf <- intermediate <- root by X.509's rules (names, signatures, CA and key usage bits, path
 * length, critical extensions), the times left out: see pki_valid_at. root must be self-signed.
 * intermediate may be NULL. 0 or an X509_V_ERR_ code.
 */
int pki_path(X509 *leaf, X509 *intermediate, X509 *root);
/*
 * The same for any number: chain[0] is the leaf, chain[n - 1] the root. That each is signed by the
 * next and by no other of them is a part of it.
 */
int pki_path_of(X509 *const chain[], size_t n);
/*
 * leaf, no CA itself, under an issuer whose own standing is the caller's to show: name, signature,
 * key usage and key ids; nothing critical that is not understood. The times left out.
 */
bool pki_leaf_of(X509 *leaf, X509 *issuer);
/*
 * The CRL of this issuer with the latest thisUpdate that is not after at (else any); or NULL. Of
 * several that bear the name, those that the issuer's key signed come first.
 */
X509_CRL *pki_crl_of(const struct pki_bag *bag, const X509 *issuer, int64_t at);
/*
 * cert against the complete list of its issuer, whose own standing is the caller's to show: name
 * and signature of the list, its times at `at`, nothing critical in it that is not understood, and
 * no entry for cert. As pki_path.
 */
int pki_revocation(X509 *cert, X509 *issuer, X509_CRL *crl, int64_t at);
/* The one common name of the subject, if it is short printable ASCII; else -EINVAL. */
int pki_common_name(const X509 *cert, char *out, size_t cap);
int pki_name_common(const X509_NAME *name, char *out, size_t cap);
/*
 * The raw extnValue content (inside the OCTET STRING) of the extension with this dotted OID.
 * -ENOENT when there is none, -EINVAL when there are two.
 */
int pki_extension(const X509 *cert, const char *oid, struct bytes *out);

/*
 * A public key on the curve of `like`, which is an EC key, from an uncompressed point without its
 * first byte: x || y, big endian. NULL when that is no point on it.
 */
EVP_PKEY *pki_ec_key(const EVP_PKEY *like, struct bytes xy);
/* True if the certificate's key is on this curve, e.g. SN_secp384r1. */
bool pki_on_curve(const X509 *cert, const char *curve);
/*
 * Takes the next DER element, whatever its tag, and its content; the length in its one form and of
 * at most 64 KiB, the tag of one octet. False when there is none, or it is malformed.
 */
bool pki_tlv(struct bytes *rest, uint8_t *tag, struct bytes *content);

#endif
