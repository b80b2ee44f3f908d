import type { z } from 'zod';
import type { ActivationGrid, ExecutionPlan } from '../activation-scheme.js';
import type { Backend, BufferHandle } from '../backend.js';
import type { ImportanceFiles, ImportanceOrigin } from '../importance.js';
import type { ByteSource, Checkpoint, CodedInfo, OutputFolder, TensorInfo } from '../io.js';
import type { FitAttributes } from '../ops/affine.js';
import type { RunOptions } from '../progress.js';
import type { AffineScheme, AffineTensor, BlockScheme, BlockTensor, QuantizedTensor, TensorScheme } from '../scheme.js';
import type { Tensor } from '../tensor.js';
import type { BoundCalibrator, GridForm, RangeBuffers, ValueRange, ValueStatistics } from '../value-range.js';
import type { Transform } from './transform.js';

export type PluginKind = 'quantizer' | 'transform' | 'calibrator' | 'scheme' | 'format' | 'architecture' | 'backend' | 'metric';

export interface PluginMeta {
  /** One sentence for lists and `--help`. */
  readonly description: string;
  /** Paper or specification, with a link. */
  readonly source?: string;
  /** The package that provides it. */
  readonly package: string;
}

export interface PluginBase<Kind extends PluginKind, Options = unknown> {
  readonly specificationVersion: 'v1';
  readonly kind: Kind;
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly meta: PluginMeta;
  /** Defaults live here; the schema becomes `--help`, the recipe's JSON Schema and the docs table. */
  readonly options: z.ZodType<Options>;
}

/**
 * What a quantizer may ask the pipeline to observe at the input of a linear layer: the Hessian of its inputs, and how far these deviate from the inputs in the
 * full-precision model, which then runs beside the quantized one.
 */
export type Need = 'hessian' | 'deviation';

/** Statistics of a linear's inputs. */
export interface Observations {
  /** `Σ x xᵀ · 2/n` over the n calibration tokens, f32 `[in, in]`, upper triangle valid. */
  readonly hessian?: BufferHandle;
  /**
   * `Σ (x − x̃) x̃ᵀ · 2/n`, f32 `[in, in]`: x̃ are the layer's inputs (those of the Hessian), x its inputs in the full-precision model. Absent in an expert, to which
   * the two models route different tokens.
   */
  readonly deviation?: BufferHandle;
  /**
   * For an expert's layer that reads the hidden states: makes `Σ x xᵀ · 2/n` over the tokens of all experts, whichever token went where, f32 `[in, in]`, which becomes the
   * caller's. Absent elsewhere: channels inside of one expert have nothing to do with those of another.
   */
  readonly ofAllExperts?: () => BufferHandle;
  /** Tokens seen: in an expert those that were routed to it. */
  readonly tokens: number;
  /** Tokens of the whole calibration set; the same where absent. */
  readonly calibrationTokens?: number;
}

/** One linear layer to quantize. */
export interface LinearLayer<Grid extends AffineScheme | BlockScheme = AffineScheme> {
  /** Name of the weight tensor. */
  readonly name: string;
  /** f32 `[out, in]`, visible to all lanes; the caller frees it. */
  readonly weight: BufferHandle;
  readonly scheme: Grid;
  readonly observations?: Observations;
}

export interface QuantizerContext extends RunOptions {
  readonly backend: Backend;
  /** Chooses the ranges of integer grids; absent for the whole range of the weights. Pass it to `fitScheme`. */
  readonly calibrator?: BoundCalibrator;
  readonly warn: (message: string) => void;
}

export interface QuantizedLayer<Coded extends AffineTensor | BlockTensor = AffineTensor> {
  readonly tensor: Coded;
  /** Figures for the report: `dampPercent`, `error`, … */
  readonly facts?: Readonly<Record<string, number | string | boolean>>;
}

/** The solver that picks codes under a scheme. */
export interface Quantizer<Options = unknown> extends PluginBase<'quantizer', Options> {
  readonly needs: readonly Need[];
  /** What more it needs under some options; nothing if absent. */
  alsoNeeds?(options: Options): readonly Need[];
  quantize(layer: LinearLayer, options: Options, context: QuantizerContext): Promise<QuantizedLayer>;
  /** The same for block types that have a `grid`; absent where the method works on integer grids alone. */
  quantizeBlocks?(layer: LinearLayer<BlockScheme>, options: Options, context: QuantizerContext): Promise<QuantizedLayer<BlockTensor>>;
}

/** Facts of the model that mixtures and formats decide by. */
export interface ModelFacts {
  readonly config: Readonly<Record<string, unknown>>;
  readonly architecture: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Names of the weights of linear layers inside blocks: what a quantizer may work on. */
  readonly linears: ReadonlySet<string>;
  /** Names (in the output) of the weights that an importance matrix covers; absent without one. Some mixtures decide by it. */
  readonly importance?: ReadonlySet<string>;
}

/** A grid, or a rule that gives each tensor its grid (a mixture such as Q4_K_M). */
export interface Scheme<Options = unknown> extends PluginBase<'scheme', Options> {
  /** Options that a name stands for which is made of the scheme's own and them, such as `nf4-g128`; undefined for all other names. */
  optionsOfName?(name: string): Partial<Options> | undefined;
  /**
   * The grid of each tensor that the output will hold, by the name that the format gave it.
   * `undefined` leaves a tensor to the format (its float type). `warn` hears what a person should know of the choice.
   */
  assign(
    tensors: readonly OutputTensor[],
    facts: ModelFacts,
    options: Options,
    warn?: (text: string) => void,
  ): ReadonlyMap<string, TensorScheme | undefined>;
}

/**
 * One tensor of the output, as planned by a format before anything is computed. What differs from the checkpoint's tensor is data, so that
 * rows stream: the source is transposed first, then rows are ordered and cut, then `add` is added.
 */
export interface OutputTensor {
  /** Name in the output (`blk.0.attn_q.weight`, or the source's own). */
  readonly name: string;
  /** Name in the checkpoint; absent for tensors that the format makes (`constant`) or builds from several (`stacked`). */
  readonly source?: string;
  /** Names in the checkpoint of tensors of one shape that lie one after the other along a new first dimension: a layer's experts. */
  readonly stacked?: readonly string[];
  /** Row-major shape, `[out, in]`; the rows of `[experts, out, in]` are those of all experts. Rows of the source beyond it are left out. */
  readonly shape: readonly number[];
  /** Output row r is source row `floor(r / period) · period + order[r mod period]`. */
  readonly rowOrder?: { readonly period: number; readonly order: readonly number[] };
  /** The checkpoint holds `[in, out]`. */
  readonly transposed?: boolean;
  /** Added to every value, in f32. */
  readonly add?: number;
  readonly constant?: Tensor;
}

export interface FormatInput {
  readonly checkpoint: Checkpoint;
  readonly facts: ModelFacts;
  /** The recipe that made the output, saved with it. */
  readonly recipe: unknown;
  /** The importance matrix that the tensors are encoded with. */
  readonly importance?: ImportanceOrigin;
  /** Grids of activations and cached keys and values that the output asks its readers to run with; static scales come later, by `writeActivation`. */
  readonly execution?: ExecutionPlan;
}

export interface PlannedTensor extends OutputTensor {
  readonly scheme: TensorScheme;
}

/** Rows `[rowStart, rowStart + value.shape[0])` of a planned tensor, a vector whole. Every row arrives once, in any order of tensors, rows in order. */
export interface EncodedRows {
  readonly rowStart: number;
  readonly value: QuantizedTensor;
}

export interface FormatWriter {
  write(tensor: PlannedTensor, part: EncodedRows): Promise<void>;
  /** Static grids that calibration found: of a linear layer's input (by its weight's name), or of a block's keys or values. Before `finish`. */
  writeActivation?(
    of: { readonly linear: string } | { readonly block: number; readonly part: 'key' | 'value' },
    grid: ActivationGrid,
  ): Promise<void>;
  /** Writes what is left (headers, config, tokenizer) and closes the files. Returns the main files' names. */
  finish(): Promise<readonly string[]>;
  /** Closes the files; the caller removes them. */
  abort(): Promise<void>;
}

/** What a format packs and unpacks with, and where it reports what a person should know. */
export interface FormatContext extends RunOptions {
  readonly backend: Backend;
}

/** A layout on disk. */
export interface Format<Options = unknown> extends PluginBase<'format', Options> {
  /** Which grids it can hold, with a reason for a person when it cannot. */
  accepts(scheme: TensorScheme): true | string;
  /**
   * The grid under which it holds the codes of a quantized tensor as they are, without rounding: the same grid, or a block type with `integers`. Undefined where it
   * cannot. Absent: a grid that it accepts, unless its groups are not contiguous.
   */
  exact?(coded: CodedInfo): TensorScheme | undefined;
  /** Whether its readers load a quantized output projection (`lm_head`), or why not, as a sentence; not if absent. Schemes that name it by themselves need no leave. */
  readonly lmHead?: true | string;
  /** Whether it stores grids of activations and of cached keys and values. */
  readonly keepsExecution?: boolean;
  /** Which tensors the output will hold, under which names. */
  outputs(input: FormatInput, options: Options): Promise<readonly OutputTensor[]>;
  /** Bytes of the files beside tensor data, at most, whatever block types the plan's tensors get. Absent: unknown, taken to be none. */
  bytesBeside?(input: FormatInput, plan: readonly PlannedTensor[], options: Options): Promise<number>;
  /** The float type of a tensor that no scheme covers. */
  floatScheme(tensor: OutputTensor, facts: ModelFacts, options: Options): TensorScheme;
  open(
    input: FormatInput,
    plan: readonly PlannedTensor[],
    folder: OutputFolder,
    options: Options,
    context: FormatContext,
  ): Promise<FormatWriter>;
  /** Whether it recognizes a model (from the names of files, the config and first bytes), and how to read it as a checkpoint in f32. */
  readonly reader?: FormatReader;
  /** How it stores importance matrices. */
  readonly importance?: ImportanceFiles;
}

/** What the headers of a file say. */
export interface FileContents {
  /** Sizes under Hugging Face's names, as far as they are there, and `model_type`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Under the names in the file. */
  readonly tensors: readonly TensorInfo[];
}

export interface FormatReader {
  /** A single-file model, recognized by its first bytes. */
  openFile?(source: ByteSource, context: FormatContext): Promise<Checkpoint | undefined>;
  /**
   * What a file of this format holds, from its headers, where it is no model that {@link openFile} reads: of another architecture, without sizes, or no model at all.
   */
  inspectFile?(source: ByteSource, context: FormatContext): Promise<FileContents | undefined>;
  /** A folder that an ordinary reader opened; wraps it when its config names this format. */
  openFolder?(checkpoint: Checkpoint, context: FormatContext): Promise<Checkpoint | undefined>;
}

/**
 * Chooses the range that a grid spans. Per tensor, row, group or token is a matter of what it is given: a tensor as one row, rows with or without
 * groups, the tokens of a step as rows.
 */
export interface Calibrator<Options = unknown> extends PluginBase<'calibrator', Options> {
  /** Of values at hand, f32 `[rows, columns]`: weights, or the inputs of one step. Enqueues; the caller frees the results. */
  ranges(backend: Backend, values: BufferHandle, grid: FitAttributes, options: Options): RangeBuffers;
  /** Of values that streamed by: static ranges of inputs. */
  range(statistics: ValueStatistics, grid: GridForm, options: Options): ValueRange;
}

/** How a family of checkpoints becomes embedding → blocks → head. `describe` gives the data that `@calibrant/transformer` runs. */
export interface ArchitecturePlugin<Description = unknown> extends PluginBase<'architecture', Record<string, never>> {
  /** Values of `model_type` or `architectures[0]` in config.json that it handles. */
  readonly modelTypes: readonly string[];
  describe(config: Readonly<Record<string, unknown>>): Description;
}

export interface BackendPlugin<Options = unknown> extends PluginBase<'backend', Options> {
  /** Resolves to a reason for a person when it cannot run here. */
  available(): Promise<true | string>;
  create(options: Options): Promise<Backend>;
}

/** What a model says about one window of text. */
export interface MetricWindow {
  /** Position among the windows of the run: results must not depend on the order in which windows arrive. */
  readonly index: number;
  /** The window's tokens. */
  readonly ids: Int32Array;
  /** The scored tokens: row r of the logits predicts `targets[r]`. They are the last but the first of `ids`, fewer where the protocol scores a part of each window. */
  readonly targets: Int32Array;
  /** f32 `[scored tokens, vocabulary]`. The caller frees it after `add` has resolved. */
  readonly logits: BufferHandle;
  /** The full-precision model's logits, on the same lane; present when the metric needs them. */
  readonly reference?: BufferHandle;
}

/** A measurement under way. `add` may be called again before an earlier call has resolved. */
export interface MetricRun {
  add(window: MetricWindow): Promise<void>;
  finish(): Readonly<Record<string, number>>;
}

/** A measurement of a model on a text, alone or against its full-precision self. */
export interface Metric<Options = unknown> extends PluginBase<'metric', Options> {
  readonly needsReference: boolean;
  start(backend: Backend, options: Options): MetricRun;
}

export type Plugin =
  | Quantizer<any>
  | Scheme<any>
  | Format<any>
  | Transform<any>
  | Calibrator<any>
  | ArchitecturePlugin<any>
  | BackendPlugin<any>
  | Metric<any>;
