# SPDX-License-Identifier: Apache-2.0
"""Evidence by each transport beside keygate/1, end to end, and what each verdict says of it."""
import json
import os
import shutil

from platforms import measured
from suite import canary, check, curl, passes, refused, test
from world import V4, V6, inside, listening, out, run, tool, wait_for

PORT = {"flashbots": 8700, "atls": 8701, "ra-tls": 8702}
BINDER = {"flashbots": "connection", "atls": "nonce", "ra-tls": "certificate"}

SNP = """
destination "by-%(name)s" {
	address = {"10.77.0.2"}
	port = {"%(port)d"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
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

# Whoever ends TLS in front of the enclave, or is none: nginx, with a key of its own. Lets through
# what the enclave says; has no such document; ends each connection.
WELL_KNOWN = {"good": 8710, "relayed": 8711, "proxied": 8712, "absent": 8713, "closing": 8714}
BY_KEY = 8715
DOCUMENT = "/.well-known/tinfoil-attestation"

PROXY = """
daemon off; worker_processes 1; pid %(dir)s/proxy.pid; error_log %(dir)s/proxy.err; user root;
events { worker_connections 64; }
http {
	access_log off; client_body_temp_path %(dir)s/f; proxy_temp_path %(dir)s/g;
	fastcgi_temp_path %(dir)s/h; uwsgi_temp_path %(dir)s/i; scgi_temp_path %(dir)s/j;
	ssl_certificate %(dir)s/proxy.pem; ssl_certificate_key %(dir)s/proxy.key;
	ssl_protocols TLSv1.3;
	server {
		listen [::]:%(proxied)d ssl ipv6only=off;
		location / { proxy_pass https://127.0.0.1:%(good)d; proxy_http_version 1.1;
			     proxy_ssl_protocols TLSv1.3; }
	}
	server {
		listen [::]:%(absent)d ssl ipv6only=off;
		location / { return 200 "stored\\n"; }
		location /.well-known { return 404; }
	}
	server {
		listen [::]:%(closing)d ssl ipv6only=off; keepalive_timeout 0;
		location / { return 200 "stored\\n"; }
	}
}
"""

DOCUMENTS = """
destination "by-well-known" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"%(lo)d-%(hi)d"}
	action = gate
	tee = {"snp"}
	min-tcb = {"snp=22", "microcode=213"}
	anchor = {"sim"}
	ledger = none
	measurement = {"snp:%(measurement)s"}
	transport = well-known
	binder = certificate
	lease = "10m"
}
"""


def start_documents(w):
    liar = os.path.abspath(os.path.join(tool("keygated"), "../../tests/liar"))
    extra = ("--transport", "well-known")
    w.attester(WELL_KNOWN["good"], extra=extra)
    w.attester(WELL_KNOWN["relayed"], extra=extra, program=[liar, "other-key"])
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-subj", "/CN=proxy", "-keyout", w.path("proxy.key"), "-out", w.path("proxy.pem"))
    w.start("nginx", "-c", w.write("proxy.conf", PROXY % dict(WELL_KNOWN, dir=w.dir)), ns="dst",
            log="proxy.log")
    wait_for("the proxy", lambda: listening(WELL_KNOWN["closing"], "dst"))


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

    @test
    def documents_by_http(w):
        start_documents(w)
        w.write("etc/policy.d/30-documents.conf", DOCUMENTS % {
            "lo": min(WELL_KNOWN.values()), "hi": max(WELL_KNOWN.values()),
            "measurement": w.measure(w.binary)})
        try:
            w.keygate("reload")
            for host in (V4, V6):
                passes(w, host, WELL_KNOWN["good"])
                p = curl(host, WELL_KNOWN["good"])
                check(p.stdout == b"hello from the attested service\n", "page: %r" % p.stdout)
            v = verdict(w, WELL_KNOWN["good"])
            check(v["binder"] == "nonce", "binder %s" % v["binder"])
            check(any(t.startswith("binder = certificate") for t in v["loosened"]),
                  "loosenings %r" % v["loosened"])
            for host in (V4, V6):
                refused(w, host, WELL_KNOWN["relayed"], "fail", "snp.report-data")
                refused(w, host, WELL_KNOWN["proxied"], "fail", "wellknown.key-binding")
                refused(w, host, WELL_KNOWN["absent"], "fail", "wellknown.status")
            ends(w)
            probed(w)
            bystanders(w)
        finally:
            os.unlink(w.path("etc/policy.d/30-documents.conf"))
            w.keygate("reload")

    @test
    def documents_by_http_once_for_a_key(w):
        """binder = lease-key: the second connection shows the key that the first one attested."""
        p = w.attester(BY_KEY, extra=("--transport", "well-known"))
        w.write("etc/policy.d/30-documents.conf", DOCUMENTS.replace("certificate", "lease-key") % {
            "lo": BY_KEY, "hi": BY_KEY, "measurement": w.measure(w.binary)})
        try:
            w.keygate("reload")
            for host in (V4, V6):
                for binder in ("nonce", "lease-key", "lease-key"):
                    passes(w, host, BY_KEY)
                    check(verdict(w, BY_KEY)["binder"] == binder, "%s, not %s" % (
                        verdict(w, BY_KEY)["binder"], binder))
                check(any(t.startswith("binder = lease-key: no evidence on this connection")
                          for t in verdict(w, BY_KEY)["loosened"]), "no loosening names it")
            leases = w.keygate("leases")[1]["leases"]
            check([(k["binder"], k["uses"]) for k in leases] == [("lease-key", 2)] * 2,
                  "leases %r" % leases)
            # Another key has to show a document, and is what counts from then on.
            w.stop(p)
            p = w.attester(BY_KEY, extra=("--transport", "well-known"))
            for binder in ("nonce", "lease-key"):
                passes(w, V4, BY_KEY)
                check(verdict(w, BY_KEY)["binder"] == binder, "%s behind another key" %
                      verdict(w, BY_KEY)["binder"])
            # And one behind which is no genuine platform gets nowhere.
            w.stop(p)
            p = w.attester(BY_KEY, extra=("--transport", "well-known"), program=[
                os.path.abspath(os.path.join(tool("keygated"), "../../tests/liar")), "other-key"])
            refused(w, V4, BY_KEY, "fail", "snp.report-data")
        finally:
            w.stop(p)
            os.unlink(w.path("etc/policy.d/30-documents.conf"))
            w.keygate("reload")


def ends(w):
    """A server that does not keep the connection."""
    word = canary()
    for host in (V4, V6):
        p = curl(host, WELL_KNOWN["closing"], "--data-binary", word.decode(), path="/upload",
                 ok=None)
        check(p.returncode != 0, "curl got an answer: %r" % p.stdout)
    _, j = w.keygate("explain", "%s:%d" % (V4, WELL_KNOWN["closing"]), ok=(3,))
    check(j["last"]["code"] == "handover.close", "refused by %s" % j["last"]["code"])
    check(not w.on_wire(word), "the canary is on the wire in clear")


def probed(w):
    """What a person would do first, and the policy that comes of it."""
    for target in ("%s:%d" % (V4, WELL_KNOWN["good"]), "[%s]:%d" % (V6, WELL_KNOWN["good"])):
        _, j = w.keygate("probe", "--transport", "well-known", "--anchor", w.path("tee/ark.pem"),
                         target, ok=(0, 3))
        check((j["transport"], j["binder"]) == ("well-known", "nonce"), "probe: %r" % j)
        check("= well-known" in j["stanza"] and "= nonce" in j["stanza"], "stanza: %r" % j["stanza"])


def bystanders(w):
    """Clients that are no keygate have the service, and the document as any server would give it."""
    at = "https://127.0.0.1:%d" % WELL_KNOWN["good"]
    dst = (*inside("dst"), "curl", "-sSk", "--max-time", "20")
    check(out(*dst, "--data-binary", "x", at + "/upload") == "stored", "the service is not reached")
    check(json.loads(out(*dst, at + DOCUMENT))["format"] ==
          "https://tinfoil.sh/predicate/sev-snp-guest/v2", "no document")
    # One connection: the document, then the service.
    check(out(*dst, at + DOCUMENT, "-o", "/dev/null", at + "/upload", "-o", "-") == "stored",
          "nothing behind the document")
