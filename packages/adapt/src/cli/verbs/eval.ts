import { InvalidArgumentError } from 'commander'
import {
  collectOption,
  deviceOption,
  numberOption,
  wholeNumberOption,
  wholeNumberOrAutoOption,
} from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { EvalOptions } from './eval-options.js'

/** Declares `adapt eval`. */
export function declareEval({ program, io }: CommandLine): void {
  program
    .command('eval')
    .description('measure a model: benchmark tasks, or bits per byte of held-out text')
    .option('--model <dir>', 'model folder, adapter folder, run or checkpoint')
    .option('--adapter <dir>', 'PEFT adapter folder on top of --model')
    .option('--tokenizer <dir>', "tokenizer folder, instead of the model's own")
    .option('--text <glob>', 'text to measure bits per byte on (repeatable)', collectOption)
    .option(
      '--tasks <names>',
      'tasks, groups, tags, patterns or task files, with commas between (repeatable); list: print those there are',
      collectOption,
    )
    .option('--include-path <dir>', 'folder with task files of your own (repeatable)', collectOption)
    .option('--num-fewshot <k>', 'examples before each document, unless a task says 0', wholeNumberOption(0))
    .option('--fewshot-seed <n>', 'of the draw of examples (default: 1234)', wholeNumberOption(0))
    .option('--apply-chat-template', "write prompts by the tokenizer's chat template")
    .option('--fewshot-as-multiturn', 'with a chat template: examples as turns of their own')
    .option('--system-instruction <text>', 'stands before the description of a task')
    .option(
      '--add-bos-token <bool>',
      "bos before contexts (default: as the tokenizer's own encode)",
      booleanOption,
    )
    .option(
      '--against <run>',
      'run or run config: look for the tasks in its training data and anchors (default: anchors of the run that --model is of)',
    )
    .option('--report <file>', 'with --tasks: results and single documents as an HTML page')
    .option('--output <dir>', 'folder for results.json, samples and what a stopped evaluation goes on from')
    .option(
      '--max-length <n>',
      "window in tokens; default: the run's max_length, else all positions of the model",
      wholeNumberOption(2),
    )
    .option(
      '--batch-size <n>',
      'with --text: windows per pass, or auto: what the free memory holds',
      wholeNumberOrAutoOption(1),
    )
    .option('--bf16', 'with --tasks: matrix products in bfloat16')
    .addOption(deviceOption())
    .option(
      '--limit <n>',
      'documents read per --text or task; below 1 with --tasks: a share of them',
      numberOption(0),
    )
    .option('--json', 'print JSON instead of a table')
    .addHelpText(
      'after',
      `
Task files have the keys of lm-evaluation-harness; docs/evaluation.md shows one.

Examples:
  adapt eval --model runs/first --text 'heldout/*.jsonl'
  adapt eval --model runs/first --tasks arc_easy,my.yaml --num-fewshot 5`,
    )
    .action(async (options: EvalOptions) => {
      const { evalCommand } = await import('./eval-command.js')
      await evalCommand(options, io)
    })
}

function booleanOption(text: string): boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  throw new InvalidArgumentError('Expected true or false.')
}
