"""The two templates as data, with parameters and conditions put in."""

import pathlib
import re

from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
PSEUDO = {"AWS::Region": "eu-central-1", "AWS::AccountId": "123456789012", "AWS::Partition": "aws",
          "AWS::StackName": "driftless", "AWS::URLSuffix": "amazonaws.com", "AWS::NoValue": None}
# Values of parameters that have no default.
GIVEN = {"Name": "driftless", "Index": "activity", "FunctionName": "driftless-replicate", "MappingId": "mapping",
         "Timeout": 300, "ReservedConcurrency": 100, "TableName": "activity-history", "QueueName": "letters",
         "SegmentsStateMachineArn": "arn:aws:states:eu-central-1:123456789012:stateMachine:driftless-segments"}


def load(name):
    """A template, with its short forms (`!Ref`) written out."""
    return yaml_parse((ROOT / name).read_text(encoding="utf-8"))


def values(template):
    """What names in a template stand for: parameters for what is given or else their default, resources for themselves."""
    parameters = {name: parameter.get("Default") for name, parameter in template["Parameters"].items()}
    resources = {name: f"<{name}>" for name in template["Resources"]}
    return PSEUDO | resources | parameters | {name: value for name, value in GIVEN.items() if name in parameters}


def resolve(node, known):
    """A part of a template without functions. Every condition counts as true, so that nothing goes unseen."""
    if isinstance(node, list):
        return [resolve(member, known) for member in node]
    if not isinstance(node, dict):
        return node
    if len(node) == 1:
        function, argument = next(iter(node.items()))
        if function == "Ref":
            return known[argument]
        if function == "Fn::Sub":
            return substitute(argument, known)
        if function == "Fn::If":
            return resolve(argument[1], known)
        if function == "Fn::GetAtt":
            return f"<{argument}>"
    return {key: resolve(member, known) for key, member in node.items()}


def substitute(argument, known):
    """What `Fn::Sub` gives, with or without variables of its own."""
    text, variables = argument if isinstance(argument, list) else (argument, {})
    known = known | {name: resolve(value, known) for name, value in variables.items()}

    def value(found):
        name, _, attribute = found.group(1).partition(".")
        if name not in known:
            raise KeyError(f"Fn::Sub names {name}, which nothing defines")
        return f"<{name}.{attribute}>" if attribute else str(known[name])

    return re.sub(r"\$\{([^}!]+)\}", value, text)


def alarms(template):
    """The alarms of a template by logical id, resolved."""
    known = values(template)
    return {name: resolve(resource["Properties"], known) for name, resource in template["Resources"].items()
            if resource["Type"] == "AWS::CloudWatch::Alarm"}
