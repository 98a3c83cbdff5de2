/**
 * Everything that we want to be able to promise, in groups, and how each is shown: by a check of this folder, by tests that
 * `npm test` runs (`tests`, paths from the root), or not yet (`open`, with the reason). A promise with tests may also say what
 * they leave open.
 *
 * @typedef {{ id: string, title: string, tests?: readonly string[], open?: string }} Promised
 * @type {readonly { group: string, promises: readonly Promised[] }[]}
 */
const DASHBOARD = 'the dashboard is not there yet'
const adapt = (...names) => names.map((name) => `packages/adapt/src/${name}.test.ts`)
const torch = (...names) => names.map((name) => `packages/torch/src/${name}.test.ts`)

export const GROUPS = [
  {
    group: 'Determinism and resume',
    promises: [
      { id: '1', title: 'Same config, seed, build and machine give the same digest' },
      {
        id: '2',
        title: 'A stop at any step resumes bit-identically on CPU',
        tests: adapt('run/resume'),
      },
      { id: '3', title: '`kill -9` at any instruction of a save never loses more than one interval' },
      {
        id: '4',
        title: 'Power loss leaves the old or the new checkpoint, never a mix',
        open: 'needs a file system that forgets what was not synced; the order of the syncs is checked under 5',
      },
      {
        id: '5',
        title: 'A checkpoint is published once, whole, and retention never removes the last good one',
        tests: adapt('checkpoint/require-finite', 'run/refused-runs', 'run/best-model'),
      },
      {
        id: '6',
        title:
          'A damaged checkpoint is refused by name, and auto-resume falls back to the previous valid one',
        tests: adapt('checkpoint/checkpoint-store'),
      },
      {
        id: '7',
        title: 'One writer per run folder; leftovers do no harm',
        tests: adapt('run-folder/run-lock'),
      },
      { id: '8', title: 'Resume with another config or other data is refused with a readable diff' },
      {
        id: '9',
        title: 'Changing the number of processes keeps the sample order',
        tests: adapt('train/layout-invariance', 'batch/row-stream', 'run/ranks'),
      },
      {
        id: '10',
        title: 'The metrics log is append-only, torn-write safe and gap-free',
        tests: adapt('record/events', 'run/changed-under-run'),
      },
    ],
  },
  {
    group: 'Data integrity',
    promises: [
      {
        id: '11',
        title: 'A corrupt line is an error with file, line and byte offset, or counted skips within a budget',
        tests: adapt('dataset/dataset', 'run/data-policy'),
      },
      {
        id: '12',
        title: 'Truncated or damaged gzip is never read as complete',
        tests: adapt('dataset/dataset'),
        open: 'a file cut exactly between two members is a whole file of fewer; files of several members are reported as unverified',
      },
      { id: '13', title: 'Text is strict UTF-8 and lines end at 0x0A only', tests: adapt('dataset/dataset') },
      { id: '14', title: 'Empty inputs fail before the model is built' },
      {
        id: '15',
        title: 'Duplicate ids are found where an id field is declared',
        open: 'ids are not compared yet',
      },
      { id: '16', title: 'A 10 GB file streams in constant memory' },
      {
        id: '17',
        title: 'A file that changes during the run is noticed and never crashes the process',
        tests: adapt('tokenize/token-cache', 'run/changed-under-run', 'run/side-work'),
        open: 'data while the token cache is made, which is the only time it is read; the cache, the tokenizer and evaluation files under a run; not the base model',
      },
      {
        id: '18',
        title: 'Every sample is seen exactly once per epoch in the stated order',
        tests: adapt('batch/row-stream', 'batch/order-reference', 'run/steps-of-epochs'),
      },
    ],
  },
  {
    group: 'Numeric faults',
    promises: [
      {
        id: '19',
        title: 'A loss that is not finite stops all ranks before the update',
        tests: adapt('train/degenerate-steps', 'run/refused-runs'),
      },
      {
        id: '20',
        title: 'Gradients that are not finite with a finite loss are caught and located',
        tests: adapt('train/degenerate-steps', 'train/tiny-weights'),
        open: 'caught; the first bad parameter is not named',
      },
      {
        id: '21',
        title: 'Exploding gradients follow the chosen policy',
        tests: [...torch('optim/clip-grad-norm'), ...adapt('train/trainer')],
        open: 'clipping only; there is no policy for spikes yet',
      },
      {
        id: '22',
        title: 'A batch whose weights are all zero changes nothing',
        tests: adapt('train/degenerate-steps'),
        open: 'the loss of such a step stands as 0 beside `skipped: true`, where it should not be a number',
      },
      {
        id: '23',
        title: 'An all-padding sample contributes nothing',
        tests: adapt('train/degenerate-steps', 'train/packing'),
      },
      {
        id: '24',
        title: 'An empty response mask is found up front and harmless at run time',
        tests: adapt(
          'train/degenerate-steps',
          'tokenize/token-cache',
          'tokenize/tokenize-documents',
          'train/layout-invariance',
        ),
      },
      {
        id: '25',
        title: 'A missing or contaminated anchor set is refused',
        tests: adapt('run/refused-runs', 'anchors/inspect-anchors'),
      },
      {
        id: '26',
        title: 'The loss does not depend on how a global batch is split',
        tests: adapt('train/layout-invariance', 'run/run-training'),
      },
      { id: '27', title: 'Nonsense hyper-parameters never start', tests: adapt('config/validate-config') },
    ],
  },
  {
    group: 'Resource faults',
    promises: [
      {
        id: '28',
        title: 'Disk full or I/O error during a checkpoint or log write costs at most that write',
        tests: adapt('run/side-work', 'cli/terminal/output-guard', 'dataset/files'),
      },
      {
        id: '29',
        title: 'We find out at step 0, not at step 10,000',
        tests: adapt('run-folder/require-room'),
        open: 'the room for checkpoints is looked at first; nothing is saved and loaded back before step 1',
      },
      {
        id: '30',
        title: 'Out of memory is named and, where asked, survived',
        tests: adapt('cli/terminal/report-error', 'run/memory-of-run', 'open/explain-memory'),
        open: 'named when the engine reports it, and the run goes on with smaller passes when it is told to; a kill by the kernel is not named, and no batch is halved by itself',
      },
      {
        id: '31',
        title: 'SIGTERM gives a checkpoint within the grace time',
        tests: adapt('run/stop-request', 'run/npm-parent'),
        open: 'SIGINT and SIGUSR1 to npx alone, which keeps them for itself: jobs start node_modules/.bin/adapt',
      },
      { id: '32', title: 'SIGINT once is SIGTERM, twice is now' },
      { id: '33', title: 'No leaks over a long run', tests: adapt('train/leaks') },
    ],
  },
  {
    group: 'Distributed faults',
    promises: [
      {
        id: '34',
        title: 'A rank that dies takes the job down cleanly and quickly',
        tests: [...torch('distributed/process-group'), ...adapt('run/ranks')],
      },
      { id: '35', title: 'A rank that hangs is found', tests: torch('distributed/process-group') },
      { id: '36', title: 'Ranks with different inputs never start' },
      {
        id: '37',
        title: 'Replicas stay equal',
        tests: adapt('run/same-replicas'),
        open: 'a base model that is not trained is compared at the start only; where ranks share the optimiser, a bit that flips between two checkpoints is overwritten, or sent to all, by the rank that updates it: the replicas stay equal, and nobody is told',
      },
      {
        id: '38',
        title: 'A taken port is a clear error on every rank, and we do not race for ports',
        open: 'where several machines or `--master-port` name a port, rank 0 listens on it, and nobody holds it before',
      },
      {
        id: '39',
        title: 'A partition is either healed or ended',
        open: 'links that delay and lose packets',
      },
      {
        id: '40',
        title: 'Restart under an elastic launcher ends at the same result',
        tests: adapt('run/ranks'),
      },
      {
        id: '41',
        title: 'A slow rank is visible',
        tests: adapt('run/observers/rank-pace'),
      },
      {
        id: '42',
        title: 'The rendezvous is not open to the network',
        open: 'on one machine the ranks meet on loopback; on several the store of PyTorch listens on all interfaces and asks for no token',
      },
    ],
  },
  {
    group: 'Hostile inputs',
    promises: [
      {
        id: '43',
        title: 'safetensors files are fully validated before one byte reaches LibTorch',
        tests: torch('safetensors-header', 'safetensors'),
      },
      {
        id: '44',
        title: 'tokenizer.json cannot hang us or point outside the embedding',
        tests: adapt('tokenize/tokenizer', 'tokenize/tokenizer-process'),
      },
      {
        id: '45',
        title: 'A chat template can only make text',
        tests: adapt('tokenize/chat-samples', 'chat-template/render-chat'),
      },
      {
        id: '46',
        title: 'config.json selects from what we ship and nothing else',
        tests: adapt('model/dimensions/model-config', 'model/folder/load-model'),
      },
      {
        id: '47',
        title: 'The YAML config is data with limits',
        tests: adapt('config/parse-yaml', 'config/load-config'),
      },
      { id: '48', title: 'JSONL cannot blow up memory or the terminal', tests: adapt('dataset/dataset') },
      { id: '49', title: 'Malformed Parquet is refused', tests: adapt('dataset/packed-files') },
      {
        id: '50',
        title: 'Compression bombs stop early',
        tests: adapt('dataset/dataset', 'dataset/packed-files'),
      },
      {
        id: '51',
        title: 'Paths from inputs stay inside, and pickles are never opened',
        tests: adapt(
          'dataset/dataset',
          'dataset/resolve-sources',
          'model/folder/load-model',
          'open/config-inputs',
        ),
      },
    ],
  },
  {
    group: 'Dashboard and server',
    promises: [
      { id: '52', title: 'Listens on loopback unless told otherwise', open: DASHBOARD },
      { id: '53', title: 'Another web page cannot talk to it', open: DASHBOARD },
      {
        id: '54',
        title: 'Sample text never becomes markup',
        tests: adapt('report/report'),
        open: `shown for the report; ${DASHBOARD}`,
      },
      { id: '55', title: 'No request can name a file', open: DASHBOARD },
      { id: '56', title: 'Many or stalled viewers do not touch training', open: DASHBOARD },
      { id: '57', title: 'Slow-loris is shrugged off', open: DASHBOARD },
    ],
  },
  {
    group: 'Supply chain and native code',
    promises: [
      {
        id: '58',
        title: 'Installing runs no third-party code and cannot drift',
        tests: ['scripts/setup/install-packages.test.mjs'],
      },
      {
        id: '59',
        title: 'The add-on is built hardened, the process runs hardened',
        tests: ['packages/torch/setup/build-addon.test.mjs'],
      },
      {
        id: '60',
        title: 'The add-on is memory-safe for every JS input',
        tests: torch('native-fuzz', 'worker-threads', 'scope'),
        open: 'wrong arguments at random; no run under sanitizers yet',
      },
    ],
  },
]
