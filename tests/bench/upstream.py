"""The upstream for streams and large bodies: TLS 1.3, a thread per connection. Run by tests/bench/run.

Reads the body to its end. /hold: sends the head and one chunk of a response, then nothing until the connection ends.
/silent: sends nothing. Other paths: one line.
"""

import socketserver
import ssl
import sys
import threading


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 4096

    def get_request(self):
        sock, address = super().get_request()
        return CONTEXT.wrap_socket(sock, server_side=True, do_handshake_on_connect=False), address

    def handle_error(self, *_):
        pass


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        room = memoryview(bytearray(1 << 20))
        self.request.do_handshake()
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                more = self.request.recv(65536)
                if not more:
                    return
                data += more
            head, body = data.split(b"\r\n\r\n", 1)
            length = [int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
            left = (length or [0])[0] - len(body)
            while left > 0:
                got = self.request.recv_into(room, min(left, len(room)))
                if got == 0:
                    return
                left -= got
            if b"/silent" in head.split(b"\r\n", 1)[0]:
                while self.request.recv(100):
                    pass
                return
            if b"/hold" in head.split(b"\r\n", 1)[0]:
                self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
                while self.request.recv(100):
                    pass
                return
            self.request.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nwhole")
            data = b""


threading.stack_size(256 * 1024)
CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
CONTEXT.minimum_version = ssl.TLSVersion.TLSv1_3
CONTEXT.load_cert_chain(sys.argv[2])
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
