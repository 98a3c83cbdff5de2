import { collectOption, deviceOption, SET_HELP, stepRangeOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { TrainOptions } from './train-command.js'

/** Declares `adapt train`. */
export function declareTrain({ program, io }: CommandLine): void {
  program
    .command('train')
    .description('train a model from a config file')
    .argument('<config>', 'YAML config')
    .option('--set <key=value>', SET_HELP, collectOption)
    .option(
      '--output-dir <dir>',
      'folder of the run, instead of output_dir (relative to the working directory)',
    )
    .addOption(deviceOption('where the model is trained, instead of training.device'))
    .option('--overwrite', 'replace the run that the output folder holds')
    .option('--profile', 'show where the time of a step goes: five steps, after three to warm up')
    .option('--profile-steps <A-B>', 'the same for steps A to B of the run', stepRangeOption)
    .option('--quiet', 'print only the result, and warnings on stderr')
    .addHelpText(
      'after',
      `
Paths of inputs are relative to the config file; output_dir is relative to the
working directory, as the paths of a command line are.

A run that was interrupted goes on with the same command. Ctrl-C, SIGTERM,
SIGUSR1 and SIGHUP save first and exit with 75; a second Ctrl-C leaves at once.
npx does not hand every signal on: start node_modules/.bin/adapt.

--profile prints the share of every operator and writes profile/step-A-B.json
into the run folder, which chrome://tracing and ui.perfetto.dev open.

Examples:
  adapt train run.yaml
  adapt train run.yaml --set method=uniform --output-dir runs/uniform`,
    )
    .action(async (path: string, options: TrainOptions) => {
      const { trainCommand } = await import('./train-command.js')
      await trainCommand(path, options, io)
    })
}
