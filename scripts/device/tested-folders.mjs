/** Folders of packages/adapt whose code touches tensors: their tests run on devices too. */
export const TESTED_FOLDERS = [
  'train',
  'model',
  'generate',
  'loss',
  'method',
  'signal',
  'gate',
  'checkpoint',
  'eval',
  'catalog',
]
