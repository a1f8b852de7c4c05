/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of policy keys. Words here reach the administrator twice: in the reference and in the
 * parser's errors. Knows no grammar and no values; read.h names the functions that take them.
 */
#include "policy/keys.h"
#include "policy/read.h"

static const struct policy_key top_keys[] = {
        {"default-action", KEY_MUST, "`allow` or `deny`", NULL, "allow",
         "What happens to a connection that no destination matches. There is no silent default: "
         "write down which of the two this host has. `deny` keeps loopback (127.0.0.0/8 and ::1) "
         "open unless a destination matches it.",
         read_default_action},
};

static const struct policy_key ledger_keys[] = {
        {"policy", KEY_MUST, "file", NULL, "\"acme.policy\"",
         "A tlog-policy (C2SP): the log's key, the witnesses' keys and the quorum of witnesses that "
         "must have cosigned. A relative name is relative to the file that holds this block.",
         read_ledger_policy},
        {"max-age", 0, "duration, at most 7d", "`24h`", "\"24h\"",
         "How old the cosignatures may be that count for the quorum. A verdict ends at the latest "
         "when they get older than this.",
         read_ledger_max_age},
        {"url", 0, "`https:`, `http:` or `file:` prefix", "none", "\"https://log.example/\"",
         "Where the log's checkpoint and tiles are (C2SP tlog-tiles), or a mirror of them; in place of "
         "the URL that the tlog-policy has for its log. keygate follows the log there, and gets "
         "proofs that another head of it is of the same tree as the last one it saw. Of a tlog-policy "
         "with several logs each keeps its own URL, and this one is for those without. With neither, "
         "the last-seen head moves only when nothing was known before.",
         read_ledger_url},
        {"refresh", 0, "duration, 5s to 1d", "`5m`", "\"5m\"",
         "How often the log's checkpoint is looked at, and what the witnesses with a URL in the "
         "tlog-policy say of the log. After a failure the time between two attempts doubles, up to "
         "an hour.",
         read_ledger_refresh},
        {"ca", 0, "absolute file name", "the system's", "\"/etc/keygate/log-ca.pem\"",
         "Certificates (PEM) that vouch for the servers of `https:` URLs of the log and its "
         "witnesses. The user that keygated gives its network role must be able to read it.",
         read_ledger_ca},
        {"first-use", 0, "`allow` or `refuse`", "`allow`", "refuse",
         "Whether the first head that is ever seen of the log is accepted (the quorum still "
         "guards it). `refuse` makes a lost state directory a refusal instead of a fresh start.",
         read_ledger_first_use},
        {"allow-no-quorum", 0, "`true` or `false`", "`false`", "true",
         "Accept a tlog-policy that says `quorum none`, so that no witness vouches for the log's "
         "heads: the log can show this host a history that nobody else sees, and nothing says "
         "how old a head is, so max-age does not apply. A loosening.",
         read_ledger_allow_no_quorum},
        {"watch", KEY_LIST, "list of patterns", "none", "{\"*\"}",
         "Read every entry of the log, from its first on, and raise an alert for each that nobody "
         "expects (`keygate ledger watch`, the audit record, the journal). The patterns say whose "
         "entries: names of subjects, in which `*` stands for any number of characters. A "
         "destination of this ledger accepts a logged measurement under any name, so leave it at "
         "`\"*\"` unless others publish in this log too. What looks like an entry of these names and "
         "is no statement is alerted as well. The log needs a URL. Nothing is refused by an alert: "
         "see `deny`.",
         read_ledger_watch},
        {"expected", KEY_LIST, "list of `leaf:` or `platform:` and hexadecimal", "none",
         "{\"leaf:<64 hexadecimal digits>\"}",
         "What may appear in the log without an alert: statements, by their leaf hash (RFC 6962), and "
         "launch measurements, as in `measurement`. A measurement stands for statements that name "
         "this register of a platform and no other, so it can't be one of `tdx`. What destinations "
         "of this ledger name by `leaf` and `measurement` is expected too; a measurement that one of them "
         "denies is not. At most 8192 with those of "
         "`expected-file`.",
         read_ledger_expected},
        {"expected-file", KEY_LIST, "list of files", "none", "{\"releases.list\"}",
         "Files with more of `expected`, an entry a line; `#` begins a comment. A reload takes back "
         "the alerts that are expected from then on. A relative name is relative to the file that "
         "holds this block.",
         read_ledger_expected_file},
};

static const struct policy_key release_keys[] = {
        {"trusted-root", KEY_MUST | KEY_SIGSTORE, "file", NULL, "\"trusted_root.json\"",
         "The trusted root of the instance of Sigstore: its logs and authorities, and when each was in "
         "use. A relative name is relative to the file that holds this block.",
         read_release_trusted_root},
        {"predicate-type", KEY_MUST | KEY_SIGSTORE, "URI", NULL,
         "\"https://tinfoil.sh/predicate/snp-tdx-multiplatform/v1\"",
         "The type of the statement, exactly; one whose measurements keygate reads: this one, or any "
         "that ends in `/tee-measurement/v1`.",
         read_release_predicate_type},
        {"issuer", 0, "URI", "none", "\"https://token.actions.githubusercontent.com\"",
         "Who vouched for the signer's identity, exactly. With `san`, unless there is a `key`. With "
         "`trust-store` it must be given, and is a did:x509: the authority, by the hash of its "
         "certificate, and the extended key usage of what it issues.",
         read_release_issuer},
        {"san", KEY_SIGSTORE, "pattern", "none",
         "\"https://github.com/acme/service/.github/workflows/release.yml@refs/tags/*\"",
         "Who signed: the one URI or e-mail address of the certificate. `*` stands for any number of "
         "characters; it can't be all of the pattern.",
         read_release_san},
        {"repository", KEY_SIGSTORE, "`owner/name` or URI", "any that the signer's name admits",
         "\"acme/service\"", "The repository that the release was built from, exactly.",
         read_release_repository},
        {"ref", KEY_SIGSTORE, "pattern", "any that the signer's name admits", "\"refs/tags/v*\"",
         "The branch or tag that the release was built from.", read_release_ref},
        {"key", KEY_SIGSTORE, "file", "none", "\"release.pem\"",
         "The public key (PEM or DER) that the publisher signs with, in place of a certificate with "
         "`issuer` and `san`.",
         read_release_key},
        {"bundle", KEY_SIGSTORE, "file", "none", "\"release.sigstore.json\"",
         "A bundle for peers that send none of their own.", read_release_bundle},
        {"trust-store", KEY_MUST | KEY_RECEIPT, "file", NULL, "\"esrp-cts-db.json\"",
         "The keys of the transparency service, as it publishes them: the statement must carry a "
         "receipt by one of them.",
         read_release_trust_store},
        {"subject", KEY_MUST | KEY_RECEIPT, "text", NULL, "\"ContainerPlat-AMD-UVM\"",
         "What the statement is about, exactly: an issuer makes statements about more than one thing.",
         read_release_subject},
        {"min-svn", KEY_RECEIPT, "number", "any, or none stated", "104",
         "The security version that the statement must state at least. What was logged once stays "
         "logged, with its flaws: raise this when they are known.",
         read_release_min_svn},
        {"statement", KEY_RECEIPT, "file", "none", "\"uvm.cose\"",
         "A statement, with its receipts, for peers that send none of their own.",
         read_release_statement},
};

static const struct policy_key anchor_keys[] = {
        {"tee", KEY_MUST, "`snp`, `tdx`, `sgx`, `cca` or `nitro`", NULL, "snp",
         "The platform whose evidence may end at this anchor.", read_anchor_tee},
        {"file", KEY_MUST, "file", NULL, "\"anchors/lab.pem\"",
         "A certificate or public key, PEM or DER. A relative name is relative to the file that "
         "holds this block.",
         read_anchor_file},
};

static const struct policy_key collateral_keys[] = {
        {"url", KEY_MUST, "`https:`, `http:` or `file:` prefix", NULL,
         "\"https://kdsintf.amd.com/\"",
         "The vendor's service, a mirror of it or a caching service (PCCS) of yours: what stands "
         "behind the prefix are the vendor's own paths. In a directory (`file:`) `?` and `&` of a "
         "path are written as `,`. What comes from there is checked like everything else, so a "
         "mirror needs no trust; it learns which machines this host talks to.",
         read_source_url},
        {"refresh", 0, "duration, 1h to 30d", "`24h`", "\"24h\"",
         "How often lists and documents in use are asked for again, at the latest when half of "
         "their life is over. The certificate of a chip never changes and is fetched once.",
         read_source_refresh},
        {"ca", 0, "absolute file name", "the system's", "\"/etc/keygate/pccs-ca.pem\"",
         "Certificates (PEM) that vouch for the server of an `https:` prefix, for a service with a "
         "certificate of its own. The user that keygated gives its network role must be able to "
         "read it.",
         read_source_ca},
};

static const struct policy_key destination_keys[] = {
        {"address", KEY_LIST, "list of addresses and prefixes", "none", "{\"192.0.2.0/24\"}",
         "IPv4 and IPv6 addresses or prefixes. IPv4 is matched whichever kind of socket the "
         "application uses; an IPv6 prefix never matches IPv4, so `\"::/0\"` alone leaves IPv4 "
         "out. A destination has addresses, names, or both.",
         read_address},
        {"address-file", KEY_LIST, "list of files", "none", "{\"partners.list\"}",
         "Files with more of `address`, one a line; `#` begins a comment. At most 131072 addresses "
         "and prefixes in a destination. A relative name is relative to the file that holds this "
         "block.",
         read_address_file},
        {"name", KEY_LIST, "list of host names", "none", "{\"api.example.com\"}",
         "Host names, in full. keygate resolves them itself, again when the answer's time to live "
         "is over (after 5 seconds at least and 300 at most; after 60 where it has none; every two "
         "seconds until they resolve), and keeps each address for a day, at most 64 of a name; the "
         "destination is what they resolve to. Where it gates or denies, addresses are also "
         "learned from the answers that applications on this host get, before these read them; "
         "such an address is never opened by that, as anybody may have sent the answer. Answers "
         "are seen as plain DNS over UDP: with `default-action = allow`, an address that an "
         "application learned by TCP, TLS, HTTPS or a file alone is not gated. Give `address` "
         "too, or set `default-action = deny`.",
         read_name},
        {"port", KEY_LIST | KEY_MUST_JUDGE, "list of ports and ranges", "every port", "{\"443\"}",
         "Ports, `\"443\"` or `\"8000-8010\"`. A gated destination says which ports "
         "are gated, a monitored one which are monitored. At most 16 entries; and where several destinations meet at one address, at "
         "most 16 of all of them count there.",
         read_port},
        {"unit", KEY_LIST, "list of systemd units", "every application", "{\"nginx.service\"}",
         "Only for applications in one of these units of the system's systemd, templates in full "
         "(`\"getty@tty1.service\"`); told by the name of the cgroup, so a unit that is started "
         "later counts from its first process on. What a user's own systemd runs is in "
         "`user@UID.service`, whatever its cgroups are called. Of `unit`, `cgroup`, `user` and "
         "`executable`, all that a destination has must match, and of each list one value; a "
         "destination without them is for every application. At most 63 different selections in "
         "one policy, and 64 values in a list.",
         read_unit},
        {"cgroup", KEY_LIST, "list of cgroup paths", "every application",
         "{\"/machine.slice/web\"}",
         "Only for applications in one of these cgroups or below, as paths from the root of "
         "cgroup 2 (`/proc/PID/cgroup`, behind `0::`), at most 16 components deep. Told by name: "
         "a cgroup that is made again counts at once.",
         read_cgroup},
        {"user", KEY_LIST, "list of user names and numbers", "every application",
         "{\"www-data\", 1000}",
         "Only for applications that run as one of these users: the real user id, as the host "
         "numbers users. Names are looked up when the policy is loaded; one that there is not is "
         "an error.",
         read_user},
        {"executable", KEY_LIST, "list of absolute file names", "every application",
         "{\"/usr/bin/curl\"}",
         "Only for applications that run one of these files: the very file (device and inode), so "
         "a copy, or the same program in a container, is another; a file that is replaced there "
         "counts from then on, and what runs the old one still counts. A script's executable is its "
         "interpreter. It says which "
         "program was started and not whose code runs in it (`LD_PRELOAD`, plug-ins, a debugger): "
         "let nothing pass for its `executable` alone.",
         read_executable},
        {"action", KEY_MUST, "`gate`, `monitor`, `allow` or `deny`", NULL, "gate",
         "`gate`: a connection is made only to a peer that satisfies what this block demands. "
         "`monitor`: nothing is protected; connections pass untouched, as with `allow`, and "
         "keygated looks on a connection of its own, once in a while, whether the peer would "
         "satisfy the block: the verdict is only logged. Every such block is warned of. "
         "`allow`: connections pass untouched. `deny`: connections are refused. The first "
         "destination that matches an address and port decides.",
         read_action},
        {"refuse-with", 0, "name of an errno", "`ECONNREFUSED`", "ECONNREFUSED",
         "What connect() returns to the application when it is refused: `ECONNREFUSED`, `EACCES`, "
         "`EPERM`, `ENETUNREACH`, `EHOSTUNREACH` or `ETIMEDOUT`. Not with `action = allow` or `monitor`.",
         read_refuse_with},
        {"tee", KEY_LIST | KEY_MUST_JUDGE | KEY_JUDGE, "list of platforms", NULL, "{snp}",
         "The platforms whose evidence is accepted: `snp` (AMD SEV-SNP), `tdx`, `sgx`, `cca`, "
         "`nitro`. Evidence of a platform that this version does not appraise is refused.",
         read_tee},
        {"binder", KEY_JUDGE, "`connection`, `lease`, `nonce`, `lease-key` or `certificate`",
         "`connection`", "connection",
         "How firmly the evidence must be tied to the connection. `connection`: to this TLS "
         "connection by its exporter value. `lease`: to an earlier attested connection, whose key the "
         "peer proves to hold; with transport `keygate`, one connection in a while is attested "
         "then and the others rest on it. `nonce`: to a nonce of this handshake. `lease-key`: to the "
         "server's key, which an earlier connection attested for its nonce; with transport "
         "`well-known`, the others then show that key and no evidence: whoever else has it passes "
         "for the server until the `lease` is over. `certificate`: to the server's key only, by "
         "evidence of any age. What is named admits "
         "itself and everything stronger; a verdict that rests on less than `connection` says so "
         "(a loosening).",
         read_binder},
        {"transport", KEY_JUDGE, "`keygate`, `flashbots`, `atls`, `ra-tls` or `well-known`",
         "`keygate`", "keygate",
         "How the destination shows its evidence on the connection. `keygate`: by an exported "
         "authenticator after the handshake, as `keygate-attester` does (protocol `keygate/1`). "
         "`flashbots`: by a message after the handshake that is bound by the TLS exporter "
         "(protocol `flashbots-ratls/1`). `atls`: in a certificate made for a nonce in the "
         "handshake (binder `nonce`). `ra-tls`: in its certificate (binder `certificate`). "
         "`well-known`: in the attestation document that it serves by HTTP at "
         "`/.well-known/tinfoil-attestation` (binder `certificate`, or `nonce` where the document "
         "covers the nonce that was sent; say `binder = nonce` to take no other). A transport that "
         "can't give what `binder` demands is an error: write the weaker `binder`, a loosening, "
         "and pin `server-key` then.",
         read_transport},
        {"ledger", KEY_MUST_JUDGE | KEY_JUDGE, "name of a ledger block, or `none`", NULL,
         "\"acme\"",
         "The transparency ledger whose statement must name the peer's measurement. `none` means "
         "that no ledger is asked; it has to be written out, needs a `measurement` list, and is "
         "named in every verdict (a loosening).",
         read_ledger},
        {"release", KEY_JUDGE, "name of a release block", "none", "\"acme-release\"",
         "A signed release statement that must name the peer's measurement, register "
         "by register; beside the ledger's, or alone with `ledger = none`.",
         read_release},
        {"measurement", KEY_LIST | KEY_JUDGE,
         "list of launch measurements, `platform:` and hexadecimal",
         "what the ledger's statement says", "{\"snp:<96 hexadecimal digits>\"}",
         "Launch measurements that are accepted: of `snp` its measurement (96 digits), of `tdx` MRTD "
         "(96), of `sgx` MRENCLAVE (64), of `cca` the RIM (64, 96 or 128), of `nitro` PCR0 (96). The "
         "platform may be left out where `tee` names only one that has so many digits. With a ledger "
         "as well, both must hold: the measurement is in this list and in the logged statement.",
         read_measurement},
        {"leaf", KEY_LIST | KEY_JUDGE, "list of files", "none", "{\"payments.leaf\"}",
         "The logged statements of a destination whose server does not staple them, at most 8, as "
         "their publisher gives them out (the very bytes that were appended). keygate finds them in "
         "the log that it follows, among its newest 262144 leaves, and keeps their proofs fresh; what "
         "a peer staples goes before. The ledger needs a URL.",
         read_leaf},
        {"deny", KEY_LIST | KEY_JUDGE, "list of `platform:`, `leaf:` or `subject:` and hexadecimal",
         "none", "{\"leaf:<64 hexadecimal digits>\"}",
         "What is accepted no longer, whatever ledger and lists say: launch measurements, as in "
         "`measurement`; logged statements, by their leaf hash (RFC 6962), which `keygate verify "
         "proof` prints; and subjects of statements, by their SHA-256. At most 4096 with those of "
         "`deny-file`. A reload that adds one ends the destination's live sessions.",
         read_deny},
        {"deny-file", KEY_LIST | KEY_JUDGE, "list of files", "none", "{\"withdrawn.list\"}",
         "Files with more of `deny`, an entry a line; `#` begins a comment. Several destinations can "
         "name one file. A relative name is relative to the file that holds this block.",
         read_deny_file},
        {"min-version", KEY_JUDGE, "version, numbers with dots between them", "none", "\"1.4.0\"",
         "The lowest `version` that the ledger's statement may have. Numbers are compared one by one, "
         "and one that is missing is 0; `1.4.0-rc1` comes before `1.4.0`, and what follows a `+` means "
         "nothing. A version that is not of this form is refused.",
         read_min_version},
        {"renewed-within", KEY_JUDGE, "duration, 1h to 365d", "none", "\"7d\"",
         "How long ago the ledger's statement may have been published, so that who stops appending "
         "it anew withdraws it. The time is not the statement's own word: a head of the log that "
         "witnesses vouched for within this time must not have held it yet. keygate knows those heads "
         "that it saw itself, so on a host that has only begun to follow the log the statement can't be "
         "judged until it is appended once more. The verdict ends with this time.",
         read_renewed_within},
        {"register", KEY_LIST | KEY_JUDGE, "list of `name=hexadecimal`",
         "zero, or what the ledger's statement says",
         "{\"tdx.mrconfigid=<96 hexadecimal digits>\"}",
         "Registers that must have a value, beyond the launch measurement; of several values for "
         "one register any will do, and `register` holds even where the evidence has zero. Every "
         "register that can carry code or configuration and is not zero must be pinned here or named "
         "by the logged statement. `snp`: `family-id`, `image-id`, `id-key-digest`, "
         "`author-key-digest`, which an ID block brings. `tdx`: `rtmr0` to `rtmr3`, `mrconfigid`, `mrowner`, "
         "`mrownerconfig`, `mrservicetd`, `mrseam`. `sgx`: `mrsigner`, `configid`, `configsvn`, "
         "`isvextprodid`, `isvfamilyid` (these two only where nobody names `mrsigner`), `isvprodid` "
         "(two bytes as the quote has them, as `configsvn`: `0300` is 3). `cca`: `rem0` to "
         "`rem3`, `rpv`, and SHA-256 of what the platform says of itself, `platform-sw` and "
         "`platform-config`. `nitro`: `pcr1` to `pcr31`. The platform before the name can be left "
         "out.",
         read_register},
        {"unpinned-register", KEY_LIST | KEY_JUDGE, "list of register names", "none", "{tdx.rtmr0}",
         "Registers that may have any value although they can carry code or configuration, at most "
         "16. A verdict that met such a value names the registers (a loosening). A ledger match is "
         "worth little if what they hold changes what the code does: pin them with `register` where "
         "you can. `mrservicetd` can't be one of them.",
         read_unpinned_register},
        {"server-name", KEY_JUDGE, "host name", "the `name`, when there is exactly one",
         "\"api.example.com\"",
         "The name that is asked for in the TLS handshake and bound into the evidence.",
         read_server_name},
        {"server-key", KEY_LIST | KEY_JUDGE, "list of `sha256:` and 64 hexadecimal digits",
         "any key", "{\"sha256:<64 hexadecimal digits>\"}",
         "Pins of the server's public key: SHA-256 of its DER SubjectPublicKeyInfo. A measurement "
         "says which program answers, not whose; pin the key where anybody may run the program.",
         read_server_key},
        {"chip-id", KEY_LIST | KEY_JUDGE, "list of hexadecimal machine ids", "any machine",
         "{\"<128 hexadecimal digits>\"}",
         "The machines that are accepted, by the id in the evidence: of `snp` the chip id (128 "
         "hexadecimal digits, or 16 on Turin), of `tdx` and `sgx` the platform instance id or else the "
         "PPID (32), of `cca` the instance id (66), of `nitro` PCR4, which stands for the instance "
         "(96). Evidence that names no machine is then refused.",
         read_chip_id},
        {"vlek", KEY_LIST | KEY_JUDGE, "`any`, `deny` or a list of providers", "`any`", "deny",
         "Whether the report of `snp` may be signed by a key of a cloud provider (VLEK), which AMD "
         "makes for it and any of its machines may use, and not by the chip's own (VCEK). `deny`: "
         "no. A list: by those of these providers, as the certificate names them, which `keygate "
         "verify evidence` prints as `csp` (`\"CN=cc-us-east-2.amazonaws.com\"`). `any`: by each of "
         "them; a verdict that rests on one says so (a loosening).",
         read_vlek},
        {"host-data", KEY_JUDGE, "64 hexadecimal digits", "all zero", "\"<64 hexadecimal digits>\"",
         "What the host handed to the guest at launch (SNP HOST_DATA), for example the hash of a "
         "container policy. It can carry configuration, so what is not pinned here must be zero. "
         "Other platforms have registers for this: `register`.",
         read_host_data},
        {"min-tcb", KEY_LIST | KEY_JUDGE, "list of `component=version`", "none",
         "{\"snp=20\", \"microcode=209\"}",
         "The lowest versions that are accepted, each component by itself, as the certificate of "
         "the attestation key states them. `snp`: `bootloader`, `tee`, `snp`, `microcode`, and on "
         "Turin `fmc`; `tdx` and `sgx`: `pcesvn`, `sgx01` to `sgx16`; `tdx`: `tdx00` to `tdx15`, as "
         "the quote states them. And of the guest itself, as the evidence states it: `guest-svn` of "
         "`snp`, `isvsvn` of `sgx`. A component counts for the platforms that have it; a platform "
         "before it (`tdx.pcesvn=13`) makes it count there only. AMD rates no firmware, so that "
         "`snp` without a floor for it takes any: that is warned of, and each verdict says so (a "
         "loosening).",
         read_min_tcb},
        {"accept-tcb", KEY_LIST | KEY_JUDGE, "list of TCB statuses", "`UpToDate` alone",
         "{SWHardeningNeeded}",
         "How the vendor of `tdx` and `sgx` may rate the platform, beside `UpToDate`: "
         "`SWHardeningNeeded`, `ConfigurationNeeded`, `ConfigurationAndSWHardeningNeeded`, "
         "`TDRelaunchAdvised`, `TDRelaunchAdvisedConfigurationNeeded`, `OutOfDate`, "
         "`OutOfDateConfigurationNeeded`. `Revoked` is never accepted. A verdict that rests on one "
         "names it with its advisories (a loosening).",
         read_accept_tcb},
        {"accept-advisory", KEY_LIST | KEY_JUDGE, "list of advisory ids", "any",
         "{\"INTEL-SA-00615\"}",
         "The advisories that the platform may be open to where `accept-tcb` or `tcb-grace` accepts "
         "it: it is refused when the vendor names one that is not in the list. With `UpToDate` "
         "advisories are not looked at. Means nothing without one of the two.",
         read_accept_advisory},
        {"tcb-grace", KEY_JUDGE, "duration, 1h to 1095d", "none", "\"30d\"",
         "How long a platform is still accepted that the vendor rates `OutOfDate` or "
         "`OutOfDateConfigurationNeeded`, counted from the date of the TCB level that it has "
         "(`tcb_date`): of platform, quoting enclave and TDX module, the oldest. The verdict ends "
         "with the grace. A loosening where it is used.",
         read_tcb_grace},
        {"min-tcb-date", KEY_JUDGE, "day", "none", "\"2025-05-01\"",
         "The oldest date that the platform's TCB level may have, on platforms whose vendor dates "
         "them (`tdx`, `sgx`), whatever its status. The levels of the quoting enclave and of the TDX "
         "module must not be older either.",
         read_min_tcb_date},
        {"min-tcb-evaluation", KEY_JUDGE, "number", "none", "17",
         "The lowest evaluation number (`tcbEvaluationDataNumber`) that what rates a `tdx` or `sgx` "
         "platform may have: its TCB info, with the TDX modules in it, and the identity of its "
         "quoting enclave, each of them. Intel goes on signing its former evaluation for about a year "
         "after an incident, so without this the peer may staple the one that does not know of it "
         "(docs/collateral.md). `keygate verify evidence` prints the number.",
         read_min_tcb_evaluation},
        {"vmpl", KEY_JUDGE, "0 to 3", "`0`", "0",
         "The privilege level of the `snp` guest's software that asked for the report. Anything but 0 "
         "trusts software that the most privileged level can change (a loosening).",
         read_vmpl},
        {"require-platform", KEY_LIST | KEY_JUDGE, "list of platform properties", "none",
         "{alias-check, ecc}",
         "Properties of the machine that the evidence of `snp` must state: `smt-disabled`, `tsme`, `ecc`, "
         "`rapl-disabled`, `ciphertext-hiding`, `alias-check` (the check against aliased memory "
         "was made), `tio`.",
         read_require_platform},
        {"require-guest-policy", KEY_LIST | KEY_JUDGE, "list of guest policy properties", "none",
         "{no-smt, ciphertext-hiding}",
         "What the launch policy of an `snp` guest must enforce, wherever the guest runs: `no-smt`, "
         "`single-socket`, `no-cxl`, `aes-256-xts`, `rapl-disabled`, `ciphertext-hiding`, "
         "`page-swap-disabled`. A policy that lets a migration agent move the guest is always "
         "refused.",
         read_require_guest_policy},
        {"require-attribute", KEY_LIST | KEY_JUDGE, "list of attributes", "none", "{tdx.pks}",
         "Attributes that the guest must have been built with: `tdx.lass`, `tdx.sept-ve-disable`, "
         "`tdx.pks`, `tdx.kl`; `sgx.mode64`, `sgx.cet`, `sgx.kss`, `sgx.aex-notify`. Each counts for "
         "its own platform. Attributes that weaken the platform are always refused.",
         read_require_attribute},
        {"forbid-attribute", KEY_LIST | KEY_JUDGE, "list of attributes", "none", "{tdx.kl}",
         "Attributes, as above, that the guest must not have.", read_forbid_attribute},
        {"anchor", KEY_LIST | KEY_JUDGE, "list of anchor blocks", "none", "{\"lab\"}",
         "Trust anchors beside the built-in vendor roots, for this destination only. A verdict "
         "that rests on one says so (a loosening).",
         read_anchor},
        {"built-in-anchors", KEY_JUDGE, "`true` or `false`", "`true`", "true",
         "`false`: evidence must end at one of `anchor`, also where keygate has the vendor's root "
         "built in. Name the vendor's root as an anchor to go on trusting it.",
         read_built_in_anchors},
        {"allow-debug", KEY_JUDGE, "`true` or `false`", "`false`", "true",
         "Accept guests that their host can debug, so that it can read and change all of their "
         "memory. A loosening.",
         read_allow_debug},
        {"require-crl", KEY_JUDGE, "`true` or `false`", "`true`", "false",
         "Whether a current certificate revocation list of the vendor must be at hand, from the "
         "peer or from the collateral directory. `false` is a loosening. `cca` and `nitro` have none.",
         read_require_crl},
        {"lease", KEY_GATE, "duration, 1s to 30d", "`1h`", "\"1h\"",
         "How long a session may live at most. The kernel ends it then, or earlier when something "
         "that its verdict rests on ends. With `binder = lease` or `lease-key` it is counted from the attestation "
         "that the session rests on.",
         read_lease},
        {"kernel-tls", KEY_GATE, "`nfs` or `nvme`", "none", "nfs",
         "The kernel's own connections to this destination are not relayed: they go out by "
         "themselves, ask keygated for their TLS handshake, and get their keys after the verdict; "
         "until then nothing of theirs leaves but the handshake and, with `nfs`, the question "
         "whether the server does TLS (RFC 9289). `nfs`: mounts with `xprtsec=tls`. `nvme`: NVMe/TCP "
         "with `tls`. One that asks for no TLS gets nowhere. Connections of applications are relayed "
         "as ever. Makes keygated the host's only agent for such handshakes: those of other "
         "destinations are refused. Without this key, and on kernels that know no such handshakes "
         "(before 6.5), the kernel's connections are relayed like those of applications.",
         read_kernel_tls},
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct policy_section policy_sections[SECTION_MAX] = {
        [SECTION_TOP] = {"", "Outside of any block.", top_keys, COUNT(top_keys)},
        [SECTION_LEDGER] = {"ledger", "A transparency ledger and how it is to be believed.",
                            ledger_keys, COUNT(ledger_keys)},
        [SECTION_RELEASE] =
                {"release",
                 "A release that a publisher signed, and who that must have been. With Sigstore: "
                 "either `issuer` and `san`, or `key`. With `trust-store`: a statement that a "
                 "transparency service logged, whose payload is the launch measurement of an SNP "
                 "guest. The peer sends bundle or statement along, or it is a file here; nothing is "
                 "fetched.",
                 release_keys, COUNT(release_keys)},
        [SECTION_ANCHOR] = {"anchor",
                            "A trust anchor beside the built-in vendor roots. It counts only for "
                            "the destinations that name it.",
                            anchor_keys, COUNT(anchor_keys)},
        [SECTION_COLLATERAL] = {"collateral",
                                "Where certificates, revocation lists and signed documents of a "
                                "vendor are fetched from when neither the evidence nor the "
                                "collateral directory holds them. The block's name is the vendor: "
                                "`amd` or `intel`. Without a block nothing is fetched for it.",
                                collateral_keys, COUNT(collateral_keys)},
        [SECTION_DESTINATION] =
                {"destination",
                 "Where connections go and what is demanded there. Blocks are tried "
                 "in the order in which they are written, files in lexical order.",
                 destination_keys, COUNT(destination_keys)},
};

_Static_assert(COUNT(destination_keys) <= POLICY_KEYS_MAX, "a bit each in policy_reader.given");
