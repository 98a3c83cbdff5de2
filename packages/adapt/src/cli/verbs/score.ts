import { Option } from 'commander'
import { collectOption, deviceOption, SET_HELP } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { ScoreOptions } from './score-command.js'

/** Declares `adapt score`. */
export function declareScore({ program, io }: CommandLine): void {
  program
    .command('score')
    .description('score the training data by a method, and write what it keeps for any trainer')
    .argument('<config>', 'YAML config')
    .option('--method <id>', 'method to score by, instead of that of the config')
    .option('--out <file>', 'file to write (default: scores.parquet, or kept.jsonl with --format jsonl)')
    .addOption(
      new Option(
        '--format <format>',
        'parquet: a row a sample (id, source, path, line, tokens, score, weight, kept); jsonl: the kept records as they stand in the data; default: as --out ends',
      ).choices(['parquet', 'jsonl']),
    )
    .option('--with-score', 'jsonl: add adapt_source, adapt_score and adapt_weight to each record')
    .option(
      '--model <dir>',
      'model folder, run or checkpoint, for a method that scores with the model as it trains',
    )
    .addOption(deviceOption('where models run, instead of training.device'))
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of a table')
    .option('--quiet', 'print only the outcome, and warnings on stderr')
    .addHelpText(
      'after',
      `
What a method prepares before training is prepared as adapt train does, once:
a run of the same config finds it. A command that was interrupted goes on when
it is given again (exit 75).

Examples:
  adapt score run.yaml --method bm25
  adapt score run.yaml --method rds-plus --out kept.jsonl
  adapt score run.yaml --method adapt --model runs/first --out weights.parquet`,
    )
    .action(async (path: string, options: ScoreOptions) => {
      const { scoreCommand } = await import('./score-command.js')
      await scoreCommand(path, options, io)
    })
}
