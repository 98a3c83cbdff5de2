// biome-ignore-all format: written by scripts/write-run-options.mjs from the schema of a config.

/**
 * A run as code describes it: the keys of a config file in camelCase, with the same meaning, defaults and values.
 * `adapt schema` prints the same for files.
 */
export type RunOptions = {
  /** The model to train: either { init: scratch, preset } or { path }. */
  readonly model: {
    /** Start from random weights. */
    readonly init: 'scratch'
    /** Built-in model shape. */
    readonly preset: 'llama-1m' | 'llama-3m' | 'llama-10m' | 'llama-120m'
    /** Overrides of the preset, named as in a Hugging Face LlamaConfig. */
    readonly config?: {
      /** Width D of the residual stream. */
      readonly hiddenSize?: number | undefined
      /** Width of the feed-forward layer. */
      readonly intermediateSize?: number | undefined
      /** Number of transformer blocks. */
      readonly numHiddenLayers?: number | undefined
      /** Number of query heads; divides hiddenSize. */
      readonly numAttentionHeads?: number | undefined
      /** Number of key/value heads; divides numAttentionHeads. */
      readonly numKeyValueHeads?: number | undefined
      /** Rows of the embedding. Default: the size of the tokenizer. */
      readonly vocabSize?: number | undefined
      /** Added to the mean square inside RMSNorm. */
      readonly rmsNormEps?: number | undefined
      /** Base of the rotary frequencies. */
      readonly ropeTheta?: number | undefined
      /** Share the input embedding with the output projection. */
      readonly tieWordEmbeddings?: boolean | undefined
      /** Longest sequence the model is made for, in tokens. */
      readonly maxPositionEmbeddings?: number | undefined
      /** Standard deviation of the initial weights. */
      readonly initializerRange?: number | undefined
    } | undefined
  } | {
    /** Hugging Face model folder (config.json and *.safetensors), or a hub id: org/name, org/name@revision. */
    readonly path: string
    /**
     * Of the weights in memory; auto: as stored. Default float32; with an adapter bfloat16 where
     * training.bf16 holds.
     */
    readonly dtype?: 'float32' | 'bfloat16' | 'auto' | undefined
    /** Low-rank adapters; the model itself is frozen. */
    readonly lora?: {
      /** Rank of the two matrices of an adapter. Default 8. */
      readonly r?: number | undefined
      /** The adapter is scaled by loraAlpha / r. Default 8. */
      readonly loraAlpha?: number | undefined
      /** Share of an adapter's inputs that training drops. Default 0. */
      readonly loraDropout?: number | undefined
      /** Scale by loraAlpha / sqrt(r) instead. Default false. */
      readonly useRslora?: boolean | undefined
      /**
       * Linear layers with an adapter: names such as q_proj, "all-linear", or one regular expression over
       * full names. Default [q_proj, v_proj].
       */
      readonly targetModules?: readonly string[] | string | undefined
    } | undefined
    /**
     * PEFT adapter folder to train on, relative to the config file, or a hub id; it brings its own rank and
     * targets.
     */
    readonly adapter?: string | undefined
  }
  /** Folder with tokenizer.json, relative to the config file, or a hub id. Default: that of model.path. */
  readonly tokenizer?: string | undefined
  /** Training data and how it becomes rows of tokens. */
  readonly data: {
    /** Training data; every document is kept and weighted. */
    readonly train: readonly (string | {
      /**
       * File, folder or glob relative to the folder of the config file (.jsonl, .json, .csv, .tsv, .txt, each
       * also .gz or .zst; .parquet), or a data set on the hub: org/name or org/name@revision.
       */
      readonly path: string
      /** Read at most this many documents. */
      readonly limit?: number | undefined
      /** Name of the source. Default: the source field of a record, else the file name. */
      readonly source?: string | undefined
      /** Column that names the source of each record. null: each file is one source, named as the file. */
      readonly sourceField?: string | null | undefined
      /** Field of a record that holds its plain text. Default: recognised from the record. */
      readonly textField?: string | undefined
      /** Column that holds the messages of a conversation. Default: messages. */
      readonly messagesField?: string | undefined
      /** Columns under other names: { prompt: question, completion: answer } reads prompt from question. */
      readonly columns?: {
        /** Column that is read as messages. */
        readonly messages?: string | undefined
        /** Column that is read as conversations. */
        readonly conversations?: string | undefined
        /** Column that is read as prompt. */
        readonly prompt?: string | undefined
        /** Column that is read as completion. */
        readonly completion?: string | undefined
        /** Column that is read as instruction. */
        readonly instruction?: string | undefined
        /** Column that is read as input. */
        readonly input?: string | undefined
        /** Column that is read as output. */
        readonly output?: string | undefined
        /** Column that is read as history. */
        readonly history?: string | undefined
        /** Column that is read as text. */
        readonly text?: string | undefined
        /** Column that is read as system. */
        readonly system?: string | undefined
        /** Column that is read as tools. */
        readonly tools?: string | undefined
        /** Column that is read as id. */
        readonly id?: string | undefined
        /** Column that is read as source. */
        readonly source?: string | undefined
        /** Column that is read as weight. */
        readonly weight?: string | undefined
      } | undefined
      /** Split of a data set on the hub. Default: train; for evaluation.sets the only one. */
      readonly split?: string | undefined
      /** Configuration of a data set on the hub. Default: the one that the data set calls its default. */
      readonly subset?: string | undefined
      /**
       * Multiplies the weight field of every record of this entry: 0 or 1e-9 to 1e9 (default 1). Needs no new
       * tokenizing.
       */
      readonly weight?: number | undefined
    })[]
    /** Longest sample in tokens; longer documents are split into pieces. Default 1024. */
    readonly maxLength?: number | undefined
    /** Put several samples into one row; attention and positions stay separate per sample. Default true. */
    readonly packing?: boolean | undefined
    /** Number of consecutive samples that greedy packing looks at. Default 1024. */
    readonly packingWindow?: number | undefined
    /**
     * Bad records of data.train that are skipped, counted and reported; one more ends the run. 0: the first
     * does. Default 0.
     */
    readonly maxBadRecords?: number | undefined
    /**
     * natural: one shuffle of all samples; stratified: the same samples, each source spread evenly; { source:
     * share }: these shares of the tokens, a source starts again when it is read whole. Default "natural".
     */
    readonly mixing?: 'natural' | 'stratified' | { readonly [name: string]: number } | undefined
    /** Folder of the token cache, relative to the config file. Default: .adapt-cache in the working directory. */
    readonly cacheDir?: string | undefined
    /** Train even when half of the anchors or more stand word for word in the training data. Default false. */
    readonly allowAnchorOverlap?: boolean | undefined
    /**
     * Documents of data.train that are held out of training, as a share in (0, 1) or a number; their loss
     * (eval_loss) is measured at every evaluation.
     */
    readonly valSetSize?: number | undefined
    /**
     * Chat template for conversations: a name (chatml, llama-3, ...), a .jinja file relative to the config
     * file, or the template itself. Default: the one of the tokenizer folder.
     */
    readonly chatTemplate?: string | undefined
    /** Train on the messages of the assistant only; false: on every token of a conversation. Default true. */
    readonly assistantOnlyLoss?: boolean | undefined
    /** Messages of the assistant that are trained: all of a conversation, or only its last one. Default "all". */
    readonly trainOn?: 'all' | 'last' | undefined
    /** Train on the completion of a prompt and completion only; false: on the prompt too. Default true. */
    readonly completionOnlyLoss?: boolean | undefined
    /** Worker threads that read and tokenize ahead of the step; 0 uses the main thread. Default 1. */
    readonly numWorkers?: number | undefined
  }
  /** A few hundred examples of what the model should become good at. */
  readonly anchors?: readonly (string | {
    /**
     * File, folder or glob relative to the folder of the config file (.jsonl, .json, .csv, .tsv, .txt, each
     * also .gz or .zst; .parquet), or a data set on the hub: org/name or org/name@revision.
     */
    readonly path: string
    /** Read at most this many documents. */
    readonly limit?: number | undefined
    /** Name of the source. Default: the source field of a record, else the file name. */
    readonly source?: string | undefined
    /** Column that names the source of each record. null: each file is one source, named as the file. */
    readonly sourceField?: string | null | undefined
    /** Field of a record that holds its plain text. Default: recognised from the record. */
    readonly textField?: string | undefined
    /** Column that holds the messages of a conversation. Default: messages. */
    readonly messagesField?: string | undefined
    /** Columns under other names: { prompt: question, completion: answer } reads prompt from question. */
    readonly columns?: {
      /** Column that is read as messages. */
      readonly messages?: string | undefined
      /** Column that is read as conversations. */
      readonly conversations?: string | undefined
      /** Column that is read as prompt. */
      readonly prompt?: string | undefined
      /** Column that is read as completion. */
      readonly completion?: string | undefined
      /** Column that is read as instruction. */
      readonly instruction?: string | undefined
      /** Column that is read as input. */
      readonly input?: string | undefined
      /** Column that is read as output. */
      readonly output?: string | undefined
      /** Column that is read as history. */
      readonly history?: string | undefined
      /** Column that is read as text. */
      readonly text?: string | undefined
      /** Column that is read as system. */
      readonly system?: string | undefined
      /** Column that is read as tools. */
      readonly tools?: string | undefined
      /** Column that is read as id. */
      readonly id?: string | undefined
      /** Column that is read as source. */
      readonly source?: string | undefined
      /** Column that is read as weight. */
      readonly weight?: string | undefined
    } | undefined
    /** Split of a data set on the hub. Default: train; for evaluation.sets the only one. */
    readonly split?: string | undefined
    /** Configuration of a data set on the hub. Default: the one that the data set calls its default. */
    readonly subset?: string | undefined
    /** Task of these anchors, for method.signal.aggregate. Default: the source of each anchor. */
    readonly task?: string | undefined
  })[] | undefined
  /** How training data is curated: a preset or a composition. Default "adapt". */
  readonly method?: 'uniform' | 'adapt' | 'adapt-paper' | 'adapt-calibrated' | 'adapt-contrastive' | 'adapt-frozen' | 'adapt-bm25' | 'dataflex' | 'random' | 'bm25' | 'dsir' | 'ppl' | 'embedding' | 'rds' | 'rds-plus' | 'near' | 'static' | 'odm' | 'ado' | 'doremi' | 'doremi-proxy' | 'doge' | 'doge-proxy' | 'regmix' | 'greats' | 'opus' | 'update-match' | 'joint-update-aware' | 'less' | 'tacs' | 'linupper' | 'quadratic' | 'extremes' | 'ir-dro' | 'rho-1' | 'rho-loss' | 'ica' | 'dft' | 'prift-mass' | 'loss-selection' | 'delta-loss' | 'tsds' | 'twin' | {
    /** Named composition that the other keys refine. Default adapt. */
    readonly preset?: 'uniform' | 'adapt' | 'adapt-paper' | 'adapt-calibrated' | 'adapt-contrastive' | 'adapt-frozen' | 'adapt-bm25' | 'dataflex' | 'random' | 'bm25' | 'dsir' | 'ppl' | 'embedding' | 'rds' | 'rds-plus' | 'near' | 'static' | 'odm' | 'ado' | 'doremi' | 'doremi-proxy' | 'doge' | 'doge-proxy' | 'regmix' | 'greats' | 'opus' | 'update-match' | 'joint-update-aware' | 'less' | 'tacs' | 'linupper' | 'quadratic' | 'extremes' | 'ir-dro' | 'rho-1' | 'rho-loss' | 'ica' | 'dft' | 'prift-mass' | 'loss-selection' | 'delta-loss' | 'tsds' | 'twin' | undefined
    /** Signal: what is measured. */
    readonly signal?: {
      /**
       * constant: the constant 1: nothing is measured; model-embedding: mean cosine to the anchors, in the
       * last hidden states of the model as it is now; contrastive: log density ratio of anchors and training
       * samples, by a linear discriminant of the last hidden states; frozen-embedding: mean cosine to the
       * anchors, in the last hidden states of the model before training; bm25: BM25 between the words of a
       * sample and those of the anchors, once before training; random-key: a uniform random number, drawn
       * once for each sample of the pool; ngram-importance: log ratio of the hashed n-grams of the anchors to
       * those of the pool, once before training; perplexity: perplexity of the sample under a frozen model,
       * once before training; text-embedding: similarity of text to the anchors under an encoder; without
       * one, under the model before training; representation: similarity to the anchors in the states of the
       * model before training; doremi: share of each source, learnt before training by a proxy against a
       * reference (DoReMi), or given; excess-loss: the loss of each token less that of a reference, in nats;
       * doge: share of each source, learnt before training by a proxy from what gradients have in common
       * (DoGE); gradient-products: the mean loss of the sample, and what the gradients of the samples of a
       * step have in common; regmix: share of each source, from a regression of the losses of many small runs
       * on their mixtures (RegMix); ghost-alignment: how far a gradient step on the sample would lower the
       * loss of a few anchors; update-alignment: how far the optimiser's own update on the sample would lower
       * the loss of a few anchors; anchor-direction: cosine to the direction of the mean anchor, in the last
       * hidden states of the model as it is now; less: influence on the anchors: cosine of projected
       * gradients along a short warm-up run (LESS); path-gain: how far the loss of a sample falls while a
       * small adapter is trained on the anchors alone; loss: the mean loss of the sample over its labels, in
       * nats; reducible-loss: the mean loss of the sample less that of a reference which has not seen it, in
       * nats; context-gain: how far the loss of a sample falls when the model reads anchors before it, in
       * nats; token-likelihood: the logarithm of the probability of each token, under the model as it is now
       * or a frozen one; token-mass: the probability of each token together with all less likely ones, under
       * a frozen model; loss-fall: how far the mean loss of the sample fell since the pool was first scored,
       * in nats; transport: probability by optimal transport to the anchors, less where samples are many of a
       * kind (TSDS); random: a standard normal number of seed and sample: a control; source: a number per
       * source, from a table; custom: what the code of the run brings.
       */
      readonly kind?: 'constant' | 'model-embedding' | 'contrastive' | 'frozen-embedding' | 'bm25' | 'random-key' | 'ngram-importance' | 'perplexity' | 'text-embedding' | 'representation' | 'doremi' | 'excess-loss' | 'doge' | 'gradient-products' | 'regmix' | 'ghost-alignment' | 'update-alignment' | 'anchor-direction' | 'less' | 'path-gain' | 'loss' | 'reducible-loss' | 'context-gain' | 'token-likelihood' | 'token-mass' | 'loss-fall' | 'transport' | 'random' | 'source' | 'custom' | undefined
      /**
       * model-embedding, contrastive: How the hidden states of a sample become one vector. Default
       * position_weighted. frozen-embedding, representation, transport: How the positions of a sample become
       * one vector. Default position_weighted. text-embedding: How the positions of a text become one vector;
       * last: that of the end token, which is appended. Default position_weighted. anchor-direction: How the
       * hidden states of a sample become one vector. Default last.
       */
      readonly pooling?: 'position_weighted' | 'mean' | 'last' | undefined
      /**
       * model-embedding, contrastive: Tokens that are pooled; all: prompt and response alike. Default all.
       * frozen-embedding, representation, transport: Which positions are pooled. Default all. perplexity:
       * Whose loss counts: every token, or the trained ones alone. Default all. anchor-direction: Tokens that
       * are pooled; response_only: those that predict a label. Default all.
       */
      readonly tokens?: 'all' | 'response_only' | undefined
      /**
       * model-embedding: When the anchors are embedded again: all every refreshEvery steps, all when a probe
       * has drifted, or a few every step. Default interval. contrastive: When the anchors are embedded again:
       * all every refreshEvery steps, or all when a probe has drifted. Default interval.
       */
      readonly refresh?: 'interval' | 'adaptive' | 'rolling' | 'interval' | 'adaptive' | undefined
      /**
       * model-embedding, contrastive: Optimiser steps between two embeddings of the anchors, or "epoch"; with
       * refresh: rolling the steps of a round through all of them. Default 50. anchor-direction: Optimiser
       * steps between two embeddings of the target, or "epoch". Default 50.
       */
      readonly refreshEvery?: number | 'epoch' | undefined
      /**
       * model-embedding, contrastive: What refreshEvery counts from: the last refresh, or the start of the
       * run, which refreshes in the steps that it divides. Default last.
       */
      readonly refreshFrom?: 'last' | 'start' | undefined
      /**
       * model-embedding, contrastive: refresh: adaptive: optimiser steps between two probes of 16 anchors.
       * Default 25.
       */
      readonly probeEvery?: number | undefined
      /**
       * model-embedding, contrastive: refresh: adaptive: 1 - cosine of the probe's centroid that is too much.
       * Default 0.01.
       */
      readonly drift?: number | undefined
      /**
       * model-embedding, contrastive: refresh: adaptive: fewest optimiser steps between two refreshes.
       * Default 25.
       */
      readonly refreshMin?: number | undefined
      /**
       * model-embedding, contrastive: refresh: adaptive: most optimiser steps between two refreshes. Default
       * 1000.
       */
      readonly refreshMax?: number | undefined
      /**
       * model-embedding: How the similarities to several tasks of anchors become one score: all anchors
       * alike, mean over tasks, largest, soft maximum, or largest in standard deviations / 8. Default micro.
       * text-embedding: How similarities to all anchors become one score: turns, the mean, the largest, or
       * the largest over tasks of the mean within each. Default mean. representation: How similarities to all
       * anchors become one score: turns, the mean, the largest, or the largest over tasks of the mean within
       * each. Default round_robin.
       */
      readonly aggregate?: 'micro' | 'macro' | 'max' | 'lse' | 'zmax' | 'round_robin' | 'mean' | 'max' | 'task_max' | undefined
      /** model-embedding: aggregate: lse: sharpness b of (1/b) ln mean exp(b s). Default 10. */
      readonly lseBeta?: number | undefined
      /**
       * model-embedding: Subtract the running mean embedding first, so that scores spread. Default false.
       * frozen-embedding: Subtract the mean embedding of the pool first (of 4096 samples at most), so that
       * scores spread. Default true. transport: Whether the mean of the pool is taken from all vectors first:
       * states of a language model all point much the same way. Default true.
       */
      readonly center?: boolean | undefined
      /** model-embedding: Share of the new centroid at a refresh: c = (1 - b) c_old + b c_new. Default 1. */
      readonly centroidEma?: number | undefined
      /**
       * model-embedding, contrastive: within_source: at every refresh the part of a score that tells samples
       * of one source apart shrinks to its reliability over two halves of the anchors; the sources' means
       * stay. Default none.
       */
      readonly scoreShrinkage?: 'none' | 'within_source' | undefined
      /**
       * model-embedding, contrastive: Score by an own forward pass without dropout; costs 2N FLOPs per token.
       * Default false.
       */
      readonly scoreEval?: boolean | undefined
      /**
       * contrastive: Share of the mean variance in every direction of the covariance: 0 trusts it as it is, 1
       * leaves the difference of the means. Default 0.3.
       */
      readonly shrinkage?: number | undefined
      /**
       * contrastive: Width of the random projection of states that are wider than it. Default 256. less:
       * Width of the random projection of a gradient. Default 8192.
       */
      readonly projection?: number | undefined
      /**
       * contrastive: Recent training samples that are embedded beside the anchors at a refresh; before so
       * many were seen every score is 0. Default 128.
       */
      readonly background?: number | undefined
      /**
       * contrastive: Standard deviations above the mean sample, cut at 8 and divided by it; or the logarithm
       * of the odds of being like the anchors. Default standard.
       */
      readonly form?: 'standard' | 'odds' | undefined
      /** contrastive: Share of the training samples that are like the anchors. Default 0.5. */
      readonly prior?: number | undefined
      /** bm25: How long further occurrences of a word count. Default 1.5. */
      readonly k1?: number | undefined
      /** bm25: How much length is held against a text. Default 0.75. */
      readonly b?: number | undefined
      /** bm25: Weight of a word; that of Lucene is never negative. Default okapi. */
      readonly idf?: 'okapi' | 'lucene' | undefined
      /**
       * bm25: Whether the anchors are the queries and the samples the documents, or the other way round.
       * Default anchor_queries.
       */
      readonly roles?: 'anchor_queries' | 'anchor_docs' | undefined
      /**
       * bm25, text-embedding: What counts once: each anchor, or all anchors of a task (their source) as one
       * text. Default anchor.
       */
      readonly queries?: 'anchor' | 'task' | undefined
      /**
       * bm25, text-embedding: What of a sample is read: what comes before the first trained token (all of a
       * plain text), or everything. Default prompt.
       */
      readonly indexed?: 'prompt' | 'text' | undefined
      /**
       * bm25: How text becomes words: without ASCII punctuation, split at single spaces; or split at white
       * space. Default ccds.
       */
      readonly terms?: 'ccds' | 'whitespace' | undefined
      /**
       * bm25, ngram-importance: The score itself, or how many standard deviations it lies above the mean of
       * the pool. Default raw.
       */
      readonly scale?: 'raw' | 'z' | undefined
      /** ngram-importance: Longest n-grams, in words and marks; all shorter ones count too. Default 2. */
      readonly ngrams?: number | undefined
      /** ngram-importance: Numbers that n-grams are hashed to. Default 10000. */
      readonly buckets?: number | undefined
      /**
       * ngram-importance: Added to the count of every bucket in the anchors. Few anchors need some: at 0 each
       * n-gram that they lack costs about 9. Default 0.
       */
      readonly laplace?: number | undefined
      /** ngram-importance: Samples with fewer words and marks are never kept. Default 100. */
      readonly minLength?: number | undefined
      /**
       * ngram-importance: All anchors are one target, or each task (source of anchors) is one and takes its
       * quota of the samples. Default all. doge: Sources whose loss the weights are to lower; none: all of
       * them (universal generalisation).
       */
      readonly targets?: 'all' | 'task' | readonly string[] | undefined
      /**
       * ngram-importance: Share of what is kept by task, in any unit; by default that of its words in all
       * anchors.
       */
      readonly quotas?: { readonly [name: string]: number } | undefined
      /** ngram-importance: The log weight of a sample, or its mean over words and marks. Default sample. */
      readonly per?: 'sample' | 'token' | undefined
      /**
       * ngram-importance: gumbel: noise of the seed and the sample, so that the best samples are drawn
       * without replacement by their weights. Default with scale: z none.
       */
      readonly noise?: 'gumbel' | 'none' | undefined
      /**
       * perplexity: Folder of a model with the same tokenizer; base: the model of the config before training.
       * Default base.
       */
      readonly model?: string | undefined
      /** perplexity: Tokens that the model sees at once; longer samples are read in windows. Default 2048. */
      readonly window?: number | undefined
      /** perplexity: Tokens from the start of a window to that of the next, below window. Default 512. */
      readonly stride?: number | undefined
      /**
       * perplexity: Of a sample of several windows: the mean of their means, however short the last is, or
       * the mean over tokens. Default window.
       */
      readonly average?: 'window' | 'token' | undefined
      /**
       * perplexity, text-embedding, representation, path-gain, context-gain, token-likelihood, token-mass:
       * Share of the pool that is scored, drawn at random; auto: as much as takes 25 % of the FLOPs of
       * training, at least 0.05; 1: all of it. Default auto. less: Share of the pool that is scored, drawn at
       * random; auto: what the budget leaves, or all with constants: paper. Default auto. transport: Share of
       * the pool that is embedded, drawn at random, and drawn from; auto: as much as takes 25 % of the FLOPs
       * of training. Default auto.
       */
      readonly scored?: number | 'auto' | undefined
      /**
       * text-embedding: Folder of a model of the families that can be trained, read with its own tokenizer;
       * base: the model of the config before training. Default base.
       */
      readonly encoder?: string | undefined
      /** text-embedding: ccds: lower case, newlines to spaces, without ASCII punctuation. Default none. */
      readonly cleaning?: 'none' | 'ccds' | undefined
      /** text-embedding: Tokens of a text that are read, the first ones. Default 256. */
      readonly maxTokens?: number | undefined
      /**
       * text-embedding, representation: round_robin: who takes turns, every anchor or every task by its
       * nearest anchor; auto: tasks where there are several. Default auto.
       */
      readonly turns?: 'auto' | 'anchor' | 'task' | undefined
      /**
       * text-embedding, representation: round_robin: how many samples each of them names; what nobody names
       * is never kept. Default all. transport: Nearest samples of each anchor that can be reached. Default
       * 5000.
       */
      readonly neighbors?: number | 'all' | number | undefined
      /**
       * doremi: Share of each source in the tokens, in any unit, where it is known: a source left out is
       * never read; none: learnt by proxies.
       */
      readonly shares?: { readonly [name: string]: number } | undefined
      /**
       * doremi: Whether the proxies fit a quarter of the FLOPs of the run, or train as long as in the source.
       * Default scaled. doge: Whether the proxy fits a quarter of the FLOPs of the run, or trains as long as
       * in the source. Default scaled. regmix: Whether the proxies fit a quarter of the FLOPs of the run, or
       * are as many, as small and as long as in the source. Default scaled. less: Whether preparation fits a
       * quarter of the FLOPs of the run, or is that of the source. Default scaled.
       */
      readonly constants?: 'scaled' | 'paper' | undefined
      /**
       * doremi: Steps of the reference, and of the proxy, as a share of those of the run. doge: Steps of the
       * proxy, as a share of those of the run. regmix: Steps of each, as a share of those of the run.
       */
      readonly proxySteps?: number | undefined
      /**
       * doremi: Model of both: the one of the config at its start, or a shape that is trained from scratch.
       * Default same. doge: Model of the proxy: the one of the config at its start, or a shape that is
       * trained from scratch. Default same. regmix: Model of the proxies: the one of the config at its start,
       * or a shape that is trained from scratch.
       */
      readonly proxyModel?: 'same' | 'llama-1m' | 'llama-3m' | 'llama-10m' | 'llama-120m' | undefined
      /**
       * doremi: paper: the update of the method's own code; dataflex: on excess less its mean, without memory
       * of sources that are not in the step. Default paper.
       */
      readonly variant?: 'paper' | 'dataflex' | undefined
      /** doremi: Step of the exponentiated gradient. */
      readonly eta?: number | undefined
      /**
       * doremi: c: share of the uniform distribution in the weights. doge: e: share of the uniform
       * distribution in the weights. Default 0.
       */
      readonly smoothing?: number | undefined
      /**
       * doremi: repo: a mean over all tokens of the step, as the released code has it; paper: the mean of
       * every source counts by its weight. Default repo.
       */
      readonly norm?: 'repo' | 'paper' | undefined
      /**
       * excess-loss, reducible-loss: Folder of a model with the same tokenizer, whose losses are the
       * reference; train: it is trained here, from the model of the config; base: that model as it is before
       * training. Default train. token-likelihood: Whose probabilities: current, the model as it is now;
       * base, the model at its start, whose adapter changes nothing yet; or the folder of a model with the
       * same tokenizer. Default current. token-mass: Whose probabilities: base, the model at its start, whose
       * adapter changes nothing yet; or the folder of a model with the same tokenizer. Default base.
       */
      readonly reference?: string | undefined
      /** excess-loss, reducible-loss: With reference: train: the sources it is trained on; none: all of them. */
      readonly curated?: readonly string[] | undefined
      /**
       * excess-loss, reducible-loss: With reference: train: share of the documents that it alone is trained
       * on; the run leaves them out. 0: it is trained on what the run is trained on.
       */
      readonly holdout?: number | undefined
      /**
       * excess-loss, reducible-loss: With reference: train: its optimiser steps as a share of those of the
       * run. Default 0.1.
       */
      readonly referenceSteps?: number | undefined
      /**
       * excess-loss, reducible-loss: Whether the difference is divided by the loss that it is taken from.
       * Default none. path-gain: Whether the difference is divided by the loss that it is taken from. Default
       * loss.
       */
      readonly divide?: 'loss' | 'none' | undefined
      /**
       * excess-loss, path-gain, reducible-loss: Least divisor, in nats: what is almost learnt already does
       * not win by it. Default 0. update-alignment: Smallest second moment, as a share of its layer's mean.
       * Default 0.0001.
       */
      readonly floor?: number | undefined
      /**
       * doge: How much alpha resists: its logits move by the score over mu; the configs of the source have
       * 0.01. Default 0.05.
       */
      readonly mu?: number | undefined
      /** doge: Largest norm of the gradient of a source. Default 1. */
      readonly clip?: number | undefined
      /** doge: Whether scores are divided by the mean norm of the gradients of the sources. Default true. */
      readonly byMeanNorm?: boolean | undefined
      /** doge: Largest score, before the learning rate; the least is 0. Default 5. */
      readonly mostScore?: number | undefined
      /** regmix: Small runs, each on a mixture of its own. */
      readonly proxies?: number | undefined
      /**
       * regmix: The loss that the mixture is to lower: mean over the sources, of one source (as in the source
       * of the method), or of the anchors. Default sources. anchor-direction: centroid: the mean of all
       * anchors; rotating: a few, the next ones at each refresh; none: no target, every score is 0. Default
       * centroid.
       */
      readonly target?: 'sources' | 'source' | 'anchors' | 'centroid' | 'rotating' | 'none' | undefined
      /** regmix: Name of that source. */
      readonly targetSource?: string | undefined
      /**
       * regmix: How the loss follows from the mixture: boosted trees as in the source, or least squares on
       * the shares. Default trees.
       */
      readonly regressor?: 'trees' | 'linear' | undefined
      /** regmix: No mixture may read a source more often than this in the whole run. Default 15. */
      readonly maxEpochs?: number | undefined
      /**
       * regmix: Share of every source that no proxy trains on and their loss is measured on; auto: as much as
       * costs 4 % of the FLOPs of the run. Default auto.
       */
      readonly heldOut?: number | 'auto' | undefined
      /**
       * ghost-alignment: Anchors that are drawn anew in every step. Default 2. update-alignment: Anchors that
       * are drawn anew in every step. Default 8.
       */
      readonly validation?: number | undefined
      /** update-alignment: step: other anchors in every step; once: the same in all of them. Default step. */
      readonly anchorDraw?: 'step' | 'once' | undefined
      /**
       * update-alignment: Tokens of a sample that are scored: a window at random of a longer one; of anchors
       * the first ones. Default 512.
       */
      readonly scoreLength?: number | undefined
      /**
       * update-alignment: adamw: gradients as the optimiser's second moments divide them; none: as they are.
       * Default adamw.
       */
      readonly precondition?: 'adamw' | 'none' | undefined
      /**
       * update-alignment: Numbers that stand for the gradient of a layer where samples are compared with each
       * other; 0: all of it. Default 0.
       */
      readonly sketch?: number | undefined
      /** anchor-direction: Anchors of a rotating target. Default 1. */
      readonly targetBatch?: number | undefined
      /** less: Share of the samples that the warm-up trains on. Default 0.05. */
      readonly warmupShare?: number | undefined
      /** less: How often the warm-up reads them. */
      readonly warmupEpochs?: number | undefined
      /** less: Checkpoints of the warm-up at which gradients are taken. */
      readonly checkpoints?: number | undefined
      /** less: Of training samples: Adam's direction, or the gradient itself. Default adam. */
      readonly gradient?: 'adam' | 'sgd' | undefined
      /**
       * less: Where 1e-8 stands in Adam's direction: in the root as in the source's code, or beside it.
       * Default inside.
       */
      readonly epsMode?: 'inside' | 'outside' | undefined
      /**
       * path-gain: folds: learning rate and depth of the path are chosen by how specific gradients at its end
       * are to anchors that it has not seen. Default off.
       */
      readonly calibrate?: 'off' | 'folds' | undefined
      /** path-gain: T: units of training on the anchors. Default 2. */
      readonly depth?: number | undefined
      /** path-gain: Passes over the anchors in one unit. Default 5. */
      readonly epochsPerUnit?: number | undefined
      /** path-gain: Learning rate on the anchors, constant; one anchor a step. Default 0.00001. */
      readonly pathLearningRate?: number | undefined
      /**
       * path-gain: Where the fall begins: after the first unit, as in the source, or at the model before it.
       * Default unit.
       */
      readonly first?: 'unit' | 'base' | undefined
      /**
       * context-gain: Anchors that stand before a sample; the farthest are left out where they do not fit.
       * Default 3.
       */
      readonly k?: number | undefined
      /**
       * context-gain: Which anchors: those nearest to the sample, or the same ones for all, drawn by the
       * seed. Default nearest.
       */
      readonly context?: 'nearest' | 'fixed' | undefined
      /**
       * context-gain: R: how often the samples are scored in a run, at equal distances: before training, then
       * by the model as it is. Default 1.
       */
      readonly rounds?: number | undefined
      /**
       * context-gain: What follows where reading anchors does not lower the mean loss of the samples: the
       * model does not use what it reads, and the scores mean nothing. Default warn.
       */
      readonly withoutGain?: 'warn' | 'refuse' | undefined
      /** transport: Nearest samples that the density of a sample counts. Default 1000. */
      readonly densityNeighbors?: number | undefined
      /** transport: Distance up to which samples are of a kind; 0: density is 1. Default 0.75. */
      readonly sigma?: number | undefined
      /** transport: How much being near the anchors counts against being many. Default 0.6. */
      readonly alpha?: number | undefined
      /** transport: C: the distance that being far is measured by. Default 5. */
      readonly costScale?: number | undefined
      /** source: Score by name of the source. */
      readonly table?: { readonly [name: string]: number } | undefined
      /** source: Score of the other sources. Default 1. */
      readonly default?: number | undefined
      /** custom: Name under which the code of the run brings it. */
      readonly name?: string | undefined
      /** custom: What its factory is told. Default {}. */
      readonly options?: { readonly [name: string]: unknown } | undefined
    } | undefined
    /** Gate: how a score becomes a weight. */
    readonly gate?: {
      /**
       * identity: max(s, 0); sigmoid: clip(sigmoid(s / temperature), wMin, wMax); calibrated-sigmoid:
       * sigmoid((s - mu) / tau), mu and tau solved for targets of ESS and mean weight; dataflex:
       * min(sigmoid(s / temperature), wMax), the loss a sum over each micro-batch of the run that is matched;
       * top-fraction: keeps the units with the best scores and leaves the others out; fixed-shares: the same
       * share of each source in every step: in what is read, or as p / q in the loss; bandit: share of each
       * source in what is read next, learnt from its training loss; curve-slope: share of each source in what
       * is read next, by the slope of a curve through its training losses; as-given: what the signal says:
       * the shares of the sources as preparation left them; group-dro: weight of each source by an
       * exponentiated gradient on its excess loss (group DRO); source-alignment: weight of each source by how
       * well its gradient agrees with those of the target sources; greedy: takes sample after sample, each
       * time the best in view of those already taken; stochastic-greedy: draws sample after sample, each in
       * proportion to its worth in view of those already drawn; nnls: the weights >= 0 whose sum of updates
       * comes nearest to the update that is wanted; fixed-point: softmax over the step of the score less what
       * the sample shares with those of weight; min-max-softmax: softmax over the step of where the score
       * lies between its extremes; softmax: n exp(s / temperature) / sum exp(s / temperature) over the step;
       * min-max: (s - min) / (max - min) over the step; exp: exp(s / temperature); threshold: 1 from a
       * threshold on, else 0; band: draws one band of scores more often than the others, anew every U steps;
       * window: draws from a window that moves down the sorted scores of the pool, anew every U steps;
       * proportional-draw: draws samples in proportion to their scores, taken once before the first step;
       * linear: max(offset + slope s, 0); running-min-max: (s - q01) / (q99 - q01), clipped to [0, 1],
       * between quantiles of the scores seen lately; custom: what the code of the run brings.
       */
      readonly kind?: 'identity' | 'sigmoid' | 'calibrated-sigmoid' | 'dataflex' | 'top-fraction' | 'fixed-shares' | 'bandit' | 'curve-slope' | 'as-given' | 'group-dro' | 'source-alignment' | 'greedy' | 'stochastic-greedy' | 'nnls' | 'fixed-point' | 'min-max-softmax' | 'softmax' | 'min-max' | 'exp' | 'threshold' | 'band' | 'window' | 'proportional-draw' | 'linear' | 'running-min-max' | 'custom' | undefined
      /**
       * sigmoid, dataflex, softmax, exp: Divides the score; larger is closer to uniform. Default 1.
       * stochastic-greedy: Divides the score; larger is closer to uniform. Default 0.9. fixed-point: Divides
       * the score; larger is closer to uniform. Default 0.05. band: Weights are raised to 1 / temperature:
       * below 1 is more selective. Default 1.
       */
      readonly temperature?: number | undefined
      /** sigmoid: Smallest weight. Default 0. */
      readonly wMin?: number | undefined
      /** sigmoid: Largest weight. Default 1. dataflex: Largest weight; 1 clips nothing. Default 1. */
      readonly wMax?: number | undefined
      /** calibrated-sigmoid: Target effective sample size, as a share. Default 0.95. */
      readonly ess?: number | undefined
      /** calibrated-sigmoid: Target mean weight, below ess. Default min(0.5, 0.6 * ess). */
      readonly edr?: number | undefined
      /** calibrated-sigmoid: Optimiser steps between two calibrations. Default 50. */
      readonly updateEvery?: number | undefined
      /** calibrated-sigmoid: Share of the run before the first use, at most 200 steps. Default 0.1. */
      readonly warmupRatio?: number | undefined
      /** calibrated-sigmoid: Lower the target from 1 to ess between two points of the run. Default false. */
      readonly anneal?: boolean | undefined
      /** calibrated-sigmoid: Share of the run up to which the target is 1. Default 0.1. */
      readonly annealFrom?: number | undefined
      /** calibrated-sigmoid: Share of the run from which on the target is ess. Default 0.8. */
      readonly annealTo?: number | undefined
      /** calibrated-sigmoid: Least weight, as a share of the mean weight. Default 0. */
      readonly floor?: number | undefined
      /**
       * calibrated-sigmoid: How far the target follows what each refresh says of the signal: rank correlation
       * of two halves of the anchors, or 2 AUC - 1 of anchors against training samples; at 0 every weight is
       * the same. Default off.
       */
      readonly trust?: 'off' | 'halves' | 'separation' | undefined
      /**
       * dataflex: Optimiser steps at the start with the plain loss; nothing is scored in them. Default 0.
       * bandit: Steps on the natural shares before the policy is learnt; auto: 2 % of the run. band, window:
       * Steps in the order of the data before the first draw; auto: 10 % of the run.
       */
      readonly warmupSteps?: number | number | 'auto' | undefined
      /**
       * dataflex: Micro-batches of a step on each rank in the run that is matched; run:
       * training.gradientAccumulationSteps. Default run.
       */
      readonly accumulation?: number | 'run' | undefined
      /** dataflex: Ranks of the run that is matched; run: those of this run. Default run. */
      readonly world?: number | 'run' | undefined
      /**
       * top-fraction: Share of the units that is kept, at least one. Default 0.1. greedy: Share of the
       * candidates that is trained. Default 0.5. stochastic-greedy: Share of the candidates that is trained.
       * Default 0.25. nnls: Share of the samples that a greedy pass lets have a weight. Default 1.
       */
      readonly keep?: number | undefined
      /** top-fraction: Which scores are the best; middle: those around the median. Default highest. */
      readonly end?: 'highest' | 'lowest' | 'middle' | undefined
      /**
       * top-fraction: Units that tie with the last one kept: the first in order, or all of them. Default
       * place.
       */
      readonly ties?: 'place' | 'all' | undefined
      /**
       * top-fraction: Keep equally many of each source; what a small source cannot use goes to the others.
       * Default false.
       */
      readonly balanced?: boolean | undefined
      /** top-fraction: What keep is a share of: all units together, or those of each source. Default all. */
      readonly shareOf?: 'all' | 'source' | undefined
      /**
       * fixed-shares: Share of each source in the tokens, in any unit; a source left out has none. equal:
       * every source alike (stratified sampling). Default equal.
       */
      readonly shares?: 'equal' | { readonly [name: string]: number } | undefined
      /**
       * bandit: How the worth of a source follows from its loss: smoothed is the released code; the others
       * divide by the share, dataflex as that project. Default smoothed. group-dro: paper: the update of the
       * method's own code; dataflex: on excess less its mean, without memory of sources that are not in the
       * step. Default paper.
       */
      readonly variant?: 'smoothed' | 'paper' | 'exp3' | 'dataflex' | 'paper' | 'dataflex' | undefined
      /** bandit: a: how much of the running estimate a step keeps; exp3 has none. Default 0.9. */
      readonly meanDecay?: number | undefined
      /**
       * bandit: Whether the warm-up is the share of the run that it was in the source, or its 2000 steps.
       * Default scaled. curve-slope: Whether steps, window and stride are the part of the run that they were
       * in the source, or its own numbers. Default scaled. min-max-softmax: scaled: burnIn is a share of the
       * run; paper: 1000 steps, whatever the length of the run. Default scaled. band, window: Whether the
       * warm-up and the steps between two draws are shares of the run or the 10 steps each of the source.
       * Default scaled.
       */
      readonly constants?: 'scaled' | 'paper' | undefined
      /** curve-slope: Steps between two fits; auto: a sixtieth of the run, 20 at least. */
      readonly fitEvery?: number | 'auto' | undefined
      /** curve-slope: No fit before this step; auto: a sixtieth of the run. */
      readonly startStep?: number | 'auto' | undefined
      /** curve-slope: First steps that no curve is fitted to; auto: a sixtieth of the run. */
      readonly ignoreSteps?: number | 'auto' | undefined
      /** group-dro: Step of the exponentiated gradient. */
      readonly eta?: number | undefined
      /**
       * group-dro: c: share of the uniform distribution in the weights. source-alignment: e: share of the
       * uniform distribution in the weights. Default 0.
       */
      readonly smoothing?: number | undefined
      /**
       * group-dro: repo: a mean over all tokens of the step, as the released code has it; paper: the mean of
       * every source counts by its weight. Default repo.
       */
      readonly norm?: 'repo' | 'paper' | undefined
      /**
       * group-dro: Excess loss, in nats, of a source that no step has had yet; doremi sets it to ln of the
       * vocabulary. Default 10.
       */
      readonly firstExcess?: number | undefined
      /**
       * source-alignment: Sources whose loss the weights are to lower; none: all of them (universal
       * generalisation).
       */
      readonly targets?: readonly string[] | undefined
      /**
       * source-alignment: How much alpha resists: its logits move by the score over mu; the configs of the
       * source have 0.01. Default 0.05.
       */
      readonly mu?: number | undefined
      /** source-alignment: Largest norm of the gradient of a source. Default 1. */
      readonly clip?: number | undefined
      /**
       * source-alignment: Whether scores are divided by the mean norm of the gradients of the sources.
       * Default true.
       */
      readonly byMeanNorm?: boolean | undefined
      /** source-alignment: Largest score, before the learning rate; the least is 0. Default 5. */
      readonly mostScore?: number | undefined
      /**
       * stochastic-greedy: zscore: temperatures count standard deviations of the scores of a step; raw:
       * scores as they are. Default zscore.
       */
      readonly scale?: 'zscore' | 'raw' | undefined
      /** fixed-point: How much samples that are alike share their weight; 0: the score alone. Default 0.1. */
      readonly beta?: number | undefined
      /** fixed-point: Iterations towards the fixed point, from equal weights. Default 5. */
      readonly iterations?: number | undefined
      /** fixed-point: Share of the new weights in an iteration; 1: no damping. Default 1. */
      readonly damping?: number | undefined
      /**
       * min-max-softmax: linupper: rises to the middle of the step and stays there; quadratic: most for the
       * middle; extremes: most for both ends; upper: rises throughout. Default linupper.
       */
      readonly shape?: 'linupper' | 'quadratic' | 'extremes' | 'upper' | undefined
      /** min-max-softmax: Temperature of the softmax: smaller is more selective. Default 1. */
      readonly r?: number | undefined
      /** min-max-softmax: Scores are scaled to [-delta, delta]. Default 1. */
      readonly delta?: number | undefined
      /** min-max-softmax: Share of the run with weight 1 for all samples. Default 0.05. */
      readonly burnIn?: number | undefined
      /** min-max-softmax: Multiply each weight by the sample's labels over their mean number. Default false. */
      readonly lengthNorm?: boolean | undefined
      /** threshold: The lowest score with weight 1. Default 0.5. */
      readonly threshold?: number | undefined
      /** band: The band of scores that is drawn more often. Default medium. */
      readonly focus?: 'low' | 'medium' | 'high' | undefined
      /** band: Weight of a sample in the band of `focus`; one of another band has 1. Default 5. */
      readonly bandWeight?: number | undefined
      /** band: Quantile of the scores where the low band ends. Default 0.33. */
      readonly lowerQuantile?: number | undefined
      /** band: Quantile of the scores where the high band begins. Default 0.66. */
      readonly upperQuantile?: number | undefined
      /** band, window: U: optimiser steps that one draw is for; auto: 15 % of the run. */
      readonly drawEvery?: number | 'auto' | undefined
      /**
       * band, window: Share of the pool that is scored for a draw; auto: all of it, or a random part with
       * which scoring takes 25 % of the FLOPs of training. Default auto.
       */
      readonly scoredShare?: number | 'auto' | undefined
      /** window: Share of the scored samples that lie in the window. Default 0.2. */
      readonly windowShare?: number | undefined
      /** window: Weight of a sample outside the window; one inside has 1. Default 0.025. */
      readonly outsideWeight?: number | undefined
      /**
       * window: How fast the window moves from the largest scores down, about the middle of the draws.
       * Default 10.
       */
      readonly steepness?: number | undefined
      /**
       * proportional-draw: Whether a sample may come again before all others with a score above 0 have come.
       * Default true.
       */
      readonly replacement?: boolean | undefined
      /** linear: Weight of a score of 0. Default 1. */
      readonly offset?: number | undefined
      /** linear: Weight per unit of the score. Default 1. */
      readonly slope?: number | undefined
      /** custom: Name under which the code of the run brings it. */
      readonly name?: string | undefined
      /** custom: What its factory is told. Default {}. */
      readonly options?: { readonly [name: string]: unknown } | undefined
    } | undefined
    /**
     * What the weight does: scale the loss, share out what is read next, or decide what is trained at all.
     * Default: that of the preset.
     */
    readonly apply?: 'loss' | 'sample' | 'mask' | undefined
    /** Control: deal the weights of each step out anew among samples of like length. Default false. */
    readonly shuffle?: boolean | undefined
    /** Control: give each sample the mean weight of its source. */
    readonly collapse?: 'source' | undefined
    /**
     * What the weighted loss is divided by. Default: token forms when all data is plain text, sample forms
     * else; wmean unless the method is defined by another.
     */
    readonly normalizer?: 'sample.mean' | 'sample.wmean' | 'token.mean' | 'token.wmean' | undefined
  } | undefined
  /** Optimiser, schedule and batch. */
  readonly training?: {
    /** Number of optimiser steps. Give this or numTrainEpochs, not both. */
    readonly maxSteps?: number | undefined
    /** Passes over the training data. Default 1 when maxSteps is not given. */
    readonly numTrainEpochs?: number | undefined
    /** Rows in one forward and backward pass. Default 8. */
    readonly perDeviceTrainBatchSize?: number | undefined
    /** Passes per optimiser step; the result does not depend on how a step is split. Default 1. */
    readonly gradientAccumulationSteps?: number | undefined
    /** Peak learning rate of AdamW. Default 0.0005. */
    readonly learningRate?: number | undefined
    /** Shape of the learning rate after warm-up; wsd is warm-up, stable, decay. Default "linear". */
    readonly lrSchedulerType?: 'linear' | 'cosine' | 'wsd' | 'constant' | undefined
    /** Share of all steps in which the rate rises from 0. Default 0. Excludes warmupSteps. */
    readonly warmupRatio?: number | undefined
    /** Steps in which the rate rises from 0. Excludes warmupRatio. */
    readonly warmupSteps?: number | undefined
    /** Share of all steps in which a wsd schedule decays, at the end. Default 0.2. */
    readonly decayRatio?: number | undefined
    /** Final learning rate as a share of learningRate. Default 0. */
    readonly minLrRatio?: number | undefined
    /** Decoupled weight decay of AdamW. Default 0. */
    readonly weightDecay?: number | undefined
    /** Decay of the first moment. Default 0.9. */
    readonly adamBeta1?: number | undefined
    /** Decay of the second moment. Default 0.999. */
    readonly adamBeta2?: number | undefined
    /** Added to the denominator of AdamW. Default 1e-8. */
    readonly adamEpsilon?: number | undefined
    /**
     * Keep an exponential moving average of what is trained, with this decay a step: about the last 1 / (1 -
     * emaDecay) steps count. Saved beside the weights; evaluation.weights says which of the two count.
     * Default: none is kept.
     */
    readonly emaDecay?: number | undefined
    /** Gradients are clipped to this norm; a very large value (1.0e9) never clips. Default 1. */
    readonly maxGradNorm?: number | undefined
    /** Seed of initial weights and data order. Default 42. */
    readonly seed?: number | undefined
    /** bfloat16 autocast with float32 parameters; auto: only where the hardware has it. Default "auto". */
    readonly bf16?: boolean | 'auto' | undefined
    /** Recompute activations in the backward pass: less memory, more time. Default false. */
    readonly gradientCheckpointing?: boolean | undefined
    /**
     * Tokens per chunk of the output projection and loss; bounds peak memory. auto: 512 on the CPU, as many
     * as make 2^27 logits on a device. Default "auto".
     */
    readonly lossChunkSize?: number | 'auto' | undefined
    /** Drop the last batch of an epoch when it has fewer rows than perDeviceTrainBatchSize. Default false. */
    readonly dataloaderDropLast?: boolean | undefined
    /** Print a line every this many steps; the run folder records every step anyway. Default 10. */
    readonly loggingSteps?: number | undefined
    /**
     * Save a checkpoint every this many steps; one is saved at the end and when the run is stopped anyway.
     * Default 500.
     */
    readonly saveSteps?: number | undefined
    /**
     * Seconds that a rank of several waits for the others before it takes one of them for hanging. Default
     * 1800.
     */
    readonly ddpTimeout?: number | undefined
    /**
     * How tensors of CUDA devices travel between ranks. "nccl": from device to device; "gloo": over the host;
     * "auto": by NCCL where every rank has it and a device of its own. What is on the CPU goes over the host.
     * Default "auto".
     */
    readonly ddpBackend?: 'auto' | 'gloo' | 'nccl' | undefined
    /**
     * Of several ranks each keeps and updates its share of the moments of the optimizer (ZeRO-1). "off", or
     * false: every rank keeps all of them. A method that reads them has them whole. Default "auto".
     */
    readonly shardedOptimizer?: 'auto' | 'off' | false | undefined
    /**
     * Checkpoints that are kept: the newest ones; where evaluations are compared always the best one too.
     * Default 2.
     */
    readonly saveTotalLimit?: number | undefined
    /**
     * Publish the model of the best evaluation instead of the last one; its checkpoint is saved and never
     * removed. Default false.
     */
    readonly loadBestModelAtEnd?: boolean | undefined
    /**
     * Figure that the best model is chosen by: eval_loss, eval_<source>_loss (data.valSetSize),
     * eval_bits_per_byte or eval_<set>_bits_per_byte (evaluation.sets), tasks/<task>/<metric>
     * (evaluation.tasks). Default eval_loss.
     */
    readonly metricForBestModel?: string | undefined
    /**
     * Whether a greater value of metricForBestModel is better. Default: false for losses and bits per byte,
     * for a task as its metric says.
     */
    readonly greaterIsBetter?: boolean | undefined
    /** Stop when so many evaluations in a row were no better than the best before. */
    readonly earlyStoppingPatience?: number | undefined
    /** How much better an evaluation must be to count for earlyStoppingPatience. Default 0. */
    readonly earlyStoppingThreshold?: number | undefined
    /**
     * Start this run from a checkpoint folder of another run on the same data (relative to the config file):
     * model, optimiser, step and place in the data; the state of the method too when it is the same. A run
     * that was interrupted goes on by itself and needs no key.
     */
    readonly resumeFromCheckpoint?: string | undefined
    /** Where figures go besides the run folder: [tensorboard], or none. */
    readonly reportTo?: 'none' | 'tensorboard' | readonly 'tensorboard'[] | undefined
    /** Folder of the TensorBoard files, relative to the WORKING directory. Default: tensorboard in outputDir. */
    readonly loggingDir?: string | undefined
    /**
     * Where the model is trained: cpu, cuda, cuda:N (a GPU of NVIDIA), mps (of Apple), or auto: CUDA where
     * the LibTorch in use has it and sees a device, else the CPU. Default "auto".
     */
    readonly device?: string | undefined
    /**
     * On a device: only operators that give the same bits every time, so that equal runs are equal there too;
     * some are slower. The CPU repeats itself anyway. Default false.
     */
    readonly deterministic?: boolean | undefined
    /**
     * On CUDA: float32 matrix products in TF32, which rounds their inputs to 10 bits. Off, as in PyTorch;
     * bf16 does not need it. Default false.
     */
    readonly tf32?: boolean | undefined
    /** Threads of the engine. Default: the physical cores. */
    readonly threads?: number | undefined
  } | undefined
  /** Evaluation on held-out text and benchmark tasks. */
  readonly evaluation?: {
    /** Evaluate every this many steps. Default: only at the end. */
    readonly everySteps?: number | undefined
    /**
     * Rows in one evaluation pass, or auto: as many as half of the free memory holds. Figures do not depend
     * on it. Default 16.
     */
    readonly perDeviceEvalBatchSize?: number | 'auto' | undefined
    /**
     * Weights that are evaluated, compared and published in model/: those that are trained, or their moving
     * average (training.emaDecay). Default "raw".
     */
    readonly weights?: 'raw' | 'ema' | undefined
    /** Held-out text; reported in bits per byte. */
    readonly sets?: readonly (string | {
      /**
       * File, folder or glob relative to the folder of the config file (.jsonl, .json, .csv, .tsv, .txt, each
       * also .gz or .zst; .parquet), or a data set on the hub: org/name or org/name@revision.
       */
      readonly path: string
      /** Read at most this many documents. */
      readonly limit?: number | undefined
      /** Name of the source. Default: the source field of a record, else the file name. */
      readonly source?: string | undefined
      /** Column that names the source of each record. null: each file is one source, named as the file. */
      readonly sourceField?: string | null | undefined
      /** Field of a record that holds its plain text. Default: recognised from the record. */
      readonly textField?: string | undefined
      /** Column that holds the messages of a conversation. Default: messages. */
      readonly messagesField?: string | undefined
      /** Columns under other names: { prompt: question, completion: answer } reads prompt from question. */
      readonly columns?: {
        /** Column that is read as messages. */
        readonly messages?: string | undefined
        /** Column that is read as conversations. */
        readonly conversations?: string | undefined
        /** Column that is read as prompt. */
        readonly prompt?: string | undefined
        /** Column that is read as completion. */
        readonly completion?: string | undefined
        /** Column that is read as instruction. */
        readonly instruction?: string | undefined
        /** Column that is read as input. */
        readonly input?: string | undefined
        /** Column that is read as output. */
        readonly output?: string | undefined
        /** Column that is read as history. */
        readonly history?: string | undefined
        /** Column that is read as text. */
        readonly text?: string | undefined
        /** Column that is read as system. */
        readonly system?: string | undefined
        /** Column that is read as tools. */
        readonly tools?: string | undefined
        /** Column that is read as id. */
        readonly id?: string | undefined
        /** Column that is read as source. */
        readonly source?: string | undefined
        /** Column that is read as weight. */
        readonly weight?: string | undefined
      } | undefined
      /** Split of a data set on the hub. Default: train; for evaluation.sets the only one. */
      readonly split?: string | undefined
      /** Configuration of a data set on the hub. Default: the one that the data set calls its default. */
      readonly subset?: string | undefined
      /** Name of the set in tables and files. Default: the source of each document. */
      readonly name?: string | undefined
    })[] | undefined
    /**
     * Benchmark tasks: names, groups, tags, patterns, or task files (.yaml, relative to the config file).
     * adapt eval --tasks list shows them.
     */
    readonly tasks?: readonly string[] | undefined
    /** How and when the tasks are asked; the window is data.maxLength. */
    readonly taskOptions?: {
      /**
       * Ask the tasks every this many steps; below 1: that share of all steps. Default:
       * evaluation.everySteps. They are asked at the end anyway.
       */
      readonly everySteps?: number | undefined
      /**
       * Most that the tasks may take of the time of the run; evaluations that would take more are left out,
       * but for the last one.
       */
      readonly maxTimeShare?: number | undefined
      /** Documents of each task; below 1: that share of them. */
      readonly limit?: number | undefined
      /** Examples before each document; a task that says 0 stays at 0. */
      readonly numFewshot?: number | undefined
      /** Seed of the draw of examples. Default 1234. */
      readonly fewshotSeed?: number | undefined
      /** Folders with task files of your own, relative to the config file. */
      readonly includePath?: readonly string[] | undefined
      /** Write prompts by the tokenizer's chat template. Default false. */
      readonly applyChatTemplate?: boolean | undefined
      /** With applyChatTemplate: examples as turns of their own. Default false. */
      readonly fewshotAsMultiturn?: boolean | undefined
      /** Stands before the description of each task. */
      readonly systemInstruction?: string | undefined
      /** bos before contexts. Default: as the tokenizer's own encode. */
      readonly addBosToken?: boolean | undefined
      /**
       * When documents of the tasks share 13 words in a row with the training data: warn (the default),
       * refuse the run, or ignore, which does not look.
       */
      readonly trainingOverlap?: 'warn' | 'refuse' | 'ignore' | undefined
    } | undefined
  } | undefined
  /** Folder of the run, relative to the WORKING directory, not to the config file. */
  readonly outputDir: string
}
