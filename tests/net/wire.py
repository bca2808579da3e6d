# SPDX-License-Identifier: MIT
"""What is on the wire between terminal and home server: reads captures, opens ESP with the test's
keys (through libcrypto, which the daemon needs anyway), and makes packets of its own."""

from __future__ import annotations

import ctypes
import dataclasses
import hashlib
import hmac
import pathlib
import socket
import struct
import time
from typing import Iterator

import sojourn_config
import world as w

ESP_PORT = 4500
REGISTRATION_PORT = 434
ICV_LEN = 16
ETHERTYPE_IP, ETHERTYPE_IPV6 = 0x0800, 0x86DD

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_cbc", "EVP_aes_128_ctr"):
    getattr(_crypto, _name).restype = ctypes.c_void_p


def aes128(mode: str, key: bytes, iv: bytes, data: bytes, encrypt: bool) -> bytes:
    cipher = ctypes.c_void_p(getattr(_crypto, f"EVP_aes_128_{mode}")())
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    try:
        out, length = ctypes.create_string_buffer(len(data) + 16), ctypes.c_int(0)
        ok = _crypto.EVP_CipherInit_ex(context, cipher, None, key, iv, ctypes.c_int(1 if encrypt else 0))
        ok = ok and _crypto.EVP_CIPHER_CTX_set_padding(context, ctypes.c_int(0))
        ok = ok and _crypto.EVP_CipherUpdate(context, out, ctypes.byref(length), data, ctypes.c_int(len(data)))
        if not ok:
            raise w.Failed("libcrypto refused")
        return out.raw[:length.value]
    finally:
        _crypto.EVP_CIPHER_CTX_free(context)


def aes128_cbc(key: bytes, iv: bytes, data: bytes, encrypt: bool) -> bytes:
    return aes128("cbc", key, iv, data, encrypt)


def aes128_gcm_open(key: bytes, iv: bytes, data: bytes) -> bytes:
    """RFC 4106 without its check, which is the daemon's: the key ends with the salt."""
    return aes128("ctr", key[:16], key[16:] + iv + bytes([0, 0, 0, 2]), data, False)


@dataclasses.dataclass
class Packet:
    """An outer IP packet as captured."""
    time_us: int       # CLOCK_MONOTONIC
    ip: bytes          # from the IP header on
    source: str
    target: str
    protocol: int
    payload: bytes     # behind the IP header

    @property
    def esp(self) -> bytes | None:
        if self.protocol == socket.IPPROTO_ESP:
            return self.payload
        if self.protocol == socket.IPPROTO_UDP and len(self.payload) >= 16:
            source_port, target_port = struct.unpack_from("!HH", self.payload)
            if ESP_PORT in (source_port, target_port) and self.payload[8:12] != bytes(4):
                return self.payload[8:]
        return None


def parse_ip(ip: bytes, time_us: int = 0) -> Packet | None:
    if len(ip) >= 20 and ip[0] >> 4 == 4:
        header_len, total = (ip[0] & 15) * 4, struct.unpack_from("!H", ip, 2)[0]
        return Packet(time_us, ip[:total], socket.inet_ntop(socket.AF_INET, ip[12:16]),
                      socket.inet_ntop(socket.AF_INET, ip[16:20]), ip[9], ip[header_len:total])
    if len(ip) >= 40 and ip[0] >> 4 == 6:
        total = 40 + struct.unpack_from("!H", ip, 4)[0]
        return Packet(time_us, ip[:total], socket.inet_ntop(socket.AF_INET6, ip[8:24]),
                      socket.inet_ntop(socket.AF_INET6, ip[24:40]), ip[6], ip[40:total])
    return None


def read_capture(path: pathlib.Path) -> Iterator[Packet]:
    """The IP packets of a pcap file of Ethernet frames; a record cut short ends it."""
    data = path.read_bytes()
    if len(data) < 24:
        return
    order = "<" if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\x4d\x3c\xb2\xa1") else ">"
    scale = 1000 if data[:4] in (b"\x4d\x3c\xb2\xa1", b"\xa1\xb2\x3c\x4d") else 1
    offset_us = (time.clock_gettime_ns(time.CLOCK_REALTIME) - time.clock_gettime_ns(time.CLOCK_MONOTONIC)) // 1000
    at = 24
    while at + 16 <= len(data):
        seconds, fraction, length, _ = struct.unpack_from(order + "IIII", data, at)
        frame = data[at + 16:at + 16 + length]
        at += 16 + length
        if len(frame) < length or length < 14:
            continue
        if struct.unpack_from("!H", frame, 12)[0] in (ETHERTYPE_IP, ETHERTYPE_IPV6):
            packet = parse_ip(frame[14:], seconds * 1000000 + fraction // scale - offset_us)
            if packet is not None:
                yield packet


class Opener:
    """Opens ESP packets: of configured connections, or of those of IKEv2 that the home server's
    configuration lets it tell the keys of."""

    def __init__(self, world: w.World, options: sojourn_config.Options):
        self.cbc: dict[int, bytes] = {}
        self.gcm: dict[int, bytes] = {}
        for terminal in world.terminals if not options.ike else ():
            for p in sojourn_config.pairs(terminal, options):
                self.cbc[p.spi_up], self.cbc[p.spi_down] = p.key_up, p.key_down
        for line in world.daemon("hs").ask("keys", "--wireshark")["esp"] if options.ike else ():
            fields = line.strip('"').split('","')
            self.gcm[int(fields[3], 16)] = bytes.fromhex(fields[5][2:])

    def open(self, esp: bytes) -> bytes | None:
        """The inner packet, or None when it is not ours.  The integrity check is the daemon's."""
        if len(esp) < 8 + 16 + 16 + ICV_LEN:
            return None
        spi = struct.unpack_from("!I", esp)[0]
        if spi in self.gcm:
            plain = aes128_gcm_open(self.gcm[spi], esp[8:16], esp[16:-ICV_LEN])
        elif spi in self.cbc and (len(esp) - 8 - ICV_LEN) % 16 == 0:
            key = self.cbc[spi][:sojourn_config.ENCRYPTION_KEY_LEN]
            plain = aes128_cbc(key, esp[8:24], esp[24:-ICV_LEN], False)
        else:
            return None
        pad_len, next_header = plain[-2], plain[-1]
        if pad_len + 2 > len(plain) or next_header not in (4, 41):
            return None
        return plain[:len(plain) - 2 - pad_len]


def is_ike_request(packet: Packet) -> bool:
    """IKEv2 on the port for UDP encapsulation (RFC 7296 3.1, RFC 3948 2.2)."""
    if packet.protocol != socket.IPPROTO_UDP or len(packet.payload) < 8 + 4 + 28:
        return False
    ports, data = struct.unpack_from("!HH", packet.payload), packet.payload[8:]
    return ESP_PORT in ports and data[:4] == bytes(4) and not data[4 + 19] & 0x20


def is_registration(inner: bytes) -> bool:
    """A Registration Request or Reply, or a Binding Update or Acknowledgement."""
    packet = parse_ip(inner)
    if packet is None:
        return False
    if packet.protocol == socket.IPPROTO_UDP and len(packet.payload) >= 8:
        return REGISTRATION_PORT in struct.unpack_from("!HH", packet.payload)
    header, payload = packet.protocol, packet.payload
    while header in (43, 60) and len(payload) >= 8:  # routing, destination options
        header, payload = payload[0], payload[(payload[1] + 1) * 8:]
    return header == 135


def registration_request(terminal: w.Terminal, identification: int, *, lifetime_s: int = 600, home: str = "",
                         spi: int | None = None, key: bytes | None = None, before_auth: bytes = b"",
                         flags: int = 0x22) -> bytes:
    """An RFC 5944 Registration Request with its MN-HA authentication extension."""
    message = struct.pack("!BBH4s4s4sQ", 1, flags, lifetime_s, socket.inet_aton(home or terminal.home4),
                          socket.inet_aton(w.HOME_AGENT4), socket.inet_aton(home or terminal.home4), identification)
    message += before_auth
    message += struct.pack("!BBI", 32, 4 + 16, sojourn_config.registration_spi(terminal) if spi is None else spi)
    secret = sojourn_config.registration_key(terminal) if key is None else key
    return message + hmac.new(secret, message, hashlib.sha256).digest()[:16]


def identification_now(shift_s: float = 0) -> int:
    """RFC 5944 5.7: an NTP timestamp."""
    now = time.time() + shift_s + 2208988800
    return (int(now) << 32 | int((now % 1) * 2**32)) & (2**64 - 1)
