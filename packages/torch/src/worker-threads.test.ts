import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { memoryStats, ones } from './index.js'
import { engine } from './native.js'
import { runModule } from './testing/child-process.test.fixture.js'
import type { WorkerReport, WorkerTask } from './testing/train-in-worker.test.worker.js'

const file = new URL('./testing/train-in-worker.test.worker.js', import.meta.url)

async function runWorker(task: WorkerTask): Promise<WorkerReport> {
  const worker = new Worker(file, { workerData: task })
  const exited = once(worker, 'exit')
  const [report] = (await once(worker, 'message')) as [WorkerReport]
  expect(await exited).toEqual([0])
  return report
}

describe('worker threads', () => {
  it('train at the same time, each like it would alone', async () => {
    const task = { steps: 20, foreignHandle: -1 }
    const alone = [await runWorker({ ...task, seed: 1 }), await runWorker({ ...task, seed: 2 })]
    const together = await Promise.all([runWorker({ ...task, seed: 1 }), runWorker({ ...task, seed: 2 })])
    expect(together.map(({ losses }) => losses)).toEqual(alone.map(({ losses }) => losses))
    expect(together[0]!.losses).not.toEqual(together[1]!.losses)
    expect(together[0]!.losses.at(-1)).toBeLessThan(together[0]!.losses[0]!)
  })

  it('have tables of their own: a handle of one is refused by the others', async () => {
    const mine = ones([1])
    const before = memoryStats().liveTensors
    const report = await runWorker({ seed: 1, steps: 1, foreignHandle: mine.handle })
    expect(report.foreignIsLive).toBe(false)
    expect([report.liveAtStart, report.liveAtEnd]).toEqual([0, 1])
    expect(engine().native.isLive(report.ownHandle)).toBe(false)
    expect(memoryStats().liveTensors).toBe(before)
    expect(mine.item()).toBe(1)
    mine.dispose()
  })

  it('free what they left alive when they end', async () => {
    const { allocatedBytes } = memoryStats()
    await runWorker({ seed: 1, steps: 1, foreignHandle: -1 })
    expect(memoryStats().allocatedBytes).toBe(allocatedBytes)
  })

  it('can be the only ones that load the engine, at once and one after the other', () => {
    const { status, signal, stdout, stderr } = runModule(`
      import { Worker } from 'node:worker_threads'
      const run = async (seed) => {
        const workerData = { seed, steps: 2, foreignHandle: -1 }
        const worker = new Worker(new URL(${JSON.stringify(file.href)}), { workerData, execArgv: [] })
        worker.on('message', ({ losses }) => console.log(losses.length))
        await new Promise((resolve, reject) => worker.on('error', reject).on('exit', resolve))
      }
      await Promise.all([run(0), run(1)])
      await run(2)`)
    expect({ status, signal, stdout, stderr }).toEqual({
      status: 0,
      signal: null,
      stdout: '2\n2\n2\n',
      stderr: '',
    })
  })

  it('can be stopped in the middle of their work', () => {
    const { status, signal, stdout } = runModule(`
      import { Worker } from 'node:worker_threads'
      const workerData = { seed: 0, steps: 1e6, foreignHandle: -1 }
      const worker = new Worker(new URL(${JSON.stringify(file.href)}), { workerData, execArgv: [] })
      await new Promise((resolve) => worker.on('online', resolve))
      torch.ones([1])
      await worker.terminate()
      console.log(torch.sum(torch.ones([3])).item())`)
    expect({ status, signal, stdout }).toEqual({ status: 0, signal: null, stdout: '3\n' })
  })
})
