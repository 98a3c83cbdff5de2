import type { DType } from '@adapt-ts/torch'
import { bytesForPass, cachedPositionsThatFit, rowsThatFit } from '../eval/rows-that-fit.js'
import { forwardFlops } from '../method/flops.js'
import type { CausalLM } from '../model/index.js'
import type { Tokenizer } from '../tokenize/index.js'
import { fingerprintModel } from './fingerprint-base.js'
import type { ModelPlaces } from './locate-model.js'

/** A pass on a CPU: more gains nothing, and waits longer for a signal. */
const CPU_PASS_FLOPS = 2e11

/** Positions of a pass on a CPU, for a model of so many parameters. */
export function cpuPositions(numParameters: number): number {
  return Math.min(4096, Math.max(1024, Math.floor(CPU_PASS_FLOPS / forwardFlops(numParameters, 1))))
}

/** Positions of a sequence by which the memory of a pass is judged. */
const JUDGED_LENGTH = 256

/** Positions of a pass, and those whose keys and values are kept beside it, by the memory that is free now. */
export function passLimits(
  model: CausalLM,
  autocastDtype: DType | undefined,
): { readonly maxPositions: number; readonly maxCachedPositions: number } {
  const bytes = bytesForPass(model.device)
  const positions = rowsThatFit(model, JUDGED_LENGTH, bytes, autocastDtype) * JUDGED_LENGTH
  return {
    maxPositions: model.device === 'cpu' ? Math.min(cpuPositions(model.numParameters), positions) : positions,
    maxCachedPositions: cachedPositionsThatFit(model, bytes, autocastDtype),
  }
}

/** Tells a model, its tokenizer and its precision from others: what they said is kept under it. */
export function modelKeyOf(places: ModelPlaces, tokenizer: Tokenizer, precision: string): string {
  const of = (folder: string | undefined) => (folder === undefined ? '' : fingerprintModel(folder, '.'))
  return [of(places.model), of(places.adapter), tokenizer.hash, precision].join(' ')
}
