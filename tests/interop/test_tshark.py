# SPDX-License-Identifier: MIT
"""What leaves two Sojourns, as Wireshark's dissectors read it: given the keys, tshark decrypts
our ESP, finds every check value right, and dissects each Registration Request and Reply
(RFC 5944) and each Binding Update and Acknowledgement (RFC 6275) without a malformed field.

tshark 4.0 leaves the high half of an extended sequence number out of the check value, so the
captures it reads are made with esn = no.  With esn = yes the check values are computed here, with
Python's hmac, from the number that the hello announces (doc/protocol.md).

      sj-i-term 10.8.0.2 ----------- 10.8.0.1 sj-i-serv
"""
import hashlib
import hmac
import shutil
import socket
import struct
import subprocess

import pytest

from conftest import TAG, Daemon, ns_exec, ping, sh, wait_for
from dissect import Capture

TERM, SERV = f"sj-{TAG}-term", f"sj-{TAG}-serv"
OUTER = {4: ("10.8.0.2", "10.8.0.1"), 6: ("fd08::2", "fd08::1")}
HOMES = ["10.62.0.2", "fd62::2"]
AGENTS = ["10.62.0.1", "fd62::1"]
REG_KEY = "a5" * 32
UP, DOWN = "0x00002001", "0x00002002"
KEYS = {UP: hashlib.shake_128(b"up").hexdigest(48), DOWN: hashlib.shake_128(b"down").hexdigest(48)}


def config(role, outer, encapsulation, esn, mode="tunnel", families=(0, 1)):
    """The same connection seen from either end."""
    term = role == "terminal"
    out, back = (UP, DOWN) if term else (DOWN, UP)
    homes = ", ".join(f'"{HOMES[i]}"' for i in families)
    agents = ", ".join(f'"{AGENTS[i]}"' for i in families)
    conn = f"""
        {'interface = "sj-i0"' if term else "care-of = any"}
        server = "{OUTER[outer][1]}"
        cipher = aes128-cbc
        integrity = hmac-sha-256-128
        encapsulation = {encapsulation}
        mode = {mode}
        esn = {esn}
        {'replay-window = 64' if esn == 'no' else ''}
        spi-out = {out}
        key-out = "0x{KEYS[out]}"
        spi-in = {back}
        key-in = "0x{KEYS[back]}"
    """
    who = f"""
        home-address = {{ {homes} }}
        registration-spi = 256
        registration-key = "0x{REG_KEY}"
    """
    if term:
        return f"""
            role = terminal
            home-agent = {{ {agents} }}
            routes = {{ {agents} }}
            {who}
            connection c {{ {conn} }}
        """
    return f"""
        role = home-server
        home-agent = {{ {agents} }}
        listen = {{ "{OUTER[outer][1]}" }}
        terminal t {{ {who} connection c {{ {conn} }} }}
    """


@pytest.fixture
def pair(ready):
    def remove():
        for ns in (TERM, SERV):
            sh("ip", "netns", "del", ns, check=False)
    remove()
    try:
        for ns in (TERM, SERV):
            sh("ip", "netns", "add", ns)
            sh("ip", "-n", ns, "link", "set", "lo", "up")
        sh("ip", "link", "add", "sj-i0", "netns", TERM, "type", "veth",
           "peer", "name", "sj-i0", "netns", SERV)
        for end, ns in enumerate((TERM, SERV)):
            for outer, bits in ((4, 24), (6, 64)):
                sh("ip", "-n", ns, "addr", "add", f"{OUTER[outer][end]}/{bits}", "dev", "sj-i0",
                   *(["nodad"] if outer == 6 else []))
        for agent in AGENTS:
            sh("ip", "-n", SERV, "addr", "add", agent, "dev", "lo",
               *(["nodad"] if ":" in agent else []))
        for ns in (TERM, SERV):
            ns_exec(ns, "ethtool", "-K", "sj-i0", "tx", "off")     # outer checksums are real
            sh("ip", "-n", ns, "link", "set", "sj-i0", "up")
        yield
    finally:
        remove()


def capture(where, outer, encapsulation, esn, mode="tunnel", families=(0, 1)):
    """Registration, a few pings of both families, the end: everything on the wire."""
    pcap = where / f"{outer}-{encapsulation}-{esn}-{mode}.pcap"
    daemons = []
    with Capture(SERV, "sj-i0", pcap, "ip or ip6"):
        try:
            for ns, role in ((SERV, "home-server"), (TERM, "terminal")):
                daemons.append(Daemon(ns, f"{role}-{outer}-{encapsulation}-{esn}",
                                      config(role, outer, encapsulation, esn, mode, families), where))
            for home, agent in [(HOMES[i], AGENTS[i]) for i in families]:
                try:
                    wait_for(f"a ping of {agent}",
                             lambda: ping(TERM, home, agent).returncode == 0)
                except AssertionError as e:
                    raise AssertionError(f"{e}\n" + "".join(d.log() for d in daemons))
                assert ping(TERM, home, agent, size=1000, count=3).returncode == 0
        finally:
            for daemon in reversed(daemons):
                daemon.stop()
    return pcap


def tshark(pcap, outer, *more):
    src, dst = OUTER[outer]
    sas = []
    for spi, a, b in ((UP, src, dst), (DOWN, dst, src)):
        sas += ["-o", 'uat:esp_sa:"IPv%d","%s","%s","%s","AES-CBC [RFC3602]","0x%s",'
                '"HMAC-SHA-256-128 [RFC4868]","0x%s"'
                % (outer, a, b, spi, KEYS[spi][:32], KEYS[spi][32:])]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(pcap), "-o", "esp.enable_encryption_decode:TRUE",
         "-o", "esp.enable_authentication_check:TRUE", "-o", "ip.check_checksum:TRUE",
         "-o", "udp.check_checksum:TRUE", *sas, *more],
        text=True, stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def fields(pcap, outer, display, *names):
    out = tshark(pcap, outer, "-Y", display, "-T", "fields", *sum((["-e", n] for n in names), []))
    return [tuple(line.split("\t")) for line in out.splitlines()]


@pytest.mark.skipif(not shutil.which("tshark"), reason="tshark is not installed")
@pytest.mark.parametrize("outer,encapsulation", [(4, "udp"), (4, "esp"), (6, "udp"), (6, "esp")])
def test_tshark_reads_everything(pair, where, outer, encapsulation):
    pcap = capture(where, outer, encapsulation, "no")
    total = fields(pcap, outer, "esp", "esp.spi")
    assert len(total) > 16
    assert {spi for spi, in total} == {UP, DOWN}
    good = fields(pcap, outer, "esp.icv_good == 1", "frame.number")
    assert len(good) == len(total), "a check value is wrong, or was not checked"
    bad = tshark(pcap, outer, "-Y", "_ws.malformed || _ws.expert.severity == error || "
                 "ip.checksum.status == 0 || udp.checksum.status == 0")
    assert not bad, bad

    # RFC 5944
    request = fields(pcap, outer, "mip.type == 1", "mip.homeaddr", "mip.haaddr", "mip.d",
                     "mip.ext.type", "mip.auth.spi")
    assert request, "no Registration Request"
    for home, agent, d, kinds, spi in request:
        assert (home, agent, d) == (HOMES[0], AGENTS[0], "1")
        assert "32" in kinds.split(",") and "38" not in kinds.split(",")
        assert int(spi, 0) == 256
    reply = fields(pcap, outer, "mip.type == 3", "mip.code", "mip.homeaddr", "mip.haaddr")
    assert ("0", HOMES[0], AGENTS[0]) in reply

    # RFC 6275 (the kernel checks the checksum, in test_kernel.py)
    update = fields(pcap, outer, "mip6.mhtype == 5", "ipv6.src", "mip6.bu.a_flag",
                    "mip6.bu.h_flag", "mip6.bu.seqnr")
    assert update, "no Binding Update"
    for source, a, h, _ in update:
        assert source.split(",")[-1] == HOMES[1] and (a, h) == ("1", "1")
    ack = fields(pcap, outer, "mip6.mhtype == 6", "mip6.ba.status", "mip6.ba.seqnr")
    assert {("0", sequence) for *_, sequence in update} & set(ack), (update, ack)

    # What runs inside is nowhere outside.
    naked = fields(pcap, outer, "(icmp.type == 8 || icmpv6.type == 128 || mip || mipv6) && !esp",
                   "frame.number")
    assert not naked


@pytest.mark.parametrize("mode,inside,outer,encapsulation", [
    ("transport", 4, 4, "udp"), ("transport", 4, 4, "esp"), ("transport", 6, 6, "udp"),
    ("transport", 6, 6, "esp"), ("beet", 4, 4, "udp"), ("beet", 6, 6, "esp"), ("beet", 4, 6, "udp"),
    ("beet", 6, 4, "esp")])
def test_tshark_reads_modes(pair, where, mode, inside, outer, encapsulation):
    """The payload follows ESP at once.  tshark checks a transport mode's UDP checksums for the
    outer addresses, for which they are right; BEET mode's are for addresses it cannot know."""
    pcap = capture(where, outer, encapsulation, "no", mode, (inside == 6,))
    total = fields(pcap, outer, "esp", "esp.spi")
    assert len(total) > 8 and {spi for spi, in total} == {UP, DOWN}
    assert len(fields(pcap, outer, "esp.icv_good == 1", "frame.number")) == len(total)
    # Of a dummy it shows none.
    next_headers = {p for p, in fields(pcap, outer, "esp", "esp.protocol") if p}
    registration, ping_header = ("17", "1") if inside == 4 else ("135", "58")
    assert {int(p, 0) for p in next_headers} >= {int(registration), int(ping_header)}, next_headers
    assert not {int(p, 0) for p in next_headers} & {4, 41}, next_headers
    bad = tshark(pcap, outer, "-Y", "_ws.malformed || ip.checksum.status == 0")
    assert not bad, bad
    if mode == "transport":
        wrong = "udp.checksum.status == 0 || icmpv6.checksum.status == 0"
        assert not tshark(pcap, outer, "-Y", wrong), tshark(pcap, outer, "-Y", wrong)
        checked = "esp && (mip || icmp || icmpv6)"
        assert fields(pcap, outer, checked, "frame.number")
    if inside == 4:
        request = fields(pcap, outer, "mip.type == 1", "mip.homeaddr", "mip.haaddr")
        assert (HOMES[0], AGENTS[0]) in request


def test_tshark_sees_a_wrong_key(pair, where, monkeypatch):
    """The test above can fail."""
    pcap = capture(where, 4, "udp", "no")
    monkeypatch.setitem(KEYS, UP, KEYS[UP][:-2] + "00")
    assert fields(pcap, 4, f"esp.spi == {UP} && esp.icv_bad == 1", "frame.number")
    assert not fields(pcap, 4, f"esp.spi == {UP} && esp.icv_good == 1", "frame.number")


def esp_packets(pcap):
    """(spi, ESP packet) of every UDP-encapsulated one over IPv4."""
    data = pcap.read_bytes()
    assert struct.unpack_from("<I", data)[0] == 0xa1b2c3d4
    at = 24
    while at < len(data):
        size = struct.unpack_from("<8xI", data, at)[0]
        frame = data[at + 16:at + 16 + size]
        at += 16 + size
        if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP:
            continue
        udp = 14 + (frame[14] & 15) * 4
        end = udp + struct.unpack_from("!H", frame, udp + 4)[0]
        esp = frame[udp + 8:end]
        if len(esp) > 8 and esp[:4] != bytes(4):
            yield f"0x{esp[:4].hex()}", esp


def test_extended_numbers_by_hand(pair, where):
    """RFC 4303 2.2.1: the high half is authenticated behind the packet and not sent.  The first
    packet of an epoch E is number E << 32 | E, what follows goes up from there."""
    pcap = capture(where, 4, "udp", "yes")
    high = {}
    count = {UP: 0, DOWN: 0}
    for spi, esp in esp_packets(pcap):
        low = struct.unpack_from("!I", esp, 4)[0]
        key = bytes.fromhex(KEYS[spi][32:])

        def fits(hi):
            mac = hmac.new(key, esp[:-16] + struct.pack("!I", hi), hashlib.sha256).digest()
            return mac[:16] == esp[-16:]
        if spi not in high or not fits(high[spi]):
            assert fits(low), f"{spi} {low:#x}: neither of the known epoch nor a hello"
            high[spi] = low
        count[spi] += 1
    assert count[UP] > 8 and count[DOWN] > 8
    assert all(high.values()), high
