"""Serve one ZIP on 127.0.0.1 with byte ranges, and count the bytes that are sent.

In tests `with serve(zip_path) as server:`; in a shell `python tests/byte_range_server.py ZIP
[--port N]`.
"""

import argparse
import contextlib
import pathlib
import re
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 1 << 16


class Server(ThreadingHTTPServer):
    """Counts requests and the bytes of the bodies sent. Each request uses up one fault, or None."""

    def __init__(self, zip_path, ranges=True, faults=(), port=0, pause=0, tls=None):
        super().__init__(("127.0.0.1", port), Handler)
        self.zip_path, self.ranges = pathlib.Path(zip_path), ranges
        self.faults, self.pause = list(faults), pause
        self.url = f"http{'s' if tls else ''}://127.0.0.1:{self.server_port}/{self.zip_path.name}"
        self.bytes_sent = self.requests = 0
        self.lock, self.over = threading.Lock(), threading.Event()
        if tls:
            self.socket = tls.wrap_socket(self.socket, server_side=True)

    def next_fault(self):
        with self.lock:
            self.requests += 1
            return self.faults.pop(0) if self.faults else None

    def count(self, sent):
        with self.lock:
            self.bytes_sent += sent


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        fault = self.server.next_fault()
        if isinstance(fault, int):
            self._answer(fault, b"")
            return
        content = self.server.zip_path.read_bytes()
        header = self.headers.get("Range") if self.server.ranges else None
        requested = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
        if requested is None or requested[0] == "bytes=-":
            self._answer(200, content, fault)
            return
        first, last = requested.groups()
        if first:
            begin, end = int(first), min(int(last or len(content)) + 1, len(content))
        else:
            begin, end = max(0, len(content) - int(last)), len(content)
        if begin >= end:
            self._answer(416, b"", span=f"bytes */{len(content)}")
        else:
            self._answer(206, content[begin:end], fault, f"bytes {begin}-{end - 1}/{len(content)}")

    def do_HEAD(self):
        self.do_GET()

    def _answer(self, status, body, fault=None, span=None):
        """Send a body, or with a fault only its first half or nothing."""
        if fault:
            self.close_connection = True
        if fault == "silence":
            self.server.over.wait()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status in (429, 503):
            self.send_header("Retry-After", "3600")
        if self.server.ranges:
            self.send_header("Accept-Ranges", "bytes")
        if span:
            self.send_header("Content-Range", span)
        self.end_headers()
        if fault:
            body = body[: len(body) // 2 if fault in ("cut", "stall") else 0]
        if self.command == "HEAD":
            return
        # A client may close the connection early.
        with contextlib.suppress(ConnectionError):
            for begin in range(0, len(body), CHUNK):
                self.server.count(len(body[begin : begin + CHUNK]))
                self.wfile.write(body[begin : begin + CHUNK])
                self.server.over.wait(self.server.pause)
            if fault == "stall":
                self.server.over.wait()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serve(zip_path, ranges=True, faults=(), pause=0, tls=None):
    """Serve a file while the block runs.

    Args:
        zip_path: The file.
        ranges: Whether byte ranges are supported; if not, every response is the complete file.
        faults: The faults of the first requests, in order: a status such as 500, "cut" (the
            connection closes in the middle of the body), "hang up" (it closes before the body),
            "stall" (the body stops in the middle), "silence" (no response), or None. Later requests
            have no faults.
        pause: Seconds to wait after every 64 KiB.
        tls: An `ssl.SSLContext` for HTTPS.

    Yields:
        The server, with `url`, `bytes_sent` and `requests`.
    """
    server = Server(zip_path, ranges, faults, pause=pause, tls=tls)
    threading.Thread(
        target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
    ).start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()


def main():
    parser = argparse.ArgumentParser(
        description="Serve one ZIP with byte ranges; report on Ctrl-C how many bytes were sent."
    )
    parser.add_argument("zip", type=pathlib.Path)
    parser.add_argument("--port", type=int, default=0, help="default: any free one")
    args = parser.parse_args()
    if not args.zip.is_file():
        parser.error(f"{args.zip} is not there.")
    server = Server(args.zip, port=args.port)
    # A shell starts background jobs so that they ignore Ctrl-C.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    print(server.url, flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        server.serve_forever()
    server.server_close()
    size = args.zip.stat().st_size
    print(f"\n{server.bytes_sent:,} of {size:,} bytes sent in {server.requests} requests")


if __name__ == "__main__":
    main()
