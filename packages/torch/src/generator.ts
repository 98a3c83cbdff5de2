import { type Device, parseDevice } from './device.js'
import { rethrow, TorchError } from './errors.js'
import { engine } from './native.js'
import { Tensor } from './tensor.js'

/** A random number generator whose state can be read and set, for exact resume. */
export class Generator {
  readonly id: number

  constructor(seed: number, device: Device = 'cpu') {
    const { type, index } = parseDevice(device)
    try {
      this.id = engine().native.newGenerator(type, Math.max(index, 0))
    } catch (error) {
      rethrow(error, `Generator on ${device}`)
    }
    this.seed(seed)
  }

  /**
   * Restarts the stream; `seed` is a non-negative safe integer. LibTorch's CPU generator looks at its lower 32 bits
   * only, so seeds that differ above them give the same numbers.
   */
  seed(seed: number): void {
    requireSeed(seed)
    engine().native.seedGenerator(this.id, seed)
  }

  /** uint8 tensor; caller disposes. */
  state(): Tensor {
    return new Tensor(engine().native.generatorState(this.id))
  }

  /** Sets a state that `state` returned, on the same kind of device. */
  setState(state: Tensor): void {
    try {
      engine().native.setGeneratorState(this.id, state.handle)
    } catch (error) {
      rethrow(error, 'setState')
    }
  }
}

/** Seeds the default generators of all devices, as torch.manual_seed does. */
export function manualSeed(seed: number): void {
  requireSeed(seed)
  engine().native.seedAll(seed)
}

function requireSeed(seed: number): void {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new TorchError('BAD_ARGUMENT', `seed: expected a non-negative safe integer, received ${seed}`)
  }
}
