"""Creates, updates and deletes the stack in a local cloud, with several sets of parameters and stand-ins for the functions.

  what every set of parameters creates, and what it does not
  parameters that a rule refuses, each with the rule's words
  an update that changes the source, and one that switches the alarms off
  a deletion: the table, the queue with its policy, and the bucket stay, and all else goes

MiniStack judges neither permissions nor the networks' existence. It takes neither saved queries nor alarms with metric
math: `.ci/monitoring` evaluates those.
"""

import contextlib
import json
import pathlib
import sys
import tempfile
import time
import zipfile

from botocore.exceptions import ClientError
from cloud import STACK, change, client, function_binaries, ministack, packaged

ENGINE = {"OpenSearchEndpoint": "https://search.example.com", "OpenSearchAuth": "none", "Index": "activity"}
TABLE = {"PartitionKey": "pk", "SortKey": "sk"}
KEY = "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-3333-4444-555555555555"
STREAM = "arn:aws:dynamodb:us-east-1:000000000000:table/other/stream/2026-01-15T09:30:00.000"

# What a rule refuses, and a part of its words.
REFUSED = [
    ({}, "PartitionKey"),
    (TABLE | {"TableOwnerAccount": "111122223333"}, "TableOwnerAccount"),
    ({"TableArn": STREAM.split("/stream/")[0]}, "Give StreamArn"),
    (TABLE | {"OpenSearchAuth": "sigv4"}, "OpenSearchArn"),
    (TABLE | {"OpenSearchAuth": "basic"}, "OpenSearchSecretArn"),
    (TABLE | {"OpenSearchAuth": "basic", "OpenSearchSecretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:short"}, "OpenSearchSecretArn"),
    (TABLE | {"SubnetIds": "subnet-1"}, "SecurityGroupIds"),
    (TABLE | {"HeartbeatItem": "{}"}, "HeartbeatKey"),
    (TABLE | {"SecondOpenSearchEndpoint": "https://second.example.com"}, "SecondOpenSearchArn"),
]


def stand_in(scratch):
    """An archive with a function that is never invoked."""
    archive = scratch / "stand-in.zip"
    with zipfile.ZipFile(archive, "w") as files:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o100755 << 16
        files.writestr(info, "#!/bin/sh\nsleep 60\n")
    return archive


class Cloud:
    """MiniStack with the packaged template."""

    def __init__(self, endpoint, scratch):
        self.endpoint = endpoint
        self.stack = packaged(endpoint, dict.fromkeys(function_binaries(), stand_in(scratch)))

    def client(self, service):
        return client(service, self.endpoint)

    def create(self, **parameters):
        return change(self.endpoint, "create", self.stack, ENGINE | parameters)

    def update(self, **parameters):
        return change(self.endpoint, "update", self.stack, ENGINE | parameters)

    def delete(self):
        self.client("cloudformation").delete_stack(StackName=STACK)
        deadline = time.monotonic() + 60
        with contextlib.suppress(ClientError):  # It does not exist any more.
            while self.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]["StackStatus"] != "DELETE_COMPLETE":
                assert time.monotonic() < deadline, "the stack is not deleted"
                time.sleep(0.1)

    def resources(self):
        """Physical ids of the stack's own resources by logical id, and those of the nested stack."""
        answer = self.client("cloudformation").describe_stack_resources(StackName=STACK)["StackResources"]
        return {resource["LogicalResourceId"]: resource.get("PhysicalResourceId") for resource in answer}

    def alarms(self):
        return {alarm["AlarmName"] for alarm in self.client("cloudwatch").describe_alarms()["MetricAlarms"]}

    def variables(self, function):
        return self.client("lambda").get_function_configuration(FunctionName=function)["Environment"]["Variables"]


def a_new_table(cloud):
    outputs, resources = cloud.create(**TABLE), cloud.resources()
    mapping = cloud.client("lambda").get_event_source_mapping(UUID=outputs["MappingId"])
    assert mapping["EventSourceArn"] == outputs["StreamArn"], mapping
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == outputs["DeadLetterQueueArn"], mapping
    assert {"KinesisStream", "OnFailureBucket", "ReplicateKinesis", "VerifyScheduleRule", "Heartbeat", "HeartbeatRole"}.isdisjoint(resources), resources
    variables = cloud.variables("driftless-redrive")
    assert (variables["INDEX"], variables["DEAD_LETTER_QUEUE_URL"]) == ("activity", outputs["DeadLetterQueueUrl"]), variables
    assert {"TABLE_NAME", "ON_FAILURE_BUCKET", "AWS_ENDPOINT_URL_DYNAMODB_STREAMS"}.isdisjoint(variables), variables
    alarms = cloud.alarms()
    assert {"driftless-lag-warning", "driftless-dead-letters"} <= alarms, alarms
    assert not {name for name in alarms if "kinesis" in name or "bucket" in name}, alarms
    [topic] = cloud.client("sns").list_topics()["Topics"]
    assert topic["TopicArn"] == outputs["AlarmTopicArn"], outputs
    dashboard = cloud.client("cloudwatch").get_dashboard(DashboardName=STACK)["DashboardBody"]
    assert "activity" in dashboard and json.loads(dashboard)["widgets"], dashboard
    return outputs


def the_same_without_alarms_and_paused(cloud):
    outputs = cloud.update(**TABLE, Monitoring="off", MappingEnabled="false")
    assert not cloud.alarms(), cloud.alarms()
    mapping = cloud.client("lambda").get_event_source_mapping(UUID=outputs["MappingId"])
    assert mapping["State"] in ("Disabled", "Disabling"), mapping


def a_switch_to_kinesis(cloud):
    before = cloud.update(**TABLE, KinesisDestination="always", VerifySchedule="rate(1 day)")
    assert before["FunctionName"] == "driftless-replicate", before
    stream = cloud.client("kinesis").describe_stream_summary(StreamName=before["KinesisStreamArn"].split("/")[1])
    assert stream["StreamDescriptionSummary"]["RetentionPeriodHours"] == 24, stream
    after = cloud.update(**TABLE, KinesisDestination="always", VerifySchedule="rate(1 day)", Source="kinesis", Generation="2")
    assert after["FunctionName"] == "driftless-replicate-kinesis", after
    assert (after["TableName"], after["KinesisStreamArn"]) == (before["TableName"], before["KinesisStreamArn"]), (before, after)
    mapping = cloud.client("lambda").get_event_source_mapping(UUID=after["MappingId"])
    assert mapping["EventSourceArn"] == after["KinesisStreamArn"], mapping
    assert cloud.variables("driftless-verify")["GENERATION"] == "2"
    assert "Replicate" not in cloud.resources(), cloud.resources()
    assert mapping["StartingPosition"] == "TRIM_HORIZON", mapping


def a_bucket_and_a_key(cloud):
    outputs = cloud.update(**TABLE, OnFailureDestination="s3", KmsKeyArn=KEY)
    mapping = cloud.client("lambda").get_event_source_mapping(UUID=outputs["MappingId"])
    assert mapping["DestinationConfig"]["OnFailure"]["Destination"] == f"arn:aws:s3:::{outputs['OnFailureBucketName']}", mapping
    assert cloud.variables("driftless-redrive")["ON_FAILURE_BUCKET"] == outputs["OnFailureBucketName"]
    queue = cloud.client("sqs").get_queue_attributes(QueueUrl=outputs["DeadLetterQueueUrl"], AttributeNames=["All"])["Attributes"]
    assert queue["KmsMasterKeyId"] == KEY, queue
    return outputs


def a_heartbeat(cloud):
    item = json.dumps({"pk": {"S": "heartbeat"}, "sk": {"S": "heartbeat"}})
    outputs = cloud.update(**TABLE, HeartbeatItem=item, HeartbeatKey="heartbeat")
    assert cloud.variables(outputs["HeartbeatFunctionName"])["HEARTBEAT_ITEM"] == item
    assert "HEARTBEAT_ITEM" not in cloud.variables("driftless-verify")
    policy = cloud.client("iam").get_role_policy(RoleName=outputs["HeartbeatRoleArn"].split("/")[-1], PolicyName="beat")["PolicyDocument"]
    [put] = [statement for statement in policy["Statement"] if "dynamodb:PutItem" in statement["Action"]]
    assert put["Condition"]["ForAllValues:StringEquals"]["dynamodb:LeadingKeys"] == ["heartbeat"], put
    [rule] = [rule for rule in cloud.client("events").list_rules()["Rules"] if "eartbeat" in rule["Name"]]
    assert rule["ScheduleExpression"] == "rate(1 minute)", rule


def a_deletion(cloud):
    before = cloud.update(**TABLE, OnFailureDestination="s3", KmsKeyArn=KEY, LogRetentionDays="7")
    cloud.delete()
    assert before["TableName"] in cloud.client("dynamodb").list_tables()["TableNames"]
    queue = cloud.client("sqs").get_queue_attributes(QueueUrl=before["DeadLetterQueueUrl"], AttributeNames=["All"])["Attributes"]
    assert "aws:SecureTransport" in queue["Policy"], queue
    assert before["OnFailureBucketName"] in [bucket["Name"] for bucket in cloud.client("s3").list_buckets()["Buckets"]]
    assert not cloud.client("lambda").list_functions()["Functions"]
    assert not cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    assert not cloud.alarms() and not cloud.client("sns").list_topics()["Topics"]
    assert not cloud.client("stepfunctions").list_state_machines()["stateMachines"]
    return before


def what_stayed_is_taken_over(cloud):
    queue = cloud.client("sqs").create_queue(QueueName="letters")["QueueUrl"]
    arn = cloud.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    table = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
             "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST",
             "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
    created = cloud.client("dynamodb").create_table(TableName="orders", **table)["TableDescription"]
    outputs = cloud.create(StreamArn=created["LatestStreamArn"], ExistingQueueArn=arn)
    assert (outputs["TableName"], outputs["DeadLetterQueueArn"]) == ("orders", arn), outputs
    assert cloud.variables("driftless-verify")["TABLE_ARN"] == created["TableArn"]
    assert {"Table", "DeadLetterQueue"}.isdisjoint(cloud.resources()), cloud.resources()
    cloud.delete()


def a_table_of_another_account(cloud):
    cloud.create(StreamArn=STREAM.replace(":000000000000:", ":111122223333:"), TableOwnerAccount="111122223333", MappingEnabled="false")
    name = cloud.variables("driftless-verify")["TABLE_NAME"]
    assert name == "arn:aws:dynamodb:us-east-1:111122223333:table/other", name
    cloud.delete()


def what_a_rule_refuses(cloud):
    for parameters, words in REFUSED:
        try:
            cloud.create(**parameters)
        except (ClientError, RuntimeError) as error:
            assert words in str(error), (parameters, error)
        else:
            raise AssertionError(f"nothing refuses {parameters}")


SCENARIOS = [a_new_table, the_same_without_alarms_and_paused, a_switch_to_kinesis, a_bucket_and_a_key, a_heartbeat,
             a_deletion, what_stayed_is_taken_over, a_table_of_another_account, what_a_rule_refuses]


def main():
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="stacks-") as folder:
        scratch = pathlib.Path(folder)
        with ministack(scratch) as endpoint:
            cloud = Cloud(endpoint, scratch)
            for scenario in SCENARIOS:
                scenario(cloud)
                print(f"{time.monotonic() - began:5.1f} s  {scenario.__name__.replace('_', ' ')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
