"""Requests as the functions send them, with the SigV4 headers that botocore, another implementation, gives them.

  signing_vectors.py           prints the vectors of the unit tests in `shared/src/opensearch/signature.rs`
  signing_vectors.py --check   fails unless `shared/src/opensearch/signing-vectors.json` holds just these

Three are examples of AWS's own documentation, "Authenticating Requests: Using the Authorization Header"; the script
fails unless botocore gives them the signatures that are printed there. They sign the same headers as our requests.
Keys and tokens are examples; none of them opens anything.
"""

import calendar
import datetime
import difflib
import hashlib
import json
import sys
import unittest.mock

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from definitions import ROOT

FILE = ROOT / "shared/src/opensearch/signing-vectors.json"
PUBLISHED = {
    "AWS: get the lifecycle of a bucket": "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
    "AWS: list objects": "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
    "AWS: get an object": "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
}
AWS_EXAMPLE = {"service": "s3", "region": "us-east-1", "access_key": "AKIAIOSFODNN7EXAMPLE",
               "secret_key": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "session_token": None,
               "time": calendar.timegm((2013, 5, 24, 0, 0, 0)), "method": "GET", "body": None, "headers": {}}
OURS = AWS_EXAMPLE | {"region": "eu-central-1", "session_token": "IQoJb3JpZ2luX2VjEXAMPLE+/token==",
                      "time": calendar.timegm((2026, 2, 28, 23, 59, 59)),
                      "headers": {"content-type": "application/json", "accept-encoding": "identity"}}
BUCKET = "https://examplebucket.s3.amazonaws.com"
DOMAIN = "https://search-activity-abc123.eu-central-1.es.amazonaws.com"
COLLECTION = "https://abc123.eu-central-1.aoss.amazonaws.com"
ALIAS = "activity-write-0123456789abcdef"
BULK = (json.dumps({"index": {"_id": "acme#märz/1 %", "if_seq_no": 7, "if_primary_term": 1}}, ensure_ascii=False)
        + "\n" + json.dumps({"n": 1.5, "word": "naïve 😀"}, ensure_ascii=False) + "\n")


def requests():
    """Yields the vectors without their signatures."""
    yield AWS_EXAMPLE | {"name": "AWS: get the lifecycle of a bucket", "url": f"{BUCKET}/?lifecycle"}
    yield AWS_EXAMPLE | {"name": "AWS: list objects", "url": f"{BUCKET}/?max-keys=2&prefix=J"}
    yield AWS_EXAMPLE | {"name": "AWS: get an object", "url": f"{BUCKET}/test.txt", "headers": {"range": "bytes=0-9"}}
    for what, service, host in (("a domain", "es", DOMAIN), ("a collection", "aoss", COLLECTION)):
        ours = OURS | {"service": service}
        yield ours | {"name": f"bulk to {what}", "method": "POST", "body": BULK,
                      "url": f"{host}/{ALIAS}/_bulk?require_alias=true"}
        # Commas and stars, percent-encoded: they are encoded once more where they are signed.
        yield ours | {"name": f"multi-get to {what}", "method": "POST", "body": '{"ids":["a","b"]}',
                      "url": f"{host}/{ALIAS}/_mget?realtime=true&filter_path=docs._index%2Cdocs.found%2Cdocs.error"}
        yield ours | {"name": f"index names to {what}",
                      "url": f"{host}/activity-write-%2A?expand_wildcards=all&filter_path=%2A.aliases%2C%2A.mappings"}
        yield ours | {"name": f"another index to {what}", "method": "PUT", "body": "{}", "url": f"{host}/activity-000002"}
        yield ours | {"name": f"deletion to {what}", "method": "DELETE", "url": f"{host}/activity-000001"}
        yield ours | {"name": f"keys of a user to {what}", "session_token": None, "url": f"{host}/activity"}
        yield ours | {"name": f"a path and a port to {what}", "url": f"{host}:9243/base/activity/_count"}


def signed(vector):
    """The vector with the headers that its signature adds."""
    moment = datetime.datetime.fromtimestamp(vector["time"], datetime.timezone.utc)
    # A body may be signed for by its digest only, in this header.
    digest = hashlib.sha256((vector["body"] or "").encode()).hexdigest()
    headers = vector["headers"] | {"x-amz-content-sha256": digest}
    request = AWSRequest(vector["method"], vector["url"], headers=headers, data=(vector["body"] or "").encode())
    credentials = Credentials(vector["access_key"], vector["secret_key"], vector["session_token"])
    with unittest.mock.patch("botocore.auth.get_current_datetime", lambda *_: moment.replace(tzinfo=None)):
        SigV4Auth(credentials, vector["service"], vector["region"]).add_auth(request)
    added = {name.lower(): value for name, value in request.headers.items() if name.lower() not in vector["headers"]}
    if vector["name"] in PUBLISHED:
        assert added["authorization"].endswith("Signature=" + PUBLISHED[vector["name"]]), vector["name"]
    return {"name": vector["name"]} | vector | {"signed": dict(sorted(added.items()))}


def main():
    vectors = [signed(vector) for vector in requests()]
    text = json.dumps(vectors, ensure_ascii=False, indent=1) + "\n"
    if sys.argv[1:] != ["--check"]:
        sys.stdout.write(text)
        return 0
    changes = list(difflib.unified_diff(FILE.read_text(encoding="utf-8").splitlines(), text.splitlines(), lineterm=""))
    print("\n".join(changes) if changes else f"botocore gives the same {len(vectors)} signatures")
    return 1 if changes else 0


if __name__ == "__main__":
    sys.exit(main())
