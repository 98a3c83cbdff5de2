import { describe, expect, it } from 'vitest'
import { foreignNames, keyOfForeignName, reasonForNoKey } from './foreign-names.js'
import { configJsonSchema } from './run-config.js'

type Schema = { properties?: Record<string, Schema>; anyOf?: Schema[] }
const pathsOf = (schema: Schema, path: string[] = []): string[] =>
  (schema.anyOf ?? [schema]).flatMap((branch) =>
    Object.entries(branch.properties ?? {}).flatMap(([key, child]) => [
      [...path, key].join('.'),
      ...pathsOf(child, [...path, key]),
    ]),
  )
const paths = pathsOf(configJsonSchema() as Schema)

describe('the names of other trainers', () => {
  it('lead to keys that there are, and none of them is a key itself', () => {
    expect([...new Set(foreignNames.values())].filter((key) => !paths.includes(key))).toEqual([])
    // An option of a signal or gate stands below its kind, which knows its own names first.
    const outside = paths.filter((path) => !/^method\.(signal|gate)\./.test(path))
    const own = new Set(outside.map((path) => path.split('.').at(-1)))
    expect(
      [...foreignNames.keys()].filter((name) => own.has(name) && !['lora_alpha'].includes(name)),
    ).toEqual([
      // At the top level it can only be meant as the key of method.
      'preset',
    ])
  })

  it.each([
    ['eval_steps', 'evaluation.every_steps'],
    ['batch_size', 'training.per_device_train_batch_size'],
    ['lr', 'training.learning_rate'],
    ['max-seq-length', 'data.max_length'],
    ['cutoff_len', 'data.max_length'],
    ['modelNameOrPath', 'model.path'],
    ['sample_packing', 'data.packing'],
    ['device_map', 'training.device'],
    ['use_cpu', 'training.device'],
    ['no_cuda', 'training.device'],
    ['accelerator', 'training.device'],
    ['gpu', 'training.device'],
  ])('%s is %s', (name, key) => {
    expect(keyOfForeignName(name)).toBe(key)
  })

  it('say why there is no key for what there is not', () => {
    expect(reasonForNoKey('device')).toBeUndefined()
    expect(reasonForNoKey('world_size')).toContain('adapt launch --nproc N')
    expect(reasonForNoKey('constructor')).toBeUndefined()
    // Spelling alone would lead to data.train and model.lora.r.
    expect(reasonForNoKey('do_train')).toContain('the command')
    expect(reasonForNoKey('rl')).toContain('the command')
    expect(reasonForNoKey('trust_remote_code')).toContain('no code of a model folder')
  })
})
