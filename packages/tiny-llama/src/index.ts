/**
 * Where the embedded model and its held-out text lie on disk.
 * @module
 */
import { fileURLToPath } from 'node:url';

/**
 * Absolute path of the model's folder: a Hugging Face checkpoint (one bf16 safetensors file, byte-level BPE tokenizer), with reference
 * logits, hidden states, token ids and perplexities beside it.
 */
export const modelFolder: string = fileURLToPath(new URL('../model', import.meta.url));

/** Absolute path of a text that the model was not trained on, in several registers, for measuring perplexity. */
export const evaluationTextPath: string = fileURLToPath(new URL('../evaluation.txt', import.meta.url));
