"""Checks the commands of pages: operations and options of the AWS CLI exist, and requests are JSON with known members.

The AWS CLI is generated from the same models that botocore has, but for a few commands of its own.
"""

import json
import re
import shlex

import botocore.session
from botocore import xform_name
from page_commands import page_commands
from templates import ROOT, load

PAGES = ["docs/runbook.md", "docs/deploy.md", "docs/dead-letters.md", "docs/cross-account.md"]
OF_ALL = {"query", "output", "region", "cli-binary-format", "cli-read-timeout", "max-items"}
# Commands that no operation is behind, with their options.
OWN = {("logs", "tail"): {"since", "filter-pattern", "follow"}, ("s3", "ls"): {"recursive"},
       ("dynamodbstreams", "describe-stream"): None}
# Members of requests stand in the functions' pages. `request` is the other functions'.
REQUESTS = {"redrive": ["redrive"], "segments": ["backfill", "verify", "purge"]}
MEMBERS_OF_EXECUTION = {"function", "segments", "request", "concurrency"}


def without_substitutions(command):
    """A command with the innermost `$(…)` replaced by a word, over and over, and its comment dropped."""
    while "$(" in command:
        changed = re.sub(r"\$\([^()]*(?:\([^()]*\)[^()]*)*\)", "WORD", command)
        if changed == command:
            break
        command = changed
    return command


def calls(command):
    """Every `aws` call in a line, as words, those within `$(…)` and functions of the shell included."""
    for found in re.finditer(r"\baws (?=[a-z0-9-]+ [a-z-]+)", command):
        rest = without_substitutions(command[found.start():])
        rest = re.split(r"\)\"|\s[|]\s|;|\s&&|\s#|\s>", rest)[0]
        try:
            yield shlex.split(rest)
        except ValueError:
            yield shlex.split(rest.rsplit(")", 1)[0])


def check_call(words, session):
    _, service, operation, *arguments = words
    options = {word.removeprefix("--").split("=")[0].removeprefix("no-") for word in arguments if word.startswith("--")}
    if (service, operation) in OWN:
        wanted = OWN[service, operation]
        unknown = options - OF_ALL - (wanted if wanted is not None else options)
    else:
        if service not in session.get_available_services():
            yield f"there is no service {service}"
            return
        model = session.get_service_model(service)
        names = {xform_name(name, "-"): name for name in model.operation_names}
        if operation not in names:
            yield f"{service} has no operation {operation}"
            return
        shape = model.operation_model(names[operation]).input_shape
        members = {xform_name(name, "-") for name in (shape.members if shape else {})}
        unknown = options - OF_ALL - members
    for option in sorted(unknown):
        yield f"{service} {operation} has no option --{option}"


def members_of(function):
    """Members of requests that a function's page lists, with the members within them."""
    text = (ROOT / f"functions/{function}/README.md").read_text(encoding="utf-8")
    table = re.search(r"^## Request\n(.*?)^## ", text, re.M | re.S).group(1)
    return set(re.findall(r"`([\w.]+)`", " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("|"))))


def check_request(verb, request):
    functions = REQUESTS[verb]
    if verb == "segments":
        for name in request.keys() - MEMBERS_OF_EXECUTION:
            yield f"an execution's input has no member {name}"
        functions, request = [request.get("function", "")], request.get("request", {})
        if functions[0] not in REQUESTS[verb]:
            yield f"no state machine runs {functions[0]!r}"
            return
    known = {name for function in functions for name in members_of(function)}
    if functions == ["verify"]:
        known |= members_of("backfill")
    for name, value in request.items():
        inner = [f"{name}.{member}" for member in value] if isinstance(value, dict) else []
        for wanted in [name, *inner]:
            if wanted not in known:
                yield f"a request of {functions[0]} has no member {wanted}"


def check():
    session = botocore.session.get_session()
    outputs = load("template.yaml")["Outputs"].keys()
    for page in PAGES:
        count = 0
        for _, command in page_commands(page):
            for words in calls(command):
                count += 1
                yield from (f"{page}: {problem}: {command}" for problem in check_call(words, session))
            for verb, text in re.findall(r"\b(redrive|segments) '([^']*)'", command):
                count += 1
                try:
                    request = json.loads(re.sub(r"\bN\b", "1", text))
                except ValueError:
                    yield f"{page}: no JSON: {command}"
                    continue
                yield from (f"{page}: {problem}: {command}" for problem in check_request(verb, request))
            for name in re.findall(r"\$\(output (\w+)", command) + re.findall(r"OutputKey=='(\w+)'", command):
                if name not in outputs:
                    yield f"{page}: the stack has no output {name}: {command}"
        if page == PAGES[0] and count < 40:
            yield f"{page}: only {count} commands were found"
