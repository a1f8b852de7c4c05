/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policy: the administrator's files in, a model out; match a destination, appraise what a peer
 * showed, compile to kernel maps, explain. Pure: files come in as bytes through a loader that
 * the caller gives; the time is an argument; names are resolved by the caller. The one place where
 * a verdict is made.
 */
#ifndef KEYGATE_POLICY_POLICY_H
#define KEYGATE_POLICY_POLICY_H

#include <stdbool.h>
#include <stdint.h>
#include "attest/attest.h"
#include "attest/cmw.h"
#include "attest/collateral.h"
#include "attest/transport.h"
#include "core/bytes.h"
#include "core/verdict.h"
#include "ledger/ledger.h"
#include "ledger/receipt.h"
#include "ledger/sigstore.h"

enum {
	POLICY_NAME_MAX = 64,
	POLICY_ADDRS_MAX = 4096,        /* that stand in a block, ... */
	POLICY_ADDRS_FILE_MAX = 131072, /* ... and with those of its files */
	POLICY_NAMES_MAX = 64,
	POLICY_PORTS_MAX = 16,
	POLICY_LIST_MAX = 64,
	POLICY_FLOORS_MAX = 48,
	POLICY_LEAVES_MAX = 8,
	POLICY_APPS_MAX = 63, /* different ones: a bit each in the kernel, and one for all */
	POLICY_CGROUP_MAX = 1024,
	POLICY_CGROUP_DEPTH = 16, /* components of a path */
	POLICY_DENIED_MAX = 4096,
	POLICY_DENY_FILE_MAX = 1 << 20,
	POLICY_EXPECTED_MAX = 8192,
	POLICY_EXPECTED_FILE_MAX = 1 << 20,
	POLICY_UNPINNED_MAX = 16, /* so that one line of a verdict can name them all */
	POLICY_FILE_MAX = 4 << 20,
	POLICY_ANCHOR_FILE_MAX = 65536,
	POLICY_COLLATERAL_BYTES = 64 << 20,
	/* What a peer may send leaves this much of attest's endorsements to ours. */
	POLICY_ENDORSEMENTS_MAX = ATTEST_ENDORSEMENTS_MAX - CMW_ENDORSEMENTS_MAX,
};

enum policy_action { POLICY_DENY = 0, POLICY_GATE, POLICY_ALLOW, POLICY_MONITOR };
/* Do connections go where they were meant to, untouched and unprotected? */
bool policy_passes(enum policy_action a);
/* Does the block demand anything of its peer, so that there are verdicts? */
bool policy_judges(enum policy_action a);

/* Strength rises with the number; a requirement admits its binder and stronger ones. */
enum policy_binder {
	BINDER_NONE = 0,
	BINDER_CERTIFICATE,
	BINDER_LEASE_KEY,
	BINDER_NONCE,
	BINDER_LEASE,
	BINDER_CONNECTION
};
const char *policy_binder_name(enum policy_binder b);
/*
 * The name, and what evidence that is bound so leaves open (docs/binders.md): what a verdict says
 * of its binder. machine: is it said by other means which machine it is? The text is static.
 */
const char *policy_binder_words(enum policy_binder b, bool machine);
/* BINDER_NONE when unknown. */
enum policy_binder policy_binder_from_name(const char *name);

/* Which of the kernel's own connections go out themselves and ask keygated for their handshake. */
enum policy_kernel_tls {
	KERNEL_TLS_NONE = 0, /* none: they are relayed as an application's are */
	KERNEL_TLS_NFS,  /* those of NFS clients: TLS starts after RFC 9289's question in clear */
	KERNEL_TLS_NVME, /* those of NVMe/TCP hosts: TLS from the first byte on */
};

const char *policy_kernel_tls_name(enum policy_kernel_tls k);
enum policy_kernel_tls policy_kernel_tls_from_name(const char *name); /* NONE if unknown */

/* A prefix; IPv4 is v4-mapped (plen counts over 128 bits). */
struct policy_prefix {
	uint8_t addr[16];
	uint8_t plen;
};

struct policy_port {
	uint16_t lo, hi;
};

struct policy_where {
	char file[256];
	uint32_t line;
};

/* A register and a value of it. */
struct policy_measurement {
	enum tee tee;
	struct measurement m; /* e.g. {"measurement", 48 bytes} */
};

struct policy_register_name {
	enum tee tee;
	char name[24];
};

struct policy_tcb_floor {
	uint32_t tees; /* bit (1 << enum tee): the platforms that it is for */
	char name[16]; /* as attest/'s tcb_component; or "guest-svn", "isvsvn" */
	uint32_t svn;
};

/* Whether a provider's key may sign SNP's reports, and not only a chip's own. */
enum policy_vlek {
	VLEK_UNSAID = 0, /* as VLEK_ANY */
	VLEK_ANY,        /* a loosening where it is used */
	VLEK_DENY,
	VLEK_LISTED, /* those of some providers */
};

enum policy_denied_kind { DENIED_NOTHING = 0, DENIED_MEASUREMENT, DENIED_LEAF, DENIED_SUBJECT };

/* What is accepted no longer, whatever the ledger says. */
struct policy_denied {
	enum policy_denied_kind kind;
	struct policy_measurement measurement; /* a launch measurement */
	uint8_t hash[32];                      /* of the leaf (RFC 6962), or the subject's */
};

/* A statement that whoever watches a log expects there: the value is a digest or a measurement. */
struct policy_expected {
	enum tee tee; /* of a launch measurement; TEE_NONE: a leaf hash (RFC 6962) */
	uint8_t len;
	uint8_t value[MEASUREMENT_MAX];
};

enum { WATCH_NAME_MAX = 256 };

/* A `ledger "name" { ... }` block. */
struct policy_ledger {
	char name[POLICY_NAME_MAX];
	struct policy_where where;
	struct tlog_policy *tlog; /* owned */
	int64_t max_age;          /* seconds */
	char url[512];            /* prefix of the tiles, https:, http: or file:; empty if none */
	char ca[256];             /* as in struct policy_source */
	int64_t refresh;          /* seconds between two looks at the log's head */
	bool require_known;       /* no trust on first use */
	bool allow_no_quorum;     /* loosening; needed for a tlog-policy with "quorum none" */
	/* Entries of these subjects (patterns) are watched for; none: the log's entries are not
	 * read
	 */
	char (*watch)[WATCH_NAME_MAX]; /* owned */
	uint32_t watches;
	struct policy_expected *expected; /* owned */
	uint32_t expecteds;
};

/*
 * A `release "name" { ... }` block: whose signed statement must name the measurement. It comes in a
 * Sigstore bundle (root) or with receipts (keys).
 */
struct policy_release {
	char name[POLICY_NAME_MAX];
	struct policy_where where;
	struct sigstore_root *root;        /* owned */
	struct hash trusted;               /* of the file that root or keys is from, as a leaf */
	struct sigstore_identity identity; /* with its key owned; never without any */
	struct bytes bundle;               /* owned; for peers that send none; n == 0: none */
	struct receipt_keys *keys;         /* owned; NULL: a Sigstore bundle is wanted */
	struct receipt_signer signer;      /* by a did:x509, and with a subject */
	struct bytes statement;            /* owned; for peers that send none; n == 0: none */
};

/* A user, by name as it is written. */
struct policy_user {
	char name[64];
	uint32_t uid;
	bool known; /* uid is; else policy_users has not said so yet */
	uint32_t line;
};

/*
 * Which applications a destination is for: each list that is not empty must have one that fits.
 * Sorted, each value once.
 */
struct policy_app {
	struct policy_where where; /* of the first destination that has it */
	struct policy_user user[POLICY_LIST_MAX];
	uint32_t users;
	char *unit[POLICY_LIST_MAX]; /* owned, as are the next two; system units */
	uint32_t units;
	char *cgroup[POLICY_LIST_MAX]; /* paths below the root of cgroup 2, and all below them */
	uint32_t cgroups;
	char *executable[POLICY_LIST_MAX]; /* absolute paths */
	uint32_t executables;
};

/* A `destination "name" { ... }` block. There may be very many: lists take what they need. */
struct policy_destination {
	char name[POLICY_NAME_MAX];
	struct policy_where where;
	enum policy_action action;
	uint16_t refuse_errno;
	struct policy_prefix *prefix; /* owned */
	char (*host)[254];            /* owned; names to be resolved by the caller */
	uint32_t prefixes;
	uint32_t hosts;
	struct policy_port port[POLICY_PORTS_MAX];
	uint32_t ports;
	uint32_t app; /* 0: every application; else policy.app[app - 1] */

	/* The requirement; where policy_judges. */
	uint32_t tees; /* bit (1 << enum tee) */
	enum policy_binder binder;
	enum attest_transport transport;
	enum policy_kernel_tls kernel_tls;
	int32_t ledger;  /* index into policy.ledger; -1: "none", a named loosening */
	int32_t release; /* index into policy.release; -1: none is asked for */
	uint32_t measurements;
	struct policy_measurement *measurement; /* owned; local list of launch measurements */
	struct bytes leaf[POLICY_LEAVES_MAX];   /* owned; for a peer that sends none */
	struct policy_denied *denied;           /* owned */
	uint32_t leaves, denieds;
	int64_t renewed_within;         /* seconds; 0: not demanded */
	char min_version[64];           /* empty: none is demanded */
	struct policy_measurement *pin; /* owned; registers by value, several of one: any of them */
	/* Registers of code or configuration that need not be zero or pinned: a loosening. */
	struct policy_register_name *unpinned; /* owned */
	uint32_t pins;
	uint32_t unpinneds;
	char server_name[254];     /* SNI and service name in the evidence; empty: none */
	uint8_t (*server_key)[32]; /* owned */
	uint8_t (*chip_id)[64];    /* owned */
	uint8_t *chip_id_len;      /* owned; one each */
	uint32_t server_keys;
	uint32_t chip_ids;
	uint8_t host_data[32];
	bool has_host_data;
	enum policy_vlek vlek;
	uint32_t vlek_csps;                 /* of VLEK_LISTED */
	char (*vlek_csp)[64];               /* owned; as in struct claims */
	struct policy_tcb_floor *tcb_floor; /* owned */
	uint32_t accept_tcb; /* bit (1 << enum policy_tcb_status), beside UpToDate: a loosening */
	char (*accept_advisory)[ADVISORY_MAX]; /* owned */
	uint32_t tcb_floors;
	uint32_t accept_advisories;  /* 0: any, where the status is accepted */
	int64_t tcb_grace;           /* seconds for what is out of date: a loosening; 0: none */
	int64_t min_tcb_date;        /* POSIX seconds; 0: none is demanded */
	uint32_t min_tcb_evaluation; /* 0: none is demanded */
	uint32_t vmpl;               /* default 0 */
	uint64_t platform_required;  /* SNP platform info bits that must be set ... */
	uint64_t platform_forbidden; /* ... and that must be clear */
	uint64_t
	        guest_policy_forbid; /* SNP guest policy bits that must be clear, beyond attest's */
	uint64_t guest_policy_required;
	/* Bits of the claims' policy, by enum tee: TD attributes, SGX flags. */
	uint64_t attributes_required[TEE_MAX];
	uint64_t attributes_forbidden[TEE_MAX];
	uint32_t anchor[ATTEST_ANCHORS_MAX]; /* indices into policy.anchor */
	uint32_t anchors;
	bool no_built_in; /* these anchors in place of the built-in roots */
	bool allow_debug; /* loosening */
	bool require_crl; /* default true; false is a loosening */
	int64_t lease;    /* seconds a session may live at most */
};

/* An `anchor "name" { ... }` block: trusted for the destinations that name it, for this TEE. */
struct policy_anchor {
	char name[POLICY_NAME_MAX];
	struct policy_where where;
	enum tee tee;
	struct bytes content; /* owned */
};

/* A `collateral "vendor" { ... }` block: where a vendor's collateral is fetched from. */
struct policy_source {
	struct policy_where where;
	char url[512];   /* ends in a slash; empty: nothing is fetched */
	int64_t refresh; /* seconds */
	char ca[256];    /* file with the roots that vouch for an https: url; empty: the system's */
};

struct policy {
	enum policy_action default_action;
	struct policy_destination *destination; /* in order: first match wins */
	uint32_t destinations;
	struct policy_app *app; /* each different one once */
	uint32_t apps;
	struct policy_ledger *ledger;
	uint32_t ledgers;
	struct policy_release *release;
	uint32_t releases;
	struct policy_anchor *anchor;
	uint32_t anchors;
	struct policy_source source[VENDORS];
	/* Of the collateral directory, owned: what a vendor serves under a name, and what goes in
	 * with every evidence. */
	struct collateral_store *collateral; /* NULL: none */
	struct bytes *endorsement;
	uint32_t endorsements;
	struct cover *index; /* owned: who covers an address; NULL: policy_match asks one by one */
};

/* --------------------------------------------------------------------- parse */

/* One configuration file; files are given in the order in which they apply. */
struct policy_file {
	const char *path; /* for messages, and the base of relative references */
	struct bytes text;
};

/*
 * Loads a file that the policy refers to (anchors, tlog-policies). *out is malloced, owned by
 * the parser afterwards. 0 or -errno.
 */
typedef int (*policy_load_fn)(void *ctx, const char *path, uint8_t **out, size_t *n);

enum { POLICY_ISSUES_MAX = 64 };

struct policy_issue {
	bool error; /* else a warning */
	struct policy_where where;
	char text[256]; /* what is wrong, what was expected, and the fix */
};

struct policy_issues {
	uint32_t n;
	uint32_t errors;
	struct policy_issue v[POLICY_ISSUES_MAX];
};

/*
 * 0 with *out (free with policy_free) when there is no error (warnings may be there); -EINVAL
 * with issues, -ENOMEM.
 */
int policy_parse(const struct policy_file *files, size_t n, policy_load_fn load, void *ctx,
                 int64_t now, struct policy **out, struct policy_issues *issues);
/*
 * Takes ownership of a collateral file's content, told by what it is, in any order. 0; -EINVAL (no
 * certificate, list or signed document), -ENOSPC (over POLICY_COLLATERAL_BYTES, or over
 * POLICY_ENDORSEMENTS_MAX that no vendor serves under a name) or -ENOMEM, and content stays the
 * caller's.
 */
int policy_add_collateral(struct policy *p, uint8_t *content, size_t n);
void policy_free(struct policy *p);
/*
 * Fills in the ids of the users that the policy names. fn: 0 with *uid, -ENOENT when there is no
 * such user, another -errno when it can't be told now. Users that are not known are issues:
 * errors. Until then, and for these, whether a rule is for an application of theirs is not known.
 */
typedef int (*policy_user_fn)(void *ctx, const char *name, uint32_t *uid);
void policy_users(struct policy *p, policy_user_fn fn, void *ctx, struct policy_issues *issues);

/* --------------------------------------------------------------------- match */

/*
 * Addresses that a destination's host names have at the moment; given by the caller. What is
 * learned may be forged. So it closes what is open without it, where its destination is an earlier
 * one, and turns gate into deny; it opens nothing, and no gate takes the place of another.
 */
struct policy_resolved {
	uint32_t destination;
	uint8_t addr[16];
	bool learned;
};

/* An application, as far as it is known. */
struct policy_who {
	bool has_uid;
	uint32_t uid;
	const char *cgroup;     /* its path below the root of cgroup 2; NULL: not known */
	const char *unit;       /* of a cgroup that is not known; NULL: not known either */
	const char *executable; /* path, "" for one that no policy could name; NULL: not known */
};

enum policy_fit { FIT_NO = 0, FIT_MAYBE, FIT_YES };
/* Whether the destination is for this application; MAYBE when it hangs on what is not known. NULL:
 * nothing is known. */
enum policy_fit policy_fits(const struct policy *p, const struct policy_destination *d,
                            const struct policy_who *who);

/* The same of a selection's cgroups and units alone. */
enum policy_fit policy_fits_cgroup(const struct policy_app *a, const struct policy_who *who);

/*
 * Index of the first destination that matches, or -1 (the default action applies; with
 * default-action = deny loopback stays open, see policy_default). An IPv6 prefix never matches a
 * v4-mapped address. Where it is not known whether a destination is for the application, it is if
 * it does not let pass, and is not if it does: so reads the kernel a packet.
 */
int policy_match(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                 const uint8_t addr[static 16], uint16_t port, const struct policy_who *who);
/*
 * The next destination behind `after` (-1: the first) that matches or may match, with *fit; -1:
 * none.
 */
int policy_next(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                const uint8_t addr[static 16], uint16_t port, const struct policy_who *who,
                int after, enum policy_fit *fit);

/* The unit of a cgroup as systemd has it: the first component that is no slice, or "" (n: 0). */
struct bytes policy_unit_of(const char *cgroup);
/* NULL, or why it can't be the path of a cgroup or an executable, as an end of "must be". */
const char *policy_path_fault(const char *path);

/* For policy_match of many destinations; policy_parse does it. 0 or -ENOMEM. */
int policy_index(struct policy *p);
void policy_index_free(struct policy *p);

/* What happens to an address that no destination matches. */
enum policy_action policy_default(const struct policy *p, const uint8_t addr[static 16]);

/* ------------------------------------------------------------------- compile */

/* The kernel's longest-prefix table: values already hold what shorter prefixes add, in rule order.
 */
struct policy_lpm_port {
	uint16_t lo, hi;
	enum policy_action action;
	uint16_t err;
	uint32_t destination; /* UINT32_MAX: the default action */
	enum policy_kernel_tls kernel_tls;
	uint32_t app; /* as in struct policy_destination */
};

struct policy_lpm {
	struct policy_prefix prefix;
	uint32_t ports;
	struct policy_lpm_port port[POLICY_PORTS_MAX];
};

/* *out is malloced; n entries. -E2BIG when one prefix would need more than POLICY_PORTS_MAX. */
int policy_compile(const struct policy *p, const struct policy_resolved *names, size_t names_n,
                   struct policy_lpm **out, size_t *n);

/* What the destinations that name a host say of its ports, in the order of the files. */
struct policy_name_rules {
	char host[254];
	uint32_t ports;
	struct policy_lpm_port port[POLICY_PORTS_MAX];
};

/* Each host once. *out is malloced; n entries. -E2BIG as above, -ENOMEM. */
int policy_compile_names(const struct policy *p, struct policy_name_rules **out, size_t *n);
/*
 * What these destinations say of an address that is learned for them all, ascending, each once. Of
 * more than there is room for all ports are denied. The host stays as it is.
 */
void policy_compile_learned(const struct policy *p, const uint32_t *destination, size_t n,
                            struct policy_name_rules *out);

/* ------------------------------------------------------------------- appraise */

/* Collateral that the appraisal looked for in vain. */
struct policy_wants {
	uint32_t n;
	struct collateral_name v[COLLATERAL_WANTS_MAX];
};

/* A tlog-proof that the judge has of a leaf in one of these logs; empty: none. */
typedef struct bytes (*policy_proof_fn)(void *ctx, const struct tlog_policy *logs,
                                        const struct hash *leaf);

/* What the transport brought, already authenticated to the connection. */
enum { POLICY_TROUBLE_MAX = 120 };
/* For each vendor what went wrong when its service was asked last; "" if nothing did. */
typedef char policy_trouble[VENDORS][POLICY_TROUBLE_MAX];

struct policy_presented {
	enum policy_binder binder;
	struct cmw cmw;
	uint8_t spki_sha256[32];
	uint8_t report_data[64]; /* what the evidence must hold for this connection */
	bool check_report_data;  /* false only for files judged without a connection */
	/* What the judge keeps from one appraisal to the next; each may be NULL. */
	struct collateral_store *fetched;
	struct pki_cache *cache;
	struct policy_wants *wants; /* filled */
	const policy_trouble *trouble;
	policy_proof_fn proof_of; /* for a peer that sent no proof; the policy has the leaf */
	void *proof_ctx;
};

/* What the ledger half of the appraisal found, for the keeper of the state. */
struct policy_head_update {
	enum head_step step;
	uint32_t ledger; /* index into policy.ledger */
	struct checkpoint cp;
	int64_t at; /* ledger_head's quorum_at */
};

/*
 * Appends to v (initialised by the caller; transport checks may already be in it) the checks of
 * attest/, of ledger/ and policy/'s own (policy.binder, policy.server-key, policy.tee,
 * policy.chip, policy.vlek, policy.host-data, policy.tcb-floor, policy.tcb-status, policy.tcb-date,
 * policy.tcb-evaluation, policy.vmpl, policy.platform, policy.guest-policy, policy.attributes,
 * policy.ledger, policy.release, policy.denied, policy.version, policy.renewed, policy.measurement,
 * policy.registers), then seals it. last is the last-seen head of the destination's ledger for the
 * checkpoint's origin, looked up through `last`.
 */
typedef void (*policy_last_fn)(void *ctx, const char *origin, struct ledger_last *out);
int policy_appraise(const struct policy *p, uint32_t destination,
                    const struct policy_presented *shown, int64_t at, policy_last_fn last,
                    void *ctx, struct verdict *v, struct policy_head_update *head);

/* Does the policy say which machine, or whose key, the peer must have? */
bool policy_names_machine(const struct policy_destination *d);

/*
 * What connections to this destination that show no evidence may be bound by: BINDER_LEASE (a key
 * from an attested connection, if it has the transport for it and a binder that admits it),
 * BINDER_LEASE_KEY (the server's key that was attested, only where the policy says so), or
 * BINDER_NONE.
 */
enum policy_binder policy_lease_binder(const struct policy_destination *d);

/*
 * For connections that rest on a lease from this one: the verdict on `attested` (session's) once
 * more, with the binder of policy_lease_binder, the check lease.attested, which says which session
 * was attested and when, and a loosening that names it; sealed. It ends when the first one does.
 * -EACCES when the destination takes no leases, when `attested` is not a passed one of this
 * destination and bound to its connection (for BINDER_LEASE_KEY: to its nonce), or when the other
 * one has no room for what it must say; *out is not for use then.
 */
int policy_lease_verdict(const struct policy *p, uint32_t destination,
                         const struct verdict *attested, uint64_t session, struct verdict *out);

/*
 * What collateral and endorsements decide, once more, of evidence that an appraisal passed before:
 * the evidence itself and whose it is. It makes no verdict, so it opens nothing; what it refuses
 * has to end. 0, -EINVAL or -ENOMEM.
 */
int policy_recheck(const struct policy *p, uint32_t destination,
                   const struct policy_presented *shown, int64_t at, struct checks *out);

/* --------------------------------------------------------------------- watch */

/* A launch measurement that a statement names. */
struct policy_launch {
	enum tee tee;
	bool alone; /* no other register of that platform is named */
	uint8_t len;
	uint8_t value[MEASUREMENT_MAX];
};

/* An entry of a watched log that nobody expected, or that is no statement. Texts are hostile. */
struct policy_alert {
	uint64_t index;
	struct hash leaf;
	char code[CHECK_ID_MAX]; /* "ledger.unexpected" or "ledger.unreadable" */
	char detail[CHECK_DETAIL_MAX];
	char subject[256], version[64]; /* empty when it is no statement */
	uint32_t launches;
	struct policy_launch launch[STATEMENT_TEES_MAX];
};

/*
 * What the watched ledger's policy says of an entry that is in its log: 1 with *out filled when it
 * is to be alerted, 0 when it is expected or nobody's business, -ENOMEM. An entry is expected if
 * its leaf hash is (in `expected`, or as a `leaf` of a destination of this ledger), or if all that
 * it names are launch measurements, and each is in `expected`, or in `measurement` of such a
 * destination, and denied by none.
 */
int policy_watch(const struct policy *p, uint32_t ledger, uint64_t index, struct bytes entry,
                 struct policy_alert *out);
/* Whether what was alerted is expected by (another) policy. */
bool policy_alert_expected(const struct policy *p, uint32_t ledger, const struct policy_alert *a);

/* Which applications the destination is for, in words on one line; nothing for every one. */
void policy_app_words(const struct policy *p, const struct policy_destination *d, struct buf *out);
/* The name of an action as policy files write it. */
const char *policy_action_name(enum policy_action a);
/* The destination's requirement in words, a line each. */
void policy_explain(const struct policy *p, uint32_t destination, struct buf *out);
/*
 * What happens to connections to an address and port, as "keygate explain" says it (docs/json.md):
 * the destination that surely matches, or the default, and those before it that may. NULL: out of
 * memory.
 */
struct json_t *policy_match_json(const struct policy *p, const struct policy_resolved *names,
                                 size_t names_n, const uint8_t addr[static 16], uint16_t port,
                                 const struct policy_who *who);

#endif
