import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface ChildResult {
  readonly status: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs ES module source in a Node process of its own; `torch` is the package, loaded lazily by the source. */
export function runModule(source: string, env: Readonly<Record<string, string>> = {}): ChildResult {
  const index = new URL('../index.js', import.meta.url).href
  const prelude = `import * as torch from ${JSON.stringify(index)}\n`
  const args = ['--input-type=module', '--eval', prelude + source]
  return run(args, env)
}

/** Runs a compiled file beside the tests in a Node process of its own. */
export function runFile(url: URL, args: readonly string[] = []): ChildResult {
  return run([fileURLToPath(url), ...args], {})
}

function run(args: readonly string[], env: Readonly<Record<string, string>>): ChildResult {
  const { status, signal, stdout, stderr } = spawnSync(process.execPath, args, {
    env: { ...process.env, ...env },
    encoding: 'utf8',
    timeout: 100_000,
  })
  return { status, signal, stdout, stderr }
}
