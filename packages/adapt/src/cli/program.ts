import { Command } from 'commander'
import { packageVersion } from '../version.js'
import type { CliIo } from './terminal/cli-io.js'
import { requireOneRank } from './terminal/require-one-rank.js'
import { declareAnchors } from './verbs/anchors.js'
import { declareAudit } from './verbs/audit.js'
import { declareCompare } from './verbs/compare.js'
import { declareData } from './verbs/data.js'
import { declareDoctor } from './verbs/doctor.js'
import { declareEstimate } from './verbs/estimate.js'
import { declareEval } from './verbs/eval.js'
import { declareGenerate } from './verbs/generate.js'
import { declareLaunch } from './verbs/launch.js'
import { declareMerge } from './verbs/merge.js'
import { declareMethods } from './verbs/methods.js'
import { declareReport } from './verbs/report.js'
import { declareSchema } from './verbs/schema.js'
import { declareScore } from './verbs/score.js'
import { declareSetup } from './verbs/setup.js'
import { declareTrain } from './verbs/train.js'
import { declareValidate } from './verbs/validate.js'
import { declareWhatIf } from './verbs/what-if.js'

/** Of commander. */
export const UNKNOWN_OPTION = /^error: unknown option '([\s\S]*?)'(?=\s|$)/

// In the order of the help.
const VERBS = [
  declareTrain,
  declareLaunch,
  declareCompare,
  declareEval,
  declareGenerate,
  declareMerge,
  declareWhatIf,
  declareReport,
  declareData,
  declareAnchors,
  declareAudit,
  declareScore,
  declareValidate,
  declareEstimate,
  declareMethods,
  declareSetup,
  declareDoctor,
  declareSchema,
]

/** What a rank may be asked for; `launch` starts ranks, whoever started it. */
const FOR_RANKS = ['train', 'launch', 'doctor', 'setup', 'schema', 'methods', 'validate', 'estimate']

/**
 * The command line. Each verb imports its code when it runs, so that `--help` answers at once.
 *
 * @param onExitCode  called by a verb that ends without an error but not with 0.
 */
export function createProgram(io: CliIo, onExitCode: (code: number) => void): Command {
  const program = new Command('adapt')
    .description(
      'Train language models whose data curation happens during training: every sample stays, and its loss is ' +
        'weighted by how close the model itself now finds it to your examples.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [verb]', 'print the help of a verb')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // One line: commander puts its suggestion on a second one.
      // An unknown option may be a key of the config; who catches the error looks that up and writes it.
      outputError: (text, write) =>
        UNKNOWN_OPTION.test(text) ? undefined : write(`${text.trim().replace(/\s*\n\s*/g, ' ')}\n`),
      getOutHelpWidth: () => Math.min(io.stdout.columns ?? 80, 80),
    })
    .addHelpText(
      'after',
      `
Examples:
  adapt validate run.yaml               check a config and its files
  adapt estimate run.yaml               see what it will take
  adapt data run.yaml                   see what the model will be trained on
  adapt anchors run.yaml                see what the anchors are worth
  adapt train run.yaml                  train
  adapt eval --model runs/first/model --text 'heldout/*.jsonl'
  adapt report runs/first               write its report again

Exit codes: 0 done, 1 bug, 2 config or missing file, 3 data, 4 numeric,
5 resource or set-up, 6 another rank failed, 7 damaged file,
75 saved: the same command goes on.`,
    )

  program.hook('preAction', async (_, action) => {
    if (!FOR_RANKS.includes(action.name())) await requireOneRank(action.name(), io.env)
  })
  for (const declare of VERBS) declare({ program, io, onExitCode })
  return program
}
