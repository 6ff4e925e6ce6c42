"""Holds the state machines to the limits of AWS that no local interpreter enforces, for the documented maximum.

  an execution's history has 25,000 events      every cycle has a counter, and its events are counted, retries included
  a state's input or output has 256 KiB         the largest answers of the functions go through the real expressions
  an inline Map has 40 concurrent iterations    a Map is distributed, with standard executions
  an invocation of Lambda takes 15 minutes      a function's timeout is shorter, and the task's is longer than that

Then it breaks copies of the definitions, one limit each, and fails unless each is noticed.
"""

import contextlib
import copy
import io
import json
import re
import sys

from definitions import ROOT, evaluate, following, machines, template, workflows

MOST_EVENTS = 25_000
MOST_BYTES = 256 * 1024
MOST_CAUSE = 32_768  # characters
MOST_LAMBDA_SECONDS = 900
REQUEST_BYTES = 8 * 1024  # documented maximum of an execution's `request`
# Events of a state that succeeds: entered and exited, and those of the task or the Map in between.
EVENTS = {"Pass": 2, "Choice": 2, "Succeed": 2, "Fail": 2, "Task": 5, "Map": 6}
EVENTS_OF_SYNC_TASK = 6  # TaskSubmitted comes in addition.
EVENTS_OF_RETRY = 3  # TaskFailed, TaskScheduled, TaskStarted
LARGEST_COUNT = 2**53 - 1  # JSONata's numbers are exact up to here.
WORST_CHARACTER = "\x01"  # six bytes in JSON


def events(state):
    """The most events that one run through a state leaves in the history."""
    own = EVENTS_OF_SYNC_TASK if ".sync" in state.get("Resource", "") else EVENTS[state["Type"]]
    return own + EVENTS_OF_RETRY * sum(retry.get("MaxAttempts", 3) for retry in state.get("Retry", []))


def reachable(states, start, without=()):
    """Names of the states that can follow a state, over any number of steps."""
    found, open_names = set(), [start]
    while open_names:
        for name in following(states[open_names.pop()]) - found - set(without):
            found.add(name)
            open_names.append(name)
    return found


def limit_of(state):
    """The number of invocations at which a Choice leaves its cycle."""
    return [
        choice["NumericGreaterThanEquals"]
        for choice in state.get("Choices", [])
        if choice.get("Variable", "").endswith(".invocations") and "NumericGreaterThanEquals" in choice
    ]


def counts_invocations(state):
    output = state.get("Output", {})
    counter = output.get("invocations", "") if isinstance(output, dict) else ""
    return "+ 1" in counter or ", 1)" in state.get("Parameters", {}).get("invocations.$", "")


def check_events(name, states):
    """The events of a workflow's longest history, and what is wrong with its cycles."""
    cycle = {state for state in states if state in reachable(states, state)}
    total = 2 + sum(events(states[state]) for state in states if state not in cycle)
    if cycle:
        counters = {state for state in cycle if counts_invocations(states[state])}
        bounds = {state: limit_of(states[state]) for state in cycle if limit_of(states[state])}
        for what, on_all in (("counts its invocations", counters), ("leaves at a limit", set(bounds))):
            if any(state in reachable(states, state, without=on_all) for state in cycle - on_all):
                yield f"{name}: no state on a cycle {what}"
                return
        # One more run than the limit: a counter may begin at 0 and be compared first.
        rounds = 1 + max(max(limits) for limits in bounds.values())
        total += rounds * sum(events(states[state]) for state in cycle)
    print(f"{name}: {total:,} events at most")
    if total > MOST_EVENTS:
        yield f"{name}: a history of {total:,} events, and AWS allows {MOST_EVENTS:,}"


def fields(function, struct):
    """Names of a report's counts, from the function's own source."""
    source = (ROOT / f"functions/{function}/src/report.rs").read_text(encoding="utf-8")
    body = re.search(rf"pub struct {struct} \{{(.*?)\n\}}", source, re.DOTALL).group(1)
    return re.findall(r"pub (\w+): (?:u64|f64)", body)


def largest_answers():
    """The largest answer of each function: long ids, paths and reasons of characters that JSON escapes."""
    text = WORST_CHARACTER
    cursor = {"after": {text * 255: {"S": text * 2048}, text * 254: {"S": text * 1024}}}
    verify = dict.fromkeys(fields("verify", "VerifyCounts"), LARGEST_COUNT)
    backfill = dict.fromkeys(fields("backfill", "BackfillCounts"), LARGEST_COUNT)
    example = {"document_id": text * 512, "kind": "tombstone", "paths": [text * 256] * 10}
    rejected = {"document_id": text * 512, "class": "x" * 100, "status": 400, "reason": text * 512}
    place = {"cursor": cursor, "done": False}
    drift = {"index": "x" * 255, "applicable": [text * 121] * 10, "needs_reindex": [text * 121] * 10}
    largest = {"counts": verify, "examples": [example] * 10, "documents_in_index": LARGEST_COUNT, "drift": drift}
    yield "verify", place | largest
    yield "backfill", place | {"counts": backfill, "rejected": [rejected] * 10}
    yield "purge", {"done": False} | dict.fromkeys(fields("purge", "PurgeReport"), LARGEST_COUNT)


def size(value):
    return len(json.dumps(value, separators=(",", ":")).encode())


def check_bytes(machine):
    """Puts the largest answers through the segments' machine, and compares what its states hold with the limit."""
    choices = json.dumps(machine["States"]["Check input"])
    segments = int(re.search(r'"\$\.segments", "NumericLessThanEquals": (\d+)', choices).group(1))
    run_segments = machine["States"]["Run segments"]
    states = run_segments["ItemProcessor"]["States"]
    results = []
    for function, answer in largest_answers():
        run = {"function": function, "function_arn": "x" * 200, "request": "x" * REQUEST_BYTES, "segment": segments}
        begin = {key: value for key, value in run_segments["ItemSelector"].items() if not isinstance(value, str)}
        before = begin | {"run": run, "part": {"segment": segments, "segments": segments}}
        after = before
        for _ in range(2):
            invoked = after | {"last": {"answer": answer}}
            yield from too_large(f"answer of {function}", invoked)
            after = evaluate(states["Add up answer"]["Output"], invoked)
        failed = after | {"error": {"Error": "x" * 256, "Cause": WORST_CHARACTER * 32_768}}
        results.append(evaluate(states["Note error"]["Output"], failed))
    largest = max(results, key=size)
    parent = {"function": "verify", "segments": segments, "request": "x" * REQUEST_BYTES, "function_arn": "x" * 200}
    parent |= {"concurrency": segments, "list": {"numbers": list(range(segments))}, "results": [largest] * segments}
    print(f"Run segments: {segments} results of {size(largest):,} bytes, {size(parent):,} of {MOST_BYTES:,} bytes in all")
    yield from too_large(f"results of {segments} segments", parent)
    report = evaluate(machine["States"]["Judge"]["Output"], evaluate(machine["States"]["Add up segments"]["Output"], parent))
    if len(json.dumps(report["report"], separators=(",", ":"))) > MOST_CAUSE:
        yield f"a report is longer than the {MOST_CAUSE:,} characters of a cause"


def too_large(what, state_input):
    if size(state_input) > MOST_BYTES:
        yield f"{what}: a state of {size(state_input):,} bytes, and AWS allows {MOST_BYTES:,}"


def check_maps_and_times(name, states, longest):
    for state_name, state in states.items():
        if state["Type"] == "Map" and state["ItemProcessor"].get("ProcessorConfig") != {
            "Mode": "DISTRIBUTED",
            "ExecutionType": "STANDARD",
        }:
            yield f"{name} / {state_name}: an inline Map runs 40 iterations concurrently, in one history"
        if "lambda:invoke" in state.get("Resource", "") and state.get("TimeoutSeconds", 0) <= longest:
            yield f"{name} / {state_name}: its TimeoutSeconds must be more than the functions' {longest} s"


def problems(resources, definitions):
    """Everything that breaks a limit."""
    functions = {name: each for name, each in resources.items() if each["Type"] == "AWS::Serverless::Function"}
    timeouts = [each["Properties"]["Timeout"] for each in functions.values()]
    longest = max(seconds for seconds in timeouts if isinstance(seconds, int))
    if longest > MOST_LAMBDA_SECONDS:
        yield f"a function's Timeout is {longest} s, and Lambda allows {MOST_LAMBDA_SECONDS}"
    for machine_name, machine in definitions.items():
        for name, states, _ in workflows(machine, machine_name):
            yield from check_events(name, states)
            yield from check_maps_and_times(name, states, longest)
    yield from check_bytes(definitions["SegmentsStateMachine"])


def mutants():
    """Changes that each break one limit, applied to copies: (what, change of resources and definitions)."""
    children = lambda machines: machines["SegmentsStateMachine"]["States"]["Run segments"]["ItemProcessor"]["States"]
    at_limit = lambda machines: next(c for c in children(machines)["Is segment done"]["Choices"] if limit_of({"Choices": [c]}))
    checked = lambda machines: machines["SegmentsStateMachine"]["States"]["Check input"]["Choices"][0]["Not"]["And"][2]
    yield "5,000 invocations of a segment", lambda _, m: at_limit(m).update(NumericGreaterThanEquals=5_000)
    yield "a loop without its limit", lambda _, m: children(m)["Is segment done"]["Choices"].remove(at_limit(m))
    yield "a loop without its counter", lambda _, m: children(m)["Add up answer"]["Output"].update(invocations="{% 1 %}")
    yield "20 retries", lambda _, m: children(m)["Invoke"]["Retry"][1].update(MaxAttempts=20)
    yield "1,000 segments", lambda _, m: checked(m).update(NumericLessThanEquals=1_000)
    yield "whole error messages", lambda _, m: children(m)["Note error"]["Output"].update(
        message="{% $states.input.error.Cause %}")
    yield "whole answers", lambda _, m: children(m)["Note error"]["Output"].update(last="{% $states.input %}")
    yield "an inline Map", lambda _, m: m["SegmentsStateMachine"]["States"]["Run segments"]["ItemProcessor"].update(
        ProcessorConfig={"Mode": "INLINE"})
    yield "a task that gives up first", lambda _, m: children(m)["Invoke"].update(TimeoutSeconds=600)
    yield "a function of 20 minutes", lambda r, _: r["Backfill"]["Properties"].update(Timeout=1_200)


def main():
    resources = template()["Resources"]
    definitions = machines(resources)
    found = list(problems(resources, definitions))
    if found:
        print("\n".join(found), file=sys.stderr)
        return 1
    missed = []
    for what, change in mutants():
        copies = copy.deepcopy((resources, definitions))
        change(*copies)
        with contextlib.redirect_stdout(io.StringIO()):
            noticed = list(problems(*copies))
        print(f"  broken on purpose: {what}: {noticed[0] if noticed else 'NOT NOTICED'}")
        missed += [] if noticed else [what]
    if missed:
        print(f"the check does not notice: {', '.join(missed)}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
