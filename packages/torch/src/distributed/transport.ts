import { wrapError } from '../errors.js'

/** What the engine threw while it moved data: a matter of the other side. Errors of this side keep their codes. */
export class TransportFailure extends Error {}

/** What a device says of itself, wherever it comes to light. */
const OWN_FAULT = /^CUDA error/

/** Runs what moves data. @throws {TransportFailure} with what the engine said as its cause. */
export function transport<T>(call: () => T): T {
  try {
    return call()
  } catch (error) {
    const { code, message } = error as { readonly code?: string; readonly message?: string }
    if (code !== 'TORCH_ERROR' || OWN_FAULT.test(String(message))) throw wrapError(error, 'process group')
    throw new TransportFailure('the transport failed', { cause: error })
  }
}

/** Asks the store of a job; what goes wrong there is explained as a failed transport is. */
export function asked<T>(question: () => T): T {
  try {
    return question()
  } catch (error) {
    throw new TransportFailure('the store failed', { cause: error })
  }
}
