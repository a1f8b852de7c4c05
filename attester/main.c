/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygate-attester: the destination's half as a program. Reads the command line and puts the
 * pieces together.
 */
#include <argp.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/resource.h>
#include "attester/evidence.h"
#include "attester/serve.h"
#include "core/secret.h"
#include "core/version.h"

enum { EXIT_OK = 0, EXIT_USAGE = 1, EXIT_FAILED = 3 };

const char *argp_program_version = "keygate-attester " KEYGATE_VERSION;

static volatile int stopping;

static void on_signal(int sig)
{
	(void)sig;
	stopping = 1;
}

/* ------------------------------------------------------------------- serve */

struct serve_args {
	struct serve_config config;
	struct evidence_source source;
	void (*close)(struct evidence_source *source);
	const char *listen, *forward, *sim, *measured;
};

static const struct argp_option serve_options[] = {
        {"listen", 'l', "ADDR:PORT", 0, "Where to accept TLS connections; [ADDR]:PORT for IPv6", 0},
        {"forward", 'f', "ADDR:PORT", 0, "The plain TCP service behind this attester", 0},
        {"transport", 't', "NAME", 0,
         "How evidence is shown: keygate (the default), flashbots, atls, ra-tls or well-known; may "
         "be repeated, the client chooses",
         0},
        {"name", 'n', "NAME", 0,
         "A service name to answer for; may be repeated. Without it any name is answered", 0},
        {"leaf", 'L', "FILE", 0, "Ledger leaf (statement) to staple", 0},
        {"proof", 'P', "FILE", 0, "Its tlog-proof; both are read anew for each connection", 0},
        {"bundle", 'b', "FILE", 0, "Sigstore bundle of the release to staple; read anew too", 0},
        {"statement", 'S', "FILE", 0,
         "Statement with receipts, of the launch measurement, to staple; read anew too", 0},
        {"endorsement", 'e', "FILE", 0,
         "Certificates or CRLs (DER, PEM, certificate table) sent with the evidence", 0},
        {"simulate-tee", 's', "DIR", 0,
         "Evidence from the simulated platform in DIR instead of the machine's own. Nobody trusts "
         "it unless a policy names its anchor",
         0},
        {"measure", 'm', "FILE", 0,
         "With --simulate-tee: the file whose hash stands for the launch measurement", 0},
        {"idle-timeout", 'i', "SECONDS", 0,
         "Reset a connection on which nothing moves for so long (default 3600; 0: never)", 0},
        {"lease", 'r', "SECONDS", 0,
         "For how long a client may come back without evidence, if it asks to (default 3600, at "
         "most 86400; 0: not at all)",
         0},
        {"rpc-tls", 'R', NULL, 0,
         "The service is RPC, such as NFS: let clients ask whether there is TLS before they begin it "
         "(RFC 9289)",
         0},
        {"max-connections", 'c', "N", 0, "At most so many connections at once (default 1024)", 0},
        {0}};

static uint32_t lease_option(const char *arg, struct argp_state *state)
{
	uint64_t n = 0;

	if (decimal_u64(bytes_str(arg), LEASE_SECONDS_MAX, &n))
		argp_error(state, "--lease wants seconds, at most %d", LEASE_SECONDS_MAX);
	return (uint32_t)n;
}

static error_t serve_option(int key, char *arg, struct argp_state *state)
{
	struct serve_args *a = state->input;

	switch (key) {
	case 'l':
		a->listen = arg;
		return 0;
	case 'f':
		a->forward = arg;
		return 0;
	case 't': {
		enum attest_transport t = attest_transport_from_name(arg);

		if (t == TRANSPORT_NONE)
			argp_error(state, "%s is no transport", arg);
		a->config.transports |= 1u << t;
		return 0;
	}
	case 'n':
		if (a->config.names == SERVE_NAMES_MAX)
			argp_error(state, "more than %d names", SERVE_NAMES_MAX);
		a->config.name[a->config.names++] = arg;
		return 0;
	case 'L':
		a->config.leaf = arg;
		return 0;
	case 'P':
		a->config.proof = arg;
		return 0;
	case 'b':
		a->config.bundle = arg;
		return 0;
	case 'S':
		a->config.statement = arg;
		return 0;
	case 'e':
		a->config.endorsement = arg;
		return 0;
	case 's':
		a->sim = arg;
		return 0;
	case 'm':
		a->measured = arg;
		return 0;
	case 'r':
		a->config.lease_s = lease_option(arg, state);
		return 0;
	case 'R':
		a->config.rpc_tls = true;
		return 0;
	case 'c':
		a->config.max_connections = (unsigned)strtoul(arg, NULL, 10);
		if (a->config.max_connections == 0 || a->config.max_connections > 100000)
			argp_error(state, "--max-connections wants a number from 1 to 100000");
		return 0;
	case 'i':
		a->config.idle_s = (unsigned)strtoul(arg, NULL, 10);
		if (a->config.idle_s > 1000000)
			argp_error(state, "--idle-timeout wants seconds, at most 1000000");
		return 0;
	case ARGP_KEY_END:
		if (!a->listen || !a->forward)
			argp_error(state, "--listen and --forward are needed");
		if (!a->sim != !a->measured)
			argp_error(state, "--simulate-tee and --measure go together");
		if (!a->config.transports)
			a->config.transports = 1u << TRANSPORT_KEYGATE;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* "127.0.0.1:80", "[::1]:80". */
static bool parse_address(const char *text, bool passive, struct sockaddr_storage *out,
                          socklen_t *len)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *ai;
	const char *colon = strrchr(text, ':');
	char host[256];
	size_t n = colon ? (size_t)(colon - text) : 0;

	if (!colon || n >= sizeof(host))
		return false;
	if (n >= 2 && text[0] == '[' && text[n - 1] == ']') {
		text++;
		n -= 2;
	}
	memcpy(host, text, n);
	host[n] = '\0';
	if (passive)
		hints.ai_flags |= AI_PASSIVE;
	if (getaddrinfo(n ? host : NULL, colon + 1, &hints, &ai))
		return false;
	memcpy(out, ai->ai_addr, ai->ai_addrlen);
	*len = ai->ai_addrlen;
	freeaddrinfo(ai);
	return true;
}

/* Of a real TEE. Inside a Nitro enclave there is no configfs-tsm, and elsewhere no such device. */
static int open_real(struct serve_args *a, const char **step)
{
	int rc;

	*step = EVIDENCE_NSM_DEVICE;
	a->close = evidence_nsm_close;
	rc = evidence_nsm_open(EVIDENCE_NSM_DEVICE, &a->source);
	if (rc != -ENODEV)
		return rc;
	*step = "configfs-tsm";
	a->close = evidence_tsm_close;
	return evidence_tsm_open(EVIDENCE_TSM_DIR, &a->source);
}

static int open_source(struct serve_args *a)
{
	const char *step;
	int rc;

	a->close = evidence_sim_close;
	rc = a->sim ? evidence_sim_open(a->sim, a->measured, &a->source, &step)
	            : open_real(a, &step);
	if (rc)
		fprintf(stderr, "keygate-attester: no evidence: %s: %s\n", step, strerror(-rc));
	else if (a->sim)
		fprintf(stderr,
		        "keygate-attester: SIMULATED platform %s: proves nothing to "
		        "whoever does not trust its anchor\n",
		        a->sim);
	return rc;
}

/* Two descriptors a connection, and some. */
static void raise_descriptors(unsigned connections)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < 2 * (rlim_t)connections + 64) {
		r.rlim_cur = 2 * (rlim_t)connections + 64;
		if (r.rlim_cur > r.rlim_max)
			r.rlim_cur = r.rlim_max;
		setrlimit(RLIMIT_NOFILE, &r);
	}
}

/* Only evidence of keygate/1 can grant any. */
static int open_leases(struct serve_args *a)
{
	if (!a->config.lease_s || !(a->config.transports & 1u << TRANSPORT_KEYGATE))
		return 0;
	a->config.leases = lease_table_new();
	if (a->config.leases)
		return 0;
	fprintf(stderr,
	        "keygate-attester: no locked memory for leases: %s; raise the limit (ulimit -l, "
	        "LimitMEMLOCK=), or grant none: --lease 0\n",
	        strerror(errno));
	return -ENOMEM;
}

static int run_serve(struct serve_args *a)
{
	SSL_CTX *tls = NULL;
	int listener = -1, rc;

	if (!parse_address(a->listen, true, &a->config.listen, &a->config.listen_len) ||
	    !parse_address(a->forward, false, &a->config.forward, &a->config.forward_len)) {
		fprintf(stderr, "keygate-attester: --listen and --forward want ADDR:PORT\n");
		return EXIT_USAGE;
	}
	if (open_leases(a) || open_source(a))
		return EXIT_FAILED;
	a->config.source = &a->source;
	raise_descriptors(a->config.max_connections);
	tls = serve_tls_context(a->config.names ? a->config.name[0] : "keygate-attester");
	rc = tls ? listener = serve_listen(&a->config) : -ENOMEM;
	if (rc >= 0) {
		fprintf(stderr, "event: serving, listen: %s, forward: %s\n", a->listen, a->forward);
		rc = serve_run(&a->config, tls, listener, &stopping);
	}
	if (rc < 0)
		fprintf(stderr, "keygate-attester: %s: %s\n", a->listen, strerror(-rc));
	if (listener >= 0)
		close(listener);
	/* Connections may still be running on the context, the source and the leases; exit ends
	 * them. */
	if (a->config.leases)
		lease_table_wipe(a->config.leases);
	if (rc < 0) {
		SSL_CTX_free(tls);
		a->close(&a->source);
	}
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}

static int cmd_serve(int argc, char **argv)
{
	static const struct argp argp = {
	        serve_options,
	        serve_option,
	        NULL,
	        "Terminate TLS 1.3, prove by evidence what runs here, forward to the service.",
	        NULL,
	        NULL,
	        NULL};
	/* Outlives this call: connections may run until the process has ended. */
	static struct serve_args a = {
	        .config = {.max_connections = 1024, .idle_s = 3600, .lease_s = LEASE_SECONDS}};
	struct sigaction sa = {.sa_handler = on_signal};

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	return run_serve(&a);
}

/* --------------------------------------------------------- init-sim, measure */

struct sim_args {
	enum tee tee; /* TEE_NONE: not named */
	const char *sim, *path;
};

#define TEE_OPTION "Which kind of TEE: snp (the default), tdx, sgx, cca, nitro"

static const struct argp_option init_options[] = {{"tee", 't', "TEE", 0, TEE_OPTION, 0}, {0}};

static const struct argp_option measure_options[] = {
        {"tee", 't', "TEE", 0, TEE_OPTION, 0},
        {"simulate-tee", 's', "DIR", 0, "The kind of TEE that the platform in DIR is", 0},
        {0}};

static error_t sim_option(int key, char *arg, struct argp_state *state)
{
	struct sim_args *a = state->input;

	switch (key) {
	case 't':
		a->tee = attest_tee_from_name(arg);
		if (!attest_is_peer(a->tee))
			argp_error(state, "--tee wants snp, tdx, sgx, cca or nitro, not '%s'", arg);
		return 0;
	case 's':
		a->sim = arg;
		return 0;
	case ARGP_KEY_ARG:
		if (a->path)
			return ARGP_ERR_UNKNOWN;
		a->path = arg;
		return 0;
	case ARGP_KEY_END:
		if (!a->path)
			argp_usage(state);
		if (a->sim && a->tee != TEE_NONE)
			argp_error(state, "--tee and --simulate-tee say the same: give one");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static int cmd_init_sim(int argc, char **argv)
{
	static const struct argp argp = {
	        init_options,
	        sim_option,
	        "DIR",
	        "Make a simulated platform in the new directory DIR. Its root, DIR/ark.pem for SNP and "
	        "DIR/anchor.pem for the others, is trusted by nobody until a policy names it as an "
	        "anchor.",
	        NULL,
	        NULL,
	        NULL};
	struct sim_args a = {0};
	const char *step = "";
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	rc = evidence_sim_init(a.path, a.tee == TEE_NONE ? TEE_SNP : a.tee, time(NULL), &step);
	if (rc) {
		fprintf(stderr, "keygate-attester: %s: %s: %s\n", a.path, step, strerror(-rc));
		return EXIT_FAILED;
	}
	return EXIT_OK;
}

/* Only one of SNP's is not zero, and its line is the value alone. */
static void print_registers(enum tee tee, const struct measurements *m)
{
	char hex[2 * MEASUREMENT_MAX + 1];

	for (uint32_t i = 0; i < m->n; i++) {
		hex_encode((struct bytes){m->v[i].value, m->v[i].len}, hex);
		if (tee == TEE_SNP)
			puts(hex);
		else
			printf("%s=%s\n", m->v[i].name, hex);
	}
}

static int cmd_measure(int argc, char **argv)
{
	static const struct argp argp = {
	        measure_options,
	        sim_option,
	        "FILE",
	        "Print the registers that a simulated platform reports for FILE.",
	        NULL,
	        NULL,
	        NULL};
	struct sim_args a = {0};
	struct measurements m;
	int rc;

	if (argp_parse(&argp, argc, argv, 0, NULL, &a))
		return EXIT_USAGE;
	rc = a.sim ? evidence_sim_tee(a.sim, &a.tee) : 0;
	if (rc) {
		fprintf(stderr, "keygate-attester: %s: %s\n", a.sim, strerror(-rc));
		return EXIT_FAILED;
	}
	if (a.tee == TEE_NONE)
		a.tee = TEE_SNP;
	rc = evidence_sim_measure(a.tee, a.path, &m);
	if (rc) {
		fprintf(stderr, "keygate-attester: %s: %s\n", a.path, strerror(-rc));
		return EXIT_FAILED;
	}
	print_registers(a.tee, &m);
	return EXIT_OK;
}

static const struct {
	const char *name;
	int (*fn)(int argc, char **argv);
	const char *summary;
} commands[] = {
        {"serve", cmd_serve, "answer attested TLS connections and forward them"},
        {"init-sim", cmd_init_sim, "make a simulated platform"},
        {"measure", cmd_measure, "print a simulated platform's registers for a file"},
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: keygate-attester COMMAND [OPTION...]\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].summary);
	fprintf(to, "\nkeygate-attester COMMAND --help shows a command's options.\n");
}

int main(int argc, char **argv)
{
	char name[64];

	argp_err_exit_status = EXIT_USAGE;
	/* Its keys live only in this process. */
	if (secret_harden_process()) {
		fprintf(stderr, "keygate-attester: can't keep keys out of core dumps\n");
		return EXIT_FAILED;
	}
	if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-?") == 0)) {
		usage(stdout);
		return EXIT_OK;
	}
	if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
		puts(argp_program_version);
		return EXIT_OK;
	}
	for (size_t i = 0; argc >= 2 && i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(argv[1], commands[i].name) == 0) {
			snprintf(name, sizeof(name), "keygate-attester %s", commands[i].name);
			argv[1] = name;
			return commands[i].fn(argc - 1, argv + 1);
		}
	usage(stderr);
	return EXIT_USAGE;
}
