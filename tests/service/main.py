# SPDX-License-Identifier: Apache-2.0
"""keygate as a service of systemd, in a guest whose process 1 that is: main.py [WORD...] runs the tests
whose name holds a WORD. Prints a line a test and closes with a line of counts. Run it through
tests/service/run.

It runs as a unit that is done before keygate-arm (tests/service/setup): the destination is there first.
"""
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback

os.environ["TMPDIR"] = "/srv"  # of the host's /tmp keygated sees nothing
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../e2e"))
from suite import (Skip, canary, check, connect, curl, elsewhere, once, passes, test,  # noqa: E402
                   tests, url)
from world import (Failure, V4, Witness, World, listening, out, run, tlog_policy,  # noqa: E402
                   wait_for)

GATED, PLAIN = 8443, 9999
LOCAL = ("127.0.0.5", "127.0.0.6")  # one denied, one gated, both with a server behind
HYBRID = "unified_cgroup_hierarchy=0" in open("/proc/cmdline").read()

POLICY = """
ledger "test" {
	policy = "/etc/keygate/tlog-policy"
	max-age = "24h"
}
anchor "sim" {
	tee = snp
	file = "/etc/keygate/ark.pem"
}
destination "service" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"8443"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "test"
	lease = "10m"
}
destination "local-denied" {
	address = {"127.0.0.5"}
	action = deny
}
destination "local-gated" {
	address = {"127.0.0.6"}
	port = {"8099"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "test"
}
"""


def plain(who):
    """For these, and for nobody else, is the plain service open."""
    return """
destination "plain-for-some" {
	address = {"10.77.0.2"}
	port = {"9999"}
	action = allow
	%s
}
destination "plain" {
	address = {"10.77.0.2"}
	port = {"9999"}
	action = deny
	refuse-with = "EHOSTUNREACH"
}
""" % who


class Service(World):
    """keygated is systemd's, and everything is where an installation has it."""

    def __init__(self):
        super().__init__()
        self.run_dir, self.state = "/run/keygate", "/var/lib/keygate"

    def policy(self, text):
        self.in_force = text
        with open("/etc/keygate/policy.d/10-test.conf", "w") as f:
            f.write(text)

    def capture_start(self):
        """At the destination's end: the other is not there before the network is."""
        self.pcap = self.path("wire.pcap")
        self.capture = self.start("tcpdump", "-i", "kg1", "-U", "-s", "0", "-B", "16384", "-w",
                                  self.pcap, ns="dst", log="tcpdump.log")
        wait_for("tcpdump", lambda: "listening on" in open(self.path("tcpdump.log")).read())


def build(w):
    w.network()
    w.web()
    w.start("/usr/bin/python3", "-m", "http.server", "--bind", "::", PLAIN, "--directory",
            w.path("www"), ns="dst", log="plain.log")
    w.platform()
    witness = Witness(w, "witness.test")
    log = w.ledger()
    leaf = log.statement(w.measure(w.binary))
    log.append(leaf)
    log.publish()
    log.cosign([witness])
    w.attester(GATED, leaf=leaf, proof=log.prove(leaf, "proof"))
    wait_for("the plain service", lambda: listening(PLAIN, "dst"))
    for name, text in (("tlog-policy", tlog_policy([log.vkey], [witness], 1)),
                       ("ark.pem", open(w.path("tee/ark.pem")).read())):
        with open("/etc/keygate/" + name, "w") as f:
            f.write(text)
    w.policy(POLICY)
    w.local = [socket.create_server((a, 8099), backlog=1000) for a in LOCAL]
    run("ip", "link", "set", "kg0", "down")
    w.capture_start()


# ------------------------------------------------------------------- systemd

def systemctl(*argv, ok=(0,)):
    return run("systemctl", *argv, ok=ok)


def show(unit, name):
    return out("systemctl", "show", "--value", "-p", name, unit)


def main_pid():
    return int(show("keygated", "MainPID"))


def systemd_run(*argv, ok=(0,)):
    return run("systemd-run", "--quiet", "--wait", "--pipe", "--collect", *argv, ok=ok)


def asks_plain(unit, *properties):
    """Whether curl gets the plain service's page as a unit of this name."""
    p = systemd_run("--unit=" + unit, *properties, "curl", "-sS", "-m", "10", url(V4, PLAIN), ok=None)
    check(p.returncode in (0, 7, 28), "curl ended with %d: %s" % (p.returncode, p.stderr))
    return p.returncode == 0


def local_opens(address):
    try:
        socket.create_connection((address, 8099), 5).close()
        return True
    except OSError:
        return False


@contextlib.contextmanager
def never_open():
    """All the while, what is denied is asked for."""
    stop, opened, asked = threading.Event(), [], []

    def ask():
        while not stop.is_set():
            asked.append(1)
            if local_opens(LOCAL[0]):
                opened.append(time.monotonic())
            time.sleep(0.02)
    t = threading.Thread(target=ask)
    t.start()
    try:
        yield
    finally:
        stop.set()
        t.join()
    check(asked and not opened, "open at %r" % opened)


def drop_in(text):
    """Puts lines below [Service] of keygated.service and restarts it; without a text takes them away."""
    d = "/run/systemd/system/keygated.service.d"
    run("rm", "-rf", d)
    if text:
        os.makedirs(d)
        with open(d + "/test.conf", "w") as f:
            f.write("[Service]\n" + text)
    systemctl("daemon-reload")
    systemctl("restart", "keygated")


def links():
    """The kernel's numbers of the links at the cgroup: those of the tracing programs are made anew, and
    of these bpftool asks for the program too, which the guard keeps from it."""
    d = "/sys/fs/bpf/keygate"
    shown = [run("bpftool", "-j", "link", "show", "pinned", os.path.join(d, n), ok=None)
             for n in sorted(os.listdir(d)) if n.startswith("link")]
    found = [json.loads(p.stdout) for p in shown if p.returncode == 0]
    cgroup = [x["id"] for x in found if x["type"] == "cgroup"]
    check(len(cgroup) > 5, "links at the cgroup: %r" % cgroup)
    return cgroup


def hybrid_too(fn):
    """Of a test for which it matters where cgroup 2 is. It stands below @test."""
    fn.hybrid = True
    return fn


# --------------------------------------------------------------------- tests

@test
@hybrid_too
def boot_closes_before_the_network(w):
    """Open before keygate-arm, refused after it with keygated not there yet, served when the network
    comes up."""
    check(w.open_before == [True, True], "before keygate-arm: %r" % w.open_before)
    read = lambda n: open("/run/probes/" + n).read()
    check(read("armed") == "127.0.0.5 refused\n127.0.0.6 refused\n", "armed: " + read("armed"))
    check(read("network") == "stored\n127.0.0.5 refused\n",
          "network: " + read("network"))
    check(not w.on_wire(b"canary-of-the-boot"), "the canary is on the wire in clear")
    at = lambda unit, what: int(show(unit, what + "TimestampMonotonic"))
    times = [at("keygate-arm", "InactiveExit"), at("keygate-arm", "ActiveEnter"),
             at("armed-probe", "InactiveExit"), at("armed-probe", "ActiveEnter"),
             at("keygated", "InactiveExit"), at("keygated", "ActiveEnter"),
             at("network-pre.target", "ActiveEnter"), at("test-network", "InactiveExit"),
             at("test-network", "ActiveEnter"), at("network.target", "ActiveEnter")]
    check(all(times) and times == sorted(times), "order: %r" % times)


@test
@once("newest")
def start_returns_when_it_serves(w):
    systemctl("stop", "keygated")
    systemctl("start", "keygated")
    passes(w, V4, GATED)
    check("armed" in show("keygated", "StatusText").lower(), "status: " + show("keygated", "StatusText"))


@test
@once("oldest")
def reload_is_in_force_when_it_returns(w):
    """And one that finds a mistake fails, says where, and changes nothing."""
    check(asks_plain("one.service"), "the plain service is not open")
    w.policy(POLICY + plain('user = "nobody"'))
    systemctl("reload", "keygated")
    check(not asks_plain("one.service"), "the new policy is not in force")
    w.policy(POLICY.replace("lease", "leese"))
    p = systemctl("reload", "keygated", ok=None)
    check(p.returncode != 0, "a reload with a mistake went well")
    place = "10-test.conf:%d:" % (POLICY[:POLICY.index("lease")].count("\n") + 1)
    check(place in out("journalctl", "-b", "-u", "keygated", "-o", "cat", "-n", "20"),
          "the journal doesn't say where the mistake is")
    check("refused" in show("keygated", "StatusText"), "status: " + show("keygated", "StatusText"))
    check(show("keygated", "ActiveState") == "active", "keygated ended")
    check(not asks_plain("one.service"), "the last good policy is not in force")
    passes(w, V4, GATED)


@test
@once("oldest")
def stop_stays_closed(w):
    word = canary()
    with never_open():
        systemctl("stop", "keygated")
        p = curl(V4, GATED, "--data-binary", word.decode(), path="/upload", ok=None, limit=10)
        check(p.returncode == 7, "curl ended with %d" % p.returncode)
        check(show("keygate-arm", "ActiveState") == "active", "keygate-arm went with it")
        systemctl("start", "keygated")
    check(not w.on_wire(word), "the canary is on the wire in clear")
    passes(w, V4, GATED)


@test
def restart_keeps_pins_and_ends_sessions(w):
    before, pid = links(), main_pid()
    with connect(V4, GATED) as s:
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        check(s.recv(100), "no answer")
        with never_open():
            systemctl("restart", "keygated")
        s.settimeout(10)
        try:
            while s.recv(10000):
                pass
        except ConnectionResetError:
            pass
    check(before and links() == before, "pins: %r, then %r" % (before, links()))
    check(main_pid() != pid, "it is the old process")
    passes(w, V4, GATED)


@test
@once("newest")
def watchdog_ends_what_hangs(w):
    """Shorter than the unit's, to wait less for it."""
    drop_in("WatchdogSec=8\n")
    pid, word, n = main_pid(), canary(), int(show("keygated", "NRestarts"))
    with never_open():
        os.kill(pid, signal.SIGSTOP)
        end = time.monotonic() + 60
        while int(show("keygated", "NRestarts")) == n or show("keygated", "ActiveState") != "active":
            check(time.monotonic() < end, "it still hangs")
            p = curl(V4, GATED, "--data-binary", word.decode(), path="/upload", ok=None, limit=2)
    check("Watchdog timeout" in out("journalctl", "-b", "-u", "keygated", "-o", "cat"),
          "the watchdog has not ended it")
    check(not w.on_wire(word), "the canary is on the wire in clear")
    drop_in("")
    passes(w, V4, GATED)


@test
@hybrid_too
def rules_for_units(w):
    """By the unit of the system's systemd, and of a user's by the user's."""
    w.policy(POLICY + plain('unit = "shop.service"'))
    systemctl("reload", "keygated")
    check(asks_plain("shop.service"), "the unit is not told")
    check(asks_plain("shop.service", "--slice=some-other.slice"), "the unit in a slice is not told")
    check(not asks_plain("other.service"), "another unit passes for it")
    check(not asks_plain("shop.service.service"), "a longer name passes for it")
    p = run("systemd-run", "--quiet", "--scope", "--unit=shop", "curl", "-sS", "-m", "10", url(V4, PLAIN),
            ok=None)
    check(p.returncode == 7, "a scope passes for it: %d" % p.returncode)
    # What is below a unit is the unit's, and no other by its name.
    below = ("-p", "Delegate=yes", "sh", "-c", "d=/sys/fs/cgroup%s$(sed -n s/^0:://p /proc/self/cgroup)/"
             "shop.service && mkdir $d && echo $$ >$d/cgroup.procs && grep -q shop.service$ "
             "/proc/self/cgroup && exec curl -sS -m 10 %s" %
             ("/unified" if HYBRID else "", url(V4, PLAIN)))
    below = [a.replace("$", "$$") for a in below]  # systemd has its own use for it
    p = systemd_run("--unit=other.service", *below, ok=None)
    check(p.returncode == 7, "a cgroup below passes for it: %d %s" % (p.returncode, p.stderr))
    w.policy(POLICY + plain('unit = "other.service"'))
    systemctl("reload", "keygated")
    systemd_run("--unit=other.service", *below)


@test
@once("oldest")
def rules_for_units_of_users(w):
    """A user may call his units what he likes."""
    systemctl("start", "user@4321.service")
    ask = ("setpriv", "--reuid=tester", "--regid=tester", "--init-groups", "env",
           "XDG_RUNTIME_DIR=/run/user/4321", "systemd-run", "--user", "--quiet", "--wait", "--pipe",
           "--collect", "--unit=shop.service")
    try:
        run(*ask, "true")
        for unit, want in (("shop.service", 7), ("user@4321.service", 0)):
            w.policy(POLICY + plain('unit = "%s"' % unit))
            systemctl("reload", "keygated")
            p = run(*ask, "curl", "-sS", "-m", "10", url(V4, PLAIN), ok=None)
            check(p.returncode == want, "a rule for %s: curl ended with %d" % (unit, p.returncode))
    finally:
        systemctl("stop", "user@4321.service")


@test
def ip_address_deny_counts_too(w):
    """systemd's programs hang at the unit's cgroup; keygate's at the root."""
    allow = ("-p", "IPAddressDeny=any", "-p", "IPAddressAllow=" + V4)
    check(asks_plain("one.service"), "the plain service is not open")
    check(not asks_plain("one.service", "-p", "IPAddressDeny=" + V4), "what systemd denies is open")
    check(asks_plain("one.service", *allow), "what both allow is refused")
    w.policy(POLICY + plain('user = "nobody"'))
    systemctl("reload", "keygated")
    check(not asks_plain("one.service", *allow), "what keygate denies is open")
    # Of a gated connection the unit's packets go to keygated on the loopback device, and no further.
    gated = ("curl", "-sS", "-m", "5", url(V4, GATED))
    for properties, want in (((), 0), (allow, 28), ((*allow, "-p", "IPAddressAllow=localhost"), 0),
                             (("-p", "IPAddressDeny=localhost"), 28),
                             (("-p", "IPAddressDeny=" + V4), 0)):
        p = systemd_run("--unit=one.service", *properties, *gated, ok=None)
        check(p.returncode in ((7, 28) if want else (0,)), "%r: curl ended with %d" % (properties, p.returncode))


def exposure(unit):
    return re.search(r"Overall exposure level for \S+: ([0-9.]+)",
                     out("systemd-analyze", "security", "--no-pager", unit)).group(1)


NO_NAMESPACES = "CapabilityBoundingSet=~CAP_SYS_ADMIN CAP_SYS_PTRACE\nRestrictNamespaces=yes\n"


@test
@once("newest")
def exposure_is_as_documented(w):
    """And so are the capabilities that are taken away for want of containers."""
    text = open("docs/install.md").read()
    claimed = dict(re.findall(r"^\| `(\S+)` \| ([0-9.]+) \|$", text, re.M))
    found = {u: exposure(u + ".service") for u in claimed}
    check(len(claimed) == 3 and found == claimed, "docs: %r, systemd: %r" % (claimed, found))
    check(NO_NAMESPACES in text, "docs/install.md has another drop-in")
    p = run("systemd-analyze", "verify", *["/usr/lib/systemd/system/%s.service" % u for u in claimed])
    check(not p.stderr + p.stdout, "verify: %r" % (p.stderr + p.stdout))


def status_of(pid):
    return dict(line.strip().split(":\t", 1) for line in open("/proc/%d/status" % pid)
                if ":\t" in line.strip())


def roles():
    return [int(p) for p in out("pgrep", "-x", "keygate-(relay|verify|fetch)").split()]


BITS = {"KILL": 5, "SETGID": 6, "SETUID": 7, "SETPCAP": 8, "NET_ADMIN": 12, "SYS_PTRACE": 19,
        "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39}


def bits(*without):
    return sum(1 << b for n, b in BITS.items() if n not in without)


@test
@hybrid_too
def the_unit_confines_it(w):
    """And it works within."""
    own, s = main_pid(), status_of(main_pid())
    check(int(s["CapBnd"], 16) == bits() and int(s["CapEff"], 16) == bits(), "capabilities: %r" % s)
    check((s["NoNewPrivs"], s["Seccomp"]) == ("1", "2"), "status: %r" % s)
    check(len(roles()) == 3, "roles: %r" % roles())
    for pid in roles():
        r = status_of(pid)
        check(int(r["CapBnd"], 16) == 0 and int(r["CapPrm"], 16) == 0 and r["Uid"].split()[0] != "0",
              "a role has rights: %r" % r)
    def write(path, value):
        return run("nsenter", "--mount=/proc/%d/ns/mnt" % own, "sh", "-c", "echo %s >%s" % (value, path),
                   ok=None).returncode
    for path in ("/etc/keygate/x", "/usr/x", "/sys/kernel/x", "/proc/sys/net/ipv4/ip_forward",
                 "/sys/fs/cgroup/cgroup.procs"):
        check(write(path, 0) != 0, "it can write " + path)
    check(write("/var/lib/keygate/x", 0) == 0, "it can't write its state")
    os.unlink("/var/lib/keygate/x")
    check(any(t == ("/sys/fs/cgroup/unified" if HYBRID else "/sys/fs/cgroup", "cgroup2")
              for t in (tuple(m.split()[1:3]) for m in open("/proc/mounts"))), "cgroup 2 is elsewhere")
    _, j = w.keygate("status")
    check(j["keyring_watch"] and j["namespaces"]["watch"], "status: %r" % j)
    with connect(V4, GATED) as c:
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        check(c.recv(100), "no answer")
        _, j = w.keygate("sessions")
        key = next(x["key"] for x in j["sessions"] if x["state"] == "live")
        check("keygate:service:" in out("keyctl", "describe", key), "no key")
        run("keyctl", "revoke", key)
        c.settimeout(10)
        try:
            check(not c.recv(10000) or not c.recv(10000), "the session goes on")
        except ConnectionResetError:
            pass


def abilities(w):
    """What keygated does, as far as that hangs on its capabilities; None: it does not start."""
    if systemctl("restart", "keygated", ok=None).returncode:
        return None
    _, j = w.keygate("status")
    said = {x: j[x] for x in ("armed", "self_test", "guard", "keyring_watch")}
    said["namespaces"] = {x: j["namespaces"][x] for x in ("off", "watch")}
    # One that none but a process of some user's holds.
    p = w.start("unshare", "--net", "setpriv", "--reuid=tester", "--clear-groups", "sleep", "60")
    try:
        wait_for("the namespace", lambda: os.readlink("/proc/%d/ns/net" % p.pid) !=
                 os.readlink("/proc/self/ns/net") and status_of(p.pid)["Uid"].split()[0] != "0")
        inode = os.stat("/proc/%d/ns/net" % p.pid).st_ino
        end, served = time.monotonic() + 4, False
        while not served and time.monotonic() < end:
            served = any(e["served"] for e in w.keygate("status")[1]["namespaces"]["known"]
                         if e["inode"] == inode)
        said["user's namespace"] = served
    finally:
        w.stop(p)
    return said


def ends_what_hangs():
    """A role is of another user; keygated kills it, if need be, when it ends itself."""
    os.kill(roles()[0], signal.SIGSTOP)
    systemctl("stop", "keygated")
    return show("keygated", "Result") == "success"


@test
@once("newest")
def each_capability_is_needed(w):
    """Without any one of them keygated does not start, or can do less. CAP_SYS_ADMIN, which is there for
    other network namespaces alone, counts for CAP_BPF and CAP_PERFMON too: these are tried without it."""
    with open("/run/without", "w") as f:
        f.write("-mknod")  # which it does not have
    drop_in("Restart=no\nTimeoutStopSec=8\nExecStart=\nExecStart=/bin/sh -c 'exec setpriv --bounding-set "
            "\"$$(cat /run/without)\" /usr/sbin/keygated'\n")

    def without(*names):
        with open("/run/without", "w") as f:
            f.write(",".join("-" + n.lower() for n in ("MKNOD", *names)))
        return abilities(w)

    try:
        whole, less = without(), without("SYS_ADMIN")
        check(whole and whole["armed"] and whole["user's namespace"], "with all of them: %r" % whole)
        check(less and less != whole, "without CAP_SYS_ADMIN: %r" % less)
        idle = [n for n in ("BPF", "PERFMON") if without(n, "SYS_ADMIN") == less]
        idle += [n for n in ("NET_ADMIN", "SETGID", "SETUID", "SETPCAP", "SYS_PTRACE")
                 if without(n) == whole]
        without("KILL")
        idle += ["KILL"] if ends_what_hangs() else []
        without()
        check(ends_what_hangs(), "with all of them, it doesn't end a role that hangs")
    finally:
        systemctl("reset-failed", "keygated", ok=None)
        drop_in("")
    check(not idle, "it does the same without %s" % ", ".join(idle))
    passes(w, V4, GATED)


@test
def serves_other_namespaces_if_it_may(w):
    run("ip", "netns", "add", "app")
    w.namespaces.append("app")
    run("ip", "link", "add", "kg2", "netns", "app", "type", "veth", "peer", "name", "kg3", "netns", "dst")
    for ns, dev, last in (("app", "kg2", "1"), ("dst", "kg3", "2")):
        run("ip", "-n", ns, "addr", "add", "10.78.0.%s/24" % last, "dev", dev)
        run("ip", "-n", ns, "link", "set", dev, "up")
    run("ip", "-n", "app", "link", "set", "lo", "up")
    run("ip", "-n", "app", "route", "add", "default", "via", "10.78.0.2")
    ask = ("--unit=one.service", "-p", "NetworkNamespacePath=/run/netns/app", "curl", "-sS", "-m", "20",
           url(V4, GATED))
    systemd_run(*ask)
    # What docs/install.md has for hosts without containers.
    drop_in(NO_NAMESPACES)
    check(int(status_of(main_pid())["CapBnd"], 16) == bits("SYS_ADMIN", "SYS_PTRACE"), "not taken away")
    passes(w, V4, GATED)
    p = systemd_run(*ask, ok=None)
    check(p.returncode == 7, "curl ended with %d: %s" % (p.returncode, p.stderr))
    check(exposure("keygated.service") in open("docs/install.md").read().split("the estimate is ")[1][:3],
          "exposure: " + exposure("keygated.service"))
    drop_in("")


# ---------------------------------------------------------------------- main

def ready():
    """Tells systemd that keygate-arm may come."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.connect(os.environ.pop("NOTIFY_SOCKET"))
        s.send(b"READY=1")


def one(w, t, words):
    t0, why = time.monotonic(), ""
    try:
        if HYBRID and not hasattr(t, "hybrid"):
            raise Skip("where cgroup 2 is has no part in it")
        if not words and elsewhere(t):
            raise Skip(elsewhere(t))
        t(w)
        result = "ok"
    except Skip as e:
        result, why = "skip", str(e)
    except Exception as e:  # a test's failure, whatever it is, is this test's
        result, why = "not ok", str(e) if isinstance(e, Failure) else traceback.format_exc()
    if w.in_force != POLICY:
        w.policy(POLICY)
        systemctl("reload", "keygated", ok=None)
    print("%-6s %s (%.1f s)%s" % (result, t.__name__, time.monotonic() - t0,
                                  "  " + why if why else ""), flush=True)
    return result


def main(words):
    w = Service()
    build(w)
    w.open_before = [local_opens(a) for a in LOCAL]
    ready()
    # Not all of the boot: that waits for this.
    wait_for("the network", lambda: show("network.target", "ActiveState") == "active", 120)
    results = [one(w, t, words) for t in tests if not words or any(x in t.__name__ for x in words)]
    if "not ok" in results:
        print(run("journalctl", "-b", "--no-pager", "-n", "150", ok=None).stdout.decode())
    w.close()
    print("%d passed, %d failed, %d skipped" % tuple(map(results.count, ("ok", "not ok", "skip"))))
    return 1 if "not ok" in results or not results else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
