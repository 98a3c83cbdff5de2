import { z } from 'zod'
import type { Apply, Needs, Unit } from '../method/contract.js'
import type {
  AnyGateDefinition,
  AnySignalDefinition,
  MethodDefinition,
  RunShape,
} from '../method/define-method.js'
import { trainingFlops } from '../method/flops.js'
import type { MethodConfig } from '../method/method-config.js'
import { toSnakeCase } from '../method/option-names.js'
import { fillOptions, type Option } from '../method/option-table.js'
import { constantSignal } from '../signal/index.js'
import { costOf, type MethodParts, partsOf, scoringFlops } from './method-parts.js'
import type { MethodId } from './registry.js'
import { resolveMethod, toConfigKeys } from './resolve-method.js'

/** One option of a method, as a config writes it. */
export interface OptionCard {
  readonly key: string
  /** Type and range in words. */
  readonly type: string
  /** Its value where nothing is set, in this method. */
  readonly fallback: unknown
  readonly help: string
}

/** One part of a method, with its options. */
export interface PartCard {
  readonly kind: string
  readonly about: string
  readonly options: readonly OptionCard[]
}

/** FLOPs beside those of training, as shares of them, of the run {@link EXAMPLE_RUN}. */
export interface CostCard {
  readonly preparation: number
  readonly signal: number
  /** Of a scoring forward: with several micro-batches a step, and with one. */
  readonly scoring: number
  readonly scoringOfOne: number
}

/** All that is said of a method, from its definition. */
export interface MethodCard {
  readonly id: string
  readonly about: string
  readonly page: string
  /** When its scores are made: never, once before training, every U steps for what is drawn next, or in every step. */
  readonly cadence: 'never' | 'once' | 'every U' | 'step'
  /** apply `sample`: what is shared out. */
  readonly draws: 'sources' | 'samples' | undefined
  readonly unit: Unit
  readonly apply: Apply
  readonly needs: Needs
  /** Rows drawn for each row that is trained. */
  readonly candidates: number
  readonly cost: CostCard
  readonly signal: PartCard
  readonly gate: PartCard
}

/** The run whose costs a card has: a thousand steps over a hundred thousand samples, read once, with 400 anchors. */
export const EXAMPLE_RUN: RunShape = {
  params: 1e8,
  trainable: 1e8,
  tokens: 5.12e7,
  steps: 1000,
  stepsPerEpoch: 1000,
  samples: 1e5,
  tokensPerPass: 5.12e7,
  anchors: 400,
  tokensPerAnchor: 512,
}

/** When scores are made: {@link MethodCard.cadence}. */
export function cadenceOf({
  isStored,
  signal,
  gate,
}: Pick<MethodParts, 'isStored' | 'signal' | 'gate'>): MethodCard['cadence'] {
  if (isStored) return 'once'
  if (signal === constantSignal && gate.isFixed) return 'never'
  return gate.poolPasses ? 'every U' : 'step'
}

/** What a definition says of its method. */
export function methodCard(definition: MethodDefinition): MethodCard {
  const config: MethodConfig = resolveMethod({ preset: definition.id as MethodId }, () => {})
  const parts = partsOf(config)
  const { params, tokens, tokensPerPass, samples } = EXAMPLE_RUN
  const tokensPerSample = tokensPerPass / samples
  const { preparation, signal } = costOf(config, EXAMPLE_RUN)
  const training = trainingFlops(params, tokens)
  const scoring = (microBatches: number) =>
    scoringFlops(parts, { params, tokens, microBatches, tokensPerSample }) / training
  return {
    id: definition.id,
    about: definition.about,
    page: definition.page,
    cadence: cadenceOf(parts),
    draws: parts.apply === 'sample' ? parts.gate.draws : undefined,
    unit: parts.unit,
    apply: parts.apply,
    needs: parts.needs,
    candidates: parts.candidates,
    cost: {
      preparation: preparation / training,
      signal: signal / training,
      scoring: scoring(2),
      scoringOfOne: scoring(1),
    },
    signal: partCard(parts.signal, config.signal),
    gate: partCard(parts.gate, config.gate),
  }
}

/** @param config  What its options are in a method; default: their defaults. */
export function partCard(
  { kind, about, options }: AnySignalDefinition | AnyGateDefinition,
  config: Readonly<Record<string, unknown>> = toConfigKeys(fillOptions(options, {})),
): PartCard {
  return {
    kind,
    about,
    options: Object.entries(options as Readonly<Record<string, Option<unknown>>>).map(
      ([name, { schema, help }]) => {
        const key = toSnakeCase(name)
        return {
          key,
          type: describeType(z.toJSONSchema(schema, { io: 'input' })),
          fallback: config[key],
          help,
        }
      },
    ),
  }
}

/** What is read of a JSON Schema. */
interface Schema {
  readonly type?: unknown
  readonly const?: unknown
  readonly enum?: readonly unknown[]
  readonly anyOf?: readonly Schema[]
  readonly items?: Schema
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly exclusiveMaximum?: number
}

/** Type and range in words: `whole number >= 1 or "epoch"`. */
export function describeType(json: unknown): string {
  const schema = json as Schema
  if (schema.anyOf) return schema.anyOf.map(describeType).join(' or ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.enum) return schema.enum.join(' | ')
  switch (schema.type) {
    case 'number':
      return `number${describeRange(schema)}`
    case 'integer':
      return `whole number${describeRange(schema)}`
    case 'boolean':
      return 'true | false'
    case 'string':
      return 'text'
    case 'array':
      return `list of ${schema.items ? describeType(schema.items) : 'anything'}`
    case 'null':
      return 'null'
    default:
      return 'mapping'
  }
}

function describeRange({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Schema): string {
  // The bounds of exact integers say nothing to a reader.
  const most = maximum === Number.MAX_SAFE_INTEGER ? undefined : maximum
  const least = minimum === Number.MIN_SAFE_INTEGER ? undefined : minimum
  const lower = least ?? exclusiveMinimum
  const upper = most ?? exclusiveMaximum
  if (lower !== undefined && upper !== undefined) {
    return ` in ${least === undefined ? '(' : '['}${lower}, ${upper}${most === undefined ? ')' : ']'}`
  }
  if (lower !== undefined) return ` ${least === undefined ? '>' : '>='} ${lower}`
  return upper === undefined ? '' : ` ${most === undefined ? '<' : '<='} ${upper}`
}

/** What a method needs of the user's inputs, in words; empty for none. */
export function describeNeeds({ anchors, prompts, sources, unpacked }: Needs): string[] {
  return [
    ...(anchors ? ['anchors'] : []),
    ...(sources === undefined ? [] : [`${sources} sources`]),
    ...(prompts ? ['prompts'] : []),
    ...(unpacked ? ['one sample a row'] : []),
  ]
}
