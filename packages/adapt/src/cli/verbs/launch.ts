import { collectOption, deviceOption, SET_HELP, wholeNumberOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { LaunchOptions } from './launch-command.js'

/** Declares `adapt launch`. */
export function declareLaunch({ program, io, onExitCode }: CommandLine): void {
  program
    .command('launch')
    .description('train with several processes on this machine')
    .argument('<config>', 'YAML config')
    .requiredOption('--nproc <n>', 'ranks: processes that share every step', wholeNumberOption(1))
    .option(
      '--max-restarts <n>',
      'times that all ranks start again after one failed',
      wholeNumberOption(0),
      0,
    )
    .option('--master-port <port>', 'port of the job (default: a free one)', wholeNumberOption(1))
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--output-dir <dir>', 'folder of the run, instead of output_dir')
    .addOption(deviceOption('where the ranks train, instead of training.device'))
    .option('--overwrite', 'replace the run that the output folder holds')
    .option('--quiet', 'print only the result, and warnings on stderr')
    .addHelpText(
      'after',
      `
A step has per_device_train_batch_size x gradient_accumulation_steps x ranks rows.
Several machines: torchrun --no-python, srun or a PyTorchJob start adapt train
itself (docs/distributed.md).

Examples:
  adapt launch --nproc 2 run.yaml
  adapt launch --nproc 4 --max-restarts 3 run.yaml --output-dir runs/four`,
    )
    .action(async (path: string, options: LaunchOptions) => {
      const { launchCommand } = await import('./launch-command.js')
      onExitCode(await launchCommand(path, options, io))
    })
}
