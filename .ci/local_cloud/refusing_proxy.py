"""A proxy before DynamoDB that refuses the scans of one segment, lastingly, and passes everything else on."""

import http.client
import http.server
import json
import threading
import urllib.parse


class RefusingProxy:
    """Listens on a free port of 127.0.0.1 until it is closed."""

    def __init__(self, target):
        self.refused_segment = None
        address = urllib.parse.urlsplit(target)
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("X-Amz-Target", "").endswith(".Scan") and proxy.refuses(body):
                    refusal = {"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException", "message": "refused"}
                    return self.answer(400, {}, json.dumps(refusal).encode())
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                connection.request("POST", self.path, body, headers | {"Host": address.netloc})
                response = connection.getresponse()
                content = response.read()
                connection.close()
                self.answer(response.status, response.headers, content)

            def answer(self, status, headers, content):
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in ("connection", "content-length", "date", "server", "transfer-encoding"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def refuses(self, body):
        return self.refused_segment is not None and json.loads(body).get("Segment") == self.refused_segment

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
