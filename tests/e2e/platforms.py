# SPDX-License-Identifier: Apache-2.0
"""Every platform but SNP, end to end, each with a ledger that names its registers; and collateral
that is fetched in the background.
"""
import json
import os
import shutil

from suite import check, passes, refused, test
from world import V4, V6, made, out, run, tlog_policy, tool, wait_for

TEES = ("tdx", "sgx", "cca", "nitro")
# The bit of "attributes" that lets the host debug a guest.
DEBUG = {"tdx": 1, "sgx": 2}
CASES = ["good", "swapped", "replay", "debug"]
PORT = {(t, c): 8600 + 10 * i + k for i, t in enumerate(TEES) for k, c in enumerate(CASES)}

POLICY = """
ledger "platforms" {
	policy = "../platforms.tlog-policy"
	max-age = "24h"
	url = "file://@WORLD@/platforms"
}
"""

DESTINATION = """
anchor "sim-%(tee)s" {
	tee = %(tee)s
	file = "../../tee-%(tee)s/anchor.pem"
}
destination "service-%(tee)s" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"%(lo)d-%(hi)d"}
	action = gate
	tee = {"%(tee)s"}
	anchor = {"sim-%(tee)s"}
	ledger = "platforms"
	lease = "10m"
%(more)s}
"""


# What the publisher of a release has to name; what else there is says who signed it or where it
# runs, or is the owner's of the platform to pin.
KNOWN = {"tdx": ("mrtd", "rtmr0", "rtmr1", "rtmr2"), "sgx": ("mrenclave",), "cca": ("rim",),
         "nitro": ("pcr0",)}


def measured(tee, path):
    lines = out(tool("keygate-attester"), "measure", "--tee", tee, path).splitlines()
    return dict(line.split("=") for line in lines)


def registers(tee, path):
    m = measured(tee, path)
    return ["--register=%s.%s=%s" % (tee, n, m[n]) for n in KNOWN[tee]]


def pins(tee, path):
    """The firmware of the machine is no part of a release: the policy says which one it takes."""
    if tee != "cca":
        return ""
    return "\tregister = {\"cca.platform-sw=%s\"}\n" % measured(tee, path)["platform-sw"]


def leaf_of(w, tee):
    path = w.path("platforms-%s.leaf" % tee)
    with open(path, "wb") as f:
        f.write(run(tool("keygate-log"), "statement", *registers(tee, w.binary), "--subject",
                    "service", "--version", "1.0").stdout)
    return path


def debug_copy(w, tee):
    sim = w.path("tee-%s-debug" % tee)
    shutil.copytree(w.path("tee-" + tee), sim)
    desc = os.path.join(sim, "platform.json")
    with open(desc) as f:
        j = json.load(f)
    j["attributes"] |= DEBUG[tee]
    with open(desc, "w") as f:
        json.dump(j, f)
    return sim


def build(w):
    """Platforms, one log for all of them, attesters, and the policy's second file."""
    log = w.ledger("platforms", origin="log.test/platforms")
    leaves = {}
    for tee in TEES:
        shutil.copytree(made("tee-" + tee), w.path("tee-" + tee))
        leaves[tee] = leaf_of(w, tee)
    log.append(*leaves.values())
    log.publish()
    log.cosign(w.witnesses)
    liar = os.path.abspath(os.path.join(tool("keygated"), "../../tests/liar"))
    for (tee, case), port in PORT.items():
        kw = {"sim": w.path("tee-" + tee), "leaf": leaves[tee],
              "proof": log.prove(leaves[tee], "platforms-%s.proof" % tee)}
        if case == "debug" and tee not in DEBUG:
            continue
        if case == "debug":
            kw["sim"] = debug_copy(w, tee)
        elif case == "swapped":
            kw["measured"] = w.swapped
        elif case == "replay":
            kw["program"] = [liar, "replay"]
        w.attester(port, **kw)
    w.write("etc/platforms.tlog-policy", tlog_policy([log.vkey], w.witnesses, 2))
    text = POLICY.replace("@WORLD@", w.dir)
    for tee in TEES:
        ports = [p for (t, _), p in PORT.items() if t == tee]
        text += DESTINATION % {"tee": tee, "lo": min(ports), "hi": max(ports),
                               "more": pins(tee, w.binary)}
    w.write("etc/policy.d/20-platforms.conf", text)


# --------------------------------------------------------------------- tests

def add(tee, host, family):
    def replays(w):
        run("curl", "-s", "-m", "30", "http://%s:%d/" % (host if host == V4 else "[%s]" % host,
                                                       PORT[tee, "replay"]), ok=None)
        refused(w, host, PORT[tee, "replay"], "fail", tee + ".report-data")
    test(lambda w: passes(w, host, PORT[tee, "good"]), "%s_%s_pass" % (family, tee))
    test(lambda w: refused(w, host, PORT[tee, "swapped"], "fail", "policy.measurement"),
         "%s_%s_swapped" % (family, tee))
    test(replays, "%s_%s_replay" % (family, tee))
    if tee in DEBUG:
        test(lambda w: refused(w, host, PORT[tee, "debug"], "fail", tee + ".debug"),
             "%s_%s_debug" % (family, tee))


def add_tests():
    for tee in TEES:
        add(tee, V4, "ipv4")
    # Evidence does not know how it came; SNP's cases go both ways, too.
    add(TEES[0], V6, "ipv6")


def mirror(w):
    """A directory that serves the certificate that the bare platform does not send."""
    with open(w.path("tee", "platform.json")) as f:
        j = json.load(f)
    pem = open(w.path("tee", "chain.pem")).read()
    end = pem.index("-----END CERTIFICATE-----") + len("-----END CERTIFICATE-----\n")
    t = j["tcb"]
    w.write("mirror/vcek/v1/Milan/%s,blSPL=%d,teeSPL=%d,snpSPL=%d,ucodeSPL=%d" %
            (j["chip_id"], t["bootloader"], t["tee"], t["snp"], t["microcode"]), pem[:end])
    return "collateral \"amd\" { url = \"file://%s/mirror/\" }\n" % w.dir


def add_collateral_test(port, policy):
    @test
    def collateral_is_fetched_once_and_kept(w):
        refused(w, V4, port, "unavailable", "snp.chain")
        w.policy(policy + mirror(w))
        w.keygate("reload")
        # What the connection lacked is fetched as soon as somebody says where from.
        amd = lambda: [v for v in w.keygate("status")[1]["collateral"] if v["vendor"] == "amd"][0]
        wait_for("the VCEK", lambda: amd()["pieces"] == 1)
        passes(w, V4, port)
        # The mirror is gone, and keygated starts again: it is still there.
        shutil.rmtree(w.path("mirror"))
        w.stop(w.daemon)
        w.gate()
        wait_for("the VCEK again", lambda: amd()["pieces"] == 1)
        passes(w, V4, port)
        shutil.rmtree(os.path.join(w.state, "collateral-cache"))
        w.stop(w.daemon)
        w.policy(policy)
        w.gate()
        refused(w, V4, port, "unavailable", "snp.chain")
        check(amd()["pieces"] == 0, "it came from somewhere")
