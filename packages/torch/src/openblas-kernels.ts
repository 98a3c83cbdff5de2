import { readFileSync } from 'node:fs'

/** The youngest of family 6 that OpenBLAS 0.3.21 (Debian 12) tells by name: Rocket Lake. */
const LAST_KNOWN_MODEL = 167

/**
 * The kernels that OpenBLAS should use where it would not find them: up to 0.3.24 it takes an Intel processor younger than itself for a Prescott
 * of 2004, and multiplies matrices at a sixth of the speed (github.com/OpenMathLib/OpenBLAS/issues/4267). Undefined where its own choice stands.
 *
 * @param cpuinfo  The text of /proc/cpuinfo.
 */
export function kernelsOfUnknownIntel(cpuinfo: string): string | undefined {
  const field = (name: string) => new RegExp(`^${name}\\s*:\\s*(.*)$`, 'm').exec(cpuinfo)?.[1] ?? ''
  if (field('vendor_id') !== 'GenuineIntel') return undefined
  const [family, model] = [Number(field('cpu family')), Number(field('model'))]
  const isKnown = family < 6 || (family === 6 && model <= LAST_KNOWN_MODEL)
  if (isKnown) return undefined
  const flags = new Set(field('flags').split(' '))
  const has = (...names: readonly string[]) => names.every((name) => flags.has(name))
  if (has('avx512f', 'avx512dq', 'avx512bw', 'avx512vl', 'avx512cd')) return 'SkylakeX'
  return has('avx2', 'fma') ? 'Haswell' : undefined
}

/**
 * Sets OPENBLAS_CORETYPE where OpenBLAS would choose wrongly and nobody has chosen; it reads that when it is loaded, so this comes before. In a
 * worker thread whose process has not loaded the engine it has no effect: the environment there is a copy.
 */
export function helpOpenblas(env: NodeJS.ProcessEnv = process.env): void {
  if (process.platform !== 'linux' || process.arch !== 'x64' || env.OPENBLAS_CORETYPE !== undefined) return
  try {
    const kernels = kernelsOfUnknownIntel(readFileSync('/proc/cpuinfo', 'utf8'))
    if (kernels !== undefined) env.OPENBLAS_CORETYPE = kernels
  } catch {
    // Where the processor cannot be seen, OpenBLAS looks by itself.
  }
}
