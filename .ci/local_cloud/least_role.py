"""Runs the functions against OpenSearch with its security plugin, in the least role that `docs/access` has for each.

  every function does its work over HTTPS with a private authority, as a user from Secrets Manager
  without an action of a role, the function that needs it is refused, and its error names the action
  with a role of this index, the functions are refused on another index, and so is everything else
  a reader sees the public index, and neither tombstones nor the physical index
"""

import contextlib
import json
import os
import pathlib
import re
import secrets
import subprocess
import sys
import tempfile
import time

from cloud import build, client, ministack
from definitions import ROOT
from secured_engine import secured_engine

INDEX, ANOTHER, TABLE = "activity", "payroll", "Activity"
ACCESS = ROOT / "docs/access"
USER = {"username": "driftless-function", "password": secrets.token_urlsafe(24)}
READER = ("reader", secrets.token_urlsafe(24))
SEARCHES = '{}\n{"query": {"match_all": {}}, "size": 0, "track_total_hits": true}\n'


class Functions:
    """The functions' own binaries, each invocation in a process of its own, with their table, queue and secret."""

    def __init__(self, binaries, engine, endpoint, scratch):
        self.binaries, self.scratch = binaries, scratch
        tables, queues = client("dynamodb", endpoint), client("sqs", endpoint)
        tables.create_table(TableName=TABLE, BillingMode="PAY_PER_REQUEST",
                            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
                            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
                            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}])
        self.table = tables.describe_table(TableName=TABLE)["Table"]
        self.tables, self.sequence = tables, 0
        secret = client("secretsmanager", endpoint).create_secret(Name="user", SecretString=json.dumps(USER))["ARN"]
        self.environment = {
            "OPENSEARCH_ENDPOINT": engine.url, "OPENSEARCH_CA": engine.authority.read_text(),
            "OPENSEARCH_AUTH": "basic", "OPENSEARCH_SECRET_ARN": secret, "AWS_ENDPOINT_URL_SECRETS_MANAGER": endpoint,
            "AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_ENDPOINT_URL_SQS": endpoint, "PARTITION_KEY": "pk",
            "TABLE_NAME": TABLE, "DEAD_LETTER_QUEUE_URL": queues.create_queue(QueueName="letters")["QueueUrl"],
        }

    def run(self, function, request, seconds, **environment):
        file = self.scratch / "request.json"
        file.write_text(json.dumps(request))
        given = [f"--env={name}={value}" for name, value in (self.environment | {"INDEX": INDEX} | environment).items()]
        command = [self.binaries["local"], "--home", self.scratch / "home", "replay", "--function", function, "--binary", self.binaries[function],
                   "--timeout", str(seconds), *given, file]
        clean = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
        done = subprocess.run(list(map(str, command)), env=clean, capture_output=True, text=True, cwd=ROOT)
        return done.stdout + done.stderr

    def works(self, function, request, **environment):
        """The answer of an invocation that must do all that it was asked for."""
        text = self.run(function, request, 60, **environment)
        found = re.search(r"request\.json: (succeeded|answered (.*)) \([\d.]+ m?s\)", text)
        assert found, f"{function} {json.dumps(request)}:\n{text}"
        return json.loads(found[2]) if found[2] else None

    def is_refused(self, function, request, action, **environment):
        """Runs an invocation that the engine must refuse for the lack of an action."""
        # Refusals are retried until the margin before the timeout.
        text = self.run(function, request, 8, ANSWER_MARGIN_MS="6000", **environment)
        assert f"no permissions for [{action}" in text, f"{function} without {action}:\n{text}"

    def event(self, kind, key, **attributes):
        """An event with one record, newer than all before it."""
        self.sequence += 1
        keys = {"pk": {"S": key}}
        image = {} if kind == "REMOVE" else {"NewImage": keys | {name: {"S": value} for name, value in attributes.items()}}
        return {"Records": [{
            "eventID": str(self.sequence), "eventName": kind, "eventSource": "aws:dynamodb", "eventVersion": "1.1",
            "awsRegion": "us-east-1", "eventSourceARN": self.table["LatestStreamArn"],
            "dynamodb": {"Keys": keys, **image, "SequenceNumber": f"{self.sequence:026}", "SizeBytes": 100,
                         "ApproximateCreationDateTime": int(time.time()), "StreamViewType": "NEW_IMAGE"}}]}


def role(name, without=None):
    """A role's JSON for INDEX, as `docs/access-control.md` makes it with sed, less an action."""
    text = (ACCESS / f"{name}.json").read_text().replace("INDEX", INDEX)
    role = json.loads(text)
    permissions = [role["cluster_permissions"], *(each["allowed_actions"] for each in role["index_permissions"])]
    if without:
        assert any(without in actions for actions in permissions), f"{name} has no {without}"
        for actions in permissions:
            with contextlib.suppress(ValueError):
                actions.remove(without)
    return role


def actions(name):
    whole = role(name)
    return sorted({*whole["cluster_permissions"], *(each for some in whole["index_permissions"] for each in some["allowed_actions"])})


class Access:
    """Roles and users of the engine."""

    def __init__(self, engine):
        self.engine = engine
        for name, user in (("function", USER), ("reader", {"username": READER[0], "password": READER[1]})):
            engine.must(f"_plugins/_security/api/internalusers/{user['username']}", "PUT",
                        {"password": user["password"], "backend_roles": [name]})

    def give(self, name, without=None):
        """Lets the function's user have one role, and no other."""
        self.engine.must("_plugins/_security/api/roles/driftless", "PUT", role(name, without))
        self.engine.must("_plugins/_security/api/rolesmapping/driftless", "PUT", {"backend_roles": ["function"]})



def steps(functions, engine):
    """Yields (role, function, request, environment, actions that this step shows to be needed), in an order that works."""
    insert = functions.event("INSERT", "a", at="2026-01-01", note="first")
    yield "writer", "replicate", insert, {}, ["indices:admin/get", "indices:admin/create", "indices:admin/aliases"]
    change = functions.event("MODIFY", "a", at="2026-01-02", note="second")
    yield "writer", "replicate", change, {}, ["indices:data/read/mget", "indices:data/read/mget*", "indices:data/write/bulk",
                                              "indices:data/write/bulk*", "indices:data/write/index"]
    yield "writer", "replicate", functions.event("INSERT", "gone", note="soon"), {}, []
    yield "writer", "replicate", functions.event("REMOVE", "gone"), {}, []
    engine.must(f"{INDEX}-000001/_mapping", "PUT", {"properties": {"day": {"type": "date"}}})
    yield "writer", "replicate", functions.event("INSERT", "late", day="no day"), {}, []
    engine.must(f"{INDEX}-000001/_mapping", "PUT", {"properties": {"day": {"type": "date", "ignore_malformed": True}}})
    yield "writer", "redrive", {}, {}, []
    for key in ("a", "late", "c"):
        functions.tables.put_item(TableName=TABLE, Item={"pk": {"S": key}, "note": {"S": "from the table"}})
    yield "writer", "backfill", {}, {}, []
    taken_over = functions.event("MODIFY", "a", at="2026-01-03")
    yield "writer", "replicate", taken_over, {"GENERATION": "2"}, ["indices:admin/mapping/put", "indices:admin/mappings/get"]

    functions.environment["GENERATION"] = "2"
    yield "keeper", "verify", {"repair": True, "settle_ms": 200}, {}, ["indices:data/read/mget"]
    yield "keeper", "verify", {"orphans": "full", "settle_ms": 200}, {}, ["indices:data/read/search"]
    yield "keeper", "purge", {"age_days": 0}, {}, ["indices:data/write/delete"]

    yield "indexer", "reindex", {"step": "create", "definition": {"mappings": {"date_detection": False}}}, {}, []
    yield "writer", "replicate", functions.event("REMOVE", "c"), {}, []
    yield "indexer", "reindex", {"step": "tombstones"}, {}, ["indices:admin/refresh*"]
    yield "writer", "backfill", {"index": "other"}, {}, []
    yield "keeper", "verify", {"index": "other", "repair": True, "settle_ms": 200}, {}, []
    verified = dict.fromkeys(("missing", "stale", "different", "tombstone_where_item_lives", "orphaned", "rejected", "failed"), 0)
    yield "indexer", "reindex", {"step": "verified", "verify": {"items": 3, **verified}}, {}, []
    yield "indexer", "reindex", {"step": "shadow", "searches": SEARCHES}, {}, ["indices:data/read/msearch"]
    yield "indexer", "reindex", {"step": "switch"}, {}, []
    yield "indexer", "reindex", {"step": "rollback"}, {}, []
    yield "indexer", "reindex", {"step": "drop", "index": f"{INDEX}-000002"}, {}, ["indices:admin/delete"]
    fitting = {"mappings": {"properties": {"city": {"type": "keyword"}}}, "settings": {"refresh_interval": "2s"}}
    yield "indexer", "reindex", {"step": "apply", "definition": fitting}, {}, ["indices:admin/settings/update"]
