# SPDX-License-Identifier: Apache-2.0
"""Custody end to end: what the kernel says of a session, each way to end one and how soon, rekeys,
and a search of every role's memory for the secrets.
"""
import ctypes
import errno
import glob
import hashlib
import hmac
import json
import os
import re
import shutil
import socket
import struct
import threading
import time

from suite import Skip, check, connect, once, test, unguarded
from bytes_service import pattern
from world import Failure, V4, inside, listening, out, pin, run, tool, wait_for

MIB = 1 << 20
BYTES = 8456  # the attester of "bytes"
KEYLOG, UPDATE, SECRET, SWAPPED = 8490, 8491, 8492, 8493
base_policy = None  # main.py's
# Through a destination that has a new key after so many records; 1000 records are 16 MiB. The real
# thing is 256; emulated, that takes minutes.
REKEY_RECORDS, REKEY_MIB = 1000, int(os.environ.get("KEYGATE_E2E_REKEY_MIB", "32"))
ROLES = ("keygated", "keygate-relay", "keygate-verify", "keygate-fetch")
# How late a measure itself may be where every instruction is emulated.
SLOW = float(os.environ.get("KEYGATE_E2E_SLACK", "0.4"))


def roles():
    return {name: int(out("pgrep", "-x", name)) for name in ROLES}


def session_to(w, port):
    live = [s for s in w.keygate("sessions")[1]["sessions"] if s["state"] == "live" and
            s["peer"] == "%s:%d" % (V4, port)]
    check(len(live) == 1, "%d live sessions" % len(live))
    return live[0]


class Download:
    """An endless download, as fast as it goes."""

    def __init__(self, w, port=BYTES):
        self.n, self.last, self.end = 0, 0.0, None
        self.port = port
        before = set(self.at_destination())
        self.s = connect(V4, port)
        self.s.sendall(b"W")
        threading.Thread(target=self.read, daemon=True).start()
        wait_for("the download to run", lambda: self.n > MIB or self.end, 60)
        mine = set(self.at_destination()) - before
        check(len(mine) == 1, "connections at the destination: %r" % mine)
        self.peer = mine.pop()
        self.j = session_to(w, port)

    def read(self):
        try:
            while True:
                b = self.s.recv(65536)
                if not b:
                    self.end = "eof"
                    return
                self.n += len(b)
                self.last = time.monotonic()
        except OSError as e:
            self.end = e.errno

    def at_destination(self):
        """Whom the destination's own kernel has a connection with, and how many bytes of each that
        one has taken."""
        text = out(*inside("dst"), "ss", "-tinOH", "state", "all", "sport", "=", ":%d" % self.port)
        taken = {}
        for line in text.splitlines():
            peer = line.split()[4]
            n = re.search(r"bytes_acked:(\d+)", line)
            if not peer.endswith(":*"):
                taken[peer] = int(n.group(1)) if n else 0
        return taken

    def taken(self):
        """None: the destination has no such connection any more."""
        return self.at_destination().get(self.peer)

    def close(self, w):
        self.s.close()
        wait_for("the session to end", lambda: not [
            s for s in w.keygate("sessions")[1]["sessions"] if s["id"] == self.j["id"]])


@test
def custody_sessions_says_what_the_kernel_says(w):
    d = Download(w)
    j = d.j
    check(j["protected"] is True, "not protected: %r" % j)
    cipher = {"TLS_AES_256_GCM_SHA384": "aes-256-gcm", "TLS_AES_128_GCM_SHA256": "aes-128-gcm",
              "TLS_CHACHA20_POLY1305_SHA256": "chacha20-poly1305"}[j["cipher"]]
    check(j["kernel_tls"] == {"version": "1.3", "cipher": cipher, "tx": "software",
                              "rx": "software"}, "kernel_tls %r" % j["kernel_tls"])
    check(j["records"]["received"] > 60 and j["records"]["sent"] >= 2, "%r" % j["records"])
    check(j["bytes"]["peer_to_app"] > MIB // 2 and j["bytes"]["app_to_peer"] == 1,
          "%r" % j["bytes"])
    text = out(tool("keygate"), "sessions", "--socket", w.socket)
    check("kTLS software" in text and str(j["key"]) in text, text)
    # Without the key's validity there is no protection to speak of, whatever the socket is.
    d.close(w)


# ------------------------------------------------------------------- revocation

def permit(serial):
    """unlink and clear need leave that root has to give itself; docs/threat-model.md says why."""
    run("keyctl", "setperm", str(serial), "0x3f3f0000")


def unlink(w, j):
    permit(j["ring"])
    run("keyctl", "unlink", str(j["key"]), str(j["ring"]))


def clear(w, j):
    permit(j["ring"])
    run("keyctl", "clear", str(j["ring"]))


def key(verb, *argv):
    return lambda w, j: run("keyctl", verb, str(j["key"]), *argv)


def ring(verb, *argv):
    return lambda w, j: run("keyctl", verb, str(j["ring"]), *argv)


def reload_with(w, old, new):
    check(old in base_policy, "the policy has no %r" % old)
    w.policy(base_policy.replace(old, new))
    w.keygate("reload")


def deny_statement(w, j):
    """What is logged is withdrawn by its leaf."""
    with open(w.proofs["good"][0], "rb") as f:
        leaf = hashlib.sha256(b"\0" + f.read()).hexdigest()
    reload_with(w, 'lease = "10m"', 'lease = "10m"\n\tdeny = {"leaf:%s"}' % leaf)


# How a session is ended, and how soon that has to be: with keygated running; and with all of it
# stopped, where the kernel is alone (None: it is keygated that does it). The time counts from the
# command's end.
WAYS = {
    "revoke": (key("revoke"), 0.1, 0.1),
    "invalidate": (key("invalidate"), 0.1, 0.1),
    "unlink": (unlink, 1, 1),
    "timeout": (key("timeout", "1"), 1 + 0.1, 1 + 0.1),
    "ring_revoke": (ring("revoke"), 0.1, 0.1),
    "ring_invalidate": (ring("invalidate"), 0.1, 0.1),
    "ring_clear": (clear, 1, 1),
    "ring_timeout": (ring("timeout", "1"), 1 + 0.1, 1 + 0.1),
    "keygate_revoke": (lambda w, j: w.keygate("revoke", str(j["id"])), 0.1, None),
    "keygate_revoke_destination": (lambda w, j: w.keygate("revoke", "--destination", "service"),
                                   0.1, None),
    "policy": (lambda w, j: reload_with(w, '"8443-8499"', '"8499"'), 0.1, None),
    "withdrawal": (deny_statement, 0.1, None),
    "ledger_forget": (lambda w, j: w.keygate("ledger", "forget", w.log.origin), 0.1, None),
}


class KernelSession:
    """The kernel half's entry of a session, read by the system call: a tool would take longer to
    start than what is measured."""

    OBJ_GET, LOOKUP, NEXT = 7, 1, 4
    SYS_BPF = 321  # x86-64

    def __init__(self, session):
        self.libc = ctypes.CDLL(None, use_errno=True)
        path = ctypes.create_string_buffer(pin("kg_sessions").encode())
        self.fd = self.call(self.OBJ_GET, struct.pack("<QII", ctypes.addressof(path), 0, 0))
        check(self.fd >= 0, "no map of sessions")
        self.key, self.value = ctypes.create_string_buffer(8), ctypes.create_string_buffer(16)
        at = 0
        while self.call(self.NEXT, struct.pack("<IIQQ", self.fd, 0, at,
                                               ctypes.addressof(self.key))) == 0:
            if struct.unpack("<Q", self.key.raw)[0] & ((1 << 40) - 1) == session:
                return
            at = ctypes.addressof(self.key)
        raise Failure("the kernel half has no session %d" % session)

    def call(self, cmd, attr):
        attr = ctypes.create_string_buffer(attr, 128)
        return self.libc.syscall(self.SYS_BPF, cmd, attr, 128)

    def cut(self):
        """No packet of it passes."""
        if self.call(self.LOOKUP, struct.pack("<IIQQQ", self.fd, 0, ctypes.addressof(self.key),
                                              ctypes.addressof(self.value), 0)):
            return True
        state, _, deadline = struct.unpack("<IIQ", self.value.raw)
        return state == 0 or deadline <= time.clock_gettime_ns(time.CLOCK_BOOTTIME)

    def close(self):
        os.close(self.fd)


rows = []


def tell(way, how, kernel, app, after):
    """A row of the table."""
    if not rows:
        print("# %-28s %-8s %-12s %-12s %s" % ("ended by", "keygated", "kernel cut", "last byte",
                                               "bytes after"))
    rows.append(way)
    print("# %-28s %-8s %-12s %-12s %d" % (way, how, "%.3f s" % kernel,
                                           "-" if app is None else "%.3f s" % app, after),
          flush=True)


def cut(w, way, act, limit, stop):
    """Once the kernel says cut, the destination's kernel sees no byte of the session taken."""
    if not w.keygate("status")[1].get("keyring_watch"):
        raise Skip("no fentry on this kernel")
    d = Download(w)
    k = KernelSession(d.j["id"])
    check(not k.cut(), "cut before it was")
    pids = [str(p) for p in roles().values()]
    if stop:
        run("kill", "-STOP", *pids)
    try:
        act(w, d.j)
        done = time.monotonic()
        while not k.cut() and time.monotonic() < done + 10:
            time.sleep(0.001)
        took = time.monotonic() - done
        taken = d.taken()
        time.sleep(1)
        after = (d.taken() or taken or 0) - (taken or 0)
    finally:
        if stop:
            run("kill", "-CONT", *pids)
        k.close()
    wait_for("the reset", lambda: d.end is not None, 15)
    last = None if stop else max(d.last - done, 0)
    tell(way, "stopped" if stop else "running", took, last, after)
    check(d.end == errno.ECONNRESET, "the app saw %r, not a reset" % d.end)
    check(took < limit + SLOW, "the cut took %.3f s" % took)
    check(stop or last < limit + SLOW, "the app got bytes for %.3f s" % (last or 0))
    check(not after, "%d bytes were taken after the cut" % after)
    wait_for("the session to end", lambda: not [
        s for s in w.keygate("sessions")[1]["sessions"] if s["id"] == d.j["id"]])


def add_ways():
    for name, (act, limit, alone) in WAYS.items():
        def cuts(w, name=name, act=act, limit=limit):
            try:
                cut(w, name, act, limit, False)
            finally:
                if name in ("policy", "withdrawal"):
                    w.policy(base_policy)
                    w.keygate("reload")

        def cuts_stopped(w, name=name, act=act, limit=alone):
            cut(w, name, act, limit, True)
        test(unguarded(cuts), "custody_%s_cuts" % name)
        if alone:
            test(unguarded(cuts_stopped), "custody_%s_cuts_while_stopped" % name)


add_ways()


# ----------------------------------------------------------------------- rekeys

def meddled(w, port, **env):
    lib = os.path.abspath(os.path.join(tool("keygated"), "../../tests/meddle.so"))
    leaf, proof = w.proofs["good"]
    return w.attester(port, forward=9001, leaf=leaf, proof=proof, program=[
        "env", "LD_PRELOAD=" + lib, *["%s=%s" % e for e in env.items()], tool("keygate-attester"),
        "serve"])


def echo(s, total, got):
    """Sends the pattern, and takes and hashes what comes back."""
    failed = []

    def send():
        try:
            for b in pattern(total):
                s.sendall(b)
        except OSError as e:
            failed.append(e)
    s.sendall(b"E")
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    while got["n"] < total:
        b = s.recv(1 << 18)
        if not b:
            # A socket tells of a reset once, to whichever call comes first.
            sender.join(60)
            if failed:
                raise failed[0]
        check(b, "a clean end after %d bytes" % got["n"])
        got["n"] += len(b)
        got["hash"].update(b)


def closed_since(w, offset):
    """The codes of sessions that ended since the audit record was so long."""
    with open(os.path.join(w.state, "audit.jsonl"), "rb") as f:
        f.seek(offset)
        lines = [json.loads(x) for x in f.read().splitlines()]
    return [x["code"] for x in lines if x["event"] == "session-closed"]


@test
def custody_key_updates(w):
    """A destination that updates both keys every 1000 records: followed where the kernel can, else an
    end that is explained."""
    can = {t["id"]: t["ok"] for t in w.keygate("status")[1]["self_test"]}["ktls.rekey"]
    audit = os.path.getsize(os.path.join(w.state, "audit.jsonl"))
    total, got = REKEY_MIB * MIB, {"n": 0, "hash": hashlib.sha256()}
    p = meddled(w, UPDATE, MEDDLE_UPDATE=str(REKEY_RECORDS))
    try:
        with connect(V4, UPDATE, 600) as s:
            if can:
                echo(s, total, got)
                want = hashlib.sha256()
                for b in pattern(total):
                    want.update(b)
                check(got["hash"].digest() == want.digest(), "other bytes came back")
                rekeys = session_to(w, UPDATE)["rekeys"]
            else:
                try:
                    echo(s, total, got)
                    raise Failure("no rekey was needed")
                except ConnectionResetError:
                    rekeys = {}
        wait_for("the end in the audit record", lambda: closed_since(w, audit))
        codes = closed_since(w, audit)
        print("# %d MiB there and back, a KeyUpdate every %d records: %r, %r" %
              (got["n"] // MIB, REKEY_RECORDS, rekeys, codes))
        check(codes == ["session.end" if can else "relay.key-update"], "it ended by %r" % codes)
        least = total // (REKEY_RECORDS * 16384)
        check(not can or min(rekeys["sent"], rekeys["received"]) >= least, "not %d" % least)
    finally:
        w.stop(p)


# ---------------------------------------------------------------------- secrets

def expand_label(secret, label, n):
    digest = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    info = struct.pack(">HB", n, 6 + len(label)) + b"tls13 " + label + b"\0"
    return hmac.new(secret, info + b"\1", digest).digest()[:n]


def needles(path):
    found = {}
    for line in open(path):
        word = line.split()
        if word[0] not in ("CLIENT_TRAFFIC_SECRET_0", "SERVER_TRAFFIC_SECRET_0"):
            continue
        secret = bytes.fromhex(word[2])
        who = word[0][:6].lower()
        found[who + " secret"] = secret
        for n in ((32,) if len(secret) == 48 else (16, 32)):
            found["%s key %d" % (who, n)] = expand_label(secret, b"key", n)
        found[who + " iv"] = expand_label(secret, b"iv", 12)
    check(len(found) >= 6, "the destination's key log has no traffic secrets")
    return found


def memory(pid):
    """All that a process may have written, piece by piece; pieces overlap by more than a secret. What
    is left out are files that it has mapped and can't write, as its own text."""
    with open("/proc/%d/maps" % pid) as maps, open("/proc/%d/mem" % pid, "rb", 0) as mem:
        for line in maps:
            at, perms, *_, path = (line + " -").split()[:6]
            start, end = (int(x, 16) for x in at.split("-"))
            if perms[0] != "r" or "[v" in line or (perms[1] != "w" and path[0] == "/"):
                continue
            while start < end:
                n = min(end - start, 4 * MIB)
                try:
                    mem.seek(start)
                    yield mem.read(n)
                except OSError:
                    pass
                start += n if start + n == end else n - 64


def search(wanted):
    """role -> which of the secrets lie in its memory"""
    hits = {}
    for name, pid in roles().items():
        total = 0
        for piece in memory(pid):
            total += len(piece)
            for what, b in wanted.items():
                if b in piece:
                    hits.setdefault(name, set()).add(what)
        check(total > MIB // 4, "only %d bytes of %s were readable" % (total, name))
    return hits


def dumped(w, pid, wanted):
    """A core of a role, made by a debugger with root's powers: which secrets it holds."""
    run("gcore", "-o", w.path("core"), str(pid), ok=None, timeout=120)
    files = glob.glob(w.path("core*"))
    check(files, "gcore made no core")
    found = set()
    for f in files:
        with open(f, "rb") as fd:
            data = fd.read()
        found |= {what for what, b in wanted.items() if b in data}
        os.unlink(f)
    return found


@test
@unguarded
def custody_no_secret_stays_in_memory(w):
    log = w.path("keylog")
    p = meddled(w, SECRET, MEDDLE_KEYLOG=log)
    try:
        d = Download(w, SECRET)
        wanted = needles(log)
        hits = search(wanted)
        check(not hits, "in memory after the release: %r" % hits)
        for name, pid in roles().items():
            limits = open("/proc/%d/limits" % pid).read()
            check(re.search(r"Max core file size +0 +0 ", limits), "%s may dump core" % name)
            status = open("/proc/%d/status" % pid).read()
            check(re.search(r"VmSwap:\s+0 kB", status), "%s has pages in swap" % name)
        if shutil.which("gcore"):
            for name in ("keygated", "keygate-relay"):
                found = dumped(w, roles()[name], wanted)
                check(not found, "in a core of %s: %r" % (name, found))
        d.close(w)
    finally:
        w.stop(p)


class Swap:
    """A disk to page out to, which can be read."""

    def __init__(self, w, mib=192):
        self.file = w.path("swap")
        run("modprobe", "loop", ok=None)
        run("truncate", "-s", "%dM" % mib, self.file)
        self.loop = out("losetup", "--show", "-f", self.file)
        run("mkswap", self.loop)
        run("swapon", self.loop)

    def close(self):
        run("swapoff", self.loop, ok=None)
        run("losetup", "-d", self.loop, ok=None)
        os.unlink(self.file)

    def holds(self, needle):
        overlap = b""
        with open(self.loop, "rb") as f:
            while True:
                chunk = f.read(MIB)
                if not chunk:
                    return False
                if needle in overlap + chunk:
                    return True
                overlap = chunk[-len(needle):]


def page_out(pid):
    """All that the kernel lets go of a process's memory; what is locked is not among it."""
    process_madvise, pageout = 440, 21
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.pidfd_open(pid)
    with open("/proc/%d/maps" % pid) as maps:
        for line in maps:
            at, perms = line.split()[:2]
            start, end = (int(x, 16) for x in at.split("-"))
            if perms[:2] == "rw" and "[v" not in line:
                iov = struct.pack("<QQ", start, end - start)
                libc.syscall(process_madvise, fd, iov, ctypes.c_size_t(1), pageout, 0)
    os.close(fd)
    status = open("/proc/%d/status" % pid).read()
    return int(re.search(r"VmSwap:\s+(\d+) kB", status).group(1))


@test
@once("newest")
def custody_no_secret_is_swapped_out(w):
    log = w.path("keylog3")
    p = meddled(w, SWAPPED, MEDDLE_KEYLOG=log)
    swap = Swap(w)
    try:
        d = Download(w, SWAPPED)
        wanted = needles(log)
        sizes = {name: page_out(pid) for name, pid in roles().items()}
        print("#      swapped out: %r kB" % sizes)
        check(min(sizes.values()) > 100, "nothing was swapped out: %r" % sizes)
        run("sync")
        # What is no secret is found: the name of the state directory is in gate's memory.
        check(swap.holds(w.state.encode()), "the search finds nothing at all")
        found = [what for what, b in wanted.items() if swap.holds(b)]
        check(not found, "in swap: %r" % found)
        d.close(w)
    finally:
        swap.close()
        w.stop(p)


@test
@once("newest")
def custody_a_crash_leaves_no_core(w):
    """Not even where the host is set to keep every core."""
    pattern = open("/proc/sys/kernel/core_pattern").read()
    try:
        with open("/proc/sys/kernel/core_pattern", "w") as f:
            f.write(w.path("cores.%e.%p"))
        # Any other program leaves one.
        run("bash", "-c", "ulimit -c unlimited; cd /; sh -c 'kill -SEGV $$'", ok=None)
        check(glob.glob(w.path("cores.*")), "this kernel writes no cores")
        for f in glob.glob(w.path("cores.*")):
            os.unlink(f)
        for name in ROLES:
            pid = roles()[name]
            run("prlimit", "--pid", str(pid), "--core=unlimited:unlimited")
            run("kill", "-SEGV", str(pid))
            wait_for("the end of %s" % name, lambda: w.daemon.poll() is not None)
            wait_for("the end of all roles",
                     lambda: run("pgrep", "-x", "|".join(ROLES), ok=None).returncode == 1)
            w.gate()
        check(not glob.glob(w.path("cores.*")), "cores: %r" % glob.glob(w.path("cores.*")))
    finally:
        with open("/proc/sys/kernel/core_pattern", "w") as f:
            f.write(pattern)


@test
@unguarded
@once("newest")
def custody_the_search_finds_what_is_not_wiped(w):
    """The test above could not fail if it looked in the wrong places."""
    lib = os.path.abspath(os.path.join(tool("keygated"), "../../tests/meddle.so"))
    log = w.path("keylog2")
    w.stop(w.daemon)
    os.environ.update(LD_PRELOAD=lib, MEDDLE_NO_WIPE="1")
    try:
        w.gate()
    finally:
        del os.environ["LD_PRELOAD"], os.environ["MEDDLE_NO_WIPE"]
    p = meddled(w, KEYLOG, MEDDLE_KEYLOG=log)
    try:
        d = Download(w, KEYLOG)
        hits = search(needles(log))
        print("#      without wiping: %r" % {k: sorted(v) for k, v in hits.items()})
        check("server secret" in hits.get("keygated", ()), "not found: %r" % hits)
        d.close(w)
    finally:
        w.stop(p)
        w.stop(w.daemon)
        w.gate()
