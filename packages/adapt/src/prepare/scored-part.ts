/** P samples of the pool, of which a part is scored. */
import type { RunConfig } from '../config/index.js'
import { readDimensions } from '../estimate/index.js'
import { type Artefact, isDrawn, type SignalDefinition, scoredShare, shapeOf } from '../method/index.js'
import { type RunInputs, trainsAdapter } from '../open/index.js'

interface DrawnFrom {
  readonly config: RunConfig
  readonly baseDir: string
  readonly inputs: RunInputs
  readonly totalSteps: number
  readonly passes: number
}

/** Tells the draw of what is scored apart from others. */
const SCORED_STREAM = 42

/** What of the pool is scored. */
export function drawScored(
  // biome-ignore lint/suspicious/noExplicitAny: a definition's options are its own
  definition: SignalDefinition<string, any>,
  options: Readonly<Record<string, unknown>>,
  { config, baseDir, inputs: { train, anchors }, totalSteps, passes }: DrawnFrom,
): { readonly isScored: (index: number) => boolean; readonly share: number } {
  const { numSamples } = train
  if (definition.scoresPart === undefined) return { isScored: () => true, share: 1 }
  const { model, training } = config
  const shape = shapeOf(
    { data: train, anchors, totalSteps, passes },
    {
      ...{ params: 1, trainable: 1, recompute: training.gradient_checkpointing },
      frozenBase: trainsAdapter(model),
      positions: readDimensions(config, baseDir).config.maxPositionEmbeddings,
    },
  )
  const share = scoredShare(definition, options, shape)
  return { isScored: isDrawn({ numSamples, seed: config.training.seed }, share, SCORED_STREAM), share }
}

/** The artefact of a pool of which a part was scored. */
export function inPart(
  { scoresPart }: Pick<SignalDefinition, 'scoresPart'>,
  made: Artefact,
  {
    isScored,
    share,
    inputs: { train },
  }: {
    readonly isScored: (index: number) => boolean
    readonly share: number
    readonly inputs: Pick<RunInputs, 'train'>
  },
): Artefact {
  const figures = { ...made.figures, scored: share }
  if (scoresPart === 'rest has scores') return { ...made, figures }
  const { numSamples } = train
  const kept_P = Uint8Array.from({ length: numSamples }, (_, i) =>
    isScored(i) && made.kept_P?.[i] !== 0 ? 1 : 0,
  )
  return {
    ...made,
    ...(made.score_P ? { score_P: made.score_P.map((score, i) => (isScored(i) ? score : -Infinity)) } : {}),
    ...{ kept_P, figures },
  }
}

/**
 * Computes what is wanted of the scored samples alone; -Infinity for the others.
 * @param compute  float32 [samples * width].
 * @returns The same of samples whose indexes follow one another.
 */
export function ofPart(
  compute: (indexes: readonly number[]) => Promise<Float32Array>,
  width: number,
  isScored: (index: number) => boolean,
): (indexes: readonly number[]) => Promise<Float32Array> {
  return async (indexes) => {
    const wanted = indexes.filter(isScored)
    if (wanted.length === indexes.length) return await compute(indexes)
    const values = new Float32Array(indexes.length * width).fill(-Infinity)
    if (wanted.length === 0) return values
    const computed = await compute(wanted)
    for (const [place, index] of wanted.entries())
      values.set(computed.subarray(place * width, (place + 1) * width), (index - indexes[0]!) * width)
    return values
  }
}
