"""A cloud on this machine: real services from `cargo local up`, and MiniStack with the template deployed.

MiniStack plays CloudFormation with SAM, S3, Lambda and Step Functions. The functions are the workspace's own binaries.
Everything listens on 127.0.0.1 and free ports, and ends with the context that started it.
"""

import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import zipfile

import boto3
from botocore.config import Config

from definitions import ROOT, template

REGION = "us-east-1"  # that of the local DynamoDB's ARNs
START_SECONDS = 120
BUCKET = "code"
STACK = "driftless"


def build():
    """Builds the tool and the functions in one run of cargo, with the workspace's features; gives their paths by name."""
    names = ["local", *(function_binaries().values())]
    what = [word for name in names for word in ("--bin", name)]
    output = subprocess.run(["cargo", "build", "--locked", *what, "--message-format=json-render-diagnostics"],
                            cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    messages = [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
    return {message["target"]["name"]: pathlib.Path(message["executable"])
            for message in messages if message.get("executable") and message["target"]["name"] in names}


def function_binaries():
    """Names of the functions' binaries, by logical id."""
    return {name: resource["Metadata"]["BuildProperties"]["Binary"]
            for name, resource in template()["Resources"].items() if resource["Type"] == "AWS::Serverless::Function"}


def client(service, endpoint, account="local"):
    """A client of boto3. MiniStack takes an access key of 12 digits for the account, and others for its own one."""
    config = Config(retries={"max_attempts": 1}, read_timeout=120)
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id=account,
                        aws_secret_access_key="local", config=config)


@contextlib.contextmanager
def process(command, log, environment, **options):
    """A process that ends, with what it has started, when the context does."""
    with open(log, "wb") as stderr:
        child = subprocess.Popen(command, env=environment, stderr=stderr, start_new_session=True, cwd=ROOT, **options)
    try:
        yield child
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGTERM)
        try:
            child.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def services(tool, scratch):
    """DynamoDB and OpenSearch, in the foreground of the tool; gives the variables that point to them."""
    command = [str(tool), "--home", str(scratch / "services"), "up", "--foreground", "--no-sqs"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_ENDPOINT_URL")}
    inherited.pop("OPENSEARCH_ENDPOINT", None)
    with process(command, scratch / "services.log", inherited, stdout=subprocess.PIPE, text=True) as child:
        variables, wanted = {}, {"OPENSEARCH_ENDPOINT", "AWS_ENDPOINT_URL_DYNAMODB"}
        for line in child.stdout:
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").strip().partition("=")
                variables[name] = value.strip("'\"")
            if wanted <= variables.keys():
                break
        else:
            raise RuntimeError("the services did not start:\n" + (scratch / "services.log").read_text())
        yield variables


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def ministack(scratch, dynamodb=None):
    """MiniStack, whose functions reach the given DynamoDB, or its own; gives its endpoint."""
    port = free_port()
    endpoint = f"http://127.0.0.1:{port}"
    folders = {"STATE_DIR": "state", "S3_DATA_DIR": "s3", "TMPDIR": "tmp"}
    for folder in folders.values():
        (scratch / folder).mkdir()
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environment |= {name: str(scratch / folder) for name, folder in folders.items()}
    environment |= {
        "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "AWS_ENDPOINT_URL": endpoint, "MINISTACK_HOST": "127.0.0.1",
        "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0",  # They listen on all interfaces.
        "MINISTACK_REGION": REGION, "AWS_DEFAULT_REGION": REGION, "LOG_LEVEL": "WARNING",
        "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
        "SFN_WAIT_SCALE": "0.001",  # Retries wait for milliseconds.
    }
    if dynamodb:  # Functions inherit the server's environment.
        environment |= {"AWS_ENDPOINT_URL_DYNAMODB": dynamodb, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": dynamodb}
    log = scratch / "ministack.log"
    command = [str(pathlib.Path(sys.executable).parent / "ministack")]
    with process(command, log, environment, stdout=subprocess.DEVNULL) as child:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(endpoint + "/_ministack/health", timeout=5).close()
                break
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("MiniStack did not start:\n" + log.read_text()[-4_000:])
            time.sleep(0.1)
        yield endpoint


def packaged(endpoint, code):
    """The template with its files in S3, as `sam package` leaves it. `code` has the functions' archives by logical id."""
    s3, stack = client("s3", endpoint), template()
    s3.create_bucket(Bucket=BUCKET)
    for name, resource in stack["Resources"].items():
        properties = resource["Properties"]
        if resource["Type"] == "AWS::Serverless::Function":
            s3.upload_file(str(code[name]), BUCKET, f"{name}.zip")
            properties["CodeUri"] = {"Bucket": BUCKET, "Key": f"{name}.zip"}
        if resource["Type"] == "AWS::Serverless::StateMachine":
            s3.upload_file(str(ROOT / properties["DefinitionUri"]), BUCKET, f"{name}.json")
            properties["DefinitionUri"] = {"Bucket": BUCKET, "Key": f"{name}.json"}
        if resource["Type"] == "AWS::CloudFormation::Stack":
            nested = without_unknown(template(properties["TemplateURL"]))
            s3.put_object(Bucket=BUCKET, Key=f"{name}.json", Body=json.dumps(nested))
            properties["TemplateURL"] = f"{endpoint}/{BUCKET}/{name}.json"
    return stack


def without_unknown(nested):
    """A template without what MiniStack refuses: saved queries, and alarms with metric math."""
    nested["Resources"] = {
        name: resource for name, resource in nested["Resources"].items()
        if resource["Type"] != "AWS::Logs::QueryDefinition" and "Metrics" not in resource["Properties"]}
    return nested


def parameters_of(given):
    architecture = "arm64" if platform.machine() in ("arm64", "aarch64") else "x86_64"
    given = {"Architecture": architecture, "LogLevel": "warn"} | given
    return [{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()]


def settled(endpoint, wanted):
    """Waits until the stack has the status; gives its outputs."""
    cloudformation = client("cloudformation", endpoint)
    deadline = time.monotonic() + START_SECONDS
    while True:
        described = cloudformation.describe_stacks(StackName=STACK)["Stacks"][0]
        if described["StackStatus"] == wanted:
            return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
        if not described["StackStatus"].endswith("_IN_PROGRESS") or time.monotonic() > deadline:
            events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
            reasons = [event.get("ResourceStatusReason") for event in events if "FAILED" in event["ResourceStatus"]]
            raise RuntimeError(f"the stack is {described['StackStatus']}: {described.get('StackStatusReason')} {reasons}")
        time.sleep(0.2)


def change(endpoint, verb, stack, given):
    """Creates or updates the stack, and gives its outputs. A template of this size has to come from S3."""
    client("s3", endpoint).put_object(Bucket=BUCKET, Key="template.json", Body=json.dumps(stack))
    getattr(client("cloudformation", endpoint), f"{verb}_stack")(
        StackName=STACK, TemplateURL=f"{endpoint}/{BUCKET}/template.json", Parameters=parameters_of(given),
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"])
    return settled(endpoint, f"{verb.upper()}_COMPLETE")


def deploy(endpoint, binaries, scratch, parameters):
    """Deploys the template as `sam deploy` does: code and definitions to S3, then the stack; gives its outputs."""
    stack = packaged(endpoint, archives(binaries, scratch))
    # Its stream is not MiniStack's, and nothing here replicates. What names the mapping gets a name.
    del stack["Resources"]["StreamMapping"]
    stack["Resources"]["MonitoringStack"]["Properties"]["Parameters"]["MappingId"] = "mapping"
    del stack["Outputs"]["MappingId"]
    return change(endpoint, "create", stack, parameters)


def archives(binaries, scratch):
    """Archives of the functions by logical id."""
    return {name: zipped(binaries[binary], scratch) for name, binary in function_binaries().items()}


def zipped(binary, scratch):
    """A function's archive. Without debug information it is a fifth as large."""
    bootstrap, archive = scratch / f"{binary.name}.bootstrap", scratch / f"{binary.name}.zip"
    subprocess.run(["strip", "--strip-debug", "-o", str(bootstrap), str(binary)], check=True)
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as files:
        info = zipfile.ZipInfo("bootstrap")
        info.external_attr = 0o100755 << 16
        with open(bootstrap, "rb") as source, files.open(info, "w", force_zip64=True) as target:
            shutil.copyfileobj(source, target)
    return archive
