# SPDX-License-Identifier: MIT
"""AH with more in the outer header than an address pair: IP options and hop-by-hop options that
the Linux kernel authenticates (its AH in transport mode around a packet within a packet is what
tunnel mode is on the wire), and extension headers that a sender written here from RFC 4302 puts
before AH.  And what two Sojourns send, dissected by tshark, with each check value computed here.
"""
import hashlib
import hmac
import ipaddress
import socket
import struct
import subprocess

import pytest

from conftest import HOST, Daemon, sh, wait_for
from kernel import REG_KEY, Case, connection, kernel_sa, outer, spi, stats
import test_tshark
from test_tshark import pair  # noqa: F401

AGENT = "10.61.0.1"
CASES = [Case(18, "null", "hmac-sha-256-128", 4, False, protocol="ah"),
         Case(19, "null", "hmac-sha-256-128", 6, False, protocol="ah")]
IPIP, AH = 4, 51
ALERT, RECORD = "94040000", "07070400000000" "00"
OPTIONS4 = [ALERT, RECORD, "01010101" + RECORD + ALERT, "44080500" "00000000"]
# option 0x1e may not change, 0x3e may; neither is known to anybody, both are to be skipped
HOP = "0000" "1e01ab" "3e01cd"
DESTINATION = "0000" "3e0401020304"


def home(case):
    return f"10.61.{case.n}.2"


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def echo_request(src, dst, number):
    """A whole IPv4 packet."""
    icmp = struct.pack("!BBHHH", 8, 0, 0, 7, number) + bytes(24)
    icmp = icmp[:2] + struct.pack("!H", checksum(icmp)) + icmp[4:]
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(icmp), number, 0, 64, 1, 0,
                     socket.inet_aton(src), socket.inet_aton(dst))
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + icmp


@pytest.fixture(scope="module")
def server(guest, where):
    sh("ip", "-n", HOST, "addr", "add", AGENT, "dev", "lo")
    text = f"""
        role = home-server
        listen = {{ "10.9.0.1", "fd09::1" }}
        home-agent = "{AGENT}"
    """
    for case in CASES:
        ours, theirs = outer(case)
        guest.sh(f"""set -e
            ip addr add {theirs}/{24 if case.outer == 4 else 64} dev eth0 \
                {'nodad' if case.outer == 6 else ''}
            {kernel_sa(case, theirs, ours, spi(case, 'to-us'), case.key('to-us')).replace(
                'mode tunnel flag af-unspec', 'mode transport'
                + (' flag' if case.outer == 4 else ''))}
            ip xfrm policy add dir out src {theirs} dst {ours} proto {IPIP} \
                tmpl proto ah reqid {case.n} mode transport""")
        lead = f"""care-of = any
            server = "{ours}" """
        text += f"""
            terminal t{case.n} {{
                home-address = "{home(case)}"
                registration-spi = {300 + case.n}
                registration-key = "0x{REG_KEY}"
                connection c{case.n} {{ {connection(case, lead)} }}
            }}
        """
    daemon = Daemon(HOST, "ah-server", text, where)
    daemon.wait()
    yield daemon
    assert daemon.stop() == 0, daemon.log()
    sh("ip", "-n", HOST, "addr", "del", AGENT, "dev", "lo", check=False)


def received(server, case):
    return {c["name"]: c["rx"]["packets"] for c in server.ask("connections")["connections"]}[
        f"c{case.n}"]


def drops(server):
    return {k: v for k, v in server.ask("counters")["drops"].items()
            if k in ("not-authentic", "bad-outer", "runt", "replayed", "wrong-protocol")}


def arrives(server, guest, case, send):
    before, dropped = received(server, case), drops(server)
    send()
    try:
        wait_for("the packet is taken", lambda: received(server, case) == before + 1, 5)
    except AssertionError as e:
        raise AssertionError(f"{e}\n{dropped} -> {drops(server)}\n{stats(guest)}")


@pytest.mark.parametrize("options", [[]] + [[o] for o in OPTIONS4], ids=str)
def test_ip_options_of_the_kernel(server, guest, options):
    case = CASES[0]
    ours, theirs = outer(case)
    arrives(server, guest, case, lambda: guest.call(
        "raw", source=theirs, address=ours, protocol=IPIP,
        options=[(socket.IPPROTO_IP, socket.IP_OPTIONS, o) for o in options],
        data=echo_request(home(case), AGENT, 1).hex()))


@pytest.mark.parametrize("options", [[], [(54, HOP)]], ids=str)
def test_hop_by_hop_options_of_the_kernel(server, guest, options):
    case = CASES[1]
    ours, theirs = outer(case)
    arrives(server, guest, case, lambda: guest.call(
        "raw", source=theirs, address=ours, protocol=IPIP,
        options=[(socket.IPPROTO_IPV6, option, value) for option, value in options],
        data=echo_request(home(case), AGENT, 2).hex()))


def ah_by_hand(case, number, extensions, change=False):
    """An AH packet over IPv6 behind these (kind, header's octets), from the authentication header
    on; what changes on the way as zero under the check value."""
    ours, theirs = outer(case)
    inner = echo_request(home(case), AGENT, number)
    kinds = [kind for kind, _ in extensions] + [AH]
    covered = b""
    for (_, octets), following in zip(extensions, kinds[1:]):
        header = bytearray.fromhex(octets)
        header[0] = following
        at = 2
        while at < len(header):
            size = header[at + 1]
            if header[at] & 0x20:
                header[at + 2:at + 2 + size] = bytes(size)
            at += 2 + size
        covered += bytes(header)
    head = struct.pack("!BBHII", IPIP, 6, 0, int(spi(case, "to-us"), 0), number)
    length = len(covered) + len(head) + 20 + len(inner)
    ip = struct.pack("!IHBB", 0x60000000, length, kinds[0], 0) \
        + ipaddress.ip_address(theirs).packed + ipaddress.ip_address(ours).packed
    mac = hmac.new(bytes.fromhex(case.key("to-us")),
                   ip + covered + head + bytes(20) + inner, hashlib.sha256).digest()[:16]
    if change:
        mac = bytes([mac[0] ^ 1]) + mac[1:]
    return head + mac + bytes(4) + inner


HOP_KIND, DESTINATION_KIND = 0, 60


@pytest.mark.parametrize("number,extensions", [
    (100, []), (101, [(HOP_KIND, HOP)]), (102, [(DESTINATION_KIND, DESTINATION)]),
    (103, [(HOP_KIND, HOP), (DESTINATION_KIND, DESTINATION)]),
], ids=str)
def test_extension_headers_by_hand(server, guest, number, extensions):
    case = CASES[1]
    ours, theirs = outer(case)
    socket_option = {HOP_KIND: 54, DESTINATION_KIND: 59}
    options = [(socket.IPPROTO_IPV6, socket_option[kind], octets) for kind, octets in extensions]

    def send(change=False):
        guest.call("raw", source=theirs, address=ours, protocol=AH, options=options,
                   data=ah_by_hand(case, number, extensions, change).hex())
    before = drops(server)["not-authentic"]
    send(change=True)
    wait_for("a wrong check value is seen", lambda: drops(server)["not-authentic"] == before + 1)
    arrives(server, guest, case, send)


# --- between two Sojourns

KEYS = {way: hashlib.shake_128(way.encode()).hexdigest(32)
        for way in (test_tshark.UP, test_tshark.DOWN)}


def zeroed(packet):
    """An IP packet as its check value sees it, and where the authentication header is."""
    packet = bytearray(packet)
    if packet[0] >> 4 == 4:
        at = (packet[0] & 15) * 4
        for octet in (1, 6, 7, 8, 10, 11):
            packet[octet] = 0
    else:
        at = 40
        packet[0:4] = b"\x60\0\0\0"
        packet[7] = 0
    return packet, at


@pytest.mark.parametrize("outside", [4, 6])
@pytest.mark.parametrize("esn", ["no", "yes"])
def test_on_the_wire(pair, where, monkeypatch, outside, esn):  # noqa: F811
    plain = test_tshark.config

    def config(*args):
        text = plain(*args).replace("cipher = aes128-cbc", "protocol = ah").replace(
            "encapsulation = none", "")
        for way, key in test_tshark.KEYS.items():
            text = text.replace(key, KEYS[way])
        return text
    monkeypatch.setattr(test_tshark, "config", config)
    pcap = test_tshark.capture(where, outside, "none", esn)
    out = subprocess.run(
        ["tshark", "-n", "-r", str(pcap), "-o", "ip.check_checksum:TRUE", "-Y", "ah",
         "-T", "fields", "-e", "ah.spi", "-e", "ah.sequence", "-e", "ah.length", "-e", "ah.icv",
         "-e", "mip.type", "-e", "mip6.mhtype", "-e", "icmp.type", "-e", "_ws.malformed",
         "-e", "ip.checksum.status", "-e", "frame.len"],
        text=True, capture_output=True, check=True).stdout
    rows = [line.split("\t") for line in out.splitlines()]
    assert len(rows) > 16
    assert {row[0] for row in rows} == {test_tshark.UP, test_tshark.DOWN}
    assert not [row for row in rows if row[7]], "malformed"
    assert not [row for row in rows if "0" in row[8].split(",")], "a bad checksum"
    assert {"1", "3"} <= {kind for row in rows for kind in row[4].split(",")}, "registration"
    assert {"5", "6"} <= {kind for row in rows for kind in row[5].split(",")}, "binding update"
    assert {"8", "0"} <= {kind for row in rows for kind in row[6].split(",")}, "pings"

    count, high = {way: 0 for way in KEYS}, {}
    data, at = pcap.read_bytes(), 24
    while at < len(data):
        size = struct.unpack_from("<8xI", data, at)[0]
        packet, head = zeroed(data[at + 30:at + 16 + size])
        at += 16 + size
        if packet[9 if head != 40 else 6] != AH:
            continue
        way = f"0x{packet[head + 4:head + 8].hex()}"
        low = struct.unpack_from("!I", packet, head + 8)[0]
        mac = bytes(packet[head + 12:head + 28])
        packet[head + 12:head + 28] = bytes(16)
        assert (packet[head + 1] + 2) * 4 == (28 if head == 20 else 32)

        def fits(hi):
            more = b"" if hi is None else struct.pack("!I", hi)
            return hmac.new(bytes.fromhex(KEYS[way]), bytes(packet) + more,
                            hashlib.sha256).digest()[:16] == mac
        if esn == "no":
            assert fits(None), f"{way} {low}"
        elif way not in high or not fits(high[way]):
            assert fits(low), f"{way} {low:#x}: neither of the known epoch nor a hello"
            high[way] = low
        count[way] += 1
    assert min(count.values()) > 8, count
