"""Scenes of the runbook's sections: each brings about what a section is for, and looks at what its commands print.

A scene is a generator. What it does before its first `yield` happens before the section's first command, and each
`yield` gives what the next command printed. A scene that ends leaves the other commands to their exit codes.
"""

import json
import time

from replication import INDEX, eventually, gave_up

# Sections about what the stack has with these parameters only. An update comes late, because MiniStack then stops polling.
LATER = {"verify-missing", "kinesis-skipped", "kinesis-age", "kinesis-throttles"}
LATER_PARAMETERS = {"KinesisDestination": "always", "VerifySchedule": "rate(1 day)"}
# MiniStack does not run the heartbeat's schedule, so that only the section's command writes the item.
HEARTBEAT = {"HeartbeatItem": json.dumps({"pk": {"S": "heartbeat"}}), "HeartbeatKey": "heartbeat"}


def report_of(printed):
    """The report of an invocation: the last line, behind what the CLI prints itself."""
    return json.loads(printed.splitlines()[-1])


def physical(stack):
    return next(iter(stack.engine(f"{INDEX}/_alias")))


def lose_document(stack, number):
    stack.engine(f"{physical(stack)}/_doc/item-{number:05}?refresh=true", "DELETE")


def iterator_age_critical(reader):
    """An invocation that fails: its stream has no images."""
    stack = reader.stack
    keys = {"pk": {"S": "item-00001"}}
    change = {"Keys": keys, "SequenceNumber": "1", "StreamViewType": "KEYS_ONLY", "ApproximateCreationDateTime": time.time()}
    record = {"eventID": "e", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change,
              "eventSourceARN": stack.outputs["StreamArn"]}
    answer = stack.client("lambda").invoke(FunctionName=stack.outputs["FunctionName"], Payload=json.dumps({"Records": [record]}))
    assert "FunctionError" in answer, answer
    assert "KEYS_ONLY" in (yield)


def failed_records(reader):
    """A disk that was full: OpenSearch has blocked the index."""
    stack = reader.stack
    before = stack.documents()
    stack.engine(f"{physical(stack)}/_settings", "PUT", {"index.blocks.read_only_allow_delete": True})
    stack.put(200)
    yield
    eventually(stack.documents, before + 1)


def dead_letters(reader):
    stack = reader.stack
    index = physical(stack)
    stack.engine(f"{index}/_mapping", "PUT", {"properties": {"due": {"type": "date"}}})
    for number in (300, 301):
        stack.put(number, due={"S": "next Tuesday"})
    eventually(stack.letters, 2)
    report = report_of((yield))
    assert (report["dry_run"], report["letters"]["received"]) == (True, 2), report
    assert "item-00300" in (yield), "`cargo local letters` lists them"
    stack.engine(f"{index}/_mapping", "PUT", {"properties": {"due": {"type": "date", "ignore_malformed": True}}})
    report = report_of((yield))
    assert (report["letters"]["redriven"], report["left"]) == (2, 0), report


def dead_letter_age(reader):
    """An on-failure message, as Lambda sends it, about the first record of the stream."""
    stack = reader.stack
    streams, arn = stack.client("dynamodbstreams"), stack.outputs["StreamArn"]
    shard = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"][0]["ShardId"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard, ShardIteratorType="TRIM_HORIZON")["ShardIterator"]
    number = streams.get_records(ShardIterator=iterator)["Records"][0]["dynamodb"]["SequenceNumber"]
    stack.client("sqs").send_message(QueueUrl=stack.outputs["DeadLetterQueueUrl"], MessageBody=json.dumps(gave_up(arn, shard, number)))
    report = report_of((yield))
    assert (report["dry_run"], report["letters"]["received"]) == (True, 1), report
    report = report_of((yield))
    assert (report["letters"]["redriven"], report["left"]) == (1, 0), report


def order_anomalies(reader):
    """A change that is older by its number and newer by its time, delivered by hand."""
    stack = reader.stack
    image = {"pk": {"S": "item-00003"}, "n": {"N": "3"}, "note": {"S": "doubtful"}}
    change = {"Keys": {"pk": image["pk"]}, "NewImage": image, "SequenceNumber": "1", "StreamViewType": "NEW_IMAGE",
              "ApproximateCreationDateTime": int(time.time()) + 60}
    record = {"eventID": "e", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change,
              "eventSourceARN": stack.outputs["StreamArn"]}
    stack.invoke("replicate", {"Records": [record]})
    eventually(stack.letters, 1)
    report = report_of((yield))
    assert (report["dry_run"], report["letters"]["received"]) == (True, 1), report
    report = report_of((yield))
    assert (report["letters"]["redriven"], report["left"]) == (1, 0), report
    assert json.loads((yield))["verdict"] == "Equal", "the item has decided"


def lost_records(reader):
    lose_document(reader.stack, 4)
    assert json.loads((yield))["verdict"] == "Repaired"
    assert json.loads((yield))["verdict"] == "Equal"


def verify_differences(reader):
    lose_document(reader.stack, 5)
    assert reader.execute({"function": "verify", "segments": 2})["error"] == "Different"
    failed = reader.last_execution
    assert failed in (yield), "the execution is listed"
    assert "item-00005" in (yield), "its cause names the document"
    assert json.loads((yield))["verdict"] == "Repaired"


def executions_failed(reader):
    assert reader.execute({"function": "verify", "segments": 0})["error"] == "Input"
    failed = reader.last_execution
    assert failed in (yield)
    assert "Input" in (yield)


def purge_failures(reader):
    yield
    assert report_of((yield))["done"] is True


def silence(reader):
    mapping = json.loads((yield))
    assert mapping["Stream"] == reader.stack.outputs["StreamArn"], mapping
    assert reader.stack.outputs["StreamArn"] in (yield)


def restoring(reader):
    """An index that has lost documents and has one too many."""
    lose_document(reader.stack, 6)
    reader.stack.engine(f"{physical(reader.stack)}/_doc/stranger?refresh=true", "PUT", {"pk": "stranger"})
    assert json.loads((yield))["verdict"] == "Complete"
    assert json.loads((yield))["verdict"] in ("Equal", "Repaired")
    assert json.loads((yield))["verdict"] == "Repaired", "the stranger is gone"


def sizing(_):
    assert "ParallelizationFactor" in (yield)


def kept_batches(reader):
    """A batch as Lambda keeps it, with its records."""
    stack = reader.stack
    change = {"Keys": {"pk": {"S": "item-00007"}}, "SequenceNumber": "1", "StreamViewType": "NEW_IMAGE",
              "NewImage": {"pk": {"S": "item-00007"}}, "ApproximateCreationDateTime": 1768469467}
    record = {"eventID": "e", "eventName": "MODIFY", "eventSource": "aws:dynamodb", "dynamodb": change,
              "eventSourceARN": stack.outputs["StreamArn"]}
    kept = gave_up(stack.outputs["StreamArn"], "shardId-1", "1") | {"payload": json.dumps({"Records": [record]})}
    name = f"aws/lambda/{stack.outputs['MappingId']}/2026/01/15/2026-01-15T09.51.38-r"
    stack.client("s3").put_object(Bucket=stack.outputs["OnFailureBucketName"], Key=name, Body=json.dumps(kept))
    assert name in (yield), "the object is listed"


def heartbeat(_):
    assert report_of((yield))["found"] is True, "a search finds the item that was written"


def verify_missing(_):
    assert json.loads((yield))["RuleNames"], "a rule starts the state machine"


SCENES = {
    "iterator-age-critical": iterator_age_critical,
    "failed-records": failed_records,
    "dead-letters": dead_letters,
    "dead-letter-age": dead_letter_age,
    "lost-records": lost_records,
    "silence": silence,
    "order-anomalies": order_anomalies,
    "verify-differences": verify_differences,
    "heartbeat": heartbeat,
    "executions-failed": executions_failed,
    "purge-failures": purge_failures,
    "Restoring": restoring,
    "Sizing": sizing,
    "kept-batches": kept_batches,
    "verify-missing": verify_missing,
}
