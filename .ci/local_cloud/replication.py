"""Deploys the whole stack into a local cloud and lets changes travel: table, stream, function, OpenSearch.

  items that are written, changed and removed            →  the same in the index, and a search finds them
  items that the mapping refuses                         →  dead letters, and the others are indexed all the same
  a dry run of redrive, the mapping corrected, redrive   →  the queue is empty, and the documents are there
  a batch in the on-failure bucket, redrive              →  the bucket is empty, and the document is there
  a document that somebody removed                       →  verify names it and repairs it; backfill finds nothing to do
  an update of the stack under way                       →  nothing is lost
  a deletion                                             →  table and queue stay

With `--picture FILE` it writes for two minutes, and draws the dashboard from the functions' own metrics.

MiniStack reads the stream. It ignores partial failures and retries for ever, so nothing here fails in such a way: the
tool's own event source mapping is the judge of those.
"""

import json
import pathlib
import sys
import tempfile
import time
import urllib.error
import urllib.request

from cloud import STACK, archives, build, change, client, ministack, packaged, services

INDEX = "activity"
ITEMS = 300
SECONDS = 120
POISON = 3


class Deployed:
    """The deployed stack, with its table, its queue and its index."""

    def __init__(self, endpoint, opensearch, binaries, scratch, **parameters):
        self.endpoint, self.opensearch = endpoint, opensearch
        self.stack = packaged(endpoint, archives(binaries, scratch))
        self.parameters = {"PartitionKey": "pk", "OpenSearchEndpoint": opensearch, "OpenSearchAuth": "none", "Index": INDEX,
                           "Timeout": "20", "BatchSize": "10", "OnFailureDestination": "s3"} | parameters
        self.outputs = change(endpoint, "create", self.stack, self.parameters)

    def client(self, service):
        return client(service, self.endpoint)

    def update(self, **parameters):
        self.parameters |= parameters
        self.outputs = change(self.endpoint, "update", self.stack, self.parameters)

    def put(self, number, **attributes):
        item = {"pk": {"S": f"item-{number:05}"}, "n": {"N": str(number)}, "note": {"S": "x" * 200}} | attributes
        self.client("dynamodb").put_item(TableName=self.outputs["TableName"], Item=item)

    def remove(self, number):
        self.client("dynamodb").delete_item(TableName=self.outputs["TableName"], Key={"pk": {"S": f"item-{number:05}"}})

    def engine(self, path, method="GET", body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.opensearch}/{path}", data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def documents(self):
        """Number of documents that searches find; nothing before the first function has made the index."""
        index = self.parameters["Index"]
        try:
            self.engine(f"{index}/_refresh", "POST")
            return self.engine(f"{index}/_count")["count"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise

    def letters(self):
        attributes = self.client("sqs").get_queue_attributes(QueueUrl=self.outputs["DeadLetterQueueUrl"], AttributeNames=["All"])
        return int(attributes["Attributes"]["ApproximateNumberOfMessages"])

    def invoke(self, function, request):
        answer = self.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(request))
        payload = json.load(answer["Payload"])
        assert "FunctionError" not in answer, payload
        return payload


def gave_up(stream, shard, number):
    """What Lambda says of a batch of one record that it gave up. In the bucket, it has the event as its payload, too."""
    arrived = "2026-01-15T09:31:07Z"
    place = {"shardId": shard, "startSequenceNumber": number, "endSequenceNumber": number, "batchSize": 1, "streamArn": stream,
             "approximateArrivalOfFirstRecord": arrived, "approximateArrivalOfLastRecord": arrived}
    context = {"requestId": "r", "functionArn": "f", "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 4}
    return {"requestContext": context, "responseContext": {"statusCode": 200}, "version": "1.0",
            "timestamp": "2026-01-15T09:51:38.017Z", "DDBStreamBatchInfo": place}


def eventually(what, wanted, seconds=SECONDS):
    """Waits until a call gives a value."""
    deadline = time.monotonic() + seconds
    while (found := what()) != wanted:
        assert time.monotonic() < deadline, f"{found} after {seconds} s, and not {wanted}"
        time.sleep(0.2)


def changes_reach_the_index(stack):
    for number in range(ITEMS):
        stack.put(number)
    eventually(stack.documents, ITEMS)
    for number in range(0, ITEMS, 10):
        stack.remove(number)
    stack.put(1, note={"S": "changed"})
    eventually(stack.documents, ITEMS - ITEMS // 10)
    eventually(lambda: stack.engine(f"{INDEX}/_search?q=note:changed")["hits"]["total"]["value"], 1)


def poison_becomes_dead_letters(stack):
    index = next(iter(stack.engine(f"{INDEX}/_alias")))
    stack.engine(f"{index}/_mapping", "PUT", {"properties": {"due": {"type": "date"}}})
    for number in range(ITEMS, ITEMS + POISON):
        stack.put(number, due={"S": "next Tuesday"})
    stack.put(ITEMS + POISON)
    eventually(stack.letters, POISON)
    eventually(stack.documents, ITEMS - ITEMS // 10 + 1)
    report = stack.invoke("redrive", {"dry_run": True})
    assert report["letters"]["received"] == POISON, report
    stack.engine(f"{index}/_close", "POST")
    stack.engine(f"{index}/_settings", "PUT", {"index.mapping.ignore_malformed": True})
    stack.engine(f"{index}/_open", "POST")
    report = stack.invoke("redrive", {})
    assert (report["letters"]["redriven"], report["left"]) == (POISON, 0), report
    assert stack.documents() == ITEMS - ITEMS // 10 + 1 + POISON


def a_kept_batch_is_redriven(stack):
    """Lambda's part is played by hand: MiniStack puts no batch into a bucket."""
    number, before = ITEMS + 50, stack.documents()
    stack.put(number)
    eventually(stack.documents, before + 1)
    key = {"pk": {"S": f"item-{number:05}"}}
    index = next(iter(stack.engine(f"{INDEX}/_alias")))
    stack.engine(f"{index}/_doc/{key['pk']['S']}", "DELETE")
    dynamodb, table, bucket = stack.client("dynamodb"), stack.outputs["TableName"], stack.outputs["OnFailureBucketName"]
    stream = dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    image = dynamodb.get_item(TableName=table, Key=key)["Item"]
    record = {"eventID": "kept", "eventName": "INSERT", "eventSource": "aws:dynamodb", "eventSourceARN": stream,
              "dynamodb": {"ApproximateCreationDateTime": int(time.time()), "Keys": key, "NewImage": image,
                           "SequenceNumber": "1" + "0" * 22, "StreamViewType": "NEW_AND_OLD_IMAGES"}}
    batch = gave_up(stream, "shardId-1", "1") | {"payload": json.dumps({"Records": [record]})}
    name = "aws/lambda/5a1c6b0e/shardId-1/2026/01/15/2026-01-15T09.51.38-0"
    stack.client("s3").put_object(Bucket=bucket, Key=name, Body=json.dumps(batch))
    report = stack.invoke("redrive", {"filter": {"shape": "batch"}})
    assert (report["letters"]["redriven"], report["changes"]["applied"], report["left"]) == (1, 1, 0), report
    assert stack.documents() == before + 1
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket=bucket)


def the_index_is_proved(stack):
    index = next(iter(stack.engine(f"{INDEX}/_alias")))
    stack.engine(f"{index}/_doc/item-00007", "DELETE")
    report = stack.invoke("verify", {"settle_ms": 200})
    assert (report["equal"], report["counts"]["missing"]) == (False, 1), report
    report = stack.invoke("verify", {"settle_ms": 200, "repair": True})
    assert report["counts"]["repaired"] == 1, report
    report = stack.invoke("backfill", {})
    assert (report["counts"]["written"], report["counts"]["rejected"]) == (0, 0), report
    assert stack.invoke("verify", {"settle_ms": 200})["equal"]
    assert stack.invoke("purge", {"age_days": 16})["purged"] == 0


def an_update_loses_nothing(stack):
    before = stack.documents()
    for number in range(1_000, 1_040):
        stack.put(number)
        if number == 1_020:
            # Not the mapping: an update turns its numbers into texts here, and MiniStack stops polling (`stacks` updates it).
            stack.update(MemorySize="512", LogRetentionDays="7", LogLevel="info")
    eventually(stack.documents, before + 40)
    assert stack.letters() == 0


def what_must_stay_stays(stack):
    stack.put(2_000, due={"S": "never"})
    table, queue = stack.outputs["TableName"], stack.outputs["DeadLetterQueueUrl"]
    stack.client("cloudformation").delete_stack(StackName=STACK)
    eventually(lambda: stack.client("lambda").list_functions()["Functions"], [])
    assert stack.client("dynamodb").describe_table(TableName=table)["Table"]["ItemCount"] > 0
    assert "aws:SecureTransport" in stack.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]["Policy"]


SCENARIOS = [changes_reach_the_index, poison_becomes_dead_letters, a_kept_batch_is_redriven, the_index_is_proved,
             an_update_loses_nothing]


def main():
    began = time.monotonic()
    picture = sys.argv[2] if sys.argv[1:2] == ["--picture"] else None
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="replication-") as folder:
        scratch = pathlib.Path(folder)
        with services(binaries["local"], scratch) as variables, ministack(scratch) as endpoint:
            stack = Deployed(endpoint, variables["OPENSEARCH_ENDPOINT"], binaries, scratch)
            print(f"{time.monotonic() - began:5.1f} s  deployed")
            for scenario in SCENARIOS:
                scenario(stack)
                print(f"{time.monotonic() - began:5.1f} s  {scenario.__name__.replace('_', ' ')}")
            if picture:
                import dashboard_picture
                dashboard_picture.draw(stack, pathlib.Path(picture))
            what_must_stay_stays(stack)
            print(f"{time.monotonic() - began:5.1f} s  what must stay stays")
    return 0


if __name__ == "__main__":
    sys.exit(main())
