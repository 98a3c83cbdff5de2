// How tests use the device without hardware: what crossed between host and device, and that it must not.
import { bind } from '@adapt-ts/torch'
import { buildTestingDevice } from './build.mjs'

export const DEVICE = 'privateuseone:0'
/** The second one; tensors of the two do not mix. */
export const OTHER_DEVICE = 'privateuseone:1'

/** As in counters.h. */
const COUNTS = [
  ...['copiesToHost', 'bytesToHost', 'copiesToDevice', 'bytesToDevice', 'copiesWithin'],
  ...['scalarReads', 'waits', 'hostScalars', 'operators'],
]
const FORBIDDEN = { copiesToHost: 1, copiesToDevice: 2, scalarReads: 4, waits: 8, hostScalars: 16 }

const questions = Object.fromEntries(
  ['counts', 'reset', 'forbid', 'times_run', 'bytes_in_use', 'limit_memory', 'peek'].map((name) => [
    name,
    bind(`testing_device::${name}`),
  ]),
)

/**
 * Builds the library where that has not been done, and has the engine of this process, its threads and its children
 * load it. To be called before the engine is used.
 */
export async function loadTestingDevice() {
  process.env.ADAPT_TORCH_TESTING_DEVICE ??= await buildTestingDevice()
  questions.reset()
}

export function deviceCounts() {
  return Object.fromEntries(questions.counts().map((count, i) => [COUNTS[i], count]))
}

export function resetDeviceCounts() {
  questions.reset()
}

/** What crossed while `action` ran, with its result. */
export function counted(action) {
  questions.reset()
  const result = action()
  return { result, counts: deviceCounts() }
}

/** Runs `action`; each of `what` then throws in the call that does it. Whole process, all threads. */
export function withForbidden(what, action) {
  questions.forbid(what.reduce((mask, one) => mask | FORBIDDEN[one], 0))
  try {
    return action()
  } finally {
    questions.forbid(0)
  }
}

export function timesRun(operator) {
  return questions.times_run(operator)
}

export function deviceBytesInUse() {
  return questions.bytes_in_use()
}

export function withDeviceMemory(bytes, action) {
  questions.limit_memory(bytes)
  try {
    return action()
  } finally {
    questions.limit_memory(0)
  }
}

export function peek(tensor) {
  return questions.peek(tensor)
}
