"""Checks that what the templates name exists: metrics in the code, sections in the runbook, parameters in both templates."""

import json
import re
import tomllib

import metric_math
from templates import ROOT, alarms, load, resolve, values

# AWS's own metrics with their dimensions: "Types of metrics for Lambda functions", "Metrics for event source mappings",
# "Available CloudWatch metrics for Amazon SQS", "DynamoDB metrics and dimensions", "Step Functions metrics".
FUNCTION, MAPPING = ["FunctionName"], ["EventSourceMappingUUID"]
AWS = {
    "AWS/Lambda": dict.fromkeys(["ConcurrentExecutions", "DestinationDeliveryFailures", "Duration", "Errors", "Invocations",
                                 "IteratorAge", "Throttles"], FUNCTION)
                  | dict.fromkeys(["DroppedEventCount", "FailedInvokeEventCount", "InvokedEventCount",
                                   "OnFailureDestinationDeliveredEventCount", "PolledEventCount"], MAPPING),
    "AWS/SQS": dict.fromkeys(["ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"], ["QueueName"]),
    "AWS/DynamoDB": dict.fromkeys(["ConsumedWriteCapacityUnits", "WriteThrottleEvents"], ["TableName"])
                    | dict.fromkeys(["AgeOfOldestUnreplicatedRecord", "FailedToReplicateRecordCount", "ThrottledPutRecordCount"],
                                    ["DelegatedOperation", "TableName"]),
    "AWS/States": dict.fromkeys(["ExecutionsFailed", "ExecutionsTimedOut"], ["StateMachineArn"]),
}
# Actions that AWS lets nobody limit to a resource, or that are about something that does not exist yet.
WITHOUT_RESOURCE = re.compile(r"(dynamodb|kinesis):ListStreams|xray:.*|ec2:.*(NetworkInterface|PrivateIpAddresses|DescribeSubnets).*"
                              r"|logs:(.*LogDeliver(y|ies)|DescribeLogGroups|(Describe|Put)ResourcePolic(y|ies))")


def metrics_of_code():
    """Dimensions of every metric that a function writes, by the metric's name, from the structs of its lines."""
    found = {}
    for source in [*ROOT.glob("functions/*/src/**/*.rs"), *ROOT.glob("shared/src/function/**/*.rs")]:
        text = source.read_text(encoding="utf-8").split("#[cfg(test)]")[0]
        for fields in re.findall(r"#\[derive\([^)]*\bEntry\b[^)]*\)\]\s*#\[entry\(rename_all = \"PascalCase\"\)\]\s*(?:pub )?struct [^{]+\{(.*?)\n\}", text, re.S):
            members = re.findall(r"^\s*(?:pub(?:\([^)]*\))? )?(\w+): ([^\n]+),$", fields, re.M)
            dimensions = ["Class", "Index"] if any(name == "class" for name, _ in members) else ["Index"]
            metrics = [name for name, kind in members if re.match(r"(Option<)?As(Count|Bytes)|Milliseconds", kind)]
            found |= {"".join(word.title() for word in name.split("_")): dimensions for name in metrics}
    return found


def known_metrics():
    return AWS | {"driftless": metrics_of_code()}


def check_metric(where, namespace, name, dimensions, known):
    wanted = known.get(namespace, {}).get(name)
    if wanted is None:
        yield f"{where}: nothing writes the metric {namespace} {name}"
    elif sorted(dimensions) != sorted(wanted):
        yield f"{where}: {namespace} {name} has the dimensions {wanted}, not {dimensions}"


def metrics_of_alarm(alarm):
    """(namespace, name, dimensions) of the metrics of an alarm."""
    if "Metrics" not in alarm:
        yield alarm["Namespace"], alarm["MetricName"], [dimension["Name"] for dimension in alarm["Dimensions"]]
    for query in alarm.get("Metrics", []):
        if metric := query.get("MetricStat", {}).get("Metric"):
            yield metric["Namespace"], metric["MetricName"], [dimension["Name"] for dimension in metric["Dimensions"]]
        elif selected := metric_math.insights(query["Expression"]):
            _, namespace, name, dimensions, _ = selected
            yield namespace, name, dimensions


def metrics_of_widget(widget):
    """(namespace, name, dimensions) of the metrics of a widget, those of searches included."""
    for metric in widget["properties"].get("metrics", []):
        if isinstance(metric[0], str):
            names = [part for part in metric if isinstance(part, str)]
            yield names[0], names[1], names[2::2]
            continue
        schema = re.search(r"SEARCH\('\{([^}]+)\}", metric[0]["expression"])
        namespace, *dimensions = schema.group(1).split(",")
        for name in re.findall(r"MetricName=\"(\w+)\"", metric[0]["expression"]):
            yield namespace, name, dimensions


def dashboards(template):
    known = values(template)
    return {name: json.loads(resolve(resource["Properties"], known)["DashboardBody"])
            for name, resource in template["Resources"].items() if resource["Type"] == "AWS::CloudWatch::Dashboard"}


def check_metrics(template, found):
    known = known_metrics()
    for name, alarm in found.items():
        for metric in metrics_of_alarm(alarm):
            yield from check_metric(name, *metric, known)
    for name, dashboard in dashboards(template).items():
        for widget in dashboard["widgets"]:
            for metric in metrics_of_widget(widget):
                yield from check_metric(f"{name}, {widget['properties']['title']}", *metric, known)
    # Fields of our lines have the names of their metrics. `statusCode` and the like begin in lower case.
    ours = known["driftless"] | {"Index": None, "Class": None, "EVENT": None, "ERROR": None, "WARN": None, "ID": None, "EVENT_ID": None}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Logs::QueryDefinition":
            for word in set(re.findall(r"\b[A-Z]\w+", resource["Properties"]["QueryString"])) - ours.keys():
                yield f"{name}: nothing writes the field {word}"


def slug(name):
    """`LagWarning` as `lag-warning`."""
    return re.sub(r"(?<!^)([A-Z])", r"-\1", name).lower()


def check_runbook(found):
    """Each alarm has its name, its description leads to its section, and each section has its alarm."""
    page = (ROOT / "docs/runbook.md").read_text(encoding="utf-8")
    chapter = re.search(r"^## The alarms\n(.*?)(?=^## )", page, re.M | re.S)
    sections = re.findall(r"^### (\S+)$", chapter.group(1), re.M) if chapter else []
    for name, alarm in found.items():
        if alarm["AlarmName"] != f"driftless-{slug(name)}":
            yield f"{name}: its name is {alarm['AlarmName']}, not that of its resource"
        if not alarm["AlarmDescription"].endswith(f"Runbook: docs/runbook.md#{slug(name)}"):
            yield f"{name}: its description does not end with its section of the runbook"
        if slug(name) not in sections:
            yield f"{name}: docs/runbook.md has no section {slug(name)}"
        for action in ("AlarmActions", "OKActions"):
            if not alarm.get(action):
                yield f"{name}: nobody is told ({action})"
    for section in sections:
        if section not in map(slug, found):
            yield f"docs/runbook.md: there is no alarm {section}"
    for text in re.split(r"^### ", chapter.group(1), flags=re.M)[1:] if chapter else []:
        for part in ("Means", "Look at", "Do", "Over"):
            if f"**{part}**" not in text:
                yield f"docs/runbook.md: {text.split()[0]} does not say: {part}"


def check_parameters(parent, child):
    """Both templates have the same parameters of monitoring; each parameter of the parent is grouped, labelled and described."""
    given = parent["Resources"]["MonitoringStack"]["Properties"]["Parameters"]
    for name in given.keys() ^ child["Parameters"].keys():
        yield f"{name}: a parameter of one template only"
    for name, parameter in child["Parameters"].items():
        if name in parent["Parameters"] and parameter.get("Default") is not None:
            if str(parameter["Default"]) != str(parent["Parameters"][name].get("Default")):
                yield f"{name}: two defaults"
    interface = parent["Metadata"]["AWS::CloudFormation::Interface"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    for name, parameter in parent["Parameters"].items():
        if grouped.count(name) != 1:
            yield f"{name}: in {grouped.count(name)} groups"
        if name not in interface["ParameterLabels"]:
            yield f"{name}: without a label"
        if len(parameter.get("Description", "")) < 20:
            yield f"{name}: without a description"
    for name in set(grouped) | interface["ParameterLabels"].keys():
        if name not in parent["Parameters"]:
            yield f"{name}: grouped or labelled, and no parameter"


def check_environments(template):
    """Each environment of samconfig.toml builds and deploys, and gives parameters that the template takes."""
    environments = tomllib.loads((ROOT / "samconfig.toml").read_text(encoding="utf-8"))
    del environments["version"]
    for name, commands in environments.items():
        for command in ("build", "deploy"):
            if commands.get(command, {}).get("parameters", {}).keys() != environments["default"][command]["parameters"].keys() | (
                    {"tags"} if command == "deploy" and name != "default" else set()):
                yield f"samconfig.toml: {name} has other settings of {command} than default"
        given = dict(pair.split("=", 1) for pair in commands["global"]["parameters"].get("parameter_overrides", []))
        for parameter, value in given.items():
            known, value = template["Parameters"].get(parameter), value.strip("'")
            if known is None:
                yield f"samconfig.toml: {name} gives {parameter}, which is no parameter"
            elif value not in map(str, known.get("AllowedValues", [value])) or not re.fullmatch(known.get("AllowedPattern", ".*"), value):
                yield f"samconfig.toml: {name} gives {parameter}={value}, which the template refuses"
        required = {parameter for parameter, known in template["Parameters"].items() if "Default" not in known}
        if given and not required <= given.keys():
            yield f"samconfig.toml: {name} lacks {', '.join(required - given.keys())}"


def check_permissions(template):
    """No role may do to everything what AWS can limit."""
    for name, resource in template["Resources"].items():
        properties = resource.get("Properties", {})
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        documents += [properties["PolicyDocument"]] if resource["Type"] == "AWS::IAM::ManagedPolicy" else []
        for statement in resolve([document["Statement"] for document in documents], values(template)):
            for one in filter(None, statement):
                actions = one["Action"] if isinstance(one["Action"], list) else [one["Action"]]
                wide = [action for action in actions if not WITHOUT_RESOURCE.fullmatch(action)]
                if one["Effect"] == "Allow" and one["Resource"] == "*" and wide:
                    yield f"{name}: {one['Sid']} allows {', '.join(wide)} on everything"
                if one["Effect"] == "Allow" and any(action.endswith("*") for action in actions):
                    yield f"{name}: {one['Sid']} allows actions by a wildcard"


def check(parent_name="template.yaml", child_name="monitoring.yaml"):
    parent, child = load(parent_name), load(child_name)
    found = alarms(child)
    yield from check_metrics(child, found)
    yield from check_runbook(found)
    yield from check_parameters(parent, child)
    yield from check_permissions(parent)
    yield from check_environments(parent)
