import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, describe, expect, it } from 'vitest'
import { loadStudy } from './load-study.js'
import { planCells } from './plan-cells.js'

const root = mkdtempSync(path.join(os.tmpdir(), 'adapt-study-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
const file = (name: string) => path.join(root, name)

const BASE = `model: { init: scratch, preset: llama-1m }
tokenizer: tokenizer
data: { train: [web.jsonl] }
method: uniform
training: { max_steps: 50, learning_rate: 0.01 }
evaluation: { sets: [held-out.jsonl] }
output_dir: runs/x
`
const STUDY = `base: run.yaml
seeds: [3, 4]
trunk: { share: 0.8 }
baseline: uniform
arms:
  uniform: { method: uniform }
  slow: { set: { training.learning_rate: 0.001 } }
output_dir: runs/study
`
async function load(text: string, set: readonly string[] = []) {
  writeFileSync(file('run.yaml'), BASE)
  writeFileSync(file('study.yaml'), text)
  return loadStudy(file('study.yaml'), { set })
}
const plan = async (text: string, set: readonly string[] = []) => planCells(await load(text, set))
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('went through')
    },
    (error: Error) => error.message.replaceAll(`${root}/`, ''),
  )

describe('a study file', () => {
  it.each([
    [
      'seeds: [3, 4]',
      'seedz: [3, 4]',
      'study.yaml:2:1: seedz: expected a known key, received "seedz" (did you mean "seeds"?)',
    ],
    ['seeds: [3, 4]', 'seeds: [3, 3]', 'study.yaml:2:12: seeds.1: expected each seed once, received 3 again'],
    [
      'baseline: uniform',
      'baseline: uniforn',
      'study.yaml:4:1: baseline: expected the name of an arm, received "uniforn" (did you mean "uniform"?)',
    ],
    ['share: 0.8', 'share: 1', 'study.yaml:3:17: trunk.share: expected a number in (0, 1), received 1'],
    ['method: uniform }', 'method: unifrm }', 'study.yaml:6:22: arms.uniform.method: expected one of'],
    ['  slow:', '  ../slow:', 'study.yaml:7:3: arms.../slow: expected a name of letters'],
    [
      'training.learning_rate: 0.001',
      'training.seed: 1',
      'study.yaml:7:18: arms.slow.set.training.seed: expected a key that an arm may set',
    ],
    [
      'training.learning_rate: 0.001',
      'training.device: cuda',
      'arms.slow.set.training.device: expected a key that an arm may set, received training.device: all arms run on one device',
    ],
    [
      'training.learning_rate: 0.001',
      'model.preset: llama-3m',
      'study.yaml:7:18: arms.slow.set.model.preset: expected a key that may change after the trunk',
    ],
  ])('with %j as %j is refused with its place', async (from, to, message) => {
    expect(STUDY).toContain(from)
    expect(await failure(load(STUDY.replace(from, to)))).toContain(message)
  })

  it('is refused where an arm makes a bad run config, with the place of the arm', async () => {
    const message = await failure(
      plan(STUDY.replace('training.learning_rate: 0.001', 'training.learnin_rate: 1')),
    )
    expect(message).toBe(
      'study.yaml:7:9: arms.slow: training.learnin_rate: expected a known key, received "learnin_rate" (did you mean "learning_rate"?)',
    )
  })

  it('is refused when the branching falls on the first or the last step', async () => {
    expect(await failure(plan(STUDY, ['base.training.max_steps=2']))).toContain(
      'trunk.share: expected steps before and after the branching, received 2 of 2',
    )
    const epochs = BASE.replace('max_steps: 50', 'num_train_epochs: 1')
    const study = await load(STUDY)
    writeFileSync(file('run.yaml'), epochs)
    expect(await failure(planCells(study))).toContain('expected training.max_steps in the base config')
  })
})

describe('planCells', () => {
  it('takes the study that ships with the project', async () => {
    const study = await loadStudy(fileURLToPath(new URL('../../../../examples/study.yaml', import.meta.url)))
    const { seeds, warnings } = await planCells(study)
    expect(seeds.map(({ cells }) => cells.length)).toEqual([6, 6, 6])
    expect(warnings).toEqual([])
  })

  it('gives every arm every seed, a branch from the trunk, and a decay from there on', async () => {
    const { seeds, trunkSteps } = await plan(STUDY)
    expect(trunkSteps).toBe(40)
    expect(seeds.map(({ seed }) => seed)).toEqual([3, 4])
    const [uniform, slow] = seeds[1]!.cells
    expect(uniform!.config.training).toMatchObject({ seed: 4, lr_scheduler_type: 'wsd', learning_rate: 0.01 })
    expect(uniform!.config.training.decay_ratio).toBeCloseTo(0.2, 12)
    expect(slow!.config.training.learning_rate).toBe(0.001)
    expect(slow!.config.training.resume_from_checkpoint).toMatch(/trunks\/seed4\/checkpoints\/step-40$/)
    expect(seeds[1]!.trunk!.config.training).not.toHaveProperty('resume_from_checkpoint')
    expect(seeds[1]!.trunk!.config.evaluation.sets).toEqual([])
  })

  it('gives whole runs with the schedule of the base without a trunk', async () => {
    const { seeds, trunkSteps } = await plan(STUDY.replace('trunk: { share: 0.8 }\n', ''))
    expect(trunkSteps).toBe(0)
    expect(seeds[0]!.trunk).toBeUndefined()
    expect(seeds[0]!.cells[0]!.config.training.lr_scheduler_type).toBe('linear')
  })

  it('takes assignments to the study and, after base., to the run config', async () => {
    const { seeds } = await plan(STUDY, ['seeds=[9]', 'base.training.weight_decay=0.5'])
    expect(seeds.map(({ seed }) => seed)).toEqual([9])
    expect(seeds[0]!.cells.map(({ config }) => config.training.weight_decay)).toEqual([0.5, 0.5])
  })
})
