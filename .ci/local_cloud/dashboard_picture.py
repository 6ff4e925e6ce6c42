"""Draws the dashboard of monitoring.yaml from what the functions of a local run wrote: their lines of metrics.

The charts, their metrics, statistics and names are the template's. Lambda's and DynamoDB's own metrics do not exist here, so
charts without any metric of ours or of the queue are left out.
"""

import html
import json
import pathlib
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / ".ci/alarms"))

import metric_math  # noqa: E402
import names  # noqa: E402
import templates  # noqa: E402

SECONDS, BIN = 150, 5
WRITES_PER_SECOND = 12
# When OpenSearch takes no writes, and when items come that it refuses.
BLOCKED, POISON = range(60, 72), range(100, 103)
WIDTH, HEIGHT, MARGIN = 560, 230, 46
COLOURS = ["#1f77b4", "#d62728", "#2ca02c", "#ff7f0e", "#9467bd", "#8c564b", "#17becf"]


def draw(stack, file):
    """Loads the stack, and draws what its functions tell meanwhile."""
    began = time.time()
    queue = load(stack)
    time.sleep(3)
    stack.invoke("verify", {"settle_ms": 200})
    samples = own_samples(stack, began) | {("AWS/SQS", "ApproximateNumberOfMessagesVisible", ""): queue}
    dashboard = names.dashboards(templates.load("monitoring.yaml"))["Dashboard"]
    charts = [chart for widget in dashboard["widgets"] if (chart := chart_of(widget, samples))]
    rows = (len(charts) + 1) // 2
    body = "".join(f'<g transform="translate({WIDTH * (number % 2)} {HEIGHT * (number // 2) + 20})">{svg(*chart)}</g>'
                   for number, chart in enumerate(charts))
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * WIDTH} {rows * HEIGHT + 24}" font-family="sans-serif" font-size="11">'
        f'<rect width="100%" height="100%" fill="#fff"/>{body}</svg>\n', encoding="utf-8")


def load(stack):
    """Writes for a while, with a blocked index and refused items on the way; gives the queue's length by second."""
    began, queue, number = time.time(), [], 5_000
    index = next(iter(stack.engine("activity/_alias")))
    strict = {"type": "date", "ignore_malformed": False}
    stack.engine(f"{index}/_mapping", "PUT", {"properties": {"promised": strict}})

    def second_of():
        return time.time() - began

    def block():
        time.sleep(BLOCKED.start)
        stack.engine(f"{index}/_settings", "PUT", {"index.blocks.write": True})
        time.sleep(len(BLOCKED))
        stack.engine(f"{index}/_settings", "PUT", {"index.blocks.write": None})

    blocker = threading.Thread(target=block)
    blocker.start()
    while (second := second_of()) < SECONDS:
        queue.append((second, stack.letters()))
        for _ in range(WRITES_PER_SECOND):
            number += 1
            stack.put(number % 40 + 5_000 if number % 3 == 0 else number)
        if int(second) in POISON:
            stack.put(number, promised={"S": "next Tuesday"})
        time.sleep(max(0.0, second + 1 - second_of()))
    blocker.join()
    return queue


def own_samples(stack, began):
    """Samples as (second, value) by (namespace, metric, class), from the lines of all functions."""
    logs, samples = stack.client("logs"), {}
    for group in logs.describe_log_groups()["logGroups"]:
        name = group["logGroupName"]
        for page in logs.get_paginator("filter_log_events").paginate(logGroupName=name, startTime=int(began * 1_000)):
            for event in page["events"]:
                for line in filter(lambda line: line.startswith('{"_aws"'), event["message"].splitlines()):
                    add_line(json.loads(line), began, samples)
    return samples


def add_line(line, began, samples):
    second = line["_aws"]["Timestamp"] / 1_000 - began
    for metric in line["_aws"]["CloudWatchMetrics"][0]["Metrics"]:
        value = line.get(metric["Name"])
        values = value["Values"] if isinstance(value, dict) else [] if value is None else [value]
        if second >= 0:
            samples.setdefault(("driftless", metric["Name"], line.get("Class", "")), []).extend((second, each) for each in values)


def chart_of(widget, samples):
    """Title and lines of a widget: (name, points). Nothing if none of its metrics was told."""
    lines, properties = [], widget["properties"]
    for metric in properties.get("metrics", []):
        if isinstance(metric[0], dict):
            found = {key: points for key, points in samples.items() if f'MetricName="{key[1]}"' in metric[0]["expression"] and key[2]}
            lines += [(key[2], binned(points, "Sum")) for key, points in found.items()]
            continue
        options = metric[-1] if isinstance(metric[-1], dict) else {}
        if points := samples.get((metric[0], metric[1], "")):
            lines.append((options.get("label", metric[1]), binned(points, options.get("stat") or properties.get("stat"))))
    lines = [line for line in lines if any(value for _, value in line[1])]
    return (properties["title"], lines) if lines else None


def binned(points, stat):
    bins = {}
    for second, value in points:
        bins.setdefault(int(second) // BIN * BIN, []).append(value)
    return sorted((second, metric_math.statistic(stat, values)) for second, values in bins.items() if second < SECONDS + 10)


def svg(title, lines):
    """One chart."""
    wide, high = WIDTH - 2 * MARGIN, HEIGHT - 78
    top = max(value for _, points in lines for _, value in points)
    parts = [f'<text x="{MARGIN}" y="14" font-weight="bold" font-size="13">{html.escape(title)}</text>',
             f'<path d="M{MARGIN} 24V{24 + high}H{MARGIN + wide}" fill="none" stroke="#888"/>']
    for share in (0, 0.5, 1):
        y = 24 + high * (1 - share)
        parts.append(f'<text x="{MARGIN - 4}" y="{y + 4:.0f}" text-anchor="end" fill="#555">{top * share:,.0f}</text>')
        parts.append(f'<path d="M{MARGIN} {y:.0f}H{MARGIN + wide}" stroke="#eee"/>')
    for second in range(0, SECONDS + 1, 30):
        parts.append(f'<text x="{MARGIN + wide * second / (SECONDS + 10):.0f}" y="{24 + high + 14}" text-anchor="middle" fill="#555">{second} s</text>')
    x = MARGIN
    for number, (name, points) in enumerate(lines):
        colour = COLOURS[number % len(COLOURS)]
        dash = ' stroke-dasharray="5 4"' if number == 2 else ""  # A maximum lies on the percentile below it.
        path = " ".join(f"{MARGIN + wide * second / (SECONDS + 10):.1f},{24 + high * (1 - value / top):.1f}" for second, value in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"{dash}/>')
        if len(points) == 1:  # No line.
            parts += [f'<circle cx="{point[0]}" cy="{point[1]}" r="4" fill="{colour}"/>' for point in [path.split(",")]]
        parts.append(f'<rect x="{x}" y="{24 + high + 22}" width="9" height="9" fill="{colour}"/>'
                     f'<text x="{x + 12}" y="{24 + high + 30}">{html.escape(name)}</text>')
        x += 24 + 6 * len(name)
    return "".join(parts)
