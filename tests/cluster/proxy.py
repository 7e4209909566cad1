"""A proxy between a client and the API server: it sees every exchange and may act between two.

It serves TLS with a certificate of the cluster's CA and hands everything on as it is; the answers
are the API server's own.
"""

import contextlib
import http.client
import http.server
import ssl
import threading
import time

HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


class Exchange:
    """One request and the head of its answer; times are time.monotonic()."""

    def __init__(self, method, path, asked, status, retry_after):
        self.method = method
        self.path = path
        self.asked = asked
        self.answered = time.monotonic()
        self.status = status
        self.retry_after = retry_after  # seconds, or None


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def _relay(self):
        proxy, asked = self.server.proxy, time.monotonic()
        if proxy.before:
            proxy.before(self.command, self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)) or None
        headers = {k: v for k, v in self.headers.items() if k.lower() not in HOP_BY_HOP}
        upstream = http.client.HTTPSConnection("127.0.0.1", proxy.cluster.port, timeout=600,
                                               context=proxy.context)
        with contextlib.closing(upstream):
            upstream.request(self.command, self.path, body, headers)
            answer = upstream.getresponse()
            after = answer.headers.get("Retry-After")
            proxy.exchanges.append(Exchange(self.command, self.path, asked, answer.status,
                                            float(after) if after else None))
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in HOP_BY_HOP:
                    self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while data := answer.read1(65536):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")

    def handle_one_request(self):
        try:
            super().handle_one_request()
        except (OSError, http.client.HTTPException):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _relay


class Proxy:
    """`before(method, path)` is called after a request came and before it goes on."""

    def __init__(self, cluster, before=None):
        self.cluster = cluster
        self.before = before
        self.exchanges = []
        self.context = ssl.create_default_context(cafile=cluster.ca.crt)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.daemon_threads = True
        self._server.proxy = self
        inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inside.load_cert_chain(*cluster.ca.issue("proxy", "/CN=proxy", ("IP:127.0.0.1",)))
        inside.set_alpn_protocols(["http/1.1"])
        self._server.socket = inside.wrap_socket(self._server.socket, server_side=True,
                                                 do_handshake_on_connect=False)
        self.url = f"https://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()

    def stop(self):
        self._server.shutdown()
        self._server.server_close()
