/** A prompt and what follows it; their texts are joined as they are. */
export interface CompletionText {
  readonly prompt: string
  readonly completion: string
}

/** Token ids of prompt and completion, and where the prompt ends. */
export interface EncodedCompletion {
  readonly tokens: Int32Array
  /**
   * Tokens that hold no character of the completion. Prompt and completion are tokenised as one text, as they
   * stand in a document, and the border is found by character offsets; a token that straddles it counts to the
   * completion, because its last characters are to be learnt.
   */
  readonly numPromptTokens: number
}
