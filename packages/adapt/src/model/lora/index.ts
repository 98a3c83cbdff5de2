export { addLora } from './add-lora.js'
export { LoraAdapter } from './lora-adapter.js'
export { assertLoraConfig, LORA_DEFAULTS, type LoraConfig, loraScaling } from './lora-config.js'
export { mergeLora } from './merge-lora.js'
