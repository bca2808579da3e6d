# SPDX-License-Identifier: MIT
"""Every IKE message that Sojourn sends, as Wireshark's dissector reads it with the keys that
`sojourn keys --wireshark` tells: with strongSwan at the other end in both roles, and between two
Sojourns.
"""
import dataclasses
import re
import shutil
import subprocess

import pytest

from conftest import ping, wait_for
import dissect
from dissect import AUTH, CREATE_CHILD_SA, INFORMATIONAL, INIT
from ground import CLIENT, GATEWAY, ROUTER, X4, X6
from ike_cases import AUTHENTICATION, Case, Credentials, strongswan_client, strongswan_gateway
from sojourn_ike import AGENTS, Sojourn, server_text, terminal_text
from strongswan import Charon

pytestmark = [pytest.mark.usefixtures("sojourn_ike"), pytest.mark.skipif(
    not shutil.which("tshark"), reason="tshark is not installed")]
BY_NAME = {c.name: c for c in AUTHENTICATION}
ALLOW = "wireshark-keys = yes"
LINE = re.compile(r'([0-9a-f]{16}),([0-9a-f]{16}),([0-9a-f]+),([0-9a-f]+),"([^"]+)",'
                  r'([0-9a-f]*),([0-9a-f]*),"([^"]+)"')
MANY = {INIT, AUTH, CREATE_CHILD_SA, INFORMATIONAL}
# What it is made of: each cipher and check value, certificates in fragments, EAP, PPK.
CASES = [
    dataclasses.replace(BY_NAME["long-chain"], ike="aes256gcm16-prfsha512-ecp384"),
    dataclasses.replace(BY_NAME["rsa-pss-2048"], ike="aes128gcm16-prfsha256-x25519"),
    dataclasses.replace(BY_NAME["eap-mschapv2"], ike="aes128-sha256-prfsha256-ecp256"),
    dataclasses.replace(BY_NAME["eap-tls"], ike="aes192-sha384-prfsha384-modp2048"),
    dataclasses.replace(BY_NAME["cert-ppk"], ike="aes256-sha512-prfsha512-ecp521"),
]


@pytest.fixture(scope="module")
def ground_here(ground_of_module):
    for agent in AGENTS:
        ground_of_module.add(GATEWAY, "lo", agent)
    return ground_of_module


class Keys:
    """Of every IKE SA that was there when it was asked."""

    def __init__(self, node):
        self.node, self.lines, self.esp = node, {}, []

    def ask(self):
        for line in self.node.keys():
            match = LINE.fullmatch(line)
            assert match, f"no line of Wireshark's: {line}"
            self.lines[match[1], match[2]] = line
        self.esp = self.node.keys("esp")
        return list(self.lines.values())


def exchanges(found):
    return {m.exchange for m in found}


class TestServer:
    @pytest.fixture(scope="class")
    def client(self, ground_here, where):
        with Charon(CLIENT, "tshark-client", where) as made:
            yield made

    @pytest.fixture(autouse=True)
    def forget(self, client):
        yield
        client.forget()

    @pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.ike}")
    def test_server(self, client, ground, where, pki, case):
        credentials = Credentials(pki, case)
        client.load(strongswan_client(case, credentials), **credentials.for_client())
        ground.use("nat", "six")
        with Sojourn(GATEWAY, "server", server_text(case, credentials, ike_lines=[ALLOW]),
                     where) as server:
            keys = Keys(server)
            with dissect.Capture(GATEWAY, "wan", where / f"server-{case.name}.pcap") as capture:
                client.initiate("net")
                keys.ask()
                client.rekey(child="net")
                client.rekey(ike="net")
                keys.ask()
                mark = client.mark()
                server.cli("rekey", "alice")
                client.wait("ike-rekey", mark=mark)
                server.wait_sas(1)
                keys.ask()
                mark = client.mark()
                ground.use("six")
                client.wait_log("UPD_SA_ADDR", mark)
                client.wait_idle()
                keys.ask()
                client.terminate("net")
                server.wait_sas(0)
            found = dissect.check(capture.path, keys.ask())
        assert exchanges(found) == MANY
        assert len({m.spis[0] for m in found}) >= 2, "the IKE SA was rekeyed"
        ours = [m for m in found if m.response]
        assert any(m.cfg_types for m in ours) and any(m.auth_methods for m in ours)
        if case.depth:
            assert any(m.fragment and m.fragment[1] >= 3 for m in ours)
        assert any(16400 in m.notifies for m in found), "UPDATE_SA_ADDRESSES"

    def test_keys_only_when_allowed(self, client, where, pki):
        case = Case("psk")
        none = Credentials(pki, case)
        client.load(strongswan_client(case, none))
        with Sojourn(GATEWAY, "secretive", server_text(case, none), where) as server:
            client.initiate("net")
            done = server.run("keys", "--wireshark")
            assert done.returncode != 0 and "wireshark-keys" in done.stderr + done.stdout
            assert not LINE.search(done.stdout + done.stderr)
            done = subprocess.run(
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
                 *server.command("keys", "--wireshark")], capture_output=True, text=True)
            assert done.returncode != 0 and not LINE.search(done.stdout + done.stderr)


class TestTerminal:
    @pytest.fixture(scope="class")
    def gateway(self, ground_here, where):
        with Charon(GATEWAY, "tshark-gateway", where) as made:
            yield made

    @pytest.fixture(autouse=True)
    def forget(self, gateway):
        yield
        gateway.forget()

    @pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.name}-{c.ike}")
    def test_terminal(self, gateway, ground, where, pki, case):
        credentials = Credentials(pki, case)
        gateway.load(strongswan_gateway(case, credentials), **credentials.for_gateway())
        ground.use("nat")
        with dissect.Capture(GATEWAY, "wan", where / f"terminal-{case.name}.pcap") as capture:
            mark = gateway.mark()
            with Sojourn(CLIENT, "terminal", terminal_text(
                    case, credentials, ike_lines=[ALLOW]), where) as terminal:
                keys = Keys(terminal)
                gateway.wait("child-updown", lambda m: m.get("up") == "yes", mark)
                terminal.wait_sas(1)
                keys.ask()
                gateway.rekey(child="net")
                gateway.rekey(ike="net")
                keys.ask()
                mark = gateway.mark()
                terminal.cli("rekey", terminal.sas()[0]["peer"])
                gateway.wait("ike-rekey", mark=mark)
                terminal.wait_sas(1)
                keys.ask()
                mark = gateway.mark()
                ground.use("open")
                gateway.wait_log("UPD_SA_ADDR", mark)
                gateway.wait_idle()
                lines = keys.ask()
        found = dissect.check(capture.path, lines)
        assert exchanges(found) == MANY
        assert any(16400 in m.notifies for m in found), "UPDATE_SA_ADDRESSES"


def test_two_sojourns(ground_here, ground, where, pki):
    """Our own notifies and vendor ID are well-formed to someone who does not know them."""
    case = BY_NAME["ecdsa-256"]
    credentials = Credentials(pki, case)
    with dissect.Capture(ROUTER, "wan", where / "two-sojourns.pcap") as capture:
        with Sojourn(GATEWAY, "two-server", server_text(case, credentials, ike_lines=[ALLOW]),
                     where) as server, \
                Sojourn(CLIENT, "two-terminal", terminal_text(
                    case, credentials, ike_lines=[ALLOW]), where) as terminal:
            keys = Keys(server)
            homes = wait_for("home addresses",
                             lambda: terminal.sas() and server.sas() and terminal.homes())
            keys.ask()
            for home, there in zip(homes, (X4, X6)):
                wait_for(f"a ping of {there}",
                         lambda: ping(CLIENT, home, there).returncode == 0)
            assert keys.ask() and keys.ask() == terminal.keys()
            ground.use("nat")
            wait_for("a ping from behind the NAT",
                     lambda: ping(CLIENT, homes[0], X4).returncode == 0)
            terminal.cli("rekey", terminal.sas()[0]["peer"])
            wait_for("a fresh IKE SA", lambda: len(keys.ask()) >= 2)
            server.wait_sas(1)
            lines = keys.ask()
    found = dissect.check(capture.path, lines)
    assert exchanges(found) >= {INIT, AUTH, CREATE_CHILD_SA}
    assert any(n >= 40960 for m in found for n in m.notifies), "none of our own notifies"
    assert dissect.inside_esp(capture.path, keys.esp, "icmp.type == 0")
    assert dissect.inside_esp(capture.path, keys.esp, "icmpv6.type == 129")
    assert not dissect.inside_esp(capture.path, [], "icmp || icmpv6")
