# SPDX-License-Identifier: Apache-2.0
"""The bypass suite: every way that ways.c knows, tried against gated destinations from the host and
from a network namespace, in every state that keygated can be in. No word that was tried may be on
the destination's wire in clear; disarmed, each has to be there, or the suite could not fail.

Knows the test world; what a way does is ways.c's affair.
"""
import collections
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import threading
import time

from suite import check, test, unguarded
from world import BIN, PINS, Failure, V4, V6, inside, out, pin, run, tool, wait_for

WAYS = os.path.abspath(os.path.join(BIN, "../tests/ways"))
# keygated with another GATE_ABI.
OTHER = os.path.abspath(os.path.join(BIN, "../tests/keygated-abi"))

# A frame that is written to the device passes no hook on sockets: docs/interception.md tells the
# administrator to keep CAP_NET_RAW from what must not get past; and CAP_NET_ADMIN, for tunnels.
BELOW = {"packet-socket"}

# Of these, the last forty bytes are what fits.
SHORT = {"raw-tcp-options": 40}

rounds = itertools.count()


class Tried:
    """One round of all ways: what the kernel answered to each, and the word that it carried."""

    def __init__(self, w, host, port, ns=None, ways=()):
        self.w, self.word = w, "w%d" % next(rounds)
        p = run(*inside(ns), WAYS, host, port, self.word, *ways, timeout=300)
        self.answers = dict(line.split(" ", 1) for line in p.stdout.decode().splitlines())
        check(self.answers, "nothing was tried")

    def bytes_of(self, way):
        word = ("%s-%s-." % (self.word, way)).encode()
        return word[-SHORT.get(way, len(word)):]

    def leaked(self):
        wire = self.w.wire()
        return {way for way in self.answers if self.bytes_of(way) in wire}


def prepare(w):
    """Once: the namespace, services for protocols that need a peer, sockets' right to ping."""
    if getattr(w, "bypass_ready", False):
        return
    w.bypass_ready = True
    run("sysctl", "-qw", "net.ipv4.ping_group_range=0 0", "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1", "net.ipv4.tcp_fastopen=1")
    for m in ("sctp", "dccp_ipv4", "dccp_ipv6"):
        run("modprobe", m, ok=None)
    run("ip", "netns", "add", "app")
    w.namespaces.append("app")
    run("ip", "link", "add", "kg2", "type", "veth", "peer", "name", "kg0", "netns", "app")
    run("ip", "addr", "add", "10.78.0.1/24", "dev", "kg2")
    run("ip", "addr", "add", "fd78::1/64", "dev", "kg2", "nodad")
    run("ip", "link", "set", "kg2", "up")
    for a in (["link", "set", "lo", "up"], ["addr", "add", "10.78.0.2/24", "dev", "kg0"],
              ["addr", "add", "fd78::2/64", "dev", "kg0", "nodad"], ["link", "set", "kg0", "up"],
              ["route", "add", "default", "via", "10.78.0.1"],
              ["-6", "route", "add", "default", "via", "fd78::1"]):
        run("ip", "-n", "app", *a)
    inode = os.stat("/run/netns/app").st_ino
    wait_for("the namespace to be served", lambda: any(
        e["served"] for e in w.keygate("status")[1]["namespaces"]["known"] if e["inode"] == inode))
    # The stops of source routes, and the way back.
    for a in (["addr", "add", "10.77.0.10/24", "dev", "kg1"],
              ["addr", "add", "fd77::a/64", "dev", "kg1", "nodad"],
              ["route", "add", "10.78.0.0/24", "via", "10.77.0.1"],
              ["-6", "route", "add", "fd78::/64", "via", "fd77::1"]):
        run("ip", "-n", "dst", *a)
    w.start("/usr/bin/python3", "-c", SINK, ns="dst", log="sink.log")
    wait_for("the sinks", lambda: "ready" in open(w.path("sink.log")).read())


# Peers for what sends nothing before its peer has answered.
SINK = """
import socket, struct, time
keep = []
for kind, proto in ((socket.SOCK_STREAM, 132), (socket.SOCK_SEQPACKET, 132), (6, 33)):
    try:
        s = socket.socket(socket.AF_INET6, kind, proto)
        if proto == 33:
            s.setsockopt(269, 2, struct.pack(">I", 42))
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("::", 8443 if kind != socket.SOCK_SEQPACKET else 8444))
        s.listen(50)
        keep.append(s)
    except OSError as e:
        print("no", kind, proto, e, flush=True)
print("ready", flush=True)
time.sleep(86400)
"""


def closed(w, tried):
    """Nothing of it is on the wire but what no hook can see."""
    leaked = tried.leaked()
    check(leaked <= BELOW, "on the wire in clear: %s; answers %s" %
          (sorted(leaked - BELOW), {x: tried.answers[x] for x in leaked}))


def places():
    for ns in (None, "app"):
        for host in (V4, V6):
            yield host, ns


@test
def bypass_while_armed(w):
    prepare(w)
    for host, ns in places():
        w.capture_again()
        closed(w, Tried(w, host, 8443, ns))
        closed(w, Tried(w, host, 8444, ns, ("sctp-message",)))


@test
def bypass_of_what_is_denied(w):
    prepare(w)
    w.capture_again()
    for host, ns in places():
        closed(w, Tried(w, host, 7000, ns))


@test
def bypass_with_the_daemon_dead(w):
    prepare(w)
    w.daemon.send_signal(signal.SIGKILL)
    w.daemon.wait()
    w.capture_again()
    for host, ns in places():
        closed(w, Tried(w, host, 8443, ns))
    w.gate()


class Meddler:
    """Does something to keygated again and again while others try."""

    def __init__(self, act):
        self.stop, self.error, self.n = threading.Event(), None, 0
        self.act = act
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.stop.is_set():
                self.act()
                self.n += 1
        except Exception as e:  # told by who started it
            self.error = e

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        self.thread.join(120)


def bypass_while(w, act, least):
    prepare(w)
    w.capture_again()
    turns = itertools.cycle(places())
    with Meddler(act) as m:
        end = time.monotonic() + 120
        while m.n < least and not m.error and time.monotonic() < end:
            host, ns = next(turns)
            closed(w, Tried(w, host, 8443, ns))
    check(not m.error, "keygated: %r" % m.error)
    check(m.n >= least, "%d times only" % m.n)


@test
def bypass_while_it_is_killed(w):
    def act():
        w.daemon.send_signal(signal.SIGKILL)
        w.daemon.wait()
        w.gate()
    bypass_while(w, act, 3)


def install(program):
    """In the place of keygated's, as a package manager does it: what runs runs on."""
    new = tool("keygated") + ".next"
    shutil.copy(program, new)
    os.rename(new, tool("keygated"))


@test
def bypass_while_it_is_upgraded(w):
    """Another binary takes the pinned programs over: the old one stops, and the new one starts."""
    def act():
        install(tool("keygated"))
        w.stop(w.daemon)
        w.gate()
    bypass_while(w, act, 3)


@test
def bypass_while_it_is_upgraded_to_other_maps(w):
    """One with another GATE_ABI, which can't have the pinned maps, and back again. Each is killed at a
    random moment of its start and started once more, every other time with the one before."""
    this, moments = w.path("keygated-this"), random.Random(7)
    shutil.copy(tool("keygated"), this)
    turns = itertools.cycle(((OTHER, OTHER), (this, OTHER), (this, this), (OTHER, this)))

    def act():
        first, second = next(turns)
        install(first)
        w.stop(w.daemon, moments.choice((signal.SIGTERM, signal.SIGKILL)))
        w.gate_begins()
        time.sleep(moments.uniform(0, 3))
        w.stop(w.daemon, signal.SIGKILL)
        install(second)
        w.gate()
        kinds = {p.split("_")[0] for p in os.listdir(PINS)}
        check(len(kinds) == 2, "pins of more than one: %r" % kinds)
    try:
        with Load() as load:
            bypass_while(w, act, 4)
            served = load.served
            wait_for("a connection that is served", lambda: load.served > served, 60)
        check(b"chaos-load" not in w.wire(), "the word is on the wire in clear")
    finally:
        install(this)
        w.stop(w.daemon)
        w.gate()


@test
def bypass_while_it_is_reloaded(w):
    bypass_while(w, lambda: w.keygate("reload"), 10)


@test
def bypass_by_a_move_between_cgroups(w):
    """A socket that was made in one cgroup, used in another; and one made at home."""
    prepare(w)
    w.capture_again()
    root = next(line.split()[1] for line in open("/proc/mounts") if line.split()[2] == "cgroup2")
    here, there = os.path.join(root, "kg-here"), os.path.join(root, "kg-there")
    os.makedirs(here, exist_ok=True)
    os.makedirs(there, exist_ok=True)
    word = b"moved-between-cgroups"
    code = """
import os, socket, sys
here, there, host, port, word = sys.argv[1:]
move = lambda to: open(to + "/cgroup.procs", "w").write(str(os.getpid()))
move(here)
s, u = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
move(there)
for act in (lambda: s.connect((host, int(port))), lambda: s.sendall(word.encode()),
            lambda: u.sendto(word.encode(), (host, int(port)))):
    try:
        act()
    except OSError:
        pass
"""
    run("/usr/bin/python3", "-c", code, here, there, V4, 8443, word.decode())
    check(word not in w.wire(), "the word is on the wire in clear")
    os.rmdir(here)
    os.rmdir(there)


# A name server that says one thing of every name: the addresses of its command line.
NAMES = """
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("10.77.0.2", 53))
print("ready", flush=True)
while True:
    q, peer = s.recvfrom(512)
    ttl, *says = open(sys.argv[1]).read().split()
    a = b"".join(b"\\xc0\\x0c\\0\\1\\0\\1" + int(ttl).to_bytes(4, "big") + b"\\0\\4" + socket.inet_aton(x)
                 for x in says)
    s.sendto(q[:2] + b"\\x81\\x80\\0\\1" + bytes([0, len(says)]) + bytes(4) + q[12:] + a, peer)
"""

# An application with a resolver of its own, which connects as soon as it is told where to.
RESOLVES = """
import socket, sys
name, word = sys.argv[1:]
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.settimeout(5)
s.sendto(b"\\x12\\x34\\1\\0\\0\\1" + bytes(6) + b"".join(bytes([len(x)]) + x.encode() for x in
         name.split(".")) + b"\\0\\0\\1\\0\\1", ("10.77.0.2", 53))
address = socket.inet_ntoa(s.recv(512)[-4:])
c = socket.create_connection((address, 9999), 20)
c.sendall(b"GET /%s HTTP/1.0\\r\\n\\r\\n" % word.encode())
print(c.recv(100))
"""


def name_server_says(w, says):
    """From now on: for how many seconds, and which addresses."""
    with open(w.path("names.says"), "w") as f:
        f.write(says)


def name_server(w, says="60 10.77.0.10"):
    """One that serves, and the policy that is there."""
    name_server_says(w, says)
    with open(w.path("names.log"), "w"):
        pass  # "ready" was said by the one before
    server = w.start("/usr/bin/python3", "-c", NAMES, w.path("names.says"), ns="dst",
                     log="names.log")
    wait_for("the name server", lambda: "ready" in open(w.path("names.log")).read())
    with open(w.path("etc/policy.d/10-test.conf")) as f:
        return server, f.read()


@test
def bypass_by_a_resolver_of_its_own(w):
    """keygated can't resolve the name; an application can, and connects at once."""
    prepare(w)
    w.capture_again()
    server, before = name_server(w)
    w.policy(before + """
destination "by-name" {
	name = {"late.keygate.test"}
	port = {"9999"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "e2e"
}
""")
    w.keygate("reload")
    try:
        for _ in range(2):
            word = "resolved-gated-%d" % next(rounds)
            p = run("/usr/bin/python3", "-c", RESOLVES, "late.keygate.test", word, ok=None)
            check(p.returncode != 0 and word.encode() not in w.wire(), "the word is in clear")
        log = open(os.path.join(w.state, "audit.jsonl")).read()
        check('"name-learned"' in log and "10.77.0.10" in log, "not audited")
    finally:
        w.policy(before)
        w.keygate("reload")
    # The policy names it no more: the word is there, so it could have been before.
    word = "resolved-ungated-%d" % next(rounds)
    run("/usr/bin/python3", "-c", RESOLVES, "late.keygate.test", word)
    check(word.encode() in w.wire(), "the word is not on the wire when nothing gates the name")
    w.stop(server)


def put(files):
    """{path: text}; without a text there is none."""
    for path, text in files.items():
        if text is None:
            os.unlink(path)
            continue
        with open(path, "w") as f:
            f.write(text)


@test
def bypass_by_an_address_that_comes_later(w):
    """The name gets another address; an application connects there, by the address alone."""
    prepare(w)
    w.capture_again()
    server, before = name_server(w, "5 10.77.0.9")
    files = {"/etc/resolv.conf": "nameserver 10.77.0.2\n",
             "/etc/hosts": "127.0.0.1 localhost\n10.77.0.11 pinned.keygate.test\n"}
    kept = {f: open(f).read() if os.path.exists(f) else None for f in files}
    put(files)
    connect = ("import socket, sys; s = socket.create_connection(('10.77.0.10', 9999), 5); "
               "s.sendall(b'GET /%s HTTP/1.0\\r\\n\\r\\n' % sys.argv[1].encode()); s.recv(1)")
    w.policy(before + """
destination "by-name" {
	name = {"moves.keygate.test", "pinned.keygate.test"}
	port = {"9999"}
	action = deny
}
""")

    def known(host="moves.keygate.test"):
        return [x for name in w.keygate("status")[1]["names"] for x in name["addresses"]
                if name["host"] == host]
    try:
        w.keygate("reload")
        check(known() == ["10.77.0.9"], "resolved to %s" % known())
        word = "moves-before-%d" % next(rounds)
        run("/usr/bin/python3", "-c", connect, word)
        check(word.encode() in w.wire(), "the word is not on the wire when nothing denies it")
        name_server_says(w, "5 10.77.0.10")
        wait_for("the other address", lambda: "10.77.0.10" in known(), 20)
        word = "moves-after-%d" % next(rounds)
        p = run("/usr/bin/python3", "-c", connect, word, ok=None)
        check(p.returncode != 0 and word.encode() not in w.wire(), "the word is in clear")
        # What /etc/hosts says of a name, no name server adds to.
        check(known("pinned.keygate.test") == ["10.77.0.11"],
              "pinned to %s" % known("pinned.keygate.test"))
    finally:
        put(kept)
        w.policy(before)
        w.keygate("reload")
    w.stop(server)


# A user with a network namespace and a name server of his own, which says what he likes.
FORGES = """
import socket, sys
name, address = sys.argv[1:]
s, u = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
s.bind(("127.0.0.1", 53))
u.settimeout(2)
u.sendto(b"\\x12\\x34\\1\\0\\0\\1" + bytes(6) + b"".join(bytes([len(x)]) + x.encode() for x in
         name.split(".")) + b"\\0\\0\\1\\0\\1", ("127.0.0.1", 53))
q, peer = s.recvfrom(512)
s.sendto(q[:2] + b"\\x81\\x80\\0\\1\\0\\1" + bytes(4) + q[12:] + b"\\xc0\\x0c\\0\\1\\0\\1\\0\\0\\0\\x3c"
         b"\\0\\4" + socket.inet_aton(address), peer)
try:
    print(len(u.recv(512)))
except OSError as e:
    print(e)
"""


@test
def bypass_by_a_forged_answer(w):
    """A name is open and its addresses are anybody's word; the destination itself is denied."""
    prepare(w)
    w.capture_again()
    server, before = name_server(w)
    refused = """
destination "by-address" {
	address = {"10.77.0.10"}
	port = {"9999"}
	action = deny
}
"""
    named = 'destination "by-name" {\n\tname = {"open.keygate.test"}\n\tport = {"9999"}\n'
    judged = '\ttee = {"snp"}\n\tanchor = {"sim"}\n\tledger = "e2e"\n'
    try:
        for action in ("allow", "monitor", "gate"):
            w.policy(before + named + "\taction = %s\n" % action +
                     (judged if action != "allow" else "") + "}\n" + refused)
            w.keygate("reload")
            word = "forged-%s-%d" % (action, next(rounds))
            p = run("/usr/bin/python3", "-c", RESOLVES, "open.keygate.test", word, ok=None)
            check(p.returncode != 0 and b"Connection refused" in p.stderr,
                  "not refused: %s" % p.stderr.decode())
            check(word.encode() not in w.wire(), "the word is in clear")
            run("unshare", "-Urn", "sh", "-c", 'ip link set lo up; exec /usr/bin/python3 -c "$@"',
                "sh", FORGES, "open.keygate.test", "10.77.0.10", ok=None)
            word = "forged-%s-%d" % (action, next(rounds))
            run("/usr/bin/python3", "-c", "import socket, sys; s = socket.create_connection("
                "('10.77.0.10', 9999), 5); s.sendall(sys.argv[1].encode())", word, ok=None)
            check(word.encode() not in w.wire(), "the word is in clear")
    finally:
        w.policy(before)
        w.keygate("reload")
    w.stop(server)


@test
def bypass_by_another_route(w):
    """The way to the destination changes under a connection that is gated, and for new ones."""
    prepare(w)
    w.capture_again()
    for route in (["10.77.0.2/32", "dev", "kg0", "src", "10.77.0.1"],
                  ["10.77.0.2/32", "via", "10.77.0.10", "dev", "kg0"]):
        run("ip", "route", "add", *route)
        try:
            closed(w, Tried(w, V4, 8443))
        finally:
            run("ip", "route", "del", *route)


def use_old(w, host, between):
    """Sockets that are connected while disarmed, and used after that. What was answered, by way, and
    the ways whose word is on the wire."""
    w.keygate("disarm")
    word = "old%d" % next(rounds)
    p = subprocess.Popen([WAYS, "old", host, "8443", word], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                         text=True)
    check(p.stdout.readline() == "ready\n", "no sockets")
    between()
    w.capture_again()
    answers = dict(x.split(" ", 1) for x in p.communicate("go\n", 60)[0].splitlines())
    wire = w.wire()
    return answers, {x for x in answers if ("%s-%s-." % (word, x)).encode() in wire}


@test
def bypass_by_an_old_socket(w):
    """Connected while disarmed, used when armed."""
    prepare(w)
    try:
        for host in (V4, V6):
            answers, seen = use_old(w, host, lambda: None)
            there = {x for x in answers if not answers[x].startswith("lacking")}
            check(seen == there, "disarmed, not on the wire: %s" % (there - seen))
            answers, seen = use_old(w, host, lambda: w.keygate("arm"))
            check(not seen, "on the wire in clear: %s" % seen)
            # Destroyed; a raw socket and SCTP are left to the packet hook.
            check(answers["old-udp"] == "refused EDESTADDRREQ", answers["old-udp"])
            check(answers["old-tcp"] == "refused ECONNABORTED", answers["old-tcp"])
    finally:
        w.keygate("arm")


TUNNELS = {
    "ipip": ("ipip", "192.0.2"), "gre": ("gre", "192.0.2"), "sit": ("sit", "fd79:"),
    "vxlan": ("vxlan id 7 dstport 4789 dev kg0", "192.0.2"),
}


def through_tunnel(w, ns, kind, local):
    """Sends a word to an open address, by a tunnel whose far end is gated. Is it on the wire?"""
    how, net = TUNNELS[kind]
    near, far = (net + ":1/64", net + ":2") if ":" in net else (net + ".1/24", net + ".2")
    ip = ["ip"] + (["-n", ns] if ns else [])
    word = "through-%s-%d-." % (kind, next(rounds))
    run(*ip, "link", "add", "kgt", "type", *how.split(), "local", local, "remote", V4)
    try:
        run(*ip, "addr", "add", near, "dev", "kgt", *(["nodad"] if ":" in near else []))
        run(*ip, "link", "set", "kgt", "up")
        if kind == "vxlan":
            run(*ip, "neigh", "add", far, "lladdr", "02:00:00:00:00:02", "dev", "kgt")
        code = "import socket,sys; socket.socket(%s, 2).sendto(sys.argv[1].encode(), (sys.argv[2], 9))"
        run(*inside(ns), "/usr/bin/python3", "-c", code % ("10" if ":" in far else "2"), word, far)
        return word.encode() in w.wire()
    finally:
        run(*ip, "link", "del", "kgt")


@test
def bypass_below_the_hooks(w):
    """What the documentation says is open to who has a capability is: else it is to be corrected."""
    prepare(w)
    w.capture_again()
    for ns, local in ((None, "10.77.0.1"), ("app", "10.78.0.2")):
        for kind in TUNNELS:
            check(through_tunnel(w, ns, kind, local), "a %s tunnel in %s is closed" % (kind, ns))
    # A frame of the namespace's would stay on the link between it and the host.
    check(Tried(w, V4, 8443, None, BELOW).leaked() == BELOW, "packet sockets are closed")


@test
def bypass_by_ipsec(w):
    """To an open address, by IPsec in the kernel whose far end is gated: it is the sender's socket that
    the outer packet is asked for. The cipher leaves the word as it is."""
    prepare(w)
    run("ip", "route", "add", "192.0.2.2/32", "via", V4)
    run("ip", "xfrm", "state", "add", "src", "10.77.0.1", "dst", V4, "proto", "esp", "spi", "7", "mode",
        "tunnel", "enc", "ecb(cipher_null)", "", "auth", "hmac(sha1)", "0x" + 20 * "07")
    run("ip", "xfrm", "policy", "add", "src", "10.77.0.1/32", "dst", "192.0.2.2/32", "dir", "out", "tmpl",
        "src", "10.77.0.1", "dst", V4, "proto", "esp", "mode", "tunnel")
    try:
        for verb, leaks in (("disarm", True), ("arm", False)):
            w.keygate(verb)
            w.capture_again()
            word = ("wrapped%d" % next(rounds)).encode()
            with socket.socket(type=socket.SOCK_DGRAM) as s:
                try:
                    s.sendto(word, ("192.0.2.2", 9))
                except OSError:
                    pass
            check((word in w.wire()) == leaks, "after %s: on the wire: %s" % (verb, not leaks))
    finally:
        w.keygate("arm")
        run("ip", "xfrm", "policy", "flush")
        run("ip", "xfrm", "state", "flush")
        run("ip", "route", "del", "192.0.2.2/32")


# Asks a host for what its kernel answers by itself: an echo, that a port is closed.
ASK = """
import socket, struct, sys
host = sys.argv[1]
family = socket.AF_INET6 if ":" in host else socket.AF_INET
s = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if ":" in host else socket.IPPROTO_ICMP)
s.settimeout(5)
kind = 128 if ":" in host else 8
s.sendto(struct.pack(">BBHHH", kind, 0, 0 if ":" in host else 0xffff - 0x0800, 0, 0), (host, 0))
while s.recv(200)[0 if ":" in host else 20] != (129 if ":" in host else 0):
    pass
for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
    s = socket.socket(family, kind)
    s.settimeout(5)
    try:
        s.connect((host, 4099))
        s.send(b"x")
        s.recv(1)
        sys.exit("not refused")
    except ConnectionRefusedError:
        pass
"""


@test
def the_kernel_still_answers(w):
    """What looks like a way out to a gated destination and is the kernel's own: answers to it."""
    prepare(w)
    for host in ("10.77.0.1", "fd77::1"):
        run(*inside("dst"), "/usr/bin/python3", "-c", ASK, host)


@test
def bypass_shows_when_disarmed(w):
    """Every way that this kernel has gets its word onto the wire: the tests above could fail."""
    prepare(w)
    w.keygate("disarm")
    w.capture_again()
    try:
        seen, tried = set(), {}
        for host, ns in places():
            for t in (Tried(w, host, 8443, ns), Tried(w, host, 8444, ns, ("sctp-message",))):
                seen |= t.leaked()
                tried.update({k: v for k, v in t.answers.items() if not v.startswith("lacking")})
    finally:
        w.keygate("arm")
    missing = set(tried) - seen
    check(not missing, "not on the wire: %s" % {x: tried[x] for x in sorted(missing)})
    lacking = sorted(set(run(WAYS, "list").stdout.decode().split()) - set(tried))
    if lacking:
        print("       this kernel has no %s" % ", ".join(lacking))


# How often keygated is ended or reloaded at a random moment; 1 000 is what a release is worth.
CHAOS = int(os.environ.get("KEYGATE_E2E_CHAOS", "7"))


def entries(name):
    """How many there are; those of kg_keys that are 0 are rings, which outlive their sessions."""
    p = run("bpftool", "-j", "map", "dump", "pinned", pin(name))
    rings = 8 * ["0x00"] if name == "kg_keys" else None
    return sum(e["value"] != rings for e in json.loads(p.stdout))


class Load:
    """Connects to the gated destination and sends a word, again and again."""

    def __init__(self, threads=4):
        self.stop, self.sent, self.served = threading.Event(), 0, 0
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self.run, args=(i,)) for i in range(threads)]

    def run(self, i):
        while not self.stop.is_set():
            got = b""
            try:
                with socket.create_connection(((V4, V6)[i % 2], 8443), 20) as s:
                    s.sendall(b"GET /chaos-load HTTP/1.0\r\n\r\n")
                    got = s.recv(1)
            except OSError:
                time.sleep(0.05)
            with self.lock:
                self.sent += 1
                self.served += bool(got)

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *exc):
        self.stop.set()
        for t in self.threads:
            t.join(60)


class Chaos:
    """Ends keygated in each way at random moments: while it serves and, as often, while it starts."""

    def __init__(self, w, seed):
        self.w, self.moments = w, random.Random(seed)
        self.did = collections.Counter()

    def turn(self):
        what = self.moments.choice((self.kill, self.kill_at_start, self.restart, self.reload))
        time.sleep(self.moments.uniform(0, 1))
        what()
        self.did[what.__name__] += 1

    def kill(self):
        self.end(signal.SIGKILL)
        self.w.gate()

    def kill_at_start(self):
        self.end(signal.SIGKILL)
        self.w.gate_begins()
        time.sleep(self.moments.uniform(0, 1.5))
        self.kill()

    def restart(self):
        self.end(signal.SIGTERM)
        self.w.gate()

    def reload(self):
        self.w.keygate("reload")

    def end(self, sig):
        self.w.daemon.send_signal(sig)
        self.w.daemon.wait(30)


def standing(w):
    """What there is of keygate when nothing is going on; whatever is more afterwards has leaked."""
    def count(*argv):
        return len(json.loads(run("bpftool", "-j", *argv).stdout))
    with open("/proc/keys") as f:
        keys = sum("keygate:" in line and " keyring " not in line for line in f)
    return {
        "pins": sorted(os.listdir(PINS)),
        "programs": count("prog", "show"), "maps": count("map", "show"),
        "links": count("link", "show"), "keys of sessions": keys,
        "processes": len(out("pgrep", "-x", "keygated").split()),
        "descriptors": len(os.listdir("/proc/%d/fd" % w.daemon.pid)),
        "entries": {name: entries(name) for name in ("kg_conn", "kg_sessions", "kg_keys")},
        "sockets": out("ss", "-Htan", "state", "connected", "exclude", "time-wait", "dst", V4),
    }


@test
@unguarded
def bypass_in_chaos(w):
    """Killed, stopped, started and reloaded at random moments under load."""
    prepare(w)
    w.stop(w.daemon)
    w.gate()
    before = standing(w)
    w.capture_again()
    chaos = Chaos(w, CHAOS)
    with Load() as load:
        for _ in range(CHAOS):
            chaos.turn()
        # And it serves, when it is let.
        served = load.served
        wait_for("a connection that is served", lambda: load.served > served, 60)
    check(b"chaos-load" not in w.wire(), "the word is on the wire in clear")
    wait_for("the sessions' end", lambda: not w.keygate("sessions")[1]["sessions"], 60)
    w.stop(w.daemon)
    w.gate()
    try:
        wait_for("no more than there was", lambda: standing(w) == before, 90)
    except Failure:
        after = standing(w)
        raise Failure("left over: %s" % {k: (before[k], after[k]) for k in after
                                         if before[k] != after[k]})
    print("       %s; %d connections, %d of them served" %
          (", ".join("%s %d" % x for x in sorted(chaos.did.items())), load.sent, load.served))
