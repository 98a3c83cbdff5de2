import { readFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import type { AnchorsOptions } from './anchors-command.js'
import type { CliIo } from './cli-io.js'
import type { CompareOptions } from './compare-command.js'
import type { DataOptions } from './data-command.js'
import type { EstimateCommandOptions } from './estimate-command.js'
import type { EvalOptions } from './eval-command.js'
import type { GenerateCommandOptions } from './generate-command.js'
import type { MergeOptions } from './merge-command.js'
import { collectOption, numberOption, wholeNumberOption } from './option-parsers.js'
import type { ReportOptions } from './report-command.js'
import type { SetupOptions } from './setup-command.js'
import type { TrainOptions } from './train-command.js'
import type { WhatIfOptions } from './what-if-command.js'

const SET_HELP = 'set a config key, e.g. training.seed=3 (value as YAML; repeatable)'

const dtypeOption = (fallback: string) =>
  new Option('--dtype <dtype>', 'of the weights; auto: as they are stored')
    .choices(['auto', 'float32', 'bfloat16'])
    .default(fallback)

/**
 * The command line. Each verb imports its code when it runs, so that `--help` answers at once.
 *
 * @param onExitCode  called by a verb that ends without an error but not with 0.
 */
export function createProgram(io: CliIo, onExitCode: (code: number) => void): Command {
  const program = new Command('adapt')
    .description(
      'Train language models whose data curation happens during training: every sample stays, and its loss\n' +
        'is weighted by how close the model itself now finds it to your examples.',
    )
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [verb]', 'print the help of a verb')
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      // One line: commander puts its suggestion on a second one.
      outputError: (text, write) => write(`${text.trim().replace(/\s*\n\s*/g, ' ')}\n`),
      getOutHelpWidth: () => Math.min(io.stdout.columns ?? 100, 100),
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

Exit codes: 0 done, 1 bug, 2 config or missing file, 3 data, 4 numeric, 5 resource or set-up, 7 damaged file.`,
    )

  program
    .command('train')
    .description('train a model from a config file')
    .argument('<config>', 'YAML config')
    .option('--set <key=value>', SET_HELP, collectOption)
    .option(
      '--output-dir <dir>',
      'folder of the run, instead of output_dir (relative to the working directory)',
    )
    .option('--overwrite', 'replace the run that the output folder holds')
    .option('--quiet', 'print only the result')
    .addHelpText(
      'after',
      `
Paths in the config are relative to the config file; output_dir is relative to the working directory.

Examples:
  adapt train run.yaml
  adapt train run.yaml --set method=uniform --set training.seed=1 --output-dir runs/uniform-1`,
    )
    .action(async (path: string, options: TrainOptions) => {
      const { trainCommand } = await import('./train-command.js')
      await trainCommand(path, options, io)
    })

  program
    .command('compare')
    .description('train a grid of methods and seeds, and say what their differences mean')
    .argument('<study>', 'YAML study: base config, arms, seeds')
    .option('--only <arm>', 'train the cells of this arm only (repeatable)', collectOption)
    .option(
      '--set <key=value>',
      'set a key of the study, or base.KEY of its run config (repeatable)',
      collectOption,
    )
    .option('--dry-run', 'check everything and list the cells, train nothing')
    .option('--json <file>', 'write the comparison as JSON; - for stdout, progress then goes to stderr')
    .option('--markdown <file>', 'write the tables as Markdown')
    .option('--csv <file>', 'write cells and differences as CSV')
    .option('--quiet', 'print only the tables')
    .addHelpText(
      'after',
      `
Finished cells are kept in the study's output_dir and skipped; an interrupted one goes on. docs/compare.md says how to
write a study and how to read the tables.

Examples:
  adapt compare study.yaml --dry-run
  adapt compare study.yaml --csv study.csv --markdown study.md
  adapt compare study.yaml --only adapt-paper --set 'seeds=[0, 1]' --set base.training.max_steps=200`,
    )
    .action(async (path: string, options: CompareOptions) => {
      const { compareCommand } = await import('./compare-command.js')
      onExitCode(await compareCommand(path, options, io))
    })

  program
    .command('eval')
    .description('measure a model on held-out text, in bits per byte')
    .requiredOption('--model <dir>', 'model folder, adapter folder, run or checkpoint')
    .option('--adapter <dir>', 'PEFT adapter folder on top of --model')
    .requiredOption('--text <glob>', 'text to measure on (repeatable)', collectOption)
    .option('--max-length <n>', 'window in tokens', wholeNumberOption(2))
    .option('--batch-size <n>', 'windows per pass', wholeNumberOption(1))
    .option('--limit <n>', 'documents read per --text', wholeNumberOption(1))
    .option('--json', 'print JSON instead of a table')
    .addHelpText(
      'after',
      `
Examples:
  adapt eval --model runs/first/model --text 'heldout/*.jsonl'
  adapt eval --model ./Llama-2-7b-hf --text a.jsonl --text b.jsonl --json > bpb.json`,
    )
    .action(async (options: EvalOptions) => {
      const { evalCommand } = await import('./eval-command.js')
      await evalCommand(options, io)
    })

  program
    .command('generate')
    .description('answer or continue a prompt with a model, alone or turn by turn')
    .requiredOption('--model <dir>', 'model folder, adapter folder, run or checkpoint')
    .option('--adapter <dir>', 'PEFT adapter folder on top of --model')
    .option(
      '--prompt <text>',
      'what is asked or continued; without it, standard input, turn by turn in a terminal',
    )
    .option('--system <text>', 'system message before the prompt')
    .option('--chat-template <template>', "name, file or text, instead of the tokenizer's own")
    .option('--raw', 'continue the prompt as it is, without a chat template')
    .option('--max-new-tokens <n>', 'most tokens that are added', wholeNumberOption(1), 128)
    .option('--temperature <t>', '0 takes the most likely token each time', numberOption(0), 0)
    .option(
      '--top-p <p>',
      'draw from the most likely tokens of this total probability',
      numberOption(0, 1),
      1,
    )
    .option('--top-k <k>', 'draw from this many of the most likely tokens; 0: all', wholeNumberOption(0), 0)
    .option('--seed <n>', 'equal seeds give equal texts', wholeNumberOption(0), 0)
    .addOption(dtypeOption('auto'))
    .option('--json', 'print JSON with prompt, text, token ids and finish reason')
    .addHelpText(
      'after',
      `
A tokenizer with a chat template makes the prompt a turn of a conversation; without one, or with --raw, the model
continues it as text.

Examples:
  adapt generate --model runs/first --prompt 'SELECT'
  adapt generate --model runs/chat                     a conversation in the terminal
  adapt generate --model ./Llama-2-7b-hf --adapter runs/lora/model --prompt 'Once' --temperature 0.8 --top-p 0.95`,
    )
    .action(async (options: GenerateCommandOptions) => {
      const { generateCommand } = await import('./generate-command.js')
      await generateCommand(options, io)
    })

  program
    .command('merge')
    .description('fold an adapter into its model: a folder for programs that know no adapters')
    .argument('<dir>', 'adapter folder or run; or the model folder, with --adapter')
    .requiredOption('--out <dir>', 'folder that is written')
    .option('--adapter <dir>', 'PEFT adapter folder, when <dir> is the model')
    .addOption(dtypeOption('auto'))
    .option('--max-shard-size <size>', 'largest weight file, such as 2GB (default: 5GB)')
    .option('--overwrite', 'replace what --out holds')
    .addHelpText(
      'after',
      `
The model underneath is the one that adapter_config.json names, unless <dir> is that model and --adapter is given.

Examples:
  adapt merge runs/lora --out merged
  adapt merge ./Llama-2-7b-hf --adapter runs/lora/model --out merged --dtype bfloat16`,
    )
    .action(async (dir: string, options: MergeOptions) => {
      const { mergeCommand } = await import('./merge-command.js')
      await mergeCommand(dir, options, io)
    })

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
Reads config.yaml, events.jsonl and the ledger of the run. The scores stay those of the run, so only the gate, the
normaliser and a preset with the same signal can be set. See docs/ledger.md.

Examples:
  adapt what-if runs/first --set method.gate.temperature=0.1
  adapt what-if runs/first --set method.gate.kind=calibrated-sigmoid --set method.gate.ess=0.9 --json`,
    )
    .action(async (run: string, options: WhatIfOptions) => {
      const { whatIfCommand } = await import('./what-if-command.js')
      await whatIfCommand(run, options, io)
    })

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
The page needs nothing but itself. It is made from config.yaml, events.jsonl, the ledger and the data files.

Examples:
  adapt report runs/first
  adapt report runs/uniform runs/adapt --output compare.html`,
    )
    .action(async (folders: readonly string[], options: ReportOptions) => {
      const { reportCommand } = await import('./report-command.js')
      await reportCommand(folders, options, io)
    })

  program
    .command('data')
    .description('show samples as the model sees them and what the training data consists of')
    .argument('<config>', 'YAML config')
    .option('--samples <n>', 'samples to show', wholeNumberOption(0), 3)
    .option('--seed <n>', 'choice of the samples', wholeNumberOption(0), 0)
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--no-color', 'mark trained tokens by [[ and ]] on a terminal too')
    .addHelpText(
      'after',
      `
Trained tokens are coloured on a terminal and stand between [[ and ]] elsewhere; the rest is context.

Examples:
  adapt data run.yaml
  adapt data run.yaml --samples 10 --seed 7 --no-color > samples.txt`,
    )
    .action(async (path: string, options: DataOptions) => {
      const { dataCommand } = await import('./data-command.js')
      await dataCommand(path, options, io)
    })

  program
    .command('anchors')
    .description('tell what the anchors are worth: diagnostics, closest sources, text shared with other data')
    .argument('<config>', 'YAML config')
    .option(
      '--model <dir>',
      'model folder, run or checkpoint to embed with, instead of the model of the config',
    )
    .option('--samples <n>', 'training samples to compare with', wholeNumberOption(3), 1024)
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Two texts share text when 13 words in a row are the same (texts of 8 to 12 words: when one holds the other whole).

Examples:
  adapt anchors run.yaml --model runs/first
  adapt anchors run.yaml --model ./Llama-2-7b-hf --samples 200 --json > anchors.json`,
    )
    .action(async (path: string, options: AnchorsOptions) => {
      const { anchorsCommand } = await import('./anchors-command.js')
      await anchorsCommand(path, options, io)
    })

  program
    .command('validate')
    .description('check a config and that its files exist, without training')
    .argument('<config>', 'YAML config')
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--resolved', 'print the config with every default instead of a summary')
    .addHelpText(
      'after',
      `
Examples:
  adapt validate run.yaml
  adapt validate run.yaml --set method=adapt-calibrated --resolved > resolved.yaml`,
    )
    .action(
      async (path: string, options: { readonly set?: readonly string[]; readonly resolved?: boolean }) => {
        const { validateCommand } = await import('./validate-command.js')
        await validateCommand(path, options, io)
      },
    )

  program
    .command('estimate')
    .description('tell what a run would take: parameters, memory, FLOPs and time, from config.json alone')
    .argument('<config>', 'YAML config')
    .option('--samples <n>', 'samples of an epoch, each taken for a full row', wholeNumberOption(1))
    .option('--device <name>', 'cpu, or a part of a name in the table (repeatable)', collectOption)
    .option('--tflops <n>', 'peak of another device', numberOption(Number.MIN_VALUE))
    .option('--memory <gigabytes>', 'memory of the device of --tflops', numberOption(0))
    .option('--mfu <share>', 'share of the peak that training reaches', numberOption(0.001, 1), 0.4)
    .option('--set <key=value>', SET_HELP, collectOption)
    .option('--json', 'print JSON instead of tables')
    .addHelpText(
      'after',
      `
Needs no weights and loads no engine. docs/estimate.md derives the figures.

Examples:
  adapt estimate run.yaml
  adapt estimate run.yaml --samples 270679 --device h100 --mfu 0.5
  adapt estimate run.yaml --tflops 500 --memory 96 --set training.gradient_checkpointing=true --json`,
    )
    .action(async (path: string, options: EstimateCommandOptions) => {
      const { estimateCommand } = await import('./estimate-command.js')
      await estimateCommand(path, options, io)
    })

  program
    .command('setup')
    .description('find LibTorch and build the native add-on of the installed packages')
    .option('--libtorch <dir>', 'use the LibTorch in this folder, now and on later runs ("auto" forgets it)')
    .option('--print', 'print which LibTorch would be used and why, as JSON; build nothing')
    .option('--quiet', 'print errors and warnings only')
    .addHelpText(
      'after',
      `
Needs a C++ compiler and LibTorch 1.13 or >= 2.1; as root on Debian and Ubuntu it installs what is missing.
The add-on lies inside @adapt-ts/torch, or in ADAPT_TORCH_BUILD_DIR.

Examples:
  adapt setup
  adapt setup --libtorch /opt/libtorch`,
    )
    .action(async (options: SetupOptions) => {
      const { setupCommand } = await import('./setup-command.js')
      onExitCode(await setupCommand(options, io))
    })

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
      const { doctorCommand } = await import('./doctor.js')
      onExitCode(await doctorCommand(options, io))
    })

  program
    .command('schema')
    .description('print the JSON Schema of a config, for editors')
    .addHelpText(
      'after',
      `
Examples:
  adapt schema > adapt.schema.json
  then, as the first line of a config:  # yaml-language-server: $schema=adapt.schema.json`,
    )
    .action(async () => {
      const { configJsonSchema } = await import('../config/index.js')
      io.stdout.write(`${JSON.stringify(configJsonSchema(), null, 2)}\n`)
    })

  return program
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { readonly version: string }).version
}
