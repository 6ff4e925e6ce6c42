"""Runs the functions against OpenSearch with its security plugin, in the least role that `docs/access` has for each.

  every function does its work over HTTPS with a private authority, as a user from Secrets Manager
  without an action of a role, the function that needs it is refused, and its error names the action
  with a role of this index, the functions are refused on another index, and so is everything else
  a reader sees no tombstone, whatever name of the index is asked
  the commands of `docs/access-control.md` do what they say
  a certificate of another authority, and a wrong password, end the invocation with their reason
  each request of a signing function has the signature that botocore computes, for a domain and for a collection
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

from cloud import REGION, build, client, ministack
from definitions import ROOT
from secured_engine import ADMINISTRATOR, secured_engine
from verifying_proxy import VerifyingProxy

INDEX, ANOTHER, TABLE = "activity", "payroll", "Activity"
ACCESS, PAGE = ROOT / "docs/access", ROOT / "docs/access-control.md"
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
        store = client("secretsmanager", endpoint)
        secret = store.create_secret(Name="user", SecretString=json.dumps(USER))["ARN"]
        wrong = json.dumps(USER | {"password": "wrong password"})
        self.wrong_secret = store.create_secret(Name="wrong", SecretString=wrong)["ARN"]
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

    def admitted(self, text):
        """The answer in what an invocation printed; None where it is refused or has failed."""
        found = re.search(r"request\.json: (succeeded|answered (.*)) \([\d.]+ m?s\)", text)
        return found and json.loads(found[2] or "{}")

    def works(self, function, request, **environment):
        """The answer of an invocation that must do all that it was asked for."""
        text = self.run(function, request, 60, **environment)
        answer = self.admitted(text)
        assert answer is not None, f"{function} {json.dumps(request)}:\n{text}"
        return answer

    def is_refused(self, function, request, action, **environment):
        """Runs an invocation that the engine must refuse for the lack of an action."""
        # A refusal is retried until this margin before the timeout of 10 s. On a busy machine the engine may not have
        # answered by then, which shows nothing.
        for margin in ("8500", "5000", "500"):
            text = self.run(function, request, 10, ANSWER_MARGIN_MS=margin, **environment)
            # What is refused for one index within a request has the plugin's error, and no words.
            if f"no permissions for [{action.rstrip('*')}" in text or (self.admitted(text) is None and "security_exception" in text):
                return
        raise AssertionError(f"{function} {json.dumps(request)} without {action}:\n{text}")

    def event(self, kind, key, **attributes):
        """An event with one record, newer than all before it."""
        self.sequence += 1
        keys = {"pk": {"S": key}}
        image = {} if kind == "REMOVE" else {"NewImage": keys | {name: {"S": value} for name, value in attributes.items()}}
        return {"Records": [{
            "eventID": str(self.sequence), "eventName": kind, "eventSource": "aws:dynamodb", "eventVersion": "1.1",
            "awsRegion": "us-east-1", "eventSourceARN": self.table["LatestStreamArn"],
            "dynamodb": {"Keys": keys, **image, "SequenceNumber": f"{self.sequence:026}", "SizeBytes": 100,
                         # Ahead, so that a step that comes late does not look like a stream that is behind.
                         "ApproximateCreationDateTime": int(time.time()) + 600, "StreamViewType": "NEW_IMAGE"}}]}

    def put(self, key, **attributes):
        item = {"pk": {"S": key}} | {name: {"S": value} for name, value in attributes.items()}
        self.tables.put_item(TableName=TABLE, Item=item)


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
    """Yields (role, function, request, environment, actions that it cannot do without, what its answer must have).

    Each step needs the ones before it. An action stands at the first step that shows it.
    """
    insert = functions.event("INSERT", "a", at="2026-01-01", note="first")
    yield "writer", "replicate", insert, {}, [
        "indices:admin/create", "indices:admin/aliases", "indices:admin/get", "indices:admin/mapping/put",
        "indices:data/write/bulk", "indices:data/write/bulk*", "indices:data/write/index"], {}
    modify = functions.event("MODIFY", "a", at="2026-01-02", note="second")
    yield "writer", "replicate", modify, {}, ["indices:data/read/mget", "indices:data/read/mget*"], {}
    yield "writer", "replicate", functions.event("INSERT", "gone", note="soon"), {}, [], {}
    yield "writer", "replicate", functions.event("REMOVE", "gone"), {}, [], {}
    engine.must(f"{INDEX}-000001/_mapping", "PUT", {"properties": {"day": {"type": "date"}}})
    yield "writer", "replicate", functions.event("INSERT", "late", day="no day"), {}, [], {}
    engine.must(f"{INDEX}-000001/_mapping", "PUT", {"properties": {"day": {"type": "date", "ignore_malformed": True}}})
    yield "writer", "redrive", {}, {}, [], {"letters": {"redriven": 1, "kept": 0}}
    for key in ("a", "late", "c"):
        functions.put(key, note="from the table")
    yield "writer", "backfill", {}, {}, [], {"done": True, "counts": {"items": 3, "written": 1}}
    taken_over = functions.event("MODIFY", "a", at="2026-01-03")
    yield "writer", "replicate", taken_over, {"GENERATION": "2"}, ["indices:admin/mappings/get"], {}

    functions.environment["GENERATION"] = "2"
    functions.put("c", fresh="a field that the index has not")
    yield "keeper", "verify", {"repair": True, "settle_ms": 200}, {}, [
        "indices:admin/get", "indices:admin/mapping/put", "indices:data/read/mget", "indices:data/read/mget*",
        "indices:data/write/bulk", "indices:data/write/bulk*", "indices:data/write/index"], {"done": True, "counts": {"failed": 0}}
    yield "keeper", "verify", {"orphans": "full", "settle_ms": 200}, {}, ["indices:data/read/search"], {"equal": True}
    yield "keeper", "purge", {"age_days": 0}, {}, ["indices:data/write/delete"], {"done": True, "purged": 1}

    definition = {"mappings": {"date_detection": False}}
    yield "indexer", "reindex", {"step": "create", "definition": definition}, {}, [
        "indices:admin/get", "indices:admin/create", "indices:admin/aliases", "indices:data/write/bulk",
        "indices:data/write/bulk*", "indices:data/write/index", "indices:data/read/search"], {"state": "filling"}
    yield "writer", "replicate", functions.event("REMOVE", "c"), {}, [], {}
    functions.tables.delete_item(TableName=TABLE, Key={"pk": {"S": "c"}})
    yield "indexer", "reindex", {"step": "tombstones"}, {}, [
        "indices:admin/refresh*", "indices:data/read/mget", "indices:data/read/mget*"], {"done": True}
    yield "writer", "backfill", {"index": "other"}, {}, [], {"done": True}
    yield "keeper", "verify", {"index": "other", "repair": True, "settle_ms": 200}, {}, [], {"done": True, "counts": {"failed": 0}}
    verified = dict.fromkeys(("missing", "stale", "different", "tombstone_where_item_lives", "orphaned", "rejected", "failed"), 0)
    yield "indexer", "reindex", {"step": "verified", "verify": {"items": 2, **verified}}, {}, [
        "indices:admin/mappings/get", "indices:admin/mapping/put"], {}
    yield "indexer", "reindex", {"step": "shadow", "searches": SEARCHES}, {}, ["indices:data/read/msearch"], {}
    yield "indexer", "reindex", {"step": "switch"}, {}, ["indices:monitor/settings/get"], {"state": "switched"}
    yield "indexer", "reindex", {"step": "rollback"}, {}, [], {"state": "filling"}
    yield "indexer", "reindex", {"step": "drop", "index": f"{INDEX}-000002"}, {}, ["indices:admin/delete"], {"state": "none"}
    fitting = {"mappings": {"properties": {"city": {"type": "keyword"}}}, "settings": {"refresh_interval": "2s"}}
    yield "indexer", "reindex", {"step": "apply", "definition": fitting}, {}, ["indices:admin/settings/update"], {}
    # Nothing replicates here: the change is there before the beat, and its time is ahead.
    yield "writer", "replicate", functions.event("INSERT", "beat"), {}, [], {}
    yield "reader", "heartbeat", {}, {"HEARTBEAT_ITEM": '{"pk": {"S": "beat"}}'}, [], {"found": True}


def has(answer, expected):
    return all(has(answer[name], value) if isinstance(value, dict) else answer[name] == value for name, value in expected.items())


def each_action_is_needed(functions, access, engine):
    needed = {}
    for name, function, request, environment, without, expected in steps(functions, engine):
        began = time.monotonic()
        for action in without:
            access.give(name, without=action)
            functions.is_refused(function, request, action, **environment)
            needed.setdefault(name, set()).add(action)
        access.give(name)
        answer = functions.works(function, request, **environment)
        assert has(answer, expected), (function, request, answer)
        what = request["Records"][0]["eventName"] if "Records" in request else json.dumps(request)[:60]
        print(f"  {time.monotonic() - began:5.1f} s  {name}: {function} {what}, refused without {len(without)} actions")
    for name, shown in needed.items():
        assert shown == set(actions(name)), f"{name}: {sorted(shown ^ set(actions(name)))} are in the role or were needed, not both"


def another_index_is_refused(functions, access, engine):
    user = (USER["username"], USER["password"])
    engine.must(f"{ANOTHER}-000001/_doc/1?refresh=true", "PUT", {"secret": 1})
    engine.must(f"{INDEX}-archive/_doc/1?refresh=true", "PUT", {"secret": 1})
    for name, function, request in (("writer", "replicate", functions.event("INSERT", "a")), ("writer", "backfill", {}),
                                    ("keeper", "verify", {}), ("keeper", "purge", {"age_days": 0}),
                                    ("indexer", "reindex", {"step": "status"})):
        access.give(name)
        functions.is_refused(function, request, "indices:admin/get", INDEX=ANOTHER)
        for path, method, body in ((f"{ANOTHER}-000001/_search", "GET", None), (f"{ANOTHER}-000001/_doc/2", "PUT", {}),
                                   (f"{INDEX}-archive/_search", "GET", None), (f"{INDEX}-archive", "DELETE", None),
                                   ("_all/_search", "GET", None), ("_cluster/settings", "PUT", {"transient": {"cluster.routing.allocation.enable": "all"}}),
                                   ("_plugins/_security/api/internalusers", "GET", None)):
            status, answer = engine.ask(path, method, body, user)
            assert status == 403, (name, method, path, status, answer)
        if name != "indexer":
            status, answer = engine.ask(f"{INDEX}-000001", "DELETE", None, user)
            assert status == 403, (name, status, answer)


def a_reader_sees_no_tombstone(functions, access, engine):
    access.give("writer")
    functions.works("replicate", functions.event("REMOVE", "late"))
    engine.must(f"{INDEX}-000001/_refresh", "POST")
    engine.must("_plugins/_security/api/roles/reader", "PUT", role("reader"))
    engine.must("_plugins/_security/api/rolesmapping/reader", "PUT", {"backend_roles": ["reader"]})
    assert engine.must(f"{INDEX}-000001/_count")["count"] > 2, "there is no tombstone to be seen"
    # A pattern of an alias stands for its indexes, too, so the alias's own filter is no protection.
    for name in (INDEX, f"{INDEX}-000001"):
        found = engine.must(f"{name}/_search", user=READER)["hits"]["hits"]
        assert sorted(hit["_id"] for hit in found) == ["a", "beat"], (name, found)
        status, answer = engine.ask(f"{name}/_doc/late", user=READER)
        assert status == 404, (name, status, answer)
    for path, method, body in ((f"{INDEX}/_doc/a", "PUT", {}), (f"{INDEX}-000001", "DELETE", None),
                               (f"{ANOTHER}-000001/_search", "GET", None)):
        status, answer = engine.ask(path, method, body, READER)
        assert status == 403, (method, path, status, answer)


def the_commands_of_the_page_work(functions, access, engine):
    blocks = re.findall(r"(?ms)^```bash\n(.*?)^```$", PAGE.read_text())
    assert len(blocks) == 3, f"{PAGE.name} has {len(blocks)} blocks of commands"
    arns = {f"{name}_ROLE_ARN": f"arn:aws:iam::123456789012:role/{name}"
            for name in ("REPLICATE", "REDRIVE", "BACKFILL", "VERIFY", "PURGE", "REINDEX")}
    password = secrets.token_urlsafe(24)
    environment = {"PATH": os.environ["PATH"], "CURL_CA_BUNDLE": str(engine.authority), "ENDPOINT": engine.url,
                   "MASTER": ":".join(ADMINISTRATOR), "INDEX": INDEX, "PASSWORD": password} | arns
    mapped = []
    for script in ("\n".join(blocks[:2]), "\n".join(blocks)):
        subprocess.run(["bash", "-euo", "pipefail", "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True)
        mapped.append(engine.must(f"_plugins/_security/api/rolesmapping/{INDEX}-writer")[f"{INDEX}-writer"]["backend_roles"])
    assert mapped == [[arns[f"{name}_ROLE_ARN"] for name in ("REPLICATE", "REDRIVE", "BACKFILL")], [f"{INDEX}-functions"]], mapped
    user = (f"{INDEX}-functions", password)
    for path, expected in ((INDEX, 200), (f"{ANOTHER}-000001", 403)):
        status, answer = engine.ask(path, user=user)
        assert status == expected, (path, status, answer)


def what_is_not_trusted_is_not_asked(functions, access, _engine):
    access.give("writer")
    event = functions.event("MODIFY", "a", at="2026-02-01")
    text = functions.run("replicate", event, 12, ANSWER_MARGIN_MS="5000", OPENSEARCH_CA="")
    assert "its certificate is not trusted" in text, text
    text = functions.run("replicate", event, 8, ANSWER_MARGIN_MS="5000", OPENSEARCH_SECRET_ARN=functions.wrong_secret)
    assert "401" in text and "Configuration" in text, text
    for word in (USER["password"], "wrong password"):
        assert word not in text, "the log has the password"


def every_request_is_signed(functions, _access, engine):
    for service, auth in (("es", "sigv4"), ("aoss", "sigv4-serverless")):
        key, secret, token = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "token/of+a=role"
        proxy = VerifyingProxy(engine, service, REGION, key, secret, token)
        signed = {"OPENSEARCH_ENDPOINT": proxy.url, "OPENSEARCH_AUTH": auth, "OPENSEARCH_CA": "", "OPENSEARCH_SECRET_ARN": "",
                  "AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token, "AWS_REGION": REGION}
        functions.works("replicate", functions.event("MODIFY", "märz #1/2 %", note=service), **signed)
        functions.works("purge", {"age_days": 0}, **signed)
        functions.works("reindex", {"step": "status"}, **signed)
        assert len(proxy.admitted) > 5 and not proxy.refused, (proxy.admitted, proxy.refused)
        print(f"  {service}: {len(proxy.admitted)} requests, each with the signature that botocore computes")
        text = functions.run("replicate", functions.event("MODIFY", "a"), 8, ANSWER_MARGIN_MS="5000",
                             **signed | {"AWS_SECRET_ACCESS_KEY": "another"})
        assert "The request signature we calculated does not match" in text, text
        proxy.close()


def main():
    began = time.monotonic()
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="access-") as folder:
        scratch = pathlib.Path(folder)
        with secured_engine(scratch) as engine, ministack(scratch, "http://127.0.0.1:1") as cloud:
            print(f"started after {time.monotonic() - began:.0f} s")
            functions, access = Functions(binaries, engine, cloud, scratch), Access(engine)
            for check in (each_action_is_needed, another_index_is_refused, a_reader_sees_no_tombstone,
                          the_commands_of_the_page_work, what_is_not_trusted_is_not_asked, every_request_is_signed):
                print(check.__name__.replace("_", " "))
                check(functions, access, engine)
    print(f"all as expected, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
