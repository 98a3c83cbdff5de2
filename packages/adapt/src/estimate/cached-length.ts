import { statSync } from 'node:fs'
import { createRowStream, holdOut, planMixing } from '../batch/index.js'
import { partsOf } from '../catalog/index.js'
import { chatOptions, dataSources, planSteps, type RunConfig, resolveCacheDir } from '../config/index.js'
import { AdaptError } from '../errors.js'
import { findModelPlace, resolveDataFiles } from '../hub/index.js'
import { findTokenCache, loadTokenizer } from '../tokenize/index.js'
import type { RunLength } from './estimate-flops.js'

/** Data beyond this is not read for the hash that its cache is named by: an estimate answers at once. */
const MAX_HASHED_BYTES = 256e6

/**
 * Steps and tokens of a run whose data was tokenised before (`adapt data`, `adapt train`); undefined when it was not, when files are
 * missing or too large to be hashed at once.
 */
export async function cachedLength(config: RunConfig, baseDir: string): Promise<RunLength | undefined> {
  const { data, training } = config
  const { folder } = findModelPlace(baseDir, config.tokenizer)
  if (folder === undefined) return undefined
  try {
    const files = await resolveDataFiles(dataSources(data.train), baseDir)
    if (files.reduce((sum, { path }) => sum + statSync(path).size, 0) > MAX_HASHED_BYTES) return undefined
    const whole = await findTokenCache({
      files,
      tokenizer: loadTokenizer(folder, chatOptions(config, baseDir)),
      maxLength: data.max_length,
      cacheDir: resolveCacheDir(config, baseDir),
      maxBadRecords: data.max_bad_records,
    })
    if (whole === undefined) return undefined
    try {
      const dataset = holdOut(whole, data.val_set_size, training.seed).train
      const stream = createRowStream({
        dataset,
        seed: training.seed,
        maxLength: data.max_length,
        packing: data.packing,
        windowSize: Math.min(data.packing_window, 65_536),
        mixing: data.mixing,
      })
      const { candidates, keptShare } = partsOf(config.method)
      const plan = planSteps(
        config,
        (epoch) => Math.max(1, Math.round(stream.numRowsPerEpoch(epoch) * keptShare)),
        candidates,
      )
      const tokensPerEpoch = planMixing(dataset, data.mixing).reduce(
        (sum, { passesPerEpoch, numTokens }) => sum + passesPerEpoch * numTokens,
        0,
      )
      const tokens = Math.round((plan.passes * tokensPerEpoch * keptShare) / candidates)
      return {
        steps: plan.totalSteps,
        stepsPerEpoch: plan.stepsPerEpoch,
        passes: planSteps(config, (epoch) => stream.numRowsPerEpoch(epoch)).passes,
        tokens,
        samples: dataset.numSamples,
        tokensPerPass: dataset.numTokens,
        basis: 'token cache',
      }
    } finally {
      whole.close()
    }
  } catch (error) {
    // What is wrong with the data is told where the data is needed.
    if (error instanceof AdaptError) return undefined
    throw error
  }
}
