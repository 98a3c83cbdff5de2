import { collectOption, SET_HELP, wholeNumberOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { DataOptions } from './data-command.js'

/** Declares `adapt data`. */
export function declareData({ program, io }: CommandLine): void {
  program
    .command('data')
    .description('show samples as the model sees them and what the training data consists of')
    .argument('<config>', 'YAML config')
    .option('--samples <n>', 'samples to show', wholeNumberOption(0), 3)
    .option('--seed <n>', 'choice of the samples', wholeNumberOption(0), 0)
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--no-color', 'mark trained tokens by [[ and ]] on a terminal too')
    .addHelpText(
      'after',
      `
Trained tokens are coloured on a terminal and stand between [[ and ]]
elsewhere; the rest is context.

Examples:
  adapt data run.yaml
  adapt data run.yaml --samples 10 --seed 7 --no-color > samples.txt`,
    )
    .action(async (path: string, options: DataOptions) => {
      const { dataCommand } = await import('./data-command.js')
      await dataCommand(path, options, io)
    })
}
