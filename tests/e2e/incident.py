# SPDX-License-Identifier: Apache-2.0
"""Collateral that comes late, and collateral that turns bad: a TDX machine whose destination sends none
of it, and a mirror of its vendor.
"""
import errno
import json
import os
import shutil
import time

from suite import Skip, check, connect, curl, refused, test
from world import V4, Failure, listening, out, run, tool, wait_for

base_policy = None  # main.py's
PORT, BYTES = 8760, 8761

# What a mirror has, by the names of the platform's directory.
SERVED = {
    "pck-crl.der": "sgx/certification/v4/pckcrl,ca=platform,encoding=der",
    "root-crl.der": "sgx/certification/v4/rootcacrl",
    "qe-identity.json": "tdx/certification/v4/qe/identity",
    "tcb-signing-chain.pem": "sgx/certification/v4/tcb-signing-chain",
}

POLICY = """
collateral "intel" {
	url = "file://@WORLD@/intel/"
	refresh = "1h"
}
anchor "incident" {
	tee = tdx
	file = "../../machine/anchor.pem"
}
destination "incident" {
	address = {"10.77.0.2"}
	port = {"8760-8761"}
	action = gate
	tee = {"tdx"}
	anchor = {"incident"}
	ledger = "platforms"
	lease = "1d"
}
"""


def serve(w, name, file):
    """The vendor publishes a file of the platform's directory."""
    path = SERVED.get(name)
    if not path:
        with open(w.path("machine", name)) as f:
            path = "tdx/certification/v4/tcb,fmspc=" + json.load(f)["tcbInfo"]["fmspc"].lower()
    path = w.path("intel", path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    shutil.copy(w.path("machine", file), path)


def build(w):
    """The machine's own copies of the collateral are replaced by a certificate that says nothing."""
    w.machine = w.path("machine")
    run(os.path.abspath(os.path.join(tool("keygated"), "../../tests/incident")), w.machine)
    for name in [*SERVED, "tcb-info.json"]:
        serve(w, name, name)
    bare = w.path("machine-bare")
    shutil.copytree(w.machine, bare)
    for name in [*SERVED, "tcb-info.json"]:
        shutil.copy(os.path.join(w.machine, "tcb-signing-chain.pem"), os.path.join(bare, name))
    leaf = w.path("platforms-tdx.leaf")
    proof = w.path("platforms-tdx.proof")
    for port, forward in ((PORT, 8080), (BYTES, 9001)):
        w.attester(port, forward=forward, sim=bare, leaf=leaf, proof=proof)


class Session:
    """One that would go on for ever."""

    def __init__(self, w, beside=()):
        self.w = w
        self.s = connect(V4, BYTES)
        self.s.sendall(b"E!")
        check(self.s.recv(1) == b"!", "no echo")
        live = [s for s in w.keygate("sessions")[1]["sessions"] if s["state"] == "live" and
                s["peer"] == "%s:%d" % (V4, BYTES) and s["id"] not in beside]
        check(len(live) == 1, "%d live sessions" % len(live))
        self.id, self.attested = live[0]["id"], live[0]["attested"]

    def goes_on(self):
        self.s.sendall(b"?")
        check(self.s.recv(1) == b"?", "no echo")

    def cut_by(self):
        """Waits for the reset; the code of it."""
        self.s.settimeout(60)
        try:
            check(not self.s.recv(1), "data")
            raise Failure("an end, not a reset")
        except OSError as e:
            check(e.errno == errno.ECONNRESET, "%r" % e)
        with open(os.path.join(self.w.state, "audit.jsonl")) as f:
            cuts = [j for j in map(json.loads, f) if j["event"] == "session-cut" and
                    j["session"] == self.id]
        return cuts[-1]["code"]


def intel(w):
    return [v for v in w.keygate("status")[1]["collateral"] if v["vendor"] == "intel"][0]


def begin(w, more=""):
    if not listening(PORT, "dst"):
        build(w)
    w.policy(base_policy + POLICY.replace('lease = "1d"', 'lease = "1d"' + more))
    w.keygate("reload")


@test
def incident_the_first_connection_waits_for_collateral(w):
    begin(w)
    try:
        check(intel(w)["pieces"] == 0, "something is there already")
        t0 = time.monotonic()
        curl(V4, PORT)
        print("#      %d pieces were fetched meanwhile; all took %.1f s" % (
            intel(w)["pieces"], time.monotonic() - t0))
        check(intel(w)["pieces"] == 4, "%r" % intel(w))  # who signed them stands in for the rest
        curl(V4, PORT)
    finally:
        w.policy(base_policy)
        w.keygate("reload")


@test
def incident_without_an_answer_it_is_refused(w):
    begin(w)
    os.rename(w.path("intel"), w.path("intel-away"))
    shutil.rmtree(os.path.join(w.state, "collateral-cache"), ignore_errors=True)
    w.stop(w.daemon)
    w.gate()
    try:
        t0 = time.monotonic()
        p = curl(V4, PORT, ok=None)
        check(p.returncode != 0, "it passed")
        code, verdict, bad = w.refusing(V4, PORT)
        check((code, verdict) == (3, "unavailable"), "%s by %r" % (verdict, bad))
        print("#      refused after %.1f s, by %r" % (time.monotonic() - t0, [c["id"] for c in bad]))
        # It is said who does not give what is missing.
        check(any("fetches what is missing, but " in c["detail"] for c in bad), "%r" % bad)
    finally:
        os.rename(w.path("intel-away"), w.path("intel"))
        w.policy(base_policy)
        w.keygate("reload")


@test
def incident_a_list_in_the_directory_cuts(w):
    """The administrator does not wait for the vendor's service."""
    begin(w)
    own = w.path("etc/collateral")
    os.makedirs(own, exist_ok=True)
    try:
        s = Session(w)
        w.keygate("reload")
        time.sleep(1)
        s.goes_on()  # a reload by itself takes nothing away
        shutil.copy(w.path("machine/revoked.der"), own)
        w.keygate("reload")
        check(s.cut_by() == "tdx.revocation", "another code")
        refused(w, V4, PORT, "fail", "tdx.revocation")
        os.unlink(os.path.join(own, "revoked.der"))
        w.keygate("reload")
        curl(V4, PORT)
    finally:
        shutil.rmtree(own)
        w.policy(base_policy)
        w.keygate("reload")


@test
def incident_what_rests_on_a_lease_is_cut_too(w):
    begin(w, "\n\tbinder = lease")
    own = w.path("etc/collateral")
    os.makedirs(own, exist_ok=True)
    try:
        first = Session(w)
        second = Session(w, beside=(first.id,))
        check(first.attested is None and second.attested == first.id, "no lease was used")
        shutil.copy(w.path("machine/revoked.der"), own)
        w.keygate("reload")
        for s in (first, second):
            check(s.cut_by() == "tdx.revocation", "another code")
        refused(w, V4, PORT, "fail", "tdx.revocation")
    finally:
        shutil.rmtree(own)
        w.policy(base_policy)
        w.keygate("reload")


@test
def incident_what_is_fetched_in_the_background_cuts(w):
    """Two hours later: the vendor's newer word on firmware. Only the clock is not waited for."""
    if os.uname().nodename != "keygate-vm":
        raise Skip("the clock is only ours in a virtual machine")
    begin(w)
    try:
        s = Session(w)
        serve(w, "tcb-info.json", "out-of-date.json")
        time.clock_settime(time.CLOCK_REALTIME, time.time() + 7200)
        w.keygate("reload")  # plans anew, by the clock
        check(s.cut_by() == "policy.tcb-status", "another code")
        refused(w, V4, PORT, "fail", "policy.tcb-status")
    finally:
        time.clock_settime(time.CLOCK_REALTIME, time.time() - 7200)
        w.policy(base_policy)
        w.keygate("reload")
