# SPDX-License-Identifier: MIT
"""strongSwan as a client of our home server, over the ground's networks: how both prove who they
are, every algorithm, rekeying from both sides under traffic, moves (MOBIKE), addresses, dead peers,
and what is refused.  The client knows nothing of Sojourn.
"""
import dataclasses
import ipaddress
import re

import pytest

from conftest import ping, wait_for
from flow import Flow
from ground import CLIENT, GATEWAY, NAT, OPEN4, OPEN6, SIX, X4, X6
import ike_cases
from ike_cases import AUTHENTICATION, DNS4, DNS6, Case, Credentials, strongswan_client
from sojourn_ike import Sojourn, server_text
from strongswan import Charon

pytestmark = pytest.mark.usefixtures("sojourn_ike")
BY_NAME = {c.name: c for c in AUTHENTICATION}


@pytest.fixture(scope="module")
def client(ground_of_module, where):
    with Charon(CLIENT, "client", where) as made:
        for agent in ("10.61.0.1", "fd61::1"):
            ground_of_module.add(GATEWAY, "lo", agent)
        yield made


class Rig:
    """A home server and the client's configuration for one case."""

    def __init__(self, client, pki, where):
        self.client, self.pki, self.where = client, pki, where
        self.server = None
        self.sa = None

    def serve(self, case, credentials=None, **more):
        self.stop()
        self.credentials = credentials or Credentials(self.pki, case)
        self.server = Sojourn(GATEWAY, "server", server_text(case, self.credentials, **more),
                              self.where)
        return self.server

    def load(self, case, credentials=None, **more):
        credentials = credentials or self.credentials
        self.client.load(strongswan_client(case, credentials, **more), **credentials.for_client())

    def up(self, child="net"):
        try:
            self.client.initiate(child)
        except Exception as e:
            raise AssertionError(f"{e}\n{self.server.tail()}")
        self.sa = self.client.sa()
        return self.sa

    def bring(self, case, server=None, client=None):
        self.serve(case, **(server or {}))
        self.load(case, **(client or {}))
        return self.up()

    def pings(self, sizes=(56,)):
        for ours, there in zip(self.sa["local-vips"], (X4, X6)):
            for size in sizes:
                assert ping(CLIENT, ours, there, size, wait=2).returncode == 0, \
                    f"{size} bytes, {ours} to {there}\n{self.tails()}"

    def tails(self):
        return self.client.tail() + (self.server.tail() if self.server else "")

    def stop(self, check=True):
        server, self.server = self.server, None
        if server:
            status = server.stop()
            assert status == 0 or not check, server.tail()


@pytest.fixture
def rig(client, ground, pki, where):
    made = Rig(client, pki, where)
    yield made
    client.forget()
    made.stop()


# --- authentication, algorithms

@pytest.mark.parametrize("case", AUTHENTICATION, ids=str)
def test_authentication(rig, client, case):
    mark = client.mark()
    sa = rig.bring(case)
    four, six = sa["local-vips"]
    assert ipaddress.ip_address(four) in ipaddress.ip_network(ike_cases.POOL4)
    assert ipaddress.ip_address(six) in ipaddress.ip_network(ike_cases.POOL6)
    assert set(client.resolvers()) == {DNS4, DNS6}
    rig.pings()
    ours = rig.server.sas()
    assert len(ours) == 1 and ours[0]["remote_id"] == ike_cases.CLIENT_ID, ours
    assert ours[0]["local_id"] == ike_cases.GATEWAY_ID
    client.wait_log(rf"authentication of '{ike_cases.GATEWAY_ID}' with {case.gateway.logged}",
                    mark)
    if case.depth:
        client.wait_log(r"splitting IKE message \(\d+ bytes\) into [3-9] fragments", mark)
        client.wait_log(r"received fragment #3 of [3-9]", mark)
    if case.ppk:
        client.wait_log(r"USE_PPK", mark)
    client.terminate("net")
    rig.server.wait_sas(0)


class TestAlgorithms:
    """One home server that takes all of the tables, one after the other."""

    @pytest.fixture(scope="class")
    def generous(self, client, pki, where):
        made = Rig(client, pki, where)
        made.serve(Case("all", ike=", ".join(dict.fromkeys(ike_cases.IKE_PROPOSALS)),
                        esp=", ".join(ike_cases.ESP_PROPOSALS)))
        yield made
        made.stop()

    @pytest.mark.parametrize("case", [dataclasses.replace(
        c, ike=c.ike if c.name.startswith("ike") else ike_cases.IKE_PROPOSALS[0],
        esp=c.esp if c.name.startswith("esp") else ike_cases.ESP_PROPOSALS[0])
        for c in ike_cases.algorithms()], ids=str)
    def test_algorithms(self, generous, client, ground, case):
        generous.load(case)
        try:
            sa = generous.up()
            algorithms = (sa["encr-alg"], sa["dh-group"])
            generous.pings()
            client.rekey(child="net")
            generous.pings()
            client.rekey(ike="net")
            sa = client.sa()
            assert (sa["encr-alg"], sa["dh-group"]) == algorithms
            generous.pings((56, 1200))
            child = client.child()
            group = case.esp.split("-")[-1]
            assert group not in ("x25519", "ecp256", "ecp384", "modp2048") or child["dh-group"]
            client.terminate("net")
            generous.server.wait_sas(0)
        finally:
            client.forget()


# --- rekeying

def test_rekeys_from_both_sides(rig, client, where):
    rig.bring(BY_NAME["psk"])
    with Flow(where, rig.sa["local-vips"][0], X4) as flow:
        with flow.lossless():
            client.rekey(child="net")
            client.rekey(ike="net")
            client.rekey(child="net")
        with flow.lossless():
            for event in ("child-rekey", "ike-rekey"):
                mark = client.mark()
                rig.server.cli("rekey", "alice")
                client.wait(event, mark=mark)
    rig.server.wait_sas(1)
    client.terminate("net")
    rig.server.wait_sas(0)


def test_rekeys_by_packets_and_time(rig, client, where):
    """A child SA every 400 packets; the IKE SA by its lifetime."""
    mark = client.mark()
    rig.bring(BY_NAME["psk"], server={"ike_lines": ["rekey-packets = 400", "rekey-ike = 10"]})
    with Flow(where, rig.sa["local-vips"][0], X4) as flow:
        with flow.lossless():
            for _ in range(3):
                client.wait("child-rekey", mark=mark)
                mark = client.mark()
            client.wait("ike-rekey", mark=mark, seconds=15)
    rig.pings()


def test_rekey_collisions(rig, client, where):
    """Both begin at once (RFC 7296 2.8.1, 2.25)."""
    rig.bring(BY_NAME["psk"])
    with Flow(where, rig.sa["local-vips"][1], X6) as flow, flow.lossless():
        for what in ({"child": "net"}, {"ike": "net"}) * 3:
            client.begin_rekey(what)
            rig.server.cli("rekey", "alice")
            client.wait_idle()
            rig.server.wait_sas(1)
    rig.pings()


# --- moves

def test_client_moves(rig, client, ground, where):
    """From behind a NAT to the open, to IPv6, and back; the flow is the same one."""
    ground.use("nat")
    rig.bring(BY_NAME["psk"])
    with Flow(where, rig.sa["local-vips"][0], X4) as flow:
        for way, ends in (("open", (OPEN4, OPEN6)), ("six", (SIX,)), ("nat", (NAT,)),
                          ("six", (SIX,))):
            with flow.gap(2500):
                ground.use(way)
            assert rig.server.sas()[0]["remote"].rsplit(":", 1)[0].strip("[]") in ends
    rig.server.wait_sas(1)
    rig.pings()


def test_nat_forgets(rig, client, ground, where):
    """The mapping of the NAT changes under the client, who sees it by a check (RFC 4555 3.8)."""
    ground.use("nat")
    mark = client.mark()
    rig.bring(BY_NAME["psk"], client={"lines": ["dpd_delay = 1s"]})
    # What it will compare with.
    client.wait_log(r"parsed INFORMATIONAL response \d+ \[ N\(NATD", mark)
    before = rig.server.sas()[0]["remote"]
    with Flow(where, rig.sa["local-vips"][0], X4) as flow, flow.gap(4000):
        ground.masquerade()
    assert rig.server.sas()[0]["remote"] != before
    # The new mapping was on trial until the IKE SA's answer came from it.
    wait_for("the client's new place is proven", lambda: {c["place"] for c in rig.server.ask("connections")[
        "connections"]} == {"proven"}, 10)


def test_client_without_mobike_stays(rig, client):
    rig.bring(BY_NAME["psk"], client={"lines": ["mobike = no"]})
    rig.pings()
    assert not rig.server.sas()[0]["mobike"]


# --- children, addresses, ends

def test_children_come_and_go(rig, client):
    """Without a child in IKE_AUTH (RFC 6023), then two of them, each in its exchange."""
    case = BY_NAME["psk"]
    rig.serve(case)
    rig.load(case, lines=["childless = force"],
             children={"net": ike_cases.INSIDE4, "more": ike_cases.INSIDE6})
    rig.up()
    four, six = rig.sa["local-vips"]
    assert ping(CLIENT, four, X4).returncode == 0, rig.tails()
    client.initiate("more")
    assert len(client.children()) == 2
    rig.pings()
    client.terminate(child="net")
    assert ping(CLIENT, six, X6).returncode == 0, rig.tails()
    client.terminate(child="more")
    rig.server.wait_sas(1)
    client.initiate("net")
    assert ping(CLIENT, four, X4).returncode == 0, rig.tails()


def test_same_address_again(rig, client):
    sa = rig.bring(BY_NAME["psk"])
    for _ in range(2):
        client.terminate("net")
        rig.server.wait_sas(0)
        assert rig.up()["local-vips"] == sa["local-vips"]
    # It forgot us: INITIAL_CONTACT ends what the server still has.
    client.vanish()
    assert rig.up()["local-vips"] == sa["local-vips"]
    rig.server.wait_sas(1)
    rig.pings()


def test_fixed_address(rig, client):
    case = BY_NAME["ecdsa-256"]
    credentials = Credentials(rig.pki, case)
    text = server_text(case, credentials).replace(
        "pool = p", 'home-address = { "10.62.0.77", "fd62::77" }')
    rig.credentials = credentials
    rig.server = Sojourn(GATEWAY, "fixed", text, rig.where)
    rig.load(case)
    assert rig.up()["local-vips"] == ["10.62.0.77", "fd62::77"]
    rig.pings()


def test_server_ends_it(rig, client):
    rig.bring(BY_NAME["psk"])
    mark = client.mark()
    rig.server.cli("down", "alice")
    client.wait("ike-updown", lambda m: "up" not in m, mark)
    client.wait_log("received DELETE for IKE_SA", mark)
    rig.up()
    mark = client.mark()
    rig.stop()
    client.wait("ike-updown", lambda m: "up" not in m, mark)


def test_dead_client(rig, client, ground):
    rig.bring(BY_NAME["psk"], server={"ike_lines": ["liveness = 1", "retransmit-time = 100",
                                                    "retransmit-tries = 3"]})
    mark = rig.server.mark()
    ground.silence(True)
    rig.server.wait_sas(0)
    rig.server.wait_log(r"ike: .*peer=alice", mark)


def test_answers_liveness(rig, client):
    mark = client.mark()
    rig.bring(BY_NAME["psk"], client={"lines": ["dpd_delay = 1s"]})
    client.wait_log(r"sending DPD request", mark)
    client.wait_log(r"parsed INFORMATIONAL response \d+ \[ \]", mark)
    rig.server.wait_sas(1)


# --- the beginning of the beginning

def test_other_group_first(rig, client):
    """The first guess of a group is answered INVALID_KE_PAYLOAD."""
    case = dataclasses.replace(BY_NAME["psk"], ike="aes128gcm16-prfsha256-x25519")
    rig.serve(case)
    mark = client.mark()
    rig.load(dataclasses.replace(
        case, ike="aes128gcm16-prfsha256-ecp256-x25519"))
    rig.up()
    client.wait_log(r"peer didn't accept (DH|key exchange)", mark)
    rig.pings()


def test_cookie(rig, client):
    mark = client.mark()
    rig.bring(BY_NAME["ed25519"], server={"ike_lines": ["cookie-threshold = 0"]})
    client.wait_log(r"parsed IKE_SA_INIT response 0 \[ N\(COOKIE\) \]", mark)
    rig.pings()


# --- refusals

@dataclasses.dataclass(frozen=True)
class Refusal:
    name: str
    client: Case                # as the client does it
    notify: str                 # what charon reads
    log: str                    # what sojournd writes
    server: Case = None         # as the server expects it
    leaf: str = ""              # expired, revoked, stranger, misnamed
    edit: tuple = ()            # of the client's configuration
    ike_lines: tuple = ()

    def __str__(self):
        return self.name


ECDSA = BY_NAME["ecdsa-256"]
AUTH_FAILED = r"AUTHENTICATION_FAILED|AUTH_FAILED"
REFUSALS = [
    Refusal("wrong-secret", Case("psk"), AUTH_FAILED, r"the pre-shared keys differ.*peer=alice",
            edit=(ike_cases.SECRET, "another secret of tests")),
    Refusal("unknown-client", Case("psk"), AUTH_FAILED,
            r"nobody is configured as mallory@sojourn.test",
            edit=(ike_cases.CLIENT_ID, "mallory@sojourn.test")),
    Refusal("other-gateway", Case("psk"), AUTH_FAILED, r"who asks for elsewhere.sojourn.test",
            edit=(ike_cases.GATEWAY_ID, "elsewhere.sojourn.test")),
    Refusal("expired", ECDSA, AUTH_FAILED, r"CN=expired-alice expired at", leaf="expired"),
    Refusal("revoked", ECDSA, AUTH_FAILED, r"CN=revoked-alice is revoked by", leaf="revoked"),
    Refusal("stranger", ECDSA, AUTH_FAILED, r"no CA that we believe issued it", leaf="stranger"),
    Refusal("misnamed", ECDSA, AUTH_FAILED, r"not for the identity alice@sojourn.test",
            leaf="misnamed"),
    Refusal("psk-instead-of-cert", Case("psk"), AUTH_FAILED,
            r"by a shared key, a certificate is required", server=ECDSA),
    Refusal("wrong-password", BY_NAME["eap-mschapv2"], r"EAP_FAILURE|EAP/FAIL|AUTH_FAILED",
            r'EAP of user "alice": wrong password',
            edit=(ike_cases.EAP_PASSWORD, "some other password")),
    Refusal("unknown-user", BY_NAME["eap-mschapv2"], r"EAP_FAILURE|EAP/FAIL|AUTH_FAILED",
            r'EAP of user "mallory": no such user',
            edit=(f"id = {ike_cases.EAP_USER}\n", "id = mallory\n")),
    Refusal("no-ppk", Case("psk"), AUTH_FAILED, r"a PPK is required of it",
            server=BY_NAME["psk-ppk"]),
    Refusal("other-ppk", BY_NAME["psk-ppk"], AUTH_FAILED, r"the pre-shared keys differ",
            edit=(ike_cases.PPK, "6b" * 32)),
    Refusal("weak-ike", Case("weak", ike="aes128-sha1-modp1024"), r"NO_PROPOSAL_CHOSEN|NO_PROP",
            r"no proposal of its is ours", server=Case("psk")),
    Refusal("weak-esp", Case("weak", esp="aes128-md5"), r"NO_PROPOSAL_CHOSEN|NO_PROP",
            r"first child refused notify=NO_PROPOSAL_CHOSEN", server=Case("psk")),
    Refusal("outside", Case("psk"), r"TS_UNACCEPTABLE|TS_UNACCEPT",
            r"first child refused notify=TS_UNACCEPTABLE",
            edit=(f"remote_ts = {ike_cases.INSIDE4}, {ike_cases.INSIDE6}",
                  "remote_ts = 172.30.0.0/24"),
            ike_lines=(f'subnets = {{ "{ike_cases.INSIDE4}", "{ike_cases.INSIDE6}" }}',)),
]


@pytest.mark.parametrize("refusal", REFUSALS, ids=str)
def test_refusals(rig, client, pki, refusal):
    expected = refusal.server or refusal.client
    credentials = Credentials(pki, expected)
    crls = []
    if refusal.leaf:
        leaf, crls = ike_cases.bad_leaf(refusal.leaf, credentials.client_root, pki,
                                        ike_cases.CLIENT_NAMES)
    server = rig.serve(expected, credentials, crls=crls, ike_lines=refusal.ike_lines)
    mine = Credentials(pki, refusal.client)
    if refusal.leaf:
        mine.client = leaf
    text = strongswan_client(refusal.client, mine)
    if refusal.edit:
        assert refusal.edit[0] in text
        text = text.replace(*refusal.edit)
    client.load(text, **mine.for_client())
    mark = server.mark()
    said = client.refused("net")
    assert re.search(refusal.notify, said), said + server.tail()
    server.wait_log(refusal.log, mark)
    assert not [c for sa in server.sas() for c in sa["children"]]
    assert ike_cases.SECRET not in server.whole_log()
    assert ike_cases.EAP_PASSWORD not in server.whole_log()
