// What figures of this machine are figures of: one JSON object on the last line.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'

function ask(command, args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      timeout: 60_000,
      stdio: ['ignore', 'pipe', 'ignore'],
    })
  } catch {
    return undefined
  }
}

const PYTHON = `
import importlib, json, platform
facts = {"python": platform.python_version()}
for name in ("torch", "transformers", "peft", "triton"):
    try:
        facts[name] = importlib.import_module(name).__version__
    except Exception:
        facts[name] = None
import torch
facts["cuda"] = torch.version.cuda
facts["cudnn"] = torch.backends.cudnn.version()
if torch.cuda.is_available():
    p = torch.cuda.get_device_properties(0)
    facts["device"] = {"name": p.name, "bytes": p.total_memory, "capability": f"{p.major}.{p.minor}", "multiprocessors": p.multi_processor_count}
print(json.dumps(facts))`

const python = ask('python3', ['-c', PYTHON])
const smi = ask('nvidia-smi', [
  '--query-gpu=name,driver_version,memory.total,clocks.max.sm',
  '--format=csv,noheader',
])
const os_ = ask('sh', ['-c', '. /etc/os-release; echo "$PRETTY_NAME"'])
console.log(
  JSON.stringify({
    cpu: /^model name\s*:\s*(.*)$/m.exec(readFileSync('/proc/cpuinfo', 'utf8'))?.[1],
    cores: os.availableParallelism(),
    memoryBytes: os.totalmem(),
    system: os_?.trim(),
    kernel: os.release(),
    compiler: ask(process.env.CXX ?? 'g++', ['--version'])?.split('\n')[0],
    node: process.version,
    nvidiaSmi: smi?.trim().split('\n'),
    ...(python === undefined ? {} : JSON.parse(python)),
  }),
)
