/** Fused kernels beside the same in float64 out of LibTorch's operators. N rows, D width, H heads, E head size. */
import {
  add,
  backward,
  bind,
  cat,
  type DType,
  Generator,
  mean,
  mul,
  narrow,
  neg,
  normal_,
  pow,
  rsqrt,
  scope,
  sigmoid,
  type Tensor,
  toDType,
  zeros,
} from '../index.js'
import { relativeError } from './compare.test.fixture.js'

export const rmsNorm = bind('adapt::rms_norm')
export const rotary = bind('adapt::rotary')
export const swiglu = bind('adapt::swiglu')

type Fused = (...inputs: Tensor[]) => Tensor

export interface FusedCase {
  /** Of the inputs, each of which gets a gradient. */
  readonly shapes: readonly (readonly number[])[]
  readonly dtypes: readonly DType[]
  readonly outputDtype: DType
  readonly kernel: Fused
  /** Of float64 inputs. */
  readonly composed: Fused
}

const RMS_NORM_SHAPES: readonly (readonly number[])[] = [[1], [3, 5, 7], [130, 37], [2, 65, 64], [9, 1, 300]]
const RMS_NORM_DTYPES: readonly (readonly [DType, DType, DType])[] = [
  ['float32', 'float32', 'float32'],
  ['float32', 'float32', 'bfloat16'],
  ['float32', 'bfloat16', 'float32'],
  ['bfloat16', 'float32', 'float32'],
  ['bfloat16', 'bfloat16', 'bfloat16'],
]

export const RMS_NORM_CASES: readonly FusedCase[] = RMS_NORM_SHAPES.flatMap((shape) =>
  RMS_NORM_DTYPES.map(([dtype, weightDtype, outputDtype]) => ({
    shapes: [shape, shape.slice(-1)],
    dtypes: [dtype, weightDtype],
    outputDtype,
    kernel: (x, weight) => rmsNorm(x!, weight!, 0.5, outputDtype) as Tensor,
    composed: (x, weight) => mul(mul(x!, rsqrt(add(mean(pow(x!, 2), -1, true), 0.5))), weight!),
  })),
)

/** Of x and of the tables. */
const ROTARY_SHAPES: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[3, 2], [2]],
  [
    [2, 5, 3, 8],
    [2, 5, 1, 8],
  ],
  [
    [2, 4, 5, 42],
    [2, 1, 5, 42],
  ],
  [
    [3, 130, 4, 64],
    [1, 130, 1, 64],
  ],
]
const ROTARY_DTYPES: readonly (readonly [DType, DType])[] = [
  ['float32', 'float32'],
  ['float32', 'bfloat16'],
  ['bfloat16', 'float32'],
  ['bfloat16', 'bfloat16'],
]

/** Cosine and sine of any angles, those of the halves differ; belong to the current scope. */
export function drawTables(shape: readonly number[]): [Tensor, Tensor] {
  const generator = new Generator(8)
  const draw = () => normal_(zeros([...shape]), 0, 1, generator)
  return [draw(), draw()]
}

function rotate(x: Tensor, cosTable: Tensor, sinTable: Tensor): Tensor {
  const half = x.shape.at(-1)! / 2
  const turned = cat([neg(narrow(x, -1, half, half)), narrow(x, -1, 0, half)], -1)
  return add(mul(x, cosTable), mul(turned, sinTable))
}

export const ROTARY_CASES: readonly FusedCase[] = ROTARY_SHAPES.flatMap(([shape, tableShape]) =>
  ROTARY_DTYPES.map(([dtype, outputDtype]) => ({
    shapes: [shape],
    dtypes: [dtype],
    outputDtype,
    kernel: (x) => rotary(x!, ...drawTables(tableShape), outputDtype) as Tensor,
    composed: (x) => rotate(x!, ...drawTables(tableShape)),
  })),
)

const SWIGLU_SHAPES: readonly (readonly number[])[] = [[1], [3, 7], [2, 5, 33], [3, 97, 83]]

export const SWIGLU_CASES: readonly FusedCase[] = SWIGLU_SHAPES.flatMap((shape) =>
  (['float32', 'bfloat16'] as const).map((dtype) => ({
    shapes: [shape, shape],
    dtypes: [dtype, dtype],
    outputDtype: dtype,
    kernel: (gate, up) => swiglu(gate!, up!) as Tensor,
    composed: (gate, up) => mul(mul(gate!, sigmoid(gate!)), up!),
  })),
)

export interface FusedInputs {
  readonly inputs: readonly Tensor[]
  readonly outputGradient: Tensor
}

/** Random numbers that the case's dtypes hold exactly; belong to the current scope. */
export function drawInputs({ shapes, dtypes, outputDtype, kernel }: FusedCase): FusedInputs {
  const generator = new Generator(5)
  const draw = (shape: readonly number[], dtype: DType) =>
    toDType(normal_(zeros([...shape]), 0, 1, generator), dtype)
  const inputs = shapes.map((shape, i) => draw(shape, dtypes[i]!))
  return { inputs, outputGradient: draw(kernel(...inputs).shape, outputDtype) }
}

/** Output and gradients of the inputs: by the kernel, or in float64. */
export function runFused(
  which: 'kernel' | 'composed',
  fusedCase: FusedCase,
  { inputs, outputGradient }: FusedInputs = drawInputs(fusedCase),
): Tensor[] {
  const to = (x: Tensor) => (which === 'kernel' ? x : toDType(x, 'float64'))
  const leaves = inputs.map((x) => mul(to(x), 1).setRequiresGrad())
  const output = fusedCase[which](...leaves)
  backward([output], [to(outputGradient)])
  return [output, ...leaves.map((x) => x.grad!)]
}

/** Relative distances of outputs and gradients from those in float64: the largest of those in either dtype. */
export function fusedErrors(cases: readonly FusedCase[]): { float32: number; bfloat16: number } {
  const errors = { float32: 0, bfloat16: 0 }
  for (const fusedCase of cases) {
    scope(() => {
      const expected = runFused('composed', fusedCase)
      for (const [i, found] of runFused('kernel', fusedCase).entries()) {
        const dtype = found.dtype as keyof typeof errors
        errors[dtype] = Math.max(errors[dtype], relativeError(found, expected[i]!))
      }
    })
  }
  return errors
}

/** Rounding to bfloat16 alone is at most 2^-8 of a number. */
export const isClose = ({ float32, bfloat16 }: ReturnType<typeof fusedErrors>) =>
  float32 < 1e-6 && bfloat16 < 2 ** -8
