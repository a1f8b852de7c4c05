# SPDX-License-Identifier: Apache-2.0
"""A Sigstore of our own, made with openssl: an authority, a certificate log and a transparency log,
and bundles of what somebody signed. Each argument of Sigstore.bundle but the first two is a flaw, or
another kind of bundle.
"""
import base64
import hashlib
import json
import os
import subprocess
import time

ISSUER = "https://issuer.test"
SAN = "https://git.test/acme/service/release.yml@refs/tags/v1.0"
IN_TOTO = "application/vnd.in-toto+json"

EXTENSIONS = """
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=%s
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

# Kinds of keys, and what they sign with.
KEYS = {"P-256": ("EC", "ec_paramgen_curve:P-256", "-sha256"),
        "P-384": ("EC", "ec_paramgen_curve:P-384", "-sha384"),
        "RSA-2048": ("RSA", "rsa_keygen_bits:2048", "-sha256"),
        "RSA-1024": ("RSA", "rsa_keygen_bits:1024", "-sha256"),
        "Ed25519": ("ED25519", None, None),
        "Ed448": ("ED448", None, None)}


class Sigstore:
    def __init__(self, directory, log="P-256"):
        """log: the kind of the log's key."""
        self.dir = directory
        self.kinds = {}
        os.makedirs(directory)
        os.chmod(directory, 0o755)
        for name in ("ca", "stranger", "ct"):
            self.key(name)
        self.key("log", log)
        self.key("strange", "Ed448")
        for name in ("ca", "stranger"):
            self.openssl("req", "-x509", "-key", self.path(name + ".key"), "-subj", "/CN=authority",
                         "-days", "2", "-addext", "keyUsage=critical,keyCertSign", "-outform",
                         "DER", "-out", self.path(name + ".der"))
        self.root("root.json")

    def root(self, name, ended=None, strange=None):
        """The trusted root; of "ca", "ct" or "log", `ended` is the one whose time is over, and
        `strange` the log that has a key of a kind that nobody knows."""
        def span(of):
            s = {"start": "2020-01-01T00:00:00Z"}
            return {**s, "end": "2021-01-01T00:00:00Z"} if of == ended else s

        def log(of, url):
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256",
                    "publicKey": {"rawBytes": b64(self.spki("strange" if of == strange else of)),
                                  "validFor": span(of),
                                  "keyDetails": "PKIX_ECDSA_P256_SHA_256"},
                    "logId": {"keyId": b64(sha256(self.spki(of)))}}
        return self.write(name, json.dumps({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("log", "https://log.test")], "ctlogs": [log("ct", "https://ct.test")],
            "certificateAuthorities": [{"validFor": span("ca"), "certChain": {"certificates": [
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
        return subprocess.run(("openssl",) + argv, check=True, capture_output=True).stdout

    def key(self, name, kind="P-256"):
        algorithm, option, _ = KEYS[kind]
        self.kinds[name] = kind
        self.openssl("genpkey", "-algorithm", algorithm, *(["-pkeyopt", option] if option else []),
                     "-out", self.path(name + ".key"))

    def spki(self, name):
        return self.openssl("pkey", "-in", self.path(name + ".key"), "-pubout", "-outform", "DER")

    def sign(self, name, message):
        digest = KEYS[self.kinds[name]][2]
        if not digest:
            return self.openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.path(name + ".key"),
                                "-in", self.write("message", message))
        return self.openssl("dgst", digest, "-sign", self.path(name + ".key"),
                            self.write("message", message))

    def certificate(self, san=SAN, usage="codeSigning", ca="ca", ct="ct", kind="P-256"):
        """By an authority, with a time stamp that a certificate log signed in it (RFC 6962)."""
        self.key("leaf", kind)
        self.write("extensions", (EXTENSIONS % (usage, san, ISSUER)).encode())
        self.openssl("req", "-new", "-key", self.path("leaf.key"), "-subj", "/CN=x", "-out",
                     self.path("leaf.csr"))
        self.openssl("x509", "-req", "-in", self.path("leaf.csr"), "-CAform", "DER", "-CA",
                     self.path(ca + ".der"), "-CAkey", self.path(ca + ".key"), "-set_serial", "7",
                     "-days", "1", "-extfile", self.path("extensions"), "-outform", "DER", "-out",
                     self.path("pre.der"))
        ((_, cert, _),) = items(self.read("pre.der"))
        (_, content, tbs), (_, _, algorithm), _ = items(cert)
        stamp = int(time.time() * 1000).to_bytes(8, "big")
        signed = (b"\0\0" + stamp + b"\0\1" + sha256(self.spki(ca)) +
                  len(tbs).to_bytes(3, "big") + tbs + b"\0\0")
        sig = self.sign(ct, signed)
        sct = (b"\0" + sha256(self.spki("ct")) + stamp + b"\0\0\4\3" + len(sig).to_bytes(2, "big") +
               sig)
        sct = len(sct).to_bytes(2, "big") + sct
        extension = der(0x30, bytes.fromhex("060a2b06010401d679020402") +
                        der(4, der(4, len(sct).to_bytes(2, "big") + sct)))
        *before, (_, extensions, _) = items(content)
        ((_, listed, _),) = items(extensions)
        tbs = der(0x30, b"".join(whole for _, _, whole in before) +
                  der(0xa3, der(0x30, listed + extension)))
        return der(0x30, tbs + algorithm + der(3, b"\0" + self.sign(ca, tbs)))

    @staticmethod
    def body(kind, signed, sig, cert):
        """What the log holds, of each kind that logs who signed."""
        pem = ("-----BEGIN CERTIFICATE-----\n" +
               "".join(b64(cert)[i:i + 64] + "\n" for i in range(0, len(b64(cert)), 64)) +
               "-----END CERTIFICATE-----\n").encode()
        digest = {"algorithm": "sha256", "value": sha256(signed).hex()}
        if kind == "dsse":
            version, spec = "0.0.1", {"payloadHash": digest, "signatures": [
                {"signature": b64(sig), "verifier": b64(pem)}]}
        elif kind == "intoto":
            version, spec = "0.0.2", {"content": {"payloadHash": digest, "envelope": {
                "payloadType": IN_TOTO, "signatures": [
                    {"publicKey": b64(pem), "sig": b64(b64(sig).encode())}]}}}
        else:
            version, spec = "0.0.1", {"data": {"hash": digest}, "signature": {
                "content": b64(sig), "publicKey": {"content": b64(pem)}}}
        return version, json.dumps({"apiVersion": version, "kind": kind, "spec": spec},
                                   separators=(",", ":")).encode()

    def bundle(self, name, payload, kind="dsse", cert=None, signed=None, logged=None,
               logged_sig=None, logged_cert=None, at=0, origin="log.test - 1", note_by="log",
               promise_by="log", root=None):
        """kind "hashedrekord" is the signature of an artifact, the others are of a statement.
        signed, logged...: what was signed, or logged, in place of what it should be."""
        cert = cert or self.certificate()
        message = signed or payload
        if kind != "hashedrekord":
            message = b"DSSEv1 %d %s %d " % (len(IN_TOTO), IN_TOTO.encode(), len(message)) + message
        sig = self.sign("leaf", message)
        version, body = self.body(kind, logged or payload, logged_sig or sig, logged_cert or cert)
        now, log_id = int(time.time()) + at, sha256(self.spki("log"))
        note = ("%s\n1\n%s\n" % (origin, b64(root or sha256(b"\0" + body)))).encode()
        line = "\n\u2014 log.test %s\n" % b64(log_id[:4] + self.sign(note_by, note))
        promise = '{"body":"%s","integratedTime":%d,"logID":"%s","logIndex":0}' % (
            b64(body), now, log_id.hex())
        if kind == "hashedrekord":
            content = {"messageSignature": {"messageDigest": {
                "algorithm": "SHA2_256", "digest": b64(sha256(payload))}, "signature": b64(sig)}}
        else:
            content = {"dsseEnvelope": {"payload": b64(payload), "payloadType": IN_TOTO,
                                        "signatures": [{"sig": b64(sig)}]}}
        return self.write(name, json.dumps({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": b64(cert)},
                "tlogEntries": [{
                    "logIndex": "0", "logId": {"keyId": b64(log_id)},
                    "kindVersion": {"kind": kind, "version": version},
                    "integratedTime": str(now),
                    "inclusionPromise": {
                        "signedEntryTimestamp": b64(self.sign(promise_by, promise.encode()))},
                    "inclusionProof": {"logIndex": "0", "treeSize": "1", "hashes": [],
                                       "checkpoint": {"envelope": note.decode() + line}},
                    "canonicalizedBody": b64(body)}]},
            **content}).encode())
