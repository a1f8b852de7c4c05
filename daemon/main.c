/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keygated: options, and which role this process is.
 */
#include <argp.h>
#include <errno.h>
#include <limits.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <openssl/crypto.h>
#include "core/bytes.h"
#include "core/version.h"
#include "daemon/arm.h"
#include "daemon/audit.h"
#include "daemon/gate.h"
#include "daemon/intercept.h"
#include "daemon/log.h"
#include "daemon/role.h"

const char *argp_program_version = "keygated " KEYGATE_VERSION;

enum option_key {
	OPT_CONFIG = 'c',
	OPT_POLICY = 'p',
	OPT_STATE = 's',
	OPT_RUN = 'r',
	OPT_USER = 'u',
	OPT_CHECK = 0x100,
	OPT_ARM,
	OPT_DISARM,
	OPT_ROLE,
	OPT_IDS,
};

struct options {
	struct gate_options gate;
	bool check, arm, disarm;
	const char *role;  /* NULL: gate */
	uint64_t uid, gid; /* of a role */
	char policy_dir[PATH_MAX];
	char collateral[PATH_MAX], state_collateral[PATH_MAX];
};

static const struct argp_option options[] = {
        {"config", OPT_CONFIG, "FILE", 0, "Configuration (/etc/keygate/keygate.conf)", 0},
        {"policy", OPT_POLICY, "DIR", 0, "Policy files DIR/*.conf (policy.d beside FILE)", 0},
        {"state", OPT_STATE, "DIR", 0, "Ledger heads and audit record (/var/lib/keygate)", 0},
        {"run", OPT_RUN, "DIR", 0, "Control socket (/run/keygate)", 0},
        {"user", OPT_USER, "NAME", 0, "User of the unprivileged roles (keygate)", 0},
        {"check", OPT_CHECK, NULL, 0, "Parse the configuration, say what is wrong, and exit", 0},
        {"arm", OPT_ARM, NULL, 0,
         "Have the kernel refuse what the policy gates, without a keygated that would serve it, and "
         "exit: for early at boot",
         0},
        {"disarm", OPT_DISARM, NULL, 0,
         "Take what keygated left in the kernel away, so that nothing is gated, and exit. For when "
         "keygated does not run; \"keygate disarm\" is for when it does",
         0},
        {"role", OPT_ROLE, "ROLE", OPTION_HIDDEN, NULL, 0},
        {"ids", OPT_IDS, "UID:GID", OPTION_HIDDEN, NULL, 0},
        {0},
};

static bool parse_ids(const char *arg, struct options *o)
{
	const char *colon = strchr(arg, ':');
	struct bytes uid = {(const uint8_t *)arg, colon ? (size_t)(colon - arg) : 0};

	return colon && !decimal_u64(uid, INT32_MAX, &o->uid) &&
	       !decimal_u64(bytes_str(colon + 1), INT32_MAX, &o->gid);
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPT_CONFIG:
		o->gate.paths.config = arg;
		o->gate.paths.config_must = true;
		return 0;
	case OPT_POLICY:
		o->gate.paths.policy_dir = arg;
		return 0;
	case OPT_STATE:
		o->gate.state_dir = arg;
		return 0;
	case OPT_RUN:
		o->gate.run_dir = arg;
		return 0;
	case OPT_USER:
		o->gate.user = arg;
		return 0;
	case OPT_CHECK:
		o->check = true;
		return 0;
	case OPT_ARM:
		o->arm = true;
		return 0;
	case OPT_DISARM:
		o->disarm = true;
		return 0;
	case OPT_ROLE:
		o->role = arg;
		return 0;
	case OPT_IDS:
		if (!parse_ids(arg, o))
			argp_error(state, "--ids takes UID:GID");
		return 0;
	case ARGP_KEY_END:
		if (o->check + o->arm + o->disarm > 1)
			argp_error(state, "--check, --arm and --disarm exclude each other");
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "keygated takes no arguments, only options");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .doc = "Gates connections by remote attestation and a transparency ledger.\v"
               "SIGHUP reloads the policy, SIGTERM stops. The kernel half stays in place when keygated "
               "ends and refuses what is gated; \"keygate disarm\" opens the host.",
};

/* What a host's openssl.cnf loads is no part of what was reviewed. */
static bool no_openssl_config(void)
{
	return OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) == 1;
}

static int run_role(const struct options *o)
{
	static const int ignored[] = {SIGPIPE, SIGTERM, SIGINT, SIGHUP};
	char name[16];
	int ret;

	/* What ps and the kernel's log call it; executed by descriptor, it would be "exe". */
	snprintf(name, sizeof(name), "keygate-%s", o->role);
	(void)prctl(PR_SET_NAME, name);

	/* A role ends when gate does: by the end of its socket. */
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)signal(ignored[i], SIG_IGN);
	/* relay first gives OpenSSL another allocator, and does it then. */
	if (strcmp(o->role, "relay") != 0 && !no_openssl_config())
		return 1;
	ret = role_confine(o->role, (uid_t)o->uid, (gid_t)o->gid);
	if (ret) {
		log_event("role-failed", "role: %s, error: can't be confined: %s", o->role,
		          strerror(-ret));
		return 1;
	}
	if (!strcmp(o->role, "relay"))
		return role_relay(ROLE_FD, SESSIONS_RELAY);
	if (!strcmp(o->role, "verify"))
		return role_verify(ROLE_FD);
	return role_fetch(ROLE_FD);
}

static void beside(const char *config, const char *name, char out[static PATH_MAX])
{
	const char *slash = strrchr(config, '/');

	if (slash)
		snprintf(out, PATH_MAX, "%.*s/%s", (int)(slash - config), config, name);
	else
		snprintf(out, PATH_MAX, "%s", name);
}

static int find_user(struct gate_options *g)
{
	const struct passwd *pw = getpwnam(g->user);

	if (!pw) {
		log_event("fatal",
		          "reason: there is no user %s; make it with: useradd --system "
		          "--no-create-home --shell /usr/sbin/nologin %s",
		          g->user, g->user);
		return -ENOENT;
	}
	if (pw->pw_uid == 0 || pw->pw_gid == 0) {
		log_event("fatal", "reason: the roles can't run as %s, which is root", g->user);
		return -EINVAL;
	}
	g->uid = pw->pw_uid;
	g->gid = pw->pw_gid;
	return 0;
}

/* By hand and on purpose, so it is said in the audit record too. */
static int disarm(const struct options *o)
{
	struct audit *audit = NULL;
	char path[PATH_MAX];
	int ret;

	snprintf(path, sizeof(path), "%s/audit.jsonl", o->gate.state_dir);
	(void)audit_open(path, &audit);
	ret = intercept_remove();
	if (ret)
		audit_emit(
		        audit, "fatal",
		        json_pack("{s:s, s:s}", "reason", "can't disarm", "error", strerror(-ret)));
	else
		audit_emit(audit, "removed", json_pack("{s:s}", "pins", GATE_PIN_DIR));
	audit_close(audit);
	return ret ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct options o = {.gate = {.paths = {.config = "/etc/keygate/keygate.conf"},
	                             .state_dir = "/var/lib/keygate",
	                             .run_dir = "/run/keygate",
	                             .user = "keygate"}};

	argp_err_exit_status = 1;
	if (argp_parse(&argp, argc, argv, 0, NULL, &o))
		return 1;
	if (o.role)
		return run_role(&o);
	if (!no_openssl_config())
		return 1;
	beside(o.gate.paths.config, "policy.d", o.policy_dir);
	beside(o.gate.paths.config, "collateral", o.collateral);
	if (!o.gate.paths.policy_dir)
		o.gate.paths.policy_dir = o.policy_dir;
	o.gate.paths.collateral[0] = o.collateral;
	snprintf(o.state_collateral, sizeof(o.state_collateral), "%s/collateral", o.gate.state_dir);
	o.gate.paths.collateral[1] = o.state_collateral;
	if (o.check)
		return gate_check(&o.gate.paths);
	if (geteuid() != 0) {
		log_event("fatal", "reason: keygated needs root: BPF, keyring and kTLS are gate's");
		return 1;
	}
	umask(077);
	(void)signal(SIGPIPE, SIG_IGN);
	if (o.disarm)
		return disarm(&o);
	if (o.arm)
		return arm_without_keygated(&o.gate);
	if (find_user(&o.gate))
		return 1;
	return gate_run(&o.gate);
}
