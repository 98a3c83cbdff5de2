/** D width in, E width out, V vocabulary, T positions, H heads. Any leading dimensions unless said otherwise. */
import type { Device } from '../device.js'
import { bind } from '../dispatch.js'
import type { DType } from '../dtype.js'
import {
  add,
  cat,
  cos,
  embedding,
  linear,
  mean,
  mul,
  narrow,
  neg,
  pow,
  rsqrt,
  silu,
  sin,
  tensor,
  toDevice,
  toDType,
} from '../ops.js'
import { scope } from '../scope.js'
import type { Tensor } from '../tensor.js'
import { Module, type Parameter } from './module.js'
import { hasOwnKernel, knownKernel } from './own-kernels.js'
import { createParameter } from './parameter-defaults.js'

/** y = x W^T + b, weight [outFeatures, inFeatures], zeros until initialised or loaded. */
export class Linear extends Module {
  readonly weight: Parameter
  readonly bias: Parameter | undefined

  constructor(inFeatures: number, outFeatures: number, { bias = false }: { bias?: boolean } = {}) {
    super()
    this.weight = createParameter([outFeatures, inFeatures], 0)
    this.bias = bias ? createParameter([outFeatures], 0) : undefined
  }

  /** [..., inFeatures] -> [..., outFeatures]. */
  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias)
  }
}

/** Rows of weight [V, D] by id: int64 [...] -> float [..., D]. */
export class Embedding extends Module {
  readonly weight: Parameter

  constructor(numEmbeddings: number, embeddingDim: number) {
    super()
    this.weight = createParameter([numEmbeddings, embeddingDim], 0)
  }

  /** int64 [...] -> [..., embeddingDim]; an id outside the table is an error of the engine. */
  forward(ids: Tensor): Tensor {
    return embedding(this.weight, ids)
  }
}

const fusedRmsNorm = bind('aten::_fused_rms_norm')
/** Ours, of the add-on. */
const ownRmsNorm = bind('adapt::rms_norm')
const ownRotary = bind('adapt::rotary')
const ownSwiglu = bind('adapt::swiglu')

/** x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in float32 (Zhang and Sennrich 2019). */
export class RMSNorm extends Module<[Tensor, DType?]> {
  readonly weight: Parameter
  readonly eps: number

  constructor(dim: number, { eps = 1e-6 }: { eps?: number } = {}) {
    super()
    this.weight = createParameter([dim], 1)
    this.eps = eps
  }

  /** float [..., dim] -> [..., dim] in the dtype of what reads it. */
  forward(x: Tensor, dtype: DType = 'float32'): Tensor {
    const { device, dtype: own } = x
    if (hasOwnKernel('adapt::rms_norm', device, own, this.weight.dtype, dtype))
      return ownRmsNorm(x, this.weight, this.eps, dtype) as Tensor
    const x32 = own === 'float32' ? x : toDType(x, 'float32')
    const weight = this.weight.dtype === 'float32' ? this.weight : toDType(this.weight, 'float32')
    const normed = knownKernel('aten::_fused_rms_norm', device)
      ? (fusedRmsNorm(x32, weight.shape, weight, this.eps) as Tensor[])[0]!
      : mul(mul(x32, rsqrt(add(mean(pow(x32, 2), -1, true), this.eps))), weight)
    return dtype === 'float32' ? normed : toDType(normed, dtype)
  }
}

/**
 * Rotary position embedding (Su et al. 2021) in Hugging Face's half-rotation layout.
 * Tables are float32 [maxPositions, headDim]: cos and sin of position * inverseFrequency, repeated for both halves.
 */
export class RotaryTable {
  readonly cos: Tensor
  readonly sin: Tensor

  /** @param inverseFrequencies  [headDim / 2], radians per position. Default theta^(-2i/headDim). */
  constructor(
    headDim: number,
    maxPositions: number,
    {
      theta = 10_000,
      inverseFrequencies,
      device,
    }: { readonly device: Device; readonly theta?: number; readonly inverseFrequencies?: Float32Array },
  ) {
    const half = headDim / 2
    const angles = new Float32Array(maxPositions * headDim)
    for (let position = 0; position < maxPositions; position++) {
      for (let i = 0; i < half; i++) {
        // PyTorch makes the inverse frequencies and the angles in float32; so do we.
        const inverse =
          inverseFrequencies?.[i] ?? Math.fround(1 / Math.fround(theta ** Math.fround((2 * i) / headDim)))
        const angle = Math.fround(position * inverse)
        angles[position * headDim + i] = angle
        angles[position * headDim + half + i] = angle
      }
    }
    const [c, s] = scope(() => {
      const angle = tensor(angles, [maxPositions, headDim])
      return [toDevice(cos(angle), device), toDevice(sin(angle), device)] as const
    })
    this.cos = c.persist()
    this.sin = s.persist()
  }

  /** Frees both tables. */
  dispose(): void {
    this.cos.dispose()
    this.sin.dispose()
  }
}

/**
 * Rotates x [..., heads, headDim] by float32 tables that broadcast against it: x cos + rotateHalf(x) sin, computed in float32.
 * @param dtype  Of the result; default that of x. The tables get no gradient.
 */
export function applyRotary(x: Tensor, cosTable: Tensor, sinTable: Tensor, dtype: DType = x.dtype): Tensor {
  if (hasOwnKernel('adapt::rotary', x.device, x.dtype, dtype))
    return ownRotary(x, cosTable, sinTable, dtype) as Tensor
  const half = x.shape.at(-1)! / 2
  const rotated = cat([neg(narrow(x, -1, half, half)), narrow(x, -1, 0, half)], -1)
  const turned = add(mul(x, cosTable), mul(rotated, sinTable))
  return turned.dtype === dtype ? turned : toDType(turned, dtype)
}

/** gate sigmoid(gate) up, the gated activation of Shazeer (2020); both of one shape. */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  const { device, dtype } = gate
  return up.dtype === dtype && hasOwnKernel('adapt::swiglu', device, dtype)
    ? (ownSwiglu(gate, up) as Tensor)
    : mul(silu(gate), up)
}
