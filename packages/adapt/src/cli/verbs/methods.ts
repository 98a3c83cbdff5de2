import type { CommandLine } from './command-line.js'
import type { MethodsCommandOptions } from './methods-command.js'

/** Declares `adapt methods`. */
export function declareMethods({ program, io }: CommandLine): void {
  program
    .command('methods')
    .description('list the methods with what they weigh, need and cost, or show one with its options')
    .argument('[id]', 'a method: what it does, and every option with type, range and default')
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Examples:
  adapt methods
  adapt methods adapt-calibrated
  adapt methods --json`,
    )
    .action(async (id: string | undefined, options: MethodsCommandOptions) => {
      const { methodsCommand } = await import('./methods-command.js')
      methodsCommand(id, options, io)
    })
}
