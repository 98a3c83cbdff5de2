// Stores a trained run as the base model of the examples: parameters as bfloat16, with the tokenizer beside them.
//   node tools/data/store-base.mjs runs/base/model examples/base/model
import { loadModelFolder, saveModelFolder } from '../../packages/adapt/dist/index.js'

const [source, target] = process.argv.slice(2)
if (!source || !target) {
  process.stderr.write('usage: node tools/data/store-base.mjs RUN_MODEL_FOLDER TARGET_FOLDER\n')
  process.exit(2)
}
const model = loadModelFolder(source)
saveModelFolder(model, target, { dtype: 'bfloat16', bosId: 0, eosId: 0, padId: 1 })
process.stdout.write(`${target}: ${model.numParameters} parameters as bfloat16\n`)
model.dispose()
