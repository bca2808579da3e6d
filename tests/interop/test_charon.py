# SPDX-License-Identifier: MIT
"""The instruments themselves: charon against charon over the ground of IKEv2's tests, and what
dissect.py says of what they say.  What fails here is not Sojourn's fault.
"""
import dataclasses

import pytest

from conftest import ping
import dissect
from flow import Flow
from ground import CLIENT, GATEWAY, GW4, NAT, OPEN4, OPEN6, ROUTER, SIX, X4, X6
import ike_cases
from ike_cases import (AUTHENTICATION, DNS4, DNS6, Case, Credentials, strongswan_client,
                       strongswan_gateway)
from strongswan import Charon

pytestmark = pytest.mark.usefixtures("strongswan")
BY_NAME = {c.name: c for c in AUTHENTICATION}


@pytest.fixture(scope="module")
def pair(ground_of_module, where):
    """(client, gateway)"""
    with Charon(GATEWAY, "self-gateway", where, ike_level=4) as gateway, \
            Charon(CLIENT, "self-client", where) as client:
        yield client, gateway


@pytest.fixture
def up(pair, pki):
    """A function that brings a case up; everything is down afterwards."""
    def bring(case, gateway_lines=(), client_lines=()):
        credentials = Credentials(pki, case)
        gateway.load(strongswan_gateway(case, credentials, lines=gateway_lines),
                     **credentials.for_gateway())
        client.load(strongswan_client(case, credentials, lines=client_lines),
                    **credentials.for_client())
        client.initiate("net")
        return client.sa()
    client, gateway = pair
    yield bring
    client.forget()
    gateway.forget()


def pings(sa):
    for ours, there in zip(sa["local-vips"], (X4, X6)):
        assert ping(CLIENT, ours, there, wait=2).returncode == 0, f"{there} from {ours}"


@pytest.mark.parametrize("case", [BY_NAME[n] for n in (
    "psk", "rsa-pss-2048", "ed25519", "eap-mschapv2", "eap-tls", "cert-ppk")], ids=str)
def test_authentication(up, pair, case):
    sa = up(case)
    pings(sa)
    assert set(pair[0].resolvers()) == {DNS4, DNS6}


def test_every_proposal(up, pair):
    for case in ike_cases.algorithms():
        sa = up(case)
        pings(sa)
        pair[0].rekey(child="net")
        pair[1].rekey(ike="net")
        pings(sa)
        pair[0].terminate("net")


def test_traffic_over_rekeys_and_moves(ground, up, pair, where):
    ground.use("nat", "six")
    client, gateway = pair
    sa = up(Case("psk"))
    assert sa["remote-host"] == GW4 and gateway.sa()["remote-host"] == NAT
    with Flow(where, sa["local-vips"][0], X4) as flow:
        with flow.lossless():
            client.rekey(child="net")
            gateway.rekey(ike="net")
        for way, ends in (("open", (OPEN4, OPEN6)), ("six", (SIX,)), ("nat", (NAT,))):
            mark = gateway.mark()
            with flow.gap(2000):
                ground.use(way)
                gateway.wait("ike-update", lambda m: m["remote-host"] in ends, mark)
        with pytest.raises(AssertionError, match="missing"), flow.lossless():
            ground.silence(True)
            flow.wait_sent(30)
            ground.silence(False)


def keys_of(gateway, sa, algorithm, integrity):
    """Wireshark's lines of a gateway's IKE SAs that came of this one."""
    spis = [(sa["initiator-spi"], sa["responder-spi"])]
    for name, message in gateway.events.seen:
        if name == "ike-rekey":
            new = message["net"]["new"]
            spis.append((new["initiator-spi"], new["responder-spi"]))
    keys = gateway.ike_keys()[-len(spis):]
    return [f'{i},{r},{k["ei"]},{k["er"]},"{algorithm}",{k.get("ai", "")},{k.get("ar", "")},'
            f'"{integrity}"' for (i, r), k in zip(spis, keys)]


@pytest.mark.parametrize("proposal,algorithm,integrity", [
    ("aes256gcm16-prfsha384-ecp384", "AES-GCM-256 with 16 octet ICV [RFC5282]", "NONE [RFC4306]"),
    ("aes128-sha256-x25519", "AES-CBC-128 [RFC3602]", "HMAC_SHA2_256_128 [RFC4868]"),
], ids=["gcm", "cbc"])
def test_dissection(ground, up, pair, where, proposal, algorithm, integrity):
    client, gateway = pair
    gateway.events.seen.clear()
    with dissect.Capture(ROUTER, "open", where / f"self-{proposal}.pcap") as capture:
        sa = up(dataclasses.replace(BY_NAME["long-chain"], ike=proposal))
        client.rekey(child="net")
        gateway.rekey(ike="net")
        client.terminate("net")
    lines = keys_of(gateway, sa, algorithm, integrity)
    assert len(lines) == 2
    found = dissect.check(capture.path, lines)
    assert {m.exchange for m in found} == {dissect.INIT, dissect.AUTH, dissect.CREATE_CHILD_SA,
                                           dissect.INFORMATIONAL}
    assert any(m.fragment for m in found)
    assert [m for m in found if m.auth_methods] and [m for m in found if m.cfg_types]
    # It can fail.
    with pytest.raises(AssertionError):
        dissect.check(capture.path, [lines[0].replace(lines[0][40:48], "00000000"), lines[1]])
    data = bytearray(capture.path.read_bytes())
    at = data.index(bytes.fromhex(sa["initiator-spi"])) + 16   # the first next payload
    data[at] = 47
    broken = capture.path.with_suffix(".broken.pcap")
    broken.write_bytes(data)
    with pytest.raises(AssertionError):
        dissect.check(broken, lines)


def test_refusals(up, pair, pki):
    """A wrong secret, an expired and a revoked certificate are seen, by log and by notify."""
    client, gateway = pair
    case = BY_NAME["ecdsa-256"]
    credentials = Credentials(pki, case)
    root = credentials.client_root
    revoked = root.issue("revoked", "ecdsa256", ike_cases.CLIENT_NAMES)
    root.revoke(revoked)
    for leaf, crls, why in ((root.expired("expired", "ecdsa256", ike_cases.CLIENT_NAMES), [],
                             "certificate invalid"),
                            (revoked, [root.crl()], "revoked")):
        credentials.client = leaf
        gateway.load(strongswan_gateway(case, credentials), crls=crls, **credentials.for_gateway())
        client.load(strongswan_client(case, credentials), **credentials.for_client())
        mark = gateway.mark()
        assert "AUTHENTICATION_FAILED" in client.refused("net")
        gateway.wait_log(why, mark)


def test_dead_peer(ground, up, pair):
    client, gateway = pair
    up(Case("psk"), gateway_lines=["dpd_delay = 1s"])
    mark = gateway.mark()
    ground.silence(True)
    gateway.wait("ike-updown", lambda m: "up" not in m, mark, 15)
