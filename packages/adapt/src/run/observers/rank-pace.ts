import type { RunObserver, RunParts, StepResult } from '../run-parts.js'
import type { Recorder } from './record.js'

/** Steps between two comparisons. */
const EVERY_STEPS = 20
/** How much longer than the median a rank may work before it is called slow. */
const SLOW = 1.5
/** Below this a difference is noise. */
const LEAST_MS = 5

/** Compares how long the ranks of a run work on a step: the others wait for the slowest. */
export class RankPace implements RunObserver {
  private steps = 0
  private stepMs = 0
  private waitMs = 0
  private waitedBefore = 0
  /** Ranks that were called slow. */
  private readonly told = new Set<number>()

  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Pick<Recorder, 'log' | 'alert'>,
  ) {}

  beforeStep(): void {
    this.waitedBefore = this.parts.world.waitedMs
  }

  afterStep({ record: { step, stepMs } }: StepResult): void {
    const { world } = this.parts
    if (world.worldSize === 1) return
    this.steps += 1
    this.stepMs += stepMs
    this.waitMs += world.waitedMs - this.waitedBefore
    if (this.steps < EVERY_STEPS) return
    const all = world.gatherNumbers([this.stepMs - this.waitMs, this.waitMs].map((ms) => ms / this.steps))
    this.steps = this.stepMs = this.waitMs = 0
    const workMs = all.map(([work]) => work!)
    this.recorder.log.event({
      ...{ type: 'ranks', step, time: Date.now() / 1000 },
      ...{ workMs, waitMs: all.map(([, waited]) => waited!) },
    })
    for (const rank of slowRanks(workMs)) this.tell(rank, workMs)
  }

  private tell(rank: number, workMs: readonly number[]): void {
    if (this.told.has(rank)) return
    this.told.add(rank)
    const others = Math.min(...workMs.filter((_, other) => other !== rank))
    const message = `rank ${rank} on ${this.parts.world.hosts[rank]} works ${workMs[rank]!.toFixed(0)} ms a step, the fastest ${others.toFixed(0)} ms: the others wait for it`
    this.recorder.alert('SLOW_RANK', message)
  }
}

/** Ranks that work much longer than the lower median: of two, than the faster. */
export function slowRanks(workMs: readonly number[]): number[] {
  const median = [...workMs].sort((a, b) => a - b)[Math.floor((workMs.length - 1) / 2)]!
  const isSlow = (ms: number) => ms > SLOW * median && ms - median > LEAST_MS
  return [...workMs.keys()].filter((rank) => isSlow(workMs[rank]!))
}
