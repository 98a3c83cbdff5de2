import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from '../../packages/torch/setup/fake-host.test.fixture.mjs'
import { findDocFaults } from './doc-faults.mjs'

let machine
beforeEach(() => {
  machine = createFakeHost()
})
afterEach(() => machine.remove())

function faultsOf(files) {
  for (const [name, text] of Object.entries(files)) machine.write(`src/${name}`, text)
  return findDocFaults(machine.prefix, ['src/index.ts'])
}

describe('findDocFaults', () => {
  it('finds functions, classes, types and constants without a docstring, through re-exports and namespaces', () => {
    const { faults, numNames } = faultsOf({
      'index.ts':
        "export * from './a.js'\nexport * as inner from './b.js'\nexport type { Shape as Form } from './c.js'\n",
      'a.ts':
        '/** Said. */\nexport const one = 1\nexport const two = 2\nexport function three() {}\nconst hidden = 4\n',
      'b.ts': 'export class Thing {}\n',
      'c.ts': '\nexport type Shape = number[]\n',
    })
    expect(faults).toEqual([
      'src/a.ts:3: export two has no docstring',
      'src/a.ts:4: export three has no docstring',
      'src/b.ts:1: export inner.Thing has no docstring',
      'src/c.ts:2: export Form has no docstring',
    ])
    expect(numNames).toBe(5)
  })

  it('asks for public methods and accessors, but not where a base or an interface has said it', () => {
    const { faults } = faultsOf({
      'index.ts': `
/** Said. */
export interface Face {
  /** Said. */
  known(): void
  silent(): void
  readonly size: number
}
/** Said. */
export class Thing implements Face {
  size = 1
  constructor(readonly path: string) {}
  known() {}
  silent() {}
  get length() { return 1 }
  private secret() {}
  protected half() {}
  [Symbol.dispose]() {}
}
`,
    })
    expect(faults).toEqual([
      'src/index.ts:6: export Face.silent has no docstring',
      'src/index.ts:14: export Thing.silent has no docstring',
      'src/index.ts:15: export Thing.length has no docstring',
    ])
  })

  it('asks a function that throws itself to name the error', () => {
    const { faults } = faultsOf({
      'index.ts': `
/** Silent. */
export function loud() { throw new Error('a') }
/** Said. @throws {Error} always */
export function honest() { throw new Error('a') }
/** Calls back. */
export function quiet() { return [1].map(() => { throw new Error('a') }) }
/** Catches. */
export function caught() { try { throw new Error('a') } catch { return 1 } }
`,
    })
    expect(faults).toEqual(['src/index.ts:3: export loud throws, but its docstring names no error (@throws)'])
  })
})
