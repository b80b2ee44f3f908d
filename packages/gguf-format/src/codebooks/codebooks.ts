import { type Codebook, codebook } from './codebook.js';
import { IQ1_POINTS } from './iq1.data.js';
import { IQ2_S_POINTS } from './iq2-s.data.js';
import { IQ2_XS_POINTS } from './iq2-xs.data.js';
import { IQ2_XXS_POINTS } from './iq2-xxs.data.js';
import { IQ3_S_POINTS } from './iq3-s.data.js';
import { IQ3_XXS_POINTS } from './iq3-xxs.data.js';

const once = (make: () => Codebook): (() => Codebook) => {
  let made: Codebook | undefined;
  return () => {
    made ??= make();
    return made;
  };
};

/** The codebooks of ggml, made when first used. */
export const CODEBOOKS = {
  IQ2_XXS: once(() => codebook(IQ2_XXS_POINTS, 3, 8, 2)),
  IQ2_XS: once(() => codebook(IQ2_XS_POINTS, 3, 8, 2)),
  IQ2_S: once(() => codebook(IQ2_S_POINTS, 3, 8, 1)),
  IQ3_XXS: once(() => codebook(IQ3_XXS_POINTS, 8, 4, 2)),
  IQ3_S: once(() => codebook(IQ3_S_POINTS, 8, 4, 3)),
  IQ1: once(() => codebook(IQ1_POINTS, 3, 8, 3)),
} as const;
