# SPDX-License-Identifier: Apache-2.0
"""The guard: what root can't do to a keygate that runs, while all that is keygate's own goes on. What
each refusal would be without the guard is tests/unit/test_bpf_guard.c's to show.

Knows the test world.
"""
import ctypes
import glob
import json
import os
import re
import shutil
import signal

from custody import Download, roles
from suite import check, passes, test, unguarded
from world import PINS, V4, out, pin, run, tool, wait_for

PORT = 8443


def fails(*argv):
    p = run(*argv, ok=None)
    check(p.returncode != 0, "%s was not refused: %r" % (" ".join(map(str, argv)), p.stdout))
    return p.stdout + p.stderr


def refused_as(words, *argv):
    text = fails(*argv).decode()
    check(words in text, "%s: %r" % (" ".join(map(str, argv)), text))


def pins():
    return sorted(os.listdir(PINS))


def numbers(pid, kind):
    """Of the maps or programs that a process holds."""
    found = set()
    for path in glob.glob("/proc/%d/fdinfo/*" % pid):
        try:
            found |= set(re.findall(r"^%s_id:\s+(\d+)$" % kind, open(path).read(), re.M))
        except OSError:
            pass
    return found


@test
def guarded_is_said(w):
    check(w.keygate("status")[1]["guard"] == {"on": True, "off": None},
          "%r" % w.keygate("status")[1]["guard"])
    text = out(tool("keygate"), "status", "--socket", w.socket)
    check(re.search(r"^guard +on$", text, re.M), text)


@test
@unguarded
def guarded_is_not_where_the_kernel_has_none(w):
    """It serves all the same, and says so."""
    guard = w.keygate("status")[1]["guard"]
    check(not guard["on"] and "security modules" in guard["off"], "%r" % guard)
    text = out(tool("keygate"), "status", "--socket", w.socket)
    check(re.search(r"^guard +off: .*security modules", text, re.M), text)
    log = open(os.path.join(w.state, "audit.jsonl")).read()
    check('"guard-off"' in log, "not audited")
    check(not [p for p in pins() if "guard" in p], "pins of a guard that is none")
    passes(w, V4, PORT)


@test
def guarded_maps_and_programs(w):
    before = pins()
    for name in before:
        argv = ["map", "dump", "pinned"] if name.startswith("map") else ["link", "detach", "pinned"]
        refused_as("Operation not permitted", "bpftool", *argv, os.path.join(PINS, name))
    refused_as("Operation not permitted", "bpftool", "map", "update", "pinned",
               pin("kg_config"), "key", "0", "0", "0", "0", "value", *["0"] * 20)
    # A table that was replaced is nobody's to read either.
    for _ in range(2):
        w.keygate("reload")
    maps, programs = numbers(w.daemon.pid, "map"), numbers(w.daemon.pid, "prog")
    check(len(maps) > 10 and len(programs) > 10, "of keygated's: %r, %r" % (maps, programs))
    for n in maps:
        fails("bpftool", "map", "dump", "id", n)
    for n in programs:
        fails("bpftool", "prog", "dump", "xlated", "id", n)
    # Those of others are listed.
    for kind, ours in (("map", maps), ("prog", programs)):
        listed = {str(e["id"]) for e in json.loads(out("bpftool", "-j", kind, "list") or "[]")}
        check(not listed & ours, "listed: %r" % (listed & ours))
    check(pins() == before, "pins are gone: %r" % (set(before) - set(pins())))
    passes(w, V4, PORT)


@test
def guarded_pins(w):
    before = pins()
    refused_as("Operation not permitted", "rm", "-rf", PINS)
    refused_as("Operation not permitted", "mv", PINS, PINS + "-away")
    refused_as("Operation not permitted", "mv", pin("kg_connect4"), "/sys/fs/bpf/mine")
    check(pins() == before, "pins are gone: %r" % (set(before) - set(pins())))
    passes(w, V4, PORT)


@test
def guarded_processes(w):
    libc = ctypes.CDLL(None, use_errno=True)
    for name, pid in roles().items():
        for mode in ("rb", "r+b"):
            try:
                open("/proc/%d/mem" % pid, mode).close()
                check(False, "the memory of %s can be opened" % name)
            except PermissionError:
                pass
        fd = os.pidfd_open(pid)
        check(libc.syscall(438, fd, 3, 0) < 0, "a descriptor of %s can be had" % name)
        os.close(fd)
        check(libc.ptrace(0x4206, pid, 0, 0) < 0, "%s can be traced" % name)  # PTRACE_SEIZE
        # Looking at it is everybody's.
        check(os.readlink("/proc/%d/exe" % pid).split(" ")[0] == os.path.realpath(tool("keygated")),
              "what %s runs can't be seen" % name)
    if shutil.which("gcore"):
        run("gcore", "-o", w.path("core"), str(w.daemon.pid), ok=None, timeout=120)
        check(not glob.glob(w.path("core*")), "gcore made a core")


@test
def guarded_keys(w):
    """Not even with all permissions, which root may give itself; and it may end the session."""
    d = Download(w)
    key, ring = str(d.j["key"]), str(d.j["ring"])
    run("keyctl", "setperm", key, "0x3f3f0000")
    run("keyctl", "setperm", ring, "0x3f3f0000")
    for verb in ("print", "read"):
        refused_as("Operation not permitted", "keyctl", verb, key)
    refused_as("Permission denied", "keyctl", "update", key, "mine")
    refused_as("Operation not permitted", "keyctl", "link", key, "@u")
    refused_as("Operation not permitted", "keyctl", "link", ring, "@u")
    check("keygate:" in out("keyctl", "show", ring) and "keygate:" in out("keyctl", "describe", key),
          "they can't be looked at")
    run("keyctl", "revoke", key)
    wait_for("the reset", lambda: d.end is not None, 15)
    d.close(w)
    passes(w, V4, PORT)


@test
def guarded_while_keygated_is_dead(w):
    w.daemon.send_signal(signal.SIGKILL)
    w.daemon.wait()
    before = pins()
    refused_as("Operation not permitted", "rm", "-rf", PINS)
    refused_as("Operation not permitted", "bpftool", "map", "dump", "pinned", pin("kg_config"))
    check(pins() == before, "pins are gone: %r" % (set(before) - set(pins())))
    w.gate()
    check(w.keygate("status")[1]["guard"]["on"], "off with the next keygated")
    passes(w, V4, PORT)


@test
def guarded_from_other_code(w):
    """A copy of keygated's file is not keygated, and what its loader would take from the environment
    is not taken."""
    copy = w.path("keygated-copy")
    shutil.copy(tool("keygated"), copy)
    before = pins()
    fails(copy, "--disarm", "--state", w.state)
    check(pins() == before, "a copy has removed pins")
    lib = "/nowhere/lib.so"
    say = lambda program: run("env", "LD_PRELOAD=" + lib, tool(program), "--version").stderr.decode()
    check(lib in say("keygate"), "the loader says nothing of %s" % lib)
    check(lib not in say("keygated"), "keygated's loader heeds LD_PRELOAD")


@test
def guarded_and_disarmed(w):
    """The administrator's ways are open."""
    w.keygate("disarm")
    w.keygate("arm")
    passes(w, V4, PORT)
    w.stop(w.daemon)
    run(tool("keygated"), "--disarm", "--state", w.state)
    check(not os.path.exists(PINS), "pins are left")
    w.gate()
    passes(w, V4, PORT)
