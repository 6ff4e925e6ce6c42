"""Packs the template with built functions, so that it deploys without Rust: `package.py PROCESSOR VERSION FOLDER`.

The package holds the template as it is in the repository, but for three things: each `CodeUri` names an archive in the
package, nothing is left to build, and `Architecture` is the package's by default. The same binaries give the same bytes.
"""

import io
import pathlib
import re
import struct
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
# Machine numbers of ELF, and the targets for which cargo-lambda builds.
PROCESSORS = {"arm64": (183, "aarch64-unknown-linux-gnu"), "x86_64": (62, "x86_64-unknown-linux-gnu")}
CODE = re.compile(r"(?m)^( +CodeUri: functions/)(\S+)$")
BUILD = re.compile(r"(?m)^ +BuildMethod: rust-cargolambda\n +BuildProperties:\n +Binary: \S+\n")
# What is left of a resource's metadata when nothing else stood there.
EMPTY = re.compile(r"(?m)^( +)Metadata:\n(?=\1\S)")
INSTALL = """# driftless {version}, {processor}

This folder deploys driftless with the [SAM CLI](https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/install-sam-cli.html), without Rust:

    sam deploy --guided

With the AWS CLI alone, where BUCKET is a bucket of yours in the same Region:

    aws cloudformation package --template-file template.yaml --s3-bucket BUCKET --output-template-file packaged.yaml
    aws cloudformation deploy --template-file packaged.yaml --stack-name driftless \\
      --capabilities CAPABILITY_IAM CAPABILITY_AUTO_EXPAND --parameter-overrides …

`docs/deploy.md` of the repository describes the parameters, and what OpenSearch must allow.
`driftless.cdx.json`, beside this package, lists every crate in the binaries.
"""


def packaged_template(processor):
    """The template's text for the package, and the names of its functions."""
    text = (ROOT / "template.yaml").read_text(encoding="utf-8")
    names = [name for _, name in CODE.findall(text)]
    built = BUILD.findall(text)
    assert names and len(built) == len(names), f"{len(names)} functions, {len(built)} of which are built by cargo-lambda"
    text = EMPTY.sub("", BUILD.sub("", CODE.sub(r"\1\2.zip", text)))
    text, defaults = re.subn(r"(?m)^(  Architecture:\n    Type: String\n    Default: )\S+$", rf"\g<1>{processor}", text)
    assert defaults == 1, "the parameter Architecture is not where it was"
    return text, names


def archive(bootstrap, machine):
    """A function's archive: one executable of the right processor."""
    content = bootstrap.read_bytes()
    assert content[:4] == b"\x7fELF" and struct.unpack_from("<H", content, 18)[0] == machine, f"{bootstrap} is of another processor"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as files:
        add(files, "bootstrap", content, executable=True)
    return packed.getvalue()


def add(files, name, content, executable=False):
    # Without dates and owners, so that the same content has the same bytes.
    info = zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = (0o100755 if executable else 0o100644) << 16
    info.compress_type = zipfile.ZIP_STORED if name.endswith(".zip") else zipfile.ZIP_DEFLATED
    files.writestr(info, content, compresslevel=9)


def main(processor, version, folder):
    machine, target = PROCESSORS[processor]
    template, names = packaged_template(processor)
    contents = {"template.yaml": template.encode(), "INSTALL.md": INSTALL.format(version=version, processor=processor).encode()}
    for name in names:
        contents[f"functions/{name}.zip"] = archive(ROOT / "target/release-functions" / target / name / "bootstrap", machine)
    for file in [*ROOT.glob("statemachines/*.json"), *ROOT.glob("monitoring.yaml"), ROOT / "samconfig.toml", ROOT / "LICENSE", ROOT / "CHANGELOG.md"]:
        contents[str(file.relative_to(ROOT))] = file.read_bytes()
    for uri in re.findall(r"(?m)^ +(?:CodeUri|DefinitionUri): (\S+)$", template):
        assert uri in contents, f"the template names {uri}, which is not in the package"
    whole = f"driftless-{version}-{processor}"
    with zipfile.ZipFile(pathlib.Path(folder) / f"{whole}.zip", "w") as files:
        for name, content in sorted(contents.items()):
            add(files, f"{whole}/{name}", content)


if __name__ == "__main__":
    main(*sys.argv[1:])
