# SPDX-License-Identifier: Apache-2.0
"""Destinations that are only monitored: connections pass as if keygate were not there, and what is
found on a connection of keygated's own is logged, marked as not protected.

What the applications talk to has two faces on one port: the attester, for who says ClientHello, and a
plain service that answers with what it got, for who says anything else.
"""
import json
import os
import socket
import sys
import threading
import time

from suite import canary, check, connect, refused, test
from world import Failure, V4, V6, listening, run, tool, wait_for

PLAIN = 9998  # nobody attests there
FACES = {"good": 9501, "swapped": 9502, "bytes": 9503}
port = {}  # main.py's

POLICY = """
destination "watched" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"9501-9503", "9998", "9997"}
	action = %s
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "e2e"
}
"""


def faces(w):
    """The services, which every test may count on."""
    for name, at in FACES.items():
        if not listening(at, "dst"):
            w.start(sys.executable, os.path.abspath(__file__), at, port[name], ns="dst",
                    log="faces-%d.log" % at)
    if not listening(PLAIN, "dst"):
        w.start(sys.executable, os.path.abspath(__file__), PLAIN, 0, ns="dst", log="faces-plain.log")
    for at in (*FACES.values(), PLAIN):
        wait_for("the service on %d" % at, lambda: listening(at, "dst"))


def put(w, action):
    """In front of all that the policy of main.py says. Returns the answer to the reload."""
    text, config = w.in_force
    before = text.split("# monitoring")[0]
    w.policy(before + "# monitoring\n" + POLICY % action, config)
    return w.keygate("reload")[1]


def audited(w, at):
    lines = [json.loads(x) for x in open(os.path.join(w.state, "audit.jsonl"))]
    return [x for x in lines if x["event"] == "session-monitored" and
            x["peer"].endswith(":%d" % at)]


def looked(w, host, at, seconds=60):
    """What was found there, once it has been looked at."""
    peer = "[%s]:%d" % (host, at) if ":" in host else "%s:%d" % (host, at)
    wait_for("a look at " + peer, lambda: [x for x in audited(w, at) if x["peer"] == peer], seconds)
    return [x for x in audited(w, at) if x["peer"] == peer][-1]


def says(s, word):
    """Sends, and has it back."""
    s.sendall(word)
    check(s.recv(len(word), socket.MSG_WAITALL) == word, "another answer than what was sent")


def untouched(w, host, at):
    """A connection that passes in the clear; it stays open."""
    word = canary()
    s = connect(host, at)
    says(s, word)
    check(w.on_wire(word), "the word is not on the wire")
    return s


def marked(x):
    check((x["mode"], x["protected"], x["outcome"]) == ("monitor", False, "monitored"), x)


@test
def monitoring_a_good_server(w):
    faces(w)
    warnings = put(w, "monitor")["warnings"]
    check(any("NOT protected" in i["text"] for i in warnings), "no warning: %r" % warnings)
    for host in (V4, V6):
        with untouched(w, host, FACES["good"]):
            x = looked(w, host, FACES["good"])
        marked(x)
        check((x["code"], x["verdict"]["verdict"]) == ("", "pass"), x)
        check(x["app"]["pid"] == os.getpid(), x)
    code, j = w.keygate("explain", "%s:%d" % (V4, FACES["good"]))
    check(j["matches"][0]["action"] == "monitor", j)
    check("NOT PROTECTED" in j["matches"][0]["requirement"][0], j)
    marked(j["last"])
    p = run(tool("keygate"), "explain", "--socket", w.socket, "%s:%d" % (V4, FACES["good"]))
    check(b"last look: pass" in p.stdout and b"NOT PROTECTED" in p.stdout, p.stdout)
    # Nothing is kept of it: no session, no lease, no key.
    check(w.keygate("sessions")[1]["sessions"] == [], "sessions are left")
    check(w.keygate("leases")[1]["leases"] == [], "leases are left")
    _, j = w.keygate("status")
    check(j["monitor"]["destinations"] == 1 and j["counters"]["monitored"] >= 2, j)
    p = run(tool("keygate"), "status", "--socket", w.socket)
    check(b"ONLY MONITORED" in p.stdout and b"NOT PROTECTED" in p.stdout, p.stdout)


@test
def monitoring_wrong_code(w):
    faces(w)
    put(w, "monitor")
    with untouched(w, V4, FACES["swapped"]):
        x = looked(w, V4, FACES["swapped"])
    marked(x)
    check((x["code"], x["verdict"]["verdict"]) == ("policy.measurement", "fail"), x)
    code, j = w.keygate("explain", "%s:%d" % (V4, FACES["swapped"]), ok=(2,))
    check(j["last"]["code"] == "policy.measurement", j)


@test
def monitoring_what_can_not_be_judged(w):
    """Who does not attest, and nobody at all: no verdict is made up."""
    faces(w)
    put(w, "monitor")
    with untouched(w, V4, PLAIN):
        x = looked(w, V4, PLAIN)
    marked(x)
    check(x["code"] and x["verdict"] is None, x)
    w.keygate("explain", "%s:%d" % (V4, PLAIN), ok=(3,))
    try:
        connect(V4, 9997)
        raise Failure("somebody is there")
    except ConnectionRefusedError:
        pass
    x = looked(w, V4, 9997)
    marked(x)
    check((x["code"], x["verdict"]) == ("connect.refused", None), x)


@test
def monitoring_busy_destinations(w):
    """Many connects are one look; datagrams pass as well."""
    faces(w)
    put(w, "monitor")
    for _ in range(200):
        with connect(V4, FACES["bytes"]) as s:
            says(s, b"x")
    looked(w, V4, FACES["bytes"])
    for _ in range(50):
        with connect(V4, FACES["bytes"]) as s:
            says(s, b"x")
    time.sleep(2)
    check(len(audited(w, FACES["bytes"])) == 1, "looked %d times" % len(audited(w, FACES["bytes"])))
    word = canary()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(word, (V4, FACES["bytes"]))
    check(w.on_wire(word), "the datagram did not leave")


@test
def monitoring_then_gating(w):
    """What passed unprotected ends with the reload, and new connections are gated; and back."""
    faces(w)
    put(w, "monitor")
    with untouched(w, V4, FACES["good"]) as s:
        put(w, "gate")
        word = canary()
        try:
            s.settimeout(5)
            s.sendall(word)
            check(s.recv(1) == b"", "an answer came")
        except OSError:
            pass
        check(not w.on_wire(word), "the word left on an old connection")
    # The attester behind the port serves what it forwards to.
    word = canary()
    p = run("curl", "-sS", "--max-time", "60", "--data-binary", word.decode(),
            "http://%s:%d/upload" % (V4, FACES["good"]), ok=None, timeout=90)
    check(p.stdout == b"stored\n", "gated: %r %r" % (p.stdout, p.stderr))
    check(not w.on_wire(word), "the word is on the wire in clear")
    refused(w, V4, FACES["swapped"], "fail", "policy.measurement")
    put(w, "monitor")
    with untouched(w, V4, FACES["good"]):
        pass


# -------------------------------------------------------------------- the service

def carry(one, other):
    try:
        while True:
            b = one.recv(65536)
            if not b:
                break
            other.sendall(b)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(c, attester):
    with c:
        if c.recv(1, socket.MSG_PEEK) != b"\x16" or not attester:
            carry(c, c)
            return
        with socket.create_connection(("127.0.0.1", attester)) as a:
            back = threading.Thread(target=carry, args=(a, c))
            back.start()
            carry(c, a)
            back.join()


def main(at, attester):
    with socket.create_server(("::", at), family=socket.AF_INET6, dualstack_ipv6=True,
                              backlog=128) as listener:
        while True:
            c, _ = listener.accept()
            threading.Thread(target=serve, args=(c, attester), daemon=True).start()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
