/** Folders of packages/adapt/src in their order: each imports only from those before it (and errors.ts). */
export const adaptFolders = [
  'statistics',
  'dataset',
  'hub',
  'contamination',
  'chat-template',
  'tokenize',
  'batch',
  'model',
  'generate',
  'loss',
  'signal',
  'gate',
  'method',
  'record',
  'train',
  'checkpoint',
  'eval',
  'report',
  'config',
  'estimate',
  'experiment',
  'compare',
  'cli',
]

/** Folders that must load without the engine. */
export const engineFreeFolders = [
  'statistics',
  'dataset',
  'hub',
  'contamination',
  'chat-template',
  'tokenize',
  'batch',
  'record',
  'report',
  'config',
  'estimate',
]

/** Files above this many lines are listed; splitting them is a matter of judgement. */
export const longFileLines = 400
