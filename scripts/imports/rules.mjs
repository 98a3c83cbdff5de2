/** Folders of packages/adapt/src in their order: each imports only from those before it (and errors.ts). */
export const adaptFolders = [
  'dataset',
  'contamination',
  'tokenize',
  'batch',
  'model',
  'signal',
  'gate',
  'method',
  'loss',
  'record',
  'train',
  'checkpoint',
  'eval',
  'report',
  'config',
  'experiment',
  'cli',
]

/** Folders that must load without the engine. */
export const engineFreeFolders = [
  'dataset',
  'contamination',
  'tokenize',
  'batch',
  'record',
  'report',
  'config',
]

/** Files above this many lines are listed; splitting them is a matter of judgement. */
export const longFileLines = 400
