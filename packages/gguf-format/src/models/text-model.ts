import { CalibrantError, type Checkpoint } from '@calibrant/core';
import type { Json } from './model-config.js';

/** Tensors of images, which llama.cpp keeps in a file of its own. */
const VISION = /^(model\.)?(vision_tower|multi_modal_projector|embed_vision)\./;

/**
 * The text model inside a multimodal Gemma 3, under the names of its tensors there; any other checkpoint as it is. `text_config` says what differs from the
 * model's class, and the config around it the special tokens.
 *
 * @throws CalibrantError `CORRUPT_FILE` without a `text_config`.
 */
export function textModel(checkpoint: Checkpoint): Checkpoint {
  const { model_type: type, text_config: text, bos_token_id, eos_token_id, tie_word_embeddings } = checkpoint.config;
  if (type !== 'gemma3') return checkpoint;
  if (typeof text !== 'object' || text === null)
    throw new CalibrantError(
      'CORRUPT_FILE',
      `${checkpoint.name}: config.json of a multimodal Gemma 3 must describe its text model in "text_config", found ${JSON.stringify(text)}.`,
      { file: 'config.json', option: 'text_config' },
    );
  const config: Json = { bos_token_id, eos_token_id, tie_word_embeddings, ...text, model_type: 'gemma3_text' };
  return { ...checkpoint, config, tensors: new Map([...checkpoint.tensors].filter(([name]) => !VISION.test(name))) };
}

/** A tensor's name without what says that it belongs to the text model of a multimodal one. */
export function textName(source: string): string {
  return source.replace(/^(language_model\.model|model\.language_model)\./, 'model.').replace(/^language_model\.(?=lm_head\.)/, '');
}
