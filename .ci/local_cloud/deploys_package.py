"""Deploys a release's package into MiniStack with the SAM CLI, as its INSTALL.md says, where no cargo is to be found.

  deploys_package.py PACKAGE
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import zipfile

from cloud import REGION, client, ministack

PARAMETERS = ["PartitionKey=pk", "OpenSearchEndpoint=https://search.example.com", "OpenSearchAuth=none", "Index=activity"]


def main(package):
    with tempfile.TemporaryDirectory(prefix="package-") as folder:
        scratch = pathlib.Path(folder)
        with zipfile.ZipFile(package) as files:
            files.extractall(scratch)
        unpacked = scratch / pathlib.Path(package).stem
        sam = shutil.which("sam")
        with ministack(scratch, "http://127.0.0.1:1") as endpoint:
            environment = {"PATH": "/usr/bin:/bin", "HOME": str(scratch), "AWS_ENDPOINT_URL": endpoint,
                           "AWS_DEFAULT_REGION": REGION, "AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local",
                           "SAM_CLI_TELEMETRY": "0"}
            assert not shutil.which("cargo", path=environment["PATH"]), "cargo is on the path"
            command = [sam, "deploy", "--stack-name", "driftless", "--resolve-s3", "--no-confirm-changeset",
                       "--capabilities", "CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND", "--parameter-overrides", *PARAMETERS]
            done = subprocess.run(command, cwd=unpacked, env=os.environ | environment, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout[-3_000:] + done.stderr[-3_000:]
            functions = client("lambda", endpoint).list_functions()["Functions"]
    names = sorted(path.removesuffix(".zip").removeprefix(f"{unpacked.name}/functions/")
                   for path in files.namelist() if path.endswith(".zip"))
    assert len(functions) >= len(names) > 0, (names, functions)
    processors = {processor for function in functions for processor in function["Architectures"]}
    assert processors == {unpacked.name.rpartition("-")[2]}, processors
    print(f"{unpacked.name}: {len(functions)} functions deployed for {processors.pop()}")


if __name__ == "__main__":
    main(*sys.argv[1:])
