# SPDX-License-Identifier: MIT
"""Our terminal at strongSwan's gateway, over the ground's networks: how both prove who they are,
every algorithm, rekeying from both sides under traffic, moves (MOBIKE), dead peers, and what is
refused.  The gateway knows nothing of Sojourn.
"""
import dataclasses
import re

import pytest

from conftest import ns_exec, ping, wait_for
from flow import Flow
from ground import CLIENT, GATEWAY, GW4, GW6, NAT, OPEN4, OPEN6, SIX, X4, X6
import ike_cases
from ike_cases import AUTHENTICATION, Case, Credentials, strongswan_gateway
from sojourn_ike import Sojourn, terminal_text
from strongswan import Charon

pytestmark = pytest.mark.usefixtures("sojourn_ike")
BY_NAME = {c.name: c for c in AUTHENTICATION}


@pytest.fixture(scope="module")
def gateway(ground_of_module, where):
    with Charon(GATEWAY, "gateway", where) as made:
        yield made


class Rig:
    """The gateway's configuration for one case, and a terminal."""

    def __init__(self, gateway, pki, where):
        self.gateway, self.pki, self.where = gateway, pki, where
        self.terminal = None
        self.mark = gateway.mark()

    def load(self, case, credentials=None, crls=(), **more):
        self.credentials = credentials or Credentials(self.pki, case)
        self.gateway.load(strongswan_gateway(case, self.credentials, **more), crls=crls,
                          **self.credentials.for_gateway())

    def start(self, case, credentials=None, **more):
        self.stop()
        self.mark = self.gateway.mark()
        self.terminal = Sojourn(CLIENT, "terminal",
                                terminal_text(case, credentials or self.credentials, **more),
                                self.where)
        return self.terminal

    def wait_up(self, seconds=10):
        try:
            self.gateway.wait("child-updown", lambda m: m.get("up") == "yes", self.mark, seconds)
            # An old one ends when the gateway hears of the new one's INITIAL_CONTACT.
            wait_for("one IKE SA is established", lambda: [
                sa["state"] for sa in self.gateway.sas()].count("ESTABLISHED") == 1, seconds, 0.02)
            sa = self.gateway.sa()
            for there in (X4, X6):      # routes and addresses are there
                wait_for(f"{there} answers", lambda: self.reaches(there), seconds, 0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{self.terminal.tail()}")
        return sa

    def bring(self, case, gateway=None, terminal=None):
        self.load(case, **(gateway or {}))
        self.start(case, **(terminal or {}))
        return self.wait_up()

    def home(self, there):
        return self.gateway.sa()["remote-vips"][":" in there]

    def reaches(self, there, size=56):
        return ping(CLIENT, self.home(there), there, size).returncode == 0

    def pings(self, sizes=(56,)):
        for there in (X4, X6):
            for size in sizes:
                assert self.reaches(there, size), f"{there}, {size} bytes\n{self.tails()}"

    def flow(self, there=X4):
        return Flow(self.where, self.home(there), there)

    def tails(self):
        return self.gateway.tail() + (self.terminal.tail() if self.terminal else "")

    def stop(self):
        terminal, self.terminal = self.terminal, None
        if terminal:
            assert terminal.stop() == 0, terminal.tail()


@pytest.fixture
def rig(gateway, ground, pki, where):
    made = Rig(gateway, pki, where)
    yield made
    made.stop()
    gateway.forget()


# --- authentication, algorithms

@pytest.mark.parametrize("case", AUTHENTICATION, ids=str)
def test_authentication(rig, gateway, case):
    sa = rig.bring(case)
    assert sa["remote-id"] == ike_cases.CLIENT_ID
    if case.client.by.startswith("eap"):
        assert sa.get("remote-eap-id", sa["remote-id"]) == (
            ike_cases.EAP_USER if case.client.by == "eap-mschapv2" else ike_cases.CLIENT_ID)
    gateway.wait_log(rf"authentication of '{ike_cases.CLIENT_ID}' with {case.client.logged}",
                     rig.mark)
    addresses = ns_exec(CLIENT, "ip", "-br", "addr").stdout
    for vip in sa["remote-vips"]:
        assert re.search(rf"\s{re.escape(vip)}/", addresses), addresses
    rig.pings()
    mine = rig.terminal.sas()
    assert len(mine) == 1 and mine[0]["remote_id"] == ike_cases.GATEWAY_ID, mine
    if case.depth:
        gateway.wait_log(r"received fragment #3 of [3-9]", rig.mark)
        gateway.wait_log(r"splitting IKE message \(\d+ bytes\) into [2-9] fragments", rig.mark)
    mark = gateway.mark()
    rig.stop()
    gateway.wait_log("received DELETE for IKE_SA", mark)


@pytest.mark.parametrize("case", ike_cases.algorithms(), ids=str)
def test_algorithms(rig, gateway, case):
    sa = rig.bring(case)
    algorithms = (sa["encr-alg"], sa["prf-alg"], sa["dh-group"])
    rig.pings()
    gateway.rekey(child="net")
    rig.pings()
    gateway.rekey(ike="net")
    sa = gateway.sa()
    assert (sa["encr-alg"], sa["prf-alg"], sa["dh-group"]) == algorithms
    rig.pings((56, 1200))


# --- rekeying

def test_rekeys_from_both_sides(rig, gateway):
    rig.bring(BY_NAME["psk"])
    with rig.flow() as flow:
        with flow.lossless():
            gateway.rekey(child="net")
            gateway.rekey(ike="net")
            gateway.rekey(child="net")
        with flow.lossless():
            mark = gateway.mark()
            rig.terminal.cli("rekey", name_of(rig.terminal))
            gateway.wait("child-rekey", mark=mark)
            gateway.wait("ike-rekey", mark=mark)
    rig.terminal.wait_sas(1)


def name_of(terminal):
    return terminal.sas()[0]["peer"]


def test_rekeys_by_packets(rig, gateway):
    """By time: test_ike_server.py, the same code."""
    rig.bring(BY_NAME["psk"], terminal={"ike_lines": ["rekey-packets = 400"]})
    mark = rig.mark
    with rig.flow() as flow, flow.lossless():
        for _ in range(3):
            gateway.wait("child-rekey", mark=mark)
            mark = gateway.mark()
    rig.pings()


def test_rekey_collisions(rig, gateway):
    rig.bring(BY_NAME["psk"])
    with rig.flow(X6) as flow, flow.lossless():
        for what in ({"child": "net"}, {"ike": "net"}) * 3:
            gateway.begin_rekey(what)
            rig.terminal.cli("rekey", name_of(rig.terminal))
            gateway.wait_idle()
            rig.terminal.wait_sas(1)
    rig.pings()


# --- moves

def test_terminal_moves(rig, gateway, ground):
    """From behind a NAT to the open, to IPv6, and back: one IKE SA, told by UPDATE_SA_ADDRESSES."""
    ground.use("nat")
    sa = rig.bring(BY_NAME["psk"], terminal={"server": f"{GW4}, {GW6}"})
    assert sa["remote-host"] == NAT and sa["nat-remote"] == "yes"
    with rig.flow() as flow:
        for way, ends in (("open", (OPEN4, OPEN6)), ("six", (SIX,)), ("nat", (NAT,)),
                          ("six", (SIX,))):
            with flow.gap(2500):
                ground.use(way)
            gateway.wait_log(r"UPD_SA_ADDR", rig.mark)
            assert gateway.sa()["remote-host"] in ends
    assert gateway.sa()["initiator-spi"] == sa["initiator-spi"]
    rig.pings()


def test_terminal_prefers(rig, gateway, ground):
    """A better network comes while the old one is still there."""
    ground.use("nat")
    rig.bring(BY_NAME["psk"], terminal={"ike_lines": ['prefer = { "open", "nat", "six" }']})
    with rig.flow() as flow, flow.gap(2500):
        ground.use("nat", "open")
        wait_for("the gateway knows the better address",
                 lambda: gateway.sa()["remote-host"] in (OPEN4, OPEN6))
    rig.pings()


def test_gateway_without_mobike(rig, gateway, ground):
    """A move is then a new IKE SA."""
    ground.use("nat")
    rig.bring(BY_NAME["psk"], gateway={"lines": ["mobike = no"]})
    ground.use("open")
    rig.wait_up(20)


def test_nat_forgets(rig, gateway, ground):
    ground.use("nat")
    sa = rig.bring(BY_NAME["psk"])
    with rig.flow() as flow, flow.gap(2500):
        ground.masquerade()
        wait_for("the gateway follows",
                 lambda: gateway.sa()["remote-port"] != sa["remote-port"])


# --- ends

def test_gateway_ends_it(rig, gateway):
    """It comes again by itself."""
    rig.bring(BY_NAME["psk"])
    rig.mark = gateway.mark()
    gateway.terminate(child="net")
    rig.wait_up()
    rig.mark = gateway.mark()
    gateway.terminate("net")
    rig.wait_up()


def test_down_and_up(rig, gateway):
    rig.bring(BY_NAME["psk"])
    mark = gateway.mark()
    rig.terminal.cli("down")
    gateway.wait("ike-updown", lambda m: "up" not in m, mark)
    rig.mark = gateway.mark()
    rig.terminal.cli("up")
    rig.wait_up()


def test_dead_gateway(rig, gateway, ground):
    """Noticed by liveness; when it is back, so is the connection."""
    rig.bring(BY_NAME["psk"], terminal={"ike_lines": [
        "liveness = 1", "retransmit-time = 100", "retransmit-tries = 3"]})
    mark = rig.terminal.mark()
    ground.silence(True)
    rig.terminal.wait_log(r"ike: ", mark)
    rig.terminal.wait_sas(0)
    gateway.vanish()
    rig.mark = gateway.mark()
    ground.silence(False)
    rig.wait_up(20)


def test_answers_dead_peer_detection(rig, gateway):
    rig.bring(BY_NAME["psk"], gateway={"lines": ["dpd_delay = 1s"]})
    gateway.wait_log(r"sending DPD request", rig.mark)
    gateway.wait_log(r"parsed INFORMATIONAL response \d+ \[ \]", rig.mark)
    rig.pings()


def test_other_group_first(rig, gateway):
    rig.load(dataclasses.replace(BY_NAME["psk"], ike="aes128gcm16-prfsha256-x25519"))
    rig.start(dataclasses.replace(BY_NAME["psk"],
                                  ike="aes128gcm16-prfsha256-ecp256-x25519"))
    rig.wait_up()
    gateway.wait_log(r"INVAL_KE", rig.mark)


# --- refusals

@dataclasses.dataclass(frozen=True)
class Refusal:
    name: str
    terminal: Case
    log: str                    # what sojournd writes
    told: str = ""              # what charon reads or says of it
    gateway: Case = None
    leaf: str = ""
    edit: tuple = ()            # of the terminal's configuration

    def __str__(self):
        return self.name


ECDSA = BY_NAME["ecdsa-256"]
PEER_FAILED = r"INFORMATIONAL request \d+ \[ .*N\(AUTH_FAILED\)"
REFUSALS = [
    Refusal("wrong-secret", Case("psk"), r"AUTHENTICATION_FAILED", r"N\(AUTH_FAILED\)",
            edit=(ike_cases.SECRET, "another secret of tests")),
    Refusal("not-the-server", Case("psk"), r"AUTHENTICATION_FAILED", r"N\(AUTH_FAILED\)",
            edit=(ike_cases.GATEWAY_ID, "elsewhere.sojourn.test")),
    Refusal("expired", ECDSA, r"CN=expired-gateway.* expired at", PEER_FAILED, leaf="expired"),
    Refusal("revoked", ECDSA, r"CN=revoked-gateway.* is revoked by", PEER_FAILED, leaf="revoked"),
    Refusal("stranger", ECDSA, r"no CA that we believe issued it", PEER_FAILED, leaf="stranger"),
    Refusal("misnamed", ECDSA, r"not for the identity gateway.sojourn.test", PEER_FAILED,
            leaf="misnamed"),
    Refusal("secret-instead-of-certificate", ECDSA, r"AUTHENTICATION_FAILED",
            r"N\(AUTH_FAILED\)", gateway=Case("psk")),
    Refusal("wrong-password", BY_NAME["eap-mschapv2"], r"EAP failed: wrong user or password",
            r"EAP/FAIL|MSCHAPv2.*fail",
            edit=(ike_cases.EAP_PASSWORD, "some other password")),
    Refusal("no-ppk", Case("psk"), r"AUTHENTICATION_FAILED", r"N\(AUTH_FAILED\)",
            gateway=BY_NAME["psk-ppk"]),
    Refusal("gateway-without-ppk", BY_NAME["psk-ppk"],
            r"a PPK is required and the peer knows of none", "", gateway=Case("psk")),
    Refusal("no-common-proposal", Case("psk"), r"NO_PROPOSAL_CHOSEN", r"NO_PROP",
            gateway=Case("psk", ike="aes128-sha256-modp2048")),
    Refusal("no-common-esp", Case("psk"), r"NO_PROPOSAL_CHOSEN", r"NO_PROP",
            gateway=Case("psk", esp="aes128-sha256")),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_refusals(rig, gateway, pki, refusal):
    theirs = refusal.gateway or refusal.terminal
    credentials = Credentials(pki, theirs)
    crls = []
    if refusal.leaf:
        credentials.gateway, crls = ike_cases.bad_leaf(
            refusal.leaf, credentials.gateway_root, pki, ike_cases.GATEWAY_NAMES)
    rig.load(theirs, credentials)
    mine = Credentials(pki, refusal.terminal)
    text = terminal_text(refusal.terminal, mine, crls=crls)
    if refusal.edit:
        assert refusal.edit[0] in text
        text = text.replace(*refusal.edit)
    rig.mark = gateway.mark()
    rig.terminal = Sojourn(CLIENT, "refused", text, rig.where)
    rig.terminal.wait_log(refusal.log)
    if refusal.told:
        gateway.wait_log(refusal.told, rig.mark)
    assert not [c for sa in rig.terminal.sas() for c in sa["children"]]
    assert ike_cases.SECRET not in rig.terminal.whole_log()
    assert ike_cases.EAP_PASSWORD not in rig.terminal.whole_log()
