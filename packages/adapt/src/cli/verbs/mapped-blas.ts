/** CUDA's is none of the CPU's. */
const BLAS_LIBRARY = /\/[^/\n]*(?:(?<!cu)blas|mkl_(?:rt|core|intel|gnu)|libblis|libnvpl|Accelerate)[^/\n]*$/i

/**
 * The BLAS libraries that are mapped into a process, which is what really runs, whatever was installed or linked.
 *
 * @param maps  Text of /proc/<pid>/maps.
 */
export function mappedBlas(maps: string): readonly string[] {
  const paths = maps
    .split('\n')
    .map((line) => line.slice(Math.max(0, line.indexOf('/'))))
    .filter((path) => path.startsWith('/') && BLAS_LIBRARY.test(path))
  return [...new Set(paths)].sort()
}

/** What is known to slow these libraries down; undefined when nothing is. */
export function blasProblem(paths: readonly string[]): string | undefined {
  if (paths.some((path) => /openblas-pthread/.test(path))) {
    return (
      'BLAS: the pthread build of OpenBLAS is mapped; it ignores the thread setting and competes with the ' +
      "engine's own threads. Install libopenblas0-openmp and run `npx adapt setup` again"
    )
  }
  const isReference = paths.some((path) =>
    /\/(?:blas|reference)\/libblas\.so|\/libblas\.so\.3\.\d/.test(path),
  )
  if (isReference && !paths.some((path) => /openblas|mkl|blis/i.test(path))) {
    return 'BLAS: the reference library is mapped; matrix products are many times slower. Install libopenblas0-openmp'
  }
  return undefined
}
