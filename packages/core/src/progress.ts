/** One step of a long operation. `done` and `total` are in `unit`s; `total` is undefined while unknown. */
export interface ProgressEvent {
  /** What is going on, for a person: `Quantizing`, `Measuring perplexity`. */
  readonly phase: string;
  readonly done: number;
  readonly total?: number;
  readonly unit: 'bytes' | 'tokens' | 'tensors' | 'blocks' | 'windows' | 'models';
  /** The thing being worked on: a tensor's or file's name. */
  readonly item?: string;
}

/** Something a person should know although the work goes on. */
export interface WarningEvent {
  readonly warning: string;
  readonly item?: string;
}

export type RunEvent = ProgressEvent | WarningEvent;

/** What every long operation takes: where to report, and how to be cancelled. */
export interface RunOptions {
  readonly onEvent?: (event: RunEvent) => void;
  readonly signal?: AbortSignal;
}
