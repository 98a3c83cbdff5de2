import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'

const newSpelling = '_ZN3c105ErrorC1ENS_14SourceLocationENSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEEE'
const oldSpelling = '_ZN3c105ErrorC1ENS_14SourceLocationESs'

/** A directory tree in which tests lay out machines; `host` is what findLibTorch sees of it. */
export function createFakeHost({ env = {}, platform = 'linux', python } = {}) {
  const prefix = mkdtempSync(path.join(os.tmpdir(), 'adapt-setup-'))
  const projectDir = path.join(prefix, 'project')
  const write = (file, text) => {
    const full = path.join(prefix, file)
    mkdirSync(path.dirname(full), { recursive: true })
    writeFileSync(full, text)
    return full
  }
  mkdirSync(projectDir)
  const multiarch = 'x86_64-linux-gnu'
  return {
    host: {
      env: { PATH: '', ...env },
      platform,
      arch: 'x64',
      multiarch,
      prefix,
      projectDir,
      command: 'npm run setup',
      askPython: () => python?.(prefix),
    },
    prefix,
    write,
    at: (file) => path.join(prefix, file),
    /** Lays out headers and libraries below `root`; `lib` is where the libraries go. */
    addLibTorch(root, { version = '2.6.0', lib = 'lib', abi = 'cxx11', suffix = 'so', cuda = false } = {}) {
      const [major, minor, patch] = version.split('.')
      const macros = `#define TORCH_VERSION_MAJOR ${major}\n#define TORCH_VERSION_MINOR ${minor}\n#define TORCH_VERSION_PATCH ${patch}\n`
      write(`${root}/include/torch/csrc/api/include/torch/version.h`, macros)
      write(`${root}/${lib}/libtorch_cpu.${suffix}`, 'library')
      write(`${root}/${lib}/libc10.${suffix}`, `\0${abi === 'cxx11' ? newSpelling : oldSpelling}\0`)
      if (cuda) write(`${root}/${lib}/libtorch_cuda.${suffix}`, 'library')
      return path.join(prefix, root)
    },
    addPythonTorch(environment, options) {
      const root = `${environment}/lib/python3.12/site-packages/torch`
      write(`${root}/version.py`, '')
      return this.addLibTorch(root, options)
    },
    remove: () => rmSync(prefix, { recursive: true, force: true }),
  }
}
