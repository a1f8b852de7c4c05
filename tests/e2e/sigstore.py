# SPDX-License-Identifier: Apache-2.0
"""Signed releases end to end, by a Sigstore of our own."""
import os

from sigstore_maker import ISSUER, Sigstore
from suite import check, curl, passes, refused, test
from world import V4

PORT = {"good": 8770, "stranger": 8771, "none": 8772, "swapped": 8773, "altered": 8774}

POLICY = """
release "acme" {
	trusted-root = "@WORLD@/sigstore/root.json"
	issuer = "%(issuer)s"
	san = "https://git.test/acme/service/release.yml@refs/tags/*"
	repository = "acme/service"
	ref = "refs/tags/v*"
	predicate-type = "https://ledger.example/predicate/tee-measurement/v1"
}
destination "released" {
	address = {"10.77.0.2"}
	port = {"%(lo)d-%(hi)d"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = none
	release = "acme"
	lease = "10m"
}
"""

# --------------------------------------------------------------------- tests

def build(w):
    """Attesters that staple a bundle of the release, of a stranger, of what it is not, or none."""
    s = Sigstore(w.path("sigstore"))
    with open(w.proofs["good"][0], "rb") as f:
        statement = f.read()
    good = s.bundle("good", statement)
    bundles = {"good": good, "swapped": good,
               "stranger": s.bundle("stranger", statement, cert=s.certificate("https://git.test/eve/release.yml")),
               "altered": s.bundle("altered", statement, logged=b"{}"), "none": None}
    for name, port in PORT.items():
        extra = ("--bundle", bundles[name]) if bundles[name] else ()
        w.attester(port, measured=w.swapped if name == "swapped" else None, extra=extra)
    text = POLICY % {"issuer": ISSUER, "lo": min(PORT.values()), "hi": max(PORT.values())}
    w.write("etc/policy.d/40-released.conf", text.replace("@WORLD@", w.dir))


def add_tests():
    @test
    def releases_that_are_signed(w):
        build(w)
        try:
            w.keygate("reload")
            passes(w, V4, PORT["good"])
            v = w.keygate("explain", "%s:%d" % (V4, PORT["good"]))[1]["last"]["verdict"]
            check(any("no witness vouches" in t for t in v["loosened"]),
                  "loosenings %r" % v["loosened"])
            refused(w, V4, PORT["none"], "unavailable", "policy.release")
            refused(w, V4, PORT["swapped"], "fail", "policy.measurement")
            for name, ident in (("stranger", "sigstore.san"), ("altered", "sigstore.body")):
                curl(V4, PORT[name], ok=None)
                _, verdict, bad = w.refusal(V4, PORT[name])
                check(verdict == "fail" and bad == [ident, "policy.release"],
                      "%s: %s, refused by %s" % (name, verdict, bad))
        finally:
            os.unlink(w.path("etc/policy.d/40-released.conf"))
            w.keygate("reload")
