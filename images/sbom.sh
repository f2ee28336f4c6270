#!/bin/sh
# What is in the images, for those who must know: a CycloneDX bill of materials for each set of dependencies.
#   images/sbom.sh [DIR]     build/sbom by default: launcher, data, torch-cuda (each with all that it stands on)
set -eu
cd "$(dirname "$0")/.."
out=${1:-build/sbom}
mkdir -p "$out"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
for lock in images/requirements-*.lock; do
  name=$(basename "$lock" .lock); name=${name#requirements-}
  [ "$name" != tools ] || continue
  .venv/bin/uvx --from "cyclonedx-bom>=7,<8" cyclonedx-py requirements --pyproject pyproject.toml --mc-type application \
    --output-reproducible --of JSON -o "$out/tlbatch-$version-$name.cdx.json" "$lock"
  echo "$out/tlbatch-$version-$name.cdx.json: $(grep -c '"bom-ref"' "$out/tlbatch-$version-$name.cdx.json") components"
done
