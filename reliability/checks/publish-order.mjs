import path from 'node:path'
import { describeEnd } from '../support/child.mjs'
import { checkpointSteps } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { callsUnder, runTraced, straceProblem } from '../support/strace.mjs'
import { Workshop } from '../support/workshop.mjs'
import { enumeratePoints, tracedCommand } from './kill-points.mjs'

export const publishOrder = {
  id: '5',
  title: 'A checkpoint is published once, whole, and retention never removes the last good one',
  tested:
    'Order of the system calls of each save: temporary folder beside the target, files and their fsync, manifest last and ' +
    'its fsync, folder fsync, rename, parent fsync, only then pruning; pruning whose deletes fail',
  async run({ workDir, log }) {
    const problem = straceProblem(log)
    if (problem !== undefined) return { count: 0, failures: [], figure: '', skipped: problem }
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const run = workshop.runFolder('traced')
    const calls = await enumeratePoints(workshop, 'traced')
    const steps = [3, 6]
    for (const step of steps) checkSave(tally, calls, run, step)
    tally.add(
      'retention',
      checkpointSteps(run).join() !== '6' && `kept ${checkpointSteps(run).join()}, expected 6`,
    )
    await failingDeletes(workshop, tally, calls)
    return {
      count: tally.count,
      failures: tally.failures,
      figure: `${tally.share} orders hold in ${steps.length} saves, pruning with failing deletes included`,
    }
  },
}

/** Asserts the order of one save. */
function checkSave(tally, calls, run, step) {
  const parent = path.join(run, 'checkpoints')
  const target = path.join(parent, `step-${step}`)
  const at = (test) => calls.findIndex(test)
  const lastAt = (test) => calls.findLastIndex(test)
  const say = (name, holds) => tally.add(`save of step ${step}: ${name}`, !holds && 'does not hold')

  const publish = at(({ name, paths }) => name.startsWith('rename') && paths.at(-1) === target)
  if (!say('published by a rename', publish >= 0)) return
  const temporary = calls[publish].paths[0]
  say('the temporary folder lies beside the target', path.dirname(temporary) === parent)
  say(
    'published once',
    lastAt(({ name, paths }) => name.startsWith('rename') && paths.at(-1) === target) === publish,
  )

  const isWrite = ({ name }) => /^(write|pwrite|copy_file_range|sendfile|ftruncate|open|creat)/.test(name)
  const isSync = ({ name }) => name === 'fsync' || name === 'fdatasync'
  const inTemporary = new Set(
    calls.flatMap((call) => call.paths.filter((file) => isWrite(call) && file.startsWith(`${temporary}/`))),
  )
  const manifest = path.join(temporary, 'manifest.json')
  say('a manifest and data files are written', inTemporary.has(manifest) && inTemporary.size >= 5)
  const firstOfManifest = at(({ paths }) => paths[0] === manifest)
  for (const file of inTemporary) {
    const lastWrite = lastAt((call) => isWrite(call) && call.paths.at(-1) === file)
    const sync = calls.findIndex((call, i) => i > lastWrite && isSync(call) && call.paths[0] === file)
    const limit = file === manifest ? publish : firstOfManifest
    say(
      `${path.basename(file)} is synced before ${file === manifest ? 'the rename' : 'the manifest'}`,
      sync >= 0 && sync < limit,
    )
  }
  const manifestSync = at((call) => isSync(call) && call.paths[0] === manifest)
  const folderSync = calls.findIndex(
    (call, i) => i > manifestSync && isSync(call) && call.paths[0] === temporary,
  )
  say('the folder is synced after the manifest, before the rename', folderSync >= 0 && folderSync < publish)
  const parentSync = calls.findIndex((call, i) => i > publish && isSync(call) && call.paths[0] === parent)
  say('the parent is synced after the rename', parentSync >= 0)
  const isRemoval = ({ name, paths }) =>
    /^(unlink|rmdir)/.test(name) && /\/checkpoints\/step-\d+/.test(paths[0])
  const early = calls.findIndex((call, i) => i > firstOfManifest && i < parentSync && isRemoval(call))
  say('nothing is pruned before the parent is synced', early < 0)
  const isTouched = ({ name, paths }) =>
    isWrite({ name }) && paths.some((file) => file.startsWith(`${target}/`))
  say('nothing is written into it later', calls.findIndex((call, i) => i > publish && isTouched(call)) < 0)
  const events = path.join(run, 'events.jsonl')
  const written = calls.findLastIndex((call, i) => i < publish && isWrite(call) && call.paths[0] === events)
  const synced = calls.findLastIndex((call, i) => i < publish && isSync(call) && call.paths[0] === events)
  say('the event log is synced before', synced > written)
}

/** The delete of an old checkpoint gives an error: the run goes on and ends well. */
async function failingDeletes(workshop, tally, calls) {
  const removals = calls.filter(
    ({ name, paths }) => /^(unlink|rmdir)/.test(name) && /\/step-3(\/|$)/.test(paths[0]),
  )
  if (!tally.add('the first checkpoint is pruned', removals.length === 0 && 'nothing removed')) return
  for (const [i, { name, nth }] of removals.slice(0, 3).entries()) {
    const run = `delete-${i}`
    const inject = `${name}:error=EIO:when=${nth}`
    const logFile = workshop.file(`${run}.trace`)
    const ended = await runTraced(logFile, tracedCommand(workshop, run), {
      cwd: workshop.root,
      inject,
      fast: true,
    })
    const failed = callsUnder(ended.calls, workshop.runFolder(run)).some(({ result }) =>
      /INJECTED/.test(result),
    )
    const problem = ended.code !== 0 ? describeEnd(ended) : !failed && 'the error was not injected'
    tally.add(`a failing ${name} while pruning`, problem)
    tally.add(
      `the new checkpoint after a failing ${name}`,
      !checkpointSteps(workshop.runFolder(run)).includes(6) && 'is gone',
    )
  }
}
