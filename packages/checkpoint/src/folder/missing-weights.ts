import { CalibrantError } from '@calibrant/core';
import { INDEX_FILE } from '../safetensors/index-file.js';

const PICKLE_FILE = /\.(bin|pt|pth|ckpt)$/i;

/** The error for a model (`where`: a path or Hub id) whose files hold neither `model.safetensors` nor an index: it says what to do with what is there. */
export function missingWeights(where: string, files: readonly string[]): CalibrantError {
  const loose = files.filter((file) => file.endsWith('.safetensors'));
  if (loose.length > 0) {
    const names = `${loose.slice(0, 3).join(', ')}${loose.length > 3 ? ', …' : ''}`;
    return new CalibrantError(
      'NOT_FOUND',
      `${where} has neither model.safetensors nor ${INDEX_FILE}, but ${names}. Add the index of these shards, or rename a single file to model.safetensors.`,
      { file: where },
    );
  }
  const pickle = files.find((file) => PICKLE_FILE.test(file));
  if (pickle)
    return new CalibrantError(
      'UNSUPPORTED',
      `${where} holds only PyTorch pickle weights (${pickle}), which can run code when they are read. Convert them to safetensors first: in Python, AutoModelForCausalLM.from_pretrained(folder).save_pretrained(folder).`,
      { file: where },
    );
  const gguf = files.find((file) => file.endsWith('.gguf'));
  if (gguf)
    return new CalibrantError('UNSUPPORTED', `${where} holds no safetensors weights, but a GGUF file: open ${gguf} itself.`, {
      file: where,
    });
  return new CalibrantError(
    'NOT_FOUND',
    `${where} holds no weights: model.safetensors or ${INDEX_FILE} is missing. Download the model again.`,
    {
      file: where,
    },
  );
}
