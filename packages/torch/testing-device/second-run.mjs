// The second run of the tests, on the device without hardware: what it cannot do, and why.
import { buildInfo, nn } from '@adapt-ts/torch'
import { beforeEach } from 'vitest'

const NO_AUTOCAST = 'LibTorch 1.13 has no autocast on this device'
const NO_GENERATOR = 'LibTorch 1.13 has no generator on this device'

/** Of LibTorch 1.13 only: file, part of the test's name, reason. */
const SKIPPED = [
  ['train/leaks', 'bfloat16', NO_AUTOCAST],
  ['train/linear-factors', 'under bfloat16', NO_AUTOCAST],
  ['train/packing', 'within bfloat16', NO_AUTOCAST],
  ['decoder/attend-sequences', 'of samples that are alone', NO_AUTOCAST],
  ['decoder/forward-pass', 'autocast bfloat16', NO_AUTOCAST],
  ['decoder/forward-pass', 'under autocast', NO_AUTOCAST],
  ['eval/rows-that-fit', 'bfloat16 products', NO_AUTOCAST],
  ['lora/lora', 'recomputes the same gradients under checkpointing (dropout 0.4)', NO_GENERATOR],
  ['lora/lora', 'drops the same inputs', NO_GENERATOR],
  ['lora/lora', 'is off outside training', NO_GENERATOR],
]

// On the CPU all of it would pass and show nothing.
const { device } = new nn.Linear(1, 1).weight
if (device !== process.env.ADAPT_TORCH_TESTING_DEFAULT_DEVICE)
  throw new Error(`the tests ought to run on another device than ${device}`)

beforeEach(({ task, skip }) => {
  const found = SKIPPED.find(
    ([file, name]) => task.file.filepath.includes(`/${file}.test.`) && task.name.includes(name),
  )
  if (found !== undefined && buildInfo().libtorchVersion.startsWith('1.')) skip(found[2])
})
