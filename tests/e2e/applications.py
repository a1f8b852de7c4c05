# SPDX-License-Identifier: Apache-2.0
"""Rules for some applications: by user, unit, cgroup and executable, with the real keygated and curl."""
import os
import shutil

from suite import canary, check, test, url
from world import V4, V6, run

PLAIN, GATED = 9999, 8443
CGROUPS = "/sys/fs/cgroup"
CONF = "etc/policy.d/05-applications.conf"

POLICY = """
destination "not-for-some" {
	address = {"10.77.0.2", "fd77::2"}
	port = {"8443", "9999"}
	action = deny
	refuse-with = EACCES
	%s
}
"""


def ask(host, port, word, user=None, cgroup=None, program="curl"):
    """curl as this user, in this cgroup: true if it had an answer."""
    argv = [program, "-sS", "--max-time", "60", "--data-binary", word.decode(),
            url(host, port, "/upload")]
    if user:
        argv = ["setpriv", "--reuid=" + user, *argv]
    if cgroup:
        argv = ["sh", "-c", 'echo $$ >"$0/cgroup.procs" && exec "$@"', CGROUPS + cgroup, *argv]
    return run(*argv, ok=None, timeout=90).returncode == 0


def tries(w, selection, refused, served):
    """Who is selected is refused both ways and leaves no word on the wire; all others are served as if
    the block were not there."""
    w.write(CONF, POLICY % selection)
    w.keygate("reload")
    try:
        for host in (V4, V6):
            for port in (PLAIN, GATED):
                word = canary()
                check(not ask(host, port, word, **refused), "%s: %r was served at %s port %d" %
                      (selection, refused, host, port))
                check(not w.on_wire(word), "%s: the word is on the wire" % selection)
                word = canary()
                check(ask(host, port, word, **served), "%s: %r was refused at %s port %d" %
                      (selection, served, host, port))
                check(w.on_wire(word) == (port == PLAIN), "%s: in clear at port %d: %r" %
                      (selection, port, port != PLAIN))
    finally:
        os.unlink(w.path(CONF))
        w.keygate("reload")


@test
def application_by_user(w):
    tries(w, 'user = "nobody"', {"user": "nobody"}, {"user": "daemon"})


@test
def application_by_unit_and_cgroup(w):
    """Units that start after the policy came, and a user's cgroup that is called like one."""
    os.makedirs(CGROUPS + "/kge2e.slice/user@7.service", exist_ok=True)
    spoof = "/kge2e.slice/user@7.service/shop.service"
    late = "/kge2e.slice/shop.service"
    try:
        w.write(CONF, POLICY % 'unit = "shop.service"')
        w.keygate("reload")
        os.makedirs(CGROUPS + spoof)
        os.makedirs(CGROUPS + late)
        word = canary()
        check(not ask(V4, PLAIN, word, cgroup=late), "a unit that was started later was served")
        check(not w.on_wire(word), "its word is on the wire")
        tries(w, 'unit = "shop.service"', {"cgroup": late}, {"cgroup": spoof})
        tries(w, 'cgroup = "/kge2e.slice/user@7.service"', {"cgroup": spoof}, {"cgroup": late})
    finally:
        for path in (spoof, late, "/kge2e.slice/user@7.service", "/kge2e.slice"):
            if os.path.isdir(CGROUPS + path):
                os.rmdir(CGROUPS + path)


@test
def application_by_executable(w):
    """A copy is another one; what replaces the file is the same again."""
    mine = w.path("browser")
    shutil.copy(shutil.which("curl"), mine)
    tries(w, 'executable = "%s"' % mine, {"program": mine}, {"program": "curl"})
    w.write(CONF, POLICY % ('executable = "%s"' % mine))
    w.keygate("reload")
    try:
        shutil.copy(shutil.which("curl"), mine + ".new")
        os.rename(mine + ".new", mine)
        w.keygate("status")  # it has heard of it by now
        word = canary()
        check(not ask(V4, PLAIN, word, program=mine), "what replaced it was served")
        check(not w.on_wire(word), "its word is on the wire")
    finally:
        os.unlink(w.path(CONF))
        w.keygate("reload")
