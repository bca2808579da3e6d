#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""How large a home server can be: 1,000,000 terminals with one connection each, loaded through
the daemon's own functions into one process without a network (bench/scale.c).

 - Memory of a connection, both directions: what the process grew by, after a packet each way has
   passed over each of them.  The IKE SA is apart (`./run bench ike`).
 - Time of a packet in the packet path, with one terminal and with all of them at random, both
   ways; batches as the TUN device and the sockets give them, the I/O itself not counted.
 - What control does on one core while packets flow on the other: binding changes (assigned,
   published, the old one freed by RCU), registrations (a whole request with its authenticator,
   binding change and reply), terminals that go and come as at a reload; and the longest time that
   a batch of packets took meanwhile.

    sudo ./run bench scale [--json FILE] [--connections N] [--runs N] [--packets N] [--changes N]
"""
from lab import become

if __name__ == "__main__":
    become("scale", __doc__)
