# SPDX-License-Identifier: Apache-2.0
"""A Sigstore of our own: an authority, a certificate log and a transparency log, made with openssl,
and bundles of statements that somebody signed; and signed releases end to end.
"""
import base64
import hashlib
import json
import os
import time

from suite import check, curl, passes, refused, test
from world import V4, run

ISSUER = "https://issuer.test"
SAN = "https://git.test/acme/service/release.yml@refs/tags/v1.0"
PORT = {"good": 8720, "stranger": 8721, "none": 8722, "swapped": 8723, "altered": 8724}

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
	anchor = {"sim"}
	ledger = none
	release = "acme"
	lease = "10m"
}
"""

EXTENSIONS = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=codeSigning
subjectAltName=critical,URI:%s
1.3.6.1.4.1.57264.1.8=ASN1:UTF8String:%s
1.3.6.1.4.1.57264.1.12=ASN1:UTF8String:https://git.test/acme/service
1.3.6.1.4.1.57264.1.14=ASN1:UTF8String:refs/tags/v1.0
"""


def b64(b):
    return base64.b64encode(b).decode()


def sha256(b):
    return hashlib.sha256(b).digest()


# ----------------------------------------------------------------------- DER

def der(tag, content):
    n = len(content)
    if n < 128:
        return bytes([tag, n]) + content
    size = n.to_bytes((n.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + content


def items(b):
    """The elements of a constructed value: (tag, content, whole)."""
    while b:
        n, at = b[1], 2
        if n & 0x80:
            at += n & 0x7f
            n = int.from_bytes(b[2:at], "big")
        yield b[0], b[at:at + n], b[:at + n]
        b = b[at + n:]


# ------------------------------------------------------------------ Sigstore

class Sigstore:
    def __init__(self, directory):
        self.dir = directory
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        for name in ("ca", "ct", "log"):
            self.key(name)
        self.openssl("req", "-x509", "-key", self.path("ca.key"), "-subj", "/CN=authority", "-days",
                     "2", "-addext", "keyUsage=critical,keyCertSign", "-outform", "DER", "-out",
                     self.path("ca.der"))
        span = {"start": "2020-01-01T00:00:00Z"}

        def log(name, url):
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256",
                    "publicKey": {"rawBytes": b64(self.spki(name)), "validFor": span,
                                  "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
                    "logId": {"keyId": b64(sha256(self.spki(name)))}}
        self.write("root.json", json.dumps({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("log", "https://log.test")], "ctlogs": [log("ct", "https://ct.test")],
            "certificateAuthorities": [{"validFor": span, "certChain": {"certificates": [
                {"rawBytes": b64(self.read("ca.der"))}]}}]}).encode())

    def path(self, name):
        return os.path.join(self.dir, name)

    def read(self, name):
        with open(self.path(name), "rb") as f:
            return f.read()

    def write(self, name, content):
        with open(self.path(name), "wb") as f:
            f.write(content)
        return self.path(name)

    @staticmethod
    def openssl(*argv):
        return run("openssl", *argv).stdout

    def key(self, name):
        self.openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                     self.path(name + ".key"))

    def spki(self, name):
        return self.openssl("pkey", "-in", self.path(name + ".key"), "-pubout", "-outform", "DER")

    def sign(self, name, message):
        return self.openssl("dgst", "-sha256", "-sign", self.path(name + ".key"),
                            self.write("message", message))

    def certificate(self, san):
        """By the authority, with a time stamp of the certificate log in it (RFC 6962)."""
        self.key("leaf")
        self.write("extensions", (EXTENSIONS % (san, ISSUER)).encode())
        self.openssl("req", "-new", "-key", self.path("leaf.key"), "-subj", "/CN=x", "-out",
                     self.path("leaf.csr"))
        self.openssl("x509", "-req", "-in", self.path("leaf.csr"), "-CAform", "DER", "-CA",
                     self.path("ca.der"), "-CAkey", self.path("ca.key"), "-set_serial", "7",
                     "-days", "1", "-extfile", self.path("extensions"), "-outform", "DER", "-out",
                     self.path("pre.der"))
        ((_, cert, _),) = items(self.read("pre.der"))
        (_, content, tbs), (_, _, algorithm), _ = items(cert)
        stamp = int(time.time() * 1000).to_bytes(8, "big")
        signed = (b"\0\0" + stamp + b"\0\1" + sha256(self.spki("ca")) +
                  len(tbs).to_bytes(3, "big") + tbs + b"\0\0")
        sig = self.sign("ct", signed)
        sct = (b"\0" + sha256(self.spki("ct")) + stamp + b"\0\0\4\3" + len(sig).to_bytes(2, "big") +
               sig)
        sct = len(sct).to_bytes(2, "big") + sct
        extension = der(0x30, bytes.fromhex("060a2b06010401d679020402") +
                        der(4, der(4, len(sct).to_bytes(2, "big") + sct)))
        *before, (_, extensions, _) = items(content)
        ((_, listed, _),) = items(extensions)
        tbs = der(0x30, b"".join(whole for _, _, whole in before) +
                  der(0xa3, der(0x30, listed + extension)))
        return der(0x30, tbs + algorithm + der(3, b"\0" + self.sign("ca", tbs)))

    def bundle(self, name, payload, san=SAN, logged=None):
        """The signed statement, in the log; `logged`: what the log was told that it is."""
        kind = "application/vnd.in-toto+json"
        cert = self.certificate(san)
        sig = self.sign("leaf", b"DSSEv1 %d %s %d " % (len(kind), kind.encode(), len(payload)) +
                        payload)
        pem = ("-----BEGIN CERTIFICATE-----\n" +
               "".join(b64(cert)[i:i + 64] + "\n" for i in range(0, len(b64(cert)), 64)) +
               "-----END CERTIFICATE-----\n").encode()
        body = json.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "payloadHash": {"algorithm": "sha256", "value": sha256(logged or payload).hex()},
            "signatures": [{"signature": b64(sig), "verifier": b64(pem)}]}},
            separators=(",", ":")).encode()
        now, log_id = int(time.time()), sha256(self.spki("log"))
        note = ("log.test - 1\n1\n%s\n" % b64(sha256(b"\0" + body))).encode()
        line = "\n\u2014 log.test %s\n" % b64(log_id[:4] + self.sign("log", note))
        promise = '{"body":"%s","integratedTime":%d,"logID":"%s","logIndex":0}' % (
            b64(body), now, log_id.hex())
        return self.write(name, json.dumps({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(cert)},
                "tlogEntries": [{
                    "logIndex": "0", "logId": {"keyId": b64(log_id)},
                    "kindVersion": {"kind": "dsse", "version": "0.0.1"},
                    "integratedTime": str(now),
                    "inclusionPromise": {
                        "signedEntryTimestamp": b64(self.sign("log", promise.encode()))},
                    "inclusionProof": {"logIndex": "0", "treeSize": "1", "hashes": [],
                                       "checkpoint": {"envelope": note.decode() + line}},
                    "canonicalizedBody": b64(body)}]},
            "dsseEnvelope": {"payload": b64(payload), "payloadType": kind,
                             "signatures": [{"sig": b64(sig)}]}}).encode())


# --------------------------------------------------------------------- tests

def build(w):
    """Attesters that staple a bundle of the release, of a stranger, of what it is not, or none."""
    s = Sigstore(w.path("sigstore"))
    with open(w.proofs["good"][0], "rb") as f:
        statement = f.read()
    good = s.bundle("good", statement)
    bundles = {"good": good, "swapped": good,
               "stranger": s.bundle("stranger", statement, san="https://git.test/eve/release.yml"),
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
