// Runs the tests of one compiled file with vitest's runner; answers its parent process with the outcomes.
import { register } from 'node:module'
import { pathToFileURL } from 'node:url'
import { startTests } from '@vitest/runner'

register('./vitest-hook.mjs', import.meta.url)
const TIMEOUT_MS = 120_000
const outcomes = []

const messageOf = ({ errors }) => String(errors?.[0]?.message ?? 'failed').slice(0, 500)

/** Depth first, with the names of the suites before that of the test. */
function collect(task, names) {
  const path = task.type === 'suite' && task.file === task ? names : [...names, task.name]
  // A suite fails by itself when a hook or its body throws.
  if (task.result?.state === 'fail' && (task.type === 'test' || task.result.errors?.length > 0))
    outcomes.push({ name: path.join(' > '), state: 'failed', message: messageOf(task.result) })
  else if (task.type === 'test') {
    const state = task.result?.state === 'pass' ? 'passed' : 'skipped'
    outcomes.push({ name: path.join(' > '), state })
  }
  for (const child of task.tasks ?? []) collect(child, path)
}

const [file] = await startTests([process.argv[2]], {
  config: {
    root: process.cwd(),
    name: '',
    setupFiles: [],
    passWithNoTests: false,
    allowOnly: true,
    testNamePattern: undefined,
    sequence: { shuffle: false, hooks: 'stack', setupFiles: 'list', seed: 1 },
    maxConcurrency: 1,
    testTimeout: TIMEOUT_MS,
    hookTimeout: TIMEOUT_MS,
    retry: 0,
    includeTaskLocation: false,
    tags: [],
    strictTags: false,
    tagsFilter: undefined,
  },
  pool: 'forks',
  importFile: (path) => import(pathToFileURL(path).href),
})
collect(file, [])
process.send(outcomes, () => process.exit(0))
