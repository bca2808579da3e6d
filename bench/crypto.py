#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How fast packets are sealed and opened, by one core (bench/crypto.c).

 - crypt_seal and crypt_open as the packet path calls them: bursts of 64 packets in place under one
   SA, with extended sequence numbers; for every pair of algorithms that may be used, texts of 64,
   512 and 1,400 octets, with intel-ipsec-mb and with OpenSSL.  Gbit/s of text.
 - "bare" beside each: the library called without anything of Sojourn, on the same buffers in the
   same order, alternating with it.
 - What a packet costs whose key's schedule must be made first: one key, and very many at random.

    sudo ./run bench crypto [--json FILE] [--rounds N] [--ms N] [--keys N] [--only NAME]
"""
from lab import become

if __name__ == "__main__":
    become("crypto", __doc__)
