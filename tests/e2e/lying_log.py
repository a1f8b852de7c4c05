# SPDX-License-Identifier: Apache-2.0
"""A log's web server that does not do as it should: lying_log.py PORT ORDERS.

ORDERS is a JSON file that is read for each request: {"dir": what is served, "checkpoint": HOW,
"tile": HOW, "entries": HOW}. HOW is honest, slow (a byte a second), giant (without end), truncated
(less than was announced), short (a tile that lacks its last hash), wrong (one bit of it is
another), missing (404), gzip (compressed) or bomb (compressed, without end for who unpacks it).
"""
import gzip
import http.server
import json
import os
import sys
import time


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def head(self, n, etag=None, encoding=None):
        self.send_response(200)
        self.send_header("Content-Length", str(n))
        if etag:
            self.send_header("ETag", etag)
        if encoding:
            self.send_header("Content-Encoding", encoding)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def do_GET(self):
        orders = json.load(open(sys.argv[2]))
        path = os.path.normpath(self.path).lstrip("/")
        what = ("checkpoint" if path.endswith("checkpoint") else
                "entries" if "/entries/" in path else "tile")
        how = orders.get(what, "honest")
        file = os.path.join(orders["dir"], "checkpoint" if what == "checkpoint" else path)
        if not os.path.isfile(file) or how == "missing":
            self.send_error(404)
            return
        data = open(file, "rb").read()
        if how == "honest":
            etag = '"%x"' % os.stat(file).st_mtime_ns
            if self.headers.get("If-None-Match") == etag:
                self.send_response(304)
                self.end_headers()
                return
            self.head(len(data), etag)
            self.wfile.write(data)
        elif how == "slow":
            self.head(len(data))
            for b in data:
                self.wfile.write(bytes([b]))
                self.wfile.flush()
                time.sleep(1)
        elif how == "giant":
            self.head(1 << 40)
            while True:
                self.wfile.write(b"\0" * 65536)
        elif how == "truncated":
            self.head(len(data))
            self.wfile.write(data[:len(data) // 2])
        elif how == "short":
            self.head(len(data) - 32)
            self.wfile.write(data[:-32])
        elif how == "wrong":
            self.head(len(data))
            at = -1 if what == "entries" else 0
            data = bytearray(data)
            data[at] ^= 1
            self.wfile.write(data)
        elif how in ("gzip", "bomb"):
            data = gzip.compress(bytes(1 << 28) if how == "bomb" else data)
            self.head(len(data), encoding="gzip")
            self.wfile.write(data)


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        pass  # who was lied to hangs up


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
