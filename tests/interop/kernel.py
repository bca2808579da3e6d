# SPDX-License-Identifier: MIT
"""What both roles of Sojourn against the Linux kernel's own IPsec (XFRM) have in common.

Configured keys without extended sequence numbers.  With them, Sojourn's numbers begin at a random
epoch's hello (doc/protocol.md), which a kernel with configured keys cannot know; between a kernel
and Sojourn they become possible when both start at 1, with IKE.
"""
import dataclasses
import hashlib
import threading

import pytest

from conftest import HOST, inside, ping
import transfer

SIZES = [0, 56, 1000, 1300, 1372, 1400, 1450, 1472, 3000, 8000]
TRANSFER = 1 << 20
REG_KEY = "5a" * 32

CIPHERS = {  # name: kernel's, key bytes
    "aes128-cbc": ("cbc(aes)", 16),
    "aes256-cbc": ("cbc(aes)", 32),
    "null": ("ecb(cipher_null)", 0),
}
INTEGRITY = {  # name: kernel's, key bytes, bits of the check value
    "hmac-sha-256-128": ("hmac(sha256)", 32, 128),
    "hmac-sha-384-192": ("hmac(sha384)", 48, 192),
    "hmac-sha-512-256": ("hmac(sha512)", 64, 256),
    "hmac-sha-1-96": ("hmac(sha1)", 20, 96),
}


@dataclasses.dataclass
class Case:
    n: int
    cipher: str
    integrity: str
    outer: int                  # 4 or 6
    udp: bool
    window: int = 64
    skew_s: int = 0
    protocol: str = "esp"       # or ah, ah+esp

    def __str__(self):
        if self.protocol == "ah":
            return f"ah-{self.integrity}-v{self.outer}"
        if self.protocol == "ah+esp":
            return f"ah-esp-{self.cipher}-{self.integrity}-v{self.outer}"
        return (f"{self.cipher}-{self.integrity}-v{self.outer}-{'udp' if self.udp else 'esp'}"
                + ("-skewed" if self.skew_s else ""))

    def key(self, way):
        """Encryption key, then integrity key; different for each case and direction."""
        size = CIPHERS[self.cipher][1] + INTEGRITY[self.integrity][1]
        if self.protocol == "ah+esp":
            size += INTEGRITY[self.integrity][1]
        return hashlib.shake_128(f"{self.n} {way}".encode()).hexdigest(size)


def outer(case):
    """(ours, the kernel's)"""
    return (("10.9.0.1", f"10.9.0.{20 + case.n}") if case.outer == 4
            else ("fd09::1", f"fd09::{20 + case.n}"))


def kernel_sa(case, src, dst, spi, key):
    cipher, cipher_len = CIPHERS[case.cipher]
    integ, _, bits = INTEGRITY[case.integrity]
    enc_key, integ_key = key[:2 * cipher_len], key[2 * cipher_len:]
    if case.protocol == "ah+esp":
        ah_len = 2 * INTEGRITY[case.integrity][1]
        inner = dataclasses.replace(case, protocol="esp")
        around = dataclasses.replace(case, protocol="ah", cipher="null")
        return (kernel_sa(inner, src, dst, inner_spi(spi), key[:-ah_len])
                + kernel_sa(around, src, dst, spi, key[-ah_len:]).replace(
                    "mode tunnel flag af-unspec", "mode transport"
                    + (" flag" if case.outer == 4 else "")))
    if case.protocol == "ah":   # without align4 the kernel pads IPv4's ICV as IPv6's
        return (f"ip xfrm state add src {src} dst {dst} proto ah spi {spi} reqid {case.n} "
                f"mode tunnel flag af-unspec {'align4' if case.outer == 4 else ''} "
                f"replay-window {case.window or 32} auth-trunc '{integ}' 0x{integ_key} {bits}\n")
    encap = f"encap espinudp 4500 4500 {'0.0.0.0' if case.outer == 4 else '::'}" if case.udp else ""
    return (f"ip xfrm state add src {src} dst {dst} proto esp spi {spi} reqid {case.n} mode tunnel "
            f"flag af-unspec replay-window {case.window or 32} "
            f"auth-trunc '{integ}' 0x{integ_key} {bits} "
            f"enc '{cipher}' '{'0x' + enc_key if enc_key else ''}' {encap}\n")


def kernel_tunnel(case, inner_kernel, inner_ours):
    """The guest's half: two SAs, policies for each inner family, addresses and routes."""
    ours, theirs = outer(case)
    bits = 24 if case.outer == 4 else 64
    script = "set -e\n"
    script += f"ip addr add {theirs}/{bits} dev eth0 {'nodad' if case.outer == 6 else ''}\n"
    script += kernel_sa(case, ours, theirs, spi(case, "to-kernel"), case.key("to-kernel"))
    script += kernel_sa(case, theirs, ours, spi(case, "to-us"), case.key("to-us"))
    for mine, other in zip(inner_kernel, inner_ours):
        script += f"""
            ip xfrm policy add dir out src {mine} dst {other} {templates(case, theirs, ours)}
            ip xfrm policy add dir in src {other} dst {mine} {templates(case, ours, theirs)}
            ip addr add {mine} dev lo {'nodad' if ':' in mine else ''}
            ip route add {other} dev eth0 src {mine}
        """
    return script


def templates(case, src, dst):
    """A policy's, the innermost first."""
    if case.protocol == "ah+esp":
        return (f"tmpl src {src} dst {dst} proto esp reqid {case.n} mode tunnel "
                f"tmpl src {src} dst {dst} proto ah reqid {case.n} mode transport")
    return f"tmpl src {src} dst {dst} proto {case.protocol} reqid {case.n} mode tunnel"


def carries(case, address):
    """The kernel's states in transport mode, AH's in a bundle, are of one family."""
    return case.protocol != "ah+esp" or (":" in address) == (case.outer == 6)


def needs(case, address):
    if not carries(case, address):
        pytest.skip("the kernel's bundles carry one family")


def inner_spi(spi):
    """Of the ESP within AH."""
    return f"0x{int(spi, 0) + 0x8000:08x}"


def spi(case, way):
    return f"0x{0x1000 + case.n * 16 + (way == 'to-us'):08x}"


def connection(case, lead=""):
    """The lines of a connection that both roles have."""
    esp = f"""cipher = {case.cipher}
        encapsulation = {'udp' if case.udp else 'esp'}"""
    form = {"esp": esp, "ah": "protocol = ah", "ah+esp": f"""protocol = ah-esp
        cipher = {case.cipher}
        esp-spi-out = {inner_spi(spi(case, 'to-kernel'))}
        esp-spi-in = {inner_spi(spi(case, 'to-us'))}"""}[case.protocol]
    return f"""
        {lead}
        {form}
        integrity = {case.integrity}
        esn = no
        replay-window = {case.window}
        spi-out = {spi(case, 'to-kernel')}
        key-out = "0x{case.key('to-kernel')}"
        spi-in = {spi(case, 'to-us')}
        key-in = "0x{case.key('to-us')}"
    """


def packets_of(guest, case, way):
    """The kernel's count of packets on one of its SAs."""
    ours, theirs = outer(case)
    src, dst = (ours, theirs) if way == "to-kernel" else (theirs, ours)
    out = guest.sh(f"ip -s xfrm state get src {src} dst {dst} "
                   f"proto {case.protocol.split('+')[0]} spi {spi(case, way)}")
    current = out[out.index("lifetime current"):].splitlines()[1]
    return int(current.split("(packets)")[0].split()[-1])


def check_pings(guest, case, mine, theirs, daemon):
    """Each size from both ends, both families; none may be lost."""
    before = packets_of(guest, case, "to-kernel")
    lost = []
    pairs = [(m, t) for m, t in zip(mine, theirs) if carries(case, m)]
    for ours, kernels in pairs:
        assert ping(HOST, ours, kernels, wait=2).returncode == 0, daemon.log() + stats(guest)
        for size in SIZES:
            done = ping(HOST, ours, kernels, size, count=2, wait=2)
            if done.returncode or " 0% packet loss" not in done.stdout:
                lost.append(f"{ours} -> {kernels}, {size} bytes")
        got = guest.call("sh", script="".join(
            f"ping -q -n -c 2 -i 0.1 -W 2 -s {size} -I {kernels} {ours} | grep -q ' 0% packet loss'"
            f" || echo '{kernels} -> {ours}, {size} bytes'\n" for size in SIZES))
        lost += got["out"].splitlines()
    assert not lost, "lost:\n" + "\n".join(lost) + "\n" + daemon.log() + stats(guest)
    assert packets_of(guest, case, "to-kernel") - before >= 4 * len(pairs) * len(SIZES)


def stats(guest):
    return guest.sh("grep -v '[[:space:]]0$' /proc/net/xfrm_stat || :")


def check_transfers(guest, mine, theirs, case):
    for port, (ours, kernels) in enumerate(zip(mine, theirs), 8000):
        if not carries(case, ours):
            continue
        guest.call("serve", address=kernels, port=port, size=TRANSFER)
        with inside(HOST):
            transfer.fetch(ours, kernels, port, TRANSFER)
            listener = transfer.listen(ours, port + 10)
        thread = threading.Thread(target=transfer.serve, args=(listener, TRANSFER))
        thread.start()
        guest.call("fetch", source=kernels, address=ours, port=port + 10, size=TRANSFER)
        thread.join(30)
        assert not thread.is_alive()
