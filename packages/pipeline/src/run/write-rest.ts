import type {
  Backend,
  BoundCalibrator,
  Checkpoint,
  FormatWriter,
  ImportanceMatrix,
  PlannedTensor,
  Quantizer,
  RunOptions,
} from '@calibrant/core';
import { throwIfAborted } from '@calibrant/core';
import type { MethodOptions } from '../plan/method-options.js';
import type { LayerFacts } from './calibrated.js';
import { encodeStream, loadWhole } from './encode-stream.js';
import { quantizeLinear } from './quantize-linear.js';

export interface WriteRestInput extends RunOptions {
  readonly quantizer: Quantizer;
  readonly quantizerOptions: MethodOptions;
  readonly calibrator?: BoundCalibrator | undefined;
  readonly writer: FormatWriter;
  readonly backend: Backend;
}

/** Writes tensors that need no calibration, as a checkpoint has them now. */
export type WriteRest = (
  tensors: readonly PlannedTensor[],
  checkpoint: Checkpoint,
  importance: ImportanceMatrix | undefined,
  onDone: (name: string, facts?: LayerFacts) => void,
) => Promise<void>;

/** @param chosen the tensors whose codes the quantizer chooses; the others are encoded by themselves, as a stream */
export function createWriteRest(input: WriteRestInput, chosen: ReadonlySet<PlannedTensor>): WriteRest {
  const { quantizer, quantizerOptions, writer, backend, signal } = input;
  return async (tensors, checkpoint, importance, onDone) => {
    for (const tensor of tensors) {
      throwIfAborted(signal);
      let facts: LayerFacts | undefined;
      if (!chosen.has(tensor)) await encodeStream(checkpoint, tensor, writer, backend, input, importance);
      else {
        const weight = await loadWhole(checkpoint, tensor, backend);
        try {
          const quantized = await quantizeLinear(quantizer, quantizerOptions.of(tensor), tensor, weight, undefined, backend, input);
          await writer.write(tensor, { rowStart: 0, value: quantized.tensor });
          facts = quantized.facts;
        } finally {
          backend.free(weight);
        }
      }
      onDone(tensor.source ?? tensor.name, facts);
    }
  };
}
