# SPDX-License-Identifier: Apache-2.0
"""Logs and witnesses that lie, fail or are slow: each ends in a refusal or a state of its own, within
bounds, and a fork in evidence that convinces a third party.

Each case has a log of its own, served by lying_log.py on this side, and an attester of its own.
"""
import json
import os
import time

from suite import check, curl, once, test
from world import Failure, V4, listening, out, run, tlog_policy, tool, wait_for

base_policy = None  # main.py's
ATTESTER, WEB = 9100, 9200

BLOCKS = """
ledger "%(name)s" {
	policy = "../%(name)s.policy"
	url = "%(url)s"
	%(block)s
	refresh = "5s"
	max-age = "%(max_age)s"
}
destination "%(name)s" {
	address = {"10.77.0.2"}
	port = {"%(port)d"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "%(name)s"
	%(more)s
}
"""


class Case:
    number = 0

    def __init__(self, w, name, max_age="24h", at=None, witness_url=None, staples=True):
        Case.number += 1
        self.w, self.name, self.max_age = w, "lie-" + name, max_age
        self.port, self.web = ATTESTER + Case.number, WEB + Case.number
        self.url, self.block = "http://127.0.0.1:%d/" % self.web, ""
        self.log = w.ledger(self.name, origin="%s.test/log" % self.name)
        self.leaf = self.log.statement(w.measure(w.binary))
        self.log.append(self.log.statement("ab" * 48, version="0.9"), self.leaf)
        self.log.publish()
        self.log.cosign(w.witnesses, at=at)
        self.proof = self.log.prove(self.leaf, self.name + ".proof")
        self.orders(self.log)
        policy = tlog_policy([self.log.vkey], w.witnesses, 2)
        if witness_url:
            key = w.witnesses[1].vkey
            policy = policy.replace(key, key + " " + witness_url)
        w.write("etc/%s.policy" % self.name, policy)
        self.serve()
        w.attester(self.port, **(dict(leaf=self.leaf, proof=self.proof) if staples else {}))
        self.more = "" if staples else 'leaf = {"%s"}' % self.leaf

    def serve(self):
        self.server = self.w.start("/usr/bin/python3",
                                   os.path.join(os.path.dirname(__file__), "lying_log.py"),
                                   self.web, self.w.path(self.name + ".json"),
                                   log=self.name + ".log")
        wait_for("the log's server", lambda: listening(self.web))

    def orders(self, log, **how):
        self.w.write(self.name + ".json", json.dumps(dict(dir=log.dir, **how)))

    def begin(self):
        """The policy with this case in it comes in force, so that its log is looked at at once."""
        self.w.policy(base_policy + BLOCKS % self.__dict__)
        self.w.keygate("reload")

    def end(self):
        self.w.policy(base_policy)
        self.w.keygate("reload")

    def grow(self, log=None):
        log = log or self.log
        log.append(log.statement("12" * 48, version="2.%d" % log.leaves))
        log.publish()
        log.cosign(self.w.witnesses)

    # ------------------------------------------------------------- what came of it

    def source(self, witness=None):
        _, j = self.w.keygate("ledger", "status", ok=(0, 2, 3))
        for ledger in j["ledgers"]:
            for s in ledger["sources"]:
                if ledger["name"] == self.name and bool(s["witness"]) == bool(witness):
                    return s
        return {"code": None, "ok": False}  # a policy that is in force since this moment

    def head(self):
        _, j = self.w.keygate("ledger", "heads")
        return next((h for h in j["heads"] if h["origin"] == self.log.origin), None)

    def becomes(self, code, witness=None, seconds=40):
        last = []

        def there():
            last[:] = [self.source(witness)]
            return last[0]["code"] == code and (code or last[0]["ok"])
        try:
            wait_for("state %r" % code, there, seconds)
        except Failure as e:
            raise Failure("%s; it is %s" % (e, last))

    def at_size(self, size, seconds=40):
        wait_for("size %d" % size, lambda: (self.head() or {}).get("size") == size, seconds)

    def connect(self):
        return curl(V4, self.port, ok=None).returncode == 0

    def refused(self, status, ident):
        check(not self.connect(), "a connection was let through")
        _, verdict, bad = self.w.refusal(V4, self.port)
        check((verdict, bad) == (status, [ident]), "%s by %s" % (verdict, bad))

    def forked(self, peer):
        """The evidence names who showed it, and convinces anybody with the log's key, offline."""
        wait_for("the fork", lambda: (self.head() or {}).get("forked"), 40)
        _, j = self.w.keygate("ledger", "evidence")
        one = next(e for e in j["evidence"] if e["origin"] == self.log.origin)
        check(peer in one["peer"], "shown by %s" % one["peer"])
        file = self.w.write(self.name + ".evidence",
                            out(tool("keygate"), "ledger", "evidence", "export", one["origin"],
                                one["at"], "--socket", self.w.socket))
        run("unshare", "-n", tool("keygate"), "ledger", "evidence", "verify", file, "--policy",
            self.w.path("etc/%s.policy" % self.name))
        doctored = json.load(open(file))
        doctored["offered"] = doctored["seen"]
        other = self.w.write(self.name + ".doctored", json.dumps(doctored))
        run(tool("keygate"), "ledger", "evidence", "verify", other, "--policy",
            self.w.path("etc/%s.policy" % self.name), ok=(2,))
        return one


def fork_of(case, size):
    """The same log's key, and another history."""
    w = case.w
    other = w.ledger(case.name + "-other", origin=case.log.origin, key=case.log.key)
    other.append(case.leaf)
    while other.leaves < size:
        other.append(other.statement("cd" * 48, version="evil"))
    other.publish()
    other.cosign(w.witnesses)
    return other


def fetch_peak():
    """The most memory that the fetch role ever had, in KiB."""
    pid = out("pgrep", "-x", "keygate-fetch").split()[0]
    return next(int(line.split()[1]) for line in open("/proc/%s/status" % pid)
                if line.startswith("VmHWM"))


# ---------------------------------------------------------------------- the cases

@test
@once("oldest")
def lying_split_view_of_one_size(w):
    c = Case(w, "split")
    c.begin()
    c.at_size(2)
    check(c.connect(), "an honest log was refused")
    c.orders(fork_of(c, 2))
    c.becomes("ledger.fork")
    one = c.forked("127.0.0.1:%d/checkpoint" % c.web)
    check(one["to"] == 0, "sizes %s" % one)
    check(c.connect(), "the very head that was seen first was refused")
    c.end()


@test
@once("oldest")
def lying_split_view_of_two_sizes(w):
    """The log goes on with another tree: its own tiles show that it does not begin as it was."""
    c = Case(w, "longer")
    c.begin()
    c.at_size(2)
    c.orders(fork_of(c, 5))
    c.becomes("ledger.fork")
    one = c.forked("127.0.0.1:%d/checkpoint" % c.web)
    check((one["from"], one["to"]) == (2, 5), "sizes %s" % one)
    check(c.head()["size"] == 2, "the head moved")
    c.end()


@test
@once("oldest")
def lying_witness_was_shown_another_tree(w):
    """Or equivocates: its monitoring URL has a head that the log signed and never showed us."""
    web = WEB + Case.number + 1
    c = Case(w, "witness", witness_url="http://127.0.0.1:%d/of-witness" % (web + 100))
    c.begin()
    c.at_size(2)
    other = fork_of(c, 2)
    orders = w.write("of-witness.json", json.dumps({"dir": other.dir}))
    w.start("/usr/bin/python3", os.path.join(os.path.dirname(__file__), "lying_log.py"), web + 100,
            orders, log="of-witness.log")
    wait_for("the witness", lambda: listening(web + 100))
    c.begin()
    c.becomes("ledger.fork", witness=True)
    c.forked("127.0.0.1:%d/of-witness/" % (web + 100))
    c.becomes("")  # the log itself is as it was
    c.end()


@test
@once("oldest")
def lying_log_goes_back(w):
    c = Case(w, "back")
    small = c.log.copy("lie-back-small")
    c.grow()
    c.begin()
    c.at_size(3)
    # A head that this host never saw is refused until the log's tiles prove it, then passes.
    c.refused("fail", "ledger.rollback")
    wait_for("the proof", c.connect, 30)
    check(c.head()["size"] == 3, "the head went back")
    # The log itself serves what it was: a state, and the head stays.
    c.orders(small)
    c.becomes("ledger.rollback")
    check(c.head()["size"] == 3, "the head went back")
    c.end()


@test
@once("oldest")
def lying_old_head_without_a_proof(w):
    """No tiles, no proof: what is shown stays refused."""
    c = Case(w, "unproved")
    c.grow()
    c.begin()
    c.at_size(3)
    c.w.stop(c.server)
    for _ in range(2):
        c.refused("fail", "ledger.rollback")
        time.sleep(1)
    check(c.head()["size"] == 3, "the head went back")
    c.end()


@test
@once("oldest")
def lying_stale_head_for_ever(w):
    c = Case(w, "stale", max_age="60s", at=int(time.time()) - 15)
    c.begin()
    c.at_size(2)
    check(c.connect(), "a recent head was refused")
    c.becomes("ledger.fresh", seconds=90)
    c.refused("fail", "ledger.fresh")
    # Cosigned anew, it is good again.
    c.log.cosign(w.witnesses)
    c.log.prove(c.leaf, os.path.basename(c.proof))
    c.becomes("")
    check(c.connect(), "a recent head was refused")
    c.end()


@test
@once("oldest")
def lying_log_is_down(w):
    """Nothing is lost by it but what is new: what was stapled is judged as before."""
    c = Case(w, "down")
    c.begin()
    c.at_size(2)
    w.stop(c.server)
    c.becomes("log.unreachable")
    check(c.connect(), "a stapled proof was refused")
    c.serve()
    c.begin()
    c.becomes("")
    c.end()


@test
@once("oldest")
def lying_log_is_slow(w):
    """A byte a second: given up in time, and no connection waits for it."""
    c = Case(w, "slow")
    c.begin()
    c.at_size(2)
    c.orders(c.log, checkpoint="slow")
    start = time.monotonic()
    c.begin()
    check(c.connect(), "a stapled proof was refused")
    check(time.monotonic() - start < 9, "a connection waited for the log")
    c.becomes("log.slow", seconds=30)
    c.grow()
    c.orders(c.log, tile="slow")
    c.begin()
    time.sleep(1)
    c.becomes("log.slow", seconds=40)
    check(c.head()["size"] == 2, "the head moved without a proof")
    c.orders(c.log)
    c.begin()
    c.at_size(3)
    c.end()


@test
@once("oldest")
def lying_tiles(w):
    """Wrong, truncated, short, endless: each has its name, nothing moves, and no fork is seen."""
    c = Case(w, "tiles")
    c.begin()
    c.at_size(2)
    c.grow()
    for how, code in (("wrong", "log.wrong-tile"), ("truncated", "log.truncated"),
                      ("short", "log.truncated"), ("giant", "log.too-large")):
        c.orders(c.log, tile=how)
        c.begin()
        c.becomes(code)
        check(c.head()["size"] == 2, "the head moved by a %s tile" % how)
    check(not c.head()["forked"], "a bad mirror was taken for a fork")
    c.orders(c.log)
    c.begin()
    c.at_size(3)
    check(c.connect(), "an earlier head was refused")
    c.end()


@test
@once("oldest")
def lying_checkpoint_without_end(w):
    c = Case(w, "giant")
    c.begin()
    c.at_size(2)
    before = fetch_peak()
    c.orders(c.log, checkpoint="giant")
    c.becomes("log.too-large")
    check(fetch_peak() - before < 8192, "fetch took %d KiB more" % (fetch_peak() - before))
    c.orders(c.log, checkpoint="truncated")
    c.begin()
    c.becomes("log.truncated")
    check(c.connect(), "a stapled proof was refused")
    c.end()


@test
@once("oldest")
def lying_unstapled_proof_is_kept_fresh(w):
    """For a server that staples nothing: found in the log, with each newer head anew, and no longer
    than the log can be followed."""
    c = Case(w, "unstapled", max_age="60s", staples=False)
    c.begin()
    wait_for("the proof", c.connect, 30)
    c.grow()
    c.at_size(3)
    wait_for("the newer proof", c.connect, 30)
    c.w.stop(c.server)

    def too_old():
        """In its last second the proof is still fresh, but a verdict has no time left, or a session."""
        return not c.connect() and w.refusal(V4, c.port)[2] == ["ledger.fresh"]
    wait_for("the end of what is known", too_old, 90)
    c.refused("fail", "ledger.fresh")
    c.end()
