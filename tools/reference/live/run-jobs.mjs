// The part of check_live.py that the project's own code does: `node run-jobs.mjs JOBS.json`, a list of jobs.
// Every job names its folders; what it computes goes to `out`.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  addLora,
  createModel,
  generateTokens,
  loadAdapterFolder,
  loadModelFolder,
  mergeLora,
  saveAdapterFolder,
  saveModelFolder,
} from '@adapt-ts/adapt'
import { copy_, Generator, noGrad, scope, tensor, uniform_, writeSafetensors } from '@adapt-ts/torch'
import { layoutBatch, openTensors } from '../../../packages/adapt/dist/model/golden.test.fixture.js'
import { gradientValues } from '../../../packages/adapt/dist/model/tiny-llama.test.fixture.js'
import { adapterValues, runMeanLoss } from '../../../packages/adapt/dist/train/golden-model.test.fixture.js'

const LAYOUTS = ['right', 'left', 'packed']

/** Opens a model, hands it to `use` and frees it. */
function withModel(open, use) {
  const model = open()
  try {
    return use(model)
  } finally {
    model.dispose()
  }
}

/** Runs a model on the three layouts and writes logits, losses and gradients to `out/results.safetensors`. */
function writeResults(open, { inputs, out }) {
  const found = new Map()
  for (const layout of LAYOUTS) {
    withModel(open, (model) => {
      const { loss, logits_NV } = runMeanLoss(model, layoutBatch(openTensors(inputs), layout))
      found.set(`${layout}.logits_NV`, logits_NV).set(`${layout}.loss`, Float32Array.of(loss))
      const gradients = gradientValues(model)
      for (const [name, values] of model.lora ? adapterValues(gradients) : gradients)
        found.set(`${layout}.grad.${name}`, values)
    })
  }
  scope(() => {
    const tensors = [...found].map(([name, values]) => [name, tensor(values, [values.length])])
    writeSafetensors(join(out, 'results.safetensors'), new Map(tensors))
  })
}

const JOBS = {
  /**
   * A folder that transformers wrote: computed, then written again in both dtypes and in shards, and once by a model that
   * knows nothing of that folder, so that its config.json is all our own.
   */
  model(job) {
    const open = () => loadModelFolder(job.folder)
    writeResults(open, job)
    withModel(open, (model) => {
      saveModelFolder(model, join(job.out, 'saved'))
      saveModelFolder(model, join(job.out, 'bfloat16'), { dtype: 'bfloat16' })
      saveModelFolder(model, join(job.out, 'sharded'), { maxShardSize: 6000 })
      withModel(
        () => createModel(model.config),
        (copy) => {
          const values = new Map(model.namedParameters())
          noGrad(() => {
            for (const [name, parameter] of copy.namedParameters()) copy_(parameter, values.get(name))
          })
          saveModelFolder(copy, join(job.out, 'own'))
        },
      )
    })
  },

  /** Shards in bfloat16 that transformers wrote, read in their own dtype and written as one file. */
  shards(job) {
    withModel(
      () => loadModelFolder(job.folder, { dtype: 'auto' }),
      (model) => saveModelFolder(model, join(job.out, 'saved')),
    )
  },

  /** Another spelling of a config.json. */
  config(job) {
    writeResults(() => loadModelFolder(job.folder), job)
  },

  /** An adapter that PEFT wrote: computed, written again, merged. */
  'peft-adapter'(job) {
    const open = () => {
      const model = loadModelFolder(job.folder)
      loadAdapterFolder(model, job.adapter)
      return model
    }
    writeResults(open, job)
    withModel(open, (model) => {
      saveAdapterFolder(model, join(job.out, 'adapter'))
      mergeLora(model)
      saveModelFolder(model, join(job.out, 'merged'))
    })
  },

  /** A base in bfloat16 beside an adapter in float32. */
  'bfloat16-base'(job) {
    writeResults(() => {
      const model = loadModelFolder(job.folder, { dtype: job.dtype })
      loadAdapterFolder(model, job.adapter)
      return model
    }, job)
  },

  /** An adapter made here, B random too; computed in evaluation mode and written. */
  'new-adapter'(job) {
    const open = () => {
      const model = loadModelFolder(job.folder)
      addLora(model, job.lora, job.seed)
      const generator = new Generator(job.seed + 1)
      for (const [name, parameter] of model.namedParameters()) {
        if (name.endsWith('lora.B')) noGrad(() => uniform_(parameter, -0.2, 0.2, generator))
      }
      model.eval()
      return model
    }
    writeResults(open, job)
    withModel(open, (model) => saveAdapterFolder(model, join(job.out, 'adapter')))
  },

  /** Greedy continuations of prompts, token by token through the cache. */
  generate({ folder, adapter, prompts, maxNewTokens, out }) {
    withModel(
      () => loadModelFolder(folder),
      (model) => {
        if (adapter) loadAdapterFolder(model, adapter)
        const ids = prompts.map((prompt) => [...generateTokens(model, prompt, { maxNewTokens })])
        writeFileSync(join(out, 'ids.json'), JSON.stringify(ids))
      },
    )
  },
}

const jobs = JSON.parse(readFileSync(process.argv[2], 'utf8'))
for (const job of jobs) {
  mkdirSync(job.out, { recursive: true })
  await JOBS[job.kind](job)
}
