"""A proxy before DynamoDB, which may refuse a request or send it in another name."""

import http.client
import http.server
import json
import threading
import urllib.parse


class DynamoDbProxy:
    """Listens on a free port of 127.0.0.1 until it is closed. The target may be set later."""

    def __init__(self, target=None):
        self.target = target
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                operation = self.headers.get("X-Amz-Target", "").rpartition(".")[2]
                if message := proxy.refusal(operation, body):
                    refusal = {"__type": "com.amazonaws.dynamodb.v20120810#AccessDeniedException", "message": message}
                    return self.answer(400, {}, json.dumps(refusal).encode())
                address = urllib.parse.urlsplit(proxy.target)
                connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                headers = proxy.headers_to_send(body, headers)
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

    def refusal(self, operation, body):
        """Words of a refusal, or nothing."""

    def headers_to_send(self, body, headers):
        return headers

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
