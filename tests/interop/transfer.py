# SPDX-License-Identifier: MIT
"""One TCP connection that carries data both ways and compares SHA-256 at both ends.

The client sends SIZE bytes and shuts its half down; the server answers with the digest of what
came and then SIZE bytes of its own behind their digest.

    transfer.py serve ADDRESS PORT SIZE       one connection, then the end
    transfer.py fetch FROM ADDRESS PORT SIZE
"""
import hashlib
import os
import socket
import sys
import time


def family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def receive(sock, size=None):
    data = bytearray()
    while size is None or len(data) < size:
        piece = sock.recv(65536 if size is None else min(65536, size - len(data)))
        if not piece:
            break
        data += piece
    return bytes(data)


def listen(address, port):
    sock = socket.socket(family(address), socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((address, port))
    sock.listen(1)
    sock.settimeout(60)
    return sock


def serve(listener, size):
    with listener:
        sock, _ = listener.accept()
    sock.settimeout(60)
    with sock:
        got = hashlib.sha256(receive(sock)).digest()
        ours = os.urandom(size)
        sock.sendall(got + hashlib.sha256(ours).digest() + ours)


def fetch(source, address, port, size):
    with socket.socket(family(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.bind((source, 0))
        sock.connect((address, port))
        ours = os.urandom(size)
        sock.sendall(ours)
        sock.shutdown(socket.SHUT_WR)
        if receive(sock, 32) != hashlib.sha256(ours).digest():
            raise ValueError("what was sent did not arrive whole")
        digest, theirs = receive(sock, 32), receive(sock)
        if len(theirs) != size or hashlib.sha256(theirs).digest() != digest:
            raise ValueError(f"what came is not whole: {len(theirs)} of {size} bytes")


def pour(listener, seconds, rate):
    """To one connection: random bytes at a pace, and their digest in the end."""
    with listener:
        sock, _ = listener.accept()
    digest, end = hashlib.sha256(), time.monotonic() + seconds
    sock.settimeout(60)
    with sock:
        while time.monotonic() < end:
            piece = os.urandom(rate // 50)
            digest.update(piece)
            sock.sendall(piece)
            time.sleep(0.02)
        sock.sendall(digest.digest())


def drink(source, address, port):
    """Of such a one: bytes, whether they are whole, the longest silence in seconds."""
    data, longest = bytearray(), 0
    with socket.socket(family(address), socket.SOCK_STREAM) as sock:
        sock.settimeout(60)
        sock.bind((source, 0))
        sock.connect((address, port))
        last = time.monotonic()
        while piece := sock.recv(65536):
            data += piece
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    return {"bytes": len(data) - 32, "longest_s": round(longest, 3),
            "whole": hashlib.sha256(data[:-32]).digest() == bytes(data[-32:])}


def datagrams(address, port):
    sock = socket.socket(family(address), socket.SOCK_DGRAM)
    sock.bind((address, port))
    return sock


def echo(sock):
    """Gives back each datagram, for good."""
    while True:
        data, source = sock.recvfrom(65536)
        sock.sendto(data, source)


def ask(source, address, port, size, source_port=0):
    """Whether a datagram comes back as it was."""
    with socket.socket(family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(2)
        sock.bind((source, source_port))
        ours = os.urandom(size)
        sock.sendto(ours, (address, port))
        try:
            return sock.recvfrom(65536)[0] == ours
        except socket.timeout:
            return False


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        listener = listen(sys.argv[2], int(sys.argv[3]))
        print("listening", flush=True)
        serve(listener, int(sys.argv[4]))
    else:
        fetch(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
