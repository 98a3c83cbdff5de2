/** B rows, T positions, H heads, K key/value heads, E head size. */
import {
  bind,
  cudaDevices,
  cudaIndex,
  type Device,
  type DType,
  hasKernel,
  reshape,
  type Tensor,
  tensor,
} from '@adapt-ts/torch'

/** Samples of any length that stand one after another in one row, for a kernel that takes all of them in one call. */
export interface Sequences {
  /** int32 [samples + 1]: where each sample begins, and the end. */
  readonly starts: Tensor
  /** Positions of the longest sample. */
  readonly longest: number
  /** Where a sample also looks at what others have, its keys; undefined where they are its own positions. On the CPU, without a graph. */
  readonly keys?: SequenceKeys
}

/** Keys of each sample, its own positions last. */
export interface SequenceKeys {
  /** int32 [samples + 1]: where the keys of each sample begin among the places, and the end. */
  readonly starts: Tensor
  /** int32: positions of the keys. */
  readonly places: Tensor
}

const flash = bind('aten::_flash_attention_forward')
/** Ours, of the add-on: causal attention over sequences on the CPU, in float32 or bfloat16, sums in float32. */
const ownKernel = bind('adapt::attention')
const known = new Map<Device, boolean>()

/**
 * Whether the device has a kernel for samples of different lengths: the CPU ours, CUDA from compute capability 8.0 flash attention
 * of a LibTorch that knows windows (2.4 and later).
 */
export function hasSequenceAttention(device: Device): boolean {
  let has = known.get(device)
  if (has === undefined) {
    has = device === 'cpu' ? hasKernel('adapt::attention', '', device) : hasFlash(device)
    known.set(device, has)
  }
  return has
}

function hasFlash(device: Device): boolean {
  const index = cudaIndex(device)
  return (
    index !== undefined &&
    (cudaDevices()[index]?.computeCapability[0] ?? 0) >= 8 &&
    hasKernel('aten::_flash_attention_forward', '', device) &&
    flash.schema.includes('window_size_left')
  )
}

/** Whether that kernel takes these numbers: on CUDA 16 bits, and heads that fit its tiles. */
export function fitsSequenceAttention(device: Device, dtype: DType, headDim: number): boolean {
  if (!hasSequenceAttention(device)) return false
  if (device === 'cpu') return dtype === 'float32' || dtype === 'bfloat16'
  const isHalf = dtype === 'bfloat16' || dtype === 'float16'
  return isHalf && headDim % 8 === 0 && headDim <= 256
}

/** Belongs to the current scope. */
export function sequencesOf(lengths: readonly number[], device: Device): Sequences {
  return { starts: startsOf(lengths, device), longest: Math.max(...lengths) }
}

/** int32 [lengths + 1]: where each begins when they stand one after another, and the end. In the current scope. */
export function startsOf(lengths: readonly number[], device: Device): Tensor {
  const starts = new Int32Array(lengths.length + 1)
  for (const [i, length] of lengths.entries()) starts[i + 1] = starts[i]! + length
  return tensor(starts, [starts.length], { device })
}

/**
 * Attention of every position to those of its own sample that are not after it.
 * @param q_BTHE [B, T, H, E] with the samples one after another in its B * T positions, rotated and scaled. @param k_BTKE rotated; of more
 * positions where the samples have keys beside their own.
 * @param window  Positions that a position looks back to, itself included; undefined for all.
 * @returns [B, T, H * E]
 */
export function attendSequences(
  q_BTHE: Tensor,
  k_BTKE: Tensor,
  v_BTKE: Tensor,
  { starts, longest, keys }: Sequences,
  window?: number,
): Tensor {
  const [B, T, H, E] = q_BTHE.shape as [number, number, number, number]
  const [q, k, v] = [q_BTHE, k_BTKE, v_BTKE].map((x) => reshape(x, [-1, ...x.shape.slice(2)])) as [
    Tensor,
    Tensor,
    Tensor,
  ]
  if (q.device === 'cpu') {
    const attended = ownKernel(q, k, v, starts, keys?.starts ?? starts, window ?? 0, keys?.places ?? null)
    return reshape(attended as Tensor, [B, T, H * E])
  }
  if (keys) throw new Error('keys beside those of a sequence have a kernel on the CPU alone')
  const reach = window === undefined ? {} : { window_size_left: window - 1, window_size_right: 0 }
  const dropout = 0
  const isCausal = true
  const debugMask = false
  const [attended] = flash(q, k, v, starts, starts, longest, longest, dropout, isCausal, debugMask, {
    scale: 1,
    ...reach,
  }) as Tensor[]
  return reshape(attended!, [B, T, H * E])
}
