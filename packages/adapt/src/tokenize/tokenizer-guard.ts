import { workerData } from 'node:worker_threads'
import { OVERSIZE_SIGNAL, OVERTIME_SIGNAL, SHARED } from './tokenizer-budget.js'

// A thread of a tokenizer process: ends the process when a call is beyond its budget, or when the parent is gone. It is
// a thread because the native library may hold up the main one, and counts processor time because a process that is
// stopped, or gets no turn on a busy machine, is not stuck.
const TICK_MS = 25
const IDLE_MS = 1000

const shared = workerData as SharedArrayBuffer
const turn = new Int32Array(shared, 0, 2)
const limits = new Float64Array(shared)
const parent = process.ppid

for (;;) {
  const now = Atomics.load(turn, SHARED.turn)
  const isBusy = now % 2 === 1
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL')
  if (isBusy) {
    const { user, system } = process.cpuUsage()
    const isOvertime = user + system > limits[SHARED.processorTime]!
    const isOversize = process.memoryUsage.rss() > limits[SHARED.memory]!
    // The call may have ended in between: its limits are not those of the next one.
    if (Atomics.load(turn, SHARED.turn) === now) {
      if (isOvertime) process.kill(process.pid, OVERTIME_SIGNAL)
      if (isOversize) process.kill(process.pid, OVERSIZE_SIGNAL)
    }
  }
  Atomics.wait(turn, SHARED.turn, now, isBusy ? TICK_MS : IDLE_MS)
}
