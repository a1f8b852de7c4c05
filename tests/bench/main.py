# SPDX-License-Identifier: Apache-2.0
"""Speed beside a peer, in one run on one machine, as ratios.

The peer is stunnel on both ends: the usual way to give an unmodified application TLS by a proxy,
without attestation. The same service stands behind both; rounds alternate, medians are printed.
Emulated processors distort absolute figures; the ratios are what to read.
"""
import os
import socket
import statistics
import struct
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "e2e"))
import main as e2e  # noqa: E402
from world import V4, World, listening, run, wait_for  # noqa: E402

ROUNDS = int(os.environ.get("KEYGATE_BENCH_ROUNDS", "7"))
BULK = int(os.environ.get("KEYGATE_BENCH_MIB", "16")) << 20
CONNECTS = 10
PEER, PEER_LOCAL = 9443, 9444


def stunnel(w):
    cert = w.path("stunnel.pem")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", "/CN=peer", "-keyout", cert, "-out", w.path("stunnel.crt"))
    with open(cert, "a") as f, open(w.path("stunnel.crt")) as g:
        f.write(g.read())
    common = "foreground = yes\npid =\nsslVersionMin = TLSv1.3\nsyslog = no\n"
    server = w.write("stunnel-server.conf", common + "[s]\naccept = %s:%d\nconnect = 127.0.0.1:9001\n"
                     "cert = %s\n" % (V4, PEER, cert))
    client = w.write("stunnel-client.conf", common + "[c]\nclient = yes\naccept = 127.0.0.1:%d\n"
                     "connect = %s:%d\nCAfile = %s\nverifyPeer = yes\nsessionCacheSize = 1\n"
                     "options = NO_TICKET\n" % (PEER_LOCAL, V4, PEER, w.path("stunnel.crt")))
    w.start("stunnel", server, ns="dst", log="stunnel-server.log")
    w.start("stunnel", client, log="stunnel-client.log")
    wait_for("stunnel", lambda: listening(PEER, "dst") and listening(PEER_LOCAL))


def transfer(addr, op):
    t0 = time.monotonic()
    with socket.create_connection(addr, timeout=600) as s:
        if op == "down":
            s.sendall(b"D" + struct.pack(">Q", BULK))
            got = e2e.read_all(s)
            assert got[1] == BULK, got
        else:
            s.sendall(b"U")
            for b in e2e.pattern(BULK):
                s.sendall(b)
            s.shutdown(socket.SHUT_WR)
            assert len(s.recv(64, socket.MSG_WAITALL)) == 64
    return time.monotonic() - t0


def connects(addr):
    t0 = time.monotonic()
    for _ in range(CONNECTS):
        with socket.create_connection(addr, timeout=60) as s:
            s.sendall(b"Ex")
            assert s.recv(1) == b"x"
    return (time.monotonic() - t0) / CONNECTS


def beside(name, fn, unit, per=None):
    """Runs fn on both, alternating; prints medians and the median of the paired ratios."""
    ours, peer = (V4, e2e.PORT["bytes"]), ("127.0.0.1", PEER_LOCAL)
    fn(ours), fn(peer)  # one round to warm up
    pairs = [(fn(ours), fn(peer)) for _ in range(ROUNDS)]
    a, b = (statistics.median(p[i] for p in pairs) for i in (0, 1))
    ratio = statistics.median(p[0] / p[1] for p in pairs)
    show = (lambda t: per / t) if per else (lambda t: t * 1000)
    print("%-34s keygate %8.1f %-6s stunnel %8.1f %-6s time ratio %.2f"
          % (name, show(a), unit, show(b), unit, ratio), flush=True)


def main():
    w = World()
    try:
        e2e.build(w)
        stunnel(w)
        mib = BULK >> 20
        print("kernel %s, %d rounds, medians; a ratio below 1 means that keygate takes less time"
              % (os.uname().release, ROUNDS))
        beside("connect, attested / plain TLS", connects, "ms")
        beside("download %d MiB" % mib, lambda a: transfer(a, "down"), "MiB/s", mib)
        beside("upload %d MiB" % mib, lambda a: transfer(a, "up"), "MiB/s", mib)
    finally:
        w.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
