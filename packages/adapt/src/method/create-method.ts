import {
  CalibratedSigmoidGate,
  createIdentityGate,
  createSigmoidGate,
  createSoftmaxGate,
  type Gate,
} from '../gate/index.js'
import { createConstantSignal, ModelEmbeddingSignal, type Signal } from '../signal/index.js'
import type { Method } from './method.js'
import { type GateConfig, type MethodConfig, resolveNormalizer, type SignalConfig } from './method-config.js'

/** What a method's defaults depend on. */
export interface MethodContext {
  readonly totalSteps: number
  readonly stepsPerEpoch: number
  /** Whether every training record is plain text (else prompts are masked). */
  readonly isPlainText: boolean
}

type Factory<Config, Made> = (config: Config, context: MethodContext) => Made
type Registry<Config extends { kind: string }, Made> = {
  readonly [K in Config['kind']]: Factory<Extract<Config, { kind: K }>, Made>
}

/** Every signal there is, by its config kind. */
const SIGNALS: Registry<SignalConfig, Signal> = {
  constant: () => createConstantSignal(),
  'model-embedding': (config, { stepsPerEpoch }) =>
    new ModelEmbeddingSignal({
      pooling: config.pooling,
      tokens: config.tokens,
      refresh: config.refresh,
      refreshEvery: config.refresh_every === 'epoch' ? Math.max(1, stepsPerEpoch) : config.refresh_every,
      probeEvery: config.probe_every,
      drift: config.drift,
      refreshMin: config.refresh_min,
      refreshMax: config.refresh_max,
      aggregate: config.aggregate,
      lseBeta: config.lse_beta,
      center: config.center,
      centroidEma: config.centroid_ema,
      scoreEval: config.score_eval,
    }),
}

/** Every gate there is, by its config kind. */
const GATES: Registry<GateConfig, Gate> = {
  identity: () => createIdentityGate(),
  sigmoid: ({ temperature, w_min, w_max }) => createSigmoidGate({ temperature, wMin: w_min, wMax: w_max }),
  softmax: ({ temperature }) => createSoftmaxGate({ temperature }),
  'calibrated-sigmoid': ({ ess, edr, update_every, warmup_ratio }, { totalSteps }) =>
    new CalibratedSigmoidGate({
      ess,
      edr,
      updateEvery: update_every,
      warmupSteps: Math.min(200, Math.round(warmup_ratio * totalSteps)),
    }),
}

/** Builds a gate from its resolved config. */
export function createGate(config: GateConfig, context: MethodContext): Gate {
  return (GATES[config.kind] as Factory<GateConfig, Gate>)(config, context)
}

/** Builds a method from its resolved config. */
export function createMethod(config: MethodConfig, context: MethodContext): Method {
  const makeSignal = SIGNALS[config.signal.kind] as Factory<SignalConfig, Signal>
  return {
    name: config.preset,
    signal: makeSignal(config.signal, context),
    gate: createGate(config.gate, context),
    apply: config.apply,
    normalizer: resolveNormalizer(config, context.isPlainText),
  }
}
