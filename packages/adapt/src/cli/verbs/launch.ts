import { collectOption, deviceOption, SET_HELP, wholeNumberOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { LaunchOptions } from './launch-command.js'

/** Declares `adapt launch`. */
export function declareLaunch({ program, io, onExitCode }: CommandLine): void {
  program
    .command('launch')
    .description('train with several processes on this machine')
    .argument('<config>', 'YAML config')
    .option('--nproc <n>', 'ranks on this machine, which share every step', wholeNumberOption(1))
    .option(
      '--max-restarts <n>',
      'times that all ranks start again after one failed',
      wholeNumberOption(0),
      0,
    )
    .option('--nnodes <n>', 'machines of the job (default: 1)', wholeNumberOption(1))
    .option('--node-rank <n>', 'which of them this is, from 0 on', wholeNumberOption(0))
    .option('--master-addr <host>', 'the first of them')
    .option(
      '--master-port <port>',
      'port of the job on it (default on one machine: a free one)',
      wholeNumberOption(1),
    )
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--output-dir <dir>', 'folder of the run, instead of output_dir')
    .addOption(deviceOption('where the ranks train, instead of training.device'))
    .option('--overwrite', 'replace the run that the output folder holds')
    .option('--quiet', 'print only the result, and warnings on stderr')
    .addHelpText(
      'after',
      `
A step has per_device_train_batch_size x gradient_accumulation_steps x ranks rows.
Several machines: start this on each, or adapt train under torchrun --no-python
or srun (docs/distributed.md). The PET_* variables of Kubernetes' training
operators stand for the options.

Examples:
  adapt launch --nproc 2 run.yaml
  adapt launch --nproc 8 --nnodes 2 --node-rank 1 --master-addr node0 \\
    --master-port 29500 run.yaml
  adapt launch --nproc 4 --max-restarts 3 run.yaml --output-dir runs/four`,
    )
    .action(async (path: string, options: LaunchOptions) => {
      const { launchCommand } = await import('./launch-command.js')
      onExitCode(await launchCommand(path, options, io))
    })
}
