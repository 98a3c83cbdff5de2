import {
  collectOption,
  deviceOption,
  listOption,
  SET_HELP,
  wholeNumberOption,
} from '../terminal/option-parsers.js'
import type { AuditOptions } from './audit-command.js'
import type { CommandLine } from './command-line.js'

/** Declares `adapt audit`. */
export function declareAudit({ program, io }: CommandLine): void {
  program
    .command('audit')
    .description('tell which signal is worth training with, from one checkpoint and without training')
    .argument('<model>', 'model folder, adapter, run or checkpoint')
    .argument('<config>', 'YAML config with the training data and the anchors')
    .option('--signals <names>', 'signals to audit: kinds or ids of methods, with commas', listOption)
    .option('--all', 'audit the heavy signals too: those that need gradients of single samples')
    .option('--samples <n>', 'training samples to score', wholeNumberOption(8), 512)
    .option(
      '--influence <n>',
      'of these, samples whose gradients are taken; 0: none',
      wholeNumberOption(0),
      256,
    )
    .option('--target <sources>', 'sources that the anchors stand for, with commas', listOption)
    .option('--sibling <sources>', 'sources that are close to the target and are not it', listOption)
    .option('--noise <sources>', 'sources that nothing is to be learnt from', listOption)
    .option('--output <file>', 'HTML file with the picture', 'audit.html')
    .addOption(deviceOption('where the model runs, instead of training.device'))
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of a table')
    .addHelpText(
      'after',
      `
Without --target a signal is judged by whether it tells anchors that it has not
seen from the training data. Samples are drawn by training.seed.

Examples:
  adapt audit runs/first run.yaml
  adapt audit runs/first run.yaml --target sql-commands --sibling postgres-manual
  adapt audit runs/first/checkpoints/step-40 run.yaml --signals adapt,less --json`,
    )
    .action(async (model: string, path: string, options: AuditOptions) => {
      const { auditCommand } = await import('./audit-command.js')
      await auditCommand(model, path, options, io)
    })
}
