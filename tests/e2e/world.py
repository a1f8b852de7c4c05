# SPDX-License-Identifier: Apache-2.0
"""The test world: a destination in a network namespace of its own behind a veth pair, a simulated
platform, a ledger with two witnesses, a capture of the wire, and keygated on this side.

Knows how to make and break these; knows no test.
"""
import glob
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

BIN = os.path.abspath(os.environ.get("KEYGATE_BIN", "build/out/bin"))
V4, V6 = "10.77.0.2", "fd77::2"
ORIGIN = "log.test/e2e"


class Failure(Exception):
    pass


def run(*argv, ok=(0,), timeout=120, **kw):
    """Runs a command; returns its CompletedProcess. An exit status outside ok is a failure."""
    p = subprocess.run([str(a) for a in argv], stdin=kw.pop("stdin", subprocess.DEVNULL),
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, **kw)
    if ok is not None and p.returncode not in ok:
        raise Failure("%s: exit %d\n%s%s" % (" ".join(map(str, argv)), p.returncode,
                                             p.stdout.decode(errors="replace"),
                                             p.stderr.decode(errors="replace")))
    return p


def out(*argv, **kw):
    return run(*argv, **kw).stdout.decode().strip()


def tool(name):
    return os.path.join(BIN, name)


def made(name):
    """What tests/e2e/run made for the guests."""
    return os.path.join(os.environ["KEYGATE_E2E_MADE"], name)


PINS = "/sys/fs/bpf/keygate"


def pin(name):
    """What is pinned under this name, whatever the version that pinned it."""
    found = glob.glob("%s/*[0-9]_%s" % (PINS, name))
    if len(found) != 1:
        raise Failure("pinned as %s: %r" % (name, found))
    return found[0]


def wait_for(what, fn, seconds=20.0):
    end = time.monotonic() + seconds
    while True:
        asked = time.monotonic()
        if fn():
            return
        now = time.monotonic()
        if now > end:
            raise Failure("timed out waiting for " + what)
        # To ask may be work; what is waited for gets as much of the processor.
        time.sleep(min(1, max(0.05, now - asked)))


def inside(ns):
    """What to put before a command that is to run in this network namespace. It mounts nothing, as
    `ip netns exec` does: under emulation that takes longer than most commands."""
    return ["nsenter", "--net=/run/netns/" + ns] if ns else []


holders = {}  # network namespace -> a process that is in it


def listening(port, ns=None):
    """Is there a listener on the port? Asked often, so no command is run."""
    for name in ("tcp", "tcp6"):
        with open("/proc/%s/net/%s" % (holders[ns].pid if ns else "self", name)) as f:
            next(f)
            if any(w[1].endswith(":%04X" % port) and w[3] == "0A" for w in map(str.split, f)):
                return True
    return False


class World:
    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="keygate-e2e.")
        os.chmod(self.dir, 0o755)  # the log's mirror in it is read by an unprivileged role
        self.procs = []
        self.attesters = {}
        self.daemon = None
        self.capture = None
        self.namespaces = ["dst"]
        self.run_dir = self.path("run")
        self.state = self.path("state")

    def path(self, *names):
        return os.path.join(self.dir, *names)

    def write(self, name, text, mode=0o644):
        p = self.path(name)
        os.makedirs(os.path.dirname(p), exist_ok=True)
        with open(p, "w") as f:
            f.write(text)
        os.chmod(p, mode)
        return p

    # ------------------------------------------------------------ processes

    def start(self, *argv, ns=None, log=None):
        pre = inside(ns)
        f = open(self.path(log or "proc%d.log" % len(self.procs)), "ab")
        p = subprocess.Popen(pre + [str(a) for a in argv], stdin=subprocess.DEVNULL, stdout=f,
                             stderr=f)
        f.close()
        self.procs.append(p)
        return p

    @staticmethod
    def stop(p, sig=signal.SIGTERM, seconds=10):
        if p.poll() is None:
            p.send_signal(sig)
            try:
                p.wait(seconds)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()

    def close(self):
        for p in reversed(self.procs):
            self.stop(p)
        for ns in self.namespaces:
            run("ip", "netns", "del", ns, ok=None)
        shutil.rmtree(self.dir, ignore_errors=True)

    # -------------------------------------------------------------- network

    def network(self):
        run("ip", "netns", "add", "dst")
        own = os.readlink("/proc/self/ns/net")
        p = holders["dst"] = self.start("sleep", "infinity", ns="dst")
        wait_for("the namespace", lambda: os.readlink("/proc/%d/ns/net" % p.pid) != own)
        run("ip", "link", "add", "kg0", "type", "veth", "peer", "name", "kg1", "netns", "dst")
        run("ip", "addr", "add", "10.77.0.1/24", "dev", "kg0")
        run("ip", "addr", "add", "fd77::1/64", "dev", "kg0", "nodad")
        run("ip", "link", "set", "kg0", "up")
        for a in (["addr", "add", V4 + "/24", "dev", "kg1"],
                  ["addr", "add", V6 + "/64", "dev", "kg1", "nodad"],
                  ["link", "set", "kg1", "up"], ["link", "set", "lo", "up"]):
            run("ip", "-n", "dst", *a)
        run("ip", "link", "set", "lo", "up")

    def capture_start(self):
        self.pcap = self.path("wire.pcap")
        self.capture = self.start("tcpdump", "-i", "kg0", "-U", "-s", "0", "-B", "16384", "-w",
                                  self.pcap, log="tcpdump.log")
        wait_for("tcpdump", lambda: "listening on" in open(self.path("tcpdump.log")).read())

    def capture_again(self):
        """From here on in a file of its own."""
        self.stop(self.capture)
        os.unlink(self.path("tcpdump.log"))
        self.capture_start()

    def wire(self):
        """All that was captured so far, up to a marker that is sent now."""
        self.on_wire(b"")
        with open(self.pcap, "rb") as f:
            return f.read()

    def on_wire(self, needle):
        """True if these bytes were in any packet so far: up to a marker that is sent now."""
        self.marks = getattr(self, "marks", 0) + 1
        marker = b"marker-%d-of-the-capture" % self.marks
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(marker, (V4, 33333))
        wait_for("the marker", lambda: self.captured(marker))
        return self.captured(needle)

    def captured(self, needle):
        overlap = b""
        with open(self.pcap, "rb") as f:
            while True:
                chunk = f.read(1 << 20)
                if not chunk:
                    return False
                if needle in overlap + chunk:
                    return True
                overlap = chunk[-len(needle):]

    # ------------------------------------------------------------- services

    def web(self, port=8080):
        root = self.path("www")
        os.makedirs(root, exist_ok=True)
        self.write("www/index.html", "hello from the attested service\n")
        conf = self.write("nginx.conf", """
daemon off; worker_processes 1; pid %s; error_log %s; user root;
events { worker_connections 1024; }
http {
	access_log off; client_body_temp_path %s; proxy_temp_path %s; fastcgi_temp_path %s;
	uwsgi_temp_path %s; scgi_temp_path %s; client_max_body_size 1g;
	server {
		listen 127.0.0.1:%d; root %s;
		location /upload { return 200 "stored\\n"; }
	}
}
""" % (self.path("nginx.pid"), self.path("nginx.err"), *[self.path(n) for n in "abcde"], port, root))
        self.start("nginx", "-c", conf, ns="dst", log="nginx.log")
        wait_for("nginx", lambda: listening(port, "dst"))
        # The binary that stands for the service's measured code.
        self.binary = self.path("service-1.0")
        shutil.copy("/usr/sbin/nginx", self.binary)

    def platform(self):
        self.sim = self.path("tee")
        shutil.copytree(made("tee-snp"), self.sim)

    def measure(self, path):
        return out(tool("keygate-attester"), "measure", path)

    def attester(self, port, forward=8080, sim=None, measured=None, leaf=None, proof=None,
                 program=None, extra=()):
        if port in self.attesters and self.attesters[port].poll() is None:
            raise Failure("port %d is taken" % port)
        argv = list(program) if program else [tool("keygate-attester"), "serve"]
        argv += ["--listen", "[::]:%d" % port, "--forward", "127.0.0.1:%d" % forward,
                 "--simulate-tee", sim or self.sim, "--measure", measured or self.binary]
        if leaf:
            argv += ["--leaf", leaf]
        if proof:
            argv += ["--proof", proof]
        p = self.start(*argv, *extra, ns="dst", log="attester-%d.log" % port)
        self.attesters[port] = p
        wait_for("attester on port %d" % port, lambda: listening(port, "dst"))
        return p

    # --------------------------------------------------------------- ledger

    def ledger(self, name="log", origin=ORIGIN, key=None):
        log = Ledger(self, name, origin, key)
        return log

    # --------------------------------------------------------------- policy

    def policy(self, text, config=""):
        self.in_force = (text, config)
        os.makedirs(self.path("etc/policy.d"), exist_ok=True)
        self.write("etc/keygate.conf", config or "default-action = allow\n")
        self.write("etc/policy.d/10-test.conf", text.replace("@WORLD@", self.dir))

    # --------------------------------------------------------------- daemon

    def gate(self, program=None):
        self.gate_begins(program)
        self.gate_is_up()

    def gate_begins(self, program=None):
        os.makedirs(self.state, exist_ok=True)
        os.makedirs(self.run_dir, exist_ok=True)
        self.daemon = self.start(program or tool("keygated"), "--config", self.path("etc/keygate.conf"),
                                 "--state", self.state, "--run", self.run_dir, "--user", "nobody",
                                 log="keygated.log")

    def gate_is_up(self):
        wait_for("keygated", lambda: self.daemon.poll() is not None or self.ready(), 120)
        if self.daemon.poll() is not None:
            raise Failure("keygated ended:\n" + open(self.path("keygated.log")).read())

    def ready(self):
        p = run(tool("keygate"), "status", "--json", "--socket", self.socket, ok=None)
        return p.returncode == 0 and json.loads(p.stdout).get("armed") is True

    @property
    def socket(self):
        return os.path.join(self.run_dir, "control.sock")

    def keygate(self, *argv, ok=(0,)):
        p = run(tool("keygate"), *argv, "--json", "--socket", self.socket, ok=ok)
        try:
            return p.returncode, json.loads(p.stdout)
        except ValueError:
            raise Failure("keygate %s: no JSON: %r %r" % (argv, p.stdout, p.stderr))

    def refusing(self, host, port):
        """Overall result and the checks that refused in the destination's last verdict."""
        code, j = self.keygate("explain", "[%s]:%d" % (host, port) if ":" in host else
                               "%s:%d" % (host, port), ok=(0, 2, 3))
        v = (j["last"] or {}).get("verdict") or {}
        return code, v.get("verdict"), [c for c in v.get("checks", [])
                                        if c["status"] in ("fail", "unavailable")]

    def refusal(self, host, port):
        """The same, with the checks' ids."""
        code, verdict, checks = self.refusing(host, port)
        return code, verdict, [c["id"] for c in checks]


class Ledger:
    """A log, made and cosigned by the tools that a person would use."""

    def __init__(self, world, name, origin, key=None):
        self.w, self.origin = world, origin
        self.dir = world.path(name)
        self.key = key or world.path(name + ".key")
        argv = ["create", self.dir, "--origin", origin, "--key", self.key]
        self.vkey = out(tool("keygate-log"), *argv).splitlines()[-1]
        self.leaves = 0

    def statement(self, measurement, version="1.0", name="service"):
        p = self.w.path("%s-%s-%d.leaf" % (os.path.basename(self.dir), version, self.leaves))
        with open(p, "wb") as f:
            f.write(run(tool("keygate-log"), "statement", "--snp-measurement", measurement,
                        "--subject", name, "--version", version).stdout)
        return p

    def append(self, *leaves):
        run(tool("keygate-log"), "append", self.dir, "--key", self.key, *leaves)
        self.leaves += len(leaves)

    def publish(self):
        run(tool("keygate-log"), "checkpoint", self.dir, "--key", self.key)

    def cosign(self, witnesses, at=None):
        for w in witnesses:
            run(tool("keygate-log"), "cosign", self.dir, "--key", w.key, "--name", w.name, "--state",
                w.state_of(self.dir), *(["--at", at] if at else []))

    def copy(self, name):
        """The directory as it stands, to be cosigned otherwise."""
        other = object.__new__(Ledger)
        other.__dict__.update(self.__dict__)
        other.dir = self.w.path(name)
        shutil.copytree(self.dir, other.dir)
        return other

    def prove(self, leaf, name):
        p = self.w.path(name)
        with open(p, "wb") as f:
            f.write(run(tool("keygate-log"), "prove", self.dir, "--leaf", leaf).stdout)
        return p


class Witness:
    def __init__(self, world, name):
        self.w, self.name = world, name
        self.key = world.path(name.replace("/", "_") + ".key")
        self.vkey = out(tool("keygate-log"), "witness-key", self.key, "--name", name).splitlines()[-1]

    def state_of(self, log_dir):
        # One state a directory: a witness that two forks of a log both reach is what the
        # equivocation cases need.
        return self.key + "." + os.path.basename(log_dir) + ".state"


def tlog_policy(log_vkeys, witnesses, quorum):
    lines = ["log " + k for k in log_vkeys]
    lines += ["witness w%d %s" % (i, w.vkey) for i, w in enumerate(witnesses)]
    lines += ["group g %d %s" % (quorum, " ".join("w%d" % i for i in range(len(witnesses)))),
              "quorum g"]
    return "\n".join(lines) + "\n"
