import type { DType, Tensor } from '@adapt-ts/torch'
import type { AdapterDropout } from '../lora/adapter-dropout.js'
import type { Sequences } from './attend-sequences.js'
import type { AttentionGroup, AttentionMask } from './attention.js'
import type { KeyValueCache } from './key-value-cache.js'
import type { LinearTaps } from './linear-taps.js'

/** Rotation tables of the positions of one forward: float32 [B or 1, T, 1, E]; those of q carry 1 / sqrt(E). */
export interface Rotation {
  readonly cosQuery: Tensor
  readonly sinQuery: Tensor
  readonly cosKey: Tensor
  readonly sinKey: Tensor
}

/** What all blocks of one forward share. */
export interface ForwardContext {
  readonly rotation: Rotation
  /** For layers that look at everything before. */
  readonly mask: AttentionMask
  /** For layers with a sliding window; the same object where the window is longer than every sample. */
  readonly slidingMask: AttentionMask
  /** Samples that stand one after another in the one row, with masks of their own; undefined where each row is one. */
  readonly groups?: readonly AttentionGroup[] | undefined
  /** The same samples in place of `groups`, where the device has a kernel for all of them at once. */
  readonly sequences?: Sequences | undefined
  /** Where matrix products run in another dtype than the residual stream: what they read is converted once. */
  readonly computeDtype?: DType | undefined
  /** Keys and values of earlier positions: generation only. */
  readonly cache?: KeyValueCache | undefined
  /** Keys and values of positions that stand before every group, or before those of `sequences`. */
  readonly before?: KeyValueCache | undefined
  /** Which inputs of LoRA adapters are dropped: training with `lora_dropout` only. */
  readonly dropout?: AdapterDropout | undefined
  /** Keeps what trained linear layers read and give: gradients of single samples only. */
  readonly taps?: LinearTaps | undefined
}
