import { loadConfig, type RunConfig, rowsPerStep } from '../../config/index.js'
import { printable } from '../../dataset/index.js'
import { ConfigError } from '../../errors.js'
import {
  ACCELERATORS,
  type Device,
  type DeviceEstimate,
  estimateRun,
  type MemoryEstimate,
  type RanksEstimate,
  type RunEstimate,
  thisCpu,
  usableBytes,
} from '../../estimate/index.js'
import type { TasksEstimate } from '../../open/index.js'
import type { CliIo } from '../terminal/cli-io.js'
import { renderJson } from '../terminal/render-json.js'
import { formatCount, renderTable, wrapLines } from '../terminal/render-table.js'
import { deviceHere } from './estimate-here.js'

export interface EstimateCommandOptions {
  readonly set?: readonly string[]
  readonly device?: readonly string[]
  readonly tflops?: number
  readonly memory?: number
  readonly mfu: number
  readonly samples?: number
  readonly ranks?: number
  /** Gbit/s. */
  readonly link?: number
  readonly json?: boolean
}

/** `adapt estimate CONFIG`: what a run would take, without weights, training data or the engine. */
export async function estimateCommand(
  path: string,
  options: EstimateCommandOptions,
  io: CliIo,
): Promise<void> {
  const { mfu, samples, ranks = 1, link } = options
  if (link !== undefined && ranks === 1)
    throw new ConfigError('UNKNOWN_DEVICE', '--link: expected --ranks beside it, received none')
  const { config, baseDir } = await loadConfig(path, {
    env: io.env,
    ...(options.set === undefined ? {} : { set: options.set }),
  })
  const here = await deviceHere(config, (message) => io.stderr.line(`warning: ${message}`))
  const devices = chooseDevices(options, here)
  const estimate = await estimateRun(config, baseDir, {
    devices,
    mfu,
    ranks,
    ...(samples === undefined ? {} : { samples }),
    ...(link === undefined ? {} : { link: link * 1e9 }),
  })
  const tasks =
    config.evaluation.tasks.length === 0
      ? undefined
      : await (await import('../../open/index.js')).estimateRunTasks(config, baseDir, {
          params: estimate.parameters.total,
          totalSteps: estimate.length?.steps,
        })
  io.stdout.write(
    options.json === true
      ? `${renderJson({ ...(toJson(estimate, mfu) as object), ...(tasks ? { tasks } : {}) })}\n`
      : wrapLines(`${render(config, estimate, mfu)}${tasks ? renderTasksEstimate(tasks, estimate) : ''}`),
  )
  const expected = estimate.devices.find(({ device }) => device === here)
  if (expected?.fits === false) {
    const { trainingRemedies } = await import('../../open/index.js')
    io.stderr.line(`warning: ${foretellMemory(expected, trainingRemedies(config))}`)
  }
}

/** What is said of a run that will not fit into the device that it would take. */
export function foretellMemory({ device, memory }: DeviceEstimate, remedies: readonly string[]): string {
  const held =
    device.free !== undefined && device.free < 0.9 * device.memory ? '; other processes hold the rest' : ''
  return (
    `${device.name}: the run is expected to run out of memory: it needs ${formatBytes(memory.total)}, ` +
    `${formatBytes(usableBytes(device))} of ${formatBytes(device.memory)} can be used${held}; try ${remedies.join(', ')}`
  )
}

/** @throws {ConfigError} UNKNOWN_DEVICE */
function chooseDevices({ device, tflops, memory }: EstimateCommandOptions, here?: Device): readonly Device[] {
  if (memory !== undefined && tflops === undefined) {
    throw new ConfigError('UNKNOWN_DEVICE', '--memory: expected --tflops beside it, received none')
  }
  const own: Device[] =
    tflops === undefined
      ? []
      : [
          {
            name: 'your device',
            tflops,
            memory: (memory ?? Number.POSITIVE_INFINITY) * 1e9,
            kind: 'accelerator',
          },
        ]
  const known = [...(here ? [here] : []), thisCpu(), ...ACCELERATORS]
  if (device === undefined) return own.length > 0 ? own : known
  const plain = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const chosen = device.flatMap((name) => {
    const found = known.filter((each) => plain(name) !== '' && plain(each.name).includes(plain(name)))
    if (found.length > 0) return found
    const names = ['cpu', ...ACCELERATORS.map((each) => each.name)].join(', ')
    throw new ConfigError(
      'UNKNOWN_DEVICE',
      `--device: expected one of ${names}, received ${printable(name)}; --tflops and --memory describe any other`,
    )
  })
  return [...own, ...new Set(chosen)]
}

const number = (heading: string) => ({ heading, isNumeric: true })

function render(config: RunConfig, estimate: RunEstimate, mfu: number): string {
  const parts = [
    renderModel(estimate),
    renderMemory(config, estimate),
    renderFlops(config, estimate),
    renderDevices(estimate, mfu),
    ...(estimate.ranks ? [renderRanks(estimate.ranks)] : []),
  ]
  return parts.join('\n')
}

function renderModel({ model, config, parameters }: RunEstimate): string {
  const { architecture = 'LlamaForCausalLM', numHiddenLayers, hiddenSize, vocabSize } = config
  const share = ((100 * parameters.trainable) / parameters.total).toPrecision(3)
  const rows: [string, string, string][] = [
    ['total', formatCount(parameters.total), ''],
    ['trained', formatCount(parameters.trainable), `${share} %`],
    [
      'embedding and head',
      formatCount(parameters.embedding),
      config.tieWordEmbeddings ? 'one table, tied' : '',
    ],
    ...parameters.adapters.map(({ target, layers, parameters: count }): [string, string, string] => [
      `LoRA ${target}`,
      formatCount(count),
      `${layers} layers`,
    ]),
  ]
  const title = `model: ${model}, ${architecture}, ${numHiddenLayers} layers of width ${hiddenSize}, vocabulary ${formatCount(vocabSize)}`
  return `${title}\n\n${renderTable([{ heading: 'parameters' }, number('count'), { heading: '' }], rows)}`
}

const MEMORY_PARTS: readonly (readonly [keyof MemoryEstimate, string])[] = [
  ['weights', 'weights'],
  ['adapters', 'LoRA'],
  ['gradients', 'gradients'],
  ['moments', 'moments of AdamW'],
  ['average', 'moving average'],
  ['exchange', 'gradients of other ranks'],
  ['activations', 'activations'],
  ['transient', 'loss, or backward of a block'],
  ['total', 'total'],
]

function renderMemory(config: RunConfig, { setting, memory, memoryOtherwise }: RunEstimate): string {
  const [without, checkpointed] = setting.checkpointing
    ? [memoryOtherwise, memory]
    : [memory, memoryOtherwise]
  const rows = MEMORY_PARTS.filter(([part]) => part === 'total' || memory[part] > 0).map(([part, name]) => [
    name,
    formatBytes(without[part]),
    formatBytes(checkpointed[part]),
  ])
  const dtype = (bytes: number) => (bytes === 2 ? 'bfloat16' : 'float32')
  const base =
    setting.lora === undefined ? 'float32 weights' : `frozen weights in ${dtype(setting.baseBytes)}`
  const shape = `${setting.rows} ${setting.rows === 1 ? 'row' : 'rows'} x ${formatCount(setting.length)} tokens`
  const configured = config.training.gradient_checkpointing ? 'on' : 'off'
  return (
    `memory of one device: ${shape} a pass, products in ${dtype(setting.computeBytes)}, ${base}; checkpointing is ${configured}\n\n` +
    renderTable([{ heading: 'memory' }, number('plain'), number('gradient_checkpointing')], rows)
  )
}

function renderFlops(config: RunConfig, { length, flops, anchors, ranks }: RunEstimate): string {
  const perToken = `FLOPs per token: ${flops.perToken.toExponential(3)}\n`
  if (length === undefined) {
    return `${perToken}length of the run: unknown; give --samples, or run adapt data once\n`
  }
  const { withoutEmbedding: less } = flops
  const lines: readonly (readonly [string, number, number])[] = [
    ['training', flops.train, less.train],
    ['signal', flops.signal, less.signal],
    ['preparation', flops.preparation, less.preparation],
    ['together', flops.total, less.total],
    ['protocol 6N', flops.plain6N, less.plain6N],
    ['protocol paper-8N', flops.paper8N ?? 0, less.paper8N ?? 0],
  ]
  const rows = lines
    .filter(([name, count]) => count > 0 || name === 'signal')
    .map(([name, ...counts]) => [name, ...counts.map((count) => count.toExponential(4))])
  const basis = length.basis === 'token cache' ? 'as tokenised' : 'at most: full rows'
  const note =
    anchors.count > 0
      ? `, ${formatCount(anchors.count)} anchors of ${formatCount(Math.round(anchors.tokensEach))} tokens`
      : ''
  const steps = `${formatCount(length.steps)} steps of ${formatCount(rowsPerStep(config, ranks?.count))} rows`
  return (
    perToken +
    `length of the run: ${steps}, ${formatCount(length.tokens)} tokens (${basis})${note}\n\n` +
    renderTable(
      [{ heading: 'FLOPs of the run' }, number('all parameters'), number('without embedding and head')],
      rows,
    )
  )
}

function renderTasksEstimate(
  { requests, positions, evaluations, flops, bytes, absent }: TasksEstimate,
  { flops: { total } }: RunEstimate,
): string {
  const share = total > 0 ? `, ${((100 * flops) / total).toPrecision(2)} % of those of the run` : ''
  const missing = absent.length > 0 ? `\nnot counted, their data is not here: ${absent.join(', ')}` : ''
  const times = `${formatCount(evaluations)} ${evaluations === 1 ? 'evaluation' : 'evaluations'}`
  return `\ntasks, beside the above: ${times} of ${formatCount(requests)} requests, ${formatCount(positions)} positions: ${flops.toExponential(3)} FLOPs${share}; ${formatBytes(bytes)} of host memory${missing}\n`
}

function renderRanks({ count, bytesPerStep }: RanksEstimate): string {
  return `${formatCount(count)} ranks: each sends and receives ${formatBytes(bytesPerStep)} a step; sums of gradients hide behind backward, updated parameters do not (docs/scaling.md)\n`
}

function renderDevices({ devices, ranks }: RunEstimate, mfu: number): string {
  const waits = devices.some(({ exposedSeconds }) => exposedSeconds !== undefined)
  const rows = devices.map(({ device, memory, fits, tokensPerSecond, seconds, exposedSeconds }) => [
    device.name,
    Number.isNaN(device.tflops) ? 'unknown' : formatTflops(device.tflops),
    Number.isFinite(device.memory) ? formatBytes(device.memory) : 'not said',
    formatBytes(memory.total),
    fits ? 'fits' : 'does not fit',
    Number.isNaN(tokensPerSecond) ? 'unknown' : formatCount(tokensPerSecond),
    seconds === undefined || Number.isNaN(seconds) ? 'unknown' : formatDuration(seconds),
    ...(waits ? [`${formatCount(Math.round(1000 * exposedSeconds!))} ms`] : []),
  ])
  const columns = [
    { heading: 'device' },
    ...['TFLOP/s', 'memory', 'needed'].map(number),
    { heading: '' },
    number(ranks ? `tokens/s of ${ranks.count}` : 'tokens/s'),
    number('time'),
    ...(waits ? [number('wait a step')] : []),
  ]
  return `${renderTable(columns, rows)}Assumed, not measured: the peak of each device, of which training reaches ${Math.round(100 * mfu)} % (--mfu).\n`
}

function formatTflops(tflops: number): string {
  return tflops >= 10 ? tflops.toFixed(0) : tflops.toPrecision(2)
}

/** Bytes in decimal units, three digits. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB']
  let [value, unit] = [bytes, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return `${unit === 0 || value >= 100 ? value.toFixed(0) : value.toPrecision(3)} ${units[unit]}`
}

/** Seconds in the unit that suits them. */
export function formatDuration(seconds: number): string {
  const [size, unit] =
    seconds < 100
      ? [1, 's']
      : seconds < 6000
        ? [60, 'min']
        : seconds < 172_800
          ? [3600, 'h']
          : [86_400, 'days']
  const value = seconds / (size as number)
  return `${value >= 100 ? formatCount(value) : value.toPrecision(2)} ${unit}`
}

function toJson(estimate: RunEstimate, mfu: number): unknown {
  const { model, config, parameters, setting, memory, memoryOtherwise } = estimate
  const { length, anchors, flops, devices, ranks } = estimate
  const [plain, checkpointed] = setting.checkpointing ? [memoryOtherwise, memory] : [memory, memoryOtherwise]
  return {
    model: { name: model, ...config },
    parameters,
    memory_bytes: { setting, plain, gradient_checkpointing: checkpointed },
    length: length ?? null,
    anchors,
    flops,
    mfu,
    ...(ranks ? { ranks: { count: ranks.count, bytes_per_step: ranks.bytesPerStep } } : {}),
    devices: devices.map(({ device, memory: needed, fits, tokensPerSecond, seconds, exposedSeconds }) => ({
      name: device.name,
      tflops: figure(device.tflops),
      memory_bytes: Number.isFinite(device.memory) ? device.memory : null,
      needed_bytes: needed.total,
      fits,
      tokens_per_second: figure(tokensPerSecond),
      seconds: seconds === undefined ? null : figure(seconds),
      ...(exposedSeconds === undefined ? {} : { wait_seconds_per_step: figure(exposedSeconds) }),
      ...(device.free === undefined ? {} : { free_bytes: device.free }),
    })),
  }
}

const figure = (value: number) => (Number.isNaN(value) ? null : value)
