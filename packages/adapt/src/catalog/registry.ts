import { customGate, runningMinMaxGate } from '../gate/index.js'
import type { AnyGateDefinition, AnySignalDefinition, MethodDefinition } from '../method/define-method.js'
import { customSignal, sourceSignal } from '../signal/index.js'
import { adapt } from './adapt.js'
import { adaptBm25 } from './adapt-bm25.js'
import { adaptCalibrated } from './adapt-calibrated.js'
import { adaptContrastive } from './adapt-contrastive.js'
import { adaptFrozen } from './adapt-frozen.js'
import { adaptPaper } from './adapt-paper.js'
import { ado } from './ado.js'
import { bm25 } from './bm25.js'
import { dataflex } from './dataflex.js'
import { deltaLoss } from './delta-loss.js'
import { dft } from './dft.js'
import { doge, dogeProxy } from './doge.js'
import { doremi, doremiProxy } from './doremi.js'
import { dsir } from './dsir.js'
import { embedding } from './embedding.js'
import { extremes } from './extremes.js'
import { greats } from './greats.js'
import { ica } from './ica.js'
import { irDro } from './ir-dro.js'
import { jointUpdateAware } from './joint-update-aware.js'
import { less } from './less.js'
import { linupper } from './linupper.js'
import { lossSelection } from './loss-selection.js'
import { near } from './near.js'
import { odm } from './odm.js'
import { opus } from './opus.js'
import { ppl } from './ppl.js'
import { priftMass } from './prift-mass.js'
import { quadratic } from './quadratic.js'
import { random } from './random.js'
import { rds } from './rds.js'
import { rdsPlus } from './rds-plus.js'
import { regmix } from './regmix.js'
import { rho1 } from './rho-1.js'
import { rhoLoss } from './rho-loss.js'
import { staticShares } from './static.js'
import { tacs } from './tacs.js'
import { tsds } from './tsds.js'
import { twin } from './twin.js'
import { uniform } from './uniform.js'
import { updateMatch } from './update-match.js'

/** Every method: a line each. Ids, kinds, options, schema, help, needs and costs follow from it. */
export const METHODS = [
  uniform,
  adapt,
  adaptPaper,
  adaptCalibrated,
  adaptContrastive,
  adaptFrozen,
  adaptBm25,
  dataflex,
  random,
  bm25,
  dsir,
  ppl,
  embedding,
  rds,
  rdsPlus,
  near,
  staticShares,
  odm,
  ado,
  doremi,
  doremiProxy,
  doge,
  dogeProxy,
  regmix,
  greats,
  opus,
  updateMatch,
  jointUpdateAware,
  less,
  tacs,
  linupper,
  quadratic,
  extremes,
  irDro,
  rho1,
  rhoLoss,
  ica,
  dft,
  priftMass,
  lossSelection,
  deltaLoss,
  tsds,
  twin,
] as const

/** Kinds that no method of the list uses: for compositions that a config writes. */
const MORE_SIGNALS = [sourceSignal, customSignal] as const
const MORE_GATES = [runningMinMaxGate, customGate] as const

/** The method of a config that names none. */
export const DEFAULT_METHOD = 'adapt' satisfies MethodId

type AnyMethod = (typeof METHODS)[number]
/** Definition of any signal that a config can name. */
export type KnownSignal = AnyMethod['signal'] | (typeof MORE_SIGNALS)[number]
/** Definition of any gate that a config can name. */
export type KnownGate = AnyMethod['gate'] | (typeof MORE_GATES)[number]

/** Id of a method. */
export type MethodId = AnyMethod['id']
/** Kind of a signal. */
export type SignalKind = KnownSignal['kind']
/** Kind of a gate. */
export type GateKind = KnownGate['kind']

/** Ids of all methods, in the order of the list. */
export const METHOD_IDS = METHODS.map(({ id }) => id) as [MethodId, ...MethodId[]]

/** Every signal by its kind. */
export const SIGNALS: ReadonlyMap<string, AnySignalDefinition> = new Map(
  [...METHODS.map(({ signal }) => signal), ...MORE_SIGNALS].map((signal) => [signal.kind, signal]),
)

/** Every gate by its kind. */
export const GATES: ReadonlyMap<string, AnyGateDefinition> = new Map(
  [...METHODS.map(({ gate }) => gate), ...MORE_GATES].map((gate) => [gate.kind, gate]),
)

const BY_ID: ReadonlyMap<string, MethodDefinition> = new Map(METHODS.map((method) => [method.id, method]))

/** The method with this id, if there is one. */
export function findMethod(id: string): MethodDefinition | undefined {
  return BY_ID.get(id)
}
