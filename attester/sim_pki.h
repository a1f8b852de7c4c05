/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates, CRLs and signatures for the simulated platforms, whatever the vendor. An RSA key
 * signs with PSS and a salt as long as the hash, an EC key with ECDSA. Private to the attester.
 */
#ifndef KEYGATE_ATTESTER_SIM_PKI_H
#define KEYGATE_ATTESTER_SIM_PKI_H

#include <stdbool.h>
#include <stdint.h>
#include <openssl/x509.h>
#include "core/bytes.h"

enum { SIM_DAY = 86400 };

/* Without extensions and signature; issuer NULL: its own. Times are POSIX seconds. Or NULL. */
X509 *sim_cert_new(const char *cn, long serial, EVP_PKEY *key, const X509 *issuer, int64_t from,
                   int64_t to);
/* An extension by OpenSSL's own words, e.g. "critical,CA:TRUE". */
bool sim_cert_conf(X509 *cert, int nid, const char *value);
/* Subject and authority key identifiers; issuer has its own already, or is cert itself. */
bool sim_cert_ids(X509 *cert, const X509 *issuer);
/* An extension by the bytes inside its OCTET STRING. */
bool sim_cert_raw(X509 *cert, const char *oid, struct bytes value);
bool sim_cert_sign(X509 *cert, EVP_PKEY *key, const EVP_MD *md);

/* Signed, with these serial numbers revoked at from. Or NULL. */
X509_CRL *sim_crl_new(const X509_NAME *issuer, EVP_PKEY *key, const EVP_MD *md, int64_t from,
                      int64_t to, const long *revoked, size_t n);

/* r || s, each in a field of half bytes, as the vendors write ECDSA signatures. 0 or -EIO. */
int sim_sign_raw(EVP_PKEY *key, const EVP_MD *md, struct bytes msg, bool little_endian, size_t half,
                 uint8_t *out);

#endif
