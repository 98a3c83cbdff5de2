/** S samples of a micro-batch, N labelled positions. */
import { type Device, type DType, zeros } from '@adapt-ts/torch'
import type { Batch } from '../batch/index.js'
import { ConfigError } from '../errors.js'
import { type Artefact, type Evidence, lookAt } from '../method/index.js'
import type { CausalLM } from '../model/index.js'

/** What a method sees of samples where nothing is trained. */
export interface Eyes {
  readonly device: Device
  /** Whether there is a model, and so a loss. */
  readonly hasModel: boolean
  /** Belongs to the current scope. */
  look(batch: Batch): Evidence
  /** Evidence that costs no forward, for weights whose scores are there already. */
  glance(batch: Batch): Evidence
}

/** The eyes of a model as it is. */
export function eyesOf(
  model: CausalLM,
  options: {
    readonly autocastDtype: DType | undefined
    readonly reference: Artefact['tokenLoss']
    /** Whether gradients of single samples are asked for. */
    readonly factors: boolean
  },
): Eyes {
  return {
    device: model.device,
    hasModel: true,
    look: (batch) => lookAt(model, batch, options),
    glance: (batch) => evidenceWithoutModel(batch, model.device),
  }
}

/** For scores that were made before: there is no model to look with. */
export const BLIND: Eyes = {
  device: 'cpu',
  hasModel: false,
  look: (batch) => evidenceWithoutModel(batch, 'cpu'),
  glance: (batch) => evidenceWithoutModel(batch, 'cpu'),
}

/** @throws {ConfigError} NEEDS_MODEL */
export function missingModel(): never {
  throw new ConfigError(
    'NEEDS_MODEL',
    'method: its scores are made before training, but its gate looks at losses, which only a run has',
  )
}

function evidenceWithoutModel(batch: Batch, device: Device): Evidence {
  return {
    batch,
    get inputs() {
      return missingModel()
    },
    // Its place is all that may be asked of it.
    hidden_BTD: zeros([1, 1, 1], { device }),
    get sampleOf_N() {
      return new Int32Array(0)
    },
    tokenLoss_N: missingModel,
    sampleLoss_S: missingModel,
    referenceLoss_N: missingModel,
    factors: missingModel,
  }
}
