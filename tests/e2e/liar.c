/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An attester that cheats, for the end-to-end tests: everything is the real destination half, but
 * for the evidence it gives. Takes a mode, then the options of keygate-attester serve.
 *
 *   replay     the first connection's evidence for every later one
 *   other-key  evidence over other report data, as a relayed TEE with another TLS key would give
 *   none       no evidence: the authenticator is declined
 */
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <openssl/evp.h>
#include "attester/serve.h"

enum mode { REPLAY, OTHER_KEY, NONE, MODES };

static const char *const mode_names[MODES] = {"replay", "other-key", "none"};

struct liar {
	enum mode mode;
	struct evidence_source honest;
	pthread_mutex_t lock;
	struct buf first;
};

static int lie(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	struct liar *l = ctx;
	uint8_t other[64];
	int rc;

	if (l->mode == NONE)
		return -ENODATA;
	if (l->mode == OTHER_KEY) {
		EVP_Digest(report_data, 64, other, NULL, EVP_sha512(), NULL);
		return l->honest.evidence(l->honest.ctx, other, out);
	}
	rc = l->honest.evidence(l->honest.ctx, report_data, out);
	pthread_mutex_lock(&l->lock);
	if (rc == 0 && l->first.n == 0)
		buf_bytes(&l->first, buf_view(&out->report));
	buf_reset(&out->report);
	buf_bytes(&out->report, buf_view(&l->first));
	pthread_mutex_unlock(&l->lock);
	return rc;
}

static int address(char *text, struct sockaddr_storage *out, socklen_t *len)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *ai;
	char *colon = strrchr(text, ':'), *host = text;

	if (!colon)
		return -EINVAL;
	*colon = '\0';
	if (*host == '[') {
		host++;
		host[strlen(host) - 1] = '\0';
	}
	if (getaddrinfo(host, colon + 1, &hints, &ai))
		return -EINVAL;
	memcpy(out, ai->ai_addr, ai->ai_addrlen);
	*len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
	        {"listen", 1, NULL, 'l'},       {"forward", 1, NULL, 'f'},
	        {"simulate-tee", 1, NULL, 's'}, {"measure", 1, NULL, 'm'},
	        {"leaf", 1, NULL, 'L'},         {"proof", 1, NULL, 'P'},
	        {"transport", 1, NULL, 't'},    {0}};
	struct liar l = {.mode = MODES,
	                 .lock = PTHREAD_MUTEX_INITIALIZER,
	                 .first = buf_make(EVIDENCE_REPORT_MAX)};
	struct evidence_source source = {.evidence = lie, .ctx = &l};
	struct serve_config c = {
	        .max_connections = 256, .source = &source, .transports = 1u << TRANSPORT_KEYGATE};
	const char *sim = "", *measured = "", *step = "arguments";
	volatile int stop = 0;
	SSL_CTX *tls;
	int opt, rc = 0, listener;

	for (int i = 0; argc > 1 && i < MODES; i++)
		if (strcmp(argv[1], mode_names[i]) == 0)
			l.mode = (enum mode)i;
	while (l.mode != MODES &&
	       (opt = getopt_long(argc - 1, argv + 1, "", options, NULL)) != -1) {
		if (opt == 'l')
			rc |= address(optarg, &c.listen, &c.listen_len);
		else if (opt == 'f')
			rc |= address(optarg, &c.forward, &c.forward_len);
		else if (opt == 's')
			sim = optarg;
		else if (opt == 'm')
			measured = optarg;
		else if (opt == 'L')
			c.leaf = optarg;
		else if (opt == 'P')
			c.proof = optarg;
		else if (opt == 't')
			c.transports = 1u << attest_transport_from_name(optarg);
	}
	if (l.mode == MODES || rc || evidence_sim_open(sim, measured, &l.honest, &step)) {
		fprintf(stderr, "liar: %s\n", step);
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	tls = serve_tls_context("liar");
	listener = tls ? serve_listen(&c) : -1;
	return listener < 0 || serve_run(&c, tls, listener, &stop) ? 1 : 0;
}
