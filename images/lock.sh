#!/bin/sh
# The images' dependency sets, cut out of requirements.lock (same versions, same hashes). Run after requirements.lock changed.
#   images/lock.sh        launcher, data, torch-cuda, tools
#   images/lock.sh cpu    torch-cpu: where PyTorch's own wheels can be reached; without this file TORCH=cpu locks while it builds
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-.venv/bin/uv}
compile() { # OUT ARGS…
  out=images/requirements-$1.lock; shift
  "$UV" pip compile --quiet --no-header --no-annotate --generate-hashes --no-emit-index-url --python-version 3.11 -o "$out.new" "$@"
  mv "$out.new" "$out"
}
if [ "${1:-}" = cpu ]; then
  sed -n 's/^\([A-Za-z0-9._-]*==[^ ]*\).*/\1/p' images/requirements-torch-cuda.lock | grep -vE '^(nvidia|cuda)-' |
    compile torch-cpu --no-deps --torch-backend cpu -
  exit
fi
compile launcher -c requirements.lock pyproject.toml
compile data -c requirements.lock --extra data pyproject.toml
# triton (1 GB) is only for torch.compile, which nothing here uses; openvino-telemetry sends usage data to OpenVINO's makers
compile torch-cuda -c requirements.lock --extra train --no-emit-package triton --no-emit-package openvino-telemetry pyproject.toml
compile tools -c requirements.lock images/tools.in
