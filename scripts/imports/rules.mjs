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
  'method',
  'signal',
  'gate',
  'catalog',
  'record',
  'train',
  'checkpoint',
  'eval',
  'report',
  'profile',
  'config',
  'tasks',
  'estimate',
  'open',
  'run-folder',
  'run-report',
  'what-if',
  'anchors',
  'prepare',
  'run',
  'score',
  'audit',
  'compare',
  'launch',
  'cli',
]

/** What a folder must not import although it comes before: the trainer knows a method by its contract alone. */
export const hiddenFolders = { train: ['signal', 'gate', 'catalog'] }

/** Folders whose index must load without the add-on of the engine; engine-free.test.mjs asks the process. */
export const engineFreeFolders = [
  'statistics',
  'dataset',
  'hub',
  'contamination',
  'chat-template',
  'tokenize',
  'batch',
  'catalog',
  'record',
  'report',
  'profile',
  'config',
  'estimate',
]

/** A file, and a function, that is longer is a fault. */
export const maxFileLines = 400
export const maxFunctionLines = 120

/** May be longer: what is generated, the list of the library's names, and a function whose text is the script of a page. */
export const oversized = new Set([
  'packages/adapt/src/config/run-options.ts',
  'packages/adapt/src/report/report-client.ts',
  'packages/adapt/src/index.ts',
])
