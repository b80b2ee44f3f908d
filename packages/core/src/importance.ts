import type { ByteSink, ByteSource } from './io.js';

/** How strongly one weight's inputs are driven: what the squared error of each of its columns costs. */
export interface ImportanceEntry {
  /** `Σ x²` of each input channel, `[experts, columns]` row-major; one expert for a plain linear layer. */
  readonly sums: Float64Array;
  /** Tokens that were seen, `[experts]`. */
  readonly counts: Float64Array;
}

/** Statistics of the inputs of a model's linear layers on a text, by the name of the weight in the output (`blk.0.attn_q.weight`). */
export interface ImportanceMatrix {
  readonly entries: ReadonlyMap<string, ImportanceEntry>;
  /** Names of the texts. */
  readonly datasets: readonly string[];
  /** Sequences of text. */
  readonly chunks: number;
  /** Tokens per sequence. */
  readonly chunkSize: number;
}

/** Where an importance matrix that was used came from; formats save it with the model. */
export interface ImportanceOrigin {
  /** The file, or `computed`. */
  readonly file: string;
  readonly dataset?: string;
  readonly entries: number;
  readonly chunks: number;
}

/** A format's files for importance matrices. */
export interface ImportanceFiles {
  /** Names of the layouts that `write` offers, the usual one first. */
  readonly layouts: readonly string[];
  /**
   * Reads a file, in whichever layout it is.
   *
   * @throws CalibrantError `CORRUPT_FILE` naming the file and what was wrong in it.
   */
  read(source: ByteSource): Promise<ImportanceMatrix>;
  /** Writes a whole file; the caller closes the sink. */
  write(matrix: ImportanceMatrix, sink: ByteSink, layout: string): Promise<void>;
}
