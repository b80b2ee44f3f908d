import { CalibrantError } from '@calibrant/core';
import { cutWindows, parseProtocol, type TokenWindows } from '@calibrant/eval';
import type { Tokenizer, Transformer } from '@calibrant/transformer';
import type { EvaluationText } from './read-text.js';

export interface CutTextOptions {
  readonly protocol?: string;
  readonly windowSize?: number;
  readonly maxWindows?: number;
}

/** Tokenizes a text as its protocol wants and cuts it. */
export function cutText(
  { text, bytes, file }: EvaluationText,
  tokenizer: Tokenizer,
  { protocol: name, windowSize, maxWindows }: CutTextOptions,
): { readonly windows: TokenWindows; readonly ids: Int32Array } {
  const protocol = parseProtocol(name ?? `windowed-${windowSize ?? 512}`);
  if (name !== undefined && windowSize !== undefined)
    throw new CalibrantError('INVALID_ARGUMENT', `The protocol ${name} has its window size in its name: leave --window-size out.`, {
      option: '--window-size',
    });
  const asLlama = protocol.kind === 'llama-perplexity';
  // llama-perplexity tokenizes with the special tokens that the model adds; the other protocols without.
  const ids = tokenizer.encode(text, { addSpecialTokens: asLlama });
  if (ids.length === 0) throw new CalibrantError('INVALID_ARGUMENT', `The text ${file} has no tokens. Give a longer one.`, { file });
  const bosTokenId = asLlama ? addedBos(tokenizer) : undefined;
  const windows = cutWindows(ids, {
    protocol: protocol.name,
    bytes,
    ...(maxWindows === undefined ? {} : { maxWindows }),
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
  });
  return { windows, ids };
}

/** The begin token, if the tokenizer puts it before a text. */
export function addedBos(tokenizer: Tokenizer): number | undefined {
  const [first] = tokenizer.encode('a', { addSpecialTokens: true });
  const [plain] = tokenizer.encode('a');
  return first !== plain && first === tokenizer.bosTokenId ? first : undefined;
}

/** @throws CalibrantError `INVALID_ARGUMENT` for windows longer than the model's positions */
export function checkPositions({ windows }: TokenWindows, { description: { maxPositions = Infinity }, checkpoint }: Transformer): void {
  const longest = Math.max(...windows.map(({ length }) => length));
  if (longest <= maxPositions) return;
  throw new CalibrantError(
    'INVALID_ARGUMENT',
    `Windows of ${longest} tokens are longer than the ${maxPositions} positions of ${checkpoint.name}. Use --window-size ${maxPositions} or less.`,
    { option: '--window-size' },
  );
}
