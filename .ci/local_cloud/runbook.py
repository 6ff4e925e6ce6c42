"""Runs every command of docs/runbook.md in a local cloud, as its reader does: in bash, with the AWS CLI.

The commands come from the page itself, in its order, and its first block defines the functions that they use. A section
may have a scene in `runbook_scenes.py`, which brings about what the section is for, and looks at what the commands say.
A command that is neither run nor listed in NOT_RUN is a failure, and so is one that the page no longer has.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

from cloud import REGION, build, ministack, services
from definitions import ROOT
from replication import Deployed, eventually
from runbook_scenes import HEARTBEAT, LATER, LATER_PARAMETERS, SCENES

sys.path.insert(0, str(ROOT / ".ci/alarms"))
from page_commands import page_commands  # noqa: E402  (the folder was not on the path)

PAGE = "docs/runbook.md"
FUNCTIONS_OF_THE_SHELL = "Before anything else"
# Commands that do not run here, with the reason.
NOT_RUN = {
    "sam build && sam deploy": "building takes minutes: `.ci/template build` builds, `.ci/orchestration stacks` deploys and updates",
    "git checkout FORMER_TAG && sam build && sam deploy": "there is no former release; the rest is the command above",
    "sam delete": "`.ci/orchestration stacks` deletes the stack, and looks at what stays",
    ".ci/orchestration changes --picture docs/dashboard.svg": "it runs a local cloud of its own, as a step of `.ci/run`",
}
# Words that a reader replaces.
PLACEHOLDERS = {"RATE": "1000", "ITEMS": "500000000", "BYTES": "700"}
# Where the page leads from the repository's folder.
OF_THE_REPOSITORY = ("cargo", ".ci/")
COMMAND_SECONDS = 300
# A verify right after a redrive takes the stream to be behind, and the page says to verify again.
BEHIND_SECONDS = 120


class Reader:
    """Someone with a shell, the page's functions, and a stack."""

    def __init__(self, stack, aws, scratch, functions):
        self.stack, self.scratch = stack, scratch
        self.last_execution = None
        # The CLI takes its endpoint from the environment since 2.13 only.
        self.preamble = "\n".join(['set -euo pipefail', f'aws() {{ "{aws}" --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }}', *functions])
        self.environment = os.environ | {
            "AWS_ENDPOINT_URL": stack.endpoint, "AWS_ENDPOINT_URL_SQS": stack.endpoint, "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "AWS_PAGER": "", "AWS_EC2_METADATA_DISABLED": "true",
            "OPENSEARCH_ENDPOINT": stack.opensearch,
        }

    def run(self, command):
        """Runs a command of the page, which must succeed; gives what it prints."""
        command = re.sub(r"\bINDEX\b", self.stack.parameters["Index"], command)
        for word, value in (PLACEHOLDERS | {"ARN": self.last_execution or "ARN"}).items():
            command = re.sub(rf"\b{word}\b", value, command)
        if request := re.fullmatch(r"(GET|PUT|POST|DELETE) (\S+)(?: (\{.*\}))?", command):
            verb, path, body = request.groups()
            return json.dumps(self.stack.engine(path, verb, body and json.loads(body)))
        printed = self.shell(command)
        if command.startswith("segments "):
            return self.finished(command, printed)
        if command in ("pause", "resume"):
            wanted = {"pause": "Disabled", "resume": "Enabled"}[command]
            eventually(lambda: self.mapping()["State"], wanted)
        return printed

    def shell(self, command):
        folder = ROOT if command.startswith(OF_THE_REPOSITORY) else self.scratch
        done = subprocess.run(["bash", "-c", f"{self.preamble}\n{command}"], env=self.environment, cwd=folder, text=True,
                              capture_output=True, timeout=COMMAND_SECONDS, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"{command}\nended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
        assert '"FunctionError":' not in done.stdout, f"{command}\n{done.stdout}"
        return done.stdout

    def finished(self, command, printed):
        """Waits for the execution that a command has started, which must succeed; gives its report."""
        deadline = time.monotonic() + BEHIND_SECONDS
        while True:
            execution = self.end_of(json.loads(printed)["executionArn"])
            if execution["status"] == "SUCCEEDED":
                return execution["output"]
            behind = execution.get("error") == "Behind" and time.monotonic() < deadline
            assert behind, f"{command}\n{execution.get('error')}: {execution.get('cause')}"
            time.sleep(5)
            printed = self.shell(command)

    def execute(self, given):
        """Starts an execution, as somebody else did before the reader came; gives its end."""
        arn = self.stack.outputs["SegmentsStateMachineArn"]
        states = self.stack.client("stepfunctions")
        return self.end_of(states.start_execution(stateMachineArn=arn, input=json.dumps(given))["executionArn"])

    def end_of(self, arn):
        states = self.stack.client("stepfunctions")
        self.last_execution = arn
        eventually(lambda: states.describe_execution(executionArn=arn)["status"] != "RUNNING", True)
        return states.describe_execution(executionArn=arn)

    def mapping(self):
        return self.stack.client("lambda").get_event_source_mapping(UUID=self.stack.outputs["MappingId"])


def sections(commands):
    """Commands by section: first those of the stack as it is deployed, then those of other parameters."""
    names = list(dict.fromkeys(section for section, _ in commands))
    ordered = [name for name in names if name not in LATER] + [name for name in names if name in LATER]
    return {name: [command for section, command in commands if section == name] for name in ordered}


def read_section(reader, name, commands):
    """Runs the commands of a section, within its scene if it has one."""
    scene = SCENES[name](reader) if name in SCENES else None
    if scene:
        next(scene)
    for command in commands:
        if command in NOT_RUN:
            continue
        printed = reader.run(command)
        if scene:
            try:
                scene.send(printed)
            except StopIteration:
                scene = None
    if scene:
        raise AssertionError(f"{name}: its scene expects more commands")


def check_lists(commands):
    """What the lists here name must be on the page."""
    for listed in NOT_RUN:
        assert listed in [command for _, command in commands], f"{PAGE} has no command `{listed}`"
    for listed in SCENES.keys() | LATER:
        assert listed in [section for section, _ in commands], f"{PAGE} has no section {listed} with commands"


def main():
    arguments = argparse.ArgumentParser(description="run the commands of the runbook")
    arguments.add_argument("--aws", default="aws", help="AWS CLI, version 2")
    given = arguments.parse_args()
    began = time.monotonic()
    everything = list(page_commands(PAGE))
    functions = [line for section, line in everything if section == FUNCTIONS_OF_THE_SHELL and "()" in line or line.startswith("stack=")]
    commands = [(section, line) for section, line in everything if line not in functions]
    check_lists(commands)
    binaries = build()
    with tempfile.TemporaryDirectory(prefix="runbook-") as folder:
        scratch = pathlib.Path(folder)
        with services(binaries["local"], scratch) as variables, ministack(scratch) as endpoint:
            stack = Deployed(endpoint, variables["OPENSEARCH_ENDPOINT"], binaries, scratch, **HEARTBEAT)
            for number in range(100):
                stack.put(number)
            eventually(stack.documents, 100)
            reader = Reader(stack, given.aws, scratch, functions)
            print(f"{time.monotonic() - began:5.1f} s  deployed")
            updated = False
            for name, of_section in sections(commands).items():
                if name in LATER and not updated:
                    stack.update(**LATER_PARAMETERS)
                    updated = True
                read_section(reader, name, of_section)
                run = sum(command not in NOT_RUN for command in of_section)
                print(f"{time.monotonic() - began:5.1f} s  {name}: {run} of {len(of_section)} commands")
    print(f"{sum(command not in NOT_RUN for _, command in commands)} of {len(commands)} commands ran; the others:")
    for command, reason in NOT_RUN.items():
        print(f"  {command}: {reason}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
