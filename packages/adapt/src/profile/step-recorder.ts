import { PerformanceObserver } from 'node:perf_hooks'
import { isRecording, type Recording, startRecording, stopRecording } from '@adapt-ts/torch'
import { type RecordedStep, withCollections } from './call-tree.js'

/** Records whole steps of this thread, one after another. Nothing is recorded between two of them. */
export class StepRecorder implements Disposable {
  private readonly recordings: { readonly step: number; readonly recording: Recording }[] = []
  private readonly collections: { readonly startTime: number; readonly duration: number }[] = []
  private readonly watch = new PerformanceObserver((list) => this.collections.push(...list.getEntries()))

  constructor() {
    this.watch.observe({ entryTypes: ['gc'] })
  }

  /** @throws {TorchError} PROFILER_BUSY */
  begin(): void {
    startRecording()
  }

  /** Ends what `begin` began. */
  end(step: number): void {
    this.recordings.push({ step, recording: stopRecording() })
  }

  /** What was recorded so far. Waits for the event loop, which tells of collections later. */
  async steps(): Promise<RecordedStep[]> {
    await new Promise((resolve) => setTimeout(resolve, 1))
    this.collections.push(...this.watch.takeRecords())
    return this.recordings.map(({ step, recording }) => ({
      ...{ ...recording, step },
      events: withCollections(recording, this.collections),
    }))
  }

  [Symbol.dispose](): void {
    this.watch.disconnect()
    if (isRecording()) stopRecording()
  }
}
