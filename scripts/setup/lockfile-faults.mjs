/** docs/decisions/0009-parquet-and-runtime-packages.md says why this many. */
const maxRuntimePackages = 11

/** Parts that a runtime package of ours consists of, named one by one: decision 0009. */
const parts = {
  '@huggingface/hub': [
    '@huggingface/tasks',
    '@huggingface/xetchunk-wasm',
    '@huggingface/blake3-jit',
    'gearhash-jit',
  ],
}

/**
 * What would let an installation drift or run foreign code.
 * @param {{ packages: Record<string, any> }} lock parsed package-lock.json
 * @returns {string[]} one sentence per fault
 */
export function lockfileFaults(lock) {
  const faults = []
  const runtime = new Set()
  for (const [name, entry] of Object.entries(lock.packages)) {
    if (!name.startsWith('node_modules/')) {
      for (const dependency of Object.keys(entry.dependencies ?? {})) runtime.add(dependency)
      continue
    }
    if (entry.link) {
      if (!entry.resolved?.startsWith('packages/')) faults.push(`${name}: links outside packages/`)
      continue
    }
    if (!/^sha512-/.test(entry.integrity ?? '')) faults.push(`${name}: has no SHA-512 integrity`)
    if (entry.hasInstallScript) faults.push(`${name}: has an install script`)
    if (entry.resolved !== undefined) faults.push(`${name}: names a download address`)
    for (const optional of Object.keys(entry.optionalDependencies ?? {})) {
      const isLocked = [`${name}/node_modules/${optional}`, `node_modules/${optional}`].some(
        (key) => lock.packages[key],
      )
      if (!isLocked)
        faults.push(
          `${name}: its optional package ${optional} is not locked, so npm ci refuses the lock file`,
        )
    }
  }
  for (const [name, entry] of Object.entries(lock.packages)) {
    const isRuntime = name.startsWith('node_modules/') && !entry.link && !entry.dev && !entry.optional
    const own = name.slice('node_modules/'.length)
    const isPart = Object.entries(parts).some(([whole, names]) => runtime.has(whole) && names.includes(own))
    if (isRuntime && !runtime.has(own) && !isPart) faults.push(`${name}: comes with another runtime package`)
  }
  const foreign = [...runtime].filter((name) => !lock.packages[`node_modules/${name}`]?.link)
  if (foreign.length > maxRuntimePackages)
    faults.push(`${foreign.length} runtime packages, at most ${maxRuntimePackages} are allowed`)
  return faults
}
