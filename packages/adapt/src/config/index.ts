export type { Normalizer } from '../loss/normalizer.js'
export { suggestName } from '../method/nearest-name.js'
export { chatOptions } from './chat-options.js'
export { type ConfigIssue, type CrossFieldIssue, invalidConfig } from './config-issue.js'
export {
  allSources,
  dataSources,
  evaluationSources,
  resolveCacheDir,
  resolveConfigPath,
} from './config-paths.js'
export type { Environment } from './interpolate.js'
export {
  type LoadConfigOptions,
  type LoadedConfig,
  loadConfig,
  MAX_CONFIG_BYTES,
  parseConfigText,
} from './load-config.js'
export { MODEL_PRESETS } from './model-schema.js'
export { parseConfig } from './parse-config.js'
export { asOneRank, planSteps, rowsPerStep, type StepPlan } from './plan-steps.js'
export { renderResolvedConfig } from './render-config.js'
export { configJsonSchema, type RunConfig, type RunConfigInput } from './run-config.js'
export type { RunOptions } from './run-options.js'
export { configWarnings, validateConfig } from './validate-config.js'
