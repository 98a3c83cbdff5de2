import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runCli } from '../cli/run-cli.js'
import { loadConfig } from '../config/index.js'
import { AdaptError, EXIT, NumericError } from '../errors.js'
import { runTraining } from '../run/index.js'
import { Workshop } from '../run/workshop.test.fixture.js'
import { type CellRecord, cellHash } from './cell-record.js'
import { InputInspector } from './inspect-inputs.js'
import { loadStudy } from './load-study.js'
import { type ComparisonRequest, runComparison, type TrainFunction } from './run-comparison.js'

const workshop = new Workshop()
afterAll(() => workshop[Symbol.dispose]())

/** Anchors that are not in the training data. */
const ANCHORS = Array.from({ length: 5 }, (_, i) => ({
  text: `weights of the data shape sample ${i} close to text`,
}))

beforeAll(async () => {
  // Writes run.yaml, which cells start from.
  await workshop.train('whole', [
    ...SETTING,
    'training.seed=1',
    'training.lr_scheduler_type=wsd',
    'training.decay_ratio=0.4',
  ])
  writeFileSync(
    workshop.file('own-anchors.jsonl'),
    ANCHORS.map((anchor) => `${JSON.stringify(anchor)}\n`).join(''),
  )
  writeFileSync(
    workshop.file('study.yaml'),
    `base: run.yaml
seeds: [1, 2]
trunk: { share: 0.6 }
baseline: uniform
arms:
  uniform: { method: uniform }
  twin: { method: twin }
  shuffled:
    method: { preset: adapt, gate: { temperature: 0.1 }, signal: { refresh_every: 2 }, shuffle: true }
groups: { even: [even], others: rest }
targets: [web]
output_dir: ${workshop.file('studies/study')}
`,
  )
})

const SETTING = ['training.max_steps=10', 'evaluation.every_steps=50']

async function compare(
  name: string,
  options: Partial<ComparisonRequest> & { readonly set?: readonly string[]; readonly file?: string } = {},
) {
  const { set = [], file = 'study.yaml', ...request } = options
  const study = await loadStudy(workshop.file(file), {
    set: [
      `output_dir=${workshop.file(`studies/${name}`)}`,
      ...SETTING.map((assignment) => `base.${assignment}`),
      'base.anchors=[own-anchors.jsonl]',
      ...set,
    ],
  })
  const trained: string[] = []
  const lines: string[] = []
  const outcome = await runComparison({
    study,
    onCell: ({ arm, seed }) => trained.push(`${arm} ${seed}`),
    onLine: (line) => lines.push(line),
    ...request,
  })
  return { ...outcome, trained, lines }
}

/** What must be the same when a study is done again. */
const results = (cells: readonly CellRecord[]) =>
  cells.map(
    ({ arm, seed, hash, bits_per_byte, mass_by_source, ess_ratio, cost: { flops_train, flops_signal } }) => ({
      ...{ arm, seed, hash, bits_per_byte, mass_by_source, ess_ratio, flops_train, flops_signal },
    }),
  )
const stopped = (request: Parameters<TrainFunction>[0]) => path.basename(request.config.output_dir)

describe('runComparison', () => {
  it('trains a trunk per seed and a branch per arm, and skips everything the second time', async () => {
    const first = await compare('study')
    expect(first.trained).toEqual(
      [1, 2].flatMap((seed) => ['trunk', 'uniform', 'twin', 'shuffled'].map((arm) => `${arm} ${seed}`)),
    )
    expect(first.cells).toHaveLength(6)
    expect(first.comparison.missing).toEqual([])
    expect(first.comparison.measures[0]!.floor).toMatchObject({ pairs: 2 })
    const again = await compare('study')
    expect(again.trained).toEqual([])
    expect(again.comparison).toEqual(first.comparison)
    expect(readdirSync(path.join(first.folder, 'runs/uniform-seed1'))).not.toContain('checkpoints')
  })

  it('makes of trunk and branch what one run without a break makes', async () => {
    const { cells } = await compare('study')
    const file = path.join(workshop.runFolder('whole'), 'eval/step-10.json')
    const whole = JSON.parse(readFileSync(file, 'utf8')) as {
      sources: Record<string, { bits_per_byte: number }>
    }
    const uniform = cells.find(({ arm, seed }) => arm === 'uniform' && seed === 1)!
    for (const [source, { bits_per_byte }] of Object.entries(whole.sources)) {
      expect(uniform.bits_per_byte[source]).toBe(bits_per_byte)
    }
    expect(uniform).toMatchObject({ steps: 4, ess_ratio: 1, edr: 1 })
    expect(uniform.cost_with_trunk.tokens).toBeGreaterThan(2 * uniform.cost.tokens)
  })

  it('charges shuffled weights what their scores cost and keeps their dispersion', async () => {
    const { cells } = await compare('study')
    const [uniform, , shuffled] = cells
    expect(uniform!.cost.flops_signal).toBe(0)
    // A step is one micro-batch here, whose training forward scores it: the anchors alone cost.
    expect(shuffled!.cost.flops_signal).toBeGreaterThan(0)
    expect(shuffled!.cost.flops_signal).toBeLessThan(shuffled!.cost.flops_train / 3)
    expect(shuffled!.ess_ratio).toBeLessThan(1)
    expect(shuffled!.target_share).toBeGreaterThan(0)
    expect(shuffled!.target_lift).toBeCloseTo(shuffled!.target_mass! / shuffled!.target_share!, 12)
  })

  it('gives every source of uniform arms the relative weight 1, whatever the loss counts and however rows are cut', async () => {
    const uneven = ['a', 'b'].flatMap((kind, k) =>
      Array.from({ length: 20 }, (_, i) => ({
        source: kind,
        prompt: `sample ${i}`,
        completion: ' close to text'.repeat(1 + k * 4),
      })),
    )
    writeFileSync(workshop.file('uneven.jsonl'), uneven.map((each) => `${JSON.stringify(each)}\n`).join(''))
    const arm = (normalizer: string, packing: boolean) =>
      `{ method: { preset: uniform, normalizer: ${normalizer} }, set: { data.packing: ${packing} } }`
    const study = `base: run.yaml
seeds: [1]
baseline: uniform
arms:
  uniform: ${arm('token.mean', false)}
  by-sample: ${arm('sample.wmean', false)}
  packed-by-sample: ${arm('sample.mean', true)}
  packed-by-token: ${arm('token.wmean', true)}
targets: [b]
output_dir: replaced
`
    writeFileSync(workshop.file('ratios.yaml'), study)
    const set = ['base.training.max_steps=4', 'base.data.train=[uneven.jsonl]']
    const { cells, comparison } = await compare('ratios', { file: 'ratios.yaml', set })
    expect(cells.map(({ target_lift }) => target_lift)).toEqual([1, 1, 1, 1])
    for (const { mass_by_source, uniform_mass_by_source } of cells)
      expect(mass_by_source).toEqual(uniform_mass_by_source)
    const [byToken, bySample] = cells
    expect(byToken!.target_share).toBeGreaterThan(bySample!.target_share! + 0.1)
    for (const { relativeWeights, edr, essRatio } of comparison.arms)
      expect([...new Set(Object.values(relativeWeights)), edr, essRatio]).toEqual([1, 1, 1])
  })

  it('goes on with an interrupted trunk and an interrupted cell as if nothing had happened', async () => {
    const expected = results((await compare('study')).cells)
    const interruptAt =
      (folder: string, step: number): TrainFunction =>
      async (request) => {
        if (stopped(request) !== folder) return runTraining(request)
        await runTraining({ ...request, stopAfterStep: step })
        throw new AdaptError('INTERRUPTED', EXIT.resumable, 'stopped')
      }
    const seedOne = { set: ['seeds=[1]'] }
    await expect(compare('broken', { ...seedOne, train: interruptAt('seed1', 3) })).rejects.toMatchObject({
      exitCode: 75,
    })
    await expect(
      compare('broken', { ...seedOne, train: interruptAt('shuffled-seed1', 8) }),
    ).rejects.toMatchObject({ exitCode: 75 })
    const { cells, trained } = await compare('broken', seedOne)
    expect(trained).toEqual(['shuffled 1'])
    expect(results(cells)).toEqual(expected.filter(({ seed }) => seed === 1))
  })

  it('does again what a changed arm concerns, and nothing else', async () => {
    const { trained, lines } = await compare('study', {
      set: ['arms.shuffled.method.gate.temperature=0.2'],
      only: ['uniform', 'twin', 'shuffled'],
    })
    expect(trained).toEqual(['shuffled 1', 'shuffled 2'])
    expect(lines.join('\n')).toContain('shuffled, seed 1: config, data or trunk changed')
    expect((await compare('study', { dryRun: true })).states.map(({ state }) => state)).toEqual(
      [1, 2].flatMap(() => ['finished', 'finished', 'changed']),
    )
  })

  it('does again what reads a model that changed, and looks for it under its key', async () => {
    const reference = workshop.file('reference')
    cpSync(workshop.file('studies/study/runs/uniform-seed1/model'), reference, { recursive: true })
    const set = [`arms.rho={ method: { preset: rho-1, signal: { reference: "${reference}" } } }`, 'seeds=[1]']
    const states = async () =>
      (await compare('with-reference', { set, dryRun: true })).states.map(({ arm, state }) => [arm, state])
    await compare('with-reference', { set, only: ['uniform', 'rho'] })
    const finished = (arm: string, is = 'finished') => [arm, is]
    expect(await states()).toContainEqual(finished('rho'))
    const weights = path.join(reference, 'model.safetensors')
    const bytes = readFileSync(weights)
    bytes[bytes.length - 2]! ^= 1
    writeFileSync(weights, bytes)
    expect(await states()).toContainEqual(finished('rho', 'changed'))
    expect(await states()).toContainEqual(finished('uniform'))
    rmSync(reference, { recursive: true })
    await expect(states()).rejects.toThrow(/^method\.signal\.reference: expected a model folder/)
  })

  it('takes a cell for another where a task file, what it includes or its data changed', async () => {
    const put = (name: string, text: string) => writeFileSync(workshop.file(name), text)
    put('asked.jsonl', '{"q": "the model", "a": "reads data"}\n')
    put('asked.yaml', 'task: asked\ninclude: common.yaml\ndoc_to_text: q\ndoc_to_target: a\n')
    const common = 'dataset_path: asked.jsonl\ntest_split: test\noutput_type: loglikelihood\n'
    put('common.yaml', common)
    const hash = async (tasks = '[asked.yaml]') => {
      const set = [`evaluation={ tasks: ${tasks} }`]
      const { config, baseDir } = await loadConfig(workshop.file('run.yaml'), { set })
      return cellHash(config, (await new InputInspector(() => {}).inspect(config, baseDir)).fingerprints, '')
    }
    const hashes = [await hash()]
    expect(await hash()).toBe(hashes[0])
    put('common.yaml', `${common}metadata: { version: 2 }\n`)
    hashes.push(await hash())
    put('asked.jsonl', '{"q": "the model", "a": "reads text"}\n')
    hashes.push(await hash(), await hash('[]'))
    expect(new Set(hashes).size).toBe(4)
  })

  it('names a damaged record and makes it again from the run folder, or by training', async () => {
    const { folder, cells } = await compare('study', { set: ['seeds=[1]'], only: ['uniform', 'twin'] })
    const record = (arm: string) => path.join(folder, `cells/${arm}-seed1.json`)
    writeFileSync(record('twin'), readFileSync(record('twin'), 'utf8').replace('"steps": 4', '"steps": 5'))
    writeFileSync(record('uniform'), '{')
    writeFileSync(path.join(folder, 'runs/uniform-seed1/events.jsonl'), 'nonsense\nnonsense\n')
    let numTrained = 0
    const again = await compare('study', {
      set: ['seeds=[1]'],
      only: ['uniform', 'twin'],
      train: (request) => {
        numTrained += 1
        return runTraining(request)
      },
    })
    expect(again.states.map(({ state }) => state).slice(0, 2)).toEqual(['damaged', 'damaged'])
    expect(again.lines.join('\n')).toContain('the record of twin, seed 1 is damaged')
    expect(numTrained).toBe(1)
    expect(results(again.cells)).toEqual(results(cells))
  })

  it('trains a removed trunk again, to the same bits, when a cell needs it', async () => {
    const { folder } = await compare('study', { set: ['seeds=[1]'] })
    rmSync(path.join(folder, 'trunks/seed1'), { recursive: true })
    expect((await compare('study', { set: ['seeds=[1]'] })).trained).toEqual([])
    rmSync(path.join(folder, 'cells/twin-seed1.json'))
    rmSync(path.join(folder, 'runs/twin-seed1'), { recursive: true })
    const { trained, states } = await compare('study', { set: ['seeds=[1]'] })
    expect(trained).toEqual(['trunk 1', 'twin 1'])
    expect(states.map(({ state }) => state)).toEqual(['finished', 'to do', 'finished'])
  })

  it('goes on with the others when one arm diverges', async () => {
    const { failures, cells } = await compare('diverging', {
      set: ['seeds=[1]'],
      train: (request) => {
        if (stopped(request) !== 'twin-seed1') return runTraining(request)
        throw new NumericError('NOT_FINITE', 'the loss was not finite')
      },
    })
    expect(failures).toEqual([{ arm: 'twin', seed: 1, message: 'the loss was not finite' }])
    expect(cells.map(({ arm }) => arm)).toEqual(['uniform', 'shuffled'])
  })

  it.each([
    [
      ['groups.even=[evn]'],
      'groups.even.0: expected a source of evaluation.sets (even, odd), received "evn" (did you mean "even"?)',
    ],
    [
      ['targets=[wbe]'],
      'targets.0: expected a source of data.train (web, code), received "wbe" (did you mean "web"?)',
    ],
    [
      ['arms.oracle={ method: { signal: { kind: source, table: { wbe: 1 } }, gate: { kind: identity } } }'],
      'arms.oracle.method.signal.table.wbe: expected a source of data.train (web, code), received "wbe"',
    ],
    [['base.evaluation.sets=[]'], 'expected evaluation.sets in the base config'],
  ])('refuses %j before anything is trained', async (set, message) => {
    await expect(
      compare('refused', { set, train: () => Promise.reject(new Error('trained')) }),
    ).rejects.toThrow(message)
    expect(existsSync(workshop.file('studies/refused'))).toBe(false)
  })

  it('refuses an arm that reads the data otherwise than its trunk before anything is trained', async () => {
    const trained: string[] = []
    const refused = (set: readonly string[]) =>
      compare('orders', { set, onCell: ({ arm }) => trained.push(arm) }).catch(
        (error: Error) => error.message,
      )
    const random = 'arms.random={ method: random }'
    const message = await refused([
      random,
      'arms.held={ method: rho-loss }',
      'arms.learnt={ method: doremi }',
    ])
    expect(message).toMatch(
      /arms\.random: expected .* order of its trunk \(method "uniform"\), .*leave trunk out/,
    )
    expect(message).toMatch(/\n.*arms\.held: .*\n.*arms\.learnt: /)
    expect(await refused(['trunk.method=odm'])).toMatch(/arms\.uniform: expected .* trunk \(method "odm"\)/)
    expect(trained).toEqual([])
    const planned = async (...set: string[]) =>
      (await compare('orders', { set, dryRun: true })).states.map(({ arm }) => arm)
    const alike = 'arms={ random: { method: random }, again: { method: random } }'
    expect(await planned(alike, 'baseline=random', 'trunk.method=random', 'seeds=[1]')).toHaveLength(2)
    const natural = 'arms={ uniform: { method: uniform }, odm: { method: odm }, rho: { method: rho-1 } }'
    expect(await planned(natural, 'seeds=[1]')).toEqual(['uniform', 'odm', 'rho'])
  })

  it('does not touch a folder that holds something else', async () => {
    writeFileSync(workshop.file('own.txt'), '')
    const set = [`output_dir=${workshop.root}`]
    await expect(compare('x', { set })).rejects.toMatchObject({ code: 'NOT_A_STUDY', exitCode: 2 })
  })
})

describe('adapt compare', () => {
  const run = async (...argv: string[]) => {
    const out: string[] = []
    const err: string[] = []
    const stream = (into: string[]) => ({ write: (text: string) => into.push(text) })
    const code = await runCli(
      [
        'compare',
        workshop.file('study.yaml'),
        ...SETTING.flatMap((set) => ['--set', `base.${set}`]),
        ...argv,
      ],
      { stdout: stream(out), stderr: stream(err), env: {} },
    )
    return { code, out: out.join(''), err: err.join('') }
  }
  const place = () => [
    '--set',
    `output_dir=${workshop.file('studies/study')}`,
    '--set',
    'base.anchors=[own-anchors.jsonl]',
  ]

  it('lists the cells with --dry-run', async () => {
    const { code, out } = await run(
      '--set',
      `output_dir=${workshop.file('studies/none')}`,
      '--set',
      'base.anchors=[own-anchors.jsonl]',
      '--dry-run',
    )
    expect(code).toBe(0)
    expect(out).toContain('6 of 6 cells would be trained')
    expect(existsSync(workshop.file('studies/none'))).toBe(false)
  })

  it('prints tables, keeps stdout for JSON, and leaves the report', async () => {
    const [csv, markdown] = [workshop.file('out.csv'), workshop.file('out.md')]
    const { code, out, err } = await run(...place(), '--json', '-', '--csv', csv, '--markdown', markdown)
    expect(code).toBe(0)
    expect((JSON.parse(out) as { cells: unknown[] }).cells).toHaveLength(6)
    expect(err).toMatch(/even \(even\): bits per byte/)
    expect(err).toContain('Differences by source')
    expect(readFileSync(csv, 'utf8')).toMatch(/^kind,arm,seed/)
    expect(readFileSync(markdown, 'utf8')).toMatch(/^## even/)
    expect(readFileSync(workshop.file('studies/study/report.html'), 'utf8')).toContain('class="floor"')
  })

  it('says in one line what is wrong', async () => {
    const { code, err } = await run(...place(), '--only', 'twn')
    expect([code, err]).toEqual([
      2,
      'error: --only: expected an arm of the study (uniform, twin, shuffled), received "twn" (did you mean "twin"?)\n',
    ])
    const unwritable = await run(...place(), '--csv', workshop.file('nowhere/x.csv'))
    expect(unwritable.code).toBe(2)
    expect(unwritable.err).toContain('--csv: cannot write')
  })
})
