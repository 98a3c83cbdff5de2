import type { Device } from '@adapt-ts/torch'

/** Positions whose logits a CPU's caches hold for a vocabulary of usual size. */
const CPU_CHUNK_SIZE = 512

/** Logits of a chunk on any other device: 512 MiB in float32, enough work to fill it. */
const DEVICE_LOGITS = 2 ** 27

/** Positions a chunk of the loss where none are given: a multiple of 512. */
export function defaultChunkSize(device: Device, vocabSize: number): number {
  if (device === 'cpu') return CPU_CHUNK_SIZE
  return Math.max(1, Math.floor(DEVICE_LOGITS / vocabSize / 512)) * 512
}
