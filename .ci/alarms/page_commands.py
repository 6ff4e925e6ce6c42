"""Commands in a page of the docs: lines of indented blocks, and code within sentences that begins as a command does."""

import re

from templates import ROOT

# `pause` and `resume` are functions of the shell that take nothing.
WITHIN_SENTENCES = re.compile(
    r"`((?:aws|redrive|segments|cargo|sam|git|\.ci/[\w-]+|GET|PUT|POST|DELETE) [^`]+|pause|resume)`")


def page_commands(page):
    """Yields the section and the text of each command, in their order."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / page).read_text(encoding="utf-8"))
    section = ""
    for line in text.splitlines():
        if line.startswith("#"):
            section = line.lstrip("# ")
        elif line.startswith("    "):
            yield section, line.strip()
        else:
            for found in WITHIN_SENTENCES.findall(line):
                yield section, found
