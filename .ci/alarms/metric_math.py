"""Statistics, metric math and Metrics Insights, as far as the alarms use them.

A series is a dict of periods, by number, to values; a period without data is absent. What is not modelled is refused.
The rules are those of "Using math expressions with CloudWatch metrics".
"""

import ast
import math
import operator
import re

BINARY = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COMPARISONS = {ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Lt: operator.lt, ast.LtE: operator.le,
               ast.Eq: operator.eq, ast.NotEq: operator.ne}
INSIGHTS = re.compile(r"SELECT (?P<statistic>SUM|MAX|MIN|AVG)\((?P<metric>\w+)\) FROM SCHEMA\(\"(?P<namespace>[^\"]+)\", "
                      r"(?P<dimensions>[\w, ]+)\) WHERE (?P<dimension>\w+) = '(?P<value>[^']*)'")


def statistic(name, samples):
    """One statistic of the samples of a period."""
    if percentile := re.fullmatch(r"p(\d+(?:\.\d+)?)", name):
        rank = math.ceil(float(percentile.group(1)) / 100 * len(samples))
        return sorted(samples)[max(rank, 1) - 1]
    return {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len,
            "Average": lambda all_: sum(all_) / len(all_)}[name](samples)


def insights(query):
    """(statistic, namespace, metric, dimensions, (dimension, value)) of a Metrics Insights query, or None."""
    found = INSIGHTS.fullmatch(" ".join(query.split()))
    if not found:
        return None
    name = {"SUM": "Sum", "MAX": "Maximum", "MIN": "Minimum", "AVG": "Average"}[found["statistic"]]
    return name, found["namespace"], found["metric"], found["dimensions"].split(", "), (found["dimension"], found["value"])


def evaluate(expression, series, periods):
    """The series that an expression gives, over these periods, for the series of its metrics by their ids."""
    text = re.sub(r"\bAND\b|&&", "and", re.sub(r"\bOR\b|\|\|", "or", expression))
    return as_series(compute(ast.parse(text.strip(), mode="eval").body, series, periods), periods)


def as_series(value, periods):
    return value if isinstance(value, dict) else dict.fromkeys(periods, value)


def compute(node, series, periods):
    def inner(part):
        return compute(part, series, periods)

    match node:
        case ast.Constant(value=int() | float() as value):
            return value
        case ast.Name(id=name):
            return series[name]
        case ast.BinOp(left=left, op=op, right=right):
            return pairwise(BINARY[type(op)], inner(left), inner(right))
        case ast.Compare(left=left, ops=[op], comparators=[right]):
            return pairwise(lambda a, b: int(COMPARISONS[type(op)](a, b)), inner(left), inner(right))
        case ast.BoolOp(op=op, values=parts):
            both = (lambda a, b: int(bool(a) and bool(b))) if isinstance(op, ast.And) else (lambda a, b: int(bool(a) or bool(b)))
            result = inner(parts[0])
            for part in parts[1:]:
                result = pairwise(both, result, inner(part))
            return result
        case ast.Call(func=ast.Name(id="FILL"), args=[metric, ast.Constant(value=int() | float() as filler)]):
            found = inner(metric)
            return {period: found.get(period, filler) for period in periods}
        case ast.Call(func=ast.Name(id="IF"), args=[condition, yes, no]):
            chosen, yes, no = as_series(inner(condition), periods), as_series(inner(yes), periods), as_series(inner(no), periods)
            picked = {period: (yes if chosen[period] else no).get(period) for period in chosen}
            return {period: value for period, value in picked.items() if value is not None}
    raise NotImplementedError(f"metric math is not modelled: {ast.unparse(node)}")


def pairwise(function, left, right):
    """A function of two operands. Two series give data only where both have some."""
    if isinstance(left, dict) and isinstance(right, dict):
        return {period: function(left[period], right[period]) for period in left if period in right}
    if isinstance(left, dict):
        return {period: function(value, right) for period, value in left.items()}
    if isinstance(right, dict):
        return {period: function(left, value) for period, value in right.items()}
    return function(left, right)
