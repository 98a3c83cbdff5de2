import {
  collectOption,
  deviceOption,
  dtypeOption,
  numberOption,
  wholeNumberOption,
} from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { GenerateCommandOptions } from './generate-options.js'

/** Declares `adapt generate`. */
export function declareGenerate({ program, io }: CommandLine): void {
  program
    .command('generate')
    .description('answer or continue prompts with a model: one, turn by turn, or a file of them')
    .requiredOption('--model <dir>', 'model folder, adapter folder, run or checkpoint')
    .option('--adapter <dir>', 'PEFT adapter folder on top of --model')
    .option('--tokenizer <dir>', "tokenizer folder, instead of the model's own")
    .option(
      '--prompt <text>',
      'what is asked or continued; without it, standard input, turn by turn in a terminal',
    )
    .option('--system <text>', 'system message before the prompt')
    .option('--chat-template <template>', "name, file or text, instead of the tokenizer's own")
    .option('--raw', 'continue the prompt as it is, without a chat template')
    .option('--max-new-tokens <n>', 'most tokens that are added', wholeNumberOption(1), 128)
    .option('--temperature <t>', '0 takes the most likely token each time', numberOption(0), 0)
    .option(
      '--top-p <p>',
      'draw from the most likely tokens of this total probability',
      numberOption(0, 1),
      1,
    )
    .option('--top-k <k>', 'draw from this many of the most likely tokens; 0: all', wholeNumberOption(0), 0)
    .option('--seed <n>', 'equal seeds give equal texts', wholeNumberOption(0), 0)
    .addOption(deviceOption())
    .addOption(dtypeOption('auto'))
    .option(
      '--prompts <files>',
      'answer every record of these data files instead of one --prompt (a path or glob; repeatable)',
      collectOption,
    )
    .option('--output <file>', 'with --prompts: JSON lines, each record with its answer')
    .option(
      '--prompt-field <name>',
      'with --prompts: the field that asks (default: messages, conversations, prompt, instruction or text)',
    )
    .option('--completion-field <name>', 'with --prompts: the field of the answer (default: completion)')
    .option('--overwrite', 'with --prompts: replace the file of --output')
    .option('--json', 'print JSON with prompt, text, token ids and finish reason')
    .addHelpText(
      'after',
      `
A tokenizer with a chat template makes the prompt a turn of a conversation;
without one, or with --raw, the model continues it as text. On a terminal,
control characters of the text are shown as \\u{hex}; into a pipe or a file it
goes as it is.

Examples:
  adapt generate --model runs/first --prompt 'SELECT'
  adapt generate --model runs/chat         a conversation in the terminal
  adapt generate --model runs/lora --prompt 'Once' --temperature 0.8
  adapt generate --model runs/chat --prompts asked.jsonl --output said.jsonl`,
    )
    .action(async (options: GenerateCommandOptions) => {
      const { generateCommand } = await import('./generate-command.js')
      await generateCommand(options, io)
    })
}
