import { collectOption } from '../terminal/option-parsers.js'
import type { CommandLine } from './command-line.js'
import type { WhatIfOptions } from './what-if-command.js'

/** Declares `adapt what-if`. */
export function declareWhatIf({ program, io }: CommandLine): void {
  program
    .command('what-if')
    .description('derive from a run what another gate would have given its samples, without training')
    .argument('<run>', 'run folder')
    .option(
      '--set <key=value>',
      'set a key of method, e.g. method.gate.temperature=0.1 (repeatable)',
      collectOption,
    )
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Reads config.yaml, events.jsonl and the ledger of the run. The scores stay
those of the run, so only the gate, the normaliser and a preset with the same
signal can be set. See docs/ledger.md.

Examples:
  adapt what-if runs/first --set method.gate.ess=0.8
  adapt what-if runs/first --set method.normalizer=token.mean --json`,
    )
    .action(async (run: string, options: WhatIfOptions) => {
      const { whatIfCommand } = await import('./what-if-command.js')
      await whatIfCommand(run, options, io)
    })
}
