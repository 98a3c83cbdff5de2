import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { buildNccl } from './build-nccl.mjs'
import { findCompiler } from './compiler.mjs'
import { createFakeHost } from './fake-host.test.fixture.mjs'

const compiler = await findCompiler(process.env)
const groupHeader = 'include/torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp'
let machine
beforeEach(() => {
  machine = createFakeHost()
  machine.addPythonTorch('env', { cuda: true })
  machine.write('native/device_group.h', '')
  machine.write('native/torch_version.h', '')
  machine.write('native-nccl/nccl_group.cpp', '#include <ProcessGroupNCCL.hpp>\n')
  mkdirSync(machine.at('build'))
  writeFileSync(machine.at('build/current.json'), JSON.stringify({ addon: 'none.node' }))
})
afterEach(() => machine.remove())

const torch = 'env/lib/python3.12/site-packages/torch'
const wheels = 'env/lib/python3.12/site-packages/nvidia'

function build({ cuda = true } = {}) {
  const libtorch = {
    version: '2.6.0',
    root: machine.at(torch),
    includeDirs: [machine.at(`${torch}/include`), path.dirname(machine.at(`${torch}/${groupHeader}`))],
    libDir: machine.at(`${torch}/lib`),
    cuda,
  }
  const progress = { line() {}, timed: (_kind, _label, work) => work() }
  return buildNccl({ torchDir: machine.prefix, libtorch, compiler, host: machine.host, progress })
}
const recorded = () => JSON.parse(readFileSync(machine.at('build/current.json'), 'utf8'))

describe('buildNccl', () => {
  it('has nothing to do for a LibTorch without CUDA', async () => {
    expect(await build({ cuda: false })).toBeUndefined()
    expect(recorded()).toEqual({ addon: 'none.node' })
  })

  it('says which headers are missing, and leaves the set-up going', async (context) => {
    expect(await build()).toEqual({ missing: 'nccl.h is not found' })
    expect(recorded()).toEqual({ addon: 'none.node', nccl: { missing: 'nccl.h is not found' } })
    machine.write(`${wheels}/nccl/include/nccl.h`, '')
    expect(await build()).toEqual({ missing: 'LibTorch has no ProcessGroupNCCL.hpp' })
    if (compiler === undefined) context.skip('needs a C++ compiler')
    machine.write(`${torch}/${groupHeader}`, '#include <nccl.h>\n#include <no_such_cuda_header.h>\n')
    expect(await build()).toEqual({ missing: 'no_such_cuda_header.h of CUDA is not found' })
  })

  it('says what the compiler and the loader say', async (context) => {
    if (compiler === undefined) context.skip('needs a C++ compiler')
    machine.write(`${wheels}/nccl/include/nccl.h`, '')
    machine.write(`${torch}/${groupHeader}`, 'int broken = "text";\n')
    expect((await build()).missing).toMatch(/^the compiler says: .*char/)
  })
})
