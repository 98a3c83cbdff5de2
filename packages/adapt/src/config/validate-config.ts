import { checkMethod, missingNeeds, partsOf } from '../catalog/index.js'
import type { CrossFieldIssue } from './config-issue.js'
import type { RunConfig } from './run-config.js'
import { bestModelWarnings, validateBestModel } from './validate-best-model.js'

/** Checks the keys of a config against each other; an empty list means that the run may start. */
export function validateConfig(config: RunConfig): readonly CrossFieldIssue[] {
  return [
    ...validateModel(config),
    ...validateMethod(config),
    ...validateSchedule(config),
    ...validateEntries(config),
    ...validateEvaluation(config),
    ...validateBestModel(config),
    ...validateMixing(config),
    ...validateTrainOn(config),
  ]
}

/** Settings that are valid but most likely not meant. */
export function configWarnings(config: RunConfig): readonly string[] {
  const warnings: string[] = []
  const { method, evaluation, training, data } = config
  const { needs, byCode } = partsOf(method)
  if (!needs.anchors && !byCode.includes('signal') && config.anchors.length > 0) {
    warnings.push(`anchors: not used, because method.signal.kind is "${method.signal.kind}"`)
  }
  // A gate that needs sources weighs by them.
  const isUniform = method.signal.kind === 'constant' && needs.sources === undefined
  if (method.apply !== 'sample' && isUniform && method.gate.kind !== 'identity') {
    warnings.push(`method.gate: a constant signal gives every sample the same weight, whatever the gate`)
  }
  warnings.push(...signalWarnings(config))
  const hasTasks = evaluation.tasks.length > 0
  const isMeasured = evaluation.sets.length > 0 || data.val_set_size !== undefined
  if (evaluation.every_steps !== undefined && !isMeasured && !hasTasks) {
    warnings.push(
      'evaluation.every_steps: no effect, because evaluation.sets and evaluation.tasks are empty and data.val_set_size not set',
    )
  }
  const isIdle = evaluation.task_options.every_steps !== undefined && !hasTasks
  if (isIdle) warnings.push('evaluation.task_options: no effect, because evaluation.tasks is empty')
  warnings.push(...bestModelWarnings(config))
  if (training.lr_scheduler_type === 'constant' && training.min_lr_ratio > 0) {
    warnings.push('training.min_lr_ratio: no effect on a constant schedule')
  }
  const { ema_decay, max_steps } = training
  if (ema_decay !== undefined && max_steps !== undefined && ema_decay ** max_steps > 0.1) {
    const share = (100 * ema_decay ** max_steps).toFixed(0)
    warnings.push(
      `training.ema_decay: after max_steps (${max_steps}) the average still is ${share} % of the weights that the run began with; lower it`,
    )
  }
  return warnings
}

function signalWarnings({ method: { signal }, anchors }: RunConfig): string[] {
  if (signal.kind !== 'model-embedding') return []
  const warnings: string[] = []
  // Sources that only the records name cannot be counted here.
  const tasks = anchors.map((entry) =>
    'task' in entry ? entry.task : 'source' in entry ? entry.source : undefined,
  )
  if (
    signal.aggregate !== 'micro' &&
    tasks.length > 0 &&
    tasks.every((task) => task !== undefined) &&
    new Set(tasks).size === 1
  ) {
    const effect = signal.aggregate === 'zmax' ? 'is only its z-score' : 'is the same as micro'
    warnings.push(
      `method.signal.aggregate: all anchors are one task (${JSON.stringify(tasks[0])}), for which ${signal.aggregate} ${effect}; give the entries of anchors a task`,
    )
  }
  if (signal.refresh === 'adaptive' && signal.probe_every > signal.refresh_max) {
    warnings.push(
      'method.signal.probe_every: above refresh_max, so that the probe never decides when to refresh',
    )
  }
  return warnings
}

function validateModel({ model, data }: RunConfig): CrossFieldIssue[] {
  if (!('init' in model)) return validateAdapter(model)
  if (model.config === undefined) return []
  const issues: CrossFieldIssue[] = []
  const shape = model.config
  const path = (key: string) => ['model', 'config', key]
  const divides = (
    whole: 'hidden_size' | 'num_attention_heads',
    part: 'num_attention_heads' | 'num_key_value_heads',
  ) => {
    const a = shape[whole]
    const b = shape[part]
    if (a === undefined || b === undefined || a % b === 0) return
    issues.push({ path: path(part), message: `expected a divisor of ${whole} (${a}), received ${b}` })
  }
  divides('hidden_size', 'num_attention_heads')
  divides('num_attention_heads', 'num_key_value_heads')
  const positions = shape.max_position_embeddings
  if (positions !== undefined && data.max_length > positions) {
    const message = `expected at most model.config.max_position_embeddings (${positions}), received ${data.max_length}`
    issues.push({ path: ['data', 'max_length'], message })
  }
  return issues
}

function validateAdapter({
  lora,
  adapter,
  dtype,
}: Extract<RunConfig['model'], { path: string }>): CrossFieldIssue[] {
  if (lora !== undefined && adapter !== undefined) {
    const message = 'expected lora (a new adapter) or adapter (one to train on), received both'
    return [{ path: ['model', 'adapter'], message }]
  }
  if (lora === undefined && adapter === undefined && dtype !== undefined && dtype !== 'float32') {
    const message =
      `expected float32 for weights that are trained, received ${dtype}; training.bf16 computes in bfloat16 and ` +
      'keeps float32 weights, lora freezes them'
    return [{ path: ['model', 'dtype'], message }]
  }
  return []
}

function validateMethod({ method, anchors, data }: RunConfig): CrossFieldIssue[] {
  const sources = namedSources(data.train)
  const missing = missingNeeds(method, {
    anchors: anchors.length,
    isPacked: data.packing,
    ...(sources === undefined ? {} : { sources: sources.length }),
    ...(data.train.every((entry) => 'text_field' in entry) ? { isPlainText: true } : {}),
  })
  const problems = checkMethod(method).map(({ path, message }) => ({ path: ['method', ...path], message }))
  return [...missing, ...problems]
}

/** The sources of entries that all name theirs; what files hold is not known here. */
function namedSources(entries: RunConfig['data']['train']): readonly string[] | undefined {
  const named = entries.map((entry) => ('source' in entry ? entry.source : undefined))
  return named.every((source) => source !== undefined) ? [...new Set(named)] : undefined
}

function validateSchedule({ training }: RunConfig): CrossFieldIssue[] {
  const issues: CrossFieldIssue[] = []
  const { max_steps, num_train_epochs, warmup_ratio, warmup_steps, decay_ratio } = training
  const report = (key: string, message: string) => issues.push({ path: ['training', key], message })
  if (max_steps !== undefined && num_train_epochs !== undefined) {
    report('num_train_epochs', `expected either max_steps or num_train_epochs, received both`)
  }
  if (warmup_ratio !== undefined && warmup_steps !== undefined) {
    report('warmup_steps', `expected either warmup_ratio or warmup_steps, received both`)
  }
  if (warmup_steps !== undefined && max_steps !== undefined && warmup_steps > max_steps) {
    report('warmup_steps', `expected at most max_steps (${max_steps}), received ${warmup_steps}`)
  }
  if (training.learning_rate * training.weight_decay >= 1) {
    // The decay multiplies weights by 1 - learning_rate x weight_decay.
    const most = `expected less than 1 / learning_rate (${1 / training.learning_rate})`
    report('weight_decay', `${most}, or every step turns the weights over; received ${training.weight_decay}`)
  }
  if (training.lr_scheduler_type === 'wsd') {
    const warmup =
      warmup_ratio ?? (warmup_steps !== undefined && max_steps !== undefined ? warmup_steps / max_steps : 0)
    // A tolerance of rounding, so that 0.9 + 0.1 is one whole run.
    if (warmup + decay_ratio > 1 + 1e-9) {
      report(
        'decay_ratio',
        `expected warm-up and decay to fit into the run, received shares ${warmup} and ${decay_ratio}`,
      )
    }
  }
  return issues
}

/** Names of sources are only known from the data; what the config says of them is judged here. */
function validateMixing({ data, method }: RunConfig): CrossFieldIssue[] {
  const { mixing, train } = data
  if (method.apply === 'sample' && mixing !== 'natural') {
    const received = typeof mixing === 'string' ? mixing : Object.keys(mixing).join(', ')
    const message = `expected natural with method "${method.preset}", which decides itself how the sources are drawn; received ${received}`
    return [{ path: ['data', 'mixing'], message }]
  }
  if (typeof mixing === 'string') return []
  const path = ['data', 'mixing']
  if (!Object.values(mixing).some((share) => share > 0)) {
    return [{ path, message: 'expected at least one share above 0, received none' }]
  }
  const named = namedSources(train)
  if (named === undefined) return []
  return Object.keys(mixing)
    .filter((source) => !named.includes(source))
    .map((source) => ({
      path: [...path, source],
      message: `expected a source of data.train (${named.join(', ')}), received "${source}"`,
    }))
}

/** Keys of an entry that say the same thing in two ways. */
function validateEntries({ data, anchors, evaluation }: RunConfig): CrossFieldIssue[] {
  const lists: [(string | number)[], readonly object[]][] = [
    [['data', 'train'], data.train],
    [['anchors'], anchors],
    [['evaluation', 'sets'], evaluation.sets],
  ]
  return lists.flatMap(([path, entries]) =>
    entries.flatMap((entry, i) => {
      const { columns = {}, ...keys } = entry as { readonly columns?: Readonly<Record<string, string>> }
      const given = new Set([...Object.keys(keys), ...Object.keys(columns).map((key) => `columns.${key}`)])
      const pairs: [string, string][] = [
        ['source', 'source_field'],
        ['source', 'columns.source'],
        ['source', 'name'],
        ['source_field', 'columns.source'],
        ['messages_field', 'columns.messages'],
        ['text_field', 'messages_field'],
        ['text_field', 'columns.text'],
      ]
      return pairs
        .filter(([first, second]) => given.has(first) && given.has(second))
        .map(([first, second]) => ({
          path: [...path, i, ...second.split('.')],
          message: `expected ${first} or ${second}, received both`,
        }))
    }),
  )
}

function validateEvaluation({ evaluation, training }: RunConfig): CrossFieldIssue[] {
  const { limit, every_steps, apply_chat_template, fewshot_as_multiturn } = evaluation.task_options
  const issues: CrossFieldIssue[] = []
  const refuse = (key: string, message: string) =>
    issues.push({ path: ['evaluation', 'task_options', key], message })
  for (const [key, value] of Object.entries({ limit, every_steps })) {
    if (value !== undefined && value >= 1 && !Number.isInteger(value))
      refuse(key, `expected a whole number, or a share below 1, received ${value}`)
  }
  if (fewshot_as_multiturn && !apply_chat_template)
    refuse('fewshot_as_multiturn', 'expected it with apply_chat_template: true')
  if (evaluation.weights === 'ema' && training.ema_decay === undefined) {
    const message = 'expected raw without training.ema_decay, received ema'
    issues.push({ path: ['evaluation', 'weights'], message })
  }
  return [...issues, ...repeatedSets(evaluation)]
}

function repeatedSets(evaluation: RunConfig['evaluation']): CrossFieldIssue[] {
  const seen = new Set<string>()
  return evaluation.sets.flatMap((set, i) => {
    const name = 'name' in set ? set.name : undefined
    if (name === undefined) return []
    if (!seen.has(name)) {
      seen.add(name)
      return []
    }
    return [
      {
        path: ['evaluation', 'sets', i, 'name'],
        message: `expected each name once, received a second "${name}"`,
      },
    ]
  })
}

function validateTrainOn({ data }: RunConfig): CrossFieldIssue[] {
  if (data.train_on === 'all' || data.assistant_only_loss) return []
  const message =
    'expected "all" with data.assistant_only_loss: false, which trains every message, received "last"; remove one of the two'
  return [{ path: ['data', 'train_on'], message }]
}
