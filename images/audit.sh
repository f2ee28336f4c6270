#!/bin/sh
# Known vulnerabilities of what the images hold, asked of the package index's own advisories (pip-audit).
# Exit code 0: none known. 1: some are. 75: the index has no advisories, so nothing was asked.
set -eu
cd "$(dirname "$0")/.."
found=0
for lock in images/requirements-launcher.lock images/requirements-data.lock images/requirements-torch-cuda.lock; do
  report=$(.venv/bin/uvx --from "pip-audit>=2.9,<3" pip-audit --require-hashes --disable-pip --progress-spinner off -r "$lock" 2>&1) || found=1
  case $report in
    *"could not be audited"*) echo "$lock: this package index has no advisories: run it where PyPI itself can be reached"; exit 75 ;;
  esac
  printf '%s:\n%s\n' "$lock" "$report"
done
exit $found
