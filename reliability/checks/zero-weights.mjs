import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { currentSteps, readEvents } from '@adapt-ts/adapt'
import { describeEnd } from '../support/child.mjs'
import { Tally } from '../support/figures.mjs'
import { lines, sentence, Workshop } from '../support/workshop.mjs'

export const zeroWeights = {
  id: '22',
  title: 'A batch whose weights are all zero changes nothing',
  tested:
    'Runs of 1 and 5 steps over records of static weight 0: equal weights in both, every step marked as skipped in the log, with an alert',
  async run({ workDir }) {
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    workshop.put(
      'zero.jsonl',
      lines(Array.from({ length: 20 }, (_, i) => ({ text: sentence(i), weight: 0 }))),
    )
    const hashes = []
    for (const steps of [1, 5]) {
      const name = `zero-${steps}`
      const set = [
        `training.max_steps=${steps}`,
        'training.warmup_steps=0',
        'data.train=[zero.jsonl]',
        'evaluation={}',
      ]
      const ended = await workshop.train(name, set)
      if (!tally.add(`${steps} steps`, ended.code !== 0 && describeEnd(ended))) continue
      const folder = workshop.runFolder(name)
      hashes.push(
        createHash('sha256')
          .update(readFileSync(path.join(folder, 'model/model.safetensors')))
          .digest('hex'),
      )
      const { events } = readEvents(path.join(folder, 'events.jsonl'))
      const numSkipped = currentSteps(events).filter(({ skipped }) => skipped).length
      const numAlerts = events.filter(({ type, code }) => type === 'alert' && code === 'STEP_SKIPPED').length
      const isCounted = numSkipped === steps && numAlerts === steps
      tally.add(`${steps} steps: log`, !isCounted && `${numSkipped} steps marked, ${numAlerts} alerts`)
    }
    tally.add('weights', new Set(hashes).size > 1 && 'they moved')
    return { ...tally, figure: `${tally.share} hold over 6 steps` }
  },
}
