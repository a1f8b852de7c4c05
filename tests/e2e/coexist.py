# SPDX-License-Identifier: Apache-2.0
"""Somebody else's BPF programs beside the real keygated's: at the root of cgroup 2 and at a cgroup below,
there before keygate's and after them, refusing connections or taking them elsewhere.

The programs are a few instructions each, given to the kernel by its system call.
"""
import contextlib
import ctypes
import os
import socket
import struct

from suite import canary, check, once, passes, test, url
from world import V4, V6, run, tool

GATED, PLAIN, DENIED = 8443, 9999, 7000
ROOT, BELOW = "/sys/fs/cgroup", "/sys/fs/cgroup/below"

SYS_BPF = 321
PROG_LOAD, PROG_ATTACH, PROG_DETACH = 5, 8, 9
SOCK_ADDR, CONNECT4, CONNECT6 = 18, 10, 11
ALLOW_MULTI = 2
# struct bpf_sock_addr
USER_IP4, USER_PORT = 4, 24


def insn(code, dst=0, src=0, off=0, imm=0):
    return struct.pack("<BBhi", code, dst | src << 4, off, imm)


def as_read(ip, port):
    """Address and port as a program reads them."""
    return struct.unpack("<i", socket.inet_aton(ip))[0], socket.htons(port)


def load(reg, field):
    return insn(0x61, reg, 1, field)


def give(field, value):
    return insn(0xb7, 2, imm=value) + insn(0x63, 1, 2, field)


def unless(reg, value, n):
    return insn(0x55, reg, off=n, imm=value)


EXIT = insn(0x95)
RESULT = 0xb7  # of register 0


def refusing(port):
    return (load(2, USER_PORT) + insn(RESULT, imm=1) + unless(2, socket.htons(port), 1) +
            insn(RESULT, imm=0) + EXIT)


def diverting(source, target, any_port=False):
    """Connections to source are made to target."""
    ip, port = as_read(*source)
    to_ip, to_port = as_read(*target)
    put = give(USER_IP4, to_ip) + give(USER_PORT, to_port)
    ask = load(2, USER_PORT) + unless(2, port, 4)
    return (load(2, USER_IP4) + unless(2, ip, 4 if any_port else 6) + (b"" if any_port else ask) + put +
            insn(RESULT, imm=1) + EXIT)


def bpf(cmd, attr):
    b = ctypes.create_string_buffer(attr, 128)
    libc = ctypes.CDLL(None, use_errno=True)
    r = libc.syscall(SYS_BPF, cmd, b, 128)
    if r < 0:
        raise OSError(ctypes.get_errno(), "bpf(%d)" % cmd)
    return r


@contextlib.contextmanager
def theirs(cgroup, kind, code):
    license, insns = ctypes.create_string_buffer(b"GPL"), ctypes.create_string_buffer(code)
    prog = bpf(PROG_LOAD, struct.pack("<IIQQIIQII16sII", SOCK_ADDR, len(code) // 8,
                                      ctypes.addressof(insns), ctypes.addressof(license), 0, 0, 0, 0, 0,
                                      b"theirs", 0, kind))
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY)
    try:
        bpf(PROG_ATTACH, struct.pack("<IIII", fd, prog, kind, ALLOW_MULTI))
        try:
            yield
        finally:
            bpf(PROG_DETACH, struct.pack("<IIII", fd, prog, kind, 0))
    finally:
        os.close(fd)
        os.close(prog)


@contextlib.contextmanager
def below():
    os.mkdir(BELOW)
    try:
        yield
    finally:
        os.rmdir(BELOW)


def ask(host, port, word, cgroup=ROOT):
    """curl's exit status, in this cgroup."""
    return run("sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', cgroup, "curl", "-sS", "--max-time",
               "30", "--data-binary", word.decode(), url(host, port, "/upload"), ok=None,
               timeout=60).returncode


def away(w):
    """keygate's programs are gone."""
    w.stop(w.daemon)
    run(tool("keygated"), "--disarm", "--state", w.state)


def refused(w, host, port, cgroup):
    word = canary()
    check(ask(host, port, word, cgroup) == 7, "port %d is open in %s" % (port, cgroup))
    check(not w.on_wire(word), "the canary is on the wire in clear")


def in_clear(w, port, cgroup):
    """Whether what is sent to that port is answered, and seen by everybody."""
    word = canary()
    status = ask(V4, port, word, cgroup)
    seen = w.on_wire(word)
    check(seen == (status == 0), "curl ended with %d, in clear: %r" % (status, seen))
    return seen


@contextlib.contextmanager
def refusers():
    """At the root one port of the plain service's machine, below another one."""
    with contextlib.ExitStack() as s:
        for kind in (CONNECT4, CONNECT6):
            s.enter_context(theirs(ROOT, kind, refusing(5432)))
            s.enter_context(theirs(BELOW, kind, refusing(PLAIN)))
        yield


def both_count(w):
    for host in (V4, V6):
        refused(w, host, 5432, ROOT)
        refused(w, host, PLAIN, BELOW)
        refused(w, host, DENIED, BELOW)
        passes(w, host, GATED)
    word = canary()
    check(ask(V4, GATED, word, BELOW) == 0, "not served below")
    check(not w.on_wire(word), "the canary is on the wire in clear")
    check(in_clear(w, PLAIN, ROOT), "refused where theirs is not")


@test
def coexist_both_verdicts_count(w):
    with below():
        check(in_clear(w, PLAIN, BELOW), "the plain service is not there")
        with refusers():
            both_count(w)
            # The other order.
            away(w)
            refused(w, V4, PLAIN, BELOW)
            w.gate()
            both_count(w)
        check(in_clear(w, PLAIN, BELOW), "theirs is gone, and the plain service still refused")
        passes(w, V4, GATED)


def diverted(source, target, cgroup):
    return theirs(cgroup, CONNECT4, diverting(source, target, any_port=source[0] == "127.0.0.1"))


@test
@once("newest")  # the kernel's order of programs is tests/unit/test_bpf_coexist.c's, on each
def coexist_with_one_that_diverts(w):
    """Whoever may load such a program is root. What runs before keygate's chooses the destination, whose
    rules then apply; what runs after can take the connection elsewhere, but not to what is gated."""
    gated, plain, denied = ((V4, p) for p in (GATED, PLAIN, DENIED))
    with below():
        with diverted(gated, plain, BELOW):
            check(in_clear(w, GATED, BELOW), "a program that runs first has not chosen")
            passes(w, V4, GATED)  # elsewhere nothing of it is seen
        with diverted(gated, denied, BELOW):
            refused(w, V4, GATED, BELOW)
        with diverted(plain, gated, BELOW):
            word = canary()
            check(ask(V4, PLAIN, word, BELOW) == 0, "not served")
            check(not w.on_wire(word), "what is diverted to the gated is in clear")
    # At the root, after keygate's: it sees the listener's address in place of what was asked for, and
    # diverts keygated's own connection, which then comes to nothing.
    with diverted(gated, plain, ROOT):
        word = canary()
        check(ask(V4, GATED, word) != 0, "keygated's connection was diverted, and served")
        check(not w.on_wire(word), "what is diverted behind keygated is in clear")
    with diverted(plain, gated, ROOT):
        word = canary()
        check(ask(V4, PLAIN, word) != 0, "diverted to the gated, and served")
        check(not w.on_wire(word), "what is diverted to the gated is in clear")
    with diverted(("127.0.0.1", 0), gated, ROOT):
        word = canary()
        check(ask(V4, GATED, word) != 0, "past the listener, and served")
        check(not w.on_wire(word), "what is taken past the listener is in clear")
    with diverted(("127.0.0.1", 0), plain, ROOT):
        check(in_clear(w, GATED, ROOT), "a program that runs last has not chosen")
    passes(w, V4, GATED)
