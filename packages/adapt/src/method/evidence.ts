/** B rows, T positions, D width, N labelled positions, S samples of a micro-batch. */
import { type Device, type DType, type Tensor, tensor } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { AdaptError, EXIT } from '../errors.js'
import { chunkedTokenLosses, type LabelledPositions, labelledPositions, sampleMeans } from '../loss/index.js'
import { type CausalLM, embedTokens, type ModelInputs, toModelInputs } from '../model/index.js'
import type { Evidence, LinearFactors } from './contract.js'
import { factoredForward } from './linear-factors.js'
import type { Artefact } from './preparation.js'

/** What evidence is made from. */
export interface EvidenceParts {
  readonly model: CausalLM
  readonly inputs: ModelInputs
  /** float32 [B, T, D] after the final norm. */
  readonly hidden_BTD: Tensor
  readonly labelled: LabelledPositions
  readonly autocastDtype: DType | undefined
  /** Whether the output head is multiplied in float32 whatever `autocastDtype`. */
  readonly exactLosses?: boolean
  readonly reference: Artefact['tokenLoss']
  /** Of the same forward; absent in the training pass, whose graph is the loss's own. */
  readonly factors?: LinearFactors
  /** float32 [N], where the forward gave them already. */
  readonly loss_N?: Tensor
}

/** Evidence of a forward that was made. Losses are computed once, when a signal first asks, and belong to the scope of that moment. */
export function createEvidence(parts: EvidenceParts): Evidence {
  const { model, inputs, hidden_BTD, labelled, autocastDtype, exactLosses, reference } = parts
  const { batch } = inputs
  let { loss_N } = parts
  const tokenLoss_N = (): Tensor => {
    if (loss_N === undefined || loss_N.isDisposed) {
      loss_N =
        labelled.count === 0
          ? tensor(new Float32Array(0), [0], { device: model.device })
          : chunkedTokenLosses(labelled.select(hidden_BTD), model.headWeight, labelled.labels_N, {
              computeDtype: exactLosses ? undefined : autocastDtype,
            })
    }
    return loss_N
  }
  return {
    batch,
    inputs,
    hidden_BTD,
    sampleOf_N: labelled.sampleOf,
    tokenLoss_N,
    sampleLoss_S() {
      return sampleMeans(tokenLoss_N(), batch.samples)
    },
    referenceLoss_N() {
      if (reference === undefined) throw notNamed('reference')
      const losses = referenceLosses(reference, batch, labelled.sampleOf)
      return tensor(losses, [losses.length], { device: model.device })
    },
    factors() {
      if (parts.factors === undefined) throw notNamed('factors')
      return parts.factors
    },
  }
}

/** Evidence of a batch under the model as it is now, in evaluation mode without a graph; belongs to the current scope. */
export function lookAt(
  model: CausalLM,
  batch: Batch,
  options: {
    readonly autocastDtype: DType | undefined
    readonly reference: Artefact['tokenLoss']
    /** Whether to take gradients back to the trained linear layers, +4N FLOPs per token. */
    readonly factors?: boolean
    readonly exactLosses?: boolean
  },
): Evidence {
  const { autocastDtype, reference, exactLosses = false } = options
  const inputs = toModelInputs(batch, model.device)
  const labelled = labelledPositions(batch, model.device)
  const forward = options.factors
    ? factoredForward(model, inputs, labelled, autocastDtype)
    : { hidden_BTD: embedTokens(model, inputs, { autocastDtype }) }
  return createEvidence({ model, inputs, labelled, autocastDtype, exactLosses, reference, ...forward })
}

/** The same evidence with token losses of another reference. */
export function withReference(
  evidence: Evidence,
  reference: NonNullable<Artefact['tokenLoss']>,
  device: Device,
): Evidence {
  return {
    ...evidence,
    referenceLoss_N() {
      const losses = referenceLosses(reference, evidence.batch, evidence.sampleOf_N)
      return tensor(losses, [losses.length], { device })
    },
  }
}

/** Evidence of a batch that no model has seen, for scores that were made before training. */
export function evidenceOf(batch: Batch): Evidence {
  const missing = () => {
    throw notNamed('a forward')
  }
  return {
    batch,
    get inputs() {
      return missing()
    },
    get hidden_BTD() {
      return missing()
    },
    get sampleOf_N() {
      return missing()
    },
    tokenLoss_N: missing,
    sampleLoss_S: missing,
    referenceLoss_N: missing,
    factors: missing,
  }
}

/** The reference's losses of a micro-batch's labelled positions, float32 [N]. */
function referenceLosses(
  reference: NonNullable<Artefact['tokenLoss']>,
  batch: Batch,
  sampleOf_N: Int32Array,
): Float32Array {
  const bySample = batch.samples.map(({ index, numLabels }) =>
    numLabels > 0 ? reference.at(index) : new Float32Array(0),
  )
  bySample.forEach((losses, i) => {
    const { numLabels, id } = batch.samples[i]!
    if (losses.length === numLabels) return
    throw new RangeError(`reference losses of sample ${id}: expected ${numLabels}, received ${losses.length}`)
  })
  const next = new Int32Array(bySample.length)
  return Float32Array.from(sampleOf_N, (sample) => bySample[sample]![next[sample]!++]!)
}

function notNamed(what: string): AdaptError {
  return new AdaptError('NOT_NAMED', EXIT.bug, `a signal asked for ${what}, which its needs do not name`)
}
