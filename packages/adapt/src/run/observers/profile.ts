import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildInfo } from '@adapt-ts/torch'
import { chromeTrace, StepRecorder, summariseProfile } from '../../profile/index.js'
import type { RunObserver, RunParts, StepResult } from '../run-parts.js'
import type { Recorder } from './record.js'

/** Steps of a process before those that are looked at: memory is taken and kernels are chosen in them. */
const WARM_UP_STEPS = 3
const RECORDED_STEPS = 5

/** Looks where the time of some steps goes, and leaves a table and a trace. */
export class Profiler implements RunObserver, Disposable {
  private steps: StepRecorder | undefined
  private readonly first: number
  private readonly last: number
  private readonly wanted: string
  private numRecorded = 0
  private isDone = false

  constructor(
    private readonly parts: RunParts,
    private readonly recorder: Recorder,
  ) {
    const { request, startStep, plan } = parts
    const { first, last } = request.profile ?? {}
    this.first = first ?? Math.min(startStep + WARM_UP_STEPS + 1, plan.totalSteps)
    this.wanted = `steps ${this.first} to ${last ?? this.first + RECORDED_STEPS - 1}`
    this.last = Math.min(last ?? this.first + RECORDED_STEPS - 1, plan.totalSteps)
    this.isDone = request.profile === undefined
  }

  beforeStep(): void {
    const next = this.parts.built.trainer.step + 1
    if (this.isDone || next < this.first || next > this.last) return
    this.steps ??= new StepRecorder()
    this.steps.begin()
  }

  afterStep({ record: { step } }: StepResult): void {
    if (this.isDone || step < this.first || step > this.last) return
    this.steps!.end(step)
    this.numRecorded += 1
  }

  async betweenSteps(): Promise<void> {
    if (this.parts.built.trainer.step === this.last) await this.finish()
  }

  /** Writes what is recorded; the window of a run that ends before is cut. */
  async finish(): Promise<void> {
    if (this.isDone) return
    this.isDone = true
    if (this.numRecorded === 0) {
      const message = `profile: this process ran none of the ${this.wanted}; nothing was recorded`
      this.recorder.alert('NOTHING_PROFILED', message)
      return
    }
    await this.recorder.side.attempt('profile', () => this.write())
  }

  private async write(): Promise<void> {
    const { folder, request, built } = this.parts
    const recorded = await this.steps!.steps()
    const summary = summariseProfile(recorded)
    const name = `profile/step-${summary.firstStep}-${summary.lastStep}.json`
    const { libtorchVersion, numThreads, cpuCapability } = buildInfo()
    const facts = {
      libtorch: libtorchVersion,
      threads: numThreads,
      cpuCapability,
      dtype: built.dtype ?? 'float32',
      device: built.trainer.model.device,
    }
    mkdirSync(join(folder.path, 'profile'), { recursive: true })
    folder.write(name, chromeTrace(recorded, summary, facts))
    request.onProfile?.(summary, join(folder.path, name))
  }

  [Symbol.dispose](): void {
    this.steps?.[Symbol.dispose]()
  }
}
