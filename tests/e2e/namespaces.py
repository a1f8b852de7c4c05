# SPDX-License-Identifier: Apache-2.0
"""Applications in network namespaces of their own, made by ip-netns, unshare and podman: served on
their first connection, refused when keygated is not there, and free to end.

Knows the test world. The destination's ports are main.py's (good, swapped, banner).
"""
import contextlib
import glob
import itertools
import json
import os
import shutil
import signal
import subprocess
import time

from suite import Skip, canary, check, test, unguarded, url
from world import PINS, V4, V6, run, wait_for

port = None  # main.PORT
numbers = itertools.count(1)

CONNECT = """
import socket, sys
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
"""

# As fast as a program can be: a namespace, its loopback device, a gated connect.
AT_ONCE = """
import ctypes, fcntl, socket, struct, sys
s = ctypes.CDLL(None)
if s.unshare(0x40000000):
    sys.exit("no namespace")
u = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
fcntl.ioctl(u, 0x8914, struct.pack("16sh22x", b"lo", 0x41))
s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 20)
"""


def inside(name, *argv, **kw):
    return run("ip", "netns", "exec", name, *argv, **kw)


def curl(name, host, port, *argv, path="/", ok=(0,), limit=60):
    return inside(name, "curl", "-sS", "--max-time", limit, *argv, url(host, port, path), ok=ok)


class Space:
    """A namespace with a way to the destination through this host, and a capture of that way."""

    def __init__(self, w):
        self.w, self.n = w, next(numbers)
        self.name, self.dev = "space%d" % self.n, "sp%d" % self.n
        run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        run("ip", "netns", "add", self.name)
        w.namespaces.append(self.name)
        run("ip", "link", "add", self.dev, "type", "veth", "peer", "name", "eth0", "netns",
            self.name)
        a = "10.80.%d." % self.n
        b = "fd80:%d::" % self.n
        run("ip", "addr", "add", a + "1/24", "dev", self.dev)
        run("ip", "addr", "add", b + "1/64", "dev", self.dev, "nodad")
        run("ip", "link", "set", self.dev, "up")
        for argv in (["link", "set", "lo", "up"], ["addr", "add", a + "2/24", "dev", "eth0"],
                     ["addr", "add", b + "2/64", "dev", "eth0", "nodad"],
                     ["link", "set", "eth0", "up"], ["route", "add", "default", "via", a + "1"],
                     ["-6", "route", "add", "default", "via", b + "1"]):
            run("ip", "-n", self.name, *argv)
        for argv in (["route", "replace", a + "0/24", "via", "10.77.0.1"],
                     ["-6", "route", "replace", b + "/64", "via", "fd77::1"]):
            run("ip", "-n", "dst", *argv)
        self.log, self.pcap = w.path(self.dev + ".log"), w.path(self.dev + ".pcap")
        self.capture = w.start("tcpdump", "-i", self.dev, "-U", "-s", "0", "-w", self.pcap,
                               log=self.dev + ".log")
        wait_for("tcpdump", lambda: "listening on" in open(self.log).read())

    def delete(self):
        self.w.stop(self.capture)
        run("ip", "netns", "del", self.name)
        self.w.namespaces.remove(self.name)

    def on_wire(self, word):
        """On its own wire, or on the destination's."""
        marker = b"marker-of-" + canary()
        inside(self.name, "/usr/bin/python3", "-c", "import socket, sys; socket.socket(socket."
               "AF_INET, socket.SOCK_DGRAM).sendto(sys.argv[1].encode(), ('%s', 33333))" % V4,
               marker.decode())
        seen = lambda what: what in open(self.pcap, "rb").read()
        wait_for("the marker", lambda: seen(marker))
        return seen(word) or self.w.on_wire(word)


@contextlib.contextmanager
def space(w):
    s = Space(w)
    try:
        yield s
    finally:
        if s.name in w.namespaces:
            s.delete()


def known(w):
    return w.keygate("status")[1]["namespaces"]


def entry(w, inode):
    return next((e for e in known(w)["known"] if e["inode"] == inode), None)


def inode_of(name):
    return os.stat("/run/netns/" + name).st_ino


def audited(w, event, inode):
    with open(os.path.join(w.state, "audit.jsonl")) as f:
        return any(e["event"] == event and e["inode"] == inode for e in map(json.loads, f)
                   if e["event"].startswith("namespace-"))


@test
def namespace_is_served(w):
    with space(w) as s:
        for host in (V4, V6):
            word = canary()
            p = curl(s.name, host, port["good"], "--data-binary", word.decode(), path="/upload")
            check(p.stdout == b"stored\n", "unexpected answer %r" % p.stdout)
            code, verdict, bad = w.refusal(host, port["good"])
            check((code, verdict, bad) == (0, "pass", []), "verdict %r" % ((code, verdict, bad),))
            check(not s.on_wire(word), "the canary is on the wire in clear")
        e = entry(w, inode_of(s.name))
        check(e and e["served"] and e["reason"] is None and e["owner"] == 0, "status: %r" % e)
        check(audited(w, "namespace-served", e["inode"]), "not audited")
        # The capture could see it.
        word = canary()
        curl(s.name, V4, 9999, path="/" + word.decode(), ok=None)
        check(s.on_wire(word), "a plain request is not in the capture")


@test
def namespace_swapped_is_refused(w):
    with space(w) as s:
        for host in (V4, V6):
            word = canary()
            p = curl(s.name, host, port["swapped"], "--data-binary", word.decode(),
                     path="/upload", ok=None)
            check(p.returncode != 0, "curl got an answer: %r" % p.stdout)
            _, verdict, bad = w.refusal(host, port["swapped"])
            check((verdict, bad) == ("fail", ["policy.measurement"]), "%s %s" % (verdict, bad))
            check(not s.on_wire(word), "the canary is on the wire in clear")


@test
def namespace_session_is_seen_by_the_kernel(w):
    """sock_diag knows the sockets of one namespace only: keygated asks in the right one."""
    with space(w) as s:
        p = subprocess.Popen(["ip", "netns", "exec", s.name, "/usr/bin/python3", "-c", CONNECT +
                              "\ninput()", V4, str(port["banner"])], stdin=subprocess.PIPE)
        try:
            mine = lambda: [x for x in w.keygate("sessions")[1]["sessions"]
                            if x["state"] == "live" and x["app"]["pid"] == p.pid]
            wait_for("the session", mine, 60)
            one = mine()[0]
            check(one["protected"] and one["kernel_tls"]["tx"] == "software", "session %r" % one)
            # Revoked, its socket is destroyed, in that namespace too.
            w.keygate("revoke", str(one["id"]))
            left = lambda: inside(s.name, "ss", "-Htn", "state", "established", "dst",
                                  V4).stdout
            wait_for("the end of its socket", lambda: not left())
        finally:
            p.communicate(b"\n")


def taken(p):
    """keygated took the connection. These have no way to the destination, so it ends at once."""
    if p.returncode == 0 or b"ConnectionResetError" in p.stderr:
        return True
    check(b"ConnectionRefusedError" in p.stderr, "connect: %r" % p.stderr)
    return False


@test
def namespaces_are_served_on_the_first_connect(w, rounds=20):
    """However they are made. What comes before keygated is refused, so it is counted."""
    watch = known(w)["watch"]
    served = {"ip netns": 0, "unshare": 0, "at once": 0}
    for _ in range(rounds):
        name = "quick%d" % next(numbers)
        run("ip", "netns", "add", name)
        try:
            run("ip", "-n", name, "link", "set", "lo", "up")
            p = inside(name, "/usr/bin/python3", "-c", CONNECT, V4, port["good"], ok=None)
            served["ip netns"] += taken(p)
        finally:
            run("ip", "netns", "del", name)
        p = run("unshare", "-n", "sh", "-c", "ip link set lo up; exec /usr/bin/python3 -c '%s' %s %d"
                % (CONNECT, V4, port["good"]), ok=None)
        served["unshare"] += taken(p)
        p = run("/usr/bin/python3", "-c", AT_ONCE, V4, port["good"], ok=None)
        served["at once"] += taken(p)
    print("       of %d each, served on the first connect (watch %s): %r" % (rounds, watch, served))
    check(served["ip netns"] == rounds, "refused: %r" % served)
    check(not watch or served["unshare"] == rounds, "refused: %r" % served)


@test
@unguarded
def namespaces_are_served_without_the_watch(w, rounds=10):
    """As on a kernel that does not let it in: by mounts, by their first socket; at the latest the
    second time."""
    for pin in glob.glob(PINS + "/link*_kg_netns_*"):
        os.unlink(pin)
    first = {"ip netns": 0, "unshare": 0}
    try:
        for _ in range(rounds):
            name = "slow%d" % next(numbers)
            run("ip", "netns", "add", name)
            try:
                run("ip", "-n", name, "link", "set", "lo", "up")
                p = inside(name, "/usr/bin/python3", "-c", CONNECT, V4, port["good"], ok=None)
                first["ip netns"] += taken(p)
            finally:
                run("ip", "netns", "del", name)
            once = "/usr/bin/python3 -c '%s' %s %d" % (CONNECT, V4, port["good"])
            p = run("unshare", "-n", "sh", "-c", "ip link set lo up; %s && exit 0; sleep 1; exec %s" %
                    (once, once), ok=None)
            check(p.returncode == 0 or p.stderr.count(b"ConnectionRefusedError") < 2,
                  "refused for the second time: %r" % p.stderr)
            first["unshare"] += b"ConnectionRefusedError" not in p.stderr
    finally:
        w.stop(w.daemon)
        w.gate()
    print("       of %d each, served on the first connect: %r" % (rounds, first))
    check(first["ip netns"] == rounds, "refused: %r" % first)


def released(w, inode):
    return not entry(w, inode) and not any(
        os.stat(p).st_ino == inode for p in descriptors(w))


def descriptors(w):
    for pid in [r["pid"] for r in w.keygate("status")[1]["roles"]]:
        for fd in os.listdir("/proc/%d/fd" % pid):
            try:
                if os.readlink("/proc/%d/fd/%s" % (pid, fd)).startswith("net:"):
                    yield "/proc/%d/fd/%s" % (pid, fd)
            except OSError:
                pass


@test
def namespace_that_ends_is_free(w):
    s = Space(w)
    inode = inode_of(s.name)
    curl(s.name, V4, port["good"])
    # A process in it keeps it, as it would without keygated.
    p = subprocess.Popen(["ip", "netns", "exec", s.name, "sleep", "600"])
    wait_for("the process", lambda: os.stat("/proc/%d/ns/net" % p.pid).st_ino == inode)
    s.delete()
    time.sleep(8)
    check(entry(w, inode) and entry(w, inode)["served"], "given up while a process is in it")
    check(os.path.exists("/sys/class/net/" + s.dev), "the device is gone too early")
    t0 = time.monotonic()
    p.kill()
    p.wait()
    # Its end of the pair goes with the namespace, and takes this one along.
    wait_for("the device's end", lambda: not os.path.exists("/sys/class/net/" + s.dev), 15)
    took = time.monotonic() - t0
    wait_for("keygated to forget it", lambda: released(w, inode))
    check(audited(w, "namespace-released", inode), "not audited")
    print("       free %.1f s after its last process" % took)


@test
def namespace_is_noticed_in_time_without_events(w):
    """At start: what is there already; the mounts, and the processes without one."""
    with space(w) as s:
        p = subprocess.Popen(["unshare", "-n", "sh", "-c", "ip link set lo up; exec sleep 600"])
        try:
            wait_for("the process", lambda: open("/proc/%d/comm" % p.pid).read() == "sleep\n")
            w.stop(w.daemon)
            w.gate()
            for inode in (inode_of(s.name), os.stat("/proc/%d/ns/net" % p.pid).st_ino):
                e = entry(w, inode)
                check(e and e["served"], "status: %r" % e)
            curl(s.name, V6, port["good"])
        finally:
            p.kill()
            p.wait()


@test
def namespace_without_keygated_is_refused(w):
    with space(w) as s:
        curl(s.name, V4, port["good"])
        w.daemon.send_signal(signal.SIGKILL)
        w.daemon.wait()
        word = canary()
        for host in (V4, V6):
            p = curl(s.name, host, port["good"], "--data-binary", word.decode(), ok=None)
            check(p.returncode == 7, "curl: exit %d, %r" % (p.returncode, p.stderr))
            p = inside(s.name, "/usr/bin/python3", "-c", CONNECT, host, port["good"], ok=None)
            check(b"ConnectionRefusedError" in p.stderr, "connect: %r" % p.stderr)
        check(not s.on_wire(word), "the canary is on the wire in clear")
        w.gate()
        curl(s.name, V4, port["good"])


@test
def namespace_without_loopback_is_refused(w):
    with space(w) as s:
        run("ip", "-n", s.name, "link", "set", "lo", "down")
        # Its way out is the default route now; what takes it is dropped.
        p = curl(s.name, V4, port["good"], ok=None, limit=5)
        check(p.returncode != 0, "curl got an answer: %r" % p.stdout)
        run("ip", "-n", s.name, "link", "set", "lo", "up")
        curl(s.name, V4, port["good"])


# -------------------------------------------------------------------- containers

class Podman:
    """Containers from a directory; nothing is kept, nothing is fetched."""

    def __init__(self, w):
        self.root = w.path("rootfs")
        os.makedirs(self.root + "/bin", exist_ok=True)
        for d in ("proc", "sys", "dev", "tmp", "etc", "run"):
            os.makedirs(os.path.join(self.root, d), exist_ok=True)
        run("cp", "/bin/busybox", self.root + "/bin/busybox")
        for name in ("sh", "wget", "nc", "sleep", "cat"):
            if not os.path.lexists(self.root + "/bin/" + name):
                os.symlink("busybox", self.root + "/bin/" + name)
        os.makedirs("/run/kg-podman", exist_ok=True)
        self.argv = ["podman", "--root", "/run/kg-podman/root", "--runroot", "/run/kg-podman/run",
                     "--storage-driver", "vfs", "--cgroup-manager", "cgroupfs",
                     "--events-backend", "none"]

    def run(self, *argv, options=(), ok=(0,)):
        return run(*self.argv, "run", "--rm", "--cgroups", "disabled", "--security-opt",
                   "seccomp=unconfined", "--log-driver", "none", "--no-hosts", *options, "--rootfs",
                   self.root, *argv, ok=ok, timeout=300)


def podman(w):
    lacking = [x for x in ("podman", "crun") if not shutil.which(x)]
    if lacking:
        raise Skip("%s is not installed" % " and ".join(lacking))
    if not hasattr(w, "podman"):
        run("sysctl", "-qw", "net.ipv4.ip_forward=1")
        w.podman = Podman(w)
    return w.podman


@test
def podman_container_is_served(w):
    p = podman(w)
    word = canary()
    got = p.run("wget", "-q", "-O", "-", "--post-data", word.decode(), url(V4, port["good"],
                                                                        "/upload"))
    check(got.stdout == b"stored\n", "unexpected answer %r %r" % (got.stdout, got.stderr))
    check(not w.on_wire(word), "the canary is on the wire in clear")


@test
def podman_container_to_a_swapped_service_is_refused(w):
    p = podman(w)
    word = canary()
    got = p.run("wget", "-q", "-O", "-", "--post-data", word.decode(),
                url(V4, port["swapped"], "/upload"), ok=None)
    check(got.returncode != 0 and not got.stdout, "it got an answer: %r" % got.stdout)
    check(not w.on_wire(word), "the canary is on the wire in clear")


@test
def podman_leaves_nothing_behind(w):
    podman(w)
    gone = lambda: not [e for e in known(w)["known"] if e["inode"] in mine()]
    mine = lambda: {os.stat(p).st_ino for p in descriptors(w)} - {os.stat(
        "/proc/self/ns/net").st_ino} - {inode_of(n) for n in w.namespaces
                                        if os.path.exists("/run/netns/" + n)}
    wait_for("the containers' namespaces to end", lambda: not mine() or gone(), 30)
    check(not mine(), "descriptors of %r are left" % mine())
