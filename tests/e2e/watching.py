# SPDX-License-Identifier: Apache-2.0
"""A log whose entries are watched: what nobody expected is alerted once, what was served wrongly is
not read, and nothing is skipped or said twice.

Each case has a log of its own, as in lying.py.
"""
import json
import os
import subprocess
import time

from lying import Case, fetch_peak
from suite import check, once, test
from world import Failure, out, run, tool, wait_for

GOOD, EVIL = "12" * 48, "cd" * 48


class Watch(Case):
    def __init__(self, w, name, names="*", url=None):
        super().__init__(w, "watch-" + name)
        self.list = ["snp:" + "ab" * 48, "snp:" + w.measure(w.binary)]
        self.expect()
        self.block = 'watch = {"%s"}\n\texpected-file = {"%s"}\n' % (names, self.path())
        if url:
            self.url = url % self.log.dir

    def path(self):
        return self.w.path(self.name + ".list")

    def expect(self, *more):
        self.list += more
        self.w.write(self.name + ".list", "".join(x + " # of this test\n" for x in self.list))

    def append(self, measurement, **how):
        """Returns the new entry's index."""
        self.log.append(self.log.statement(measurement, version="3.%d" % self.log.leaves, **how))
        return self.publish()

    def publish(self):
        self.log.publish()
        self.log.cosign(self.w.witnesses)
        return self.log.leaves - 1

    def once(self, *argv):
        """Exit status, and what is said of this log."""
        code, j = self.w.keygate("ledger", "watch", "--once", "--origin", self.log.origin, *argv,
                                 ok=(0, 1, 2, 3))
        logs = j.get("logs", [])
        return code, logs[0] if logs else {"size": -1, "alerts": [], "code": None}

    def read_all(self, seconds=40):
        wait_for("%d entries read" % self.log.leaves,
                 lambda: self.once()[1]["size"] == self.log.leaves, seconds)
        return self.once()

    def state(self, code, seconds=40):
        last = []

        def there():
            last[:] = [self.once()]
            return last[0][1]["code"] == code
        try:
            wait_for("state %r" % code, there, seconds)
        except Failure as e:
            raise Failure("%s; it is %s" % (e, last))
        return last[0]

    def audited(self):
        """The indices of all alerts about this log that were ever said."""
        lines = [json.loads(x) for x in open(os.path.join(self.w.state, "audit.jsonl"))]
        return [x["index"] for x in lines
                if x["event"] == "ledger-alert" and x["origin"] == self.log.origin]

    def indices(self):
        return [a["index"] for a in self.once()[1]["alerts"]]


@test
@once("oldest")
def watching_alerts_what_nobody_expected(w):
    c = Watch(w, "alert")
    c.begin()
    code, log = c.read_all()
    check((code, log["alerts"], log["ok"]) == (0, [], True), "%d %s" % (code, log))
    c.append(w.measure(w.binary))
    evil = c.append(EVIL, name="payments")
    start = time.monotonic()
    code, log = c.read_all()
    check(time.monotonic() - start < 15, "not within a round or two")
    check(code == 2 and c.indices() == [evil], "%d %s" % (code, log))
    a = log["alerts"][0]
    check((a["code"], a["subject"], a["version"]) == ("ledger.unexpected", "payments", "3.3"), a)
    check(a["launch"] == [{"tee": "snp", "value": EVIL, "alone": True}], a)
    check("ledger-alert" in open(w.path("keygated.log")).read(), "not in the journal")
    # For cron: what was seen to is not a no any more.
    check(c.once("--since", evil)[0] == 2 and c.once("--since", evil + 1)[0] == 0, "--since")
    # What is expected from now on is taken back, and says nothing again.
    c.expect("leaf:" + a["leaf"])
    c.w.keygate("reload")
    wait_for("the reload", lambda: c.once()[0] == 0)
    check(c.audited() == [evil], "said %s" % c.audited())
    c.end()


@test
@once("oldest")
def watching_streams(w):
    """Those that are there, and those that come; each once, in JSON and in words."""
    c = Watch(w, "stream")
    first = c.append(EVIL)
    c.begin()
    c.read_all()
    files = [w.path("watch.out"), w.path("watch.json")]
    streams = []
    for f, more in zip(files, ([], ["--json"])):
        with open(f, "wb") as to:
            streams.append(subprocess.Popen(
                [tool("keygate"), "ledger", "watch", "--socket", w.socket, "--origin",
                 c.log.origin] + more, stdout=to, stderr=to))
    wait_for("the kept one", lambda: all(str(first) in open(f).read() for f in files))
    second = c.append(GOOD)
    wait_for("the next one", lambda: all(GOOD in open(f).read() for f in files))
    for s in streams:
        check(s.poll() is None, "the stream ended")
        w.stop(s)
    text, lines = open(files[0]).read(), [json.loads(x) for x in open(files[1])]
    check([x["index"] for x in lines] == [first, second], lines)
    check(text.count("ledger.unexpected") == 2 and text.count(EVIL) == 1, text)
    c.end()


@test
@once("oldest")
def watching_only_the_named(w):
    """Of a log with other publishers; but what may be ours and is no statement is said."""
    c = Watch(w, "named", names="pay*")
    c.begin()
    c.read_all()
    c.append(EVIL, name="other")
    mine = c.append(EVIL, name="payments")
    for i, text in enumerate((b"of somebody", b"of pay", b'{"subject":[{"name":"\\u0070ay"}]}')):
        with open(w.path("strange-%d" % i), "wb") as f:
            f.write(text)
        c.log.append(w.path("strange-%d" % i))
    c.publish()
    c.read_all()
    got = [(a["index"], a["code"]) for a in c.once()[1]["alerts"]]
    check(got == [(mine, "ledger.unexpected"), (mine + 2, "ledger.unreadable"),
                  (mine + 3, "ledger.unreadable")], got)
    c.end()


@test
@once("oldest")
def watching_over_restarts(w):
    """Nothing is said twice, and what came meanwhile is said."""
    c = Watch(w, "restart")
    c.begin()
    first = c.append(EVIL)
    wait_for("the first", lambda: c.indices() == [first], 40)
    w.stop(w.daemon)
    second = c.append(GOOD)
    w.gate()
    wait_for("the second", lambda: c.indices() == [first, second], 40)
    w.stop(w.daemon)
    w.gate()
    c.read_all()
    check(c.audited() == [first, second], "said %s" % c.audited())
    check(c.indices() == [first, second], "kept %s" % c.indices())
    # How far it was read is not guessed: damaged, all is read anew.
    w.stop(w.daemon)
    file = out("grep", "-l", c.log.origin, "-r", os.path.join(w.state, "ledger"),
               "--include", "watch.json")
    with open(file, "w") as f:
        f.write("{}")
    w.gate()
    wait_for("the first again", lambda: c.indices() == [first, second], 40)
    check(c.audited() == [first, second] * 2, "said %s" % c.audited())
    c.end()


@test
@once("oldest")
def watching_wrong_entries(w):
    """Nothing of them is read, each way has its code, and the right ones are read later."""
    c = Watch(w, "wrong")
    c.begin()
    c.read_all()
    evil = c.log.leaves
    for how, code, status in (("wrong", "log.wrong-entries", 2), ("short", "log.wrong-entries", 2),
                              ("truncated", "log.truncated", 3), ("giant", "log.too-large", 3),
                              ("bomb", "log.too-large", 3), ("missing", "log.missing", 3)):
        before = fetch_peak()
        c.orders(c.log, entries=how)
        c.append(EVIL)
        c.begin()
        got, log = c.state(code)
        check((got, log["size"], log["alerts"]) == (status, 2, []), "%s: %s %s" % (how, got, log))
        check(fetch_peak() - before < 16384, "%s: %d KiB more" % (how, fetch_peak() - before))
    c.orders(c.log, entries="gzip")
    c.begin()
    c.read_all()
    check(c.indices() == list(range(evil, c.log.leaves)), c.indices())
    c.end()


@test
@once("oldest")
def watching_log_that_is_down(w):
    c = Watch(w, "down")
    c.begin()
    c.read_all()
    check(c.once()[0] == 0, "not well")
    w.stop(c.server)
    code, log = c.state("log.unreachable")
    check((code, log["ok"], log["size"]) == (3, False, 2), "%d %s" % (code, log))
    evil = c.append(EVIL)
    c.serve()
    c.begin()
    wait_for("the entry", lambda: c.indices() == [evil], 40)
    c.end()


@test
@once("oldest")
def watching_a_directory(w):
    """More entries than one bundle holds, out of a directory, some of them more than one answer of
    verify's can hold."""
    c = Watch(w, "file", url="file://%s/")
    leaf = c.log.statement(w.measure(w.binary))
    evil = [c.log.statement(EVIL, version="9.%d" % i) for i in range(20)]
    c.log.append(*[leaf] * 300, *evil, *[leaf] * 200)
    c.publish()
    c.begin()
    c.read_all(60)
    check(c.indices() == list(range(302, 322)), c.indices())
    check(c.audited() == c.indices(), c.audited())
    c.end()


@test
@once("oldest")
def watching_nothing(w):
    code, j = w.keygate("ledger", "watch", "--once", ok=(1,))
    check(j["kind"] == "usage", j)
    p = run(tool("keygate"), "ledger", "watch", "--socket", w.socket, ok=(1,))
    check(b"no ledger of the policy has a watch" in p.stderr, p.stderr)
