import { readdirSync, readFileSync } from 'node:fs'
import { describeEnd } from '../support/child.mjs'
import { seconds, Tally } from '../support/figures.mjs'
import { Workshop } from '../support/workshop.mjs'

/** Steps after which caches, the reservoir and the allocator have reached their size. */
const WARM_UP_SHARE = 0.3
const MAX_SLOPE_MB = 1

export const soak = {
  id: '33',
  title: 'No leaks over a long run',
  tested: '10,000 steps with saves: slope of the resident memory after warm-up, file descriptors and threads',
  async run({ mode, workDir }) {
    const steps = mode === 'full' ? 10_000 : 1_500
    const workshop = new Workshop(workDir)
    const tally = new Tally()
    const set = [
      `training.max_steps=${steps}`,
      'training.save_steps=500',
      `training.logging_steps=${Math.round(steps / 100)}`,
      'evaluation={}',
    ]
    const child = workshop.start('soak', set)
    const points = []
    child.onStdout(() => {
      const last = child.stdout.lastIndexOf('\nstep ')
      const step = Number(/^\nstep (\d+)/.exec(child.stdout.slice(last))?.[1])
      const usage = step > 0 && step !== points.at(-1)?.step && usageOf(child.process.pid)
      if (usage) points.push({ step, ...usage })
    })
    const ended = await child.ended
    tally.add('the run', ended.code !== 0 && describeEnd(ended))
    const steady = points.filter(({ step }) => step > WARM_UP_SHARE * steps)
    if (!tally.add('samples', steady.length < 20 && `only ${steady.length}`))
      return { ...tally, figure: 'not measured' }
    const slope = 1000 * slopeOf(steady.map(({ step, mb }) => [step, mb]))
    // A short run says little about a slope: the sample only looks at what is counted.
    if (mode === 'full')
      tally.add('memory', slope > MAX_SLOPE_MB && `grows by ${slope.toFixed(2)} MB per 1,000 steps`)
    for (const name of ['files', 'threads']) {
      const values = steady.map((point) => point[name])
      // The least of ten: a file that is open for a moment is no leak.
      const growth = Math.min(...values.slice(-10)) - Math.min(...values.slice(0, 10))
      tally.add(name, growth > 0 && `grow by ${growth}`)
    }
    const { mb, files, threads } = steady.at(-1)
    return {
      ...tally,
      figure:
        `${steps} steps in ${seconds(ended.ms)}: ${mb.toFixed(0)} MB, ${slope.toFixed(2)} MB per 1,000 steps, ` +
        `${files} descriptors, ${threads} threads`,
    }
  },
}

function usageOf(pid) {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const figure = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1])
    return {
      mb: figure('VmRSS') / 1024,
      threads: figure('Threads'),
      files: readdirSync(`/proc/${pid}/fd`).length,
    }
  } catch {
    return undefined
  }
}

/** Slope of the least-squares line. */
function slopeOf(points) {
  const mean = (i) => points.reduce((sum, point) => sum + point[i], 0) / points.length
  const [x, y] = [mean(0), mean(1)]
  const up = points.reduce((sum, [a, b]) => sum + (a - x) * (b - y), 0)
  return up / points.reduce((sum, [a]) => sum + (a - x) ** 2, 0)
}
