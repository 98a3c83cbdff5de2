import { collectOption, deviceOption, SET_HELP, wholeNumberOption } from '../terminal/option-parsers.js'
import type { AnchorsOptions } from './anchors-command.js'
import type { CommandLine } from './command-line.js'

/** Declares `adapt anchors`. */
export function declareAnchors({ program, io }: CommandLine): void {
  program
    .command('anchors')
    .description('tell what the anchors are worth: diagnostics, closest sources, text shared with other data')
    .argument('<config>', 'YAML config')
    .option(
      '--model <dir>',
      'model folder, run or checkpoint to embed with, instead of the model of the config',
    )
    .option('--samples <n>', 'training samples to compare with', wholeNumberOption(3), 1024)
    .addOption(deviceOption('where the model runs, instead of training.device'))
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Two texts share text when 13 words in a row are the same (texts of 8 to 12
words: when one holds the other whole).

Examples:
  adapt anchors run.yaml --model runs/first
  adapt anchors run.yaml --model ./Llama-2-7b-hf --samples 200 --json`,
    )
    .action(async (path: string, options: AnchorsOptions) => {
      const { anchorsCommand } = await import('./anchors-command.js')
      await anchorsCommand(path, options, io)
    })
}
