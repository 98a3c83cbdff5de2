import { dtypeOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { MergeOptions } from './merge-command.js'

/** Declares `adapt merge`. */
export function declareMerge({ program, io }: CommandLine): void {
  program
    .command('merge')
    .description('fold an adapter into its model: a folder for programs that know no adapters')
    .argument('<dir>', 'adapter folder or run; or the model folder, with --adapter')
    .requiredOption('--out <dir>', 'folder that is written')
    .option('--adapter <dir>', 'PEFT adapter folder, when <dir> is the model')
    .addOption(dtypeOption('auto'))
    .option('--max-shard-size <size>', 'largest weight file, such as 2GB (default: 5GB)')
    .option('--overwrite', 'replace what --out holds')
    .addHelpText(
      'after',
      `
The model underneath is the one that adapter_config.json names, unless <dir> is
that model and --adapter is given.

Examples:
  adapt merge runs/lora --out merged --dtype bfloat16
  adapt merge ./Llama-2-7b-hf --adapter runs/lora/model --out merged`,
    )
    .action(async (dir: string, options: MergeOptions) => {
      const { mergeCommand } = await import('./merge-command.js')
      await mergeCommand(dir, options, io)
    })
}
