import type { CommandLine } from './command-line.js'
import type { ReportOptions } from './report-command.js'

/** Declares `adapt report`. */
export function declareReport({ program, io }: CommandLine): void {
  program
    .command('report')
    .description('write the report of a finished, stopped or running run')
    .argument('<run...>', 'run folder; several are compared with the first')
    .option('--output <file>', 'HTML file to write; default: report.html in the run folder')
    .option(
      '--data-dir <dir>',
      "folder that the paths of the run's config are relative to, when the data was moved",
    )
    .addHelpText(
      'after',
      `
The page needs nothing but itself. It is made from config.yaml, events.jsonl,
the ledger and the data files.

Examples:
  adapt report runs/first
  adapt report runs/uniform runs/adapt --output compare.html`,
    )
    .action(async (folders: readonly string[], options: ReportOptions) => {
      const { reportCommand } = await import('./report-command.js')
      await reportCommand(folders, options, io)
    })
}
