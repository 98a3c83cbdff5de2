import { collectOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { CompareOptions } from './compare-command.js'

/** Declares `adapt compare`. */
export function declareCompare({ program, io, onExitCode }: CommandLine): void {
  program
    .command('compare')
    .description('train a grid of methods and seeds, and say what their differences mean')
    .argument('<study>', 'YAML study: base config, arms, seeds')
    .option('--only <arm>', 'train the cells of this arm only (repeatable)', collectOption)
    .option(
      '--set <key=value>',
      'set a key of the study, or base.KEY of its run config (repeatable)',
      collectOption,
    )
    .option('--dry-run', 'check everything and list the cells, train nothing')
    .option('--json <file>', 'write the comparison as JSON; - for stdout, progress then goes to stderr')
    .option('--markdown <file>', 'write the tables as Markdown')
    .option('--csv <file>', 'write cells and differences as CSV')
    .option('--quiet', 'print only warnings and the tables')
    .addHelpText(
      'after',
      `
Finished cells are kept in the study's output_dir and skipped; an interrupted
one goes on. docs/compare.md says how to write a study and read the tables.
npx does not hand every signal on: start node_modules/.bin/adapt.

Examples:
  adapt compare study.yaml --dry-run
  adapt compare study.yaml --csv study.csv --markdown study.md
  adapt compare study.yaml --only adapt --set base.training.max_steps=200`,
    )
    .action(async (path: string, options: CompareOptions) => {
      const { compareCommand } = await import('./compare-command.js')
      onExitCode(await compareCommand(path, options, io))
    })
}
