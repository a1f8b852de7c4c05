# SPDX-License-Identifier: Apache-2.0
"""Leases end to end: one connection is attested, the others rest on it, and all that ends that.

How often the destination was attested is what keygated counts: `appraised` of its status.
"""
import contextlib
import json
import os
import threading
import time

from suite import canary, check, connect, curl, test
from world import Failure, V4, V6, run, wait_for

PORT = {"many": 8740, "row": 8741, "keys": 8742, "restarted": 8743, "none": 8744, "short": 8745,
        "swapped": 8746, "policy": 8747, "denied": 8748}
BRIEF = 8749  # of a destination with a short lease of its own

# Emulation makes a few handshakes a second, and each has fifteen; real hardware can be asked for more.
MANY = int(os.environ.get("KEYGATE_E2E_CONCURRENT", "24"))
ROW = int(os.environ.get("KEYGATE_E2E_CONNECTS", "50"))

POLICY = """
destination "%(name)s" {
	address = {"10.77.0.2", "fd77::2"}
	port = {%(ports)s}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "e2e"
	binder = lease
	lease = "%(lease)s"
%(more)s}
"""
CONF = "etc/policy.d/50-leased.conf"


def policy(w, more="", denied=""):
    ports = [p for n, p in PORT.items() if n not in ("policy", "denied")]
    text = POLICY % {"name": "leased", "ports": ", ".join('"%d"' % p for p in ports), "lease": "10m",
                     "more": ""}
    text += POLICY % {"name": "brief", "ports": '"%d"' % BRIEF, "lease": "5s", "more": ""}
    text += POLICY % {"name": "altered", "ports": '"%d"' % PORT["policy"], "lease": "10m",
                      "more": more}
    text += POLICY % {"name": "withdrawn", "ports": '"%d"' % PORT["denied"], "lease": "10m",
                      "more": denied}
    w.write(CONF, text)
    w.keygate("reload")


def attester(w, name, **kw):
    leaf, proof = w.proofs["good"]
    # All come from one address, which does not get the last eighth.
    extra = kw.pop("extra", ()) + ("--max-connections", str(1024 + 2 * MANY))
    return w.attester(PORT.get(name, BRIEF), forward=9002, leaf=leaf, proof=proof, extra=extra, **kw)


def keys_attester(w):
    """The one of two tests, whichever runs first."""
    if not getattr(w, "keys_attester", None):
        w.keys_attester = attester(w, "keys")


@contextlib.contextmanager
def leased(w):
    policy(w)
    try:
        yield
    finally:
        os.unlink(w.path(CONF))
        w.keygate("reload")


def count(w):
    c = w.keygate("status")[1]["counters"]
    return c["appraised"], c["resumed"]


def greeted(host, port, timeout=120):
    s = connect(host, port, timeout)
    got = s.recv(100)
    if got != b"220 ready\r\n":
        s.close()
        raise Failure("no banner, but %r" % got)
    return s


def once(host, port):
    with greeted(host, port) as s:
        word = canary()
        s.sendall(word)
        check(s.recv(len(word), 0x100) == word, "no echo")  # MSG_WAITALL
    return word


def lease_of(w, port, host=V4):
    peer = ("[%s]:%d" if ":" in host else "%s:%d") % (host, port)
    found = [x for x in w.keygate("leases")[1]["leases"] if x["peer"] == peer]
    check(len(found) == 1, "leases to %s: %r" % (peer, found))
    return found[0]


def why_ended(w, session):
    with open(os.path.join(w.state, "audit.jsonl")) as f:
        events = [json.loads(x) for x in f if '"lease-ended"' in x]
    return [e["why"] for e in events if e["session"] == session][-1:]


def attests_anew(w, port, end, why):
    """What `end` does to the lease makes the next connection show evidence."""
    once(V4, port)
    before, old = count(w), lease_of(w, port)
    end(old)
    once(V4, port)
    after, new = count(w), lease_of(w, port)
    check(after[0] == before[0] + 1, "%s: attested %d times" % (why, after[0] - before[0]))
    check(new["session"] != old["session"] and new["key"] != old["key"], "%s: %r" % (why, new))
    check(why_ended(w, old["session"]) == [why], "%s: it ended as %s" %
          (why, why_ended(w, old["session"])))


def at_once(n, port, each):
    """n threads that connect at the same time."""
    start = threading.Barrier(n)
    errors, done = [], []

    def one(i):
        try:
            start.wait(120)
            done.append(each(V4, port, i))
        except (OSError, Failure, threading.BrokenBarrierError) as e:
            errors.append("%d: %r" % (i, e))
    threading.stack_size(256 << 10)
    ts = [threading.Thread(target=one, args=(i,)) for i in range(n)]
    for t in ts:
        t.start()
    for t in ts:
        t.join(400)
    return done, errors


def add_tests():
    @test
    def lease_one_attestation_for_many(w):
        attester(w, "many")
        with leased(w):
            before = count(w)
            done, errors = at_once(MANY, PORT["many"], lambda h, p, i: greeted(h, p, 300))
            try:
                check(len(done) == MANY, "%d of %d; %s" % (len(done), MANY, errors[:3]))
                after = count(w)
                check((after[0] - before[0], after[1] - before[1]) == (1, MANY - 1),
                      "attested and resumed: %r, then %r" % (before, after))
                live = [s for s in w.keygate("sessions")[1]["sessions"]
                        if s["destination"] == "leased"]
                lease = lease_of(w, PORT["many"])
                check(len(live) == MANY and lease["uses"] == MANY - 1, "%d, %r" % (len(live), lease))
                check(all(s["protected"] for s in live), "not all are protected")
                check(sorted({s["binder"] for s in live}) == ["connection", "lease"],
                      "binders %r" % {s["binder"] for s in live})
                check({s["attested"] for s in live} == {None, lease["session"]},
                      "rest on %r" % {s["attested"] for s in live})
            finally:
                for s in done:
                    s.close()

    @test
    def lease_all_fail_with_the_one(w):
        attester(w, "swapped", measured=w.swapped)

        def fails(host, port, i):
            try:
                greeted(host, port).close()
            except (OSError, Failure):
                return i
            raise Failure("it was let through")
        with leased(w):
            before = count(w)
            done, errors = at_once(MANY, PORT["swapped"], fails)
            check(len(done) == MANY, "%d of %d; %s" % (len(done), MANY, errors[:3]))
            appraised = count(w)[0] - before[0]
            # Some may have come when the first had failed already.
            check(1 <= appraised <= MANY // 4, "%d were attested" % appraised)
            _, j = w.keygate("explain", "%s:%d" % (V4, PORT["swapped"]),
                             ok=(2,))
            check(j["last"]["code"] == "policy.measurement", "refused by %s" % j["last"]["code"])

    @test
    def lease_for_a_row_of_connections(w):
        attester(w, "row")
        with leased(w):
            for host in (V4, V6):
                before = count(w)
                words = [once(host, PORT["row"]) for _ in range(ROW)]
                after = count(w)
                check((after[0] - before[0], after[1] - before[1]) == (1, ROW - 1),
                      "attested and resumed: %r, then %r" % (before, after))
                check(not w.on_wire(words[0]) and not w.on_wire(words[-1]),
                      "a canary is on the wire in clear")

    @test
    def lease_is_named_in_the_verdict(w):
        with leased(w):
            once(V4, PORT["row"])
            lease = lease_of(w, PORT["row"])
            once(V4, PORT["row"])
            v = w.keygate("explain", "%s:%d" % (V4, PORT["row"]))[1]["last"]["verdict"]
            first = v["checks"][0]
            check(v["verdict"] == "pass" and v["binder"] == "lease", "verdict %r" % v)
            check(first["id"] == "lease.attested" and
                  first["detail"].startswith("session %d at " % lease["session"]), "%r" % first)
            check(any(t.startswith("binder = lease: no evidence on this connection")
                      for t in v["loosened"]), "loosenings %r" % v["loosened"])
            check(lease["until"] <= v["valid_until"], "%r, verdict until %d" %
                  (lease, v["valid_until"]))
            text = run("keyctl", "describe", lease["key"]).stdout.decode()
            check(":lease:%x" % lease["session"] in text, "keyctl describe: %s" % text)
            p = run("keyctl", "print", lease["key"], ok=None)
            check(p.returncode != 0, "another root process can read the key")

    @test
    def lease_ends_with_its_key(w):
        keys_attester(w)

        def unlink(lease):
            run("keyctl", "setperm", lease["ring"], "0x3f3f0000")
            run("keyctl", "unlink", lease["key"], lease["ring"])

        def timeout(lease):
            run("keyctl", "timeout", lease["key"], 1)
            time.sleep(1.5)
        with leased(w):
            for end, why in ((lambda x: run("keyctl", "revoke", x["key"]), "revoked"),
                             (timeout, "over"), (unlink, "revoked"),
                             (lambda x: run("keyctl", "invalidate", x["key"]), "revoked"),
                             (lambda x: w.keygate("revoke", "--lease", x["session"]), "revoked"),
                             (lambda x: w.keygate("revoke", "--destination", "leased"), "revoked"),
                             (lambda x: run("keyctl", "revoke", x["ring"]), "revoked")):
                attests_anew(w, PORT["keys"], end, why)

    @test
    def lease_revoked_leaves_what_is_live(w):
        keys_attester(w)
        with leased(w):
            once(V4, PORT["keys"])
            with greeted(V4, PORT["keys"]) as s:
                lease = lease_of(w, PORT["keys"])
                run("keyctl", "revoke", lease["key"])
                wait_for("the end of the lease", lambda: not [
                    x for x in w.keygate("leases")[1]["leases"] if x["key"] == lease["key"]])
                s.sendall(b"still here")
                check(s.recv(10, 0x100) == b"still here", "no echo")

    @test
    def lease_of_an_attester_that_restarted(w):
        p = attester(w, "restarted")

        def restart(lease):
            w.stop(p)
            attester(w, "restarted")
        with leased(w):
            attests_anew(w, PORT["restarted"], restart, "unknown")
            once(V4, PORT["restarted"])
            check(lease_of(w, PORT["restarted"])["uses"] == 1, "the new one is not used")

    @test
    def lease_that_nobody_grants(w):
        attester(w, "none", extra=("--lease", "0"))
        with leased(w):
            before = count(w)
            for _ in range(4):
                once(V4, PORT["none"])
            after = count(w)
            check((after[0] - before[0], after[1] - before[1]) == (4, 0),
                  "attested and resumed: %r, then %r" % (before, after))

    @test
    def lease_ends_with_the_shortest(w):
        attester(w, "short", extra=("--lease", "4"))
        attester(w, "brief")
        with leased(w):
            for port, seconds in ((PORT["short"], 4), (BRIEF, 5)):
                once(V4, port)
                lease = lease_of(w, port)
                check(0 < lease["until"] - lease["made_at"] <= seconds, "%r" % lease)
                attests_anew(w, port, lambda x: time.sleep(seconds + 1), "over")

    @test
    def lease_ends_with_the_policy(w):
        attester(w, "policy")
        attester(w, "denied")
        measurement = "snp:" + w.measure(w.binary)
        with leased(w):
            attests_anew(w, PORT["policy"], lambda x: policy(w, more="\tmin-version = \"0.1\"\n"),
                         "policy")
            # Nothing of it changed: it stays.
            before = lease_of(w, PORT["policy"])
            policy(w, more="\tmin-version = \"0.1\"\n")
            check(lease_of(w, PORT["policy"])["key"] == before["key"], "it did not stay")
            once(V4, PORT["denied"])
            lease = lease_of(w, PORT["denied"])
            policy(w, denied="\tdeny = {\"%s\"}\n" % measurement)
            check(why_ended(w, lease["session"]) == ["policy"], "it did not end")
            p = curl(V4, PORT["denied"], ok=None)
            check(p.returncode != 0, "curl got an answer: %r" % p.stdout)
            check(w.refusal(V4, PORT["denied"])[1:] == ("fail", ["policy.denied"]),
                  "%r" % (w.refusal(V4, PORT["denied"]),))
