# SPDX-License-Identifier: Apache-2.0
"""What the files of the end-to-end suite share: the list of tests, and the clients that they use.
"""
import os
import socket

from world import Failure, V4, V6, run

tests = []
canaries = iter(range(10 ** 6))


def canary():
    """A word that nothing sent before."""
    return b"canary-%06d-7f3a91c2-must-not-leave" % next(canaries)


class Skip(Exception):
    pass


def check(cond, what):
    if not cond:
        raise Failure(what)


# ------------------------------------------------------------------- clients

def url(host, port, path="/"):
    return "http://%s:%d%s" % ("[%s]" % host if ":" in host else host, port, path)


def curl(host, port, *argv, path="/", ok=(0,), limit=60):
    return run("curl", "-sS", "--max-time", limit, *argv, url(host, port, path), ok=ok,
               timeout=limit + 30)


def connect(host, port, timeout=120):
    return socket.create_connection((host, port), timeout=timeout)


# --------------------------------------------------------------- common tests

def refused(w, host, port, status, ident):
    """A connection there fails for exactly this reason, and nothing of it is on the wire."""
    word = canary()
    p = curl(host, port, "--data-binary", word.decode(), path="/upload", ok=None)
    check(p.returncode != 0, "curl got an answer: %r" % p.stdout)
    code, verdict, bad = w.refusal(host, port)
    check(verdict == status, "verdict is %s, not %s; refused by %s" % (verdict, status, bad))
    check(bad == [ident], "refused by %s, not by %s" % (bad, ident))
    check(code == {"fail": 2, "unavailable": 3}[status], "exit status %d" % code)
    check(not w.on_wire(word), "the canary is on the wire in clear")


def passes(w, host, port):
    """A connection there is served, and is not readable on the wire."""
    word = canary()
    p = curl(host, port, "--data-binary", word.decode(), path="/upload", ok=None)
    code, verdict, bad = w.refusal(host, port)
    check(p.stdout == b"stored\n", "unexpected answer %r, exit %d, verdict %r" %
          (p.stdout, p.returncode, (code, verdict, bad)))
    check((code, verdict, bad) == (0, "pass", []), "verdict %r" % ((code, verdict, bad),))
    check(not w.on_wire(word), "the canary is on the wire in clear")


def test(fn, name=None):
    """Adds a test; its name is what the command line chooses it by."""
    if name:
        fn.__name__ = name
    tests.append(fn)
    return fn


def once(kernel):
    """Of a test in which the kernel has no part: unless it is chosen by name, one kernel is enough, the
    "oldest" or the "newest". It stands below @test."""
    def mark(fn):
        fn.once = kernel
        return fn
    return mark


def unguarded(fn):
    """Of a test that looks, as root, at what the guard keeps from root: the kernel half's maps, or
    the memory of keygated. It runs on a kernel that is booted without BPF's security module, and
    the other tests on one that has it; see tests/e2e/run. It stands below @test."""
    fn.unguarded = True
    return fn


def in_this_pass(fn):
    return getattr(fn, "unguarded", False) == bool(os.environ.get("KEYGATE_E2E_UNGUARDED"))


def elsewhere(fn):
    """Why it need not run on this kernel too, if it need not."""
    here = "oldest" if os.uname().release.startswith("6.1.") else "newest"
    if os.environ.get("KEYGATE_E2E_EACH") or getattr(fn, "once", here) == here:
        return None
    return "the kernel has no part in it: on the %s only, unless KEYGATE_E2E_EACH=1" % fn.once
