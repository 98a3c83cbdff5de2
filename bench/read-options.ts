import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type ParseArgsConfig, parseArgs } from 'node:util'

type Options = NonNullable<ParseArgsConfig['options']>
type Values<T extends Options> = ReturnType<typeof parseArgs<{ options: T; allowNegative: true }>>['values']

/**
 * The options of a benchmark. `--help` prints the comment at the head of its file; an option that it does not know is one line and exit code 2.
 * @param file  `import.meta.url` of the benchmark.
 */
export function readOptions<T extends Options>(file: string, options: T): Values<T> {
  if (process.argv.slice(2).includes('--help')) {
    const [, comment = ''] = /\/\*\*\n(.*?)\n \*\//s.exec(readFileSync(fileURLToPath(file), 'utf8')) ?? []
    console.log(comment.replace(/^ \* ?/gm, ''))
    process.exit(0)
  }
  try {
    return parseArgs<{ options: T; allowNegative: true }>({ options, allowNegative: true }).values
  } catch (error) {
    console.error(`error: ${(error as Error).message} (--help tells what there is)`)
    process.exit(2)
  }
}
