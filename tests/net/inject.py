# SPDX-License-Identifier: MIT
"""Sends raw IP packets as they are: one in hex a line on standard input, from the IP header on.
Run inside the namespace they shall come from; the source address is what they say."""

import socket
import sys


def main() -> None:
    with (socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as s4,
          socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW) as s6):
        for line in sys.stdin:
            packet = bytes.fromhex(line)
            if packet[0] >> 4 == 6:
                s6.sendto(packet, (socket.inet_ntop(socket.AF_INET6, packet[24:40]), 0))
            else:
                s4.sendto(packet, (socket.inet_ntop(socket.AF_INET, packet[16:20]), 0))


if __name__ == "__main__":
    main()
