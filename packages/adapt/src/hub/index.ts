export { fetchDataSets, resolveDataFiles } from './fetch-data-set.js'
export { type FetchModelOptions, fetchModel } from './fetch-model.js'
export { type HubContent, isComplete } from './hub-cache.js'
export { formatHubId, type HubId, parseHubId } from './hub-id.js'
export type { DownloadReport } from './hub-repo.js'
export { type HubSettings, type HubVariables, hubSettings } from './hub-settings.js'
export {
  ADAPTER_FILES,
  CHAT_TEMPLATE_FILE,
  CHAT_TEMPLATE_FOLDER,
  CONFIG_FILE,
  foreignWeights,
  GENERATION_FILE,
  INDEX_FILE,
  shardName,
  TOKENIZER_FILES,
  WEIGHTS_FILE,
} from './model-files.js'
export { findModelPlace, type ModelPlace, resolveModelPath } from './resolve-model-path.js'
