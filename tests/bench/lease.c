/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a connection costs the client's processor when it takes up a lease, beside a plain TLS 1.3
 * handshake in which the same OpenSSL checks a chain of one certificate; and how long each takes.
 * Ten thousand of each over loopback, from socket() to close(), in turn in one run; the server's
 * half is another thread's, and its CPU not counted. All rest on one attestation: the server counts
 * how often it was asked for evidence. What counts is the ratio.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include "attester/serve.h"
#include "core/secret.h"
#include "tests/bench/clock.h"
#include "transport/transport.h"

enum { ROUNDS = 25, CONNECTS = 400 };

#define NAME "service.test"

/* ------------------------------------------------------------------ both servers */

struct server {
	SSL_CTX *tls;
	const struct serve_config *attester; /* NULL: a plain TLS server */
	struct sockaddr_storage at;
	int listener;
};

static void serve_one(const struct server *s, int fd)
{
	struct buf early = buf_make(SERVE_EARLY_MAX);
	SSL *ssl = SSL_new(s->tls);
	const char *step;
	char end;

	SSL_set_fd(ssl, fd);
	if (s->attester ? !serve_attest(s->attester, ssl, &early, &step) : SSL_accept(ssl) == 1)
		SSL_read(ssl, &end, 1); /* until the client has gone */
	SSL_free(ssl);
	buf_free(&early);
}

static void *serve(void *arg)
{
	const struct server *s = arg;

	for (;;) {
		int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd == -1)
			return NULL;
		serve_one(s, fd);
		close(fd);
	}
}

static bool start(struct server *s)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(in);
	pthread_t thread;

	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(s->listener, (struct sockaddr *)&in, len) || listen(s->listener, 64) ||
	    getsockname(s->listener, (struct sockaddr *)&in, &len))
		return false;
	memcpy(&s->at, &in, sizeof(in));
	return !pthread_create(&thread, NULL, serve, s) && !pthread_detach(thread);
}

/* ------------------------------------------------------------------ certificates */

static X509 *certificate(EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	const char *use = issuer ? "DNS:" NAME : "critical,CA:TRUE";
	int nid = issuer ? NID_subject_alt_name : NID_basic_constraints;
	X509_EXTENSION *ext = X509V3_EXT_conf_nid(NULL, NULL, nid, use);
	X509 *x = X509_new();
	X509_NAME *name = X509_get_subject_name(x);
	bool ok =
	        X509_set_version(x, X509_VERSION_3) &&
	        ASN1_INTEGER_set(X509_get_serialNumber(x), issuer ? 2 : 1) &&
	        X509_gmtime_adj(X509_getm_notBefore(x), -60) &&
	        X509_gmtime_adj(X509_getm_notAfter(x), 3600) &&
	        X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	                                   (const uint8_t *)(issuer ? NAME : "root"), -1, -1, 0) &&
	        X509_set_issuer_name(x, issuer ? X509_get_subject_name(issuer) : name) &&
	        X509_set_pubkey(x, key) && X509_add_ext(x, ext, -1) &&
	        X509_sign(x, issuer_key, EVP_sha256());

	X509_EXTENSION_free(ext);
	if (ok)
		return x;
	X509_free(x);
	return NULL;
}

/* A server with a certificate of a root that the client trusts, and nothing else that differs. */
static bool plain_pair(SSL_CTX *client, SSL_CTX **server)
{
	EVP_PKEY *root_key = EVP_EC_gen("P-256"), *key = EVP_EC_gen("P-256");
	X509 *root = certificate(root_key, NULL, root_key);
	X509 *leaf = root ? certificate(key, root, root_key) : NULL;
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	bool ok = leaf && tls && SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION) &&
	          SSL_CTX_set_num_tickets(tls, 0) && SSL_CTX_use_certificate(tls, leaf) == 1 &&
	          SSL_CTX_use_PrivateKey(tls, key) == 1 &&
	          X509_STORE_add_cert(SSL_CTX_get_cert_store(client), root) == 1;

	SSL_CTX_set_keylog_callback(client, NULL);
	SSL_CTX_set_verify(client, SSL_VERIFY_PEER, NULL);
	SSL_CTX_set_quiet_shutdown(client, 1);
	*server = tls;
	X509_free(root);
	X509_free(leaf);
	EVP_PKEY_free(root_key);
	EVP_PKEY_free(key);
	return ok;
}

/* ------------------------------------------------------------------ both clients */

static struct {
	SSL_CTX *tls, *plain_tls;
	struct server attester, plain;
	struct attest_lease *lease;
	atomic_uint attested;
} lab;

/* take: the first one, with evidence. */
static bool connect_attested(struct attest_lease *take)
{
	struct transport_target to = {
	        .transport = TRANSPORT_KEYGATE, .address = lab.attester.at, .server_name = NAME};
	struct transport_call call = {
	        .tls = lab.tls,
	        .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	        .to = &to,
	        .deadline_ms = transport_now_ms() + 10000,
	        .offer = take ? NULL : lab.lease,
	        .take = take};
	struct transport_evidence e = {0};
	struct failure f;
	bool ok = RAND_bytes(to.context, sizeof(to.context)) == 1 &&
	          !transport_attest(&call, &e, &f) && e.resumed == !take;

	transport_evidence_free(&e);
	close(call.fd);
	return ok;
}

static bool connect_plain(void)
{
	char name[] = NAME; /* a macro takes const away */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	SSL *ssl = SSL_new(lab.plain_tls);
	bool ok =
	        ssl &&
	        !connect(fd, (const struct sockaddr *)&lab.plain.at, sizeof(struct sockaddr_in)) &&
	        SSL_set_fd(ssl, fd) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1 &&
	        SSL_set1_host(ssl, NAME) == 1 && SSL_connect(ssl) == 1 &&
	        SSL_get_verify_result(ssl) == X509_V_OK && !SSL_session_reused(ssl);

	SSL_free(ssl);
	close(fd);
	return ok;
}

/* ----------------------------------------------------------------------- timing */

static double cpu_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
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

/* What one kind of connection took, each of them. */
struct times {
	double cpu[ROUNDS]; /* us a connection, of a round */
	double wall[ROUNDS * CONNECTS];
	double all;
};

static bool on_lease(void)
{
	return connect_attested(NULL);
}

static bool round_of(bool (*connect_one)(void), struct times *t, int round)
{
	double cpu = cpu_us(), from = now_us();

	for (int k = 0; k < CONNECTS; k++) {
		double since = now_us();

		if (!connect_one())
			return false;
		if (round >= 0)
			t->wall[round * CONNECTS + k] = now_us() - since;
	}
	if (round < 0)
		return true; /* to warm up */
	t->all += now_us() - from;
	t->cpu[round] = (cpu_us() - cpu) / CONNECTS;
	return true;
}

static void show(const char *what, struct times *t)
{
	double half = median(t->wall, ROUNDS * CONNECTS);

	printf("lease  %-22s %5d connects, %5.0f a second   latency %4.0f us, 99 %% within %4.0f us\n",
	       what, ROUNDS * CONNECTS, ROUNDS * CONNECTS / t->all * 1e6, half,
	       t->wall[ROUNDS * CONNECTS / 100 * 99]);
}

static bool measure(void)
{
	static struct times lease, plain;
	double ratio[ROUNDS];
	bool ok = true;

	for (int i = -1; ok && i < ROUNDS; i++) {
		ok = round_of(on_lease, &lease, i) && round_of(connect_plain, &plain, i);
		if (i >= 0)
			ratio[i] = lease.cpu[i] / plain.cpu[i];
	}
	if (!ok)
		return false;
	show("on a lease", &lease);
	show("certificate handshake", &plain);
	printf("lease  attestations %u   client's CPU %4.0f us, certificate handshake %4.0f us   "
	       "ratio %.2f\n",
	       atomic_load(&lab.attested), median(lease.cpu, ROUNDS), median(plain.cpu, ROUNDS),
	       median(ratio, ROUNDS));
	return true;
}

/* Nobody judges it here. */
static int evidence(void *ctx, const uint8_t report_data[static 64], struct evidence *out)
{
	(void)ctx;
	atomic_fetch_add(&lab.attested, 1);
	out->tee = TEE_SNP;
	buf_put(&out->report, report_data, 64);
	return 0;
}

int main(void)
{
	static const struct evidence_source source = {.evidence = evidence};
	struct serve_config config = {.transports = 1u << TRANSPORT_KEYGATE,
	                              .leases = lease_table_new(),
	                              .lease_s = LEASE_SECONDS,
	                              .source = &source};

	signal(SIGPIPE, SIG_IGN);
	lab.tls = transport_tls_context(SERVE_SUITES);
	lab.plain_tls = transport_tls_context(SERVE_SUITES);
	lab.lease = secret_alloc(sizeof(*lab.lease));
	lab.attester = (struct server){.tls = serve_tls_context(NAME), .attester = &config};
	if (!config.leases || !lab.tls || !lab.plain_tls || !lab.lease || !lab.attester.tls ||
	    !plain_pair(lab.plain_tls, &lab.plain.tls) || !start(&lab.attester) ||
	    !start(&lab.plain) || !connect_attested(lab.lease) || !measure()) {
		fprintf(stderr, "lease: a handshake that must work does not: %s\n",
		        strerror(errno));
		return 1;
	}
	secret_free(lab.lease, sizeof(*lab.lease));
	return 0;
}
