import { TorchError } from '@adapt-ts/torch'
import { describe, expect, it } from 'vitest'
import { parseConfig, type RunOptions } from '../config/index.js'
import type { AdaptError } from '../errors.js'
import { explainMemory, loadingRemedies, trainingRemedies } from './explain-memory.js'

const explain = (message: string, context: Record<string, unknown> = {}) =>
  explainMemory(new TorchError('OUT_OF_MEMORY', message, context), 'step 3', 'cuda:0', [
    'training.gradient_checkpointing: true',
    'a smaller data.max_length (now 2048)',
  ]) as AdaptError

describe('where memory runs out', () => {
  it('one line says which operator asked for how much and what to change', () => {
    const error = explain(
      'mm([8192, 4096], [4096, 128256]): CUDA out of memory. Tried to allocate 3.91 GiB. GPU 0 has a total capacity of 139.81 GiB ' +
        'of which 1.06 GiB is free. Including non-PyTorch memory, this process has 138.74 GiB memory in use.',
      { op: 'mm' },
    )
    expect(error).toMatchObject({ code: 'OUT_OF_MEMORY', exitCode: 5 })
    expect(error.message).toBe(
      'step 3: out of memory on cuda:0: mm asked for 3.91 GiB, 1.06 GiB of 139.81 GiB was free; ' +
        'try training.gradient_checkpointing: true or a smaller data.max_length (now 2048)',
    )
    expect(error.context).toMatchObject({ operator: 'mm', asked: '3.91 GiB', free: '1.06 GiB' })
  })

  it('older wording, the pass back and the allocator of the CPU are read too', () => {
    const old = explain(
      'backward: CUDA out of memory. Tried to allocate 512.00 MiB (GPU 0; 15.78 GiB total capacity; 14.00 GiB already allocated; 300.25 MiB free; 15.00 GiB reserved in total by PyTorch)',
    )
    expect(old.message).toContain('backward asked for 512.00 MiB, 300.25 MiB of 15.78 GiB was free; ')
    const cpu = explain('empty([1125899906842624]): not enough memory', { op: 'empty' })
    expect(cpu.message).toContain('step 3: out of memory on cuda:0: empty asked for more; ')
  })

  it('no other error is changed', () => {
    const other = new TorchError('TORCH_ERROR', 'mm: shapes differ')
    expect(explainMemory(other, 'step 3', 'cpu', [])).toBe(other)
    const plain = new Error('out of memory')
    expect(explainMemory(plain, 'step 3', 'cpu', [])).toBe(plain)
  })
})

describe('what makes a step smaller', () => {
  const base: RunOptions = {
    model: { path: 'base' },
    data: { train: ['a.jsonl'], maxLength: 128 },
    method: 'uniform',
    outputDir: 'run',
  }
  const keys = (options: Partial<RunOptions>, of = trainingRemedies) =>
    of(parseConfig({ ...base, ...options })).map((text) => /[a-z_]+\.[a-z_]+|a smaller model/.exec(text)![0])

  it('is what the config has not done yet', () => {
    expect(keys({})).toEqual([
      'training.per_device_train_batch_size',
      'training.gradient_checkpointing',
      'training.loss_chunk_size',
      'model.lora',
      'data.max_length',
    ])
    const small = { perDeviceTrainBatchSize: 1, gradientCheckpointing: true, lossChunkSize: 32 }
    expect(keys({ training: small, model: { path: 'base', lora: {} } })).toEqual(['data.max_length'])
    expect(keys({ model: { path: 'base', lora: {} } }, loadingRemedies)).toEqual([
      'model.dtype',
      'a smaller model',
      'training.device',
    ])
  })
})
