import {
  checkMethod,
  METHOD_IDS,
  type MethodConfig,
  type MethodParts,
  missingNeeds,
  partsOf,
  resolveMethod,
  SIGNALS,
} from '../catalog/index.js'
import type { RunConfig } from '../config/index.js'
import { ConfigError } from '../errors.js'
import { nearestName } from '../method/nearest-name.js'

/** A signal that may be audited, with the options that one or several methods give it. */
export interface Candidate {
  /** Of the first method that has it; of the config's own, where no method of the list does. */
  readonly name: string
  /** Ids of the methods that score so. */
  readonly methods: readonly string[]
  readonly config: MethodConfig
  readonly parts: MethodParts
}

/** A signal that is left out, and why. */
export interface LeftOut {
  readonly name: string
  readonly reason: string
}

/** Which signals are asked for. */
export interface CandidateChoice {
  /** Kinds of signals or ids of methods; default: all that are not heavy. */
  readonly signals?: readonly string[]
  /** The heavy ones too: those that need gradients of single samples. */
  readonly all?: boolean
}

/** Signal kinds are told apart by what they are and how they are set. */
const keyOf = ({ signal }: MethodConfig): string => JSON.stringify(signal)

/**
 * Every way to score that the methods of the list and the config know, once each, and why others are left out.
 * @throws {ConfigError} UNKNOWN_SIGNAL.
 */
export function findCandidates(
  { method }: Pick<RunConfig, 'method'>,
  inputs: { readonly anchors: number; readonly sources: number; readonly isPlainText: boolean },
  { signals, all = false }: CandidateChoice,
): { readonly candidates: readonly Candidate[]; readonly leftOut: readonly LeftOut[] } {
  const known = [...new Set([...METHOD_IDS, ...SIGNALS.keys()])]
  const unknown = signals?.find((name) => !(known as readonly string[]).includes(name))
  if (unknown !== undefined) {
    const near = nearestName(unknown, known)
    throw new ConfigError(
      'UNKNOWN_SIGNAL',
      `--signals: expected kinds of signals or ids of methods, received "${unknown}"${near === undefined ? '' : ` (did you mean "${near}"?)`}`,
    )
  }
  const found = new Map<string, { name: string; methods: string[]; config: MethodConfig }>()
  for (const id of METHOD_IDS) {
    const config = resolveMethod({ preset: id }, () => {})
    const same = found.get(keyOf(config))
    if (same) same.methods.push(id)
    else found.set(keyOf(config), { name: id, methods: [id], config })
  }
  const own = found.get(keyOf(method))
  if (own === undefined) {
    const name = `config (${method.signal.kind})`
    found.set(keyOf(method), { name, methods: [], config: method })
  }
  const candidates: Candidate[] = []
  const leftOut: LeftOut[] = []
  for (const { name, methods, config } of found.values()) {
    if (signals && ![config.signal.kind, ...methods].some((one) => signals.includes(one))) continue
    const parts = partsOf(config)
    const reason = reasonAgainst(config, parts, inputs, { all: all || signals !== undefined })
    if (reason === undefined) candidates.push({ name, methods, config, parts })
    else leftOut.push({ name, reason })
  }
  return { candidates, leftOut }
}

function reasonAgainst(
  config: MethodConfig,
  { signal, signalOptions }: MethodParts,
  inputs: Parameters<typeof findCandidates>[1],
  { all }: { readonly all: boolean },
): string | undefined {
  if (signal.byCode) return 'the code of a run brings it'
  const [problem] = [...checkMethod(config), ...missingNeeds(config, inputs)]
  if (problem) return `${problem.path.join('.')}: ${problem.message}`
  const isHeavy = signal.needs(signalOptions).factors === true || signal.trainsProxies === true
  if (isHeavy && !all) return 'heavy: ask for it by --signals or --all'
  return undefined
}
