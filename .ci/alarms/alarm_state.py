"""How CloudWatch evaluates an alarm: from samples of metrics to its state.

The rules are those of "Alarm evaluation" and "Configuring how CloudWatch alarms treat missing data". `PUBLISHED` has the
second page's two tables, which `check.py` runs.
"""

import metric_math

# CloudWatch looks at more periods than EvaluationPeriods where data is missing. It says of how many only by an example:
# of 5 for 3.
MORE_PERIODS = 2
DAY, HOUR, MINUTE = 86_400, 3_600, 60
COMPARISONS = {"GreaterThanThreshold": lambda value, threshold: value > threshold,
               "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
               "LessThanThreshold": lambda value, threshold: value < threshold,
               "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold}
OK, ALARM, UNKNOWN = "OK", "ALARM", "INSUFFICIENT_DATA"

# By DatapointsToAlarm, of 3 evaluation periods. Datapoints from old to new: 0 is fine, X is breaching, - is missing. Then
# the state if missing ones are treated as missing, ignore, breaching and notBreaching; None keeps the state.
PUBLISHED = {
    3: {"0-X-X": (OK, OK, OK, OK), "0----": (OK, OK, OK, OK), "-----": (UNKNOWN, None, ALARM, OK),
        "0XX-X": (ALARM, ALARM, ALARM, ALARM), "--X--": (ALARM, None, ALARM, OK)},
    2: {"0-X-X": (ALARM, ALARM, ALARM, ALARM), "00X0X": (ALARM, ALARM, ALARM, ALARM), "0-X--": (OK, OK, ALARM, OK),
        "----0": (OK, OK, ALARM, OK), "---X-": (ALARM, None, ALARM, OK)},
}


def next_state(points, needed, window, treatment, before):
    """State after an evaluation. `points` are the latest, from old to new: True breaches, None is missing."""
    known = [point for point in points if point is not None]
    missing = window - len(known)
    if missing <= 0 or treatment in ("breaching", "notBreaching"):
        filled = known[-window:] + [treatment == "breaching"] * missing
        return ALARM if sum(filled) >= needed else OK
    if not known:
        return before if treatment == "ignore" else UNKNOWN
    if sum(known) >= needed:
        return ALARM
    if not all(known):
        return OK
    # Nothing but breaching datapoints, and too few of them: AWS's rule for a premature alarm.
    is_old = len(points) - points.index(True) >= needed
    return ALARM if treatment == "missing" and is_old else before


def period_of(alarm):
    """Length of the alarm's periods in seconds."""
    if "Period" in alarm:
        return alarm["Period"]
    lengths = {query.get("Period") or query["MetricStat"]["Period"] for query in alarm["Metrics"]
               if "MetricStat" in query or "Period" in query}
    assert len(lengths) == 1, f"the periods of its metrics differ: {lengths}"
    return lengths.pop()


def series(samples, stat, seconds, end, periods):
    """Values of one statistic by period, for samples as (second, value). Period -1 ends at `end`."""
    by_period = {}
    for at, value in samples:
        if (period := (at - end) // seconds) in periods:
            by_period.setdefault(period, []).append(value)
    return {period: metric_math.statistic(stat, found) for period, found in by_period.items()}


def values(alarm, data, end, periods):
    """The series that the alarm compares with its threshold. `data` has samples by metric name."""
    def of(metric, stat):
        return series(data.get(metric, []), stat, period_of(alarm), end, periods)

    if "Metrics" not in alarm:
        return of(alarm["MetricName"], alarm.get("Statistic") or alarm["ExtendedStatistic"])
    [returned] = [query for query in alarm["Metrics"] if query.get("ReturnData", True)]
    if selected := metric_math.insights(returned["Expression"]):
        stat, _, metric, _, _ = selected
        return of(metric, stat)
    known = {query["Id"]: of(query["MetricStat"]["Metric"]["MetricName"], query["MetricStat"]["Stat"])
             for query in alarm["Metrics"] if "MetricStat" in query}
    return metric_math.evaluate(returned["Expression"], known, periods)


def changes(alarm, data, seconds):
    """(second, state) of each change of state over a time that begins as OK, without data before it."""
    period, window = period_of(alarm), int(alarm["EvaluationPeriods"])
    needed, threshold = int(alarm["DatapointsToAlarm"]), float(alarm["Threshold"])
    breaches = COMPARISONS[alarm["ComparisonOperator"]]
    periods = range(-window - MORE_PERIODS, 0)
    state, told = OK, []
    for end in range(MINUTE, seconds + 1, HOUR if window * period > DAY else MINUTE):
        found = values(alarm, data, end, periods)
        points = [breaches(found[number], threshold) if number in found else None for number in periods]
        new = next_state(points, needed, window, alarm["TreatMissingData"], state)
        if new != state:
            told.append((end, new))
        state = new
    return told
