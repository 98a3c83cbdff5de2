import {
  collectOption,
  deviceOption,
  wholeNumberOption,
  wholeNumberOrAutoOption,
} from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { EvalOptions } from './eval-command.js'

/** Declares `adapt eval`. */
export function declareEval({ program, io }: CommandLine): void {
  program
    .command('eval')
    .description('measure a model on held-out text, in bits per byte')
    .requiredOption('--model <dir>', 'model folder, adapter folder, run or checkpoint')
    .option('--adapter <dir>', 'PEFT adapter folder on top of --model')
    .option('--tokenizer <dir>', "tokenizer folder, instead of the model's own")
    .requiredOption('--text <glob>', 'text to measure on (repeatable)', collectOption)
    .option(
      '--max-length <n>',
      "window in tokens; default: the run's max_length, else all positions of the model",
      wholeNumberOption(2),
    )
    .option(
      '--batch-size <n>',
      'windows per pass, or auto: what the free memory holds',
      wholeNumberOrAutoOption(1),
    )
    .addOption(deviceOption())
    .option('--limit <n>', 'documents read per --text', wholeNumberOption(1))
    .option('--json', 'print JSON instead of a table')
    .addHelpText(
      'after',
      `
Examples:
  adapt eval --model runs/first --text 'heldout/*.jsonl'
  adapt eval --model ./Llama-2-7b-hf --text a.jsonl --text b.jsonl --json`,
    )
    .action(async (options: EvalOptions) => {
      const { evalCommand } = await import('./eval-command.js')
      await evalCommand(options, io)
    })
}
