# SPDX-License-Identifier: Apache-2.0
"""The kernel's own connections, end to end: NFS and NVMe/TCP, relayed like an application's, and
with the kernel's TLS by its handshake upcall. The servers are the kernel's too (nfsd, nvmet), in the
destination's namespace, behind attesters.
"""
import os
import time

from suite import Skip, canary, check, test
from world import Failure, V4, listening, out, run, wait_for

# By what the policy and the attester there do.
NFS = {"tls": 8720, "tls-swapped": 8721, "relayed": 8722, "relayed-swapped": 8723, "open": 8724}
NVME = {"tls": 8725, "relayed": 8726}
NQN, HOST = "nqn.2024-01.test:disk", "nqn.2024-01.test:host"
HOST_ID = "4d5a2c1e-7b0f-4b6e-9f3d-0a1b2c3d4e5f"
NVMET = "/sys/kernel/config/nvmet"

BLOCK = """
destination "%(name)s" {
	address = {"10.77.0.2"}
	port = {%(ports)s}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = "e2e"
	lease = "10m"
%(more)s}
"""
base_policy = None  # main.py's

NFSD = """
set -e
mount -t nfsd nfsd /proc/fs/nfsd
exportfs -i -o rw,no_root_squash,insecure,no_subtree_check,fsid=0 127.0.0.1:%(dir)s
rpc.nfsd -H 127.0.0.1 -N 3 -G 10 -L 10 4
exec rpc.mountd -F -N 3
"""


def block(name, ports, more=""):
    return BLOCK % {"name": name, "ports": ", ".join('"%d"' % p for p in ports), "more": more}


def policy():
    return (base_policy +
            block("kernel-nfs", [NFS["tls"], NFS["tls-swapped"]], "\tkernel-tls = nfs\n") +
            block("relayed-nfs", [NFS["relayed"], NFS["relayed-swapped"]]) +
            block("kernel-nvme", [NVME["tls"]], "\tkernel-tls = nvme\n") +
            block("relayed-nvme", [NVME["relayed"]]))


def reload_policy(w, text):
    w.policy(text)
    w.keygate("reload")


def build(w):
    """Once, by the first test that needs it; the policy for each."""
    if getattr(w, "kernel_users", False):
        reload_policy(w, policy())
        return
    w.kernel_users = True
    w.export = w.path("export")
    os.makedirs(w.export)
    run("mount", "-t", "tmpfs", "-o", "size=64m", "export", w.export)
    run("modprobe", "nfsd")
    w.start("sh", "-c", NFSD % {"dir": w.export}, ns="dst", log="nfsd.log")
    wait_for("nfsd", lambda: listening(2049, "dst"), 60)
    leaf, proof = w.proofs["good"]
    for name, port in NFS.items():
        w.attester(port, forward=2049, leaf=leaf, proof=proof, extra=("--rpc-tls",),
                   measured=w.swapped if "swapped" in name else None)
    for port in NVME.values():
        w.attester(port, forward=4420, leaf=leaf, proof=proof)
    reload_policy(w, policy())


def upcall(w):
    return w.keygate("status")[1]["handshake_upcall"]


def need_upcall(w):
    build(w)
    if upcall(w) == "unavailable":
        check(not has_family(), "keygate does not see the kernel's family")
        raise Skip("this kernel asks nobody for a TLS handshake")
    check(upcall(w) == "on", "handshake_upcall: %s" % upcall(w))


def has_family():
    with open("/proc/kallsyms") as f:
        return " handshake_nl_accept_doit" in f.read()


def session(w, port):
    live = [s for s in w.keygate("sessions")[1]["sessions"]
            if s["state"] == "live" and s["peer"] == "%s:%d" % (V4, port)]
    check(len(live) == 1, "%d live sessions to %d" % (len(live), port))
    return live[0]


def counter(w, name):
    return w.keygate("status")[1]["counters"][name]


def events(w, name):
    with open(os.path.join(w.state, "audit.jsonl")) as f:
        return [line for line in f if '"%s"' % name in line]


class Mount:
    def __init__(self, w, port, *options, ok=(0,), limit=90):
        self.w, self.dir = w, w.path("mnt-%d" % port)
        os.makedirs(self.dir, exist_ok=True)
        options = ("vers=4.2", "proto=tcp", "port=%d" % port, "addr=" + V4, "clientaddr=10.77.0.1",
                   "soft", "timeo=30", "retrans=1") + options
        self.started = time.monotonic()
        # -i: no helper, so that what is tested is the kernel's.
        self.result = run("timeout", "-k", "5", limit, "mount", "-i", "-t", "nfs4", "-o",
                          ",".join(options), V4 + ":/", self.dir, ok=ok, timeout=limit + 30)
        self.took = time.monotonic() - self.started

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "wb") as f:
            f.write(text)
            f.flush()
            os.fsync(f.fileno())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", "-f", self.dir, ok=None)
        run("umount", "-l", self.dir, ok=None)


def carries(w, m):
    """What is written there arrives, and is on the wire in no readable form."""
    word = canary()
    name = "file-" + word.decode()
    m.write(name, word * 1000)
    with open(os.path.join(w.export, name), "rb") as f:
        check(f.read() == word * 1000, "nfsd has another file")
    answer = canary()
    with open(os.path.join(w.export, "answer-" + name), "wb") as f:
        f.write(answer * 1000)
    with open(m.path("answer-" + name), "rb") as f:
        check(f.read() == answer * 1000, "another file was read")
    for needle in (word, answer, name.encode()):
        check(not w.on_wire(needle), "%r is on the wire in clear" % needle)


# ------------------------------------------------------------------------- NFS

@test
def kernel_nfs_is_relayed(w):
    """Without any word of TLS in the mount: the kernel's connect is an application's."""
    build(w)
    with Mount(w, NFS["relayed"]) as m:
        carries(w, m)
        j = session(w, NFS["relayed"])
        check(j["protected"] and j["app"]["uid"] == 0, "session %r" % j)
    with Mount(w, NFS["relayed-swapped"], ok=None, limit=30) as m:
        check(m.result.returncode != 0, "mounted from a server that runs something else")
    _, verdict, bad = w.refusal(V4, NFS["relayed-swapped"])
    check((verdict, bad) == ("fail", ["policy.measurement"]), "%r %r" % (verdict, bad))


@test
def kernel_nfs_with_tls(w):
    need_upcall(w)
    with Mount(w, NFS["tls"], "xprtsec=tls") as m:
        carries(w, m)
        check(w.on_wire(b"STARTTLS"), "RFC 9289's answer is not in the capture")
        j = session(w, NFS["tls"])
        check(j["app"]["comm"] == "[kernel]", "app %r" % j["app"])
        check(j["protected"] and j["bytes"] is None and j["records"]["sent"] > 10, "%r" % j)
        # Not relayed: what the kernel half gated is the socket that goes out itself.
        local = out("ss", "-tnH", "state", "established", "dst", "%s:%d" % (V4, NFS["tls"]))
        check(len(local.splitlines()) == 1, "connections: %s" % local)
    wait_for("the session to end", lambda: not [
        s for s in w.keygate("sessions")[1]["sessions"] if s["id"] == j["id"]])


@test
def kernel_nfs_with_tls_is_refused(w):
    need_upcall(w)
    with Mount(w, NFS["tls-swapped"], "xprtsec=tls", ok=None, limit=30) as m:
        check(m.result.returncode != 0, "mounted from a server that runs something else")
        check(m.took < 20, "it took %d s to fail" % m.took)
    _, verdict, bad = w.refusal(V4, NFS["tls-swapped"])
    check((verdict, bad) == ("fail", ["policy.measurement"]), "%r %r" % (verdict, bad))
    # None of the keys was given out, so no request followed the evidence.
    check(not [s for s in w.keygate("sessions")[1]["sessions"] if s["state"] == "live" and
               s["peer"].endswith(":%d" % NFS["tls-swapped"])], "a live session")


@test
def kernel_nfs_in_clear_gets_nowhere(w):
    need_upcall(w)
    before = counter(w, "backstop")
    with Mount(w, NFS["tls"], ok=None, limit=15) as m:
        check(m.result.returncode != 0, "mounted without TLS")
    check(counter(w, "backstop") > before, "nothing was dropped")
    # The name that every client tells in its first request.
    check(not w.on_wire(b"Linux NFSv4"), "a request is on the wire in clear")


@test
def kernel_tls_of_others_is_refused(w):
    need_upcall(w)
    for port, option in ((NFS["open"], "xprtsec=tls"), (NFS["tls"], "xprtsec=mtls")):
        with Mount(w, port, option, ok=None, limit=30) as m:
            check(m.result.returncode != 0, "mounted %d with %s" % (port, option))
    for code in ("upcall.destination", "upcall.request"):
        check([e for e in events(w, "upcall-refused") if '"%s"' % code in e], "no " + code)


@test
def kernel_nfs_revoked(w):
    """What is cut stays cut; the client comes back only by a verdict of its own."""
    need_upcall(w)
    with Mount(w, NFS["tls"], "xprtsec=tls") as m:
        first = session(w, NFS["tls"])
        run("keyctl", "revoke", first["key"])
        carries(w, m)
        second = session(w, NFS["tls"])
        check(second["id"] != first["id"], "the session outlived its key")
        # The statement is withdrawn: no way back.
        reload_policy(w, policy().replace("\tkernel-tls = nfs\n",
                                          '\tkernel-tls = nfs\n\tdeny = {"snp:%s"}\n' %
                                          w.measure(w.binary)))
        try:
            word = canary()
            m.write("after", word)
            raise Failure("written after the withdrawal")
        except OSError:
            pass
        finally:
            reload_policy(w, policy())
        check(not os.path.exists(os.path.join(w.export, "after")) and not w.on_wire(word),
              "what was written after the withdrawal has left")


@test
def kernel_nfs_without_keygated(w):
    need_upcall(w)
    w.stop(w.daemon)
    try:
        for option in (("xprtsec=tls",), ()):
            with Mount(w, NFS["tls"], *option, ok=None, limit=15) as m:
                check(m.result.returncode != 0, "mounted without keygated")
    finally:
        w.gate()
    with Mount(w, NFS["tls"], "xprtsec=tls") as m:
        carries(w, m)


# ------------------------------------------------------------------------ NVMe

def put(path, text):
    with open(path, "w") as f:
        f.write(text)


def build_nvme(w):
    """nvmet with a disk of RAM. The socket is made in the namespace of who links the subsystem."""
    build(w)
    if getattr(w, "nvme", False):
        return
    w.nvme = True
    run("modprobe", "brd", "rd_nr=1", "rd_size=16384")
    for module in ("nvmet", "nvmet-tcp", "nvme-tcp"):
        run("modprobe", module)
    subsystem, port = "%s/subsystems/%s" % (NVMET, NQN), NVMET + "/ports/1"
    os.mkdir(subsystem)
    put(subsystem + "/attr_allow_any_host", "1")
    os.mkdir(subsystem + "/namespaces/1")
    put(subsystem + "/namespaces/1/device_path", "/dev/ram0")
    put(subsystem + "/namespaces/1/enable", "1")
    os.mkdir(port)
    for name, value in (("trtype", "tcp"), ("adrfam", "ipv4"), ("traddr", "127.0.0.1"),
                        ("trsvcid", "4420")):
        put("%s/addr_%s" % (port, name), value)
    run("nsenter", "--net=/run/netns/dst", "ln", "-s", subsystem, port + "/subsystems/" + NQN)
    wait_for("nvmet", lambda: listening(4420, "dst"))


class Disk:
    """What `nvme connect` does. OSError: the kernel says no."""

    def __init__(self, port, *options):
        options = ("transport=tcp", "traddr=" + V4, "trsvcid=%d" % port, "nqn=" + NQN,
                   "hostnqn=" + HOST, "hostid=" + HOST_ID, "nr_io_queues=1", "ctrl_loss_tmo=30",
                   "reconnect_delay=1") + options
        fd = os.open("/dev/nvme-fabrics", os.O_RDWR)
        try:
            os.write(fd, ",".join(options).encode())
            answer = os.read(fd, 256).decode()
        finally:
            os.close(fd)
        self.name = "nvme%s" % dict(x.split("=") for x in answer.strip().split(","))["instance"]
        self.block = "/dev/%sn1" % self.name
        wait_for(self.block, lambda: os.path.exists(self.block))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        put("/sys/class/nvme/%s/delete_controller" % self.name, "1")


def disk_carries(w, d):
    word = canary()
    with open(d.block, "r+b", buffering=0) as f:
        f.write((word * 200)[:4096])
        os.fsync(f.fileno())
    # Directly: what is cached of this side's device does not see the target's writes.
    disk = run("dd", "if=/dev/ram0", "iflag=direct", "bs=4096", "count=1").stdout
    check(disk == (word * 200)[:4096], "the target's disk holds something else")
    check(not w.on_wire(word), "the canary is on the wire in clear")
    check(not w.on_wire(NQN.encode()), "the disk's name is on the wire in clear")


@test
def kernel_nvme_is_relayed(w):
    build_nvme(w)
    with Disk(NVME["relayed"]) as d:
        disk_carries(w, d)


@test
def kernel_nvme_with_tls(w):
    build_nvme(w)
    need_upcall(w)
    run("keyctl", "padd", "psk", "NVMe0R01 %s %s" % (HOST, NQN), "%:.nvme", input=os.urandom(32),
        stdin=None)
    with Disk(NVME["tls"], "tls") as d:
        disk_carries(w, d)
        live = [s for s in w.keygate("sessions")[1]["sessions"] if s["state"] == "live" and
                s["peer"].endswith(":%d" % NVME["tls"])]
        check(len(live) == 2 and all(s["protected"] for s in live), "sessions: %r" % live)


@test
def kernel_nvme_in_clear_gets_nowhere(w):
    build_nvme(w)
    need_upcall(w)
    try:
        with Disk(NVME["tls"]):
            pass
        raise Failure("connected without TLS")
    except OSError:
        pass
    check(not w.on_wire(NQN.encode()), "the disk's name is on the wire in clear")
