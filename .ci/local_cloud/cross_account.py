"""A table, its stream and a Kinesis stream of another account, as far as a local cloud goes.

  a stack with the other account's stream          →  its mapping, roles and variables name that account
  no policy of the owner                           →  each function that reads fails, and says what is refused
  the policies of docs/cross-account.md            →  the owner can put them; they admit what the roles may do
  with them: changes, backfill, verify, redrive    →  the index equals the table of the other account
  MiniStack's mapping of the stream                →  never reads it: the page says so, and the records are delivered here
  a Kinesis stream of the other account            →  MiniStack's mapping reads it, and its changes reach the index

A proxy before DynamoDB plays what DynamoDB does: it looks for a policy of the owner that admits the action, and hands
the request to the owner's account. It knows no principals.
"""

import json
import pathlib
import re
import sys
import tempfile
import time

from botocore.exceptions import ClientError
from cloud import STACK, build, client, ministack, services
from definitions import ROOT
from dynamodb_proxy import DynamoDbProxy
from replication import Deployed, eventually, gave_up

OWNER = "111122223333"
TABLE = "orders"
ITEMS = 30
PAGE = "docs/cross-account.md"
# Roles of the page by the outputs of the stack.
ROLES = {"FUNCTION_ROLE_ARN": "FunctionRoleArn", "REDRIVE_ROLE_ARN": "RedriveRoleArn",
         "BACKFILL_ROLE_ARN": "BackfillRoleArn", "VERIFY_ROLE_ARN": "VerifyRoleArn"}
READS = {"stream": ["DescribeStream", "GetRecords", "GetShardIterator"],
         "table": ["BatchGetItem", "DescribeTable", "GetItem", "Query", "Scan"]}


class OwnersDoor(DynamoDbProxy):
    """Hands requests about the owner's resources to the owner's account, if a policy of the owner admits them."""

    def __init__(self):
        self.iterators_of = None
        super().__init__()

    def resource(self, body):
        """The owner's ARN that a request is about. An iterator is of the stream that was asked for last."""
        request = json.loads(body)
        if "ShardIterator" in request:
            return self.iterators_of
        named = [request.get("StreamArn"), request.get("TableName"), *request.get("RequestItems", {})]
        return next((arn for arn in named if arn and f":{OWNER}:" in arn), None)

    def refusal(self, operation, body):
        arn = self.resource(body)
        if arn is None:
            return None
        self.iterators_of = arn if operation == "GetShardIterator" else self.iterators_of
        try:
            policy = client("dynamodb", self.target, OWNER).get_resource_policy(ResourceArn=arn)["Policy"]
        except ClientError:
            policy = '{"Statement": []}'
        if admits(json.loads(policy), f"dynamodb:{operation}", None):
            return None
        return f"User is not authorized to perform: dynamodb:{operation} on resource: {arn}"

    def headers_to_send(self, body, headers):
        if self.resource(body) is None:
            return headers
        return {name: re.sub(r"Credential=[^/]+", f"Credential={OWNER}", value) for name, value in headers.items()}


def admits(policy, action, role):
    """Whether a policy admits an action, for a role or for anybody."""
    return any(action in statement["Action"] and (role is None or role in statement["Principal"]["AWS"])
               for statement in policy["Statement"])


def policies(words):
    """The policies of the page, with its words replaced."""
    text = (ROOT / PAGE).read_text(encoding="utf-8")
    for word, value in words.items():
        text = re.sub(rf"\b{word}\b", value, text)
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.S)]


class Accounts:
    """The owner with a table, and the stack of the other account."""

    def __init__(self, endpoint, door, variables, binaries, scratch):
        self.endpoint, self.door, self.variables, self.binaries, self.scratch = endpoint, door, variables, binaries, scratch
        keys = {"AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}], "BillingMode": "PAY_PER_REQUEST"}
        stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
        table = self.owner("dynamodb").create_table(TableName=TABLE, StreamSpecification=stream, **keys)["TableDescription"]
        self.table, self.stream, self.stack = table["TableArn"], table["LatestStreamArn"], None
        assert f":{OWNER}:" in self.stream, self.stream

    def owner(self, service):
        return client(service, self.endpoint, OWNER)

    def deploy(self, **parameters):
        self.stack = Deployed(self.endpoint, self.variables["OPENSEARCH_ENDPOINT"], self.binaries, self.scratch,
                              TableOwnerAccount=OWNER, **parameters)
        return self.stack

    def put(self, number, note="written"):
        item = {"pk": {"S": f"item-{number:05}"}, "note": {"S": note}}
        self.owner("dynamodb").put_item(TableName=TABLE, Item=item)

    def words(self):
        arns = {word: self.stack.outputs[output] for word, output in ROLES.items()}
        return arns | {"KINESIS_STREAM_ARN": "KINESIS", "STREAM_ARN": self.stream, "TABLE_ARN": self.table}

    def records(self):
        """Records of the owner's stream, read by its ARN through the door, as Lambda delivers them."""
        streams = client("dynamodbstreams", self.door.url)
        shard = streams.describe_stream(StreamArn=self.stream)["StreamDescription"]["Shards"][0]["ShardId"]
        start = {"StreamArn": self.stream, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"}
        records = streams.get_records(ShardIterator=streams.get_shard_iterator(**start)["ShardIterator"])["Records"]
        for record in records:
            record["eventSourceARN"] = self.stream
            change = record["dynamodb"]
            change["ApproximateCreationDateTime"] = int(change["ApproximateCreationDateTime"].timestamp())
        return shard, records


def names_the_other_account(accounts):
    stack = accounts.deploy(StreamArn=accounts.stream)
    mapping = stack.client("lambda").get_event_source_mapping(UUID=stack.outputs["MappingId"])
    assert mapping["EventSourceArn"] == accounts.stream, mapping
    variables = stack.client("lambda").get_function_configuration(FunctionName=f"{STACK}-verify")["Environment"]["Variables"]
    assert variables["TABLE_NAME"] == accounts.table, variables


def fails_without_the_owners_policies(accounts):
    for function, request in (("backfill", {}), ("verify", {})):
        answer = accounts.stack.client("lambda").invoke(FunctionName=f"{STACK}-{function}", Payload=json.dumps(request))
        payload = answer["Payload"].read().decode()
        assert "FunctionError" in answer and "AccessDenied" in payload, payload
    try:
        accounts.records()
    except ClientError as error:
        assert "not authorized" in str(error), error
    else:
        raise AssertionError("the stream is read without a policy")


def the_owner_puts_the_policies(accounts):
    stream, table, _ = policies(accounts.words())
    for arn, policy in ((accounts.stream, stream), (accounts.table, table)):
        try:
            accounts.stack.client("dynamodb").put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))
        except ClientError as error:
            assert "ResourceNotFound" in str(error), error
        else:
            raise AssertionError("the functions' account gives itself a permission")
        accounts.owner("dynamodb").put_resource_policy(ResourceArn=arn, Policy=json.dumps(policy))


def they_admit_what_the_roles_may_do(accounts):
    stream, table, _ = policies(accounts.words())
    iam, admitted = accounts.stack.client("iam"), 0
    for arn, policy, actions in ((accounts.stream, stream, READS["stream"]), (accounts.table, table, READS["table"])):
        for output in ROLES.values():
            role = accounts.stack.outputs[output]
            names = [f"dynamodb:{action}" for action in actions]
            results = iam.simulate_principal_policy(PolicySourceArn=role, ActionNames=names, ResourceArns=[arn])
            allowed = [result["EvalActionName"] for result in results["EvaluationResults"] if result["EvalDecision"] == "allowed"]
            refused = [action for action in allowed if not admits(policy, action, role)]
            assert not refused, f"{PAGE}: {output} may {refused} on {arn}, and the policy does not admit it"
            admitted += len(allowed)
    assert admitted >= 10, admitted


def changes_reach_the_index(accounts):
    for number in range(ITEMS):
        accounts.put(number)
    shard, records = accounts.records()
    answer = accounts.stack.invoke("replicate", {"Records": records})
    assert answer["batchItemFailures"] == [], answer
    assert accounts.stack.documents() == ITEMS
    report = accounts.stack.invoke("backfill", {})
    assert (report["counts"]["items"], report["counts"]["written"]) == (ITEMS, 0), report
    assert accounts.stack.invoke("verify", {"settle_ms": 200})["equal"]
    # A range of the owner's stream, which nobody has delivered.
    accounts.put(ITEMS)
    number = accounts.records()[1][-1]["dynamodb"]["SequenceNumber"]
    queue = accounts.stack.outputs["DeadLetterQueueUrl"]
    accounts.stack.client("sqs").send_message(QueueUrl=queue, MessageBody=json.dumps(gave_up(accounts.stream, shard, number)))
    report = accounts.stack.invoke("redrive", {})
    assert (report["changes"]["applied"], report["left"]) == (1, 0), report


def ministack_never_reads_the_stream(accounts):
    """Holds the page to it: once MiniStack does, the records above need not be delivered here."""
    accounts.put(ITEMS + 1)
    time.sleep(3)
    assert accounts.stack.documents() == ITEMS + 1, "MiniStack reads the stream: say so in " + PAGE
    mapping = accounts.stack.client("lambda").get_event_source_mapping(UUID=accounts.stack.outputs["MappingId"])
    assert mapping["LastProcessingResult"] == "No records processed", mapping


def a_kinesis_stream_feeds_the_index(accounts):
    accounts.stack.client("cloudformation").delete_stack(StackName=STACK)
    eventually(lambda: accounts.stack.client("lambda").list_functions()["Functions"], [])
    kinesis = accounts.owner("kinesis")
    kinesis.create_stream(StreamName="changes", ShardCount=1)
    description = kinesis.describe_stream(StreamName="changes")["StreamDescription"]
    stack = accounts.deploy(Source="kinesis", KinesisStreamArn=description["StreamARN"], TableArn=accounts.table,
                            Index="by-kinesis")
    policy = policies(accounts.words() | {"KINESIS_STREAM_ARN": description["StreamARN"]})[2]
    kinesis.put_resource_policy(ResourceARN=description["StreamARN"], Policy=json.dumps(policy))
    for number in range(3):
        image = {"pk": {"S": f"item-{number:05}"}, "note": {"S": "by Kinesis"}}
        change = {"ApproximateCreationDateTime": int(time.time() * 1e6), "ApproximateCreationDateTimePrecision": "MICROSECOND",
                  "Keys": {"pk": image["pk"]}, "NewImage": image, "SizeBytes": 99}
        record = {"awsRegion": "us-east-1", "eventID": f"e{number}", "eventName": "INSERT", "userIdentity": None,
                  "recordFormat": "application/json", "tableName": TABLE, "dynamodb": change, "eventSource": "aws:dynamodb"}
        kinesis.put_record(StreamName="changes", PartitionKey=str(number), Data=json.dumps(record))
    eventually(stack.documents, 3)


SCENARIOS = [names_the_other_account, fails_without_the_owners_policies, the_owner_puts_the_policies,
             they_admit_what_the_roles_may_do, changes_reach_the_index, ministack_never_reads_the_stream,
             a_kinesis_stream_feeds_the_index]


def main():
    began = time.monotonic()
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="accounts-") as folder:
        scratch, door = pathlib.Path(folder), OwnersDoor()
        with services(binaries["local"], scratch) as variables, ministack(scratch, door.url) as endpoint:
            door.target = endpoint
            accounts = Accounts(endpoint, door, variables, binaries, scratch)
            for scenario in SCENARIOS:
                scenario(accounts)
                print(f"{time.monotonic() - began:5.1f} s  {scenario.__name__.replace('_', ' ')}")
        door.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
