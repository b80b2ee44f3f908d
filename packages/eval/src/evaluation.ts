import type { CalibrationFigures } from './calibration/calibration-error.js';
import type { DriftFigures } from './generation/drift.js';
import type { NeedleResult } from './needle/needle-figures.js';
import type { TaskResult } from './tasks/task-results.js';
import type { DivergenceFigures } from './text/divergence-figures.js';
import type { PerplexityFigures } from './text/perplexity-figures.js';

/** Files of a model, told apart from others by their contents. */
export interface ModelIdentity {
  /** What the user named: a path, a URL, or a Hub repository. */
  readonly name: string;
  /** The files whose bytes decide what the model says. Remote files have no hash. */
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256?: string }[];
  /** SHA-256 over the names, sizes and hashes of all files; absent when a file has no hash. */
  readonly sha256?: string;
  /** Of a Hub model, the commit. */
  readonly commit?: string;
}

/** How a result came about: what is needed to get it again, or to say why it differs. */
export interface Provenance {
  readonly model: ModelIdentity;
  /** With stored base logits, what the file says of the model that made them. */
  readonly base?: ModelIdentity;
  readonly text?: {
    readonly file: string;
    readonly bytes: number;
    readonly sha256: string;
    /** Of the whole text, by the model's tokenizer. */
    readonly tokens: number;
  };
  /** Seed of everything that is drawn. */
  readonly seed: number;
  /** Versions of Calibrant's packages and of Node. */
  readonly versions: Readonly<Record<string, string>>;
  /** Where arithmetic ran. */
  readonly backend: string;
  /** ISO 8601, UTC. */
  readonly finished: string;
}

/**
 * The result of an evaluation, what `calibrant eval --json` prints and a report is drawn from. Only what was measured is there. All of it is plain JSON; numbers that
 * JSON lacks (an infinite divergence) are written as null.
 */
export interface Evaluation {
  readonly schemaVersion: 1;
  readonly model: string;
  readonly base?: string;
  /** Grids that inputs of linear layers and cached keys and values of the model were rounded to. */
  readonly execution?: { readonly activations?: string; readonly kvCache?: string };
  /** With a text: how well it is predicted. */
  readonly perplexity?: PerplexityFigures & { readonly protocol: string };
  /** With a text and a base: how far the predictions are from the base's. */
  readonly comparison?: DivergenceFigures & {
    readonly base: string;
    readonly basePerplexity: number;
    readonly baseFigures: PerplexityFigures;
  };
  /** With a text: whether next-token predictions are right as often as the model says, before (`base`) and after quantization. */
  readonly calibration?: { readonly model: CalibrationFigures; readonly base?: CalibrationFigures };
  /** Multiple-choice and generation tasks, in the order in which they were asked for. */
  readonly tasks?: readonly TaskResult[];
  /** A fact hidden in long texts, by length and depth. */
  readonly needle?: NeedleResult;
  /** With a base: how long greedy texts of both stay the same. */
  readonly drift?: DriftFigures;
  /** Figures of metrics of other packages, by name. */
  readonly metrics?: Readonly<Record<string, Readonly<Record<string, number>>>>;
  readonly provenance: Provenance;
  readonly seconds: number;
}
