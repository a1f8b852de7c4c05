# SPDX-License-Identifier: Apache-2.0
"""A plain TCP service for the data-path tests: bytes_service.py PORT BANNER_PORT.

PORT: the client's first byte says what to do.
  U  read to the end, answer with the SHA-256 of it, close
  D  eight bytes big endian n: send n bytes of the pattern, close
  E  echo what comes until the client's end, then close
  T  send 1 MiB of the pattern, then reset the connection
  W  send the pattern for ever
BANNER_PORT: says "220 ready" first, then echoes.
"""
import hashlib
import socket
import struct
import sys
import threading

PATTERN = bytes(range(251)) * 1044  # 251 is prime: a lost or doubled chunk shows


def pattern(n, chunk=len(PATTERN)):
    while n > 0:
        yield PATTERN[:min(n, chunk)]
        n -= min(n, chunk)


def echo(s):
    while True:
        b = s.recv(65536)
        if not b:
            return
        s.sendall(b)


def command(s):
    op = s.recv(1)
    if op == b"U":
        h = hashlib.sha256()
        while True:
            b = s.recv(1 << 18)
            if not b:
                break
            h.update(b)
        s.sendall(h.hexdigest().encode())
    elif op == b"D":
        n = struct.unpack(">Q", s.recv(8, socket.MSG_WAITALL))[0]
        for b in pattern(n):
            s.sendall(b)
    elif op == b"E":
        echo(s)
    elif op == b"T":
        for b in pattern(1 << 20):
            s.sendall(b)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    elif op == b"W":
        while True:
            s.sendall(PATTERN)


def banner(s):
    s.sendall(b"220 ready\r\n")
    echo(s)


def one(fn, s):
    try:
        with s:
            fn(s)
    except OSError:
        pass


def serve(port, fn):
    l = socket.create_server(("127.0.0.1", port), backlog=512)
    while True:
        s, _ = l.accept()
        threading.Thread(target=one, args=(fn, s), daemon=True).start()


if __name__ == "__main__":
    threading.Thread(target=serve, args=(int(sys.argv[2]), banner), daemon=True).start()
    serve(int(sys.argv[1]), command)
