"""Checks monitoring.yaml: every alarm fires and clears on data, and everything that it names exists.

  the evaluation    gives what AWS publishes for missing data
  the cases         of cases.py change the state of each alarm exactly when they say
  the names         metrics are those that the code writes, sections of the runbook those of the alarms
  the commands      of the runbook and its neighbours exist, with their options and requests
  broken copies     of each alarm, one fault each, change what its cases say, or the check could not fail
"""

import copy
import sys

import alarm_state
import commands
import names
import templates
from cases import CASES

TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")


def check_evaluation():
    for needed, rows in alarm_state.PUBLISHED.items():
        for row, states in rows.items():
            points = [{"0": False, "X": True, "-": None}[mark] for mark in row]
            for treatment, state in zip(TREATMENTS, states, strict=True):
                found = alarm_state.next_state(points, needed, 3, treatment, "before")
                if found != (state or "before"):
                    yield f"{row}, {needed} of 3, {treatment}: {found}, and AWS says {state or 'unchanged'}"


def alarm_of(template, name, parameters):
    """An alarm with other values of parameters."""
    changed = copy.deepcopy(template)
    for parameter, value in parameters.items():
        changed["Parameters"][parameter]["Default"] = value
    known = templates.values(changed) | parameters
    return templates.resolve(changed["Resources"][name]["Properties"], known)


def happens(alarm, case):
    data = {metric: [(minute * 60, value) for minute, value in samples] for metric, samples in case.data.items()}
    return [(second // 60, state) for second, state in alarm_state.changes(alarm, data, case.minutes * 60)]


def check_cases(template, alarms):
    for name in alarms.keys() | CASES.keys():
        if name not in alarms:
            yield f"{name}: cases for no alarm"
            continue
        states = [state for case in CASES.get(name, []) for _, state in case.changes]
        if not {"ALARM", "OK"} <= set(states):
            yield f"{name}: no case makes it fire and clear"
        for case in CASES.get(name, []):
            found = happens(alarm_of(template, name, case.parameters), case)
            if found != case.changes:
                yield f"{name}, {case.name}: {found}, and must be {case.changes}"


def broken(alarm):
    """Copies of an alarm with one fault each."""
    def with_(**members):
        return {**copy.deepcopy(alarm), **members}

    opposite = {"GreaterThanThreshold": "LessThanThreshold", "LessThanThreshold": "GreaterThanThreshold"}
    yield "comparison", with_(ComparisonOperator=opposite[alarm["ComparisonOperator"]])
    yield "high threshold", with_(Threshold=1e15)
    yield "low threshold", with_(Threshold=-1)
    yield "window", with_(EvaluationPeriods=int(alarm["EvaluationPeriods"]) + 30)
    yield "datapoints", with_(DatapointsToAlarm=int(alarm["DatapointsToAlarm"]) + 50, EvaluationPeriods=int(alarm["EvaluationPeriods"]) + 50)
    if "Metrics" not in alarm:
        yield "metric", with_(MetricName="Nothing")
        yield "period", with_(Period=alarm["Period"] * 5)
        return
    for number, query in enumerate(alarm["Metrics"]):
        changed = with_()
        if "MetricStat" in query:
            changed["Metrics"][number]["MetricStat"]["Metric"]["MetricName"] = "Nothing"
            yield f"metric {query['Id']}", changed
        elif "SELECT" in query["Expression"]:
            changed["Metrics"][number]["Expression"] = query["Expression"].replace("Record", "Nothing", 1)
            yield "query", changed
        else:
            changed["Metrics"][number]["Expression"] = f"0 * ({query['Expression']})" if opposite[alarm["ComparisonOperator"]].startswith("L") else f"2 + ({query['Expression']})"
            yield "expression", changed


def check_check(template, alarms):
    """Faults that no case notices."""
    count = 0
    for name, alarm in alarms.items():
        for fault, copy_of in broken(alarm):
            count += 1
            cases = [case for case in CASES.get(name, []) if not case.parameters]
            if all(happens(copy_of, case) == case.changes for case in cases):
                yield f"{name}: no case notices another {fault}"
    print(f"{count} broken copies")


def print_states(template):
    for name, cases in CASES.items():
        for case in cases:
            changes = happens(alarm_of(template, name, case.parameters), case)
            print(f"{name:<20} {case.name:<42} {', '.join(f'{state} after {minute} min' for minute, state in changes) or 'quiet'}")


def main():
    template = templates.load("monitoring.yaml")
    alarms = templates.alarms(template)
    if sys.argv[1:] == ["states"]:
        print_states(template)
        return 0
    if sys.argv[1:]:
        print("usage: .ci/monitoring [states]", file=sys.stderr)
        return 2
    problems = [*check_evaluation(), *check_cases(template, alarms), *names.check(), *commands.check(),
                *check_check(template, alarms)]
    print("\n".join(problems) or f"{len(alarms)} alarms fire and clear, and all names exist")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
