import type { ModelConfig } from '../dimensions/model-config.js'

const f32 = Math.fround

/**
 * Rotary frequencies theta^(-2i/E) of a head, stretched as `ropeScaling` says. float32 arithmetic throughout, as in
 * PyTorch, so that angles far into a text agree to the last bit.
 *
 * llama3: frequencies whose wavelength is beyond the old context are divided by `factor`, those far below it stay,
 * and in between the two are interpolated linearly in (old context / wavelength).
 *
 * @returns [E / 2], radians per position.
 */
export function inverseFrequencies({ headDim, ropeTheta, ropeScaling }: ModelConfig): Float32Array {
  const plain = Float32Array.from(
    { length: headDim / 2 },
    (_, i) => 1 / f32(ropeTheta ** f32((2 * i) / headDim)),
  )
  if (ropeScaling === undefined) return plain
  const { factor } = ropeScaling
  if (ropeScaling.kind === 'linear') return plain.map((frequency) => frequency / factor)
  const { lowFreqFactor: low, highFreqFactor: high, originalMaxPositionEmbeddings: context } = ropeScaling
  return plain.map((frequency) => {
    const wavelength = f32(f32(2 * Math.PI) / frequency)
    if (wavelength < context / high) return frequency
    if (wavelength > context / low) return f32(frequency / factor)
    const smooth = f32(f32(f32(context / wavelength) - low) / (high - low))
    return f32(f32(f32(f32(1 - smooth) * frequency) / factor) + f32(smooth * frequency))
  })
}
