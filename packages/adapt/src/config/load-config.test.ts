// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of references to the environment
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { METHOD_IDS } from '../catalog/index.js'
import { ConfigError } from '../errors.js'
import { type LoadConfigOptions, loadConfig, MAX_CONFIG_BYTES, parseConfigText } from './load-config.js'
import { renderResolvedConfig } from './render-config.js'
import type { RunConfig } from './run-config.js'

const MINIMAL = `model: { init: scratch, preset: llama-1m }
tokenizer: tok
data: { train: [a.jsonl] }
anchors: [b.jsonl]
output_dir: runs/x
`

function load(text: string, options: LoadConfigOptions = {}): RunConfig {
  return parseConfigText(text, 'run.yaml', { env: {}, ...options })
}

function failure(text: string, options: LoadConfigOptions = {}): string[] {
  try {
    load(text, options)
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError)
    expect(error).toMatchObject({ code: 'INVALID_CONFIG', exitCode: 2 })
    return (error as ConfigError).message.split('\n')
  }
  throw new Error('expected the config to be refused')
}

const TASK_OPTIONS = {
  fewshot_seed: 1234,
  include_path: [],
  apply_chat_template: false,
  fewshot_as_multiturn: false,
}

describe('a valid config', () => {
  it('takes report_to as a list, a name or none', () => {
    const to = (value: string) => load(MINIMAL, { set: [`training.report_to=${value}`] }).training.report_to
    expect(['none', '[]', 'tensorboard', '[tensorboard]'].map(to)).toEqual([
      [],
      [],
      ['tensorboard'],
      ['tensorboard'],
    ])
    expect(failure(MINIMAL, { set: ['training.report_to=wandb'] })[0]).toContain('tensorboard')
  })

  it('gets every default', () => {
    expect(load(MINIMAL)).toEqual({
      model: { init: 'scratch', preset: 'llama-1m' },
      tokenizer: 'tok',
      data: {
        train: [{ path: 'a.jsonl' }],
        max_length: 1024,
        packing: true,
        packing_window: 1024,
        allow_anchor_overlap: false,
        assistant_only_loss: true,
        train_on: 'all',
        completion_only_loss: true,
        num_workers: 1,
        max_bad_records: 0,
        mixing: 'natural',
      },
      anchors: [{ path: 'b.jsonl' }],
      method: {
        preset: 'adapt',
        signal: {
          kind: 'model-embedding',
          pooling: 'position_weighted',
          tokens: 'all',
          refresh: 'interval',
          refresh_every: 50,
          refresh_from: 'last',
          probe_every: 25,
          drift: 0.01,
          refresh_min: 25,
          refresh_max: 1000,
          aggregate: 'micro',
          lse_beta: 10,
          center: false,
          centroid_ema: 1,
          score_eval: false,
          score_shrinkage: 'none',
        },
        gate: { kind: 'sigmoid', temperature: 1, w_min: 0, w_max: 1 },
        apply: 'loss',
      },
      training: {
        num_train_epochs: 1,
        per_device_train_batch_size: 8,
        gradient_accumulation_steps: 1,
        learning_rate: 5e-4,
        lr_scheduler_type: 'linear',
        decay_ratio: 0.2,
        min_lr_ratio: 0,
        weight_decay: 0,
        adam_beta1: 0.9,
        adam_beta2: 0.999,
        adam_epsilon: 1e-8,
        max_grad_norm: 1,
        seed: 42,
        bf16: 'auto',
        device: 'auto',
        deterministic: false,
        tf32: false,
        gradient_checkpointing: false,
        loss_chunk_size: 'auto',
        dataloader_drop_last: false,
        ddp_timeout: 1800,
        ddp_backend: 'auto',
        sharded_optimizer: 'auto',
        load_best_model_at_end: false,
        early_stopping_threshold: 0,
        logging_steps: 10,
        save_steps: 500,
        save_total_limit: 2,
        report_to: [],
      },
      evaluation: {
        ...{ per_device_eval_batch_size: 16, weights: 'raw', sets: [], tasks: [] },
        task_options: TASK_OPTIONS,
      },
      output_dir: 'runs/x',
    })
  })

  it('does not get num_train_epochs when max_steps is given', () => {
    expect(load(`${MINIMAL}training: { max_steps: 5 }`).training).not.toHaveProperty('num_train_epochs')
  })

  it('comes back unchanged from its resolved rendering, awkward texts included', () => {
    const awkward = ['no', '1_000', '0123', '${HOME}', '$${x}', 'a: b', '*a', '!x', ' s ', '1e3', 'null', '~']
    awkward.push('ü\u2028')
    for (const text of awkward) {
      const config = load(`${MINIMAL}method: adapt-calibrated`, { outputDir: text })
      expect(config.output_dir).toBe(text)
      expect(load(renderResolvedConfig(config))).toEqual(config)
    }
  })

  it('resolves paths against the folder of the file', async () => {
    const { baseDir, config, warnings } = await loadConfig(join(folder, 'ok.yaml'))
    expect(baseDir).toBe(folder)
    expect(config.tokenizer).toBe('tok')
    expect(warnings).toEqual([])
  })
})

describe('an invalid config', () => {
  it('reports every problem on its own line with line and column', () => {
    const text = `model: { init: scratch, preset: llama-3x }
tokenizer: 5
data:
  train: []
  max_length: 0
method: adatp
training:
  learning_rat: 1
  learning_rate: .nan
  adam_beta2: 1
  bf16: maybe
learning_rate: 3
`
    expect(failure(text)).toEqual([
      'run.yaml:1:1: output_dir: expected text, received nothing',
      'run.yaml:1:33: model.preset: expected one of "llama-1m", "llama-3m", "llama-10m", "llama-120m", received "llama-3x" (did you mean "llama-3m"?)',
      'run.yaml:2:12: tokenizer: expected text, received 5',
      'run.yaml:4:10: data.train: expected at least one entry, received a list',
      'run.yaml:5:15: data.max_length: expected a whole number in [2, 1048576], received 0',
      `run.yaml:6:9: method: expected one of ${METHOD_IDS.map((id) => `"${id}"`).join(', ')} or a mapping, received "adatp" (did you mean "adapt"?)`,
      'run.yaml:8:3: training.learning_rat: expected a known key, received "learning_rat" (did you mean "learning_rate"?)',
      'run.yaml:9:18: training.learning_rate: expected a number in [1e-12, 1000000], received .nan',
      'run.yaml:10:15: training.adam_beta2: expected a number in [0, 0.999999], received 1',
      'run.yaml:11:9: training.bf16: expected true or false or "auto", received "maybe"',
      'run.yaml:12:1: learning_rate: expected a known key, received "learning_rate" (did you mean "training.learning_rate"?)',
    ])
  })

  it('names the nearest key inside short forms and lists the keys when none is near', () => {
    const sources = MINIMAL.replace('[a.jsonl]', '[a.jsonl, { path: b.jsonl, limt: 3 }]')
    expect(failure(sources)[0]).toBe(
      'run.yaml:3:43: data.train.1.limt: expected a known key, received "limt" (did you mean "limit"?)',
    )
    expect(failure(`${MINIMAL}evaluation: { banana: 1 }`)[0]).toContain(
      '(known keys: every_steps, per_device_eval_batch_size, weights, sets, tasks, task_options)',
    )
    expect(failure(MINIMAL.replace('preset:', 'path: x, preset:'))[0]).toContain('model.path')
  })

  it('reports an unreadable value once and still reports the others', () => {
    expect(failure(`${MINIMAL}training: { seed: 1_000, max_steps: 0 }`)).toEqual([
      'run.yaml:6:19: training.seed: expected a value that every YAML version reads alike, received 1_000 (write 1000, or quotes for the text)',
      'run.yaml:6:37: training.max_steps: expected a whole number in [1, 1000000000], received 0',
    ])
  })

  it('does not pass terminal controls on', () => {
    const [line] = failure(`${MINIMAL}"a\\e[2J\\u202e": 1`)
    expect(line).toContain('\\u{1b}[2J\\u{202e}')
    expect(line).not.toContain('\u001b')
  })

  it('lists a bounded number of problems', () => {
    const lines = failure(MINIMAL + Array.from({ length: 5000 }, (_, i) => `k${i}: 1\n`).join(''))
    expect(lines).toHaveLength(101)
    expect(lines[100]).toBe('and 4900 more problems')
  })

  it('is refused when empty, not a mapping, or not YAML', () => {
    const expected = 'run.yaml: expected a config with keys such as model and data, received'
    expect(failure('')).toEqual([`${expected} nothing (null)`])
    expect(failure('- a')).toEqual([`${expected} a list`])
    expect(failure('a: "b')[0]).toMatch(
      /^run\.yaml:1:6: expected valid YAML, received: Missing closing "quote/,
    )
  })
})

describe('another kind of file', () => {
  const only = (text: string, file = 'run.yaml') => {
    try {
      parseConfigText(text, file, { env: {} })
    } catch (error) {
      const lines = (error as Error).message.split('\n')
      expect(lines).toHaveLength(1)
      return lines[0]!
    }
    throw new Error('was read')
  }

  it('is one error that says what it is', () => {
    expect(only('base: run.yaml\nseeds: [0]\narms: {}\n')).toBe(
      'run.yaml: expected the config of a run, received a study; adapt compare trains it',
    )
    expect(only('{"text": "a", "id": 1}\n', 'a.json')).toContain('received a file with text, id; is it data?')
    expect(only('Once upon a time\n', 'a.txt')).toContain(
      'expected a config with keys such as model and data, received',
    )
    expect(only('modle: {}\n')).toContain('received a file with modle (did you mean "model"?)')
  })

  it('is a data file by its name, whatever YAML makes of its bytes', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'adapt-config-'))
    for (const [name, bytes] of [
      ['a.jsonl', '{"text": "a"}\n{"text": "b"}\n'],
      ['a.csv', 'a,b\n1,2\n'],
      ['a.jsonl.gz', Buffer.from([0x1f, 0x8b, 8, 0])],
    ] as const) {
      const file = join(dir, name)
      await writeFile(file, bytes)
      await expect(loadConfig(file)).rejects.toThrow(
        `${file}: expected a YAML config, received a data file; a config names it in data.train`,
      )
    }
    await expect(loadConfig(dir)).rejects.toThrow(`${dir}: expected a config file, received a folder`)
    await expect(loadConfig('')).rejects.toThrow('"": expected a config file, received no such file')
    await rm(dir, { recursive: true })
  })

  it('is one error where one mistake makes the rest unreadable', () => {
    expect(only('model: { path: "${X}" }\ndata: { train: [a] }\noutput_dir: o\nmethod: uniform\n')).toBe(
      'run.yaml:1:16: model.path: expected environment variable X to be set, received nothing',
    )
    expect(only('model:\n\tpath: x\n\tdtype: y\ndata:\n\ttrain: [a]\n')).toBe(
      'run.yaml:2:1: expected spaces, received a tab (YAML indents with spaces only)',
    )
    expect(
      only('model: { path: ${X} }\ndata: { train: [${D}/a.jsonl, ${E}] }\noutput_dir: ${O}\n'),
    ).toContain(
      'run.yaml:1:17: expected valid YAML, received: Unexpected flow-map-start at node end (inside { } or [ ], write "${X}" in quotes)',
    )
  })
})

describe('a key of another trainer', () => {
  const hint = (assignment: string) => {
    try {
      load(MINIMAL, { set: [assignment] })
    } catch (error) {
      return /\(.*\)$/.exec((error as Error).message)?.[0]
    }
    throw new Error('was read')
  }
  it.each([
    ['training.eval_steps=2', '(did you mean "evaluation.every_steps"?)'],
    ['seed=1', '(did you mean "training.seed"?)'],
    ['method.seed=1', '(did you mean "training.seed"?)'],
    ['training.batch_size=2', '(did you mean "training.per_device_train_batch_size"?)'],
    ['lr=1', '(did you mean "training.learning_rate"?)'],
    ['epochs=1', '(did you mean "training.num_train_epochs"?)'],
    ['output=x', '(did you mean "output_dir"?)'],
    ['resume=true', '(did you mean "training.resume_from_checkpoint"?)'],
    ['device=cuda', '(did you mean "training.device"?)'],
    ['device_map=auto', '(did you mean "training.device"?)'],
    ['use_cpu=true', '(did you mean "training.device"?)'],
    ['warmup_ratoi=0', '(did you mean "training.warmup_ratio"?)'],
    ['training.learing_rate=1', '(did you mean "learning_rate"?)'],
  ])('%s is answered with the key of ours', (assignment, expected) => {
    expect(hint(assignment)).toBe(expected)
  })
})

describe('--set', () => {
  it('overrides keys, reads values as YAML and reaches list items', () => {
    const config = load(MINIMAL, {
      set: [
        'training.max_steps=1e2',
        'data.train.0.limit=5',
        'data.train.1=c.jsonl',
        'evaluation.sets=[{path: e, name: "no"}]',
      ],
    })
    expect(config.training.max_steps).toBe(100)
    expect(config.data.train).toEqual([{ path: 'a.jsonl', limit: 5 }, { path: 'c.jsonl' }])
    expect(config.evaluation.sets).toEqual([{ path: 'e', name: 'no' }])
  })

  it('opens the short form of a method', () => {
    const config = load(`${MINIMAL}method: adapt-calibrated`, { set: ['method.gate.ess=0.8'] })
    expect(config.method).toMatchObject({ preset: 'adapt-calibrated', gate: { ess: 0.8, edr: 0.48 } })
  })

  it('supplies a key that the file lacks', () => {
    expect(load(MINIMAL.replace(/output_dir.*/, ''), { set: ['output_dir=o'] }).output_dir).toBe('o')
  })

  it('applies in order, so the last one wins', () => {
    expect(load(MINIMAL, { set: ['training.seed=1', 'training.seed=2'] }).training.seed).toBe(2)
  })

  it.each([
    ['training.seed=x', '--set training.seed=x: training.seed: expected a whole number >= 0, received "x"'],
    [
      'training.sed=1',
      '--set training.sed=1: training.sed: expected a known key, received "sed" (did you mean "seed"?)',
    ],
    ['seed', '--set seed: expected key.path=value'],
    ['=3', '--set =3: expected key.path=value'],
    ['a..b=3', '--set a..b=3: expected key.path=value'],
    ['__proto__.polluted=1', '--set __proto__.polluted=1: expected key.path=value'],
    [
      'data.train.7=x',
      '--set data.train.7=x: data.train.7: expected an item number from 0 to 1 for data.train, received "7"',
    ],
    [
      'tokenizer.x=1',
      '--set tokenizer.x=1: tokenizer.x: expected tokenizer to be a mapping or a list, received "tok"',
    ],
    ['data=*a', '--set data=*a: data: expected a value, received the alias *a (aliases are not read)'],
    [
      'training.learning_rate=.inf',
      '--set training.learning_rate=.inf: training.learning_rate: expected a number in [1e-12, 1000000], received .inf',
    ],
    [
      'training={constructor: 1}',
      '--set training={constructor: 1}: training.constructor: expected a config key, received "constructor"',
    ],
  ])('reports %s', (assignment, expected) => {
    expect(failure(MINIMAL, { set: [assignment] })).toEqual([expected])
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
  })
})

describe('loadConfig', () => {
  it('refuses a missing file, a folder, a large file and bytes that are not UTF-8', async () => {
    await expect(loadConfig(join(folder, 'none.yaml'))).rejects.toMatchObject({
      code: 'FILE_NOT_FOUND',
      exitCode: 2,
    })
    await expect(loadConfig(folder)).rejects.toMatchObject({ code: 'FILE_NOT_READABLE', exitCode: 2 })
    await expect(loadConfig(join(folder, 'large.yaml'))).rejects.toMatchObject({ code: 'FILE_TOO_LARGE' })
    await expect(loadConfig(join(folder, 'latin1.yaml'))).rejects.toMatchObject({ code: 'INVALID_CONFIG' })
  })

  it('warns of settings without effect', async () => {
    const { warnings } = await loadConfig(join(folder, 'ok.yaml'), {
      set: ['method=uniform', 'evaluation.every_steps=5'],
    })
    expect(warnings).toEqual([
      'anchors: not used, because method.signal.kind is "constant"',
      'evaluation.every_steps: no effect, because evaluation.sets and evaluation.tasks are empty and data.val_set_size not set',
    ])
  })
})

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'adapt-config-'))
  await writeFile(join(folder, 'ok.yaml'), MINIMAL)
  await writeFile(join(folder, 'large.yaml'), `#${' '.repeat(MAX_CONFIG_BYTES)}\n${MINIMAL}`)
  await writeFile(join(folder, 'latin1.yaml'), Buffer.from([...Buffer.from(MINIMAL), 0x23, 0xe9]))
})
afterAll(() => rm(folder, { recursive: true }))
