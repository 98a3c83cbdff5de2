import { openSync, readSync } from 'node:fs'
import { DataError } from '../errors.js'
import type { Artefact } from '../method/index.js'
import type { TokenDataset } from '../tokenize/index.js'

/** Token losses of a reference in a file: float32, sample after sample in dense order, those left out skipped. */
export class StoredTokenLosses implements NonNullable<Artefact['tokenLoss']> {
  /** Where the losses of a sample begin, in numbers; [P + 1]. */
  private readonly start: Float64Array
  private descriptor: number | undefined

  /**
   * @param path  float32 file, little endian.
   * @param hasLosses  uint8 [P], 1 for the samples that it holds.
   */
  constructor(
    readonly path: string,
    readonly hasLosses: Uint8Array,
    data: Pick<TokenDataset, 'numSamples' | 'labelCount'>,
  ) {
    this.start = new Float64Array(data.numSamples + 1)
    for (let i = 0; i < data.numSamples; i++)
      this.start[i + 1] = this.start[i]! + (hasLosses[i] === 1 ? data.labelCount(i) : 0)
  }

  /** float32 of the labelled positions of a sample. @throws {DataError} NO_REFERENCE_LOSS for a sample that it does not hold. */
  at(index: number): Float32Array {
    if (this.hasLosses[index] !== 1) {
      throw new DataError('NO_REFERENCE_LOSS', `sample ${index}: the reference was not asked for its losses`)
    }
    const values = new Float32Array(this.start[index + 1]! - this.start[index]!)
    if (values.length === 0) return values
    const bytes = new Uint8Array(values.buffer)
    // Open for the rest of the process: a step asks for many samples.
    this.descriptor ??= openSync(this.path, 'r')
    const numRead = readSync(this.descriptor, bytes, 0, bytes.length, this.start[index]! * 4)
    if (numRead === bytes.length) return values
    throw new DataError(
      'REFERENCE_DAMAGED',
      `${this.path}: it ends before sample ${index}; remove its folder`,
    )
  }
}
