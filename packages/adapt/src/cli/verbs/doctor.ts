import type { CommandLine } from './command-line.js'

/** Declares `adapt doctor`. */
export function declareDoctor({ program, io, onExitCode }: CommandLine): void {
  program
    .command('doctor')
    .description('show the machine, the engine and what slows them down')
    .option('--json', 'print JSON instead of text')
    .addHelpText(
      'after',
      `
Examples:
  adapt doctor
  adapt doctor --json`,
    )
    .action(async (options: { readonly json?: boolean }) => {
      const { doctorCommand } = await import('./diagnose.js')
      onExitCode(await doctorCommand(options, io))
    })
}
