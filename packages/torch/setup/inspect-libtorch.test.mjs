import { rmSync } from 'node:fs'
import path from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createFakeHost } from './fake-host.test.fixture.mjs'
import { inspectLibTorch, isSupportedVersion } from './inspect-libtorch.mjs'

let machine
beforeEach(() => {
  machine = createFakeHost()
})
afterEach(() => machine.remove())

function inspect(root) {
  const place = { includeRoots: [path.join(root, 'include')], libDirs: [path.join(root, 'lib')] }
  return inspectLibTorch(place, machine.host)
}

describe('inspectLibTorch', () => {
  it('refuses a version between 1.13 and 2.1 and names the way out', () => {
    const root = machine.addLibTorch('torch', { version: '2.0.1' })
    expect(inspect(root).reason).toBe(
      `LibTorch 2.0.1 in ${root}/lib is refused: supported are 1.13 and 2.1 or later (LIBTORCH_BYPASS_VERSION_CHECK=1 tries it anyway)`,
    )
    machine.host.env.LIBTORCH_BYPASS_VERSION_CHECK = '1'
    expect(inspect(root)).toMatchObject({ ok: true, libtorch: { version: '2.0.1' } })
  })

  it('refuses libraries with the old C++ ABI, whatever their version', () => {
    const root = machine.addLibTorch('torch', { version: '2.4.0', abi: 'pre-cxx11' })
    expect(inspect(root).reason).toMatch(/2\.4\.0 .*refused.*ABI from before C\+\+11.*2\.7 or later/)
  })

  it('reads the version from the newer header when the older one only includes it', () => {
    const root = machine.addLibTorch('torch', { version: '2.13.2' })
    machine.write(
      'torch/include/torch/csrc/api/include/torch/version.h',
      '#include <torch/headeronly/version.h>\n',
    )
    expect(inspect(root).reason).toMatch(/cannot read the version/)
    machine.write(
      'torch/include/torch/headeronly/version.h',
      '#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 13\n#define TORCH_VERSION_PATCH 2\n',
    )
    expect(inspect(root).libtorch.version).toBe('2.13.2')
  })

  it('says which half is missing', () => {
    const root = machine.addLibTorch('torch')
    rmSync(path.join(root, 'lib/libc10.so'))
    expect(inspect(root).reason).toMatch(/^headers found, but no libtorch_cpu\.so and libc10\.so/)
    rmSync(path.join(root, 'include'), { recursive: true })
    expect(inspect(root).reason).toMatch(/^no torch\/csrc\/api\/include\/torch\/version\.h/)
  })
})

describe('isSupportedVersion', () => {
  it('takes 1.13 and everything from 2.1 on', () => {
    const supported = ['1.12.1', '1.13.0', '1.13.1', '2.0.1', '2.1.0', '2.13.0', '3.0.0'].filter(
      isSupportedVersion,
    )
    expect(supported).toEqual(['1.13.0', '1.13.1', '2.1.0', '2.13.0', '3.0.0'])
  })
})
