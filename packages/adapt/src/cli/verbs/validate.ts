import { collectOption, SET_HELP } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'

/** Declares `adapt validate`. */
export function declareValidate({ program, io }: CommandLine): void {
  program
    .command('validate')
    .description('check a config and that its files exist, without training')
    .argument('<config>', 'YAML config')
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--resolved', 'print the config with every default instead of a summary')
    .addHelpText(
      'after',
      `
Examples:
  adapt validate run.yaml
  adapt validate run.yaml --set method=adapt --resolved > resolved.yaml`,
    )
    .action(
      async (path: string, options: { readonly set?: readonly string[]; readonly resolved?: boolean }) => {
        const { validateCommand } = await import('./validate-command.js')
        await validateCommand(path, options, io)
      },
    )
}
