import { describeMethod } from '../catalog/index.js'
import type { RunParts } from './run-parts.js'

/** What is about to be trained, on one line. */
export function describeTraining({
  request,
  data,
  built,
  plan,
  world,
}: Pick<RunParts, 'request' | 'data' | 'built' | 'plan' | 'world'>): string {
  const { numSamples, numTokens } = data.train
  const numAnchors = data.anchorDocuments.length
  const { trainer, method, dtype } = built
  const { numParameters, lora } = trainer.model
  const { average } = trainer
  const { evaluation } = request.config
  const numTrained = trainer.model.numTrainableParameters
  const adapter = lora && `, LoRA r ${lora.r} trains ${(numTrained / 1e6).toFixed(2)}M`
  return (
    `model ${(numParameters / 1e6).toFixed(2)}M parameters${adapter ?? ''}, ${dtype ?? 'float32'}; ` +
    `data ${numSamples.toLocaleString('en')} samples, ${numTokens.toLocaleString('en')} tokens` +
    `${numAnchors > 0 ? `, ${numAnchors} anchors` : ''}; ` +
    `${average ? `moving average (ema_decay ${average.decay}), ${evaluation.weights === 'ema' ? 'which is evaluated' : 'not evaluated'}; ` : ''}` +
    `method ${describeMethod(request.config.method)} (${method.normalizer}); ${plan.totalSteps} steps` +
    `${world.worldSize > 1 ? ` of ${plan.globalRows} rows over ${world.worldSize} ranks` : ''}`
  )
}
