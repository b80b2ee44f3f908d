import type { ActivationGrid, QuantizedTensor, Tensor } from '@calibrant/core';
import type { NamedTensorSpec } from '../safetensors/layout.js';

/** Puts parts of a stored tensor into the files. */
export interface PartWriter {
  /** Writes a part, or some of its rows beginning at `row`. */
  write(name: string, data: Tensor, row?: number): Promise<void>;
}

/** How one quantized weight is stored: what its parts are, and how rows of codes become them. */
export interface StoredWeight {
  readonly parts: readonly NamedTensorSpec[];
  /** Rows arrive in order, each once. */
  write(rowStart: number, value: QuantizedTensor, to: PartWriter): Promise<void>;
}

/** Grids that calibration found, as `FormatWriter.writeActivation` gets them. */
export type ActivationOf = { readonly linear: string } | { readonly block: number; readonly part: 'key' | 'value' };

/** What a folder format adds to safetensors: the parts of its quantized weights and the files beside them. */
export interface ModelLayout {
  /** Stored beside the tensors that are planned, such as scales of activations; each of them optional. */
  readonly extra?: readonly NamedTensorSpec[];
  readonly maxShardBytes: number;
  writeActivation?(of: ActivationOf, grid: ActivationGrid, to: PartWriter): Promise<void>;
  /** `quantization_config` of config.json once all is written, and other JSON files; undefined for a plain model. */
  describe():
    | {
        readonly quantization: Record<string, unknown>;
        /** Keys of `quantization` whose numbers get a decimal point even where they are whole: readers in Python may insist on the type. */
        readonly floats?: readonly string[];
        readonly files?: Readonly<Record<string, unknown>>;
      }
    | undefined;
}
