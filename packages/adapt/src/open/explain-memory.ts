import { type Device, TorchError } from '@adapt-ts/torch'
import type { RunConfig } from '../config/index.js'
import { ResourceError } from '../errors.js'
import { trainsAdapter } from './open-model.js'

/**
 * What is said where memory ran out: which operator asked for how much, what was free, and what to change. Any other error
 * comes back as it is.
 *
 * @param what  That was under way, for instance `step 3`.
 * @param remedies  Each a key and what to do with it.
 * @returns ResourceError OUT_OF_MEMORY (exit 5), with `operator`, `asked`, `free` and `capacity` in its context where LibTorch tells them.
 */
export function explainMemory(
  error: unknown,
  what: string,
  device: Device,
  remedies: readonly string[],
): unknown {
  if (!(error instanceof TorchError) || error.code !== 'OUT_OF_MEMORY') return error
  const { op } = error.context
  const operator = typeof op === 'string' ? op : (/^(\w[\w.]*)[:(]/.exec(error.message)?.[1] ?? 'LibTorch')
  const facts = { operator, ...readAmounts(error.message) }
  const { asked = 'more', free, capacity } = facts
  const left =
    free === undefined ? '' : `, ${free}${capacity === undefined ? '' : ` of ${capacity}`} was free`
  return new ResourceError(
    'OUT_OF_MEMORY',
    `${what}: out of memory on ${device}: ${operator} asked for ${asked}${left}; try ${listOf(remedies)}`,
    { device, ...facts },
    { cause: error },
  )
}

/** What `make` returns; an error of memory gets its explanation. */
export function withMemoryAdvice<T>(
  what: string,
  device: Device,
  remedies: readonly string[],
  make: () => T,
): T {
  try {
    return make()
  } catch (error) {
    throw explainMemory(error, what, device, remedies)
  }
}

function listOf(parts: readonly string[]): string {
  return parts.length < 2 ? parts.join() : `${parts.slice(0, -1).join(', ')} or ${parts.at(-1)}`
}

/** Amounts as LibTorch writes them: its CPU and its device allocators, old and new. */
function readAmounts(message: string) {
  const amount = '([\\d.]+ ?(?:[KMGT]iB|bytes))'
  const find = (pattern: string) => new RegExp(pattern, 'i').exec(message)?.[1]
  const asked = find(`tried to allocate ${amount}`)
  const free = find(`of which ${amount} is free`) ?? find(`${amount} free`)
  const capacity = find(`total capacity of ${amount}`) ?? find(`${amount} total capacity`)
  return {
    ...(asked === undefined ? {} : { asked }),
    ...(free === undefined ? {} : { free }),
    ...(capacity === undefined ? {} : { capacity }),
  }
}

/** What makes a training step of a config smaller, by what it costs: first what leaves the result as it is. */
export function trainingRemedies({ model, training, data }: RunConfig): readonly string[] {
  const { per_device_train_batch_size: rows, gradient_checkpointing, loss_chunk_size } = training
  const isAdapter = trainsAdapter(model)
  return [
    ...(rows > 1
      ? [
          `a smaller training.per_device_train_batch_size (now ${rows}; gradient_accumulation_steps raised by as much keeps the result)`,
        ]
      : []),
    ...(gradient_checkpointing ? [] : ['training.gradient_checkpointing: true']),
    ...(loss_chunk_size === 'auto' || loss_chunk_size > 64
      ? [`a smaller training.loss_chunk_size (now ${loss_chunk_size})`]
      : []),
    ...('path' in model && !isAdapter ? ['model.lora'] : []),
    `a smaller data.max_length (now ${data.max_length})`,
  ]
}

/** What makes loading a model smaller. */
export function loadingRemedies({ model, training }: RunConfig): readonly string[] {
  const isAdapter = trainsAdapter(model)
  return [
    ...(isAdapter && model.dtype !== 'bfloat16' && training.bf16 !== true ? ['model.dtype: bfloat16'] : []),
    ...('path' in model && !isAdapter ? ['model.lora'] : []),
    'a smaller model',
    'another training.device',
  ]
}

/** What makes an evaluation of a run smaller. */
export function evaluationRemedies({ evaluation, data }: RunConfig): readonly string[] {
  const { per_device_eval_batch_size: rows } = evaluation
  return [
    ...(rows === 1
      ? []
      : [
          rows === 'auto'
            ? 'evaluation.per_device_eval_batch_size: 1'
            : `a smaller evaluation.per_device_eval_batch_size (now ${rows})`,
        ]),
    `a smaller data.max_length (now ${data.max_length})`,
  ]
}
