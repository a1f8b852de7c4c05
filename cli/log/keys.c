/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Key files of logs and witnesses: Ed25519 in PKCS #8 PEM, readable by their owner only; and the
 * commands that make one and print its public half.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include "cli/log/log.h"
#include "core/file.h"
#include "core/secret.h"

enum { KEY_FILE_MAX = 4096 };

/* Ours have no passphrase, and nobody is asked for one. */
static int no_passphrase(char *out, int cap, int writing, void *ctx)
{
	(void)out;
	(void)cap;
	(void)writing;
	(void)ctx;
	return -1;
}

EVP_PKEY *log_key_new(void)
{
	return EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
}

int log_key_save(const char *path, EVP_PKEY *key)
{
	BIO *pem;
	char *text = NULL;
	long n = 0;
	int ret = -ENOMEM;

	if (access(path, F_OK) == 0)
		return -EEXIST;
	pem = BIO_new(BIO_s_mem());
	if (pem && PEM_write_bio_PKCS8PrivateKey(pem, key, NULL, NULL, 0, NULL, NULL))
		n = BIO_get_mem_data(pem, &text);
	if (n > 0)
		ret = file_write_atomic(path, (struct bytes){(const uint8_t *)text, (size_t)n},
		                        0600);
	if (text)
		secret_wipe(text, (size_t)n);
	BIO_free(pem);
	return ret;
}

int log_key_read(const char *path, EVP_PKEY **out)
{
	uint8_t *text = NULL;
	EVP_PKEY *key = NULL;
	BIO *pem = NULL;
	size_t n = 0;
	int ret = file_read(path, KEY_FILE_MAX, &text, &n);

	if (ret)
		return log_error(LOG_ERROR, "%s: %s", path, strerror(-ret));
	pem = BIO_new_mem_buf(text, (int)n);
	key = pem ? PEM_read_bio_PrivateKey(pem, NULL, no_passphrase, NULL) : NULL;
	BIO_free(pem);
	secret_wipe(text, n);
	free(text);
	if (!key || !EVP_PKEY_is_a(key, "ED25519")) {
		EVP_PKEY_free(key);
		return log_error(LOG_ERROR, "%s: not an Ed25519 key in PEM", path);
	}
	*out = key;
	return LOG_OK;
}

int log_vkey_print(EVP_PKEY *key, const char *name, enum note_alg alg)
{
	struct buf text = buf_make(VKEY_TEXT_MAX);
	int status = LOG_OK;
	struct vkey k;

	if (ledger_vkey_of(key, name, alg, &k))
		return log_error(LOG_ERROR,
		                 "\"%s\" can't name a key: 1 to %d bytes of UTF-8 without space "
		                 "and without +",
		                 name, NOTE_NAME_MAX);
	if (ledger_vkey_format(&k, &text))
		status = log_error(LOG_ERROR, "out of memory");
	else
		printf("%.*s\n", (int)text.n, (const char *)text.p);
	buf_free(&text);
	return status;
}

bool log_same_key(const struct vkey *a, const struct vkey *b)
{
	return strcmp(a->name, b->name) == 0 && a->alg == b->alg && a->key_len == b->key_len &&
	       memcmp(a->key, b->key, a->key_len) == 0;
}

/* --------------------------------------------------------------------- vkey */

struct vkey_args {
	const char *key;
	const char *name;
	bool witness;
};

static error_t vkey_option(int key, char *arg, struct argp_state *state)
{
	struct vkey_args *a = state->input;

	switch (key) {
	case 'k':
		a->key = arg;
		return 0;
	case 'n':
		a->name = arg;
		return 0;
	case 'w':
		a->witness = true;
		return 0;
	case ARGP_KEY_END:
		if (!a->key || !a->name)
			argp_error(state, "--key and --name are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int log_vkey(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"key", 'k', "FILE", 0, "the private key", 0},
	        {"name", 'n', "NAME", 0,
	         "the name that goes with it: a log's origin, a witness's "
	         "name",
	         0},
	        {"witness", 'w', NULL, 0, "as a witness's key (cosignature/v1), not a log's", 0},
	        {0},
	};
	static const struct argp argp = {
	        options, vkey_option, NULL, "Print the verifier key of a private key.",
	        NULL,    NULL,        NULL};
	struct vkey_args a = {0};
	EVP_PKEY *key = NULL;
	int status;

	log_parse(&argp, argc, argv, &a);
	status = log_key_read(a.key, &key);
	if (status)
		return status;
	status = log_vkey_print(key, a.name, a.witness ? NOTE_COSIGNATURE : NOTE_ED25519);
	EVP_PKEY_free(key);
	return status;
}

/* -------------------------------------------------------------- witness-key */

static error_t witness_key_option(int key, char *arg, struct argp_state *state)
{
	struct vkey_args *a = state->input;

	switch (key) {
	case 'n':
		a->name = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->key)
			argp_usage(state);
		a->key = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->key || !a->name)
			argp_error(state, "a file and --name are needed");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int log_witness_key(int argc, char **argv)
{
	static const struct argp_option options[] = {
	        {"name", 'n', "NAME", 0, "the witness's name, a URL without scheme by custom", 0},
	        {0},
	};
	static const struct argp argp = {
	        options,
	        witness_key_option,
	        "FILE",
	        "Make a witness's key in FILE, which must not be there yet, and print its verifier "
	        "key.",
	        NULL,
	        NULL,
	        NULL};
	struct vkey_args a = {0};
	struct vkey k;
	EVP_PKEY *key;
	int status = LOG_OK;
	int ret;

	log_parse(&argp, argc, argv, &a);
	key = log_key_new();
	/* A name that can't be used must not leave a key behind. */
	if (!key || ledger_vkey_of(key, a.name, NOTE_COSIGNATURE, &k)) {
		status = log_error(LOG_ERROR, "\"%s\" can't name a key", a.name);
	} else {
		ret = log_key_save(a.key, key);
		if (ret)
			status = log_error(LOG_ERROR, "%s: %s", a.key, strerror(-ret));
	}
	if (!status)
		status = log_vkey_print(key, a.name, NOTE_COSIGNATURE);
	EVP_PKEY_free(key);
	return status;
}
