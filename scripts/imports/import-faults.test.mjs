import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from '../../packages/torch/setup/fake-host.test.fixture.mjs'
import { findImportFaults } from './import-faults.mjs'

let tree
beforeEach(() => {
  tree = createFakeHost()
  tree.write('package.json', JSON.stringify({ devDependencies: { vitest: '1' } }))
  tree.write(
    'packages/adapt/package.json',
    JSON.stringify({ dependencies: { '@adapt-ts/torch': '1', zod: '1' } }),
  )
  tree.write('packages/torch/package.json', '{}')
  adapt('index.ts', "export * from './cli/index.js'\n")
  adapt('loss/index.ts', "import { E } from '../errors.js'\nimport * as torch from '@adapt-ts/torch'\n")
  adapt('method/index.ts', "import type { Loss } from '../loss/index.js'\nimport { z } from 'zod'\n")
})
afterEach(() => tree.remove())

const adapt = (file, text) => tree.write(`packages/adapt/src/${file}`, text)
const torch = (file, text) => tree.write(`packages/torch/src/${file}`, text)
const faults = () => findImportFaults(tree.prefix).faults

describe('findImportFaults', () => {
  it('finds nothing wrong in sources that keep the order', () => {
    expect(faults()).toEqual([])
    expect(findImportFaults(tree.prefix).numFiles).toBe(3)
  })

  it('finds a planted import of a later folder, also of a type, a re-export or a dynamic one', () => {
    adapt('loss/index.ts', "// order\nimport type { M } from '../method/index.js'\n")
    adapt('batch/a.ts', "export { x } from '../model/x.js'\n")
    adapt('batch/b.ts', "const x = await import('../model/x.js')\n")
    const found = faults()
    expect(found).toContain(
      'packages/adapt/src/loss/index.ts:2: loss must not import method: imports go to earlier folders only',
    )
    expect(found.filter((fault) => fault.includes('batch must not import model'))).toHaveLength(2)
    expect(found.find((fault) => fault.includes('each other'))).toMatch(
      /loss -> method -> loss|method -> loss -> method/,
    )
  })

  it('keeps the parts of methods from the trainer, which knows their contract', () => {
    adapt('train/a.ts', "import type { M } from '../method/index.js'\nimport { gate } from '../gate/x.js'\n")
    expect(faults()).toEqual([
      'packages/adapt/src/train/a.ts:2: train must not import gate: hiddenFolders in scripts/imports/rules.mjs says why',
    ])
  })

  it('lets tests import any folder, but not another package by path', () => {
    adapt('loss/loss.test.ts', "import { it } from 'vitest'\nimport { m } from '../method/index.js'\n")
    expect(faults()).toEqual([])
    adapt('loss/loss.test.ts', "import { t } from '../../../torch/src/index.js'\n")
    expect(faults()[0]).toMatch(/loss\.test\.ts:1: imports .*outside its package/)
  })

  it('keeps packages/torch from knowing packages/adapt', () => {
    torch('a.ts', "import { x } from '@adapt-ts/adapt'\n")
    torch('b.test.ts', "import { x } from '../../adapt/src/index.js'\n")
    expect(faults()).toEqual([
      'packages/torch/src/a.ts:1: @adapt-ts/torch must not know @adapt-ts/adapt',
      'packages/torch/src/b.test.ts:1: imports ../../adapt/src/index.js, outside its package: another package is imported by its name',
    ])
  })

  it('keeps the inside of the engine out of all folders', () => {
    adapt('model/a.ts', "import { x } from '@adapt-ts/torch/dist/x.js'\n")
    expect(faults()).toEqual([
      'packages/adapt/src/model/a.ts:1: imports @adapt-ts/torch/dist/x.js: only @adapt-ts/torch itself is public',
    ])
  })

  it('finds folders of packages/torch that import each other', () => {
    torch('nn/a.ts', "import { x } from '../optim/x.js'\n")
    torch('optim/x.ts', "import { y } from '../nn/y.js'\n")
    expect(faults()).toEqual([
      'packages/torch/src: folders import each other: nn -> optim -> nn (packages/torch/src/nn/a.ts:1, packages/torch/src/optim/x.ts:1)',
    ])
  })

  it('finds packages that are not declared, built-ins without node: and folders without a place', () => {
    adapt('loss/b.ts', "import x from 'lodash'\nimport fs from 'fs'\n// import 'chalk'\n")
    adapt('helpers/a.ts', "import '../loss/index.js'\n")
    expect(faults()).toEqual([
      'packages/adapt/src/helpers/a.ts:1: folder helpers has no place in scripts/imports/rules.mjs',
      'packages/adapt/src/loss/b.ts:1: lodash is not among the dependencies of packages/adapt',
      'packages/adapt/src/loss/b.ts:2: write node:fs',
    ])
  })

  it('finds files of one folder that import each other, however long the way round', () => {
    adapt('loss/a.ts', "import { b } from './b.js'\n")
    adapt('loss/b.ts', "import type { C } from './inner/c.js'\n")
    adapt('loss/inner/c.ts', "import { a } from '../a.js'\n")
    adapt('loss/a.test.ts', "import { a } from './a.js'\n")
    expect(faults()).toEqual([
      'packages/adapt/src: files import each other: loss/a.ts -> loss/b.ts -> loss/inner/c.ts',
    ])
  })

  it('finds files and functions that are too long, but not a long list of tests', () => {
    adapt('loss/long.ts', '\n'.repeat(401))
    adapt('loss/function.ts', `const a = 1\nexport const f = () => {\n${'\n'.repeat(119)}}\n`)
    adapt('loss/short.ts', `export function g() {\n${'\n'.repeat(118)}}\n`)
    adapt('loss/many.test.ts', `describe('x', () => {\n${'\n'.repeat(200)}})\n`)
    expect(faults()).toEqual([
      'packages/adapt/src/loss/function.ts:2: a function of 121 lines, more than 120: split it',
      'packages/adapt/src/loss/long.ts: 401 lines, more than 400: split it',
    ])
  })
})
