import type { ChatOptions } from '../tokenize/index.js'
import type { RunConfig } from './run-config.js'

/** What a config says of conversations and completions, for `loadTokenizer`. */
export function chatOptions({ data }: RunConfig, baseDir: string): ChatOptions {
  return {
    baseDir,
    assistantOnlyLoss: data.assistant_only_loss,
    completionOnlyLoss: data.completion_only_loss,
    trainOn: data.train_on,
    ...(data.chat_template === undefined ? {} : { configured: data.chat_template }),
  }
}
