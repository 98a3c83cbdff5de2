import path from 'node:path'
import { Child, describeEnd } from './child.mjs'
import { digestRun } from './digest.mjs'

/**
 * Trains without an interruption and says what it came to: what the runs of a check are compared with.
 * @throws when it fails, for then nothing can be compared
 */
export async function controlRun(workshop, set, name = 'control') {
  const ended = await workshop.train(name, set)
  if (ended.code !== 0) throw new Error(`${name}: ${describeEnd(ended)}`)
  return { digest: await digestRun(workshop.runFolder(name)), ms: ended.ms }
}

/** Runs the library in a process that stops after a step: by call ('api') or by a signal that comes with that step. */
export function runUntil(workshop, name, step, set, how) {
  const script = path.join(import.meta.dirname, 'stop-after.mjs')
  const args = [script, String(step), how, 'run.yaml', workshop.runFolder(name), ...set]
  return new Child(process.execPath, args, { cwd: workshop.root }).ended
}

/** Like `runUntil`; leaves a run folder to go on with. @throws when the process did not end as it should */
export async function stopAt(workshop, name, step, set, how = 'api') {
  const ended = await runUntil(workshop, name, step, set, how)
  const expected = how === 'api' ? 0 : how === 'SIGKILL' ? null : 75
  if (ended.code !== expected) throw new Error(`stop at step ${step}: ${describeEnd(ended)}`)
}
