/** Module hook: 'vitest' is the stand-in beside this file. */
export function resolve(specifier, context, nextResolve) {
  if (specifier !== 'vitest') return nextResolve(specifier, context)
  return { url: new URL('./vitest-stand-in.mjs', import.meta.url).href, shortCircuit: true }
}
