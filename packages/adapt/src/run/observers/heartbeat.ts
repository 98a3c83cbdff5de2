import type { RunObserver, RunParts, StepResult } from '../run-parts.js'
import type { SideWork } from '../side-work.js'

/** Least time between two writes of run.json. */
const HEARTBEAT_MS = 5000

/** Shows from outside that the run is alive. */
export class Heartbeat implements RunObserver {
  private lastBeat = performance.now()

  constructor(
    private readonly parts: RunParts,
    private readonly side: SideWork,
  ) {}

  afterStep({ record }: StepResult): void {
    this.beat(record.step)
  }

  whileScoring(): void {
    this.beat(this.parts.built.trainer.step)
  }

  private beat(step: number): void {
    if (performance.now() - this.lastBeat < HEARTBEAT_MS) return
    this.lastBeat = performance.now()
    const { folder, plan } = this.parts
    this.side.attemptNow('state', () => folder.writeState('running', step, plan.totalSteps))
  }
}
