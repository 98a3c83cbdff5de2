/** Files of a tokenizer that travel with a model. */
export const TOKENIZER_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'chat_template.jinja',
  'chat_template.json',
  'tokenizer.model',
  'vocab.json',
  'merges.txt',
] as const

/** The chat template beside tokenizer_config.json, and the folder of further ones by name. */
export const CHAT_TEMPLATE_FILE = 'chat_template.jinja'
export const CHAT_TEMPLATE_FOLDER = 'additional_chat_templates'

/** Names of the files that hold a model, as transformers writes and reads them. */
export const CONFIG_FILE = 'config.json'
export const GENERATION_FILE = 'generation_config.json'
export const WEIGHTS_FILE = 'model.safetensors'
export const INDEX_FILE = 'model.safetensors.index.json'
/** Names of the files of a PEFT adapter. */
export const ADAPTER_FILES = ['adapter_config.json', 'adapter_model.safetensors'] as const

/** The file of shard `number` (from 1) of `count`. */
export function shardName(number: number, count: number): string {
  const digits = (value: number) => String(value).padStart(5, '0')
  return `model-${digits(number)}-of-${digits(count)}.safetensors`
}

/** Weights in formats that are not read: pickles run code when loaded, the others belong to other programs. */
const FOREIGN_WEIGHTS: readonly (readonly [RegExp, string])[] = [
  [
    /\.(bin|pt|pth|ckpt|pkl)(\.index\.json)?$/,
    'pickled weights run code when they are loaded and are never read; convert them with transformers: ' +
      'AutoModelForCausalLM.from_pretrained(folder).save_pretrained(other, safe_serialization=True)',
  ],
  [/\.gguf$/, 'GGUF is a format of llama.cpp; use the safetensors that it was made from'],
  [
    /^consolidated.*\.safetensors$/,
    'these are not in the layout of transformers; use its model*.safetensors',
  ],
  [/\.(h5|msgpack|onnx)$/, 'only safetensors are read; convert them with transformers'],
]

/** Of the names in a folder, a file with weights that are not read and what mends it; undefined when there is none. */
export function foreignWeights(names: readonly string[]): string | undefined {
  for (const [pattern, advice] of FOREIGN_WEIGHTS) {
    const found = names.find((name) => pattern.test(name) && name !== 'training_args.bin')
    if (found !== undefined) return `${found} is there, but ${advice}`
  }
  return undefined
}
