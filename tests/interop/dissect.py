# SPDX-License-Identifier: MIT
"""IKEv2 on the wire, as Wireshark's dissector reads it.

A Capture takes what passes an interface.  Of a capture, `check` demands that every datagram of the
two ports is an IKE message, ESP or a keepalive, without a malformed field or an expert's error;
given Wireshark's lines of keys (ikev2_decryption_table), that each encrypted message is decrypted,
with a good check value, and well-formed inside as well.

A line is SPIi,SPIr,SK_ei,SK_er,"algorithm",SK_ai,SK_ar,"integrity".  tshark 4.0 knows no
ChaCha20-Poly1305 for IKE; what such an IKE SA says remains sealed.
"""
import dataclasses
import os
import re
import socket
import subprocess
from pathlib import Path

from conftest import inside, wait_for
import ground

INIT, AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
SK, SKF = 46, 53
RESPONSE_FLAG = 0x20
MARKER_PORT = 9


@dataclasses.dataclass
class Message:
    frame: int
    exchange: int
    message_id: int
    response: bool
    spis: tuple
    payloads: list      # types, in order; those inside an encrypted payload too when decrypted
    sealed: bool        # has an encrypted payload
    fragment: tuple     # (number, of) or ()
    notifies: list
    auth_methods: list
    cfg_types: list


class Capture:
    """with Capture(ns, interface, path): whatever passes meanwhile is in the file."""

    def __init__(self, ns, interface, path, expression="udp port 500 or udp port 4500 or esp"):
        self.ns, self.interface, self.path = ns, interface, Path(path)
        self.marker = os.urandom(16)
        self.expression = f"{expression} or udp port {MARKER_PORT}"

    def __enter__(self):
        self.path.unlink(missing_ok=True)
        self.process = ground.spawn(
            self.ns, "tcpdump", "-i", self.interface, "-U", "--immediate-mode", "-s", "0",
            "-w", self.path, "-Z", "root", self.expression)
        wait_for("tcpdump's start",
                 lambda: self.path.exists() and self.path.stat().st_size >= 24, every=0.02)
        return self

    def __exit__(self, *_):
        """A datagram of ours behind all others shows when all of them have been written."""
        try:
            with inside(self.ns):
                sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            with sock:
                where = ("ff02::1", MARKER_PORT, 0, self.index())
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, where[3])

                def written():
                    try:
                        sock.sendto(self.marker, where)
                    except OSError:     # the link is so new that it has no IPv6 yet
                        return False
                    return self.marker in self.path.read_bytes()
                wait_for("all packets in the capture", written, every=0.02)
        finally:
            ground.end(self.process)

    def index(self):
        with inside(self.ns):
            return socket.if_nametoindex(self.interface)


def tshark(pcap, lines=(), more=()):
    options = [o for line in lines for o in ("-o", "uat:ikev2_decryption_table:" + line.strip())]
    done = subprocess.run(
        ["tshark", "-n", "-r", str(pcap), "-o", "udp.check_checksum:TRUE",
         "-o", "ip.check_checksum:TRUE", *options, *more],
        text=True, stdin=subprocess.DEVNULL, capture_output=True, errors="replace")
    assert done.returncode == 0, done.stderr
    return done.stdout


def inside_esp(pcap, lines, what):
    """Frames of ESP that, with lines of Wireshark's esp_sa, show this inside."""
    options = [o for line in lines for o in ("-o", "uat:esp_sa:" + line)]
    out = tshark(pcap, (), ["-o", "esp.enable_encryption_decode:TRUE", *options,
                            "-Y", f"esp && ({what})", "-T", "fields", "-e", "frame.number"])
    return [int(n) for n in out.split()]


FIELDS = ["frame.number", "isakmp.exchangetype", "isakmp.messageid", "isakmp.flags",
          "isakmp.ispi", "isakmp.rspi", "isakmp.typepayload", "isakmp.frag.number",
          "isakmp.frag.total", "isakmp.notify.msgtype", "isakmp.auth.method",
          "isakmp.cfg.attr.type"]


def messages(pcap, lines=()):
    """Every IKE message, in order."""
    def numbers(text):
        return [int(n, 0) for n in text.split(",") if n]
    out = tshark(pcap, lines, ["-Y", "isakmp", "-T", "fields",
                               *(a for f in FIELDS for a in ("-e", f))])
    found = []
    for row in out.splitlines():
        (frame, exchange, message_id, flags, spi_i, spi_r, types, number, total, notifies, methods,
         attributes) = row.split("\t")
        types = numbers(types)
        found.append(Message(
            int(frame), int(exchange.split(",")[0]), int(message_id.split(",")[0], 0),
            bool(int(flags.split(",")[0], 0) & RESPONSE_FLAG),
            (spi_i.split(",")[0], spi_r.split(",")[0]), types, SK in types or SKF in types,
            (numbers(number)[0], numbers(total)[0]) if number else (), numbers(notifies),
            numbers(methods), numbers(attributes)))
    return found


BAD = ("_ws.malformed || _ws.expert.severity == error || ip.checksum.status == 0 || "
       "udp.checksum.status == 0 || isakmp.fragment.error")
ICV = re.compile(r"Integrity Checksum Data.*\[(\w+)\]")


def details(pcap, lines=()):
    """Frame number -> the dissection of its IKE message as text."""
    out = tshark(pcap, lines, ["-Y", "isakmp", "-O", "isakmp"])
    pieces = re.split(r"(?m)^Frame (\d+):", out)
    return {int(n): text for n, text in zip(pieces[1::2], pieces[2::2])}


def check(pcap, lines=(), sealed=()):
    """The messages, all dissected.  sealed: initiators' SPIs whose messages stay encrypted."""
    bad = tshark(pcap, lines, ["-Y", f"isakmp && ({BAD})", "-O", "isakmp"])
    assert not bad, f"{pcap}:\n{bad[:6000]}"
    strange = tshark(pcap, lines, ["-Y", "(udp.port == 500 || udp.port == 4500) && "
                                   "!isakmp && !esp && !udpencap.nat_keepalive"])
    assert not strange, f"{pcap}: neither IKE nor ESP:\n{strange}"
    found = messages(pcap, lines)
    assert found, f"{pcap}: no IKE message"
    if lines:
        text = details(pcap, lines)
        for message in found:
            if not message.sealed or message.spis[0] in sealed:
                continue
            what = text[message.frame]
            icv = ICV.search(what)
            assert icv and icv[1] == "correct", f"{pcap}, {message}: check value\n{what}"
            assert message.exchange == INFORMATIONAL or message.fragment or \
                len(message.payloads) > 1, f"{pcap}, not decrypted: {message}\n{what}"
    return found
