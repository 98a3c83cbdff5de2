import { statSync } from 'node:fs'
import path from 'node:path'
import { runCommand } from './run-command.mjs'

const entryPoints = new Set(['napi_register_module_v1', 'node_api_module_get_api_version_v1'])

/**
 * What a shared library lacks of the hardening that the build asks for, read from the ELF file with readelf.
 * @returns {Promise<string[]>} one sentence per fault
 */
export async function hardeningFaults(library) {
  const { code, output } = await runCommand('readelf', ['-W', '-d', '-l', '--dyn-syms', library])
  if (code !== 0) throw new Error(`readelf ${library} failed: ${output}`)
  const faults = []
  if (!/GNU_RELRO/.test(output)) faults.push('no RELRO segment')
  if (!/\(FLAGS(_1)?\).*\bNOW\b|\(FLAGS\).*BIND_NOW|\(BIND_NOW\)/.test(output))
    faults.push('symbols are bound lazily (no BIND_NOW)')
  if (!/GNU_STACK(\s+0x[0-9a-f]+){5}\s+RW\s/.test(output)) faults.push('the stack is executable')
  if (!/UND __stack_chk_fail/.test(output)) faults.push('no stack protector')
  for (const name of exportedSymbols(output)) {
    if (!entryPoints.has(name)) faults.push(`exports ${name}`)
  }
  for (const dir of output.match(/\((?:RPATH|RUNPATH)\).*\[(.*)\]/)?.[1].split(':') ?? []) {
    if (!path.isAbsolute(dir)) faults.push(`the run path ${dir} is relative`)
    else if (isWorldWritable(dir)) faults.push(`the run path ${dir} can be written by everybody`)
  }
  return faults
}

/** Strong global functions and objects; weak ones are C++ templates of LibTorch's headers, which mark them visible. */
function exportedSymbols(output) {
  const pattern = /^\s*\d+: [0-9a-f]+\s+\S+ (?:FUNC|OBJECT)\s+GLOBAL\s+DEFAULT\s+\d+ (\S+)/gm
  return [...output.matchAll(pattern)].map((match) => match[1])
}

function isWorldWritable(dir) {
  try {
    return (statSync(dir).mode & 0o002) !== 0
  } catch {
    return false
  }
}
