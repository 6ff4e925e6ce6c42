"""The state machines as data: their files, their states, the template beside them, and their JSONata evaluated."""

import json
import pathlib

import jsonata
from samtranslator.yaml_helper import yaml_parse

ROOT = pathlib.Path(__file__).resolve().parents[2]


def template(name="template.yaml"):
    """The SAM template, or another one, with its short forms (`!Ref`) written out."""
    return yaml_parse((ROOT / name).read_text(encoding="utf-8"))


def machines(resources):
    """Definitions of the template's state machines, by logical id."""
    return {
        name: json.loads((ROOT / resource["Properties"]["DefinitionUri"]).read_text(encoding="utf-8"))
        for name, resource in resources.items()
        if resource["Type"] == "AWS::Serverless::StateMachine"
    }


def workflows(machine, name):
    """Yields (name, states, start) of a machine and of each Map in it: what has a history of its own, or runs inside one."""
    yield name, machine["States"], machine["StartAt"]
    for state_name, state in machine["States"].items():
        if state["Type"] == "Map":
            yield from workflows(state["ItemProcessor"], f"{name} / {state_name}")


def following(state):
    """Names of the states that may come after a state."""
    choices = [choice["Next"] for choice in state.get("Choices", [])]
    caught = [catch["Next"] for catch in state.get("Catch", [])]
    return {name for name in [state.get("Next"), state.get("Default"), *choices, *caught] if name}


def evaluate(value, state_input):
    """What a JSONata state's `Output` gives for an input."""
    if isinstance(value, str) and value.startswith("{%"):
        expression = jsonata.Jsonata(value[2:-2].strip())
        expression.assign("states", {"input": state_input})
        return expression.evaluate(None)
    if isinstance(value, dict):
        return {key: evaluate(member, state_input) for key, member in value.items()}
    if isinstance(value, list):
        return [evaluate(member, state_input) for member in value]
    return value
