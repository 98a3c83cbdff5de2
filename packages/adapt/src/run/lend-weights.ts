import type { ModelWeights } from '../checkpoint/index.js'
import type { Trainer } from '../train/index.js'

/** Has the trainer's model hold these weights until the result is disposed of; it holds the raw ones anyway. */
export function lendWeights({ average }: Trainer, weights: ModelWeights): Disposable | undefined {
  return weights === 'ema' ? average!.lend() : undefined
}
