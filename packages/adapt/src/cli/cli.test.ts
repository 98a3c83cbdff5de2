import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { cliFolder, dataUrl } from './cli-folder.test.fixture.js'

const VERBS = [
  'train',
  'compare',
  'eval',
  'generate',
  'merge',
  'what-if',
  'report',
  'data',
  'anchors',
  'validate',
  'estimate',
  'methods',
  'setup',
  'doctor',
  'schema',
]

const cli = cliFolder()
const { adapt, adaptHere } = cli

describe('an option that is a key of the config', () => {
  it.each([
    [['train', 'conf/run.yaml', '--learning_rate', '1'], '--set training.learning_rate=VALUE'],
    [['train', 'conf/run.yaml', '--max-steps=3'], '--set training.max_steps=VALUE'],
    [['validate', '--batch-size', '4', 'conf/run.yaml'], '--set training.per_device_train_batch_size=VALUE'],
    [['train', 'conf/run.yaml', '--resume'], 'goes on by itself with the same command'],
    [['compare', 'study.yaml', '--lr', '1'], '--set base.training.learning_rate=VALUE'],
    [['train', 'conf/run.yaml', '--use_cpu'], '--set training.device=VALUE'],
    [['train', 'conf/run.yaml', '--device', 'cudo'], 'received "cudo" (did you mean "cuda"?).'],
    [
      ['validate', 'conf/run.yaml', '--set', 'training.device=gpu'],
      'training.device: expected auto, cpu, cuda, cuda:N or mps, received "gpu" (did you mean "cuda"?)',
    ],
    [
      ['validate', 'conf/run.yaml', '--set', 'training.device=0'],
      'training.device: expected auto, cpu, cuda, cuda:N or mps, received 0 (did you mean "cuda:0"?)',
    ],
    [['train', 'conf/run.yaml', '--quit'], "error: unknown option '--quit' (Did you mean --quiet?)"],
    [['audit', 'x.yaml', '--out', 'x'], "error: unknown option '--out' (Did you mean --output?)"],
    [['doctor', '--learning_rate', '1'], "error: unknown option '--learning_rate'"],
  ])('%j is answered with the way to set it, in one line', async (args, expected) => {
    const { exitCode, stdout, stderr } = await adaptHere(args)
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain(expected)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })
})

describe('what a verb prints', () => {
  it.each([
    ['doctor'],
    ['estimate', 'conf/run.yaml'],
    ['validate', 'conf/run.yaml'],
    ['data', 'conf/run.yaml', '--samples', '0', '--set', `data.train.0.source=${'long-name-'.repeat(12)}`],
  ])('fits 80 columns: %s', async (...args) => {
    const { stdout } = await adaptHere(args)
    // A path is not broken.
    const wide = stdout.split('\n').filter((line) => line.length > 80 && !/^\S* *\S{60,}$/.test(line))
    expect(wide).toEqual([])
    expect(stdout).not.toBe('')
  })
})

describe('help', () => {
  it('lists every verb and an example, on stdout', async () => {
    const { exitCode, stdout, stderr } = await adapt(['--help'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'))
    expect(stdout).toContain('adapt train run.yaml')
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  it.each(VERBS)('of %s shows an example', async (verb) => {
    const { exitCode, stdout } = await adaptHere([verb, '--help'])
    expect(exitCode).toBe(0)
    expect(stdout).toMatch(new RegExp(`Examples:\n {2}adapt ${verb}`))
    expect(stdout.split('\n').filter((line) => line.length > 80)).toEqual([])
  })

  it('loads neither the engine nor the config libraries', async () => {
    const hooks = `import { writeSync } from 'node:fs'
      export async function resolve(specifier, context, next) {
        const found = await next(specifier, context)
        writeSync(2, found.url + '\\n')
        return found
      }`
    const register = `import { register } from 'node:module'; register(${JSON.stringify(dataUrl(hooks))})`
    const { stderr } = await adapt(['--help'], { nodeArgs: ['--import', dataUrl(register)] })
    expect(stderr).toContain('run-cli.js')
    expect(stderr).not.toMatch(
      /zod|\/yaml\/|tokenizers|packages\/torch|dist\/(?:config|dataset\/(?!printable)|open|run|run-folder|run-report)\//,
    )
  })

  it('is the answer without a verb, with the exit code of a usage error', async () => {
    const { exitCode, stdout, stderr } = await adapt([])
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr).toContain('Usage: adapt')
  })

  it('prints the version of the package', async () => {
    const manifest = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'))
    expect(await adapt(['--version'])).toEqual({ exitCode: 0, stdout: `${manifest.version}\n`, stderr: '' })
  })
})

describe('a wrong command line', () => {
  it.each([
    [['trian', 'x.yaml'], "error: unknown command 'trian' (Did you mean train?)\n"],
    [['train', 'x.yaml', '--sett', 'a=b'], "error: unknown option '--sett' (Did you mean --set?)\n"],
    [['train'], "error: missing required argument 'config'\n"],
    [
      ['eval', '--text', 'a'],
      'error: --model: expected a model folder, adapter folder, run or checkpoint, received none\n',
    ],
    [
      ['data', 'x.yaml', '--samples', '1.5'],
      "error: option '--samples <n>' argument '1.5' is invalid. Expected a whole number >= 0.\n",
    ],
    [
      ['eval', '--model', 'a', '--text', 'b', '--batch-size', 'atuo'],
      "error: option '--batch-size <n>' argument 'atuo' is invalid. Expected a whole number >= 1 or auto.\n",
    ],
    [['train', 'none.yaml'], 'error: none.yaml: expected a config file, received no such file\n'],
  ])('%j is one line and exit code 2', async (args, stderr) => {
    expect(await adaptHere(args)).toEqual({ exitCode: 2, stdout: '', stderr })
  })

  it('reports each problem of a config with its line and column', async () => {
    const set = ['--set', 'training.seed=-1', '--set', 'model.preset=llama-3x']
    const { exitCode, stderr } = await adapt(['train', 'conf/run.yaml', ...set])
    expect(exitCode).toBe(2)
    expect(stderr.split('\n').map((line) => line.split(': ')[1])).toEqual([
      '--set model.preset=llama-3x',
      '--set training.seed=-1',
      undefined,
    ])
  })
})

describe('validate', () => {
  it('says OK and what would run', async () => {
    const { exitCode, stdout, stderr } = await adapt(['validate', 'conf/run.yaml'])
    expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' })
    expect(stdout.split('\n')).toEqual([
      'OK',
      'model       scratch, llama-1m',
      expect.stringMatching(/^tokenizer {3}tok, \d+ tokens$/),
      'train       1 file, 0.2 kB',
      'anchors     1 file, 0.0 kB',
      'evaluation  none',
      'method      adapt: weights by closeness to the anchors, as the model itself now',
      '            sees it',
      'training    30 steps of 8 rows x 24 tokens, linear from 0.0005',
      expect.stringMatching(/^device {6}auto/),
      'output_dir  runs/x',
      '',
    ])
  })

  it('names the device that a run would look for, and what speaks against it, without the engine', async () => {
    const engine = `const { dlopen } = process
      process.dlopen = (module, file, ...rest) => {
        if (file.includes('adapt_torch')) throw new Error('the engine was loaded')
        return dlopen.call(process, module, file, ...rest)
      }`
    const validate = (...set: string[]) =>
      adapt(['validate', 'conf/run.yaml', ...set], { nodeArgs: ['--import', dataUrl(engine)] })
    expect((await validate()).stdout).toMatch(/^device {6}(auto|cpu)/m)
    expect((await validate('--set', 'training.device=cpu')).stdout).toMatch(/^device {6}cpu$/m)
    const { exitCode, stdout, stderr } = await validate('--set', 'training.device=mps')
    expect({ exitCode, isSaid: /^device {6}mps/m.test(stdout) }).toEqual({ exitCode: 0, isSaid: true })
    if (process.platform !== 'darwin')
      expect(stderr).toContain('warning: training.device: expected a Mac for "mps"')
  })

  it('prints a resolved config that validates again to the same', async () => {
    const first = await adaptHere([
      'validate',
      'conf/run.yaml',
      '--set',
      'method=adapt-calibrated',
      '--resolved',
    ])
    await writeFile(join(cli.path(), 'conf/resolved.yaml'), first.stdout)
    expect(await adaptHere(['validate', 'conf/resolved.yaml', '--resolved'])).toEqual(first)
    expect(first.stdout).toContain('kind: calibrated-sigmoid')
  })

  it('reports every missing file at once', async () => {
    const set = ['model={path: m}', 'tokenizer=t', 'anchors=[n.jsonl]', 'evaluation.sets=[e.jsonl]']
    const { exitCode, stdout, stderr } = await adaptHere([
      'validate',
      'conf/run.yaml',
      ...set.flatMap((s) => ['--set', s]),
    ])
    expect({ exitCode, stdout }).toEqual({ exitCode: 2, stdout: '' })
    expect(stderr.split('\n').map((line) => line.split(': ')[1])).toEqual([
      'model.path',
      'tokenizer',
      'anchors',
      'evaluation.sets',
      undefined,
    ])
  })

  it.each([
    ['a path of no adapter', 'model={ path: shape, adapter: nowhere }', 'nowhere: expected a PEFT adapter'],
    [
      'layers that are not there',
      'model={ path: shape, lora: { target_modules: [c_attn] } }',
      '"c_attn" matches',
    ],
    [
      'a reference that is not there',
      'method={ preset: rho-1, signal: { reference: nowhere } }',
      'error: method.signal.reference: expected the folder of a model, received',
    ],
    ['rows that are too long', 'data.max_length=100', 'data.max_length: 100 is more than the model'],
  ])('refuses %s as a run would', async (_, set, said) => {
    const config = {
      architectures: ['LlamaForCausalLM'],
      vocab_size: 100_000,
      hidden_size: 16,
      intermediate_size: 24,
      num_hidden_layers: 2,
      num_attention_heads: 4,
      max_position_embeddings: 64,
    }
    await mkdir(join(cli.path(), 'conf/shape'), { recursive: true })
    await writeFile(join(cli.path(), 'conf/shape/config.json'), JSON.stringify(config))
    const sets = ['--set', 'model={ path: shape }', '--set', set]
    const { exitCode, stderr } = await adaptHere(['validate', 'conf/run.yaml', ...sets])
    expect(stderr).toContain(said)
    expect(exitCode).toBe(2)
  })

  it('ends with the exit code of bad data for records that cannot be read', async () => {
    const bad = await adaptHere(['validate', 'conf/run.yaml', '--set', 'anchors=[bad.jsonl]'])
    expect(bad).toMatchObject({ exitCode: 3, stdout: '' })
    expect(bad.stderr).toMatch(/^error: anchors: .*bad\.jsonl:1/)
    const empty = await adaptHere(['validate', 'conf/run.yaml', '--set', 'anchors=[empty.jsonl]'])
    expect(empty).toMatchObject({
      exitCode: 3,
      stderr: 'error: anchors: expected at least one record in 1 files, found none\n',
    })
    expect(
      (await adaptHere(['validate', 'conf/run.yaml', '--set', 'anchors=[empty.jsonl, anchors.jsonl]']))
        .exitCode,
    ).toBe(0)
  })

  it.each([
    ['paper-instruct.yaml', ['model.path', 'tokenizer']],
    ['instruct.yaml', []],
  ])('accepts the example %s and warns of what is not there yet', async (name, missing) => {
    const example = fileURLToPath(new URL(`../../../../examples/${name}`, import.meta.url))
    const { exitCode, stdout, stderr } = await adaptHere(['validate', example])
    expect({ exitCode, isOk: stdout.startsWith('OK\n') }).toEqual({ exitCode: 0, isOk: true })
    const warnings = [...stderr.matchAll(/^warning: ([\w.]+): .* missing/gm)]
    expect(warnings.map(([, key]) => key)).toEqual(missing)
    expect(stderr.split('\n')).toHaveLength(missing.length + 1)
  })

  it('warns of settings without effect and goes on', async () => {
    const { exitCode, stderr } = await adaptHere(['validate', 'conf/run.yaml', '--set', 'method=uniform'])
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr: 'warning: anchors: not used, because method.signal.kind is "constant"\n',
    })
  })
})

describe('data', () => {
  it('shows samples with their trained tokens, shares by source and counts', async () => {
    const { exitCode, stdout, stderr } = await adapt(['data', 'conf/run.yaml', '--samples', '5'])
    expect({ exitCode, stderr }).toEqual({
      exitCode: 0,
      stderr:
        'warning: 1 of 2 (50.0 %) responses lie beyond data.max_length and are not trained\n' +
        'warning: 1 of 3 (33.3 %) samples have no trained token\n',
    })
    expect(stdout).toContain('<s>[[the data shapes the model\\u{1b}[2J</s>]]\n')
    expect(stdout).toContain('<s>the model?[[ the data.</s>]]\n')
    expect(stdout).not.toContain('\u001b')
    expect(stdout).toMatch(/^web +1 +\d+ +\d+ +\d+\.\d% +\d+\.\d%$/m)
    expect(stdout).toMatch(/^qa +2 +/m)
    expect(stdout).toMatch(/^documents: 3\nsamples: 3\n/m)
    expect(stdout).toMatch(/^samples without trained tokens: 1$/m)
  })

  it('marks what is trained of conversations, and counts what is held out', async () => {
    const set = ['--set', 'data.train=[talk.jsonl]', '--set', 'data.chat_template=chatml']
    const { exitCode, stdout, stderr } = await adaptHere([
      ...['data', 'conf/run.yaml', ...set, '--set', 'data.val_set_size=1', '--set', 'data.max_length=90'],
    ])
    expect(exitCode).toBe(0)
    // The tiny tokenizer has no <|im_end|>.
    expect(stderr).toMatch(/^warning: the chat template chatml: ends an answer with [^\n]*\n$/)
    expect(stdout).toContain('<|im_start|>assistant\n[[the data<|im_end|>\n]]')
    expect(stdout).toMatch(/^documents held out \(val_set_size\): 1$/m)
    expect(stdout).toMatch(/^responses: 2\nresponses cut off: 0$/m)
  })

  it('needs a template for conversations, and validate says so too', async () => {
    for (const verb of ['data', 'validate']) {
      const { exitCode, stderr } = await adaptHere([
        verb,
        'conf/run.yaml',
        '--set',
        'data.train=[talk.jsonl]',
      ])
      expect([exitCode, stderr.match(/\n/g)]).toEqual([2, ['\n']])
      expect(stderr).toContain('set data.chat_template to one of chatml')
    }
    const set = ['--set', 'data.train=[talk.jsonl]', '--set', 'data.chat_template=chatmlx']
    const { exitCode, stderr } = await adaptHere(['validate', 'conf/run.yaml', ...set])
    expect(exitCode).toBe(2)
    expect(stderr).toContain('there is no file')
  })

  it('shows the same samples for the same seed', async () => {
    const first = await adaptHere(['data', 'conf/run.yaml', '--samples', '1', '--seed', '4'])
    expect(await adaptHere(['data', 'conf/run.yaml', '--samples', '1', '--seed', '4'])).toEqual(first)
    expect(first.stdout.match(/^--- /gm)).toHaveLength(1)
  })
})

describe('train and eval', () => {
  it('train a model, refuse to replace it unasked, and measure it', async ({ skip }) => {
    const { exitCode: doctor } = await adaptHere(['doctor'])
    if (doctor !== 0) skip('the native add-on is not built')

    const set = ['--set', 'training={max_steps: 2, per_device_train_batch_size: 2, logging_steps: 1}']
    const trained = await adapt(['train', 'conf/run.yaml', ...set, '--output-dir', 'out'])
    expect(trained).toMatchObject({ exitCode: 0, stderr: '' })
    const lines = trained.stdout.trim().split('\n')
    const steps = lines.filter((line) => /^step \d+\/2 /.test(line))
    expect(steps).toHaveLength(2)
    for (const [i, line] of steps.entries()) {
      expect(line).toMatch(
        new RegExp(
          `^step ${i + 1}/2 {2}loss \\d+\\.\\d{3} {2}lr .*e[-+]\\d {2}[\\d,]+ tok/s {2}w \\d\\.\\d\\d {2}ESS .* ETA \\d+:\\d\\d$`,
        ),
      )
    }
    expect(lines.slice(-5)).toEqual([
      ...['run     out', 'model   out/model', 'report  out/report.html'],
      'next    npx adapt generate --model out --prompt TEXT',
      '        npx adapt eval --model out --text FILE',
    ])

    const again = await adaptHere(['train', 'conf/run.yaml', ...set, '--output-dir', 'out'])
    expect(again).toMatchObject({ exitCode: 2, stdout: expect.not.stringContaining('step ') })
    expect(again.stderr).toMatch(/^error: .*--overwrite/)

    const quiet = await adaptHere([
      'train',
      'conf/run.yaml',
      ...set,
      '--output-dir',
      'out',
      '--overwrite',
      '--quiet',
    ])
    expect(quiet).toEqual({
      exitCode: 0,
      stdout: 'run     out\nmodel   out/model\nreport  out/report.html\n',
      stderr: expect.stringMatching(/^(warning: .*\n)+$/),
    })

    const evaluated = await adapt(['eval', '--model', 'out/model', '--text', 'conf/anchors.jsonl', '--json'])
    expect(evaluated).toMatchObject({
      exitCode: 0,
      stderr: expect.stringMatching(/^device .*\nwindow 24 tokens \(data.max_length of out\)\n$/),
    })
    const { sources, all } = JSON.parse(evaluated.stdout)
    expect(sources).toEqual({ anchors: all })
    expect(all).toMatchObject({ bytes: 8, documents: 1 })
    expect(all.bits_per_byte).toBeGreaterThan(0)
    const table = await adaptHere(['eval', '--model', 'out/model', '--text', 'conf/anchors.jsonl'])
    expect(table.stdout).toMatch(/^source .*bits\/byte.*\nanchors +\d+\.\d{4} .*\nall +\d+\.\d{4} /)
  })
})
