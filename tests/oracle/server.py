"""Run by the oracle's own Python: one network-config-analyzer for many clusters, because it takes seconds to start.

A line in: a list of manifests, as JSON. A line out: what nca prints about their connectivity, as JSON.
"""

import contextlib
import io
import json
import sys
import tempfile
from pathlib import Path

from nca.nca_cli import nca_main  # type: ignore[import-not-found]

OPTIONS = ["--print_ipv6", "--output_format", "txt_no_fw_rules", "--output_endpoints", "pods"]


def main() -> None:
    answers = sys.stdout
    with tempfile.TemporaryDirectory(prefix="oracle-") as folder:
        file = Path(folder, "cluster.yaml")
        for line in sys.stdin:
            file.write_text("\n---\n".join(json.dumps(manifest) for manifest in json.loads(line)))
            output = io.StringIO()
            with contextlib.redirect_stdout(output):
                nca_main(["--connectivity", "-r", str(file), *OPTIONS])
            answers.write(json.dumps(output.getvalue()) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
