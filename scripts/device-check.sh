#!/usr/bin/env bash
# The proof on a machine with a GPU: builds the add-on against that machine's PyTorch and runs every part of the check.
# Needs a Python with PyTorch and a C++ compiler; no network. Node and the rest come from what device-pack.mjs made.
set -uo pipefail

usage() {
  cat <<'TEXT'
bash scripts/device-check.sh [options]

  --device cuda|cpu   where everything runs (default cuda)
  --tiny              small shapes and few steps: shows that every part works, not how fast it is
  --out DIR           device-check.json and device-check.log go there (default ./device-check)
  --only PART,...     only these parts; --list names them; a part by itself has all of --seconds
  --python PYTHON     the Python whose PyTorch is used (default python3)
  --pack DIR          what device-pack.mjs made (default: beside this script, or build/device-pack)
  --work DIR          where it is unpacked and built, kept for the next run (default /tmp/adapt-device-check)
  --seconds N         all of it ends after N seconds (default 570)
  --list              print the parts with their limits in seconds

Without a pack the clone itself is used; that needs Node and `npm run setup`.
TEXT
}

# Name and limit in seconds, the most important first.
parts=(doctor:30 goldens:120 quickstart:150 transfers:60 peer:170 overhead:60 lora:120 large:90 suite:150)

device=cuda tiny='' out=device-check only='' python=python3 pack='' work=/tmp/adapt-device-check seconds=570
fail() { echo "device-check: $1" >&2; exit "${2:-2}"; }
while [ $# -gt 0 ]; do
  case $1 in
    --tiny) tiny=1; shift; continue ;;
    --help | -h) usage; exit 0 ;;
    --list) printf '%s\n' "${parts[@]}"; exit 0 ;;
    --device | --out | --only | --python | --pack | --work | --seconds) ;;
    *) fail "unknown option $1 (--help lists the options)" ;;
  esac
  [ $# -ge 2 ] || fail "$1: expected a value"
  declare "${1#--}=$2"
  shift 2
done
case $device in cuda | cuda:* | cpu) ;; *) fail "--device: expected cuda, cuda:N or cpu, received $device" ;; esac
for name in ${only//,/ }; do
  [[ " ${parts[*]} " == *" $name:"* ]] || fail "--only: no part $name among ${parts[*]%%:*}"
done
python=$(command -v "$python") || fail "--python: no such program" 5

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out" "$work" || fail "cannot write to $out and $work" 5
out=$(cd "$out" && pwd) work=$(cd "$work" && pwd)
began=$SECONDS
left() { echo $((seconds - (SECONDS - began))); }
exec > >(tee "$out/device-check.log") 2>&1
tee_pid=$!
echo "== device-check $(date -u +%FT%TZ): device $device${tiny:+, tiny}"

# Unpack: into a folder of that pack, so that another pack never mixes with it.
if [ -z "$pack" ]; then
  for pack in "$here" "$here/../build/device-pack" ''; do [ -f "$pack/pack.json" ] && break; done
fi
if [ -n "$pack" ]; then
  id=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["id"])' "$pack/pack.json") ||
    fail "$pack/pack.json cannot be read: make it with node scripts/device-pack.mjs" 5
  tree=$work/$id/tree
  if [ ! -f "$work/$id/unpacked" ]; then
    rm -rf "${work:?}/$id" && mkdir -p "$tree" "$work/$id/bin"
    "$python" - "$pack" "$work/$id" <<'PY' || fail "$pack cannot be unpacked" 5
import hashlib, json, lzma, os, shutil, sys, tarfile
pack, work = sys.argv[1:]
for entry in json.load(open(f"{pack}/pack.json"))["files"]:
    with open(f"{pack}/{entry['file']}", "rb") as file:
        if hashlib.sha256(file.read()).hexdigest() != entry["sha256"]:
            sys.exit(f"{entry['file']} is not what pack.json says: copy the pack again")
with lzma.open(f"{pack}/node.xz") as source, open(f"{work}/bin/node", "wb") as target:
    shutil.copyfileobj(source, target, 1 << 22)
os.chmod(f"{work}/bin/node", 0o755)
with tarfile.open(f"{pack}/tree.tar.xz", "r:xz") as archive:
    archive.extractall(f"{work}/tree")
shutil.copy(f"{pack}/pack.json", f"{work}/tree/pack.json")
PY
    touch "$work/$id/unpacked"
    echo "unpacked in $((SECONDS - began)) s"
  fi
  export PATH=$work/$id/bin:$PATH
else
  tree=$(dirname "$here")
  id=clone
  mkdir -p "$work/$id/bin"
fi
command -v node >/dev/null || fail "no pack was found and no Node is installed: make a pack with node scripts/device-pack.mjs" 5
# A virtual environment is lost through a link, not through a script.
printf '#!/bin/sh\nexec "%s" "$@"\n' "$python" >"$work/$id/bin/python3" && chmod +x "$work/$id/bin/python3"
export PATH=$work/$id/bin:$PATH LIBTORCH_USE_PYTORCH=1 ADAPT_PEER_PYTHON=$python HF_HUB_OFFLINE=1
export ADAPT_TORCH_BUILD_DIR=$work/$id/build
# A warning that only this machine's compiler has must not stop the check.
export CXXFLAGS=${CXXFLAGS--Wno-error}
unset VIRTUAL_ENV CONDA_PREFIX LIBTORCH LIBTORCH_INCLUDE LIBTORCH_LIB OPENBLAS_CORETYPE
cd "$tree" || fail "no folder $tree" 5

results=$work/$id/results
rm -rf "$results" && mkdir -p "$results"
record() { node scripts/device/record-part.mjs "$results" "$out/device-check.json" "$@"; }

# name, limit, command...: runs it within its limit and what is left of all, shows its last lines, records its result.
part() {
  local name=$1 limit=$2 start=$SECONDS code
  shift 2
  [ "$(left)" -lt "$limit" ] && limit=$(left)
  if [ "$limit" -lt 5 ]; then
    echo "== $name: no time is left"
    record "$name" no-time 0 0 ''
    return 1
  fi
  echo "== $name (at most $limit s)"
  timeout --kill-after=5 "$limit" "$@" 2>&1 | tee "$results/$name.log" | cut -c1-400
  code=${PIPESTATUS[0]}
  record "$name" "$code" $((SECONDS - start)) "$limit" "$results/$name.log"
  echo "== $name: $([ "$code" -eq 0 ] && echo ok || echo "FAILED with $code") after $((SECONDS - start)) s"
  return "$code"
}

# Sets `command` to what a part runs.
choose() {
  local on=(--device "$device")
  case $1 in
    build) if [ "$id" = clone ]; then command=(node scripts/setup.mjs); else command=(node packages/torch/bin/adapt-torch-build.mjs); fi ;;
    doctor) command=(node packages/adapt/bin/adapt.mjs doctor --json) ;;
    goldens) command=(node scripts/device/goldens.mjs "${on[@]}") ;;
    quickstart) command=(node scripts/device/quickstart.mjs "${on[@]}" --folder "$work/$id/quickstart" ${tiny:+--steps 4}) ;;
    transfers) command=(node bench/dist/transfers.bench.js "${on[@]}" --threads "$threads" "${transfer_shape[@]}") ;;
    peer) command=(node bench/dist/peer.bench.js "${on[@]}" --compile --threads "$threads" --dtypes bfloat16 "${peer_shape[@]}") ;;
    overhead) command=(node bench/dist/overhead.bench.js --set "training.device=$device" --threads "$threads" "${overhead_shape[@]}") ;;
    lora) command=(node bench/dist/sft.bench.js "${on[@]}" --peer peft --threads "$threads" --dtypes bfloat16 --equal-lengths "${lora_shape[@]}") ;;
    large) command=(node bench/dist/large.bench.js "${on[@]}" --threads "$threads" "${large_shape[@]}") ;;
    suite) command=(node scripts/device/goldens.mjs "${on[@]}" --all) ;;
  esac
}

threads=$(nproc) threads=$((threads > 8 ? 8 : threads))
peer_shape=(--preset llama-120m --rows 32 --length 1024 --blocks 6 --steps 4)
transfer_shape=(--preset llama-120m --rows 32 --length 1024 --steps 8)
overhead_shape=(--config bench/llama-120m.yaml --pairs 50 --ess "0.5,0.9999")
lora_shape=(--model 1b --rows 8 --length 1024 --blocks 4 --steps 4)
large_shape=(--model 7b --rows 4 --length 2048 --steps 5 --full)
if [ -n "$tiny" ]; then
  peer_shape=(--preset llama-1m --rows 2 --length 64 --blocks 2 --steps 1)
  transfer_shape=(--preset llama-1m --rows 2 --length 64 --steps 2)
  overhead_shape=(--pairs 4)
  lora_shape=(--model 32m --rows 2 --length 64 --quick)
  large_shape=(--model 32m --rows 1 --length 64 --steps 1 --full)
fi

node scripts/device/describe-machine.mjs >"$results/machine.log" 2>&1
record machine $? 0 0 "$results/machine.log"
choose build
failed=0
if part build 240 "${command[@]}"; then
  for entry in "${parts[@]}"; do
    name=${entry%%:*}
    [ -z "$only" ] || [[ ",$only," == *",$name,"* ]] || continue
    choose "$name"
    # A part by itself may take all the time there is.
    limit=${entry##*:}
    [ "$only" = "$name" ] && limit=$seconds
    part "$name" "$limit" "${command[@]}" || failed=$((failed + 1))
  done
else
  failed=1
fi
record end "$failed" $((SECONDS - began)) "$seconds" ''
echo "== $failed parts failed; $((SECONDS - began)) s; $out/device-check.json"
cat "$out/device-check.json"
exec >&- 2>&-
wait "$tee_pid"
exit $((failed > 0))
