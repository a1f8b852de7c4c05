# SPDX-License-Identifier: Apache-2.0
"""Evidence by each transport beside keygate/1, end to end, and what each verdict says of it."""
import os
import shutil

from platforms import measured
from suite import check, passes, test
from world import V4

PORT = {"flashbots": 8700, "atls": 8701, "ra-tls": 8702}
BINDER = {"flashbots": "connection", "atls": "nonce", "ra-tls": "certificate"}

SNP = """
destination "by-%(name)s" {
	address = {"10.77.0.2"}
	port = {"%(port)d"}
	action = gate
	tee = {"snp"}
	anchor = {"sim"}
	ledger = "e2e"
	transport = %(name)s
%(binder)s	lease = "10m"
}
"""

# The quote is all that this one carries: no statement, no proof, and no collateral.
TDX = """
destination "by-flashbots" {
	address = {"10.77.0.2"}
	port = {"%(port)d"}
	action = gate
	tee = {"tdx"}
	anchor = {"sim-tdx"}
	ledger = none
	measurement = {"tdx:%(mrtd)s"}
	register = {"rtmr0=%(rtmr0)s", "rtmr1=%(rtmr1)s", "rtmr2=%(rtmr2)s"}
	transport = flashbots
	lease = "10m"
}
"""


def text(w, weaken=True):
    t = TDX % dict(measured("tdx", w.binary), port=PORT["flashbots"])
    for name in ("atls", "ra-tls"):
        binder = "\tbinder = %s\n" % BINDER[name] if weaken else ""
        t += SNP % {"name": name, "port": PORT[name], "binder": binder}
    return t


def start(w):
    leaf, proof = w.proofs["good"]
    for name, port in PORT.items():
        kw = {"sim": w.path("tee-tdx")} if name == "flashbots" else {"leaf": leaf, "proof": proof}
        w.attester(port, extra=("--transport", name), **kw)


def verdict(w, port):
    return w.keygate("explain", "%s:%d" % (V4, port))[1]["last"]["verdict"]


def add_tests():
    @test
    def transport_weaker_than_the_binder_is_an_error(w):
        w.write("etc/policy.d/30-transports.conf", text(w, weaken=False))
        try:
            _, j = w.keygate("reload", ok=(1,))
            check(any("binder" in i["text"] for i in j["issues"]), "issues %r" % j["issues"])
        finally:
            os.unlink(w.path("etc/policy.d/30-transports.conf"))

    @test
    def transports_of_others(w):
        start(w)
        os.makedirs(w.path("etc/collateral"))
        for name in ("tcb-info.json", "qe-identity.json", "tcb-signing-chain.pem", "pck-crl.der",
                     "root-crl.der"):
            shutil.copy(w.path("tee-tdx", name), w.path("etc/collateral"))
        w.write("etc/policy.d/30-transports.conf", text(w))
        try:
            w.keygate("reload")
            for name, port in PORT.items():
                passes(w, V4, port)
                v = verdict(w, port)
                check(v["binder"] == BINDER[name], "%s: binder %s" % (name, v["binder"]))
                weak = [t for t in v["loosened"] if t.startswith("binder")]
                check(bool(weak) == (BINDER[name] != "connection"),
                      "%s: loosenings %r" % (name, v["loosened"]))
        finally:
            os.unlink(w.path("etc/policy.d/30-transports.conf"))
            shutil.rmtree(w.path("etc/collateral"))
            w.keygate("reload")
