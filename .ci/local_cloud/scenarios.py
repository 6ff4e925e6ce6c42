"""Runs the deployed state machines against the real functions, DynamoDB and OpenSearch, and checks how they end.

  backfill in 4 segments, of several invocations each  →  Complete, and each document is in the index, which has the
                                                           definition and the refresh interval of the parameters
  verify                                               →  Equal
  a missing and a changed document                     →  the execution fails with `Different`
  the same with `repair`                               →  Repaired, and Equal afterwards
  a document without an item, from the index's side    →  `Different`, and Repaired with `repair`
  a lost document while the index shows a long lag     →  `Behind`, and the document is not called missing
  one segment whose function fails lastingly           →  the others finish, and the execution fails with `SegmentFailed`
  an input that is wrong                               →  the execution fails with `Input`
  a re-index                                           →  both indexes equal, a spoilt one refused, the alias switched
  a re-index of ids that do not show their keys, also  →  no document is looked up by its id, and the counts tell one too
  in an entity's own index                                many
"""

import base64
import gzip
import json
import pathlib
import sys
import tempfile
import time
import urllib.request

from cloud import build, client, deploy, ministack, services
from derived_scenario import reindexes_without_listing
from refusing_proxy import RefusingProxy
from reindex_scenario import reindexes

ITEMS = 3_000
SEGMENTS = 4
TABLE = "orchestration"
INDEX = "orchestration"
EXECUTION_SECONDS = 120
# A page has 1 MB at most, so these make two or three of a segment.
ITEM_BYTES = 3_000
# As an operator gives it: `gzip -9c index.json | base64 -w0`.
DEFINITION = {"mappings": {"date_detection": False, "properties": {"declared": {"type": "date"}}}}
PACKED_DEFINITION = base64.b64encode(gzip.compress(json.dumps(DEFINITION).encode())).decode()
REFRESH_INTERVAL = "500ms"


class Run:
    """The deployed stack, with what its machines read and write."""

    def __init__(self, endpoint, outputs, opensearch, proxy):
        self.last = None
        self.states, self.lambdas = client("stepfunctions", endpoint), client("lambda", endpoint)
        self.outputs, self.opensearch, self.proxy = outputs, opensearch, proxy

    def execute(self, given, machine="SegmentsStateMachineArn"):
        """Runs a machine to its end; gives the execution as Step Functions describes it."""
        arn = self.states.start_execution(stateMachineArn=self.outputs[machine], input=json.dumps(given))["executionArn"]
        began = time.monotonic()
        while (execution := self.states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            if time.monotonic() - began > EXECUTION_SECONDS:
                raise AssertionError(f"{given} is not done within {EXECUTION_SECONDS} s")
            time.sleep(0.1)
        self.last = arn
        print(f"  {time.monotonic() - began:5.1f} s  {json.dumps(given)}: {execution['status']} {execution.get('error', '')}")
        return execution

    def succeeds(self, verdict, **given):
        """The report of an execution that must succeed with a verdict."""
        execution = self.execute(given)
        assert execution["status"] == "SUCCEEDED", (execution.get("error"), execution.get("cause"))
        report = json.loads(execution["output"])
        assert report["verdict"] == verdict, report
        return report

    def fails(self, error, **given):
        """The cause of an execution that must fail with an error."""
        execution = self.execute(given)
        assert (execution["status"], execution.get("error")) == ("FAILED", error), execution
        return execution["cause"]

    def children(self):
        """How the child executions of the last execution ended."""
        map_runs = self.states.list_map_runs(executionArn=self.last)["mapRuns"]
        assert len(map_runs) == 1, map_runs
        children = self.states.list_executions(mapRunArn=map_runs[0]["mapRunArn"])["executions"]
        return [child["status"] for child in children]

    def engine(self, path, method="GET", body=None):
        # Compact, as driftless writes: verify compares bytes.
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        request = urllib.request.Request(f"{self.opensearch}/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def documents(self):
        self.engine(f"{INDEX}/_refresh", "POST")
        return self.engine(f"{INDEX}/_count")["count"]


def fill(dynamodb):
    """Creates the table with its items; gives the ARN of its stream."""
    keys = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}]}
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    dynamodb.create_table(TableName=TABLE, BillingMode="PAY_PER_REQUEST", StreamSpecification=stream, **keys)
    for begin in range(0, ITEMS, 25):
        numbers = range(begin, min(begin + 25, ITEMS))
        items = [{"pk": {"S": key(n)}, "n": {"N": str(n)}, "note": {"S": "x" * ITEM_BYTES}} for n in numbers]
        answer = dynamodb.batch_write_item(RequestItems={TABLE: [{"PutRequest": {"Item": item}} for item in items]})
        assert not answer["UnprocessedItems"], answer
    return dynamodb.describe_table(TableName=TABLE)["Table"]["LatestStreamArn"]


def key(number):
    return f"item-{number:05}"


def backfills_and_proves(run):
    # Slices of 11 s, within a read budget that takes a segment longer.
    run.lambdas.update_function_configuration(FunctionName=run.outputs["BackfillFunctionName"], Timeout=12)
    report = run.succeeds("Complete", function="backfill", segments=SEGMENTS, request={"rcu_per_second": 20})
    counts = report["counts"]
    # On a busy machine an invocation may pass its 12 s. What it had written is superseded when it is repeated.
    assert (counts["items"], counts["written"] + counts["superseded"], counts["rejected"]) == (ITEMS, ITEMS, 0), report
    assert report["invocations"] > SEGMENTS, f"no segment took a second invocation: {report}"
    assert run.children() == ["SUCCEEDED"] * SEGMENTS, run.children()
    assert run.documents() == ITEMS, run.documents()
    created = next(iter(run.engine(INDEX).values()))
    assert created["mappings"]["properties"]["declared"]["type"] == "date", created
    assert created["settings"]["index"]["refresh_interval"] == REFRESH_INTERVAL, created
    report = run.succeeds("Equal", function="verify", segments=SEGMENTS, request={"orphans": "count"})
    assert (report["counts"]["items"], report["documents_in_index"]) == (ITEMS, ITEMS), report
    report = run.succeeds("Complete", function="purge", request={"age_days": 0})
    assert report["counts"]["found"] == 0, report


def finds_and_repairs(run):
    lost, changed = key(17), key(1_234)
    index = next(iter(run.engine(f"{INDEX}/_alias")))
    run.engine(f"{index}/_doc/{lost}", "DELETE")
    run.engine(f"{index}/_update/{changed}", "POST", {"doc": {"note": "changed"}})
    verify = {"function": "verify", "segments": SEGMENTS}
    report = json.loads(run.fails("Different", **verify, request={"settle_ms": 200}))
    assert (report["differences"], report["counts"]["missing"]) == (2, 1), report
    assert {example["document_id"] for example in report["examples"]} == {lost, changed}, report
    report = run.succeeds("Repaired", **verify, request={"settle_ms": 200, "repair": True})
    assert (report["differences"], report["counts"]["repaired"]) == (0, 2), report
    run.succeeds("Equal", **verify, request={"settle_ms": 200})

    # From the index's side, as one segment.
    run.engine(f"{index}/_doc/stranger", "PUT", {"pk": "stranger"})
    run.engine(f"{INDEX}/_refresh", "POST")
    report = json.loads(run.fails("Different", function="verify", request={"orphans": "full", "settle_ms": 200}))
    assert report["counts"]["orphaned"] == 1, report
    run.succeeds("Repaired", function="verify", request={"orphans": "full", "settle_ms": 200, "repair": True})
    assert run.documents() == ITEMS, run.documents()


def names_nothing_while_the_stream_is_behind(run):
    late, lost = key(5), key(17)
    index = next(iter(run.engine(f"{INDEX}/_alias")))
    sources = {name: run.engine(f"{index}/_source/{name}") for name in (late, lost)}
    # A change of an hour ago that was written just now.
    now = int(time.time() * 1_000)
    metadata = {"version": sources[late]["_driftless"]["version"], "event_time": now - 3_600_000, "written_at": now}
    run.engine(f"{index}/_doc/{late}?refresh=true", "PUT", sources[late] | {"_driftless": metadata})
    run.engine(f"{index}/_doc/{lost}", "DELETE")
    verify = {"function": "verify", "segments": SEGMENTS, "request": {"settle_ms": 200}}
    report = json.loads(run.fails("Behind", **verify))
    counts = report["counts"]
    assert (report["differences"], counts["pending"], counts["missing"], report["examples"]) == (0, 1, 0, []), report
    for name, source in sources.items():
        run.engine(f"{index}/_doc/{name}", "PUT", source)
    run.succeeds("Equal", **verify)


def one_bad_segment_stops_no_other(run):
    run.proxy.refused_segment = 2
    for function, counted in (("backfill", "superseded"), ("verify", "items")):
        report = json.loads(run.fails("SegmentFailed", function=function, segments=SEGMENTS))
        assert report["failed_segments"] == 1, report
        assert [failure["segment"] for failure in report["failures"]] == [2], report
        assert "AccessDenied" in report["failures"][0]["message"], report
        assert ITEMS / 2 < report["counts"][counted] < ITEMS, report
    run.proxy.refused_segment = None
    report = run.succeeds("Complete", function="backfill", segments=SEGMENTS)
    assert report["counts"]["superseded"] == ITEMS, report
    # A request that is wrong is so for all.
    report = json.loads(run.fails("SegmentFailed", function="backfill", segments=SEGMENTS, request={"smaple": 1}))
    assert (report["failed_segments"], report["counts"]) == (SEGMENTS, {}), report


def refuses_what_is_no_input(run):
    for given in ({}, {"function": "replicate"}, {"function": "backfill", "segments": 101},
                  {"function": "backfill", "segments": 0}, {"function": "purge", "segments": 2},
                  {"function": "verify", "concurrency": "8"}):
        run.fails("Input", **given)


def reindexes_and_switches(run):
    reindexes(run, ITEMS, SEGMENTS)


def reindexes_what_cannot_be_listed(run):
    reindexes_without_listing(run, [key(number) for number in range(ITEMS)], SEGMENTS)


def main():
    began = time.monotonic()
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="orchestration-") as folder:
        scratch = pathlib.Path(folder)
        with services(binaries["local"], scratch) as variables:
            endpoint = variables["AWS_ENDPOINT_URL_DYNAMODB"]
            stream = fill(client("dynamodb", endpoint))
            proxy = RefusingProxy(endpoint)
            with ministack(scratch, proxy.url) as cloud:
                parameters = {"StreamArn": stream, "PartitionKey": "pk", "OpenSearchAuth": "none", "Index": INDEX,
                              "OpenSearchEndpoint": variables["OPENSEARCH_ENDPOINT"],
                              "IndexDefinition": PACKED_DEFINITION, "RefreshInterval": REFRESH_INTERVAL}
                outputs = deploy(cloud, binaries, scratch, parameters)
                print(f"deployed after {time.monotonic() - began:.0f} s")
                run = Run(cloud, outputs, variables["OPENSEARCH_ENDPOINT"], proxy)
                for scenario in (backfills_and_proves, finds_and_repairs, names_nothing_while_the_stream_is_behind,
                                 one_bad_segment_stops_no_other,
                                 refuses_what_is_no_input, reindexes_and_switches,
                                 reindexes_what_cannot_be_listed):
                    print(scenario.__name__.replace("_", " "))
                    scenario(run)
            proxy.close()
    print(f"all as expected, after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    sys.exit(main())
