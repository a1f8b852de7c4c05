# SPDX-License-Identifier: Apache-2.0
"""End to end, on a real kernel with kTLS: main.py [WORD...] runs the tests whose name holds a WORD.
Without any, all but those that another kernel's run has (suite.once). --any [WORD...] runs none, and
tells by its status (0, 3) whether there are such.

Prints a line a test and closes with a line of counts. Run it through tests/e2e/run.
"""
import glob
import hashlib
import json
import os
import shutil
import signal
import socket
import struct
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.dirname(__file__))
import applications  # noqa: E402, F401 (its tests)
import bypass  # noqa: E402, F401
import coexist  # noqa: E402, F401
import custody  # noqa: E402
import guarded  # noqa: E402, F401
import incident  # noqa: E402
import kernel_users  # noqa: E402
import leases  # noqa: E402
import lying  # noqa: E402
import monitoring  # noqa: E402
import namespaces  # noqa: E402
import platforms  # noqa: E402
import sigstore  # noqa: E402
import transports  # noqa: E402
import watching  # noqa: E402, F401
from bytes_service import PATTERN, pattern  # noqa: E402
from suite import (Skip, canary, check, connect, curl, elsewhere, in_this_pass, passes,  # noqa: E402
                   refused, test, tests, url)
from world import (Failure, V4, V6, Witness, World, listening, made, out, run, tlog_policy, tool,  # noqa: E402
                   wait_for)

MIB = 1 << 20
# Emulated AES is slow; KEYGATE_E2E_MIB raises the bulk tests to what real hardware can do.
BULK = int(os.environ.get("KEYGATE_E2E_MIB", "64")) * MIB

PROCESSES = "keygated|keygate-(relay|verify|fetch)"

# ------------------------------------------------------------------ the world

# Ports of the destination, by what the attester there does.
PORT = {n: 8443 + i for i, n in enumerate(
    ["good", "swapped", "debug", "other-key", "replay", "none", "unlisted", "inclusion", "few",
     "stale", "no-proof", "no-vcek", "fork", "bytes", "banner", "redis", "postgres"])}

# What has to refuse in each case, and how.
MATRIX = {
    "swapped": ("fail", "policy.measurement"),
    "debug": ("fail", "snp.debug"),
    "other-key": ("fail", "snp.report-data"),
    "replay": ("fail", "snp.report-data"),
    "none": ("fail", "auth.declined"),
    "unlisted": ("fail", "ledger.log-key"),
    "inclusion": ("fail", "ledger.inclusion"),
    "few": ("fail", "ledger.quorum"),
    "stale": ("fail", "ledger.fresh"),
    "no-proof": ("unavailable", "policy.ledger"),
    "no-vcek": ("unavailable", "snp.chain"),
    "fork": ("fail", "ledger.fork"),
}


def build_ledgers(w):
    """The honest log, a fork of it, one nobody trusts; leaves and proofs for every case."""
    w.witnesses = [Witness(w, "witness-a.test"), Witness(w, "witness-b.test")]
    w.swapped = w.path("service-1.1")
    with open(w.binary, "rb") as f, open(w.swapped, "wb") as g:
        g.write(f.read() + b"patched")
    good = w.log = w.ledger()
    m = w.measure(w.binary)
    leaf = good.statement(m)
    other = good.statement("ab" * 48, version="0.9")
    good.append(other, leaf)
    good.publish()
    few, stale = good.copy("few"), good.copy("stale")
    good.cosign(w.witnesses)
    few.cosign(w.witnesses[:1])
    stale.cosign(w.witnesses, at=int(time.time()) - 30 * 86400)
    p = {n: (leaf, l.prove(leaf, n + ".proof"))
         for n, l in (("good", good), ("few", few), ("stale", stale))}
    unlogged = good.statement(m, version="2.0")
    p["inclusion"] = (unlogged, p["good"][1])
    rogue = w.ledger("rogue", origin="rogue.test/log")
    rogue.append(leaf)
    rogue.publish()
    rogue.cosign(w.witnesses)
    p["unlisted"] = (leaf, rogue.prove(leaf, "rogue.proof"))
    # The same origin and key, another history of the same size.
    fork = w.fork = w.ledger("fork", key=w.path("log.key"))
    fork.append(leaf, fork.statement("cd" * 48, version="evil"))
    fork.publish()
    fork.cosign(w.witnesses)
    p["fork"] = (leaf, fork.prove(leaf, "fork.proof"))
    w.proofs = p


def build_platforms(w):
    w.platform()
    w.debug_sim, w.bare_sim = w.path("tee-debug"), w.path("tee-bare")
    shutil.copytree(w.sim, w.debug_sim)
    shutil.copytree(w.sim, w.bare_sim)
    desc = w.path("tee-debug", "platform.json")
    j = json.load(open(desc))
    j["guest_policy"] |= 1 << 19
    json.dump(j, open(desc, "w"))
    pem = open(w.path("tee", "chain.pem")).read()
    with open(w.path("tee-bare", "chain.pem"), "w") as f:
        f.write(pem[pem.index("-----END CERTIFICATE-----") + 26:])


def start_attesters(w):
    liar = os.path.abspath(os.path.join(tool("keygated"), "../../tests/liar"))
    leaf, proof = w.proofs["good"]
    for name, port in PORT.items():
        kw = dict(zip(("leaf", "proof"), w.proofs.get(name, (leaf, proof))))
        if name == "swapped":
            kw["measured"] = w.swapped
        elif name == "debug":
            kw["sim"] = w.debug_sim
        elif name == "no-vcek":
            kw["sim"] = w.bare_sim
        elif name == "no-proof":
            kw = {}
        elif name in ("other-key", "replay", "none"):
            kw["program"] = [liar, name]
        forward = {"bytes": 9001, "banner": 9002, "redis": 6379,
                   "postgres": 5432}.get(name, 8080)
        w.attester(port, forward=forward, **kw)


def postgres(w):
    """On the database that tests/e2e/run made."""
    w.start("setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups",
            sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1] + "/postgres", "-D",
            made("postgres"), "-c", "fsync=off", "-c",
            "unix_socket_directories=", "-h", "127.0.0.1", ns="dst", log="postgres.log")


POLICY = """
ledger "e2e" {
	policy = "../tlog-policy"
	max-age = "24h"
	url = "file://@WORLD@/log"
}
anchor "sim" {
	tee = snp
	file = "../../tee/ark.pem"
}
destination "service" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"8443-8499"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "e2e"
	lease = "10m"
}
destination "forbidden" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"7000"}
	action = deny
	refuse-with = "EHOSTUNREACH"
}
"""


def build(w):
    w.network()
    w.web()
    w.start("/usr/bin/python3", os.path.join(os.path.dirname(__file__), "bytes_service.py"), "9001",
            "9002", ns="dst", log="bytes.log")
    w.start("redis-server", "--port", "6379", "--bind", "127.0.0.1", "--save", "", "--dir", w.dir,
            ns="dst", log="redis.log")
    w.start("/usr/bin/python3", "-m", "http.server", "--bind", "::", "9999", "--directory",
            w.path("www"), ns="dst", log="plain.log")
    postgres(w)
    build_platforms(w)
    build_ledgers(w)
    start_attesters(w)
    for port in (9001, 9002, 6379, 5432, 9999):
        wait_for("service on %d" % port, lambda: listening(port, "dst"))
    w.write("etc/tlog-policy", tlog_policy([w.log.vkey], w.witnesses, 2))
    platforms.build(w)
    w.policy(POLICY)
    w.capture_start()
    w.gate()


# ------------------------------------------------------------------- clients

def read_all(s):
    h, n = hashlib.sha256(), 0
    while True:
        b = s.recv(MIB)
        if not b:
            return h.hexdigest(), n
        h.update(b)
        n += len(b)


def pattern_hash(n):
    h = hashlib.sha256()
    for b in pattern(n):
        h.update(b)
    return h.hexdigest()


# --------------------------------------------------------------------- tests

def add_refusal(host, family, name, status, ident):
    def refuses(w):
        if name == "replay":  # the liar's first connection: what it will replay
            run("curl", "-s", "-m", "30", url(host, PORT[name]), ok=None)
        refused(w, host, PORT[name], status, ident)
    test(refuses, "%s_%s" % (family, name))


for _host, _family in ((V4, "ipv4"), (V6, "ipv6")):
    test(lambda w, host=_host: passes(w, host, PORT["good"]), "%s_pass" % _family)
    for _name, (_status, _ident) in MATRIX.items():
        add_refusal(_host, _family, _name, _status, _ident)


platforms.add_tests()
transports.add_tests()
sigstore.add_tests()
leases.add_tests()
namespaces.port = PORT
monitoring.port = PORT
platforms.add_collateral_test(PORT["no-vcek"], POLICY)


@test
def mapped_address_is_gated(w):
    s = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    with s:
        s.settimeout(60)
        s.connect(("::ffff:" + V4, PORT["banner"]))
        check(s.recv(100) == b"220 ready\r\n", "no banner")
        peer = s.getpeername()
        check(peer[0] == "::ffff:" + V4 and peer[1] == PORT["banner"], "peer is %r" % (peer,))


@test
def probe_gets_past_the_gate_and_no_further(w):
    trust = ("--anchor", w.path("tee/ark.pem"), "--ledger-policy", w.path("etc/tlog-policy"))
    for host, target in ((V4, "%s:%d" % (V4, PORT["good"])), (V6, "[%s]:%d" % (V6, PORT["good"]))):
        _, j = w.keygate("probe", *trust, target)
        check((j["verdict"], j["peer"], j["logged"]) == ("pass", target, True), "probe: %r" % j)
        check('address     = {"%s"}' % host in j["stanza"], "stanza: %s" % j["stanza"])
    _, j = w.keygate("probe", *trust, "%s:%d" % (V4, PORT["no-proof"]), ok=(3,))
    check(j["verdict"] == "unavailable" and not j["logged"], "probe without a proof: %r" % j)
    _, j = w.keygate("probe", "%s:7000" % V4, ok=(2,))
    check(j["kind"] == "no" and "forbidden" in j["error"], "probe of what is denied: %r" % j)
    # No session came of it.
    _, j = w.keygate("sessions")
    check(not any(s["peer"].endswith(":%d" % PORT["no-proof"]) for s in j["sessions"]),
          "sessions: %r" % j)


@test
def canary_shows_when_not_gated(w):
    """The test above could not fail if the capture saw nothing."""
    word = canary()
    curl(V4, 9999, path="/" + word.decode())
    check(w.on_wire(word), "a plain request is not in the capture")


@test
def app_sees_its_destination(w):
    with connect(V4, PORT["bytes"]) as s:
        check(s.getpeername() == (V4, PORT["bytes"]), "peer is %r" % (s.getpeername(),))


@test
def server_speaks_first(w):
    for host in (V4, V6):
        with connect(host, PORT["banner"]) as s:
            check(s.recv(100) == b"220 ready\r\n", "no banner")
            s.sendall(b"hello")
            check(s.recv(5, socket.MSG_WAITALL) == b"hello", "no echo")


@test
def half_close_both_ways(w):
    with connect(V4, PORT["bytes"]) as s:
        s.sendall(b"U" + b"x" * 100000)
        s.shutdown(socket.SHUT_WR)
        digest, n = b"", 0
        while True:
            b = s.recv(100)
            if not b:
                break
            digest += b
        check(digest.decode() == hashlib.sha256(b"x" * 100000).hexdigest(), "hash differs")


@test
def bulk_upload(w):
    with connect(V4, PORT["bytes"], 600) as s:
        s.sendall(b"U")
        for b in pattern(BULK):
            s.sendall(b)
        s.shutdown(socket.SHUT_WR)
        got = s.recv(64, socket.MSG_WAITALL).decode()
        check(got == pattern_hash(BULK), "hash differs")


@test
def bulk_download(w):
    with connect(V6, PORT["bytes"], 600) as s:
        s.sendall(b"D" + struct.pack(">Q", BULK))
        got = read_all(s)
        check(got == (pattern_hash(BULK), BULK), "hash or length differs: %r" % (got,))


@test
def small_writes(w):
    """1-byte to 64 KiB writes, echoed."""
    with connect(V4, PORT["bytes"], 600) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        s.sendall(b"E")
        sizes = [1] * 500 + [2, 3, 5, 17, 255, 1024, 1460, 4096, 16383, 16384, 16385, 65536] * 3
        want, got = hashlib.sha256(), hashlib.sha256()
        total = sum(sizes)

        def reader():
            left = total
            while left:
                b = s.recv(65536)
                if not b:
                    return
                got.update(b)
                left -= len(b)
        t = threading.Thread(target=reader)
        t.start()
        off = 0
        for n in sizes:
            off = (off + n) % 200000
            chunk = PATTERN[off:off + n]
            want.update(chunk)
            s.sendall(chunk)
        t.join(120)
        check(want.digest() == got.digest(), "hash differs")


@test
def reset_by_the_service_resets_the_app(w):
    with connect(V4, PORT["bytes"]) as s:
        s.sendall(b"T")
        try:
            digest, n = read_all(s)
        except ConnectionResetError:
            return
        raise Failure("a truncated stream ended cleanly after %d bytes" % n)


@test
def concurrent_sessions(w, count=200):
    """All open at once. They are opened a few at a time: emulated handshakes are slow, and how
    many a host can make in a second is not what is asked here."""
    done, errors = [], []
    opening = threading.Semaphore(12)
    all_open = threading.Barrier(count)

    def one(i):
        blob = (b"%08d" % i) * 1024
        try:
            with opening:
                s = connect((V4, V6)[i % 2], PORT["bytes"], 300)
                s.sendall(b"E!")
                check(s.recv(1) == b"!", "no echo")
            with s:
                all_open.wait(300)
                s.sendall(blob)
                check(s.recv(len(blob), socket.MSG_WAITALL) == blob, "echo differs")
                done.append(i)
        except (OSError, Failure, threading.BrokenBarrierError) as e:
            all_open.abort()
            errors.append("%d: %r" % (i, e))
    ts = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in ts:
        t.start()
    for t in ts:
        t.join(400)
    check(len(done) == count, "%d of %d; %s" % (len(done), count, errors[:3]))


@test
def redis_client(w):
    word = canary()
    p = run("redis-cli", "-h", V4, "-p", PORT["redis"], "set", "k", word.decode())
    check(p.stdout == b"OK\n", "redis said %r" % p.stdout)
    p = run("redis-cli", "-h", V6, "-p", PORT["redis"], "get", "k")
    check(p.stdout.strip() == word, "redis said %r" % p.stdout)
    check(not w.on_wire(word), "the canary is on the wire in clear")


@test
def deny_has_the_errno_of_the_policy(w):
    s = socket.socket()
    try:
        s.connect((V4, 7000))
    except OSError as e:
        check(e.errno == 113, "errno %r" % e.errno)
        return
    raise Failure("connected")


@test
def datagrams_are_refused(w):
    word = canary()
    for fam, host in ((socket.AF_INET, V4), (socket.AF_INET6, V6)):
        s = socket.socket(fam, socket.SOCK_DGRAM)
        for send in (lambda: s.sendto(word, (host, PORT["good"])),
                     lambda: s.connect((host, PORT["good"]))):
            try:
                send()
            except OSError:
                continue
            raise Failure("a datagram to %s was let through" % host)
    check(not w.on_wire(word), "the canary is on the wire in clear")


@test
def raw_packets_are_dropped(w):
    word = canary()
    s = socket.socket(socket.AF_INET, socket.SOCK_RAW, 253)
    try:
        s.sendto(word, (V4, 0))
    except OSError:
        pass
    check(not w.on_wire(word), "a raw packet to a gated address left")


def download(w, host=V4):
    """An endless download through curl; returns it and a function that tells its size."""
    path = w.path("download")
    if os.path.exists(path):
        os.unlink(path)
    s = connect(host, PORT["bytes"])
    s.sendall(b"W")
    state = {"n": 0, "end": None}

    def reader():
        try:
            while True:
                b = s.recv(65536)
                if not b:
                    state["end"] = "eof"
                    return
                state["n"] += len(b)
        except OSError as e:
            state["end"] = e.errno
    t = threading.Thread(target=reader, daemon=True)
    t.start()
    wait_for("the download to run", lambda: state["n"] > MIB, 60)
    return s, state


def live_session(w):
    _, j = w.keygate("sessions")
    live = [s for s in j["sessions"] if s["state"] == "live"]
    check(len(live) == 1, "%d live sessions" % len(live))
    return live[0]


@test
def session_is_ktls_and_its_key_is_shown(w):
    s, state = download(w)
    with s:
        j = live_session(w)
        ss = out("ss", "-tieH", "dst", V4)
        check("tcp-ulp-tls" in ss, "ss shows no kTLS: %s" % ss)
        show = out("keyctl", "describe", str(j["key"]))
        check("keygate:service:" in show, "keyctl describe: %s" % show)
        p = run("keyctl", "print", str(j["key"]), ok=None)
        check(p.returncode != 0, "another root process can read the key")
        ring = out("keyctl", "show", str(j["ring"]))
        check("keygate:service:" in ring, "keyctl show: %s" % ring)
    wait_for("the session to end", lambda: not w.keygate("sessions")[1]["sessions"])


@test
def reload_keeps_sessions_and_refuses_errors(w):
    s, state = download(w)
    with s:
        w.policy(POLICY.replace("lease", "leese"))
        code, j = w.keygate("reload", ok=(1,))
        issue = j["issues"][0]
        with open(w.path("etc/policy.d/10-test.conf")) as f:
            line = [i for i, x in enumerate(f, 1) if "leese" in x][0]
        check(issue["file"].endswith("10-test.conf") and issue["line"] == line,
              "issue %r" % issue)
        n = state["n"]
        w.policy(POLICY)
        w.keygate("reload")
        wait_for("more data", lambda: state["n"] > n + MIB, 60)
        w.policy(POLICY.replace('"8443-8499"', '"8499"'))
        w.keygate("reload")
        wait_for("the withdrawn session's end", lambda: state["end"] is not None, 10)
        w.policy(POLICY)
        w.keygate("reload")


def forks(w):
    return [os.path.join(d, f) for d, _, files in os.walk(w.state) for f in files
            if f.startswith("fork-")]


@test
def forks_are_proved_to_anybody(w):
    if not forks(w):  # run alone: show it the fork now
        curl(V4, PORT["good"])
        curl(V4, PORT["fork"], ok=None)
    code, j = w.keygate("ledger", "evidence")
    check(len(j["evidence"]) >= 1, "no evidence: %s" % j)
    one = next(e for e in j["evidence"] if e["origin"] == w.log.origin)
    file = w.write("fork.json", out(tool("keygate"), "ledger", "evidence", "export", one["origin"],
                                    one["at"], "--socket", w.socket))
    policy = w.path("etc/tlog-policy")
    run(tool("keygate"), "ledger", "evidence", "verify", file, "--policy", policy)
    # Not under another log's key.
    other = w.write("other.policy", tlog_policy([w.ledger("other").vkey], w.witnesses, 2))
    run(tool("keygate"), "ledger", "evidence", "verify", file, "--policy", other, ok=(2,))
    code, j = w.keygate("ledger", "status", ok=(2,))
    check([h for h in j["heads"] if h["forked"]], "not forked: %s" % j)


@test
def older_socket_is_destroyed_when_gated(w):
    """A connection from before the policy covers its destination doesn't survive the reload."""
    word = canary()
    with connect(V4, 9999) as s:
        w.policy(POLICY + """
destination "late" {
	address = {"10.77.0.2"}
	port = {"9999"}
	action = deny
}
""")
        w.keygate("reload")
        s.settimeout(5)
        try:
            s.sendall(b"GET /%s HTTP/1.0\r\n\r\n" % word)
            gone = s.recv(10) == b""
        except OSError:
            gone = True
        w.policy(POLICY)
        w.keygate("reload")
        check(gone, "an old connection went on")
    check(not w.on_wire(word), "the canary left on an old connection")


@test
def killed_daemon_refuses(w):
    w.daemon.send_signal(signal.SIGKILL)
    w.daemon.wait()
    wait_for("the roles' end", lambda: run("pgrep", "-x", PROCESSES, ok=None).returncode == 1)
    word = canary()
    for host in (V4, V6):
        p = curl(host, PORT["good"], "--data-binary", word.decode(), path="/upload", ok=None,
                 limit=10)
        check(p.returncode == 7, "curl ended with %d" % p.returncode)
    check(not w.on_wire(word), "the canary is on the wire in clear")
    w.gate()
    curl(V4, PORT["good"])


@test
def stop_and_start_stays_closed(w):
    w.stop(w.daemon)
    p = curl(V4, PORT["good"], ok=None, limit=10)
    check(p.returncode == 7, "curl ended with %d" % p.returncode)
    w.gate()
    curl(V4, PORT["good"])
    # The last head was read back: the fork is still a fork.
    curl(V4, PORT["fork"], ok=None)
    _, verdict, bad = w.refusal(V4, PORT["fork"])
    check(bad == ["ledger.fork"], "refused by %s" % bad)


@test
def disarm_opens_and_arm_closes(w):
    word = canary()
    w.keygate("disarm")
    run("curl", "-s", "-m", "5", url(V4, PORT["good"], "/" + word.decode()), ok=None)
    check(w.on_wire(word), "disarmed, the canary is not on the wire")
    w.keygate("arm")
    curl(V4, PORT["good"])


@test
def disarm_without_the_daemon(w):
    w.stop(w.daemon)
    check(curl(V4, PORT["good"], ok=None, limit=10).returncode == 7, "not refused before")
    run(tool("keygated"), "--disarm", "--state", w.state)
    check(not os.path.exists("/sys/fs/bpf/keygate"), "pins are left")
    word = canary()
    run("curl", "-s", "-m", "5", url(V4, PORT["good"], "/" + word.decode()), ok=None)
    check(w.on_wire(word), "the host is still closed")
    check('"removed"' in open(os.path.join(w.state, "audit.jsonl")).read(), "not audited")
    w.gate()
    curl(V4, PORT["good"])


@test
def postgres_client(w):
    word = canary().decode()
    psql = lambda host, sql: run("psql", "-h", host, "-p", PORT["postgres"], "-U", "e2e", "-d",
                                 "postgres", "-Atc", sql).stdout.decode().strip()
    psql(V4, "create table t as select '%s' as word, generate_series(1, 2000) as n" % word)
    got = psql(V6, "select word, count(*) from t group by word")
    check(got == word + "|2000", "psql said %r" % got)
    check(not w.on_wire(word.encode()), "the canary is on the wire in clear")


@test
def a_forked_log_does_not_grow(w):
    """Once a log showed two trees, only the very head that was seen first goes on."""
    if not forks(w):  # run alone: show it the fork now
        curl(V4, PORT["good"])
        curl(V4, PORT["fork"], ok=None)
    longer = w.log.copy("longer")
    longer.append(longer.statement("12" * 48, version="4.0"))
    longer.publish()
    longer.cosign(w.witnesses)
    leaf, proof = w.proofs["good"]
    old = open(proof).read()
    longer.prove(leaf, os.path.basename(proof))
    p = curl(V4, PORT["good"], ok=None)
    check(p.returncode != 0, "a forked log went on")
    with open(proof, "w") as f:
        f.write(old)
    curl(V4, PORT["good"])


@test
def head_advances_by_consistency(w):
    """Last, for it moves the head that the other tests count on."""
    head = lambda: [h["size"] for h in w.keygate("status")[1]["heads"]
                    if h["origin"] == w.log.origin]
    leaf, proof = w.proofs["good"]
    old = open(proof).read()
    check(head() == [2], "the head is at %s" % head())
    # The forks that other tests showed hold the log where it is. The administrator's way on:
    w.stop(w.daemon)
    for f in forks(w):
        os.unlink(f)
    w.gate()
    w.log.append(w.log.statement("ef" * 48, version="3.0"))
    w.log.publish()
    w.log.cosign(w.witnesses)
    w.log.prove(leaf, os.path.basename(proof))
    curl(V4, PORT["good"])
    wait_for("the head to advance", lambda: head() == [3])
    curl(V4, PORT["good"])
    # What was the head is known to be part of it: a proof of an hour ago is still good.
    with open(proof, "w") as f:
        f.write(old)
    curl(V4, PORT["good"])
    check(head() == [3], "the head went back to %s" % head())


# ---------------------------------------------------------------------- main

NONE = 3  # exit status of --any


def choose(words):
    return [t for t in tests if in_this_pass(t) and
            (not words or any(x in t.__name__ for x in words))]


def main(words):
    custody.base_policy = incident.base_policy = lying.base_policy = POLICY
    kernel_users.base_policy = POLICY
    chosen = choose(words)
    counts = {"ok": 0, "not ok": 0, "skip": 0}
    w = World()
    try:
        build(w)
        for t in chosen:
            t0, why = time.monotonic(), ""
            try:
                if not words and elsewhere(t):
                    raise Skip(elsewhere(t))
                t(w)
                result = "ok"
            except Skip as e:
                result, why = "skip", str(e)
            except Exception as e:  # a test's failure, whatever it is, is this test's
                result, why = "not ok", str(e) if isinstance(e, Failure) else traceback.format_exc()
            counts[result] += 1
            print("%-6s %s (%.1f s)%s" % (result, t.__name__, time.monotonic() - t0,
                                          "  " + why if why else ""), flush=True)
            if result == "not ok" and w.daemon and w.daemon.poll() is not None:
                print("keygated ended:\n" + open(w.path("keygated.log")).read()[-3000:])
                w.gate()
            if w.in_force != (POLICY, "") and w.daemon.poll() is None:
                # The next test may not rest on what this one left, nor on which one came before it.
                w.policy(POLICY)
                w.keygate("reload")
        if counts["not ok"]:
            print("---- keygated\n" + open(w.path("keygated.log")).read()[-6000:])
    finally:
        w.close()
    print("%d passed, %d failed, %d skipped" % (counts["ok"], counts["not ok"], counts["skip"]))
    return 1 if counts["not ok"] or not counts["ok"] else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--any"]:
        sys.exit(0 if choose(sys.argv[2:]) else NONE)
    try:
        sys.exit(main(sys.argv[1:]))
    except Failure as e:
        print("0 passed, 1 failed, 0 skipped (%s)" % e)
        sys.exit(1)
