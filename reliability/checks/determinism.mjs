import { describeEnd, inParallel } from '../support/child.mjs'
import { difference, digestRun, overall } from '../support/digest.mjs'
import { Tally } from '../support/figures.mjs'
import { controlRun } from '../support/runs.mjs'
import { Workshop } from '../support/workshop.mjs'

/** What a run may differ in without another result. */
const VARIANTS = [
  ['again', []],
  ['no worker threads, a line per step', ['data.num_workers=0', 'training.logging_steps=1']],
  ['8 worker threads, own token cache', ['data.num_workers=8', 'data.cache_dir=cache-8']],
  ['a save per 7 steps, 3 kept', ['training.save_steps=7', 'training.save_total_limit=3']],
  ['TensorBoard files', ['training.report_to=[tensorboard]']],
]

export const determinism = {
  id: '1',
  title: 'Same config, seed, build and machine give the same digest',
  tested:
    'The 60-step control, again, and with other numbers of worker threads, log lines, saves and TensorBoard',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const set = ['data.num_workers=1']
    const { digest: control } = await controlRun(workshop, set)
    await inParallel(VARIANTS, async ([name, changes], i) => {
      const ended = await workshop.train(`variant-${i}`, [...set, ...changes])
      if (ended.code !== 0) return tally.add(name, describeEnd(ended))
      const parts = difference(control, await digestRun(workshop.runFolder(`variant-${i}`)))
      return tally.add(name, parts && `differs in ${parts}`)
    })
    return finish(tally, overall(control))
  },
}

function finish({ count, failures }, digest = '') {
  return { count, failures, figure: `${count} runs, one digest (${digest.slice(0, 12)})` }
}
