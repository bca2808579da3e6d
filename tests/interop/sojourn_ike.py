# SPDX-License-Identifier: MIT
"""Sojourn's half of IKEv2's tests: the one place that writes its configurations for a Case
(ike_cases.py), and sojournd with what `sojourn` says about it.
"""
import functools
import json
import re
import subprocess

from conftest import BUILD, Daemon, wait_for
from ground import GW4, GW6
import ike_cases
from ike_cases import CLIENT_ID, EAP_PASSWORD, EAP_USER, GATEWAY_ID, PPK, PPK_ID, SECRET

AGENTS = ["10.61.0.1", "fd61::1"]
PROBE = """role = home-server
listen = { "127.0.0.1" }
home-agent = { "10.61.0.1" }
ike { id = "gateway.sojourn.test" }
pool p { address = "10.62.0.0/24" }
terminal a {
    id = "a.sojourn.test"
    secret = "only to see whether it is read"
}
"""
WORDS = {"psk": "secret", "cert": "certificate"}


@functools.cache
def missing(where):
    """Why Sojourn cannot do IKEv2 yet; empty if it can."""
    conf = where / "ike-probe.conf"
    conf.write_text(PROBE)
    conf.chmod(0o600)
    done = subprocess.run([str(BUILD / "sojournd"), "-t", "-c", str(conf)], capture_output=True,
                          text=True, check=False)
    if "unknown option ike" in done.stdout + done.stderr:
        return "this sojournd has no section ike"
    usage = subprocess.run([str(BUILD / "sojourn"), "--help"], capture_output=True, text=True,
                           check=False)
    if not re.search(r"(?m)^  ike\b", usage.stdout + usage.stderr):
        return "this sojourn has no command ike"
    return ""


def listed(items):
    return "{ " + ", ".join(f'"{i}"' for i in items) + " }"


def own_lines(leaf):
    return [f'certificate = "{leaf.bundle()}"', f'private-key = "{leaf.key}"'] if leaf else []


def root_lines(root, crls=()):
    lines = [f'ca = {listed([root.cert])}'] if root else []
    return lines + ([f"crl = {listed(crls)}"] if crls else [])


def proof_lines(case):
    """How both prove themselves; the same in either role."""
    lines = [f"auth = {WORDS.get(case.client.by, case.client.by)}",
             f"server-auth = {WORDS.get(case.gateway.by, case.gateway.by)}"]
    if "psk" in (case.client.by, case.gateway.by):
        lines.append(f'secret = "{SECRET}"')
    if case.client.by.startswith("eap"):
        user = EAP_USER if case.client.by == "eap-mschapv2" else CLIENT_ID
        lines.append(f'eap-identity = "{user}"')
    if case.client.by == "eap-mschapv2":
        lines.append(f'password = "{EAP_PASSWORD}"')
    if case.ppk:
        lines += [f'ppk-id = "{PPK_ID}"', f'ppk = "0x{PPK}"', "ppk-required = yes"]
    return lines


def proposal_lines(case):
    return [f"proposals = {listed(case.ike.split(', '))}",
            f"esp-proposals = {listed(case.esp.split(', '))}"]


def pss_lines(proof):
    return ["rsa-pss = yes"] if "pss" in proof.scheme else []


def block(head, lines):
    return head + " {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def server_text(case, credentials, ike_lines=(), terminal_lines=(), crls=(), lines=()):
    """A home server for the case's one client, which is given addresses from a pool."""
    return (f"role = home-server\nlisten = {listed([GW4, GW6])}\nhome-agent = {listed(AGENTS)}\n"
            + "".join(f"{line}\n" for line in lines)
            + block("ike", [f'id = "{GATEWAY_ID}"', *own_lines(credentials.gateway),
                            *pss_lines(case.gateway),
                            *root_lines(credentials.client_root, crls), *proposal_lines(case),
                            f"dns = {listed([ike_cases.DNS4, ike_cases.DNS6])}", *ike_lines])
            + block("pool p", [f"address = {listed([ike_cases.POOL4, ike_cases.POOL6])}"])
            + block("terminal alice", [f'id = "{CLIENT_ID}"', "pool = p", *proof_lines(case),
                                       *terminal_lines]))


def terminal_text(case, credentials, server=GW4, ike_lines=(), crls=(), lines=(),
                  routes=(ike_cases.INSIDE4, ike_cases.INSIDE6)):
    return (f"role = terminal\nname = alice\nroutes = {listed(routes)}\n"
            + "".join(f"{line}\n" for line in lines)
            + block("ike", [f"server = {listed(server.split(', '))}",
                            f'id = "{CLIENT_ID}"', f'server-id = "{GATEWAY_ID}"',
                            *own_lines(credentials.client), *pss_lines(case.client),
                            *root_lines(credentials.gateway_root, crls), *proposal_lines(case),
                            *proof_lines(case), *ike_lines]))


class Sojourn(Daemon):
    count = 0

    def __init__(self, ns, name, text, where):
        Sojourn.count += 1
        super().__init__(ns, f"ike-{Sojourn.count}-{name}", text, where)
        self.name = name
        try:
            self.wait()
        except BaseException:
            self.proc.kill()
            self.proc.wait()
            raise

    def wait(self):
        """Its sockets were asked for before it answers."""
        def answers():
            assert self.proc.poll() is None, f"sojournd {self.name} ended:\n{self.log()}"
            return self.run("status").returncode == 0
        wait_for(f"sojournd {self.name} answers", answers, every=0.02)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        status = self.stop()
        if kind is None:
            assert status == 0, f"sojournd {self.name}: status {status}\n{self.log()}"

    def tail(self):
        return f"--- sojournd {self.name}\n{self.log()}"

    def whole_log(self):
        return self.log_path.read_text(errors="replace")

    def mark(self):
        return len(self.whole_log())

    def wait_log(self, pattern, mark=0, seconds=10):
        try:
            return wait_for(f"sojournd {self.name} logs {pattern!r}",
                            lambda: re.search(pattern, self.whole_log()[mark:]), seconds, 0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.tail()}")

    def sas(self):
        """Established IKE SAs."""
        return [sa for sa in self.ask("ike")["ike"] if sa["state"] == "established"]

    def wait_sas(self, count, seconds=10):
        try:
            return wait_for(f"{count} IKE SAs on {self.name}",
                            lambda: (len(self.sas()) == count and [True]) or None, seconds, 0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.run('ike', '--json').stdout}\n{self.tail()}")

    def homes(self):
        """Of a terminal: its home addresses, IPv4 first."""
        return self.ask("status")["home_addresses"]

    def keys(self, of="keys"):
        """Wireshark's lines: of IKE SAs, or those of child SAs ("esp")."""
        return json.loads(self.cli("keys", "--wireshark", "--json"))[of]
