import type { CommandLine } from './command-line.js'
import type { SetupOptions } from './setup-command.js'

/** Declares `adapt setup`. */
export function declareSetup({ program, io, onExitCode }: CommandLine): void {
  program
    .command('setup')
    .description('find LibTorch and build the native add-on of the installed packages')
    .option('--libtorch <dir>', 'use the LibTorch in this folder, now and on later runs ("auto" forgets it)')
    .option('--print', 'print which LibTorch would be used and why, as JSON; build nothing')
    .option('--quiet', 'print errors and warnings only')
    .addHelpText(
      'after',
      `
Needs a C++ compiler and LibTorch 1.13 or >= 2.1; as root on Debian and Ubuntu
it installs what is missing. The add-on lies inside @adapt-ts/torch, or in
ADAPT_TORCH_BUILD_DIR.

Examples:
  adapt setup
  adapt setup --libtorch /opt/libtorch`,
    )
    .action(async (options: SetupOptions) => {
      const { setupCommand } = await import('./setup-command.js')
      onExitCode(await setupCommand(options, io))
    })
}
