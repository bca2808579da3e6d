# SPDX-License-Identifier: MIT
"""Sends raw IPv4 packets as they are: one in hex a line on standard input, from the IP header on.
Run inside the namespace they shall come from; the source address is what they say."""

import socket
import sys


def main() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s:
        for line in sys.stdin:
            packet = bytes.fromhex(line)
            s.sendto(packet, (socket.inet_ntop(socket.AF_INET, packet[16:20]), 0))


if __name__ == "__main__":
    main()
