"""Prints the template as CloudFormation gets it from SAM, as JSON."""

import json
import os
import sys

from definitions import template
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator


def transformed():
    stack = template()
    for resource in stack["Resources"].values():
        for name in ("CodeUri", "DefinitionUri"):
            # Any archive: it looks at none.
            if name in resource.get("Properties", {}):
                resource["Properties"][name] = {"Bucket": "code", "Key": "archive"}
        if resource["Type"] == "AWS::CloudFormation::Stack":
            resource["Properties"]["TemplateURL"] = "https://code.s3.amazonaws.com/monitoring.json"
    defaults = {name: parameter["Default"] for name, parameter in stack["Parameters"].items() if "Default" in parameter}
    return Translator({}, Parser()).translate(stack, parameter_values=defaults)


if __name__ == "__main__":
    os.environ.setdefault("AWS_DEFAULT_REGION", "eu-central-1")
    json.dump(transformed(), sys.stdout, indent=2)
