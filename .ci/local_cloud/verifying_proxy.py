"""A proxy before OpenSearch that admits signed requests only, as a managed domain or a serverless collection does.

botocore, another implementation than the functions', computes each signature again. The body must have its digest in
`x-amz-content-sha256`, as a collection wants it. Headers that a request must sign are those of AWS's documentation.
"""

import datetime
import hashlib
import http.server
import json
import re
import threading

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

AUTHORIZATION = re.compile(r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})")
MUST_SIGN = {"host", "x-amz-content-sha256", "x-amz-date"}
MOST_SKEW = datetime.timedelta(minutes=5)


class VerifyingProxy:
    """Listens on a free port of 127.0.0.1, and asks the engine as its administrator for what it admits."""

    def __init__(self, engine, service, region, key, secret, token):
        self.service, self.region, self.key, self.token = service, region, key, token
        self.auth = SigV4Auth(Credentials(key, secret, token), service, region)
        self.admitted, self.refused = [], []
        proxy = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                problem = proxy.problem(self.command, self.path, self.headers, body)
                if problem:
                    proxy.refused.append(problem)
                    return self.answer(403, json.dumps({"message": problem}).encode())
                proxy.admitted.append(f"{self.command} {self.path}")
                self.answer(*engine.pass_on(self.path.lstrip("/"), self.command, body))

            do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = handle_any

            def answer(self, status, content):
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def problem(self, method, path, headers, body):
        """Why a request is refused; None for one that is signed."""
        found = AUTHORIZATION.fullmatch(headers.get("Authorization", ""))
        if not found:
            return "Missing Authentication Token"
        scope, signed, signature = found[1], found[2].split(";"), found[3]
        date = headers.get("X-Amz-Date", "")
        if scope != f"{self.key}/{date[:8]}/{self.region}/{self.service}/aws4_request":
            return f"the credential is scoped to {scope}"
        moment = datetime.datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.timezone.utc)
        if abs(datetime.datetime.now(datetime.timezone.utc) - moment) > MOST_SKEW:
            return "Signature expired"
        must = MUST_SIGN | ({"x-amz-security-token"} if self.token else set())
        if not must <= set(signed):
            return f"not signed: {sorted(must - set(signed))}"
        if self.token and headers.get("X-Amz-Security-Token") != self.token:
            return "The security token included in the request is invalid"
        if headers["X-Amz-Content-Sha256"] != hashlib.sha256(body).hexdigest():
            return "the digest is not the body's"
        request = AWSRequest(method, self.url + path, headers={name: headers[name] for name in signed}, data=body)
        request.context["timestamp"] = date
        computed = self.auth.signature(self.auth.string_to_sign(request, self.auth.canonical_request(request)), request)
        return None if computed == signature else "The request signature we calculated does not match the signature you provided"

    def close(self):
        self.server.shutdown()
        self.server.server_close()
