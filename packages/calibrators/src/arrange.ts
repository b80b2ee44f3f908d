import { CalibrantError, createRng } from '@calibrant/core';
import type { CalibrationSize } from './calibration-set.js';
import { cutWindows } from './windows.js';

export interface ArrangedSequences {
  readonly sequences: Int32Array[];
  /** Tokens to choose from. */
  readonly available: number;
  readonly warnings: readonly string[];
}

/** Makes sequences of documents in the mode that `size` names. @throws CalibrantError `INVALID_ARGUMENT` when there is not one sequence */
export function arrange(
  documents: readonly Int32Array[],
  separator: number | undefined,
  size: CalibrationSize,
  name: string,
): ArrangedSequences {
  const { mode = 'pack', samples, seed } = size;
  if (mode === 'pack') {
    const tokens = joinTokens(documents, separator);
    return { sequences: cutWindows(tokens, size, name), available: tokens.length, warnings: [] };
  }
  const { pieces, warnings } = mode === 'documents' ? cutDocuments(documents, size) : truncateDocuments(documents, size);
  if (pieces.length === 0)
    throw new CalibrantError(
      'INVALID_ARGUMENT',
      `${name} has no document of two or more tokens; calibration needs at least one. Use a longer text, or the mode pack.`,
      { option: 'calibration.mode' },
    );
  const available = pieces.reduce((sum, { length }) => sum + length, 0);
  return { sequences: createRng(seed).shuffle(pieces).slice(0, samples), available, warnings };
}

function joinTokens(parts: readonly Int32Array[], separator: number | undefined): Int32Array {
  const gap = separator === undefined ? 0 : 1;
  const joined = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0) + gap * (parts.length - 1));
  let at = 0;
  for (const [i, part] of parts.entries()) {
    if (i > 0 && separator !== undefined) joined[at++] = separator;
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

type Pieces = { readonly pieces: Int32Array[]; readonly warnings: readonly string[] };

/** Every token is in one piece, except a single last one, which predicts nothing. */
function cutDocuments(documents: readonly Int32Array[], { length }: CalibrationSize): Pieces {
  const pieces = documents.flatMap((ids) =>
    Array.from({ length: Math.ceil(ids.length / length) }, (_, i) => ids.slice(i * length, (i + 1) * length)).filter(
      (piece) => piece.length >= 2,
    ),
  );
  return { pieces, warnings: [] };
}

function truncateDocuments(documents: readonly Int32Array[], { length }: CalibrationSize): Pieces {
  const long = documents.filter((ids) => ids.length > length);
  const cut = long.reduce((sum, ids) => sum + ids.length - length, 0);
  const total = documents.reduce((sum, ids) => sum + ids.length, 0);
  return {
    pieces: documents.filter((ids) => ids.length >= 2).map((ids) => ids.slice(0, length)),
    warnings:
      cut === 0
        ? []
        : [
            `${long.length} of ${documents.length} documents are longer than ${length} tokens; the mode truncate leaves out ${cut} of ${total} tokens. The modes pack and documents keep them.`,
          ],
  };
}
