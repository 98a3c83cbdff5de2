import { collectOption, numberOption, SET_HELP, wholeNumberOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { EstimateCommandOptions } from './estimate-command.js'

/** Declares `adapt estimate`. */
export function declareEstimate({ program, io }: CommandLine): void {
  program
    .command('estimate')
    .description('tell what a run would take: parameters, memory, FLOPs and time, from config.json alone')
    .argument('<config>', 'YAML config')
    .option('--samples <n>', 'samples of an epoch, each taken for a full row', wholeNumberOption(1))
    .option('--device <name>', 'cpu, or a part of a name in the table (repeatable)', collectOption)
    .option('--tflops <n>', 'peak of another device', numberOption(Number.MIN_VALUE))
    .option('--memory <gigabytes>', 'memory of the device of --tflops', numberOption(0))
    .option('--mfu <share>', 'share of the peak that training reaches', numberOption(0.001, 1), 0.4)
    .option('--ranks <n>', 'devices that share every step', wholeNumberOption(1))
    .option('--link <gbit>', 'Gbit/s that each of them sends to the others', numberOption(Number.MIN_VALUE))
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Needs no weights and loads no engine. docs/estimate.md derives the figures.

Examples:
  adapt estimate run.yaml
  adapt estimate run.yaml --samples 270679 --device h100 --mfu 0.5
  adapt estimate run.yaml --ranks 8 --link 25 --device a100
  adapt estimate run.yaml --tflops 500 --memory 96 --json`,
    )
    .action(async (path: string, options: EstimateCommandOptions) => {
      const { estimateCommand } = await import('./estimate-command.js')
      await estimateCommand(path, options, io)
    })
}
