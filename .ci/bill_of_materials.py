"""Prints the bill of materials of the deployed functions, in CycloneDX: each crate in their binaries, and who needs it.

  bill_of_materials.py [TARGET]    TARGET is a target triple; arm64 Linux unless it is given

`cargo tree` says what is compiled into a function, with the features that this function's own build has. Build scripts
and procedural macros are not in the binary, and not in the bill. The same commit gives the same bytes.
"""

import hashlib
import json
import pathlib
import re
import subprocess
import sys
import tomllib
import uuid

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = pathlib.Path(__file__).resolve().parent.parent
LINE = re.compile(r"(?P<depth>\d+)(?P<name>\S+) v(?P<version>\S+)(?P<source>[^|]*)\|(?P<licence>[^|]*)\|(?P<repository>.*)")


def run(*command):
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def functions():
    return sorted(manifest.parent.name for manifest in ROOT.glob("functions/*/Cargo.toml"))


def crates(function, target):
    """Yields (depth, crate) of a function's tree, in its order."""
    tree = run("cargo", "tree", "--locked", "--package", function, "--edges", "normal,no-proc-macro", "--target", target,
               "--prefix", "depth", "--no-dedupe", "--format", "{p}|{l}|{r}")
    for line in tree.splitlines():
        found = LINE.fullmatch(line)
        assert found, f"cargo tree printed `{line}`"
        yield int(found["depth"]), found


def component(crate, checksums):
    name, version = crate["name"], crate["version"]
    described = {"type": "library", "bom-ref": reference(crate), "name": name, "version": version,
                 "licenses": [{"expression": crate["licence"].replace("/", " OR ")}]}
    # The workspace's own crates come from no registry.
    if (name, version) in checksums:
        described["hashes"] = [{"alg": "SHA-256", "content": checksums[name, version]}]
        described["purl"] = f"pkg:cargo/{name}@{version}"
        if crate["repository"]:
            described["externalReferences"] = [{"type": "vcs", "url": crate["repository"]}]
    return described


def reference(crate):
    return f"{crate['name']}@{crate['version']}"


def bill(target):
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text(encoding="utf-8"))
    checksums = {(each["name"], each["version"]): each["checksum"] for each in lock["package"] if "checksum" in each}
    components, needs, deployed = {}, {}, []
    for function in functions():
        path = []
        for depth, crate in crates(function, target):
            del path[depth:]
            if path:
                needs.setdefault(path[-1], set()).add(reference(crate))
            path.append(reference(crate))
            components.setdefault(reference(crate), component(crate, checksums))
        components[path[0]]["type"] = "application"
        deployed.append(path[0])
    version = tomllib.loads((ROOT / "Cargo.toml").read_text(encoding="utf-8"))["workspace"]["package"]["version"]
    whole = {"type": "application", "bom-ref": "driftless", "name": "driftless", "version": version}
    # The library has the name of the whole.
    needs["driftless"] = set(deployed)
    body = {
        "metadata": {"timestamp": run("git", "log", "-1", "--format=%cI").strip(), "component": whole,
                     "properties": [{"name": "cargo:target", "value": target}]},
        "components": [components[name] for name in sorted(components)],
        "dependencies": [{"ref": name, "dependsOn": sorted(needs.get(name, ()))} for name in ["driftless", *sorted(components)]],
    }
    digest = hashlib.sha256(json.dumps(body).encode()).hexdigest()
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1,
            "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, digest)}"}
    return head | body


def check(written):
    """Fails where the bill is not valid CycloneDX, or a crate of a registry has no digest."""
    problem = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(written))
    assert problem is None, f"the bill of materials is not valid: {problem}"
    ours = {each["bom-ref"] for each in written["components"] if "purl" not in each}
    assert ours == {f"{name}@{written['metadata']['component']['version']}" for name in ["driftless", *functions()]}, ours


def main():
    target = sys.argv[1] if len(sys.argv) > 1 else "aarch64-unknown-linux-gnu"
    written = bill(target)
    check(written)
    json.dump(written, sys.stdout, indent=1)
    print()
    print(f"{len(written['components'])} crates for {target}", file=sys.stderr)


if __name__ == "__main__":
    main()
